"""The entrance: signing in and out, the one-time link, and the pages for who is not in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from webhook import clock
from webhook.passwords import LONGEST, SHORTEST, accept, invited
from webhook.web.asked import clean, form
from webhook.web.changes import write
from webhook.web.pages._page import Page, local
from webhook.web.shell import Problem
from webhook.web.sign_in import Passwords, Patience, Sessions, base, named, refuse_other_sites
from webhook.web.views import Visitor

if TYPE_CHECKING:
    from webhook.app import Service


class Entrance(Page):
    def __init__(self, service: Service, sessions: Sessions, passwords: Passwords) -> None:
        super().__init__(service, sessions)
        self.passwords = passwords
        self.patience = Patience()

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/sign-in", self.sign_in, methods=["GET", "POST"]),
            Route("/sign-out", self.change(self.gone, ends=True), methods=["POST"]),
            Route("/welcome/{secret}", self.welcome, methods=["GET", "POST"]),
        ]

    async def error(self, request: Request, status: int, detail: str) -> Response:
        return self.drawn(
            request, "error.html", {"status": status, "detail": detail, "said": None}, status=status
        )

    async def gone(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        return "/sign-in"

    async def sign_in(self, request: Request) -> Response:
        if request.method != "POST":
            onward = local(request.query_params.get("next", ""))
            if await self.sessions.visitor(request):
                return self.to(request, "/")
            return self.asked(request, onward)
        refuse_other_sites(request, self.service.settings)
        fields = await form(request)
        name, password = fields.get("name", "").strip(), fields.get("password", "")
        onward = local(fields.get("next", ""))
        tries = ("name", name.casefold()[:LONGEST]), ("address", address(request))
        if seconds := self.patience.take(*tries):
            return self.held(request, onward, seconds)
        row = await self.database.read(lambda connection: named(connection, name)) if clean(name) else None
        if len(password) > LONGEST or not await self.passwords.right(row, password) or row is None:
            return self.asked(request, onward, "This name and password do not belong together.", 401)
        self.patience.forget(*tries)
        response = RedirectResponse(onward or base(self.service.settings, request) + "/", 303)
        self.sessions.begin(request, response, row)
        return response

    def asked(self, request: Request, onward: str, wrong: str | None = None, status: int = 200) -> Response:
        return self.drawn(request, "sign_in.html", {"onward": onward, "wrong": wrong}, status=status)

    def held(self, request: Request, onward: str, seconds: int) -> Response:
        why = f"Too many tries. Wait {-(-seconds // 60)} minutes, then try again."
        response = self.asked(request, onward, why, 429)
        response.headers["Retry-After"] = str(seconds)
        return response

    async def welcome(self, request: Request) -> Response:
        """The one-time link: the owner sets a password and is in."""
        secret = request.path_params["secret"]
        owner = await self.database.read(lambda connection: invited(connection, secret, clock.now()))
        if owner is None:
            return self.drawn(request, "expired.html", {}, status=404)
        if request.method != "POST":
            return self.invitation(request, owner.name)
        refuse_other_sites(request, self.service.settings)
        fields = await form(request)
        try:
            if fields.get("password") != fields.get("again"):
                raise Problem(422, "The two passwords differ.")
            hashed = await self.passwords.hashed(fields.get("password", ""))
        except Problem as error:
            return self.invitation(request, owner.name, error.detail, error.status)
        row = await write(self.database, lambda connection: accept(connection, secret, hashed, clock.now()))
        if row is None:
            return self.drawn(request, "expired.html", {}, status=404)
        response = self.to(request, "/setup")
        self.sessions.begin(request, response, row)
        return response

    def invitation(
        self, request: Request, name: str, wrong: str | None = None, status: int = 200
    ) -> Response:
        known = {"name": name, "wrong": wrong, "shortest": SHORTEST}
        return self.drawn(request, "welcome.html", known, status=status)


def address(request: Request) -> str:
    return request.client.host if request.client else ""
