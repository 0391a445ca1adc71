"""What the tests of the web share: a real service over real HTTP, filled with what a household does."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import uvicorn
from argon2 import PasswordHasher
from sqlalchemy import Connection, insert, update

from tests.prepared import open_service
from webhook import app, clock
from webhook.people import passwords, people, tokens
from webhook.queues import inbox
from webhook.service import Service
from webhook.storage import tables
from webhook.web.docs import openapi

PASSWORD = "correct horse"
HASHED = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash(PASSWORD)
HOSTILE = "<script>alert(1)</script>"
Open = Callable[..., "Household"]


def document(address: str) -> dict[str, Any]:
    """The OpenAPI document of a service at this address."""
    return openapi.document(address, app.api_operations())


@dataclass
class Household:
    """A running service, and hands to set it up with."""

    service: Service
    url: str
    clients: list[httpx.Client] = field(default_factory=list)

    def client(self, **options: Any) -> httpx.Client:
        made = httpx.Client(base_url=self.url, timeout=20, **options)
        self.clients.append(made)
        return made

    def do(self, change: Callable[[Connection], Any]) -> Any:
        return self.service.database.do(change)

    def token(
        self, kind: str = "api", person_id: int | None = None, scopes: Collection[str] | None = None
    ) -> str:
        secret = tokens.new_secret()
        sealed = self.service.seal.seal(secret)
        self.do(
            lambda connection: tokens.add_token(
                connection, kind, secret, sealed, clock.now(), person_id=person_id, scopes=scopes
            )
        )
        return secret

    def api(self, person_id: int | None = None, scopes: Collection[str] | None = None) -> httpx.Client:
        return self.client(headers={"Authorization": f"Bearer {self.token('api', person_id, scopes)}"})

    def person(self, name: str, *, owner: bool = False) -> int:
        return int(self.do(lambda connection: people.add_person(connection, name, clock.now(), owner=owner)))

    def password(self, name: str) -> None:
        mine = update(tables.person).where(tables.person.c.name == name)
        self.do(lambda connection: connection.execute(mine.values(password=HASHED)))

    def browser(self, name: str = "me") -> httpx.Client:
        """A browser that has signed in."""
        self.password(name)
        browser = self.client()
        answer = browser.post("/sign-in", data={"name": name, "password": PASSWORD})
        assert answer.status_code == 303
        return browser

    def hear(
        self, user: str = "anna", title: str = "Pilot", event: str = "media.scrobble", **more: Any
    ) -> int:
        """A webhook of Plex, interpreted; its id."""
        raw = orjson.dumps(plex(user, title, event, **more))
        received = inbox.ReceivedWebhook(
            source="plex", token_id=None, received_at=clock.now(), content_type="multipart/form-data", raw=raw
        )
        (made,) = self.do(lambda connection: inbox.store_webhooks(connection, [received]))
        self.interpret()
        return int(made)

    def interpret(self) -> None:
        self.do(lambda connection: self.service.interpreter.interpret(connection, [100]))

    def settle(self, state: str, **values: Any) -> None:
        """Everything that waits becomes this."""
        waiting = update(tables.delivery).where(tables.delivery.c.state == "waiting")
        self.do(lambda connection: connection.execute(waiting.values(state=state, **values)))

    def tried(self, delivery_id: int, exchanges: list[Any]) -> None:
        values = {"delivery_id": delivery_id, "at": clock.now(), "took_ms": 12, "outcome": "done"}
        row = {**values, "reason": None, "exchanges": exchanges}
        self.do(lambda connection: connection.execute(insert(tables.attempt), row))

    def welcome(self, lasts: timedelta = timedelta(hours=1)) -> str:
        secret = tokens.new_secret()
        self.do(lambda connection: passwords.invite(connection, secret, clock.now(), lasts))
        return secret


def plex(user: str, title: str, event: str, **more: Any) -> dict[str, Any]:
    return {
        "event": event,
        "user": True,
        "owner": True,
        "Account": {"id": 1, "title": user},
        "Server": {"title": "Attic", "uuid": "attic-uuid"},
        "Player": {"local": True, "title": "Sofa", "uuid": "sofa-uuid"},
        "Metadata": {
            "librarySectionType": "show",
            "ratingKey": f"key-{title}",
            "guid": "plex://episode/5d9c1280ba6eb9001fb6de4f",
            "type": "episode",
            "title": title,
            "grandparentTitle": "Harbour Street",
            "parentIndex": 1,
            "index": 1,
            "duration": 2700000,
            "Guid": [{"id": "tvdb://9001"}],
            **more,
        },
    }


@contextmanager
def serving(folder: Path, **settings: str) -> Iterator[Household]:
    environ = {"DATA_DIR": str(folder), "WORKER": "false", "CLAIM_FIRST_USER": "true", **settings}
    service = open_service(environ)
    config = uvicorn.Config(
        app.web_app(service),
        port=0,
        log_config=None,
        access_log=False,
        proxy_headers=False,
        timeout_keep_alive=65,  # as the product has it: a test that waits finds the door open
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    household = Household(service, f"http://127.0.0.1:{port}")
    try:
        yield household
    finally:
        for client in household.clients:
            client.close()
        server.should_exit = True
        thread.join(timeout=20)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    """Opens a household with settings of one's own."""
    import contextlib

    with contextlib.ExitStack() as stack:

        def open_it(**settings: str) -> Household:
            return stack.enter_context(serving(tmp_path, **settings))

        yield open_it


@pytest.fixture
def home(opened: Open) -> Household:
    return opened()


def form_token(page: str) -> str:
    found = re.search(r'name="form_token" value="([0-9a-f]+)"', page)
    assert found
    return found.group(1)
