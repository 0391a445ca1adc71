"""The shelf: the shows and movies that a person follows and has watched, from their history and library.

An item is marked watched unless its last viewing was taken back. A mark in the built-in library counts if
the history does not know the item.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime

import orjson
from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    case,
    exists,
    func,
    or_,
    select,
)

from webhook.domain.event import Episode, Ids, Item, Kind, Movie, item_from_json
from webhook.domain.items import keys, same_item
from webhook.history.library import LOVE, WATCHLIST, show_key
from webhook.history.play_store import merge_items
from webhook.history.shelf import shelf_keys
from webhook.history.shows import Place
from webhook.lookups import ListedEpisode
from webhook.storage.json_sql import json_rows
from webhook.storage.rows import fetch_all, fetch_first
from webhook.storage.tables import (
    EpisodeListRow,
    FollowRow,
    LibraryRow,
    TickRow,
    episode_list,
    follow,
    library,
    play,
    play_key,
    tick,
)

HISTORY = "history"
"""The origin of a show's episodes if no lookup has listed them."""

EPISODES_OF = "episode:of:tvdb:"
EPISODE = "episode:tvdb:"


@dataclass(frozen=True, kw_only=True, slots=True)
class WatchSummary:
    """The counted viewings of one item: first and last date, number, total duration, and length if known."""

    first: datetime
    last: datetime
    count: int = 1
    duration_ms: int = 0
    runtime_ms: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """A show by its TheTVDB id: its episodes and the person's viewings of them."""

    tvdb: int
    title: str | None = None
    via: str = HISTORY
    listed: bool = False
    followed_at: datetime | None = None
    state: str | None = None
    episodes: Sequence[ListedEpisode] = ()
    seen: Mapping[Place, WatchSummary] = field(default_factory=dict)

    @property
    def regular(self) -> list[ListedEpisode]:
        return [one for one in self.episodes if one.season > 0]

    def watchable(self, today: date) -> list[ListedEpisode]:
        """The regular episodes that can have been watched: aired, watched, or known from the history."""
        return [
            one
            for one in self.regular
            if self.via == HISTORY or one.is_aired_by(today) or self.watch_of(one) is not None
        ]

    def watch_of(self, one: ListedEpisode) -> WatchSummary | None:
        return self.seen.get((one.season, one.number))

    @property
    def last_watch_at(self) -> datetime | None:
        return max((one.last for one in self.seen.values()), default=None)

    @property
    def first_air_date(self) -> str | None:
        return min((one.aired for one in self.regular if one.aired), default=None)

    def watched_count(self, today: date) -> int:
        return sum(1 for one in self.watchable(today) if self.watch_of(one) is not None)


@dataclass(frozen=True, slots=True)
class Viewing:
    """A watched play of an item; `counts` is False if the mark was taken back."""

    item: Item
    watched_at: datetime
    counts: bool
    duration_ms: int


# --- viewings


def viewings(connection: Connection, person_id: int, *which: ColumnElement[bool]) -> dict[int, Viewing]:
    """The person's plays with matching keys that were ever watched and not removed, by id."""
    rows = connection.execute(
        select(play.c.id, play.c.item, play.c.watched_at, play.c.unwatched_at, play.c.duration_ms)
        .join(play_key, play_key.c.play_id == play.c.id)
        .where(play_key.c.person_id == person_id, play.c.person_id == person_id, *which, *MARKED)
    )
    return {
        row.id: Viewing(
            item_from_json(row.item), row.watched_at, row.unwatched_at is None, row.duration_ms or 0
        )
        for row in rows
    }


MARKED = (play.c.watched_at.is_not(None), play.c.removed_at.is_(None))


def key_among(known: Iterable[str]) -> ColumnElement[bool]:
    asked = select(json_rows(orjson.dumps(list(known)).decode()).table_valued("value").c.value)
    return play_key.c.key.in_(asked)


def key_starts_with(start: str) -> ColumnElement[bool]:
    """Match keys with this prefix, which ends with a colon; a semicolon sorts directly after it."""
    return and_(play_key.c.key >= start, play_key.c.key < f"{start[:-1]};")


def summarize(found: Iterable[Viewing]) -> WatchSummary | None:
    """The summary of one item's viewings; None if there is none or the last one was taken back."""
    every = sorted(found, key=lambda one: one.watched_at)
    if not every or not every[-1].counts:
        return None
    counted = [one for one in every if one.counts]
    return WatchSummary(
        first=counted[0].watched_at,
        last=counted[-1].watched_at,
        count=len(counted),
        duration_ms=sum(one.duration_ms for one in counted),
        runtime_ms=max(one.duration_ms for one in counted) or None,
    )


def watch_summary(connection: Connection, person_id: int, item: Item) -> WatchSummary | None:
    """The person's viewings of an item; None if it is not marked watched."""
    return watch_summaries(connection, person_id, [item])[0]


def watch_summaries(
    connection: Connection, person_id: int, items: Sequence[Item]
) -> list[WatchSummary | None]:
    """The person's viewings of each item, in one query."""
    wanted = [keys(item) for item in items]
    by_key: dict[str, set[int]] = defaultdict(set)
    named = select(play_key.c.key, play_key.c.play_id).where(
        play_key.c.person_id == person_id, key_among({key for known in wanted for key in known})
    )
    for row in connection.execute(named):
        by_key[row.key].add(row.play_id)
    found = viewings(connection, person_id, key_among(by_key)) if by_key else {}
    marks = marks_by_key(connection, person_id, items)
    result: list[WatchSummary | None] = []
    for item, known in zip(items, wanted, strict=True):
        mine = {number for key in known for number in by_key.get(key, ()) if number in found}
        same = [found[number] for number in sorted(mine) if same_item(found[number].item, item)]
        result.append(summarize(same) if same else marks.get(shelf_keys(item)[0] or ""))
    return result


def marks_by_key(connection: Connection, person_id: int, items: Iterable[Item]) -> dict[str, WatchSummary]:
    """The built-in library's marks of these items by key, without those that the history knows."""
    own = [key for item in items if (key := shelf_keys(item)[0])]
    asked = select(json_rows(orjson.dumps(own).decode()).table_valued("value").c.value)
    here = and_(tick.c.person_id == person_id, tick.c.item_key.in_(asked), not_in_history())
    return {
        row.item_key: mark_summary(row) for row in fetch_all(connection, select(tick).where(here), TickRow)
    }


def mark_summary(row: TickRow) -> WatchSummary:
    return WatchSummary(first=row.watched_at, last=row.watched_at, count=1 + row.rewatches)


def not_in_history() -> ColumnElement[bool]:
    """Match marks in the built-in library of items that the history does not know."""
    own = or_(
        play_key.c.key == tick.c.item_key, play_key.c.key == tick.c.kind.concat(":").concat(tick.c.item_key)
    )
    return ~exists().where(play_key.c.person_id == tick.c.person_id, own)


# --- shows


def read_followed_shows(
    connection: Connection, person_id: int, besides: Collection[int] = ()
) -> list[Series]:
    """The shows that the person follows, oldest follow first, without those in `besides`.

    A show without a TheTVDB id is left out.
    """
    mine = select(follow).where(follow.c.person_id == person_id)
    rows = fetch_all(connection, mine.order_by(follow.c.followed_at, follow.c.show_key), FollowRow)
    asked = [number for row in rows if (number := Ids.from_json(row.ids).tvdb) and number not in besides]
    return read_shows(connection, person_id, asked, EPISODES_OF)


def read_show(connection: Connection, person_id: int, tvdb: int) -> Series:
    """A show, followed or not; empty if nothing is known of it."""
    return read_shows(connection, person_id, [tvdb], f"{EPISODES_OF}{tvdb}:")[0]


def read_shows(connection: Connection, person_id: int, asked: Sequence[int], start: str) -> list[Series]:
    """These shows with their viewings; `start` is the key prefix of their episodes."""
    bare = [bare_series(connection, person_id, tvdb) for tvdb in asked]
    wanted = {key: show.tvdb for show in bare for key in series_keys(show)}
    found = viewings(connection, person_id, key_starts_with(start))
    found |= viewings(connection, person_id, key_among(wanted))
    by_show: dict[int, list[Viewing]] = defaultdict(list)
    for viewing in found.values():
        if (number := show_of(viewing.item, wanted)) is not None:
            by_show[number].append(viewing)
    marks: dict[int, list[TickRow]] = defaultdict(list)
    for row in marked_episodes(connection, person_id):
        if (number := show_of(item_from_json(row.item), wanted)) is not None:
            marks[number].append(row)
    return [fill_series(show, by_show[show.tvdb], marks[show.tvdb]) for show in bare]


def bare_series(connection: Connection, person_id: int, tvdb: int) -> Series:
    """A show with its listed episodes, without the person's viewings."""
    key = show_key(None, Ids(tvdb=tvdb))
    row = fetch_first(connection, select(episode_list).where(episode_list.c.show_key == key), EpisodeListRow)
    mine = select(follow).where(follow.c.person_id == person_id, follow.c.show_key == key)
    followed = fetch_first(connection, mine, FollowRow)
    episodes = [ListedEpisode.from_json(one) for one in row.episodes] if row is not None else []
    made = Series(tvdb=tvdb, via=row.via if row is not None and episodes else HISTORY, listed=row is not None)
    made = replace(made, episodes=sorted(episodes, key=episode_place))
    if followed is None:
        return made
    return replace(made, title=followed.show, followed_at=followed.followed_at, state=followed.state)


def episode_place(one: ListedEpisode) -> Place:
    return one.season, one.number


def series_keys(show: Series) -> Iterator[str]:
    """The keys by which plays of the show's listed episodes are found."""
    for one in show.episodes:
        yield from keys(episode_of(show, one))


def episode_of(show: Series, one: ListedEpisode) -> Episode:
    return Episode(
        title=one.title, show=show.title, season=one.season, number=one.number, ids=one.ids,
        show_ids=Ids(tvdb=show.tvdb),
    )  # fmt: skip


def show_of(item: Item, wanted: Mapping[str, int]) -> int | None:
    """The TheTVDB id of the show that an episode belongs to; None if it is none of the wanted ones."""
    assert isinstance(item, Episode)
    if item.show_ids.tvdb is not None:
        return item.show_ids.tvdb
    return next((wanted[key] for key in keys(item) if key in wanted), None)


def marked_episodes(connection: Connection, person_id: int) -> list[TickRow]:
    mine = and_(tick.c.person_id == person_id, tick.c.kind == Kind.EPISODE.value, not_in_history())
    oldest_first = select(tick).where(mine).order_by(tick.c.watched_at, tick.c.item_key)
    return fetch_all(connection, oldest_first, TickRow)


def fill_series(show: Series, found: Sequence[Viewing], marks: Sequence[TickRow]) -> Series:
    """The show completed from the history: unlisted episodes, missing ids, viewings."""
    places = {number: episode_place(one) for one in show.episodes if (number := one.ids.tvdb)}
    known = {episode_place(one): one for one in show.episodes}
    by_place: dict[Place, list[Viewing]] = defaultdict(list)
    for viewing in found:
        if (where := find_place(viewing.item, places)) is not None:
            known[where] = merge_episode(known.get(where), viewing.item, where)
            by_place[where].append(viewing)
    result = {where: one for where, every in by_place.items() if (one := summarize(every)) is not None}
    for row in marks:
        item = item_from_json(row.item)
        if (where := find_place(item, places)) is not None and where not in by_place:
            known[where] = merge_episode(known.get(where), item, where)
            result[where] = mark_summary(row)
    titles = [item.show for item in (one.item for one in found) if isinstance(item, Episode) and item.show]
    return replace(
        show, title=show.title or next(iter(titles), None), seen=result,
        episodes=sorted(known.values(), key=episode_place),
    )  # fmt: skip


def find_place(item: Item, places: Mapping[int, Place]) -> Place | None:
    """The place of an episode: as listed under its own id, else by its numbers; None without either."""
    assert isinstance(item, Episode)
    if item.ids.tvdb is not None and item.ids.tvdb in places:
        return places[item.ids.tvdb]
    return None if item.season is None or item.number is None else (item.season, item.number)


def merge_episode(known: ListedEpisode | None, item: Item, where: Place) -> ListedEpisode:
    listed = known or ListedEpisode(season=where[0], number=where[1])
    return replace(listed, title=listed.title or item.title, ids=listed.ids.merge(item.ids))


def favourites(connection: Connection, person_id: int) -> set[int]:
    """The TheTVDB ids of the shows among the person's favourites."""
    mine = library.c.person_id == person_id, library.c.relation == LOVE, library.c.kind == Kind.SHOW.value
    rows = connection.execute(select(library.c.item).where(*mine))
    return {number for row in rows if (number := item_from_json(row.item).ids.tvdb) is not None}


def watched_episodes(connection: Connection, person_id: int) -> list[tuple[int, WatchSummary]]:
    """Every episode marked watched that has a TheTVDB id, the first watched first."""
    counts = case((play.c.unwatched_at.is_(None), play.c.watched_at))
    rows = connection.execute(
        select(
            play_key.c.key,
            func.min(counts).label("first"),
            func.max(counts).label("last"),
            func.count(counts).label("views"),
            func.max(case((play.c.unwatched_at.is_(None), play.c.duration_ms))).label("runtime"),
        )
        .join(play, play.c.id == play_key.c.play_id)
        .where(play_key.c.person_id == person_id, key_starts_with(EPISODE), *MARKED)
        .group_by(play_key.c.key)
        .having(func.max(counts) == func.max(play.c.watched_at))
    )
    found = [
        (
            int(row.key.removeprefix(EPISODE)),
            WatchSummary(first=row.first, last=row.last, count=row.views, runtime_ms=row.runtime or None),
        )
        for row in rows
    ]
    found += [
        (number, mark_summary(row))
        for row in marked_episodes(connection, person_id)
        if (number := item_from_json(row.item).ids.tvdb) is not None
    ]
    return sorted(found, key=lambda entry: (entry[1].first, entry[0]))


# --- movies


def movies(connection: Connection, person_id: int) -> list[tuple[Movie, WatchSummary]]:
    """Every movie marked watched, the first watched first, with the facts of all its plays merged."""
    groups: list[list[Viewing]] = []
    by_key: dict[str, list[Viewing]] = {}
    found = viewings(connection, person_id, key_starts_with("movie:"))
    for viewing in sorted(found.values(), key=lambda one: one.watched_at):
        own = keys(viewing.item)
        group = next(
            (by_key[key] for key in own if key in by_key and same_item(by_key[key][0].item, viewing.item)),
            None,
        )
        if group is None:
            group = []
            groups.append(group)
        group.append(viewing)
        by_key |= dict.fromkeys(own, group)
    shown = [(merge_viewings(group), one) for group in groups if (one := summarize(group)) is not None]
    mine = and_(tick.c.person_id == person_id, tick.c.kind == Kind.MOVIE.value, not_in_history())
    shown += [
        (_film(item_from_json(row.item)), mark_summary(row))
        for row in fetch_all(connection, select(tick).where(mine), TickRow)
    ]
    return sorted(shown, key=lambda entry: (entry[1].first, str(entry[0].ids)))


def merge_viewings(group: Sequence[Viewing]) -> Movie:
    best = _film(group[-1].item)
    for one in group:
        best = _film(merge_items(one.item, best))
    return best


def _film(item: Item) -> Movie:
    assert isinstance(item, Movie)
    return item


def wanted_movies(connection: Connection, person_id: int) -> list[tuple[Movie, datetime]]:
    """The movies on the person's watchlist, each with the date when it was added."""
    mine = (
        library.c.person_id == person_id,
        library.c.relation == WATCHLIST,
        library.c.kind == Kind.MOVIE.value,
    )
    oldest_first = select(library).where(*mine).order_by(library.c.at, library.c.item_key)
    return [
        (_film(item_from_json(row.item)), row.at) for row in fetch_all(connection, oldest_first, LibraryRow)
    ]


def find_movie(connection: Connection, person_id: int, ids: Ids) -> Movie | None:
    """The movie from the person's history with any of these ids; None if there is none."""
    found = viewings(connection, person_id, key_among(keys(Movie(ids=ids))))
    same = [one for one in found.values() if not one.item.ids.contradicts(ids)]
    return merge_viewings(same) if same else None
