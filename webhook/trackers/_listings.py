"""Listings: the plays that an account holds, among which a viewing is looked for, and the undo of one by its id."""

from __future__ import annotations

import time
from bisect import bisect_left, insort
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from webhook.domain.event import Episode, Ids, Item, Movie, describe_kind
from webhook.domain.items import is_one
from webhook.domain.outcome import Dead, Done, Unmatched
from webhook.domain.play import Dated
from webhook.domain.retry import LIVE
from webhook.trackers import Access, Delivery, WatchedItem
from webhook.trackers._base import BaseTracker
from webhook.trackers._json import as_time
from webhook.trackers._viewings import CLOCK_SLACK, SAME_VIEWING, is_fitting, is_undated, noon, viewing_date

GONE = "it was gone already"
LISTING_TTL = 600.0
"""Seconds for which a listed history is believed, before a late mark; our own marks are added to it."""

MAX_LISTINGS = 4
"""The accounts whose history is held in memory."""


@dataclass(slots=True)
class Listing:
    """The plays of an account since a time, those with a date in the order of it."""

    since: datetime | None
    plays: list[WatchedItem] = field(default_factory=list)
    undated: list[WatchedItem] = field(default_factory=list)
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
        if play.at is None:
            self.undated.append(play)
        else:
            insort(self.plays, play, key=play_date)

    def drop(self, play: str | None, item: Item) -> None:
        """Take a play out; one of ours may be listed without its id."""

        def stays(one: WatchedItem) -> bool:
            return one.remote_id != play and not (one.remote_id is None and is_play_of(item, one))

        self.plays = list(filter(stays, self.plays))
        self.undated = list(filter(stays, self.undated))


class ListedHistory(BaseTracker):
    """Base class of trackers that list an account's plays, each with an id of its own.

    A subclass has `plays` and `remove_play`.
    """

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.listings: dict[str, Listing] = {}

    def history(self, access: Access, since: datetime | None = None) -> AsyncIterator[WatchedItem]:
        """As `webhook.trackers.ListsHistory`; `plays` reads the same for a mark that is on its way."""
        return self.plays(access, since)

    def plays(self, access: Access, since: datetime | None = None) -> AsyncIterator[WatchedItem]:
        raise NotImplementedError

    async def remove_play(self, play: int, delivery: Delivery, access: Access) -> bool:
        """Take this play away; False if it was gone already."""
        raise NotImplementedError

    async def unmark(self, delivery: Delivery, access: Access) -> Done:
        """Takes away the one play that we made, never others of the same item."""
        if not delivery.remote_id:
            raise Dead(f"Nothing of ours to undo: {self.label} had this play already, or never took it")
        play = (
            delivery.remote_id if delivery.remote_id.isdecimal() else await self.find_play(delivery, access)
        )
        there = play is not None and await self.remove_play(int(play), delivery, access)
        if (listing := self.listings.get(str(access.tokens))) is not None:
            listing.drop(play, delivery.item)
        return Done(answer="removed" if there else GONE, remote_id=delivery.remote_id)

    async def find_play(self, delivery: Delivery, access: Access) -> str | None:
        """The id of a play of ours of which only the time is known."""
        at = as_time(delivery.remote_id)
        if at is None:
            raise Dead(f"Nothing of ours to undo: {self.label} gave no id for this play")
        told = replace(delivery, at=at, dated=Dated.EXACT)
        listing = await self.list_since([told], access, fresh=True)
        one = nearest_play(told, listing.between(at - CLOCK_SLACK, at + LIVE + SAME_VIEWING))
        return None if one is None else one.remote_id

    # Items of which the history names no id but TMDB's

    def require_place(self, delivery: Delivery) -> tuple[int, int, int]:
        """TMDB's id of an episode's show, its season and number."""
        match delivery.item:
            case Episode(season=int(season), number=int(number), numbering="aired") as item:
                if item.show_ids.tmdb is not None:
                    return item.show_ids.tmdb, season, number
        raise Unmatched(f"{self.label} finds an episode by TMDB's id of its show, its season and number")

    def require_film(self, delivery: Delivery) -> int:
        """TMDB's id of a film; raises Dead for what is no film and no episode."""
        if not isinstance(delivery.item, Movie):
            raise Dead(
                f"{self.label} takes films and episodes that are watched, not {describe_kind(delivery.item.kind)}"
            )
        if delivery.item.ids.tmdb is None:
            raise Unmatched(f"{self.label} finds a film by its TMDB id")
        return delivery.item.ids.tmdb

    # The history

    async def list_since(self, deliveries: Sequence[Delivery], access: Access, *, fresh: bool) -> Listing:
        """The history among which these viewings would be, read again after a while, or where it must be `fresh`."""
        if any(is_undated(delivery) for delivery in deliveries):
            return await self.list_plays(None, access, fresh=fresh)
        since = min(delivery.at for delivery in deliveries) - timedelta(days=2)
        return await self.list_plays(since, access, fresh=fresh)

    async def list_plays(self, since: datetime | None, access: Access, *, fresh: bool = False) -> Listing:
        account = str(access.tokens)
        known = None if fresh else self.listings.get(account)
        if known is not None and time.monotonic() < known.until:
            if known.since is None or (since is not None and known.since <= since):
                return known
            since = None  # a long list goes out, which goes further back with each call
        read = self.plays if fresh else self.history
        plays = [play async for play in read(access, since)]
        dated = sorted((play for play in plays if play.at is not None), key=play_date)
        undated = [play for play in plays if play.at is None]
        listing = Listing(since, dated, undated, time.monotonic() + LISTING_TTL)
        if not fresh:
            self.listings[account] = listing
            for oldest in list(self.listings)[:-MAX_LISTINGS]:
                del self.listings[oldest]
        return listing

    def remember(self, delivery: Delivery, play: str | None, access: Access) -> None:
        """Add our own mark to the listed history."""
        if (listing := self.listings.get(str(access.tokens))) is not None:
            listing.add(WatchedItem(item=delivery.item, at=viewing_date(delivery), remote_id=play))


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


def existing_play(play: WatchedItem, *, ours: bool) -> Done:
    """A play that is there already. Only our own has a handle, since no other is ever taken back."""
    return Done(answer=f"already there, watched at {play.at}", remote_id=play.remote_id if ours else None)
