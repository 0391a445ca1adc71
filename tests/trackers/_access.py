"""An account's sign-in kept in memory, and a library that writes down what it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from webhook.domain.copies import Copy, Expectation, choose_copies
from webhook.domain.daily_calls import DailyCalls
from webhook.domain.event import Action, Item
from webhook.trackers import Tokens, WatchedItem


class Library:
    """Remembers marks as (item, at, rewatch); an unmark takes the last one of the item away."""

    def __init__(self) -> None:
        self.marks: list[tuple[Item, datetime, bool]] = []

    async def mark(self, item: Item, at: datetime, *, rewatch: bool) -> str:
        self.marks.append((item, at, rewatch))
        return "marked"

    async def unmark(self, item: Item) -> str:
        self.marks = [mark for mark in self.marks if mark[0] != item]
        return "unmarked"

    async def history(self, since: datetime | None = None) -> AsyncIterator[WatchedItem]:
        for item, at, _ in self.marks:
            if since is None or at >= since:
                yield WatchedItem(item=item, at=at)


class Access:
    """Fulfils `webhook.trackers.Access`: tokens, renewed by the tracker's own `refresh` if it has one.

    `handles` are what deliveries made at the service, `stored` those that were stored before they were sent. `renewals` counts how often it went to the service; as
    in the real one, who asks with tokens that are not the newest any more gets the newest, without another renewal.
    """

    def __init__(self, tokens: Tokens | None = None, *, tracker: Any = None) -> None:
        self._tokens: Tokens = dict(tokens or {})
        self.tracker = tracker
        self.library = Library()
        self.handles: set[str] = set()
        self.stored: dict[int, str] = {}
        self.zone: tzinfo = UTC
        self.renewals = 0
        self.expected: list[Expectation] = []
        self.calls_left: DailyCalls | None = None
        self.turn = asyncio.Lock()

    @property
    def tokens(self) -> Tokens:
        return self._tokens

    async def find_copies(self, item: Item) -> list[Copy]:
        """What the server lists now, of which the index would give these."""
        listed = [copy async for page in self.tracker.copies(self) for copy in page]
        return choose_copies(item, listed)

    async def is_playing(self, copy: Copy) -> bool:
        return False

    async def find_delays(self, action: Action, count: int) -> Sequence[timedelta]:
        return [timedelta(0)] * count

    async def note_calls(self, left: DailyCalls) -> None:
        self.calls_left = left

    async def store_handles(self, handles: Mapping[int, str]) -> None:
        self.stored |= handles

    async def find_zone(self) -> tzinfo:
        return self.zone

    async def expect(self, expected: Sequence[Expectation]) -> None:
        self.expected += expected

    async def is_ours(self, remote_id: str) -> bool:
        return remote_id in self.handles

    async def renew(self, stale: Tokens) -> Tokens:
        async with self.turn:
            if stale == self._tokens:
                self.renewals += 1
                self._tokens = await self.tracker.refresh(stale)
            return self._tokens
