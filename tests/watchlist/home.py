"""A person with accounts at services that keep a watchlist, in a database, without any service."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select, update

from webhook.accounts.accounts import insert_account
from webhook.domain.event import Action, Event, Ids, Item, Kind, Movie, Show
from webhook.domain.watchlist import WantedItem
from webhook.history import plays, watchlist_reads
from webhook.history.library import WATCHLIST, list_entries
from webhook.history.watchlist import HAND, Watchlist
from webhook.history.watchlist_reads import ReadResult
from webhook.people import people
from webhook.storage.db import Database
from webhook.storage.tables import account, delivery

NOW = datetime(2026, 11, 20, 21, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
PARASITE = Movie(title="Parasite", year=2019, ids=Ids(tmdb=496243, imdb="tt6751668"))
HARBOUR = Movie(title="Harbour", year=2001, ids=Ids(tmdb=603))
TIDEWATER = Show(title="Tidewater", year=2020, ids=Ids(tvdb=81189, tmdb=1396))


@dataclass(frozen=True)
class Service:
    """A tracker with a watchlist, as far as the watchlist of a person knows it."""

    tells: frozenset[Action] = frozenset({Action.WATCHLIST, Action.UNWATCHLIST})
    kinds: frozenset[Kind] = frozenset({Kind.MOVIE, Kind.SHOW})
    one_mark: bool = False
    watchlist: Any = None


CAN = {"trakt": Service(), "simkl": Service(), "plex": Service()}


@dataclass
class Home:
    database: Database
    told: Sequence[str] = ("trakt", "simkl", "plex")
    me: int = 0
    now: datetime = NOW
    accounts: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.me = self.database.do(lambda connection: people.add_person(connection, "me", NOW, owner=True))
        for name in CAN:
            tells = {Action.WATCHLIST} if name in self.told else set[Action]()
            self.accounts[name] = self.database.do(
                lambda connection, name=name, tells=tells: insert_account(
                    connection, self.me, name, tells, NOW
                )  # type: ignore[misc]
            )

    def later(self, by: timedelta = HOUR) -> Home:
        self.now += by
        return self

    def change(self, work: Any) -> Any:
        return self.database.do(lambda connection: work(Watchlist(connection, self.me, CAN, self.now)))

    def add(self, item: Item) -> bool:
        return bool(self.change(lambda mine: mine.add(item, self.now, HAND)))

    def remove(self, item: Item) -> bool:
        return bool(self.change(lambda mine: mine.remove(item, HAND)))

    def read(self, name: str, *listed: WantedItem | Item, moved: Sequence[Item] = ()) -> ReadResult:
        """A whole read of the account's list."""
        wanted = [one if isinstance(one, WantedItem) else WantedItem(item=one) for one in listed]  # type: ignore[arg-type]
        account_id = self.accounts[name]
        result: ReadResult = self.change(
            lambda mine: watchlist_reads.apply_read(mine, account_id, name.title(), wanted, moved)
        )
        return result

    def watch(self, item: Item, at: datetime | None = None) -> None:
        event = Event(action=Action.WATCHED, item=item, at=at or self.now, user="anna")
        self.database.do(lambda connection: plays.apply(connection, self.me, event, "plex", 80.0))

    def titles(self) -> list[str | None]:
        rows = self.database.ask(lambda connection: list_entries(connection, self.me, WATCHLIST))
        return [row.item.get("title") for row in rows]

    def sent(self, name: str | None = None) -> list[tuple[str, str, str | None]]:
        """The changes enqueued: where, what, and of which title; the oldest first."""
        wanted = select(account.c.tracker, delivery.c.action, delivery.c.item, delivery.c.state)
        wanted = wanted.join(account).where(delivery.c.state != "superseded").order_by(delivery.c.id)
        rows = self.database.ask(lambda connection: connection.execute(wanted).all())
        return [(row.tracker, row.action, row.item["title"]) for row in rows if name in (None, row.tracker)]

    def settle(self, state: str = "done") -> None:
        self.database.do(lambda connection: connection.execute(update(delivery).values(state=state)))

    def copies(self, name: str) -> list[str | None]:
        account_id = self.accounts[name]
        rows = self.database.ask(lambda connection: watchlist_reads.list_copies(connection, account_id))
        return [row.item.get("title") for row in rows if not row.missing]

    def held(self, name: str) -> int:
        account_id = self.accounts[name]
        return len(
            self.database.ask(lambda connection: watchlist_reads.list_held_copies(connection, account_id))
        )


def films(count: int, first: int = 1) -> list[Movie]:
    return [
        Movie(title=f"Film {number}", year=1990, ids=Ids(tmdb=10_000 + number))
        for number in range(first, first + count)
    ]


def listed(items: Iterable[Item], at: datetime = NOW - 30 * HOUR) -> list[WantedItem]:
    return [WantedItem(item=item, at=at) for item in items]  # type: ignore[arg-type]
