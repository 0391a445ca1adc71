"""Media servers that are told, at size: `python -m bench.told echo 10000`, `python -m bench.told restore 5000`.

`echo` marks a quarter of the films on each of four servers and gives back everything that these can report of that: each
mark twice, out of order, hours late, and as a poll finds it. `restore` fills a server whose every write takes as long as
a busy Jellyfin's.
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import structlog

from tests.fakes.plex import ANNA
from tests.told.home import Home
from tests.told.test_echoes import add_films
from tests.told.test_restore import fill, restore_server
from tests.trackers._at_home import PLEX_FILM
from webhook import clock
from webhook.domain.event import Action
from webhook.queues import inbox
from webhook.queues.inbox import ReceivedWebhook
from webhook.sources._listened import Statement

WRITE_SECONDS = 0.08
"""The upper end of what a write takes on an idle Jellyfin, by docs/servers.md's sources."""

CHUNK = 500
RUNTIME_MS = 7_200_000
HOURS_LATE = {"plex": (0, 0, 1, 1.9)}
"""A scrobble of Plex bears no date: later than the film takes it is a viewing. Others may come a day late."""

SERVERS = (("jellyfin", "10.8.13"), ("jellyfin", "10.11.5"), ("emby", ""), ("plex", ""))


@contextmanager
def open_home(name: str, version: str = "") -> Iterator[Home]:
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner() as runner:
        environ = {
            "DATA_DIR": folder,
            "DATABASE_URL": f"sqlite:///{Path(folder) / 'told.db'}",
            "LOG_LEVEL": "error",
        }
        home = Home(runner, environ, name)
        if version:
            home.fakes[name].switches.version = version
        try:
            yield home
        finally:
            home.end()


def add_plex_films(home: Home, count: int) -> None:
    for number in range(count):
        guid = f"plex://movie/{number:024x}"
        known = {"ratingKey": str(10_000 + number), "title": f"Film {number}", "year": 2001, "guid": guid}
        home.fakes["plex"].add({**PLEX_FILM, **known, "Guid": [{"id": f"tmdb://{500_000 + number}"}]})
    home.service.interpreter.added.add(home.fakes["plex"].machine)
    home.list_servers()


def stock(home: Home, name: str, count: int) -> None:
    if name == "plex":
        add_plex_films(home, count)
    else:
        add_films(home, name, count)


def echoes_of(home: Home, name: str) -> list[dict[str, Any]]:
    """All that a server can report of our marks, twice."""
    fake = home.fakes[name]
    if name == "plex":
        server = {"title": fake.name, "uuid": fake.machine}
        reports = [
            {"event": "media.scrobble", "user": True, "owner": False, "Account": {"id": ANNA, "title": "anna"},
             "Server": server, "Metadata": {**fake.items[key], "librarySectionType": "movie", "duration": RUNTIME_MS}}
            for key in fake.watched()
        ]  # fmt: skip
        polled = [poll_plex(fake, key, at) for key, at in fake.watched().items()]
        return [*reports, *reports, *polled]
    polled = [poll(fake, key) for key in fake.watched()]
    return [*fake.sent, *fake.sent, *polled]


def poll_plex(fake: Any, key: str, at: datetime) -> dict[str, Any]:
    said = {
        "server": {"title": fake.name, "uuid": fake.machine},
        "user": {"id": ANNA, "title": "anna"},
        "item": {**fake.items[key], "viewCount": 1},
    }
    return Statement(action=Action.WATCHED, at=at, by="poll", said=said, manual=True).to_json()


def poll(fake: Any, key: str) -> dict[str, Any]:
    said = {
        "server": {"Id": fake.server_id, "ServerName": "Attic"},
        "user": {"Id": "aa" * 16, "Name": "anna"},
        "item": fake.known[key],
        "user_data": fake.data_of("aa" * 16, key),
    }
    return Statement(action=Action.WATCHED, at=clock.now(), by="poll", said=said, manual=True).to_json()


def receive(home: Home, name: str, payloads: list[dict[str, Any]], chance: random.Random) -> None:
    """Out of order, some at once, some hours and a day late."""
    chance.shuffle(payloads)
    for start in range(0, len(payloads), CHUNK):
        late = [
            clock.now() + timedelta(hours=chance.choice(HOURS_LATE.get(name, (0, 0, 3, 30))))
            for _ in range(CHUNK)
        ]
        received = [
            ReceivedWebhook(
                source=name, token_id=None, received_at=at, content_type=None, raw=orjson.dumps(one)
            )
            for one, at in zip(payloads[start : start + CHUNK], late, strict=False)
        ]
        home.database.do(lambda connection, received=received: inbox.store_webhooks(connection, received))  # type: ignore[misc]
        home.interpret()


def measure_echoes(count: int) -> None:
    chance = random.Random(17)
    marks = reports = plays = again = 0
    for name, version in SERVERS:
        with open_home(name, version) as home:
            part = count // len(SERVERS)
            stock(home, name, part)
            fill(home, part)
            restore_server(home, name)
            before, told = home.count_plays(), home.count_deliveries()
            payloads = echoes_of(home, name)
            receive(home, name, payloads, chance)
            marks += len(home.fakes[name].watched())
            reports += len(payloads)
            made = home.count_plays() - before, home.count_deliveries() - told
            plays, again = plays + made[0], again + made[1]
            print(f"{name} {version}: {part} marks, {len(payloads)} reports, made {made}", flush=True)
    print(f"{marks} marks, {reports} reports: {plays} plays made, {again} second marks")


def measure_restore(count: int) -> None:
    with open_home("jellyfin", "10.11.5") as home:
        stock(home, "jellyfin", count)
        fill(home, count)
        home.fakes["jellyfin"].faults.add("POST /UserItems", delay=WRITE_SECONDS, times=-1)
        began = time.perf_counter()
        restore_server(home, "jellyfin")
        took, marked = time.perf_counter() - began, len(home.fakes["jellyfin"].watched())
    print(f"{marked} of {count} marked in {took:.0f} s, each write {WRITE_SECONDS * 1000:.0f} ms")


PARTS: dict[str, Callable[[int], None]] = {"echo": measure_echoes, "restore": measure_restore}

if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    PARTS[sys.argv[1]](int(sys.argv[2]))
