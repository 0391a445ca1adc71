"""The outbox: one row per delivery, enqueued once per account and key."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Boolean, Connection, and_, bindparam, exists, func, insert, or_, select, text, update
from typing_extensions import TypedDict

from webhook.domain.advance import VIEWING_ACTIONS
from webhook.domain.event import Action, Item, item_to_json
from webhook.domain.json_shapes import ItemJson
from webhook.domain.retry import LIVE
from webhook.domain.states import OPEN_STATES, DeliveryState
from webhook.queues.leases import wake_lanes
from webhook.queues.parking import find_limit, revive
from webhook.storage.db import fresh_ids
from webhook.storage.json_shapes import DetailsJson
from webhook.storage.prepared import Prepared
from webhook.storage.rows import fetch_all
from webhook.storage.tables import account, delivery
from webhook.storage.types import Utc

LIVE_ACTIONS = [Action.START.value, Action.PAUSE.value, Action.STOP.value]
"""The live actions; a stop that is a watched mark is more than that."""

REPLACED = "replaced by delivery {delivery_id}"


@dataclass(frozen=True, kw_only=True, slots=True)
class NewDelivery:
    """A delivery to enqueue; the same account and key are enqueued only once.

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
    details: DetailsJson = field(default_factory=DetailsJson)

    @property
    def live(self) -> bool:
        """True for a live delivery, which is useless once it is old."""
        return self.action.value in LIVE_ACTIONS and not self.mark


class FoundDelivery(NamedTuple):
    """An account's limit, whether something live waits there, and a delivery under a key; None in its fields if there is none."""

    account_id: int
    parked: str | None
    live_waits: bool
    key: str | None
    id: int | None
    state: str | None
    item: ItemJson | None
    job_id: int | None


IS_LIVE_WAITING = text(
    "waiting.state = 'waiting' AND NOT waiting.mark"
)  # as the index of live deliveries says it
waiting = delivery.alias("waiting")

# Built once, here and below: building a statement costs more than executing it.
LOOK_UP = Prepared(
    select(
        account.c.id.label("account_id"),
        account.c.parked,
        exists().where(waiting.c.account_id == account.c.id, IS_LIVE_WAITING).label("live_waits"),
        delivery.c.key,
        delivery.c.id,
        delivery.c.state,
        delivery.c.item,
        delivery.c.job_id,
    )
    .select_from(
        account.outerjoin(
            delivery,
            and_(
                delivery.c.account_id == account.c.id,
                delivery.c.key.in_(bindparam("keys", expanding=True)),
            ),
        )
    )
    .where(account.c.id.in_(bindparam("accounts", expanding=True)))
)
INSERT = Prepared(insert(delivery))


def enqueue(connection: Connection, new: NewDelivery, now: datetime) -> int:
    """Enqueue the delivery unless it already exists; returns its id in either case."""
    (delivery_id,) = enqueue_all(connection, [new], now)
    return delivery_id


def enqueue_all(connection: Connection, news: Sequence[NewDelivery], now: datetime) -> list[int]:
    """Enqueue deliveries, each for another account, unless they already exist; returns their ids in either case."""
    if not news:
        return []
    wanted = {"accounts": [new.account_id for new in news], "keys": sorted({new.key for new in news})}
    found = fetch_all(connection, LOOK_UP, FoundDelivery, wanted)
    accounts = {row.account_id: row for row in found}
    ids = {(row.account_id, row.key): row for row in found if row.id is not None}
    fresh = [new for new in news if (new.account_id, new.key) not in ids]
    made = dict(
        zip([new.account_id for new in fresh], insert_all(connection, fresh, accounts, now), strict=True)
    )
    return [
        made[new.account_id]
        if new.account_id in made
        else renew_delivery(connection, ids[new.account_id, new.key], new, now)
        for new in news
    ]


def insert_all(
    connection: Connection, fresh: Sequence[NewDelivery], accounts: Mapping[int, FoundDelivery], now: datetime
) -> list[int]:
    """Insert deliveries; those that can go out supersede what they make useless, and wake their lanes."""
    ids = fresh_ids(connection, delivery, len(fresh)) if fresh else []
    rows = [
        row_values(connection, new, delivery_id, accounts[new.account_id].parked, now)
        for new, delivery_id in zip(fresh, ids, strict=True)
    ]
    INSERT.execute_many(connection, rows)
    due = defaultdict(list)
    for new, row in zip(fresh, rows, strict=True):
        if row["state"] != DeliveryState.WAITING.value:
            continue
        if accounts[new.account_id].live_waits:
            supersede(connection, new, row["id"], now)
        due[row["due_at"]].append(new.account_id)
    for at, waking in due.items():
        wake_lanes(connection, waking, at, now)
    return ids


class DeliveryValues(TypedDict):
    """The columns of a new delivery that are set as it is enqueued."""

    id: int
    account_id: int
    webhook_id: int | None
    play_id: int | None
    key: str
    action: str
    mark: bool
    happened_at: datetime
    item: ItemJson
    details: DetailsJson
    state: str
    reason: str | None
    job_id: int | None
    due_at: datetime
    created_at: datetime


def row_values(
    connection: Connection, new: NewDelivery, delivery_id: int, parked: str | None, now: datetime
) -> DeliveryValues:
    """The columns of a new delivery."""
    if parked is None and new.action not in VIEWING_ACTIONS:
        parked = find_limit(connection, new.account_id, new.action.value)
    return {
        "id": delivery_id,
        "account_id": new.account_id,
        "webhook_id": new.webhook_id,
        "play_id": new.play_id,
        "key": new.key,
        "action": new.action.value,
        "mark": new.mark,
        "happened_at": new.at,
        "item": item_to_json(new.item),
        "details": new.details,
        "state": first_state(new, parked).value,
        "reason": new.skipped or parked,
        "job_id": new.job_id,
        "due_at": new.due or min(new.at, now),
        "created_at": now,
    }


def first_state(new: NewDelivery, parked: str | None) -> DeliveryState:
    if new.skipped:
        return DeliveryState.SKIPPED
    return DeliveryState.PARKED if parked else DeliveryState.WAITING


def renew_delivery(connection: Connection, found: FoundDelivery, new: NewDelivery, now: datetime) -> int:
    """Requeue an existing delivery if a filter, a rule or the item has changed; else leave it alone. Returns its id."""
    assert found.id is not None
    was_skipped = found.state == DeliveryState.SKIPPED and not new.skipped
    better = found.state == DeliveryState.UNMATCHED and found.item != item_to_json(new.item)
    if was_skipped or better:
        values = {
            "item": item_to_json(new.item),
            "details": new.details,
            "job_id": new.job_id or found.job_id,
        }
        connection.execute(update(delivery).where(delivery.c.id == found.id).values(values))
        revive(connection, [found.id], now)
    return found.id


SUPERSEDE = Prepared(
    update(delivery)
    .where(
        delivery.c.account_id == bindparam("account"),
        text("state = 'waiting' AND NOT mark"),  # as the index of live deliveries says it
        delivery.c.due_at > bindparam("since", type_=Utc),
        delivery.c.happened_at <= bindparam("at", type_=Utc),
        delivery.c.claimed.is_(False),
        delivery.c.action.in_(LIVE_ACTIONS),
        delivery.c.id != bindparam("new"),
        or_(
            delivery.c.play_id == bindparam("of_play"),
            and_(bindparam("starts", type_=Boolean), delivery.c.action == Action.START.value),
        ),
    )
    .values(state=DeliveryState.SUPERSEDED, reason=bindparam("why"), settled_at=bindparam("now", type_=Utc))
)


def supersede(connection: Connection, new: NewDelivery, delivery_id: int, now: datetime) -> None:
    """Supersede earlier live deliveries of the same play, and any older start, by this one."""
    if not (new.live or new.mark) or new.play_id is None:
        return
    SUPERSEDE.execute(
        connection,
        {
            "account": new.account_id,
            "since": now - LIVE,
            "at": new.at,
            "new": delivery_id,
            "of_play": new.play_id,
            "starts": new.action is Action.START,
            "why": REPLACED.format(delivery_id=delivery_id),
            "now": now,
        },
    )


def supersede_delivery(connection: Connection, delivery_id: int, why: str, now: datetime) -> None:
    values = {"state": DeliveryState.SUPERSEDED, "reason": why, "settled_at": now}
    connection.execute(update(delivery).where(delivery.c.id == delivery_id).values(values))


def release_key(connection: Connection, delivery_id: int, edit_id: int) -> None:
    """Free the key of an undone mark, so that the same may be enqueued again."""
    was = delivery.c.key.concat(f":before-edit-{edit_id}")
    connection.execute(update(delivery).where(delivery.c.id == delivery_id).values(key=was))


def restore_key(connection: Connection, delivery_id: int, key: str) -> None:
    """Give an undone mark its key back, since it is no longer undone."""
    connection.execute(update(delivery).where(delivery.c.id == delivery_id).values(key=key))


def withdraw_delivery(connection: Connection, delivery_id: int, why: str, now: datetime) -> bool:
    """Withdraw an open delivery, unless it is going out or may have arrived; returns whether it is withdrawn."""
    unsent = and_(
        delivery.c.id == delivery_id,
        delivery.c.state.in_(OPEN_STATES),
        delivery.c.claimed.is_(False),
        delivery.c.unsure.is_(False),
    )
    values = {"state": DeliveryState.SUPERSEDED, "reason": why, "settled_at": now}
    return connection.execute(update(delivery).where(unsent).values(values)).rowcount > 0


def withdraw(connection: Connection, job_id: int, now: datetime) -> int:
    """Withdraw a job's unclaimed deliveries, so that another job may enqueue them; returns their number."""
    mine = and_(
        delivery.c.job_id == job_id,
        delivery.c.state.in_((DeliveryState.WAITING, DeliveryState.PARKED, DeliveryState.UNMATCHED)),
        delivery.c.claimed.is_(False),
    )
    values = {"state": DeliveryState.SUPERSEDED, "reason": "its backfill was cancelled", "settled_at": now}
    values["key"] = delivery.c.key.concat(f":before-cancel-{job_id}")
    return connection.execute(update(delivery).where(mine).values(values)).rowcount


def expire_live(connection: Connection, now: datetime) -> int:
    """Expire live deliveries that are too old; returns their number."""
    old = and_(
        delivery.c.state.in_((DeliveryState.WAITING, DeliveryState.PARKED)), delivery.c.mark.is_(False)
    )
    gone = connection.execute(
        update(delivery)
        .where(
            old,
            delivery.c.action.in_(LIVE_ACTIONS),
            delivery.c.happened_at < now - LIVE,
            delivery.c.claimed.is_(False),
        )
        .values(
            state=DeliveryState.EXPIRED, reason="it said what was on then; too old to be told", settled_at=now
        )
    )
    return gone.rowcount


def count_by_state(connection: Connection, job_id: int) -> dict[str, int]:
    """The number of a job's deliveries in each state."""
    wanted = select(delivery.c.state, func.count()).where(delivery.c.job_id == job_id)
    return {row[0]: row[1] for row in connection.execute(wanted.group_by(delivery.c.state))}


def count_due(connection: Connection, job_id: int, until: datetime) -> int:
    """The number of a job's deliveries that are sent until then, or wait for their account.

    What waits longer, as for an item that a media server does not have yet, holds nothing up.
    """
    soon = and_(delivery.c.state == DeliveryState.WAITING.value, delivery.c.due_at <= until)
    held = delivery.c.state == DeliveryState.PARKED.value
    wanted = select(func.count()).where(delivery.c.job_id == job_id, or_(soon, held))
    return int(connection.execute(wanted).scalar_one())


def find_remote_id(connection: Connection, delivery_id: int) -> str | None:
    """The service's id for the record that this delivery created, or None."""
    return connection.execute(select(delivery.c.remote_id).where(delivery.c.id == delivery_id)).scalar()
