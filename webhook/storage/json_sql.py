"""SQL functions for JSON that is stored as text, compiled for SQLite and for PostgreSQL."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Text, literal_column, type_coerce
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction


class json_field(GenericFunction[str]):  # noqa: N801 - named as SQLAlchemy names functions
    """A field of a JSON object, as text; an object or a list in it as JSON."""

    type = Text()
    inherit_cache = True


class json_rows(GenericFunction[Any]):  # noqa: N801
    """The texts of a JSON list, as rows of one column, `value`."""

    inherit_cache = True


@compiles(json_field, "sqlite")
def field_in_sqlite(element: Any, compiler: Any, **options: Any) -> str:
    document, name = (compiler.process(clause, **options) for clause in element.clauses)
    return f"json_extract({document}, '$.' || {name})"


@compiles(json_field, "postgresql")
def field_in_postgres(element: Any, compiler: Any, **options: Any) -> str:
    document, name = (compiler.process(clause, **options) for clause in element.clauses)
    return f"(CAST({document} AS json) ->> {name})"


@compiles(json_rows, "sqlite")
def rows_in_sqlite(element: Any, compiler: Any, **options: Any) -> str:
    return f"json_each{compiler.process(element.clause_expr, **options)}"


@compiles(json_rows, "postgresql")
def rows_in_postgres(element: Any, compiler: Any, **options: Any) -> str:
    return f"json_array_elements_text(CAST({compiler.process(element.clause_expr, **options)} AS json))"


def json_text(document: ColumnElement[Any], name: str) -> ColumnElement[str]:
    """A field of an item that is stored as JSON, as text."""
    return json_field(type_coerce(document, Text), literal_column(f"'{name}'"))
