"""Claims of lanes. A lane is an account: its deliveries go out one by one, in order.

A claim only postpones: it moves the account's due time forward by a lease, which its worker renews. So
the lane of a killed worker falls due again by itself, within seconds. Each claim has a number of its own,
the fence: a settlement or a renewal of an earlier claim changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import takewhile

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    and_,
    bindparam,
    case,
    func,
    literal,
    or_,
    select,
    true,
    type_coerce,
    update,
)

from webhook.domain import retry
from webhook.domain.retry import LIVE
from webhook.domain.states import DeliveryState
from webhook.storage.prepared import Prepared, inline
from webhook.storage.rows import fetch_all
from webhook.storage.tables import AccountRow, DeliveryRow, account, attempt, delivery, webhook
from webhook.storage.types import Utc

LEASE = timedelta(seconds=10)
"""The time a lane stays with a worker that does not renew its lease."""

RENEWAL_INTERVAL = LEASE / 4


@dataclass(frozen=True, slots=True)
class Batch:
    """Batch sizes of a lane: for fresh deliveries, and for late ones when none is fresh."""

    fresh: int
    late: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaimRequest:
    """A dispatcher's free lanes, and the size of a batch for each tracker it may send to."""

    now: datetime
    lanes: int
    batch: Mapping[str, Batch]
    lease: timedelta = LEASE


@dataclass(frozen=True, kw_only=True, slots=True)
class Lane:
    """A claimed account with the deliveries at the head of its lane."""

    account_id: int
    person_id: int
    tracker: str
    fence: int
    leased_until: datetime
    failures: int
    dry: bool
    sealed_tokens: str | None
    """The account's sign-in as it was when the lane was claimed."""
    rows: Sequence[DeliveryRow]


class Claim(list[Lane]):
    """The claimed lanes, and the time at which the next one falls due, if something waits."""

    def __init__(self, lanes: Iterable[Lane] = (), next_due: datetime | None = None) -> None:
        super().__init__(lanes)
        self.next_due = next_due


# Built once, here and below: building a statement costs more than executing it.
FREE_ACCOUNTS = (
    select(account.c.id)
    .where(
        account.c.due_at <= bindparam("now", type_=Utc),
        account.c.tracker.in_(bindparam("trackers", expanding=True)),
        or_(account.c.held_until.is_(None), account.c.held_until <= bindparam("now", type_=Utc)),
    )
    .order_by(account.c.due_at)
    .limit(bindparam("lanes"))
    .with_for_update(skip_locked=True)
    # PostgreSQL may run a subquery again for each row, and then it would lock and claim more than `lanes`.
    .cte("free")
    .prefix_with("MATERIALIZED", dialect="postgresql")
)
CLAIM_ACCOUNTS = Prepared(
    update(account)
    .where(account.c.id.in_(select(FREE_ACCOUNTS.c.id)))
    .values(
        due_at=bindparam("until", type_=Utc),
        leased_until=bindparam("until", type_=Utc),
        fence=account.c.fence + 1,
    )
    .returning(account)
)
FREE_DELIVERIES = (
    select(delivery.c.id)
    .where(
        delivery.c.id.in_(bindparam("ids", expanding=True)),
        delivery.c.state == inline(DeliveryState.WAITING.value),
    )
    .with_for_update(skip_locked=True)  # an interpreter in another process may be superseding one
    .cte("free_deliveries")
    .prefix_with("MATERIALIZED", dialect="postgresql")
)
CLAIM_DELIVERIES = Prepared(
    update(delivery)
    .where(delivery.c.id.in_(select(FREE_DELIVERIES.c.id)))
    .values(claimed=True)
    .returning(delivery.c.id)
)
UNCLAIM_DELIVERIES = Prepared(
    update(delivery).where(delivery.c.id.in_(bindparam("ids", expanding=True))).values(claimed=False)
)


def claim_lanes(connection: Connection, request: ClaimRequest) -> list[Lane]:
    wanted = {
        "now": request.now,
        "trackers": list(request.batch),
        "lanes": request.lanes,
        "until": request.now + request.lease,
    }
    rows = fetch_all(connection, CLAIM_ACCOUNTS, AccountRow, wanted)
    lanes = [lane for row in rows if (lane := fetch_lane(connection, row, request))]
    ids = [row.id for lane in lanes for row in lane.rows]
    claimed = set(CLAIM_DELIVERIES.scalars(connection, {"ids": ids})) if ids else set()
    return [kept for lane in lanes if (kept := cut_lane(connection, lane, claimed))]


def cut_lane(connection: Connection, lane: Lane, claimed: Collection[int]) -> Lane | None:
    """The lane up to the first delivery that could not be claimed; released, and None, if that is its head."""
    kept = list(takewhile(lambda row: row.id in claimed, lane.rows))
    if len(kept) == len(lane.rows):
        return lane
    if behind := [row.id for row in lane.rows[len(kept) :] if row.id in claimed]:
        UNCLAIM_DELIVERIES.execute(connection, {"ids": behind})
    if kept:
        return replace(lane, rows=kept)
    release_lane(connection, lane.account_id)
    return None


def fetch_lane(connection: Connection, row: AccountRow, request: ClaimRequest) -> Lane | None:
    """The lane with the deliveries at its head; released, and None, if nothing is due or may be sent yet."""
    batch = request.batch[row.tracker]
    heads = fetch_heads(connection, row.id, request.now, batch)
    if any(head.claimed for head in heads):
        hold_in_hand(connection, delivery.c.account_id == row.id, request.now)
        release_lane(connection, row.id)
        return None
    if find_undoings(heads):
        put_behind_marks(connection, heads)
        heads = fetch_heads(connection, row.id, request.now, batch)
    if not heads:
        release_lane(connection, row.id)
        return None
    return Lane(
        account_id=row.id,
        person_id=row.person_id,
        tracker=row.tracker,
        fence=row.fence,
        leased_until=request.now + request.lease,
        failures=row.failures,
        dry=bool((row.rules or {}).get("dry_run")),
        sealed_tokens=row.tokens,
        rows=heads,
    )


def hold_in_hand(connection: Connection, condition: ColumnElement[bool], now: datetime) -> None:
    """Hold the lanes of which a killed worker was sending something, which may have arrived.

    It is looked up before it is sent again, and not before the tracker has had the time to record it. Until then
    the whole lane waits, since what was heard later must not go before it.
    """
    in_hand = and_(condition, delivery.c.claimed.is_(True), delivery.c.state == DeliveryState.WAITING)
    until = literal(now + retry.UNSURE_PAUSE, Utc)
    sooner = or_(account.c.held_until.is_(None), account.c.held_until < until)
    held = account.c.id.in_(select(delivery.c.account_id).where(in_hand))
    connection.execute(update(account).where(held, sooner).values(held_until=until))
    connection.execute(update(delivery).where(in_hand).values(claimed=False, unsure=True))


WAITING = (
    select(delivery)
    .where(
        delivery.c.account_id == bindparam("account"), delivery.c.state == inline(DeliveryState.WAITING.value)
    )
    .order_by(delivery.c.due_at, delivery.c.id)
    .limit(bindparam("count"))
)
FRESH_HEADS = Prepared(
    WAITING.where(delivery.c.due_at > bindparam("cutoff"), delivery.c.due_at <= bindparam("now"))
)
LATE_HEADS = Prepared(WAITING.where(delivery.c.due_at <= bindparam("cutoff")))


def fetch_heads(connection: Connection, account_id: int, now: datetime, batch: Batch) -> list[DeliveryRow]:
    """The due deliveries at the head of a lane, oldest first: the fresh ones, else the late ones."""
    wanted = {"account": account_id, "now": now, "cutoff": now - LIVE}
    fresh = fetch_all(connection, FRESH_HEADS, DeliveryRow, {**wanted, "count": batch.fresh})
    return fresh or fetch_all(connection, LATE_HEADS, DeliveryRow, {**wanted, "count": batch.late})


def find_undoings(rows: Sequence[DeliveryRow]) -> list[DeliveryRow]:
    """The undoings of marks that had not been sent when they were enqueued."""
    return [row for row in rows if row.details.get("undoes") and not row.details.get("remote_id")]


def put_behind_marks(connection: Connection, rows: Sequence[DeliveryRow]) -> None:
    """Make each undoing of a postponed mark, and the later deliveries of its play, wait for the mark."""
    for row in find_undoings(rows):
        mark = and_(delivery.c.id == row.details["undoes"], delivery.c.state == DeliveryState.WAITING)
        due = connection.execute(select(delivery.c.due_at).where(mark)).scalar()
        if due is not None:
            behind = and_(
                delivery.c.account_id == row.account_id,
                delivery.c.play_id == row.play_id,
                delivery.c.state == DeliveryState.WAITING,
                delivery.c.id >= row.id,
            )
            connection.execute(update(delivery).where(behind).values(due_at=due))


FIRST_DUE = (
    select(func.min(delivery.c.due_at))
    .where(delivery.c.account_id == account.c.id, delivery.c.state == inline(DeliveryState.WAITING.value))
    .scalar_subquery()
)
RELEASED = (
    update(account)
    .where(account.c.id == bindparam("account"))
    .values(
        due_at=FIRST_DUE,
        leased_until=None,
        held_until=func.coalesce(bindparam("hold", type_=Utc), account.c.held_until),
    )
)
RELEASE = Prepared(RELEASED)
RELEASE_WELL = Prepared(RELEASED.values(failures=0, last_done_at=bindparam("done_at", type_=Utc)))


def release_lane(
    connection: Connection, account_id: int, hold: datetime | None = None, done_at: datetime | None = None
) -> None:
    """Release the lane, which is due again with its first waiting delivery; `done_at` forgets its failures."""
    release = RELEASE if done_at is None else RELEASE_WELL
    release.execute(connection, {"account": account_id, "hold": hold, "done_at": done_at})


WAKE = Prepared(
    update(account)
    .where(
        account.c.id.in_(bindparam("ids", expanding=True)),
        account.c.parked.is_(None),
        or_(account.c.leased_until.is_(None), account.c.leased_until <= bindparam("now", type_=Utc)),
        or_(account.c.due_at.is_(None), account.c.due_at > bindparam("due", type_=Utc)),
    )
    .values(due_at=bindparam("due", type_=Utc))
)


def wake_lanes(connection: Connection, account_ids: Collection[int], due: datetime, now: datetime) -> None:
    """Make the accounts' lanes due by then; a leased lane learns of it on release."""
    WAKE.execute(connection, {"ids": list(account_ids), "due": due, "now": now})


FIRST_WAITING = (
    select(delivery.c.account_id, func.min(delivery.c.due_at).label("due"))
    .where(delivery.c.state == inline(DeliveryState.WAITING.value))
    .group_by(delivery.c.account_id)
    .subquery()
)
FORGOTTEN = Prepared(
    select(account.c.id, FIRST_WAITING.c.due)
    .join(FIRST_WAITING, FIRST_WAITING.c.account_id == account.c.id)
    .where(
        account.c.leased_until.is_(None),
        account.c.parked.is_(None),
        or_(account.c.due_at.is_(None), account.c.due_at > FIRST_WAITING.c.due),
    )
    .order_by(account.c.id)
)


def wake_forgotten(connection: Connection, moments: list[datetime]) -> list[int]:
    """Wake the lanes that were released by one process while another enqueued for them; returns their number.

    On PostgreSQL neither of the two sees what the other has not committed.
    """
    found = FORGOTTEN.rows(connection, {})
    for account_id, due in found:
        wake_lanes(connection, [account_id], due, max(moments))
    return [len(found)] * len(moments)


HELD_LONGER = account.c.held_until > account.c.due_at
NEXT_DUE = Prepared(
    select(func.min(case((HELD_LONGER, account.c.held_until), else_=account.c.due_at))).where(
        account.c.due_at <= bindparam("until", type_=Utc),
        account.c.tracker.in_(bindparam("trackers", expanding=True)),
    )
)


def find_next_due(connection: Connection, trackers: Collection[str], until: datetime) -> datetime | None:
    """The time at which the next lane may be claimed; None if none falls due until then."""
    due: datetime | None = NEXT_DUE.scalar(connection, {"trackers": list(trackers), "until": until})
    return due


# --- renewals


@dataclass(frozen=True, kw_only=True, slots=True)
class Renewal:
    """A claim still in progress, and the new end of its lease."""

    account_id: int
    fence: int
    until: datetime


RENEW = Prepared(
    update(account)
    .where(
        account.c.id == bindparam("of"),
        account.c.fence == bindparam("claim"),
        account.c.leased_until.is_not(None),
    )
    .values(due_at=bindparam("until", type_=Utc), leased_until=bindparam("until", type_=Utc))
)


def renew_leases(connection: Connection, waiting: list[Renewal]) -> list[None]:
    """Extend leases; one that has passed to another worker or was released stays as it is."""
    RENEW.execute_many(
        connection,
        [{"of": entry.account_id, "claim": entry.fence, "until": entry.until} for entry in waiting],
    )
    return [None] * len(waiting)


def drop_leases(connection: Connection, now: datetime) -> None:
    """Free the lanes of a killed process at startup on SQLite, where only one process can run."""
    hold_in_hand(connection, true(), now)
    stale = account.c.leased_until.is_not(None)
    connection.execute(update(account).where(stale).values(leased_until=None, due_at=FIRST_DUE))


# --- a clock that was set back

LAST_RECORDED = (
    select(webhook.c.received_at).order_by(webhook.c.id.desc()).limit(1),
    select(attempt.c.at).order_by(attempt.c.id.desc()).limit(1),
)


def measure_set_back(connection: Connection, now: datetime) -> timedelta:
    """The time by which the clock lies behind the latest recorded one; zero if it does not."""
    times = [
        moment for wanted in LAST_RECORDED if (moment := connection.execute(wanted).scalar()) is not None
    ]
    return max(max(times, default=now) - now, timedelta(0))


def bring_forward(connection: Connection, by: timedelta, now: datetime) -> None:
    """Move due times back after the clock was set back, so that waits keep their length."""
    ms = by // timedelta(milliseconds=1)
    for column in (account.c.leased_until, account.c.held_until, account.c.due_at, delivery.c.due_at):
        sooner = func.max if connection.dialect.name == "sqlite" else func.greatest
        ahead = (
            and_(column > now, delivery.c.state == DeliveryState.WAITING)
            if column.table is delivery
            else column > now
        )
        values = {
            column.name: sooner(literal(now, Utc), type_coerce(type_coerce(column, BigInteger) - ms, Utc))
        }
        connection.execute(update(column.table).where(ahead).values(values))
