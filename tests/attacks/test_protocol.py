"""The protocol of the server: what is refused, who is hung up on, and who gives way to whom."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, cast

import pytest
import uvicorn

from tests.evening import plex
from tests.prepared import open_service
from tests.running import eventually
from webhook import app, clock
from webhook.cli import _protocol, _reload, serve
from webhook.people import tokens
from webhook.service import Service

PLACES = 12
OF_ADDRESS = 4
ELSEWHERE = "127.0.0.{}"
"""Other addresses of this machine: all of 127.0.0.0/8 are."""


class Served:
    """A service behind the server that `watchmark serve` uses, in this process."""

    def __init__(self, service: Service, port: int, places: _protocol.Places) -> None:
        self.service = service
        self.port = port
        self.places = places
        self.tokens = {kind: self.token(kind).encode() for kind in ("api", "webhook")}

    def connect(self, source: str = "127.0.0.1") -> socket.socket:
        sender = socket.create_connection(("127.0.0.1", self.port), source_address=(source, 0))
        sender.settimeout(5)
        return sender

    def ask(self, request: bytes, source: str = "127.0.0.1") -> bytes:
        """The answer, up to where the other side closes or has said it all."""
        with self.connect(source) as sender:
            with contextlib.suppress(ConnectionError):  # it may be refused before it is all sent
                sender.sendall(request)
            return received(sender)

    def token(self, kind: str) -> str:
        secret = tokens.new_secret()
        sealed = self.service.seal.seal(secret)
        self.service.database.do(
            lambda connection: tokens.add_token(connection, kind, secret, sealed, clock.now())
        )
        return secret


def received(sender: socket.socket) -> bytes:
    """One answer, as far as it comes."""
    answer = b""
    with contextlib.suppress(TimeoutError, ConnectionError):
        while not is_whole(answer) and (piece := sender.recv(65536)):
            answer += piece
    return answer


def is_whole(answer: bytes) -> bool:
    head, end, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head)
    return bool(end) and (length is None or len(body) >= int(length[1]))


def is_open(sender: socket.socket) -> bool:
    """Whether the other side has neither closed nor said anything."""
    sender.settimeout(0.01)
    try:
        sender.recv(65536, socket.MSG_PEEK)
    except TimeoutError:
        return True
    except OSError:
        pass
    finally:
        sender.settimeout(5)
    return False


SHORTER = {
    "HEAD_TIMEOUT": 0.6,
    "BODY_TIMEOUT": 1.6,
    "LINGER": 0.3,
    "MAX_STRANGERS": PLACES,
    "GRACE": 0.0,
    "MAX_OF_ADDRESS": OF_ADDRESS,
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SHORTER.items():
            patch.setattr(_protocol, name, value)
        service = open_service({"DATA_DIR": str(tmp_path_factory.mktemp("served")), "WORKER": "false"})
        with running(service) as found:
            yield found


@contextlib.contextmanager
def running(service: Service) -> Iterator[Served]:
    with socket.create_server(("127.0.0.1", 0), backlog=200) as door:
        config = serve.bounds(app.web_app(service), lambda: service.settings.proxies)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=lambda: server.run(sockets=[door]), daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield Served(service, door.getsockname()[1], cast(Any, config.http).keywords["places"])
        server.should_exit = True
        thread.join(20)


# --- heads


def request(*fields: bytes, target: bytes = b"/healthz", method: bytes = b"GET") -> bytes:
    return b"\r\n".join([method + b" " + target + b" HTTP/1.1", b"Host: x", *fields, b"", b""])


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (request(b"X: " + b"a" * 60_000), 200),
        (request(b"X: " + b"a" * 70_000), 431),
        (request(b"X: " + b"a" * 70_000)[:-4], 431),
        (request(b"a" * 70_000 + b": x")[:-4], 431),
        (request(*[b"X: y"] * 99), 200),
        (request(*[b"X: y"] * 100), 431),
        (request(*[b"X: " + b"a" * 1000] * 90), 431),
        (request(target=b"/healthz?" + b"a" * 16_000), 200),
        (request(target=b"/healthz?" + b"a" * 17_000), 414),
        (b"GET /" + b"a" * 70_000, 414),
        (b"\r\n" * 40_000, 431),
        (b"nonsense\r\n\r\n", 400),
    ],
    ids=["large", "too large", "too large a value", "too large a name", "many", "too many", "too large in all", "long line", "too long a line", "endless line", "empty lines", "no HTTP"],
)  # fmt: skip
def test_a_head_is_taken_up_to_its_bounds(served: Served, head: bytes, status: int) -> None:
    answer = served.ask(head)

    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert status == 200 or b"connection: close" in answer


def test_an_endless_head_is_refused_however_small_its_pieces(served: Served) -> None:
    with served.connect() as sender:
        sender.sendall(b"GET / HTTP/1.1\r\nX: ")
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < 3_000_000 and is_open(sender):
                sent += sender.send(b"a" * 5000)
        answer = received(sender)

    assert sent < 3_000_000
    assert answer.startswith(b"HTTP/1.1 431 ")


def test_heads_one_after_another_are_each_counted_anew(served: Served) -> None:
    large = request(b"X: " + b"a" * 40_000)
    with served.connect() as sender:
        sender.sendall(large * 3)
        answers = b""
        while answers.count(b"HTTP/1.1 200") < 3:
            answers += sender.recv(65536)

    assert answers.count(b"HTTP/1.1 200") == 3


CHUNKED = request(b"Transfer-Encoding: chunked", target=b"/sign-in", method=b"POST")


@pytest.mark.parametrize(
    "after",
    [b"0\r\nX: " + b"a" * 200_000, b"0\r\n" + b"X: y\r\n" * 200, b"5;" + b"a" * 200_000],
    ids=["an endless trailer", "many trailers", "an endless extension"],
)
def test_what_stands_around_a_body_is_bounded_as_well(served: Served, after: bytes) -> None:
    with served.connect() as sender:
        sender.sendall(CHUNKED)
        began = time.monotonic()
        with contextlib.suppress(ConnectionError):
            sender.sendall(after)
        answer = received(sender)

    assert answer == b""
    assert time.monotonic() - began < 0.7  # and not only when its time is over


def test_many_requests_at_once_are_not_held(served: Served) -> None:
    answers = b""
    with served.connect() as sender, contextlib.suppress(ConnectionError):
        sender.sendall(request(target=b"/sign-in") * 2000)
        while piece := sender.recv(65536):
            answers += piece

    assert answers.count(b"HTTP/1.1 ") < 30


def test_a_field_after_the_body_is_not_believed(served: Served) -> None:
    token = served.tokens["api"]
    late = b"0\r\nAuthorization: Bearer " + token + b"\r\n\r\n"
    head = request(b"Transfer-Encoding: chunked", target=b"/api/v1/catch-up", method=b"POST")

    assert served.ask(head + late).startswith(b"HTTP/1.1 401 ")


# --- slow senders

HEAD = b"POST /sign-in HTTP/1.1\r\nHost: x\r\n"
UNREAD = b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"
UPLOAD = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\nAuthorization: Bearer %s\r\n\r\n"


@pytest.mark.parametrize(
    ("begin", "drops"),
    [
        (b"", b""),
        (HEAD, b""),
        (HEAD, b"X-A: b\r\n"),
        (b"", b"\r\n"),
        (UNREAD, b""),
        (UNREAD, b"x"),
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", b"G"),
        (HEAD + b"Content-Length: 10000\r\n\r\n", b"x"),
        (UPLOAD % (b"/api/v1/imports/trakt", b"wrong"), b"x"),
        (UPLOAD % (b"/sign-in?/api/v1/imports/", b"wrong"), b"x"),
        (UPLOAD % (b"/webhooks/plex/wrong", b"wrong"), b"x"),
        (UPLOAD % (b"/nowhere/api/v1/imports/trakt", b"wrong"), b"x"),
    ],
    ids=["silent", "half a head", "a head in drops", "empty lines", "no body", "a body in drops", "a second head", "a form in drops", "an upload of a stranger", "a query like an upload", "a webhook of a stranger", "a path like an upload"],
)  # fmt: skip
def test_who_sends_slowly_is_hung_up_on(served: Served, begin: bytes, drops: bytes) -> None:
    with served.connect() as sender:
        sender.sendall(begin)
        began = time.monotonic()
        gone = False
        sender.settimeout(0.05)
        while not gone and time.monotonic() - began < 5:
            gone = hung_up(sender, drops)

    assert gone
    assert time.monotonic() - began < 4


def hung_up(sender: socket.socket, drops: bytes) -> bool:
    """Sends a little more; whether the other side has closed."""
    try:
        sender.sendall(drops)
        return sender.recv(65536) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def test_who_sends_at_an_honest_pace_is_not_hung_up_on(served: Served) -> None:
    with served.connect() as sender:
        answers = []
        for _ in range(2):
            sender.sendall(request()[:20])
            time.sleep(0.2)
            sender.sendall(request()[20:])
            answers.append(sender.recv(65536)[:12])
            time.sleep(0.7)  # a pause between two requests is nobody's slowness

    assert answers == [b"HTTP/1.1 200"] * 2


def test_who_was_let_in_has_longer_for_an_upload(served: Served) -> None:
    token = served.tokens["api"]
    file = b"x" * 22
    head = b"POST /api/v1/imports/trakt?dry_run=true HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n"
    with served.connect() as sender:
        sender.sendall(head % (token, len(file)))
        for byte in file:
            time.sleep(0.08)  # twice the time that a stranger has
            sender.sendall(bytes([byte]))
        answer = received(sender)

    assert answer.startswith(b"HTTP/1.1 422 ")


def test_the_rest_of_a_body_is_not_waited_for_once_it_is_answered(served: Served) -> None:
    with served.connect() as sender:
        sender.sendall(UNREAD)
        assert sender.recv(65536).startswith(b"HTTP/1.1 404 ")
        began = time.monotonic()
        while not hung_up(sender, b"x"):
            assert time.monotonic() - began < 5

    assert time.monotonic() - began < 0.7


@pytest.mark.parametrize("length", [1_000, 3_000_000])
@pytest.mark.parametrize("path", [b"/nowhere", b"/api/v1/imports/trakt", b"/webhooks/plex/wrong"])
def test_who_sends_everything_before_reading_comes_to_read_the_answer(
    served: Served, path: bytes, length: int
) -> None:
    head = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (path, length)
    with served.connect() as sender:
        sender.sendall(head + b"x" * length)
        answer = received(sender)

    assert answer.startswith((b"HTTP/1.1 404 ", b"HTTP/1.1 401 "))


def test_a_flood_of_what_nobody_reads_is_cut_off(served: Served) -> None:
    head = b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n"
    sent = 0
    with served.connect() as sender, contextlib.suppress(ConnectionError):
        sender.sendall(head)
        while sent < 100_000_000:
            sent += sender.send(b"x" * 100_000)

    assert sent < 30_000_000


# --- places


def opened(
    served: Served, count: int, source: str, begin: bytes = b"GET / HTTP/1.1\r\nX: "
) -> list[socket.socket]:
    """Connections of strangers that begin a request and leave it at that."""
    made = []
    for _ in range(count):
        made.append(served.connect(source))
        made[-1].sendall(begin)
    return made


@contextlib.contextmanager
def closing(connections: list[socket.socket]) -> Iterator[None]:
    try:
        yield
    finally:
        for connection in connections:
            connection.close()


def webhook(served: Served) -> bytes:
    body = json.dumps(plex("media.play")).encode()
    target = b"/webhooks/plex/" + served.tokens["webhook"]
    return request(b"Content-Length: %d" % len(body), target=target, method=b"POST") + body


def test_an_address_has_so_many_places_and_its_oldest_gives_way(served: Served) -> None:
    others = opened(served, 2, ELSEWHERE.format(3))
    mine = opened(served, OF_ADDRESS + 2, ELSEWHERE.format(2))
    with closing(mine + others):
        eventually(lambda: [is_open(one) for one in mine].count(False) == 2, "two have given way")

        assert [is_open(one) for one in mine] == [False] * 2 + [True] * OF_ADDRESS
        assert all(is_open(one) for one in others)


def test_strangers_of_many_addresses_give_way_to_each_other_and_not_who_was_let_in(served: Served) -> None:
    head = webhook(served)
    slow = served.connect(ELSEWHERE.format(99))
    slow.sendall(head[:-10])  # of a sender who has a token, and whose body is under way
    time.sleep(0.1)
    strangers = [one for number in range(2, 12) for one in opened(served, 3, ELSEWHERE.format(number))]
    with closing([slow, *strangers]):
        answer = served.ask(head, ELSEWHERE.format(98))
        slow.sendall(head[-10:])

        assert answer.startswith(b"HTTP/1.1 200 ")
        assert received(slow).startswith(b"HTTP/1.1 200 ")
        assert sum(is_open(one) for one in strangers) <= PLACES


def test_who_came_by_a_trusted_proxy_is_counted_by_their_own_address(served: Served) -> None:
    def begin(client: str) -> bytes:
        passed_on = b"X-Forwarded-For: " + client.encode()
        return request(passed_on, b"Content-Length: 9", target=b"/sign-in", method=b"POST")

    many = opened(served, OF_ADDRESS + 2, "127.0.0.1", begin("203.0.113.1"))
    others = [
        one for number in range(5) for one in opened(served, 1, "127.0.0.1", begin(f"203.0.113.{number + 9}"))
    ]
    with closing(many + others):
        eventually(lambda: [is_open(one) for one in many].count(False) == 2, "two have given way")

        assert all(is_open(one) for one in others)


def test_what_an_untrusted_sender_says_of_its_address_counts_for_nothing(served: Served) -> None:
    def begin(number: int) -> bytes:
        passed_on = b"X-Forwarded-For: 203.0.113.%d" % number
        return request(passed_on, b"Content-Length: 9", target=b"/sign-in", method=b"POST")

    mine = [
        one
        for number in range(OF_ADDRESS + 2)
        for one in opened(served, 1, ELSEWHERE.format(2), begin(number))
    ]
    with closing(mine):
        eventually(lambda: [is_open(one) for one in mine].count(False) == 2, "two have given way")


def test_a_place_is_free_again_when_its_connection_is_closed(served: Served) -> None:
    for _ in range(3):
        with closing(opened(served, OF_ADDRESS, ELSEWHERE.format(2))):
            pass

    eventually(lambda: not served.places.strangers, "all are free")
    assert served.places.addresses == {}


class Connection:
    """What a connection is to the places: one that may be hung up on."""

    def __init__(self, *, waits: bool = False) -> None:
        self.address = ""
        self.gone = False
        self.waits = waits

    def is_waiting_for_answer(self) -> bool:
        return self.waits

    def hang_up(self) -> None:
        self.gone = True


def test_who_has_only_just_come_does_not_give_way_while_another_is_older(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_protocol, "MAX_STRANGERS", 4)
    made = [Connection() for _ in range(6)]

    def gone(grace: float) -> list[int]:
        monkeypatch.setattr(_protocol, "GRACE", grace)
        places = _protocol.Places()
        for number, connection in enumerate(made):
            connection.gone = False
            places.enter(cast(Any, connection), "one" if number in (2, 3, 4) else f"other {number}", 9)
        return [number for number, connection in enumerate(made) if connection.gone]

    assert gone(grace=60) == [0, 1]  # the oldest of all
    assert gone(grace=0) == [2, 3]  # the oldest of the address that has most


def test_a_newcomer_does_not_give_way_to_those_that_wait_for_an_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_protocol, "MAX_STRANGERS", 4)
    monkeypatch.setattr(_protocol, "GRACE", 60.0)
    places = _protocol.Places()
    made = [*(Connection(waits=True) for _ in range(4)), Connection(), Connection()]

    for connection in made:
        places.enter(cast(Any, connection), "one", 9)

    assert [connection.gone for connection in made] == [True, True, False, False, False, False]


def test_requests_begin_a_few_at_a_time() -> None:
    begun: list[int] = []

    async def begin(turnstile: _reload.Turnstile, number: int) -> None:
        await turnstile.enter()
        begun.append(number)

    async def crowd() -> list[int]:
        turnstile = _reload.Turnstile()
        tasks = [asyncio.create_task(begin(turnstile, number)) for number in range(50)]
        tasks[1].cancel()
        counts = []
        while len(begun) < 49:
            await asyncio.sleep(0)
            counts.append(len(begun))
        return [after - before for before, after in pairwise([0, *counts])]

    steps = asyncio.run(crowd())

    assert begun == [number for number in range(50) if number != 1]
    assert max(steps) <= _reload.AT_ONCE
