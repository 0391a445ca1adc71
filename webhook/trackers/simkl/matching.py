"""Matching: whether the item that Simkl names is the one that was meant."""

from __future__ import annotations

from webhook.domain.event import Episode, Ids, Item, Movie
from webhook.domain.items import fold_title
from webhook.trackers import WatchedItem
from webhook.trackers._json import JsonObject, as_int, as_text, child
from webhook.trackers._matching import Match, is_same_title, is_same_year
from webhook.trackers.simkl.payloads import ANIME_IDS, usable_show_ids
from webhook.trackers.simkl.responses import answer_item, answer_place, id_text

COMPARED_IDS = ("simkl", "imdb", "tmdb", "tvdb")


def match_answer(item: Item, body: JsonObject) -> Match:
    """Compare the item that a scrobble's answer names with the one that was meant."""
    theirs = answer_item(body)
    ids = item.show_ids if isinstance(item, Episode) else item.ids
    agreed, differed = compare_ids(
        ids, child(theirs, "ids"), COMPARED_IDS if "anime" not in body else ("tvdb",)
    )
    if differed and not agreed:
        return Match.WRONG
    if isinstance(item, Episode) and is_elsewhere(item, answer_place(body)):
        return Match.WRONG
    return Match.RIGHT if agreed > 1 else match_title(item, theirs, anime="anime" in body)


def is_same(item: Item, body: JsonObject) -> bool:
    """True if a row is of this item: something says so, and nothing speaks against it."""
    theirs, episode = answer_item(body), isinstance(item, Episode)
    agreed, _ = compare_ids(
        item.show_ids if isinstance(item, Episode) else item.ids, child(theirs, "ids"), COMPARED_IDS
    )
    title = item.show if isinstance(item, Episode) else item.title
    named = bool(agreed) or is_same_title(title, as_text(theirs.get("title"))) is True
    placed = not episode or None not in answer_place(body)
    return named and placed and match_answer(item, body) is Match.RIGHT


def match_title(item: Item, theirs: JsonObject, *, anime: bool = False) -> Match:
    """A film or a show beside ours, by title and year. An episode's year may be its own, and not its show's.

    An entry of an anime is a season of it, with a title that begins like the show's.
    """
    title = item.show if isinstance(item, Episode) else item.title
    year = is_same_year(item.year, as_int(theirs.get("year"))) if isinstance(item, Movie) else None
    their_title = as_text(theirs.get("title"))
    titled = is_same_title(title, their_title)
    if anime and title and their_title:
        titled = fold_title(their_title).startswith(fold_title(title))
    if year is False:
        return Match.WRONG
    return Match.OPEN if titled is False else Match.RIGHT


def match_list_item(item: Episode, listed: WatchedItem) -> Match:
    """An episode of the account's list beside ours."""
    theirs = listed.item
    if not isinstance(theirs, Episode):
        return Match.WRONG
    agreed, differed = compare_ids(item.show_ids, theirs.show_ids.by_namespace(), COMPARED_IDS)
    if (differed and not agreed) or is_elsewhere(item, (theirs.season, theirs.number)):
        return Match.WRONG
    if agreed or is_same_title(item.show, theirs.show) is not False:
        return Match.RIGHT
    return Match.OPEN


def is_elsewhere(item: Episode, theirs: tuple[int | None, int | None]) -> bool:
    """True if season or number contradict; inside an entry that is a season of an anime only its own count."""
    by_season = bool(
        usable_show_ids(item) or not any(name in ANIME_IDS for name in item.show_ids.by_namespace())
    )
    ours = (item.season, item.number)
    return by_season and item.numbering == "aired" and None not in (*theirs, *ours) and theirs != ours


def compare_ids(ours: Ids, theirs: JsonObject, names: tuple[str, ...]) -> tuple[int, int]:
    """The count of ids that both know and that are the same, and of those that differ. Simkl writes numbers as texts."""
    mine = ours.by_namespace()
    common = [name for name in names if name in mine and id_text(theirs.get(name))]
    same = [str(mine[name]) == id_text(theirs[name]) for name in common]
    return same.count(True), same.count(False)
