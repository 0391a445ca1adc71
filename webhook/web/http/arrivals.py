"""The last webhook of each source, for people who wait for a new sender's first one."""

from __future__ import annotations

from datetime import datetime
from typing import NotRequired, TypedDict

from sqlalchemy import ColumnElement, Connection, func, or_, select

from webhook.clock import stamp
from webhook.queries.webhooks import WebhookEventJson, WebhookJson
from webhook.queues.inbox import EVENT_CONTENT_TYPE
from webhook.storage.tables import identity, webhook
from webhook.web import visible
from webhook.web.visible import Visitor

LOOKED = 2000
"""The newest webhooks searched; an older source is recognised by its users."""


class ArrivalJson(TypedDict):
    """The last webhook of a source; of one that has been silent long only when that was."""

    id: int | None
    state: str | None
    at: str | None
    event: WebhookEventJson | None
    reason: str | None
    explanation: str | None
    listened: NotRequired[bool]


def arrivals(connection: Connection, visitor: Visitor) -> dict[str, ArrivalJson]:
    """A summary of the last webhook of each source that this visitor may see, by source.

    Records read from a server's history and plays added by hand do not count as arrivals.
    """
    newest = select(webhook.c.id).where(is_sent()).order_by(webhook.c.id.desc()).limit(LOOKED)
    last = select(func.max(webhook.c.id)).where(webhook.c.id.in_(newest)).group_by(webhook.c.source)
    if not visitor.is_admin:
        last = last.where(visible.is_of_person(visitor))
    found: dict[str, ArrivalJson] = {}
    for webhook_id in connection.execute(last).scalars().all():
        entry = visible.one_webhook(connection, visitor, webhook_id)
        if entry is not None:
            found[entry["source"]] = in_short(entry)
    return {**(last_arrivals(connection) if visitor.is_admin else {}), **found}


def is_sent() -> ColumnElement[bool]:
    """The condition for webhooks that a sender sent, not those of records or plays added by hand."""
    return or_(webhook.c.content_type.is_(None), ~webhook.c.content_type.startswith(EVENT_CONTENT_TYPE))


def in_short(entry: WebhookJson) -> ArrivalJson:
    event = next(iter(entry["events"]), None)
    return {
        "id": entry["id"],
        "state": entry["state"],
        "at": entry["received_at"],
        "event": event,
        "reason": entry["reason"],
        "explanation": entry["explanation"],
        "listened": entry["listened"],
    }


def last_arrivals(connection: Connection) -> dict[str, ArrivalJson]:
    """The last time a user of each source was seen, for sources that have been silent long."""
    wanted = (
        select(identity.c.source, func.max(identity.c.last_seen).label("at"))
        .where(identity.c.last_seen.is_not(None))
        .group_by(identity.c.source)
    )
    return {row.source: silent_since(row.at) for row in connection.execute(wanted)}


def silent_since(moment: datetime) -> ArrivalJson:
    return {
        "id": None, "state": None, "at": stamp(moment), "event": None, "reason": None, "explanation": None,
    }  # fmt: skip
