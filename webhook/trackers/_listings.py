"""Listings: the plays that an account holds, among which a viewing is looked for."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from webhook.domain.event import Ids, Item
from webhook.domain.items import is_one
from webhook.domain.play import Dated
from webhook.trackers import Delivery, WatchedItem
from webhook.trackers._viewings import SAME_VIEWING, is_fitting, noon


@dataclass(slots=True)
class Listing:
    """The plays of an account with a date since a time, in the order of their dates."""

    since: datetime | None
    plays: list[WatchedItem] = field(default_factory=list)
    until: float = 0.0

    def find(self, delivery: Delivery) -> WatchedItem | None:
        """The play nearest to this viewing that can be of it."""
        slack = timedelta(days=1) if delivery.dated is Dated.DAY else SAME_VIEWING
        around = self.between(delivery.at - slack, delivery.at + slack)
        return nearest_play(delivery, [play for play in around if is_fitting(delivery, play.at)])

    def between(self, first: datetime, last: datetime) -> list[WatchedItem]:
        begin = bisect_left(self.plays, first, key=play_date)
        return self.plays[begin : bisect_left(self.plays, last + timedelta(seconds=1), key=play_date)]

    def add(self, play: WatchedItem) -> None:
        if play.at is not None:
            insort(self.plays, play, key=play_date)

    def drop(self, play: str | None, item: Item) -> None:
        """Take a play out; one of ours may be listed without its id."""
        self.plays = [
            one
            for one in self.plays
            if one.remote_id != play and not (one.remote_id is None and is_play_of(item, one))
        ]


def play_date(play: WatchedItem) -> datetime:
    assert play.at is not None
    return play.at


def nearest_play(delivery: Delivery, plays: Sequence[WatchedItem]) -> WatchedItem | None:
    """Of these plays the one of this item whose date is nearest."""
    at = noon(delivery.at) if delivery.dated is Dated.DAY else delivery.at
    mine = [play for play in plays if play.at is not None and is_play_of(delivery.item, play)]
    return min(mine, key=lambda play: abs(play_date(play) - at), default=None)


def is_play_of(item: Item, play: WatchedItem) -> bool:
    """True if a play is of this item, which may have other numbers there where the own ids are the same."""
    theirs = play.item.ids if item.kind is play.item.kind else Ids()
    return is_one(item, play.item) or (item.ids.agrees(theirs) and not item.ids.contradicts(theirs))
