"""TheTVDB: https://thetvdb.github.io/v4-api/

A v4 key needs no name; the login of v3 with a user name and a user key is for servers that still speak it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from webhook import clock
from webhook.client import Recorder, accept, call, excerpt, read_json, recording
from webhook.domain import values
from webhook.domain.event import Episode, Ids, Kind
from webhook.domain.outcome import Dead, Retry, Undelivered
from webhook.lookups._catalogue import (
    Candidate,
    FoundEpisode,
    ListedEpisode,
    day_of,
    distinct_texts,
    id_pairs,
    read_ids,
    year_of,
)
from webhook.lookups._lookup import Lookup, retry_delivery
from webhook.settings import Address

LABEL = "TheTVDB"
PURPOSE = "Identifies episodes that only TheTVDB knows, such as anime with absolute numbering. Most households do without it."
SETUP: tuple[str, ...] = (
    "Sign in at https://www.thetvdb.com/login, or register.",
    "Open https://thetvdb.com/api-information and get a key of v4: a project's own, which is negotiated, or a user-supported one, for which each user needs the PIN of a subscription.",
    "Copy the key into the field below, and the PIN only where the key is user-supported. Save: it is tried before it is kept.",
    "A key with a user name and a unique ID (API ACCESS in the menu under your name) belongs to the older v3, which is reported to have ended in August 2026. Its fields are for servers that still speak it.",
)
COST = 3
TOKEN_LIFE = timedelta(days=25)
"""The time for which a token of v4 is used; it is valid for a month."""

EPISODES_PER_PAGE = 500
"""The episodes on a page of a list; the last one has fewer."""

MAX_PAGES = 40
"""A longer list is taken to have no end."""

LEGACY_TOKEN_LIFE = timedelta(hours=23)
DEFAULT_URL = "https://api4.thetvdb.com/v4"
SOURCES = {"imdb": "imdb", "themoviedb.com": "tmdb", "themoviedb": "tmdb", "tmdb": "tmdb"}


class Settings(BaseModel):
    model_config = ConfigDict(frozen=True)

    api_key: SecretStr = Field(
        description="API key of TheTVDB (v4), from https://thetvdb.com/api-information"
    )
    pin: SecretStr = Field(default=SecretStr(""), description="Subscriber PIN, where the key wants one")
    username: str = Field(default="", description="User name, for the login of v3; only with USERKEY")
    userkey: SecretStr = Field(default=SecretStr(""), description="User key (unique id), for the login of v3")
    api_url: Address = Field(default=DEFAULT_URL, description="Address of TheTVDB's API")


def build(settings: Settings, http: httpx.AsyncClient) -> Tvdb:
    return Tvdb(http, settings)


class Tvdb(Lookup):
    name = "tvdb"
    label = LABEL
    film_ids = ("tvdb", "imdb", "tmdb")
    show_ids = ("tvdb", "imdb", "tmdb")
    episode_ids = ("tvdb", "imdb", "tmdb")

    def __init__(self, http: httpx.AsyncClient, settings: Settings) -> None:
        super().__init__(http)
        self.settings = settings
        self.url = settings.api_url.rstrip("/")
        self.legacy = bool(settings.username and settings.userkey.get_secret_value())
        self.token: str | None = None
        self.until = datetime.min.replace(tzinfo=UTC)
        self._sign_in_lock = asyncio.Lock()

    async def films(self, namespace: str, value: int | str) -> Sequence[Candidate]:
        ids = [value] if namespace == "tvdb" else await self.remote("movie", value)
        found = [await self.get(f"/movies/{one}/extended") for one in ids]
        return self.candidates(Kind.MOVIE, found)

    async def shows(self, namespace: str, value: int | str) -> Sequence[Candidate]:
        ids = [value] if namespace == "tvdb" else await self.remote("series", value)
        found = [await self.get(f"/series/{one}/extended", {"short": "true"}) for one in ids]
        kept = self.candidates(Kind.SHOW, found)
        by = Ids() if namespace == "tvdb" else Ids.from_json({namespace: value})
        return [one for one in kept if not one.ids.contradicts(by)]

    async def parts(self, namespace: str, value: int | str) -> Sequence[FoundEpisode]:
        ids = [value] if namespace == "tvdb" else await self.remote("episode", value)
        found = [await self.episode(one) for one in ids]
        return [part for part in found if part is not None]

    async def episode(self, number: int | str, show: Candidate | None = None) -> FoundEpisode | None:
        """An episode with its ids and its place as aired."""
        row = values.mapping(await self.get(f"/episodes/{number}/extended"))
        series = values.whole(row.get("seriesId"))
        if values.whole(row.get("id")) is None or series is None:
            return None
        for known in [show] if show is not None else await self.shows("tvdb", series):
            return FoundEpisode(episode=read_episode(row), show=known)
        return None

    async def part(self, show: Candidate, season: int, number: int) -> FoundEpisode | None:
        return await self.find_in_order(show, "default", season, number)

    async def absolute(self, show: Candidate, number: int) -> FoundEpisode | None:
        return await self.find_in_order(show, "absolute", 1, number)

    async def find_in_order(
        self, show: Candidate, order: str, season: int, number: int
    ) -> FoundEpisode | None:
        """The one episode that has this place in an order."""
        if show.ids.tvdb is None:
            return None
        asked = {"page": "0", "season": str(season), "episodeNumber": str(number)}
        data = values.mapping(await self.get(f"/series/{show.ids.tvdb}/episodes/{order}", asked))
        there = [
            row
            for row in values.objects(data.get("episodes"))
            if (values.whole(row.get("seasonNumber")), values.whole(row.get("number"))) == (season, number)
        ]
        ids = [found for row in there if (found := values.whole(row.get("id")))]
        return await self.episode(ids[0], show) if len(ids) == 1 else None

    async def episodes(self, show_ids: Ids, language: str | None = None) -> Sequence[ListedEpisode] | None:
        if language is not None:
            return None  # how it lists titles in a language is not documented
        number = show_ids.tvdb or await self.find_own_id(show_ids)
        if number is None:
            return None
        found: list[ListedEpisode] = []
        for page in range(MAX_PAGES):
            data = values.mapping(await self.get(f"/series/{number}/episodes/default", {"page": str(page)}))
            shown = values.objects(data.get("episodes"))
            found += [one for row in shown if (one := read_listed_episode(row)) is not None]
            if len(shown) < EPISODES_PER_PAGE:
                break
        return found or None

    async def find_own_id(self, show_ids: Ids) -> int | None:
        """TVDB's own id of a show that is known by another service's."""
        for name, value in id_pairs(show_ids, self.show_ids):
            for show in await self.shows(name, value):
                return show.ids.tvdb
        return None

    async def search_title(self, kind: Kind, title: str, year: int | None) -> Sequence[Candidate]:
        """The first 50 that the search answers. How it would give more is not documented: for a title with
        more namesakes than that, the right one may not be among them."""
        type_ = "movie" if kind is Kind.MOVIE else "series"
        found = values.objects(await self.get("/search", {"query": title, "type": type_, "limit": "50"}))
        return [self.hit(kind, row) for row in found if values.whole(row.get("tvdb_id"))]

    # ---

    async def remote(self, group: str, value: int | str) -> list[int]:
        """The TVDB ids for another service's id; several, since ids of different services may collide."""
        found = values.objects(await self.get(f"/search/remoteid/{quote(str(value), safe='')}"))
        numbers = [values.whole(values.mapping(row.get(group)).get("id")) for row in found]
        return [number for number in numbers if number]

    def candidates(self, kind: Kind, found: Sequence[Any]) -> list[Candidate]:
        return [
            self.candidate(kind, row) for row in map(values.mapping, found) if values.whole(row.get("id"))
        ]

    def candidate(self, kind: Kind, row: Mapping[str, Any]) -> Candidate:
        aliases = [alias.get("name") for alias in values.objects(row.get("aliases"))]
        return Candidate(
            kind=kind,
            title=values.text(row.get("name")),
            titles=distinct_texts(row.get("name"), *aliases),
            year=year_of(row.get("year") or row.get("firstAired")),
            ids=row_ids(row.get("id"), row.get("remoteIds")),
            picture=values.text(row.get("image")),
            via=self.name,
        )

    def hit(self, kind: Kind, row: Mapping[str, Any]) -> Candidate:
        aliases = row.get("aliases")
        translations = values.mapping(row.get("translations")).values()
        return Candidate(
            kind=kind,
            title=values.text(row.get("name")),
            titles=distinct_texts(
                row.get("name"), *(aliases if isinstance(aliases, list) else ()), *translations
            ),
            year=year_of(row.get("year")),
            ids=row_ids(row.get("tvdb_id"), row.get("remote_ids")),
            picture=values.text(row.get("image_url")),
            via=self.name,
        )

    # --- the sign-in

    async def get(self, path: str, params: Mapping[str, str] | None = None) -> Any:
        """The `data` of an answer; signed in anew once where the token is no longer accepted."""
        try:
            return await self.get_once(path, params, await self.ensure_token())
        except TokenRefused as refused:
            if self.token == refused.token:
                self.token = None
            try:
                return await self.get_once(path, params, await self.ensure_token())
            except TokenRefused as error:
                raise Retry(f"{LABEL} does not accept its own sign-in", lane=False) from error

    async def get_once(self, path: str, params: Mapping[str, str] | None, token: str) -> Any:
        headers = {"Authorization": f"Bearer {token}"}
        try:
            response = await call(self.http, LABEL, "GET", self.url + path, headers=headers, params=params)
            if response.status_code == 401:
                raise TokenRefused(token)
            if response.status_code in (400, 404, 422):
                return None
            return values.mapping(read_json(LABEL, accept(LABEL, response))).get("data")
        except Undelivered as error:
            raise retry_delivery(error) from error

    async def ensure_token(self) -> str:
        async with self._sign_in_lock:
            if self.token is None or clock.now() >= self.until:
                self.token = await self.login()
                self.until = clock.now() + (LEGACY_TOKEN_LIFE if self.legacy else TOKEN_LIFE)
            return self.token

    async def check(self) -> str:
        response = await self.post_login()
        if reason := login_error(response):
            raise Dead(reason, answer=excerpt(response))
        read_json(LABEL, accept(LABEL, response))
        return LABEL

    async def login(self) -> str:
        try:
            response = await self.post_login()
            if reason := login_error(response):
                raise Retry(reason, after=timedelta(hours=1), lane=False)
            answer = values.mapping(read_json(LABEL, accept(LABEL, response)))
        except Undelivered as error:
            raise retry_delivery(error) from error
        token = values.text(values.mapping(answer.get("data")).get("token")) or values.text(
            answer.get("token")
        )
        if token is None:
            raise Retry(f"{LABEL} answered a sign-in without a token", lane=False)
        return token

    async def post_login(self) -> httpx.Response:
        with recording(Recorder()):  # the key is nothing for the trace
            return await call(
                self.http, LABEL, "POST", f"{self.url}/login",
                headers={"Content-Type": "application/json"}, json=self.login_body(),
            )  # fmt: skip

    def login_body(self) -> dict[str, str]:
        key = {"apikey": self.settings.api_key.get_secret_value()}
        if self.legacy:
            return {
                **key,
                "username": self.settings.username,
                "userkey": self.settings.userkey.get_secret_value(),
            }
        pin = self.settings.pin.get_secret_value()
        return {**key, "pin": pin} if pin else key  # an empty PIN is refused where none is wanted


def login_error(response: httpx.Response) -> str | None:
    """The reason why the key is not accepted; None where it is."""
    if response.status_code not in (400, 401):
        return None
    said = values.text(values.mapping(read_json(LABEL, response)).get("message")) or "it gives no reason"
    return f"{LABEL} does not accept TVDB_API_KEY ({said})"


class TokenRefused(Exception):
    """The token is not accepted."""

    def __init__(self, token: str) -> None:
        super().__init__("the token is not accepted")
        self.token = token


def read_episode(row: Mapping[str, Any]) -> Episode:
    return Episode(
        title=values.text(row.get("name")),
        season=values.whole(row.get("seasonNumber")),
        number=values.whole(row.get("number")),
        year=year_of(row.get("aired")),
        ids=row_ids(row.get("id"), row.get("remoteIds")),
    )


def read_listed_episode(row: Mapping[str, Any]) -> ListedEpisode | None:
    season, number = values.whole(row.get("seasonNumber")), values.whole(row.get("number"))
    if season is None or number is None:
        return None
    return ListedEpisode(
        season=season,
        number=number,
        title=values.text(row.get("name")),
        aired=day_of(row.get("aired")),
        ids=row_ids(row.get("id"), None),
        minutes=values.whole(row.get("runtime")) or None,
    )


def row_ids(own: Any, others: Any) -> Ids:
    """TVDB's own id, and the others by the name of their source."""
    known: dict[str, object] = {"tvdb": values.whole(own)}
    for row in values.objects(others):
        name = SOURCES.get(str(row.get("sourceName") or "").lower())
        if name == "imdb":
            known.setdefault(name, row.get("id"))
        elif name == "tmdb":
            known.setdefault(name, values.whole(row.get("id")))
    return read_ids(known)
