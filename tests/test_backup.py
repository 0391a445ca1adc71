"""Backups and keys: a copy while it runs, its way back, and another key for everything that is sealed."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from tests.evening import film
from tests.running import ROOT, Process, eventually, started
from webhook import backup, credentials, inbox, settings
from webhook.app import open_service
from webhook.backup import BackupError
from webhook.credentials import Seal
from webhook.db import Database
from webhook.inbox import Received
from webhook.settings import Settings, SettingsError
from webhook.tables import account, delivery, token

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
    one = Received(source="plex", token_id=None, received_at=service.started_at, content_type=None, raw=raw)
    service.database.do(lambda connection: inbox.kept(connection, [one]))
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


# --- rekey


def sealed(folder: Path) -> list[str]:
    def all_of_it(connection: Any) -> list[str]:
        tokens = connection.execute(select(account.c.tokens)).scalars()
        return [text for text in (*tokens, *connection.execute(select(token.c.sealed)).scalars()) if text]

    found: list[str] = do(folder, all_of_it)
    return found


def opened_by(folder: Path, key: str) -> list[bool]:
    return [credentials.opens(Seal(key), text) for text in sealed(folder)]


def key_of(folder: Path) -> str:
    return (folder / "secret.key").read_text().strip()


def test_after_a_rekey_only_the_new_key_opens_anything(home: Path) -> None:
    old = key_of(home)

    ended = run(home, "rekey", "--json")

    new = key_of(home)
    assert json.loads(ended.stdout)["sealed"] == len(sealed(home)) == 3
    assert new != old
    assert opened_by(home, new) == [True] * 3
    assert opened_by(home, old) == [False] * 3
    assert stat.S_IMODE((home / "secret.key").stat().st_mode) == 0o600
    assert not list(home.glob("secret.key.*"))


def test_after_a_rekey_the_webhook_addresses_are_the_same(home: Path) -> None:
    before = json.loads(run(home, "urls", "--json").stdout)

    run(home, "rekey")

    assert json.loads(run(home, "urls", "--json").stdout) == before


def test_no_key_is_changed_while_a_service_runs(tmp_path: Path) -> None:
    process = Process(tmp_path).prepare()
    with started(process):
        old = key_of(tmp_path)

        ended = run(tmp_path, "rekey")

        assert ended.returncode == 1
        assert "Stop that one first" in ended.stderr
        assert key_of(tmp_path) == old


class Crash(Exception):
    """The process ends here."""


@pytest.fixture
def database(home: Path) -> Iterator[Database]:
    opened = Database(f"sqlite:///{home}/watchmark.db")
    yield opened
    opened.close()


def crash(*given: Any) -> Any:
    raise Crash


@pytest.mark.parametrize("moment", ["resealed", "swap"])
def test_a_rekey_that_breaks_off_leaves_everything_to_one_key(
    home: Path, database: Database, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    old = key_of(home)
    with monkeypatch.context() as broken:
        broken.setattr(credentials, moment, crash)
        with pytest.raises(Crash):
            credentials.rekey(told(home), database)

    credentials.seal(told(home), database)

    assert opened_by(home, key_of(home)) == [True] * 3
    assert (key_of(home) == old) is (moment == "resealed")


@pytest.mark.parametrize("step", ["link", "replace"])
def test_a_swap_of_keys_that_breaks_off_is_finished_at_the_next_start(
    home: Path, database: Database, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    with monkeypatch.context() as broken:
        if step == "link":
            broken.setattr("webhook.credentials.os.link", crash)
        else:
            broken.setattr(Path, "replace", crash)
        with pytest.raises(Crash):
            credentials.rekey(told(home), database)

    credentials.seal(told(home), database)

    assert opened_by(home, key_of(home)) == [True] * 3
    assert not list(home.glob("secret.key.*"))


def test_one_thing_that_cannot_be_opened_leaves_all_as_it_was(home: Path, database: Database) -> None:
    alien = Seal("another key altogether").seal("x")
    last = select(token.c.id).order_by(token.c.id.desc()).limit(1).scalar_subquery()
    do(
        home,
        lambda connection: connection.execute(update(token).where(token.c.id == last).values(sealed=alien)),
    )
    before = sealed(home)

    with pytest.raises(SettingsError, match="another key"):
        credentials.rekey(told(home), database)

    assert sealed(home) == before
    assert not (home / "secret.key.new").exists()


def test_with_a_secret_key_the_new_one_comes_from_a_file(home: Path, tmp_path: Path) -> None:
    (tmp_path / "new").write_text("a new key, long enough\n")
    old = key_of(home)

    without = run(home, "rekey", SECRET_KEY=old)
    ended = run(home, "rekey", "--new-key-file", str(tmp_path / "new"), SECRET_KEY=old)

    assert without.returncode == 1
    assert "--new-key-file" in without.stderr
    assert ended.returncode == 0
    assert opened_by(home, "a new key, long enough") == [True] * 3
    assert key_of(home) == old


def test_a_key_that_is_too_short_is_refused(home: Path, tmp_path: Path) -> None:
    (tmp_path / "new").write_text("short\n")

    ended = run(home, "rekey", "--new-key-file", str(tmp_path / "new"))

    assert ended.returncode == 1
    assert "too short" in ended.stderr


def test_a_rekey_on_postgresql_seals_everything_too(tmp_path: Path, postgres_url: str) -> None:
    process = Process(tmp_path, DATABASE_URL=postgres_url).prepare()
    process.http.close()
    old = key_of(tmp_path)

    ended = run(tmp_path, "rekey", "--json", DATABASE_URL=postgres_url)

    database = Database(postgres_url.replace("postgresql://", "postgresql+psycopg://", 1))
    found = database.ask(lambda connection: list(connection.execute(select(token.c.sealed)).scalars()))
    database.close()
    assert json.loads(ended.stdout)["sealed"] == len(found) == 2
    assert key_of(tmp_path) != old
    assert all(credentials.opens(Seal(key_of(tmp_path)), text) for text in found)
