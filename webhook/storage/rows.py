"""Typed rows: the result of a Core statement, as NamedTuples or as the row class of a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from sqlalchemy import Connection, CursorResult, Executable
from sqlalchemy.orm import configure_mappers

from webhook.storage.tables import TableRow

R = TypeVar("R", bound="tuple[Any, ...] | TableRow")
E = TypeVar("E")
Parameters = Mapping[str, Any] | None


def fetch_all(
    connection: Connection, statement: Executable, into: type[R], parameters: Parameters = None
) -> list[R]:
    """Every row, as `into`: a NamedTuple whose fields are the selected columns, or the class of the whole row."""
    result = connection.execute(statement, parameters)
    return list(map(row_maker(into, result), result))


def fetch_first(
    connection: Connection, statement: Executable, into: type[R], parameters: Parameters = None
) -> R | None:
    """The first row, or None."""
    result = connection.execute(statement, parameters)
    make = row_maker(into, result)
    row = result.first()
    return None if row is None else make(row)


def fetch_one(
    connection: Connection, statement: Executable, into: type[R], parameters: Parameters = None
) -> R:
    """The only row; raises NoResultFound or MultipleResultsFound."""
    result = connection.execute(statement, parameters)
    return row_maker(into, result)(result.one())


def fetch_with(
    connection: Connection,
    statement: Executable,
    into: type[R],
    extra: type[E],
    parameters: Parameters = None,
) -> list[tuple[R, E]]:
    """Every row, as `into`, beside the one column that is selected after it."""
    result = connection.execute(statement, parameters)
    make = maker_of(into, tuple(result.keys())[:-1])
    return [(make(row[:-1]), row[-1]) for row in result]


def row_maker(into: type[R], result: CursorResult[Any]) -> Callable[[Any], R]:
    """The function that makes a typed row; raises TypeError where its fields are not the selected columns."""
    return maker_of(into, tuple(result.keys()))


def maker_of(into: type[R], columns: tuple[str, ...]) -> Callable[[Any], R]:
    wanted: Any = into
    fields = tuple(wanted.model_fields) if issubclass(into, TableRow) else wanted._fields
    if fields != columns:
        raise TypeError(f"{into.__name__} has the fields {fields}, and the statement selects {columns}")
    if not issubclass(into, TableRow):
        return wanted._make  # type: ignore[no-any-return]

    configure_mappers()  # until then the attributes of a row cannot be read; afterwards it returns at once

    def make(row: Any) -> R:
        # Validation would cost a hundred times as much, and what the tables hold is valid.
        made = wanted.__new__(wanted)
        object.__setattr__(made, "__dict__", dict(zip(columns, row, strict=True)))
        return made  # type: ignore[no-any-return]

    return make
