"""Values as senders write them: bounded, cleaned, and None where there is nothing.

Not a source: the leading underscore keeps it out of the scan.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from webhook.domain.event import Episode, Item

LONGEST = 500
MOST_EPISODES = 50  # in one file or one notice; more is a mistake
MOST_ENTRIES = 200  # of a list, such as an item's guids
DEEPEST = 6
DAY = timedelta(days=1)
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
INT64 = 2**63
INT32 = 2**31
TICKS_PER_MS = 10_000

WHOLE = re.compile(r"[+-]?[0-9]{1,19}")
DECIMAL = re.compile(r"[+-]?(?:[0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})(?:[eE][+-]?[0-9]{1,3})?")
INSTANT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2}(?::[0-9]{2})?)(?:\.([0-9]{1,12}))?"
    r"(Z|[+-][0-9]{2}:?[0-9]{2})?"
)
HEX_ID = re.compile(r"[0-9a-f]{32}")
GUID = re.compile(r"[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}")
UNSAYABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")  # control characters and half surrogate pairs
FLAGS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def mapping(value: Any) -> Mapping[str, Any]:
    """The object, or an empty one where there is none."""
    return value if isinstance(value, Mapping) else {}


def sequence(value: Any) -> list[Any]:
    """The list, or an empty one where there is none; of one without end the beginning."""
    return value[:MOST_ENTRIES] if isinstance(value, list) else []


def first(payload: Mapping[str, Any], *names: str) -> Any:
    """The first of these keys that says something."""
    return next((value for name in names if (value := payload.get(name)) not in (None, "")), None)


def text(value: Any) -> str | None:
    """A cleaned text of bounded length; None where nothing is left."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    if isinstance(value, int) and abs(value) >= INT64:
        return None
    shown = UNSAYABLE.sub("", str(value)[: 4 * LONGEST]).strip()
    return shown[:LONGEST].rstrip() or None


def whole(value: Any) -> int | None:
    """A whole number within signed 64 bits."""
    if isinstance(value, str):
        value = int(value) if WHOLE.fullmatch(value.strip()) else None
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if -INT64 <= value < INT64 else None


def decimal(value: Any) -> float | None:
    """A finite number."""
    if isinstance(value, str):
        value = float(value) if DECIMAL.fullmatch(value.strip()) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, int) and abs(value) >= INT64:
        return None
    return float(value) if math.isfinite(value) else None


def flag(value: Any) -> bool | None:
    """A boolean, also as a template writes it."""
    if isinstance(value, str):
        return FLAGS.get(value.strip().lower())
    return bool(value) if isinstance(value, int) and value in (0, 1) else None


def count(value: Any) -> int | None:
    """A season's or an episode's number; 0 is one."""
    number = whole(value)
    return number if number is not None and 0 <= number < INT32 else None


def year(value: Any) -> int | None:
    number = whole(value)
    return number if number is not None and 1800 <= number <= 2200 else None


def duration(value: Any) -> int | None:
    """A length, where 0 means that it is not known."""
    number = whole(value)
    return number if number is not None and number > 0 else None


def position(value: Any) -> int | None:
    number = whole(value)
    return number if number is not None and number >= 0 else None


def milliseconds(ticks: int | None) -> int | None:
    """Ticks of 100 ns as milliseconds."""
    return None if ticks is None else ticks // TICKS_PER_MS


def rating(value: Any) -> float | None:
    """A rating on the scale 0-10."""
    number = decimal(value)
    return number if number is not None and 0 <= number <= 10 else None


def hex_id(value: Any) -> str | None:
    """A GUID as 32 lower-case hex digits, dashed or not; any other id as it is."""
    shown = text(value)
    if shown is None:
        return None
    bare = shown.replace("-", "").lower()
    return bare if HEX_ID.fullmatch(bare) else shown


def is_guid(value: Any) -> bool:
    return isinstance(value, str) and GUID.fullmatch(value.strip()) is not None


def moment(value: Any, *, naive_is_utc: bool = False) -> datetime | None:
    """An instant: ISO 8601 with an offset and any number of digits, or Unix seconds."""
    if isinstance(value, str) and (match := INSTANT.fullmatch(value.strip())):
        day, clock, fraction, offset = match.groups()
        offset = offset or ("Z" if naive_is_utc else None)
        return None if offset is None else instant(f"{day}T{clock}", fraction, offset)
    seconds = whole(value)
    if seconds is None or not EARLIEST.timestamp() <= seconds < 2**33:
        return None
    return datetime.fromtimestamp(seconds, UTC)


def instant(clock: str, fraction: str | None, offset: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(clock + offset)
        at = at.replace(microsecond=int((fraction or "0")[:6].ljust(6, "0"))).astimezone(UTC)
    except (ValueError, OverflowError):  # the 31st of February, or the year 1 east of Greenwich
        return None
    return at if at >= EARLIEST else None


def near(at: datetime | None, received_at: datetime) -> datetime:
    """When it happened, where that is within a day before receipt; else the time of receipt."""
    return at if at is not None and received_at - at <= DAY and at <= received_at else received_at


def plausible(at: datetime | None, received_at: datetime) -> datetime:
    """The sender's own time, but never one that is yet to come: a clock that is ahead dates nothing."""
    return received_at if at is None else min(at, received_at)


def why_no_kind(kind: Any, title: Any) -> str:
    """The reason to ignore what is of no kind that is known: said to be another, not said, or nothing at all."""
    if text(kind):
        return "unsupported_kind"
    return "unknown_kind" if text(title) else "no_ids"


def known(item: Item) -> bool:
    """Whether there is an id or a name by which the item could be found."""
    if isinstance(item, Episode):
        return bool(item.ids or item.show_ids or item.show)
    return bool(item.ids or item.title or getattr(item, "show", None) or getattr(item, "show_ids", None))


def numbers(start: int | None, end: int | None) -> list[int | None]:
    """The episode numbers from start to end; just the start where the end makes no sense."""
    if start is None or end is None or not start < end < start + MOST_EPISODES:
        return [start]
    return list(range(start, end + 1))


def strings(value: Any, change: Callable[[str], str | None], depth: int = DEEPEST) -> Any:
    """The JSON value with every string in it changed; what lies deeper than we look is dropped."""
    if isinstance(value, str):
        return change(value)
    if not isinstance(value, Mapping | list):
        return value
    if depth == 0:
        return None
    if isinstance(value, list):
        return [strings(entry, change, depth - 1) for entry in value]
    return {name: strings(entry, change, depth - 1) for name, entry in value.items()}


def unescaped(value: str) -> str:
    """The text without the HTML entities that a template put into it."""
    return html.unescape(value) if "&" in value else value


def named(entries: Any, name: str) -> Iterator[str]:
    """The texts under a key of a list of objects; a list of texts is as good."""
    for entry in sequence(entries):
        shown = text(entry.get(name) if isinstance(entry, Mapping) else entry)
        if shown is not None:
            yield shown
