"""A receiver of webhooks in trouble. It cannot be asked: what may have arrived waits for a person, all else arrives once.

The receiver is a Yamtrack, which counts what it is told twice as two; late plays go to a Movary, whose shape has a date.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.evening import film, plex
from tests.fakes._server import Server
from tests.fakes.webhook_out import WebhookOut
from tests.faults.house import Altered, number_of
from tests.running import eventually
from webhook import clock
from webhook.people import identities, people

NUMBERS = range(1, 5)


class House:
    """A service for one person, and the receiver that is told."""

    process: Altered

    def __init__(self, folder: Path, kind: str, settings: dict[str, str], **more: str) -> None:
        self.receiver = WebhookOut()
        self.server = Server(self.receiver)
        self.server.__enter__()
        self.receiver.home = self.server.url
        self.process = Altered(folder, "hasty", settings=settings)
        self.process.prepare(
            lambda connection, service: identities.claim_identities(
                connection, people.FIRST_PERSON, "plex:anna", clock.now()
            )
        )
        self.stored = self.receiver.sign_in("anna", kind, **more)
        self.process.connect("webhook_out", self.stored).start()

    def watch(self, numbers: range = NUMBERS) -> None:
        for number in numbers:
            assert self.process.post("plex", plex("media.scrobble", number)).status_code == 200

    def kept(self) -> list[str]:
        return [play["item"] for play in self.receiver.user("anna").plays]

    def deliveries(self) -> list[Any]:
        found = self.process.everything("/deliveries")
        return [one for one in found if one["tracker"] == "webhook_out"]

    def attempts(self) -> int:
        return sum(one["attempts"] for one in self.deliveries())

    def are_held_back(self) -> bool:
        return {one["state"] for one in self.deliveries()} == {"skipped"}

    def settle(self, seconds: float = 30) -> None:
        self.process.drain(seconds)

    def close(self) -> None:
        if self.process.process is not None:
            self.process.kill()
        self.process.http.close()
        self.server.__exit__()


Opened = Callable[..., House]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Opened]:
    opened: list[House] = []

    def made(kind: str = "yamtrack", settings: dict[str, str] | None = None, **more: str) -> House:
        opened.append(House(tmp_path, kind, settings or {}, **more))
        return opened[-1]

    yield made
    for one in opened:
        one.close()


def named(numbers: range = NUMBERS) -> list[str]:
    return [f"Tvdb:{number_of(number)}" for number in numbers]


# How it fails, the settings by which it is found soon, and whether a play may have arrived.
TROUBLES: dict[str, tuple[dict[str, Any], dict[str, str], bool]] = {
    "it asks for a slower pace": ({"status": 429, "headers": {"Retry-After": "1"}}, {}, False),
    "it gives up waiting": ({"status": 408}, {}, False),
    "it drops the connection": ({"reset": True}, {}, True),
    "it answers 503": ({"status": 503}, {}, True),
    "it answers a page": ({"status": 200, "body": "<html>Sign in</html>"}, {}, True),
    "it records and answers 500": ({"record_then": 500}, {}, True),
    "it records and drops the connection": ({"record_then": "reset"}, {}, True),
    "it records and says nothing": ({"record_then": "silence"}, {"HASTY_TIMEOUT": "0.4"}, True),
    "it records when the client has gone": ({"record_then": "late"}, {"HASTY_TIMEOUT": "0.4"}, True),
}


LIKE_ANOTHER = {"it answers 503", "it records and answers 500", "it records when the client has gone"}
"""They end as another does, and are tried in the soak."""


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[pytest.mark.soak] if name in LIKE_ANOTHER else []) for name in TROUBLES
])  # fmt: skip
def test_each_play_arrives_once_or_waits_for_a_person(house: Opened, name: str) -> None:
    what, settings, in_doubt = TROUBLES[name]
    anna = house(settings=settings)
    anna.receiver.faults.add("POST /webhook/jellyfin", skip=1, **what)

    anna.watch()
    anna.settle()

    kept, calls = anna.kept(), anna.receiver.made("POST /webhook/jellyfin")
    states = [one["state"] for one in anna.deliveries()]
    assert len(set(kept)) == len(kept)  # none doubled
    assert sorted(states) == (["dead", "done", "done", "done"] if in_doubt else ["done"] * 4)  # none lost
    assert len(calls) == len(NUMBERS) + (not in_doubt)
    assert set(named()) - set(kept) <= {f"Tvdb:{number_of(2)}"}
    assert in_doubt or sorted(kept) == named()


def test_what_is_in_doubt_is_sent_anew_when_a_person_says_so(house: Opened) -> None:
    anna = house()
    anna.receiver.faults.add("POST /webhook/jellyfin", reset=True)
    anna.watch(range(1, 2))
    anna.settle()
    (held,) = anna.deliveries()
    assert held["state"] == "dead"
    assert "cannot be asked whether it arrived" in held["reason"]

    anna.process.api_post(f"/deliveries/{held['id']}/retry")
    anna.settle()

    assert anna.kept() == named(range(1, 2))
    assert [one["state"] for one in anna.deliveries()] == ["done"]


def test_a_kill_doubles_nothing_and_leaves_one_at_most_in_doubt(house: Opened) -> None:
    anna = house(settings={"HASTY_TIMEOUT": "30"})
    anna.receiver.faults.add("POST /webhook/jellyfin", skip=1, record_then="silence")
    anna.watch()
    eventually(lambda: len(anna.kept()) == 2, "the second is there, and its answer is not")

    anna.process.kill()
    anna.process.start()
    anna.settle()

    assert sorted(anna.kept()) == named()
    assert sorted(one["state"] for one in anna.deliveries()) == ["dead", "done", "done", "done"]


def test_a_receiver_that_is_not_there_is_told_once_it_is(house: Opened) -> None:
    anna = house()
    port = int(anna.server.url.rsplit(":", 1)[1])
    anna.server.__exit__()
    anna.watch()

    anna.server = Server(anna.receiver, port)
    anna.server.__enter__()
    anna.settle()

    assert sorted(anna.kept()) == named()
    assert len(anna.receiver.calls) == len(NUMBERS)


def test_a_wrong_token_costs_no_play(house: Opened) -> None:
    anna = house()
    anna.receiver.revoke("anna")
    anna.watch()
    eventually(lambda: {one["state"] for one in anna.deliveries()} == {"parked"}, "all of them wait")

    anna.process.connect("webhook_out", anna.receiver.sign_in("anna", "yamtrack"))
    anna.settle()

    assert sorted(anna.kept()) == named()


@pytest.mark.parametrize(("kind", "late", "states"), [
    ("movary", "dated", {"done"}),
    ("yamtrack", "dated", {"skipped"}),
    ("yamtrack", "always", {"done"}),
])  # fmt: skip
def test_after_an_outage_a_play_goes_where_its_date_goes_too(
    house: Opened, kind: str, late: str, states: set[str]
) -> None:
    anna = house(kind, settings={"HASTY_LIVE": "0.2"}, late=late)
    port = int(anna.server.url.rsplit(":", 1)[1])
    anna.server.__exit__()
    assert anna.process.post("plex", film("media.scrobble")).status_code == 200
    eventually(lambda: any(one["attempts"] for one in anna.deliveries()), "it was tried in vain")
    time.sleep(0.4)  # until it is late
    tried = anna.attempts()
    eventually(lambda: anna.attempts() > tried + 1 or anna.are_held_back(), "it was tried since")

    anna.server = Server(anna.receiver, port)
    anna.server.__enter__()
    anna.settle()

    assert {one["state"] for one in anna.deliveries()} == states
    assert len(anna.kept()) == (states == {"done"})
    if kind == "movary":
        assert [play["at"] for play in anna.receiver.user("anna").plays] == [
            datetime.now(UTC).date().isoformat()
        ]


def test_one_persons_receiver_does_not_hold_up_anothers(tmp_path: Path) -> None:
    """Its breaker is its account's own: five failures of one open none for the other."""
    with Server(WebhookOut()) as server:
        fake = server.fake
        fake.home = server.url
        process = Altered(tmp_path, "hasty")

        def move_in(connection: Any, service: Any) -> None:
            people.add_person(connection, "ben", clock.now())
            identities.claim_identities(connection, people.FIRST_PERSON, "plex:anna", clock.now())
            identities.claim_identities(connection, "ben", "plex:ben", clock.now())

        process.prepare(move_in)
        gone = {**fake.sign_in("anna", "yamtrack"), "url": "http://127.0.0.1:9/webhook"}
        process.connect("webhook_out", gone)
        process.connect("webhook_out", fake.sign_in("ben", "yamtrack"), person="ben").start()
        try:
            for number in range(1, 8):
                process.post("plex", plex("media.scrobble", number))
            eventually(
                lambda: sum(one["attempts"] for one in process.everything("/deliveries")) > 6, "it fails on"
            )
            process.post("plex", plex("media.scrobble", 1, user="ben"))
            eventually(lambda: len(fake.user("ben").plays) == 1, "Ben's is told", 5)
        finally:
            process.kill()
            process.http.close()
