"""Finding: which of an item's ids are its own, and whether Simkl knows it by another title."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from webhook.domain.event import Episode, Ids, Item, Kind, Movie, Show
from webhook.domain.outcome import Unmatched
from webhook.trackers._shared import Json, Memory, inner
from webhook.trackers.simkl.matching import Match, match_title
from webhook.trackers.simkl.payloads import usable
from webhook.trackers.simkl.responses import LABEL, text, text_or_number

Search = Callable[[str, Mapping[str, str]], Awaitable[list[Json]]]


class Finder:
    """Asks Simkl's search, and remembers what it said."""

    def __init__(self, search: Search) -> None:
        self.search = search
        self.memory = Memory()

    async def trusted(self, item: Item) -> Item:
        """The item, or an episode with its show, without ids that are another's.

        The first id that Simkl knows by the right title vouches for those behind it. What Simkl does not know
        does no harm. Raises Unmatched where all that it knows is another's: then title and id contradict.
        """
        kind, ids = (Kind.SHOW, item.show_ids) if isinstance(item, Episode) else (item.kind, item.ids)
        wrong: dict[str, str] = {}
        for namespace, value in usable(kind, ids).items():
            if namespace == "simkl":
                continue
            asked = {namespace: str(value), "type": "movie" if kind is Kind.MOVIE else "show"}
            hits = await self.ask("/search/id", asked)
            if hits and await self.is_titled(item, hits[0]):
                return without(item, set(wrong)) if wrong else item
            if hits:
                wrong[namespace] = f"{namespace} {value} as {text(hits[0].get('title')) or 'another'}"
        if wrong:
            raise Unmatched(f"{LABEL} knows {' and '.join(wrong.values())}, which is another title")
        return item

    async def is_titled(self, item: Item, theirs: Json) -> bool:
        """Whether a film or a show is ours by title and year, where it must be by a title of the search."""
        matched = match_title(item, theirs, anime=theirs.get("type") == "anime")
        return await self.is_known_as(item, theirs) if matched is Match.OPEN else matched is Match.RIGHT

    async def is_known_as(self, item: Item, theirs: Json) -> bool:
        """Whether the search finds what is theirs by our title too, in another language or spelling."""
        title = item.show if isinstance(item, Episode) else item.title
        wanted = text_or_number(inner(theirs, "ids").get("simkl"))
        if not title or wanted is None:
            return False
        kinds = ("movie",) if isinstance(item, Movie) else ("tv", "anime")
        said = text(theirs.get("type"))
        for kind in (said,) if said in kinds else kinds:
            hits = await self.ask(f"/search/{kind}", {"q": title, "limit": "50"})
            if any(text_or_number(inner(hit, "ids").get("simkl_id")) == wanted for hit in hits):
                return True
        return False

    async def ask(self, path: str, asked: Mapping[str, str]) -> list[Json]:
        question = f"{path} {sorted(asked.items())}"
        before = self.memory.recall(question)
        return self.memory.keep(question, await self.search(path, asked)) if before is None else before


def without(item: Item, namespaces: set[str]) -> Item:
    """The item, or the episode with its show, without the ids of these namespaces."""
    ids = item.show_ids if isinstance(item, Episode) else item.ids
    kept = Ids.from_json({name: value for name, value in ids.known().items() if name not in namespaces})
    if isinstance(item, Episode):
        return replace(item, show_ids=kept)
    return replace(item, ids=kept) if isinstance(item, Movie | Show) else item
