"""Waiting for commits: waiters check the database again after each write."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable

import structlog
from sqlalchemy import Connection, Engine, text

log = structlog.get_logger()

CHANNEL = "watchmark_commits"
LISTEN_INTERVAL = 0.25
"""Seconds between the listening thread's checks for its stop and its connection."""

CLOSE_TIMEOUT = 2.0
"""Seconds that closing waits for the listening thread, which may be connecting to a host that does not answer."""

NOTIFY = text(f"NOTIFY {CHANNEL}")


class Commits:
    """Counts commits and wakes the waiters; safe to use from any thread and loop."""

    def __init__(self) -> None:
        self.count = 0
        self._lock = threading.Lock()
        self._waiters: set[asyncio.Future[None]] = set()

    def announce(self) -> None:
        """Count a commit and wake all waiters."""
        with self._lock:
            self.count += 1
            waiters, self._waiters = self._waiters, set()
        for waiter in waiters:
            with contextlib.suppress(RuntimeError):  # its loop is closed
                waiter.get_loop().call_soon_threadsafe(_resolve, waiter)

    async def wait(self, seen: int, seconds: float) -> None:
        """Wait for a commit after `count` was `seen`, for at most this many seconds."""
        with self._lock:
            if self.count != seen:
                return
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.add(waiter)
        try:
            async with asyncio.timeout(seconds):
                await waiter
        except TimeoutError:
            pass
        finally:
            with self._lock:
                self._waiters.discard(waiter)


def _resolve(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


class Listener:
    """A thread that receives the commit notifications of other processes (PostgreSQL: LISTEN)."""

    def __init__(self, engine: Engine, announce: Callable[[], None]) -> None:
        self._engine = engine
        self._announce = announce
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="commits", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join(CLOSE_TIMEOUT)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with self._engine.connect() as connection:
                    self._listen(connection.execution_options(isolation_level="AUTOCOMMIT"))
            except Exception as error:  # noqa: BLE001 - whatever it is, it listens again
                log.warning(
                    "Commit notifications of other processes are unavailable.",
                    action="listen_fault",
                    why=str(error),
                )
                self._stop.wait(LISTEN_INTERVAL)

    def _listen(self, connection: Connection) -> None:
        connection.execute(text(f"LISTEN {CHANNEL}"))
        driver = connection.connection.driver_connection
        assert driver is not None
        connection.detach()  # no other use of it is to listen
        self._announce()  # nothing was received of the commits before
        while not self._stop.is_set():
            for _ in driver.notifies(timeout=LISTEN_INTERVAL, stop_after=1):
                self._announce()
