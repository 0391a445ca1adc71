"""Viewings: which rows of Trakt's history can be a viewing of ours, by their times."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from webhook.domain.play import Dated
from webhook.domain.retry import LIVE
from webhook.domain.viewing import DAY_SLACK
from webhook.trackers import Delivery
from webhook.trackers._shared import AFTER, BEFORE, Json, begins, moment, noon

CLOSE = timedelta(minutes=1)
"""How far from its time a play of ours may lie."""

DAY = timedelta(days=1)
UNKNOWN = "unknown"
"""What Trakt takes for a viewing of which nobody knows the date."""


def watched_at(delivery: Delivery) -> str:
    """When it was watched, as Trakt is told it: the noon of a day of which no more is known."""
    match delivery.dated:
        case Dated.TICKED:
            return UNKNOWN
        case Dated.DAY:
            return iso(noon(delivery.at))
    return iso(delivery.at)


def iso(at: datetime) -> str:
    """In UTC, with milliseconds and a Z: Trakt's contract takes no offsets."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def whole_days(deliveries: Iterable[Delivery]) -> dict[str, str]:
    """The days around these, as a window to ask for.

    A server may read a time as its day, of an end with or without that day, so a day more is asked for at
    either end, and the times of what comes are compared here.
    """
    times = [delivery.at for delivery in deliveries]
    begins, ends = min(times) - BEFORE - DAY, max(times) + AFTER + 2 * DAY
    return {"start_at": iso(midnight(begins)), "end_at": iso(midnight(ends))}


def midnight(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def is_undated(delivery: Delivery) -> bool:
    return delivery.dated is Dated.TICKED


def fits(delivery: Delivery, row: Json) -> bool:
    """Whether the time of a row is one that this viewing can have there."""
    at = moment(row.get("watched_at"))
    if is_undated(delivery) or at is None:
        return is_undated(delivery) and at is None
    if delivery.dated is Dated.DAY:
        return abs(at - noon(delivery.at)) <= DAY_SLACK
    return begins(delivery) <= at <= delivery.at + AFTER


def is_sent(delivery: Delivery, row: Json) -> bool:
    """Whether a row has the very time with which this viewing is sent, or that of a scrobble of it."""
    at = moment(row.get("watched_at"))
    if is_undated(delivery) or at is None:
        return is_undated(delivery) and at is None
    if at == moment(watched_at(delivery)):
        return True
    return row.get("action") == "scrobble" and delivery.at - CLOSE <= at <= delivery.at + LIVE + AFTER


def nearest(delivery: Delivery, rows: Sequence[Json]) -> Json | None:
    at = noon(delivery.at) if delivery.dated is Dated.DAY else delivery.at
    return min(rows, key=lambda row: distance(row, at), default=None)


def distance(row: Json, at: datetime) -> timedelta:
    there = moment(row.get("watched_at"))
    return timedelta.max if there is None else abs(there - at)
