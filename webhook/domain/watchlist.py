"""The watchlist: a film or a show that somebody wants to watch, and what a service's list says beside its last. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Generic, TypeVar

from webhook.domain.event import Item, Movie, Show
from webhook.domain.items import keys, same_item

T = TypeVar("T")

MOST_GONE, SHARE_GONE, FEW_GONE = 10, 0.2, 2
"""Removals believed at once: a fifth of the list, at least two and at most ten."""


class Leaving(StrEnum):
    """When an item leaves the watchlist by itself; a film that was watched is both begun and finished."""

    FINISHED = "finished"
    BEGUN = "begun"
    NEVER = "never"


@dataclass(frozen=True, kw_only=True, slots=True)
class WantedItem:
    """A film or a show on the watchlist of an account: since when, and the service's own key of it."""

    item: Movie | Show
    at: datetime | None = None
    handle: str | None = None


class ItemIndex(Generic[T]):
    """Finds what belongs to an item by any key that both share, where no fact speaks against it."""

    def __init__(self, entries: Iterable[tuple[Item, T]] = ()) -> None:
        self.by_key: dict[str, list[tuple[Item, T]]] = {}
        for item, value in entries:
            self.add(item, value)

    def add(self, item: Item, value: T) -> None:
        for key in keys(item):
            self.by_key.setdefault(key, []).append((item, value))

    def find(self, item: Item) -> T | None:
        """What belongs to this item, by its surest key."""
        return next(self.find_all(item), None)

    def find_all(self, item: Item) -> Iterator[T]:
        for key in keys(item):
            for other, value in self.by_key.get(key, ()):
                if same_item(item, other):
                    yield value


def join_items(wanted: Iterable[WantedItem]) -> list[WantedItem]:
    """Each item once, the one listed first."""
    index: ItemIndex[WantedItem] = ItemIndex()
    found = []
    for one in wanted:
        if keys(one.item) and index.find(one.item) is None:
            index.add(one.item, one)
            found.append(one)
    return found


def is_suspicious(before: int, gone: int) -> bool:
    """True if more is gone at once than a person removes between two reads, or everything is."""
    if before > 1 and gone == before:
        return True
    return gone > min(MOST_GONE, max(FEW_GONE, math.ceil(before * SHARE_GONE)))
