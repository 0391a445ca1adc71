"""Edits: a person's changes to their history, undone and sent again at the trackers.

Only marks created by this service are undone, as recorded in their deliveries. Unsent ones are
withdrawn. Every edit is stored with the fields before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, NamedTuple, NotRequired, Protocol

from pydantic import WithJsonSchema
from sqlalchemy import Connection, delete, insert, select, update
from typing_extensions import TypedDict

from webhook.clock import stamp
from webhook.domain.event import (
    ITEMS,
    Action,
    Episode,
    Event,
    Item,
    Kind,
    Season,
    item_from_json,
    item_to_json,
)
from webhook.domain.items import keys
from webhook.domain.json_shapes import IdsJson, ItemChangeJson, ItemJson
from webhook.domain.play import Change, Dated, Play, State
from webhook.domain.rules import AccountRules, Target, plan_deliveries
from webhook.domain.states import OPEN_STATES, DeliveryState
from webhook.history.edited_plays import earlier_key
from webhook.history.play_store import has_other_viewing, is_rewatch, merge_items, play_from_row, store_keys
from webhook.queues import outbox
from webhook.queues.outbox import NewDelivery
from webhook.storage.db import fresh_ids
from webhook.storage.json_fields import Id, Time
from webhook.storage.json_shapes import DetailsJson, EditedPlayJson
from webhook.storage.rows import fetch_all, fetch_first
from webhook.storage.tables import AccountRow, EditRow, PlayRow, account, delivery, edit, play, play_key
from webhook.storage.types import to_ms

MAX_AHEAD = timedelta(minutes=5)
"""The distance by which a date may lie ahead of this clock, since a browser's may be a little fast."""

CANNOT_UNDO = "watched marks cannot be taken back there"
STAYS = "it was watched at another time too, and one mark there stands for all of them"


class EditJson(TypedDict):
    """An edit as the API gives it, with the play's fields before and after it."""

    id: Id
    what: str
    before: Annotated[EditedPlayJson | None, WithJsonSchema({})]
    after: Annotated[EditedPlayJson | None, WithJsonSchema({})]
    by: str | None
    at: Time | None


class EditResult(TypedDict):
    """The number of an edit, and the trackers at which it undoes a mark and sends the play again.

    `play` is what the play is now, where that is another one.
    """

    edit: int
    undone: list[str]
    told: NotRequired[list[str]]
    play: NotRequired[int]


class Teller(Protocol):
    """The properties of a tracker that an edit depends on."""

    @property
    def tells(self) -> frozenset[Action]: ...

    @property
    def one_mark(self) -> bool: ...


Tellers = Mapping[str, Teller]
"""The configured trackers, by name."""


class Recipient(Teller, Protocol):
    """The properties of a tracker that sending a new play depends on."""

    @property
    def kinds(self) -> frozenset[Kind]: ...


Recipients = Mapping[str, Recipient]
"""The recipients, by tracker name."""


class NoEdit(Exception):
    """An edit that is not possible; the message is for the person."""


def remove_play(
    connection: Connection, play_id: int, can: Tellers, by: str | None, now: datetime
) -> EditResult:
    """Remove a play and undo its marks at the trackers; it stays known, so that no import adds it again."""
    made, undone = remove_row(connection, get_row(connection, play_id), can, by, now)
    return {"edit": made, "undone": undone.at}


def remove_row(
    connection: Connection,
    row: PlayRow,
    can: Tellers,
    by: str | None,
    now: datetime,
    successor: int | None = None,
) -> tuple[int, Undone]:
    """Remove a play; `successor` is the play that stands for it from now on."""
    after: EditedPlayJson | None = None if successor is None else {"play": successor}
    made = store_edit(connection, row, "removed", after, by, now)
    undone = undo_marks(connection, row, made, can, now, leaves=True)
    values = {"removed_at": now, "state": State.STOPPED.value}
    connection.execute(update(play).where(play.c.id == row.id).values(values))
    return made, undone


def redate_play(
    connection: Connection, play_id: int, at: datetime, can: Tellers, by: str | None, now: datetime
) -> EditResult:
    """Change a play's date, and send it again to the trackers that have it."""
    row = get_row(connection, play_id)
    if at > now + MAX_AHEAD:
        raise NoEdit("that date lies in the future")
    if row.watched_at is None or row.unwatched_at is not None:
        raise NoEdit("it is not watched, so there is no date to change")
    moved = at - row.watched_at
    began, last, dated = row.started_at + moved, row.last_at + moved, Dated.EXACT.value
    values = {"watched_at": at, "started_at": began, "last_at": last, "dated": dated}
    after: EditedPlayJson = {
        "watched_at": stamp(at), "started_at": stamp(began), "last_at": stamp(last), "dated": dated,
    }  # fmt: skip
    return change_play(connection, row, values, after, "redated", can, by, now)


def correct_play(
    connection: Connection, play_id: int, item: Item, can: Tellers, by: str | None, now: datetime
) -> EditResult:
    """Change a play's item, and send it again to the trackers that have it."""
    row = get_row(connection, play_id)
    after: EditedPlayJson = {"item": item_to_json(item), "kind": item.kind.value}
    done = change_play(connection, row, after, after, "corrected", can, by, now)
    mine = play_key.c.play_id == play_id
    before = connection.execute(select(play_key.c.key).where(mine)).scalars().all()
    connection.execute(delete(play_key).where(mine))
    store_keys(connection, row.person_id, play_id, {*keys(item), *map(earlier_key, before)})
    return done


def ids_field(item: Item, named: IdsJson) -> ItemChangeJson:
    """The item's id field: `show_ids` for an episode or a season, else `ids`."""
    if not named:
        return {}
    return {"show_ids": named} if isinstance(item, Episode | Season) else {"ids": named}


def correct_item(item: Item, given: ItemChangeJson) -> Item:
    """The item with the given fields (as in its JSON) replaced; raises NoEdit.

    Ids are replaced as a whole. An episode's own go where its show or place is another and they are not given.
    """
    kind = str(given.get("kind") or item.kind.value)
    names = ITEMS[kind].__dataclass_fields__
    if others := [name for name in given if name not in names and name != "kind"]:
        raise NoEdit(f"{others[0]} is nothing that {'an' if kind == 'episode' else 'a'} {kind} has")
    before = item_to_json(item)
    if kind != item.kind.value or given.keys() & {"show_ids", "season", "number"}:
        before["ids"] = {}
    corrected: ItemJson = {**before, "numbering": "aired", **given, "kind": kind}
    return item_from_json(corrected)


def merge_plays(
    connection: Connection, play_id: int, other_id: int, can: Tellers, by: str | None, now: datetime
) -> EditResult:
    """Merge two plays: the other is removed with its marks, and what only it knew is kept."""
    if play_id == other_id:
        raise NoEdit("a play cannot be merged with itself")
    row, other = get_row(connection, play_id), get_row(connection, other_id)
    if row.person_id != other.person_id:
        raise NoEdit("the two plays are of different people")
    if row.kind != other.kind:
        raise NoEdit(f"one is a {row.kind}, the other a {other.kind}")
    known, told = item_from_json(row.item), item_from_json(other.item)
    values: dict[str, object] = {"item": item_to_json(merge_items(told, known))}
    if row.watched_at is None:
        values |= {"watched_at": other.watched_at, "dated": other.dated}
    made = store_edit(connection, row, "merged", {"play": other_id, **shown_fields(other)}, by, now)
    connection.execute(update(play).where(play.c.id == play_id).values(values))
    store_keys(connection, row.person_id, play_id, keys(told))
    undone = remove_row(connection, other, can, by, now, play_id)[1]
    again = resend(connection, get_row(connection, play_id), undone.due, can, now)
    return {"edit": made, "undone": undone.at, "told": again}


def change_play(
    connection: Connection,
    row: PlayRow,
    values: Mapping[str, object],
    after: EditedPlayJson,
    what: str,
    can: Tellers,
    by: str | None,
    now: datetime,
) -> EditResult:
    made = store_edit(connection, row, what, after, by, now)
    undone = undo_marks(connection, row, made, can, now, leaves="item" in values)
    connection.execute(update(play).where(play.c.id == row.id).values(values))
    again = resend(connection, get_row(connection, row.id), undone.due, can, now)
    return {"edit": made, "undone": undone.at, "told": again}


# --- the trackers


class PlayMark(NamedTuple):
    """The delivery of a play's watched mark, and its tracker."""

    id: int
    account_id: int
    item: ItemJson
    happened_at: datetime
    state: str
    due_at: datetime | None
    unsure: bool
    claimed: bool
    remote_id: str | None
    tracker: str


@dataclass(frozen=True, slots=True)
class Undone:
    """The trackers at which a play's mark is undone, and the due times for sending it again."""

    at: list[str] = field(default_factory=list)
    due: dict[str, datetime] = field(default_factory=dict)


def undo_marks(
    connection: Connection, row: PlayRow, edit_id: int, can: Tellers, now: datetime, *, leaves: bool
) -> Undone:
    """Undo the play's marks. `leaves`: it is no longer a play of that item."""
    item = item_from_json(row.item)
    besides = leaves and has_other_viewing(connection, row.person_id, item, row.id)
    wanted = (
        select(*(delivery.c[name] for name in PlayMark._fields[:-1]), account.c.tracker)
        .join(account, delivery.c.account_id == account.c.id)
        .where(
            delivery.c.play_id == row.id,
            delivery.c.mark.is_(True),
            delivery.c.key == mark_key(row.id),
        )
    )
    found = Undone()
    for mark in fetch_all(connection, wanted.order_by(delivery.c.id), PlayMark):
        if mark.state == DeliveryState.DONE or mark.claimed or mark.unsure:
            teller = can.get(mark.tracker)
            able = can_tell(teller, Action.UNWATCHED)
            stays = besides and teller is not None and teller.one_mark
            kept = CANNOT_UNDO if not able else STAYS if stays else None
            enqueue_undo(connection, row, mark, edit_id, kept, now)
            if not able:
                continue
            undone = not stays
        elif mark.state in OPEN_STATES:
            outbox.supersede_delivery(connection, mark.id, "taken back by hand before it was told", now)
            undone = True
        else:
            continue
        outbox.release_key(connection, mark.id, edit_id)
        found.due[str(mark.tracker)] = due_behind(mark, now)
        if undone:
            found.at.append(str(mark.tracker))
    return found


def due_behind(mark: PlayMark, now: datetime) -> datetime:
    """The due time of a delivery that follows a mark: the mark's own if it may still be going out, else now."""
    waits = mark.state == DeliveryState.WAITING and (mark.claimed or mark.unsure)
    return mark.due_at or now if waits else now


def can_tell(teller: Teller | None, action: Action) -> bool:
    """True if a tracker is configured and supports the action."""
    return teller is not None and action in teller.tells


def enqueue_undo(
    connection: Connection, row: PlayRow, mark: PlayMark, edit_id: int, kept: str | None, now: datetime
) -> None:
    """Enqueue the undoing of a mark, after it if it is unsent; `kept` is the reason not to send it."""
    find_undone = NewDelivery(
        account_id=mark.account_id, action=Action.UNWATCHED, key=undoing_key(mark.id, edit_id),
        item=item_from_json(mark.item), at=mark.happened_at, due=due_behind(mark, now),
        play_id=row.id, skipped=kept,
        details={"undoes": mark.id, "remote_id": mark.remote_id},
    )  # fmt: skip
    outbox.enqueue(connection, find_undone, now)


def resend(
    connection: Connection, row: PlayRow, due: Mapping[str, datetime], can: Tellers, now: datetime
) -> list[str]:
    """Send the play as it is now to those trackers, after the undoing of its old mark."""
    current = play_from_row(row)
    if current.watched_at is None or current.unwatched_at is not None:
        return []
    accounts = select(account).where(account.c.person_id == row.person_id, account.c.tracker.in_(due))
    told = []
    for of in fetch_all(connection, accounts, AccountRow):
        rewatch = is_rewatch(
            connection, row.person_id, current.item, keys(current.item), row.id, current.watched_at
        )
        details: DetailsJson = {
            "duration_ms": current.duration_ms,
            "started_at": to_ms(current.started_at),
            "rewatch": rewatch,
        }
        details |= record_details(current)
        planned = NewDelivery(
            account_id=of.id, key=mark_key(row.id), item=current.item, at=current.watched_at,
            due=due[of.tracker], action=Action.STOP if can_tell(can.get(of.tracker), Action.STOP) else Action.WATCHED, mark=True,
            play_id=row.id, details=details,
        )  # fmt: skip
        outbox.enqueue(connection, planned, now)
        told.append(str(of.tracker))
    return told


def send_new(
    connection: Connection, row: PlayRow, can: Recipients, now: datetime, *, rewatch: bool = False
) -> list[str]:
    """Send a play that no webhook reported to the person's accounts, with its date; returns the trackers."""
    current = play_from_row(row)
    at = current.watched_at or current.last_at
    event = Event(action=Action.WATCHED, item=current.item, at=at, manual=True)
    change = Change(play=current, anew=True, finished=True)
    mine = select(account).where(account.c.person_id == row.person_id, account.c.tracker.in_(can))
    accounts = {of.id: of for of in fetch_all(connection, mine.order_by(account.c.id), AccountRow)}
    targets = [
        Target(
            id=of.id,
            kinds=can[of.tracker].kinds,
            can=can[of.tracker].tells,
            tells=frozenset(map(Action, of.tells)),
            rules=AccountRules.from_json(of.rules),
        )
        for of in accounts.values()
    ]
    known_by = keys(current.item)
    again = rewatch or is_rewatch(connection, row.person_id, current.item, known_by, row.id, at)
    details: DetailsJson = {"started_at": to_ms(current.started_at), "rewatch": again}
    details |= record_details(current)
    told = []
    for planned in plan_deliveries(event, change, row.id, "", targets):
        new = NewDelivery(
            account_id=planned.account_id, action=planned.action, key=planned.key, item=current.item, at=at,
            mark=planned.mark, play_id=row.id, skipped=planned.skipped, details=details,
        )  # fmt: skip
        outbox.enqueue(connection, new, now)
        if planned.skipped is None:
            told.append(str(accounts[planned.account_id].tracker))
    return told


def record_details(current: Play) -> DetailsJson:
    """The details of a delivery that is sent after the fact: late, and with its date."""
    return {"dated": current.dated.value, "late": True}


def mark_key(play_id: int) -> str:
    return f"watched:{play_id}"


def undoing_key(mark_id: int, edit_id: int) -> str:
    return f"undone:{mark_id}:{edit_id}"


# --- the edits themselves


def get_row(connection: Connection, play_id: int) -> PlayRow:
    """The play's row; raises NoEdit if there is none."""
    wanted = select(play).where(play.c.id == play_id, play.c.removed_at.is_(None))
    row = fetch_first(connection, wanted, PlayRow)
    if row is None:
        raise NoEdit(f"there is no play {play_id}")
    return row


def store_edit(
    connection: Connection,
    row: PlayRow,
    what: str,
    after: EditedPlayJson | None,
    by: str | None,
    now: datetime,
) -> int:
    (made,) = fresh_ids(connection, edit, 1)
    values = {"id": made, "play_id": row.id, "what": what, "before": shown_fields(row), "after": after}
    connection.execute(insert(edit), {**values, "by": by, "at": now})
    return made


def store_addition(connection: Connection, row: PlayRow, by: str | None, now: datetime) -> None:
    (made,) = fresh_ids(connection, edit, 1)
    values = {"id": made, "play_id": row.id, "what": "added", "before": None, "after": shown_fields(row)}
    connection.execute(insert(edit), {**values, "by": by, "at": now})


def shown_fields(row: PlayRow) -> EditedPlayJson:
    return {
        "item": row.item,
        "watched_at": stamp(row.watched_at),
        "started_at": stamp(row.started_at),
        "dated": row.dated,
    }


def edits_of_play(connection: Connection, play_id: int) -> list[EditJson]:
    """The edits of a play, the oldest first, as the API gives them."""
    wanted = select(edit).where(edit.c.play_id == play_id).order_by(edit.c.id)
    rows = fetch_all(connection, wanted, EditRow)
    return [
        {"id": row.id, "what": row.what, "before": row.before, "after": row.after, "by": row.by,
         "at": stamp(row.at)}
        for row in rows
    ]  # fmt: skip
