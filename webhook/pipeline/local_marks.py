"""Marks of the built-in library: recorded and settled in the commit that claims them, since they are writes here.

What nothing but a lookup can identify goes the way of every other delivery, as does what fails.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import structlog
from sqlalchemy import Connection

from webhook import clock
from webhook.domain.event import Action, Item, item_from_json
from webhook.domain.outcome import Done
from webhook.history import shelf
from webhook.identity.resolver import Identity
from webhook.pipeline.lanes import delivery_of, log_attempt
from webhook.pipeline.outcomes import settlement_of
from webhook.queues.leases import Lane
from webhook.queues.settlements import Settlement, settle
from webhook.storage.db import Database
from webhook.storage.prepared import TransactionLost, savepoint
from webhook.storage.tables import DeliveryRow
from webhook.trackers import Tracker

log = structlog.get_logger()

MARKS = (Action.WATCHED, Action.UNWATCHED)


@dataclass(frozen=True, slots=True)
class LocalMarks:
    """Records the marks of the built-in library among what was claimed."""

    database: Database
    trackers: Mapping[str, Tracker]
    identity: Identity

    def record(self, connection: Connection, claimed: Sequence[Lane]) -> list[Lane]:
        """Record the lanes that are nothing but marks of the library; returns the others."""
        return [lane for lane in claimed if not self.record_lane(connection, lane)]

    def record_lane(self, connection: Connection, lane: Lane) -> bool:
        """True if all of the lane is recorded and settled."""
        tracker = self.trackers[lane.tracker]
        if not tracker.local or lane.dry or not all(row.mark and row.action in MARKS for row in lane.rows):
            return False
        try:
            with savepoint(connection):
                items = [self.identify(connection, tracker, row) for row in lane.rows]
                known = [item for item in items if item is not None]
                if len(known) < len(items):
                    return False
                self.settle(connection, lane, known)
        except TransactionLost:
            raise
        except Exception:
            log.exception(
                "Marks could not be recorded as they were claimed; they are tried again.",
                action="local_marks_fault",
                account=lane.account_id,
            )
            return False
        return True

    def identify(self, connection: Connection, tracker: Tracker, row: DeliveryRow) -> Item | None:
        """The item with the id that the library needs; None if only a lookup can tell."""
        item = item_from_json(row.item)
        return self.identity.resolve_at_once(connection, item, tracker.needs.get(item.kind, ()))

    def settle(self, connection: Connection, lane: Lane, items: Sequence[Item]) -> None:
        settled = [mark(connection, lane, row, item) for row, item in zip(lane.rows, items, strict=True)]
        settled[-1] = replace(settled[-1], release=True)
        settle(connection, settled)
        for row, settlement in zip(lane.rows, settled, strict=True):
            self.database.after_commit(partial(log_attempt, lane.tracker, row, settlement))


def mark(connection: Connection, lane: Lane, row: DeliveryRow, item: Item) -> Settlement:
    """Record one mark, or take it back; returns its settlement."""
    now, started = clock.now(), time.monotonic()
    if row.action == Action.UNWATCHED:
        answer = shelf.unmark_item(connection, lane.person_id, item)
    else:
        rewatch = delivery_of(row, now).rewatch
        answer = shelf.mark_item(connection, lane.person_id, item, row.happened_at, rewatch)
    took_ms = round((time.monotonic() - started) * 1000)
    return settlement_of(lane, row, Done(answer=answer), now, took_ms, [])
