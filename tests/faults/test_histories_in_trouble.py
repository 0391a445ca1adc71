"""A service that keeps each play with its date in trouble: nothing is lost, nothing is doubled, and each keeps its date."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.fakes.floppy import Floppy
from tests.fakes.punchplay import BASE, PunchPlay
from tests.fakes.scrob import PROXY, Scrob
from tests.faults.reels import ReelHouse, Service
from tests.running import eventually

FLOPPY = Service("floppy", Floppy, {"FLOPPY_URL": "{url}"})
PUNCHPLAY = Service(
    "punchplay",
    PunchPlay,
    {"PUNCHPLAY_API_URL": f"{{url}}{BASE}", "PUNCHPLAY_CLIENT_ID": "fake-client-id"},
)
SCROB = Service("scrob", Scrob, {"SCROB_URL": f"{{url}}{PROXY}"})
WATCH = "POST /api/v1/media/movie"
NUMBERS = range(1, 13)

Opened = Callable[..., ReelHouse]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Opened]:
    opened: list[ReelHouse] = []

    def made(service: Service, **settings: str) -> ReelHouse:
        opened.append(ReelHouse(tmp_path, service, **settings))
        return opened[-1]

    yield made
    for one in opened:
        one.close()


@pytest.mark.parametrize(
    ("service", "route"),
    [(FLOPPY, WATCH), (PUNCHPLAY, f"POST {BASE}/playback/stop"), (SCROB, f"POST {PROXY}/history")],
    ids=["floppy", "punchplay", "scrob"],
)
def test_an_evening_of_every_trouble_is_counted_once(house: Opened, service: Service, route: str) -> None:
    anna = house(service)
    for what in (
        {"status": 429, "headers": {"Retry-After": "1"}},
        {"record_then": "reset", "times": 2},
        {"record_then": 502},
        {"status": 500},
        {"record_then": 200, "body": "<html>We will be back soon</html>"},
    ):
        anna.fake.faults.add(route, **what)

    anna.watch(NUMBERS)

    anna.arrives(NUMBERS)
    assert {fault.times for fault in anna.fake.faults} == {0}


@pytest.mark.parametrize(
    ("service", "route"),
    [(FLOPPY, WATCH), (PUNCHPLAY, f"POST {BASE}/sync/history"), (SCROB, f"POST {PROXY}/history")],
    ids=["floppy", "punchplay", "scrob"],
)
def test_a_kill_after_an_outage_doubles_none_and_each_keeps_its_date(
    house: Opened, service: Service, route: str
) -> None:
    anna = house(service, HASTY_LIVE="0.3")
    out = anna.fake.faults.add("POST /", status=503, times=-1)
    anna.watch(NUMBERS)
    eventually(lambda: len(anna.fake.made(route)) > 2, "what was live is late")
    anna.fake.faults.add(route, delay=0.2, times=-1)
    out.times = 0
    eventually(lambda: len(anna.history()) > 1, "the first are recorded")

    anna.process.kill()
    anna.process.start()

    anna.arrives(NUMBERS)
    received = sorted(entry["received_at"] for entry in anna.process.everything("/webhooks"))
    kept = sorted(play.at.replace(tzinfo=UTC) for play in anna.fake.user("anna").plays)
    assert kept == [datetime.fromisoformat(at).replace(microsecond=0) for at in received]
