"""Sign-in at an OpenID provider: the way there, the way back, and the link of one's own user there.

The answer comes from another site, whose requests carry no strict cookie. So what belongs to a sign-in on its way is in a
cookie of its own, signed, lax and for ten minutes; it also proves that the browser that comes back is the one that left.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from itsdangerous import BadData, URLSafeTimedSerializer
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route
from typing_extensions import TypedDict

from webhook import clock
from webhook.accounts.oidc import AuthRequest, OidcError, OpenIDProvider
from webhook.network.asgi import client_address
from webhook.network.proxies import network_of
from webhook.people import oidc_users
from webhook.people.oidc_users import OidcUser
from webhook.people.people import PeopleError
from webhook.people.sessions import SignInMethod, find_session
from webhook.service import Service
from webhook.storage.tables import PersonRow
from webhook.web.actions import sentence_of
from webhook.web.http.addresses import address_of
from webhook.web.http.errors import Problem
from webhook.web.http.once import Once
from webhook.web.http.page import local
from webhook.web.http.sessions import CookieBounds, Sessions, attempt, base
from webhook.web.people.pages import path_to
from webhook.web.setup.sign_in import SignInPages
from webhook.web.visible import Visitor

OIDC_COOKIE = "watchmark_oidc"
SIGN_IN_LIFE = 600
"""Seconds within which a sign-in at the provider has to be finished."""

CALLBACK = "/sign-in/oidc/callback"
NO_PROVIDER = "No OpenID provider is set up here. Set OIDC_ISSUER and OIDC_CLIENT_ID."
LOST = "This sign-in was started elsewhere, is older than ten minutes, or was used already. Start again."


class Onward(TypedDict, total=False):
    """Where a sign-in leads on to, or the session of who links their own user."""

    next: str
    session: str | None


class BegunSignIn(Onward):
    """A sign-in on its way, as the browser's cookie keeps it: an `AuthRequest` whose `url` was used and is empty."""

    url: str
    state: str
    nonce: str
    verifier: str
    redirect_uri: str


class OidcPages(Once):
    def __init__(self, service: Service, sessions: Sessions, entrance: SignInPages) -> None:
        super().__init__(service, sessions)
        self.entrance = entrance
        self.signer = URLSafeTimedSerializer(sessions.key, salt="watchmark oidc")
        self.used: dict[str, float] = {}

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/sign-in/oidc", self.begin),
            Route(CALLBACK, self.finish),
            Route("/people/{name:path}/oidc", self.answers(self.link), methods=["POST"]),
        ]

    def provider(self) -> OpenIDProvider:
        if self.service.oidc is None:
            raise Problem(404, NO_PROVIDER)
        return self.service.oidc

    # --- the way there

    async def begin(self, request: Request) -> Response:
        provider = self.provider()
        onward = local(request.query_params.get("next", ""))
        try:
            begun = await provider.begin(self.callback(request))
        except OidcError as error:
            return await self.refuse(request, onward, error)
        response = RedirectResponse(begun.url, 303)
        self.remember(request, response, begun, {"next": onward})
        return response

    async def link(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> Response:
        """Send the visitor to the provider to link their user there; by a page, as no form may lead to another site."""
        name = request.path_params["name"]
        if visitor.name != name:
            raise Problem(403, "You can only link your own user at the provider.")
        try:
            begun = await self.provider().begin(self.callback(request))
        except OidcError as error:
            raise Problem(502, str(error)) from error
        response = self.render(request, "outside.html", {"onward": begun.url, "leads": "out"}, visitor)
        self.remember(request, response, begun, {"session": visitor.session})
        return response

    def callback(self, request: Request) -> str:
        return address_of(self.service, request) + CALLBACK

    def remember(self, request: Request, response: Response, begun: AuthRequest, more: Onward) -> None:
        kept = {
            "url": "", "state": begun.state, "nonce": begun.nonce, "verifier": begun.verifier,
            "redirect_uri": begun.redirect_uri, **more,
        }  # fmt: skip
        response.set_cookie(
            OIDC_COOKIE, str(self.signer.dumps(kept)), max_age=SIGN_IN_LIFE, **self.bounds(request)
        )

    def bounds(self, request: Request) -> CookieBounds:
        path = f"{base(self.service.settings, request)}/sign-in/oidc"
        return {**self.sessions.bounds(request), "path": path, "samesite": "lax"}

    # --- the way back

    async def finish(self, request: Request) -> Response:
        provider, onward = self.provider(), ""
        try:
            kept = self.recall(request)
            onward = local(kept.get("next", ""))
            user = await self.ask_provider(request, provider, kept)
            response = await self.let_in(request, user, kept, onward)
        except OidcError as error:
            response = await self.refuse(request, onward, error)
        response.delete_cookie(OIDC_COOKIE, **self.bounds(request))
        return response

    def recall(self, request: Request) -> BegunSignIn:
        """What was kept of the sign-in that this browser began; raises OidcError."""
        try:
            kept: BegunSignIn = self.signer.loads(request.cookies.get(OIDC_COOKIE, ""), max_age=SIGN_IN_LIFE)
        except BadData as error:
            raise OidcError(LOST) from error
        if kept["state"] in self.used:
            raise OidcError(LOST)
        return kept

    async def ask_provider(self, request: Request, provider: OpenIDProvider, kept: BegunSignIn) -> OidcUser:
        """The user who signed in there; each sign-in is finished once, and one address cannot have many tried."""
        begun = AuthRequest(
            url=kept["url"], state=kept["state"], nonce=kept["nonce"], verifier=kept["verifier"],
            redirect_uri=kept["redirect_uri"],
        )  # fmt: skip
        address = client_address(request.scope)
        try:
            async with attempt(self.service, address, f"openid {network_of(address)}") as tried:
                provider.check_state(begun, request.query_params)
                self.use_up(begun.state)
                user = await provider.finish(begun, request.query_params)
                tried.succeeded = True
        except Problem as problem:
            raise OidcError(problem.detail) from problem
        return user

    def use_up(self, state: str) -> None:
        now = clock.now().timestamp()
        self.used = {other: until for other, until in self.used.items() if until > now}
        self.used[state] = now + SIGN_IN_LIFE

    async def let_in(self, request: Request, user: OidcUser, kept: BegunSignIn, onward: str) -> Response:
        """Sign the user's person in, or link the user to who asked for that; raises OidcError."""
        if "session" in kept:
            row = await self.database.run(self.make_link(user, kept))
            return self.lead_on(
                request, f"{base(self.service.settings, request)}{path_to(row.name)}?said=linked"
            )
        now = clock.now()
        found = await self.database.run(lambda connection: oidc_users.sign_in_user(connection, user, now))
        if found is None:
            raise OidcError(
                f"You signed in as {user.label}, but nobody here is linked to that user. The owner can link it under People."
            )
        response = self.lead_on(request, onward or f"{base(self.service.settings, request)}/")
        await self.sessions.begin(request, response, found, SignInMethod.OIDC)
        return response

    def make_link(self, user: OidcUser, kept: BegunSignIn) -> Callable[[Connection], PersonRow]:
        def apply(connection: Connection) -> PersonRow:
            session = find_session(connection, kept["session"] or "", clock.now())
            if session is None:
                raise OidcError("You are not signed in any more. Sign in, then link your user again.")
            row = session[1]
            try:
                oidc_users.link_user(connection, user, row.id, clock.now())
            except PeopleError as error:
                raise OidcError(sentence_of(error)) from error
            return row

        return apply

    def lead_on(self, request: Request, path: str) -> Response:
        """A page of our own that leads on: what it asks for carries the strict cookie, as a redirect from afar would not."""
        return self.render(request, "outside.html", {"onward": path, "leads": "in"})

    async def refuse(self, request: Request, onward: str, error: OidcError) -> Response:
        return await self.entrance.render_form(request, onward, str(error), 403)
