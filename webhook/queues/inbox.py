"""The inbox: raw webhooks, stored before they are answered; many waiting requests share one commit."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from functools import cache

import orjson
from sqlalchemy import Connection, update

from webhook.domain.event import Event
from webhook.domain.event_json import event_to_json
from webhook.domain.states import WebhookState
from webhook.storage.db import Database, driver, fresh_ids
from webhook.storage.rows import make_row
from webhook.storage.tables import WebhookRow, webhook
from webhook.storage.types import to_ms


@dataclass(frozen=True, kw_only=True, slots=True)
class ReceivedWebhook:
    """A webhook to store; `raw` is its JSON as received, without thumbnails."""

    source: str
    token_id: int | None
    received_at: datetime
    content_type: str | None
    raw: bytes
    state: WebhookState = WebhookState.RECEIVED
    reason: str | None = None


RESERVED_CONTENT_TYPE = "application/vnd.watchmark."
EVENT_CONTENT_TYPE = "application/vnd.watchmark.event+json"
"""The content type of an event that Watchmark made itself, and no sender's webhook."""

LISTENED_CONTENT_TYPE = "application/vnd.watchmark.listened+json"
"""The content type of what a media server said while it was listened to."""

CATCH_UP = "catch-up"


def event_webhook(
    source: str,
    event: Event,
    now: datetime,
    by: str,
    *,
    person_id: int | None = None,
    token_id: int | None = None,
) -> ReceivedWebhook:
    """An event as a webhook to store, so that it is interpreted like every other.

    `by` is the origin of the event, `person_id` the person who had signed in to report it: names change,
    and tokens go.
    """
    raw = orjson.dumps(event_to_json(event))
    whose = "" if person_id is None else f"; for={person_id}"
    return ReceivedWebhook(
        source=source,
        token_id=token_id,
        received_at=now,
        content_type=f"{EVENT_CONTENT_TYPE}; by={by}{whose}",
        raw=raw,
    )


EVENT_CONTENT_TYPE_PATTERN = re.compile(re.escape(EVENT_CONTENT_TYPE) + r"; by=([^;]*)(?:; for=([0-9]+))?")


def event_origin(content_type: str | None) -> str | None:
    """The origin of an event that Watchmark made itself; None for a sender's webhook."""
    found = EVENT_CONTENT_TYPE_PATTERN.fullmatch(content_type or "")
    return found[1] if found else None


def event_person_id(content_type: str | None) -> int | None:
    """The id of the person who had signed in to report the event, or None."""
    found = EVENT_CONTENT_TYPE_PATTERN.fullmatch(content_type or "")
    return int(found[2]) if found and found[2] else None


class Inbox:
    def __init__(self, database: Database) -> None:
        self.database = database

    async def keep(self, received: ReceivedWebhook) -> int:
        """Store a webhook and return its id once it is committed; raises Unavailable when it cannot be stored."""
        return await self.database.write(store_webhooks, received)


INSERT_COLUMNS = ("id", "source", "token_id", "received_at", "content_type", "raw", "state", "reason")


def store_webhooks(connection: Connection, waiting: list[ReceivedWebhook]) -> list[int]:
    """Insert all that wait in one statement, by the driver itself: this is the hottest path there is."""
    ids = fresh_ids(connection, webhook, len(waiting))
    rows = [insert_values(*entry) for entry in zip(ids, waiting, strict=True)]
    if (own := driver(connection)) is not None:
        own.executemany(insert_sql("?"), rows)
    else:
        connection.exec_driver_sql(insert_sql("%s"), rows)
    return ids


def stored_row(made: int, received: ReceivedWebhook) -> WebhookRow:
    """The row that stores a received webhook."""
    return make_row(
        WebhookRow,
        {
            "id": made,
            "source": received.source,
            "token_id": received.token_id,
            "received_at": received.received_at,
            "content_type": received.content_type,
            "raw": received.raw,
            "state": received.state.value,
            "reason": received.reason,
            "identity_id": None,
            "events": None,
            "interpreted_at": None,
        },
    )


@cache
def insert_sql(place: str) -> str:
    places = ", ".join([place] * len(INSERT_COLUMNS))
    return f"INSERT INTO {webhook.name} ({', '.join(INSERT_COLUMNS)}) VALUES ({places})"  # noqa: S608 - names of ours


def insert_values(made: int, received: ReceivedWebhook) -> tuple[object, ...]:
    return (
        made,
        received.source,
        received.token_id,
        to_ms(received.received_at),
        received.content_type,
        received.raw,
        received.state.value,
        received.reason,
    )


def requeue(connection: Connection, ids: Collection[int]) -> int:
    """Queue these webhooks for interpretation again; return how many still have the body it needs."""
    again = (webhook.c.id.in_(ids), webhook.c.raw.is_not(None), webhook.c.state != WebhookState.RECEIVED)
    return connection.execute(
        update(webhook).where(*again).values(state=WebhookState.RECEIVED, reason=None)
    ).rowcount
