"""Marks: viewings on their way into the history, each under its own date, and what became of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Sequence
from dataclasses import dataclass, field, replace

import httpx

from webhook.domain.event import Episode
from webhook.domain.outcome import Done, Undelivered
from webhook.domain.play import Dated
from webhook.trackers import Delivery
from webhook.trackers._shared import Json, counted, inner, noon, rows
from webhook.trackers.simkl.payloads import Entry
from webhook.trackers.simkl.responses import iso, missing, shaped, text, unmatched, whole

UNKNOWN = "1970-01-01T00:00:01Z"
"""What Simkl takes for a viewing of which nobody knows the date."""


def watched_at(delivery: Delivery) -> str:
    """When it was watched, as Simkl is told it: the noon of a day of which no more is known."""
    match delivery.dated:
        case Dated.TICKED:
            return UNKNOWN
        case Dated.DAY:
            return iso(noon(delivery.at))
    return iso(delivery.at)


@dataclass(slots=True)
class Mark:
    """A mark, in the form it has come to."""

    delivery: Delivery
    entries: AsyncIterator[Entry]
    entry: Entry = field(default_factory=lambda: Entry("", {}))
    wrong: list[str] = field(default_factory=list)
    answer: str | None = None
    outcome: Done | Undelivered | None = None

    async def decide(self, work: Awaitable[Done | None]) -> None:
        """Take over what this comes to, be it a decision."""
        try:
            self.outcome = await work
        except Undelivered as decision:
            self.outcome = decision

    async def next_entry(self) -> bool:
        """Whether there is another form to send; what keeps it from being sent is the outcome."""
        try:
            self.entry = await anext(self.entries)
        except StopAsyncIteration:
            self.outcome = unmatched(self.delivery.item, self.wrong, self.answer)
        except Undelivered as decision:
            self.outcome = decision
        return self.outcome is None

    @property
    def by_own_id(self) -> bool:
        """Whether it is an episode that was named by its own id, though something says which one is meant."""
        item = self.delivery.item
        return self.entry.group == "episodes" and isinstance(item, Episode) and comparable(item)

    @property
    def settled(self) -> Done | Undelivered:
        assert self.outcome is not None
        return self.outcome


def comparable(item: Episode) -> bool:
    """Whether an episode has more than its own ids, by which another one would be told apart."""
    return bool(item.show or item.show_ids) or None not in (item.season, item.number)


@dataclass(frozen=True, slots=True)
class Added:
    """What an answer says was put where it was sent; what Simkl did not find it sends back (`lost`)."""

    response: httpx.Response
    some: bool
    lost: Sequence[Entry]

    @classmethod
    def read(cls, response: httpx.Response) -> Added:
        body = shaped(response, "added")
        some = bool(counted(body, "added") or inner(body, "added").get("statuses"))
        return cls(response, some, [Entry(group, echo) for group, echo in missing(body)])

    def strays(self, sent: Sequence[Entry]) -> bool:
        """Whether something is lost of which nobody can say what it was."""
        return any(not any(meets(entry, echo) for entry in sent) for echo in self.lost)

    def alone(self, sent: Entry) -> Added:
        """The answer to one thing only: whatever is lost, it is that."""
        return replace(self, lost=[sent] if self.lost else [])

    def has(self, entry: Entry, *, unsure: bool) -> bool:
        """Whether Simkl took it. A call of which it counted nothing was heard only if it was a repeat."""
        return (self.some or unsure) and not any(meets(entry, echo) for echo in self.lost)


def meets(sent: Entry, echo: Entry) -> bool:
    """Whether something sent back is what was sent, or a part of it."""
    if sent.group != echo.group or not alike(sent.body, echo.body):
        return False
    return not places(echo.body) or places(sent.body) <= places(echo.body)


def alike(mine: Json, theirs: Json) -> bool:
    """By the ids that both name, else by title and year."""
    here, there = inner(mine, "ids"), inner(theirs, "ids")
    if common := [name for name in here if name in there]:
        return all(str(here[name]) == str(there[name]) for name in common)
    titles = (text(mine.get("title")), text(theirs.get("title")))
    return titles[0] is not None and titles[0] == titles[1] and mine.get("year") == theirs.get("year")


def places(body: Json) -> set[tuple[int | None, int | None]]:
    """Season and number of every episode that a show in a sync call names."""
    seasons = [*rows(body.get("seasons")), {"episodes": body.get("episodes")}]
    return {
        (whole(season.get("number")), whole(episode.get("number")))
        for season in seasons
        for episode in rows(season.get("episodes"))
    }
