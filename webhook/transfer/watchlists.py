"""Watchlists of services: read at intervals and on demand, and applied only where the whole of a list came.

A read is held in memory and applied in one transaction, so that a kill in the middle of it changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

import structlog
from sqlalchemy import Connection, or_, select, update

from webhook import clock
from webhook.accounts.credentials import Credentials
from webhook.domain.event import Item, item_from_json
from webhook.domain.outcome import Undelivered
from webhook.domain.watchlist import ItemIndex, Leaving, WantedItem
from webhook.history import watchlist_reads
from webhook.history.library import WATCHLIST
from webhook.history.watchlist import Watchlist
from webhook.history.watchlist_reads import ReadResult
from webhook.history.watchlist_viewings import apply_viewings
from webhook.settings import SettingsError
from webhook.storage.db import Database, Unavailable
from webhook.storage.locks import try_locks
from webhook.storage.rows import fetch_all
from webhook.storage.tables import AccountRow, PersonRow, account, library, person, watchlist_read
from webhook.trackers import Access, Tracker
from webhook.trackers._watchlist import ExplainsAbsence, ListsWatchlist, StampsWatchlist

log = structlog.get_logger()

STEP_SECONDS = 3.0
FIRST_DELAY = timedelta(minutes=1)
"""The time after a start in which only lists that somebody asks for are read."""

RETRY_INTERVAL = timedelta(minutes=15)
"""The time until a list that could not be read is read again, where that is sooner than the interval."""

CLAIM_LIFETIME = timedelta(seconds=10)
"""The time in which another process is not asked for the same list."""

READ_TIMEOUT = 300.0
VIEWINGS_INTERVAL, ALL_INTERVAL = timedelta(seconds=30), timedelta(hours=1)
"""The time between two looks at what was watched lately, and at all that is on a list."""

LATELY = timedelta(days=2)
MAX_EXPLAINED = 30
"""What is gone at once and asked about; where more is gone, nothing is removed anyway."""


@dataclass(frozen=True, slots=True)
class ReadReport:
    """What the read of one account's list came to: its changes, or why it could not be read."""

    tracker: str
    result: ReadResult | None = None
    error: str | None = None


class Watchlists:
    """Reads the watchlists of all accounts that have one."""

    def __init__(
        self,
        database: Database,
        trackers: Mapping[str, Tracker],
        credentials: Credentials,
        told: asyncio.Event,
        minutes: int,
    ) -> None:
        self.database = database
        self.trackers = {name: one for name, one in trackers.items() if hasattr(one, "watchlist")}
        self.can = trackers
        self.credentials = credentials
        self.told = told
        self.interval = timedelta(minutes=minutes) if minutes else None
        self.stamps: dict[int, str] = {}  # by account, of the list as it was read last
        self.looked_at: datetime | None = None
        self.looked_at_all: datetime | None = None

    async def run(self, stop: asyncio.Event) -> None:
        never, first = asyncio.Event(), clock.now() + FIRST_DELAY
        while not stop.is_set():
            try:
                await self.run_once(only_asked=clock.now() < first)
                await self.look_at_viewings()
            except Unavailable as error:
                log.warning("The database is unavailable; watchlists wait.", why=str(error))
            await clock.awaken(never, stop, STEP_SECONDS)

    async def run_once(self, *, only_asked: bool = False) -> list[ReadReport]:
        """Read the lists that are due or asked for."""
        now = clock.now()
        due = await self.database.read(lambda connection: self.find_due(connection, now, only_asked))
        return [await self.read_account(row) for row in due if await self.claim(row, now)]

    def find_due(self, connection: Connection, now: datetime, only_asked: bool) -> list[AccountRow]:
        asked = watchlist_read.c.asked.is_(True) & (
            watchlist_read.c.tried_at.is_(None) | (watchlist_read.c.tried_at <= now - CLAIM_LIFETIME)
        )
        wanted = (
            select(account)
            .outerjoin(watchlist_read, watchlist_read.c.account_id == account.c.id)
            .where(account.c.tracker.in_(self.trackers), account.c.tokens.is_not(None))
        )
        if only_asked or self.interval is None:
            return fetch_all(connection, wanted.where(asked).order_by(account.c.id), AccountRow)
        retry = now - min(self.interval, RETRY_INTERVAL)
        late = or_(
            watchlist_read.c.tried_at.is_(None),
            watchlist_read.c.tried_at <= now - self.interval,
            watchlist_read.c.error.is_not(None) & (watchlist_read.c.tried_at <= retry),
        )
        regular = account.c.parked.is_(None) & watchlist_read.c.off.is_not(True) & late
        return fetch_all(connection, wanted.where(or_(asked, regular)).order_by(account.c.id), AccountRow)

    async def claim(self, row: AccountRow, now: datetime) -> bool:
        """Claim the read of an account's list; False where another process has just begun it."""

        def claim(connection: Connection) -> bool:
            name = f"watchlist.{row.id}"
            if not try_locks(connection, [name])[name]:
                return False
            watchlist_reads.set_read(connection, row.id)
            here = (watchlist_read.c.account_id == row.id) & or_(
                watchlist_read.c.tried_at.is_(None), watchlist_read.c.tried_at <= now - CLAIM_LIFETIME
            )
            claimed = connection.execute(update(watchlist_read).where(here).values(tried_at=now))
            return claimed.rowcount > 0

        return await self.database.run(claim)

    async def read_account(self, row: AccountRow) -> ReadReport:
        """Read one account's list and apply it; where not all of it came, only the reason is stored."""
        tracker, began = self.trackers[row.tracker], clock.now()
        try:
            async with asyncio.timeout(READ_TIMEOUT):
                access = await self.credentials.access(row.id, row.person_id, tracker)
                stamp = await ask_stamp(tracker, access)
                if await self.is_known(row, stamp):
                    return await self.confirm(row, began)
                listed, moved = await self.ask(row, tracker, access)
        except (Undelivered, SettingsError, TimeoutError) as error:
            reason = str(error) or f"{tracker.label} took too long to send its list"
        except Unavailable:
            raise
        except Exception as error:
            log.exception("A watchlist could not be read.", action="watchlist_fault", tracker=row.tracker)
            reason = f"{type(error).__name__}: {error}"[:300]
        else:
            report = await self.apply(row, tracker, listed, moved, began)
            self.stamps |= {} if stamp is None else {row.id: stamp}
            return report
        log.warning("A watchlist could not be read.", action="watchlist", tracker=row.tracker, why=reason)
        await self.database.run(
            lambda connection: watchlist_reads.set_read(connection, row.id, error=reason, asked=False)
        )
        return ReadReport(row.tracker, error=reason)

    async def is_known(self, row: AccountRow, stamp: str | None) -> bool:
        """True if the list is as it was read last, and nobody asks for it."""
        if stamp is None or self.stamps.get(row.id) != stamp:
            return False
        read = await self.database.read(lambda connection: watchlist_reads.find_read(connection, row.id))
        return read is not None and read.read_at is not None and read.error is None and not read.asked

    async def confirm(self, row: AccountRow, at: datetime) -> ReadReport:
        """Take a list that has not changed as read."""
        await self.database.run(
            lambda connection: watchlist_reads.set_read(connection, row.id, tried_at=at, read_at=at)
        )
        return ReadReport(row.tracker, result=ReadResult())

    async def ask(
        self, row: AccountRow, tracker: Tracker, access: Access
    ) -> tuple[Sequence[WantedItem], Sequence[Item]]:
        """The list, and what left it by itself of what is gone from it."""
        listed = await cast(ListsWatchlist, tracker).watchlist(access)
        gone = await self.database.read(lambda connection: find_absent(connection, row.id, listed))
        if not gone or len(gone) > MAX_EXPLAINED or not hasattr(tracker, "explain_absence"):
            return listed, ()
        return listed, await cast(ExplainsAbsence, tracker).explain_absence(gone, access)

    async def apply(
        self,
        row: AccountRow,
        tracker: Tracker,
        listed: Sequence[WantedItem],
        moved: Sequence[Item],
        began: datetime,
    ) -> ReadReport:
        def change(connection: Connection) -> ReadResult:
            mine = Watchlist(connection, row.person_id, self.can, began)
            return watchlist_reads.apply_read(mine, row.id, tracker.label, listed, moved)

        result = await self.database.run(change)
        self.told.set()
        say = log.warning if result.held else log.info
        say(
            "A watchlist was read.",
            action="watchlist",
            tracker=row.tracker,
            added=result.added,
            removed=result.removed,
            held=result.held,
        )
        return ReadReport(row.tracker, result=result)

    # --- what was watched

    async def look_at_viewings(self) -> int:
        """Take what was watched off the lists of those who want that; returns how many titles."""
        now = clock.now()
        if self.looked_at is not None and now - self.looked_at < VIEWINGS_INTERVAL:
            return 0
        is_full = self.looked_at_all is None or now - self.looked_at_all >= ALL_INTERVAL
        self.looked_at, self.looked_at_all = now, now if is_full else self.looked_at_all
        left = 0
        for owner in await self.database.read(find_owners):
            since = None if is_full else now - LATELY
            left += await self.database.run(
                lambda connection, owner=owner, since=since: apply_viewings(  # type: ignore[misc]
                    Watchlist(connection, owner.id, self.can, now), Leaving(owner.watchlist_until), since
                )
            )
        if left:
            self.told.set()
        return left


async def ask_stamp(tracker: Tracker, access: Access) -> str | None:
    """What says whether the list has changed; None where the service has nothing of the kind."""
    if not hasattr(tracker, "watchlist_stamp"):
        return None
    return await cast(StampsWatchlist, tracker).watchlist_stamp(access)


def find_owners(connection: Connection) -> list[PersonRow]:
    """The people who have a watchlist that titles leave by themselves."""
    listed = select(library.c.person_id).where(library.c.relation == WATCHLIST)
    wanted = select(person).where(person.c.id.in_(listed), person.c.watchlist_until != Leaving.NEVER.value)
    return fetch_all(connection, wanted.order_by(person.c.id), PersonRow)


def find_absent(connection: Connection, account_id: int, listed: Sequence[WantedItem]) -> list[WantedItem]:
    """What the account listed when it was read last and lists no longer."""
    index: ItemIndex[bool] = ItemIndex((one.item, True) for one in listed)
    rows = watchlist_reads.list_copies(connection, account_id)
    known = [(item_from_json(row.item), row) for row in rows]
    return [
        WantedItem(item=item, at=row.listed_at or row.seen_at, handle=row.handle)  # type: ignore[arg-type]
        for item, row in known
        if index.find(item) is None
    ]
