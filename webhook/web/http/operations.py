"""Operations of the JSON API: each is a typed value for routing, validation and documentation."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Generic, TypeVar, get_type_hints

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from webhook.people import people
from webhook.people.scopes import Scope
from webhook.service import Service
from webhook.storage.tables import PersonRow
from webhook.web import visible
from webhook.web.http.api import ApiAuth, as_json, owner_only
from webhook.web.http.errors import Problem
from webhook.web.http.models import Query, validate
from webhook.web.http.params import id_of, json_object
from webhook.web.visible import Visitor

B = TypeVar("B")
Q = TypeVar("Q")
R = TypeVar("R")

PREFIX = "/api/v1"
PUBLIC = None
"""The scope of a public operation."""

CONVERTER = re.compile(r":\w+}")
CLOSE = {"Connection": "close"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Call(Generic[B, Q]):
    """One request to an operation: the visitor, and the validated body and parameters."""

    service: Service
    auth: ApiAuth
    request: Request
    visitor: Visitor
    body: B
    query: Q
    operations: Sequence[Operation[Any, Any]]

    @property
    def id(self) -> int:
        """The id in the path; raises Problem 404."""
        return id_of(self.request)

    def path(self, name: str) -> str:
        return str(self.request.path_params[name])

    async def read(self, query: Callable[[Connection], R]) -> R:
        return await self.service.database.read(query)

    async def write(self, change: Callable[[Connection], R]) -> R:
        return await self.service.database.run(change)

    async def person_filter(self, name: str | None) -> str | None:
        """The person named by a filter: anybody for an admin, else only the visitor; raises Problem."""
        if self.visitor.restricted_to is not None:
            if name not in (None, self.visitor.restricted_to):
                raise Problem(403, f"person: only {self.visitor.restricted_to} may be asked about here.")
            return self.visitor.restricted_to
        if name is not None and name not in await self.read(visible.names):
            raise Problem(400, "person must be the name of somebody here; see /api/v1/people.")
        return name

    async def owner_of(self, name: str | None) -> PersonRow:
        """The person that a request concerns: the named one, else the visitor, else the only one there is."""
        wanted = await self.person_filter(name) or self.visitor.name
        names = await self.read(visible.names)
        if wanted is None and len(names) > 1:
            raise Problem(400, "person must say whose: this token is not bound to anybody.")
        return await self.read(lambda connection: people.find_person(connection, wanted or names[0]))


@dataclass(frozen=True, eq=False)
class Operation(Generic[B, Q]):
    """One method of one path, with its scope, input, reply and handler."""

    method: str
    path: str
    """The path below /api/v1, in Starlette's notation."""
    handler: Callable[[Call[B, Q]], Awaitable[object]]
    """The handler; the document has its docstring as the summary, and the type it returns as the reply."""
    scope: Scope | None
    """The scope that a token needs; None answers anybody."""
    _: KW_ONLY
    owner_only: bool = False
    token_in_query: bool = False
    """True if the token is part of the address, for programs that cannot send headers."""
    path_types: Mapping[str, object] = field(default_factory=dict)
    """The types of parameters in the path, for the document; an `id` is a number."""
    query: type[Q] | None = None
    body: type[B] | None = None
    body_optional: bool = False
    body_status: int = 422
    """The status of the reply to an invalid body."""
    body_as_query: bool = False
    """True if the parameters may also be in the body."""
    raw_body: str | None = None
    """A description of a body that is no JSON; the handler reads it."""
    reply: object = None
    """The type of the reply, if the handler's annotation does not tell it."""
    reply_media: tuple[str, ...] = ("application/json",)
    status: int = 200
    dry_run_reply: object = None
    """The type of the reply, with status 200, to a dry run."""

    @property
    def summary(self) -> str:
        return (self.handler.__doc__ or "").removesuffix(".")

    @property
    def reply_type(self) -> object:
        """The type of the reply; None for a file."""
        returned = get_type_hints(self.handler)["return"]
        return self.reply if returned is Response else returned

    @property
    def plain_path(self) -> str:
        """The path with its parameters' names only."""
        return CONVERTER.sub("}", self.path)


class Api:
    """Serves operations: authenticates, validates the input and encodes the reply."""

    def __init__(self, service: Service, auth: ApiAuth, operations: Sequence[Operation[Any, Any]]) -> None:
        self.service = service
        self.auth = auth
        self.operations = operations

    def routes(self) -> list[BaseRoute]:
        """A route for each path, in the order of the table."""
        paths: dict[str, dict[str, Operation[Any, Any]]] = {}
        for operation in self.operations:
            paths.setdefault(operation.path, {})[operation.method] = operation
        return [
            Route(f"{PREFIX}{path}", self._endpoint(methods), methods=[*methods])
            for path, methods in paths.items()
        ]

    def _endpoint(
        self, methods: Mapping[str, Operation[Any, Any]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            operation = methods["GET" if request.method == "HEAD" else request.method]
            try:
                return await self._answer(operation, request)
            except Problem as problem:
                if operation.raw_body is not None:
                    problem.headers |= CLOSE  # the rest of the body is not read
                raise

        return endpoint

    async def _answer(self, operation: Operation[Any, Any], request: Request) -> Response:
        visitor = await self._admit(operation, request)
        if operation.owner_only:
            owner_only(visitor)
        call: Call[Any, Any] = Call(
            service=self.service,
            auth=self.auth,
            request=request,
            visitor=visitor,
            query=await _parse_query(operation, request),
            body=await _parse_body(operation, request),
            operations=self.operations,
        )
        reply = await operation.handler(call)
        return reply if isinstance(reply, Response) else as_json(reply, operation.status)

    async def _admit(self, operation: Operation[Any, Any], request: Request) -> Visitor:
        if operation.scope is PUBLIC:
            return Visitor()
        if operation.token_in_query:
            return await self.auth.admit_by_query(request, operation.scope)
        return await self.auth.admit(request, operation.scope)


async def _parse_query(operation: Operation[Any, Any], request: Request) -> Query | None:
    """Parse the parameters of the address, and of the body if allowed there; raises Problem 400."""
    if operation.query is None:
        return None
    given: dict[str, object] = {name: value for name, value in request.query_params.items() if value != ""}
    if operation.body_as_query:
        given |= await json_object(request, required=False)
    query: Query = validate(operation.query, given, 400)
    return query


async def _parse_body(operation: Operation[Any, Any], request: Request) -> object:
    if operation.body is None:
        return None
    given = await json_object(request, required=not operation.body_optional)
    return validate(operation.body, given, operation.body_status)
