"""The span of statistics: a year in a person's time zone, and its plays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    Connection,
    and_,
    case,
    func,
    literal,
    select,
    type_coerce,
)

from webhook.domain.event import Kind
from webhook.domain.play import Dated
from webhook.history.shows import counts_as_viewing
from webhook.storage.json_sql import json_text
from webhook.storage.tables import person, play
from webhook.storage.types import to_ms

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
BEFORE_1970 = date(1970, 1, 1).toordinal()
"""Days before the stored times begin: a day is counted as `date.toordinal` counts it, and is never negative."""


def zone_of(name: str | None) -> ZoneInfo:
    """The person's time zone; UTC if none is set or it is unknown here."""
    try:
        return ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


def zone_for(connection: Connection, person_id: int) -> ZoneInfo:
    return zone_of(connection.execute(select(person.c.timezone).where(person.c.id == person_id)).scalar())


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """A year as the person's zone and as UTC has it, or all time (None each)."""

    local: tuple[datetime, datetime] | None = None
    utc: tuple[datetime, datetime] | None = None

    @classmethod
    def of_year(cls, year: int | None, zone: ZoneInfo) -> Span:
        if year is None:
            return cls()
        local = (datetime(year, 1, 1, tzinfo=zone), datetime(year + 1, 1, 1, tzinfo=zone))
        utc = (datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC))
        return cls(local=local, utc=utc)

    @property
    def ends(self) -> datetime | None:
        """The end of the span, exclusive; None for all time."""
        return max(self.local[1], self.utc[1]) if self.local and self.utc else None

    def holds(self, at: datetime) -> bool:
        return self.local is None or self.local[0] <= at < self.local[1]

    def conditions(self, at: Any, dated: Any) -> Iterator[ColumnElement[bool]]:
        """The conditions for a play in the span; one dated by day counts at noon UTC of that day in any zone."""
        if self.local is None or self.utc is None:
            return
        (begins, ends), (opens, closes) = self.local, self.utc
        yield at >= min(begins, opens)  # the index's range; what lies exactly in the year is below
        yield at < max(ends, closes)
        yield case(
            (dated == Dated.DAY.value, and_(at >= opens, at < closes)), else_=and_(at >= begins, at < ends)
        )


def in_span(span: Span, since: datetime | None, until: datetime | None) -> Iterator[ColumnElement[bool]]:
    """The conditions for plays of the span watched in the given interval."""
    yield from span.conditions(play.c.watched_at, play.c.dated)
    if since is not None:
        yield play.c.watched_at >= since
    if until is not None:
        yield play.c.watched_at < until


def select_viewings(
    connection: Connection,
    person_id: int,
    span: Span,
    zone: ZoneInfo,
    since: datetime | None,
    until: datetime | None,
) -> CTE:
    """The plays that count, with their local day (as in `date.toordinal`), hour and title.

    The title and the ids of an episode are its show's, the title of a track is its artist.
    """
    first, last = span.local or first_and_last(connection, person_id)
    at = type_coerce(play.c.watched_at, BigInteger)
    there = offset_sql(at, offsets(zone, first, last))
    here = case((play.c.dated == Dated.DAY.value, literal(0, BigInteger)), else_=there)
    local = at + here + literal(BEFORE_1970 * DAY_MS, BigInteger)
    episode, film = play.c.kind == Kind.EPISODE.value, play.c.kind == Kind.MOVIE.value
    item = play.c.item
    return (
        select(
            play.c.kind,
            play.c.dated,
            play.c.duration_ms,
            at.label("at"),
            (local // DAY_MS).label("day"),
            (local % DAY_MS // HOUR_MS).label("hour"),
            case((episode, json_text(item, "show")), (film, json_text(item, "title")), else_=json_text(item, "artist")).label("title"),
            case((episode, json_text(item, "show_ids")), (film, json_text(item, "ids"))).label("ids"),
            case((film, json_text(item, "year"))).label("year"),
        )
        .where(counts_as_viewing(person_id), *in_span(span, since, until))
        .cte("viewed")
    )  # fmt: skip


def first_and_last(connection: Connection, person_id: int) -> Sequence[datetime | None]:
    """The first and the last time at which the person watched anything."""
    mine = play.c.person_id == person_id
    # Two queries, since the index answers each alone.
    first, last = (select(end(play.c.watched_at)).where(mine) for end in (func.min, func.max))
    return connection.execute(select(first.scalar_subquery(), last.scalar_subquery())).one()


OffsetSince = tuple[int, int]
"""From when on (UTC ms) a zone has which offset (ms)."""


def offsets(zone: ZoneInfo, first: datetime | None, last: datetime | None) -> list[OffsetSince]:
    """The offsets that the zone has from the first time to the last; the first of them holds before as well."""
    if first is None or last is None:
        return [(0, 0)]
    begins, ends = to_ms(first), to_ms(last)
    found = [(begins, offset_at(zone, first))]
    for year in range(first.astimezone(UTC).year, last.astimezone(UTC).year + 1):
        found += [since for since in offset_changes(zone, year) if begins < since[0] <= ends]
    return found


@lru_cache(maxsize=4096)
def offset_changes(zone: ZoneInfo, year: int) -> tuple[OffsetSince, ...]:
    """The zone's offset changes in a year (UTC), each with the offset from then on."""
    begins = datetime(year, 1, 1, tzinfo=UTC)
    days = [begins + timedelta(days=number) for number in range(367)]
    ends = datetime(year + 1, 1, 1, tzinfo=UTC)
    found = [
        find_change(zone, one, other)
        for one, other in pairwise(days)
        if one < ends and offset_at(zone, one) != offset_at(zone, other)
    ]
    return tuple(found)


def find_change(zone: ZoneInfo, before: datetime, after: datetime) -> OffsetSince:
    """The second between two times at which the zone's offset changes."""
    while after - before > timedelta(seconds=1):
        middle = before + timedelta(seconds=(after - before) // timedelta(seconds=2))
        if offset_at(zone, middle) == offset_at(zone, before):
            before = middle
        else:
            after = middle
    return to_ms(after), offset_at(zone, after)


def offset_at(zone: ZoneInfo, at: datetime) -> int:
    """The zone's offset from UTC in milliseconds."""
    return (at.astimezone(zone).utcoffset() or timedelta()) // timedelta(milliseconds=1)


def offset_sql(at: ColumnElement[int], known: Sequence[OffsetSince]) -> ColumnElement[int]:
    """The offset at a time as SQL: a tree of cases, so that many years cost few comparisons."""
    if len(known) == 1:
        return literal(known[0][1], BigInteger)
    middle = len(known) // 2
    later = literal(known[middle][0], BigInteger)
    return case((at < later, offset_sql(at, known[:middle])), else_=offset_sql(at, known[middle:]))
