"""Outgoing connections: HTTP/1.1 on asyncio's transports, with answers that llhttp parses.

A connection carries one call at a time. Errors are httpx's: those of connecting say that nothing was sent.
"""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
from asyncio.staggered import staggered_race
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain, zip_longest
from typing import cast

import httpx
from httptools import HttpParserError, HttpResponseParser

MAX_UNREAD = 256 * 1024
"""The bytes received and not read yet above which a connection stops receiving."""

MAX_HEAD = 100 * 1024
"""The bytes of an answer's head, or between two pieces of its body, above which it is none."""

ATTEMPT_DELAY = 0.25
"""Seconds that an address has before the next one is tried beside it (RFC 8305, "Happy Eyeballs")."""

Headers = list[tuple[bytes, bytes]]


class Answer(httpx.AsyncByteStream):
    """What answers one call: the head, then the body as it comes in."""

    def __init__(self, connection: Connection, timeout: float | None) -> None:
        self.connection = connection
        self.timeout = timeout
        """Seconds without a byte after which the peer is silent; None waits for ever."""
        self.status: int | None = None
        self.headers: Headers = []
        self.body = bytearray()
        self.ended = False
        self.error: httpx.TransportError | None = None
        self.waiter: asyncio.Future[None] | None = None
        self.on_close: Callable[[], None] | None = None

    async def wait_for_head(self) -> None:
        while self.status is None:
            await self.wait()

    async def wait(self) -> None:
        """Wait for what comes next; raises the error that ended the answer."""
        if self.error is not None:
            raise self.error
        self.waiter = self.connection.loop.create_future()
        await in_time(self.waiter, self.timeout, httpx.ReadTimeout)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            if self.body:
                yield self.take()
            elif self.ended:
                return
            else:
                await self.wait()

    def take(self) -> bytes:
        """The bytes that came and were not read yet."""
        data = bytes(self.body)
        self.body.clear()
        self.connection.resume_reading()
        return data

    async def aclose(self) -> None:
        if self.on_close is not None:
            on_close, self.on_close = self.on_close, None
            on_close()


class Connection(asyncio.Protocol):
    """A connection to one origin, and the answer to the call that it carries."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.parser = HttpResponseParser(self)
        # What hand-made servers send; a recipient may take a line without its CR (RFC 9112, 2.2).
        self.parser.set_dangerous_leniencies(
            lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True
        )
        self.answer: Answer | None = None
        self.headers: Headers = []
        self.unparsed = 0  # bytes since the last piece of an answer
        self.is_open = True
        self.is_reusable = False
        self.error: Exception | None = None
        self.paused = self.full = False
        self.writer: asyncio.Future[None] | None = None
        self.idle_timer: asyncio.TimerHandle | None = None
        self.poll = select.poll()

    async def call(self, request: bytes, write_timeout: float | None, read_timeout: float | None) -> Answer:
        """Send a request and wait for the head of its answer."""
        answer = self.answer = Answer(self, read_timeout)
        self.unparsed, self.is_reusable = 0, False
        if not self.is_open:
            raise httpx.WriteError("the connection was closed") from self.error
        self.transport.write(request)
        if self.full:
            self.writer = self.loop.create_future()
            await in_time(self.writer, write_timeout, httpx.WriteTimeout)
        await answer.wait_for_head()
        return answer

    def is_idle(self) -> bool:
        """True if the answer was whole and nothing came after it."""
        return self.is_open and self.is_reusable and not self.paused

    def is_quiet(self) -> bool:
        """True if the peer has neither closed the idle connection nor said anything since, heard or unheard."""
        return self.is_idle() and not self.poll.poll(0)

    def abort(self) -> None:
        self.is_open = False
        self.transport.abort()

    # As asyncio's protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def data_received(self, data: bytes) -> None:
        answer = self.answer
        if answer is None or answer.ended:
            self.abort()  # it is no answer to anything
            return
        self.unparsed += len(data)
        try:
            self.parser.feed_data(data)
        except HttpParserError as error:
            self.fail(httpx.RemoteProtocolError(str(error)))
        if self.unparsed > MAX_HEAD:
            self.fail(httpx.RemoteProtocolError("the head of the answer is too long"))
        if len(answer.body) > MAX_UNREAD and not self.paused:
            self.paused = True
            self.transport.pause_reading()
        wake(answer.waiter)

    def connection_lost(self, error: Exception | None) -> None:
        self.is_open, self.error = False, error
        wake(self.writer)
        if error is not None:
            self.fail(httpx.ReadError(str(error)))
        elif self.answer is not None and self.answer.status is None:
            self.fail(httpx.RemoteProtocolError("Server disconnected without sending a response."))
        elif self.answer is not None and ends_with_connection(self.answer.headers):
            self.answer.ended = True
            wake(self.answer.waiter)
        else:
            self.fail(
                httpx.RemoteProtocolError("peer closed connection without sending complete message body")
            )

    def fail(self, error: httpx.TransportError) -> None:
        """End the answer that is under way, if there is one, with this error."""
        answer = self.answer
        if answer is not None and not answer.ended and answer.error is None:
            answer.error = error
            wake(answer.waiter)
            self.abort()

    def pause_writing(self) -> None:
        self.full = True

    def resume_writing(self) -> None:
        self.full = False
        wake(self.writer)

    def resume_reading(self) -> None:
        if self.paused and not self.transport.is_closing():
            self.paused = False
            self.transport.resume_reading()

    # As llhttp's listener

    def on_message_begin(self) -> None:
        self.is_reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        status, headers = self.parser.get_status_code(), self.headers
        self.headers = []
        assert self.answer is not None
        if status >= 200 and not self.answer.ended:  # below it announces another one
            self.answer.status, self.answer.headers = status, headers

    def on_body(self, data: bytes) -> None:
        assert self.answer is not None
        self.unparsed = 0
        if not self.answer.ended:  # else it belongs to nothing that was asked
            self.answer.body += data

    def on_message_complete(self) -> None:
        self.headers = []  # trailers, which nobody asks for
        answer = self.answer
        assert answer is not None
        if answer.status is not None:
            self.unparsed = 0
            self.is_reusable = not answer.ended and self.parser.should_keep_alive()
            answer.ended = True


def ends_with_connection(headers: Headers) -> bool:
    """True if the end of the connection is the end of the body: nothing else says how long it is."""
    return not any(name.lower() in (b"content-length", b"transfer-encoding") for name, _ in headers)


# --- connecting


async def connect(host: str, port: int, seconds: float | None, secured: ssl.SSLContext | None) -> Connection:
    """A connection to the host within this time, over TLS where it is `secured`."""
    with connect_errors():
        async with asyncio.timeout(seconds):
            connection = await connect_host(host, port)
            return connection if secured is None else await secure(connection, secured, host)


async def connect_host(host: str, port: int) -> Connection:
    """The connection to the first of the host's addresses that takes one; IPv6 and IPv4 are tried in turn."""
    loop = asyncio.get_running_loop()
    found = dict.fromkeys(
        (family, address[0])
        for family, *_, address in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    )
    six, four = ([one for one in found if one[0] == family] for family in (socket.AF_INET6, socket.AF_INET))
    turns = [one for one in chain.from_iterable(zip_longest(six, four)) if one is not None]
    attempts = [
        partial(loop.create_connection, Connection, address, port, family=family) for family, address in turns
    ]
    connected, _, errors = await staggered_race(attempts, ATTEMPT_DELAY)
    if connected is None:
        raise OSError("All connection attempts failed") from next(iter(errors), None)
    connection: Connection = connected[1]
    return connection


async def secure(connection: Connection, context: ssl.SSLContext, host: str) -> Connection:
    try:
        transport = await connection.loop.start_tls(
            connection.transport, connection, context, server_hostname=host
        )
    except BaseException:
        connection.abort()
        raise
    assert transport is not None
    connection.transport = transport
    return connection


@contextmanager
def connect_errors() -> Iterator[None]:
    """Raise what goes wrong inside as httpx's errors of connecting."""
    try:
        yield
    except TimeoutError as error:
        raise httpx.ConnectTimeout("") from error
    except OSError as error:
        raise httpx.ConnectError(str(error)) from error


# --- waiting


async def in_time(
    waiter: asyncio.Future[None], seconds: float | None, late: type[httpx.TimeoutException]
) -> None:
    """Wait; raises `late` when the time is over. `asyncio.timeout` takes several times as long."""
    if seconds is None:
        return await waiter
    timer = waiter.get_loop().call_later(seconds, expire, waiter, late)
    try:
        return await waiter
    finally:
        timer.cancel()


def expire(waiter: asyncio.Future[None], late: type[httpx.TimeoutException]) -> None:
    if not waiter.done():
        waiter.set_exception(late(""))


def wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
