"""MDBList in trouble: nothing is lost and nothing is doubled, though it counts every second call."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fakes.mdblist import MDBList
from tests.faults.reels import ReelHouse, Service
from tests.faults.test_trackers_in_trouble import TROUBLES
from tests.running import eventually

MDBLIST = Service("mdblist", lambda: MDBList(near_minutes=-1), {"MDBLIST_API_URL": "{url}"})


class House(ReelHouse):
    """A service for one person, and an MDBList at which no two plays are ever taken for one."""

    def __init__(self, folder: Path, **settings: str) -> None:
        super().__init__(folder, MDBLIST, **settings)
        self.mdblist = self.fake


Opened = Callable[..., House]


EVERY_TIME = {"it records and answers 502", "it records and drops the connection", "its answer breaks off"}
HERE = [pytest.param(name, marks=[] if name in EVERY_TIME else [pytest.mark.soak]) for name in TROUBLES]
"""What a tracker can do wrong; the suite does all of it at Trakt, and here what may be recorded or not."""


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Opened]:
    opened: list[House] = []

    def made(**settings: str) -> House:
        opened.append(House(tmp_path, **settings))
        return opened[-1]

    yield made
    for one in opened:
        one.close()


@pytest.mark.parametrize("name", HERE)
def test_a_live_mark_that_may_have_been_recorded_is_counted_once(house: Opened, name: str) -> None:
    what, settings = TROUBLES[name]
    anna = house(**settings)
    anna.mdblist.faults.add("POST /scrobble/stop", times=2, skip=2, **what)

    anna.watch()

    anna.arrives()


@pytest.mark.parametrize("name", HERE)
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
