"""Upgrades: from every schema that ever landed, with rows in each of its tables, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from alembic import command
from sqlalchemy import Connection, insert, select

from tests.conftest import driver, made_database
from tests.filled import RECENT, ROWS, fill, read, tables_of
from webhook.storage import db, migrate
from webhook.storage.rows import fetch_all
from webhook.storage.tables import metadata, row_class_of

REVISIONS = migrate.revisions()


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
