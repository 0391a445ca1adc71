"""kill -9 while a lane has sent deliveries whose settlements are not committed.

A lane sends the next delivery before the settlement of the one before is committed, up to a bound. Here the writer
stops before that commit, so that the kill meets exactly this. The fake Trakt has no window in which it refuses a
second scrobble.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, update

from tests.evening import plex
from tests.fakes._server import Server
from tests.fakes.trakt import Trakt
from tests.faults.house import Altered, at, number_of, recorded
from tests.running import eventually
from webhook import clock
from webhook.pipeline.lanes import MAX_UNSETTLED
from webhook.storage.tables import account

NUMBERS = range(1, MAX_UNSETTLED + 5)
PATIENT = {"HASTY_TIMEOUT": "60", "HASTY_LEASE": "60"}
"""Neither a lease nor a call ends by itself while the writer stands still."""


class Interrupted:
    """A service whose lane holds a few plays, killed while none of its settlements is committed."""

    def __init__(self, folder: Path, database: str) -> None:
        self.trakt = Trakt(window_minutes=0)
        self.server = Server(self.trakt)
        self.server.__enter__()
        settings = at(self.server.url, **({"DATABASE_URL": database} if database else {}))
        self.process = Altered(folder, settings=settings).prepare()
        self.process.connect("trakt", self.trakt.sign_in("anna"))

    def kill_at(self, calls: int) -> None:
        """Let one lane claim all plays, and kill it when this many calls were recorded at Trakt."""
        self.start(("hasty",), WORKER="false")
        for number in NUMBERS:
            assert self.process.post("plex", plex("media.scrobble", number)).status_code == 200
        self.process.kill()
        self.start(("hasty", "hold_settlements"), WORKER="true", **PATIENT)
        eventually(lambda: len(self.history()) == calls, f"{calls} calls are recorded")
        self.process.kill()
        self.process.prepared(lambda connection, _: expire_leases(connection))

    def resume(self, *names: str) -> None:
        """Start it again without the fault, and let it work off everything."""
        self.start(("hasty", *names), HASTY_TIMEOUT="60", HASTY_LEASE="1.5")
        self.process.drain(60)

    def start(self, names: tuple[str, ...], **settings: str) -> None:
        self.process.names = names
        self.process.environ.update(settings)
        self.process.start()

    def history(self) -> list[int]:
        return [row["episode"]["ids"]["tvdb"] for row in self.trakt.user("anna").history]

    def close(self) -> None:
        if self.process.process is not None:
            self.process.kill()
        self.process.http.close()
        self.server.__exit__()


@pytest.fixture(params=["sqlite", "postgres"])
def interrupted(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Interrupted]:
    postgres = request.param == "postgres"
    made = Interrupted(tmp_path, request.getfixturevalue("postgres_url") if postgres else "")
    yield made
    made.close()


def expire_leases(connection: Connection) -> None:
    """As if the lease had run out: on PostgreSQL nobody else can know that its worker was killed."""
    leased = account.c.leased_until.is_not(None)
    connection.execute(update(account).where(leased).values(due_at=clock.now(), leased_until=clock.now()))


MOMENTS: dict[str, tuple[int, dict[str, Any]]] = {
    "the bound is reached": (MAX_UNSETTLED + 1, {}),
    "a call is recorded and not answered": (3, {"skip": 2, "record_then": "silence"}),
    "the first call is recorded and not answered": (1, {"record_then": "silence"}),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_nothing_is_lost_or_sent_twice_and_the_order_is_kept(interrupted: Interrupted, moment: str) -> None:
    calls, fault = MOMENTS[moment]
    if fault:
        interrupted.trakt.faults.add("POST /scrobble/stop", **fault)
    interrupted.kill_at(calls)

    interrupted.resume()

    wanted = [number_of(number) for number in NUMBERS]
    deliveries = interrupted.process.everything("/deliveries", tracker="trakt")
    assert interrupted.history() == wanted
    assert len(interrupted.trakt.made("POST /scrobble/stop")) == len(wanted)
    assert [entry["state"] for entry in deliveries] == ["done"] * len(wanted)
    assert interrupted.process.watched() == dict.fromkeys(wanted, 1)


def test_a_lane_sends_no_further_than_its_bound(interrupted: Interrupted) -> None:
    interrupted.kill_at(MAX_UNSETTLED + 1)

    states = {entry["state"] for entry in unsettled_deliveries(interrupted)}

    assert len(interrupted.trakt.made("POST /scrobble/stop")) == MAX_UNSETTLED + 1
    assert states == {"waiting"}


def unsettled_deliveries(interrupted: Interrupted) -> list[Any]:
    """The deliveries as the kill left them."""
    interrupted.start(("hasty",), WORKER="false")
    return interrupted.process.everything("/deliveries", tracker="trakt")


def test_sending_again_without_a_look_is_found_out(interrupted: Interrupted) -> None:
    """The proof that the tests above would see a mark that was made twice."""
    interrupted.kill_at(MAX_UNSETTLED + 1)

    interrupted.resume("blind")

    doubled = {number for number, count in recorded(interrupted.trakt).items() if count == 2}
    assert doubled == {number_of(number) for number in range(1, MAX_UNSETTLED + 2)}
