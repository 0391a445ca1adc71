"""A lane with uncommitted settlements meets an outage, a lost lease or the end of the service: nothing goes out twice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from structlog.testing import capture_logs

from tests.fakes._server import Server
from tests.fakes.trakt import Trakt
from tests.test_dispatcher import EPISODE_ID, Desk
from webhook import clock
from webhook.domain import retry
from webhook.domain.event import Action
from webhook.pipeline import lanes
from webhook.pipeline.lanes import MAX_UNSETTLED
from webhook.queries.deliveries import list_deliveries
from webhook.queues import leases
from webhook.queues.leases import Batch, ClaimRequest, Lane
from webhook.queues.settlements import Settlement
from webhook.storage.db import Database, Unavailable
from webhook.storage.tables import account, delivery

NUMBERS = range(1, MAX_UNSETTLED + 5)
PATIENCE = 20.0


class HeldSettlements:
    """A database that holds settlements back until `release`, and then records or refuses them."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.held = 0
        self.refusals: list[Exception] = []
        self.released = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.database, name)

    async def write(self, job: Any, item: Any) -> Any:
        if isinstance(item, Settlement):
            self.held += 1
            await self.released.wait()
            if self.refusals:
                raise self.refusals.pop(0)
        return await self.database.write(job, item)

    def release(self, *refusals: Exception) -> None:
        """Let the settlements go on; the first are refused."""
        self.refusals = list(refusals)
        self.released.set()


class Bench(Desk):
    """A desk with one person's account, of which the settlements are held back."""

    def __init__(self, folder: Path, server: Server) -> None:
        super().__init__(folder, server)
        self.account_id = self.person("anna")
        self.held = HeldSettlements(self.database)
        self.dispatcher = self.service.dispatcher
        self.dispatcher.database = self.held  # type: ignore[assignment]

    def sent(self) -> int:
        return len(self.fake.made("POST /scrobble/stop"))

    def history(self) -> list[int]:
        return [row["episode"]["ids"]["tvdb"] - EPISODE_ID for row in self.fake.user("anna").history]

    def put_all(self) -> None:
        for number in NUMBERS:
            self.put(self.account_id, number, clock.now())

    def at_the_bound(self, then: Callable[[asyncio.Event], None]) -> None:
        """Dispatch until the lane may send no further, do what is to happen `then`, and end the dispatcher."""

        async def story() -> None:
            stop = asyncio.Event()
            task = asyncio.create_task(self.dispatcher.run(stop, asyncio.Event()))
            await come_true(lambda: self.held.held == MAX_UNSETTLED + 1)
            then(stop)
            stop.set()
            await task

        self.loop.run_until_complete(story())

    def claim(self, age: timedelta) -> Lane:
        """Claim the account's lane, as if this long ago."""
        (lane,) = self.try_claim(age)
        return lane

    def try_claim(self, age: timedelta) -> list[Lane]:
        request = ClaimRequest(now=clock.now() - age, lanes=1, batch={"trakt": Batch(16, 16)})
        return self.database.do(lambda connection: leases.claim_lanes(connection, request))

    def work_until_held(self, lane: Lane, then: Callable[[], None]) -> None:
        """Work on the lane; when its first settlement is held back, do what is to happen `then`, and release it."""

        async def story() -> None:
            work = asyncio.create_task(lanes.work(self.dispatcher.context_of(lane)))
            await come_true(lambda: self.held.held == 1)
            then()
            self.held.release()
            await work

        self.loop.run_until_complete(story())

    def lose_lease(self) -> None:
        """Another worker has claimed the account."""
        values = {"fence": account.c.fence + 1, "leased_until": clock.now() + timedelta(hours=1)}
        self.database.do(lambda connection: connection.execute(update(account).values(values)))

    def resume(self) -> None:
        """Work everything off once the lease has run out."""
        values = {"leased_until": clock.now(), "due_at": clock.now()}
        self.database.do(lambda connection: connection.execute(update(account).values(values)))
        self.dispatcher.database = self.database
        ends = time.monotonic() + PATIENCE
        while set(self.states()) != {"done"} and time.monotonic() < ends:
            self.hurry()  # a look-up that the machine was too slow for is tried again
            self.run(PATIENCE)


async def come_true(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not holds():
            await asyncio.sleep(0.01)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(retry, "UNSURE_PAUSE", timedelta(0))
    with Server(Trakt(window_minutes=0)) as server:
        made = Bench(tmp_path, server)
        yield made
        made.loop.run_until_complete(made.service.http.aclose())
        made.loop.close()
        made.database.close()


def test_an_outage_stops_the_lane_and_nothing_is_sent_twice(bench: Bench) -> None:
    bench.put_all()

    outage = [Unavailable("the disk is full")] * (MAX_UNSETTLED + 1)
    bench.at_the_bound(lambda _: bench.held.release(*outage))
    during = bench.sent(), set(bench.states())
    bench.resume()

    assert during == (MAX_UNSETTLED + 1, {"waiting"})
    assert bench.history() == list(NUMBERS)
    assert bench.sent() == len(NUMBERS)
    assert set(bench.states()) == {"done"}


def test_a_lost_lease_stops_the_lane_and_nothing_is_sent_twice(bench: Bench) -> None:
    bench.put_all()

    def lose_lease(_: asyncio.Event) -> None:
        bench.lose_lease()
        bench.held.release()

    bench.at_the_bound(lose_lease)
    during = bench.sent(), set(bench.states())
    bench.resume()

    assert during == (MAX_UNSETTLED + 1, {"waiting"})
    assert bench.history() == list(NUMBERS)
    assert bench.sent() == len(NUMBERS)
    assert set(bench.states()) == {"done"}


def test_one_settlement_that_is_refused_stops_the_lane_and_the_others_are_recorded(bench: Bench) -> None:
    bench.put_all()

    with capture_logs() as logs:
        bench.at_the_bound(lambda _: bench.held.release(Unavailable("busy"), RuntimeError("a fault of ours")))
    during = bench.sent(), bench.states().count("done")
    bench.resume()

    assert during == (MAX_UNSETTLED + 1, MAX_UNSETTLED - 1)
    assert [str(entry["exc_info"]) for entry in logs if entry.get("action") == "settle_fault"] == [
        "a fault of ours"
    ]
    assert sorted(bench.history()) == list(NUMBERS)
    assert bench.sent() == len(NUMBERS)


def test_the_end_of_the_service_waits_for_uncommitted_settlements(bench: Bench) -> None:
    bench.put_all()

    def stop(stopping: asyncio.Event) -> None:
        stopping.set()
        bench.loop.call_soon(bench.held.release)

    bench.at_the_bound(stop)

    assert bench.states().count("done") == bench.sent() > MAX_UNSETTLED
    assert not any(row.claimed for row in bench.rows(delivery))
    assert not any(row.leased_until for row in bench.rows(account))


def test_beyond_its_lease_a_lane_waits_for_each_commit(bench: Bench) -> None:
    """Another worker may have looked a delivery up already, and send it."""
    bench.put_all()
    made = update(delivery).values(due_at=clock.now() - timedelta(minutes=1))
    bench.database.do(lambda connection: connection.execute(made))
    bench.database.do(
        lambda connection: connection.execute(update(account).values(due_at=clock.now() - timedelta(hours=1)))
    )
    lane = bench.claim(2 * leases.LEASE)

    bench.work_until_held(lane, bench.lose_lease)

    assert len(lane.rows) == len(NUMBERS)
    assert bench.sent() == 1


def test_a_lane_that_has_lost_its_lease_takes_nothing_back(bench: Bench) -> None:
    mark = bench.put(bench.account_id, 1, clock.now())
    bench.put(bench.account_id, 1, clock.now(), mark=False, action=Action.UNWATCHED, undoes=mark)
    lane = bench.claim(timedelta(0))

    bench.work_until_held(lane, bench.lose_lease)

    assert [row.action for row in lane.rows] == [Action.STOP, Action.UNWATCHED]
    assert bench.sent() == 1
    assert bench.fake.made("POST /sync/history/remove") == []


def test_what_waits_behind_a_service_that_is_down_says_so(bench: Bench) -> None:
    bench.put(bench.account_id, 1, clock.now() - timedelta(hours=1))
    down = update(account).values(failing_since=clock.now(), held_until=clock.now() + timedelta(hours=1))
    bench.database.do(lambda connection: connection.execute(down))

    (shown,) = bench.database.ask(list_deliveries)["items"]

    assert shown["explanation"] == (
        "Its service does not answer just now. What waits is sent by itself, in order, once it does."
    )


def test_what_was_in_hand_when_its_worker_was_killed_says_what_is_done_about_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "UNSURE_PAUSE", timedelta(minutes=1))
    bench.put(bench.account_id, 1, clock.now() - timedelta(hours=2))
    bench.claim(timedelta(hours=1))
    bench.put(bench.account_id, 2, clock.now() - timedelta(hours=1))

    assert bench.try_claim(timedelta(0)) == []  # by another, since the lease has run out

    behind, in_hand = bench.database.ask(list_deliveries)["items"]
    assert {(shown["state"], shown["attempts"]) for shown in (behind, in_hand)} == {("waiting", 0)}
    assert in_hand["explanation"] == "It may have arrived already: that is looked up before it is sent again."
    assert behind["explanation"] == (
        "The account waits: its service asked for a pause, or what was sent before this is looked up first."
    )
