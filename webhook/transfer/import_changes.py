"""What an import changed besides the plays that it added, stored as it was before, so that it can be undone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import TypeAdapter
from sqlalchemy import Connection, insert

from webhook.clock import stamp
from webhook.domain.event import Item
from webhook.domain.items import keys
from webhook.domain.play import Play
from webhook.history import library
from webhook.storage.db import fresh_ids
from webhook.storage.json_shapes import ImportChangeJson
from webhook.storage.tables import import_change
from webhook.transfer.records import Kept, Relation

PLAY, FOLLOW, ENTRY = "play", "follow", "library"
"""What was changed: a play, a followed show, or an entry of the library."""

StoredChange = tuple[str, str, ImportChangeJson | None, ImportChangeJson | None]
"""What was changed, its place there, and how it was before and is after."""

PLAYS = TypeAdapter(Play)


def play_json(play: Play) -> ImportChangeJson:
    found: ImportChangeJson = PLAYS.dump_python(play, mode="json")
    return found


def store_marks(
    connection: Connection, job_id: int, before: Mapping[int, Play], after: Mapping[int, Play]
) -> None:
    """Store the plays that got a mark or a date."""
    rows = [(PLAY, str(play_id), play_json(before[play_id]), play_json(after[play_id])) for play_id in after]
    store_changes(connection, job_id, rows)


def entry_before(
    connection: Connection, person_id: int, entry: Kept
) -> tuple[str, str, ImportChangeJson | None] | None:
    """What a library entry is before it is kept, with its place; None for one that has no key."""
    if entry.relation is Relation.FOLLOW:
        key = library.show_key_of(entry.item)
        return None if key is None else (FOLLOW, key, follow_now(connection, person_id, key))
    key = entry_key(connection, person_id, entry.relation.value, entry.item)
    place = None if key is None else f"{entry.relation.value}:{key}"
    return None if place is None else (ENTRY, place, entry_now(connection, person_id, place))


def entry_key(connection: Connection, person_id: int, relation: str, item: Item) -> str | None:
    row = library.find_entry(connection, person_id, relation, item)
    return row.item_key if row is not None else next(iter(keys(item)), None)


def follow_now(connection: Connection, person_id: int, key: str) -> ImportChangeJson | None:
    row = library.find_follow(connection, person_id, key)
    return None if row is None else {"state": row.state}


def entry_now(connection: Connection, person_id: int, place: str) -> ImportChangeJson | None:
    relation, _, key = place.partition(":")
    row = library.entry_by_key(connection, person_id, relation, key)
    return None if row is None else {"value": row.value, "at": stamp(row.at)}


def current(connection: Connection, person_id: int, what: str, place: str) -> ImportChangeJson | None:
    """A followed show or a library entry as it is now; None if it is not there."""
    return (follow_now if what == FOLLOW else entry_now)(connection, person_id, place)


def store_changes(
    connection: Connection,
    job_id: int,
    changes: Sequence[StoredChange],
) -> None:
    if not changes:
        return
    ids = fresh_ids(connection, import_change, len(changes))
    rows = [
        {"id": made, "job_id": job_id, "what": what, "key": key, "before": before, "after": after}
        for made, (what, key, before, after) in zip(ids, changes, strict=True)
    ]
    connection.execute(insert(import_change), rows)
