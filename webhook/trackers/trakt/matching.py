"""Matching: whether the item that Trakt names in an answer is the one that was meant.

A scrobble that is accepted for another item looks like success: the item in the answer tells them apart.
The id that was asked with comes back whatever it is the id of, so it proves nothing by itself.
"""

from __future__ import annotations

from webhook.domain.event import Episode, Ids, Item, Movie
from webhook.trackers._matching import Match, is_same_title, is_same_year
from webhook.trackers.trakt.payloads import TRAKT_IDS, own_ids
from webhook.trackers.trakt.responses import TraktItem, is_same_place


def match_item(item: Item, theirs: TraktItem) -> Match:
    if isinstance(item, Movie):
        return match_movie(item, theirs)
    return match_episode(item, theirs) if isinstance(item, Episode) else Match.RIGHT


def match_movie(item: Movie, theirs: TraktItem) -> Match:
    agreed, differed = compare_ids(item.ids, theirs.ids)
    titled, dated = is_same_title(item.title, theirs.title), is_same_year(item.year, theirs.year)
    if differed and not agreed:
        return Match.WRONG
    if agreed > 1:
        return Match.RIGHT
    if dated is False or (differed and titled is not True):
        return Match.WRONG
    return Match.OPEN if titled is False else Match.RIGHT


def match_episode(item: Episode, theirs: TraktItem) -> Match:
    """By its show and its place in it, by its title, and by ids of which more than one agrees."""
    swapped = bool(item.ids.by_namespace().items() & trakt_ids(theirs.show_ids).items())
    agreed, differed = compare_ids(
        own_ids(item) if not swapped else drop_ids(item.ids, theirs.show_ids), theirs.ids
    )
    same_show, other_show = compare_ids(item.show_ids, theirs.show_ids)
    shown, titled = is_same_title(item.show, theirs.show), is_same_title(item.title, theirs.title)
    place = is_same_place(item, theirs)
    if other_show and not same_show:
        sure = agreed > 1 or (agreed and place is True and shown is True)
        return Match.RIGHT if sure else Match.WRONG
    of_show = bool(same_show or swapped)
    if differed and not agreed:
        return Match.RIGHT if of_show and place is True and titled is not False else Match.WRONG
    if agreed > 1:
        return Match.RIGHT
    if place is False:
        return match_other_place(agreed=bool(agreed), of_show=of_show, shown=shown, titled=titled)
    if of_show or shown is True:
        return Match.RIGHT
    if shown is False:
        return Match.OPEN
    return Match.WRONG if place is None and titled is False else Match.RIGHT


def match_other_place(*, agreed: bool, of_show: bool, shown: bool | None, titled: bool | None) -> Match:
    """An episode with other numbers: the same one where Trakt only counts in another order."""
    if titled is True and (of_show or shown is True):
        return Match.RIGHT
    return Match.RIGHT if agreed and of_show and titled is None else Match.WRONG


def is_related(item: Item, theirs: TraktItem) -> bool:
    """True if a form of this item can have led to theirs: by an own id, by its place in the show, or by title."""
    if compare_ids(item.ids, theirs.ids)[0]:
        return True
    if isinstance(item, Episode):
        same_show, other_show = compare_ids(item.show_ids, theirs.show_ids)
        named = bool(same_show) or (not other_show and is_same_title(item.show, theirs.show) is True)
        return is_same_place(item, theirs) is True and named
    return (
        isinstance(item, Movie)
        and is_same_title(item.title, theirs.title) is True
        and item.year == theirs.year
    )


def misleading_ids(item: Item, theirs: TraktItem) -> set[tuple[str, str, int | str]]:
    """The ids of this item that led to another."""
    same = trakt_ids(item.ids).items() & theirs.ids.by_namespace().items()
    return {(item.kind.value, name, value) for name, value in same}


# What two descriptions have in common


def compare_ids(mine: Ids, theirs: Ids) -> tuple[int, int]:
    """The count of ids that both know and that are the same, and of those that differ."""
    here, there = trakt_ids(mine), theirs.by_namespace()
    same = [here[name] == there[name] for name in here.keys() & there.keys()]
    return same.count(True), same.count(False)


def trakt_ids(ids: Ids) -> dict[str, int | str]:
    """Of our ids those that Trakt knows too; its slugs are its own."""
    return {name: value for name, value in ids.by_namespace().items() if name in TRAKT_IDS}


def drop_ids(ids: Ids, others: Ids) -> Ids:
    taken = others.by_namespace()
    return Ids.from_json(
        {name: value for name, value in ids.by_namespace().items() if taken.get(name) != value}
    )
