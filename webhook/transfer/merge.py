"""Merging viewings into the history: many at a time, none of them twice.

A viewing is known if the history has its key in the file, or a play of the same item at that time from any
source that is no other row of the list (matching.py). A known play stays as it is, except that an unfinished one
gets the file's mark and a ticked one gets its date.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from operator import attrgetter

import orjson
from sqlalchemy import Connection

from webhook.domain.event import item_to_json
from webhook.domain.items import keys
from webhook.history import library
from webhook.history.play_records import NewRecord, forget_records, store_records
from webhook.history.play_store import PLAY_FIELDS, save_play, store_keys
from webhook.history.watchlist import Watchlist, add_record, is_new
from webhook.storage.db import driver, fresh_ids
from webhook.storage.tables import play, play_key
from webhook.storage.types import Utc, to_ms
from webhook.transfer.import_changes import current, entry_before, store_changes, store_marks
from webhook.transfer.import_counts import Counts
from webhook.transfer.known_plays import EVER, Memory, new_record, span_of
from webhook.transfer.matching import Part, match_viewings
from webhook.transfer.questions import ask_about, is_open, question, search_keys
from webhook.transfer.records import FOLLOWING, Kept, Relation, Viewing


def merge_entries(
    connection: Connection,
    person_id: int,
    entries: Sequence[Viewing | Kept],
    now: datetime,
    job_id: int | None = None,
) -> Counts:
    """Merge a part of a file; returns its counts."""
    viewings = [entry for entry in entries if isinstance(entry, Viewing)]
    part = match_viewings(connection, person_id, viewings, Memory(), span_of(viewings), job_id)
    for fresh, made in zip(part.fresh, add(connection, person_id, part.new, job_id), strict=True):
        fresh.id = made
    for play_id, marked in part.marks.items():
        save_play(connection, person_id, marked, play_id)
        store_keys(connection, person_id, play_id, search_keys(marked.item))
    if job_id is not None:
        store_marks(connection, job_id, part.before, part.marks)
    forget_records(connection, part.left)
    store_records(connection, person_id, records_of(part))
    nameless = ask_about(connection, (viewing.play.item for viewing, _ in part.new), now, languages_of(part))
    wanted = Watchlist(connection, person_id, {}, now)
    kept = [
        keep(connection, person_id, entry, wanted, job_id) for entry in entries if isinstance(entry, Kept)
    ]
    return Counts(len(part.new), part.known, part.completed, sum(kept), 0, nameless)


def rehearse(
    connection: Connection, person_id: int, entries: Sequence[Viewing | Kept], memory: Memory
) -> Counts:
    """The counts of `merge_entries` after the parts in the memory, without writing anything."""
    viewings = [entry for entry in entries if isinstance(entry, Viewing)]
    part = match_viewings(connection, person_id, viewings, memory)
    nameless = sum(1 for viewing, _ in part.new if is_open(viewing.play.item))
    wanted = Watchlist(connection, person_id, {}, EVER[1])
    kept = sum(
        would_keep(connection, person_id, entry, memory, wanted)
        for entry in entries
        if isinstance(entry, Kept)
    )
    return Counts(len(part.new), part.known, part.completed, kept, 0, nameless)


def records_of(part: Part) -> list[NewRecord]:
    """The rows that plays of other sources turned out to be."""
    return [
        new_record(known.id, known.records[name])
        for (_, name), known in part.taken.items()
        if known.id is not None
    ]


def languages_of(part: Part) -> dict[str, str | None]:
    """The languages of the new plays' titles, by the keys of their lookups."""
    named = ((question(viewing.play.item), viewing.language) for viewing, _ in part.new if viewing.language)
    return {key: language for key, language in named if key is not None}


# --- new plays


PLAY_COLUMNS = ("id", "person_id", "kind", *PLAY_FIELDS, "item", "foreign_key", "job_id")
KEY_COLUMNS = ("person_id", "play_id", "key")


def add(
    connection: Connection,
    person_id: int,
    new: Sequence[tuple[Viewing, tuple[str, ...]]],
    job_id: int | None,
) -> list[int]:
    """Add the new plays; returns their ids."""
    if not new:
        return []
    ids = fresh_ids(connection, play, len(new))
    rows = [
        play_values(made, person_id, viewing, job_id) for made, (viewing, _) in zip(ids, new, strict=True)
    ]
    insert_many(connection, play.name, PLAY_COLUMNS, rows)
    known_by = [(person_id, made, key) for made, (_, known) in zip(ids, new, strict=True) for key in known]
    insert_many(connection, play_key.name, KEY_COLUMNS, known_by)
    return ids


def play_values(made: int, person_id: int, viewing: Viewing, job_id: int | None) -> tuple[object, ...]:
    """The play's row as both drivers take it, in the order of COLUMNS."""
    told = viewing.play
    values = list(FIELDS_OF(told))
    for place in TIMES:
        if (moment := values[place]) is not None:
            values[place] = to_ms(moment)
    for place in WORDS:
        values[place] = values[place].value
    item = orjson.dumps(item_to_json(told.item)).decode()
    return (made, person_id, told.item.kind.value, *values, item, viewing.foreign_key, job_id)


FIELDS_OF = attrgetter(*PLAY_FIELDS)
TIMES = tuple(place for place, name in enumerate(PLAY_FIELDS) if isinstance(play.c[name].type, Utc))
WORDS = tuple(place for place, name in enumerate(PLAY_FIELDS) if name in ("state", "dated"))


def insert_many(
    connection: Connection, table: str, columns: Sequence[str], rows: Sequence[tuple[object, ...]]
) -> None:
    """Insert through the driver itself: for a million rows SQLAlchemy's types cost more than the database."""
    own = driver(connection)
    place = "?" if own is not None else "%s"
    statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join([place] * len(columns))})"  # noqa: S608 - names of ours
    if own is not None:
        own.executemany(statement, rows)
    elif rows:
        connection.exec_driver_sql(statement, list(rows))


# --- the library


def keep(connection: Connection, person_id: int, entry: Kept, wanted: Watchlist, job_id: int | None) -> bool:
    """Keep an entry; returns True if that was new. What it was before is stored for the import's undoing."""
    place = None if job_id is None else entry_before(connection, person_id, entry)
    changed = store_relation(connection, person_id, entry, wanted)
    if place is not None and job_id is not None and changed:
        what, key, before = place
        store_changes(connection, job_id, [(what, key, before, current(connection, person_id, what, key))])
    return changed


def store_relation(connection: Connection, person_id: int, entry: Kept, wanted: Watchlist) -> bool:
    at = entry.at or wanted.now
    if entry.relation is Relation.WATCHLIST:
        return add_record(wanted, entry.item, entry.at)
    if entry.relation is Relation.FOLLOW:
        return library.follow_show(connection, person_id, entry.item, at, entry.state or FOLLOWING)
    row = library.find_entry(connection, person_id, entry.relation.value, entry.item)
    if row is not None and row.value == entry.value:
        return False  # it is known, and keeps the date that it has
    return library.store_entry(connection, person_id, entry.relation.value, entry.item, at, entry.value)


def would_keep(
    connection: Connection, person_id: int, entry: Kept, memory: Memory, wanted: Watchlist
) -> bool:
    """True if `keep` would change something after the entries before."""
    if entry.relation is Relation.WATCHLIST:
        news, key = is_new(wanted, entry.item, entry.at), next(iter(keys(entry.item)), "")
    else:
        news, key = library.is_news(
            connection, person_id, entry.relation.value, entry.item, entry.at, entry.value, entry.state
        )
    one = (entry.relation.value, key)
    if one in memory.kept:
        return False
    memory.kept.add(one)
    return news
