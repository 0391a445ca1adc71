"""kill -9 in the middle of reading a watchlist, and of sending its changes: nothing is lost, nothing is removed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.fakes._server import Server
from tests.prepared import open_service
from tests.running import Process, eventually
from tests.watchlist.keepers import HARBOUR, PARASITE, TIDEWATER, TraktKeeper, many
from webhook import clock
from webhook.accounts import accounts
from webhook.domain.event import Action
from webhook.history import watchlist_reads
from webhook.history.library import WATCHLIST, list_entries
from webhook.history.watchlist import HAND, Watchlist
from webhook.people import people
from webhook.queues import leases
from webhook.service import Service

MINUTE = timedelta(minutes=1)
READ = "GET /sync/watchlist"
WRITE = "POST /sync/watchlist"


class House:
    """A service as a process of its own, and the Trakt of its person on a socket."""

    def __init__(self, folder: Path, keeper: TraktKeeper, url: str) -> None:
        self.folder, self.keeper = folder, keeper
        self.settings = {**keeper.settings(url), "TRAKT_WRITES_PER_SECOND": "0"}
        self.process = Process(folder, **self.settings)
        self.account, self.me = 0, 0
        self.run(self.sign_in)

    def run(self, work: Any) -> Any:
        """Do something with the data while no process runs."""

        async def inside() -> Any:
            service = open_service({"DATA_DIR": str(self.folder), **self.settings})
            try:
                return await work(service)
            finally:
                await service.http.aclose()
                service.database.close()

        return asyncio.run(inside())

    async def sign_in(self, service: Service) -> None:
        self.me = service.database.ask(lambda connection: people.find_person(connection, "me").id)
        tracker = service.trackers["trakt"]
        self.account = await accounts.store_sign_in(
            service.database, service.seal, self.me, tracker, self.keeper.sign_in(), "anna"
        )
        await accounts.switch_action(service, self.account, Action.WATCHLIST, True)

    def ask(self) -> None:
        async def ask(service: Service) -> None:
            service.database.do(
                lambda connection: watchlist_reads.set_read(
                    connection, self.account, asked=True, tried_at=None
                )
            )

        self.run(ask)

    def add(self, *items: Any) -> None:
        async def add(service: Service) -> None:
            def change(connection: Any) -> None:
                mine = Watchlist(connection, self.me, service.trackers, clock.now())
                for item in items:
                    mine.add(item, mine.now, HAND)

            service.database.do(change)

        self.run(add)

    def pass_the_rest(self) -> None:
        """Let the minute pass in which what may have arrived is not sent again."""

        async def drop(service: Service) -> None:
            service.database.do(lambda connection: leases.drop_leases(connection, clock.now() - 2 * MINUTE))

        self.run(drop)

    def titles(self) -> set[str]:
        async def read(service: Service) -> set[str]:
            rows = service.database.ask(lambda connection: list_entries(connection, self.me, WATCHLIST))
            return {str(row.item.get("title")) for row in rows}

        found: set[str] = self.run(read)
        return found

    def read_whole(self) -> None:
        """A process that reads what was asked for to its end."""
        before = len(self.keeper.fake.made(READ))
        self.process.start()
        eventually(lambda: len(self.keeper.fake.made(READ)) >= before + 2, "both lists are read")
        eventually(lambda: self.keeper.fake.calls[-1].status == 200, "the last is answered")
        self.process.stop()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    keeper = TraktKeeper()
    with Server(keeper.fake) as server:
        made = House(tmp_path, keeper, server.url)
        with made.process.http:
            yield made


def test_a_read_that_is_killed_in_the_middle_changes_nothing(house: House) -> None:
    house.keeper.put(*many(30), PARASITE)
    house.ask()
    house.read_whole()
    assert len(house.titles()) == 31
    house.keeper.take(PARASITE)
    house.keeper.put(HARBOUR, TIDEWATER)
    house.keeper.fake.faults.add(f"{READ}/shows", delay=30)
    house.ask()
    before = len(house.keeper.fake.made(f"{READ}/shows"))
    house.process.start()
    eventually(lambda: len(house.keeper.fake.made(f"{READ}/shows")) > before, "the second list is asked for")

    house.process.kill()

    assert len(house.titles()) == 31
    assert "Parasite" in house.titles()
    house.ask()
    house.read_whole()
    assert len(house.titles()) == 32
    assert house.titles() >= {"Harbour", "Saltmarsh"}
    assert "Parasite" not in house.titles()


def test_a_change_that_is_killed_while_it_is_sent_arrives_once(house: House) -> None:
    house.add(PARASITE, HARBOUR, TIDEWATER)
    house.keeper.fake.faults.add(WRITE, record_then="silence", skip=1)
    house.process.start()
    eventually(lambda: len(house.keeper.fake.made(WRITE)) >= 2, "the second change is sent")

    house.process.kill()
    house.pass_the_rest()
    house.process.start()
    eventually(lambda: house.keeper.listed() == {"Parasite", "Harbour", "Saltmarsh"}, "all of it arrives")
    house.process.stop()

    assert house.titles() == {"Parasite", "Harbour", "Saltmarsh"}
    assert len(house.keeper.fake.user("anna").watchlist) == 3
