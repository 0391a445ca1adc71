"""A service in this process and the media servers of its person, each of which is told what was watched elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import patch

from sqlalchemy import Connection, func, select

from tests.fakes._inside import Inside
from tests.fakes._server import Clock, Server
from tests.prepared import open_service
from tests.trackers._adapters import ADAPTERS
from tests.transfer.test_backfilling import House
from webhook import clock
from webhook.accounts import accounts
from webhook.clock import stamp
from webhook.domain.event import Action, Item, item_to_json
from webhook.people import identities, people
from webhook.queries.deliveries import DeliveryJson, list_deliveries
from webhook.storage.tables import delivery, play, webhook

KEYS: Mapping[str, tuple[str, str]] = {
    "plex": ("PLEX_TOKEN", "owner-token"),
    "jellyfin": ("JELLYFIN_API_KEY", "0123456789abcdef0123456789abcdef"),
    "emby": ("EMBY_API_KEY", "0123456789abcdef0123456789abcdef"),
}


class Home(House):
    """`told` are the names of the servers; each has the film and the pilot of the trackers' suite."""

    door: type[Server] = Inside
    """How the servers are reached: within this process, or as another process reaches them."""

    def __init__(self, runner: asyncio.Runner, environ: dict[str, str], *told: str) -> None:
        self.runner = runner
        self.fakes: dict[str, Any] = {name: ADAPTERS[name].fake() for name in told}
        for fake in self.fakes.values():
            fake.clock = Clock()
        self.doors = [self.door(fake) for fake in self.fakes.values()]
        self.environ = dict(environ)
        for name, door in zip(told, self.doors, strict=True):
            door.__enter__()
            key, value = KEYS[name]
            self.environ |= {f"{name.upper()}_URL": door.url, key: value}
        self.service = open_service(self.environ)
        self.database = self.service.database
        self.me = self.database.ask(lambda connection: people.find_person(connection, people.FIRST_PERSON).id)
        self.accounts = {name: self.join(name) for name in told}
        self.claim("generic")
        self.list_servers()

    def join(self, name: str) -> int:
        """Sign in to a server, switch on what it is told, and claim the user there."""
        tracker, tokens = self.service.trackers[name], self.fakes[name].add_person()
        made = self.run(
            accounts.store_sign_in(self.database, self.service.seal, self.me, tracker, tokens, "anna")
        )
        for action in (Action.WATCHED, Action.UNWATCHED, Action.RATE, Action.FAVOURITE):
            if action in tracker.tells:
                self.run(accounts.switch_action(self.service, made, action, True))
        self.claim(name)
        return made

    def claim(self, source: str) -> None:
        self.database.do(
            lambda connection: identities.claim_identities(
                connection, people.FIRST_PERSON, f"{source}:anna", clock.now()
            )
        )

    def say(self, action: str, item: Item, at: datetime | None = None, **more: Any) -> int:
        """A webhook of a player that none of the servers knows."""
        known = {name: value for name, value in item_to_json(item).items() if value}
        return self.post({"action": action, "user": "anna", "at": stamp(at), **known, **more}, "generic")

    def list_servers(self) -> None:
        self.run(self.service.server_lists.run_once())

    def drain(self) -> None:
        """Deliver until nothing waits, however long that takes."""
        real, minutes = clock.now, 0
        with patch.object(clock, "now", lambda: real() + timedelta(minutes=minutes)):
            while self.deliveries("waiting"):
                self.delivered()
                minutes += 1

    def end(self) -> None:
        self.close()
        for door in self.doors:
            door.__exit__()

    # --- what there is

    def deliveries(self, state: str | None = None, tracker: str | None = None) -> list[DeliveryJson]:
        found = self.database.ask(
            lambda connection: list_deliveries(connection, tracker=tracker, state=state, limit=500)
        )
        return list(reversed(found["items"]))

    def echo_of(self, webhook_id: int) -> int | None:
        """The delivery that a webhook was recognised as an echo of."""
        wanted = select(webhook.c.events).where(webhook.c.id == webhook_id)
        events = self.database.ask(lambda connection: connection.execute(wanted).scalar_one())
        return events[0].get("echo_of") if events else None

    def add_person(self, name: str, claims: str) -> None:
        def add(connection: Connection) -> None:
            people.add_person(connection, name, clock.now())
            identities.claim_identities(connection, name, claims, clock.now())

        self.database.do(add)

    def count_plays(self) -> int:
        wanted = select(func.count()).select_from(play).where(play.c.removed_at.is_(None))
        return self.database.ask(lambda connection: int(connection.execute(wanted).scalar_one()))

    def count_deliveries(self) -> int:
        return self.database.ask(
            lambda connection: int(
                connection.execute(select(func.count()).select_from(delivery)).scalar_one()
            )
        )
