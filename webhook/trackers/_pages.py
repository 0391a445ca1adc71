"""Pages: a long list at a service, read one page after another."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from typing import TypeVar

from webhook.domain.outcome import Retry
from webhook.domain.retry import UNSURE_PAUSE

Row = TypeVar("Row")


async def read_pages(
    read: Callable[[int], Awaitable[tuple[list[Row], int | None]]], key: Callable[[Row], Hashable]
) -> AsyncIterator[list[Row]]:
    """Page after page, from 1 on, without the rows of the page before: new plays move the older ones on.

    `read` gives a page's rows, and the number of pages if the service says it; otherwise a page that brings
    nothing new is the last. A row is told from others by its `key`.
    """
    before: set[Hashable] = set()
    for page in itertools.count(1):
        rows, pages = await read(page)
        if new := [row for row in rows if key(row) not in before]:
            yield new
        if not new if pages is None else page >= pages:
            return
        before = {key(row) for row in rows}


async def read_cursors(
    label: str,
    read: Callable[[str | None], Awaitable[tuple[list[Row], str | None]]],
    quick: int,
    pause: float,
) -> AsyncIterator[list[Row]]:
    """Page after page of a service's list; `read` gives a page's rows, and the cursor of the next one if there is one.

    After `quick` pages each waits for `pause` seconds.
    """
    cursor: str | None = None
    seen: set[str] = set()
    for page in itertools.count(1):
        rows, cursor = await read(cursor)
        yield rows
        if cursor is None:
            return
        if cursor in seen:
            raise Retry(f"{label} sends the same page again and again", after=UNSURE_PAUSE)
        seen.add(cursor)
        if page >= quick:
            await asyncio.sleep(pause)
