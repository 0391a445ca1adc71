"""Typed rows: the result of a Core statement, as NamedTuples or as the row class of a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, TypeVar

from sqlalchemy import Connection, CursorResult, Executable
from sqlalchemy.exc import MultipleResultsFound, NoResultFound
from sqlalchemy.orm import configure_mappers

from webhook.storage.prepared import Prepared
from webhook.storage.tables.base import TableRow

R = TypeVar("R", bound="tuple[Any, ...] | TableRow")
E = TypeVar("E")
Parameters = Mapping[str, Any] | None


def fetch_all(
    connection: Connection, statement: Executable | Prepared, into: type[R], parameters: Parameters = None
) -> list[R]:
    """Every row, as `into`: a NamedTuple whose fields are the selected columns, or the class of the whole row."""
    if isinstance(statement, Prepared):
        columns, rows = statement.table(connection, parameters or {})
        return list(map(maker_of(into, columns), rows))
    result = connection.execute(statement, parameters)
    return list(map(row_maker(into, result), result))


def fetch_first(
    connection: Connection, statement: Executable | Prepared, into: type[R], parameters: Parameters = None
) -> R | None:
    """The first row, or None."""
    if isinstance(statement, Prepared):
        return next(iter(fetch_all(connection, statement, into, parameters)), None)
    result = connection.execute(statement, parameters)
    make = row_maker(into, result)
    row = result.first()
    return None if row is None else make(row)


def fetch_one(
    connection: Connection, statement: Executable | Prepared, into: type[R], parameters: Parameters = None
) -> R:
    """The only row; raises NoResultFound or MultipleResultsFound."""
    if isinstance(statement, Prepared):
        rows = fetch_all(connection, statement, into, parameters)
        if len(rows) != 1:
            raise MultipleResultsFound if rows else NoResultFound
        return rows[0]
    result = connection.execute(statement, parameters)
    return row_maker(into, result)(result.one())


def fetch_with(
    connection: Connection,
    statement: Executable | Prepared,
    into: type[R],
    extra: type[E],
    parameters: Parameters = None,
) -> list[tuple[R, E]]:
    """Every row, as `into`, beside the one column that is selected after it."""
    if isinstance(statement, Prepared):
        columns, rows = statement.table(connection, parameters or {})
        make = maker_of(into, columns[:-1])
        return [(make(row[:-1]), row[-1]) for row in rows]
    result = connection.execute(statement, parameters)
    make = maker_of(into, tuple(result.keys())[:-1])
    return [(make(row[:-1]), row[-1]) for row in result]


def make_row(into: type[R], values: Mapping[str, Any]) -> R:
    """A row of a table that is known without reading it; raises TypeError where its columns are not in order."""
    return maker_of(into, tuple(values))(tuple(values.values()))


def row_maker(into: type[R], result: CursorResult[Any]) -> Callable[[Any], R]:
    """The function that makes a typed row; raises TypeError where its fields are not the selected columns."""
    return maker_of(into, tuple(result.keys()))


def maker_of(into: type[R], columns: tuple[str, ...]) -> Callable[[Any], R]:
    wanted: Any = into
    return cached_maker(wanted, columns)


@cache
def cached_maker(into: Any, columns: tuple[str, ...]) -> Callable[[Any], Any]:
    fields = tuple(into.model_fields) if issubclass(into, TableRow) else into._fields
    if fields != columns:
        raise TypeError(f"{into.__name__} has the fields {fields}, and the statement selects {columns}")
    if not issubclass(into, TableRow):
        return into._make  # type: ignore[no-any-return]

    configure_mappers()  # until then the attributes of a row cannot be read; afterwards it returns at once

    def make(row: Any) -> Any:
        # Validation would cost a hundred times as much, and what the tables hold is valid.
        made = into.__new__(into)
        object.__setattr__(made, "__dict__", dict(zip(columns, row, strict=True)))
        return made

    return make
