"""The pace at which a media server is told of what was watched elsewhere: no faster than a person marks.

A loop with a tool beside us, or a mistake, does little harm before somebody sees it. What a person asks for, such as a
restore, is not slowed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, func, select

from webhook.domain.event import Action
from webhook.domain.outcome import SLOWED
from webhook.domain.states import DeliveryState
from webhook.queues.hand_marks import MAX_PER_MINUTE, WINDOW
from webhook.storage.prepared import Prepared, inline
from webhook.storage.tables import delivery, expectation
from webhook.storage.types import Utc


@dataclass(frozen=True, kw_only=True, slots=True)
class PaceRequest:
    """Changes of one kind that an account at a server is about to be told."""

    account_id: int
    person_id: int
    server: str
    action: Action
    count: int


TOLD = Prepared(
    select(func.count(expectation.c.delivery_id.distinct()), func.min(expectation.c.told_at, type_=Utc()))
    .join(delivery, delivery.c.id == expectation.c.delivery_id)
    .where(
        expectation.c.person_id == bindparam("person"),
        expectation.c.server == bindparam("at_server"),
        expectation.c.action == bindparam("of_action"),
        expectation.c.told_at > bindparam("since", type_=Utc),
        delivery.c.job_id.is_(None),
    )
)
WAITING = Prepared(
    select(func.count()).where(
        delivery.c.account_id == bindparam("account"),
        delivery.c.state == inline(DeliveryState.WAITING.value),
        delivery.c.due_at > bindparam("now", type_=Utc),
        delivery.c.action == bindparam("of_action"),
        delivery.c.reason == SLOWED,
    )
)


def find_delays(connection: Connection, wanted: PaceRequest, now: datetime) -> Sequence[timedelta]:
    """How long each of these changes waits: those of this minute not at all, each further minute's for its turn."""
    most = MAX_PER_MINUTE.get(wanted.action)
    if most is None:
        return [timedelta(0)] * wanted.count
    of_action = {"of_action": wanted.action.value}
    of_person = {"person": wanted.person_id, "at_server": wanted.server, "since": now - WINDOW}
    ((told, first),) = TOLD.rows(connection, {**of_person, **of_action})
    free = max(most - told, 0)
    if wanted.count <= free:
        return [timedelta(0)] * wanted.count
    waiting = WAITING.scalar(connection, {"account": wanted.account_id, "now": now, **of_action})
    begin = WINDOW if first is None else max(first + WINDOW - now, timedelta(seconds=1))
    places = range(waiting, waiting + wanted.count - free)
    return [*([timedelta(0)] * free), *(begin + WINDOW * (place // most) for place in places)]
