"""Pages of lists: keyset paging, newest first."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, Connection, Select
from typing_extensions import TypedDict

from webhook.storage.rows import R, fetch_all

PAGE_SIZE = 50
MAX_PAGE_SIZE = 500

T = TypeVar("T")


class Page(TypedDict, Generic[T]):
    """A page of a list, newest first; `next` is the cursor of the page after it, None on the last one."""

    items: list[T]
    next: int | None


class TextPage(TypedDict, Generic[T]):
    """A page of a list that is not ordered by number; `next` is a text."""

    items: list[T]
    next: str | None


def fetch_page(
    connection: Connection,
    wanted: Select[Any],
    into: type[R],
    column: ColumnElement[int],
    limit: int,
    after: int | None,
) -> tuple[list[R], int | None]:
    """Rows newest first, and the cursor for those after them.

    An index finds their ids before they are read, because bodies and answers are large.
    """
    limit = min(max(limit, 1), MAX_PAGE_SIZE)
    among = wanted.with_only_columns(column)
    if after is not None:
        among = among.where(column < after)
    ids = connection.execute(among.order_by(column.desc()).limit(limit + 1)).scalars().all()
    rows = fetch_all(connection, wanted.where(column.in_(ids[:limit])).order_by(column.desc()), into)
    return rows, int(ids[limit - 1]) if len(ids) > limit else None
