"""Prepared statements of the hottest paths: compiled once, and executed by the database's driver itself.

SQLAlchemy spends five to ten times as long on a small statement as SQLite does. A `Prepared` compiles a Core
statement once for each database and keeps the conversions of its parameters and columns. It runs in the
transaction of the connection that it is given, with the results and the errors of `Connection.execute`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import Any

from sqlalchemy import ColumnElement, Connection, literal
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.dml import Insert
from sqlalchemy.sql.expression import BindParameter, Executable
from sqlalchemy.sql.visitors import iterate

from webhook.storage.db import Unavailable

Convert = Callable[[Any], Any]
Parameters = Mapping[str, Any]
MAX_ROWS = 8
"""Rows that are inserted by one statement on SQLite, which takes a fifth of the time where there are triggers."""

Argument = tuple[str | None, int | None, Convert | None, Any]
"""A parameter: its name, its place in a list, its conversion; or, without a name, the statement's own value."""


@dataclass(slots=True)
class Compiled:
    """A statement for one database, and for one length of each of its lists."""

    sql: str
    places: tuple[Argument, ...]
    names: tuple[str, ...] | None
    """The parameters' names, where the driver wants them by name."""
    columns: tuple[str, ...]
    types: tuple[Any, ...]
    converts: tuple[tuple[int, Convert], ...] | None = None
    """The columns whose values are converted, known after the first result."""

    def values(self, given: Parameters) -> Any:
        values = []
        for name, place, convert, fixed in self.places:
            if name is None:
                values.append(fixed)
                continue
            value = given[name] if place is None else given[name][place]
            values.append(value if convert is None else convert(value))
        return values if self.names is None else dict(zip(self.names, values, strict=True))


class Prepared:
    """A Core statement that is compiled once; an expanding parameter takes a list."""

    def __init__(self, statement: Executable) -> None:
        self.statement = statement
        self._is_insert = isinstance(statement, Insert)
        self._lists = list_names(statement)
        self._compiled: dict[tuple[Any, ...], Compiled] = {}

    def execute(self, connection: Connection, given: Parameters) -> int:
        """Execute the statement; returns the number of rows that it changed."""
        count: int = self._run(connection, self.compile(connection, given), given).rowcount
        return count

    def execute_many(self, connection: Connection, rows: Sequence[Parameters]) -> None:
        """Execute the statement once for each of the rows, which have the same names."""
        if not rows:
            return
        compiled = self.compile(connection, rows[0])
        values = [compiled.values(row) for row in rows]
        try:
            if self._is_insert and compiled.names is None and len(rows) <= MAX_ROWS:
                driver_of(connection).execute(repeat_row(compiled.sql, len(rows)), list(chain(*values)))
            else:
                driver_of(connection).cursor().executemany(compiled.sql, values)
        except Exception as error:
            raise translate(error, connection, compiled.sql) from error

    def rows(self, connection: Connection, given: Parameters) -> list[Any]:
        """Every row as a sequence, with the values that the columns' types give."""
        return self.table(connection, given)[1]

    def table(self, connection: Connection, given: Parameters) -> tuple[tuple[str, ...], list[Any]]:
        """The names of the columns, and every row."""
        compiled = self.compile(connection, given)
        return compiled.columns, self._fetch(connection, compiled, given)

    def _fetch(self, connection: Connection, compiled: Compiled, given: Parameters) -> list[Any]:
        cursor = self._run(connection, compiled, given)
        found: list[Any] = cursor.fetchall()
        if not found:
            return found
        if compiled.converts is None:
            compiled.converts = tuple(find_converts(compiled, connection, cursor.description))
        if not compiled.converts:
            return found
        return [convert_row(row, compiled.converts) for row in found]

    def scalars(self, connection: Connection, given: Parameters) -> list[Any]:
        """The first column of every row."""
        return [row[0] for row in self.rows(connection, given)]

    def scalar(self, connection: Connection, given: Parameters) -> Any:
        """The first column of the first row; None if there is no row."""
        return next(iter(self.scalars(connection, given)), None)

    def compile(self, connection: Connection, given: Parameters) -> Compiled:
        """The statement for this database and the lengths of these lists; an insert also for these columns."""
        lengths = [len(given[name]) for name in self._lists]
        shape = (connection.dialect.name, *lengths, *(given if self._is_insert else ()))
        if (compiled := self._compiled.get(shape)) is None:
            compiled = self._compiled[shape] = compile_statement(self.statement, connection, given)
        return compiled

    def _run(self, connection: Connection, compiled: Compiled, given: Parameters) -> Any:
        if not connection.in_transaction():
            connection.begin()
        values = compiled.values(given)
        try:
            return driver_of(connection).execute(compiled.sql, values)
        except Exception as error:
            raise translate(error, connection, compiled.sql) from error


@cache
def repeat_row(sql: str, count: int) -> str:
    """The insert of one row as an insert of so many."""
    row = sql[sql.rindex("VALUES ") + 7 :]
    return ", ".join([sql, *[row] * (count - 1)])


def inline(value: str) -> ColumnElement[str]:
    """A value that is written into the statement instead of bound to it, for a column that a partial index is limited by.

    SQLite prepares a statement anew at each execution if its plan may depend on a value that is bound.
    """
    return literal(value, literal_execute=True)


def list_names(statement: Any) -> list[str]:
    """The names of the parameters that take a list."""
    binds = (part for part in iterate(statement) if isinstance(part, BindParameter))
    return sorted({bind.key for bind in binds if bind.expanding and bind.required})


def compile_statement(statement: Any, connection: Connection, given: Parameters) -> Compiled:
    dialect = connection.dialect
    keys = list(given) if isinstance(statement, Insert) else None
    compiled: SQLCompiler = statement.compile(dialect=dialect, column_keys=keys)
    defaults = {column.key: default_value(column.default) for column in compiled.insert_prefetch}
    own = {**compiled.params, **defaults}
    state = compiled.construct_expanded_state({**own, **given})
    converts = {
        name: bind.type.dialect_impl(dialect).bind_processor(dialect) for name, bind in compiled.binds.items()
    }
    lists: dict[str, tuple[str, int | None]] = {
        name: (source, place)
        for source, names in state.parameter_expansion.items()
        for place, name in enumerate(names)
    }
    names = state.positiontup if state.positiontup is not None else list(state.parameters)
    return Compiled(
        sql=state.statement,
        places=tuple(argument_of(lists.get(name, (name, None)), given, own, converts) for name in names),
        names=None if state.positiontup is not None else tuple(names),
        columns=tuple(column.keyname for column in compiled._result_columns),
        types=tuple(column.type for column in compiled._result_columns),
    )


def default_value(default: Any) -> Any:
    """A column's default; raises TypeError for one that is computed for each row."""
    if not default.is_scalar:
        raise TypeError(f"{default} is computed for each row, which a prepared statement does not do")
    return default.arg


def argument_of(
    source: tuple[str, int | None],
    given: Parameters,
    own: Parameters,
    converts: Mapping[str, Convert | None],
) -> Argument:
    """The place of a parameter that is given each time, or that the statement has itself."""
    name, place = source
    convert = converts[name]
    if name in given:
        return name, place, convert, None
    value = own[name] if place is None else own[name][place]
    return None, None, None, value if convert is None else convert(value)


def find_converts(
    compiled: Compiled, connection: Connection, description: Sequence[Any]
) -> Iterator[tuple[int, Convert]]:
    dialect = connection.dialect
    for place, (kind, described) in enumerate(zip(compiled.types, description, strict=True)):
        convert = kind.dialect_impl(dialect).result_processor(dialect, described[1])
        if convert is not None:
            yield place, convert


def convert_row(row: Sequence[Any], converts: Sequence[tuple[int, Convert]]) -> Sequence[Any]:
    values = list(row)
    for place, convert in converts:
        values[place] = convert(values[place])
    return values


def driver_of(connection: Connection) -> Any:
    """The driver's own connection: of sqlite3, or of psycopg."""
    return connection.connection.driver_connection


def translate(error: Exception, connection: Connection, sql: str) -> Exception:
    """A driver's error as SQLAlchemy's; any other stays as it is."""
    base = connection.dialect.loaded_dbapi.Error
    if not isinstance(error, base):
        return error
    return DBAPIError.instance(sql, None, error, base, dialect=connection.dialect)


class TransactionLost(Unavailable):
    """The part could not be undone alone: the database has undone the whole transaction, as SQLite may on a full disk."""


@contextmanager
def savepoint(connection: Connection) -> Iterator[None]:
    """A part of the transaction that is undone by itself when it fails; raises TransactionLost where it cannot be."""
    execute_sql(connection, "SAVEPOINT part")
    try:
        yield
    except TransactionLost:
        raise
    except BaseException as error:
        try:
            execute_sql(connection, "ROLLBACK TO SAVEPOINT part")
            execute_sql(connection, "RELEASE SAVEPOINT part")
        except Exception as lost:
            raise TransactionLost(str(error)) from lost
        raise
    execute_sql(connection, "RELEASE SAVEPOINT part")


def execute_sql(connection: Connection, sql: str) -> None:
    try:
        driver_of(connection).execute(sql)
    except Exception as error:
        raise translate(error, connection, sql) from error
