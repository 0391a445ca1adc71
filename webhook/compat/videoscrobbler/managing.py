"""The JSON API for apps and for who sees whom: /api/v1/apps and /api/v1/privacy, as `watchmark apps` has them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from webhook import clock, people
from webhook.compat.videoscrobbler import apps
from webhook.web.api import Gate, as_json, owner_only
from webhook.web.asked import Params, id_of, json_object
from webhook.web.changes import write
from webhook.web.shell import Problem
from webhook.web.views import Visitor

if TYPE_CHECKING:
    from webhook.app import Service

Answer = Callable[[Request, Visitor], Awaitable[Any]]


class Managing:
    """The owner manages every app; everybody else their own."""

    def __init__(self, service: Service, gate: Gate) -> None:
        self.service = service
        self.gate = gate
        self.database = service.database

    def routes(self) -> list[BaseRoute]:
        return [
            self.route("/api/v1/apps", GET=self.listed, POST=self.add),
            self.route("/api/v1/apps/{id}", PUT=self.suspend, DELETE=self.remove),
            self.route("/api/v1/privacy", GET=self.privacy, PUT=self.set_privacy),
        ]

    def route(self, path: str, **answers: Answer) -> BaseRoute:
        async def endpoint(request: Request) -> Response:
            method = "GET" if request.method == "HEAD" else request.method
            return as_json(await answers[method](request, await self.gate.admit(request)))

        return Route(path, endpoint, methods=[*answers])

    async def listed(self, request: Request, visitor: Visitor) -> Any:
        return {"items": await self.seen(visitor), "next": None}

    async def seen(self, visitor: Visitor) -> list[dict[str, Any]]:
        only = None if visitor.everything else visitor.person_id
        return await self.database.read(lambda connection: apps.listed(connection, only))

    async def add(self, request: Request, visitor: Visitor) -> Any:
        params = Params(await json_object(request))
        params.only(("name", "person"))
        name, whose = params.text("name") or "", params.text("person")
        if not visitor.everything and whose not in (None, visitor.name):
            raise Problem(403, "person: an app of your own can be made here, and nobody else's.")

        def added(connection: Connection) -> apps.Made:
            person_id = visitor.person_id if not visitor.everything else None
            if visitor.everything and whose is not None:
                person_id = people.by_name(connection, whose).id
            return apps.add(connection, self.service.seal, name, person_id, clock.now())

        made = await self.changed(added)
        return {**await self.one(visitor, made.id), "secret": made.secret}

    async def suspend(self, request: Request, visitor: Visitor) -> Any:
        wanted = id_of(request)
        suspended = (await json_object(request)).get("suspended")
        if not isinstance(suspended, bool):
            raise Problem(422, "suspended must be true or false.")
        await self.one(visitor, wanted)
        at = clock.now() if suspended else None
        await self.changed(lambda connection: apps.suspend(connection, wanted, at))
        return await self.one(visitor, wanted)

    async def remove(self, request: Request, visitor: Visitor) -> Any:
        wanted = id_of(request)
        await self.one(visitor, wanted)
        await self.changed(lambda connection: apps.remove(connection, wanted, clock.now()))
        return {"id": wanted, "removed": True}

    async def one(self, visitor: Visitor, wanted: int) -> dict[str, Any]:
        found = next((entry for entry in await self.seen(visitor) if entry["id"] == wanted), None)
        if found is None:
            raise Problem(404, f"There is no app {wanted}.")
        return found

    # --- who sees whom

    async def privacy(self, request: Request, visitor: Visitor) -> Any:
        name = self.whose(visitor, Params(request.query_params).text("person"))
        return await self.shown(name)

    async def set_privacy(self, request: Request, visitor: Visitor) -> Any:
        params = Params(await json_object(request))
        params.only(("person", "seen_by"))
        name, whom = self.whose(visitor, params.text("person")), params.choice("seen_by", apps.SEEN_BY)
        if whom is None:
            raise Problem(422, f"seen_by must be one of {', '.join(apps.SEEN_BY)}.")

        def change(connection: Connection) -> None:
            apps.set_seen_by(connection, people.by_name(connection, name).id, whom)

        await self.changed(change)
        return await self.shown(name)

    def whose(self, visitor: Visitor, name: str | None) -> str:
        if name not in (None, visitor.name):
            owner_only(visitor)
        if (name or visitor.name) is None:
            raise Problem(400, "person must say whose.")
        return name or visitor.name or ""

    async def shown(self, name: str) -> Any:
        def look(connection: Connection) -> str:
            return apps.seen_by(connection, people.by_name(connection, name).id)

        try:
            return {"person": name, "seen_by": await self.database.read(look)}
        except people.Unknown as error:
            raise Problem(404, f"{error}.") from error

    async def changed(self, change: Callable[[Connection], Any]) -> Any:
        try:
            return await write(self.database, change)
        except people.Unknown as error:
            raise Problem(422, f"{error}.") from error
