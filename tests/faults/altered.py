"""The service with something altered in it that is no setting and must not become one.

    python -m tests.faults.altered hasty acknowledge_first -- serve --json

`hasty` makes pauses short (HASTY_TIMEOUT, HASTY_GATEWAY, HASTY_LIVE, HASTY_LEASE and HASTY_LANE in its environment are seconds). The real ones are minutes (5 s and doubling after a failure, 60 s where it
is open whether a call was recorded, 5 min after a 429): right towards a tracker, too long to wait for
in a test. `hold_settlements`, `hold_intake`, `hold_lanes` and `hold_next_lanes` stand still at a point, for a kill that
meets exactly that. `fast_clock` lets days pass within minutes. `quick_looks` looks at media servers many times a second. The others are mistakes, made on purpose, by which
a test shows that it would find them.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

from sqlalchemy import Connection

from tests.faults.fast_clock import FastClock
from webhook import app, cli, clock, trackers
from webhook import client as remote
from webhook.domain import retry
from webhook.pipeline import breaker, dispatcher, intake, lanes
from webhook.queues import inbox, leases, settlements
from webhook.storage import db

PAUSE = timedelta(milliseconds=80)
LEASE = 1.5
MIN_WAIT = 0.05
"""Seconds that a wait takes at least where the clock is fast, so that what looks again and again leaves time for others."""


def hasty() -> None:
    """Pauses in milliseconds, a lease of little more than a second and a client that waits no longer."""
    timeout = float(os.environ.get("HASTY_TIMEOUT", "0.6"))
    gateway = timedelta(seconds=float(os.environ.get("HASTY_GATEWAY", "0.15")))
    short = {
        "FIRST_PAUSE": PAUSE,
        "MAX_PAUSE": 10 * PAUSE,
        "UNSURE_PAUSE": gateway,
        "BUSY_PAUSE": 2 * PAUSE,
    }
    if "HASTY_LIVE" in os.environ:
        short["LIVE"] = timedelta(seconds=float(os.environ["HASTY_LIVE"]))
    long = {name: vars(retry)[name] for name in short}
    trackers.modules()
    for module in [entry for name, entry in sys.modules.items() if name.startswith("webhook")]:
        for name, value in short.items():
            if vars(module).get(name) is long[name]:
                setattr(module, name, value)
    leases.LEASE = timedelta(seconds=float(os.environ.get("HASTY_LEASE", LEASE)))
    leases.RENEWAL_INTERVAL = leases.LEASE / 4
    lanes.LANE_TIME = timedelta(seconds=float(os.environ.get("HASTY_LANE", "1")))
    vars(app)["SWEEP_INTERVAL"] = 1.0
    client, backoff = remote.client, retry.backoff

    def paused(attempts: int, jitter: Any = None) -> timedelta:
        return backoff(attempts, jitter) / 20  # it is a second at least

    retry.backoff = paused
    vars(remote)["client"] = lambda **given: client(timeout, timeout, **given)


def fast_clock() -> None:
    """The clock is as fast as FAST_CLOCK says, and so are waits; calls and leases have as long as ever."""
    fast = FastClock.parse(os.environ["FAST_CLOCK"])
    now, awaken, monotonic, begun = clock.now, clock.awaken, time.monotonic, time.monotonic()

    def awaken_soon(news: asyncio.Event, stop: asyncio.Event, seconds: float) -> Awaitable[bool]:
        return awaken(news, stop, max(seconds / fast.speed, min(seconds, MIN_WAIT)))

    vars(clock).update(now=lambda: fast.tell(now()), awaken=awaken_soon)
    vars(breaker)["time"] = SimpleNamespace(monotonic=lambda: begun + (monotonic() - begun) * fast.speed)
    leases.LEASE *= fast.speed


def hold_settlements() -> None:
    """The writer stops for good between the first settlement of a call and its commit; marks here make no call."""
    settle = settlements.settle

    def hold(connection: Connection, waiting: list[settlements.Settlement]) -> list[bool]:
        settle(connection, waiting)
        threading.Event().wait()
        raise AssertionError("nobody sets it")

    settlements.settle = hold


def hold_lanes() -> None:
    """Lanes that were claimed as a webhook was stored are not worked on."""
    dispatcher.Dispatcher.start_soon = lambda self, claimed: None  # type: ignore[method-assign]


def hold_next_lanes() -> None:
    """Lanes that were claimed as another was settled are not worked on."""
    dispatcher.Dispatcher.start_and_rest = lambda self, claim: None  # type: ignore[method-assign]


def hold_intake() -> None:
    """The writer stops for good between the interpretation of a webhook and the commit that stores it."""
    take_in = intake.Intake.take_in

    def hold(self: intake.Intake, connection: Connection, waiting: list[inbox.ReceivedWebhook]) -> list[int]:
        take_in(self, connection, waiting)
        threading.Event().wait()
        raise AssertionError("nobody sets it")

    intake.Intake.take_in = hold  # type: ignore[method-assign]


def unsynced() -> None:
    """SQLite leaves it to the system when a commit reaches the disk."""
    synchronous("OFF")


def synced_now_and_then() -> None:
    """SQLite's usual advice for WAL: the log is synced at a checkpoint, not at each commit."""
    synchronous("NORMAL")


def synchronous(how: str) -> None:
    engine = db.engine

    def careless(url: str, **given: Any) -> Any:
        return engine(url, **{**given, "synchronous": how})

    db.engine = careless


def acknowledge_first() -> None:
    """Answers 200 from memory and writes afterwards, as most receivers do."""
    keep = intake.Intake.keep
    behind: set[Any] = set()

    async def later(self: intake.Intake, received: inbox.ReceivedWebhook) -> None:
        import asyncio

        await asyncio.sleep(0.05)
        await keep(self, received)

    async def kept(self: intake.Intake, received: inbox.ReceivedWebhook) -> int:
        import asyncio

        task = asyncio.create_task(later(self, received))
        behind.add(task)
        task.add_done_callback(behind.discard)
        return 0

    intake.Intake.keep = kept  # type: ignore[method-assign]


def blind() -> None:
    """Sends again without a look whether the first time was recorded."""
    told = lanes.delivery_of
    lanes.delivery_of = lambda row, now: replace(told(row, now), unsure=False)


def newest_first() -> None:
    """Sends what waits of an account from its end."""
    heads = leases.fetch_heads
    leases.fetch_heads = lambda *given: heads(*given)[::-1]


def quick_looks() -> None:
    """Servers are looked at many times a second, and a line that broke is opened again at once."""
    from webhook.pipeline import listener
    from webhook.servers._mediabrowser import listening, polling, viewings

    vars(listening).update(BUSY_PAUSE=0.05, IDLE_PAUSE=0.05, POLL_DELAY=0.2)
    vars(polling).update(POLL_PAUSE=0.2, WHOLE_PAUSE=0.3)
    vars(viewings).update(MISS_TIME=timedelta(seconds=0.1), SETTLE=timedelta(seconds=0.2))
    vars(listener).update(MIN_PAUSE=0.1, MAX_PAUSE=0.2)


ALTERATIONS: dict[str, Callable[[], None]] = {
    made.__name__: made
    for made in (
        hasty,
        fast_clock,
        hold_settlements,
        hold_lanes,
        hold_next_lanes,
        hold_intake,
        unsynced,
        synced_now_and_then,
        acknowledge_first,
        blind,
        newest_first,
        quick_looks,
    )
}


def serve(names: Sequence[str], arguments: Sequence[str]) -> None:
    """The command, altered so."""
    for name in names:
        ALTERATIONS[name]()
    sys.argv = ["watchmark", *arguments]
    cli.main()


def forked(
    names: Sequence[str],
    words: Sequence[str],
    environ: dict[str, str],
    log: str,
    said: int,
    limits: Sequence[int],
) -> None:
    """The same in a process that was forked from one that has everything imported already."""
    import resource

    os.environ.clear()
    os.environ.update(environ)
    os.chdir(environ["DATA_DIR"])
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(handle, 2)
    os.dup2(said, 1)
    for limit in limits:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    assert threading.active_count() == 1
    serve(names, words)


if __name__ == "__main__":
    at = sys.argv.index("--")
    serve(sys.argv[1:at], sys.argv[at + 1 :])
