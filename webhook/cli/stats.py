"""The command that counts: numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import typer
from sqlalchemy import Connection

from webhook.cli._common import Json, Whose, counted, opened, say, somebody
from webhook.history import stats
from webhook.history.stats_span import zone_of

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
BAR = 30  # letters of the longest bar

app = typer.Typer()


@app.command("numbers")
def numbers_command(
    whose: Whose = None,
    year: Annotated[
        int | None, typer.Option("--year", min=1900, max=9000, help="Of one year only, e.g. 2026.")
    ] = None,
    as_json: Json = False,
) -> None:
    """What a person has watched, ever or in a year: time, films, episodes, streaks, hours and weekdays."""
    with opened() as at:
        found = at.database.ask(lambda connection: of_person(connection, whose, year))
    say(as_json, found, *lines(found))


def of_person(connection: Connection, whose: str | None, year: int | None) -> dict[str, Any]:
    owner = somebody(connection, whose)
    zone = zone_of(owner.timezone)
    return {"person": owner.name, **stats.year_stats(connection, owner.id, year, zone)}


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    when = "ever" if found["year"] is None else f"in {found['year']}"
    if not found["plays"]:
        yield f"{found['person']} has watched nothing {when}, as far as is known here."
        return
    yield f"{found['person']}, {when} (times of {found['timezone']})"
    yield f"  time watched    {lasting(found['time_ms'])}{unknown(found)}"
    yield f"  films           {found['films']:,}"
    yield f"  episodes        {found['episodes']:,} of {counted(found['shows'], 'show')}"
    yield f"  tracks          {found['tracks']:,}"
    yield f"  rewatches       {found['rewatches']:,}"
    yield f"  shows finished  {finished(found)}"
    for name in ("longest", "current"):
        yield f"  {name} streak  {run(found['streaks'][name])}"
    if found["ticked"]:
        yield f"  of these, {counted(found['ticked'], 'play')} only ticked: when that was watched is not known"
    yield from bars("By weekday", WEEKDAYS, found["weekdays"])
    yield from bars("By hour", [f"{hour:02}:00" for hour in range(24)], found["hours"])
    for kind, entries in found["top"].items():
        yield from ranked(kind, entries)


def lasting(ms: int) -> str:
    days, minutes = divmod(ms // 60_000, 24 * 60)
    hours = f"{minutes // 60} h {minutes % 60:02} min"
    return f"{counted(days, 'day')} {hours}" if days else hours


def unknown(found: Mapping[str, Any]) -> str:
    without = found["without_duration"]
    return f", and {counted(without, 'play')} of unknown length" if without else ""


def finished(found: Mapping[str, Any]) -> str:
    if found["shows_finished"] is None:
        return "unknown: of none of the shows it is known which episodes it has"
    left = found["shows_unknown"]
    return f"{found['shows_finished']:,}" + (f" ({left:,} shows' episodes are unknown)" if left else "")


def run(streak: Mapping[str, Any]) -> str:
    if not streak["days"]:
        return "none"
    return f"{counted(streak['days'], 'day')}, {streak['first']} to {streak['last']}"


def bars(title: str, names: Sequence[str], counts: Sequence[int]) -> Iterator[str]:
    most = max(counts)
    if not most:
        return
    yield title
    for name, count in zip(names, counts, strict=True):
        yield f"  {name:<9} {count:>7,}  {'▇' * (BAR * count // most)}".rstrip()


def ranked(kind: str, entries: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if entries:
        yield f"Most watched {kind}" if kind != "artists" else "Most heard artists"
    for entry in entries:
        year = f" ({entry['year']})" if entry["year"] else ""
        times = counted(entry["plays"], "play")
        yield f"  {entry['title'] or 'without a title'}{year}: {times}, {lasting(entry['time_ms'])}"
