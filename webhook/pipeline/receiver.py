"""The receiver of webhooks: checks the token and limits, stores the webhook, and only then answers 200.

A media server sends each webhook once and never repeats it, so nothing here depends on what a
webhook means: with a known token whatever comes is kept, quarantined where it cannot be read.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from urllib.parse import parse_qs

import orjson
import structlog
from starlette.types import Receive, Scope, Send

from webhook import clock
from webhook.domain import lenient_json
from webhook.domain.event import Unreadable
from webhook.domain.states import WebhookState
from webhook.network.asgi import client_address, let_in
from webhook.people import tokens
from webhook.pipeline import compression
from webhook.pipeline.body import Cut, Form, Payload, Refused, locate
from webhook.pipeline.reply_times import ReplyTimes
from webhook.queues.inbox import RESERVED_CONTENT_TYPE, Inbox, ReceivedWebhook
from webhook.storage.db import Database, Unavailable

log = structlog.get_logger()

BODY_TIMEOUT = 10.0
"""Seconds within which the whole body must arrive."""

TOKEN_CACHE_SECONDS = 2.0
"""Lifetime of the token cache in seconds, after which a token revoked by a command is refused."""

MAX_INLINE_PARSE = 64 * 1024
"""Bytes of JSON above which it is parsed in a thread."""

MAX_QUIET_REQUESTS = 4

KEPT_NOTE = "It is kept, so that it can be looked at."

PUT_SOURCES = frozenset({"tautulli"})  # its user chooses the method, and a template in use chose PUT


@dataclass(slots=True)
class TokenCache:
    """Cache of the webhook tokens; queries the database only for unknown ones."""

    database: Database
    known: dict[str, int] | None = None
    read_at: float = -TOKEN_CACHE_SECONDS
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def admit(self, secret: str) -> int | None:
        """The token's id, or None; takes the same time whichever token is wrong."""
        digest, now = tokens.digest(secret), time.monotonic()
        age = now - self.read_at
        if (
            self.known is None
            or age > TOKEN_CACHE_SECONDS
            or (digest not in self.known and age > TOKEN_CACHE_SECONDS / 10)
        ):
            await self.reload(now)
        assert self.known is not None
        for known, token_id in self.known.items():
            if hmac.compare_digest(known, digest):
                return token_id
        return None

    async def reload(self, now: float) -> None:
        """Read the tokens, once for all concurrent callers."""
        async with self.reading:
            if self.known is not None and self.read_at >= now:
                return
            began = time.monotonic()
            rows = await self.database.read_first(
                lambda connection: tokens.valid_tokens(connection, "webhook", clock.now())
            )
            self.known = {row.digest: row.id for row in rows}
            self.read_at = began


@dataclass(frozen=True, kw_only=True, slots=True)
class Rejection:
    """A refused request, shown to people who miss webhooks; never contains the token."""

    at: datetime
    peer: str
    """The sender's address, if known."""
    why: str


class Receiver:
    """The ASGI app behind POST /webhooks/{source}/{token}."""

    def __init__(self, inbox: Inbox, doorkeeper: TokenCache, forms: Mapping[str, Form], limit: int) -> None:
        self.inbox = inbox
        self.doorkeeper = doorkeeper
        self.forms = forms
        self.forms_without_picture = {name: replace(form, picture=None) for name, form in forms.items()}
        self.limit = limit
        self.in_flight = 0
        self.refused_at: float | None = None  # time of the last failed write
        self.stored = 0
        self.turned_away: dict[str, Rejection] = {}  # the newest of each source, since the start
        self.offer_picture: Callable[[str, bytes, bytes], None] | None = None
        """Takes a source, a payload and the picture that came with it, without waiting."""
        self.reply_times = ReplyTimes()

    def is_busy(self) -> bool:
        """True while more than a few requests are in flight; background work backs off."""
        return self.in_flight > MAX_QUIET_REQUESTS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.in_flight += 1
        began = time.monotonic()
        try:
            webhook_id, refused = await self.take(scope, receive)
            if refused is not None:
                await send_problem(send, refused, webhook_id)
            else:
                await send_answer(send, 200, orjson.dumps({"webhook": webhook_id}))
        except Unavailable as error:
            self.refused_at = time.monotonic()
            log.error(
                "A webhook could not be stored; the sender got a 503.",
                action="store_unavailable",
                why=str(error),
            )
            why = (
                f"The webhook could not be stored: {error}. Nothing was kept; free the disk or the database."
            )
            await send_problem(send, Refused(503, why), None, ((b"retry-after", b"30"),))
        finally:
            self.in_flight -= 1
            self.reply_times.observe(time.monotonic() - began)

    async def take(self, scope: Scope, receive: Receive) -> tuple[int | None, Refused | None]:
        """Receive a request; returns the id of the stored webhook or None, and the refusal or None."""
        try:
            source, token_id = await self.admit(scope)
            headers = dict(scope["headers"])
            found = await self.locate_payload(receive, headers, source)
        except Refused as refused:
            self.note(scope, refused)
            return None, refused
        content_type = content_type_of(headers)
        fault = await find_fault(found, content_type, headers)
        received = ReceivedWebhook(
            source=source,
            token_id=token_id,
            received_at=clock.now(),
            content_type=content_type,
            raw=found.raw,
            state=WebhookState.QUARANTINED if fault else WebhookState.RECEIVED,
            reason=fault,
        )
        webhook_id = await self.inbox.keep(received)
        self.stored += 1
        if found.picture is not None and fault is None and self.offer_picture is not None:
            self.offer_picture(source, found.raw, found.picture)
        return webhook_id, Refused(400, f"{fault} {KEPT_NOTE}") if fault else None

    async def admit(self, scope: Scope) -> tuple[str, int]:
        """The source and the token's id; raises Refused, with the same answer whichever is unknown."""
        source = source_of(scope)
        token_id = await self.doorkeeper.admit(token_of(scope))
        if token_id is None or source not in self.forms:
            raise Refused(404, "There is no such webhook address. Copy it again from: watchmark urls")
        let_in(scope)
        if scope["method"] != "POST" and not (scope["method"] == "PUT" and source in PUT_SOURCES):
            raise Refused(405, "A webhook is sent with POST.")
        return source, token_id

    def note(self, scope: Scope, refused: Refused) -> None:
        """Remember a refusal for its source; those of unknown sources are dropped."""
        source = source_of(scope)
        if source in self.forms:
            self.turned_away[source] = Rejection(
                at=clock.now(), peer=client_address(scope), why=explain_refusal(scope, refused)
            )

    async def locate_payload(self, receive: Receive, headers: Mapping[bytes, bytes], source: str) -> Payload:
        length = headers.get(b"content-length", b"")
        size = int(length) if length.isdigit() and len(length) < 20 else None
        chunks = compression.inflate(body_chunks(receive), encoding_of(headers))
        content_type = headers.get(b"content-type", b"")
        wants_picture = self.offer_picture is not None and not self.is_busy()
        forms = self.forms if wants_picture else self.forms_without_picture
        return await locate(chunks, content_type, size, forms[source], self.limit)


async def body_chunks(receive: Receive) -> AsyncIterator[bytes]:
    """A request's body in chunks; raises Cut if it ends early or takes too long."""
    ends = asyncio.get_running_loop().time() + BODY_TIMEOUT
    more = True
    while more:
        try:
            async with asyncio.timeout_at(ends):
                message = await receive()
        except TimeoutError as error:
            raise Cut(f"The body did not arrive within {BODY_TIMEOUT:.0f} seconds.") from error
        if message["type"] == "http.disconnect":
            raise Cut("The sender hung up before the body was whole.")
        more = message.get("more_body", False)
        if body := message.get("body"):
            yield body


def encoding_of(headers: Mapping[bytes, bytes]) -> bytes:
    return headers.get(b"content-encoding", b"").strip().lower()


def content_type_of(headers: Mapping[bytes, bytes]) -> str:
    """The content type to store; a sender cannot claim one reserved for what Watchmark makes itself."""
    content_type = headers.get(b"content-type", b"").decode("latin-1")[:200]
    return (
        "application/json" if content_type.strip().lower().startswith(RESERVED_CONTENT_TYPE) else content_type
    )


async def find_fault(found: Payload, content_type: str, headers: Mapping[bytes, bytes]) -> str | None:
    """The reason why a webhook cannot be read, for the person who set the sender up, or None."""
    if found.fault is not None:
        return found.fault
    try:
        if len(found.raw) > MAX_INLINE_PARSE:
            await asyncio.to_thread(lenient_json.loads, found.raw, content_type)
        else:
            lenient_json.loads(found.raw, content_type)
    except Unreadable as error:
        encoding = encoding_of(headers)
        if encoding not in compression.READABLE:
            shown = encoding.decode("latin-1")[:40]
            return f"The body is compressed with {shown}, which is not read here: send it as it is, or with gzip."
        return found.cut or str(error)
    return None


def explain_refusal(scope: Scope, refused: Refused) -> str:
    """The reason for a refusal, for the owner only; the sender does not learn whether a token exists."""
    if refused.status != 404:
        return refused.why
    if not token_of(scope):
        return "The address has no token in it. Copy it whole."
    return "The token in the address is not known here. Copy the address anew."


def source_of(scope: Scope) -> str:
    return str(scope.get("path_params", {}).get("source", ""))


def token_of(scope: Scope) -> str:
    """The token in the path, else `?token=`, which Plex masks in its own log, else a bearer."""
    if token := scope.get("path_params", {}).get("token"):
        return str(token)
    query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
    if values := query.get("token"):
        return str(values[0])
    bearer = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
    return str(bearer[7:]).strip() if bearer[:7].lower() == "bearer " else ""


async def send_answer(
    send: Send, status: int, body: bytes, headers: tuple[tuple[bytes, bytes], ...] = ()
) -> None:
    fixed = ((b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)))
    start = {"type": "http.response.start", "status": status, "headers": [*fixed, *headers]}
    await send(start)
    await send({"type": "http.response.body", "body": body})


async def send_problem(
    send: Send, refused: Refused, webhook_id: int | None, headers: tuple[tuple[bytes, bytes], ...] = ()
) -> None:
    """An error as application/problem+json (RFC 9457)."""
    body: dict[str, object] = {"type": "about:blank", "title": TITLES.get(refused.status, "Refused")}
    body |= {"status": refused.status, "detail": refused.why}
    if webhook_id is not None:
        body["webhook"] = webhook_id
    content = orjson.dumps(body)
    if refused.status == 405:
        headers = (*headers, (b"allow", b"POST"))
    kind = ((b"content-type", b"application/problem+json"), (b"content-length", b"%d" % len(content)))
    await send({"type": "http.response.start", "status": refused.status, "headers": [*kind, *headers]})
    await send({"type": "http.response.body", "body": content})


TITLES = {
    400: "Not readable",
    404: "Not found",
    405: "Method not allowed",
    408: "Too slow",
    413: "Too large",
    503: "Not stored",
}
