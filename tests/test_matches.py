"""The unmatched inbox: chosen once, at the page's door, by the command or by the API; then everything goes out."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import update

from webhook import clock
from webhook.accounts import accounts
from webhook.domain.event import Action, Episode, Ids, Item, Movie
from webhook.identity import matches
from webhook.identity.matches import NoMatch
from webhook.people import people
from webhook.queues import outbox
from webhook.queues.outbox import NewDelivery
from webhook.storage.db import Database
from webhook.storage.tables import delivery, match

TWINS = Movie(title="Burning Sea", year=2018)
CANDIDATES = [
    {
        "kind": "movie",
        "title": "Burning Sea",
        "year": 2018,
        "ids": {"tmdb": 55020},
        "picture": "https://pictures/a.jpg",
    },
    {"kind": "movie", "title": "Burning Sea", "year": 2018, "ids": {"tmdb": 55021}, "picture": None},
]


def episode(number: int, **more: Any) -> Episode:
    return Episode(show="Harbour Street", season=2, number=number, **more)


@pytest.fixture
def account_id(database: Database) -> int:
    def made(connection: Any) -> int:
        person_id = people.add_person(connection, "anna", clock.now(), owner=True)
        return accounts.insert_account(connection, person_id, "trakt", [Action.STOP], clock.now())

    return database.do(made)


def waits(database: Database, account_id: int, item: Item, key: str) -> int:
    """A mark of this item, which the tracker could not match."""
    now = clock.now()

    def put(connection: Any) -> int:
        made = outbox.enqueue(
            connection,
            NewDelivery(account_id=account_id, action=Action.STOP, key=key, item=item, at=now, mark=True),
            now,
        )
        stuck = {"state": "unmatched", "reason": "two films fit", "candidates": CANDIDATES, "attempts": 1}
        connection.execute(update(delivery).where(delivery.c.id == made).values(stuck))
        return made

    return database.do(put)


def states(database: Database) -> dict[int, str]:
    wanted = delivery.select().with_only_columns(delivery.c.id, delivery.c.state)
    return {row.id: row.state for row in database.ask(lambda connection: connection.execute(wanted).all())}


def choose(database: Database, ids: Ids, **more: Any) -> matches.Chosen:
    return database.do(lambda connection: matches.choose(connection, clock.now(), ids, **more))


def test_what_waits_is_listed_with_why_and_its_candidates(database: Database, account_id: int) -> None:
    made = waits(database, account_id, TWINS, "one")

    (entry,) = database.ask(matches.list_unmatched_deliveries)["items"]

    assert (entry["id"], entry["title"], entry["reason"]) == (made, "Burning Sea", "two films fit")
    assert entry["candidates"]
    assert entry["candidates"][0]["picture"] == "https://pictures/a.jpg"


def test_a_choice_lets_out_everything_that_waits_for_the_item_and_nothing_else(
    database: Database, account_id: int
) -> None:
    one, other = (waits(database, account_id, TWINS, key) for key in ("one", "two"))
    different = waits(database, account_id, Movie(title="Paper Boats", year=2004), "three")

    chosen = choose(database, Ids(tmdb=55021), delivery_id=one)

    assert set(chosen.deliveries) == {one, other}
    assert states(database) == {one: "waiting", other: "waiting", different: "unmatched"}


def test_a_choice_for_an_episode_is_for_the_whole_show(database: Database, account_id: int) -> None:
    first = waits(database, account_id, episode(1), "one")
    second = waits(database, account_id, episode(2), "two")

    chosen = choose(database, Ids(tvdb=70), delivery_id=first, season_offset=1)

    assert set(chosen.deliveries) == {first, second}
    applied = matches.apply_choices(episode(7), database.ask(matches.all_choices))
    assert isinstance(applied, Episode)
    assert (applied.show_ids.tvdb, applied.season, applied.number) == (70, 3, 7)


def test_a_chosen_show_holds_by_its_id_whatever_the_title(database: Database, account_id: int) -> None:
    made = waits(database, account_id, episode(1, show_ids=Ids(plex="abc")), "one")

    choose(database, Ids(tvdb=70), delivery_id=made)

    choices = database.ask(matches.all_choices)
    renamed = Episode(show="Hafenstrasse", season=1, number=1, show_ids=Ids(plex="abc"))
    namesake = Episode(show="Harbour Street", season=1, number=1, show_ids=Ids(plex="def"))
    assert getattr(matches.apply_choices(renamed, choices), "show_ids").tvdb == 70  # noqa: B009
    assert matches.apply_choices(namesake, choices) == namesake


def test_ids_that_did_not_help_give_way_to_the_choice(database: Database, account_id: int) -> None:
    item = Movie(title="Burning Sea", year=2018, ids=Ids(tmdb=1, imdb="tt0000001", plex="abc"))
    made = waits(database, account_id, item, "one")

    choose(database, Ids(tmdb=55020), delivery_id=made)

    applied = matches.apply_choices(item, database.ask(matches.all_choices))
    assert applied.ids == Ids(tmdb=55020, plex="abc")


def test_a_candidate_is_chosen_by_its_number(database: Database, account_id: int) -> None:
    made = waits(database, account_id, TWINS, "one")

    database.do(lambda connection: matches.choose_candidate(connection, clock.now(), made, 2))

    (row,) = database.ask(lambda connection: connection.execute(match.select()).all())
    assert row.ids == {"tmdb": 55021}


@pytest.mark.parametrize("number", [0, 3, -1])
def test_there_is_no_candidate_beyond_the_list(database: Database, account_id: int, number: int) -> None:
    made = waits(database, account_id, TWINS, "one")

    with pytest.raises(NoMatch, match="2 candidates"):
        database.do(lambda connection: matches.choose_candidate(connection, clock.now(), made, number))


def test_what_cannot_be_chosen_is_said(database: Database, account_id: int) -> None:
    made = waits(database, account_id, TWINS, "one")

    with pytest.raises(NoMatch, match="an id"):
        choose(database, Ids(), delivery_id=made)
    with pytest.raises(NoMatch, match="no delivery 99"):
        choose(database, Ids(tvdb=1), delivery_id=99)
    with pytest.raises(NoMatch, match="season"):
        choose(database, Ids(tvdb=1), delivery_id=made, season_offset=1)
    with pytest.raises(NoMatch, match="neither an id nor a title"):
        choose(database, Ids(tvdb=1), delivery_id=waits(database, account_id, Movie(), "two"))
