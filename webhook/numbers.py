"""Numbers: what a person has watched in a year or ever, counted where the plays are.

A play counts once it was watched, and neither taken back nor removed. The days and hours are those of
the person's own time zone: SQL adds to each time the offset that the zone had then. A play of which only
the day is known counts for no hour; one that was only ticked counts for neither hours nor days.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import orjson
from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    Connection,
    Row,
    Select,
    Text,
    and_,
    case,
    cast,
    func,
    literal,
    literal_column,
    null,
    select,
    type_coerce,
    union_all,
)
from sqlalchemy.types import TypeEngine

from webhook import clock, shows
from webhook.event import Ids, Kind
from webhook.library import show_key
from webhook.play import Dated, folded
from webhook.shows import Listing, counted
from webhook.tables import person, play, play_key, to_ms, told

HOUR = 3_600_000
DAY = 24 * HOUR
BEFORE_1970 = date(1970, 1, 1).toordinal()
"""Days before the stored times begin: a day is counted as `date.toordinal` counts it, and is never negative."""

TOP = 10
"""How many shows, films and artists are named."""


def zone_of(name: str | None) -> ZoneInfo:
    """The person's time zone; UTC where none is set, or none of that name is known here."""
    try:
        return ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


def zone_for(connection: Connection, person_id: int) -> ZoneInfo:
    return zone_of(connection.execute(select(person.c.timezone).where(person.c.id == person_id)).scalar())


def years(connection: Connection, person_id: int, zone: ZoneInfo) -> list[int]:
    """The years from the first viewing to the last, the newest first."""
    first, last = connection.execute(
        select(func.min(play.c.watched_at), func.max(play.c.watched_at)).where(counted(person_id))
    ).one()
    if first is None:
        return []
    return list(range(last.astimezone(zone).year, first.astimezone(zone).year - 1, -1))


def of_year(
    connection: Connection, person_id: int, year: int | None, zone: ZoneInfo, now: datetime | None = None
) -> dict[str, Any]:
    """The person's numbers of a year in their zone, or of all years: counts, and times in ms.

    `shows_finished` are those of which everything aired so far is seen since some day of that time; None
    where it is known of none what it has. `without_duration` plays add nothing to the time.
    """
    now = now or clock.now()
    span = Span.of(year, zone)
    found = sums(connection, viewings(connection, person_id, span, zone))
    seen = merged(row for row in found["title"] if row.kind == Kind.EPISODE)
    films = merged(row for row in found["title"] if row.kind == Kind.MOVIE)
    artists = merged(row for row in found["title"] if row.kind == Kind.TRACK)
    days = {date.fromordinal(row.place): row.plays for row in found["day"]}
    hours = {row.place: row.plays for row in found["hour"]}
    return {
        "year": year,
        "timezone": zone.key,
        **totals(found["kind"]),
        "shows": len(seen),
        "rewatches": rewatches(connection, person_id, span),
        **finishes(connection, person_id, span, seen, now),
        "streaks": streaks(days, now.astimezone(zone).date()),
        "hours": [hours.get(hour, 0) for hour in range(24)],
        "weekdays": summed(days, 7, lambda day: day.weekday()),
        "months": summed(days, 12, lambda day: day.month - 1),
        "days": {day.isoformat(): count for day, count in days.items()},
        "top": {"shows": top(seen), "films": top(films), "artists": top(artists)},
    }


# --- which plays, and when that was for the person


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """A year as the person's zone and as UTC has it, or all time (None each)."""

    local: tuple[datetime, datetime] | None = None
    utc: tuple[datetime, datetime] | None = None

    @classmethod
    def of(cls, year: int | None, zone: ZoneInfo) -> Span:
        if year is None:
            return cls()
        local = (datetime(year, 1, 1, tzinfo=zone), datetime(year + 1, 1, 1, tzinfo=zone))
        utc = (datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC))
        return cls(local=local, utc=utc)

    def holds(self, at: datetime) -> bool:
        return self.local is None or self.local[0] <= at < self.local[1]

    def where(self, at: Any, dated: Any) -> Iterator[ColumnElement[bool]]:
        """A play of which only the day is known lies at noon UTC of it, wherever that is in the zone."""
        if self.local is None or self.utc is None:
            return
        (begins, ends), (opens, closes) = self.local, self.utc
        yield at >= min(begins, opens)  # the index's range; what lies exactly in the year is below
        yield at < max(ends, closes)
        yield case(
            (dated == Dated.DAY.value, and_(at >= opens, at < closes)), else_=and_(at >= begins, at < ends)
        )


def viewings(connection: Connection, person_id: int, span: Span, zone: ZoneInfo) -> CTE:
    """The plays that count: their day (as `date.toordinal` has it) and hour there, and what they are plays of.

    The title and the ids of an episode are its show's, the title of a track is its artist.
    """
    first, last = span.local or ever(connection, person_id)
    at = type_coerce(play.c.watched_at, BigInteger)
    there = offset(at, offsets(zone, first, last))
    here = case((play.c.dated == Dated.DAY.value, literal(0, BigInteger)), else_=there)
    local = at + here + literal(BEFORE_1970 * DAY, BigInteger)
    episode, film = play.c.kind == Kind.EPISODE.value, play.c.kind == Kind.MOVIE.value
    item = play.c.item
    return (
        select(
            play.c.kind,
            play.c.dated,
            play.c.duration_ms,
            (local // DAY).label("day"),
            (local % DAY // HOUR).label("hour"),
            case((episode, told(item, "show")), (film, told(item, "title")), else_=told(item, "artist")).label("title"),
            case((episode, told(item, "show_ids")), (film, told(item, "ids"))).label("ids"),
            case((film, told(item, "year"))).label("year"),
        )
        .where(counted(person_id), *span.where(play.c.watched_at, play.c.dated))
        .cte("viewed")
    )  # fmt: skip


def ever(connection: Connection, person_id: int) -> Sequence[datetime | None]:
    """The first and the last time at which the person watched anything."""
    mine = play.c.person_id == person_id
    # Two questions: of each alone the index knows the answer.
    first, last = (select(end(play.c.watched_at)).where(mine) for end in (func.min, func.max))
    return connection.execute(select(first.scalar_subquery(), last.scalar_subquery())).one()


Since = tuple[int, int]
"""From when on (UTC ms) a zone has which offset (ms)."""


def offsets(zone: ZoneInfo, first: datetime | None, last: datetime | None) -> list[Since]:
    """The offsets that the zone has from the first time to the last; the first of them holds before as well."""
    if first is None or last is None:
        return [(0, 0)]
    begins, ends = to_ms(first), to_ms(last)
    found = [(begins, offset_at(zone, first))]
    for year in range(first.astimezone(UTC).year, last.astimezone(UTC).year + 1):
        found += [since for since in turns(zone, year) if begins < since[0] <= ends]
    return found


@lru_cache(maxsize=4096)
def turns(zone: ZoneInfo, year: int) -> tuple[Since, ...]:
    """When in a year (UTC) the zone's offset changes, and what it is from then on."""
    begins = datetime(year, 1, 1, tzinfo=UTC)
    days = [begins + timedelta(days=number) for number in range(367)]
    ends = datetime(year + 1, 1, 1, tzinfo=UTC)
    found = [
        turn(zone, one, other)
        for one, other in pairwise(days)
        if one < ends and offset_at(zone, one) != offset_at(zone, other)
    ]
    return tuple(found)


def turn(zone: ZoneInfo, before: datetime, after: datetime) -> Since:
    """The second between two moments from which on the zone's offset is the later one."""
    while after - before > timedelta(seconds=1):
        middle = before + timedelta(seconds=(after - before) // timedelta(seconds=2))
        if offset_at(zone, middle) == offset_at(zone, before):
            before = middle
        else:
            after = middle
    return to_ms(after), offset_at(zone, after)


def offset_at(zone: ZoneInfo, at: datetime) -> int:
    """Milliseconds that the zone is ahead of UTC."""
    return (at.astimezone(zone).utcoffset() or timedelta()) // timedelta(milliseconds=1)


def offset(at: ColumnElement[int], known: Sequence[Since]) -> ColumnElement[int]:
    """The offset at a time as SQL: a tree of cases, so that many years cost few comparisons."""
    if len(known) == 1:
        return literal(known[0][1], BigInteger)
    middle = len(known) // 2
    later = literal(known[middle][0], BigInteger)
    return case((at < later, offset(at, known[:middle])), else_=offset(at, known[middle:]))


# --- sums

NAMES = {Kind.MOVIE: "films", Kind.EPISODE: "episodes", Kind.TRACK: "tracks"}
SHAPE: Mapping[str, TypeEngine[Any]] = {
    "kind": Text(), "dated": Text(), "place": BigInteger(), "title": Text(), "ids": Text(), "year": Text(),
}  # fmt: skip


def sums(connection: Connection, viewed: CTE) -> dict[str, list[Row[Any]]]:
    """All sums in one statement, so that each play is looked up once: by kind, by day, by hour, by title."""
    of, ticked, exact = viewed.c, Dated.TICKED.value, Dated.EXACT.value
    wanted = union_all(
        summing(viewed, "kind", {"kind": of.kind, "dated": of.dated}),
        summing(viewed, "day", {"place": of.day}).where(of.dated != ticked),
        summing(viewed, "hour", {"place": of.hour}).where(of.dated == exact),
        summing(viewed, "title", {"kind": of.kind, "title": of.title, "ids": of.ids, "year": of.year}),
    )
    found: dict[str, list[Row[Any]]] = {"kind": [], "day": [], "hour": [], "title": []}
    for row in connection.execute(wanted):
        found[row.what].append(row)
    found["day"].sort(key=lambda row: row.place)
    return found


def summing(viewed: CTE, what: str, by: Mapping[str, ColumnElement[Any]]) -> Select[Any]:
    """The plays by these columns: how many, how many of known length, and their time."""
    shape = [by.get(name, cast(null(), type_)).label(name) for name, type_ in SHAPE.items()]
    counts = [
        func.count().label("plays"),
        func.count(viewed.c.duration_ms).label("timed"),
        func.sum(viewed.c.duration_ms).label("time"),
    ]
    return select(literal_column(f"'{what}'").label("what"), *shape, *counts).group_by(*by.values())


def totals(rows: Sequence[Row[Any]]) -> dict[str, Any]:
    """The plays, by kind and by how they are dated, and their time."""
    return {
        "plays": sum(row.plays for row in rows),
        "time_ms": sum(int(row.time or 0) for row in rows),
        "without_duration": sum(row.plays - row.timed for row in rows),
        **{name: sum(row.plays for row in rows if row.kind == kind) for kind, name in NAMES.items()},
        "ticked": sum(row.plays for row in rows if row.dated == Dated.TICKED),
        "day_only": sum(row.plays for row in rows if row.dated == Dated.DAY),
    }


def summed(days: Mapping[date, int], size: int, place: Callable[[date], int]) -> list[int]:
    sums = [0] * size
    for day, count in days.items():
        sums[place(day)] += count
    return sums


def streaks(days: Iterable[date], today: date) -> dict[str, dict[str, Any]]:
    """The longest run of days, and the one that goes on: it has reached yesterday or today."""
    runs: list[list[date]] = []
    for day in days:
        if runs and day - runs[-1][-1] == timedelta(days=1):
            runs[-1].append(day)
        else:
            runs.append([day])
    goes_on = bool(runs) and today - timedelta(days=1) <= runs[-1][-1] <= today
    return {
        "longest": told_run(max(runs, key=len, default=[])),
        "current": told_run(runs[-1] if goes_on else []),
    }


def told_run(run: Sequence[date]) -> dict[str, Any]:
    first, last = (run[0].isoformat(), run[-1].isoformat()) if run else (None, None)
    return {"days": len(run), "first": first, "last": last}


def rewatches(connection: Connection, person_id: int, span: Span) -> int:
    """The plays of films and episodes that the person had watched before, by any key that both are known by."""
    mine = (play_key.c.person_id == person_id, play_key.c.key.not_like("track%"))
    again = select(play_key.c.key).where(*mine).group_by(play_key.c.key).having(func.count() > 1)
    turn_of = func.row_number().over(partition_by=play_key.c.key, order_by=(play.c.watched_at, play.c.id))
    turned = (
        select(play.c.id, play.c.watched_at, play.c.dated, turn_of.label("turn"))
        .join(play, play.c.id == play_key.c.play_id)
        .where(*mine, play_key.c.key.in_(again), counted(person_id))
        .subquery("turned")
    )
    later = (turned.c.turn > 1, *span.where(turned.c.watched_at, turned.c.dated))
    return connection.execute(select(func.count(turned.c.id.distinct())).where(*later)).scalar_one()


# --- what was watched most


@dataclass(slots=True)
class Group:
    """The plays of one show, film or artist."""

    title: str | None
    year: int | None = None
    ids: Ids = field(default_factory=Ids)
    plays: int = 0
    time_ms: int = 0

    def same(self, ids: Ids, year: int | None) -> bool:
        """Whether another of the same title may be this one."""
        return not self.ids.contradicts(ids) and (None in (year, self.year) or year == self.year)

    def to_json(self) -> dict[str, Any]:
        named = {"title": self.title, "year": self.year, "ids": self.ids.known()}
        return {**named, "plays": self.plays, "time_ms": self.time_ms}


def merged(rows: Iterable[Row[Any]]) -> list[Group]:
    """One group of what is told in several ways: with other ids, or with a title alone."""
    groups: list[Group] = []
    by_id: dict[tuple[str, int | str], Group] = {}
    by_title: dict[str, list[Group]] = {}
    for row in sorted(rows, key=best_told_first):
        ids, year = Ids.from_json(orjson.loads(row.ids or "{}")), None if row.year is None else int(row.year)
        title = folded(row.title or "")
        alike = by_title.setdefault(title, []) if title else []
        group = next((by_id[pair] for pair in ids.known().items() if pair in by_id), None)
        group = group or next((one for one in alike if one.same(ids, year)), None)
        if group is None:
            group = Group(row.title, year)
            groups.append(group)
            alike.append(group)
        group.ids = group.ids.merged(ids)
        group.plays += row.plays
        group.time_ms += int(row.time or 0)
        by_id |= dict.fromkeys(ids.known().items(), group)
    return groups


def best_told_first(row: Row[Any]) -> tuple[Any, ...]:
    """What has most ids, then what is told most; of the same, always in one order."""
    return -(row.ids or "").count(":"), -row.plays, row.title or "", row.ids or "", str(row.year)


def top(groups: Iterable[Group]) -> list[dict[str, Any]]:
    ordered = sorted(groups, key=lambda one: (-one.plays, -one.time_ms, one.title or ""))
    return [one.to_json() for one in ordered[:TOP]]


# --- shows finished


def finishes(
    connection: Connection, person_id: int, span: Span, seen: Sequence[Group], now: datetime
) -> dict[str, int | None]:
    """How many of the shows were finished in that time, and of how many it is not known what they have."""
    by_key = {key: group for group in seen for key in show_keys(group)}
    lists = shows.listed(connection, by_key)
    known = {id(by_key[key]): Listing(key=key, title=by_key[key].title, ids=by_key[key].ids, episodes=episodes)
             for key, episodes in lists.items()}  # fmt: skip
    first = shows.first_seen(connection, person_id, list(known.values()))
    ended = [
        end for show in known.values() if (end := show.finished(first[show.key], now.date())) is not None
    ]
    finished = sum(1 for end in ended if span.holds(end))
    return {"shows_finished": finished if known else None, "shows_unknown": len(seen) - len(known)}


def show_keys(group: Group) -> set[str]:
    """What a followed show's list may be kept under: by its id, or by its title alone."""
    return {key for key in (show_key(group.title, group.ids), show_key(group.title, Ids())) if key}
