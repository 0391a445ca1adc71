"""The sign-in: who a browser's visitor is, and what keeps others from passing for them."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError
from itsdangerous import BadData, URLSafeTimedSerializer
from sqlalchemy import Connection, Row, delete, select, update
from starlette.requests import Request
from starlette.responses import Response

from webhook import people, tables
from webhook.settings import Settings
from webhook.web.shell import Problem
from webhook.web.views import Visitor

if TYPE_CHECKING:
    from webhook.app import Service

COOKIE = "watchmark"
DAYS = timedelta(days=30)
SHORTEST = 8
LONGEST = 1024
TRIES = 5
WINDOW = 300.0
KEYS = 10_000  # names and addresses of which failures are remembered
WELCOME = "welcome"

hasher = PasswordHasher()


def base(settings: Settings, request: Request) -> str:
    """What every link begins with: ROOT_PATH, also where the proxy in front takes it away."""
    return (settings.root_path or request.scope.get("root_path", "")).rstrip("/")


# --- passwords


class Passwords:
    """Checks passwords beside the event loop, a few at a time: each takes 64 MB for a moment."""

    def __init__(self) -> None:
        self.few = asyncio.Semaphore(2)
        self.nobody = ""

    async def right(self, row: Row[Any] | None, password: str) -> bool:
        """Whether it is the person's password; takes as long where there is no such person."""
        async with self.few:
            return await asyncio.to_thread(self.verified, row.password if row else None, password)

    def verified(self, hashed: str | None, password: str) -> bool:
        if hashed is None and not self.nobody:
            self.nobody = hasher.hash(secrets.token_hex())
        try:
            hasher.verify(hashed or self.nobody, password)
        except (Argon2Error, InvalidHashError):
            return False
        return hashed is not None

    async def hashed(self, password: str) -> str:
        """The password as it is kept; raises Problem where it is too short."""
        if not SHORTEST <= len(password) <= LONGEST:
            raise Problem(422, f"A password has at least {SHORTEST} characters.")
        async with self.few:
            return await asyncio.to_thread(hasher.hash, password)


@dataclass(slots=True)
class Patience:
    """So many failures in so long a time, for a name and for an address; then it has to wait."""

    tries: int = TRIES
    window: float = WINDOW
    failures: dict[tuple[str, str], deque[float]] = field(default_factory=dict)

    def take(self, *keys: tuple[str, str]) -> int:
        """0, and the try is counted beforehand so that many at once are no way in; or the seconds to wait."""
        now = time.monotonic()
        seconds = max(self.wait(key, now) for key in keys)
        if seconds:
            return seconds
        for key in keys:
            self.failures.setdefault(key, deque()).append(now)
        while len(self.failures) > KEYS:
            self.failures.pop(next(iter(self.failures)))
        return 0

    def wait(self, key: tuple[str, str], now: float) -> int:
        failed = self.failures.get(key, deque())
        while failed and now - failed[0] > self.window:
            failed.popleft()
        return int(self.window - (now - failed[0])) + 1 if len(failed) >= self.tries else 0

    def forget(self, *keys: tuple[str, str]) -> None:
        for key in keys:
            self.failures.pop(key, None)


# --- sessions


class Sessions:
    """Signed cookies. A changed password ends them, as its fingerprint is part of them."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.key = service.seal.signing
        self.signer = URLSafeTimedSerializer(self.key, salt="watchmark session")

    async def visitor(self, request: Request) -> Visitor | None:
        """Who has signed in with this browser, or None."""
        try:
            session = self.signer.loads(request.cookies.get(COOKIE, ""), max_age=int(DAYS.total_seconds()))
            person_id, fingerprint, nonce = session["p"], session["f"], session["n"]
        except (BadData, KeyError, TypeError):
            return None
        row = await self.service.database.read(lambda connection: by_id(connection, person_id))
        if row is None or not hmac.compare_digest(self.fingerprint(row), fingerprint):
            return None
        return Visitor(person_id=row.id, name=row.name, everything=row.owner, session=nonce)

    def fingerprint(self, row: Row[Any]) -> str:
        return self.mac(f"password {row.id} {row.password}")

    def form_token(self, visitor: Visitor) -> str:
        """What every form of this session carries."""
        return self.mac(f"form {visitor.session}")

    def mac(self, text: str) -> str:
        return hmac.new(self.key.encode(), text.encode(), hashlib.sha256).hexdigest()[:32]

    def begin(self, request: Request, response: Response, row: Row[Any]) -> None:
        session = {"p": row.id, "f": self.fingerprint(row), "n": secrets.token_urlsafe(12)}
        response.set_cookie(
            COOKIE, str(self.signer.dumps(session)), max_age=int(DAYS.total_seconds()), **self.bounds(request)
        )

    def end(self, request: Request, response: Response) -> None:
        response.delete_cookie(COOKIE, **self.bounds(request))

    def bounds(self, request: Request) -> dict[str, Any]:
        """Where the cookie goes: to this path, to no script and no other site, over TLS if it came so."""
        settings = self.service.settings
        secure = request.scope["scheme"] == "https" or settings.base_url.startswith("https:")
        path = base(settings, request) or "/"
        return {"path": path, "secure": secure, "httponly": True, "samesite": "strict"}


# --- other sites


def same_site(request: Request, settings: Settings) -> bool | None:
    """Whether a page of ours sent the request; None where the client, no browser then, does not say."""
    fetch_site = request.headers.get("sec-fetch-site")
    if fetch_site is not None:
        return fetch_site in ("same-origin", "none")
    origin = request.headers.get("origin")
    if origin is None:
        return None
    hosts = {request.headers.get("host"), request.headers.get("x-forwarded-host")}
    hosts.add(authority(settings.base_url))
    return authority(origin) in hosts - {None, ""}


def authority(address: str) -> str | None:
    try:
        return urlsplit(address).netloc or None
    except ValueError:
        return None


def refuse_other_sites(request: Request, settings: Settings) -> None:
    if same_site(request, settings) is False:
        raise Problem(
            403, "This came from another site, so nothing was done. Open the page here and try again."
        )


# --- rows


def by_id(connection: Connection, person_id: int) -> Row[Any] | None:
    return connection.execute(select(tables.person).where(tables.person.c.id == person_id)).first()


def named(connection: Connection, name: str) -> Row[Any] | None:
    return connection.execute(select(tables.person).where(tables.person.c.name == name)).first()


def welcome(secret: str, now: datetime, lasts: timedelta = timedelta(days=1)) -> dict[str, str]:
    """The note that makes /welcome/{secret} a way in, once."""
    return {"digest": people.digest(secret), "expires_at": (now + lasts).isoformat()}


def invited(connection: Connection, secret: str, now: datetime) -> Row[Any] | None:
    """The owner, where this one-time link is the valid one."""
    noted = connection.execute(select(tables.note.c.value).where(tables.note.c.name == WELCOME)).scalar()
    if not isinstance(noted, dict) or not hmac.compare_digest(
        str(noted.get("digest")), people.digest(secret)
    ):
        return None
    expires = moment(noted.get("expires_at"))
    if expires is None or expires <= now:
        return None
    owners = select(tables.person).where(tables.person.c.owner.is_(True)).order_by(tables.person.c.id)
    return connection.execute(owners).first()


def moment(noted: Any) -> datetime | None:
    """A time as a note may hold it: ISO 8601, or seconds or milliseconds since 1970."""
    if isinstance(noted, int | float):
        return datetime.fromtimestamp(noted / 1000 if noted > 1e11 else noted, UTC)
    try:
        parsed = datetime.fromisoformat(str(noted))
    except ValueError:
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def accept(connection: Connection, secret: str, hashed: str, now: datetime) -> Row[Any] | None:
    """Sets the owner's password and uses the link up; None where it is not valid any more."""
    owner = invited(connection, secret, now)
    if owner is None:
        return None
    mine = tables.person.c.id == owner.id
    connection.execute(update(tables.person).where(mine).values(password=hashed))
    connection.execute(delete(tables.note).where(tables.note.c.name == WELCOME))
    return by_id(connection, owner.id)
