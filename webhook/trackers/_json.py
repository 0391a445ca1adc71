"""The JSON of services: readers that return None or an empty value for an unexpected type."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx
import orjson

from webhook.client import excerpt, read_json
from webhook.domain.outcome import Retry
from webhook.domain.retry import UNSURE_PAUSE

JsonObject = dict[str, Any]

DATED_SINCE = datetime(1970, 1, 2, tzinfo=UTC)
"""An earlier time is no date: services write the first second of 1970 for "unknown"."""


def child(body: JsonObject, name: str) -> JsonObject:
    """The object under a name; {} if there is none."""
    value = body.get(name)
    return value if isinstance(value, dict) else {}


def as_rows(value: Any) -> list[JsonObject]:
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def as_one_or_more(value: Any) -> list[JsonObject]:
    """The rows of a list that stands as an object where it has one row."""
    return as_rows(value if isinstance(value, list) else [value])


def as_text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def as_int(value: Any) -> int | None:
    """A number, which may be given as a text. Ids can be too large for a float."""
    return int(value) if isinstance(value, int) or (isinstance(value, str) and value.isdecimal()) else None


def as_time(value: Any) -> datetime | None:
    """A time in ISO 8601, taken as UTC without an offset; None if there is none."""
    try:
        at = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return at.astimezone(UTC) if at >= DATED_SINCE else None


def total(body: JsonObject, name: str) -> int:
    """The sum of the numbers in an object, such as {"added": {"movies": 1, "episodes": 2}}."""
    return sum(number for number in child(body, name).values() if isinstance(number, int))


def count_misses(body: JsonObject) -> int:
    """The number of items that were not found; they may be echoed without anything that says which."""
    return sum(len(echoes) for echoes in child(body, "not_found").values() if isinstance(echoes, list))


def parse_object(response: httpx.Response) -> JsonObject:
    """The object in an answer that may as well be empty, or no JSON."""
    try:
        body = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        return {}
    return body if isinstance(body, dict) else {}


def expect_object(label: str, response: httpx.Response, *names: str) -> JsonObject:
    """The object in an answer, with these objects in it; raises Retry (unsure) on any other shape."""
    body = read_json(label, response)
    if isinstance(body, dict) and all(isinstance(body.get(name), dict) for name in names):
        return body
    raise unknown_shape(label, response, unsure=True)


def expect_rows(label: str, response: httpx.Response) -> list[JsonObject]:
    """The list in an answer; raises Retry on any other shape."""
    body = read_json(label, response)
    if isinstance(body, list) and all(isinstance(row, dict) for row in body):
        return body
    raise unknown_shape(label, response, unsure=False)


def unknown_shape(label: str, response: httpx.Response, *, unsure: bool) -> Retry:
    reason = f"{label} sent an answer of an unknown shape"
    return Retry(reason, answer=excerpt(response), after=UNSURE_PAUSE, unsure=unsure, suspect=True)
