"""Health endpoints: liveness, readiness, and the metrics once they are asked for."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, NotRequired, TypedDict

from sqlalchemy import Connection, insert, or_, select, update
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from webhook import clock
from webhook.maintenance import backup
from webhook.queues.listening import LineStatus, line_statuses
from webhook.storage.db import Unavailable
from webhook.storage.tables import account, note
from webhook.web.http import errors

if TYPE_CHECKING:
    from webhook.service import Service
    from webhook.web.metrics import Metrics

STORE_CHECK_INTERVAL = 2.0
DISPATCHER_TIMEOUT = 60.0
LEASE_OVER = timedelta(minutes=2)
STORE_TIME = 5.0
NOTE = "ready"
REFUSAL_MEMORY = 30.0
"""Seconds after a failed webhook write during which a tiny test write that fits proves nothing."""


def routes(service: Service) -> list[BaseRoute]:
    """The health checks and the metrics, as an application of their own: they are asked without any page."""
    health = Health(service)
    inside: list[BaseRoute] = [
        Route("/healthz", health.lives),
        Route("/readyz", health.ready),
        Route("/metrics", health.show_metrics),
    ]
    application = errors.web(inside, errors.problem_page)
    return [Route(path, application) for path in ("/healthz", "/readyz", "/metrics")]


class ServerLine(TypedDict):
    """A media server that is listened to, and since when it is in this state."""

    server: str
    state: str
    since: str | None


class Readiness(TypedDict):
    """The answer of the readiness check; `listening` where a media server is listened to."""

    ready: bool
    reason: str | None
    loop_lag_seconds: float
    listening: NotRequired[list[ServerLine]]


class Health:
    def __init__(self, service: Service) -> None:
        self.service = service
        self.one = asyncio.Lock()
        self.stored_at = 0.0
        self.trouble: str | None = None

    @cached_property
    def metrics(self) -> Metrics:
        from webhook.web.metrics import Metrics

        return Metrics(self.service)

    async def show_metrics(self, request: Request) -> Response:
        return await self.metrics.text(request)

    async def lives(self, request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def ready(self, request: Request) -> Response:
        reason = self.stuck() or self.damage() or await self.unstorable() or await self.stuck_lane()
        lag = round(self.service.loop_lag.worst(), 3)
        shown: Readiness = {"ready": reason is None, "reason": reason, "loop_lag_seconds": lag}
        if self.service.servers:
            shown["listening"] = await self.lines()
        return JSONResponse(shown, 200 if reason is None else 503)

    async def lines(self) -> list[ServerLine]:
        """The media servers that are listened to, and since when each is live or down; none makes it unready."""
        try:
            found = await self.service.database.read(self.read_lines)
        except Unavailable:
            return []
        return [
            {"server": line.server, "state": line.state.value, "since": clock.stamp(line.since)}
            for line in found
        ]

    def read_lines(self, connection: Connection) -> list[LineStatus]:
        return line_statuses(connection, self.service.servers, clock.now())

    def stuck(self) -> str | None:
        """A sentence on the task that has ended or the dispatcher that stalls, or None."""
        for task in self.service.tasks:
            if task.done() and not self.service.stop.is_set():
                return f"The {task.get_name()} has ended."
        quiet = time.monotonic() - self.service.dispatcher.health.stepped_at
        if self.service.settings.worker and quiet > DISPATCHER_TIMEOUT:
            return f"The dispatcher has not moved for {quiet:.0f} seconds."
        return None

    def damage(self) -> str | None:
        found = self.service.integrity.damage
        if found is None:
            return None
        return f"The database is damaged: {found}. {backup.restore_advice(self.service.settings)}."

    async def stuck_lane(self) -> str | None:
        """A sentence on a due account that no worker takes up, or None; not checked where no worker runs."""
        if not self.service.settings.worker:
            return None
        try:
            return await self.service.database.read(
                lambda connection: stuck_lane(connection, list(self.service.trackers), clock.now())
            )
        except Unavailable as error:
            return f"Nothing can be read: {error}."

    async def unstorable(self) -> str | None:
        """The reason why nothing can be stored, or None; tested by a write, at most every two seconds."""
        async with self.one:
            if time.monotonic() - self.stored_at > STORE_CHECK_INTERVAL:
                self.trouble = await self.try_to_store()
                self.stored_at = time.monotonic()
            return self.trouble

    async def try_to_store(self) -> str | None:
        refused_at = self.service.receiver.refused_at
        if refused_at is not None and time.monotonic() - refused_at < REFUSAL_MEMORY:
            return "A webhook could not be stored just now; the log says why."
        try:
            async with asyncio.timeout(STORE_TIME):
                await self.service.database.run(_touch_note)
        except TimeoutError:
            return f"Nothing could be stored within {STORE_TIME:.0f} seconds."
        except Unavailable as error:
            return f"Nothing can be stored: {error}."
        return None


def stuck_lane(connection: Connection, trackers: list[str], now: datetime) -> str | None:
    """An account whose lease expired a while ago and that no worker has claimed since, or None."""
    long_ago = now - LEASE_OVER
    wanted = select(account.c.tracker, account.c.id, account.c.leased_until).where(
        account.c.tracker.in_(trackers),
        account.c.leased_until < long_ago,
        account.c.due_at < long_ago,
        account.c.parked.is_(None),
        or_(account.c.held_until.is_(None), account.c.held_until < long_ago),
    )
    row = connection.execute(wanted.order_by(account.c.leased_until).limit(1)).first()
    if row is None:
        return None
    since = (now - row.leased_until).total_seconds()
    return f"The lane of account {row.id} ({row.tracker}) has been stuck for {since:.0f} seconds."


def _touch_note(connection: Connection) -> None:
    now = clock.stamp(clock.now())
    mine = update(note).where(note.c.name == NOTE)
    if not connection.execute(mine.values(value=now)).rowcount:
        connection.execute(insert(note), {"name": NOTE, "value": now})
