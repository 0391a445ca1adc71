"""Statistics of a person's plays in a year or ever, computed in the database.

A play counts once it was watched, and neither taken back nor removed. The days and hours are those of
the person's own time zone: SQL adds to each time the offset that the zone had then. A play of which only
the day is known counts for no hour; one that was only ticked counts for neither hours nor days.

What many plays come to is kept (tallies.py): then only those since are counted, and added. The answer is the
same either way.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import Field
from sqlalchemy import Connection, func, select

from webhook import clock
from webhook.domain.event import Kind
from webhook.history import stats_cache
from webhook.history.shows import counts_as_viewing
from webhook.history.stats_cache import Tally, TallyTitle
from webhook.history.stats_shows import (
    Counts,
    Ending,
    KeptEndings,
    SeenShow,
    TallyJson,
    TopJson,
    find_endings,
    top_json,
)
from webhook.history.stats_span import Span, in_span
from webhook.history.stats_sums import (
    MonthsByKindJson,
    StreaksJson,
    Sums,
    TitleCount,
    TitleKey,
    TotalsJson,
    count_sums,
    months_by_kind,
    streaks,
    sum_by,
    totals,
)
from webhook.storage.json_fields import Count
from webhook.storage.tables import play
from webhook.storage.types import from_ms


class StatsJson(TotalsJson):
    """The statistics of a year, or of all years; times in ms."""

    year: Annotated[int | None, Field(description="Null for all years.")]
    timezone: str
    shows: Count
    rewatches: Count
    shows_unknown: Count
    shows_finished: int | None
    streaks: StreaksJson
    hours: Annotated[list[Count], Field(description="Plays by hour, 0 to 23.")]
    weekdays: Annotated[list[Count], Field(description="Plays by weekday, from Monday on.")]
    weekday_hours: Annotated[list[list[Count]], Field(description="Plays by weekday, then by hour.")]
    months: Annotated[list[Count], Field(description="Plays by month, from January on.")]
    months_time_ms: Annotated[list[Count], Field(description="Time watched by month.")]
    months_by_kind: MonthsByKindJson
    days: Annotated[dict[str, Count], Field(description="Plays by day.")]
    top: TopJson


def list_years(connection: Connection, person_id: int, zone: ZoneInfo) -> list[int]:
    """The years from the first viewing to the last, the newest first."""
    at = play.c.watched_at
    # One of each end: the index has them in order, and few of them do not count.
    first, last = (
        connection.execute(select(at).where(counts_as_viewing(person_id)).order_by(end).limit(1)).scalar()
        for end in (at.asc(), at.desc())
    )
    if first is None or last is None:
        return []
    return list(range(last.astimezone(zone).year, first.astimezone(zone).year - 1, -1))


def year_stats(
    connection: Connection, person_id: int, year: int | None, zone: ZoneInfo, now: datetime | None = None
) -> StatsJson:
    """The person's numbers of a year in their zone, or of all years: counts, and times in ms.

    `shows_finished` are those of which everything aired so far is seen since some day of that time; None
    where it is known of none what it has. `without_duration` plays add nothing to the time.
    """
    now = now or clock.now()
    span = Span.of_year(year, zone)
    found, kept = load_or_count(connection, person_id, year, zone)
    ends = find_endings(connection, person_id, found, kept, now.date())
    plays, times = found.sums.by_day(0), found.sums.by_day(1)
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
        "streaks": streaks(plays, now.astimezone(zone).date()),
        "hours": [sum(day[hour] for day in week) for hour in range(24)],
        "weekdays": sum_by(plays, 7, lambda day: day.weekday()),
        "weekday_hours": week,
        "months": sum_by(plays, 12, lambda day: day.month - 1),
        "months_time_ms": sum_by(times, 12, lambda day: day.month - 1),
        "months_by_kind": months_by_kind(found.sums),
        "days": {day.isoformat(): count for day, count in plays.items()},
        "top": top_json(found.top),
    }


def tally_name(year: int | None, zone: ZoneInfo) -> str:
    """The name of the tally of a year, or of all years."""
    return f"{'all' if year is None else year} {zone.key}"


def load_or_count(
    connection: Connection, person_id: int, year: int | None, zone: ZoneInfo
) -> tuple[Counts, KeptEndings]:
    """The counts of a year's plays, and the stored endings of its shows."""
    span, there = (
        Span.of_year(year, zone),
        stats_cache.find_tally(connection, person_id, tally_name(year, zone)),
    )
    if there is None:
        found = Counts.from_sums(count_sums(connection, person_id, span, zone))
        return found, KeptEndings() if year is None else load_endings(connection, person_id, zone)
    tally, answer = there
    found = Counts.from_json(answer)
    kept = endings_of_tally(connection, person_id, there, span.ends)
    if not kept.live:
        return found, kept
    before = titles_of_tally(connection, person_id, tally)
    if before is None:  # a play that it counted has just changed
        return Counts.from_sums(count_sums(connection, person_id, span, zone)), KeptEndings()
    found.sums.titles = before
    found.sums.add(count_sums(connection, person_id, span, zone, since=tally.until))
    return Counts.from_sums(found.sums), kept


def titles_of_tally(connection: Connection, person_id: int, tally: Tally) -> dict[TitleKey, list[int]] | None:
    before = stats_cache.tally_titles(connection, person_id, tally)
    if before is None:
        return None
    return {(kind, title, ids, year): counts for kind, title, ids, year, *counts in before}


def watched_shows(
    connection: Connection, person_id: int, zone: ZoneInfo, now: datetime
) -> list[tuple[SeenShow, Ending | None]]:
    """Every show that the person has watched, each with their progress in it where its episodes are listed."""
    found, kept = load_or_count(connection, person_id, None, zone)
    ends = find_endings(connection, person_id, found, kept, now.date())
    return [(show, ends.get(place)) for place, show in enumerate(found.shows)]


def watched_films(connection: Connection, person_id: int, zone: ZoneInfo) -> list[TitleCount]:
    """Every film that the person has watched, as often as it was reported differently."""
    span, there = Span(), stats_cache.find_tally(connection, person_id, tally_name(None, zone))
    before = there and titles_of_tally(connection, person_id, there[0])
    if there is None or before is None:
        sums = count_sums(connection, person_id, span, zone)
    else:
        sums = Sums(titles=before)
        if count_plays_between(connection, person_id, span, there[0].until):
            sums.add(count_sums(connection, person_id, span, zone, since=there[0].until))
    return list(sums.of_kind(Kind.MOVIE))


def load_endings(connection: Connection, person_id: int, zone: ZoneInfo) -> KeptEndings:
    """The endings stored with the tally of all years, valid for each year."""
    there = stats_cache.find_tally(connection, person_id, tally_name(None, zone))
    return KeptEndings() if there is None else endings_of_tally(connection, person_id, there, None)


def endings_of_tally(
    connection: Connection, person_id: int, there: tuple[Tally, TallyJson], until: datetime | None
) -> KeptEndings:
    """The endings stored with a tally, and the number of plays since, before the year was over: those before it began
    count too, as a show that is finished in it may have been watched till then."""
    since, answer = there[0].until, there[1]
    live = (
        0
        if until is not None and since >= until
        else count_plays_between(connection, person_id, Span(), since, until)
    )
    return KeptEndings(ends={end[0]: Ending(*end) for end in answer["ends"]}, live=live)


def count_plays_between(
    connection: Connection, person_id: int, span: Span, since: datetime, until: datetime | None = None
) -> int:
    """The number of plays of the span that were watched since then and before `until`."""
    if span.ends is not None and since >= span.ends:
        return 0
    wanted = select(func.count()).where(counts_as_viewing(person_id), *in_span(span, since, until))
    return connection.execute(wanted).scalar_one()


def make_tally(
    connection: Connection, person_id: int, year: int | None, zone: ZoneInfo, until: datetime, now: datetime
) -> tuple[TallyJson, list[TallyTitle]]:
    """The tally of the plays before some time: the answer as JSON, and the titles that later ones are added to."""
    counts = count_sums(connection, person_id, Span.of_year(year, zone), zone, until=until)
    found, kept = (
        Counts.from_sums(counts),
        KeptEndings() if year is None else load_endings(connection, person_id, zone),
    )
    ends = find_endings(connection, person_id, found, kept, now.date()).values()
    answer: TallyJson = {
        **found.to_json(),
        "ends": [end.limit_to(until, kept.live).to_json() for end in ends],
    }
    return answer, [(*of, plays, time, last) for of, (plays, time, last) in counts.titles.items()]


def tally_end(year: int | None, zone: ZoneInfo, now: datetime) -> datetime:
    """The end of a tally made now: the end of the year everywhere, at most now."""
    ends = Span.of_year(year, zone).ends
    return now if ends is None else min(now, ends)
