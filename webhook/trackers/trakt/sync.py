"""The calls under `/sync`: marks with their own dates, ratings and the collection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from webhook.client import excerpt
from webhook.domain.event import Item
from webhook.domain.outcome import Dead, Done, Retry, Undelivered, Unmatched
from webhook.domain.retry import UNSURE_PAUSE
from webhook.trackers import Access, Delivery
from webhook.trackers._base import Outcome
from webhook.trackers._json import JsonObject, count_misses, expect_object, total
from webhook.trackers._refusals import unsettled_retry
from webhook.trackers._scrobbler import PendingMark, Scrobbler, collect_outcomes
from webhook.trackers._viewings import is_undated
from webhook.trackers.trakt.api import Api
from webhook.trackers.trakt.history import History, ids_of, is_sent_time
from webhook.trackers.trakt.matching import is_related
from webhook.trackers.trakt.payloads import LABEL, iso, merge_bodies, sync_entry, watched_at
from webhook.trackers.trakt.responses import added_mark, parse_item, row_id
from webhook.trackers.trakt.search import Finder

GONE = "it was gone already"


class Sync(Api, Scrobbler):
    """Puts late marks into the history with their dates, in one call, and compares what Trakt made of them."""

    finder: Finder
    plays: History

    # Marks

    async def send_many(self, deliveries: Sequence[Delivery], access: Access) -> list[Outcome]:
        """Send marks in one call, each with its own date, after one look at the history.

        What Trakt did not find, or found another item for, is sent again in its next form, together.
        """
        rows = await self.plays.find_rows(deliveries, access)
        marks = [self.begin_mark(delivery, access) for delivery in deliveries]
        for mark in marks:
            await mark.decide(self.find_single(mark.delivery, rows, access))
        seen = ids_of(rows)
        while waiting := [mark for mark in marks if mark.outcome is None and await mark.next_form()]:
            seen |= await self.send_round(waiting, seen, access)
        return collect_outcomes(marks)

    async def find_single(
        self, delivery: Delivery, rows: Sequence[JsonObject], access: Access
    ) -> Done | None:
        self.require_single(delivery.item)
        return await self.plays.find_viewing(delivery, rows, access)

    def begin_mark(self, delivery: Delivery, access: Access) -> PendingMark[JsonObject]:
        """The mark, in the forms in which it is sent.

        A wrong mark without a date cannot be told from one that was there before: so an id is looked up first,
        and the place in the show, which many episodes have in common, saves most of these looks.
        """
        undated = is_undated(delivery)
        forms = self.finder.forms(delivery.item, access, checked=undated, by_place=undated)
        return PendingMark(LABEL, delivery, forms)

    async def send_round(
        self, marks: Sequence[PendingMark[JsonObject]], seen: set[Any], access: Access
    ) -> set[Any]:
        """Send the marks in the forms they have come to; the ids of the history rows that were read after that."""
        body = merge_bodies(
            [sync_entry(mark.current, {"watched_at": watched_at(mark.delivery)}) for mark in marks]
        )
        try:
            response = await self.ask(access, "POST", "/sync/history", json=body)
            answer = self.accept_object(response, "added")
            lost = max(count_misses(answer), len(marks) - total(answer, "added"), 0)
            return await self.read_back(marks, lost, seen, access)
        except Dead as refusal:
            if len(marks) == 1:
                marks[0].outcome = refusal
                return set()
        except Undelivered as decision:
            for mark in marks:
                mark.outcome = mark.outcome or decision
            return set()
        middle = len(marks) // 2  # one of them may be to blame
        read = await self.send_round(marks[:middle], seen, access)
        return read | await self.send_round(marks[middle:], seen | read, access)

    async def read_back(
        self, marks: Sequence[PendingMark[JsonObject]], lost: int, seen: set[Any], access: Access
    ) -> set[Any]:
        """Compare what is new in the history with the marks just sent, `lost` of which Trakt did not find."""
        alone = len(marks) == 1
        try:
            rows = await self.plays.find_rows([mark.delivery for mark in marks], access)
            new = [row for row in rows if row.get("id") not in seen]
            open_marks = [mark for mark in marks if not await self.settle(mark, new, access, alone=alone)]
        except Undelivered as decision:
            raise unsettled_retry(LABEL, decision) from decision
        for mark in open_marks:
            if not lost:  # it was counted, and may be listed later
                mark.outcome = added_mark(mark.delivery, None)
            elif len(open_marks) > lost:
                reason = f"{LABEL} took more than its history shows, and which is not known"
                mark.outcome = Retry(reason, after=UNSURE_PAUSE, unsure=True, lane=False)
        return ids_of(rows)

    async def settle(
        self, mark: PendingMark[JsonObject], new: Sequence[JsonObject], access: Access, *, alone: bool
    ) -> bool:
        """True if a new row shows what became of the mark; one of another item is taken back."""
        item = mark.delivery.item
        sent = [row for row in new if is_sent_time(mark.delivery, row)]
        for row in sent:
            if await self.plays.is_of(item, row, access):
                mark.outcome = added_mark(mark.delivery, row)
                return True
        wrong = sent if alone else [row for row in sent if is_related(item, parse_item(row))]
        for row in wrong:
            theirs = parse_item(row)
            self.finder.distrust(item, theirs)
            mark.wrong.append(theirs)
            await self.remove(row_id(row), access)
        return bool(wrong)

    # Ratings and the collection

    async def rate(self, delivery: Delivery, access: Access) -> Done:
        fields = {"rating": self.require_rating(delivery.rating), "rated_at": iso(delivery.at)}
        return await self.sync("/sync/ratings", delivery.item, fields, access)

    async def unrate(self, delivery: Delivery, access: Access) -> Done:
        return await self.sync("/sync/ratings/remove", delivery.item, {}, access, gives="deleted")

    async def add(self, delivery: Delivery, access: Access) -> Done:
        fields = {"collected_at": iso(delivery.at)}
        return await self.sync("/sync/collection", delivery.item, fields, access)

    async def sync(
        self, path: str, item: Item, fields: JsonObject, access: Access, *, gives: str = "added"
    ) -> Done:
        """Set these fields of one item, in the first form of it that Trakt finds.

        The answer does not name the item: so its own ids are looked up before they are sent.
        """
        answer: str | None = None
        async for form in self.finder.forms(item, access, checked=True):
            response = self.accept(await self.ask(access, "POST", path, json=sync_entry(form, fields)))
            body, answer = expect_object(LABEL, response, gives), excerpt(response)
            if total(body, gives):
                return Done(answer=gives)
            if total(body, "existing") or total(body, "updated"):
                return Done(answer="already there")
            if gives == "deleted" and not count_misses(body):
                return Done(answer=GONE)
        raise Unmatched(f"{LABEL} does not know this {item.kind}", answer=answer)
