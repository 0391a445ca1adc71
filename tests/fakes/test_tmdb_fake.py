from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.fakes._server import Server
from tests.fakes._world import Film, Part, Series, World
from tests.fakes.tmdb import Tmdb

pytestmark = pytest.mark.breaks_contracts  # it is the wrong calls whose refusal is looked at

WORLD = World(
    [Film(title="Harbour Lights", year=2016, ids={"tmdb": 1, "imdb": "tt0000001"})],
    [
        Series(
            title="Lantern Street", year=1994, ids={"tmdb": 1, "tvdb": 70, "imdb": "tt0000070"},
            parts=[Part(season=0, number=1, ids={"tmdb": 9, "tvdb": 700, "imdb": None}, aired="1994-03-01")],
        )
    ],
)  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(Tmdb(WORLD)) as running:
        yield running


def get(server: Server, path: str, **params: Any) -> httpx.Response:
    server.fake.calls.clear()
    headers = {"Authorization": f"Bearer {server.fake.switches.token}"}
    return httpx.get(f"{server.url}/3{path}", params=params, headers=headers)


def test_a_call_without_a_key_is_refused_in_its_words(server: Server) -> None:
    answer = httpx.get(f"{server.url}/3/movie/1")

    assert (answer.status_code, answer.json()["status_code"]) == (401, 7)


def test_a_key_in_the_address_is_as_good_as_a_token(server: Server) -> None:
    key = server.fake.switches.key

    assert httpx.get(f"{server.url}/3/movie/1", params={"api_key": key}).status_code == 200


def test_what_is_not_there_is_34(server: Server) -> None:
    answer = get(server, "/movie/2")

    assert (answer.status_code, answer.json()["status_code"]) == (404, 34)


def test_nothing_found_is_five_empty_lists(server: Server) -> None:
    answer = get(server, "/find/tt9999999", external_source="imdb_id")

    assert answer.status_code == 200
    assert list(answer.json().values()) == [[], [], [], [], []]


def test_a_tvdb_number_finds_shows_and_episodes_and_no_films(server: Server) -> None:
    assert get(server, "/find/70", external_source="tvdb_id").json()["tv_results"][0]["id"] == 1
    assert get(server, "/find/700", external_source="tvdb_id").json()["tv_episode_results"][0]["show_id"] == 1


def test_details_bring_the_other_ids_when_asked_for(server: Server) -> None:
    with_ids = get(server, "/tv/1/season/0/episode/1", append_to_response="external_ids").json()

    assert with_ids["external_ids"]["tvdb_id"] == 700
    assert "external_ids" not in get(server, "/tv/1").json()


@pytest.mark.parametrize(("page", "status"), [("0", 400), ("501", 400), ("1", 200), ("500", 200)])
def test_pages_are_1_to_500(server: Server, page: str, status: int) -> None:
    assert get(server, "/search/movie", query="harbour", page=page).status_code == status


def test_a_picture_is_public(server: Server) -> None:
    assert httpx.get(f"{server.url}/t/p/w342/film1.jpg").headers["content-type"] == "image/jpeg"
