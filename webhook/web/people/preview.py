"""A preview of filters: which of a person's last webhooks they would stop. Nothing is changed by it."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, select

from webhook import sources
from webhook.clock import stamp
from webhook.domain import lenient_json
from webhook.domain.event import Event, Ignored, Unreadable
from webhook.domain.event_json import event_from_json
from webhook.domain.rules import Filters, stopping_filter
from webhook.queues.inbox import event_origin
from webhook.storage.rows import fetch_all
from webhook.storage.tables import PersonRow, WebhookRow, webhook
from webhook.web import visible
from webhook.web.http.templating import reason_text
from webhook.web.people.models import HeardJson, Preview, StoppedWebhook
from webhook.web.visible import Visitor

LAST = 100
LOOKED = 5000
"""The newest webhooks of everybody that are searched for the person's."""

Read = tuple[HeardJson, Event]
"""A webhook as listed, and its event."""


def preview(read: Sequence[Read], filters: Filters) -> Preview:
    """The number of webhooks examined, and those that these filters stop."""
    stopped: list[StoppedWebhook] = [
        {**shown, "why": in_words(why)} for shown, event in read if (why := stopping_filter(filters, event))
    ]
    return {"looked_at": len(read), "stopped": stopped}


def names_in(read: Sequence[Read]) -> dict[str, list[str]]:
    """The libraries and players in those webhooks, to choose from."""
    events = [event for _, event in read]
    return {
        "libraries": sorted({event.library for event in events if event.library}),
        "players": sorted({event.player for event in events if event.player}),
    }


def meanings(connection: Connection, whose: PersonRow) -> list[Read]:
    """The events of a person's last 100 webhooks, newest first."""
    visitor = Visitor(person_id=whose.id, name=whose.name)
    newest = select(webhook.c.id).order_by(webhook.c.id.desc()).limit(LOOKED)
    theirs = select(webhook).where(webhook.c.id.in_(newest), visible.is_of_person(visitor))
    rows = fetch_all(connection, theirs.order_by(webhook.c.id.desc()).limit(LAST), WebhookRow)
    return [
        (summary(row, event), event)
        for row in rows
        if visible.may_see(row.events or [], visitor) and (event := meaning(row)) is not None
    ]


def meaning(row: WebhookRow) -> Event | None:
    """The event in a webhook's body; None if it has none, cannot be read, or is pruned."""
    if row.raw is None:
        return None
    try:
        payload = lenient_json.loads(row.raw, row.content_type)
        if event_origin(row.content_type):
            return event_from_json(payload)
        read = sources.read_webhook(row.source, payload, row.received_at)
    except (Unreadable, KeyError):
        return None
    return None if isinstance(read, Ignored) else read[0]


def summary(row: WebhookRow, event: Event) -> HeardJson:
    item = event.item
    return {
        "webhook": row.id,
        "received_at": stamp(row.received_at),
        "action": event.action.value,
        "kind": item.kind.value,
        "title": item.title,
        "show": getattr(item, "show", None),
        "season": getattr(item, "season", None),
        "number": getattr(item, "number", None),
        "year": item.year,
        "artist": getattr(item, "artist", None),
        "library": event.library,
        "player": event.player,
    }


def in_words(stopped: str) -> str:
    text = reason_text(stopped)
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."
