"""Charts: where the marks of a small drawing lie. Pure; the template draws them as SVG, with a table behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

CELL, GAP = 12, 2
LEVELS = 4
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Bar:
    label: str
    value: int
    x: int
    y: int
    width: int
    height: int


def bars(labels: Sequence[str], values: Sequence[int], *, width: int = 480, height: int = 96) -> list[Bar]:
    """One bar for each value, as high as it is beside the greatest."""
    most = max(values, default=0) or 1
    step = width / max(len(values), 1)
    return [
        Bar(
            label,
            value,
            round(index * step) + 1,
            height - round(height * value / most),
            max(round(step) - 3, 2),
            round(height * value / most),
        )
        for index, (label, value) in enumerate(zip(labels, values, strict=True))
    ]


@dataclass(frozen=True, slots=True)
class Day:
    day: date
    count: int
    level: int
    x: int
    y: int


def heat(year: int, counts: Mapping[str, int]) -> list[Day]:
    """A square for each day of a year: a column is a week that begins on Monday; level 0 is nothing."""
    first = date(year, 1, 1)
    most = max(counts.values(), default=0)
    return [square(first, day, counts.get(day.isoformat(), 0), most) for day in days(first)]


def days(first: date) -> list[date]:
    length = (date(first.year + 1, 1, 1) - first).days
    return [first + timedelta(days=number) for number in range(length)]


def square(first: date, day: date, count: int, most: int) -> Day:
    week = ((day - first).days + first.weekday()) // 7
    return Day(day, count, level(count, most), week * (CELL + GAP), day.weekday() * (CELL + GAP))


def level(count: int, most: int) -> int:
    """How dark, from 1 to LEVELS; 0 where nothing was."""
    return 0 if not count else min(LEVELS, 1 + (LEVELS * (count - 1)) // max(most, 1))


def spoken(ms: int) -> str:
    """A time in words: 3 days 4 h, 12 h 5 min, 8 min."""
    minutes = ms // 60_000
    days_, hours = minutes // 1440, minutes // 60 % 24
    if days_:
        return f"{days_} {'day' if days_ == 1 else 'days'} {hours} h"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"
