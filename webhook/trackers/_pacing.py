"""Pacing: the calls that a service still takes from an account, where its answers say so."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from datetime import timedelta

import httpx

from webhook.domain.outcome import Snooze
from webhook.domain.retry import MAX_RETRY_AFTER

PAUSE_MARGIN = 0.05
MAX_PAGE_PAUSE = timedelta(minutes=1)
"""The longest wait of a reader for its next page; a longer one ends the reading with a Snooze."""


@dataclass(slots=True)
class RateLimit:
    """Holds back the calls of an account that has none left until its window ends.

    `remaining` and `reset` are the headers with the calls that are left, and the seconds until there are more.
    """

    label: str
    remaining: str
    reset: str
    free_at: dict[str, float] = field(default_factory=dict)

    def seconds_to_wait(self, account: str) -> float:
        return self.free_at.get(account, 0.0) - time.monotonic()

    async def enter(self, account: str, *, patient: bool) -> None:
        """Raise Snooze while no call is taken; `patient`: sleep up to a minute before that."""
        left = self.seconds_to_wait(account)
        if patient and left > 0:
            await asyncio.sleep(min(left + PAUSE_MARGIN, MAX_PAGE_PAUSE.total_seconds()))
            left = self.seconds_to_wait(account)
        if left > 0:
            reason = f"{self.label} takes no more calls for {left:.0f} seconds"
            raise Snooze(reason, after=timedelta(seconds=left))
        self.free_at.pop(account, None)

    def note(self, account: str, response: httpx.Response) -> None:
        pause = self.pause(response)
        if pause is not None and response.headers.get(self.remaining) == "0":
            self.free_at[account] = time.monotonic() + pause.total_seconds()

    def pause(self, response: httpx.Response) -> timedelta | None:
        """The time until more calls are taken, where the answer says it."""
        value = response.headers.get(self.reset, "")
        return min(timedelta(seconds=int(value[:9])), MAX_RETRY_AFTER) if value.isdecimal() else None


@dataclass(slots=True)
class CallPace:
    """Spreads the calls of all accounts over the minute, in the order in which they come."""

    per_minute: float
    free_at: float = 0.0

    async def wait(self) -> None:
        if self.per_minute <= 0:
            return
        now = time.monotonic()
        begin = max(now, self.free_at)
        self.free_at = begin + 60 / self.per_minute
        if begin > now:
            await asyncio.sleep(begin - now)
