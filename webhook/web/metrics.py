"""The metrics: what the database and this process count, in the Prometheus text format."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from sqlalchemy import BigInteger, Connection, Select, case, func, select, type_coerce
from starlette.requests import Request
from starlette.responses import Response

from webhook import clock
from webhook.domain.states import OPEN_STATES, DeliveryState
from webhook.maintenance.backup_folder import find_newest
from webhook.people.scopes import Scope
from webhook.pipeline.reply_times import ReplyTimes
from webhook.queues.listening import LineState, line_statuses
from webhook.settings import SettingsError
from webhook.storage.tables import account, attempt, delivery, person, webhook
from webhook.storage.types import to_ms
from webhook.web.http.errors import Problem

if TYPE_CHECKING:
    from webhook.service import Service
    from webhook.web.http.api import ApiAuth

COUNT_INTERVAL = 2.0
"""Seconds for which the numbers of the database are shown again."""

LATENCIES = (1, 2, 5, 10, 30, 60, 300, 900, 3600, 21600, 86400, 604800)
"""Histogram buckets, in seconds, of the time from a delivery's due time to its success; a tracker may be down for days."""


class Metrics:
    """Metrics in the Prometheus text format."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.one = asyncio.Lock()
        self.read_at = 0.0
        self.counted: dict[str, list[Any]] = {}

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
            if time.monotonic() - self.read_at > COUNT_INTERVAL:
                self.counted = await self.service.database.read(self.read_counts)
                self.read_at = time.monotonic()
        shown = CollectorRegistry()
        shown.register(
            Snapshot([*self.process_metrics(), *database_metrics(self.counted), self.expiry_metric()])
        )
        return Response(generate_latest(shown), media_type=CONTENT_TYPE_LATEST)

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
        newest, _ = find_newest(self.service.settings.backup_folder)
        made = [] if newest is None else [(newest.timestamp(),)]
        lag = self.service.loop_lag
        late = "The longest that the event loop came back late, within the last minute"
        held_up = "The longest that this process itself held up its event loop, since the start"
        return [
            acknowledgements(self.service.receiver.reply_times),
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
    between = type_coerce(delivery.c.settled_at, BigInteger) - type_coerce(delivery.c.created_at, BigInteger)
    took = case((between > 0, between), else_=0)  # a clock that was put back makes it negative
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


def acknowledgements(times: ReplyTimes) -> Metric:
    """The histogram of the time from a webhook's arrival to its answer."""
    family = HistogramMetricFamily(
        "watchmark_acknowledgement_seconds", "From a webhook's arrival to its answer"
    )
    family.add_metric([], times.buckets(), sum_value=times.seconds)
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


def seconds_to_expiry(tokens: Mapping[str, object]) -> float | None:
    """Seconds until the tokens expire, or None if their age or lifetime is unknown."""
    made, lasts = tokens.get("created_at"), tokens.get("expires_in")
    if not isinstance(made, int | float) or not isinstance(lasts, int | float):
        return None
    return made + lasts - clock.now().timestamp()
