"""The lock on ownership: whose events are whose does not change while webhooks are interpreted.

On PostgreSQL interpreters share it, and whatever changes claims, people or household rules holds it alone until its
transaction ends. So no webhook is found unclaimed beside a claim that would have queued it again. On SQLite the write
lock does the same.
"""

from __future__ import annotations

from sqlalchemy import Connection

OWNERSHIP_LOCK = 7104


def lock_ownership(connection: Connection) -> None:
    """Wait until nobody interprets, and let nobody until the end of this transaction."""
    if connection.dialect.name != "sqlite":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({OWNERSHIP_LOCK})")


def share_ownership(connection: Connection) -> bool:
    """True if ownership stays as it is until the end of this transaction; False if it is being changed."""
    return try_lock(connection, "pg_try_advisory_xact_lock_shared")


def try_to_change_ownership(connection: Connection) -> bool:
    """True if nobody else interprets until the end of this transaction."""
    return try_lock(connection, "pg_try_advisory_xact_lock")


def try_lock(connection: Connection, function: str) -> bool:
    return bool(connection.exec_driver_sql(f"SELECT {function}({OWNERSHIP_LOCK})").scalar_one())
