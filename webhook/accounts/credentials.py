"""Credentials: sealed at rest, and renewed once for concurrent callers."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta, tzinfo
from typing import cast

from sqlalchemy import Connection, and_, select, update

from webhook import clock
from webhook.accounts.seal import Seal, Unreadable
from webhook.domain.copies import Copy, Expectation, choose_copies
from webhook.domain.daily_calls import DailyCalls
from webhook.domain.event import Action, Item
from webhook.domain.items import play_keys
from webhook.domain.outcome import UNREADABLE, Park, Snooze
from webhook.domain.play import State
from webhook.history import server_items
from webhook.history.shelf import Shelf
from webhook.queues import calls_left, expectations
from webhook.queues.expectations import Expected
from webhook.queues.mark_pace import PaceRequest, find_delays
from webhook.storage.db import Database
from webhook.storage.tables import account, delivery, play, play_key
from webhook.trackers import Library, Renews, Tokens, Tracker, WatchedItem

CALLS_NOTED_EVERY = 10.0
"""Seconds between two notes of the calls that an account has left."""

UNLISTED_PAUSE = timedelta(seconds=20)
"""The wait of deliveries for the first list of what is on a media server."""


class Credentials:
    """Gives trackers access to accounts; one renewal at a time for each."""

    def __init__(self, database: Database, seal: Seal) -> None:
        self.database = database
        self.seal = seal
        self._locks: Mapping[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._calls_noted: dict[int, float] = {}

    async def access(self, account_id: int, person_id: int, tracker: Tracker) -> AccountAccess:
        """Access to an account, after renewing tokens that are about to expire."""
        sealed = await self.read_sealed_tokens(account_id)
        return await self.open_access(account_id, person_id, tracker, sealed)

    async def open_access(
        self, account_id: int, person_id: int, tracker: Tracker, sealed_tokens: str | None
    ) -> AccountAccess:
        """As `access`, with tokens that were just read."""
        tokens = self.open_tokens(sealed_tokens)
        access = AccountAccess(self, account_id, person_id, tracker, tokens, Shelf(self.database, person_id))
        if tokens and stale(tracker, tokens):
            await access.renew(tokens)
        return access

    async def read_tokens(self, account_id: int) -> Tokens:
        return self.open_tokens(await self.read_sealed_tokens(account_id))

    async def read_sealed_tokens(self, account_id: int) -> str | None:
        wanted = select(account.c.tokens).where(account.c.id == account_id)
        return await self.database.read(lambda connection: connection.execute(wanted).scalar_one_or_none())

    def open_tokens(self, sealed: str | None) -> Tokens:
        """The tokens; raises Snooze where they were sealed with another key."""
        try:
            return self.seal.open(sealed) if sealed else {}
        except Unreadable as error:
            raise Snooze(UNREADABLE, park=Park.SIGNED_OUT) from error

    async def note_calls(self, account_id: int, left: DailyCalls) -> None:
        """Store how many calls an account has left, at most every few seconds."""
        now = time.monotonic()
        if now - self._calls_noted.get(account_id, -CALLS_NOTED_EVERY) >= CALLS_NOTED_EVERY:
            self._calls_noted[account_id] = now
            await self.database.run(lambda connection: calls_left.store(connection, account_id, left))

    async def renew_tokens(self, account_id: int, tracker: Tracker, stale_tokens: Tokens) -> Tokens:
        """Newer tokens than these; a caller that waited for another renewal gets the tokens it brought."""
        async with self._locks[account_id]:
            stored = await self.read_tokens(account_id)
            if stored != stale_tokens:
                return stored
            if not hasattr(tracker, "refresh"):
                raise Snooze(f"{tracker.label} no longer accepts the sign-in", park=Park.SIGNED_OUT)
            from webhook.client import send_in_dry_run

            try:
                with send_in_dry_run():
                    fresh = await cast(Renews, tracker).refresh(stale_tokens)
            except Snooze:
                # Another process (a command, another worker) may have renewed at the same moment.
                stored = await self.read_tokens(account_id)
                if stored == stale_tokens:
                    raise
                return stored
            # Saved before use, since the old refresh token is no longer valid.
            await self.database.write(store_renewed_tokens, (account_id, self.seal.seal(dict(fresh))))
            return fresh


class AccountAccess:
    """One account's tokens, as a tracker may use and renew them."""

    def __init__(
        self,
        credentials: Credentials,
        account_id: int,
        person_id: int,
        tracker: Tracker,
        tokens: Tokens,
        library: Library,
    ) -> None:
        self._credentials = credentials
        self._account_id = account_id
        self._person_id = person_id
        self._tracker = tracker
        self._tokens = tokens
        self._library = library

    @property
    def tokens(self) -> Tokens:
        return self._tokens

    @property
    def library(self) -> Library:
        return self._library

    def dry(self) -> AccountAccess:
        """The same access for a dry run, with a library that raises DryRunStop on changes."""
        library = DryLibrary(self._library)
        return AccountAccess(
            self._credentials, self._account_id, self._person_id, self._tracker, self._tokens, library
        )

    async def is_ours(self, remote_id: str) -> bool:
        mine = (delivery.c.account_id == self._account_id, delivery.c.remote_id == remote_id)
        wanted = select(delivery.c.id).where(*mine).limit(1)
        read = self._credentials.database.read
        return await read(lambda connection: connection.execute(wanted).first()) is not None

    async def find_copies(self, item: Item) -> Sequence[Copy]:
        name, read = self._tracker.name, self._credentials.database.read
        found = await read(lambda connection: server_items.find_copies(connection, name, item))
        if found is None:
            reason = f"what is on {self._tracker.label} is listed first"
            raise Snooze(reason, after=UNLISTED_PAUSE)
        return choose_copies(item, found)

    async def note_calls(self, left: DailyCalls) -> None:
        await self._credentials.note_calls(self._account_id, left)

    async def store_handles(self, handles: Mapping[int, str]) -> None:
        def store(connection: Connection) -> None:
            for delivery_id, handle in handles.items():
                mine = and_(delivery.c.id == delivery_id, delivery.c.account_id == self._account_id)
                connection.execute(update(delivery).where(mine).values(remote_id=handle))

        await self._credentials.database.run(store)

    async def find_zone(self) -> tzinfo:
        from webhook.history.stats_span import zone_for  # late: it brings the lookups

        return await self._credentials.database.read(lambda connection: zone_for(connection, self._person_id))

    async def expect(self, expected: Sequence[Expectation]) -> None:
        person_id, server = self._person_id, self._tokens.get("server")
        if server is not None:
            told = [Expected(person_id=person_id, server=server, told=one) for one in expected]
            await self._credentials.database.run(
                lambda connection: expectations.expect(connection, told, clock.now())
            )

    async def is_playing(self, copy: Copy) -> bool:
        person_id, server = self._person_id, self._tokens.get("server")
        known_by = play_keys(copy.item, server, copy.item_key, copy.show_key)
        playing = (
            play_key.c.person_id == person_id,
            play_key.c.key.in_(known_by),
            play.c.state != State.STOPPED.value,
        )
        wanted = select(play.c.id).join(play_key, play_key.c.play_id == play.c.id).where(*playing).limit(1)
        read = self._credentials.database.read
        return await read(lambda connection: connection.execute(wanted).first()) is not None

    async def find_delays(self, action: Action, count: int) -> Sequence[timedelta]:
        wanted = PaceRequest(
            account_id=self._account_id,
            person_id=self._person_id,
            server=str(self._tokens.get("server")),
            action=action,
            count=count,
        )
        read = self._credentials.database.read
        return await read(lambda connection: find_delays(connection, wanted, clock.now()))

    async def renew(self, stale: Tokens) -> Tokens:
        self._tokens = await self._credentials.renew_tokens(self._account_id, self._tracker, stale)
        return self._tokens


class DryLibrary:
    """The built-in library in a dry run: it can be read, and changes raise DryRunStop."""

    def __init__(self, library: Library) -> None:
        self._library = library

    async def mark(self, item: Item, at: datetime, *, rewatch: bool) -> str:
        from webhook.client import DryRunStop

        raise DryRunStop("would mark it watched in the built-in library")

    async def unmark(self, item: Item) -> str:
        from webhook.client import DryRunStop

        raise DryRunStop("would unmark it in the built-in library")

    def history(self, since: datetime | None = None) -> AsyncIterator[WatchedItem]:
        return self._library.history(since)


def stale(tracker: Tracker, tokens: Tokens) -> bool:
    return hasattr(tracker, "stale") and cast(Renews, tracker).stale(tokens, clock.now())


def store_renewed_tokens(connection: Connection, waiting: list[tuple[int, str]]) -> list[None]:
    for account_id, sealed in waiting:
        connection.execute(update(account).where(account.c.id == account_id).values(tokens=sealed))
    return [None] * len(waiting)
