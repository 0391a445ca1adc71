"""What each tracker knows of a set of plays: how many were sent, wait or failed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import BigInteger, Connection, func, select

from webhook.domain.event import Action
from webhook.domain.states import NEEDS_PERSON, DeliveryState
from webhook.history.shows import json_values
from webhook.storage.tables import account, delivery


@dataclass(kw_only=True, slots=True)
class SentCounts:
    """The plays that one tracker was sent, still waits for, or could not be sent."""

    tracker: str
    sent: int = 0
    waiting: int = 0
    failed: int = 0
    left_out: int = 0


FIELDS = {
    DeliveryState.DONE: "sent",
    DeliveryState.WAITING: "waiting",
    DeliveryState.SKIPPED: "left_out",
    DeliveryState.EXPIRED: "left_out",
    **dict.fromkeys(NEEDS_PERSON, "failed"),
}


def delivery_counts(connection: Connection, play_ids: Iterable[int]) -> list[SentCounts]:
    """What became of the watched marks of these plays, by tracker."""
    wanted = (
        select(account.c.tracker, delivery.c.state, func.count(delivery.c.play_id.distinct()))
        .join(account, delivery.c.account_id == account.c.id)
        .where(
            delivery.c.play_id.in_(json_values(play_ids, BigInteger())),
            delivery.c.mark.is_(True),
            delivery.c.action != Action.UNWATCHED,
        )
        .group_by(account.c.tracker, delivery.c.state)
        .order_by(account.c.tracker)
    )
    found: dict[str, SentCounts] = {}
    for tracker, state, plays in connection.execute(wanted):
        counts = found.setdefault(tracker, SentCounts(tracker=tracker))
        if (field := FIELDS.get(state)) is not None:
            setattr(counts, field, getattr(counts, field) + plays)
    return list(found.values())
