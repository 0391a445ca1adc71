"""The folder of backups made without being asked: one for each day or so, and one before each update."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from webhook import clock
from webhook.maintenance import backup
from webhook.settings import Settings
from webhook.system.files import make_private_folder
from webhook.system.permissions import can_use, remedy

DATED = re.compile(r"watchmark-(\d{8}T\d{6}Z)\.zip")
STAMP = "%Y%m%dT%H%M%SZ"
BEFORE_UPDATE = re.compile(r"before-update-from-\w+\.zip")
KEEP_BEFORE_UPDATE = 3
LEFTOVER_AGE = 86_400.0
"""Seconds after which a temporary folder is one that a killed process left behind."""


def add_backup(settings: Settings, folder: Path, keep: int) -> Path:
    """Make a backup named after this moment, then delete the oldest such beyond `keep`; raises BackupError."""
    prepare_folder(folder)
    target = folder / f"watchmark-{clock.now():{STAMP}}.zip"
    backup.backup(settings, target)
    for old in dated_backups(folder)[keep:]:
        old.unlink(missing_ok=True)
    return target


def make_before_update(settings: Settings, revision: str) -> Path:
    """Make a backup of the tables as this revision has them; a later attempt replaces it. Raises BackupError."""
    folder = settings.backup_folder
    prepare_folder(folder)
    target = folder / f"before-update-from-{revision}.zip"
    backup.backup(settings, target)
    found = [path for path in folder.iterdir() if BEFORE_UPDATE.fullmatch(path.name)]
    for old in sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)[KEEP_BEFORE_UPDATE:]:
        old.unlink(missing_ok=True)
    return target


def prepare_folder(folder: Path) -> None:
    """Make the folder, and remove what backups that were killed have left in it; raises BackupError."""
    try:
        make_private_folder(folder)
        require_usable(folder)
        for path in folder.glob(f"{backup.TEMPORARY_PREFIX}*"):
            if time.time() - path.stat().st_mtime > LEFTOVER_AGE:
                shutil.rmtree(path, ignore_errors=True)
    except OSError as error:
        raise backup.BackupError(f"{folder} cannot be used for backups: {error.strerror}") from error


def dated_backups(folder: Path) -> Sequence[Path]:
    """The dated backups in a folder, newest first; raises BackupError where it cannot be read."""
    if not folder.is_dir():
        return []
    require_usable(folder)
    found = [path for path in folder.iterdir() if DATED.fullmatch(path.name)]
    return sorted(found, key=lambda path: path.name, reverse=True)


def require_usable(folder: Path) -> None:
    """Raise BackupError for a folder in which this process cannot read and write."""
    if not can_use(folder):
        raise backup.BackupError(f"{folder} cannot be used for backups. {remedy(folder)}")


def time_of(path: Path) -> datetime:
    """The moment that a dated backup is named after."""
    found = DATED.fullmatch(path.name)
    assert found is not None
    return datetime.strptime(found[1], STAMP).replace(tzinfo=UTC)


def seconds_until_due(folder: Path, every: timedelta, now: datetime) -> float:
    """Seconds until the next dated backup is due; 0 where there is none, or the newest is from the future.

    Raises BackupError as `newest_time` does.
    """
    newest = newest_time(folder)
    if newest is None or newest > now:
        return 0.0
    return max((newest + every - now).total_seconds(), 0.0)


def newest_time(folder: Path) -> datetime | None:
    """The moment of the newest dated backup, where there is one; raises BackupError where the folder cannot be read."""
    newest = next(iter(dated_backups(folder)), None)
    return None if newest is None else time_of(newest)


def find_newest(folder: Path) -> tuple[datetime | None, str | None]:
    """The moment of the newest dated backup, or why the folder cannot be read."""
    try:
        return newest_time(folder), None
    except backup.BackupError as error:
        return None, str(error)
