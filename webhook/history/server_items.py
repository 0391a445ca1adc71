"""What a media server has: its films and episodes, by all that they are known by, as it was listed last.

A list replaces the one before a page at a time, and what is gone from the server is let go of only once the whole was
read. A new item wakes the deliveries that wait for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from webhook.domain.copies import Copy, copy_keys
from webhook.domain.event import Item, item_from_json, item_to_json
from webhook.domain.json_shapes import ItemJson
from webhook.domain.states import DeliveryState
from webhook.queues.leases import wake_lanes
from webhook.storage.db import fresh_ids
from webhook.storage.locks import try_locks
from webhook.storage.prepared import Prepared
from webhook.storage.rows import fetch_all
from webhook.storage.tables import ServerItemRow, account, delivery, note, server_item, server_item_key
from webhook.storage.types import from_ms, to_ms

NOTE_PREFIX = "listed."
LIST_LEASE = timedelta(minutes=10)
"""How long a process reads a list before another may take it for dead."""

MAX_WAKING = 500
"""Deliveries that wait for an item which are looked through in one transaction."""

FIND = Prepared(
    select(server_item)
    .distinct()
    .join(server_item_key, server_item_key.c.server_item_id == server_item.c.id)
    .where(
        server_item_key.c.tracker == bindparam("tracker"),
        server_item_key.c.key.in_(bindparam("keys", expanding=True)),
    )
)


def find_copies(connection: Connection, tracker: str, item: Item) -> list[Copy] | None:
    """What the server has under one of the item's keys; None if it was never listed."""
    keys = list(copy_keys(item))
    rows = fetch_all(connection, FIND, ServerItemRow, {"tracker": tracker, "keys": keys}) if keys else []
    found = [copy_of(row) for row in rows]
    return found if found or read_list_time(connection, tracker) is not None else None


def copy_of(row: ServerItemRow) -> Copy:
    return Copy(
        item=item_from_json(row.item), item_key=row.item_key, show_key=row.show_key, library=row.library
    )


def read_list_time(connection: Connection, tracker: str) -> datetime | None:
    """The time at which the server was listed whole; None if it never was."""
    known = connection.execute(select(note.c.value).where(note.c.name == NOTE_PREFIX + tracker)).scalar()
    return None if known is None else from_ms(known)


def claim_list(connection: Connection, tracker: str, now: datetime) -> bool:
    """Claim the reading of a list for this process; False while another one reads it."""
    name = f"listing.{tracker}"
    if not try_locks(connection, [name])[name]:
        return False
    until = connection.execute(select(note.c.value).where(note.c.name == name)).scalar()
    if until is not None and from_ms(until) > now:
        return False
    connection.execute(delete(note).where(note.c.name == name))
    connection.execute(insert(note), {"name": name, "value": to_ms(now + LIST_LEASE)})
    return True


def release_list(connection: Connection, tracker: str) -> None:
    connection.execute(delete(note).where(note.c.name == f"listing.{tracker}"))


def store_list_time(connection: Connection, tracker: str, at: datetime) -> None:
    name = NOTE_PREFIX + tracker
    connection.execute(delete(note).where(note.c.name == name))
    connection.execute(insert(note), {"name": name, "value": to_ms(at)})


class Waiting(NamedTuple):
    """A delivery that waits."""

    id: int
    account_id: int
    item: ItemJson


class Listed(NamedTuple):
    """An item of the last list."""

    id: int
    item_key: str
    show_key: str | None
    library: str | None
    item: ItemJson

    @property
    def state(self) -> tuple[Any, ...]:
        return self.show_key, self.library, self.item


@dataclass(slots=True)
class Listing:
    """A list that is being read: what was known before it, and what is gone as far as it was read."""

    tracker: str
    known: dict[tuple[str, int | None], Listed] = field(default_factory=dict)
    seen: set[tuple[str, int | None]] = field(default_factory=set)
    added: int = 0

    @classmethod
    def begin(cls, connection: Connection, tracker: str) -> Listing:
        wanted = select(*(getattr(server_item.c, name) for name in Listed._fields))
        rows = fetch_all(connection, wanted.where(server_item.c.tracker == tracker), Listed)
        return cls(tracker, {(row.item_key, row.item.get("number")): row for row in rows})

    def store(self, connection: Connection, page: Sequence[Copy]) -> None:
        """Store what is new or other on a page."""
        new: dict[tuple[str, int | None], Copy] = {}
        stale: list[int] = []
        for copy in page:
            place = (copy.item_key, getattr(copy.item, "number", None))
            if place in self.seen:
                continue  # seen by another person as well
            self.seen.add(place)
            before = self.known.pop(place, None)
            if before is not None and before.state == (copy.show_key, copy.library, item_to_json(copy.item)):
                continue
            if before is not None:
                stale.append(before.id)
            new[place] = copy
        drop_items(connection, stale)
        self.added += len(new)
        add_items(connection, self.tracker, list(new.values()))

    def finish(self, connection: Connection, at: datetime) -> None:
        """Let go of what the whole list does not have."""
        drop_items(connection, [row.id for row in self.known.values()])
        store_list_time(connection, self.tracker, at)


def add_items(connection: Connection, tracker: str, copies: Sequence[Copy]) -> None:
    if not copies:
        return
    ids = fresh_ids(connection, server_item, len(copies))
    rows = [
        {
            "id": made,
            "tracker": tracker,
            "item_key": copy.item_key,
            "show_key": copy.show_key,
            "library": copy.library,
            "item": item_to_json(copy.item),
        }
        for made, copy in zip(ids, copies, strict=True)
    ]
    connection.execute(insert(server_item), rows)
    known = [
        {"tracker": tracker, "key": key, "server_item_id": made}
        for made, copy in zip(ids, copies, strict=True)
        for key in copy_keys(copy.item)
    ]
    if known:
        connection.execute(insert(server_item_key), known)


def drop_items(connection: Connection, ids: Sequence[int]) -> None:
    for start in range(0, len(ids), 500):
        some = ids[start : start + 500]
        connection.execute(delete(server_item_key).where(server_item_key.c.server_item_id.in_(some)))
        connection.execute(delete(server_item).where(server_item.c.id.in_(some)))


def wake_deliveries(connection: Connection, tracker: str, after: int, now: datetime) -> int | None:
    """Make due what waits for an item that the server has by now; returns where to go on, None at the end."""
    wanted = (
        select(delivery.c.id, delivery.c.account_id, delivery.c.item)
        .join(account, account.c.id == delivery.c.account_id)
        .where(
            account.c.tracker == tracker,
            delivery.c.state == DeliveryState.WAITING.value,
            delivery.c.due_at > now,
            delivery.c.claimed.is_(False),
            delivery.c.id > after,
        )
        .order_by(delivery.c.id)
        .limit(MAX_WAKING)
    )
    rows = fetch_all(connection, wanted, Waiting)
    there = [row for row in rows if find_copies(connection, tracker, item_from_json(row.item))]
    if there:
        ids = [row.id for row in there]
        connection.execute(update(delivery).where(delivery.c.id.in_(ids)).values(due_at=now))
        wake_lanes(connection, sorted({row.account_id for row in there}), now, now)
    return rows[-1].id if len(rows) == MAX_WAKING else None
