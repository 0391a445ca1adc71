"""httpx's transport for every outgoing call: keeps connections open between calls, at a third of httpcore's cost."""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import Callable
from functools import cache, partial
from ssl import SSLContext

import httpx

from webhook.network.connections import Answer, Connection, connect

MAX_CONNECTIONS = 256
MAX_IDLE = 64
"""Connections to one origin that are kept open between calls."""

IDLE_SECONDS = 30.0
"""Seconds that a connection is kept open without a call."""

Origin = tuple[str, str, int]
"""A scheme, a host and a port."""

PORTS = {"http": 80, "https": 443}
TOKEN = re.compile(rb"[-!#$%&'*+.^_`|~0-9A-Za-z]+")
"""A method or a header's name (RFC 9110, 5.6.2)."""


class Transport(httpx.AsyncBaseTransport):
    """Sends requests over HTTP/1.1; `context` gives the TLS settings when they are first needed."""

    def __init__(self, context: Callable[[], SSLContext]) -> None:
        self.context = context
        self.slots = asyncio.Semaphore(MAX_CONNECTIONS)
        self.idle: defaultdict[Origin, list[Connection]] = defaultdict(list)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        origin = origin_of(request.url)
        written = serialize(request, await request.aread())
        timeouts = request.extensions.get("timeout", {})
        await self.take_slot(timeouts.get("pool"))
        connection: Connection | None = None
        try:
            connection = self.take_idle(origin)
            if connection is None:
                connection = await self.connect(origin, timeouts.get("connect"))
            answer = await connection.call(written, timeouts.get("write"), timeouts.get("read"))
        except BaseException:
            self.slots.release()
            if connection is not None:
                connection.abort()
            raise
        assert answer.status is not None
        answer.on_close = partial(self.put_back, origin, connection, answer)
        answer.ended = answer.ended or request.method == "HEAD"
        return httpx.Response(answer.status, headers=answer.headers, stream=answer)

    async def take_slot(self, seconds: float | None) -> None:
        """Wait until one more connection may be in use; raises PoolTimeout."""
        if not self.slots.locked():
            await self.slots.acquire()
            return
        try:
            async with asyncio.timeout(seconds):
                await self.slots.acquire()
        except TimeoutError as error:
            raise httpx.PoolTimeout("") from error

    def take_idle(self, origin: Origin) -> Connection | None:
        """The connection to this origin that was used last, if one is open and usable."""
        idle = self.idle[origin]
        while idle:
            connection = idle.pop()
            if connection.idle_timer is not None:
                connection.idle_timer.cancel()
            if connection.is_quiet():
                return connection
            connection.abort()
        return None

    async def connect(self, origin: Origin, seconds: float | None) -> Connection:
        scheme, host, port = origin
        return await connect(host, port, seconds, self.context() if scheme == "https" else None)

    def put_back(self, origin: Origin, connection: Connection, answer: Answer) -> None:
        """Keep the connection for the next call, unless its answer was left half read or it cannot be used again."""
        self.slots.release()
        idle = self.idle[origin]
        if not answer.ended or not connection.is_idle() or len(idle) >= MAX_IDLE:
            connection.abort()
            return
        idle.append(connection)
        connection.idle_timer = connection.loop.call_later(IDLE_SECONDS, self.close_idle, origin, connection)

    def close_idle(self, origin: Origin, connection: Connection) -> None:
        self.idle[origin].remove(connection)
        connection.abort()

    async def aclose(self) -> None:
        idle, self.idle = self.idle, defaultdict(list)
        for connection in (one for kept in idle.values() for one in kept):
            if connection.idle_timer is not None:
                connection.idle_timer.cancel()
            connection.abort()


def origin_of(url: httpx.URL) -> Origin:
    if url.scheme not in PORTS:
        raise httpx.UnsupportedProtocol(f"Request URL has an unsupported protocol '{url.scheme}://'.")
    return url.scheme, url.raw_host.decode("ascii"), url.port or PORTS[url.scheme]


def serialize(request: httpx.Request, body: bytes) -> bytes:
    """The request's bytes; raises LocalProtocolError where a part of its head would end the part before."""
    lines = [b"%b %b HTTP/1.1" % (method_of(request.method), request.url.raw_path)]
    for name, value in request.headers.raw:
        require_token(name)
        lines.append(b"%b: %b" % (name, value))
    head = b"\r\n".join(lines)
    if head.count(b"\n") != len(lines) - 1 or head.count(b"\r") != len(lines) - 1 or b"\0" in head:
        raise httpx.LocalProtocolError("illegal characters in the request's head")
    if "transfer-encoding" in request.headers:
        raise httpx.LocalProtocolError("a request is sent with its length")
    return b"%b\r\n\r\n%b" % (head, body)


@cache
def method_of(method: str) -> bytes:
    return require_token(method.encode("ascii"))


@cache
def require_token(name: bytes) -> bytes:
    if TOKEN.fullmatch(name) is None:
        raise httpx.LocalProtocolError(f"illegal name {name!r}")
    return name
