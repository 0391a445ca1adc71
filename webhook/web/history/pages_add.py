"""The page that adds a play by hand."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from webhook import clock
from webhook.domain.event import Kind
from webhook.history.stats_span import zone_of
from webhook.storage.tables import PersonRow
from webhook.transfer import manual_plays
from webhook.transfer.manual_plays import Added, Invalid, NewPlay
from webhook.web.history.pages import ID_NAMES
from webhook.web.http.once import Once
from webhook.web.http.params import Params
from webhook.web.visible import Visitor

FIELDS_WITH_ERRORS = ("title", "show", "season", "number", "year", "ids", "show_ids", "watched_at", "rewatch")
"""The fields that can show an error of their own."""


TODAY = "today"
"""The date of a form with one button, which may have been drawn on an earlier day."""


class AddPlay(Once):
    def routes(self) -> list[BaseRoute]:
        return [
            Route("/history/add", self.page(self.form)),
            Route("/history/add", self.answers(self.add), methods=["POST"]),
        ]

    async def form(self, request: Request, visitor: Visitor) -> Response:
        params = Params(request.query_params)
        owner, names = await self.chosen_person(params, visitor)
        typed = {"kind": params.choice("kind", manual_plays.ITEM_TYPES) or Kind.MOVIE.value}
        return self.draw(request, visitor, owner, names, typed)

    async def add(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> Response:
        owner, names = await self.chosen_person(Params(fields), visitor)

        def store(connection: Connection) -> Added:
            now = clock.now()
            new = new_play(fields, owner, now)
            return manual_plays.add(connection, owner.id, new, self.service.trackers, visitor.name, now)

        try:
            done = await self.database.run(store)
        except Invalid as error:
            return self.draw(request, visitor, owner, names, fields, error)
        self.service.interpreter.told.set()
        said = "added" if done.is_new else "known"
        path = f"/history/plays/{done.play_id}?said={said}"
        return self.redirect_to(request, self.back(request, fields, said) if "back" in fields else path)

    def draw(
        self,
        request: Request,
        visitor: Visitor,
        owner: PersonRow,
        names: list[str],
        typed: Mapping[str, str],
        error: Invalid | None = None,
    ) -> Response:
        known = {
            "owner": owner.name,
            "names": names,
            "kind": typed.get("kind", ""),
            "typed": typed,
            "typed_ids": any(value for name, value in typed.items() if "ids." in name),
            "zone": zone_of(owner.timezone),
            "key": typed.get("key") or secrets.token_hex(8),
            "refused": str(error) if error else None,
            "about": error.field if error else "",
            "fields": FIELDS_WITH_ERRORS,
        }
        return self.render(request, "add_play.html", known, visitor, 422 if error else 200)


def new_play(fields: Mapping[str, str], owner: PersonRow, now: Any) -> NewPlay:
    """The play described by the form; raises Invalid."""
    zone = zone_of(owner.timezone)
    today = now.astimezone(zone).date()
    item = manual_plays.read_item(fields.get("kind", ""), item_fields(fields), today)
    given = today.isoformat() if fields.get("date") == TODAY else date_field(fields)
    at, dated = manual_plays.read_date(given, zone, now)
    key = fields.get("key", "")[:100] or None
    return NewPlay(item=item, watched_at=at, dated=dated, rewatch="rewatch" in fields, key=key)


def item_fields(fields: Mapping[str, str]) -> dict[str, Any]:
    typed: dict[str, Any] = {name: fields[name] for name in ("title", "show") if fields.get(name, "").strip()}
    for name in ("season", "number", "year"):
        if value := fields.get(name, "").strip():
            # A value that is not a number stays as typed and is refused later.
            typed[name] = int(value) if value.isascii() and value.isdigit() and len(value) < 10 else value
    for whole in ("ids", "show_ids"):
        ids = {name: value for name in ID_NAMES if (value := fields.get(f"{whole}.{name}", "").strip())}
        if ids:
            typed[whole] = ids
    return typed


def date_field(fields: Mapping[str, str]) -> str | None:
    """The date, with its time if given; None if unknown. Raises Invalid."""
    if "unknown" in fields:
        return None
    day, time = fields.get("date", "").strip(), fields.get("time", "").strip()
    if not day:
        raise Invalid("watched_at", "Choose the day, or check “Date unknown”.")
    return f"{day}T{time}" if time else day
