"""Tasks that listen to a server side by side.

Not a server: the leading underscore keeps it out of the scan.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable

RETRY_INTERVAL = 0.2
"""Seconds after which a task that goes on is cancelled again."""


async def run_together(*parts: Coroutine[object, object, object]) -> None:
    """Run until the first of these ends, end the others, and raise what it raised."""
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        await end_tasks(tasks)


async def end_tasks(tasks: Iterable[asyncio.Task[None] | asyncio.Task[object]]) -> None:
    """Cancel tasks until they have ended; what they raise is dropped.

    Once is not enough: on Python 3.11 `asyncio.wait_for` swallows a cancellation that meets its result.
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        ended, pending = await asyncio.wait(pending, timeout=RETRY_INTERVAL)
        for task in ended:
            if not task.cancelled():
                task.exception()
