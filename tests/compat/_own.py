"""Watchmark's own TV Time, where the tests of the client put the fake one.

A real service over HTTP, behind a network that logs, and that goes wrong on demand as a fake does. Every
`Own` is another person of one household, who has a TheTVDB (a fake) to ask.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import jwt
from argon2 import PasswordHasher
from sqlalchemy import Connection
from starlette.types import Receive, Scope, Send

from tests.compat._tvtime import Box, boxed, somebody, with_password
from tests.fakes import tvtime
from tests.fakes._server import Clock, Exchange, Fake, Server, whole
from tests.fakes._world import Film, Part, Series, World
from tests.fakes.tvdb import Tvdb
from webhook.compat.tvtime import auth, shelf
from webhook.compat.tvtime.catalog import make_uuid, uuid_of
from webhook.domain.event import Action, Episode, Event, Ids
from webhook.history import plays

HASHED = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash("secret")
HOME = contextlib.ExitStack()
OPENED: list[Box] = []


def world() -> World:
    """The films and shows that the tests of the client are about, as TheTVDB knows them."""
    found = World()
    for movie in (tvtime.MATRIX, tvtime.NOBODY):
        found.add(Film(title=movie.name, year=None, ids={"tvdb": movie.id, "imdb": movie.imdb_id}))
    for show in dict.fromkeys(one.show for one in tvtime.EPISODES):
        mine = [one for one in tvtime.EPISODES if one.show == show]
        parts = [
            Part(season=one.season, number=one.number, ids={"tvdb": one.id}, aired="2020-01-02")
            for one in mine
        ]
        found.add(Series(title=mine[0].name, year=None, ids={"tvdb": show}, parts=parts))
    pilot = Part(season=1, number=1, ids={"tvdb": 349232}, title="Pilot", aired="2008-01-20")
    return found.add(Series(title="Breaking Bad", year=2008, ids={"tvdb": 81189}, parts=[pilot]))


def home() -> Box:
    """The household, opened when it is first wanted."""
    if not OPENED:
        folder = Path(HOME.enter_context(tempfile.TemporaryDirectory()))
        lookup = HOME.enter_context(Server(Tvdb(world())))
        settings = {"TVDB_API_KEY": lookup.fake.switches.key, "TVDB_API_URL": f"{lookup.url}/v4"}
        OPENED.append(HOME.enter_context(boxed(folder, **settings)))
    return OPENED[0]


def close() -> None:
    OPENED.clear()
    HOME.close()


@dataclass
class Viewing:
    at: datetime
    rewatch_count: int


class User:
    """The person, seen as the tests see a user of the fake."""

    def __init__(self, box: Box, tokens: dict[str, str]) -> None:
        self.box, self.tokens = box, tokens
        self.id, self.name = box.person_id, box.name

    @property
    def watched(self) -> dict[int, Viewing]:
        found = self.box.home.do(lambda connection: shelf.watched_episodes(connection, self.id))
        return {number: viewing(one) for number, one in found}

    @property
    def movies(self) -> dict[str, Viewing]:
        found = self.box.home.do(lambda connection: shelf.movies(connection, self.id))
        return {uuid_of(film.ids) or "": viewing(one) for film, one in found}

    @property
    def followed(self) -> list[int]:
        found = self.box.home.do(lambda connection: shelf.read_followed_shows(connection, self.id))
        return [show.tvdb for show in found]


def viewing(one: shelf.WatchSummary) -> Viewing:
    return Viewing(one.first, one.count - 1)


class Passing(Clock):
    """The time as the service is made to see it: what it remembers, tokens too, is so much longer ago."""

    def __init__(self, passes: Callable[[timedelta], None]) -> None:
        super().__init__()
        self.passes = passes

    def advance(self, by: timedelta | float) -> None:
        super().advance(by)
        self.passes(by if isinstance(by, timedelta) else timedelta(seconds=by))


class Own(Fake):
    def __init__(self) -> None:
        super().__init__(clock=Passing(self.time_passes))
        self.box = home()
        self.users: dict[str, User] = {}
        self.seen: set[str] = set()
        self.aged: dict[str, timedelta] = {}

    # --- people

    def add_user(self, name: str = "", password: str | None = None) -> User:
        """Somebody new, signed in once; what they are called is theirs alone, so `name` is not. Without password: cannot sign in."""
        box = somebody(self.box.home)
        if password is None:
            box.home.do(lambda connection: with_password(connection, box.name, ""))
            return User(box, {})
        box.home.do(lambda connection: with_password(connection, box.name, HASHED))
        told = box.client().post(
            "/tvtime/sidecar",
            params={"o": "https://auth.tvtime.com/v1/login"},
            json={"username": box.name, "password": "secret"},
        )
        data = told.json()["data"]
        self.users[name or box.name] = User(box, {**data, "id": str(data["id"])})
        self.seen.add(data["jwt_token"])
        return self.users[name or box.name]

    def end(self, name: str, *kinds: str) -> None:
        """Access tokens end by their age, all tokens by another password."""
        user = self.users[name]
        if "refresh" in kinds:
            user.box.home.do(lambda connection: with_password(connection, user.name, HASHED + "x"))
        elif "access" in kinds:
            self.aged |= dict.fromkeys(self.seen, auth.ACCESS_LIFE)

    def time_passes(self, by: timedelta) -> None:
        self.aged = {token: self.aged.get(token, timedelta(0)) + by for token in self.seen}
        for user in self.users.values():
            user.box.time_passes(by)

    def holds(self, hours: Iterable[int], now: datetime) -> None:
        """Puts viewings of episodes into Anna's history, so many hours before now."""
        anna = self.users["anna"]

        def change(connection: Connection) -> None:
            for ago in hours:
                item = Episode(ids=Ids(tvdb=900_000 + ago))
                event = Event(action=Action.WATCHED, item=item, at=now - timedelta(hours=ago), recorded=True)
                plays.apply(connection, anna.id, event, "plex", 80)

        anna.box.home.do(change)

    # --- the network

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body = await whole(receive)
        if body is None:
            return
        shown = tvtime.unwrapped(scope) if scope["path"] == "/tvtime/sidecar" else scope
        call = self.log(shown, body)
        app: Any = partial(self.forward, body)
        await Exchange(app, scope, body, call, receive, send).run(self.faults.take(call))

    async def forward(self, body: bytes, scope: Scope, receive: Receive, send: Send) -> None:
        """The call, made to the service, and its answer."""
        url = f"{self.box.url}{scope['path']}?{scope['query_string'].decode()}"
        async with httpx.AsyncClient(verify=False, timeout=20) as http:
            answer = await http.request(scope["method"], url, headers=self.told(scope), content=body)
        self.notice(answer)
        headers = [(b"content-type", answer.headers["content-type"].encode())]
        await send({"type": "http.response.start", "status": answer.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": answer.content})

    def told(self, scope: Scope) -> list[tuple[bytes, bytes]]:
        """The headers; a token that has aged since is sent as it would be by then."""
        kept = [pair for pair in scope["headers"] if pair[0] not in (b"host", b"content-length")]
        return [
            (name, self.as_it_is_now(value) if name == b"authorization" else value) for name, value in kept
        ]

    def as_it_is_now(self, value: bytes) -> bytes:
        token = value.decode().removeprefix("Bearer ")
        if token not in self.aged:
            return value
        key = auth.token_key(self.box.home.service.seal.signing)
        claims = dict(auth.decode_token(key, token, aged=True))
        claims["exp"] -= int(self.aged[token].total_seconds()) + 1
        return f"Bearer {jwt.encode(claims, key)}".encode()

    def notice(self, answer: httpx.Response) -> None:
        """Remember the tokens that are given out."""
        with contextlib.suppress(json.JSONDecodeError):
            told: Any = answer.json()
            given: Any = told.get("data", told) if isinstance(told, Mapping) else {}
            if isinstance(given, Mapping) and "jwt_token" in given:
                self.seen.add(given["jwt_token"])


def uuid_at(fake: Fake, movie: tvtime.Movie) -> str:
    """A movie's uuid there: TV Time had its own, and the one here holds TheTVDB's id."""
    return make_uuid("tvdb", movie.id) if isinstance(fake, Own) else movie.uuid
