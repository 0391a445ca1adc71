"""The pruner: what is no longer needed goes, a little at a time; what is still to be told stays.

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

DAY = 86_400.0
AGAIN = 60.0
"""Seconds until the next try when the database could not be used."""

WINDOW = 1000  # rows looked at in one question
BATCH = 200  # rows changed in one commit
PAUSE = 0.02  # between two batches, so that webhooks go first

UNREAD = (WebhookState.RECEIVED, WebhookState.UNCLAIMED, WebhookState.QUARANTINED)


@dataclass(frozen=True, kw_only=True, slots=True)
class Pruned:
    """How many raw bodies and attempts went."""

    bodies: int = 0
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class PruneBatch:
    """Rows to be let go, if they still may be."""

    ids: Sequence[int]
    before: datetime


class Pruner:
    def __init__(self, database: Database, days: int) -> None:
        self.database = database
        self.keeps = timedelta(days=days)

    async def run(self, stop: asyncio.Event) -> None:
        """At the start and once a day, until told to stop."""
        while not stop.is_set():
            pause = DAY
            try:
                pruned = await self.prune(clock.now(), stop)
                if pruned != Pruned():
                    log.info("What was older than RETENTION_DAYS went.", **fields(pruned))
            except Unavailable as error:
                log.warning("Nothing could be pruned now; it is tried again.", why=str(error))
                pause = AGAIN
            await clock.awaken(asyncio.Event(), stop, pause)

    async def prune(self, now: datetime, stop: asyncio.Event | None = None) -> Pruned:
        """Everything there is to prune now, in small batches."""
        before = now - self.keeps
        stop = stop or asyncio.Event()
        bodies = await self.each(webhook.c.id, old_bodies(before), forget_bodies, before, stop)
        attempts = await self.each(attempt.c.id, old_attempts(before), forget_attempts, before, stop)
        return Pruned(bodies=bodies, attempts=attempts)

    async def each(
        self,
        column: Any,
        wanted: ColumnElement[bool],
        job: Callable[[Connection, list[PruneBatch]], list[int]],
        before: datetime,
        stop: asyncio.Event,
    ) -> int:
        """Looks window by window beside the writer; only what is found takes its time."""
        gone, start = 0, 0
        (last,) = await self.database.read(asking(select(func.max(column)))) or [0]
        while start < (last or 0) and not stop.is_set():
            window = select(column).where(column > start, column <= start + WINDOW, wanted)
            ids = await self.database.read(asking(window))
            for at in range(0, len(ids), BATCH):
                gone += await self.database.write(job, PruneBatch(ids[at : at + BATCH], before))
                await asyncio.sleep(PAUSE)
            start += WINDOW
        return gone


def asking(wanted: Select[Any]) -> Callable[[Connection], list[Any]]:
    return lambda connection: list(connection.execute(wanted).scalars())


def fields(pruned: Pruned) -> dict[str, int]:
    return {"bodies": pruned.bodies, "attempts": pruned.attempts}


def old_bodies(before: datetime) -> ColumnElement[bool]:
    """The webhooks of which the body may go: old, understood, and nothing of them is still to be told."""
    open_ = exists().where(delivery.c.webhook_id == webhook.c.id, delivery.c.state.in_(OPEN_STATES))
    return (
        (webhook.c.received_at < before)
        & webhook.c.raw.is_not(None)
        & webhook.c.state.not_in(UNREAD)
        & ~open_
    )


def old_attempts(before: datetime) -> ColumnElement[bool]:
    """The attempts of deliveries that are done; those of all others are still needed to say why."""
    done = exists().where(delivery.c.id == attempt.c.delivery_id, delivery.c.state == DeliveryState.DONE)
    return (attempt.c.at < before) & done


def forget_bodies(connection: Connection, waiting: list[PruneBatch]) -> list[int]:
    """Asks again in the changing transaction: a replay may have come between."""
    return [
        connection.execute(
            update(webhook).where(webhook.c.id.in_(doomed.ids), old_bodies(doomed.before)).values(raw=None)
        ).rowcount
        for doomed in waiting
    ]


def forget_attempts(connection: Connection, waiting: list[PruneBatch]) -> list[int]:
    return [
        connection.execute(
            delete(attempt).where(attempt.c.id.in_(doomed.ids), old_attempts(doomed.before))
        ).rowcount
        for doomed in waiting
    ]
