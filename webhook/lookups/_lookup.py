"""The base class of lookups: a subclass fetches candidates, and this class picks those that match the item.

Not a lookup: the leading underscore keeps it out of the scan.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, ClassVar, Protocol

import httpx

from webhook.client import Recorder, accept, call, read_json, recording
from webhook.domain.event import Episode, Ids, Item, Kind, Movie, Show
from webhook.domain.outcome import Dead, Retry, Snooze, Undelivered, Unmatched
from webhook.lookups._catalogue import Candidate, FoundEpisode, ListedEpisode, id_pairs, subtract_ids
from webhook.lookups._matching import (
    agrees,
    apply_match,
    fits_episode,
    has_title,
    is_near_year,
    is_part,
    likeness,
    rank,
    wanted_title,
)


class Lookup(ABC):
    """Finds an item's other ids; `find` and `search` raise Retry (of this delivery) if the service is down."""

    name: ClassVar[str]
    label: ClassVar[str]
    film_ids: ClassVar[tuple[str, ...]]  # the namespaces by which it finds each kind, the surest first
    show_ids: ClassVar[tuple[str, ...]]
    episode_ids: ClassVar[tuple[str, ...]]

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    # --- the service's candidates

    @abstractmethod
    async def films(self, namespace: str, value: int | str) -> Sequence[Candidate]: ...

    @abstractmethod
    async def shows(self, namespace: str, value: int | str) -> Sequence[Candidate]: ...

    @abstractmethod
    async def parts(self, namespace: str, value: int | str) -> Sequence[FoundEpisode]:
        """The episodes with this id of their own."""
        ...

    @abstractmethod
    async def part(self, show: Candidate, season: int, number: int) -> FoundEpisode | None:
        """An episode by its place in a show, as aired."""
        ...

    async def absolute(self, show: Candidate, number: int) -> FoundEpisode | None:
        """An episode by its absolute number, where the service counts those."""
        return None

    async def episodes(self, show_ids: Ids, language: str | None = None) -> Sequence[ListedEpisode] | None:
        """Every episode of a show as aired, specials too; None where the service lists none or does not know it.

        With a language (`de`) their titles are in it; None where the service cannot say them so.
        """
        return None

    @abstractmethod
    async def search_title(self, kind: Kind, title: str, year: int | None) -> Sequence[Candidate]:
        """The films or shows of that title and of titles like it, of any year."""
        ...

    # --- matching candidates

    async def find(self, item: Item) -> Item | None:
        """The item completed by this service's match, or None; a match never contradicts the item."""
        match item:
            case Movie():
                return await self.find_film(item)
            case Show():
                return await self.find_show(item)
            case Episode():
                known = await self.find_by_own_ids(item) or await self.find_by_show(item)
                return known or await self.find_by_misplaced_ids(item)
        return None

    async def find_film(self, item: Movie) -> Item | None:
        for name, value in id_pairs(item.ids, self.film_ids):
            for film in await self.films(name, value):
                if agrees(item, film):
                    return replace(item, ids=item.ids.merge(film.ids))
        return None

    async def find_show(self, item: Show) -> Item | None:
        for name, value in id_pairs(item.ids, self.show_ids):
            for show in await self.shows(name, value):
                if agrees(item, show):
                    return replace(item, ids=item.ids.merge(show.ids))
        return None

    async def find_by_own_ids(self, item: Episode) -> Item | None:
        for name, value in id_pairs(item.ids, self.episode_ids):
            for part in await self.parts(name, value):
                if is_part(item, part):
                    return apply_match(item, part)
        return None

    async def find_by_show(self, item: Episode) -> Item | None:
        """By its show's ids and its numbers, where those count the aired or the absolute order."""
        if item.number is None or (item.season is None and item.numbering != "absolute"):
            return None
        for name, value in id_pairs(item.show_ids, self.show_ids):
            for show in await self.shows(name, value):
                if item.show_ids.contradicts(show.ids):
                    continue
                part = await self.find_by_place(item, show)
                if part is not None and fits_episode(item, part):
                    return apply_match(item, part)
        return None

    async def find_by_place(self, item: Episode, show: Candidate) -> FoundEpisode | None:
        assert item.number is not None
        if item.numbering == "absolute":
            return await self.absolute(show, item.number)
        if item.numbering != "aired" or item.season is None:
            return None
        return await self.part(show, item.season, item.number)

    async def find_by_misplaced_ids(self, item: Episode) -> Item | None:
        """Some senders write the show's id where the episode's belongs: the title must then be the show's."""
        if item.show_ids or item.numbering != "aired" or item.season is None or item.number is None:
            return None
        for name, value in id_pairs(item.ids, self.show_ids):
            for show in await self.shows(name, value):
                if not item.show or not has_title(item.show, show):
                    continue
                own = subtract_ids(item.ids, show.ids)
                asked = replace(item, ids=own, show_ids=show.ids)
                part = await self.find_by_place(asked, show)
                if part is not None and fits_episode(asked, part) and is_near_year(item.year, part):
                    return apply_match(asked, part)
        return None

    async def search(self, item: Item) -> list[Candidate]:
        """The films or shows whose title is like the item's, the likeliest first."""
        wanted = wanted_title(item)
        if wanted is None:
            return []
        kind = Kind.MOVIE if isinstance(item, Movie) else Kind.SHOW
        title, year = wanted
        found = [
            replace(one, score=likeness(item, one)) for one in await self.search_title(kind, title, year)
        ]
        return rank(found)

    # --- asking

    async def ask(
        self,
        path: str,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        secret: bool = False,
    ) -> Any:
        """The answer, None where the service knows nothing; raises Retry of this delivery when it cannot say."""
        try:
            with recording(Recorder()) if secret else nullcontext():
                response = await call(self.http, self.label, "GET", path, headers=headers, params=params)
            return read_json(self.label, accept(self.label, response))
        except (Unmatched, Dead):
            return None
        except Undelivered as error:
            raise retry_delivery(error) from error


class Checks(Protocol):
    """A lookup whose key can be tried."""

    async def check(self) -> str:
        """The service's name; raises Dead where it refuses the key, and Retry or Snooze where it cannot say."""
        ...


def retry_delivery(error: Undelivered) -> Retry:
    """A lookup's trouble is no trouble of the account that waits for it: only this delivery is tried later."""
    after = error.after if isinstance(error, Retry | Snooze) else None
    return Retry(error.reason, answer=error.answer, after=after, lane=False)
