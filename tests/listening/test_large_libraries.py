"""A library of many items is compared page by page: what is held of it is what is new, and the keys of the rest."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, cast

import pytest

from tests.listening._ears import Ears
from webhook.domain.event import Action
from webhook.servers._mediabrowser.polling import MarksPoller
from webhook.servers.plex.api import PlexApi
from webhook.servers.plex.polling import Poller

pytestmark = pytest.mark.unit

ITEMS = 6_000
MOST = 10 << 20
"""Bytes; a list of all these items takes twice as much."""

BULK = "an overview that a server sends along " * 60


class Silent:
    """Nothing was heard to be played."""

    def covers(self, user_id: str, item_id: str, now: datetime) -> bool:
        return False

    def pop_completion(self, user_id: str, item_id: str) -> bool:
        return False


class Cellar:
    """A Jellyfin of which a user has played all but the items above `played`."""

    def __init__(self) -> None:
        self.played = ITEMS - 1

    def row(self, number: int) -> dict[str, Any]:
        data = {"Played": number < self.played, "PlayCount": 1, "LastPlayedDate": "2026-11-20T19:00:00Z"}
        return {
            "Id": f"{number:032x}", "Type": "Movie", "Name": f"Film {number}", "ProductionYear": 2000,
            "ProviderIds": {"Tmdb": str(number)}, "Overview": f"{BULK} {number}", "UserData": data,
        }  # fmt: skip

    async def named_users(self) -> list[dict[str, str]]:
        return [{"Id": "d1" * 16, "Name": "nora"}]

    async def marks_page(
        self, user_id: str, wanted: Mapping[str, str], start: int, size: int
    ) -> tuple[list[Mapping[str, Any]], int]:
        if wanted["Filters"] == "IsFavorite":
            return [], 0
        numbers = range(start, min(start + size, self.played))
        return [self.row(number) for number in numbers], self.played

    async def items_by_key(self, user_id: str, keys: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        return {key: self.row(int(key, 16)) for key in keys}


class Attic:
    """The same as a Plex."""

    def __init__(self) -> None:
        self.played = ITEMS - 1

    def row(self, number: int) -> dict[str, Any]:
        marks = {"viewCount": 1, "lastViewedAt": 1_795_000_000} if number < self.played else {}
        return {
            "ratingKey": str(number + 1), "type": "movie", "title": f"Film {number}", "year": 2000,
            "guid": f"plex://movie/{number:024x}", "summary": f"{BULK} {number}", **marks,
        }  # fmt: skip

    async def get(self, path: str) -> dict[str, Any]:
        return {"Directory": [{"key": "1", "title": "Films", "type": "movie"}]}

    async def section_page(
        self, section: str, kind: str, size: int, *, start: int = 0, **more: Any
    ) -> tuple[list[dict[str, Any]], int]:
        numbers = range(start, min(start + size, self.played))
        return [self.row(number) for number in numbers], self.played

    async def items(self, keys: Sequence[str]) -> dict[str, Any]:
        return {key: self.row(int(key) - 1) for key in keys}


def measure(poll: Callable[[], Awaitable[None]]) -> int:
    """The most memory that polls take beside what they keep, in bytes."""
    tracemalloc.start()
    try:
        asyncio.run(cast(Any, poll()))
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_large_jellyfin_is_compared_in_little_memory() -> None:
    cellar, ears = Cellar(), Ears("jellyfin")

    async def poll() -> None:
        poller = MarksPoller(cellar, ears, {"Id": "c1" * 16}, Silent(), asyncio.Event())
        await poller.poll()
        cellar.played += 1
        poller.whole_at = None
        await poller.poll()
        cellar.played -= 1
        poller.whole_at = None
        await poller.poll()

    assert measure(poll) < MOST
    assert [statement.action for statement in ears.told] == [Action.WATCHED, Action.UNWATCHED]


def test_a_large_plex_is_compared_in_little_memory() -> None:
    attic, ears = Attic(), Ears()

    async def poll() -> None:
        poller = Poller(cast(PlexApi, attic), ears, {"uuid": "5f"}, {"id": "1"}, lambda item: False)
        await poller.poll()
        attic.played += 1
        poller.whole_at = None
        await poller.poll()
        attic.played -= 1
        poller.whole_at = None
        await poller.poll()

    assert measure(poll) < MOST
    assert [statement.action for statement in ears.told] == [Action.WATCHED, Action.UNWATCHED]
