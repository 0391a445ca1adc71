"""A film with its viewings, what trackers got of each, and what its person thinks of it; shared by its page and the API."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from functools import reduce
from typing import Annotated

from pydantic import Field
from sqlalchemy import Connection, select
from typing_extensions import TypedDict

from webhook import clock
from webhook.clock import stamp
from webhook.domain.event import Ids, Movie, item_from_json
from webhook.domain.items import keys, same_item
from webhook.domain.json_shapes import IdsJson
from webhook.domain.pictures import picture_key
from webhook.domain.play import Dated
from webhook.history import library
from webhook.history.edits import Recipients
from webhook.history.play_store import SELECT_OF_ITEM, is_counted, merge_items
from webhook.history.watchlist import HAND, Watchlist
from webhook.queries.deliveries import DeliveryJson, delivery_json, fetch_deliveries, select_deliveries
from webhook.storage.json_fields import Id, PictureKey, Time, one_of
from webhook.storage.rows import fetch_all, fetch_first
from webhook.storage.tables import LibraryRow, PlayRow, delivery
from webhook.storage.tables import library as library_table
from webhook.web.http.errors import Problem
from webhook.web.http.params import clean

FILM_KEY = re.compile(r"[a-z]{2,12}:[A-Za-z0-9_-]{1,64}|title:\S{1,240}:[0-9]{4}")


def parse_film_key(key: str) -> str:
    """Parse a film's key from an address; raises Problem 404."""
    if not FILM_KEY.fullmatch(key) or not clean(key, 300):
        raise Problem(404, "There is no such film.")
    return key


class FilmViewingJson(TypedDict):
    """A viewing with the watched marks that trackers were sent."""

    id: Id
    watched_at: Time | None
    dated: Annotated[str, one_of(Dated)]
    source: str
    manual: bool
    deliveries: list[DeliveryJson]


class FilmJson(TypedDict):
    """A film as a person has watched it; its viewings, the newest first."""

    key: str
    title: str | None
    year: int | None
    ids: IdsJson
    picture: PictureKey
    runtime_ms: int | None
    rating: Annotated[float | None, Field(description="0 to 10.")]
    loved: bool
    watchlist: bool
    collected: bool
    plays: list[FilmViewingJson]


def whole_film(connection: Connection, person_id: int, key: str) -> FilmJson | None:
    """A film that the person watched, rated, loves, owns or wants to watch."""
    rows = plays_of_film(connection, person_id, key)
    item = identify_film(connection, person_id, key, rows)
    if item is None:
        return None
    entries = {
        relation: library.find_entry(connection, person_id, relation, item) for relation in library.RELATIONS
    }
    rating = entries[library.RATING]
    sent = sent_marks(connection, [row.id for row in rows])
    return {
        "key": key,
        "title": item.title,
        "year": item.year,
        "ids": item.ids.by_namespace(),
        "picture": picture_key(item),
        "runtime_ms": next((row.duration_ms for row in rows if row.duration_ms), None),
        "rating": rating.value if rating else None,
        "loved": entries[library.LOVE] is not None,
        "watchlist": Watchlist(connection, person_id, {}, clock.now()).find(item) is not None,
        "collected": entries[library.COLLECTION] is not None,
        "plays": [viewing_json(row, sent.get(row.id, [])) for row in rows if is_counted(row)],
    }


def viewing_json(row: PlayRow, sent: list[DeliveryJson]) -> FilmViewingJson:
    return {
        "id": row.id,
        "watched_at": stamp(row.watched_at),
        "dated": row.dated,
        "source": row.source,
        "manual": row.manual,
        "deliveries": sent,
    }


def plays_of_film(connection: Connection, person_id: int, key: str) -> list[PlayRow]:
    """The person's plays of the film, the newest first, also those that share only another id with this key."""
    found = plays_by_keys(connection, person_id, [library.FILM_PREFIX + key])
    items = [item_from_json(row.item) for row in found]
    wider = plays_by_keys(connection, person_id, sorted({name for item in items for name in keys(item)}))
    return [row for row in wider if any(same_item(item_from_json(row.item), item) for item in items)]


def plays_by_keys(connection: Connection, person_id: int, known: Sequence[str]) -> list[PlayRow]:
    rows = fetch_all(connection, SELECT_OF_ITEM, PlayRow, {"person": person_id, "keys": list(known)})
    return [row for row in rows if row.removed_at is None]


def identify_film(connection: Connection, person_id: int, key: str, rows: Sequence[PlayRow]) -> Movie | None:
    """The film with every id by which the person's history knows it; None if nothing is known of it."""
    items = [item_from_json(row.item) for row in rows]
    if not items:
        wanted = select(library_table).where(
            library_table.c.person_id == person_id, library_table.c.item_key == library.FILM_PREFIX + key
        )
        entry = fetch_first(connection, wanted.order_by(library_table.c.relation), LibraryRow)
        items = [item_from_json(entry.item)] if entry else []
    film = reduce(merge_items, reversed(items)) if items else None
    return film if isinstance(film, Movie) else None


def film_item(film: FilmJson) -> Movie:
    return Movie(title=film["title"], year=film["year"], ids=Ids.from_json(film["ids"]))


def set_on_watchlist(
    connection: Connection, person_id: int, film: FilmJson, can: Recipients, now: datetime, *, wanted: bool
) -> None:
    """Put a film on the person's watchlist, or take it off."""
    mine = Watchlist(connection, person_id, can, now)
    if wanted:
        mine.add(film_item(film), now, HAND)
    else:
        mine.remove(film_item(film), HAND)


def sent_marks(connection: Connection, ids: Sequence[int]) -> dict[int, list[DeliveryJson]]:
    """The latest watched mark of each play at each tracker."""
    wanted = select_deliveries().where(delivery.c.play_id.in_(ids), delivery.c.mark.is_(True))
    found: dict[int, dict[str, DeliveryJson]] = {}
    for row in fetch_deliveries(connection, wanted.order_by(delivery.c.id)):
        if row.play_id is not None:
            found.setdefault(row.play_id, {})[row.tracker] = delivery_json(row)
    return {play_id: [*marks.values()] for play_id, marks in found.items()}
