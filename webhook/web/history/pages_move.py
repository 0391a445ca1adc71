"""The forms that move several plays: by hours, and to another person; each is shown before it is done."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from webhook import clock
from webhook.history import moves
from webhook.history.edits import EditResult
from webhook.queries.plays import PlayJson, with_person
from webhook.storage.tables import PersonRow, PlayRow
from webhook.web.history.pages_select import Selection
from webhook.web.history.selection import find_watcher, own_plays, parse_hours, selected_ids
from webhook.web.http.page import local
from webhook.web.visible import Visitor


class Moves(Selection):
    def routes(self) -> list[BaseRoute]:
        return [
            Route("/history/selected/shift/look", self.answers(self.preview_shift), methods=["POST"]),
            Route("/history/selected/shift", self.change(self.shift), methods=["POST"]),
            Route(
                "/history/selected/person/look",
                self.answers(self.preview_reassign, owner=True),
                methods=["POST"],
            ),
            Route("/history/selected/person", self.change(self.reassign, owner=True), methods=["POST"]),
        ]

    async def preview_shift(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> Response:
        """Show the new dates of the first and the last play before anything changes."""
        by_time, wanted = parse_hours(fields.get("hours", "")), selected_ids(fields)

        def read(connection: Connection) -> tuple[list[PlayJson], list[PlayJson]]:
            now = clock.now()
            rows = own_plays(connection, visitor, wanted)
            going = [row for row in rows if moves.can_shift(row, by_time, now)]
            going.sort(key=lambda row: row.watched_at or row.started_at)
            return with_person(connection, going), with_person(connection, rows)

        going, plays = await self.database.read(read)
        ends = dict.fromkeys((0, len(going) - 1)) if going else ()
        known = {
            "does": "shift",
            "plays": plays,
            "going": len(going),
            "hours": by_time / timedelta(hours=1),
            "ends": [(going[place], shift_stamp(going[place]["watched_at"], by_time)) for place in ends],
            "back": local(fields.get("back", "")),
        }
        return self.render(request, "move_look.html", known, visitor)

    async def shift(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        by_time = parse_hours(fields.get("hours", ""))

        def shift_one(connection: Connection, row: PlayRow) -> EditResult:
            return moves.shift_play(
                connection, row.id, by_time, self.service.trackers, visitor.name, clock.now()
            )

        done = await self.edit_all(visitor, selected_ids(fields), shift_one)
        return self.answer(request, fields, f"shifted-{done.counts}-{done.resends}")

    async def preview_reassign(
        self, request: Request, visitor: Visitor, fields: Mapping[str, str]
    ) -> Response:
        """Show what goes to the other person, and what trackers are told, before anything changes."""
        wanted = selected_ids(fields)

        def read(connection: Connection) -> tuple[PersonRow, list[PlayJson], moves.ReassignPreview]:
            to, rows = (
                find_watcher(connection, fields.get("person", "")),
                own_plays(connection, visitor, wanted),
            )
            found = moves.preview_reassign(connection, rows, to.id, self.service.trackers)
            return to, with_person(connection, rows), found

        to, plays, found = await self.database.read(read)
        known = {
            "does": "person",
            "plays": plays,
            "to": to.name,
            "going": found.plays,
            "preview": found,
            "back": local(fields.get("back", "")),
        }
        return self.render(request, "move_look.html", known, visitor)

    async def reassign(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        to = await self.database.read(lambda connection: find_watcher(connection, fields.get("person", "")))

        def reassign_one(connection: Connection, row: PlayRow) -> EditResult:
            return moves.reassign_play(
                connection, row.id, to.id, self.service.trackers, visitor.name, clock.now()
            )

        done = await self.edit_all(visitor, selected_ids(fields), reassign_one)
        return self.answer(request, fields, f"reassigned-{done.counts}-{done.resends}")


def shift_stamp(stamped: str | None, by_time: timedelta) -> str | None:
    return None if stamped is None else clock.stamp(datetime.fromisoformat(stamped) + by_time)
