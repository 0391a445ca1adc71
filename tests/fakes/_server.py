"""What every fake server shares: a clock, faults on demand, a log of calls, and a thread to run in.

A fake is a subclass of `Fake` with `routes()`, `who()` and `state()`:

    with Server(Trakt()) as server:           # 127.0.0.1, a free port
        server.fake.faults.add("POST /scrobble", status=503, times=2)
        httpx.post(server.url + "/scrobble/start", ...)
        server.fake.calls[-1].status          # 503

The same from another process (`python -m tests.fakes.trakt --port 0` prints `{"url": ...}`):

    GET    /_control/state      everything, with faults and calls
    GET    /_control/calls      the log; DELETE empties it
    POST   /_control/faults     {"route": "POST /scrobble", "status": 503, ...}; GET lists, DELETE clears
    POST   /_control/clock      {"advance": seconds} or {"now": "2026-11-22T20:00:00Z"}
    POST   /_control/switches   {"name": value, ...} sets what `fake.switches` has; GET shows them

Under test every call is held to the contract of its service (`tests.contracts`), in whatever process the fake
runs: what a contract does not allow is written into the file that FAKES_VIOLATIONS names.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import os
import re
import socket
import struct
import threading
from collections.abc import Mapping, MutableMapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Message, Receive, Scope, Send

NO_LINGER = struct.pack("ii", 1, 0)
"""Makes closing a socket a reset, not an orderly end."""


class Clock:
    """The time as the fake sees it: the real one plus what was advanced, or frozen once it is set."""

    def __init__(self, now: datetime | None = None) -> None:
        self.frozen = now
        self.ahead = timedelta(0)

    def now(self) -> datetime:
        return (self.frozen or datetime.now(UTC)) + self.ahead

    def advance(self, by: timedelta | float) -> None:
        self.ahead += by if isinstance(by, timedelta) else timedelta(seconds=by)

    def set(self, now: datetime) -> None:
        self.frozen, self.ahead = now, timedelta(0)


@dataclass(kw_only=True)
class Fault:
    """What goes wrong with the calls of one route.

    `route` is a path prefix, with or without a method before it ("POST /sync"). The first `skip`
    calls are let through, then it holds for `times` calls (-1: for good), for `user` only if named, and
    only for calls whose body has the text `body_has` if given.
    `delay` seconds pass first. Then the first of these that is set: `reset` drops the connection;
    `record_then` does the call and spoils the answer (a status, "silence", "reset", or "late": it is
    done after the client gave up); `status` and `body` are the answer (a body that is no text goes
    as JSON), `cut` bytes of it if given, before the connection drops. With none set the call goes on.
    """

    route: str
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    times: int = 1
    skip: int = 0
    user: str | None = None
    body_has: str = ""
    delay: float = 0
    reset: bool = False
    record_then: int | Literal["silence", "reset", "late"] | None = None
    cut: int | None = None

    def meets(self, call: Call) -> bool:
        method, _, prefix = self.route.rpartition(" ")
        right = method in ("", call.method) and call.path.startswith(prefix)
        right = right and self.body_has in json.dumps(call.body, ensure_ascii=False)
        return right and self.times != 0 and self.user in (None, call.user)


class Faults(list[Fault]):
    """The faults waiting, oldest first; a call takes the first that meets it."""

    def add(self, route: str, **what: Any) -> Fault:
        fault = Fault(route=route, **what)
        self.append(fault)
        return fault

    def take(self, call: Call) -> Fault | None:
        fault = next((fault for fault in self if fault.meets(call)), None)
        if fault is None:
            return None
        if fault.skip:
            fault.skip -= 1
            return None
        fault.times -= fault.times > 0
        return fault


@dataclass(kw_only=True)
class Call:
    """One call as it came in, and how it was answered (0: not at all)."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: Any
    user: str | None
    at: str
    status: int = 0


class Fake:
    """Base of the fakes: an ASGI app that logs, runs into faults, and can be steered at `/_control`.

    `service` names the contract that its calls are held to; empty where there is none.
    """

    service: ClassVar[str] = ""

    def __init__(self, *, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self.faults = Faults()
        self.calls: list[Call] = []
        self.switches: Any = None  # a dataclass of the fake's own
        self.home = ""  # where it is served, if a sign-in at it holds its address
        self.inner = Starlette(routes=[*self.controls(), *self.routes()])

    def routes(self) -> list[BaseRoute]:
        """The service's routes, and what else the fake has at `/_control/...`."""
        return []

    def who(self, headers: Mapping[str, str]) -> str | None:
        """Whose call it is, by its headers."""
        return None

    def state(self) -> dict[str, Any]:
        """What the fake remembers, as JSON."""
        return {}

    def made(self, route: str) -> list[Call]:
        """The calls of a route, as a fault would meet them."""
        return [call for call in self.calls if Fault(route=route).meets(call)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self.inner(tidied(scope), receive, send)
        if scope["type"] != "http":
            return
        scope = tidied(scope)
        if scope["path"].startswith("/_control/"):
            await self.inner(scope, receive, send)
            return
        body = await whole(receive)
        if body is None:
            return
        call = self.log(scope, body)
        note_violations(self.service, call)
        await Exchange(self.inner, scope, body, call, receive, send).run(self.faults.take(call))

    def log(self, scope: Scope, body: bytes) -> Call:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        call = Call(
            method=scope["method"],
            path=scope["path"],
            query=scope["query_string"].decode(),
            headers=headers,
            body=parsed(body),
            user=self.who(headers),
            at=self.clock.now().isoformat(),
        )
        self.calls.append(call)
        return call

    def controls(self) -> list[BaseRoute]:
        return [
            Route("/_control/state", self.show_state),
            Route("/_control/calls", self.show_calls, methods=["GET", "DELETE"]),
            Route("/_control/faults", self.change_faults, methods=["GET", "POST", "DELETE"]),
            Route("/_control/clock", self.change_clock, methods=["GET", "POST"]),
            Route("/_control/switches", self.change_switches, methods=["GET", "POST"]),
        ]

    async def show_state(self, request: Request) -> Response:
        shared = {
            "now": self.clock.now().isoformat(),
            "switches": self.switches and asdict(self.switches),
            "faults": [asdict(fault) for fault in self.faults],
            "calls": [asdict(call) for call in self.calls],
        }
        return JSONResponse({**self.state(), **shared})

    async def show_calls(self, request: Request) -> Response:
        if request.method == "DELETE":
            self.calls.clear()
        return JSONResponse([asdict(call) for call in self.calls])

    async def change_faults(self, request: Request) -> Response:
        if request.method == "DELETE":
            self.faults.clear()
        if request.method == "POST":
            self.faults.add(**await request.json())
        return JSONResponse([asdict(fault) for fault in self.faults])

    async def change_clock(self, request: Request) -> Response:
        wanted = await request.json() if request.method == "POST" else {}
        if "now" in wanted:
            self.clock.set(datetime.fromisoformat(wanted["now"]))
        self.clock.advance(wanted.get("advance", 0))
        return JSONResponse({"now": self.clock.now().isoformat()})

    async def change_switches(self, request: Request) -> Response:
        wanted = await request.json() if request.method == "POST" else {}
        known = {entry.name for entry in fields(self.switches)}
        if unknown := wanted.keys() - known:
            return JSONResponse({"unknown": sorted(unknown), "known": sorted(known)}, 400)
        for name, value in wanted.items():
            setattr(self.switches, name, value)
        return JSONResponse(asdict(self.switches))


class Exchange:
    """One call and its answer, with or without a fault between them."""

    def __init__(
        self, app: Starlette, scope: Scope, body: bytes, call: Call, receive: Receive, send: Send
    ) -> None:
        self.app, self.scope, self.body, self.call = app, scope, body, call
        self.receive, self.raw = receive, send

    async def run(self, fault: Fault | None) -> None:
        if fault is None:
            return await self.work(self.send)
        await asyncio.sleep(fault.delay)
        if fault.reset:
            return self.drop()
        if fault.record_then is not None:
            return await self.spoil(fault)
        if fault.status is not None or fault.body is not None:
            return await self.answer(fault)
        return await self.work(self.send)

    async def work(self, send: Send) -> None:
        """The call, done by the service itself."""
        await self.app(self.scope, replayed(self.body, self.receive), send)

    async def send(self, message: Message) -> None:
        self.call.status = message.get("status", self.call.status)
        await self.raw(message)

    async def spoil(self, fault: Fault) -> None:
        if fault.record_then == "late":
            await self.silence()
        await self.work(nowhere)
        if fault.record_then == "silence":
            await self.silence()
        elif fault.record_then == "reset":
            self.drop()
        elif isinstance(fault.record_then, int):
            await self.answer(
                Fault(route="", status=fault.record_then, headers=fault.headers, body=fault.body)
            )

    async def answer(self, fault: Fault) -> None:
        plain = fault.body if isinstance(fault.body, str) else None
        body = b"" if fault.body is None else (plain or json.dumps(fault.body)).encode()
        media = "text/html" if plain and plain.lstrip().startswith("<") else "application/json"
        headers = {"content-type": media, **fault.headers, "content-length": str(len(body))}
        lines = [(name.encode(), value.encode()) for name, value in headers.items()]
        await self.send({"type": "http.response.start", "status": fault.status or 200, "headers": lines})
        if fault.cut is None:
            return await self.send({"type": "http.response.body", "body": body})
        await self.send({"type": "http.response.body", "body": body[: fault.cut], "more_body": True})
        await asyncio.sleep(0.05)
        return self.drop(hard=False)

    async def silence(self) -> None:
        """Until the client has hung up."""
        while (await self.receive())["type"] != "http.disconnect":
            pass

    def drop(self, *, hard: bool = True) -> None:
        # ASGI has no word for it: behind its `send` uvicorn keeps the connection.
        transport = self.raw.__self__.transport  # type: ignore[attr-defined]
        if hard:
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
        transport.abort()


class Server:
    """A fake on loopback, in a thread of its own; put another in `fake` to begin anew."""

    def __init__(self, fake: Fake, port: int = 0) -> None:
        self.fake: Any = fake
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Inherited by what it accepts: an answer is two writes, the second not to wait for the first one's ACK.
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.bind(("127.0.0.1", port))
        self.socket.listen(256)
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        # A fake says for itself what kind of server it is.
        quiet: dict[str, Any] = {"log_level": "critical", "server_header": False}
        # Idle connections are kept for longer than a client keeps them, as real services do: a connection
        # that closes just as it is used again is a fault, and faults are made on purpose here.
        idle: dict[str, Any] = {"timeout_keep_alive": 75}
        config = uvicorn.Config(self, **quiet, **idle, lifespan="off", http="h11", loop="asyncio")
        self.uvicorn = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.run, daemon=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.fake(scope, receive, send)

    def run(self) -> None:
        self.uvicorn.run(sockets=[self.socket])

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.uvicorn.should_exit = self.uvicorn.force_exit = True
        self.thread.join(5)
        self.socket.close()


def main(fake: Fake) -> None:
    """Run a fake until it is stopped; the first line printed is `{"url": ...}`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    server = Server(fake, parser.parse_args().port)
    print(json.dumps({"url": server.url}), flush=True)
    server.run()


def note_violations(service: str, call: Call) -> None:
    """Write down what the contract does not allow, where somebody reads it."""
    path = os.environ.get("FAKES_VIOLATIONS")
    if not service or not path or __package__ != "tests.fakes":
        return
    found = importlib.import_module("tests.contracts").violations(service, call)
    about = {"service": service, "call": f"{call.method} {call.path}?{call.query}", "body": call.body}
    lines = "".join(json.dumps({"wrong": wrong, **about}) + "\n" for wrong in found)
    if lines:
        with Path(path).open("a") as file:
            file.write(lines)


def tidied(scope: Scope) -> Scope:
    """The scope with a path without `//` and without a slash at its end."""
    path = re.sub("/+", "/", scope["path"])
    path = path.rstrip("/") or "/"
    return {**scope, "path": path, "raw_path": path.encode()}


async def whole(receive: Receive) -> bytes | None:
    """The body; None where the client was gone before all of it had come, so that nothing was asked."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if not message.get("more_body"):
            return bytes(body)


def replayed(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body that was read already, then what follows."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> MutableMapping[str, Any]:
        return waiting.pop() if waiting else await receive()

    return again


async def nowhere(message: Message) -> None:
    """Swallows an answer."""


def parsed(body: bytes) -> Any:
    """JSON if it is, text if not, None if there was none."""
    try:
        return json.loads(body) if body else None
    except ValueError:
        return body.decode("utf-8", "replace")
