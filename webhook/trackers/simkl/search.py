"""The search: which of an item's ids are its own, and whether Simkl knows it by another title.

https://api.simkl.org/api-reference/search
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from webhook.domain.event import Episode, Ids, Item, Kind, Movie, Show
from webhook.domain.outcome import Unmatched
from webhook.trackers._json import JsonObject, as_text, child
from webhook.trackers._matching import Match, SearchCache
from webhook.trackers.simkl.matching import match_title
from webhook.trackers.simkl.payloads import LABEL, usable_ids
from webhook.trackers.simkl.responses import id_text

Search = Callable[[str, Mapping[str, str]], Awaitable[list[JsonObject]]]


class Finder:
    """Queries Simkl's search and caches the results."""

    def __init__(self, search: Search) -> None:
        self.search = search
        self.cache = SearchCache()

    async def drop_wrong_ids(self, item: Item) -> Item:
        """The item, or an episode with its show, drop_ids ids that are another's.

        The first id that Simkl knows by the right title vouches for those behind it. What Simkl does not know
        does no harm. Raises Unmatched where all that it knows is another's: then title and id contradict.
        """
        kind, ids = (Kind.SHOW, item.show_ids) if isinstance(item, Episode) else (item.kind, item.ids)
        wrong: dict[str, str] = {}
        for namespace, value in usable_ids(kind, ids).items():
            if namespace == "simkl":
                continue
            params = {namespace: str(value), "type": "movie" if kind is Kind.MOVIE else "show"}
            hits = await self.ask("/search/id", params)
            if hits and await self.is_titled(item, hits[0]):
                return drop_ids(item, set(wrong)) if wrong else item
            if hits:
                wrong[namespace] = f"{namespace} {value} as {as_text(hits[0].get('title')) or 'another'}"
        if wrong:
            raise Unmatched(f"{LABEL} knows {' and '.join(wrong.values())}, which is another title")
        return item

    async def is_titled(self, item: Item, theirs: JsonObject) -> bool:
        """True if a film or a show is ours by title and year, where it must be by a title of the search."""
        matched = match_title(item, theirs, anime=theirs.get("type") == "anime")
        return await self.is_known_as(item, theirs) if matched is Match.OPEN else matched is Match.RIGHT

    async def is_known_as(self, item: Item, theirs: JsonObject) -> bool:
        """True if the search also finds Simkl's item by our title, in another language or spelling."""
        title = item.show if isinstance(item, Episode) else item.title
        wanted = id_text(child(theirs, "ids").get("simkl"))
        if not title or wanted is None:
            return False
        kinds = ("movie",) if isinstance(item, Movie) else ("tv", "anime")
        kind_there = as_text(theirs.get("type"))
        for kind in (kind_there,) if kind_there in kinds else kinds:
            hits = await self.ask(f"/search/{kind}", {"q": title, "limit": "50"})
            if any(id_text(child(hit, "ids").get("simkl_id")) == wanted for hit in hits):
                return True
        return False

    async def ask(self, path: str, params: Mapping[str, str]) -> list[JsonObject]:
        question = f"{path} {sorted(params.items())}"
        before = self.cache.recall(question)
        return self.cache.store(question, await self.search(path, params)) if before is None else before


def drop_ids(item: Item, namespaces: set[str]) -> Item:
    """The item, or the episode with its show, drop_ids the ids of these namespaces."""
    ids = item.show_ids if isinstance(item, Episode) else item.ids
    kept = Ids.from_json(
        {name: value for name, value in ids.by_namespace().items() if name not in namespaces}
    )
    if isinstance(item, Episode):
        return replace(item, show_ids=kept)
    return replace(item, ids=kept) if isinstance(item, Movie | Show) else item
