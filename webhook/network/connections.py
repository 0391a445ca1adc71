"""Outgoing connections: httpcore's network backend on asyncio's transports, at half the cost of its own."""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
from asyncio.staggered import staggered_race
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain, zip_longest
from typing import Any, cast

import httpcore

MAX_UNREAD = 256 * 1024
"""The bytes received and not read yet above which a connection stops receiving."""

MAX_UNSENT = 64 * 1024
"""The bytes that wait for what comes after them: a request's head and its body go out as one."""

ATTEMPT_DELAY = 0.25
"""Seconds that an address has before the next one is tried beside it (RFC 8305, "Happy Eyeballs")."""

SocketOption = tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]


# ruff: noqa: ASYNC109 - httpcore hands the timeouts of each step


class Stream(asyncio.Protocol, httpcore.AsyncNetworkStream):
    """A connection that receives as data comes in, and sends what was written once an answer is read or much waits."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.unread, self.unsent = bytearray(), bytearray()
        self.ended = self.paused = self.full = False
        self.error: Exception | None = None
        self.reader: asyncio.Future[None] | None = None
        self.writer: asyncio.Future[None] | None = None
        self.poll = select.poll()

    # As asyncio's protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def data_received(self, data: bytes) -> None:
        self.unread += data
        if len(self.unread) > MAX_UNREAD and not self.paused:
            self.paused = True
            self.transport.pause_reading()
        wake(self.reader)

    def eof_received(self) -> None:
        self.ended = True
        wake(self.reader)

    def connection_lost(self, error: Exception | None) -> None:
        self.ended, self.error = True, error
        wake(self.reader)
        wake(self.writer)

    def pause_writing(self) -> None:
        self.full = True

    def resume_writing(self) -> None:
        self.full = False
        wake(self.writer)

    # As httpcore's stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """The bytes that came, once there are any; b"" at the end."""
        self.flush()
        if not self.unread and not self.ended:
            self.reader = self.loop.create_future()
            await in_time(self.reader, timeout, httpcore.ReadTimeout)
        if not self.unread and self.error is not None:
            raise httpcore.ReadError(str(self.error)) from self.error
        data = bytes(self.unread[:max_bytes])
        del self.unread[:max_bytes]
        if self.paused and not self.unread and not self.transport.is_closing():
            self.paused = False
            self.transport.resume_reading()
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if self.ended:
            raise httpcore.WriteError("the connection was closed") from self.error
        self.unsent += buffer
        if len(self.unsent) < MAX_UNSENT:
            return
        self.flush()
        if self.full:
            self.writer = self.loop.create_future()
            await in_time(self.writer, timeout, httpcore.WriteTimeout)

    def flush(self) -> None:
        if self.unsent and not self.ended:
            self.transport.write(bytes(self.unsent))
        self.unsent.clear()

    async def aclose(self) -> None:
        self.transport.abort()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> Stream:
        try:
            with connect_errors():
                async with asyncio.timeout(timeout):
                    transport = await self.loop.start_tls(
                        self.transport, self, ssl_context, server_hostname=server_hostname
                    )
        except BaseException:
            self.transport.abort()
            raise
        assert transport is not None
        self.transport = transport
        return self

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":
            return bool(self.unread) or self.ended or bool(self.poll.poll(0))
        return self.transport.get_extra_info(info)


class Backend(httpcore.AsyncNetworkBackend):
    """Connects over TCP, by whichever of a host's addresses answers first."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> Stream:
        with connect_errors():
            async with asyncio.timeout(timeout):
                return await connect(host, port)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Pool(httpcore.AsyncConnectionPool):
    """A pool of connections that opens no cancel scope where there is nothing to close."""

    async def _close_connections(self, closing: list[httpcore.AsyncConnectionInterface]) -> None:
        if closing:
            await super()._close_connections(closing)


async def connect(host: str, port: int) -> Stream:
    """The connection to the first of the host's addresses that takes one; IPv6 and IPv4 are tried in turn."""
    loop = asyncio.get_running_loop()
    found = dict.fromkeys(
        (family, address[0])
        for family, *_, address in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    )
    six, four = ([one for one in found if one[0] == family] for family in (socket.AF_INET6, socket.AF_INET))
    turns = [one for one in chain.from_iterable(zip_longest(six, four)) if one is not None]
    attempts = [
        partial(loop.create_connection, Stream, address, port, family=family) for family, address in turns
    ]
    connected, _, errors = await staggered_race(attempts, ATTEMPT_DELAY)
    if connected is None:
        raise OSError("All connection attempts failed") from next(iter(errors), None)
    stream: Stream = connected[1]
    return stream


async def in_time(waiter: asyncio.Future[None], seconds: float | None, late: type[Exception]) -> None:
    """Wait; raises `late` when the time is over."""
    try:
        async with asyncio.timeout(seconds):
            await waiter
    except TimeoutError as error:
        raise late from error


@contextmanager
def connect_errors() -> Iterator[None]:
    """Raise what goes wrong inside as httpcore's errors of connecting."""
    try:
        yield
    except TimeoutError as error:
        raise httpcore.ConnectTimeout from error
    except OSError as error:
        raise httpcore.ConnectError(str(error)) from error


def wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
