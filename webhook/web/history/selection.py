"""A selection of plays: its numbers from a form, the rows that a visitor may change, and what became of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo

from sqlalchemy import Connection, select

from webhook import clock
from webhook.domain.states import REVIVABLE
from webhook.history.edits import EditResult, NoEdit
from webhook.history.moves import MAX_SHIFT
from webhook.people import people
from webhook.queues import parking
from webhook.storage.tables import PersonRow, PlayRow, delivery, edit
from webhook.web.history.api import own_play
from webhook.web.http.errors import Problem
from webhook.web.http.params import whole
from webhook.web.visible import Visitor

MAX_SELECTED = 500
EDITS_OF_MARKS = ("redated", "corrected")

EditOne = Callable[[Connection, PlayRow], EditResult | None]
"""Changes a play; None if there was nothing to change."""


@dataclass(frozen=True, slots=True)
class Changed:
    """What became of a selection: an outcome for each play that changed."""

    results: Sequence[EditResult]
    wanted: int

    @property
    def counts(self) -> str:
        """The plays that changed and those that did not, as the page's message takes them."""
        return f"{len(self.results)}-{self.wanted - len(self.results)}"

    @property
    def resends(self) -> int:
        """How many of them are sent to a tracker again."""
        return sum(bool(done.get("told")) for done in self.results)


def selected_ids(fields: Mapping[str, str]) -> list[int]:
    """The numbers in the fields of a selection, each once; raises Problem."""
    texts = [value for name, value in fields.items() if name == "plays" or name.startswith(("play-", "day-"))]
    ids = [number for text in texts for word in text.split() if (number := whole(word)) is not None]
    if len(set(ids)) > MAX_SELECTED:
        raise Problem(422, f"Select at most {MAX_SELECTED} plays at once.")
    return list(dict.fromkeys(ids))


def own_plays(
    connection: Connection, visitor: Visitor, ids: Sequence[int], *, removed: bool = False
) -> list[PlayRow]:
    """Those of the plays that the visitor may change, in this order: plays of the history, or removed ones."""
    rows = (own_play(connection, visitor, play_id) for play_id in ids)
    return [row for row in rows if row is not None and (row.removed_at is not None) is removed]


def find_watcher(connection: Connection, name: str) -> PersonRow:
    """The person to whom plays are given; raises Problem."""
    try:
        return people.find_person(connection, name)
    except people.PeopleError as error:
        raise Problem(422, "person must be the name of somebody here.") from error


def edit_one(connection: Connection, row: PlayRow, change: EditOne) -> EditResult | None:
    try:
        with connection.begin_nested():
            return change(connection, row)
    except NoEdit:
        return None


def resend_marks(connection: Connection, row: PlayRow) -> EditResult | None:
    """Retry a play's watched marks that have not reached their tracker; None if there is none.

    A mark that was left out before an edit is of the play as it was, and stays.
    """
    if row.watched_at is None or row.unwatched_at is not None:
        return None
    changed = select(edit.c.id).where(
        edit.c.play_id == delivery.c.play_id,
        edit.c.what.in_(EDITS_OF_MARKS),
        edit.c.at > delivery.c.created_at,
    )
    marks = select(delivery.c.id).where(
        delivery.c.play_id == row.id,
        delivery.c.mark.is_(True),
        delivery.c.state.in_(REVIVABLE),
        ~changed.exists(),
    )
    ids = list(connection.execute(marks).scalars())
    revived = parking.revive(connection, ids, clock.now()) if ids else 0
    return {"edit": 0, "undone": []} if revived else None


def parse_day(given: str) -> date:
    try:
        return date.fromisoformat(given)
    except ValueError as error:
        raise Problem(422, "Choose the day, such as 2026-11-22.") from error


def on_day(at: datetime, day: date, zone: tzinfo) -> datetime:
    """The time of day of a moment, on another day of the same time zone."""
    return datetime.combine(day, at.astimezone(zone).timetz())


def parse_hours(given: str) -> timedelta:
    """The time by which dates move, to the minute: 2, -1, 5.5; raises Problem."""
    try:
        by_time = timedelta(minutes=round(float(given.replace(",", ".")) * 60))
    except (ValueError, OverflowError):
        by_time = timedelta(0)
    if not by_time or abs(by_time) > MAX_SHIFT:
        most = MAX_SHIFT // timedelta(hours=1)
        raise Problem(422, f"Enter by how many hours: from -{most} to {most}, such as 2 or -1.")
    return by_time
