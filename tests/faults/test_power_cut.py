"""A power cut: the process is killed and every write that was not synced is gone (shim.c)."""

# ruff: noqa: S311 - dice need no cryptography

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
import subprocess
import threading
import time
from pathlib import Path

import httpx
import pytest

from tests.evening import plex
from tests.faults.house import Altered
from tests.running import eventually

SOURCE = Path(__file__).with_name("shim.c")
COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
ROUNDS = 3
MANY_ROUNDS = 60


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> str:
    if COMPILER is None:
        pytest.skip("a C compiler is needed to build the disk that loses what is not synced")
    built = tmp_path_factory.mktemp("shim") / "shim.so"
    command = [COMPILER, "-O1", "-shared", "-fPIC", "-o", str(built), str(SOURCE), "-ldl", "-lpthread"]
    subprocess.run(command, check=True)
    return str(built)


class Disk:
    """A data directory on a disk that loses what was not synced."""

    def __init__(self, folder: Path, shim: str, *names: str) -> None:
        self.data, self.kept = folder / "data", folder / "kept"
        self.data.mkdir()
        self.kept.mkdir()
        cut = {"POWER_CUT_OF": str(self.data), "POWER_CUT_TO": str(self.kept)}
        self.process = Altered(self.data, *names, preload=shim, settings=cut).prepare()
        self.acknowledged: dict[int, bytes] = {}
        self.sent = 0

    def evening(self, seconds: float, threads: int = 3) -> None:
        """Webhooks from several senders at once, and some time after the first twenty the power goes."""
        replaced(self.kept, self.data)  # so far everything is on the disk
        self.process.start()
        address = self.process.ready["webhooks"]["plex"]
        begun = [threading.Thread(target=self.send, args=(address,), daemon=True) for _ in range(threads)]
        for thread in begun:
            thread.start()
        enough = len(self.acknowledged) + 20
        eventually(lambda: len(self.acknowledged) >= enough, "webhooks are acknowledged")
        time.sleep(seconds)
        self.process.kill()
        for thread in begun:
            thread.join(10)
        replaced(self.data, self.kept)

    def send(self, address: str) -> None:
        with httpx.Client(timeout=10) as http:
            while True:
                self.sent += 1
                body = json.dumps(plex("media.scrobble", self.sent, note=f"{random.random()}")).encode()
                try:
                    answer = http.post(address, files={"payload": (None, body, "application/json")})
                except httpx.TransportError:
                    return
                assert answer.status_code == 200, answer.text
                self.acknowledged[answer.json()["webhook"]] = body

    def restarted(self) -> None:
        """Started on what is left of the disk, without the shim, and stopped in good order."""
        again = Altered(self.data, settings=self.process.settings).start()
        assert again.stop() == 0
        again.http.close()

    def rows(self) -> dict[int, bytes]:
        with sqlite3.connect(self.data / "watchmark.db") as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            found = dict(connection.execute("SELECT id, raw FROM webhook").fetchall())
        connection.close()
        return found

    def lost(self) -> list[int]:
        found = self.rows()
        return [number for number, raw in self.acknowledged.items() if found.get(number) != raw]


def replaced(folder: Path, by: Path) -> None:
    """Puts the files of one directory in place of those of another."""
    for old in folder.iterdir():
        old.unlink()
    for new in by.iterdir():
        if not new.name.endswith(".fresh"):
            shutil.copyfile(new, folder / new.name)
            os.chmod(folder / new.name, 0o600)  # noqa: PTH101


def cut(tmp_path: Path, shim: str, rounds: int) -> None:
    disk = Disk(tmp_path, shim)
    for number in range(rounds):
        disk.evening(random.uniform(0.01, 0.8))
        disk.restarted()
        assert disk.lost() == [], f"round {number}"
    assert len(disk.acknowledged) >= 20 * rounds
    disk.process.http.close()


def test_a_power_cut_loses_no_webhook_that_was_acknowledged(tmp_path: Path, shim: str) -> None:
    cut(tmp_path, shim, ROUNDS)


@pytest.mark.soak
def test_many_power_cuts_lose_no_webhook_that_was_acknowledged(tmp_path: Path, shim: str) -> None:
    cut(tmp_path, shim, MANY_ROUNDS)


@pytest.mark.parametrize("careless", ["unsynced", "synced_now_and_then"])
def test_the_power_cut_is_one_where_commits_are_not_synced(tmp_path: Path, shim: str, careless: str) -> None:
    """The proof that the test above would find it."""
    disk = Disk(tmp_path, shim, careless)

    disk.evening(0.2)

    assert disk.acknowledged
    disk.restarted()
    assert len(disk.lost()) > len(disk.acknowledged) / 2
    disk.process.http.close()
