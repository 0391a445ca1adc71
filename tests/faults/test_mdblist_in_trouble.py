"""MDBList in trouble: nothing is lost and nothing is doubled, though it counts every second call."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.evening import film
from tests.fakes._server import Server
from tests.fakes.mdblist import MDBList
from tests.faults.house import Altered
from tests.faults.test_trackers_in_trouble import TROUBLES, moved_in
from tests.running import eventually

NUMBERS = range(1, 9)
FIRST_REEL = 800_000


class House:
    """A service for one person, and an MDBList at which no two plays are ever taken for one."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.mdblist = MDBList(near_minutes=-1)
        self.server = Server(self.mdblist)
        self.server.__enter__()
        reached = {"MDBLIST_API_URL": self.server.url, "MDBLIST_WRITES_PER_SECOND": "0"}
        self.process = Altered(folder, "hasty", settings={**reached, **settings})
        self.process.prepare(lambda connection, service: moved_in(connection, ()))
        self.process.connect("mdblist", self.mdblist.sign_in("anna"))
        self.process.start()

    def watch(self, numbers: range = NUMBERS) -> None:
        for number in numbers:
            ids = [{"id": f"tmdb://{FIRST_REEL + number}"}, {"id": f"imdb://tt8{number:06}"}]
            named = {"ratingKey": str(number), "title": f"Reel {number}", "year": 2000, "Guid": ids}
            told = film("media.scrobble", **named, guid=f"plex://movie/{number:024x}")
            assert self.process.post("plex", told).status_code == 200

    def history(self) -> list[int]:
        return sorted(play.entry.data["ids"]["tmdb"] for play in self.mdblist.user("anna").plays)

    def arrives(self, numbers: range = NUMBERS, seconds: float = 30) -> None:
        wanted = [FIRST_REEL + number for number in numbers]
        eventually(lambda: set(self.history()) >= set(wanted), "all are recorded", seconds)
        self.process.drain(seconds)
        assert self.history() == wanted

    def close(self) -> None:
        if self.process.process is not None:
            self.process.kill()
        self.process.http.close()
        self.server.__exit__()


Opened = Callable[..., House]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Opened]:
    opened: list[House] = []

    def made(**settings: str) -> House:
        opened.append(House(tmp_path, **settings))
        return opened[-1]

    yield made
    for one in opened:
        one.close()


@pytest.mark.parametrize("name", TROUBLES)
def test_a_live_mark_that_may_have_been_recorded_is_counted_once(house: Opened, name: str) -> None:
    what, settings = TROUBLES[name]
    anna = house(**settings)
    anna.mdblist.faults.add("POST /scrobble/stop", times=2, skip=2, **what)

    anna.watch()

    anna.arrives()


@pytest.mark.parametrize("name", TROUBLES)
def test_late_marks_are_counted_once(house: Opened, name: str) -> None:
    what, settings = TROUBLES[name]
    anna = house(HASTY_LIVE="0.8", **settings)
    out = anna.mdblist.faults.add("POST /", status=503, times=-1)
    anna.watch()
    time.sleep(1)
    assert anna.history() == []
    out.times = 0
    anna.mdblist.faults.add("POST /sync/watched", times=2, **what)

    anna.arrives()


@pytest.mark.parametrize("route", ["GET /sync/watched", "POST /sync/watched"])
def test_a_kill_in_the_middle_of_late_marks_doubles_none(house: Opened, route: str) -> None:
    numbers = range(1, 41)
    anna = house(HASTY_LIVE="0.5")
    out = anna.mdblist.faults.add("POST /", status=503, times=-1)
    anna.watch(numbers)
    time.sleep(0.8)
    anna.mdblist.faults.add(route, delay=0.3, times=-1)
    out.times = 0
    eventually(lambda: bool(anna.history()) or route.startswith("GET"), "the first are recorded")

    anna.process.kill()
    anna.process.start()

    anna.arrives(numbers)


def test_a_pace_that_is_too_fast_for_it_loses_nothing(house: Opened) -> None:
    anna = house()
    anna.mdblist.faults.add("POST /scrobble", status=429, headers={"Retry-After": "1"}, times=2, skip=1)

    anna.watch()

    anna.arrives()
