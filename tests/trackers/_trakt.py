"""What the tests of the tracker `trakt` share: Anna's account at the fake, and a way to tell it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from pydantic import SecretStr

from tests.fakes._server import Server
from tests.fakes.trakt import Trakt as FakeTrakt
from tests.trackers._access import Access
from webhook.domain.event import Action, Episode, Ids, Movie
from webhook.domain.outcome import Done, Undelivered
from webhook.trackers import Delivery, SignInFailed
from webhook.trackers.trakt import Settings, Trakt, build

NOW = datetime(2026, 11, 22, 20, 15, 9, tzinfo=UTC)
TRON = Movie(title="TRON: Legacy", year=2010, ids=Ids(imdb="tt1104001", tmdb=20526))
PILOT = Episode(
    title="Pilot",
    show="Breaking Bad",
    season=1,
    number=1,
    year=2008,
    ids=Ids(tvdb=349232),
    show_ids=Ids(tvdb=81189),
)
STRANGE_FILM = Movie(title="Nobody Knows", year=1999, ids=Ids(tmdb=4_242_420))
STRANGE_EPISODE = replace(
    PILOT, show="Nowhere at All", year=2001, ids=Ids(tvdb=4_242_430), show_ids=Ids(tvdb=4_242_440)
)
"""What Trakt knows in no form."""

MARK = Delivery(id=1, action=Action.STOP, item=TRON, at=NOW, progress=97.0, mark=True)
LATE = replace(MARK, at=NOW - timedelta(hours=5), late=True)


def reel(number: int) -> Movie:
    """One of the fake's many films."""
    return Movie(title=f"Reel {number}", year=2000, ids=Ids(tmdb=800_000 + number))


@dataclass
class Account:
    """Anna's account at the fake, and the tracker that tells it."""

    trakt: Trakt
    access: Access

    async def send(self, delivery: Delivery) -> Done:
        return await self.trakt.send(delivery, self.access)


@asynccontextmanager
async def account(server: Server, *, timeout: float = 2, **settings: Any) -> AsyncIterator[Account]:
    given = {"client_id": "fake-client-id", "client_secret": SecretStr("fake-client-secret")}
    places = {"api_url": server.url, "auth_url": server.url}
    async with httpx.AsyncClient(timeout=timeout, verify=False) as http:
        trakt = build(Settings(**{**given, **places, **settings}), http)
        yield Account(trakt, Access(server.fake.sign_in("anna"), tracker=trakt))


def using(server: Server, work: Callable[[Account], Coroutine[Any, Any, Any]], **settings: Any) -> Any:
    """What `work` comes to with a fresh tracker and sign-in."""

    async def inside() -> Any:
        async with account(server, **settings) as at:
            return await work(at)

    return asyncio.run(inside())


def send(server: Server, *deliveries: Delivery, **settings: Any) -> Any:
    """The outcome of the last of these deliveries; a raised decision is an outcome too."""

    async def each(at: Account) -> Any:
        for delivery in deliveries:
            outcome = await decided(at.send(delivery))
        return outcome

    return using(server, each, **settings)


def many(server: Server, *deliveries: Delivery) -> Any:
    """What becomes of these when they are sent together."""
    return using(server, lambda at: decided(at.trakt.send_many(deliveries, at.access)))


async def decided(work: Coroutine[Any, Any, Any]) -> Any:
    try:
        return await work
    except (Undelivered, SignInFailed) as decision:
        return decision


def plays(fake: FakeTrakt) -> list[Any]:
    return fake.user("anna").history


def bodies(fake: FakeTrakt, route: str) -> list[Any]:
    return [call.body for call in fake.made(route)]


def item_of(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name != "progress"}
