"""Outgoing connections: what a call does on a real socket that breaks off, waits, lies idle or is secured."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
import uvloop

from webhook import client
from webhook.domain.outcome import Retry
from webhook.network.connections import MAX_HEAD, MAX_UNREAD, Answer
from webhook.network.transport import serialize

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: a=b\r\n\r\nOK"
HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Peer:
    """A server that answers each request with `answer`, then does what `after` says."""

    answer: bytes = OK
    after: Handler | None = None
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    port: int = 0

    @asynccontextmanager
    async def served(
        self, host: str = "127.0.0.1", secured: ssl.SSLContext | None = None
    ) -> AsyncIterator[Peer]:
        server = await asyncio.start_server(self.serve, host, 0, ssl=secured)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                self.requests.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(self.answer)
                if self.after is not None:
                    await self.after(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, Any]], Any]:
    return request.param


async def get(http: httpx.AsyncClient, url: str, **more: Any) -> httpx.Response:
    return await client.call(http, "Peer", "GET", url, **more)


def test_calls_share_a_connection_and_no_cookies(run: Any) -> None:
    async def calls() -> Peer:
        async with Peer().served() as peer, client.client() as http:
            for _ in range(3):
                assert (await get(http, peer.url)).content == b"OK"
        return peer

    peer = run(calls())

    assert peer.connections == 1
    assert len(peer.requests) == 3
    assert not [request for request in peer.requests if b"cookie" in request.lower()]


def test_a_call_is_made_on_a_connection_of_ours(run: Any) -> None:
    async def call() -> Any:
        async with Peer().served() as peer, client.client() as http, http.stream("GET", peer.url) as response:
            return response.stream

    assert isinstance(run(call()), Answer)


def test_a_connection_that_was_closed_while_idle_is_not_used_again(run: Any) -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()
        await writer.wait_closed()

    async def calls() -> Peer:
        async with Peer(after=hang_up).served() as peer, client.client() as http:
            for _ in range(3):
                assert (await get(http, peer.url)).content == b"OK"
                await asyncio.sleep(0.05)
        return peer

    assert run(calls()).connections == 3


def test_what_came_while_idle_is_no_answer_to_the_next_call(run: Any) -> None:
    async def time_out(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.02)
        writer.write(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")

    async def calls() -> list[int]:
        async with Peer(after=time_out).served() as peer, client.client() as http:
            first = await get(http, peer.url)
            await asyncio.sleep(0.1)
            return [first.status_code, (await get(http, peer.url)).status_code]

    assert run(calls()) == [200, 200]


def test_a_refused_connection_leaves_nothing_open(run: Any) -> None:
    async def call() -> Any:
        async with Peer().served() as peer:
            pass
        async with client.client() as http:
            with pytest.raises(Retry) as caught:
                await get(http, peer.url)
        return caught.value

    error = run(call())

    assert error.reason == "Peer cannot be reached (no connection could be made)"
    assert not error.unsure


@pytest.mark.parametrize("answer", [b"", HALF], ids=["none", "half"])
@pytest.mark.parametrize("breaks", [True, False], ids=["broken off", "silent"])
def test_a_call_without_a_whole_answer_is_unsure(run: Any, answer: bytes, breaks: bool) -> None:
    async def after(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if breaks:
            writer.transport.abort()
        await reader.read()

    async def call() -> Any:
        async with Peer(answer, after).served() as peer, client.client(timeout=0.3) as http:
            with pytest.raises(Retry) as caught:
                await get(http, peer.url)
        return caught.value

    error = run(call())

    assert error.reason.startswith("Peer broke off (")
    assert breaks == ("Timeout" not in error.reason)
    assert error.unsure


def test_a_host_is_reached_by_whichever_of_its_addresses_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    def both(_: str, port: int, *args: Any, **more: Any) -> list[Any]:
        return [
            (family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port))
            for family, address in [(socket.AF_INET6, "::1"), (socket.AF_INET, "127.0.0.1")]
        ]

    async def call() -> bytes:
        async with Peer().served() as peer, client.client() as http:
            monkeypatch.setattr(socket, "getaddrinfo", both)
            return (await get(http, f"http://peer.example:{peer.port}/")).content

    assert asyncio.run(call()) == b"OK"


def test_an_answer_that_is_read_slowly_stops_the_sender_and_comes_whole(run: Any) -> None:
    size = 64 * MAX_UNREAD
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size

    async def call() -> tuple[int, int]:
        read, most = 0, 0
        async with (
            Peer(answer).served() as peer,
            client.client() as http,
            http.stream("GET", peer.url) as response,
        ):
            async for piece in response.aiter_bytes():
                read += len(piece)
                await asyncio.sleep(0.001)
                most = max(most, len(response.stream.body))  # type: ignore[union-attr]
        return read, most

    read, most = run(call())

    assert read == size
    assert most < 4 * MAX_UNREAD


def test_a_short_request_is_sent_in_one_piece(run: Any) -> None:
    pieces: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pieces.append(await reader.read(100_000))
        writer.write(OK)
        await reader.read()
        writer.close()
        hung_up.set()

    hung_up = asyncio.Event()

    async def call() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        async with server, client.client() as http:
            await client.call(http, "Peer", "POST", url, json={"a": "x" * 1000})
            await http.aclose()
            await hung_up.wait()

    run(call())

    assert pieces[0].endswith(b'{"a":"%s"}' % (b"x" * 1000))


def test_a_long_request_is_sent_whole(run: Any) -> None:
    received: list[int] = []

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(len(await reader.readexactly(SIZE)))
        writer.write(OK)

    async def call() -> bytes:
        async with Peer(b"", count).served() as peer, client.client() as http:
            return (await client.call(http, "Peer", "POST", peer.url, json="x" * (SIZE - 2))).content

    assert run(call()) == b"OK"
    assert received == [SIZE]


SIZE = 8 * 1024 * 1024


def test_a_secured_peer_is_reached_if_its_certificate_is_trusted(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    secured = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(secured)
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))

    async def calls() -> Peer:
        async with Peer().served(secured=secured) as peer, client.client() as http:
            for _ in range(3):
                assert (await get(http, f"https://localhost:{peer.port}/")).content == b"OK"
                await asyncio.sleep(0.05)
        return peer

    with pytest.raises(Retry) as caught:
        run(calls())
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    peer = run(calls())

    assert "cannot be reached" in caught.value.reason
    assert "CERTIFICATE_VERIFY_FAILED" in caught.value.reason
    assert not caught.value.unsure
    assert peer.connections == 1


def test_a_name_and_password_in_an_address_are_sent(run: Any) -> None:
    async def call() -> bytes:
        async with Peer().served() as peer, client.client() as http:
            await get(http, f"http://anna:hush@127.0.0.1:{peer.port}/")
        return peer.requests[0]

    assert b"Authorization: Basic YW5uYTpodXNo\r\n" in run(call())


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nO\r\n1\r\nK\r\n0\r\nTrailer: x\r\n\r\n"
UNTIL_THE_END = b"HTTP/1.1 200 OK\r\n\r\nOK"
NOW_CLOSED = OK.replace(b"Set-Cookie: a=b", b"Connection: close")


@pytest.mark.parametrize(
    ("answer", "connections"),
    [
        (OK, 1),
        (CHUNKED, 1),
        (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + OK, 1),
        (CHUNKED.replace(b"1\r\n", b"1 \r\n"), 1),
        (OK.replace(b"\r\n", b"\n"), 1),
        (NOW_CLOSED, 2),
        (UNTIL_THE_END, 2),
        (OK.replace(b"1.1", b"1.0"), 2),
        (OK + OK, 2),
        (OK + b"HTTP/1.1 5", 2),
    ],
    ids=[
        "length",
        "chunks",
        "announced",
        "spaces",
        "no CR",
        "closed",
        "until the end",
        "HTTP/1.0",
        "twice",
        "more behind",
    ],
)
def test_an_answer_comes_whole_and_its_connection_is_kept_if_it_can_be(
    run: Any, answer: bytes, connections: int
) -> None:
    async def close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if answer is UNTIL_THE_END:
            writer.close()

    async def calls() -> Peer:
        async with Peer(answer, close).served() as peer, client.client(timeout=2) as http:
            for _ in range(2):
                assert (await get(http, peer.url)).content == b"OK"
        return peer

    assert run(calls()).connections == connections


@pytest.mark.parametrize(
    "answer",
    [
        b"no HTTP at all\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * (3 * MAX_HEAD),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nOK\r\n0\r\nX: " + b"x" * (3 * MAX_HEAD),
        b"HTTP/1.1 100 Continue\r\n\r\n" * 5000,
    ],
    ids=["no HTTP", "two lengths", "long head", "long trailer", "announced for ever"],
)
def test_what_is_no_answer_breaks_the_call_off(run: Any, answer: bytes) -> None:
    async def call() -> Any:
        async with Peer(answer).served() as peer, client.client(timeout=2) as http:
            with pytest.raises(Retry) as caught:
                await get(http, peer.url)
        return caught.value

    error = run(call())

    assert error.unsure
    assert "Timeout" not in error.reason


def test_a_call_that_is_given_up_leaves_no_connection_for_the_next(run: Any) -> None:
    async def wait(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0)

    async def calls() -> Peer:
        async with Peer(HALF, wait).served() as peer, client.client() as http:
            given_up = asyncio.create_task(get(http, peer.url))
            while not peer.requests:
                await asyncio.sleep(0.01)
            given_up.cancel()
            await asyncio.gather(given_up, return_exceptions=True)
            peer.answer = OK
            assert (await get(http, peer.url)).content == b"OK"
        return peer

    assert run(calls()).connections == 2


@pytest.mark.parametrize("name", ["X-Title", "X-Title\r\nX-Other"])
@pytest.mark.parametrize("value", ["a\r\nX-Other: b", "a\nX-Other: b", "a\rb", "a\0b"])
def test_no_header_ends_before_its_line(name: str, value: str) -> None:
    with pytest.raises(httpx.LocalProtocolError):
        serialize(httpx.Request("GET", "http://peer.example/", headers={name: value}), b"")


def test_a_call_beyond_the_last_free_connection_says_that_nothing_was_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("webhook.network.transport.MAX_CONNECTIONS", 1)

    async def call() -> Any:
        async with (
            Peer().served() as peer,
            client.client(timeout=0.1) as http,
            http.stream("GET", peer.url),
        ):
            with pytest.raises(Retry) as caught:
                await get(http, peer.url)
            return caught.value

    error = asyncio.run(call())

    assert error.reason == "Peer cannot be reached (PoolTimeout)"
    assert not error.unsure


def test_a_connection_is_closed_when_it_has_lain_idle_for_long(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhook.network.transport.IDLE_SECONDS", 0.0)
    hung_up = asyncio.Event()

    async def wait(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        if not await reader.read():
            hung_up.set()

    async def call() -> None:
        async with Peer(after=wait).served() as peer, client.client() as http:
            await get(http, peer.url)
            await asyncio.wait_for(hung_up.wait(), 5)

    run(call())
