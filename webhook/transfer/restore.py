"""Taking back what a backfill marked on a media server: our own marks, each by its handle, and no others."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, Connection, func, select, update

from webhook.domain.event import Action, item_from_json
from webhook.domain.states import DeliveryState
from webhook.queues import outbox
from webhook.queues.outbox import NewDelivery
from webhook.storage.rows import fetch_all
from webhook.storage.tables import DeliveryRow, delivery


def restored_marks(account_id: int) -> tuple[ColumnElement[bool], ...]:
    """The marks that backfills made at this account, which have a handle of ours."""
    return (
        delivery.c.account_id == account_id,
        delivery.c.job_id.is_not(None),
        delivery.c.mark.is_(True),
        delivery.c.state == DeliveryState.DONE.value,
        delivery.c.remote_id.is_not(None),
    )


def count_marks(connection: Connection, account_id: int) -> int:
    """How many marks would be taken back."""
    return connection.execute(select(func.count()).where(*restored_marks(account_id))).scalar_one()


def take_back(connection: Connection, account_id: int, now: datetime) -> int:
    """Send the undoing of every mark that backfills made at this account; returns how many.

    What was watched there before has no handle of ours, and stays. The marks can be made again by another backfill.
    """
    wanted = select(delivery).where(*restored_marks(account_id))
    rows = fetch_all(connection, wanted.order_by(delivery.c.id), DeliveryRow)
    for row in rows:
        undone = {
            "state": DeliveryState.SUPERSEDED,
            "reason": "taken back",
            "key": f"{row.key}:taken-back-{row.id}",
        }
        connection.execute(update(delivery).where(delivery.c.id == row.id).values(undone))
        undoing = NewDelivery(
            account_id=account_id, action=Action.UNWATCHED, key=f"unwatched:{row.id}", item=item_from_json(row.item),
            at=now, play_id=row.play_id, details={"remote_id": row.remote_id, "undoes": row.id, "asked": True},
        )  # fmt: skip
        outbox.enqueue(connection, undoing, now)
    return len(rows)
