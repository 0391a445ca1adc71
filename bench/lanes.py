"""Lanes: claiming and settling with a tracker that answers at once, and what a backlog costs."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from datetime import timedelta
from typing import Any, ClassVar

from sqlalchemy import Connection, insert

from bench.servers import table
from webhook import app, clock, logs
from webhook.accounts import accounts
from webhook.domain.event import Action, Kind, Movie, item_to_json
from webhook.domain.outcome import Done
from webhook.domain.rules import ALWAYS_ON
from webhook.people import people
from webhook.queues import leases
from webhook.service import Service
from webhook.storage.tables import delivery
from webhook.trackers import Access, Delivery

ACCOUNTS = 100


class Instant:
    """A tracker that is told nothing."""

    name, label, sign_in, host = "instant", "Instant", "none", "instant"
    kinds = frozenset({Kind.MOVIE})
    tells = frozenset({Action.WATCHED})
    needs: ClassVar[dict[Kind, tuple[str, ...]]] = {}
    writes_per_second = 0.0

    async def send(self, delivery: Delivery, access: Access) -> Done:
        return Done(answer="told")

    async def check(self, access: Access) -> str:
        return "instant"


def prepared(service: Service, waiting: int, done: int = 0) -> None:
    """So many deliveries waiting over a hundred accounts, with so many done ones behind them."""
    now = clock.now()
    item = item_to_json(Movie(title="The Lighthouse Keeper", year=2019))

    def fill(connection: Connection) -> None:
        ids = []
        for number in range(ACCOUNTS):
            person = people.add_person(connection, f"person{number}", now)
            ids.append(accounts.insert_account(connection, person, "instant", ALWAYS_ON, now))
        for state, count in (("done", done), ("waiting", waiting)):
            rows = [
                row_of(ids[number % ACCOUNTS], f"{state}{number}", state, item, now)
                for number in range(count)
            ]
            for begin in range(0, len(rows), 5000):
                connection.execute(insert(delivery), rows[begin : begin + 5000])
        leases.wake_lanes(connection, ids, now - timedelta(seconds=1), now)

    service.database.do(fill)


def row_of(account_id: int, key: str, state: str, item: Any, now: Any) -> dict[str, Any]:
    values = {
        "account_id": account_id,
        "key": key,
        "action": "watched",
        "mark": True,
        "item": item,
        "details": {},
    }
    times = {
        "happened_at": now,
        "due_at": now,
        "created_at": now,
        "settled_at": now if state == "done" else None,
    }
    return {**values, **times, "state": state, "attempts": 0, "unsure": False, "claimed": False}


async def drained(service: Service, waiting: int) -> float:
    """Deliveries a second."""
    stop, news = asyncio.Event(), asyncio.Event()
    began = time.perf_counter()
    task = asyncio.create_task(service.dispatcher.run(stop, news))
    while service.dispatcher.health.delivered < waiting:  # noqa: ASYNC110 - it counts and sets no event
        await asyncio.sleep(0.002)
    took = time.perf_counter() - began
    stop.set()
    await task
    return waiting / took


def rate(waiting: int, done: int = 0) -> float:
    folder = tempfile.mkdtemp(prefix="bench")
    service = app.open_service({"DATA_DIR": folder, "LOG_LEVEL": "error", "CLAIM_FIRST_USER": "true"})
    trackers: Any = {"instant": Instant()}
    service.dispatcher = type(service.dispatcher)(
        service.database, trackers, service.credentials, service.identity
    )
    prepared(service, waiting, done)
    try:
        return asyncio.run(drained(service, waiting))
    finally:
        with contextlib.suppress(RuntimeError):
            asyncio.run(service.http.aclose())
        service.database.close()


def main() -> None:
    logs.configure("text", "error")
    rate(1000)
    few, many, behind = rate(1000), rate(10_000), rate(10_000, 200_000)
    hundred = rate(100)
    table(
        "Lanes (SQLite, synchronous=FULL, instant tracker, 100 accounts)",
        [
            ("claim and settle, 10,000 waiting", f"{many:,.0f}/s", "at least 3,000"),
            ("claim and settle, 1,000 waiting", f"{few:,.0f}/s", ""),
            ("claim and settle, 100 waiting", f"{hundred:,.0f}/s", ""),
            ("cost each, 10,000 against 100", f"{hundred / many:.2f} ×", "at most 1.3 ×"),
            ("with 200,000 done behind", f"{many / behind:.2f} × slower", "at most 1.2 ×"),
        ],
    )


if __name__ == "__main__":
    main()
