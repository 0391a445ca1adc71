"""The worker that counts tallies in the background, so that statistics are ready at once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

import structlog
from sqlalchemy import Connection, func, select

from webhook import clock
from webhook.history import stats, stats_cache
from webhook.history.stats_cache import CountedTally, OpenTally, Tally
from webhook.history.stats_span import Span, zone_of
from webhook.storage.db import Database, Unavailable
from webhook.storage.tables import person, play

log = structlog.get_logger()

LOOK_INTERVAL = 20.0  # seconds between two rounds
MAX_TALLY_WAIT = timedelta(minutes=10)
"""The longest wait of a person whose tallies are dropped again and again while old plays change."""

IMPORT_SIZE = 1000
"""New plays since the last round that indicate an import, during which tallies would not last."""

MAX_TALLY_AGE = timedelta(days=1)
"""The age at which a tally is renewed, as shows get new episodes and zones new rules."""

MAX_LIVE_PLAYS = 50
"""Maximum plays since a tally was made, added at each read, before it is renewed."""

MANY_TITLES = 3000  # titles, from which on adding even one play takes its time


@dataclass(frozen=True, kw_only=True, slots=True)
class Due:
    """A person's year, or all years, to be counted up to some time."""

    person_id: int
    zone_name: str | None
    year: int | None
    until: datetime
    missing: bool


@dataclass(slots=True)
class Wait:
    """The backoff of one person's tallies: the next time they are made, and the pause before it."""

    until: datetime
    lasts: timedelta


@dataclass(slots=True)
class StatsWorker:
    database: Database
    newest: int = 0
    waits: dict[int, Wait] = field(default_factory=dict)

    async def run(self, stop: asyncio.Event) -> None:
        """Count due tallies at startup and every few seconds, until stopped."""
        while not stop.is_set():
            try:
                await self.look(clock.now(), stop)
            except Unavailable as error:
                log.warning("Statistics could not be counted; this will be retried.", why=str(error))
            await clock.awaken(asyncio.Event(), stop, LOOK_INTERVAL)

    async def look(self, now: datetime, stop: asyncio.Event | None = None) -> int:
        """Count the due tallies; returns the number made."""
        stop = stop or asyncio.Event()
        newest, before = await self.database.read(newest_play_id), self.newest
        self.newest = newest
        if before and newest - before > IMPORT_SIZE:
            return 0
        made = 0
        for person_id, zone_name in await self.database.read(list_zones):
            wait = self.waits.get(person_id)
            if stop.is_set() or (wait is not None and now < wait.until):
                continue
            due = await self.database.read(
                partial(due_tallies, person_id=person_id, zone_name=zone_name, now=now)
            )
            self.postpone(person_id, due, now)
            for one in due:
                made += not stop.is_set() and await self.make(one, now)
        return made

    def postpone(self, person_id: int, due: list[Due], now: datetime) -> None:
        """Double the pause of a person whose tallies were invalidated again; forget it for one whose were not."""
        wait = self.waits.get(person_id)
        if not any(one.missing for one in due):
            self.waits.pop(person_id, None)
            return
        lasts = timedelta(seconds=LOOK_INTERVAL) if wait is None else min(wait.lasts * 2, MAX_TALLY_WAIT)
        self.waits[person_id] = Wait(now + (lasts if wait is not None else timedelta(0)), lasts)

    async def make(self, due: Due, now: datetime) -> bool:
        """Make a tally; returns False if plays changed while it was counted."""
        begun = await self.database.write(begin_tallies, (due, now))
        if begun is None:
            return False
        counted = await self.database.read(partial(count_tally, due=due, begun=begun, now=now))
        return await self.database.write(store_tallies, counted)


def newest_play_id(connection: Connection) -> int:
    return connection.execute(select(func.max(play.c.id))).scalar() or 0


def list_zones(connection: Connection) -> list[tuple[int, str | None]]:
    rows = connection.execute(select(person.c.id, person.c.timezone).order_by(person.c.id))
    return [(person_id, zone_name) for person_id, zone_name in rows]


def due_tallies(connection: Connection, person_id: int, zone_name: str | None, now: datetime) -> list[Due]:
    """The tallies of a person that are due: all years first, whose endings each year reuses."""
    zone = zone_of(zone_name)
    years = stats.list_years(connection, person_id, zone)
    kept = stats_cache.list_tallies(connection, person_id) if years else {}
    found = []
    for year in (None, *years) if years else ():
        tally, until = kept.get(stats.tally_name(year, zone)), stats.tally_end(year, zone, now)
        if tally is None or is_outdated(connection, person_id, Span.of_year(year, zone), tally, until, now):
            one = Due(person_id=person_id, zone_name=zone_name, year=year, until=until, missing=tally is None)
            found.append(one)
    return found


def is_outdated(
    connection: Connection, person_id: int, span: Span, tally: Tally, until: datetime, now: datetime
) -> bool:
    if now - tally.made_at > MAX_TALLY_AGE:
        return True
    if tally.until >= until:
        return False
    live = stats.count_plays_between(connection, person_id, span, tally.until, until)
    return live > (MAX_LIVE_PLAYS if tally.size < MANY_TITLES else 0)


def begin_tallies(connection: Connection, wanted: list[tuple[Due, datetime]]) -> list[OpenTally | None]:
    return [
        stats_cache.begin_tally(
            connection, due.person_id, stats.tally_name(due.year, zone_of(due.zone_name)), due.until, now
        )
        for due, now in wanted
    ]


def count_tally(connection: Connection, due: Due, begun: OpenTally, now: datetime) -> CountedTally:
    zone = zone_of(due.zone_name)
    answer, titles = stats.make_tally(connection, due.person_id, due.year, zone, due.until, now)
    return CountedTally(begun=begun, answer=answer, titles=titles)


def store_tallies(connection: Connection, counted: list[CountedTally]) -> list[bool]:
    return [stats_cache.store_tally(connection, one) for one in counted]
