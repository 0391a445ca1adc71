"""The evening: a script of viewing in an empty data folder with fake trackers, compared with what it should come to."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import httpx
import orjson
from rich.console import Console
from rich.table import Table
from sqlalchemy import Connection, func, select
from typing_extensions import TypedDict

from webhook import client, clock, trackers
from webhook import settings as environment
from webhook.accounts import accounts, keys
from webhook.accounts.credentials import Credentials
from webhook.accounts.seal import Seal
from webhook.demo.catalogue import trakt_catalogue
from webhook.demo.script import EXPECTED_SUMMARY, Request, SummaryJson, scenes, tvtime_episodes, tvtime_movie
from webhook.demo.stage import (
    Announce,
    StageError,
    StartedJson,
    run_to_end,
    start_fakes,
    start_service,
    surroundings,
    teller,
)
from webhook.domain.states import DeliveryState
from webhook.people import identities, people
from webhook.queries.deliveries import count_by_state
from webhook.queries.plays import list_plays
from webhook.storage.db import Database
from webhook.storage.tables import delivery, webhook
from webhook.trackers import DeviceCode, SignInFailed, Tracker

PASSWORD = "an evening at home"
SETTLE_TIMEOUT = 30.0
"""Seconds within which a scene must end."""


# --- what runs


def run(*, port: int, as_json: bool) -> int:
    """Play the evening; returns exit code 1 if it differed from the script."""
    return run_to_end(lambda stack, folder: play_evening(stack, folder, port, as_json))


def play_evening(stack: ExitStack, folder: Path, port: int, as_json: bool) -> int:
    try:
        return asyncio.run(evening(set_up(stack, folder, port), teller(as_json), as_json=as_json))
    except SignInFailed as error:
        raise StageError(str(error)) from error


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """The running processes: the service and two fakes, with access to the service's data."""

    trakt: str
    tvtime: str
    service: StartedJson
    environ: Mapping[str, str]


def set_up(stack: ExitStack, folder: Path, port: int) -> Stage:
    """Start the fakes and then the service that is pointed at them, each a process of its own."""
    clean = surroundings()
    fakes = start_fakes(stack, ("trakt", "tvtime"), clean, folder)
    environ = {
        **clean,
        "DATA_DIR": str(folder),
        "PORT": str(port),
        "LOG_LEVEL": "warning",
        "CLAIM_FIRST_USER": "true",
        "TRAKT_CLIENT_ID": "fake-client-id",
        "TRAKT_CLIENT_SECRET": "fake-client-secret",
        "TRAKT_API_URL": fakes["trakt"],
        "TRAKT_AUTH_URL": fakes["trakt"],
        "TRAKT_WRITES_PER_SECOND": "0",
        "TVTIME_URL": fakes["tvtime"],
        "TVTIME_WRITES_PER_SECOND": "0",
    }
    service, _ = start_service(stack, environ, folder)
    return Stage(trakt=fakes["trakt"], tvtime=fakes["tvtime"], service=service, environ=environ)


@dataclass(frozen=True, slots=True)
class ServiceData:
    """The service's data, as a command beside it opens them; the `Parts` that accounts work with."""

    database: Database
    seal: Seal
    credentials: Credentials
    trackers: Mapping[str, Tracker]


async def evening(stage: Stage, told: Announce, *, as_json: bool) -> int:
    settings = environment.load(stage.environ)
    database = Database(settings.database, checkpoint=False)
    try:
        async with client.client() as http:
            sealed = keys.load_seal(settings, database)
            built = trackers.build(stage.environ, http)
            books = ServiceData(database, sealed, Credentials(database, sealed), built)
            announce(stage, told)
            await sign_in(stage, books, http, told)
            await play(stage, database, http, told)
            summary = await sum_up(stage, database, http)
            wanted: Mapping[str, object] = EXPECTED_SUMMARY
            wrong = [(name, found) for name, found in summary.items() if found != wanted[name]]
            event_lines(summary, told, as_json)
            for name, found in wrong:
                told(f"Not as scripted: {name} should be {wanted[name]}, and is {found}.")
            return int(bool(wrong))
    finally:
        database.close()


def announce(stage: Stage, told: Announce) -> None:
    told(f"Watchmark is at {stage.service['url']}")
    told(f"The fake Trakt is at {stage.trakt}, the fake TV Time at {stage.tvtime}")


async def sign_in(stage: Stage, books: ServiceData, http: httpx.AsyncClient, told: Announce) -> None:
    """Connect the first person to both trackers, with the sign-in methods of the real ones."""
    ready = [
        (f"{stage.trakt}/_control/switches", {"auto_approve": people.FIRST_PERSON, "interval": 1}),
        (f"{stage.trakt}/_control/catalogue", trakt_catalogue()),
        (f"{stage.tvtime}/_control/users", {"name": people.FIRST_PERSON, "password": PASSWORD}),
        (f"{stage.tvtime}/_control/movies", tvtime_movie()),
        *((f"{stage.tvtime}/_control/episodes", one) for one in tvtime_episodes()),
    ]
    for url, body in ready:
        (await http.post(url, json=body)).raise_for_status()
    me = books.database.do(claims)
    told("You are anna, on Plex and Jellyfin.")

    def show_code(code: DeviceCode) -> None:
        told(f"Trakt asks for the code {code.user_code} at {code.url}; the fake approves it automatically.")

    trakt = await accounts.connect_device(books, me, "trakt", show_code)
    tvtime = await accounts.connect_password(books, me, "tvtime", people.FIRST_PERSON, PASSWORD)
    for name, connected in (("Trakt", trakt), ("TV Time", tvtime)):
        if not connected.verdict.works:
            raise StageError(f"Signing in to {name} failed: {connected.verdict.reason}")
        told(f"You are signed in to {name} as {connected.verdict.name}.")


def claims(connection: Connection) -> int:
    for identity in ("plex:anna", "jellyfin:anna"):
        identities.claim_identities(connection, people.FIRST_PERSON, identity, clock.now())
    return int(people.find_person(connection, people.FIRST_PERSON).id)


async def play(stage: Stage, database: Database, http: httpx.AsyncClient, told: Announce) -> None:
    for scene in scenes():
        told(scene.says)
        if scene.trouble is not None:
            (await http.post(f"{stage.trakt}/_control/faults", json=scene.trouble)).raise_for_status()
        await wait_for_settlement(database, await send(stage, http, scene.sends()))


async def send(stage: Stage, http: httpx.AsyncClient, request: Request) -> int:
    """Send a request as a media server does; returns the webhook's id."""
    url = stage.service["webhooks"][request.source]
    answer = await http.post(url, content=request.body, headers={"Content-Type": request.content_type})
    if answer.status_code != request.answer:
        raise StageError(
            f"A webhook from {request.source} was answered with {answer.status_code}: {answer.text}"
        )
    return int(answer.json()["webhook"])


async def wait_for_settlement(database: Database, webhook_id: int) -> None:
    """Wait until a webhook is interpreted and none of its deliveries waits."""
    ends = time.monotonic() + SETTLE_TIMEOUT
    while not await database.read(lambda connection: at_rest(connection, webhook_id)):
        if time.monotonic() > ends:
            raise StageError(f"Webhook {webhook_id} was not finished within {SETTLE_TIMEOUT:.0f} seconds.")
        await asyncio.sleep(0.02)


def at_rest(connection: Connection, webhook_id: int) -> bool:
    state = connection.execute(select(webhook.c.state).where(webhook.c.id == webhook_id)).scalar()
    waits = select(delivery.c.id).where(delivery.c.state == DeliveryState.WAITING).limit(1)
    return state not in (None, "received") and connection.execute(waits).first() is None


# --- what came of it


async def sum_up(stage: Stage, database: Database, http: httpx.AsyncClient) -> SummaryJson:
    webhooks = select(webhook.c.state, func.count()).group_by(webhook.c.state)
    counted = await database.read(lambda connection: dict(map(tuple, connection.execute(webhooks).all())))
    plays = await database.read(lambda connection: list_plays(connection)["items"])
    deliveries = await database.read(count_by_state)
    watched = Counter("watched" if one["watched_at"] else "unfinished" for one in plays)
    return {
        "webhooks": counted,
        "plays": dict(watched),
        "deliveries": deliveries,
        "trackers": {"trakt": await at_trakt(stage, http), "tvtime": await at_tvtime(stage, http)},
    }


async def at_trakt(stage: Stage, http: httpx.AsyncClient) -> dict[str, int]:
    me = await fake_state(stage.trakt, http)
    return {"watched": len(me["history"])}


async def at_tvtime(stage: Stage, http: httpx.AsyncClient) -> dict[str, int]:
    me = await fake_state(stage.tvtime, http)
    return {"episodes": len(me["watched"]), "movies": len(me["movies"])}


async def fake_state(fake: str, http: httpx.AsyncClient) -> FakeUserJson:
    """The state that a fake tracker holds for the first person."""
    state = (await http.get(f"{fake}/_control/state")).raise_for_status().json()
    found: FakeUserJson = state["users"][people.FIRST_PERSON]
    return found


class FakeUserJson(TypedDict, total=False):
    """What a fake tracker has of a person: Trakt a history, TV Time what was watched, and films."""

    history: list[object]
    watched: list[object]
    movies: list[object]


COUNTED: tuple[Literal["webhooks", "plays", "deliveries"], ...] = ("webhooks", "plays", "deliveries")
"""The parts of a summary that are counts."""


def event_lines(summary: SummaryJson, told: Announce, as_json: bool) -> None:
    if as_json:
        print(orjson.dumps(summary).decode(), flush=True)
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    for name, numbers in query_rows(summary):
        table.add_row(name, numbers)
    console = Console(width=100, markup=False, highlight=False)
    with console.capture() as captured:
        console.print(table)
    told(captured.get().rstrip())


def query_rows(summary: SummaryJson) -> Iterable[tuple[str, str]]:
    for part in COUNTED:
        yield part, count_text(summary[part])
    for name, numbers in summary["trackers"].items():
        yield f"at {name}", count_text(numbers)


def count_text(numbers: Mapping[str, int]) -> str:
    return ", ".join(
        f"{number} {name.removesuffix('s') if number == 1 else name}" for name, number in numbers.items()
    )
