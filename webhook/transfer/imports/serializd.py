"""Serializd's diary, as its website asks for it: saved pages of JSON in a zip. It has no export of its own.

| File                             | What it holds                                                 |
|----------------------------------|---------------------------------------------------------------|
| `GET /user/NAME/diary?page=1`, … | `reviews`: the rows of the diary                              |
| `GET /show/ID`, one a show       | `seasons`: which number a `seasonId` has, for rows do not say |

| Field of a row       | What it is                                                                  |
|----------------------|-----------------------------------------------------------------------------|
| `showId`, `seasonId` | ids of TMDB                                                                 |
| `episodeNumber`      | the episode; null for a review of a season, or of a show without `seasonId` |
| `backdate`           | when it was watched; without it `dateAdded`, when that was said             |
| `isLog`              | false for a review that is no viewing                                       |
| `rating`             | 1-10; 0 is none                                                             |

A file is known by its keys, whatever its name. A row whose season nobody names waits: it is listed, and comes in once
the file of its show is there as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from webhook.domain.event import Episode, Ids, Item, Season, Show
from webhook.transfer.imports._archive import Bundle
from webhook.transfer.imports._fields import Wrong, date, mapping, number, rating, run_steps, text, when
from webhook.transfer.imports._repeats import Repeats
from webhook.transfer.records import Bad, Entry, Kept, Relation, Unusable

LABEL = "Serializd"

ADD_SHOW = "Put the show's file (GET /show/ID, as JSON) into the zip as well, and import it again."

Seasons = dict[int, int]
"""The number of each season by its id at TMDB."""


def read(bundle: Bundle) -> Iterator[Entry]:
    """The rows of the diary, file by file."""
    files = [name for name in bundle.names if name.lower().endswith(".json")]
    diary = [name for name in files if has(bundle, name, "reviews") and not has(bundle, name, "seasons")]
    if not diary:
        raise Unusable(
            f"{bundle.path} holds no page of a Serializd diary: JSON with a list “reviews”, as GET /user/NAME/diary gives."
        )
    shows = [name for name in files if name not in diary]
    bundle.plan([*shows, *diary])
    seasons = dict(pair for name in shows for pair in season_numbers(bundle, name))
    repeats = Repeats("serializd")
    for name in diary:
        for count, value in enumerate(bundle.items(name, "reviews.item"), start=1):
            if isinstance(value, Bad):
                yield value
            else:
                yield from diary_entries(value, name, f"entry {count}: ", seasons, repeats)


def has(bundle: Bundle, name: str, key: str) -> bool:
    head = bundle.head(name)
    return head.lstrip().startswith(b"{") and f'"{key}"'.encode() in head


def season_numbers(bundle: Bundle, name: str) -> Iterator[tuple[int, int]]:
    for season in bundle.items(name, "seasons.item"):
        known, count = (
            (number(season.get(key)) for key in ("id", "seasonNumber"))
            if isinstance(season, dict)
            else (0, 0)
        )
        if known and count is not None:
            yield known, count


def diary_entries(value: Any, name: str, where: str, seasons: Seasons, repeats: Repeats) -> Iterator[Entry]:
    try:
        row = mapping(value)
        item = diary_item(row, seasons)
        watched = item if isinstance(item, Episode) and row.get("isLog") is not False else None
        steps = [partial(log_entry, row, watched, repeats)] if watched else []
        rates = [partial(rating_entry, row, item)] if row.get("rating") else []
        yield from run_steps([*steps, *rates], name, where)
    except Wrong as wrong:
        yield wrong.bad(name, None, where)


def diary_item(row: Mapping[str, Any], seasons: Seasons) -> Item:
    """The episode, season or show of a row; raises Wrong if its season has no number."""
    ids, title = Ids(tmdb=number(row.get("showId")) or None), text(row.get("showName"))
    if not ids:
        raise Wrong("it has no “showId”")
    if row.get("seasonId") is None:
        return Show(title=title, ids=ids)
    season = seasons.get(number(row["seasonId"]) or 0)
    if season is None:
        raise Wrong(f"no file says which season {str(row['seasonId'])[:20]} of show {ids.tmdb} is", ADD_SHOW)
    count = number(row.get("episodeNumber"))
    if count is None:
        return Season(show=title, season=season, show_ids=ids)
    return Episode(show=title, season=season, number=count, show_ids=ids)


def log_entry(row: Mapping[str, Any], item: Episode, repeats: Repeats) -> Entry:
    own = number(row.get("id"))
    key = f"{item.show_ids.tmdb}:{item.season}x{item.number}"
    return repeats.viewing(
        item, date(row.get("backdate") or row.get("dateAdded")), key, str(own) if own else None
    )


def rating_entry(row: Mapping[str, Any], item: Item) -> Entry:
    value = rating(row.get("rating"))
    return Kept(relation=Relation.RATING, item=item, at=when(row.get("dateAdded")), value=value)
