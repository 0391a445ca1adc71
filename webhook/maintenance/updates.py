"""Updates of the database at a start: a backup before, then the migrations."""

from __future__ import annotations

import structlog

from webhook.maintenance import backup_folder
from webhook.maintenance.backup import BackupError
from webhook.settings import Settings
from webhook.storage import migrate
from webhook.storage.db import Database

log = structlog.get_logger()


def update_database(settings: Settings, database: Database) -> None:
    """Migrate the tables, after a backup where an older version made them.

    Raises OtherVersion where a newer version made them, and BackupError where no backup can be made; nothing
    is changed then.
    """
    revision = database.ask(migrate.current_revision)
    if revision in migrate.revisions()[:-1]:
        back_up(settings, database, revision)
    migrate.migrate(database)


def back_up(settings: Settings, database: Database, revision: str) -> None:
    """Make the backup before an update; PostgreSQL is left to its own tools, and BACKUP_BEFORE_UPDATE decides."""
    newest = migrate.newest_revision()
    if not database.sqlite:
        log.warning(
            f"The tables in PostgreSQL are updated from {revision} to {newest}, all of it or nothing. No backup is "
            "made here: before an update, run pg_dump.",
            action="update_without_backup",
        )
        return
    if not settings.backup_before_update:
        log.warning(f"The tables are updated from {revision} to {newest} without a backup.")
        return
    try:
        made = backup_folder.make_before_update(settings, revision)
    except BackupError as error:
        raise BackupError(
            f"The database must be updated from {revision} to {newest}, and the backup before that failed: {error} "
            "Nothing was changed. Free some space, or set BACKUP_BEFORE_UPDATE=false to update without a backup."
        ) from error
    log.warning(
        f"The tables are updated from {revision} to {newest}. The backup to go back with: {made}",
        action="update",
        file=str(made),
    )
