"""kill -9 at every step of a restore and of telling: nothing is lost, and nothing is marked twice."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.fakes._server import Server
from tests.fakes.plex import ANNA
from tests.forked import FORKS
from tests.told import killed
from tests.told.home import Home
from tests.told.test_echoes import add_films, film
from tests.trackers._at_home import PLEX_FILM
from tests.transfer.test_bringing import seen
from webhook import clock
from webhook.accounts import accounts
from webhook.domain.event import Action
from webhook.transfer import backfill as backfilling

FILMS = 80
"""More films than there are steps until one is told."""

MINUTE = 60_000


class OutsideHome(Home):
    door = Server


@pytest.fixture(params=["sqlite"])
def make_home(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str], OutsideHome]]:
    """Make a home that other processes reach; on PostgreSQL where a test says so."""
    where = f"sqlite:///{tmp_path / 'watchmark.db'}"
    if request.param == "postgres":
        where = request.getfixturevalue("migrated_postgres_url")
    environ = {"DATA_DIR": str(tmp_path), "DATABASE_URL": where}
    with asyncio.Runner() as runner:
        homes: list[OutsideHome] = []

        def make(name: str) -> OutsideHome:
            homes.append(OutsideHome(runner, environ, name))
            return homes[-1]

        yield make
        for home in homes:
            home.end()


def stock(home: Home, name: str, version: str = "10.8.13") -> None:
    """Films on the server; on a Jellyfin of that version each dated call counts anew."""
    if name != "plex":
        home.fakes[name].switches.version = version
        add_films(home, name, FILMS)
        return
    for number in range(FILMS):
        known = {
            "ratingKey": str(9000 + number),
            "title": f"Film {number}",
            "guid": f"plex://movie/{number:024x}",
        }
        home.fakes[name].add(
            {**PLEX_FILM, **known, "year": 2001, "Guid": [{"id": f"tmdb://{500_000 + number}"}]}
        )
    home.service.interpreter.added.add(home.fakes[name].machine)
    home.list_servers()


def ask_restore(home: Home, name: str, number: int) -> bool:
    """One more film in the history, and a restore of it; False where an earlier one is under way."""
    home.bring(seen(film(number), clock.now() - timedelta(days=number + 2)))
    if home.database.ask(killed.is_running):
        return False
    tracker, account = home.service.trackers[name], home.accounts[name]
    home.database.do(lambda connection: backfilling.begin(connection, tracker, account, clock.now()))
    return True


def watch(home: Home, name: str, number: int) -> bool:
    home.say("watched", film(number), clock.now() - timedelta(days=number, hours=5))
    return True


def leave_off(home: Home, name: str, number: int) -> bool:
    """One more film that is left on a player that the server does not know."""
    for action, minutes in (("start", 0), ("stop", 30)):
        home.say(action, film(number), position_ms=minutes * MINUTE, duration_ms=120 * MINUTE)
    return True


def positions_of(home: Home, name: str) -> dict[str, int]:
    """Where each item goes on there, in ms."""
    fake = home.fakes[name]
    if name == "plex":
        known = {key: int(one.get("viewOffset", 0)) for key, one in fake.marks[ANNA].items()}
    else:
        played = fake.played.get("aa" * 16, {})
        known = {key: one["UserData"]["PlaybackPositionTicks"] // 10_000 for key, one in played.items()}
    return {key: position for key, position in known.items() if position}


def count_of(home: Home, name: str) -> dict[str, Any]:
    """How often each item is watched there, as the server counts."""
    fake = home.fakes[name]
    if name == "plex":
        return {key: fake.marks[ANNA][key]["viewCount"] for key in fake.watched()}
    return {key: fake.data_of("aa" * 16, key)["PlayCount"] for key in fake.watched()}


@pytest.mark.parametrize("name", ["jellyfin", "plex"])
@pytest.mark.parametrize("ask", [ask_restore, watch])
def test_each_item_is_marked_once_however_often_it_is_killed(
    make_home: Callable[[str], OutsideHome], ask: Callable[[Home, str, int], bool], name: str
) -> None:
    """Each process works on one film more, and dies a step later than the one before."""
    home = make_home(name)
    stock(home, name)

    count = kill_at_steps(home, name, ask)

    check_marks(home, name, count)


@pytest.mark.parametrize(
    ("make_home", "name"), [("sqlite", "emby"), ("postgres", "jellyfin")], indirect=["make_home"]
)
def test_each_item_is_marked_once_on_emby_and_on_postgresql_as_well(
    make_home: Callable[[str], OutsideHome], name: str
) -> None:
    """Likewise, at every fourth step."""
    home = make_home(name)
    stock(home, name)

    count = kill_at_steps(home, name, watch, stride=4)

    check_marks(home, name, count)


@pytest.mark.parametrize("name", ["jellyfin", "plex"])
def test_each_film_goes_on_where_it_was_left_however_often_it_is_killed(
    make_home: Callable[[str], OutsideHome], name: str
) -> None:
    home = make_home(name)
    stock(home, name, "10.11.5")
    home.run(accounts.switch_action(home.service, home.accounts[name], Action.PROGRESS, True))

    count = kill_at_steps(home, name, leave_off, stride=4)

    home.reopen()
    assert [one["state"] for one in home.deliveries(tracker=name)] == ["done"] * count
    assert list(positions_of(home, name).values()) == [30 * MINUTE] * count
    assert count_of(home, name) == {}


def kill_at_steps(
    home: OutsideHome, name: str, ask: Callable[[Home, str, int], bool], stride: int = 1
) -> int:
    """Have processes work, each of which dies later than the one before, until one lives; how many that were."""
    for count in range(1, FILMS + 1):
        is_asked = ask(home, name, count - 1)
        process = FORKS.Process(target=killed.tell, args=(home.environ, 1 + stride * (count - 1)))
        process.start()
        process.join(60)
        if process.exitcode == 0 and is_asked:
            return count
        assert process.exitcode in (0, -signal.SIGKILL)
    raise AssertionError("each of the processes was killed")


def check_marks(home: OutsideHome, name: str, count: int) -> None:
    """Check that each item was marked once, and that what the server reports of that makes no play."""
    plays = home.count_plays()
    home.reopen()
    assert list(count_of(home, name).values()) == [1] * count
    assert [one["state"] for one in home.deliveries(tracker=name)] == ["done"] * count
    assert plays == count
    for payload in getattr(home.fakes[name], "sent", ()):
        home.post(payload, name)
    assert home.count_plays() == plays
