"""The pace at which an account is written to."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

SAFETY_FACTOR = 1.1  # requests sent a second apart may arrive closer together


@dataclass(slots=True)
class Pace:
    """Limits writes to the rate that the tracker allows an account."""

    per_second: float
    free_at: float = 0.0

    async def wait(self) -> None:
        if self.per_second <= 0:
            return
        now = time.monotonic()
        begin = max(now, self.free_at)
        self.free_at = begin + SAFETY_FACTOR / self.per_second
        if begin > now:
            await asyncio.sleep(begin - now)
