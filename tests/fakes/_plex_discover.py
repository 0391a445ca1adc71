"""The watchlists of Plex accounts, at discover.provider.plex.tv, and the titles that metadata.provider.plex.tv knows.

One list for each account token. `/metadata` is the metadata host, which once had the lists and answers 404 for them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from ._server import Fake

Json = dict[str, Any]
PAGE = 100


@dataclass
class DiscoverSwitches:
    """What can be set of the lists."""

    lists_guids: bool = True  # whether a row of the list has its ids
    repeats: int = 0  # rows of a page that come again on the next one, as if the list had changed
    answers_409: bool = True  # to a title that is on the list already; otherwise it says so with a 200


class Discover(Fake):
    """Titles by Plex's own key, and who wants to watch which since when."""

    def __init__(self, **more: Any) -> None:
        self.titles: dict[str, Json] = {}
        self.wanted: dict[str, dict[str, datetime]] = {}
        self.forgotten: set[str] = set()  # titles that Plex has deleted, although they are on lists
        self.discover = DiscoverSwitches()
        super().__init__(**more)

    def account_tokens(self) -> set[str]:
        """The tokens of accounts that are signed in."""
        raise NotImplementedError

    def know(self, kind: str, title: str, year: int | None, ids: Json) -> str:
        """A title that Plex knows; its key."""
        key = hashlib.sha256(f"{kind} {title} {year} {sorted(ids.items())}".encode()).hexdigest()[:24]
        guids = [{"id": f"{name}://{value}"} for name, value in ids.items()]
        self.titles[key] = {
            "ratingKey": key,
            "guid": f"plex://{kind}/{key}",
            "type": kind,
            "title": title,
            "year": year,
            "Guid": guids,
        }
        return key

    def discover_routes(self) -> list[BaseRoute]:
        return [
            Route("/library/sections/watchlist/{part}", self.signed(self.list_wanted)),
            Route("/actions/addToWatchlist", self.signed(self.add_wanted), methods=["PUT"]),
            Route("/actions/removeFromWatchlist", self.signed(self.remove_wanted), methods=["PUT"]),
            Route("/metadata/library/sections/watchlist/{part}", self.lost),
            Route("/metadata/library/metadata/matches", self.signed(self.match)),
            Route("/metadata/library/metadata/{key}", self.signed(self.show_title)),
        ]

    def signed(self, handler: Any) -> Any:
        async def endpoint(request: Request) -> Response:
            token = request.headers.get("x-plex-token", "")
            if "x-plex-client-identifier" not in request.headers:
                return JSONResponse({"Error": {"code": 1000, "message": "client identifier"}}, 400)
            if token not in self.account_tokens():
                known = {"code": 1001, "message": "User could not be authenticated", "status": 401}
                return JSONResponse({"Error": known}, 401)
            answer: Response = handler(request, self.wanted.setdefault(token, {}))
            return answer

        return endpoint

    async def lost(self, request: Request) -> Response:
        return JSONResponse({"Error": {"code": 2000, "message": "Section 'watchlist' not found!"}}, 404)

    def list_wanted(self, request: Request, wanted: dict[str, datetime]) -> Response:
        asked = request.query_params
        start = int(asked.get("X-Plex-Container-Start", 0))
        size = min(int(asked.get("X-Plex-Container-Size", PAGE)), PAGE)
        keys = sorted(wanted, key=lambda key: wanted[key], reverse=True)
        first = max(start - self.discover.repeats, 0) if start else 0
        rows = [self.row(key, wanted[key]) for key in keys[first : first + size]]
        about: Json = {"offset": start, "size": len(rows), "totalSize": len(keys)}
        about["identifier"] = "tv.plex.provider.discover"
        if request.headers.get("accept") != "application/json":
            return as_xml(about, rows)
        return JSONResponse({"MediaContainer": {**about, **({"Metadata": rows} if rows else {})}})

    def row(self, key: str, at: datetime) -> Json:
        row = {**self.titles[key], "watchlistedAt": int(at.timestamp())}
        if not self.discover.lists_guids:
            del row["Guid"]
        return row

    def add_wanted(self, request: Request, wanted: dict[str, datetime]) -> Response:
        key = request.query_params.get("ratingKey", "")
        if key not in self.titles:
            return JSONResponse({"Error": {"code": 2000, "message": "not found"}}, 404)
        if key in wanted:
            said = {"Error": {"message": "Item is already on the watchlist"}}
            return JSONResponse(said, 409 if self.discover.answers_409 else 200)
        wanted[key] = self.clock.now()
        return JSONResponse({"MediaContainer": {"size": 0}})

    def remove_wanted(self, request: Request, wanted: dict[str, datetime]) -> Response:
        if wanted.pop(request.query_params.get("ratingKey", ""), None) is None:
            return JSONResponse({"Error": {"message": "Item is not on the watchlist"}}, 404)
        return JSONResponse({"MediaContainer": {"size": 0}})

    def match(self, request: Request, wanted: dict[str, datetime]) -> Response:
        """Titles by an id in the place of the title; like the real one it guesses where it knows none."""
        kind, said = request.query_params.get("type"), request.query_params.get("title", "")
        name, _, value = said.partition("-")
        known = [one for key, one in self.titles.items() if one["type"] == kind and key not in self.forgotten]
        found = [one for one in known if {"id": f"{name}://{value}"} in one["Guid"]] or known[:1]
        return JSONResponse({"MediaContainer": {"size": len(found), "Metadata": found}})

    def show_title(self, request: Request, wanted: dict[str, datetime]) -> Response:
        key = request.path_params["key"]
        if key not in self.titles or key in self.forgotten:
            return JSONResponse({"Error": {"code": 2000, "message": "not found"}}, 404)
        return JSONResponse({"MediaContainer": {"size": 1, "Metadata": [self.titles[key]]}})


def as_xml(about: Json, rows: list[Json]) -> Response:
    made = Element("MediaContainer", {name: str(value) for name, value in about.items()})
    for row in rows:
        SubElement(made, "Video", {name: str(value) for name, value in row.items() if name != "Guid"})
    return Response(tostring(made), media_type="text/xml")
