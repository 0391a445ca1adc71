"""Databases with rows in every table, whatever tables a revision has: for upgrades and moves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import Boolean, Column, Connection, Float, Integer, MetaData, Table, insert, inspect, select
from sqlalchemy.types import LargeBinary

from webhook.storage.tables import metadata
from webhook.storage.types import JsonText, Utc

ROWS = 3
RECENT = 1_790_000_000_000
"""Milliseconds of a moment in 2026."""

Contents = dict[str, list[tuple[Any, ...]]]


def tables_of(connection: Connection) -> list[Table]:
    """The tables with the columns that this revision has, those that others refer to first."""
    found = {name: columns for (_, name), columns in inspect(connection).get_multi_columns().items()}
    assert found.keys() - metadata.tables.keys() == {"alembic_version"}
    return [
        Table(known.name, MetaData(), *(Column(one["name"], one["type"]) for one in found[known.name]))
        for known in metadata.sorted_tables
        if known.name in found
    ]


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
