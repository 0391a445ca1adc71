"""kill -9 around the one commit that stores a webhook, interprets it and claims its deliveries."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.evening import plex
from tests.fakes._server import Server
from tests.fakes.trakt import Trakt
from tests.faults.house import Altered, at, number_of, recorded
from tests.faults.test_kill_unsettled import expire_leases
from tests.running import eventually

PATIENT = {"HASTY_TIMEOUT": "60", "HASTY_LEASE": "60"}


class Killed:
    """A service with one person's account at a fake Trakt, which has no window that refuses a second scrobble."""

    def __init__(self, folder: Path, database: str) -> None:
        self.trakt = Trakt(window_minutes=0)
        self.server = Server(self.trakt)
        self.server.__enter__()
        settings = at(self.server.url, **({"DATABASE_URL": database} if database else {}))
        self.process = Altered(folder, settings=settings).prepare()
        self.process.connect("trakt", self.trakt.sign_in("anna"))

    def start(self, *names: str, **settings: str) -> None:
        self.process.names = ("hasty", *names)
        self.process.environ.update(settings)
        self.process.start()

    def kill(self) -> None:
        self.process.kill()
        self.process.prepared(lambda connection, _: expire_leases(connection))

    def resume(self) -> None:
        self.start(HASTY_TIMEOUT="60", HASTY_LEASE="1.5")
        self.process.drain(60)

    def close(self) -> None:
        if self.process.process is not None:
            self.process.kill()
        self.process.http.close()
        self.server.__exit__()


@pytest.fixture(params=["sqlite", "postgres"])
def killed(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Killed]:
    made = Killed(tmp_path, request.getfixturevalue("postgres_url") if request.param == "postgres" else "")
    yield made
    made.close()


def test_what_was_claimed_with_its_webhook_and_not_sent_is_sent_once(killed: Killed) -> None:
    killed.start("hold_lanes", **PATIENT)
    assert killed.process.post("plex", plex("media.scrobble", 1)).status_code == 200
    before = killed.process.everything("/webhooks")
    killed.kill()

    killed.resume()

    assert [entry["state"] for entry in before] == ["interpreted"]
    assert recorded(killed.trakt) == {number_of(1): 1}
    assert killed.process.watched() == {number_of(1): 1}


def test_what_was_sent_with_its_webhook_and_not_answered_is_sent_once(killed: Killed) -> None:
    killed.trakt.faults.add("POST /scrobble/stop", record_then="silence")
    killed.start(**PATIENT)
    assert killed.process.post("plex", plex("media.scrobble", 1)).status_code == 200
    eventually(lambda: recorded(killed.trakt) == {number_of(1): 1}, "the call is recorded")
    killed.kill()

    killed.resume()

    assert recorded(killed.trakt) == {number_of(1): 1}
    assert killed.process.watched() == {number_of(1): 1}


def test_a_webhook_that_was_not_committed_was_not_acknowledged_and_counts_once_when_it_is_sent_again(
    killed: Killed,
) -> None:
    killed.start("hold_intake", **PATIENT)
    answers: list[int | None] = []
    sender = threading.Thread(target=lambda: answers.append(post(killed)))
    sender.start()
    sender.join(1.0)
    waiting = sender.is_alive()
    killed.kill()
    sender.join()

    killed.resume()
    after_kill = killed.process.everything("/webhooks")
    assert killed.process.post("plex", plex("media.scrobble", 1)).status_code == 200
    killed.process.drain(60)

    assert (waiting, answers, after_kill) == (True, [None], [])
    assert recorded(killed.trakt) == {number_of(1): 1}


def post(killed: Killed) -> int | None:
    """The status of a webhook's answer; None where there was none."""
    try:
        return killed.process.post("plex", plex("media.scrobble", 1)).status_code
    except httpx.HTTPError:
        return None
