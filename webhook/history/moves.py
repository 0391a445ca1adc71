"""Moves of plays that were recorded wrongly: by hours, where a clock was wrong, and to another person."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection, func, insert, select

from webhook.domain.event import Action, item_from_json
from webhook.domain.items import keys, same_item
from webhook.domain.play import Dated, State
from webhook.domain.states import DeliveryState
from webhook.domain.viewing import is_same_viewing
from webhook.history import restoration
from webhook.history.edits import (
    MAX_AHEAD,
    EditResult,
    NoEdit,
    Recipients,
    Tellers,
    can_tell,
    correct_play,
    get_row,
    redate_play,
    remove_row,
    send_new,
    store_edit,
)
from webhook.history.play_store import SELECT_KEYS_OF, SELECT_OF_ITEM, is_counted, play_from_row, store_keys
from webhook.storage.db import fresh_ids
from webhook.storage.json_shapes import EditedPlayJson
from webhook.storage.rows import fetch_all, fetch_first
from webhook.storage.tables import PlayRow, account, delivery, edit, person, play

MAX_SHIFT = timedelta(hours=48)
"""The most by which a clock or its time zone is wrong; further than that is another day."""

EDIT_OF_PERSON = "reassigned"
OF_OLD_PERSON = ("id", "person_id", "foreign_key", "job_id", "removed_at")
"""The columns that a play does not take along to another person."""


def shift_play(
    connection: Connection, play_id: int, by_time: timedelta, can: Tellers, by: str | None, now: datetime
) -> EditResult:
    """Move a play's date by some hours, and send it again to the trackers that have it."""
    row = get_row(connection, play_id)
    at = check_shift(row, by_time, now)
    return redate_play(connection, play_id, at, can, by, now)


def check_shift(row: PlayRow, by_time: timedelta, now: datetime) -> datetime:
    """The date of a play that is moved by some time; raises NoEdit where it cannot be."""
    if row.watched_at is None or row.unwatched_at is not None:
        raise NoEdit("it is not watched, so there is no date to change")
    if row.dated != Dated.EXACT:
        raise NoEdit("the time at which it was watched is not known")
    at = row.watched_at + by_time
    if at > now + MAX_AHEAD:
        raise NoEdit("that date lies in the future")
    return at


def can_shift(row: PlayRow, by_time: timedelta, now: datetime) -> bool:
    with contextlib.suppress(NoEdit):
        check_shift(row, by_time, now)
        return True
    return False


def reassign_play(
    connection: Connection, play_id: int, person_id: int, can: Recipients, by: str | None, now: datetime
) -> EditResult:
    """Give a play to another person: undo its marks at the old one's trackers, and send it to the new one's.

    With the old person it stays as a removed play, so that neither imports nor webhooks add it there again.
    Where the new person had it before, that play comes back.
    """
    row = get_row(connection, play_id)
    check_reassign(connection, row, person_id)
    before = find_earlier_play(connection, row, person_id)
    if before is not None:
        return give_back(connection, row, before, can, by, now)
    values = {name: value for name, value in row_values(row).items() if name not in OF_OLD_PERSON}
    (made,) = fresh_ids(connection, play, 1)
    connection.execute(insert(play), {**values, "id": made, "person_id": person_id})
    store_keys(connection, person_id, made, SELECT_KEYS_OF.scalars(connection, {"play": row.id}), is_new=True)
    undone = remove_row(connection, row, can, by, now, made)[1].at
    new = get_row(connection, made)
    origin: EditedPlayJson = {"play": row.id, "person": person_name(connection, row.person_id)}
    number = store_edit(connection, new, EDIT_OF_PERSON, origin, by, now)
    told = send_new(connection, new, can, now) if is_counted(new) else []
    return {"edit": number, "undone": undone, "told": told, "play": made}


def row_values(row: PlayRow) -> dict[str, object]:
    return {column.name: getattr(row, column.name) for column in play.columns}


def person_name(connection: Connection, person_id: int) -> str:
    found: str = connection.execute(select(person.c.name).where(person.c.id == person_id)).scalar_one()
    return found


def check_reassign(connection: Connection, row: PlayRow, person_id: int) -> None:
    """Raise NoEdit where a play cannot go to the person, above all where they have the viewing already."""
    if row.person_id == person_id:
        raise NoEdit("it is this person's already")
    if row.state != State.STOPPED:
        raise NoEdit("it is still playing")
    mine, item = play_from_row(row), item_from_json(row.item)
    at = mine.watched_at or mine.last_at
    wanted = {"person": person_id, "keys": list(keys(item))}
    for other in fetch_all(connection, SELECT_OF_ITEM, PlayRow, wanted):
        known = play_from_row(other)
        if is_counted(other) and same_item(known.item, item) and is_same_viewing(known, at, mine.dated):
            raise NoEdit(f"{person_name(connection, person_id)} has this viewing already")


def find_earlier_play(connection: Connection, row: PlayRow, person_id: int) -> PlayRow | None:
    """The removed play of this person that this one was before it was given to another."""
    seen, found = {row.id}, [row.id]
    while found:
        links = select(edit.c.after).where(
            edit.c.play_id.in_(found), edit.c.what.in_((EDIT_OF_PERSON, "removed")), edit.c.after.is_not(None)
        )
        near = {int(after["play"]) for after in connection.execute(links).scalars()}
        found = sorted(near - seen)
        seen |= near
        theirs = select(play).where(
            play.c.id.in_(found), play.c.person_id == person_id, play.c.removed_at.is_not(None)
        )
        if old := fetch_first(connection, theirs, PlayRow):
            return old
    return None


def give_back(
    connection: Connection, row: PlayRow, before: PlayRow, can: Recipients, by: str | None, now: datetime
) -> EditResult:
    """Bring back the play that this one was, with what was changed about it since."""
    undone = remove_row(connection, row, can, by, now, before.id)[1].at
    done = restoration.restore_play(connection, before.id, can, by, now)
    results = [done]
    if row.item != before.item:
        item = item_from_json(row.item)
        results.append(correct_play(connection, before.id, item, can, by, now))
    if row.watched_at != before.watched_at and row.watched_at is not None:
        results.append(redate_play(connection, before.id, row.watched_at, can, by, now))
    told = dict.fromkeys(name for one in results for name in one.get("told", ()))
    return {"edit": done["edit"], "undone": undone, "told": [*told], "play": before.id}


# --- what a change of the person comes to


@dataclass(frozen=True, kw_only=True, slots=True)
class ReassignPreview:
    """What becomes of plays that are given to another person; marks are counted by tracker."""

    plays: int
    left: Mapping[str, int]
    """The plays that stay where they are, by reason."""
    taken: Mapping[str, int]
    kept: Mapping[str, int]
    """Marks that stay at the old person's tracker, since none can be taken back there."""
    told: Sequence[str]
    """The new person's trackers."""


class TrackerMarks(NamedTuple):
    """The number of marks that a tracker has."""

    tracker: str
    number: int


def preview_reassign(
    connection: Connection, rows: Sequence[PlayRow], person_id: int, can: Recipients
) -> ReassignPreview:
    left: Counter[str] = Counter()
    going = []
    for row in rows:
        try:
            check_reassign(connection, row, person_id)
            going.append(row)
        except NoEdit as error:
            left[str(error)] += 1
    marks = count_marks(connection, [row.id for row in going])
    taken = {name: number for name, number in marks if can_tell(can.get(name), Action.UNWATCHED)}
    kinds = {row.kind for row in going}
    theirs = select(account.c.tracker).where(account.c.person_id == person_id).order_by(account.c.id)
    told = [
        name
        for name in connection.execute(theirs).scalars()
        if name in can and not kinds.isdisjoint(can[name].kinds)
    ]
    kept = {name: number for name, number in marks if name not in taken}
    return ReassignPreview(plays=len(going), left=left, taken=taken, kept=kept, told=told)


def count_marks(connection: Connection, ids: Sequence[int]) -> list[TrackerMarks]:
    """The watched marks of these plays that their trackers have, by tracker."""
    wanted = (
        select(account.c.tracker, func.count().label("number"))
        .join(account, delivery.c.account_id == account.c.id)
        .where(
            delivery.c.play_id.in_(ids),
            delivery.c.mark.is_(True),
            delivery.c.state == DeliveryState.DONE,
            delivery.c.key.not_like("%:before-edit-%"),
        )
        .group_by(account.c.tracker)
        .order_by(account.c.tracker)
    )
    return fetch_all(connection, wanted, TrackerMarks)
