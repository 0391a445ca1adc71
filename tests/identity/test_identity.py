"""What is asked once, remembered, asked again where it is contradicted, and never guessed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select

from tests.identity.world import ANIME_LIST, Services, everything
from webhook import clock
from webhook.domain import anime
from webhook.domain.event import Episode, Ids, Item, Movie
from webhook.domain.outcome import Retry, Unmatched
from webhook.identity import matches
from webhook.identity.resolver import Identity
from webhook.storage.db import Database
from webhook.storage.tables import item_id, match

NOW = datetime(2026, 11, 22, 20, 15, tzinfo=UTC)
LANTERN = Episode(show="Lantern Street", season=1, number=3, year=1994, show_ids=Ids(tvdb=7000))
FILM = Movie(title="Harbour Lights", year=2016, ids=Ids(imdb="tt0005001"))
TWINS = Movie(title="Burning Sea", year=2018)
MAPPED = Episode(show="Lantern Street", season=2, number=4, numbering="mapped", show_ids=Ids(tvdb=7000))


def told(database: Database, work: Callable[[Identity, Services], Awaitable[Any]], *names: str) -> Any:
    async def run() -> Any:
        services = Services(everything())
        try:
            return await work(
                Identity(database, services.lookups(*names), anime.read_list(ANIME_LIST)), services
            )
        finally:
            await services.http.aclose()

    return asyncio.run(run())


def chosen(database: Database, item: Item, ids: Ids, **more: Any) -> None:
    for key in matches.match_keys(item):
        database.do(lambda connection, key=key: matches.choose(connection, NOW, ids, key=key, **more))  # type: ignore[misc]


def test_an_item_is_asked_about_once_and_then_remembered(database: Database) -> None:
    async def twice(identity: Identity, services: Services) -> tuple[Item, Item, int, int]:
        one = await identity.resolve(LANTERN, ("tvdb",))
        asked = services.asked()
        return one, await identity.resolve(LANTERN, ("tvdb",)), asked, services.asked()

    one, other, asked, after = told(database, twice)

    assert one == other
    assert one.ids.tvdb == 7000103
    assert asked == after > 0


def test_what_was_learnt_outlives_the_process(database: Database) -> None:
    told(database, lambda identity, services: identity.resolve(LANTERN, ("tvdb",)))

    async def later(identity: Identity, services: Services) -> tuple[Item, int]:
        return await identity.resolve(LANTERN, ("tvdb",)), services.asked()

    found, asked = told(database, later)

    assert found.ids.tvdb == 7000103
    assert asked == 0


def test_each_id_is_kept_with_where_it_came_from_and_how_sure_it_is(database: Database) -> None:
    told(
        database,
        lambda identity, services: identity.resolve(Movie(title="Paper Boats", year=2004), ("tvdb",)),
    )
    told(database, lambda identity, services: identity.resolve(FILM, ("tvdb",)))

    rows = database.ask(lambda connection: connection.execute(select(item_id)).all())

    kept = {(row.namespace, row.value): (row.via, row.sure) for row in rows if row.whose == "own"}
    assert kept["imdb", "tt0005001"] == ("webhook", 1.0)
    assert kept["tvdb", "5001"][1] == 1.0
    assert kept["tvdb", "5050"][0].endswith("title")
    assert kept["tvdb", "5050"][1] < 1.0


def test_questions_about_one_item_at_the_same_time_are_one_question(database: Database) -> None:
    async def together(identity: Identity, services: Services) -> tuple[list[Item], int]:
        found = await asyncio.gather(*(identity.resolve(LANTERN, ("tvdb",)) for _ in range(20)))
        return found, services.asked()

    async def alone(identity: Identity, services: Services) -> int:
        await identity.resolve(
            Episode(show="Lantern Street", season=1, number=4, show_ids=Ids(tvdb=7000)), ("tvdb",)
        )
        return services.asked()

    found, asked = told(database, together)

    assert {one.ids.tvdb for one in found} == {7000103}
    assert asked == told(database, alone)


def test_what_the_webhook_contradicts_is_asked_again_and_replaced(database: Database) -> None:
    first = Episode(show="Ghost House", season=1, number=2, show_ids=Ids(tmdb=57010))
    told(database, lambda identity, services: identity.resolve(first, ("tvdb",)), "tmdb")
    # the same place under the same show, now with an own id that is not the remembered one
    series = everything().series[2]
    series.parts[1].ids = {**series.parts[1].ids, "imdb": "tt88888888", "tvdb": 8888}

    async def again(identity: Identity, services: Services) -> Item:
        services.tmdb.world.series = [series]
        return await identity.resolve(
            Episode(
                show="Ghost House", season=1, number=2, show_ids=Ids(tmdb=57010), ids=Ids(imdb="tt88888888")
            ),
            ("tvdb",),
        )

    found = told(database, again, "tmdb")

    assert found.ids.tvdb == 8888
    assert (
        told(database, lambda identity, services: identity.resolve(first, ("tvdb",)), "tmdb").ids.tvdb == 8888
    )


def test_remakes_of_one_title_are_not_remembered_as_one(database: Database) -> None:
    async def both(identity: Identity, services: Services) -> list[Item]:
        old = Episode(show="Star Fleet", season=1, number=5, year=1978)
        new = Episode(show="Star Fleet", season=1, number=5, year=2004)
        return [await identity.resolve(one, ("tvdb",)) for one in (old, new, old)]

    found = told(database, both)

    assert [one.ids.tvdb for one in found] == [7020105, 7021105, 7020105]


def test_a_lookup_that_is_down_is_a_retry_of_this_delivery_alone(database: Database) -> None:
    async def down(identity: Identity, services: Services) -> Item:
        services.tmdb.faults.add("GET /3", status=503, times=-1)
        return await identity.resolve(FILM, ("tvdb",))

    with pytest.raises(Retry) as caught:
        told(database, down, "tmdb")

    assert not caught.value.lane


def test_while_one_lookup_is_down_another_may_still_know(database: Database) -> None:
    async def down(identity: Identity, services: Services) -> Item:
        services.trakt.faults.add("GET /", status=500, times=-1)
        return await identity.resolve(FILM, ("tmdb",))

    assert told(database, down).ids.tmdb == 55001


def test_a_key_that_is_not_accepted_parks_no_account(database: Database) -> None:
    async def refused(identity: Identity, services: Services) -> Item:
        services.tmdb.switches.token = "another.one.now"
        return await identity.resolve(FILM, ("tvdb",))

    with pytest.raises(Retry, match="TMDB answered 401"):
        told(database, refused, "tmdb")


def test_what_is_unsure_is_asked_of_the_person_with_the_candidates_and_their_pictures(
    database: Database,
) -> None:
    with pytest.raises(Unmatched) as caught:
        told(database, lambda identity, services: identity.resolve(TWINS, ("imdb",)))

    candidates = caught.value.candidates
    assert [one["ids"]["tmdb"] for one in candidates[:2]] == [55020, 55021]
    assert (
        any(str(one["picture"]).startswith("https://") for one in candidates)
        or candidates[0]["via"] == "trakt"
    )


def test_nothing_to_go_by_is_said_so(database: Database) -> None:
    with pytest.raises(Unmatched, match="nothing in the webhook says which item"):
        told(database, lambda identity, services: identity.resolve(Movie(), ("imdb",)))


def test_without_any_lookup_the_settings_are_named(database: Database) -> None:
    with pytest.raises(Unmatched, match="TMDB_TOKEN"):
        asyncio.run(Identity(database, []).resolve(FILM, ("tvdb",)))


def test_a_tracker_that_needs_nothing_costs_no_question(database: Database) -> None:
    async def plain(identity: Identity, services: Services) -> tuple[Item, int]:
        return await identity.resolve(FILM), services.asked()

    assert told(database, plain) == (FILM, 0)


def test_what_a_tracker_did_not_know_gets_candidates(database: Database) -> None:
    error = Unmatched("it does not know this item")

    explained = told(database, lambda identity, services: identity.with_candidates(TWINS, error))

    assert len(explained.candidates) >= 2
    assert all({"title", "year", "ids", "picture", "score"} <= one.keys() for one in explained.candidates)


# --- what a person chose


def test_a_chosen_film_is_that_film_for_ever(database: Database) -> None:
    chosen(database, TWINS, Ids(tmdb=55021))

    found = told(database, lambda identity, services: identity.resolve(TWINS, ("imdb",)))

    assert found.ids.imdb == "tt0005021"


def test_a_chosen_show_holds_for_every_episode_with_its_season_offset(database: Database) -> None:
    chosen(database, MAPPED, Ids(tvdb=7000), season_offset=-1)

    found = told(database, lambda identity, services: identity.resolve(MAPPED, ("tvdb",)))
    other = told(
        database,
        lambda identity, services: identity.resolve(
            Episode(show="Lantern Street", season=3, number=1, numbering="mapped", show_ids=Ids(tvdb=7000)),
            ("tvdb",),
        ),
    )

    assert (found.season, found.number, found.ids.tvdb) == (1, 4, 7000104)
    assert (other.season, other.ids.tvdb) == (2, 7000201)


def test_a_choice_for_another_order_leaves_the_aired_order_alone(database: Database) -> None:
    chosen(database, MAPPED, Ids(tvdb=7000), season_offset=-1)

    found = told(database, lambda identity, services: identity.resolve(LANTERN, ("tvdb",)))

    assert found.ids.tvdb == 7000103


def test_a_choice_made_elsewhere_is_heard_of_before_giving_up(database: Database) -> None:
    async def meanwhile(identity: Identity, services: Services) -> Item:
        with pytest.raises(Unmatched):
            await identity.resolve(TWINS, ("imdb",))
        await database.write(
            lambda connection, waiting: [
                matches.choose(connection, clock.now(), Ids(tmdb=55020), key=key) for key in waiting
            ],
            matches.match_keys(TWINS)[0],
        )
        return await identity.resolve(TWINS, ("imdb",))

    assert told(database, meanwhile).ids.imdb == "tt0005020"


def test_a_later_choice_replaces_the_one_before(database: Database) -> None:
    chosen(database, TWINS, Ids(tmdb=55020))
    chosen(database, TWINS, Ids(tmdb=55021))

    rows = database.ask(lambda connection: connection.execute(select(match)).all())

    assert [row.ids for row in rows] == [{"tmdb": 55021}]
