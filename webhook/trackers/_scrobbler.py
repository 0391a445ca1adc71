"""The base class of trackers of films and episodes: scrobbles live, dated marks late."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar, Generic, Literal, TypeVar, cast

from webhook.domain.event import Action, Episode, Item, Movie, describe_kind
from webhook.domain.outcome import Dead, Done, Retry, Skip, Undelivered, Unmatched
from webhook.domain.retry import LIVE, UNSURE_PAUSE
from webhook.trackers import Access, Delivery
from webhook.trackers._base import BatchTracker, Outcome
from webhook.trackers._viewings import CLOCK_SLACK

Verb = Literal["start", "pause", "stop"]
FormT = TypeVar("FormT")

MIN_PROGRESS = 1.0
"""Below 1 % it is the beginning, or not known at all."""

MAX_PAUSE = 79.9
"""The most that is sent of a pause: from 80 % on it counts as watched."""

MIN_MARK = 80.1
"""The least progress that marks; exactly 80 is read both ways."""

MARK_PROGRESS = 90.0
"""The progress of a mark without a known one."""

SCROBBLE_WINDOW = timedelta(hours=1)
"""For how long a service takes no second scrobble of an item, where it does not say."""


class Scrobbler(BatchTracker):
    """Base class of Trakt and Simkl, which agree on scrobbles, resume points and the 80 % that marks.

    A subclass has `scrobble`, `resume_point`, `mark`, `unmark`, `rate`, `unrate` and `send_many`.
    """

    undated = True
    actions: ClassVar[Mapping[Action, str]] = {
        Action.START: "start",
        Action.PAUSE: "pause",
        Action.STOP: "stop",
        Action.WATCHED: "mark",
        Action.UNWATCHED: "unmark",
        Action.RATE: "rate",
        Action.UNRATE: "unrate",
    }
    min_pause: ClassVar[float] = 0.0
    max_pause: ClassVar[float] = MAX_PAUSE

    async def start(self, delivery: Delivery, access: Access) -> Done:
        """Show it as playing.

        With every start, whatever its progress, the service deletes the resume point that it keeps of the item; only
        a pause or a stop with a known position makes it anew. So a start of which the position is not known,
        or is the very beginning, is sent as 0 % where there is no resume point to lose, and else not at all.
        """
        self.require_single(delivery.item)
        await self.spare_resume_point(delivery, access)
        progress = round(min(max(delivery.progress or 0.0, 0.0), 100.0), 2)
        return await self.scrobble("start", "start", delivery, progress, access)

    async def pause(self, delivery: Delivery, access: Access) -> Done:
        progress = await self.pause_progress(delivery, access)
        return await self.scrobble("pause", "pause", delivery, progress, access)

    async def stop(self, delivery: Delivery, access: Access) -> Done:
        """A mark, or a stop below the watched mark, which is kept as a pause."""
        if delivery.mark:
            return await self.mark(delivery, access)
        progress = await self.pause_progress(delivery, access)
        return await self.scrobble("stop", "pause", delivery, progress, access)

    async def scrobble(
        self, verb: Verb, wanted: str, delivery: Delivery, progress: float, access: Access
    ) -> Done:
        """Send it live; `wanted` is the action that the answer should name."""
        raise NotImplementedError

    async def mark(self, delivery: Delivery, access: Access) -> Done:
        raise NotImplementedError

    async def resume_point(self, item: Item, access: Access) -> float | None:
        """The progress at which the service remembers that this item was left."""
        raise NotImplementedError

    async def pause_progress(self, delivery: Delivery, access: Access) -> float:
        """The progress of a pause. Raises Skip where it is not known, or would lose a resume point."""
        self.require_single(delivery.item)
        if delivery.progress is None:
            raise Skip("How far it was is not known, so there is nothing to keep")
        await self.spare_resume_point(delivery, access)
        return round(min(max(delivery.progress, self.min_pause), self.max_pause), 2)

    async def spare_resume_point(self, delivery: Delivery, access: Access) -> None:
        """Raises Skip where this would replace a resume point by one further back that is not known for sure."""
        progress = delivery.progress or 0.0
        if progress >= MIN_PROGRESS and not delivery.estimated:
            return
        point = await self.resume_point(delivery.item, access)
        if point is not None and point > progress:
            raise Skip(
                f"{self.label} keeps a resume point of this at {point:.0f} %, which would be lost: how far it is now "
                "is not known for sure"
            )

    def require_single(self, item: Item) -> None:
        """Raises Dead unless it is one thing to watch: a show would mark every episode it has."""
        if not isinstance(item, Movie | Episode):
            raise Dead(
                f"{self.label} takes films and episodes that are watched, not {describe_kind(item.kind)}"
            )

    def require_rating(self, rating: int | None) -> int:
        if rating is None or not 1 <= rating <= 10:
            raise Dead(f"{self.label} takes ratings from 1 to 10, not {rating}")
        return rating

    def postpone(self, delivery: Delivery, earlier: datetime, until: datetime | None, iso: Any) -> Retry:
        """A retry once an earlier viewing no longer keeps the service from taking this one, then by its date."""
        until = until or earlier + SCROBBLE_WINDOW
        return Retry(
            f"{self.label} took a viewing of this at {iso(earlier)} and takes no other so soon; this one is sent "
            f"with its own date after {iso(until)}",
            after=max(until - delivery.at, LIVE) + CLOCK_SLACK,
            lane=False,
        )


@dataclass(slots=True)
class PendingMark(Generic[FormT]):
    """A dated mark on its way into the history, in the form it has come to.

    `wrong` is what the forms before led to: other items, whose marks were taken back.
    """

    label: str
    delivery: Delivery
    forms: AsyncIterator[FormT]
    form: FormT | None = None
    wrong: list[Any] = field(default_factory=list)
    answer: str | None = None
    outcome: Outcome | None = None

    async def decide(self, work: Awaitable[Done | None]) -> None:
        """Take the result of this work as the outcome, or the decision that it raises."""
        try:
            self.outcome = await work
        except Undelivered as decision:
            self.outcome = decision

    async def next_form(self) -> bool:
        """Move on to the next form; False if there is none, or if a decision ends the delivery."""
        try:
            self.form = await anext(self.forms)
        except StopAsyncIteration:
            self.outcome = no_match(self.label, self.delivery.item, self.wrong, self.answer)
        except Undelivered as decision:
            self.outcome = decision
        return self.outcome is None

    @property
    def current(self) -> FormT:
        assert self.form is not None
        return self.form


async def send_in_halves(
    marks: Sequence[PendingMark[FormT]], send: Callable[[Sequence[PendingMark[FormT]]], Awaitable[bool]]
) -> None:
    """Send these marks together; in halves where one of them has all refused, or where `send` cannot tell them apart."""
    try:
        if await send(marks) or len(marks) == 1:
            return
    except Dead as refusal:
        if len(marks) == 1:
            marks[0].outcome = refusal
            return
    except Undelivered as decision:
        for mark in marks:
            mark.outcome = mark.outcome or decision
        return
    middle = len(marks) // 2
    await send_in_halves(marks[:middle], send)
    await send_in_halves(marks[middle:], send)


def collect_outcomes(marks: Sequence[PendingMark[Any]]) -> list[Outcome]:
    """The outcome of each mark; raises the one that is about the call, and so about all."""
    outcomes = [cast(Outcome, mark.outcome) for mark in marks]
    if len(outcomes) > 1 and all(outcome is outcomes[0] for outcome in outcomes):
        raise cast(Undelivered, outcomes[0])
    return outcomes


def mark_progress(progress: float | None) -> float:
    return round(min(max(progress or MARK_PROGRESS, MIN_MARK), 100.0), 2)


def no_match(label: str, item: Item, wrong: Sequence[object], answer: str | None = None) -> Unmatched:
    """The item is not known in any form, or was `wrong`ly taken for others."""
    if not wrong:
        return Unmatched(f"{label} does not know this {item.kind}", answer=answer)
    others = " and ".join(dict.fromkeys(map(str, wrong)))
    return Unmatched(f"{label} took this for {others}, which is another {item.kind}; that was taken back")


def action_of(label: str, action: str | None, wanted: str, answer: str) -> tuple[str, str | None]:
    """The action that an answer names, and a note where it marks what was sent as a pause.

    Raises Retry where it names none, Dead where a mark was not counted.
    """
    if action is None:
        reason = f"{label}'s answer does not say what it did"
        raise Retry(reason, answer=answer, after=UNSURE_PAUSE, unsure=True, suspect=True)
    if wanted == "scrobble" and action in ("start", "pause"):
        raise Dead(f"{label} did not count it as watched, but as {action}", answer=answer)
    return action, f"{label} counted it as watched" if action == "scrobble" != wanted else None
