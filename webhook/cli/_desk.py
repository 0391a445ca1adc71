"""What a command has open: the data of the service that its settings mean."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import typer
from sqlalchemy import Connection, inspect, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from webhook import settings as environment
from webhook.accounts import keys, settings_store
from webhook.accounts.seal import Seal
from webhook.people import people
from webhook.settings import Environ, Settings, SettingsError
from webhook.storage import migrate
from webhook.storage.db import Database
from webhook.storage.rows import fetch_all
from webhook.storage.tables import PersonRow, person
from webhook.system.permissions import can_use, nearest, remedy

if TYPE_CHECKING:
    import httpx

    from webhook.accounts.credentials import Credentials
    from webhook.servers import Server
    from webhook.trackers import Tracker

T = TypeVar("T")


def advice() -> str:
    from webhook.maintenance import backup

    return backup.restore_advice(environment.load(environment.environment()))


@dataclass(frozen=True)
class Desk:
    """Resources of a command, some opened on first use; serves as the `Parts` that accounts work with."""

    settings: Settings
    environ: Environ
    database: Database
    seal: Seal

    @cached_property
    def credentials(self) -> Credentials:
        from webhook.accounts.credentials import Credentials

        return Credentials(self.database, self.seal)

    @cached_property
    def http(self) -> httpx.AsyncClient:
        from webhook import client

        return client.client(ca_file=self.settings.ca_file)

    @cached_property
    def trackers(self) -> Mapping[str, Tracker]:
        from webhook import trackers

        return trackers.build(self.environ, self.http)

    @cached_property
    def servers(self) -> Mapping[str, Server]:
        from webhook import servers

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
    return Desk(settings, environ, database, sealed)


@contextmanager
def close_after(database: Database) -> Iterator[Database]:
    try:
        yield database
    finally:
        database.close()


def prepare(settings: Settings, environ: Environ) -> None:
    """Create a new database with its first person and token, if there is none where one is wanted."""
    refuse_strange_folder(settings, environ)
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


def refuse_strange_folder(settings: Settings, environ: Environ) -> None:
    """Raise SettingsError where nobody said where the data is, and there is none: the command ran in another folder."""
    is_said = any(environment.value_of(name, environ) for name in ("DATA_DIR", "DATABASE_URL"))
    if is_said or database_files(settings):
        return
    raise SettingsError(
        f"There is no Watchmark in {settings.data_dir.absolute()}. Run the command in the folder in which Watchmark "
        "was started, or set DATA_DIR to its data folder. To begin with a new one here: watchmark serve"
    )


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
