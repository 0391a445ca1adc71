"""Pages for visitors who are not signed in: sign-in, sign-out and the one-time link."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from webhook import clock
from webhook.network.asgi import client_address
from webhook.people import passwords
from webhook.people.passkeys import has_passkeys
from webhook.people.passwords import MAX_PASSWORD_LENGTH, MIN_PASSWORD_LENGTH
from webhook.people.sessions import SignInMethod, end_session
from webhook.service import Service
from webhook.storage.tables import PersonRow
from webhook.web.http.challenges import describe_party
from webhook.web.http.errors import Problem
from webhook.web.http.models import validate
from webhook.web.http.page import Page, local
from webhook.web.http.params import clean, form
from webhook.web.http.sessions import (
    Passwords,
    Sessions,
    attempt,
    base,
    person_by_id,
    person_by_name,
    refuse_other_sites,
)
from webhook.web.people import actions as administration
from webhook.web.people.models import PersonChange
from webhook.web.setup import steps
from webhook.web.setup.second_step import SecondStep
from webhook.web.visible import Visitor

WRONG_PASSWORD = "Wrong name or password."


class SignInPages(Page):
    def __init__(self, service: Service, sessions: Sessions, passwords: Passwords) -> None:
        super().__init__(service, sessions)
        self.passwords = passwords
        self.second_step = SecondStep(service, sessions)

    def routes(self) -> list[BaseRoute]:
        return [
            *self.second_step.routes(),
            Route("/sign-in", self.sign_in, methods=["GET", "POST"]),
            Route("/sign-out", self.change(self.sign_out, ends=True), methods=["POST"]),
            Route("/welcome/{secret}", self.welcome, methods=["GET", "POST"]),
        ]

    async def sign_out(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        session = visitor.session or ""
        await self.database.run(lambda connection: end_session(connection, session))
        return "/sign-in"

    async def sign_in(self, request: Request) -> Response:
        if request.method != "POST":
            onward = local(request.query_params.get("next", ""))
            if await self.sessions.visitor(request):
                return self.redirect_to(request, "/")
            return await self.sign_in_by_proxy(request, onward) or await self.render_form(request, onward)
        refuse_other_sites(request, self.service.settings)
        fields = await form(request)
        name, password = fields.get("name", "").strip(), fields.get("password", "")
        onward = local(fields.get("next", ""))
        try:
            row = await self.verify(request, name, password)
        except Problem as problem:
            return await self.show_refusal(request, onward, problem)
        if row is None:
            return await self.render_form(request, onward, WRONG_PASSWORD, 401)
        return await self.second_step.begin(request, row, onward)

    async def sign_in_by_proxy(self, request: Request, onward: str) -> Response | None:
        """Sign in whom the reverse proxy names, on the way to a page; None where it names nobody."""
        name = self.sessions.proxy_name(request)
        if name is None or not onward:  # who has just signed out is asked first
            return None
        row = (
            await self.database.read(lambda connection: person_by_name(connection, name))
            if clean(name)
            else None
        )
        if row is None:
            wrong = f"Your proxy says that you are {name}, but nobody here has that name. The owner can add a person of that name."
            return await self.render_form(request, onward, wrong, 403)
        response = RedirectResponse(onward, 303)
        await self.sessions.begin(request, response, row, SignInMethod.PROXY)
        return response

    async def verify(self, request: Request, name: str, password: str) -> PersonRow | None:
        """The person with this name and password, or None; raises Problem after too many attempts."""
        row = (
            await self.database.read(lambda connection: person_by_name(connection, name))
            if clean(name)
            else None
        )
        known_as = await self.sessions.browser_id(request, row)
        async with attempt(self.service, client_address(request.scope), name, known_as) as tried:
            tried.succeeded = len(password) <= MAX_PASSWORD_LENGTH and await self.passwords.is_right(
                row, password
            )
        return row if tried.succeeded else None

    async def render_form(
        self, request: Request, onward: str, wrong: str | None = None, status: int = 200
    ) -> Response:
        owner, known_passkeys = await self.database.read(
            lambda connection: (passwords.find_owner(connection), has_passkeys(connection))
        )
        first = owner is not None and owner.password is None
        known = {
            "onward": onward,
            "wrong": wrong,
            "first": first,
            "provider": self.service.oidc and self.service.oidc.name,
            "proxy_name": self.sessions.proxy_name(request),
            "passkeys": describe_party(self.service, request) if known_passkeys else None,
        }
        return self.render(request, "sign_in.html", known, status=status)

    async def show_refusal(self, request: Request, onward: str, problem: Problem) -> Response:
        response = await self.render_form(request, onward, problem.detail, problem.status)
        response.headers.update(problem.headers)
        return response

    async def welcome(self, request: Request) -> Response:
        """The one-time link, by which a person sets a password (the owner also a name) and is signed in."""
        secret = request.path_params["secret"]
        link = await self.database.read(
            lambda connection: passwords.find_link(connection, secret, clock.now())
        )
        if link is None:
            return self.render(request, "expired.html", {}, status=404)
        row = link.person
        if not link.asks_password:
            response = self.redirect_to(request, "/")
            await self.sessions.begin(request, response, row, SignInMethod.LINK)
            return response
        if request.method != "POST":
            return self.invitation(request, row)
        refuse_other_sites(request, self.service.settings)
        fields = await form(request)
        try:
            if fields.get("password") != fields.get("again"):
                raise Problem(422, "The passwords don't match.")
            hashed = await self.passwords.hash_new(fields.get("password", ""))
            accepted = await self.accept(row, secret, hashed, fields.get("name", ""))
        except Problem as error:
            return self.invitation(request, row, error, fields.get("name"))
        if accepted is None:
            return self.render(request, "expired.html", {}, status=404)
        onward = f"{base(self.service.settings, request)}/start"
        return await self.second_step.begin(request, accepted, onward, SignInMethod.LINK)

    async def accept(self, row: PersonRow, secret: str, hashed: str, name: str) -> PersonRow | None:
        """Set the invited person's password and return the person; None if the link was used in the meantime."""
        name = name.strip() if row.owner else ""

        def apply(connection: Connection) -> PersonRow | None:
            if passwords.accept_invitation(connection, secret, hashed, clock.now()) is None:
                return None
            if steps.load_choices(connection, row.id) is None:
                steps.save_choices(connection, row.id, steps.UNCHOSEN)
            if name:
                owner = Visitor(person_id=row.id, name=row.name, is_admin=True)
                administration.change_person(
                    connection, owner, row.name, validate(PersonChange, {"name": name})
                )
            return person_by_id(connection, row.id)

        return await self.database.run(apply)

    def invitation(
        self, request: Request, row: PersonRow, refused: Problem | None = None, typed: str | None = None
    ) -> Response:
        """The form in which one chooses a password, with the name as it was typed where it was refused."""
        known = {
            "name": row.name,
            "typed": typed or row.name,
            "owner": row.owner,
            "wrong": None if refused is None else refused.detail,
            "shortest": MIN_PASSWORD_LENGTH,
        }
        return self.render(request, "start.html", known, status=200 if refused is None else refused.status)
