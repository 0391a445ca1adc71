"""Intake: stores webhooks, and while few wait interprets them and claims what becomes due, all in one commit.

A play then reaches its tracker after one commit instead of three. What is stored does not depend on the rest: where
interpreting fails it is undone alone, and the interpreter takes the webhook up. Where more webhooks wait than
`MAX_AT_ONCE`, many requests are being answered, or earlier webhooks are not interpreted yet, they are only stored, so
that senders are answered first.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import structlog
from sqlalchemy import Connection, func, select

from webhook.domain.states import WebhookState
from webhook.pipeline.dispatcher import Dispatcher
from webhook.pipeline.interpreter import Interpreter
from webhook.queues import leases
from webhook.queues.inbox import Inbox, ReceivedWebhook, store_webhooks, stored_row
from webhook.queues.leases import Lane
from webhook.storage.db import Database
from webhook.storage.prepared import Prepared, TransactionLost, inline, savepoint
from webhook.storage.tables import WebhookRow, webhook

log = structlog.get_logger()

MAX_AT_ONCE = 4
"""Webhooks that are interpreted in the commit that stores them."""

MAX_SIZE = 64 * 1024
"""Bytes of a webhook that is parsed in a write transaction."""

OLDEST_RECEIVED = Prepared(
    select(func.min(webhook.c.id)).where(webhook.c.state == inline(WebhookState.RECEIVED.value))
)


class Intake(Inbox):
    """The inbox of a process that interprets and delivers as well."""

    def __init__(self, database: Database, interpreter: Interpreter, dispatcher: Dispatcher) -> None:
        super().__init__(database)
        self.interpreter = interpreter
        self.dispatcher = dispatcher
        self.is_busy: Callable[[], bool] = lambda: False
        """True while so many requests are being answered that nothing else is done for one of them."""

    async def keep(self, received: ReceivedWebhook) -> int:
        return await self.database.write(self.take_in, received)

    def take_in(self, connection: Connection, waiting: list[ReceivedWebhook]) -> list[int]:
        """Store the webhooks, and interpret them if nothing else is to be done first."""
        ids = store_webhooks(connection, waiting)
        few = len(waiting) <= MAX_AT_ONCE and all(len(one.raw) <= MAX_SIZE for one in waiting)
        idle = self.interpreter.is_running and not self.is_busy()
        rows = list(map(stored_row, ids, waiting)) if few and idle else []
        lanes = self.interpret_now(connection, rows) if rows else None
        self.database.after_commit(partial(self.pass_on, lanes))
        return ids

    def interpret_now(self, connection: Connection, rows: list[WebhookRow]) -> list[Lane] | None:
        """Interpret these webhooks and claim the lanes that are due; None if they wait for the interpreter."""
        oldest = OLDEST_RECEIVED.scalar(connection, {})
        if oldest is None or oldest < rows[0].id:
            return None
        try:
            with savepoint(connection):
                if not self.interpreter.interpret_rows(connection, rows):
                    return None
                request = self.dispatcher.claim_request()
                return leases.claim_lanes(connection, request) if request is not None else []
        except TransactionLost:
            raise  # with it the webhook itself is gone, so that its sender must not be told that it is kept
        except Exception:
            log.exception(
                "A webhook could not be interpreted as it was stored; the interpreter tries again.",
                action="intake_fault",
                webhooks=[row.id for row in rows],
            )
            return None

    def pass_on(self, lanes: list[Lane] | None) -> None:
        """Pass the work on to the event loop: claimed lanes, or else what the next process step finds."""
        if lanes is None:
            self.interpreter.wake()
        else:
            self.dispatcher.start_soon(lanes)
