"""The inbox: raw webhooks, kept before they are answered. Many waiting requests share one commit."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import Connection, insert, update

from webhook.db import Database, fresh_ids
from webhook.tables import webhook


@dataclass(frozen=True, kw_only=True, slots=True)
class Received:
    """A request as it is kept. `raw` is the JSON as it came, without thumbnails."""

    source: str
    token_id: int | None
    received_at: datetime
    content_type: str | None
    raw: bytes
    state: str = "received"
    reason: str | None = None


class Inbox:
    def __init__(self, database: Database) -> None:
        self.database = database

    async def keep(self, received: Received) -> int:
        """The webhook's id, once it is committed. Raises Unavailable when it cannot be stored."""
        return await self.database.write(kept, received)


def kept(connection: Connection, waiting: list[Received]) -> list[int]:
    ids = fresh_ids(connection, webhook, len(waiting))
    rows = [{"id": made, **asdict(received)} for made, received in zip(ids, waiting, strict=True)]
    connection.execute(insert(webhook), rows)
    return ids


def replay(connection: Connection, ids: Collection[int]) -> int:
    """Let these webhooks be interpreted again; how many still have the body that needs."""
    again = (webhook.c.id.in_(ids), webhook.c.raw.is_not(None), webhook.c.state != "received")
    return connection.execute(update(webhook).where(*again).values(state="received", reason=None)).rowcount
