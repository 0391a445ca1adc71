"""The mark of tables whose texts people read: `make texts` collects them for the catalogue."""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T")


def texts(table: T) -> T:
    """The table as it is; each text in it, keys apart, is English and has its translation in `locale/`."""
    return table
