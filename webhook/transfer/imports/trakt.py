"""Trakt: its own export (Settings, Data, Export: a zip of JSON files), or single files with answers of its API.

The files are arrays in the shapes of `GET /sync/history`, `/sync/ratings`, `/sync/watchlist`, `/sync/favorites`,
`/sync/collection` and `/sync/watched/{movies|shows}`, numbered where they are long (seen in public readers of that
export; Trakt documents none of it). In a zip a file is known by its name (`watched-history-1.json`, or
`watched/history-1.json` in the older layout), and what else lies there, such as settings and
comments, is not opened. A loose file is read whatever its name, by the shape of its entries.

Shows that were dropped (`hidden-dropped.json`) are followed no longer. Lists of one's own and what else is hidden
have no place here: how much of it there is, is said. `followed.json` is of our own export.

`watched` only counts: it is read where there is no history, and gives one play an item, the last.
A play without a date (Trakt's “unknown date”, and dates up to 1970, which stand for it) is ticked now.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, TypeVar

from webhook.domain.event import Episode, Item, Movie, Season, Show
from webhook.texts import texts
from webhook.transfer.imports._archive import Bundle
from webhook.transfer.imports._fields import (
    Wrong,
    ids_of,
    inner,
    mapping,
    number,
    rating,
    run_steps,
    several,
    text,
    watched_play,
    when,
    year,
)
from webhook.transfer.records import (
    ARCHIVED,
    FOLLOWING,
    FOR_LATER,
    STOPPED,
    Bad,
    Entry,
    Kept,
    LeftOut,
    Relation,
    Unusable,
    Viewing,
)

LABEL = "Trakt"

T = TypeVar("T", Movie, Show)
Step = Callable[[], Entry]

HISTORY_TOO = "Import the history as well: Trakt's export has it as watched-history-1.json and so on."

HISTORY = re.compile(r"(watched-)?history(-\w+)*\.json")
SUMMARY = re.compile(r"watched-(movies|shows)(-\d+)?\.json")
LISTED: Mapping[Relation, re.Pattern[str]] = {
    Relation.RATING: re.compile(r"ratings(-\w+)*\.json"),
    Relation.WATCHLIST: re.compile(r"(lists-)?watchlist(-\w+)*\.json"),
    Relation.LOVE: re.compile(r"(lists-)?(favorites|recommendations)(-\w+)*\.json"),
    Relation.COLLECTION: re.compile(r"collection(-\w+)*\.json"),
    Relation.FOLLOW: re.compile(r"hidden-dropped(-\d+)?\.json|followed\.json"),
}
STATES = (FOLLOWING, FOR_LATER, ARCHIVED, STOPPED)
OWN_LIST = re.compile(r"(lists-)?list-\d+(-[\w-]+)?\.json")
HIDDEN = re.compile(r"hidden-(?!dropped)[\w-]+\.json")
DIGITS = 9
NO_PLACE: Mapping[re.Pattern[str], str] = texts(
    {
        OWN_LIST: "It is a list of your own, and Watchmark keeps none beside the watchlist.",
        HIDDEN: "It is what you have hidden from a part of Trakt, and Watchmark hides nothing.",
    }
)


def viewing(entry: Mapping[str, Any]) -> Viewing:
    item, at = played_item(entry), when(entry["watched_at"])
    play = watched_play(item, at, "trakt", manual=entry.get("action") == "watch")
    history_id = number(entry.get("id")) if is_trakts(entry) else None
    key = str(history_id) if history_id else None if at else f"{item.kind}:{undated_key(item)}"
    return Viewing(play=play, foreign_key=key and f"trakt:{key}")


View = Callable[[Mapping[str, Any]], Viewing]


def read(bundle: Bundle, view: View = viewing) -> Iterator[Entry]:
    """The entries of the files, history first. `view` makes the viewing of an entry of the history."""
    files = find_files(bundle)
    others = without_place(bundle)
    bundle.plan([*files, *others])
    for name, relation in files.items():
        for count, value in enumerate(bundle.items(name), start=1):
            yield from [value] if isinstance(value, Bad) else entries(value, name, count, relation, view)
    for name, why in others.items():
        yield from omit_values(bundle, name, why)


def find_files(bundle: Bundle) -> dict[str, Relation]:
    """The files to read, each with the relation that it lists; raises Unusable if there is none."""
    if len(bundle.names) == 1 and without_place(bundle):
        return {}
    if len(bundle.names) == 1:
        return {only_file(bundle): relation_of(bundle.names[0])}
    history = pages(bundle, HISTORY) or pages(bundle, SUMMARY)
    others = [name for pattern in LISTED.values() for name in pages(bundle, pattern)]
    if not history and not others and not without_place(bundle):
        raise Unusable(
            f"{bundle.path} holds no file of a Trakt export, such as watched-history-1.json or ratings-movies.json."
        )
    return {name: relation_of(name) for name in [*history, *others]}


def without_place(bundle: Bundle) -> dict[str, str]:
    """The files that Watchmark has no place for, each with the reason."""
    return {name: why for pattern, why in NO_PLACE.items() for name in pages(bundle, pattern)}


def omit_values(bundle: Bundle, name: str, why: str) -> Iterator[Entry]:
    count = 0
    for value in bundle.items(name):
        if isinstance(value, Bad):
            yield value
        else:
            count += 1
    if count:
        yield LeftOut(file=name, count=count, why=why)


def pages(bundle: Bundle, pattern: re.Pattern[str]) -> list[str]:
    """The files of this name, ordered by number."""
    return sorted((name for name in bundle.names if pattern.fullmatch(name)), key=page)


def only_file(bundle: Bundle) -> str:
    """The only file, if it may be Trakt's; raises Unusable."""
    name = bundle.names[0]
    if not bundle.head(name).lstrip().startswith(b"["):
        raise Unusable(f"{name} is no list of Trakt's: it would be JSON and begin with “[”.")
    return name


def relation_of(name: str) -> Relation:
    found = (relation for relation, pattern in LISTED.items() if pattern.fullmatch(name))
    return next(found, Relation.WATCHLIST)


def page(name: str) -> tuple[str, int]:
    bare = name.removesuffix(".json")
    series = bare.rstrip("0123456789")
    return series, int(bare[len(series) :][:DIGITS] or 0)


def entries(value: Any, name: str, count: int, relation: Relation, view: View) -> Iterator[Entry]:
    """The entries of one element of an array; `relation` is the meaning of being listed in this file."""
    where = f"entry {count}: "
    try:
        yield from run_steps(entry_steps(mapping(value), relation, view), name, where)
    except Wrong as wrong:
        yield wrong.bad(name, None, where)


def entry_steps(entry: Mapping[str, Any], relation: Relation, view: View) -> Iterator[Step]:
    if "watched_at" in entry:
        yield partial(view, entry)
    elif "rating" in entry:
        yield partial(library_entry, entry, Relation.RATING, "rated_at")
    elif "listed_at" in entry:
        yield partial(library_entry, entry, relation, "listed_at")
    elif "hidden_at" in entry:
        yield partial(follow_entry, entry, STOPPED, "hidden_at")
    elif "followed_at" in entry:
        yield partial(follow_entry, entry, FOLLOWING, "followed_at")
    elif "collected_at" in entry:
        yield partial(library_entry, entry, Relation.COLLECTION, "collected_at")
    elif "last_collected_at" in entry:
        yield partial(library_entry, entry, Relation.COLLECTION, "last_collected_at")
    elif "last_watched_at" in entry:
        yield from summary(entry)
    else:
        raise Wrong("it is neither a play nor a rating nor an entry of a list")


def played_item(entry: Mapping[str, Any]) -> Movie | Episode:
    item = item_of(entry)
    if not isinstance(item, Movie | Episode):
        raise Wrong(f"a {item.kind} is no play")
    return item


def is_trakts(entry: Mapping[str, Any]) -> bool:
    """True if an entry has an id of Trakt's: others write this layout too, and their rows have numbers of their own."""
    ids = [inner(inner(entry, kind), "ids") for kind in ("movie", "episode", "show")]
    return any("trakt" in known for known in ids)


def undated_key(item: Item) -> str:
    """The key of an undated play, by which the next import recognises it."""
    known = item.ids.by_namespace()
    return next((f"{name}:{value}" for name, value in known.items()), str(item.title))[:150]


def library_entry(entry: Mapping[str, Any], relation: Relation, date: str) -> Kept:
    value = rating(entry["rating"]) if relation is Relation.RATING else None
    if relation is Relation.RATING and value is None:
        raise Wrong("it has no rating")
    return Kept(relation=relation, item=item_of(entry), at=when(entry.get(date)), value=value)


def follow_entry(entry: Mapping[str, Any], state: str, date: str) -> Kept:
    item = item_of(entry)
    if not isinstance(item, Show):
        raise Wrong(f"a {item.kind} cannot be dropped or followed")
    said = entry.get("state")
    return Kept(
        relation=Relation.FOLLOW,
        item=item,
        at=when(entry.get(date)),
        state=said if said in STATES else state,
    )


def summary(entry: Mapping[str, Any]) -> Iterator[Step]:
    """The last play of a film, or of each episode of a show; raises Wrong for a show without episodes."""
    if "movie" in entry:
        yield partial(last_of_movie, entry)
        return
    show, seasons = show_of(inner(entry, "show")), several(entry.get("seasons"))
    if not seasons:
        raise Wrong(f"it counts plays of “{show.title}” and does not say of which episodes", HISTORY_TOO)
    for season in seasons:
        for episode in several(mapping(season).get("episodes")):
            yield partial(last_of_episode, episode, season, entry)


def last_of_movie(entry: Mapping[str, Any]) -> Viewing:
    movie = movie_of(inner(entry, "movie"))
    return last(movie, entry, f"movie:{undated_key(movie)}")


def last_of_episode(episode: Any, season: Mapping[str, Any], entry: Mapping[str, Any]) -> Viewing:
    show = show_of(inner(entry, "show"))
    item = episode_of({**mapping(episode), "season": season.get("number")}, inner(entry, "show"))
    return last(item, episode, f"show:{undated_key(show)}:{item.season}x{item.number}")


def last(item: Item, entry: Mapping[str, Any], key: str) -> Viewing:
    at = when(entry.get("last_watched_at"))
    return Viewing(
        play=watched_play(item, at, "trakt"), foreign_key=f"trakt:last:{key}:{at.isoformat() if at else ''}"
    )


# --- items


def item_of(entry: Mapping[str, Any]) -> Item:
    """The item of an entry, by its `type` or by its keys; raises Wrong."""
    show = inner(entry, "show")
    match entry.get("type") or next(
        (kind for kind in ("movie", "episode", "season", "show") if kind in entry), None
    ):
        case "movie":
            return movie_of(inner(entry, "movie"))
        case "episode":
            return episode_of(inner(entry, "episode"), show)
        case "season":
            return season_of(inner(entry, "season"), show)
        case "show":
            return show_of(show)
        case other:
            raise Wrong(f"“{str(other)[:40]}” is not tracked")


def movie_of(movie: Mapping[str, Any]) -> Movie:
    item = Movie(
        title=text(movie.get("title")), year=year(movie.get("year")), ids=ids_of(inner(movie, "ids"))
    )
    return require_name(item)


def show_of(show: Mapping[str, Any]) -> Show:
    item = Show(title=text(show.get("title")), year=year(show.get("year")), ids=ids_of(inner(show, "ids")))
    return require_name(item)


def season_of(season: Mapping[str, Any], show: Mapping[str, Any]) -> Season:
    of = show_of(show)
    ids = ids_of(inner(season, "ids"))
    return Season(show=of.title, season=number(season.get("number")), ids=ids, show_ids=of.ids)


def episode_of(episode: Mapping[str, Any], show: Mapping[str, Any]) -> Episode:
    ids, of = ids_of(inner(episode, "ids")), ids_of(inner(show, "ids"))
    item = Episode(
        title=text(episode.get("title")),
        show=text(show.get("title")),
        season=number(episode.get("season")),
        number=number(episode.get("number")),
        ids=ids,
        show_ids=of,
    )
    if not ids and (item.season is None or item.number is None or not (of or item.show)):
        raise Wrong("it is an episode without an id, and without its show and numbers")
    return item


def require_name(item: T) -> T:
    if not item.ids and item.title is None:
        raise Wrong(f"it is a {item.kind} without an id and without a title")
    return item
