"""The shelf: what a person follows and has watched, read from their history and their library.

Marked watched is an item whose last viewing was not taken back. A mark in the built-in library counts where
the history knows nothing of the item.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any

import orjson
from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Text,
    and_,
    case,
    exists,
    func,
    or_,
    select,
    type_coerce,
    update,
)

from webhook.domain.event import Episode, Ids, Item, Kind, Movie, item_from_json
from webhook.domain.items import keys, same_item
from webhook.history.library import LOVE, WATCHLIST, following, show_key
from webhook.history.play_store import merge_items
from webhook.history.shelf import shelf_keys
from webhook.history.shows import Place
from webhook.identity.resolutions import find_known
from webhook.lookups import ListedEpisode
from webhook.storage.json_sql import json_rows
from webhook.storage.tables import episode_list, follow, library, play, play_key, tick

HISTORY = "history"
"""Where the episodes of a show come from that no lookup has listed."""

EPISODES_OF = "episode:of:tvdb:"
EPISODE = "episode:tvdb:"


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """The viewings of one item that count: how long they took together, and how long it is where that is known."""

    first: datetime
    last: datetime
    count: int = 1
    duration_ms: int = 0
    runtime_ms: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """A show by its TheTVDB id: its episodes, and what of them the person has seen."""

    tvdb: int
    title: str | None = None
    via: str = HISTORY
    listed: bool = False
    followed_at: datetime | None = None
    state: str | None = None
    episodes: Sequence[ListedEpisode] = ()
    seen: Mapping[Place, Seen] = field(default_factory=dict)

    @property
    def regular(self) -> list[ListedEpisode]:
        return [one for one in self.episodes if one.season > 0]

    def shown(self, today: date) -> list[ListedEpisode]:
        """The regular episodes that could have been seen: aired, seen, or known from the history."""
        return [
            one
            for one in self.regular
            if self.via == HISTORY or one.aired_by(today) or self.seen_of(one) is not None
        ]

    def seen_of(self, one: ListedEpisode) -> Seen | None:
        return self.seen.get((one.season, one.number))

    @property
    def last_seen(self) -> datetime | None:
        return max((one.last for one in self.seen.values()), default=None)

    @property
    def first_aired(self) -> str | None:
        return min((one.aired for one in self.regular if one.aired), default=None)

    def watched(self, today: date) -> int:
        return sum(1 for one in self.shown(today) if self.seen_of(one) is not None)


@dataclass(frozen=True, slots=True)
class Viewing:
    """A play of an item that was watched once, as far as it matters here."""

    item: Item
    watched_at: datetime
    counts: bool
    duration_ms: int


# --- viewings


def viewings(connection: Connection, person_id: int, *which: ColumnElement[bool]) -> dict[int, Viewing]:
    """The person's plays that were ever watched and not removed, by id, of those that the keys name."""
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


def among(known: Iterable[str]) -> ColumnElement[bool]:
    asked = select(json_rows(orjson.dumps(list(known)).decode()).table_valued("value").c.value)
    return play_key.c.key.in_(asked)


def beginning(start: str) -> ColumnElement[bool]:
    """Whether a key begins so. `start` ends with a colon, and what follows a colon sorts before a semicolon."""
    return and_(play_key.c.key >= start, play_key.c.key < f"{start[:-1]};")


def together(found: Iterable[Viewing]) -> Seen | None:
    """What viewings of one item come to; None where the last of them was taken back, or there is none."""
    every = sorted(found, key=lambda one: one.watched_at)
    if not every or not every[-1].counts:
        return None
    counted = [one for one in every if one.counts]
    return Seen(
        first=counted[0].watched_at,
        last=counted[-1].watched_at,
        count=len(counted),
        duration_ms=sum(one.duration_ms for one in counted),
        runtime_ms=max(one.duration_ms for one in counted) or None,
    )


def seen(connection: Connection, person_id: int, item: Item) -> Seen | None:
    """The person's viewings of an item; None where it is not marked watched."""
    return seen_each(connection, person_id, [item])[0]


def seen_each(connection: Connection, person_id: int, items: Sequence[Item]) -> list[Seen | None]:
    """The person's viewings of each item, asked for at once."""
    wanted = [keys(item) for item in items]
    by_key: dict[str, set[int]] = defaultdict(set)
    named = select(play_key.c.key, play_key.c.play_id).where(
        play_key.c.person_id == person_id, among({key for known in wanted for key in known})
    )
    for row in connection.execute(named):
        by_key[row.key].add(row.play_id)
    found = viewings(connection, person_id, among(by_key)) if by_key else {}
    marks = marked(connection, person_id, items)
    result: list[Seen | None] = []
    for item, known in zip(items, wanted, strict=True):
        mine = {number for key in known for number in by_key.get(key, ()) if number in found}
        same = [found[number] for number in sorted(mine) if same_item(found[number].item, item)]
        result.append(together(same) if same else marks.get(shelf_keys(item)[0] or ""))
    return result


def marked(connection: Connection, person_id: int, items: Iterable[Item]) -> dict[str, Seen]:
    """The marks of these items in the built-in library, where the history knows nothing of them, by their keys."""
    own = [key for item in items if (key := shelf_keys(item)[0])]
    asked = select(json_rows(orjson.dumps(own).decode()).table_valued("value").c.value)
    here = and_(tick.c.person_id == person_id, tick.c.item_key.in_(asked), alone())
    return {row.item_key: ticked(row) for row in connection.execute(select(tick).where(here))}


def ticked(row: Row[Any]) -> Seen:
    return Seen(first=row.watched_at, last=row.watched_at, count=1 + row.rewatches)


def alone() -> ColumnElement[bool]:
    """Whether the history knows nothing of what is marked in the built-in library."""
    own = or_(
        play_key.c.key == tick.c.item_key, play_key.c.key == tick.c.kind.concat(":").concat(tick.c.item_key)
    )
    return ~exists().where(play_key.c.person_id == tick.c.person_id, own)


# --- shows


def every(connection: Connection, person_id: int, besides: Collection[int] = ()) -> list[Series]:
    """The shows that the person follows, in the order in which that began, without those that are known already.

    One without a TheTVDB id is left out.
    """
    rows = connection.execute(
        select(follow)
        .where(follow.c.person_id == person_id)
        .order_by(follow.c.followed_at, follow.c.show_key)
    ).all()
    asked = [number for row in rows if (number := Ids.from_json(row.ids).tvdb) and number not in besides]
    return of_shows(connection, person_id, asked, EPISODES_OF)


def one(connection: Connection, person_id: int, tvdb: int) -> Series:
    """A show, followed or not, with nothing in it where nothing is known of it."""
    return of_shows(connection, person_id, [tvdb], f"{EPISODES_OF}{tvdb}:")[0]


def of_shows(connection: Connection, person_id: int, asked: Sequence[int], start: str) -> list[Series]:
    """These shows; `start` is what the keys of their episodes begin with."""
    bare = [bare_series(connection, person_id, tvdb) for tvdb in asked]
    wanted = {key: show.tvdb for show in bare for key in keys_of(show)}
    found = viewings(connection, person_id, beginning(start))
    found |= viewings(connection, person_id, among(wanted))
    by_show: dict[int, list[Viewing]] = defaultdict(list)
    for viewing in found.values():
        if (number := show_of(viewing.item, wanted)) is not None:
            by_show[number].append(viewing)
    marks: dict[int, list[Row[Any]]] = defaultdict(list)
    for row in marked_episodes(connection, person_id):
        if (number := show_of(item_from_json(row.item), wanted)) is not None:
            marks[number].append(row)
    return [filled(show, by_show[show.tvdb], marks[show.tvdb]) for show in bare]


def bare_series(connection: Connection, person_id: int, tvdb: int) -> Series:
    """What is listed of a show, without what the person has seen of it."""
    key = show_key(None, Ids(tvdb=tvdb))
    row = connection.execute(select(episode_list).where(episode_list.c.show_key == key)).first()
    followed = connection.execute(
        select(follow).where(follow.c.person_id == person_id, follow.c.show_key == key)
    ).first()
    episodes = [ListedEpisode.from_json(one) for one in row.episodes] if row is not None else []
    made = Series(tvdb=tvdb, via=row.via if row is not None and episodes else HISTORY, listed=row is not None)
    made = replace(made, episodes=sorted(episodes, key=place))
    if followed is None:
        return made
    return replace(made, title=followed.show, followed_at=followed.followed_at, state=followed.state)


def place(one: ListedEpisode) -> Place:
    return one.season, one.number


def keys_of(show: Series) -> Iterator[str]:
    """What a play of each listed episode may be found by."""
    for one in show.episodes:
        yield from keys(episode_of(show, one))


def episode_of(show: Series, one: ListedEpisode) -> Episode:
    return Episode(
        title=one.title, show=show.title, season=one.season, number=one.number, ids=one.ids,
        show_ids=Ids(tvdb=show.tvdb),
    )  # fmt: skip


def show_of(item: Item, wanted: Mapping[str, int]) -> int | None:
    """The TheTVDB id of the show that an episode is of."""
    assert isinstance(item, Episode)
    if item.show_ids.tvdb is not None:
        return item.show_ids.tvdb
    return next((wanted[key] for key in keys(item) if key in wanted), None)


def marked_episodes(connection: Connection, person_id: int) -> Sequence[Row[Any]]:
    mine = and_(tick.c.person_id == person_id, tick.c.kind == Kind.EPISODE.value, alone())
    return connection.execute(select(tick).where(mine).order_by(tick.c.watched_at, tick.c.item_key)).all()


def filled(show: Series, found: Sequence[Viewing], marks: Sequence[Row[Any]]) -> Series:
    """The show with what the history knows of it: episodes that nobody lists, ids that the list lacks, viewings."""
    places = {number: place(one) for one in show.episodes if (number := one.ids.tvdb)}
    known = {place(one): one for one in show.episodes}
    by_place: dict[Place, list[Viewing]] = defaultdict(list)
    for viewing in found:
        if (where := placed(viewing.item, places)) is not None:
            known[where] = told(known.get(where), viewing.item, where)
            by_place[where].append(viewing)
    result = {where: one for where, every in by_place.items() if (one := together(every)) is not None}
    for row in marks:
        item = item_from_json(row.item)
        if (where := placed(item, places)) is not None and where not in by_place:
            known[where] = told(known.get(where), item, where)
            result[where] = ticked(row)
    titles = [item.show for item in (one.item for one in found) if isinstance(item, Episode) and item.show]
    return replace(
        show, title=show.title or next(iter(titles), None), seen=result,
        episodes=sorted(known.values(), key=place),
    )  # fmt: skip


def placed(item: Item, places: Mapping[int, Place]) -> Place | None:
    """Where an episode stands: by its own id as listed, else by its numbers."""
    assert isinstance(item, Episode)
    if item.ids.tvdb is not None and item.ids.tvdb in places:
        return places[item.ids.tvdb]
    return None if item.season is None or item.number is None else (item.season, item.number)


def told(known: ListedEpisode | None, item: Item, where: Place) -> ListedEpisode:
    listed = known or ListedEpisode(season=where[0], number=where[1])
    return replace(listed, title=listed.title or item.title, ids=listed.ids.merged(item.ids))


def favourites(connection: Connection, person_id: int) -> set[int]:
    """The TheTVDB ids of the shows that the person loves."""
    mine = library.c.person_id == person_id, library.c.relation == LOVE, library.c.kind == Kind.SHOW.value
    rows = connection.execute(select(library.c.item).where(*mine))
    return {number for row in rows if (number := item_from_json(row.item).ids.tvdb) is not None}


# --- one episode


def named(connection: Connection, person_id: int, tvdb: int) -> Episode:
    """The episode with this TheTVDB id, with all that is known of it here; as the person's own history has it first."""
    bare = Episode(ids=Ids(tvdb=tvdb))
    found = [
        *of_history(connection, person_id, bare),
        *of_list(connection, tvdb),
        remembered(connection, bare),
    ]
    placed = [one for one in found if one.season is not None and one.number is not None]
    best = complete((placed or found)[0], found)
    if best.show is not None or best.show_ids.tvdb is None:
        return best
    row = following(connection, person_id, show_key(None, best.show_ids) or "")
    return best if row is None else replace(best, show=row.show)


def name_show(connection: Connection, person_id: int, key: str, title: str | None) -> bool:
    """Let a show that is followed without a name have this one; whether it did."""
    if not title:
        return False
    nameless = and_(follow.c.person_id == person_id, follow.c.show_key == key, follow.c.show.is_(None))
    return bool(connection.execute(update(follow).where(nameless).values(show=title)).rowcount)


def complete(best: Episode, others: Iterable[Episode]) -> Episode:
    """The episode with what others know of it beside its place."""
    for one in others:
        if best.show_ids.contradicts(one.show_ids) or best.ids.contradicts(one.ids):
            continue
        best = replace(
            best, title=best.title or one.title, show=best.show or one.show, ids=best.ids.merged(one.ids),
            show_ids=best.show_ids.merged(one.show_ids),
        )  # fmt: skip
    return best


def of_history(connection: Connection, person_id: int, bare: Episode) -> list[Episode]:
    own = select(play_key.c.play_id).where(
        play_key.c.person_id == person_id, play_key.c.key == f"{EPISODE}{bare.ids.tvdb}"
    )
    rows = connection.execute(
        select(play.c.item).where(play.c.id.in_(own)).order_by(play.c.id.desc()).limit(1)
    )
    items = [item_from_json(row.item) for row in rows]
    mine = and_(tick.c.person_id == person_id, tick.c.item_key == f"tvdb:{bare.ids.tvdb}")
    items += [item_from_json(row.item) for row in connection.execute(select(tick.c.item).where(mine))]
    return [item for item in items if isinstance(item, Episode)]


def of_list(connection: Connection, tvdb: int) -> Iterator[Episode]:
    holding = episode_list.c.show_key.like("tvdb:%"), holds(tvdb)
    for row in connection.execute(select(episode_list.c.show_key, episode_list.c.episodes).where(*holding)):
        for one in map(ListedEpisode.from_json, row.episodes):
            if one.ids.tvdb == tvdb:
                yield episode_of(Series(tvdb=int(row.show_key.partition(":")[2])), one)


def holds(tvdb: int) -> ColumnElement[bool]:
    """Whether the JSON of a list may hold this id; what it holds else is looked at when it is read."""
    return type_coerce(episode_list.c.episodes, Text).contains(f'"tvdb":{tvdb}')


def remembered(connection: Connection, bare: Episode) -> Episode:
    """What lookups said of it earlier."""
    known = find_known(connection, keys(bare))
    item = None if known is None else known.told(bare)
    return item if isinstance(item, Episode) else bare


def watched_episodes(connection: Connection, person_id: int) -> list[tuple[int, Seen]]:
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
        .where(play_key.c.person_id == person_id, beginning(EPISODE), *MARKED)
        .group_by(play_key.c.key)
        .having(func.max(counts) == func.max(play.c.watched_at))
    )
    found = [
        (
            int(row.key.removeprefix(EPISODE)),
            Seen(first=row.first, last=row.last, count=row.views, runtime_ms=row.runtime or None),
        )
        for row in rows
    ]
    found += [
        (number, ticked(row))
        for row in marked_episodes(connection, person_id)
        if (number := item_from_json(row.item).ids.tvdb) is not None
    ]
    return sorted(found, key=lambda entry: (entry[1].first, entry[0]))


# --- movies


def movies(connection: Connection, person_id: int) -> list[tuple[Movie, Seen]]:
    """Every movie marked watched, the first watched first; what is known of it from all its plays."""
    groups: list[list[Viewing]] = []
    by_key: dict[str, list[Viewing]] = {}
    found = viewings(connection, person_id, beginning("movie:"))
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
    shown = [(merged(group), one) for group in groups if (one := together(group)) is not None]
    mine = and_(tick.c.person_id == person_id, tick.c.kind == Kind.MOVIE.value, alone())
    shown += [
        (film(item_from_json(row.item)), ticked(row)) for row in connection.execute(select(tick).where(mine))
    ]
    return sorted(shown, key=lambda entry: (entry[1].first, str(entry[0].ids)))


def merged(group: Sequence[Viewing]) -> Movie:
    best = film(group[-1].item)
    for one in group:
        best = film(merge_items(one.item, best))
    return best


def film(item: Item) -> Movie:
    assert isinstance(item, Movie)
    return item


def wanted_movies(connection: Connection, person_id: int) -> list[tuple[Movie, datetime]]:
    """The movies on the person's watchlist, since when."""
    mine = (
        library.c.person_id == person_id,
        library.c.relation == WATCHLIST,
        library.c.kind == Kind.MOVIE.value,
    )
    rows = connection.execute(select(library).where(*mine).order_by(library.c.at, library.c.item_key))
    return [(film(item_from_json(row.item)), row.at) for row in rows]


def movie(connection: Connection, person_id: int, ids: Ids) -> Movie | None:
    """The movie as the person's history has it, by any of these ids."""
    found = viewings(connection, person_id, among(keys(Movie(ids=ids))))
    same = [one for one in found.values() if not one.item.ids.contradicts(ids)]
    return merged(same) if same else None
