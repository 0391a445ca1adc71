"""The base class of trackers whose history lists every play with an id of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic

from webhook.domain.outcome import Done, Retry, Undelivered
from webhook.domain.retry import UNSURE_PAUSE
from webhook.trackers import Access, Delivery, WatchedItem
from webhook.trackers._base import Outcome, require_date
from webhook.trackers._listings import ListedHistory, existing_play, nearest_play
from webhook.trackers._refusals import unsettled_retry
from webhook.trackers._scrobbler import FormT, PendingMark, Scrobbler, collect_outcomes, send_in_halves
from webhook.trackers._viewings import viewing_date


@dataclass(frozen=True, slots=True)
class Receipt:
    """An answer to dated marks: the plays that it names (`new` are not there already), and how many marks it took and lost."""

    plays: Sequence[WatchedItem]
    new: frozenset[str | None]
    taken: int
    lost: int


class PlayHistory(ListedHistory, Scrobbler, Generic[FormT]):
    """Looks into the history before it marks, sends late marks together, and undoes one play by its id.

    A subclass has `plays`, `forms` (the item in every form that a dated mark takes, the surest first), `send_marks`
    (one call with dated marks), `scrobble` and `remove_play`.
    """

    undated = False

    def forms(self, delivery: Delivery) -> Sequence[FormT]:
        """Raises Unmatched where there is none."""
        raise NotImplementedError

    async def send_marks(self, marks: Sequence[PendingMark[FormT]], access: Access) -> Receipt:
        raise NotImplementedError

    async def scrobble_mark(self, delivery: Delivery, access: Access) -> Done | None:
        """Mark it live; None where only a dated mark can name it."""
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


def added_play(delivery: Delivery, play: WatchedItem | None) -> Done:
    """A play that was put into the history; where its id is not said, its time will do."""
    at = viewing_date(delivery)
    date = None if at is None else at.isoformat()
    return Done(answer=f"added, watched at {date}", remote_id=(play and play.remote_id) or date)
