"""Writing what titles turned out to be into the plays, without counting one viewing twice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, update

from webhook.domain.event import Item, item_from_json, item_to_json
from webhook.domain.items import keys
from webhook.domain.play import State
from webhook.history.edits import store_edit
from webhook.history.past_records import distance
from webhook.history.play_records import store_records
from webhook.history.play_store import SELECT_OF_ITEM, is_counted, play_from_row, store_keys
from webhook.storage.rows import fetch_all
from webhook.storage.tables import PlayRow, play, play_key
from webhook.transfer.known_plays import Known, Memory, Record, list_of, new_record, recall_records
from webhook.transfer.matching import is_it, is_listed_with, rank, time_of
from webhook.transfer.questions import is_open, text_sources
from webhook.transfer.records import Viewing
from webhook.transfer.text_lookup import Found, TextPlay

WATCHED_PERCENT = 80.0
"""How much of a title must have been watched to count; what its record says of that is only how far it got."""


def open_plays(rows: Iterable[PlayRow]) -> list[TextPlay]:
    """The plays whose item is open, if a source that knows only titles is among theirs; else none."""
    found = [row for row in rows if row.removed_at is None and is_open(item_from_json(row.item))]
    if text_sources().isdisjoint(row.source for row in found):
        return []
    return [
        TextPlay(id=row.id, item=item_from_json(row.item), at=row.watched_at or row.last_at) for row in found
    ]


def store_answers(
    connection: Connection, rows: Sequence[PlayRow], found: Mapping[int, Found], now: datetime
) -> None:
    """Write the items into their plays; one that was watched to less than WATCHED_PERCENT becomes unfinished."""
    settled = [row for row in rows if row.id in found]
    for row in settled:
        write_item(connection, row, found[row.id].item)
        finish_or_leave(connection, row, found[row.id].minutes)
    for row in settled:
        drop_duplicate(connection, row.id, row.person_id, found[row.id].item, now)


def write_item(connection: Connection, row: PlayRow, item: Item) -> None:
    values = {"item": item_to_json(item), "kind": item.kind.value}
    connection.execute(update(play).where(play.c.id == row.id).values(values))
    connection.execute(delete(play_key).where(play_key.c.play_id == row.id))
    store_keys(connection, row.person_id, row.id, keys(item), is_new=True)


def finish_or_leave(connection: Connection, row: PlayRow, minutes: int | None) -> None:
    """Set how long the play's item runs; take the watched mark from a play that got less far than counts."""
    if not minutes or row.position_ms is None or row.source not in text_sources():
        return
    length = timedelta(minutes=minutes)
    values: dict[str, object] = {"duration_ms": int(length.total_seconds() * 1000)}
    if 100 * timedelta(milliseconds=row.position_ms) < WATCHED_PERCENT * length:
        values["watched_at"] = None
    connection.execute(update(play).where(play.c.id == row.id).values(values))


def drop_duplicate(connection: Connection, play_id: int, person_id: int, item: Item, now: datetime) -> None:
    """Remove a play that turned out to be a viewing that the history has from elsewhere; it stays known as a row."""
    if not keys(item):
        return
    rows = fetch_all(connection, SELECT_OF_ITEM, PlayRow, {"person": person_id, "keys": list(keys(item))})
    mine = next((row for row in rows if row.id == play_id), None)
    if mine is None or mine.watched_at is None:
        return
    told = Viewing(play=play_from_row(mine), foreign_key=mine.foreign_key)
    others = [
        Known(play_from_row(row), row.foreign_key, row.id)
        for row in rows
        if row.id != play_id and is_counted(row)
    ]
    same = find_duplicate(connection, told, others)
    if same is None or same.id is None:
        return
    store_edit(connection, mine, "removed", {"play": same.id}, None, now)
    values = {"removed_at": now, "state": State.STOPPED.value}
    connection.execute(update(play).where(play.c.id == play_id).values(values))
    if not is_listed_with(same, told):
        store_records(connection, person_id, [new_record(same.id, Record(told, job_id=mine.job_id))])


def find_duplicate(connection: Connection, told: Viewing, others: Sequence[Known]) -> Known | None:
    """The play that a row is too: one that is no other row of its list, and to which no other row lies nearer."""
    recall_records(connection, Memory(plays={one.id: one for one in others if one.id is not None}))
    siblings = [Viewing(play=one.play) for one in others if is_listed_with(one, told)]
    found = [one for one in others if is_it(one, told) and is_free(one, told, siblings)]
    return min(found, key=lambda one: distance(one.play, time_of(told.play)), default=None)


def is_free(known: Known, told: Viewing, siblings: Sequence[Viewing]) -> bool:
    if is_listed_with(known, told):
        return True
    nearer = any(rank(known.play, one) < rank(known.play, told) for one in siblings)
    return list_of(told.play) not in known.records and not nearer
