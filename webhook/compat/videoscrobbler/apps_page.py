"""Managing apps and who sees whom: what may be done about them, and the JSON API that does it.

The page and `watchmark apps` have the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection
from starlette.requests import Request

from webhook import clock
from webhook.accounts.credentials import Seal
from webhook.compat.videoscrobbler import apps
from webhook.people import people
from webhook.service import Service
from webhook.storage.db import Database
from webhook.web.actions import _sentence_of, find_person
from webhook.web.http.api import Answers, Table, owner_only
from webhook.web.http.errors import Problem
from webhook.web.http.params import Params, id_of, json_object
from webhook.web.visible import Visitor

Shown = dict[str, Any]


# --- what may be done: the owner manages every app, everybody else their own


def seen(connection: Connection, seal: Seal, visitor: Visitor) -> list[Shown]:
    return apps.listed(connection, seal, None if visitor.is_admin else visitor.person_id)


def one(connection: Connection, seal: Seal, visitor: Visitor, app_id: int) -> Shown:
    """The app; raises Problem for one that is not the visitor's to see."""
    found = next((entry for entry in seen(connection, seal, visitor) if entry["id"] == app_id), None)
    if found is None:
        raise Problem(404, f"There is no app {app_id}.")
    return found


async def add(service: Service, visitor: Visitor, name: str, whose: str | None) -> Shown:
    """A new app with its secret, which is never shown again; a member's is their own. Raises Problem."""
    if not visitor.is_admin and whose not in (None, visitor.name):
        raise Problem(403, "person: an app of your own can be made here, and nobody else's.")

    def added(connection: Connection) -> Shown:
        person_id = visitor.person_id if not visitor.is_admin else None
        if visitor.is_admin and whose is not None:
            person_id = people.find_person(connection, whose).id
        made = apps.add(connection, service.seal, name, person_id, clock.now())
        return {**one(connection, service.seal, visitor, made.id), "secret": made.secret}

    return dict(await changed(service.database, added))


async def suspend(service: Service, visitor: Visitor, app_id: int, suspended: bool) -> Shown:
    """Let an app in no more, or again; raises Problem."""

    def done(connection: Connection) -> Shown:
        one(connection, service.seal, visitor, app_id)
        apps.suspend(connection, app_id, clock.now() if suspended else None)
        return one(connection, service.seal, visitor, app_id)

    return dict(await changed(service.database, done))


async def remove(service: Service, visitor: Visitor, app_id: int) -> None:
    """Remove an app and end its sessions; raises Problem."""

    def done(connection: Connection) -> None:
        one(connection, service.seal, visitor, app_id)
        apps.remove(connection, app_id, clock.now())

    await changed(service.database, done)


async def set_seen_by(database: Database, visitor: Visitor, name: str, whom: str) -> None:
    """Say who sees what this person watches; raises Problem."""
    await changed(
        database,
        lambda connection: apps.set_seen_by(connection, find_person(connection, visitor, name).id, whom),
    )


async def changed(database: Database, change: Callable[[Connection], Any]) -> Any:
    try:
        return await database.run(change)
    except people.PeopleError as error:
        raise Problem(422, _sentence_of(error)) from error


# --- the API


class Managing(Answers):
    def table(self) -> Table:
        return [
            ("/apps", {"GET": self.apps, "POST": self.add}),
            ("/apps/{id}", {"PUT": self.suspend, "DELETE": self.remove}),
            ("/privacy", {"GET": self.privacy, "PUT": self.set_privacy}),
        ]

    async def apps(self, request: Request, visitor: Visitor) -> Any:
        return await self.listed(lambda connection: seen(connection, self.service.seal, visitor))

    async def add(self, request: Request, visitor: Visitor) -> Any:
        params = Params(await json_object(request))
        params.only(("name", "person"))
        return await add(self.service, visitor, params.text("name") or "", params.text("person"))

    async def suspend(self, request: Request, visitor: Visitor) -> Any:
        wanted, given = id_of(request), await json_object(request)
        Params(given).only(("suspended",))
        suspended = given.get("suspended")
        if not isinstance(suspended, bool):
            raise Problem(422, "suspended must be true or false.")
        return await suspend(self.service, visitor, wanted, suspended)

    async def remove(self, request: Request, visitor: Visitor) -> Any:
        wanted = id_of(request)
        await remove(self.service, visitor, wanted)
        return {"id": wanted, "removed": True}

    async def privacy(self, request: Request, visitor: Visitor) -> Any:
        return await self.shown(visitor, whose(visitor, Params(request.query_params)))

    async def set_privacy(self, request: Request, visitor: Visitor) -> Any:
        params = Params(await json_object(request))
        params.only(("person", "seen_by"))
        name, whom = whose(visitor, params), params.choice("seen_by", apps.SEEN_BY)
        if whom is None:
            raise Problem(422, f"seen_by must be one of {', '.join(apps.SEEN_BY)}.")
        await set_seen_by(self.database, visitor, name, whom)
        return await self.shown(visitor, name)

    async def shown(self, visitor: Visitor, name: str) -> Any:
        def look(connection: Connection) -> str:
            return apps.seen_by(connection, find_person(connection, visitor, name).id)

        return {"person": name, "seen_by": await self.database.read(look)}


def whose(visitor: Visitor, params: Params) -> str:
    name = params.text("person")
    if name not in (None, visitor.name):
        owner_only(visitor)
    if (name or visitor.name) is None:
        raise Problem(400, "person must say whose.")
    return name or visitor.name or ""
