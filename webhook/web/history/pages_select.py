"""The forms that change several plays at once: remove them, bring them back, move them to another day, send them again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, tzinfo

from sqlalchemy import Connection, select
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from webhook import clock
from webhook.domain.states import REVIVABLE
from webhook.history import edits, restoration
from webhook.history.edits import EditResult
from webhook.history.stats_span import zone_for
from webhook.queries.plays import with_person
from webhook.queues import parking
from webhook.storage.tables import PlayRow, delivery, edit
from webhook.web.history.api import own_play
from webhook.web.http.errors import Problem
from webhook.web.http.once import Once
from webhook.web.http.page import local
from webhook.web.http.params import whole
from webhook.web.visible import Visitor

MAX_SELECTED = 500
CHANGES = ("remove", "restore", "move", "send")
EDITS_OF_MARKS = ("redated", "corrected")

EditOne = Callable[[Connection, PlayRow], EditResult | None]
"""Changes a play; None if there was nothing to change."""


class Selection(Once):
    """Changes of several plays; each tells how many it changed, and how many it could not."""

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/history/selected", self.answers(self.confirm), methods=["POST"]),
            Route("/history/selected/remove", self.change(self.remove), methods=["POST"]),
            Route("/history/selected/restore", self.change(self.restore), methods=["POST"]),
            Route("/history/selected/move", self.change(self.move), methods=["POST"]),
            Route("/history/selected/send", self.change(self.send), methods=["POST"]),
        ]

    async def confirm(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> Response:
        """Show what is selected and ask before anything changes."""
        wanted, does = selected_ids(fields), fields.get("do", "")
        if does not in CHANGES:
            raise Problem(422, "Choose what to do with the selected plays.")
        removed = does == "restore"
        plays = await self.database.read(
            lambda connection: with_person(
                connection, own_plays(connection, visitor, wanted, removed=removed)
            )
        )
        if not plays:
            return self.redirect_to(request, self.back(request, fields, "unselected"))
        known = {"plays": plays, "does": does, "back": local(fields.get("back", ""))}
        return self.render(request, "selected.html", known, visitor)

    async def remove(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        now = clock.now()

        def remove_one(connection: Connection, row: PlayRow) -> EditResult:
            return edits.remove_play(connection, row.id, self.service.trackers, visitor.name, now)

        done = await self.edit_all(visitor, selected_ids(fields), remove_one)
        undo = f"&undo={done.results[0]['edit']}" if done.results else ""
        return self.answer(request, fields, f"gone-{done.counts}") + undo

    async def restore(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        """Bring removed plays back: those selected, or all that were removed together."""
        together = whole(fields.get("edit", ""))
        wanted = selected_ids(fields)
        if together is not None:
            wanted = await self.database.read(
                lambda connection: restoration.plays_of_removal(connection, together)
            )

        def restore_one(connection: Connection, row: PlayRow) -> EditResult:
            return restoration.restore_play(
                connection, row.id, self.service.trackers, visitor.name, clock.now()
            )

        done = await self.edit_all(visitor, wanted, restore_one, removed=True)
        return self.answer(request, fields, f"back-{done.counts}-{done.resends}")

    async def move(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        """Move plays to a day; each keeps its time of day."""
        day = parse_day(fields.get("day", ""))
        zone = await self.database.read(lambda connection: zone_for(connection, visitor.person_id or 0))

        def move_one(connection: Connection, row: PlayRow) -> EditResult:
            at = on_day(row.watched_at or row.started_at, day, zone)
            return edits.redate_play(connection, row.id, at, self.service.trackers, visitor.name, clock.now())

        done = await self.edit_all(visitor, selected_ids(fields), move_one)
        return self.answer(request, fields, f"moved-{done.counts}")

    async def send(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        done = await self.edit_all(visitor, selected_ids(fields), resend_marks)
        return self.answer(request, fields, f"resent-{done.counts}")

    async def edit_all(
        self, visitor: Visitor, wanted: Sequence[int], change: EditOne, *, removed: bool = False
    ) -> Changed:
        """Change the selected plays in one transaction; those that cannot be changed stay and are counted."""

        def apply(connection: Connection) -> list[EditResult]:
            rows = own_plays(connection, visitor, wanted, removed=removed)
            return [done for row in rows if (done := edit_one(connection, row, change)) is not None]

        results = await self.database.run(apply)
        self.service.interpreter.told.set()
        return Changed(results, len(wanted))

    def answer(self, request: Request, fields: Mapping[str, str], word: str) -> str:
        return self.back(request, {"back": "/history", **fields}, word)


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


def edit_one(connection: Connection, row: PlayRow, change: EditOne) -> EditResult | None:
    try:
        return change(connection, row)
    except edits.NoEdit:
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
