"""A tracker and its client, with respx in the place of the service: what is sent, and the outcome of each answer.

An answer is a status, or `answer(200, body, header=…)`, or an error of httpx. An outcome is compared by its sentence
(`describe`): "retry in 60s unsure suspect", "park signed_out", "snooze 41s", "dead".
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import httpx
import orjson
import respx

from tests.contracts import violations
from tests.trackers._access import Access
from webhook import client
from webhook.domain.outcome import Dead, Done, Retry, Skip, Snooze, Undelivered, Unmatched
from webhook.trackers import Delivery, SignInFailed, Tokens, modules

Reply = int | httpx.Response | Exception
Replies = Mapping[str, Reply | list[Reply]]
"""Answers by the beginning of "METHOD /path"; the first that fits, of a list one after another."""

MODULES = modules()
PAGE = "<!DOCTYPE html><html><title>Just a moment</title></html>"


def answer(status: int, body: Any = None, **headers: str) -> httpx.Response:
    content = body.encode() if isinstance(body, str) else b"" if body is None else orjson.dumps(body)
    return httpx.Response(
        status, content=content, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )


LATER = {"retry_after": "41"}
COMMON: list[tuple[Any, str]] = [
    (answer(429, {}, **LATER), "snooze 41s"),
    (answer(503, {}, **LATER), "retry in 41s"),
    (answer(500, {}), "retry in 60s unsure suspect"),
    *((answer(status, {}), "retry in 60s unsure") for status in (502, 504, 520, 521, 522, 524)),
    *((answer(status, {}), "retry") for status in (408, 425, 501, 503)),
    *((answer(status, {}, location="/elsewhere"), "dead") for status in (301, 302, 307, 308)),
    (answer(200, '{"added": {"mov'), "retry in 60s unsure suspect"),
    (answer(200, [1, 2]), "retry in 60s unsure suspect"),
    (answer(200, {"x": "x" * 300_000}), "retry in 60s unsure suspect"),
    (answer(200, PAGE), "retry in 60s unsure suspect"),
    (httpx.ConnectError("refused"), "retry"),
    (httpx.ConnectTimeout("nobody"), "retry"),
    (httpx.ReadTimeout("silence"), "retry in 60s unsure"),
    (httpx.ReadError("reset"), "retry in 60s unsure"),
    (httpx.RemoteProtocolError("cut"), "retry in 60s unsure"),
]
"""What every service may answer, and what every tracker makes of it."""


@dataclass(frozen=True)
class Call:
    """A request as `tests.contracts` reads it."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: Any


@dataclass
class Wire:
    """One tracker, signed in, and the service's replies; `sent` is what it was asked."""

    name: str
    settings: Mapping[str, Any]
    tokens: Tokens
    replies: Replies
    sent: list[httpx.Request] = field(default_factory=list)

    def run(self, work: Callable[[Any, Access], Awaitable[Any]]) -> Any:
        """The result of `work`; a raised decision is a result too."""

        async def inside() -> Any:
            async with client.client(timeout=2) as http:
                module = MODULES[self.name]
                tracker = module.build(module.Settings(**self.settings), http)
                try:
                    return await work(tracker, Access(self.tokens, tracker=tracker))
                except (Undelivered, SignInFailed) as decision:
                    return decision

        with respx.mock(assert_all_called=False) as router:
            router.route().mock(side_effect=self.reply)
            return asyncio.run(inside())

    def send(self, delivery: Delivery) -> Any:
        return self.run(lambda tracker, access: tracker.send(delivery, access))

    def reply(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(request)
        for route, reply in self.replies.items():
            if line(request).startswith(route):
                return made(reply.pop(0) if isinstance(reply, list) else reply)
        raise AssertionError(f"no reply for {line(request)}")

    def violations(self) -> list[str]:
        """What the service's contract does not allow of what was sent."""
        return [wrong for request in self.sent for wrong in violations(self.name, call_of(request))]

    def requests(self, method: str = "") -> list[str]:
        return [line(request) for request in self.sent if request.method.startswith(method)]


def made(reply: Reply) -> httpx.Response:
    if isinstance(reply, Exception):
        raise reply
    if isinstance(reply, int):
        return answer(reply, {})
    return httpx.Response(reply.status_code, headers=reply.headers, content=reply.content)


def line(request: httpx.Request) -> str:
    return f"{request.method} {request.url.raw_path.decode()}"


def call_of(request: httpx.Request) -> Call:
    path, query = request.url.path, request.url.query.decode()
    return Call(request.method, path, query, dict(request.headers), body_of(request))


def body_of(request: httpx.Request) -> Any:
    """JSON, or the fields of a form."""
    if "form" in request.headers.get("content-type", ""):
        return dict(parse_qsl(request.content.decode()))
    return orjson.loads(request.content) if request.content else None


def describe(outcome: Any) -> str:
    match outcome:
        case Done():
            return "done"
        case Snooze(park=park) if park is not None:
            return f"park {park}"
        case Snooze(after=after, lengthens=lengthens, lane=lane):
            words = [
                "snooze",
                after and f"{after.total_seconds():g}s",
                lengthens and "lengthens",
                not lane and "alone",
            ]
        case Retry(after=after, unsure=unsure, suspect=suspect, lane=lane):
            rest = after and f"in {after.total_seconds():g}s"
            words = ["retry", rest, unsure and "unsure", suspect and "suspect", not lane and "alone"]
        case Unmatched() | Dead() | Skip():
            return next(
                kind.__name__.lower() for kind in (Unmatched, Dead, Skip) if isinstance(outcome, kind)
            )
        case _:
            return repr(outcome)
    return " ".join(word for word in words if word)


def case_id(value: Any) -> str | None:
    """A name for a case of a table."""
    if isinstance(value, Exception):
        return type(value).__name__
    if isinstance(value, httpx.Response):
        headers = "".join(f" {name}" for name in value.headers if name != "content-length")
        return f"{value.status_code}{headers} {value.content[:40].decode('utf-8', 'replace')}"
    return value if isinstance(value, str) else None
