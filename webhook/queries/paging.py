"""Pages of lists: keyset paging, newest first."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, Select

PAGE_SIZE = 50
MAX_PAGE_SIZE = 500

Page = dict[str, Any]
"""A page of a list: `items`, newest first, and `next`, the cursor of what is older, or None."""


def fetch_page(
    connection: Connection, wanted: Select[Any], column: Any, limit: int, after: int | None
) -> tuple[list[Row[Any]], int | None]:
    """Rows newest first, and the cursor for those after them.

    They are searched by what an index has of them, and then read: bodies and answers are large.
    """
    limit = min(max(limit, 1), MAX_PAGE_SIZE)
    among = wanted.with_only_columns(column)
    if after is not None:
        among = among.where(column < after)
    ids = connection.execute(among.order_by(column.desc()).limit(limit + 1)).scalars().all()
    rows = connection.execute(wanted.where(column.in_(ids[:limit])).order_by(column.desc())).all()
    return list(rows), int(ids[limit - 1]) if len(ids) > limit else None
