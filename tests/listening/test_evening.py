"""An evening with a Plex server and no webhook: nothing but its address and its token."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes._server import Server
from tests.fakes.plex_server import PlexServer
from tests.running import Process, eventually, started

pytestmark = pytest.mark.e2e

PAYLOADS = Path(__file__).parent.parent / "payloads" / "plex"
LENGTH = 2_700_000
BEN = 70011223


def episode(number: int = 9) -> dict[str, Any]:
    """An episode as a server that has not counted it describes it."""
    found: dict[str, Any] = json.loads((PAYLOADS / "episode-watched.json").read_text())["Metadata"]
    named = {"ratingKey": str(4092 + number), "index": number, "title": f"Part {number}"}
    guids = {"guid": f"plex://episode/{number:024x}", "Guid": [{"id": f"tvdb://{9900000 + number}"}]}
    kept = {name: value for name, value in found.items() if name not in ("viewCount", "lastViewedAt")}
    return {**kept, **named, **guids}


@pytest.fixture
def plex() -> Iterator[tuple[PlexServer, str]]:
    fake = PlexServer()
    fake.accounts[BEN] = "Ben"
    with Server(fake) as server:
        yield fake, server.url


@pytest.fixture
def watchmark(plex: tuple[PlexServer, str], tmp_path: Path) -> Iterator[Process]:
    fake, url = plex
    process = Process(tmp_path, PLEX_URL=url, PLEX_TOKEN=fake.switches.token)
    with started(process.prepare()):
        eventually(lambda: fake.listeners == 1, "the server is listened to")
        yield process


def plays(watchmark: Process) -> list[dict[str, Any]]:
    return list(watchmark.api("/plays")["items"])


def test_what_is_played_to_its_end_is_a_play(plex: tuple[PlexServer, str], watchmark: Process) -> None:
    fake, _ = plex
    fake.start("29", episode())
    eventually(lambda: len(plays(watchmark)) == 1, "the start is a play")
    fake.move("29", LENGTH // 2)
    fake.stop("29", LENGTH * 95 // 100)

    eventually(lambda: bool(plays(watchmark)[0]["watched_at"]), "it is watched")
    (play,) = plays(watchmark)
    assert (play["title"], play["ids"]["tvdb"], play["player"]) == ("Part 9", 9900009, "Player p1")
    assert (play["position_ms"], play["estimated"]) == (LENGTH * 95 // 100, False)
