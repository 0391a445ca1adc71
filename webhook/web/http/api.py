"""What every group of routes has in common: who is let in, what is asked, and how it is answered."""

from __future__ import annotations

import hmac
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from webhook import clock
from webhook.clock import stamp
from webhook.domain import guids
from webhook.domain.event import Ids
from webhook.network.asgi import let_in
from webhook.people import people, scopes, tokens
from webhook.people.scopes import Scope
from webhook.service import Service
from webhook.storage.db import Database
from webhook.storage.tables import PersonRow, TokenRow
from webhook.transfer.export import Export
from webhook.web import visible
from webhook.web.http.access import scope_of
from webhook.web.http.errors import Problem
from webhook.web.http.params import Params, json_object
from webhook.web.http.sessions import Sessions, person_by_id, same_site
from webhook.web.visible import Visitor

Answer = Callable[[Request, Visitor], Awaitable[Any]]
Table = Sequence[tuple[str, Mapping[str, Answer]]]
"""Each path below /api/v1 with what answers each method."""

FRESH = 2.0
"""Seconds for which the known tokens are believed, as at the door for webhooks."""

READS = frozenset({"GET", "HEAD"})
WAYS_IN = {"WWW-Authenticate": 'Bearer realm="watchmark"'}
HOW = (
    f"Send an API token as Authorization: Bearer …; make one with: {tokens.token_command('api', None, None)}"
)


class ApiAuth:
    """Lets in who has an API token, or has signed in with this browser."""

    def __init__(self, database: Database, sessions: Sessions) -> None:
        self.database = database
        self.sessions = sessions
        self.known: dict[str, TokenRow] = {}
        self.read_at = -FRESH

    async def admit(self, request: Request, needed: Scope) -> Visitor:
        """Who asks; raises Problem 401, or 403 where their token lacks the scope that is needed.

        403 too where another site asks in the name of who signed in.
        """
        kind, _, secret = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            visitor = await self.bearer(secret.strip())
        else:
            visitor = await self.sessions.visitor(request)
            self.own_page(request, visitor)
        if visitor is None:
            raise Problem(401, HOW, WAYS_IN)
        require_scope(visitor, needed)
        let_in(request.scope)
        return visitor

    def own_page(self, request: Request, visitor: Visitor | None) -> None:
        settings = self.sessions.service.settings
        if visitor and request.method not in READS and not same_site(request, settings):
            raise Problem(403, "With a sign-in only our own pages may change things; use an API token.")

    async def bearer(self, secret: str) -> Visitor | None:
        """Whose token it is; raises Problem where it has expired. Takes the same time whichever token is wrong."""
        digest = tokens.digest(secret)
        if digest not in self.known or time.monotonic() - self.read_at > FRESH:
            self.known = await self.database.read(keys)
            self.read_at = time.monotonic()
        found = None
        for known, row in self.known.items():
            if hmac.compare_digest(known, digest):
                found = row
        if found is None:
            return None
        visitor = await self.database.read(lambda connection: holder(connection, found))
        if visitor is not None and tokens.has_expired(visitor.expires_at, clock.now()):
            ended = f"This token expired at {stamp(visitor.expires_at)}."
            again = tokens.token_command("api", scopes.names(visitor.scopes), visitor.name)
            raise Problem(401, f"{ended} Make another: {again}", WAYS_IN)
        return visitor


def keys(connection: Connection) -> dict[str, TokenRow]:
    """The API tokens that nobody has revoked, by digest."""
    return {row.digest: row for row in tokens.unrevoked_tokens(connection, "api")}


def holder(connection: Connection, token: TokenRow) -> Visitor | None:
    """Who asks with the token, by the name that they have now; None where they are no longer here."""
    limits: dict[str, Any] = {"scopes": scopes.read(token.scopes), "expires_at": token.expires_at}
    if token.person_id is None:
        return Visitor(is_admin=True, **limits)
    row = person_by_id(connection, token.person_id)
    if row is None:
        return None
    return Visitor(person_id=row.id, name=row.name, is_admin=row.owner, **limits)


def require_scope(visitor: Visitor, needed: Scope) -> None:
    if not scopes.permits(visitor.scopes, needed):
        held = ", ".join(scopes.names(visitor.scopes) or ()) or "none"
        why = f"This needs a token with the scope {needed}; the scopes of this one are: {held}."
        raise Problem(403, f"{why} Make another: {tokens.token_command('api', [needed], visitor.name)}")


class Answers:
    """Routes that are answered with JSON, for whoever the gate admits. A group of them has a `table`."""

    def __init__(self, service: Service, gate: ApiAuth) -> None:
        self.service = service
        self.gate = gate
        self.database = service.database

    def table(self) -> Table:
        raise NotImplementedError

    def routes(self) -> list[BaseRoute]:
        return [
            Route(f"/api/v1{path}", self.guarded(f"/api/v1{path}", table), methods=[*table])
            for path, table in self.table()
        ]

    def guarded(self, path: str, table: Mapping[str, Answer]) -> Callable[[Request], Awaitable[Response]]:
        needed = {method: scope_of(path, method) for method in table}

        async def endpoint(request: Request) -> Response:
            method = "GET" if request.method == "HEAD" else request.method
            visitor = await self.gate.admit(request, needed[method])
            answer = await table[method](request, visitor)
            return answer if isinstance(answer, Response) else as_json(answer)

        return endpoint

    async def listed(self, question: Callable[[Connection], Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
        """A list that is never long, in the shape of those that are."""
        return {"items": await self.database.read(question), "next": None}

    async def person(self, params: Params, visitor: Visitor) -> str | None:
        """The person that a filter names: anybody for the owner, only oneself for others."""
        name = params.text("person")
        if visitor.restricted_to is not None:
            if name not in (None, visitor.restricted_to):
                raise Problem(403, f"person: only {visitor.restricted_to} may be asked about here.")
            return visitor.restricted_to
        if name is not None and name not in await self.database.read(visible.names):
            raise Problem(400, "person must be the name of somebody here; see /api/v1/people.")
        return name


# --- what is asked


async def filters(request: Request, names: tuple[str, ...]) -> Params:
    """The filter of a change to many, in the address or in the body; a name with a slip is refused."""
    params = Params({**request.query_params, **await json_object(request, required=False)})
    params.only(names)
    return params


async def whose(answers: Answers, params: Params, visitor: Visitor) -> PersonRow:
    """The one person that a request is about: who is named, else who asks, else the only one there is."""
    name = await answers.person(params, visitor) or visitor.name
    names = await answers.database.read(visible.names)
    if name is None and len(names) > 1:
        raise Problem(400, "person must say whose: this token is not bound to anybody.")
    return await answers.database.read(lambda connection: people.find_person(connection, name or names[0]))


def choice_given(given: Mapping[str, Any]) -> tuple[Ids, int | None, int]:
    """The choice in a body: ids or the number of a candidate, and a season offset; raises Problem."""
    if others := [name for name in given if name not in ("ids", "candidate", "season_offset")]:
        raise Problem(
            422, f"{others[0][:50]} is nothing to match by; there are ids, candidate, season_offset."
        )
    offset, candidate, named = given.get("season_offset", 0), given.get("candidate"), given.get("ids")
    if type(offset) is not int or abs(offset) > 1000:
        raise Problem(422, "season_offset must be a whole number such as -1.")
    if (named is None) == (candidate is None):
        raise Problem(422, "Say what it is: by ids, or by candidate.")
    if candidate is not None and type(candidate) is not int:
        raise Problem(422, "candidate must be a number, counted from 1.")
    if named is not None and (
        not isinstance(named, dict) or not {*named} <= {"tvdb", "tmdb", "imdb", "trakt"}
    ):
        raise Problem(422, "ids must hold tvdb, tmdb, imdb or trakt.")
    ids = guids.clean_ids(**(named or {}))
    if ids.by_namespace().keys() != (named or {}).keys():
        raise Problem(422, "ids: tvdb, tmdb and trakt are numbers, and imdb looks like tt0903747.")
    return ids, candidate, offset


# --- how it is answered


def owner_only(visitor: Visitor) -> None:
    if not visitor.is_admin:
        raise Problem(403, "Only the owner may do this.")


def found_or(found: Any, otherwise: str) -> Any:
    if found is None:
        raise Problem(404, otherwise)
    return found


def as_json(value: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(value), status, media_type="application/json")


async def streamed(
    request: Request, pieces: AsyncIterator[bytes], wanted: Export, headers: Mapping[str, str]
) -> Response:
    """The file as it is written. Its first piece is there before the answer begins, so a fault is told as one."""
    media_type = wanted.module.MEDIA_TYPE
    if request.method == "HEAD":
        return Response(media_type=media_type, headers=dict(headers))
    first = await anext(pieces, b"")

    async def whole() -> AsyncIterator[bytes]:
        yield first
        async for piece in pieces:
            yield piece

    return StreamingResponse(whole(), media_type=media_type, headers=dict(headers))
