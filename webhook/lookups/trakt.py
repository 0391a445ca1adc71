"""Trakt's search by id and by text: https://docs.trakt.tv

Needs the client id only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
from pydantic import BaseModel, ConfigDict, Field

from webhook.domain import values
from webhook.domain.event import Episode, Kind
from webhook.lookups._catalogue import Candidate, FoundEpisode, distinct_texts, read_ids, year_of
from webhook.lookups._lookup import Lookup
from webhook.settings import Address

LABEL = "Trakt search"
COST = 1
SPECIAL = re.compile(r'([-+&|!(){}\[\]^"~*?:/\\])')
"""Letters that mean something to the search."""


class Settings(BaseModel):
    """The app's settings, which the tracker brings, that a search needs."""

    model_config = ConfigDict(frozen=True)

    client_id: str = Field(description="Client id of your API app at Trakt (making one needs VIP)")
    api_url: Address = Field(default="https://api.trakt.tv", description="Address of Trakt's API")


def build(settings: Settings, http: httpx.AsyncClient) -> TraktLookup:
    return TraktLookup(http, settings.api_url, settings.client_id)


class TraktLookup(Lookup):
    name = "trakt"
    label = LABEL
    film_ids = ("trakt", "imdb", "tmdb")  # a film's TVDB id means nothing to Trakt
    show_ids = ("trakt", "imdb", "tvdb", "tmdb")
    episode_ids = ("trakt", "imdb", "tvdb", "tmdb")

    def __init__(self, http: httpx.AsyncClient, api_url: str, client_id: str) -> None:
        super().__init__(http)
        self.url = api_url.rstrip("/")
        self.headers = {
            "Content-Type": "application/json",
            "trakt-api-version": "2",
            "trakt-api-key": client_id,
        }

    async def films(self, namespace: str, value: int | str) -> Sequence[Candidate]:
        return self.candidates(Kind.MOVIE, await self.hits(namespace, value, "movie"))

    async def shows(self, namespace: str, value: int | str) -> Sequence[Candidate]:
        return self.candidates(Kind.SHOW, await self.hits(namespace, value, "show"))

    async def parts(self, namespace: str, value: int | str) -> Sequence[FoundEpisode]:
        hits = await self.hits(namespace, value, "episode")
        return [
            part for hit in hits if (part := self.read(hit.get("episode"), self.candidate(Kind.SHOW, hit)))
        ]

    async def part(self, show: Candidate, season: int, number: int) -> FoundEpisode | None:
        if show.ids.trakt is None:
            return None
        path = f"/shows/{show.ids.trakt}/seasons/{season}/episodes/{number}"
        return self.read(await self.get(path, {"extended": "full"}), show)

    async def search_title(self, kind: Kind, title: str, year: int | None) -> Sequence[Candidate]:
        params = {"query": SPECIAL.sub(r"\\\1", title), "fields": "title,translations,aliases", "limit": "30"}
        return self.candidates(kind, values.objects(await self.get(f"/search/{kind.value}", params)))

    # ---

    def read(self, found: Any, show: Candidate) -> FoundEpisode | None:
        ids = read_ids(values.mapping(found).get("ids"))
        if not ids:
            return None
        season, number = values.whole(found.get("season")), values.whole(found.get("number"))
        year = year_of(found.get("first_aired"))
        episode = Episode(
            title=values.text(found.get("title")), season=season, number=number, year=year, ids=ids
        )
        return FoundEpisode(episode=episode, show=show)

    def candidates(self, kind: Kind, hits: Sequence[Mapping[str, Any]]) -> list[Candidate]:
        return [one for hit in hits if (one := self.candidate(kind, hit)).ids]

    def candidate(self, kind: Kind, hit: Mapping[str, Any]) -> Candidate:
        found = values.mapping(hit.get(kind.value))
        titles = distinct_texts(found.get("title"), found.get("original_title"))
        return Candidate(
            kind=kind,
            title=values.text(found.get("title")),
            titles=titles,
            year=values.whole(found.get("year")),
            ids=read_ids(found.get("ids")),
            picture=picture(found),
            via=self.name,
        )

    async def hits(self, namespace: str, value: int | str, kind: str) -> list[Mapping[str, Any]]:
        return values.objects(
            await self.get(f"/search/{namespace}/{value}", {"type": kind, "extended": "full"})
        )

    async def get(self, path: str, params: Mapping[str, str]) -> Any:
        return await self.ask(self.url + path, params, self.headers)


def picture(found: Mapping[str, Any]) -> str | None:
    """The address of the poster, which Trakt writes without `https://`."""
    posters = values.mapping(found.get("images")).get("poster")
    first = values.text(posters[0]) if isinstance(posters, list) and posters else None
    return None if first is None else first if "://" in first else f"https://{first}"
