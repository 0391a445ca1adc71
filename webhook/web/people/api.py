"""People: the identities they claim, their filters, for whom what plays counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection
from starlette.requests import Request

from webhook import sources
from webhook.domain.rules import Filters
from webhook.people import household
from webhook.web import actions as changes
from webhook.web import visible
from webhook.web.http.addresses import address_of
from webhook.web.http.api import Answers, Table, found_or, owner_only
from webhook.web.http.errors import Problem
from webhook.web.http.params import Params, id_of, json_object
from webhook.web.people import actions as administration
from webhook.web.people.preview import meanings, preview
from webhook.web.visible import Visitor


class People(Answers):
    def table(self) -> Table:
        return [
            ("/people", {"GET": self.people, "POST": self.add_person}),
            ("/people/{name:path}/claim", {"POST": self.claim}),
            ("/people/{name:path}/release", {"POST": self.release}),
            ("/people/{name:path}/filters", {"PUT": self.filters}),
            ("/people/{name:path}/filters/preview", {"POST": self.preview}),
            ("/people/{name:path}/invite", {"POST": self.invite}),
            ("/people/{name:path}/password", {"PUT": self.password}),
            ("/people/{name:path}", {"GET": self.person_shown, "PATCH": self.change, "DELETE": self.remove}),
            ("/identities", {"GET": self.identities}),
            ("/household", {"GET": self.household, "POST": self.share}),
            ("/household/{id}", {"DELETE": self.unshare}),
        ]

    async def people(self, request: Request, visitor: Visitor) -> Any:
        return await self.listed(lambda connection: visible.people(connection, visitor))

    async def add_person(self, request: Request, visitor: Visitor) -> Any:
        owner_only(visitor)
        name = Params(await json_object(request)).text("name") or ""
        await self.database.run(
            lambda connection: changes.add_person(connection, self.service.trackers, name)
        )
        return await self.shown(visitor, name.strip())

    async def person_shown(self, request: Request, visitor: Visitor) -> Any:
        name = request.path_params["name"]
        return await self.database.read(
            lambda connection: administration.one_person(connection, visitor, name)
        )

    async def change(self, request: Request, visitor: Visitor) -> Any:
        name, given = request.path_params["name"], await json_object(request)
        return await administration.change(self.service, visitor, name, given)

    async def remove(self, request: Request, visitor: Visitor) -> Any:
        owner_only(visitor)
        name = request.path_params["name"]
        gone = await self.database.run(
            lambda connection: administration.remove_person(connection, visitor, name)
        )
        return {"name": name, "removed": True, "gone": gone}

    async def invite(self, request: Request, visitor: Visitor) -> Any:
        owner_only(visitor)
        here = address_of(self.service, request)
        return await administration.invite(self.service, visitor, request.path_params["name"], here)

    async def password(self, request: Request, visitor: Visitor) -> Any:
        """One's own, for who knows the one before."""
        name, given = request.path_params["name"], await json_object(request)
        own = self.gate.sessions.own_password
        row = await own.row(visitor, name)
        known, wanted = (given.get(field) for field in ("known", "password"))
        if not isinstance(known, str) or not isinstance(wanted, str) or len(given) > 2:
            raise Problem(422, "The body must hold known, the password now, and password, the new one.")
        await own.change(row, known, wanted)
        return {"name": name, "changed": True}

    async def shown(self, visitor: Visitor, name: str) -> Any:
        everybody = await self.database.read(lambda connection: visible.people(connection, visitor))
        found = next((person for person in everybody if person["name"] == name), None)
        return found_or(found, "There is nobody of that name.")

    # --- what counts for whom

    async def identities(self, request: Request, visitor: Visitor) -> Any:
        ignored = Params(request.query_params).choice("ignored", ("true", "false")) == "true"
        listed = visible.ignore_list if ignored else visible.open_identities
        return await self.listed(lambda connection: listed(connection, visitor))

    async def claim(self, request: Request, visitor: Visitor) -> Any:
        owner_only(visitor)
        return await self.identity_changed(request, visitor, changes.claim)

    async def release(self, request: Request, visitor: Visitor) -> Any:
        return await self.identity_changed(request, visitor, changes.release)

    async def identity_changed(
        self, request: Request, visitor: Visitor, change: Callable[[Connection, str, str], int]
    ) -> Any:
        name = request.path_params["name"]
        wanted = changes.parse_identity(await json_object(request), sources.modules())

        def changed(connection: Connection) -> int:
            changes.find_person(connection, visitor, name)
            return change(connection, name, wanted)

        await self.database.run(changed)
        self.service.interpreter.news.set()
        return await self.shown(visitor, name)

    async def filters(self, request: Request, visitor: Visitor) -> Any:
        name = request.path_params["name"]
        chosen = changes.parse_filters(await json_object(request))

        def changed(connection: Connection) -> None:
            person = changes.find_person(connection, visitor, name)
            changes.set_filters(connection, person.id, chosen)

        await self.database.run(changed)
        return await self.shown(visitor, name)

    async def preview(self, request: Request, visitor: Visitor) -> Any:
        name = request.path_params["name"]
        chosen = Filters.from_json(changes.parse_filters(await json_object(request)))
        read = await self.database.read(
            lambda connection: meanings(connection, changes.find_person(connection, visitor, name))
        )
        return preview(read, chosen)

    async def household(self, request: Request, visitor: Visitor) -> Any:
        owner_only(visitor)
        return await self.listed(household.list_rules)

    async def share(self, request: Request, visitor: Visitor) -> Any:
        owner_only(visitor)
        given = changes.parse_household_rule(await json_object(request))
        made = await self.database.run(lambda connection: changes.add_household_rule(connection, given))
        rules = await self.database.read(household.list_rules)
        return found_or(next((rule for rule in rules if rule["id"] == made), None), "It is gone again.")

    async def unshare(self, request: Request, visitor: Visitor) -> Any:
        owner_only(visitor)
        wanted = id_of(request)
        await self.database.run(lambda connection: changes.remove_household_rule(connection, wanted))
        return {"id": wanted, "removed": True}
