"""The forms that change several plays at once: remove them, bring them back, move them to another day, send them again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from webhook import clock
from webhook.history import edits, restoration
from webhook.history.edits import EditResult
from webhook.history.stats_span import zone_for
from webhook.queries.plays import PlayJson, with_person
from webhook.storage.tables import PlayRow
from webhook.web import visible
from webhook.web.history.selection import (
    Changed,
    EditOne,
    edit_one,
    on_day,
    own_plays,
    parse_day,
    resend_marks,
    selected_ids,
)
from webhook.web.http.errors import Problem
from webhook.web.http.once import Once
from webhook.web.http.page import local
from webhook.web.http.params import whole
from webhook.web.visible import Visitor

CHANGES = ("remove", "restore", "move", "send")


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

        def read(connection: Connection) -> tuple[list[PlayJson], list[str]]:
            rows = own_plays(connection, visitor, wanted, removed=removed)
            return with_person(connection, rows), visible.names(connection) if visitor.is_admin else []

        plays, names = await self.database.read(read)
        if not plays:
            return self.redirect_to(request, self.back(request, fields, "unselected"))
        known = {"plays": plays, "does": does, "names": names, "back": local(fields.get("back", ""))}
        return self.render(request, "move.html" if does == "move" else "selected.html", known, visitor)

    async def remove(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        now = clock.now()

        def remove_one(connection: Connection, row: PlayRow) -> EditResult:
            return edits.remove_play(connection, row.id, self.service.trackers, visitor.name, now)

        done = await self.edit_all(visitor, selected_ids(fields), remove_one)
        undo = done.results[0]["edit"] if done.results else None
        return self.answer(request, fields, f"gone-{done.counts}", undo)

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

    def answer(self, request: Request, fields: Mapping[str, str], word: str, undo: int | None = None) -> str:
        return self.back(request, {"back": "/history", **fields}, word, undo)
