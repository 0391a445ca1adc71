"""Matching: whether the item that Trakt names in an answer is the one that was meant.

A scrobble that is accepted for another item looks like success: the item in the answer tells them apart.
The id that was asked with comes back whatever it is the id of, so it proves nothing by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from webhook.domain.event import Episode, Ids, Item, Movie
from webhook.trackers._shared import Json, inner, near, titled_alike
from webhook.trackers.trakt.payloads import own_ids
from webhook.trackers.trakt.responses import NAMESPACES, number, text, their_ids


class Match(StrEnum):
    """`OPEN`: the titles differ and nothing else decides; a search knows titles in other languages."""

    RIGHT = "right"
    WRONG = "wrong"
    OPEN = "open"


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """An item as Trakt describes it in an answer or a history row."""

    ids: Ids
    show_ids: Ids
    title: str | None
    show: str | None
    season: int | None
    number: int | None
    year: int | None

    def __str__(self) -> str:
        if self.show is None:
            return f"{self.title} ({self.year})" if self.year else str(self.title)
        number = "" if self.season is None or self.number is None else f" {self.season}x{self.number:02}"
        return f"{self.show}{number} {self.title or ''}".strip()


def known(row: Json) -> Known:
    item = inner(row, "movie") or inner(row, "episode")
    show = inner(row, "show")
    return Known(
        ids=their_ids(item),
        show_ids=their_ids(show),
        title=text(item.get("title")),
        show=text(show.get("title")),
        season=number(item.get("season")),
        number=number(item.get("number")),
        year=number(item.get("year")),
    )


def match(item: Item, theirs: Known) -> Match:
    if isinstance(item, Movie):
        return match_movie(item, theirs)
    return match_episode(item, theirs) if isinstance(item, Episode) else Match.RIGHT


def match_movie(item: Movie, theirs: Known) -> Match:
    agreed, differed = compared(item.ids, theirs.ids)
    titled, dated = titled_alike(item.title, theirs.title), near(item.year, theirs.year)
    if differed and not agreed:
        return Match.WRONG
    if agreed > 1:
        return Match.RIGHT
    if dated is False or (differed and titled is not True):
        return Match.WRONG
    return Match.OPEN if titled is False else Match.RIGHT


def match_episode(item: Episode, theirs: Known) -> Match:
    """By its show and its place in it, by its title, and by ids of which more than one agrees."""
    swapped = bool(item.ids.known().items() & ours(theirs.show_ids).known().items())
    agreed, differed = compared(
        own_ids(item) if not swapped else without(item.ids, theirs.show_ids), theirs.ids
    )
    same_show, other_show = compared(item.show_ids, theirs.show_ids)
    shown, titled = titled_alike(item.show, theirs.show), titled_alike(item.title, theirs.title)
    place = placed_alike(item, theirs)
    if other_show and not same_show:
        sure = agreed > 1 or (agreed and place is True and shown is True)
        return Match.RIGHT if sure else Match.WRONG
    of_show = bool(same_show or swapped)
    if differed and not agreed:
        return Match.RIGHT if of_show and place is True and titled is not False else Match.WRONG
    if agreed > 1:
        return Match.RIGHT
    if place is False:
        return match_misplaced(agreed=bool(agreed), of_show=of_show, shown=shown, titled=titled)
    if of_show or shown is True:
        return Match.RIGHT
    if shown is False:
        return Match.OPEN
    return Match.WRONG if place is None and titled is False else Match.RIGHT


def match_misplaced(*, agreed: bool, of_show: bool, shown: bool | None, titled: bool | None) -> Match:
    """An episode with other numbers: the same one where Trakt only counts in another order."""
    if titled is True and (of_show or shown is True):
        return Match.RIGHT
    return Match.RIGHT if agreed and of_show and titled is None else Match.WRONG


def is_related(item: Item, theirs: Known) -> bool:
    """Whether a form of this item can have led to theirs: by an own id, by its place in the show, or by title."""
    if ours(item.ids).agrees(theirs.ids):
        return True
    if isinstance(item, Episode):
        same_show, other_show = compared(item.show_ids, theirs.show_ids)
        named = bool(same_show) or (not other_show and titled_alike(item.show, theirs.show) is True)
        return placed_alike(item, theirs) is True and named
    return (
        isinstance(item, Movie)
        and titled_alike(item.title, theirs.title) is True
        and item.year == theirs.year
    )


def misleading(item: Item, theirs: Known) -> set[tuple[str, str, int | str]]:
    """The ids of this item that led to another."""
    same = ours(item.ids).known().items() & theirs.ids.known().items()
    return {(item.kind.value, name, value) for name, value in same}


def note_of(item: Item, theirs: Known) -> str | None:
    """What a person may want to know of an episode that Trakt counts in another order."""
    if not isinstance(item, Episode) or placed_alike(item, theirs) is not False:
        return None
    return f"Trakt counts this episode as {theirs.season}x{theirs.number or 0:02}"


# What two descriptions have in common


def compared(mine: Ids, theirs: Ids) -> tuple[int, int]:
    """How many ids that both know are the same, and how many are not."""
    here, there = ours(mine).known(), theirs.known()
    same = [here[name] == there[name] for name in here.keys() & there.keys()]
    return same.count(True), same.count(False)


def ours(ids: Ids) -> Ids:
    """Of our ids those that Trakt knows too; its slugs are its own."""
    return Ids.from_json({name: value for name, value in ids.known().items() if name in NAMESPACES})


def without(ids: Ids, others: Ids) -> Ids:
    taken = others.known()
    return Ids.from_json({name: value for name, value in ids.known().items() if taken.get(name) != value})


def placed_alike(item: Episode, theirs: Known) -> bool | None:
    here, there = (item.season, item.number), (theirs.season, theirs.number)
    if item.numbering != "aired" or None in here or None in there:
        return None
    return here == there
