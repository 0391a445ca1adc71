"""Answers: how what Trakt sends is read."""

from __future__ import annotations

from typing import Any

import httpx

from webhook.client import read, shown
from webhook.domain.event import Ids
from webhook.domain.outcome import Retry
from webhook.domain.retry import GATEWAY
from webhook.trackers._shared import Json, inner

LABEL = "Trakt"
NAMESPACES = ("trakt", "tvdb", "tmdb", "imdb")
"""The ids Trakt and we both know; the first that Trakt knows decides."""


def shaped(response: httpx.Response, *names: str) -> Json:
    """The object in the answer, with these objects in it. Raises Retry (unsure) on any other shape."""
    body = read(LABEL, response)
    if isinstance(body, dict) and all(isinstance(body.get(name), dict) for name in names):
        return body
    reason = f"{LABEL} sent an answer of an unknown shape"
    raise Retry(reason, answer=shown(response), after=GATEWAY, unsure=True, suspect=True)


def listed(response: httpx.Response) -> list[Json]:
    body = read(LABEL, response)
    if isinstance(body, list) and all(isinstance(row, dict) for row in body):
        return body
    reason = f"{LABEL} sent an answer of an unknown shape"
    raise Retry(reason, answer=shown(response), after=GATEWAY, suspect=True)


def missing(body: Json) -> int:
    """How much was not found; it may be echoed without anything that says which."""
    return sum(len(echoes) for echoes in inner(body, "not_found").values() if isinstance(echoes, list))


def whole(value: Any) -> int:
    """A number of an answer, which may be text; 0 where it is none. Ids go beyond what a float holds."""
    return int(value) if isinstance(value, int) or (isinstance(value, str) and value.isdecimal()) else 0


def number(value: Any) -> int | None:
    return value if isinstance(value, int) else None


def text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def remote(value: Any) -> str | None:
    """A history id as a handle; 0 is none."""
    return str(whole(value)) if whole(value) else None


def their_ids(item: Json) -> Ids:
    """An answer's ids; null and "" are none."""
    given = inner(item, "ids")
    numbers = {name: whole(given.get(name)) or None for name in ("trakt", "tvdb", "tmdb")}
    return Ids.from_json({**numbers, "imdb": text(given.get("imdb"))})
