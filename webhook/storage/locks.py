"""Advisory locks of PostgreSQL on texts, held until the transaction ends; SQLite's write lock makes them needless."""

from __future__ import annotations

from collections.abc import Collection
from hashlib import blake2b

from sqlalchemy import Connection

TRY_LOCKS = "SELECT key, pg_try_advisory_xact_lock(key) FROM unnest(%(keys)s::bigint[]) AS key"


def try_locks(connection: Connection, keys: Collection[str]) -> dict[str, bool]:
    """Try to lock each key without waiting; returns whether this transaction holds it now."""
    if not keys or connection.dialect.name == "sqlite":
        return dict.fromkeys(keys, True)
    numbers = {lock_number(key): key for key in keys}
    rows = connection.exec_driver_sql(TRY_LOCKS, {"keys": list(numbers)})
    return {numbers[number]: locked for number, locked in rows}


def lock_number(key: str) -> int:
    return int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), signed=True)
