"""Server-sent events, bounded: https://html.spec.whatwg.org/multipage/server-sent-events.html

Not a server: the leading underscore keeps it out of the scan.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field

import httpx

from webhook.client import build_request, describe_error, excerpt, read_body
from webhook.domain.outcome import Dead, Retry
from webhook.servers._http import ServerAddress

MAX_EVENT_SIZE = 1024 * 1024
"""Bytes of an event that is read; a longer one is left out."""

SILENCE = 30.0
"""Seconds without an event after which a connection is given up: a server sends a ping every ten."""

MEDIA_TYPE = "text/event-stream"
MAX_ERROR_SIZE = 64 * 1024


@dataclass(frozen=True, slots=True)
class ServerEvent:
    name: str
    data: bytes


@dataclass(slots=True)
class EventParser:
    """Splits a stream into events; what is longer than an event may be is left out, and the rest goes on."""

    most: int = MAX_EVENT_SIZE
    _line: bytearray = field(default_factory=bytearray)
    _data: list[bytes] = field(default_factory=list)
    _size: int = 0
    _name: str = ""
    _is_line_too_long: bool = False
    _is_too_long: bool = False

    def feed(self, chunk: bytes) -> Iterator[ServerEvent]:
        *lines, rest = chunk.split(b"\n")
        for line in lines:
            self.add(line)
            found = self.end_line()
            if found is not None:
                yield found
        self.add(rest)

    def add(self, piece: bytes) -> None:
        if self._is_line_too_long or len(self._line) + len(piece) > self.most:
            self._is_line_too_long = True
            self._line.clear()
        else:
            self._line += piece

    def end_line(self) -> ServerEvent | None:
        line, too_long = bytes(self._line).removesuffix(b"\r"), self._is_line_too_long
        self._line.clear()
        self._is_line_too_long = False
        if too_long:
            self._is_too_long = True
        elif not line:
            return self.end_event()
        else:
            self.read_line(line)
        return None

    def read_line(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"event":
            self._name = value.decode("utf-8", "replace")
        elif name == b"data":
            self._size += len(value)
            self._is_too_long = self._is_too_long or self._size > self.most
            if not self._is_too_long:
                self._data.append(value)

    def end_event(self) -> ServerEvent | None:
        name, data, too_long = self._name, self._data, self._is_too_long
        self._name, self._data, self._size, self._is_too_long = "", [], 0, False
        return None if too_long or not (name or data) else ServerEvent(name, b"\n".join(data))


async def open_events(
    http: httpx.AsyncClient,
    address: ServerAddress,
    path: str,
    params: Mapping[str, str],
    headers: Mapping[str, str],
    silence: float = SILENCE,
) -> AsyncIterator[ServerEvent | None]:
    """The events of a stream until it ends; None first, once it stands. Raises Retry and Dead.

    Redirects are not followed: the token is for this address only.
    """
    wanted = {**headers, "Accept": MEDIA_TYPE, "Accept-Encoding": "identity"}
    request = build_request(http, "GET", address.url + path, wanted, params, None)
    request.extensions["timeout"] = {"connect": 5.0, "read": silence, "write": 5.0, "pool": 5.0}
    try:
        response = await http.send(request, stream=True)
        try:
            await require_stream(address, response)
            yield None
            async for found in read_events(response, silence):
                yield found
        finally:
            await response.aclose()
    except httpx.ReadTimeout as error:
        raise Retry(f"{address.label} was silent for {silence:.0f} seconds") from error
    except httpx.HTTPError as error:
        raise Retry(f"{address.label} cannot be listened to ({describe_error(error)})") from error
    raise Retry(f"{address.label} closed the connection")


async def read_events(response: httpx.Response, silence: float) -> AsyncIterator[ServerEvent]:
    parser, heard_at = EventParser(), time.monotonic()
    async for chunk in response.aiter_bytes():
        for found in parser.feed(chunk):
            heard_at = time.monotonic()
            yield found
        if time.monotonic() - heard_at > silence:
            raise httpx.ReadTimeout("no whole event")


async def require_stream(address: ServerAddress, response: httpx.Response) -> None:
    """Raise Retry or Dead where the answer is no stream of events."""
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if response.is_success and kind == MEDIA_TYPE:
        return
    if response.is_success:
        what = f"{address.label} answered with {kind or 'nothing'} where its alerts should be"
        raise Dead(address.wrong_answer(what, "").reason)
    body = await read_body(address.label, response, MAX_ERROR_SIZE)
    shown = excerpt(httpx.Response(response.status_code, content=body))
    raise address.rejection(response.status_code, response.headers, shown)
