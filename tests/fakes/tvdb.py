"""A TheTVDB on loopback: v4, and the login of v3 with a user name and a user key.

https://thetvdb.github.io/v4-api/

`python -m tests.fakes.tvdb --port 0` runs it alone, empty. The API stands under `/v4`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from ._server import Clock, Fake, main
from ._world import Film, Part, Series, World, meets

Json = dict[str, Any]

PAGE = 500
ORDERS = ("default", "official", "dvd", "absolute", "alternate", "regional")
SOURCE_NAMES = {"imdb": ("IMDB", 2), "tmdb": ("TheMovieDB.com", 12)}
CHANGED = "Sun, 22 Nov 2026 10:00:00 GMT"


@dataclass
class Switches:
    """What can be set at `/_control/switches`."""

    key: str = "11111111-2222-3333-4444-555555555555"
    pin: str = ""  # where set, the key is user-supported and wants it
    username: str = ""  # where set, the login is that of v3
    userkey: str = ""
    life: float = 30 * 86400  # seconds that a token is good for


class Refused(Exception):
    def __init__(self, status: int, message: str) -> None:
        self.response = JSONResponse({"status": "failure", "message": message, "data": None}, status)


class Tvdb(Fake):
    """The server; put what it knows into `fake.world`."""

    switches: Switches

    service = "tvdb"

    def __init__(self, world: World | None = None, *, clock: Clock | None = None, **switches: Any) -> None:
        super().__init__(clock=clock)
        self.switches = Switches(**switches)
        self.world = world or World()
        self.tokens: dict[str, datetime] = {}

    def routes(self) -> list[BaseRoute]:
        table: list[tuple[str, Callable[[Request], Any]]] = [
            ("/search/remoteid/{id}", self.remote),
            ("/search", self.search),
            ("/series/{id:int}", self.one_series),
            ("/series/{id:int}/extended", self.one_series),
            ("/series/{id:int}/episodes/{order}", self.episodes),
            ("/episodes/{id:int}", self.episode),
            ("/episodes/{id:int}/extended", self.episode),
            ("/movies/{id:int}/extended", self.movie),
        ]
        return [
            Route("/v4/login", self.login, methods=["POST"]),
            *(Route(f"/v4{path}", self.door(handler)) for path, handler in table),
        ]

    # --- the door

    async def login(self, request: Request) -> Response:
        given = await request.json()
        try:
            self.check(given)
        except Refused as refused:
            return refused.response
        token = f"jwt.{secrets.token_hex(8)}.signature"
        self.tokens[token] = self.clock.now() + timedelta(seconds=self.switches.life)
        if self.switches.username:
            return JSONResponse({"token": token})
        return JSONResponse({"status": "success", "data": {"token": token}})

    def check(self, given: Mapping[str, Any]) -> None:
        if given.get("apikey") != self.switches.key:
            raise Refused(401, "InvalidAPIKey: apikey invalid")
        if self.switches.username:
            names = ("username", "userkey")
            if any(given.get(name) != getattr(self.switches, name) for name in names):
                raise Refused(401, "Not Authorized")
            return
        if self.switches.pin and not given.get("pin"):
            raise Refused(400, "InvalidValueType: pin required")
        if given.get("pin", self.switches.pin) != self.switches.pin:
            raise Refused(401, "InvalidAPIKey: pin invalid")

    def door(self, handler: Callable[[Request], Any]) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            try:
                self.let_in(request)
                if request.headers.get("if-modified-since") == CHANGED:
                    return Response(status_code=304)
                data, links = handler(request), None
            except Refused as refused:
                return refused.response
            if isinstance(data, Paged):
                data, links = data.data, data.links
            body = {"status": "success", "data": data, **({} if links is None else {"links": links})}
            return JSONResponse(body, headers={"Last-Modified": CHANGED})

        return endpoint

    def let_in(self, request: Request) -> None:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if token not in self.tokens or self.tokens[token] <= self.clock.now():
            raise Refused(401, "Unauthorized")

    # --- by id

    def remote(self, request: Request) -> Any:
        wanted = request.path_params["id"]

        def here(ids: Mapping[str, Any]) -> bool:
            return wanted in (str(ids.get("imdb")), str(ids.get("tmdb")))

        found: list[Json] = [{"movie": brief(one)} for one in self.world.films_of("tvdb") if here(one.ids)]
        found += [{"series": brief(one)} for one in self.world.series_of("tvdb") if here(one.ids)]
        found += [
            {"episode": part_row(one, part)}
            for one, part in self.world.parts_of("tvdb")
            if here(part.ids) and part.ids.get("tvdb")
        ]
        if not found:
            raise Refused(404, "Not Found")
        return found

    def one_series(self, request: Request) -> Any:
        one = self.series_at(request)
        return {**brief(one), "firstAired": f"{one.year}-01-20" if one.year else None, **remote_ids(one.ids)}

    def movie(self, request: Request) -> Any:
        wanted = request.path_params["id"]
        film = first([film for film in self.world.films_of("tvdb") if film.ids["tvdb"] == wanted])
        return {**brief(film), **remote_ids(film.ids)}

    def episode(self, request: Request) -> Any:
        wanted = request.path_params["id"]
        one, part = first([row for row in self.world.parts_of("tvdb") if row[1].ids.get("tvdb") == wanted])
        return {**part_row(one, part), **remote_ids(part.ids)}

    def episodes(self, request: Request) -> Any:
        one, order, asked = self.series_at(request), request.path_params["order"], request.query_params
        if order not in ORDERS or not asked.get("page", "").isdigit():
            raise Refused(400, "InvalidValueType: page required")
        if asked.get("episodeNumber") and not asked.get("season"):
            raise Refused(400, "season is required with episodeNumber")
        rows = [row for part in one.parts if (row := ordered(one, part, order))]
        for name, key in (("season", "seasonNumber"), ("episodeNumber", "number")):
            rows = [row for row in rows if asked.get(name) in (None, str(row[key]))]
        page = int(asked["page"])
        shown = rows[page * PAGE : (page + 1) * PAGE]
        after = f"?page={page + 1}" if len(rows) > (page + 1) * PAGE else None
        links = {
            "prev": None,
            "self": f"?page={page}",
            "next": after,
            "total_items": len(rows),
            "page_size": PAGE,
        }
        return Paged({"series": brief(one), "episodes": shown}, links)

    def series_at(self, request: Request) -> Series:
        wanted = request.path_params["id"]
        found: Series = first([one for one in self.world.series_of("tvdb") if one.ids["tvdb"] == wanted])
        return found

    # --- by title

    def search(self, request: Request) -> Any:
        asked = request.query_params
        if not asked.get("query"):
            raise Refused(400, "query is required")
        things: list[Film | Series] = []
        if asked.get("type") in (None, "", "movie"):
            things += self.world.films_of("tvdb")
        if asked.get("type") in (None, "", "series"):
            things += self.world.series_of("tvdb")
        found = [one for one in things if meets(asked["query"], one.titles())]
        if year := asked.get("year"):
            found = [one for one in found if str(one.year) == year]
        return [hit(one) for one in found]


@dataclass
class Paged:
    data: Any
    links: Json


def first(found: list[Any]) -> Any:
    if not found:
        raise Refused(404, "Not Found")
    return found[0]


def brief(one: Film | Series) -> Json:
    return {
        "id": one.ids["tvdb"],
        "name": one.original or one.title,
        "slug": f"slug-{one.ids['tvdb']}",
        "year": str(one.year) if one.year else "",
        "image": f"https://artworks.thetvdb.com/{one.ids['tvdb']}.jpg",
        "aliases": [{"language": "eng", "name": name} for name in (one.title, *one.aliases)],
    }


def hit(one: Film | Series) -> Json:
    kind = "movie" if isinstance(one, Film) else "series"
    return {
        "objectID": f"{kind}-{one.ids['tvdb']}",
        "tvdb_id": str(one.ids["tvdb"]),
        "name": one.original or one.title,
        "year": str(one.year) if one.year else "",
        "type": kind,
        "remote_ids": remote_ids(one.ids)["remoteIds"],
        "image_url": f"https://artworks.thetvdb.com/{one.ids['tvdb']}.jpg",
        "aliases": list(one.aliases),
        "translations": {"eng": one.title},
    }


def remote_ids(ids: Mapping[str, Any]) -> Json:
    known = [
        {"id": str(ids[name]), "type": number, "sourceName": source}
        for name, (source, number) in SOURCE_NAMES.items()
        if ids.get(name)
    ]
    return {"remoteIds": known}


def part_row(one: Series, part: Part) -> Json:
    return {
        "id": part.ids.get("tvdb"),
        "seriesId": one.ids["tvdb"],
        "name": part.title,
        "aired": part.aired,
        "seasonNumber": part.season,
        "number": part.number,
        "absoluteNumber": part.absolute or 0,
    }


def ordered(one: Series, part: Part, order: str) -> Json | None:
    """The episode where an order has it, or None where it does not."""
    if not part.ids.get("tvdb"):
        return None
    row = part_row(one, part)
    if order in ("default", "official"):
        return row
    place = {"absolute": (1, part.absolute) if part.absolute else None, "dvd": part.dvd}.get(order)
    return None if place is None else {**row, "seasonNumber": place[0], "number": place[1]}


if __name__ == "__main__":
    main(Tvdb())
