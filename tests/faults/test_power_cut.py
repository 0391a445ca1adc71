"""A power cut: the process is killed and every write that was not synced is gone (shim.c)."""

# ruff: noqa: S311 - dice need no cryptography

from __future__ import annotations

import itertools
import json
import random
import threading
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.evening import plex
from tests.faults.disk import Disk
from tests.faults.house import Installation, lost_and_doubled, number_of, recorded
from tests.running import eventually
from tests.soak_report import RecordProperty

ROUNDS = 3
MANY_ROUNDS = 100
CARELESS_ROUNDS = 5


class Evening:
    """Senders of webhooks to an installation whose power is cut."""

    def __init__(self, powered: Installation, disk: Disk) -> None:
        self.powered, self.disk = powered, disk
        self.acknowledged: dict[int, bytes] = {}
        self.plays: set[int] = set()
        self.numbers = itertools.count(1)
        self.cuts = 0

    def cut(self, seconds: float, *names: str, threads: int = 3) -> None:
        """Send from several threads at once; some time after the first twenty webhooks the power goes."""
        self.powered.start(*names)
        address = self.powered.process.ready["webhooks"]["plex"]
        begun = [threading.Thread(target=self.send, args=(address,), daemon=True) for _ in range(threads)]
        for thread in begun:
            thread.start()
        enough = len(self.acknowledged) + 20
        eventually(lambda: len(self.acknowledged) >= enough, "webhooks are acknowledged")
        time.sleep(seconds)
        self.powered.kill()
        self.cuts += 1
        for thread in begun:
            thread.join(10)

    def send(self, address: str) -> None:
        with httpx.Client(timeout=10) as http:
            while True:
                number = next(self.numbers)
                body = json.dumps(plex("media.scrobble", number, note=f"{random.random()}")).encode()
                try:
                    answer = http.post(address, files={"payload": (None, body, "application/json")})
                except httpx.TransportError:
                    return
                assert answer.status_code == 200, answer.text
                self.acknowledged[answer.json()["webhook"]] = body
                self.plays.add(number_of(number))
                time.sleep(random.uniform(0, 0.01))

    def lost(self) -> list[int]:
        """The webhooks that were acknowledged and are not there as they came."""
        found = self.disk.raw_webhooks()
        return [number for number, raw in self.acknowledged.items() if found.get(number) != raw]


@pytest.fixture
def evening(powered: Installation, disk: Disk, record_property: RecordProperty) -> Iterator[Evening]:
    made = Evening(powered, disk)
    yield made
    record_property("power cuts", made.cuts)
    record_property("webhooks acknowledged", len(made.acknowledged))


def keep_promises(evening: Evening, rounds: int) -> None:
    powered = evening.powered
    for number in range(rounds):
        evening.cut(random.uniform(0.01, 0.8))
        powered.resume()
        here, there = powered.process.watched(), recorded(powered.trakt)
        assert powered.process.stop() == 0
        assert evening.lost() == [], f"round {number}"
        assert lost_and_doubled(evening.plays, here) == ([], []), f"round {number}"
        assert lost_and_doubled(here, there) == ([], []), f"round {number}"
        assert there.keys() == here.keys(), f"round {number}"
    assert len(evening.acknowledged) >= 20 * rounds


def test_a_power_cut_loses_nothing_that_was_acknowledged_and_doubles_nothing(evening: Evening) -> None:
    keep_promises(evening, ROUNDS)


@pytest.mark.soak
def test_many_power_cuts_lose_nothing_that_was_acknowledged_and_double_nothing(evening: Evening) -> None:
    keep_promises(evening, MANY_ROUNDS)


@pytest.mark.parametrize("careless", ["unsynced", "synced_now_and_then"])
def test_the_power_cut_is_one_where_commits_are_not_synced(evening: Evening, careless: str) -> None:
    """The proof that the test above would find it: plays are lost, though Trakt has some of them."""
    for _ in range(CARELESS_ROUNDS):
        evening.cut(0.2, careless)
        evening.powered.work_off()
        here, there = evening.powered.process.watched(), recorded(evening.powered.trakt)
        assert evening.powered.process.stop() == 0
        assert evening.acknowledged
        if evening.lost() and lost_and_doubled(evening.plays, here)[0] and there.keys() - here.keys():
            return

    pytest.fail("no cut lost what Trakt has")
