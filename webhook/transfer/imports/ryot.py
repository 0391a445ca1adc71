"""Ryot's JSON (`export.json`, loose, gzipped or in a zip): an object with the list `metadata`, or in older files that list.

| Field of an item                       | What it is                                                            |
|----------------------------------------|-----------------------------------------------------------------------|
| `lot`                                  | movie, show or anime; others are left out, and counted                |
| `source`, `identifier`                 | a service and its id of the film or show                              |
| `source_id`                            | the title                                                             |
| `seen_history[].progress`, `.state`    | a viewing with 100 or none that is neither dropped nor on hold        |
| `seen_history[].ended_on`              | the time, or in older files the day; null is unknown                  |
| `seen_history[].show_season_number`, … | which episode; `anime_episode_number` for anime                       |
| `reviews[].rating`                     | out of 100; older files are out of 10 or 5: the highest of them tells |
| `collections`                          | “Watchlist” is the watchlist                                          |

`started_on` does not say when something was watched. Anime is numbered as AniDB does: `mapped` numbers, which are
told to no tracker as they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from webhook.domain.event import Episode, Ids, Item, Movie, Season, Show
from webhook.texts import texts
from webhook.transfer.imports._archive import Bundle
from webhook.transfer.imports._fields import (
    Wrong,
    date,
    imdb,
    mapping,
    number,
    rating,
    run_steps,
    several,
    text,
    title_key,
)
from webhook.transfer.imports._repeats import Repeats
from webhook.transfer.records import Bad, Entry, Kept, LeftOut, Relation, Unusable

LABEL = "Ryot"

LOTS = frozenset({"movie", "show", "anime"})
UNFINISHED = frozenset({"dropped", "onahold", "onhold", "inprogress"})
OMISSIONS: Mapping[str, str] = texts(
    {
        "other": "Only movies, shows and anime are tracked here.",
        "unfinished": "They were begun, and not watched to the end.",
    }
)


@dataclass(slots=True)
class Reading:
    """What is known of a file while it is read."""

    repeats: Repeats = field(default_factory=lambda: Repeats("ryot"))
    stars: float = 1
    left_out: Counter[str] = field(default_factory=Counter)


def read(bundle: Bundle) -> Iterator[Entry]:
    """The items in their order; what has no place here is counted at the end."""
    name, prefix = find_list(bundle)
    bundle.plan([name, name])
    reading = Reading(stars=scale(bundle, name, prefix))
    for count, value in enumerate(bundle.items(name, prefix), start=1):
        yield from (
            [value] if isinstance(value, Bad) else item_entries(value, name, f"entry {count}: ", reading)
        )
    for why, count in reading.left_out.items():
        yield LeftOut(file=name, count=count, why=OMISSIONS[why])


def find_list(bundle: Bundle) -> tuple[str, str]:
    """The file and the place of its list, in ijson's notation; raises Unusable."""
    for name in bundle.names:
        if name.lower().endswith(".json") and b'"lot"' in (head := bundle.head(name)):
            return name, "item" if head.lstrip().startswith(b"[") else "metadata.item"
    raise Unusable(f"{bundle.path} is no export of Ryot, whose entries have a “lot” and a “seen_history”.")


def scale(bundle: Bundle, name: str, prefix: str) -> float:
    """What makes this file's ratings ratings out of 10, by the highest of them."""
    items = (value for value in bundle.items(name, prefix) if isinstance(value, dict))
    reviews = (
        review for item in items for review in several(item.get("reviews")) if isinstance(review, dict)
    )
    highest = max((decimal(review.get("rating")) or 0 for review in reviews), default=0)
    return 0.1 if highest > 10 else 1 if highest > 5 else 2


def item_entries(value: Any, name: str, where: str, reading: Reading) -> Iterator[Entry]:
    try:
        entry = mapping(value)
        lot = text(entry.get("lot"))
        if lot not in LOTS:
            reading.left_out["other"] += 1
            return
        item = make_item(entry, lot)
        seen = (mapping(one) for one in several(entry.get("seen_history")))
        steps = [
            partial(make_viewing, entry, one, item, reading) for one in seen if is_finished(one, reading)
        ]
        yield from run_steps(steps, name, where)
        yield from run_steps(library(entry, item, reading), name, where)
    except Wrong as wrong:
        yield wrong.bad(name, None, where)


def make_item(entry: Mapping[str, Any], lot: str) -> Movie | Show:
    ids, title = source_ids(entry), text(entry.get("source_id"))
    if not ids and title is None:
        raise Wrong(f"it is a {lot} without an id and without a title")
    return Movie(title=title, ids=ids) if lot == "movie" else Show(title=title, ids=ids)


def source_ids(entry: Mapping[str, Any]) -> Ids:
    given = entry.get("identifier")
    match entry.get("source"):
        case "tmdb":
            return Ids(tmdb=number(given) or None)
        case "tvdb":
            return Ids(tvdb=number(given) or None)
        case "mal":
            return Ids(mal=number(given) or None)
        case "imdb":
            return Ids(imdb=imdb(given))
    return Ids()


def is_finished(seen: Mapping[str, Any], reading: Reading) -> bool:
    progress, state = decimal(seen.get("progress")), text(seen.get("state")) or ""
    word = "".join(letter for letter in state.casefold() if letter.isalpha())
    finished = progress >= 100 if progress is not None else word not in UNFINISHED
    if not finished or word in UNFINISHED - {"inprogress"}:
        reading.left_out["unfinished"] += 1
        return False
    return True


def make_viewing(
    entry: Mapping[str, Any], seen: Mapping[str, Any], of: Movie | Show, reading: Reading
) -> Entry:
    item = of if isinstance(of, Movie) else find_episode(entry, seen, of)
    place = f":{item.season}x{item.number}" if isinstance(item, Episode) else ""
    key = f"{entry['lot']}:{title_key(of)}{place}"
    return reading.repeats.viewing(item, date(seen.get("ended_on")), key)


def find_episode(entry: Mapping[str, Any], seen: Mapping[str, Any], show: Show) -> Episode:
    anime = entry["lot"] == "anime"
    season = 1 if anime else number(seen.get("show_season_number"))
    count = number(seen.get("anime_episode_number" if anime else "show_episode_number"))
    if season is None or count is None:
        raise Wrong(f"a viewing of “{show.title}” does not say of which episode")
    numbering = "mapped" if anime else "aired"
    return Episode(show=show.title, season=season, number=count, show_ids=show.ids, numbering=numbering)


# --- the library


def library(entry: Mapping[str, Any], item: Movie | Show, reading: Reading) -> Iterator[Any]:
    for review in several(entry.get("reviews")):
        if decimal(mapping(review).get("rating")):
            yield partial(rating_entry, review, item, reading)
    if "Watchlist" in several(entry.get("collections")):
        yield partial(Kept, relation=Relation.WATCHLIST, item=item)


def rating_entry(review: Mapping[str, Any], of: Movie | Show, reading: Reading) -> Kept:
    value = rating(round((decimal(review.get("rating")) or 0) * reading.stars, 2))
    return Kept(relation=Relation.RATING, item=part_of(review, of), value=value)


def part_of(review: Mapping[str, Any], of: Movie | Show) -> Item:
    """What is rated: the film, the show, or its season or episode that the review names."""
    season, count = number(review.get("show_season_number")), number(review.get("show_episode_number"))
    if isinstance(of, Movie) or season is None:
        return of
    if count is None:
        return Season(show=of.title, season=season, show_ids=of.ids)
    return Episode(show=of.title, season=season, number=count, show_ids=of.ids)


def decimal(value: Any) -> float | None:
    """A number, also where it is written as a text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None
