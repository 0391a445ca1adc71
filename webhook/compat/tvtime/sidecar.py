"""The protocol of TV Time's app, served as one proxy address, `/sidecar`, in front of several hosts.

Nothing is passed on: each host's response is made here, from the person's own history and library.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar
from urllib.parse import parse_qsl, urlsplit

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from webhook import clock
from webhook.compat.tvtime import serializers, shelf, shelf_episodes
from webhook.compat.tvtime.auth import Guest, TVTimeAuth, WrongPassword, bearer
from webhook.compat.tvtime.catalog import Catalogue, episode_by_id, series_in
from webhook.compat.tvtime.json_shapes import FollowJson, WatchedMovieJson
from webhook.compat.tvtime.marks import Marks
from webhook.compat.tvtime.serializers import failure, json_answer, success
from webhook.lookups import ListedEpisode
from webhook.storage.db import Database
from webhook.web.http.errors import Problem
from webhook.web.http.params import clean, json_object

API, MSAPI = "api2.tozelabs.com", "msapi.tvtime.com"
AUTH, SEARCH = "auth.tvtime.com", "search.tvtime.com"
T = TypeVar("T")

ID_PATTERN, WORD = r"(0*[1-9]\d{0,17})", r"([^/]{1,100})"
IS_ID = re.compile(ID_PATTERN, re.ASCII)
SHOWS_RANGE = re.compile(r"\.offset\((\d{1,9})\)\.limit\((\d{1,9})\)", re.ASCII)
"""The page of shows requested by `shows.fields(…).offset(0).limit(500)`."""

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
DEFAULT_PAGE = 100
A_WHILE = timedelta(days=30)
"""The time without a viewing after which a show in progress is "not watched for a while"."""

UNKNOWN = {"result": "KO", "message": "Unknown episode"}
NOT_TAKEN = {"result": "KO", "message": "The mark was not taken: look into the activity at Watchmark"}


@dataclass(frozen=True, slots=True)
class Call:
    """A call to one of the hosts, unwrapped from the proxy's address."""

    request: Request
    host: str
    path: str
    query: Mapping[str, str]
    guest: Guest | None = None
    parts: tuple[str, ...] = ()

    @property
    def person(self) -> Guest:
        assert self.guest is not None
        return self.guest

    def number(self, index: int) -> int:
        return int(self.parts[index])

    def whole(self, name: str, default: int) -> int:
        given = self.query.get(name, "")
        return int(given) if given.isascii() and given.isdigit() and len(given) < 10 else default


Endpoint = Callable[[Call], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a host. `open`: no sign-in is needed."""

    method: str
    host: str
    path: re.Pattern[str]
    endpoint: Endpoint
    open: bool = False


class Sidecar:
    def __init__(self, door: TVTimeAuth, catalogue: Catalogue, marks: Marks) -> None:
        self.door, self.catalogue, self.marks = door, catalogue, marks
        self.database: Database = door.database
        self.operations = self.table()

    def routes(self) -> list[BaseRoute]:
        return [Route("/sidecar", self.sidecar, methods=METHODS)]

    def table(self) -> Sequence[Operation]:
        def way(method: str, host: str, path: str, endpoint: Endpoint, *, open_: bool = False) -> Operation:
            return Operation(method, host, re.compile(path, re.ASCII), endpoint, open_)

        tracking = "/prod/v1/tracking"
        return [
            way("POST", API, "/v2/user", self.mint, open_=True),
            way("POST", AUTH, "/v1/login", self.login, open_=True),
            way("GET", API, f"/v2/user/{ID_PATTERN}/jwt", self.refresh, open_=True),
            way("POST", API, f"/v2/watched_episodes/episode/{ID_PATTERN}", self.mark),
            way("DELETE", API, f"/v2/watched_episodes/episode/{ID_PATTERN}", self.unmark),
            way(
                "POST",
                API,
                f"/v2/watched_episodes/show/{ID_PATTERN}/until/episode/{ID_PATTERN}",
                self.mark_until,
            ),
            way("GET", API, f"/v2/episode/{ID_PATTERN}", self.episode),
            way("GET", API, f"/v2/show/{ID_PATTERN}/extended", self.show),
            way("GET", API, f"/v2/user/{ID_PATTERN}", self.account),
            way("GET", API, f"/v2/user/{ID_PATTERN}/to_watch", self.to_watch),
            way("GET", SEARCH, "/v1/search/([a-z,]{1,40})", self.search),
            way("POST", MSAPI, f"{tracking}/{WORD}/watch", self.watch_movie),
            way("POST", MSAPI, f"{tracking}/{WORD}/rewatch", self.rewatch_movie),
            way("GET", MSAPI, f"{tracking}/cgw/follows/user/{ID_PATTERN}", self.follows),
            way("GET", MSAPI, f"{tracking}/watches/user/{ID_PATTERN}", self.watches),
            way("GET", MSAPI, f"(?:/prod)?/v1/series/{WORD}/episodes", self.episodes),
            way("GET", MSAPI, f"/prod/v1/movies/{WORD}", self.movie),
        ]

    async def sidecar(self, request: Request) -> Response:
        """Answer for the host whose address is in the query."""
        call = unwrap(request)
        for way in self.operations:
            found = way.path.fullmatch(call.path)
            if found is None or (way.method, way.host) != (call.request.method, call.host):
                continue
            guest = None if way.open else await self.guest(call, found.groups())
            if guest is None and not way.open:
                return serializers.UNAUTHORIZED
            known = Call(call.request, call.host, call.path, call.query, guest, found.groups())
            return await way.endpoint(known)
        return failure("Not found", 404, "error")

    async def guest(self, call: Call, parts: Sequence[str]) -> Guest | None:
        """The person who calls; None if nobody is signed in or the call is about somebody else."""
        guest = await self.door.from_token(bearer(call.request), "jwt_token")
        of_user = "/user/" in call.path
        return None if guest is None or (of_user and parts[0] != str(guest.id)) else guest

    # --- authentication

    async def mint(self, call: Call) -> Response:
        return json_answer(self.door.anonymous_tokens())

    async def login(self, call: Call) -> Response:
        try:
            given = await json_object(call.request)
            name, password = given.get("username"), given.get("password")
            if not isinstance(name, str) or not isinstance(password, str):
                return failure("Give a username and a password", 400)
            guest = await self.door.sign_in(call.request, name, password)
        except WrongPassword:
            return failure("Invalid credentials", 401)
        except Problem as problem:
            return failure(problem.detail, problem.status, headers=problem.headers)
        return success({"id": guest.id, **self.door.issue_tokens(guest)})

    async def refresh(self, call: Call) -> Response:
        """Issue a new access token.

        The refresh token stays valid: clients read no new one here.
        """
        proof = call.request.headers.get("jwt_refresh_token", "")
        guest = await self.door.from_token(proof, "jwt_refresh_token")
        bearing = await self.door.from_token(bearer(call.request), "jwt_token", aged=True)
        if guest is None or guest != bearing or call.parts[0] != str(guest.id):
            return serializers.UNAUTHORIZED
        return json_answer({"id": str(guest.id), "jwt_token": self.door.issue_tokens(guest)["jwt_token"]})

    async def account(self, call: Call) -> Response:
        about = {
            "id": str(call.person.id),
            "name": call.person.name,
            "username": call.person.name,
        }
        if "shows" not in call.query.get("fields", ""):
            return json_answer(about)
        today, page = clock.now().date(), SHOWS_RANGE.search(call.query["fields"])
        loved = await self.database.read(lambda connection: shelf.favourites(connection, call.person.id))
        rows = [
            {**serializers.progress(show, today), "is_favorite": show.tvdb in loved}
            for show in await self.followed_shows(call)
        ]
        if page is not None:
            rows = rows[int(page[1]) :][: int(page[2])]
        return json_answer({**about, "shows": rows})

    async def followed_shows(self, call: Call) -> list[shelf.Series]:
        return await self.database.read(
            lambda connection: shelf.read_followed_shows(connection, call.person.id)
        )

    # --- episodes

    async def mark(self, call: Call) -> Response:
        episode = await self.catalogue.episode(call.person.id, call.number(0))
        if episode is None:
            return json_answer(UNKNOWN)
        again = call.query.get("is_rewatch") == "1"
        if not await self.marks.add_watches(call.person, [episode], again=again):
            return json_answer(NOT_TAKEN)
        return json_answer({"result": "OK", **serializers.episode_json(call.number(0), episode)})

    async def unmark(self, call: Call) -> Response:
        episode = await self.catalogue.episode(call.person.id, call.number(0))
        if episode is None:
            return json_answer(UNKNOWN)
        if not await self.marks.take_back_watch(call.person, episode):
            return json_answer(NOT_TAKEN)
        return json_answer({"result": "OK", **serializers.episode_json(call.number(0), episode)})

    async def mark_until(self, call: Call) -> Response:
        """Mark every regular episode of a show up to and including this one."""
        show = await self.catalogue.series(call.person.id, call.number(0))
        last = episode_by_id(show, call.number(1))
        if last is None:
            return json_answer(UNKNOWN)
        until = [one for one in show.regular if shelf.episode_place(one) <= shelf.episode_place(last)]
        taken = await self.marks.add_watches(call.person, [shelf.episode_of(show, one) for one in until])
        return json_answer({"result": "OK"} if taken else NOT_TAKEN)

    async def episode(self, call: Call) -> Response:
        def read(connection: Connection) -> shelf.WatchSummary | None:
            return shelf.watch_summary(
                connection,
                call.person.id,
                shelf_episodes.find_episode(connection, call.person.id, call.number(0)),
            )

        return json_answer({"id": call.number(0), **serializers.watch_json(await self.database.read(read))})

    async def show(self, call: Call) -> Response:
        show = await self.catalogue.series(call.person.id, call.number(0))
        return json_answer(serializers.show_json(show)) if show.episodes else failure("Not found", 404)

    async def episodes(self, call: Call) -> Response:
        given = call.parts[0]
        tvdb = int(given) if IS_ID.fullmatch(given) else series_in(given)
        if tvdb is None:
            return failure("Not found", 404)
        show = await self.catalogue.series(call.person.id, tvdb)
        return success(serializers.flat(show, clock.now().date()))

    async def to_watch(self, call: Call) -> Response:
        """The next episode of each followed show."""
        now, wanted = clock.now(), call.query.get("filter", "")
        today = now.date()
        found: list[tuple[shelf.Series, ListedEpisode]] = []
        for show in await self.followed_shows(call):
            if wanted in ("", progress_filter(show, now)):
                ahead = (one for one in show.watchable(today) if show.watch_of(one) is None)
                found += [(show, one) for one in [next(ahead, None)] if one is not None]
        rows = [serializers.episode_json(one.ids.tvdb, shelf.episode_of(show, one)) for show, one in found]
        return json_answer(paginate(call, rows, "offset", "limit"))

    # --- movies

    async def search(self, call: Call) -> Response:
        query, kinds = call.query.get("q", ""), call.parts[0].split(",")
        if not query.strip() or not clean(query):
            return success([])
        found = await self.catalogue.search(call.person.id, query, kinds)
        return success(paginate(call, [serializers.result(one) for one in found], "offset", "limit"))

    async def watch_movie(self, call: Call) -> Response:
        return await self.view_movie(call, again=False)

    async def rewatch_movie(self, call: Call) -> Response:
        return await self.view_movie(call, again=True)

    async def view_movie(self, call: Call, *, again: bool) -> Response:
        film = await self.catalogue.movie(call.person.id, call.parts[0])
        if film is None:
            return failure("Not found", 404)
        if not await self.marks.add_watches(call.person, [film], again=again):
            return failure(NOT_TAKEN["message"])
        seen = await self.database.read(
            lambda connection: shelf.watch_summary(connection, call.person.id, film)
        )
        return success({"uuid": call.parts[0], **(serializers.watch_dates(seen) if seen else {})})

    async def movie(self, call: Call) -> Response:
        film = await self.catalogue.movie(call.person.id, call.parts[0])
        return failure("Not found", 404) if film is None else success(serializers.meta(film, call.parts[0]))

    # --- lists

    async def follows(self, call: Call) -> Response:
        kind = call.query.get("entity_type")
        rows: Sequence[FollowJson] = []
        if kind == "series":
            today = clock.now().date()
            rows = [serializers.follow_json(show, today) for show in await self.followed_shows(call)]
        if kind == "movie":
            rows = await self.database.read(
                lambda connection: serializers.followed_movies(connection, call.person.id)
            )
        objects = paginate(call, apply_filter(call, rows), "page_offset", "page_limit")
        return success({"user_id": call.person.id, "type": "list", "objects": objects})

    async def watches(self, call: Call) -> Response:
        def read(connection: Connection) -> Sequence[WatchedMovieJson]:
            if call.query.get("entity_type") == "movie":
                return paginate(
                    call, serializers.watched_movies(connection, call.person.id), "page_offset", "page_limit"
                )
            found = paginate(
                call, shelf.watched_episodes(connection, call.person.id), "page_offset", "page_limit"
            )
            return serializers.watched_episodes(connection, call.person.id, found)

        objects = await self.database.read(read)
        return success({"user_id": call.person.id, "type": "watch", "objects": objects})


def progress_filter(show: shelf.Series, now: datetime) -> str:
    """The state of a show in the words of the to-watch list's filter."""
    if show.last_watch_at is None:
        return "not_started_yet"
    return "not_watched_for_a_while" if now - show.last_watch_at > A_WHILE else "continue_watching"


def apply_filter(call: Call, rows: Sequence[FollowJson]) -> list[FollowJson]:
    """The rows that match the call's filter; all rows if the filter is unknown."""
    wanted = call.query.get("filter", "")
    return [row for row in rows if wanted not in FILTERS or wanted in row["filter"]]


FILTERS = frozenset({"watched", "not_watched", *serializers.PROGRESS})


def paginate(call: Call, rows: Sequence[T], offset: str, limit: str) -> list[T]:
    given = call.request.headers.get("page-limit", "")
    size = int(given) if given.isascii() and given.isdigit() and len(given) < 10 else DEFAULT_PAGE
    start = call.whole(offset, 0)
    return list(rows[start : start + call.whole(limit, size)])


# --- the address inside the query


def unwrap(request: Request) -> Call:
    """The call inside `o` or `o_b64`; other parameters of the query belong to it too."""
    pairs = parse_qsl(request.url.query, keep_blank_values=True)
    given = dict(reversed(pairs))
    try:
        target = urlsplit(given.get("o") or decode_target(given.get("o_b64", "")))
        host = (target.hostname or "").lower()
    except ValueError:
        return Call(request, "", "", {})
    inside = dict(parse_qsl(target.query, keep_blank_values=True))
    beside = {name: value for name, value in pairs if name not in ("o", "o_b64")}
    return Call(request, host, target.path, {**inside, **beside})


def decode_target(text: str) -> str:
    """Base64 of either alphabet, with or without padding. A plus in the query has become a space."""
    bare = text.replace(" ", "+").translate(str.maketrans("-_", "+/")).rstrip("=")
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4)).decode()
    except (binascii.Error, ValueError):
        return ""
