"""Anime lists: the mapping of AniDB episodes to TheTVDB.

The format: https://github.com/Anime-Lists/anime-lists
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from webhook.domain.event import Episode, Ids

MAX_LIST_BYTES = 64 * 1024 * 1024
ABSOLUTE = "a"
PAIR = re.compile(r"\s*(\d{1,6})-([\d+]{1,40})\s*")
WHOLE_PATTERN = re.compile(r"\s*-?\d{1,9}\s*")


class Unusable(Exception):
    """An unusable list; the message says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Range:
    """Episodes of one AniDB season that lie in one season of TheTVDB."""

    here: int
    there: int
    start: int | None = None
    end: int | None = None
    offset: int = 0
    pairs: Mapping[int, int | None]  # None: it has no counterpart, or more than one
    parts: frozenset[int] = frozenset()  # numbers there that are parts of one episode here

    def covers(self, number: int) -> bool:
        if self.start is None and self.end is None:
            return not self.pairs
        return (self.start or 0) <= number and (self.end is None or number <= self.end)

    def number_at(self, season: int, number: int) -> int | None:
        """The number here of what lies there; raises LookupError where that is no whole episode, or several."""
        if self.there != season:
            return None
        found = [mine for mine, theirs in self.pairs.items() if theirs == number]
        if number in self.parts or len(found) > 1:
            raise LookupError
        if found:
            return found[0]
        return number - self.offset if season != 0 and self.covers(number - self.offset) else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Anime:
    """An AniDB anime and its place in a TheTVDB series."""

    tvdb: int | None
    season: int | None = None  # None with `absolute`: its numbers are absolute ones
    absolute: bool = False
    offset: int = 0
    ranges: Sequence[Range] = ()
    tmdb: int | None = None
    tmdb_season: int | None = None
    tmdb_offset: int = 0

    def place(self, season: int, number: int) -> tuple[int | None, int] | None:
        """Season (None: absolute) and number at TheTVDB, or None where the list does not say."""
        mine = [one for one in self.ranges if one.here == season]
        for one in mine:
            if number in one.pairs:
                there = one.pairs[number]
                return None if there is None else (one.there, there)
        for one in mine:
            if one.covers(number):
                return positive(one.there, number + one.offset)
        if season != 1:
            return None
        if self.absolute:
            return positive(None, number + self.offset)
        return None if self.season is None else positive(self.season, number + self.offset)

    def listed_number(self, season: int, number: int) -> int | None:
        """The number of the anime's own episode that a range or a pair puts there; specials need a pair.

        Raises LookupError where it is one of the anime's specials, or part of an episode.
        """
        for one in self.ranges:
            found = one.number_at(season, number)
            if found is not None and self.place(one.here, found) == (season, number):
                if one.here != 1:
                    raise LookupError
                return found
        return None

    def default_number(self, season: int | None, number: int) -> int | None:
        """The number of the episode that the anime's season (None: its absolute order) and offset put there."""
        found = number - self.offset
        if season is None:
            return found if found > 0 and self.absolute else None
        return found if found > 0 and self.place(1, found) == (season, number) else None

    def tmdb_number(self, season: int, number: int) -> int | None:
        """The same in the numbering of TMDB, of which lists have no ranges."""
        found = number - self.tmdb_offset
        return found if found > 0 and self.tmdb_season == season else None


def positive(season: int | None, number: int) -> tuple[int | None, int] | None:
    return (season, number) if number > 0 else None


Lists = Mapping[int, Anime]


def map_episode(item: Episode, lists: Lists) -> Episode:
    """The episode in TheTVDB's numbering if a list knows its anime; else unchanged."""
    anidb = item.show_ids.anidb
    anime = lists.get(anidb) if anidb is not None else None
    if anime is None or anime.tvdb is None or item.season not in (0, 1, None) or item.number is None:
        return item
    place = anime.place(1 if item.season is None else item.season, item.number)
    if place is None or item.show_ids.tvdb not in (None, anime.tvdb):
        return replace(item, numbering="mapped")
    season, number = place
    shown = Ids(tvdb=anime.tvdb).merge(item.show_ids)
    return replace(
        item,
        show_ids=shown,
        season=season,
        number=number,
        numbering="absolute" if season is None else "aired",
    )


# --- reading


def load_contents(paths: str) -> list[bytes]:
    """The content of the files at these paths. Raises Unusable."""
    return [list_content(Path(path)) for path in filter(None, paths.split(os.pathsep))]


def merge_lists(contents: Iterable[bytes]) -> Lists:
    """The lists in these XML files, of an anime the first that names it. Raises Unusable."""
    found: dict[int, Anime] = {}
    for content in contents:
        for anidb, anime in read_list(content).items():
            found.setdefault(anidb, anime)
    return found


def list_content(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_LIST_BYTES:
            raise Unusable(f"{path} is larger than {MAX_LIST_BYTES // 1024 // 1024} MB")
        return path.read_bytes()
    except OSError as error:
        raise Unusable(f"{path} cannot be read: {error.strerror}") from error


def read_list(raw: bytes) -> Lists:
    """Read a list from an XML file; one with a document type or entities is refused, as they can expand without bound."""
    reading = Reading()
    from xml.parsers import expat

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse_list
    parser.EntityDeclHandler = refuse_list
    parser.ExternalEntityRefHandler = refuse_list
    parser.StartElementHandler = reading.begin
    parser.CharacterDataHandler = reading.text
    parser.EndElementHandler = reading.end
    try:
        parser.Parse(raw, True)
    except expat.ExpatError as error:
        raise Unusable(f"it is no XML: {error}") from error
    return reading.found


def refuse_list(*_: Any) -> int:
    raise Unusable("it has a document type or entities of its own, which a list has no need of")


class Reading:
    """The state of the parser."""

    def __init__(self) -> None:
        self.found: dict[int, Anime] = {}
        self.anidb: int | None = None
        self.anime: Anime | None = None
        self.mapping: dict[str, str] | None = None
        self.said = ""

    def begin(self, name: str, given: dict[str, str]) -> None:
        if name == "anime":
            self.anidb = parse_number(given.get("anidbid"))
            season = (given.get("defaulttvdbseason") or "").strip()
            self.anime = Anime(
                tvdb=parse_number(given.get("tvdbid")),
                season=parse_number(season),
                absolute=season == ABSOLUTE,
                offset=parse_number(given.get("episodeoffset")) or 0,
                tmdb=parse_number(given.get("tmdbtv")),
                tmdb_season=parse_number(given.get("tmdbseason")),
                tmdb_offset=parse_number(given.get("tmdboffset")) or 0,
            )
        elif name == "mapping":
            self.mapping, self.said = dict(given), ""

    def text(self, said: str) -> None:
        if self.mapping is not None:
            self.said += said

    def end(self, name: str) -> None:
        if name == "mapping" and self.mapping is not None and self.anime is not None:
            if one := parse_range(self.mapping, self.said):
                self.anime = replace(self.anime, ranges=[*self.anime.ranges, one])
            self.mapping = None
        elif name == "anime" and self.anime is not None:
            if self.anidb is not None:
                self.found.setdefault(self.anidb, self.anime)
            self.anime = None


def parse_range(given: Mapping[str, str], said: str) -> Range | None:
    here, there = parse_number(given.get("anidbseason")), parse_number(given.get("tvdbseason"))
    if here is None or there is None:
        return None
    return Range(
        here=here,
        there=there,
        start=parse_number(given.get("start")),
        end=parse_number(given.get("end")),
        offset=parse_number(given.get("offset")) or 0,
        pairs=dict(parse_pairs(said)),
        parts=frozenset(parse_parts(said)),
    )


def parse_pairs(said: str) -> list[tuple[int, int | None]]:
    """`;1-2;3-0;4-5+6;`: 1 is 2; 3 is nothing there; 4 is two episodes, which is not one."""
    found: list[tuple[int, int | None]] = []
    for pair in said.split(";"):
        if match := PAIR.fullmatch(pair):
            there = parse_number(match[2])
            found.append((int(match[1]), there or None))
    return found


def parse_parts(said: str) -> list[int]:
    """`;4-5+6;`: 5 and 6 are parts of one episode."""
    several = [match[2].split("+") for pair in said.split(";") if (match := PAIR.fullmatch(pair))]
    return [int(part) for parts in several if len(parts) > 1 for part in parts if part]


def parse_number(text: str | None) -> int | None:
    return int(text) if text is not None and WHOLE_PATTERN.fullmatch(text) else None
