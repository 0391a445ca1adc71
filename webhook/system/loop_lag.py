"""The lag of the event loop: the delay with which it resumes tasks."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

INTERVAL = 0.05
WINDOW = 60.0
"""Seconds for which the worst lag is reported."""


FULL_COLLECTION = 600.0
"""Seconds between two full garbage collections."""

YOUNG, MIDDLE, NEVER = 700, 10, 1_000_000
"""Python's thresholds of a collection, and none that a full one is made by itself."""


def settle_heap() -> None:
    """Keep full garbage collections away from permanent objects and busy times, as they block the loop.

    Python makes one whenever the heap has grown by a quarter, as while a file is looked through.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, NEVER)


async def collect_garbage(stop: asyncio.Event) -> None:
    """Make a full collection now and then."""
    while not stop.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), FULL_COLLECTION)
            return
        gc.collect()


@dataclass(slots=True)
class LoopLag:
    """Measures the lag; `held_up` is the longest that this process itself blocked its loop.

    A machine that has other things to do makes a loop late as well; what counts there is how much of the lag
    the process was at work.
    """

    held_up: float = 0.0
    recent: deque[tuple[float, float]] = field(default_factory=deque)
    clock: Callable[[], float] = time.monotonic

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            began, used = time.monotonic(), time.process_time()
            await asyncio.sleep(INTERVAL)
            self.record(time.monotonic() - began - INTERVAL, time.process_time() - used)

    def record(self, late: float, worked: float) -> None:
        now = self.clock()
        self.held_up = max(self.held_up, min(late, worked))
        while self.recent and self.recent[-1][1] <= late:
            self.recent.pop()  # a later and longer one outlasts it
        self.recent.append((now, late))
        self.forget(now)

    def worst(self) -> float:
        """The longest lag of the last minute, in seconds."""
        self.forget(self.clock())
        return max(self.recent[0][1], 0.0) if self.recent else 0.0

    def forget(self, now: float) -> None:
        while self.recent and self.recent[0][0] < now - WINDOW:
            self.recent.popleft()
