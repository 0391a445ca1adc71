"""Move everything to another database, from SQLite to PostgreSQL or back: whole, counted, or not at all.

PostgreSQL gets tables and rows in one transaction; an SQLite file is written under another name and renamed
when it is whole. So a move that is killed leaves nothing that a start would take for the data.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Column, Connection, Table, column, func, insert, inspect, select, table, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.sql.expression import TableClause
from sqlalchemy.types import TypeDecorator, TypeEngine

from webhook.maintenance.backup import create_private, temporary_folder
from webhook.storage import migrate
from webhook.storage.db import BUSY_TIMEOUT_MS, Database, log_of, unavailable
from webhook.storage.tables import metadata
from webhook.system.files import give_to_owner, move_to_free, sync_folder

BATCH_ROWS = 500
BATCH_BYTES = 8 * 1024 * 1024
NO_CHARACTER = "\x00"
"""A character that SQLite keeps in a text and PostgreSQL does not."""


class MoveError(Exception):
    """A move that is not possible; the message is for the person."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TableCount:
    """The rows of a table before a move and after it."""

    table: str
    before: int
    after: int


Progress = Callable[[str, int, int], None]
"""Called with a table's name, how many rows of it are copied, and how many it has."""


def move(source_url: str, target_url: str, progress: Progress = lambda *_: None) -> Sequence[TableCount]:
    """Copy all tables into an empty database; returns the counts of each. Raises MoveError or OtherVersion.

    The service must not run. The source is left as it is.
    """
    if make_url(source_url) == make_url(target_url):
        raise MoveError("That is the database that is in use already.")
    if is_sqlite(source_url) and not file_of(source_url).is_file():
        raise MoveError(f"There is no database at {file_of(source_url)} yet, so there is nothing to move.")
    with migrate.hold_lock(source_url), closing(Database(source_url, checkpoint=False)) as source:
        source.ask(migrate.require_current)
        with unavailable(), begin_source(source) as reading:
            if is_sqlite(target_url):
                return move_to_file(reading, file_of(target_url), progress)
            with closing(Database(target_url)) as target, target.engine.begin() as writing:
                writing.execute(text(f"SELECT pg_advisory_xact_lock({migrate.MIGRATION_LOCK})"))
                return copy_tables(reading, writing, progress)


def file_of(url: str) -> Path:
    return Path(make_url(url).database or "")


def is_sqlite(url: str) -> bool:
    return make_url(url).get_backend_name() == "sqlite"


@contextmanager
def begin_source(source: Database) -> Iterator[Connection]:
    """A transaction that sees one moment of the source, and in which nobody else writes to it."""
    with source.engine.begin() as connection:
        if not source.sqlite:
            refuse_company(connection)
            names = ", ".join(f'"{one.name}"' for one in metadata.sorted_tables)
            connection.execute(text(f"LOCK TABLE {names} IN SHARE MODE"))
        yield connection


def refuse_company(connection: Connection) -> None:
    """Raise MoveError where something else is connected to this PostgreSQL database: a running Watchmark, say."""
    others = connection.execute(
        text(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
            "AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
    ).scalar_one()
    if others:
        raise MoveError(
            f"Something else is connected to the database ({others}). Stop every Watchmark that uses it, and what "
            "else is connected, then try again."
        )


def move_to_file(reading: Connection, final: Path, progress: Progress) -> Sequence[TableCount]:
    """Write a new SQLite file under another name, and rename it when it is whole and on the disk."""
    for there in (final, log_of(final)):
        if there.exists():
            raise MoveError(f"{there} is there already. Name a file that is not, or move that one away.")
    try:
        final.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with temporary_folder(final.parent) as folder:
            path = folder / final.name
            create_private(path)
            with closing(Database(f"sqlite:///{path}")) as target, target.engine.begin() as writing:
                counts = copy_tables(reading, writing, progress)
            close_log(path)
            give_to_owner(path, final.parent)
            if not move_to_free(path, final):
                raise MoveError(f"{final} is there already. Name a file that is not.")
            sync_folder(final.parent)
    except OSError as error:
        raise MoveError(f"{final} cannot be written: {error.strerror}. Nothing was moved.") from error
    return counts


def close_log(path: Path) -> None:
    """Bring all of a database into the one file that is renamed, on the disk."""
    with closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT_MS / 1000, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
    with path.open("rb") as file:
        os.fsync(file.fileno())


# --- the copy


def copy_tables(reading: Connection, writing: Connection, progress: Progress) -> Sequence[TableCount]:
    """Make the tables, copy every row, and compare the counts; raises MoveError."""
    refuse_tables(writing)
    create_tables(writing)
    order = copy_order()
    for one in order:
        try:
            copy_table(reading, writing, one, progress)
        except (DataError, IntegrityError) as error:
            raise MoveError(f"A row of {one.name} does not fit: {error.orig}. Nothing was moved.") from error
    if writing.dialect.name == "postgresql":
        for one in order:
            set_sequence(writing, one)
    counts = [
        TableCount(table=one.name, before=count_rows(reading, one), after=count_rows(writing, one))
        for one in order
    ]
    if wrong := [count.table for count in counts if count.before != count.after]:
        raise MoveError(f"The counts differ in {', '.join(wrong)}. Nothing was moved.")
    return counts


def refuse_tables(writing: Connection) -> None:
    """Raise MoveError unless the target has no tables at all."""
    if found := inspect(writing).get_table_names():
        raise MoveError(
            f"The target is not empty: it has {len(found)} tables, such as {min(found)}. Make a new database "
            "and name that one. Nothing was changed."
        )


def create_tables(writing: Connection) -> None:
    from alembic import command

    command.upgrade(migrate.alembic_config(writing), "head")


def copy_order() -> Sequence[Table]:
    """Those that others refer to first; `tally` last, as triggers empty it while plays come in."""
    return sorted(metadata.sorted_tables, key=lambda one: one.name == "tally")


def copy_table(reading: Connection, writing: Connection, one: Table, progress: Progress) -> None:
    plain, total, done = plain_table(one), count_rows(reading, one), 0
    for rows in batches(reading, plain, one):
        writing.execute(insert(plain), rows)
        done += len(rows)
        progress(one.name, done, total)


def batches(reading: Connection, plain: TableClause, one: Table) -> Iterator[list[dict[str, object]]]:
    """The rows in the order of their keys, few at a time and fewer where they are large."""
    wanted = select(plain).order_by(*(plain.c[key.name] for key in one.primary_key))
    found = reading.execution_options(yield_per=BATCH_ROWS).execute(wanted)
    rows: list[dict[str, object]] = []
    size = 0
    for row in found.mappings():
        rows.append({name: replace_nul(value) for name, value in row.items()})
        size += sum(len(value) for value in row.values() if isinstance(value, str | bytes))
        if len(rows) >= BATCH_ROWS or size >= BATCH_BYTES:
            yield rows
            rows, size = [], 0
    if rows:
        yield rows


def replace_nul(value: Any) -> Any:
    """The value without the one character that PostgreSQL takes in no text."""
    return value.replace(NO_CHARACTER, "\N{REPLACEMENT CHARACTER}") if isinstance(value, str) else value


def plain_table(one: Table) -> TableClause:
    """The table with the types that lie in the database, so that what is in it is copied as it is."""
    return table(one.name, *(column(each.name, plain_type(each)) for each in one.columns))


def plain_type(each: Column[Any]) -> TypeEngine[Any]:
    return each.type.impl_instance if isinstance(each.type, TypeDecorator) else each.type


def set_sequence(writing: Connection, one: Table) -> None:
    """Let PostgreSQL count on after the highest id that was copied."""
    key = one.autoincrement_column
    if key is None:
        return
    sequence = func.pg_get_serial_sequence(one.name, key.name)
    highest = select(func.max(key)).scalar_subquery()
    writing.execute(select(func.setval(sequence, func.coalesce(highest, 1), highest.is_not(None))))


def count_rows(connection: Connection, one: Table) -> int:
    return connection.execute(select(func.count()).select_from(one)).scalar_one()
