"""The library: ratings, loves and additions as webhooks tell them; what is newer stands."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.test_interpreter import NOW, House
from tests.transfer.test_bringing import DAY, FILM, PART_3
from webhook.domain.event import Action, Event, Ids, Show
from webhook.history import library
from webhook.history.library import COLLECTION, LOVE, RATING, WATCHLIST
from webhook.people import identities, people
from webhook.queues import inbox
from webhook.storage.db import Database


@pytest.fixture
def house(database: Database) -> House:
    return House(database)


def receive(house: House, action: Action, days: float = 0, **values: Any) -> int:
    """An event of the film, received and interpreted; its webhook."""
    at = NOW + days * DAY
    event = Event(action=action, item=FILM, at=at, user="anna", server="attic", **values)
    received = inbox.event_webhook("plex", event, at, "test")
    (made,) = house.database.do(lambda connection: inbox.store_webhooks(connection, [received]))
    house.interpret()
    return made


def kept(house: House, relation: str | None = None) -> list[tuple[str, float | None]]:
    return house.database.ask(
        lambda connection: [
            (row.relation, row.value) for row in library.list_entries(connection, house.me, relation)
        ]
    )


def put(house: House, days: float, value: float | None, relation: str = RATING) -> bool:
    return house.database.do(
        lambda connection: library.store_entry(connection, house.me, relation, FILM, NOW + days * DAY, value)
    )


def take(house: House, days: float, relation: str = RATING) -> bool:
    return house.database.do(
        lambda connection: library.remove_entry(connection, house.me, relation, FILM, NOW + days * DAY)
    )


@pytest.fixture(autouse=True)
def claimed(house: House) -> None:
    house.database.do(lambda connection: identities.claim_identities(connection, "me", "plex:anna", NOW))


def test_a_rating_lands_in_the_library_and_its_removal_takes_it_out(house: House) -> None:
    receive(house, Action.RATE, rating=8.0)
    assert kept(house) == [(RATING, 8.0)]
    receive(house, Action.RATE, 1, rating=6.0)
    assert kept(house) == [(RATING, 6.0)]

    receive(house, Action.UNRATE, 2)

    assert kept(house) == []


def test_a_love_and_an_addition_stand_beside_each_other(house: House) -> None:
    receive(house, Action.FAVOURITE)
    receive(house, Action.ADD)
    assert kept(house) == [(COLLECTION, None), (LOVE, None)]

    receive(house, Action.UNFAVOURITE, 1)

    assert kept(house) == [(COLLECTION, None)]


def test_a_replay_changes_nothing(house: House) -> None:
    made = receive(house, Action.RATE, rating=8.0)
    receive(house, Action.RATE, 1, rating=6.0)

    house.replay(made)

    assert kept(house) == [(RATING, 6.0)]


def test_the_older_never_takes_the_place_of_the_newer(house: House) -> None:
    assert put(house, 2, 8.0)

    assert not put(house, 1, 3.0)
    assert not take(house, 1)

    assert kept(house) == [(RATING, 8.0)]


def test_what_was_said_again_later_is_as_new_as_that(house: House) -> None:
    put(house, 0, 8.0)
    assert not put(house, 5, 8.0)

    put(house, 3, 2.0)

    assert kept(house) == [(RATING, 8.0)]


def test_it_is_found_by_what_two_services_both_know_of_it(house: House) -> None:
    put(house, 0, 8.0)
    other = replace(FILM, ids=Ids(tmdb=900001))

    news = house.database.do(
        lambda connection: library.store_entry(connection, house.me, RATING, other, NOW + DAY, 9.0)
    )

    assert (news, kept(house)) == (True, [(RATING, 9.0)])


def test_what_has_nothing_to_be_known_by_is_not_kept(house: House) -> None:
    nothing = replace(FILM, ids=Ids(), title=None)

    assert not house.database.do(
        lambda connection: library.store_entry(connection, house.me, WATCHLIST, nothing, NOW)
    )


def test_other_people_s_entries_are_their_own(house: House) -> None:
    other = house.database.do(lambda connection: people.add_person(connection, "ben", NOW))
    put(house, 0, 8.0)

    house.database.do(lambda connection: library.remove_entry(connection, other, RATING, FILM, NOW + DAY))

    assert kept(house) == [(RATING, 8.0)]


# --- followed shows


def follow(house: House, show: Any, state: str = library.FOLLOWING) -> bool:
    return house.database.do(lambda connection: library.follow_show(connection, house.me, show, NOW, state))


def followed(house: House) -> list[tuple[str, str]]:
    return house.database.ask(
        lambda connection: [(row.show_key, row.state) for row in library.list_follows(connection, house.me)]
    )


def test_a_show_is_followed_once_by_itself_or_by_an_episode(house: House) -> None:
    assert follow(house, Show(title="Tidewater", ids=Ids(tvdb=88)))
    assert not follow(house, PART_3)

    assert followed(house) == [("tvdb:88", "following")]


def test_the_state_of_a_followed_show_changes_and_it_can_be_let_go(house: House) -> None:
    follow(house, PART_3)
    assert follow(house, PART_3, "stopped")
    assert followed(house) == [("tvdb:88", "stopped")]

    gone = house.database.do(lambda connection: library.unfollow_show(connection, house.me, "tvdb:88"))

    assert (gone, followed(house)) == (True, [])


def test_a_film_is_not_followed(house: House) -> None:
    assert not follow(house, FILM)
