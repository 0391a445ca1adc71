"""Media servers of the local network are found by their answers, whatever else answers there."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import pytest

from webhook.network import discovery
from webhook.network.discovery import FoundServer, discover

GDM = b"HTTP/1.0 200 OK\r\nContent-Type: plex/media-server\r\nName: Attic\r\nPort: 32400\r\nVersion: 1.41\r\n\r\n"
JELLYFIN = b'{"Address":"http://10.9.9.9:8096/","Id":"a","Name":"Cellar","EndpointAddress":null}'


@contextmanager
def network(monkeypatch: pytest.MonkeyPatch, source: str, answers: Sequence[bytes]) -> Iterator[list[bytes]]:
    """A network of one machine that answers every question with these; gives the questions."""
    asked: list[bytes] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as there:
        there.bind(("127.0.0.1", 0))
        there.settimeout(20)

        def answer() -> None:
            question, sender = there.recvfrom(1024)
            asked.append(question)
            for one in answers:
                there.sendto(one, sender)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        probe = replace(discovery.PROBES[source], to=there.getsockname())
        monkeypatch.setitem(discovery.PROBES, source, probe)
        yield asked
        thread.join(20)


@pytest.mark.parametrize(
    ("source", "answer", "question", "found"),
    [
        ("plex", GDM, b"M-SEARCH * HTTP/1.1\r\n\r\n", FoundServer("Attic", "http://127.0.0.1:32400")),
        ("jellyfin", JELLYFIN, b"Who is JellyfinServer?", FoundServer("Cellar", "http://127.0.0.1:8096")),
        (
            "emby",
            JELLYFIN.replace(b"http:", b"https:").replace(b":8096", b""),
            b"who is EmbyServer?",
            FoundServer("Cellar", "https://127.0.0.1:443"),
        ),
    ],
)
def test_a_server_is_found_where_its_answer_came_from(
    monkeypatch: pytest.MonkeyPatch, source: str, answer: bytes, question: bytes, found: FoundServer
) -> None:
    with network(monkeypatch, source, [answer, answer]) as asked:
        servers = asyncio.run(discover(source, patience=0.5))

    assert servers == [found]
    assert asked == [question]


@pytest.mark.parametrize("source", ["plex", "jellyfin"])
def test_what_is_no_answer_is_passed_over(monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    noise = [
        b"", b"\xff\xfe", b"[]", b"null", b"{}", b'{"Address":"ftp://10.0.0.1:21"}', b'{"Address":"http://[::1"}',
        b'{"Address":"http://a:99999"}', b"Name: x\r\nPort: none\r\n", b"Name: x\r\nPort: 0\r\n", b"Port: 70000\r\n",
    ]  # fmt: skip
    with network(monkeypatch, source, noise):
        assert asyncio.run(discover(source, patience=0.5)) == []


def test_a_name_is_cut_and_cleaned(monkeypatch: pytest.MonkeyPatch) -> None:
    with network(monkeypatch, "plex", [b"Name: a\x1b[31m" + b"b" * 400 + b"\r\nPort: 1\r\n"]):
        (server,) = asyncio.run(discover("plex", patience=0.5))

    assert server.name == "a[31m" + "b" * 95


def test_a_network_that_cannot_be_asked_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    unreachable = replace(discovery.PROBES["plex"], to=("0.0.0.1", 9))
    monkeypatch.setitem(discovery.PROBES, "plex", unreachable)

    assert asyncio.run(discover("plex", patience=0.01)) == []
    assert asyncio.run(discover("kodi", patience=0.01)) == []
