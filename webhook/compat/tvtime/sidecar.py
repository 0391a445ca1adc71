"""The protocol of TV Time's app, served: one proxy, `/sidecar`, that stood in front of several hosts.

Nothing is passed on: what the hosts answered is answered here, over the person's own history and library.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from webhook import clock
from webhook.compat.tvtime import serializers, shelf
from webhook.compat.tvtime.auth import Door, Guest, Wrong, bearer
from webhook.compat.tvtime.catalog import Catalogue, listed_by, series_in
from webhook.compat.tvtime.marks import Marks
from webhook.compat.tvtime.serializers import enveloped, failed, plain
from webhook.lookups import ListedEpisode
from webhook.storage.db import Database
from webhook.web.http.errors import Problem
from webhook.web.http.params import clean, json_object

API, MSAPI = "api2.tozelabs.com", "msapi.tvtime.com"
AUTH, SEARCH = "auth.tvtime.com", "search.tvtime.com"
T = TypeVar("T")

NUMBER, WORD = r"(0*[1-9]\d{0,17})", r"([^/]{1,100})"
IS_NUMBER = re.compile(NUMBER, re.ASCII)
PART = re.compile(r"\.offset\((\d{1,9})\)\.limit\((\d{1,9})\)", re.ASCII)
"""Which of the shows are wanted, out of `shows.fields(…).offset(0).limit(500)`."""

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
PAGE = 100
A_WHILE = timedelta(days=30)
"""After how long a show that was begun is one that was not watched for a while."""

UNKNOWN = {"result": "KO", "message": "Unknown episode"}
NOT_TAKEN = {"result": "KO", "message": "The mark was not taken: look into the activity at Watchmark"}


@dataclass(frozen=True, slots=True)
class Call:
    """A call to one of the hosts, out of the proxy's address: whose it is, its query, and what its path holds."""

    request: Request
    host: str
    path: str
    query: Mapping[str, str]
    guest: Guest | None = None
    parts: tuple[str, ...] = ()

    @property
    def who(self) -> Guest:
        assert self.guest is not None
        return self.guest

    def number(self, index: int) -> int:
        return int(self.parts[index])

    def whole(self, name: str, default: int) -> int:
        given = self.query.get(name, "")
        return int(given) if given.isascii() and given.isdigit() and len(given) < 10 else default


Endpoint = Callable[[Call], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Way:
    """One thing that a host answered. `open`: to whoever asks, without a sign-in."""

    method: str
    host: str
    path: re.Pattern[str]
    endpoint: Endpoint
    open: bool = False


class Sidecar:
    def __init__(self, door: Door, catalogue: Catalogue, marks: Marks) -> None:
        self.door, self.catalogue, self.marks = door, catalogue, marks
        self.database: Database = door.database
        self.ways = self.table()

    def routes(self) -> list[BaseRoute]:
        return [Route("/sidecar", self.sidecar, methods=METHODS)]

    def table(self) -> Sequence[Way]:
        def way(method: str, host: str, path: str, endpoint: Endpoint, *, open_: bool = False) -> Way:
            return Way(method, host, re.compile(path, re.ASCII), endpoint, open_)

        tracking = "/prod/v1/tracking"
        return [
            way("POST", API, "/v2/user", self.mint, open_=True),
            way("POST", AUTH, "/v1/login", self.login, open_=True),
            way("GET", API, f"/v2/user/{NUMBER}/jwt", self.refresh, open_=True),
            way("POST", API, f"/v2/watched_episodes/episode/{NUMBER}", self.mark),
            way("DELETE", API, f"/v2/watched_episodes/episode/{NUMBER}", self.unmark),
            way("POST", API, f"/v2/watched_episodes/show/{NUMBER}/until/episode/{NUMBER}", self.mark_until),
            way("GET", API, f"/v2/episode/{NUMBER}", self.episode),
            way("GET", API, f"/v2/show/{NUMBER}/extended", self.show),
            way("GET", API, f"/v2/user/{NUMBER}", self.account),
            way("GET", API, f"/v2/user/{NUMBER}/to_watch", self.to_watch),
            way("GET", SEARCH, "/v1/search/([a-z,]{1,40})", self.search),
            way("POST", MSAPI, f"{tracking}/{WORD}/watch", self.watch_movie),
            way("POST", MSAPI, f"{tracking}/{WORD}/rewatch", self.rewatch_movie),
            way("GET", MSAPI, f"{tracking}/cgw/follows/user/{NUMBER}", self.follows),
            way("GET", MSAPI, f"{tracking}/watches/user/{NUMBER}", self.watches),
            way("GET", MSAPI, f"(?:/prod)?/v1/series/{WORD}/episodes", self.episodes),
            way("GET", MSAPI, f"/prod/v1/movies/{WORD}", self.movie),
        ]

    async def sidecar(self, request: Request) -> Response:
        """What the host would have answered whose address the query holds."""
        call = unwrapped(request)
        for way in self.ways:
            found = way.path.fullmatch(call.path)
            if found is None or (way.method, way.host) != (call.request.method, call.host):
                continue
            guest = None if way.open else await self.guest(call, found.groups())
            if guest is None and not way.open:
                return serializers.UNAUTHORIZED
            known = Call(call.request, call.host, call.path, call.query, guest, found.groups())
            return await way.endpoint(known)
        return failed("Not found", 404, "error")

    async def guest(self, call: Call, parts: Sequence[str]) -> Guest | None:
        """Whose call it is; None where nobody has signed in, or it asks about somebody else."""
        guest = await self.door.of_token(bearer(call.request), "jwt_token")
        of_user = "/user/" in call.path
        return None if guest is None or (of_user and parts[0] != str(guest.id)) else guest

    # --- who it is

    async def mint(self, call: Call) -> Response:
        return plain(self.door.anonymous())

    async def login(self, call: Call) -> Response:
        try:
            given = await json_object(call.request)
            name, password = given.get("username"), given.get("password")
            if not isinstance(name, str) or not isinstance(password, str):
                return failed("Give a username and a password", 400)
            guest = await self.door.admit(call.request, name, password)
        except Wrong:
            return failed("Invalid credentials", 401)
        except Problem as problem:
            return failed(problem.detail, problem.status, headers=problem.headers)
        return enveloped({"id": guest.id, **self.door.granted(guest)})

    async def refresh(self, call: Call) -> Response:
        """A new access token. The refresh token stays good: the clients read no other one from this answer."""
        proof = call.request.headers.get("jwt_refresh_token", "")
        guest = await self.door.of_token(proof, "jwt_refresh_token")
        bearing = await self.door.of_token(bearer(call.request), "jwt_token", aged=True)
        if guest is None or guest != bearing or call.parts[0] != str(guest.id):
            return serializers.UNAUTHORIZED
        return plain({"id": str(guest.id), "jwt_token": self.door.granted(guest)["jwt_token"]})

    async def account(self, call: Call) -> Response:
        about: dict[str, Any] = {"id": str(call.who.id), "name": call.who.name, "username": call.who.name}
        if "shows" not in call.query.get("fields", ""):
            return plain(about)
        today, page = clock.now().date(), PART.search(call.query["fields"])
        loved = await self.database.read(lambda connection: shelf.favourites(connection, call.who.id))
        rows = [
            {**serializers.progress(show, today), "is_favorite": show.tvdb in loved}
            for show in await self.followed(call)
        ]
        if page is not None:
            rows = rows[int(page[1]) :][: int(page[2])]
        return plain({**about, "shows": rows})

    async def followed(self, call: Call) -> list[shelf.Series]:
        return await self.database.read(lambda connection: shelf.every(connection, call.who.id))

    # --- episodes

    async def mark(self, call: Call) -> Response:
        episode = await self.catalogue.episode(call.who.id, call.number(0))
        if episode is None:
            return plain(UNKNOWN)
        again = call.query.get("is_rewatch") == "1"
        if not await self.marks.watched(call.who, [episode], again=again):
            return plain(NOT_TAKEN)
        return plain({"result": "OK", **serializers.described(call.number(0), episode)})

    async def unmark(self, call: Call) -> Response:
        episode = await self.catalogue.episode(call.who.id, call.number(0))
        if episode is None:
            return plain(UNKNOWN)
        if not await self.marks.unwatched(call.who, episode):
            return plain(NOT_TAKEN)
        return plain({"result": "OK", **serializers.described(call.number(0), episode)})

    async def mark_until(self, call: Call) -> Response:
        """Every regular episode of a show up to this one, which is among them."""
        show = await self.catalogue.series(call.who.id, call.number(0))
        last = listed_by(show, call.number(1))
        if last is None:
            return plain(UNKNOWN)
        until = [one for one in show.regular if shelf.place(one) <= shelf.place(last)]
        taken = await self.marks.watched(call.who, [shelf.episode_of(show, one) for one in until])
        return plain({"result": "OK"} if taken else NOT_TAKEN)

    async def episode(self, call: Call) -> Response:
        def read(connection: Any) -> shelf.Seen | None:
            return shelf.seen(connection, call.who.id, shelf.named(connection, call.who.id, call.number(0)))

        return plain({"id": call.number(0), **serializers.seen(await self.database.read(read))})

    async def show(self, call: Call) -> Response:
        show = await self.catalogue.series(call.who.id, call.number(0))
        return plain(serializers.extended(show)) if show.episodes else failed("Not found", 404)

    async def episodes(self, call: Call) -> Response:
        given = call.parts[0]
        tvdb = int(given) if IS_NUMBER.fullmatch(given) else series_in(given)
        if tvdb is None:
            return failed("Not found", 404)
        show = await self.catalogue.series(call.who.id, tvdb)
        return enveloped(serializers.flat(show, clock.now().date()))

    async def to_watch(self, call: Call) -> Response:
        """The next episode of each show that is followed."""
        now, wanted = clock.now(), call.query.get("filter", "")
        today = now.date()
        found: list[tuple[shelf.Series, ListedEpisode]] = []
        for show in await self.followed(call):
            if wanted in ("", begun(show, now)):
                ahead = (one for one in show.shown(today) if show.seen_of(one) is None)
                found += [(show, one) for one in [next(ahead, None)] if one is not None]
        rows = [serializers.described(one.ids.tvdb, shelf.episode_of(show, one)) for show, one in found]
        return plain(paged(call, rows, "offset", "limit"))

    # --- movies

    async def search(self, call: Call) -> Response:
        query, kinds = call.query.get("q", ""), call.parts[0].split(",")
        if not query.strip() or not clean(query):
            return enveloped([])
        found = await self.catalogue.search(call.who.id, query, kinds)
        return enveloped(paged(call, [serializers.result(one) for one in found], "offset", "limit"))

    async def watch_movie(self, call: Call) -> Response:
        return await self.view_movie(call, again=False)

    async def rewatch_movie(self, call: Call) -> Response:
        return await self.view_movie(call, again=True)

    async def view_movie(self, call: Call, *, again: bool) -> Response:
        film = await self.catalogue.movie(call.who.id, call.parts[0])
        if film is None:
            return failed("Not found", 404)
        if not await self.marks.watched(call.who, [film], again=again):
            return failed(NOT_TAKEN["message"])
        seen = await self.database.read(lambda connection: shelf.seen(connection, call.who.id, film))
        return enveloped({"uuid": call.parts[0], **(serializers.dated(seen) if seen else {})})

    async def movie(self, call: Call) -> Response:
        film = await self.catalogue.movie(call.who.id, call.parts[0])
        return failed("Not found", 404) if film is None else enveloped(serializers.meta(film, call.parts[0]))

    # --- lists

    async def follows(self, call: Call) -> Response:
        kind = call.query.get("entity_type")
        rows: list[dict[str, Any]] = []
        if kind == "series":
            today = clock.now().date()
            rows = [serializers.followed(show, today) for show in await self.followed(call)]
        if kind == "movie":
            rows = await self.database.read(
                lambda connection: serializers.followed_movies(connection, call.who.id)
            )
        objects = paged(call, filtered(call, rows), "page_offset", "page_limit")
        return enveloped({"user_id": call.who.id, "type": "list", "objects": objects})

    async def watches(self, call: Call) -> Response:
        def read(connection: Any) -> list[dict[str, Any]]:
            if call.query.get("entity_type") == "movie":
                return paged(
                    call, serializers.watched_movies(connection, call.who.id), "page_offset", "page_limit"
                )
            found = paged(call, shelf.watched_episodes(connection, call.who.id), "page_offset", "page_limit")
            return serializers.watched_episodes(connection, call.who.id, found)

        objects = await self.database.read(read)
        return enveloped({"user_id": call.who.id, "type": "watch", "objects": objects})


def begun(show: shelf.Series, now: datetime) -> str:
    """How far a show was begun, in the words of the list of what to watch."""
    if show.last_seen is None:
        return "not_started_yet"
    return "not_watched_for_a_while" if now - show.last_seen > A_WHILE else "continue_watching"


def filtered(call: Call, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows that the call's filter names; all where it names none that the rows are told apart by."""
    wanted = call.query.get("filter", "")
    return [row for row in rows if wanted not in FILTERS or wanted in row["filter"]]


FILTERS = frozenset({"watched", "not_watched", *serializers.PROGRESS})


def paged(call: Call, rows: Sequence[T], offset: str, limit: str) -> list[T]:
    given = call.request.headers.get("page-limit", "")
    size = int(given) if given.isascii() and given.isdigit() and len(given) < 10 else PAGE
    start = call.whole(offset, 0)
    return list(rows[start : start + call.whole(limit, size)])


# --- out of the proxy's address


def unwrapped(request: Request) -> Call:
    """The call that `o` or `o_b64` holds; the other parameters are its own."""
    pairs = parse_qsl(request.url.query, keep_blank_values=True)
    given = dict(reversed(pairs))
    try:
        target = urlsplit(given.get("o") or decoded(given.get("o_b64", "")))
        host = (target.hostname or "").lower()
    except ValueError:
        return Call(request, "", "", {})
    inside = dict(parse_qsl(target.query, keep_blank_values=True))
    beside = {name: value for name, value in pairs if name not in ("o", "o_b64")}
    return Call(request, host, target.path, {**inside, **beside})


def decoded(text: str) -> str:
    """Base64 of either alphabet, with its padding or without. A plus of the query has become a space."""
    bare = text.replace(" ", "+").translate(str.maketrans("-_", "+/")).rstrip("=")
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4)).decode()
    except (binascii.Error, ValueError):
        return ""
