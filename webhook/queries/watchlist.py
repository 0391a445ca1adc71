"""A person's watchlist as pages, API and commands give it, with what each service knows of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field
from sqlalchemy import Connection, select
from typing_extensions import TypedDict

from webhook.clock import stamp
from webhook.domain.event import Action, Item, item_from_json
from webhook.domain.json_shapes import IdsJson
from webhook.domain.pictures import picture_key
from webhook.domain.watchlist import ItemIndex, Leaving
from webhook.history import watchlist_reads
from webhook.history.edits import Recipients
from webhook.history.library import WATCHLIST, list_entries
from webhook.storage.json_fields import Count, KindWord, PictureKey, Time, one_of
from webhook.storage.rows import fetch_all
from webhook.storage.tables import AccountRow, LibraryRow, PersonRow, account
from webhook.trackers import label

MOST_NAMED = 20
"""The titles that are named of what a read lacks."""


class WatchlistEntryJson(TypedDict):
    """A film or a show on the watchlist; `on` are the services that list it too."""

    key: str
    kind: KindWord
    title: str | None
    year: int | None
    ids: IdsJson
    picture: PictureKey
    at: Time | None
    via: Annotated[str | None, Field(description="`hand`, `import`, or the service that it was read from.")]
    on: list[str]


class WatchlistServiceJson(TypedDict):
    """A service with a watchlist of its own, and how far it and this one know each other."""

    tracker: str
    label: str
    reads: Annotated[bool, Field(description="Whether its list is read.")]
    sends: Annotated[bool, Field(description="Whether changes are sent to it.")]
    can_send: bool
    tried_at: Time | None
    read_at: Annotated[Time | None, Field(description="The last read of its whole list.")]
    error: Annotated[str | None, Field(description="The reason why the last read failed.")]
    listed: Annotated[Count, Field(description="Titles on its list.")]
    missing: Annotated[Count, Field(description="Titles of this list that are not on its list.")]
    held_since: Annotated[
        Time | None, Field(description="Since when many titles are gone there, and held here.")
    ]
    held: Annotated[Count, Field(description="How many of them.")]
    held_titles: list[str]


class WatchlistJson(TypedDict):
    """A person's watchlist, the newest first."""

    person: str
    until: Annotated[str, one_of(Leaving)]
    items: list[WatchlistEntryJson]
    services: list[WatchlistServiceJson]


def read_watchlist(connection: Connection, owner: PersonRow, can: Recipients) -> WatchlistJson:
    rows = list_entries(connection, owner.id, WATCHLIST)
    entries = [(item_from_json(row.item), row) for row in rows]
    accounts = list_accounts(connection, owner.id, can)
    lists = {row.id: copies_of(connection, row.id) for row in accounts}
    names = {row.id: row.tracker for row in accounts}
    items = [
        entry_json(item, row, [names[of] for of, index in lists.items() if index.find(item)])
        for item, row in reversed(entries)
    ]
    services = [
        service_json(connection, row, lists[row.id], [item for item, _ in entries], can) for row in accounts
    ]
    items.sort(key=lambda one: one["at"] or "", reverse=True)
    return {"person": owner.name, "until": owner.watchlist_until, "items": items, "services": services}


def list_accounts(connection: Connection, person_id: int, can: Recipients) -> list[AccountRow]:
    """The person's accounts at services that have a watchlist."""
    mine = select(account).where(account.c.person_id == person_id).order_by(account.c.id)
    return [
        row
        for row in fetch_all(connection, mine, AccountRow)
        if hasattr(can.get(row.tracker), "watchlist") and row.tokens is not None
    ]


def copies_of(connection: Connection, account_id: int) -> ItemIndex[bool]:
    rows = watchlist_reads.list_copies(connection, account_id)
    return ItemIndex((item_from_json(row.item), True) for row in rows if not row.missing)


def entry_json(item: Item, row: LibraryRow, on: list[str]) -> WatchlistEntryJson:
    return {
        "key": row.item_key,
        "kind": row.kind,
        "title": item.title,
        "year": item.year,
        "ids": item.ids.by_namespace(),
        "picture": picture_key(item),
        "at": stamp(row.at),
        "via": row.via,
        "on": on,
    }


def service_json(
    connection: Connection, row: AccountRow, listed: ItemIndex[bool], items: Sequence[Item], can: Recipients
) -> WatchlistServiceJson:
    read = watchlist_reads.find_read(connection, row.id)
    held = watchlist_reads.list_held_copies(connection, row.id)
    tracker = can[row.tracker]
    return {
        "tracker": row.tracker,
        "label": label(row.tracker),
        "reads": read is None or not read.off,
        "sends": Action.WATCHLIST.value in row.tells,
        "can_send": Action.WATCHLIST in tracker.tells,
        "tried_at": stamp(read.tried_at) if read else None,
        "read_at": stamp(read.read_at) if read else None,
        "error": read.error if read else None,
        "listed": len(watchlist_reads.list_copies(connection, row.id)) - len(held),
        "missing": sum(not listed.find(item) for item in items) if read and read.read_at else 0,
        "held_since": stamp(read.held_at) if read and held else None,
        "held": len(held),
        "held_titles": [one.item.get("title") or "?" for one in held[:MOST_NAMED]],
    }
