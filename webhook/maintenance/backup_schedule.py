"""Scheduled backups of a running service, into its folder of backups."""

from __future__ import annotations

import asyncio
import shutil
from datetime import timedelta
from pathlib import Path

import structlog

from webhook import clock
from webhook.maintenance import backup_folder
from webhook.maintenance.backup import BackupError, database_file
from webhook.settings import Settings

log = structlog.get_logger()

FIRST_LOOK = 600.0
"""Seconds after a start before the first backup, so that a service that keeps restarting makes none."""

RETRY_DELAY = 3600.0


class BackupSchedule:
    """Makes a dated backup every BACKUP_HOURS and keeps BACKUP_KEEP of them."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.every = timedelta(hours=settings.backup_hours)

    async def run(self, stop: asyncio.Event) -> None:
        pause = FIRST_LOOK
        while not await self.sleep(stop, pause):
            due = backup_folder.seconds_until_due(self.settings.backup_folder, self.every, clock.now())
            pause = due or await asyncio.to_thread(self.back_up)

    @staticmethod
    async def sleep(stop: asyncio.Event, seconds: float) -> bool:
        """Sleep for these seconds; returns True if the service stops."""
        await clock.awaken(asyncio.Event(), stop, seconds)
        return stop.is_set()

    def back_up(self) -> float:
        """Make one backup, and return the seconds until the next; a failure is logged and tried again."""
        try:
            self.require_room()
            made = backup_folder.add_backup(
                self.settings, self.settings.backup_folder, self.settings.backup_keep
            )
        except BackupError as error:
            log.warning("The scheduled backup failed; it is tried again in an hour.", why=str(error))
            return RETRY_DELAY
        log.info("A backup was made.", file=str(made), bytes=made.stat().st_size)
        return self.every.total_seconds()

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


def size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
