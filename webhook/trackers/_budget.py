"""The base class of trackers with a number of calls a day, which live and late ones share."""

from __future__ import annotations

from typing import Any

import httpx

from webhook import clock
from webhook.domain.daily_calls import DailyCalls, Urgency, read_daily_calls
from webhook.domain.outcome import Skip, Snooze
from webhook.trackers import Access
from webhook.trackers._base import BaseTracker

HEADERS = ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset")
MAX_ACCOUNTS = 100


class DailyBudget(BaseTracker):
    """Counts the calls that are left of the day, as the service says in each answer, and shares them.

    `require_call` stands before what can wait; a watched mark never waits. What is left is stored, to be shown.
    """

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.calls_left: dict[str, DailyCalls] = {}

    def require_call(self, access: Access, urgency: Urgency) -> None:
        """Raises Skip for what shows what is on, Snooze for what is late, where the calls that are left are not for it."""
        left = self.calls_left.get(str(access.tokens))
        after = None if left is None else left.time_to_wait(urgency, clock.now())
        if left is None or after is None:
            return
        if urgency is Urgency.SHOWING:
            raise Skip(
                f"{self.label} takes {left.left} more calls today, which are kept for what you watch to its end"
            )
        reason = f"{self.label} takes {left.left} more calls today, which are kept for what you watch now"
        raise Snooze(reason, after=after, lane=False)

    async def ask(self, access: Access, method: str, path: str, **more: Any) -> httpx.Response:
        response = await super().ask(access, method, path, **more)
        left = read_daily_calls(*(response.headers.get(name, "") for name in HEADERS))
        if left is not None:
            self.calls_left.pop(str(access.tokens), None)
            self.calls_left[str(access.tokens)] = left
            for oldest in list(self.calls_left)[:-MAX_ACCOUNTS]:
                del self.calls_left[oldest]
            await access.note_calls(left)
        return response
