"""Alerts: what a Plex Media Server sends to whoever listens to its notifications. Pure.

Frames come with the container `NotificationContainer` or without, and hold one entry or a list of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from webhook.domain import values

CONTAINER, PLAYING, TIMELINE = "NotificationContainer", "PlaySessionStateNotification", "TimelineEntry"
SESSION_STATES = frozenset({"playing", "paused", "stopped", "buffering", "error"})
LIBRARY = "com.plexapp.plugins.library"
PROCESSED = 5
"""The state of a timeline entry whose item was changed."""

WATCHABLE_TYPES = frozenset({1, 4})
"""Films and episodes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Alert:
    """The state of one session. It names no person; `said` is the alert as it was sent."""

    session: str
    item: str
    state: str
    said: Mapping[str, Any]
    position_ms: int | None = None
    client: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """An item of the library changed, which may be a mark made by hand."""

    item: str


def read_frame(frame: bytes | str) -> list[Alert | Change]:
    """The alerts of a frame; none of one that is broken or says nothing about playing."""
    try:
        read = values.mapping(orjson.loads(frame))
    except orjson.JSONDecodeError:
        return []
    inside = values.mapping(read.get(CONTAINER)) or read
    alerts = [read_alert(entry) for entry in entries(inside.get(PLAYING))]
    changes = [read_change(entry) for entry in entries(inside.get(TIMELINE))]
    return [found for found in (*alerts, *changes) if found is not None]


def entries(found: Any) -> Iterator[Mapping[str, Any]]:
    """The entries of a list, or the one that stands there alone."""
    yield from values.objects(found if isinstance(found, list) else [found])


def read_alert(entry: Mapping[str, Any]) -> Alert | None:
    """The alert, or None where one of its fields makes no sense."""
    session, item, state = (values.text(entry.get(name)) for name in ("sessionKey", "ratingKey", "state"))
    position = values.position(entry.get("viewOffset"))
    if session is None or item is None or not item.isdecimal() or state not in SESSION_STATES:
        return None
    if position is None and entry.get("viewOffset") is not None:
        return None
    client = values.text(entry.get("clientIdentifier"))
    return Alert(session=session, item=item, state=state, said=entry, position_ms=position, client=client)


def read_change(entry: Mapping[str, Any]) -> Change | None:
    item = values.text(entry.get("itemID"))
    watchable = values.whole(entry.get("type")) in WATCHABLE_TYPES
    changed = entry.get("identifier") == LIBRARY and values.whole(entry.get("state")) == PROCESSED
    return Change(item) if item is not None and watchable and changed else None
