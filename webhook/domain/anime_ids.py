"""Lists of anime by their ids: https://github.com/Fribb/anime-lists, `anime-list-full.json` or `-mini.json`.

    {"type": "TV", "anidb_id": 14444, "anilist_id": 104578, "mal_id": 38524, "tvdb_id": 267440,
     "season": {"tvdb": 3, "tmdb": 3}, "episode_offset": {"tvdb": 12},
     "themoviedb_id": {"tv": 1429}, "imdb_id": ["tt2560140"]}

The format has changed more than once: an id may be a number or a text, `themoviedb_id` a number, `imdb_id` a text
with commas. A row that cannot be read is left out, and the others are read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from webhook.domain.anime import Anime, Unusable

FILM_KINDS = frozenset({"MOVIE"})


@dataclass(frozen=True, kw_only=True, slots=True)
class AnimeIds:
    """An anime, which is a season or a part of one, with its ids and its place in a series as far as they are listed."""

    kind: str = ""
    anidb: int | None = None
    anilist: int | None = None
    mal: int | None = None
    films: tuple[int, ...] = ()  # its ids as a film at TMDB
    imdb: tuple[str, ...] = ()
    place: Anime


def is_id_list(content: bytes) -> bool:
    """True for a file in JSON, where the other kind of list is XML."""
    return content.lstrip()[:1] in (b"[", b"{")


def read_id_list(content: bytes) -> list[AnimeIds]:
    """The rows of a list that can be read. Raises Unusable where there are none."""
    try:
        rows = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise Unusable(f"it is no JSON: {error}") from error
    found = [ids for row in rows if (ids := parse_row(row)) is not None] if isinstance(rows, list) else []
    if not found:
        raise Unusable("it lists no anime by their ids at AniList or MyAnimeList")
    return found


def parse_row(row: Any) -> AnimeIds | None:
    """A row of the list; None where it has no id at AniList or MyAnimeList, or cannot be read."""
    if not isinstance(row, dict):
        return None
    anilist, mal = as_id(row.get("anilist_id")), as_id(row.get("mal_id"))
    if anilist is None and mal is None:
        return None
    kind = str(row.get("type") or "").upper()
    tmdb = as_object(row.get("themoviedb_id"), "movie" if kind in FILM_KINDS else "tv")
    seasons, offsets = as_object(row.get("season"), "tvdb"), as_object(row.get("episode_offset"), "tvdb")
    return AnimeIds(
        kind=kind,
        anidb=as_id(row.get("anidb_id")),
        anilist=anilist,
        mal=mal,
        films=tuple(number for given in as_list(tmdb.get("movie")) if (number := as_id(given)) is not None),
        imdb=tuple(text for given in as_list(row.get("imdb_id")) for text in split_ids(given)),
        place=Anime(
            tvdb=as_id(row.get("tvdb_id", row.get("thetvdb_id"))),
            season=as_number(seasons.get("tvdb")),
            absolute=seasons.get("tvdb") == "a",
            offset=as_number(offsets.get("tvdb")) or 0,
            tmdb=as_id(tmdb.get("tv")),
            tmdb_season=as_number(seasons.get("tmdb")),
            tmdb_offset=as_number(offsets.get("tmdb")) or 0,
        ),
    )


def as_number(value: Any) -> int | None:
    """A whole number, also as a text."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    return int(value) if isinstance(value, str) and value.isdecimal() and len(value) < 10 else None


def as_id(value: Any) -> int | None:
    number = as_number(value)
    return number if number is not None and number > 0 else None


def as_list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else [value]


def as_object(value: Any, name: str) -> Mapping[str, Any]:
    """An object; a bare value is what it has under this name."""
    return value if isinstance(value, dict) else {name: value}


def split_ids(value: Any) -> list[str]:
    return [text for part in value.split(",") if (text := part.strip())] if isinstance(value, str) else []
