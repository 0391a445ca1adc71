"""Listeners: each hears one media server, and keeps what it says in the inbox like a webhook of its source.

Nothing is to be chosen: every server whose address and token are known is listened to, by one process. A line that
breaks is opened again, and what happened meanwhile comes by catch-up.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import uuid
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import orjson
import structlog
from sqlalchemy import Connection, select

from webhook import clock
from webhook.accounts.seal import Seal
from webhook.domain.outcome import Dead, Undelivered
from webhook.queues import listening
from webhook.queues.inbox import LISTENED_CONTENT_TYPE, ReceivedWebhook
from webhook.queues.listening import LeaseRequest, LineState, LineStatus
from webhook.servers import Listenable, Server, is_listenable
from webhook.servers._tasks import end_tasks
from webhook.sources._listened import Statement
from webhook.storage.db import Database, Unavailable
from webhook.storage.tables import account

log = structlog.get_logger()

MIN_PAUSE, MAX_PAUSE = 5.0, 120.0
"""Seconds before a line is opened again: doubled from the first up to the second, and reset once it stands."""

MIN_LIFE = timedelta(seconds=60)
"""A line that stands for less is down all the same."""

KEEP_PAUSE = 1.0

Keep = Callable[[ReceivedWebhook], Awaitable[int]]


class Listeners:
    """Listens to every server that can be listened to."""

    def __init__(
        self,
        database: Database,
        servers: Mapping[str, Server],
        keep: Keep,
        repair: Callable[[], None],
        seal: Seal | None = None,
    ) -> None:
        holder = uuid.uuid4().hex
        self.listeners = [
            Listener(database, name, server, keep, repair, holder, seal)
            for name, server in servers.items()
            if is_listenable(server)
        ]

    async def run(self, stop: asyncio.Event) -> None:
        await asyncio.gather(*(listener.run(stop) for listener in self.listeners))


class Listener:
    """Listens to one server, while this process holds its lease; the audience of that server."""

    def __init__(
        self,
        database: Database,
        name: str,
        server: Listenable,
        keep_webhook: Keep,
        repair: Callable[[], None],
        holder: str,
        seal: Seal | None = None,
    ) -> None:
        self.database = database
        self.name = name
        self.server = server
        self.keep_webhook = keep_webhook
        self.repair = repair
        self.holder = holder
        self.seal = seal
        self.connected_at: datetime | None = None
        self.down_since: datetime | None = None
        self.is_flapping = False
        self.status: LineStatus | None = None
        self.pause = MIN_PAUSE
        self.written: object = None  # the status that was written last, and the minute

    async def run(self, stop: asyncio.Event) -> None:
        """Listen until stopped."""
        line: asyncio.Task[None] | None = None
        try:
            while not stop.is_set():
                held = await self.renew()
                if held and line is None:
                    line = asyncio.create_task(self.hold_line())
                if not held and line is not None:
                    await end_tasks([line])
                    line = None
                if line is not None and line.done():
                    line.result()
                await clock.awaken(asyncio.Event(), stop, listening.RENEWAL_INTERVAL.total_seconds())
        finally:
            if line is not None:
                await end_tasks([line])
            with contextlib.suppress(Unavailable):
                await self.database.write(listening.release_lines, self.lease_request())

    async def renew(self) -> bool:
        """Renew the lease; where the database is unavailable nobody else can take it.

        On SQLite there is no other process: what is said there of the line is written where it changed.
        """
        now = clock.now()
        self.settle_status(now)
        known = (self.status, now.replace(second=0, microsecond=0))
        if self.database.sqlite and known == self.written:
            return True
        try:
            held = await self.database.write(listening.renew_lines, self.lease_request())
        except Unavailable:
            return True
        self.written = known
        return held

    def lease_request(self) -> LeaseRequest:
        return LeaseRequest(
            server=self.name, holder=self.holder, now=clock.now(), status=self.current_status()
        )

    # --- the line

    async def hold_line(self) -> None:
        """Open the line, and open it again whenever it breaks."""
        while True:
            try:
                await self.server.listen(self)
                error = Undelivered(f"{self.name} closed the connection")
            except Undelivered as broken:
                error = broken
            except Unavailable as unavailable:
                error = Undelivered(f"the database is unavailable: {unavailable}")
            except Exception as fault:
                log.exception("Listening to a media server failed unexpectedly.", server=self.name)
                error = Undelivered(
                    f"Listening failed unexpectedly ({type(fault).__name__}); the log says more"
                )
            await self.disconnect(error)
            await asyncio.sleep(self.pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            self.pause = MAX_PAUSE if isinstance(error, Dead) else min(2 * self.pause, MAX_PAUSE)

    async def connect(self) -> None:
        self.connected_at, self.pause = clock.now(), MIN_PAUSE
        if self.down_since is not None:
            self.repair()
        if not self.is_flapping:
            await self.change_status(LineState.LIVE, self.connected_at)
        log.info("A media server is listened to.", action="listen", server=self.name)

    async def disconnect(self, error: Undelivered) -> None:
        now = clock.now()
        self.settle_status(now)
        lived = None if self.connected_at is None else now - self.connected_at
        self.is_flapping = lived is not None and lived < MIN_LIFE
        self.connected_at = None
        self.down_since = self.down_since or now
        log.warning(
            "A media server cannot be listened to; it is tried again.",
            action="listen_down",
            server=self.name,
            why=str(error),
        )
        await self.change_status(LineState.DOWN, self.down_since, str(error))

    def settle_status(self, now: datetime) -> None:
        """Take a line that stands for a while as live, however often it broke before."""
        if self.connected_at is not None and now - self.connected_at >= MIN_LIFE:
            self.down_since, self.is_flapping = None, False
            if self.status is None or self.status.state is not LineState.LIVE:
                self.status = LineStatus(server=self.name, state=LineState.LIVE, since=self.connected_at)

    async def change_status(self, state: LineState, since: datetime, error: str | None = None) -> None:
        self.status = LineStatus(server=self.name, state=state, since=since, error=error)
        with contextlib.suppress(Unavailable):
            await self.database.write(listening.renew_lines, self.lease_request())

    def current_status(self) -> LineStatus | None:
        if self.status is None:
            return None
        return LineStatus(
            server=self.name,
            state=self.status.state,
            since=self.status.since,
            error=self.status.error,
            calls=self.server.calls.per_minute(),
            remark=self.server.remark,
        )

    # --- the audience of the server

    async def keep(self, statement: Statement) -> None:
        """Keep a statement in the inbox; while the database is unavailable it waits here."""
        received = ReceivedWebhook(
            source=self.name,
            token_id=None,
            received_at=clock.now(),
            content_type=f"{LISTENED_CONTENT_TYPE}; by={statement.by}",
            raw=orjson.dumps(statement.to_json()),
        )
        while True:
            try:
                await self.keep_webhook(received)
            except Unavailable:
                await asyncio.sleep(KEEP_PAUSE)
            else:
                return

    def catch_up(self) -> None:
        self.repair()

    async def recall(self, name: str) -> Any:
        return await self.database.read(lambda connection: listening.recall(connection, self.name, name))

    async def remember(self, name: str, value: Any) -> None:
        await self.database.run(lambda connection: listening.remember(connection, self.name, name, value))

    async def sign_ins(self) -> Mapping[str, str]:
        return await self.database.read(self.read_sign_ins)

    def read_sign_ins(self, connection: Connection) -> dict[str, str]:
        """The tokens of this server's accounts, as far as they can be unsealed, by the names that they have there."""
        signed_in = (
            account.c.tracker == self.name,
            account.c.tokens.is_not(None),
            account.c.parked.is_(None),
        )
        sealed = connection.execute(select(account.c.tokens).where(*signed_in)).scalars()
        seal = self.seal
        opened = [seal.open(one) for one in sealed if seal.opens(one)] if seal is not None else []
        return {str(one["name"]): str(one["token"]) for one in opened if one.get("name") and one.get("token")}
