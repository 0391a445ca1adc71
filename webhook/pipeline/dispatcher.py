"""The dispatcher: claims due lanes and works on them concurrently.

One account's trouble never delays another's. Inside a lane deliveries go out one by one, in order, no
faster than the tracker allows.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import chain
from typing import cast

import structlog
from sqlalchemy import Connection

from webhook import clock
from webhook.accounts.credentials import Credentials
from webhook.identity.resolver import Identity
from webhook.pipeline import lanes
from webhook.pipeline.breaker import MAX_LANES, Breaker
from webhook.pipeline.lanes import LaneContext
from webhook.pipeline.local_marks import LocalMarks
from webhook.pipeline.pace import Pace
from webhook.queues import leases, settlements
from webhook.queues.leases import Batch, Claim, ClaimRequest, Lane, Renewal
from webhook.queues.settlements import Settlement
from webhook.storage.db import Database, Unavailable
from webhook.storage.prepared import TransactionLost, savepoint
from webhook.trackers import Batches, Tracker

log = structlog.get_logger()

CLAIM_SIZE = 32
"""Batch size of a lane whose tracker sets no pace."""

LANE_TIMEOUT = timedelta(minutes=15)
"""The time after which a lane counts as hung: its lease expires, and another worker continues."""

DRAIN_TIMEOUT = 15.0
IDLE_INTERVAL = 1.0

LOOK_DELAY = 0.05
"""Seconds after which other lanes are looked for, unless the settlement of what was claimed first does it before."""


@dataclass(slots=True)
class Health:
    """The dispatcher's last activity, for /readyz."""

    stepped_at: float = field(default_factory=time.monotonic)
    delivered: int = 0

    def count(self, delivered: int) -> None:
        self.delivered += delivered


class Dispatcher:
    def __init__(
        self,
        database: Database,
        trackers: Mapping[str, Tracker],
        credentials: Credentials,
        identity: Identity,
    ) -> None:
        self.database = database
        self.trackers = trackers
        self.credentials = credentials
        self.identity = identity
        self.local_marks = LocalMarks(database, trackers, identity)
        self.health = Health()
        self.breakers: dict[str, Breaker] = {tracker.host: Breaker() for tracker in trackers.values()}
        self._batches = {name: batch_of(tracker) for name, tracker in trackers.items()}
        self._paces: dict[int, Pace] = {}
        self._lanes: set[asyncio.Task[None]] = set()
        self._at_work: dict[tuple[int, int], float] = {}
        """The time work on each claim began, by account and fence."""
        self._stopping = False
        self._freed = asyncio.Event()
        self._news = asyncio.Event()
        self._look: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def run(self, stop: asyncio.Event, news: asyncio.Event) -> None:
        """Deliver until stopped, then finish the deliveries in progress."""
        self._news, self._loop = news, asyncio.get_running_loop()
        renewals = asyncio.create_task(self.renew_leases(), name="renewals")
        try:
            await self.deliver(stop, news)
        finally:
            renewals.cancel()

    async def deliver(self, stop: asyncio.Event, news: asyncio.Event) -> None:
        while not stop.is_set():
            self.health.stepped_at = time.monotonic()
            try:
                pause = seconds_until((await self.claim()).next_due)
            except Unavailable as error:
                log.warning(
                    "The database is unavailable; deliveries wait.",
                    action="dispatch_unavailable",
                    why=str(error),
                )
                pause = IDLE_INTERVAL
            await clock.awaken(news, stop, pause)
        self._stopping = True
        if self._lanes:
            await asyncio.wait(self._lanes, timeout=DRAIN_TIMEOUT)

    async def renew_leases(self) -> None:
        """Renew the leases of the lanes in progress, for as long as this process lives."""
        while True:
            await asyncio.sleep(leases.RENEWAL_INTERVAL.total_seconds())
            until, now = clock.now() + leases.LEASE, time.monotonic()
            renewals = [
                Renewal(account_id=account_id, fence=fence, until=until)
                for (account_id, fence), began in self._at_work.items()
                if now - began < LANE_TIMEOUT.total_seconds()
            ]
            try:
                await asyncio.gather(
                    *(self.database.write(leases.renew_leases, renewal) for renewal in renewals)
                )
            except Unavailable as error:
                log.warning(
                    "Leases could not be renewed; another worker may take over.",
                    action="renew_unavailable",
                    why=str(error),
                )

    async def claim(self) -> Claim:
        """Claim as many lanes as are free at the trackers that may be sent to, and start work on them."""
        if len(self._lanes) >= MAX_LANES:
            self._freed.clear()
            await self._freed.wait()
        claims = []
        for names, most in self.open_trackers():
            free = min(most, MAX_LANES - len(self._lanes))
            if free > 0:
                claims.append(await self.claim_of(names, free))
        dues = [claim.next_due for claim in claims if claim.next_due is not None]
        return Claim(chain(*claims), min(dues, default=None))

    def open_trackers(self) -> list[tuple[list[str], int]]:
        """The trackers that may be sent to now, with their number of lanes: one for a tracker in trouble."""
        well = [name for name, tracker in self.trackers.items() if self.breakers[tracker.host].lanes() > 1]
        ill = [name for name, tracker in self.trackers.items() if self.breakers[tracker.host].lanes() == 1]
        return [*([(well, MAX_LANES)] if well else []), *(([name], 1) for name in ill)]

    async def claim_of(self, names: list[str], most: int) -> Claim:
        batch = {name: self._batches[name] for name in names}
        request = ClaimRequest(now=clock.now(), lanes=most, batch=batch, lease=leases.LEASE)
        claim = await self.database.write(self.claim_all, request)
        self.start(claim)
        return claim

    def claim_all(self, connection: Connection, waiting: list[ClaimRequest]) -> list[Claim]:
        return [self.claim_and_record(connection, request) for request in waiting]

    def claim_and_record(self, connection: Connection, request: ClaimRequest) -> Claim:
        """Claim lanes, and record those that are marks of the built-in library at once."""
        claimed = leases.claim_lanes(connection, request)
        lanes = self.local_marks.record(connection, claimed)
        if len(lanes) < len(claimed):
            recorded = sum(len(lane.rows) for lane in claimed) - sum(len(lane.rows) for lane in lanes)
            self.database.after_commit(partial(self.health.count, recorded))
        until = request.now + timedelta(seconds=IDLE_INTERVAL)
        return Claim(lanes, leases.find_next_due(connection, request.batch, until))

    def start(self, claimed: Sequence[Lane]) -> None:
        """Start work on claimed lanes."""
        for lane in claimed:
            breaker = self.breakers[self.trackers[lane.tracker].host]
            breaker.probing = breaker.is_open
            task = asyncio.create_task(self.work(lane), name=f"lane {lane.account_id}")
            self._lanes.add(task)
            task.add_done_callback(self.finish)

    # --- from the writing thread

    def settle_and_claim(self, connection: Connection, waiting: list[Settlement]) -> list[bool]:
        """Record settlements; where a lane is released, claim what is due now in the same commit."""
        valid = settlements.settle(connection, waiting)
        if any(entry.release for entry, good in zip(waiting, valid, strict=True) if good):
            self.claim_due(connection)
        return valid

    def claim_due(self, connection: Connection) -> None:
        """Claim what is due now, and start work on it after the commit; where that fails, look for it then."""
        request = self.claim_request(local=True)
        claim = None if request is None else self.try_claim(connection, request)
        then = self._news.set if claim is None else partial(self.start_and_rest, claim)
        self.database.after_commit(partial(self.call_soon, then))

    def try_claim(self, connection: Connection, request: ClaimRequest) -> Claim | None:
        """Claim lanes; None if that failed, which undoes nothing else of the transaction."""
        try:
            with savepoint(connection):
                return self.claim_and_record(connection, request)
        except TransactionLost:
            raise
        except Exception:
            log.exception("Lanes could not be claimed; they are claimed again.", action="claim_fault")
            return None

    def claim_request(self, *, local: bool = False) -> ClaimRequest | None:
        """A request for the free lanes of the trackers that are well, in the network or all; None if none can be started now."""
        free = MAX_LANES - len(self._lanes)
        if self._loop is None or self._stopping or free <= 0:
            return None
        well = {
            name: batch
            for name, batch in self._batches.items()
            if (local or not self.trackers[name].local)
            and self.breakers[self.trackers[name].host].lanes() > 1
        }
        return ClaimRequest(now=clock.now(), lanes=free, batch=well, lease=leases.LEASE) if well else None

    def start_soon(self, claimed: Sequence[Lane]) -> None:
        """Start work on lanes that were claimed with what made them due, then look for others that are due."""
        self.call_soon(partial(self.start_and_look, claimed))

    def call_soon(self, action: Callable[[], None]) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(action)

    # --- on the event loop again

    def start_and_look(self, claimed: Sequence[Lane]) -> None:
        """Start the lanes; others are looked for when these are settled, or after a moment."""
        self.start(claimed)
        if not claimed:
            self._news.set()
        elif self._look is None:
            self._look = asyncio.get_running_loop().call_later(LOOK_DELAY, self.look)

    def look(self) -> None:
        self._look = None
        self._news.set()

    def start_and_rest(self, claim: Claim) -> None:
        """Start all lanes that are due; the next one is waited for."""
        self.start(claim)
        if self._look is not None:
            self._look.cancel()
            self._look = None
        if seconds_until(claim.next_due) < IDLE_INTERVAL:
            self._news.set()

    async def work(self, lane: Lane) -> None:
        """Work on a claimed lane while its lease is renewed."""
        context = self.context_of(lane)
        self._at_work[lane.account_id, lane.fence] = time.monotonic()
        try:
            await lanes.work(context)
        finally:
            self.health.count(context.delivered)
            context.breaker.probing = False
            del self._at_work[lane.account_id, lane.fence]

    def context_of(self, lane: Lane) -> LaneContext:
        tracker = self.trackers[lane.tracker]
        return LaneContext(
            lane=lane,
            tracker=tracker,
            database=self.database,
            credentials=self.credentials,
            identity=self.identity,
            breaker=Breaker() if tracker.many_hosts else self.breakers[tracker.host],
            pace=self.pace_of(lane.account_id, tracker),
            settle=self.settle_and_claim,
            stopping=lambda: self._stopping,
        )

    def pace_of(self, account_id: int, tracker: Tracker) -> Pace:
        """The pace of an account, shared by all its writers."""
        return self._paces.setdefault(account_id, Pace(tracker.writes_per_second))

    def finish(self, task: asyncio.Task[None]) -> None:
        """Free the lane's slot; whoever waits for one is woken."""
        self._lanes.discard(task)
        self._freed.set()
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._news.set()
        if isinstance(error, Unavailable):
            log.warning(
                "The database is unavailable; work on a lane stopped, and it will be claimed again.",
                action="lane_unavailable",
                why=str(error),
            )
        elif error is not None:
            log.error(
                "Work on a lane failed; it will be claimed again when its lease expires.",
                action="lane_fault",
                exc_info=error,
            )


def seconds_until(due: datetime | None) -> float:
    """Seconds until the next lane falls due; no more than the idle interval, since others enqueue too."""
    if due is None:
        return IDLE_INTERVAL
    return min(max((due - clock.now()).total_seconds(), 0.001), IDLE_INTERVAL)


def batch_of(tracker: Tracker) -> Batch:
    fresh = 1 if tracker.writes_per_second > 0 else CLAIM_SIZE
    return Batch(fresh, cast(Batches, tracker).batch if hasattr(tracker, "send_many") else fresh)
