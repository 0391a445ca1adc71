"""A PunchPlay on loopback: keeps what it is told, and answers as the contract says.

https://docs.punchplay.tv/playback-api

`python -m tests.fakes.punchplay --port 0` runs it alone. It knows the films and shows that the fake Trakt knows
(`_catalogue`), by their ids at TMDB, IMDb and TheTVDB. Beside what every fake has (`_server`):

    POST /_control/user        {"name": "anna"} -> tokens
    POST /_control/approve     {"user": "anna", "user_code": "..."}; without a code: the newest one
    POST /_control/deny        {"user_code": "..."}
    POST /_control/expire      {"name": "anna"}: her access tokens are no longer accepted
"""

from __future__ import annotations

import itertools
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
BASE = "/api/platform/v1"
NAMESPACES = ("tmdb", "imdb", "tvdb")
VERBS = ("start", "pause", "resume", "progress", "stop")
MOST, LARGEST = 100, 512 * 1024
LARGEST_PAGE = 100
MOST_TEXT = 500


@dataclass
class Switches:
    """What can be set at `/_control/switches`."""

    client_id: str = "fake-client-id"
    auto_approve: str | None = None  # the user as whom every device code is approved at once
    interval: int = 5
    device_life: int = 600
    token_life: int = 3600
    threshold: float = 0.7  # from which a stop that does not say whether it was watched counts
    dates_arrival: bool = False  # a watched stop is dated when it arrives, not when it happened
    camel: bool = False  # rows of the history are spelt watchedAt and showTmdbId
    defers: bool = False  # plays are identified later
    busy: int = 0  # so many answers say that the same call is still in progress
    indeterminate: bool = False  # a key whose answer was lost has ended unknown
    short_results: int = 0  # so many results are missing at the end of an answer


class Refused(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, error: str, message: str = "", **headers: str) -> None:
        body = {"error": error, "message": message or error.replace("_", " "), "request_id": "req_1"}
        self.response = JSONResponse(
            body, status, {name.replace("_", "-"): value for name, value in headers.items()}
        )


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
    progress: dict[str, float] = field(default_factory=dict)
    watching: str | None = None
    events: set[str] = field(default_factory=set)
    bodies: dict[str, tuple[Json, Json]] = field(default_factory=dict)


Handler = Callable[[Request, User, Json], Response]


class PunchPlay(Fake):
    """The server. `fake.sign_in("anna")` gives tokens; `fake.user("anna").plays` what she watched."""

    switches: Switches
    service = "punchplay"

    def __init__(self, *, clock: Clock | None = None, **switches: Any) -> None:
        super().__init__(clock=clock)
        self.switches = Switches(**switches)
        self.catalogue = Catalogue()
        self.users: dict[str, User] = {}
        self.sessions: list[Session] = []
        self.devices: dict[str, Device] = {}
        self.ids = itertools.count(9001)

    # People

    def user(self, name: str) -> User:
        return self.users.setdefault(name, User(name))

    def forget(self, name: str) -> None:
        self.users[name] = User(name)

    def sign_in(self, name: str) -> Json:
        self.user(name)
        ends = self.clock.now() + timedelta(seconds=self.switches.token_life)
        session = Session(name, secrets.token_hex(20), secrets.token_hex(20), ends)
        self.sessions.append(session)
        return {**self.wire(session), "device_id": "9f0f6a62-0000-4000-8000-000000000001"}

    def wire(self, session: Session) -> Json:
        tokens = {"access_token": session.access, "refresh_token": session.refresh}
        return {**tokens, "token_type": "Bearer", "expires_in": self.switches.token_life}

    def expire(self, name: str) -> None:
        """Her access tokens are no longer accepted; they can still be renewed."""
        for session in self.sessions:
            if session.user == name:
                session.ends = self.clock.now()

    def revoke(self, name: str) -> None:
        self.sessions = [session for session in self.sessions if session.user != name]

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
                        {"id": play.id, "at": wire(play.at), **play.entry.wire()} for play in user.plays
                    ],
                    "progress": user.progress,
                    "watching": user.watching,
                }
                for user in self.users.values()
            }
        }

    # The door

    def routes(self) -> list[BaseRoute]:
        signed: list[tuple[str, str, Handler]] = [
            ("GET", "/me", self.profile),
            ("POST", "/playback/{verb}", self.playback),
            ("POST", "/sync/history", self.sync),
            ("GET", "/me/history", self.history),
            ("DELETE", "/watch-history/{id:int}", self.remove),
        ]
        return [
            *(Route(BASE + path, self.door(handler), methods=[verb]) for verb, path, handler in signed),
            Route(f"{BASE}/auth/device/code", self.open(self.device_code), methods=["POST"]),
            Route(f"{BASE}/auth/device/token", self.open(self.device_token), methods=["POST"]),
            Route(f"{BASE}/auth/refresh", self.open(self.refresh), methods=["POST"]),
            Route(f"{BASE}/oauth/revoke", self.open(self.give_back), methods=["POST"]),
            Route("/_control/user", self.control_user, methods=["POST"]),
            Route("/_control/approve", self.control_approve, methods=["POST"]),
            Route("/_control/deny", self.control_deny, methods=["POST"]),
            Route("/_control/expire", self.control_expire, methods=["POST"]),
        ]

    def door(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            try:
                user = self.signed_in(request)
                body = as_json(await request.body()) if request.method == "POST" else {}
                response = handler(request, user, body)
            except Refused as refused:
                response = refused.response
            response.headers["X-PunchPlay-Request-Id"] = "req_1"
            return response

        return endpoint

    def open(self, handler: Callable[[Json], Response]) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            try:
                body = as_json(await request.body())
                if body.get("client_id") != self.switches.client_id:
                    raise Refused(401, "invalid_client")
                return handler(body)
            except Refused as refused:
                return refused.response

        return endpoint

    def signed_in(self, request: Request) -> User:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        for session in self.sessions:
            if scheme == "Bearer" and session.access == token and self.clock.now() < session.ends:
                return self.user(session.user)
        raise Refused(401, "unauthorized", "The access token is invalid or has expired")

    def profile(self, request: Request, user: User, body: Json) -> Response:
        return JSONResponse({"id": "u_1", "username": user.name, "display_name": user.name.title()})

    # Items

    def find(self, body: Json, kind: Any) -> Entry | None:
        """By ids; an episode has those of its show."""
        ids = {name: body.get(f"{name}_id") for name in NAMESPACES}
        if kind != "episode":
            return self.catalogue.by_ids("movie", ids) if kind == "movie" else None
        show = self.catalogue.by_ids("show", ids)
        place = {"season": body.get("season"), "number": body.get("episode")}
        return None if show is None else self.catalogue.part("episode", show, **place)

    # What is on now

    def playback(self, request: Request, user: User, body: Json) -> Response:
        verb = request.path_params["verb"]
        if verb not in VERBS or body.get("media_type") not in ("movie", "episode") or not body.get("title"):
            raise Refused(400, "invalid_request", "media_type and title are required")
        progress: float | None = body.get("progress")
        watched: bool | None = body.get("watched")
        if progress is not None and not 0 <= progress <= 1:
            raise Refused(400, "invalid_request", "progress must lie between 0 and 1")
        if progress is None and (verb in ("pause", "progress") or (verb == "stop" and not watched)):
            raise Refused(400, "invalid_request", "a position is required")
        entry = self.find(body, body["media_type"])
        if entry is None:
            raise Refused(422, "unresolved", "No title matches these ids")
        answer = {"ok": True, "tmdb_id": body.get("tmdb_id")}
        if body.get("event_id") in user.events:
            return JSONResponse({**answer, "deduped": True})
        if body.get("event_id"):
            user.events.add(body["event_id"])
        user.watching = None if verb == "stop" else entry.key
        if watched is None:
            watched = (progress or 0) >= self.switches.threshold
        if verb == "stop" and watched:
            user.progress.pop(entry.key, None)
            self.play(user, entry, self.mark_date(body))
        elif progress is not None:
            user.progress[entry.key] = progress
        return JSONResponse(answer)

    def mark_date(self, body: Json) -> datetime:
        stamp = body.get("event_created_at")
        if stamp is None or self.switches.dates_arrival:
            return self.clock.now()
        return datetime.fromtimestamp(stamp / 1000, UTC)

    # The history

    def sync(self, request: Request, user: User, body: Json) -> Response:
        """One key is one body: a repetition gives the first answer."""
        key = request.headers.get("idempotency-key", "")
        if not 0 < len(key) <= 200:
            raise Refused(400, "invalid_request", "Idempotency-Key is required")
        if self.switches.busy:
            self.switches.busy -= 1
            raise Refused(409, "request_in_progress", Retry_After="0")
        if key in user.bodies:
            first, answer = user.bodies[key]
            if self.switches.indeterminate:
                raise Refused(409, "idempotency_indeterminate")
            if first != body:
                raise Refused(409, "idempotency_conflict")
            return JSONResponse(answer)
        items = body.get("items")
        if not isinstance(items, list) or not 1 <= len(items) <= MOST:
            raise Refused(400, "invalid_request", "items must hold 1 to 100 items")
        if len(json.dumps(body).encode()) > LARGEST:
            raise Refused(413, "payload_too_large")
        results = [{"index": index, **self.add(user, item)} for index, item in enumerate(items)]
        counts = {
            name: sum(row["status"] == name for row in results)
            for name in ("inserted", "updated", "removed", "skipped", "deferred", "invalid")
        }
        answer = {**counts, "results": results[: len(results) - self.switches.short_results]}
        user.bodies[key] = (body, answer)
        return JSONResponse(answer)

    def add(self, user: User, item: Json) -> Json:
        name = {"client_item_id": item.get("client_item_id")}
        at = moment(item.get("watched_at"))
        entry = self.find(item, item.get("kind"))
        wrong = (
            "watched_at is required"
            if at is None
            else "watched_at lies in the future"
            if at > self.clock.now()
            else "a text is too long"
            if any(isinstance(value, str) and len(value) > MOST_TEXT for value in item.values())
            else "no title matches these ids"
            if entry is None
            else None
        )
        if wrong or entry is None or at is None:
            return {**name, "status": "invalid", "error": wrong}
        if any(play.entry.key == entry.key and play.at == at for play in user.plays):
            return {**name, "status": "skipped"}
        self.play(user, entry, at)
        return {**name, "status": "deferred" if self.switches.defers else "inserted"}

    def play(self, user: User, entry: Entry, at: datetime) -> Play:
        play = Play(next(self.ids), entry, at)
        user.plays.append(play)
        return play

    def history(self, request: Request, user: User, body: Json) -> Response:
        """The newest first."""
        query = request.query_params
        limit, start = int(query.get("limit", 20)), int(query.get("cursor", 0))
        if not 1 <= limit <= LARGEST_PAGE:
            raise Refused(400, "invalid_request", "limit must lie between 1 and 100")
        found = sorted(user.plays, key=lambda play: play.at, reverse=True)
        more = str(start + limit) if start + limit < len(found) else None
        rows = [self.row(play) for play in found[start : start + limit]]
        return JSONResponse({"items": rows, "nextCursor": more})

    def row(self, play: Play) -> Json:
        show, ids = play.entry.show, play.entry.data["ids"]
        watched, owner = (
            ("watchedAt", "showTmdbId") if self.switches.camel else ("watched_at", "show_tmdb_id")
        )
        row = {"id": play.id, "kind": play.entry.kind, "tmdbId": ids.get("tmdb"), watched: wire(play.at)}
        if show is None:
            return row
        place = {"season": play.entry.data["season"], "episode": play.entry.data["number"]}
        return {**row, owner: show.data["ids"].get("tmdb"), **place}

    def remove(self, request: Request, user: User, body: Json) -> Response:
        number = request.path_params["id"]
        if number not in {play.id for play in user.plays}:
            raise Refused(404, "not_found")
        user.plays = [play for play in user.plays if play.id != number]
        return Response(status_code=204)

    # The sign-in

    def device_code(self, body: Json) -> Response:
        code, user_code = secrets.token_hex(16), f"{secrets.token_hex(2)}-{secrets.token_hex(2)}".upper()
        ends = self.clock.now() + timedelta(seconds=self.switches.device_life)
        self.devices[code] = Device(user_code, ends, self.switches.auto_approve)
        shown = {"user_code": user_code, "verification_uri": "https://punchplay.tv/link"}
        times = {"expires_in": self.switches.device_life, "interval": self.switches.interval}
        return JSONResponse({"device_code": code, **shown, **times, "scope": body.get("scope")})

    def device_token(self, body: Json) -> Response:
        device = self.devices.get(body.get("device_code", ""))
        if device is None or device.used:
            raise Refused(400, "invalid_grant")
        now, before = self.clock.now(), device.polled
        device.polled = now
        if device.denied:
            raise Refused(400, "access_denied")
        if now >= device.ends:
            raise Refused(400, "expired_token")
        if before is not None and now - before < timedelta(seconds=self.switches.interval):
            raise Refused(429, "slow_down", Retry_After="0")
        if device.user is None:
            raise Refused(400, "authorization_pending")
        device.used = True
        tokens = self.sign_in(device.user)
        del tokens["device_id"]
        return JSONResponse({**tokens, "user": {"username": device.user}})

    def refresh(self, body: Json) -> Response:
        """A refresh token works once."""
        for session in self.sessions:
            if session.refresh == body.get("refresh_token"):
                session.access, session.refresh = secrets.token_hex(20), secrets.token_hex(20)
                session.ends = self.clock.now() + timedelta(seconds=self.switches.token_life)
                return JSONResponse(self.wire(session))
        raise Refused(400, "invalid_grant")

    def give_back(self, body: Json) -> Response:
        self.sessions = [one for one in self.sessions if one.refresh != body.get("token")]
        return JSONResponse({"ok": True})

    # Controls

    async def control_user(self, request: Request) -> Response:
        return JSONResponse(self.sign_in((await request.json())["name"]))

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


def as_json(body: bytes) -> Json:
    try:
        said = json.loads(body)
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise Refused(400, "invalid_request", "the body is no JSON object")
    return said


def moment(value: Any) -> datetime | None:
    try:
        at = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def wire(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


if __name__ == "__main__":
    main(PunchPlay())
