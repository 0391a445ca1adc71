"""The shelf: a person's built-in TV Time library of followed shows and watched marks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from functools import partial
from typing import NamedTuple

from sqlalchemy import Connection, and_, bindparam, delete, insert, select, update

from webhook.domain.event import Episode, Item, Movie, item_from_json, item_to_json
from webhook.domain.items import keys
from webhook.domain.json_shapes import ItemJson
from webhook.storage.db import Database
from webhook.storage.prepared import Prepared
from webhook.storage.rows import fetch_all, fetch_first
from webhook.storage.tables import follow, tick
from webhook.trackers import WatchedItem

MARKS_PER_READ = 500


class Mark(NamedTuple):
    """A watched mark of the library."""

    item_key: str
    item: ItemJson
    watched_at: datetime


class Shelf:
    """One person's built-in TV Time library: followed shows and watched marks."""

    def __init__(self, database: Database, person_id: int) -> None:
        self.database = database
        self.person_id = person_id

    async def mark(self, item: Item, at: datetime, *, rewatch: bool) -> str:
        return await self.database.write(mark_items, (self.person_id, item, at, rewatch))

    async def unmark(self, item: Item) -> str:
        return await self.database.write(unmark_items, (self.person_id, item))

    async def history(self, since: datetime | None = None) -> AsyncIterator[WatchedItem]:
        """Every mark, with the time of its last viewing."""
        after: str | None = ""
        while after is not None:
            rows = await self.database.read(
                partial(list_marks, person_id=self.person_id, since=since, after=after)
            )
            for row in rows:
                yield WatchedItem(item=item_from_json(row.item), at=row.watched_at)
            after = rows[-1].item_key if len(rows) == MARKS_PER_READ else None


def list_marks(connection: Connection, person_id: int, since: datetime | None, after: str) -> list[Mark]:
    """A page of the marks, in the order of their keys."""
    found = select(tick.c.item_key, tick.c.item, tick.c.watched_at)
    found = found.where(tick.c.person_id == person_id, tick.c.item_key > after)
    if since is not None:
        found = found.where(tick.c.watched_at >= since)
    return fetch_all(connection, found.order_by(tick.c.item_key).limit(MARKS_PER_READ), Mark)


def mark_items(connection: Connection, wanted: list[tuple[int, Item, datetime, bool]]) -> list[str]:
    return [mark_item(connection, *entry) for entry in wanted]


class MarkDates(NamedTuple):
    """The date of a mark's last viewing, and the number of its rewatches."""

    watched_at: datetime
    rewatches: int


IS_MARK = and_(tick.c.person_id == bindparam("person"), tick.c.item_key == bindparam("key"))
IS_FOLLOW = and_(follow.c.person_id == bindparam("person"), follow.c.show_key == bindparam("key"))
# Built once: building a statement costs more than executing it.
SELECT_MARK = Prepared(select(tick.c.watched_at, tick.c.rewatches).where(IS_MARK))
SELECT_FOLLOW = Prepared(select(follow.c.show_key).where(IS_FOLLOW))
ADD_MARK, ADD_FOLLOW = Prepared(insert(tick)), Prepared(insert(follow))


def mark_item(connection: Connection, person_id: int, item: Item, at: datetime, rewatch: bool) -> str:
    key, show_key = shelf_keys(item)
    row = fetch_first(connection, SELECT_MARK, MarkDates, {"person": person_id, "key": key})
    if row is None:
        values: dict[str, object] = {"person_id": person_id, "item_key": key, "show_key": show_key}
        values |= {"kind": item.kind.value}
        values |= {"item": item_to_json(item), "watched_at": at, "rewatches": 0}
        ADD_MARK.execute(connection, values)
        followed = show_key is not None and follow_show_of(connection, person_id, item, show_key, at)
        return "marked watched in the built-in library" + (", show followed" if followed else "")
    # The time tells a second viewing from a delivery that is made again after a crash.
    if rewatch and at > row.watched_at:
        here = and_(tick.c.person_id == person_id, tick.c.item_key == key)
        connection.execute(update(tick).where(here).values(watched_at=at, rewatches=row.rewatches + 1))
        return "marked as watched again in the built-in library"
    return "already marked watched in the built-in library"


def follow_show_of(connection: Connection, person_id: int, item: Item, show_key: str, at: datetime) -> bool:
    assert isinstance(item, Episode)
    if SELECT_FOLLOW.rows(connection, {"person": person_id, "key": show_key}):
        return False
    values = {
        "person_id": person_id,
        "show_key": show_key,
        "show": item.show,
        "ids": item.show_ids.by_namespace(),
    }
    ADD_FOLLOW.execute(connection, {**values, "followed_at": at})
    return True


def unmark_items(connection: Connection, wanted: list[tuple[int, Item]]) -> list[str]:
    return [unmark_item(connection, *entry) for entry in wanted]


def unmark_item(connection: Connection, person_id: int, item: Item) -> str:
    key, _ = shelf_keys(item)
    gone = connection.execute(delete(tick).where(tick.c.person_id == person_id, tick.c.item_key == key))
    return "unmarked in the built-in library" if gone.rowcount else "was not marked in the built-in library"


def shelf_keys(item: Item) -> tuple[str, str | None]:
    """The library's keys of an item and of its show: TheTVDB ids as in TV Time, else any known id."""
    if isinstance(item, Episode):
        show = item.show_ids.tvdb
        title = "".join(letter for letter in (item.show or "").casefold() if letter.isalnum())
        show_key = f"tvdb:{show}" if show is not None else (f"title:{title}" if title else None)
        own = f"tvdb:{item.ids.tvdb}" if item.ids.tvdb is not None else keys(item)[0]
        return own, show_key
    assert isinstance(item, Movie)
    return keys(item)[0] if keys(item) else f"movie:title:{item.title}", None
