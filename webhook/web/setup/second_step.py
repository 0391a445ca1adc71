"""The second step of a sign-in by password: the code of an app, or a recovery code."""

from __future__ import annotations

import secrets

from itsdangerous import BadData, URLSafeTimedSerializer
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from webhook import clock
from webhook.network.asgi import client_address
from webhook.people import second_factor
from webhook.people.second_factor import find_second_factor
from webhook.people.sessions import SignInMethod
from webhook.service import Service
from webhook.settings import SettingsError
from webhook.storage.tables import PersonRow
from webhook.web.http.errors import Problem
from webhook.web.http.page import Page, local
from webhook.web.http.params import form
from webhook.web.http.sessions import Sessions, attempt_code, base, person_by_id, refuse_other_sites

STEP_LIFE = 300
"""Seconds between the password and the code."""

WRONG_CODE = "Wrong code. Codes change every 30 seconds, and each works once."
TOO_LATE = "That took too long. Sign in again."


class SecondStep(Page):
    def __init__(self, service: Service, sessions: Sessions) -> None:
        super().__init__(service, sessions)
        self.signer = URLSafeTimedSerializer(sessions.key, salt="watchmark second step")

    def routes(self) -> list[BaseRoute]:
        return [Route("/sign-in/code", self.check, methods=["POST"])]

    async def begin(
        self, request: Request, row: PersonRow, onward: str, method: SignInMethod = SignInMethod.PASSWORD
    ) -> Response:
        """Sign a person in who gave the right password; with a second factor, ask for its code first."""
        if await self.database.read(lambda connection: find_second_factor(connection, row.id)):
            begun = {"p": row.id, "f": self.sessions.fingerprint(row), "next": onward, "by": method.value}
            begun["n"] = secrets.token_urlsafe(8)
            return self.ask(request, str(self.signer.dumps(begun)))
        return await self.let_in(request, row, onward, method)

    def ask(self, request: Request, begun: str, wrong: str | None = None, status: int = 200) -> Response:
        return self.render(request, "second_step.html", {"begun": begun, "wrong": wrong}, status=status)

    async def let_in(self, request: Request, row: PersonRow, onward: str, method: SignInMethod) -> Response:
        response = RedirectResponse(onward or base(self.service.settings, request) + "/", 303)
        await self.sessions.begin(request, response, row, method)
        return response

    async def check(self, request: Request) -> Response:
        refuse_other_sites(request, self.service.settings)
        fields = await form(request)
        begun = fields.get("begun", "")
        try:
            step = self.signer.loads(begun, max_age=STEP_LIFE)
        except BadData as error:
            raise Problem(403, TOO_LATE) from error
        row = await self.database.read(lambda connection: person_by_id(connection, step["p"]))
        if row is None or not self.sessions.is_fingerprint(row, step["f"]):
            raise Problem(403, TOO_LATE)
        try:
            if not await use_code(self.service, request, row, fields.get("code", "")):
                return self.ask(request, begun, WRONG_CODE, 401)
        except Problem as problem:
            response = self.ask(request, begun, problem.detail, problem.status)
            response.headers.update(problem.headers)
            return response
        return await self.let_in(request, row, local(step["next"]), SignInMethod(step["by"]))


async def use_code(service: Service, request: Request, row: PersonRow, code: str) -> bool:
    """True for a right code of this person, which is used up by that; raises Problem after too many tries."""
    factor = await service.database.read(lambda connection: find_second_factor(connection, row.id))
    try:
        secret = None if factor is None else str(service.seal.open(factor.sealed))
    except SettingsError:  # sealed with a lost key: recovery codes still count
        secret = None
    async with attempt_code(service, client_address(request.scope), row.id) as tried:
        tried.succeeded = await service.database.run(
            lambda connection: second_factor.use_code(connection, row.id, secret, code, clock.now())
        )
    return tried.succeeded
