"""What only has titles: found where they are sure, put before a person where they are not, and never guessed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from tests.fakes._world import Film, Part, Series, World
from tests.identity.world import Services
from tests.transfer.test_bringing import Home, seen
from webhook import clock
from webhook.domain.event import Episode, Ids, Item, Movie
from webhook.domain.play import Dated
from webhook.identity.resolver import Identity
from webhook.storage.db import Database
from webhook.storage.tables import play, unresolved
from webhook.transfer import lookup_queue
from webhook.transfer.lookup_queue import Resolver, UnresolvedJson
from webhook.transfer.records import Viewing
from webhook.transfer.text_lookup import TextAnswer
from webhook.transfer.text_preview import FirstTitles, TriedTitlesJson, try_titles

DAY = datetime(2025, 3, 1, 12, tzinfo=UTC)


def series(title: str, tmdb: int, seasons: Sequence[Sequence[str]], year: int = 2017, **more: Any) -> Series:
    """A series of which each season is the list of its episodes' titles."""
    parts = [
        Part(
            season=season,
            number=number,
            title=name,
            minutes=50,
            ids={"tmdb": tmdb * 1000 + season * 100 + number},
        )
        for season, names in enumerate(seasons, start=1)
        for number, name in enumerate(names, start=1)
    ]
    return Series(title=title, year=year, ids={"tmdb": tmdb}, parts=parts, **more)


def world() -> World:
    grau = series("Grau", 1, [["Secrets", "Lies", "Episode 3"], ["Home", "The End", "Secrets"]])
    grau.parts[1].titles = {"de": "Lügen"}
    return World().add(
        grau,
        series("Twin", 2, [["Pilot", "Water"]], 1990),
        series("Twin", 3, [["Pilot", "Fire"]], 2010),
        series("Alone", 4, [["Episode 1", "Episode 2"]]),
        series("Later", 5, [["Pilot", "Rain"]], 2030),
        series("Heist", 6, [["One", "Two", "Three"], ["Four", "Five"]]),
        series("Reborn", 7, [["Sun", "Moon"]]),
        Film(title="Glass Onions: A Riddle", year=2022, ids={"tmdb": 50}),
        Film(title="Dune Sea", year=1984, ids={"tmdb": 51}),
        Film(title="Dune Sea", year=2021, ids={"tmdb": 52}),
        Film(title="Grau: Lies", year=2020, ids={"tmdb": 53}),
        Film(title="Not Yet", year=2030, ids={"tmdb": 54}),
    )


@pytest.fixture
def home(database: Database) -> Home:
    return Home(database)


def told(item: Item, at: datetime = DAY, language: str | None = None, **values: Any) -> Viewing:
    """A row of Netflix's short file."""
    values = {"dated": Dated.DAY, **values}
    key = f"netflix:{getattr(item, 'show', '')}{item.title}:{at.isoformat()}"
    found = seen(item, at, "netflix", key, **values)
    return Viewing(play=found.play, foreign_key=found.foreign_key, language=language)


def look_up(home: Home, times: int = 1) -> None:
    async def run() -> None:
        services = Services(world())
        resolver = Resolver(home.database, Identity(home.database, services.lookups("tmdb")))
        try:
            for _ in range(times):
                await resolver.run_once()
        finally:
            await services.http.aclose()

    asyncio.run(run())


def bring(home: Home, *items: Item, language: str | None = None) -> list[tuple[int | None, ...]]:
    """Bring items in, look them up; of each its show's id, its season and number, or its own id."""
    home.bring(*(told(item, DAY + timedelta(days=index), language) for index, item in enumerate(items)))
    look_up(home)
    return placed(home)


def placed(home: Home) -> list[tuple[int | None, ...]]:
    return [place(row.item) for row in home.plays()]


def place(item: dict[str, Any]) -> tuple[int | None, ...]:
    if item["kind"] == "movie":
        return (item["ids"].get("tmdb"),)
    return (item["show_ids"].get("tmdb"), item.get("season"), item.get("number"))


def waiting(home: Home) -> list[UnresolvedJson]:
    return home.database.ask(lookup_queue.list_open_choices)["items"]


def part(title: str, season: int | None = 1, show: str = "Grau", number: int | None = None) -> Episode:
    return Episode(show=show, season=season, title=title, number=number)


# --- what is sure


def test_episodes_are_found_by_their_titles_in_their_season(home: Home) -> None:
    found = bring(home, part("Secrets"), part("Secrets", 2), part("THE END!", 2), part("Episode 3"))

    assert found == [(1, 1, 1), (1, 2, 3), (1, 2, 2), (1, 1, 3)]
    assert waiting(home) == []
    assert home.questions() == []


def test_titles_in_the_language_of_the_file_are_found_too(home: Home) -> None:
    assert bring(home, part("Lügen"), language="de") == [(1, 1, 2)]


def test_a_number_in_the_file_is_taken_where_the_titles_of_the_show_agree(home: Home) -> None:
    assert bring(home, part("Secrets", number=1), part("Folge 2"), part("Lies", number=2)) == [
        (1, 1, 1),
        (1, 1, 2),
        (1, 1, 2),
    ]


def test_of_two_shows_of_one_name_the_one_with_the_title_is_meant_and_what_both_have_waits(
    home: Home,
) -> None:
    assert bring(home, part("Fire", show="Twin"), part("Pilot", show="Twin")) == [(3, 1, 2), (None, 1, None)]
    assert len(waiting(home)[0]["candidates"]) == 2


def test_a_season_that_the_lookup_does_not_have_is_found_by_a_title_that_is_alone(home: Home) -> None:
    assert bring(home, part("Five", 5, "Heist")) == [(6, 2, 2)]


def test_a_film_is_found_by_its_exact_title_and_gets_its_year(home: Home) -> None:
    assert bring(home, Movie(title="Glass Onions: A Riddle")) == [(50,)]
    assert home.plays()[0].item["year"] == 2022


def test_what_looks_like_a_film_may_be_an_episode(home: Home) -> None:
    assert bring(home, Movie(title="Reborn: Moon")) == [(7, 1, 2)]
    assert home.plays()[0].kind == "episode"


# --- what is not


@pytest.mark.parametrize(
    "item",
    [
        part("Pilot", show="Twin"),  # both have it
        part("Another Title"),  # no such episode
        part("Home", 1),  # it is one of season 2
        part("Secrets", number=2),  # the number is another episode's
        part("Episode 9"),
        part("Rain", show="Later"),  # it began after this was watched
        part("Pilot", show="Nobody Knows It"),
        Movie(title="Dune Sea"),  # two films
        Movie(title="Grau: Lies"),  # a film and an episode
        Movie(title="Not Yet"),
        Movie(title="Nobody Knows It"),
    ],
    ids=lambda item: f"{getattr(item, 'show', '')}-{item.title}-{getattr(item, 'season', '')}",
)
def test_what_is_not_sure_waits(home: Home, item: Item) -> None:
    [found] = bring(home, item)

    assert found[0] is None
    [question] = waiting(home)
    assert question["reason"]


def test_a_show_whose_episodes_have_other_titles_waits_as_a_whole(home: Home) -> None:
    found = bring(home, part("Secrets"), part("Sand"), part("Wind"), part("Rain"))

    assert {place[0] for place in found} == {None}
    assert waiting(home)[0]["candidates"][0]["ids"] == {"tmdb": 1}


def test_of_a_show_what_is_sure_is_written_and_the_rest_is_named(home: Home) -> None:
    assert bring(home, part("Secrets"), part("Lies"), part("Sand")) == [(1, 1, 1), (1, 1, 2), (None, 1, None)]

    [question] = waiting(home)
    assert "which of its episodes these are: Sand" in str(question["reason"])


def test_a_later_import_of_the_show_is_looked_up_though_another_episode_waits(home: Home) -> None:
    bring(home, part("Secrets"), part("Lies"), part("Sand"))

    home.bring(told(part("The End", 2), DAY + timedelta(days=9)))
    look_up(home)

    assert placed(home)[-1] == (1, 2, 2)


def test_a_show_that_a_person_chooses_gets_its_episodes_by_title(home: Home) -> None:
    bring(home, part("Pilot", show="Twin"))

    home.database.do(
        lambda connection: lookup_queue.choose(connection, "show:title:twin", Ids(tmdb=2), clock.now())
    )
    look_up(home)

    assert placed(home) == [(2, 1, 1)]
    assert waiting(home) == []
    assert home.bring(told(part("Water", show="Twin"), DAY + timedelta(days=3))).added == 1
    look_up(home)
    assert placed(home)[-1] == (2, 1, 2)


# --- nothing twice


def test_the_same_rows_again_and_ten_more(home: Home) -> None:
    rows = [told(part("Secrets")), told(Movie(title="Dune Sea"))]
    home.bring(*rows)
    look_up(home)

    again = home.bring(*rows, told(part("Lies")))

    assert (again.added, again.known) == (1, 2)


def test_a_viewing_that_the_history_has_from_elsewhere_is_not_counted_twice(home: Home) -> None:
    known = Episode(show="Grau", season=1, number=1, show_ids=Ids(tmdb=1))
    home.bring(seen(known, DAY + timedelta(hours=8), "trakt", "trakt:1"))

    bring(home, part("Secrets"))

    assert [row.source for row in home.plays()] == ["trakt"]
    assert home.bring(told(part("Secrets"))).known == 1


def test_a_viewing_of_the_same_episode_on_another_day_is_another(home: Home) -> None:
    home.bring(told(part("Secrets")), told(part("Secrets"), DAY + timedelta(days=1)))
    look_up(home)

    assert placed(home) == [(1, 1, 1), (1, 1, 1)]


def test_the_account_download_after_the_short_file_adds_no_second_viewing(home: Home) -> None:
    bring(home, part("Secrets"))

    at = DAY + timedelta(hours=9)
    home.bring(told(part("Secrets", number=1), at, dated=Dated.EXACT, position_ms=49 * 60_000))
    look_up(home)

    assert len(home.plays()) == 1


@pytest.mark.parametrize(("minutes", "watched"), [(45, True), (20, False)])
def test_how_far_it_got_decides_once_its_length_is_known(home: Home, minutes: int, watched: bool) -> None:
    home.bring(told(part("Secrets", number=1), dated=Dated.EXACT, position_ms=minutes * 60_000))
    look_up(home)

    [row] = home.plays()
    assert (row.watched_at is not None, row.duration_ms) == (watched, 50 * 60_000)


def test_a_row_that_comes_while_its_show_is_looked_up_is_looked_up_next(home: Home) -> None:
    home.bring(told(part("Secrets")))
    plays = home.database.ask(lambda connection: lookup_queue.plays_of(connection, "show:title:grau"))
    home.bring(told(part("Lies")))
    first = TextAnswer(asked=frozenset(row.id for row in plays))

    home.database.do(lambda connection: lookup_queue.settle(connection, [("show:title:grau", first)]))
    look_up(home)

    assert placed(home) == [(1, 1, 1), (1, 1, 2)]


def test_without_an_answer_nothing_is_lost(home: Home) -> None:
    home.bring(told(part("Secrets")))

    asyncio.run(Resolver(home.database, Identity(home.database, [])).run_once())

    row = home.database.ask(lambda connection: connection.execute(select(unresolved)).one())
    assert row.state == "unmatched"
    assert home.database.ask(lambda connection: connection.execute(select(play.c.id)).all())


# --- the preview


@pytest.mark.parametrize(("names", "found"), [(("tmdb",), 2), ((), None)])
def test_a_preview_tries_the_first_titles_and_writes_nothing(
    names: tuple[str, ...], found: int | None
) -> None:
    async def run() -> TriedTitlesJson | None:
        services, titles = Services(world()), FirstTitles()
        for item in (
            part("Secrets"),
            part("Sand"),
            part("Lies"),
            Movie(title="Dune Sea"),
            Movie(title="A", year=1999),
        ):
            titles.add(told(item))
        titles.add(seen(Movie(title="Of Another Source"), DAY, "letterboxd"))
        try:
            return await try_titles(services.lookups(*names) if names else [], titles)
        finally:
            await services.http.aclose()

    answer = asyncio.run(run())

    if found is None:
        assert answer is None
    else:
        assert answer is not None
        assert (answer["tried"], answer["found"]) == (5, found)
        assert [one["title"] for one in answer["waiting"]] == ["Sand", "Dune Sea", "A"]
