"""The JSON API for people, their sign-ins, tokens, the settings made in the browser, and backups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from webhook.rules import Filters
from webhook.web import changes, house
from webhook.web.addresses import address_of
from webhook.web.api import Answer, Answers, owner_only
from webhook.web.asked import id_of, json_object
from webhook.web.changes import write
from webhook.web.preview import meanings, preview
from webhook.web.views import Visitor


class PeopleApi(Answers):
    def table(self) -> list[tuple[str, Mapping[str, Answer]]]:
        return [
            ("/people/{name:path}/invite", {"POST": self.invite}),
            ("/people/{name:path}/filters/preview", {"POST": self.preview}),
            ("/people/{name:path}", {"GET": self.person_shown, "PATCH": self.change, "DELETE": self.remove}),
            ("/tokens", {"GET": self.tokens, "POST": self.make_token}),
            ("/tokens/{id}", {"DELETE": self.revoke}),
            ("/settings", {"GET": self.settings, "PUT": self.set}),
            ("/backup", {"GET": self.backup}),
        ]

    # --- people

    async def person_shown(self, request: Request, visitor: Visitor) -> Any:
        name = request.path_params["name"]
        return await self.database.read(lambda connection: house.one_person(connection, visitor, name))

    async def change(self, request: Request, visitor: Visitor) -> Any:
        name, given = request.path_params["name"], await json_object(request)
        return await house.change(self.service, visitor, name, given)

    async def remove(self, request: Request, visitor: Visitor) -> Any:
        owner_only(visitor)
        name = request.path_params["name"]
        gone = await write(self.database, lambda connection: house.remove_person(connection, visitor, name))
        return {"name": name, "removed": True, "gone": gone}

    async def invite(self, request: Request, visitor: Visitor) -> Any:
        owner_only(visitor)
        here = address_of(self.service, request)
        return await house.invite(self.service, visitor, request.path_params["name"], here)

    async def preview(self, request: Request, visitor: Visitor) -> Any:
        name = request.path_params["name"]
        chosen = Filters.from_json(changes.filters_given(await json_object(request)))
        read = await self.database.read(
            lambda connection: meanings(connection, changes.somebody(connection, visitor, name))
        )
        return preview(read, chosen)

    # --- tokens

    async def tokens(self, request: Request, visitor: Visitor) -> Any:
        return await self.listed(lambda connection: house.tokens(connection, visitor))

    async def make_token(self, request: Request, visitor: Visitor) -> Any:
        given = await json_object(request)
        return await house.make_token(self.service, visitor, given, address_of(self.service, request))

    async def revoke(self, request: Request, visitor: Visitor) -> Any:
        wanted = id_of(request)
        await write(self.database, lambda connection: house.revoke_token(connection, visitor, wanted))
        return {"id": wanted, "revoked": True}

    # --- the house

    async def settings(self, request: Request, visitor: Visitor) -> Any:
        owner_only(visitor)
        return {"items": house.settings(self.service), "next": None}

    async def set(self, request: Request, visitor: Visitor) -> Any:
        owner_only(visitor)
        await house.set_settings(self.service, await json_object(request))
        return await self.settings(request, visitor)

    async def backup(self, request: Request, visitor: Visitor) -> Response:
        owner_only(visitor)
        return await download(self.service)


async def download(service: Any) -> Response:
    """A backup, streamed as a file; raises Problem."""
    file, size = await house.backed_up(service)
    headers = {
        "Content-Length": str(size),
        "Content-Disposition": f'attachment; filename="{house.backup_name()}"',
    }
    return StreamingResponse(house.pieces(file), media_type="application/zip", headers=headers)
