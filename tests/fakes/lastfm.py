"""A Last.fm on loopback: checks every signature, keeps what it is told, and answers in JSON and XML.

https://www.last.fm/api

`python -m tests.fakes.lastfm --port 0` runs it alone: the API at `/2.0/`, the page on which a person
agrees to a sign-in at `/api/auth/`. Beside what every fake has (`_server`):

    POST /_control/user        {"name": "anna"} -> {"sk": ..., "name": "anna"}, ready to use
    POST /_control/approve     {"user": "anna", "token": "..."}; without a token: the newest one
    POST /_control/errors      {"code": 9, "status": 200, "method": "track.scrobble", "times": 2};
                               the next calls fail with this, in the format they ask for
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Scope

from ._server import Call, Clock, Fake, main

Said = dict[str, str]
Handler = Callable[["Ask"], Element | None]

MOST = 50
LARGEST_PAGE = 200
FIELDS = ("artist", "track", "album", "albumArtist", "timestamp")
KEPT = (*FIELDS, "trackNumber", "duration", "mbid", "context", "streamId", "chosenByUser")
FORM = "application/x-www-form-urlencoded"
STATUSES: Mapping[int, int] = {
    **dict.fromkeys((4, 9, 10, 13, 14, 15, 17, 26), 403),
    **dict.fromkeys((11, 16), 503),
    8: 500,
    29: 429,
}
"""What is answered where no other status is asked for; the real one's are not to be relied on either."""

MESSAGES: Mapping[int, str] = {
    3: "Invalid Method - No method with that name in this package",
    4: "Unauthorized Token - This token has not been issued",
    6: "Invalid parameters - Your request is missing a required parameter",
    8: "Operation failed - Most likely the backend service failed. Please try again.",
    9: "Invalid session key - Please re-authenticate",
    10: "Invalid API key - You must be granted a valid key by last.fm",
    11: "Service Offline - This service is temporarily offline. Try again later.",
    13: "Invalid method signature supplied",
    14: "Unauthorized Token - This token has not been authorized",
    15: "Unauthorized Token - This token has expired",
    16: "The service is temporarily unavailable, please try again.",
    26: "Suspended API key - Access for your account has been suspended",
    29: "Rate Limit Exceeded - Your IP has made too many requests in a short period",
}
PAGE = """<!doctype html><title>Last.fm</title><form method="post">
<p>Let an application use your account?</p><input name="user" value="anna"><button>Yes, allow access</button></form>"""


@dataclass
class Switches:
    """What can be set at `/_control/switches`."""

    api_key: str = "a" * 32
    secret: str = "b" * 32
    auto_approve: str | None = None  # the user as whom every token is agreed to at once
    token_life: int = 3600
    ignore: dict[str, int] = field(default_factory=dict)  # by track title: the code it is ignored with
    corrections: dict[str, str] = field(default_factory=dict)  # of artists
    too_old_days: float = 14
    daily_limit: int | None = None


class Failed(Exception):
    """An error of the API, by its code."""

    def __init__(self, code: int, message: str | None = None, status: int | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.message = message or MESSAGES.get(code, f"Error {code}")
        self.status = status or STATUSES.get(code, 400)


@dataclass
class Failure:
    """An error that waits for the next calls (of one method, if named)."""

    code: int
    status: int | None = None
    method: str | None = None
    times: int = 1


@dataclass
class Token:
    """A sign-in under way: pending until there is a user, and good for one session."""

    text: str
    made_at: datetime
    user: str | None = None
    used: bool = False


@dataclass
class User:
    """An account and what is in it."""

    name: str
    scrobbles: list[Said] = field(default_factory=list)
    now_playing: Said | None = None
    loved: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class Ask:
    """A call that passed the door."""

    said: Said
    user: User | None
    now: datetime

    def __getitem__(self, name: str) -> str:
        if not self.said.get(name):
            raise Failed(6)
        return self.said[name]

    @property
    def whose(self) -> User:
        if self.user is None:
            raise Failed(9)
        return self.user


class LastFM(Fake):
    """The server. `fake.sign_in("anna")` gives a session; `fake.user("anna").scrobbles` what she played."""

    switches: Switches

    service = "lastfm"

    def __init__(self, *, clock: Clock | None = None, **switches: Any) -> None:
        super().__init__(clock=clock)
        self.switches = Switches(**switches)
        self.users: dict[str, User] = {}
        self.sessions: dict[str, str] = {}
        self.tokens: dict[str, Token] = {}
        self.errors: list[Failure] = []

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/2.0", self.api, methods=["GET", "POST"]),
            Route("/api/auth", self.page, methods=["GET", "POST"]),
            Route("/_control/user", self.control_user, methods=["POST"]),
            Route("/_control/approve", self.control_approve, methods=["POST"]),
            Route("/_control/errors", self.control_errors, methods=["POST"]),
        ]

    def log(self, scope: Scope, body: bytes) -> Call:
        """Calls are kept with their parameters, from the address and the form; whose they are is in them."""
        call = super().log(scope, body)
        call.body = parameters(call.query, call.headers.get("content-type", ""), body)
        call.user = self.sessions.get(call.body.get("sk", ""))
        return call

    def state(self) -> dict[str, Any]:
        tokens = {token.text: token.user for token in self.tokens.values()}
        return {"users": {user.name: asdict(user) for user in self.users.values()}, "tokens": tokens}

    # People, sessions and errors to come

    def user(self, name: str) -> User:
        return self.users.setdefault(name, User(name))

    def sign_in(self, name: str) -> Said:
        key = secrets.token_hex(16)
        self.sessions[key] = self.user(name).name
        return {"sk": key, "name": name}

    def revoke(self, name: str) -> None:
        """As if she had taken the permission back in her settings."""
        self.sessions = {key: user for key, user in self.sessions.items() if user != name}

    def approve(self, user: str = "anna", token: str | None = None) -> None:
        """As if the person had agreed on the page; without a token: to the newest."""
        text = token or next(reversed(self.tokens))
        self.tokens[text].user = self.user(user).name

    def fail(self, code: int, **how: Any) -> None:
        self.errors.append(Failure(code, **how))

    # The door

    async def api(self, request: Request) -> Response:
        said = parameters(request.url.query, request.headers.get("content-type", ""), await request.body())
        in_json = said.get("format") == "json"
        try:
            return written(self.answer(request.method, said), in_json)
        except Failed as error:
            return refused(error, in_json)

    def answer(self, verb: str, said: Said) -> Element | None:
        name = said.get("method", "")
        self.stumble(name)
        if name not in self.methods():
            raise Failed(3)
        if said.get("api_key") != self.switches.api_key:
            raise Failed(10)
        if said.get("api_sig") != signed(said, self.switches.secret):
            raise Failed(13)
        handler, needs_user, writes = self.methods()[name]
        if writes and verb != "POST":
            raise Failed(6, "Invalid parameters - This method must be called by POST")
        whose = self.sessions.get(said.get("sk", ""))
        if needs_user and whose is None:
            raise Failed(9)
        return handler(Ask(said, whose and self.user(whose), self.clock.now()))  # type: ignore[arg-type]

    def stumble(self, method: str) -> None:
        for failure in self.errors:
            if failure.times and failure.method in (None, method):
                failure.times -= failure.times > 0
                raise Failed(failure.code, status=failure.status)

    def methods(self) -> Mapping[str, tuple[Handler, bool, bool]]:
        """What answers, whether it needs a session, whether it writes."""
        return {
            "auth.getToken": (self.get_token, False, False),
            "auth.getSession": (self.get_session, False, False),
            "user.getInfo": (self.get_info, True, False),
            "user.getRecentTracks": (self.get_recent_tracks, False, False),
            "track.updateNowPlaying": (self.update_now_playing, True, True),
            "track.scrobble": (self.scrobble, True, True),
            "track.love": (self.love, True, True),
            "track.unlove": (self.unlove, True, True),
        }

    # Sign-in

    def get_token(self, ask: Ask) -> Element:
        token = Token(secrets.token_hex(16), ask.now, self.switches.auto_approve)
        self.tokens[token.text] = token
        return leaf("token", token.text)

    def get_session(self, ask: Ask) -> Element:
        token = self.tokens.get(ask["token"])
        if token is None or token.used:
            raise Failed(4)
        if ask.now - token.made_at > timedelta(seconds=self.switches.token_life):
            raise Failed(15)
        if token.user is None:
            raise Failed(14)
        token.used = True
        made = self.sign_in(token.user)
        return tree("session", leaf("name", made["name"]), leaf("key", made["sk"]), leaf("subscriber", "0"))

    async def page(self, request: Request) -> Response:
        """Where the person agrees: a form, and its button."""
        token = request.query_params.get("token", "")
        known = request.query_params.get("api_key") == self.switches.api_key and token in self.tokens
        if not known:
            return HTMLResponse("<p>Invalid API key or token.</p>", 403)
        if request.method == "POST":
            form = dict(parse_qsl((await request.body()).decode()))
            self.approve(form.get("user", "anna"), token)
            return HTMLResponse("<p>Application authenticated. You may close this page.</p>")
        return HTMLResponse(PAGE)

    def get_info(self, ask: Ask) -> Element:
        plays = str(len(ask.whose.scrobbles))
        return tree("user", leaf("name", ask.whose.name), leaf("playcount", plays))

    def get_recent_tracks(self, ask: Ask) -> Element:
        """The newest first; before them, on every page, what is playing now."""
        user = self.user(ask["user"])
        first, last = int(ask.said.get("from") or 0), int(ask.said.get("to") or 2**40)
        found = [one for one in user.scrobbles if first < int(one["timestamp"]) < last]
        found.sort(key=lambda one: int(one["timestamp"]), reverse=True)
        limit = min(int(ask.said.get("limit") or 50), LARGEST_PAGE)
        page = max(int(ask.said.get("page") or 1), 1)
        now = [] if user.now_playing is None else [played(user.now_playing, nowplaying="true")]
        rows = [played(one) for one in found[(page - 1) * limit : page * limit]]
        counts = {"page": page, "perPage": limit, "totalPages": -(-len(found) // limit), "total": len(found)}
        said = {name: str(count) for name, count in counts.items()}
        return tree("recenttracks", *now, *rows, user=user.name, **said)

    # What is played

    def update_now_playing(self, ask: Ask) -> Element:
        track = {name: ask.said[name] for name in KEPT if ask.said.get(name)}
        track |= {"artist": ask["artist"], "track": ask["track"]}
        ask.whose.now_playing = track
        return tree("nowplaying", *self.echo(track, self.switches.ignore.get(track["track"], 0)))

    def scrobble(self, ask: Ask) -> Element:
        tracks = indexed(ask.said)
        codes = [self.keep(ask, track) for track in tracks]
        rows = [tree("scrobble", *self.echo(track, code)) for track, code in zip(tracks, codes, strict=True)]
        ignored = sum(code > 0 for code in codes)
        counts = {"accepted": str(len(codes) - ignored), "ignored": str(ignored)}
        return tree("scrobbles", *rows, **counts)

    def keep(self, ask: Ask, track: Said) -> int:
        """Keep one scrobble, unless it is there already; the code it is ignored with, or 0."""
        if not all(track.get(name) for name in ("artist", "track", "timestamp")):
            raise Failed(6)
        if not track["timestamp"].isdecimal():
            raise Failed(6)
        if code := self.ignored(ask, track):
            return code
        mine = ask.whose.scrobbles
        same = ("artist", "track", "timestamp")
        if not any(all(known[name] == track[name] for name in same) for known in mine):
            mine.append(track)
        return 0

    def ignored(self, ask: Ask, track: Said) -> int:
        age = ask.now.timestamp() - int(track["timestamp"])
        if code := self.switches.ignore.get(track["track"]):
            return code
        if age > self.switches.too_old_days * 86_400:
            return 3
        if age < -60:
            return 4
        limit = self.switches.daily_limit
        return 5 if limit is not None and len(ask.whose.scrobbles) >= limit else 0

    def echo(self, track: Said, code: int) -> list[Element]:
        """A track as it comes back: each name marked as corrected or not, and why it was ignored."""
        names = [self.corrected(name, track.get(name, "")) for name in FIELDS[:4]]
        stamp = [leaf("timestamp", track["timestamp"])] if "timestamp" in track else []
        return [*names, *stamp, leaf("ignoredMessage", "Ignored" if code else "", code=str(code))]

    def corrected(self, name: str, value: str) -> Element:
        better = self.switches.corrections.get(value, value) if name == "artist" else value
        return leaf(name, better, corrected=str(int(better != value)))

    def love(self, ask: Ask) -> None:
        one = (ask["artist"], ask["track"])
        if one not in ask.whose.loved:
            ask.whose.loved.append(one)

    def unlove(self, ask: Ask) -> None:
        one = (ask["artist"], ask["track"])
        ask.whose.loved = [other for other in ask.whose.loved if other != one]

    # Controls

    async def control_user(self, request: Request) -> Response:
        return JSONResponse(self.sign_in((await request.json())["name"]))

    async def control_approve(self, request: Request) -> Response:
        wanted = await request.json()
        self.approve(wanted.get("user", "anna"), wanted.get("token"))
        return JSONResponse({})

    async def control_errors(self, request: Request) -> Response:
        self.fail(**await request.json())
        return JSONResponse([asdict(error) for error in self.errors])


def parameters(query: str, media: str, body: bytes) -> Said:
    """What a call says, in its address and in its form."""
    form = body.decode() if media.startswith(FORM) else ""
    return dict(parse_qsl(f"{query}&{form}", keep_blank_values=True))


def signed(said: Said, secret: str) -> str:
    names = sorted(name for name in said if name not in ("format", "callback", "api_sig"))
    text = "".join(f"{name}{said[name]}" for name in names)
    return hashlib.md5(f"{text}{secret}".encode(), usedforsecurity=False).hexdigest()


def indexed(said: Said) -> list[Said]:
    """The tracks of a scrobble call, numbered from 0 or a single one without a number."""
    tracks: dict[int, Said] = {}
    plain = {name: said[name] for name in KEPT if name in said}
    for name, value in said.items():
        if found := re.fullmatch(r"(\w+)\[(\d+)\]", name):
            tracks.setdefault(int(found[2]), {})[found[1]] = value
    if plain and tracks:
        raise Failed(6, "Invalid parameters - Do not mix numbered and plain parameters")
    ordered = [tracks[number] for number in sorted(tracks)] or [plain]
    if len(ordered) > MOST or (tracks and sorted(tracks) != list(range(len(tracks)))):
        raise Failed(6)
    return ordered


def played(track: Said, **attributes: str) -> Element:
    """A track of the list of recent ones; the one that is playing now has no date."""
    stamp = track.get("timestamp")
    at = datetime.fromtimestamp(int(stamp), UTC) if stamp else None
    date = [leaf("date", f"{at:%d %b %Y, %H:%M}", uts=str(stamp))] if at else []
    names = [leaf("artist", track["artist"], mbid=""), leaf("name", track["track"]), leaf("mbid", "")]
    return tree("track", *names, leaf("album", track.get("album", ""), mbid=""), *date, **attributes)


# How it is written


def leaf(name: str, text: str, **attributes: str) -> Element:
    element = Element(name, attributes)
    element.text = text
    return element


def tree(name: str, *children: Element, **attributes: str) -> Element:
    element = Element(name, attributes)
    element.extend(children)
    return element


def written(element: Element | None, in_json: bool) -> Response:
    if in_json:
        return JSONResponse({} if element is None else {element.tag: as_json(element)})
    return as_xml(tree("lfm", *([] if element is None else [element]), status="ok"))


def refused(error: Failed, in_json: bool) -> Response:
    if in_json:
        return JSONResponse({"error": error.code, "message": error.message}, error.status)
    said = leaf("error", error.message, code=str(error.code))
    return as_xml(tree("lfm", said, status="failed"), error.status)


def as_xml(element: Element, status: int = 200) -> Response:
    text = ElementTree.tostring(element, encoding="unicode")
    head = '<?xml version="1.0" encoding="utf-8"?>\n'
    return Response(head + text, status, media_type="text/xml; charset=utf-8")


def as_json(element: Element) -> Any:
    """XML as Last.fm turns it into JSON: one child of a name is an object, several are a list."""
    if not len(element):
        text = element.text or ""
        plain: Any = int(text) if element.tag == "subscriber" else text
        return {**element.attrib, "#text": text} if element.attrib else plain
    told: dict[str, Any] = {}
    for child in element:
        told.setdefault(child.tag, []).append(as_json(child))
    told = {name: values[0] if len(values) == 1 else values for name, values in told.items()}
    counts = {
        name: int(value) if element.tag == "scrobbles" else value for name, value in element.attrib.items()
    }
    return {**told, "@attr": counts} if counts else told


if __name__ == "__main__":
    main(LastFM())
