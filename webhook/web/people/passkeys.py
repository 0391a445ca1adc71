"""A person's passkeys: registered with the password, listed, renamed and removed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from webhook import clock
from webhook.accounts import passkeys as ceremonies
from webhook.accounts.passkeys import PasskeyError, User
from webhook.people import passkeys
from webhook.people.passkeys import NewPasskey
from webhook.people.people import PeopleError
from webhook.service import Service
from webhook.storage.tables import PersonRow
from webhook.web.actions import sentence_of
from webhook.web.http.browsers import describe_browser
from webhook.web.http.challenges import LOST, Challenges, find_party, new_challenge
from webhook.web.http.errors import Problem
from webhook.web.http.language import translate
from webhook.web.http.once import Once
from webhook.web.http.params import id_of
from webhook.web.http.sessions import Sessions, person_by_id
from webhook.web.people import actions as administration
from webhook.web.people.pages import People, path_to
from webhook.web.visible import Visitor


class PasskeyPages(Once):
    def __init__(self, service: Service, sessions: Sessions) -> None:
        super().__init__(service, sessions)
        self.people = People(service, sessions)
        self.challenges = Challenges(service, sessions, "registration")

    def routes(self) -> list[BaseRoute]:
        path = "/people/{name:path}/passkeys"
        return [
            Route(f"{path}/options", self.answers(self.options), methods=["POST"]),
            Route(path, self.answers(self.register), methods=["POST"]),
            Route("/passkeys/{id}/name", self.change(self.rename), methods=["POST"]),
            Route("/passkeys/{id}/remove", self.change(self.remove), methods=["POST"]),
        ]

    async def options(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> Response:
        """The options for the browser, as JSON, for who knows the password; or what is wrong, as JSON as well."""
        try:
            row = await self.own_row(request, visitor)
            party = find_party(self.service, request)
            if row.password is not None:
                await self.sessions.own_password.check(row, fields.get("known", ""))
        except (PasskeyError, Problem) as error:
            status = error.status if isinstance(error, Problem) else 409
            return JSONResponse({"detail": translate(str(error))}, status)
        handle, known = await self.database.read(
            lambda connection: (
                passkeys.user_handle(connection, row.id),
                passkeys.find_credential_ids(connection, row.id, party.id),
            )
        )
        challenge = new_challenge()
        wanted = await asyncio.to_thread(
            ceremonies.registration_options, party, User(row.name, handle), known, challenge
        )
        response = Response(wanted, media_type="application/json")
        self.challenges.begin(challenge, request, response, handle=handle, session=visitor.session)
        return response

    async def register(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> Response:
        """Store the passkey that an authenticator made, under a name that tells it from the others."""
        row = await self.own_row(request, visitor)
        try:
            name = passkey_name(request, fields)
            new = await self.verify(request, visitor, fields.get("credential", ""))
            await self.database.run(
                lambda connection: passkeys.add_passkey(connection, row.id, name, new, clock.now())
            )
        except (PasskeyError, PeopleError) as error:
            wrong = sentence_of(error) if isinstance(error, PeopleError) else str(error)
            response = await self.people.render_person(request, visitor, passkey_wrong=wrong, status=422)
        else:
            response = self.redirect_to(request, f"{path_to(row.name)}?said=passkey-added#passkeys")
        self.challenges.end(request, response)
        return response

    async def verify(self, request: Request, visitor: Visitor, credential: str) -> NewPasskey:
        """The passkey of an answer to the challenge of this session; raises PasskeyError."""
        party = find_party(self.service, request)
        kept = await self.challenges.use(request)
        if kept["session"] != visitor.session:
            raise PasskeyError(LOST)
        return await asyncio.to_thread(
            ceremonies.verify_registration, party, kept["handle"], credential, kept["challenge"]
        )

    async def rename(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        wanted, name = id_of(request), fields.get("name", "")

        def apply(connection: Connection) -> None:
            administration.rename_passkey(connection, visitor, wanted, name)

        await self.database.run(apply)
        return self.back(request, fields, "saved")

    async def remove(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        wanted = id_of(request)

        def apply(connection: Connection) -> None:
            administration.remove_passkey(connection, visitor, wanted)

        await self.database.run(apply)
        return self.back(request, fields, "removed")

    async def own_row(self, request: Request, visitor: Visitor) -> PersonRow:
        person_id = visitor.person_id or 0
        row = await self.database.read(lambda connection: person_by_id(connection, person_id))
        if row is None or row.name != request.path_params["name"]:
            raise Problem(403, "You can only add a passkey for yourself.")
        return row


def passkey_name(request: Request, fields: Mapping[str, str]) -> str:
    """The name that somebody gave a passkey, or that of the browser; raises PeopleError."""
    given = fields.get("name", "").strip() or describe_browser(request.headers.get("user-agent", ""))
    return passkeys.validate_passkey_name(given or "?")
