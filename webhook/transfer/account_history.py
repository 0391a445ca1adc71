"""The history of a tracker's account, by which a backfill skips plays that are there already."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import cast

from webhook.accounts.credentials import Credentials
from webhook.domain.items import keys, same_item
from webhook.domain.outcome import Park, Snooze
from webhook.domain.play import Dated, Play
from webhook.domain.viewing import is_same_viewing
from webhook.storage.tables import AccountRow
from webhook.trackers import ListsHistory, Tracker, WatchedItem


@dataclass(slots=True)
class Holding:
    """An account's history at the tracker, indexed by the keys of its items."""

    viewings: dict[str, list[WatchedItem]] = field(default_factory=lambda: defaultdict(list))
    count: int = 0
    undated: set[int] = field(default_factory=set)

    def add(self, held: WatchedItem) -> None:
        self.count += 1
        for key in keys(held.item):
            self.viewings[key].append(held)

    def holds(self, current: Play) -> bool:
        """True if the account has this viewing, under any of its ids and at about its date.

        A viewing without a date in the account matches one play, whichever comes first.
        """
        at, there = current.watched_at or current.last_at, self.of_item(current)
        if current.dated is Dated.TICKED:
            return bool(there)
        if any(held.at == at or is_same_viewing(current, held.at) for held in there.values() if held.at):
            return True
        undated = next(
            (known for known, held in there.items() if held.at is None and known not in self.undated), None
        )
        if undated is not None:
            self.undated.add(undated)
        return undated is not None

    def of_item(self, current: Play) -> dict[int, WatchedItem]:
        """The account's viewings of this play's item."""
        return {
            id(held): held
            for key in keys(current.item)
            for held in self.viewings.get(key, ())
            if same_item(current.item, held.item)
        }


async def fetch_history(tracker: Tracker, credentials: Credentials, of: AccountRow) -> Holding:
    """Fetch the account's history from the tracker, page by page; raises Undelivered."""
    found = Holding()
    access = await credentials.access(of.id, of.person_id, tracker)
    if tracker.sign_in != "none" and not access.tokens:
        raise Snooze(f"{tracker.label} is not signed in to", park=Park.SIGNED_OUT)
    async for held in cast(ListsHistory, tracker).history(access):
        found.add(held)
    return found
