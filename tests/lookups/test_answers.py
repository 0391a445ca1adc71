"""Each lookup alone, with respx in the place of its service: every answer is a result, nothing, or an error."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import httpx
import pytest
import respx
from pydantic import SecretStr

from webhook import client
from webhook.domain.event import Episode, Ids, Kind, Movie
from webhook.domain.outcome import Dead, Retry, Snooze
from webhook.lookups import Checks, ListedEpisode, Lookup, tmdb, trakt, tvdb

pytestmark = pytest.mark.unit

Answers = Mapping[str, Any]
"""The answer to each path: JSON of a success, a response, or an error of the connection."""

BUILD: Mapping[str, Callable[[httpx.AsyncClient], Lookup]] = {
    "tmdb": lambda http: tmdb.build(
        tmdb.Settings(token=SecretStr("head.payload.signature"), api_url="http://tmdb/3"), http
    ),
    "tvdb": lambda http: tvdb.build(
        tvdb.Settings(api_key=SecretStr("11111111-2222"), api_url="http://tvdb/v4"), http
    ),
    "trakt": lambda http: trakt.build(trakt.Settings(client_id="client-id", api_url="http://trakt"), http),
}
LOGIN = {"POST /v4/login": {"status": "success", "data": {"token": "jwt"}}}
EVERY = sorted(BUILD)


def ask(name: str, answers: Answers, work: Callable[[Lookup], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        async with client.client() as http:
            return await work(BUILD[name](http))

    with respx.mock(assert_all_called=False) as router:
        for path, answer in {**LOGIN, **answers}.items():
            method, _, place = path.rpartition(" ")
            route = router.route(method=method or "GET", path__regex=f"^{place}$")
            if isinstance(answer, Exception):
                route.mock(side_effect=answer)
            else:
                route.mock(answer if isinstance(answer, httpx.Response) else httpx.Response(200, json=answer))
        return asyncio.run(run())


def find(name: str, item: Movie | Episode, answers: Answers) -> Any:
    return ask(name, answers, lambda lookup: lookup.find(item))


# --- trouble, which is the same for every lookup

FILM = Movie(title="Harbour Lights", year=2016, ids=Ids(imdb="tt0005001"))
TROUBLE: list[tuple[Any, float | None]] = [
    *((httpx.Response(status, json={}), None) for status in (403, 420, 423, 426, 408, 425, 501, 503)),
    *((httpx.Response(status, json={}), 60) for status in (500, 502, 504, 520, 521, 522, 524)),
    (httpx.Response(429, json={}), 300),
    (httpx.Response(429, json={}, headers={"Retry-After": "7"}), 7),
    (httpx.Response(503, json={}, headers={"Retry-After": "41"}), 41),
    (httpx.Response(200, text="<html>maintenance</html>"), 60),
    (httpx.Response(200, text='{"data": {"id'), 60),
    (httpx.ConnectError("refused"), None),
    (httpx.ConnectTimeout("nobody"), None),
    (httpx.ReadTimeout("silence"), 60),
    (httpx.RemoteProtocolError("cut"), 60),
]


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize(("answer", "after"), TROUBLE)
def test_trouble_is_a_retry_of_the_delivery_and_not_of_its_account(
    name: str, answer: Any, after: float | None
) -> None:
    with pytest.raises(Retry) as caught:
        find(name, FILM, {"/.*": answer})

    assert not caught.value.lane
    assert caught.value.after is None if after is None else caught.value.after.total_seconds() == after  # type: ignore[union-attr]


@pytest.mark.parametrize("name", EVERY)
def test_a_key_that_is_not_accepted_is_a_retry_of_the_delivery(name: str) -> None:
    with pytest.raises(Retry) as caught:
        find(name, FILM, {"/.*": httpx.Response(401, json={"message": "Invalid API key"})})

    assert not caught.value.lane


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("status", [400, 404, 422])
def test_an_item_that_the_service_does_not_know_is_nothing(name: str, status: int) -> None:
    assert find(name, FILM, {"/.*": httpx.Response(status, json={"status_code": 34})}) is None


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("body", [[], {}, 3, {"movie_results": None}, {"movie_results": [{"id": "x"}, 7]}])
def test_an_answer_of_another_shape_is_nothing(name: str, body: Any) -> None:
    async def everything(lookup: Lookup) -> Any:
        return await lookup.find(FILM), await lookup.search(FILM), await lookup.episodes(Ids(tmdb=1, tvdb=1))

    assert ask(name, {"/.*": body}, everything) == (None, [], None)


# --- TMDB


def test_tmdb_finds_a_film_by_its_imdb_id() -> None:
    row = {"id": 55001, "title": "Harbour Lights", "release_date": "2016-03-01"}

    found = find("tmdb", FILM, {"/3/find/tt0005001": {"movie_results": [row], "tv_results": []}})

    assert found.ids == Ids(imdb="tt0005001", tmdb=55001)


def test_tmdb_finds_nothing_in_five_empty_lists() -> None:
    kinds = ("movie", "person", "tv", "tv_episode", "tv_season")

    assert find("tmdb", FILM, {"/3/find/tt0005001": {f"{kind}_results": [] for kind in kinds}}) is None


def test_tmdb_finds_the_show_and_the_place_of_an_episode() -> None:
    hit = {"id": 62085, "show_id": 1396, "season_number": 1, "episode_number": 1}
    show = {"id": 1396, "name": "Tidewater", "external_ids": {"tvdb_id": 81189, "imdb_id": "tt0903747"}}
    episode = {**hit, "name": "Pilot", "air_date": "2008-01-20", "external_ids": {"tvdb_id": 349232}}
    answers = {
        "/3/find/tt0959621": {"tv_episode_results": [hit]},
        "/3/tv/1396": show,
        "/3/tv/1396/season/1/episode/1": episode,
    }

    found = find("tmdb", Episode(show="Tidewater", ids=Ids(imdb="tt0959621")), answers)

    assert (found.season, found.number, found.title) == (1, 1, "Pilot")
    assert found.ids == Ids(imdb="tt0959621", tmdb=62085, tvdb=349232)
    assert found.show_ids == Ids(tmdb=1396, tvdb=81189, imdb="tt0903747")


def test_tmdb_lists_the_seasons_one_by_one() -> None:
    answers = {
        "/3/tv/1396": {"seasons": [{"season_number": 0}, {"season_number": 1}]},
        "/3/tv/1396/season/0": {"episodes": []},
        "/3/tv/1396/season/1": {
            "episodes": [{"id": 62085, "episode_number": 1, "air_date": "2008-01-20", "runtime": 58}]
        },
    }

    found = ask("tmdb", answers, lambda lookup: lookup.episodes(Ids(tmdb=1396)))

    assert found == [ListedEpisode(season=1, number=1, aired="2008-01-20", ids=Ids(tmdb=62085), minutes=58)]


def test_tmdb_searches_by_title_and_scores_the_year() -> None:
    rows = [
        {"id": 2, "title": "Harbour Lights", "release_date": "1974-01-01"},
        {"id": 1, "title": "Harbour Lights", "release_date": "2016-03-01", "poster_path": "/film1.jpg"},
    ]

    found = ask("tmdb", {"/3/search/movie": {"results": rows}}, lambda lookup: lookup.search(FILM))

    assert [(one.ids.tmdb, one.score) for one in found] == [(1, 1.0), (2, 0.7)]
    assert found[0].picture == "https://image.tmdb.org/t/p/w342/film1.jpg"


# --- TheTVDB


def test_tvdb_finds_a_film_by_another_services_id() -> None:
    film = {"id": 5001, "name": "Harbour Lights", "year": "2016"}
    remote = [{"id": "tt0005001", "sourceName": "IMDB"}, {"id": "55001", "sourceName": "TheMovieDB.com"}]
    answers = {
        "/v4/search/remoteid/tt0005001": {"data": [{"series": {"id": 1}}, {"movie": {"id": 5001}}]},
        "/v4/movies/5001/extended": {"data": {**film, "remoteIds": remote}},
    }

    assert find("tvdb", FILM, answers).ids == Ids(imdb="tt0005001", tvdb=5001, tmdb=55001)


def test_tvdb_finds_an_episode_by_its_place() -> None:
    row = {"id": 349232, "seasonNumber": 1, "number": 1}
    answers = {
        "/v4/series/81189/extended": {"data": {"id": 81189, "name": "Tidewater", "year": "2008"}},
        "/v4/series/81189/episodes/default": {"data": {"episodes": [row]}},
        "/v4/episodes/349232/extended": {"data": {**row, "seriesId": 81189, "aired": "2008-01-20"}},
    }

    found = find("tvdb", Episode(season=1, number=1, show_ids=Ids(tvdb=81189)), answers)

    assert (found.ids, found.show) == (Ids(tvdb=349232), "Tidewater")


@pytest.mark.parametrize(("status", "words"), [(401, "InvalidAPIKey"), (400, "pin required")])
def test_tvdb_says_why_its_key_is_not_accepted(status: int, words: str) -> None:
    refused = httpx.Response(status, json={"status": "failure", "message": words, "data": None})

    with pytest.raises(Retry, match=f"TVDB_API_KEY.*{words}") as caught:
        find("tvdb", FILM, {"POST /v4/login": refused})

    assert caught.value.after is not None
    assert (caught.value.lane, caught.value.after.total_seconds()) == (False, 3600)


@pytest.mark.parametrize("answer", [{}, {"data": None}, {"data": {"token": ""}}, []])
def test_tvdb_without_a_token_is_a_retry(answer: Any) -> None:
    with pytest.raises(Retry, match="without a token"):
        find("tvdb", FILM, {"POST /v4/login": answer})


# --- Trakt


def test_trakt_finds_nothing_in_an_empty_list() -> None:
    assert find("trakt", FILM, {"/search/imdb/tt0005001": []}) is None


def test_trakt_finds_a_film_by_its_imdb_id() -> None:
    ids = {"trakt": 95001, "slug": "harbour-lights-2016", "imdb": "tt0005001", "tmdb": 55001}
    hit = {"type": "movie", "movie": {"title": "Harbour Lights", "year": 2016, "ids": ids}}

    found = find("trakt", FILM, {"/search/imdb/tt0005001": [hit]})

    assert found.ids == Ids(imdb="tt0005001", trakt=95001, tmdb=55001, slug="harbour-lights-2016")


def test_trakt_refuses_a_film_of_another_year() -> None:
    hit = {"movie": {"title": "Harbour Lights", "year": 1974, "ids": {"trakt": 95002, "imdb": "tt0005001"}}}

    assert find("trakt", FILM, {"/search/imdb/tt0005001": [hit]}) is None


def test_trakt_finds_an_episode_with_its_show() -> None:
    hit = {
        "type": "episode",
        "episode": {"season": 2, "number": 3, "title": "Ebb", "ids": {"trakt": 73641, "tvdb": 349234}},
        "show": {"title": "Tidewater", "year": 2008, "ids": {"trakt": 1388, "tvdb": 81189}},
    }

    found = find("trakt", Episode(show="Tidewater", ids=Ids(tvdb=349234)), {"/search/tvdb/349234": [hit]})

    assert (found.season, found.number) == (2, 3)
    assert (found.ids.trakt, found.show_ids.trakt) == (73641, 1388)


def test_trakt_searches_by_title() -> None:
    film = {"title": "Harbour Lights", "year": 2016, "ids": {"trakt": 95001}}

    (found,) = ask(
        "trakt", {"/search/movie": [{"score": 30.1, "movie": film}]}, lambda lookup: lookup.search(FILM)
    )

    assert (found.kind, found.ids.trakt, found.score) == (Kind.MOVIE, 95001, 1.0)


# --- trying a key


@pytest.mark.parametrize("name", ["tmdb", "tvdb"])
def test_a_key_that_works_gives_the_name_of_the_service(name: str) -> None:
    async def check(lookup: Checks) -> str:
        return await lookup.check()

    assert ask(name, {"/3/configuration": {}}, check) == {"tmdb": "TMDB", "tvdb": "TheTVDB"}[name]  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "path"), [("tmdb", "GET /3/configuration"), ("tvdb", "POST /v4/login")])
@pytest.mark.parametrize(("status", "error"), [(401, Dead), (429, Snooze), (503, Retry)])
def test_a_key_that_is_tried_is_refused_or_tried_later(
    name: str, path: str, status: int, error: type[Exception]
) -> None:
    async def check(lookup: Checks) -> str:
        return await lookup.check()

    with pytest.raises(error):
        ask(name, {path: httpx.Response(status, json={})}, check)  # type: ignore[arg-type]
