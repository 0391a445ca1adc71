"""Health: whether the process lives, whether it can do its work, and its numbers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from sqlalchemy import Connection, func, insert, select, update
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from webhook import clock
from webhook.db import Unavailable
from webhook.history import stamp
from webhook.tables import account, delivery, note, to_ms, webhook
from webhook.web.changes import write
from webhook.web.shell import Problem

if TYPE_CHECKING:
    from webhook.app import Service
    from webhook.web.api import Gate

FRESH = 2.0
STUCK = 60.0
STORE_TIME = 5.0
NOTE = "ready"
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


def routes(service: Service, gate: Gate) -> list[BaseRoute]:
    health, metrics = Health(service), Metrics(service, gate)
    return [
        Route("/healthz", health.lives),
        Route("/readyz", health.ready),
        Route("/metrics", metrics.text),
    ]


class Health:
    def __init__(self, service: Service) -> None:
        self.service = service
        self.one = asyncio.Lock()
        self.stored_at = 0.0
        self.trouble: str | None = None

    async def lives(self, request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def ready(self, request: Request) -> Response:
        reason = self.stuck() or await self.unstorable()
        if reason is None:
            return JSONResponse({"ready": True, "reason": None})
        return JSONResponse({"ready": False, "reason": reason}, 503)

    def stuck(self) -> str | None:
        """Which part does not do its work any more, or None."""
        for task in self.service.tasks:
            if task.done() and not self.service.stop.is_set():
                return f"The {task.get_name()} has ended."
        quiet = time.monotonic() - self.service.dispatcher.health.stepped_at
        if self.service.settings.worker and quiet > STUCK:
            return f"The dispatcher has not moved for {quiet:.0f} seconds."
        return None

    async def unstorable(self) -> str | None:
        """Why nothing can be stored, or None; really tried, at most every two seconds."""
        async with self.one:
            if time.monotonic() - self.stored_at > FRESH:
                self.trouble = await self.tried()
                self.stored_at = time.monotonic()
            return self.trouble

    async def tried(self) -> str | None:
        try:
            async with asyncio.timeout(STORE_TIME):
                await write(self.service.database, noted)
        except TimeoutError:
            return f"Nothing could be stored within {STORE_TIME:.0f} seconds."
        except Unavailable as error:
            return f"Nothing can be stored: {error}."
        return None


def noted(connection: Connection) -> None:
    now = stamp(clock.now())
    mine = update(note).where(note.c.name == NOTE)
    if not connection.execute(mine.values(value=now)).rowcount:
        connection.execute(insert(note), {"name": NOTE, "value": now})


class Metrics:
    """Prometheus text, of a registry of its own."""

    def __init__(self, service: Service, gate: Gate) -> None:
        self.service = service
        self.gate = gate
        self.registry = CollectorRegistry()
        self.one = asyncio.Lock()
        self.read_at = 0.0
        self.counted: dict[str, list[Any]] = {}
        took = Histogram(
            "watchmark_acknowledgement_seconds",
            "From a webhook's arrival to its answer",
            buckets=BUCKETS,
            registry=self.registry,
        )
        service.receiver.took = took.observe

    async def text(self, request: Request) -> Response:
        if not self.service.settings.metrics_public:
            visitor = await self.gate.admit(request)
            if not visitor.everything:
                raise Problem(403, "The metrics are of everybody; this token belongs to one person.")
        async with self.one:
            if time.monotonic() - self.read_at > FRESH:
                self.counted = await self.service.database.read(counted)
                self.read_at = time.monotonic()
        shown = CollectorRegistry()
        shown.register(Snapshot([*stored(self.counted), *self.running()]))
        content = generate_latest(self.registry) + generate_latest(shown)
        return Response(content, media_type=CONTENT_TYPE_LATEST)

    def running(self) -> list[Metric]:
        database, dispatcher = self.service.database, self.service.dispatcher
        counters = (
            ("watchmark_database_commits", "Transactions of the writing thread", database.commits),
            ("watchmark_database_writes", "Writes that shared them", database.writes),
            ("watchmark_delivered", "Deliveries settled since the start", dispatcher.health.delivered),
            ("watchmark_stored", "Webhooks stored since the start", self.service.receiver.stored),
        )
        return [CounterMetricFamily(name, text, value=value) for name, text, value in counters]


class Snapshot(Collector):
    def __init__(self, metrics: Iterable[Metric]) -> None:
        self.metrics = list(metrics)

    def collect(self) -> Iterable[Metric]:
        return self.metrics


def counted(connection: Connection) -> dict[str, list[Any]]:
    """The numbers that only the database knows, each with its labels before it."""
    number = func.count()
    by_account = select(account.c.tracker, delivery.c.state, number).join(
        account, delivery.c.account_id == account.c.id
    )
    waiting = select(account.c.tracker, func.min(delivery.c.happened_at)).join(
        account, delivery.c.account_id == account.c.id
    )
    parked = select(account.c.tracker, account.c.parked, number).where(account.c.parked.is_not(None))
    questions = {
        "webhooks": select(webhook.c.state, number).group_by(webhook.c.state),
        "deliveries": by_account.group_by(account.c.tracker, delivery.c.state),
        "oldest": waiting.where(delivery.c.state == "waiting").group_by(account.c.tracker),
        "parked": parked.group_by(account.c.tracker, account.c.parked),
        "last": select(webhook.c.source, func.max(webhook.c.received_at)).group_by(webhook.c.source),
    }
    return {name: list(connection.execute(question)) for name, question in questions.items()}


def stored(rows: dict[str, list[Any]]) -> list[Metric]:
    now = clock.now()
    ages = [(tracker, max((now - happened).total_seconds(), 0)) for tracker, happened in rows["oldest"]]
    times = [(source, to_ms(moment) / 1000) for source, moment in rows["last"]]
    return [
        gauge("webhooks", "Webhooks in each state", ["state"], rows["webhooks"]),
        gauge("deliveries", "Deliveries by tracker and state", ["tracker", "state"], rows["deliveries"]),
        gauge("oldest_waiting_seconds", "How old the oldest waiting one is", ["tracker"], ages),
        gauge("parked_accounts", "Accounts that wait for a person", ["tracker", "reason"], rows["parked"]),
        gauge("last_webhook_timestamp_seconds", "When a source last sent anything", ["source"], times),
    ]


def gauge(name: str, text: str, labels: list[str], rows: Iterable[Any]) -> Metric:
    family = GaugeMetricFamily(f"watchmark_{name}", text, labels=labels)
    for *values, number in rows:
        family.add_metric([str(value) for value in values], number)
    return family
