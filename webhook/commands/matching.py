"""The commands for what no tracker knew: unmatched, match."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer
from sqlalchemy import Connection

from webhook import clock, guids, matches, trace
from webhook.commands._common import Json, Whose, counted, opened, say

app = typer.Typer()


@app.command()
def unmatched(whose: Whose = None, as_json: Json = False) -> None:
    """What waits for your choice: why, and what it could be."""
    with opened() as at:
        found: list[Any] = at.database.ask(
            lambda connection: matches.waiting(connection, person_name=whose, limit=trace.MOST)
        )["items"]
    if as_json:
        say(True, {"unmatched": found})
        return
    if not found:
        say(False, None, "Nothing waits for a match.")
    for entry in found:
        say(False, None, *unmatched_lines(entry))


def unmatched_lines(entry: Mapping[str, Any]) -> Iterator[str]:
    what = entry["show"] or entry["title"] or "something without a title"
    place = f" {entry['season']}x{entry['number']}" if entry["kind"] == "episode" else ""
    year = f" ({entry['year']})" if entry["year"] else ""
    yield f"{entry['id']}  {what}{place}{year}, to {entry['tracker']} of {entry['person']}"
    yield f"    {entry['reason']}"
    for number, one in enumerate(entry["candidates"], 1):
        ids = " ".join(f"{name}:{value}" for name, value in (one.get("ids") or {}).items())
        yield f"    {number}. {one.get('title')} ({one.get('year') or '?'})  {ids}  {one.get('picture') or ''}".rstrip()
    more = f" or --candidate 1 to {len(entry['candidates'])}" if entry["candidates"] else ""
    yield f"    Choose: watchmark match {entry['id']} --tvdb N, --tmdb N, --imdb tt…{more}"


@app.command("match")
def match_it(
    delivery_id: Annotated[int, typer.Argument(metavar="DELIVERY", help="Its number: watchmark unmatched.")],
    tvdb: Annotated[int | None, typer.Option(min=1, help="The film's id at TheTVDB, or the show's.")] = None,
    tmdb: Annotated[int | None, typer.Option(min=1, help="The film's id at TMDB, or the show's.")] = None,
    imdb: Annotated[str | None, typer.Option(help="The film's id at IMDb, or the show's.")] = None,
    season_offset: Annotated[
        int, typer.Option(help="What is added to the show's season numbers, e.g. -1.")
    ] = 0,
    candidate: Annotated[int | None, typer.Option(help="The candidate of this number.")] = None,
    as_json: Json = False,
) -> None:
    """Say what an item is: for an episode the whole show. It is remembered, and what waited goes out."""
    named = {
        name: value for name, value in (("tvdb", tvdb), ("tmdb", tmdb), ("imdb", imdb)) if value is not None
    }
    if bool(named) == (candidate is not None):
        raise typer.BadParameter("Say what it is: by ids, or by --candidate.")
    ids = guids.ids(**named)
    if ids.known().keys() != named.keys():
        raise typer.BadParameter("An IMDb id looks like tt0903747.")
    now = clock.now()

    def choose(connection: Connection) -> matches.Chosen:
        if candidate is not None:
            return matches.choose_candidate(
                connection, now, delivery_id, candidate, season_offset=season_offset
            )
        return matches.choose(connection, now, ids, delivery_id=delivery_id, season_offset=season_offset)

    with opened() as at:
        chosen = at.database.do(choose)
    count = counted(len(chosen.deliveries), "delivery").replace("deliverys", "deliveries")
    shown = {"keys": chosen.keys, "deliveries": chosen.deliveries}
    say(as_json, shown, f"Remembered. {count} will go out.")
