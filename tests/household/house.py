"""The house: Watchmark's own inbox, interpreter and history over a real SQLite file, with the clock handed in.

A story runs inside one transaction, webhook by webhook, as they arrive; what has ended by itself is closed in
between. At the end the transaction is rolled back, so that the next story finds an empty house.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import cycle
from pathlib import Path
from typing import Any

import orjson
import time_machine
from sqlalchemy import Connection, RowMapping, bindparam, insert, select, update

from tests.household.senders import Message
from tests.household.story import DEVICES, EPOCH, PEOPLE, SOFA, utc
from webhook import sources
from webhook.accounts.accounts import insert_account
from webhook.domain.event import Action, Kind
from webhook.domain.rules import ALWAYS_ON
from webhook.people import household, identities, people
from webhook.pipeline.interpreter import Interpreter
from webhook.pipeline.shared_reads import Capabilities
from webhook.queries.plays import PlayJson, list_plays
from webhook.queues import inbox
from webhook.queues.inbox import ReceivedWebhook
from webhook.settings import Settings
from webhook.storage import migrate
from webhook.storage.db import Database, fresh_ids
from webhook.storage.tables import delivery, play, token, webhook

SWEEP = timedelta(minutes=10)
"""How often at least plays are looked for that nobody stopped. The service does so every minute."""

BURST = 16
ADDRESSES = select(token.c.name, token.c.id)
OPEN = select(play.c.id).where(play.c.state != "stopped").limit(1)

AFTERWARDS = timedelta(days=3)
"""How long after the last webhook the plays are looked at."""

LETTER = "text/plain; charset=utf-8"
SOURCES = ("plex", "jellyfin", "emby", "tautulli")
KINDS = frozenset({Kind.MOVIE, Kind.EPISODE, Kind.TRACK})
TRACKERS = {
    "live": Capabilities(KINDS, ALWAYS_ON | {Action.UNWATCHED}),
    "list": Capabilities(KINDS, frozenset({Action.WATCHED, Action.UNWATCHED})),
}
"""A tracker that is told what is on now, and one that is told the marks."""

TRACKER_OF = dict(zip(PEOPLE, cycle(TRACKERS), strict=False))
"""Where each of the people has an account."""

DELIVER = (
    update(delivery)
    .where(delivery.c.state == "waiting", delivery.c.mark | (delivery.c.action == Action.UNWATCHED.value))
    .values(state="done", settled_at=bindparam("now"))
)
DELIVERIES = select(
    delivery.c.play_id, delivery.c.action, delivery.c.mark, delivery.c.state, delivery.c.happened_at,
)  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """What is left of a story: the plays as the API gives them, what the trackers are told, and the webhooks by state."""

    plays: Sequence[Mapping[str, Any]]
    deliveries: Sequence[RowMapping]
    states: Mapping[str, int]


class House:
    """A migrated database, in which stories are run one after another."""

    def __init__(self, folder: Path) -> None:
        self.database = Database(f"sqlite:///{folder}/household.db", synchronous="OFF")
        migrate.migrate(self.database)
        self.database.do(settle_in)

    def close(self) -> None:
        self.database.close()

    def run(self, messages: Sequence[Message]) -> Outcome:
        """What comes of these webhooks, interpreted as they arrive."""
        with self.evening() as (connection, machine):
            service = Service(connection)
            for together in bursts(messages):
                machine.move_to(utc(together[-1].at))
                service.receive(together)
            end = (utc(messages[-1].at) if messages else EPOCH) + AFTERWARDS
            machine.move_to(end)
            service.sweep(end)
            deliveries = connection.execute(DELIVERIES).mappings().all()
            return Outcome(every_play(connection), deliveries, states(connection))

    @contextmanager
    def evening(self) -> Iterator[tuple[Connection, time_machine.Traveller]]:
        with time_machine.travel(EPOCH, tick=False) as machine, self.database.engine.connect() as connection:
            transaction = connection.begin()
            try:
                yield connection, machine
            finally:
                transaction.rollback()


class Service:
    """The service's own parts, driven by hand on one connection."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        mark = float(Settings.model_fields["watched_mark"].default)
        self.interpreter = Interpreter(Database.__new__(Database), sources.read_webhook, TRACKERS, mark)
        self.addresses: dict[str | None, int] = dict(connection.execute(ADDRESSES).all())
        self.swept = EPOCH

    def receive(self, together: Sequence[Message]) -> None:
        if utc(together[0].at) - self.swept >= SWEEP:
            self.sweep(utc(together[0].at))
        inbox.store_webhooks(self.connection, [self.received(message) for message in together])
        self.interpreter.interpret(self.connection, [BURST])

    def received(self, message: Message) -> ReceivedWebhook:
        token_id = self.addresses.get(message.address)
        raw, at = orjson.dumps(message.body), utc(message.at)
        return ReceivedWebhook(
            source=message.source, token_id=token_id, received_at=at, content_type=LETTER, raw=raw
        )

    def sweep(self, now: datetime) -> None:
        self.swept = now
        self.connection.execute(DELIVER, {"now": now})
        if self.connection.execute(OPEN).first():
            self.interpreter.sweep(self.connection, [now])


def bursts(messages: Iterable[Message]) -> Iterator[list[Message]]:
    """The messages, with those together that arrive within a second or so: the worker finds them at once."""
    together: list[Message] = []
    for message in messages:
        if together and (message.at - together[0].at > 1.5 or len(together) == BURST):
            yield together
            together = []
        together.append(message)
    if together:
        yield together


def settle_in(connection: Connection) -> None:
    """Everybody has an account, an address and their own name on each server; the sofa counts for who sits on it."""
    for number, name in enumerate(PEOPLE):
        person = people.add_person(connection, name, EPOCH, owner=number == 0)
        tracker = TRACKER_OF[name]
        insert_account(connection, person, tracker, TRACKERS[tracker].can, EPOCH)
        (made,) = fresh_ids(connection, token, 1)
        address = {"id": made, "kind": "webhook", "digest": name, "sealed": name, "name": name}
        connection.execute(insert(token), {**address, "person_id": person, "created_at": EPOCH})
        for source in SOURCES:
            identities.claim_identities(connection, name, f"{source}:{name}", EPOCH)
    shared = sorted({device.player for device in DEVICES if device.shared_by})
    household.add_rule(connection, shared, [], SOFA, EPOCH)


def every_play(connection: Connection) -> list[PlayJson]:
    """All plays as the API gives them, page by page."""
    found: list[PlayJson] = []
    after: str | None = None
    while True:
        page = list_plays(connection, limit=200, after=after)
        found += page["items"]
        after = page["next"]
        if after is None:
            return found


def states(connection: Connection) -> dict[str, int]:
    counted: dict[str, int] = {}
    for row in connection.execute(select(webhook.c.state)):
        counted[row.state] = counted.get(row.state, 0) + 1
    return counted
