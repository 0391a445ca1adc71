"""The disk is full, cannot be written to, or is held by another: a clear word, and nothing acknowledged is lost."""

# ruff: noqa: S311 - dice need no cryptography

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.evening import plex
from tests.faults.house import Altered, Senders, lost_and_doubled
from tests.running import Process, eventually, started
from tests.soak_report import RecordProperty

SMALL_DISK = 3 * 1024 * 1024
MANY_TIMES = 20
MUCH = "x" * 20_000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with a few megabytes."""
    place = tmp_path / "disk"
    place.mkdir()
    mount, unmount = shutil.which("mount"), shutil.which("umount")
    if os.geteuid() or not mount or not unmount:
        pytest.skip("only root can mount a small disk")
    given = ["-t", "tmpfs", "-o", f"size={SMALL_DISK},mode=0700", "tmpfs", str(place)]
    if subprocess.run([mount, *given], capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk is not allowed here")
    yield place
    subprocess.run([unmount, str(place)], check=True)


def send(process: Process, number: int) -> httpx.Response:
    """A webhook of some size, so that a small disk soon is full."""
    body = json.dumps(plex("media.scrobble", number, summary=MUCH)).encode()
    parts: Any = {"payload": (None, body, "application/json")}
    return process.post("plex", None, files=parts)


def acknowledged_ids(process: Process, numbers: range) -> tuple[set[int], list[httpx.Response]]:
    answers = [send(process, number) for number in numbers]
    kept = {answer.json()["webhook"] for answer in answers if answer.status_code == 200}
    return kept, [answer for answer in answers if answer.status_code != 200]


def stored(process: Altered) -> set[int]:
    return {entry["id"] for entry in process.everything("/webhooks")}


def refused_clearly(answer: httpx.Response) -> None:
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    detail = answer.json()["detail"].lower()
    assert "could not be stored" in detail
    assert "full" in detail or "disk" in detail


def test_a_full_disk_is_said_to_the_sender_and_costs_nothing_that_was_acknowledged(small_disk: Path) -> None:
    process = Altered(small_disk, "hasty").prepare().start()
    try:
        kept, refused = acknowledged_ids(process, range(1, 200))
        assert kept
        assert refused
        refused_clearly(refused[-1])
        assert process.http.get(process.url + "/healthz").is_success

        process.kill()
        resized(small_disk, 8 * SMALL_DISK)
        process.start()

        assert stored(process) >= kept
        eventually(lambda: process.waiting() == 0, "what was kept is worked off")
    finally:
        stopped(process)


@pytest.mark.parametrize("times", [1, pytest.param(MANY_TIMES, marks=pytest.mark.soak)])
def test_once_there_is_room_again_the_same_process_goes_on(
    small_disk: Path, times: int, record_property: RecordProperty
) -> None:
    process = Altered(small_disk, "hasty").prepare().start()
    resized(small_disk, times * SMALL_DISK)
    try:
        pid = process.process and process.process.pid
        kept: set[int] = set()
        for turn in range(times):
            kept |= fill_and_clear(process, small_disk / "ballast", 1000 * turn)
            record_property("times that the disk was full", 1)

        assert stored(process) >= kept
        assert process.process is not None
        assert process.process.pid == pid
        assert process.process.poll() is None
    finally:
        stopped(process)


def fill_and_clear(process: Altered, ballast: Path, first: int) -> set[int]:
    """The webhooks that were acknowledged while the disk became full; then there is room again."""
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while file.write(b"\0" * 65536) == 65536:
            pass
    kept, refused = acknowledged_ids(process, range(first + 1, first + 60))
    assert refused
    refused_clearly(refused[-1])

    ballast.unlink()

    eventually(lambda: send(process, first + 500).status_code == 200, "webhooks are taken again")
    eventually(lambda: process.waiting() == 0, "and worked off")
    return kept


def test_an_import_that_would_fill_the_disk_leaves_webhooks_their_room(small_disk: Path) -> None:
    process = Altered(small_disk, "hasty", settings={"DISK_RESERVE_BYTES": str(SMALL_DISK // 3)})
    process.prepare().start()
    try:
        whole = b"x" * (2 * SMALL_DISK)
        answers = [
            process.http.post(
                f"{process.url}/api/v1/imports/trakt?dry_run=true", content=content, headers=process.bearer
            )
            for content in (whole, iter([whole[at : at + 65_536] for at in range(0, len(whole), 65_536)]))
        ]

        assert [answer.status_code for answer in answers] == [507, 507]
        assert all("kept free for webhooks" in answer.json()["detail"] for answer in answers)
        assert [send(process, number).status_code for number in range(1, 6)] == [200] * 5
        assert not list((small_disk / "imports").iterdir())
    finally:
        stopped(process)


def test_a_file_that_may_not_grow_is_said_to_the_sender(tmp_path: Path) -> None:
    """Where nothing can be mounted: a limit on the size of files, which SQLite meets as a failed write."""
    process = Altered(tmp_path, "hasty", limit=1024 * 1024).prepare().start()
    try:
        kept, refused = acknowledged_ids(process, range(1, 120))
        assert kept
        assert refused
        assert {answer.status_code for answer in refused} == {503}

        process.kill()
        process.limit = None
        process.start()

        assert stored(process) >= kept
        eventually(lambda: process.waiting() == 0, "what was kept is worked off")
    finally:
        stopped(process)


def test_a_database_that_another_holds_for_a_while_is_waited_for(tmp_path: Path) -> None:
    with started(Altered(tmp_path).prepare()) as process, WatchedItem(tmp_path / "watchmark.db", 3):
        began = time.monotonic()

        answer = process.post("plex", plex("media.scrobble", 1))

        assert answer.status_code == 200
        assert time.monotonic() - began >= 2.5
        webhook_id = answer.json()["webhook"]
        eventually(
            lambda: process.api(f"/webhooks/{webhook_id}")["state"] == "interpreted", "it is interpreted"
        )


def test_a_database_that_another_holds_for_too_long_is_said_to_the_sender(tmp_path: Path) -> None:
    process = Altered(tmp_path).prepare()
    with started(process):
        with WatchedItem(tmp_path / "watchmark.db", 60):
            answer = process.post("plex", plex("media.scrobble", 1))
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert "locked" in answer.json()["detail"]

        assert process.post("plex", plex("media.scrobble", 1)).status_code == 200
        assert len(process.everything("/webhooks")) == 1


class WatchedItem:
    """Holds the write lock of a database for some seconds, as a backup program might."""

    def __init__(self, path: Path, seconds: float) -> None:
        self.path, self.seconds = path, seconds
        self.has, self.over = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self.hold, daemon=True)

    def hold(self) -> None:
        other = sqlite3.connect(self.path, isolation_level=None, timeout=10)
        other.execute("BEGIN IMMEDIATE")
        self.has.set()
        self.over.wait(self.seconds)
        other.execute("ROLLBACK")
        other.close()

    def __enter__(self) -> WatchedItem:
        self.thread.start()
        assert self.has.wait(15)
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join()


def test_a_data_directory_that_cannot_be_written_to_is_said_at_the_start(small_disk: Path) -> None:
    process = Altered(small_disk).prepare()
    process.http.close()
    remounted(small_disk, "ro")
    serve = [sys.executable, "-m", "webhook", "serve"]
    answer = subprocess.run(
        serve, env=process.environ, capture_output=True, text=True, check=False, timeout=30
    )
    remounted(small_disk, "rw")

    said = answer.stdout + answer.stderr
    assert answer.returncode != 0
    assert "Traceback" not in said
    assert "DATA_DIR" in said
    assert "cannot be written" in said


def resized(place: Path, size: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", str(place)], check=True)


def remounted(place: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(place)], check=True)


def stopped(process: Process) -> None:
    if process.process is not None:
        process.kill()
    process.http.close()


def test_a_sigterm_under_load_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    process = Altered(tmp_path, "hasty").prepare()
    senders = Senders(random.Random(), threads=4, rest=0.001)
    for number in range(1, 4):
        process.start()
        senders.begin(process)
        eventually(lambda: len(senders.acknowledged) >= 8 * number, "webhooks are acknowledged")  # noqa: B023
        time.sleep(random.uniform(0, 0.3))
        assert process.stop() == 0
        senders.end()

    with started(process):
        process.drain(30)
        assert lost_and_doubled(senders.acknowledged, process.watched()) == ([], [])
