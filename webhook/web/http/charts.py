"""Charts: coordinates of small drawings. Pure; the template renders them as SVG, with a table behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from webhook.web.http.language import gettext, ngettext

CELL, GAP = 12, 2
STEP = CELL + GAP
GUTTER = 30
"""The room for the names of weekdays."""

LEVELS = 4
HOUR_MS = 3_600_000


# --- a year, day by day


@dataclass(frozen=True, slots=True)
class Day:
    day: date
    count: int
    level: int
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Month:
    """A month, from 1, above the column that its first day is in."""

    number: int
    x: int


@dataclass(frozen=True, slots=True)
class Half:
    """The first or the last weeks of a year: beside one another on a desktop, one below the other on a phone."""

    days: list[Day]
    months: list[Month]

    @property
    def empty(self) -> str:
        """The path of the days without plays, which one shape draws."""
        return "".join(f"M{one.x} {one.y}h{CELL}v{CELL}h-{CELL}z" for one in self.days if not one.count)


WEEKS_PER_HALF = 26


def heat(year: int, counts: Mapping[str, int]) -> list[Half]:
    """A square for each day of a year: a column is a week that begins on Monday; level 0 is nothing."""
    most = max(counts.values(), default=0)
    first = date(year, 1, 1)
    days = [first + timedelta(days=number) for number in range((date(year + 1, 1, 1) - first).days)]
    halves: tuple[list[Day], list[Day]] = ([], [])
    for day in days:
        week = ((day - first).days + first.weekday()) // 7
        later = week >= WEEKS_PER_HALF
        count = counts.get(day.isoformat(), 0)
        x = (week - WEEKS_PER_HALF) * STEP if later else GUTTER + week * STEP
        halves[later].append(Day(day, count, level(count, most), x, day.weekday() * STEP))
    return [Half(half, [month_of(one) for one in half if one.day.day == 1]) for half in halves]


def month_of(day: Day) -> Month:
    return Month(day.day.month, day.x)


# --- hours and weekdays


@dataclass(frozen=True, slots=True)
class Hour:
    """An hour of a weekday, which is 0 on a Monday."""

    weekday: int
    hour: int
    count: int
    level: int
    x: int
    y: int


def week(counts: Sequence[Sequence[int]]) -> list[list[Hour]]:
    """A square for each hour of each weekday: a row is a day, from Monday on."""
    most = max((max(day, default=0) for day in counts), default=0)
    return [
        [
            Hour(row, hour, count, level(count, most), GUTTER + hour * STEP, row * STEP)
            for hour, count in enumerate(day)
        ]
        for row, day in enumerate(counts)
    ]


def level(count: int, most: int) -> int:
    """The shade of a count, from 1 to LEVELS; 0 for none."""
    return 0 if not count else min(LEVELS, 1 + (LEVELS * (count - 1)) // max(most, 1))


# --- months, stacked by kind


@dataclass(frozen=True, slots=True)
class Piece:
    """The part of a bar that stands for one kind."""

    kind: str
    value: int
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Bar:
    """A month: its parts from the bottom up, and the line at which what it is compared with stands."""

    number: int
    value: int
    pieces: list[Piece]
    x: int
    other: int | None
    other_y: float | None


@dataclass(frozen=True, slots=True)
class Line:
    """A value of the axis, in hours."""

    hours: int
    y: float


@dataclass(frozen=True, slots=True)
class Bars:
    bars: list[Bar]
    lines: list[Line]


BAR_STEP, BAR_HEIGHT = 28, 86
MOST_LINES = 3


def stacked_months(kinds: Mapping[str, Sequence[int]], other: Sequence[int] | None = None) -> Bars:
    """A bar for each month; `kinds` has the time of each, and `other` what they are compared with."""
    sums = [sum(values) for values in zip(*kinds.values(), strict=True)]
    step = hours_per_line(max([*sums, *(other or ())]))
    top = max(-(-max([*sums, *(other or ())]) // (step * HOUR_MS)), 1) * step
    bars = []
    for month, total in enumerate(sums):
        pieces: list[Piece] = []
        below = 0.0
        for kind, values in kinds.items():
            height = scale(values[month], top)
            pieces.append(Piece(kind, values[month], round(BAR_HEIGHT - below - height, 1), round(height, 1)))
            below += height
        compared = other[month] if other else None
        line = None if compared is None else round(BAR_HEIGHT - scale(compared, top), 1)
        bars.append(Bar(month + 1, total, pieces, GUTTER + month * BAR_STEP, compared, line))
    lines = [
        Line(hours, round(BAR_HEIGHT - scale(hours * HOUR_MS, top), 1)) for hours in range(0, top + 1, step)
    ]
    return Bars(bars, lines)


def scale(ms: int, top: int) -> float:
    return BAR_HEIGHT * ms / (top * HOUR_MS)


def hours_per_line(most_ms: int) -> int:
    """The hours between two lines of the axis: a round number, so that few lines suffice."""
    hours, size = most_ms / HOUR_MS, 1
    while True:
        for step in (size, 2 * size, 5 * size):
            if hours <= step * MOST_LINES:
                return step
        size *= 10


def duration_text(ms: int) -> str:
    """A duration in words: 3 days 4 h, 12 h 5 min, 8 min."""
    minutes = ms // 60_000
    days_, hours = minutes // 1440, minutes // 60 % 24
    if days_:
        return ngettext("%(num)s day %(hours)s h", "%(num)s days %(hours)s h", days_, hours=hours)
    if hours:
        return gettext("%(hours)s h %(minutes)s min", hours=hours, minutes=minutes % 60)
    return gettext("%(minutes)s min", minutes=minutes)
