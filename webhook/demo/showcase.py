"""The showcase: Watchmark on a household with two years of history, where something is playing."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import httpx
import orjson

from webhook import app as house
from webhook import client, clock, logs
from webhook.demo import catalogue, live
from webhook.demo.household import MIRA, THEO
from webhook.demo.populate import populate
from webhook.demo.stage import (
    FaultJson,
    StartedJson,
    run_to_end,
    start_fakes,
    start_painter,
    start_service,
    surroundings,
    teller,
)
from webhook.people import passwords, tokens

LOOPBACK_HOST, USUAL_PORT = "127.0.0.1", 8484
PASSWORD = "an evening at home"
SIMKL_FAULT: FaultJson = {"route": "/", "status": 503, "times": -1}


def show_household(*, port: int | None, fast: bool, as_json: bool) -> int:
    """Open the household and keep it going until Ctrl-C; returns exit code 1 if that failed."""
    chosen = usual_port() if port is None else port

    def perform(stack: ExitStack, folder: Path) -> int:
        demo = open_house(stack, folder, chosen)
        demo.announce(as_json)
        return asyncio.run(demo.stay(fast=fast))

    return run_to_end(perform)


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenHouse:
    """The running service with its fake trackers, and the link that signs in."""

    service: StartedJson
    link: str
    fakes: Mapping[str, str]
    process: subprocess.Popen[str]
    opened: datetime

    def announce(self, as_json: bool) -> None:
        if as_json:
            known = {**self.service, "welcome": self.link, "fakes": self.fakes}
            print(orjson.dumps(known).decode(), flush=True)
        show = teller(as_json)
        show("")
        show(f"  Open this link; it signs you in as {MIRA.name}, the owner:")
        show("")
        show(f"  {self.link}")
        show("")
        show(f"  Or sign in as {MIRA.name} with the password: {PASSWORD}")
        show(
            "  Everything is invented, and nothing leaves this machine. Ctrl-C ends the demo and deletes it."
        )

    async def stay(self, *, fast: bool) -> int:
        """Keep something playing until the service ends."""
        async with client.client() as http:
            playing = asyncio.create_task(live.play(self.service["webhooks"], http, self.opened, fast=fast))
            while self.process.poll() is None:  # noqa: ASYNC110 - a process of its own has no event to wait for
                await asyncio.sleep(0.5)
            playing.cancel()
        return 1


def usual_port() -> int:
    """The port of a Watchmark, or 0 for any where one is running already."""
    with socket.socket() as probe, suppress(OSError):
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((LOOPBACK_HOST, USUAL_PORT))
        return USUAL_PORT
    return 0


def open_house(stack: ExitStack, folder: Path, port: int) -> OpenHouse:
    """Start the fakes, fill the data folder while its posters are drawn, and start the service on it."""
    clean = surroundings()
    drawing = start_painter(stack, clean, folder)
    fakes = start_fakes(stack, ("trakt", "simkl"), clean, folder)
    environ = {
        **clean,
        "DATA_DIR": str(folder),
        "PORT": str(port),
        "LOG_LEVEL": "warning",
        "TRAKT_CLIENT_ID": "fake-client-id",
        "TRAKT_CLIENT_SECRET": "fake-client-secret",
        "TRAKT_API_URL": fakes["trakt"],
        "TRAKT_AUTH_URL": fakes["trakt"],
        "SIMKL_CLIENT_ID": "fake-client-id",
        "SIMKL_API_URL": fakes["simkl"],
    }
    opened = datetime.now(local_zone())
    secret = asyncio.run(fill(environ, fakes, opened))
    drawing.wait()  # the service reads which pictures there are as it starts
    service, process = start_service(stack, environ, folder)
    link = f"{service['url']}/welcome/{secret}"
    return OpenHouse(service=service, link=link, fakes=fakes, process=process, opened=opened)


async def fill(environ: Mapping[str, str], fakes: Mapping[str, str], opened: datetime) -> str:
    """Fill the data folder and return the secret of the owner's link."""
    logs.configure("text", "warning")
    async with client.client() as http:
        signed_in = await prepare_fakes(http, fakes)
    service, secret = house.open_service(environ), tokens.new_secret()
    try:
        home = populate(service, opened, signed_in, PASSWORD)
        owner_id = home.people[MIRA.name]
        service.database.do(
            lambda connection: passwords.invite(
                connection, secret, clock.now(), person_id=owner_id, asks_password=False
            )
        )
    finally:
        await service.http.aclose()
        service.database.close()
    return secret


def local_zone() -> ZoneInfo:
    """The time zone of this machine, so that the household's evenings are in the evening."""
    link = Path("/etc/localtime")
    names = [os.environ.get("TZ", "").lstrip(":"), str(link.resolve()).rpartition("zoneinfo/")[2]]
    hours = round((datetime.now().astimezone().utcoffset() or timedelta(0)) / timedelta(hours=1))
    for name in filter(None, names):
        with suppress(ZoneInfoNotFoundError, ValueError):
            return ZoneInfo(name)
    return ZoneInfo(f"Etc/GMT{-hours:+d}")


async def prepare_fakes(http: httpx.AsyncClient, fakes: Mapping[str, str]) -> dict[str, Mapping[str, str]]:
    """Teach the fake Trakt the catalogue, close the fake Simkl, and return Trakt's tokens by person."""
    (
        await http.post(f"{fakes['trakt']}/_control/catalogue", json=catalogue.trakt_catalogue())
    ).raise_for_status()
    (await http.post(f"{fakes['simkl']}/_control/faults", json=SIMKL_FAULT)).raise_for_status()
    signed_in: dict[str, Mapping[str, str]] = {}
    for taste in (MIRA, THEO):
        answer = await http.post(f"{fakes['trakt']}/_control/user", json={"name": taste.name.lower()})
        signed_in[taste.name] = answer.raise_for_status().json()
    return signed_in
