"""Responses of Simkl's API, and their outcomes."""

from __future__ import annotations

from typing import Any, TypedDict

import httpx

from webhook.client import excerpt, read_json
from webhook.domain.event import Ids
from webhook.domain.outcome import Done
from webhook.trackers._json import JsonObject, as_int, as_rows, as_text, child
from webhook.trackers._scrobbler import action_of
from webhook.trackers.simkl.payloads import ANIME_IDS, LABEL


class ScrobbleAnswer(TypedDict, total=False):
    """The answer of `/scrobble/…`; beside it stands `movie`, or `show` or `anime` with `episode`.

    https://api.simkl.org/api-reference/scrobble
    """

    id: int  # of the mark, or of the resume point
    action: str  # start, pause, scrobble


class SyncAnswer(TypedDict, total=False):
    """The answer of `/sync/…`: a number for each kind, and echoes of the items that were not found.

    https://api.simkl.org/api-reference/sync
    """

    added: dict[str, Any]  # numbers by kind, and `statuses`
    deleted: dict[str, int]
    not_found: dict[str, list[dict[str, Any]]]


class ListRow(TypedDict, total=False):
    """A row of `/sync/all-items/…`; beside it stands `movie`, or `show` and `seasons`."""

    last_watched_at: str | None
    status: str
    anime_type: str


BY_ITEM = "by item"
"""The handle of a mark of ours that Simkl gave no id for. It keeps one play per item, so the item says which."""


def answer_item(body: JsonObject) -> JsonObject:
    """The item that an answer says it was about, {} where Simkl recognised none."""
    item = next((found for name in ("movie", "show", "anime") if (found := child(body, name))), {})
    return item if id_text(child(item, "ids").get("simkl")) else {}


def existing_mark(answer: JsonObject, *, ours: bool) -> Done:
    """Marked within the last hour: by ourselves, if an answer to us was lost."""
    watched_at = as_text(answer.get("watched_at"))
    at = f", watched at {watched_at}" if watched_at else ""
    return Done(answer=f"already there{at}", remote_id=BY_ITEM if ours else None)


def parse_scrobble(wanted: str, body: JsonObject, response: httpx.Response) -> Done:
    """The outcome of an answer to a scrobble call; `wanted` is the action that it should name."""
    action, note = action_of(LABEL, as_text(body.get("action")), wanted, excerpt(response))
    handle = id_text(body.get("id")) if action == "scrobble" else None
    return Done(answer=f"{action}: {describe(body)}", remote_id=handle, note=note)


def answer_place(body: JsonObject) -> tuple[int | None, int | None]:
    """Season and number as they were sent: of an anime Simkl counts its own beside TVDB's."""
    episode = child(body, "episode")
    tvdb = as_int(episode.get("tvdb_season")), as_int(episode.get("tvdb_number"))
    if None not in tvdb or "anime" in body:
        return tvdb
    return as_int(episode.get("season")), as_int(episode.get("number"))


def describe(body: JsonObject) -> str:
    item, episode = answer_item(body), child(body, "episode")
    title, year = as_text(item.get("title")) or "?", item.get("year")
    if not episode:
        return f"{title} ({year})" if year else title
    season, number = answer_place(body)
    numbers = "" if season is None or number is None else f" {season}x{number:02}"
    return f"{title}{numbers} {as_text(episode.get('title')) or ''}".strip()


def search_hits(response: httpx.Response) -> list[JsonObject]:
    """The rows of a search; `null` is none."""
    return as_rows(read_json(LABEL, response))


def lost_entries(body: JsonObject) -> list[tuple[str, JsonObject]]:
    """The entries that were not found, each with its list."""
    lists = child(body, "not_found").items()
    return [(group, echo) for group, echoes in lists for echo in as_rows(echoes)]


def id_text(value: Any) -> str | None:
    """An id as a text; 0 and "" are none."""
    return str(value) if value and isinstance(value, str | int) else None


def parse_ids(item: JsonObject) -> Ids:
    """A response's ids, whose numbers may be texts; a value that is not a number is a name and is dropped."""
    given = child(item, "ids")
    numbers = {name: as_int(given.get(name)) for name in ("simkl", "tvdb", "tmdb", *ANIME_IDS)}
    return Ids.from_json({**numbers, "imdb": as_text(given.get("imdb"))})
