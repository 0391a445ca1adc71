"""kill -9 and power cuts around the one commit that stores a webhook, interprets it and claims its deliveries."""

from __future__ import annotations

import threading
from operator import itemgetter

import httpx
import pytest

from tests.evening import plex
from tests.faults.house import PATIENT, Installation, number_of, recorded
from tests.running import eventually


def test_what_was_claimed_with_its_webhook_and_not_sent_is_sent_once(installation: Installation) -> None:
    installation.start("hold_lanes", **PATIENT)
    assert post(installation) == 200
    before = installation.process.everything("/webhooks")
    installation.kill()

    installation.resume()

    assert [entry["state"] for entry in before] == ["interpreted"]
    assert recorded(installation.trakt) == {number_of(1): 1}
    assert installation.process.watched() == {number_of(1): 1}


def test_what_was_claimed_as_another_was_settled_and_not_sent_is_sent_once(
    installation: Installation,
) -> None:
    """The second comes in while the first is on its way, so that the settlement of that one claims it."""
    installation.trakt.faults.add("POST /scrobble/stop", delay=1.0)
    installation.start("hold_next_lanes", **PATIENT)
    assert [post(installation, number) for number in (1, 2)] == [200, 200]
    eventually(lambda: states(installation) == ["done", "waiting"], "the first is settled")
    installation.kill()

    installation.resume()

    assert installation.history() == [number_of(1), number_of(2)]
    assert installation.process.watched() == {number_of(1): 1, number_of(2): 1}
    assert states(installation) == ["done", "done"]


def states(installation: Installation) -> list[str]:
    deliveries = installation.process.everything("/deliveries", tracker="trakt")
    return [entry["state"] for entry in sorted(deliveries, key=itemgetter("id"))]


def test_what_was_sent_with_its_webhook_and_not_answered_is_sent_once(installation: Installation) -> None:
    send_without_answer(installation)
    installation.kill()

    installation.resume()

    assert len(installation.trakt.made("POST /scrobble/stop")) == 1
    assert recorded(installation.trakt) == {number_of(1): 1}
    assert installation.process.watched() == {number_of(1): 1}


def send_without_answer(installation: Installation, *names: str) -> None:
    """Let Trakt record a play that comes in, and not answer."""
    installation.trakt.faults.add("POST /scrobble/stop", record_then="silence")
    installation.start(*names, **PATIENT)
    assert post(installation) == 200
    eventually(lambda: recorded(installation.trakt) == {number_of(1): 1}, "the call is recorded")


def test_a_webhook_that_was_not_committed_was_not_acknowledged_and_counts_once_when_it_is_sent_again(
    installation: Installation,
) -> None:
    installation.start("hold_intake", **PATIENT)
    answers: list[int | None] = []
    sender = threading.Thread(target=lambda: answers.append(post(installation)))
    sender.start()
    sender.join(1.0)
    waiting = sender.is_alive()
    installation.kill()
    sender.join()

    installation.resume()
    after_kill = installation.process.everything("/webhooks")
    assert post(installation) == 200
    installation.process.drain(60)

    assert (waiting, answers, after_kill) == (True, [None], [])
    assert recorded(installation.trakt) == {number_of(1): 1}


def post(installation: Installation, number: int = 1) -> int | None:
    """The status of a webhook's answer; None where there was none."""
    try:
        return installation.process.post("plex", plex("media.scrobble", number)).status_code
    except httpx.HTTPError:
        return None


@pytest.mark.parametrize("installation", ["sqlite"], indirect=True)
def test_an_acknowledgement_before_the_commit_is_found_out(installation: Installation) -> None:
    """The proof that the tests above would see a loss."""
    installation.start("hold_intake", "acknowledge_first", **PATIENT)
    assert post(installation) == 200
    installation.kill()

    installation.resume()

    assert installation.process.everything("/webhooks") == []
    assert recorded(installation.trakt) == {}


def test_a_commit_that_is_not_synced_before_its_deliveries_are_sent_is_found_out(
    powered: Installation,
) -> None:
    """The proof that the tests above would see a power cut that undoes what was acknowledged and sent."""
    send_without_answer(powered, "unsynced")
    powered.kill()

    powered.resume()

    assert powered.process.everything("/webhooks") == []
    assert powered.process.watched() == {}
