"""The person's own list: put on and taken off by hand, told once, and never brought back by what is older."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection, update

from tests.watchlist.home import HARBOUR, HOUR, NOW, PARASITE, TIDEWATER, Home
from webhook.domain.event import Ids, Movie
from webhook.people import people
from webhook.storage.tables import (
    account,
    delivery,
    person,
    watchlist_copy,
    watchlist_read,
    watchlist_removal,
)
from webhook.transfer import merge
from webhook.transfer.records import Kept, Relation


def bring(home: Home, *entries: Kept) -> int:
    """The entries of a file; how many were new."""
    counts = home.database.do(lambda connection: merge.merge_entries(connection, home.me, entries, home.now))
    return counts.library


def test_what_is_put_on_the_list_is_sent_to_every_account_that_it_is_switched_on_for(home: Home) -> None:
    home.database.do(
        lambda connection: connection.execute(
            update(account).where(account.c.tracker == "simkl").values(tells=[])
        )
    )

    assert home.add(PARASITE)
    assert home.add(TIDEWATER)

    assert home.titles() == ["Parasite", "Tidewater"]
    assert home.sent() == [
        ("trakt", "watchlist", "Parasite"),
        ("plex", "watchlist", "Parasite"),
        ("trakt", "watchlist", "Tidewater"),
        ("plex", "watchlist", "Tidewater"),
    ]


def test_an_item_is_on_it_once_whatever_ids_it_comes_with(home: Home) -> None:
    home.add(Movie(title="Parasite", year=2019, ids=Ids(tmdb=496243)))

    assert not home.add(Movie(title="Gisaengchung", year=2019, ids=Ids(imdb="tt6751668", tmdb=496243)))
    assert not home.add(Movie(title="Parasite", year=2019, ids=Ids(imdb="tt6751668")))
    assert home.add(Movie(title="Parasite", year=2019, ids=Ids(tmdb=1)))

    assert home.titles() == ["Parasite", "Parasite"]


def test_what_is_taken_off_before_it_was_sent_is_not_sent_at_all(home: Home) -> None:
    home.add(PARASITE)
    home.later().remove(PARASITE)

    assert home.titles() == []
    assert home.sent("trakt") == [("trakt", "unwatchlist", "Parasite")]


def test_what_was_sent_is_taken_off_there_and_can_be_put_on_again(home: Home) -> None:
    home.add(PARASITE)
    home.settle()

    home.later().remove(PARASITE)
    home.settle()
    home.later().add(PARASITE)

    assert [action for _, action, _ in home.sent("plex")] == ["watchlist", "unwatchlist", "watchlist"]


def test_an_account_gets_only_the_kinds_that_its_own_filter_lets_through(home: Home) -> None:
    only = update(account).where(account.c.tracker == "trakt").values(rules={"kinds": ["episode"]})
    home.database.do(lambda connection: connection.execute(only))

    home.add(PARASITE)
    home.add(TIDEWATER)

    enqueued = delivery.select().order_by(delivery.c.id)
    rows = home.database.ask(lambda connection: connection.execute(enqueued).all())
    states = [(row.item["title"], row.state) for row in rows if row.account_id == home.accounts["trakt"]]
    assert states == [("Parasite", "skipped"), ("Tidewater", "waiting")]


def test_a_file_brings_back_nothing_that_was_taken_off_since_and_is_sent_to_nobody(home: Home) -> None:
    home.add(PARASITE)
    home.later().remove(PARASITE)
    home.settle()
    older = Kept(relation=Relation.WATCHLIST, item=PARASITE, at=NOW - HOUR)

    assert bring(home, older, Kept(relation=Relation.WATCHLIST, item=HARBOUR, at=NOW - HOUR)) == 1
    assert home.titles() == ["Harbour"]
    assert bring(home, replace(older, at=NOW + 2 * HOUR)) == 1

    assert home.titles() == ["Harbour", "Parasite"]
    assert [title for _, action, title in home.sent("trakt") if action == "watchlist"] == ["Parasite"]


def test_a_persons_watchlist_goes_with_them(home: Home) -> None:
    home.add(PARASITE)
    home.read("trakt", PARASITE)
    home.later().remove(PARASITE)
    tables = (watchlist_copy, watchlist_read, watchlist_removal)
    held = home.database.ask(
        lambda connection: [len(connection.execute(one.select()).all()) for one in tables]
    )
    assert held == [1, 1, 1]

    def remove(connection: Connection) -> None:
        connection.execute(update(person).where(person.c.id == home.me).values(owner=False))
        people.remove_person(connection, people.find_person(connection, "me"))

    home.database.do(remove)

    left = home.database.ask(
        lambda connection: [len(connection.execute(one.select()).all()) for one in tables]
    )
    assert left == [0, 0, 0]
