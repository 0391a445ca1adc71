"""The API's endpoint: check a call's API key, signature, session and rate limit, and run its method."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from webhook.compat.videoscrobbler import apps, signature
from webhook.compat.videoscrobbler.apps import Person
from webhook.compat.videoscrobbler.responses import Fault, failure, success
from webhook.network.asgi import client_address
from webhook.network.proxies import network_of
from webhook.service import Service
from webhook.settings import SettingsError
from webhook.storage.db import Unavailable
from webhook.storage.tables import AppRow
from webhook.web.http.errors import HEADERS, Problem
from webhook.web.http.params import body, clean

log = structlog.get_logger()

VERBS = ("GET", "HEAD", "POST")
MAX_PARAMS = 50
MAX_PARAM_LENGTH = 2000
CALLS, MINUTE = 300, 60.0
MAX_CALLERS = 10_000


@dataclass(frozen=True, slots=True)
class Call:
    """A verified call. Without a person it is anonymous and sees public data only."""

    method: str
    params: Mapping[str, str]
    app: AppRow
    person: Person | None
    silent: bool = False
    """True for a HEAD request: the work is done, and the result is not read."""

    def text(self, name: str) -> str:
        """A required parameter; raises Fault."""
        value = self.params.get(name, "")
        if not value:
            raise Fault(6, f"{name} is missing")
        return value

    def whole(self, name: str, least: int, most: int) -> int:
        value = self.text(name)
        number = int(value) if value.isascii() and value.isdigit() and len(value) <= 9 else None
        if number is None or not least <= number <= most:
            raise Fault(6, f"{name} is a whole number from {least} to {most}")
        return number

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        value = self.text(name)
        if value not in choices:
            raise Fault(6, f"{name} is one of {', '.join(choices)}")
        return value

    def require_person(self) -> Person:
        """The person who calls; raises Fault for an anonymous call."""
        if self.person is None:
            raise Fault(4, "this session key is an anonymous one; let the person sign in at /api/auth")
        return self.person


Method = Callable[[Call], Awaitable[Mapping[str, object]]]


@dataclass(slots=True)
class RateLimit:
    """A limit of calls a minute, for each session or, for anonymous calls, each address."""

    most: int = CALLS
    window: float = MINUTE
    counts: dict[tuple[str, ...], tuple[float, int]] = field(default_factory=dict)

    def take(self, *key: str) -> None:
        """Count a call; raises Fault 29 above the limit."""
        now = time.monotonic()
        began, count = self.counts.pop(key, (now, 0))
        if now - began > self.window:
            began, count = now, 0
        self.counts[key] = (began, count + 1)
        while len(self.counts) > MAX_CALLERS:
            self.counts.pop(next(iter(self.counts)))
        if count >= self.most:
            wait = int(self.window - (now - began)) + 1
            raise Fault(29, f"at most {self.most} calls a minute", Retry_After=str(wait))


class ApiEndpoint:
    """Answers requests to /api/1.0/."""

    def __init__(
        self, service: Service, methods: Mapping[str, Method], pace: RateLimit | None = None
    ) -> None:
        self.service = service
        self.methods = methods
        self.pace = pace or RateLimit()

    async def endpoint(self, request: Request) -> Response:
        as_json = False
        try:
            params = await read_params(request)
            as_json = wants_json(params)
            response = success(await self.answer(request, params), as_json=as_json)
        except Fault as fault:
            as_json = as_json or request.query_params.get("format") == "json"
            response = failure(fault, as_json=as_json)
        except Unavailable as error:
            log.warning(
                "A call of the VideoScrobbler API failed: the database is unavailable.", why=str(error)
            )
            response = failure(Fault(11, Retry_After="30"), as_json=as_json)
        except ClientDisconnect:
            return Response(status_code=400)
        except Exception:
            log.exception("A call of the VideoScrobbler API failed unexpectedly.")
            response = failure(Fault(8), as_json=as_json)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        if request.method == "HEAD":
            response.body = b""
        return response

    async def answer(self, request: Request, params: Mapping[str, str]) -> Mapping[str, object]:
        if request.path_params.get("rest"):
            raise Fault(2, "the address is /api/1.0/")
        if request.method not in VERBS:
            raise Fault(3, "it is asked with GET, HEAD or POST", 405, Allow=", ".join(VERBS))
        method = self.method(params)
        app = await self.app(params)
        person = None if method.startswith("auth.") else await self.person(app, params)
        self.pace.take(
            *((str(person.token_id),) if person else (str(app.id), network_of(client_address(request.scope))))
        )
        call = Call(method, params, app, person, request.method == "HEAD")
        return await self.methods[method](call)

    def method(self, params: Mapping[str, str]) -> str:
        name = params.get("method", "")
        known = {known.lower(): known for known in self.methods}
        if found := known.get(name.lower()):
            return found
        package = name.partition(".")[0].lower()
        if name and package not in {known.partition(".")[0] for known in self.methods}:
            raise Fault(2, f"there is no {package[:50]}")
        raise Fault(3, f"there are {', '.join(self.methods)}")

    async def app(self, params: Mapping[str, str]) -> AppRow:
        """The calling app, by its key and its signature; raises Fault."""
        key = params.get("api_key", "")
        row = await self.service.database.read(lambda connection: apps.by_key(connection, key))
        if row is None:
            raise Fault(10)
        try:
            secret = str(self.service.seal.open(row.sealed))
        except SettingsError as error:
            raise Fault(10, "its secret was sealed with a key that is gone; add the app again") from error
        if not signature.is_valid(params, secret):
            raise Fault(13)
        if row.suspended_at is not None:
            raise Fault(26)
        return row

    async def person(self, app: AppRow, params: Mapping[str, str]) -> Person | None:
        """The person of the session key, or None for the app's anonymous session; raises Fault."""
        key = params.get("sk", "")
        if not key:
            raise Fault(9, "sk is missing; auth.getSession gives one")
        if hmac.compare_digest(key.encode(), anonymous(self.service.seal.signing, app).encode()):
            return None
        found = await self.service.database.read(lambda connection: apps.session(connection, app.id, key))
        if found is None:
            raise Fault(9)
        return found


def anonymous(signing_key: str, app: AppRow) -> str:
    """The session key of an app without a person: always the same, so that none has to be stored."""
    about = f"videoscrobbler anonymous {app.key}"
    return hmac.new(signing_key.encode(), about.encode(), hashlib.sha256).hexdigest()[:40]


async def read_params(request: Request) -> dict[str, str]:
    """The parameters of the query and of a form; raises Fault."""
    pairs = pairs_of(request.scope["query_string"])
    if request.method == "POST":
        try:
            pairs += pairs_of(await body(request))
        except Problem as problem:
            raise Fault(6, problem.detail, problem.status, **problem.headers) from problem
    params = dict(pairs)
    if len(params) < len(pairs):
        raise Fault(6, "a parameter is given twice")
    for name, value in pairs:
        if not clean(name) or not clean(value, MAX_PARAM_LENGTH):
            raise Fault(6, f"{name[:50]} has more than {MAX_PARAM_LENGTH} characters, or one that is none")
    return params


def pairs_of(encoded: bytes) -> list[tuple[str, str]]:
    try:
        text = encoded.decode("utf-8", "replace")
        return parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_PARAMS)
    except ValueError as error:
        raise Fault(6, f"there are more than {MAX_PARAMS} parameters") from error


def wants_json(params: Mapping[str, str]) -> bool:
    """True if JSON is requested; raises Fault for an unknown format."""
    wanted = params.get("format", "")
    if wanted not in ("", "json"):
        raise Fault(5, "there is json, and XML where none is asked for")
    return wanted == "json"
