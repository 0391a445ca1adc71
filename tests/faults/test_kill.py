"""kill -9 at random moments: every acknowledged play is once in the history and once at the tracker, in order.

The fake Trakt takes part: it fails, it throttles, it records a call and then answers 502 or nothing.
It has no window in which a second scrobble of an episode is refused, so that nothing but Watchmark
itself keeps a play from being counted twice.
"""

# ruff: noqa: S311 - dice need no cryptography

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.evening import plex
from tests.fakes._server import Call, Fault, Faults, Server
from tests.fakes.trakt import Trakt
from tests.fakes.tvtime import TVTime
from tests.faults.house import Altered, Senders, at, disorder, lost_and_doubled, promptly, recorded
from tests.soak_report import RecordProperty

KILLS, KILLS_ON_POSTGRES, MANY_KILLS = 16, 6, 300
TROUBLE: list[tuple[float, dict[str, Any]]] = [
    (0.04, {"status": 500}),
    (0.02, {"status": 429, "headers": {"retry-after": "0"}}),
    (0.01, {"status": 429, "headers": {"retry-after": "1"}}),
    (0.01, {"status": 429}),
    (0.03, {"record_then": 502}),
    (0.02, {"record_then": "reset"}),
]


class Unreliable(Faults):
    """Something goes wrong with a part of the writes, as often as TROUBLE says."""

    def __init__(self, dice: random.Random) -> None:
        super().__init__()
        self.dice = dice

    def take(self, call: Call) -> Fault | None:
        if call.method == "GET":
            return super().take(call)
        chance = self.dice.random()
        for share, what in TROUBLE:
            if chance < share:
                return Fault(route="", **what)
            chance -= share
        return super().take(call)


class Street:
    """A service that is killed again and again, its senders and its trackers."""

    def __init__(
        self, folder: Path, dice: random.Random, *names: str, database: str = "", **settings: str
    ) -> None:
        self.dice = dice
        self.trakt, self.tvtime = Trakt(window_minutes=0), TVTime()
        self.trakt.faults = Unreliable(dice)
        self.servers = [Server(self.trakt), Server(self.tvtime)]
        for server in self.servers:
            server.__enter__()
        more = {"TVTIME_URL": self.servers[1].url, "TVTIME_WRITES_PER_SECOND": "0", **settings}
        if database:
            more["DATABASE_URL"] = database
        self.database = database
        self.process = Altered(folder, "hasty", *names, settings=at(self.servers[0].url, **more)).prepare()
        self.process.connect("trakt", self.trakt.sign_in("anna"))
        self.process.connect("tvtime", self.tvtime.add_user("anna", "secret").tokens)
        self.senders = Senders(dice)
        self.kills = 0

    def kill(self, times: int) -> None:
        """Kill it so many times; a slow machine, on which few webhooks come that far, some times more and later."""
        for turn in range(4 * times):
            if turn >= times and len(self.senders.acknowledged) > times / 2:
                return
            self.process.start()
            self.senders.begin(self.process)
            time.sleep(self.dice.uniform(0.02, 0.4) * (1 + turn // times))
            self.process.kill()
            self.kills += 1
            self.senders.end()

    def settle(self) -> None:
        """Let it go on until all is worked off. Each refusal without a date costs a wait, so much takes longer."""
        self.process.start()
        self.process.drain(60 + len(self.senders.acknowledged))

    def close(self) -> None:
        if self.process.process is not None:
            self.process.kill()
        self.process.http.close()
        for server in self.servers:
            server.__exit__()


Opened = Callable[..., Street]


@pytest.fixture
def street(tmp_path: Path, record_property: RecordProperty) -> Iterator[Opened]:
    opened: list[Street] = []

    def made(*names: str, database: str = "", seed: int | None = None, **settings: str) -> Street:
        seed = random.randrange(10**6) if seed is None else seed
        print(f"seed {seed}")  # noqa: T201 - shown where it fails
        opened.append(Street(tmp_path, random.Random(seed), *names, database=database, **settings))
        return opened[-1]

    yield made
    for one in opened:
        record_property(f"kills beside {'PostgreSQL' if one.database else 'SQLite'}", one.kills)
        record_property("plays acknowledged", len(one.senders.acknowledged))
        one.close()


def kept_its_promise(street: Street, times: int) -> None:
    street.kill(times)
    street.settle()

    assert len(street.senders.acknowledged) > times / 2
    assert set(street.senders.answers) == {200}
    lost_nothing_and_doubled_nothing(street)


def lost_nothing_and_doubled_nothing(street: Street) -> None:
    acknowledged = street.senders.acknowledged
    assert lost_and_doubled(acknowledged, street.process.watched()) == ([], [])
    assert lost_and_doubled(acknowledged, recorded(street.trakt)) == ([], [])
    deliveries = street.process.everything("/deliveries")
    assert disorder(street.trakt, [entry for entry in deliveries if entry["tracker"] == "trakt"]) == []
    states = {(entry["mark"], entry["state"]) for entry in deliveries}
    assert {state for mark, state in states if mark} <= {"done"}
    # A pause of which the position is not known for sure leaves a better resume point alone.
    assert {state for _, state in states} <= {"done", "superseded", "expired", "skipped"}
    marked = {episode: view.rewatch_count for episode, view in street.tvtime.users["anna"].watched.items()}
    assert acknowledged <= marked.keys()
    assert not any(marked.values())


def test_kills_lose_nothing_and_double_nothing(street: Opened) -> None:
    kept_its_promise(street(), KILLS)


def test_kills_beside_postgres_lose_nothing_and_double_nothing(street: Opened, postgres_url: str) -> None:
    kept_its_promise(street(database=postgres_url), KILLS_ON_POSTGRES)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(3))
def test_many_kills_lose_nothing_and_double_nothing(street: Opened, seed: int) -> None:
    kept_its_promise(street(seed=seed), MANY_KILLS)


@pytest.mark.soak
def test_many_kills_beside_postgres_lose_nothing_and_double_nothing(
    street: Opened, postgres_url: str
) -> None:
    kept_its_promise(street(database=postgres_url), MANY_KILLS)


def test_an_acknowledgement_before_the_commit_is_found_out(street: Opened) -> None:
    """The proof that the tests above would see a loss."""
    careless = street("acknowledge_first")

    def lost() -> list[int]:
        return lost_and_doubled(careless.senders.acknowledged, careless.process.watched())[0]

    assert comes_out(careless, lost)


def test_sending_again_without_a_look_is_found_out(street: Opened) -> None:
    """The proof that the tests above would see a mark that was made twice."""
    blind = street("blind")

    def doubled() -> list[int]:
        return lost_and_doubled(blind.senders.acknowledged, recorded(blind.trakt))[1]

    assert comes_out(blind, doubled)


def comes_out(street: Street, fault: Callable[[], list[int]]) -> bool:
    """Whether the mistake shows within some kills: the dice decide whether one hits the moment."""
    for _ in range(6):
        street.kill(6)
        street.settle()
        if fault():
            return True
        street.process.kill()
    return False


def test_a_call_that_is_recorded_after_the_kill_is_not_made_twice(street: Opened) -> None:
    """The look after a kill waits as long as the one after an answer that never came: a tracker may be slow."""
    slow = street(HASTY_GATEWAY="2")
    slow.trakt.faults = Faults()
    slow.trakt.faults.add("POST /scrobble/stop", delay=1.2)
    slow.process.start()
    slow.process.post("plex", plex("media.scrobble", 1))
    assert promptly(lambda: bool(slow.trakt.made("POST /scrobble/stop")), 5)

    slow.process.kill()
    slow.settle()
    time.sleep(1.3)

    assert sum(recorded(slow.trakt).values()) == 1


def test_a_mark_of_another_item_is_taken_back_though_it_is_killed_in_between(street: Opened) -> None:
    """The id is that of an episode of Harbour Lights, and neither show nor title is anywhere at Trakt."""
    killed = street()
    killed.trakt.faults = Faults()
    killed.trakt.faults.add("POST /sync/history/remove", delay=30)
    killed.process.start()
    astray: dict[str, Any] = {
        "grandparentTitle": "Nowhere at All",
        "title": "Nothing",
        "Guid": [{"id": "tvdb://76550"}],
    }
    killed.process.post("plex", plex("media.scrobble", 1, **astray))
    assert promptly(lambda: bool(killed.trakt.made("POST /sync/history/remove")), 5)
    left = len(killed.trakt.user("anna").history)

    killed.process.kill()
    killed.settle()

    states = [entry["state"] for entry in killed.process.everything("/deliveries", tracker="trakt")]
    assert left == 1
    assert killed.trakt.user("anna").history == []
    assert states == ["unmatched"]
