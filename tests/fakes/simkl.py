"""A Simkl on loopback: keeps what it is told, and answers as the contract says.

https://api.simkl.org and https://simkl.docs.apiary.io

`python -m tests.fakes.simkl --port 0` runs it alone. Any item exists until the switch `strict` is
set; then only what was added to the catalogue does. What a client should not have done is written
down in `complaints`. Beside what every fake has (`_server`):

    POST /_control/user        {"name": "anna"} -> tokens, ready to use
    POST /_control/approve     {"user": "anna", "user_code": "..."}; without a code: the newest one
    POST /_control/revoke      {"name": "anna"}: her tokens are no longer accepted
    POST /_control/catalogue   {"items": [{"type": "movie" | "tv" | "anime", "title", "year", "ids", "runtime",
                                 "episodes": [{"season", "number", "tvdb_season", "tvdb_number", "ids"}]}]}
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from ._server import Clock, Fake, main

Json = dict[str, Any]

NAMESPACES = ("simkl", "imdb", "tmdb", "tvdb", "mal", "anidb", "anilist", "kitsu", "livechart", "traktslug")
EPISODE_NAMESPACES = ("simkl", "tvdb", "anidb", "hulu", "crunchyroll")
TYPES: Mapping[str, tuple[str, ...]] = {
    "movie": ("movie",),
    "show": ("tv", "anime"),  # an anime named as a show is found all the same
    "anime": ("anime", "tv"),
}
GROUPS: Mapping[str, str] = {"movie": "movies", "tv": "tv_shows", "anime": "anime"}
LISTED: Mapping[str, str] = {"movie": "movies", "tv": "shows", "anime": "anime"}
RUNTIMES: Mapping[str, int] = {"movie": 90, "tv": 45, "anime": 25}
STATUSES = ("plantowatch", "watching", "completed", "hold", "dropped")
WATCHED = 80
WINDOW = timedelta(hours=1)
FIRST_ID = 2**53 + 1
"""Beyond what a double can hold, so that a client that goes through one is found out."""

PENDING, SLOW_DOWN, EXPIRED = "Authorization pending", "Slow down", "Code expired"


@dataclass
class Switches:
    """What can be set at `/_control/switches`."""

    strict: bool = False  # only what is in the catalogue exists
    client_id: str = "fake-client-id"
    quota_spent: bool = False  # the app's total of calls is used up: 412 to everything
    auto_approve: str | None = None  # the user as whom every PIN is approved at once
    interval: int = 5
    pin_life: int = 900
    locked: list[str] = field(default_factory=list)  # users of whom another scrobble holds the lock
    rate_limit: bool = False  # one POST a second for each user
    created: int = 201  # the older documentation says 200 for POST /sync/history
    counts_repeats: bool = True  # whether `added` counts what was there already


class Refused(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, error: str = "", message: str = "", body: Any = None) -> None:
        said = {"error": error, "code": status, "message": message} if error else None
        self.response = answer(said if body is None else body, status)


@dataclass(frozen=True, kw_only=True)
class Episode:
    """A place in a show: as Simkl counts it, and (differently for anime) as TheTVDB does."""

    season: int
    number: int
    tvdb: tuple[int, int]
    ids: Mapping[str, str] = field(default_factory=dict)
    title: str | None = None


@dataclass(eq=False)
class Entry:
    """A film, a show or an anime of the catalogue."""

    type: str
    simkl: int
    title: str
    year: int | None
    ids: dict[str, str]
    runtime: int
    episodes: list[Episode] = field(default_factory=list)
    aliases: tuple[str, ...] = ()

    def is_called(self, query: str) -> bool:
        return any(query in title.casefold() for title in (self.title, *self.aliases))

    def wire(self, *, searched: bool = False) -> Json:
        """As it goes over the wire: every id but Simkl's own is a text. A search says `simkl_id` and no other."""
        own = {"simkl_id" if searched else "simkl": self.simkl, "slug": f"{self.type}-{self.simkl}"}
        kind = {} if self.type == "tv" else {"anime_type": "tv" if self.type == "anime" else None}
        ids = own if searched else {**own, **self.ids}
        return {"title": self.title, "year": self.year, **kind, "ids": ids}


@dataclass(frozen=True)
class Seen:
    """What can be watched: a film, or one episode."""

    entry: Entry
    episode: Episode | None = None

    @property
    def key(self) -> str:
        place = "" if self.episode is None else f":{self.episode.season}:{self.episode.number}"
        return f"{self.entry.type}:{self.entry.simkl}{place}"

    def wire(self, *, playback: bool = False) -> Json:
        item = {self.entry.type.replace("tv", "show"): self.entry.wire()}
        if self.episode is None:
            return item
        one = self.episode
        number = {"episode" if playback else "number": one.number}
        mapped = {"tvdb_season": one.tvdb[0], "tvdb_number": one.tvdb[1]}
        counted = mapped if playback or self.entry.type == "anime" else {}
        return {**item, "episode": {"season": one.season, **number, "title": one.title, **counted}}


class Catalogue:
    """The items that exist, found by any of their ids, or by title."""

    def __init__(self, switches: Switches) -> None:
        self.switches = switches
        self.entries: list[Entry] = []

    def add(self, type: str, title: str, year: int | None = None, **more: Any) -> Entry:  # noqa: A002 - Simkl's word
        ids = {name: str(value) for name, value in (more.get("ids") or {}).items() if name in NAMESPACES}
        simkl = int(ids.pop("simkl", 1000 + len(self.entries)))
        entry = Entry(type, simkl, title, year, ids, more.get("runtime") or RUNTIMES[type])
        entry.episodes = [episode_of(said) for said in more.get("episodes") or ()]
        entry.aliases = tuple(more.get("aliases") or ())
        self.entries.append(entry)
        return entry

    def find(self, key: str, said: Any, *, invent: bool = True) -> Entry | None:
        """What an item under this key ("movie", "show", "anime") names; invented in an open world."""
        said = said if isinstance(said, dict) else {}
        given = said.get("ids") if isinstance(said.get("ids"), dict) else {}
        ids = {name: str(value) for name, value in given.items() if name in NAMESPACES and value}
        for entry in self.of(key):
            known = {**entry.ids, "simkl": str(entry.simkl)}
            if any(known.get(name) == value for name, value in ids.items()):
                return entry
        title, year = said.get("title"), said.get("year")
        if title and not ids:
            for entry in self.of(key):
                if entry.title.casefold() == str(title).casefold() and year in (None, entry.year):
                    return entry
        if self.switches.strict or not invent or not (ids or title):
            return None
        return self.add("tv" if key == "show" else key, title or f"{key} {ids}", year, ids=ids)

    def of(self, key: str) -> list[Entry]:
        return [entry for entry in self.entries if entry.type in TYPES[key]]

    def part(self, entry: Entry, season: Any, number: Any) -> Episode | None:
        """By TheTVDB's numbers, as a show's are sent, else by Simkl's own."""
        place = (1 if season is None else season, number)
        for one in entry.episodes:
            if place == (one.tvdb if season is not None else (one.season, one.number)):
                return one
        if self.switches.strict or not all(isinstance(part, int) for part in place):
            return None
        made = Episode(season=place[0], number=place[1], tvdb=place)
        entry.episodes.append(made)
        return made

    def by_episode(self, ids: Any) -> Seen | None:
        """An episode by its own ids."""
        given = ids if isinstance(ids, dict) else {}
        wanted = {(name, str(value)) for name, value in given.items() if name in EPISODE_NAMESPACES and value}
        for entry in self.entries:
            for one in entry.episodes:
                if wanted & set(one.ids.items()):
                    return Seen(entry, one)
        if self.switches.strict or not wanted:
            return None
        entry = self.add("tv", f"The show of {sorted(wanted)}")
        entry.episodes.append(Episode(season=1, number=1, tvdb=(1, 1), ids=dict(wanted)))
        return Seen(entry, entry.episodes[0])


@dataclass
class Pin:
    """A PIN sign-in under way."""

    user_code: str
    began: datetime
    user: str | None = None
    polled: datetime | None = None
    used: bool = False


@dataclass
class User:
    """An account and all that is in it. One play per item: `history` is by item."""

    name: str
    number: int
    history: dict[str, Json] = field(default_factory=dict)
    scrobbled: dict[str, datetime] = field(default_factory=dict)
    playback: dict[str, Json] = field(default_factory=dict)
    ratings: dict[str, Json] = field(default_factory=dict)
    lists: dict[str, str] = field(default_factory=dict)
    listed_at: dict[str, datetime] = field(default_factory=dict)  # when each was put on a list
    changed: dict[str, datetime] = field(default_factory=dict)  # when, by what is on the lists
    watching: Json | None = None
    activities: dict[tuple[str, str], datetime] = field(default_factory=dict)
    posted: datetime | None = None


@dataclass
class Ask:
    """A call that passed the door: whose it is, what it says, when."""

    request: Request
    user: User
    body: Any
    now: datetime

    @property
    def query(self) -> Mapping[str, str]:
        return self.request.query_params

    def path(self, name: str, default: Any = None) -> Any:
        return self.request.path_params.get(name, default)


@dataclass
class Leaf:
    """One thing that a sync call names: in which group, the item as it was said, and what was found."""

    group: str
    said: Json
    own: Json
    found: Seen | None


def is_whole(leaf: Leaf, user: User) -> bool:
    """Whether this means a title with all that is of it: a show without its parts, or a film without a play."""
    if leaf.group == "movies":
        return leaf.found is not None and leaf.found.key not in user.history
    return not any(leaf.said.get(name) for name in ("seasons", "episodes", "status"))


Handler = Callable[[Ask], Response]
NOBODY = User("nobody", 0)


class Simkl(Fake):
    """The server. `fake.sign_in("anna")` gives tokens; `fake.user("anna").history` what she watched."""

    switches: Switches

    service = "simkl"

    def __init__(self, *, clock: Clock | None = None, **switches: Any) -> None:
        super().__init__(clock=clock)
        self.switches = Switches(**switches)
        self.catalogue = Catalogue(self.switches)
        self.users: dict[str, User] = {}
        self.tokens: dict[str, str] = {}
        self.pins: list[Pin] = []
        self.complaints: list[str] = []
        self.ids = iter(range(FIRST_ID, 2**62))

    # People and their tokens

    def user(self, name: str) -> User:
        return self.users.setdefault(name, User(name, 51 + len(self.users)))

    def sign_in(self, name: str) -> Json:
        token = secrets.token_hex(32)
        self.tokens[token] = self.user(name).name
        return {"access_token": token}

    def revoke(self, name: str) -> None:
        """She has removed the app from her account: her tokens are no longer accepted."""
        self.tokens = {token: user for token, user in self.tokens.items() if user != name}

    def approve(self, user: str, user_code: str | None = None) -> None:
        found = [pin for pin in self.pins if user_code in (None, pin.user_code)]
        if not found:
            raise Refused(404, "id_err")
        found[-1].user = user

    def who(self, headers: Mapping[str, str]) -> str | None:
        return self.tokens.get(headers.get("authorization", "").removeprefix("Bearer "))

    def state(self) -> Json:
        users = {user.name: described(user) for user in self.users.values()}
        return {"users": users, "complaints": self.complaints, "signed_in": len(self.tokens)}

    # The door

    def routes(self) -> list[BaseRoute]:
        signed: list[tuple[str, str, Handler]] = [
            ("POST", "/scrobble/{verb}", self.scrobble),
            ("GET", "/sync/playback", self.list_playback),
            ("GET", "/sync/playback/{group}", self.list_playback),
            ("DELETE", "/sync/playback/{id:int}", self.remove_playback),
            ("*", "/sync/activities", self.show_activities),
            ("GET", "/sync/all-items", self.all_items),
            ("GET", "/sync/all-items/{type}", self.all_items),
            ("GET", "/sync/all-items/{type}/{status}", self.all_items),
            ("POST", "/sync/history", self.add_history),
            ("POST", "/sync/history/remove", self.remove_history),
            ("POST", "/sync/ratings", self.add_ratings),
            ("POST", "/sync/ratings/remove", self.remove_ratings),
            ("POST", "/sync/add-to-list", self.add_to_list),
            ("POST", "/sync/watched", self.watched),
            ("*", "/users/settings", self.settings),
        ]
        public: list[tuple[str, str, Handler]] = [
            ("GET", "/oauth/pin", self.begin_pin),
            ("GET", "/oauth/pin/{code}", self.poll_pin),
            ("GET", "/search/id", self.search_id),
            ("GET", "/search/{type}", self.search_text),
        ]
        controls: list[tuple[str, Callable[[Json], Response]]] = [
            ("/_control/user", lambda body: answer(self.sign_in(body["name"]))),
            ("/_control/approve", self.control_approve),
            ("/_control/revoke", self.control_revoke),
            ("/_control/catalogue", self.control_catalogue),
        ]
        return [
            *(self.route(verb, path, handler, signed=True) for verb, path, handler in signed),
            *(self.route(verb, path, handler, signed=False) for verb, path, handler in public),
            *(Route(path, controlled(handler), methods=["POST"]) for path, handler in controls),
            self.route("*", "/{path:path}", lost, signed=False),
        ]

    def route(self, method: str, path: str, handler: Handler, *, signed: bool) -> Route:
        async def endpoint(request: Request) -> Response:
            try:
                return handler(self.let_in(request, await request.body(), signed=signed))
            except Refused as refused:
                return refused.response

        methods = ["GET", "POST", "PUT", "DELETE"] if method == "*" else [method]
        return Route(path, endpoint, methods=methods)

    def let_in(self, request: Request, body: bytes, *, signed: bool) -> Ask:
        """The app is checked before the person, on every route."""
        self.judge(request)
        given = request.query_params.get("client_id") or request.headers.get("simkl-api-key")
        if self.switches.quota_spent or given != self.switches.client_id:
            raise Refused(412, "client_id_failed", "Wrong client_id or its limit is reached")
        user = self.signed_in(request) if signed else NOBODY
        self.pace(user, request.method)
        now = self.clock.now()
        self.end_checkin(user, now)
        return Ask(request, user, as_json(body) if request.method == "POST" and body else {}, now)

    def judge(self, request: Request) -> None:
        """Writes down what every call has to carry and this one does not."""
        wanted = ("client_id", "app-name", "app-version")
        missing = [name for name in wanted if not request.query_params.get(name)]
        if not request.headers.get("user-agent"):
            missing.append("User-Agent")
        where = f"{request.method} {request.url.path}"
        self.complaints += [f"{where} without {name}" for name in missing]

    def signed_in(self, request: Request) -> User:
        name = self.who(request.headers)
        if name is None:
            raise Refused(401, "user_token_failed", "Token is not valid or was revoked")
        return self.user(name)

    def pace(self, user: User, method: str) -> None:
        if not self.switches.rate_limit or user is NOBODY or method != "POST":
            return
        now = self.clock.now()
        if user.posted is not None and now - user.posted < timedelta(seconds=1):
            raise Refused(429, "rate_limit", "Too many requests")
        user.posted = now

    # The sign-in

    def begin_pin(self, ask: Ask) -> Response:
        code = secrets.token_hex(3).upper()[:5]
        self.pins.append(Pin(code, ask.now, self.switches.auto_approve))
        page = "https://simkl.com/pin"
        told = {"device_code": "DEVICE_CODE", "user_code": code}
        pages = {"verification_url": page, "verification_uri": page}
        times = {"expires_in": self.switches.pin_life, "interval": self.switches.interval}
        return answer({"result": "OK", **told, **pages, **times})

    def poll_pin(self, ask: Ask) -> Response:
        """Always 200; what happens to a code that is unknown, used or too old isn't documented."""
        pin = next((pin for pin in self.pins if pin.user_code == ask.path("code")), None)
        if pin is None:
            raise Refused(404, "id_err", "Unknown code")
        if message := self.why_not(pin, ask.now):
            return answer({"result": "KO", "message": message})
        pin.used = True
        return answer({"result": "OK", **self.sign_in(str(pin.user))})

    def why_not(self, pin: Pin, now: datetime) -> str | None:
        before, pin.polled = pin.polled, now
        if pin.used or now - pin.began > timedelta(seconds=self.switches.pin_life):
            return EXPIRED
        if before is not None and now - before < timedelta(seconds=self.switches.interval - 0.5):
            return SLOW_DOWN
        return PENDING if pin.user is None else None

    def settings(self, ask: Ask) -> Response:
        account = {"id": ask.user.number, "timezone": "Europe/Paris", "type": "free"}
        return answer({"user": {"name": ask.user.name}, "account": account, "connections": {}})

    # Scrobble

    def scrobble(self, ask: Ask) -> Response:
        verbs = {"start": self.start, "pause": self.pause, "stop": self.stop, "checkin": self.checkin}
        verb = verbs.get(ask.path("verb"))
        if verb is None:
            raise Refused(404, "url_failed")
        progress = ask.body.get("progress", 0 if verb == self.checkin else None)
        if isinstance(progress, bool) or not isinstance(progress, int | float) or not 0 <= progress <= 100:
            raise Refused(400, "wrong_parameter", "progress")
        if ask.user.name in self.switches.locked:
            raise Refused(400, "RATE_LIMIT", "Another scrobble of this user is being worked on")
        if hollow(ask.body):
            return answer({"id": 0, "action": ask.path("verb"), "progress": progress}, 201)
        seen = self.playable(ask.body)
        if seen is None:
            raise Refused(404, "id_err", "Item not found")
        return verb(ask, seen, progress)

    def playable(self, body: Json) -> Seen | None:
        key = next((name for name in TYPES if name in body), None)
        if key is None:
            raise Refused(400, "empty_field", "movie, show or anime")
        number = (body.get("episode") or {}).get("number")
        if key != "movie" and not isinstance(number, int):
            raise Refused(400, "wrong_parameter", "An episode is named by its show, season and number")
        entry = self.catalogue.find(key, body[key])
        if entry is None or key == "movie":
            return Seen(entry) if entry else None
        episode = self.catalogue.part(entry, body["episode"].get("season"), number)
        return Seen(entry, episode) if episode else None

    def start(self, ask: Ask, seen: Seen, progress: float) -> Response:
        ask.user.watching = {"began": iso(ask.now), "ends": iso(ends(ask, seen, progress)), **seen.wire()}
        ask.user.playback.pop(seen.key, None)
        return scrobbled("start", seen, progress)

    def pause(self, ask: Ask, seen: Seen, progress: float) -> Response:
        if progress >= WATCHED:
            self.window(ask, seen)
        return self.save(ask, seen, progress)

    def stop(self, ask: Ask, seen: Seen, progress: float) -> Response:
        if progress < WATCHED:
            return self.save(ask, seen, progress)
        self.window(ask, seen)
        ask.user.watching = None
        ask.user.playback.pop(seen.key, None)
        ask.user.scrobbled[seen.key] = ask.now
        self.remember(ask.user, seen, ask.now)
        return scrobbled("scrobble", seen, progress, next(self.ids))

    def checkin(self, ask: Ask, seen: Seen, progress: float) -> Response:
        at = iso(ends(ask, seen, progress))
        ask.user.watching = {"began": iso(ask.now), "ends": at, "checkin": seen, **seen.wire()}
        return scrobbled("checkin", seen, progress, next(self.ids))

    def end_checkin(self, user: User, now: datetime) -> None:
        """What was checked in is marked by itself, a little after it is over."""
        on = user.watching or {}
        if "checkin" in on and when(on["ends"]) + timedelta(seconds=10) <= now:
            self.remember(user, on["checkin"], when(on["ends"]))
            user.watching = None

    def window(self, ask: Ask, seen: Seen) -> None:
        at = ask.user.scrobbled.get(seen.key)
        if at is not None and ask.now - at < WINDOW:
            raise Refused(409, body={"watched_at": iso(at), "expires_at": iso(at + WINDOW)})

    def save(self, ask: Ask, seen: Seen, progress: float) -> Response:
        number = next(self.ids)
        kind = "movie" if seen.episode is None else "episode"
        saved = {"id": number, "progress": progress, "paused_at": iso(ask.now), "type": kind}
        ask.user.watching = None
        ask.user.playback.pop(seen.key, None)
        ask.user.playback[seen.key] = {**saved, **seen.wire(playback=True)}
        self.touch(ask.user, seen.entry, "playback", ask.now)
        return scrobbled("pause", seen, progress, number)

    def remember(self, user: User, seen: Seen, at: datetime) -> bool:
        """One play per item: a second one replaces the first. Whether it is new."""
        fresh = seen.key not in user.history
        user.history[seen.key] = {"watched_at": iso(at), **seen.wire()}
        listed = seen.entry.type + f":{seen.entry.simkl}"
        user.lists[listed] = "completed" if seen.episode is None else "watching"
        self.touch(user, seen.entry, user.lists[listed])
        return fresh

    def touch(self, user: User, entry: Entry, stamp: str, at: datetime | None = None) -> None:
        user.activities[GROUPS[entry.type], stamp] = at or self.clock.now()
        user.changed[f"{entry.type}:{entry.simkl}"] = self.clock.now()

    # Playback

    def list_playback(self, ask: Ask) -> Response:
        kind = ask.path("group", "").removesuffix("s")
        return answer([row for row in ask.user.playback.values() if kind in ("", row["type"])][::-1])

    def remove_playback(self, ask: Ask) -> Response:
        key = next((key for key, row in ask.user.playback.items() if row["id"] == ask.path("id")), None)
        if key is None:
            raise Refused(404, "not_found")
        del ask.user.playback[key]
        return answer(None, 204)

    # Sync

    def show_activities(self, ask: Ask) -> Response:
        seen = ask.user.activities
        body: Json = {"all": newest(seen.values()), "settings": {"all": None}}
        for group in GROUPS.values():
            names: tuple[str, ...] = ("rated_at", "playback", *STATUSES, "removed_from_list")
            if group == "movies":
                names = tuple(name for name in names if name not in ("watching", "hold"))
            stamps = {name: seen.get((group, name)) for name in names}
            every = newest(at for at in stamps.values() if at)
            body[group] = {"all": every, **{name: at and iso(at) for name, at in stamps.items()}}
        return answer(body)

    def all_items(self, ask: Ask) -> Response:
        """Everything on the lists, or what was changed since a time, or the word `null`."""
        wanted, status = ask.path("type"), ask.path("status")
        since = when(ask.query["date_from"]) if ask.query.get("date_from") else None
        dated = ask.query.get("episode_watched_at") == "yes"
        groups: dict[str, list[Json]] = {}
        for key, on in ask.user.lists.items():
            entry = self.entry(key)
            late = since is None or ask.user.changed.get(key, since) >= since
            if late and status in (None, on) and wanted in (None, LISTED[entry.type]):
                row = self.listed(ask.user, entry, on, full="extended" in ask.query, dated=dated)
                groups.setdefault(LISTED[entry.type], []).append(row)
        return JSONResponse(groups or None)

    def entry(self, key: str) -> Entry:
        kind, _, number = key.partition(":")
        return next(one for one in self.catalogue.entries if (one.type, str(one.simkl)) == (kind, number))

    def listed(self, user: User, entry: Entry, status: str, *, full: bool, dated: bool) -> Json:
        key = f"{entry.type}:{entry.simkl}"
        rated = user.ratings.get(key, {})
        plays = {name: row for name, row in user.history.items() if f"{name}:".startswith(f"{key}:")}
        last = max((row["watched_at"] for row in plays.values()), default=None)
        row: Json = {"last_watched_at": last, "status": status, "user_rating": rated.get("rating")}
        if key in user.listed_at:
            row["added_to_watchlist_at"] = iso(user.listed_at[key])
        if entry.type == "movie":
            return {**row, "movie": entry.wire()}
        row |= {"user_rated_at": rated.get("rated_at"), "watched_episodes_count": len(plays)}
        row |= {"show": entry.wire(), **({"anime_type": "tv"} if entry.type == "anime" else {})}
        return {**row, "seasons": seasons(entry, plays, dated=dated)} if full else row

    def add_history(self, ask: Ask) -> Response:
        leaves = list(self.leaves(ask.body))
        counted = []
        for leaf in (leaf for leaf in leaves if leaf.found):
            at = leaf.own.get("watched_at") or leaf.said.get("watched_at")
            fresh = self.remember(ask.user, leaf.found, when(at) if at else ask.now)  # type: ignore[arg-type]
            counted += [leaf] if fresh or self.switches.counts_repeats else []
        named = [leaf for leaf in counted if leaf.found]
        return answer(
            {"added": {**count(named), "statuses": statuses(named)}, "not_found": not_found(leaves)},
            self.switches.created,
        )

    def remove_history(self, ask: Ask) -> Response:
        whole = [leaf for leaf in self.titles(ask.body) if is_whole(leaf, ask.user)]
        if whole:
            return self.remove_titles(ask, whole)
        leaves = list(self.leaves(ask.body))
        gone = [leaf for leaf in leaves if leaf.found and ask.user.history.pop(leaf.found.key, None)]
        for leaf in gone:
            assert leaf.found
            key = f"{leaf.found.entry.type}:{leaf.found.entry.simkl}"
            if leaf.group == "movies" or not leaf.said.get("seasons", leaf.said.get("episodes", True)):
                ask.user.ratings.pop(key, None)
            if not any(f"{name}:".startswith(f"{key}:") for name in ask.user.history):
                ask.user.lists.pop(key, None)
            self.touch(ask.user, leaf.found.entry, "removed_from_list")
        return answer({"deleted": count(gone), "not_found": not_found(leaves)})

    def remove_titles(self, ask: Ask, whole: list[Leaf]) -> Response:
        """A title as a whole goes from all lists, with its plays and its rating."""
        had = []
        for leaf in (leaf for leaf in whole if leaf.found):
            assert leaf.found
            key = leaf.found.key
            plays = [name for name in ask.user.history if f"{name}:".startswith(f"{key}:")]
            if plays:
                self.complaints.append("a title was removed with its plays")
            for name in plays:
                del ask.user.history[name]
            ask.user.ratings.pop(key, None)
            ask.user.listed_at.pop(key, None)
            had += [leaf] if ask.user.lists.pop(key, None) or plays else []
            self.touch(ask.user, leaf.found.entry, "removed_from_list")
        return answer({"deleted": count(had), "not_found": not_found(whole)})

    def add_ratings(self, ask: Ask) -> Response:
        leaves = list(self.titles(ask.body))
        if any(leaf.said.get("rating") not in range(1, 11) for leaf in leaves):
            raise Refused(400, "wrong_parameter", "rating")
        for leaf in (leaf for leaf in leaves if leaf.found):
            assert leaf.found
            entry = leaf.found.entry
            at = leaf.said.get("rated_at") or iso(ask.now)
            ask.user.ratings[leaf.found.key] = {"rating": leaf.said["rating"], "rated_at": at}
            ask.user.lists.setdefault(leaf.found.key, "completed" if entry.type == "movie" else "watching")
            self.touch(ask.user, entry, "rated_at")
        found = [leaf for leaf in leaves if leaf.found]
        added = {**count(found, ("movies", "shows")), "statuses": statuses(found)}
        return answer({"added": added, "not_found": not_found(leaves, ("movies", "shows"))}, 201)

    def remove_ratings(self, ask: Ask) -> Response:
        leaves = list(self.titles(ask.body))
        gone = [leaf for leaf in leaves if leaf.found and ask.user.ratings.pop(leaf.found.key, None)]
        groups = ("movies", "shows")
        return answer({"deleted": count(gone, groups), "not_found": not_found(leaves, groups)})

    def add_to_list(self, ask: Ask) -> Response:
        leaves = list(self.titles(ask.body))
        if any(leaf.said.get("to") not in STATUSES for leaf in leaves):
            raise Refused(400, "wrong_parameter", "to")
        for leaf in (leaf for leaf in leaves if leaf.found):
            assert leaf.found
            ask.user.lists[leaf.found.key] = leaf.said["to"]
            ask.user.listed_at.setdefault(leaf.found.key, ask.now)
            self.touch(ask.user, leaf.found.entry, leaf.said["to"])
        added = {
            group: [leaf.said for leaf in leaves if leaf.found and leaf.group == group]
            for group in ("movies", "shows")
        }
        return answer({"added": added, "not_found": not_found(leaves, ("movies", "shows"))}, 201)

    def watched(self, ask: Ask) -> Response:
        """Whether the items of an array were seen, in their order."""
        if not isinstance(ask.body, list):
            raise Refused(400, "wrong_parameter", "An array is wanted")
        return answer([self.was_seen(ask.user, said) for said in ask.body])

    def was_seen(self, user: User, said: Json) -> Json:
        key = "movie" if said.get("type") == "movie" else "show"
        ids = {name: said[name] for name in NAMESPACES if said.get(name)}
        entry = self.catalogue.find(key, {"ids": ids, "title": said.get("title"), "year": said.get("year")})
        if entry is None:
            return {**said, "result": "not_found"}
        listed = user.lists.get(f"{entry.type}:{entry.simkl}")
        prefix = f"{entry.type}:{entry.simkl}:"
        plays = [row for name, row in user.history.items() if f"{name}:".startswith(prefix)]
        last = max((row["watched_at"] for row in plays), default=None)
        return {**said, "result": bool(plays), "list": listed, "last_watched_at": last}

    # What sync calls name

    def titles(self, body: Json) -> Iterator[Leaf]:
        """Films and shows as a whole. Other groups say nothing here."""
        for group, key in (("movies", "movie"), ("shows", "show")):
            for said in body.get(group) or ():
                entry = self.catalogue.find(key, said)
                yield Leaf(group, said, said, Seen(entry) if entry else None)

    def leaves(self, body: Json) -> Iterator[Leaf]:
        """Every film and episode named. What is said with a search's `simkl_id` alone isn't heard."""
        for said in (said for said in body.get("movies") or () if not only_simkl_id(said)):
            entry = self.catalogue.find("movie", said)
            yield Leaf("movies", said, said, Seen(entry) if entry else None)
        for said in (said for said in body.get("shows") or () if not only_simkl_id(said)):
            yield from self.show_leaves(said)
        for said in (said for said in body.get("episodes") or () if not only_simkl_id(said)):
            yield Leaf("episodes", said, said, self.catalogue.by_episode(said.get("ids")))

    def show_leaves(self, said: Json) -> Iterator[Leaf]:
        entry = self.catalogue.find("show", said)
        if entry is None:
            yield Leaf("shows", said, said, None)
            return
        if not (said.get("seasons") or said.get("episodes") or said.get("status")):
            self.complaints.append("a show without seasons: all of its episodes were meant")
            yield from (Leaf("shows", said, {}, Seen(entry, one)) for one in entry.episodes)
        for own in said.get("episodes") or ():
            yield self.leaf(said, entry, None, own)
        for season in said.get("seasons") or ():
            if not season.get("episodes"):
                self.complaints.append("a season without episodes: all of them were meant")
            for own in season.get("episodes") or ():
                yield self.leaf(said, entry, season["number"], own)

    def leaf(self, said: Json, entry: Entry, season: int | None, own: Json) -> Leaf:
        """One episode of a show; where it isn't found the show is echoed with it alone."""
        episode = self.catalogue.part(entry, season, own.get("number"))
        if episode is not None:
            return Leaf("shows", said, own, Seen(entry, episode))
        kept = {name: value for name, value in said.items() if name not in ("seasons", "episodes")}
        inside = (
            {"episodes": [own]} if season is None else {"seasons": [{"number": season, "episodes": [own]}]}
        )
        return Leaf("shows", {**kept, **inside}, own, None)

    # Search

    def search_id(self, ask: Ask) -> Response:
        kind = {"tv": "show", "show": "show", "anime": "anime", "movie": "movie"}.get(
            ask.query.get("type", "")
        )
        ids = {name: ask.query[name] for name in NAMESPACES if ask.query.get(name)}
        keys = [kind] if kind else ["movie", "show"]
        found = (self.catalogue.find(key, {"ids": ids}, invent=False) for key in keys if ids)
        rows = [{"type": entry.type, "poster": None, **entry.wire()} for entry in found if entry]
        return answer(rows[:1])

    def search_text(self, ask: Ask) -> Response:
        query = ask.query.get("q", "").casefold()
        hits = [one for one in self.catalogue.entries if one.type == ask.path("type") and query]
        rows = [one.wire(searched=True) for one in hits if one.is_called(query)]
        return answer([{"type": ask.path("type"), **row} for row in rows[: int(ask.query.get("limit", 10))]])

    # Controls

    def control_approve(self, body: Json) -> Response:
        self.approve(body.get("user", "anna"), body.get("user_code"))
        return answer({})

    def control_revoke(self, body: Json) -> Response:
        self.revoke(body["name"])
        return answer({})

    def control_catalogue(self, body: Json) -> Response:
        for item in body.get("items", ()):
            self.catalogue.add(**item)
        return answer({"entries": len(self.catalogue.entries)})


def lost(ask: Ask) -> Response:
    raise Refused(404, "url_failed", "No such address")


def controlled(handler: Callable[[Json], Response]) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        try:
            return handler(as_json(await request.body()))
        except Refused as refused:
            return refused.response

    return endpoint


def answer(body: Any, status: int = 200) -> Response:
    """JSON, or an empty body where there is none."""
    return Response(status_code=status) if body is None else JSONResponse(body, status)


def scrobbled(action: str, seen: Seen, progress: float, number: int = 0) -> Response:
    return answer({"id": number, "action": action, "progress": progress, **seen.wire()}, 201)


def ends(ask: Ask, seen: Seen, progress: float) -> datetime:
    return ask.now + timedelta(minutes=seen.entry.runtime * (1 - progress / 100))


def episode_of(said: Mapping[str, Any]) -> Episode:
    season, number = said["season"], said["number"]
    tvdb = (said.get("tvdb_season", season), said.get("tvdb_number", number))
    ids = {name: str(value) for name, value in (said.get("ids") or {}).items()}
    return Episode(season=season, number=number, tvdb=tvdb, ids=ids, title=said.get("title"))


def hollow(body: Json) -> bool:
    """Whether the item of a scrobble was copied out of a search: 201, and nothing is recorded."""
    return any(only_simkl_id(body[key]) for key in TYPES if key in body)


def only_simkl_id(said: Any) -> bool:
    ids = said.get("ids") if isinstance(said, dict) else None
    return isinstance(ids, dict) and "simkl_id" in ids and not any(ids.get(name) for name in NAMESPACES)


def count(leaves: list[Leaf], groups: tuple[str, ...] = ("movies", "shows", "episodes")) -> Json:
    """How many of each; an episode that was named by its show counts as an episode."""
    kinds = ["episodes" if leaf.found and leaf.found.episode else leaf.group for leaf in leaves]
    return {group: kinds.count(group) for group in groups}


def statuses(leaves: list[Leaf]) -> list[Json]:
    return [
        {
            "request": leaf.said,
            "response": {
                "status": "completed" if leaf.found and leaf.found.episode is None else "watching",
                "simkl_type": leaf.found and leaf.found.entry.type,
                "anime_type": "tv" if leaf.found and leaf.found.entry.type == "anime" else None,
            },
        }
        for leaf in leaves
    ]


def not_found(leaves: list[Leaf], groups: tuple[str, ...] = ("movies", "shows", "episodes")) -> Json:
    return {
        group: [leaf.said for leaf in leaves if not leaf.found and leaf.group == group] for group in groups
    }


def seasons(entry: Entry, plays: Mapping[str, Json], *, dated: bool) -> list[Json]:
    """The episodes seen, by season."""
    made: dict[int, list[Json]] = {}
    for one in entry.episodes:
        row = plays.get(Seen(entry, one).key)
        if row is None:
            continue
        at = {"watched_at": row["watched_at"]} if dated else {}
        tvdb = {"tvdb": {"season": one.tvdb[0], "episode": one.tvdb[1]}} if entry.type == "anime" else {}
        made.setdefault(one.season, []).append({"number": one.number, **at, **tvdb})
    return [{"number": number, "episodes": episodes} for number, episodes in sorted(made.items())]


def described(user: User) -> Json:
    """A user's account as `/_control/state` shows it."""
    on = {name: value for name, value in (user.watching or {}).items() if name != "checkin"}
    kept = ("name", "history", "playback", "ratings", "lists")
    return {**{name: getattr(user, name) for name in kept}, "watching": on or None}


def newest(times: Any) -> str | None:
    last = max(times, default=None)
    return last and iso(last)


def as_json(body: bytes) -> Any:
    try:
        return json.loads(body or b"{}")
    except ValueError:
        raise Refused(400, "wrong_parameter", "no JSON") from None


def iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def when(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise Refused(400, "wrong_parameter", "watched_at") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


if __name__ == "__main__":
    main(Simkl())
