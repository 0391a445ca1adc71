"""The pruner: what is old goes, what is still to be told stays. On both databases."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select, update

from tests.evening import film
from tests.running import Process, eventually, started
from webhook import clock
from webhook.accounts import accounts
from webhook.domain.event import Movie, item_to_json
from webhook.domain.states import WebhookState
from webhook.maintenance import pruner
from webhook.maintenance.pruner import PruneBatch, PruneCounts, Pruner
from webhook.people import people
from webhook.queues import inbox
from webhook.queues.inbox import ReceivedWebhook
from webhook.storage.db import Database
from webhook.storage.tables import attempt, delivery, webhook

DAYS = 30
OLD = timedelta(days=DAYS + 1)
YOUNG = timedelta(days=DAYS - 1)


class House:
    def __init__(self, database: Database) -> None:
        self.database = database
        self.now = clock.now()
        self.account = database.do(self.furnished)

    def furnished(self, connection: Connection) -> int:
        person_id = people.add_person(connection, "anna", self.now)
        return accounts.insert_account(connection, person_id, "tvtime", (), self.now)

    def webhook(self, age: timedelta = OLD, state: str = "interpreted", told: Sequence[str] = ()) -> int:
        one = ReceivedWebhook(
            source="plex",
            token_id=None,
            received_at=self.now - age,
            content_type=None,
            raw=b"{}",
            state=WebhookState(state),
        )

        def kept(connection: Connection) -> int:
            (made,) = inbox.store_webhooks(connection, [one])
            for number, delivered in enumerate(told):
                self.delivery(connection, made, delivered, f"{made}.{number}")
            return made

        return self.database.do(kept)

    def delivery(self, connection: Connection, webhook_id: int, state: str, key: str) -> None:
        at = self.now - OLD
        values = {"account_id": self.account, "webhook_id": webhook_id, "key": key, "action": "watched"}
        values |= {"happened_at": at, "created_at": at, "item": item_to_json(Movie(title="Paper Boats"))}
        connection.execute(insert(delivery), {**values, "mark": True, "state": state, "details": {}})

    def tried(self, webhook_id: int, age: timedelta) -> None:
        mine = select(delivery.c.id).where(delivery.c.webhook_id == webhook_id).scalar_subquery()
        values = {"delivery_id": mine, "at": self.now - age, "outcome": "done"}
        self.database.do(lambda connection: connection.execute(insert(attempt).values(values)))

    def prune(self) -> PruneCounts:
        async def run() -> PruneCounts:
            return await Pruner(self.database, DAYS).prune(self.now)

        return asyncio.run(run())

    def whole(self) -> list[int]:
        wanted = select(webhook.c.id).where(webhook.c.raw.is_not(None)).order_by(webhook.c.id)
        return self.database.do(lambda connection: list(connection.execute(wanted).scalars()))

    def attempts(self) -> int:
        return len(self.database.do(lambda connection: connection.execute(select(attempt.c.id)).all()))


@pytest.fixture
def house(database: Database) -> House:
    return House(database)


def test_a_raw_body_goes_after_its_days_and_the_webhook_stays(house: House) -> None:
    house.webhook(OLD)
    young = house.webhook(YOUNG)

    pruned = house.prune()

    assert pruned == PruneCounts(bodies=1)
    assert house.whole() == [young]
    count = house.database.do(lambda connection: len(connection.execute(select(webhook.c.id)).all()))
    assert count == 2


@pytest.mark.parametrize("state", ["received", "unclaimed", "quarantined"])
def test_what_was_not_understood_keeps_its_body_however_old_it_is(house: House, state: str) -> None:
    kept = house.webhook(OLD, state)

    assert house.prune() == PruneCounts()
    assert house.whole() == [kept]


@pytest.mark.parametrize("state", ["waiting", "parked", "unmatched", "dead"])
def test_what_is_still_to_be_told_keeps_its_body(house: House, state: str) -> None:
    kept = house.webhook(OLD, told=["done", state])

    house.prune()

    assert house.whole() == [kept]


@pytest.mark.parametrize("state", ["done", "superseded", "expired", "skipped"])
def test_what_is_settled_keeps_no_body(house: House, state: str) -> None:
    house.webhook(OLD, told=[state])

    house.prune()

    assert house.whole() == []


def test_only_the_old_attempts_of_what_is_done_go(house: House) -> None:
    house.tried(house.webhook(OLD, told=["done"]), OLD)
    house.tried(house.webhook(OLD, told=["done"]), YOUNG)
    house.tried(house.webhook(OLD, told=["dead"]), OLD)

    pruned = house.prune()

    assert pruned.attempts == 1
    assert house.attempts() == 2


def test_much_goes_in_small_parts(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruner, "ID_WINDOW", 7)
    monkeypatch.setattr(pruner, "PRUNE_BATCH_SIZE", 3)
    for _ in range(20):
        house.webhook(OLD)

    pruned = house.prune()

    assert pruned.bodies == 20
    assert house.database.commits >= 20 / 3


def test_a_webhook_that_is_replayed_meanwhile_keeps_its_body(house: House) -> None:
    number = house.webhook(OLD)
    house.database.do(lambda connection: inbox.requeue(connection, [number]))
    doomed = PruneBatch([number], house.now - timedelta(days=DAYS))

    gone = house.database.do(lambda connection: pruner.forget_bodies(connection, [doomed]))

    assert gone == [0]
    assert house.whole() == [number]


def test_a_running_service_prunes_by_itself(tmp_path: Path) -> None:
    process = Process(tmp_path, RETENTION_DAYS="1").prepare()
    with started(process):
        number = process.post("plex", film("media.scrobble")).json()["webhook"]
        eventually(lambda: process.api(f"/webhooks/{number}")["state"] == "interpreted", "it is read")
        eventually(
            lambda: process.api(f"/webhooks/{number}")["events"][0]["deliveries"][0]["state"] == "done",
            "it is told",
        )
        process.stop()
        process.prepared(aged)
        process.start()

        eventually(lambda: process.api(f"/webhooks/{number}")["raw"] is None, "the body is gone")

        assert process.api(f"/webhooks/{number}")["state"] == "interpreted"


def aged(connection: Connection, service: Any) -> None:
    connection.execute(update(webhook).values(received_at=clock.now() - timedelta(days=2)))
