"""Backups: a copy while it runs, and its way back."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from tests.evening import film
from tests.running import ROOT, Process, eventually, started
from webhook import clock, settings
from webhook.app import open_service
from webhook.maintenance import backup
from webhook.maintenance.backup import BackupError
from webhook.queues import inbox
from webhook.queues.inbox import ReceivedWebhook
from webhook.settings import Settings
from webhook.storage.db import Database
from webhook.storage.tables import delivery

TOKENS = {"access_token": "access-of-hers", "refresh_token": "refresh-of-hers"}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A data folder with a database that has a sign-in in it."""
    folder = tmp_path / "data"
    folder.mkdir()
    process = Process(folder, TVTIME_URL="http://127.0.0.1:1").prepare()
    process.connect("tvtime", TOKENS)
    process.http.close()
    return folder


def told(folder: Path) -> Settings:
    return settings.load({"DATA_DIR": str(folder)})


def ask(folder: Path, question: str) -> list[Any]:
    with closing(sqlite3.connect(folder / "watchmark.db")) as connection:
        return connection.execute(question).fetchall()


def do(folder: Path, change: Callable[[Any], Any]) -> Any:
    database = Database(f"sqlite:///{folder}/watchmark.db", checkpoint=False)
    try:
        return database.do(change)
    finally:
        database.close()


def run(folder: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.endswith("_FILE")}
    environ = {**kept, "DATA_DIR": str(folder), "PYTHONPATH": str(ROOT), "CLAIM_FIRST_USER": "true", **more}
    command = [sys.executable, "-m", "webhook", *words]
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)


# --- backup


def test_a_backup_taken_under_load_is_whole_and_holds_what_was_acknowledged_before(tmp_path: Path) -> None:
    process = Process(tmp_path).prepare()
    with started(process):
        acknowledged: list[int] = []
        going = threading.Event()
        going.set()

        def send() -> None:
            while going.is_set():
                answer = process.post("plex", film("media.pause", viewOffset=1000 * len(acknowledged)))
                acknowledged.append(answer.json()["webhook"])

        sender = threading.Thread(target=send)
        sender.start()
        eventually(lambda: len(acknowledged) > 20, "webhooks come")
        before = list(acknowledged)
        made = run(tmp_path, "backup", "copy.zip", "--json")
        going.clear()
        sender.join()

    said = json.loads(made.stdout)
    copy = extracted(tmp_path / "copy.zip", tmp_path / "copy")
    held = {number for (number,) in ask(copy, "SELECT id FROM webhook")}
    assert ask(copy, "PRAGMA integrity_check") == [("ok",)]
    assert set(before) <= held
    assert said["key"].endswith("secret.key")
    assert len(acknowledged) > len(before)


def extracted(archive: Path, folder: Path) -> Path:
    folder.mkdir()
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(folder)
    return folder


def test_a_backup_is_flushed_as_it_grows_so_that_no_commit_waits_for_the_whole_of_it(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        ReceivedWebhook(
            source="plex", token_id=None, received_at=clock.now(), content_type=None, raw=os.urandom(100_000)
        )
        for _ in range(160)
    ]
    do(home, lambda connection: inbox.store_webhooks(connection, rows))
    flushed: dict[int, list[int]] = {}

    def note(handle: int, flush: Callable[[int], None] = os.fsync) -> None:
        found = os.fstat(handle)
        flushed.setdefault(found.st_ino, [0]).append(found.st_size)
        flush(handle)

    monkeypatch.setattr(os, "fsync", note)
    backup.backup(told(home), tmp_path / "copy.zip")

    copied, packed = (sizes for sizes in flushed.values() if sizes[-1] > 8_000_000)
    for sizes in (copied, packed):
        assert max(later - earlier for earlier, later in pairwise(sizes)) < 8_000_000
    assert ask(extracted(tmp_path / "copy.zip", tmp_path / "copy"), "SELECT count(*) FROM webhook") == [
        (160,)
    ]


def test_a_backup_holds_no_key_and_only_its_owner_may_read_it(home: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy.zip"

    backup.backup(told(home), target)

    key = (home / "secret.key").read_text().strip().encode()
    with zipfile.ZipFile(target) as archive:
        assert sorted(archive.namelist()) == ["backup.json", "watchmark.db"]
        assert all(key not in archive.read(name) for name in archive.namelist())
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.zip", "data"]


def test_a_backup_that_breaks_off_leaves_the_one_before(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "copy.zip"
    backup.backup(told(home), target)
    before = target.read_bytes()

    def full(*given: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(backup, "pack", full)
    with pytest.raises(BackupError, match="No space left"):
        backup.backup(told(home), target)

    assert target.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.zip", "data"]


@pytest.mark.parametrize("name", ["data/watchmark.db", "data/secret.key", "data", "nowhere/copy.zip"])
def test_a_backup_spoils_nothing_else(home: Path, tmp_path: Path, name: str) -> None:
    before = (home / "secret.key").read_bytes()

    with pytest.raises(BackupError):
        backup.backup(told(home), tmp_path / name)

    assert (home / "secret.key").read_bytes() == before
    assert ask(home, "PRAGMA integrity_check") == [("ok",)]


def test_postgresql_is_backed_up_by_its_own_tool_and_the_password_is_not_said(tmp_path: Path) -> None:
    url = "postgresql://anna:hush@db.example/watchmark"

    ended = run(tmp_path, "backup", "my copy", DATABASE_URL=url)

    assert ended.returncode == 1
    command = "pg_dump --format=custom --file='my copy' --dbname=postgresql://anna@db.example/watchmark"
    assert command in ended.stderr
    assert "hush" not in ended.stderr


# --- restore


@pytest.fixture
def copy(home: Path, tmp_path: Path) -> Path:
    target = tmp_path / "copy.zip"
    backup.backup(told(home), target)
    return target


def test_a_restored_service_has_what_was_there_and_the_database_before_is_kept(tmp_path: Path) -> None:
    process = Process(tmp_path).prepare()
    with started(process):
        process.post("plex", film("media.scrobble"))
        eventually(lambda: bool(process.api("/plays")["items"]), "it is a play")
        assert run(tmp_path, "backup", "copy.zip").returncode == 0
        process.post("plex", film("media.scrobble", title="Another"))
        eventually(lambda: len(process.api("/webhooks")["items"]) == 2, "another came after")
        process.stop()

        restored = run(tmp_path, "restore", "copy.zip", "--json")
        process.start()

        said = json.loads(restored.stdout)
        assert len(process.api("/webhooks")["items"]) == 1
        assert len(process.api("/plays")["items"]) == 1
        assert process.post("plex", film("media.stop")).status_code == 200
        assert said["key_fits"] is True
        with closing(sqlite3.connect(said["before"])) as connection:
            assert connection.execute("SELECT count(*) FROM webhook").fetchone() == (2,)


def test_nothing_is_restored_while_a_service_runs(tmp_path: Path) -> None:
    process = Process(tmp_path).prepare()
    with started(process):
        run(tmp_path, "backup", "copy.zip")
        before = (tmp_path / "watchmark.db").stat().st_ino

        ended = run(tmp_path, "restore", "copy.zip")

        assert ended.returncode == 1
        assert "serves" in ended.stderr
        assert (tmp_path / "watchmark.db").stat().st_ino == before


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def spoiled(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        held = bytearray(archive.read("watchmark.db"))
    held[8192:12288] = os.urandom(4096)
    packed(path, bytes(held))


def packed(path: Path, held: bytes) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("backup.json", "{}")
        archive.writestr("watchmark.db", held)


def newer(path: Path) -> None:
    folder = extracted(path, path.parent / "newer")
    with closing(sqlite3.connect(folder / "watchmark.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    packed(path, (folder / "watchmark.db").read_bytes())


def foreign(path: Path) -> None:
    folder = path.parent / "foreign"
    folder.mkdir()
    with closing(sqlite3.connect(folder / "x.db")) as connection, connection:
        connection.execute("CREATE TABLE x (y)")
    packed(path, (folder / "x.db").read_bytes())


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (cut, "no whole backup"),
        (spoiled, "damaged|no database"),
        (newer, "another version"),
        (foreign, "no database of Watchmark"),
        (lambda path: path.write_bytes(b"x"), "no whole backup"),
        (Path.unlink, "cannot be read"),
    ],
)
def test_what_is_not_whole_or_not_ours_replaces_nothing(
    home: Path, copy: Path, spoil: Callable[[Path], Any], says: str
) -> None:
    spoil(copy)
    before = (home / "watchmark.db").stat().st_ino

    with pytest.raises(BackupError, match=says):
        backup.restore(told(home), copy)

    assert (home / "watchmark.db").stat().st_ino == before
    assert not list(home.glob("*.before-restore*"))
    assert not list(home.glob(".watchmark-*"))


def test_an_earlier_database_that_was_kept_is_not_written_over(home: Path, copy: Path) -> None:
    first = backup.restore(told(home), copy).before
    second = backup.restore(told(home), copy).before

    assert first is not None
    assert second is not None
    assert (first.name, second.name) == ("watchmark.db.before-restore", "watchmark.db.before-restore-2")
    assert first.exists()


def test_a_backup_is_restored_where_there_is_nothing_yet(copy: Path, tmp_path: Path) -> None:
    fresh = tmp_path / "fresh"

    restored = backup.restore(told(fresh), copy)

    assert restored.before is None
    assert ask(fresh, "SELECT name FROM person") == [("me",)]


def test_what_may_have_been_told_since_the_backup_is_looked_up_before_it_is_told_again(
    home: Path, tmp_path: Path
) -> None:
    service = open_service(
        {"DATA_DIR": str(home), "CLAIM_FIRST_USER": "true", "TVTIME_URL": "http://127.0.0.1:1"}
    )
    raw = json.dumps(film("media.scrobble")).encode()
    one = ReceivedWebhook(
        source="plex", token_id=None, received_at=service.started_at, content_type=None, raw=raw
    )
    service.database.do(lambda connection: inbox.store_webhooks(connection, [one]))
    service.database.do(lambda connection: service.interpreter.interpret(connection, [16]))
    service.database.close()
    backup.backup(told(home), tmp_path / "copy.zip")

    backup.restore(told(home), tmp_path / "copy.zip")

    unsure = do(
        home, lambda connection: connection.execute(select(delivery.c.state, delivery.c.unsure)).all()
    )
    assert unsure
    assert all(row == ("waiting", True) for row in unsure)


def test_a_restore_with_another_key_says_so(home: Path, copy: Path, tmp_path: Path) -> None:
    fresh = tmp_path / "fresh"

    ended = run(tmp_path, "restore", str(copy), DATA_DIR=str(fresh))

    assert ended.returncode == 0
    assert "sealed with another key" in ended.stdout
