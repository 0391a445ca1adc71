"""How long things run: learned from what was played, and from the lists that lookups give."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from webhook.domain.event import Action, Episode, Event, Ids
from webhook.history import runtimes, shows
from webhook.lookups import ListedEpisode, tmdb, tvdb
from webhook.storage.db import Database

NOW = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)
SHOW = 8800008


def event(number: int, duration: timedelta | None = None) -> Event:
    item = Episode(show="Harbour Street", season=1, number=number, show_ids=Ids(tvdb=SHOW))
    ms = None if duration is None else duration // timedelta(milliseconds=1)
    return Event(action=Action.STOP, item=item, at=NOW, duration_ms=ms)


def learn_list(database: Database, *minutes: int | None) -> None:
    episodes = [
        ListedEpisode(season=1, number=number, minutes=each) for number, each in enumerate(minutes, 1)
    ]
    learnt = shows.ShowList(f"tvdb:{SHOW}", "tvdb", episodes, NOW)
    database.do(lambda connection: shows.store_lists(connection, [learnt]))


def found(database: Database) -> timedelta | None:
    return database.ask(lambda connection: runtimes.find_runtime(connection, event(7)))


def test_a_list_says_how_long_an_episode_of_the_show_runs(database: Database) -> None:
    learn_list(database, 90, 44, None, 45, 46)

    assert found(database) == timedelta(minutes=45.5)


def test_what_was_played_says_more_than_a_list(database: Database) -> None:
    database.do(lambda connection: runtimes.learn_runtime(connection, event(1, timedelta(minutes=22))))

    learn_list(database, 45)

    assert found(database) == timedelta(minutes=22)


def test_a_list_without_runtimes_says_nothing(database: Database) -> None:
    learn_list(database, None, None)

    assert found(database) is None


@pytest.mark.parametrize(
    "listed",
    [
        lambda minutes: tmdb.read_listed_episode(1, {"episode_number": 2, "runtime": minutes}),
        lambda minutes: tvdb.read_listed_episode({"seasonNumber": 1, "number": 2, "runtime": minutes}),
    ],
    ids=["tmdb", "tvdb"],
)
@pytest.mark.parametrize(("said", "minutes"), [(58, 58), (0, None), (None, None), ("58 min", None)])
def test_each_lookup_says_how_long_an_episode_runs(listed: Any, said: Any, minutes: int | None) -> None:
    assert listed(said).minutes == minutes
    assert ListedEpisode.from_json(listed(said).to_json()) == listed(said)
