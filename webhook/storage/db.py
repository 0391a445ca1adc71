"""The database: one writing thread whose waiting jobs share a commit, and readers beside it.

SQLite runs in WAL mode with synchronous=FULL: what was committed survives a power cut
(https://www.sqlite.org/pragma.html#pragma_synchronous). Everything that writes goes through one
connection, so nothing ever waits on a lock inside the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

import structlog
from sqlalchemy import Connection, Engine, Table, create_engine, event, func, select
from sqlalchemy.engine import make_url

from webhook.settings import SettingsError
from webhook.storage.commits import NOTIFY, Commits, Listener
from webhook.system.files import open_private

log = structlog.get_logger()

T = TypeVar("T")
R = TypeVar("R")
WriteJob = Callable[[Connection, list[Any]], Sequence[Any]]
"""A batched write: gets every queued item and returns one result per item."""

MAX_BATCH = 256
MAX_PENDING = 4000
BUSY_TIMEOUT_MS = 5000
IDLE_SECONDS = 1.0
LOG_PAGES = 4000
"""Pages of the log, 16 MB, after which a commit moves them into the database; an idle second does it before."""

RECHECK_INTERVAL = 0.4


class Unavailable(Exception):
    """The database is unavailable (full, locked, gone); the message says why."""


class Damaged(Unavailable):
    """The database file is damaged; `found` is SQLite's message."""

    def __init__(self, found: str) -> None:
        super().__init__(
            f"the database is damaged ({found}); stop Watchmark and restore the newest backup: "
            "watchmark restore FILE"
        )
        self.found = found


ENCODING = "UTF8"


class WrongEncoding(SettingsError):
    """A PostgreSQL database that was made with an encoding in which not every title can be written."""

    def __init__(self, name: str, encoding: str | None) -> None:
        super().__init__(
            f"The PostgreSQL database {name} has the encoding {encoding}, and titles need {ENCODING}. Nothing was written. "
            f"Make another, and name it in DATABASE_URL: createdb --encoding={ENCODING} --template=template0 NAME"
        )


@dataclass(slots=True)
class PendingWrite:
    job: WriteJob
    item: Any
    future: asyncio.Future[Any]


class Database:
    """Opens one database; `write` and `read` run on its threads, `close` drains them."""

    def __init__(self, url: str, *, synchronous: str = "FULL", checkpoint: bool = True) -> None:
        self.url = url
        self.checkpoint = checkpoint
        self.sqlite = make_url(url).get_backend_name() == "sqlite"
        if self.sqlite:
            create_private(make_url(url).database)
        self.engine = engine(url, synchronous=synchronous, checkpoint=checkpoint)
        self._reading = engine(url, read_only=True) if self.sqlite else self.engine
        self._readers = ThreadPoolExecutor(4, thread_name_prefix="reader")
        self._door = ThreadPoolExecutor(1, thread_name_prefix="door")
        self._queue: queue.SimpleQueue[PendingWrite | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._writing: Connection | None = None
        self._dirty = False
        self._actions: list[Callable[[], None]] = []
        self._listener: Listener | None = None
        self.committed = Commits()
        self.writes = 0
        self.commits = 0

    # --- from the event loop

    async def write(self, job: Callable[[Connection, list[T]], Sequence[R]], item: T) -> R:
        """The result of `job` for this item once it is committed; raises Unavailable when it cannot be."""
        if self._queue.qsize() > MAX_PENDING:
            raise Unavailable("the database is behind; too much waits to be written")
        self._start()
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._queue.put(PendingWrite(job, item, future))
        return await future

    async def run(self, change: Callable[[Connection], R]) -> R:
        """Run the change in the next write transaction and return its result once it is committed."""
        return await self.write(run_changes, change)

    async def read(self, question: Callable[[Connection], R]) -> R:
        """The result of `question`, on a connection that cannot write."""
        return await asyncio.get_running_loop().run_in_executor(
            self._readers, copy_context().run, self.ask, question
        )

    async def read_until(
        self, question: Callable[[Connection], R], holds: Callable[[R], bool], seconds: float
    ) -> R:
        """Ask again after each commit until the answer `holds`; after the timeout return the last answer."""
        ends = time.monotonic() + seconds
        while True:
            seen = self.committed.count
            answer = await self.read(question)
            left = ends - time.monotonic()
            if left <= 0 or holds(answer):
                return answer
            await self.wait_for_commit(seen, left)

    async def wait_for_commit(self, seen: int, seconds: float) -> None:
        """Wait for a commit after `committed.count` was `seen`, for at most this many seconds.

        What a command writes beside the service on SQLite is not announced; it is found after a moment.
        """
        if not self.sqlite and self._listener is None:
            self._listener = Listener(self.engine, self.committed.announce)
        await self.committed.wait(seen, min(seconds, RECHECK_INTERVAL))

    async def read_first(self, question: Callable[[Connection], R]) -> R:
        """As `read`, for incoming webhooks, which do not queue behind pages."""
        return await asyncio.get_running_loop().run_in_executor(
            self._door, copy_context().run, self.ask, question
        )

    # --- from a write job

    def after_commit(self, action: Callable[[], None]) -> None:
        """Run the action on the writing thread once this transaction is committed; never if it is not."""
        self._actions.append(action)

    # --- from any thread

    def ask(self, question: Callable[[Connection], R]) -> R:
        with unavailable(), self._reading.connect() as connection:
            return question(connection)

    def do(self, change: Callable[[Connection], R]) -> R:
        """Run a change in a transaction of its own, here and now (commands, tests, start-up)."""
        with unavailable(), self.engine.begin() as connection:
            result = change(connection)
            if not self.sqlite:
                connection.execute(NOTIFY)
        self.committed.announce()
        return result

    def close(self) -> None:
        """Finish queued work, then close all connections."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
        if self._listener is not None:
            self._listener.close()
        self._readers.shutdown()
        self._door.shutdown()
        self._reading.dispose()
        self.engine.dispose()

    # --- the writing thread

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        going = True
        while going:
            waiting, going = self._take()
            if waiting:
                self._commit(waiting)
                self._dirty = True
            elif self._dirty:
                self._rest()
        self._let_go()

    def _take(self) -> tuple[list[PendingWrite], bool]:
        """The queued writes, up to a batch; none after an idle second. False when it is time to end."""
        waiting: list[PendingWrite] = []
        try:
            entry = self._queue.get(timeout=IDLE_SECONDS)
        except queue.Empty:
            return [], True
        while entry is not None:
            waiting.append(entry)
            if len(waiting) >= MAX_BATCH:
                return waiting, True
            try:
                entry = self._queue.get_nowait()
            except queue.Empty:
                return waiting, True
        return waiting, False

    def _commit(self, waiting: list[PendingWrite]) -> None:
        """Commit all writes in one transaction; if that fails, one for each, so that one cannot fail the others."""
        try:
            answers = self._transact(waiting)
        except Exception as error:  # noqa: BLE001 - whoever waits gets it, whatever it is
            if len(waiting) == 1:
                return self._answer([(waiting[0], error)])
            for entry in waiting:
                self._commit([entry])
            return None
        return self._answer(list(zip(waiting, answers, strict=True)))

    def _transact(self, waiting: list[PendingWrite]) -> list[Any]:
        answers: list[Any] = []
        self._actions.clear()
        connection = self._connection()
        try:
            with unavailable(), connection.begin():
                for job, entries in groupby(waiting, key=lambda entry: entry.job):
                    items = [entry.item for entry in entries]
                    answers += job(connection, items)
                if not self.sqlite:
                    connection.execute(NOTIFY)
        except Exception:
            self._let_go()
            raise
        self.commits += 1
        self.writes += len(waiting)
        self._act()
        self.committed.announce()
        return answers

    def _act(self) -> None:
        """Run what waits for the commit; a fault of it makes nothing of the commit undone."""
        for action in self._actions:
            try:
                action()
            except Exception:
                log.exception("What was to follow a commit failed.", action="after_commit_fault")

    def _connection(self) -> Connection:
        """The writer's own connection, kept from one transaction to the next; a new one after a fault."""
        if self._writing is None:
            with unavailable():
                self._writing = self.engine.connect()
                if (own := driver(self._writing)) is not None:
                    # Else what a savepoint may have to undo goes to a file of its own, beyond a few pages.
                    own.execute("PRAGMA temp_store=MEMORY")
        return self._writing

    def _rest(self) -> None:
        """While idle: checkpoint the write-ahead log, so that bursts need not; or hand the connection to a server back.

        The pool asks whether it still is one before the next write, which a restart of the server would else fail.
        """
        self._dirty = False
        if not self.sqlite:
            self._let_go()
        elif self.checkpoint:
            with contextlib.suppress(Exception):
                cursor = self._connection().connection.cursor()
                cursor.execute("PRAGMA wal_checkpoint(PASSIVE)")
                cursor.close()

    def _let_go(self) -> None:
        if self._writing is not None:
            with contextlib.suppress(Exception):
                self._writing.close()
            self._writing = None

    @staticmethod
    def _answer(answers: list[tuple[PendingWrite, Any]]) -> None:
        loop = answers[0][0].future.get_loop()
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, answers)


def run_changes(connection: Connection, changes: list[Callable[[Connection], R]]) -> list[R]:
    return [change(connection) for change in changes]


def create_private(path: str | None) -> None:
    """Create the file so that only its owner can read it, since it holds personal data and sign-ins."""
    if not path or path == ":memory:":
        return
    refuse_lone_log(Path(path))
    try:
        os.close(open_private(Path(path), os.O_RDONLY))
    except OSError as error:
        raise Unavailable(f"unable to open database file {path}: {error.strerror}") from error


def refuse_lone_log(path: Path) -> None:
    """Refuse a log without its database, whose commits SQLite would discard."""
    if size_of(log_of(path)) and not size_of(path):
        raise Unavailable(
            f"{path} is missing or empty, and its log {log_of(path)} is there. Put the database back beside its "
            f"log, or restore a backup: watchmark restore FILE. To begin without either, move {log_of(path)} away"
        )


def log_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def settle(answers: list[tuple[PendingWrite, Any]]) -> None:
    for entry, answer in answers:
        if entry.future.done():
            continue
        if isinstance(answer, Exception):
            entry.future.set_exception(answer)
        else:
            entry.future.set_result(answer)


class unavailable:  # noqa: N801 - reads as a word: with unavailable(): …
    """Translate the database driver's errors of unavailability into Unavailable."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

        cause = (error.orig or error) if isinstance(error, DBAPIError) else error
        if is_damage(cause):
            raise Damaged(str(cause).strip()) from error
        if isinstance(error, OperationalError | InterfaceError):
            raise Unavailable(str(cause).strip()) from error
        if isinstance(error, sqlite3.OperationalError | sqlite3.InterfaceError):
            raise Unavailable(str(error).strip()) from error


def is_damage(error: BaseException | None) -> bool:
    """True when SQLite found the file malformed, which it reports by the plain base of its errors."""
    return type(error) is sqlite3.DatabaseError


def engine(
    url: str, *, read_only: bool = False, synchronous: str = "FULL", checkpoint: bool = True
) -> Engine:
    if make_url(url).get_backend_name() != "sqlite":
        return postgres_engine(url)
    made = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_MS / 1000, "check_same_thread": False})
    pragmas = [
        "journal_mode=WAL",
        f"synchronous={synchronous}",
        "foreign_keys=ON",
        f"busy_timeout={BUSY_TIMEOUT_MS}",
        "journal_size_limit=67108864",
        "fullfsync=ON",
        "secure_delete=ON",
        f"wal_autocheckpoint={LOG_PAGES if checkpoint and not read_only else 0}",
    ]
    if read_only:
        pragmas.append("query_only=ON")

    @event.listens_for(made, "connect")
    def prepare(connection: sqlite3.Connection, record: object) -> None:
        connection.isolation_level = None  # the driver's own BEGIN comes too late for IMMEDIATE
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(made, "begin")
    def begin(connection: Connection) -> None:
        own = driver(connection)
        assert own is not None
        own.execute("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return made


def postgres_engine(url: str) -> Engine:
    """An engine whose connections raise WrongEncoding where the database cannot hold every title."""
    # Where none is asked for, the database's own is taken, and of SQL_ASCII the driver makes bytes.
    made = create_engine(url, pool_pre_ping=True, pool_size=6, connect_args={"client_encoding": ENCODING})

    @event.listens_for(made, "connect")
    def check_encoding(connection: Any, record: object) -> None:
        found = connection.info.parameter_status("server_encoding")
        if found != ENCODING:
            raise WrongEncoding(connection.info.dbname, found)

    return made


def driver(connection: Connection) -> sqlite3.Connection | None:
    """The SQLite driver's own connection, for the hottest paths; None on PostgreSQL."""
    own = connection.connection.driver_connection
    return own if isinstance(own, sqlite3.Connection) else None


def fresh_ids(connection: Connection, table: Table, count: int) -> list[int]:
    """Ids for rows about to be inserted, in order, so that many rows can go in one statement."""
    if (own := driver(connection)) is not None:
        # Safe because every transaction here holds the write lock from its BEGIN on.
        (last,) = own.execute(f"SELECT max(id) FROM {table.name}").fetchone()  # noqa: S608 - a name of ours
        return list(range((last or 0) + 1, (last or 0) + 1 + count))
    sequence = func.pg_get_serial_sequence(table.name, "id")
    drawn = select(func.nextval(sequence)).select_from(func.generate_series(1, count).table_valued("n"))
    return sorted(connection.execute(drawn).scalars())
