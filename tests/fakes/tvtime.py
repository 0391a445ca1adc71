"""A TV Time that answers: the `/sidecar` proxy and the hosts behind it, as they were until July 2026.

    with Server(TVTime()) as server:
        tokens = server.fake.add_user("anna", "secret").tokens
        server.fake.faults.add("POST /sidecar/api2.tozelabs.com/v2/watched_episodes", record_then=502)

A call through the proxy is logged, and met by faults, under `/sidecar/<host><path>` of what it is for,
with the query merged. Besides what every fake has, over HTTP:

    POST   /_control/users     {"name", "password"}; answers tokens; without password: made with Facebook
    POST   /_control/expire    {"name"}: the user's access tokens no longer hold
    POST   /_control/revoke    {"name"}: nor do the refresh tokens
    POST   /_control/movies    {"id", "name", "imdb_id", "uuid"}
    POST   /_control/episodes  {"id", "show", "name", "season", "number"}

Any episode and any movie exists, invented where the catalogue has none, unless `open_world` is off.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import re
import secrets
import uuid
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from . import _catalogue
from ._server import Clock, Fake, main

API = "/sidecar/api2.tozelabs.com/v2"
AUTH = "/sidecar/auth.tvtime.com/v1"
MSAPI = "/sidecar/msapi.tvtime.com"
SEARCH = "/sidecar/search.tvtime.com/v1/search"

ACCESS_LIFE = timedelta(days=60)
REFRESH_LIFE = timedelta(days=3650)
LIBRARIES = re.compile(r"^(python|curl|java|okhttp|go-http|axios|node)", re.IGNORECASE)
BLOCKED = "<!DOCTYPE html><html><title>Attention Required! | Cloudflare</title></html>"
OF_SHOWS = re.compile(r"shows\.fields\(([a-z_,]+)\)\.offset\((\d+)\)\.limit\((\d+)\)")
SHELL = "<!DOCTYPE html><html><title>TV Time</title><script src=flutter.js></script></html>"


@dataclass
class Switches:
    """How the service is; `service_closed` is how it was found after 15 July 2026."""

    service_closed: bool = False
    open_world: bool = True
    unknown_episodes: list[int] = field(default_factory=list)
    login_needs_bearer: bool = True
    blocks_default_agents: bool = False
    expired_reads_are_empty: bool = False
    paging: str = "kept"
    """kept, ignored (everything at once) or repeated (the first page for ever)."""
    slow_body: float = 0
    """Seconds between the two halves of an answer."""
    follow_hint: bool = False
    """Whether it has the call to follow a show of which only a hint is known, `PUT|DELETE /v2/show/{id}/follow`."""
    runtimes: bool = True
    """Whether what was watched comes with its length."""


@dataclass(frozen=True, kw_only=True)
class Movie:
    id: int
    name: str
    uuid: str
    imdb_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class Episode:
    id: int
    show: int
    name: str
    """The show's name."""
    season: int
    number: int
    title: str | None = None
    air_date: str | None = None
    runtime: int = 2700
    """Seconds."""

    @property
    def uuid(self) -> str:
        return named("episode", self.id)


@dataclass
class Viewing:
    """The first viewing, and how often it was repeated."""

    at: datetime
    updated_at: datetime
    rewatch_count: int = 0


@dataclass
class User:
    id: int
    name: str
    password: str | None
    followed: dict[int, datetime] = field(default_factory=dict)
    unfollowed: list[int] = field(default_factory=list)
    watched: dict[int, Viewing] = field(default_factory=dict)
    movies: dict[str, Viewing] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)


@dataclass
class Token:
    user: User
    kind: str
    expires: datetime


MATRIX = Movie(id=169, name="The Matrix", uuid="978899c4-5194-4568-b922-0bd2874c4c1a", imdb_id="tt0133093")
NOBODY = Movie(id=1571, name="Mr. Nobody", uuid="409c29e8-8daf-41bd-843a-8a217320d374", imdb_id="tt0485947")


def series(show: int, name: str, first: int, seasons: Mapping[int, int]) -> list[Episode]:
    """A show's episodes, their ids counted up from `first`; `seasons` says how many each has."""
    places = [(season, number) for season, many in seasons.items() for number in range(1, many + 1)]
    return [
        Episode(id=first + index, show=show, name=name, season=season, number=number)
        for index, (season, number) in enumerate(places)
    ]


def catalogued() -> Iterator[Episode]:
    """The episodes of the shows that the fake Trakt knows too."""
    for show in _catalogue.SHOWS:
        for part in show["episodes"]:
            yield Episode(
                id=part["ids"]["tvdb"], show=show["ids"]["tvdb"], name=show["title"], season=part["season"],
                number=part["number"], title=part["title"],
            )  # fmt: skip


EPISODES = [
    *catalogued(),
    *series(398096, "Moonshine", 8685324, {1: 8}),
    *series(366529, "Station Eleven", 8815687, {1: 10}),
    *series(121361, "Game of Thrones", 4517458, {3: 10, 0: 1}),
]

Endpoint = Callable[[Request, User], Awaitable[Response]]


class TVTime(Fake):
    switches: Switches

    service = "tvtime"

    def __init__(self, *, clock: Clock | None = None) -> None:
        super().__init__(clock=clock)
        self.switches = Switches()
        self.users: dict[str, User] = {}
        self.anonymous: list[User] = []
        self.tokens: dict[str, Token] = {}
        self.movies = {movie.uuid: movie for movie in (MATRIX, NOBODY)}
        self.episodes = {episode.id: episode for episode in EPISODES}

    # ---- the proxy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].rstrip("/") == "/sidecar":
            scope = unwrapped(scope)
        await super().__call__(scope, receive, send)

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/_control/users", self.add_user_over_http, methods=["POST"]),
            Route("/_control/expire", self.expire_over_http, methods=["POST"]),
            Route("/_control/revoke", self.revoke_over_http, methods=["POST"]),
            Route("/_control/movies", self.add_movie_over_http, methods=["POST"]),
            Route("/_control/episodes", self.add_episode_over_http, methods=["POST"]),
            Route("/", self.open(self.shell)),
            Route(f"{API}/user", self.open(self.mint), methods=["POST"]),
            Route(f"{AUTH}/login", self.open(self.login), methods=["POST"]),
            Route(f"{API}/user/{{id}}/jwt", self.open(self.refresh)),
            *(self.signed_in(method, path, endpoint) for method, path, endpoint in self.table()),
            Route("/{path:path}", self.open(self.nothing), methods=["GET", "POST", "PUT", "DELETE"]),
        ]

    def table(self) -> Iterable[tuple[str, str, Endpoint]]:
        """What needs a user's token."""
        episode = f"{API}/watched_episodes/episode/{{id:int}}"
        return [
            ("POST", episode, self.mark),
            ("DELETE", episode, self.unmark),
            ("POST", f"{API}/watched_episodes/show/{{show:int}}/until/episode/{{id:int}}", self.mark_until),
            ("GET", f"{API}/episode/{{id:int}}", self.episode),
            ("GET", f"{API}/show/{{id:int}}/extended", self.show),
            ("PUT", f"{API}/show/{{id:int}}/follow", self.follow),
            ("DELETE", f"{API}/show/{{id:int}}/follow", self.unfollow),
            ("GET", f"{API}/user/{{uid}}", self.account),
            ("GET", f"{API}/user/{{uid}}/to_watch", self.to_watch),
            ("GET", f"{SEARCH}/{{types}}", self.search),
            ("POST", f"{MSAPI}/prod/v1/tracking/{{uuid}}/watch", self.watch_movie),
            ("POST", f"{MSAPI}/prod/v1/tracking/{{uuid}}/rewatch", self.rewatch_movie),
            ("GET", f"{MSAPI}/prod/v1/tracking/cgw/follows/user/{{uid}}", self.follows),
            ("GET", f"{MSAPI}/prod/v1/tracking/watches/user/{{uid}}", self.watches),
            ("GET", f"{MSAPI}/v1/series/{{id:int}}/episodes", self.series),
            ("GET", f"{MSAPI}/prod/v1/movies/{{uuid}}", self.movie),
        ]

    def open(self, endpoint: Callable[[Request], Awaitable[Response]]) -> Callable[..., Awaitable[Response]]:
        """A route anybody may call, as long as the service lives and does not take them for a robot."""

        async def guarded(request: Request) -> Response:
            return self.barrier(request) or self.paced(await endpoint(request))

        return guarded

    def signed_in(self, method: str, path: str, endpoint: Endpoint) -> Route:
        async def guarded(request: Request) -> Response:
            user = self.bearer(request.headers, "access")
            if user is None and self.switches.expired_reads_are_empty and "/watches/" in path:
                return enveloped({"user_id": None, "type": "watch", "objects": []})
            if user is None or request.path_params.get("uid") not in (None, str(user.id)):
                return JSONResponse({"status": "error", "message": "Unauthorized"}, 401)
            return await endpoint(request, user)

        return Route(path, self.open(guarded), methods=[method])

    def barrier(self, request: Request) -> Response | None:
        if self.switches.service_closed:
            return Response(status_code=404, headers={"server": "awselb/2.0", "content-length": "0"})
        if self.switches.blocks_default_agents and LIBRARIES.match(request.headers.get("user-agent", "")):
            return HTMLResponse(BLOCKED, 403)
        return None

    def paced(self, response: Response) -> Response:
        if not self.switches.slow_body:
            return response
        halves = self.halves(bytes(response.body))
        return StreamingResponse(halves, response.status_code, media_type=response.media_type)

    async def halves(self, body: bytes) -> AsyncIterator[bytes]:
        yield body[: len(body) // 2]
        await asyncio.sleep(self.switches.slow_body)
        yield body[len(body) // 2 :]

    async def shell(self, request: Request) -> Response:
        return HTMLResponse(SHELL)

    async def nothing(self, request: Request) -> Response:
        return JSONResponse({"status": "error", "message": "Not found"}, 404)

    # ---- who it is

    def who(self, headers: Mapping[str, str]) -> str | None:
        token = self.tokens.get(headers.get("authorization", "").removeprefix("Bearer "))
        return token.user.name if token else None

    def bearer(self, headers: Mapping[str, str], kind: str, *, aged: bool = False) -> User | None:
        return self.holder(headers.get("authorization", "").removeprefix("Bearer "), kind, aged=aged)

    def holder(self, text: str, kind: str, *, aged: bool = False) -> User | None:
        """Whose token it is, if it still holds; `aged`: even if it does not."""
        token = self.tokens.get(text)
        if token is None or token.kind != kind:
            return None
        return token.user if aged or self.clock.now() < token.expires else None

    def issue(self, user: User, kind: str, life: timedelta) -> str:
        now = self.clock.now()
        about = {"id": user.id, "iat": int(now.timestamp()), "exp": int((now + life).timestamp())}
        owner = {"iss": "http://www.tvtime.com", "aud": "http://www.tvtime.com", "jti": secrets.token_hex(8)}
        text = ".".join(
            (encoded({"alg": "HS256", "typ": "JWT"}), encoded(about | owner), secrets.token_urlsafe(32))
        )
        self.tokens[text] = Token(user=user, kind=kind, expires=now + life)
        return text

    def grant(self, user: User, kind: str = "access") -> dict[str, str]:
        access = self.issue(user, kind, ACCESS_LIFE)
        return {"jwt_token": access, "jwt_refresh_token": self.issue(user, "refresh", REFRESH_LIFE)}

    def add_user(self, name: str, password: str | None = None) -> User:
        """A user, signed in once: `tokens` is what a login answers. Without password: made with Facebook."""
        user = User(20000001 + len(self.users), name, password)
        user.tokens = {"id": str(user.id), **self.grant(user)}
        self.users[name] = user
        return user

    def end(self, name: str, *kinds: str) -> None:
        """End a user's tokens of these kinds: access, refresh."""
        for token in self.tokens.values():
            if token.user.name == name and token.kind in kinds:
                token.expires = self.clock.now()

    async def mint(self, request: Request) -> Response:
        user = User(91000001 + len(self.anonymous), "anonymous", None)
        self.anonymous.append(user)
        opaque = {"tvst_access_token": secrets.token_hex(16)}
        return JSONResponse({"id": str(user.id), **self.grant(user, "anonymous"), **opaque})

    async def login(self, request: Request) -> Response:
        if self.switches.login_needs_bearer and self.bearer(request.headers, "anonymous") is None:
            return failed("Invalid token", 400)
        given = json.loads(await request.body() or b"{}")
        user = self.users.get(given.get("username"))
        if user is None or user.password is None or user.password != given.get("password"):
            return failed("Invalid credentials", 401)
        user.tokens = {"id": str(user.id), **self.grant(user)}
        return enveloped({**user.tokens, "id": user.id})

    async def refresh(self, request: Request) -> Response:
        user = self.holder(request.headers.get("jwt_refresh_token", ""), "refresh")
        bearer = self.bearer(request.headers, "access", aged=True)
        if user is None or bearer is not user or request.path_params["id"] != str(user.id):
            return JSONResponse({"status": "error", "message": "Unauthorized"}, 401)
        user.tokens["jwt_token"] = self.issue(user, "access", ACCESS_LIFE)
        return JSONResponse({"id": str(user.id), "jwt_token": user.tokens["jwt_token"]})

    # ---- episodes

    def look_up(self, episode: int) -> Episode | None:
        if episode in self.switches.unknown_episodes:
            return None
        known = self.episodes.get(episode)
        return known or (invented(episode) if self.switches.open_world else None)

    def of_show(self, show: int) -> list[Episode]:
        """A show's episodes in order, the specials first."""
        known = [episode for episode in self.episodes.values() if episode.show == show]
        every = known or [invented(show * 100 + index) for index in range(100 * self.switches.open_world)]
        return sorted(every, key=lambda episode: (episode.season, episode.number))

    def view(self, user: User, episode: Episode, *, again: bool = False) -> None:
        now = self.clock.now()
        user.followed.setdefault(episode.show, now)
        view(user.watched, episode.id, now, again=again)

    async def mark(self, request: Request, user: User) -> Response:
        episode = self.look_up(request.path_params["id"])
        if episode is None:
            return UNKNOWN
        self.view(user, episode, again=request.query_params.get("is_rewatch", "0") == "1")
        return JSONResponse({"result": "OK", **described(episode)})

    async def unmark(self, request: Request, user: User) -> Response:
        episode = self.look_up(request.path_params["id"])
        if episode is None:
            return UNKNOWN
        user.watched.pop(episode.id, None)
        return JSONResponse({"result": "OK", **described(episode)})

    async def mark_until(self, request: Request, user: User) -> Response:
        last = self.look_up(request.path_params["id"])
        if last is None or last.show != request.path_params["show"]:
            return UNKNOWN
        self.view_until(user, last)
        return JSONResponse({"result": "OK"})

    def view_until(self, user: User, last: Episode) -> None:
        for episode in self.of_show(last.show):
            if episode.season > 0 and (episode.season, episode.number) <= (last.season, last.number):
                self.view(user, episode)

    async def episode(self, request: Request, user: User) -> Response:
        episode = self.look_up(request.path_params["id"])
        if episode is None:
            return UNKNOWN
        return JSONResponse({"id": episode.id, **seen(user.watched.get(episode.id))})

    async def show(self, request: Request, user: User) -> Response:
        every = self.of_show(request.path_params["id"])
        if not every:
            return failed("Not found", 404)
        seasons = [
            self.season(user, every[0].show, number, every)
            for number in sorted({one.season for one in every})
        ]
        return JSONResponse({"id": every[0].show, "name": every[0].name, "seasons": seasons})

    def season(self, user: User, show: int, number: int, every: Iterable[Episode]) -> dict[str, Any]:
        episodes = [
            {
                "id": one.id,
                "number": one.number,
                "is_special": number == 0,
                "is_watched": one.id in user.watched,
            }
            for one in every
            if one.season == number
        ]
        count = sum(1 for episode in episodes if episode["is_watched"])
        key = f"{show}_S{number}"
        return {"id": key, "number": number, "episode_watched_count": count, "episodes": episodes}

    async def series(self, request: Request, user: User) -> Response:
        every = self.of_show(request.path_params["id"])
        return enveloped([listed(episode, index) for index, episode in enumerate(every, 1)])

    async def to_watch(self, request: Request, user: User) -> Response:
        """The next episode of each show followed."""
        rows = []
        for show in user.followed:
            ahead = (one for one in self.of_show(show) if one.season and one.id not in user.watched)
            rows += [described(one) for one in [next(ahead, None)] if one is not None]
        return JSONResponse(rows)

    async def account(self, request: Request, user: User) -> Response:
        about: dict[str, Any] = {"id": str(user.id), "name": user.name, "username": user.name, "avatar": None}
        fields = request.query_params.get("fields", "")
        if "shows" in fields:
            about["shows"] = self.shows(user, fields)
        return JSONResponse(about)

    def shows(self, user: User, fields: str) -> list[dict[str, Any]]:
        """The shows that the user follows, and those that were followed once; the fields that are asked for."""
        asked = OF_SHOWS.fullmatch(fields)
        rows = [self.progress(user, show) for show in dict.fromkeys((*user.followed, *user.unfollowed))]
        if asked is None:
            return rows
        names, offset, limit = asked[1].split(","), int(asked[2]), int(asked[3])
        rows = [{name: row.get(name) for name in names} for row in rows]
        return self.page(rows, offset, limit)

    async def follow(self, request: Request, user: User) -> Response:
        return self.followed_by_hint(request, lambda show: user.followed.setdefault(show, self.clock.now()))

    async def unfollow(self, request: Request, user: User) -> Response:
        def gone(show: int) -> None:
            if user.followed.pop(show, None):
                user.unfollowed.append(show)

        return self.followed_by_hint(request, gone)

    def followed_by_hint(self, request: Request, change: Callable[[int], object]) -> Response:
        show = request.path_params["id"]
        if not self.switches.follow_hint:
            return JSONResponse({"status": "error", "message": "Not found"}, 404)
        if not self.of_show(show):
            return JSONResponse({"result": "KO", "message": "Unknown show"})
        change(show)
        return JSONResponse({"result": "OK"})

    def progress(self, user: User, show: int) -> dict[str, Any]:
        every = [episode for episode in self.of_show(show) if episode.season]
        watched = sum(1 for episode in every if episode.id in user.watched)
        counts = {"watched_episode_count": watched, "aired_episode_count": len(every)}
        flags = {
            "is_followed": show in user.followed,
            "is_up_to_date": watched == len(every),
            "is_archived": False,
        }
        return {"id": show, "name": every[0].name if every else f"Show {show}", **counts, **flags}

    # ---- movies

    def film(self, query: str) -> Movie | None:
        """The movie a query finds: by TheTVDB id, IMDb id or title."""
        wanted = query.strip().casefold()
        for movie in self.movies.values():
            if wanted in (str(movie.id), movie.imdb_id, movie.name.casefold()):
                return movie
        if not self.switches.open_world or not wanted:
            return None
        movie = imagined(query.strip())
        return self.movies.setdefault(movie.uuid, movie)

    async def search(self, request: Request, user: User) -> Response:
        types, query = request.path_params["types"].split(","), request.query_params.get("q", "")
        offset, limit = whole(request, "offset", 0), whole(request, "limit", 5)
        shows = {(one.show, one.name) for one in self.episodes.values() if query in (str(one.show), one.name)}
        rows: list[dict[str, Any]] = [
            {"id": show, "uuid": named("series", show), "name": name, "type": "series"}
            for show, name in shows
        ]
        if movie := self.film(query):
            rows.append({**asdict(movie), "type": "movie"})
        return enveloped([row for row in rows if row["type"] in types][offset : offset + limit])

    async def watch_movie(self, request: Request, user: User) -> Response:
        return self.view_movie(request, user, again=False)

    async def rewatch_movie(self, request: Request, user: User) -> Response:
        return self.view_movie(request, user, again=True)

    def view_movie(self, request: Request, user: User, *, again: bool) -> Response:
        key = request.path_params["uuid"]
        if key not in self.movies and not self.switches.open_world:
            return failed("Not found", 404)
        viewing = view(user.movies, key, self.clock.now(), again=again)
        return enveloped({"uuid": key, "watched_at": iso(viewing.at), "rewatch_count": viewing.rewatch_count})

    async def movie(self, request: Request, user: User) -> Response:
        movie = self.movies.get(request.path_params["uuid"])
        return enveloped(meta(movie)) if movie else failed("Not found", 404)

    # ---- lists

    async def follows(self, request: Request, user: User) -> Response:
        kind = request.query_params.get("entity_type")
        rows = (
            [self.followed(user, show, at) for show, at in user.followed.items()] if kind == "series" else []
        )
        if kind == "movie":
            rows = [self.followed_movie(key, viewing) for key, viewing in user.movies.items()]
        return enveloped({"user_id": user.id, "type": "list", "objects": self.paged(request, rows)})

    def followed(self, user: User, show: int, at: datetime) -> dict[str, Any]:
        progress = self.progress(user, show)
        counts = {name: progress[name] for name in ("watched_episode_count", "aired_episode_count")}
        state = "up_to_date" if progress["is_up_to_date"] else "continuing"
        about = {"id": show, "name": progress["name"], "is_ended": False, "country": "us"}
        dates = {"created_at": iso(at), "updated_at": iso(at)}
        kind = {"type": "follow", "entity_type": "series", "filter": ["all", state]}
        return {"uuid": named("series", show), **kind, **dates, "meta": about, "watch_status": counts}

    def followed_movie(self, key: str, viewing: Viewing) -> dict[str, Any]:
        kind = {"type": "follow", "entity_type": "movie", "filter": ["all", "watched"]}
        about = meta(self.movies[key]) if key in self.movies else {"uuid": key, "type": "movie"}
        return {**watched(key, viewing), **kind, "extended": {"is_watched": True}, "meta": about}

    async def watches(self, request: Request, user: User) -> Response:
        rows = [{**watched(key, viewing), "entity_type": "movie"} for key, viewing in user.movies.items()]
        if request.query_params.get("entity_type") == "episode":
            rows = [self.watched(key, viewing) for key, viewing in user.watched.items()]
        return enveloped({"user_id": user.id, "type": "watch", "objects": self.paged(request, rows)})

    def watched(self, key: int, viewing: Viewing) -> dict[str, Any]:
        episode = self.episodes.get(key) or invented(key)
        place = {"episode_id": key, "series_id": episode.show, "series_uuid": named("series", episode.show)}
        length = {"runtime": episode.runtime} if self.switches.runtimes else {}
        return {**watched(episode.uuid, viewing), **place, "entity_type": "episode", **length}

    def paged(self, request: Request, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        offset = whole(request, "page_offset", 0)
        limit = whole(request, "page_limit", int(request.headers.get("page-limit", 100)))
        return self.page(rows, offset, limit)

    def page(self, rows: list[dict[str, Any]], offset: int, limit: int) -> list[dict[str, Any]]:
        pages = {"ignored": rows, "repeated": rows[:limit]}
        return pages.get(self.switches.paging, rows[offset : offset + limit])

    # ---- control

    def state(self) -> dict[str, Any]:
        users = {user.name: self.remembered(user) for user in self.users.values()}
        return {"users": users, "anonymous": len(self.anonymous)}

    def remembered(self, user: User) -> dict[str, Any]:
        return {
            "id": user.id,
            "followed": sorted(user.followed),
            "watched": {str(key): noted(viewing) for key, viewing in user.watched.items()},
            "movies": {key: {**noted(viewing), **self.called(key)} for key, viewing in user.movies.items()},
        }

    def called(self, key: str) -> dict[str, Any]:
        return asdict(self.movies[key]) if key in self.movies else {"uuid": key}

    async def add_user_over_http(self, request: Request) -> Response:
        wanted = await request.json()
        user = self.add_user(wanted["name"], wanted.get("password"))
        return JSONResponse({"id": user.id, "name": user.name, "tokens": user.tokens})

    async def expire_over_http(self, request: Request) -> Response:
        self.end((await request.json())["name"], "access")
        return JSONResponse({"ended": ["access"]})

    async def revoke_over_http(self, request: Request) -> Response:
        self.end((await request.json())["name"], "access", "refresh")
        return JSONResponse({"ended": ["access", "refresh"]})

    async def add_movie_over_http(self, request: Request) -> Response:
        wanted = await request.json()
        movie = Movie(**{"uuid": named("movie", wanted["id"]), **wanted})
        self.movies[movie.uuid] = movie
        return JSONResponse(asdict(movie))

    async def add_episode_over_http(self, request: Request) -> Response:
        episode = Episode(**await request.json())
        self.episodes[episode.id] = episode
        return JSONResponse(asdict(episode))


def unwrapped(scope: Scope) -> Scope:
    """The scope of a call through the proxy, as one for `/sidecar/<host><path>` with all of the query."""
    pairs = parse_qsl(scope["query_string"].decode(), keep_blank_values=True)
    given = dict(pairs)
    target = urlsplit(given.get("o") or decoded(given.get("o_b64", "")))
    inside = parse_qsl(target.query, keep_blank_values=True)
    siblings = [(name, value) for name, value in pairs if name not in ("o", "o_b64")]
    path = f"/sidecar/{target.netloc}{target.path}"
    return {
        **scope,
        "path": path,
        "raw_path": path.encode(),
        "query_string": urlencode(inside + siblings).encode(),
    }


def decoded(text: str) -> str:
    """Base64 in either alphabet, with or without padding; a plus may have become a space in the query."""
    plain = text.replace(" ", "+").replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


def encoded(part: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def view(viewings: dict[Any, Viewing], key: Any, now: datetime, *, again: bool) -> Viewing:
    """The first mark sets the time, a repeated one changes nothing, one that is `again` counts."""
    viewing = viewings.setdefault(key, Viewing(at=now, updated_at=now))
    if again:
        viewing.rewatch_count += 1
        viewing.updated_at = now
    return viewing


def invented(episode: int) -> Episode:
    """An episode nobody put here: one of Tidewater (`_catalogue`), else a hundred ids in a row are a show."""
    if part := _catalogue.part_by_tvdb(episode):
        tidewater = _catalogue.TIDEWATER["ids"]["tvdb"]
        place_ = {"season": part["season"], "number": part["number"]}
        return Episode(id=episode, show=tidewater, name="Tidewater", title=part["title"], **place_)
    show, place = divmod(episode, 100)
    return Episode(id=episode, show=show, name=f"Show {show}", season=1 + place // 25, number=1 + place % 25)


def imagined(query: str) -> Movie:
    """A movie nobody put here. Asked for by its TheTVDB id it has no IMDb id: no two can be made to agree."""
    if query.isdecimal():
        return Movie(id=int(query), name=f"Movie {query}", uuid=named("movie", query))
    number = zlib.crc32(query.casefold().encode())
    imdb = query.lower() if re.fullmatch(r"tt\d+", query.lower()) else None
    name = f"Movie {imdb}" if imdb else query
    return Movie(id=number, name=name, uuid=named("movie", query.casefold()), imdb_id=imdb)


def named(kind: str, key: object) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"https://www.tvtime.com/{kind}/{key}"))


def described(episode: Episode) -> dict[str, Any]:
    season = {"id": f"{episode.show}_S{episode.season}", "number": episode.season}
    show = {"id": episode.show, "name": episode.name}
    return {"id": episode.id, "number": episode.number, "season": season, "show": show}


def listed(episode: Episode, order: int) -> dict[str, Any]:
    about = {
        "id": episode.id,
        "uuid": episode.uuid,
        "number": episode.number,
        "name": episode.title or f"Episode {episode.number}",
        "air_date": episode.air_date,
    }
    flags = {"is_special": episode.season == 0, "is_movie": False, "is_aired": True, "watch_order": order}
    season = {"id": episode.show * 100 + episode.season, "number": episode.season}
    place = {"season": season, "series_id": episode.show, "series_uuid": named("series", episode.show)}
    return {**about, **flags, **place}


def seen(viewing: Viewing | None) -> dict[str, Any]:
    if viewing is None:
        return {"is_watched": False, "watched_date": None, "watched_count": 0}
    date = f"{viewing.at:%Y-%m-%d %H:%M:%S}"
    return {"is_watched": True, "watched_date": date, "watched_count": 1 + viewing.rewatch_count}


def watched(key: str, viewing: Viewing) -> dict[str, Any]:
    dates = {
        "watched_at": iso(viewing.at),
        "created_at": iso(viewing.at),
        "updated_at": iso(viewing.updated_at),
    }
    return {"uuid": key, **dates, "rewatch_count": viewing.rewatch_count}


def noted(viewing: Viewing) -> dict[str, Any]:
    times = {"watched_at": viewing.at.isoformat(), "updated_at": viewing.updated_at.isoformat()}
    return {**times, "rewatch_count": viewing.rewatch_count}


def meta(movie: Movie) -> dict[str, Any]:
    sources = [{"id": str(movie.id), "source": "tvdb", "type": "external_source"}]
    about = {"uuid": movie.uuid, "type": "movie", "name": movie.name, "imdb_id": movie.imdb_id}
    return {**about, "runtime": 8460, "external_sources": sources}


def whole(request: Request, name: str, default: int) -> int:
    value = request.query_params.get(name, "")
    return int(value) if value.isdecimal() else default


def iso(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S.%f}Z"


def enveloped(data: Any) -> JSONResponse:
    return JSONResponse({"status": "success", "data": data})


def failed(message: str, status: int) -> JSONResponse:
    return JSONResponse({"status": "fail", "message": message}, status)


UNKNOWN = JSONResponse({"result": "KO", "message": "Unknown episode"})


if __name__ == "__main__":
    main(TVTime())
