"""The socket of a Jellyfin and an Emby, over real connections. The numbers of traps are those of the contract."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.fakes._server import Server
from tests.listening._looks import LENGTH, NORA, SERVERS, Evening, episode
from webhook import client
from webhook.domain.event import Action
from webhook.servers._mediabrowser import listening, socket, viewings
from webhook.servers._tasks import end_tasks

SOON = 10.0


class Socketed(Evening):
    """A server that is looked at once an hour, unless its socket says that something happens."""

    built: Any = None

    async def hear(self, *wanted: Action) -> list[Action]:
        """Play something over the socket; what was said once so much was."""
        http = client.client()
        module, _ = SERVERS[self.name]
        given = {"url": self.url, "api_key": self.fake.switches.key}
        made = module.build(module.Settings.model_validate(given), http)
        line = asyncio.create_task(made.listen(self.ears))
        try:
            async with asyncio.timeout(SOON):
                await self.until(lambda: "SessionsStart" in self.fake.sockets)
                self.built = made
                self.fake.start("s1", episode(), NORA)
                await self.until(lambda: len(self.ears.told) >= min(1, len(wanted)))
                self.fake.stop("s1", LENGTH)
                await self.until(lambda: len(self.ears.told) >= len(wanted))
        finally:
            await end_tasks([line])
            await http.aclose()
        return [event.action for event in self.events]

    async def until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            await asyncio.sleep(0.02)


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Socketed]:
    monkeypatch.setattr(listening, "IDLE_PAUSE", 3600.0)
    monkeypatch.setattr(listening, "BUSY_PAUSE", 0.1)
    monkeypatch.setattr(listening, "MIN_PAUSE", 0.01)
    monkeypatch.setattr(viewings, "MISS_TIME", 0.1 * viewings.MISS_TIME)
    monkeypatch.setattr(socket, "MIN_RETRY", 0.05)
    with Server(SERVERS[request.param][1]()) as running:
        yield Socketed(request.param, running.fake, running.url)


def test_what_begins_is_looked_at_once_the_socket_says_so(server: Socketed) -> None:
    assert asyncio.run(server.hear(Action.START, Action.STOP)) == [Action.START, Action.STOP]
    assert server.built.remark is None


def test_a_socket_that_serves_no_key_is_done_without_and_said_once(
    server: Socketed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trap 18, jellyfin#13479."""
    monkeypatch.setattr(listening, "IDLE_PAUSE", 0.05)
    server.fake.switches.version = "10.10.7"

    with capture_logs() as logs:
        told = asyncio.run(server.hear(Action.START, Action.STOP))

    assert told == [Action.START, Action.STOP]
    assert "socket is not served" in server.built.remark
    assert len([entry for entry in logs if entry.get("action") == "socket_down"]) <= 1


def test_signs_of_life_keep_a_socket_open(server: Socketed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trap 20: a server hangs up without them. Trap 19: one that says nothing meanwhile is heard all the same."""
    server.fake.switches.keep_alive = 0.5
    monkeypatch.setattr(socket, "KEEP_ALIVE", 0.1)

    async def idle() -> int:
        http = client.client()
        module, _ = SERVERS[server.name]
        given = {"url": server.url, "api_key": server.fake.switches.key}
        line = asyncio.create_task(
            module.build(module.Settings.model_validate(given), http).listen(server.ears)
        )
        try:
            async with asyncio.timeout(SOON):
                await server.until(lambda: server.fake.sockets.count("KeepAlive") >= 10)
        finally:
            await end_tasks([line])
            await http.aclose()
        return server.fake.sockets.count("SessionsStart")

    assert asyncio.run(idle()) == 1


def test_the_key_is_in_no_log(server: Socketed) -> None:
    key = server.fake.switches.key
    server.fake.socket_key = "another"

    async def refuse(logs: Sequence[object]) -> None:
        hints: list[int] = []
        http = client.client()
        module, _ = SERVERS[server.name]
        made = module.build(module.Settings.model_validate({"url": server.url, "api_key": key}), http)
        task = asyncio.create_task(made.socket(lambda: hints.append(1), lambda: hints.append(2)).run())
        async with asyncio.timeout(SOON):
            while not logs:
                await asyncio.sleep(0.01)
        await end_tasks([task])
        await http.aclose()

    with capture_logs() as logs:
        asyncio.run(refuse(logs))

    assert [entry["action"] for entry in logs] == ["socket_down"]
    assert key not in str(logs)
