"""`watchmark connect plex`, `jellyfin` and `emby`: from nothing to a server that is listened to."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.connecting import FILM, open_attic
from tests.fakes._server import Server
from tests.fakes.jellyfin import Jellyfin
from tests.fakes.plex import ANNA, Plex
from tests.running import Process, eventually, started

pytestmark = pytest.mark.e2e


@pytest.fixture
def attic() -> Iterator[Server]:
    with open_attic() as server:
        yield server


@pytest.fixture
def watchmark(tmp_path: Path, attic: Server) -> Iterator[Process]:
    """An empty one, whose plex.tv is the fake."""
    with started(Process(tmp_path, PLEX_ACCOUNT_URL=attic.url).prepare()) as process:
        yield process


def begin(watchmark: Process, *words: str) -> subprocess.Popen[str]:
    pipes: Any = {
        "stdin": subprocess.PIPE,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "text": True,
    }
    command = [sys.executable, "-m", "webhook", "connect", *words]
    return subprocess.Popen(command, cwd=watchmark.folder, env=watchmark.environ, **pipes)


def connect(watchmark: Process, *words: str, given: str = "") -> str:
    """What the command says at its end."""
    command = begin(watchmark, *words)
    said, error = command.communicate(given, 60)
    assert command.returncode == 0, (said, error)
    return said


def refuse(watchmark: Process, *words: str, given: str = "") -> str:
    """Why the command refuses; nothing is saved then."""
    command = begin(watchmark, *words)
    said, error = command.communicate(given, 60)
    assert command.returncode == 1, (said, error)
    assert not any(
        one["set"] for one in watchmark.api(f"/connections/{words[0]}")["settings"] if one["required"]
    )
    return error


def link(attic: Server, command: subprocess.Popen[str], name: str) -> dict[str, Any]:
    """Enter the code that the command shows at plex.tv; what it shows."""
    assert command.stdout is not None
    shown: dict[str, Any] = json.loads(command.stdout.readline())
    attic.fake.link(max(attic.fake.pins), name)
    return shown


def test_from_nothing_to_a_play_by_the_code_of_plex_alone(watchmark: Process, attic: Server) -> None:
    """Issue 17, 5: no address, no token and no webhook is typed, and the service is not restarted."""
    command = begin(watchmark, "plex", "--json", "--address", attic.url)
    shown = link(attic, command, "Nora")
    said, error = command.communicate(timeout=60)

    assert (shown["user_code"], shown["verification_url"]) == ("AB700", "https://plex.tv/link")
    assert command.returncode == 0, error
    assert json.loads(said) == {
        "server": "plex",
        "address": attic.url,
        "works": True,
        "says": "Connected to Attic, Plex 1.43.3.10400. 2 people use it, and all are heard.",
        "saved": True,
    }
    eventually(lambda: bool(attic.fake.listeners == 1), "the running service listens")
    attic.fake.start("29", FILM)
    eventually(lambda: len(watchmark.api("/plays")["items"]) == 1, "the start is a play")
    assert "token" not in watchmark.log() + said + error
    files = [path.read_bytes() for path in watchmark.folder.glob("watchmark.db*")]
    assert not any(b"account-token" in content for content in files)
    assert not any("token" in call.query for call in attic.fake.calls)


def test_the_address_that_plex_tv_has_of_the_only_server_is_taken(watchmark: Process, attic: Server) -> None:
    attic.fake.addresses = ["http://127.0.0.1:9", attic.url]
    command = begin(watchmark, "plex", "--json")
    link(attic, command, "Nora")
    said, error = command.communicate(timeout=60)

    assert command.returncode == 0, error
    assert json.loads(said)["address"] == attic.url


def test_with_the_sign_in_of_somebody_who_shares_the_server_only_their_own_plays_are_heard(
    watchmark: Process, attic: Server
) -> None:
    command = begin(watchmark, "plex", "--json", "--address", attic.url)
    link(attic, command, "anna")
    said, error = command.communicate(timeout=60)
    assert command.returncode == 0, error
    assert json.loads(said)["says"].endswith("It hears only anna, whose token this is.")

    eventually(lambda: bool(attic.fake.listeners == 1), "the running service listens")
    attic.fake.start("1", FILM)
    attic.fake.start("2", {**FILM, "ratingKey": "12", "title": "Hers"}, account=ANNA, player="p2")
    eventually(lambda: len(watchmark.api("/plays")["items"]) == 1, "her play is there")
    (play,) = watchmark.api("/plays")["items"]
    assert (play["title"], play["source"]) == ("Hers", "plex")
    assert {one["user"] for one in watchmark.api("/webhooks")["items"] if one.get("user")} <= {"anna"}


def test_a_code_that_expires_and_an_account_without_the_server_say_so(
    watchmark: Process, attic: Server
) -> None:
    command = begin(watchmark, "plex", "--json", "--address", attic.url)
    assert command.stdout is not None
    command.stdout.readline()
    attic.fake.expire(max(attic.fake.pins))
    _, error = command.communicate(timeout=60)
    assert "the code has expired; start again. Nothing was saved" in error

    attic.fake.machine = "6f" * 20
    with Server(Plex()) as other:
        command = begin(watchmark, "plex", "--json", "--address", other.url)
        link(attic, command, "Nora")
        _, error = command.communicate(timeout=60)
    assert f"this Plex account has no access to the server at {other.url}. Nothing was saved" in error


def test_a_jellyfin_is_connected_by_its_key_and_heard(watchmark: Process) -> None:
    fake = Jellyfin()
    fake.add_person()
    with Server(fake) as cellar:
        said = connect(watchmark, "jellyfin", "--address", cellar.url, given=f"{fake.switches.key}\n")
        assert "Connected to Cellar, Jellyfin 10.11.5. One person uses it, and is heard." in said
        eventually(lambda: bool(fake.made("GET /Sessions")), "the running service listens")


def test_an_administrator_of_a_jellyfin_signs_in_by_name_and_anybody_else_is_refused(
    watchmark: Process,
) -> None:
    fake = Jellyfin()
    fake.add_person("nora", "bb" * 16, admin=True)
    fake.add_person()
    with Server(fake) as cellar:
        by_password = ("jellyfin", "--address", cellar.url, "--password")
        assert "does not accept this name and password" in refuse(
            watchmark, *by_password, given="nora\nwrong\n"
        )
        assert "this user is no administrator of Jellyfin" in refuse(
            watchmark, *by_password, given="anna\nsecret\n"
        )
        assert "2 people use it" in connect(watchmark, *by_password, given="nora\nsecret\n")
        eventually(lambda: bool(fake.made("GET /Sessions")), "the running service listens")
    assert "secret" not in (watchmark.folder / "watchmark.db").read_bytes().decode("latin-1")


def test_what_fails_the_test_is_saved_only_where_that_is_said(watchmark: Process, attic: Server) -> None:
    by_key = ("plex", "--address", attic.url, "--key")
    assert "does not accept PLEX_TOKEN" in refuse(watchmark, *by_key, given="wrong\n")
    elsewhere = ("plex", "--address", "http://127.0.0.1:9", "--key")
    assert "Is it running, and is PLEX_URL" in refuse(watchmark, *elsewhere, given="any\n")

    assert "Saved." in connect(watchmark, *elsewhere, "--anyway", given="any\n")
    eventually(lambda: bool(watchmark.api("/connections/plex")["reception"]), "the service has it")


def test_what_the_environment_says_is_changed_there(tmp_path: Path, attic: Server) -> None:
    with started(Process(tmp_path, PLEX_URL=attic.url, PLEX_TOKEN="owner-token").prepare()) as watchmark:
        command = begin(watchmark, "plex", "--address", attic.url, "--key")
        _, error = command.communicate("another\n", 60)
    assert "PLEX_TOKEN is set in the environment and can only be changed there" in error
