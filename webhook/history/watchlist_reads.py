"""Reads of accounts' watchlists: what each listed last, and what a new read of it changes on the person's own list.

Only a whole read is handed in. What it has that the last did not was put on the list there; what it lacks was taken
off there, unless the person has watched it since, which some services take for the same. Where so much is gone that
no person did it, nothing is removed: it is held until somebody looks, or until the list is whole again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, func, insert, select, update

from webhook.domain.event import Action, Item, item_from_json, item_to_json
from webhook.domain.watchlist import ItemIndex, WantedItem, is_suspicious, join_items
from webhook.history.play_store import merge_items
from webhook.history.watchlist import Author, Watchlist
from webhook.history.watchlist_viewings import was_watched_since
from webhook.storage.rows import fetch_all, fetch_first, fetch_one
from webhook.storage.tables import (
    AccountRow,
    LibraryRow,
    WatchlistCopyRow,
    WatchlistReadRow,
    account,
    watchlist_copy,
    watchlist_read,
)

VIEWING_SLACK = timedelta(days=1)
"""The time before the last read in which a viewing may have been that is known only since."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadResult:
    """What a read changed: titles put on the list, taken off it, and held."""

    added: int = 0
    removed: int = 0
    held: int = 0


def find_read(connection: Connection, account_id: int) -> WatchlistReadRow | None:
    """How far the account's list was read; None if it never was."""
    wanted = select(watchlist_read).where(watchlist_read.c.account_id == account_id)
    return fetch_first(connection, wanted, WatchlistReadRow)


def set_read(connection: Connection, account_id: int, **values: object) -> None:
    """Set these fields of how far an account's list was read."""
    if find_read(connection, account_id) is None:
        connection.execute(insert(watchlist_read), {"account_id": account_id, "off": False, "asked": False})
    if values:
        here = watchlist_read.c.account_id == account_id
        connection.execute(update(watchlist_read).where(here).values(values))


def forget_account(connection: Connection, account_id: int) -> None:
    """Forget what an account listed, as at a new sign-in, which may be to another account."""
    connection.execute(delete(watchlist_copy).where(watchlist_copy.c.account_id == account_id))
    connection.execute(
        update(watchlist_read)
        .where(watchlist_read.c.account_id == account_id)
        .values(read_at=None, tried_at=None, held_at=None, error=None)
    )


def list_copies(connection: Connection, account_id: int) -> list[WatchlistCopyRow]:
    """What the account listed when it was read last."""
    wanted = select(watchlist_copy).where(watchlist_copy.c.account_id == account_id)
    return fetch_all(connection, wanted.order_by(watchlist_copy.c.id), WatchlistCopyRow)


def apply_read(
    mine: Watchlist, account_id: int, label: str, listed: Iterable[WantedItem], moved: Sequence[Item] = ()
) -> ReadResult:
    """Take over a whole read of an account's list. `moved` left it there without having been taken off."""
    connection, now = mine.connection, mine.now
    wanted = join_items(listed)
    before = find_read(connection, account_id)
    since = before.read_at if before else None
    rows = list_copies(connection, account_id)
    copies = ItemIndex((item_from_json(row.item), row) for row in rows)
    present = {row.id for one in wanted if (row := copies.find(one.item)) is not None}
    gone = sort_absent(mine, account_id, [row for row in rows if row.id not in present], since, moved)
    by = Author(name=find_tracker(connection, account_id), accounts=[account_id])
    is_held = is_suspicious(len(rows), len(gone.unexplained))
    if is_held:
        hold_copies(connection, gone.unexplained)
        drop_copies(connection, gone.explained)
        removed = 0
    else:
        drop_copies(connection, [*gone.explained, *gone.unexplained, *gone.contested])
        because = f"taken off the list at {label}"
        removed = remove_items(mine, gone.unexplained, replace(by, because=because), since)
        for row in gone.contested:
            resend_item(mine, account_id, item_from_json(row.item))
    because = f"put on the list at {label}"
    by = replace(by, because=because)
    added = sum(apply_item(mine, account_id, one, copies, since, by) for one in wanted)
    first_held = before.held_at if before is not None and before.held_at is not None else now
    values = {"tried_at": now, "read_at": now, "error": None, "asked": False}
    set_read(connection, account_id, **values, held_at=first_held if is_held else None)
    return ReadResult(added=added, removed=removed, held=len(gone.unexplained) if is_held else 0)


@dataclass(slots=True)
class Absent:
    """What an account no longer lists: with a reason, put on a list elsewhere since the last read, and neither."""

    explained: list[WatchlistCopyRow] = field(default_factory=list)
    contested: list[WatchlistCopyRow] = field(default_factory=list)
    unexplained: list[WatchlistCopyRow] = field(default_factory=list)


def sort_absent(
    mine: Watchlist,
    account_id: int,
    rows: Sequence[WatchlistCopyRow],
    since: datetime | None,
    moved: Sequence[Item],
) -> Absent:
    """Sort what is gone: what a person watched left by that, and what they put on a list since then stays."""
    left: ItemIndex[bool] = ItemIndex((item, True) for item in moved)
    found = Absent()
    for row in rows:
        item, listed = item_from_json(row.item), row.listed_at or row.seen_at
        begun = listed if since is None else max(listed, since - VIEWING_SLACK)
        entry = mine.find(item)
        if left.find(item) or was_watched_since(mine.connection, mine.person_id, item, begun):
            found.explained.append(row)
        elif entry is not None and since is not None and is_contested(mine, account_id, entry, since):
            found.contested.append(row)
        elif entry is None and mine.was_removed_since(item, listed):
            found.explained.append(row)  # it was taken off here first
        else:
            found.unexplained.append(row)
    return found


def is_contested(mine: Watchlist, account_id: int, entry: LibraryRow, since: datetime) -> bool:
    """True if an entry was put on this list, or on that of another account, since then."""
    return entry.at > since or was_listed_since(mine, account_id, item_from_json(entry.item), since)


def was_listed_since(mine: Watchlist, account_id: int, item: Item, since: datetime) -> bool:
    """True if another account of the person has listed the item since then."""
    wanted = (
        select(watchlist_copy)
        .join(account, account.c.id == watchlist_copy.c.account_id)
        .where(account.c.person_id == mine.person_id, account.c.id != account_id)
        .where(func.coalesce(watchlist_copy.c.listed_at, watchlist_copy.c.seen_at) > since)
    )
    rows = fetch_all(mine.connection, wanted, WatchlistCopyRow)
    return ItemIndex((item_from_json(row.item), True) for row in rows).find(item) is not None


def resend_item(mine: Watchlist, account_id: int, item: Item) -> None:
    """Send an item that stays to the account that lost it, if it is sent the list."""
    for row in mine.accounts:
        if row.id == account_id:
            because = "taken off there, and put on the list elsewhere since"
            mine.send_to(row, Action.WATCHLIST, item, Author(name=row.tracker, because=because))


def remove_items(
    mine: Watchlist, rows: Sequence[WatchlistCopyRow], by: Author, since: datetime | None
) -> int:
    """Take what an account no longer lists off the person's list; it happened at some time after the last read."""
    return sum(mine.remove(item_from_json(row.item), by, since) for row in rows)


def apply_item(
    mine: Watchlist,
    account_id: int,
    one: WantedItem,
    copies: ItemIndex[WatchlistCopyRow],
    since: datetime | None,
    by: Author,
) -> bool:
    """Take over what an account lists; returns True if it is new on the person's list.

    What the person took off later than it was listed there stays off.
    """
    known = copies.find(one.item)
    if known is not None:
        keep_copy(mine.connection, known, one)
        if (entry := mine.find(one.item)) is not None:
            mine.complete(entry, one.item)
        return False
    values = {"account_id": account_id, "item": item_to_json(one.item), "handle": one.handle}
    values |= {"listed_at": one.at, "seen_at": mine.now, "missing": False}
    mine.connection.execute(insert(watchlist_copy), values)
    if mine.was_removed_since(one.item, one.at or since):
        return False
    return mine.add(one.item, min(one.at or mine.now, mine.now), by)


def keep_copy(connection: Connection, row: WatchlistCopyRow, one: WantedItem) -> None:
    item = item_to_json(merge_items(item_from_json(row.item), one.item))
    values = {"item": item, "handle": one.handle or row.handle, "listed_at": one.at or row.listed_at}
    if (row.item, row.handle, row.listed_at, row.missing) != (*values.values(), False):
        here = watchlist_copy.c.id == row.id
        connection.execute(update(watchlist_copy).where(here).values(**values, missing=False))


def hold_copies(connection: Connection, rows: Sequence[WatchlistCopyRow]) -> None:
    ids = [row.id for row in rows]
    connection.execute(update(watchlist_copy).where(watchlist_copy.c.id.in_(ids)).values(missing=True))


def drop_copies(connection: Connection, rows: Sequence[WatchlistCopyRow]) -> None:
    for row in rows:
        connection.execute(delete(watchlist_copy).where(watchlist_copy.c.id == row.id))


def find_tracker(connection: Connection, account_id: int) -> str:
    wanted = select(account).where(account.c.id == account_id)
    return fetch_one(connection, wanted, AccountRow).tracker


# --- what is held


def list_held_copies(connection: Connection, account_id: int) -> list[WatchlistCopyRow]:
    """What the last read of the account had no longer, and which is held."""
    return [row for row in list_copies(connection, account_id) if row.missing]


def settle_hold(mine: Watchlist, account_id: int, label: str, *, remove: bool) -> int:
    """Decide what is held: take it off the person's list too, or keep it there; returns how many that were."""
    rows = list_held_copies(mine.connection, account_id)
    drop_copies(mine.connection, rows)
    set_read(mine.connection, account_id, held_at=None)
    tracker = find_tracker(mine.connection, account_id)
    if remove:
        because = f"taken off the list at {label}"
        by = Author(name=tracker, because=because, accounts=[account_id])
        return remove_items(mine, rows, by, None)
    for row in rows:
        resend_item(mine, account_id, item_from_json(row.item))
    return len(rows)


def send_all(mine: Watchlist, account_id: int) -> int:
    """Send an account what is on the person's list and not on its own; returns how many titles that are."""
    copies = ItemIndex((item_from_json(row.item), True) for row in list_copies(mine.connection, account_id))
    to = next((row for row in mine.accounts if row.id == account_id), None)
    missing = [item for item, _ in mine.rows if copies.find(item) is None] if to else []
    for item in missing:
        assert to is not None
        because = "it was missing there"
        mine.send_to(to, Action.WATCHLIST, item, Author(name=to.tracker, because=because))
    return len(missing)
