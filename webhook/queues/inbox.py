"""The inbox: raw webhooks, kept before they are answered. Many waiting requests share one commit."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from functools import cache

import orjson
from sqlalchemy import Connection, update

from webhook.domain.event import Event, event_to_json
from webhook.domain.states import WebhookState
from webhook.storage.db import Database, driver, fresh_ids
from webhook.storage.tables import webhook
from webhook.storage.types import to_ms


@dataclass(frozen=True, kw_only=True, slots=True)
class Received:
    """A request as it is kept. `raw` is the JSON as it came, without thumbnails."""

    source: str
    token_id: int | None
    received_at: datetime
    content_type: str | None
    raw: bytes
    state: WebhookState = WebhookState.RECEIVED
    reason: str | None = None


EVENT = "application/vnd.watchmark.event+json"
"""The content type of what did not come as a sender's webhook: an event of ours, found or told elsewhere."""

CATCH_UP = "catch-up"


def of_event(
    source: str,
    event: Event,
    now: datetime,
    by: str,
    *,
    person_id: int | None = None,
    token_id: int | None = None,
) -> Received:
    """An event as it is kept, so that it goes the way of every webhook.

    `by` says what made it known, `person_id` who had signed in to say so: names change, and tokens go.
    """
    raw = orjson.dumps(event_to_json(event))
    whose = "" if person_id is None else f"; for={person_id}"
    return Received(
        source=source, token_id=token_id, received_at=now, content_type=f"{EVENT}; by={by}{whose}", raw=raw
    )


OF_EVENT = re.compile(re.escape(EVENT) + r"; by=([^;]*)(?:; for=([0-9]+))?")


def told_by(content_type: str | None) -> str | None:
    """What made an event of ours known; None where it is a sender's own webhook."""
    found = OF_EVENT.fullmatch(content_type or "")
    return found[1] if found else None


def told_for(content_type: str | None) -> int | None:
    """The id of the person who had signed in to say so; None where nobody had."""
    found = OF_EVENT.fullmatch(content_type or "")
    return int(found[2]) if found and found[2] else None


class Inbox:
    def __init__(self, database: Database) -> None:
        self.database = database

    async def keep(self, received: Received) -> int:
        """The webhook's id, once it is committed. Raises Unavailable when it cannot be stored."""
        return await self.database.write(kept, received)


COLUMNS = ("id", "source", "token_id", "received_at", "content_type", "raw", "state", "reason")


def kept(connection: Connection, waiting: list[Received]) -> list[int]:
    """Insert all that wait in one statement, by the driver itself: this is the hottest path there is."""
    ids = fresh_ids(connection, webhook, len(waiting))
    rows = [row(*entry) for entry in zip(ids, waiting, strict=True)]
    if (own := driver(connection)) is not None:
        own.executemany(insertion("?"), rows)
    else:
        connection.exec_driver_sql(insertion("%s"), rows)
    return ids


@cache
def insertion(place: str) -> str:
    places = ", ".join([place] * len(COLUMNS))
    return f"INSERT INTO {webhook.name} ({', '.join(COLUMNS)}) VALUES ({places})"  # noqa: S608 - names of ours


def row(made: int, received: Received) -> tuple[object, ...]:
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


def replay(connection: Connection, ids: Collection[int]) -> int:
    """Let these webhooks be interpreted again; how many still have the body that needs."""
    again = (webhook.c.id.in_(ids), webhook.c.raw.is_not(None), webhook.c.state != WebhookState.RECEIVED)
    return connection.execute(
        update(webhook).where(*again).values(state=WebhookState.RECEIVED, reason=None)
    ).rowcount
