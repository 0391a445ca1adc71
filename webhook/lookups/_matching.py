"""Matching: decide how well a candidate agrees with an item by ids, titles, years and places.

Not a lookup: the leading underscore keeps it out of the scan.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Sequence
from dataclasses import fields, replace
from difflib import SequenceMatcher

from webhook.domain.event import Episode, Item, Kind, Movie, Season, Show
from webhook.domain.items import fold_title
from webhook.lookups._catalogue import Candidate, FoundEpisode, common_ids

MIN_SCORE = 0.9
"""The least score of a candidate that may be taken without asking."""

MIN_MARGIN = 0.2
"""The least distance to the score of the next one."""

SCORES_BY_YEARS_OFF = {0: 1.0, 1: 0.95, 2: 0.8}
"""The score of a film or show of the right title, by the years between the two."""

MAX_TITLE = 500
"""The letters of a title that are looked at: comparing two takes as long as both are."""

MAX_COMPARED = 100

MAX_CANDIDATES = 10
"""The candidates that a person gets to choose from."""


TITLE_SUFFIX = re.compile(r"(?<!\s)\s*+\((?:(?P<year>(?:19|20)\d\d)|[A-Z]{2})\)\s*+$")


def split_title_suffix(title: str) -> tuple[str, int | None]:
    """A title without the year or the country in brackets at its end, and that year."""
    title = title[:MAX_TITLE]
    match = TITLE_SUFFIX.search(title)
    if match is None or not match.start():
        return title, None
    rest, year = split_title_suffix(title[: match.start()])
    return rest, int(match["year"]) if match["year"] else year


def wanted_title(item: Item) -> tuple[str, int | None] | None:
    """The title to search by, and the year, if any; an episode is searched by its show."""
    title = item.show if isinstance(item, Episode | Season) else item.title
    if not title or not title.strip():
        return None
    plain, year = split_title_suffix(title) if not isinstance(item, Movie) else (title, None)
    return plain, year if year is not None else item.year if isinstance(item, Movie | Show) else None


def has_title(title: str, found: Candidate) -> bool:
    """True if this is one of its titles; a country in brackets must be in both or in neither."""
    titles = {normalize_title(known) for known in found.titles}
    if normalize_title(title) in titles:
        return True
    plain, year = split_title_suffix(title)
    return year is not None and year == found.year and normalize_title(plain) in titles


def normalize_title(title: str) -> str:
    """A title without case, blanks, accents and most punctuation; `K-On!!` is not `K-On!`."""
    title = title[:MAX_TITLE]
    marks = "".join(letter for letter in title if letter in "!?+*#$%")
    bare = unicodedata.normalize("NFKD", title.replace("&", " and "))
    return fold_title("".join(letter for letter in bare if not unicodedata.combining(letter))) + marks


def likeness(item: Item, found: Candidate) -> float:
    """The score of a film or a show: by its title and its year, which for an episode is the show's or its own."""
    wanted = wanted_title(item)
    if wanted is None:
        return 0.0
    whole = item.show if isinstance(item, Episode | Season) else item.title
    title, year = wanted
    if not has_title(whole or title, found):
        ratios = [closeness(title, one) for one in found.titles]
        return 0.6 * max(ratios, default=0.0)
    if year is None or found.year is None:
        return 0.8
    return SCORES_BY_YEARS_OFF.get(abs(year - found.year), 0.7)


def closeness(one: str, other: str) -> float:
    """The part of two titles that is the same, 0 to 1, by their beginnings: the time grows with both lengths."""
    return SequenceMatcher(
        None, normalize_title(one)[:MAX_COMPARED], normalize_title(other)[:MAX_COMPARED]
    ).ratio()


def rank(candidates: Collection[Candidate]) -> list[Candidate]:
    """The likeliest first, without duplicates, at most MAX_CANDIDATES."""
    distinct: list[Candidate] = []
    for one in sorted(candidates, key=lambda one: -one.score):
        if not any(common_ids(one.ids, other.ids) for other in distinct):
            distinct.append(one)
    return distinct[:MAX_CANDIDATES]


def choose_candidate(candidates: Sequence[Candidate]) -> Candidate | None:
    """The one that fits with a margin to the next; None where that is not sure."""
    first = [*candidates, Candidate(kind=Kind.MOVIE), Candidate(kind=Kind.MOVIE)][:2]
    return first[0] if first[0].score >= MIN_SCORE and first[0].score - first[1].score >= MIN_MARGIN else None


def agrees(item: Movie | Show, found: Candidate) -> bool:
    """True if a candidate found by an id can be the item: no other id differs, and the year by at most one."""
    if item.ids.contradicts(found.ids):
        return False
    return None in (item.year, found.year) or abs((item.year or 0) - (found.year or 0)) <= 1


def fits_episode(item: Episode, part: FoundEpisode) -> bool:
    """True if an episode found by its place can be the item."""
    if item.ids.contradicts(part.episode.ids) or item.show_ids.contradicts(part.show.ids):
        return False
    return is_near_year(item.year, part, otherwise=True)


def is_near_year(year: int | None, part: FoundEpisode, *, otherwise: bool = False) -> bool:
    """True if a year, which may be the episode's or its show's, agrees; `otherwise` where nothing is known."""
    known = [one for one in (part.episode.year, part.show.year) if one is not None]
    if year is None or not known:
        return otherwise
    return any(abs(year - one) <= 1 for one in known)


def is_part(item: Episode, part: FoundEpisode) -> bool:
    """True if an episode found by an id of its own can be the item. One number alone may be of another kind."""
    found = part.episode
    if item.ids.contradicts(found.ids) or item.show_ids.contradicts(part.show.ids):
        return False
    numbered = None not in (item.season, item.number) and item.numbering == "aired"
    same_place = numbered and (item.season, item.number) == (found.season, found.number)
    same_show = item.show is not None and has_title(item.show, part.show)
    if same_show or common_ids(item.show_ids, part.show.ids):
        return True
    if common_ids(item.ids, found.ids) >= 2 or found.ids.imdb == item.ids.imdb is not None:
        return same_place or not numbered
    if item.show is None:
        return same_place or not numbered
    foreign = not any(script(item.show) == script(title) for title in part.show.titles)
    same_title = bool(item.title and found.title) and normalize_title(item.title or "") == normalize_title(
        found.title or ""
    )
    return same_place and is_near_year(item.year, part) and (foreign or same_title)


def script(title: str) -> str:
    """The script that a title begins with."""
    letter = next((one for one in title if one.isalpha()), "")
    return unicodedata.name(letter, "NONE").split()[0] if letter else ""


def apply_match(item: Episode, part: FoundEpisode) -> Item:
    """The item with the episode's ids and its place as aired."""
    found, ids = part.episode, part.show.ids
    numbers = {} if found.season is None or found.number is None else {"season": found.season, "number": found.number, "numbering": "aired"}  # fmt: skip
    known: dict[str, object] = {
        "ids": item.ids.merge(found.ids),
        "show_ids": item.show_ids.merge(ids),
        "show": item.show or part.show.title,
        "title": item.title or found.title,
        **numbers,
    }
    change: Callable[..., Item] = replace
    return change(item, **{name: known[name] for name in field_names(item) if name in known})


def field_names(item: Item) -> list[str]:
    return [entry.name for entry in fields(item)]
