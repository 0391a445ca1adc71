"""Runtimes of items, learned from plays, for events without a duration."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from sqlalchemy import Connection, bindparam, insert, select, update

from webhook.domain.event import Episode, Event, Item
from webhook.domain.items import fold_title, id_keys
from webhook.storage.locks import try_locks
from webhook.storage.prepared import Prepared
from webhook.storage.tables import runtime

SAME_RUNTIME_PART = 0.1
"""Two runtimes of one thing that differ by less than this part are the same."""

SELECT_RUNTIMES = Prepared(
    select(runtime.c.key, runtime.c.ms).where(runtime.c.key.in_(bindparam("keys", expanding=True)))
)


def runtime_keys(item: Item, server: str | None = None, show_key: str | None = None) -> list[str]:
    """The keys of an item's runtime: its ids, and of an episode its show's keys."""
    return [*id_keys(item), *show_runtime_keys(item, server, show_key)]


def show_runtime_keys(item: Item, server: str | None, show_key: str | None) -> Iterator[str]:
    if not isinstance(item, Episode):
        return
    for name, value in item.show_ids.by_namespace().items():
        yield f"show:{name}:{value}"
    if server and show_key:
        yield f"show@{server}:{show_key}"
    if item.show:
        yield f"show:title:{fold_title(item.show)}"


def find_runtime(connection: Connection, event: Event) -> timedelta | None:
    """The runtime of the event's item, else of the episodes of its show."""
    keys = runtime_keys(event.item, event.server, event.show_key)
    known = dict(SELECT_RUNTIMES.rows(connection, {"keys": keys}))
    return next((timedelta(milliseconds=known[key]) for key in keys if key in known), None)


def learn_runtime(connection: Connection, event: Event) -> None:
    """Store an episode's runtime, also for the other episodes of its show."""
    if event.duration_ms:
        keys = list(show_runtime_keys(event.item, event.server, event.show_key))[:1]
        store_runtime(connection, keys, event.duration_ms)


def store_runtime(connection: Connection, keys: list[str], ms: int) -> None:
    for key in keys:
        known = find_ms(connection, key)
        if known is None:
            store_first_runtime(connection, key, ms)
        elif abs(known - ms) > SAME_RUNTIME_PART * ms and lock_runtime(connection, key):
            connection.execute(update(runtime).where(runtime.c.key == key).values(ms=ms))


def store_first_runtime(connection: Connection, key: str, ms: int) -> None:
    """Store a listed runtime, unless one was learned from plays."""
    if find_ms(connection, key) is not None or not lock_runtime(connection, key):
        return
    if find_ms(connection, key) is None:  # nor was it stored by whoever had the lock before
        connection.execute(insert(runtime), {"key": key, "ms": ms})


def find_ms(connection: Connection, key: str) -> int | None:
    return next((ms for _, ms in SELECT_RUNTIMES.rows(connection, {"keys": [key]})), None)


def lock_runtime(connection: Connection, key: str) -> bool:
    """True if nobody else is storing this runtime, which many people share; the next viewing tells it again.

    On PostgreSQL, interpreters that waited for each other here could deadlock.
    """
    lock = f"runtime:{key}"
    return try_locks(connection, [lock])[lock]
