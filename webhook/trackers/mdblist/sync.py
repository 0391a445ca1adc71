"""The calls under `/sync` that write: marks with their dates, plays taken back, ratings and the collection."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import ClassVar

import httpx

from webhook.client import excerpt
from webhook.domain.daily_calls import Urgency
from webhook.domain.event import Action, Item
from webhook.domain.outcome import Dead, Done, Retry
from webhook.domain.retry import UNSURE_PAUSE
from webhook.trackers import Access, Delivery
from webhook.trackers._base import Outcome
from webhook.trackers._budget import DailyBudget
from webhook.trackers._json import (
    JsonObject,
    as_rows,
    as_text,
    child,
    count_misses,
    expect_object,
    total,
    unknown_shape,
)
from webhook.trackers._listings import GONE, is_play_of
from webhook.trackers._plays import PlayHistory, Receipt
from webhook.trackers._scrobbler import PendingMark, no_match
from webhook.trackers._viewings import viewing_date, wire_time
from webhook.trackers.mdblist.payloads import LABEL, Form, Names, parse_play, sync_body

PAGE_SIZE = 1000
MAX_PAGE = 4 * 1024 * 1024
ROW_GROUPS = ("movies", "shows", "seasons", "episodes")
COUNTS = ("added", "updated", "existing")


class Sync(DailyBudget, PlayHistory[Form]):
    """Puts late marks into the history with their dates, a hundred in a call."""

    names: Names
    batch = 100
    actions: ClassVar[Mapping[Action, str]] = {**PlayHistory.actions, Action.ADD: "add"}

    async def pages(
        self, access: Access, path: str, asked: Mapping[str, str], urgency: Urgency
    ) -> AsyncIterator[list[JsonObject]]:
        """The films and episodes, or films and shows, page after page.

        A page may be short; where there is more and no cursor comes, it goes on by the number of rows.
        """
        cursors: set[str | None] = set()
        offset, params = 0, {**asked, "limit": str(PAGE_SIZE)}
        while True:
            self.require_call(access, urgency)
            response = await self.ask(access, "GET", path, params=params, patient=True, most=MAX_PAGE)
            body = self.accept_object(response)
            if not any(isinstance(body.get(name), list) for name in ROW_GROUPS):
                raise unknown_shape(LABEL, response, unsure=False)
            rows = [row for name in ROW_GROUPS for row in as_rows(body.get(name))]
            yield rows
            offset += len(rows)
            paging = child(body, "pagination")
            cursor = as_text(paging.get("next_cursor"))
            if cursor is None and paging.get("has_more") is not True:
                if not paging and len(rows) >= PAGE_SIZE:
                    raise unknown_shape(LABEL, response, unsure=False)
                return
            if cursor in cursors if cursor else not rows:
                raise Retry(f"{LABEL} sends the same page again and again", after=UNSURE_PAUSE)
            cursors.add(cursor)
            place = {"cursor": cursor} if cursor else {"offset": str(offset)}
            params = {**asked, "limit": str(PAGE_SIZE), **place}

    def forms(self, delivery: Delivery) -> Sequence[Form]:
        return self.names.forms(delivery.item)

    async def send_many(self, deliveries: Sequence[Delivery], access: Access) -> list[Outcome]:
        if any(delivery.late for delivery in deliveries):
            self.require_call(access, Urgency.LATE)
        return await super().send_many(deliveries, access)

    async def send_marks(self, marks: Sequence[PendingMark[Form]], access: Access) -> Receipt:
        body = sync_body([(mark.current, date_fields(mark.delivery)) for mark in marks])
        report = {"report_added": "true"}
        response = await self.ask(access, "POST", "/sync/watched", json=body, params=report)
        if response.status_code == 404:
            if len(marks) > 1:
                raise Dead(f"{LABEL} does not know one of these", answer=excerpt(response), suspect=True)
            return Receipt((), frozenset(), taken=0, lost=1)
        answer = self.accept_counts(response)
        rows = as_rows(answer.get("plays"))
        for mark in marks:
            mark.answer = excerpt(response)
        return Receipt(
            plays=[play for row in rows if (play := parse_play(row)) is not None],
            new=frozenset(str(row.get("play_id")) for row in rows if row.get("added") is not False),
            taken=sum(total(answer, name) for name in COUNTS),
            lost=count_misses(answer),
        )

    def accept_counts(self, response: httpx.Response) -> JsonObject:
        """The object in the answer to a sync call, which says what it counted."""
        answer = self.accept_object(response)
        if any(name in answer for name in (*COUNTS, "removed", "deleted", "not_found")):
            return answer
        raise unknown_shape(LABEL, response, unsure=True)

    async def remove_play(self, play: int, delivery: Delivery, access: Access) -> bool:
        """Take the play away, and with the last one of an item the state that it was watched."""
        held = await self.list_plays(None, access)
        others = [one for one in held.plays if one.remote_id != str(play) and is_play_of(delivery.item, one)]
        body = {"play_ids": [play]}
        response = self.accept(await self.ask(access, "POST", "/sync/watched/plays/remove", json=body))
        there = not response.content or play in (expect_object(LABEL, response).get("removed") or ())
        if not others and (there or delivery.unsure or delivery.attempts):
            await self.clear_state(delivery.item, access)
        return there

    async def clear_state(self, item: Item, access: Access) -> None:
        response = await self.ask(access, "POST", "/sync/watched/remove", json=self.first_body(item))
        if response.status_code != 404:
            self.accept(response)

    def first_body(self, item: Item) -> JsonObject:
        self.require_single(item)  # a show alone is every episode that it has
        return sync_body([(self.names.forms(item)[0], {})])

    # Ratings and the collection

    async def rate(self, delivery: Delivery, access: Access) -> Done:
        fields = {"rating": self.require_rating(delivery.rating), "rated_at": wire_time(delivery.at)}
        return await self.sync("/sync/ratings", delivery.item, fields, access, f"rated {delivery.rating}")

    async def unrate(self, delivery: Delivery, access: Access) -> Done:
        return await self.sync("/sync/ratings/remove", delivery.item, {}, access, "removed")

    async def add(self, delivery: Delivery, access: Access) -> Done:
        self.require_single(delivery.item)
        return await self.sync("/sync/collection", delivery.item, {}, access, "added")

    async def sync(self, path: str, item: Item, fields: JsonObject, access: Access, word: str) -> Done:
        """Set these fields of one item, in the first form of it that MDBList finds."""
        answer: str | None = None
        for form in self.names.forms(item):
            response = await self.ask(access, "POST", path, json=sync_body([(form, fields)]))
            answer = excerpt(response)
            if response.status_code == 404:
                continue
            if not self.accept(response).content:
                return Done(answer=word)
            body = self.accept_counts(response)
            if any(total(body, name) for name in (*COUNTS, "removed")):
                return Done(answer=word)
            if not count_misses(body):
                return Done(answer=GONE if word == "removed" else "already there")
        raise no_match(LABEL, item, (), answer)


def date_fields(delivery: Delivery) -> JsonObject:
    at = viewing_date(delivery)
    return {} if at is None else {"watched_at": wire_time(at)}
