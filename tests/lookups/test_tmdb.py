from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pydantic import SecretStr

from tests.identity.world import Services, everything
from webhook.client import Recorder, recording
from webhook.domain.event import Episode, Ids, Kind, Movie
from webhook.lookups import ListedEpisode, Lookup, tmdb

FILM = Movie(title="Harbour Lights", year=2016, ids=Ids(imdb="tt0005001"))


def at_tmdb(work: Callable[[Lookup, Services], Awaitable[Any]], token: str | None = None) -> Any:
    async def run() -> Any:
        services = Services(everything())
        given = token or services.tmdb.switches.token
        lookup = tmdb.build(tmdb.Settings(token=SecretStr(given), api_url="http://tmdb/3"), services.http)
        try:
            return await work(lookup, services)
        finally:
            await services.http.aclose()

    return asyncio.run(run())


@pytest.mark.parametrize("token", ["head.payload.signature", "0123456789abcdef0123456789abcdef"])
def test_a_read_token_and_an_api_key_are_told_apart_by_their_shape(token: str) -> None:
    async def found(lookup: Lookup, services: Services) -> Any:
        return await lookup.find(FILM), services.tmdb.calls[-1]

    film, call = at_tmdb(found, token)

    assert film.ids.tmdb == 55001
    assert (call.headers.get("authorization") is not None) == ("." in token)
    assert ("api_key=" in call.query) == ("." not in token)


def test_an_api_key_is_not_kept_in_the_trace() -> None:
    async def traced(lookup: Lookup, services: Services) -> Recorder:
        with recording(Recorder()) as kept:
            await lookup.find(FILM)
        return kept

    assert at_tmdb(traced, "0123456789abcdef0123456789abcdef").exchanges == []


def test_an_episodes_own_id_gives_its_show_and_its_place() -> None:
    item = Episode(show="Lantern Street", ids=Ids(imdb="tt07000203"))

    found = at_tmdb(lambda lookup, services: lookup.find(item))

    assert (found.season, found.number) == (2, 3)
    assert found.show_ids.tvdb == 7000
    assert found.ids.tvdb == 7000203


def test_candidates_come_with_the_addresses_of_their_pictures_the_likeliest_first() -> None:
    found = at_tmdb(lambda lookup, services: lookup.search(Movie(title="Harbour Lights", year=1974)))

    assert [one.ids.tmdb for one in found[:2]] == [55002, 55001]
    assert found[0].picture == "https://image.tmdb.org/t/p/w342/film55002.jpg"
    assert {one.kind for one in found} == {Kind.MOVIE}


@pytest.mark.parametrize("known", [Ids(tmdb=57000), Ids(tvdb=7000), Ids(imdb="tt0007000")])
def test_a_show_lists_the_episodes_of_all_its_seasons(known: Ids) -> None:
    found = at_tmdb(lambda lookup, services: lookup.episodes(known))

    assert Counter(one.season for one in found) == {0: 3, 1: 10, 2: 10, 3: 4}
    assert [one for one in found if (one.season, one.number) == (2, 3)] == [
        ListedEpisode(
            season=2, number=3, title="Lantern Street 2-3", aired="1995-03-03", ids=Ids(tmdb=7_000_203 + 5_000_000)
        )
    ]  # fmt: skip


@pytest.mark.parametrize("known", [Ids(tmdb=1), Ids(imdb="tt9999999"), Ids()])
def test_a_show_that_is_not_known_lists_nothing(known: Ids) -> None:
    assert at_tmdb(lambda lookup, services: lookup.episodes(known)) is None
