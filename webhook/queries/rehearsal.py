"""The rehearsal: what interpreting webhooks again would come to, without keeping any of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, NotRequired, Protocol

from sqlalchemy import Connection, and_, func, or_, select
from typing_extensions import TypedDict

from webhook import clock
from webhook.domain.states import DeliveryState
from webhook.queries.deliveries import (
    AttemptJson,
    DeliveryDetail,
    DeliveryFields,
    delivery_json,
    select_deliveries,
)
from webhook.storage.db import Database, unavailable
from webhook.storage.json_fields import ANY_OBJECT, Id, WebhookStateWord
from webhook.storage.rows import fetch_all
from webhook.storage.tables import DeliveryRow, WebhookRow, delivery, webhook

REHEARSAL_BATCH = 16  # webhooks interpreted in one transaction that is rolled back


class Outcome(Protocol):
    """The result of interpreting one webhook."""

    @property
    def state(self) -> str: ...

    @property
    def reason(self) -> str | None: ...


Interpret = Callable[[Connection, Any], Outcome]
"""The interpreter's step: one webhook's row to its outcome, written through the connection."""


class RehearsedDeliveryJson(DeliveryFields):
    """A delivery of a rehearsal; `id` is None for one that would be created. Its attempts are not given."""

    id: int | None
    tries: NotRequired[list[AttemptJson]]


class RehearsalJson(TypedDict):
    """The outcome that a webhook would have, and the deliveries that would change."""

    webhook: Id
    state: WebhookStateWord
    reason: str | None
    deliveries: list[Annotated[RehearsedDeliveryJson, ANY_OBJECT]]


def rehearse_webhooks(
    database: Database, interpret: Interpret, webhook_ids: Sequence[int]
) -> list[RehearsalJson]:
    """Interpret these webhooks again, read the outcome, and roll everything back."""
    found: list[RehearsalJson] = []
    for start in range(0, len(webhook_ids), REHEARSAL_BATCH):
        part = webhook_ids[start : start + REHEARSAL_BATCH]
        with unavailable(), database.engine.connect() as connection, rollback_after(connection):
            wanted = select(webhook).where(webhook.c.id.in_(part), webhook.c.raw.is_not(None))
            rows = fetch_all(connection, wanted.order_by(webhook.c.id), WebhookRow)
            found += [rehearse_one(connection, interpret, row) for row in rows]
    return found


@contextmanager
def rollback_after(connection: Connection) -> Iterator[None]:
    """A transaction that is always rolled back."""
    transaction = connection.begin()
    try:
        yield
    finally:
        transaction.rollback()


def rehearse_one(connection: Connection, interpret: Interpret, row: WebhookRow) -> RehearsalJson:
    """The outcome of interpreting one webhook within a transaction that is rolled back."""
    began = clock.now()
    last = connection.execute(select(func.max(delivery.c.id))).scalar() or 0
    touched = or_(
        delivery.c.id > last,
        delivery.c.created_at >= began,
        and_(delivery.c.state == DeliveryState.SUPERSEDED, delivery.c.settled_at >= began),
    )
    known = fetch_all(connection, select(delivery).where(touched), DeliveryRow)
    before = {one.id: (one.state, one.reason) for one in known}
    outcome = interpret(connection, row)
    after = fetch_all(connection, select_deliveries().where(touched).order_by(delivery.c.id), DeliveryDetail)
    changed = [one for one in after if before.get(one.id) != (one.state, one.reason)]
    return {
        "webhook": row.id,
        "state": outcome.state,
        "reason": outcome.reason,
        # A new delivery has no number yet: the one it had here goes to another.
        "deliveries": [{**delivery_json(one), "id": one.id if one.id <= last else None} for one in changed],
    }
