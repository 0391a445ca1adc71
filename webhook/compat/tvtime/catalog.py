"""The catalogue of shows, episodes and movies, from the history and the library, completed by lookups."""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar
from uuid import UUID

from sqlalchemy import Connection

from webhook import clock
from webhook.compat.tvtime import shelf, shelf_episodes
from webhook.compat.tvtime.shelf import Series
from webhook.domain.event import Episode, Ids, Kind, Movie, Show
from webhook.domain.items import fold_title
from webhook.domain.outcome import Undelivered
from webhook.history import shows
from webhook.lookups import Candidate, FoundEpisode, ListedEpisode, Lookup
from webhook.service import Service

K = TypeVar("K")
T = TypeVar("T")

LOOKUP_TIMEOUT = 3.0
"""Seconds for a lookup to answer while a request waits."""

MAX_REMEMBERED = 1000
"""How many show titles, and how many movies found by a search, are remembered."""

UUID_SPACES = {"tvdb": 1, "imdb": 2, "tmdb": 3, "series": 4, "episode": 5}
UUID_PREFIX = 0x7476 << 96  # "tv"; with the version and variant of RFC 9562, 5.8: a UUID of one's own making
MAX_UUID_NUMBER = 1 << 48
IMDB_ID = re.compile(r"tt(\d{1,12})")


class Catalogue:
    def __init__(self, service: Service) -> None:
        self.database = service.database
        self.lookups: Sequence[Lookup] = sorted(
            service.identity.lookups, key=lambda lookup: lookup.name != "tvdb"
        )
        self.met: OrderedDict[str, Movie] = OrderedDict()
        self.titles: OrderedDict[int, str] = OrderedDict()

    # --- shows

    async def series(self, person_id: int, tvdb: int) -> Series:
        """A show; its episodes are fetched from the lookups if nobody has listed them yet."""
        known = await self.database.read(lambda connection: shelf.read_show(connection, person_id, tvdb))
        if not known.listed and await self.list_episodes(tvdb):
            known = await self.database.read(lambda connection: shelf.read_show(connection, person_id, tvdb))
        if known.title is not None or not known.episodes:
            return known
        title = await self.title(tvdb)
        if title is not None and known.followed_at is not None:
            await self.database.write(name_shows, (person_id, f"tvdb:{tvdb}", title))
        return replace(known, title=title)

    async def title(self, tvdb: int) -> str | None:
        """The title of a show; None if no lookup can answer now."""
        for lookup in self.lookups if tvdb not in self.titles else ():
            found = await self.ask_lookup(partial(lookup.shows, "tvdb", tvdb))
            if found and found[0].title:
                remember_recent(self.titles, tvdb, found[0].title)
                break
        return self.titles.get(tvdb)

    async def list_episodes(self, tvdb: int) -> bool:
        """Store the show's episodes as the first lookup lists them; True if one did."""
        for lookup in self.lookups:
            episodes = await self.ask_lookup(partial(lookup.episodes, Ids(tvdb=tvdb)))
            if episodes:
                learnt = shows.ShowList(f"tvdb:{tvdb}", lookup.name, episodes, clock.now())
                await self.database.write(shows.store_lists, learnt)
                return True
        return False

    async def show(self, person_id: int, tvdb: int) -> Show | None:
        """A show to follow; None if TheTVDB says that it does not exist."""
        known = await self.database.read(lambda connection: shelf.read_show(connection, person_id, tvdb))
        ids = Ids(tvdb=tvdb)
        if known.title is not None:
            return Show(title=known.title, ids=ids)
        for lookup in self.lookups:
            found = await self.ask_lookup(partial(lookup.shows, "tvdb", tvdb))
            if found:
                return Show(title=found[0].title, year=found[0].year, ids=ids.merge(found[0].ids))
            if found is not None and lookup.name == "tvdb" and not known.episodes:
                return None
        return Show(ids=ids)

    # --- episodes

    async def episode(self, person_id: int, tvdb: int) -> Episode | None:
        """The episode with this TheTVDB id; None if TheTVDB says that it does not exist."""
        known = await self.database.read(
            lambda connection: shelf_episodes.find_episode(connection, person_id, tvdb)
        )
        if known.season is not None and known.show_ids.tvdb is not None:
            return replace(known, show=known.show or await self.title(known.show_ids.tvdb))
        for lookup in self.lookups:
            parts: Sequence[FoundEpisode] | None = await self.ask_lookup(partial(lookup.parts, "tvdb", tvdb))
            if parts:
                return shelf_episodes.complete(to_episode(parts[0], tvdb), [known])
            if parts is not None and lookup.name == "tvdb" and known == Episode(ids=Ids(tvdb=tvdb)):
                return None
        return known

    # --- movies

    async def search(self, person_id: int, query: str, kinds: Sequence[str]) -> list[Movie | Show]:
        """The matches of a TheTVDB id, an IMDb id or a title, the person's own first."""
        ids = ids_of(query)
        found: list[Movie | Show] = []
        if "series" in kinds:
            found += await self.found_shows(person_id, query, ids)
        if "movie" in kinds:
            found += await self.found_movies(person_id, query, ids, taken=bool(found))
        return found

    async def found_movies(self, person_id: int, query: str, ids: Ids, *, taken: bool) -> list[Movie]:
        mine = await self.database.read(lambda connection: shelf.movies(connection, person_id))
        found = [film for film, _ in mine if matches_query(film, query, ids)]
        found += [
            Movie(title=one.title, year=one.year, ids=one.ids)
            for one in await self.candidates(Kind.MOVIE, query, ids)
        ]
        if not found and ids and not taken and not self.lookups:
            found = [Movie(ids=ids)]  # no lookup to say which one it is, or that it does not exist
        return list(
            {uuid: self.remember_movie(film, uuid) for film in found if (uuid := uuid_of(film.ids))}.values()
        )

    async def found_shows(self, person_id: int, query: str, ids: Ids) -> list[Show]:
        followed = await self.database.read(
            lambda connection: shelf.read_followed_shows(connection, person_id)
        )
        mine = [Show(title=one.title, ids=Ids(tvdb=one.tvdb)) for one in followed]
        found = [show for show in mine if matches_query(show, query, ids)]
        others = await self.candidates(Kind.SHOW, query, ids)
        found += [Show(title=one.title, year=one.year, ids=one.ids) for one in others]
        return list({show.ids.tvdb: show for show in reversed(found) if show.ids.tvdb}.values())[::-1]

    async def candidates(self, kind: Kind, query: str, ids: Ids) -> list[Candidate]:
        """The candidates from the first lookup that finds any."""
        for lookup in self.lookups:
            found = await self.ask_lookup(partial(self.find_candidates, lookup, kind, query, ids))
            if found:
                return list(found)
        return []

    @staticmethod
    async def find_candidates(lookup: Lookup, kind: Kind, query: str, ids: Ids) -> Sequence[Candidate]:
        spaces, ask = (
            (lookup.film_ids, lookup.films) if kind is Kind.MOVIE else (lookup.show_ids, lookup.shows)
        )
        for space, value in ids.by_namespace().items():
            if space in spaces and (found := await ask(space, value)):
                return found
        return [] if ids else await lookup.search_title(kind, query, None)

    def remember_movie(self, film: Movie, uuid: str) -> Movie:
        remember_recent(self.met, uuid, film)
        return film

    async def movie(self, person_id: int, uuid: str) -> Movie | None:
        """The movie of a uuid that was issued here, or of TV Time's own if the history knows it."""
        ids = ids_in(uuid) or Ids(tvtime=uuid)
        mine = await self.database.read(lambda connection: shelf.find_movie(connection, person_id, ids))
        if mine is not None or uuid in self.met:
            return mine or self.met[uuid]
        if ids.tvtime is not None:
            return None
        found = await self.candidates(Kind.MOVIE, "", ids)
        return Movie(title=found[0].title, year=found[0].year, ids=found[0].ids) if found else Movie(ids=ids)

    # --- the lookups

    async def ask_lookup(self, question: Callable[[], Awaitable[T]]) -> T | None:
        """The lookup's answer; None if it fails or takes too long."""
        try:
            async with asyncio.timeout(LOOKUP_TIMEOUT):
                return await question()
        except (Undelivered, TimeoutError):
            return None


def remember_recent(met: OrderedDict[K, T], key: K, value: T) -> None:
    met[key] = value
    met.move_to_end(key)
    while len(met) > MAX_REMEMBERED:
        met.popitem(last=False)


def name_shows(connection: Connection, waiting: list[tuple[int, str, str]]) -> list[bool]:
    return [shelf_episodes.name_show(connection, *entry) for entry in waiting]


def to_episode(part: FoundEpisode, tvdb: int) -> Episode:
    episode, show = part.episode, part.show
    return Episode(
        title=episode.title, show=show.title, season=episode.season, number=episode.number, year=episode.year,
        ids=Ids(tvdb=tvdb).merge(episode.ids), show_ids=show.ids,
    )  # fmt: skip


def ids_of(query: str) -> Ids:
    """The ids that a query may be: a number is one of TheTVDB."""
    text = query.strip().casefold()
    if IMDB_ID.fullmatch(text):
        return Ids(imdb=text)
    return Ids(tvdb=int(text)) if text.isascii() and text.isdigit() and len(text) <= 12 else Ids()


def matches_query(item: Movie | Show, query: str, ids: Ids) -> bool:
    if ids:
        return bool(item.ids.by_namespace().items() & ids.by_namespace().items())
    return bool(item.title) and fold_title(query) in fold_title(item.title or "")


# --- uuids for items without one of TV Time's own: they encode an id


def uuid_of(ids: Ids) -> str | None:
    """A movie's uuid: TV Time's own if known, else one that encodes another id; None without any id."""
    if ids.tvtime is not None:
        return ids.tvtime
    if ids.tvdb is not None:
        return make_uuid("tvdb", ids.tvdb)
    if ids.imdb is not None and (number := IMDB_ID.fullmatch(ids.imdb)):
        return make_uuid("imdb", int(number[1]) + 10 ** len(number[1]))  # the leading one keeps the zeros
    return None if ids.tmdb is None else make_uuid("tmdb", ids.tmdb)


def make_uuid(space: str, number: int) -> str:
    return str(
        UUID(int=UUID_PREFIX | 0x8 << 76 | 0x8 << 60 | UUID_SPACES[space] << 48 | number % MAX_UUID_NUMBER)
    )


def decode_uuid(uuid: str) -> tuple[int, int] | None:
    """The namespace and the number in a uuid that was made here; None for any other."""
    try:
        value = UUID(uuid).int
    except ValueError:
        return None
    return ((value >> 48) & 0xFFF, value % MAX_UUID_NUMBER) if value >> 96 == UUID_PREFIX >> 96 else None


def series_in(uuid: str) -> int | None:
    """The TheTVDB id in a show's uuid that was made here; None for any other."""
    space, number = decode_uuid(uuid) or (None, None)
    return number if space == UUID_SPACES["series"] else None


def ids_in(uuid: str) -> Ids | None:
    """The id in a movie's uuid that was made here; None for any other."""
    held = decode_uuid(uuid)
    if held is None:
        return None
    space, number = held
    if space == UUID_SPACES["imdb"]:
        return Ids(imdb=f"tt{str(number)[1:]}")
    return {UUID_SPACES["tvdb"]: Ids(tvdb=number), UUID_SPACES["tmdb"]: Ids(tmdb=number)}.get(space)


def episode_by_id(series: Series, tvdb: int) -> ListedEpisode | None:
    """The episode of a show with this TheTVDB id."""
    return next((one for one in series.episodes if one.ids.tvdb == tvdb), None)
