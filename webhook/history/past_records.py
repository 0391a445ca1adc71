"""Past records: the plays that entries of a server's history and other reports of the past are of.

A log has an entry for each viewing, so each is another play. Any other record may be of every play within hours.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, select

from webhook.domain.advance import open_play
from webhook.domain.event import Action, Event, item_from_json
from webhook.domain.items import keys, play_keys, same_item
from webhook.domain.play import Change, Dated, Play, State
from webhook.domain.playback import own_length
from webhook.domain.viewing import begins_later, is_repeated_entry, is_same_viewing
from webhook.history import play_records, runtimes
from webhook.history.play_records import NewRecord
from webhook.history.play_store import (
    SELECT_OF_ITEM,
    ClosedPlay,
    merge_items,
    play_from_row,
    save_play,
    store_keys,
)
from webhook.storage.json_shapes import EditedPlayJson
from webhook.storage.rows import fetch_all, fetch_with
from webhook.storage.tables import PlayRecordRow, PlayRow, edit, play


@dataclass(frozen=True, kw_only=True, slots=True)
class Applied:
    """The change that an event made to a person's plays, and the play it is about.

    `closed` is a play of which the event shows that its stop was lost, `listed` the sources of the lists that have it.
    """

    play_id: int | None = None
    change: Change | None = None
    closed: ClosedPlay | None = None
    listed: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class PastPlay:
    """A play that a record may be of. A settled one, watched or removed, gets nothing from it.

    `foreign_key` is the play's own key in the list that it was read from.
    """

    id: int
    play: Play
    settled: bool
    foreign_key: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class EntryMatch:
    """The play of an entry of a log. `is_new`: nothing knew it yet; `rival`: the entry that it was until now."""

    past: PastPlay
    is_new: bool = True
    rival: PlayRecordRow | None = None


def apply_record(
    connection: Connection, person_id: int, event: Event, source: str, known_by: Collection[str]
) -> Applied:
    """Apply a past record: add the play, or only its mark if that is missing."""
    if event.record is None:
        past = find_record(connection, person_id, event)
        return mark_past(connection, person_id, event, source, known_by, past)
    if (known := play_records.find_play_of_key(connection, person_id, event.record)) is not None:
        return Applied(play_id=known)
    place = match_entry(connection, person_id, event, source)
    if place is not None and not place.is_new:
        return Applied(play_id=place.past.id)
    past = place.past if place else None
    applied = mark_past(connection, person_id, event, source, known_by, past)
    if applied.play_id is not None:
        play_records.store_records(connection, person_id, [entry_record(applied.play_id, event, source)])
    return applied


def mark_past(
    connection: Connection,
    person_id: int,
    event: Event,
    source: str,
    known_by: Collection[str],
    past: PastPlay | None,
) -> Applied:
    """Add the play of a record, or its mark to the play that is there."""
    if past is not None and (past.settled or event.action is not Action.WATCHED):
        return Applied(play_id=past.id)
    known = past.play if past else None
    values = (
        replace(known, item=merge_items(known.item, event.item)) if known else open_play(None, event, source)
    )
    marked = replace(
        values,
        state=State.STOPPED,
        last_at=values.last_at if event.undated else max(values.last_at, event.at),
        watched_at=event.at,
        manual=event.manual,
        dated=Dated.TICKED if event.undated else values.dated,
        duration_ms=values.duration_ms or event.duration_ms,
    )
    made = save_play(connection, person_id, marked, past.id if past else None)
    store_keys(connection, person_id, made, known_by)
    return Applied(play_id=made, change=Change(play=marked, anew=known is None, finished=True))


def find_record(connection: Connection, person_id: int, event: Event) -> PastPlay | None:
    """The play that a past record describes; None if there is none. A tick is not of what was unticked before it."""
    same = find_same(connection, person_id, event)
    if event.manual:
        same = [one for one in same if one.play.unwatched_at is None]
    return min(same, key=lambda one: distance(one.play, event.at), default=None)


def find_same(connection: Connection, person_id: int, event: Event) -> list[PastPlay]:
    """The plays that a past record may be of.

    What a person removed is still known, and what they changed also as it was.
    """
    known = play_keys(event.item, event.server, event.item_key, event.show_key)
    dated = Dated.TICKED if event.undated else Dated.EXACT
    wanted = {"person": person_id, "keys": list(known)}
    found = [
        PastPlay(
            id=row.id,
            play=play_from_row(row),
            settled=row.watched_at is not None or row.removed_at is not None,
            foreign_key=row.foreign_key,
        )
        for row in fetch_all(connection, SELECT_OF_ITEM, PlayRow, wanted)
    ]
    found += [
        PastPlay(id=play_id, play=before, settled=True)
        for play_id, before in plays_before_edits(connection, person_id)
        if not set(known).isdisjoint(keys(before.item))
    ]
    return [
        one for one in found
        if same_item(one.play.item, event.item)
        and is_same_viewing(one.play, event.at, dated)
        and not begins_later(one.play, event.at, event.server)
    ]  # fmt: skip


# --- entries of a log


def place_entry(connection: Connection, person_id: int, event: Event, source: str) -> Event | None:
    """Note which watched play an entry is; returns the entry that none is: this one, or one that it took the play from."""
    missed: Event | None = event
    while missed is not None:
        if play_records.find_play_of_key(connection, person_id, missed.record or "") is not None:
            return None
        place = match_entry(connection, person_id, missed, source, displaces=True)
        if place is None or not place.past.settled:
            return missed
        if not place.is_new:
            return None
        if place.rival is not None:
            play_records.forget_records(connection, [place.rival.id])
        play_records.store_records(connection, person_id, [entry_record(place.past.id, missed, source)])
        missed = None if place.rival is None else restore_entry(place.rival, missed)
    return None


def match_entry(
    connection: Connection, person_id: int, event: Event, source: str, *, displaces: bool = False
) -> EntryMatch | None:
    """The play nearest to an entry that is no other entry of the log; None if it is a viewing of its own.

    `displaces`: a play goes to the entry nearest to it, whatever entry it was before.
    """
    same = sorted(find_same(connection, person_id, event), key=lambda one: distance(one.play, event.at))
    records = play_records.find_records(connection, {one.id for one in same})
    rivals = {row.play_id: row for row in records if row.source == source}
    listed = {one.id: one for one in same if one.play.source == source and one.foreign_key is not None}
    for one in same:
        rival = rivals.get(one.id)
        if one.id not in listed and (rival is None or (displaces and is_nearer(one.play, event, rival))):
            return EntryMatch(past=one, rival=rival)
    length = runtimes.find_runtime(connection, event)
    for one in same:
        rival = rivals.get(one.id)
        at = entry_time(rival) if rival else one.play.watched_at or one.play.last_at
        if is_repeated_entry(one.play, event.at, at, own_length(one.play, event) or length):
            return EntryMatch(past=one, is_new=False)
    return None


def is_nearer(current: Play, event: Event, rival: PlayRecordRow) -> bool:
    """True if an entry is nearer to a play than the entry that it was in an earlier reading of the log."""
    return rival.job_id is None and (distance(current, event.at), event.at) < (
        distance(current, entry_time(rival)),
        entry_time(rival),
    )


def entry_time(row: PlayRecordRow) -> datetime:
    told = play_records.play_from_json(row.row)
    return told.watched_at or told.last_at


def entry_record(play_id: int, event: Event, source: str) -> NewRecord:
    told = Play(
        item=event.item, state=State.STOPPED, started_at=event.at, last_at=event.at, watched_at=event.at, source=source
    )  # fmt: skip
    return NewRecord(play_id=play_id, key=event.record, row=told)


def restore_entry(row: PlayRecordRow, like: Event) -> Event:
    """The entry that lost its play to another one of the same user and item."""
    told = play_records.play_from_json(row.row)
    return replace(like, item=told.item, at=entry_time(row), record=row.key, player=None)


# --- plays by their time


def distance(known: Play, at: datetime) -> tuple[bool, timedelta, bool]:
    """The distance of a play from a time, for finding the nearest; plays that were only ticked come last."""
    latest = max(known.last_at, known.watched_at or known.last_at)
    outside = max(known.started_at - at, at - latest, timedelta(0))
    return known.dated is Dated.TICKED, outside, known.watched_at is None


def plays_before_edits(connection: Connection, person_id: int) -> list[tuple[int, Play]]:
    """The person's plays as they were before they were given another date or item by hand."""
    return [
        (row.id, before_edit(play_from_row(row), before))
        for row, before in fetch_with(connection, SELECT_EDITED, PlayRow, EditedPlayJson)
        if row.person_id == person_id
    ]


def before_edit(current: Play, before: EditedPlayJson) -> Play:
    watched_at = parse_stamp(before["watched_at"])
    started_at = parse_stamp(before["started_at"]) or current.started_at
    return replace(
        current, item=item_from_json(before["item"]), dated=Dated(before["dated"]), watched_at=watched_at,
        started_at=started_at, last_at=watched_at or started_at,
    )  # fmt: skip


def parse_stamp(written: str | None) -> datetime | None:
    return None if written is None else datetime.fromisoformat(written)


# Edits are few, a person's plays are many: asked by person, SQLite would go through the plays.
SELECT_EDITED = (
    select(play, edit.c.before)
    .join(edit, edit.c.play_id == play.c.id)
    .where(edit.c.what.in_(("redated", "corrected")))
    .order_by(edit.c.id)
)
