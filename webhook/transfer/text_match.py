"""Matching episodes known by their titles alone with the list of a show's episodes. Pure; what is not sure is None."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from webhook.domain.event import Episode
from webhook.domain.items import fold_title
from webhook.lookups import ListedEpisode
from webhook.transfer.season_words import read_episode_number

LEAD = re.compile(r"^([^:.]{1,30})[:.]\s+(?=\S)")
"""What may stand before an episode's own name, if it is its number: `Chapter Nine: `."""

EpisodePlace = tuple[int, int]
"""A season and a number, as aired."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Placing:
    """The places of some episodes in one show's list, by their index.

    `by_title` are those whose title agrees, `by_number` those of which only the number is in the list, `unclear`
    those whose title several places have. `titled` is how many have a title that could have agreed,
    `nameless` how many of those found by number have no title in the list either.
    """

    by_title: Mapping[int, EpisodePlace] = field(default_factory=dict)
    by_number: Mapping[int, EpisodePlace] = field(default_factory=dict)
    unclear: frozenset[int] = frozenset()
    titled: int = 0
    nameless: int = 0

    @property
    def is_likely(self) -> bool:
        """True if the show may be the one that is meant: at least half of the titles agree, or neither side has any."""
        if not self.titled:
            return 2 * self.nameless >= len(self.by_number)
        return 2 * (len(self.by_title) + len(self.unclear)) >= self.titled

    def leave_out(self, shared: Collection[int]) -> Placing:
        """The same without the episodes that another show has too."""
        by_title = {index: place for index, place in self.by_title.items() if index not in shared}
        by_number = {index: place for index, place in self.by_number.items() if index not in shared}
        return replace(self, by_title=by_title, by_number=by_number)

    @property
    def places(self) -> dict[int, EpisodePlace]:
        return {**self.by_number, **self.by_title}


class EpisodeTitles:
    """The titles of a show's episodes in one language or several, by which episodes are placed."""

    def __init__(self, *lists: Iterable[ListedEpisode]) -> None:
        self.titles: dict[EpisodePlace, set[str]] = {}
        self.nameless: set[EpisodePlace] = set()
        for one in (one for listed in lists for one in listed):
            known = self.titles.setdefault((one.season, one.number), set())
            if not one.title or read_episode_number(one.title) is not None:
                self.nameless.add((one.season, one.number))
            if one.title:
                known |= forms(one.title, one.number)
        self.seasons = {season for season, _ in self.titles}

    def place_all(self, items: Sequence[Episode]) -> Placing:
        """The places of all the episodes that are sure on their own."""
        by_title: dict[int, EpisodePlace] = {}
        by_number: dict[int, EpisodePlace] = {}
        unclear: set[int] = set()
        titled = 0
        for index, item in enumerate(items):
            real = own_title(item)
            titled += real is not None
            found = [] if real is None else self.find_title(item, real)
            if len(found) == 1:
                by_title[index] = found[0]
            elif found:
                unclear.add(index)
            elif (place := self.find_number(item, real)) is not None:
                by_number[index] = place
        return Placing(
            by_title=by_title, by_number=by_number, unclear=frozenset(unclear), titled=titled,
            nameless=sum(place in self.nameless for place in by_number.values()),
        )  # fmt: skip

    def find_title(self, item: Episode, title: str) -> list[EpisodePlace]:
        """The places that have this title in the item's season, or in the show where it has no such season."""
        found = [
            place for place, known in self.titles.items() if not known.isdisjoint(forms(title, place[1]))
        ]
        if item.number is not None:
            found = [place for place in found if place[1] == item.number]
        if item.season is not None and item.season in self.seasons:
            return [place for place in found if place[0] == item.season]
        return [place for place in found if place[0] != 0] or found

    def find_number(self, item: Episode, title: str | None) -> EpisodePlace | None:
        """The place of the item's number; None where its title belongs to another place."""
        number = item.number if item.number is not None else read_episode_number(item.title or "")
        if number is None or item.season is None or (item.season, number) not in self.titles:
            return None
        elsewhere = title is not None and any(letters(title) in known for known in self.titles.values())
        return None if elsewhere else (item.season, number)


def own_title(item: Episode) -> str | None:
    """The item's title, if it is one of its own: not a number such as `Episode 4`."""
    return item.title if item.title and read_episode_number(item.title) is None else None


def forms(title: str, number: int) -> set[str]:
    """A title as it is compared: whole, and without a lead that is the number of its place (`Chapter Nine: `)."""
    found = {letters(title)}
    lead = LEAD.match(title)
    if lead is not None and read_episode_number(lead[1]) == number:
        found.add(letters(title[lead.end() :]))
    return found


def letters(title: str) -> str:
    """The letters and digits of a title, without case and accents."""
    bare = unicodedata.normalize("NFKD", title)
    return fold_title("".join(letter for letter in bare if not unicodedata.combining(letter)))
