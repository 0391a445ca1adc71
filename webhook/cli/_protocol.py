"""The HTTP protocol of `watchmark serve`: uvicorn's, with limits for unauthenticated clients."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from http import HTTPStatus
from typing import Any, NoReturn

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from webhook.network.asgi import LET_IN
from webhook.network.proxies import TrustedProxies, network_of

HEAD_TIMEOUT = 15.0
"""Seconds within which a request's head must arrive; uvicorn itself would wait forever."""

BODY_TIMEOUT = 30.0
"""Seconds for the body; handlers allow less, so this applies to unread bodies."""

LINGER = 2.0
"""Seconds for the rest of a body that was already answered, so that the sender reads the answer."""

FLUSH_TIMEOUT = 30.0
"""Seconds for a client to read the end of the last answer."""

MAX_HEAD = 64 * 1024
MAX_PIECE = 4 * 1024
MAX_FIELDS = 100
MAX_REQUEST_LINE = 16 * 1024
MAX_REST = 4 * 1024 * 1024
MAX_PIPELINE = 8

MAX_CONNECTIONS = 2000
"""Maximum number of connections; more are answered with 503."""

MAX_STRANGERS = 1000
"""Maximum number of unauthenticated connections; the others are reserved for webhooks and signed-in people."""

GRACE = 1.0
"""Seconds a client has to authenticate before its connection is evicted, if another one can be."""

MAX_OF_ADDRESS = 100
"""Maximum number of unauthenticated connections per address."""

# uvicorn logs a line for each invalid request, which strangers could flood.
LOG = logging.getLogger("webhook.http")
LOG.setLevel(logging.ERROR)


class Excess(Exception):
    """The request's head is too large; raised to stop the parser."""


class Places:
    """The unauthenticated connections, in the order in which they are evicted for new ones."""

    def __init__(self) -> None:
        self.strangers: dict[BoundedProtocol, float] = {}
        self.addresses: dict[str, dict[BoundedProtocol, float]] = {}

    def enter(self, connection: BoundedProtocol, address: str, most: int) -> None:
        """Add a connection, and evict an older one if there are too many of its address or in all."""
        self.leave(connection)
        connection.address = address
        of_address = self.addresses.setdefault(address, {})
        of_address[connection] = self.strangers[connection] = time.monotonic()
        if len(of_address) > most:
            self.evict(of_address)
        elif len(self.strangers) > MAX_STRANGERS:
            self.evict(self.find_dispensable())

    def leave(self, connection: BoundedProtocol) -> None:
        if self.strangers.pop(connection, None) is None:
            return
        of_address = self.addresses[connection.address]
        del of_address[connection]
        if not of_address:
            del self.addresses[connection.address]

    def find_dispensable(self) -> Mapping[BoundedProtocol, float]:
        """The connections of the address with the most, unless all are young and may still authenticate."""
        of_address = max(self.addresses.values(), key=len)
        return of_address if time.monotonic() - next(iter(of_address.values())) > GRACE else self.strangers

    def evict(self, connections: Mapping[BoundedProtocol, float]) -> None:
        """Close the oldest connection, preferably one that is not waiting for its answer."""
        until = time.monotonic() - GRACE
        idle = (
            one for one, since in connections.items() if since < until and not one.is_waiting_for_answer()
        )
        oldest = next(idle, next(iter(connections)))
        self.leave(oldest)
        oldest.hang_up()


class BoundedProtocol(HttpToolsProtocol):
    """Refuses oversized heads, closes slow connections, and limits unauthenticated clients."""

    def __init__(
        self, *args: Any, places: Places, proxies: Callable[[], TrustedProxies], **options: Any
    ) -> None:
        super().__init__(*args, **options)
        self.logger = LOG
        self.places = places
        self.proxies = proxies
        self.address = ""  # the address it is counted by
        self.part = ""  # part of the request in progress: head, body, rest or flush
        self.number = 0
        self.watched: tuple[int, str, float] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.body_timeout = BODY_TIMEOUT
        self.unread = 0  # bytes since the last progress
        self.head_size = self.fields = self.rest = 0
        self.passed_on = False  # a request named another client
        self.held_back = False  # the body waits for the application
        self.answering = False
        self.ending = False  # the last answer was sent; the client may finish sending
        self.refusal: HTTPStatus | None = None

    # --- the connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.part = "head"
        self.watch()
        self.take_place(())

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.places.leave(self)
        self.part = ""
        self.watch()

    def take_place(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Count the connection as unauthenticated, by the request's sender if known."""
        proxies = self.proxies()
        address = proxies.origin(self.peer(), headers).address
        # A trusted proxy's connections carry many clients, until a request names one.
        most = MAX_STRANGERS if proxies.includes(address) else MAX_OF_ADDRESS
        self.places.enter(self, network_of(address), most)

    def peer(self) -> str:
        return self.client[0] if self.client else ""

    def let_in(self, number: int, body_timeout: float | None) -> None:
        """Count the connection as authenticated."""
        self.places.leave(self)
        if number == self.number and body_timeout is not None:
            self.body_timeout = body_timeout
            self.watch()

    def hang_up(self) -> None:
        self.transport.abort()

    def close(self) -> None:
        """Close after the last answer, at once or when the client has finished sending and can read it."""
        if self.part == "body":
            self.ending = True
            self.transport.write_eof()
        else:
            self.transport.close()

    def timeout_keep_alive_handler(self) -> None:
        self.hang_up()  # also if the client has not read the last answer

    # --- what comes in

    def data_received(self, data: bytes) -> None:
        self.part = self.part or "head"
        at = 0
        while at < len(data) and self.refusal is None and not self.transport.is_closing():
            # The start of a head within a piece is unknown, so pieces are small while one is read.
            piece = data[at : at + (MAX_PIECE if self.part in ("", "head") else MAX_HEAD)]
            at += len(piece)
            self.unread += len(piece)
            super().data_received(piece)
            if self.unread > MAX_HEAD and self.refusal is None:
                self.refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        if self.refusal is not None:
            self.count_rest(len(data))
        elif self.part == "body" and self.held_back:
            self.flow.pause_reading()
        self.held_back = False
        self.watch()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.part = "head"
        self.body_timeout = BODY_TIMEOUT
        self.unread = self.head_size = self.fields = self.rest = 0
        scope: Scope = self.scope  # type: ignore[assignment]
        scope["extensions"] = {LET_IN: partial(self.let_in, self.number)}

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > MAX_REQUEST_LINE:
            self.stop(HTTPStatus.REQUEST_URI_TOO_LONG)

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields += 1
        self.head_size += len(name) + len(value)
        if self.fields > MAX_FIELDS or self.head_size + len(self.url) > MAX_HEAD:
            self.stop(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        self.passed_on = self.passed_on or name.lower() in (b"x-forwarded-for", b"forwarded")
        if self.part == "head":  # trailers after a chunked body come too late to be trusted
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self.part, self.unread, self.held_back = "body", 0, True
        if len(self.pipeline) >= MAX_PIPELINE:
            self.stop(HTTPStatus.TOO_MANY_REQUESTS)
        if self.passed_on and self.proxies().includes(self.peer()):
            self.take_place(self.headers)
        self.answering = True
        super().on_headers_complete()
        self.cycle.transport = Lingering(self)  # type: ignore[assignment]

    def on_body(self, body: bytes) -> None:
        self.unread = 0
        super().on_body(body)
        if self.cycle.response_complete:
            self.count_rest(len(body))

    def on_message_complete(self) -> None:
        self.part, self.unread = "", 0
        super().on_message_complete()
        self.number += 1
        if self.ending:
            self.transport.close()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self.answering = not self.cycle.response_complete
        if not self.answering and self.part == "body":
            self.part = "rest"
        elif self.transport.is_closing():
            self.part = "flush"
        elif self.passed_on:
            self.take_place(())  # the next request may be another client's
        self.watch()

    def is_waiting_for_answer(self) -> bool:
        return self.answering and self.part == ""

    def count_rest(self, size: int) -> None:
        """Close the connection once a client has sent more than MAX_REST bytes of unread body."""
        self.rest += size
        if self.rest > MAX_REST:
            self.hang_up()

    # --- refusals

    def stop(self, status: HTTPStatus) -> NoReturn:
        """Stop the parser, which makes uvicorn send the answer below."""
        self.refusal = status
        raise Excess

    def refuse(self, status: HTTPStatus) -> None:
        self.refusal = status
        self.send_400_response(status.phrase)

    def send_400_response(self, msg: str) -> None:
        """Answer invalid or oversized HTTP, then let the client finish sending, so that it reads the answer."""
        self.refusal = self.refusal or HTTPStatus.BAD_REQUEST
        if self.answering:
            self.hang_up()  # it would mix with the answer to an earlier request
            return
        status, body = self.refusal, f"{self.refusal.phrase}\n".encode()
        head = f"HTTP/1.1 {status.value} {status.phrase}\r\nconnection: close\r\n"
        fields = f"content-type: text/plain; charset=utf-8\r\ncontent-length: {len(body)}\r\n\r\n"
        self.transport.write(f"{head}{fields}".encode() + body)
        self.transport.write_eof()
        self.part = "rest"

    # --- time

    def watch(self) -> None:
        """Start the timeout of the request's current part, which trickling data does not extend."""
        now = (self.number, self.part, self.body_timeout) if self.part else None
        if now == self.watched:
            return
        if self.timer is not None:
            self.timer.cancel()
        self.watched, self.timer = now, None
        if now is not None:
            self.timer = self.loop.call_later(self.seconds(), self.hang_up)

    def seconds(self) -> float:
        match self.part:
            case "head":
                return HEAD_TIMEOUT
            case "body":
                return self.body_timeout
            case "rest":
                return LINGER
            case _:
                return FLUSH_TIMEOUT


class Lingering:
    """A transport that closes after the last answer, but not while the client is still sending."""

    def __init__(self, protocol: BoundedProtocol) -> None:
        self.transport = protocol.transport
        self.is_closing = protocol.transport.is_closing
        self.close = protocol.close

    def write(self, data: bytes) -> None:
        if not self.transport.is_closing():  # it may have been closed meanwhile
            self.transport.write(data)
