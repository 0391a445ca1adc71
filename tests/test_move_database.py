"""Moving from one database to another: every row, counted, or nothing at all."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Table, create_engine, inspect, select, text
from typer.testing import CliRunner

from tests.conftest import driver, made_database
from tests.evening import film
from tests.filled import RECENT, ROWS, Contents, fill, read, tables_of
from tests.prepared import open_service, prepare
from webhook import app, cli, clock
from webhook.cli.move_database import hide_password
from webhook.maintenance import move_database
from webhook.maintenance.move_database import MoveError
from webhook.queues import inbox
from webhook.queues.inbox import ReceivedWebhook
from webhook.service import Service
from webhook.storage import migrate
from webhook.storage.db import Database, Unavailable, fresh_ids
from webhook.storage.tables import metadata, person, play, tally
from webhook.storage.types import from_ms


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite database with rows in every table, its log cleared."""
    path = tmp_path_factory.mktemp("template") / "watchmark.db"
    opened = Database(f"sqlite:///{path}")
    migrate.migrate(opened)
    opened.do(lambda connection: fill(connection, tables_of(connection)))
    opened.close()
    return path


@pytest.fixture
def source(template: Path, tmp_path: Path) -> str:
    (tmp_path / "data").mkdir()
    shutil.copyfile(template, tmp_path / "data" / "watchmark.db")
    return f"sqlite:///{tmp_path}/data/watchmark.db"


@pytest.fixture
def postgres(postgres_server: str) -> Iterator[str]:
    """The address of an empty PostgreSQL database."""
    with made_database(postgres_server) as url:
        yield driver(url)


def contents(url: str) -> Contents:
    def read_everything(connection: Connection) -> Contents:
        tables = tables_of(connection)
        assert {table.name for table in tables} == set(metadata.tables)
        return read(connection, tables)

    with closing(Database(url, checkpoint=False)) as opened:
        return opened.ask(read_everything)


def table_names(url: str) -> list[str]:
    with closing(Database(url)) as opened:
        return opened.ask(lambda connection: inspect(connection).get_table_names())


def test_everything_moves_to_postgresql_and_back(source: str, postgres: str, tmp_path: Path) -> None:
    back = f"sqlite:///{tmp_path}/back/watchmark.db"
    before = contents(source)

    there = move_database.move(source, postgres)
    here = move_database.move(postgres, back)

    assert {count.table for count in there} == set(metadata.tables)
    assert {(count.before, count.after) for count in (*there, *here)} == {(ROWS, ROWS)}
    assert normal(contents(postgres)) == normal(before)
    assert contents(back) == before == contents(source)
    assert [path.name for path in (tmp_path / "back").iterdir()] == ["watchmark.db"]
    assert (tmp_path / "back" / "watchmark.db").stat().st_mode & 0o077 == 0


def normal(found: Contents) -> dict[str, set[tuple[Any, ...]]]:
    """The rows without their order, which depends on how a database writes true and bytes."""
    return {name: set(rows) for name, rows in found.items()}


def test_postgresql_counts_on_and_has_its_triggers(source: str, postgres: str) -> None:
    move_database.move(source, postgres)
    counted = [table for table in metadata.sorted_tables if table.autoincrement_column is not None]
    earlier = play.update().values(watched_at=from_ms(RECENT - 1))

    def draw_ids(connection: Connection) -> list[list[int]]:
        return [fresh_ids(connection, table, 2) for table in counted]

    with closing(Database(postgres)) as opened:
        ids = opened.do(draw_ids)
        opened.do(lambda connection: connection.execute(earlier))
        left = opened.ask(lambda connection: connection.execute(select(tally)).all())

    assert len(ids) > 10
    assert set(map(tuple, ids)) == {(ROWS + 1, ROWS + 2)}
    assert left == []


def test_an_empty_table_is_counted_from_one(postgres: str, tmp_path: Path) -> None:
    prepare(tmp_path / "data")

    move_database.move(f"sqlite:///{tmp_path}/data/watchmark.db", postgres)

    with closing(Database(postgres)) as opened:
        assert opened.do(lambda connection: fresh_ids(connection, person, 2)) == [1, 2]


def test_a_service_goes_on_in_postgresql_with_what_it_had(tmp_path: Path, postgres: str) -> None:
    environ = {"DATA_DIR": str(tmp_path), "CLAIM_FIRST_USER": "true"}
    before = closed(receive(open_service(environ), "A film"))

    move_database.move(f"sqlite:///{tmp_path}/watchmark.db", postgres)
    after = closed(receive(app.open_service({**environ, "DATABASE_URL": postgres}), "Another film"))

    assert before == ["A film"]
    assert after == ["A film", "Another film"]


def receive(service: Service, title: str) -> Service:
    raw = json.dumps(film("media.scrobble", title=title, Guid=[{"id": f"tmdb://{len(title)}"}])).encode()
    one = ReceivedWebhook(source="plex", token_id=None, received_at=clock.now(), content_type=None, raw=raw)
    service.database.do(lambda connection: inbox.store_webhooks(connection, [one]))
    service.database.do(lambda connection: service.interpreter.interpret(connection, [16]))
    return service


def closed(service: Service) -> list[str]:
    """The titles of the plays, of a service that is closed then."""
    plays = service.database.ask(
        lambda connection: connection.execute(select(play.c.item).order_by(play.c.id)).all()
    )
    asyncio.run(service.http.aclose())
    service.database.close()
    return [str(row.item["title"]) for row in plays]


def test_a_character_that_postgresql_does_not_take_is_replaced(source: str, postgres: str) -> None:
    with closing(sqlite3.connect(source.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute("UPDATE person SET name = 'an' || char(0) || 'na' WHERE id = 1")

    move_database.move(source, postgres)

    with closing(Database(postgres)) as opened:
        names = opened.ask(lambda connection: connection.execute(select(person.c.name)).scalars().all())
    assert "an\ufffdna" in names


# --- what is refused


def test_a_target_that_is_not_empty_is_refused_and_left_as_it_is(
    source: str, migrated_postgres_url: str, tmp_path: Path
) -> None:
    held = tmp_path / "held.db"
    held.write_bytes(b"")
    lone = tmp_path / "lone.db-wal"
    lone.write_bytes(b"log")

    with pytest.raises(MoveError, match="The target is not empty: it has"):
        move_database.move(source, driver(migrated_postgres_url))
    for path in (held, tmp_path / "lone.db"):
        with pytest.raises(MoveError, match="is there already"):
            move_database.move(source, f"sqlite:///{path}")

    assert (held.read_bytes(), lone.read_bytes(), (tmp_path / "lone.db").exists()) == (b"", b"log", False)


def test_what_cannot_be_moved_is_said(source: str, tmp_path: Path) -> None:
    target = f"sqlite:///{tmp_path}/new.db"

    with pytest.raises(MoveError, match="in use already"):
        move_database.move(source, source)
    with pytest.raises(MoveError, match="nothing to move"):
        move_database.move(f"sqlite:///{tmp_path}/none.db", target)
    with migrate.hold_lock(source), pytest.raises(migrate.AlreadyRunning):
        move_database.move(source, target)
    with closing(sqlite3.connect(source.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '0013'")
    with pytest.raises(migrate.OtherVersion, match="older version"):
        move_database.move(source, target)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]


def test_a_postgresql_that_something_else_uses_is_not_moved(
    migrated_postgres_url: str, tmp_path: Path
) -> None:
    url = driver(migrated_postgres_url)
    with closing(Database(url)) as other:
        other.ask(lambda connection: None)

        with pytest.raises(MoveError, match="Something else is connected to the database"):
            move_database.move(url, f"sqlite:///{tmp_path}/new.db")

    assert list(tmp_path.iterdir()) == []


def test_counts_that_differ_move_nothing(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = move_database.copy_table

    def lose(reading: Connection, writing: Connection, one: Table, progress: Any) -> None:
        copy(reading, writing, one, progress)
        if one.name == "edit":
            writing.execute(one.delete().where(one.c.id == 1))

    monkeypatch.setattr(move_database, "copy_table", lose)
    with pytest.raises(MoveError, match="The counts differ in edit"):
        move_database.move(source, f"sqlite:///{tmp_path}/new/watchmark.db")

    assert list((tmp_path / "new").iterdir()) == []


# --- a move that is killed


KILLED = """
import os, signal, sys
from webhook.maintenance import move_database

def kill(table, done, total):
    if table == "tally":  # the last one
        os.kill(os.getpid(), signal.SIGKILL)

move_database.move(*sys.argv[1:], kill)
"""


def test_a_move_to_a_file_that_is_killed_leaves_nothing_that_is_taken_for_the_data(
    source: str, tmp_path: Path
) -> None:
    target = f"sqlite:///{tmp_path}/new/watchmark.db"

    killed = subprocess.run([sys.executable, "-c", KILLED, source, target], check=False)

    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "new" / "watchmark.db").exists()
    assert {count.after for count in move_database.move(source, target)} == {ROWS}


def test_a_move_to_postgresql_that_breaks_off_leaves_nothing(source: str, postgres: str) -> None:
    watching = create_engine(postgres, isolation_level="AUTOCOMMIT")

    def cut_off(table: str, done: int, total: int) -> None:
        if table == tally.name:  # the last one
            with watching.connect() as connection:
                connection.execute(text(CUT_OFF))

    with pytest.raises(Unavailable):
        move_database.move(source, postgres, cut_off)
    left = table_names(postgres)
    watching.dispose()

    assert left == []
    assert {count.after for count in move_database.move(source, postgres)} == {ROWS}


CUT_OFF = (
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
)
"""Ends what others have open here, and waits for its end, as where a client was killed."""


# --- the command


def test_the_command_shows_the_counts_and_no_password(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.chdir(tmp_path)

    def run(*words: str, typed: str = "") -> str:
        return CliRunner().invoke(cli.app, ["move-database", *words], input=typed).output

    unreachable = run("-", typed="postgresql://anna:hush@127.0.0.1:9/watchmark\n")
    moved = run("sqlite:///moved.db")
    again = json.loads(run("sqlite:///again.db", "--json"))

    assert "the database cannot be used now" in unreachable
    assert "hush" not in unreachable
    assert "rows in 36 tables were moved to sqlite:///moved.db" in moved.replace(
        str(len(metadata.tables)), "36"
    )
    assert "Set DATABASE_URL to it" in moved
    assert {(one["before"], one["after"]) for one in again["tables"]} == {(ROWS, ROWS)}
    assert hide_password("postgresql+psycopg://anna:hush@db/w") == "postgresql://anna:***@db/w"


@pytest.mark.parametrize("given", ["mysql://db/w", "watchmark.db", " ", "postgresql"])
def test_an_address_that_is_no_database_is_said(
    given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path))

    ended = CliRunner().invoke(cli.app, ["move-database", given])

    assert ended.exit_code == 1
    assert "not a database address" in ended.output
