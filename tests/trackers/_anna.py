"""Anna's account at the fake of a tracker, and that tracker as it tells her account."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from types import ModuleType
from typing import Any

import httpx

from tests.fakes._server import Server
from tests.trackers._access import Access
from tests.trackers._adapters import ADAPTERS, Adapter
from webhook import client
from webhook.client import Recorder, recording
from webhook.domain.event import Action
from webhook.domain.outcome import Dead, Done, Undelivered
from webhook.trackers import Delivery, WatchedItem, modules

MODULES = modules()


def module_of(name: str) -> ModuleType:
    return MODULES[name.partition("@")[0]]


@dataclass
class Anna:
    """Anna's account at a fake, and the tracker that tells it."""

    server: Server
    adapter: Adapter
    module: ModuleType
    access: Access
    kept: Recorder
    patience: float = 5.0

    @property
    def fake(self) -> Any:
        return self.server.fake

    @property
    def looked_up(self) -> type[Done | Undelivered]:
        """The outcome of what may have arrived: found there, or, where nobody can look, a person's to decide."""
        return Dead if self.adapter.blind else Done

    @property
    def marks(self) -> int:
        return self.adapter.marks(self.fake)

    def run(self, work: Callable[[Any], Awaitable[Any]]) -> Any:
        """What `work` comes to with the tracker and the client that it has in service."""

        async def inside() -> Any:
            async with client.client(timeout=self.patience) as http:
                tracker = self.built(http)
                self.access.tracker = tracker
                with recording(self.kept):
                    return await decided(work(tracker))

        return asyncio.run(inside())

    def move(self, server: Server) -> None:
        """Have her account at another server of the same kind."""
        self.server, server.fake.home = server, server.url
        if self.adapter.blind:  # the address is in the sign-in
            self.access = Access(self.adapter.tokens(server.fake))

    def built(self, http: httpx.AsyncClient) -> Any:
        return self.module.build(self.module.Settings(**self.adapter.settings(self.server.url)), http)

    def send(self, delivery: Delivery) -> Any:
        delivery = self.with_handle(delivery)
        return self.run(lambda tracker: tracker.send(delivery, self.access))

    def send_many(self, deliveries: Sequence[Delivery] | None = None) -> Any:
        """These late marks in one call, or all that the adapter has."""
        several = [self.with_handle(one) for one in (self.adapter.many if deliveries is None else deliveries)]
        return self.run(lambda tracker: tracker.send_many(several, self.access))

    def with_handle(self, delivery: Delivery) -> Delivery:
        """As the outbox hands it out: with the handle that was stored before an earlier try."""
        return replace(delivery, remote_id=delivery.remote_id or self.access.stored.get(delivery.id))

    def held(self, since: datetime | None = None) -> tuple[list[WatchedItem], Any]:
        """What the account holds, as far as it can be read, and the decision that broke it off, or None."""
        found: list[WatchedItem] = []

        async def read(tracker: Any) -> None:
            async for one in tracker.history(self.access, since):
                found.append(one)  # noqa: PERF401 - what came before the decision is kept

        return found, self.run(read)

    def undo(self, delivery: Delivery, outcome: Done) -> Any:
        told = replace(delivery, action=Action.UNWATCHED, mark=False, remote_id=outcome.remote_id)
        return self.send(told)

    def spoil(self, route: str, status: int, **more: Any) -> None:
        """From now on the service says this status of these calls, in its own words."""
        said = self.adapter.says.get(status, {"status": status})
        self.fake.faults.add(route, **{"times": -1, **said, **more})


async def decided(work: Awaitable[Any]) -> Any:
    """A raised decision is an outcome too."""
    try:
        return await work
    except Undelivered as decision:
        return decision


def anna_at(name: str, loopbacks: Mapping[str, Server]) -> Anna:
    adapter, server = ADAPTERS[name], loopbacks[name]
    server.fake = adapter.fake()
    server.fake.home = server.url
    return Anna(server, adapter, module_of(name), Access(adapter.tokens(server.fake)), Recorder())
