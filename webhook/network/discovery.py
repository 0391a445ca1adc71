"""Discovery of media servers: asks the local network which are there, as their own apps do.

Plex answers GDM (a search on a multicast group), Jellyfin and Emby answer a question that is broadcast. An answer is
believed in what it is called and in its port; its host is the one that the answer came from.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import orjson

PATIENCE = 1.5
"""Seconds in which servers answer; those of a home take a few milliseconds."""

MAX_FOUND = 20
MAX_NAME_LENGTH = 100


@dataclass(frozen=True, slots=True)
class FoundServer:
    """A media server in the local network."""

    name: str
    address: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Probe:
    """The question to a kind of server, where it is sent, and how the name and the port of an answer are read."""

    question: bytes
    to: tuple[str, int]
    read: Callable[[bytes], tuple[str, str, int]]


def read_gdm(answer: bytes) -> tuple[str, str, int]:
    """Name, scheme and port of a Plex server; raises ValueError for an answer that has none."""
    lines = answer.decode("utf-8", "replace").splitlines()
    said = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return said.get("name", ""), "http", int(said.get("port", ""))


def read_mediabrowser(answer: bytes) -> tuple[str, str, int]:
    """Name, scheme and port of a Jellyfin or an Emby; raises ValueError for an answer that has none."""
    said = orjson.loads(answer)
    if not isinstance(said, dict):
        raise ValueError("no object")
    address = urlsplit(str(said.get("Address", "")))
    if address.scheme not in ("http", "https"):
        raise ValueError("no address of the web")
    return (
        str(said.get("Name", "")),
        address.scheme,
        address.port or (443 if address.scheme == "https" else 80),
    )


PROBES: Mapping[str, Probe] = {
    "plex": Probe(question=b"M-SEARCH * HTTP/1.1\r\n\r\n", to=("239.0.0.250", 32414), read=read_gdm),
    "jellyfin": Probe(
        question=b"Who is JellyfinServer?", to=("255.255.255.255", 7359), read=read_mediabrowser
    ),
    "emby": Probe(question=b"who is EmbyServer?", to=("255.255.255.255", 7359), read=read_mediabrowser),
}


@dataclass
class Answers(asyncio.DatagramProtocol):
    """Gathers the servers that answer, each address once."""

    probe: Probe
    found: dict[str, FoundServer] = field(default_factory=dict)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        with suppress(ValueError):  # something else listens there too
            name, scheme, port = self.probe.read(data)
            if not 0 < port < 65536 or len(self.found) >= MAX_FOUND:
                return
            address = f"{scheme}://{addr[0]}:{port}"
            shown = "".join(filter(str.isprintable, name))[:MAX_NAME_LENGTH].strip()
            self.found.setdefault(address, FoundServer(shown or addr[0], address))


async def discover(source: str, patience: float | None = None) -> list[FoundServer]:
    """The servers of this kind that answer in the local network; none where that cannot be asked."""
    probe = PROBES.get(source)
    if probe is None:
        return []
    loop = asyncio.get_running_loop()
    with suppress(OSError):
        transport, answers = await loop.create_datagram_endpoint(
            lambda: Answers(probe), family=socket.AF_INET, allow_broadcast=True
        )
        try:
            transport.sendto(probe.question, probe.to)
            await asyncio.sleep(PATIENCE if patience is None else patience)
        finally:
            transport.close()
        return sorted(answers.found.values(), key=lambda one: one.name)
    return []
