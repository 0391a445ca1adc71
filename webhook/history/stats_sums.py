"""The sums of statistics: plays by kind, day, hour of the week and title; streaks and rewatches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Annotated, Any, NamedTuple
from zoneinfo import ZoneInfo

from pydantic import Field
from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    Text,
    and_,
    cast,
    func,
    literal,
    literal_column,
    null,
    or_,
    select,
    union_all,
)
from sqlalchemy.types import TypeEngine
from typing_extensions import TypedDict

from webhook.domain.event import Kind
from webhook.domain.play import Dated
from webhook.history.edited_plays import EARLIER
from webhook.history.shows import counts_as_viewing
from webhook.history.stats_span import Span, in_span, select_viewings
from webhook.storage.json_fields import Count
from webhook.storage.tables import play, play_key

SUM_COLUMNS: Mapping[str, TypeEngine[Any]] = {
    "kind": Text(), "dated": Text(), "place": BigInteger(), "title": Text(), "ids": Text(), "year": Text(),
}  # fmt: skip


Day = Annotated[str | None, Field(json_schema_extra={"format": "date"})]


class TotalsJson(TypedDict):
    """The plays, by kind and by how they are dated, and their time."""

    plays: Count
    time_ms: Count
    without_duration: Count
    films: Count
    episodes: Count
    tracks: Count
    ticked: Count
    day_only: Count


class StreakJson(TypedDict):
    """Consecutive days with plays."""

    days: Count
    first: Day
    last: Day


class StreaksJson(TypedDict):
    """The longest streak, and the current one, which has reached yesterday or today."""

    longest: StreakJson
    current: StreakJson


class MonthsByKindJson(TypedDict):
    """The time watched by month, from January on, of each kind; in ms."""

    films: list[Count]
    episodes: list[Count]
    tracks: list[Count]


TitleKey = tuple[str, str | None, str | None, int | None]
"""The group of a play: kind, title, ids as JSON and year; of an episode its show's."""

DayKey = tuple[str, int]
"""The kind of a play and its day."""


class SumsJson(TypedDict):
    """Sums as a tally stores them, without the titles: each row is what was counted, then its counts."""

    kinds: list[tuple[str, str, int, int, int]]
    days: list[tuple[str, int, int, int]]
    hours: list[tuple[int, int]]
    rewatches: int


@dataclass(slots=True)
class Sums:
    """The sums: plays by kind and by how they are dated, by day, by hour of the week and by title; and the rewatches.

    By kind that is how many there are, how many of known length, and their time in ms; by kind and day, how many
    and their time; by title also when the last one was (UTC ms); by hour of the week, which begins on Monday, how many.
    """

    kinds: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    days: dict[DayKey, list[int]] = field(default_factory=dict)
    hours: dict[int, int] = field(default_factory=dict)
    titles: dict[TitleKey, list[int]] = field(default_factory=dict)
    rewatches: int = 0

    def add(self, more: Sums) -> None:
        for hour, plays in more.hours.items():
            self.hours[hour] = self.hours.get(hour, 0) + plays
        for day, counts in more.days.items():
            self.days[day] = add_counts(self.days.get(day), counts)
        for kind, counts in more.kinds.items():
            self.kinds[kind] = add_counts(self.kinds.get(kind), counts)
        for title, counts in more.titles.items():
            self.titles[title] = add_title(self.titles.get(title), counts)
        self.rewatches += more.rewatches

    def of_kind(self, kind: Kind) -> Iterator[TitleCount]:
        return (TitleCount(*of[1:], *counts) for of, counts in self.titles.items() if of[0] == kind)

    def by_day(self, which: int, kind: Kind | None = None) -> dict[date, int]:
        """The plays (0) or their time (1) by day in their order, of one kind or of all."""
        found: dict[date, int] = {}
        for (of, day), counts in sorted(self.days.items(), key=lambda entry: entry[0][1]):
            if kind in (None, of):
                at = date.fromordinal(day)
                found[at] = found.get(at, 0) + counts[which]
        return found

    def to_json(self) -> SumsJson:
        """The sums as JSON, without the titles."""
        return {
            "kinds": [(*kind, plays, timed, time) for kind, (plays, timed, time) in self.kinds.items()],
            "days": [(*of, plays, time) for of, (plays, time) in self.days.items()],
            "hours": list(self.hours.items()),
            "rewatches": self.rewatches,
        }

    @classmethod
    def from_json(cls, known: SumsJson) -> Sums:
        kinds = {(kind, dated): counts for kind, dated, *counts in known["kinds"]}
        days = {(kind, day): counts for kind, day, *counts in known["days"]}
        return cls(kinds=kinds, days=days, hours=dict(known["hours"]), rewatches=known["rewatches"])


def add_counts(known: Sequence[int] | None, more: Sequence[int]) -> list[int]:
    return [one + other for one, other in zip(known, more, strict=True)] if known else list(more)


def add_title(known: Sequence[int] | None, more: Sequence[int]) -> list[int]:
    """The sum of two counts of a title, with the later of their times."""
    return [*add_counts(known and known[:2], more[:2]), max(known[2], more[2]) if known else more[2]]


def count_sums(
    connection: Connection,
    person_id: int,
    span: Span,
    zone: ZoneInfo,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Sums:
    """All sums in one statement, so that each play is looked up once; and the rewatches."""
    viewed = select_viewings(connection, person_id, span, zone, since, until)
    of, ticked, exact = viewed.c, Dated.TICKED.value, Dated.EXACT.value
    hour_of_week = (of.day - literal(1, BigInteger)) % 7 * 24 + of.hour  # day 1 was a Monday
    wanted = union_all(
        select_sums(viewed, "kind", {"kind": of.kind, "dated": of.dated}),
        select_sums(viewed, "day", {"kind": of.kind, "place": of.day}).where(of.dated != ticked),
        select_sums(viewed, "hour", {"place": hour_of_week}).where(of.dated == exact),
        select_sums(viewed, "title", {"kind": of.kind, "title": of.title, "ids": of.ids, "year": of.year}),
    )
    found = Sums(rewatches=count_rewatches(connection, person_id, span, since, until))
    for what_, kind, dated, place, title, ids, year, plays, timed, time, last in connection.execute(wanted):
        match what_:
            case "kind":
                found.kinds[kind, dated] = [plays, timed, int(time or 0)]
            case "day":
                found.days[kind, place] = [plays, int(time or 0)]
            case "hour":
                found.hours[place] = plays
            case _:
                of_title = (kind, title, ids, None if year is None else int(year))
                found.titles[of_title] = add_title(found.titles.get(of_title), (plays, int(time or 0), last))
    return found


def select_sums(viewed: CTE, what: str, by: Mapping[str, ColumnElement[Any]]) -> Select[Any]:
    """The plays by these columns: how many, how many of known length, their time, and when the last one was."""
    shape = [by.get(name, cast(null(), type_)).label(name) for name, type_ in SUM_COLUMNS.items()]
    counts = [
        func.count().label("plays"),
        func.count(viewed.c.duration_ms).label("timed"),
        func.sum(viewed.c.duration_ms).label("time"),
        func.max(viewed.c.at).label("last"),
    ]
    return select(literal_column(f"'{what}'").label("what"), *shape, *counts).group_by(*by.values())


def totals(counts: Sums) -> TotalsJson:
    rows = [(kind, dated, plays, timed, time) for (kind, dated), (plays, timed, time) in counts.kinds.items()]

    def count(word: str) -> int:
        return sum(plays for kind, dated, plays, _, _ in rows if word in (kind, dated))

    return {
        "plays": sum(plays for _, _, plays, _, _ in rows),
        "time_ms": sum(time for *_, time in rows),
        "without_duration": sum(plays - timed for _, _, plays, timed, _ in rows),
        "films": count(Kind.MOVIE),
        "episodes": count(Kind.EPISODE),
        "tracks": count(Kind.TRACK),
        "ticked": count(Dated.TICKED),
        "day_only": count(Dated.DAY),
    }


def months_by_kind(counts: Sums) -> MonthsByKindJson:
    films, episodes, tracks = (
        sum_by(counts.by_day(1, kind), 12, lambda day: day.month - 1)
        for kind in (Kind.MOVIE, Kind.EPISODE, Kind.TRACK)
    )
    return {"films": films, "episodes": episodes, "tracks": tracks}


def sum_by(days: Mapping[date, int], size: int, place: Callable[[date], int]) -> list[int]:
    sums = [0] * size
    for day, count in days.items():
        sums[place(day)] += count
    return sums


def streaks(days: Iterable[date], today: date) -> StreaksJson:
    runs: list[list[date]] = []
    for day in days:
        if runs and day - runs[-1][-1] == timedelta(days=1):
            runs[-1].append(day)
        else:
            runs.append([day])
    goes_on = bool(runs) and today - timedelta(days=1) <= runs[-1][-1] <= today
    return {
        "longest": run_json(max(runs, key=len, default=[])),
        "current": run_json(runs[-1] if goes_on else []),
    }


def run_json(run: Sequence[date]) -> StreakJson:
    first, last = (run[0].isoformat(), run[-1].isoformat()) if run else (None, None)
    return {"days": len(run), "first": first, "last": last}


def count_rewatches(
    connection: Connection, person_id: int, span: Span, since: datetime | None, until: datetime | None
) -> int:
    """The plays of films and episodes that the person had watched before, by any key that both are known by."""
    if span.local is None and since is None:
        return count_all_rewatches(connection, person_id, until)
    wanted = select(func.count()).where(
        counts_as_viewing(person_id),
        *in_span(span, since, until),
        was_watched_before(),
    )
    return connection.execute(wanted).scalar_one()


def was_watched_before() -> ColumnElement[bool]:
    """True for a play of a film or an episode that its person had watched before, by any key that both are known by."""
    known, same, before = play_key.alias("known"), play_key.alias("same"), play.alias("before")
    # The person is not a condition here: SQLite would scan everything that this person has watched.
    earlier = (
        select(before.c.id)
        .select_from(known)
        .join(same, and_(same.c.person_id == known.c.person_id, same.c.key == known.c.key))
        .join(before, before.c.id == same.c.play_id)
        .where(
            known.c.play_id == play.c.id,
            known.c.key.not_like("track%"),
            known.c.key.not_like(f"{EARLIER}%"),
            before.c.unwatched_at.is_(None),
            before.c.removed_at.is_(None),
            or_(
                before.c.watched_at < play.c.watched_at,
                and_(before.c.watched_at == play.c.watched_at, before.c.id < play.c.id),
            ),
        )
    )
    return and_(play.c.kind != Kind.TRACK.value, earlier.exists())


def count_all_rewatches(connection: Connection, person_id: int, until: datetime | None) -> int:
    """The same for all years, where one pass over the keys shared by several plays costs less."""
    mine = (
        play_key.c.person_id == person_id,
        play_key.c.key.not_like("track%"),
        play_key.c.key.not_like(f"{EARLIER}%"),
    )
    again = select(play_key.c.key).where(*mine).group_by(play_key.c.key).having(func.count() > 1)
    turn_of = func.row_number().over(partition_by=play_key.c.key, order_by=(play.c.watched_at, play.c.id))
    turned = (
        select(play.c.id, play.c.watched_at, turn_of.label("turn"))
        .join(play, play.c.id == play_key.c.play_id)
        .where(*mine, play_key.c.key.in_(again), counts_as_viewing(person_id))
        .subquery("turned")
    )
    wanted = select(func.count(turned.c.id.distinct())).where(turned.c.turn > 1)
    if until is not None:
        wanted = wanted.where(turned.c.watched_at < until)
    return connection.execute(wanted).scalar_one()


class TitleCount(NamedTuple):
    """Plays with the same kind, title, ids and year."""

    title: str | None
    ids: str | None
    year: int | None
    plays: int
    time_ms: int
    last: int
