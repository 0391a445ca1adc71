"""Settlements: results of claimed deliveries, and their consequences for lanes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, String, and_, bindparam, func, insert, select, update

from webhook.domain.json_shapes import ExchangeJson
from webhook.domain.outcome import Park
from webhook.domain.states import SETTLED, DeliveryState
from webhook.queues.leases import release_lane
from webhook.queues.parking import park, park_kind
from webhook.storage.json_shapes import CandidateJson
from webhook.storage.prepared import Prepared
from webhook.storage.rows import fetch_one
from webhook.storage.tables import DeliveryRow, account, attempt, delivery
from webhook.storage.types import Utc


@dataclass(frozen=True, kw_only=True, slots=True)
class Settlement:
    """The result of one claimed delivery, and its consequences for the lane.

    `release` gives the lane back, `hold` not before that time; `park` stops the whole account, `limit` all
    deliveries of its kind. `aside`: `due_at` is later than it was, and what follows from it waits behind it.
    `trouble` counts as a failure of the account, `clear` forgets the failures before. `down`: its tracker is, `up`: it is
    no longer.
    """

    delivery_id: int
    account_id: int
    fence: int
    now: datetime
    state: DeliveryState
    reason: str | None = None
    attempts: int = 0
    due_at: datetime | None = None
    unsure: bool = False
    answer: str | None = None
    remote_id: str | None = None
    candidates: list[CandidateJson] | None = None
    outcome: str | None = None
    took_ms: int | None = None
    exchanges: list[ExchangeJson] | None = None
    release: bool = False
    hold: datetime | None = None
    park: Park | None = None
    limit: Park | None = None
    aside: bool = False
    trouble: bool = False
    clear: bool = False
    down: bool = False
    up: bool = False
    unclaim: Sequence[int] = ()


FENCES = Prepared(
    select(account.c.id, account.c.fence).where(
        account.c.id.in_(bindparam("ids", expanding=True)), account.c.leased_until.is_not(None)
    )
)


def settle(connection: Connection, waiting: list[Settlement]) -> list[bool]:
    """Record settlements; returns False for each whose lease has passed to another worker, which changes nothing."""
    ids = list({settlement.account_id for settlement in waiting})
    fences = dict(FENCES.rows(connection, {"ids": ids}))
    valid = [fences.get(entry.account_id) == entry.fence for entry in waiting]
    claimed = [entry for entry, good in zip(waiting, valid, strict=True) if good]
    record(connection, claimed)
    for entry in claimed:
        update_lane(connection, entry)
    return valid


COPIED = ("reason", "attempts", "due_at", "unsure", "answer", "remote_id", "candidates")
SETTLE = Prepared(
    update(delivery)
    .where(delivery.c.id == bindparam("of"))
    .values(
        state=bindparam("state"),
        claimed=False,
        settled_at=bindparam("settled_at"),
        **{name: bindparam(name) for name in COPIED if name != "remote_id"},
        # A handle that was stored before the attempt stays.
        remote_id=func.coalesce(bindparam("remote_id", type_=String), delivery.c.remote_id),
    )
)
RECORD_ATTEMPT = Prepared(insert(attempt))


def record(connection: Connection, settled: Iterable[Settlement]) -> None:
    rows = [
        {
            "of": entry.delivery_id,
            "state": entry.state.value,
            "settled_at": entry.now if entry.state in SETTLED else None,
            **{name: getattr(entry, name) for name in COPIED},
        }
        for entry in settled
    ]
    attempts = [
        {
            "delivery_id": entry.delivery_id,
            "at": entry.now,
            "took_ms": entry.took_ms,
            "outcome": entry.outcome,
            "reason": entry.reason or entry.answer,
            "exchanges": entry.exchanges,
        }
        for entry in settled
        if entry.outcome
    ]
    if rows:
        SETTLE.execute_many(connection, rows)
    if attempts:
        RECORD_ATTEMPT.execute_many(connection, attempts)


MINE = account.c.id == bindparam("account")
COUNT_FAILURE = Prepared(update(account).where(MINE).values(failures=account.c.failures + 1))
BEGIN_OUTAGE = Prepared(
    update(account)
    .where(MINE, account.c.failing_since.is_(None))
    .values(failing_since=bindparam("now", type_=Utc))
)
END_OUTAGE = Prepared(update(account).where(MINE).values(failing_since=None))
UNCLAIM = Prepared(
    update(delivery).where(delivery.c.id.in_(bindparam("ids", expanding=True))).values(claimed=False)
)


def update_lane(connection: Connection, entry: Settlement) -> None:
    """Update the account and its lane according to the settlement."""
    if entry.trouble:
        COUNT_FAILURE.execute(connection, {"account": entry.account_id})
    if entry.down:
        BEGIN_OUTAGE.execute(connection, {"account": entry.account_id, "now": entry.now})
    elif entry.up:
        END_OUTAGE.execute(connection, {"account": entry.account_id})
    if entry.limit is not None:
        park_kind(connection, entry.delivery_id, entry.limit)
    if entry.aside:
        put_followers_behind(connection, entry.delivery_id)
    if entry.unclaim:
        UNCLAIM.execute(connection, {"ids": list(entry.unclaim)})
    if entry.park is not None:
        park(connection, entry.account_id, entry.park, entry.reason or "", entry.now)
    elif entry.release:
        did_well = entry.clear and not entry.trouble
        release_lane(connection, entry.account_id, entry.hold, entry.now if did_well else None)


def put_followers_behind(connection: Connection, delivery_id: int) -> None:
    """Make later deliveries of a postponed one's play or item wait for it."""
    row = fetch_one(connection, select(delivery).where(delivery.c.id == delivery_id), DeliveryRow)
    after = and_(
        delivery.c.account_id == row.account_id,
        delivery.c.state == DeliveryState.WAITING,
        delivery.c.id > row.id,
        delivery.c.due_at < row.due_at,
        delivery.c.play_id.is_(None) if row.play_id is None else delivery.c.play_id == row.play_id,
    )
    if row.play_id is None:
        others = connection.execute(select(delivery.c.id, delivery.c.item).where(after))
        after = delivery.c.id.in_([other.id for other in others if other.item == row.item])
    connection.execute(update(delivery).where(after).values(due_at=row.due_at))
