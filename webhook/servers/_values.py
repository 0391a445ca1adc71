"""Values out of servers' answers: bounded, cleaned as the webhooks' are, and None where there is nothing.

Not a server: the leading underscore keeps it out of the scan.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from webhook.domain.event import Episode, Item

Value = TypeVar("Value")

LONGEST = 500
MOST_EPISODES = 50  # in one file; more is a mistake
MOST_KEPT = 5000
"""How many items' descriptions are kept at a time; beyond that the oldest is asked for again."""

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
TICKS_PER_MS = 10_000
WHOLE = re.compile(r"[0-9]{1,18}")
HEX_ID = re.compile(r"[0-9a-f]{32}")
UNSAYABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")  # control characters and half surrogate pairs
INSTANT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,12}))?(Z|[+-][0-9]{2}:?[0-9]{2})?"
)


def table(value: Any) -> Mapping[str, Any]:
    """The object, or an empty one where there is none."""
    return value if isinstance(value, Mapping) else {}


def rows(value: Any) -> list[Mapping[str, Any]]:
    """The objects of a list, or none."""
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, list) else []


def texts(value: Any) -> list[str]:
    """The texts of a list, or none."""
    return [said for entry in value if (said := text(entry))] if isinstance(value, list) else []


def text(value: Any) -> str | None:
    """A cleaned text of bounded length; None where nothing is left."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    shown = UNSAYABLE.sub("", str(value)[: 4 * LONGEST]).strip()
    return shown[:LONGEST].rstrip() or None


def count(value: Any) -> int | None:
    """A number that is not negative, also where it is written as text; 0 is one."""
    if isinstance(value, str) and WHOLE.fullmatch(value):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def length(value: Any) -> int | None:
    """A length, where 0 means that it is not known."""
    return count(value) or None


def year(value: Any) -> int | None:
    number = count(value)
    return number if number is not None and 1800 <= number <= 2200 else None


def milliseconds(ticks: Any) -> int | None:
    """Ticks of 100 ns as milliseconds."""
    return (length(ticks) or 0) // TICKS_PER_MS or None


def hex_id(value: Any) -> str | None:
    """A GUID as 32 lower-case hex digits, dashed or not; any other id as it is. So webhooks' ids are read."""
    shown = text(value)
    bare = (shown or "").replace("-", "").lower()
    return bare if HEX_ID.fullmatch(bare) else shown


def stamp(value: Any) -> datetime | None:
    """An instant in Unix seconds."""
    seconds = count(value)
    if seconds is None or not EARLIEST.timestamp() <= seconds < 2**33:
        return None
    return datetime.fromtimestamp(seconds, UTC)


def instant(value: Any) -> datetime | None:
    """An instant in ISO 8601 with any number of digits; without an offset it is UTC. To the millisecond."""
    match = INSTANT.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    clock, fraction, offset = match.groups()
    try:
        at = datetime.fromisoformat(f"{clock}{offset or 'Z'}").astimezone(UTC)
    except (ValueError, OverflowError):  # the 31st of February, or the year 1 east of Greenwich
        return None
    # What is stored is stored to the millisecond: finer, the last one would be newer than itself.
    at = at.replace(microsecond=int((fraction or "0")[:3].ljust(3, "0")) * 1000)
    return at if at >= EARLIEST else None


def findable(item: Item) -> bool:
    """Whether there is an id or a name by which the item could be found, as webhooks' items are judged."""
    if isinstance(item, Episode):
        return bool(item.ids or item.show_ids or item.show)
    return bool(item.ids or item.title)


def remember(known: MutableMapping[str, Value], key: str, value: Value) -> Value:
    """Keep a value, and let the oldest go where there are too many."""
    known[key] = value
    while len(known) > MOST_KEPT:
        del known[next(iter(known))]
    return value
