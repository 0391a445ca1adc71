"""Lists of media servers: what each has is read every hour, and soon after something was added to it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple, cast

import structlog
from sqlalchemy import Connection, select

from webhook import clock
from webhook.accounts.accounts import is_media_server
from webhook.accounts.credentials import Credentials
from webhook.domain.outcome import Undelivered
from webhook.history import server_items
from webhook.history.server_items import Listing
from webhook.queues import expectations
from webhook.settings import SettingsError
from webhook.storage.db import Database, Unavailable
from webhook.storage.rows import fetch_all
from webhook.storage.tables import account
from webhook.trackers import ListsCopies, Tracker

log = structlog.get_logger()

INTERVAL = timedelta(hours=1)
RETRY_INTERVAL = timedelta(minutes=5)
STEP_SECONDS = 2.0


class ServerAccount(NamedTuple):
    """An account at a media server."""

    id: int
    person_id: int
    tracker: str
    server: str | None


class ServerLists:
    """Keeps the lists of the media servers that are told; `added` are servers to which something was added."""

    def __init__(
        self,
        database: Database,
        trackers: Mapping[str, Tracker],
        credentials: Credentials,
        added: set[str],
        told: asyncio.Event,
    ) -> None:
        self.database = database
        self.trackers = {name: tracker for name, tracker in trackers.items() if is_media_server(tracker)}
        self.credentials = credentials
        self.added = added
        self.told = told
        self.rests: dict[str, datetime] = {}

    async def run(self, stop: asyncio.Event) -> None:
        never = asyncio.Event()
        while not stop.is_set():
            try:
                await self.run_once()
            except Unavailable as error:
                log.warning("The database is unavailable; lists of servers wait.", why=str(error))
            await clock.awaken(never, stop, STEP_SECONDS)

    async def run_once(self) -> None:
        """List each server whose list is due."""
        now = clock.now()
        for name in self.trackers:
            if self.rests.get(name, now) > now:
                continue
            found = await self.database.read(lambda connection, name=name: read_accounts(connection, name))  # type: ignore[misc]
            if not found or not await self.is_due(name, found, now):
                continue
            if await self.database.run(partial(server_items.claim_list, tracker=name, now=now)):
                try:
                    await self.list_server(name, found, now)
                finally:
                    await self.database.run(partial(server_items.release_list, tracker=name))

    async def is_due(self, name: str, found: list[ServerAccount], now: datetime) -> bool:
        asked = {one.server for one in found if one.server is not None} & self.added
        self.added -= asked
        at = await self.database.read(lambda connection: server_items.read_list_time(connection, name))
        return bool(asked) or at is None or now - at > INTERVAL

    async def list_server(self, name: str, found: list[ServerAccount], now: datetime) -> None:
        """Read the list as everybody who is told there sees it, and wake what waited for something new."""
        tracker = self.trackers[name]
        listing = await self.database.read(lambda connection: Listing.begin(connection, name))
        try:
            for one in found:
                access = await self.credentials.access(one.id, one.person_id, tracker)
                async for page in cast(ListsCopies, tracker).copies(access):
                    await self.database.run(lambda connection, page=page: listing.store(connection, page))  # type: ignore[misc]
        except (Undelivered, SettingsError) as error:
            log.warning(
                "A media server could not be listed.", action="list_server", server=name, why=str(error)
            )
            self.rests[name] = now + RETRY_INTERVAL
            return
        await self.database.run(lambda connection: finish(connection, listing, now))
        log.info("A media server was listed.", action="list_server", server=name, added=listing.added)
        if listing.added:
            await self.wake(name)

    async def wake(self, name: str) -> None:
        after: int | None = 0
        while after is not None:
            place = after
            after = await self.database.run(
                lambda connection, place=place: server_items.wake_deliveries(
                    connection, name, place, clock.now()
                )  # type: ignore[misc]
            )
        self.told.set()


def finish(connection: Connection, listing: Listing, now: datetime) -> None:
    listing.finish(connection, now)
    expectations.prune(connection, now)


def read_accounts(connection: Connection, name: str) -> list[ServerAccount]:
    """The accounts at a server that are signed in to."""
    wanted = select(account.c.id, account.c.person_id, account.c.tracker, account.c.server)
    mine = (account.c.tracker == name, account.c.tokens.is_not(None), account.c.parked.is_(None))
    return fetch_all(connection, wanted.where(*mine).order_by(account.c.id), ServerAccount)
