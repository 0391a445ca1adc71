"""Outgoing HTTP: bounded, paced and recorded for the trace.

A tracker or a lookup only calls; who is calling, how fast that account may write and what is kept
of it is set around the call with `recording`.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from ssl import SSLContext
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import httpx
import orjson

from webhook.domain.json_shapes import ExchangeJson
from webhook.domain.outcome import Retry
from webhook.domain.retry import UNSURE_PAUSE, decide
from webhook.texts import texts

MAX_ANSWER = 256 * 1024
MAX_EXCERPT = 500

Headers = Mapping[str, str]


async def call(
    http: httpx.AsyncClient,
    label: str,
    method: str,
    url: str,
    *,
    headers: Headers | None = None,
    params: Mapping[str, str] | None = None,
    json: Any = None,
    form: Mapping[str, str] | None = None,
    most: int = MAX_ANSWER,
    public_url: str | None = None,
) -> httpx.Response:
    """Send a request and read its whole answer, up to `most` bytes; raises Retry if no whole answer came.

    Before the connection stands nothing was sent; after that a failure leaves open whether the
    call was recorded, and the Retry says so (`unsure`). `public_url` is recorded in place of an address that is a secret.
    """
    content = urlencode(form).encode() if form is not None else None if json is None else orjson.dumps(json)
    request = build_request(http, method, url, headers or {}, params, content)
    if public_url is not None:
        request.extensions["public_url"] = public_url
    try:
        response = await http.send(request, stream=True)
        try:
            body = await read_body(label, response, most)
        finally:
            await response.aclose()
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol) as error:
        raise Retry(f"{label} cannot be reached ({describe_error(error)})") from error
    except httpx.HTTPError as error:
        raise Retry(
            f"{label} broke off ({describe_error(error)})", after=UNSURE_PAUSE, unsure=True
        ) from error
    return httpx.Response(
        response.status_code, headers=clean(response.headers), content=body, request=request
    )


def build_request(
    http: httpx.AsyncClient,
    method: str,
    url: str,
    headers: Headers,
    params: Headers | None,
    content: bytes | None,
) -> httpx.Request:
    """The request with the client's headers and timeouts, which `http.build_request` makes at three times the cost."""
    named = {name.lower().encode() for name in headers}
    both = [*((name, value) for name, value in http.headers.raw if name.lower() not in named)]
    both += [(name.encode("ascii"), value.encode("ascii")) for name, value in headers.items()]
    return httpx.Request(
        method,
        parse_url(url),
        params=params,
        headers=both,
        content=content,
        extensions={"timeout": http.timeout.as_dict()},
    )


parse_url = lru_cache(maxsize=256)(httpx.URL)


async def read_body(label: str, response: httpx.Response, most: int) -> bytes:
    """The whole body; raises Retry where it is longer than `most`."""
    body = bytearray()
    async for chunk in decoded_body(response):
        body += chunk
        if len(body) > most:
            reason = f"{label} sent an answer over {most // 1024} KiB"
            raise Retry(reason, after=UNSURE_PAUSE, unsure=True, suspect=True)
    return bytes(body)


def decoded_body(response: httpx.Response) -> AsyncIterable[bytes]:
    """The body in pieces; where nothing is to be decoded as the transport has it, which costs less."""
    plain = "content-encoding" not in response.headers
    if plain and isinstance(response.stream, httpx.AsyncByteStream):
        return response.stream
    return response.aiter_bytes()


DROPPED = frozenset({b"content-encoding", b"content-length", b"transfer-encoding"})


def clean(headers: httpx.Headers) -> httpx.Headers:
    """The headers without those that no longer apply to a decoded body."""
    return httpx.Headers([(name, value) for name, value in headers.raw if name.lower() not in DROPPED])


NETWORK_ERRORS = texts(
    {
        "Name or service not known": "its name is not known on this network",
        "nodename nor servname provided": "its name is not known on this network",
        "No address associated with hostname": "its name has no address on this network",
        "Temporary failure in name resolution": "its name could not be looked up",
        "All connection attempts failed": "no connection could be made",
        "Connection refused": "it refused the connection",
        "Network is unreachable": "no way leads to its network",
        "No route to host": "no way leads to its machine",
    }
)
"""What the system says of a failed connection, in words for people."""


def describe_error(error: Exception) -> str:
    said = str(error).strip() or type(error).__name__
    return next((words for name, words in NETWORK_ERRORS.items() if name in said), said)


def excerpt(response: httpx.Response) -> str:
    """The answer, shortened for the trace."""
    return response.content[:MAX_EXCERPT].decode("utf-8", "replace")


def accept(label: str, response: httpx.Response) -> httpx.Response:
    """Return the response if it is a success; otherwise raise the decision for its status."""
    if response.is_success:
        return response
    raise decide(label, response.status_code, response.headers, excerpt(response))


def read_json(label: str, response: httpx.Response) -> Any:
    """The JSON of a success; raises Retry (unsure) where it is HTML, truncated or otherwise no JSON."""
    try:
        return orjson.loads(response.content)
    except orjson.JSONDecodeError as error:
        reason = f"{label} answered {response.status_code} with something that is no JSON"
        raise Retry(
            reason, answer=excerpt(response), after=UNSURE_PAUSE, unsure=True, suspect=True
        ) from error


# --- recording of calls


def version() -> str:
    try:
        return installed("watchmark")
    except PackageNotFoundError:
        return "0"


USER_AGENT = f"Watchmark/{version()} (+https://github.com/watchmark/watchmark)"
SECRETS = frozenset(
    {
        "access_token",
        "refresh_token",
        "client_secret",
        "code",
        "device_code",
        "jwt_token",
        "jwt_refresh_token",
        "password",
        "token",
        "tvst_access_token",
        "sk",
        "api_sig",
        "api_key",
        "apikey",
        "userkey",
        "pin",
    }
)
HIDDEN = "…"
FORM = "application/x-www-form-urlencoded"


@dataclass(slots=True)
class Recorder:
    """Records one delivery's calls for its trace; each write is made inside `pace`.

    `withhold` keeps writes from being sent: the first one is recorded, and raises DryRunStop.
    """

    withhold: bool = False
    pace: Callable[[], AbstractAsyncContextManager[None]] = nullcontext
    exchanges: list[ExchangeJson] = field(default_factory=list)


class DryRunStop(Exception):
    """A dry run reached its first write; the message says what it would have sent."""


recorder: ContextVar[Recorder | None] = ContextVar("recorder", default=None)


@contextmanager
def recording(kept: Recorder) -> Iterator[Recorder]:
    """Pace calls made inside by this recorder, and record them in it."""
    before = recorder.set(kept)
    try:
        yield kept
    finally:
        recorder.reset(before)


@contextmanager
def send_in_dry_run() -> Iterator[None]:
    """Send calls made inside even in a dry run, such as the renewal of a sign-in."""
    kept = recorder.get()
    if kept is None or not kept.withhold:
        yield
        return
    with recording(replace(kept, withhold=False)):
        yield


class Client(httpx.AsyncClient):
    """A client that keeps no cookies and follows no redirects, so that a streamed call goes straight to its transport."""

    def __init__(
        self, transport: httpx.AsyncBaseTransport, timeout: httpx.Timeout, ca_file: str = ""
    ) -> None:
        super().__init__(transport=transport, timeout=timeout, headers={"User-Agent": USER_AGENT})
        self.ca_file = ca_file  # for a library that makes its own connections
        self.transport = transport

    async def send(self, request: httpx.Request, *, stream: bool = False, **options: Any) -> httpx.Response:
        if not stream or self.is_closed or request.url.userinfo:
            return await super().send(request, stream=stream, **options)
        response = await self.transport.handle_async_request(request)
        response.request = request
        return response


class Recording(httpx.AsyncBaseTransport):
    """A transport that paces writes and records requests and answers without their secrets.

    The transport that sends them, and TLS with it, is made at the first call.
    """

    def __init__(self, make_transport: Callable[[], httpx.AsyncBaseTransport]) -> None:
        self.transport = cache(make_transport)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        kept = recorder.get()
        if kept is None:
            return await self.transport().handle_async_request(request)
        exchange: ExchangeJson = {
            "method": request.method,
            "url": address_to_record(request),
            "sent": request_body(request),
        }
        if request.method not in ("GET", "HEAD"):
            if kept.withhold:
                kept.exchanges.append({**exchange, "withheld": True})
                raise DryRunStop(f"would send {request.method} {exchange['url']}")
            async with kept.pace():
                return await self.exchange(request, exchange, kept)
        return await self.exchange(request, exchange, kept)

    async def exchange(
        self, request: httpx.Request, exchange: ExchangeJson, kept: Recorder
    ) -> httpx.Response:
        """Send the request, and record what came of it."""
        kept.exchanges.append(exchange)
        began = time.monotonic()
        try:
            response = await self.transport().handle_async_request(request)
        except Exception as error:
            exchange["error"] = describe_error(error)
            raise
        finally:
            exchange["took_ms"] = round((time.monotonic() - began) * 1000)
        exchange["status"] = response.status_code
        return response

    async def aclose(self) -> None:
        if self.transport.cache_info().currsize:
            await self.transport().aclose()


def address_to_record(request: httpx.Request) -> str:
    public_url = request.extensions.get("public_url")
    return address(request.url) if public_url is None else str(public_url)


def address(url: httpx.URL) -> str:
    """The address without the secrets in its query."""
    if not url.query or not any(name in SECRETS for name in url.params):
        return str(url)
    shown = {name: HIDDEN if name in SECRETS else value for name, value in url.params.items()}
    return str(url.copy_with(params=shown)).replace(quote(HIDDEN), HIDDEN)


def request_body(request: httpx.Request) -> Any:
    """A request's body without its secrets: JSON or form fields, else its size in words; None if empty."""
    content = request.content
    if not content:
        return None
    if request.headers.get("content-type", "").partition(";")[0].strip() == FORM:
        fields = parse_qsl(content[:MAX_ANSWER].decode("utf-8", "replace"), keep_blank_values=True)
        return without_secrets(dict(fields))
    try:
        return without_secrets(orjson.loads(content[:MAX_ANSWER]))
    except orjson.JSONDecodeError:
        return f"{len(content)} bytes"


def without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: HIDDEN if name in SECRETS else without_secrets(inner) for name, inner in value.items()}
    return [without_secrets(inner) for inner in value] if isinstance(value, list) else value


def client(timeout: float = 20.0, connect: float = 5.0, ca_file: str = "") -> httpx.AsyncClient:
    """The client that every tracker, lookup and server is called with: bounded in time, following no redirects."""
    context = cache(lambda: make_context(ca_file))
    timeouts = httpx.Timeout(timeout, connect=connect)
    return Client(Recording(lambda: make_transport(context)), timeouts, ca_file)


def make_context(ca_file: str) -> SSLContext:
    """The context of connections by HTTP."""
    context = trusting_context(ca_file)
    context.set_alpn_protocols(["http/1.1"])
    return context


def trusting_context(ca_file: str) -> SSLContext:
    """Certificates are always checked; those of an authority of one's own are trusted beside the usual ones."""
    context = httpx.create_ssl_context()
    if ca_file:
        context.load_verify_locations(ca_file)
    return context


def make_transport(context: Callable[[], SSLContext]) -> httpx.AsyncBaseTransport:
    from webhook.network.transport import Transport  # late: a command that calls nobody needs no connections

    return Transport(context)
