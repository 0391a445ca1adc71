"""Any order of put, claim, settle, lost leases, jumping clocks and crashes leaves the outbox sound."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import Row, func, insert, select

from webhook.domain import retry
from webhook.domain.event import Action, Episode, Ids
from webhook.domain.outcome import Park
from webhook.domain.states import DeliveryState
from webhook.queues import leases, outbox, parking, settlements
from webhook.queues.leases import Batch, ClaimRequest, Lane, Renewal
from webhook.queues.outbox import NewDelivery
from webhook.queues.settlements import Settlement
from webhook.storage import migrate
from webhook.storage.db import Database
from webhook.storage.tables import DeliveryRow, account, delivery, person, play

BEGIN = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)
TRACKERS = ("trakt", "tvtime")
ACCOUNTS = (1, 2, 3)
NUMBERS = range(1, 7)
STEPS = [timedelta(seconds=1), timedelta(minutes=1), timedelta(minutes=3), timedelta(days=1)]
ACTIONS = {"start": Action.START, "pause": Action.PAUSE, "mark": Action.WATCHED, "stop": Action.STOP}

accounts = st.sampled_from(ACCOUNTS)
steps = st.sampled_from(STEPS)


def episode(number: int) -> Episode:
    return Episode(title=f"Part {number}", show="Tidewater", season=1, number=number, ids=Ids(tvdb=number))


@dataclass
class Worker:
    """A dispatcher's lane: what it claimed, and which of it is settled."""

    lane: Lane
    until: datetime
    at: int = 0
    sending: bool = False

    @property
    def row(self) -> DeliveryRow:
        return self.lane.rows[self.at]

    @property
    def rest(self) -> list[int]:
        return [row.id for row in self.lane.rows[self.at + 1 :]]


@dataclass
class Facts:
    """What must stay true whatever comes."""

    ids: dict[tuple[int, str], int] = field(default_factory=dict)
    done: set[int] = field(default_factory=set)
    begun: set[int] = field(default_factory=set)  # sent, perhaps, and nobody said what became of it


class Outbox(RuleBasedStateMachine):
    template: Path

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="outbox"))
        shutil.copyfile(self.template, self.folder / "watchmark.db")
        # What a power cut does is shown elsewhere; here thousands of commits must be quick.
        self.database = Database(f"sqlite:///{self.folder}/watchmark.db", synchronous="OFF")
        self.now = BEGIN
        self.facts = Facts()
        self.workers: list[Worker] = []
        self.holder: dict[int, Worker | None] = dict.fromkeys(ACCOUNTS)

    @initialize()
    def people_sign_in(self) -> None:
        def signed_in(connection: Any) -> None:
            connection.execute(
                insert(person).values(id=90, name="anna", owner=False, filters={}, created_at=BEGIN)
            )
            connection.execute(
                insert(person).values(id=91, name="ben", owner=False, filters={}, created_at=BEGIN)
            )
            for made, whose, tracker in ((1, 90, "trakt"), (2, 90, "tvtime"), (3, 91, "trakt")):
                values = {
                    "id": made,
                    "person_id": whose,
                    "tracker": tracker,
                    "tells": [],
                    "created_at": BEGIN,
                }
                connection.execute(insert(account).values(**values))
            for number in NUMBERS:
                values = {"id": number, "person_id": 90, "kind": "episode", "item": {}, "state": "playing"}
                times = {"started_at": BEGIN, "last_at": BEGIN}
                connection.execute(insert(play).values(**values, **times, source="plex"))

        self.database.do(signed_in)

    # --- what happens

    @rule(
        account_id=accounts,
        number=st.sampled_from(NUMBERS),
        what=st.sampled_from(sorted(ACTIONS)),
        age=st.sampled_from([0, 0, 0, 30, 700, 90_000, -30]),
        skipped=st.sampled_from([None, None, None, "a rule"]),
    )
    def put(self, account_id: int, number: int, what: str, age: int, skipped: str | None) -> None:
        putting = NewDelivery(
            account_id=account_id,
            action=ACTIONS[what],
            key=f"{number}.{what}",
            item=episode(number),
            at=self.now - timedelta(seconds=age),
            mark=what == "mark",
            play_id=number,
            skipped=skipped,
        )
        made = self.database.do(lambda connection: outbox.enqueue(connection, putting, self.now))
        assert self.facts.ids.setdefault((account_id, putting.key), made) == made

    @rule(lanes=st.integers(1, 3), count=st.integers(1, 3))
    def claim(self, lanes: int, count: int) -> None:
        batch = dict.fromkeys(TRACKERS, Batch(fresh=count, late=count))
        claiming = ClaimRequest(now=self.now, lanes=lanes, batch=batch)
        claimed = self.database.do(lambda connection: leases.claim_lanes(connection, claiming))
        for lane in claimed:
            before = self.holder[lane.account_id]
            assert before is None or before.until <= self.now, "claimed while another holds it"
            worker = Worker(lane, self.now + leases.LEASE)
            self.workers.append(worker)
            self.holder[lane.account_id] = worker
            for row in lane.rows:
                assert row.state == "waiting"
                assert row.id not in self.facts.done
                if row.id in self.facts.begun:
                    assert row.unsure, "what may have arrived would be sent again blindly"
        for now in self.rows(select(account.c.id, account.c.fence)):
            held = self.holder[now.id]
            if held is not None and held.lane.fence != now.fence:
                assert held.until <= self.now, "taken from one that holds it"
                self.holder[now.id] = None

    @precondition(lambda self: self.workers)
    @rule(data=st.data())
    def send(self, data: Any) -> None:
        worker = data.draw(st.sampled_from(self.workers))
        worker.sending = True
        self.facts.begun.add(worker.row.id)

    @precondition(lambda self: self.workers)
    @rule(
        data=st.data(),
        how=st.sampled_from(
            ["done", "done", "held", "later", "snoozed", "parked", "unmatched", "dead", "stop"]
        ),
        unsure=st.booleans(),
        pause=steps,
    )
    def settle(self, data: Any, how: str, unsure: bool, pause: timedelta) -> None:
        worker = data.draw(st.sampled_from(self.workers))
        row, lane = worker.row, worker.lane
        settlement = settled(worker, how, unsure, pause, self.now)
        before = self.look()
        mine = self.recorded(settlement)
        assert mine == (self.holder[lane.account_id] is worker)
        if not mine:
            assert self.look() == before, "a lease that has passed to another changed something"
            self.workers.remove(worker)
            return
        if settlement.state == "done":
            self.facts.done.add(row.id)
        if not settlement.unsure:
            self.facts.begun.discard(row.id)
        worker.at, worker.sending = worker.at + 1, False
        if settlement.release:
            self.workers.remove(worker)
            self.holder[lane.account_id] = None

    @precondition(lambda self: self.workers)
    @rule(data=st.data(), step=steps)
    def renew(self, data: Any, step: timedelta) -> None:
        worker: Worker = data.draw(st.sampled_from(self.workers))
        until = self.now + step
        renewal = Renewal(account_id=worker.lane.account_id, fence=worker.lane.fence, until=until)
        before = self.look()
        self.database.do(lambda connection: leases.renew_leases(connection, [renewal]))
        if self.holder[worker.lane.account_id] is worker:
            worker.until = until
        else:
            assert self.look() == before, "a lease that has passed to another was renewed"

    @rule(step=steps)
    def time_passes(self, step: timedelta) -> None:
        self.now += step

    @rule(step=steps)
    def the_clock_goes_back(self, step: timedelta) -> None:
        self.now -= step

    @rule()
    def the_lease_runs_out(self) -> None:
        self.now += leases.LEASE

    @rule()
    def crash(self) -> None:
        """Killed, and started again."""
        self.database.do(lambda connection: leases.drop_leases(connection, self.now))
        self.workers.clear()
        self.holder = dict.fromkeys(ACCOUNTS)

    @rule(account_id=accounts)
    def unpark(self, account_id: int) -> None:
        self.database.do(lambda connection: parking.unpark(connection, account_id, self.now))

    @precondition(lambda self: self.facts.ids)
    @rule(data=st.data())
    def revive(self, data: Any) -> None:
        ids = data.draw(st.lists(st.sampled_from(sorted(self.facts.ids.values())), max_size=4))
        self.database.do(lambda connection: parking.revive(connection, ids, self.now))

    @rule()
    def expire(self) -> None:
        self.database.do(lambda connection: outbox.expire_live(connection, self.now))

    # --- what must hold

    @invariant()
    def each_key_is_there_once(self) -> None:
        rows = self.rows(select(delivery.c.account_id, delivery.c.key, delivery.c.id))
        assert {(row.account_id, row.key): row.id for row in rows} == self.facts.ids
        assert len(rows) == len(self.facts.ids)

    @invariant()
    def done_stays_done(self) -> None:
        rows = self.rows(select(delivery.c.id).where(delivery.c.state == "done"))
        assert {row.id for row in rows} == self.facts.done

    @invariant()
    def a_mark_is_never_given_up(self) -> None:
        gone = delivery.c.state.in_(("superseded", "expired"))
        assert self.rows(select(delivery.c.id).where(delivery.c.mark, gone)) == []

    @invariant()
    def nothing_waits_without_a_time(self) -> None:
        stuck = (
            select(account.c.id, func.count())
            .join(delivery, delivery.c.account_id == account.c.id)
            .where(delivery.c.state == "waiting", account.c.parked.is_(None), account.c.due_at.is_(None))
            .group_by(account.c.id)
        )
        assert self.rows(stuck) == []

    def teardown(self) -> None:
        """However it stands, days later all has been worked off that is not for a person to mend."""
        self.now += timedelta(days=40)
        for _ in range(60):
            self.claim(lanes=3, count=3)
            for worker in list(self.workers):
                if self.holder[worker.lane.account_id] is worker:
                    done = settled(worker, "stop", False, STEPS[0], self.now)
                    assert self.recorded(done)
                    self.holder[worker.lane.account_id] = None
                self.workers.remove(worker)
            self.now += timedelta(minutes=1)
        left = (
            select(delivery.c.id)
            .join(account, account.c.id == delivery.c.account_id)
            .where(delivery.c.state == "waiting", account.c.parked.is_(None))
        )
        try:
            assert self.rows(left) == []
        finally:
            self.database.close()
            shutil.rmtree(self.folder)

    def recorded(self, settlement: Settlement) -> bool:
        (mine,) = self.database.do(lambda connection: settlements.settle(connection, [settlement]))
        return mine

    def rows(self, question: Any) -> list[Row[Any]]:
        return self.database.ask(lambda connection: list(connection.execute(question).all()))

    def look(self) -> list[Any]:
        return [self.rows(select(table).order_by(table.c.id)) for table in (account, delivery)]


def settled(worker: Worker, how: str, unsure: bool, pause: timedelta, now: datetime) -> Settlement:
    """What the dispatcher says of the row in hand, as it decides it (`webhook.pipeline.dispatcher`)."""
    row = worker.row
    open_still = row.unsure or row.claimed
    base = Settlement(
        delivery_id=row.id,
        account_id=row.account_id,
        fence=worker.lane.fence,
        now=now,
        state=DeliveryState.WAITING,
        attempts=row.attempts,
        due_at=row.due_at,
        unsure=open_still or unsure,
    )
    match how:
        case "done":
            base = replace(base, state=DeliveryState.DONE, unsure=False, clear=True, outcome="done")
        case "held":
            base = replace(base, hold=now + pause, trouble=True, attempts=row.attempts + 1, outcome="retry")
        case "later":
            base = replace(base, due_at=now + pause, attempts=row.attempts + 1, outcome="retry")
        case "snoozed":
            base = replace(base, hold=now + pause, unsure=open_still, outcome="snooze")
        case "parked":
            base = replace(base, park=Park.SIGNED_OUT, reason="gone", unsure=open_still, outcome="snooze")
        case "unmatched" | "dead":
            base = replace(
                base, state=DeliveryState(how), unsure=open_still, attempts=row.attempts + 1, outcome=how
            )
        case "stop":
            base = replace(base, state=DeliveryState.DONE, unsure=False, clear=True, release=True)
    if not worker.rest or base.release or base.hold is not None or base.park is not None:
        base = replace(base, release=True, unclaim=worker.rest)
    return base


@pytest.fixture(scope="module", autouse=True)
def template(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A migrated database that every run begins with a copy of."""
    path = tmp_path_factory.mktemp("template") / "watchmark.db"
    opened = Database(f"sqlite:///{path}")
    migrate.migrate(opened)
    opened.close()
    Outbox.template = path


SLOW = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]


class TestAnyOrderLeavesTheOutboxSound(Outbox.TestCase):  # type: ignore[misc, valid-type]
    settings = settings(max_examples=15, stateful_step_count=30, deadline=None, suppress_health_check=SLOW)


@pytest.mark.soak
class TestManyOrdersLeaveTheOutboxSound(Outbox.TestCase):  # type: ignore[misc, valid-type]
    settings = settings(max_examples=2000, stateful_step_count=60, deadline=None, suppress_health_check=SLOW)


def test_what_was_in_hand_is_unsure_even_when_another_delivery_got_in_front(tmp_path: Path) -> None:
    """Sent, then the lease ran out; the next claim comes no further than the delivery before it."""
    database = Database(f"sqlite:///{tmp_path}/watchmark.db")
    migrate.migrate(database)
    machine = Outbox.__new__(Outbox)
    machine.database, machine.now = database, BEGIN
    machine.people_sign_in()
    batch = dict.fromkeys(TRACKERS, Batch(fresh=2, late=2))

    def put(number: int, at: datetime) -> int:
        putting = NewDelivery(
            account_id=1, action=Action.WATCHED, key=f"{number}", item=episode(number), at=at, mark=True
        )
        return database.do(lambda connection: outbox.enqueue(connection, putting, BEGIN))

    def claimed(now: datetime) -> Lane:
        claiming = ClaimRequest(now=now, lanes=1, batch=batch)
        (lane,) = database.do(lambda connection: leases.claim_lanes(connection, claiming))
        return lane

    sent, sent_too = put(1, BEGIN), put(2, BEGIN)
    claimed(BEGIN)  # and sent, and then the worker was gone
    earlier, before_that = (put(number, BEGIN - timedelta(seconds=5)) for number in (3, 4))
    later = BEGIN + leases.LEASE
    second = claimed(later)
    assert [row.id for row in second.rows] == [earlier, before_that]
    for worker in (Worker(second, later), Worker(second, later, at=1)):
        done = settled(worker, "done", False, retry.BUSY_PAUSE, later)
        database.do(lambda connection, done=done: settlements.settle(connection, [done]))  # type: ignore[misc]

    with pytest.raises(ValueError, match="not enough values"):
        claimed(later)
    third = claimed(later + retry.UNSURE_PAUSE)
    database.close()
    assert [(row.id, row.unsure) for row in third.rows] == [(sent, True), (sent_too, True)]
