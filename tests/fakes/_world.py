"""The world that the fakes of TMDB, TheTVDB and Trakt tell of: one catalogue for all of them.

Ids are those of a service; what a service does not know of an item is left out of its answers.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
Ids = Mapping[str, Any]


@dataclass(kw_only=True)
class Film:
    title: str
    year: int | None
    ids: Ids
    original: str | None = None
    aliases: tuple[str, ...] = ()
    unknown_to: frozenset[str] = frozenset()
    runtime: int = 100

    def titles(self) -> list[str]:
        return [self.title, *filter(None, [self.original]), *self.aliases]


@dataclass(kw_only=True)
class Part:
    """An episode: its place as aired, and what it is in other orders."""

    season: int
    number: int
    ids: Ids
    title: str | None = None
    aired: str | None = None
    absolute: int | None = None
    dvd: tuple[int, int] | None = None
    minutes: int | None = None
    titles: Mapping[str, str] = field(default_factory=dict)
    """Its titles in other languages, by their codes."""


@dataclass(kw_only=True)
class Series:
    title: str
    year: int | None
    ids: Ids
    original: str | None = None
    aliases: tuple[str, ...] = ()
    parts: list[Part] = field(default_factory=list)
    unknown_to: frozenset[str] = frozenset()

    def titles(self) -> list[str]:
        return [self.title, *filter(None, [self.original]), *self.aliases]

    def part(self, season: int, number: int) -> Part | None:
        return next((one for one in self.parts if (one.season, one.number) == (season, number)), None)


@dataclass
class World:
    """Films and series, found by ids and by titles."""

    films: list[Film] = field(default_factory=list)
    series: list[Series] = field(default_factory=list)

    def add(self, *things: Film | Series) -> World:
        for thing in things:
            if isinstance(thing, Film):
                self.films.append(thing)
            else:
                self.series.append(thing)
        return self

    def films_of(self, service: str) -> Iterator[Film]:
        return (
            film for film in self.films if service not in film.unknown_to and service_knows(film, service)
        )

    def series_of(self, service: str) -> Iterator[Series]:
        return (one for one in self.series if service not in one.unknown_to and service_knows(one, service))

    def parts_of(self, service: str) -> Iterator[tuple[Series, Part]]:
        return ((series, part) for series in self.series_of(service) for part in series.parts)

    def trakt(self) -> Json:
        """The same, as the fake of Trakt takes it at `/_control/catalogue`."""
        films = [
            {"title": film.title, "year": film.year, "ids": dict(film.ids)} for film in self.films_of("trakt")
        ]
        return {"movies": films, "shows": [shown(series) for series in self.series_of("trakt")]}


def shown(series: Series) -> Json:
    parts = [
        {
            "season": one.season,
            "number": one.number,
            "title": one.title,
            "ids": dict(one.ids),
            "first_aired": one.aired,
        }
        for one in series.parts
    ]
    return {"title": series.title, "year": series.year, "ids": dict(series.ids), "episodes": parts}


def service_knows(thing: Film | Series, service: str) -> bool:
    """Whether a service has the thing at all; Trakt has everything that is not hidden from it."""
    return service == "trakt" or thing.ids.get(service) is not None


def plain(text: str) -> str:
    bare = unicodedata.normalize("NFKD", text.casefold().replace("&", " and "))
    return "".join(
        letter if letter.isalnum() else " " for letter in bare if not unicodedata.combining(letter)
    )


def meets(query: str, titles: Iterable[str]) -> bool:
    """Whether a title holds every word that is asked for, as loosely as real searches take it."""
    words = plain(query).split()
    return bool(words) and any(all(word in plain(title) for word in words) for title in titles)
