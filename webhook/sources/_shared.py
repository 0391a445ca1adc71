"""Decisions about events that several sources share.

Not a source: the leading underscore keeps it out of the scan.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from webhook.domain import values
from webhook.domain.event import Action, Episode, Item

MAX_EPISODES = 50  # in one file or one notice; more is a mistake
CLOCK_TOLERANCE = timedelta(days=1)

PLEX_ACTIONS: Mapping[str, Action] = {
    "media.play": Action.START,
    "media.pause": Action.PAUSE,
    "media.resume": Action.RESUME,
    "media.stop": Action.STOP,
    "media.scrobble": Action.WATCHED,
    "media.rate": Action.RATE,
    "library.new": Action.ADD,
}
"""Plex's own events, which plugins and templates imitate."""


def near_receipt(at: datetime | None, received_at: datetime) -> datetime:
    """The sender's time where it lies within a day before receipt; else the time of receipt."""
    return at if at is not None and received_at - at <= CLOCK_TOLERANCE and at <= received_at else received_at


def not_after_receipt(at: datetime | None, received_at: datetime) -> datetime:
    """The sender's time, but never one in the future: a clock that is ahead dates nothing."""
    return received_at if at is None else min(at, received_at)


def reason_without_kind(kind: Any, title: Any) -> str:
    """The reason to ignore an item of no known kind."""
    if values.text(kind):
        return "unsupported_kind"
    return "unknown_kind" if values.text(title) else "no_ids"


def is_findable(item: Item) -> bool:
    """True if there is an id or a name by which the item could be found."""
    if isinstance(item, Episode):
        return bool(item.ids or item.show_ids or item.show)
    return bool(item.ids or item.title or getattr(item, "show", None) or getattr(item, "show_ids", None))


def episode_numbers(start: int | None, end: int | None) -> list[int | None]:
    """The episode numbers from start to end; just the start where the end makes no sense."""
    if start is None or end is None or not start < end < start + MAX_EPISODES:
        return [start]
    return list(range(start, end + 1))
