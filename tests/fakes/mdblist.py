"""An MDBList on loopback: keeps what it is told, and answers as the contract says.

https://api.mdblist.com/docs/

`python -m tests.fakes.mdblist --port 0` runs it alone. It knows the films and shows that the fake Trakt knows
(`_catalogue`), by ids and by no title. Beside what every fake has (`_server`):

    POST /_control/user        {"name": "anna"} -> tokens; {"name": "anna", "key": true} -> her API key
    POST /_control/approve     {"user": "anna", "user_code": "..."}; without a code: the newest one
    POST /_control/deny        {"user_code": "..."}
    POST /_control/expire      {"name": "anna"}: her access tokens are no longer accepted
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from ._server import Call, Clock, Fake, main
from .trakt import Catalogue, Entry

Json = dict[str, Any]
SURE = ("tmdb", "imdb", "trakt")
WATCHED = 80
MOST_REPORTED, LARGEST_PAGE = 100, 1000
WINDOW = timedelta(seconds=300)
NO_SEASON = "Season not found in database"


@dataclass
class Switches:
    """What can be set at `/_control/switches`."""

    client_id: str = "fake-client-id"
    auto_approve: str | None = None  # the user as whom every device code is approved at once
    interval: int = 5
    device_life: int = 1800
    token_life: int = 2_592_000
    rotates: bool = True  # whether a renewal brings another refresh token
    start_marks: bool = True  # a start at 80 % or more marks as watched
    stop_repeats: bool = True  # a second stop at 80 % or more makes a second play
    near_minutes: float = 10  # a play this near to another collapses into it
    names_plays: bool = True  # whether an answer to dated marks has `plays`
    says_action: bool = False
    empty_scrobbles: bool = False  # whether a scrobble is answered by 204
    echoes: bool = True  # whether `not_found` says which
    tvdb_alone: bool = False
    nested_watchlist: bool = False  # whether a title of the watchlist is an object with `ids`
    last_play_clears: bool = False
    page: int = 80  # the longest page, whatever is asked for
    cursors: bool = True  # or by `offset` only
    repeats_cursor: bool = False
    daily_limit: int = 1000
    daily_reached: bool = False
    writes: int = 300
    reads: int = 1000


class Refused(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, body: Any = None, headers: Mapping[str, str] | None = None) -> None:
        self.response = JSONResponse({} if body is None else body, status, dict(headers or {}))


@dataclass
class Session:
    user: str
    access: str
    refresh: str
    ends: datetime


@dataclass
class Device:
    user_code: str
    ends: datetime
    user: str | None = None
    denied: bool = False
    used: bool = False
    polled: datetime | None = None


@dataclass
class Play:
    id: int
    entry: Entry
    at: datetime


@dataclass
class User:
    name: str
    plays: list[Play] = field(default_factory=list)
    states: dict[str, tuple[Entry, datetime]] = field(default_factory=dict)
    playback: dict[str, Json] = field(default_factory=dict)
    watching: Json | None = None
    ratings: dict[str, int] = field(default_factory=dict)
    collection: set[str] = field(default_factory=set)
    watchlist: dict[str, tuple[Entry, datetime]] = field(default_factory=dict)
    day: str = ""
    used: int = 0
    writes: list[datetime] = field(default_factory=list)
    reads: list[datetime] = field(default_factory=list)


@dataclass
class Ask:
    """A call that passed the door."""

    request: Request
    user: User
    body: Json
    now: datetime

    @property
    def query(self) -> Mapping[str, str]:
        return self.request.query_params


Handler = Callable[[Ask], Response]


class MDBList(Fake):
    """The server. `fake.sign_in("anna")` gives tokens; `fake.user("anna").plays` what she watched."""

    switches: Switches
    service = "mdblist"

    def __init__(self, *, clock: Clock | None = None, **switches: Any) -> None:
        super().__init__(clock=clock)
        self.switches = Switches(**switches)
        self.catalogue = Catalogue()
        self.users: dict[str, User] = {}
        self.keys: dict[str, str] = {}
        self.sessions: list[Session] = []
        self.devices: dict[str, Device] = {}
        self.ids = iter(range(77_001, 2**40))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if path.startswith("/oauth/") and not path.endswith("/"):
            scope = {**scope, "path": f"/without-slash{path}"}
        await super().__call__(scope, receive, send)

    def log(self, scope: Scope, body: bytes) -> Call:
        call = super().log(scope, body)
        if "form" in call.headers.get("content-type", ""):
            call.body = dict(parse_qsl(body.decode()))
        return call

    # People

    def user(self, name: str) -> User:
        return self.users.setdefault(name, User(name))

    def sign_in(self, name: str) -> Json:
        self.user(name)
        session = Session(
            name,
            secrets.token_hex(20),
            secrets.token_hex(20),
            self.clock.now() + timedelta(seconds=self.switches.token_life),
        )
        self.sessions.append(session)
        return self.wire(session)

    def key(self, name: str) -> str:
        key = secrets.token_hex(12)
        self.keys[key] = self.user(name).name
        return key

    def wire(self, session: Session) -> Json:
        tokens = {"access_token": session.access, "refresh_token": session.refresh}
        return {**tokens, "token_type": "Bearer", "scope": "write", "expires_in": self.switches.token_life}

    def expire(self, name: str) -> None:
        """Her access tokens are no longer accepted; they can still be renewed."""
        for session in self.sessions:
            if session.user == name:
                session.ends = self.clock.now()

    def revoke(self, name: str) -> None:
        self.sessions = [session for session in self.sessions if session.user != name]
        self.keys = {key: user for key, user in self.keys.items() if user != name}

    def approve(self, user: str, user_code: str | None = None) -> None:
        self.pending(user_code).user = user

    def deny(self, user_code: str | None = None) -> None:
        self.pending(user_code).denied = True

    def pending(self, user_code: str | None) -> Device:
        return [device for device in self.devices.values() if user_code in (None, device.user_code)][-1]

    def who(self, headers: Mapping[str, str]) -> str | None:
        token = headers.get("authorization", "").removeprefix("Bearer ")
        return next((session.user for session in self.sessions if session.access == token), None)

    def state(self) -> Json:
        return {
            "users": {
                user.name: {
                    "plays": [
                        {"play_id": play.id, "at": play.at.isoformat(), **play.entry.wire()}
                        for play in user.plays
                    ],
                    "states": sorted(user.states),
                    "ratings": user.ratings,
                    "collection": sorted(user.collection),
                    "used": user.used,
                }
                for user in self.users.values()
            }
        }

    # The door

    def routes(self) -> list[BaseRoute]:
        signed: list[tuple[str, str, Handler]] = [
            ("GET", "/user", self.show_user),
            ("POST", "/scrobble/{verb}", self.scrobble),
            ("GET", "/sync/playback", self.list_playback),
            ("GET", "/sync/watched", self.list_watched),
            ("POST", "/sync/watched", self.add_watched),
            ("POST", "/sync/watched/remove", self.remove_watched),
            ("POST", "/sync/watched/plays/remove", self.remove_plays),
            ("POST", "/sync/ratings", self.rate),
            ("POST", "/sync/ratings/remove", self.unrate),
            ("POST", "/sync/collection", self.collect),
            ("POST", "/sync/collection/remove", self.uncollect),
            ("GET", "/watchlist/items", self.list_wanted),
            ("POST", "/watchlist/items/add", self.add_wanted),
            ("POST", "/watchlist/items/remove", self.remove_wanted),
        ]
        return [
            *(Route(path, self.door(handler), methods=[verb]) for verb, path, handler in signed),
            Route("/oauth/device-authorization", self.open(self.device_code), methods=["POST"]),
            Route("/oauth/token", self.open(self.token), methods=["POST"]),
            Route("/oauth/revoke_token", self.open(self.revoke_token), methods=["POST"]),
            Route("/_control/user", self.control_user, methods=["POST"]),
            Route("/_control/approve", self.control_approve, methods=["POST"]),
            Route("/_control/deny", self.control_deny, methods=["POST"]),
            Route("/_control/expire", self.control_expire, methods=["POST"]),
        ]

    def door(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            user: User | None = None
            try:
                user = self.signed_in(request)
                self.count(user, request.method)
                body = as_json(await request.body()) if request.method == "POST" else {}
                response = handler(Ask(request, user, body, self.clock.now()))
            except Refused as refused:
                response = refused.response
            if user is not None:
                response.headers.update(self.limits(user))
            return response

        return endpoint

    def open(self, handler: Callable[[Json], Response]) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            form = dict(parse_qsl((await request.body()).decode()))
            try:
                return handler(form)
            except Refused as refused:
                return refused.response

        return endpoint

    def signed_in(self, request: Request) -> User:
        key = request.query_params.get("apikey")
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if key in self.keys:
            return self.user(self.keys[key])
        if key is not None or scheme.lower() != "bearer":
            raise Refused(403, {"error": "Invalid API key"})
        for session in self.sessions:
            if session.access == token and self.clock.now() < session.ends:
                return self.user(session.user)
        raise Refused(401, {"error": "Invalid or expired token"})

    def count(self, user: User, method: str) -> None:
        """The calls of the day, and those of five minutes."""
        now = self.clock.now()
        if user.day != f"{now:%F}":
            user.day, user.used = f"{now:%F}", 0
        if self.switches.daily_reached or user.used >= self.switches.daily_limit:
            user.used = self.switches.daily_limit
            wait = int((self.reset() - now).total_seconds())
            raise Refused(429, {"error": "Daily API limit reached"}, {"Retry-After": str(wait)})
        past, limit = (
            (user.reads, self.switches.reads) if method == "GET" else (user.writes, self.switches.writes)
        )
        past[:] = [when for when in past if now - when < WINDOW]
        if len(past) >= limit:
            wait = int((past[0] + WINDOW - now).total_seconds()) + 1
            raise Refused(429, {"error": "Too many requests"}, {"Retry-After": str(wait)})
        past.append(now)
        user.used += 1

    def reset(self) -> datetime:
        now = self.clock.now().astimezone(UTC)
        return now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)

    def limits(self, user: User) -> dict[str, str]:
        left = max(self.switches.daily_limit - user.used, 0)
        return {
            "X-RateLimit-Limit": str(self.switches.daily_limit),
            "X-RateLimit-Remaining": str(left),
            "X-RateLimit-Reset": str(int(self.reset().timestamp())),
        }

    def show_user(self, ask: Ask) -> Response:
        left = self.switches.daily_limit - ask.user.used
        limits = {"rate_limit": self.switches.daily_limit, "rate_limit_remaining": left}
        named = {"user_id": 4242, "username": ask.user.name, "is_supporter": False, "plan": "Free"}
        return JSONResponse({**named, **limits, "rate_limit_reset": int(self.reset().timestamp())})

    # Items

    def find(self, kind: Any, item: Any) -> Entry | None:
        """By ids alone; one of TheTVDB says nothing by itself."""
        ids = item.get("ids") if isinstance(item, dict) else None
        known = {name: value for name, value in (ids or {}).items() if name in (*SURE, "tvdb")}
        if kind != "episode" and not self.switches.tvdb_alone:
            known.pop("tvdb", None)
        return self.catalogue.by_ids(kind, known)

    def find_part(self, show: Json, season: Any, episode: Any) -> Entry | None:
        """An episode by its own ids, else by its numbers in the show."""
        said = episode if isinstance(episode, dict) else {"number": episode}
        own = self.find("episode", said)
        if own is not None:
            return own
        parent, number = self.find("show", show), season.get("number") if isinstance(season, dict) else season
        if parent is None or number is None or said.get("number") is None:
            return None
        return self.catalogue.part("episode", parent, season=number, number=said["number"])

    def scrobbled(self, body: Json) -> list[Entry]:
        """The items of a scrobble; a show without its season and episode is all that it has."""
        if movie := body.get("movie"):
            found = self.find("movie", movie)
            return [found] if found else []
        show = body.get("show")
        if not isinstance(show, dict):
            raise Refused(400, {"error": "movie or show is required"})
        season = show.get("season")
        if season is None:
            parent = self.find("show", show)
            return self.catalogue.of(parent) if parent else []
        episode = season.get("episode") if isinstance(season, dict) else show.get("episode")
        part = self.find_part(show, season, episode)
        if part is None and self.find("show", show) is not None:
            raise Refused(404, {"error": NO_SEASON})
        return [part] if part else []

    def leaves(self, body: Json) -> Iterator[tuple[str, Json, Json, list[Entry]]]:
        """Each item of a sync call: its group, an echo of it, what was said of it, what it means."""
        for movie in body.get("movies", ()):
            found = self.find("movie", movie)
            yield "movies", {"ids": movie.get("ids", {})}, movie, [found] if found else []
        for episode in body.get("episodes", ()):
            known = {"ids": {"tmdb": (episode.get("ids") or {}).get("tmdb")}}
            found = self.find("episode", known)
            yield "episodes", {"ids": episode.get("ids", {})}, episode, [found] if found else []
        for show in body.get("shows", ()):
            parent = self.find("show", show)
            if "seasons" not in show:
                yield "shows", {"ids": show.get("ids", {})}, show, [parent] if parent else []
            for season in show.get("seasons", ()):
                if "episodes" not in season:
                    yield from self.season_leaf(show, season, parent)
                for episode in season.get("episodes", ()):
                    part = self.find_part(show, season.get("number"), episode)
                    numbered = [
                        {"number": season.get("number"), "episodes": [{"number": episode.get("number")}]}
                    ]
                    echo = {"ids": show.get("ids", {}), "seasons": numbered}
                    yield "shows", echo, episode, [part] if part else []

    def season_leaf(
        self, show: Json, season: Json, parent: Entry | None
    ) -> Iterator[tuple[str, Json, Json, list[Entry]]]:
        number = season.get("number")
        found = self.catalogue.part("season", parent, number=number) if parent else None
        echo = {"ids": show.get("ids", {}), "seasons": [{"number": number}]}
        yield "shows", echo, season, [found] if found else []

    def told(self, body: Json, entries: list[Entry]) -> list[Entry]:
        """What a mark of these marks: of a show or a season every episode."""
        found = []
        for entry in entries:
            if entry.kind in ("show", "season"):
                show = entry if entry.kind == "show" else entry.show
                parts = self.catalogue.of(show) if show else []
                number = entry.data.get("number")
                found += [one for one in parts if entry.kind == "show" or one.data["season"] == number]
            else:
                found.append(entry)
        return found

    # Scrobbles

    def scrobble(self, ask: Ask) -> Response:
        verb, progress = ask.request.path_params["verb"], ask.body.get("progress")
        if verb not in ("start", "pause", "stop"):
            raise Refused(404)
        if isinstance(progress, bool) or not isinstance(progress, int | float) or not 0 <= progress <= 100:
            raise Refused(400, {"error": "progress must be between 0 and 100"})
        entries = self.scrobbled(ask.body)
        if not entries:
            raise Refused(404, {"error": "Item not found"})
        marks = progress >= WATCHED and (verb == "stop" or (verb == "start" and self.switches.start_marks))
        for entry in entries:
            if marks:
                self.mark_live(ask.user, entry, ask.now)
            elif verb == "start":
                ask.user.watching = {"progress": progress, **entry.wire()}
            else:
                ask.user.playback[entry.key] = {"progress": progress, "at": ask.now, "entry": entry}
        if self.switches.empty_scrobbles:
            return Response(status_code=204)
        done = "scrobble" if marks else "start" if verb == "start" else "pause"
        return JSONResponse({"action": done} if self.switches.says_action else {}, 201)

    def mark_live(self, user: User, entry: Entry, now: datetime) -> None:
        user.watching = None
        user.playback.pop(entry.key, None)
        if self.switches.stop_repeats or self.near(user, entry, now) is None:
            self.remember(user, entry, now)

    def list_playback(self, ask: Ask) -> Response:
        rows = [
            {
                "id": 900 + number,
                "progress": f"{held['progress']:.2f}",
                "paused_at": wire_time(held["at"]),
                "type": held["entry"].kind,
                **held["entry"].wire(),
            }
            for number, held in enumerate(ask.user.playback.values())
        ]
        return JSONResponse(rows)

    # The history

    def remember(self, user: User, entry: Entry, at: datetime) -> Play:
        play = Play(next(self.ids), entry, at)
        user.plays.append(play)
        user.states[entry.key] = (entry, max(at, user.states.get(entry.key, (entry, at))[1]))
        return play

    def near(self, user: User, entry: Entry, at: datetime) -> Play | None:
        window = timedelta(minutes=self.switches.near_minutes)
        mine = [play for play in user.plays if play.entry is entry and abs(play.at - at) <= window]
        return min(mine, key=lambda play: abs(play.at - at), default=None)

    def add_watched(self, ask: Ask) -> Response:
        leaves, reports = list(self.leaves(ask.body)), ask.query.get("report_added") == "true"
        if reports and len(leaves) > MOST_REPORTED:
            raise Refused(400, {"error": "at most 100 items"})
        if any(moment(said.get("watched_at", "2000-01-01")) is None for _, _, said, _ in leaves):
            raise Refused(400, {"error": "watched_at is no date"})
        added, updated, plays, lost = counts(), counts(), [], Misses()
        for group, echo, said, found in leaves:
            if not found:
                lost.add(group, echo if self.switches.echoes else {})
            at = moment(said.get("watched_at")) or ask.now
            for entry in self.told(ask.body, found):
                near = self.near(ask.user, entry, at)
                play = near or self.remember(ask.user, entry, at)
                (added if reports and near is None else updated)[f"{entry.kind}s"] += 1
                named = {"play_id": play.id, "watched_at": wire_time(play.at), "added": near is None}
                plays.append({"type": entry.kind, **nested(entry), **named})
        body = {"added": added, "updated": updated, "existing": {}, "not_found": lost.groups}
        return JSONResponse({**body, **({"plays": plays} if reports and self.switches.names_plays else {})})

    def remove_watched(self, ask: Ask) -> Response:
        """Takes the state away, and leaves the plays."""
        removed, lost = counts(), Misses()
        for group, echo, _, found in self.leaves(ask.body):
            if not found:
                lost.add(group, echo)
            for entry in self.told(ask.body, found):
                removed[f"{entry.kind}s"] += ask.user.states.pop(entry.key, None) is not None
        return JSONResponse({"removed": removed, "not_found": lost.groups})

    def remove_plays(self, ask: Ask) -> Response:
        wanted = ask.body.get("play_ids")
        if not isinstance(wanted, list) or not wanted:
            raise Refused(400, {"error": "play_ids is required"})
        gone = [play for play in ask.user.plays if play.id in wanted]
        ask.user.plays = [play for play in ask.user.plays if play.id not in wanted]
        for play in gone:
            if self.switches.last_play_clears and all(one.entry is not play.entry for one in ask.user.plays):
                ask.user.states.pop(play.entry.key, None)
        removed = [play.id for play in gone]
        return JSONResponse({"removed": removed, "not_found": [one for one in wanted if one not in removed]})

    def list_watched(self, ask: Ask) -> Response:
        since = moment(ask.query.get("since", "")) or datetime(1970, 1, 1, tzinfo=UTC)
        wanted = ask.query.get("mediatype", "")
        if ask.query.get("plays") != "all":
            return JSONResponse(self.states_of(ask.user))
        plays = sorted(
            (play for play in ask.user.plays if play.at >= since and wanted in ("", play.entry.kind)),
            key=lambda play: (play.at, play.id),
            reverse=True,
        )
        begin, left = int(ask.query.get("offset", 0)), plays
        if cursor := ask.query.get("cursor"):
            place = json.loads(base64.urlsafe_b64decode(cursor))
            left = [play for play in plays if (play.at.timestamp(), play.id) < tuple(place)]
        page = left[begin:][: min(int(ask.query.get("limit", 100)), LARGEST_PAGE, self.switches.page)]
        more = len(left[begin:]) > len(page)
        paging: Json = {"has_more": more}
        if more and self.switches.cursors:
            last = [page[-1].at.timestamp(), page[-1].id]
            place = json.dumps([2**40, 2**40] if self.switches.repeats_cursor else last).encode()
            paging["next_cursor"] = base64.urlsafe_b64encode(place).decode()
        rows = {
            f"{kind}s": [row(play) for play in page if play.entry.kind == kind]
            for kind in ("movie", "episode")
        }
        return JSONResponse({**rows, "shows": [], "seasons": [], "pagination": paging})

    def states_of(self, user: User) -> Json:
        """One row an item, without the id of a play."""
        rows: dict[str, list[Json]] = {"movies": [], "shows": [], "seasons": [], "episodes": []}
        for entry, at in user.states.values():
            rows[f"{entry.kind}s"].append({"last_watched_at": wire_time(at), **nested(entry)})
        return {**rows, "pagination": {"has_more": False}}

    # Ratings and the collection

    def rate(self, ask: Ask) -> Response:
        for _, _, said, _ in self.leaves(ask.body):
            if said.get("rating") not in range(1, 11):
                raise Refused(400, {"error": "rating must be 1 to 10"})

        def keep(entry: Entry, said: Json) -> bool:
            known = entry.key in ask.user.ratings
            ask.user.ratings[entry.key] = said["rating"]
            return not known

        return self.changed(ask, keep, "added", "updated")

    def unrate(self, ask: Ask) -> Response:
        return self.changed(ask, lambda entry, said: ask.user.ratings.pop(entry.key, 0) > 0, "removed")

    def collect(self, ask: Ask) -> Response:
        def keep(entry: Entry, said: Json) -> bool:
            known = entry.key in ask.user.collection
            ask.user.collection.add(entry.key)
            return not known

        return self.changed(ask, keep, "added", "existing")

    def uncollect(self, ask: Ask) -> Response:
        def drop(entry: Entry, said: Json) -> bool:
            known = entry.key in ask.user.collection
            ask.user.collection.discard(entry.key)
            return known

        return self.changed(ask, drop, "removed")

    def changed(
        self, ask: Ask, change: Callable[[Entry, Json], bool], word: str, otherwise: str = ""
    ) -> Response:
        done, rest, lost = counts(), counts(), Misses()
        for group, echo, said, found in self.leaves(ask.body):
            if not found:
                lost.add(group, echo)
            for entry in found:
                (done if change(entry, said) else rest)[f"{entry.kind}s"] += 1
        body = {word: done, "not_found": lost.groups}
        return JSONResponse({**body, **({otherwise: rest} if otherwise else {})})

    # The watchlist

    def list_wanted(self, ask: Ask) -> Response:
        wanted = list(ask.user.watchlist.values())
        begin = int(ask.query.get("cursor") or ask.query.get("offset") or 0)
        end = begin + min(int(ask.query.get("limit", 100)), self.switches.page)
        rows: dict[str, list[Json]] = {"movies": [], "shows": []}
        for entry, at in wanted[begin:end]:
            named = {"mediatype": entry.kind, "title": entry.data.get("title")}
            dated = {"release_year": entry.data.get("year"), "watchlist_at": wire_time(at)}
            ids = nested(entry)[entry.kind]["ids"]
            rows[f"{entry.kind}s"].append({"id": ids.get("tmdb"), "ids": ids, **named, **dated})
        more = end < len(wanted)
        return JSONResponse(
            {**rows, "pagination": {"has_more": more, "next_cursor": str(end) if more else None}}
        )

    def titles(self, ask: Ask, lost: Misses) -> Iterator[Entry]:
        for group, kind in (("movies", "movie"), ("shows", "show")):
            for title in ask.body.get(group, ()):
                found = self.find(kind, title if self.switches.nested_watchlist else {"ids": title})
                if found is None:
                    lost.add(group, title)
                else:
                    yield found

    def add_wanted(self, ask: Ask) -> Response:
        added, existing, lost = counts(), counts(), Misses()
        for entry in self.titles(ask, lost):
            (existing if entry.key in ask.user.watchlist else added)[f"{entry.kind}s"] += 1
            ask.user.watchlist.setdefault(entry.key, (entry, ask.now))
        return JSONResponse({"added": added, "existing": existing, "not_found": lost.groups})

    def remove_wanted(self, ask: Ask) -> Response:
        removed, lost = counts(), Misses()
        for entry in self.titles(ask, lost):
            removed[f"{entry.kind}s"] += ask.user.watchlist.pop(entry.key, None) is not None
        return JSONResponse({"removed": removed, "not_found": lost.groups})

    # OAuth

    def device_code(self, form: Json) -> Response:
        if form.get("client_id") != self.switches.client_id:
            raise Refused(401, {"error": "invalid_client"})
        code, user_code = secrets.token_hex(16), secrets.token_hex(4).upper()
        ends = self.clock.now() + timedelta(seconds=self.switches.device_life)
        self.devices[code] = Device(user_code, ends, self.switches.auto_approve)
        shown = {"user_code": user_code, "verification_uri": "https://mdblist.com/oauth/device/"}
        times = {"expires_in": self.switches.device_life, "interval": self.switches.interval}
        return JSONResponse({"device_code": code, **shown, **times})

    def token(self, form: Json) -> Response:
        if form.get("client_id") != self.switches.client_id:
            raise Refused(401, {"error": "invalid_client"})
        if form.get("grant_type") == "refresh_token":
            return self.renew(form)
        device = self.devices.get(form.get("device_code", ""))
        if device is None or device.used:
            raise Refused(400, {"error": "device_not_found"})
        now, before = self.clock.now(), device.polled
        device.polled = now
        if device.denied:
            raise Refused(400, {"error": "access_denied"})
        if now >= device.ends:
            raise Refused(400, {"error": "expired_token"})
        if before is not None and now - before < timedelta(seconds=self.switches.interval):
            raise Refused(400, {"error": "slow_down"})
        if device.user is None:
            raise Refused(400, {"error": "authorization_pending"})
        device.used = True
        return JSONResponse(self.sign_in(device.user))

    def renew(self, form: Json) -> Response:
        for session in self.sessions:
            if session.refresh == form.get("refresh_token"):
                session.access = secrets.token_hex(20)
                session.ends = self.clock.now() + timedelta(seconds=self.switches.token_life)
                if self.switches.rotates:
                    session.refresh = secrets.token_hex(20)
                    return JSONResponse(self.wire(session))
                return JSONResponse({**self.wire(session), "refresh_token": None})
        raise Refused(400, {"error": "invalid_grant"})

    def revoke_token(self, form: Json) -> Response:
        self.sessions = [one for one in self.sessions if one.access != form.get("token")]
        return JSONResponse({})

    # Controls

    async def control_user(self, request: Request) -> Response:
        wanted = await request.json()
        name = wanted["name"]
        return JSONResponse({"key": self.key(name)} if wanted.get("key") else self.sign_in(name))

    async def control_approve(self, request: Request) -> Response:
        wanted = await request.json()
        self.approve(wanted["user"], wanted.get("user_code"))
        return JSONResponse({})

    async def control_deny(self, request: Request) -> Response:
        self.deny((await request.json()).get("user_code"))
        return JSONResponse({})

    async def control_expire(self, request: Request) -> Response:
        self.expire((await request.json())["name"])
        return JSONResponse({})


class Misses:
    """The items that were not found, by their groups."""

    def __init__(self) -> None:
        self.groups: dict[str, list[Json]] = {"movies": [], "shows": [], "seasons": [], "episodes": []}

    def add(self, group: str, echo: Json) -> None:
        self.groups[group].append(echo)


def counts() -> dict[str, int]:
    return dict.fromkeys(("movies", "shows", "seasons", "episodes"), 0)


def row(play: Play) -> Json:
    return {"play_id": play.id, "last_watched_at": wire_time(play.at), **nested(play.entry)}


def nested(entry: Entry) -> Json:
    """A film, or an episode with its show inside it, with the ids that the service gives out."""
    data = {**entry.data, "ids": {name: value for name, value in entry.data["ids"].items() if name != "slug"}}
    if entry.show is None:
        return {entry.kind: data}
    return {entry.kind: {**data, "name": data.get("title"), "show": nested(entry.show)["show"]}}


def wire_time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment(value: Any) -> datetime | None:
    try:
        at = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def as_json(body: bytes) -> Json:
    try:
        value = json.loads(body or b"{}")
    except ValueError:
        raise Refused(400, {"error": "Invalid JSON"}) from None
    if not isinstance(value, dict):
        raise Refused(400, {"error": "Invalid JSON"})
    return value


if __name__ == "__main__":
    main(MDBList())
