"""The listener: one process holds the line to a server, opens it again, and says since when it is down."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from webhook import clock
from webhook.domain.event import Action
from webhook.domain.outcome import Dead, Retry
from webhook.pipeline import listener as listening
from webhook.pipeline.listener import Listener
from webhook.queues import inbox
from webhook.queues.inbox import ReceivedWebhook
from webhook.queues.listening import LeaseRequest, LineState, line_status, release_lines, renew_lines
from webhook.servers import Audience, CallMeter
from webhook.sources._listened import Statement
from webhook.storage.db import Database, Unavailable

NOW = datetime(2026, 11, 29, 20, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


class Server:
    """A server whose line does what the script says, once for each connection; then it stands."""

    def __init__(self, *script: Exception | timedelta) -> None:
        self.calls = CallMeter()
        self.remark: str | None = None
        self.script = list(script)
        self.connections = 0
        self.clock: Callable[[timedelta], None] = lambda by: None
        self.says: list[Statement] = []

    async def listen(self, audience: Audience) -> None:
        self.connections += 1
        step = self.script.pop(0) if self.script else None
        if isinstance(step, Exception):
            raise step
        await audience.connect()
        for statement in self.says:
            await audience.keep(statement)
        if step is None:
            await asyncio.sleep(60)
        assert step is not None
        self.clock(step)
        raise Retry("it broke off")


class House:
    """A database, the time, and a listener to a server."""

    def __init__(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        self.database = database
        self.now = NOW
        self.repairs: list[datetime] = []
        self.kept: list[ReceivedWebhook] = []
        self.refusals = 0
        monkeypatch.setattr(clock, "now", lambda: self.now)

    def listener(self, server: Server, holder: str = "me") -> Listener:
        server.clock = self.pass_time
        repair: Callable[[], None] = lambda: self.repairs.append(self.now)  # noqa: E731
        return Listener(self.database, "plex", server, self.keep, repair, holder)

    def pass_time(self, by: timedelta) -> None:
        self.now += by

    async def keep(self, received: ReceivedWebhook) -> int:
        if self.refusals:
            self.refusals -= 1
            raise Unavailable("the disk is full")
        self.kept.append(received)
        return len(self.kept)

    def status(self) -> Any:
        return self.database.ask(lambda connection: line_status(connection, "plex", self.now))

    def run(self, listener: Listener, until: Callable[[], bool]) -> None:
        async def follow() -> None:
            stop = asyncio.Event()
            task = asyncio.create_task(listener.run(stop))
            async with asyncio.timeout(20):
                while not until():
                    await asyncio.sleep(0.01)
            stop.set()
            await task

        asyncio.run(follow())


@pytest.fixture
def house(database: Database, monkeypatch: pytest.MonkeyPatch) -> House:
    monkeypatch.setattr(listening, "MIN_PAUSE", 0.01)
    monkeypatch.setattr(listening, "MAX_PAUSE", 0.02)
    return House(database, monkeypatch)


def test_a_line_that_stands_is_live_since_it_does(house: House) -> None:
    server = Server()
    house.run(house.listener(server), lambda: house.status() is not None)

    assert (house.status().state, house.status().since) == (LineState.LIVE, NOW)
    assert house.repairs == []


def test_what_a_server_does_not_serve_is_remarked_on(house: House) -> None:
    """Trap 18."""
    server = Server()
    server.remark = "its socket is not served"
    house.run(house.listener(server), lambda: house.status() is not None)

    assert house.status().remark == "its socket is not served"


def test_a_line_that_flaps_is_down_since_its_first_drop(house: House) -> None:
    """Trap 7."""
    server = Server(10 * MINUTE, *[timedelta(seconds=5)] * 20)
    house.run(house.listener(server), lambda: server.connections >= 21)

    assert (house.status().state, house.status().since) == (LineState.DOWN, NOW + 10 * MINUTE)
    assert "broke off" in house.status().error


def test_a_line_that_broke_once_is_live_again_and_what_was_missed_is_asked_for(house: House) -> None:
    server = Server(10 * MINUTE)
    house.run(
        house.listener(server), lambda: server.connections == 2 and house.status().state is LineState.LIVE
    )

    assert house.status().since == NOW + 10 * MINUTE
    assert len(house.repairs) == 1


def test_a_line_that_flapped_and_then_stands_is_live_again(house: House) -> None:
    server = Server(*[timedelta(seconds=5)] * 3)
    listener = house.listener(server)

    def is_live() -> bool:
        if server.connections == 4:
            house.pass_time(MINUTE)
            listener.settle_status(house.now)
        status = listener.current_status()
        return server.connections == 4 and status is not None and status.state is LineState.LIVE

    house.run(listener, is_live)

    status = listener.current_status()
    assert status is not None
    assert status.error is None


def test_a_refusal_is_said_and_tried_again(house: House) -> None:
    server = Server(Dead("the token is revoked"))
    house.run(house.listener(server), lambda: server.connections == 2)

    assert server.connections == 2
    assert house.repairs == [NOW]


def test_a_fault_of_ours_is_logged_and_the_line_opened_again(house: House) -> None:
    server = Server(KeyError("ratingKey"))
    house.run(house.listener(server), lambda: server.connections == 2)

    assert house.repairs == [NOW]


def test_what_is_heard_is_kept_as_a_webhook_of_its_source_also_after_the_disk_was_full(house: House) -> None:
    server = Server()
    server.says = [Statement(action=Action.START, at=NOW, by="alert", said={"user": {"title": "Nora"}})]
    house.refusals = 1
    house.run(house.listener(server), lambda: bool(house.kept))

    (kept,) = house.kept
    assert (kept.source, kept.token_id) == ("plex", None)
    assert kept.content_type == f"{inbox.LISTENED_CONTENT_TYPE}; by=alert"
    assert orjson.loads(kept.raw)["listened"]["action"] == "start"


def test_what_is_remembered_is_recalled(house: House) -> None:
    listener = house.listener(Server())

    async def remember() -> Any:
        before = await listener.recall("marks.1")
        await listener.remember("marks.1", {"a": 1})
        await listener.remember("marks.1", {"a": 2})
        return before, await listener.recall("marks.1")

    assert asyncio.run(remember()) == (None, {"a": 2})


@pytest.mark.parametrize("url", ["postgres"], indirect=True)
def test_one_process_holds_the_line_and_another_takes_over_what_is_not_renewed(house: House) -> None:
    def ask(holder: str, at: datetime) -> bool:
        request = LeaseRequest(server="plex", holder=holder, now=at, status=None)
        return house.database.do(lambda connection: renew_lines(connection, [request])[0])

    assert ask("one", NOW)
    assert not ask("two", NOW + timedelta(seconds=20))
    assert ask("one", NOW + timedelta(seconds=25))
    assert not ask("two", NOW + timedelta(seconds=50))
    assert ask("two", NOW + timedelta(seconds=56))
    assert not ask("one", NOW + timedelta(seconds=57))


@pytest.mark.parametrize("url", ["postgres"], indirect=True)
def test_a_process_that_stops_lets_the_line_go(house: House) -> None:
    request = LeaseRequest(server="plex", holder="one", now=NOW, status=None)
    house.database.do(lambda connection: renew_lines(connection, [request]))
    house.database.do(lambda connection: release_lines(connection, [request]))

    other = LeaseRequest(server="plex", holder="two", now=NOW, status=None)
    assert house.database.do(lambda connection: renew_lines(connection, [other])) == [True]


@pytest.mark.parametrize("url", ["postgres"], indirect=True)
def test_of_two_processes_only_one_listens(house: House) -> None:
    first, second = Server(), Server()
    one, two = house.listener(first, "one"), house.listener(second, "two")

    async def follow() -> None:
        stop = asyncio.Event()
        tasks = [asyncio.create_task(listener.run(stop)) for listener in (one, two)]
        await asyncio.sleep(1)
        stop.set()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks)

    asyncio.run(follow())

    assert first.connections + second.connections == 1
