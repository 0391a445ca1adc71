"""Simkl: its backup (`SimklBackup.json`, loose or in its zip), which has the shape of `GET /sync/all-items`.

Three lists, `movies`, `shows` and `anime`, any of which may be missing; `null` is an empty account. Simkl keeps one
date for a film or an episode. A film counts as watched when it is `completed`; a show's episodes stand
in its `seasons`, which a file only has if it was asked for with `extended=full`, and with dates
only if with `episode_watched_at=yes`. What has no date of its own is ticked at the best date there is.

Anime is numbered as AniDB does, one entry a season. Where an episode says what TVDB calls it that is taken;
otherwise its numbers are `mapped` ones, which are told to no tracker as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from webhook.domain.event import Episode, Ids, Item, Movie, Show
from webhook.domain.play import Dated
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
    STOPPED,
    Bad,
    Entry,
    Kept,
    Relation,
    Unusable,
    Viewing,
)

LABEL = "Simkl"

Step = Callable[[], Entry]

LISTS = ("movies", "shows", "anime")
STATES = {"watching": FOLLOWING, "completed": FOLLOWING, "hold": ARCHIVED, "dropped": STOPPED}
WITH_EPISODES = "Ask Simkl for a backup with episodes: GET /sync/all-items?extended=full&episode_watched_at=yes gives one."


def read(bundle: Bundle) -> Iterator[Entry]:
    """Films, then shows, then anime."""
    name = find_backup(bundle)
    bundle.plan([name] * len(LISTS))
    for part in LISTS:
        for count, value in enumerate(bundle.items(name, f"{part}.item"), start=1):
            if isinstance(value, Bad):
                yield value
                return
            yield from entries(value, part, name, f"{part}, entry {count}: ")


def find_backup(bundle: Bundle) -> str:
    """The one file that is a backup; raises Unusable."""
    found = [name for name in bundle.names if name.lower().endswith(".json") and is_backup(bundle.head(name))]
    if len(found) != 1:
        raise Unusable(
            f"{bundle.path} holds {len(found) or 'no'} JSON files with lists called movies, shows or anime, as a "
            "Simkl backup has them. Import its SimklBackup.json or the zip as Simkl gave it."
        )
    return found[0]


def is_backup(head: bytes) -> bool:
    return head.strip() == b"null" or (
        head.lstrip().startswith(b"{") and any(f'"{part}"'.encode() in head for part in LISTS)
    )


def entries(value: Any, part: str, name: str, where: str) -> Iterator[Entry]:
    """The steps' results for one entry of a list: its plays, its rating, its library entry."""
    try:
        entry = mapping(value)
        alone = part == "movies" or entry.get("anime_type") == "movie"
        steps = film(entry) if alone else series(entry, part == "anime")
        yield from run_steps(steps, name, where)
    except Wrong as wrong:
        yield wrong.bad(name, None, where)


def film(entry: Mapping[str, Any]) -> Iterator[Step]:
    told = inner(entry, "movie") or inner(entry, "show")
    item = Movie(title=text(told.get("title")), year=year(told.get("year")), ids=ids_of(inner(told, "ids")))
    require_name(item)
    if entry.get("status") == "completed":
        yield partial(viewing, lambda: item, entry, entry.get("last_watched_at"), f"movie:{item_key(item)}")
    yield from library(entry, item)


def series(entry: Mapping[str, Any], anime: bool) -> Iterator[Step]:
    told = inner(entry, "show") or inner(entry, "anime")
    show = Show(title=text(told.get("title")), year=year(told.get("year")), ids=ids_of(inner(told, "ids")))
    require_name(show)
    yield from library(entry, show)
    yield from episodes(entry, show, anime)


def episodes(entry: Mapping[str, Any], show: Show, anime: bool) -> Iterator[Step]:
    """A play for each episode; raises Wrong if they are only counted."""
    seasons, counted = several(entry.get("seasons")), number(entry.get("watched_episodes_count"))
    if counted and not seasons:
        raise Wrong(
            f"{counted} episodes of “{show.title}” are watched, and it does not say which", WITH_EPISODES
        )
    for season in seasons:
        for told in several(mapping(season).get("episodes")):
            episode = told if isinstance(told, dict) else {}
            key = f"show:{item_key(show)}:{season.get('number')}x{episode.get('number')}"
            item = partial(episode_of, show, season, episode, anime)
            yield partial(viewing, item, entry, episode.get("watched_at"), key)


def episode_of(show: Show, season: Mapping[str, Any], episode: Mapping[str, Any], anime: bool) -> Episode:
    """The episode, with TVDB's numbers if an anime's are known."""
    aired = inner(episode, "tvdb")
    place = (
        (aired.get("season"), aired.get("episode"))
        if aired
        else (season.get("number"), episode.get("number"))
    )
    of, count = number(place[0]), number(place[1])
    if of is None or count is None:
        raise Wrong(f"an episode of “{show.title}” has no number")
    numbering = "mapped" if anime and not aired else "aired"
    return Episode(show=show.title, season=of, number=count, show_ids=show.ids, numbering=numbering)


def viewing(item: Callable[[], Item], entry: Mapping[str, Any], date: Any, key: str) -> Viewing:
    """A play at its own date; without one it is ticked at the entry's best date."""
    at = when(date)
    best = at or when(entry.get("last_watched_at")) or when(entry.get("added_to_watchlist_at"))
    dated = Dated.TICKED if at is None else Dated.EXACT
    play = watched_play(item(), best, "simkl", dated=dated, manual=at is None)
    return Viewing(play=play, foreign_key=f"simkl:{key}:{at.isoformat() if at else ''}"[:200])


def library(entry: Mapping[str, Any], item: Movie | Show) -> Iterator[Step]:
    if entry.get("user_rating"):
        yield partial(library_entry, entry, item, Relation.RATING, "user_rated_at")
    if entry.get("status") == "plantowatch":
        yield partial(library_entry, entry, item, Relation.WATCHLIST, "added_to_watchlist_at")
    if isinstance(item, Show) and text(entry.get("status")) in STATES:
        yield partial(library_entry, entry, item, Relation.FOLLOW, "added_to_watchlist_at")


def library_entry(entry: Mapping[str, Any], item: Item, relation: Relation, date: str) -> Kept:
    value = rating(entry.get("user_rating")) if relation is Relation.RATING else None
    state = STATES.get(entry["status"]) if relation is Relation.FOLLOW else None
    return Kept(relation=relation, item=item, at=when(entry.get(date)), value=value, state=state)


def item_key(item: Item) -> str:
    """The key of an item at Simkl: Simkl's id, else any other id, else the title."""
    ids: Ids = item.ids
    return str(
        ids.simkl or next((f"{name}:{value}" for name, value in ids.by_namespace().items()), item.title)
    )


def require_name(item: Movie | Show) -> None:
    if not item.ids and item.title is None:
        raise Wrong(f"it is a {item.kind} without an id and without a title")
