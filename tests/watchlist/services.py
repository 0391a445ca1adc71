"""A service in this process, and the fakes of the services at which its person keeps a watchlist."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import select, update

from tests.fakes._inside import Inside
from tests.fakes._server import Clock, Server
from tests.prepared import open_service
from tests.transfer.test_backfilling import House
from tests.watchlist.keepers import KEEPERS, Keeper
from webhook import clock
from webhook.accounts import accounts
from webhook.clock import stamp
from webhook.domain.event import Action, Item, item_to_json
from webhook.history import watchlist_reads
from webhook.history.library import WATCHLIST, list_entries
from webhook.history.watchlist import HAND, Watchlist
from webhook.people import identities, people
from webhook.queries.deliveries import DeliveryJson, list_deliveries
from webhook.storage.tables import account, watchlist_read
from webhook.transfer.watchlists import ReadReport


class Lists(House):
    """`names` are the services; of each the watchlist is read, and changes are sent to it where `told`."""

    def __init__(
        self,
        runner: asyncio.Runner,
        environ: Mapping[str, str],
        *names: str,
        told: bool = True,
        over_sockets: bool = False,
    ) -> None:
        self.runner = runner
        self.keepers: dict[str, Keeper] = {name: KEEPERS[name]() for name in names}
        self.doors: list[Server] = []
        self.environ = dict(environ)
        for keeper in self.keepers.values():
            keeper.fake.clock = Clock()
            door = Server(keeper.fake) if over_sockets else Inside(keeper.fake)
            self.doors.append(door)
            door.__enter__()
            self.environ |= keeper.settings(door.url)
        self.service = open_service(self.environ)
        self.database = self.service.database
        self.me = self.database.ask(lambda connection: people.find_person(connection, people.FIRST_PERSON).id)
        self.accounts = {name: self.join(name, told=told) for name in names}
        self.database.do(
            lambda connection: identities.claim_identities(
                connection, people.FIRST_PERSON, "generic:anna", clock.now()
            )
        )

    def join(self, name: str, *, told: bool) -> int:
        tracker, tokens = self.service.trackers[name], self.keepers[name].sign_in()
        made = self.run(
            accounts.store_sign_in(self.database, self.service.seal, self.me, tracker, tokens, "anna")
        )
        if told:
            self.run(accounts.switch_action(self.service, made, Action.WATCHLIST, True))
        return made

    def end(self) -> None:
        self.close()
        for door in self.doors:
            door.__exit__()

    # --- what is done

    def read(self, name: str | None = None) -> list[ReadReport]:
        """Read the lists now, of one service or of all."""
        wanted = [self.accounts[one] for one in self.accounts if name in (None, one)]

        def ask(connection: Any) -> None:
            for account_id in wanted:
                watchlist_reads.set_read(connection, account_id, asked=True, tried_at=None)

        self.database.do(ask)
        return self.run(self.service.watchlists.run_once(only_asked=True))

    def read_due(self) -> list[ReadReport]:
        """Read the lists as if their interval had passed, which nobody asks for."""

        def pass_time(connection: Any) -> None:
            for account_id in self.accounts.values():
                watchlist_reads.set_read(connection, account_id, asked=False, tried_at=None)

        self.database.do(pass_time)
        return self.run(self.service.watchlists.run_once())

    def sync(self) -> None:
        """Read all lists and send what follows, twice, so that what was sent is read back."""
        for _ in range(2):
            self.read()
            self.send()

    def send(self) -> None:
        values = update(account).values(held_until=None)
        self.database.do(lambda connection: connection.execute(values))
        self.run(self.deliver())

    def add(self, *items: Item) -> None:
        self.change(lambda mine: [mine.add(item, mine.now, HAND) for item in items])

    def remove(self, *items: Item) -> None:
        self.change(lambda mine: [mine.remove(item, HAND) for item in items])

    def change(self, work: Any) -> Any:
        can = self.service.trackers
        return self.database.do(lambda connection: work(Watchlist(connection, self.me, can, clock.now())))

    def watch(self, item: Item) -> None:
        """A player reports that she watched it."""
        known = {name: value for name, value in item_to_json(item).items() if value}
        self.post({"action": "watched", "user": "anna", "at": stamp(clock.now()), **known}, "generic")

    def advance(self, by: timedelta) -> None:
        for keeper in self.keepers.values():
            keeper.fake.clock.advance(by)

    # --- what there is

    def titles(self) -> set[str]:
        rows = self.database.ask(lambda connection: list_entries(connection, self.me, WATCHLIST))
        return {str(row.item.get("title")) for row in rows}

    def held(self, name: str) -> int:
        found = self.database.ask(
            lambda connection: watchlist_reads.list_held_copies(connection, self.accounts[name])
        )
        return len(found)

    def error(self, name: str) -> str | None:
        wanted = select(watchlist_read.c.error).where(watchlist_read.c.account_id == self.accounts[name])
        return self.database.ask(lambda connection: connection.execute(wanted).scalar())

    def deliveries(self, name: str | None = None) -> list[DeliveryJson]:
        found = self.database.ask(lambda connection: list_deliveries(connection, tracker=name, limit=500))
        kinds = (Action.WATCHLIST.value, Action.UNWATCHLIST.value)
        return [one for one in reversed(found["items"]) if one["action"] in kinds]

    def outcomes(self, name: str) -> Sequence[tuple[str, str]]:
        return [(one["action"], one["state"]) for one in self.deliveries(name)]
