"""The history of a tracker's account, by which a backfill skips plays that are there already."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import cast

from webhook.accounts.credentials import Credentials
from webhook.domain.items import keys, same_item
from webhook.domain.outcome import Park, Snooze
from webhook.domain.play import Dated, Play
from webhook.domain.viewing import is_same_viewing
from webhook.history.past_records import distance
from webhook.storage.tables import AccountRow
from webhook.trackers import ListsHistory, Tracker, WatchedItem


@dataclass(slots=True)
class Holding:
    """An account's history at the tracker, indexed by the keys of its items."""

    one_mark: bool = False
    """True if the account keeps one viewing of an item, which then stands for all near it."""
    viewings: dict[str, list[WatchedItem]] = field(default_factory=lambda: defaultdict(list))
    count: int = 0
    undated: set[int] = field(default_factory=set)

    def add(self, held: WatchedItem) -> None:
        self.count += 1
        for key in keys(held.item):
            self.viewings[key].append(held)

    def holds(self, current: Play, others: Callable[[], Sequence[Play]] = tuple) -> bool:
        """True if the account has this viewing, under any of its ids and at about its date.

        A viewing in the account is one play of ours: the nearest of this one and the person's `others` of the item.
        One without a date is the play that comes first.
        """
        at, there = current.watched_at or current.last_at, self.of_item(current)
        if current.dated is Dated.TICKED:
            return bool(there)
        times = [held.at for held in there.values() if held.at]
        near = [time for time in times if is_same_viewing(current, time)]
        if at in times or (near and (self.one_mark or is_nearest(current, others(), times))):
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


def is_nearest(current: Play, others: Sequence[Play], times: Sequence[datetime]) -> bool:
    """True if this play gets one of the times where each is given to one play, the nearest pair first."""
    plays = [current, *(one for one in others if one.dated is not Dated.TICKED)]
    pairs = sorted(
        (distance(one, at), abs((one.watched_at or one.last_at) - at), place, number)
        for place, one in enumerate(plays)
        for number, at in enumerate(times)
        if is_same_viewing(one, at)
    )
    given: set[int] = set()
    taken: set[int] = set()
    for _, _, place, number in pairs:
        if place not in given and number not in taken:
            given.add(place)
            taken.add(number)
    return 0 in given


async def fetch_history(tracker: Tracker, credentials: Credentials, of: AccountRow) -> Holding:
    """Fetch the account's history from the tracker, page by page; raises Undelivered."""
    found = Holding(one_mark=tracker.one_mark)
    access = await credentials.access(of.id, of.person_id, tracker)
    if tracker.sign_in != "none" and not access.tokens:
        raise Snooze(f"{tracker.label} is not signed in to", park=Park.SIGNED_OUT)
    async for held in cast(ListsHistory, tracker).history(access):
        found.add(held)
    return found
