"""The base class of table rows, and the columns and indexes that several tables share."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, FromClause, Index, MetaData, Table, text
from sqlmodel import Field, SQLModel

from webhook.storage.types import Id, Sealed

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class TableRow(SQLModel):
    """A row of one of the tables; each subclass is one table."""

    metadata = metadata
    model_config = {"defer_build": True}  # rows come from the database and are not validated


def table_of(row_class: type[TableRow]) -> Table:
    """The table of a row class, for Core statements."""
    return metadata.tables[str(row_class.__tablename__)]


def row_class_of(table: FromClause) -> type[TableRow]:
    """The row class of a table."""
    return next(one for one in TableRow.__subclasses__() if table_of(one) is table)


def sealed_columns() -> list[Column[str]]:
    """Every column that holds something sealed."""
    return [
        column
        for table in metadata.sorted_tables
        for column in table.columns
        if isinstance(column.type, Sealed)
    ]


def id_field() -> Any:
    return Field(default=None, primary_key=True, sa_type=Id)


def partial_index(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    """An index of only the rows that `where` holds for; the migrations say it to PostgreSQL themselves.

    The argument `postgresql_where` would load all of SQLAlchemy's PostgreSQL dialects, which SQLite never needs.
    """
    return Index(name, *columns, unique=unique, sqlite_where=text(where))
