"""An evening with a Plex server and no webhook: nothing but its address and its token."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.fakes._server import Server
from tests.fakes.plex_server import PlexServer
from tests.running import Process, eventually, started
from webhook.clock import now

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


def test_what_webhooks_and_the_server_tell_is_one_play_and_one_mark(
    plex: tuple[PlexServer, str], watchmark: Process
) -> None:
    """Trap 25."""
    fake, _ = plex
    fake.start("29", episode())
    watchmark.post("plex", webhook("media.play", fake))
    eventually(lambda: len(plays(watchmark)) == 1, "the start is a play")
    fake.move("29", LENGTH // 2)
    watchmark.post("plex", webhook("media.scrobble", fake))
    fake.stop("29", LENGTH * 95 // 100)
    watchmark.post("plex", webhook("media.stop", fake))

    eventually(lambda: plays(watchmark)[0]["position_ms"] == LENGTH * 95 // 100, "the position is known")
    assert len(plays(watchmark)) == 1
    told = watchmark.api("/connections/plex")["reception"]
    assert (told["how"], told["error"]) == ("both", None)


def test_two_percent_that_the_history_lists_are_not_watched(
    plex: tuple[PlexServer, str], tmp_path: Path
) -> None:
    """Trap 23: neither as it is heard nor by catch-up."""
    fake, url = plex
    process = Process(tmp_path, PLEX_URL=url, PLEX_TOKEN=fake.switches.token)
    with started(process.prepare()):
        eventually(lambda: fake.listeners == 1, "the server is listened to")
        fake.start("1", episode(1))
        eventually(lambda: len(plays(process)) == 1, "the start is a play")
        fake.view(episode(1), fake.clock.now(), counted=False)
        fake.stop("1", LENGTH * 2 // 100)
        eventually(lambda: plays(process)[0]["state"] == "stopped", "it ended")
        process.kill()
        process.start()
        begun = now()

        def is_caught_up() -> bool:
            ran_at = process.api("/catch-up")["items"][0]["ran_at"]
            return ran_at is not None and datetime.fromisoformat(ran_at) > begun

        process.api_post("/catch-up")
        eventually(is_caught_up, "the history was read", 40)
        eventually(lambda: not process.api("/webhooks", state="received")["items"], "all was judged")

        assert watched(process) == []


def test_a_line_that_breaks_is_opened_again_and_what_was_missed_comes_once(
    plex: tuple[PlexServer, str], watchmark: Process
) -> None:
    fake, _ = plex
    fake.start("1", episode(1))
    fake.start("3", episode(3), player="p3")
    eventually(lambda: len(plays(watchmark)) == 2, "each start is a play")
    fake.faults.add("GET /:/eventsource", status=503, times=1)
    fake.drop()
    fake.stop("1", LENGTH * 95 // 100)
    fake.start("2", episode(2))
    fake.stop("2", LENGTH * 95 // 100)
    eventually(lambda: watchmark.api("/connections/plex")["reception"]["how"] == "down", "it is down")
    eventually(lambda: fake.listeners == 1, "the server is listened to again", 30)

    eventually(lambda: len(watched(watchmark)) == 2, "what was missed came by catch-up", 90)
    fake.stop("3", LENGTH * 95 // 100)
    eventually(lambda: len(watched(watchmark)) == 3, "what only its end was heard of came by catch-up", 90)
    assert watchmark.api("/connections/plex")["reception"]["how"] == "live"
    assert len(plays(watchmark)) == 3
    repaired = [one for one in watchmark.api("/webhooks")["items"] if one["repaired"]]
    assert len(repaired) == 3


def test_a_mark_by_hand_and_one_taken_back_arrive(plex: tuple[PlexServer, str], watchmark: Process) -> None:
    fake, _ = plex
    fake.start("1", episode(1))
    eventually(lambda: len(plays(watchmark)) == 1, "the owner is known")
    eventually(lambda: len(fake.made("GET /library/sections/2/all")) >= 3, "the marks from before are known")
    fake.items["4094"] = episode(2)
    fake.mark(1, "4094", fake.clock.now())
    fake.send_entry("timeline", "TimelineEntry", {
        "identifier": "com.plexapp.plugins.library", "itemID": "4094", "sectionID": "2", "type": 4, "state": 5,
    })  # fmt: skip

    eventually(lambda: [one["title"] for one in watched(watchmark)] == ["Part 2"], "the mark is a play", 30)
    assert watched(watchmark)[0]["manual"] is True


def test_kill_at_any_time_loses_and_doubles_nothing(plex: tuple[PlexServer, str], tmp_path: Path) -> None:
    """Killed and cut off while ten episodes are played: each is one play that counts."""
    fake, url = plex
    dice = random.Random(1711)  # noqa: S311 - the dice of a story
    process = Process(tmp_path, PLEX_URL=url, PLEX_TOKEN=fake.switches.token)
    with started(process.prepare()):
        eventually(lambda: fake.listeners == 1, "the server is listened to")
        fake.start("1", episode(1))
        eventually(lambda: len(plays(process)) == 1, "the owner is known")
        for number in range(1, 11):
            key = str(number % 3)
            fake.start(key, episode(number))
            for percent in (20, 60, 95):
                happens = dice.choice(("kill", "drop", "nothing", "nothing"))
                if happens == "kill":
                    process.kill()
                    process.start()
                elif happens == "drop":
                    fake.drop()
                fake.move(key, LENGTH * percent // 100)
                time.sleep(dice.uniform(0, 0.3))
            fake.stop(key, LENGTH * 97 // 100)
        process.kill()
        process.start()

        def all_are_watched() -> bool:
            return sorted(one["number"] for one in watched(process)) == list(range(1, 11))

        eventually(all_are_watched, "each is watched", 40)
        assert len(plays(process)) == 10


def watched(watchmark: Process) -> list[dict[str, Any]]:
    return [one for one in plays(watchmark) if one["watched_at"]]


def webhook(event: str, fake: PlexServer) -> dict[str, Any]:
    """What the server's webhook says, without a position as most of Plex's are."""
    return {
        "event": event,
        "Account": {"id": 1, "title": "Nora"},
        "Server": {"title": fake.name, "uuid": fake.machine},
        "Player": {"title": "Player p1", "uuid": "p1"},
        "Metadata": {name: value for name, value in episode().items() if name != "duration"},
    }
