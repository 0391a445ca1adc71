"""Integrity checks of the SQLite file, at startup and every night."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from datetime import time as day_time

import structlog
from sqlalchemy import Connection

from webhook import clock
from webhook.storage.db import Damaged, Database, Unavailable, driver

log = structlog.get_logger()

NIGHT = day_time(3, 45)
"""The time of the nightly check, in this machine's time zone."""

CHECK_TIME = 600.0
"""Maximum seconds of one check, which is stopped then."""

STEP = 10_000
"""SQLite instructions between two checks of the time."""


class Integrity:
    """Checks the file in the background, and remembers the damage found."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.damage: str | None = None

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await self.look(stop)
            await clock.awaken(asyncio.Event(), stop, until_night(clock.now()).total_seconds())

    async def look(self, stop: asyncio.Event) -> None:
        try:
            found = await asyncio.to_thread(find_damage, self.database, stop.is_set)
        except (TimeoutError, Unavailable) as error:
            log.warning("The database could not be checked.", why=str(error))
            return
        if found is not None:
            log.critical("The database is damaged: restore the newest backup.", found=found)
        self.damage = found


def until_night(now: datetime) -> timedelta:
    here = now.astimezone()
    tonight = datetime.combine(here.date(), NIGHT, here.tzinfo)
    return (tonight if tonight > here else tonight + timedelta(days=1)) - here


def find_damage(
    database: Database, stop: Callable[[], bool] = lambda: False, seconds: float = CHECK_TIME
) -> str | None:
    """The damage that SQLite's quick check finds, or None; raises TimeoutError if the check is stopped early."""
    if not database.sqlite:
        return None
    ends = time.monotonic() + seconds

    def is_over() -> bool:
        return stop() or time.monotonic() > ends

    try:
        return database.ask(lambda connection: quick_check(connection, is_over))
    except Damaged as error:
        return error.found
    except Unavailable as error:
        if is_over():
            raise TimeoutError("it takes too long") from error
        raise


def quick_check(connection: Connection, is_over: Callable[[], bool]) -> str | None:
    """https://www.sqlite.org/pragma.html#pragma_quick_check"""
    own = driver(connection)
    assert own is not None
    own.set_progress_handler(is_over, STEP)
    try:
        said = [str(line) for (line,) in own.execute("PRAGMA quick_check(5)")]
    finally:
        own.set_progress_handler(None, 0)
    return None if said == ["ok"] else "; ".join(said)
