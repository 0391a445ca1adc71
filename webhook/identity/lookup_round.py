"""The lookup round: one question put to every lookup."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from webhook.domain.event import Episode, Ids, Item, Movie, Show
from webhook.domain.items import show_ids
from webhook.domain.outcome import Retry, Undelivered
from webhook.lookups import (
    Candidate,
    Lookup,
    choose_candidate,
    common_ids,
    has_title,
    split_title_suffix,
    subtract_ids,
)

MAX_SHOWS_PER_TITLE = 5
"""The number of shows of one title that are searched for an episode."""


class LookupRound:
    """One round of questions to every lookup: their answers, and which of them failed."""

    def __init__(self, lookups: Sequence[Lookup]) -> None:
        self.lookups = lookups
        self.candidates: list[Candidate] = []
        self.trouble: Undelivered | None = None

    async def by_ids(self, item: Item, needs: Collection[str]) -> tuple[Item | None, list[str]]:
        """The item as all lookups together know it, up to where that is enough; None where no lookup knows it."""
        known: Item | None = None
        via: list[str] = []
        for lookup in self.lookups:
            found = await self.ask(lookup, known or item)
            if found is not None:
                known, via = found, [*via, lookup.name]
                if has_needed_id(known, needs):
                    break
        return known, via

    async def ask(self, lookup: Lookup, item: Item) -> Item | None:
        try:
            return await lookup.find(item)
        except Undelivered as error:
            self.trouble = error if isinstance(error, Retry) else Retry(error.reason, lane=False)
            return None

    async def by_title(self, item: Item) -> Item | None:
        """The item that title, year and kind together mean, with nothing near it; else None."""
        for lookup in self.lookups:
            try:
                found = await lookup.search(item)
            except Undelivered as error:
                self.trouble = error if isinstance(error, Retry) else Retry(error.reason, lane=False)
                continue
            self.candidates += found
            if (known := await self.choose(lookup, item, found)) is not None:
                return known
        return None

    async def choose(self, lookup: Lookup, item: Item, found: Sequence[Candidate]) -> Item | None:
        match item:
            case Movie(year=int()) | Show(year=int()):
                one = choose_candidate(found)
                return None if one is None else with_candidate_ids(item, one)
            case Episode(numbering="aired", season=int(), number=int()):
                return await self.episode(lookup, item, found)
        return None

    async def episode(self, lookup: Lookup, item: Episode, found: Sequence[Candidate]) -> Item | None:
        """The one show of this title that has this episode in this year; None where two have, or none."""
        if item.show is None or item.show_ids.anidb or item.show_ids.mal or item.ids.anidb or item.ids.mal:
            return None  # AniDB counts each season as a show of its own
        year = item.year or split_title_suffix(item.show)[1]
        alike = [one for one in found if has_title(item.show, one)]
        if year is None or len(alike) > MAX_SHOWS_PER_TITLE or any(one.year is None for one in alike):
            return None
        known: list[Item] = []
        for show in alike:
            if split_title_suffix(item.show)[1] not in (None, show.year) or (show.year or 0) > year + 1:
                continue
            if own := ids_with_show(item, show):
                asked = replace(item, ids=own[0], show_ids=own[1])
                if (one := await self.ask_by_show(lookup, asked)) is not None:
                    known.append(one)
        return known[0] if len(known) == 1 and self.trouble is None else None

    async def ask_by_show(self, lookup: Lookup, item: Episode) -> Item | None:
        try:
            return await lookup.find_by_show(item)
        except Undelivered as error:
            self.trouble = error if isinstance(error, Retry) else Retry(error.reason, lane=False)
            return None


def with_candidate_ids(item: Movie | Show, one: Candidate) -> Item | None:
    """The item with the candidate's ids; None if its own ids contradict them and none agrees."""
    if item.ids.contradicts(one.ids) and not common_ids(item.ids, one.ids):
        return None
    return replace(item, ids=one.ids.merge(item.ids))


def ids_with_show(item: Episode, show: Candidate) -> tuple[Ids, Ids] | None:
    """The item's own ids and its show's, if this is its show; an own id that is the show's is none."""
    if item.show_ids.contradicts(show.ids):
        return None
    return subtract_ids(item.ids, show.ids), item.show_ids.merge(show.ids)


def has_needed_id(item: Item, needs: Collection[str]) -> bool:
    """True if it has one of these ids; "show.tmdb" is an id of an episode's show."""
    return not needs or any(find_id(item, name) is not None for name in needs)


def find_id(item: Item, name: str) -> int | str | None:
    of_show = name.startswith("show.")
    ids = show_ids(item) if of_show else item.ids
    return ids.by_namespace().get(name.removeprefix("show."))
