"""The demo, as a person or a script starts it: everything on loopback, as processes of their own."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from webhook.demo import evening, script, showcase

ROOT = Path(__file__).parent.parent
SOON = 60


def environment(folder: Path) -> dict[str, str]:
    """One in which the demo would do harm if it listened to it."""
    kept = {name: value for name, value in os.environ.items() if not name.endswith("_FILE")}
    real = {"DATA_DIR": str(folder / "real"), "TRAKT_CLIENT_ID": "real", "ADMIN_PASSWORD": "of the real one"}
    return {**kept, "PYTHONPATH": str(ROOT), **real}


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "webhook", "demo", *words]


@contextmanager
def staying(folder: Path, *words: str) -> Iterator[tuple[subprocess.Popen[str], Mapping[str, Any]]]:
    """A demo that stays, and the JSON of its first line."""
    process = subprocess.Popen(
        command(*words), cwd=folder, env=environment(folder), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        yield process, json.loads(process.stdout.readline())
    finally:
        process.terminate()
        process.wait(SOON)
        if process.stdout is not None:
            process.stdout.close()


def test_the_evening_goes_as_scripted(tmp_path: Path) -> None:
    ended = subprocess.run(
        command("--once", "--json"), cwd=tmp_path, env=environment(tmp_path), text=True,
        capture_output=True, timeout=SOON, check=False,
    )  # fmt: skip

    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == script.EXPECTED_SUMMARY


@pytest.fixture(scope="module")
def stay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """The folder in which a demo stays, and what it said."""
    folder = tmp_path_factory.mktemp("demo")
    with staying(folder, "--port", "0", "--json") as (_, said):
        yield folder, said


def test_the_demo_leaves_the_real_data_alone(stay: tuple[Path, Mapping[str, Any]]) -> None:
    folder, said = stay

    assert said["welcome"].startswith(said["url"])
    assert not (folder / "real").exists()


def test_its_link_signs_in_at_once_and_again_on_another_device(stay: tuple[Path, Mapping[str, Any]]) -> None:
    _, said = stay

    for _ in range(2):
        with httpx.Client(follow_redirects=True, timeout=SOON) as browser:
            page = browser.get(said["welcome"])

        assert page.status_code == 200
        assert page.url == said["url"] + "/"
        assert "Paper Harbour" in page.text
        assert "The Ninth Parish" in page.text


def test_what_is_playing_has_a_poster(stay: tuple[Path, Mapping[str, Any]]) -> None:
    _, said = stay

    with httpx.Client(follow_redirects=True, timeout=SOON) as browser:
        page = browser.get(said["welcome"])
        found = re.search(r"/pictures/movie:[^ \"]*/poster-[^ \"]*", page.text)
        assert found is not None
        picture = browser.get(said["url"] + found[0])

    assert picture.headers["Content-Type"] == "image/webp"


def test_an_evening_that_goes_another_way_ends_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(script.EXPECTED_SUMMARY, "plays", {"watched": 4})

    code = evening.run(port=0, as_json=False)

    assert code == 1
    assert "Not as scripted: plays should be {'watched': 4}" in capsys.readouterr().out


def test_a_demo_that_stays_can_be_looked_at_and_takes_its_fakes_along_when_it_ends(tmp_path: Path) -> None:
    with staying(tmp_path, "--fast", "--port", "0", "--json") as (process, said):
        alive = httpx.get(f"{said['url']}/healthz", timeout=SOON)
        process.send_signal(signal.SIGTERM)
        code = process.wait(SOON)

    assert alive.status_code == 200
    assert code == 0
    for url in (said["url"], *said["fakes"].values()):
        with pytest.raises(httpx.ConnectError):
            httpx.get(url)


def test_beside_a_running_watchmark_the_demo_takes_any_free_port(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server((showcase.LOOPBACK_HOST, 0)) as taken:
        monkeypatch.setattr(showcase, "USUAL_PORT", taken.getsockname()[1])
        beside = showcase.usual_port()

    assert beside == 0
    assert showcase.usual_port() == showcase.USUAL_PORT


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        ended = subprocess.run(
            command("--once", "--port", str(port)), cwd=tmp_path, env=environment(tmp_path), text=True,
            capture_output=True, timeout=SOON, check=False,
        )  # fmt: skip

    assert ended.returncode == 1
    assert f"PORT={port}: " in ended.stderr
