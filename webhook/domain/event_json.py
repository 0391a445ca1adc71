"""Our own events as the inbox holds them: written field by field, and read like any payload."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any

from webhook.domain.event import Action, Event, Unreadable, item_from_json, item_to_json


def event_to_json(event: Event) -> dict[str, object]:
    """The event as JSON, by field name, without what is unknown; `at` in ISO 8601."""
    described: dict[str, object] = {}
    for entry in fields(event):
        value = getattr(event, entry.name)
        if value is not None and value is not False and value != entry.default:
            described[entry.name] = value.isoformat() if isinstance(value, datetime) else value
    return {**described, "item": item_to_json(event.item)}


def event_from_json(described: Mapping[str, Any]) -> Event:
    """The event that `event_to_json` wrote; raises Unreadable."""
    known = {entry.name for entry in fields(Event)}
    try:
        values = {name: value for name, value in described.items() if name in known}
        values |= {"action": Action(described["action"]), "item": item_from_json(described["item"])}
        moments = [name for name in ("at", "last_played_at") if name in described]
        values |= {name: datetime.fromisoformat(described[name]) for name in moments}
        return Event(**values)
    except (KeyError, TypeError, ValueError) as error:
        raise Unreadable(f"it is no event of ours: {type(error).__name__}: {error}") from error
