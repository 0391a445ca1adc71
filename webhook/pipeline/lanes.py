"""Work on one claimed lane: each delivery is identified, sent and settled, one by one, in order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import cast

import structlog
from sqlalchemy import Connection

from webhook import clock
from webhook.accounts.credentials import AccountAccess, Credentials
from webhook.client import DryRunStop, Recorder, recording
from webhook.domain import retry
from webhook.domain.anime_index import AnimeNamespace
from webhook.domain.event import Action, item_from_json, round_rating
from webhook.domain.outcome import Dead, Done, Park, Retry, Skip, Snooze, Undelivered, Unmatched
from webhook.domain.play import Dated
from webhook.domain.rules import DRY_RUN
from webhook.domain.states import DeliveryState
from webhook.history import watchlist
from webhook.identity.resolver import Identity
from webhook.pipeline.breaker import Breaker
from webhook.pipeline.outcomes import open_settlement, settlement_of
from webhook.pipeline.pace import Pace
from webhook.queues import outbox, parking
from webhook.queues.leases import Lane
from webhook.queues.settlements import Settlement
from webhook.settings import SettingsError
from webhook.storage.db import Database, Unavailable
from webhook.storage.tables import DeliveryRow
from webhook.storage.types import from_ms
from webhook.trackers import Access, Batches, Delivery, Tracker

log = structlog.get_logger()

LANE_TIME = timedelta(minutes=1)
"""The time a lane works on one claim before it is claimed anew, so that fresh deliveries go first."""

MAX_UNSETTLED = 12
"""Maximum uncommitted settlements of a lane while the next delivery is sent."""

LIST_ACTIONS = (Action.WATCHLIST, Action.UNWATCHLIST)
NO_RATING = "a rating of 0 stands for none, and the services' scales begin at 1"
TOO_OLD = "it said what was on then; too old to be told"


class LeaseLost(Exception):
    """The lane has passed to another worker, which continues it."""


@dataclass(kw_only=True, slots=True)
class LaneContext:
    """One claimed lane with the data that every step of the work needs."""

    lane: Lane
    tracker: Tracker
    database: Database
    credentials: Credentials
    identity: Identity
    breaker: Breaker
    pace: Pace
    settle: Callable[[Connection, list[Settlement]], list[bool]]
    """Records settlements, in a write transaction."""
    stopping: Callable[[], bool]
    access: AccountAccess | None = None
    """Read once per claim."""
    uncommitted: list[asyncio.Task[bool]] = field(default_factory=list)
    """Settlements queued for the database and not committed yet."""
    delivered: int = 0

    def recorder(self, *, withhold: bool = False) -> Recorder:
        return Recorder(withhold=withhold, pace=self.pace.slot)


async def work(context: LaneContext) -> None:
    """Send the claimed deliveries; trouble with the whole lane ends the work early."""
    try:
        if carries_together(context):
            await send_together(context)
        else:
            await send_singly(context)
    except LeaseLost:
        log.warning(
            "A lane's lease was lost; another worker continues it.",
            action="lease_lost",
            account=context.lane.account_id,
            tracker=context.tracker.name,
        )
    finally:
        await finish_settlements(context)


async def send_singly(context: LaneContext) -> None:
    ends = time.monotonic() + LANE_TIME.total_seconds()
    rows = list(context.lane.rows)
    while rows:
        row = rows.pop(0)
        settlement = await deliver(context, row)
        if settlement.limit is not None:
            rows = [other for other in rows if kind_of_row(other) != kind_of_row(row)]
        last = not rows or context.stopping() or time.monotonic() > ends
        if last or settlement.hold is not None or settlement.park is not None:
            settlement = replace(settlement, release=True, unclaim=[other.id for other in rows])
        await record_settlement(context, settlement)
        if settlement.release:
            return


def kind_of_row(row: DeliveryRow) -> str:
    return parking.kind_of(row.action, row.mark)


async def record_settlement(context: LaneContext, settlement: Settlement) -> None:
    """Settle the delivery; raises LeaseLost if the lane has passed to another worker.

    A success in the middle of a lane does not wait for its commit: after a kill each delivery that is
    claimed is looked up at the tracker before it is sent again, whether it was sent or not. Beyond the
    lease that was claimed it waits, since another worker may have looked already.
    """
    write = context.database.write(context.settle, settlement)
    context.uncommitted.append(asyncio.create_task(write))
    context.delivered += 1
    plain = settlement.state is DeliveryState.DONE and not settlement.release
    leased = clock.now() < context.lane.leased_until
    await commit_settlements(context, MAX_UNSETTLED if plain and leased else 0)


async def commit_settlements(context: LaneContext, most: int = 0) -> None:
    """Wait until at most this many settlements are uncommitted; raises LeaseLost if one lost its lease."""
    uncommitted = context.uncommitted
    while len(uncommitted) > most or (uncommitted and uncommitted[0].done()):
        if not await uncommitted.pop(0):
            raise LeaseLost


async def finish_settlements(context: LaneContext) -> None:
    """Wait for the settlements that are still uncommitted after the work has ended early."""
    for answer in await asyncio.gather(*context.uncommitted, return_exceptions=True):
        if isinstance(answer, Exception) and not isinstance(answer, Unavailable):
            log.error(
                "A settlement could not be recorded; its delivery is looked up before it is sent again.",
                action="settle_fault",
                account=context.lane.account_id,
                exc_info=answer,
            )


async def deliver(context: LaneContext, row: DeliveryRow) -> Settlement:
    """Send one delivery and return its settlement; an unexpected error becomes a retry."""
    now = clock.now()
    if (unsent := await find_end(context, row, now)) is not None:
        state, reason = unsent
        return replace(open_settlement(context.lane, row, now), state=state, reason=reason)
    calls = context.recorder(withhold=context.lane.dry)
    started = time.monotonic()
    try:
        outcome = await send(context, row, calls, now)
    except DryRunStop as stop:
        return replace(
            open_settlement(context.lane, row, now),
            state=DeliveryState.SKIPPED,
            reason=DRY_RUN,
            outcome="skipped",
            answer=str(stop),
            exchanges=calls.exchanges,
        )
    context.breaker.record([outcome])
    took_ms = round((time.monotonic() - started) * 1000)
    settlement = settlement_of(context.lane, row, outcome, clock.now(), took_ms, calls.exchanges)
    log_attempt(context.tracker.name, row, settlement)
    return settlement


def log_attempt(tracker: str, row: DeliveryRow, settlement: Settlement) -> None:
    log.info(
        "A delivery was attempted.",
        action="deliver",
        state=settlement.state.value,
        delivery=row.id,
        webhook=row.webhook_id,
        tracker=tracker,
        what=row.action,
        reason=settlement.reason or settlement.answer,
    )


async def find_end(context: LaneContext, row: DeliveryRow, now: datetime) -> tuple[DeliveryState, str] | None:
    """The state in which the delivery ends without being sent, and why; None if it is sent."""
    if row.action in outbox.LIVE_ACTIONS and not row.mark and now - row.happened_at > retry.LIVE:
        return DeliveryState.EXPIRED, TOO_OLD
    if row.action == Action.RATE and round_rating((row.details or {}).get("rating")) is None:
        return DeliveryState.SKIPPED, NO_RATING
    if row.action in LIST_ACTIONS and await context.database.read(partial(watchlist.is_outdated, row=row)):
        return DeliveryState.SUPERSEDED, watchlist.CHANGED_AGAIN
    return None


async def send(context: LaneContext, row: DeliveryRow, calls: Recorder, now: datetime) -> Done | Undelivered:
    """Send a delivery and return its outcome; an unexpected error becomes a retry."""
    try:
        with recording(calls):
            access = await open_access(context)
            found = await identify(context, await load_remote_id(context, row, now))
            return found if isinstance(found, Undelivered) else await context.tracker.send(found, access)
    except Undelivered as decision:
        return await add_candidates(context, row, decision)
    except SettingsError as error:
        return Dead(str(error))
    except (Unavailable, DryRunStop, LeaseLost):
        raise
    except Exception as error:
        log.exception(
            "A delivery failed with an unexpected error and will be retried.",
            action="delivery_fault",
            delivery=row.id,
        )
        return retry_after_fault(error)


async def load_remote_id(context: LaneContext, row: DeliveryRow, now: datetime) -> Delivery:
    """The delivery; an undoing gets the remote id that its mark has received since."""
    delivery = delivery_of(row, now)
    undoes = (row.details or {}).get("undoes")
    if delivery.remote_id is not None or undoes is None:
        return delivery
    await commit_settlements(context)
    remote_id = await context.database.read(lambda connection: outbox.find_remote_id(connection, undoes))
    return replace(delivery, remote_id=remote_id)


async def open_access(context: LaneContext) -> AccountAccess:
    """Access to the lane's account."""
    if context.access is not None:
        return context.access
    lane, tracker = context.lane, context.tracker
    access = await context.credentials.open_access(
        lane.account_id, lane.person_id, tracker, lane.sealed_tokens
    )
    if tracker.sign_in != "none" and not access.tokens:
        raise Snooze(f"{tracker.label} is not signed in to", park=Park.SIGNED_OUT)
    context.access = access.dry() if lane.dry else access
    return context.access


async def identify(context: LaneContext, delivery: Delivery) -> Delivery | Undelivered:
    """The delivery with the ids its tracker needs, or why there are none."""
    if context.tracker.anime_ids is not None:
        return await identify_anime(context, delivery, context.tracker.anime_ids)
    kind = delivery.item.kind
    needs, wants = (ids.get(kind, ()) for ids in (context.tracker.needs, context.tracker.wants))
    if wants and not delivery.late:
        with suppress(Undelivered):
            return replace(delivery, item=await context.identity.resolve(delivery.item, wants))
    try:
        return replace(delivery, item=await context.identity.resolve(delivery.item, needs))
    except Undelivered as decision:
        return decision


async def identify_anime(
    context: LaneContext, delivery: Delivery, namespace: AnimeNamespace
) -> Delivery | Undelivered:
    """The delivery with the anime it is; what is undone is known by its handle."""
    if delivery.action is Action.UNWATCHED:
        return delivery
    try:
        return replace(delivery, anime=await context.identity.find_anime(delivery.item, namespace))
    except Undelivered as decision:
        return decision


async def add_candidates(
    context: LaneContext, row: DeliveryRow, outcome: Done | Undelivered
) -> Done | Undelivered:
    """Add candidates to an outcome without a match; others stay as they are."""
    if not isinstance(outcome, Unmatched):
        return outcome
    return await context.identity.with_candidates(item_from_json(row.item), outcome)


def delivery_of(row: DeliveryRow, now: datetime) -> Delivery:
    """A row as a tracker's delivery."""
    details = row.details or {}
    started_at = details.get("started_at")
    return Delivery(
        id=row.id,
        action=Action(row.action),
        item=item_from_json(row.item),
        at=row.happened_at,
        progress=details.get("progress"),
        estimated=bool(details.get("estimated")),
        duration_ms=details.get("duration_ms"),
        started_at=None if started_at is None else from_ms(started_at),
        mark=row.mark,
        rating=round_rating(details.get("rating")),
        dated=Dated(details.get("dated") or Dated.EXACT),
        late=is_late(row, now),
        unsure=row.unsure,
        rewatch=bool(details.get("rewatch")),
        remote_id=row.remote_id or details.get("remote_id"),
        attempts=row.attempts,
        position_ms=details.get("position_ms"),
        asked=row.job_id is not None or bool(details.get("asked")),
    )


def is_late(row: DeliveryRow, now: datetime) -> bool:
    """True for a delivery sent with its date instead of as happening now: it is old, was recorded, or is inexact."""
    details = row.details or {}
    exact = (details.get("dated") or Dated.EXACT) == Dated.EXACT
    return bool(details.get("late")) or not exact or now - row.happened_at > retry.LIVE


def retry_after_fault(error: Exception) -> Retry:
    return Retry(f"{type(error).__name__}: {error}"[:300], unsure=True, lane=False)


# --- late marks, many in one call


def carries_together(context: LaneContext) -> bool:
    """True if the lane's deliveries are late marks that one call may carry."""
    rows = context.lane.rows
    return (
        hasattr(context.tracker, "send_many")
        and not context.lane.dry
        and len(rows) > 1
        and all(row.mark and is_late(row, clock.now()) for row in rows)
    )


async def send_together(context: LaneContext) -> None:
    """Send late marks in one call, with their true times."""
    calls = context.recorder()
    outcomes = await send_rows(context, calls, clock.now())
    settled = [
        settlement_of(context.lane, row, outcome, clock.now())
        for row, outcome in zip(context.lane.rows, outcomes, strict=True)
    ]
    context.breaker.record(outcomes)
    # One call is one failure, however many it carried.
    settled = [*(replace(entry, trouble=False) for entry in settled[:-1]), settled[-1]]
    settled[0] = replace(settled[0], exchanges=calls.exchanges)
    holds = [entry.hold for entry in settled if entry.hold is not None]
    settled[-1] = replace(settled[-1], release=True, hold=max(holds, default=None))
    await asyncio.gather(*(context.database.write(context.settle, entry) for entry in settled))
    context.delivered += len(settled)
    log.info(
        "Late deliveries were sent together.",
        action="deliver_together",
        tracker=context.tracker.name,
        count=len(settled),
    )


async def send_rows(context: LaneContext, calls: Recorder, now: datetime) -> list[Done | Undelivered]:
    """Send rows in one call and return the outcome of each; a decision about the call applies to all."""
    rows = context.lane.rows
    try:
        access = await open_access(context)
        found = [await identify(context, delivery_of(row, now)) for row in rows]
        sendable = [entry for entry in found if isinstance(entry, Delivery)]
        tracker = cast(Batches, context.tracker)
        with recording(calls):
            answers = iter(await send_parts(tracker, sendable, access) if sendable else [])
        outcomes = [next(answers) if isinstance(entry, Delivery) else entry for entry in found]
        return [await add_candidates(context, row, one) for row, one in zip(rows, outcomes, strict=True)]
    except Undelivered as decision:
        return [await add_candidates(context, row, decision) for row in rows]
    except Unavailable:
        raise
    except Exception as error:
        log.exception(
            "Late deliveries failed with an unexpected error and will be retried.",
            action="delivery_fault",
            tracker=context.tracker.name,
        )
        return [retry_after_fault(error)] * len(rows)


async def send_parts(
    tracker: Batches, deliveries: Sequence[Delivery], access: Access
) -> list[Done | Undelivered]:
    """Send rows in one call and return the outcome of each; a call refused for its content is sent again in halves.

    One bad item makes the whole call fail; alone it gets its own decision, and the others are sent.
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
        except Undelivered as decision:  # the other half keeps its outcomes
            outcomes += [decision] * len(half)
    return outcomes
