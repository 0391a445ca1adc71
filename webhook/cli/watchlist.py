"""The commands for the watchlist: watchlist list, add, remove, until, read, service, held, send."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated

import typer
from sqlalchemy import Connection, update

from webhook import clock
from webhook.accounts import accounts
from webhook.cli._common import Failed, Json, Which, Whose, count_of, print_table, say
from webhook.cli._desk import Desk, open_desk, person_or_only
from webhook.domain import guids
from webhook.domain.event import Action, Item, Movie, Show
from webhook.domain.items import keys
from webhook.domain.watchlist import Leaving
from webhook.history import watchlist_reads
from webhook.history.watchlist import HAND, Watchlist
from webhook.history.watchlist_reads import ReadResult
from webhook.queries.watchlist import list_accounts, read_watchlist
from webhook.storage.tables import AccountRow, person
from webhook.texts import end_sentence
from webhook.trackers import label
from webhook.transfer.watchlists import ReadReport, Watchlists

watchlist_app = typer.Typer(
    no_args_is_help=True, help="Show and change the watchlist, and read it from services."
)

IsShow = Annotated[bool, typer.Option("--show", help="A show, not a film.")]


@watchlist_app.command("list")
def watchlist_list(whose: Whose = None, as_json: Json = False) -> None:
    """Show what is on the watchlist, newest first, and what each service knows of it."""
    with open_desk() as at:
        found = at.database.ask(
            lambda connection: read_watchlist(connection, person_or_only(connection, whose), at.trackers)
        )
    if as_json:
        say(True, found)
        return
    rows = [
        (one["key"], one["kind"], one["title"], one["year"], one["at"], one["via"], ", ".join(one["on"]))
        for one in found["items"]
    ]
    print_table(("key", "kind", "title", "year", "since", "from", "also on"), rows, "The watchlist is empty.")
    for one in found["services"]:
        read = one["error"] or (f"read {one['read_at']}" if one["read_at"] else "not read yet")
        held = f", {count_of(one['held'], 'title')} gone and held" if one["held"] else ""
        sends = "changes are sent" if one["sends"] else "changes are not sent"
        say(False, None, f"{one['label']}: {count_of(one['listed'], 'title')}, {read}, {sends}{held}")


@watchlist_app.command("add")
def watchlist_add(
    title: Annotated[str | None, typer.Argument(metavar="[TITLE]", help="Title of the film or show.")] = None,
    is_show: IsShow = False,
    year: Annotated[
        int | None, typer.Option(min=1800, max=2999, help="Year of the film, or in which the show began.")
    ] = None,
    tmdb: Annotated[int | None, typer.Option(min=1, help="TMDB ID.")] = None,
    tvdb: Annotated[int | None, typer.Option(min=1, help="TheTVDB ID.")] = None,
    imdb: Annotated[str | None, typer.Option(help="IMDb ID.")] = None,
    whose: Whose = None,
    as_json: Json = False,
) -> None:
    """Put a film or a show on the watchlist, by an ID or by title and year."""
    named = {"tmdb": tmdb, "tvdb": tvdb, "imdb": imdb}
    ids = guids.clean_ids(**{name: value for name, value in named.items() if value is not None})
    if imdb is not None and ids.imdb is None:
        raise typer.BadParameter("An IMDb ID looks like tt0903747.")
    item: Item = (Show if is_show else Movie)(title=title, year=year, ids=ids)
    if not keys(item):
        raise typer.BadParameter("Name it by an ID, or by its title and --year.")
    with open_desk() as at:
        added = at.database.do(
            lambda connection: open_list(at, connection, whose).add(item, clock.now(), HAND)
        )
    says = "It is on the watchlist now." if added else "It was on the watchlist already."
    say(as_json, {"added": added}, says)


@watchlist_app.command("remove")
def watchlist_remove(
    key: Annotated[
        str, typer.Argument(metavar="KEY", help="Key of the entry; see watchmark watchlist list.")
    ],
    whose: Whose = None,
    as_json: Json = False,
) -> None:
    """Take a film or a show off the watchlist."""

    def remove(connection: Connection, at: Desk) -> bool:
        mine = open_list(at, connection, whose)
        found = [item for item, row in mine.rows if row.item_key == key]
        return any(mine.remove(item, HAND) for item in found)

    with open_desk() as at:
        if not at.database.do(lambda connection: remove(connection, at)):
            raise Failed(f"{key} is not on the watchlist. See: watchmark watchlist list")
    say(as_json, {"key": key, "removed": True}, "It is off the watchlist.")


@watchlist_app.command("until")
def watchlist_until(
    until: Annotated[Leaving, typer.Argument(help="When an item leaves the list: finished, begun or never.")],
    whose: Whose = None,
    as_json: Json = False,
) -> None:
    """Choose when an item leaves the watchlist by itself. A film that was watched is finished."""

    def choose(connection: Connection) -> None:
        here = person.c.id == person_or_only(connection, whose).id
        connection.execute(update(person).where(here).values(watchlist_until=until.value))

    with open_desk() as at:
        at.database.do(choose)
    says = {
        Leaving.FINISHED: "Films that were watched and shows that are finished leave the watchlist.",
        Leaving.BEGUN: "Films that were watched and shows that are begun leave the watchlist.",
        Leaving.NEVER: "Nothing leaves the watchlist by itself.",
    }
    say(as_json, {"until": until.value}, says[until])


# --- services


@watchlist_app.command("read")
def watchlist_read(whose: Whose = None, as_json: Json = False) -> None:
    """Read the lists of all services now, and take over what has changed there."""

    def ask(connection: Connection, at: Desk) -> int:
        found = list_accounts(connection, person_or_only(connection, whose).id, at.trackers)
        for row in found:
            watchlist_reads.set_read(connection, row.id, asked=True, tried_at=None)
        return len(found)

    async def read(at: Desk) -> list[ReadReport]:
        lists = Watchlists(at.database, at.trackers, at.credentials, asyncio.Event(), 0)
        return await lists.run_once(only_asked=True)

    with open_desk() as at:
        if not at.database.do(lambda connection: ask(connection, at)):
            raise Failed("No service with a watchlist is connected. See: watchmark accounts")
        reports = at.run(read(at))
    shown = [
        {"tracker": one.tracker, "error": one.error, **asdict(one.result or ReadResult())} for one in reports
    ]
    say(as_json, {"services": shown}, *(report_line(one) for one in reports))


def report_line(report: ReadReport) -> str:
    name = label(report.tracker)
    if report.result is None:
        return f"{name}: not read. {end_sentence(report.error or '')}"
    done = report.result
    held = f" {count_of(done.held, 'title')} gone there and held." if done.held else ""
    return f"{name}: {done.added} added, {done.removed} removed.{held}"


@watchlist_app.command("service")
def watchlist_service(
    tracker: Which,
    reads: Annotated[bool | None, typer.Option("--read/--no-read", help="Read its list.")] = None,
    sends: Annotated[bool | None, typer.Option("--send/--no-send", help="Send changes to it.")] = None,
    whose: Whose = None,
    as_json: Json = False,
) -> None:
    """Switch the reading of a service's list, or the sending to it, on or off."""

    def switch(connection: Connection, at: Desk) -> None:
        row = find_account(at, connection, whose, tracker)
        if reads is not None:
            watchlist_reads.set_read(connection, row.id, off=not reads)
        if sends is not None:
            accounts.set_action(connection, row.id, Action.WATCHLIST, sends)

    with open_desk() as at:
        at.database.do(lambda connection: switch(connection, at))
    say(as_json, {"tracker": tracker, "reads": reads, "sends": sends}, "Saved.")


@watchlist_app.command("held")
def watchlist_settle(
    tracker: Which,
    remove: Annotated[
        bool, typer.Option("--remove/--keep", help="Remove the titles here too, or keep them.")
    ],
    whose: Whose = None,
    as_json: Json = False,
) -> None:
    """Decide about titles that were suddenly gone from a service's list."""

    def settle(connection: Connection, at: Desk) -> int:
        row = find_account(at, connection, whose, tracker)
        mine = open_list(at, connection, whose)
        return watchlist_reads.settle_hold(mine, row.id, label(tracker), remove=remove)

    with open_desk() as at:
        settled = at.database.do(lambda connection: settle(connection, at))
    done = "removed" if remove else "kept"
    say(as_json, {"tracker": tracker, done: settled}, f"{count_of(settled, 'title')} {done}.")


@watchlist_app.command("send")
def watchlist_send(tracker: Which, whose: Whose = None, as_json: Json = False) -> None:
    """Send a service every title that its list lacks. It needs --send: watchmark watchlist service."""

    def send(connection: Connection, at: Desk) -> int:
        row = find_account(at, connection, whose, tracker)
        if Action.WATCHLIST.value not in row.tells:
            raise Failed(f"Switch it on first: watchmark watchlist service {tracker} --send")
        return watchlist_reads.send_all(open_list(at, connection, whose), row.id)

    with open_desk() as at:
        sent = at.database.do(lambda connection: send(connection, at))
    say(as_json, {"tracker": tracker, "sent": sent}, f"Sending {count_of(sent, 'title')}.")


def open_list(at: Desk, connection: Connection, whose: str | None) -> Watchlist:
    return Watchlist(connection, person_or_only(connection, whose).id, at.trackers, clock.now())


def find_account(at: Desk, connection: Connection, whose: str | None, tracker: str) -> AccountRow:
    """The person's account at a service with a watchlist; raises Failed."""
    owner = person_or_only(connection, whose)
    for row in list_accounts(connection, owner.id, at.trackers):
        if row.tracker == tracker:
            return row
    raise Failed(f"{owner.name} has no account with a watchlist at {tracker}. See: watchmark accounts")
