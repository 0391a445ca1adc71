"""The demo: a scripted evening of viewing on loopback, with fake trackers and no account anywhere."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson
from rich.console import Console
from rich.table import Table
from sqlalchemy import Connection, func, select

from webhook import client, clock, trackers
from webhook import settings as environment
from webhook.accounts import accounts, keys, settings_store
from webhook.accounts.credentials import Credentials, Seal
from webhook.demo.script import CATALOGUE, EXPECTED_SUMMARY, JsonObject, Request, scenes
from webhook.domain.states import DeliveryState
from webhook.people import identities, people
from webhook.queries.deliveries import count_by_state
from webhook.queries.plays import list_plays
from webhook.settings import SettingsError
from webhook.storage.db import Database
from webhook.storage.tables import delivery, webhook
from webhook.system import resources
from webhook.trackers import DeviceCode, SignInFailed, Tracker

Announce = Callable[[str], None]

PASSWORD = "an evening at home"
SCENE_PAUSE = 4.0
"""Seconds between two scenes for viewers."""

SETTLE_TIMEOUT = 30.0
"""Seconds within which a scene must end."""


class NotAsScripted(Exception):
    """The evening differed from the script; the message says where."""


# --- what runs


def run(*, port: int, fast: bool, once: bool, as_json: bool) -> int:
    """Play the evening and, unless `once`, keep running; returns exit code 1 if it differed from the script."""
    told = teller(as_json)
    before = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    try:
        with ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="watchmark-demo-"))
            stage = set_up(stack, Path(folder), port, paced=not (fast or once))
            return asyncio.run(evening(stage, told, fast=fast or once, once=once, as_json=as_json))
    except (NotAsScripted, SignInFailed, SettingsError, httpx.HTTPError) as error:
        print(f"watchmark: {str(error) or type(error).__name__}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    finally:
        signal.signal(signal.SIGTERM, before)


def teller(as_json: bool) -> Announce:
    """Returns a function that prints sentences, on stderr if stdout is for a script."""
    return lambda sentence: print(sentence, file=sys.stderr if as_json else sys.stdout, flush=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """The running processes: the service and two fakes, with access to the service's data."""

    trakt: str
    tvtime: str
    service: Mapping[str, Any]
    process: subprocess.Popen[str]
    environ: Mapping[str, str]


def set_up(stack: ExitStack, folder: Path, port: int, *, paced: bool) -> Stage:
    """Start the fakes and then the service that is pointed at them, each a process of its own."""
    clean = surroundings()
    trakt, _ = stack.enter_context(process(fake("trakt"), clean, folder))
    tvtime, _ = stack.enter_context(process(fake("tvtime"), clean, folder))
    environ = {
        **clean,
        "DATA_DIR": str(folder),
        "PORT": str(port),
        "LOG_LEVEL": "warning",
        "CLAIM_FIRST_USER": "true",
        "TRAKT_CLIENT_ID": "fake-client-id",
        "TRAKT_CLIENT_SECRET": "fake-client-secret",
        "TRAKT_API_URL": trakt["url"],
        "TRAKT_AUTH_URL": trakt["url"],
        "TRAKT_WRITES_PER_SECOND": "1" if paced else "0",
        "TVTIME_URL": tvtime["url"],
        "TVTIME_WRITES_PER_SECOND": "1" if paced else "0",
    }
    serve = [sys.executable, "-m", "webhook", "serve", "--json"]
    service, running = stack.enter_context(process(serve, environ, folder))
    return Stage(trakt=trakt["url"], tvtime=tvtime["url"], service=service, process=running, environ=environ)


def surroundings() -> dict[str, str]:
    """The environment without Watchmark's settings and files, so that nothing real is touched."""
    ours = {
        environment.variable(prefix, field)
        for _, prefix, cls in settings_store.setting_groups()
        for field in cls.model_fields
    }
    kept = {name: value for name, value in os.environ.items() if name not in ours and name[-5:] != "_FILE"}
    paths = [str(resources.PACKAGE.parent), *filter(None, [kept.get("PYTHONPATH")])]
    return {**kept, "PYTHONPATH": os.pathsep.join(paths), "NO_PROXY": "127.0.0.1,localhost"}


def fake(name: str) -> list[str]:
    """The command that runs a fake tracker: in a wheel it lies in the package, in a checkout in tests."""
    try:
        folder = resources.folder("fakes")
    except FileNotFoundError:
        folder = resources.folder("tests/fakes")
    package = ".".join(folder.relative_to(resources.PACKAGE.parent).parts)
    return [sys.executable, "-m", f"{package}.{name}", "--port", "0"]


@contextmanager
def process(
    command: list[str], environ: Mapping[str, str], folder: Path
) -> Iterator[tuple[JsonObject, subprocess.Popen[str]]]:
    """Run a process and yield the JSON of its first line; it is terminated at the end.

    In a session of its own, so that a Ctrl-C is answered in order: the service first.
    """
    running = subprocess.Popen(
        command, env=dict(environ), cwd=folder, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert running.stdout is not None
        line = running.stdout.readline()
        if not line:
            raise NotAsScripted(f"{' '.join(command[1:4])} did not start.")
        yield orjson.loads(line), running
    finally:
        running.terminate()
        try:
            running.wait(20)
        except subprocess.TimeoutExpired:
            running.kill()
        if running.stdout is not None:
            running.stdout.close()


@dataclass(frozen=True, slots=True)
class ServiceData:
    """The service's data, as a command beside it opens them; the `Parts` that accounts work with."""

    database: Database
    seal: Seal
    credentials: Credentials
    trackers: Mapping[str, Tracker]


async def evening(stage: Stage, told: Announce, *, fast: bool, once: bool, as_json: bool) -> int:
    settings = environment.load(stage.environ)
    database = Database(settings.database, checkpoint=False)
    try:
        async with client.client() as http:
            sealed = keys.load_seal(settings, database)
            built = trackers.build(stage.environ, http)
            books = ServiceData(database, sealed, Credentials(database, sealed), built)
            announce(stage, told, as_json and not once)
            await sign_in(stage, books, http, told)
            await play(stage, database, http, told, fast=fast)
            summary = await sum_up(stage, database, http)
            wrong = [name for name, wanted in EXPECTED_SUMMARY.items() if summary[name] != wanted]
            event_lines(summary, told, as_json and once)
            for name in wrong:
                told(f"Not as scripted: {name} should be {EXPECTED_SUMMARY[name]}, and is {summary[name]}.")
            if once:
                return int(bool(wrong))
            told(f"The evening is over. Look around: {stage.service['url']}  (Ctrl-C to quit)")
            return await stay(stage)
    finally:
        database.close()


def announce(stage: Stage, told: Announce, as_json: bool) -> None:
    if as_json:
        fakes = {"trakt": stage.trakt, "tvtime": stage.tvtime}
        print(orjson.dumps({**stage.service, "fakes": fakes}).decode(), flush=True)
    told(f"Watchmark is at {stage.service['url']}")
    told(f"Sign in as the owner with this link: {stage.service['welcome']}")
    told(f"The fake Trakt is at {stage.trakt}, the fake TV Time at {stage.tvtime}")


async def sign_in(stage: Stage, books: ServiceData, http: httpx.AsyncClient, told: Announce) -> None:
    """Connect the first person to both trackers, with the sign-in methods of the real ones."""
    ready = [
        (f"{stage.trakt}/_control/switches", {"auto_approve": people.FIRST_PERSON, "interval": 1}),
        (f"{stage.trakt}/_control/catalogue", CATALOGUE),
        (f"{stage.tvtime}/_control/users", {"name": people.FIRST_PERSON, "password": PASSWORD}),
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
            raise NotAsScripted(f"Signing in to {name} failed: {connected.verdict.reason}")
        told(f"You are signed in to {name} as {connected.verdict.name}.")


def claims(connection: Connection) -> int:
    for identity in ("plex:anna", "jellyfin:anna"):
        identities.claim_identities(connection, people.FIRST_PERSON, identity, clock.now())
    return int(people.find_person(connection, people.FIRST_PERSON).id)


async def play(
    stage: Stage, database: Database, http: httpx.AsyncClient, told: Announce, *, fast: bool
) -> None:
    for scene in scenes(trouble=1 if fast else 2):
        told(scene.says)
        if scene.trouble is not None:
            (await http.post(f"{stage.trakt}/_control/faults", json=scene.trouble)).raise_for_status()
        webhook_id = await send(stage, http, scene.sends())
        await wait_for_settlement(database, webhook_id)
        await asyncio.sleep(0 if fast else SCENE_PAUSE)


async def send(stage: Stage, http: httpx.AsyncClient, request: Request) -> int:
    """Send a request as a media server does; returns the webhook's id."""
    url = stage.service["webhooks"][request.source]
    answer = await http.post(url, content=request.body, headers={"Content-Type": request.content_type})
    if answer.status_code != request.answer:
        raise NotAsScripted(
            f"A webhook from {request.source} was answered with {answer.status_code}: {answer.text}"
        )
    return int(answer.json()["webhook"])


async def wait_for_settlement(database: Database, webhook_id: int) -> None:
    """Wait until a webhook is interpreted and none of its deliveries waits."""
    ends = time.monotonic() + SETTLE_TIMEOUT
    while not await database.read(lambda connection: at_rest(connection, webhook_id)):
        if time.monotonic() > ends:
            raise NotAsScripted(f"Webhook {webhook_id} was not finished within {SETTLE_TIMEOUT:.0f} seconds.")
        await asyncio.sleep(0.02)


def at_rest(connection: Connection, webhook_id: int) -> bool:
    state = connection.execute(select(webhook.c.state).where(webhook.c.id == webhook_id)).scalar()
    waits = select(delivery.c.id).where(delivery.c.state == DeliveryState.WAITING).limit(1)
    return state not in (None, "received") and connection.execute(waits).first() is None


async def stay(stage: Stage) -> int:
    """Wait until Ctrl-C or the end of the service."""
    while stage.process.poll() is None:  # noqa: ASYNC110 - a process of its own has no event to wait for
        await asyncio.sleep(0.5)
    return 1


# --- what came of it


async def sum_up(stage: Stage, database: Database, http: httpx.AsyncClient) -> JsonObject:
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


async def fake_state(fake: str, http: httpx.AsyncClient) -> JsonObject:
    """The state that a fake tracker holds for the first person."""
    state = (await http.get(f"{fake}/_control/state")).raise_for_status().json()
    found: JsonObject = state["users"][people.FIRST_PERSON]
    return found


def event_lines(summary: Mapping[str, Any], told: Announce, as_json: bool) -> None:
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


def query_rows(summary: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for name in ("webhooks", "plays", "deliveries"):
        yield name, count_text(summary[name])
    for name, numbers in summary["trackers"].items():
        yield f"at {name}", count_text(numbers)


def count_text(numbers: Mapping[str, int]) -> str:
    return ", ".join(
        f"{number} {name.removesuffix('s') if number == 1 else name}" for name, number in numbers.items()
    )
