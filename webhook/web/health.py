"""Health endpoints: liveness, readiness and metrics."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from sqlalchemy import BigInteger, Connection, Select, case, func, insert, or_, select, type_coerce, update
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from webhook import clock
from webhook.domain.states import OPEN_STATES, DeliveryState
from webhook.maintenance import backup
from webhook.maintenance.backup_folder import newest_time
from webhook.people.scopes import Scope
from webhook.queues.listening import LineState, LineStatus, line_statuses
from webhook.settings import SettingsError
from webhook.storage.db import Unavailable
from webhook.storage.tables import account, attempt, delivery, note, person, webhook
from webhook.storage.types import to_ms
from webhook.web.http import errors
from webhook.web.http.errors import Problem

if TYPE_CHECKING:
    from webhook.service import Service
    from webhook.web.http.api import ApiAuth

STORE_CHECK_INTERVAL = 2.0
DISPATCHER_TIMEOUT = 60.0
LEASE_OVER = timedelta(minutes=2)
STORE_TIME = 5.0
NOTE = "ready"
REFUSAL_MEMORY = 30.0
"""Seconds after a failed webhook write during which a tiny test write that fits proves nothing."""

LATENCIES = (1, 2, 5, 10, 30, 60, 300, 900, 3600, 21600, 86400, 604800)
"""Histogram buckets, in seconds, of the time from a delivery's due time to its success; a tracker may be down for days."""

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


def routes(service: Service) -> list[BaseRoute]:
    """The health checks and the metrics, as an application of their own: they are asked without any page."""
    health, metrics = Health(service), Metrics(service)
    inside: list[BaseRoute] = [
        Route("/healthz", health.lives),
        Route("/readyz", health.ready),
        Route("/metrics", metrics.text),
    ]
    application = errors.web(inside, errors.problem_page)
    return [Route(path, application) for path in ("/healthz", "/readyz", "/metrics")]


class ServerLine(TypedDict):
    """A media server that is listened to, and since when it is in this state."""

    server: str
    state: str
    since: str | None


class Readiness(TypedDict):
    """The answer of the readiness check; `listening` where a media server is listened to."""

    ready: bool
    reason: str | None
    loop_lag_seconds: float
    listening: NotRequired[list[ServerLine]]


class Health:
    def __init__(self, service: Service) -> None:
        self.service = service
        self.one = asyncio.Lock()
        self.stored_at = 0.0
        self.trouble: str | None = None

    async def lives(self, request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def ready(self, request: Request) -> Response:
        reason = self.stuck() or self.damage() or await self.unstorable() or await self.stuck_lane()
        lag = round(self.service.loop_lag.worst(), 3)
        shown: Readiness = {"ready": reason is None, "reason": reason, "loop_lag_seconds": lag}
        if self.service.servers:
            shown["listening"] = await self.lines()
        return JSONResponse(shown, 200 if reason is None else 503)

    async def lines(self) -> list[ServerLine]:
        """The media servers that are listened to, and since when each is live or down; none makes it unready."""
        try:
            found = await self.service.database.read(self.read_lines)
        except Unavailable:
            return []
        return [
            {"server": line.server, "state": line.state.value, "since": clock.stamp(line.since)}
            for line in found
        ]

    def read_lines(self, connection: Connection) -> list[LineStatus]:
        return line_statuses(connection, self.service.servers, clock.now())

    def stuck(self) -> str | None:
        """A sentence on the task that has ended or the dispatcher that stalls, or None."""
        for task in self.service.tasks:
            if task.done() and not self.service.stop.is_set():
                return f"The {task.get_name()} has ended."
        quiet = time.monotonic() - self.service.dispatcher.health.stepped_at
        if self.service.settings.worker and quiet > DISPATCHER_TIMEOUT:
            return f"The dispatcher has not moved for {quiet:.0f} seconds."
        return None

    def damage(self) -> str | None:
        found = self.service.integrity.damage
        if found is None:
            return None
        return f"The database is damaged: {found}. {backup.restore_advice(self.service.settings)}."

    async def stuck_lane(self) -> str | None:
        """A sentence on a due account that no worker takes up, or None; not checked where no worker runs."""
        if not self.service.settings.worker:
            return None
        try:
            return await self.service.database.read(
                lambda connection: stuck_lane(connection, list(self.service.trackers), clock.now())
            )
        except Unavailable as error:
            return f"Nothing can be read: {error}."

    async def unstorable(self) -> str | None:
        """The reason why nothing can be stored, or None; tested by a write, at most every two seconds."""
        async with self.one:
            if time.monotonic() - self.stored_at > STORE_CHECK_INTERVAL:
                self.trouble = await self.try_to_store()
                self.stored_at = time.monotonic()
            return self.trouble

    async def try_to_store(self) -> str | None:
        refused_at = self.service.receiver.refused_at
        if refused_at is not None and time.monotonic() - refused_at < REFUSAL_MEMORY:
            return "A webhook could not be stored just now; the log says why."
        try:
            async with asyncio.timeout(STORE_TIME):
                await self.service.database.run(_touch_note)
        except TimeoutError:
            return f"Nothing could be stored within {STORE_TIME:.0f} seconds."
        except Unavailable as error:
            return f"Nothing can be stored: {error}."
        return None


def stuck_lane(connection: Connection, trackers: list[str], now: datetime) -> str | None:
    """An account whose lease expired a while ago and that no worker has claimed since, or None."""
    long_ago = now - LEASE_OVER
    wanted = select(account.c.tracker, account.c.id, account.c.leased_until).where(
        account.c.tracker.in_(trackers),
        account.c.leased_until < long_ago,
        account.c.due_at < long_ago,
        account.c.parked.is_(None),
        or_(account.c.held_until.is_(None), account.c.held_until < long_ago),
    )
    row = connection.execute(wanted.order_by(account.c.leased_until).limit(1)).first()
    if row is None:
        return None
    since = (now - row.leased_until).total_seconds()
    return f"The lane of account {row.id} ({row.tracker}) has been stuck for {since:.0f} seconds."


def _touch_note(connection: Connection) -> None:
    now = clock.stamp(clock.now())
    mine = update(note).where(note.c.name == NOTE)
    if not connection.execute(mine.values(value=now)).rowcount:
        connection.execute(insert(note), {"name": NOTE, "value": now})


class Metrics:
    """Metrics in the Prometheus text format, from a registry of their own."""

    def __init__(self, service: Service) -> None:
        self.service = service
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

    def read_counts(self, connection: Connection) -> dict[str, list[Any]]:
        lines = line_statuses(connection, self.service.servers, clock.now())
        states = [(line.server, int(line.state is LineState.LIVE)) for line in lines]
        calls = [(line.server, line.calls) for line in lines]
        return {**read_counts(connection), "lines": states, "calls": calls}

    @cached_property
    def gate(self) -> ApiAuth:
        from webhook.web.http.api import ApiAuth
        from webhook.web.http.sessions import Sessions

        return ApiAuth(self.service.database, Sessions(self.service))

    async def text(self, request: Request) -> Response:
        if not self.service.settings.metrics_public:
            visitor = await self.gate.admit(request, Scope.READ)
            if not visitor.is_admin:
                raise Problem(403, "The metrics cover everyone; this token belongs to one person.")
        async with self.one:
            if time.monotonic() - self.read_at > STORE_CHECK_INTERVAL:
                self.counted = await self.service.database.read(self.read_counts)
                self.read_at = time.monotonic()
        shown = CollectorRegistry()
        shown.register(
            Snapshot([*database_metrics(self.counted), self.expiry_metric(), *self.process_metrics()])
        )
        content = generate_latest(self.registry) + generate_latest(shown)
        return Response(content, media_type=CONTENT_TYPE_LATEST)

    def expiry_metric(self) -> Metric:
        """The gauge of seconds until each sign-in with a known expiry ends."""
        ends = []
        for tracker, name, made, sealed in self.counted["tokens"]:
            try:
                tokens = self.service.seal.open(sealed)
            except SettingsError:
                continue
            if (seconds := seconds_to_expiry(tokens)) is not None:
                ends.append((tracker, name, made, seconds))
        text = "Seconds until a sign-in has to be renewed; below 0 it should have been"
        return gauge("token_expires_seconds", text, ["tracker", "person", "account"], ends)

    def process_metrics(self) -> list[Metric]:
        database, dispatcher = self.service.database, self.service.dispatcher
        counters = (
            ("watchmark_database_commits", "Transactions of the writing thread", database.commits),
            ("watchmark_database_writes", "Writes that shared them", database.writes),
            ("watchmark_delivered", "Deliveries settled since the start", dispatcher.health.delivered),
            ("watchmark_stored", "Webhooks stored since the start", self.service.receiver.stored),
        )
        made = [(made.timestamp(),)] if (made := newest_time(self.service.settings.backup_folder)) else []
        lag = self.service.loop_lag
        late = "The longest that the event loop came back late, within the last minute"
        held_up = "The longest that this process itself held up its event loop, since the start"
        return [
            *(CounterMetricFamily(name, text, value=value) for name, text, value in counters),
            gauge("last_backup_timestamp_seconds", "When the newest scheduled backup was made", [], made),
            gauge("loop_lag_seconds", late, [], [(lag.worst(),)]),
            gauge("loop_held_up_seconds", held_up, [], [(lag.held_up,)]),
        ]


class Snapshot(Collector):
    def __init__(self, metrics: Iterable[Metric]) -> None:
        self.metrics = list(metrics)

    def collect(self) -> Iterable[Metric]:
        return self.metrics


def read_counts(connection: Connection) -> dict[str, list[Any]]:
    """Metrics read from the database, each value preceded by its labels."""
    questions = count_webhooks() | count_deliveries() | count_accounts()
    return {name: list(connection.execute(question)) for name, question in questions.items()}


def count_webhooks() -> dict[str, Select[Any]]:
    return {
        "webhooks": select(webhook.c.state, func.count()).group_by(webhook.c.state),
        "last": select(webhook.c.source, func.max(webhook.c.received_at)).group_by(webhook.c.source),
    }


def count_deliveries() -> dict[str, Select[Any]]:
    """Each by the tracker of its account."""
    tracker, state = account.c.tracker, delivery.c.state
    number, oldest = func.count(), func.min(delivery.c.happened_at)
    attempts = select(tracker, attempt.c.outcome, number).join(
        delivery, attempt.c.delivery_id == delivery.c.id
    )
    took = type_coerce(delivery.c.settled_at, BigInteger) - type_coerce(delivery.c.created_at, BigInteger)
    within = [func.sum(case((took <= seconds * 1000, 1), else_=0)) for seconds in LATENCIES]
    settled = select(tracker, number, func.sum(took), *within).where(
        state == DeliveryState.DONE, delivery.c.settled_at.is_not(None)
    )
    questions = {
        "deliveries": select(tracker, state, number).group_by(tracker, state),
        "oldest": select(tracker, oldest).where(state == DeliveryState.WAITING).group_by(tracker),
        "ages": select(tracker, state, oldest).where(state.in_(OPEN_STATES)).group_by(tracker, state),
        "outcomes": attempts.group_by(tracker, attempt.c.outcome),
        "latencies": settled.group_by(tracker),
    }
    return {
        name: question.join(account, delivery.c.account_id == account.c.id)
        for name, question in questions.items()
    }


def count_accounts() -> dict[str, Select[Any]]:
    tracker, parked = account.c.tracker, account.c.parked
    signed_in = select(tracker, person.c.name, account.c.id, account.c.tokens)
    return {
        "parked": select(tracker, parked, func.count()).where(parked.is_not(None)).group_by(tracker, parked),
        "tokens": signed_in.join(person, account.c.person_id == person.c.id).where(
            account.c.tokens.is_not(None)
        ),
    }


def database_metrics(rows: dict[str, list[Any]]) -> list[Metric]:
    now = clock.now()
    ages = [(tracker, max((now - happened).total_seconds(), 0)) for tracker, happened in rows["oldest"]]
    times = [(source, to_ms(moment) / 1000) for source, moment in rows["last"]]
    return [
        gauge("webhooks", "Webhooks in each state", ["state"], rows["webhooks"]),
        gauge("deliveries", "Deliveries by tracker and state", ["tracker", "state"], rows["deliveries"]),
        gauge("oldest_waiting_seconds", "How old the oldest waiting one is", ["tracker"], ages),
        gauge(
            "oldest_seconds",
            "How old the oldest one in each state is",
            ["tracker", "state"],
            [
                (tracker, state, max((now - happened).total_seconds(), 0))
                for tracker, state, happened in rows["ages"]
            ],
        ),
        gauge("attempts", "Attempts that are kept, by outcome", ["tracker", "outcome"], rows["outcomes"]),
        latency(rows["latencies"]),
        gauge("listening", "Whether a media server is heard live", ["server"], rows["lines"]),
        gauge("server_calls", "Calls to a media server within a minute", ["server"], rows["calls"]),
        gauge("parked_accounts", "Accounts that wait for a person", ["tracker", "reason"], rows["parked"]),
        gauge("last_webhook_timestamp_seconds", "When a source last sent anything", ["source"], times),
    ]


def gauge(name: str, text: str, labels: list[str], rows: Iterable[Any]) -> Metric:
    family = GaugeMetricFamily(f"watchmark_{name}", text, labels=labels)
    for *values, number in rows:
        family.add_metric([str(value) for value in values], number)
    return family


def latency(rows: Iterable[Any]) -> Metric:
    """The histogram of the time from a delivery's due time to its success."""
    family = HistogramMetricFamily(
        "watchmark_delivery_seconds", "From putting a delivery to its being done", labels=["tracker"]
    )
    for tracker, count, milliseconds, *within in rows:
        buckets = [(str(float(edge)), int(number)) for edge, number in zip(LATENCIES, within, strict=True)]
        family.add_metric([tracker], [*buckets, ("+Inf", count)], sum_value=float(milliseconds) / 1000)
    return family


def seconds_to_expiry(tokens: Mapping[str, Any]) -> float | None:
    """Seconds until the tokens expire, or None if their age or lifetime is unknown."""
    made, lasts = tokens.get("created_at"), tokens.get("expires_in")
    if not isinstance(made, int | float) or not isinstance(lasts, int | float):
        return None
    return made + lasts - clock.now().timestamp()
