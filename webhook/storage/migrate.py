"""Schema migration at startup, by one process at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from sqlalchemy import Connection, inspect, text
from sqlalchemy.engine import make_url

from webhook.settings import SettingsError
from webhook.storage.db import Database
from webhook.system import resources
from webhook.system.files import open_private
from webhook.system.permissions import nearest, remedy

if TYPE_CHECKING:
    from alembic.config import Config

MIGRATION_LOCK = 7101


class AlreadyRunning(Exception):
    """Another process already serves this database; with two, every delivery could be sent twice."""


class OtherVersion(Exception):
    """The tables belong to another version of Watchmark; the message says what to do."""


class NewerVersion(OtherVersion):
    """The tables belong to a newer version of Watchmark."""


def migrate(database: Database) -> None:
    """Migrate the tables to this version; on PostgreSQL other processes wait meanwhile. Raises OtherVersion."""

    def upgrade(connection: Connection) -> None:
        take_turn(connection)
        refuse_newer(connection)
        if current_revision(connection) == newest_revision():
            return  # skips Alembic, whose import takes longer than the rest of the start
        from alembic import command

        command.upgrade(alembic_config(connection), "head")

    database.do(upgrade)


def take_turn(connection: Connection) -> None:
    """Have other processes on the same PostgreSQL that start wait for the end of this transaction, as on SQLite."""
    if connection.dialect.name != "sqlite":
        connection.execute(text(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))


def current_revision(connection: Connection) -> str | None:
    """The database's revision, or None if there are no tables yet."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def refuse_newer(connection: Connection) -> None:
    found = current_revision(connection)
    if found is not None and found not in revisions():
        raise NewerVersion(
            f"The database was made by a newer version of Watchmark (its tables are {found}; this version knows "
            f"them up to {newest_revision()}). Nothing was changed. Start that version or a newer one."
        )


def require_current(connection: Connection) -> None:
    """Raise OtherVersion unless the tables are at this version's revision."""
    refuse_newer(connection)
    if current_revision(connection) != newest_revision():
        raise OtherVersion(
            "The database was made by an older version of Watchmark. Start this one once, which brings it up to "
            "date: watchmark serve"
        )


def revisions() -> list[str]:
    """All revisions in order; the files in migrations/versions are named after them."""
    files = (resources.folder("migrations") / "versions").glob("[0-9]*.py")
    return sorted(path.name.split("_", 1)[0] for path in files)


def newest_revision() -> str:
    return revisions()[-1]


def alembic_config(connection: Connection) -> Config:
    from alembic.config import Config

    made = Config()
    made.set_main_option("script_location", str(resources.folder("migrations")).replace("%", "%%"))
    made.attributes["connection"] = connection
    return made


@contextmanager
def hold_lock(url: str) -> Iterator[None]:
    """Hold the lock on the SQLite file; raises AlreadyRunning if another process holds it."""
    path = make_url(url).database
    if make_url(url).get_backend_name() != "sqlite" or not path or path == ":memory:":
        yield
        return
    with lock_file(Path(path).with_suffix(".lock")) as file:
        yield
        with suppress(OSError):
            file.truncate(0)


def lock_file(path: Path) -> IO[str]:
    file = open_lock(path)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.seek(0)
        other = file.read().strip() or "unknown"
        file.close()
        raise AlreadyRunning(
            f"another Watchmark (process {other}) serves {path.with_suffix('.db')} already. "
            "Stop that one first, or give this one a DATA_DIR of its own."
        ) from error
    with suppress(OSError):  # the holder is noted if the disk has room
        file.truncate(0)
        os.write(file.fileno(), str(os.getpid()).encode())
    return file


def open_lock(path: Path) -> IO[str]:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = open_private(path, os.O_RDWR | os.O_APPEND)
    except PermissionError as error:
        raise SettingsError(f"{path} cannot be opened. {remedy(nearest(path))}") from error
    except OSError as error:
        raise SettingsError(f"{path} cannot be opened: {error.strerror}") from error
    return os.fdopen(handle, "a+", errors="replace")
