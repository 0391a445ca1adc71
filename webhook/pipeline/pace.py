"""The pace at which an account is written to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

SAFETY_FACTOR = 1.1  # of two writers at once: requests sent a second apart may arrive closer together


@dataclass(slots=True)
class Pace:
    """Limits writes to the rate that the tracker allows an account.

    The time between two writes counts from the answer to the first, so a write that arrived late does not
    have the next one close behind it.
    """

    per_second: float
    free_at: float = 0.0

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for the account's turn; the write is made inside."""
        if self.per_second <= 0:
            yield
            return
        now = time.monotonic()
        begin = max(now, self.free_at)
        self.free_at = begin + SAFETY_FACTOR / self.per_second
        if begin > now:
            await asyncio.sleep(begin - now)
        try:
            yield
        finally:
            self.free_at = max(self.free_at, time.monotonic() + 1 / self.per_second)
