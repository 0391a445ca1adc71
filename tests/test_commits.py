"""Waiting for commits: a waiter asks again after each commit of its own process and of others, and misses none."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import Connection, Engine, QueuePool, insert, select, text

from tests.conftest import driver
from tests.forked import FORKS
from tests.prepared import open_service, prepare
from webhook import app, clock
from webhook.people import people
from webhook.pipeline import interpreter
from webhook.queues import inbox
from webhook.queues.inbox import ReceivedWebhook
from webhook.storage import commits, db
from webhook.storage.commits import CHANNEL, Commits, Listener
from webhook.storage.db import Database
from webhook.storage.tables import note, webhook

PATIENCE = 30.0
NAMES = {"first", "second"}


@pytest.fixture(autouse=True)
def no_rechecks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is found by looking now and then, but only because a commit was announced."""
    monkeypatch.setattr(db, "RECHECK_INTERVAL", 3600.0)


def names(connection: Connection) -> set[str]:
    wanted = select(note.c.name).where(note.c.name.in_(NAMES))
    return set(connection.execute(wanted).scalars())


def add(connection: Connection, waiting: list[str]) -> list[None]:
    for name in waiting:
        connection.execute(insert(note), {"name": name, "value": True})
    return [None] * len(waiting)


class Asked:
    """A question that counts how often it was asked."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, connection: Connection) -> set[str]:
        self.count += 1
        return names(connection)


async def wait_for(database: Database, wanted: set[str], asked: Asked | None = None) -> set[str]:
    return await database.read_until(asked or names, lambda found: found == wanted, PATIENCE)


async def come_true(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not holds():
            await asyncio.sleep(0.01)


# --- within one process


@pytest.mark.parametrize("way", ["write", "do"])
def test_a_waiter_asks_again_after_a_commit(database: Database, way: str) -> None:
    async def story() -> set[str]:
        asked = Asked()
        waiter = asyncio.create_task(wait_for(database, {"first"}, asked))
        await come_true(lambda: asked.count > 0)
        if way == "write":
            await database.write(add, "first")
        else:
            await asyncio.to_thread(database.do, lambda connection: add(connection, ["first"]))
        return await waiter

    assert asyncio.run(story()) == {"first"}


def test_a_commit_between_the_question_and_the_wait_is_not_missed(database: Database) -> None:
    def ask_too_early(connection: Connection) -> set[str]:
        found = names(connection)
        if not found:
            database.do(lambda writing: add(writing, ["first"]))
        return found

    found = asyncio.run(database.read_until(ask_too_early, bool, PATIENCE))

    assert found == {"first"}


def test_a_failed_write_answers_nobody(database: Database) -> None:
    def fail(connection: Connection, waiting: list[str]) -> list[None]:
        add(connection, waiting)
        raise ValueError("no")

    async def story() -> int:
        before = database.committed.count
        with pytest.raises(ValueError, match="no"):
            await database.write(fail, "first")
        return database.committed.count - before

    assert asyncio.run(story()) == 0


def test_a_waiter_whose_time_is_up_gives_the_last_answer(database: Database) -> None:
    found = asyncio.run(database.read_until(names, lambda _: False, 0.05))

    assert found == set()


def test_a_waiter_without_time_asks_once(database: Database) -> None:
    asked = Asked()

    asyncio.run(database.read_until(asked, lambda _: False, 0))

    assert asked.count == 1


# --- waiters


def test_a_commit_wakes_everybody_who_still_waits() -> None:
    async def story() -> list[bool]:
        counted = Commits()
        late, cancelled, *others = (
            asyncio.create_task(counted.wait(0, seconds)) for seconds in (0, PATIENCE, PATIENCE, PATIENCE)
        )
        await late
        cancelled.cancel()
        await asyncio.wait([cancelled])
        await asyncio.to_thread(counted.announce)
        await asyncio.gather(*others)
        return [task.cancelled() for task in (late, cancelled, *others)]

    assert asyncio.run(story()) == [False, True, False, False]


def test_what_was_committed_before_is_not_waited_for() -> None:
    counted = Commits()
    counted.announce()

    asyncio.run(counted.wait(0, PATIENCE))

    assert counted.count == 1


def test_a_waiter_of_a_loop_that_is_closed_harms_no_other() -> None:
    counted = Commits()
    gone = asyncio.new_event_loop()
    abandoned = gone.create_task(counted.wait(0, PATIENCE))
    gone.run_until_complete(asyncio.sleep(0))
    gone.close()

    async def story() -> None:
        waiter = asyncio.create_task(counted.wait(0, PATIENCE))
        await asyncio.sleep(0)
        counted.announce()
        await waiter

    asyncio.run(story())
    abandoned.get_coro().close()

    assert counted.count == 1


# --- across processes, on PostgreSQL


def commit_elsewhere(url: str, name: str, way: str) -> None:
    """Add a note in a process of its own."""
    process = FORKS.Process(target=add_note, args=(url, name, way))
    process.start()
    process.join(PATIENCE)
    assert process.exitcode == 0


def add_note(url: str, name: str, way: str) -> None:
    database = Database(url)
    if way == "write":
        asyncio.run(cast(Any, database.write(add, name)))
    else:
        database.do(lambda connection: add(connection, [name]))
    database.close()


@pytest.fixture
def listening(migrated_postgres_url: str) -> Any:
    database = Database(driver(migrated_postgres_url))
    yield database
    database.close()


LISTENERS = text("SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query = :query")


def listeners(database: Database) -> list[int]:
    """The server processes of connections that listen."""
    query = {"query": f"LISTEN {CHANNEL}"}
    return list(database.ask(lambda connection: list(connection.execute(LISTENERS, query).scalars())))


@pytest.mark.parametrize("way", ["write", "do"])
def test_a_commit_of_another_process_is_heard(listening: Database, way: str) -> None:
    async def story() -> set[str]:
        waiter = asyncio.create_task(wait_for(listening, {"first"}))
        await come_true(lambda: bool(listeners(listening)))
        await asyncio.to_thread(commit_elsewhere, listening.url, "first", way)
        return await waiter

    assert asyncio.run(story()) == {"first"}


def test_a_commit_before_the_process_listens_is_not_missed(listening: Database) -> None:
    """The first question was asked before; nobody else commits after."""

    def ask_too_early(connection: Connection) -> set[str]:
        found = names(connection)
        if not found:
            commit_elsewhere(listening.url, "first", "do")
        return found

    found = asyncio.run(listening.read_until(ask_too_early, bool, PATIENCE))

    assert found == {"first"}


def test_a_listening_connection_that_is_lost_is_opened_again(listening: Database) -> None:
    async def story() -> tuple[set[str], set[str]]:
        waiter = asyncio.create_task(wait_for(listening, {"first"}))
        await come_true(lambda: bool(listeners(listening)))
        (lost,) = listeners(listening)
        listening.do(lambda connection: connection.execute(text(f"SELECT pg_terminate_backend({lost})")))
        await asyncio.to_thread(commit_elsewhere, listening.url, "first", "do")
        first = await waiter
        await come_true(lambda: bool(listeners(listening)))
        waiter = asyncio.create_task(wait_for(listening, NAMES))
        await asyncio.to_thread(commit_elsewhere, listening.url, "second", "do")
        return first, await waiter

    assert asyncio.run(story()) == ({"first"}, NAMES)


# --- several processes on PostgreSQL

WAITERS = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
END_OTHERS = text(
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


def test_a_write_after_a_pause_is_kept_though_the_server_ended_its_connection_meanwhile(
    listening: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db, "IDLE_SECONDS", 0.01)

    async def story() -> None:
        await listening.write(add, "first")
        await come_true(lambda: pool(listening).checkedout() == 0)
        other = Database(listening.url)
        other.do(lambda connection: connection.execute(END_OTHERS))
        other.close()
        await listening.write(add, "second")

    asyncio.run(story())

    assert listening.ask(names) == NAMES


def pool(database: Database) -> QueuePool:
    return cast(QueuePool, database.engine.pool)


def test_of_two_first_starts_at_once_one_makes_the_person(listening: Database, tmp_path: Path) -> None:
    service = open_service({"DATA_DIR": str(tmp_path)})
    failed: list[BaseException] = []

    def start_too() -> None:
        try:
            listening.do(lambda connection: app.first_start(connection, service))
        except BaseException as error:  # noqa: BLE001 - of another thread
            failed.append(error)

    second = threading.Thread(target=start_too)
    with listening.engine.begin() as connection:
        app.first_start(connection, service)
        second.start()
        asyncio.run(come_true(lambda: bool(connection.execute(WAITERS).scalar())))
    second.join(PATIENCE)

    assert failed == []
    assert listening.ask(people.count_people) == 1


def test_a_worker_interprets_at_once_what_another_process_received(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interpreter, "IDLE_INTERVAL", 3600.0)
    monkeypatch.setattr(app, "SWEEP_INTERVAL", 3600.0)
    service = open_service({"DATA_DIR": str(tmp_path), "DATABASE_URL": postgres_url})
    other = Database(driver(postgres_url))
    states = select(webhook.c.state)

    async def story() -> None:
        async with app.run_service(service):
            await come_true(lambda: bool(listeners(other)))
            other.do(lambda connection: inbox.store_webhooks(connection, [RECEIVED]))
            await come_true(
                lambda: (
                    other.ask(lambda connection: connection.execute(states).scalars().all()) != ["received"]
                )
            )

    asyncio.run(story())
    other.close()


RECEIVED = ReceivedWebhook(
    source="plex", token_id=None, received_at=clock.now(), content_type=None, raw=b"{}"
)


def test_the_end_waits_for_no_connection_that_is_never_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's host answers nothing, and connecting takes minutes."""
    monkeypatch.setattr(commits, "CLOSE_TIMEOUT", 0.05)
    connecting, given_up = threading.Event(), threading.Event()

    class Unreachable:
        def connect(self) -> Any:
            connecting.set()
            given_up.wait()
            raise ConnectionError("timed out")

    listener = Listener(cast(Engine, Unreachable()), lambda: None)
    connecting.wait()

    listener.close()

    given_up.set()


def test_on_sqlite_nobody_listens(tmp_path: Path) -> None:
    """Another process is a command beside the service, and is found after a moment."""
    prepare(tmp_path)
    database = Database(f"sqlite:///{tmp_path}/watchmark.db")
    before = set(threading.enumerate())

    asyncio.run(database.wait_for_commit(database.committed.count, 0))

    assert set(threading.enumerate()) <= before
    database.close()


def test_what_a_command_commits_beside_the_service_is_found_after_a_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db, "RECHECK_INTERVAL", 0.05)
    prepare(tmp_path)
    database = Database(f"sqlite:///{tmp_path}/watchmark.db")

    async def story() -> set[str]:
        asked = Asked()
        waiter = asyncio.create_task(wait_for(database, {"first"}, asked))
        await come_true(lambda: asked.count > 0)
        await asyncio.to_thread(commit_elsewhere, database.url, "first", "do")
        return await waiter

    assert asyncio.run(story()) == {"first"}
    database.close()
