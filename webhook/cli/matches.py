"""The commands for what no tracker knew: unmatched, match."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Annotated

import typer
from sqlalchemy import Connection
from typing_extensions import TypedDict

from webhook import clock
from webhook.cli._common import (
    Json,
    Whose,
    count_of,
    say,
)
from webhook.cli._desk import (
    open_desk,
)
from webhook.domain import guids
from webhook.identity import matches
from webhook.identity.matches import UnmatchedJson
from webhook.people import people
from webhook.queries.paging import MAX_PAGE_SIZE
from webhook.transfer import lookup_queue
from webhook.transfer.lookup_queue import UnresolvedJson

app = typer.Typer()


@app.command("unmatched")
def unmatched_command(whose: Whose = None, as_json: Json = False) -> None:
    """List items that could not be identified, with suggestions."""
    with open_desk() as at:
        found, imported = at.database.ask(lambda connection: list_questions(connection, whose))
    if as_json:
        say(True, {"unmatched": found, "imported": imported})
        return
    if not found and not imported:
        say(False, None, "Nothing to match.")
    for entry in found:
        to = f", to {entry['tracker']} of {entry['person']}"
        say(False, None, *unmatched_lines(entry, str(entry["id"]), to))
    for item in imported:
        say(False, None, *unmatched_lines(item, item["key"], f", {count_of(item['plays'], 'play')}"))


def list_questions(
    connection: Connection, whose: str | None
) -> tuple[list[UnmatchedJson], list[UnresolvedJson]]:
    """The deliveries, and the items of plays without ids, that wait for a choice."""
    person_id = None if whose is None else people.find_person(connection, whose).id
    told = matches.list_unmatched_deliveries(connection, person_name=whose, limit=MAX_PAGE_SIZE)
    imported = lookup_queue.list_open_choices(connection, person_id, limit=MAX_PAGE_SIZE)
    return told["items"], imported["items"]


def unmatched_lines(entry: UnmatchedJson | UnresolvedJson, key: str, where: str) -> Iterator[str]:
    what = entry["show"] or entry["title"] or "untitled"
    place = f" {entry['season']}x{entry['number']}" if entry["kind"] == "episode" and "id" in entry else ""
    year = f" ({entry['year']})" if entry["year"] else ""
    yield f"{key}  {what}{place}{year}{where}"
    yield f"    {entry['reason']}"
    candidates = entry["candidates"] or ()
    for number, one in enumerate(candidates, 1):
        ids = " ".join(f"{name}:{value}" for name, value in (one.get("ids") or {}).items())
        yield f"    {number}. {one.get('title')} ({one.get('year') or '?'})  {ids}  {one.get('picture') or ''}".rstrip()
    more = f" or --candidate 1 to {len(candidates)}" if candidates else ""
    yield f"    Choose: watchmark match {shlex.quote(key)} --tvdb N, --tmdb N, --imdb tt…{more}"


class ChosenMatch(TypedDict):
    """What a choice settled: keys of questions, and the deliveries to send or the imported plays."""

    keys: list[str]
    deliveries: list[int]
    plays: int | None


@app.command("match")
def match_command(
    what: Annotated[
        str, typer.Argument(metavar="DELIVERY|KEY", help="ID shown by watchmark unmatched, such as 12.")
    ],
    tvdb: Annotated[int | None, typer.Option(min=1, help="TheTVDB ID of the film or show.")] = None,
    tmdb: Annotated[int | None, typer.Option(min=1, help="TMDB ID of the film or show.")] = None,
    imdb: Annotated[str | None, typer.Option(help="IMDb ID of the film or show.")] = None,
    season_offset: Annotated[int, typer.Option(help="Number to add to the season numbers, such as -1.")] = 0,
    candidate: Annotated[int | None, typer.Option(help="Number of the suggestion to choose.")] = None,
    as_json: Json = False,
) -> None:
    """Identify an item; for an episode, its whole show. The match is saved and waiting deliveries are sent."""
    named = {
        name: value for name, value in (("tvdb", tvdb), ("tmdb", tmdb), ("imdb", imdb)) if value is not None
    }
    if bool(named) == (candidate is not None):
        raise typer.BadParameter("Enter an ID or --candidate.")
    ids = guids.clean_ids(**named)
    if ids.by_namespace().keys() != named.keys():
        raise typer.BadParameter("An IMDb ID looks like tt0903747.")
    now = clock.now()

    def choose(connection: Connection) -> ChosenMatch:
        if not what.isdecimal():
            chosen_ids, title = (
                (ids, None) if candidate is None else lookup_queue.candidate(connection, what, candidate)
            )
            plays = lookup_queue.choose(
                connection, what, chosen_ids, now, title=title, season_offset=season_offset
            )
            return {"keys": [what], "deliveries": [], "plays": plays}
        if candidate is not None:
            found = matches.choose_candidate(
                connection, now, int(what), candidate, season_offset=season_offset
            )
        else:
            found = matches.choose(connection, now, ids, delivery_id=int(what), season_offset=season_offset)
        return {"keys": list(found.keys), "deliveries": list(found.deliveries), "plays": None}

    with open_desk() as at:
        chosen = at.database.do(choose)
    if chosen["plays"] is not None:
        says = f"Match saved. {count_of(chosen['plays'], 'play')} updated."
    else:
        says = f"Match saved. {count_of(len(chosen['deliveries']), 'delivery')} will be sent."
    say(as_json, chosen, says)
