"""A Trakt on loopback: keeps what it is told, and answers as the contract says.

https://docs.trakt.tv and https://github.com/trakt/trakt-api

`python -m tests.fakes.trakt --port 0` runs it alone. Only what is in `_catalogue` exists, and what is added
to that. Beside what every fake has (`_server`):

    POST /_control/user        {"name": "anna", "vip": true, "locked": false} -> tokens, ready to use
    POST /_control/approve     {"user": "anna", "user_code": "..."}; without a code: the newest one
    GET  /_control/activate    the page on which a person enters the code; POST approves it
    POST /_control/deny        {"user_code": "..."}
    POST /_control/catalogue   {"movies": [{title, year, ids, runtime}],
                                "shows": [{title, year, ids, episodes: [{season, number, title, ids}]}]}
    POST /_control/expire      {"name": "anna"}: her access tokens are no longer accepted
"""

from __future__ import annotations

import json
import secrets
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from . import _catalogue
from ._server import Clock, Fake, main

Json = dict[str, Any]
Kind = Literal["movie", "show", "season", "episode"]

ID_TYPES: Mapping[str, type] = {"trakt": int, "slug": str, "tvdb": int, "tmdb": int, "imdb": str}
KNOWS: Mapping[str, tuple[str, ...]] = {
    "movie": ("trakt", "slug", "tmdb", "imdb"),  # a movie's TVDB id means nothing to Trakt
    "show": ("trakt", "slug", "tvdb", "tmdb", "imdb"),
    "season": ("trakt", "tvdb", "tmdb"),
    "episode": ("trakt", "tvdb", "tmdb", "imdb"),
}
RUNTIMES: Mapping[str, int] = {"movie": 110, "episode": 45}
GROUPS: Mapping[str, Kind] = {"movies": "movie", "shows": "show", "seasons": "season", "episodes": "episode"}
WATCHED = 80
PAGE, LARGEST_PAGE, SYNC_PAGE = 10, 250, 100
FIRST_HISTORY_ID = 2**53 + 1
"""Beyond what a double can hold, so that a client that goes through one is found out."""

JOINED = datetime(2015, 9, 25, 17, 49, 25, tzinfo=UTC)
ACTIVITIES: Mapping[str, str] = {
    "movies": "watched_at collected_at rated_at watchlisted_at favorited_at commented_at paused_at hidden_at",
    "episodes": "watched_at collected_at rated_at watchlisted_at commented_at paused_at",
    "shows": "rated_at watchlisted_at favorited_at commented_at hidden_at dropped_at",
    "seasons": "rated_at watchlisted_at commented_at hidden_at",
    "watchlist": "updated_at",
    "favorites": "updated_at",
    "account": "settings_at",
}


ACTIVATE = """<!doctype html><title>Activate</title><link rel="icon" href="data:,">
<form method="post"><label>Code <input name="code"></label> <button>Connect</button></form>"""


@dataclass
class Switches:
    """What can be set at `/_control/switches`."""

    client_id: str = "fake-client-id"
    client_secret: str = "fake-client-secret"
    app_deleted: bool = False
    auto_approve: str | None = None  # the user as whom every device code is approved at once
    interval: int = 5
    device_life: int = 600
    verification_url: str = "https://auth.trakt.tv/activate"  # /_control/activate is a page of the fake's own
    token_life: int = 604_800
    refresh_failure: int = 400  # older servers: 401
    window_minutes: float = 60  # within which a second scrobble of an item is a 409
    created: int = 201  # the contract says 200 for POST /sync/history
    not_found: str = "echo"  # or "no_ids", "empty"
    windows: str = "times"  # or "days": start_at and end_at mean the whole of their days
    unknown_date: str | None = None  # what a play without a date is listed with
    explains_409: bool = True  # whether a 409 says when the item was watched, and until when it holds
    most_items: int = 100  # in one sync call
    rate_limit: bool = False
    ratelimit_headers: str = "full"  # or "retry_after_only", "none"
    watchlist_limit: int | None = None
    watchlist_loses: int = 0  # titles that its pages lack, though their headers count them
    collection_limit: int | None = None
    limit_headers: bool = True


class Refused(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, body: Any = None, headers: Mapping[str, str] | None = None) -> None:
        self.response = answer(body, status, headers)


@dataclass(eq=False)
class Entry:
    """An item of the catalogue; `data` is as it goes over the wire."""

    kind: Kind
    data: Json
    show: Entry | None = None
    runtime: int = 45
    aliases: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        return f"{self.kind}:{self.data['ids']['trakt']}"

    def wire(self) -> Json:
        """`{"movie": {...}}` or `{"episode": {...}, "show": {...}}`."""
        item: Json = {self.kind: self.data}
        return item if self.show is None else {**item, "show": self.show.data}


class Catalogue:
    """The items that exist, found by any of their ids, by title and year, or by show, season and number.

    What is neither in `_catalogue` nor was added does not exist; with `known`, only that does.
    """

    def __init__(self, known: Json | None = None) -> None:
        self.entries: list[Entry] = []
        self.index: dict[tuple[str, str, Any], Entry] = {}
        self.titles: dict[tuple[str, str], list[Entry]] = {}
        self.places: dict[tuple[Any, ...], Entry] = {}
        self.tidewater: Entry | None = None
        if known is not None:
            self.load(known)
            return
        self.load({"movies": _catalogue.MOVIES, "shows": _catalogue.SHOWS})
        for season in _catalogue.SEASONS:
            show = self.index["show", "trakt", season["show"]]
            self.add("season", show=show, number=season["number"], ids=season["ids"])
        self.tidewater = self.add("show", **_catalogue.TIDEWATER)

    def add(
        self,
        kind: Kind,
        *,
        show: Entry | None = None,
        runtime: int | None = None,
        aliases: Sequence[str] = (),
        **data: Any,
    ) -> Entry:
        ids = {
            name: value for name, value in (data.pop("ids", None) or {}).items() if value not in (None, "")
        }
        entry = Entry(kind, {**data, "ids": {}}, show, runtime or RUNTIMES.get(kind, 0), tuple(aliases))
        ids.setdefault("trakt", invented(kind, ids, data, show))
        if kind in ("movie", "show"):
            ids.setdefault("slug", f"{kind}-{ids['trakt']}")
        for name in KNOWS[kind]:
            if ids.get(name) is not None:
                entry.data["ids"][name] = ids[name]
                self.index.setdefault((kind, name, ids[name]), entry)
        self.entries.append(entry)
        for title in filter(None, (data.get("title"), *aliases)):
            self.titles.setdefault((kind, str(title).casefold()), []).append(entry)
        self.places.setdefault(place_of(entry), entry)
        return entry

    def by_ids(self, kind: Kind, ids: Json) -> Entry | None:
        """The item of the first of the ids that Trakt knows; the others are not looked at."""
        asked = [(name, ids[name]) for name in KNOWS[kind] if ids.get(name) is not None]
        found = (
            self.index.get((kind, name, value)) or self.ruled(kind, name, value) for name, value in asked
        )
        return next((entry for entry in found if entry is not None), None)

    def ruled(self, kind: Kind, namespace: str, value: Any) -> Entry | None:
        """An item whose ids follow a rule, made as it is asked for."""
        if self.tidewater is None:
            return None
        if kind == "movie" and (reel := _catalogue.reel_by_id(namespace, value)):
            return self.add("movie", **reel)
        if (kind, namespace) == ("episode", "tvdb") and (part := _catalogue.part_by_tvdb(value)):
            return self.add("episode", show=self.tidewater, **part)
        return None

    def by_title(self, kind: Kind, title: str, year: int) -> Entry | None:
        for entry in self.titles.get((kind, title.casefold()), ()):
            if entry.data.get("year") == year:
                return entry
        return None

    def titled(self, kind: Kind, wanted: Any) -> Entry | None:
        """A movie or a show as a request names it: by ids, else by title and year."""
        wanted = wanted if isinstance(wanted, dict) else {}
        ids = checked(wanted.get("ids"))
        found = self.by_ids(kind, ids)
        if found is not None or any(ids.values()):
            return found
        title, year = wanted.get("title"), wanted.get("year")
        if not isinstance(title, str) or not isinstance(year, int):
            raise Refused(400, {"errors": {kind: ["needs ids, or a title and a year"]}})
        return self.by_title(kind, title, year)

    def part(self, kind: Kind, show: Entry, **place: Any) -> Entry | None:
        """A season or an episode of a show; a season is there where an episode of it is."""
        known = self.places.get((kind, show.key, place.get("season"), place.get("number")))
        if known is None and show is self.tidewater and kind == "episode":
            made = _catalogue.part(place["season"], place["number"])
            return None if made is None else self.add("episode", show=show, **made)
        if known is None and kind == "season":
            there = any(one.data["season"] == place["number"] for one in self.of(show))
            return self.add("season", show=show, **place) if there else None
        return known

    def of(self, show: Entry, kind: Kind = "episode") -> list[Entry]:
        return [entry for entry in self.entries if entry.show is show and entry.kind == kind]

    def episode(self, wanted: Any, show: Any = None) -> Entry | None:
        """An episode by its own ids, else by its show's and its place in it."""
        wanted = wanted if isinstance(wanted, dict) else {}
        if not show:
            return self.by_ids("episode", checked(wanted.get("ids")))
        parent = self.titled("show", show)
        if parent is None:
            return None
        if (absolute := wanted.get("number_abs")) is not None:
            return self.absolute(parent, absolute)
        season, number = wanted.get("season"), wanted.get("number")
        if season is None or number is None:
            return None
        return self.part("episode", parent, season=season, number=number)

    def absolute(self, show: Entry, number: int) -> Entry | None:
        aired = [entry for entry in self.of(show) if entry.data["season"]]
        aired.sort(key=lambda entry: (entry.data["season"], entry.data["number"]))
        return aired[number - 1] if 0 < number <= len(aired) else None

    def playable(self, body: Json) -> Entry | None:
        if "movie" in body:
            return self.titled("movie", body["movie"])
        return self.episode(body.get("episode"), body.get("show"))

    def load(self, wanted: Json) -> None:
        """What `/_control/catalogue` gives."""
        for movie in wanted.get("movies", ()):
            self.add("movie", **{"year": None, **movie})
        for described in wanted.get("shows", ()):
            show = dict(described)
            episodes = show.pop("episodes", ())
            parent = self.add("show", **{"year": None, **show})
            for episode in episodes:
                self.add("episode", show=parent, **{"title": None, **episode})


@dataclass
class Session:
    """A sign-in: a pair of tokens, of which either may be dead."""

    user: str
    access: str
    refresh: str
    created_at: datetime
    life: int
    expired: bool = False

    def wire(self) -> Json:
        return {
            "access_token": self.access,
            "token_type": "bearer",
            "expires_in": self.life,
            "refresh_token": self.refresh,
            "scope": "public",
            "created_at": int(self.created_at.timestamp()),
        }


@dataclass
class Device:
    """A device code under way."""

    user_code: str
    began: datetime
    user: str | None = None
    denied: bool = False
    used: bool = False
    polled: datetime | None = None


@dataclass
class User:
    """An account and all that is in it. `journal` is what was done, in order: `start`, `pause`, `watched` and of what."""

    name: str
    vip: bool = True
    locked: bool = False
    history: list[Json] = field(default_factory=list)
    playback: dict[str, Json] = field(default_factory=dict)
    ratings: dict[str, Json] = field(default_factory=dict)
    collection: dict[str, Json] = field(default_factory=dict)
    watchlist: dict[str, Json] = field(default_factory=dict)
    watching: Json | None = None
    activities: dict[tuple[str, str], datetime] = field(default_factory=dict)
    writes: list[datetime] = field(default_factory=list)
    reads: list[datetime] = field(default_factory=list)
    journal: list[tuple[str, Json]] = field(default_factory=list)
    refreshes: int = 0


@dataclass
class Ask:
    """A call that passed the door: whose it is, what it says, when."""

    request: Request
    user: User
    body: Json
    now: datetime

    @property
    def query(self) -> Mapping[str, str]:
        return self.request.query_params

    def path(self, name: str, default: Any = None) -> Any:
        return self.request.path_params.get(name, default)


@dataclass
class Leaf:
    """One item that a sync call names: what it was found to be, and what was said of it."""

    group: str
    said: Json
    entry: Entry | None


Handler = Callable[[Ask], Response]
NOBODY = User("nobody")


class Trakt(Fake):
    """The server. `fake.sign_in("anna")` gives tokens; `fake.user("anna").history` what she watched."""

    switches: Switches

    service = "trakt"

    def __init__(self, *, clock: Clock | None = None, known: Json | None = None, **switches: Any) -> None:
        super().__init__(clock=clock)
        self.switches = Switches(**switches)
        self.catalogue = Catalogue(known)
        self.users: dict[str, User] = {}
        self.sessions: list[Session] = []
        self.devices: dict[str, Device] = {}
        self.refreshes = 0
        self.ids = iter(range(FIRST_HISTORY_ID, 2**62))

    # People and their tokens

    def user(self, name: str) -> User:
        return self.users.setdefault(name, User(name))

    def sign_in(self, name: str) -> Json:
        """A new sign-in's tokens; a free account's older ones die."""
        if not self.user(name).vip:
            self.sessions = [session for session in self.sessions if session.user != name]
        return self.session(name).wire()

    def session(self, name: str) -> Session:
        tokens = secrets.token_hex(32), secrets.token_hex(32)
        session = Session(name, *tokens, self.clock.now(), self.switches.token_life)
        self.sessions.append(session)
        return session

    def expire(self, name: str) -> None:
        """Her access tokens are no longer accepted; they can still be renewed."""
        for session in self.sessions:
            session.expired |= session.user == name

    def approve(self, user: str, user_code: str | None = None) -> None:
        self.pending(user_code).user = user

    def deny(self, user_code: str | None = None) -> None:
        self.pending(user_code).denied = True

    def pending(self, user_code: str | None) -> Device:
        found = [entry for entry in self.devices.values() if user_code in (None, entry.user_code)]
        if not found:
            raise Refused(404)
        return found[-1]

    def who(self, headers: Mapping[str, str]) -> str | None:
        token = headers.get("authorization", "").removeprefix("Bearer ")
        return next((session.user for session in self.sessions if session.access == token), None)

    def state(self) -> Json:
        return {
            "users": {name: described(user) for name, user in self.users.items()},
            "refreshes": self.refreshes,
            "sessions": len(self.sessions),
        }

    # The door

    def routes(self) -> list[BaseRoute]:
        signed: list[tuple[str, str, Handler]] = [
            ("POST", "/scrobble/{verb}", self.scrobble),
            ("GET", "/sync/last_activities", self.last_activities),
            ("GET", "/sync/playback", self.list_playback),
            ("GET", "/sync/playback/{group}", self.list_playback),
            ("DELETE", "/sync/playback/{id:int}", self.remove_playback),
            ("POST", "/sync/history", self.add_history),
            ("POST", "/sync/history/remove", self.remove_history),
            ("GET", "/sync/history", self.list_history),
            ("GET", "/sync/history/{group}", self.list_history),
            ("GET", "/sync/history/{group}/{id:int}", self.list_history),
            ("GET", "/users/{name}/history", self.list_history),
            ("GET", "/users/{name}/history/{group}", self.list_history),
            ("GET", "/sync/watched/{group}", self.list_watched),
            ("POST", "/sync/ratings", self.add_ratings),
            ("POST", "/sync/ratings/remove", self.remove_ratings),
            ("GET", "/sync/ratings", self.list_ratings),
            ("GET", "/sync/ratings/{group}", self.list_ratings),
            ("POST", "/sync/collection", self.add_collection),
            ("POST", "/sync/collection/remove", self.remove_collection),
            ("GET", "/sync/collection/{group}", self.list_collection),
            ("POST", "/sync/watchlist", self.add_watchlist),
            ("POST", "/sync/watchlist/remove", self.remove_watchlist),
            ("GET", "/sync/watchlist", self.list_watchlist),
            ("GET", "/sync/watchlist/{group}", self.list_watchlist),
            ("GET", "/users/settings", self.settings),
            ("GET", "/users/{name}/watching", self.watching),
        ]
        public: list[tuple[str, str, Handler]] = [
            ("GET", "/search/{type}/exact", self.search_text),
            ("GET", "/search/{namespace}/{id}", self.search_id),
            ("GET", "/search/{type}", self.search_text),
            ("GET", "/movies/{id}", self.one_movie),
            ("GET", "/shows/{id}", self.one_show),
            ("GET", "/shows/{id}/seasons/{season:int}/episodes/{number:int}", self.one_episode),
        ]
        oauth: list[tuple[str, Callable[[Json], Response]]] = [
            ("/oauth/device/code", self.device_code),
            ("/oauth/device/token", self.device_token),
            ("/oauth/token", self.token),
            ("/oauth/revoke", self.revoke),
            ("/_control/user", self.control_user),
            ("/_control/approve", self.control_approve),
            ("/_control/deny", self.control_deny),
            ("/_control/expire", self.control_expire),
            ("/_control/catalogue", self.control_catalogue),
        ]
        return [
            *(Route(path, self.door(handler, signed=True), methods=[verb]) for verb, path, handler in signed),
            *(Route(path, self.door(handler), methods=[verb]) for verb, path, handler in public),
            *(Route(path, self.open(handler), methods=["POST"]) for path, handler in oauth),
            Route("/_control/activate", self.activate, methods=["GET", "POST"]),
        ]

    def door(self, handler: Handler, *, signed: bool = False) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            try:
                return handler(self.let_in(request, await request.body(), signed=signed))
            except Refused as refused:
                return refused.response

        return endpoint

    def open(self, handler: Callable[[Json], Response]) -> Callable[[Request], Any]:
        """For what needs no key: OAuth and the controls."""

        async def endpoint(request: Request) -> Response:
            try:
                return handler(as_json(await request.body()))
            except Refused as refused:
                return refused.response

        return endpoint

    def let_in(self, request: Request, body: bytes, *, signed: bool) -> Ask:
        key = request.headers.get("trakt-api-key")
        if (
            self.switches.app_deleted
            or key != self.switches.client_id
            or not request.headers.get("user-agent")
        ):
            raise Refused(403)
        if request.headers.get("trakt-api-version") != "2":
            raise Refused(412)
        if request.method in ("POST", "PUT") and not is_json(request):
            raise Refused(412)
        user = self.signed_in(request) if signed else NOBODY
        if user.locked:
            raise Refused(423, headers={"X-Account-Locked": "true", "X-Account-Deactivated": "false"})
        self.pace(user, request.method)
        parsed = as_json(body) if request.method in ("POST", "PUT") else {}
        return Ask(request, user, parsed, self.clock.now())

    def signed_in(self, request: Request) -> User:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        for session in self.sessions:
            ends = session.created_at + timedelta(seconds=session.life)
            fresh = not session.expired and self.clock.now() < ends
            if scheme.lower() == "bearer" and session.access == token and fresh:
                return self.user(session.user)
        raise Refused(401, headers={"WWW-Authenticate": 'Bearer realm="trakt"'})

    def pace(self, user: User, method: str) -> None:
        """1 write a second and 500 reads in five minutes, per user."""
        if not self.switches.rate_limit or user is NOBODY:
            return
        now = self.clock.now()
        write = method != "GET"
        name, period, limit, past = (
            ("AUTHED_API_POST_LIMIT", 1, 1, user.writes)
            if write
            else ("AUTHED_API_GET_LIMIT", 300, 500, user.reads)
        )
        past[:] = [when for when in past if now - when < timedelta(seconds=period)]
        if len(past) < limit:
            past.append(now)
            return
        until = past[0] + timedelta(seconds=period)
        raise Refused(429, headers=self.slow_down(name, period, limit, until, now))

    def slow_down(self, name: str, period: int, limit: int, until: datetime, now: datetime) -> Json:
        wait = max(1, round((until - now).total_seconds()))
        bucket = {"name": name, "period": period, "limit": limit, "remaining": 0, "until": iso(until)}
        headers = {"Retry-After": str(wait), "X-Ratelimit": json.dumps(bucket)}
        kept = {"full": headers, "retry_after_only": {"Retry-After": str(wait)}, "none": {}}
        return dict(kept[self.switches.ratelimit_headers])

    # OAuth

    def device_code(self, body: Json) -> Response:
        self.check_client(body, secret=False)
        code = secrets.token_hex(32)
        user_code = secrets.token_hex(4).upper()
        self.devices[code] = Device(user_code, self.clock.now(), self.switches.auto_approve)
        return answer(
            {
                "device_code": code,
                "user_code": user_code,
                "verification_url": self.switches.verification_url,
                "expires_in": self.switches.device_life,
                "interval": self.switches.interval,
            }
        )

    def device_token(self, body: Json) -> Response:
        self.check_client(body)
        device = self.devices.get(body.get("code", ""))
        if device is None:
            return answer(None, 404)
        if status := self.poll_status(device):
            return answer(None, status)
        device.used = True
        return answer(self.sign_in(str(device.user)))

    def poll_status(self, device: Device) -> int | None:
        """Why the device gets no tokens, or None."""
        now, before = self.clock.now(), device.polled
        device.polled = now
        if device.used:
            return 409
        if now - device.began > timedelta(seconds=self.switches.device_life):
            return 410
        if device.denied:
            return 418
        if before and now - before < timedelta(seconds=self.switches.interval - 0.5):
            return 429
        return 400 if device.user is None else None

    def token(self, body: Json) -> Response:
        self.check_client(body)
        if body.get("grant_type") != "refresh_token":
            raise Refused(400, {"error": "unsupported_grant_type"})
        if not body.get("redirect_uri"):
            raise Refused(400, {"error": "invalid_request", "error_description": "redirect_uri is missing"})
        old = next((entry for entry in self.sessions if entry.refresh == body.get("refresh_token")), None)
        if old is None:
            error = {"error": "invalid_grant", "error_description": "session not found"}
            raise Refused(self.switches.refresh_failure, error, {"WWW-Authenticate": "Bearer"})
        self.sessions.remove(old)
        self.refreshes += 1
        self.user(old.user).refreshes += 1
        return answer(self.session(old.user).wire())

    def revoke(self, body: Json) -> Response:
        self.check_client(body)
        self.sessions = [entry for entry in self.sessions if entry.access != body.get("token")]
        return answer({})

    def check_client(self, body: Json, *, secret: bool = True) -> None:
        right = body.get("client_id") == self.switches.client_id
        right &= not secret or body.get("client_secret") == self.switches.client_secret
        if self.switches.app_deleted or not right:
            raise Refused(401, {"error": "invalid_client", "error_description": "client_id is required"})

    # Scrobble

    def scrobble(self, ask: Ask) -> Response:
        verbs = {"start": self.start, "pause": self.pause, "stop": self.stop}
        verb = verbs.get(ask.path("verb"))
        if verb is None:
            raise Refused(404)
        progress = ask.body.get("progress")
        if isinstance(progress, bool) or not isinstance(progress, int | float) or not 0 <= progress <= 100:
            raise Refused(422, {"errors": {"progress": ["must be a number from 0 to 100"]}})
        entry = self.catalogue.playable(ask.body)
        if entry is None:
            raise Refused(404)
        return verb(ask, entry, progress)

    def start(self, ask: Ask, entry: Entry, progress: float) -> Response:
        rest = timedelta(minutes=entry.runtime * (1 - progress / 100))
        ask.user.watching = {
            "expires_at": iso(ask.now + rest),
            "started_at": iso(ask.now),
            "action": "scrobble",
            "type": entry.kind,
            **entry.wire(),
        }
        ask.user.playback.pop(entry.key, None)
        ask.user.journal.append(("start", entry.data["ids"]))
        return scrobbled("start", entry, progress)

    def pause(self, ask: Ask, entry: Entry, progress: float) -> Response:
        if progress < 1 or progress >= WATCHED:
            raise Refused(422, {"errors": {"progress": ["must be at least 1 and below 80"]}})
        return self.save_pause(ask, entry, progress)

    def stop(self, ask: Ask, entry: Entry, progress: float) -> Response:
        if progress < 1:
            raise Refused(422, {"errors": {"progress": ["must be at least 1"]}})
        if progress < WATCHED:
            ask.user.watching = None
            return self.save_pause(ask, entry, progress)
        if expires := self.window(ask, entry):
            watched_at = expires - timedelta(minutes=self.switches.window_minutes)
            said = {"watched_at": iso(watched_at), "expires_at": iso(expires)}
            raise Refused(409, said if self.switches.explains_409 else None)
        row = self.remember(ask.user, entry, "scrobble", ask.now)
        ask.user.watching = None
        return scrobbled("scrobble", entry, progress, row["id"])

    def save_pause(self, ask: Ask, entry: Entry, progress: float) -> Response:
        saved = {"progress": progress, "paused_at": iso(ask.now), "id": next(self.ids), "type": entry.kind}
        ask.user.playback.pop(entry.key, None)
        ask.user.playback[entry.key] = {**saved, **entry.wire()}
        self.touch(ask.user, entry.kind, "paused_at")
        ask.user.journal.append(("pause", entry.data["ids"]))
        return scrobbled("pause", entry, progress)

    def window(self, ask: Ask, entry: Entry) -> datetime | None:
        """Until when a scrobble of this item is one too many."""
        for row in reversed(ask.user.history):
            same = row["type"] == entry.kind and row[entry.kind]["ids"] == entry.data["ids"]
            if row["action"] == "scrobble" and same:
                ends = when(row["watched_at"]) + timedelta(minutes=self.switches.window_minutes)
                return ends if ask.now < ends else None
        return None

    def remember(self, user: User, entry: Entry, action: str, at: datetime | None) -> Json:
        watched_at = self.switches.unknown_date if at is None else iso(at)
        row = {"id": next(self.ids), "watched_at": watched_at, "action": action, "type": entry.kind}
        user.history.append({**row, **entry.wire()})
        user.journal.append(("watched", entry.data["ids"]))
        user.playback.pop(entry.key, None)
        user.watchlist.pop(entry.key, None)
        if entry.show is not None:
            user.watchlist.pop(entry.show.key, None)
        self.touch(user, entry.kind, "watched_at")
        return row

    def touch(self, user: User, kind: str, what: str) -> None:
        user.activities[f"{kind}s", what] = self.clock.now()

    # History

    def add_history(self, ask: Ask) -> Response:
        leaves = list(self.leaves(ask.body, spread=True))
        stamps = [(leaf, self.stamp(leaf, "watched_at", ask.now)) for leaf in leaves]
        for leaf, at in stamps:
            if leaf.entry is not None:
                self.remember(ask.user, leaf.entry, "watch", at)
        added = count(leaves, ("movies", "episodes"))
        none = {"movies": 0, "episodes": 0}
        body = {"added": added, "updated": none, "not_found": self.not_found(leaves)}
        return answer(body, self.switches.created)

    def stamp(self, leaf: Leaf, name: str, now: datetime) -> datetime | None:
        said = leaf.said.get(name)
        if said == "unknown":
            return None
        if said == "released":
            year = leaf.entry.data.get("year") if leaf.entry else None
            return datetime(year or 2000, 1, 1, tzinfo=UTC)
        return now if said is None else when(said)

    def remove_history(self, ask: Ask) -> Response:
        wanted = ask.body.get("ids") or []
        gone = {leaf.entry.key for leaf in self.leaves(ask.body, spread=True) if leaf.entry}
        rows = [row for row in ask.user.history if row["id"] in wanted or key_of(row) in gone]
        for row in rows:
            ask.user.history.remove(row)
            self.touch(ask.user, row["type"], "watched_at")
        missing = [one for one in wanted if one not in {row["id"] for row in rows}]
        deleted = {f"{kind}s": sum(row["type"] == kind for row in rows) for kind in ("movie", "episode")}
        found = {"movies": [], "shows": [], "seasons": [], "episodes": [], "ids": missing}
        return answer({"deleted": deleted, "not_found": found})

    def list_history(self, ask: Ask) -> Response:
        user = self.named(ask)
        asked = [ask.query.get(name) for name in ("start_at", "end_at")]
        if self.switches.windows == "days":
            asked = [text and text[:10] for text in asked]
        first, last = bound(asked[0]), bound(asked[1], end=True)
        rows = [row for row in user.history if self.listed(row, ask.path("group"), ask.path("id"))]
        if first or last:
            rows = [row for row in rows if row["watched_at"] and within(when(row["watched_at"]), first, last)]
        rows.sort(key=lambda row: (row["watched_at"] or "", row["id"]), reverse=True)
        return paged(rows, ask, PAGE)

    def listed(self, row: Json, group: str | None, trakt: int | None) -> bool:
        """Whether a row is of this group, and of this item if one is named."""
        kind = GROUPS.get(group or "")
        if kind is None:
            return group in (None, "all")
        if kind == "season":
            return row["type"] == "episode" and trakt is None
        return kind in row and trakt in (None, row[kind]["ids"]["trakt"])

    def list_watched(self, ask: Ask) -> Response:
        kind = GROUPS.get(ask.path("group"), "movie")
        seen: dict[int, Json] = {}
        for row in (row for row in ask.user.history if kind in row):
            new = {"plays": 0, kind: row[kind]}
            entry = seen.setdefault(row[kind]["ids"]["trakt"], new)
            entry["plays"] += 1
            entry["last_watched_at"] = entry["last_updated_at"] = row["watched_at"]
        return paged(list(seen.values()), ask, SYNC_PAGE)

    def list_playback(self, ask: Ask) -> Response:
        kind = GROUPS.get(ask.path("group", ""))
        rows = [row for row in ask.user.playback.values() if kind in (None, row["type"])]
        return paged(rows[::-1], ask, None)

    def remove_playback(self, ask: Ask) -> Response:
        key = next((key for key, row in ask.user.playback.items() if row["id"] == ask.path("id")), None)
        if key is None:
            raise Refused(404)
        del ask.user.playback[key]
        return answer(None, 204)

    # Ratings, collection, watchlist

    def add_ratings(self, ask: Ask) -> Response:
        leaves = list(self.leaves(ask.body, spread=False))
        if any(leaf.said.get("rating") not in range(1, 11) for leaf in leaves):
            raise Refused(422, {"errors": {"rating": ["must be from 1 to 10"]}})
        for leaf in leaves:
            self.put(ask.user, ask.user.ratings, leaf, "rated_at", {"rating": leaf.said["rating"]})
        return answer({"added": count(leaves), "not_found": self.not_found(leaves)}, 201)

    def add_collection(self, ask: Ask) -> Response:
        leaves = list(self.leaves(ask.body, spread=True))
        self.limit(ask.user.collection, leaves, self.switches.collection_limit)
        old = [leaf for leaf in leaves if leaf.entry and leaf.entry.key in ask.user.collection]
        for leaf in leaves:
            self.put(ask.user, ask.user.collection, leaf, "collected_at", {})
        groups = ("movies", "episodes")
        fresh = [leaf for leaf in leaves if leaf not in old]
        body = {"added": count(fresh, groups), "updated": count([], groups), "existing": count(old, groups)}
        return answer({**body, "not_found": self.not_found(leaves)}, 201)

    def add_watchlist(self, ask: Ask) -> Response:
        leaves = list(self.leaves(ask.body, spread=False))
        self.limit(ask.user.watchlist, leaves, self.switches.watchlist_limit)
        old = [leaf for leaf in leaves if leaf.entry and leaf.entry.key in ask.user.watchlist]
        fresh = [leaf for leaf in leaves if leaf not in old]
        for leaf in fresh:
            rank = {"rank": len(ask.user.watchlist) + 1, "id": next(self.ids), "notes": None}
            self.put(ask.user, ask.user.watchlist, leaf, "listed_at", rank)
        body = {"added": count(fresh), "existing": count(old), "not_found": self.not_found(leaves)}
        return answer({**body, "list": self.listing(ask)}, 201)

    def put(self, user: User, rows: dict[str, Json], leaf: Leaf, stamp: str, more: Json) -> None:
        if leaf.entry is None:
            return
        at = self.stamp(leaf, stamp, self.clock.now())
        rows[leaf.entry.key] = {stamp: at and iso(at), **more, "type": leaf.entry.kind, **leaf.entry.wire()}
        self.touch(user, leaf.entry.kind, "watchlisted_at" if stamp == "listed_at" else stamp)

    def limit(self, rows: dict[str, Json], leaves: list[Leaf], most: int | None) -> None:
        new = {leaf.entry.key for leaf in leaves if leaf.entry} - rows.keys()
        if most is None or len(rows) + len(new) <= most:
            return
        headers = {
            "X-Upgrade-URL": "https://app.trakt.tv/vip",
            "X-VIP-User": "false",
            "X-Account-Limit": str(most),
        }
        raise Refused(420, headers=headers if self.switches.limit_headers else None)

    def listing(self, ask: Ask) -> Json:
        return {"updated_at": iso(ask.now), "item_count": len(ask.user.watchlist)}

    def remove_ratings(self, ask: Ask) -> Response:
        return answer(self.take_out(ask, ask.user.ratings, "rated_at", spread=False))

    def remove_collection(self, ask: Ask) -> Response:
        return answer(self.take_out(ask, ask.user.collection, "collected_at", spread=True))

    def remove_watchlist(self, ask: Ask) -> Response:
        out = self.take_out(ask, ask.user.watchlist, "watchlisted_at", spread=False)
        return answer({**out, "list": self.listing(ask)})

    def take_out(self, ask: Ask, rows: dict[str, Json], stamp: str, *, spread: bool) -> Json:
        leaves = list(self.leaves(ask.body, spread=spread))
        had = [leaf for leaf in leaves if leaf.entry and rows.pop(leaf.entry.key, None)]
        for leaf in had:
            self.touch(ask.user, leaf.group.removesuffix("s"), stamp)
        groups = ("movies", "episodes") if spread else tuple(GROUPS)
        return {"deleted": count(had, groups), "not_found": self.not_found(leaves)}

    def list_ratings(self, ask: Ask) -> Response:
        return self.list_rows(ask, ask.user.ratings)

    def list_watchlist(self, ask: Ask) -> Response:
        kind = GROUPS.get(ask.path("group", ""))
        rows = [row for row in ask.user.watchlist.values() if kind in (None, row["type"])]
        return paged(rows, ask, None, loses=self.switches.watchlist_loses)

    def list_rows(self, ask: Ask, rows: dict[str, Json]) -> Response:
        kind = GROUPS.get(ask.path("group", ""))
        return paged([row for row in rows.values() if kind in (None, row["type"])], ask, None)

    def list_collection(self, ask: Ask) -> Response:
        kind = "movie" if ask.path("group") == "movies" else "episode"
        rows = [row for row in ask.user.collection.values() if row["type"] == kind]
        if ask.path("group") == "shows":
            rows = by_show(rows)
        return paged(rows, ask, SYNC_PAGE)

    # What sync calls name

    def leaves(self, body: Json, *, spread: bool) -> Iterator[Leaf]:
        """Every item named; with `spread` a bare show or season stands for all its episodes."""
        if named(body) > self.switches.most_items:
            raise Refused(422, {"errors": {"items": ["are too many for one call"]}})
        for said in body.get("movies") or ():
            yield Leaf("movies", said, self.catalogue.titled("movie", said))
        for said in body.get("episodes") or ():
            yield Leaf("episodes", said, self.catalogue.episode(said))
        for said in body.get("seasons") or ():
            entry = self.catalogue.by_ids("season", checked(said.get("ids")))
            yield from self.whole_season(said, entry) if spread else [Leaf("seasons", said, entry)]
        for said in body.get("shows") or ():
            yield from self.show_leaves(said, spread=spread)

    def show_leaves(self, said: Json, *, spread: bool) -> Iterator[Leaf]:
        show = self.catalogue.titled("show", said)
        if show is None or (not said.get("seasons") and not spread):
            yield Leaf("shows", said, show)
            return
        if not said.get("seasons"):
            yield from (Leaf("episodes", said, episode) for episode in self.catalogue.of(show))
            return
        for season in said["seasons"]:
            yield from self.season_leaves(show, season, spread=spread)

    def season_leaves(self, show: Entry, said: Json, *, spread: bool) -> Iterator[Leaf]:
        number = said["number"]
        for episode in said.get("episodes") or ():
            place = {"season": number, "number": episode["number"]}
            yield Leaf("episodes", episode, self.catalogue.part("episode", show, **place))
        if said.get("episodes"):
            return
        season = self.catalogue.part("season", show, number=number)
        yield from self.whole_season(said, season) if spread else [Leaf("seasons", said, season)]

    def whole_season(self, said: Json, season: Entry | None) -> Iterator[Leaf]:
        if season is None or season.show is None:
            yield Leaf("seasons", said, None)
            return
        for episode in self.catalogue.of(season.show):
            if episode.data["season"] == season.data["number"]:
                yield Leaf("episodes", said, episode)

    def not_found(self, leaves: list[Leaf]) -> Json:
        missing: Json = {group: [] for group in (*GROUPS, "people")}
        styles: Mapping[str, Callable[[Json], Json]] = {
            "echo": lambda said: said,
            "no_ids": lambda said: {name: value for name, value in said.items() if name != "ids"},
            "empty": lambda said: {},
        }
        for leaf in (leaf for leaf in leaves if leaf.entry is None):
            missing[leaf.group].append(styles[self.switches.not_found](leaf.said))
        return missing

    # Reads

    def named(self, ask: Ask) -> User:
        """The user the path names, `me` or nobody in particular: who asks."""
        name = ask.path("name", "me")
        if name not in ("me", ask.user.name) and name not in self.users:
            raise Refused(404)
        return ask.user if name == "me" else self.user(name)

    def watching(self, ask: Ask) -> Response:
        user = self.named(ask)
        on = user.watching
        if on is None or when(on["expires_at"]) <= ask.now:
            return answer(None, 204)
        return answer(on)

    def last_activities(self, ask: Ask) -> Response:
        seen = ask.user.activities
        body: Json = {"all": iso(max(seen.values(), default=JOINED))}
        for group, names in ACTIVITIES.items():
            body[group] = {name: iso(seen.get((group, name), JOINED)) for name in names.split()}
        return answer(body)

    def settings(self, ask: Ask) -> Response:
        name = ask.user.name
        identity = {
            "username": name,
            "private": False,
            "deleted": False,
            "name": name.title(),
            "vip": ask.user.vip,
            "vip_ep": False,
            "ids": {"slug": name, "uuid": f"{zlib.crc32(name.encode()):040x}"},
            "joined_at": iso(JOINED),
        }
        limits = {"list": {"count": 5, "item_count": 250}, "watchlist": {"item_count": 250}}
        account = {"timezone": "Europe/Paris", "date_format": "dmy", "time_24hr": True, "cover_image": None}
        return answer({"user": identity, "account": account, "connections": {}, "limits": limits})

    def search_id(self, ask: Ask) -> Response:
        namespace, text = ask.path("namespace"), ask.path("id")
        if namespace not in ID_TYPES:
            raise Refused(404)
        value = int(text) if ID_TYPES[namespace] is int and text.isdigit() else text
        asked = ask.query.get("type", "movie,show,episode").split(",")
        kinds = [kind for kind in GROUPS.values() if kind in asked]
        found = [
            self.catalogue.by_ids(kind, {namespace: value}) for kind in kinds if namespace in KNOWS[kind]
        ]
        return paged([hit(entry, 1000) for entry in found if entry], ask, PAGE)

    def search_text(self, ask: Ask) -> Response:
        kinds = ask.path("type").split(",")
        query = ask.query.get("query", "").replace("\\", "").casefold()
        exact = ask.request.url.path.endswith("/exact")
        years = [int(year) for year in ask.query.get("years", "").split("-") if year.isdigit()]
        hits = [
            hit(entry, 100.0)
            for entry in self.catalogue.entries
            if entry.kind in kinds and titles_meet(entry, query, exact=exact) and year_meets(entry, years)
        ]
        return paged(hits, ask, PAGE)

    def one_movie(self, ask: Ask) -> Response:
        return answer(self.one("movie", ask.path("id")).data)

    def one_show(self, ask: Ask) -> Response:
        return answer(self.one("show", ask.path("id")).data)

    def one_episode(self, ask: Ask) -> Response:
        show = self.one("show", ask.path("id"))
        place = {"season": ask.path("season"), "number": ask.path("number")}
        episode = self.catalogue.part("episode", show, **place)
        if episode is None:
            raise Refused(404)
        return answer(episode.data)

    def one(self, kind: Kind, text: str) -> Entry:
        """By Trakt id, slug or IMDb id, as `/movies/{id}` and `/shows/{id}` take them."""
        name = "trakt" if text.isdigit() else "imdb" if text.startswith("tt") else "slug"
        found = self.catalogue.by_ids(kind, {name: int(text) if name == "trakt" else text})
        if found is None:
            raise Refused(404)
        return found

    # Controls

    def control_user(self, body: Json) -> Response:
        user = self.user(body["name"])
        user.vip = body.get("vip", user.vip)
        user.locked = body.get("locked", user.locked)
        return answer({"name": user.name, **self.sign_in(user.name)})

    async def activate(self, request: Request) -> Response:
        """The page on which somebody who is signed in here enters the code that a device shows."""
        if request.method == "GET":
            return HTMLResponse(ACTIVATE)
        self.approve("anna", parse_qs((await request.body()).decode())["code"][0])
        return HTMLResponse(ACTIVATE + "Your device is connected.")

    def control_approve(self, body: Json) -> Response:
        self.approve(body.get("user", "anna"), body.get("user_code"))
        return answer({})

    def control_deny(self, body: Json) -> Response:
        self.deny(body.get("user_code"))
        return answer({})

    def control_expire(self, body: Json) -> Response:
        self.expire(body["name"])
        return answer({})

    def control_catalogue(self, body: Json) -> Response:
        self.catalogue.load(body)
        return answer({"entries": len(self.catalogue.entries)})


def answer(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """JSON, or an empty body where there is none."""
    if body is None:
        length = {} if status == 204 else {"content-length": "0"}
        return Response(status_code=status, headers={**length, **(headers or {})})
    return JSONResponse(body, status, dict(headers or {}))


def scrobbled(action: str, entry: Entry, progress: float, history_id: int = 0) -> Response:
    sharing = {"twitter": False, "mastodon": False, "tumblr": False}
    told = {"id": history_id, "action": action, "progress": progress, "sharing": sharing}
    return answer({**told, **entry.wire()}, 201)


def paged(rows: list[Any], ask: Ask, default: int | None, *, loses: int = 0) -> Response:
    """One page and its headers; `default` None: everything, unless a page was asked for.

    `loses`: so many of the rows are missing, and counted nevertheless.
    """
    asked = {name: ask.query[name] for name in ("page", "limit") if ask.query.get(name, "").isdigit()}
    if default is None and not asked:
        return answer(rows)
    limit = max(1, min(int(asked.get("limit", default or PAGE)), LARGEST_PAGE))
    page = max(1, int(asked.get("page", 1)))
    headers = {
        "X-Pagination-Page": str(page),
        "X-Pagination-Limit": str(limit),
        "X-Pagination-Page-Count": str(-(-len(rows) // limit)),
        "X-Pagination-Item-Count": str(len(rows)),
    }
    return answer(rows[loses:][(page - 1) * limit : page * limit], headers=headers)


def count(leaves: list[Leaf], groups: tuple[str, ...] = tuple(GROUPS)) -> dict[str, int]:
    return {group: sum(leaf.entry is not None and leaf.group == group for leaf in leaves) for group in groups}


def named(body: Json) -> int:
    """How many items a sync call names, each episode of a show counted."""
    shows = body.get("shows") or ()
    inside = [
        len(season.get("episodes") or (None,)) for show in shows for season in show.get("seasons") or (show,)
    ]
    return sum(inside) + sum(len(body.get(group) or ()) for group in ("movies", "seasons", "episodes", "ids"))


def by_show(rows: list[Json]) -> list[Json]:
    """Collected episodes as `/sync/collection/shows` lists them."""
    shows: dict[int, Json] = {}
    for row in rows:
        new = {"show": row["show"], "seasons": []}
        show = shows.setdefault(row["show"]["ids"]["trakt"], new)
        show["last_collected_at"] = show["last_updated_at"] = row["collected_at"]
        number, seasons = row["episode"]["season"], show["seasons"]
        if not any(season["number"] == number for season in seasons):
            seasons.append({"number": number, "episodes": []})
        season = next(season for season in seasons if season["number"] == number)
        season["episodes"].append({"number": row["episode"]["number"], "collected_at": row["collected_at"]})
    return list(shows.values())


def hit(entry: Entry, score: float) -> Json:
    return {"type": entry.kind, "score": score, **entry.wire()}


def titles_meet(entry: Entry, query: str, *, exact: bool) -> bool:
    titles = [str(title or "").casefold() for title in (entry.data.get("title"), *entry.aliases)]
    return query in titles if exact else bool(query) and any(query in title for title in titles)


def year_meets(entry: Entry, years: list[int]) -> bool:
    return not years or years[0] <= (entry.data.get("year") or 0) <= years[-1]


def key_of(row: Json) -> str:
    return f"{row['type']}:{row[row['type']]['ids']['trakt']}"


def described(user: User) -> Json:
    """A user's account as `/_control/state` shows it."""
    shown = asdict(user)
    for name in ("activities", "writes", "reads"):
        del shown[name]
    for name in ("playback", "ratings", "collection", "watchlist"):
        shown[name] = list(shown[name].values())
    return shown


def invented(kind: str, ids: Json, data: Json, show: Entry | None) -> int:
    """A Trakt id for what has none, the same for the same item every time."""
    named: list[Any] = sorted(ids.items())[:1] or [
        data.get(name) for name in ("title", "year", "season", "number")
    ]
    return 1_000_000 + zlib.crc32(f"{kind} {named} {show.key if show else ''}".encode())


def place_of(entry: Entry) -> tuple[Any, ...]:
    """What an episode or a season is found by inside its show."""
    season = entry.data.get("season")
    return (entry.kind, entry.show.key if entry.show else entry.key, season, entry.data.get("number"))


def checked(ids: Any) -> Json:
    """The ids of a request; 422 where one is of the wrong type."""
    ids = ids if isinstance(ids, dict) else {}
    for name, value in ids.items():
        wanted = ID_TYPES.get(name)
        if wanted and value not in (None, "") and (isinstance(value, bool) or not isinstance(value, wanted)):
            raise Refused(422, {"errors": {f"ids.{name}": [f"must be of type {wanted.__name__}"]}})
    return {name: value for name, value in ids.items() if value != ""}


def as_json(body: bytes) -> Json:
    try:
        value = json.loads(body or b"{}")
    except ValueError:
        raise Refused(400) from None
    if not isinstance(value, dict):
        raise Refused(400)
    return value


def is_json(request: Request) -> bool:
    return request.headers.get("content-type", "").split(";")[0].strip() == "application/json"


def iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def when(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise Refused(422, {"errors": {"date": ["must be ISO 8601"]}}) from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def bound(text: str | None, *, end: bool = False) -> datetime | None:
    """A day or a time; as an end, a day is all of it."""
    if not text:
        return None
    whole_day = timedelta(days=1) if end and len(text) == 10 else timedelta(0)
    return when(text.replace(" ", "+")) + whole_day


def within(at: datetime, first: datetime | None, last: datetime | None) -> bool:
    return (first is None or first <= at) and (last is None or at <= last)


if __name__ == "__main__":
    main(Trakt())
