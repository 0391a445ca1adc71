"""Videos: the local ids of items, and their facts from the history; inside a caller's transaction."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, func, insert, or_, select, update

from webhook import clock
from webhook.compat.videoscrobbler import remote_ids
from webhook.compat.videoscrobbler.remote_ids import FILM, TV, URL
from webhook.domain.event import STREAMS, Action, Event, Item, item_from_json, item_to_json
from webhook.domain.items import same_item
from webhook.domain.play import Play, State
from webhook.history import library
from webhook.history.library import LOVE
from webhook.history.play_store import find_play, merge_items, play_from_row
from webhook.storage.db import fresh_ids
from webhook.storage.rows import fetch_all, fetch_first, fetch_with
from webhook.storage.tables import PlayRow, VideoRow, play, play_key, video, video_key
from webhook.storage.tables import library as library_table

KEYS_PER_QUERY = 400  # the number of parameters in one statement
TOP_TTL = 30.0
NO_ID = 0
KINDS_BY_TYPE = {FILM: "movie", URL: "movie", TV: "episode"}


@dataclass(frozen=True, slots=True)
class Video:
    """An item with its local id. One without a local id has its keys instead."""

    id: int
    type: str
    item: Item
    keys: tuple[str, ...] = ()

    @property
    def remote_id(self) -> str | None:
        return remote_ids.remote_id_of(self.type, self.item)


def from_video_row(row: VideoRow) -> Video:
    return Video(row.id, row.kind, item_from_json(row.item))


def find_video(connection: Connection, video_id: int) -> Video | None:
    row = fetch_first(connection, select(video).where(video.c.id == video_id), VideoRow)
    return None if row is None else from_video_row(row)


@dataclass(frozen=True, slots=True)
class WantedVideo:
    """An item that needs a local id, with its keys."""

    type: str
    item: Item
    keys: tuple[str, ...]


def wanted_video(remote: remote_ids.Remote) -> WantedVideo:
    return WantedVideo(remote.type, remote.item, remote.keys)


def video_wanted_by(remote: remote_ids.Remote, person_id: int) -> WantedVideo:
    """An item that a person names; a stream also gets a key of that person."""
    found = wanted_video(remote)
    if remote.type != URL:
        return found
    return replace(found, keys=(*found.keys, person_key(remote.item, person_id)))


def person_key(item: Item, person_id: int) -> str:
    return f"url@person:{person_id}:{remote_ids.stream_place(URL, item)[1]}"


def without_id(wanted: WantedVideo) -> Video:
    """A video without a local id; none is created."""
    return Video(NO_ID, wanted.type, wanted.item, wanted.keys)


def find_videos(connection: Connection, wanted: Sequence[WantedVideo]) -> list[Video | None]:
    """The video of each item; None if it has no local id yet or lacks a fact that is known now."""
    keys = {key for one in wanted for key in one.keys}
    owners: dict[str, Video] = {}
    for part in chunks(keys):
        owners |= videos_by_key(connection, part)
    return [complete_match(one, owners) for one in wanted]


def videos_by_key(connection: Connection, known: Collection[str]) -> dict[str, Video]:
    """The videos that have these keys, by key."""
    wanted = select(video, video_key.c.key).join(video_key, video.c.id == video_key.c.video_id)
    rows = fetch_with(connection, wanted.where(video_key.c.key.in_(known)), VideoRow, str)
    return {key: from_video_row(row) for row, key in rows}


def find_earlier(connection: Connection, remote: remote_ids.Remote) -> remote_ids.Remote | None:
    """The remote id with the known facts of its item; None if nobody has named or played it."""
    wanted = select(video).join(video_key, video.c.id == video_key.c.video_id)
    oldest_first = wanted.where(video_key.c.key.in_(remote.keys)).order_by(video.c.id)
    rows = fetch_all(connection, oldest_first, VideoRow)
    known = (one.item for one in map(from_video_row, rows) if same_item(one.item, remote.item))
    if (item := next(known, None)) is not None:
        return replace(remote, item=merge_items(item, remote.item))
    played = select(play_key.c.play_id).where(play_key.c.key.in_(remote.keys)).limit(1)
    return None if connection.execute(played).first() is None else remote


def complete_match(one: WantedVideo, owners: Mapping[str, Video]) -> Video | None:
    same = best_match(one, owners)
    if same is None or any(key not in owners for key in one.keys):
        return None
    return same if merge_items(one.item, same.item) == same.item else None


def best_match(one: WantedVideo, owners: Mapping[str, Video]) -> Video | None:
    """The oldest video that shares a key with this item and may be it; None if there is none."""
    shared = {owners[key].id: owners[key] for key in one.keys if key in owners}
    oldest_first = [entry for _, entry in sorted(shared.items())]
    for entry in oldest_first:
        if same_item(entry.item, one.item):
            return entry
    has_own_key = any(key not in owners for key in one.keys)
    return None if has_own_key or not oldest_first else oldest_first[0]


def ensure(
    connection: Connection, waiting: list[tuple[Sequence[WantedVideo], datetime]]
) -> list[list[Video]]:
    """The video of each item, created if missing and updated with new facts."""
    return [[ensure_one(connection, one, now) for one in wanted] for wanted, now in waiting]


def ensure_one(connection: Connection, one: WantedVideo, now: datetime) -> Video:
    owners = videos_by_key(connection, one.keys)
    found = best_match(one, owners)
    if found is None:
        (made,) = fresh_ids(connection, video, 1)
        found = Video(made, one.type, one.item)
        values = {"id": made, "kind": one.type, "item": item_to_json(one.item), "created_at": now}
        connection.execute(insert(video), values)
    elif (fuller := merge_items(one.item, found.item)) != found.item:
        connection.execute(update(video).where(video.c.id == found.id).values(item=item_to_json(fuller)))
        found = Video(found.id, found.type, fuller)
    if missing := [key for key in one.keys if key not in owners]:
        connection.execute(insert(video_key), [{"key": key, "video_id": found.id} for key in missing])
    return found


def chunks(keys: Iterable[Any]) -> Iterable[list[Any]]:
    ordered = sorted(set(keys))
    return (ordered[at : at + KEYS_PER_QUERY] for at in range(0, len(ordered), KEYS_PER_QUERY))


# --- facts from the history


@dataclass(slots=True)
class Facts:
    """The facts of a video: totals over the people who count, and one person's own."""

    plays: int = 0
    watching: set[int] = field(default_factory=set)
    own_plays: int = 0
    latest: Play | None = None
    loved: bool = False

    @property
    def active(self) -> int:
        return len(self.watching)


def facts(
    connection: Connection, videos: Sequence[Video], people: Collection[int], about: int | None
) -> dict[int, Facts]:
    """The facts of each video by id: the totals over `people`, and the values of the person `about`."""
    told = {one.id: Facts() for one in videos}
    items = {one.id: one.item for one in videos}
    everybody = {*people} | ({about} if about is not None else set())
    owners = keys_of_videos(connection, told) | {key: one.id for one in videos for key in one.keys}
    found: dict[tuple[int, int], tuple[int, Play]] = {}
    for part in chunks(owners):
        for row, key in fetch_with(connection, plays_by_key(part, everybody), PlayRow, str):
            current = play_from_row(row)
            video_id = owners[key]
            if same_item(items[video_id], current.item):
                found[video_id, row.id] = (row.person_id, current)
        if about is not None:
            for key in connection.execute(loves_by_key(part, [about])).scalars():
                told[owners[key]].loved = True
    oldest_first = sorted(found.items(), key=lambda entry: (entry[1][1].started_at, entry[0]))
    for (video_id, _), (person_id, current) in oldest_first:
        add_play(told[video_id], person_id, current, counts=person_id in people, about=about)
    return told


def keys_of_videos(connection: Connection, video_ids: Iterable[int]) -> dict[str, int]:
    """The keys of videos, each mapped to its video's id."""
    owners: dict[str, int] = {}
    for part in chunks(video_ids):
        rows = connection.execute(select(video_key).where(video_key.c.video_id.in_(part)))
        owners |= {row.key: row.video_id for row in rows}
    return owners


def plays_by_key(keys: Collection[str], people: Collection[int]) -> Select[Any]:
    # By keys, not by a join with them: for a join SQLite would scan all of a person's plays.
    return (
        select(play, play_key.c.key)
        .join(play_key, play_key.c.play_id == play.c.id)
        .where(play_key.c.person_id.in_(people), play_key.c.key.in_(keys), is_present())
    )


def is_present() -> ColumnElement[bool]:
    return and_(play.c.removed_at.is_(None), play.c.kind.in_(("movie", "episode")))


def is_watched() -> ColumnElement[bool]:
    return and_(play.c.watched_at.is_not(None), play.c.unwatched_at.is_(None), play.c.removed_at.is_(None))


def loves_by_key(keys: Collection[str], people: Collection[int]) -> Select[Any]:
    return select(library_table.c.item_key).where(
        library_table.c.person_id.in_(people),
        library_table.c.relation == LOVE,
        library_table.c.item_key.in_(keys),
    )


def is_shown(connection: Connection, one: Video, people: Collection[int], name: str | None) -> bool:
    """True if the asker may know of the video.

    The address of a stream may be a secret: it is visible to the person who named it (then `name` is one of
    its keys), and to those who may see somebody who played or loves it, one of `people`.
    """
    if one.type != URL:
        return True
    known_by = keys_of_videos(connection, [one.id])
    if name in known_by:
        return True
    return any(
        connection.execute(found.limit(1)).first() is not None
        for part in chunks(known_by)
        for found in (plays_by_key(part, people), loves_by_key(part, people))
    )


def add_play(told: Facts, person_id: int, current: Play, *, counts: bool, about: int | None) -> None:
    """Add one play to the totals; called with the older plays first."""
    is_watched = current.watched_at is not None and current.unwatched_at is None
    if counts:
        told.plays += is_watched
        if current.state is not State.STOPPED:
            told.watching.add(person_id)
    if person_id == about:
        told.own_plays += is_watched
        told.latest = current


class Tops:
    """The play count of the most played item of each type, cached for half a minute."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, tuple[int, ...]], tuple[float, int]] = {}

    def top_plays(self, connection: Connection, kind: str, people: Sequence[int]) -> int:
        key = (kind, tuple(people))
        at, top = self.known.get(key, (0.0, 0))
        if not at or time.monotonic() - at > TOP_TTL:
            top = most_plays(connection, kind, people)
            self.known = {**dict(list(self.known.items())[-50:]), key: (time.monotonic(), top)}
        return top


def most_plays(connection: Connection, kind: str, people: Sequence[int]) -> int:
    counts = (
        select(func.count().label("plays"))
        .select_from(play_key)
        .join(play, play.c.id == play_key.c.play_id)
        .where(play.c.kind == KINDS_BY_TYPE[kind], play.c.person_id.in_(people), is_watched(), has_type(kind))
        .group_by(play_key.c.key)
        .subquery()
    )
    return int(connection.execute(select(func.max(counts.c.plays))).scalar() or 0)


def has_type(kind: str) -> ColumnElement[bool]:
    """Match plays of this type: a stream's play has its own server."""
    if kind == URL:
        return play.c.server == STREAMS
    return or_(play.c.server.is_(None), play.c.server != STREAMS)


# --- a person's lists


def recent(
    connection: Connection, person_id: int, kind: str | None, count: int
) -> list[tuple[WantedVideo, datetime]]:
    """The latest watched plays, the newest first, each with its time."""
    wanted = select(play).where(play.c.person_id == person_id, is_watched(), is_present())
    if kind is not None:
        wanted = wanted.where(play.c.kind == KINDS_BY_TYPE[kind], has_type(kind))
    newest_first = wanted.order_by(play.c.watched_at.desc(), play.c.id.desc()).limit(count)
    rows = fetch_all(connection, newest_first, PlayRow)
    times = [row.watched_at for row in rows if row.watched_at is not None]
    return list(zip(videos_of_plays(connection, rows), times, strict=True))


def playing_items(connection: Connection, person_id: int) -> list[WantedVideo]:
    """The items that a person has playing or paused."""
    mine = select(play).where(
        play.c.person_id == person_id, play.c.state != State.STOPPED.value, is_present()
    )
    return videos_of_plays(connection, fetch_all(connection, mine.order_by(play.c.last_at.desc()), PlayRow))


def videos_of_plays(connection: Connection, rows: Sequence[PlayRow]) -> list[WantedVideo]:
    """The items of plays, with all keys of the plays."""
    known_by: dict[int, list[str]] = {row.id: [] for row in rows}
    for part in chunks(known_by):
        keys = select(play_key.c.play_id, play_key.c.key).where(play_key.c.play_id.in_(part))
        for play_id, key in connection.execute(keys.order_by(play_key.c.key)):
            known_by[play_id].append(key)
    found = []
    for row in rows:
        item, own = item_from_json(row.item), tuple(known_by[row.id]) or (f"play:{row.id}",)
        found.append(WantedVideo(remote_ids.type_of(item, own), item, own))
    return found


def loved_items(connection: Connection, person_id: int, kind: str | None) -> list[WantedVideo]:
    """The videos that a person loves, the newest first."""
    rows = [
        row for row in library.list_entries(connection, person_id, LOVE) if row.kind in ("movie", "episode")
    ]
    found = []
    for row in sorted(rows, key=lambda row: row.at, reverse=True):
        item = item_from_json(row.item)
        of = remote_ids.type_of(item, (row.item_key,))
        keys = dict.fromkeys((row.item_key, *remote_ids.video_keys(of, item)))
        if kind in (None, of):
            found.append(WantedVideo(of, item, tuple(keys)))
    return found


# --- one person's position and love


def latest(connection: Connection, person_id: int, one: Video) -> tuple[int, Play] | None:
    """The person's latest play of a video, with its id; None if there is none or it was removed."""
    found = find_play(connection, person_id, video_event(one, Action.START, clock.now()))
    return None if found is None or found.play is None else (found.id, found.play)


def video_event(one: Video, action: Action, at: datetime, **more: Any) -> Event:
    """An event about a video."""
    server, key = remote_ids.stream_place(one.type, one.item)
    return Event(action=action, item=one.item, at=at, server=server, item_key=key, **more)


def is_loved(connection: Connection, person_id: int, one: Video) -> bool:
    return facts(connection, [one], [], person_id)[one.id].loved


def love_stream(connection: Connection, person_id: int, one: Video, love: bool, at: datetime) -> None:
    """Store or remove the love of a stream, which has no id that a tracker knows and is sent to none."""
    (key, *_) = remote_ids.video_keys(one.type, one.item)
    mine = and_(
        library_table.c.person_id == person_id,
        library_table.c.relation == LOVE,
        library_table.c.item_key == key,
    )
    connection.execute(library_table.delete().where(mine))
    if love:
        values = {"person_id": person_id, "relation": LOVE, "item_key": key, "kind": one.item.kind.value}
        connection.execute(insert(library_table), {**values, "item": item_to_json(one.item), "at": at})
