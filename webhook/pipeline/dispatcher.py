"""The dispatcher: lanes. Each claims an account's next deliveries, identifies, sends, settles.

Lanes run beside one another, so one account's trouble never delays another's; inside a lane
deliveries go out one by one, in order, no faster than the tracker allows.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, cast

import structlog
from sqlalchemy import Row

from webhook import clock
from webhook.accounts.credentials import AccountAccess, Credentials
from webhook.client import DryRunStop, Recorder, recording
from webhook.domain import retry
from webhook.domain.event import Action, item_from_json, round_rating
from webhook.domain.outcome import LIMITS, Dead, Done, Park, Retry, Skip, Snooze, Undelivered, Unmatched
from webhook.domain.play import Dated
from webhook.domain.rules import DRY_RUN
from webhook.domain.states import DeliveryState
from webhook.identity.resolver import Identity
from webhook.queues import leases, outbox, parking, settlements
from webhook.queues.leases import Batch, ClaimRequest, Lane, Renewal
from webhook.queues.settlements import Settlement
from webhook.settings import SettingsError
from webhook.storage.db import Database, Unavailable
from webhook.storage.types import from_ms
from webhook.trackers import Access, Batches, Delivery, Tracker

log = structlog.get_logger()

LANES = 64
BATCH = 16
TRIPS = 5
"""Failures of one host in a row after which only one lane at a time tries it."""

LANE_TIME = timedelta(minutes=1)
"""How long a lane works on one claim, before it looks again at what is due first."""
HUNG = timedelta(minutes=15)
"""After this a lane does not come back: its lease is left to run out, and another goes on."""

NO_RATING = "a rating of 0 stands for none, and the services' scales begin at 1"

MARGIN = 1.1  # what is sent a second apart need not arrive a second apart
SWEEP = 30.0
POLL = 1.0


@dataclass(slots=True)
class Pace:
    """No more writes a second than the tracker allows an account."""

    per_second: float
    free_at: float = 0.0

    async def wait(self) -> None:
        if self.per_second <= 0:
            return
        now = time.monotonic()
        begin = max(now, self.free_at)
        self.free_at = begin + MARGIN / self.per_second
        if begin > now:
            await asyncio.sleep(begin - now)


@dataclass(slots=True)
class Breaker:
    """Opens when a host fails again and again, whoever asks; then one lane probes it, now and then."""

    failures: int = 0
    open_until: float = 0.0
    probing: bool = False

    def lanes(self) -> int:
        """How many lanes may go there now."""
        if self.failures < TRIPS:
            return LANES
        return 0 if self.probing or time.monotonic() < self.open_until else 1

    def worked(self) -> None:
        self.failures, self.probing = 0, False

    def failed(self) -> None:
        self.failures, self.probing = self.failures + 1, False
        if self.failures >= TRIPS:
            pause = min(retry.FIRST_PAUSE * 2 ** min(self.failures - TRIPS, 16), retry.MAX_PAUSE)
            self.open_until = time.monotonic() + pause.total_seconds()


@dataclass(slots=True)
class Health:
    """What the dispatcher last did, for /readyz."""

    stepped_at: float = field(default_factory=time.monotonic)
    delivered: int = 0


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
        self.health = Health()
        self.breakers: dict[str, Breaker] = {tracker.host: Breaker() for tracker in trackers.values()}
        self._batches = {name: batch_of(tracker) for name, tracker in trackers.items()}
        self._paces: dict[int, Pace] = {}
        self._held: dict[int, tuple[int, AccountAccess]] = {}
        self._lanes: set[asyncio.Task[None]] = set()
        self._at_work: dict[tuple[int, int], float] = {}
        """When work on each claim began, by its account and fence."""
        self._stopping = False
        self._freed = asyncio.Event()
        self._news = asyncio.Event()

    async def run(self, stop: asyncio.Event, news: asyncio.Event) -> None:
        """Deliver until told to stop; then finish what is in hand."""
        self._news = news
        renewals = asyncio.create_task(self.renew_leases(), name="renewals")
        try:
            await self.deliver(stop, news)
        finally:
            renewals.cancel()

    async def deliver(self, stop: asyncio.Event, news: asyncio.Event) -> None:
        while not stop.is_set():
            self.health.stepped_at = time.monotonic()
            try:
                claimed = await self.claim()
                pause = 0.0 if claimed else await self.pause()
            except Unavailable as error:
                log.warning("The database cannot be used now; deliveries wait.", why=str(error))
                pause = POLL
            if pause > 0:
                await clock.awaken(news, stop, pause)
        self._stopping = True
        if self._lanes:
            await asyncio.wait(self._lanes, timeout=15)

    async def renew_leases(self) -> None:
        """Hold on to the lanes that are worked on, for as long as this process lives."""
        while True:
            await asyncio.sleep(leases.RENEWAL_INTERVAL.total_seconds())
            until, now = clock.now() + leases.LEASE, time.monotonic()
            renewals = [
                Renewal(account_id=account_id, fence=fence, until=until)
                for (account_id, fence), began in self._at_work.items()
                if now - began < HUNG.total_seconds()
            ]
            try:
                await asyncio.gather(
                    *(self.database.write(leases.renew_leases, renewal) for renewal in renewals)
                )
            except Unavailable as error:
                log.warning("Leases cannot be renewed now; another worker may go on.", why=str(error))

    async def claim(self) -> int:
        """Claim as many lanes as are free and set them going; how many that was."""
        if len(self._lanes) >= LANES:
            self._freed.clear()
            await self._freed.wait()
        claimed = 0
        for names, lanes in self.ready():
            free = min(lanes, LANES - len(self._lanes))
            if free > 0:
                claimed += await self.claim_of(names, free)
        return claimed

    def ready(self) -> list[tuple[list[str], int]]:
        """The trackers that may be told now, and by how many lanes: those in trouble by one at a time."""
        well = [name for name, tracker in self.trackers.items() if self.breakers[tracker.host].lanes() > 1]
        ill = [name for name, tracker in self.trackers.items() if self.breakers[tracker.host].lanes() == 1]
        return [*([(well, LANES)] if well else []), *(([name], 1) for name in ill)]

    async def claim_of(self, names: list[str], lanes: int) -> int:
        batch = {name: self._batches[name] for name in names}
        request = ClaimRequest(now=clock.now(), lanes=lanes, batch=batch, lease=leases.LEASE)
        claimed = await self.database.write(leases.claim_lanes, request)
        for lane in claimed:
            breaker = self.breakers[self.trackers[lane.tracker].host]
            breaker.probing = breaker.failures >= TRIPS
            task = asyncio.create_task(self.work(lane), name=f"lane {lane.account_id}")
            self._lanes.add(task)
            task.add_done_callback(self.ended)
        return len(claimed)

    def ended(self, task: asyncio.Task[None]) -> None:
        self._lanes.discard(task)
        self._freed.set()
        self._news.set()  # what waits behind in this lane may be due at once
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Unavailable):
            log.warning(
                "The database cannot be used now; a lane broke off, and falls due again.", why=str(error)
            )
        elif error is not None:
            log.error("A lane broke off; its lease lets it fall due again.", exc_info=error)

    async def pause(self) -> float:
        """Seconds until the next lane falls due."""
        due = await self.database.read(
            lambda connection: leases.find_next_due(connection, list(self.trackers))
        )
        if due is None:
            return POLL
        return min(max((due - clock.now()).total_seconds(), 0.001), POLL)

    # --- one lane

    async def work(self, lane: Lane) -> None:
        """Send what was claimed; a trouble of the whole lane ends it early."""
        tracker = self.trackers[lane.tracker]
        self._at_work[lane.account_id, lane.fence] = time.monotonic()
        try:
            if together(tracker, lane):
                await self.send_together(lane, tracker)
            else:
                await self.send_singly(lane, tracker)
        finally:
            self.breakers[tracker.host].probing = False
            del self._at_work[lane.account_id, lane.fence]
            self._held.pop(lane.account_id, None)

    async def send_singly(self, lane: Lane, tracker: Tracker) -> None:
        ends = time.monotonic() + LANE_TIME.total_seconds()
        rows = list(lane.rows)
        while rows:
            row = rows.pop(0)
            settlement = await self.step(lane, row, tracker)
            if settlement.limit is not None:
                rows = [
                    other
                    for other in rows
                    if parking.kind_of(other.action, other.mark) != parking.kind_of(row.action, row.mark)
                ]
            last = not rows or self._stopping or time.monotonic() > ends
            if last or settlement.hold is not None or settlement.park is not None:
                settlement = replace(settlement, release=True, unclaim=[other.id for other in rows])
            mine = await self.database.write(settlements.settle, settlement)
            self.health.delivered += 1
            if settlement.release or not mine:
                return

    async def send_together(self, lane: Lane, tracker: Tracker) -> None:
        """Late marks, told in one call with their true times."""
        now = clock.now()
        kept = Recorder(pace=self.pace(lane.account_id, tracker).wait, lane=lane.account_id)
        outcomes = await self.outcomes(lane, tracker, kept, now)
        settled = [
            settlement_of(lane, row, outcome, clock.now())
            for row, outcome in zip(lane.rows, outcomes, strict=True)
        ]
        self.note_host(tracker, outcomes)
        # One call is one failure, however many it carried.
        settled = [*(replace(entry, trouble=False) for entry in settled[:-1]), settled[-1]]
        settled[0] = replace(settled[0], exchanges=kept.exchanges)
        holds = [entry.hold for entry in settled if entry.hold is not None]
        settled[-1] = replace(settled[-1], release=True, hold=max(holds, default=None))
        await asyncio.gather(*(self.database.write(settlements.settle, entry) for entry in settled))
        self.health.delivered += len(settled)
        log.info("Late deliveries were told together.", tracker=tracker.name, count=len(settled))

    async def outcomes(
        self, lane: Lane, tracker: Tracker, kept: Recorder, now: datetime
    ) -> list[Done | Undelivered]:
        """What became of each; a decision about the whole call is the decision about each."""
        try:
            access = await self.access(lane, tracker)
            found = [await self.identified(delivery(row, now), tracker) for row in lane.rows]
            told = [entry for entry in found if isinstance(entry, Delivery)]
            with recording(kept):
                answers = iter(await send_parts(cast(Batches, tracker), told, access) if told else [])
            became = [next(answers) if isinstance(entry, Delivery) else entry for entry in found]
            return [await self.explained(row, one) for row, one in zip(lane.rows, became, strict=True)]
        except Undelivered as decision:
            return [await self.explained(row, decision) for row in lane.rows]
        except Unavailable:
            raise
        except Exception as error:
            log.exception("Late deliveries met a fault of ours; they are tried again.", tracker=tracker.name)
            return [fault(error)] * len(lane.rows)

    async def explained(self, row: Row[Any], outcome: Done | Undelivered) -> Done | Undelivered:
        """What could not be matched, with candidates for the person to choose from."""
        if not isinstance(outcome, Unmatched):
            return outcome
        return await self.identity.with_candidates(item_from_json(row.item), outcome)

    async def step(self, lane: Lane, row: Row[Any], tracker: Tracker) -> Settlement:
        """One delivery's settlement. Nothing escapes: what is not understood is tried again."""
        now = clock.now()
        base = begun(lane, row, now)
        live = row.action in outbox.LIVE_ACTIONS and not row.mark
        if live and now - row.happened_at > retry.LIVE:
            return replace(
                base, state=DeliveryState.EXPIRED, reason="it said what was on then; too old to be told"
            )
        if row.action == Action.RATE and round_rating((row.details or {}).get("rating")) is None:
            return replace(base, state=DeliveryState.SKIPPED, reason=NO_RATING)
        pace = self.pace(lane.account_id, tracker).wait
        kept = Recorder(withhold=lane.dry, pace=pace, lane=lane.account_id)
        began = time.monotonic()
        try:
            outcome = await self.outcome(lane, row, tracker, kept, now)
        except DryRunStop as told:
            return replace(
                base,
                state=DeliveryState.SKIPPED,
                reason=DRY_RUN,
                outcome="skipped",
                answer=str(told),
                exchanges=kept.exchanges,
            )
        self.note_host(tracker, [outcome])
        took = round((time.monotonic() - began) * 1000)
        settled = settlement_of(lane, row, outcome, clock.now())
        settled = replace(settled, took_ms=took, exchanges=kept.exchanges)
        log.info(
            "A delivery was worked on.",
            state=settled.state,
            delivery=row.id,
            webhook=row.webhook_id,
            tracker=tracker.name,
            action=row.action,
            reason=settled.reason or settled.answer,
        )
        return settled

    async def outcome(
        self, lane: Lane, row: Row[Any], tracker: Tracker, kept: Recorder, now: datetime
    ) -> Done | Undelivered:
        """What became of it. Nothing escapes: what is not understood is tried again."""
        try:
            with recording(kept):
                access = await self.access(lane, tracker)
                found = await self.identified(await self.handled(row, now), tracker)
                return found if isinstance(found, Undelivered) else await tracker.send(found, access)
        except Undelivered as decision:
            return await self.explained(row, decision)
        except SettingsError as error:
            return Dead(str(error))
        except (Unavailable, DryRunStop):
            raise
        except Exception as error:
            log.exception("A delivery met a fault of ours; it is tried again.", delivery=row.id)
            return fault(error)

    async def handled(self, row: Row[Any], now: datetime) -> Delivery:
        """The delivery; one that undoes another with the handle which that one has got since it was put."""
        told = delivery(row, now)
        undoes = (row.details or {}).get("undoes")
        if told.remote_id is not None or undoes is None:
            return told
        handle = await self.database.read(lambda connection: outbox.find_remote_id(connection, undoes))
        return replace(told, remote_id=handle)

    async def access(self, lane: Lane, tracker: Tracker) -> AccountAccess:
        """Access to the lane's account, its sign-in read once for what is claimed together."""
        held = self._held.get(lane.account_id)
        if held is not None and held[0] == lane.fence:
            return held[1]
        access = await self.credentials.access(lane.account_id, lane.person_id, tracker)
        if tracker.sign_in != "none" and not access.tokens:
            raise Snooze(f"{tracker.label} is not signed in to", park=Park.SIGNED_OUT)
        access = access.dry() if lane.dry else access
        self._held[lane.account_id] = (lane.fence, access)
        return access

    async def identified(self, told: Delivery, tracker: Tracker) -> Delivery | Undelivered:
        """The delivery with the ids its tracker needs, or why there are none."""
        needs = tracker.needs.get(told.item.kind, ())
        try:
            return replace(told, item=await self.identity.resolve(told.item, needs))
        except Undelivered as decision:
            return decision

    def note_host(self, tracker: Tracker, outcomes: Sequence[Done | Undelivered]) -> None:
        """Whether the host is in trouble: it answered nothing, or that it cannot."""
        breaker = self.breakers[tracker.host]
        if any(isinstance(outcome, Retry) and outcome.lane for outcome in outcomes):
            breaker.failed()
        else:
            breaker.worked()

    def pace(self, account_id: int, tracker: Tracker) -> Pace:
        return self._paces.setdefault(account_id, Pace(tracker.writes_per_second))


def delivery(row: Row[Any], now: datetime) -> Delivery:
    """A row as the tracker sees it."""
    details = row.details or {}
    return Delivery(
        id=row.id,
        action=Action(row.action),
        item=item_from_json(row.item),
        at=row.happened_at,
        progress=details.get("progress"),
        estimated=bool(details.get("estimated")),
        duration_ms=details.get("duration_ms"),
        started_at=None if details.get("started_at") is None else from_ms(details["started_at"]),
        mark=row.mark,
        rating=round_rating(details.get("rating")),
        dated=Dated(details.get("dated") or Dated.EXACT),
        late=is_late(row, now),
        unsure=row.unsure,
        rewatch=bool(details.get("rewatch")),
        remote_id=row.remote_id or details.get("remote_id"),
        attempts=row.attempts,
    )


async def send_parts(
    tracker: Batches, deliveries: Sequence[Delivery], access: Access
) -> list[Done | Undelivered]:
    """What became of each; a call that is refused for what is in it is sent again in halves.

    One bad item has a whole call refused: alone it comes to its own decision, and the others are told.
    """
    try:
        return await tracker.send_many(deliveries, access)
    except (Dead, Skip, Unmatched) as refusal:
        if len(deliveries) == 1:
            return [refusal]
    middle = len(deliveries) // 2
    outcomes: list[Done | Undelivered] = []
    for half in (deliveries[:middle], deliveries[middle:]):
        try:
            outcomes += await send_parts(tracker, half, access)
        except Undelivered as decision:  # the other half keeps what became of it
            outcomes += [decision] * len(half)
    return outcomes


def is_late(row: Row[Any], now: datetime) -> bool:
    """Whether it goes out with its date, and not as what happens now: it is old, was recorded, or is not exact."""
    details = row.details or {}
    exact = (details.get("dated") or Dated.EXACT) == Dated.EXACT
    return bool(details.get("late")) or not exact or now - row.happened_at > retry.LIVE


def fault(error: Exception) -> Retry:
    return Retry(f"{type(error).__name__}: {error}"[:300], unsure=True, lane=False)


def together(tracker: Tracker, lane: Lane) -> bool:
    """Whether the lane's deliveries are late marks that one call may carry."""
    return (
        hasattr(tracker, "send_many")
        and not lane.dry
        and len(lane.rows) > 1
        and all(row.mark and is_late(row, clock.now()) for row in lane.rows)
    )


def batch_of(tracker: Tracker) -> Batch:
    fresh = 1 if tracker.writes_per_second > 0 else BATCH
    return Batch(fresh, cast(Batches, tracker).batch if hasattr(tracker, "send_many") else fresh)


def begun(lane: Lane, row: Row[Any], now: datetime) -> Settlement:
    """The settlement of a delivery of which nothing is known yet: it waits as before."""
    return Settlement(
        delivery_id=row.id, account_id=lane.account_id, fence=lane.fence, now=now, state=DeliveryState.WAITING,
        attempts=row.attempts, due_at=row.due_at, answer=row.answer, remote_id=row.remote_id,
        unsure=row.unsure,
    )  # fmt: skip


def settlement_of(lane: Lane, row: Row[Any], outcome: Done | Undelivered, now: datetime) -> Settlement:
    base = begun(lane, row, now)
    return succeeded(base, outcome) if isinstance(outcome, Done) else decided(base, outcome, row, lane)


def succeeded(base: Settlement, done: Done) -> Settlement:
    return replace(
        base, state=DeliveryState.DONE, outcome="done", answer=done.answer, reason=done.note, unsure=False,
        attempts=base.attempts + 1, remote_id=done.remote_id or base.remote_id, clear=True,
    )  # fmt: skip


def decided(base: Settlement, decision: Undelivered, row: Row[Any], lane: Lane) -> Settlement:
    """What a decision means for the delivery and its lane."""
    base = replace(base, reason=decision.reason, answer=decision.answer or base.answer)
    match decision:
        case Retry():
            return tried(base, decision, row, lane)
        case Snooze(park=None, lengthens=True):
            rest = retry.lengthen(decision.after or retry.FIRST_PAUSE, lane.failures)
            return replace(base, outcome="snooze", hold=base.now + rest, trouble=True)
        case Snooze(park=None):
            until = base.now + (decision.after if decision.after is not None else retry.BUSY_PAUSE)
            base = replace(base, outcome="snooze")
            return replace(base, hold=until) if decision.lane else replace(base, due_at=until)
        case Snooze(park=park) if park in LIMITS:
            return replace(base, outcome="snooze", limit=park)
        case Snooze():
            return replace(base, outcome="snooze", park=decision.park)
        case Unmatched():
            return replace(
                base, state=DeliveryState.UNMATCHED, outcome="unmatched", candidates=decision.candidates or None,
                attempts=base.attempts + 1,
            )  # fmt: skip
        case Skip():
            return replace(base, state=DeliveryState.SKIPPED, outcome="skipped", attempts=base.attempts + 1)
        case Dead():
            return replace(base, state=DeliveryState.DEAD, outcome="dead", attempts=base.attempts + 1)
    return replace(base, state=DeliveryState.DEAD, outcome="dead")


def tried(base: Settlement, decision: Retry, row: Row[Any], lane: Lane) -> Settlement:
    """Another try later, unless patience has run out."""
    attempts = base.attempts + 1
    unsure = base.unsure or decision.unsure
    if base.now - row.created_at > retry.MAX_DELIVERY_AGE:
        why = f"given up after {retry.MAX_DELIVERY_AGE.days} days and {attempts} tries: {decision.reason}"
        return replace(
            base, state=DeliveryState.DEAD, outcome="dead", reason=why, attempts=attempts, unsure=unsure
        )
    pause = max(
        retry.backoff(lane.failures if decision.lane else row.attempts), decision.after or timedelta(0)
    )
    base = replace(base, outcome="retry", attempts=attempts, unsure=unsure)
    if not decision.lane:
        return replace(base, due_at=base.now + pause)
    base = replace(base, hold=base.now + pause, trouble=True)
    if not decision.suspect or attempts < retry.TRIES_IN_FRONT:
        return base
    return replace(base, due_at=base.now + max(pause, retry.backoff(attempts)), aside=True)
