"""The library: a person's followed, rated, loved, wanted and owned items; runs in the caller's transaction."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field
from sqlalchemy import ColumnElement, Connection, Select, Table, and_, delete, insert, select, update

from webhook.clock import stamp
from webhook.domain.event import (
    Action,
    Episode,
    Event,
    Ids,
    Item,
    Kind,
    Movie,
    Show,
    item_from_json,
    item_to_json,
)
from webhook.domain.items import fold_title, keys
from webhook.domain.json_shapes import IdsJson
from webhook.domain.pictures import picture_key
from webhook.storage.json_fields import ItemFields, PictureKey, Time, one_of
from webhook.storage.rows import fetch_all, fetch_first, fetch_with
from webhook.storage.tables import FollowRow, LibraryRow, follow, library, person

WATCHLIST, RATING, LOVE, COLLECTION = "watchlist", "rating", "love", "collection"
RELATIONS = (WATCHLIST, RATING, LOVE, COLLECTION)
FOLLOW = "follow"
FOLLOWING = "following"
FILM_PREFIX = f"{Kind.MOVIE}:"


class LibraryEntryJson(ItemFields):
    """An entry of the library as the API gives it; `value` is a rating, `state` is that of a followed show."""

    person: str
    relation: Annotated[str, one_of((FOLLOW, *RELATIONS))]
    key: str
    artist: str | None
    album: str | None
    ids: IdsJson | None
    show_ids: IdsJson | None
    picture: PictureKey
    at: Time | None
    value: Annotated[float | None, Field(description="A rating, 0 to 10.")]
    state: Annotated[str | None, Field(description="Of a followed show.")]


SETTING_ACTIONS = {Action.RATE: RATING, Action.FAVOURITE: LOVE, Action.ADD: COLLECTION}
ENDING_ACTIONS = {Action.UNRATE: RATING, Action.UNFAVOURITE: LOVE}


def apply(connection: Connection, person_id: int, event: Event) -> None:
    """Apply a rating, a favourite or an addition to the person's library."""
    if relation := SETTING_ACTIONS.get(event.action):
        store_entry(connection, person_id, relation, event.item, event.at, event.rating)
    elif relation := ENDING_ACTIONS.get(event.action):
        remove_entry(connection, person_id, relation, event.item, event.at)


def store_entry(
    connection: Connection,
    person_id: int,
    relation: str,
    item: Item,
    at: datetime,
    value: float | None = None,
) -> bool:
    """Store an entry; returns True if it was new. A newer entry stays. `value` is a rating, 0-10."""
    row = find_entry(connection, person_id, relation, item)
    if row is None:
        known = keys(item)
        if not known:
            return False
        values = {"person_id": person_id, "relation": relation, "item_key": known[0], "kind": item.kind.value}
        connection.execute(insert(library), {**values, "item": item_to_json(item), "value": value, "at": at})
        return True
    if row.at > at:
        return False
    connection.execute(update(library).where(*is_entry(row)).values(value=value, at=at))
    return bool(row.value != value)


def is_news(
    connection: Connection,
    person_id: int,
    relation: str,
    item: Item,
    at: datetime | None,
    value: float | None = None,
    state: str | None = None,
) -> tuple[bool, str]:
    """True if an entry would be new, with its key; nothing is written, and no time means now."""
    if relation == FOLLOW:
        show = show_key_of(item)
        followed = None if show is None else find_follow(connection, person_id, show)
        return show is not None and (followed is None or followed.state != (state or FOLLOWING)), show or ""
    row = find_entry(connection, person_id, relation, item)
    if row is None:
        return bool(keys(item)), next(iter(keys(item)), "")
    return (at is None or row.at <= at) and row.value != value, row.item_key


def remove_entry(connection: Connection, person_id: int, relation: str, item: Item, at: datetime) -> bool:
    """Remove an entry that is not newer than the time; returns True if there was one."""
    row = find_entry(connection, person_id, relation, item)
    if row is None or row.at > at:
        return False
    connection.execute(delete(library).where(*is_entry(row)))
    return True


def find_entry(connection: Connection, person_id: int, relation: str, item: Item) -> LibraryRow | None:
    """The person's entry for the item, by any of its keys."""
    mine = and_(library.c.person_id == person_id, library.c.relation == relation)
    wanted = select(library).where(mine, library.c.item_key.in_(keys(item)))
    return fetch_first(connection, wanted, LibraryRow)


def entry_by_key(connection: Connection, person_id: int, relation: str, key: str) -> LibraryRow | None:
    """The person's entry with this very key."""
    mine = and_(library.c.person_id == person_id, library.c.relation == relation)
    return fetch_first(connection, select(library).where(mine, library.c.item_key == key), LibraryRow)


def is_entry(row: LibraryRow) -> tuple[ColumnElement[bool], ...]:
    """The condition that selects this entry."""
    return (
        library.c.person_id == row.person_id,
        library.c.relation == row.relation,
        library.c.item_key == row.item_key,
    )


def list_entries(connection: Connection, person_id: int, relation: str | None = None) -> list[LibraryRow]:
    """The person's entries, one relation after the other, the oldest first."""
    wanted = select(library).where(library.c.person_id == person_id)
    if relation is not None:
        wanted = wanted.where(library.c.relation == relation)
    order = (library.c.relation, library.c.at, library.c.item_key)
    return fetch_all(connection, wanted.order_by(*order), LibraryRow)


# --- followed shows


def show_key(title: str | None, ids: Ids) -> str | None:
    """The key of a show: its TheTVDB id, as TV Time counted, else its title."""
    if ids.tvdb is not None:
        return f"tvdb:{ids.tvdb}"
    return f"title:{fold_title(title)}" if title else None


def show_key_of(item: Item) -> str | None:
    match item:
        case Episode():
            return show_key(item.show, item.show_ids)
        case Show():
            return show_key(item.title, item.ids)
    return None


def film_key(item: Item) -> str | None:
    """The key of a film's page: its surest id, else its title and year."""
    known = keys(item) if isinstance(item, Movie) else ()
    return known[0].removeprefix(FILM_PREFIX) if known else None


def follow_show(
    connection: Connection, person_id: int, show: Item, at: datetime, state: str = FOLLOWING
) -> bool:
    """Follow a show or change its follow state; returns True if that was new."""
    key = show_key_of(show)
    if key is None:
        return False
    here = and_(follow.c.person_id == person_id, follow.c.show_key == key)
    row = find_follow(connection, person_id, key)
    if row is None:
        title, ids = (show.show, show.show_ids) if isinstance(show, Episode) else (show.title, show.ids)
        values = {
            "person_id": person_id,
            "show_key": key,
            "show": title,
            "ids": ids.by_namespace(),
            "state": state,
        }
        connection.execute(insert(follow), {**values, "followed_at": at})
        return True
    if row.state == state:
        return False
    connection.execute(update(follow).where(here).values(state=state))
    return True


def find_follow(connection: Connection, person_id: int, key: str) -> FollowRow | None:
    """The person's follow of the show with this key."""
    here = and_(follow.c.person_id == person_id, follow.c.show_key == key)
    return fetch_first(connection, select(follow).where(here), FollowRow)


def unfollow_show(connection: Connection, person_id: int, key: str) -> bool:
    here = and_(follow.c.person_id == person_id, follow.c.show_key == key)
    return bool(connection.execute(delete(follow).where(here)).rowcount)


def list_follows(connection: Connection, person_id: int) -> list[FollowRow]:
    """The shows that the person follows, the oldest first."""
    mine = (
        select(follow)
        .where(follow.c.person_id == person_id)
        .order_by(follow.c.followed_at, follow.c.show_key)
    )
    return fetch_all(connection, mine, FollowRow)


# --- all of it


def list_library(
    connection: Connection, person_id: int | None = None, relation: str | None = None
) -> list[LibraryEntryJson]:
    """The library entries of everybody or of one person, the newest first, as the API gives them."""
    shown: list[LibraryEntryJson] = []
    if relation in (None, FOLLOW):
        shown += [
            follow_json(*pair)
            for pair in fetch_with(connection, of_person(follow, person_id), FollowRow, str)
        ]
    if relation != FOLLOW:
        wanted = of_person(library, person_id)
        wanted = wanted if relation is None else wanted.where(library.c.relation == relation)
        shown += [entry_json(*pair) for pair in fetch_with(connection, wanted, LibraryRow, str)]
    return sorted(shown, key=lambda entry: (entry["at"], entry["relation"], entry["key"]), reverse=True)


def of_person(table: Table, person_id: int | None) -> Select[Any]:
    wanted = select(table, person.c.name.label("person")).join(person, table.c.person_id == person.c.id)
    return wanted if person_id is None else wanted.where(table.c.person_id == person_id)


def follow_json(row: FollowRow, person_name: str) -> LibraryEntryJson:
    """A followed show as the API gives it."""
    return {
        "person": person_name,
        "relation": FOLLOW,
        "key": row.show_key,
        "kind": "show",
        "title": row.show,
        "show": None,
        "season": None,
        "number": None,
        "year": None,
        "artist": None,
        "album": None,
        "ids": row.ids,
        "show_ids": None,
        "picture": picture_key(Show(title=row.show, ids=Ids.from_json(row.ids))),
        "at": stamp(row.followed_at),
        "value": None,
        "state": row.state,
    }


def entry_json(row: LibraryRow, person_name: str) -> LibraryEntryJson:
    """A library entry as the API gives it."""
    return {
        "person": person_name,
        "relation": row.relation,
        "key": row.item_key,
        "kind": row.kind,
        "title": row.item.get("title"),
        "show": row.item.get("show"),
        "season": row.item.get("season"),
        "number": row.item.get("number"),
        "year": row.item.get("year"),
        "artist": row.item.get("artist"),
        "album": row.item.get("album"),
        "ids": row.item.get("ids"),
        "show_ids": row.item.get("show_ids"),
        "picture": picture_key(item_from_json(row.item)),
        "at": stamp(row.at),
        "value": row.value,
        "state": None,
    }
