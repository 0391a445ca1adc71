"""A person's marks of an item on a media server, the changes to them, and what came of those."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from webhook.domain.copies import Expectation
from webhook.domain.event import Action, Item
from webhook.domain.outcome import Done, Retry, Undelivered
from webhook.trackers import Delivery
from webhook.trackers._base import Outcome
from webhook.trackers._json import JsonObject

HANDLE_LENGTH, MAX_COPIES = 12, 4
"""Characters of an item's key in the handle of a mark, which names each copy that was marked."""

POSITION_SLACK_MS = 5000
"""Milliseconds by which two positions may differ and still be the same."""

OUTCOME_WORDS: Mapping[Action, str] = {
    Action.WATCHED: "marked watched",
    Action.UNWATCHED: "marked unwatched",
    Action.RATE: "rated",
    Action.UNRATE: "rating removed",
    Action.FAVOURITE: "made a favourite",
    Action.UNFAVOURITE: "no favourite any more",
    Action.PROGRESS: "position set",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class ItemState:
    """A person's marks of an item on a server. `items` are those that its file holds, `row` is what the server sent."""

    key: str
    items: Sequence[Item]
    played: bool = False
    rating: float | None = None
    favourite: bool = False
    position_ms: int = 0
    at: datetime | None = None
    row: JsonObject = field(default_factory=dict)

    def has(self, action: Action, value: int | None) -> bool:
        """True if the item is as this action makes it; a position only ever moves on, and nothing that is watched has one."""
        match action:
            case Action.PROGRESS:
                return self.played or self.position_ms >= (value or 0) - POSITION_SLACK_MS
            case Action.WATCHED | Action.UNWATCHED:
                return self.played is (action is Action.WATCHED)
            case Action.FAVOURITE | Action.UNFAVOURITE:
                return self.favourite is (action is Action.FAVOURITE)
            case Action.UNRATE:
                return not self.rating
        # An agent's 7.9 and our 8 are one rating.
        return self.rating is not None and value is not None and abs(self.rating - value) < 0.5


States = Mapping[str, ItemState]


def value_of(delivery: Delivery) -> int | None:
    """What the action sets: a rating, or a position in ms."""
    return delivery.position_ms if delivery.action is Action.PROGRESS else delivery.rating


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """A change to one copy of an item, for a delivery."""

    delivery: Delivery
    state: ItemState

    @property
    def expectation(self) -> Expectation:
        one = self.delivery
        return Expectation(
            delivery_id=one.id, item_key=self.state.key, action=one.action, value=value_of(one)
        )


def merge_outcomes(plan: Sequence[Change], made: Mapping[tuple[int, str], Outcome]) -> Outcome:
    """The outcome of a delivery by those of its copies: the first that failed."""
    delivery = plan[0].delivery
    outcomes = [made[delivery.id, change.state.key] for change in plan]
    for outcome in outcomes:
        if isinstance(outcome, Undelivered):
            return outcome
    keys = ", ".join(change.state.key for change in plan)
    answer = f"{OUTCOME_WORDS.get(delivery.action, delivery.action)}: {keys}"
    return Done(answer=answer, remote_id=handle_of([change.state for change in plan]))


def without_doubt(decision: Undelivered) -> Undelivered:
    """The decision for what was not sent because of it."""
    if isinstance(decision, Retry):
        return Retry(decision.reason, after=decision.after)
    return decision


def handle_of(states: Sequence[ItemState]) -> str:
    """The handle of a mark: the beginning of the key of each copy, as many as there is room for."""
    return ",".join(state.key[:HANDLE_LENGTH] for state in states[:MAX_COPIES])


def is_handle_of(handle: str | None, key: str) -> bool:
    return handle is not None and key[:HANDLE_LENGTH] in handle.split(",")
