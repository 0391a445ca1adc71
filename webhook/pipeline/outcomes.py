"""Outcomes of a delivery: from a tracker's answer to the settlement of the delivery and its lane."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from webhook.domain import retry
from webhook.domain.json_shapes import ExchangeJson
from webhook.domain.outcome import LIMITS, Dead, Done, Retry, Skip, Snooze, Undelivered, Unmatched
from webhook.domain.states import DeliveryState
from webhook.queues.leases import Lane
from webhook.queues.settlements import Settlement
from webhook.storage.tables import DeliveryRow


def open_settlement(
    lane: Lane,
    row: DeliveryRow,
    now: datetime,
    *,
    down: bool = False,
    up: bool = False,
    took_ms: int | None = None,
    exchanges: list[ExchangeJson] | None = None,
) -> Settlement:
    """The initial settlement of a delivery, which keeps it waiting."""
    return Settlement(
        delivery_id=row.id,
        account_id=lane.account_id,
        fence=lane.fence,
        now=now,
        state=DeliveryState.WAITING,
        attempts=row.attempts,
        due_at=row.due_at,
        answer=row.answer,
        remote_id=row.remote_id,
        unsure=row.unsure,
        down=down,
        up=up,
        took_ms=took_ms,
        exchanges=exchanges,
    )


def settlement_of(
    lane: Lane,
    row: DeliveryRow,
    outcome: Done | Undelivered,
    now: datetime,
    took_ms: int | None = None,
    exchanges: list[ExchangeJson] | None = None,
) -> Settlement:
    """The settlement that follows from an outcome, with the time that the calls took and what they were."""
    down = is_outage(outcome)
    up = lane.failures > 0 and not down
    base = open_settlement(lane, row, now, down=down, up=up, took_ms=took_ms, exchanges=exchanges)
    if isinstance(outcome, Done):
        return on_success(base, outcome)
    return on_failure(base, outcome, row, lane)


def is_outage(outcome: Done | Undelivered) -> bool:
    """True if the tracker did not answer, or said that it cannot."""
    return isinstance(outcome, Retry) and outcome.lane


def on_success(base: Settlement, done: Done) -> Settlement:
    return replace(
        base, state=DeliveryState.DONE, outcome="done", answer=done.answer, reason=done.note, unsure=False,
        attempts=base.attempts + 1, remote_id=done.remote_id or base.remote_id, clear=True,
    )  # fmt: skip


def on_failure(base: Settlement, decision: Undelivered, row: DeliveryRow, lane: Lane) -> Settlement:
    """The settlement that a decision means for the delivery and its lane."""
    base = replace(base, reason=decision.reason, answer=decision.answer or base.answer)
    match decision:
        case Retry():
            return on_retry(base, decision, row, lane)
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
            return on_end(replace(base, candidates=decision.candidates or None), DeliveryState.UNMATCHED)
        case Skip():
            return on_end(base, DeliveryState.SKIPPED)
        case Dead(resend=True):
            return replace(base, state=DeliveryState.DEAD, outcome="dead", attempts=0)
        case Dead():
            return on_end(base, DeliveryState.DEAD)
    return replace(base, state=DeliveryState.DEAD, outcome="dead")


def on_end(base: Settlement, state: DeliveryState) -> Settlement:
    """The settlement of a delivery in a final state, which is not retried by itself."""
    return replace(base, state=state, outcome=state.value, attempts=base.attempts + 1)


def on_retry(base: Settlement, decision: Retry, row: DeliveryRow, lane: Lane) -> Settlement:
    """The settlement of a delivery to retry later, or dead if it has been tried for too long."""
    attempts = base.attempts + 1
    base = replace(base, unsure=base.unsure or decision.unsure)
    if base.now - row.created_at > retry.MAX_DELIVERY_AGE:
        why = f"given up after {retry.MAX_DELIVERY_AGE.days} days and {attempts} tries: {decision.reason}"
        return on_end(replace(base, reason=why), DeliveryState.DEAD)
    pause = max(
        retry.backoff(lane.failures if decision.lane else row.attempts), decision.after or timedelta(0)
    )
    base = replace(base, outcome="retry", attempts=attempts)
    if not decision.lane:
        return replace(base, due_at=base.now + pause)
    base = replace(base, hold=base.now + pause, trouble=True)
    if not decision.suspect or attempts < retry.TRIES_IN_FRONT:
        return base
    return replace(base, due_at=base.now + max(pause, retry.backoff(attempts)), aside=True)
