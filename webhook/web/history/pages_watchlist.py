"""Pages of the watchlist: what is on it as posters, what services know of it, and a search for what to put on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from urllib.parse import parse_qsl

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from webhook import clock
from webhook.domain import guids
from webhook.domain.event import Ids, Kind
from webhook.domain.watchlist import Leaving
from webhook.queries import library as shelves
from webhook.queries.library import Tile, TilePage
from webhook.queries.watchlist import WatchlistJson, read_watchlist
from webhook.storage.tables import PersonRow
from webhook.web.history import watchlist
from webhook.web.history.additions import ID_NAMES, find_titles
from webhook.web.history.pages_library import TILES_PER_PAGE, only_with_page
from webhook.web.http.errors import Problem
from webhook.web.http.page import Page, current_path, older
from webhook.web.http.params import Params, whole
from webhook.web.http.sessions import base
from webhook.web.visible import Visitor

PATH = "/library/watchlist"
SERVICE_CHOICES = ("options", "send", "remove", "keep")


class WatchlistPages(Page):
    def routes(self) -> list[BaseRoute]:
        return [
            Route(PATH, self.page(self.show), methods=["GET"]),
            Route(f"{PATH}/add", self.page(self.search), methods=["GET"]),
            Route(f"{PATH}/add", self.change(self.add), methods=["POST"]),
            Route(f"{PATH}/remove", self.change(self.remove), methods=["POST"]),
            Route(f"{PATH}/until", self.change(self.leave), methods=["POST"]),
            Route(f"{PATH}/read", self.change(self.read), methods=["POST"]),
            Route(f"{PATH}/services/{{tracker}}", self.change(self.service_choice), methods=["POST"]),
        ]

    async def show(self, request: Request, visitor: Visitor) -> Response:
        params = Params(request.query_params)
        owner, names = await self.chosen_person(params, visitor)
        text, after = params.text("text"), params.after() or 0

        def read(connection: Connection) -> tuple[TilePage, WatchlistJson]:
            every = shelves.list_watchlist(connection, owner.id)
            page = shelves.page_of(every, text, after, TILES_PER_PAGE)
            tiles = [only_with_page(connection, owner.id, one) for one in page.tiles]
            known = read_watchlist(connection, owner, self.service.trackers)
            return TilePage(tiles, page.count, page.next), known

        page, known = await self.database.read(read)
        on = {one["key"]: one["on"] for one in known["items"]}
        person = owner.name if visitor.is_admin and owner.name != visitor.name else None
        shown = {
            "owner": owner.name,
            "names": names,
            "person": person,
            "text": text,
            "first": not after,
            "tiles": [drawn_tile(one, on) for one in page.tiles],
            "count": page.count,
            "more": older({"person": person, "text": text}, {"next": page.next}),
            "path": current_path(request, base(self.service.settings, request)).partition("?")[0],
            "until": known["until"],
            "services": known["services"],
            "removing": params.text("remove") is not None,
        }
        return self.render(request, "watchlist.html", shown, visitor)

    async def search(self, request: Request, visitor: Visitor) -> Response:
        """Titles that can be put on the list."""
        params = Params(request.query_params)
        owner, _ = await self.chosen_person(params, visitor)
        kind = params.choice("kind", (Kind.MOVIE, Kind.SHOW)) or Kind.MOVIE
        title = params.text("q")
        found, trouble = (
            await find_titles(self.service, owner.name, searched_kind(kind), title, None)
            if title
            else (None, None)
        )
        shown = {
            "owner": owner.name,
            "person": owner.name if visitor.is_admin and owner.name != visitor.name else None,
            "kind": kind,
            "q": title,
            "found": found,
            "trouble": trouble,
            "searches": bool(self.service.resolver.identity.lookups),
        }
        return self.render(request, "watchlist_add.html", shown, visitor)

    async def add(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        owner = await self.owner(visitor, fields)
        known = dict(parse_qsl(fields["picked"])) if "picked" in fields else fields
        kind = Params(fields).choice("kind", (Kind.MOVIE, Kind.SHOW)) or Kind.MOVIE
        whose = "ids" if kind == Kind.MOVIE or f"ids.{ID_NAMES[0]}" in known else "show_ids"
        given = Params(known)
        title, year = given.text("title") or given.text("show"), given.text("year")
        item = watchlist.wanted_item(kind, title, whole(year or ""), ids_of_form(known, whose))
        _, added = await watchlist.add_item(self.service, owner, item)
        return self.back(request, fields, "listed" if added else "on-it")

    async def remove(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        owner = await self.owner(visitor, fields)
        wanted = {value for name, value in fields.items() if name.startswith("off-")}
        removed = await watchlist.remove_entries(self.service, owner, wanted)
        return self.back(request, fields, f"unlisted-{removed}")

    async def leave(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        """Choose when an item leaves the list by itself."""
        owner = await self.owner(visitor, fields)
        until = Params(fields).choice("until", tuple(Leaving)) or Leaving.FINISHED
        await watchlist.set_until(self.service, owner, Leaving(until))
        return self.back(request, fields, "saved")

    async def read(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        owner = await self.owner(visitor, fields)
        await watchlist.ask_to_read(self.service, owner)
        return self.back(request, fields, "reading")

    async def service_choice(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        """Save a service's options, send what it lacks, or decide about what is gone from its list."""
        owner, tracker = await self.owner(visitor, fields), request.path_params["tracker"]
        does = Params(fields).choice("does", SERVICE_CHOICES) or "options"
        if does == "send":
            sent = await watchlist.send_all(self.service, owner, tracker)
            return self.back(request, fields, f"listing-{sent}")
        if does == "options":
            sends = "sends" in fields if "can_send" in fields else None
            given: watchlist.ServiceChoice = {"reads": "reads" in fields, "sends": sends}
            await watchlist.change_service(self.service, owner, tracker, given)
            return self.back(request, fields, "saved")
        settled = await watchlist.settle_hold(self.service, owner, tracker, remove=does == "remove")
        return self.back(request, fields, f"unlisted-{settled}" if does == "remove" else "saved")

    async def owner(self, visitor: Visitor, fields: Mapping[str, str]) -> PersonRow:
        owner, _ = await self.chosen_person(Params(fields), visitor)
        return owner


def searched_kind(kind: str) -> str:
    """The kind of play in which a show's title is looked for."""
    return Kind.MOVIE if kind == Kind.MOVIE else Kind.EPISODE


def ids_of_form(known: Mapping[str, str], whose: str) -> Ids:
    """The ids of a form; raises Problem 422 where one is none."""
    named = {name: value for name in ID_NAMES if (value := known.get(f"{whose}.{name}", "").strip())}
    ids = guids.clean_ids(**named)
    if ids.by_namespace().keys() != named.keys():
        raise Problem(422, "One of the ids is none.")
    return ids


def drawn_tile(tile: Tile, on: Mapping[str, list[str]]) -> dict[str, object]:
    """A tile with the services that list it too."""
    return {**asdict(tile), "at": clock.stamp(tile.at), "on": on.get(tile.entry or "", [])}
