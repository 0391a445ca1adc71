"""Charts: coordinates of small drawings. Pure; the template renders them as SVG, with a table behind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
    """One bar of a chart; `said` is its value in words."""

    label: str
    value: int
    said: str
    x: int
    y: int
    width: int
    height: int


WIDTH, HEIGHT = 480, 96


def bars(
    labels: Sequence[str], values: Sequence[int], said: Callable[[int], str] = "{:,}".format
) -> list[Bar]:
    """One bar for each value, its height relative to the largest."""
    most = max(values, default=0) or 1
    step = WIDTH / max(len(values), 1)
    return [
        Bar(
            label,
            value,
            said(value),
            round(index * step) + 1,
            HEIGHT - round(HEIGHT * value / most),
            max(round(step) - 3, 2),
            round(HEIGHT * value / most),
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


@dataclass(frozen=True, slots=True)
class Month:
    """A month's name under the column that its first day is in."""

    label: str
    x: int


@dataclass(frozen=True, slots=True)
class Half:
    """Half a year, narrow enough for a phone, where the halves are stacked."""

    days: list[Day]
    months: list[Month]


def heat(year: int, counts: Mapping[str, int]) -> list[Half]:
    """A square for each day of a year, in two halves: a column is a week that begins on Monday; level 0 is nothing."""
    most = max(counts.values(), default=0)
    halves = (date(year, 1, 1), date(year, 7, 1)), (date(year, 7, 1), date(year + 1, 1, 1))
    return [half(first, end, counts, most) for first, end in halves]


def half(first: date, end: date, counts: Mapping[str, int], most: int) -> Half:
    days = [first + timedelta(days=number) for number in range((end - first).days)]
    squares = [square(first, day, counts.get(day.isoformat(), 0), most) for day in days]
    months = [Month(MONTHS[one.day.month - 1], one.x) for one in squares if one.day.day == 1]
    return Half(squares, months)


def square(first: date, day: date, count: int, most: int) -> Day:
    week = ((day - first).days + first.weekday()) // 7
    return Day(day, count, level(count, most), week * (CELL + GAP), day.weekday() * (CELL + GAP))


@dataclass(frozen=True, slots=True)
class Hour:
    weekday: str
    hour: int
    count: int
    level: int
    x: int
    y: int


def week(counts: Sequence[Sequence[int]]) -> list[list[Hour]]:
    """A square for each hour of each weekday: a row is a day, from Monday on."""
    most = max((max(day, default=0) for day in counts), default=0)
    step = CELL + GAP
    return [
        [
            Hour(weekday, hour, count, level(count, most), hour * step, row * step)
            for hour, count in enumerate(day)
        ]
        for row, (weekday, day) in enumerate(zip(WEEKDAYS, counts, strict=True))
    ]


def level(count: int, most: int) -> int:
    """The shade of a count, from 1 to LEVELS; 0 for none."""
    return 0 if not count else min(LEVELS, 1 + (LEVELS * (count - 1)) // max(most, 1))


def duration_text(ms: int) -> str:
    """A duration in words: 3 days 4 h, 12 h 5 min, 8 min."""
    minutes = ms // 60_000
    days_, hours = minutes // 1440, minutes // 60 % 24
    if days_:
        return f"{days_} {'day' if days_ == 1 else 'days'} {hours} h"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"
