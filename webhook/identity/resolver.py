"""The identity of items: which other ids is it known by. Asked once, remembered, never guessed."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from webhook import clock
from webhook.domain import anime
from webhook.domain.anime import Lists
from webhook.domain.event import Episode, Ids, Item, Kind, Movie, Show, item_from_json, item_to_json
from webhook.domain.items import folded
from webhook.domain.outcome import Retry, Undelivered, Unmatched
from webhook.identity import matches
from webhook.lookups import (
    Candidate,
    Lookup,
    chosen,
    named_alike,
    plainly,
    ranked,
    shared,
    wanted_title,
    without,
)
from webhook.storage.db import Database, Unavailable, fresh_ids
from webhook.storage.tables import item as item_table
from webhook.storage.tables import item_id, item_key

REMEMBERED = 20_000
"""How many items are held in memory, in front of the table."""

FRESH = 2.0
"""Seconds for which the matches are believed; another process may add one."""

PATIENCE = 20.0
"""Seconds that looking for candidates may take; a delivery waits for them."""

TRIED = 5
"""How many shows of one title are looked into."""

SURE = {"own": 1.0, "title": 0.9}
TEXTS = frozenset({"imdb", "slug", "plex", "musicbrainz", "tvtime"})
NAMES = {"tvdb": "TheTVDB id", "tmdb": "TMDB id", "imdb": "IMDb id"}
NO_LOOKUPS = (
    "no lookup is set up that could find it (set TMDB_TOKEN, TVDB_API_KEY, or TRAKT_CLIENT_ID and "
    "TRAKT_CLIENT_SECRET)"
)


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of an item beside what a webhook says."""

    ids: Ids = field(default_factory=Ids)
    show_ids: Ids = field(default_factory=Ids)
    season: int | None = None
    number: int | None = None

    def told(self, item: Item) -> Item | None:
        """The item with this; None where the webhook contradicts it, so that it is asked again."""
        if item.ids.contradicts(self.ids):
            return None
        ids = item.ids.merged(self.ids)
        if not isinstance(item, Episode):
            return replace(item, ids=ids)
        if item.show_ids.contradicts(self.show_ids):
            return None
        known = replace(item, ids=ids, show_ids=item.show_ids.merged(self.show_ids))
        if self.season is None or self.number is None:
            return known
        return replace(known, season=self.season, number=self.number, numbering="aired")


class Identity:
    """Completes items. `lookups` are asked in the order in which they cost least."""

    def __init__(self, database: Database, lookups: Sequence[Lookup], lists: Lists | None = None) -> None:
        self.database = database
        self.lookups = lookups
        self.lists = lists or {}
        self._recent: OrderedDict[str, Known] = OrderedDict()
        self._asking: dict[tuple[str, ...], asyncio.Task[Item]] = {}
        self._choices: Mapping[str, matches.Choice] = {}
        self._choices_until = -1.0

    async def resolve(self, item: Item, needs: Collection[str] = ()) -> Item:
        """The item as it is known here, with one of the ids that are needed; raises Unmatched or Retry."""
        item = await self.of_known_show(item)
        known = self.meant(item, await self.choices())
        try:
            return await self.settled(known, needs)
        except Unmatched:
            again = self.meant(item, await self.choices(anew=True))
            if again == known:
                raise
            return await self.settled(again, needs)

    async def of_known_show(self, item: Item) -> Item:
        """An episode of which Plex named the show by its own id, with the other ids of that show."""
        if not isinstance(item, Episode) or item.show_ids.plex is None or item.show_ids.tvdb is not None:
            return item
        key = show_question(item.show_ids.plex)
        known = self._recent.get(key)
        if known is None:
            known = await self.database.read(lambda connection: remembered(connection, (key,)))
            if known is None:
                return item
            self.keep((key,), known)
        if item.show_ids.contradicts(known.ids):
            return item
        return replace(item, show_ids=item.show_ids.merged(known.ids))

    def meant(self, item: Item, choices: Mapping[str, matches.Choice]) -> Item:
        """The item as a person said it is, else as a mapping list counts it."""
        said = matches.applied(item, choices)
        if said != item or not isinstance(item, Episode):
            return said
        return anime.mapped(tidied(item), self.lists)

    async def settled(self, item: Item, needs: Collection[str]) -> Item:
        if isinstance(item, Episode) and item.numbering == "absolute":
            return await self.counted(item, needs)
        return item if satisfied(item, needs) else await self.complete(item, needs)

    async def counted(self, item: Episode, needs: Collection[str]) -> Item:
        """An episode by its absolute number: its place as aired must be found before anybody is told."""
        try:
            return await self.complete(item, needs or ("tvdb", "tmdb", "imdb"))
        except Unmatched:
            if needs:
                raise
            return item

    async def complete(self, item: Item, needs: Collection[str]) -> Item:
        """The item with one of the ids that are needed; raises Unmatched when nobody knows, Retry when down."""
        if satisfied(item, needs):
            return item
        under = keys(item)
        recalled = self.recalled(item, under)
        if recalled is not None and satisfied(recalled, needs):
            return recalled
        if not under and not self.askable(item):
            raise Unmatched(f"{named(needs)} is needed, and nothing in the webhook says which item this is")
        return await self.together(item, under, tuple(needs))

    async def explained(self, item: Item, error: Unmatched) -> Unmatched:
        """What a tracker did not know, with candidates for the person to choose from."""
        if error.candidates:
            return error
        with contextlib.suppress(Undelivered, TimeoutError):
            async with asyncio.timeout(PATIENCE):
                error.candidates = [one.to_json() for one in await self.candidates(item)]
        return error

    async def candidates(self, item: Item) -> list[Candidate]:
        """What the lookups think it could be; raises Retry where all are down."""
        found: list[Candidate] = []
        trouble: Undelivered | None = None
        for lookup in self.lookups:
            try:
                found += await lookup.search(item)
            except Undelivered as error:
                trouble = error
        if trouble is not None and not found:
            raise trouble
        return ranked(found)

    # --- asked once

    async def together(self, item: Item, under: tuple[str, ...], needs: tuple[str, ...]) -> Item:
        """Questions about one item at the same time are one question."""
        about = (*under, repr(item) if not under else "", *needs)
        task = self._asking.get(about)
        if task is None:
            task = asyncio.create_task(self.answer(item, under, needs))
            self._asking[about] = task
            task.add_done_callback(lambda done: self.answered(about, done))
        return merged(item, await asyncio.shield(task))

    def answered(self, about: tuple[str, ...], task: asyncio.Task[Item]) -> None:
        self._asking.pop(about, None)
        if not task.cancelled():
            task.exception()  # whoever asked gets it; it is not lost where they were stopped meanwhile

    async def answer(self, item: Item, under: tuple[str, ...], needs: tuple[str, ...]) -> Item:
        stored = await self.database.read(lambda connection: remembered(connection, under))
        told = None if stored is None else stored.told(item)
        if stored is not None and told is not None:
            self.keep(under, stored)
            if satisfied(told, needs):
                return told
        return await self.ask(told or item, item, needs)

    async def ask(self, known: Item, item: Item, needs: tuple[str, ...]) -> Item:
        """Ask each lookup, with what the ones before it found; then search by title."""
        asking = LookupRound(self.lookups)
        found, via = await asking.by_ids(known, needs)
        if found is None or not satisfied(found, needs):
            titled = None if found is not None else await asking.by_title(known)
            if titled is not None:
                found, via = await asking.by_ids(titled, needs)
                found, via = found or titled, [*via, "title"]
        if found is not None and satisfied(found, needs):
            await self.learn(item, found, via)
            return found
        if asking.trouble is not None:
            raise asking.trouble
        shown = [] if found is not None else [one.to_json() for one in ranked(asking.candidates)]
        raise Unmatched(self.why(item, needs), candidates=shown)

    def askable(self, item: Item) -> bool:
        if not self.lookups or not isinstance(item, Movie | Show | Episode):
            return False
        return bool(item.ids or getattr(item, "show_ids", None) or wanted_title(item))

    def why(self, item: Item, needs: Collection[str]) -> str:
        wanted = f"{named(needs)} is not in the webhook"
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
        """What people chose; read again now and then, since a command may have added to it."""
        if anew or time.monotonic() > self._choices_until:
            with contextlib.suppress(Unavailable):
                self._choices = await self.database.read(matches.every)
            self._choices_until = time.monotonic() + FRESH
        return self._choices

    def recalled(self, item: Item, under: Sequence[str]) -> Item | None:
        for key in under:
            if known := self._recent.get(key):
                self._recent.move_to_end(key)
                return known.told(item)
        return None

    def keep(self, under: Sequence[str], known: Known) -> None:
        for key in under:
            self._recent[key] = known
            self._recent.move_to_end(key)
        while len(self._recent) > REMEMBERED:
            self._recent.popitem(last=False)

    async def learn(self, asked: Item, found: Item, via: Sequence[str]) -> None:
        lesson = Resolution(asked=asked, found=found, via=tuple(via), at=clock.now())
        under = lesson.keys
        if under:
            await self.database.write(learnt, lesson)
            self.keep(under, lesson.known)


class LookupRound:
    """One question put to every lookup: what they said of it, and which of them was down."""

    def __init__(self, lookups: Sequence[Lookup]) -> None:
        self.lookups = lookups
        self.candidates: list[Candidate] = []
        self.trouble: Undelivered | None = None

    async def by_ids(self, item: Item, needs: Collection[str]) -> tuple[Item | None, list[str]]:
        """What all know of it together, up to where that is enough; None where nobody knows it."""
        known: Item | None = None
        via: list[str] = []
        for lookup in self.lookups:
            found = await self.tried(lookup, known or item)
            if found is not None:
                known, via = found, [*via, lookup.name]
                if satisfied(known, needs):
                    break
        return known, via

    async def tried(self, lookup: Lookup, item: Item) -> Item | None:
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
            if (known := await self.decided(lookup, item, found)) is not None:
                return known
        return None

    async def decided(self, lookup: Lookup, item: Item, found: Sequence[Candidate]) -> Item | None:
        match item:
            case Movie(year=int()) | Show(year=int()):
                one = chosen(found)
                return None if one is None else identified(item, one)
            case Episode(numbering="aired", season=int(), number=int()):
                return await self.episode(lookup, item, found)
        return None

    async def episode(self, lookup: Lookup, item: Episode, found: Sequence[Candidate]) -> Item | None:
        """The one show of this title that has this episode in this year; None where two have, or none."""
        if item.show is None or item.show_ids.anidb or item.show_ids.mal or item.ids.anidb or item.ids.mal:
            return None  # AniDB counts each season as a show of its own
        year = item.year or plainly(item.show)[1]
        alike = [one for one in found if named_alike(item.show, one)]
        if year is None or len(alike) > TRIED or any(one.year is None for one in alike):
            return None
        known: list[Item] = []
        for show in alike:
            if plainly(item.show)[1] not in (None, show.year) or (show.year or 0) > year + 1:
                continue
            if own := shown_ids(item, show):
                asked = replace(item, ids=own[0], show_ids=own[1])
                if (one := await self.tried_by_show(lookup, asked)) is not None:
                    known.append(one)
        return known[0] if len(known) == 1 and self.trouble is None else None

    async def tried_by_show(self, lookup: Lookup, item: Episode) -> Item | None:
        try:
            return await lookup.by_show(item)
        except Undelivered as error:
            self.trouble = error if isinstance(error, Retry) else Retry(error.reason, lane=False)
            return None


def identified(item: Movie | Show, one: Candidate) -> Item | None:
    """The item as what its title means. Ids that were sent must not all say something else."""
    if item.ids.contradicts(one.ids) and not shared(item.ids, one.ids):
        return None
    return replace(item, ids=one.ids.merged(item.ids))


def shown_ids(item: Episode, show: Candidate) -> tuple[Ids, Ids] | None:
    """The item's own ids and its show's, if this is its show; an own id that is the show's is none."""
    if item.show_ids.contradicts(show.ids):
        return None
    return without(item.ids, show.ids), item.show_ids.merged(show.ids)


def tidied(item: Episode) -> Episode:
    """The episode without ids of its own that are its show's: some senders write those in both places."""
    ambiguous = shared(item.ids, item.show_ids)
    return replace(item, ids=without(item.ids, item.show_ids)) if ambiguous else item


def merged(item: Item, found: Item) -> Item:
    """What was found for a question that somebody else asked, for this item: its own words stay."""
    if isinstance(item, Episode) and isinstance(found, Episode):
        place = {"season": found.season, "number": found.number, "numbering": found.numbering}
        return replace(item, ids=found.ids, show_ids=found.show_ids, **place)  # type: ignore[arg-type]
    return replace(item, ids=found.ids)


def satisfied(item: Item, needs: Collection[str]) -> bool:
    if not needs:
        return True
    ids = item.ids
    return any(getattr(ids, name) is not None for name in needs)


def named(needs: Collection[str]) -> str:
    return "the " + " or ".join(NAMES.get(name, f"{name} id") for name in needs)


# --- keys: what is remembered, and under what


def keys(item: Item) -> tuple[str, ...]:
    """What is enough to know an item again: its ids, its show's ids and its place, title and year."""
    return tuple(key[:300] for key in (*id_keys(item), *place_keys(item), *title_keys(item)))


def id_keys(item: Item) -> Iterator[str]:
    # HAMA writes the anime's id where others write the episode's: not enough for an episode.
    vague = ("anidb", "mal") if isinstance(item, Episode) else ()
    return (
        f"{item.kind.value}:{name}:{value}" for name, value in item.ids.known().items() if name not in vague
    )


def place_keys(item: Item) -> Iterator[str]:
    if isinstance(item, Episode) and item.number is not None and item.numbering in ("aired", "absolute"):
        order = "" if item.numbering == "aired" else "absolute:"
        for name, value in item.show_ids.known().items():
            yield f"episode:of:{name}:{value}:{order}{item.season}x{item.number}"


def title_keys(item: Item) -> Iterator[str]:
    """By title only where nothing says more, and never without the year: remakes share a title."""
    if item.year is None or item.ids or getattr(item, "show_ids", None):
        return
    match item:
        case Episode(show=str(show), season=int(season), number=int(number), numbering="aired"):
            yield f"episode:title:{folded(show)}:{item.year}:{season}x{number}:{folded(item.title or '')}"
        case Movie(title=str(title)) | Show(title=str(title)):
            yield f"{item.kind.value}:title:{folded(title)}:{item.year}"


# --- the table


@dataclass(frozen=True, kw_only=True, slots=True)
class Resolution:
    """What was asked, what was found, and who said so."""

    asked: Item
    found: Item
    via: tuple[str, ...]
    at: datetime

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*keys(self.asked), *(key[:300] for key in id_keys(self.found)))))

    @property
    def known(self) -> Known:
        found = self.found
        if isinstance(found, Episode):
            placed = found.numbering == "aired"
            place = (found.season, found.number) if placed else (None, None)
            return Known(found.ids, found.show_ids, *place)
        return Known(found.ids)


def remembered(connection: Connection, under: Sequence[str]) -> Known | None:
    """What was learnt before of an item with one of these keys; the first key that is known decides."""
    if not under:
        return None
    wanted = select(item_key.c.key, item_key.c.item_id).where(item_key.c.key.in_(under))
    there = {row.key: row.item_id for row in connection.execute(wanted)}
    known = next((there[key] for key in under if key in there), None)
    if known is None:
        return None
    row = connection.execute(select(item_table).where(item_table.c.id == known)).one()
    ids: dict[str, dict[str, Any]] = {"own": {}, "show": {}}
    for one in connection.execute(select(item_id).where(item_id.c.item_id == known)):
        ids[one.whose][one.namespace] = one.value if one.namespace in TEXTS else int(one.value)
    return Known(Ids.from_json(ids["own"]), Ids.from_json(ids["show"]), row.season, row.number)


def show_question(plex: str) -> str:
    """What a show is known by that Plex names by its own id."""
    return f"show:plex:{plex}"


def known_show(connection: Connection, plex: str) -> Ids | None:
    """The other ids of a show that Plex names by its own."""
    known = remembered(connection, (show_question(plex),))
    return None if known is None else known.ids


def remember_show(connection: Connection, plex: str, ids: Ids, via: str, at: datetime) -> None:
    """Remember them for ever, in place of what was known before."""
    key = show_question(plex)
    stale = list(connection.execute(select(item_key.c.item_id).where(item_key.c.key == key)).scalars())
    forget(connection, stale)
    (made,) = fresh_ids(connection, item_table, 1)
    connection.execute(insert(item_table), {"id": made, "kind": Kind.SHOW.value, "learned_at": at})
    connection.execute(insert(item_key), {"key": key, "item_id": made})
    told = {"item_id": made, "whose": "own", "via": via, "sure": SURE["own"], "learned_at": at}
    rows = [{**told, "namespace": name, "value": str(value)} for name, value in ids.known().items()]
    connection.execute(insert(item_id), rows)


def forget(connection: Connection, item_ids: Sequence[int]) -> None:
    for table_, column in ((item_key, item_key.c.item_id), (item_id, item_id.c.item_id)):
        connection.execute(delete(table_).where(column.in_(item_ids)))
    connection.execute(delete(item_table).where(item_table.c.id.in_(item_ids)))


def with_origins(connection: Connection, webhook: dict[str, Any]) -> dict[str, Any]:
    """A webhook's trace, saying of each event's item which ids it has, from where, and how sure they are."""
    for event in webhook["events"]:
        event["item"] = [] if event["kind"] is None else origins(connection, item_from_json(event))
    return webhook


def origins(connection: Connection, item: Item) -> list[dict[str, Any]]:
    """Every id of an item or of its show (`whose`), where it came from (`via`), how sure it is (0 to 1)."""
    said = {"own": item.ids, "show": item.show_ids if isinstance(item, Episode) else Ids()}
    found = [
        origin(whose, name, value, "webhook", 1.0)
        for whose, ids in said.items()
        for name, value in ids.known().items()
    ]
    seen = {(entry["whose"], entry["namespace"]) for entry in found}
    chosen_item = matches.applied(item, matches.every(connection))
    if chosen_item != item:
        news = {
            "own": chosen_item.ids,
            "show": chosen_item.show_ids if isinstance(chosen_item, Episode) else Ids(),
        }
        chosen_ids = [(whose, *pair) for whose, ids in news.items() for pair in ids.known().items()]
        found += [
            origin(whose, name, value, "chosen by a person", 1.0)
            for whose, name, value in chosen_ids
            if said[whose].known().get(name) != value
        ]
    under = keys(item)
    known = (
        connection.execute(select(item_key.c.item_id).where(item_key.c.key.in_(under))).scalars().first()
        if under
        else None
    )
    for row in (
        connection.execute(select(item_id).where(item_id.c.item_id == known)) if known is not None else ()
    ):
        if (row.whose, row.namespace) not in seen:
            found.append(origin(row.whose, row.namespace, row.value, row.via, row.sure))
    return found


def origin(whose: str, namespace: str, value: int | str, via: str, sure: float) -> dict[str, Any]:
    return {"whose": whose, "namespace": namespace, "value": value, "via": via, "sure": sure}


def learnt(connection: Connection, waiting: list[Resolution]) -> list[int]:
    """Remember for ever; what was known under the same keys, and is contradicted by it, is replaced."""
    return [learnt_one(connection, lesson) for lesson in waiting]


def learnt_one(connection: Connection, lesson: Resolution) -> int:
    under, known = lesson.keys, lesson.known
    stale = list(connection.execute(select(item_key.c.item_id).where(item_key.c.key.in_(under))).scalars())
    if stale:
        forget(connection, stale)
    (made,) = fresh_ids(connection, item_table, 1)
    about = {"id": made, "kind": lesson.found.kind.value, "season": known.season, "number": known.number}
    connection.execute(insert(item_table), {**about, "learned_at": lesson.at})
    connection.execute(insert(item_key), [{"key": key, "item_id": made} for key in under])
    entries = [*sourced(lesson, "own", known.ids), *sourced(lesson, "show", known.show_ids)]
    if entries:
        connection.execute(insert(item_id), [{"item_id": made, **entry} for entry in entries])
    return made


def sourced(lesson: Resolution, whose: str, ids: Ids) -> Iterator[dict[str, Any]]:
    """Each id with where it came from: the webhook itself, or the lookups."""
    said = (item_to_json(lesson.asked).get("ids" if whose == "own" else "show_ids")) or {}
    via = "+".join(lesson.via)[:32] or "webhook"
    sure = SURE["title"] if "title" in lesson.via else SURE["own"]
    for name, value in ids.known().items():
        mine = said.get(name) == value
        yield {
            "whose": whose,
            "namespace": name,
            "value": str(value),
            "via": "webhook" if mine else via,
            "sure": 1.0 if mine else sure,
            "learned_at": lesson.at,
        }
