from __future__ import annotations

import asyncio
from typing import Any

from tests.identity.world import Services, everything
from webhook.domain.event import Episode, Ids, Item, Movie


def at_trakt(item: Item, *, search: bool = False, **fault: Any) -> Any:
    async def run() -> Any:
        services = Services(everything())
        if fault:
            services.trakt.faults.add("GET /", times=-1, **fault)
        (lookup,) = services.lookups("trakt")
        try:
            return await (lookup.search(item) if search else lookup.find(item)), services.trakt.calls
        finally:
            await services.http.aclose()

    return asyncio.run(run())


def test_an_id_is_always_asked_for_with_its_kind() -> None:
    _, calls = at_trakt(Movie(title="Harbour Lights", year=2016, ids=Ids(tmdb=55001)))

    assert all("type=movie" in call.query for call in calls)


def test_a_title_with_letters_that_mean_something_to_the_search_is_escaped() -> None:
    found, calls = at_trakt(Movie(title="Harbour Lights: The Return", year=2017), search=True)

    assert found[0].ids.tmdb == 55003
    assert "%5C%3A" in calls[-1].query


def test_an_episode_is_found_by_its_show_and_its_place() -> None:
    item = Episode(show="Lantern Street", season=0, number=2, show_ids=Ids(tvdb=7000))

    found, _ = at_trakt(item)

    assert found.ids.tvdb == 7000002
