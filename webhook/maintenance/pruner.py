"""The pruner: deletes old data in small batches, but nothing that is still to be sent.

Raw bodies go after RETENTION_DAYS, the webhook itself and its trace stay. A body that could still be
read again to some purpose (nobody claimed it, it could not be read, its deliveries are not out) is kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import ColumnElement, Connection, Select, delete, exists, func, select, update

from webhook import clock
from webhook.domain.states import OPEN_STATES, DeliveryState, WebhookState
from webhook.storage.db import Database, Unavailable
from webhook.storage.tables import attempt, delivery, webhook

log = structlog.get_logger()

PRUNE_INTERVAL = 86_400.0
RETRY_DELAY = 60.0
"""Seconds until the next attempt after the database was unavailable."""

ID_WINDOW = 1000  # rows scanned per query
PRUNE_BATCH_SIZE = 200  # rows changed per commit
BATCH_PAUSE = 0.02  # pause between two batches, so that webhooks go first

UNINTERPRETED = (
    WebhookState.RECEIVED,
    WebhookState.UNCLAIMED,
    WebhookState.QUARANTINED,
    WebhookState.HELD,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class PruneCounts:
    """The numbers of deleted raw bodies and attempts."""

    bodies: int = 0
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class PruneBatch:
    """Rows to delete, provided that they may still go when the batch runs."""

    ids: Sequence[int]
    before: datetime


class Pruner:
    def __init__(self, database: Database, days: int) -> None:
        self.database = database
        self.keeps = timedelta(days=days)

    async def run(self, stop: asyncio.Event) -> None:
        """Prune at startup and once a day, until stopped."""
        while not stop.is_set():
            pause = PRUNE_INTERVAL
            try:
                pruned = await self.prune(clock.now(), stop)
                if pruned != PruneCounts():
                    log.info("Data older than RETENTION_DAYS was deleted.", **fields(pruned))
            except Unavailable as error:
                log.warning("Old data could not be deleted; this will be retried.", why=str(error))
                pause = RETRY_DELAY
            await clock.awaken(asyncio.Event(), stop, pause)

    async def prune(self, now: datetime, stop: asyncio.Event | None = None) -> PruneCounts:
        """Prune everything that is old enough, in small batches."""
        before = now - self.keeps
        stop = stop or asyncio.Event()
        bodies = await self.prune_windows(webhook.c.id, old_bodies(before), forget_bodies, before, stop)
        attempts = await self.prune_windows(attempt.c.id, old_attempts(before), forget_attempts, before, stop)
        return PruneCounts(bodies=bodies, attempts=attempts)

    async def prune_windows(
        self,
        column: Any,
        wanted: ColumnElement[bool],
        job: Callable[[Connection, list[PruneBatch]], list[int]],
        before: datetime,
        stop: asyncio.Event,
    ) -> int:
        """Search window by window with the readers, and pass only matches to the writer."""
        gone, start = 0, 0
        (last,) = await self.database.read(select_ids(select(func.max(column)))) or [0]
        while start < (last or 0) and not stop.is_set():
            window = select(column).where(column > start, column <= start + ID_WINDOW, wanted)
            ids = await self.database.read(select_ids(window))
            for at in range(0, len(ids), PRUNE_BATCH_SIZE):
                gone += await self.database.write(job, PruneBatch(ids[at : at + PRUNE_BATCH_SIZE], before))
                await asyncio.sleep(BATCH_PAUSE)
            start += ID_WINDOW
        return gone


def select_ids(wanted: Select[Any]) -> Callable[[Connection], list[Any]]:
    return lambda connection: list(connection.execute(wanted).scalars())


def fields(pruned: PruneCounts) -> dict[str, int]:
    return {"bodies": pruned.bodies, "attempts": pruned.attempts}


def old_bodies(before: datetime) -> ColumnElement[bool]:
    """The webhooks whose body may go: old, interpreted, and without an open delivery."""
    open_ = exists().where(delivery.c.webhook_id == webhook.c.id, delivery.c.state.in_(OPEN_STATES))
    return (
        (webhook.c.received_at < before)
        & webhook.c.raw.is_not(None)
        & webhook.c.state.not_in(UNINTERPRETED)
        & ~open_
    )


def old_attempts(before: datetime) -> ColumnElement[bool]:
    """The attempts of deliveries that are done; the others still explain why a delivery is not."""
    done = exists().where(delivery.c.id == attempt.c.delivery_id, delivery.c.state == DeliveryState.DONE)
    return (attempt.c.at < before) & done


def forget_bodies(connection: Connection, waiting: list[PruneBatch]) -> list[int]:
    """Check again in the writing transaction, as a replay may have come between."""
    return [
        connection.execute(
            update(webhook).where(webhook.c.id.in_(batch.ids), old_bodies(batch.before)).values(raw=None)
        ).rowcount
        for batch in waiting
    ]


def forget_attempts(connection: Connection, waiting: list[PruneBatch]) -> list[int]:
    return [
        connection.execute(
            delete(attempt).where(attempt.c.id.in_(batch.ids), old_attempts(batch.before))
        ).rowcount
        for batch in waiting
    ]
