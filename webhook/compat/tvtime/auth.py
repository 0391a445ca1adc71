"""Authentication of people: password or app password, the session cookie, and the app's tokens."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection
from starlette.requests import Request

from webhook import clock
from webhook.network.asgi import client_address
from webhook.people import tokens
from webhook.people.passwords import MAX_PASSWORD_LENGTH
from webhook.people.second_factor import find_second_factor
from webhook.service import Service
from webhook.settings import SettingsError
from webhook.web.http.params import clean
from webhook.web.http.sessions import Passwords, Sessions, attempt, person_by_id, person_by_name

COOKIE_USE = "tvtime session"
COOKIE_LIFE = timedelta(days=30)
ACCESS_LIFE = timedelta(days=60)
"""The life of the app's access token."""

REFRESH_LIFE = timedelta(days=365)
ISSUER = "http://www.tvtime.com"


@dataclass(frozen=True, slots=True)
class Guest:
    """A signed-in person. `proof` ties a session to the password's fingerprint or the app token's id."""

    id: int
    name: str
    proof: str


class WrongPassword(Exception):
    """The name and password do not match."""


class TVTimeAuth:
    """Signs people in, throttles guessing, and verifies cookies and tokens."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.database = service.database
        self.passwords = Passwords()
        self.sessions = Sessions(service)
        self.key = token_key(service.seal.signing)

    async def sign_in(self, request: Request, name: str, password: str) -> Guest:
        """The person of this name and password; raises WrongPassword, or Problem 429 after many tries."""
        async with attempt(self.service, client_address(request.scope), name.strip()) as tried:
            guest = await self.authenticate(name.strip(), password)
            tried.succeeded = True
        return guest

    async def authenticate(self, name: str, password: str) -> Guest:
        if len(password) > MAX_PASSWORD_LENGTH or not clean(password, MAX_PASSWORD_LENGTH):
            raise WrongPassword
        row = (
            await self.database.read(lambda connection: person_by_name(connection, name))
            if clean(name)
            else None
        )
        if row is not None:
            made = await self.database.read(
                lambda connection: tokens.find_app_password(connection, row.id, password, clock.now())
            )
            if made is not None:
                return Guest(row.id, row.name, f"app {made}")
        if not await self.passwords.is_right(row, password) or row is None:
            raise WrongPassword
        if await self.database.read(lambda connection: find_second_factor(connection, row.id)):
            raise WrongPassword  # no app asks for a code; an app password lets it in
        return Guest(row.id, row.name, self.sessions.fingerprint(row))

    async def find_guest(self, person_id: Any, proof: Any) -> Guest | None:
        """The person, if the proof of their sign-in is still valid; None otherwise."""
        if type(person_id) is not int or not isinstance(proof, str):
            return None
        return await self.database.read(lambda connection: self.verify_proof(connection, person_id, proof))

    def verify_proof(self, connection: Connection, person_id: int, proof: str) -> Guest | None:
        row = person_by_id(connection, person_id)
        if row is None:
            return None
        if proof.startswith("app "):
            live = [f"app {one.id}" for one in tokens.app_passwords(connection, row.id, clock.now())]
            return Guest(row.id, row.name, proof) if proof in live else None
        if find_second_factor(connection, row.id) is not None:
            return None
        fits = hmac.compare_digest(self.sessions.fingerprint(row).encode(), proof.encode())
        return Guest(row.id, row.name, proof) if fits else None

    # --- the cookie: encrypted, so that nobody else can read it

    def seal_cookie(self, guest: Guest) -> str:
        until = int((clock.now() + COOKIE_LIFE).timestamp())
        return self.service.seal.seal({"use": COOKIE_USE, "p": guest.id, "by": guest.proof, "until": until})

    async def from_cookie(self, cookie: str) -> Guest | None:
        try:
            session = self.service.seal.open(cookie)
        except SettingsError:
            return None
        if not isinstance(session, dict) or session.get("use") != COOKIE_USE:
            return None
        if session["until"] < clock.now().timestamp():
            return None
        return await self.find_guest(session["p"], session["by"])

    # --- the app's tokens: signed, and readable as the app's own were

    def anonymous_tokens(self) -> dict[str, str]:
        """The tokens that the app requested before its login; they give no access here."""
        number = 91_000_000 + secrets.randbelow(1_000_000)
        made = {name: self.issue(number, name, "", life) for name, life in TOKEN_LIVES.items()}
        return {"id": str(number), **made, "tvst_access_token": secrets.token_hex(16)}

    def issue_tokens(self, guest: Guest) -> dict[str, str]:
        return {name: self.issue(guest.id, name, guest.proof, life) for name, life in TOKEN_LIVES.items()}

    def issue(self, person_id: int, use: str, proof: str, life: timedelta) -> str:
        import jwt

        now = clock.now()
        about = {"id": person_id, "use": use, "by": proof, "iss": ISSUER, "aud": ISSUER}
        times = {"iat": int(now.timestamp()), "exp": int((now + life).timestamp())}
        return jwt.encode({**about, **times, "jti": secrets.token_hex(8)}, self.key)

    async def from_token(self, token: str, use: str, *, aged: bool = False) -> Guest | None:
        """The person whose token it is, or None; `aged` also accepts an expired one."""
        claims = decode_token(self.key, token, aged=aged)
        if claims.get("use") != use:
            return None
        return await self.find_guest(claims.get("id"), claims.get("by"))


TOKEN_LIVES: Mapping[str, timedelta] = {"jwt_token": ACCESS_LIFE, "jwt_refresh_token": REFRESH_LIFE}


def token_key(signing: str) -> bytes:
    """The signing key of tokens, derived so that no other signature made here is valid as one."""
    return hashlib.sha256(f"tvtime tokens\0{signing}".encode()).digest()


def bearer(request: Request) -> str:
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""


def decode_token(key: bytes, token: str, *, aged: bool) -> Mapping[str, Any]:
    """The claims of a token that was signed here; empty for any other, or if expired unless `aged`."""
    import jwt

    try:
        return jwt.decode(
            token,
            key,
            ["HS256"],
            audience=ISSUER,
            issuer=ISSUER,
            options={"verify_exp": not aged, "verify_iat": False},
        )
    except jwt.InvalidTokenError:
        return {}
