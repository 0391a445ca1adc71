"""The history: plays and the person's own library, read and written inside a caller's transaction."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import fields, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, delete, insert, select, update

from webhook.clock import stamp
from webhook.db import Database, fresh_ids
from webhook.event import Action, Episode, Event, Item, Movie, item_from_json, item_to_json
from webhook.items import keys, same_item
from webhook.play import (
    VIEWING,
    Change,
    Dated,
    Play,
    State,
    advance,
    begins_anew,
    closed,
    opened,
    over,
    same_viewing,
)
from webhook.tables import Utc, edit, follow, play, play_key, tick
from webhook.trackers import Held

FIELDS = tuple(entry.name for entry in fields(Play) if entry.name != "item")
NEAREST = 6
PAGE = 500


def apply(
    connection: Connection, person_id: int, event: Event, source: str, mark: float
) -> tuple[Change | None, int | None]:
    """What the event does to the person's plays, stored; the change and the play's id."""
    if event.action not in VIEWING:
        return None, None
    if event.recorded:
        return record(connection, person_id, event, source)
    before_id, before = find(connection, person_id, event) or (None, None)
    if before_id is not None and before is None:
        return None, before_id
    change = advance(before, event, mark, source)
    if change is None:
        return None, before_id
    known = before.item if before and not change.anew else None
    current = replace(change.play, item=richer(known, event.item))
    play_id = save(connection, person_id, current, None if change.anew else before_id)
    remember(connection, person_id, play_id, keys(event.item, event.server, event.item_key))
    return replace(change, play=current), play_id


def record(
    connection: Connection, person_id: int, event: Event, source: str
) -> tuple[Change | None, int | None]:
    """What a record of the past adds: nothing where the play is known, its mark where that is missing."""
    play_id, known, settled = recorded(connection, person_id, event) or (None, None, False)
    if settled or (known is not None and event.action is not Action.WATCHED):
        return None, play_id
    values = replace(known, item=richer(known.item, event.item)) if known else opened(None, event, source)
    marked = replace(
        values,
        state=State.STOPPED,
        watched_at=event.at,
        manual=event.manual,
        duration_ms=values.duration_ms or event.duration_ms,
    )
    made = save(connection, person_id, marked, play_id)
    remember(connection, person_id, made, keys(event.item, event.server, event.item_key))
    return Change(play=marked, anew=known is None, finished=True), made


def recorded(connection: Connection, person_id: int, event: Event) -> tuple[int, Play, bool] | None:
    """The play that a record of the past speaks of, and whether there is nothing to add to it, or None.

    What a person removed is still known, and what they changed also as it was.
    """
    known = keys(event.item, event.server, event.item_key)
    if not known:
        return None
    wanted = {"person": person_id, "keys": list(known)}
    found = [
        (row.id, from_row(row), row.watched_at is not None or row.removed_at is not None)
        for row in connection.execute(OF_ITEM, wanted)
    ]
    found += [(play_id, before, True) for play_id, before in before_edits(connection, person_id)
              if not set(known).isdisjoint(keys(before.item))]  # fmt: skip
    same = [
        entry for entry in found
        if same_item(entry[1].item, event.item) and same_viewing(entry[1], event.at)
    ]  # fmt: skip
    return min(same, key=lambda entry: apart(entry[1], event.at), default=None)


def apart(known: Play, at: datetime) -> tuple[bool, timedelta, bool]:
    """By how much a play lies beside a time, for the nearest of several; what was only ticked comes last."""
    latest = max(known.last_at, known.watched_at or known.last_at)
    outside = max(known.started_at - at, at - latest, timedelta(0))
    return known.dated is Dated.TICKED, outside, known.watched_at is None


def before_edits(connection: Connection, person_id: int) -> list[tuple[int, Play]]:
    """The person's plays as they were before they were given another date or item by hand."""
    return [
        (row.id, as_before(from_row(row), row.before))
        for row in connection.execute(EDITED)
        if row.person_id == person_id
    ]


def as_before(current: Play, before: Mapping[str, Any]) -> Play:
    watched_at = from_stamp(before["watched_at"])
    started_at = from_stamp(before["started_at"]) or current.started_at
    return replace(
        current, item=item_from_json(before["item"]), dated=Dated(before["dated"]), watched_at=watched_at,
        started_at=started_at, last_at=watched_at or started_at,
    )  # fmt: skip


def from_stamp(written: str | None) -> datetime | None:
    return None if written is None else datetime.fromisoformat(written)


def others(connection: Connection, person_id: int, play_id: int, now: datetime) -> list[dict[str, Any]]:
    """The person's other plays of the same item, the newest first."""
    mine = connection.execute(KEYS, {"person": person_id, "play": play_id}).scalars().all()
    rows = connection.execute(OF_ITEM.limit(NEAREST), {"person": person_id, "keys": list(mine)})
    return [described(row, now) for row in rows if row.id != play_id and row.removed_at is None]


# Built once: putting a statement together costs more than running it.
KNOWN = select(play_key.c.play_id).where(
    play_key.c.person_id == bindparam("person"), play_key.c.key.in_(bindparam("keys", expanding=True))
)
OF_ITEM = select(play).where(play.c.id.in_(KNOWN)).order_by(play.c.started_at.desc(), play.c.id.desc())
FIND = (
    select(play)
    .where(play.c.id.in_(KNOWN))
    .order_by(play.c.started_at.desc(), play.c.id.desc())
    .limit(NEAREST)
)
# Edits are few, a person's plays are many: asked by person, SQLite would go through the plays.
EDITED = (
    select(play, edit.c.before)
    .join(edit, edit.c.play_id == play.c.id)
    .where(edit.c.what.in_(("redated", "corrected")))
    .order_by(edit.c.id)
)
EARLIER = (
    select(play.c.id)
    .where(
        play.c.id.in_(KNOWN),
        play.c.id != bindparam("play"),
        play.c.watched_at < bindparam("at", type_=Utc),
        play.c.unwatched_at.is_(None),
        play.c.removed_at.is_(None),
    )
    .limit(1)
)
KEYS = select(play_key.c.key).where(
    play_key.c.person_id == bindparam("person"), play_key.c.play_id == bindparam("play")
)
ADD_PLAY, ADD_KEYS = insert(play), insert(play_key)


def find(connection: Connection, person_id: int, event: Event) -> tuple[int, Play | None] | None:
    """The person's latest play of this item, or None; no play with its id where it was removed by hand."""
    known = keys(event.item, event.server, event.item_key)
    if not known:
        return None
    for row in connection.execute(FIND, {"person": person_id, "keys": list(known)}):
        found = from_row(row)
        if not same_item(found.item, event.item):
            continue
        if event.action is Action.UNWATCHED and found.watched_at is None:
            continue  # a viewing that was only begun has no mark to take back
        if row.removed_at is None:
            return row.id, found
        if not begins_anew(found, event):
            return row.id, None  # what follows of it is of it
    return None


def by_id(connection: Connection, play_id: int) -> Play | None:
    """The play; None where there is none, or it was removed."""
    here = (play.c.id == play_id, play.c.removed_at.is_(None))
    row = connection.execute(select(play).where(*here)).first()
    return from_row(row) if row else None


def from_row(row: Row[Any]) -> Play:
    values = {name: getattr(row, name) for name in FIELDS}
    return Play(
        **{**values, "state": State(row.state), "dated": Dated(row.dated), "item": item_from_json(row.item)}
    )


def save(connection: Connection, person_id: int, current: Play, play_id: int | None) -> int:
    values = {name: getattr(current, name) for name in FIELDS}
    values |= {"state": current.state.value, "dated": current.dated.value, "item": item_to_json(current.item)}
    if play_id is not None:
        connection.execute(update(play).where(play.c.id == play_id).values(values))
        return play_id
    (made,) = fresh_ids(connection, play, 1)
    values |= {"id": made, "person_id": person_id, "kind": current.item.kind.value}
    connection.execute(ADD_PLAY, values)
    return made


def remember(connection: Connection, person_id: int, play_id: int, known: Collection[str]) -> None:
    have = connection.execute(KEYS, {"person": person_id, "play": play_id}).scalars()
    missing = set(known) - set(have)
    if missing:
        rows = [{"person_id": person_id, "play_id": play_id, "key": key} for key in sorted(missing)]
        connection.execute(ADD_KEYS, rows)


def richer(known: Item | None, told: Item) -> Item:
    """The item as told, with what was known of it before and is not told now."""
    if known is None or known.kind is not told.kind:
        return told
    values: dict[str, Any] = {}
    for entry in fields(told):
        mine, before = getattr(told, entry.name), getattr(known, entry.name)
        if entry.name in ("ids", "show_ids"):
            values[entry.name] = before.merged(mine)
        else:
            values[entry.name] = before if mine is None else mine
    return replace(told, **values)


def displaced(
    connection: Connection, person_id: int, event: Event, mark: float, besides: Collection[int]
) -> list[tuple[int, Change]]:
    """Closes what else is open on the player that starts something now; what that did, by play."""
    if event.action not in (Action.START, Action.RESUME) or not event.player_id:
        return []
    there = and_(
        play.c.person_id == person_id,
        play.c.state != State.STOPPED.value,
        play.c.server.is_(None) if event.server is None else play.c.server == event.server,
        play.c.player_id == event.player_id,
        play.c.last_at <= event.at,
        play.c.id.not_in(besides),
    )
    return [close(connection, row, mark) for row in connection.execute(select(play).where(there)).all()]


def run_out(connection: Connection, now: datetime, mark: float) -> list[tuple[int, int, Change]]:
    """Closes the plays of which no stop came though they must be over: person, play, change."""
    quiet = now - timedelta(minutes=10)
    rows = connection.execute(
        select(play).where(play.c.state != State.STOPPED.value, play.c.last_at < quiet)
    ).all()
    return [(row.person_id, *close(connection, row, mark)) for row in rows if over(from_row(row), now)]


def close(connection: Connection, row: Row[Any], mark: float) -> tuple[int, Change]:
    change = closed(from_row(row), mark)
    save(connection, row.person_id, change.play, row.id)
    return row.id, change


def earlier(
    connection: Connection, person_id: int, known: Collection[str], play_id: int, at: datetime
) -> bool:
    """Whether the person had watched this item before this play: then it is a rewatch."""
    wanted = {"person": person_id, "keys": list(known), "play": play_id, "at": at}
    return connection.execute(EARLIER, wanted).first() is not None


def watched_besides(connection: Connection, person_id: int, item: Item, play_id: int) -> bool:
    """Whether the person has watched this item in another play that counts."""
    rows = connection.execute(OF_ITEM.limit(NEAREST), {"person": person_id, "keys": list(keys(item))})
    return any(
        row.id != play_id
        and row.removed_at is None
        and row.watched_at is not None
        and row.unwatched_at is None
        and same_item(item_from_json(row.item), item)
        for row in rows
    )


def described(row: Row[Any], now: datetime) -> dict[str, Any]:
    """A play as the JSON API gives it."""
    current = from_row(row)
    item = item_to_json(current.item)
    unsaid = current.unsaid
    return {
        "id": row.id,
        **{
            name: item.get(name)
            for name in ("kind", "title", "show", "season", "number", "year", "ids", "show_ids")
        },
        "artist": item.get("artist"),
        "album": item.get("album"),
        "state": current.state.value,
        "started_at": stamp(current.started_at),
        "last_at": stamp(current.last_at),
        "watched_at": stamp(current.watched_at),
        "unwatched_at": stamp(current.unwatched_at),
        "position_ms": None if unsaid else current.position(now),
        "duration_ms": current.duration_ms,
        "progress": None if unsaid else current.percent(now),
        "estimated": not unsaid and (current.estimated or current.state is State.PLAYING),
        "manual": current.manual,
        "dated": current.dated.value,
        "source": current.source,
        "server": current.server,
        "player": current.player,
        "library": current.library,
    }


# --- the built-in TV Time library


class Shelf:
    """One person's built-in TV Time library: what they follow and have marked watched."""

    def __init__(self, database: Database, person_id: int) -> None:
        self.database = database
        self.person_id = person_id

    async def mark(self, item: Item, at: datetime, *, rewatch: bool) -> str:
        return await self.database.write(marked, (self.person_id, item, at, rewatch))

    async def unmark(self, item: Item) -> str:
        return await self.database.write(unmarked, (self.person_id, item))

    async def held(self, since: datetime | None = None) -> AsyncIterator[Held]:
        """Every mark, with the time of its last viewing."""
        after: str | None = ""
        while after is not None:
            rows = await self.database.read(
                partial(ticked, person_id=self.person_id, since=since, after=after)
            )
            for row in rows:
                yield Held(item=item_from_json(row.item), at=row.watched_at)
            after = rows[-1].item_key if len(rows) == PAGE else None


def ticked(connection: Connection, person_id: int, since: datetime | None, after: str) -> list[Row[Any]]:
    """A page of the marks, in the order of their keys."""
    found = select(tick.c.item_key, tick.c.item, tick.c.watched_at)
    found = found.where(tick.c.person_id == person_id, tick.c.item_key > after)
    if since is not None:
        found = found.where(tick.c.watched_at >= since)
    return list(connection.execute(found.order_by(tick.c.item_key).limit(PAGE)))


def marked(connection: Connection, wanted: list[tuple[int, Item, datetime, bool]]) -> list[str]:
    return [mark_one(connection, *entry) for entry in wanted]


def mark_one(connection: Connection, person_id: int, item: Item, at: datetime, rewatch: bool) -> str:
    key, show_key = shelf_keys(item)
    here = and_(tick.c.person_id == person_id, tick.c.item_key == key)
    row = connection.execute(select(tick.c.watched_at, tick.c.rewatches).where(here)).first()
    if row is None:
        values = {"person_id": person_id, "item_key": key, "show_key": show_key, "kind": item.kind.value}
        connection.execute(
            insert(tick), {**values, "item": item_to_json(item), "watched_at": at, "rewatches": 0}
        )
        followed = show_key is not None and follow_one(connection, person_id, item, show_key, at)
        return "marked watched in the built-in library" + (", show followed" if followed else "")
    # The time tells a second viewing from a delivery that is made again after a crash.
    if rewatch and at > row.watched_at:
        connection.execute(update(tick).where(here).values(watched_at=at, rewatches=row.rewatches + 1))
        return "marked as watched again in the built-in library"
    return "already marked watched in the built-in library"


def follow_one(connection: Connection, person_id: int, item: Item, show_key: str, at: datetime) -> bool:
    assert isinstance(item, Episode)
    here = and_(follow.c.person_id == person_id, follow.c.show_key == show_key)
    if connection.execute(select(follow.c.show_key).where(here)).first():
        return False
    values = {"person_id": person_id, "show_key": show_key, "show": item.show, "ids": item.show_ids.known()}
    connection.execute(insert(follow), {**values, "followed_at": at})
    return True


def unmarked(connection: Connection, wanted: list[tuple[int, Item]]) -> list[str]:
    return [unmark_one(connection, *entry) for entry in wanted]


def unmark_one(connection: Connection, person_id: int, item: Item) -> str:
    key, _ = shelf_keys(item)
    gone = connection.execute(delete(tick).where(tick.c.person_id == person_id, tick.c.item_key == key))
    return "unmarked in the built-in library" if gone.rowcount else "was not marked in the built-in library"


def shelf_keys(item: Item) -> tuple[str, str | None]:
    """The library's key of an item and of its show: TheTVDB ids, as TV Time counted, else what is known."""
    if isinstance(item, Episode):
        show = item.show_ids.tvdb
        title = "".join(letter for letter in (item.show or "").casefold() if letter.isalnum())
        show_key = f"tvdb:{show}" if show is not None else (f"title:{title}" if title else None)
        own = f"tvdb:{item.ids.tvdb}" if item.ids.tvdb is not None else keys(item)[0]
        return own, show_key
    assert isinstance(item, Movie)
    return keys(item)[0] if keys(item) else f"movie:title:{item.title}", None
