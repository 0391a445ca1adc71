"""The command `watchmark`: what a person, or a script, has Watchmark do."""

from __future__ import annotations

import asyncio
import getpass
import os
import secrets
import shutil
import signal
import socket
import sqlite3
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import httpx
import orjson
import typer
import uvicorn
import uvloop
from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError
from rich.console import Console
from rich.progress import track
from rich.table import Table
from sqlalchemy import Connection, Row, delete, func, insert, inspect, select, update
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DatabaseError
from typer.core import TyperGroup
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from webhook import accounts as account_book
from webhook import app as house
from webhook import (
    backup,
    clock,
    guids,
    inbox,
    logs,
    matches,
    notices,
    outbox,
    people,
    remote,
    rules,
    schema,
    sources,
    trace,
    trackers,
)
from webhook import identity as item_identity
from webhook import settings as environment
from webhook.accounts import AccountError, Connected, Verdict
from webhook.credentials import Credentials, Seal, any_sealed, opens, rekey, seal
from webhook.db import Database, Unavailable
from webhook.event import REASONS, Action, Kind
from webhook.history import stamp
from webhook.interpreter import Interpreter
from webhook.outcome import Undelivered
from webhook.settings import Environ, Settings, SettingsError
from webhook.tables import delivery, note, person, webhook
from webhook.tables import identity as identity_table
from webhook.tables import token as token_table
from webhook.trackers import DeviceCode, SignInFailed, Tracker

T = TypeVar("T")

WELCOME = "welcome"
WELCOME_LASTS = timedelta(hours=24)
SHORTEST = 8  # characters of a password, as on the pages
SHORTEST_KEY = 16
CHUNK = 500
STUCK = ("unmatched", "parked", "dead")
"""What `retry --all` means; what was skipped or expired is retried only when it is named."""


class Failed(Exception):
    """It could not be done; the message is for the person."""


FRIENDLY = (
    SettingsError,
    people.Unknown,
    Unavailable,
    schema.Occupied,
    SignInFailed,
    AccountError,
    Undelivered,
    DatabaseError,
    backup.BackupError,
    Failed,
    matches.NoMatch,
)


class Plainly(TyperGroup):
    """Says in a sentence what went wrong, and ends with 1."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except FRIENDLY as error:
            typer.echo(f"watchmark: {plain(sentence(error))}", err=True)
            raise typer.Exit(1) from error


def sentence(error: Exception) -> str:
    if isinstance(error, Unavailable):
        return f"the database cannot be used now: {error}. Run: watchmark doctor"
    if isinstance(error, DatabaseError):
        return f"the database cannot be used: {error.orig}. Run: watchmark doctor"
    return str(error)


quiet: dict[str, Any] = {"pretty_exceptions_enable": False, "add_completion": False}
app = typer.Typer(name="watchmark", cls=Plainly, no_args_is_help=True, **quiet)
token_app = typer.Typer(no_args_is_help=True, help="The tokens that let webhooks and scripts in.")
people_app = typer.Typer(no_args_is_help=True, help="People, and the identities they claim.")
accounts_app = typer.Typer(invoke_without_command=True)
app.add_typer(token_app, name="token")
app.add_typer(people_app, name="people")
app.add_typer(accounts_app, name="accounts")

Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout and nothing else.")]
Whose = Annotated[
    str | None, typer.Option("--person", help="Whose; may be left out while there is only one.")
]
Which = Annotated[str, typer.Argument(metavar="TRACKER", help="For example trakt or tvtime.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="A person's name.")]
Spelled = Annotated[str, typer.Argument(metavar="SOURCE:USER", help="For example plex:Anna.")]
Numbers = Annotated[list[int] | None, typer.Argument(metavar="ID...", help="By number.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]
Everything = Annotated[bool, typer.Option("--all", help="All of them.")]
Words = Annotated[list[str] | None, typer.Option()]


def main() -> None:
    app()


@app.callback()
def beginning() -> None:
    """Keeps every play your Plex, Jellyfin or Emby reports, and tells your trackers."""
    logs.configure("text", "warning")


# --- what is open, and how it is said


@dataclass(frozen=True, slots=True)
class Desk:
    """What a command has open; it is the `Parts` that accounts work with."""

    settings: Settings
    environ: Environ
    database: Database
    seal: Seal
    credentials: Credentials
    http: httpx.AsyncClient
    trackers: Mapping[str, Tracker]

    def run(self, work: Awaitable[T]) -> T:
        async def to_the_end() -> T:
            async with self.http:
                return await work

        return asyncio.run(to_the_end())


@contextmanager
def opened() -> Iterator[Desk]:
    """The data of the service that these settings mean, whether it runs or not."""
    environ = environment.environment()
    settings = environment.load(environ)
    prepare(settings, environ)
    with closing(database_of(settings)) as database:
        yield desk(settings, environ, database)


def desk(settings: Settings, environ: Environ, database: Database) -> Desk:
    http = remote.client()
    sealed = seal(settings, database)
    built = house.build_trackers(environ, http)
    return Desk(settings, environ, database, sealed, Credentials(database, sealed), http, built)


@contextmanager
def closing(database: Database) -> Iterator[Database]:
    try:
        yield database
    finally:
        database.close()


def prepare(settings: Settings, environ: Environ) -> None:
    """A database that is new is made first, with its first person and token."""
    furnish(settings)
    with closing(database_of(settings)) as database:
        new = not database.ask(has_tables)
    if new:
        service = house.open_service(environ)
        asyncio.run(service.http.aclose())
        service.database.close()


def has_tables(connection: Connection) -> bool:
    return inspect(connection).has_table("alembic_version")


def furnish(settings: Settings) -> None:
    """The data folder, there and writable."""
    folder = settings.data_dir
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"DATA_DIR={folder} cannot be made: {error.strerror}") from error
    if not os.access(folder, os.W_OK):
        raise SettingsError(f"DATA_DIR={folder} cannot be written to by this user.")


def database_of(settings: Settings) -> Database:
    try:
        return Database(settings.database, checkpoint=False)
    except ArgumentError as error:
        raise SettingsError(
            "DATABASE_URL is no address of a database: sqlite:///… or postgresql://…"
        ) from error
    except ModuleNotFoundError as error:
        raise SettingsError("DATABASE_URL names PostgreSQL; install watchmark[postgres].") from error


def say(as_json: bool, value: Any, *lines: str) -> None:
    """The value for a script, or the lines for a person."""
    shown = [orjson.dumps(value).decode()] if as_json else [plain(line) for line in lines]
    for line in shown:
        typer.echo(line)
    sys.stdout.flush()


def plain(text: str) -> str:
    """Without what would steer the terminal: titles and names come from elsewhere."""
    return "".join(letter if letter.isprintable() or letter in "\n\t" else "�" for letter in text)


def tabled(headings: Sequence[str], rows: Iterable[Sequence[Any]], empty: str) -> None:
    shown = [["" if cell is None else plain(str(cell)) for cell in row] for row in rows]
    if not shown:
        typer.echo(empty)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in shown:
        table.add_row(*row)
    width = None if sys.stdout.isatty() else 200
    Console(width=width, markup=False, highlight=False, emoji=False).print(table)


def counted(number: int, one: str) -> str:
    return f"{number} {one}" if number == 1 else f"{number} {one}s"


def somebody(connection: Connection, name: str | None) -> Row[Any]:
    """The person of that name, or the only one there is."""
    if name is not None:
        return people.by_name(connection, name)
    everybody = connection.execute(select(person).order_by(person.c.id)).all()
    if len(everybody) == 1:
        return everybody[0]
    names = ", ".join(row.name for row in everybody)
    raise typer.BadParameter(f"Say whose: --person NAME. There is {names or 'nobody yet'}.")


# --- serve, work, demo

HEAD_TIME = 15.0
"""Seconds in which the head of a request must have come; uvicorn itself would wait for ever."""

BODY_TIME = 30.0
"""Seconds for what follows it. Whoever reads a body allows less; this ends what nobody reads."""


class Bounded(HttpToolsProtocol):
    """Hangs up on who sends a request slowly, so that nobody can keep all doors open at no cost."""

    part = ""  # of a request that is under way: its head, its body, or none
    number = 0
    watched: tuple[int, str] | None = None
    patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.part = "head"
        self.watch()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.part = ""
        self.watch()

    def data_received(self, data: bytes) -> None:
        self.part = self.part or "head"
        super().data_received(data)
        self.watch()

    def on_headers_complete(self) -> None:
        self.part = "body"
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self.part = ""
        self.number += 1
        super().on_message_complete()

    def on_message_begin(self) -> None:
        self.part = "head"
        super().on_message_begin()

    def watch(self) -> None:
        """Time runs for each part of a request from its beginning, however much of it trickles in."""
        now = (self.number, self.part) if self.part else None
        if now == self.watched:
            return
        if self.patience is not None:
            self.patience.cancel()
        self.watched, self.patience = now, None
        if now is not None:
            seconds = HEAD_TIME if self.part == "head" else BODY_TIME
            self.patience = self.loop.call_later(seconds, self.hang_up)

    def hang_up(self) -> None:
        if not self.transport.is_closing():
            self.transport.abort()


class Announced(uvicorn.Server):
    """A server that says so when it can be reached."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self.announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started:
            self.announce()


@app.command()
def serve(as_json: Json = False) -> None:
    """Bring the database up to date, then receive and deliver."""
    environ, settings = starting()
    with schema.occupying(settings.database), listening(settings) as door:
        port = door.getsockname()[1]
        service = house.open_service({**environ, "PORT": str(port)})
        link = welcome(service.database, service.settings, clock.now())
        server = Announced(serving(service), lambda: announce(service, link, as_json))
        run_server(server, door)
        if not server.started or broken(service.tasks):
            raise typer.Exit(1)


def starting() -> tuple[Environ, Settings]:
    environ = environment.environment()
    settings = environment.load(environ)
    logs.configure(settings.log_format, settings.log_level)
    furnish(settings)
    database_of(settings).close()
    return environ, settings


@contextmanager
def listening(settings: Settings) -> Iterator[socket.socket]:
    """The open door: bound before anything else, so that port 0 is known and a taken one is said."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        door = socket.create_server((settings.host, settings.port), family=family, backlog=2048)
        # Inherited by what it accepts: an answer is two writes, and must not wait for the first one's ACK.
        door.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError as error:
        place = f"HOST={settings.host} PORT={settings.port}"
        raise Failed(f"{place} cannot be listened on: {error.strerror}. Choose another PORT.") from error
    with door:
        yield door


def serving(service: house.Service) -> uvicorn.Config:
    return uvicorn.Config(
        house.web_app(service),
        loop="uvloop",
        http=Bounded,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=1000,
        timeout_keep_alive=65,  # longer than the proxies before it, which else meet a closed door
        timeout_graceful_shutdown=10,
    )


def run_server(server: uvicorn.Server, door: socket.socket) -> None:
    """Until SIGTERM or SIGINT. uvicorn raises the signal again at its end; here that is no news any more."""

    def stop(number: int, frame: object) -> None:
        server.should_exit = True

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        server.run(sockets=[door])
    except SystemExit as error:
        raise typer.Exit(1) from error
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def broken(tasks: Iterable[asyncio.Task[Any]]) -> bool:
    """Whether a part died; then whoever watches over this process is to start it again."""
    return any(not task.done() or (not task.cancelled() and task.exception()) for task in tasks)


def announce(service: house.Service, link: str | None, as_json: bool) -> None:
    address = service.settings.address
    found = {name: about["url"] for name, about in webhook_urls(service, address).items()}
    shown = [f"Watchmark is at {address}", "Webhook addresses (the steps for each: watchmark urls):"]
    shown += [f"  {sources.modules()[name].LABEL:<10}{url}" for name, url in found.items()]
    if link:
        shown.append(f"Set the owner's password, once, within 24 hours: {link}")
    say(as_json, {"url": address, "webhooks": found, "welcome": link}, *shown)


def welcome(database: Database, settings: Settings, now: datetime) -> str | None:
    """The one-time sign-in link while the owner has no password; ADMIN_PASSWORD is one."""
    wanted = settings.admin_password.get_secret_value()
    owner = database.ask(the_owner)
    if owner is None:
        return None
    if wanted:
        if not fits_hash(owner.password, wanted):
            database.do(lambda connection: set_password(connection, owner.id, wanted))
        return None
    if owner.password:
        return None
    secret = secrets.token_urlsafe(32)
    kept = {"digest": people.digest(secret), "expires_at": (now + WELCOME_LASTS).isoformat()}
    database.do(lambda connection: remember(connection, WELCOME, kept))
    return f"{settings.address}/welcome/{secret}"


def the_owner(connection: Connection) -> Row[Any] | None:
    return connection.execute(select(person).where(person.c.owner).order_by(person.c.id)).first()


def fits_hash(known: str | None, password: str) -> bool:
    try:
        return known is not None and PasswordHasher().verify(known, password)
    except (Argon2Error, InvalidHashError):
        return False


def set_password(connection: Connection, person_id: int, password: str) -> None:
    hashed = PasswordHasher().hash(password)
    connection.execute(update(person).where(person.c.id == person_id).values(password=hashed))


def remember(connection: Connection, name: str, value: Any) -> None:
    connection.execute(delete(note).where(note.c.name == name))
    connection.execute(insert(note).values(name=name, value=value))


@app.command()
def work(as_json: Json = False) -> None:
    """Only interpret and deliver, beside receivers on other machines."""
    environ, settings = starting()
    try:
        with schema.occupying(settings.database):
            failed = uvloop.run(working({**environ, "WORKER": "true"}, as_json))
    except schema.Occupied as error:
        raise Failed(f"{error} Two processes can share the work on PostgreSQL: set DATABASE_URL.") from error
    if failed:
        raise typer.Exit(1)


async def working(environ: Environ, as_json: bool) -> bool:
    """Until SIGTERM or SIGINT; whether a part died."""
    service = house.open_service(environ)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, service.stop.set)
    async with house.running(service):
        where = make_url(service.settings.database).render_as_string(hide_password=True)
        say(as_json, {"working": True, "database": where}, f"Watchmark delivers from {where}")
        await service.stop.wait()
    return broken(service.tasks)


@app.command()
def demo(
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="8484; 0 takes a free one.")] = None,
    fast: Annotated[bool, typer.Option("--fast", help="Without the pauses between the scenes.")] = False,
    once: Annotated[bool, typer.Option("--once", help="Play the evening, say what came of it, end.")] = False,
    as_json: Json = False,
) -> None:
    """Everything on loopback with fake trackers and a scripted evening, to look around without an account."""
    from webhook import demo as evening

    chosen = port if port is not None else (0 if once else 8484)
    raise typer.Exit(evening.run(port=chosen, fast=fast, once=once, as_json=as_json))


# --- urls and tokens


@app.command()
def urls(
    template: Annotated[
        str | None, typer.Option(metavar="SOURCE", help="Print what is pasted into this sender.")
    ] = None,
    as_json: Json = False,
) -> None:
    """The webhook addresses to paste, and the steps, for each source."""
    if template is not None:
        text = template_of(template)
        say(as_json, {"source": template, "template": text}, text)
        return
    with opened() as at:
        found = webhook_urls(at, at.settings.address)
    say(as_json, found, *(line for about in found.values() for line in steps(about)))


def template_of(name: str) -> str:
    source: Any = sources.modules().get(name)
    if source is None or not hasattr(source, "template"):
        there = ", ".join(known for known, one in sources.modules().items() if hasattr(one, "template"))
        raise Failed(f"There is no template for {name}; there is one for {there}.")
    return str(source.template())


def webhook_urls(at: Desk | house.Service, address: str) -> dict[str, Any]:
    """For each source its addresses, the one that is anybody's first, with the steps to set it up."""
    tokens = at.database.ask(webhook_tokens)
    if not tokens:
        raise Failed("There is no webhook token. Make one: watchmark token new --kind webhook")
    secret_of = {row.id: str(at.seal.open(row.sealed)) for row in tokens}
    found = {}
    for name, source in sources.modules().items():
        listed = [
            {
                "token": row.id,
                "name": row.name,
                "person": row.person,
                "url": sources.address(address, name, secret_of[row.id]),
            }
            for row in tokens
        ]
        template = f"{address}/api/v1/templates/{name}" if hasattr(source, "template") else None
        found[name] = {"label": source.LABEL, "url": listed[0]["url"], "urls": listed, "template": template}
        found[name]["setup"] = [step.replace("{url}", str(listed[0]["url"])) for step in source.SETUP]
    return found


def webhook_tokens(connection: Connection) -> list[Row[Any]]:
    wanted = (
        select(token_table, person.c.name.label("person"))
        .join(person, token_table.c.person_id == person.c.id, isouter=True)
        .where(token_table.c.kind == "webhook", token_table.c.revoked_at.is_(None))
        .order_by(token_table.c.person_id.is_not(None), token_table.c.id)
    )
    return list(connection.execute(wanted))


def steps(about: Mapping[str, Any]) -> Iterator[str]:
    yield about["label"]
    for entry in about["urls"]:
        named = ", ".join(filter(None, (entry["name"], entry["person"] and f"for {entry['person']}")))
        yield f"  {entry['url']}" + (f"   ({named})" if len(about["urls"]) > 1 and named else "")
    yield from (f"  {number}. {step}" for number, step in enumerate(about["setup"], 1))
    if about["template"]:
        name = about["template"].rsplit("/", 1)[1]
        yield f"  Template: watchmark urls --template {name}, or {about['template']}"
    yield ""


@token_app.command("new")
def token_new(
    kind: Annotated[Literal["webhook", "api"], typer.Option(help="For media servers, or for scripts.")],
    whose: Whose = None,
    name: Annotated[str | None, typer.Option(help="To tell it from the others.")] = None,
    as_json: Json = False,
) -> None:
    """Make a token. One for the API is shown only now; what comes with a person's token is that person's."""
    with opened() as at:
        secret = people.new_secret()
        sealed = at.seal.seal(secret) if kind == "webhook" else ""
        made = at.database.do(lambda connection: keep_token(connection, kind, secret, sealed, whose, name))
        shown = {"id": made, "kind": kind, "name": name, "person": whose, "secret": secret}
        if kind == "api":
            say(as_json, shown, secret)
            return
        found = {one: sources.address(at.settings.address, one, secret) for one in sources.modules()}
        say(as_json, {**shown, "urls": found}, *(f"{one:<10}{url}" for one, url in found.items()))


def keep_token(
    connection: Connection, kind: str, secret: str, sealed: str, whose: str | None, name: str | None
) -> int:
    owner = None if whose is None else people.by_name(connection, whose).id
    return people.keep_token(connection, kind, secret, sealed, clock.now(), name=name, person_id=owner)


@token_app.command("list")
def token_list(as_json: Json = False) -> None:
    """The tokens there are; their secrets are not shown."""
    with opened() as at:
        rows = at.database.ask(all_tokens)
    if as_json:
        say(True, {"tokens": rows})
        return
    columns = ("id", "kind", "name", "person", "created_at", "revoked_at")
    tabled(columns, [[row[name] for name in columns] for row in rows], "There is no token yet.")


def all_tokens(connection: Connection) -> list[dict[str, Any]]:
    wanted = select(token_table, person.c.name.label("person")).join(
        person, token_table.c.person_id == person.c.id, isouter=True
    )
    return [
        {
            "id": row.id,
            "kind": row.kind,
            "name": row.name,
            "person": row.person,
            "created_at": stamp(row.created_at),
            "revoked_at": stamp(row.revoked_at),
        }
        for row in connection.execute(wanted.order_by(token_table.c.id))
    ]


@token_app.command("revoke")
def token_revoke(
    number: Annotated[int, typer.Argument(metavar="ID", help="By number.")], as_json: Json = False
) -> None:
    """Let a token in no more; a running service refuses it within two seconds."""
    with opened() as at:
        at.database.do(lambda connection: people.revoke(connection, number, clock.now()))
    say(as_json, {"id": number, "revoked": True}, f"Token {number} is revoked.")


# --- people


@people_app.command("add")
def people_add(name: Name, as_json: Json = False) -> None:
    """Add a person; what needs no sign-in is theirs from the start."""

    def add(connection: Connection) -> int:
        now = clock.now()
        made = people.add(connection, name, now)
        account_book.add_homes(connection, at.trackers, made, now)
        return made

    with opened() as at:
        made = at.database.do(add)
    todo = f"Claim what is theirs: watchmark people claim {name} plex:USER"
    say(as_json, {"id": made, "name": name.strip()}, f"{name.strip()} is added. {todo}")


@people_app.command("list")
def people_list(as_json: Json = False) -> None:
    """Everybody with what they claim, and who was seen that nobody claims."""
    with opened() as at:
        everybody, nobodys = at.database.ask(trace.people), at.database.ask(trace.unclaimed)
    if as_json:
        say(True, {"people": everybody, "unclaimed": nobodys})
        return
    rows = [
        (
            one["name"],
            "owner" if one["owner"] else "",
            ", ".join(each["spelled"] for each in one["identities"]),
        )
        for one in everybody
    ]
    tabled(("person", "", "claims"), rows, "There is nobody yet.")
    for one in nobodys:
        waits = counted(one["webhooks"], "webhook")
        todo = f"watchmark people claim NAME {one['source']}:{one['user']}"
        say(False, None, f"Nobody claims {one['spelled']} ({waits}): {todo}")


@people_app.command("claim")
def people_claim(name: Name, identity: Spelled, as_json: Json = False) -> None:
    """Say that a user of a media server (SOURCE:USER or SOURCE:USER@SERVER) is this person."""
    known_source(identity)
    with opened() as at:
        ids, woken, seen = at.database.do(lambda connection: claim(connection, name, identity))
    shown = f"{name} claims {identity}."
    shown += "" if seen else " Nobody of that name was seen yet; it counts from the first time they play."
    shown += f" {counted(woken, 'webhook')} that waited for it will be interpreted now." if woken else ""
    say(as_json, {"person": name, "identity": identity, "identities": len(ids), "webhooks": woken}, shown)


def known_source(identity: str) -> None:
    source, *_ = people.spelled(identity)
    if source not in sources.modules():
        raise people.Unknown(f"there is no source called {source}; there is {', '.join(sources.modules())}")


def claim(connection: Connection, name: str, identity: str) -> tuple[list[int], int, bool]:
    """The identities, how many webhooks waited for them, and whether the user was ever seen."""
    before = waiting_for_a_claim(connection)
    ids = people.claim(connection, name, identity, clock.now())
    known = identity_table.c
    wanted = select(known.id).where(known.id.in_(ids), known.last_seen.is_not(None))
    seen = connection.execute(wanted.limit(1)).first() is not None
    return ids, before - waiting_for_a_claim(connection), seen


def waiting_for_a_claim(connection: Connection) -> int:
    wanted = select(func.count()).select_from(webhook).where(webhook.c.state == "unclaimed")
    return connection.execute(wanted).scalar_one()


@people_app.command("release")
def people_release(name: Name, identity: Spelled, as_json: Json = False) -> None:
    """Give up a claim; what was interpreted stays as it is."""
    with opened() as at:
        gone = at.database.do(lambda connection: people.release(connection, name, identity))
    shown = {"person": name, "identity": identity, "identities": gone}
    say(as_json, shown, f"{name} no longer claims {identity}.")


@people_app.command("filter")
def people_filter(
    name: Name,
    library: Words = None,
    not_library: Words = None,
    player: Words = None,
    not_player: Words = None,
    kind: Annotated[list[Kind] | None, typer.Option()] = None,
    home_videos: Annotated[bool | None, typer.Option("--home-videos/--no-home-videos")] = None,
    clear: Annotated[
        bool, typer.Option("--clear", help="Let everything through, but for what else is said.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Say what of a person's viewing counts. What is given replaces what was; nothing given shows it."""
    given = {
        "libraries": library,
        "not_libraries": not_library,
        "players": player,
        "not_players": not_player,
        "kinds": None if kind is None else [one.value for one in kind],
        "home_videos": home_videos,
    }
    wanted = {option: value for option, value in given.items() if value is not None}
    with opened() as at:
        filters = at.database.do(lambda connection: refilter(connection, name, wanted, clear))
    lines = [f"{option.replace('_', ' ')}: {listed(value)}" for option, value in filters.items()]
    say(as_json, {"person": name, "filters": filters}, *lines)


def refilter(connection: Connection, name: str, wanted: Mapping[str, Any], clear: bool) -> dict[str, Any]:
    row = people.by_name(connection, name)
    before = {} if clear else row.filters or {}
    filters = asdict(rules.Filters.from_json({**before, **wanted}))
    connection.execute(update(person).where(person.c.id == row.id).values(filters=filters))
    return filters


def listed(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(value) or "any"


@people_app.command("password")
def people_password(name: Name, as_json: Json = False) -> None:
    """Set a person's password, read from standard input."""
    with opened() as at:
        row = at.database.ask(lambda connection: people.by_name(connection, name))
        (password,) = asked(f"Password for {name}: ")
        if len(password) < SHORTEST:
            raise Failed(f"A password has at least {SHORTEST} characters.")
        at.database.do(lambda connection: set_password(connection, row.id, password))
    say(as_json, {"person": name, "password": True}, f"{name} has a new password.")


def asked(*prompts: str) -> list[str]:
    """A line of standard input for each prompt; on a terminal it is asked for, the last without echo."""
    if sys.stdin.isatty():
        *plainly, last = prompts
        given = [typer.prompt(prompt.rstrip(": "), err=True) for prompt in plainly] + [getpass.getpass(last)]
    else:
        given = [sys.stdin.readline().rstrip("\r\n") for _ in prompts]
    if not all(given):
        wanted = " and then the ".join(prompt.rstrip(": ").lower() for prompt in prompts)
        raise Failed(f"Nothing was given. Write on standard input, each on its line: the {wanted}.")
    return given


# --- accounts


@app.command()
def connect(tracker: Which, whose: Whose = None, as_json: Json = False) -> None:
    """Sign a person in to a tracker."""
    with opened() as at:
        owner = at.database.ask(lambda connection: somebody(connection, whose))
        built = account_book.built(at, tracker)
        signing_in = SIGN_INS.get(built.sign_in)
        if built.sign_in == "none":
            shown = {"tracker": tracker, "person": owner.name, "works": True, "sign_in": "none"}
            say(
                as_json, shown, f"{built.label} is the built-in library here: there is nothing to sign in to."
            )
            return
        if signing_in is None:
            raise Failed(f"{built.label} cannot be signed in to from here yet.")
        tell_connected(at, built, owner, signing_in(at, built, owner, as_json), as_json)


def by_device(at: Desk, tracker: Tracker, owner: Row[Any], as_json: bool) -> Connected:
    def shown(code: DeviceCode) -> None:
        seconds = int(code.expires_in.total_seconds())
        user_code = code.user_code or None  # by web auth there is none: the address says it all
        value = {"user_code": user_code, "verification_url": code.url, "expires_in": seconds}
        text = f"Open {code.url} and " + (f"type in {user_code}" if user_code else "agree there")
        lasts = f"Waiting for you to agree; the {'code' if user_code else 'page'} holds for {seconds // 60} minutes …"
        say(as_json, {**value, "interval": int(code.interval.total_seconds())}, text, lasts)

    return at.run(account_book.connect_device(at, owner.id, tracker.name, shown))


def by_password(at: Desk, tracker: Tracker, owner: Row[Any], as_json: bool) -> Connected:
    username, password = asked(f"{tracker.label} user name: ", f"{tracker.label} password: ")
    return at.run(account_book.connect_password(at, owner.id, tracker.name, username, password))


def by_token(at: Desk, tracker: Tracker, owner: Row[Any], as_json: bool) -> Connected:
    (token,) = asked(f"{tracker.label} token: ")
    return at.run(account_book.connect_token(at, owner.id, tracker.name, token))


SigningIn = Callable[[Desk, Tracker, Any, bool], Connected]
SIGN_INS: Mapping[str, SigningIn] = {
    "device": by_device,
    "web": by_device,
    "password": by_password,
    "token": by_token,
}


def tell_connected(at: Desk, tracker: Tracker, owner: Row[Any], connected: Connected, as_json: bool) -> None:
    verdict = connected.verdict
    shown = {"tracker": tracker.name, "person": owner.name, "account": connected.account_id}
    works = f"{owner.name} is signed in to {tracker.label} as {verdict.name}."
    fails = f"{owner.name} is signed in to {tracker.label}, but it does not work: {verdict.reason}"
    say(as_json, {**shown, **told(verdict)}, works if verdict.works else fails)
    if not verdict.works:
        raise typer.Exit(1)


def told(verdict: Verdict) -> dict[str, Any]:
    return {"works": verdict.works, "name": verdict.name, "reason": verdict.reason}


@accounts_app.callback()
def accounts(
    ctx: typer.Context,
    check: Annotated[
        bool, typer.Option("--check", help="Ask each service whether it works right now.")
    ] = False,
    as_json: Json = False,
) -> None:
    """What is connected, and whether it works. With --check the end is 1 when one does not."""
    if ctx.invoked_subcommand is not None:
        return
    with opened() as at:
        checked = at.run(check_all(at)) if check else {}
        rows = at.database.ask(trace.accounts)
    given_up = {row["id"] for row in rows if row["why"] == account_book.DISCONNECTED}
    shown = [row | ({"check": told(checked[row["id"]])} if row["id"] in checked else {}) for row in rows]
    if as_json:
        say(True, {"accounts": shown})
    else:
        show_accounts(shown)
    if any(not verdict.works for one, verdict in checked.items() if one not in given_up):
        raise typer.Exit(1)


async def check_all(at: Desk) -> dict[int, Verdict]:
    rows = await at.database.read(trace.accounts)
    verdicts = await asyncio.gather(*(account_book.check(at, row["id"]) for row in rows))
    return {row["id"]: verdict for row, verdict in zip(rows, verdicts, strict=True)}


def show_accounts(rows: Sequence[Mapping[str, Any]]) -> None:
    tabled(
        ("tracker", "person", "as", "state", "waits", "is told"),
        [
            (
                row["tracker"],
                row["person"],
                row["name"],
                row["state"],
                ", ".join(f"{number} {state}" for state, number in row["waits"].items()),
                ", ".join(row["tells"]),
            )
            for row in rows
        ],
        "Nothing is connected yet: watchmark connect trakt",
    )
    for row in rows:
        failed = row.get("check", {}).get("works") is False and row["check"]["reason"]
        if why := row["explanation"] or failed:
            say(False, None, f"{row['tracker']} of {row['person']}: {why}")


@accounts_app.command("tell")
def accounts_tell(
    tracker: Which,
    whose: Whose = None,
    on: Annotated[list[Action] | None, typer.Option("--on", help="Tell of this as well.")] = None,
    off: Annotated[list[Action] | None, typer.Option("--off", help="Do not tell of this.")] = None,
    as_json: Json = False,
) -> None:
    """Say what an account is told of, e.g. --on unwatched --off rate; neither shows it."""
    wanted = [(action, True) for action in on or ()] + [(action, False) for action in off or ()]

    async def switch(at: Desk, row: Row[Any]) -> list[str]:
        tells: list[str] = row.tells
        for action, state in wanted:
            tells = await account_book.switch(at, row.id, action, state)
        return tells

    with opened() as at:
        row = at.database.ask(lambda connection: whose_account(connection, whose, tracker))
        tells = at.run(switch(at, row))
    shown = {"tracker": tracker, "person": row.person, "tells": tells}
    say(as_json, shown, f"{tracker} of {row.person} is told of: {', '.join(tells) or 'nothing'}")


def whose_account(connection: Connection, whose: str | None, tracker: str) -> Row[Any]:
    return account_book.of(connection, somebody(connection, whose).id, tracker)


@app.command()
def disconnect(tracker: Which, whose: Whose = None, as_json: Json = False) -> None:
    """Give up a sign-in. What was told stays in the history; what waits, waits for the next sign-in."""
    with opened() as at:
        row = at.database.ask(lambda connection: whose_account(connection, whose, tracker))
        if tracker in at.trackers and at.trackers[tracker].sign_in == "none":
            off = f"watchmark accounts tell {tracker} --person {row.person} --off watched"
            raise Failed(f"There is no sign-in to give up. To tell it nothing any more: {off}")
        gone = at.run(account_book.disconnect(at, row.id))
    kept = "" if gone else " Its deliveries are kept; they go on after: watchmark connect " + tracker
    shown = {"tracker": tracker, "person": row.person, "removed": gone}
    say(as_json, shown, f"{tracker} of {row.person} is disconnected.{kept}")


# --- trace, replay, retry


@app.command("trace")
def trace_command(
    number: Annotated[int, typer.Argument(metavar="ID", help="A webhook's number.")], as_json: Json = False
) -> None:
    """Why was, or was not, this told: a webhook from its receipt to every answer."""
    with opened() as at:
        found = at.database.ask(lambda connection: whole_trace(connection, number))
    if found is None:
        raise Failed(f"There is no webhook {number}.")
    say(as_json, found, *story(found))


def whole_trace(connection: Connection, number: int) -> dict[str, Any] | None:
    found = trace.webhook_trace(connection, number)
    return None if found is None else item_identity.with_origins(connection, found)


def story(found: Mapping[str, Any]) -> Iterator[str]:
    yield f"Webhook {found['id']} from {found['source']}: {found['state']}"
    yield f"  received   {found['received_at']}" + (f" as {kind}" if (kind := found["content_type"]) else "")
    if found["explanation"]:
        yield f"  because    {found['explanation']}"
    for event in found["events"]:
        yield from event_story(event, found["state"], found["reason"])


def event_story(event: Mapping[str, Any], state: str, reason: str | None) -> Iterator[str]:
    far = "" if event["progress"] is None else f" at {event['progress']:g} %"
    yield f"  read as    {event['action']}: {named(event)}{far}"
    yield f"  happened   {event['at']}" + (f" on {event['player']}" if event["player"] else "")
    yield f"  whose      {event['person'] or 'nobody'}" + (f", {event['how']}" if event.get("how") else "")
    if event["person"]:
        stopped = REASONS.get(reason or "", reason)
        yield f"  filters    {stopped if state == 'ignored' else 'let it through'}"
    if event["play"]:
        yield f"  play       {event['play']}"
    for origin in event["item"]:
        yield f"  item       {origin_said(origin)}"
    if event["play"] and not event["deliveries"]:
        yield "  deliveries none: it told nothing that another report of this play had not"
    for entry in event["deliveries"]:
        yield from delivery_story(entry)


def origin_said(origin: Mapping[str, Any]) -> str:
    """An id, where it came from, how sure it is."""
    whose = "its show's " if origin["whose"] == "show" else ""
    sure = "" if origin["sure"] >= 1 else f", {origin['sure']:.0%} sure"
    return f"{whose}{origin['namespace']} {origin['value']} (from {origin['via']}{sure})"


def named(about: Mapping[str, Any]) -> str:
    """An item in words: its show and numbers, its title, its year."""
    numbered = about["season"] is not None and about["number"] is not None
    place = f"{about['season']}x{about['number']:02}" if numbered else None
    year = f"({about['year']})" if about["year"] and not about["show"] else None
    return " ".join(str(part) for part in (about["kind"], about["show"], place, about["title"], year) if part)


def delivery_story(entry: Mapping[str, Any]) -> Iterator[str]:
    tried = counted(entry["attempts"], "attempt")
    whose = f"{entry['tracker']} of {entry['person']}"
    yield f"  delivery {entry['id']}: {entry['action']} to {whose}: {entry['state']}, {tried}"
    for one in entry.get("tries", ()):
        took = "" if one["took_ms"] is None else f" in {one['took_ms']} ms"
        yield f"    {one['at']}  {one['outcome']}{took}: {one['reason'] or 'no word'}"
        for call in one["exchanges"]:
            yield f"      {call['method']} {call['url']} -> {call.get('status') or call.get('error')}"
    if entry["explanation"]:
        yield f"    {entry['explanation']}"
    if entry["due_at"]:
        yield f"    next at {entry['due_at']}"


@app.command()
def replay(
    ids: Numbers = None,
    state: Annotated[str | None, typer.Option(help="Webhooks in this state.")] = None,
    source: Annotated[str | None, typer.Option(help="Webhooks of this source.")] = None,
    everything: Everything = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Interpret webhooks again, by number or by what they are. It never counts a play twice."""
    selecting(ids, everything, state=state, source=source)
    with opened() as at:
        chosen = at.database.ask(lambda connection: replayable(connection, ids, state, source))
        told = rehearse(at, chosen) if dry_run else []
        count = len(chosen) if dry_run else in_parts(at.database, chosen, inbox.replay)
    would = "would be" if dry_run else "will be"
    shown = {"webhooks": count, "ids": chosen, "dry_run": dry_run, **({"would": told} if dry_run else {})}
    lines = [line for one in told for line in rehearsal_story(one)]
    say(as_json, shown, *lines, f"{counted(count, 'webhook')} {would} interpreted again.")


def rehearse(at: Desk, ids: Sequence[int]) -> list[dict[str, Any]]:
    """What interpreting them again would come to; done for a moment, and taken back."""
    audiences = house.audiences(at.trackers)
    interpreter = Interpreter(at.database, sources.read, audiences, at.settings.watched_mark)
    return trace.rehearsed(at.database, interpreter.one, ids)


def rehearsal_story(one: Mapping[str, Any]) -> Iterator[str]:
    because = f" ({REASONS.get(one['reason'], one['reason'])})" if one["reason"] else ""
    nothing = "" if one["deliveries"] else "; nothing new would be told"
    yield f"Webhook {one['webhook']} would be {one['state']}{because}{nothing}"
    for entry in one["deliveries"]:
        new = "a new delivery" if entry["id"] is None else f"delivery {entry['id']}"
        why = f" ({entry['reason']})" if entry["reason"] else ""
        whose = f"{entry['tracker']} of {entry['person']}"
        yield f"  {new}: {entry['action']} to {whose}: {named(entry)}: {entry['state']}{why}"


def selecting(ids: Sequence[int] | None, everything: bool, **filters: str | None) -> None:
    """Whether it is said which; by number and by filter at once is not understood."""
    filtered = any(value is not None for value in filters.values())
    if ids and (filtered or everything):
        raise typer.BadParameter("Name them by number or by filter, not both.")
    if not ids and not filtered and not everything:
        options = ", ".join(f"--{name}" for name in filters)
        raise typer.BadParameter(f"Say which: numbers, {options} or --all.")


def replayable(
    connection: Connection, ids: Sequence[int] | None, state: str | None, source: str | None
) -> list[int]:
    """The webhooks meant that can be read again. Raises Failed for a number there is none of."""
    wanted = select(webhook.c.id, webhook.c.raw.is_not(None).label("whole"), webhook.c.state)
    if ids:
        there = {row.id: row for row in connection.execute(wanted.where(webhook.c.id.in_(ids)))}
        if missing := [number for number in ids if number not in there]:
            raise Failed(f"There is no webhook {' or '.join(map(str, missing))}.")
        if pruned := [number for number, row in there.items() if not row.whole]:
            raise Failed(
                f"The body of webhook {' and '.join(map(str, pruned))} was pruned; it is not kept for ever."
            )
        wanted = wanted.where(webhook.c.id.in_(ids))
    for column, value in ((webhook.c.state, state), (webhook.c.source, source)):
        wanted = wanted if value is None else wanted.where(column == value)
    rows = connection.execute(wanted.order_by(webhook.c.id))
    return [row.id for row in rows if row.whole and row.state != "received"]


@app.command()
def retry(
    ids: Numbers = None,
    state: Annotated[str | None, typer.Option(help="Deliveries in this state.")] = None,
    tracker: Annotated[str | None, typer.Option(help="Deliveries to this tracker.")] = None,
    whose: Whose = None,
    everything: Everything = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Try deliveries again, by number or by what they are; without --state: unmatched, parked and dead."""
    selecting(ids, everything, state=state, tracker=tracker, person=whose)
    now = clock.now()
    with opened() as at:
        chosen = at.database.ask(lambda connection: retriable(connection, ids, state, tracker, whose))
        revive = lambda connection, part: outbox.revive(connection, part, now)  # noqa: E731
        count = len(chosen) if dry_run else in_parts(at.database, chosen, revive)
    would = "would be" if dry_run else "will be"
    shown = {"deliveries": count, "ids": chosen, "dry_run": dry_run}
    say(
        as_json,
        shown,
        f"{counted(count, 'delivery').replace('deliverys', 'deliveries')} {would} tried again.",
    )


def retriable(
    connection: Connection,
    ids: Sequence[int] | None,
    state: str | None,
    tracker: str | None,
    whose: str | None,
) -> list[int]:
    """The deliveries meant that can be tried again. Raises where there is no such thing."""
    if whose is not None:
        people.by_name(connection, whose)
    if tracker is not None and tracker not in trackers.modules():
        raise AccountError(account_book.not_set_up(tracker))
    if ids:
        wanted = select(delivery.c.id, delivery.c.state).where(delivery.c.id.in_(ids))
        there = {row.id: row.state for row in connection.execute(wanted)}
        if missing := [number for number in ids if number not in there]:
            raise Failed(f"There is no delivery {' or '.join(map(str, missing))}.")
        return [number for number, known in there.items() if known in outbox.STUCK]
    if state is not None and state not in outbox.STUCK:
        raise typer.BadParameter(f"Deliveries can be tried again that are {', '.join(outbox.STUCK)}.")
    states = STUCK if state is None else (state,)
    return sorted(one for each in states for one in trace.matching(connection, each, tracker, whose))


def in_parts(
    database: Database, ids: Sequence[int], change: Callable[[Connection, Sequence[int]], int]
) -> int:
    """The change made to so many at a time that a service beside it gets its turn; how many it was."""
    parts = [ids[start : start + CHUNK] for start in range(0, len(ids), CHUNK)]
    hidden = len(parts) < 2 or not sys.stderr.isatty()
    shown = track(parts, console=Console(stderr=True), disable=hidden)
    return sum(database.do(lambda connection, part=part: change(connection, part)) for part in shown)  # type: ignore[misc]


# --- the unmatched inbox


@app.command()
def unmatched(whose: Whose = None, as_json: Json = False) -> None:
    """What waits for your choice: why, and what it could be."""
    with opened() as at:
        found: list[Any] = at.database.ask(
            lambda connection: matches.waiting(connection, person_name=whose, limit=trace.MOST)
        )["items"]
    if as_json:
        say(True, {"unmatched": found})
        return
    if not found:
        say(False, None, "Nothing waits for a match.")
    for entry in found:
        say(False, None, *unmatched_lines(entry))


def unmatched_lines(entry: Mapping[str, Any]) -> Iterator[str]:
    what = entry["show"] or entry["title"] or "something without a title"
    place = f" {entry['season']}x{entry['number']}" if entry["kind"] == "episode" else ""
    year = f" ({entry['year']})" if entry["year"] else ""
    yield f"{entry['id']}  {what}{place}{year}, to {entry['tracker']} of {entry['person']}"
    yield f"    {entry['reason']}"
    for number, one in enumerate(entry["candidates"], 1):
        ids = " ".join(f"{name}:{value}" for name, value in (one.get("ids") or {}).items())
        yield f"    {number}. {one.get('title')} ({one.get('year') or '?'})  {ids}  {one.get('picture') or ''}".rstrip()
    more = f" or --candidate 1 to {len(entry['candidates'])}" if entry["candidates"] else ""
    yield f"    Choose: watchmark match {entry['id']} --tvdb N, --tmdb N, --imdb tt…{more}"


@app.command("match")
def match_it(
    delivery_id: Annotated[int, typer.Argument(metavar="DELIVERY", help="Its number: watchmark unmatched.")],
    tvdb: Annotated[int | None, typer.Option(min=1, help="The film's id at TheTVDB, or the show's.")] = None,
    tmdb: Annotated[int | None, typer.Option(min=1, help="The film's id at TMDB, or the show's.")] = None,
    imdb: Annotated[str | None, typer.Option(help="The film's id at IMDb, or the show's.")] = None,
    season_offset: Annotated[
        int, typer.Option(help="What is added to the show's season numbers, e.g. -1.")
    ] = 0,
    candidate: Annotated[int | None, typer.Option(help="The candidate of this number.")] = None,
    as_json: Json = False,
) -> None:
    """Say what an item is: for an episode the whole show. It is remembered, and what waited goes out."""
    named = {
        name: value for name, value in (("tvdb", tvdb), ("tmdb", tmdb), ("imdb", imdb)) if value is not None
    }
    if bool(named) == (candidate is not None):
        raise typer.BadParameter("Say what it is: by ids, or by --candidate.")
    ids = guids.ids(**named)
    if ids.known().keys() != named.keys():
        raise typer.BadParameter("An IMDb id looks like tt0903747.")
    now = clock.now()

    def choose(connection: Connection) -> matches.Chosen:
        if candidate is not None:
            return matches.choose_candidate(
                connection, now, delivery_id, candidate, season_offset=season_offset
            )
        return matches.choose(connection, now, ids, delivery_id=delivery_id, season_offset=season_offset)

    with opened() as at:
        chosen = at.database.do(choose)
    count = counted(len(chosen.deliveries), "delivery").replace("deliverys", "deliveries")
    shown = {"keys": chosen.keys, "deliveries": chosen.deliveries}
    say(as_json, shown, f"Remembered. {count} will go out.")


# --- doctor


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that was looked at: OK, a NOTE or a PROBLEM, and what to do about it."""

    level: Literal["OK", "NOTE", "PROBLEM"]
    about: str
    says: str
    do: str | None = None


def fine(about: str, says: str) -> Finding:
    return Finding(level="OK", about=about, says=says)


def noted(about: str, says: str, do: str | None = None) -> Finding:
    return Finding(level="NOTE", about=about, says=says, do=do)


def problem(about: str, says: str, do: str | None = None) -> Finding:
    return Finding(level="PROBLEM", about=about, says=says, do=do)


@app.command()
def doctor(
    online: Annotated[bool, typer.Option("--online/--offline", help="Ask each service as well.")] = True,
    as_json: Json = False,
) -> None:
    """Look at everything and say what to do. The end is 1 when there is a problem."""
    found = []
    for finding in examine(online):
        found.append(finding)
        todo = f". {finding.do}" if finding.do else ""
        if not as_json:
            say(False, None, f"{finding.level:<8}{finding.about}: {finding.says.removesuffix('.')}{todo}")
    if as_json:
        say(True, {"findings": [asdict(finding) for finding in found], "problems": problems(found)})
    if problems(found):
        raise typer.Exit(1)


def problems(found: Iterable[Finding]) -> int:
    return sum(finding.level == "PROBLEM" for finding in found)


def examine(online: bool) -> Iterator[Finding]:
    """Every finding, from the ground up; what stands on something broken is not looked at."""
    try:
        environ = environment.environment()
        settings = environment.load(environ)
    except SettingsError as error:
        yield problem("settings", str(error))
        return
    settled = list(look_at_settings(environ))
    yield from settled
    yield from look_at_folder(settings)
    yield from look_at_clock()
    yield look_at_notices(settings)
    if (
        settings.database.startswith("sqlite")
        and not Path(make_url(settings.database).database or "").is_file()
    ):
        yield noted("database", "there is none yet", "The first start makes it: watchmark serve")
        return
    try:
        with closing(database_of(settings)) as database:
            yield from look_inside(settings, environ, database, online and not problems(settled))
    except (Unavailable, DatabaseError, SettingsError) as error:
        yield problem("database", sentence(error), "Look at DATABASE_URL, the disk and the database itself.")


def look_at_settings(environ: Environ) -> Iterator[Finding]:
    for name, module in trackers.modules().items():
        try:
            given = environment.read(module.Settings, f"{name}_", environ)
        except SettingsError as error:
            yield problem(name, str(error))
            continue
        yield fine(name, "is set up") if given else noted(name, account_book.not_set_up(name))


def look_at_folder(settings: Settings) -> Iterator[Finding]:
    folder = settings.data_dir
    try:
        furnish(settings)
    except SettingsError as error:
        yield problem("data folder", str(error), "Give the folder to the user that Watchmark runs as.")
        return
    free = shutil.disk_usage(folder).free
    says = f"{folder} can be written to; {free / 1e9:.1f} GB are free"
    level = problem if free < 1e8 else noted if free < 1e9 else fine
    yield replace(level("data folder", says), do="Free some space." if free < 1e9 else None)


def look_at_clock() -> Iterator[Finding]:
    now = clock.now()
    if now.year < 2026:
        yield problem("clock", f"it says {now:%Y-%m-%d}", "Set it, and let it be set over the network (NTP).")
        return
    yield fine("clock", f"it says {stamp(now)}")


def look_at_notices(settings: Settings) -> Finding:
    try:
        count = notices.check(settings)
    except SettingsError as error:
        return problem("notices", str(error), "Try it: watchmark notify --test")
    if not count:
        do = "Set NOTIFY_URLS to hear when an account needs you or a server falls silent."
        return noted("notices", "NOTIFY_URLS is not set, so nobody is told anything", do)
    return fine("notices", f"go to {counted(count, 'address').replace('addresss', 'addresses')}")


def look_inside(settings: Settings, environ: Environ, database: Database, online: bool) -> Iterator[Finding]:
    if not database.ask(has_tables):
        yield noted("database", "it is empty", "The first start fills it: watchmark serve")
        return
    yield from look_at_database(database)
    if not database.ask(up_to_date):
        do = "Start the newest version once, which brings it up to date: watchmark serve"
        yield problem("schema", "it is of another version than this program", do)
        return
    yield fine("schema", "is up to date")
    yield from look_at_received(database)
    yield from look_at_senders(settings, database)
    yield from look_at_service(settings, online)
    yield from look_at_accounts(settings, environ, database, online)
    yield from look_at_waiting(database)


def look_at_database(database: Database) -> Iterator[Finding]:
    if not database.sqlite:
        yield fine("database", "PostgreSQL answers")
        return
    said = database.ask(
        lambda connection: connection.exec_driver_sql("PRAGMA quick_check(5)").scalars().all()
    )
    if said != ["ok"]:
        do = "Stop the service, keep a copy of the file, and restore a backup."
        yield problem("database", f"it is damaged: {'; '.join(map(str, said))}", do)
        return
    yield fine("database", "it answers, and is whole")
    if not mended(sqlite3.sqlite_version_info):
        says = f"{sqlite3.sqlite_version} can lose a commit when two processes clear its log (mended: 3.51.3)"
        do = "Commands leave the log to the service, so it does not come to that; still, update."
        yield noted("SQLite", says, do)


def mended(version: tuple[int, ...]) -> bool:
    """Whether this SQLite is free of the WAL-reset bug: https://sqlite.org/wal.html#walresetbug"""
    backports = ((3, 44, 6), (3, 50, 7))
    return version >= (3, 51, 3) or any(version[:2] == one[:2] and version >= one for one in backports)


def up_to_date(connection: Connection) -> bool:
    return schema.current(connection) == schema.newest()


def look_at_received(database: Database) -> Iterator[Finding]:
    last = database.ask(trace.last_webhooks)
    newest = max((datetime.fromisoformat(at) for at in last.values() if at), default=None)
    if newest is not None and newest > clock.now() + timedelta(minutes=5):
        yield problem(
            "clock", f"the newest webhook is from {stamp(newest)}, which is yet to come", "Set the clock."
        )
    for name, source in sources.modules().items():
        if name in last:
            yield fine(source.LABEL, f"last sent a webhook at {last[name]}")
    if not last:
        yield noted(
            "webhooks", "none has come yet", "Paste the address into your media server: watchmark urls"
        )


def look_at_senders(settings: Settings, database: Database) -> Iterator[Finding]:
    """Servers that fell silent, that say everything twice, or of which the clock is wrong."""
    now = clock.now()
    modules = sources.modules()
    for one in database.ask(lambda connection: trace.silent(connection, now, settings.silence_days)):
        do = "If somebody has watched since, see whether its webhook is still set up: watchmark urls"
        yield noted("silence", one["says"], do)
    for one in database.ask(trace.repeating):
        times = counted(one["repeats"], "time")
        says = f"it repeats itself: the very same webhook came again within seconds, {times} lately"
        do = "Its webhook is probably set up twice, which does no harm. Remove one."
        yield noted(modules[one["source"]].LABEL if one["source"] in modules else one["source"], says, do)
    for one in database.ask(trace.clocks_off):
        label = modules[one["source"]].LABEL
        server = one["server_name"] or one["server"]
        ahead = "ahead of" if one["seconds"] > 0 else "behind"
        says = f"its clock is off by {abs(one['seconds']) // 60} minutes ({ahead} ours)"
        do = "Set the clock of that server, or of this one, over the network (NTP)."
        yield noted(f"{label} server {server}" if server else label, says, do)


def look_at_service(settings: Settings, online: bool) -> Iterator[Finding]:
    if not online:
        return
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)  # noqa: S104 - asked, not bound
    url = f"http://{host}:{settings.port}/healthz"
    try:
        alive = httpx.get(url, timeout=2).is_success
    except httpx.HTTPError:
        alive = False
    yield (
        fine("service", f"it runs: {url}")
        if alive
        else noted("service", f"nothing answers at {url}", "Start it: watchmark serve")
    )


def look_at_accounts(
    settings: Settings, environ: Environ, database: Database, online: bool
) -> Iterator[Finding]:
    rows = database.ask(trace.accounts)
    verdicts: Mapping[int, Verdict] = {}
    if online and rows:
        at = desk(settings, environ, database)
        verdicts = at.run(check_all(at))
        rows = database.ask(trace.accounts)
    yield from (look_at_account(row, verdicts.get(row["id"])) for row in rows)
    if not any(row["tracker"] == "trakt" for row in rows) and environ.get("TRAKT_CLIENT_ID"):
        yield noted("trakt", "nobody is signed in", "Sign in: watchmark connect trakt")


def look_at_account(row: Mapping[str, Any], verdict: Verdict | None) -> Finding:
    about = f"{row['tracker']} of {row['person']}"
    if row["why"] == account_book.DISCONNECTED:
        again = f"Sign in again: watchmark connect {row['tracker']} --person {row['person']}"
        return noted(about, "disconnected", again)
    if row["state"] != "working":
        return problem(about, row["state"], row["explanation"])
    if verdict is not None and not verdict.works:
        return problem(about, str(verdict.reason), "What waits is tried again by itself once that is mended.")
    return fine(about, "works" if verdict else "was not asked")


def look_at_waiting(database: Database) -> Iterator[Finding]:
    nobodys = database.ask(trace.unclaimed)
    if waits := [one for one in nobodys if one["webhooks"]]:
        names = ", ".join(one["spelled"] for one in waits)
        yield noted("people", f"nobody claims {names}", "Claim: watchmark people claim NAME SOURCE:USER")
    told = database.ask(trace.counts)
    for state in ("unmatched", "dead"):
        if number := told.get(state):
            do = (
                "See why: watchmark trace ID, or the page of deliveries. Then: watchmark retry --state "
                + state
            )
            yield noted("deliveries", f"{number} {state}", do)
    unread = database.ask(quarantined)
    if unread:
        do = "See why: watchmark trace ID. After a fix: watchmark replay --state quarantined"
        yield noted("webhooks", f"{unread} could not be read", do)


def quarantined(connection: Connection) -> int:
    wanted = select(func.count()).select_from(webhook).where(webhook.c.state == "quarantined")
    return connection.execute(wanted).scalar_one()


# --- backup, restore, rekey, notify


@app.command("backup")
def backup_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write it, e.g. watchmark.zip.")],
    as_json: Json = False,
) -> None:
    """Write a consistent copy of the database, whether the service runs or not."""
    settings = environment.load(environment.environment())
    size = backup.backup(settings, file)
    key = key_place(settings)
    shown = {"file": str(file), "bytes": size, "key": key}
    lines = [
        f"{file} holds the whole database ({size / 1e6:.1f} MB).",
        f"The key that opens the sign-ins in it is not in it. Keep a copy of that as well, elsewhere: {key}",
    ]
    say(as_json, shown, *lines)


def key_place(settings: Settings) -> str:
    if settings.secret_key.get_secret_value():
        return "SECRET_KEY"
    return str(settings.data_dir / "secret.key")


@app.command("restore")
def restore_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `watchmark backup` wrote.")],
    as_json: Json = False,
) -> None:
    """Put a backup in the database's place. The service must not run; the database there is kept beside."""
    settings = environment.load(environment.environment())
    furnish(settings)
    restored = backup.restore(settings, file)
    with closing(database_of(settings)) as database:
        fits = credentials_fit(settings, database)
    before = None if restored.before is None else str(restored.before)
    shown = {"file": str(file), "made_at": restored.made_at, "before": before, "key_fits": fits}
    lines = [f"{file} of {restored.made_at or 'an unknown time'} is in place."]
    lines += [f"The database before it is kept: {before}"] if before else []
    if not fits:
        lines.append(
            f"Its sign-ins were sealed with another key. Put back that key ({key_place(settings)}), "
            "or connect the accounts again and make new webhook tokens."
        )
    say(as_json, shown, *lines)


def credentials_fit(settings: Settings, database: Database) -> bool:
    sealed = database.ask(any_sealed)
    return sealed is None or opens(seal(settings, database), sealed)


@app.command("rekey")
def rekey_command(
    new_key_file: Annotated[
        Path | None, typer.Option(help="Holds the new key; needed where SECRET_KEY is set.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Seal all sign-ins and tokens with a new key. The service must not run. Browsers have to sign in again."""
    given = None if new_key_file is None else new_key(new_key_file)
    with schema.occupying(environment.load(environment.environment()).database), opened() as at:
        count = rekey(at.settings, at.database, given)
    from_setting = bool(at.settings.secret_key.get_secret_value())
    todo = f"Set SECRET_KEY to what {new_key_file} holds before the next start." if from_setting else ""
    kept = "" if from_setting else f"The new key is in {key_place(at.settings)}; keep a copy of it elsewhere."
    old = "Backups made before open with the old key only."
    shown = {"sealed": count, "key": key_place(at.settings)}
    say(as_json, shown, f"{counted(count, 'secret')} sealed with the new key. {todo}{kept} {old}")


def new_key(path: Path) -> str:
    secret = environment.from_file("--new-key-file", str(path))
    if len(secret) < SHORTEST_KEY:
        raise Failed(f"{path} holds fewer than {SHORTEST_KEY} characters, which is too short for a key.")
    return secret


@app.command()
def notify(
    test: Annotated[bool, typer.Option("--test", help="Send a notice to every address.")] = False,
    as_json: Json = False,
) -> None:
    """Where notices go. With --test one is sent now; the end is 1 when it does not arrive everywhere."""
    settings = environment.load(environment.environment())
    count = notices.check(settings)
    if not count:
        raise Failed("NOTIFY_URLS is not set, so there is nobody to notify.")
    failed = asyncio.run(notices.Notifier(settings).send(notices.example())) if test else None
    if failed is not None:
        raise Failed(f"The notice was not sent: {failed}.")
    where = counted(count, "address").replace("addresss", "addresses")
    shown = {"addresses": count, "sent": test}
    say(as_json, shown, f"A notice was sent to {where}." if test else f"Notices go to {where}.")
