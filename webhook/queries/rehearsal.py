"""The rehearsal: what interpreting webhooks again would come to, without keeping any of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Row, and_, func, or_, select

from webhook import clock
from webhook.domain.states import DeliveryState
from webhook.queries.deliveries import delivery_json, select_deliveries
from webhook.storage.db import Database, unavailable
from webhook.storage.tables import delivery, webhook

BATCH = 16  # webhooks interpreted in one transaction that is taken back


def rehearse_webhooks(
    database: Database, interpret: Callable[[Connection, Row[Any]], Any], webhook_ids: Sequence[int]
) -> list[dict[str, Any]]:
    """What interpreting these webhooks again would come to: really done, looked at, and taken back."""
    told = []
    for start in range(0, len(webhook_ids), BATCH):
        part = webhook_ids[start : start + BATCH]
        with unavailable(), database.engine.connect() as connection, rollback_after(connection):
            rows = connection.execute(
                select(webhook)
                .where(webhook.c.id.in_(part), webhook.c.raw.is_not(None))
                .order_by(webhook.c.id)
            ).all()
            told += [rehearse_one(connection, interpret, row) for row in rows]
    return told


@contextmanager
def rollback_after(connection: Connection) -> Iterator[None]:
    transaction = connection.begin()
    try:
        yield
    finally:
        transaction.rollback()


def rehearse_one(
    connection: Connection, interpret: Callable[[Connection, Row[Any]], Any], row: Row[Any]
) -> dict[str, Any]:
    began = clock.now()
    last = connection.execute(select(func.max(delivery.c.id))).scalar() or 0
    touched = or_(
        delivery.c.id > last,
        delivery.c.created_at >= began,
        and_(delivery.c.state == DeliveryState.SUPERSEDED, delivery.c.settled_at >= began),
    )
    before = {one.id: (one.state, one.reason) for one in connection.execute(select(delivery).where(touched))}
    verdict = interpret(connection, row)
    after = connection.execute(select_deliveries().where(touched).order_by(delivery.c.id)).all()
    changed = [one for one in after if before.get(one.id) != (one.state, one.reason)]
    return {
        "webhook": row.id,
        "state": verdict.state,
        "reason": verdict.reason,
        # A new one has no number yet: the one it had here goes to another.
        "deliveries": [{**delivery_json(one), "id": one.id if one.id <= last else None} for one in changed],
    }
