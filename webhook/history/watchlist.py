"""The watchlist of a person: what is put on it and taken off, and sent to the accounts that it is switched on for.

It is part of the library. What is taken off is remembered with its time, so that no list that is older brings it
back. All runs in the caller's transaction: an entry and its deliveries are committed together.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from sqlalchemy import Connection, delete, insert, select, update

from webhook.domain.event import Action, Item, Kind, Movie, Show, item_from_json, item_to_json
from webhook.domain.items import keys
from webhook.domain.rules import AccountRules, join_kinds
from webhook.domain.states import OPEN_STATES, DeliveryState
from webhook.domain.watchlist import ItemIndex
from webhook.history.edits import Recipients
from webhook.history.library import WATCHLIST, is_entry, list_entries
from webhook.history.play_store import merge_items
from webhook.queues import outbox
from webhook.queues.outbox import NewDelivery
from webhook.storage.json_shapes import DetailsJson
from webhook.storage.rows import fetch_all, fetch_one
from webhook.storage.tables import (
    AccountRow,
    DeliveryRow,
    LibraryRow,
    WatchlistCopyRow,
    WatchlistRemovalRow,
    account,
    delivery,
    library,
    watchlist_copy,
    watchlist_removal,
)

BY_HAND, BY_IMPORT, BY_WATCHING = "hand", "import", "watched"
"""Where an entry comes from, or what took it off; otherwise it is the name of a tracker."""

CHANGED_AGAIN = "the watchlist changed again before it was sent"


@dataclass(frozen=True, kw_only=True, slots=True)
class Author:
    """What changes a watchlist: its word, and a sentence for the deliveries that follow from it.

    `accounts` know of the change already; `play_id` is the play that it follows from.
    """

    name: str
    because: str | None = None
    accounts: Collection[int] = ()
    play_id: int | None = None


HAND = Author(name=BY_HAND)


@dataclass
class Watchlist:
    """A person's watchlist, read once for the changes of one transaction."""

    connection: Connection
    person_id: int
    can: Recipients
    now: datetime
    forgotten: set[int] = field(default_factory=set)
    """The removals that no longer hold."""

    @cached_property
    def rows(self) -> list[tuple[Item, LibraryRow]]:
        found = list_entries(self.connection, self.person_id, WATCHLIST)
        return [(item_from_json(row.item), row) for row in found]

    @cached_property
    def entries(self) -> ItemIndex[LibraryRow]:
        return ItemIndex(self.rows)

    @cached_property
    def removals(self) -> ItemIndex[WatchlistRemovalRow]:
        mine = select(watchlist_removal).where(watchlist_removal.c.person_id == self.person_id)
        rows = fetch_all(self.connection, mine.order_by(watchlist_removal.c.at.desc()), WatchlistRemovalRow)
        return ItemIndex((item_from_json(row.item), row) for row in rows)

    @cached_property
    def entry_keys(self) -> set[str]:
        """The keys of the entries as they are now."""
        return {row.item_key for _, row in self.rows}

    def find(self, item: Item) -> LibraryRow | None:
        """The entry of this item; None if it is not on the list."""
        return next((row for row in self.entries.find_all(item) if row.item_key in self.entry_keys), None)

    def was_removed_since(self, item: Item, at: datetime | None) -> bool:
        """True if the person took the item off at this time or later; where none is given, ever."""
        found = (row for row in self.removals.find_all(item) if row.id not in self.forgotten)
        return any(at is None or row.at >= at for row in found)

    def add(self, item: Item, at: datetime, by: Author) -> bool:
        """Put an item on the list and send it to the accounts; returns True if it was not there."""
        known = self.find(item)
        if known is not None:
            self.complete(known, item)
            return False
        key = next((key for key in keys(item) if key not in self.entry_keys), None)
        if key is None:
            return False
        entry = LibraryRow(
            person_id=self.person_id, relation=WATCHLIST, item_key=key, kind=item.kind.value,
            item=item_to_json(item), value=None, at=at, via=by.name,
        )  # fmt: skip
        values = {column.name: getattr(entry, column.name) for column in library.columns}
        self.connection.execute(insert(library), values)
        self.entry_keys.add(key)
        self.entries.add(item, entry)
        self.forget_removals(item)
        self.send(Action.WATCHLIST, item, by)
        return True

    def complete(self, row: LibraryRow, item: Item) -> None:
        """Complete an entry with the ids that a service knows of it."""
        known = item_from_json(row.item)
        whole = merge_items(item, known)
        if whole != known:
            values = {"item": item_to_json(whole)}
            self.connection.execute(update(library).where(*is_entry(row)).values(values))
            self.entries.add(whole, row)

    def remove(self, item: Item, by: Author, at: datetime | None = None) -> bool:
        """Take an item off the list and off those of the accounts; returns True if it was there."""
        row = self.find(item)
        if row is None:
            return False
        whole = merge_items(item_from_json(row.item), item)
        self.connection.execute(delete(library).where(*is_entry(row)))
        self.entry_keys.discard(row.item_key)
        self.forget_removals(whole)
        values = {"person_id": self.person_id, "item": item_to_json(whole), "by": by.name}
        self.connection.execute(insert(watchlist_removal), {**values, "at": at or self.now})
        self.send(Action.UNWATCHLIST, whole, by)
        return True

    def forget_removals(self, item: Item) -> None:
        old = {row.id for row in self.removals.find_all(item)} - self.forgotten
        if old:
            self.connection.execute(delete(watchlist_removal).where(watchlist_removal.c.id.in_(old)))
            self.forgotten |= old

    # --- sending

    @cached_property
    def accounts(self) -> list[AccountRow]:
        """The person's accounts that the watchlist is sent to."""
        mine = select(account).where(account.c.person_id == self.person_id).order_by(account.c.id)
        return [row for row in fetch_all(self.connection, mine, AccountRow) if is_told(row, self.can)]

    @cached_property
    def open_deliveries(self) -> dict[int, ItemIndex[DeliveryRow]]:
        """The changes that are not sent yet, by account."""
        found: dict[int, ItemIndex[DeliveryRow]] = {}
        wanted = select(delivery).where(
            delivery.c.account_id.in_([row.id for row in self.accounts]),
            delivery.c.state.in_(OPEN_STATES),
            delivery.c.action.in_((Action.WATCHLIST.value, Action.UNWATCHLIST.value)),
        )
        for row in fetch_all(self.connection, wanted.order_by(delivery.c.id), DeliveryRow):
            found.setdefault(row.account_id, ItemIndex()).add(item_from_json(row.item), row)
        return found

    @cached_property
    def handles(self) -> dict[int, ItemIndex[str]]:
        """The services' own keys of what they listed last, by account."""
        found: dict[int, ItemIndex[str]] = {}
        wanted = select(watchlist_copy).where(
            watchlist_copy.c.account_id.in_([row.id for row in self.accounts]),
            watchlist_copy.c.handle.is_not(None),
        )
        for row in fetch_all(self.connection, wanted, WatchlistCopyRow):
            found.setdefault(row.account_id, ItemIndex()).add(item_from_json(row.item), row.handle or "")
        return found

    def send(self, action: Action, item: Item, by: Author) -> None:
        """Enqueue the change for each account that it is switched on for and that does not know of it."""
        for row in self.accounts:
            if row.id not in by.accounts:
                self.send_to(row, action, item, by)
            else:
                self.withdraw(row.id, item)

    def send_to(self, to: AccountRow, action: Action, item: Item, by: Author) -> None:
        """Enqueue the change for one account, after one of the same item that may be going out."""
        if not isinstance(item, Movie | Show):
            return
        due = self.withdraw(to.id, item) or self.now
        handle = self.handles.get(to.id, ItemIndex[str]()).find(item)
        details = DetailsJson()
        if by.because:
            details["because"] = by.because
        if handle:
            details["remote_id"] = handle
        new = NewDelivery(
            account_id=to.id,
            action=action,
            key=f"{action}:{int(self.now.timestamp() * 1000)}:{keys(item)[0]}"[:120],
            item=item,
            at=self.now,
            due=due,
            play_id=by.play_id,
            skipped=account_filter(to, item),
            details=details,
        )
        made = outbox.enqueue(self.connection, new, self.now)
        wanted = select(delivery).where(delivery.c.id == made)
        sent = fetch_one(self.connection, wanted, DeliveryRow)
        self.open_deliveries.setdefault(to.id, ItemIndex()).add(item, sent)

    def withdraw(self, account_id: int, item: Item) -> datetime | None:
        """Withdraw the unsent changes of an item; the time at which one that may be going out is due."""
        due = None
        found = self.open_deliveries.get(account_id, ItemIndex[DeliveryRow]())
        for row in {row.id: row for row in found.find_all(item)}.values():
            if not outbox.withdraw_delivery(self.connection, row.id, CHANGED_AGAIN, self.now):
                due = row.due_at
        return due


def is_outdated(connection: Connection, row: DeliveryRow) -> bool:
    """True if a later change of the same item is enqueued for the account: a retry must not undo it."""
    wanted = select(delivery).where(
        delivery.c.account_id == row.account_id,
        delivery.c.id > row.id,
        delivery.c.action.in_((Action.WATCHLIST.value, Action.UNWATCHLIST.value)),
        delivery.c.state != DeliveryState.SUPERSEDED.value,
    )
    item = item_from_json(row.item)
    later = fetch_all(connection, wanted, DeliveryRow)
    return ItemIndex((item_from_json(one.item), True) for one in later).find(item) is not None


def account_filter(to: AccountRow, item: Item) -> str | None:
    """The account's own rule that keeps this kind of item from it."""
    kinds = AccountRules.from_json(to.rules).filters.kinds
    kind = Kind.MOVIE if item.kind is Kind.MOVIE else Kind.EPISODE
    return f"this account's filter: only {join_kinds(kinds)}" if kinds and kind not in kinds else None


def is_told(row: AccountRow, can: Recipients) -> bool:
    """True if the watchlist is sent to the account."""
    tracker = can.get(row.tracker)
    return tracker is not None and Action.WATCHLIST in tracker.tells and Action.WATCHLIST.value in row.tells


def add_record(mine: Watchlist, item: Item, at: datetime | None) -> bool:
    """Put an item of a file on the list unless it was taken off later; it is sent to nobody."""
    return is_new(mine, item, at) and mine.add(item, at or mine.now, Author(name=BY_IMPORT))


def is_new(mine: Watchlist, item: Item, at: datetime | None) -> bool:
    """True if the item can come onto the list from an older record; nothing is written."""
    return bool(keys(item)) and mine.find(item) is None and not mine.was_removed_since(item, at)
