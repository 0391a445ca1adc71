"""The base class of progress trackers, which keep one entry for each anime: how far one is, and how often it was rewatched.

An entry is read, then written only where that says more than it did. What a mark makes of it is stored as its handle
before it is sent: after a lost answer the entry tells by it whether the call arrived, and an undoing puts back what
was there, as long as nobody has changed it since.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from typing import Any, ClassVar

import httpx

from webhook.client import send_in_dry_run
from webhook.domain.anime_index import AnimeNamespace
from webhook.domain.event import Action, Kind, describe_kind
from webhook.domain.outcome import Dead, Done, Retry, Skip, Snooze, Undelivered
from webhook.domain.play import Dated
from webhook.trackers import Access, Delivery
from webhook.trackers._base import BatchTracker, Outcome
from webhook.trackers._changes import without_doubt
from webhook.trackers._facts import Anime, Cost, Dates, Facts, Rewatches
from webhook.trackers._pacing import CallPace
from webhook.trackers._progress_rules import (
    AnimeState,
    EntryChange,
    ListEntry,
    ListStatus,
    NothingToWrite,
    is_same,
    parse_change,
    plan_mark,
)
from webhook.trackers._viewings import CLOCK_SLACK

BATCH = 50
"""Two calls each at most, so that a slow service settles them within minutes."""

NOTHING_OF_OURS = "nothing was written for this play, so there is nothing to take back"
RECORDED_EARLIER = "it was recorded at an earlier try"
CHANGED_SINCE = "the entry was changed since, so it stays as it is"


class ProgressTracker(BatchTracker):
    """Keeps the progress in anime. A subclass reads, writes and removes an entry by its `anime_ids`."""

    facts = Facts(Cost.FREE, Dates.SPAN, Rewatches.COUNTED, Anime.ONLY)
    kinds = frozenset({Kind.MOVIE, Kind.EPISODE})
    actions: ClassVar[Mapping[Action, str]] = {Action.WATCHED: "send_alone", Action.UNWATCHED: "unmark"}
    anime_ids: AnimeNamespace
    one_mark = True
    undated = True
    batch = BATCH

    def __init__(self, http: httpx.AsyncClient, url: str, calls_per_minute: float) -> None:
        super().__init__(http, url, calls_per_minute / 60)
        self.pace = CallPace(calls_per_minute)

    async def call(self, method: str, path: str | None, **more: Any) -> httpx.Response:
        await self.pace.wait()
        return await super().call(method, path, **more)

    async def read_anime(self, anime: int, access: Access) -> AnimeState:
        """The anime and the account's entry of it; raises as `send` does."""
        raise NotImplementedError

    async def write_entry(
        self, anime: int, before: ListEntry | None, after: ListEntry, access: Access
    ) -> ListEntry:
        """Write what differs by one call: the entry as the service says it is then."""
        raise NotImplementedError

    async def remove_entry(self, anime: int, access: Access) -> None:
        """Remove the entry; one that is gone already is a success."""
        raise NotImplementedError

    def warning(self, access: Access) -> str | None:
        """What the person must do soon to keep the account, if anything."""
        return None

    async def read(self, anime: int, access: Access) -> AnimeState:
        with send_in_dry_run():
            return await self.read_anime(anime, access)

    # Marks

    async def send_many(self, deliveries: Sequence[Delivery], access: Access) -> list[Outcome]:
        """Send marks, those of one anime by one call; what breaks it off is raised where nothing was sent."""
        outcomes: dict[int, Outcome] = {}
        marks: dict[int, list[Delivery]] = {}
        for delivery in deliveries:
            if delivery.anime is None or delivery.item.kind not in self.kinds:
                outcomes[delivery.id] = Dead(
                    f"{self.label} keeps anime, and this is {describe_kind(delivery.item.kind)}"
                )
            else:
                marks.setdefault(delivery.anime.id, []).append(delivery)
        zone = await access.find_zone() if marks else UTC
        broken: Undelivered | None = None
        for anime, some in marks.items():
            if broken is not None:
                outcomes |= give_all(some, without_doubt(broken))
                continue
            try:
                outcomes |= await self.send_marks(anime, some, zone, access)
            except Undelivered as decision:
                outcomes |= give_all(some, decision)
                broken = decision if isinstance(decision, Retry | Snooze) else None
                if broken is not None and not any(isinstance(one, Done) for one in outcomes.values()):
                    raise
        return [outcomes[delivery.id] for delivery in deliveries]

    async def send_marks(
        self, anime: int, marks: Sequence[Delivery], zone: tzinfo, access: Access
    ) -> dict[int, Outcome]:
        """Send the marks of one anime: the entry is read, and written at most once."""
        state = await self.read(anime, access)
        if is_recorded(state.entry, marks):
            return {mark.id: self.finish(RECORDED_EARLIER, access, mark.remote_id) for mark in marks}
        entry, outcomes, steps = state.entry, dict[int, Outcome](), dict[int, EntryChange]()
        for mark in marks:
            assert mark.anime is not None
            try:
                again = is_new_viewing(mark, state.entry)
                after = plan_mark(
                    replace(state, entry=entry), mark.anime.number, day_of(mark, zone), again=again
                )
                steps[mark.id] = EntryChange(anime, entry, after)
                entry = after
            except NothingToWrite as why:
                outcomes[mark.id] = self.finish(str(why), access)
            except Undelivered as decision:
                outcomes[mark.id] = decision
        if entry is None or not steps:
            return outcomes
        await access.store_handles({mark: step.handle for mark, step in steps.items()})
        there = await self.write_entry(anime, state.entry, entry, access)
        if not is_same(there, entry):
            raise Retry(
                f"{self.label} answered, and the entry is not what was sent", unsure=True, suspect=True
            )
        answer = describe_entry(there)
        return {
            **outcomes,
            **{mark: self.finish(answer, access, step.handle) for mark, step in steps.items()},
        }

    def finish(self, answer: str, access: Access, handle: str | None = None) -> Done:
        return Done(answer=answer, remote_id=handle, note=self.warning(access))

    # Taking back

    async def unmark(self, delivery: Delivery, access: Access) -> Done:
        """Put back what was there before the mark, as long as the entry says what the mark made of it."""
        step = parse_change(delivery.remote_id)
        if step is None:
            raise Skip(NOTHING_OF_OURS)
        state = await self.read(step.anime, access)
        if is_same(state.entry, step.before):
            return Done(answer="it was so already", remote_id=delivery.remote_id)
        if not is_same(state.entry, step.after):
            raise Skip(CHANGED_SINCE)
        if step.before is None:
            await self.remove_entry(step.anime, access)
            return Done(answer="the entry was removed", remote_id=delivery.remote_id)
        await self.write_entry(step.anime, state.entry, step.before, access)
        return Done(answer="what was there before was put back", remote_id=delivery.remote_id)


def give_all(marks: Sequence[Delivery], outcome: Outcome) -> dict[int, Outcome]:
    return {mark.id: outcome for mark in marks}


def is_recorded(entry: ListEntry | None, marks: Sequence[Delivery]) -> bool:
    """True if an earlier try wrote the entry as it is: it is what the last of the marks was to make of it."""
    step = parse_change(marks[-1].remote_id)
    return step is not None and is_same(entry, step.after)


def is_new_viewing(mark: Delivery, entry: ListEntry | None) -> bool:
    """True if it was surely watched again after the entry was last changed, and no earlier try can have said so."""
    if not mark.rewatch or mark.dated is not Dated.EXACT or entry is None or entry.changed_at is None:
        return False
    step = parse_change(mark.remote_id)
    return mark.at > entry.changed_at + CLOCK_SLACK and (step is None or is_same(entry, step.before))


def day_of(mark: Delivery, zone: tzinfo) -> str:
    """The person's day on which it was watched, as YYYYMMDD; empty where nobody knows."""
    if mark.dated is Dated.TICKED:
        return ""
    at: datetime = mark.at if mark.dated is Dated.DAY else mark.at.astimezone(zone)
    return at.strftime("%Y%m%d")


def describe_entry(entry: ListEntry) -> str:
    if entry.status is ListStatus.COMPLETED:
        return f"completed, {entry.repeat} times rewatched" if entry.repeat else "completed"
    if entry.status is ListStatus.REWATCHING:
        return f"rewatched up to episode {entry.progress}"
    return f"watched up to episode {entry.progress}"
