"""The outbox: put, claim, settle, revive. A lane is an account: its deliveries go out one by one, in order.

A claim only postpones: it moves the account's due time forward by a lease, which whoever works on it
renews. So the lane of a killed worker falls due again by itself, within seconds. Each claim has a number of
its own, the fence: a settlement or a renewal of an earlier claim changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    Connection,
    Row,
    and_,
    bindparam,
    case,
    func,
    insert,
    literal,
    or_,
    select,
    true,
    type_coerce,
    update,
)

from webhook.domain import retry
from webhook.domain.event import Action, Item, item_to_json
from webhook.domain.outcome import LIMITS, Park
from webhook.domain.play import VIEWING
from webhook.domain.retry import LIVE
from webhook.domain.states import NEEDS_PERSON, REVIVABLE, SETTLED, DeliveryState
from webhook.storage.db import fresh_ids
from webhook.storage.tables import account, attempt, delivery, webhook
from webhook.storage.types import Utc

LEASE = timedelta(seconds=10)
"""How long a lane stays with a worker of which nothing is heard."""

RENEWAL = LEASE / 4
"""How often a worker renews what it holds."""

WATCHING = [Action.START.value, Action.PAUSE.value, Action.STOP.value]


@dataclass(frozen=True, kw_only=True, slots=True)
class NewDelivery:
    """A delivery to be put. The same account and key are put once, however often it is asked.

    It is due when it happened, so that a lane's deliveries go out in that order, unless `due` says else.
    """

    account_id: int
    action: Action
    key: str
    item: Item
    at: datetime
    mark: bool = False
    webhook_id: int | None = None
    play_id: int | None = None
    job_id: int | None = None
    skipped: str | None = None
    due: datetime | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def live(self) -> bool:
        """Whether it says what is on now: worth nothing once it is old."""
        return self.action.value in WATCHING and not self.mark


THERE = select(delivery).where(
    delivery.c.account_id == bindparam("account"), delivery.c.key == bindparam("wanted")
)
PARKED = select(account.c.parked).where(account.c.id == bindparam("account"))
PUT = insert(delivery)


def put(connection: Connection, new: NewDelivery, now: datetime) -> int:
    """The delivery's id; it is there when this returns, now or since before."""
    row = connection.execute(THERE, {"account": new.account_id, "wanted": new.key}).first()
    if row is not None:
        return put_again(connection, row, new, now)
    parked = connection.execute(select(account.c.parked).where(account.c.id == new.account_id)).scalar_one()
    (made,) = fresh_ids(connection, delivery, 1)
    due = new.due or min(new.at, now)
    if parked is None and new.action not in VIEWING:
        parked = limit_of(connection, new.account_id, new.action.value)
    state = (
        DeliveryState.SKIPPED if new.skipped else DeliveryState.PARKED if parked else DeliveryState.WAITING
    )
    values = {
        "id": made,
        "account_id": new.account_id,
        "webhook_id": new.webhook_id,
        "play_id": new.play_id,
        "key": new.key,
        "action": new.action.value,
        "mark": new.mark,
        "happened_at": new.at,
        "item": item_to_json(new.item),
        "details": dict(new.details),
        "state": state,
        "reason": new.skipped or parked,
        "job_id": new.job_id,
        "due_at": due,
        "created_at": now,
    }
    connection.execute(PUT, values)
    if state is DeliveryState.WAITING:
        supersede(connection, new, made, now)
        call(connection, [new.account_id], due, now)
    return made


def put_again(connection: Connection, row: Row[Any], new: NewDelivery, now: datetime) -> int:
    """What was put before: mended where a filter, a rule or the item has changed, else left alone."""
    was_skipped = row.state == DeliveryState.SKIPPED and not new.skipped
    better = row.state == DeliveryState.UNMATCHED and row.item != item_to_json(new.item)
    if was_skipped or better:
        values: dict[str, Any] = {"item": item_to_json(new.item), "details": dict(new.details)}
        values["job_id"] = new.job_id or row.job_id
        connection.execute(update(delivery).where(delivery.c.id == row.id).values(values))
        revive(connection, [row.id], now)
    return int(row.id)


SUPERSEDE = (
    update(delivery)
    .where(
        delivery.c.account_id == bindparam("account"),
        delivery.c.state == DeliveryState.WAITING,
        delivery.c.due_at > bindparam("since", type_=Utc),
        delivery.c.happened_at <= bindparam("at", type_=Utc),
        delivery.c.mark.is_(False),
        delivery.c.claimed.is_(False),
        delivery.c.action.in_(WATCHING),
        delivery.c.id != bindparam("made"),
        or_(
            delivery.c.play_id == bindparam("of_play"),
            and_(bindparam("starts", type_=Boolean), delivery.c.action == Action.START.value),
        ),
    )
    .values(state=DeliveryState.SUPERSEDED, reason=bindparam("why"), settled_at=bindparam("now", type_=Utc))
)


def supersede(connection: Connection, new: NewDelivery, made: int, now: datetime) -> None:
    """What is on now replaces what was said before of the same play, and any older start."""
    if not (new.live or new.mark) or new.play_id is None:
        return
    connection.execute(
        SUPERSEDE,
        {
            "account": new.account_id,
            "since": now - LIVE,
            "at": new.at,
            "made": made,
            "of_play": new.play_id,
            "starts": new.action is Action.START,
            "why": f"replaced by delivery {made}",
            "now": now,
        },
    )


CALL = (
    update(account)
    .where(
        account.c.id.in_(bindparam("ids", expanding=True)),
        account.c.parked.is_(None),
        or_(account.c.leased_until.is_(None), account.c.leased_until <= bindparam("now", type_=Utc)),
        or_(account.c.due_at.is_(None), account.c.due_at > bindparam("due", type_=Utc)),
    )
    .values(due_at=bindparam("due", type_=Utc))
)


def call(connection: Connection, account_ids: Collection[int], due: datetime, now: datetime) -> None:
    """Let the accounts' lanes fall due by then. A lane under lease finds out when it is released."""
    connection.execute(CALL, {"ids": list(account_ids), "due": due, "now": now})


# --- claim


@dataclass(frozen=True, slots=True)
class Batch:
    """How many deliveries a lane takes at once: of fresh ones, and of late ones when nothing is fresh."""

    fresh: int
    late: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaimRequest:
    """What a dispatcher is ready for: so many lanes, and of each tracker so many deliveries a lane."""

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
    failures: int
    dry: bool
    rows: Sequence[Row[Any]]


def claim(connection: Connection, waiting: list[ClaimRequest]) -> list[list[Lane]]:
    return [claim_one(connection, request) for request in waiting]


def claim_one(connection: Connection, request: ClaimRequest) -> list[Lane]:
    now = request.now
    free = (
        select(account.c.id)
        .where(
            account.c.due_at <= now,
            account.c.tracker.in_(list(request.batch)),
            or_(account.c.held_until.is_(None), account.c.held_until <= now),
        )
        .order_by(account.c.due_at)
        .limit(request.lanes)
        .with_for_update(skip_locked=True)
    )
    until = now + request.lease
    taken = connection.execute(
        update(account)
        .where(account.c.id.in_(free))
        .values(due_at=until, leased_until=until, fence=account.c.fence + 1)
        .returning(account)
    ).all()
    lanes = [lane for row in taken if (lane := headed(connection, row, request))]
    claimed = [row.id for lane in lanes for row in lane.rows]
    if claimed:
        connection.execute(update(delivery).where(delivery.c.id.in_(claimed)).values(claimed=True))
    return lanes


def headed(connection: Connection, row: Row[Any], request: ClaimRequest) -> Lane | None:
    """The lane with what is first in it; None, and released, where nothing is due."""
    batch = request.batch[row.tracker]
    heads = first(connection, row.id, request.now, batch)
    if any(head.claimed for head in heads):
        put_off_in_hand(connection, delivery.c.account_id == row.id, request.now)
        heads = first(connection, row.id, request.now, batch)
    if undoings(heads):
        put_behind_marks(connection, heads)
        heads = first(connection, row.id, request.now, batch)
    if not heads:
        release(connection, row.id, request.now)
        return None
    return Lane(
        account_id=row.id,
        person_id=row.person_id,
        tracker=row.tracker,
        fence=row.fence,
        failures=row.failures,
        dry=bool((row.rules or {}).get("dry_run")),
        rows=heads,
    )


def put_off_in_hand(connection: Connection, of: ColumnElement[bool], now: datetime) -> None:
    """Put off what a worker had in hand when it was killed: it may have arrived.

    It is looked up before it is sent again, and not before the tracker has had the time to record it.
    """
    in_hand = and_(of, delivery.c.claimed.is_(True), delivery.c.state == DeliveryState.WAITING)
    values = {"claimed": False, "unsure": True, "due_at": literal(now + retry.GATEWAY, Utc)}
    connection.execute(update(delivery).where(in_hand).values(values))


# Built once: putting a statement together costs more than running it.
WAITING = (
    select(delivery)
    .where(delivery.c.account_id == bindparam("account"), delivery.c.state == DeliveryState.WAITING)
    .order_by(delivery.c.due_at, delivery.c.id)
    .limit(bindparam("count"))
)
FRESH = WAITING.where(delivery.c.due_at > bindparam("cutoff"), delivery.c.due_at <= bindparam("now"))
LATE = WAITING.where(delivery.c.due_at <= bindparam("cutoff"))


def first(connection: Connection, account_id: int, now: datetime, batch: Batch) -> list[Row[Any]]:
    """The deliveries at the head, the oldest first: of what is fresh, and only then of what is late."""
    wanted = {"account": account_id, "now": now, "cutoff": now - LIVE}
    fresh = list(connection.execute(FRESH, {**wanted, "count": batch.fresh}))
    return fresh or list(connection.execute(LATE, {**wanted, "count": batch.late}))


def undoings(rows: Sequence[Row[Any]]) -> list[Row[Any]]:
    """Those that undo a mark which had not gone out when they were put."""
    return [row for row in rows if row.details.get("undoes") and not row.details.get("remote_id")]


def put_behind_marks(connection: Connection, rows: Sequence[Row[Any]]) -> None:
    """What undoes a mark that is put off, and what is to be told of its play after that, waits for the mark."""
    for row in undoings(rows):
        of = and_(delivery.c.id == row.details["undoes"], delivery.c.state == DeliveryState.WAITING)
        due = connection.execute(select(delivery.c.due_at).where(of)).scalar()
        if due is not None:
            behind = and_(
                delivery.c.account_id == row.account_id,
                delivery.c.play_id == row.play_id,
                delivery.c.state == DeliveryState.WAITING,
                delivery.c.id >= row.id,
            )
            connection.execute(update(delivery).where(behind).values(due_at=due))


NEXT = select(func.min(delivery.c.due_at)).where(
    delivery.c.account_id == bindparam("account"), delivery.c.state == DeliveryState.WAITING
)
RELEASE = (
    update(account)
    .where(account.c.id == bindparam("account"))
    .values(
        due_at=bindparam("due"),
        leased_until=None,
        held_until=func.coalesce(bindparam("hold", type_=Utc), account.c.held_until),
    )
)


def release(connection: Connection, account_id: int, now: datetime, hold: datetime | None = None) -> None:
    """Give the lane back: it falls due again with the first delivery that waits in it."""
    due = connection.execute(NEXT, {"account": account_id}).scalar_one()
    connection.execute(RELEASE, {"account": account_id, "due": due, "hold": hold})


# --- renew


@dataclass(frozen=True, kw_only=True, slots=True)
class Renewal:
    """A claim that its worker still works on, and until when it is to hold."""

    account_id: int
    fence: int
    until: datetime


RENEW = (
    update(account)
    .where(
        account.c.id == bindparam("of"),
        account.c.fence == bindparam("claim"),
        account.c.leased_until.is_not(None),
    )
    .values(due_at=bindparam("until", type_=Utc), leased_until=bindparam("until", type_=Utc))
)


def renew(connection: Connection, waiting: list[Renewal]) -> list[None]:
    """Let each lease go on; one that has passed to another, or was given back, stays as it is."""
    connection.execute(
        RENEW, [{"of": entry.account_id, "claim": entry.fence, "until": entry.until} for entry in waiting]
    )
    return [None] * len(waiting)


# --- settle


@dataclass(frozen=True, kw_only=True, slots=True)
class Settlement:
    """What became of one claimed delivery, and what follows for its lane.

    `release` gives the lane back, `hold` not before that time; `park` stops the whole account, `limit` all
    deliveries of its kind. `aside`: `due_at` is later than it was, and what follows from it waits behind it.
    `trouble` counts as a failure of the account, `clear` forgets the failures before.
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
    candidates: list[Any] | None = None
    outcome: str | None = None
    took_ms: int | None = None
    exchanges: list[Any] | None = None
    release: bool = False
    hold: datetime | None = None
    park: Park | None = None
    limit: Park | None = None
    aside: bool = False
    trouble: bool = False
    clear: bool = False
    unclaim: Sequence[int] = ()


def settle(connection: Connection, waiting: list[Settlement]) -> list[bool]:
    """Whether each was recorded: a settlement of a claim that has passed to another changes nothing."""
    ids = {settlement.account_id for settlement in waiting}
    leased = select(account.c.id, account.c.fence).where(
        account.c.id.in_(ids), account.c.leased_until.is_not(None)
    )
    fences = dict(connection.execute(leased).all())
    valid = [fences.get(entry.account_id) == entry.fence for entry in waiting]
    held = [entry for entry, good in zip(waiting, valid, strict=True) if good]
    record(connection, held)
    for entry in held:
        follow_up(connection, entry)
    return valid


SETTLE = (
    update(delivery)
    .where(delivery.c.id == bindparam("of"))
    .values(
        state=bindparam("state"),
        reason=bindparam("reason"),
        attempts=bindparam("attempts"),
        due_at=bindparam("due_at"),
        unsure=bindparam("unsure"),
        claimed=False,
        answer=bindparam("answer"),
        remote_id=bindparam("remote_id"),
        candidates=bindparam("candidates"),
        settled_at=bindparam("settled_at"),
    )
)


TRY = insert(attempt)


def record(connection: Connection, settled: Iterable[Settlement]) -> None:
    rows = [
        {
            "of": entry.delivery_id,
            "settled_at": entry.now if entry.state in SETTLED else None,
            **{
                name: getattr(entry, name)
                for name in (
                    "state",
                    "reason",
                    "attempts",
                    "due_at",
                    "unsure",
                    "answer",
                    "remote_id",
                    "candidates",
                )
            },
        }
        for entry in settled
    ]
    tries = [
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
        connection.execute(SETTLE, rows)
    if tries:
        connection.execute(TRY, tries)


def follow_up(connection: Connection, entry: Settlement) -> None:
    """What the settlement means for its account."""
    values: dict[str, Any] = {}
    if entry.clear:
        values |= {"failures": 0, "last_done_at": entry.now}
    if entry.trouble:
        values["failures"] = account.c.failures + 1
    if values and not (entry.clear and not entry.release):
        connection.execute(update(account).where(account.c.id == entry.account_id).values(values))
    if entry.limit is not None:
        park_kind(connection, entry.delivery_id, entry.limit)
    if entry.aside:
        keep_behind(connection, entry.delivery_id)
    if entry.unclaim:
        connection.execute(update(delivery).where(delivery.c.id.in_(entry.unclaim)).values(claimed=False))
    if entry.park is not None:
        park(connection, entry.account_id, entry.park, entry.reason or "", entry.now)
    elif entry.release:
        release(connection, entry.account_id, entry.now, entry.hold)


# --- park and revive


def park(connection: Connection, account_id: int, why: Park, reason: str, now: datetime) -> None:
    """Stop the account until a person mends it; what waits in its lane waits without attempts."""
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


def kind_of(row: Row[Any]) -> str:
    """The kind of call that a delivery is, as far as limits go: `watched` or its action."""
    return Action.WATCHED.value if row.mark else str(row.action)


def is_kind(kind: str) -> ColumnElement[bool]:
    if kind == Action.WATCHED.value:
        return delivery.c.mark.is_(True)
    return and_(delivery.c.mark.is_(False), delivery.c.action == kind)


def park_kind(connection: Connection, delivery_id: int, why: Park) -> None:
    """Park what the account's service refuses: this delivery and all of its kind that wait with it."""
    row = connection.execute(select(delivery).where(delivery.c.id == delivery_id)).one()
    connection.execute(
        update(delivery)
        .where(
            delivery.c.account_id == row.account_id,
            delivery.c.state == DeliveryState.WAITING,
            is_kind(kind_of(row)),
        )
        .values(state=DeliveryState.PARKED, reason=why.value, claimed=False)
    )


def is_stuck() -> ColumnElement[bool]:
    """Said in the very words of the index of these, so that SQLite takes it."""
    return delivery.c.state.in_(bindparam("stuck", NEEDS_PERSON, expanding=True, literal_execute=True))


def limit_of(connection: Connection, account_id: int, kind: str) -> str | None:
    """Why deliveries of this kind are parked though the account works; None where they are not."""
    parked = and_(is_stuck(), delivery.c.state == DeliveryState.PARKED, delivery.c.account_id == account_id)
    wanted = select(delivery.c.reason).where(parked, is_kind(kind), delivery.c.reason.in_(LIMITS)).limit(1)
    return connection.execute(wanted).scalar()


def keep_behind(connection: Connection, delivery_id: int) -> None:
    """Let what was put after a delivery that steps aside, of its play or its item, wait for it."""
    row = connection.execute(select(delivery).where(delivery.c.id == delivery_id)).one()
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


def unpark(connection: Connection, account_id: int, now: datetime) -> int:
    """Let the account go on; how many deliveries waited."""
    mine = and_(delivery.c.account_id == account_id, delivery.c.state == DeliveryState.PARKED)
    connection.execute(
        update(account)
        .where(account.c.id == account_id)
        .values(parked=None, parked_at=None, parked_why=None, failures=0, held_until=None)
    )
    freed = connection.execute(
        update(delivery).where(mine).values(state=DeliveryState.WAITING, reason=None)
    ).rowcount
    call(connection, [account_id], now, now)
    return freed


def revive(connection: Connection, ids: Collection[int], now: datetime) -> int:
    """Try these deliveries again, done and waiting ones left alone; how many that were.

    What was tried before is looked up at the tracker first. A parked one takes along what is parked with it.
    """
    wanted = select(delivery).where(delivery.c.id.in_(ids), delivery.c.state.in_(REVIVABLE))
    rows = connection.execute(wanted).all()
    together = {
        (row.account_id, kind_of(row), row.reason): row for row in rows if row.state == DeliveryState.PARKED
    }
    for row in together.values():
        free(connection, row, now)
    again = [row.id for row in rows]
    if again:
        connection.execute(
            update(delivery)
            .where(delivery.c.id.in_(again))
            .values(
                state=DeliveryState.WAITING,
                reason=None,
                attempts=0,
                due_at=case((delivery.c.happened_at > now, literal(now, Utc)), else_=delivery.c.happened_at),
                unsure=or_(delivery.c.unsure, delivery.c.attempts > 0),
                candidates=None,
                created_at=now,
            )
        )
        call(connection, {row.account_id for row in rows}, now, now)
    return len(again)


def free(connection: Connection, row: Row[Any], now: datetime) -> None:
    """Let what is parked together with this delivery go on: its whole account, or its kind."""
    parked = connection.execute(select(account.c.parked).where(account.c.id == row.account_id)).scalar_one()
    if parked is not None or row.reason not in LIMITS:
        unpark(connection, row.account_id, now)
        return
    same = and_(delivery.c.account_id == row.account_id, delivery.c.state == DeliveryState.PARKED)
    connection.execute(
        update(delivery).where(same, is_kind(kind_of(row))).values(state=DeliveryState.WAITING, reason=None)
    )


def handle_of(connection: Connection, delivery_id: int) -> str | None:
    """What the service calls that which this delivery made there."""
    return connection.execute(select(delivery.c.remote_id).where(delivery.c.id == delivery_id)).scalar()


def supersede_one(connection: Connection, delivery_id: int, why: str, now: datetime) -> None:
    values = {"state": DeliveryState.SUPERSEDED, "reason": why, "settled_at": now}
    connection.execute(update(delivery).where(delivery.c.id == delivery_id).values(values))


def release_key(connection: Connection, delivery_id: int, edit_id: int) -> None:
    """Let the same be told again: the key of a mark that was taken back is consumed no longer."""
    was = delivery.c.key.concat(f":before-edit-{edit_id}")
    connection.execute(update(delivery).where(delivery.c.id == delivery_id).values(key=was))


def withdraw(connection: Connection, job_id: int, now: datetime) -> int:
    """Take back what a job has put and nobody has claimed, so that another may put it; how many that were."""
    mine = and_(
        delivery.c.job_id == job_id,
        delivery.c.state.in_((DeliveryState.WAITING, DeliveryState.PARKED, DeliveryState.UNMATCHED)),
        delivery.c.claimed.is_(False),
    )
    values = {"state": DeliveryState.SUPERSEDED, "reason": "its backfill was cancelled", "settled_at": now}
    values["key"] = delivery.c.key.concat(f":before-cancel-{job_id}")
    return connection.execute(update(delivery).where(mine).values(values)).rowcount


def of_job(connection: Connection, job_id: int) -> dict[str, int]:
    """How many of a job's deliveries there are in each state."""
    wanted = select(delivery.c.state, func.count()).where(delivery.c.job_id == job_id)
    return {row[0]: row[1] for row in connection.execute(wanted.group_by(delivery.c.state))}


def expire(connection: Connection, now: datetime) -> int:
    """Give up what was worth telling only live and waits since too long; how many that were."""
    old = and_(
        delivery.c.state.in_((DeliveryState.WAITING, DeliveryState.PARKED)), delivery.c.mark.is_(False)
    )
    gone = connection.execute(
        update(delivery)
        .where(
            old,
            delivery.c.action.in_(WATCHING),
            delivery.c.happened_at < now - LIVE,
            delivery.c.claimed.is_(False),
        )
        .values(
            state=DeliveryState.EXPIRED, reason="it said what was on then; too old to be told", settled_at=now
        )
    )
    return gone.rowcount


def forget_leases(connection: Connection, now: datetime) -> None:
    """At start, where only one process can be here (SQLite): lanes of a killed one are free at once."""
    put_off_in_hand(connection, true(), now)
    stale = account.c.leased_until.is_not(None)
    due = select(func.min(delivery.c.due_at)).where(
        delivery.c.account_id == account.c.id, delivery.c.state == DeliveryState.WAITING
    )
    connection.execute(update(account).where(stale).values(leased_until=None, due_at=due.scalar_subquery()))


LAST_SEEN = (
    select(webhook.c.received_at).order_by(webhook.c.id.desc()).limit(1),
    select(attempt.c.at).order_by(attempt.c.id.desc()).limit(1),
)


def set_back(connection: Connection, now: datetime) -> timedelta:
    """How far the clock lies behind what was last recorded by it; zero where it does not."""
    seen = [moment for wanted in LAST_SEEN if (moment := connection.execute(wanted).scalar()) is not None]
    return max(max(seen, default=now) - now, timedelta(0))


def bring_forward(connection: Connection, by: timedelta, now: datetime) -> None:
    """After the clock was set back: what waits for a time waits no longer than it was meant to."""
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


def next_due(connection: Connection, trackers: Collection[str]) -> datetime | None:
    """When the next lane falls due, or None when nothing waits."""
    mine = select(account.c.due_at, account.c.held_until).where(
        account.c.due_at.is_not(None), account.c.tracker.in_(list(trackers))
    )
    times = [max(row.due_at, row.held_until or row.due_at) for row in connection.execute(mine)]
    return min(times, default=None)
