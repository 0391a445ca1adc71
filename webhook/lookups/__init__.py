"""Lookups: who can say what else an item is known by. One file is one service."""

from __future__ import annotations

from typing import Protocol

from webhook.event import Item


class Lookup(Protocol):
    name: str
    label: str

    async def find(self, item: Item) -> Item | None:
        """The item with the ids that this service knows of it, or None; raises Retry when it is down."""
        ...
