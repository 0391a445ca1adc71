"""Pages of the library: shows, films and lists as posters, and one show by season."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import TypedDict
from urllib.parse import urlencode

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from webhook import clock
from webhook.domain.event import Kind
from webhook.domain.play import Dated
from webhook.history import library, runtimes
from webhook.history.edits import EditResult
from webhook.history.stats_span import zone_of
from webhook.queries import library as shelves
from webhook.queries import sent
from webhook.queries.library import ShowTab, ShowTile, Tile, TilePage
from webhook.queries.sent import SentCounts
from webhook.storage.tables import PersonRow
from webhook.web.history import ticks
from webhook.web.history.episodes import (
    EpisodeJson,
    ShowJson,
    follow_show,
    has_page,
    parse_show_key,
    whole_show,
)
from webhook.web.history.seasons import in_parts, open_parts
from webhook.web.http.errors import Problem
from webhook.web.http.page import Page, current_path, older
from webhook.web.http.params import Params, whole
from webhook.web.http.sessions import base
from webhook.web.visible import Visitor

TILES_PER_PAGE = 30

FILMS = "films"
LISTS: Mapping[str, Callable[[Connection, int], Sequence[Tile]]] = {"loved": shelves.list_favourites}
"""The tabs of lists that a person keeps; the watchlist has a page of its own."""


class Library(Page):
    def routes(self) -> list[BaseRoute]:
        tabs = [ShowTab.UP_TO_DATE, ShowTab.FINISHED, FILMS, *LISTS]
        return [
            Route("/library", self.page(self.tiles)),
            *(Route(f"/library/{tab}", self.page(self.tiles)) for tab in tabs),
            Route("/library/shows/follow", self.change(self.follow), methods=["POST"]),
            Route("/library/shows/{key:path}/ticks", self.change(self.tick), methods=["POST"]),
            Route("/library/shows/{key:path}", self.page(self.show)),
            Route("/history/shows", self.redirect),
            Route("/history/shows/{key:path}", self.redirect),
        ]

    async def redirect(self, request: Request) -> Response:
        """Redirect the addresses that shows had before they had a section of their own."""
        key = request.path_params.get("key")
        query = f"?{request.url.query}" if request.url.query else ""
        path = "/library" if key is None else f"/library/shows/{parse_show_key(key)}"
        return RedirectResponse(f"{base(self.service.settings, request)}{path}{query}", 308)

    # --- posters

    async def tiles(self, request: Request, visitor: Visitor) -> Response:
        params = Params(request.query_params)
        owner, names = await self.chosen_person(params, visitor)
        text, after = params.text("text"), params.after() or 0
        tab = request.url.path.rstrip("/").rpartition("/")[2]
        tab = tab if tab in {FILMS, *LISTS, *ShowTab} else ShowTab.WATCHING

        def read(connection: Connection) -> TilePage:
            if tab == FILMS:
                zone = zone_of(owner.timezone)
                return shelves.page_of_films(connection, owner.id, zone, text, after, TILES_PER_PAGE)
            if tab in LISTS:
                page = shelves.page_of(LISTS[tab](connection, owner.id), text, after, TILES_PER_PAGE)
                tiles = [only_with_page(connection, owner.id, one) for one in page.tiles]
                return replace(page, tiles=tiles)
            return page_of_shows(connection, owner, ShowTab(tab), text, after)

        page = await self.database.read(read)
        chosen = {"person": owner.name if visitor.is_admin else None, "text": text}
        known = {
            "owner": owner.name,
            "names": names,
            "tab": str(tab),
            "text": text,
            "first": not after,
            "tiles": [tile_entry(one) for one in page.tiles],
            "count": page.count,
            "more": older(chosen, {"next": page.next}),
            "path": self.path(request),
        }
        return self.render(request, "library.html", known, visitor)

    # --- a show

    async def show(self, request: Request, visitor: Visitor) -> Response:
        key, params = parse_show_key(request.path_params["key"]), Params(request.query_params)
        owner, names = await self.chosen_person(params, visitor)
        found = await self.database.read(lambda connection: show_details(connection, owner, key))
        if found is None:
            raise Problem(404, "This show is not in the history.")
        unmark = params.text("unmark")
        asked = ticks.find_episode(found["show"], ticks.parse_place(unmark)) if unmark else None
        seasons = in_parts(found["show"]["episodes"])
        opened = open_parts(seasons, whole(params.text("part") or ""))
        kept = {name: value for name in ("person", "part") if (value := params.text(name))}
        known = {"owner": owner.name, "names": names, "seasons": seasons, "opened": opened, "asked": asked}
        known |= {"path": self.path(request), "kept": urlencode(kept)}
        return self.render(request, "show.html", {**found, **known}, visitor)

    def path(self, request: Request) -> str:
        """The address of this page without its query."""
        return current_path(request, base(self.service.settings, request)).partition("?")[0]

    async def follow(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        """Follow or unfollow a show of the visitor's own."""
        key, person_id = parse_show_key(fields.get("key", "")), visitor.person_id or 0
        unfollows = fields.get("does") == "unfollow"
        change = library.unfollow_show if unfollows else follow_show
        await self.database.run(lambda connection: change(connection, person_id, key))
        return self.back(request, fields, "saved")

    async def tick(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        """Mark an episode, or all up to it, as watched; or unmark one, after asking where its play was reported."""
        key = parse_show_key(request.path_params["key"])
        owner, _ = await self.chosen_person(Params(fields), visitor)
        show = await self.database.read(lambda connection: whole_show(connection, owner.id, key))
        if show is None:
            raise Problem(404, "This show is not in the history.")
        if "unmark" in fields:
            return await self.unmark(request, visitor, owner, fields, show)
        last = ticks.parse_place(fields.get("up_to") or fields.get("mark", ""))
        ticks.find_episode(show, last)
        now = clock.now()
        places = [last] if "mark" in fields else ticks.places_up_to(show, last, now.date())
        dated = Dated.TICKED if fields.get("when") == "unknown" else Dated.EXACT
        made = 0
        for start in range(0, len(places), ticks.MARKS_AT_ONCE):
            mark = partial(
                ticks.mark_episodes,
                person_id=owner.id,
                key=key,
                places=places[start : start + ticks.MARKS_AT_ONCE],
                dated=dated,
                can=self.service.trackers,
                by=visitor.name,
                now=now,
            )
            made += await self.database.run(mark)
        self.service.interpreter.told.set()
        return self.back(request, fields, f"marked-{made}")

    async def unmark(
        self,
        request: Request,
        visitor: Visitor,
        owner: PersonRow,
        fields: Mapping[str, str],
        show: ShowJson,
    ) -> str:
        place = fields["unmark"]
        episode = ticks.find_episode(show, ticks.parse_place(place))

        def change(connection: Connection) -> list[EditResult] | None:
            if "sure" not in fields and not ticks.was_added_by_hand(connection, episode):
                return None
            return ticks.unmark_episode(connection, episode, self.service.trackers, visitor.name, clock.now())

        removed = await self.database.run(change)
        if removed is None:
            return f"{self.back(request, fields, 'sure')}&unmark={place}"
        self.service.interpreter.told.set()
        if not await self.database.read(lambda connection: has_page(connection, owner.id, show["key"])):
            fields = {"back": f"/library?{urlencode({'person': owner.name})}"}
        undo = removed[0]["edit"] if removed else None
        return self.back(request, fields, f"unmarked-{len(removed)}", undo)


def only_with_page(connection: Connection, person_id: int, tile: Tile) -> Tile:
    """The tile, without the key of a show that has no page because the person neither watched nor follows it."""
    if tile.kind == Kind.MOVIE:
        return tile
    return tile if tile.key is None or has_page(connection, person_id, tile.key) else replace(tile, key=None)


def tile_entry(tile: Tile) -> dict[str, object]:
    """A tile as the template and its picture want it."""
    return {**asdict(tile), "at": clock.stamp(tile.at)}


def page_of_shows(
    connection: Connection, owner: PersonRow, tab: ShowTab, text: str | None, after: int
) -> TilePage:
    now = clock.now()
    every = shelves.list_shows(connection, owner.id, zone_of(owner.timezone), now)
    page = shelves.page_of(shelves.in_tab(every, tab), text, after, TILES_PER_PAGE)
    shown = [one for one in page.tiles if isinstance(one, ShowTile)]
    return TilePage(shelves.add_progress(connection, owner.id, shown, now.date()), page.count, page.next)


class PicturedShow(TypedDict):
    """A show as pictures name it."""

    kind: str
    title: str | None
    picture: str | None


class ShowDetails(TypedDict):
    """A show with where its person is in it, how long it runs, and what each tracker knows of it."""

    show: ShowJson
    entry: PicturedShow
    aired: int
    is_coming: bool
    watched: int
    last: str | None
    following: EpisodeJson | None
    runtime: int | None
    sent: list[SentCounts]
    today: str


def show_details(connection: Connection, owner: PersonRow, key: str) -> ShowDetails | None:
    """A show with where the person is in it, how long it runs, and what each tracker knows of it."""
    show = whole_show(connection, owner.id, key)
    if show is None:
        return None
    today = clock.now().date()
    regular = [one for one in show["episodes"] if one["season"] > 0]
    aired = [one for one in regular if ticks.is_aired(one, today)]
    plays = [one for episode in show["episodes"] for one in episode["plays"]]
    return {
        "show": show,
        "entry": {"kind": "show", "title": show["title"], "picture": show["picture"]},
        "aired": len(aired),
        "is_coming": len(regular) > len(aired),
        "watched": sum(bool(one["plays"]) for one in (aired if show["via"] else regular)),
        "last": max((one["watched_at"] or "" for one in plays), default=None),
        "following": ticks.next_episode(aired),
        "runtime": runtimes.find_ms(connection, f"show:{key}"),
        "sent": sent.delivery_counts(connection, [one["id"] for one in plays]),
        "today": today.isoformat(),
    }
