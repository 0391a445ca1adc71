"""The services and accounts: what is set up, tested, signed in to, told, and given up."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request

from webhook import trackers
from webhook.web import actions as changes
from webhook.web import visible
from webhook.web.actions import flag
from webhook.web.connections import actions as connections
from webhook.web.http.api import Answers, Table, found_or, owner_only
from webhook.web.http.errors import Problem
from webhook.web.http.params import Params, clean, id_of, json_object
from webhook.web.visible import Visitor

SIGN_IN = ("tracker", "person", "username", "password", "token")


class Connections(Answers):
    def table(self) -> Table:
        return [
            ("/connections", {"GET": self.connections}),
            ("/connections/{name}", {"GET": self.connection}),
            ("/connections/{name}/test", {"POST": self.test}),
            ("/connections/{name}/settings", {"PUT": self.settings}),
            ("/accounts", {"GET": self.accounts}),
            ("/accounts/connect", {"POST": self.connect}),
            ("/accounts/{id}", {"DELETE": self.disconnect}),
            ("/accounts/{id}/rules", {"PUT": self.rules}),
            ("/accounts/{id}/tells", {"PUT": self.tells}),
            ("/sign-ins/{id}", {"GET": self.sign_in, "DELETE": self.cancel}),
        ]

    async def connections(self, request: Request, visitor: Visitor) -> Any:
        return await self.listed(
            lambda connection: connections.list_services(connection, self.service, visitor)
        )

    async def connection(self, request: Request, visitor: Visitor) -> Any:
        one = connections.find_service(visitor, request.path_params["name"])
        return await self.database.read(
            lambda connection: connections.describe_service(connection, self.service, visitor, one)
        )

    async def test(self, request: Request, visitor: Visitor) -> Any:
        one = connections.find_service(visitor, request.path_params["name"])
        given = await json_object(request, required=False)
        Params(given).only(("account",))
        wanted = given.get("account")
        if wanted is not None and type(wanted) is not int:
            raise Problem(422, "account must be the id of an account; see /api/v1/accounts.")
        results = await connections.test(self.service, visitor, one, wanted)
        return {"name": one.name, "works": all(result["works"] for result in results), "results": results}

    async def settings(self, request: Request, visitor: Visitor) -> Any:
        owner_only(visitor)
        one = connections.find_service(visitor, request.path_params["name"])
        given = await json_object(request)
        Params(given).only(("settings", "anyway"))
        wanted = given.get("settings")
        if not isinstance(wanted, dict):
            raise Problem(422, "settings must be an object of variables and their values.")
        tried = await connections.save(self.service, one, wanted, flag("anyway", given))
        says = "It is switched off." if tried is None else tried.says
        works = None if tried is None else tried.works
        return {"saved": True, "works": works, "says": says, "reopens": self.service.reopen is not None}

    # --- accounts

    async def accounts(self, request: Request, visitor: Visitor) -> Any:
        return await self.listed(lambda connection: visible.accounts(connection, visitor))

    async def rules(self, request: Request, visitor: Visitor) -> Any:
        wanted = id_of(request)
        chosen = changes.parse_rules(await json_object(request))
        await self.database.run(lambda connection: changes.set_rules(connection, visitor, wanted, chosen))
        return await self.account(visitor, wanted)

    async def tells(self, request: Request, visitor: Visitor) -> Any:
        wanted = id_of(request)
        chosen = changes.parse_tells(await json_object(request))
        built = self.service.trackers
        await self.database.run(
            lambda connection: changes.set_tells(connection, built, visitor, wanted, chosen)
        )
        return await self.account(visitor, wanted)

    async def account(self, visitor: Visitor, wanted: int) -> Any:
        mine = await self.database.read(lambda connection: visible.accounts(connection, visitor))
        found = next((account for account in mine if account["id"] == wanted), None)
        return found_or(found, f"There is no account {wanted}.")

    # --- signing in and out

    async def connect(self, request: Request, visitor: Visitor) -> Any:
        given = await json_object(request)
        Params(given).only(SIGN_IN)
        texts = {name: text(name, value) for name, value in given.items()}
        name = Params(texts).choice("tracker", trackers.modules())
        if name is None:
            raise Problem(422, "tracker must say what is signed in to.")
        one = connections.find_service(visitor, name)
        person_id, _ = await connections.resolve_person(self.service, visitor, texts.get("person"))
        if connections.sign_in_of(self.service, one) in ("password", "token"):
            return {**await connections.sign_in(self.service, person_id, one, texts), "sign_in": None}
        made = await connections.begin_sign_in(self.service, person_id, one)
        shown = await self.database.read(lambda connection: connections.describe_sign_in(connection, made))
        return {"account": None, "works": None, "says": None, "sign_in": shown}

    async def disconnect(self, request: Request, visitor: Visitor) -> Any:
        wanted = id_of(request)
        return {"id": wanted, "removed": await connections.disconnect(self.service, visitor, wanted)}

    async def sign_in(self, request: Request, visitor: Visitor) -> Any:
        made = connections.find_sign_in(self.service, visitor, request.path_params["id"])
        return await self.database.read(lambda connection: connections.describe_sign_in(connection, made))

    async def cancel(self, request: Request, visitor: Visitor) -> Any:
        made = connections.find_sign_in(self.service, visitor, request.path_params["id"])
        self.service.sign_ins.cancel(made)
        return await self.database.read(lambda connection: connections.describe_sign_in(connection, made))


def text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not clean(value, connections.MAX_SETTING_LENGTH):
        raise Problem(422, f"{name} must be text of at most {connections.MAX_SETTING_LENGTH} characters.")
    return value
