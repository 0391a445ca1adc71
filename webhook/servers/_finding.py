"""Finding media servers: those that answer a search of the network, and those at the addresses they usually have.

Not a server: the leading underscore keeps it out of the scan. Nobody's token is sent while a server is looked for.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson

from webhook.client import call
from webhook.domain import values
from webhook.domain.outcome import Retry
from webhook.network.discovery import FoundServer, discover
from webhook.settings import host_in_url

GREETING_TIMEOUT = 2.0
MAX_GREETING = 64 * 1024
FIRST_JELLYFIN = 10
"""The version that Jellyfin began with, above those of Emby."""

ROUTES = Path("/proc/net/route")
DEFAULT_ROUTE = "00000000"


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a server says to anybody: its own id, and its name where it says one."""

    server_id: str
    name: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Greeter:
    """How a kind of server is greeted: its usual port, what is asked for, and how the answer is read."""

    port: int
    path: str
    read: Callable[[Mapping[str, Any]], Greeting | None]


def read_plex(answer: Mapping[str, Any]) -> Greeting | None:
    machine = values.text(values.mapping(answer.get("MediaContainer")).get("machineIdentifier"))
    return Greeting(machine) if machine else None


def read_jellyfin(answer: Mapping[str, Any]) -> Greeting | None:
    return read_mediabrowser(answer) if major_version(answer) >= FIRST_JELLYFIN else None


def read_emby(answer: Mapping[str, Any]) -> Greeting | None:
    return read_mediabrowser(answer) if 0 < major_version(answer) < FIRST_JELLYFIN else None


def read_mediabrowser(answer: Mapping[str, Any]) -> Greeting | None:
    server_id = values.hex_id(answer.get("Id"))
    return Greeting(server_id, values.text(answer.get("ServerName"))) if server_id else None


def major_version(answer: Mapping[str, Any]) -> int:
    return values.whole((values.text(answer.get("Version")) or "").partition(".")[0]) or 0


GREETERS: Mapping[str, Greeter] = {
    "plex": Greeter(port=32400, path="/identity", read=read_plex),
    "jellyfin": Greeter(port=8096, path="/System/Info/Public", read=read_jellyfin),
    "emby": Greeter(port=8096, path="/System/Info/Public", read=read_emby),
}


async def find_servers(source: str, http: httpx.AsyncClient) -> list[FoundServer]:
    """The servers of a kind that answer, each once."""
    greeter = GREETERS.get(source)
    if greeter is None:
        return []
    answered, usual = await asyncio.gather(
        discover(source), greet_all(greeter, http, usual_addresses(source, greeter.port))
    )
    greeted = await greet_all(greeter, http, [one.address for one in answered])
    names = {one.address: one.name for one in answered}
    found: dict[str, FoundServer] = {}
    for address, greeting in [*greeted, *usual]:
        name = names.get(address) or greeting.name or httpx.URL(address).host
        found.setdefault(greeting.server_id, FoundServer(name, address))
    reached = {address for address, _ in greeted}
    found |= {one.address: one for one in answered if one.address not in reached}
    return sorted(found.values(), key=lambda one: one.name)


def usual_addresses(source: str, port: int) -> list[str]:
    """Where such a server usually is: on this machine, beside this container, or behind its gateway."""
    usual = ["localhost", source, "host.docker.internal", *gateways()]
    return [f"http://{host_in_url(host)}:{port}" for host in dict.fromkeys(usual)]


def gateways() -> list[str]:
    """The gateways of this machine; from inside a container that is the machine it runs on."""
    found: list[str] = []
    with suppress(OSError, ValueError, struct.error):
        for line in ROUTES.read_text().splitlines()[1:]:
            _, destination, gateway, *_ = line.split()
            if destination == DEFAULT_ROUTE and gateway != DEFAULT_ROUTE:
                found.append(socket.inet_ntoa(struct.pack("<L", int(gateway, 16))))
    return found


async def greet_all(
    greeter: Greeter, http: httpx.AsyncClient, addresses: Iterable[str]
) -> list[tuple[str, Greeting]]:
    """The addresses at which such a server answers, in their order, each with its greeting."""
    asked = list(addresses)
    answers = await asyncio.gather(*(greet(greeter, http, address) for address in asked))
    return [(address, answer) for address, answer in zip(asked, answers, strict=True) if answer is not None]


async def greet(greeter: Greeter, http: httpx.AsyncClient, address: str) -> Greeting | None:
    """What a server at this address says to anybody; None if none of this kind answers within a moment."""
    with suppress(Retry, TimeoutError, orjson.JSONDecodeError):
        async with asyncio.timeout(GREETING_TIMEOUT):
            headers, url = {"Accept": "application/json"}, address + greeter.path
            answer = await call(http, "A server", "GET", url, headers=headers, most=MAX_GREETING)
        if answer.is_success:
            return greeter.read(values.mapping(orjson.loads(answer.content)))
    return None
