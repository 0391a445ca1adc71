"""Backups: consistent copies made while the service runs, and their restore.

The live file is never copied: SQLite itself writes the copy, out of one read transaction
(https://www.sqlite.org/lang_vacuum.html#vacuuminto). The key that seals the sign-ins is not in it.
"""

from __future__ import annotations

import io
import os
import shlex
import shutil
import sqlite3
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import orjson
from sqlalchemy import update
from sqlalchemy.engine import make_url
from typing_extensions import TypedDict

from webhook import clock
from webhook.domain.states import OPEN_STATES
from webhook.settings import Settings
from webhook.storage import migrate
from webhook.storage.db import Database
from webhook.storage.tables import delivery
from webhook.system.files import SteadyFile, give_to_owner, sync_folder

DATABASE_NAME = "watchmark.db"
MANIFEST_NAME = "backup.json"
TEMPORARY_PREFIX = ".watchmark-"
BUSY_TIMEOUT = 30.0
PACE_STEPS = 100
"""Steps of SQLite's virtual machine between two looks at how far the copy has grown."""


class BackupError(Exception):
    """A backup or restore that is not possible; the message is for the person."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RestoreResult:
    """The time of the restored backup, and the file of the database before it."""

    made_at: str | None
    before: Path | None


@dataclass(frozen=True, kw_only=True, slots=True)
class RestoreTrial:
    """The time of a backup that was restored to see whether that works, and what it holds."""

    made_at: str | None
    people: int
    plays: int
    webhooks: int


# --- backup


class ManifestJson(TypedDict):
    """What a backup says of itself: when it was made, and the version of its tables."""

    made_at: str
    schema: str | None


def backup(settings: Settings, target: Path) -> int:
    """Write the copy, whole or not at all, and return its size in bytes; raises BackupError."""
    live = database_file(settings, target)
    if not live.is_file():
        raise BackupError(f"There is no database at {live} yet, so there is nothing to back up.")
    refuse_to_spoil(target, live)
    try:
        with temporary_folder(target.absolute().parent) as folder:
            copy_database(live, folder / DATABASE_NAME)
            version = inspect_database(folder / DATABASE_NAME)
            packed = folder / "packed"
            pack(packed, folder / DATABASE_NAME, {"made_at": clock.stamp(clock.now()), "schema": version})
            give_to_owner(packed, target.absolute().parent)
            packed.replace(target)
        sync_folder(target.absolute().parent)
    except OSError as error:
        raise BackupError(f"{target} cannot be written: {error.strerror}") from error
    return target.stat().st_size


def database_file(
    settings: Settings, target: Path = Path("watchmark.dump"), *, command: str | None = None
) -> Path:
    """The SQLite file; raises BackupError with the command that does it for PostgreSQL, by default `pg_dump`."""
    url = make_url(settings.database)
    if url.get_backend_name() != "sqlite":
        command = command or " ".join(["pg_dump", "--format=custom", "--file=" + shlex.quote(str(target))])
        shown = url._replace(drivername="postgresql", password=None).render_as_string(hide_password=False)
        raise BackupError(
            f"The data is in PostgreSQL, which has its own tools. Run: {command} --dbname={shlex.quote(shown)}"
        )
    return Path(url.database or "")


def refuse_to_spoil(target: Path, live: Path) -> None:
    """Raise BackupError unless the file to overwrite is an older backup."""
    if target.is_dir():
        raise BackupError(f"{target} is a folder. Name the file to write, e.g. {target}/watchmark.zip")
    if target.exists() and (target.resolve() == live.resolve() or not is_backup(target)):
        raise BackupError(f"{target} is there already and is no backup. Name another file.")


def is_backup(path: Path) -> bool:
    with suppress(zipfile.BadZipFile, OSError), zipfile.ZipFile(path) as archive:
        return DATABASE_NAME in archive.namelist()
    return False


@contextmanager
def temporary_folder(parent: Path) -> Iterator[Path]:
    """A private temporary folder (mode 0700) on the disk of the result, removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix=TEMPORARY_PREFIX, dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def copy_database(live: Path, copy: Path) -> None:
    """Copy one moment of the live database, by SQLite on a connection of its own."""
    create_private(copy)
    try:
        with (
            SteadyFile(copy, "r+b") as file,
            closing(sqlite3.connect(live, timeout=BUSY_TIMEOUT, isolation_level=None)) as connection,
        ):
            connection.execute("PRAGMA wal_autocheckpoint=0")  # only the service checkpoints its log
            connection.set_progress_handler(file.keep_pace, PACE_STEPS)
            connection.execute("VACUUM INTO ?", (str(copy),))
    except sqlite3.Error as error:
        raise BackupError(f"The database cannot be read: {error}. Run: watchmark doctor") from error


def create_private(path: Path) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def pack(packed: Path, copy: Path, about: ManifestJson) -> None:
    create_private(packed)
    with io.BufferedWriter(SteadyFile(packed, "wb")) as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
            archive.writestr(MANIFEST_NAME, orjson.dumps(about))
            archive.write(copy, DATABASE_NAME)
        file.flush()
        os.fsync(file.fileno())


def newest_backup(settings: Settings) -> Path | None:
    """The newest backup in the data folder and its folder of backups, where there is one."""
    return next(iter(list_backups(settings)), None)


def list_backups(settings: Settings) -> Sequence[Path]:
    """The backups in the data folder and its folder of backups, newest first."""
    places = (settings.data_dir, settings.backup_folder)
    found = [path for place in places for path in place.glob("[!.]*.zip") if is_backup(path)]
    return sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)


def restore_advice(settings: Settings) -> str:
    """The advice for a damaged database, with the newest backup as far as it is known."""
    found = newest_backup(settings)
    file = "FILE" if found is None else shlex.quote(str(found))
    return f"Stop Watchmark and restore the newest backup: watchmark restore {file}"


def return_advice(settings: Settings) -> str:
    """The advice for a database that a newer version made, with the newest backup that this version can restore."""
    known = migrate.revisions()
    found = next((path for path in list_backups(settings) if schema_of(path) in known), None)
    file = "FILE" if found is None else shlex.quote(str(found))
    return f"To go back to this version, restore a backup made before the update: watchmark restore {file}"


def schema_of(path: Path) -> str | None:
    """The version of the tables that a backup says it holds."""
    with suppress(zipfile.BadZipFile, OSError, KeyError, ValueError), zipfile.ZipFile(path) as archive:
        said = orjson.loads(archive.read(MANIFEST_NAME)).get("schema")
        return None if said is None else str(said)
    return None


# --- restore


def restore(settings: Settings, source: Path) -> RestoreResult:
    """Put a backup in the database's place and keep the database before it; the service must not run.

    Everything is checked, and brought up to date, before anything is replaced. Raises BackupError, or
    AlreadyRunning where a service runs.
    """
    live = database_file(settings, command=f"pg_restore --clean --if-exists {shlex.quote(str(source))}")
    live.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with migrate.hold_lock(settings.database), temporary_folder(live.parent) as folder:
        made_at = unpack_current(source, folder / DATABASE_NAME)
        before = set_aside(live)
        give_to_owner(folder / DATABASE_NAME, live.parent)
        (folder / DATABASE_NAME).replace(live)
        sync_folder(live.parent)
    return RestoreResult(made_at=made_at, before=before)


def try_restore(settings: Settings, source: Path) -> RestoreTrial:
    """Restore a backup beside the database, as `restore` does, and count what it holds; raises BackupError."""
    with temporary_folder(settings.data_dir) as folder:
        made_at = unpack_current(source, folder / DATABASE_NAME)
        with closing(sqlite3.connect(folder / DATABASE_NAME)) as connection:
            people, plays, webhooks = (
                connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0]  # noqa: S608 - names of ours
                for name in ("person", "play", "webhook")
            )
    return RestoreTrial(made_at=made_at, people=people, plays=plays, webhooks=webhooks)


def unpack_current(source: Path, target: Path) -> str | None:
    """Unpack a backup's database, check it and update its tables; returns the backup's time. Raises BackupError."""
    made_at = unpack(source, target)
    require_known_version(inspect_database(target), source)
    upgrade_database(target)
    return made_at


def unpack(source: Path, target: Path) -> str | None:
    create_private(target)
    try:
        with zipfile.ZipFile(source) as archive:
            made_at = orjson.loads(archive.read(MANIFEST_NAME)).get("made_at")
            with archive.open(DATABASE_NAME) as packed, target.open("wb") as file:
                shutil.copyfileobj(packed, file)
                file.flush()
                os.fsync(file.fileno())
    except OSError as error:
        raise BackupError(f"{source} cannot be read: {error.strerror or error}") from error
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError) as error:
        raise BackupError(
            f"{source} is no whole backup of Watchmark ({error}). Nothing was changed."
        ) from error
    return None if made_at is None else str(made_at)


def inspect_database(path: Path) -> str | None:
    """The version of a database's tables; raises BackupError where it is damaged or not one of ours."""
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            said = connection.execute("PRAGMA integrity_check(5)").fetchall()
            if said != [("ok",)]:
                found = "; ".join(str(line) for (line,) in said)
                raise BackupError(f"The database is damaged: {found}. Nothing was changed.")
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.Error as error:
        raise BackupError(f"This is no database of Watchmark ({error}). Nothing was changed.") from error
    return None if row is None else str(row[0])


def require_known_version(version: str | None, source: Path) -> None:
    """Raises BackupError where a newer Watchmark made the tables."""
    if version not in migrate.revisions():
        raise BackupError(
            f"{source} is of another version of Watchmark (tables {version}). Restore it with that version "
            "or a newer one. Nothing was changed."
        )


def upgrade_database(path: Path) -> None:
    """Bring the tables up to date, and mark open deliveries unsure, as they may have been sent since."""
    database = Database(f"sqlite:///{path}")
    try:
        migrate.migrate(database)
        unsure = update(delivery).where(delivery.c.state.in_(OPEN_STATES)).values(unsure=True)
        database.do(lambda connection: connection.execute(unsure))
    finally:
        database.close()
    with closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")  # all of it in the one file that is renamed
    with path.open("rb") as file:
        os.fsync(file.fileno())


def set_aside(live: Path) -> Path | None:
    """Move the present database and its log to another name; returns None if there is none."""
    if not live.exists():
        move_log(live, free_name(live))
        return None
    with suppress(sqlite3.Error), closing(sqlite3.connect(live, timeout=BUSY_TIMEOUT)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = free_name(live)
    move_log(live, before)
    os.link(live, before)  # so that there is a database at every moment
    return before


def move_log(live: Path, before: Path) -> None:
    """Move a log that could not be cleared along with its old database, before the new one is installed."""
    log = live.with_name(live.name + "-wal")
    if log.exists():
        log.replace(before.with_name(before.name + "-wal"))
    live.with_name(live.name + "-shm").unlink(missing_ok=True)


def free_name(live: Path) -> Path:
    """The name with `.before-restore`, numbered if earlier ones exist."""
    wanted = live.with_name(f"{live.name}.before-restore")
    number = 2
    while wanted.exists():
        wanted = live.with_name(f"{live.name}.before-restore-{number}")
        number += 1
    return wanted
