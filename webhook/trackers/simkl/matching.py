"""Matching: whether the item that Simkl names is the one that was meant."""

from __future__ import annotations

from enum import StrEnum

from webhook.domain.event import Episode, Ids, Item, Movie
from webhook.domain.items import folded
from webhook.trackers import WatchedItem
from webhook.trackers._shared import Json, inner, near, titled_alike
from webhook.trackers.simkl.payloads import ANIME, usable_show
from webhook.trackers.simkl.responses import known, place, text, text_or_number, whole

COMPARED = ("simkl", "imdb", "tmdb", "tvdb")


class Match(StrEnum):
    """`OPEN`: the titles differ and nothing else decides; a search knows titles in other languages."""

    RIGHT = "right"
    WRONG = "wrong"
    OPEN = "open"


def match(item: Item, body: Json) -> Match:
    """What a scrobble's answer names, beside what was meant."""
    theirs = known(body)
    ids = item.show_ids if isinstance(item, Episode) else item.ids
    agreed, differed = compared(ids, inner(theirs, "ids"), COMPARED if "anime" not in body else ("tvdb",))
    if differed and not agreed:
        return Match.WRONG
    if isinstance(item, Episode) and is_elsewhere(item, place(body)):
        return Match.WRONG
    return Match.RIGHT if agreed > 1 else match_title(item, theirs, anime="anime" in body)


def is_same(item: Item, body: Json) -> bool:
    """Whether a row is of this item: something says so, and nothing speaks against it."""
    theirs, episode = known(body), isinstance(item, Episode)
    agreed, _ = compared(
        item.show_ids if isinstance(item, Episode) else item.ids, inner(theirs, "ids"), COMPARED
    )
    title = item.show if isinstance(item, Episode) else item.title
    named = bool(agreed) or titled_alike(title, text(theirs.get("title"))) is True
    placed = not episode or None not in place(body)
    return named and placed and match(item, body) is Match.RIGHT


def match_title(item: Item, theirs: Json, *, anime: bool = False) -> Match:
    """A film or a show beside ours, by title and year. An episode's year may be its own, and not its show's.

    An entry of an anime is a season of it, with a title that begins like the show's.
    """
    title = item.show if isinstance(item, Episode) else item.title
    year = near(item.year, whole(theirs.get("year"))) if isinstance(item, Movie) else None
    their_title = text(theirs.get("title"))
    titled = titled_alike(title, their_title)
    if anime and title and their_title:
        titled = folded(their_title).startswith(folded(title))
    if year is False:
        return Match.WRONG
    return Match.OPEN if titled is False else Match.RIGHT


def match_held(item: Episode, held: WatchedItem) -> Match:
    """An episode of the account's list beside ours."""
    theirs = held.item
    if not isinstance(theirs, Episode):
        return Match.WRONG
    agreed, differed = compared(item.show_ids, theirs.show_ids.known(), COMPARED)
    if (differed and not agreed) or is_elsewhere(item, (theirs.season, theirs.number)):
        return Match.WRONG
    if agreed or titled_alike(item.show, theirs.show) is not False:
        return Match.RIGHT
    return Match.OPEN


def is_elsewhere(item: Episode, theirs: tuple[int | None, int | None]) -> bool:
    """Whether season or number contradict; inside an entry that is a season of an anime only its own count."""
    by_season = bool(usable_show(item) or not any(name in ANIME for name in item.show_ids.known()))
    ours = (item.season, item.number)
    return by_season and item.numbering == "aired" and None not in (*theirs, *ours) and theirs != ours


def compared(ours: Ids, theirs: Json, names: tuple[str, ...]) -> tuple[int, int]:
    """How many ids that both know are the same, and how many are not. Simkl writes numbers as texts."""
    mine = ours.known()
    common = [name for name in names if name in mine and text_or_number(theirs.get(name))]
    same = [str(mine[name]) == text_or_number(theirs[name]) for name in common]
    return same.count(True), same.count(False)
