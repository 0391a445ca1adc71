"""Pages of a person's second factor: set up with an app, its recovery codes, and turned off."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from webhook import clock
from webhook.people import second_factor
from webhook.settings import SettingsError
from webhook.storage.tables import PersonRow
from webhook.web import actions as changes
from webhook.web.connections.sign_in_view import qr
from webhook.web.http.errors import Problem
from webhook.web.http.once import Once
from webhook.web.http.sessions import person_by_id
from webhook.web.people.pages import path_to
from webhook.web.setup.second_step import WRONG_CODE, use_code
from webhook.web.visible import Visitor

PENDING_USE = "second factor"
"""Marks the sealed field of the form with a secret that no code has confirmed yet."""


class SecondFactorPages(Once):
    def routes(self) -> list[BaseRoute]:
        path = "/people/{name:path}/second-factor"
        return [
            Route(path, self.page(self.offer)),
            Route(path, self.answers(self.enable), methods=["POST"]),
            Route(f"{path}/off", self.answers(self.disable), methods=["POST"]),
        ]

    async def offer(self, request: Request, visitor: Visitor) -> Response:
        row = await self.own_row(request, visitor)
        return self.show_secret(request, visitor, row, second_factor.new_totp_secret())

    def show_secret(
        self,
        request: Request,
        visitor: Visitor,
        row: PersonRow,
        secret: str,
        wrong: str | None = None,
        status: int = 200,
    ) -> Response:
        """The QR code to scan; the secret comes back with the first code, sealed to this person."""
        pending = self.service.seal.seal({"use": PENDING_USE, "person": row.id, "secret": secret})
        known = {
            "qr": qr(second_factor.totp_address(secret, row.name)),
            "secret": secret,
            "pending": pending,
            "has_password": row.password is not None,
            "codes": None,
        }
        return self.draw_page(request, visitor, row, {**known, "wrong": wrong}, status)

    def draw_page(
        self,
        request: Request,
        visitor: Visitor,
        row: PersonRow,
        known: Mapping[str, object],
        status: int = 200,
    ) -> Response:
        return self.render(
            request, "second_factor.html", {**known, "path": path_to(row.name)}, visitor, status
        )

    async def enable(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> Response:
        """Turn it on once the app gives the right code, and show the recovery codes."""
        row, now = await self.own_row(request, visitor), clock.now()
        secret = self.unseal_secret(row, fields.get("pending", ""))
        try:
            if row.password is not None:
                await self.sessions.own_password.check(row, fields.get("known", ""))
        except Problem as problem:
            return self.show_secret(request, visitor, row, secret, problem.detail, problem.status)
        step = second_factor.find_step(secret, second_factor.strip_code(fields.get("code", "")), now)
        if step is None:
            return self.show_secret(request, visitor, row, secret, WRONG_CODE, 422)
        sealed = self.service.seal.seal(secret)
        codes = await self.database.run(
            lambda connection: second_factor.enable(connection, row.id, sealed, step, now)
        )
        return self.draw_page(request, visitor, row, {"codes": codes, "wrong": None})

    def unseal_secret(self, row: PersonRow, pending: str) -> str:
        try:
            kept = self.service.seal.open(pending)
        except SettingsError as error:
            raise Problem(422, "The form is not whole. Reload the page.") from error
        if not isinstance(kept, dict) or kept.get("use") != PENDING_USE or kept.get("person") != row.id:
            raise Problem(422, "The form is not whole. Reload the page.")
        return str(kept["secret"])

    async def disable(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> Response:
        """Turn it off: one's own with a code, that of another person as the owner."""
        name = request.path_params["name"]
        row = await self.database.read(lambda connection: changes.find_person(connection, visitor, name))
        own = row.id == visitor.person_id
        if own and not await use_code(self.service, request, row, fields.get("code", "")):
            raise Problem(422, WRONG_CODE)
        await self.database.run(lambda connection: second_factor.disable(connection, row.id))
        return self.redirect_to(request, f"{path_to(name)}?said=saved")

    async def own_row(self, request: Request, visitor: Visitor) -> PersonRow:
        person_id = visitor.person_id or 0
        row = await self.database.read(lambda connection: person_by_id(connection, person_id))
        if row is None or row.name != request.path_params["name"]:
            raise Problem(403, "You can only set up your own second factor.")
        return row
