"""Authentication of API callers, and the replies that operations share."""

from __future__ import annotations

import hmac
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any, TypeVar

import orjson
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from webhook import clock
from webhook.clock import stamp
from webhook.network.asgi import let_in
from webhook.people import scopes, tokens
from webhook.people.scopes import Scope
from webhook.queries.paging import Page
from webhook.storage.db import Database
from webhook.storage.tables import TokenRow
from webhook.transfer.export import Export
from webhook.web.http.errors import Problem
from webhook.web.http.sessions import Sessions, person_by_id, same_site
from webhook.web.visible import Visitor

T = TypeVar("T")

TOKENS_MAX_AGE = 2.0
"""Lifetime of the token cache in seconds, as in the webhook receiver."""

SAFE_METHODS = frozenset({"GET", "HEAD"})
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="watchmark"'}
NO_TOKEN = (
    f"Send an API token as Authorization: Bearer …; make one with: {tokens.token_command('api', None, None)}"
)


class ApiAuth:
    """Admits callers with an API token, or with a sign-in of this browser."""

    def __init__(self, database: Database, sessions: Sessions) -> None:
        self.database = database
        self.sessions = sessions
        self.known: dict[str, TokenRow] = {}
        self.read_at = -TOKENS_MAX_AGE

    async def admit(self, request: Request, needed: Scope) -> Visitor:
        """Admit a caller; raises Problem 401, or 403 if the token lacks the scope or another site sent the request."""
        kind, _, secret = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            visitor = await self.bearer(secret.strip())
        else:
            visitor = await self.sessions.visitor(request)
            self.require_same_site(request, visitor)
        if visitor is None:
            raise Problem(401, NO_TOKEN, CHALLENGE)
        require_scope(visitor, needed)
        let_in(request.scope)
        return visitor

    async def admit_by_query(self, request: Request, needed: Scope) -> Visitor:
        """Admit a caller by the token in the address, which must belong to a person; raises Problem."""
        visitor = await self.bearer(request.query_params.get("token", ""))
        if visitor is None:
            raise Problem(401, "The address needs ?token=…, an API token of a person that is valid.")
        require_scope(visitor, needed)
        if visitor.name is None:
            mend = "Make one: watchmark token new --kind api --scope calendar --person NAME"
            raise Problem(403, f"This token is nobody's, and a calendar is somebody's. {mend}")
        return visitor

    def require_same_site(self, request: Request, visitor: Visitor | None) -> None:
        settings = self.sessions.service.settings
        if visitor and request.method not in SAFE_METHODS and not same_site(request, settings):
            raise Problem(403, "With a sign-in only our own pages may change things; use an API token.")

    async def bearer(self, secret: str) -> Visitor | None:
        """The holder of the token; raises Problem if it has expired. Takes the same time for every wrong one."""
        digest = tokens.digest(secret)
        if digest not in self.known or time.monotonic() - self.read_at > TOKENS_MAX_AGE:
            self.known = await self.database.read(read_tokens)
            self.read_at = time.monotonic()
        found = None
        for known, row in self.known.items():
            if hmac.compare_digest(known, digest):
                found = row
        if found is None:
            return None
        visitor = await self.database.read(lambda connection: read_holder(connection, found))
        if visitor is not None and tokens.has_expired(visitor.expires_at, clock.now()):
            ended = f"This token expired at {stamp(visitor.expires_at)}."
            again = tokens.token_command("api", scopes.names(visitor.scopes), visitor.name)
            raise Problem(401, f"{ended} Make another: {again}", CHALLENGE)
        return visitor


def read_tokens(connection: Connection) -> dict[str, TokenRow]:
    """The API tokens that are not revoked, by digest."""
    return {row.digest: row for row in tokens.unrevoked_tokens(connection, "api")}


def read_holder(connection: Connection, token: TokenRow) -> Visitor | None:
    """The holder of a token, with their current name; None if they were removed."""
    held, ends = scopes.parse_scopes(token.scopes), token.expires_at
    if token.person_id is None:
        return Visitor(is_admin=True, scopes=held, expires_at=ends)
    row = person_by_id(connection, token.person_id)
    if row is None:
        return None
    return Visitor(person_id=row.id, name=row.name, is_admin=row.owner, scopes=held, expires_at=ends)


def require_scope(visitor: Visitor, needed: Scope) -> None:
    if not scopes.permits(visitor.scopes, needed):
        held = ", ".join(scopes.names(visitor.scopes) or ()) or "none"
        why = f"This needs a token with the scope {needed}; the scopes of this one are: {held}."
        raise Problem(403, f"{why} Make another: {tokens.token_command('api', [needed], visitor.name)}")


# --- replies


def owner_only(visitor: Visitor) -> None:
    if not visitor.is_admin:
        raise Problem(403, "Only the owner may do this.")


def found_or(found: T | None, otherwise: str) -> T:
    """Return the found value; raises Problem 404 if it is None."""
    if found is None:
        raise Problem(404, otherwise)
    return found


def list_of(items: list[T]) -> Page[T]:
    """A short list in the shape of a page."""
    return {"items": items, "next": None}


def as_json(value: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(value), status, media_type="application/json")


async def stream_file(
    request: Request, pieces: AsyncIterator[bytes], wanted: Export, headers: Mapping[str, str]
) -> Response:
    """Stream a file while it is written; the first piece is made before the reply, so that an error can be reported."""
    media_type = wanted.module.MEDIA_TYPE
    if request.method == "HEAD":
        return Response(media_type=media_type, headers=dict(headers))
    first = await anext(pieces, b"")

    async def whole() -> AsyncIterator[bytes]:
        yield first
        async for piece in pieces:
            yield piece

    return StreamingResponse(whole(), media_type=media_type, headers=dict(headers))
