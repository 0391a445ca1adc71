"""A Jellyfin or an Emby that is listened to inside the test's own process, its steps one by one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from tests.fakes._inside import Inside
from tests.fakes._mediabrowser import MediaBrowser
from tests.fakes.emby_server import EmbyServer
from tests.fakes.jellyfin_server import JellyfinServer
from tests.listening._ears import Ears
from webhook import client
from webhook.domain.event import Event
from webhook.domain.outcome import Undelivered
from webhook.servers import emby, jellyfin
from webhook.servers._tasks import end_tasks

NORA, BEN = "d1" * 16, "d2" * 16
SOON = 10.0
LENGTH = 2_700_000
SERVERS: dict[str, tuple[ModuleType, Callable[[], MediaBrowser]]] = {
    "jellyfin": (jellyfin, JellyfinServer),
    "emby": (emby, EmbyServer),
}


def episode(number: int = 9) -> dict[str, Any]:
    return {
        "Id": str(4092 + number), "Type": "Episode", "Name": f"Part {number}", "SeriesName": "Harbour Street",
        "SeriesId": "4000", "ParentIndexNumber": 3, "IndexNumber": number, "ProductionYear": 2018,
        "RunTimeTicks": LENGTH * 10_000, "ProviderIds": {"Tvdb": str(9900000 + number)},
    }  # fmt: skip


SERIES = {"Id": "4000", "Type": "Series", "Name": "Harbour Street", "ProviderIds": {"Tvdb": "880"}}


class Evening:
    """A server with two users, and what is heard of it. `listen` does steps, each once the looks before it were done."""

    def __init__(self, name: str, fake: MediaBrowser, url: str) -> None:
        self.name, self.fake, self.url = name, fake, url
        fake.users |= {NORA: "nora", BEN: "ben"}
        fake.known[SERIES["Id"]] = dict(SERIES)  # type: ignore[index]
        self.ears = Ears(name)

    def listen(self, *steps: Callable[[], Any]) -> Undelivered | None:
        """Listen while the steps are done; the error by which it ended, if it did."""
        return asyncio.run(self.follow(steps))

    async def follow(self, steps: tuple[Callable[[], Any], ...]) -> Undelivered | None:
        http = client.client()
        module, _ = SERVERS[self.name]
        given = {"url": self.url, "api_key": self.fake.switches.key}
        line = asyncio.create_task(
            module.build(module.Settings.model_validate(given), http).listen(self.ears)
        )
        try:
            for step in (None, *steps):
                if step is not None:
                    step()
                await self.pass_looks(line)
        finally:
            broke = line.done()
            await end_tasks([line])
            await http.aclose()
        error = line.exception() if broke else None
        assert error is None or isinstance(error, Undelivered)
        return error

    async def pass_looks(self, line: asyncio.Task[None]) -> None:
        """Wait until the server was looked at often enough for a step to be told."""
        wanted = len(self.fake.made("GET /Sessions")) + 4
        async with asyncio.timeout(SOON):
            while len(self.fake.made("GET /Sessions")) < wanted and not line.done():
                await asyncio.sleep(0.005)

    @property
    def events(self) -> list[Event]:
        return self.ears.events


@contextmanager
def evening(name: str) -> Iterator[Evening]:
    with Inside(SERVERS[name][1]()) as server:
        yield Evening(name, server.fake, server.url)
