"""The page of a person's apps: available apps, open sessions, and the privacy setting."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from webhook.compat.videoscrobbler import apps, apps_actions
from webhook.web import actions as changes
from webhook.web.http.addresses import address_of
from webhook.web.http.errors import Problem
from webhook.web.http.once import Once
from webhook.web.http.params import id_of
from webhook.web.people import actions as administration
from webhook.web.visible import Visitor

MANY = 100
"""How many of the people who share are listed by name."""


class AppsPage(Once):
    def routes(self) -> list[BaseRoute]:
        one = "/people/{name:path}/apps"
        return [
            Route(one, self.page(self.show_apps), methods=["GET"]),
            Route(one, self.answers(self.add), methods=["POST"]),
            Route(f"{one}/privacy", self.change(self.privacy), methods=["POST"]),
            *(
                Route(f"{one}/{{id}}/{word}", self.change(getattr(self, word)), methods=["POST"])
                for word in ("suspend", "resume", "remove")
            ),
        ]

    async def show_apps(self, request: Request, visitor: Visitor) -> Response:
        name = request.path_params["name"]

        def read_apps(connection: Connection) -> list[apps.AppJson]:
            return apps_actions.read_apps(connection, self.service.seal, visitor)

        def read_page(connection: Connection) -> dict[str, object]:
            row = changes.find_person(connection, visitor, name)
            own = Visitor(person_id=row.id, name=row.name)
            tokens = administration.list_tokens(connection, self.service.seal, own)
            number, sharing = apps.others_who_share(connection, row.id, 0, MANY)
            return {
                "apps": [one for one in read_apps(connection) if one["person"] in (None, row.name)],
                "sessions": [token for token in tokens if token["kind"] == apps.KIND],
                "seen_by": apps.audience_of(connection, row.id),
                "sharing": [other.name for other in sharing],
                "others": max(number - MANY, 0),
            }

        known = {"name": name, "path": path_to(name), "own": visitor.name == name}
        known["address"] = f"{address_of(self.service, request)}/api/1.0/"
        return self.render(request, "apps.html", {**await self.database.read(read_page), **known}, visitor)

    async def add(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> Response:
        """Create an app and show its secret this once."""
        name = request.path_params["name"]
        await self.database.read(lambda connection: changes.find_person(connection, visitor, name))
        whose = None if visitor.is_admin and "shared" in fields else name
        made = await apps_actions.add_app(self.service, visitor, fields.get("app", ""), whose)
        known = {
            "made": made,
            "path": path_to(name),
            "address": f"{address_of(self.service, request)}/api/1.0/",
        }
        return self.render(request, "app.html", known, visitor)

    async def suspend(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        return await self.suspend_or_resume(request, visitor, True)

    async def resume(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        return await self.suspend_or_resume(request, visitor, False)

    async def suspend_or_resume(self, request: Request, visitor: Visitor, wanted: bool) -> str:
        await apps_actions.suspend_or_resume(self.service, visitor, id_of(request), wanted)
        return f"{path_to(request.path_params['name'])}/apps?said=saved"

    async def remove(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        await apps_actions.delete_app(self.service, visitor, id_of(request))
        return f"{path_to(request.path_params['name'])}/apps?said=removed"

    async def privacy(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        name, whom = request.path_params["name"], fields.get("seen_by", "")
        if whom not in apps.SEEN_BY:
            raise Problem(422, "Choose who sees it. Nothing was changed.")
        await apps_actions.change_seen_by(self.database, visitor, name, whom)
        return f"{path_to(name)}/apps?said=saved#privacy"


def path_to(name: str) -> str:
    return f"/people/{quote(name)}"
