"""Values read from foreign JSON: bounded, cleaned, and None if missing."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

Section = TypeVar("Section", bound=Mapping[str, Any])

MAX_TEXT = 500
MAX_ENTRIES = 200  # of a list, such as an item's guids
MAX_DEPTH = 6
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
INT64 = 2**63
INT32 = 2**31
TICKS_PER_MS = 10_000

WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,19}")
DECIMAL = re.compile(r"[+-]?(?:[0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})(?:[eE][+-]?[0-9]{1,3})?")
INSTANT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2}(?::[0-9]{2})?)(?:\.([0-9]{1,12}))?"
    r"(Z|[+-][0-9]{2}:?[0-9]{2})?"
)
HEX_ID = re.compile(r"[0-9a-f]{32}")
GUID = re.compile(r"[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}")
UNPRINTABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")  # control characters and half surrogate pairs
FLAGS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def mapping(value: Any) -> Mapping[str, Any]:
    """The object, or an empty one if it is missing."""
    return value if isinstance(value, Mapping) else {}


def section(value: Section | None) -> Section:
    """The object as its payload's type has it, or an empty one where something else was sent."""
    return value if isinstance(value, Mapping) else cast(Section, {})


def sequence(value: Any) -> list[Any]:
    """The list, or an empty one where there is none; only the beginning of a very long one."""
    return value[:MAX_ENTRIES] if isinstance(value, list) else []


def objects(value: Any) -> list[Mapping[str, Any]]:
    """The objects of a list of any length, or none."""
    return [entry for entry in value if isinstance(entry, Mapping)] if isinstance(value, list) else []


def first(payload: Mapping[str, Any], *names: str) -> Any:
    """The first of these keys that has a value."""
    return next((value for name in names if (value := payload.get(name)) not in (None, "")), None)


def text(value: Any) -> str | None:
    """A cleaned text of bounded length; None where nothing is left."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    if isinstance(value, int) and abs(value) >= INT64:
        return None
    cleaned = UNPRINTABLE.sub("", str(value)[: 4 * MAX_TEXT]).strip()
    return cleaned[:MAX_TEXT].rstrip() or None


def texts(entries: Any, name: str = "") -> Iterator[str]:
    """The texts of a list; of an object in it, the text under the key."""
    for entry in sequence(entries):
        found = text(entry.get(name) if isinstance(entry, Mapping) else entry)
        if found is not None:
            yield found


def whole(value: Any) -> int | None:
    """A whole number within signed 64 bits."""
    if isinstance(value, str):
        value = int(value) if WHOLE_NUMBER.fullmatch(value.strip()) else None
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


def ordinal(value: Any) -> int | None:
    """The number of a season, an episode or a track; 0 is one."""
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
    found = text(value)
    if found is None:
        return None
    bare = found.replace("-", "").lower()
    return bare if HEX_ID.fullmatch(bare) else found


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
    """The instant of a local time, the digits of its second and its offset."""
    try:
        at = datetime.fromisoformat(clock + offset)
        at = at.replace(microsecond=int((fraction or "0")[:6].ljust(6, "0"))).astimezone(UTC)
    except (ValueError, OverflowError):  # the 31st of February, or the year 1 east of Greenwich
        return None
    return at if at >= EARLIEST else None


def map_strings(value: Any, change: Callable[[str], str | None], depth: int = MAX_DEPTH) -> Any:
    """The JSON value with every string in it changed; anything nested too deeply is dropped."""
    if isinstance(value, str):
        return change(value)
    if not isinstance(value, Mapping | list):
        return value
    if depth == 0:
        return None
    if isinstance(value, list):
        return [map_strings(entry, change, depth - 1) for entry in value]
    return {name: map_strings(entry, change, depth - 1) for name, entry in value.items()}


def unescape_html(value: str) -> str:
    """The text without the HTML entities that a template put into it."""
    return html.unescape(value) if "&" in value else value
