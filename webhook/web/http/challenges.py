"""Challenges of passkeys: each belongs to one browser and one purpose, for five minutes, and is answered once."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Unpack

from itsdangerous import BadData, URLSafeTimedSerializer
from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import TypedDict

from webhook import clock
from webhook.accounts.passkeys import CHALLENGE_LIFE, PasskeyError, RelyingParty, relying_party
from webhook.people import passkeys
from webhook.service import Service
from webhook.web.http.addresses import address_of
from webhook.web.http.sessions import Sessions

CHALLENGE_COOKIE = "watchmark_passkey"
LOST = "This took longer than five minutes, was started in another tab, or was sent already. Try again."


class Registering(TypedDict, total=False):
    """Whose passkey a challenge registers: the handle for the authenticator, and the session that asked for it."""

    handle: str
    session: str | None


class ChallengeJson(Registering):
    """A challenge as the browser's cookie keeps it."""

    challenge: str


class PartyJson(TypedDict):
    """For which address passkeys are, or the sentence that says why browsers take none for it."""

    rp_id: str | None
    origin: str | None
    problem: str | None


def describe_party(service: Service, request: Request) -> PartyJson:
    try:
        party = find_party(service, request)
    except PasskeyError as error:
        return {"rp_id": None, "origin": None, "problem": str(error)}
    return {"rp_id": party.id, "origin": party.origin, "problem": None}


def find_party(service: Service, request: Request) -> RelyingParty:
    """Whom passkeys are for: BASE_URL, or else the address of the request; raises PasskeyError."""
    return relying_party(address_of(service, request))


class Challenges:
    """Challenges in a signed cookie, so that asking for one leaves nothing here; what was answered is a row."""

    def __init__(self, service: Service, sessions: Sessions, purpose: str) -> None:
        self.service = service
        self.sessions = sessions
        self.signer = URLSafeTimedSerializer(sessions.key, salt=f"watchmark passkey {purpose}")

    def begin(
        self, challenge: str, request: Request, response: Response, **more: Unpack[Registering]
    ) -> None:
        """Have the browser keep the challenge, with whose passkey it is to become."""
        kept = str(self.signer.dumps({"challenge": challenge, **more}))
        response.set_cookie(CHALLENGE_COOKIE, kept, max_age=CHALLENGE_LIFE, **self.sessions.bounds(request))

    async def use(self, request: Request) -> ChallengeJson:
        """The challenge that this browser was given, which is used up by that; raises PasskeyError."""
        try:
            kept: ChallengeJson = self.signer.loads(
                request.cookies.get(CHALLENGE_COOKIE, ""), max_age=CHALLENGE_LIFE
            )
        except BadData as error:
            raise PasskeyError(LOST) from error
        now = clock.now()
        ends = now + timedelta(seconds=CHALLENGE_LIFE)
        fresh = await self.service.database.run(
            lambda connection: passkeys.use_challenge(connection, kept["challenge"], ends, now)
        )
        if not fresh:
            raise PasskeyError(LOST)
        return kept

    def end(self, request: Request, response: Response) -> None:
        response.delete_cookie(CHALLENGE_COOKIE, **self.sessions.bounds(request))


def new_challenge() -> str:
    """Random bytes for an authenticator to sign; base64url."""
    return secrets.token_urlsafe(32)
