"""The outbox: one row per delivery, enqueued once per account and key."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Boolean, Connection, and_, bindparam, func, insert, or_, select, text, update

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
from webhook.storage.rows import fetch_one
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
    """An account's limit, and the delivery under a key; None in the fields of a delivery that does not exist."""

    parked: str | None
    id: int | None
    state: str | None
    item: ItemJson | None
    job_id: int | None


# Built once, here and below: building a statement costs more than executing it.
LOOK_UP = Prepared(
    select(account.c.parked, delivery.c.id, delivery.c.state, delivery.c.item, delivery.c.job_id)
    .select_from(
        account.outerjoin(
            delivery,
            and_(delivery.c.account_id == account.c.id, delivery.c.key == bindparam("wanted")),
        )
    )
    .where(account.c.id == bindparam("account"))
)
INSERT = Prepared(insert(delivery))


def enqueue(connection: Connection, new: NewDelivery, now: datetime) -> int:
    """Enqueue the delivery unless it already exists; returns its id in either case."""
    found = fetch_one(connection, LOOK_UP, FoundDelivery, {"account": new.account_id, "wanted": new.key})
    if found.id is not None:
        return renew_delivery(connection, found.id, found, new, now)
    parked = found.parked
    (delivery_id,) = fresh_ids(connection, delivery, 1)
    due = new.due or min(new.at, now)
    if parked is None and new.action not in VIEWING_ACTIONS:
        parked = find_limit(connection, new.account_id, new.action.value)
    state = first_state(new, parked)
    values = {
        "id": delivery_id,
        "account_id": new.account_id,
        "webhook_id": new.webhook_id,
        "play_id": new.play_id,
        "key": new.key,
        "action": new.action.value,
        "mark": new.mark,
        "happened_at": new.at,
        "item": item_to_json(new.item),
        "details": dict(new.details),
        "state": state.value,
        "reason": new.skipped or parked,
        "job_id": new.job_id,
        "due_at": due,
        "created_at": now,
    }
    INSERT.execute(connection, values)
    if state is DeliveryState.WAITING:
        supersede(connection, new, delivery_id, now)
        wake_lanes(connection, [new.account_id], due, now)
    return delivery_id


def first_state(new: NewDelivery, parked: str | None) -> DeliveryState:
    if new.skipped:
        return DeliveryState.SKIPPED
    return DeliveryState.PARKED if parked else DeliveryState.WAITING


def renew_delivery(
    connection: Connection, delivery_id: int, found: FoundDelivery, new: NewDelivery, now: datetime
) -> int:
    """Requeue an existing delivery if a filter, a rule or the item has changed; else leave it alone."""
    was_skipped = found.state == DeliveryState.SKIPPED and not new.skipped
    better = found.state == DeliveryState.UNMATCHED and found.item != item_to_json(new.item)
    if was_skipped or better:
        values = {
            "item": item_to_json(new.item),
            "details": dict(new.details),
            "job_id": new.job_id or found.job_id,
        }
        connection.execute(update(delivery).where(delivery.c.id == delivery_id).values(values))
        revive(connection, [delivery_id], now)
    return delivery_id


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
