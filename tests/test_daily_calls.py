"""Live and late calls share what a service takes in a day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from webhook.domain.daily_calls import DailyCalls, Urgency, read_daily_calls

pytestmark = pytest.mark.unit

MIDNIGHT = datetime(2026, 11, 23, tzinfo=UTC)


def wait(urgency: Urgency, left: int, hours: float, limit: int = 1000) -> float | None:
    """The hours to wait with so many calls left, so many hours before midnight."""
    calls = DailyCalls(limit=limit, left=left, resets_at=MIDNIGHT)
    found = calls.time_to_wait(urgency, MIDNIGHT - timedelta(hours=hours))
    return None if found is None else found / timedelta(hours=1)


@pytest.mark.parametrize(
    ("urgency", "left", "hours", "waits"),
    [
        (Urgency.LATE, 1000, 24, None),
        (Urgency.LATE, 481, 24, None),
        (Urgency.LATE, 480, 24, 0.0),  # what the day may need live is kept
        (Urgency.LATE, 300, 20, 5.0),
        (Urgency.LATE, 101, 2, None),
        (Urgency.LATE, 100, 2, 2.0),  # the last hundred of a day are for marks
        (Urgency.SHOWING, 101, 20, None),
        (Urgency.SHOWING, 100, 20, 20.0),
        (Urgency.MARK, 1, 20, None),
        (Urgency.MARK, 0, 20, None),
        (Urgency.LATE, 0, -1, None),  # the day is over, and a new one has begun
    ],
)
def test_a_call_waits_for_what_is_kept(
    urgency: Urgency, left: int, hours: float, waits: float | None
) -> None:
    found = wait(urgency, left, hours)

    assert (found is None) == (waits is None)
    assert found is None or found == pytest.approx(waits, abs=0.02)


@pytest.mark.parametrize("limit", [10, 100, 1000, 100_000])
def test_late_calls_never_take_more_than_half_of_a_small_day_nor_wait_for_a_large_one(limit: int) -> None:
    assert wait(Urgency.LATE, limit, 24, limit) is None
    assert wait(Urgency.LATE, limit // 2 + 1, 24, limit) is None
    assert wait(Urgency.LATE, min(limit // 2, 480), 24, limit) is not None


def test_a_late_call_that_has_waited_may_go() -> None:
    calls, now = DailyCalls(limit=1000, left=300, resets_at=MIDNIGHT), MIDNIGHT - timedelta(hours=20)
    after = calls.time_to_wait(Urgency.LATE, now)

    assert after is not None
    assert calls.time_to_wait(Urgency.LATE, now + after + timedelta(minutes=2)) is None


@pytest.mark.parametrize("values", [("", "1", "1"), ("1", "x", "1"), ("1", "1", "-1"), ("1", "1", "9" * 20)])
def test_headers_that_say_nothing_are_no_limit(values: tuple[str, str, str]) -> None:
    assert read_daily_calls(*values) is None
