"""The commands that run the service: serve, work, demo."""

from __future__ import annotations

import asyncio
import resource
import signal
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer
import uvicorn
import uvloop
from sqlalchemy import Connection, insert, select
from sqlalchemy.engine import make_url
from starlette.types import ASGIApp

from webhook import app as house
from webhook import clock, logs, sources
from webhook import settings as environment
from webhook.cli._common import (
    Failed,
    Json,
    say,
)
from webhook.cli._desk import (
    database_of,
    ensure_data_dir,
)
from webhook.cli._protocol import MAX_CONNECTIONS, BoundedProtocol, Places
from webhook.cli._reload import Front
from webhook.cli._webhook_urls import webhook_urls
from webhook.network.proxies import TrustedProxies
from webhook.people import passwords, tokens
from webhook.service import Service
from webhook.settings import LOOPBACK, Environ, Settings
from webhook.storage import migrate
from webhook.storage.db import Database
from webhook.storage.tables import note
from webhook.system.loop_lag import settle_heap

ACCEPTORS = 8
"""Registrations of the listening socket with the event loop: libuv 1.45 and newer accepts one connection per
registration and round, so with a single one a webhook would wait a round for each client before it.
"""

BACKLOG = 2048
"""The listen backlog: connections waiting to be accepted."""

app = typer.Typer()


# --- serve


@app.command()
def serve(as_json: Json = False) -> None:
    """Run the service: receive webhooks and send plays to trackers."""
    environ, settings = load_settings()
    allow_connections()
    with migrate.hold_lock(settings.database), bind_socket(settings) as door:
        port = door.getsockname()[1]
        front = Front({**environ, "PORT": str(port)}, lambda: server.should_exit)
        with explain_bind_error(settings):
            door.listen(BACKLOG)
        link = welcome(front.service.database, front.service.settings, clock.now())
        first = front.service.database.do(note_start)
        server = Announced(
            bounds(front, lambda: front.service.settings.proxies),
            lambda: announce(front.service, link, as_json, first=first),
        )
        settle_heap()
        run_server(server, [door.dup() for _ in range(ACCEPTORS)])
        if not server.started or front.failed or has_crashed(front.service.tasks):
            raise typer.Exit(1)


def load_settings() -> tuple[Environ, Settings]:
    environ = environment.environment()
    settings = environment.load(environ)
    logs.configure(settings.log_format, settings.log_level)
    if len(settings.admin_password.get_secret_value()) > passwords.MAX_PASSWORD_LENGTH:
        raise Failed(f"ADMIN_PASSWORD is longer than {passwords.MAX_PASSWORD_LENGTH} characters.")
    ensure_data_dir(settings)
    database_of(settings).close()
    return environ, settings


@contextmanager
def bind_socket(settings: Settings) -> Iterator[socket.socket]:
    """Bind the socket without listening, so that the port is known or refused before the service is open."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as door:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Inherited by what it accepts: an answer is two writes, and must not wait for the first one's ACK.
        door.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if family == socket.AF_INET6:
            door.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        with explain_bind_error(settings):
            door.bind((settings.host, settings.port))
        yield door


@contextmanager
def explain_bind_error(settings: Settings) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        place = f"HOST={settings.host} PORT={settings.port}"
        raise Failed(f"Cannot listen on {place}: {error.strerror}. Choose another PORT.") from error


def bounds(application: ASGIApp, proxies: Callable[[], TrustedProxies]) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        loop="uvloop",
        http=partial(BoundedProtocol, places=Places(), proxies=proxies),  # type: ignore[arg-type]
        ws="none",  # the protocol that it would hand such a connection to has no bounds
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,  # the application looks at them itself, as TRUSTED_PROXIES says
        server_header=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=65,  # longer than the proxies before it, which else meet a closed door
        timeout_graceful_shutdown=10,
    )


def allow_connections() -> None:
    """Raise the process's limit of open files to the number of connections, if allowed; often it is 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * MAX_CONNECTIONS if hard == resource.RLIM_INFINITY else min(2 * MAX_CONNECTIONS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def run_server(server: uvicorn.Server, doors: list[socket.socket]) -> None:
    """Run the server until SIGTERM or SIGINT; the signal that uvicorn raises again at its end is ignored."""

    def stop(number: int, frame: object) -> None:
        server.should_exit = True

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        server.run(sockets=doors)
    except SystemExit as error:
        raise typer.Exit(1) from error
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def has_crashed(tasks: Iterable[asyncio.Task[Any]]) -> bool:
    """True if a task ended with an error, so that the supervisor of this process should restart it."""
    return any(not task.done() or (not task.cancelled() and task.exception()) for task in tasks)


STARTED = "started"
"""The name of the note that this installation was started before."""


def note_start(connection: Connection) -> bool:
    """Record the first start; returns True if this is it."""
    if connection.execute(select(note.c.name).where(note.c.name == STARTED)).first():
        return False
    connection.execute(insert(note), {"name": STARTED, "value": clock.stamp(clock.now())})
    return True


def announce(service: Service, link: str | None, as_json: bool, *, first: bool) -> None:
    """Announce the address; secrets are logged once, and printed for a script that asks."""
    address = service.settings.address
    found: dict[str, str] = {}
    if first or as_json:
        found = {name: about["url"] for name, about in webhook_urls(service, address).items()}
    shown = [f"Watchmark is at {address}"]
    if found:
        shown.append("Webhook addresses (setup steps: watchmark urls):")
        shown += [f"  {sources.modules()[name].LABEL:<10}{url}" for name, url in found.items()]
    else:
        shown.append("Webhook addresses: watchmark urls")
    if link:
        shown += [
            f"Set the owner's password (valid once, for 24 hours): {link}",
            *remote_hint(service.settings),
        ]
    say(as_json, {"url": address, "webhooks": found, "welcome": link}, *shown)


def remote_hint(settings: Settings) -> list[str]:
    """Advice for connecting from another machine if the address is a loopback one."""
    if settings.base_url or urlsplit(settings.address).hostname not in LOOPBACK:
        return []
    if settings.host in LOOPBACK:
        return [
            "  Only this machine can connect. To allow others, set HOST=0.0.0.0 and restart,",
            f"  or forward the port: ssh -L {settings.port}:localhost:{settings.port} THIS-MACHINE",
        ]
    if at := settings.lan_address:
        return [f"  From another machine, replace {settings.address} with {at}"]
    return ["  From another machine, replace localhost with this machine's name or address."]


class Announced(uvicorn.Server):
    """A server that announces when it accepts connections."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self.announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started:
            self.announce()


# --- the owner's password


def welcome(database: Database, settings: Settings, now: datetime) -> str | None:
    """The one-time sign-in link while the owner has no password; ADMIN_PASSWORD is one."""
    wanted = settings.admin_password.get_secret_value()
    owner = database.ask(passwords.find_owner)
    if owner is None:
        return None
    if wanted:
        if not passwords.verify_password(owner.password, wanted):
            kept = passwords.hash_password(wanted)
            database.do(lambda connection: passwords.set_password(connection, owner.id, kept))
        return None
    if owner.password:
        return None
    secret = tokens.new_secret()
    database.do(lambda connection: passwords.invite(connection, secret, now))
    return f"{settings.address}/welcome/{secret}"


# --- work


@app.command()
def work(as_json: Json = False) -> None:
    """Run a worker only: process and send what other machines receive."""
    environ, settings = load_settings()
    try:
        with migrate.hold_lock(settings.database):
            failed = uvloop.run(run_worker({**environ, "WORKER": "true"}, as_json))
    except migrate.AlreadyRunning as error:
        raise Failed(f"{error} Two processes can share the work on PostgreSQL: set DATABASE_URL.") from error
    if failed:
        raise typer.Exit(1)


async def run_worker(environ: Environ, as_json: bool) -> bool:
    """Run a worker until SIGTERM or SIGINT; returns True if a task failed."""
    ended = asyncio.Event()
    while True:
        service = house.open_service(environ)
        service.reopen = service.stop.set
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, end, service, ended)
        if ended.is_set():
            service.stop.set()
        settle_heap()
        async with house.run_service(service):
            where = make_url(service.settings.database).render_as_string(hide_password=True)
            say(as_json, {"working": True, "database": where}, f"Watchmark worker running on {where}")
            await service.stop.wait()
        if ended.is_set() or has_crashed(service.tasks):
            return has_crashed(service.tasks)


def end(service: Service, ended: asyncio.Event) -> None:
    """End the worker, rather than open it anew with changed settings."""
    ended.set()
    service.stop.set()


# --- demo


@app.command()
def demo(
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="8484 if it is free; 0 picks a free port.")
    ] = None,
    fast: Annotated[
        bool, typer.Option("--fast", help="No pauses: what is playing goes on every few seconds.")
    ] = False,
    once: Annotated[
        bool,
        typer.Option(
            "--once", help="Play a scripted evening in an empty Watchmark, print the result and exit."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Try Watchmark on an invented household with two years of history; no account needed."""
    from webhook.demo import evening, showcase

    if once:
        raise typer.Exit(evening.run(port=port or 0, as_json=as_json))
    raise typer.Exit(showcase.show_household(port=port, fast=fast, as_json=as_json))
