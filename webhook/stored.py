"""Settings made in the browser: sealed in the database, and below what the environment says."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, delete, insert, select

from webhook.credentials import Seal
from webhook.settings import Environ
from webhook.tables import note

NAME = "settings"
FIXED = frozenset(
    {
        "DATA_DIR",
        "DATABASE_URL",
        "HOST",
        "PORT",
        "ROOT_PATH",
        "SECRET_KEY",
        "ADMIN_PASSWORD",
        "WORKER",
    }
)
"""What only the environment can say: it is needed before the database can be read, or guards it."""


def read(connection: Connection, seal: Seal) -> dict[str, str]:
    """What was set in the browser, by variable. Raises SettingsError where it was sealed with another key."""
    sealed = connection.execute(select(note.c.value).where(note.c.name == NAME)).scalar()
    return dict(seal.open(sealed)) if sealed else {}


def keep(connection: Connection, seal: Seal, changes: Mapping[str, str | None]) -> None:
    """Keep these variables; None or nothing lets one go."""
    held = {name: value for name, value in {**read(connection, seal), **changes}.items() if value}
    connection.execute(delete(note).where(note.c.name == NAME))
    connection.execute(insert(note), {"name": NAME, "value": seal.seal(held)})


def under(environ: Environ, stored: Mapping[str, str]) -> dict[str, str]:
    """The environment, with what was set in the browser where it says nothing."""
    return {**environ, **{name: value for name, value in stored.items() if not says(environ, name)}}


def says(environ: Environ, name: str) -> bool:
    return bool(environ.get(name) or environ.get(f"{name}_FILE"))
