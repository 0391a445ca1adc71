"""An evening on three servers without a webhook, cut at random points: nothing is lost, doubled or dated wrongly."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import pytest
from sqlalchemy import Connection

from tests.fakes._mediabrowser import MediaBrowser
from tests.fakes._server import Server
from tests.fakes.plex_server import PlexServer
from tests.faults.house import Altered
from tests.listening import _looks, test_evening
from tests.listening._looks import LENGTH, NORA, SERIES, SERVERS
from tests.running import eventually, started
from tests.soak_report import RecordProperty
from webhook.clock import now
from webhook.people.identities import claim_identities

pytestmark = pytest.mark.e2e

LATE = timedelta(seconds=30)
"""By how much a busy machine may hear an end late. What ended while nobody listened is dated by its server."""

EXACT = timedelta(seconds=1.1)
SEEDS, EPISODES = (1711, 1712), 3
SOAKED, SOAKED_EPISODES = range(1, 41), 8
DONE, MAX_PAUSE = 95, 0.4


class Box(Protocol):
    """A media server on which one person plays episodes."""

    def start(self, number: int) -> None: ...

    def move(self, number: int, percent: int) -> None: ...

    def stop(self, number: int, percent: int) -> None: ...

    def cut(self, dice: random.Random) -> None:
        """Break its line."""
        ...


@dataclass
class PlexBox:
    fake: PlexServer

    def start(self, number: int) -> None:
        self.fake.start(str(number % 3), test_evening.episode(number))

    def move(self, number: int, percent: int) -> None:
        self.fake.move(str(number % 3), LENGTH * percent // 100)

    def stop(self, number: int, percent: int) -> None:
        self.fake.stop(str(number % 3), LENGTH * percent // 100)

    def cut(self, dice: random.Random) -> None:
        how: dict[str, Any] = dice.choice(
            [{"status": 503}, {"reset": True}, {"body": "<html>a router</html>"}]
        )
        self.fake.faults.add("GET /:/eventsource", times=dice.randrange(0, 3), **how)
        self.fake.drop()


@dataclass
class SessionsBox:
    fake: MediaBrowser

    def start(self, number: int) -> None:
        self.fake.start("s1", _looks.episode(number), NORA)

    def move(self, number: int, percent: int) -> None:
        self.fake.move("s1", LENGTH * percent // 100)

    def stop(self, number: int, percent: int) -> None:
        self.fake.stop("s1", LENGTH * percent // 100)

    def cut(self, dice: random.Random) -> None:
        how: dict[str, Any] = dice.choice(
            [{"status": 503}, {"reset": True}, {"body": "<html>a router</html>"}]
        )
        self.fake.faults.add("GET /Sessions", times=dice.randrange(1, 4), **how)


@dataclass
class Truth:
    """When an episode was really played; `alone` where nobody listened when it ended."""

    began: datetime
    ended: datetime
    alone: bool

    def allows(self, at: datetime) -> bool:
        return self.began - EXACT <= at <= self.ended + (EXACT if self.alone else LATE)


@dataclass
class Evening:
    """Three servers, and the Watchmark that listens to them."""

    boxes: list[Box]
    house: Altered
    dice: random.Random
    truths: dict[int, Truth] = field(default_factory=dict)

    def play(self, episodes: int) -> None:
        """On every server one episode after another, side by side."""
        began: dict[int, datetime] = {}
        for turn in range(episodes):
            for percent in (0, 40, DONE):
                for place, box in enumerate(self.boxes):
                    number = 20 * place + turn + 1
                    if percent == 0:
                        began[number] = now()
                    alone = self.happen(box, number, percent)
                    if percent == DONE:
                        self.truths[number] = Truth(began[number], now(), alone)

    def happen(self, box: Box, number: int, percent: int) -> bool:
        """Do it, with what else happens to it; True where nobody listened meanwhile."""
        cut = self.dice.choice(["killed before", "killed after", "line", "none", "none", "none"])
        if cut == "line":
            box.cut(self.dice)
        if cut == "killed before":
            self.house.kill()
        self.act(box, number, percent)
        if cut == "killed after":
            self.house.kill()
        if cut.startswith("killed"):
            self.house.start()
        time.sleep(self.dice.uniform(0, MAX_PAUSE))
        return cut == "killed before"

    def act(self, box: Box, number: int, percent: int) -> None:
        if percent == 0:
            box.start(number)
        elif percent == DONE:
            box.stop(number, percent)
        else:
            box.move(number, percent)

    @property
    def watched(self) -> dict[int, list[datetime]]:
        """When each episode was watched, as the history has it."""
        found: dict[int, list[datetime]] = {}
        for play in self.house.everything("/plays"):
            if play["watched_at"]:
                found.setdefault(play["number"], []).append(datetime.fromisoformat(play["watched_at"]))
        return found

    def settled(self) -> dict[int, list[datetime]]:
        """What was watched, once the servers' own records were read after all was over."""
        eventually(lambda: self.watched.keys() == self.truths.keys(), "each is watched", 150)
        over = now()
        self.house.kill()
        self.house.start()
        eventually(lambda: self.is_read_since(over), "the servers' own records were read again", 60)
        eventually(lambda: not self.house.everything("/webhooks", state="received"), "all of it was judged")
        return self.watched

    def is_read_since(self, at: datetime) -> bool:
        read = [one["ran_at"] for one in self.house.api("/catch-up")["items"]]
        return all(one is not None and datetime.fromisoformat(one) >= at for one in read)


def check(evening: Evening, episodes: int) -> None:
    evening.play(episodes)

    watched = evening.settled()
    assert {number: len(times) for number, times in watched.items()} == dict.fromkeys(evening.truths, 1)
    wrong = {
        number: (truth, watched[number][0])
        for number, truth in evening.truths.items()
        if not truth.allows(watched[number][0])
    }
    assert wrong == {}
    assert len(evening.house.everything("/plays")) == len(evening.truths)


@pytest.fixture
def boxes() -> Iterator[tuple[list[Box], dict[str, str]]]:
    """Three servers that run, and how they are set up."""
    with ExitStack() as stack:
        plex = PlexServer()
        settings = {"PLEX_URL": stack.enter_context(Server(plex)).url, "PLEX_TOKEN": plex.switches.token}
        found: list[Box] = [PlexBox(plex)]
        for name, (_, make) in SERVERS.items():
            fake = make()
            fake.users[NORA] = "nora"
            fake.known["4000"] = dict(SERIES)
            url = stack.enter_context(Server(fake)).url
            settings |= {f"{name.upper()}_URL": url, f"{name.upper()}_API_KEY": fake.switches.key}
            found.append(SessionsBox(fake))
        yield found, settings


def claim_all(connection: Connection) -> None:
    for user in ("plex:Nora", "jellyfin:nora", "emby:nora"):
        claim_identities(connection, "me", user, now())


@pytest.fixture
def evening(boxes: tuple[list[Box], dict[str, str]], tmp_path: Path) -> Iterator[Callable[[int], Evening]]:
    house = Altered(tmp_path, "quick_looks", settings=boxes[1]).prepare()
    house.prepared(lambda connection, _: claim_all(connection))
    with started(house):
        yield lambda seed: Evening(boxes[0], house, random.Random(seed))  # noqa: S311 - the same cuts each time


@pytest.mark.parametrize("seed", SEEDS)
def test_an_evening_that_is_cut_anywhere_loses_doubles_and_misdates_nothing(
    evening: Callable[[int], Evening], seed: int
) -> None:
    check(evening(seed), EPISODES)


@pytest.mark.soak
@pytest.mark.parametrize("seed", SOAKED)
def test_long_evenings_that_are_cut_anywhere(
    evening: Callable[[int], Evening], seed: int, record_property: RecordProperty
) -> None:
    check(evening(seed), SOAKED_EPISODES)
    record_property("episodes on three servers", 3 * SOAKED_EPISODES)
