"""The history: which of its rows can be a viewing of ours, by their times and their items.

https://docs.trakt.tv/reference/sync
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from webhook.domain.event import Episode, Item, Movie
from webhook.domain.outcome import Dead, Done
from webhook.domain.play import Dated
from webhook.domain.retry import LIVE
from webhook.trackers import Access, Delivery
from webhook.trackers._json import JsonObject, as_time
from webhook.trackers._matching import Match
from webhook.trackers._viewings import CLOCK_SLACK, SAME_VIEWING, is_fitting, is_undated, noon
from webhook.trackers.trakt.api import MAX_PAGE_SIZE, Api
from webhook.trackers.trakt.matching import is_related, match_item
from webhook.trackers.trakt.payloads import NO_DATE, iso, midnight, watched_at
from webhook.trackers.trakt.responses import existing_play, is_same_place, parse_handle, parse_item, row_id
from webhook.trackers.trakt.search import Finder


class History:
    """Reads an account's history around deliveries."""

    def __init__(self, api: Api, finder: Finder) -> None:
        self.api, self.finder = api, finder

    async def find_rows(self, deliveries: Sequence[Delivery], access: Access) -> list[JsonObject]:
        """The rows of the history among which these viewings would be."""
        dated = [delivery for delivery in deliveries if not is_undated(delivery)]
        kinds = {delivery.item.kind for delivery in dated}
        path = f"/sync/history/{kinds.pop()}s" if len(kinds) == 1 else "/sync/history"
        rows = await self.api.rows(path, days_around(dated), access) if dated else []
        rows += await self.undated_rows([each.item for each in deliveries if is_undated(each)], access)
        return list({row.get("id"): row for row in rows}.values())

    async def undated_rows(self, items: Sequence[Item], access: Access) -> list[JsonObject]:
        """The viewings of these films and of these episodes' shows, since undated ones are in no time window."""
        paths = ["/sync/history/movies"] if any(isinstance(item, Movie) for item in items) else []
        episodes = [item for item in items if isinstance(item, Episode)]
        shows = {await self.finder.show_of(item, access): None for item in episodes}
        paths += [f"/sync/history/shows/{show}" for show in shows if show is not None]
        rows = [row for path in paths for row in await self.api.rows(path, {}, access, MAX_PAGE_SIZE)]
        return [row for row in rows if as_time(row.get("watched_at")) is None]

    async def is_of(self, item: Item, row: JsonObject, access: Access) -> bool:
        """True if a row is of this item: something says so, and nothing speaks against it."""
        theirs = parse_item(row)
        matched = match_item(item, theirs)
        if matched is Match.OPEN:
            same_place = not isinstance(item, Episode) or is_same_place(item, theirs) is True
            related = same_place or is_related(item, theirs)
            return related and await self.finder.is_titled(item, theirs, access)
        return matched is Match.RIGHT and is_related(item, theirs)

    async def rows_of(self, item: Item, rows: Iterable[JsonObject], access: Access) -> list[JsonObject]:
        return [row for row in rows if await self.is_of(item, row, access)]

    async def find_viewing(
        self, delivery: Delivery, rows: Sequence[JsonObject], access: Access
    ) -> Done | None:
        """The viewing, if it is among the rows. What an attempt of ours made of another item is taken back."""
        fitting = [row for row in rows if is_fitting(delivery, as_time(row.get("watched_at")))]
        row = nearest(delivery, await self.rows_of(delivery.item, fitting, access))
        if row is not None:
            return existing_play(row, ours=delivery.unsure)
        if delivery.unsure and not is_undated(delivery):
            for row in rows:
                if is_sent_time(delivery, row) and await self.is_stray(delivery.item, row, access):
                    await self.api.remove(row_id(row), access)
                    self.finder.distrust(delivery.item, parse_item(row))
        return None

    async def is_stray(self, item: Item, row: JsonObject, access: Access) -> bool:
        """True if a form of this item led to a row of another, which no other delivery made."""
        theirs, handle = parse_item(row), parse_handle(row)
        if handle is None or not is_related(item, theirs) or await self.finder.is_meant(item, theirs, access):
            return False
        return not await access.is_ours(handle)

    async def find_play(self, delivery: Delivery, access: Access) -> int:
        """The id of a play of ours of which only the time is known; 0 where it is there no more."""
        at, item = as_time(delivery.remote_id), delivery.item
        if delivery.remote_id == NO_DATE:
            rows = await self.undated_rows([item], access)
        elif at is not None:
            found = await self.find_rows([replace(delivery, at=at, dated=Dated.EXACT)], access)
            rows = sorted(
                (row for row in found if distance(row, at) <= CLOCK_SLACK), key=lambda row: distance(row, at)
            )
        else:
            raise Dead("Nothing of ours to undo: Trakt had this play already, or gave no id for it")
        mine = await self.rows_of(item, rows, access)
        return row_id(mine[0]) if mine else 0


def days_around(deliveries: Iterable[Delivery]) -> dict[str, str]:
    """The days around these, as a window to ask for.

    A server may read a time as its day, of an end with or without that day, so a day more is asked for at
    either end, and the times of the rows are compared here.
    """
    times, day = [delivery.at for delivery in deliveries], timedelta(days=1)
    first, last = min(times) - SAME_VIEWING - day, max(times) + SAME_VIEWING + 2 * day
    return {"start_at": iso(midnight(first)), "end_at": iso(midnight(last))}


def is_sent_time(delivery: Delivery, row: JsonObject) -> bool:
    """True if a row has the very time with which this viewing is sent, or that of a scrobble of it."""
    at = as_time(row.get("watched_at"))
    if is_undated(delivery) or at is None:
        return is_undated(delivery) and at is None
    if at == as_time(watched_at(delivery)):
        return True
    since, until = delivery.at - CLOCK_SLACK, delivery.at + LIVE + SAME_VIEWING
    return row.get("action") == "scrobble" and since <= at <= until


def nearest(delivery: Delivery, rows: Sequence[JsonObject]) -> JsonObject | None:
    at = noon(delivery.at) if delivery.dated is Dated.DAY else delivery.at
    return min(rows, key=lambda row: distance(row, at), default=None)


def distance(row: JsonObject, at: datetime) -> timedelta:
    watched = as_time(row.get("watched_at"))
    return timedelta.max if watched is None else abs(watched - at)


def ids_of(rows: Iterable[JsonObject]) -> set[Any]:
    return {row.get("id") for row in rows}
