"""The library: what a person follows, has rated, loves, has on the watchlist or owns; inside a caller's transaction."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, delete, insert, select, update

from webhook.event import Action, Episode, Event, Ids, Item, Show, item_to_json
from webhook.play import folded, keys
from webhook.tables import follow, library

WATCHLIST, RATING, LOVE, COLLECTION = "watchlist", "rating", "love", "collection"
RELATIONS = (WATCHLIST, RATING, LOVE, COLLECTION)
FOLLOWING = "following"

GIVEN = {Action.RATE: RATING, Action.FAVOURITE: LOVE, Action.ADD: COLLECTION}
TAKEN = {Action.UNRATE: RATING, Action.UNFAVOURITE: LOVE}


def apply(connection: Connection, person_id: int, event: Event) -> None:
    """What a rating, a favourite or an addition changes in the person's library."""
    if relation := GIVEN.get(event.action):
        put(connection, person_id, relation, event.item, event.at, event.rating)
    elif relation := TAKEN.get(event.action):
        take(connection, person_id, relation, event.item, event.at)


def put(
    connection: Connection,
    person_id: int,
    relation: str,
    item: Item,
    at: datetime,
    value: float | None = None,
) -> bool:
    """Whether that was news; what the library says since a later time stays. `value` is a rating, 0-10."""
    row = found(connection, person_id, relation, item)
    if row is None:
        known = keys(item)
        if not known:
            return False
        values = {"person_id": person_id, "relation": relation, "item_key": known[0], "kind": item.kind.value}
        connection.execute(insert(library), {**values, "item": item_to_json(item), "value": value, "at": at})
        return True
    if row.at > at or row.value == value:
        return False
    connection.execute(update(library).where(*same(row)).values(value=value, at=at))
    return True


def take(connection: Connection, person_id: int, relation: str, item: Item, at: datetime) -> bool:
    """Whether it was there to take out, since before that time."""
    row = found(connection, person_id, relation, item)
    if row is None or row.at > at:
        return False
    connection.execute(delete(library).where(*same(row)))
    return True


def found(connection: Connection, person_id: int, relation: str, item: Item) -> Any:
    mine = and_(library.c.person_id == person_id, library.c.relation == relation)
    return connection.execute(select(library).where(mine, library.c.item_key.in_(keys(item)))).first()


def same(row: Any) -> tuple[Any, ...]:
    return (
        library.c.person_id == row.person_id,
        library.c.relation == row.relation,
        library.c.item_key == row.item_key,
    )


def entries(connection: Connection, person_id: int, relation: str | None = None) -> Iterator[Any]:
    """The person's entries, one relation after the other, the oldest first."""
    wanted = select(library).where(library.c.person_id == person_id)
    if relation is not None:
        wanted = wanted.where(library.c.relation == relation)
    yield from connection.execute(wanted.order_by(library.c.relation, library.c.at, library.c.item_key))


# --- followed shows


def show_key(title: str | None, ids: Ids) -> str | None:
    """What a show is known by here: its TheTVDB id, as TV Time counted, else its title."""
    if ids.tvdb is not None:
        return f"tvdb:{ids.tvdb}"
    return f"title:{folded(title)}" if title else None


def show_key_of(item: Item) -> str | None:
    match item:
        case Episode():
            return show_key(item.show, item.show_ids)
        case Show():
            return show_key(item.title, item.ids)
    return None


def follow_show(
    connection: Connection, person_id: int, show: Item, at: datetime, state: str = FOLLOWING
) -> bool:
    """Follow a show, or say in which state it is followed; whether that was news."""
    key = show_key_of(show)
    if key is None:
        return False
    here = and_(follow.c.person_id == person_id, follow.c.show_key == key)
    row = connection.execute(select(follow).where(here)).first()
    if row is None:
        title, ids = (show.show, show.show_ids) if isinstance(show, Episode) else (show.title, show.ids)
        values = {"person_id": person_id, "show_key": key, "show": title, "ids": ids.known(), "state": state}
        connection.execute(insert(follow), {**values, "followed_at": at})
        return True
    if row.state == state:
        return False
    connection.execute(update(follow).where(here).values(state=state))
    return True


def unfollow_show(connection: Connection, person_id: int, key: str) -> bool:
    here = and_(follow.c.person_id == person_id, follow.c.show_key == key)
    return bool(connection.execute(delete(follow).where(here)).rowcount)


def follows(connection: Connection, person_id: int) -> list[Any]:
    mine = select(follow).where(follow.c.person_id == person_id)
    return list(connection.execute(mine.order_by(follow.c.followed_at, follow.c.show_key)))
