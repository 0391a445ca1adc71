"""A Floppy on loopback: keeps what it is told, episodes as often as they are told, and answers as its source does.

`python -m tests.fakes.floppy --port 0` runs it alone. It knows the films and shows that the fake Trakt knows
(`_catalogue`), by TMDB's ids and by no other. Beside what every fake has (`_server`):

    POST /_control/user        {"name": "anna"} -> {"token": ...}
"""

from __future__ import annotations

import itertools
import json
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from ._server import Clock, Fake, main
from .trakt import Catalogue, Entry

Json = dict[str, Any]
FILM = "/media/movie/tmdb/{tmdb}"
EPISODE = "/media/tv/tmdb/{tmdb}/{season:int}/{number:int}"
LARGEST_PAGE = 200
IN_PROGRESS, COMPLETED = 1, 3
UNKNOWN_FILM, UNKNOWN_SEASON = "Could not resolve movie.", "Could not resolve season."
UNTRACKED = "Media not found or not tracked."


@dataclass
class Switches:
    """What can be set at `/_control/switches`."""

    tmdb_down: bool = False  # what is not followed yet cannot be found, as though it did not exist


class Refused(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, detail: str) -> None:
        self.response = JSONResponse({"detail": detail}, status)


@dataclass
class Play:
    id: int
    entry: Entry
    at: datetime | None
    created: datetime
    external_id: str | None = None

    def row(self) -> Json:
        ended = wire(self.at)
        return {"consumption_id": self.id, "created": wire(self.created), "status": None, "end_date": ended}


@dataclass
class Film:
    """A film that somebody follows, which was ticked by hand unless it has plays; its number is one of its own."""

    id: int
    entry: Entry
    created: datetime
    status: int = IN_PROGRESS
    at: datetime | None = None

    def row(self) -> Json:
        ended = wire(self.at)
        return {
            "consumption_id": self.id,
            "created": wire(self.created),
            "status": self.status,
            "end_date": ended,
        }


@dataclass
class User:
    name: str
    plays: list[Play] = field(default_factory=list)
    films: dict[str, Film] = field(default_factory=dict)

    def of(self, entry: Entry) -> list[Play]:
        return [play for play in self.plays if play.entry.key == entry.key]


Handler = Callable[[Request, User, Json], Response]


class Floppy(Fake):
    """The server. `fake.sign_in("anna")` gives her token; `fake.user("anna").plays` what she watched."""

    switches: Switches
    service = "floppy"

    def __init__(self, *, clock: Clock | None = None, **switches: Any) -> None:
        super().__init__(clock=clock)
        self.switches = Switches(**switches)
        self.catalogue = Catalogue()
        self.users: dict[str, User] = {}
        self.tokens: dict[str, str] = {}
        self.play_ids = itertools.count(9001)
        self.film_ids = itertools.count(1)

    # People

    def user(self, name: str) -> User:
        return self.users.setdefault(name, User(name))

    def sign_in(self, name: str) -> Json:
        token = secrets.token_urlsafe(24)
        self.tokens[token] = self.user(name).name
        return {"token": token, "name": name}

    def revoke(self, name: str) -> None:
        self.tokens = {token: user for token, user in self.tokens.items() if user != name}

    def forget(self, name: str) -> None:
        self.users[name] = User(name)

    def who(self, headers: Mapping[str, str]) -> str | None:
        return self.tokens.get(headers.get("authorization", "").removeprefix("Bearer "))

    def state(self) -> Json:
        return {
            "users": {
                user.name: {
                    "plays": [
                        {"id": play.id, "at": wire(play.at), **play.entry.wire()} for play in user.plays
                    ]
                }
                for user in self.users.values()
            }
        }

    # The door

    def routes(self) -> list[BaseRoute]:
        signed: list[tuple[str, str, Handler]] = [
            ("GET", "/lists", self.lists),
            ("GET", "/media/movie", self.list_films),
            ("GET", "/media/episode", self.list_episodes),
            ("POST", f"{FILM}/watch", self.watch_film),
            ("POST", "/media/tv/tmdb/{tmdb}/{season:int}/episodes/{number:int}/watch", self.watch_episode),
            ("GET", f"{FILM}/history", self.film_history),
            ("DELETE", f"{FILM}/history/{{id:int}}", self.remove_of_film),
            ("GET", f"{EPISODE}/history", self.episode_history),
            ("DELETE", f"{EPISODE}/history/{{id:int}}", self.remove_of_episode),
        ]
        found: list[BaseRoute] = [
            Route(f"/api/v1{path}", self.door(handler), methods=[verb]) for verb, path, handler in signed
        ]
        return [*found, Route("/_control/user", self.control_user, methods=["POST"])]

    def door(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            name = self.who(dict(request.headers))
            try:
                if name is None:
                    raise Refused(403, "Invalid token")
                body = as_json(await request.body()) if request.method == "POST" else {}
                return handler(request, self.user(name), body)
            except Refused as refused:
                return refused.response

        return endpoint

    def lists(self, request: Request, user: User, body: Json) -> Response:
        return paged(request, [])

    # Films

    def film(self, request: Request) -> Entry | None:
        return self.catalogue.by_ids("movie", {"tmdb": as_number(request.path_params["tmdb"])})

    def watch_film(self, request: Request, user: User, body: Json) -> Response:
        """One `external_id` is one play; the date of a film that was ticked by hand becomes a play of its own."""
        at, entry = self.end_date(body), self.film(request)
        if entry is None or (self.switches.tmdb_down and entry.key not in user.films):
            raise Refused(404, UNKNOWN_FILM)
        film = user.films.get(entry.key) or self.follow(user, entry)
        name = (body.get("external_id") or "").strip() or None
        there = [play for play in user.of(entry) if name and play.external_id == name]
        if there:
            return JSONResponse(there[0].row())
        if film.at is not None and not user.of(entry):
            self.play(user, entry, film.at)
        play = self.play(user, entry, at)
        play.external_id = name
        if film.at is None or at > film.at:
            film.at, film.status = at, COMPLETED
        return JSONResponse(play.row(), 201)

    def film_history(self, request: Request, user: User, body: Json) -> Response:
        entry = self.film(request)
        film = None if entry is None else user.films.get(entry.key)
        if film is None:
            raise Refused(404, UNTRACKED)
        plays = [play.row() for play in newest_first(user.of(film.entry))]
        return paged(request, plays or [film.row()])

    def remove_of_film(self, request: Request, user: User, body: Json) -> Response:
        """The play of this number; without one the film of this number, with all of its plays."""
        entry, number = self.film(request), request.path_params["id"]
        film = None if entry is None else user.films.get(entry.key)
        if film is None:
            raise Refused(404, UNTRACKED)
        gone = [play for play in user.of(film.entry) if play.id == number]
        if not gone and film.id == number:
            gone = user.of(film.entry)
            del user.films[film.entry.key]
        elif not gone:
            raise Refused(404, "Consumption entry not found.")
        user.plays = [play for play in user.plays if play not in gone]
        return Response(status_code=204)

    def list_films(self, request: Request, user: User, body: Json) -> Response:
        wanted = request.query_params.get("status")
        films = [film for film in user.films.values() if wanted in (None, str(film.status))]
        return paged(request, [{**film.row(), "item": item_of(film.entry)} for film in films])

    # Episodes

    def episode(self, request: Request) -> Entry:
        place = request.path_params
        show = self.catalogue.by_ids("show", {"tmdb": as_number(place["tmdb"])})
        part = show and self.catalogue.part("episode", show, season=place["season"], number=place["number"])
        if part is None:
            raise Refused(404, "Episode not found.")
        return part

    def watch_episode(self, request: Request, user: User, body: Json) -> Response:
        """It never asks whether the play is there."""
        at = self.end_date(body)
        if self.switches.tmdb_down:
            raise Refused(404, UNKNOWN_SEASON)
        play = self.play(user, self.episode(request), at)
        return JSONResponse(self.listed(play), 201)

    def episode_history(self, request: Request, user: User, body: Json) -> Response:
        if self.switches.tmdb_down:
            raise Refused(500, "An error occurred while fetching media metadata.")
        return paged(request, [play.row() for play in newest_first(user.of(self.episode(request)))])

    def remove_of_episode(self, request: Request, user: User, body: Json) -> Response:
        gone = [play for play in user.of(self.episode(request)) if play.id == request.path_params["id"]]
        if not gone:
            raise Refused(404, "Consumption entry not found.")
        user.plays = [play for play in user.plays if play not in gone]
        return Response(status_code=204)

    def list_episodes(self, request: Request, user: User, body: Json) -> Response:
        mine = newest_first([play for play in user.plays if play.entry.kind == "episode"])
        return paged(request, [self.listed(play) for play in mine])

    # What is kept

    def end_date(self, body: Json) -> datetime:
        """The time as it stands there, or now where it is missing or null."""
        said = body.get("end_date")
        if said in (None, ""):
            return self.clock.now()
        try:
            at = datetime.fromisoformat(said)
        except (TypeError, ValueError):
            raise Refused(400, "Invalid end_date format.") from None
        return at.replace(tzinfo=at.tzinfo or UTC)

    def follow(self, user: User, entry: Entry, at: datetime | None = None) -> Film:
        """Follow a film; with a date as if she had ticked it there by hand."""
        status = IN_PROGRESS if at is None else COMPLETED
        film = Film(next(self.film_ids), entry, self.clock.now(), status, at)
        user.films[entry.key] = film
        return film

    def play(self, user: User, entry: Entry, at: datetime | None) -> Play:
        play = Play(next(self.play_ids), entry, at, self.clock.now())
        user.plays.append(play)
        return play

    def listed(self, play: Play) -> Json:
        status = COMPLETED if play.at else IN_PROGRESS
        return {**play.row(), "status": status, "item": item_of(play.entry)}

    # Controls

    async def control_user(self, request: Request) -> Response:
        return JSONResponse(self.sign_in((await request.json())["name"]))


def item_of(entry: Entry) -> Json:
    """An episode has the number of its show, as text."""
    owner = entry.show or entry
    return {
        "media_id": str(owner.data["ids"]["tmdb"]),
        "source": "tmdb",
        "media_type": entry.kind,
        "title": owner.data.get("title"),
        "season_number": entry.data.get("season"),
        "episode_number": entry.data.get("number"),
    }


def newest_first(plays: list[Play]) -> list[Play]:
    beginning = datetime.min.replace(tzinfo=UTC)
    return sorted(plays, key=lambda play: play.at or beginning, reverse=True)


def paged(request: Request, rows: list[Json]) -> Response:
    limit, offset = (
        as_number(request.query_params.get(name, usual)) for name, usual in (("limit", 20), ("offset", 0))
    )
    if limit is None or offset is None or limit <= 0:
        raise Refused(400, "limit must be >0 and offset must be >=0")
    limit = min(limit, LARGEST_PAGE)
    pagination = {"total": len(rows), "limit": limit, "offset": offset, "next": None, "previous": None}
    return JSONResponse({"pagination": pagination, "results": rows[offset : offset + limit]})


def as_number(value: Any) -> int | None:
    return int(value) if str(value).isdecimal() else None


def as_json(body: bytes) -> Json:
    try:
        said = json.loads(body)
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise Refused(400, "JSON parse error - Expecting value: line 1 column 1 (char 0)")
    return said


def wire(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")


if __name__ == "__main__":
    main(Floppy())
