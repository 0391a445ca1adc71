"""Databases that are migrated already: most tests are of something else, and migrating takes a fifth of a second."""

from __future__ import annotations

import functools
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from webhook import app
from webhook.service import Service
from webhook.storage import migrate
from webhook.storage.db import Database


def prepare(folder: Path) -> None:
    """Lay a migrated SQLite database with nothing in it into the folder, as a first start would leave it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / "watchmark.db"
    if not path.exists():
        shutil.copyfile(migrated(), path)
        path.chmod(0o600)


def open_service(environ: Mapping[str, str]) -> Service:
    """The service, as a start with these settings opens it, on a database that is migrated already."""
    if "DATABASE_URL" not in environ:
        prepare(Path(environ["DATA_DIR"]))
    return app.open_service(environ)


@functools.cache
def migrated() -> Path:
    """The file that others are copies of, made once for this test process."""
    home = tempfile.TemporaryDirectory(prefix="watchmark-")
    KEPT.append(home)
    path = Path(home.name) / "watchmark.db"
    opened = Database(f"sqlite:///{path}")
    migrate.migrate(opened)
    opened.close()
    return path


KEPT: list[tempfile.TemporaryDirectory[str]] = []
"""Removed when this process ends."""
