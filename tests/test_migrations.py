"""Upgrades: from every schema that ever landed, with rows in each of its tables, on both databases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import orjson
import pytest
from alembic import command
from sqlalchemy import Boolean, Column, Connection, Float, Integer, MetaData, Table, insert, select
from sqlalchemy.types import LargeBinary

from tests.conftest import driver, made_database
from webhook.storage import db, migrate
from webhook.storage.rows import fetch_all
from webhook.storage.tables import metadata, row_class_of
from webhook.storage.types import JsonText, Utc

ROWS = 3
RECENT = 1_790_000_000_000
"""Milliseconds of a moment in 2026."""

REVISIONS = migrate.revisions()
Contents = dict[str, list[tuple[Any, ...]]]


@pytest.fixture(params=["sqlite", "postgres"], scope="module")
def connection(request: pytest.FixtureRequest) -> Iterator[Connection]:
    """An empty database of each kind in turn, which goes from one revision to the next, as the tests come."""
    if request.param == "sqlite":
        with connect("sqlite://") as opened:
            yield opened
        return
    with made_database(request.getfixturevalue("postgres_server")) as url, connect(driver(url)) as opened:
        yield opened


@contextmanager
def connect(url: str) -> Iterator[Connection]:
    engine = db.engine(url)
    with engine.connect() as opened:
        opened.begin()
        yield opened
        opened.rollback()
    engine.dispose()


@contextmanager
def undone(connection: Connection) -> Iterator[None]:
    """Take back what is done meanwhile, to tables as well."""
    savepoint = connection.begin_nested()
    yield
    savepoint.rollback()


def upgrade(connection: Connection, revision: str) -> None:
    command.upgrade(migrate.alembic_config(connection), revision)


def tables_of(connection: Connection) -> list[Table]:
    """The tables as this revision has them, those that others refer to first."""
    found = MetaData()
    found.reflect(connection)
    return [table for table in found.sorted_tables if table.name != "alembic_version"]


def fill(connection: Connection, tables: Sequence[Table]) -> None:
    """Put rows into every table, each column of which has a value; rows of the same number belong together."""
    for table in tables:
        rows = [
            {column.name: value_of(column, number) for column in table.columns}
            for number in range(1, ROWS + 1)
        ]
        connection.execute(insert(table), rows)


def value_of(column: Column[Any], number: int) -> Any:
    """A value of the kind that the program keeps in this column."""
    known = metadata.tables[column.table.name].columns.get(column.name)
    kind = column.type if known is None else known.type
    if isinstance(kind, Utc):
        return RECENT + number
    if isinstance(kind, JsonText):
        return orjson.dumps({"title": f"Film {number} ü"}).decode()
    if isinstance(kind, Boolean):
        return number % 2 == 0
    if isinstance(kind, LargeBinary):
        return bytes([number, 0, 255])
    if isinstance(kind, Float):
        return number + 0.5
    if isinstance(column.type, Integer):
        return number
    return f"{column.name} ü {number}"[: getattr(column.type, "length", None)]


def read(connection: Connection, tables: Sequence[Table]) -> Contents:
    """The rows of these tables, in the columns that these know."""
    return {
        table.name: sorted(map(tuple, connection.execute(select(table)).all()), key=str) for table in tables
    }


@pytest.mark.parametrize("revision", REVISIONS)
def test_an_upgrade_from_any_revision_keeps_every_value_and_the_program_reads_it(
    connection: Connection, revision: str
) -> None:
    upgrade(connection, revision)
    with undone(connection):
        tables = tables_of(connection)
        fill(connection, tables)
        before = read(connection, tables)

        upgrade(connection, "head")

        after = read(connection, tables)
        if revision < "0010":  # what people's plays come to is counted anew
            assert before.pop("tally", None) is None or after.pop("tally") == []
        if revision < "0006":  # a service with people in it has been started before
            before["note"] = sorted([*before["note"], ("started", "true")], key=str)
        assert all(len(rows) >= ROWS for rows in before.values())
        assert after == before
        assert migrate.current_revision(connection) == migrate.newest_revision()
        for table in metadata.sorted_tables:
            fetch_all(connection, select(table), row_class_of(table))


def test_users_that_differ_in_case_alone_become_one_with_its_person() -> None:
    times = {"first_seen": RECENT, "last_seen": RECENT}
    users = [("Anna", None), ("ANNA", 2), ("Ben", None)]
    with connect("sqlite://") as connection:
        upgrade(connection, "0004")
        tables = {table.name: table for table in tables_of(connection)}
        fill(connection, [tables["person"]])
        connection.execute(
            insert(tables["identity"]),
            [
                {"source": "plex", "server": "", "user": user, "label": user, "person_id": person, **times}
                for user, person in users
            ],
        )

        upgrade(connection, "head")

        identity = metadata.tables["identity"]
        found = select(identity.c.user, identity.c.person_id).order_by(identity.c.user)
        assert connection.execute(found).all() == [("anna", 2), ("ben", None)]
