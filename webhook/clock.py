"""The clock: now, aware, UTC, to the millisecond, as it is stored; and sleeping until there is news."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import overload


def now() -> datetime:
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


@overload
def stamp(moment: datetime) -> str: ...
@overload
def stamp(moment: datetime | None) -> str | None: ...
def stamp(moment: datetime | None) -> str | None:
    """A time as the API writes it: ISO 8601, UTC, milliseconds, Z."""
    return None if moment is None else moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def awaken(news: asyncio.Event, stop: asyncio.Event, seconds: float) -> bool:
    """Sleep until the news event, the stop event or the timeout; returns True if there was news."""
    waits = [asyncio.ensure_future(news.wait()), asyncio.ensure_future(stop.wait())]
    await asyncio.wait(waits, timeout=max(seconds, 0.0), return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
    heard = news.is_set()
    news.clear()
    return heard
