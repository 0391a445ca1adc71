"""Numbers: what a person has watched in a year or ever, counted where the plays are.

A play counts once it was watched, and neither taken back nor removed. The days and hours are those of
the person's own time zone: SQL adds to each time the offset that the zone had then. A play of which only
the day is known counts for no hour; one that was only ticked counts for neither hours nor days.

What many plays come to is kept (tallies.py): then only those since are counted, and added. The answer is the
same either way.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from heapq import nsmallest
from itertools import pairwise
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import orjson
from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    Text,
    and_,
    case,
    cast,
    func,
    literal,
    literal_column,
    null,
    or_,
    select,
    type_coerce,
    union_all,
)
from sqlalchemy.types import TypeEngine

from webhook import clock
from webhook.domain.event import ID_NAMES, Ids, Kind
from webhook.domain.items import folded
from webhook.domain.play import Dated
from webhook.history import shows, stats_cache
from webhook.history.library import show_key
from webhook.history.shows import Listing, Place, counted
from webhook.history.stats_cache import Tally
from webhook.storage.json_sql import json_text
from webhook.storage.tables import person, play, play_key
from webhook.storage.types import from_ms, to_ms

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
    at = play.c.watched_at
    # One of each end: the index has them in order, and few of them do not count.
    first, last = (
        connection.execute(select(at).where(counted(person_id)).order_by(end).limit(1)).scalar()
        for end in (at.asc(), at.desc())
    )
    if first is None or last is None:
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
    found, kept = looked_up(connection, person_id, year, zone)
    ends = endings(connection, person_id, found, kept, now.date())
    days = {date.fromordinal(place): counts for place, counts in sorted(found.sums.days.items())}
    plays, times = ({day: counts[which] for day, counts in days.items()} for which in (0, 1))
    week = [[found.sums.hours.get(day * 24 + hour, 0) for hour in range(24)] for day in range(7)]
    finished = sum(1 for end in ends.values() if end.at is not None and span.holds(from_ms(end.at)))
    return {
        "year": year,
        "timezone": zone.key,
        **totals(found.sums),
        "shows": len(found.shows),
        "rewatches": found.sums.rewatches,
        "shows_finished": finished if ends else None,
        "shows_unknown": len(found.shows) - len(ends),
        "streaks": streaks(days, now.astimezone(zone).date()),
        "hours": [sum(day[hour] for day in week) for hour in range(24)],
        "weekdays": summed(plays, 7, lambda day: day.weekday()),
        "weekday_hours": week,
        "months": summed(plays, 12, lambda day: day.month - 1),
        "months_time_ms": summed(times, 12, lambda day: day.month - 1),
        "days": {day.isoformat(): count for day, count in plays.items()},
        "top": found.top,
    }


# --- what is kept, and what has come since


def what(year: int | None, zone: ZoneInfo) -> str:
    """The name of the tally of a year, or of all years."""
    return f"{'all' if year is None else year} {zone.key}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """How far the shows of a tally were seen, by the key of their list, and how many plays came since."""

    ends: Mapping[str, Ending] = field(default_factory=dict)
    live: int = 0


def looked_up(connection: Connection, person_id: int, year: int | None, zone: ZoneInfo) -> tuple[Found, Kept]:
    """What the plays of a year come to, and what was kept of its shows."""
    span, there = Span.of(year, zone), stats_cache.one(connection, person_id, what(year, zone))
    if there is None:
        found = Found.of(sums(connection, person_id, span, zone))
        return found, Kept() if year is None else kept_ends(connection, person_id, zone)
    tally, answer = there
    found = Found.from_json(answer)
    kept = kept_of(connection, person_id, there, span.ends)
    if not kept.live:
        return found, kept
    before = stats_cache.titles(connection, person_id, tally)
    if before is None:  # a play that it counted has just changed
        return Found.of(sums(connection, person_id, span, zone)), Kept()
    found.sums.titles = {
        (kind, title, ids, year): [plays, time] for kind, title, ids, year, plays, time in before
    }
    found.sums.add(sums(connection, person_id, span, zone, since=tally.until))
    return Found.of(found.sums), kept


def kept_ends(connection: Connection, person_id: int, zone: ZoneInfo) -> Kept:
    """The same of all years, which is right for each of them."""
    there = stats_cache.one(connection, person_id, what(None, zone))
    return Kept() if there is None else kept_of(connection, person_id, there, None)


def kept_of(connection: Connection, person_id: int, there: tuple[Tally, Any], until: datetime | None) -> Kept:
    """What is kept with a tally, and how many plays came since, before the year was over: those before it began
    count too, as a show that is finished in it may have been watched till then."""
    since, answer = there[0].until, there[1]
    live = (
        0
        if until is not None and since >= until
        else plays_between(connection, person_id, Span(), since, until)
    )
    return Kept(ends={key: Ending(key, *rest) for key, *rest in answer["ends"]}, live=live)


def plays_between(
    connection: Connection, person_id: int, span: Span, since: datetime, until: datetime | None = None
) -> int:
    """How many plays of the span were watched since then, and before `until`."""
    if span.ends is not None and since >= span.ends:
        return 0
    wanted = select(func.count()).where(counted(person_id), *within(span, since, until))
    return connection.execute(wanted).scalar_one()


def tally(
    connection: Connection, person_id: int, year: int | None, zone: ZoneInfo, until: datetime, now: datetime
) -> tuple[dict[str, Any], list[Any]]:
    """What is kept of the plays before some time: the answer as JSON, and the titles that later ones are added to."""
    counts = sums(connection, person_id, Span.of(year, zone), zone, until=until)
    found, kept = Found.of(counts), Kept() if year is None else kept_ends(connection, person_id, zone)
    ends = endings(connection, person_id, found, kept, now.date()).values()
    answer = {**found.to_json(), "ends": [astuple(end.before(until, kept.live)) for end in ends]}
    return answer, [[*of, *counted] for of, counted in counts.titles.items()]


def closing(year: int | None, zone: ZoneInfo, now: datetime) -> datetime:
    """Up to when a tally that is made now can count: until the year is over for everybody, at most until now."""
    ends = Span.of(year, zone).ends
    return now if ends is None else min(now, ends)


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What plays come to, as it is told."""

    sums: Sums
    shows: Sequence[Seen]
    top: Mapping[str, Any]

    @classmethod
    def of(cls, counts: Sums) -> Found:
        seen, films, artists = (
            merged(counts.of_kind(kind)) for kind in (Kind.EPISODE, Kind.MOVIE, Kind.TRACK)
        )
        shows = [Seen(title=one.title, ids=one.ids, keys=show_keys(one)) for one in seen]
        return cls(
            sums=counts, shows=shows, top={"shows": top(seen), "films": top(films), "artists": top(artists)}
        )

    def to_json(self) -> dict[str, Any]:
        return {"sums": self.sums.to_json(), "shows": [list(show) for show in self.shows], "top": self.top}

    @classmethod
    def from_json(cls, known: Mapping[str, Any]) -> Found:
        shows = [Seen(*show) for show in known["shows"]]
        return cls(sums=Sums.from_json(known["sums"]), shows=shows, top=known["top"])


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

    @property
    def ends(self) -> datetime | None:
        """From when on no play is of it; None for all time."""
        return max(self.local[1], self.utc[1]) if self.local and self.utc else None

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


def within(span: Span, since: datetime | None, until: datetime | None) -> Iterator[ColumnElement[bool]]:
    """The plays of the span that were watched since then and before that."""
    yield from span.where(play.c.watched_at, play.c.dated)
    if since is not None:
        yield play.c.watched_at >= since
    if until is not None:
        yield play.c.watched_at < until


def viewings(
    connection: Connection,
    person_id: int,
    span: Span,
    zone: ZoneInfo,
    since: datetime | None,
    until: datetime | None,
) -> CTE:
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
            case((episode, json_text(item, "show")), (film, json_text(item, "title")), else_=json_text(item, "artist")).label("title"),
            case((episode, json_text(item, "show_ids")), (film, json_text(item, "ids"))).label("ids"),
            case((film, json_text(item, "year"))).label("year"),
        )
        .where(counted(person_id), *within(span, since, until))
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


Title = tuple[str, str | None, str | None, int | None]
"""What plays are grouped by: kind, title, ids as JSON and year; of an episode its show's."""


@dataclass(slots=True)
class Sums:
    """What adds up: plays by kind and by how they are dated, by day, by hour of the week and by title; and the rewatches.

    By kind that is how many there are, how many of known length, and their time in ms; by day and by title, how
    many and their time; by hour of the week, which begins on Monday, how many.
    """

    kinds: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    days: dict[int, list[int]] = field(default_factory=dict)
    hours: dict[int, int] = field(default_factory=dict)
    titles: dict[Title, list[int]] = field(default_factory=dict)
    rewatches: int = 0

    def add(self, more: Sums) -> None:
        for hour, plays in more.hours.items():
            self.hours[hour] = self.hours.get(hour, 0) + plays
        for day, counts in more.days.items():
            self.days[day] = added(self.days.get(day), counts)
        for kind, counts in more.kinds.items():
            self.kinds[kind] = added(self.kinds.get(kind), counts)
        for title, counts in more.titles.items():
            self.titles[title] = added(self.titles.get(title), counts)
        self.rewatches += more.rewatches

    def of_kind(self, kind: Kind) -> Iterator[Told]:
        return (Told(*of[1:], *counts) for of, counts in self.titles.items() if of[0] == kind)

    def to_json(self) -> dict[str, Any]:
        """Without the titles."""
        return {
            "kinds": [[*kind, *counts] for kind, counts in self.kinds.items()],
            "days": [[day, *counts] for day, counts in self.days.items()],
            "hours": list(self.hours.items()),
            "rewatches": self.rewatches,
        }

    @classmethod
    def from_json(cls, known: Mapping[str, Any]) -> Sums:
        kinds = {(kind, dated): counts for kind, dated, *counts in known["kinds"]}
        days = {day: counts for day, *counts in known["days"]}
        return cls(kinds=kinds, days=days, hours=dict(known["hours"]), rewatches=known["rewatches"])


def added(known: Sequence[int] | None, more: Sequence[int]) -> list[int]:
    return [one + other for one, other in zip(known, more, strict=True)] if known else list(more)


def sums(
    connection: Connection,
    person_id: int,
    span: Span,
    zone: ZoneInfo,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Sums:
    """All sums in one statement, so that each play is looked up once; and the rewatches."""
    viewed = viewings(connection, person_id, span, zone, since, until)
    of, ticked, exact = viewed.c, Dated.TICKED.value, Dated.EXACT.value
    hour_of_week = (of.day - literal(1, BigInteger)) % 7 * 24 + of.hour  # the first day of all was a Monday
    wanted = union_all(
        summing(viewed, "kind", {"kind": of.kind, "dated": of.dated}),
        summing(viewed, "day", {"place": of.day}).where(of.dated != ticked),
        summing(viewed, "hour", {"place": hour_of_week}).where(of.dated == exact),
        summing(viewed, "title", {"kind": of.kind, "title": of.title, "ids": of.ids, "year": of.year}),
    )
    found = Sums(rewatches=rewatches(connection, person_id, span, since, until))
    for what_, kind, dated, place, title, ids, year, plays, timed, time in connection.execute(wanted):
        match what_:
            case "kind":
                found.kinds[kind, dated] = [plays, timed, int(time or 0)]
            case "day":
                found.days[place] = [plays, int(time or 0)]
            case "hour":
                found.hours[place] = plays
            case _:
                of_title = (kind, title, ids, None if year is None else int(year))
                found.titles[of_title] = added(found.titles.get(of_title), (plays, int(time or 0)))
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


def totals(counts: Sums) -> dict[str, Any]:
    """The plays, by kind and by how they are dated, and their time."""
    rows = [(kind, dated, plays, timed, time) for (kind, dated), (plays, timed, time) in counts.kinds.items()]
    return {
        "plays": sum(plays for _, _, plays, _, _ in rows),
        "time_ms": sum(time for *_, time in rows),
        "without_duration": sum(plays - timed for _, _, plays, timed, _ in rows),
        **{name: sum(plays for kind, _, plays, _, _ in rows if kind == of) for of, name in NAMES.items()},
        "ticked": sum(plays for _, dated, plays, _, _ in rows if dated == Dated.TICKED),
        "day_only": sum(plays for _, dated, plays, _, _ in rows if dated == Dated.DAY),
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


def rewatches(
    connection: Connection, person_id: int, span: Span, since: datetime | None, until: datetime | None
) -> int:
    """The plays of films and episodes that the person had watched before, by any key that both are known by."""
    if span.local is None and since is None:
        return all_rewatches(connection, person_id, until)
    known, same, before = play_key.alias("known"), play_key.alias("same"), play.alias("before")
    # Nothing is said of whose these are: SQLite would go through all that is the person's.
    earlier = (
        select(before.c.id)
        .select_from(known)
        .join(same, and_(same.c.person_id == known.c.person_id, same.c.key == known.c.key))
        .join(before, before.c.id == same.c.play_id)
        .where(
            known.c.play_id == play.c.id,
            known.c.key.not_like("track%"),
            before.c.unwatched_at.is_(None),
            before.c.removed_at.is_(None),
            or_(
                before.c.watched_at < play.c.watched_at,
                and_(before.c.watched_at == play.c.watched_at, before.c.id < play.c.id),
            ),
        )
    )
    wanted = select(func.count()).where(
        counted(person_id), play.c.kind != Kind.TRACK.value, *within(span, since, until), earlier.exists()
    )
    return connection.execute(wanted).scalar_one()


def all_rewatches(connection: Connection, person_id: int, until: datetime | None) -> int:
    """The same of all years: there it costs less to go once through all keys that several plays have."""
    mine = (play_key.c.person_id == person_id, play_key.c.key.not_like("track%"))
    again = select(play_key.c.key).where(*mine).group_by(play_key.c.key).having(func.count() > 1)
    turn_of = func.row_number().over(partition_by=play_key.c.key, order_by=(play.c.watched_at, play.c.id))
    turned = (
        select(play.c.id, play.c.watched_at, turn_of.label("turn"))
        .join(play, play.c.id == play_key.c.play_id)
        .where(*mine, play_key.c.key.in_(again), counted(person_id))
        .subquery("turned")
    )
    wanted = select(func.count(turned.c.id.distinct())).where(turned.c.turn > 1)
    if until is not None:
        wanted = wanted.where(turned.c.watched_at < until)
    return connection.execute(wanted).scalar_one()


# --- what was watched most


Known = dict[str, int | str]
"""Ids, by namespace."""


class Told(NamedTuple):
    """Plays that are told of in the same words."""

    title: str | None
    ids: str | None
    year: int | None
    plays: int
    time_ms: int


@dataclass(slots=True)
class Group:
    """The plays of one show, film or artist."""

    title: str | None
    year: int | None = None
    ids: Known = field(default_factory=dict)
    plays: int = 0
    time_ms: int = 0

    def same(self, ids: Known, year: int | None) -> bool:
        """Whether another of the same title may be this one."""
        if any(self.ids.get(name, value) != value for name, value in ids.items()):
            return False
        return None in (year, self.year) or year == self.year

    def to_json(self) -> dict[str, Any]:
        named = {"title": self.title, "year": self.year, "ids": Ids.from_json(self.ids).known()}
        return {**named, "plays": self.plays, "time_ms": self.time_ms}


def merged(rows: Iterable[Told]) -> list[Group]:
    """One group of what is told in several ways: with other ids, or with a title alone."""
    groups: list[Group] = []
    by_id: dict[tuple[str, int | str], Group] = {}
    by_title: dict[str, list[Group]] = {}
    for row in sorted(rows, key=best_told_first):
        ids = known_ids(row.ids)
        title = folded(row.title or "")
        alike = by_title.setdefault(title, []) if title else []
        group = next((by_id[pair] for pair in ids.items() if pair in by_id), None)
        group = group or next((one for one in alike if one.same(ids, row.year)), None)
        if group is None:
            group = Group(row.title, row.year)
            groups.append(group)
            alike.append(group)
        group.ids = {**ids, **group.ids}
        group.plays += row.plays
        group.time_ms += row.time_ms
        by_id |= dict.fromkeys(ids.items(), group)
    return groups


def known_ids(stored: str | None) -> Known:
    """The ids in JSON, in the order in which they are named everywhere: what is looked at first decides."""
    if not stored or stored == "{}":
        return {}
    found: Known = orjson.loads(stored)
    return {name: found[name] for name in ID_NAMES if found.get(name) is not None}


def best_told_first(row: Told) -> tuple[Any, ...]:
    """What has most ids, then what is told most; of the same, always in one order."""
    return -(row.ids or "").count(":"), -row.plays, row.title or "", row.ids or "", str(row.year)


def top(groups: Iterable[Group]) -> list[dict[str, Any]]:
    ordered = nsmallest(TOP, groups, key=lambda one: (-one.plays, -one.time_ms, one.title or ""))
    return [one.to_json() for one in ordered]


# --- shows finished


class Seen(NamedTuple):
    """A show of which something was watched, and what its list of episodes may be kept under."""

    title: str | None
    ids: Known
    keys: Sequence[str]


@dataclass(frozen=True, slots=True)
class Ending:
    """What of a listed show is seen: `left` aired episodes are not, or all were first seen `at` (UTC ms).

    It is so for this list, title and ids, until the day of the episode that comes `next`.
    """

    key: str
    digest: str
    title: str | None
    ids: Known
    next: str | None
    left: int
    at: int | None

    def holds(self, show: Seen, digest: str, today: date, live: int) -> bool:
        """Whether it is still so after some more plays."""
        if (self.digest, self.title, self.ids) != (digest, show.title, show.ids):
            return False
        aired = self.next is not None and self.next <= today.isoformat()
        return not aired and (self.at is not None or self.left > live)

    def before(self, until: datetime, live: int) -> Ending:
        """The same as the plays before some time have it; so many others may not have been looked at."""
        if self.at is not None and self.at < to_ms(until):
            return self
        return replace(self, left=max(self.left - live, 1), at=None)


def endings(
    connection: Connection, person_id: int, found: Found, kept: Kept, today: date
) -> dict[int, Ending]:
    """Of each show of which it is known what it has, how far it is seen; by its place among those found.

    What was kept with a tally is taken where so many plays since cannot have changed it.
    """
    by_key = {key: place for place, show in enumerate(found.shows) for key in show.keys}
    lists = shows.lists(connection, by_key)
    ends: dict[int, Ending] = {}
    asked: dict[int, tuple[Listing, str]] = {}
    for key in sorted(lists):
        place, text = by_key[key], lists[key]
        show, digest = found.shows[place], hashlib.blake2b(text.encode(), digest_size=12).hexdigest()
        end = kept.ends.get(key)
        if end is not None and end.holds(show, digest, today, kept.live):
            ends[place] = end
            asked.pop(place, None)
            continue
        ids = Ids.from_json(show.ids)
        asked[place] = (Listing(key=key, title=show.title, ids=ids, episodes=shows.episodes_of(text)), digest)
        ends.pop(place, None)
    first = shows.first_seen(connection, person_id, [listing for listing, _ in asked.values()])
    for place, (listing, digest) in asked.items():
        ends[place] = ending(listing, digest, first[listing.key], today)
    return ends


def ending(show: Listing, digest: str, seen: Mapping[Place, datetime], today: date) -> Ending:
    aired, at = show.aired(today), show.finished(seen, today)
    left = sum((one.season, one.number) not in seen for one in aired)
    return Ending(
        show.key,
        digest,
        show.title,
        show.ids.known(),
        show.next_day(today),
        left,
        None if at is None else to_ms(at),
    )


def show_keys(group: Group) -> list[str]:
    """What a followed show's list may be kept under: by its id, or by its title alone."""
    own = show_key(group.title, Ids.from_json(group.ids)), show_key(group.title, Ids())
    return list(dict.fromkeys(key for key in own if key))
