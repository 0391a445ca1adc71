"""What pages and API do to a watchlist: put on, take off, read now, and decide about a service's list."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection, update
from typing_extensions import TypedDict

from webhook import clock
from webhook.accounts import accounts
from webhook.domain.event import Action, Ids, Item, Kind, Movie, Show
from webhook.domain.items import keys
from webhook.domain.watchlist import Leaving
from webhook.history import watchlist_reads
from webhook.history.library import unfollow_show
from webhook.history.watchlist import HAND, Watchlist
from webhook.queries.library import FOLLOW_PREFIX
from webhook.queries.watchlist import WatchlistJson, list_accounts, read_watchlist
from webhook.service import Service
from webhook.storage.tables import AccountRow, PersonRow, person
from webhook.trackers import label
from webhook.web.http.errors import Problem

T = TypeVar("T")

NO_SUCH_ENTRY = "This is not on the watchlist."
NO_NAME = "Name it by an id, or by its title and year."


def wanted_item(kind: str, title: str | None, year: int | None, ids: Ids) -> Item:
    """The film or show that is put on the list; raises Problem where nothing names it for sure."""
    item: Item = (
        Movie(title=title, year=year, ids=ids)
        if kind == Kind.MOVIE
        else Show(title=title, year=year, ids=ids)
    )
    if not keys(item):
        raise Problem(422, NO_NAME)
    return item


async def show_watchlist(service: Service, owner: PersonRow) -> WatchlistJson:
    return await service.database.read(lambda connection: read_watchlist(connection, owner, service.trackers))


async def change_list(service: Service, owner: PersonRow, change: Callable[[Watchlist], T]) -> T:
    """Change a person's watchlist in one transaction, and let what follows from it be sent."""
    changed = await service.database.run(
        lambda connection: change(Watchlist(connection, owner.id, service.trackers, clock.now()))
    )
    service.interpreter.told.set()
    return changed


async def add_item(service: Service, owner: PersonRow, item: Item) -> tuple[str, bool]:
    """Put an item on the list; returns its entry's key, and True if it was not there."""

    def add(mine: Watchlist) -> tuple[str, bool]:
        added = mine.add(item, mine.now, HAND)
        row = mine.find(item)
        return "" if row is None else row.item_key, added

    return await change_list(service, owner, add)


async def remove_entries(service: Service, owner: PersonRow, wanted: set[str]) -> int:
    """Take the entries with these keys off the list; returns how many there were."""

    def remove(mine: Watchlist) -> int:
        found = [item for item, row in mine.rows if row.item_key in wanted]
        later = [key.removeprefix(FOLLOW_PREFIX) for key in wanted if key.startswith(FOLLOW_PREFIX)]
        gone = [unfollow_show(mine.connection, mine.person_id, key) for key in later]
        return sum(gone) + sum(mine.remove(item, HAND) for item in found)

    return await change_list(service, owner, remove)


async def set_until(service: Service, owner: PersonRow, until: Leaving) -> None:
    here = person.c.id == owner.id
    await service.database.run(
        lambda connection: connection.execute(update(person).where(here).values(watchlist_until=until.value))
    )


async def ask_to_read(service: Service, owner: PersonRow) -> int:
    """Have the lists of all services read now; returns how many that are."""

    def ask(connection: Connection) -> int:
        found = list_accounts(connection, owner.id, service.trackers)
        for row in found:
            watchlist_reads.set_read(connection, row.id, asked=True)
        return len(found)

    return await service.database.run(ask)


# --- one service


class ServiceChoice(TypedDict):
    """Whether a service's list is read, and whether changes are sent to it; None leaves it as it is."""

    reads: bool | None
    sends: bool | None


async def change_service(service: Service, owner: PersonRow, tracker: str, given: ServiceChoice) -> None:
    """Switch the reading of a service's list, and the sending to it, on or off."""

    def change(connection: Connection) -> None:
        row = find_service(connection, service, owner, tracker)
        if (reads := given["reads"]) is not None:
            watchlist_reads.set_read(connection, row.id, off=not reads)
        if (sends := given["sends"]) is not None and sends != (Action.WATCHLIST.value in row.tells):
            accounts.set_action(connection, row.id, Action.WATCHLIST, sends)

    await service.database.run(change)


async def settle_hold(service: Service, owner: PersonRow, tracker: str, *, remove: bool) -> int:
    """Decide about what is gone from a service's list; returns how many titles that were."""

    def settle(mine: Watchlist) -> int:
        row = find_service(mine.connection, service, owner, tracker)
        return watchlist_reads.settle_hold(mine, row.id, label(tracker), remove=remove)

    return await change_list(service, owner, settle)


async def send_all(service: Service, owner: PersonRow, tracker: str) -> int:
    """Send a service what is not on its list; raises Problem where nothing is sent to it."""

    def send(mine: Watchlist) -> int:
        row = find_service(mine.connection, service, owner, tracker)
        if Action.WATCHLIST.value not in row.tells:
            raise Problem(422, "Switch on first that changes are sent to this service.")
        return watchlist_reads.send_all(mine, row.id)

    return await change_list(service, owner, send)


def find_service(connection: Connection, service: Service, owner: PersonRow, tracker: str) -> AccountRow:
    """The person's account at a service with a watchlist; raises Problem 404."""
    found = list_accounts(connection, owner.id, service.trackers)
    for row in found:
        if row.tracker == tracker:
            return row
    raise Problem(404, "There is no account with a watchlist at this service.")
