"""What leaves the watchlist by itself: what was watched since it was put on it, as its person chose."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import insert

from tests.watchlist.home import CAN, HARBOUR, HOUR, PARASITE, TIDEWATER, Home, listed
from webhook.domain.event import Episode, Ids
from webhook.domain.watchlist import Leaving
from webhook.history.watchlist import Watchlist
from webhook.history.watchlist_viewings import apply_viewings
from webhook.queries.deliveries import list_deliveries
from webhook.storage.tables import episode_list


def episode(number: int) -> Episode:
    return Episode(show="Tidewater", season=1, number=number, show_ids=Ids(tvdb=81189))


def leave(home: Home, until: Leaving = Leaving.FINISHED, *, lately: bool = False) -> int:
    home.later()
    since = home.now - 2 * HOUR if lately else None
    return home.database.do(
        lambda connection: apply_viewings(Watchlist(connection, home.me, CAN, home.now), until, since)
    )


def list_episodes(home: Home, count: int) -> None:
    """A lookup lists so many episodes of the show, all of which have aired."""
    episodes: list[dict[str, Any]] = [
        {"season": 1, "number": number, "title": None, "aired": "2020-01-01", "ids": {}}
        for number in range(1, count + 1)
    ]
    row = {"show_key": "tvdb:81189", "via": "tvdb", "episodes": episodes, "asked_at": home.now}
    home.database.do(lambda connection: connection.execute(insert(episode_list), row))


@pytest.mark.parametrize("lately", [True, False])
@pytest.mark.parametrize("until", [Leaving.FINISHED, Leaving.BEGUN])
def test_a_film_leaves_when_it_was_watched_and_others_are_told(
    home: Home, until: Leaving, lately: bool
) -> None:
    home.add(PARASITE)
    home.add(HARBOUR)
    home.settle()
    home.later().watch(PARASITE)

    assert leave(home, until, lately=lately) == 1

    assert home.titles() == ["Harbour"]
    assert [one for one in home.sent() if one[1] == "unwatchlist"] == [
        (name, "unwatchlist", "Parasite") for name in ("trakt", "simkl", "plex")
    ]
    assert leave(home, until) == 0


def test_nothing_leaves_where_a_person_wants_none_to(home: Home) -> None:
    home.add(PARASITE)
    home.later().watch(PARASITE)

    assert leave(home, Leaving.NEVER) == 0
    assert home.titles() == ["Parasite"]


def test_what_was_watched_before_it_was_put_on_stays(home: Home) -> None:
    home.watch(PARASITE)
    home.later().add(PARASITE)

    assert leave(home) == 0
    assert home.titles() == ["Parasite"]


def test_a_show_leaves_at_its_first_episode_where_that_is_chosen(home: Home) -> None:
    home.add(TIDEWATER)
    home.later().watch(episode(1))

    assert leave(home, Leaving.FINISHED) == 0
    assert leave(home, Leaving.BEGUN) == 1

    assert home.titles() == []


def test_a_show_leaves_when_its_last_aired_episode_is_watched(home: Home) -> None:
    home.add(TIDEWATER)
    list_episodes(home, 2)
    home.later().watch(episode(1))
    assert leave(home) == 0

    home.later().watch(episode(2))

    assert leave(home, lately=True) == 1
    assert home.titles() == []


def test_what_left_is_not_brought_back_by_a_service_that_still_lists_it(home: Home) -> None:
    home.add(PARASITE)
    home.later().watch(PARASITE)
    leave(home)

    home.later().read("plex", *listed([PARASITE, HARBOUR]))

    assert home.titles() == ["Harbour"]


def test_the_delivery_says_why_and_which_play_it_follows_from(home: Home) -> None:
    home.add(PARASITE)
    home.settle()
    home.later().watch(PARASITE)
    leave(home)

    found = home.database.ask(lambda connection: list_deliveries(connection, tracker="trakt"))["items"]

    assert (found[0]["explanation"], found[0]["play"]) == ("it was watched", 1)
