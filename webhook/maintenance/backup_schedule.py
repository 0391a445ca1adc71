"""Scheduled backups of a running service, into its folder of backups."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import structlog
from sqlalchemy import Connection, delete, insert, select

from webhook import clock
from webhook.clock import stamp
from webhook.maintenance import backup_folder
from webhook.maintenance.backup import BackupError, database_file
from webhook.settings import Settings
from webhook.storage.db import Database, Unavailable
from webhook.storage.tables import note

log = structlog.get_logger()

FIRST_LOOK = 600.0
"""Seconds after a start before the first backup, so that a service that keeps restarting makes none."""

RETRY_DELAY = 3600.0
FAILED_NOTE = "backup.failed"


class BackupFailure(NamedTuple):
    """Why scheduled backups fail, and the time of the first that did."""

    why: str
    since: datetime


class BackupSchedule:
    """Makes a dated backup every BACKUP_HOURS and keeps BACKUP_KEEP of them."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self.settings = settings
        self.database = database
        self.every = timedelta(hours=settings.backup_hours)

    async def run(self, stop: asyncio.Event) -> None:
        pause = FIRST_LOOK
        while not await self.sleep(stop, pause):
            pause = self.seconds_until_due() or await self.make_one()

    def seconds_until_due(self) -> float:
        """Seconds until the next backup; 0 where the folder cannot be read, as the backup then fails and says so."""
        try:
            return backup_folder.seconds_until_due(self.settings.backup_folder, self.every, clock.now())
        except BackupError:
            return 0.0

    @staticmethod
    async def sleep(stop: asyncio.Event, seconds: float) -> bool:
        """Sleep for these seconds; returns True if the service stops."""
        await clock.awaken(asyncio.Event(), stop, seconds)
        return stop.is_set()

    async def make_one(self) -> float:
        """Make one backup, note where it failed, and return the seconds until the next."""
        why, now = await asyncio.to_thread(self.back_up), clock.now()
        with suppress(Unavailable):  # which is said elsewhere
            await self.database.run(lambda connection: store_outcome(connection, why, now))
        return self.every.total_seconds() if why is None else RETRY_DELAY

    def back_up(self) -> str | None:
        """Make one backup; return the sentence that says why it failed, or None."""
        try:
            self.require_room()
            made = backup_folder.add_backup(
                self.settings, self.settings.backup_folder, self.settings.backup_keep
            )
        except BackupError as error:
            log.warning("The scheduled backup failed; it is tried again in an hour.", why=str(error))
            return str(error)
        log.info("A backup was made.", file=str(made), bytes=made.stat().st_size)
        return None

    def require_room(self) -> None:
        """Raise BackupError unless the copy and its archive fit beside what webhooks are given."""
        live = database_file(self.settings)
        needed = 2 * size_of(live) + self.settings.disk_reserve_bytes
        free = shutil.disk_usage(self.settings.data_dir).free
        if free < needed:
            raise BackupError(
                f"{free / 1e6:.0f} MB are free in {self.settings.data_dir}, and {needed / 1e6:.0f} MB are needed. "
                "Free some space, or lower BACKUP_KEEP."
            )


def store_outcome(connection: Connection, why: str | None, now: datetime) -> None:
    """Remember why scheduled backups fail, and since when; forget it once one was made."""
    before, here = find_failure(connection), note.c.name == FAILED_NOTE
    connection.execute(delete(note).where(here))
    if why is not None:
        since = now if before is None else before.since
        connection.execute(insert(note), {"name": FAILED_NOTE, "value": {"why": why, "since": stamp(since)}})


def find_failure(connection: Connection) -> BackupFailure | None:
    """Why the last scheduled backup failed, or None where it did not."""
    kept = connection.execute(select(note.c.value).where(note.c.name == FAILED_NOTE)).scalar()
    return None if kept is None else BackupFailure(kept["why"], datetime.fromisoformat(kept["since"]))


def size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
