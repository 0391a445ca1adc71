"""Errors as sentences for the person at the terminal."""

from __future__ import annotations

import errno

import structlog
from sqlalchemy.exc import DatabaseError

from webhook import settings as environment
from webhook.accounts.accounts import AccountError
from webhook.cli._common import (
    Failed,
    strip_control_characters,
)
from webhook.cli._desk import (
    advice,
)
from webhook.domain.outcome import Undelivered
from webhook.history.edits import NoEdit
from webhook.identity import matches
from webhook.maintenance import backup
from webhook.maintenance.move_database import MoveError
from webhook.people import passwords, people
from webhook.settings import SettingsError
from webhook.storage import migrate
from webhook.storage.db import Damaged, Unavailable
from webhook.trackers import SignInFailed
from webhook.transfer.backfill import NoBackfill
from webhook.transfer.records import Unusable

log = structlog.get_logger()

USER_ERRORS = (
    SettingsError,
    people.PeopleError,
    Unavailable,
    migrate.AlreadyRunning,
    migrate.OtherVersion,
    SignInFailed,
    AccountError,
    Undelivered,
    DatabaseError,
    backup.BackupError,
    MoveError,
    Failed,
    matches.NoMatch,
    passwords.InvalidPassword,
    NoEdit,
    NoBackfill,
    Unusable,
)
"""Errors whose message is for the person as it is."""


def explain(error: Exception) -> str | None:
    """The message for the person, or None if the output's reader is gone."""
    if is_hushed(error):
        return None
    if isinstance(error, USER_ERRORS):
        return strip_control_characters(sentence(error))
    log.debug("A command failed with an unexpected error.", exc_info=error)
    return strip_control_characters(fault(error))


def is_hushed(error: Exception) -> bool:
    """True if the output's reader is gone, as with `watchmark … | head`."""
    return isinstance(error, OSError) and error.errno == errno.EPIPE


def fault(error: Exception) -> str:
    """The message for an unexpected error or a damaged database, without developer details."""
    return (
        f"an internal error occurred ({type(error).__name__}: {error}). Look for its cause: "
        "watchmark doctor. For a bug report, say the same again with LOG_LEVEL=debug"
    )


def sentence(error: Exception) -> str:
    if isinstance(error, Damaged):
        return f"the database is damaged ({error.found}). {advice()}"
    if isinstance(error, migrate.NewerVersion):
        return f"{error} {backup.return_advice(environment.load(environment.environment()))}"
    if isinstance(error, Unavailable):
        return f"the database cannot be used now: {error}. Run: watchmark doctor"
    if isinstance(error, DatabaseError):
        return f"the database cannot be used: {error.orig}. Run: watchmark doctor"
    return str(error)
