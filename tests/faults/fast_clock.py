"""A clock that is faster than the real one, and the same in several processes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

from tests.fakes._server import Clock


@dataclass(frozen=True)
class FastClock:
    """From `since` on, `speed` seconds pass in each."""

    since: datetime
    speed: float

    @classmethod
    def begin(cls, speed: float) -> Self:
        return cls(datetime.now(UTC), speed)

    @classmethod
    def parse(cls, text: str) -> Self:
        since, _, speed = text.partition(" ")
        return cls(datetime.fromisoformat(since), float(speed))

    def __str__(self) -> str:
        return f"{self.since.isoformat()} {self.speed}"

    def tell(self, real: datetime) -> datetime:
        """The time that it shows at a real time, to the millisecond."""
        shown = self.since + (real - self.since) * self.speed
        return shown.replace(microsecond=shown.microsecond // 1000 * 1000)

    def now(self) -> datetime:
        return self.tell(datetime.now(UTC))

    def seconds(self, passing: timedelta) -> float:
        """The real seconds in which so much time passes."""
        return passing.total_seconds() / self.speed


class FakesClock(Clock):
    """A fast clock as fakes have it."""

    def __init__(self, fast: FastClock) -> None:
        super().__init__()
        self.fast = fast

    def now(self) -> datetime:
        return self.fast.now() + self.ahead
