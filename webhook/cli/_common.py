"""Shared parts of the commands: open resources, output and common options."""

from __future__ import annotations

import asyncio
import getpass
import sys
from collections.abc import Awaitable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, TypeVar

import httpx
import orjson
import structlog
import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy import Connection, inspect, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from webhook import client, servers, trackers
from webhook import settings as environment
from webhook.accounts import keys, settings_store
from webhook.accounts.credentials import Credentials, Seal
from webhook.maintenance import backup
from webhook.people import people
from webhook.servers import Server
from webhook.settings import Environ, Settings, SettingsError
from webhook.storage import migrate
from webhook.storage.db import Database
from webhook.storage.rows import fetch_all
from webhook.storage.tables import PersonRow, person
from webhook.system.permissions import can_use, nearest, remedy
from webhook.trackers import Tracker

log = structlog.get_logger()

T = TypeVar("T")

Json = Annotated[bool, typer.Option("--json", help="Print JSON only.")]
Whose = Annotated[str | None, typer.Option("--person", help="The person; optional if there is only one.")]
Which = Annotated[str, typer.Argument(metavar="TRACKER", help="Name of a tracker, such as trakt or tvtime.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of a person.")]
Spelled = Annotated[
    str, typer.Argument(metavar="SOURCE:USER", help="A media server user, such as plex:Anna.")
]
Numbers = Annotated[list[int] | None, typer.Argument(metavar="ID...", help="One or more IDs.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done without doing it.")]
Everything = Annotated[bool, typer.Option("--all", help="Select all.")]
Words = Annotated[list[str] | None, typer.Option()]


# --- what goes wrong


class Failed(Exception):
    """A failed command; the message is for the person."""


def advice() -> str:
    return backup.restore_advice(environment.load(environment.environment()))


# --- what is open


@dataclass(frozen=True)
class Desk:
    """Resources of a command, some opened on first use; serves as the `Parts` that accounts work with."""

    settings: Settings
    environ: Environ
    database: Database
    seal: Seal
    credentials: Credentials

    @cached_property
    def http(self) -> httpx.AsyncClient:
        return client.client()

    @cached_property
    def trackers(self) -> Mapping[str, Tracker]:
        return trackers.build(self.environ, self.http)

    @cached_property
    def servers(self) -> Mapping[str, Server]:
        return servers.build(self.environ, self.http)

    def run(self, work: Awaitable[T]) -> T:
        async def to_the_end() -> T:
            async with self.http:
                return await work

        return asyncio.run(to_the_end())


@contextmanager
def open_desk() -> Iterator[Desk]:
    """Open the service's data with these settings, whether it runs or not."""
    environ = environment.environment()
    settings = environment.load(environ)
    prepare(settings, environ)
    with close_after(database_of(settings)) as database:
        yield desk(settings, environ, database)


def desk(settings: Settings, environ: Environ, database: Database) -> Desk:
    sealed = keys.load_seal(settings, database)
    environ, _ = settings_store.usable_settings(
        environ, database.ask(lambda connection: settings_store.load_settings(connection, sealed))
    )
    settings = environment.load(environ)
    return Desk(settings, environ, database, sealed, Credentials(database, sealed))


@contextmanager
def close_after(database: Database) -> Iterator[Database]:
    try:
        yield database
    finally:
        database.close()


def prepare(settings: Settings, environ: Environ) -> None:
    """Create a new database with its first person and token, if there is none."""
    ensure_data_dir(settings)
    with close_after(database_of(settings)) as database:
        new = database.ask(is_new)
        if not new:
            database.ask(migrate.require_current)
    if new:
        from webhook import app as house

        service = house.open_service(environ)
        asyncio.run(service.http.aclose())
        service.database.close()


def is_new(connection: Connection) -> bool:
    """True if the database has no tables or no people yet."""
    return not has_tables(connection) or not people.count_people(connection)


def has_tables(connection: Connection) -> bool:
    return inspect(connection).has_table("alembic_version")


def ensure_data_dir(settings: Settings) -> None:
    """Ensure that the data folder exists and is writable, and so the database in it."""
    folder = settings.data_dir
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except PermissionError as error:
        raise SettingsError(f"DATA_DIR={folder} cannot be created. {remedy(nearest(folder))}") from error
    except OSError as error:
        raise SettingsError(f"DATA_DIR={folder} cannot be created: {error.strerror}") from error
    if not can_use(folder):
        raise SettingsError(f"DATA_DIR={folder} cannot be written to. {remedy(folder)}")
    for path in database_files(settings):
        if not can_use(path):
            raise SettingsError(f"{path} cannot be read and written. {remedy(path)}")


def database_files(settings: Settings) -> list[Path]:
    """The files of an SQLite database that are there."""
    try:
        url = make_url(settings.database)
    except ArgumentError:
        return []
    if url.get_backend_name() != "sqlite" or not url.database:
        return []
    return [path for end in ("", "-wal", "-shm") if (path := Path(url.database + end)).exists()]


def database_of(settings: Settings) -> Database:
    try:
        return Database(settings.database, checkpoint=False)
    except ArgumentError as error:
        raise SettingsError(
            "DATABASE_URL is not a database address. Use sqlite:///… or postgresql://…"
        ) from error
    except ModuleNotFoundError as error:
        raise SettingsError(
            "DATABASE_URL is a PostgreSQL address, but its driver is missing. Install watchmark[postgres]."
        ) from error


def person_or_only(connection: Connection, name: str | None) -> PersonRow:
    """The person of that name, or the only one there is."""
    if name is not None:
        return people.find_person(connection, name)
    everybody = fetch_all(connection, select(person).order_by(person.c.id), PersonRow)
    if len(everybody) == 1:
        return everybody[0]
    names = ", ".join(row.name for row in everybody)
    raise typer.BadParameter(f"Choose a person with --person NAME. People: {names or 'none yet'}.")


# --- how it is asked and said


def read_input(*prompts: str) -> list[str]:
    """A line of standard input for each prompt; on a terminal it is asked for, the last without echo."""
    if sys.stdin.isatty():
        *plainly, last = prompts
        given = [typer.prompt(prompt.rstrip(": "), err=True) for prompt in plainly] + [getpass.getpass(last)]
    else:
        given = [sys.stdin.readline().rstrip("\r\n") for _ in prompts]
    if not all(given):
        wanted = " and then the ".join(prompt.rstrip(": ").lower() for prompt in prompts)
        raise Failed(f"No input. Write the {wanted} to standard input, each on its own line.")
    return given


def parse_moment(option: str, text: str, zone: tzinfo) -> datetime:
    """Parse a typed date or time; one without an offset is in this zone."""
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError as error:
        example = "a day or a time, such as 2026-10-01 or 2026-10-01T20:15"
        raise typer.BadParameter(f"“{text[:40]}” is not a date. Use {example}.", param_hint=option) from error
    return found if found.tzinfo else found.replace(tzinfo=zone)


def say(as_json: bool, value: Any, *lines: str) -> None:
    """The value for a script, or the lines for a person."""
    shown = [orjson.dumps(value).decode()] if as_json else [strip_control_characters(line) for line in lines]
    for line in shown:
        typer.echo(line)
    sys.stdout.flush()


def strip_control_characters(text: str) -> str:
    """Remove terminal control characters, since titles and names come from elsewhere."""
    return "".join(letter if letter.isprintable() or letter in "\n\t" else "�" for letter in text)


def print_table(headings: Sequence[str], rows: Iterable[Sequence[Any]], empty: str) -> None:
    shown = [["" if cell is None else strip_control_characters(str(cell)) for cell in row] for row in rows]
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


def rule_line(name: str, value: bool | Sequence[str]) -> str:
    """A filter or a rule and its value, in words."""
    if isinstance(value, bool):
        said = "yes" if value else "no"
    else:
        said = ", ".join(value) or ("none" if name.startswith("not_") else "any")
    return f"{name.replace('_', ' ')}: {said}"


def count_of(number: int, one: str) -> str:
    return f"{number} {one if number == 1 else plural(one)}"


def plural(one: str) -> str:
    if one.endswith("y") and one[-2:-1] not in "aeiou":
        return f"{one[:-1]}ies"
    return f"{one}es" if one.endswith("s") else f"{one}s"
