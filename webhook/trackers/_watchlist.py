"""Watchlists: what a tracker with a watchlist fulfils beside `Tracker`, and what several have in common.

Where the list can be changed as well, its `actions` have `Action.WATCHLIST` and `Action.UNWATCHLIST`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

from webhook.domain.event import Item, Movie, Show
from webhook.domain.outcome import Dead, Retry, Snooze
from webhook.domain.retry import UNSURE_PAUSE
from webhook.domain.watchlist import WantedItem
from webhook.trackers import Access

UNKNOWN_PAUSE = timedelta(days=7)
"""The time after which a service is asked again for a title that it did not know."""

ON_IT, NOT_ON_IT = "already on the list", "it was not on the list"


class ListsWatchlist(Protocol):
    """A tracker that keeps a watchlist."""

    async def watchlist(self, access: Access) -> Sequence[WantedItem]:
        """The account's whole watchlist; raises as `send` does, and Retry where not all of it came."""
        ...


class ExplainsAbsence(Protocol):
    """A tracker whose list loses items by itself, such as those that were watched there."""

    async def explain_absence(self, gone: Sequence[WantedItem], access: Access) -> Sequence[Item]:
        """Of items that left the watchlist those that left it by themselves."""
        ...


class StampsWatchlist(Protocol):
    """A tracker that says by one small call whether its watchlist may have changed."""

    async def watchlist_stamp(self, access: Access) -> str:
        """A text that is another one once anything was put on the list or left it."""
        ...


def require_listable(label: str, item: Item) -> Movie | Show:
    """The film or show; raises Dead for anything else."""
    if isinstance(item, Movie | Show):
        return item
    raise Dead(f"{label} has films and shows on its watchlist, and no {item.kind}")


def unknown_title(label: str, item: Item) -> Snooze:
    """The service does not know the title yet: it is asked again each week, and nothing behind waits."""
    reason = f"{label} does not know this {item.kind} yet; it is asked again in a week"
    return Snooze(reason, after=UNKNOWN_PAUSE, lane=False)


def incomplete_list(label: str, found: int, wanted: int) -> Retry:
    """Not all of a list came, so that nothing can be said of what it lacks."""
    reason = f"{label} sent {found} of {wanted} titles of the watchlist"
    return Retry(reason, after=UNSURE_PAUSE)
