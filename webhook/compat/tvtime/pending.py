"""Pending marks: those not yet sent to an account's server, and the outcome of a delivery."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from webhook import clock
from webhook.compat.tvtime.marks import BY
from webhook.domain.event import Action, Episode, item_from_json
from webhook.domain.states import DeliveryState
from webhook.queues import outbox
from webhook.queues.outbox import NewDelivery
from webhook.storage.db import Database
from webhook.storage.tables import account, delivery
from webhook.storage.types import to_ms

DELIVERY_TIMEOUT = 5.0
"""Seconds that a response waits for a mark to be sent."""

UNSENT_STATES = (DeliveryState.WAITING, DeliveryState.PARKED)
MARK_ACTIONS = (Action.WATCHED.value, Action.UNWATCHED.value)


@dataclass(frozen=True, slots=True)
class PendingMark:
    """A mark of an episode, set or taken back, that is not sent yet."""

    delivery_id: int
    episode: Episode
    watched: bool


class PendingMarks:
    """The marks that an account's server has not received yet; the latest one of each episode counts."""

    def __init__(self, marks: Iterable[PendingMark]) -> None:
        self.by_id: dict[int, PendingMark] = {}
        self.by_place: dict[tuple[int, int, int], PendingMark] = {}
        self.order: dict[int, int] = {}
        for number, mark in enumerate(marks):
            self.order[mark.delivery_id] = number
            if (tvdb := mark.episode.ids.tvdb) is not None:
                self.by_id[tvdb] = mark
            if (place := place_of(mark.episode)) is not None:
                self.by_place[place] = mark

    def marks(self) -> list[PendingMark]:
        every = {mark.delivery_id: mark for mark in (*self.by_id.values(), *self.by_place.values())}
        return [mark for mark in every.values() if self.find(mark.episode) is mark]

    def find(self, episode: Episode) -> PendingMark | None:
        """The pending mark of an episode, found by its own id, else by its show and numbers."""
        tvdb, place = episode.ids.tvdb, place_of(episode)
        found = [] if tvdb is None or tvdb not in self.by_id else [self.by_id[tvdb]]
        if place is not None and place in self.by_place:
            mark = self.by_place[place]
            if tvdb is None or mark.episode.ids.tvdb is None:
                found.append(mark)
        return max(found, key=lambda mark: self.order[mark.delivery_id], default=None)


def place_of(episode: Episode) -> tuple[int, int, int] | None:
    show, season, number = episode.show_ids.tvdb, episode.season, episode.number
    return None if show is None or season is None or number is None else (show, season, number)


def pending_marks(connection: Connection, account_id: int) -> PendingMarks:
    rows = connection.execute(
        select(delivery.c.id, delivery.c.action, delivery.c.item)
        .where(
            delivery.c.account_id == account_id,
            delivery.c.state.in_(UNSENT_STATES),
            delivery.c.action.in_(MARK_ACTIONS),
        )
        .order_by(delivery.c.due_at, delivery.c.id)
    )
    items = [(row, item_from_json(row.item)) for row in rows]
    return PendingMarks(
        PendingMark(row.id, item, row.action == Action.WATCHED)
        for row, item in items
        if isinstance(item, Episode)
    )


# --- one delivery


def find_delivery(
    connection: Connection, account_id: int, webhooks: Sequence[int], action: Action
) -> int | None:
    """The account's delivery of this action from these webhooks, unless a rule skipped it."""
    wanted = select(delivery.c.id).where(
        delivery.c.account_id == account_id,
        delivery.c.webhook_id.in_(webhooks),
        delivery.c.action == action.value,
        delivery.c.state != DeliveryState.SKIPPED,
    )
    return connection.execute(wanted.order_by(delivery.c.id.desc()).limit(1)).scalar()


@dataclass(frozen=True, kw_only=True, slots=True)
class MarkDelivery:
    """A delivery that a person requested, also of an action that the account is not sent otherwise.

    `undoes` is the play whose mark is taken back; the interpreter uses the same delivery key for it. `said`
    is the server's own state, None if unknown.
    """

    account_id: int
    action: Action
    episode: Episode
    at: datetime
    webhook_id: int | None = None
    undoes: int | None = None
    said: bool | None = None


def enqueue_marks(connection: Connection, waiting: list[MarkDelivery]) -> list[int | None]:
    """Enqueue each mark; the ids of the deliveries."""
    return [enqueue_mark(connection, telling) for telling in waiting]


def enqueue_mark(connection: Connection, telling: MarkDelivery) -> int | None:
    """Enqueue a delivery, or return the equal pending one; None if the server already has that state."""
    mark = pending_marks(connection, telling.account_id).find(telling.episode)
    watched = telling.action is Action.WATCHED
    if mark is not None and mark.watched is watched:
        return mark.delivery_id
    if mark is None and telling.said is watched:
        return None
    key = f"{BY}:{telling.action}:{telling.episode.ids.tvdb}:{to_ms(telling.at)}"
    if telling.undoes is not None:
        key = f"unwatched:{telling.undoes}"
    putting = NewDelivery(
        account_id=telling.account_id,
        action=telling.action,
        key=key,
        item=telling.episode,
        at=telling.at,
        mark=watched,
        webhook_id=telling.webhook_id,
        play_id=telling.undoes,
        details={"undoes": mark.delivery_id} if mark is not None and not watched else {},
    )
    return outbox.enqueue(connection, putting, telling.at)


@dataclass(frozen=True, slots=True)
class DeliveryOutcome:
    """The outcome of a delivery so far. `tried`: it was attempted, or its account is paused for a while."""

    state: str
    reason: str | None
    tried: bool


async def await_earlier(database: Database, delivery_id: int) -> DeliveryOutcome:
    """The outcome of a delivery, once it was attempted or the timeout is over."""
    return await database.read_until(
        lambda connection: read_outcome(connection, delivery_id),
        lambda now: now.state != DeliveryState.WAITING or now.tried,
        DELIVERY_TIMEOUT,
    )


def read_outcome(connection: Connection, delivery_id: int) -> DeliveryOutcome:
    wanted = select(delivery.c.state, delivery.c.reason, delivery.c.attempts, account.c.held_until)
    mine = wanted.join(account, delivery.c.account_id == account.c.id).where(delivery.c.id == delivery_id)
    row = connection.execute(mine).one()
    held = row.held_until is not None and row.held_until > clock.now()
    return DeliveryOutcome(row.state, row.reason, bool(row.attempts) or held)
