"""One's own history and library: plays and their edits, what is kept, numbers, a calendar."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime, timedelta, tzinfo
from typing import Any

from sqlalchemy import Connection, Row, select
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from webhook import clock
from webhook.clock import stamp
from webhook.domain import guids
from webhook.domain.event import Kind
from webhook.history import edits, library, shows
from webhook.history import stats as numbers
from webhook.history.play_store import play_from_row
from webhook.history.stats_span import zone_of
from webhook.people import people
from webhook.queries.deliveries import delivery_json, fetch_deliveries, select_deliveries
from webhook.queries.plays import list_plays, play_json
from webhook.storage.tables import delivery, person, play
from webhook.transfer import export, manual_plays
from webhook.transfer.export import CALENDAR_FEED, Export
from webhook.transfer.records import Relation
from webhook.web.history.episodes import follow_show, parse_show_key, whole_show
from webhook.web.http.access import scope_of
from webhook.web.http.api import Answers, Table, found_or, require_scope, streamed, whose
from webhook.web.http.errors import Problem
from webhook.web.http.params import Params, clean, id_of, json_object, whole
from webhook.web.visible import Visitor

CALENDAR = timedelta(days=366)
"""How far a calendar goes back where it is not said: programs fetch the whole of it every hour."""

TITLE = 500
YEAR = re.compile(r"(19|2[0-9])[0-9]{2}", re.ASCII)
PLACES = {"season": (0, 100_000), "number": (0, 100_000), "year": (1800, 2999)}
NEW = ("item", "watched_at", "person", "rewatch", "key")
ITEM = ("kind", "title", "show", *PLACES, "ids", "show_ids")
NAMESPACES = ("tvdb", "tmdb", "imdb", "trakt", "simkl", "mal", "anidb", "musicbrainz")


class History(Answers):
    def table(self) -> Table:
        return [
            ("/plays", {"GET": self.plays, "POST": self.add}),
            ("/plays/{id}", {"GET": self.play, "PATCH": self.change, "DELETE": self.remove}),
            ("/plays/{id}/merge", {"POST": self.merge}),
            ("/library", {"GET": self.library}),
            ("/numbers", {"GET": self.numbers}),
            ("/follows/next", {"GET": self.next_unwatched}),
            ("/follows/{key:path}", {"PUT": self.follow, "DELETE": self.unfollow}),
            ("/shows/{key:path}", {"GET": self.show}),
        ]

    def routes(self) -> list[BaseRoute]:
        return [Route(CALENDAR_FEED, self.calendar), *super().routes()]

    # --- plays

    async def plays(self, request: Request, visitor: Visitor) -> Any:
        params = Params(request.query_params)
        name = await self.person(params, visitor)
        limit, after, since = params.limit(), params.place(), params.moment("since")
        text = params.text("text")
        return await self.database.read(
            lambda connection: list_plays(
                connection, limit=limit, after=after, person_name=name, since=since, text=text
            )
        )

    async def add(self, request: Request, visitor: Visitor) -> Any:
        given = await json_object(request)
        Params(given).only(NEW)
        owner = await whose(self, Params(given), visitor)

        def added(connection: Connection) -> manual_plays.Added:
            now = clock.now()
            new = new_play(given, zone_of(owner.timezone), now)
            by = visitor.name or "API token"
            return manual_plays.add(connection, owner.id, new, self.service.trackers, by, now)

        try:
            done = await self.database.run(added)
        except manual_plays.Invalid as error:
            raise Problem(422, f"{error.field}: {error}") from error
        self.service.interpreter.told.set()
        play = await self.one_play(done.play_id, visitor)
        return {"added": done.is_new, "told": done.told, "play": play}

    async def play(self, request: Request, visitor: Visitor) -> Any:
        return await self.one_play(id_of(request), visitor)

    async def one_play(self, wanted: int, visitor: Visitor) -> Any:
        found = await self.database.read(lambda connection: whole_play(connection, visitor, wanted))
        return found_or(found, f"There is no play {wanted}.")

    async def remove(self, request: Request, visitor: Visitor) -> Any:
        return await self.edited(request, visitor, edits.remove_play)

    async def change(self, request: Request, visitor: Visitor) -> Any:
        given = await json_object(request)
        at, about = change_given(given)

        def changed(
            connection: Connection, play_id: int, can: edits.Tellers, by: str | None, now: Any
        ) -> dict[str, Any]:
            done: dict[str, Any] = {}
            if about is not None:
                known = play_from_row(edits.get_row(connection, play_id)).item
                done = edits.correct_play(connection, play_id, edits.correct_item(known, about), can, by, now)
            if at is not None:
                done = joined(done, edits.redate_play(connection, play_id, at, can, by, now))
            return done

        return await self.edited(request, visitor, changed)

    async def merge(self, request: Request, visitor: Visitor) -> Any:
        given = await json_object(request)
        other = given.get("other")
        if type(other) is not int or given.keys() != {"other"}:
            raise Problem(
                422, "The body must hold other, the number of the play that goes, and nothing else."
            )
        wanted = whole(str(other))
        if wanted is None:
            raise Problem(422, f"There is no play {str(other)[:30]}.")

        def merged(
            connection: Connection, play_id: int, can: edits.Tellers, by: str | None, now: Any
        ) -> dict[str, Any]:
            if own_play(connection, visitor, wanted) is None:
                raise Problem(422, f"There is no play {wanted}.")
            return edits.merge_plays(connection, play_id, wanted, can, by, now)

        return await self.edited(request, visitor, merged)

    async def edited(
        self, request: Request, visitor: Visitor, change: Callable[..., dict[str, Any]]
    ) -> dict[str, Any]:
        """Make an edit of a play that the visitor may change; what came of it, and the play after it."""
        wanted, can = id_of(request), self.service.trackers

        def made(connection: Connection) -> dict[str, Any]:
            row = own_play(connection, visitor, wanted)
            if row is None or row.removed_at is not None:
                raise Problem(404, f"There is no play {wanted}.")
            try:
                return change(connection, wanted, can, visitor.name or "API token", clock.now())
            except edits.NoEdit as error:
                raise Problem(422, f"{str(error)[:1].upper()}{str(error)[1:]}.") from error

        done = await self.database.run(made)
        self.service.interpreter.told.set()
        shown = {"undone": done["undone"], "told": done.get("told", [])}
        return {**shown, "play": await self.one_play(wanted, visitor)}

    # --- the library

    async def library(self, request: Request, visitor: Visitor) -> Any:
        params = Params(request.query_params)
        relation = params.choice("relation", [*Relation])
        name = await self.person(params, visitor)
        limit, after = params.limit(), params.after() or 0

        def page(connection: Connection) -> dict[str, Any]:
            owner = None if name is None else people.find_person(connection, name).id
            found = library.list_library(connection, owner, relation)
            more = len(found) > after + limit
            return {"items": found[after : after + limit], "next": after + limit if more else None}

        return await self.database.read(page)

    # --- shows

    async def show(self, request: Request, visitor: Visitor) -> Any:
        key = parse_show_key(request.path_params["key"])
        owner = await whose(self, Params(request.query_params), visitor)
        found = await self.database.read(lambda connection: whole_show(connection, owner.id, key))
        show = found_or(found, "There is no such show in this history.")
        return {"person": owner.name, **show, "episodes": [asdict(one) for one in show["episodes"]]}

    async def follow(self, request: Request, visitor: Visitor) -> Any:
        key = parse_show_key(request.path_params["key"])
        owner = await whose(self, Params(request.query_params), visitor)

        def followed(connection: Connection) -> dict[str, Any] | None:
            follow_show(connection, owner.id, key)
            kept = library.list_library(connection, owner.id, library.FOLLOW)
            return next((entry for entry in kept if entry["key"] == key), None)

        return found_or(await self.database.run(followed), "It is gone again.")

    async def unfollow(self, request: Request, visitor: Visitor) -> Any:
        key = parse_show_key(request.path_params["key"])
        owner = await whose(self, Params(request.query_params), visitor)
        gone = await self.database.run(lambda connection: library.unfollow_show(connection, owner.id, key))
        if not gone:
            raise Problem(404, f"{owner.name} does not follow this show.")
        return {"key": key, "removed": True}

    # --- numbers, what comes next, a calendar

    async def numbers(self, request: Request, visitor: Visitor) -> Any:
        params = Params(request.query_params)
        year = params.text("year")
        if year is not None and not YEAR.fullmatch(year):
            raise Problem(400, "year must be a year such as 2026.")
        owner = await whose(self, params, visitor)
        chosen = None if year is None else int(year)

        def counted(connection: Connection) -> dict[str, Any]:
            zone = zone_of(owner.timezone)
            found = numbers.year_stats(connection, owner.id, chosen, zone)
            return {"person": owner.name, "years": numbers.list_years(connection, owner.id, zone), **found}

        return await self.database.read(counted)

    async def next_unwatched(self, request: Request, visitor: Visitor) -> Any:
        owner = await whose(self, Params(request.query_params), visitor)
        return await self.listed(lambda connection: shows.next_episodes(connection, owner.id))

    async def calendar(self, request: Request) -> Response:
        """For programs that cannot send headers the token stands in the address, as a person's own."""
        params = Params(request.query_params)
        visitor = await self.gate.bearer(params.text("token") or "")
        if visitor is None:
            raise Problem(401, "The address needs ?token=…, an API token of a person that is valid.")
        require_scope(visitor, scope_of(CALENDAR_FEED, "GET"))
        if visitor.name is None:
            mend = "Make one: watchmark token new --kind api --scope calendar --person NAME"
            raise Problem(403, f"This token is nobody's, and a calendar is somebody's. {mend}")
        since = params.moment("since") or clock.now() - CALENDAR
        wanted = Export(person_id=visitor.person_id or 0, kind="ics", since=since)
        name = export.file_name(wanted, visitor.name, clock.now())
        headers = {"Content-Disposition": f'inline; filename="{name}"'}
        return await streamed(request, export.stream(self.database, wanted), wanted, headers)


def own_play(connection: Connection, visitor: Visitor, play_id: int) -> Row[Any] | None:
    """A play that the visitor may see, removed ones included."""
    wanted = select(play, person.c.name.label("person")).join(person, play.c.person_id == person.c.id)
    wanted = wanted.where(play.c.id == play_id)
    if not visitor.is_admin:
        wanted = wanted.where(play.c.person_id == visitor.person_id)
    return connection.execute(wanted).first()


def whole_play(connection: Connection, visitor: Visitor, play_id: int) -> dict[str, Any] | None:
    """A play with what trackers were told of it and what was changed by hand."""
    row = own_play(connection, visitor, play_id)
    if row is None:
        return None
    told = fetch_deliveries(
        connection, select_deliveries().where(delivery.c.play_id == play_id).order_by(delivery.c.id)
    )
    return {
        "person": row.person,
        **play_json(row, clock.now()),
        "removed_at": stamp(row.removed_at),
        "job": row.job_id,
        "deliveries": [delivery_json(one) for one in told],
        "edits": edits.edits_of_play(connection, play_id),
    }


def joined(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """What two edits in a row came to."""
    both = {name: [*one.get(name, ()), *other.get(name, ())] for name in ("undone", "told")}
    return {name: list(dict.fromkeys(values)) for name, values in both.items()}


# --- what a body gives


def new_play(given: Mapping[str, Any], zone: tzinfo, now: datetime) -> manual_plays.NewPlay:
    """The play that a body adds; raises Problem and Invalid."""
    item, at = given.get("item"), given.get("watched_at")
    if not isinstance(item, dict):
        raise Problem(422, f"item must be an object with some of {', '.join(ITEM)}.")
    if "watched_at" not in given or not (at is None or isinstance(at, str)):
        raise Problem(422, "watched_at must be a time, a day such as 2026-11-22, or null where nobody knows.")
    if type(given.get("rewatch", False)) is not bool:
        raise Problem(422, "rewatch must be true or false.")
    about = {name: value for name, value in item.items() if name != "kind"}
    moment, dated = manual_plays.read_date(at, zone, now)
    return manual_plays.NewPlay(
        item=manual_plays.read_item(str(item.get("kind") or ""), about, now.astimezone(zone).date()),
        watched_at=moment,
        dated=dated,
        rewatch=given.get("rewatch", False),
        key=Params(given).text("key", 100),
    )


def change_given(given: Mapping[str, Any]) -> tuple[Any, dict[str, Any] | None]:
    """The new time and the new item of a play, checked; raises Problem."""
    if not given or given.keys() - {"watched_at", "item"}:
        raise Problem(422, "The body must hold watched_at, item or both, and nothing else.")
    at, about = given.get("watched_at"), given.get("item")
    if "watched_at" in given and (not isinstance(at, str) or not at):
        raise Problem(422, "watched_at must be a time such as 2026-11-22T20:15:00Z.")
    moment = None if at is None else Params({"watched_at": at}).moment("watched_at")
    if "item" in given and (not isinstance(about, dict) or not about):
        raise Problem(422, f"item must be an object with some of {', '.join(ITEM)}.")
    return moment, None if about is None else item_given(about)


def item_given(given: Mapping[str, Any]) -> dict[str, Any]:
    """What is said of an item, checked; raises Problem."""
    for name, value in given.items():
        if name not in ITEM:
            raise Problem(422, f"item: {name[:50]} is nothing that can be said; there is {', '.join(ITEM)}.")
        if name == "kind" and value not in [*Kind]:
            raise Problem(422, f"item: kind must be one of {', '.join(Kind)}.")
        if name in ("title", "show") and not (
            value is None or (isinstance(value, str) and clean(value, TITLE))
        ):
            raise Problem(422, f"item: {name} must be text of at most {TITLE} characters, or null.")
        if name in PLACES and not in_range(value, *PLACES[name]):
            raise Problem(422, f"item: {name} must be a whole number that a {name} can be, or null.")
        if name in ("ids", "show_ids"):
            ids_given(name, value)
    return dict(given)


def in_range(value: Any, least: int, most: int) -> bool:
    return value is None or (type(value) is int and least <= value <= most)


def ids_given(name: str, value: Any) -> None:
    if not isinstance(value, dict) or not {*value} <= {*NAMESPACES}:
        raise Problem(422, f"item: {name} must hold ids of {', '.join(NAMESPACES)}.")
    if guids.clean_ids(**value).by_namespace().keys() != value.keys():
        raise Problem(
            422, f"item: {name} holds an id that is none; most are numbers, imdb looks like tt0903747."
        )
