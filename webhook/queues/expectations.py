"""Expectations: what a media server will report of what we told it, so that an echo becomes neither a play nor a mark.

An expectation is stored before the request leaves, since the echo can come before the answer, and a restart forgets
nothing. It holds until the person does the opposite, as echoes come hours late and more than once: a bare flag never
says that something was watched again. What was told before the latest change holds for an hour more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, and_, bindparam, delete, insert, select, update

from webhook.domain.copies import Expectation
from webhook.domain.event import Action, Event
from webhook.storage.prepared import Prepared
from webhook.storage.tables import expectation
from webhook.storage.types import Utc

LASTS = timedelta(days=30)
NEAR = timedelta(minutes=10)
"""The time around a mark of ours within which a viewing that nobody played is its echo."""

MAX_RUNTIME = timedelta(hours=24)
POSITION_SLACK_MS = 5000
LASTS_REPLACED = timedelta(hours=1)
NO_VALUE = -1

OPPOSITES: Mapping[Action, tuple[Action, ...]] = {
    Action.WATCHED: (Action.UNWATCHED,),
    Action.UNWATCHED: (Action.WATCHED,),
    Action.RATE: (Action.RATE, Action.UNRATE),
    Action.UNRATE: (Action.RATE,),
    Action.FAVOURITE: (Action.UNFAVOURITE,),
    Action.UNFAVOURITE: (Action.FAVOURITE,),
    Action.PROGRESS: (Action.PROGRESS,),
}
"""What each action undoes; another rating replaces the one before."""

LEFT = frozenset({Action.STOP, Action.PAUSE, Action.PROGRESS, Action.UNWATCHED})
"""How a position that we set may be reported: as if it was left there, or as an item that is not watched."""

BESIDE = frozenset({Action.RATE, Action.FAVOURITE, Action.UNFAVOURITE})
"""What is set without a change to whether the item is watched, which is reported along with it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Expected:
    """A change to an item on a server that a person will be reported to have made."""

    person_id: int
    server: str
    told: Expectation


HERE = and_(
    expectation.c.person_id == bindparam("person"),
    expectation.c.server == bindparam("at_server"),
    expectation.c.item_key == bindparam("of_item"),
)
FIND = Prepared(
    select(expectation.c.action, expectation.c.value, expectation.c.delivery_id, expectation.c.told_at).where(
        HERE, expectation.c.until > bindparam("now", type_=Utc)
    )
)


def expect(connection: Connection, expected: Sequence[Expected], now: datetime) -> None:
    for one in expected:
        told = one.told
        here = and_(
            expectation.c.person_id == one.person_id,
            expectation.c.server == one.server,
            expectation.c.item_key == told.item_key,
        )
        value = NO_VALUE if told.value is None else told.value
        opposite = expectation.c.action.in_([action.value for action in OPPOSITES[told.action]])
        replaced = and_(here, opposite, expectation.c.until > now + LASTS_REPLACED)
        connection.execute(update(expectation).where(replaced).values(until=now + LASTS_REPLACED))
        same = and_(here, expectation.c.action == told.action.value, expectation.c.value == value)
        connection.execute(delete(expectation).where(same))
        row = {"person_id": one.person_id, "server": one.server, "item_key": told.item_key, "value": value}
        row |= {
            "action": told.action.value,
            "delivery_id": told.delivery_id,
            "told_at": now,
            "until": now + LASTS,
        }
        connection.execute(insert(expectation), row)


def find_echo(connection: Connection, person_id: int, event: Event, now: datetime) -> int | None:
    """The delivery that this event is an echo of, or None.

    A change that the person made themselves, and that contradicts what is expected, ends the expectation.
    """
    if event.action not in OPPOSITES or event.server is None or event.item_key is None:
        return None
    wanted = {"person": person_id, "at_server": event.server, "of_item": event.item_key, "now": now}
    rows = FIND.rows(connection, wanted)
    for action, value, delivery_id, told_at in rows:
        if action == event.action and is_value(event, value) and is_flag(event, told_at):
            return int(delivery_id)
    for action, value, delivery_id, told_at in rows:
        if event.by_program and is_beside(event, action, value, told_at):
            return int(delivery_id)
        if is_without_rating(event, action, told_at):
            return int(delivery_id)
    if rows and not event.recorded:
        forget(connection, person_id, event)
    return None


def find_position_echo(connection: Connection, person_id: int, event: Event, now: datetime) -> int | None:
    """The delivery that set the position which this event reports, or None."""
    if event.action not in LEFT or event.server is None or event.item_key is None:
        return None
    wanted = {"person": person_id, "at_server": event.server, "of_item": event.item_key, "now": now}
    for action, value, delivery_id, told_at in FIND.rows(connection, wanted):
        is_same = event.position_ms is None or abs(event.position_ms - value) <= POSITION_SLACK_MS
        if action == Action.PROGRESS and is_same and abs(event.at - told_at) <= NEAR:
            return int(delivery_id)
    return None


def is_flag(event: Event, told_at: datetime) -> bool:
    """True if nothing more than a flag is reported, later than our mark, or a viewing at its time."""
    if event.action is not Action.WATCHED or (event.manual and not event.recorded):
        return event.at >= told_at - NEAR
    return abs(event.at - told_at) <= max(NEAR, runtime_of(event))


def runtime_of(event: Event) -> timedelta:
    """How long the item takes: what nobody plays and is watched sooner than that after our mark was not watched since."""
    return min(timedelta(milliseconds=event.duration_ms or 0), MAX_RUNTIME)


def is_beside(event: Event, action: str, value: int, told_at: datetime) -> bool:
    """True if we set another value of the item then: that it is watched was known before, and only sent along."""
    is_ours = action in BESIDE and (value == NO_VALUE or is_near(event.rating, value))
    return is_ours and abs(event.at - told_at) <= NEAR


def is_without_rating(event: Event, action: str, told_at: datetime) -> bool:
    """True if we removed the rating then: what is reported of that has neither stars nor a heart, as if one was removed."""
    return event.action is Action.UNFAVOURITE and action == Action.UNRATE and abs(event.at - told_at) <= NEAR


def is_value(event: Event, value: int) -> bool:
    if event.action is not Action.RATE:
        return True
    return is_near(event.rating, value)


def is_near(rating: float | None, value: int) -> bool:
    return rating is not None and abs(rating - value) < 0.5


def forget(connection: Connection, person_id: int, event: Event) -> None:
    contradicted = [action.value for action in OPPOSITES[event.action]]
    mine = (expectation.c.person_id == person_id, expectation.c.server == event.server)
    of_item = (expectation.c.item_key == event.item_key, expectation.c.action.in_(contradicted))
    connection.execute(delete(expectation).where(*mine, *of_item))


def prune(connection: Connection, now: datetime) -> int:
    return connection.execute(delete(expectation).where(expectation.c.until < now)).rowcount
