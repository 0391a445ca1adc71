"""A prepared statement does what `Connection.execute` does with it, on every database."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError, NoResultFound

from tests.prepared import prepare
from webhook.pipeline.intake import OLDEST_RECEIVED
from webhook.pipeline.turns import HEADS, HEADS_UNTIL
from webhook.queues.leases import CLAIM_DELIVERIES, FRESH_HEADS, LATE_HEADS, RELEASE
from webhook.storage.db import Database, Unavailable
from webhook.storage.prepared import MAX_ROWS, Prepared, inline, savepoint
from webhook.storage.rows import fetch_all, fetch_first, fetch_one
from webhook.storage.tables import RuntimeRow, WebhookRow, runtime, webhook
from webhook.storage.types import Utc

NOW = datetime(2026, 11, 30, 20, 0, tzinfo=UTC)
ADD = Prepared(insert(runtime))
BY_KEYS = Prepared(
    select(runtime).where(runtime.c.key.in_(bindparam("keys", expanding=True))).order_by(runtime.c.key)
)
LENGTHEN = Prepared(update(runtime).where(runtime.c.key == bindparam("of")).values(ms=bindparam("to")))


def add(database: Database, *keys: str) -> None:
    rows = [{"key": key, "ms": len(key)} for key in keys]
    database.do(lambda connection: ADD.execute_many(connection, rows))


def test_rows_are_the_same_as_of_core(database: Database) -> None:
    add(database, "a", "bb", "ccc")
    wanted = {"keys": ["ccc", "a"]}

    def both(connection: Connection) -> tuple[list[Any], list[Any]]:
        core = fetch_all(connection, BY_KEYS.statement, RuntimeRow, wanted)
        return core, fetch_all(connection, BY_KEYS, RuntimeRow, wanted)

    core, prepared = database.ask(both)

    assert [(row.key, row.ms) for row in prepared] == [("a", 1), ("ccc", 3)]
    assert [vars(row) for row in prepared] == [vars(row) for row in core]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_list_may_have_any_length(database: Database, count: int) -> None:
    add(database, "a", "bb")

    found = database.ask(lambda connection: BY_KEYS.scalars(connection, {"keys": ["a", "bb"][:count]}))

    assert found == ["a", "bb"][:count]


def test_values_are_converted_both_ways(database: Database) -> None:
    """Times and JSON are stored as numbers and text; what a column has by default is filled in."""
    put = Prepared(insert(webhook))
    later = Prepared(select(webhook).where(webhook.c.received_at > bindparam("since", type_=Utc)))
    events = [{"action": "start"}]
    values = {
        "id": 1,
        "source": "plex",
        "received_at": NOW,
        "raw": b"{}",
        "state": "received",
        "events": events,
    }

    database.do(lambda connection: put.execute(connection, values))
    (row,) = database.ask(
        lambda connection: fetch_all(connection, later, WebhookRow, {"since": NOW - timedelta(hours=1)})
    )

    assert (row.received_at, row.raw, row.events, row.reason) == (NOW, b"{}", events, None)


def test_an_insert_takes_the_columns_that_it_is_given(database: Database) -> None:
    put = Prepared(insert(webhook))
    values = {"source": "plex", "received_at": NOW, "state": "received"}

    def twice(connection: Connection) -> None:
        put.execute(connection, {"id": 1, **values})
        put.execute(connection, {"id": 2, **values, "reason": "because"})

    database.do(twice)

    reasons = Prepared(select(webhook.c.reason).order_by(webhook.c.id))
    assert database.ask(lambda connection: reasons.scalars(connection, {})) == [None, "because"]


def test_an_update_counts_its_rows(database: Database) -> None:
    add(database, "a")

    counts = database.do(
        lambda connection: [LENGTHEN.execute(connection, {"of": key, "to": 9}) for key in ("a", "b")]
    )

    assert counts == [1, 0]


def test_what_is_not_there_is_none_or_said(database: Database) -> None:
    def ask(connection: Connection) -> None:
        assert fetch_first(connection, BY_KEYS, RuntimeRow, {"keys": ["x"]}) is None
        assert BY_KEYS.scalar(connection, {"keys": ["x"]}) is None
        with pytest.raises(NoResultFound):
            fetch_one(connection, BY_KEYS, RuntimeRow, {"keys": ["x"]})

    database.ask(ask)


def test_errors_are_those_of_sqlalchemy(database: Database) -> None:
    add(database, "a")

    with pytest.raises(IntegrityError, match="runtime"):
        add(database, "a")


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Database]:
    prepare(tmp_path)
    opened = Database(f"sqlite:///{tmp_path}/watchmark.db")
    yield opened
    opened.close()


def test_a_database_that_refuses_is_unavailable(sqlite: Database) -> None:
    with pytest.raises(Unavailable, match="readonly"):
        sqlite.ask(lambda connection: ADD.execute(connection, {"key": "a", "ms": 1}))


def test_a_failed_part_is_undone_and_the_rest_is_kept(database: Database) -> None:
    def fail(connection: Connection) -> None:
        with savepoint(connection):
            ADD.execute(connection, {"key": "part", "ms": 1})
            raise ValueError("no")

    def change(connection: Connection) -> None:
        ADD.execute(connection, {"key": "before", "ms": 1})
        with pytest.raises(ValueError, match="no"):
            fail(connection)
        with savepoint(connection):
            ADD.execute(connection, {"key": "after", "ms": 1})

    database.do(change)

    kept = database.ask(lambda connection: BY_KEYS.scalars(connection, {"keys": ["before", "part", "after"]}))
    assert kept == ["after", "before"]


def test_one_question_sees_one_state(sqlite: Database) -> None:
    """A reading is a transaction from its first statement on, whoever executes it."""
    add(sqlite, "a")

    def ask(connection: Connection) -> list[list[str]]:
        first = BY_KEYS.scalars(connection, {"keys": ["a", "b"]})
        add(sqlite, "b")
        return [first, BY_KEYS.scalars(connection, {"keys": ["a", "b"]})]

    assert sqlite.ask(ask) == [["a"], ["a"]]


@pytest.mark.parametrize("count", [1, 2, MAX_ROWS, MAX_ROWS + 1, 3 * MAX_ROWS])
def test_any_number_of_rows_is_inserted_as_it_is_given(database: Database, count: int) -> None:
    keys = [f"{place:02}" for place in range(count)]

    add(database, *keys)

    found = database.ask(lambda connection: fetch_all(connection, BY_KEYS, RuntimeRow, {"keys": keys}))
    assert [(row.key, row.ms) for row in found] == [(key, 2) for key in keys]


def test_rows_are_inserted_together_or_not_at_all(database: Database) -> None:
    add(database, "a")

    with pytest.raises(IntegrityError):
        add(database, "b", "a", "c")

    assert database.ask(lambda connection: BY_KEYS.scalars(connection, {"keys": ["a", "b", "c"]})) == ["a"]


def test_a_value_in_the_statement_is_quoted_and_bound_nowhere(database: Database) -> None:
    add(database, "it's 100%")
    by_key = Prepared(select(runtime.c.ms).where(runtime.c.key == inline("it's 100%")))

    found = database.ask(lambda connection: by_key.scalars(connection, {}))

    assert found == [9]
    assert database.ask(lambda connection: by_key.compile(connection, {})).places == ()


HOT: Mapping[str, tuple[Prepared, Mapping[str, Any]]] = {
    "the oldest received webhook": (OLDEST_RECEIVED, {}),
    "the webhooks that wait": (HEADS, {"count": 1}),
    "those up to one": (HEADS_UNTIL, {"count": 1, "last": 1}),
    "fresh heads": (FRESH_HEADS, {"account": 1, "now": NOW, "cutoff": NOW, "count": 1}),
    "late heads": (LATE_HEADS, {"account": 1, "cutoff": NOW, "count": 1}),
    "claiming deliveries": (CLAIM_DELIVERIES, {"ids": [1]}),
    "releasing a lane": (RELEASE, {"account": 1, "hold": None}),
}


@pytest.mark.parametrize("name", HOT)
def test_a_state_that_a_partial_index_is_limited_by_is_not_bound(database: Database, name: str) -> None:
    """Bound, it would make SQLite prepare the statement anew at each execution."""
    statement, given = HOT[name]

    compiled = database.ask(lambda connection: statement.compile(connection, given))

    assert re.search(r"\bstate = '(waiting|received)'", compiled.sql)
