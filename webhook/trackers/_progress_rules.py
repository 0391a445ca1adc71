"""What a mark does to the one entry that a service keeps of an anime: never less than it says, each rewatch counted once.

Everything that is written is absolute, reckoned from what was read, so that a call that is sent twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from webhook.domain.outcome import Unmatched
from webhook.texts import texts


class ListStatus(StrEnum):
    """The state of an entry; the value is its letter in a handle."""

    WATCHING = "w"
    COMPLETED = "c"
    PAUSED = "p"
    DROPPED = "d"
    PLANNED = "l"
    REWATCHING = "r"


@dataclass(frozen=True, kw_only=True, slots=True)
class ListEntry:
    """An entry as it is or is to be. Days are YYYYMMDD, with zeros for what is not known of them; empty is none."""

    status: ListStatus
    progress: int
    repeat: int = 0
    started: str = ""
    completed: str = ""
    changed_at: datetime | None = field(default=None, compare=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class AnimeState:
    """An anime at the service. `total` is None where nobody knows yet how many episodes it will have."""

    total: int | None
    finished: bool
    entry: ListEntry | None


NOTHING_TO_WRITE: Mapping[str, str] = texts(
    {
        "seen": "the entry is further already",
        "completed": "the entry is completed already, and this is no new viewing of its first episode",
    }
)


class NothingToWrite(Exception):
    """The entry stays as it is; the message says why."""


def plan_mark(state: AnimeState, number: int, day: str, *, again: bool) -> ListEntry:
    """The entry after an episode was watched on a day; raises NothingToWrite, or Unmatched where there is no such episode.

    `again`: it was watched after the entry was completed, so that it begins a rewatch if it is the first.
    """
    if state.total is not None and number > state.total:
        raise Unmatched(
            f"your anime lists say that it is episode {number}, and this anime has {state.total}: "
            "they do not fit, so nothing was written"
        )
    made = with_progress(state.entry, number, day, again=again)
    if not state.finished or made.progress != state.total:
        return made
    repeat = made.repeat + (made.status is ListStatus.REWATCHING)
    return replace(made, status=ListStatus.COMPLETED, repeat=repeat, completed=made.completed or day)


def with_progress(entry: ListEntry | None, number: int, day: str, *, again: bool) -> ListEntry:
    if entry is None:
        return ListEntry(status=ListStatus.WATCHING, progress=number, started=day)
    if entry.status is ListStatus.COMPLETED:
        if not again or number != 1:
            raise NothingToWrite(NOTHING_TO_WRITE["completed"])
        return replace(entry, status=ListStatus.REWATCHING, progress=number)
    if entry.status is ListStatus.PLANNED:
        progress = max(number, entry.progress)
        return replace(entry, status=ListStatus.WATCHING, progress=progress, started=entry.started or day)
    if number <= entry.progress:
        raise NothingToWrite(NOTHING_TO_WRITE["seen"])
    rewatching = entry.status is ListStatus.REWATCHING
    return replace(
        entry, status=ListStatus.REWATCHING if rewatching else ListStatus.WATCHING, progress=number
    )


def is_same(entry: ListEntry | None, other: ListEntry | None) -> bool:
    """True if they say the same of what was watched; a service fills in days by itself."""
    if entry is None or other is None:
        return entry is other
    return progress_key(entry) == progress_key(other)


def progress_key(entry: ListEntry) -> tuple[ListStatus, int, int]:
    return entry.status, entry.progress, entry.repeat


@dataclass(frozen=True, slots=True)
class EntryChange:
    """What one mark makes of an entry. Its handle is stored before it is sent, and fits into 64 characters."""

    anime: int
    before: ListEntry | None
    after: ListEntry

    @property
    def handle(self) -> str:
        return f"{self.anime} {entry_text(self.before)} {entry_text(self.after, days=False)}"


def entry_text(entry: ListEntry | None, *, days: bool = True) -> str:
    """`w5.0.20261120.`: watching, episode 5, no rewatch, begun on that day; `-` is no entry."""
    if entry is None:
        return "-"
    text = f"{entry.status}{entry.progress}.{entry.repeat}"
    return f"{text}.{entry.started}.{entry.completed}" if days else text


def parse_change(handle: str | None) -> EntryChange | None:
    """The step of a handle; None if it is none of ours."""
    parts = (handle or "").split(" ")
    try:
        anime, before, after = int(parts[0]), parse_entry(parts[1]), parse_entry(parts[2])
    except (ValueError, IndexError):
        return None
    return None if after is None else EntryChange(anime, before, after)


def parse_entry(text: str) -> ListEntry | None:
    if text == "-":
        return None
    progress, repeat, *days = text[1:].split(".")
    started, completed = days or ("", "")
    return ListEntry(
        status=ListStatus(text[:1]),
        progress=int(progress),
        repeat=int(repeat),
        started=started,
        completed=completed,
    )
