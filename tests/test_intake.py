"""The intake: a webhook is stored, interpreted and claimed in one commit while few wait, and stored whatever happens."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, cast

import orjson
import pytest
from sqlalchemy import Connection, select
from sqlalchemy.exc import OperationalError

from tests.evening import plex
from tests.fakes._server import Server
from tests.fakes.trakt import Trakt
from tests.test_dispatcher import Desk
from webhook import clock
from webhook.accounts import accounts
from webhook.people import identities
from webhook.pipeline import intake
from webhook.pipeline.intake import MAX_AT_ONCE, Intake
from webhook.pipeline.parsed import Parsed
from webhook.queues import inbox
from webhook.queues.inbox import ReceivedWebhook
from webhook.queues.leases import Claim
from webhook.storage.db import Database, Unavailable
from webhook.storage.rows import fetch_all
from webhook.storage.tables import WebhookRow, account, play, tick, webhook

PATIENCE = 20.0


def received(number: int, **more: Any) -> ReceivedWebhook:
    """A film of its own, watched by anna."""
    return ReceivedWebhook(
        source="plex",
        token_id=None,
        received_at=clock.now(),
        content_type="application/json",
        raw=orjson.dumps({**plex("media.scrobble", number), **more}),
    )


class Home(Desk):
    """A service in this process, whose interpreter and dispatcher run while it is `open`."""

    def __init__(self, folder: Path, server: Server) -> None:
        super().__init__(folder, server)
        self.account_id = self.person("anna")
        self.intake = cast(Intake, self.service.receiver.inbox)
        self.database.do(
            lambda connection: identities.claim_identities(connection, "anna", "plex:anna", clock.now())
        )

    def add_library(self) -> None:
        """An account of anna at the built-in library."""

        def add(connection: Connection) -> None:
            mine = select(account.c.person_id).where(account.c.id == self.account_id)
            anna = connection.execute(mine).scalar_one()
            accounts.add_builtin_accounts(connection, self.service.trackers, anna, clock.now())

        self.database.do(add)

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        stop, news = asyncio.Event(), asyncio.Event()
        interpreter = self.service.interpreter
        interpreter.told = news
        tasks = [
            asyncio.create_task(interpreter.run(stop, lambda: False)),
            asyncio.create_task(self.service.dispatcher.run(stop, news)),
        ]
        await asyncio.sleep(0.05)
        try:
            yield
        finally:
            stop.set()
            await asyncio.gather(*tasks)

    def sent(self) -> int:
        return len(self.fake.made("POST /scrobble/stop"))

    def webhook_states(self) -> list[str]:
        wanted = select(webhook.c.state).order_by(webhook.c.id)
        return list(self.database.ask(lambda connection: connection.execute(wanted).scalars().all()))

    async def until_sent(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while self.sent() < count:
                await asyncio.sleep(0.01)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with Server(Trakt()) as server:
        made = Home(tmp_path, server)
        yield made
        made.loop.run_until_complete(made.service.http.aclose())
        made.service.database.close()
        made.loop.close()


def test_one_commit_stores_interprets_and_claims(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is told of it meanwhile comes of no other commit: the lane waits, and the database has it all."""
    at_commit: list[Any] = []

    def look(lanes: Any) -> None:
        at_commit.append(([lane.account_id for lane in lanes or ()], home.webhook_states(), home.states()))

    monkeypatch.setattr(home.intake, "pass_on", look)

    async def story() -> int:
        async with home.open():
            before = home.database.commits
            await home.intake.keep(received(1))
            return home.database.commits - before

    commits = home.loop.run_until_complete(story())

    (claimed, webhooks, deliveries) = at_commit[0]
    assert (commits, webhooks) == (1, ["interpreted"])
    assert home.account_id in claimed
    assert deliveries == ["waiting"] * len(claimed)


def test_what_was_claimed_arrives(home: Home) -> None:
    async def story() -> None:
        async with home.open():
            await home.intake.keep(received(1))
            await home.until_sent(1)

    home.loop.run_until_complete(story())

    assert home.sent() == 1


def test_a_webhook_takes_two_commits_all_the_way(home: Home) -> None:
    """One until it is sent, and one that settles it and marks it in the built-in library."""
    home.add_library()

    async def story() -> int:
        async with home.open():
            before = home.database.commits
            await home.intake.keep(received(1))
            async with asyncio.timeout(PATIENCE):
                while set(home.states()) != {"done"}:
                    await asyncio.sleep(0.01)
            return home.database.commits - before

    commits = home.loop.run_until_complete(story())

    assert home.sent() == 1
    assert len(home.rows(tick)) == 1
    assert commits == 2


def test_where_many_wait_they_are_stored_first(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    lanes: list[Any] = []
    monkeypatch.setattr(home.intake, "pass_on", lanes.append)

    def store(connection: Connection) -> list[int]:
        return home.intake.take_in(connection, [received(number) for number in range(MAX_AT_ONCE + 1)])

    async def story() -> None:
        async with home.open():
            await home.database.run(store)

    home.loop.run_until_complete(story())

    assert lanes == [None]
    assert set(home.webhook_states()) <= {"received", "interpreted"}


def test_what_a_batch_makes_due_is_claimed_in_its_commit(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """The webhooks wait in the inbox, as after a restart; nothing else looks for lanes."""
    claims: list[Claim] = []
    monkeypatch.setattr(home.service.dispatcher, "start_and_rest", claims.append)
    numbers = range(MAX_AT_ONCE + 1)
    home.database.do(lambda connection: inbox.store_webhooks(connection, list(map(received, numbers))))

    async def story() -> None:
        async with home.open(), asyncio.timeout(PATIENCE):
            while not claims:
                await asyncio.sleep(0.01)

    home.loop.run_until_complete(story())

    assert [(lane.account_id, len(lane.rows)) for lane in claims[0]] == [(home.account_id, len(numbers))]


def test_earlier_webhooks_are_interpreted_first(home: Home) -> None:
    """The first waits in the inbox, as after a restart; the order of a person's plays is the order of receipt."""
    home.database.do(lambda connection: inbox.store_webhooks(connection, [received(1)]))
    home.service.interpreter._loop = home.loop

    lanes = home.database.do(lambda connection: take_in_one(home, connection))

    assert lanes is None
    assert home.webhook_states() == ["received"] * 2


def take_in_one(home: Home, connection: Connection) -> Any:
    (made,) = inbox.store_webhooks(connection, [received(2)])
    return home.intake.interpret_now(connection, [inbox.stored_row(made, received(2))])


def test_a_fault_of_interpreting_leaves_the_webhook_stored(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was done of it is undone, and the interpreter takes it up."""
    interpret, faults = home.service.interpreter.interpret_together, ["a fault"]

    def fail_once(connection: Connection, taken: list[Parsed]) -> int:
        done = interpret(connection, taken)
        if faults:
            raise RuntimeError(faults.pop())
        return done

    monkeypatch.setattr(home.service.interpreter, "interpret_together", fail_once)

    async def story() -> None:
        async with home.open():
            await home.intake.keep(received(1))
            await home.until_sent(1)

    home.loop.run_until_complete(story())

    assert (faults, home.webhook_states()) == ([], ["interpreted"])
    assert len(home.rows(play)) == 1
    assert home.sent() == 1


def test_a_webhook_that_is_undone_with_its_interpretation_is_not_acknowledged(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a full disk SQLite may undo the whole transaction by itself; what follows would commit nothing, and say so to nobody."""

    def lose(connection: Connection, taken: list[Parsed]) -> int:
        connection.connection.driver_connection.execute("ROLLBACK")  # type: ignore[union-attr]
        raise OperationalError("INSERT", None, sqlite3.OperationalError("database or disk is full"))

    monkeypatch.setattr(home.service.interpreter, "interpret_together", lose)

    async def story() -> None:
        home.service.interpreter._loop = home.loop
        with pytest.raises(Unavailable, match="disk is full"):
            await home.intake.keep(received(1))

    home.loop.run_until_complete(story())

    assert home.webhook_states() == []


def test_nothing_is_passed_on_where_the_commit_fails(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    passed: list[Any] = []
    monkeypatch.setattr(home.intake, "pass_on", passed.append)

    def fail(connection: Connection) -> None:
        home.intake.take_in(connection, [received(1)])
        raise Unavailable("the disk is full")

    async def story() -> None:
        async with home.open():
            with pytest.raises(Unavailable):
                await home.database.run(fail)

    home.loop.run_until_complete(story())

    assert (passed, home.webhook_states(), home.sent()) == ([], [], 0)


def test_a_process_that_only_receives_only_stores(home: Home) -> None:
    home.loop.run_until_complete(home.intake.keep(received(1)))

    assert home.webhook_states() == ["received"]


def test_a_large_webhook_is_not_parsed_in_the_transaction(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    lanes: list[Any] = []
    monkeypatch.setattr(home.intake, "pass_on", lanes.append)

    async def story() -> None:
        async with home.open():
            await home.intake.keep(received(1, padding="x" * intake.MAX_SIZE))

    home.loop.run_until_complete(story())

    assert lanes == [None]


def test_actions_after_a_commit_belong_to_it_alone(database: Database) -> None:
    done: list[str] = []

    def act(name: str, error: Exception | None = None) -> Any:
        def change(connection: Connection) -> None:
            database.after_commit(lambda: done.append(name))
            if error is not None:
                raise error

        return change

    async def story() -> None:
        with pytest.raises(ValueError, match="no"):
            await database.run(act("failed", ValueError("no")))
        await database.run(act("committed"))

    asyncio.run(story())

    assert done == ["committed"]


def test_a_fault_after_a_commit_makes_nothing_of_it_undone(database: Database) -> None:
    written: list[str] = []

    def fail() -> None:
        raise RuntimeError("the loop is closed")

    def change(connection: Connection) -> str:
        written.append("once")
        database.after_commit(fail)
        return "written"

    async def story() -> str:
        return await database.run(change)

    assert asyncio.run(story()) == "written"
    assert written == ["once"]


def test_a_webhook_is_interpreted_as_it_would_be_read_again(home: Home) -> None:
    def store(connection: Connection) -> WebhookRow:
        kept = received(1)
        (made,) = inbox.store_webhooks(connection, [kept])
        return inbox.stored_row(made, kept)

    stored = home.database.do(store)
    (read,) = home.database.ask(lambda connection: fetch_all(connection, select(webhook), WebhookRow))

    assert vars(stored) == vars(read)
