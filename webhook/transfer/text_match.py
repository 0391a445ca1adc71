"""Matching episodes known by their titles alone with the list of a show's episodes. Pure; what is not sure is None."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from webhook.domain.event import Episode
from webhook.domain.items import fold_title
from webhook.lookups import ListedEpisode
from webhook.transfer.season_words import read_episode_number

LEAD = re.compile(r"^[^:.]{1,30}[:.]\s+")
"""What may stand before an episode's own name, such as `Chapter Nine: `."""

Place = tuple[int, int]
"""A season and a number, as aired."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Placing:
    """The places of some episodes in one show's list, by their index.

    `by_title` are those whose title agrees, `by_number` those of which only the number is in the list. `titled` is
    how many have a title that could have agreed.
    """

    by_title: Mapping[int, Place] = field(default_factory=dict)
    by_number: Mapping[int, Place] = field(default_factory=dict)
    titled: int = 0

    @property
    def is_likely(self) -> bool:
        """True if the show may be the one that is meant: at least half of the titles agree, or none could."""
        return 2 * len(self.by_title) >= self.titled

    def without(self, shared: Collection[int]) -> Placing:
        """The same without the episodes that another show has too."""
        by_title = {index: place for index, place in self.by_title.items() if index not in shared}
        by_number = {index: place for index, place in self.by_number.items() if index not in shared}
        return replace(self, by_title=by_title, by_number=by_number)

    @property
    def places(self) -> dict[int, Place]:
        return {**self.by_number, **self.by_title}


class EpisodeTitles:
    """The titles of a show's episodes in one language or several, by which episodes are placed."""

    def __init__(self, *lists: Iterable[ListedEpisode]) -> None:
        self.titles: dict[Place, set[str]] = {}
        for one in (one for listed in lists for one in listed):
            known = self.titles.setdefault((one.season, one.number), set())
            if one.title:
                known |= forms(one.title)
        self.seasons = {season for season, _ in self.titles}

    def place_all(self, items: Sequence[Episode]) -> Placing:
        """The places of all the episodes that are sure on their own."""
        by_title: dict[int, Place] = {}
        by_number: dict[int, Place] = {}
        titled = 0
        for index, item in enumerate(items):
            real = own_title(item)
            titled += real is not None
            found = None if real is None else self.find_title(item, real)
            if found is not None:
                by_title[index] = found
            elif (place := self.find_number(item, real)) is not None:
                by_number[index] = place
        return Placing(by_title=by_title, by_number=by_number, titled=titled)

    def find_title(self, item: Episode, title: str) -> Place | None:
        """The one place that has this title in the item's season, or in the show where it has no such season."""
        found = self.in_season(item.season, lambda known: letters(title) in known)
        found = found or self.in_season(item.season, lambda known: not known.isdisjoint(forms(title)))
        if item.number is not None:
            found = [place for place in found if place[1] == item.number]
        return found[0] if len(found) == 1 else None

    def find_number(self, item: Episode, title: str | None) -> Place | None:
        """The place of the item's number; None where its title belongs to another place."""
        number = item.number if item.number is not None else read_episode_number(item.title or "")
        if number is None or item.season is None or (item.season, number) not in self.titles:
            return None
        elsewhere = title is not None and any(letters(title) in known for known in self.titles.values())
        return None if elsewhere else (item.season, number)

    def in_season(self, season: int | None, fits: Callable[[frozenset[str]], bool]) -> list[Place]:
        found = [place for place, known in self.titles.items() if fits(frozenset(known))]
        if season is not None and season in self.seasons:
            return [place for place in found if place[0] == season]
        aired = [place for place in found if place[0] != 0]
        return aired or found


def own_title(item: Episode) -> str | None:
    """The item's title, if it is one of its own: not a number such as `Episode 4`."""
    return item.title if item.title and read_episode_number(item.title) is None else None


def forms(title: str) -> set[str]:
    """A title as it is compared, whole and without a lead such as `Chapter Nine: `."""
    rest = LEAD.sub("", title)
    return {form for form in (letters(title), letters(rest)) if form}


def letters(title: str) -> str:
    """The letters and digits of a title, without case and accents."""
    bare = unicodedata.normalize("NFKD", title)
    return fold_title("".join(letter for letter in bare if not unicodedata.combining(letter)))
