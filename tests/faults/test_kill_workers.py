"""kill -9 of one of several processes that share PostgreSQL: nothing is lost, doubled or another person's."""

# ruff: noqa: S311 - dice need no cryptography

from __future__ import annotations

import json
import random
import subprocess
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self, cast

import httpx
import pytest
from sqlalchemy import Connection

from tests.evening import plex
from tests.fakes._server import Server
from tests.fakes.trakt import Trakt
from tests.faults.house import PATIENT, Altered, at, disorder, evening, lost_and_doubled, number_of, recorded
from tests.forked import Forked
from tests.running import SOON
from tests.soak_report import RecordProperty
from webhook.accounts import accounts
from webhook.people import identities, people
from webhook.service import Service

PEOPLE = [f"user{number}" for number in range(5)]
WORKERS, KILLS, MANY_KILLS = 3, 5, 120


class Worker(Altered):
    """`watchmark work`, altered, on the data of a receiver."""

    def begin(self, log: Path) -> subprocess.Popen[str]:
        return cast(Any, Forked(["work", "--json"], self.environ, log, names=self.names))

    def start(self) -> Self:
        self.process = self.begin(self.folder / "log.txt")
        assert self.process.stdout is not None
        assert json.loads(self.process.stdout.readline())["working"]
        return self


class Town:
    """A receiver that only receives, workers, and several people whose webhooks come by one token."""

    def __init__(self, folder: Path, database: str, seed: int, **settings: str) -> None:
        self.dice = random.Random(seed)
        self.trakt = Trakt(window_minutes=0)
        self.server = Server(self.trakt)
        self.server.__enter__()
        settings = at(self.server.url, DATABASE_URL=database, **settings)
        self.receiver = Altered(folder, "hasty", settings={**settings, "WORKER": "false"}).prepare(
            self.move_in
        )
        self.workers = [Worker(folder, "hasty", settings=settings) for _ in range(WORKERS)]
        self.kills = 0
        self.acknowledged: defaultdict[str, set[int]] = defaultdict(set)
        self.going = True
        self.threads = [threading.Thread(target=self.send, args=(name,), daemon=True) for name in PEOPLE]

    def move_in(self, connection: Connection, service: Service) -> None:
        for name in PEOPLE:
            person_id = people.add_person(connection, name, service.started_at)
            sealed = service.seal.seal(self.trakt.sign_in(name))
            tracker = service.trackers["trakt"]
            accounts.store_tokens(connection, person_id, tracker, sealed, name, service.started_at)
            identities.claim_identities(connection, name, f"plex:{name}", service.started_at)

    def begin(self) -> None:
        for process in (self.receiver, *self.workers):
            process.start()
        for thread in self.threads:
            thread.start()

    def send(self, name: str) -> None:
        """Evenings of one person, on a player of their own or on one that all share."""
        dice, numbers = random.Random(f"{name} {self.dice.random()}"), iter(range(1, 90_000))
        with httpx.Client(timeout=10) as http:
            while self.going:
                number, player = next(numbers), dice.choice([name, name, "shared"])
                for event in evening(dice):
                    self.post(http, name, player, event, number)
                    time.sleep(dice.uniform(0, 0.03))

    def post(self, http: httpx.Client, name: str, player: str, event: str, number: int) -> None:
        payload = {**plex(event, number, user=name), "Player": {"title": player, "uuid": player}}
        parts: Any = {"payload": (None, json.dumps(payload), "application/json")}
        assert http.post(self.receiver.ready["webhooks"]["plex"], files=parts).status_code == 200
        if event == "media.scrobble":
            self.acknowledged[name].add(number_of(number))

    def kill_workers(self, times: int) -> None:
        for _ in range(times):
            time.sleep(self.dice.uniform(0.05, 0.5))
            hit = self.dice.choice(self.workers)
            hit.kill()
            self.kills += 1
            hit.start()

    def settle(self) -> None:
        self.going = False
        for thread in self.threads:
            thread.join(SOON)
        self.receiver.drain(60 + sum(map(len, self.acknowledged.values())))

    def faults(self) -> dict[str, Any]:
        """What each person lost or has twice, in the history and at the tracker."""
        found = {}
        for name in PEOPLE:
            there, here = recorded(self.trakt, name), self.receiver.watched(name)
            wrong = lost_and_doubled(self.acknowledged[name], here), lost_and_doubled(here, there)
            if wrong != (([], []), ([], [])):
                found[name] = wrong
        return found

    def disorders(self) -> dict[str, list[str]]:
        """What of each person was done at the tracker before something that was heard earlier."""
        deliveries = self.receiver.everything("/deliveries", tracker="trakt")
        found = {name: disorder(self.trakt, deliveries, name, name) for name in PEOPLE}
        return {name: wrong for name, wrong in found.items() if wrong}

    def close(self) -> None:
        self.going = False
        for process in (self.receiver, *self.workers):
            if process.process is not None:
                process.kill()
            process.http.close()
        self.server.__exit__()


@pytest.fixture
def town(tmp_path: Path, postgres_url: str, record_property: RecordProperty) -> Iterator[Callable[..., Town]]:
    opened: list[Town] = []

    def made(seed: int | None = None, **settings: str) -> Town:
        seed = random.randrange(10**6) if seed is None else seed
        print(f"seed {seed}")  # noqa: T201 - shown where it fails
        opened.append(Town(tmp_path, postgres_url, seed, **settings))
        return opened[-1]

    yield made
    for one in opened:
        record_property("kills of workers beside PostgreSQL", one.kills)
        record_property("plays acknowledged", sum(map(len, one.acknowledged.values())))
        one.close()


def keep_promises(busy: Town, kills: int) -> None:
    busy.begin()
    busy.kill_workers(kills)
    busy.settle()

    states = Counter(entry["state"] for entry in busy.receiver.everything("/webhooks"))
    assert all(busy.acknowledged[name] for name in PEOPLE)
    assert set(states) <= {"interpreted"}
    assert busy.faults() == {}
    assert busy.disorders() == {}


def test_kills_of_workers_lose_nothing_and_double_nothing(town: Callable[..., Town]) -> None:
    keep_promises(town(), KILLS)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(3))
def test_many_kills_of_workers_lose_nothing_and_double_nothing(town: Callable[..., Town], seed: int) -> None:
    keep_promises(town(seed=seed), MANY_KILLS)


def test_workers_that_nobody_kills_keep_the_order_of_each_person(town: Callable[..., Town]) -> None:
    calm = town(**PATIENT)
    calm.begin()
    time.sleep(2)
    calm.settle()

    assert all(calm.acknowledged[name] for name in PEOPLE)
    assert calm.faults() == {}
    assert calm.disorders() == {}
