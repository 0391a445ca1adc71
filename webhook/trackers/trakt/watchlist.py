"""The watchlist: read whole, group by group, and changed title by title.

Trakt takes a film off when it is watched, and a show at its first episode.
"""

from __future__ import annotations

from collections.abc import Sequence

from webhook.domain.event import Item, Movie, Show
from webhook.domain.outcome import Done, Unmatched
from webhook.domain.watchlist import WantedItem
from webhook.trackers import Access, Delivery
from webhook.trackers._json import (
    JsonObject,
    as_int,
    as_text,
    as_time,
    child,
    expect_rows,
    unknown_shape,
)
from webhook.trackers._watchlist import NOT_ON_IT, incomplete_list, require_listable, unknown_title
from webhook.trackers.trakt.api import MAX_PAGE_SIZE
from webhook.trackers.trakt.payloads import LABEL, iso
from webhook.trackers.trakt.responses import json_int, parse_ids, row_id
from webhook.trackers.trakt.sync import Sync

LISTED_GROUPS = ("movies", "shows")


class TraktWatchlist(Sync):
    """The part of the tracker that keeps the watchlist."""

    async def watchlist(self, access: Access) -> list[WantedItem]:
        return [one for group in LISTED_GROUPS for one in await self.list_group(group, access)]

    async def list_group(self, group: str, access: Access) -> list[WantedItem]:
        """All films or shows; raises Retry where fewer came than there are."""
        found: dict[int, WantedItem] = {}
        page, pages, count = 1, 1, None
        while page <= pages:
            params = {"page": str(page), "limit": str(MAX_PAGE_SIZE)}
            response = self.accept(
                await self.ask(access, "GET", f"/sync/watchlist/{group}", params=params, patient=True)
            )
            rows = expect_rows(LABEL, response)
            for row in rows:
                wanted = read_row(row)
                if wanted is None:
                    raise unknown_shape(LABEL, response, unsure=False)
                found[row_id(row)] = wanted
            pages = as_int(response.headers.get("x-pagination-page-count")) or 0
            count = as_int(response.headers.get("x-pagination-item-count"))
            if count is None and len(rows) >= MAX_PAGE_SIZE:
                raise unknown_shape(LABEL, response, unsure=False)
            page += 1
        if count is not None and len(found) != count:
            raise incomplete_list(LABEL, len(found), count)
        return list(found.values())

    async def explain_absence(self, gone: Sequence[WantedItem], access: Access) -> list[Item]:
        """What was watched there since it was listed."""
        return [one.item for one in gone if await self.was_watched(one, access)]

    async def was_watched(self, one: WantedItem, access: Access) -> bool:
        trakt = one.item.ids.trakt
        if trakt is None:
            return False
        params = {"page": "1", "limit": "1", **({} if one.at is None else {"start_at": iso(one.at)})}
        path = f"/sync/history/{one.item.kind}s/{trakt}"
        response = self.accept(await self.ask(access, "GET", path, params=params, patient=True))
        return bool(expect_rows(LABEL, response))

    async def list_title(self, delivery: Delivery, access: Access) -> Done:
        item = require_listable(LABEL, delivery.item)
        try:
            return await self.sync("/sync/watchlist", item, {}, access)
        except Unmatched as error:
            raise unknown_title(LABEL, item) from error

    async def unlist_title(self, delivery: Delivery, access: Access) -> Done:
        item = require_listable(LABEL, delivery.item)
        try:
            return await self.sync("/sync/watchlist/remove", item, {}, access, gives="deleted")
        except Unmatched:
            return Done(answer=NOT_ON_IT)


def read_row(row: JsonObject) -> WantedItem | None:
    """A film or show on the list; None where it names neither."""
    for kind in (Movie, Show):
        said = child(row, kind.kind.value)
        ids = parse_ids(said)
        if ids and row_id(row):
            item = kind(title=as_text(said.get("title")), year=json_int(said.get("year")), ids=ids)
            return WantedItem(item=item, at=as_time(row.get("listed_at")))
    return None
