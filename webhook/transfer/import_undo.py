"""Undoing a whole import: its plays go, and what it changed is as it was before; in parts, so that webhooks go on.

A play of which a tracker has a mark is taken back there too. What changed since by hand or by watching stays as it
is now, and a play that a webhook or another list also reported stays as those report it. Afterwards the history knows nothing of the file: imported again, everything is added again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from sqlalchemy import Connection, and_, delete, exists, select, update
from typing_extensions import TypedDict

from webhook import clock
from webhook.domain.event import item_from_json
from webhook.domain.play import Dated, Play
from webhook.history import edits
from webhook.history.edits import Tellers
from webhook.history.past_records import parse_stamp
from webhook.history.play_records import find_records, forget_records
from webhook.history.play_store import play_from_row, save_play
from webhook.queues import jobs
from webhook.storage.db import Database
from webhook.storage.json_fields import Count
from webhook.storage.rows import fetch_all, fetch_first
from webhook.storage.tables import (
    ImportChangeRow,
    JobRow,
    PlayRow,
    delivery,
    edit,
    follow,
    import_change,
    job,
    library,
    play,
    play_key,
    play_record,
    unresolved,
)
from webhook.transfer.import_changes import FOLLOW, PLAY, PLAYS, current, play_json
from webhook.transfer.lookup_queue import plays_of
from webhook.transfer.questions import is_open, question, search_keys
from webhook.transfer.reported_plays import Reports, remaining_play

PART = 200
"""The plays of one transaction."""

NOT_OVER = "it is still running; cancel it first"
NO_IMPORT = "only an import can be undone"
ANYTHING_ELSE = "it has been undone already"


class NoUndo(Exception):
    """The job cannot be undone; the message is for the person."""


class UndoneJson(TypedDict):
    """What undoing an import came to."""

    removed: Count
    restored: Count
    left: Count


@dataclass(slots=True)
class UndoCounts:
    """The plays removed, the changes put back, and what stays since it changed afterwards."""

    removed: int = 0
    restored: int = 0
    left: int = 0

    def plus(self, other: UndoCounts) -> UndoCounts:
        return UndoCounts(
            self.removed + other.removed, self.restored + other.restored, self.left + other.left
        )

    def to_json(self) -> UndoneJson:
        return {"removed": self.removed, "restored": self.restored, "left": self.left}


@dataclass(frozen=True, kw_only=True, slots=True)
class Undoing:
    """An import that is undone, by whom, with the trackers and what webhooks reported; `mark` is the watched mark."""

    job_id: int
    can: Tellers
    by: str | None
    mark: float
    reports: Reports


async def undo(database: Database, job_id: int, can: Tellers, by: str | None, mark: float) -> UndoCounts:
    """Undo an import; raises NoUndo. Stopped half-way, it goes on when it is asked for again."""
    row = await database.read(lambda connection: find_import(connection, job_id))
    undoing = Undoing(job_id=job_id, can=can, by=by, mark=mark, reports=Reports(row.created_at))
    while await database.read(undoing.reports.read_on):
        pass
    total = UndoCounts()
    after = 0
    while True:
        found = await database.run(partial(undo_part, undoing=undoing, after=after))
        counts, last = found
        total = total.plus(counts)
        if last is None:
            break
        after = last
    return total.plus(await database.run(partial(finish_undo, job_id=job_id, can=can, by=by)))


def find_import(connection: Connection, job_id: int) -> JobRow:
    """The import that can be undone; raises NoUndo."""
    row = jobs.find_job(connection, job_id)
    if row is None or row.kind != jobs.JobKind.IMPORT:
        raise NoUndo(NO_IMPORT)
    if row.state == jobs.JobState.RUNNING:
        raise NoUndo(NOT_OVER)
    if row.undone_at is not None:
        raise NoUndo(ANYTHING_ELSE)
    return row


# --- plays


def undo_part(connection: Connection, *, undoing: Undoing, after: int) -> tuple[UndoCounts, int | None]:
    """Remove the next plays of an import; returns their counts, and the last of them or None at the end."""
    job_id = undoing.job_id
    wanted = select(play).where(play.c.job_id == job_id, play.c.id > after).order_by(play.c.id).limit(PART)
    rows = fetch_all(connection, wanted, PlayRow)
    if not rows:
        return UndoCounts(), None
    ids = [row.id for row in rows]
    told = set(connection.execute(select(delivery.c.play_id).where(delivery.c.play_id.in_(ids))).scalars())
    stays = merged_plays(connection, ids)
    stays |= {
        row.id
        for row in keep_other_reports(connection, [row for row in rows if row.id not in stays], told, undoing)
    }
    gone = [row for row in rows if row.id not in told | stays]
    connection.execute(delete(play).where(play.c.id.in_([row.id for row in gone])))
    for row in rows:
        if row.id in told - stays:
            remove_sent_play(connection, row, undoing.can, undoing.by)
    forget_questions(connection, gone)
    return UndoCounts(removed=len(rows) - len(stays), left=len(stays)), ids[-1]


def merged_plays(connection: Connection, ids: Sequence[int]) -> set[int]:
    """The plays with which another one was merged by hand."""
    wanted = select(edit.c.play_id).where(edit.c.play_id.in_(ids), edit.c.what == "merged")
    return set(connection.execute(wanted).scalars())


def keep_other_reports(
    connection: Connection, rows: Sequence[PlayRow], told: Collection[int], undoing: Undoing
) -> list[PlayRow]:
    """Keep the plays that are known without the import too, as they are then; returns them."""
    undoing.reports.read_all(connection)  # what came since the part before
    others = defaultdict(list)
    for record in find_records(connection, [row.id for row in rows]):
        if record.job_id != undoing.job_id:
            others[record.play_id].append(record)
    kept = []
    for row in rows:
        webhook_ids, records = undoing.reports.webhooks.get(row.id, ()), others[row.id]
        remaining = None
        if webhook_ids or records:
            remaining = remaining_play(connection, row, webhook_ids, records, undoing.mark)
        if remaining is not None:
            values: dict[str, object] = {"foreign_key": None, "job_id": None}
            if not webhook_ids:  # it is a row of the other list from now on
                forget_records(connection, [records[0].id])
                values = {"foreign_key": records[0].key, "job_id": records[0].job_id}
            connection.execute(update(play).where(play.c.id == row.id).values(values))
            restate_play(connection, row, remaining, undoing, is_told=row.id in told)
            kept.append(row)
    return kept


def restate_play(
    connection: Connection, row: PlayRow, remaining: Play, undoing: Undoing, *, is_told: bool
) -> None:
    """Give a play what is known of it without the import.

    What a person changed stays; so does the date that trackers have, unless it is no viewing now.
    """
    if row.removed_at is not None or edits.edits_of_play(connection, row.id):
        return
    if is_told and remaining.watched_at is None:
        made = edits.store_edit(connection, row, "redated", play_json(remaining), undoing.by, clock.now())
        edits.undo_marks(connection, row, made, undoing.can, clock.now(), leaves=False)
    elif is_told:
        remaining = replace(remaining, watched_at=row.watched_at, dated=Dated(row.dated))
    save_play(connection, row.person_id, remaining, row.id)
    forget_keys(connection, row, remaining)


def forget_keys(connection: Connection, row: PlayRow, now: Play) -> None:
    """Forget the keys that a play has only by an import."""
    added = set(search_keys(item_from_json(row.item))) - set(search_keys(now.item))
    connection.execute(delete(play_key).where(play_key.c.play_id == row.id, play_key.c.key.in_(added)))


def remove_sent_play(connection: Connection, row: PlayRow, can: Tellers, by: str | None) -> None:
    """Remove a play that trackers were told of, with its marks there, so that no later import knows it."""
    if row.removed_at is None:
        edits.remove_row(connection, row, can, by, clock.now())
    connection.execute(update(play).where(play.c.id == row.id).values(foreign_key=None, job_id=None))
    connection.execute(delete(play_key).where(play_key.c.play_id == row.id))
    connection.execute(delete(play_record).where(play_record.c.play_id == row.id))


def forget_questions(connection: Connection, rows: list[PlayRow]) -> None:
    """Forget the lookups of items that no play is left of."""
    items = [item_from_json(row.item) for row in rows]
    for key in {key for item in items if is_open(item) and (key := question(item)) is not None}:
        if not plays_of(connection, key):
            connection.execute(delete(unresolved).where(unresolved.c.key == key))


# --- what it changed


def finish_undo(connection: Connection, *, job_id: int, can: Tellers, by: str | None) -> UndoCounts:
    """Put back what an import changed, the last change first, and mark the job as undone."""
    row, now, counts = find_import(connection, job_id), clock.now(), UndoCounts()
    wanted = select(import_change).where(import_change.c.job_id == job_id).order_by(import_change.c.id.desc())
    for change in fetch_all(connection, wanted, ImportChangeRow):
        assert row.person_id is not None
        if change.what == PLAY:
            done = restore_play(connection, change, can, by, now)
        else:
            done = restore_entry(connection, row.person_id, change)
        counts.restored += done
        counts.left += not done
    connection.execute(delete(play_record).where(play_record.c.job_id == job_id))
    connection.execute(delete(import_change).where(import_change.c.job_id == job_id))
    connection.execute(update(job).where(job.c.id == job_id).values(undone_at=now, changed_at=now))
    return counts


def restore_play(
    connection: Connection, change: ImportChangeRow, can: Tellers, by: str | None, now: datetime
) -> bool:
    """Take the mark or the date of an import from a play, unless the play changed since."""
    row = fetch_first(connection, select(play).where(play.c.id == int(change.key)), PlayRow)
    if row is None:
        return True  # it was of this import too
    if row.removed_at is not None or play_json(play_from_row(row)) != change.after:
        return False
    before = PLAYS.validate_python(change.before)
    has_marks = connection.execute(select(exists().where(delivery.c.play_id == row.id))).scalar()
    if has_marks:
        made = edits.store_edit(connection, row, "redated", change.before, by, now)
        edits.undo_marks(connection, row, made, can, now, leaves=False)
    save_play(connection, row.person_id, before, row.id)
    forget_keys(connection, row, before)
    return True


def restore_entry(connection: Connection, person_id: int, change: ImportChangeRow) -> bool:
    """Put a followed show or an entry of the library back, unless it changed since."""
    if current(connection, person_id, change.what, change.key) != change.after:
        return False
    before = change.before or {}
    values: dict[str, object]
    if change.what == FOLLOW:
        table, values = follow, {"state": before.get("state")}
        here = and_(follow.c.person_id == person_id, follow.c.show_key == change.key)
    else:
        relation, _, key = change.key.partition(":")
        table, values = library, {"value": before.get("value"), "at": parse_stamp(before.get("at"))}
        mine = and_(library.c.person_id == person_id, library.c.relation == relation)
        here = and_(mine, library.c.item_key == key)
    if change.before is None:
        connection.execute(delete(table).where(here))
    else:
        connection.execute(update(table).where(here).values(values))
    return True
