"""Responses of Trakt's API, and their outcomes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypedDict

import httpx

from webhook.client import excerpt
from webhook.domain.event import Episode, Ids, Item, Movie
from webhook.domain.outcome import Done
from webhook.trackers import Delivery, WatchedItem
from webhook.trackers._json import JsonObject, as_int, as_text, as_time, child
from webhook.trackers._scrobbler import action_of
from webhook.trackers.trakt.payloads import LABEL, watched_at


class ScrobbleAnswer(TypedDict, total=False):
    """The answer of `/scrobble/…`; beside it stands `movie`, or `show` and `episode`.

    https://docs.trakt.tv/reference/scrobble
    """

    id: int  # of the play; 0 where none was made
    action: str  # start, pause, scrobble
    progress: float


class HistoryRow(TypedDict, total=False):
    """A row of `/sync/history`; beside it stands `movie`, or `show` and `episode`.

    https://docs.trakt.tv/reference/sync
    """

    id: int
    watched_at: str | None
    action: str  # scrobble, checkin, watch
    type: str


class SyncAnswer(TypedDict, total=False):
    """The answer of `/sync/…`: a number for each kind, and echoes of the items that were not found."""

    added: dict[str, int]
    deleted: dict[str, int]
    existing: dict[str, int]
    updated: dict[str, int]
    not_found: dict[str, list[dict[str, Any]]]


@dataclass(frozen=True, kw_only=True, slots=True)
class TraktItem:
    """A film, or an episode with its show, as Trakt describes it in an answer or a history row."""

    ids: Ids
    show_ids: Ids
    title: str | None
    show: str | None
    season: int | None
    number: int | None
    year: int | None

    def __str__(self) -> str:
        if self.show is None:
            return f"{self.title} ({self.year})" if self.year else str(self.title)
        number = "" if self.season is None or self.number is None else f" {self.season}x{self.number:02}"
        return f"{self.show}{number} {self.title or ''}".strip()


def parse_item(row: JsonObject) -> TraktItem:
    item = child(row, "movie") or child(row, "episode")
    show = child(row, "show")
    return TraktItem(
        ids=parse_ids(item),
        show_ids=parse_ids(show),
        title=as_text(item.get("title")),
        show=as_text(show.get("title")),
        season=json_int(item.get("season")),
        number=json_int(item.get("number")),
        year=json_int(item.get("year")),
    )


def parse_ids(item: JsonObject) -> Ids:
    """An answer's ids; null and "" are none."""
    given = child(item, "ids")
    numbers = {name: as_int(given.get(name)) or None for name in ("trakt", "tvdb", "tmdb")}
    return Ids.from_json({**numbers, "imdb": as_text(given.get("imdb"))})


def parse_viewing(row: JsonObject) -> WatchedItem | None:
    """A row of the history; None where it is neither of a film nor of an episode."""
    theirs = parse_item(row)
    item: Item
    if child(row, "movie"):
        item = Movie(title=theirs.title, year=theirs.year, ids=theirs.ids)
    elif child(row, "episode"):
        item = Episode(
            title=theirs.title,
            show=theirs.show,
            season=theirs.season,
            number=theirs.number,
            year=json_int(child(row, "show").get("year")),
            ids=theirs.ids,
            show_ids=theirs.show_ids,
        )
    else:
        return None
    return WatchedItem(item=item, at=as_time(row.get("watched_at")), remote_id=parse_handle(row))


def json_int(value: Any) -> int | None:
    return value if isinstance(value, int) else None


def row_id(row: JsonObject) -> int:
    """The id of a play; 0 is none."""
    return as_int(row.get("id")) or 0


def parse_handle(row: JsonObject) -> str | None:
    """The id of a play as a delivery's handle."""
    return str(row_id(row)) if row_id(row) else None


# Outcomes


def parse_scrobble(
    wanted: str, item: Item, theirs: TraktItem, body: JsonObject, response: httpx.Response
) -> Done:
    """The outcome of an answer to a scrobble call; `wanted` is the action that it should name."""
    action, note = action_of(LABEL, as_text(body.get("action")), wanted, excerpt(response))
    return Done(
        answer=f"{action}: {theirs}", remote_id=parse_handle(body), note=note or order_note(item, theirs)
    )


def existing_play(row: JsonObject, *, ours: bool = False) -> Done:
    """A play that existed before. Only our own has a handle, since no other is ever taken back."""
    at = row.get("watched_at")
    return Done(
        answer=f"already there, watched at {at}" if at else "already there",
        remote_id=parse_handle(row) if ours else None,
    )


def added_mark(delivery: Delivery, row: JsonObject | None) -> Done:
    """A mark that was put into the history; its id is in the row that was read back, else its time will do."""
    at = watched_at(delivery)
    return Done(
        answer=f"added, watched at {at}",
        remote_id=parse_handle(row or {}) or at,
        note=None if row is None else order_note(delivery.item, parse_item(row)),
    )


def order_note(item: Item, theirs: TraktItem) -> str | None:
    """A sentence for a person about an episode that Trakt counts in another order."""
    if not isinstance(item, Episode) or is_same_place(item, theirs) is not False:
        return None
    return f"Trakt counts this episode as {theirs.season}x{theirs.number or 0:02}"


def is_same_place(item: Episode, theirs: TraktItem) -> bool | None:
    """True if season and number are the same; None where they cannot be compared."""
    mine, other = (item.season, item.number), (theirs.season, theirs.number)
    if item.numbering != "aired" or None in mine or None in other:
        return None
    return mine == other
