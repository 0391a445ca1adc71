"""The anime that an item is, by mapping lists alone: a season or a part of one, and the number of the episode in it.

AniList and MyAnimeList keep one entry for each such anime. What the lists leave open is Unmatched: no title decides.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from webhook.domain.anime import Anime, Lists, load_contents, merge_lists
from webhook.domain.anime_ids import FILM_KINDS, AnimeIds, is_id_list, read_id_list
from webhook.domain.event import Episode, Item, Movie
from webhook.domain.outcome import Unmatched

AnimeNamespace = Literal["anilist", "mal"]
NAMESPACE_LABELS: Mapping[AnimeNamespace, str] = {"anilist": "AniList", "mal": "MyAnimeList"}

NO_ID_LIST = (
    "no list is set up that says which anime it is: have ANIME_LISTS point to an anime-list-full.json, "
    "then send it again"
)
NOT_LISTED = "your anime lists (ANIME_LISTS) do not say which anime it is"
NO_PLACE = "your anime lists (ANIME_LISTS) know the series, and not which of its anime has this episode"
AMBIGUOUS = "your anime lists (ANIME_LISTS) have more than one anime for it"


@dataclass(frozen=True, kw_only=True, slots=True)
class AnimeEntry:
    """The id of an anime at a service, and the number of the episode in it; of a film that is 1."""

    id: int
    number: int


@dataclass(frozen=True, slots=True)
class AnimePart:
    """An anime of the lists, and the number of the episode in it."""

    ids: AnimeIds
    number: int


class AnimeIndex:
    """The anime of the lists, by the ids of the series and films that they are parts of."""

    def __init__(self, rows: Iterable[AnimeIds] = (), places: Lists | None = None) -> None:
        self.tvdb: dict[int, list[AnimeIds]] = defaultdict(list)
        self.tmdb: dict[int, list[AnimeIds]] = defaultdict(list)
        self.films: dict[int | str, list[AnimeIds]] = defaultdict(list)
        self.own: dict[tuple[str, int], list[AnimeIds]] = defaultdict(list)
        for row in rows:
            self.add(with_place(row, (places or {}).get(row.anidb or 0)))

    def __bool__(self) -> bool:
        return bool(self.own)

    def add(self, row: AnimeIds) -> None:
        for key in own_keys(row):
            self.own[key].append(row)
        if row.place.tvdb is not None:
            self.tvdb[row.place.tvdb].append(row)
        if row.place.tmdb is not None:
            self.tmdb[row.place.tmdb].append(row)
        films: tuple[int | str, ...] = (*row.films, *row.imdb)
        for film in films:
            self.films[film].append(row)

    def find(self, item: Item, namespace: AnimeNamespace) -> AnimeEntry:
        """The entry that the item is at a service; raises Unmatched where no list says it."""
        if not self:
            raise Unmatched(NO_ID_LIST)
        try:
            part = self.find_film(item) if isinstance(item, Movie) else self.find_episode(item)
        except LookupError:
            raise Unmatched(NO_PLACE) from None
        if part is None:
            raise Unmatched(NOT_LISTED)
        number: int | None = getattr(part.ids, namespace)
        if number is None:
            label = NAMESPACE_LABELS[namespace]
            raise Unmatched(f"your anime lists (ANIME_LISTS) have no id of it at {label}")
        return AnimeEntry(id=number, number=part.number)

    def find_film(self, film: Movie) -> AnimePart | None:
        if (row := self.find_own(film.ids.anidb, film.ids.mal)) is not None:
            return AnimePart(row, 1)
        for known in (film.ids.tmdb, film.ids.imdb):
            rows = self.films.get(known, []) if known is not None else []
            if rows:
                return choose_one([AnimePart(row, 1) for row in rows], lambda row: row.kind in FILM_KINDS)
        return None

    def find_episode(self, item: Item) -> AnimePart | None:
        """The anime with the episode; raises LookupError where its series is listed, and it is not in it."""
        if not isinstance(item, Episode) or item.number is None:
            return None
        ids = item.show_ids
        if (row := self.find_own(ids.anidb, ids.mal)) is not None:
            return find_in_anime(row, item, item.number)
        if item.numbering == "mapped":
            return None
        found = [
            part
            for rows, find in (
                (self.tvdb.get(ids.tvdb or 0, []), find_by_tvdb),
                (self.tmdb.get(ids.tmdb or 0, []), find_by_tmdb),
            )
            if (part := find(rows, item.season, item.number)) is not None
        ]
        if len({(part.ids.anilist, part.ids.mal, part.number) for part in found}) > 1:
            raise Unmatched(AMBIGUOUS)
        if not found and (ids.tvdb in self.tvdb or ids.tmdb in self.tmdb):
            raise LookupError
        return found[0] if found else None

    def find_own(self, anidb: int | None, mal: int | None) -> AnimeIds | None:
        """The anime that an agent for anime named by its own id."""
        rows = self.own.get(("anidb", anidb or 0)) or self.own.get(("mal", mal or 0)) or []
        return choose_one([AnimePart(row, 1) for row in rows]).ids if rows else None


def own_keys(row: AnimeIds) -> set[tuple[str, int]]:
    return {(name, value) for name in ("anidb", "anilist", "mal") if (value := getattr(row, name))}


def with_place(row: AnimeIds, listed: Anime | None) -> AnimeIds:
    """The row with the place that the list in XML gives its anime, which has ranges and pairs too."""
    if listed is None or listed.tvdb is None:
        return row
    if listed.tmdb is None or listed.tmdb_season is None:
        own = row.place
        listed = replace(listed, tmdb=own.tmdb, tmdb_season=own.tmdb_season, tmdb_offset=own.tmdb_offset)
    return replace(row, place=listed)


def find_in_anime(row: AnimeIds, item: Episode, number: int) -> AnimePart:
    """The episode of an anime that is known. Where the series is known too, a list has placed the episode in it."""
    if item.show_ids.tvdb is None or item.numbering == "mapped":
        if item.season not in (1, None):
            raise LookupError
        return AnimePart(row, number)
    if item.show_ids.tvdb != row.place.tvdb:
        raise LookupError
    part = find_by_tvdb([row], item.season, number)
    if part is None:
        raise LookupError
    return part


def find_by_tvdb(rows: Sequence[AnimeIds], season: int | None, number: int) -> AnimePart | None:
    """The anime with this place in a series of TheTVDB: by a range or a pair, else by the last that begins before it."""
    listed = list_parts(rows, season, number) if season is not None else []
    if listed:
        return choose_one(listed, is_series(season))
    if season == 0:
        return None
    parts = [
        AnimePart(row, found)
        for row in rows
        if (found := row.place.default_number(season, number)) is not None
    ]
    return choose_latest(parts, season)


def list_parts(rows: Sequence[AnimeIds], season: int, number: int) -> list[AnimePart]:
    """The anime with a range or a pair for this place; raises LookupError where all of them say that it is none of theirs."""
    listed: list[AnimePart] = []
    refused = False
    for row in rows:
        try:
            found = row.place.listed_number(season, number)
        except LookupError:
            refused = True
            continue
        if found is not None:
            listed.append(AnimePart(row, found))
    if refused and not listed:
        raise LookupError
    return listed


def find_by_tmdb(rows: Sequence[AnimeIds], season: int | None, number: int) -> AnimePart | None:
    if season is None or season == 0:
        return None
    parts = [
        AnimePart(row, found) for row in rows if (found := row.place.tmdb_number(season, number)) is not None
    ]
    return choose_latest(parts, season)


def choose_latest(parts: Sequence[AnimePart], season: int | None) -> AnimePart | None:
    """The anime that begins last before the episode, which has the lowest number in it."""
    if not parts:
        return None
    lowest = min(part.number for part in parts)
    return choose_one([part for part in parts if part.number == lowest], is_series(season))


def is_series(season: int | None) -> Callable[[AnimeIds], bool]:
    """A film or an OVA beside a series lies at the same place as it, and is none of its regular episodes."""
    return lambda row: season != 0 and row.kind == "TV"


def choose_one(
    parts: Sequence[AnimePart], prefers: Callable[[AnimeIds], bool] = lambda row: False
) -> AnimePart:
    """The only part, or the only preferred one; raises Unmatched where several are left."""
    preferred = [part for part in parts if prefers(part.ids)] or parts
    if len(preferred) > 1:
        raise Unmatched(AMBIGUOUS)
    return preferred[0]


def load_anime(paths: str) -> tuple[Lists, AnimeIndex]:
    """The places of anime, and the anime by their ids, of the lists at these paths. Raises Unusable."""
    contents = load_contents(paths)
    places = merge_lists(content for content in contents if not is_id_list(content))
    return places, AnimeIndex(merge_rows(content for content in contents if is_id_list(content)), places)


def merge_rows(contents: Iterable[bytes]) -> list[AnimeIds]:
    """The rows of these files; an anime that an earlier file names is left out of a later one."""
    found: list[AnimeIds] = []
    known: set[tuple[str, int]] = set()
    for content in contents:
        rows = [row for row in read_id_list(content) if not own_keys(row) & known]
        known |= {key for row in rows for key in own_keys(row)}
        found += rows
    return found
