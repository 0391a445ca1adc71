"""A Scrob on loopback: keeps what it is told, as often as it is told, and answers as the contract says.

`python -m tests.fakes.scrob --port 0` runs it alone. It knows the films and shows that the fake Trakt knows
(`_catalogue`), by TMDB's ids and by no other. The API is at the root, as at the bare backend, and at `/api/proxy`.
Beside what every fake has (`_server`):

    POST /_control/user        {"name": "anna"} -> {"token": ...}
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from ._server import Clock, Fake, main
from .trakt import Catalogue, Entry

Json = dict[str, Any]
PROXY = "/api/proxy"
LARGEST_PAGE = 100
KINDS = ("movie", "episode")


@dataclass
class Switches:
    """What can be set at `/_control/switches`."""

    proxy_only: bool = False  # the frontend's port: without /api/proxy it leads to the page for signing in
    tmdb_down: bool = False  # or no key for it: whatever is not known yet is a 404
    near_minutes: float = 0  # a newer version may silently keep no second play this near to another
    own_ids: bool = (
        True  # whether it knows an episode by TMDB's id of its own; a show of TheTVDB's has others
    )


class Refused(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, detail: Any) -> None:
        self.response = JSONResponse({"detail": detail}, status)


@dataclass
class Play:
    """`at` is as it is kept, in UTC without saying so; None where nobody knows."""

    id: int
    entry: Entry
    at: datetime | None


@dataclass
class User:
    name: str
    plays: list[Play] = field(default_factory=list)


Handler = Callable[[Request, User, Json], Response]


class Scrob(Fake):
    """The server. `fake.sign_in("anna")` gives her key; `fake.user("anna").plays` what she watched."""

    switches: Switches
    service = "scrob"

    def __init__(self, *, clock: Clock | None = None, **switches: Any) -> None:
        super().__init__(clock=clock)
        self.switches = Switches(**switches)
        self.catalogue = Catalogue()
        self.users: dict[str, User] = {}
        self.keys: dict[str, str] = {}
        self.known: set[str] = set()
        self.ids = iter(range(9001, 2**40))

    # People

    def user(self, name: str) -> User:
        return self.users.setdefault(name, User(name))

    def sign_in(self, name: str) -> Json:
        key = secrets.token_hex(16)
        self.keys[key] = self.user(name).name
        return {"token": key, "name": name}

    def revoke(self, name: str) -> None:
        self.keys = {key: user for key, user in self.keys.items() if user != name}

    def who(self, headers: Mapping[str, str]) -> str | None:
        return self.keys.get(headers.get("x-api-key", ""))

    def state(self) -> Json:
        return {
            "users": {
                user.name: {
                    "plays": [
                        {"id": play.id, "at": play.at and play.at.isoformat(), **play.entry.wire()}
                        for play in user.plays
                    ]
                }
                for user in self.users.values()
            }
        }

    # The door

    def routes(self) -> list[BaseRoute]:
        signed: list[tuple[str, str, Handler]] = [
            ("GET", "/profile/me", self.profile),
            ("POST", "/history", self.add),
            ("GET", "/history", self.list_history),
            ("GET", "/history/item-events", self.item_events),
            ("DELETE", "/history/event/{id}", self.remove_event),
            ("DELETE", "/history/item", self.remove_item),
            ("DELETE", "/history", self.wipe),
        ]
        found: list[BaseRoute] = []
        for prefix in (PROXY, ""):
            found += [
                Route(prefix + path, self.door(handler, prefix), methods=[verb])
                for verb, path, handler in signed
            ]
            found.append(Route(f"{prefix}/health", self.health))
        return [*found, Route("/_control/user", self.control_user, methods=["POST"])]

    def door(self, handler: Handler, prefix: str) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            if self.switches.proxy_only and not prefix:
                return Response(status_code=307, headers={"location": "/login"})
            key = request.headers.get("x-api-key") or request.query_params.get("api_key")
            try:
                if key not in self.keys:
                    raise Refused(401, "Could not validate credentials")
                body = as_json(await request.body()) if request.method == "POST" else {}
                return handler(request, self.user(self.keys[key]), body)
            except Refused as refused:
                return refused.response

        return endpoint

    async def health(self, request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    def profile(self, request: Request, user: User, body: Json) -> Response:
        return JSONResponse({"display_name": None, "bio": None, "country": None})

    # The history

    def add(self, request: Request, user: User, body: Json) -> Response:
        """It never asks whether the play is there, and gives no id back."""
        entry = self.find(body)
        if "watched_at" in body:
            at = body["watched_at"] and naive(body["watched_at"])
        else:
            at = self.clock.now().astimezone(UTC).replace(tzinfo=None)
        if not self.is_near(user, entry, at):
            user.plays.append(Play(next(self.ids), entry, at))
        name = entry.data.get("title")
        return JSONResponse({"status": "ok", "message": f"Marked {name} as watched"})

    def find(self, body: Json) -> Entry:
        for name in ("tmdb_id", "media_type"):
            if name not in body:
                said = {"loc": ["body", name], "msg": "Field required", "type": "missing"}
                raise Refused(422, [said])
        if body["media_type"] not in KINDS:
            raise Refused(400, "Unsupported media type")
        film = body["media_type"] == "movie"
        show = None if film else self.catalogue.by_ids("show", {"tmdb": body.get("series_tmdb_id")})
        entry = self.catalogue.by_ids("movie", {"tmdb": body["tmdb_id"]}) if film else show
        if entry is None or (self.switches.tmdb_down and entry.key not in self.known):
            raise Refused(
                404, f"TMDB Media not found: {body['tmdb_id'] if film else body.get('series_tmdb_id')}"
            )
        if show is not None:
            place = {"season": body.get("season_number"), "number": body.get("episode_number")}
            part = None if None in place.values() else self.catalogue.part("episode", show, **place)
            if part is None:
                raise Refused(404, "Episode not found on TMDB")
            entry = part
        self.known |= {entry.key, show.key} if show else {entry.key}
        return entry

    def is_near(self, user: User, entry: Entry, at: datetime | None) -> bool:
        near = timedelta(minutes=self.switches.near_minutes)
        same = [play for play in user.plays if play.entry.key == entry.key]
        return any(at and play.at and abs(at - play.at) < near for play in same)

    def item_events(self, request: Request, user: User, body: Json) -> Response:
        query = request.query_params
        number, kind = int(query["tmdb_id"]), query["media_type"]
        mine = [
            play
            for play in user.plays
            if play.entry.kind == kind and number and self.own_id(play.entry) == number
        ]
        events = [{"id": play.id, "watched_at": wire(play.at)} for play in mine]
        return JSONResponse({"watched": bool(events), "events": events})

    def list_history(self, request: Request, user: User, body: Json) -> Response:
        """The newest first, those without a date last."""
        query = request.query_params
        page, size = int(query.get("page", 1)), int(query.get("page_size", 20))
        if not 1 <= size <= LARGEST_PAGE:
            said = {"loc": ["query", "page_size"], "msg": "Input should be less than or equal to 100"}
            raise Refused(422, [said])
        found = [play for play in user.plays if query.get("type") in (None, play.entry.kind)]
        found.sort(key=lambda play: play.at or datetime.min, reverse=True)  # noqa: DTZ901
        rows = [self.event(play) for play in found[(page - 1) * size : page * size]]
        total = {"total_results": len(found), "total_pages": -(-len(found) // size)}
        return JSONResponse({"page": page, "page_size": size, **total, "results": rows})

    def event(self, play: Play) -> Json:
        data, show = play.entry.data, play.entry.show
        media = {"id": 55, "tmdb_id": self.own_id(play.entry), "type": play.entry.kind, "runtime": 47}
        if show is None:
            said = {"title": data.get("title"), "release_date": f"{data.get('year')}-05-30"}
        else:
            said = {
                "title": data.get("title"),
                "release_date": None,
                "season_number": data["season"],
                "episode_number": data["number"],
                "show_title": show.data.get("title"),
                "show_tmdb_id": show.data["ids"].get("tmdb"),
                "show_tvdb_id": show.data["ids"].get("tvdb"),
            }
        seen = {"watched_at": wire(play.at), "progress_seconds": None, "progress_percent": 1.0}
        return {
            "id": play.id,
            "user_id": 1,
            **seen,
            "completed": True,
            "play_count": 1,
            "media": {**media, **said},
        }

    def own_id(self, entry: Entry) -> int | None:
        ids = entry.data["ids"]
        sourced = entry.kind == "episode" and not self.switches.own_ids
        number: int | None = ids.get("tvdb" if sourced else "tmdb")
        return number

    def remove_event(self, request: Request, user: User, body: Json) -> Response:
        event = int(request.path_params["id"])
        if event not in (play.id for play in user.plays):
            raise Refused(404, "Event not found")
        user.plays = [play for play in user.plays if play.id != event]
        return JSONResponse({"status": "ok"})

    def remove_item(self, request: Request, user: User, body: Json) -> Response:
        """All plays of an item: no client of ours may ask for it."""
        number = int(request.query_params["tmdb_id"])
        user.plays = [play for play in user.plays if self.own_id(play.entry) != number]
        return JSONResponse({"status": "ok"})

    def wipe(self, request: Request, user: User, body: Json) -> Response:
        user.plays.clear()
        return JSONResponse({"status": "ok"})

    def remember(self, user: User, entry: Entry, at: datetime | None) -> None:
        """As if she had watched it there."""
        user.plays.append(Play(next(self.ids), entry, at and at.astimezone(UTC).replace(tzinfo=None)))

    # Controls

    async def control_user(self, request: Request) -> Response:
        return JSONResponse(self.sign_in((await request.json())["name"]))


def as_json(body: bytes) -> Json:
    try:
        said = json.loads(body)
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise Refused(422, [{"loc": ["body"], "msg": "JSON decode error", "type": "json_invalid"}])
    return said


def naive(said: Any) -> datetime:
    """The time as it stands there: an offset is thrown away."""
    try:
        return datetime.fromisoformat(said).replace(tzinfo=None)
    except (TypeError, ValueError):
        wrong = {"loc": ["body", "watched_at"], "msg": "Input should be a valid datetime", "type": "datetime"}
        raise Refused(422, [wrong]) from None


def wire(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


if __name__ == "__main__":
    main(Scrob())
