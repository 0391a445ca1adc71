"""kill -9 and power cuts while a lane has sent deliveries whose settlements are not committed.

A lane sends the next delivery before the settlement of the one before is committed, up to a bound. Here the writer
stops before that commit, so that the kill meets exactly this. The fake Trakt has no window in which it refuses a
second scrobble.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, update

from tests.evening import plex
from tests.faults.house import PATIENT, Installation, number_of, recorded
from tests.running import eventually
from webhook import clock
from webhook.pipeline.lanes import MAX_UNSETTLED
from webhook.storage.tables import account

NUMBERS = range(1, MAX_UNSETTLED + 5)


def kill_ahead(installation: Installation, calls: int, *names: str) -> None:
    """Let one lane claim all plays and settle none, and kill it when this many calls were recorded at Trakt."""
    installation.process.prepared(
        lambda connection, _: hold_accounts(connection, clock.now() + timedelta(hours=1))
    )
    installation.start_safely()
    for number in NUMBERS:
        assert installation.process.post("plex", plex("media.scrobble", number)).status_code == 200
    eventually(lambda: is_interpreted(installation), "every play is interpreted")
    installation.process.kill()
    installation.process.prepared(lambda connection, _: hold_accounts(connection, None))
    installation.start("hold_settlements", *names, **PATIENT)
    eventually(lambda: len(installation.history()) == calls, f"{calls} calls are recorded")
    installation.kill()


def hold_accounts(connection: Connection, until: datetime | None) -> None:
    """Let nothing be claimed until then."""
    connection.execute(update(account).values(held_until=until))


def is_interpreted(installation: Installation) -> bool:
    return len(installation.process.everything("/webhooks", state="interpreted")) == len(NUMBERS)


NOT_EVERY_TIME = pytest.param("power cut", marks=pytest.mark.soak)
"""A power cut at the same moments; `test_power_cut.py` cuts at any, every time."""

MOMENTS: dict[str, tuple[int, dict[str, Any]]] = {
    "the bound is reached": (MAX_UNSETTLED + 1, {}),
    "a call is recorded and not answered": (3, {"skip": 2, "record_then": "silence"}),
    "the first call is recorded and not answered": (1, {"record_then": "silence"}),
}


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("installation", ["sqlite", "postgres", NOT_EVERY_TIME], indirect=True)
def test_nothing_is_lost_or_sent_twice_and_the_order_is_kept(installation: Installation, moment: str) -> None:
    calls, fault = MOMENTS[moment]
    if fault:
        installation.trakt.faults.add("POST /scrobble/stop", **fault)
    kill_ahead(installation, calls)

    installation.resume()

    wanted = [number_of(number) for number in NUMBERS]
    deliveries = installation.process.everything("/deliveries", tracker="trakt")
    assert installation.history() == wanted
    assert len(installation.trakt.made("POST /scrobble/stop")) == len(wanted)
    assert [entry["state"] for entry in deliveries] == ["done"] * len(wanted)
    assert installation.process.watched() == dict.fromkeys(wanted, 1)


@pytest.mark.parametrize("installation", ["postgres"], indirect=True)
def test_a_lane_sends_no_further_than_its_bound(installation: Installation) -> None:
    kill_ahead(installation, MAX_UNSETTLED + 1)

    states = {entry["state"] for entry in unsettled_deliveries(installation)}

    assert len(installation.trakt.made("POST /scrobble/stop")) == MAX_UNSETTLED + 1
    assert states == {"waiting"}


def unsettled_deliveries(installation: Installation) -> list[Any]:
    """The deliveries as the kill left them."""
    installation.start_safely(WORKER="false")
    return installation.process.everything("/deliveries", tracker="trakt")


@pytest.mark.parametrize("installation", ["sqlite"], indirect=True)
def test_sending_again_without_a_look_is_found_out(installation: Installation) -> None:
    """The proof that the tests above would see a mark that was made twice."""
    kill_ahead(installation, MAX_UNSETTLED + 1)

    installation.work_off("blind")

    doubled = {number for number, count in recorded(installation.trakt).items() if count == 2}
    assert doubled == {number_of(number) for number in range(1, MAX_UNSETTLED + 2)}


@pytest.mark.parametrize("installation", ["sqlite"], indirect=True)
def test_an_order_that_is_not_kept_is_found_out(installation: Installation) -> None:
    """The proof that each test that kills would see it."""
    kill_ahead(installation, MAX_UNSETTLED + 1)

    installation.work_off("newest_first")

    assert installation.disorder() != []


@pytest.mark.parametrize("installation", ["sqlite", "postgres"], indirect=True)
def test_what_comes_after_the_kill_waits_behind_what_was_in_hand(installation: Installation) -> None:
    """What was being sent is looked up after some time, and nothing that was heard later goes before it."""
    installation.trakt.faults.add("POST /scrobble/stop", status=503, delay=60)
    installation.start(**PATIENT)
    assert installation.process.post("plex", plex("media.scrobble", 1)).status_code == 200
    eventually(lambda: bool(installation.trakt.made("POST /scrobble/stop")), "the call is made")
    installation.kill()

    installation.start_safely(HASTY_GATEWAY="1.5", HASTY_LEASE="1.5", HASTY_TIMEOUT="60")
    for event, number in (("media.scrobble", 2), ("media.play", 3)):
        assert installation.process.post("plex", plex(event, number)).status_code == 200
    installation.process.drain(60)

    done = [(what, ids["tvdb"]) for what, ids in installation.trakt.user("anna").journal]
    assert done == [("watched", number_of(1)), ("watched", number_of(2)), ("start", number_of(3))]
    assert installation.disorder() == []


def test_claims_that_are_not_synced_before_their_deliveries_are_sent_are_found_out(
    powered: Installation,
) -> None:
    """The proof that the tests above would see what a power cut makes to be sent twice."""
    kill_ahead(powered, MAX_UNSETTLED + 1, "unsynced")

    powered.work_off()

    doubled = {number for number, count in recorded(powered.trakt).items() if count == 2}
    assert doubled == {number_of(number) for number in range(1, MAX_UNSETTLED + 2)}
