"""The page at /api/auth, where a person authorizes an app."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from webhook import clock
from webhook.compat.videoscrobbler import apps
from webhook.compat.videoscrobbler.methods import Tokens
from webhook.compat.videoscrobbler.responses import Fault
from webhook.service import Service
from webhook.storage.tables import AppRow
from webhook.web.http.errors import Problem
from webhook.web.http.page import Endpoint, Page
from webhook.web.http.params import clean
from webhook.web.http.sessions import Sessions
from webhook.web.visible import Visitor

PATH = "/api/auth"


class AuthorizePage(Page):
    def __init__(self, service: Service, sessions: Sessions, tokens: Tokens) -> None:
        super().__init__(service, sessions)
        self.tokens = tokens

    def routes(self) -> list[BaseRoute]:
        return [
            Route(PATH, self.in_words(self.page(self.show_request)), methods=["GET"]),
            Route(PATH, self.in_words(self.change(self.allow)), methods=["POST"]),
        ]

    def in_words(self, endpoint: Endpoint) -> Endpoint:
        """Render errors as pages, since a person sees them."""

        async def call_endpoint(request: Request) -> Response:
            try:
                return await endpoint(request)
            except Problem as problem:
                return await self.error(request, problem.status, problem.detail)

        return call_endpoint

    async def show_request(self, request: Request, visitor: Visitor) -> Response:
        app, token = await self.requested_app(visitor, request.query_params)
        row, seen_by = await self.database.read(
            lambda connection: (
                apps.find_grant(connection, token),
                apps.audience_of(connection, visitor.person_id or 0),
            )
        )
        known = {
            "seen_by": seen_by,
            "app": app.name,
            "api_key": app.key,
            "token": token,
            "allowed": row is not None and row.person_id == visitor.person_id,
        }
        return self.render(request, "let_in.html", known, visitor)

    async def allow(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        app, token = await self.requested_app(visitor, fields)

        def agree(connection: Connection) -> bool:
            assert visitor.person_id is not None
            return apps.grant(connection, token, app.id, visitor.person_id, clock.now())

        if not await self.database.run(agree):
            raise Problem(409, "Somebody else has let this app in with this link. Start again in the app.")
        return f"{PATH}?{urlencode({'api_key': app.key, 'token': token})}"

    async def requested_app(self, visitor: Visitor, params: Mapping[str, str]) -> tuple[AppRow, str]:
        """The app and its token, if this person may authorize it; raises Problem."""
        key, token = params.get("api_key", ""), params.get("token", "")
        fine = clean(key) and clean(token, 1000)
        row = await self.database.read(lambda connection: apps.by_key(connection, key)) if fine else None
        if row is None:
            raise Problem(404, "There is no app with this API key. Nothing was allowed.")
        if row.suspended_at is not None:
            raise Problem(403, f"The app {row.name} is suspended. Nothing was allowed.")
        if row.person_id not in (None, visitor.person_id):
            raise Problem(403, f"The app {row.name} is somebody's own, and not yours. Nothing was allowed.")
        try:
            self.tokens.check(token, row.key)
        except Fault as fault:
            again = (
                "This link is not valid, or older than an hour. Nothing was allowed; start again in the app."
            )
            raise Problem(400, again) from fault
        return row, token
