"""API of a person's history and library: plays, edits, shows, statistics and the calendar."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, tzinfo
from typing import Any

from sqlalchemy import Connection, select
from starlette.responses import Response

from webhook import clock
from webhook.clock import stamp
from webhook.history import edits, library, restoration, shows
from webhook.history import stats as numbers
from webhook.history.edits import EditResult
from webhook.history.library import LibraryEntryJson
from webhook.history.play_store import play_from_row
from webhook.history.shows import NextEpisodeJson
from webhook.history.stats_span import zone_of
from webhook.people import people
from webhook.people.scopes import Scope
from webhook.queries import plays as play_queries
from webhook.queries import up_next
from webhook.queries.deliveries import delivery_json, fetch_deliveries, select_deliveries
from webhook.queries.paging import Page, TextPage
from webhook.queries.people import person_names
from webhook.queries.plays import PlayDetailJson, PlayJson
from webhook.queries.up_next import UpNextJson
from webhook.storage.rows import fetch_first
from webhook.storage.tables import PlayRow, delivery, play
from webhook.transfer import export, manual_plays
from webhook.transfer.export import CALENDAR_FEED, Export
from webhook.web.history.episodes import follow_show, parse_show_key, whole_show
from webhook.web.history.models import (
    AddedPlay,
    CalendarQuery,
    Edited,
    LibraryQuery,
    MergeRequest,
    NewPlay,
    Numbers,
    NumbersQuery,
    PlayChange,
    PlaysQuery,
    Show,
    ShowKey,
    Unfollowed,
)
from webhook.web.http.api import found_or, list_of, stream_file
from webhook.web.http.errors import Problem
from webhook.web.http.models import PersonQuery, given_json
from webhook.web.http.operations import PREFIX, Call, Operation
from webhook.web.visible import Visitor

CALENDAR_REACH = timedelta(days=366)
"""The default span of a calendar, which programs fetch whole every hour."""

EditPlay = Callable[[Connection, int, edits.Tellers, str | None, datetime], EditResult]
BY_KEY = {"key": ShowKey}


# --- plays


async def list_plays(call: Call[None, PlaysQuery]) -> TextPage[PlayJson]:
    """Plays, newest first."""
    query = call.query
    name = await call.person_filter(query.person)
    return await call.read(
        lambda connection: play_queries.list_plays(
            connection,
            limit=query.limit,
            after=query.after,
            person_name=name,
            since=query.since,
            text=query.text,
            kind=query.kind,
            library=query.library,
            only=query.only,
        )
    )


async def add_play(call: Call[NewPlay, None]) -> AddedPlay:
    """Add a play by hand; it is stored once and sent to the person's trackers with its date."""
    owner = await call.owner_of(call.body.person)

    def add(connection: Connection) -> manual_plays.Added:
        now = clock.now()
        new = new_play(call.body, zone_of(owner.timezone), now)
        return manual_plays.add(
            connection, owner.id, new, call.service.trackers, author_of(call.visitor), now
        )

    try:
        done = await call.write(add)
    except manual_plays.Invalid as error:
        raise Problem(422, f"{error.field}: {error}") from error
    call.service.interpreter.told.set()
    return {"added": done.is_new, "told": done.told, "play": await read_play(call, done.play_id)}


async def get_play(call: Call[None, None]) -> PlayDetailJson:
    """One play with its deliveries and edits."""
    return await read_play(call, call.id)


async def read_play(call: Call[Any, Any], wanted: int) -> PlayDetailJson:
    found = await call.read(lambda connection: whole_play(connection, call.visitor, wanted))
    return found_or(found, f"There is no play {wanted}.")


async def remove_play(call: Call[None, None]) -> Edited:
    """Remove a play from the history and from the trackers; imports will not add it again."""
    return await edit_play(call, edits.remove_play)


async def restore_play(call: Call[None, None]) -> Edited:
    """Bring a removed play back as it was; it is sent again where its mark was taken back."""
    return await edit_play(call, restoration.restore_play, removed=True)


async def change_play(call: Call[PlayChange, None]) -> Edited:
    """Change a play's date or item; trackers are updated."""
    at, about = call.body.moment, call.body.item

    def change(
        connection: Connection, play_id: int, can: edits.Tellers, by: str | None, now: datetime
    ) -> EditResult:
        done: list[EditResult] = []
        if about is not None:
            known = play_from_row(edits.get_row(connection, play_id)).item
            item = edits.correct_item(known, given_json(about))
            done.append(edits.correct_play(connection, play_id, item, can, by, now))
        if at is not None:
            done.append(edits.redate_play(connection, play_id, at, can, by, now))
        return join_edits(done)

    return await edit_play(call, change)


async def merge_play(call: Call[MergeRequest, None]) -> Edited:
    """Merge another play into this one."""
    other = call.body.other

    def merge(
        connection: Connection, play_id: int, can: edits.Tellers, by: str | None, now: datetime
    ) -> EditResult:
        if own_play(connection, call.visitor, other) is None:
            raise Problem(422, f"There is no play {other}.")
        return edits.merge_plays(connection, play_id, other, can, by, now)

    return await edit_play(call, merge)


async def edit_play(call: Call[Any, None], change: EditPlay, *, removed: bool = False) -> Edited:
    """Edit a play that the visitor may change; returns the outcome and the play after it."""
    wanted, can = call.id, call.service.trackers

    def edit(connection: Connection) -> EditResult:
        row = own_play(connection, call.visitor, wanted)
        if row is None or (row.removed_at is not None) is not removed:
            raise Problem(404, f"There is no {'removed ' if removed else ''}play {wanted}.")
        try:
            return change(connection, wanted, can, author_of(call.visitor), clock.now())
        except edits.NoEdit as error:
            raise Problem(422, f"{str(error)[:1].upper()}{str(error)[1:]}.") from error

    done = await call.write(edit)
    call.service.interpreter.told.set()
    return {"undone": done["undone"], "told": done.get("told", []), "play": await read_play(call, wanted)}


def author_of(visitor: Visitor) -> str:
    return visitor.name or "API token"


# --- the library


async def list_library(call: Call[None, LibraryQuery]) -> Page[LibraryEntryJson]:
    """Items that are followed, rated, loved, owned or on the watchlist, newest first."""
    query = call.query
    name = await call.person_filter(query.person)
    limit, after = query.limit, query.after or 0

    def read(connection: Connection) -> Page[LibraryEntryJson]:
        owner = None if name is None else people.find_person(connection, name).id
        found = library.list_library(connection, owner, query.relation)
        more = len(found) > after + limit
        return {"items": found[after : after + limit], "next": after + limit if more else None}

    return await call.read(read)


# --- shows


async def get_show(call: Call[None, PersonQuery]) -> Show:
    """A show with its episodes, and the plays of each; specials last."""
    key = parse_show_key(call.path("key"))
    owner = await call.owner_of(call.query.person)
    found = await call.read(lambda connection: whole_show(connection, owner.id, key))
    return {"person": owner.name, **found_or(found, "There is no such show in this history.")}


async def follow(call: Call[None, PersonQuery]) -> LibraryEntryJson:
    """Follow a show from the history, or one that a lookup has listed."""
    key = parse_show_key(call.path("key"))
    owner = await call.owner_of(call.query.person)

    def change(connection: Connection) -> LibraryEntryJson | None:
        follow_show(connection, owner.id, key)
        kept = library.list_library(connection, owner.id, library.FOLLOW)
        return next((entry for entry in kept if entry["key"] == key), None)

    return found_or(await call.write(change), "It is gone again.")


async def unfollow(call: Call[None, PersonQuery]) -> Unfollowed:
    """Unfollow a show."""
    key = parse_show_key(call.path("key"))
    owner = await call.owner_of(call.query.person)
    gone = await call.write(lambda connection: library.unfollow_show(connection, owner.id, key))
    if not gone:
        raise Problem(404, f"{owner.name} does not follow this show.")
    return {"key": key, "removed": True}


# --- numbers, the next episodes, a calendar


async def get_numbers(call: Call[None, NumbersQuery]) -> Numbers:
    """Statistics of a year, or of all years."""
    owner = await call.owner_of(call.query.person)

    def count(connection: Connection) -> Numbers:
        zone = zone_of(owner.timezone)
        found = numbers.year_stats(connection, owner.id, call.query.year, zone)
        return {"person": owner.name, "years": [*numbers.list_years(connection, owner.id, zone)], **found}

    return await call.read(count)


async def list_next_episodes(call: Call[None, PersonQuery]) -> Page[NextEpisodeJson]:
    """The next unwatched episode of each followed show."""
    owner = await call.owner_of(call.query.person)
    return list_of(await call.read(lambda connection: shows.next_episodes(connection, owner.id)))


async def list_up_next(call: Call[None, PersonQuery]) -> Page[UpNextJson]:
    """The next episode of each show that is followed or was watched lately: those to watch now first, then by day."""
    owner = await call.owner_of(call.query.person)
    today = clock.now().astimezone(zone_of(owner.timezone)).date()
    return list_of(await call.read(lambda connection: up_next.list_up_next(connection, owner.id, today)))


async def get_calendar(call: Call[None, CalendarQuery]) -> Response:
    """The plays of the token's person as a calendar to subscribe to; the last year unless `since` is given."""
    visitor = call.visitor
    since = call.query.since or clock.now() - CALENDAR_REACH
    wanted = Export(person_id=visitor.person_id or 0, kind="ics", since=since)
    name = export.file_name(wanted, visitor.name or "", clock.now())
    headers = {"Content-Disposition": f'inline; filename="{name}"'}
    return await stream_file(call.request, export.stream(call.service.database, wanted), wanted, headers)


def own_play(connection: Connection, visitor: Visitor, play_id: int) -> PlayRow | None:
    """A play that the visitor may see, including a removed one."""
    wanted = select(play).where(play.c.id == play_id)
    if not visitor.is_admin:
        wanted = wanted.where(play.c.person_id == visitor.person_id)
    return fetch_first(connection, wanted, PlayRow)


def whole_play(connection: Connection, visitor: Visitor, play_id: int) -> PlayDetailJson | None:
    row = own_play(connection, visitor, play_id)
    if row is None:
        return None
    told = fetch_deliveries(
        connection, select_deliveries().where(delivery.c.play_id == play_id).order_by(delivery.c.id)
    )
    return {
        "person": person_names(connection)[row.person_id],
        **play_queries.with_own_picture(connection, play_queries.play_json(row, clock.now())),
        "removed_at": stamp(row.removed_at),
        "job": row.job_id,
        "deliveries": [delivery_json(one) for one in told],
        "edits": edits.edits_of_play(connection, play_id),
    }


def join_edits(done: Sequence[EditResult]) -> EditResult:
    """Combine the outcomes of consecutive edits of a play, each tracker once."""
    undone, told = join_trackers(done)
    return {"edit": done[-1]["edit"], "undone": undone, "told": told}


def join_trackers(done: Sequence[EditResult]) -> tuple[list[str], list[str]]:
    """The trackers at which edits undid marks, and those that they sent to, each once."""
    undone = dict.fromkeys(name for one in done for name in one["undone"])
    told = dict.fromkeys(name for one in done for name in one.get("told", ()))
    return [*undone], [*told]


def new_play(given: NewPlay, zone: tzinfo, now: datetime) -> manual_plays.NewPlay:
    """The play described by a request's body; raises Invalid."""
    item = given.item.model_dump(exclude_unset=True)
    kind = str(item.pop("kind", None) or "")
    moment, dated = manual_plays.read_date(given.watched_at, zone, now)
    return manual_plays.NewPlay(
        item=manual_plays.read_item(kind, item, now.astimezone(zone).date()),
        watched_at=moment,
        dated=dated,
        rewatch=given.rewatch,
        key=given.key or None,
    )


OPERATIONS: tuple[Operation[Any, Any], ...] = (
    Operation(
        "GET",
        CALENDAR_FEED.removeprefix(PREFIX),
        get_calendar,
        Scope.CALENDAR,
        token_in_query=True,
        query=CalendarQuery,
        reply=str,
        reply_media=("text/calendar",),
    ),
    Operation("GET", "/plays", list_plays, Scope.READ, query=PlaysQuery),
    Operation("POST", "/plays", add_play, Scope.HISTORY_WRITE, body=NewPlay),
    Operation("GET", "/plays/{id}", get_play, Scope.READ),
    Operation("PATCH", "/plays/{id}", change_play, Scope.HISTORY_WRITE, body=PlayChange),
    Operation("DELETE", "/plays/{id}", remove_play, Scope.HISTORY_WRITE),
    Operation("POST", "/plays/{id}/restore", restore_play, Scope.HISTORY_WRITE),
    Operation("POST", "/plays/{id}/merge", merge_play, Scope.HISTORY_WRITE, body=MergeRequest),
    Operation("GET", "/library", list_library, Scope.READ, query=LibraryQuery),
    Operation("GET", "/numbers", get_numbers, Scope.READ, query=NumbersQuery),
    Operation("GET", "/up-next", list_up_next, Scope.READ, query=PersonQuery),
    Operation("GET", "/follows/next", list_next_episodes, Scope.READ, query=PersonQuery),
    Operation(
        "PUT", "/follows/{key:path}", follow, Scope.HISTORY_WRITE, path_types=BY_KEY, query=PersonQuery
    ),
    Operation(
        "DELETE", "/follows/{key:path}", unfollow, Scope.HISTORY_WRITE, path_types=BY_KEY, query=PersonQuery
    ),
    Operation("GET", "/shows/{key:path}", get_show, Scope.READ, path_types=BY_KEY, query=PersonQuery),
)
