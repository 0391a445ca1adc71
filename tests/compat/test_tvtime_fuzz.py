"""Thousands of requests at random: whatever is asked, nothing of ours fails, and nobody else is touched."""

# ruff: noqa: S311 - dice need no cryptography

from __future__ import annotations

import asyncio
import base64
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.compat._tvtime import BOYS, OFFICE, Box, boxed, connect
from tests.fakes._server import Server
from tests.fakes.tvtime import TVTime
from tests.soak_report import RecordProperty
from tests.web.conftest import PASSWORD

FOLLOW = "https://api2.tozelabs.com/v2/show/{id}/follow"
FEW, MANY, AT_ONCE = 3_000, 40_000, 8
METHODS = ("GET", "GET", "PUT", "DELETE", "POST", "PATCH", "HEAD", "OPTIONS", "TRACE")
NUMBERS = (
    "0",
    "1",
    "-1",
    "007",
    "73244",
    "355567",
    "5200001",
    "5200003",
    "9" * 18,
    "9" * 19,
    "9" * 5000,
    "1e3",
    "٣",
    "%00",
    "½",
)
WORDS = (
    "",
    "a",
    "episode",
    "../..",
    "%2e%2e",
    "%ff",
    "null",
    "'; DROP TABLE play;--",
    "{{7*7}}",
    "\u0000",
    "x" * 3000,
    "😀",
)
HOSTS = (
    "api2.tozelabs.com",
    "msapi.tvtime.com",
    "auth.tvtime.com",
    "search.tvtime.com",
    "example.com",
    "[",
    "",
)
PATHS = (
    "/v2/user", "/v2/user/{n}", "/v2/user/{n}/jwt", "/v2/user/{n}/to_watch", "/v1/login",
    "/v2/watched_episodes/episode/{n}", "/v2/watched_episodes/show/{n}/until/episode/{n}", "/v2/episode/{n}",
    "/v2/show/{n}/extended", "/v1/search/{w}", "/v1/search/series,movie", "/prod/v1/tracking/{w}/watch",
    "/prod/v1/tracking/cgw/follows/user/{n}", "/prod/v1/tracking/watches/user/{n}", "/v1/series/{n}/episodes",
    "/prod/v1/movies/{w}", "/{w}",
)  # fmt: skip
OWN = (
    "/shows",
    "/show/{n}",
    "/show/{n}/follow",
    "/episode/{n}/watched",
    "/login",
    "/",
    "/{w}",
    "/show/{n}/{w}",
)
NAMES = (
    "o",
    "o_b64",
    "is_rewatch",
    "fields",
    "filter",
    "entity_type",
    "page_offset",
    "page_limit",
    "q",
    "limit",
    "offset",
)
VALUES = (
    "1",
    "0",
    "-5",
    "9" * 30,
    "movie",
    "episode",
    "series",
    "shows",
    "tt0133093",
    "169",
    "not_started_yet",
    *WORDS,
)
TYPES = (
    "application/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "text/plain",
    "multipart/form-data",
    "",
)


@dataclass(frozen=True)
class Keys:
    """What a signed-in request shows."""

    cookie: str
    token: str
    uid: int


class Dice:
    """Requests, at random and the same for the same seed."""

    def __init__(self, seed: int, keys: Keys) -> None:
        self.dice, self.keys = random.Random(seed), keys

    def one(self, many: Sequence[str]) -> str:
        return self.dice.choice(many)

    def filled(self, path: str) -> str:
        while "{n}" in path:
            number = str(self.keys.uid) if self.dice.random() < 0.2 else self.one(NUMBERS)
            path = path.replace("{n}", number, 1)
        return path.replace("{w}", self.one(WORDS))

    def request(self) -> dict[str, Any]:
        make: Callable[[], dict[str, Any]] = self.dice.choice([self.plain, self.wrapped])
        headers = {"Content-Type": self.one(TYPES)}
        if self.dice.random() < 0.8:
            headers["Cookie"] = f"session={self.spoilt(self.keys.cookie)}"
            headers["Authorization"] = f"Bearer {self.spoilt(self.keys.token)}"
        if self.dice.random() < 0.1:
            headers["jwt_refresh_token"] = self.spoilt(self.keys.token)
        if self.dice.random() < 0.1:
            headers["page-limit"] = self.dice.choice(["0", "-1", "x", "9" * 40])
        return {"method": self.one(METHODS), "headers": headers, "content": self.body(), **make()}

    def spoilt(self, secret: str) -> str:
        if self.dice.random() < 0.85:
            return secret
        where = self.dice.randrange(len(secret))
        return secret[:where] + self.one("Aa0._-=") + secret[where + 1 :]

    def plain(self) -> dict[str, Any]:
        return {"url": "/tvtime" + self.filled(self.one(OWN)).replace("\0", "%00")}

    def wrapped(self) -> dict[str, Any]:
        upstream = f"https://{self.one(HOSTS[:4] * 4 + HOSTS)}{self.filled(self.one(PATHS))}"
        if self.dice.random() < 0.3:
            encoded = base64.b64encode(upstream.encode()).decode()[: self.dice.randrange(400)]
            params = [("o_b64", encoded)]
        else:
            params = [("o", upstream)]
        params += [(self.one(NAMES[2:]), self.one(VALUES)) for _ in range(self.dice.randrange(4))]
        if self.dice.random() < 0.05:
            params = [(self.one(NAMES), self.one(VALUES))]
        return {"url": "/tvtime/sidecar", "params": params}

    def body(self) -> bytes:
        known = [
            b"", b"{}", b"[]", b"null", b"{", b'{"username": "me", "password": "x"}', b"username=me&password=x",
            b"username=%00&password=%ff", b"--x\r\n\r\n--x--", b"\xff\xfe", b"a=b&" * 200, b"x" * 70_000,
            b'--x\r\nContent-Disposition: form-data; name="username"\r\n\r\nme\r\n--x--\r\n',
        ]  # fmt: skip
        return self.dice.choice(known)


async def poured(
    box: Box, keys: Keys, seed: int, count: int, may: frozenset[int] = frozenset()
) -> dict[int, int]:
    """How often each status was answered, of so many requests, a few at once; failures only as far as they may be."""
    dice, statuses = Dice(seed, keys), dict[int, int]()
    requests = iter([dice.request() for _ in range(count)])

    async def worker(http: httpx.AsyncClient) -> None:
        for given in requests:
            answer = await http.request(**given)
            statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
            assert answer.status_code < 500 or answer.status_code in may, (given, answer.text)
            check(given, answer)

    async with httpx.AsyncClient(base_url=box.url, timeout=60) as http:
        await asyncio.gather(*(worker(http) for _ in range(AT_ONCE)))
    return statuses


def check(given: dict[str, Any], answer: httpx.Response) -> None:
    if not answer.url.path.startswith("/tvtime/") or given["method"] == "HEAD":
        return  # dots in a path lead elsewhere
    if answer.status_code == 405:
        assert answer.headers["content-type"].startswith("text/html")
    elif "sidecar" not in answer.url.path:
        assert answer.json().get("status", "OK") == ("OK" if answer.is_success else "KO")
    assert "Traceback" not in answer.text


def fuzzed(folder: Path, count: int, seed: int) -> None:
    print(f"seed {seed}")  # noqa: T201 - shown where it fails
    with boxed(folder) as box:
        ben = box.other()
        ben.follow(OFFICE)
        bens = ben.signed_in()
        bens.put(f"/tvtime/episode/{BOYS.id_of(1, 1)}/watched")
        before = [bens.get(path).text for path in ("/tvtime/shows", f"/tvtime/show/{BOYS.tvdb}")]
        anna = box.signed_in()
        login = {"o": "https://auth.tvtime.com/v1/login"}
        given = {"username": box.name, "password": PASSWORD}
        told = anna.post("/tvtime/sidecar", params=login, json=given).json()["data"]
        keys = Keys(anna.cookies["session"], told["jwt_token"], box.person_id)

        statuses = asyncio.run(poured(box, keys, seed, count))

        assert sum(statuses.values()) == count
        assert {200, 400, 401, 404, 405} <= statuses.keys(), statuses
        assert [bens.get(path).text for path in ("/tvtime/shows", f"/tvtime/show/{BOYS.tvdb}")] == before
        assert len(ben.plays()) == 1
        assert anna.get("/tvtime/shows").status_code == 200


def test_requests_at_random_break_nothing(tmp_path: Path) -> None:
    fuzzed(tmp_path, FEW, random.randrange(10**6))


def test_requests_at_random_through_a_server_break_nothing(tmp_path: Path) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")  # noqa: T201 - shown where it fails
    with Server(TVTime()) as server:
        settings = {"TVTIME_URL": server.url, "TVTIME_FOLLOW_URL": FOLLOW, "TVTIME_WRITES_PER_SECOND": "0"}
        with boxed(tmp_path, **settings) as box:
            ben = server.fake.add_user("ben", "secret")
            connect(box, server.fake.add_user("anna", "secret").tokens)
            server.fake.faults.add("", status=503, times=50, skip=200)
            keys = Keys(box.signed_in().cookies["session"], "none", box.person_id)

            statuses = asyncio.run(poured(box, keys, seed, FEW // 2, frozenset({502})))

            assert {200, 401, 404, 405, 502} <= statuses.keys(), statuses
            assert not ben.watched
            assert not ben.followed


@pytest.mark.soak
@pytest.mark.parametrize("seed", [1, 2])
def test_many_more_requests_at_random_break_nothing(
    tmp_path: Path, seed: int, record_property: RecordProperty
) -> None:
    fuzzed(tmp_path, MANY, seed)
    record_property("requests at random", MANY)
