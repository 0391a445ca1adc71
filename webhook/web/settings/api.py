"""API of the service itself: settings, tokens, and a backup."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response, StreamingResponse

from webhook.people.scopes import Scope
from webhook.queries.paging import Page
from webhook.service import Service
from webhook.web.http.addresses import address_of
from webhook.web.http.api import list_of
from webhook.web.http.models import Body
from webhook.web.http.operations import Call, Operation
from webhook.web.people import actions as people_actions
from webhook.web.people.models import NewToken, RevokedToken, TokenJson, TokenRequest
from webhook.web.settings import actions
from webhook.web.settings.models import Setting, SettingValues


async def list_tokens(call: Call[None, None]) -> Page[TokenJson]:
    """The valid tokens, without their secrets."""
    return list_of(
        await call.read(
            lambda connection: people_actions.list_tokens(connection, call.service.seal, call.visitor)
        )
    )


async def make_token(call: Call[TokenRequest, None]) -> NewToken:
    """Create a token; its secret is shown only once."""
    address = address_of(call.service, call.request)
    return await people_actions.make_token(call.service, call.visitor, call.body, address)


async def revoke_token(call: Call[None, None]) -> RevokedToken:
    """Revoke a token."""
    wanted = call.id
    await call.write(lambda connection: people_actions.revoke_token(connection, call.visitor, wanted))
    return {"id": wanted, "revoked": True}


async def list_settings(call: Call[Any, None]) -> Page[Setting]:
    """The settings that can be changed here. Owner only."""
    return list_of(actions.list_settings(call.service))


async def set_settings(call: Call[Body, None]) -> Page[Setting]:
    """Change settings, null for the default; the service reloads with them."""
    await actions.set_settings(call.service, call.body.model_dump(exclude_unset=True))
    return await list_settings(call)


async def get_backup(call: Call[None, None]) -> Response:
    """A copy of the whole database. It holds everybody's history, password hashes and sealed sign-ins."""
    return await download(call.service)


async def download(service: Service) -> Response:
    """A backup, streamed as a file; raises Problem."""
    file, size = await actions.make_backup(service)
    headers = {
        "Content-Length": str(size),
        "Content-Disposition": f'attachment; filename="{actions.backup_name()}"',
    }
    return StreamingResponse(actions.pieces(file), media_type="application/zip", headers=headers)


OPERATIONS: tuple[Operation[Any, Any], ...] = (
    Operation("GET", "/tokens", list_tokens, Scope.ADMIN),
    Operation("POST", "/tokens", make_token, Scope.ADMIN, body=TokenRequest),
    Operation("DELETE", "/tokens/{id}", revoke_token, Scope.ADMIN),
    Operation("GET", "/settings", list_settings, Scope.ADMIN, owner_only=True),
    Operation("PUT", "/settings", set_settings, Scope.ADMIN, owner_only=True, body=SettingValues),
    Operation("GET", "/backup", get_backup, Scope.ADMIN, owner_only=True, reply_media=("application/zip",)),
)
