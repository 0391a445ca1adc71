"""The base class of media servers that are told: a person's marks there are compared first, and written once.

A server has no call for many marks. Many late ones are looked up together, written two at a time, and read back
together, since a success of the call alone proves no change.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import ClassVar

from webhook import clock
from webhook.domain.copies import Copy
from webhook.domain.event import Action, Kind, describe_kind
from webhook.domain.items import same_item
from webhook.domain.outcome import SLOWED, Dead, Done, Park, Retry, Skip, Snooze, Undelivered, Unmatched
from webhook.domain.retry import UNSURE_PAUSE
from webhook.trackers import Access, Delivery
from webhook.trackers._base import BatchTracker, Outcome
from webhook.trackers._changes import (
    Change,
    ItemState,
    States,
    handle_of,
    is_handle_of,
    merge_outcomes,
    value_of,
    without_doubt,
)
from webhook.trackers._refusals import Refusal, park_as

WRITERS = 2
"""Calls at a time that write: a server's database takes one after the other anyway."""

LISTED_AGAIN = timedelta(days=1)
"""The time after which what is not on the server is looked for anew; what is added meanwhile is sent at once."""

POSITION_AGE = timedelta(days=1)
PLAYING_PAUSE = timedelta(minutes=5)
LEFT_LONG_AGO = "it was left more than a day ago, so its position is not set"
PLAYING_NOW = "it is playing now; its position waits"
NOT_THERE = "it is not on this server yet; it is sent when it is added"
NOT_OURS = "it was watched there before Watchmark marked anything, so there is no mark of ours to take back"


def skip_hidden(refusal: Refusal) -> Skip:
    return Skip(refusal.reason("this person cannot see the item"), answer=refusal.answer)


class MediaServer(BatchTracker):
    """Base class of media servers. A subclass reads states and copies, and has a method for each write."""

    kinds = frozenset({Kind.MOVIE, Kind.EPISODE})
    actions: ClassVar[Mapping[Action, str]] = {
        Action.WATCHED: "send_alone",
        Action.UNWATCHED: "unmark",
        Action.RATE: "send_alone",
        Action.UNRATE: "send_alone",
        Action.PROGRESS: "set_position",
    }
    one_mark = True
    undated = True
    batch = 100
    statuses = {401: park_as(Park.SIGNED_OUT), 403: skip_hidden}

    async def read_states(self, access: Access, keys: Sequence[str]) -> States:
        """The states of these items, without those that are gone or hidden from this person."""
        raise NotImplementedError

    async def write(self, access: Access, state: ItemState, action: Action, delivery: Delivery) -> None:
        """Make the change by one call; raises as `send` does."""
        raise NotImplementedError

    def copies(self, access: Access) -> AsyncIterator[Sequence[Copy]]:
        raise NotImplementedError

    async def send_many(self, deliveries: Sequence[Delivery], access: Access) -> list[Outcome]:
        found = [await self.locate(delivery, access) for delivery in deliveries]
        keys = dict.fromkeys(copy.item_key for copies in found if isinstance(copies, list) for copy in copies)
        states = await self.read_states(access, list(keys)) if keys else {}
        plans = [
            self.compare(delivery, copies, states) for delivery, copies in zip(deliveries, found, strict=True)
        ]
        plans = await self.slow_down(access, deliveries, plans)
        changes = [change for plan in plans if isinstance(plan, list) for change in plan]
        made = await self.make(access, changes) if changes else {}
        return [merge_outcomes(plan, made) if isinstance(plan, list) else plan for plan in plans]

    async def locate(self, delivery: Delivery, access: Access) -> list[Copy] | Undelivered:
        if delivery.item.kind not in self.kinds:
            return Dead(
                f"{self.label} is told of films and episodes, and this is {describe_kind(delivery.item.kind)}"
            )
        try:
            copies = list(await access.find_copies(delivery.item))
        except Unmatched as decision:
            return decision
        return copies or Snooze(NOT_THERE, after=LISTED_AGAIN, lane=False)

    def compare(
        self, delivery: Delivery, copies: list[Copy] | Undelivered, states: States
    ) -> list[Change] | Outcome:
        """The changes that are left to make, or the outcome where there are none."""
        if isinstance(copies, Undelivered):
            return copies
        # A key may have become another item's since the server was listed.
        there = [
            state
            for key in dict.fromkeys(copy.item_key for copy in copies)
            if (state := states.get(key)) is not None
            and any(same_item(item, delivery.item) for item in state.items)
        ]
        if not there:
            return Snooze(NOT_THERE, after=LISTED_AGAIN, lane=False)
        if delivery.action is Action.UNWATCHED:
            there = [state for state in there if is_handle_of(delivery.remote_id, state.key)]
        left = [state for state in there if not state.has(delivery.action, value_of(delivery))]
        if left:
            return [Change(delivery, state) for state in left]
        handle = delivery.remote_id or (handle_of(there) if delivery.unsure else None)
        return Done(answer="it was so already", remote_id=handle)

    async def slow_down(
        self, access: Access, deliveries: Sequence[Delivery], plans: Sequence[list[Change] | Outcome]
    ) -> list[list[Change] | Outcome]:
        """The plans, without the changes beyond what is told in a minute unless a person asks for it."""
        slowed = list(plans)
        places = [
            place
            for place, plan in enumerate(plans)
            if isinstance(plan, list) and not deliveries[place].asked
        ]
        for action in dict.fromkeys(deliveries[place].action for place in places):
            same = [place for place in places if deliveries[place].action is action]
            for place, delay in zip(same, await access.find_delays(action, len(same)), strict=True):
                if delay:
                    slowed[place] = Snooze(SLOWED, after=delay, lane=False)
        return slowed

    async def make(self, access: Access, changes: Sequence[Change]) -> dict[tuple[int, str], Outcome]:
        """Make the changes: the outcome of each, by delivery and key. What breaks it off is raised where nothing was made.

        The first goes alone, so that of a server in trouble no more than one call is unsure.
        """
        first = {
            (one.state.key, one.delivery.action, value_of(one.delivery)): one for one in reversed(changes)
        }
        made = await self.write_all(access, [change for change in changes if change in first.values()])
        for change in changes:  # two episodes of one file, or two viewings of one film, are one mark
            place = change.delivery.id, change.state.key
            if place not in made:
                one = first[change.state.key, change.delivery.action, value_of(change.delivery)]
                made[place] = made[one.delivery.id, one.state.key]
        return made

    async def write_all(self, access: Access, changes: Sequence[Change]) -> dict[tuple[int, str], Outcome]:
        await access.expect([change.expectation for change in changes])
        made: dict[tuple[int, str], Outcome] = {}
        broken: list[Undelivered] = []

        async def make_next(waiting: Iterator[Change]) -> None:
            for change in waiting:
                if broken:
                    made[change.delivery.id, change.state.key] = without_doubt(broken[0])
                    continue
                try:
                    await self.write(access, change.state, change.delivery.action, change.delivery)
                    made[change.delivery.id, change.state.key] = Done(answer="")
                except (Retry, Snooze) as decision:
                    broken.append(decision)
                    made[change.delivery.id, change.state.key] = decision
                except Undelivered as decision:
                    made[change.delivery.id, change.state.key] = decision

        await make_next(iter(changes[:1]))
        if broken:
            raise broken[0]
        rest = iter(changes[1:])
        await asyncio.gather(*(make_next(rest) for _ in range(WRITERS)))
        await self.read_back(access, changes, made)
        return made

    async def read_back(
        self, access: Access, changes: Sequence[Change], made: dict[tuple[int, str], Outcome]
    ) -> None:
        """Replace the outcomes of what the server took and did not keep."""
        written = [
            change for change in changes if isinstance(made[change.delivery.id, change.state.key], Done)
        ]
        keys = dict.fromkeys(change.state.key for change in written)
        states = await self.read_states(access, list(keys)) if keys else {}
        for change in written:
            now, delivery = states.get(change.state.key), change.delivery
            if now is None or not now.has(delivery.action, value_of(delivery)):
                reason = f"{self.label} answered, and the item is as it was"
                made[delivery.id, change.state.key] = Retry(
                    reason, after=UNSURE_PAUSE, unsure=True, suspect=True
                )

    async def set_position(self, delivery: Delivery, access: Access) -> Done:
        """Set where an item was left elsewhere, within a day, and never while it plays."""
        if clock.now() - delivery.at > POSITION_AGE:
            raise Skip(LEFT_LONG_AGO)
        playing = await self.read_open_keys(access)
        for copy in await access.find_copies(delivery.item):
            if copy.item_key in playing or await access.is_playing(copy):
                raise Snooze(PLAYING_NOW, after=PLAYING_PAUSE, lane=False)
        return await self.send_alone(delivery, access)

    async def read_open_keys(self, access: Access) -> Collection[str]:
        """The keys of what this person plays on the server now, as far as it lets them see."""
        raise NotImplementedError

    async def unmark(self, delivery: Delivery, access: Access) -> Done:
        """Take back a mark of ours. What was watched there before stays watched."""
        if delivery.remote_id is None:
            raise Skip(NOT_OURS)
        return await self.send_alone(delivery, access)
