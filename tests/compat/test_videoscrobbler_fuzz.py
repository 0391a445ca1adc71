"""Thousands of calls of any kind: none is answered with a fault of ours, and all that came in can be read."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from tests.compat._scrobbler import App, cinema, sign
from tests.soak_report import RecordProperty
from webhook.compat.videoscrobbler import endpoint, methods
from webhook.storage import tables

METHODS = [
    *("auth.getToken", "auth.getSession", "video.getInfo", "video.love", "video.scrobble", "user.getInfo"),
    *("user.getLovedVideos", "user.getRecentVideos", "user.getFriends"),
]
ODD = [
    *("", " ", "0", "-1", "1.5", "nan", "1e400", "9" * 400, "٣", "\0", "\ud7ff\ue000", "🎬" * 50, "<&\"'>"),
    *(
        "null",
        "true",
        "[]",
        "{}",
        "../..",
        "%00",
        "%",
        "&a=b",
        "x" * 1999,
        "x" * 2001,
        "\r\n\tSet-Cookie: a=b",
    ),
    *(
        "http://[",
        "http://\ud7ff/",
        "https://user:pw@x/",
        "//x",
        "http://x:0/",
        "tvdb:99999999999",
        "' OR 1=1",
    ),
]
FITTING: dict[str, list[str]] = {
    "id": [
        "1",
        "2",
        "3",
        "tmdb:3456",
        "tvdb:2345",
        "tvdb:7",
        "https://example.org/a",
        "http://youtu.be/abcdefg",
    ],
    "love": ["true", "false"],
    "position": ["0", "10", "61.5", "4000"],
    "state": ["playing", "paused", "stopped", "finished"],
    "origin": ["dvd", "file:720p", "tv:uk:BBC1West"],
    "username": ["me", "anna"],
    "user": ["me", "anna"],
    "type": ["film", "tv", "url", "all"],
    "n": ["1", "20", "200"],
    "page": ["1", "2"],
    "token": ["x"],
    "callback": ["f"],
}


def asked(dice: random.Random, app: App, keys: list[str]) -> dict[str, str]:
    """Parameters that mostly fit, with a signature that mostly does."""
    params = {name: dice.choice(FITTING[name]) for name in FITTING if dice.random() < 0.7}
    for name in dice.sample(sorted(params), dice.choice((0, 0, 1, 2)) if len(params) > 1 else 0):
        params[name] = dice.choice(ODD)
    params |= {"method": dice.choice(METHODS), "api_key": app.key, "sk": dice.choice(keys)}
    if dice.random() < 0.5:
        params["format"] = "json"
    if dice.random() < 0.05:
        params[dice.choice(["method", "api_key", "sk", "format", "x" * 300])] = dice.choice(ODD)
    params["api_sig"] = sign(params, app.secret) if dice.random() < 0.95 else dice.choice(ODD)
    return params


def fuzz(folder: Path, monkeypatch: pytest.MonkeyPatch, count: int, seed: int) -> dict[int, int]:
    """How many answers had which status."""
    monkeypatch.setattr(methods, "INTERPRET_TIMEOUT", 0.0)
    monkeypatch.setattr(endpoint.RateLimit, "take", lambda *given: None)
    dice, seen = random.Random(seed), dict[int, int]()  # noqa: S311 - it deals out requests
    with cinema(folder, WORKER="false") as at:
        at.home.person("anna")
        app = at.app()
        keys = [at.session("me", app).sk, at.session("anna", app).sk, at.anonymous(app).sk, "x"]
        for number in range(count):
            params = asked(dice, app, [key or "" for key in keys])
            verb = dice.choice(("GET", "POST", "HEAD"))
            given: dict[str, Any] = {"data": params} if verb == "POST" else {"params": params}
            answer = app.client.request(verb, "/api/1.0/", **given)
            assert answer.status_code < 500, (seed, number, verb, params, answer.text)
            seen[answer.status_code] = seen.get(answer.status_code, 0) + 1
            if number % 200 == 0:
                at.home.interpret()
        while at.home.do(waiting):
            at.home.interpret()
        assert at.home.do(quarantined) == 0
    return seen


def waiting(connection: Any) -> int:
    return int(connection.execute(in_state("received")).scalar_one())


def quarantined(connection: Any) -> int:
    return int(connection.execute(in_state("quarantined")).scalar_one())


def in_state(state: str) -> Any:
    return select(func.count()).where(tables.webhook.c.state == state)


@pytest.mark.parametrize("seed", [0, random.randrange(10**6)], ids=["known", "new"])  # noqa: S311 - as above
def test_no_call_is_a_fault_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    seen = fuzz(tmp_path, monkeypatch, 700, seed)

    assert seen[200] > 140
    assert {400, 403, 404} <= seen.keys()


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 102))
def test_no_call_of_many_more_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, record_property: RecordProperty
) -> None:
    seen = fuzz(tmp_path, monkeypatch, 40_000, seed)

    record_property("calls at random", sum(seen.values()))
    assert seen[200] > 8000
