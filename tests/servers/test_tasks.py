"""Parts that listen side by side: when one ends, so do the others, and what it raised is raised."""

from __future__ import annotations

import asyncio

import pytest

from webhook.domain.outcome import Retry
from webhook.servers import _tasks
from webhook.servers._tasks import run_together


async def break_off() -> None:
    await asyncio.sleep(0)
    raise Retry("the server hung up")


async def go_on(swallowed: list[str]) -> None:
    """Swallows the first cancellation, as `asyncio.wait_for` may on Python 3.11."""
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if swallowed:
                raise
            swallowed.append("once")


def test_a_part_that_swallows_a_cancellation_holds_no_line_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_tasks, "RETRY_INTERVAL", 0.01)
    swallowed: list[str] = []

    async def listen() -> None:
        async with asyncio.timeout(5):
            await run_together(break_off(), go_on(swallowed))

    with pytest.raises(Retry, match="hung up"):
        asyncio.run(listen())
    assert swallowed == ["once"]
