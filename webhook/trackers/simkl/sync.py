"""The calls under `/sync`: marks with their own dates, marks taken back, and ratings."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from functools import partial
from typing import cast

import httpx

from webhook import clock
from webhook.client import excerpt
from webhook.domain.event import Episode, Item, Kind
from webhook.domain.items import keys, same_item
from webhook.domain.outcome import Dead, Done, Undelivered
from webhook.trackers import Access, Delivery, WatchedItem
from webhook.trackers._base import Outcome
from webhook.trackers._json import as_time, expect_object, total
from webhook.trackers._matching import Match
from webhook.trackers._refusals import unsettled_retry
from webhook.trackers._scrobbler import (
    PendingMark,
    Scrobbler,
    collect_outcomes,
    no_match,
    send_in_halves,
)
from webhook.trackers._viewings import SAME_VIEWING, earliest_mark, is_undated
from webhook.trackers.simkl.lists import AccountLists
from webhook.trackers.simkl.marks import SimklMark, SyncResult, is_by_own_id, is_comparable
from webhook.trackers.simkl.matching import match_list_item
from webhook.trackers.simkl.oauth import PinSignIn
from webhook.trackers.simkl.payloads import (
    LABEL,
    Entry,
    entry_of_episode,
    iso,
    merge_bodies,
    require_ratable,
    sync_entries,
    usable_ids,
    watched_at,
)
from webhook.trackers.simkl.responses import BY_ITEM, lost_entries
from webhook.trackers.simkl.search import Finder

CHANGED_WITHIN = timedelta(days=1)
"""The time back from now within which a call's changes are looked for: clocks differ."""

REFUSES_REWATCH = frozenset({400, 402, 403, 422, 426})
"""The statuses by which a rewatch may be refused to who does not pay for it; the contract does not say."""


class Sync(PinSignIn, Scrobbler):
    """Puts late marks into the history with their dates, a hundred at a time, and takes away what it put there."""

    finder: Finder
    lists: AccountLists

    # Marks

    async def send_many(self, deliveries: Sequence[Delivery], access: Access) -> list[Outcome]:
        """Marks put into the history under their own dates; one not found is sent again in its next form."""
        marks = [PendingMark(LABEL, delivery, self.entries(delivery)) for delivery in deliveries]
        for mark in marks:
            await mark.decide(self.find_viewing(mark.delivery, access))
        for again in (False, True):
            mine = [mark for mark in marks if mark.delivery.rewatch is again]
            while waiting := [mark for mark in mine if mark.outcome is None and await mark.next_form()]:
                await send_in_halves(waiting, partial(self.send_round, access=access, again=again))
        return collect_outcomes(marks)

    async def entries(self, delivery: Delivery) -> AsyncIterator[Entry]:
        """The mark in every form that a sync call takes, the surest first.

        An own id of an episode cannot be looked up before, and a mark without a date not found again after: so
        such a mark goes by the id only where nothing else is known of it.
        """
        item, fields = delivery.item, {"watched_at": watched_at(delivery)}
        self.require_single(item)
        sync_entries(item, fields)  # what has none needs no look
        for entry in sync_entries(await self.finder.drop_wrong_ids(item), fields):
            own = entry.group == "episodes" and isinstance(item, Episode)
            if not (own and is_undated(delivery) and is_comparable(cast(Episode, item))):
                yield entry

    async def find_viewing(self, delivery: Delivery, access: Access) -> Done | None:
        """The viewing, where it is there and would be replaced, or counted twice, by one more call."""
        item = delivery.item
        self.require_single(item)
        if is_undated(delivery):
            if any(shares_key(item, listed.item) for listed in await self.lists.all(access)):
                return Done(answer="already there", remote_id=BY_ITEM if delivery.unsure else None)
        elif delivery.rewatch and delivery.unsure:
            since, until = earliest_mark(delivery), delivery.at + SAME_VIEWING
            listed = await self.lists.changes(access, since)
            times = [one.at for one in listed if shares_key(item, one.item)]
            if any(at and since <= at <= until for at in times):
                return Done(answer=f"already there, watched at {iso(delivery.at)}", remote_id=BY_ITEM)
        return None

    async def send_round(self, marks: Sequence[SimklMark], access: Access, *, again: bool) -> bool:
        """Send the marks in the forms they have come to; False if one that was not found cannot be told from the others."""
        response = await self.write([mark.current for mark in marks], access, again=again)
        result = SyncResult.read(response)
        whole = len(marks) == 1 or not result.has_strays([mark.current for mark in marks])
        if whole:
            await self.settle(marks, result, access)
        return whole

    async def write(self, entries: Sequence[Entry], access: Access, *, again: bool) -> httpx.Response:
        """The answer to the marks. Rewatches are for paying members: for others it is sent as a plain mark, which sets a new date."""
        body = merge_bodies(entries)
        if again:
            rewatch = {"allow_rewatch": "yes"}
            response = await self.ask(access, "POST", "/sync/history", json=body, params=rewatch)
            if response.status_code not in REFUSES_REWATCH:
                return self.accept(response)
        return self.accept(await self.ask(access, "POST", "/sync/history", json=body))

    async def settle(self, marks: Sequence[SimklMark], result: SyncResult, access: Access) -> None:
        """Decide each mark; one by an episode's own id is looked up, since the answer does not say which it is."""
        taken: list[SimklMark] = []
        for mark in marks:
            mine = result if len(marks) > 1 else result.narrow_to(mark.current)
            mark.answer = excerpt(result.response)
            if mine.has(mark.current, unsure=mark.delivery.unsure):
                taken.append(mark)
        try:
            astray = await self.take_back_strays([mark for mark in taken if is_by_own_id(mark)], access)
        except Undelivered as decision:
            for mark in taken:
                mark.outcome = unsettled_retry(LABEL, decision)
            return
        for mark in taken:
            if id(mark) not in astray:
                what = "added" if result.some else "already there"
                mark.outcome = Done(
                    answer=f"{what}, watched at {watched_at(mark.delivery)}", remote_id=BY_ITEM
                )
                self.lists.remember(mark.delivery, access)

    async def take_back_strays(self, marks: Sequence[SimklMark], access: Access) -> set[int]:
        """Of the marks by an own id those that marked another episode, which is taken back."""
        if not marks:
            return set()
        changed = await self.lists.changes(access, clock.now() - CHANGED_WITHIN)
        found: set[int] = set()
        for mark in marks:
            item = cast(Episode, mark.delivery.item)
            sent = [one for one in changed if one.at == as_time(watched_at(mark.delivery))]
            if not sent or any([await self.is_listed(item, one) for one in sent]):
                continue
            others = [one for one in sent if not any(
                match_list_item(cast(Episode, other.delivery.item), one) is Match.RIGHT
                for other in marks if other is not mark
            )]  # fmt: skip
            for one in others[:1]:
                theirs = cast(Episode, one.item)
                ids = usable_ids(Kind.SHOW, theirs.show_ids)
                await self.remove(entry_of_episode(ids, theirs.season, theirs.number), access)
                mark.wrong.append(
                    f"{theirs.show} {theirs.season}x{theirs.number or 0:02} {theirs.title or ''}".strip()
                )
                found.add(id(mark))
        return found

    async def is_listed(self, item: Episode, listed: WatchedItem) -> bool:
        matched = match_list_item(item, listed)
        if matched is not Match.OPEN:
            return matched is Match.RIGHT
        theirs = cast(Episode, listed.item)
        return await self.finder.is_known_as(item, {"ids": theirs.show_ids.by_namespace()})

    async def unmark(self, delivery: Delivery, access: Access) -> Done:
        """Takes away the one play of this film or episode, if we made it; never a whole show."""
        self.require_single(delivery.item)
        if not delivery.remote_id:
            raise Dead(f"Nothing of ours to undo: {LABEL} had this mark already, or never took it")
        return await self.take_out("/sync/history/remove", delivery.item, delivery.remote_id, access)

    async def remove(self, entry: Entry, access: Access) -> None:
        self.accept(await self.ask(access, "POST", "/sync/history/remove", json=merge_bodies([entry])))

    # Ratings

    async def rate(self, delivery: Delivery, access: Access) -> Done:
        require_ratable(delivery.item)
        fields = {"rating": self.require_rating(delivery.rating), "rated_at": iso(delivery.at)}
        for entry in sync_entries(await self.finder.drop_wrong_ids(delivery.item), fields):
            body = merge_bodies([entry])
            response = self.accept(await self.ask(access, "POST", "/sync/ratings", json=body))
            result = SyncResult.read(response)
            if result.some and not result.lost:
                return Done(answer=f"rated {delivery.rating}")
        raise no_match(LABEL, delivery.item, (), excerpt(response))

    async def unrate(self, delivery: Delivery, access: Access) -> Done:
        require_ratable(delivery.item)
        return await self.take_out("/sync/ratings/remove", delivery.item, None, access)

    async def take_out(self, path: str, item: Item, handle: str | None, access: Access) -> Done:
        for entry in sync_entries(item, {}):
            response = self.accept(await self.ask(access, "POST", path, json=merge_bodies([entry])))
            body = expect_object(LABEL, response, "deleted")
            if total(body, "deleted"):
                return Done(answer="removed", remote_id=handle)
            if not lost_entries(body):
                return Done(answer="it was gone already", remote_id=handle)
        raise no_match(LABEL, item, (), excerpt(response))


def shares_key(item: Item, theirs: Item) -> bool:
    """True if an item that the account holds is ours: something that both know is the same."""
    return bool(set(keys(item)) & set(keys(theirs))) and same_item(item, theirs)
