"""Sign-in with a passkey, which stands for the password and its second factor."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from webhook import clock
from webhook.accounts import passkeys as ceremonies
from webhook.accounts.passkeys import REFUSED, PasskeyError
from webhook.network.asgi import client_address
from webhook.network.proxies import network_of
from webhook.people import passkeys
from webhook.people.sessions import SignInMethod
from webhook.service import Service
from webhook.storage.tables import PersonRow
from webhook.web.http.challenges import Challenges, find_party, new_challenge
from webhook.web.http.errors import Problem
from webhook.web.http.language import translate
from webhook.web.http.page import Page, local
from webhook.web.http.params import form
from webhook.web.http.sessions import Sessions, attempt, base, person_by_id, refuse_other_sites
from webhook.web.setup.sign_in import SignInPages

COPIED = (
    "This passkey was refused: it counts fewer uses than were seen here, as a copy of it would. "
    "Sign in with your password, remove the passkey and add it again."
)


class PasskeySignIn(Page):
    def __init__(self, service: Service, sessions: Sessions, entrance: SignInPages) -> None:
        super().__init__(service, sessions)
        self.entrance = entrance
        self.challenges = Challenges(service, sessions, "sign-in")

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/sign-in/passkey/options", self.options, methods=["POST"]),
            Route("/sign-in/passkey", self.sign_in, methods=["POST"]),
        ]

    async def options(self, request: Request) -> Response:
        """The options for the browser, as JSON; it keeps their challenge in a cookie."""
        refuse_other_sites(request, self.service.settings)
        challenge = new_challenge()
        try:
            party = find_party(self.service, request)
        except PasskeyError as error:
            return JSONResponse({"detail": translate(str(error))}, 409)
        wanted = await asyncio.to_thread(ceremonies.sign_in_options, party, challenge)
        response = Response(wanted, media_type="application/json")
        self.challenges.begin(challenge, request, response)
        return response

    async def sign_in(self, request: Request) -> Response:
        refuse_other_sites(request, self.service.settings)
        fields = await form(request)
        onward = local(fields.get("next", ""))
        try:
            row = await self.verify(request, fields.get("credential", ""))
        except PasskeyError as error:
            response = await self.entrance.render_form(request, onward, str(error), 403)
        except Problem as problem:
            response = await self.entrance.show_refusal(request, onward, problem)
        else:
            response = RedirectResponse(onward or base(self.service.settings, request) + "/", 303)
            await self.sessions.begin(request, response, row, SignInMethod.PASSKEY)
        self.challenges.end(request, response)
        return response

    async def verify(self, request: Request, credential: str) -> PersonRow:
        """Whose passkey it is, by an answer that holds; raises PasskeyError, and Problem after too many tries."""
        address = client_address(request.scope)
        async with attempt(self.service, address, f"passkey {network_of(address)}") as tried:
            party = find_party(self.service, request)
            kept = await self.challenges.use(request)
            wanted = ceremonies.read_credential_id(credential)
            row = await self.database.read(lambda connection: passkeys.find_passkey(connection, wanted))
            if row is None or row.rp_id != party.id:
                raise PasskeyError(REFUSED)
            count = await asyncio.to_thread(
                ceremonies.verify_sign_in, party, row, credential, kept["challenge"]
            )
            now = clock.now()
            if not await self.database.run(
                lambda connection: passkeys.note_use(connection, row.id, count, now)
            ):
                raise PasskeyError(COPIED)
            tried.succeeded = True
        whose = await self.database.read(lambda connection: person_by_id(connection, row.person_id))
        if whose is None:
            raise PasskeyError(REFUSED)
        return whose
