"""The commands for one's own history and library: history list, add, remove, restore, redate, shift, reassign, correct, merge; library list."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Annotated

import typer
from sqlalchemy import Connection

from webhook import clock
from webhook.cli._common import (
    Failed,
    Json,
    Whose,
    count_of,
    parse_moment,
    print_table,
    say,
)
from webhook.cli._desk import (
    open_desk,
    person_or_only,
)
from webhook.cli.transfer import item_line
from webhook.domain import guids
from webhook.domain.event import Kind
from webhook.domain.json_shapes import ItemChangeJson
from webhook.history import edits, library, moves, restoration
from webhook.history.play_store import play_from_row
from webhook.history.stats_span import zone_for
from webhook.people import people
from webhook.queries.paging import MAX_PAGE_SIZE, PAGE_SIZE
from webhook.queries.plays import Only, PlayJson, list_plays
from webhook.transfer import manual_plays
from webhook.transfer.records import Relation

BY = "command"
"""The author of an edit made on the command line."""


class PlayKind(StrEnum):
    """A kind of which a list of plays can consist."""

    MOVIE = Kind.MOVIE
    EPISODE = Kind.EPISODE
    TRACK = Kind.TRACK


history_app = typer.Typer(no_args_is_help=True, help="List, add, edit and remove plays.")
library_app = typer.Typer(no_args_is_help=True, help="Show followed, rated, loved, owned and saved items.")

PlayIds = Annotated[
    list[int], typer.Argument(metavar="ID...", help="IDs of plays; see watchmark history list.")
]
PlayId = Annotated[int, typer.Argument(metavar="ID", help="ID of a play; see watchmark history list.")]


# --- history


@history_app.command("list")
def history_list(
    text: Annotated[str | None, typer.Option(help="Only plays with this text in a title.")] = None,
    kind: Annotated[PlayKind | None, typer.Option(help="Only films, episodes or tracks.")] = None,
    in_library: Annotated[
        str | None, typer.Option("--library", help="Only plays from this library of the server.")
    ] = None,
    only: Annotated[Only | None, typer.Option(help="Only plays with an exception, or removed ones.")] = None,
    since: Annotated[str | None, typer.Option(help="From this day or time on, such as 2026-10-01.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=MAX_PAGE_SIZE, help="How many to show.")] = PAGE_SIZE,
    after: Annotated[
        str | None, typer.Option(metavar="NEXT", help="Continue after the `next` value of a page.")
    ] = None,
    whose: Whose = None,
    as_json: Json = False,
) -> None:
    """List plays, newest first."""
    with open_desk() as at:
        owner = (
            None if whose is None else at.database.ask(lambda connection: person_or_only(connection, whose))
        )
        zone = clock.now().astimezone().tzinfo
        assert zone is not None
        if owner is not None:
            zone = at.database.ask(lambda connection: zone_for(connection, owner.id))
        begin = None if since is None else parse_moment("--since", since, zone)
        try:
            found = at.database.ask(
                lambda connection: list_plays(
                    connection,
                    limit=limit,
                    after=after,
                    person_name=whose,
                    since=begin,
                    text=text,
                    kind=kind,
                    library=in_library,
                    only=only,
                )
            )
        except (ValueError, OverflowError) as error:
            raise typer.BadParameter("It is the `next` value of a page.", param_hint="--after") from error
    if as_json:
        say(True, found)
        return
    print_table(
        ("id", "watched", "person", "what", "from"),
        [play_row(one) for one in found["items"]],
        "No plays found.",
    )
    if found["next"]:
        say(False, None, f"More: --after {found['next']}")


def play_row(play: PlayJson) -> tuple[object, ...]:
    unfinished = f"not watched ({play['progress'] or 0:g} %)"
    return (play["id"], play["watched_at"] or unfinished, play["person"], item_line(play), play["source"])


@history_app.command("add")
def history_add(
    title: Annotated[
        str | None, typer.Argument(metavar="[TITLE]", help="Title of the film or episode.")
    ] = None,
    at: Annotated[
        str | None,
        typer.Option("--at", help="When it was watched: a day, or a time such as 2026-10-01T20:15."),
    ] = None,
    unknown: Annotated[bool, typer.Option("--unknown-date", help="The date is unknown.")] = False,
    show: Annotated[str | None, typer.Option(help="Title of the show, for an episode.")] = None,
    season: Annotated[int | None, typer.Option(help="Season of the episode; 0 for specials.")] = None,
    episode: Annotated[
        int | None, typer.Option("--number", help="Number of the episode in its season.")
    ] = None,
    year: Annotated[int | None, typer.Option(help="Year of the film or episode.")] = None,
    tvdb: Annotated[int | None, typer.Option(min=1, help="TheTVDB ID of the film or show.")] = None,
    tmdb: Annotated[int | None, typer.Option(min=1, help="TMDB ID of the film or show.")] = None,
    imdb: Annotated[str | None, typer.Option(help="IMDb ID of the film or show.")] = None,
    trakt: Annotated[int | None, typer.Option(min=1, help="Trakt ID of the film or show.")] = None,
    rewatch: Annotated[
        bool,
        typer.Option("--rewatch", help="A rewatch: count it in addition to plays already in the history."),
    ] = False,
    whose: Whose = None,
    as_json: Json = False,
) -> None:
    """Add a film or episode that no media server reported. It is sent to your trackers with its date."""
    if (at is None) is not unknown:
        raise typer.BadParameter("Enter the date with --at WHEN, or use --unknown-date.")
    ids = {"tvdb": tvdb, "tmdb": tmdb, "imdb": imdb, "trakt": trakt}
    named = {name: value for name, value in ids.items() if value is not None}
    is_episode = (show, season, episode) != (None, None, None)
    places = {"show": show, "season": season, "number": episode} if is_episode else {}
    known = {"title": title, "year": year, **places, ("show_ids" if is_episode else "ids"): named or None}
    given = {name: value for name, value in known.items() if value is not None}

    def add(connection: Connection, can: edits.Recipients) -> tuple[str, manual_plays.Added]:
        owner, now = person_or_only(connection, whose), clock.now()
        zone = zone_for(connection, owner.id)
        item = manual_plays.read_item(
            "episode" if is_episode else "movie", given, now.astimezone(zone).date()
        )
        moment_, dated = manual_plays.read_date(at, zone, now)
        new = manual_plays.NewPlay(item=item, watched_at=moment_, dated=dated, rewatch=rewatch)
        return owner.name, manual_plays.add(connection, owner.id, new, can, BY, now)

    with open_desk() as desk:
        try:
            name, done = desk.database.do(lambda connection: add(connection, desk.trackers))
        except manual_plays.AlreadyWatched as error:
            raise Failed(f"{error.known} If this was another viewing, add --rewatch.") from error
        except manual_plays.Invalid as error:
            raise Failed(str(error)) from error
    shown = {"play": done.play_id, "person": name, "added": done.is_new, "told": done.told}
    say(as_json, shown, *added_story(name, done))


def added_story(name: str, done: manual_plays.Added) -> Iterator[str]:
    if not done.is_new:
        yield f"Already added: play {done.play_id} of {name}."
        return
    yield f"Added: play {done.play_id} of {name}."
    if done.told:
        yield f"Sent to: {', '.join(done.told)}."


@history_app.command("remove")
def history_remove(number: PlayId, as_json: Json = False) -> None:
    """Remove a play from the history and from the trackers. Imports will not add it again."""
    run_edit(
        as_json,
        lambda connection, can: edits.remove_play(connection, number, can, BY, clock.now()),
        f"Play {number} is removed.",
    )


@history_app.command("restore")
def history_restore(number: PlayId, as_json: Json = False) -> None:
    """Bring a removed play back. It is sent again to the trackers that it was removed from."""
    with open_desk() as at:
        done = at.database.do(
            lambda connection: restoration.restore_play(connection, number, at.trackers, BY, clock.now())
        )
    told = done.get("told", [])
    sent = f"Sent again to: {', '.join(told)}." if told else "Nothing had to be sent again."
    say(as_json, done, f"Play {number} is back.", sent)


@history_app.command("redate")
def history_redate(
    number: PlayId,
    time: Annotated[
        str, typer.Argument(metavar="TIME", help="When it was watched, such as 2026-10-01T20:15.")
    ],
    as_json: Json = False,
) -> None:
    """Change when it was watched; a time without an offset is in the person's time zone."""

    def change(connection: Connection, can: edits.Tellers) -> edits.EditResult:
        zone = zone_for(connection, edits.get_row(connection, number).person_id)
        return edits.redate_play(connection, number, parse_moment("TIME", time, zone), can, BY, clock.now())

    run_edit(as_json, change, f"The time of play {number} is changed.")


@history_app.command("shift")
def history_shift(
    numbers: PlayIds,
    hours: Annotated[
        float, typer.Option(min=-48, max=48, help="How many hours later; a negative number is earlier.")
    ],
    as_json: Json = False,
) -> None:
    """Move dates by some hours, where a server's clock or time zone was wrong."""
    by_time = timedelta(minutes=round(hours * 60))
    if not by_time:
        raise typer.BadParameter("Enter by how many hours, such as 2 or -1.", param_hint="--hours")
    edit_all(
        as_json,
        numbers,
        lambda connection, number, can: moves.shift_play(connection, number, by_time, can, BY, clock.now()),
    )


@history_app.command("reassign")
def history_reassign(
    numbers: PlayIds,
    to: Annotated[str, typer.Option(metavar="NAME", help="Who watched them.")],
    as_json: Json = False,
) -> None:
    """Give plays to the person who watched them. They are removed from the old person's trackers."""

    def change(connection: Connection, number: int, can: edits.Recipients) -> edits.EditResult:
        person_id = people.find_person(connection, to).id
        return moves.reassign_play(connection, number, person_id, can, BY, clock.now())

    edit_all(as_json, numbers, change)


@history_app.command("correct")
def history_correct(
    number: PlayId,
    tvdb: Annotated[int | None, typer.Option(min=1, help="TheTVDB ID of the film or show.")] = None,
    tmdb: Annotated[int | None, typer.Option(min=1, help="TMDB ID of the film or show.")] = None,
    imdb: Annotated[str | None, typer.Option(help="IMDb ID of the film or show.")] = None,
    trakt: Annotated[int | None, typer.Option(min=1, help="Trakt ID of the film or show.")] = None,
    title: Annotated[str | None, typer.Option(help="Title of the film or episode.")] = None,
    show: Annotated[str | None, typer.Option(help="Title of the show.")] = None,
    year: Annotated[int | None, typer.Option(min=1800, max=2999, help="Year of the film or episode.")] = None,
    season: Annotated[int | None, typer.Option(min=0, help="Season of the episode; 0 for specials.")] = None,
    episode: Annotated[
        int | None, typer.Option("--number", min=0, help="Number of the episode in its season.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Change what was watched. For an episode, use the show's IDs. Given IDs replace all previous ones."""
    named = {
        name: value
        for name, value in (("tvdb", tvdb), ("tmdb", tmdb), ("imdb", imdb), ("trakt", trakt))
        if value is not None
    }
    given = item_change(title, show, year, season, episode)
    if not named and not given:
        raise typer.BadParameter("Enter what it was: an ID, a title, a year, a season or a number.")
    ids = guids.clean_ids(**named).by_namespace()
    if ids.keys() != named.keys():
        raise typer.BadParameter("An IMDb ID looks like tt0903747.")

    def change(connection: Connection, can: edits.Tellers) -> edits.EditResult:
        known = play_from_row(edits.get_row(connection, number)).item
        change: ItemChangeJson = {**given, **edits.ids_field(known, ids)}
        item = edits.correct_item(known, change)
        return edits.correct_play(connection, number, item, can, BY, clock.now())

    run_edit(as_json, change, f"Play {number} is corrected.")


def item_change(
    title: str | None, show: str | None, year: int | None, season: int | None, number: int | None
) -> ItemChangeJson:
    """The fields of an item that were given."""
    given: ItemChangeJson = {}
    if title is not None:
        given["title"] = title
    if show is not None:
        given["show"] = show
    if year is not None:
        given["year"] = year
    if season is not None:
        given["season"] = season
    if number is not None:
        given["number"] = number
    return given


@history_app.command("merge")
def history_merge(
    number: PlayId,
    other: Annotated[int, typer.Argument(metavar="OTHER", help="ID of the play to merge into this one.")],
    as_json: Json = False,
) -> None:
    """Merge another play into this one; details that only the other play has are kept."""
    run_edit(
        as_json,
        lambda connection, can: edits.merge_plays(connection, number, other, can, BY, clock.now()),
        f"Play {other} is merged into play {number}.",
    )


def run_edit(
    as_json: bool, change: Callable[[Connection, edits.Tellers], edits.EditResult], says: str
) -> None:
    with open_desk() as at:
        done = at.database.do(lambda connection: change(connection, at.trackers))
    say(as_json, done, says, *edit_story(done["undone"], done.get("told", ())))


def edit_all(
    as_json: bool,
    numbers: Sequence[int],
    change: Callable[[Connection, int, edits.Recipients], edits.EditResult],
) -> None:
    """Edit several plays, all of them or none."""
    with open_desk() as at:
        done = at.database.do(
            lambda connection: [change(connection, number, at.trackers) for number in numbers]
        )
    says = f"{count_of(len(done), 'play')} moved."
    told = dict.fromkeys(name for one in done for name in one.get("told", ()))
    undone = dict.fromkeys(name for one in done for name in one["undone"])
    value = {"edits": done, "undone": [*undone], "told": [*told]}
    say(as_json, value, says, *edit_story(undone, told))


def edit_story(undone: Collection[str], told: Collection[str]) -> Iterator[str]:
    """The trackers at which a mark was undone, and those that the play is sent to again, in words."""
    if not undone:
        yield "It had not been sent to any tracker."
        return
    yield f"It is removed from: {', '.join(undone)}."
    if told:
        yield f"Sent again to: {', '.join(told)}."
    yield "What can't be removed there stays; see each delivery."


# --- library


@library_app.command("list")
def library_list(
    relation: Annotated[Relation | None, typer.Option(help="Only items followed, rated and so on.")] = None,
    whose: Whose = None,
    as_json: Json = False,
) -> None:
    """Show followed, rated, loved, owned and saved items, newest first."""
    with open_desk() as at:
        owner = (
            None
            if whose is None
            else at.database.ask(lambda connection: person_or_only(connection, whose)).id
        )
        kept = None if relation is None else relation.value
        found = at.database.ask(lambda connection: library.list_library(connection, owner, kept))
    if as_json:
        say(True, {"library": found})
        return
    rows = [
        (one["person"], one["relation"], item_line(one), one["state"] or one["value"], one["at"])
        for one in found
    ]
    print_table(("person", "relation", "what", "as", "since"), rows, "The library is empty.")
    if found:
        say(False, None, count_of(len(found), "entry"))
