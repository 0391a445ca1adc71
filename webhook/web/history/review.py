"""A person's year in review: what stood out, and its drawing as one picture."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from webhook.history.stats import StatsJson
from webhook.history.stats_shows import TopEntryJson
from webhook.pictures.store import POSTER, WIDTHS, PictureStore
from webhook.web.http import charts
from webhook.web.http.charts import Day, Month
from webhook.web.http.language import format_date, format_number, gettext, month_name, ngettext, weekday_name

SHOWS_DRAWN = 5
POSTER_WIDTH = WIDTHS[POSTER][-1]


@dataclass(frozen=True, kw_only=True, slots=True)
class Fact:
    """Something that stood out, and its name."""

    name: str
    value: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Review:
    person: str
    year: int
    plays: int
    figures: Sequence[Fact]
    facts: Sequence[Fact]
    shows: Sequence[TopEntryJson]
    films: Sequence[TopEntryJson]
    days: Sequence[Day]
    """The days of the year in one row of weeks."""
    months: Sequence[Month]


def review_of(person: str, year: int, found: StatsJson) -> Review:
    first, last = charts.heat(year, found["days"])
    days = [replace(one, x=one.x - charts.GUTTER) for one in first.days]
    days += [replace(one, x=one.x + charts.WEEKS_PER_HALF * charts.STEP) for one in last.days]
    return Review(
        person=person,
        year=year,
        plays=found["plays"],
        figures=[
            Fact(name=gettext("hours"), value=format_number(found["time_ms"] // charts.HOUR_MS)),
            count_fact(ngettext("episode", "episodes", found["episodes"]), found["episodes"]),
            count_fact(ngettext("film", "films", found["films"]), found["films"]),
            count_fact(ngettext("show", "shows", found["shows"]), found["shows"]),
        ],
        facts=list_facts(found),
        shows=found["top"]["shows"][:SHOWS_DRAWN],
        films=found["top"]["films"][:SHOWS_DRAWN],
        days=days,
        months=[charts.month_of(one) for one in days if one.day.day == 1],
    )


def count_fact(name: str, number: int) -> Fact:
    return Fact(name=name, value=format_number(number))


def list_facts(found: StatsJson) -> list[Fact]:
    """What stood out, as far as there is anything."""
    facts = []
    if any(found["months_time_ms"]):
        month = found["months_time_ms"].index(max(found["months_time_ms"]))
        spent = charts.duration_text(found["months_time_ms"][month])
        facts.append(Fact(name=gettext("Busiest month"), value=f"{month_name(month + 1)}, {spent}"))
    if found["days"]:
        day, plays = max(found["days"].items(), key=lambda entry: entry[1])
        facts.append(
            Fact(
                name=gettext("Busiest day"),
                value=f"{format_date(date.fromisoformat(day), '%-d %B')}, "
                + ngettext("%(num)s play", "%(num)s plays", plays),
            )
        )
    if any(found["hours"]):
        hour, weekday = found["hours"].index(max(found["hours"])), busiest(found["weekdays"])
        when = gettext("%(weekday)ss, around %(hour)s:00", weekday=weekday, hour=hour)
        facts.append(Fact(name=gettext("Favourite time"), value=when))
    if streak := found["streaks"]["longest"]["days"]:
        facts.append(
            Fact(name=gettext("Longest streak"), value=ngettext("%(num)s day", "%(num)s days", streak))
        )
    if found["shows_finished"]:
        facts.append(Fact(name=gettext("Shows finished"), value=format_number(found["shows_finished"])))
    if found["rewatches"]:
        facts.append(
            Fact(
                name=gettext("Rewatched"), value=ngettext("%(num)s time", "%(num)s times", found["rewatches"])
            )
        )
    return facts


def busiest(weekdays: Sequence[int]) -> str:
    return weekday_name(weekdays.index(max(weekdays)))


def embed_posters(store: PictureStore, entries: Sequence[TopEntryJson]) -> Mapping[str, str]:
    """The posters as data within the drawing, by key."""
    found = {}
    for entry in entries:
        key = entry["picture"]
        content = store.read(key, POSTER, POSTER_WIDTH) if key else None
        if key and content is not None:
            found[key] = f"data:image/webp;base64,{base64.b64encode(content).decode()}"
    return found
