"""A fake inside the test's own process: respx leads a client's calls to it, without a socket.

    with Inside(Trakt()) as server:           # instead of Server(Trakt())
        server.fake.faults.add("POST /scrobble", reset=True)
        await client.post(server.url + "/scrobble/start")   # raises httpx.ReadError

What a fault does to a connection is what httpx would make of it: a reset, a cut, or no answer in time.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from typing import Any, Self
from urllib.parse import unquote

import httpx
import respx
from starlette.types import Message, Scope

from tests.fakes._server import Fake, Server

COUNT = itertools.count(1)


class Inside(Server):
    """Has the address and the `fake` of a `Server`; clients that are made elsewhere reach it by that address."""

    def __init__(self, fake: Fake) -> None:
        self.fake: Any = fake
        self.url = f"http://fake-{next(COUNT)}.test"
        self.router = respx.MockRouter(assert_all_called=False)
        self.router.route(host="127.0.0.1").pass_through()
        self.router.route(url__startswith=self.url).mock(side_effect=self.reply)

    def __enter__(self) -> Self:
        self.router.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.router.stop(clear=False, reset=False)

    def reply(self, request: httpx.Request) -> Any:
        """The answer to a client of either kind: respx awaits it for those that are asynchronous."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(self.answer(request))
        return self.answer(request)

    async def answer(self, request: httpx.Request) -> httpx.Response:
        connection = Connection(request.content)
        limit = request.extensions.get("timeout", {}).get("read")
        try:
            async with asyncio.timeout(limit):
                await self.fake(scope_of(request), connection.receive, connection.send)
        except TimeoutError:
            raise httpx.ReadTimeout("no answer in time") from None
        return connection.response()


class Connection:
    """One call and its answer, as an ASGI server has them; `transport` is what a fault drops."""

    def __init__(self, body: bytes) -> None:
        self.waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
        self.start: Message | None = None
        self.chunks: list[bytes] = []
        self.ended = self.dropped = False
        self.transport = self

    async def receive(self) -> Message:
        """The body; then the client has given up, and hangs up."""
        return self.waiting.pop() if self.waiting else {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.start = message
            return
        self.chunks.append(message.get("body", b""))
        self.ended = not message.get("more_body", False)

    def response(self) -> httpx.Response:
        if self.start is None:
            raise httpx.ReadError("reset") if self.dropped else httpx.ReadTimeout("no answer in time")
        whole = Chunks(self.chunks, broken=not self.ended)
        return httpx.Response(self.start["status"], headers=self.start["headers"], stream=whole)

    # What `tests.fakes._server.Exchange.drop` asks of a transport

    def get_extra_info(self, _name: str) -> Connection:
        return self

    def setsockopt(self, *_: object) -> None:
        """Has no socket."""

    def abort(self) -> None:
        self.dropped = True


class Chunks(httpx.AsyncByteStream, httpx.SyncByteStream):
    """The body of an answer, up to where the connection broke."""

    def __init__(self, chunks: list[bytes], *, broken: bool) -> None:
        self.chunks, self.broken = chunks, broken

    def __iter__(self) -> Iterator[bytes]:
        yield from self.chunks
        if self.broken:
            raise httpx.RemoteProtocolError("peer closed connection without sending complete message body")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self:
            yield chunk


def scope_of(request: httpx.Request) -> Scope:
    url = request.url
    return {
        "type": "http",
        "asgi": {
            "version": "3.0",
            "spec_version": "2.4",
        },  # from which on answers do not wait for a disconnect
        "http_version": "1.1",
        "method": request.method,
        "scheme": url.scheme,
        "server": (url.host, url.port or 80),
        "client": ("127.0.0.1", 1),
        "root_path": "",
        "path": unquote(url.raw_path.partition(b"?")[0].decode()),
        "raw_path": url.raw_path,
        "query_string": url.query,
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
    }
