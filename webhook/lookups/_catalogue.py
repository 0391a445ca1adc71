"""Films, shows and episodes as a lookup knows them, and readers of its answers.

Not a lookup: the leading underscore keeps it out of the scan.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

from webhook.domain import values
from webhook.domain.event import Episode, Ids, Kind

if TYPE_CHECKING:
    from webhook.domain.json_shapes import ListedEpisodeJson


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A film or a show as a service knows it. `score` says how well it fits, 0 to 1."""

    kind: Kind
    title: str | None = None
    titles: tuple[str, ...] = ()  # every title it is known by, the first among them
    year: int | None = None
    ids: Ids = field(default_factory=Ids)
    picture: str | None = None
    backdrop: str | None = None
    minutes: int | None = None  # how long a film runs, where its details were asked for
    score: float = 0.0
    via: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundEpisode:
    """An episode as a service knows it; its `year` is when it was first shown."""

    episode: Episode
    show: Candidate


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedEpisode:
    """An episode in a show's list: its place as aired, and the day on which it is first shown (`2026-11-22`).

    `minutes` is how long it runs.
    """

    season: int
    number: int
    title: str | None = None
    aired: str | None = None
    ids: Ids = field(default_factory=Ids)
    minutes: int | None = None

    def is_aired_by(self, day: date) -> bool:
        return self.aired is not None and self.aired <= day.isoformat()

    def to_json(self) -> ListedEpisodeJson:
        known: ListedEpisodeJson = {
            "season": self.season,
            "number": self.number,
            "title": self.title,
            "aired": self.aired,
            "ids": self.ids.by_namespace(),
        }
        return known if self.minutes is None else {**known, "minutes": self.minutes}

    @classmethod
    def from_json(cls, known: ListedEpisodeJson) -> ListedEpisode:
        make: Callable[..., ListedEpisode] = cls
        return make(**{**known, "ids": Ids.from_json(known.get("ids"))})


def id_pairs(ids: Ids, namespaces: Sequence[str]) -> Iterator[tuple[str, int | str]]:
    known = ids.by_namespace()
    return ((name, known[name]) for name in namespaces if name in known)


def read_ids(ids: Any) -> Ids:
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


def subtract_ids(ids: Ids, others: Ids) -> Ids:
    """These ids but for those that are the others'."""
    theirs = others.by_namespace()
    return Ids.from_json(
        {name: value for name, value in ids.by_namespace().items() if theirs.get(name) != value}
    )


def common_ids(one: Ids, other: Ids) -> int:
    """The number of ids they have in common."""
    return len(one.by_namespace().items() & other.by_namespace().items())


ISO_DAY = re.compile(r"(?:18|19|20)\d\d-[01]\d-[0-3]\d")
YEAR_START = re.compile(r"(?:18|19|20)\d\d")
MAX_DATE = 40  # letters that a date has at the most


def distinct_texts(*given: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(found for value in given if (found := values.text(value))))


def day_of(value: Any) -> str | None:
    """The day of a date as text, where it is a whole one."""
    match = ISO_DAY.match(str(value or "")[:MAX_DATE])
    return match[0] if match else None


def year_of(value: Any) -> int | None:
    """The year of a date or of a year as text."""
    match = YEAR_START.match(str(value or "")[:MAX_DATE])
    return int(match[0]) if match else None
