"""Reads of accounts' lists: what they change, what they never change, and what is held until somebody looks."""

from __future__ import annotations

import pytest

from tests.watchlist.home import HARBOUR, HOUR, NOW, PARASITE, TIDEWATER, Home, films, listed
from webhook.domain.event import Episode, Ids, Movie, Show
from webhook.domain.watchlist import WantedItem, is_suspicious
from webhook.history import watchlist_reads
from webhook.history.watchlist import Watchlist

PILOT = Episode(show="Tidewater", season=1, number=1, show_ids=Ids(tvdb=81189))


def test_the_first_read_is_a_union_and_removes_nothing(home: Home) -> None:
    home.add(HARBOUR)

    result = home.later().read("trakt", PARASITE)

    assert (result.added, result.removed) == (1, 0)
    assert sorted(map(str, home.titles())) == ["Harbour", "Parasite"]


def test_what_one_service_lists_is_sent_to_the_others_and_not_back(home: Home) -> None:
    home.read("plex", PARASITE)

    assert home.sent() == [("trakt", "watchlist", "Parasite"), ("simkl", "watchlist", "Parasite")]


def test_what_was_sent_comes_back_in_the_next_read_and_makes_nothing_new(home: Home) -> None:
    home.read("plex", PARASITE)
    home.settle()
    before = home.sent()

    for name in ("trakt", "simkl", "plex", "trakt"):
        result = home.later().read(name, PARASITE)
        assert (result.added, result.removed, result.held) == (0, 0, 0)

    assert home.sent() == before
    assert home.titles() == ["Parasite"]


def test_what_is_taken_off_at_a_service_is_taken_off_here_and_at_the_others(home: Home) -> None:
    home.read("trakt", *listed([PARASITE, HARBOUR]))
    home.later().read("plex", *listed([PARASITE, HARBOUR]))
    home.settle()

    result = home.later().read("trakt", *listed([HARBOUR]))

    assert result.removed == 1
    assert home.titles() == ["Harbour"]
    assert [one for one in home.sent() if one[1] == "unwatchlist"] == [
        ("simkl", "unwatchlist", "Parasite"),
        ("plex", "unwatchlist", "Parasite"),
    ]


def test_no_service_brings_back_what_was_taken_off_elsewhere(home: Home) -> None:
    home.read("trakt", *listed([PARASITE, HARBOUR]))
    home.later().remove(PARASITE)

    home.later().read("plex", *listed([PARASITE, HARBOUR]))
    home.later().read("trakt", *listed([PARASITE, HARBOUR]))

    assert home.titles() == ["Harbour"]


def test_what_is_put_on_a_list_later_than_it_was_taken_off_is_back(home: Home) -> None:
    home.read("trakt", *listed([PARASITE, HARBOUR]))
    home.later().remove(PARASITE)
    home.later().read("trakt", *listed([HARBOUR]))

    home.later().read("plex", WantedItem(item=PARASITE, at=home.now - HOUR / 2))

    assert home.titles() == ["Harbour", "Parasite"]


def test_put_on_here_while_the_list_there_is_being_read_it_stays(home: Home) -> None:
    home.read("trakt", HARBOUR)

    home.later().add(PARASITE)
    home.read("trakt", HARBOUR)

    assert sorted(map(str, home.titles())) == ["Harbour", "Parasite"]


def test_taken_off_at_one_and_put_on_at_another_since_the_last_read_it_stays(home: Home) -> None:
    home.read("trakt", *listed([PARASITE, HARBOUR]))
    home.settle()
    home.later().read("plex", WantedItem(item=PARASITE, at=home.now - HOUR / 2))

    result = home.later().read("trakt", *listed([HARBOUR]))

    assert result.removed == 0
    assert "Parasite" in home.titles()
    assert home.sent("trakt")[-1] == ("trakt", "watchlist", "Parasite")


@pytest.mark.parametrize("left", [0, 40])
def test_where_suddenly_much_is_gone_nothing_is_removed_and_it_is_held(home: Home, left: int) -> None:
    home.read("plex", *listed(films(61)))
    home.settle()
    before = home.sent()

    result = home.later().read("plex", *listed(films(left)))

    assert (result.removed, result.held) == (0, 61 - left)
    assert len(home.titles()) == 61
    assert home.sent() == before
    assert home.held("plex") == 61 - left


def test_what_is_held_is_let_go_once_the_list_is_whole_again(home: Home) -> None:
    home.read("plex", *listed(films(61)))
    home.later().read("plex")

    result = home.later().read("plex", *listed(films(61)))

    assert (result.added, result.removed, result.held) == (0, 0, 0)
    assert home.held("plex") == 0
    assert len(home.titles()) == 61


def test_a_held_read_still_brings_what_is_new(home: Home) -> None:
    home.read("plex", *listed(films(61)))

    result = home.later().read("plex", PARASITE)

    assert (result.added, result.held) == (1, 61)
    assert len(home.titles()) == 62


def test_whoever_says_so_has_what_is_held_removed_here_and_elsewhere(home: Home) -> None:
    home.read("plex", *listed(films(20)))
    home.settle()
    home.later().read("plex", *listed(films(2)))

    done = home.later().change(
        lambda mine: watchlist_reads.settle_hold(mine, home.accounts["plex"], "Plex", remove=True)
    )

    assert done == 18
    assert len(home.titles()) == 2
    assert sum(one[:2] == ("trakt", "unwatchlist") for one in home.sent()) == 18
    assert not any(one[:2] == ("plex", "unwatchlist") for one in home.sent())


def test_whoever_keeps_what_is_held_has_it_sent_there_again(home: Home) -> None:
    home.read("plex", *listed(films(20)))
    home.settle()
    home.later().read("plex", *listed(films(2)))

    home.later().change(
        lambda mine: watchlist_reads.settle_hold(mine, home.accounts["plex"], "Plex", remove=False)
    )
    home.later().read("plex", *listed(films(2)))

    assert len(home.titles()) == 20
    assert sum(one[:2] == ("plex", "watchlist") for one in home.sent()) == 18


@pytest.mark.parametrize(
    ("before", "gone", "suspicious"),
    [
        (61, 61, True),
        (61, 10, False),
        (61, 11, True),
        (4, 2, False),
        (4, 3, True),
        (2, 2, True),
        (1, 1, False),
    ],
)
def test_how_much_may_be_gone_at_once(before: int, gone: int, suspicious: bool) -> None:
    assert is_suspicious(before, gone) is suspicious


def test_a_show_that_a_service_drops_as_its_first_episode_is_watched_stays(home: Home) -> None:
    home.read("trakt", *listed([TIDEWATER, PARASITE]))
    home.settle()
    home.later().watch(PILOT)

    result = home.later().read("trakt", *listed([PARASITE]))

    assert result.removed == 0
    assert "Tidewater" in home.titles()
    assert not any(one[1] == "unwatchlist" for one in home.sent())


def test_what_was_watched_long_before_it_was_taken_off_is_taken_off_here(home: Home) -> None:
    home.read("plex", *listed([PARASITE, HARBOUR], NOW - 900 * HOUR))
    home.watch(PARASITE, NOW - 800 * HOUR)
    home.later(100 * HOUR).read("plex", *listed([PARASITE, HARBOUR], NOW - 900 * HOUR))

    result = home.later().read("plex", *listed([HARBOUR], NOW - 900 * HOUR))

    assert result.removed == 1


def test_what_a_service_says_was_watched_there_was_not_taken_off(home: Home) -> None:
    home.read("trakt", *listed([TIDEWATER, PARASITE]))

    result = home.later().read("trakt", *listed([PARASITE]), moved=[TIDEWATER])

    assert result.removed == 0
    assert "Tidewater" in home.titles()


def test_an_item_with_tvdb_here_and_tmdb_there_is_one(home: Home) -> None:
    home.add(Show(title="Tidewater", year=2020, ids=Ids(tvdb=81189)))

    home.later().read("plex", Show(title="Tidewater", year=2020, ids=Ids(tmdb=1396)))

    assert home.titles() == ["Tidewater"]


def test_ids_that_a_service_knows_complete_the_entry(home: Home) -> None:
    home.add(Movie(title="Parasite", year=2019, ids=Ids(tmdb=496243)))
    home.later().read("trakt", PARASITE)

    found = home.change(lambda mine: mine.find(Movie(ids=Ids(imdb="tt6751668"))))

    assert found.item["ids"] == {"tmdb": 496243, "imdb": "tt6751668"}


def test_a_new_sign_in_begins_with_a_union_again(home: Home) -> None:
    home.read("trakt", *listed(films(3)))
    home.database.do(lambda connection: watchlist_reads.forget_account(connection, home.accounts["trakt"]))

    result = home.later().read("trakt", *listed(films(1)))

    assert (result.removed, result.held) == (0, 0)
    assert len(home.titles()) == 3


def test_what_is_missing_there_is_sent_when_asked_for(home: Home) -> None:
    home.add(PARASITE)
    home.add(HARBOUR)
    home.settle()
    home.later().read("trakt", PARASITE)

    sent = home.later().change(lambda mine: watchlist_reads.send_all(mine, home.accounts["trakt"]))

    assert sent == 1
    assert home.sent("trakt")[-1] == ("trakt", "watchlist", "Harbour")


def test_a_read_of_many_is_applied_in_moderate_time(home: Home) -> None:
    home.read("trakt", *listed(films(600)))

    result = home.later().read("trakt", *listed(films(600)))

    assert (result.added, result.removed, len(home.titles())) == (0, 0, 600)
    assert isinstance(home.change(lambda mine: mine), Watchlist)
    assert home.now > NOW
