"""Parked deliveries: stopped with their account or by their kind, and retried on request."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, bindparam, case, literal, or_, select, update

from webhook.domain.event import Action
from webhook.domain.outcome import LIMITS, Park
from webhook.domain.states import NEEDS_PERSON, REVIVABLE, DeliveryState
from webhook.queues.leases import wake_lanes
from webhook.storage.rows import fetch_all, fetch_one
from webhook.storage.tables import DeliveryRow, account, delivery
from webhook.storage.types import Utc


def park(connection: Connection, account_id: int, why: Park, reason: str, now: datetime) -> None:
    """Park the account until a person fixes it; its deliveries wait without attempts."""
    mine = delivery.c.account_id == account_id
    connection.execute(
        update(delivery)
        .where(mine, delivery.c.state == DeliveryState.WAITING)
        .values(state=DeliveryState.PARKED, reason=why.value, claimed=False)
    )
    values = {
        "parked": why.value,
        "parked_at": now,
        "parked_why": reason,
        "due_at": None,
        "leased_until": None,
    }
    connection.execute(update(account).where(account.c.id == account_id).values(values))


def kind_of(action: str, mark: bool) -> str:
    """A delivery's kind with regard to limits: `watched` or its action."""
    return Action.WATCHED.value if mark else action


def is_kind(kind: str) -> ColumnElement[bool]:
    if kind == Action.WATCHED.value:
        return delivery.c.mark.is_(True)
    return and_(delivery.c.mark.is_(False), delivery.c.action == kind)


def park_kind(connection: Connection, delivery_id: int, why: Park) -> None:
    """Park this delivery, whose kind the service refuses, and all waiting ones of that kind."""
    row = fetch_one(connection, select(delivery).where(delivery.c.id == delivery_id), DeliveryRow)
    alike = and_(
        delivery.c.account_id == row.account_id,
        delivery.c.state == DeliveryState.WAITING,
        is_kind(kind_of(row.action, row.mark)),
    )
    values = {"state": DeliveryState.PARKED, "reason": why.value, "claimed": False}
    connection.execute(update(delivery).where(alike).values(values))


def is_stuck() -> ColumnElement[bool]:
    """The condition that a delivery needs a person, worded like the partial index so that SQLite uses it."""
    return delivery.c.state.in_(bindparam("stuck", NEEDS_PERSON, expanding=True, literal_execute=True))


def find_limit(connection: Connection, account_id: int, kind: str) -> str | None:
    """The limit for which deliveries of this kind are parked while the account works, or None."""
    parked = and_(is_stuck(), delivery.c.state == DeliveryState.PARKED, delivery.c.account_id == account_id)
    wanted = select(delivery.c.reason).where(parked, is_kind(kind), delivery.c.reason.in_(LIMITS)).limit(1)
    return connection.execute(wanted).scalar()


def unpark(connection: Connection, account_id: int, now: datetime) -> int:
    """Unpark the account; returns the number of deliveries that waited."""
    mine = and_(delivery.c.account_id == account_id, delivery.c.state == DeliveryState.PARKED)
    connection.execute(
        update(account)
        .where(account.c.id == account_id)
        .values(parked=None, parked_at=None, parked_why=None, failures=0, failing_since=None, held_until=None)
    )
    freed = connection.execute(
        update(delivery).where(mine).values(state=DeliveryState.WAITING, reason=None)
    ).rowcount
    wake_lanes(connection, [account_id], now, now)
    return freed


def revive(connection: Connection, ids: Collection[int], now: datetime) -> int:
    """Retry deliveries, except done and waiting ones; returns how many were retried.

    Attempted ones are first looked up at the tracker. A parked one unparks those parked with it.
    """
    wanted = select(delivery).where(delivery.c.id.in_(ids), delivery.c.state.in_(REVIVABLE))
    rows = fetch_all(connection, wanted, DeliveryRow)
    together = {
        (row.account_id, kind_of(row.action, row.mark), row.reason): row
        for row in rows
        if row.state == DeliveryState.PARKED
    }
    for row in together.values():
        unpark_with(connection, row, now)
    again = [row.id for row in rows]
    # A dead one without an attempt is one that nobody could look up: whoever retries it has looked.
    asked = and_(delivery.c.state == DeliveryState.DEAD, delivery.c.attempts == 0)
    if again:
        connection.execute(
            update(delivery)
            .where(delivery.c.id.in_(again))
            .values(
                state=DeliveryState.WAITING,
                reason=None,
                attempts=0,
                due_at=case((delivery.c.happened_at > now, literal(now, Utc)), else_=delivery.c.happened_at),
                unsure=or_(and_(delivery.c.unsure, ~asked), delivery.c.attempts > 0),
                candidates=None,
                created_at=now,
            )
        )
        wake_lanes(connection, {row.account_id for row in rows}, now, now)
    return len(again)


def unpark_with(connection: Connection, row: DeliveryRow, now: datetime) -> None:
    """Unpark everything parked together with this delivery: its whole account, or its kind."""
    parked = connection.execute(select(account.c.parked).where(account.c.id == row.account_id)).scalar_one()
    if parked is not None or row.reason not in LIMITS:
        unpark(connection, row.account_id, now)
        return
    alike = and_(
        delivery.c.account_id == row.account_id,
        delivery.c.state == DeliveryState.PARKED,
        is_kind(kind_of(row.action, row.mark)),
    )
    connection.execute(update(delivery).where(alike).values(state=DeliveryState.WAITING, reason=None))
