"""The base class of trackers whose history lists every play with an id of its own."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Generic

from webhook.domain.outcome import Dead, Done, Retry, Undelivered
from webhook.domain.play import Dated
from webhook.domain.retry import LIVE, UNSURE_PAUSE
from webhook.trackers import Access, Delivery, WatchedItem
from webhook.trackers._base import Outcome, require_date
from webhook.trackers._json import as_time
from webhook.trackers._listings import Listing, nearest_play, play_date
from webhook.trackers._refusals import unsettled_retry
from webhook.trackers._scrobbler import FormT, PendingMark, Scrobbler, collect_outcomes, send_in_halves
from webhook.trackers._viewings import CLOCK_SLACK, SAME_VIEWING, viewing_date

GONE = "it was gone already"
LISTING_TTL = 600.0
"""Seconds for which a listed history is believed, before a late mark; our own marks are added to it."""

MAX_LISTINGS = 4
"""The accounts whose history is held in memory."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """An answer to dated marks: the plays that it names (`new` are not there already), and how many marks it took and lost."""

    plays: Sequence[WatchedItem]
    new: frozenset[str | None]
    taken: int
    lost: int


class PlayHistory(Scrobbler, Generic[FormT]):
    """Looks into the history before it marks, sends late marks together, and undoes one play by its id.

    A subclass has `plays`, `forms` (the item in every form that a dated mark takes, the surest first), `send_marks`
    (one call with dated marks), `scrobble` and `remove_play`.
    """

    undated = False

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.listings: dict[str, Listing] = {}

    def history(self, access: Access, since: datetime | None = None) -> AsyncIterator[WatchedItem]:
        """As `webhook.trackers.ListsHistory`; `plays` reads the same for a mark that is on its way."""
        return self.plays(access, since)

    def plays(self, access: Access, since: datetime | None = None) -> AsyncIterator[WatchedItem]:
        raise NotImplementedError

    def forms(self, delivery: Delivery) -> Sequence[FormT]:
        """Raises Unmatched where there is none."""
        raise NotImplementedError

    async def send_marks(self, marks: Sequence[PendingMark[FormT]], access: Access) -> Receipt:
        raise NotImplementedError

    async def scrobble_mark(self, delivery: Delivery, access: Access) -> Done | None:
        """Mark it live; None where only a dated mark can name it."""
        raise NotImplementedError

    async def remove_play(self, play: int, delivery: Delivery, access: Access) -> bool:
        """Take this play away; False if it was gone already."""
        raise NotImplementedError

    # Marks

    async def mark(self, delivery: Delivery, access: Access) -> Done:
        """Live, unless it is there already: a second scrobble may count twice."""
        if not delivery.late:
            self.require_sendable(delivery)
            listing = await self.list_since([delivery], access, fresh=True)
            if (play := listing.find(delivery)) is not None:
                return existing_play(play, ours=delivery.unsure)
            if (done := await self.scrobble_mark(delivery, access)) is not None:
                return done
        return await self.send_alone(delivery, access)

    def require_sendable(self, delivery: Delivery) -> None:
        self.require_single(delivery.item)
        require_date(delivery, self.label)
        self.forms(delivery)

    async def send_many(self, deliveries: Sequence[Delivery], access: Access) -> list[Outcome]:
        """Send marks in one call with their dates, after one look at the history; one not found goes in its next form."""
        marks = [PendingMark(self.label, delivery, self.pending_forms(delivery)) for delivery in deliveries]
        for mark in marks:
            await mark.decide(self.check_sendable(mark.delivery))
        if open_marks := [mark for mark in marks if mark.outcome is None]:
            sent = [mark.delivery for mark in open_marks]
            fresh = any(delivery.unsure for delivery in sent)
            listing = await self.list_since(sent, access, fresh=fresh)
            for mark in open_marks:
                if (play := listing.find(mark.delivery)) is not None:
                    mark.outcome = existing_play(play, ours=mark.delivery.unsure)
        while waiting := [mark for mark in marks if mark.outcome is None and await mark.next_form()]:
            await send_in_halves(waiting, partial(self.send_round, access=access))
        return collect_outcomes(marks)

    async def check_sendable(self, delivery: Delivery) -> None:
        self.require_sendable(delivery)

    async def pending_forms(self, delivery: Delivery) -> AsyncIterator[FormT]:
        for form in self.forms(delivery):
            yield form

    async def send_round(self, marks: Sequence[PendingMark[FormT]], access: Access) -> bool:
        """Send the marks in the forms they have come to, and settle those that were taken."""
        receipt = await self.send_marks(marks, access)
        plays = list(receipt.plays)
        for mark in marks:
            one = nearest_play(mark.delivery, plays)
            if one is not None:
                plays.remove(one)
                fresh = one.remote_id in receipt.new
                mark.outcome = added_play(mark.delivery, one) if fresh else existing_play(one, ours=False)
                self.remember(mark.delivery, one.remote_id, access)
        rest = [mark for mark in marks if mark.outcome is None]
        if rest and not (receipt.plays or receipt.lost) and receipt.taken >= len(marks):
            for mark in rest:  # it counts, and names none
                mark.outcome = added_play(mark.delivery, None)
                self.remember(mark.delivery, None, access)
        elif len(rest) > receipt.lost:
            await self.read_back(rest, receipt.lost, access)
        return True

    async def read_back(self, marks: Sequence[PendingMark[FormT]], lost: int, access: Access) -> None:
        """Look which of these marks are there, where the answer does not say it."""
        try:
            listing = await self.list_since([mark.delivery for mark in marks], access, fresh=True)
        except Undelivered as decision:
            raise unsettled_retry(self.label, decision) from decision
        for mark in marks:
            if (play := listing.find(mark.delivery)) is not None:
                mark.outcome = existing_play(play, ours=True)
            elif not lost:
                reason = f"{self.label} did not say what became of it"
                mark.outcome = Retry(reason, after=UNSURE_PAUSE, unsure=True, suspect=True)

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

    # The history

    async def list_since(self, deliveries: Sequence[Delivery], access: Access, *, fresh: bool) -> Listing:
        """The history among which these viewings would be, read again after a while, or where it must be `fresh`."""
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
        plays = [play async for play in read(access, since) if play.at is not None]
        listing = Listing(since, sorted(plays, key=play_date), time.monotonic() + LISTING_TTL)
        if not fresh:
            self.listings[account] = listing
            for oldest in list(self.listings)[:-MAX_LISTINGS]:
                del self.listings[oldest]
        return listing

    def remember(self, delivery: Delivery, play: str | None, access: Access) -> None:
        """Add our own mark to the listed history."""
        if (listing := self.listings.get(str(access.tokens))) is not None:
            listing.add(WatchedItem(item=delivery.item, at=viewing_date(delivery), remote_id=play))


def existing_play(play: WatchedItem, *, ours: bool) -> Done:
    """A play that is there already. Only our own has a handle, since no other is ever taken back."""
    return Done(answer=f"already there, watched at {play.at}", remote_id=play.remote_id if ours else None)


def added_play(delivery: Delivery, play: WatchedItem | None) -> Done:
    """A play that was put into the history; where its id is not said, its time will do."""
    at = viewing_date(delivery)
    date = None if at is None else at.isoformat()
    return Done(answer=f"added, watched at {date}", remote_id=(play and play.remote_id) or date)
