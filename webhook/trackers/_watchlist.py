"""Watchlists: what a tracker with a watchlist fulfils beside `Tracker`.

Where the list can be changed as well, its `actions` have `Action.WATCHLIST` and `Action.UNWATCHLIST`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from webhook.domain.event import Item
from webhook.domain.watchlist import WantedItem
from webhook.trackers import Access


class ListsWatchlist(Protocol):
    """A tracker that keeps a watchlist."""

    async def watchlist(self, access: Access) -> Sequence[WantedItem]:
        """The account's whole watchlist; raises as `send` does, and Retry where not all of it came."""
        ...


class ExplainsAbsence(Protocol):
    """A tracker whose list loses items without being told so, such as those that were watched there."""

    async def explain_absence(self, gone: Sequence[Item], access: Access) -> Sequence[Item]:
        """Of items that left the watchlist those that were watched, or begun, and not taken off."""
        ...
