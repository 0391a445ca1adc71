"""Texts that people read: the mark by which `make texts` collects tables of them for the catalogue, and how one ends."""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T")


def texts(table: T) -> T:
    """The table as it is; each text in it, keys apart, is English and has its translation in `locale/`."""
    return table


def end_sentence(text: str) -> str:
    """The text with a full stop, or with the question mark that it ends with."""
    bare = text.rstrip(".")
    return bare if bare.endswith("?") else f"{bare}."
