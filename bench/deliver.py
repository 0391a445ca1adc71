"""Delivering: from POST to the call at the tracker, and how a slow tracker leaves the door alone."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import Connection, select

from bench import payloads
from bench.servers import process, service, table, wrk
from webhook import app, clock, logs
from webhook.accounts import accounts
from webhook.domain.event import Action, Episode, Ids
from webhook.people import identities, people
from webhook.queues import outbox
from webhook.queues.outbox import NewDelivery
from webhook.storage.tables import account

ONE_BY_ONE = 200
PEOPLE, EACH = 100, 20
TOKENS = {
    "access_token": "bench",
    "refresh_token": "bench",
    "created_at": 4_000_000_000,
    "expires_in": 604_800,
}


def settings(tracker: str) -> dict[str, str]:
    app_of = {"TRAKT_CLIENT_ID": "bench", "TRAKT_CLIENT_SECRET": "bench", "TRAKT_WRITES_PER_SECOND": "0"}
    return {**app_of, "TRAKT_API_URL": tracker, "TRAKT_AUTH_URL": tracker}


def sign_in(data: str, tracker: str, names: list[str]) -> None:
    """Give people accounts at the tracker, before the service starts."""
    opened = app.open_service({"DATA_DIR": data, **settings(tracker)})

    def prepared(connection: Any) -> None:
        for name in names:
            known = name == "me"
            person = (
                people.find_person(connection, name).id
                if known
                else people.add_person(connection, name, opened.started_at)
            )
            sealed = opened.seal.seal(TOKENS)
            accounts.store_tokens(
                connection, person, opened.trackers["trakt"], sealed, name, opened.started_at
            )
            if not known:
                identities.claim_identities(connection, name, f"plex:{name}", opened.started_at)

    opened.database.do(prepared)
    opened.database.close()


@contextlib.contextmanager
def running(tracker: str, names: list[str]) -> Any:
    folder = tempfile.mkdtemp(prefix="bench")
    sign_in(folder, tracker, names)
    with service(DATA_DIR=folder, **settings(tracker)) as (_, ready):
        yield ready


async def arrivals(tracker: str, count: int, seconds: float = 60.0) -> list[float]:
    """When each call arrived at the tracker, once so many have."""
    async with httpx.AsyncClient() as http:
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            times: list[float] = (await http.get(f"{tracker}/_times")).json()
            if len(times) >= count:
                return times
            await asyncio.sleep(0.02)
    raise SystemExit(f"only {len(times)} of {count} calls arrived within {seconds:.0f} s")


async def one_by_one(url: str, tracker: str) -> list[float]:
    """Milliseconds from sending a webhook to its call arriving, one after another."""
    took = []
    async with httpx.AsyncClient() as http:
        for number in range(ONE_BY_ONE):
            body = payloads.multipart(payloads.plex("media.scrobble", number))
            await http.delete(f"{tracker}/_times")
            began = time.time()
            (await http.post(url, content=body, headers=payloads.HEADERS)).raise_for_status()
            (arrived,) = await arrivals(tracker, 1)
            took.append((arrived - began) * 1000)
            await asyncio.sleep(0.01)
    return took


async def burst(url: str, tracker: str) -> float:
    """Webhooks a second of many people, from the first POST to the last call at the tracker."""
    bodies = [
        payloads.multipart(payloads.plex("media.scrobble", number, f"user{person}"))
        for number in range(EACH)
        for person in range(PEOPLE)
    ]
    gate = asyncio.Semaphore(16)
    async with httpx.AsyncClient(timeout=60) as http:

        async def post(body: bytes) -> None:
            async with gate:
                (await http.post(url, content=body, headers=payloads.HEADERS)).raise_for_status()

        await http.delete(f"{tracker}/_times")
        began = time.time()
        await asyncio.gather(*(post(body) for body in bodies))
        times = await arrivals(tracker, len(bodies))
    return len(bodies) / (max(times) - began)


async def drained(tracker: str) -> float:
    """Deliveries a second that already wait over a hundred accounts, each a call over real HTTP."""
    folder = tempfile.mkdtemp(prefix="bench")
    names = [f"user{number}" for number in range(PEOPLE)]
    sign_in(folder, tracker, names)
    service = app.open_service({"DATA_DIR": folder, **settings(tracker)})
    service.database.do(lambda connection: waiting(connection, PEOPLE * EACH))
    async with httpx.AsyncClient() as http:
        await http.delete(f"{tracker}/_times")
    stop = asyncio.Event()
    began = time.time()
    task = asyncio.create_task(service.dispatcher.run(stop, asyncio.Event()))
    times = await arrivals(tracker, PEOPLE * EACH)
    stop.set()
    await task
    await service.http.aclose()
    service.database.close()
    return len(times) / (max(times) - began)


def waiting(connection: Connection, count: int) -> None:
    rows = connection.execute(select(account.c.id).where(account.c.tracker == "trakt")).scalars().all()
    now = clock.now()
    for number in range(count):
        item = Episode(show="Tidewater", season=1, number=number, ids=Ids(tvdb=7_000_000 + number))
        key = f"watched:{number}"
        made = NewDelivery(
            account_id=rows[number % len(rows)], action=Action.STOP, key=key, item=item, at=now, mark=True
        )
        outbox.enqueue(connection, made, now)


def acknowledged(delay: str) -> float:
    """Acknowledged a second at 16 connections, with a tracker that takes this many milliseconds."""
    with process("-m", "bench.tracker", delay, core="1") as (_, tracker), running(tracker, ["me"]) as ready:
        script = payloads.script(
            Path(tempfile.mkdtemp()), payloads.multipart(payloads.plex("media.scrobble"))
        )
        wrk(ready["webhooks"]["plex"], 16, 1, script)
        return wrk(ready["webhooks"]["plex"], 16, 3, script).per_second


def main() -> None:
    logs.configure("text", "error")
    with process("-m", "bench.tracker", "0", core="1") as (_, tracker):
        with running(tracker, ["me"]) as ready:
            took = sorted(asyncio.run(one_by_one(ready["webhooks"]["plex"], tracker)))
        with running(tracker, [f"user{number}" for number in range(PEOPLE)]) as ready:
            whole = asyncio.run(burst(ready["webhooks"]["plex"], tracker))
        delivered = asyncio.run(drained(tracker))
    slow, quick = acknowledged("150"), acknowledged("0")
    table(
        "Delivering (real HTTP, loopback)",
        [
            ("POST to tracker, p50", f"{statistics.median(took):.1f} ms", "at most 10, aim 5 (fastest rival 1.6, storing nothing)"),
            ("POST to tracker, p99", f"{took[int(len(took) * 0.99)]:.1f} ms", ""),
            ("waiting over 100 accounts", f"{delivered:,.0f} deliveries/s", "at least 500"),
            ("the whole way, 100 people", f"{whole:,.0f} webhooks/s", "received, interpreted, delivered"),
            ("acknowledged, tracker takes 150 ms", f"{slow:,.0f}/s", f"the same as with an instant one: {quick:,.0f}/s"),
            ("of that", f"{slow / quick:.2f}", "1"),
        ],
    )  # fmt: skip


if __name__ == "__main__":
    main()
