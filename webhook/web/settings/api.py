"""The service itself: its settings and tokens, a backup, and the document of this API."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from webhook.web.docs import openapi
from webhook.web.http.addresses import address_of
from webhook.web.http.api import Answers, Table, as_json, owner_only
from webhook.web.http.params import id_of, json_object
from webhook.web.people import actions as administration
from webhook.web.visible import Visitor


class Settings(Answers):
    def table(self) -> Table:
        return [
            ("/tokens", {"GET": self.tokens, "POST": self.make_token}),
            ("/tokens/{id}", {"DELETE": self.revoke}),
            ("/settings", {"GET": self.settings, "PUT": self.set}),
            ("/backup", {"GET": self.backup}),
        ]

    def routes(self) -> list[BaseRoute]:
        return [Route("/api/v1/openapi.json", self.openapi), *super().routes()]

    async def tokens(self, request: Request, visitor: Visitor) -> Any:
        return await self.listed(
            lambda connection: administration.list_tokens(connection, self.service.seal, visitor)
        )

    async def make_token(self, request: Request, visitor: Visitor) -> Any:
        given = await json_object(request)
        return await administration.make_token(
            self.service, visitor, given, address_of(self.service, request)
        )

    async def revoke(self, request: Request, visitor: Visitor) -> Any:
        wanted = id_of(request)
        await self.database.run(lambda connection: administration.revoke_token(connection, visitor, wanted))
        return {"id": wanted, "revoked": True}

    async def settings(self, request: Request, visitor: Visitor) -> Any:
        owner_only(visitor)
        return {"items": administration.settings(self.service), "next": None}

    async def set(self, request: Request, visitor: Visitor) -> Any:
        owner_only(visitor)
        await administration.set_settings(self.service, await json_object(request))
        return await self.settings(request, visitor)

    async def backup(self, request: Request, visitor: Visitor) -> Response:
        owner_only(visitor)
        return await download(self.service)

    async def openapi(self, request: Request) -> Response:
        return as_json(openapi.document(address_of(self.service, request)))


async def download(service: Any) -> Response:
    """A backup, streamed as a file; raises Problem."""
    file, size = await administration.backed_up(service)
    headers = {
        "Content-Length": str(size),
        "Content-Disposition": f'attachment; filename="{administration.backup_name()}"',
    }
    return StreamingResponse(administration.pieces(file), media_type="application/zip", headers=headers)
