"""Lookups: who can say what else an item is known by. One file is one service.

A lookup module has `LABEL`, `COST` (who is asked first), `Settings` and `build`, and a class that
derives from `Lookup`: it says what the service answers, and what agrees with the item is decided here.
One with a key of its own has `FOR` (what it is for) and `SETUP` (what to get where, a step each), and can
`check` the key.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import date
from difflib import SequenceMatcher
from types import ModuleType
from typing import Any, ClassVar, Protocol

import httpx

from webhook.client import Recorder, accept, call, read, recording
from webhook.domain.event import Episode, Ids, Item, Kind, Movie, Season, Show
from webhook.domain.items import folded
from webhook.domain.outcome import Dead, Retry, Snooze, Undelivered, Unmatched

SURE = 0.9
"""The least score of a candidate that may be taken without asking."""

MARGIN = 0.2
"""How far behind the next one must be."""

LIKELY = {0: 1.0, 1: 0.95, 2: 0.8}
"""How well a film or show of the right title fits, by how many years it is off."""

LONGEST = 500
"""The letters of a title that are looked at: comparing two takes as long as both are."""

COMPARED = 100

MOST = 10
"""How many candidates a person is shown."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A film or a show as a service knows it. `score` says how well it fits, 0 to 1."""

    kind: Kind
    title: str | None = None
    titles: tuple[str, ...] = ()  # every title it is known by, the first among them
    year: int | None = None
    ids: Ids = field(default_factory=Ids)
    picture: str | None = None
    score: float = 0.0
    via: str = ""

    def to_json(self) -> dict[str, Any]:
        named = {"kind": self.kind.value, "title": self.title, "year": self.year, "ids": self.ids.known()}
        return {**named, "picture": self.picture, "score": round(self.score, 2), "via": self.via}


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """An episode as a service knows it; its `year` is when it was first shown."""

    episode: Episode
    show: Candidate


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """An episode in a show's list: its place as aired, and the day on which it is first shown (`2026-11-22`).

    `minutes` is how long it runs.
    """

    season: int
    number: int
    title: str | None = None
    aired: str | None = None
    ids: Ids = field(default_factory=Ids)
    minutes: int | None = None

    def aired_by(self, day: date) -> bool:
        return self.aired is not None and self.aired <= day.isoformat()

    def to_json(self) -> dict[str, Any]:
        place = {"season": self.season, "number": self.number}
        known = {**place, "title": self.title, "aired": self.aired, "ids": self.ids.known()}
        return known if self.minutes is None else {**known, "minutes": self.minutes}

    @classmethod
    def from_json(cls, known: Mapping[str, Any]) -> Listed:
        return cls(**{**known, "ids": Ids.from_json(known.get("ids"))})


class Lookup(ABC):
    """Finds what else an item is known by; `find` and `search` raise Retry (of this delivery) when it is down."""

    name: ClassVar[str]
    label: ClassVar[str]
    film_ids: ClassVar[tuple[str, ...]]  # the namespaces by which it finds each kind, the surest first
    show_ids: ClassVar[tuple[str, ...]]
    episode_ids: ClassVar[tuple[str, ...]]

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    # --- what the service says

    @abstractmethod
    async def films(self, namespace: str, value: int | str) -> Sequence[Candidate]: ...

    @abstractmethod
    async def shows(self, namespace: str, value: int | str) -> Sequence[Candidate]: ...

    @abstractmethod
    async def parts(self, namespace: str, value: int | str) -> Sequence[Part]:
        """The episodes with this id of their own."""
        ...

    @abstractmethod
    async def part(self, show: Candidate, season: int, number: int) -> Part | None:
        """An episode by its place in a show, as aired."""
        ...

    async def absolute(self, show: Candidate, number: int) -> Part | None:
        """An episode by its absolute number, where the service counts those."""
        return None

    async def episodes(self, show_ids: Ids) -> Sequence[Listed] | None:
        """Every episode of a show as aired, specials too; None where the service lists none or does not know it."""
        return None

    @abstractmethod
    async def titled(self, kind: Kind, title: str, year: int | None) -> Sequence[Candidate]:
        """The films or shows of that title and of titles like it, of any year."""
        ...

    # --- what of it agrees with the item

    async def find(self, item: Item) -> Item | None:
        """The item with what this service knows of it, or None; nothing that contradicts the item."""
        match item:
            case Movie():
                return await self.find_film(item)
            case Show():
                return await self.find_show(item)
            case Episode():
                known = await self.by_own_ids(item) or await self.by_show(item)
                return known or await self.by_misplaced_ids(item)
        return None

    async def find_film(self, item: Movie) -> Item | None:
        for name, value in pairs(item.ids, self.film_ids):
            for film in await self.films(name, value):
                if agrees(item, film):
                    return replace(item, ids=item.ids.merged(film.ids))
        return None

    async def find_show(self, item: Show) -> Item | None:
        for name, value in pairs(item.ids, self.show_ids):
            for show in await self.shows(name, value):
                if agrees(item, show):
                    return replace(item, ids=item.ids.merged(show.ids))
        return None

    async def by_own_ids(self, item: Episode) -> Item | None:
        for name, value in pairs(item.ids, self.episode_ids):
            for part in await self.parts(name, value):
                if is_part(item, part):
                    return known_as(item, part)
        return None

    async def by_show(self, item: Episode) -> Item | None:
        """By its show's ids and its numbers, where those count the aired or the absolute order."""
        if item.number is None or (item.season is None and item.numbering != "absolute"):
            return None
        for name, value in pairs(item.show_ids, self.show_ids):
            for show in await self.shows(name, value):
                if item.show_ids.contradicts(show.ids):
                    continue
                part = await self.placed(item, show)
                if part is not None and fits(item, part):
                    return known_as(item, part)
        return None

    async def placed(self, item: Episode, show: Candidate) -> Part | None:
        assert item.number is not None
        if item.numbering == "absolute":
            return await self.absolute(show, item.number)
        if item.numbering != "aired" or item.season is None:
            return None
        return await self.part(show, item.season, item.number)

    async def by_misplaced_ids(self, item: Episode) -> Item | None:
        """Some senders write the show's id where the episode's belongs: the title must then be the show's."""
        if item.show_ids or item.numbering != "aired" or item.season is None or item.number is None:
            return None
        for name, value in pairs(item.ids, self.show_ids):
            for show in await self.shows(name, value):
                if not item.show or not named_alike(item.show, show):
                    continue
                own = without(item.ids, show.ids)
                asked = replace(item, ids=own, show_ids=show.ids)
                part = await self.placed(asked, show)
                if part is not None and fits(asked, part) and near(item.year, part):
                    return known_as(asked, part)
        return None

    async def search(self, item: Item) -> list[Candidate]:
        """The films or shows whose title is like the item's, the likeliest first."""
        wanted = wanted_title(item)
        if wanted is None:
            return []
        kind = Kind.MOVIE if isinstance(item, Movie) else Kind.SHOW
        title, year = wanted
        found = [replace(one, score=likeness(item, one)) for one in await self.titled(kind, title, year)]
        return ranked(found)

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
            with recording(Recorder()) if secret else nothing():
                response = await call(self.http, self.label, "GET", path, headers=headers, params=params)
            return read(self.label, accept(self.label, response))
        except (Unmatched, Dead):
            return None
        except Undelivered as error:
            raise later(error) from error


class Checks(Protocol):
    """A lookup whose key can be tried."""

    async def check(self) -> str:
        """The service's name; raises Dead where it refuses the key, and Retry or Snooze where it cannot say."""
        ...


class nothing:  # noqa: N801 - reads as a word
    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


def later(error: Undelivered) -> Retry:
    """A lookup's trouble is no trouble of the account that waits for it: only this delivery is tried later."""
    after = error.after if isinstance(error, Retry | Snooze) else None
    return Retry(error.reason, answer=error.answer, after=after, lane=False)


def modules() -> dict[str, ModuleType]:
    """Every lookup module by its name, what costs least first."""
    names = (entry.name for entry in pkgutil.iter_modules(__path__))
    found = {name: importlib.import_module(f"{__name__}.{name}") for name in names if name[0] != "_"}
    return dict(sorted(found.items(), key=lambda entry: entry[1].COST))


# --- ids


def pairs(ids: Ids, namespaces: Sequence[str]) -> Iterator[tuple[str, int | str]]:
    known = ids.known()
    return ((name, known[name]) for name in namespaces if name in known)


def trusted(ids: Any) -> Ids:
    """The ids of an answer, of the types they have; anything else is as good as unknown."""
    if not isinstance(ids, Mapping):
        return Ids()
    numbers = {
        name: value
        for name in ("trakt", "tvdb", "tmdb")
        if isinstance(value := ids.get(name), int) and not isinstance(value, bool) and value > 0
    }
    texts = {name: value for name in ("imdb", "slug") if isinstance(value := ids.get(name), str) and value}
    return Ids.from_json({**numbers, **texts})


def without(ids: Ids, others: Ids) -> Ids:
    """These ids but for those that are the others'."""
    theirs = others.known()
    return Ids.from_json({name: value for name, value in ids.known().items() if theirs.get(name) != value})


def shared(one: Ids, other: Ids) -> int:
    """How many ids they have in common."""
    return len(one.known().items() & other.known().items())


# --- titles and years

SUFFIX = re.compile(r"(?<!\s)\s*+\((?:(?P<year>(?:19|20)\d\d)|[A-Z]{2})\)\s*+$")


def plainly(title: str) -> tuple[str, int | None]:
    """A title without the year or the country in brackets at its end, and that year."""
    title = title[:LONGEST]
    match = SUFFIX.search(title)
    if match is None or not match.start():
        return title, None
    rest, year = plainly(title[: match.start()])
    return rest, int(match["year"]) if match["year"] else year


def wanted_title(item: Item) -> tuple[str, int | None] | None:
    """The title to search by, and the year, if any; an episode is searched by its show."""
    title = item.show if isinstance(item, Episode | Season) else item.title
    if not title or not title.strip():
        return None
    plain, year = plainly(title) if not isinstance(item, Movie) else (title, None)
    return plain, year if year is not None else item.year if isinstance(item, Movie | Show) else None


def named_alike(title: str, found: Candidate) -> bool:
    """Whether it is known by this very title; a country in brackets must be in both or in neither."""
    there = {exactly(known) for known in found.titles}
    if exactly(title) in there:
        return True
    plain, year = plainly(title)
    return year is not None and year == found.year and exactly(plain) in there


def exactly(title: str) -> str:
    """A title without case, blanks, accents and most punctuation; `K-On!!` is not `K-On!`."""
    title = title[:LONGEST]
    marks = "".join(letter for letter in title if letter in "!?+*#$%")
    bare = unicodedata.normalize("NFKD", title.replace("&", " and "))
    return folded("".join(letter for letter in bare if not unicodedata.combining(letter))) + marks


def likeness(item: Item, found: Candidate) -> float:
    """How well a film or a show fits: title, and year, which for an episode is the show's or its own."""
    wanted = wanted_title(item)
    if wanted is None:
        return 0.0
    whole = item.show if isinstance(item, Episode | Season) else item.title
    title, year = wanted
    if not named_alike(whole or title, found):
        ratios = [closeness(title, one) for one in found.titles]
        return 0.6 * max(ratios, default=0.0)
    if year is None or found.year is None:
        return 0.8
    return LIKELY.get(abs(year - found.year), 0.7)


def closeness(one: str, other: str) -> float:
    """How much of two titles is the same, 0 to 1, by their beginnings: the time grows with both lengths."""
    return SequenceMatcher(None, exactly(one)[:COMPARED], exactly(other)[:COMPARED]).ratio()


def ranked(candidates: Collection[Candidate]) -> list[Candidate]:
    """The likeliest first, what is the same twice once, and of all no more than can be looked at."""
    kept: list[Candidate] = []
    for one in sorted(candidates, key=lambda one: -one.score):
        if not any(shared(one.ids, other.ids) for other in kept):
            kept.append(one)
    return kept[:MOST]


def chosen(candidates: Sequence[Candidate]) -> Candidate | None:
    """The one that fits with a margin to the next; None where that is not sure."""
    first = [*candidates, Candidate(kind=Kind.MOVIE), Candidate(kind=Kind.MOVIE)][:2]
    return first[0] if first[0].score >= SURE and first[0].score - first[1].score >= MARGIN else None


# --- agreement


def agrees(item: Movie | Show, found: Candidate) -> bool:
    """Whether what was found by an id can be the item: no other id differs, nor the year by more than one."""
    if item.ids.contradicts(found.ids):
        return False
    return None in (item.year, found.year) or abs((item.year or 0) - (found.year or 0)) <= 1


def fits(item: Episode, part: Part) -> bool:
    """Whether an episode found by its place can be the item."""
    if item.ids.contradicts(part.episode.ids) or item.show_ids.contradicts(part.show.ids):
        return False
    return near(item.year, part, otherwise=True)


def near(year: int | None, part: Part, *, otherwise: bool = False) -> bool:
    """Whether a year, which may be the episode's or its show's, agrees; `otherwise` where nothing is known."""
    known = [one for one in (part.episode.year, part.show.year) if one is not None]
    if year is None or not known:
        return otherwise
    return any(abs(year - one) <= 1 for one in known)


def is_part(item: Episode, part: Part) -> bool:
    """Whether an episode found by an id of its own can be the item. One number alone may be of another kind."""
    found = part.episode
    if item.ids.contradicts(found.ids) or item.show_ids.contradicts(part.show.ids):
        return False
    there = None not in (item.season, item.number) and item.numbering == "aired"
    placed = there and (item.season, item.number) == (found.season, found.number)
    titled = item.show is not None and named_alike(item.show, part.show)
    if titled or shared(item.show_ids, part.show.ids):
        return True
    if shared(item.ids, found.ids) >= 2 or found.ids.imdb == item.ids.imdb is not None:
        return placed or not there
    if item.show is None:
        return placed or not there
    foreign = not any(script(item.show) == script(title) for title in part.show.titles)
    same_title = bool(item.title and found.title) and exactly(item.title or "") == exactly(found.title or "")
    return placed and near(item.year, part) and (foreign or same_title)


def script(title: str) -> str:
    """The script that a title begins with."""
    letter = next((one for one in title if one.isalpha()), "")
    return unicodedata.name(letter, "NONE").split()[0] if letter else ""


def known_as(item: Episode, part: Part) -> Item:
    """The item with the episode's ids and its place as aired."""
    found, ids = part.episode, part.show.ids
    numbers = {} if found.season is None or found.number is None else {"season": found.season, "number": found.number, "numbering": "aired"}  # fmt: skip
    known: dict[str, Any] = {
        "ids": item.ids.merged(found.ids),
        "show_ids": item.show_ids.merged(ids),
        "show": item.show or part.show.title,
        "title": item.title or found.title,
        **numbers,
    }
    return replace(item, **{name: known[name] for name in names_of(item) if name in known})


def names_of(item: Item) -> list[str]:
    return [entry.name for entry in fields(item)]


# --- what is read out of JSON

WHOLE = re.compile(r"[0-9]{1,18}")
DAY = re.compile(r"(?:18|19|20)\d\d-[01]\d-[0-3]\d")
YEAR = re.compile(r"(?:18|19|20)\d\d")
DATE = 40  # letters that a date has at the most


def table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def rows(value: Any) -> list[Mapping[str, Any]]:
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, list) else []


def whole(value: Any) -> int | None:
    """A whole number, which some answers write as text."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    return int(value) if isinstance(value, str) and WHOLE.fullmatch(value) else None


def text(value: Any) -> str | None:
    """A text of bounded length; None where there is none."""
    return value[:LONGEST] if isinstance(value, str) and value.strip() else None


def texts(*values: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(said for value in values if (said := text(value))))


def day_of(value: Any) -> str | None:
    """The day of a date as text, where it is a whole one."""
    match = DAY.match(str(value or "")[:DATE])
    return match[0] if match else None


def year_of(value: Any) -> int | None:
    """The year of a date or of a year as text."""
    match = YEAR.match(str(value or "")[:DATE])
    return int(match[0]) if match else None
