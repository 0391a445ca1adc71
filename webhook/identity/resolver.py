"""The resolver: completes items with the ids that trackers need. Asked once, remembered, never guessed."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from sqlalchemy import Connection

from webhook import clock
from webhook.domain import anime
from webhook.domain.anime import Lists
from webhook.domain.anime_index import AnimeEntry, AnimeIndex, AnimeNamespace
from webhook.domain.event import Episode, Item, Kind, Movie, Show
from webhook.domain.outcome import Undelivered, Unmatched
from webhook.identity import matches
from webhook.identity.lookup_round import LookupRound, has_needed_id
from webhook.identity.resolutions import (
    KnownItem,
    Resolution,
    find_item_ids,
    item_keys,
    plex_show_key,
    store_resolutions,
)
from webhook.lookups import Candidate, Lookup, common_ids, rank, subtract_ids, wanted_title
from webhook.storage.db import Database, Unavailable
from webhook.storage.json_shapes import CandidateJson

MAX_RECENT_ITEMS = 20_000
"""The number of items held in memory in front of the table."""

CHOICES_TTL = 2.0
"""Seconds for which the matches are believed; another process may add one."""

CANDIDATES_TIMEOUT = 20.0
"""Seconds that looking for candidates may take; a delivery waits for them."""
ID_LABELS = {"tvdb": "TheTVDB id", "tmdb": "TMDB id", "imdb": "IMDb id"}
SERIES_IDS: Mapping[Kind, tuple[str, ...]] = {Kind.EPISODE: ("show.tvdb",), Kind.MOVIE: ("tmdb",)}
"""The ids by which mapping lists know an item best."""

NO_LOOKUPS = (
    "no lookup is set up that could find it (set TMDB_TOKEN, TVDB_API_KEY, or TRAKT_CLIENT_ID and "
    "TRAKT_CLIENT_SECRET)"
)


class Identity:
    """Completes items. `lookups` are asked in the order in which they cost least."""

    def __init__(
        self,
        database: Database,
        lookups: Sequence[Lookup],
        lists: Lists | None = None,
        index: AnimeIndex | None = None,
    ) -> None:
        self.database = database
        self.lookups = lookups
        self.lists = lists or {}
        self.index = index or AnimeIndex()
        self._recent: OrderedDict[str, KnownItem] = OrderedDict()
        self._asking: dict[tuple[str, ...], asyncio.Task[Item]] = {}
        self._choices: Mapping[str, matches.Choice] = {}
        self._choices_until = -1.0

    async def resolve(self, item: Item, needs: Collection[str] = ()) -> Item:
        """The item as stored here, with one of the needed ids; raises Unmatched or Retry."""
        item = await self.of_known_show(item)
        known = self.apply_known_places(item, await self.choices())
        try:
            return await self.settle(known, needs)
        except Unmatched:
            again = self.apply_known_places(item, await self.choices(anew=True))
            if again == known:
                raise
            return await self.settle(again, needs)

    def resolve_at_once(self, connection: Connection, item: Item, needs: Collection[str] = ()) -> Item | None:
        """What `resolve` gives where it asks nobody, for a write job; None where it asks."""
        if isinstance(item, Episode):
            of_plex = item.show_ids.plex is not None and item.show_ids.tvdb is None
            if of_plex or item.numbering == "absolute":
                return None
        if time.monotonic() > self._choices_until:
            self.believe(matches.all_choices(connection))
        known = self.apply_known_places(item, self._choices)
        return known if has_needed_id(known, needs) else None

    async def find_anime(self, item: Item, namespace: AnimeNamespace) -> AnimeEntry:
        """The anime that an item is by the mapping lists, whatever its title; raises Unmatched or Retry."""
        item = await self.of_known_show(item)
        known = self.apply_known_places(item, await self.choices(anew=True))
        try:
            return self.index.find(known, namespace)
        except Unmatched:
            needs = SERIES_IDS.get(known.kind, ())
            if not self.index or has_needed_id(known, needs):
                raise
            asking = LookupRound(self.lookups)
            found, _ = await asking.by_ids(known, needs)
            if found is not None and has_needed_id(found, needs):
                return self.index.find(found, namespace)
            if asking.trouble is not None:
                raise asking.trouble from None
            raise

    async def of_known_show(self, item: Item) -> Item:
        """An episode of which Plex named the show by its own id, with the other ids of that show."""
        if not isinstance(item, Episode) or item.show_ids.plex is None or item.show_ids.tvdb is not None:
            return item
        key = plex_show_key(item.show_ids.plex)
        known = self._recent.get(key)
        if known is None:
            known = await self.database.read(lambda connection: find_item_ids(connection, (key,)))
            if known is None:
                return item
            self.cache((key,), known)
        if item.show_ids.contradicts(known.ids):
            return item
        return replace(item, show_ids=item.show_ids.merge(known.ids))

    def apply_known_places(self, item: Item, choices: Mapping[str, matches.Choice]) -> Item:
        """The item as a person said it is, else as a mapping list counts it."""
        said = matches.apply_choices(item, choices)
        if said != item or not isinstance(item, Episode):
            return said
        return anime.map_episode(without_show_ids(item), self.lists)

    async def settle(self, item: Item, needs: Collection[str]) -> Item:
        if isinstance(item, Episode) and item.numbering == "absolute":
            return await self.place_absolute(item, needs)
        return item if has_needed_id(item, needs) else await self.complete(item, needs)

    async def place_absolute(self, item: Episode, needs: Collection[str]) -> Item:
        """Resolve an episode's absolute number to its aired place, which a delivery needs."""
        try:
            return await self.complete(item, needs or ("tvdb", "tmdb", "imdb"))
        except Unmatched:
            if needs:
                raise
            return item

    async def complete(self, item: Item, needs: Collection[str]) -> Item:
        """The item with one of the needed ids; raises Unmatched if no lookup knows it, Retry if one is down."""
        if has_needed_id(item, needs):
            return item
        under = item_keys(item)
        recalled = self.recall(item, under)
        if recalled is not None and has_needed_id(recalled, needs):
            return recalled
        if not under and not self.askable(item):
            raise Unmatched(
                f"{name_needs(needs)} is needed, and nothing in the webhook says which item this is"
            )
        return await self.ask_once(item, under, tuple(needs))

    async def with_candidates(self, item: Item, error: Unmatched) -> Unmatched:
        """The tracker's error with candidates for the person to choose from."""
        if error.candidates:
            return error
        with contextlib.suppress(Undelivered, TimeoutError):
            async with asyncio.timeout(CANDIDATES_TIMEOUT):
                error.candidates = [candidate_json(one) for one in await self.candidates(item)]
        return error

    async def candidates(self, item: Item) -> list[Candidate]:
        """The items that the lookups propose; raises Retry where all are down."""
        found: list[Candidate] = []
        trouble: Undelivered | None = None
        for lookup in self.lookups:
            try:
                found += await lookup.search(item)
            except Undelivered as error:
                trouble = error
        if trouble is not None and not found:
            raise trouble
        return rank(found)

    # --- asked once

    async def ask_once(self, item: Item, under: tuple[str, ...], needs: tuple[str, ...]) -> Item:
        """Questions about one item at the same time are one question."""
        about = (*under, repr(item) if not under else "", *needs)
        task = self._asking.get(about)
        if task is None:
            task = asyncio.create_task(self.answer(item, under, needs))
            self._asking[about] = task
            task.add_done_callback(lambda done: self.finish_question(about, done))
        return with_found_ids(item, await asyncio.shield(task))

    def finish_question(self, about: tuple[str, ...], task: asyncio.Task[Item]) -> None:
        self._asking.pop(about, None)
        if not task.cancelled():
            task.exception()  # retrieved here too, in case the caller was cancelled meanwhile

    async def answer(self, item: Item, under: tuple[str, ...], needs: tuple[str, ...]) -> Item:
        stored = await self.database.read(lambda connection: find_item_ids(connection, under))
        told = None if stored is None else stored.complete(item)
        if stored is not None and told is not None:
            self.cache(under, stored)
            if has_needed_id(told, needs):
                return told
        return await self.ask(told or item, item, needs)

    async def ask(self, known: Item, item: Item, needs: tuple[str, ...]) -> Item:
        """Ask each lookup, with the ids found by those before it; then search by title."""
        asking = LookupRound(self.lookups)
        found, via = await asking.by_ids(known, needs)
        if found is None or not has_needed_id(found, needs):
            titled = None if found is not None else await asking.by_title(known)
            if titled is not None:
                found, via = await asking.by_ids(titled, needs)
                found, via = found or titled, [*via, "title"]
        if found is not None and has_needed_id(found, needs):
            await self.store(item, found, via)
            return found
        if asking.trouble is not None:
            raise asking.trouble
        shown = [] if found is not None else [candidate_json(one) for one in rank(asking.candidates)]
        raise Unmatched(self.unmatched_reason(item, needs), candidates=shown)

    def askable(self, item: Item) -> bool:
        if not self.lookups or not isinstance(item, Movie | Show | Episode):
            return False
        return bool(item.ids or getattr(item, "show_ids", None) or wanted_title(item))

    def unmatched_reason(self, item: Item, needs: Collection[str]) -> str:
        wanted = f"{name_needs(needs)} is not in the webhook"
        if not self.lookups:
            return f"{wanted}, and {NO_LOOKUPS}"
        asked = ", ".join(lookup.label for lookup in self.lookups)
        if isinstance(item, Episode) and item.numbering != "aired":
            return (
                f"{wanted}, and its numbers follow an order of their own, which only a mapping list "
                "(ANIME_LISTS) or your choice can tell"
            )
        return f"{wanted}, and {asked} cannot tell for sure which item this is"

    # --- remembered

    async def choices(self, *, anew: bool = False) -> Mapping[str, matches.Choice]:
        """People's choices, read again every few seconds since a command may have added one."""
        if anew or time.monotonic() > self._choices_until:
            found = self._choices
            with contextlib.suppress(Unavailable):
                found = await self.database.read(matches.all_choices)
            self.believe(found)
        return self._choices

    def believe(self, choices: Mapping[str, matches.Choice]) -> None:
        self._choices, self._choices_until = choices, time.monotonic() + CHOICES_TTL

    def recall(self, item: Item, under: Sequence[str]) -> Item | None:
        for key in under:
            if known := self._recent.get(key):
                self._recent.move_to_end(key)
                return known.complete(item)
        return None

    def cache(self, under: Sequence[str], known: KnownItem) -> None:
        for key in under:
            self._recent[key] = known
            self._recent.move_to_end(key)
        while len(self._recent) > MAX_RECENT_ITEMS:
            self._recent.popitem(last=False)

    async def store(self, asked: Item, found: Item, via: Sequence[str]) -> None:
        resolution = Resolution(asked=asked, found=found, via=tuple(via), at=clock.now())
        under = resolution.keys
        if under:
            await self.database.write(store_resolutions, resolution)
            self.cache(under, resolution.result)


def without_show_ids(item: Episode) -> Episode:
    """The episode without ids of its own that are its show's: some senders write those in both places."""
    ambiguous = common_ids(item.ids, item.show_ids)
    return replace(item, ids=subtract_ids(item.ids, item.show_ids)) if ambiguous else item


def with_found_ids(item: Item, found: Item) -> Item:
    """This item with the ids found for another of the same keys; its own title stays."""
    if isinstance(item, Episode) and isinstance(found, Episode):
        place = {"season": found.season, "number": found.number, "numbering": found.numbering}
        return replace(item, ids=found.ids, show_ids=found.show_ids, **place)  # type: ignore[arg-type]
    return replace(item, ids=found.ids)


def name_needs(needs: Collection[str]) -> str:
    names = dict.fromkeys(name.removeprefix("show.") for name in needs)
    return "the " + " or ".join(ID_LABELS.get(name, f"{name} id") for name in names)


def candidate_json(candidate: Candidate) -> CandidateJson:
    """A candidate as deliveries store it and the API gives it."""
    return {
        "kind": candidate.kind.value,
        "title": candidate.title,
        "year": candidate.year,
        "ids": candidate.ids.by_namespace(),
        "picture": candidate.picture,
        "score": round(candidate.score, 2),
        "via": candidate.via,
    }
