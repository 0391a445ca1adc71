"""Tasks that listen to a server side by side.

Not a server: the leading underscore keeps it out of the scan.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine


async def run_together(*parts: Coroutine[object, object, object]) -> None:
    """Run until the first of these ends, and raise what it raised."""
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
