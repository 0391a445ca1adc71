"""Dates as export files write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from webhook import clock
from webhook.transfer.imports._csv import Row as Row


class NoDate(ValueError):
    """A text that is not a possible date of a viewing; the message is for the person."""


MOMENT = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?( ?(Z|UTC|[+-]\d\d:?\d\d))?)?", re.ASCII)


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)


def moment(text: str, unit: timedelta | None = None) -> datetime:
    """Parse a date in UTC, which is assumed without an offset.

    `unit` is for a column that counts since 1970 (SECOND, MILLISECOND, MICROSECOND). Raises NoDate for
    anything else, for dates before 1900 (services write the year 1 for "unknown"), and for dates more than a
    day in the future.
    """
    text = text.strip()
    try:
        found = EPOCH + float(text) * unit if unit is not None else parse_moment(text)
    except (ValueError, OverflowError) as error:
        raise NoDate(f"“{text[:40]}” is no date") from error
    if found < EARLIEST:
        raise NoDate(f"{text[:40]} stands for an unknown date")
    if found > clock.now() + timedelta(days=1):
        raise NoDate(f"{text[:40]} lies in the future")
    return found


def parse_moment(text: str) -> datetime:
    if not MOMENT.fullmatch(text):
        raise ValueError(text)
    found = datetime.fromisoformat(text.replace(" UTC", "Z").replace(" +", "+").replace(" -", "-"))
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
