"""Daily calls: how many a service still takes from an account, and what they are kept for. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

LIVE_CALLS_PER_HOUR = 20
"""The calls that an hour of watching may need: starts, pauses, marks, and a look before each mark."""

MARK_RESERVE = 100
"""The last calls of a day, which are kept for watched marks: what is on now is shown no more."""

MIN_WAIT = timedelta(minutes=1)


class Urgency(StrEnum):
    """What a call is for; the later ones are given up first."""

    MARK = "mark"
    SHOWING = "showing"
    LATE = "late"


@dataclass(frozen=True, kw_only=True, slots=True)
class DailyCalls:
    """The calls that an account has left until a time, of so many a day."""

    limit: int
    left: int
    resets_at: datetime

    def reserve(self, urgency: Urgency, now: datetime) -> int:
        """The calls that are not for this: a late one leaves what the rest of the day needs live, up to half of them."""
        if urgency is Urgency.MARK:
            return 0
        least = min(MARK_RESERVE, self.limit // 2)
        if urgency is Urgency.SHOWING:
            return least
        hours = (self.resets_at - now) / timedelta(hours=1)
        return min(self.limit // 2, max(least, round(hours * LIVE_CALLS_PER_HOUR)))

    def time_to_wait(self, urgency: Urgency, now: datetime) -> timedelta | None:
        """The time until there is a call for this; None where there is one."""
        if now >= self.resets_at or self.left > self.reserve(urgency, now) or urgency is Urgency.MARK:
            return None
        rest = self.resets_at - now
        needed = timedelta(hours=self.left / LIVE_CALLS_PER_HOUR)  # the more time passes, the less is kept
        least = self.reserve(Urgency.SHOWING, now)
        free_in = rest - needed if urgency is Urgency.LATE and self.left > least else rest
        return max(free_in, MIN_WAIT)


def read_daily_calls(limit: str, left: str, reset: str) -> DailyCalls | None:
    """The calls by the values of three headers; None where one is missing or no number."""
    if not (limit.isdecimal() and left.isdecimal() and reset.isdecimal()):
        return None
    try:
        resets_at = datetime.fromtimestamp(int(reset), UTC)
    except (OverflowError, ValueError, OSError):
        return None
    return DailyCalls(limit=int(limit), left=int(left), resets_at=resets_at)
