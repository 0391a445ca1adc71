"""The search: in which form Trakt knows an item, and whether an item that it names is the one that was meant.

https://docs.trakt.tv/reference/search
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace

from webhook.domain.event import Episode, Ids, Item, Kind, Movie, Season
from webhook.domain.items import fold_title
from webhook.trackers import Access
from webhook.trackers._json import JsonObject, as_text, child
from webhook.trackers._matching import Match, SearchCache
from webhook.trackers.trakt.api import Api
from webhook.trackers.trakt.matching import match_item, misleading_ids
from webhook.trackers.trakt.payloads import forms, no_name, place_in_show, title_to_search, usable_ids
from webhook.trackers.trakt.responses import TraktItem, parse_item

MAX_MISLEADING = 500
"""The number of ids that led to another item that are held in memory."""

MAX_HITS = "30"
SPECIAL = re.compile(r'([-+&|!(){}\[\]^"~*?:/\\])')
"""Characters that mean something to the search."""


class Finder:
    """Asks Trakt's search, and remembers its answers, and ids that led to another item."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.cache = SearchCache()
        self.misleading: dict[tuple[str, str, int | str], None] = {}

    async def forms(
        self, item: Item, access: Access, *, checked: bool = False, by_place: bool = False
    ) -> AsyncIterator[JsonObject]:
        """The item in every form that Trakt may know it by, the surest first. Raises Unmatched if in none.

        A show of which only the title is parse_item is title_to_search for. `checked`: the item's own ids are looked up,
        and left out where they are another's; `by_place`: an episode's come after its place in its show.
        """
        item = self.drop_bad_ids(item)
        known_forms = forms(item)
        if by_place:
            known_forms.sort(key=lambda form: "ids" in child(form, "episode"))
        title = title_to_search(item)
        if not known_forms and title is None:
            raise no_name(item)
        for form in known_forms:
            if not checked or not is_by_own_ids(form) or await self.is_own_id_right(item, access):
                yield form
        if title is not None and isinstance(item, Episode | Season):
            found = await self.find_show(title, item.year, access)
            by_search = None if found is None else place_in_show(item, {"ids": {"trakt": found}})
            if by_search is not None:
                yield by_search

    async def is_meant(self, item: Item, theirs: TraktItem, access: Access) -> bool:
        """True if an item of an answer is this one, where its title alone differs by the titles of a search."""
        matched = match_item(item, theirs)
        if matched is Match.OPEN:
            return await self.is_titled(item, theirs, access)
        return matched is Match.RIGHT

    async def is_titled(self, item: Item, theirs: TraktItem, access: Access) -> bool:
        """True if Trakt also knows its item by our title, in another language or spelling."""
        if isinstance(item, Movie):
            kind, title, wanted = Kind.MOVIE, item.title, theirs.ids.trakt
        else:
            kind, title, wanted = Kind.SHOW, getattr(item, "show", None), theirs.show_ids.trakt
        if not title or wanted is None:
            return False
        hits = await self.search_title(kind, title, access)
        return any(child(child(hit, kind.value), "ids").get("trakt") == wanted for hit in hits)

    async def is_own_id_right(self, item: Item, access: Access) -> bool:
        """True if the item's own ids are those of this item; the first that Trakt knows decides, as in a call."""
        for namespace, value in usable_ids(item.kind, item.ids).items():
            hits = await self.search(f"/search/{namespace}/{value}", {"type": item.kind.value}, access)
            if hits:
                return await self.is_meant(item, parse_item(hits[0]), access)
        return False

    async def find_show(self, title: str, year: int | None, access: Access) -> int | None:
        """The Trakt id of the one show of this title; of several the one of this year."""
        shows = [child(hit, "show") for hit in await self.search_title(Kind.SHOW, title, access)]
        named = [show for show in shows if fold_title(as_text(show.get("title")) or "") == fold_title(title)]
        if len(named) > 1:
            named = [show for show in named if show.get("year") == year]
        found = child(named[0], "ids").get("trakt") if len(named) == 1 else None
        return found if isinstance(found, int) else None

    async def show_of(self, item: Episode, access: Access) -> int | None:
        """The Trakt id of an episode's show: by its ids, by the episode's own, by its title."""
        ways: list[tuple[Kind, Ids]] = [
            (Kind.SHOW, item.show_ids),
            (Kind.EPISODE, self.drop_bad_ids(item).ids),
        ]
        for kind, ids in ways:
            for namespace, value in usable_ids(kind, ids).items():
                hits = await self.search(f"/search/{namespace}/{value}", {"type": kind.value}, access)
                right = hits and (kind is Kind.SHOW or await self.is_meant(item, parse_item(hits[0]), access))
                found = child(child(hits[0], "show"), "ids").get("trakt") if right else None
                if isinstance(found, int):
                    return found
        return await self.find_show(item.show, item.year, access) if item.show else None

    # Ids that led to another item

    def drop_bad_ids(self, item: Item) -> Item:
        """The item without own ids that led to another one before."""
        known_ids = item.ids.by_namespace()
        kept = {name: value for name, value in known_ids.items() if self.is_trusted(item.kind, name, value)}
        return item if len(kept) == len(known_ids) else replace(item, ids=Ids.from_json(kept))

    def is_trusted(self, kind: Kind, namespace: str, value: int | str) -> bool:
        return (kind.value, namespace, value) not in self.misleading

    def distrust(self, item: Item, theirs: TraktItem) -> None:
        """Remember which ids led to another item, so that they are not sent again."""
        self.misleading |= dict.fromkeys(misleading_ids(item, theirs))
        for oldest in list(self.misleading)[: max(len(self.misleading) - MAX_MISLEADING, 0)]:
            del self.misleading[oldest]

    async def search_title(self, kind: Kind, title: str, access: Access) -> list[JsonObject]:
        params = {
            "query": SPECIAL.sub(r"\\\1", title),
            "fields": "title,translations,aliases",
            "limit": MAX_HITS,
        }
        return await self.search(f"/search/{kind.value}", params, access)

    async def search(self, path: str, params: dict[str, str], access: Access) -> list[JsonObject]:
        question = f"{path} {sorted(params.items())}"
        before = self.cache.recall(question)
        if before is not None:
            return before
        return self.cache.store(question, await self.api.search(path, params, access))


def is_by_own_ids(form: JsonObject) -> bool:
    """True if a form names an episode or a film by its own ids."""
    return "ids" in child(form, "episode") or "ids" in child(form, "movie")
