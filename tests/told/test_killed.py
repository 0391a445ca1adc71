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
from webhook.transfer import backfill as backfilling

FILMS = 80
"""More films than there are steps until one is told."""


class OutsideHome(Home):
    door = Server


@pytest.fixture
def make_home(tmp_path: Path) -> Iterator[Callable[[str], OutsideHome]]:
    environ = {"DATA_DIR": str(tmp_path), "DATABASE_URL": f"sqlite:///{tmp_path / 'watchmark.db'}"}
    with asyncio.Runner() as runner:
        homes: list[OutsideHome] = []

        def make(name: str) -> OutsideHome:
            homes.append(OutsideHome(runner, environ, name))
            return homes[-1]

        yield make
        for home in homes:
            home.end()


def stock(home: Home, name: str) -> None:
    if name != "plex":
        home.fakes[name].switches.version = "10.8.13"  # where each dated call counts anew
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

    for step in range(1, FILMS + 1):
        is_asked = ask(home, name, step - 1)
        process = FORKS.Process(target=killed.tell, args=(home.environ, step))
        process.start()
        process.join(60)
        if process.exitcode == 0 and is_asked:
            break
        assert process.exitcode in (0, -signal.SIGKILL)
    plays = home.count_plays()

    home.reopen()
    told = home.deliveries(tracker=name)
    assert process.exitcode == 0
    assert list(count_of(home, name).values()) == [1] * step
    assert [one["state"] for one in told] == ["done"] * step
    assert plays == step
    for payload in getattr(home.fakes[name], "sent", ()):
        home.post(payload, name)
    assert home.count_plays() == plays
