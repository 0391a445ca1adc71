"""Backups made without being asked: by the clock, before an update, and whether they can be restored."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
import typer
from alembic import command
from sqlalchemy import text
from structlog.testing import capture_logs
from typer.testing import CliRunner

from tests.prepared import prepare
from webhook import app, cli, settings
from webhook.cli.backup import Rotation, parse_interval
from webhook.maintenance import backup, backup_folder, updates
from webhook.maintenance.backup import BackupError
from webhook.maintenance.backup_schedule import RETRY_DELAY, BackupSchedule, find_failure
from webhook.settings import Settings
from webhook.storage import migrate
from webhook.storage.db import Database

NOON = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with a database that nobody has used."""
    folder = tmp_path / "data"
    prepare(folder)
    folder.chmod(0o700)
    for name in ("DATABASE_URL", "SECRET_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DATA_DIR", str(folder))
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture
def database(home: Path) -> Iterator[Database]:
    opened = Database(f"sqlite:///{home}/watchmark.db", checkpoint=False)
    yield opened
    opened.close()


def read(home: Path, **more: str) -> Settings:
    return settings.load({"DATA_DIR": str(home), **more})


def run(*words: str) -> tuple[int, str]:
    ended = CliRunner().invoke(cli.app, list(words))
    assert ended.exception is None or isinstance(ended.exception, SystemExit), ended.exception
    return ended.exit_code, ended.output


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- by the clock


def test_a_folder_keeps_as_many_backups_as_it_should_and_touches_nothing_else(home: Path) -> None:
    folder = home / "backups"
    folder.mkdir()
    for name in ("watchmark.zip", "watchmark-20200101T000000Z.zip.txt", "before-update-from-0001.zip"):
        (folder / name).write_text("mine")

    for day in range(4):
        with time_machine.travel(NOON + timedelta(days=day), tick=False):
            backup_folder.add_backup(read(home), folder, keep=2)

    assert names(folder) == [
        "before-update-from-0001.zip",
        "watchmark-20200101T000000Z.zip.txt",
        "watchmark-20261202T120000Z.zip",
        "watchmark-20261203T120000Z.zip",
        "watchmark.zip",
    ]


def test_a_backup_that_fails_deletes_none_of_those_before(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = home / "backups"
    with time_machine.travel(NOON, tick=False):
        backup_folder.add_backup(read(home), folder, keep=1)

    def full(*given: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(backup, "pack", full)
    with time_machine.travel(NOON + timedelta(days=1), tick=False), pytest.raises(BackupError):
        backup_folder.add_backup(read(home), folder, keep=1)

    assert names(folder) == ["watchmark-20261130T120000Z.zip"]


def test_what_a_killed_backup_left_is_removed_a_day_later(home: Path) -> None:
    folder = home / "backups"
    for name, age in ((".watchmark-killed", 2 * 86_400), (".watchmark-at-work", 60)):
        (folder / name).mkdir(parents=True)
        (folder / name / "watchmark.db").write_text("half")
        ago = datetime.now(UTC).timestamp() - age
        os.utime(folder / name, (ago, ago))

    backup_folder.prepare_folder(folder)

    assert names(folder) == [".watchmark-at-work"]


@pytest.mark.parametrize(
    ("made", "seconds"),
    [
        ([], 0),
        ([timedelta(hours=1)], 23 * 3600),
        ([timedelta(hours=30), timedelta(hours=1)], 23 * 3600),
        ([timedelta(hours=25)], 0),
        ([-timedelta(days=400)], 0),  # made while the clock was wrong
    ],
    ids=["none", "one", "two", "old", "from the future"],
)
def test_a_backup_is_due_a_day_after_the_newest(
    tmp_path: Path, made: list[timedelta], seconds: float
) -> None:
    for age in made:
        (tmp_path / f"watchmark-{NOON - age:%Y%m%dT%H%M%SZ}.zip").touch()

    assert backup_folder.seconds_until_due(tmp_path, timedelta(hours=24), NOON) == seconds


def test_a_running_service_makes_a_backup_when_one_is_due_and_no_second(
    home: Path, monkeypatch: pytest.MonkeyPatch, database: Database
) -> None:
    schedule = BackupSchedule(read(home), database)
    pauses: list[float] = []

    async def sleep(stop: asyncio.Event, seconds: float) -> bool:
        pauses.append(seconds)
        return len(pauses) == 3

    monkeypatch.setattr(schedule, "sleep", sleep)
    with time_machine.travel(NOON, tick=False):
        asyncio.run(schedule.run(asyncio.Event()))

    assert names(home / "backups") == ["watchmark-20261130T120000Z.zip"]
    assert pauses == [600, 86_400, 86_400]


def test_a_scheduled_backup_leaves_room_for_webhooks(home: Path, database: Database) -> None:
    schedule = BackupSchedule(read(home, DISK_RESERVE_BYTES=str(1 << 60)), database)

    assert asyncio.run(schedule.make_one()) == RETRY_DELAY
    assert not (home / "backups").exists()


def test_why_backups_fail_is_remembered_since_the_first_until_one_is_made(
    home: Path, database: Database
) -> None:
    full = BackupSchedule(read(home, DISK_RESERVE_BYTES=str(1 << 60)), database)
    for hour in range(2):
        with time_machine.travel(NOON + timedelta(hours=hour), tick=False):
            asyncio.run(full.make_one())
    failure = database.ask(find_failure)

    assert asyncio.run(BackupSchedule(read(home), database).make_one()) == 86_400

    assert failure is not None
    assert (failure.since, "Free some space, or lower BACKUP_KEEP." in failure.why) == (NOON, True)
    assert database.ask(find_failure) is None


@pytest.fixture
def locked(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of backups that only somebody else may use."""
    folder = home / "backups"
    folder.mkdir()
    monkeypatch.setattr(os, "access", lambda one, mode: Path(one) != folder)
    monkeypatch.setattr(os, "geteuid", lambda: 10001)
    monkeypatch.setattr(os, "getegid", lambda: 10001)
    return folder


def test_a_folder_of_somebody_else_is_why_backups_fail(home: Path, database: Database, locked: Path) -> None:
    schedule = BackupSchedule(read(home), database)

    assert (schedule.seconds_until_due(), asyncio.run(schedule.make_one())) == (0, RETRY_DELAY)

    failure = database.ask(find_failure)
    assert failure is not None
    assert failure.why.startswith(f"{locked} cannot be used for backups. Watchmark runs as user id 10001")
    assert f"sudo chown -R 10001:10001 {locked}" in failure.why


def test_the_command_and_the_doctor_name_a_folder_of_somebody_else(home: Path, locked: Path) -> None:
    code, said = run("backup", "--keep", "3")
    _, found = run("doctor", "--offline")

    assert (code, f"{locked} cannot be used for backups" in said) == (1, True)
    assert f"{locked} cannot be used for backups" in found


def test_what_root_makes_belongs_to_whom_the_data_belongs(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, chown = [], os.chown
    if os.geteuid() == 0:
        chown(home, 12345, 12345)
    owner = home.stat().st_uid

    def record(made: Path | int, user: int, group: int) -> None:
        path = Path(f"/proc/self/fd/{made}").readlink() if isinstance(made, int) else made
        given.append(path.name)
        chown(made, user, group)

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "chown", record)

    made = backup_folder.add_backup(read(home), home / "backups", 3)
    (home / "watchmark.db").unlink()
    backup.restore(read(home), made)

    assert given == ["backups", "packed", "watchmark.lock", "watchmark.db"]
    there = [made, *(home / name for name in ("backups", "watchmark.lock", "watchmark.db"))]
    assert {one.stat().st_uid for one in there} == {owner}


def test_a_service_runs_its_schedule_unless_it_is_switched_off(home: Path) -> None:
    async def tasks(**more: str) -> set[str]:
        service = app.open_service({"DATA_DIR": str(home), **more})
        async with app.run_service(service):
            return {task.get_name() for task in service.tasks}

    assert "backups" in asyncio.run(tasks())
    assert "backups" not in asyncio.run(tasks(BACKUP_HOURS="0"))


# --- the command


def test_the_command_keeps_a_number_in_a_folder_of_ones_own(home: Path, tmp_path: Path) -> None:
    said = []
    for day in range(3):
        with time_machine.travel(NOON + timedelta(days=day), tick=False):
            said.append(run("backup", "safe", "--keep", "2", "--json"))

    assert [code for code, _ in said] == [0, 0, 0]
    assert names(tmp_path / "safe") == ["watchmark-20261201T120000Z.zip", "watchmark-20261202T120000Z.zip"]
    assert json.loads(said[-1][1])["file"] == "safe/watchmark-20261202T120000Z.zip"


def test_the_command_goes_on_after_a_backup_that_failed(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pauses: list[float] = []

    class Waits(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            pauses.append(timeout or 0.0)
            return len(pauses) == 3

    def make(rotation: Rotation, as_json: bool) -> None:
        if len(pauses) == 1:
            raise BackupError("The disk is full.")

    monkeypatch.setattr(Rotation, "make", make)
    rotation = Rotation(read(home), home / "backups", 3)

    rotation.repeat(parse_interval("24h"), Waits(), as_json=False)

    assert pauses == [0, 3600, 86_400]
    assert "watchmark: The disk is full." in capsys.readouterr().err


@pytest.mark.parametrize("given", ["", "24", "0h", "h", "1w", "-1h", "1.5h", "123456h"])
def test_an_interval_that_is_none_is_refused(given: str) -> None:
    with pytest.raises(typer.BadParameter, match="90m, 24h or 7d"):
        parse_interval(given)


def test_without_a_file_the_command_says_what_it_takes(home: Path) -> None:
    code, said = run("backup")

    assert code == 2
    assert "--keep N" in said
    assert not (home / "backups").exists()


# --- before an update


def made_by_older(home: Path, revision: str = "0012") -> None:
    (home / "watchmark.db").unlink()
    opened = Database(f"sqlite:///{home}/watchmark.db")
    opened.do(lambda connection: command.upgrade(migrate.alembic_config(connection), revision))
    opened.do(
        lambda connection: connection.exec_driver_sql(
            "INSERT INTO person (name, owner, filters, created_at) VALUES ('anna', 1, '{}', 0)"
        )
    )
    opened.close()


def set_version(home: Path, version: str) -> None:
    opened = Database(f"sqlite:///{home}/watchmark.db")
    opened.do(
        lambda connection: connection.execute(
            text("UPDATE alembic_version SET version_num = :version"), {"version": version}
        )
    )
    opened.close()


def start(home: Path, **more: str) -> None:
    service = app.open_service({"DATA_DIR": str(home), **more})
    asyncio.run(service.http.aclose())
    service.database.close()


def test_an_update_makes_a_backup_of_what_was_there_and_a_later_start_makes_none(home: Path) -> None:
    made_by_older(home)

    start(home)
    start(home)

    made = home / "backups" / "before-update-from-0012.zip"
    assert names(home / "backups") == [made.name]
    assert backup.schema_of(made) == "0012"
    trial = backup.try_restore(read(home), made)
    assert (trial.people, trial.plays) == (1, 0)


def test_a_first_start_makes_no_backup(home: Path) -> None:
    (home / "watchmark.db").unlink()

    start(home)

    assert not (home / "backups").exists()


def test_without_its_backup_an_update_changes_nothing_and_says_what_to_do(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_by_older(home)

    def full(*given: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(backup, "pack", full)
    with pytest.raises(BackupError, match=r"from 0012 to .*No space left.*BACKUP_BEFORE_UPDATE=false"):
        start(home)

    opened = Database(f"sqlite:///{home}/watchmark.db")
    assert opened.ask(migrate.current_revision) == "0012"
    start(home, BACKUP_BEFORE_UPDATE="false")
    assert opened.ask(migrate.current_revision) == migrate.newest_revision()
    opened.close()


def test_updates_leave_the_newest_three_backups(home: Path) -> None:
    for number in range(5):
        made = backup_folder.make_before_update(read(home), f"000{number}")
        os.utime(made, (number, number))

    assert names(home / "backups") == [f"before-update-from-000{number}.zip" for number in (2, 3, 4)]


def test_on_postgresql_an_update_says_that_no_backup_was_made(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_by_older(home)
    opened = Database(f"sqlite:///{home}/watchmark.db")
    monkeypatch.setattr(opened, "sqlite", False)

    with capture_logs() as logs:
        updates.back_up(read(home), opened, "0012")

    opened.close()
    assert ["run pg_dump" in one["event"] for one in logs] == [True]
    assert not (home / "backups").exists()


def test_a_newer_database_is_refused_with_the_backup_to_go_back_to(home: Path) -> None:
    made_by_older(home)
    start(home)
    set_version(home, "9999")
    backup_folder.add_backup(read(home), home / "backups", 7)  # of the newer version, so of no use here

    code, said = run("urls")
    checked = run("doctor", "--offline")[1]

    way_back = f"watchmark restore {home}/backups/before-update-from-0012.zip"
    assert code == 1
    assert "made by a newer version" in said
    assert way_back in said
    assert way_back in checked
    assert run(*way_back.split()[1:])[0] == 0
    start(home)


# --- whether it can be restored


def test_the_doctor_restores_the_newest_backup_and_counts_what_is_in_it(home: Path) -> None:
    start(home)
    none = run("doctor", "--offline")[1]
    made = backup_folder.add_backup(read(home), home / "backups", 7)

    code, said = run("doctor", "--offline")

    assert f"NOTE    backup: there is none in {home} yet" in none
    assert code == 0
    assert f"OK      backup: {made} of " in said
    assert "can be restored: 1 person, 0 plays, 0 webhooks" in said
    assert not list(home.glob(".watchmark-*"))


def test_the_doctor_says_that_the_newest_backup_is_old(home: Path) -> None:
    made = backup_folder.add_backup(read(home), home / "backups", 7)
    ago = datetime.now(UTC).timestamp() - 9 * 86_400
    os.utime(made, (ago, ago))

    assert "it is 9 days old. Make a newer one" in run("doctor", "--offline")[1]


def cut(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        held = archive.read("watchmark.db")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("backup.json", "{}")
        archive.writestr("watchmark.db", held[: len(held) // 2])


def newer(path: Path) -> None:
    set_version(path.parent.parent, "9999")
    backup.backup(read(path.parent.parent), path)
    set_version(path.parent.parent, migrate.newest_revision())


@pytest.mark.parametrize(("spoil", "says"), [(cut, "damaged|no database"), (newer, "another version")])
def test_the_doctor_says_that_the_newest_backup_cannot_be_restored(
    home: Path, spoil: Callable[[Path], None], says: str
) -> None:
    made = backup_folder.add_backup(read(home), home / "backups", 7)
    spoil(made)

    code, said = run("doctor", "--offline")

    assert code == 1
    assert f"PROBLEM backup: {made} cannot be restored" in said
    assert "watchmark backup --keep 7" in said
    with pytest.raises(BackupError, match=says):
        backup.try_restore(read(home), made)
