"""Viewings: when one began, when it is dated, and which marks at a service can be of the same one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from webhook.domain.play import Dated
from webhook.domain.viewing import DAY_SLACK
from webhook.trackers import Delivery

SAME_VIEWING = timedelta(minutes=15)
"""The time around a play within which one that is there already counts as the same."""

CLOCK_SLACK = timedelta(minutes=1)
"""The difference that is allowed between the service's clock and ours."""


def is_since(at: datetime | None, since: datetime | None) -> bool:
    """True if a viewing is wanted that was asked for since a time; one without a date always is."""
    return since is None or at is None or at >= since


def play_start(delivery: Delivery) -> datetime:
    """The start of the play: as the sender said, else reckoned back from its mark by the time played until then."""
    if delivery.started_at is not None and delivery.started_at < delivery.at:
        return delivery.started_at
    part = 1.0 if delivery.progress is None else delivery.progress / 100
    return delivery.at - timedelta(milliseconds=delivery.duration_ms or 0) * part


def earliest_mark(delivery: Delivery) -> datetime:
    """The earliest time at which the same viewing can have been marked: later than it began, or it was another one."""
    if delivery.duration_ms:
        return delivery.at - min(SAME_VIEWING, timedelta(milliseconds=delivery.duration_ms) * 0.8)
    if delivery.started_at is not None and delivery.started_at < delivery.at:
        return max(delivery.at - SAME_VIEWING, delivery.started_at)
    return delivery.at - SAME_VIEWING


def is_fitting(delivery: Delivery, at: datetime | None) -> bool:
    """True if a viewing with this time at the service can be this one."""
    if is_undated(delivery) or at is None:
        return is_undated(delivery) and at is None
    if delivery.dated is Dated.DAY:
        return abs(at - noon(delivery.at)) <= DAY_SLACK
    return earliest_mark(delivery) <= at <= delivery.at + SAME_VIEWING


def noon(at: datetime) -> datetime:
    """The noon (UTC) of a day of which no more is known."""
    return at.astimezone(UTC).replace(hour=12, minute=0, second=0, microsecond=0)


def viewing_date(delivery: Delivery) -> datetime | None:
    """The date under which it is sent: the noon of a day of which no more is known, None where nobody knows."""
    if delivery.dated is Dated.TICKED:
        return None
    return noon(delivery.at) if delivery.dated is Dated.DAY else delivery.at


def is_undated(delivery: Delivery) -> bool:
    return delivery.dated is Dated.TICKED


def wire_time(at: datetime) -> str:
    """A time in UTC, to the second."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
