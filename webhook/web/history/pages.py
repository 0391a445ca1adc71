"""Pages of history: a person's plays with a search, and one play with its deliveries and edits."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, tzinfo

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from webhook import clock
from webhook.domain import guids
from webhook.domain.event import Ids, Kind
from webhook.domain.json_shapes import ItemChangeJson
from webhook.history import edits, restoration
from webhook.history.edits import EditResult, Tellers
from webhook.history.library import show_key
from webhook.history.play_store import play_from_row
from webhook.history.stats_span import zone_for
from webhook.queries.paging import TextPage
from webhook.queries.plays import (
    Offer,
    PlayDetailJson,
    PlayFields,
    PlayJson,
    list_offers,
    list_other_plays,
    list_plays,
    parse_cursor,
    rewatched_ids,
    unsent_marks,
)
from webhook.web.history.additions import ID_FIELDS, ID_NAMES, NUMBER_FIELDS, TITLE_FIELDS
from webhook.web.history.api import EditPlay, own_play, whole_play
from webhook.web.history.filters import Filters
from webhook.web.history.rows import PlayEntry, by_day, origin_marks, with_marks
from webhook.web.http.errors import Problem
from webhook.web.http.item_names import film_page_key
from webhook.web.http.page import Page, older
from webhook.web.http.params import Params, id_of
from webhook.web.visible import Visitor

PLAYS_PER_PAGE = 100
"""Plays per page."""

SEARCHED_PLAYS = 20_000
"""Plays searched for a title per page; a cursor continues from there."""


class History(Page):
    def routes(self) -> list[BaseRoute]:
        return [
            Route("/history", self.page(self.plays)),
            Route("/history/plays/{id}", self.page(self.play)),
            Route("/history/plays/{id}/remove", self.change(self.remove), methods=["POST"]),
            Route("/history/plays/{id}/restore", self.change(self.restore), methods=["POST"]),
            Route("/history/plays/{id}/redate", self.change(self.redate), methods=["POST"]),
            Route("/history/plays/{id}/correct", self.change(self.correct), methods=["POST"]),
            Route("/history/plays/{id}/merge", self.change(self.merge), methods=["POST"]),
        ]

    async def plays(self, request: Request, visitor: Visitor) -> Response:
        params = Params(request.query_params)
        owner, names = await self.chosen_person(params, visitor)
        filters = Filters.of_params(params, None if owner.name == visitor.name else owner.name)
        limit, after = min(params.limit(), PLAYS_PER_PAGE), params.place()

        def read(connection: Connection) -> tuple[TextPage[PlayJson], list[PlayEntry], list[Offer]]:
            listed = list_plays(
                connection,
                limit=limit,
                after=after,
                person_name=owner.name,
                text=filters.text,
                kind=filters.kind,
                library=filters.library,
                only=filters.only,
                at_once=SEARCHED_PLAYS,
            )
            ids = [play["id"] for play in listed["items"]]
            rewatches, unsent = rewatched_ids(connection, ids), unsent_marks(connection, ids)
            entries = with_marks(listed["items"], rewatches, unsent)
            return listed, entries, list_offers(connection, owner.id)

        listed, entries, offers = await self.database.read(read)
        zone = request.state.zone
        back_to = parse_cursor(listed["next"])[0] if listed["next"] else None
        known = {
            "owner": owner.name,
            "filters": filters,
            "chips": list(filters.chips(names, visitor.name, offers)),
            "days": by_day(entries, zone, clock.now().astimezone(zone).date()),
            "first": after is None,
            "older": older(filters.fields(), listed),
            "back_to": clock.stamp(back_to),
            "full": len(entries) >= limit,
        }
        return self.render(request, "history.html", known, visitor)

    async def play(self, request: Request, visitor: Visitor) -> Response:
        wanted = id_of(request)
        found = await self.database.read(lambda connection: play_with_twins(connection, visitor, wanted))
        if found is None:
            raise Problem(404, f"Play {wanted} was not found.")
        shown, twins, rewatches = found
        traces = [told["webhook"] for told in shown["deliveries"] if told["webhook"]]
        known = {
            "play": shown,
            "others": twins,
            "ids": ID_NAMES,
            "zone": request.state.zone,
            "trace": traces[-1] if traces else None,
            "show": show_key(shown["show"], Ids.from_json(shown["show_ids"]))
            if shown["kind"] == Kind.EPISODE
            else None,
            "film": film_page_key(shown),
            "marks": list(origin_marks(shown, rewatches)),
        }
        return self.render(request, "play.html", known, visitor)

    # --- changing

    async def remove(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        return await self.apply_edit(request, visitor, edits.remove_play)

    async def restore(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        return await self.apply_edit(request, visitor, restoration.restore_play)

    async def redate(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        zone = await self.zone(visitor)
        at = parse_local_time(fields.get("at", ""), zone)
        return await self.apply_edit(
            request,
            visitor,
            lambda connection, play_id, can, by, now: edits.redate_play(
                connection, play_id, at, can, by, now
            ),
        )

    async def correct(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        about = parse_item_fields(fields)

        def correct_item(
            connection: Connection, play_id: int, can: Tellers, by: str | None, now: datetime
        ) -> EditResult:
            item = edits.correct_item(play_from_row(edits.get_row(connection, play_id)).item, about)
            return edits.correct_play(connection, play_id, item, can, by, now)

        return await self.apply_edit(request, visitor, correct_item)

    async def merge(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        other = fields.get("other", "")
        if not other.isdecimal() or len(other) > 18:
            raise Problem(422, "Choose the play to merge.")

        def merge_plays(
            connection: Connection, play_id: int, can: Tellers, by: str | None, now: datetime
        ) -> EditResult:
            if own_play(connection, visitor, int(other)) is None:
                raise edits.NoEdit(f"play {other} was not found")
            return edits.merge_plays(connection, play_id, int(other), can, by, now)

        return await self.apply_edit(request, visitor, merge_plays)

    async def apply_edit(self, request: Request, visitor: Visitor, change: EditPlay) -> str:
        """Edit a play that the visitor may change, and redirect to it."""
        wanted = id_of(request)

        def apply(connection: Connection) -> None:
            if own_play(connection, visitor, wanted) is None:
                raise Problem(404, f"Play {wanted} was not found.")
            try:
                change(connection, wanted, self.service.trackers, visitor.name, clock.now())
            except edits.NoEdit as error:
                text = str(error)
                raise Problem(422, f"{text[:1].upper()}{text[1:]}. Nothing was changed.") from error

        await self.database.run(apply)
        self.service.interpreter.told.set()
        return f"/history/plays/{wanted}?said=saved"

    # ---

    async def zone(self, visitor: Visitor) -> tzinfo:
        return await self.database.read(lambda connection: zone_for(connection, visitor.person_id or 0))


def play_with_twins(
    connection: Connection, visitor: Visitor, wanted: int
) -> tuple[PlayDetailJson, list[PlayFields], set[int]] | None:
    """A play, the other plays of its item that it could be merged with, and its id where it is a rewatch."""
    shown = whole_play(connection, visitor, wanted)
    if shown is None:
        return None
    row = own_play(connection, visitor, wanted)
    assert row is not None
    twins = list_other_plays(connection, row.person_id, wanted, clock.now())
    return shown, twins, rewatched_ids(connection, [wanted])


def parse_local_time(given: str, zone: tzinfo) -> datetime:
    """Parse a form's date field in the person's time zone; raises Problem."""
    try:
        moment = datetime.fromisoformat(given)
    except ValueError as error:
        raise Problem(422, "Enter a date and time such as 2026-11-22T20:15.") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)


def parse_item_fields(fields: Mapping[str, str]) -> ItemChangeJson:
    """Parse a form's item fields; raises Problem if one is invalid or none is given."""
    about: ItemChangeJson = {}
    for title in TITLE_FIELDS:
        if fields.get(title):
            about[title] = fields[title].strip()
    for name in NUMBER_FIELDS:
        if value := fields.get(name, "").strip():
            if not value.isdecimal() or len(value) > 6:
                raise Problem(422, f"The {name} must be a whole number.")
            about[name] = int(value)
    for field in ID_FIELDS:
        told = {name: value for name in ID_NAMES if (value := fields.get(f"{field}.{name}", "").strip())}
        ids = guids.clean_ids(**told)
        if ids.by_namespace().keys() != told.keys():
            raise Problem(422, "TVDB, TMDB and Trakt IDs are numbers; an IMDb ID looks like tt0903747.")
        if told:
            about[field] = ids.by_namespace()
    if not about:
        raise Problem(422, "Enter a title, numbers or an ID.")
    return about
