"""Sessions and passwords: the browser's signed-in visitor, CSRF checks and throttled attempts."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

from itsdangerous import BadData, URLSafeTimedSerializer
from sqlalchemy import Connection, select
from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import TypedDict

from webhook import clock
from webhook.network.asgi import client_address, let_in, peer_address
from webhook.network.throttle import Attempt, Throttled
from webhook.people import passwords, sessions
from webhook.people.sessions import SESSION_LIFE, NewSession, SignInMethod
from webhook.service import Service
from webhook.settings import Settings
from webhook.storage import tables
from webhook.storage.rows import fetch_first
from webhook.storage.tables import PersonRow
from webhook.system.threads import step_back
from webhook.web.http.browsers import describe_browser
from webhook.web.http.errors import Problem
from webhook.web.visible import Visitor

T = TypeVar("T")

COOKIE = "watchmark"
BY_PROXY = "proxy"
"""Marks the session of somebody whom the reverse proxy named."""

DEVICE = "watchmark_device"
DEVICE_DAYS = timedelta(days=400)
"""Days for which a browser is recognised as one that the account signed in with."""


def base(settings: Settings, request: Request) -> str:
    """The prefix of every link: ROOT_PATH, even if the proxy in front strips it."""
    return (settings.root_path or request.scope.get("root_path", "")).rstrip("/")


# --- passwords


HASHING = ThreadPoolExecutor(2, thread_name_prefix="hashing", initializer=step_back)


class Passwords:
    """Hashes passwords off the event loop, a few at a time, since each takes 64 MB for a moment."""

    def __init__(self) -> None:
        self.nobody = ""

    async def is_right(self, row: PersonRow | None, password: str) -> bool:
        """True if it is the person's password; takes equally long if there is no such person."""
        return await hash_in_thread(self.verify, row.password if row else None, password)

    def verify(self, hashed: str | None, password: str) -> bool:
        if hashed is None and not self.nobody:
            self.nobody = passwords.hash_password(secrets.token_hex())
        return passwords.verify_password(hashed or self.nobody, password) and hashed is not None

    async def hash_new(self, password: str) -> str:
        """Hash a new password; raises Problem if it is too short or too long."""
        try:
            passwords.validate_password(password)
        except passwords.InvalidPassword as error:
            raise Problem(422, str(error)) from error
        return await hash_in_thread(passwords.hash_password, password)


async def hash_in_thread(work: Callable[..., T], *given: Any) -> T:
    return await asyncio.get_running_loop().run_in_executor(HASHING, work, *given)


@asynccontextmanager
async def attempt(
    service: Service, address: str, account: str, known_as: str | None = None
) -> AsyncIterator[Attempt]:
    """Wait for the turn of a password attempt; raises Problem 429 if too many are waiting."""
    try:
        async with service.login_throttle.attempt(address, account, known_as) as tried:
            yield tried
    except Throttled as error:
        raise Problem(429, str(error), {"Retry-After": str(error.seconds)}) from error


@asynccontextmanager
async def attempt_code(service: Service, address: str, person_id: int) -> AsyncIterator[Attempt]:
    """Wait for the turn of a second factor's code; raises Problem 429 after too many wrong ones."""
    try:
        async with service.login_throttle.attempt_code(address, person_id) as tried:
            yield tried
    except Throttled as error:
        raise Problem(429, str(error), {"Retry-After": str(error.seconds)}) from error


class OwnPassword:
    """Changes of one's own password, which require the current one and are throttled."""

    def __init__(self, service: Service, passwords: Passwords) -> None:
        self.service = service
        self.passwords = passwords

    async def row(self, visitor: Visitor, name: str) -> PersonRow:
        """The visitor's own row; raises Problem for another person's password or one set by ADMIN_PASSWORD."""
        person_id = visitor.person_id or 0
        row = await self.service.database.read(lambda connection: person_by_id(connection, person_id))
        if row is None or row.name != name:
            raise Problem(403, "You can only change your own password. The owner can create a one-time link.")
        if row.owner and self.service.settings.admin_password.get_secret_value():
            raise Problem(409, "The owner's password is set by ADMIN_PASSWORD and can only be changed there.")
        return row

    async def change(self, row: PersonRow, known: str, wanted: str) -> None:
        """Set the password, which ends all of the person's sessions; raises Problem."""
        await self.check(row, known)
        hashed = await self.passwords.hash_new(wanted)
        await self.service.database.run(lambda connection: passwords.set_password(connection, row.id, hashed))

    async def check(self, row: PersonRow, known: str) -> None:
        """Raise Problem where this is not the person's current password."""
        async with attempt(self.service, "", row.name, f"person {row.id}") as tried:
            if len(known) > passwords.MAX_PASSWORD_LENGTH or not await self.passwords.is_right(row, known):
                raise Problem(422, "The current password is wrong. Nothing was changed.")
            tried.succeeded = True


# --- sessions


class CookieBounds(TypedDict):
    """The attributes of a cookie of ours."""

    path: str
    secure: bool
    httponly: bool
    samesite: Literal["strict", "lax"]


class Sessions:
    """Sessions in signed cookies: each is a row while it lasts, and contains the fingerprint of the password."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.key = service.seal.signing
        self.own_password = OwnPassword(service, Passwords())
        self.signer = URLSafeTimedSerializer(self.key, salt="watchmark session")
        self.devices = URLSafeTimedSerializer(self.key, salt="watchmark device")

    async def visitor(self, request: Request) -> Visitor | None:
        """The visitor signed in with this browser, or None."""
        try:
            session = self.signer.loads(
                request.cookies.get(COOKIE, ""), max_age=int(SESSION_LIFE.total_seconds())
            )
            person_id, fingerprint, nonce = session["p"], session["f"], session["n"]
            by_proxy = session.get("by") == BY_PROXY
        except (BadData, KeyError, TypeError):
            return None
        now = clock.now()
        found = await self.service.database.read(
            lambda connection: sessions.find_session(connection, nonce, now)
        )
        if found is None or found[1].id != person_id:
            return None
        kept, row = found
        if not self.is_fingerprint(row, fingerprint):
            return None
        if by_proxy and self.proxy_name(request) != row.name:
            return None
        let_in(request.scope)
        if now - kept.last_seen > sessions.NOTE_INTERVAL:
            address = client_address(request.scope)
            await self.service.database.run(
                lambda connection: sessions.note_use(connection, kept.id, address, now)
            )
        return Visitor(person_id=row.id, name=row.name, is_admin=row.owner, session=nonce)

    def proxy_name(self, request: Request) -> str | None:
        """Whom the reverse proxy says to have signed in to it, where its word counts."""
        reader = self.service.proxy_sign_in
        if reader is None:
            return None
        return reader.find_name(peer_address(request.scope), request.scope["headers"])

    def fingerprint(self, row: PersonRow) -> str:
        return self.mac(f"password {row.id} {row.password}")

    def is_fingerprint(self, row: PersonRow, given: str) -> bool:
        """True if the person's password is still the one that this was made of."""
        return hmac.compare_digest(self.fingerprint(row), given)

    def form_token(self, visitor: Visitor) -> str:
        """The CSRF token of this session's forms."""
        return self.mac(f"form {visitor.session}")

    def verify(self, text: str, given: str) -> bool:
        """True if this is the text's MAC; compared in constant time."""
        return hmac.compare_digest(self.mac(text).encode(), given.encode("utf-8", "replace"))

    def is_form_token(self, visitor: Visitor, given: str) -> bool:
        return self.verify(f"form {visitor.session}", given)

    def mac(self, text: str) -> str:
        return hmac.new(self.key.encode(), text.encode(), hashlib.sha256).hexdigest()[:32]

    async def begin(self, request: Request, response: Response, row: PersonRow, method: SignInMethod) -> None:
        """Sign the person in, in a new session; one by the proxy's word lasts as long as the proxy says so."""
        nonce = secrets.token_urlsafe(12)
        session = {"p": row.id, "f": self.fingerprint(row), "n": nonce}
        if method is SignInMethod.PROXY:
            session["by"] = BY_PROXY
        new = NewSession(
            nonce,
            row.id,
            method,
            describe_browser(request.headers.get("user-agent", "")),
            client_address(request.scope),
        )
        await self.service.database.run(lambda connection: sessions.add_session(connection, new, clock.now()))
        response.set_cookie(
            COOKIE,
            str(self.signer.dumps(session)),
            max_age=int(SESSION_LIFE.total_seconds()),
            **self.bounds(request),
        )
        if self.device(request, row) is None:
            device = str(self.devices.dumps({"p": row.id, "n": secrets.token_urlsafe(12)}))
            lasts = int(DEVICE_DAYS.total_seconds())
            response.set_cookie(DEVICE, device, max_age=lasts, **self.bounds(request))

    async def browser_id(self, request: Request, row: PersonRow | None) -> str | None:
        """The browser's identifier if the person has signed in with it, or None."""
        if row is None:
            return None
        visitor = await self.visitor(request)
        is_in = visitor is not None and visitor.person_id == row.id
        return f"person {row.id}" if is_in else self.device(request, row)

    def device(self, request: Request, row: PersonRow) -> str | None:
        try:
            cookie = request.cookies.get(DEVICE, "")
            device = self.devices.loads(cookie, max_age=int(DEVICE_DAYS.total_seconds()))
            return f"device {device['n']}" if device["p"] == row.id else None
        except (BadData, KeyError, TypeError):
            return None

    def end(self, request: Request, response: Response) -> None:
        """Delete the browser's cookie; its session is ended by `people.sessions.end_session`."""
        response.delete_cookie(COOKIE, **self.bounds(request))

    def bounds(self, request: Request) -> CookieBounds:
        """The cookie's attributes: this path, HttpOnly, SameSite=Strict, and Secure over TLS."""
        settings = self.service.settings
        secure = request.scope["scheme"] == "https" or settings.base_url.startswith("https:")
        path = base(settings, request) or "/"
        return {"path": path, "secure": secure, "httponly": True, "samesite": "strict"}


# --- other sites


def same_site(request: Request, settings: Settings) -> bool | None:
    """True if a page of this service sent the request; None if the client, then no browser, does not say."""
    fetch_site = request.headers.get("sec-fetch-site")
    if fetch_site is not None:
        return fetch_site in ("same-origin", "none")
    origin = request.headers.get("origin")
    if origin is None:
        return None
    hosts = {request.headers.get("host"), authority(settings.base_url)}
    return authority(origin) in hosts - {None, ""}


def authority(address: str) -> str | None:
    try:
        return urlsplit(address).netloc or None
    except ValueError:
        return None


def refuse_other_sites(request: Request, settings: Settings) -> None:
    if same_site(request, settings) is False:
        raise Problem(
            403, "The request came from another site and was refused. Open the page here and try again."
        )


# --- rows


def person_by_id(connection: Connection, person_id: int) -> PersonRow | None:
    return fetch_first(connection, select(tables.person).where(tables.person.c.id == person_id), PersonRow)


def person_by_name(connection: Connection, name: str) -> PersonRow | None:
    return fetch_first(connection, select(tables.person).where(tables.person.c.name == name), PersonRow)
