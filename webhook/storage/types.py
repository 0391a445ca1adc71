"""Column types that store the same in SQLite and PostgreSQL: times as UTC milliseconds, JSON as text."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import BigInteger, Dialect, Integer, Text
from sqlalchemy.types import TypeDecorator

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


def to_ms(moment: datetime) -> int:
    return (moment - EPOCH) // MILLISECOND


def from_ms(ms: int) -> datetime:
    return EPOCH + ms * MILLISECOND


class Utc(TypeDecorator[datetime]):
    """An aware datetime, stored as milliseconds since 1970: sorts the same in both databases."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else to_ms(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        try:
            return None if value is None else from_ms(value)
        except (OverflowError, TypeError) as error:
            raise sqlite3.DatabaseError("a time that is none") from error


class JsonText(TypeDecorator[Any]):
    """JSON as text: the same bytes in both databases."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else orjson.dumps(value).decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        try:
            return None if value is None else orjson.loads(value)
        except orjson.JSONDecodeError as error:
            raise sqlite3.DatabaseError("a value that is no JSON") from error


class Sealed(TypeDecorator[str]):
    """Text that `Seal.seal` made. What is sealed lies in columns of this type only: `rekey` finds it by that."""

    impl = Text
    cache_ok = True


# SQLite counts only INTEGER PRIMARY KEY by itself; PostgreSQL wants the 64 bits said.
Id = BigInteger().with_variant(Integer, "sqlite")
