"""Marks: dated viewings to be sent into the history, and the response to each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import httpx

from webhook.domain.event import Episode
from webhook.trackers._json import JsonObject, as_int, as_rows, as_text, child, expect_object, total
from webhook.trackers._scrobbler import PendingMark
from webhook.trackers.simkl.payloads import LABEL, Entry
from webhook.trackers.simkl.responses import lost_entries

SimklMark = PendingMark[Entry]


def is_by_own_id(mark: SimklMark) -> bool:
    """True if it is an episode that was named by its own id, though more than that id is known of it."""
    item = mark.delivery.item
    return mark.current.group == "episodes" and isinstance(item, Episode) and is_comparable(item)


def is_comparable(item: Episode) -> bool:
    """True if an episode has more than its own ids, by which another one would be told apart."""
    return bool(item.show or item.show_ids) or None not in (item.season, item.number)


@dataclass(frozen=True, slots=True)
class SyncResult:
    """The answer to a sync call: whether it took anything, and the entries that it did not find and sends back (`lost`)."""

    response: httpx.Response
    some: bool
    lost: Sequence[Entry]

    @classmethod
    def read(cls, response: httpx.Response) -> SyncResult:
        body = expect_object(LABEL, response, "added")
        some = bool(total(body, "added") or child(body, "added").get("statuses"))
        return cls(response, some, [Entry(group, echo) for group, echo in lost_entries(body)])

    def has_strays(self, sent: Sequence[Entry]) -> bool:
        """True if an entry was not found that cannot be identified."""
        return any(not any(is_echo_of(entry, echo) for entry in sent) for echo in self.lost)

    def narrow_to(self, sent: Entry) -> SyncResult:
        """The result of a call with one entry: anything not found is that entry."""
        return replace(self, lost=[sent] if self.lost else [])

    def has(self, entry: Entry, *, unsure: bool) -> bool:
        """True if Simkl took it. A call that changed nothing counts only if it was a repeat."""
        return (self.some or unsure) and not any(is_echo_of(entry, echo) for echo in self.lost)


def is_echo_of(sent: Entry, echo: Entry) -> bool:
    """True if a returned entry equals the sent one or a part of it."""
    if sent.group != echo.group or not is_same_named(sent.body, echo.body):
        return False
    return not places(echo.body) or places(sent.body) <= places(echo.body)


def is_same_named(mine: JsonObject, theirs: JsonObject) -> bool:
    """By the ids that both name, else by title and year."""
    here, there = child(mine, "ids"), child(theirs, "ids")
    if common := [name for name in here if name in there]:
        return all(str(here[name]) == str(there[name]) for name in common)
    titles = (as_text(mine.get("title")), as_text(theirs.get("title")))
    return titles[0] is not None and titles[0] == titles[1] and mine.get("year") == theirs.get("year")


def places(body: JsonObject) -> set[tuple[int | None, int | None]]:
    """Season and number of every episode that a show in a sync call names."""
    seasons = [*as_rows(body.get("seasons")), {"episodes": body.get("episodes")}]
    return {
        (as_int(season.get("number")), as_int(episode.get("number")))
        for season in seasons
        for episode in as_rows(season.get("episodes"))
    }
