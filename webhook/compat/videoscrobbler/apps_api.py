"""The JSON API of apps and of privacy."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection
from starlette.requests import Request

from webhook.compat.videoscrobbler import apps
from webhook.compat.videoscrobbler import apps_actions as actions
from webhook.web.actions import find_person
from webhook.web.http.api import Answers, Table, owner_only
from webhook.web.http.errors import Problem
from webhook.web.http.params import Params, id_of, json_object
from webhook.web.visible import Visitor


class AppsApi(Answers):
    def table(self) -> Table:
        return [
            ("/apps", {"GET": self.apps, "POST": self.add}),
            ("/apps/{id}", {"PUT": self.suspend, "DELETE": self.remove}),
            ("/privacy", {"GET": self.privacy, "PUT": self.set_privacy}),
        ]

    async def apps(self, request: Request, visitor: Visitor) -> Any:
        return await self.listed(lambda connection: actions.read_apps(connection, self.service.seal, visitor))

    async def add(self, request: Request, visitor: Visitor) -> Any:
        params = Params(await json_object(request))
        params.only(("name", "person"))
        return await actions.add_app(self.service, visitor, params.text("name") or "", params.text("person"))

    async def suspend(self, request: Request, visitor: Visitor) -> Any:
        wanted, given = id_of(request), await json_object(request)
        Params(given).only(("suspended",))
        suspended = given.get("suspended")
        if not isinstance(suspended, bool):
            raise Problem(422, "suspended must be true or false.")
        return await actions.suspend_or_resume(self.service, visitor, wanted, suspended)

    async def remove(self, request: Request, visitor: Visitor) -> Any:
        wanted = id_of(request)
        await actions.delete_app(self.service, visitor, wanted)
        return {"id": wanted, "removed": True}

    async def privacy(self, request: Request, visitor: Visitor) -> Any:
        return await self.privacy_json(visitor, person_param(visitor, Params(request.query_params)))

    async def set_privacy(self, request: Request, visitor: Visitor) -> Any:
        params = Params(await json_object(request))
        params.only(("person", "seen_by"))
        name, whom = person_param(visitor, params), params.choice("seen_by", apps.SEEN_BY)
        if whom is None:
            raise Problem(422, f"seen_by must be one of {', '.join(apps.SEEN_BY)}.")
        await actions.change_seen_by(self.database, visitor, name, whom)
        return await self.privacy_json(visitor, name)

    async def privacy_json(self, visitor: Visitor, name: str) -> Any:
        def look(connection: Connection) -> str:
            return apps.seen_by(connection, find_person(connection, visitor, name).id)

        return {"person": name, "seen_by": await self.database.read(look)}


def person_param(visitor: Visitor, params: Params) -> str:
    name = params.text("person")
    if name not in (None, visitor.name):
        owner_only(visitor)
    if (name or visitor.name) is None:
        raise Problem(400, "person must say whose.")
    return name or visitor.name or ""
