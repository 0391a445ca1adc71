"""The lag of the event loop: seen where something holds it up, and whose doing it was."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Iterator

import pytest

from webhook.system import loop_lag
from webhook.system.loop_lag import LoopLag, collect_garbage, settle_heap


def measured(hold_up: Callable[[], None]) -> LoopLag:
    """What is measured while something holds up the loop."""

    async def run() -> LoopLag:
        lag, stop = LoopLag(), asyncio.Event()
        task = asyncio.create_task(lag.run(stop))
        await asyncio.sleep(0.1)
        hold_up()
        await asyncio.sleep(0.1)
        stop.set()
        await task
        return lag

    return asyncio.run(run())


def work() -> None:
    ends = time.thread_time() + 0.3
    while time.thread_time() < ends:
        pass


def test_work_on_the_loop_is_lag_and_our_own_doing() -> None:
    lag = measured(work)

    assert lag.worst() > 0.2
    assert lag.held_up > 0.2


def test_a_wait_is_lag_and_nobodys_work() -> None:
    lag = measured(lambda: time.sleep(0.3))

    assert lag.worst() > 0.2
    assert lag.held_up < 0.2


def test_the_worst_of_the_last_minute_is_forgotten_after_it() -> None:
    now = [0.0]
    lag = LoopLag(clock=lambda: now[0])

    lag.record(2.0, 1.0)
    now[0] = 30
    lag.record(0.5, 0.1)
    assert lag.worst() == 2.0
    now[0] = 61
    assert lag.worst() == 0.5
    now[0] = 121

    assert lag.worst() == 0.0
    assert lag.held_up == 1.0


@pytest.fixture
def collector() -> Iterator[None]:
    """The garbage collector as it was, afterwards."""
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


@pytest.mark.usefixtures("collector")
def test_full_collections_are_none_of_busy_times() -> None:
    settle_heap()
    before = gc.get_stats()[2]["collections"]

    kept = [[number] for number in range(300_000)]

    assert gc.get_stats()[2]["collections"] == before
    assert gc.get_freeze_count() > 10_000
    assert len(kept) == 300_000


def test_a_full_collection_comes_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_lag, "FULL_COLLECTION", 0.01)
    before = gc.get_stats()[2]["collections"]

    async def run() -> None:
        stop = asyncio.Event()
        task = asyncio.create_task(collect_garbage(stop))
        while gc.get_stats()[2]["collections"] == before:
            await asyncio.sleep(0.01)
        stop.set()
        await task

    asyncio.run(run())
