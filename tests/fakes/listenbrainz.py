"""A ListenBrainz on loopback: refuses what the real one refuses, in its words, and keeps the rest.

https://listenbrainz.readthedocs.io

`python -m tests.fakes.listenbrainz --port 0` runs it alone. Beside what every fake has (`_server`):

    POST /_control/user        {"name": "anna"} -> {"token": ..., "name": "anna"}, ready to use
    POST /_control/recordings  {"artist": "...", "title": "...", "mbid": "..."}; what the lookup knows
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from ._server import Clock, Fake, main

Json = dict[str, Any]
Endpoint = Callable[[Request, "User"], Awaitable[Response]]

TYPES = ("single", "playing_now", "import")
MOST = 1000
BYTES = 10_240
FIRST = 1_033_430_400
MOST_TAGS, LONGEST_TAG = 50, 64
LONGEST = timedelta(days=24).total_seconds()
ONE_ID = ("recording_mbid", "release_mbid", "release_group_mbid", "track_mbid")
MANY_IDS = ("artist_mbids", "work_mbids")
INVALID = "Invalid JSON document submitted."


@dataclass
class Switches:
    """What can be set at `/_control/switches`."""

    limit: int = 100  # calls in a window, for each token
    window: int = 10  # seconds
    too_many: int = 0  # so many calls more are answered 429
    queue_down: bool = False  # 503: what is submitted cannot be queued
    no_mail: bool = False  # 401: the account has no e-mail address
    skew: int = 3600


class Refused(Exception):
    """An answer that is no success."""

    def __init__(self, error: str, code: int = 400) -> None:
        super().__init__(error)
        self.error, self.code = error, code


@dataclass
class User:
    """An account and what is in it."""

    name: str
    listens: list[Json] = field(default_factory=list)
    playing_now: Json | None = None
    feedback: dict[str, int] = field(default_factory=dict)
    latest_import: int = 0


@dataclass
class Window:
    """A token's calls since when."""

    since: datetime
    calls: int = 0


class ListenBrainz(Fake):
    """The server. `fake.sign_in("anna")` gives a token; `fake.user("anna").listens` what she listened to."""

    switches: Switches

    service = "listenbrainz"

    def __init__(self, *, clock: Clock | None = None, **switches: Any) -> None:
        super().__init__(clock=clock)
        self.switches = Switches(**switches)
        self.users: dict[str, User] = {}
        self.tokens: dict[str, str] = {}
        self.recordings: dict[tuple[str, str], Json] = {}
        self.windows: dict[str, Window] = {}

    def routes(self) -> list[BaseRoute]:
        signed: list[tuple[str, str, Endpoint]] = [
            ("POST", "/1/submit-listens", self.submit),
            ("POST", "/1/delete-listen", self.delete),
            ("POST", "/1/feedback/recording-feedback", self.rate),
            ("POST", "/1/latest-import", self.set_latest),
        ]
        return [
            *(Route(path, self.signed(endpoint), methods=[verb]) for verb, path, endpoint in signed),
            Route("/1/validate-token", self.paced(self.validate)),
            Route("/1/metadata/lookup", self.paced(self.lookup)),
            Route("/1/latest-import", self.paced(self.get_latest)),
            Route("/1/user/{name}/listens", self.paced(self.listens)),
            Route("/1/user/{name}/playing-now", self.paced(self.playing)),
            Route("/_control/user", self.control_user, methods=["POST"]),
            Route("/_control/recordings", self.control_recordings, methods=["POST"]),
        ]

    def who(self, headers: Mapping[str, str]) -> str | None:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        return self.tokens.get(token) if scheme.lower() == "token" else None

    def state(self) -> dict[str, Any]:
        return {"users": {user.name: asdict(user) for user in self.users.values()}}

    # People, and what the lookup knows

    def user(self, name: str) -> User:
        return self.users.setdefault(name, User(name))

    def sign_in(self, name: str) -> dict[str, str]:
        token = str(uuid.uuid4())
        self.tokens[token] = self.user(name).name
        return {"token": token, "name": name}

    def revoke(self, name: str) -> None:
        """As if she had asked for another token."""
        self.tokens = {token: user for token, user in self.tokens.items() if user != name}

    def know(self, artist: str, title: str, mbid: str, **other: str) -> None:
        """A recording that the lookup finds by this artist and title; `other` is what it calls them."""
        named = {"artist_credit_name": artist, "recording_name": title, **other}
        self.recordings[artist.casefold(), title.casefold()] = {**named, "recording_mbid": mbid}

    # The door

    def paced(self, endpoint: Callable[[Request], Awaitable[Response]]) -> Callable[..., Awaitable[Response]]:
        """A route that counts calls and says in every answer how many are left."""

        async def guarded(request: Request) -> Response:
            window = self.window(request.headers.get("authorization", ""))
            try:
                self.count(window)
                response = await endpoint(request)
            except Refused as error:
                response = JSONResponse({"code": error.code, "error": error.error}, error.code)
            response.headers.update(self.limits(window))
            return response

        return guarded

    def signed(self, endpoint: Endpoint) -> Callable[..., Awaitable[Response]]:
        async def guarded(request: Request) -> Response:
            name = self.who(request.headers)
            if "authorization" not in request.headers:
                raise Refused("You need to provide an Authorization header.", 401)
            if name is None:
                raise Refused("Invalid authorization token.", 401)
            return await endpoint(request, self.user(name))

        return self.paced(guarded)

    def window(self, token: str) -> Window:
        now = self.clock.now()
        window = self.windows.setdefault(token, Window(now))
        if now - window.since >= timedelta(seconds=self.switches.window):
            window.since, window.calls = now, 0
        return window

    def count(self, window: Window) -> None:
        if self.switches.too_many or window.calls >= self.switches.limit:
            self.switches.too_many -= self.switches.too_many > 0
            window.calls = self.switches.limit
            raise Refused("You have exceeded your rate limit. See the X-RateLimit-* headers.", 429)
        window.calls += 1

    def limits(self, window: Window) -> dict[str, str]:
        ends = window.since + timedelta(seconds=self.switches.window)
        left = (ends - self.clock.now()).total_seconds()
        return {
            "X-RateLimit-Limit": str(self.switches.limit),
            "X-RateLimit-Remaining": str(max(0, self.switches.limit - window.calls)),
            "X-RateLimit-Reset-In": str(max(0, round(left))),
            "X-RateLimit-Reset": str(int(ends.timestamp())),
        }

    # The API

    async def validate(self, request: Request) -> Response:
        if "authorization" not in request.headers:
            raise Refused("You need to provide an Authorization token.")
        name = self.who(request.headers)
        if name is None:
            return JSONResponse({"code": 200, "message": "Token invalid.", "valid": False})
        return JSONResponse({"code": 200, "message": "Token valid.", "valid": True, "user_name": name})

    async def submit(self, request: Request, user: User) -> Response:
        if self.switches.no_mail:
            raise Refused("The listens cannot be accepted: the user has not provided an email.", 401)
        kind, listens = checked(await request.body(), self.clock.now().timestamp() + self.switches.skew)
        if self.switches.queue_down:
            raise Refused("Cannot submit listens to queue, please try again later.", 503)
        if kind == "playing_now":
            user.playing_now = listens[0]
        else:
            self.keep(user, listens)
        wants = kind == "playing_now" and request.query_params.get("return_msid") == "true"
        return JSONResponse({"status": "ok", **({"recording_msid": msid(listens[0])} if wants else {})})

    def keep(self, user: User, listens: list[Json]) -> None:
        """What has the same time and track is one listen."""
        there = {(listen["listened_at"], msid(listen)) for listen in user.listens}
        for listen in listens:
            key = (listen["listened_at"], msid(listen))
            if key not in there:
                user.listens.append(listen)
                there.add(key)

    async def delete(self, request: Request, user: User) -> Response:
        said = as_json(await request.body())
        at, gone = said.get("listened_at"), said.get("recording_msid")
        if isinstance(at, bool) or not isinstance(at, int):
            raise Refused("Listen timestamp invalid.")
        if not is_uuid(gone):
            raise Refused("Recording MSID format invalid.")
        user.listens = [one for one in user.listens if (one["listened_at"], msid(one)) != (at, gone)]
        return JSONResponse({"status": "ok"})

    async def rate(self, request: Request, user: User) -> Response:
        said = as_json(await request.body())
        mbid, score = str(said.get("recording_mbid")), said.get("score")
        if not is_uuid(mbid):
            raise Refused("recording_mbid MBID format invalid.")
        if score not in (1, 0, -1):
            raise Refused("Feedback can have a value of 1, 0 or -1.")
        if score:
            user.feedback[mbid] = score
        else:
            user.feedback.pop(mbid, None)
        return JSONResponse({"status": "ok"})

    async def lookup(self, request: Request) -> Response:
        names = [request.query_params.get(name, "") for name in ("artist_name", "recording_name")]
        if not all(names):
            raise Refused("artist_name and recording_name are required")
        artist, title = names
        return JSONResponse(self.recordings.get((artist.casefold(), title.casefold()), {}))

    async def get_latest(self, request: Request) -> Response:
        user = self.user(request.query_params.get("user_name", ""))
        return JSONResponse({"musicbrainz_id": user.name, "latest_import": user.latest_import})

    async def set_latest(self, request: Request, user: User) -> Response:
        user.latest_import = int(as_json(await request.body()).get("ts", 0))
        return JSONResponse({"status": "ok"})

    async def listens(self, request: Request) -> Response:
        name, query = request.path_params["name"], request.query_params
        first, last = int(query.get("min_ts", 0)), int(query.get("max_ts", 2**40))
        found = [one for one in self.user(name).listens if first < one["listened_at"] < last]
        found.sort(key=lambda one: int(one["listened_at"]), reverse=True)
        rows = [{**one, "recording_msid": msid(one), "user_name": name} for one in found]
        rows = rows[: min(int(query.get("count", 25)), MOST)]
        return JSONResponse({"payload": {"count": len(rows), "user_id": name, "listens": rows}})

    async def playing(self, request: Request) -> Response:
        name = request.path_params["name"]
        now = self.user(name).playing_now
        rows = [] if now is None else [{**now, "playing_now": True}]
        return JSONResponse({"payload": {"count": len(rows), "user_id": name, "listens": rows}})

    # Controls

    async def control_user(self, request: Request) -> Response:
        return JSONResponse(self.sign_in((await request.json())["name"]))

    async def control_recordings(self, request: Request) -> Response:
        self.know(**await request.json())
        return JSONResponse({"recordings": len(self.recordings)})


# What is accepted


def checked(body: bytes, latest: float) -> tuple[str, list[Json]]:
    """The kind and the listens of a submission; raises Refused on the first fault."""
    said = as_json(body)
    kind, listens = said.get("listen_type"), said.get("payload")
    if not isinstance(listens, list) or not listens:
        raise Refused("JSON document does not contain any listens")
    if kind not in TYPES:
        raise Refused("JSON document requires a valid listen_type key.")
    if kind != "import" and len(listens) > 1:
        raise Refused("JSON document contains more than listen for a single/playing_now.")
    if len(listens) > MOST:
        raise Refused(f"Too many listens. You may not submit more than {MOST} listens at once.")
    if len(body) > len(listens) * BYTES:
        raise Refused(f"JSON document is too large. In total, it must be under {len(listens) * BYTES} bytes.")
    return kind, [check_listen(listen, kind, latest) for listen in listens]


def check_listen(listen: Any, kind: str, latest: float) -> Json:
    if not isinstance(listen, dict):
        raise Refused(INVALID)
    now = kind == "playing_now"
    if listen.keys() - ({"track_metadata"} if now else {"listened_at", "track_metadata"}):
        keys = "track_metadata" if now else "listened_at and track_metadata"
        raise Refused(f"JSON document may only contain {keys} top level keys")
    if not now:
        check_time(listen.get("listened_at"), latest)
    metadata = listen.get("track_metadata")
    if not isinstance(metadata, dict):
        raise Refused("JSON document must contain the key track_metadata at the top level.")
    for name in ("artist_name", "track_name"):
        check_name(metadata, name)
    details = metadata.get("additional_info")
    if details is not None:
        check_details(details)
    if any("\0" in text for text in texts(listen)):
        raise Refused("The listen contains a unicode null")
    return listen


def check_time(at: Any, latest: float) -> None:
    if isinstance(at, bool) or not isinstance(at, int):
        raise Refused("JSON document must contain an int value for listened_at.")
    if at < FIRST:
        raise Refused(f"Value for key listened_at is too low. It should be greater than {FIRST}.")
    if at > latest:
        raise Refused("Value for key listened_at is too high.")


def check_name(metadata: Json, name: str) -> None:
    value = metadata.get(name)
    if value is None:
        raise Refused(f"JSON document does not contain required track_metadata.{name}.")
    if not isinstance(value, str):
        raise Refused(f"field track_metadata.{name} must be a single string.")
    if not value.strip():
        raise Refused(f"field track_metadata.{name} is empty.")


def check_details(details: Any) -> None:
    if not isinstance(details, dict):
        raise Refused("JSON document should contain an object for track_metadata.additional_info.")
    tags = details.get("tags") or []
    if len(tags) > MOST_TAGS or any(len(tag) > LONGEST_TAG for tag in tags):
        raise Refused("JSON document may not contain that many or that long tags.")
    check_duration(details)
    for name in ONE_ID:
        if details.get(name) and not is_uuid(details[name]):
            raise Refused(f"{name} MBID format invalid.")
    for name in MANY_IDS:
        if not all(is_uuid(mbid) for mbid in details.get(name) or [] if mbid):
            raise Refused(f"{name} MBID format invalid.")


def check_duration(details: Json) -> None:
    if {"duration", "duration_ms"} <= details.keys():
        raise Refused("JSON document should not contain both duration and duration_ms.")
    for name, unit in (("duration", 1), ("duration_ms", 1000)):
        value = details.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
            raise Refused(f"Value for {name} is invalid, should be a positive integer.")
        if value > LONGEST * unit:
            raise Refused(f"Value for {name} is too large.")


def as_json(body: bytes) -> Json:
    try:
        said = json.loads(body)
    except ValueError:
        raise Refused("Cannot parse JSON document") from None
    if not isinstance(said, dict):
        raise Refused(INVALID)
    return said


def is_uuid(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(uuid.UUID(value))
    except ValueError:
        return False


def texts(value: Any) -> Iterator[str]:
    """Every text in a listen, names included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield name
            yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)


def msid(listen: Json) -> str:
    """The same for the same artist, title and release, without regard to case."""
    metadata = listen["track_metadata"]
    named = [str(metadata.get(name) or "") for name in ("artist_name", "track_name", "release_name")]
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "\n".join(named).casefold()))


if __name__ == "__main__":
    main(ListenBrainz())
