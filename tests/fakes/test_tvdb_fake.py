from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from tests.fakes._server import Server
from tests.fakes._world import Part, Series, World
from tests.fakes.tvdb import CHANGED, Tvdb

pytestmark = pytest.mark.breaks_contracts  # it is the wrong calls whose refusal is looked at

LONG = Series(
    title="Long Runner", year=1990, ids={"tvdb": 70, "imdb": "tt0000070"},
    parts=[
        Part(season=1, number=n, ids={"tvdb": 1000 + n}, absolute=n, dvd=(1, 601 - n), aired="1990-01-01")
        for n in range(1, 601)
    ],
)  # fmt: skip


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(Tvdb(World([], [LONG]))) as running:
        yield running


def login(server: Server, **given: str) -> httpx.Response:
    key = {"apikey": server.fake.switches.key}
    return httpx.post(f"{server.url}/v4/login", json={**key, **given})


def get(server: Server, path: str, headers: dict[str, str] | None = None, **params: Any) -> httpx.Response:
    token = login(server).json()["data"]["token"]
    sent = {"Authorization": f"Bearer {token}", **(headers or {})}
    return httpx.get(f"{server.url}/v4{path}", params=params, headers=sent)


def test_a_wrong_key_is_refused_in_an_envelope(server: Server) -> None:
    answer = login(server, apikey="wrong")

    assert (answer.status_code, answer.json()["status"], answer.json()["data"]) == (401, "failure", None)


def test_a_user_supported_key_wants_its_pin(server: Server) -> None:
    server.fake.switches.pin = "PIN"

    assert login(server).status_code == 400
    assert login(server, pin="PIN").status_code == 200


def test_a_token_expires(server: Server) -> None:
    token = login(server).json()["data"]["token"]
    server.fake.clock.advance(timedelta(days=31))

    answer = httpx.get(f"{server.url}/v4/series/70", headers={"Authorization": f"Bearer {token}"})

    assert answer.status_code == 401


def test_pages_begin_at_0_and_hold_500(server: Server) -> None:
    first = get(server, "/series/70/episodes/default", page="0").json()
    second = get(server, "/series/70/episodes/default", page="1").json()

    assert (len(first["data"]["episodes"]), len(second["data"]["episodes"])) == (500, 100)
    assert (first["links"]["total_items"], second["links"]["next"]) == (600, None)


def test_the_page_must_be_named_and_a_number_needs_its_season(server: Server) -> None:
    assert get(server, "/series/70/episodes/default").status_code == 400
    assert get(server, "/series/70/episodes/default", page="0", episodeNumber="1").status_code == 400


def test_each_order_has_its_own_numbers(server: Server) -> None:
    asked: dict[str, Any] = {"page": "0", "season": "1", "episodeNumber": "600"}

    (dvd,) = get(server, "/series/70/episodes/dvd", **asked).json()["data"]["episodes"]
    (absolute,) = get(server, "/series/70/episodes/absolute", **asked).json()["data"]["episodes"]

    assert (dvd["id"], absolute["id"]) == (1001, 1600)


def test_what_has_not_changed_is_304(server: Server) -> None:
    assert get(server, "/series/70", {"If-Modified-Since": CHANGED}).status_code == 304


def test_a_remote_id_says_of_which_kind_it_is(server: Server) -> None:
    assert list(get(server, "/search/remoteid/tt0000070").json()["data"][0]) == ["series"]
    assert get(server, "/search/remoteid/tt0000071").status_code == 404
