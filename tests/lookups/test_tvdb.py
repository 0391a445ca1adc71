from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from pydantic import SecretStr

from tests.identity.world import Services, everything, series
from webhook.client import Recorder, recording
from webhook.domain.event import Episode, Ids, Movie
from webhook.lookups import ListedEpisode, tvdb

FILM = Movie(title="Salt Road", year=1999, ids=Ids(tvdb=5040))
NOW = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)


def at_tvdb(
    work: Callable[[tvdb.Tvdb, Services], Awaitable[Any]],
    switches: dict[str, Any] | None = None,
    **settings: Any,
) -> Any:
    async def run() -> Any:
        services = Services(everything())
        for name, value in (switches or {}).items():
            setattr(services.tvdb.switches, name, value)
        key = SecretStr(settings.pop("api_key", services.tvdb.switches.key))
        given = tvdb.Settings(api_key=key, api_url="http://tvdb/v4", **settings)
        try:
            return await work(tvdb.build(given, services.http), services)
        finally:
            await services.http.aclose()

    return asyncio.run(run())


async def film(lookup: tvdb.Tvdb, services: Services) -> Any:
    return await lookup.find(FILM), services.tvdb.made("POST /v4/login")


def test_a_key_alone_signs_in_without_a_pin() -> None:
    found, (login,) = at_tvdb(film)

    assert found.ids.imdb == "tt0005040"
    assert login.body == {"apikey": "11111111-2222-3333-4444-555555555555"}


def test_a_user_supported_key_signs_in_with_its_pin() -> None:
    found, (login,) = at_tvdb(film, {"pin": "PIN12345"}, pin=SecretStr("PIN12345"))

    assert found is not None
    assert login.body["pin"] == "PIN12345"


def test_a_user_name_and_a_user_key_make_the_login_of_the_older_form() -> None:
    switches = {"username": "anna", "userkey": "UNIQUE"}

    found, (login,) = at_tvdb(film, switches, username="anna", userkey=SecretStr("UNIQUE"))

    assert found is not None
    assert login.body == {"apikey": login.body["apikey"], "username": "anna", "userkey": "UNIQUE"}


def test_a_token_is_used_until_it_expires() -> None:
    async def again(lookup: tvdb.Tvdb, services: Services) -> list[int]:
        counts = []
        for _ in range(2):
            await lookup.find(FILM)
            counts.append(len(services.tvdb.made("POST /v4/login")))
        services.tvdb.tokens.clear()
        await lookup.find(FILM)
        return [*counts, len(services.tvdb.made("POST /v4/login"))]

    assert at_tvdb(again) == [1, 1, 2]


def test_a_token_is_renewed_before_its_month_is_over() -> None:
    async def later(lookup: tvdb.Tvdb, services: Services) -> int:
        with time_machine.travel(NOW, tick=False) as machine:
            await lookup.find(FILM)
            machine.shift(timedelta(days=26))
            services.tvdb.tokens = dict.fromkeys(services.tvdb.tokens, NOW + timedelta(days=30))
            await lookup.find(FILM)
        return len(services.tvdb.made("POST /v4/login"))

    assert at_tvdb(later) == 2


def test_many_at_once_sign_in_once() -> None:
    async def together(lookup: tvdb.Tvdb, services: Services) -> int:
        await asyncio.gather(*(lookup.find(FILM) for _ in range(10)))
        return len(services.tvdb.made("POST /v4/login"))

    assert at_tvdb(together) == 1


def test_the_key_is_not_kept_in_the_trace() -> None:
    async def traced(lookup: tvdb.Tvdb, services: Services) -> list[Any]:
        with recording(Recorder()) as kept:
            await lookup.find(FILM)
        return kept.exchanges

    assert "11111111" not in str(at_tvdb(traced))


def test_an_absolute_number_is_found_in_the_absolute_order_and_told_as_aired() -> None:
    item = Episode(show="Lantern Street", number=14, show_ids=Ids(tvdb=7000), numbering="absolute")

    found = at_tvdb(lambda lookup, services: lookup.find(item))

    assert (found.season, found.number, found.numbering) == (2, 4, "aired")


@pytest.mark.parametrize("known", [Ids(tvdb=7000), Ids(imdb="tt0007000"), Ids(tmdb=57000)])
def test_a_show_lists_its_episodes_as_aired(known: Ids) -> None:
    found = at_tvdb(lambda lookup, services: lookup.episodes(known))

    assert Counter(one.season for one in found) == {0: 3, 1: 10, 2: 10, 3: 4}
    assert found[-1] == ListedEpisode(
        season=3, number=4, title="Lantern Street 3-4", aired="1996-03-04", ids=Ids(tvdb=7_000_304)
    )


@pytest.mark.parametrize("count", [499, 500, 1001])
def test_a_long_list_is_read_to_its_end(count: int) -> None:
    async def long(lookup: tvdb.Tvdb, services: Services) -> Any:
        services.tvdb.world.add(series("Evergreen", 1980, 8000, {1: count}))
        return await lookup.episodes(Ids(tvdb=8000))

    found = at_tvdb(long)

    assert [one.number for one in found] == list(range(1, count + 1))


@pytest.mark.parametrize("known", [Ids(tvdb=1), Ids(imdb="tt9999999"), Ids()])
def test_a_show_that_is_not_known_lists_nothing(known: Ids) -> None:
    assert at_tvdb(lambda lookup, services: lookup.episodes(known)) is None


@pytest.mark.parametrize("row", [{}, {"number": 1}, {"seasonNumber": 1, "number": "x"}, 7])
def test_what_has_no_place_is_not_in_a_list(row: Any) -> None:
    async def odd(lookup: tvdb.Tvdb, services: Services) -> Any:
        rows = [row, {"id": 5, "seasonNumber": 1, "number": 2, "aired": "soon", "name": ""}]
        await lookup.episodes(Ids(tvdb=7000))  # it is signed in from here on
        services.tvdb.faults.add("GET /v4", status=200, body={"data": {"episodes": rows}}, times=-1)
        return await lookup.episodes(Ids(tvdb=7000))

    assert at_tvdb(odd) == [ListedEpisode(season=1, number=2, ids=Ids(tvdb=5))]
