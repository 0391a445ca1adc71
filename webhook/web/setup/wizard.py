"""The first-start wizard: password, source, tracker, done; every step can be skipped and revisited."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from webhook import trackers
from webhook.web import visible
from webhook.web.http.arrivals import arrivals
from webhook.web.http.errors import Problem
from webhook.web.http.models import validate
from webhook.web.people import actions as administration
from webhook.web.people.models import PersonChange, PersonDetail
from webhook.web.setup.pages import Setup, read_sources
from webhook.web.visible import Visitor


class Wizard(Setup):
    def routes(self) -> list[BaseRoute]:
        return [
            Route("/wizard", self.page(self.first)),
            Route("/wizard/source", self.owners(self.choose)),
            Route("/wizard/source/{source}", self.owners(self.source)),
            Route("/wizard/tracker", self.page(self.tracker)),
            Route("/wizard/done", self.page(self.finish)),
            Route("/wizard/time-zone", self.change(self.zone), methods=["POST"]),
        ]

    async def first(self, request: Request, visitor: Visitor) -> Response:
        return self.redirect_to(request, "/wizard/source" if visitor.is_admin else "/wizard/tracker")

    async def choose(self, request: Request, visitor: Visitor) -> Response:
        known = {**await read_sources(self.service, request, visitor), "person": await self.person(visitor)}
        return self.render(request, "wizard_source.html", known, visitor)

    async def source(self, request: Request, visitor: Visitor) -> Response:
        known = await read_sources(self.service, request, visitor)
        wanted = request.path_params["source"]
        if wanted not in known["sources"]:
            raise Problem(404, "There is no such source, or no webhook token for it. Create one in Settings.")
        asked, names = await self.database.read(
            lambda connection: (visible.open_identities(connection, visitor), visible.names(connection))
        )
        shown = {
            **known,
            "name": wanted,
            "source": known["sources"][wanted],
            "unclaimed": [identity for identity in asked if identity["source"] == wanted],
            "names": names,
        }
        return self.render(request, "wizard_waiting.html", shown, visitor)

    async def tracker(self, request: Request, visitor: Visitor) -> Response:
        accounts = await self.accounts(visitor)
        known = {"trackers": trackers.modules(), "accounts": accounts, "person": await self.person(visitor)}
        return self.render(request, "wizard_tracker.html", known, visitor)

    async def zone(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        """Store the visitor's time zone, as reported by the browser."""
        given = {"timezone": fields.get("timezone", "")}
        await administration.change(self.service, visitor, visitor.name or "", validate(PersonChange, given))
        return self.back(request, fields, "saved")

    async def person(self, visitor: Visitor) -> PersonDetail:
        return await self.database.read(
            lambda connection: administration.one_person(connection, visitor, visitor.name or "")
        )

    async def accounts(self, visitor: Visitor) -> dict[str, Any]:
        """The visitor's own accounts, by tracker."""
        own = Visitor(person_id=visitor.person_id, name=visitor.name)
        mine = await self.database.read(lambda connection: visible.accounts(connection, own))
        return {account["tracker"]: account for account in mine}

    async def finish(self, request: Request, visitor: Visitor) -> Response:
        def read(connection: Connection) -> dict[str, Any]:
            return {
                "came": arrivals(connection, visitor),
                "person": administration.one_person(connection, visitor, visitor.name or ""),
                "unclaimed": visible.open_identities(connection, visitor),
            }

        known = await self.database.read(read)
        labels = {name: module.LABEL for name, module in trackers.modules().items()}
        accounts = await self.accounts(visitor)
        return self.render(
            request, "wizard_done.html", {**known, "labels": labels, "accounts": accounts}, visitor
        )
