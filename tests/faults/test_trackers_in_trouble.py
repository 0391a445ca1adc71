"""A tracker in trouble: nothing is lost, nothing is doubled, the order is kept, and it is not hammered.

The fake Trakt has no window in which it refuses a second scrobble, so it is Watchmark alone that
counts a play once. Pauses and timeouts are short (tests.faults.altered); what is late is so after a second.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from tests.evening import plex
from tests.fakes._server import Call, Server
from tests.fakes.trakt import Trakt
from tests.faults.house import Altered, at, number_of, recorded
from tests.running import eventually
from webhook import clock
from webhook.people import identities, people

NUMBERS = range(1, 9)
FRIENDS = ("ben", "cleo", "dora", "emil")
HTML = "<html><body>We will be back soon</body></html>"


class House:
    """A service for one person, and the Trakt she is at."""

    process: Altered

    def __init__(self, folder: Path, friends: tuple[str, ...] = (), **settings: str) -> None:
        self.trakt = Trakt(window_minutes=0)
        self.server = Server(self.trakt)
        self.server.__enter__()
        self.process = Altered(folder, "hasty", settings=at(self.server.url, **settings))
        self.process.prepare(lambda connection, service: moved_in(connection, friends))
        self.process.connect("trakt", self.trakt.sign_in("anna"))
        for name in friends:
            self.process.connect("trakt", self.trakt.sign_in(name), person=name)
        self.process.start()

    def watch(self, numbers: range = NUMBERS) -> None:
        for number in numbers:
            assert self.process.post("plex", plex("media.scrobble", number)).status_code == 200

    def history(self) -> list[int]:
        return [row["episode"]["ids"]["tvdb"] for row in self.trakt.user("anna").history]

    def writes(self) -> list[Call]:
        return [call for call in self.trakt.calls if call.method == "POST"]

    def reads(self) -> list[Call]:
        return [call for call in self.trakt.calls if call.method == "GET"]

    def arrives(self, numbers: range = NUMBERS, seconds: float = 20, *, ordered: bool = True) -> None:
        """Each is recorded once and, if asked, in order, and nothing is left over."""
        wanted = [number_of(number) for number in numbers]
        eventually(lambda: set(self.history()) >= set(wanted), "all are recorded", seconds)
        self.process.drain(seconds)
        assert sorted(self.history()) == wanted
        assert not ordered or self.history() == wanted
        states = {(entry["action"], entry["state"]) for entry in self.process.everything("/deliveries")}
        assert {state for action, state in states if action == "watched"} <= {"done"}

    def state(self) -> str:
        (found,) = [
            entry["state"] for entry in self.process.api("/accounts")["items"] if entry["tracker"] == "trakt"
        ]
        return str(found)

    def close(self) -> None:
        if self.process.process is not None:
            self.process.kill()
        self.process.http.close()
        self.server.__exit__()


def moved_in(connection: Connection, friends: tuple[str, ...]) -> None:
    """Friends beside Anna, each known by their name at the media server."""
    identities.claim_identities(connection, people.FIRST_PERSON, "plex:anna", clock.now())
    for name in friends:
        people.add_person(connection, name, clock.now())
        identities.claim_identities(connection, name, f"plex:{name}", clock.now())


Opened = Callable[..., House]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Opened]:
    opened: list[House] = []

    def made(friends: tuple[str, ...] = (), **settings: str) -> House:
        opened.append(House(tmp_path, friends, **settings))
        return opened[-1]

    yield made
    for one in opened:
        one.close()


# What fails now and then: how it fails, and the settings by which it is found soon.
TROUBLES: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "it drops the connection": ({"reset": True}, {}),
    "it says that it fails": ({"status": 500}, {}),
    "it answers HTML with 200": ({"status": 200, "body": HTML}, {}),
    "its answer breaks off": ({"record_then": 200, "body": HTML}, {}),
    "it records and answers 502": ({"record_then": 502}, {}),
    "it records and drops the connection": ({"record_then": "reset"}, {}),
    "it records and says nothing": ({"record_then": "silence"}, {"HASTY_TIMEOUT": "0.4"}),
    "it records when the client has gone": ({"record_then": "late"}, {"HASTY_TIMEOUT": "0.4"}),
    "it records long after the client has gone": (
        {"delay": 1.2},
        {"HASTY_TIMEOUT": "0.4", "HASTY_GATEWAY": "1.6"},
    ),
}


@pytest.mark.parametrize("name", TROUBLES)
def test_a_call_that_may_have_been_recorded_is_counted_once(house: Opened, name: str) -> None:
    what, settings = TROUBLES[name]
    anna = house(**settings)
    anna.trakt.faults.add("POST /scrobble", times=2, skip=2, **what)

    anna.watch()

    anna.arrives()
    assert len(anna.writes()) <= len(NUMBERS) + 2
    assert len(anna.reads()) <= 4


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[] if "records" in name else [pytest.mark.soak]) for name in TROUBLES
])  # fmt: skip
def test_late_plays_go_out_dated_and_are_counted_once(house: Opened, name: str) -> None:
    what, settings = TROUBLES[name]
    anna = house(HASTY_LIVE="0.8", **settings)
    out = anna.trakt.faults.add("POST /", status=503, times=-1)
    anna.watch()
    time.sleep(1)
    assert anna.history() == []
    out.times = 0
    anna.trakt.calls.clear()
    anna.trakt.faults.add("POST /sync/history", times=2, **what)

    anna.arrives(ordered=False)  # one that fails again and again lets those behind it go first

    assert len(anna.writes()) <= len(NUMBERS) + 2
    received = {entry["id"]: entry["received_at"] for entry in anna.process.everything("/webhooks")}
    dates = sorted(moment(row["watched_at"]) for row in anna.trakt.user("anna").history)
    assert dates == [moment(received[number]) for number in sorted(received)]


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_an_hour_of_503_is_waited_out_without_hammering(house: Opened) -> None:
    """An hour at the pauses of `hasty`, which are some thousand times shorter than the real ones."""
    anna = house()
    out = anna.trakt.faults.add("POST /", status=503, times=-1)
    anna.watch()
    time.sleep(3)
    during = len(anna.trakt.calls)
    assert anna.history() == []
    out.times = 0

    anna.arrives()

    assert 3 <= during <= 25
    assert len(anna.writes()) <= during + len(NUMBERS) + 1


def test_many_accounts_do_not_hammer_a_host_that_is_down(house: Opened) -> None:
    anna = house(friends=FRIENDS)
    out = anna.trakt.faults.add("POST /", status=503, times=-1)
    for name in ("anna", *FRIENDS):
        for number in NUMBERS:
            anna.process.post("plex", plex("media.scrobble", number, user=name))
    time.sleep(3)
    during = len(anna.trakt.calls)
    assert anna.history() == []
    out.times = 0

    anna.arrives()

    assert during <= 40
    for name in FRIENDS:
        assert list(recorded(anna.trakt, name).elements()) == [number_of(number) for number in NUMBERS]


def test_a_command_beside_the_service_takes_no_lane_from_it(house: Opened) -> None:
    """Every command opens the database; a delivery that is in the service's hand stays there."""
    anna = house(HASTY_TIMEOUT="6", HASTY_GATEWAY="30")
    anna.trakt.faults.add("POST /scrobble/stop", delay=3)
    anna.watch(range(1, 2))
    eventually(lambda: bool(anna.writes()), "the call is under way")

    subprocess.run([sys.executable, "-m", "webhook", "urls"], env=anna.process.environ, check=True)

    anna.arrives(range(1, 2), seconds=10)
    assert len(anna.writes()) == 1
    assert not anna.reads()


def test_a_429_is_obeyed_to_the_second_in_both_forms(house: Opened) -> None:
    anna = house()
    anna.trakt.faults.add("POST /scrobble", status=429, headers={"retry-after": "1"}, skip=1)
    soon = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=4)
    date = {"retry-after": format_datetime(soon, usegmt=True)}
    anna.trakt.faults.add("POST /scrobble", status=429, headers=date, skip=3)

    anna.watch()

    anna.arrives()
    assert len(anna.writes()) == len(NUMBERS) + 2
    refused = [index for index, call in enumerate(anna.writes()) if call.status == 429]
    after = [moment(anna.writes()[index + 1].at) for index in refused]
    assert after[0] - moment(anna.writes()[refused[0]].at) >= timedelta(seconds=0.95)
    assert after[1] >= soon - timedelta(milliseconds=50)


def test_a_429_without_a_word_of_when_is_met_with_a_pause(house: Opened) -> None:
    anna = house()
    anna.trakt.faults.add("POST /scrobble", status=429, times=4, skip=1)

    anna.watch()

    anna.arrives()
    assert len(anna.writes()) == len(NUMBERS) + 4
    attempts = [entry["attempts"] for entry in anna.process.everything("/deliveries")]
    assert set(attempts) == {1}  # being busy is no fault of the delivery


def test_no_more_is_sent_than_the_tracker_allows(house: Opened) -> None:
    """One write a second; the fake counts, and answers 429 to one too many."""
    anna = house(TRAKT_WRITES_PER_SECOND="1")
    anna.trakt.switches.rate_limit = True

    anna.watch(range(1, 5))

    anna.arrives(range(1, 5))
    assert len(anna.writes()) == 4
    assert {call.status for call in anna.writes()} == {201}


def test_a_tracker_that_cannot_be_reached_is_told_once_it_can(house: Opened) -> None:
    anna = house()
    port = int(anna.server.url.rsplit(":", 1)[1])
    anna.server.__exit__()
    anna.watch()
    time.sleep(0.7)

    anna.server = Server(anna.trakt, port)
    anna.server.__enter__()

    anna.arrives()
    assert len(anna.writes()) == len(NUMBERS)


@pytest.mark.parametrize("gone", ["signed_out", "app_deleted"])
def test_a_sign_in_or_an_app_that_is_gone_costs_no_play(house: Opened, gone: str) -> None:
    anna = house()
    anna.watch(range(1, 4))
    anna.arrives(range(1, 4))
    if gone == "signed_out":
        anna.trakt.sessions.clear()  # neither the token nor its refresh token is known any more
    else:
        anna.trakt.switches.app_deleted = True
    anna.watch(range(4, 9))
    eventually(lambda: anna.state() == gone, "the account is parked")
    asked = len(anna.trakt.calls)
    time.sleep(1)
    assert len(anna.trakt.calls) == asked  # nobody knocks at a door that is shut for good

    anna.trakt.switches.app_deleted = False
    anna.process.connect("trakt", anna.trakt.sign_in("anna"))

    anna.arrives()
    assert anna.state() == "working"


def test_a_renewal_whose_answer_is_lost_loses_no_play(house: Opened) -> None:
    """The refresh token is used up then; the account waits for a new sign-in, and so do its plays."""
    anna = house()
    anna.trakt.expire("anna")
    anna.trakt.faults.add("POST /oauth/token", record_then=502)
    anna.watch()
    eventually(lambda: anna.state() == "signed_out", "the account is parked")
    assert anna.trakt.refreshes <= 2

    anna.process.connect("trakt", anna.trakt.sign_in("anna"))

    anna.arrives()
