"""The command numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

import typer
from sqlalchemy import Connection

from webhook.cli._common import (
    Json,
    Whose,
    count_of,
    say,
)
from webhook.cli._desk import (
    open_desk,
    person_or_only,
)
from webhook.history import stats
from webhook.history.stats import StatsJson
from webhook.history.stats_shows import TopEntryJson
from webhook.history.stats_span import zone_of
from webhook.history.stats_sums import StreakJson

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
BAR = 30  # letters of the longest bar

app = typer.Typer()


class PersonStats(StatsJson):
    """The statistics, and whose they are."""

    person: str


@app.command("numbers")
def numbers_command(
    whose: Whose = None,
    year: Annotated[
        int | None, typer.Option("--year", min=1900, max=9000, help="Only this year, such as 2026.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show viewing statistics: time, films, episodes, streaks, hours and weekdays."""
    with open_desk() as at:
        found = at.database.ask(lambda connection: of_person(connection, whose, year))
    say(as_json, found, *numbers_story(found))


def of_person(connection: Connection, whose: str | None, year: int | None) -> PersonStats:
    owner = person_or_only(connection, whose)
    zone = zone_of(owner.timezone)
    return {"person": owner.name, **stats.year_stats(connection, owner.id, year, zone)}


def numbers_story(found: PersonStats) -> Iterator[str]:
    when = "ever" if found["year"] is None else f"in {found['year']}"
    if not found["plays"]:
        yield f"{found['person']} has not watched anything {when}."
        return
    yield f"{found['person']}, {when} (times of {found['timezone']})"
    yield f"  time watched    {duration_text(found['time_ms'])}{unknown_text(found)}"
    yield f"  films           {found['films']:,}"
    yield f"  episodes        {found['episodes']:,} of {count_of(found['shows'], 'show')}"
    yield f"  tracks          {found['tracks']:,}"
    yield f"  rewatches       {found['rewatches']:,}"
    yield f"  shows finished  {finished_text(found)}"
    for name in ("longest", "current"):
        yield f"  {name} streak  {run(found['streaks'][name])}"
    if found["ticked"]:
        yield f"  {count_of(found['ticked'], 'play')} without an exact date"
    yield from bars("By weekday", WEEKDAYS, found["weekdays"])
    yield from bars("By hour", [f"{hour:02}:00" for hour in range(24)], found["hours"])
    top = found["top"]
    for kind, entries in (("shows", top["shows"]), ("films", top["films"]), ("artists", top["artists"])):
        yield from top_lines(kind, entries)


def duration_text(ms: int) -> str:
    days, minutes = divmod(ms // 60_000, 24 * 60)
    hours = f"{minutes // 60} h {minutes % 60:02} min"
    return f"{count_of(days, 'day')} {hours}" if days else hours


def unknown_text(found: StatsJson) -> str:
    without = found["without_duration"]
    return f", and {count_of(without, 'play')} of unknown length" if without else ""


def finished_text(found: StatsJson) -> str:
    if found["shows_finished"] is None:
        return "unknown, because no episode lists are known"
    left = found["shows_unknown"]
    return f"{found['shows_finished']:,}" + (f" ({left:,} shows without an episode list)" if left else "")


def run(streak: StreakJson) -> str:
    if not streak["days"]:
        return "none"
    return f"{count_of(streak['days'], 'day')}, {streak['first']} to {streak['last']}"


def bars(title: str, names: Sequence[str], counts: Sequence[int]) -> Iterator[str]:
    most = max(counts)
    if not most:
        return
    yield title
    for name, count in zip(names, counts, strict=True):
        yield f"  {name:<9} {count:>7,}  {'▇' * (BAR * count // most)}".rstrip()


def top_lines(kind: str, entries: Sequence[TopEntryJson]) -> Iterator[str]:
    if entries:
        yield f"Most watched {kind}" if kind != "artists" else "Most played artists"
    for entry in entries:
        year = f" ({entry['year']})" if entry["year"] else ""
        times = count_of(entry["plays"], "play")
        yield f"  {entry['title'] or 'untitled'}{year}: {times}, {duration_text(entry['time_ms'])}"
