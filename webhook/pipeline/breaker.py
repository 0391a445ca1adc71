"""The circuit breaker of a tracker's host."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from webhook.domain import retry
from webhook.domain.outcome import Done, Undelivered
from webhook.pipeline.outcomes import is_outage

MAX_LANES = 64
TRIPS = 5
"""Consecutive failures of a host after which only one lane at a time may try it."""


@dataclass(slots=True)
class Breaker:
    """Opens after repeated failures of a host, counted over all accounts; then one lane probes it now and then."""

    failures: int = 0
    open_until: float = 0.0
    probing: bool = False

    @property
    def is_open(self) -> bool:
        return self.failures >= TRIPS

    def lanes(self) -> int:
        """The number of lanes that may send now: one probe at a time once an open breaker's pause is over."""
        if not self.is_open:
            return MAX_LANES
        return 0 if self.probing or time.monotonic() < self.open_until else 1

    def record(self, outcomes: Sequence[Done | Undelivered]) -> None:
        """Record a call's result; it counts as a failure if the host did not answer or said that it cannot."""
        if any(map(is_outage, outcomes)):
            self.record_failure()
        else:
            self.record_success()

    def record_success(self) -> None:
        self.failures, self.probing = 0, False

    def record_failure(self) -> None:
        self.failures, self.probing = self.failures + 1, False
        if self.is_open:
            pause = min(retry.FIRST_PAUSE * 2 ** min(self.failures - TRIPS, 16), retry.MAX_PAUSE)
            self.open_until = time.monotonic() + pause.total_seconds()
