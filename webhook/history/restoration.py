"""Restoration: brings a removed play back, and its marks at the trackers that they were taken back from."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, select, update

from webhook.domain.event import Action, item_from_json
from webhook.domain.items import keys, same_item
from webhook.domain.states import DeliveryState
from webhook.domain.viewing import is_same_viewing
from webhook.history.edits import EditResult, NoEdit, Tellers, mark_key, resend, store_edit, undoing_key
from webhook.history.play_store import SELECT_OF_ITEM, find_plays, is_counted, play_from_row
from webhook.queues import outbox
from webhook.storage.rows import fetch_all, fetch_first
from webhook.storage.tables import EditRow, PlayRow, account, delivery, edit, play

NEVER_SENT = (DeliveryState.SKIPPED, DeliveryState.SUPERSEDED, DeliveryState.EXPIRED)
"""States of an undoing that was not sent, and will not be."""

EDITS_OF_VIEWING = ("added", "redated", "corrected", "reassigned")
"""The edits by which another play may have become the viewing that was removed."""


def restore_play(
    connection: Connection, play_id: int, can: Tellers, by: str | None, now: datetime
) -> EditResult:
    """Bring a removed play back as it was, and send it again where its mark was taken back; raises NoEdit."""
    row = get_removed_row(connection, play_id)
    removal = find_removal(connection, play_id)
    refuse_duplicate(connection, row, removal)
    made = store_edit(connection, row, "restored", None, by, now)
    due = put_back_marks(connection, row, removal, can, now) if removal else {}
    connection.execute(update(play).where(play.c.id == play_id).values(removed_at=None))
    told = resend(connection, row, due, can, now)
    return {"edit": made, "undone": [], "told": told}


def get_removed_row(connection: Connection, play_id: int) -> PlayRow:
    row = fetch_first(connection, select(play).where(play.c.id == play_id), PlayRow)
    if row is None or row.removed_at is None:
        raise NoEdit(f"there is no removed play {play_id}")
    return row


def find_removal(connection: Connection, play_id: int) -> EditRow | None:
    """The edit that removed the play last."""
    mine = select(edit).where(edit.c.play_id == play_id, edit.c.what == "removed")
    return fetch_first(connection, mine.order_by(edit.c.id.desc()).limit(1), EditRow)


def plays_of_removal(connection: Connection, edit_id: int) -> list[int]:
    """The plays that were removed together with the one of this edit."""
    first = fetch_first(connection, select(edit).where(edit.c.id == edit_id), EditRow)
    if first is None or first.what != "removed":
        return []
    together = select(edit.c.play_id).where(
        edit.c.what == "removed", edit.c.at == first.at, edit.c.by.is_not_distinct_from(first.by)
    )
    return list(connection.execute(together.order_by(edit.c.id)).scalars())


def refuse_duplicate(connection: Connection, row: PlayRow, removal: EditRow | None) -> None:
    """Refuse to bring back a viewing that another play stands for by now."""
    if taken := find_successor(connection, row, removal):
        raise NoEdit(f"play {taken} stands for it now")
    removed, item = play_from_row(row), item_from_json(row.item)
    if removed.watched_at is None:
        return
    wanted = {"person": row.person_id, "keys": list(keys(item))}
    for other in fetch_all(connection, SELECT_OF_ITEM, PlayRow, wanted):
        known = play_from_row(other)
        same = same_item(known.item, item) and is_same_viewing(known, removed.watched_at, removed.dated)
        if is_counted(other) and same and has_become_viewing(connection, other.id, row.removed_at):
            raise NoEdit(f"play {other.id} stands for the same viewing since then")


def find_successor(connection: Connection, row: PlayRow, removal: EditRow | None) -> int | None:
    """The play that stands for a removed one since it was merged or given to another person, if it is still there."""
    taken = ((removal.after if removal else None) or {}).get("play")
    merged = select(edit).where(edit.c.what == "merged", edit.c.at == row.removed_at)
    for one in fetch_all(connection, merged, EditRow) if taken is None else ():
        taken = one.play_id if (one.after or {}).get("play") == row.id else taken
    standing = select(play.c.id).where(play.c.id == taken, play.c.removed_at.is_(None))
    found: int | None = connection.execute(standing).scalar()
    return found


def has_become_viewing(connection: Connection, play_id: int, since: datetime | None) -> bool:
    wanted = select(edit.c.id).where(
        edit.c.play_id == play_id, edit.c.what.in_(EDITS_OF_VIEWING), edit.c.at >= since
    )
    return connection.execute(wanted.limit(1)).scalar() is not None


# --- the trackers


class TakenMark(NamedTuple):
    """A watched mark that a removal took back."""

    id: int
    account_id: int
    tracker: str


class Undoing(NamedTuple):
    """The delivery that takes a mark back."""

    id: int
    state: str
    due_at: datetime | None


def put_back_marks(
    connection: Connection, row: PlayRow, removal: EditRow, can: Tellers, now: datetime
) -> dict[str, datetime]:
    """Withdraw the undoings that were not sent; of the others the trackers, with the time to send the play again."""
    due: dict[str, datetime] = {}
    for mark in taken_marks(connection, row, removal.id):
        undoing = find_undo(connection, row, mark, removal.id)
        if undoing is None:  # the mark itself was withdrawn before it was sent
            due[mark.tracker] = now
        elif try_withdraw(connection, undoing, now):
            outbox.restore_key(connection, mark.id, mark_key(row.id))
            teller = can.get(mark.tracker)
            if teller is not None and teller.one_mark and is_undone_since(connection, row, mark, undoing):
                outbox.release_key(connection, mark.id, removal.id)
                due[mark.tracker] = now
        else:
            due[mark.tracker] = (undoing.due_at if undoing.state == DeliveryState.WAITING else None) or now
    return due


def taken_marks(connection: Connection, row: PlayRow, removal: int) -> list[TakenMark]:
    wanted = (
        select(delivery.c.id, delivery.c.account_id, account.c.tracker)
        .join(account, delivery.c.account_id == account.c.id)
        .where(delivery.c.play_id == row.id, delivery.c.key == f"{mark_key(row.id)}:before-edit-{removal}")
    )
    return fetch_all(connection, wanted.order_by(delivery.c.id), TakenMark)


def find_undo(connection: Connection, row: PlayRow, mark: TakenMark, removal: int) -> Undoing | None:
    wanted = select(delivery.c.id, delivery.c.state, delivery.c.due_at).where(
        delivery.c.play_id == row.id, delivery.c.key == undoing_key(mark.id, removal)
    )
    return fetch_first(connection, wanted, Undoing)


def try_withdraw(connection: Connection, undoing: Undoing, now: datetime) -> bool:
    """True if the undoing was not sent, and is not sent any more."""
    if undoing.state in NEVER_SENT:
        return True
    return outbox.withdraw_delivery(
        connection, undoing.id, "the play was brought back before it was sent", now
    )


def is_undone_since(connection: Connection, row: PlayRow, mark: TakenMark, undoing: Undoing) -> bool:
    """True if the item's one mark at the tracker went later, with another of its plays."""
    item = item_from_json(row.item)
    plays = [other.id for other, _ in find_plays(connection, row.person_id, item, keys(item))]
    later = select(delivery.c.id).where(
        delivery.c.play_id.in_(plays),
        delivery.c.account_id == mark.account_id,
        delivery.c.action == Action.UNWATCHED.value,
        delivery.c.id > undoing.id,
        delivery.c.state.not_in(NEVER_SENT),
    )
    return connection.execute(later.limit(1)).scalar() is not None
