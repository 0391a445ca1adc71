"""Trakt's search by id: https://docs.trakt.tv

Needs the client id only. An episode is found by its own ids, or by its show's ids and its numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import httpx

from webhook.event import Episode, Ids, Item, Movie
from webhook.outcome import Undelivered, Unmatched
from webhook.remote import accept, call, read

NAMESPACES = ("tvdb", "tmdb", "imdb")


class TraktLookup:
    name = "trakt"
    label = "Trakt search"

    def __init__(self, http: httpx.AsyncClient, api_url: str, client_id: str) -> None:
        self.http = http
        self.url = api_url.rstrip("/")
        self.headers = {
            "Content-Type": "application/json",
            "trakt-api-version": "2",
            "trakt-api-key": client_id,
        }

    async def find(self, item: Item) -> Item | None:
        match item:
            case Episode():
                return await self.by_own_ids(item, "episode") or await self.by_show(item)
            case Movie():
                return await self.by_own_ids(item, "movie")
        return None

    async def by_own_ids(self, item: Episode | Movie, kind: str) -> Item | None:
        for name in NAMESPACES:
            value = item.ids.known().get(name)
            if value is None or (kind == "movie" and name == "tvdb"):
                continue
            for found in await self.search(name, value, kind):
                if known := agreed(item, found.get(kind), found.get("show")):
                    return known
        return None

    async def by_show(self, item: Episode) -> Item | None:
        """The episode by its show's ids and its numbers, where those count the aired order."""
        if item.season is None or item.number is None or item.numbering != "aired":
            return None
        for name in NAMESPACES:
            value = item.show_ids.known().get(name)
            for found in await self.search(name, value, "show") if value is not None else []:
                show = found.get("show") or {}
                trakt = (show.get("ids") or {}).get("trakt")
                path = f"/shows/{trakt}/seasons/{item.season}/episodes/{item.number}"
                episode = await self.ask(path) if trakt else None
                if known := agreed(item, episode, show):
                    return known
        return None

    async def search(self, name: str, value: int | str, kind: str) -> list[Mapping[str, Any]]:
        found = await self.ask(f"/search/{name}/{value}", {"type": kind})
        return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []

    async def ask(self, path: str, params: Mapping[str, str] | None = None) -> Any:
        """The answer, None where Trakt knows nothing; raises Retry (or Snooze) when it cannot say."""
        response = await call(
            self.http, self.label, "GET", self.url + path, headers=self.headers, params=params
        )
        try:
            return read(self.label, accept(self.label, response))
        except Unmatched:
            return None
        except Undelivered:
            raise


def agreed(
    item: Episode | Movie, found: Mapping[str, Any] | None, show: Mapping[str, Any] | None
) -> Item | None:
    """The item with the ids found, unless they contradict what it was asked by."""
    if not isinstance(found, Mapping):
        return None
    ids = trusted(found.get("ids"))
    if not ids or item.ids.contradicts(ids):
        return None
    known = replace(item, ids=item.ids.merged(ids))
    if isinstance(known, Episode) and show:
        known = replace(
            known,
            show_ids=known.show_ids.merged(trusted(show.get("ids"))),
            show=known.show or show.get("title"),
        )
    return known


def trusted(ids: Any) -> Ids:
    """The ids of an answer, of the types they have; anything else is as good as unknown."""
    if not isinstance(ids, Mapping):
        return Ids()
    numbers = {name: value for name in ("trakt", "tvdb", "tmdb") if isinstance(value := ids.get(name), int)}
    texts = {name: value for name in ("imdb", "slug") if isinstance(value := ids.get(name), str) and value}
    return Ids.from_json({**numbers, **texts})
