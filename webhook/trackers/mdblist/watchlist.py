"""The watchlist: read page by page, and changed title by title.

| call | body |
|---|---|
| `GET /watchlist/items` | |
| `POST /watchlist/items/add`, `remove` | `{"movies": [{"tmdb": …, "imdb": …}], "shows": []}`, else `[{"ids": …}]` |
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from webhook.domain.daily_calls import Urgency
from webhook.domain.event import Action, Ids, Movie, Show
from webhook.domain.outcome import Done, Retry
from webhook.domain.retry import UNSURE_PAUSE
from webhook.domain.watchlist import WantedItem
from webhook.trackers import Access, Delivery
from webhook.trackers._json import JsonObject, as_int, as_text, as_time, count_misses, total
from webhook.trackers._watchlist import NOT_ON_IT, ON_IT, require_listable, unknown_title
from webhook.trackers.mdblist.payloads import LABEL, item_ids
from webhook.trackers.mdblist.sync import Sync

MEDIA_TYPES: Mapping[str, type[Movie] | type[Show]] = {"movie": Movie, "show": Show}


class MDBListWatchlist(Sync):
    """The part of the tracker that keeps the watchlist."""

    actions: ClassVar[Mapping[Action, str]] = {
        **Sync.actions,
        Action.WATCHLIST: "list_title",
        Action.UNWATCHLIST: "unlist_title",
    }

    async def watchlist(self, access: Access) -> list[WantedItem]:
        found: dict[Movie | Show, WantedItem] = {}
        async for rows in self.pages(access, "/watchlist/items", {}, Urgency.LATE):
            for row in rows:
                wanted = parse_wanted_item(row)
                if wanted is None:
                    reason = f"{LABEL} sent a title of the watchlist without an id"
                    raise Retry(reason, after=UNSURE_PAUSE)
                found[wanted.item] = wanted
        return list(found.values())

    async def list_title(self, delivery: Delivery, access: Access) -> Done:
        item = require_listable(LABEL, delivery.item)
        answer = await self.change_list("add", item, access)
        if total(answer, "added"):
            return Done(answer="added")
        if total(answer, "existing"):
            return Done(answer=ON_IT)
        raise unknown_title(LABEL, item)

    async def unlist_title(self, delivery: Delivery, access: Access) -> Done:
        item = require_listable(LABEL, delivery.item)
        answer = await self.change_list("remove", item, access)
        gone = total(answer, "removed") or total(answer, "deleted")
        return Done(answer="removed" if gone else NOT_ON_IT)

    async def change_list(self, verb: str, item: Movie | Show, access: Access) -> JsonObject:
        """The answer to the change of one title, by its ids, or by an object of them where those are not found."""
        (form, *_) = self.names.forms(item)
        answer: JsonObject = {}
        for title in (form.ids, {"ids": form.ids}):
            self.require_call(access, Urgency.LATE)
            body = {"movies": [], "shows": [], form.group: [title]}
            answer = self.accept_counts(await self.ask(access, "POST", f"/watchlist/items/{verb}", json=body))
            if not count_misses(answer):
                break
        return answer


def parse_wanted_item(row: JsonObject) -> WantedItem | None:
    """A row of the list; None where it has no id, or is neither a film nor a show."""
    known = Ids(imdb=as_text(row.get("imdb_id")), tvdb=as_int(row.get("tvdb_id")), tmdb=as_int(row.get("id")))
    ids = item_ids(row).merge(known)
    make = MEDIA_TYPES.get(str(row.get("mediatype")))
    if not ids or make is None:
        return None
    item = make(title=as_text(row.get("title")), year=as_int(row.get("release_year")), ids=ids)
    return WantedItem(item=item, at=as_time(row.get("watchlist_at")))
