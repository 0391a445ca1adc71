"""The identity of items: which other ids is it known by. Asked once, remembered."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from webhook import clock
from webhook.db import Database
from webhook.event import Episode, Ids, Item
from webhook.lookups import Lookup
from webhook.outcome import Unmatched
from webhook.play import keys
from webhook.tables import known_ids


class Identity:
    """Completes items. `lookups` are asked in the order in which they cost least."""

    def __init__(self, database: Database, lookups: Sequence[Lookup]) -> None:
        self.database = database
        self.lookups = lookups
        self._asking: Mapping[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def complete(self, item: Item, needs: Collection[str]) -> Item:
        """The item with one of the ids that are needed; raises Unmatched when nobody knows, Retry when down."""
        if not needs or has(item, needs):
            return item
        key = next(iter(keys(item)), None)
        if key is None:
            raise Unmatched(f"{named(needs)} is needed, and nothing in the webhook says which item this is")
        async with self._asking[key]:
            known = await self.database.read(lambda connection: remembered(connection, item))
            if has(known, needs):
                return known
            return await self.ask(known, key, needs)

    async def ask(self, item: Item, key: str, needs: Collection[str]) -> Item:
        for lookup in self.lookups:
            found = await lookup.find(item)
            if found is not None and has(found, needs):
                await self.database.write(learnt, (key, found, lookup.name))
                return found
        raise Unmatched(self.why(needs))

    def why(self, needs: Collection[str]) -> str:
        if not self.lookups:
            return (
                f"{named(needs)} is not in the webhook, and no lookup is set up that could find it "
                "(set TRAKT_CLIENT_ID and TRAKT_CLIENT_SECRET)"
            )
        asked = ", ".join(lookup.label for lookup in self.lookups)
        return f"{named(needs)} is not in the webhook, and {asked} does not know it"


def has(item: Item, needs: Collection[str]) -> bool:
    return any(name in item.ids.known() for name in needs)


def named(needs: Collection[str]) -> str:
    names = {"tvdb": "TheTVDB id", "tmdb": "TMDB id", "imdb": "IMDb id"}
    return "the " + " or ".join(names.get(name, f"{name} id") for name in needs)


def remembered(connection: Connection, item: Item) -> Item:
    """The item with what was learnt of it before."""
    rows = connection.execute(select(known_ids.c.ids).where(known_ids.c.key.in_(keys(item))))
    known = item
    for (ids,) in rows:
        known = told(known, ids)
    return known


def told(item: Item, ids: Mapping[str, Any]) -> Item:
    own = Ids.from_json(ids.get("ids"))
    if item.ids.contradicts(own):
        return item
    known = replace(item, ids=item.ids.merged(own))
    if isinstance(known, Episode):
        known = replace(known, show_ids=known.show_ids.merged(Ids.from_json(ids.get("show_ids"))))
    return known


def learnt(connection: Connection, waiting: list[tuple[str, Item, str]]) -> list[None]:
    for key, item, via in waiting:
        ids: dict[str, Any] = {"ids": item.ids.known()}
        if isinstance(item, Episode):
            ids["show_ids"] = item.show_ids.known()
        connection.execute(delete(known_ids).where(known_ids.c.key == key))
        values = {"key": key, "ids": ids, "via": via, "learned_at": clock.now()}
        connection.execute(insert(known_ids), values)
    return [None] * len(waiting)
