"""Pictures for the pages: where one is, and which ones are wanted."""

from __future__ import annotations

import asyncio

from webhook import clock
from webhook.pictures.store import PictureStore

SCAN_INTERVAL = 3600.0


class Pictures:
    """What the pages ask for pictures."""

    def __init__(self, store: PictureStore) -> None:
        self.store = store

    def path(self, key: str | None, shape: str, width: int) -> str | None:
        """The address of a picture below the root of the pages; None if there is none yet."""
        return None if key is None else self.store.path(key, shape, width)

    async def run(self, stop: asyncio.Event) -> None:
        """Read the store's index now and once an hour, since other processes write to it too."""
        while not stop.is_set():
            await asyncio.to_thread(self.store.scan)
            await clock.awaken(asyncio.Event(), stop, SCAN_INTERVAL)
