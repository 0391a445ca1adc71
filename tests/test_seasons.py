"""Seasons and shows that are ticked as a whole."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from tests.test_interpreter import NOW, House
from tests.test_numbers import Lists
from webhook.domain.event import Ids, Show
from webhook.history import library, shows
from webhook.lookups import ListedEpisode
from webhook.people import identities
from webhook.storage.db import Database

TVDB = 8800008
AIRED = (NOW - timedelta(days=30)).date().isoformat()
COMING = (NOW + timedelta(days=30)).date().isoformat()
EPISODES = [
    ListedEpisode(season=0, number=1, aired=AIRED),
    ListedEpisode(season=1, number=1, title="One", aired=AIRED, ids=Ids(tvdb=11)),
    ListedEpisode(season=1, number=2, title="Two", aired=AIRED, ids=Ids(tvdb=12)),
    ListedEpisode(season=2, number=1, title="Three", aired=AIRED, ids=Ids(tvdb=21)),
    ListedEpisode(season=2, number=2, title="Soon", aired=COMING, ids=Ids(tvdb=22)),
]


@pytest.fixture
def house(database: Database) -> House:
    made = House(database)
    database.do(lambda connection: identities.claim_identities(connection, "me", "emby:anna", NOW))
    return made


def ticked(event: str, kind: str = "Series", **item: Any) -> dict[str, Any]:
    """A mark of Emby's, on a show or a season."""
    named = {"Name": "Harbour Street", "ProviderIds": {"Tvdb": str(TVDB)}} if kind == "Series" else {}
    return {
        "Event": event,
        "Date": NOW.isoformat(),
        "User": {"Name": "anna", "Id": "a" * 32},
        "Server": {"Id": "e" * 32, "Name": "Emby"},
        "Item": {"Id": "70", "Type": kind, "SeriesName": "Harbour Street", **named, **item},
    }


def listed(house: House, episodes: Sequence[ListedEpisode] = EPISODES) -> None:
    learnt = shows.ShowList(f"tvdb:{TVDB}", "tvdb", episodes, NOW)
    house.database.do(lambda connection: shows.store_list(connection, learnt))


def places(house: House) -> list[tuple[int, int]]:
    counted = [one for one in house.plays() if one.watched_at and not one.unwatched_at]
    return sorted((one.item["season"], one.item["number"]) for one in counted)


def test_a_show_that_is_listed_stands_for_its_regular_episodes_that_have_aired(house: House) -> None:
    listed(house)

    shown = house.post("emby", ticked("item.markplayed"))

    assert shown["explanation"] == "It stands for 3 episodes, which were read as webhooks of their own."
    assert places(house) == [(1, 1), (1, 2), (2, 1)]
    assert all(one.manual for one in house.plays())
    assert house.deliveries("trakt") == [("stop", True)] * 3


def test_a_season_of_a_followed_show_stands_for_its_own(house: House) -> None:
    listed(house)
    house.post("emby", ticked("item.markplayed", "Episode", Id="9", ParentIndexNumber=9, IndexNumber=9))
    house.database.do(lambda connection: follow(connection, house.me))

    house.post("emby", ticked("item.markplayed", "Season", IndexNumber=1))

    assert places(house) == [(1, 1), (1, 2), (9, 9)]


def follow(connection: Any, person_id: int) -> None:
    library.follow_show(connection, person_id, Show(title="Harbour Street", ids=Ids(tvdb=TVDB)), NOW)


def test_what_is_watched_already_is_not_watched_again(house: House) -> None:
    listed(house)
    house.post("emby", ticked("item.markplayed"))

    again = house.post("emby", ticked("item.markplayed"), minutes=9 * 24 * 60)
    house.replay(again["id"])

    assert places(house) == [(1, 1), (1, 2), (2, 1)]


def test_a_tick_that_is_read_again_keeps_no_episode_again(house: House) -> None:
    listed(house)
    shown = house.post("emby", ticked("item.markplayed"))
    house.post("emby", ticked("item.markunplayed"), minutes=1)

    house.replay(shown["id"])

    assert places(house) == []


def test_a_show_that_is_not_listed_yet_is_asked_about_and_marked_then(house: House) -> None:
    shown = house.post("emby", ticked("item.markplayed"))
    assert places(house) == []
    assert "asked at the lookups" in shown["explanation"]

    lookup = Lists("tvdb", {TVDB: EPISODES})
    episodes = shows.Episodes(house.database, [lookup], pause=0)
    asyncio.run(episodes.answer_ticks(NOW))
    house.interpret()

    assert lookup.asked == [TVDB]
    assert places(house) == [(1, 1), (1, 2), (2, 1)]


def test_a_show_that_nobody_lists_asks_for_no_person(house: House) -> None:
    house.post("emby", ticked("item.markplayed"))
    lookup = Lists("tvdb", {})

    episodes = shows.Episodes(house.database, [lookup], pause=0)
    asyncio.run(episodes.answer_ticks(NOW))
    asyncio.run(episodes.answer_ticks(NOW))
    house.interpret()

    assert (lookup.asked, house.plays(), house.deliveries()) == ([TVDB], [], [])


def test_what_has_no_id_to_ask_by_says_so(house: House) -> None:
    shown = house.post("emby", ticked("item.markplayed", "Season", IndexNumber=1))

    assert "nothing was marked" in shown["explanation"]


def test_a_season_taken_back_takes_back_what_was_watched_of_it(house: House) -> None:
    listed(house)
    house.post("emby", ticked("item.markplayed"))

    house.post("emby", ticked("item.markunplayed", "Season", IndexNumber=1), minutes=1)

    assert places(house) == [(2, 1)]
