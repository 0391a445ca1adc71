"""TMDB v3: https://developer.themoviedb.org/reference

This product uses the TMDB API but is not endorsed or certified by TMDB.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import httpx
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from webhook.client import Recorder, accept, call, excerpt, read_json, recording
from webhook.domain import values
from webhook.domain.event import Episode, Ids, Kind, Movie, Season, Show
from webhook.domain.outcome import Dead
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
from webhook.lookups._lookup import Lookup
from webhook.lookups._matching import script
from webhook.settings import Address

LABEL = "TMDB"
PURPOSE = "Identifies films and episodes of which the media server says too little, and has the posters. This product uses the TMDB API but is not endorsed or certified by TMDB."
SETUP: tuple[str, ...] = (
    "Sign in at https://www.themoviedb.org, or register; both are free.",
    "Open https://www.themoviedb.org/settings/api and ask for an API key, for use that is not commercial.",
    "Copy the API read access token (long, begins with eyJ) or the API key into the field below, and save. It is tried before it is kept.",
)
COST = 2
POSTER_WIDTH, BACKDROP_WIDTH = "w342", "w780"
MAX_PICTURE_BYTES = 2 * 1024 * 1024
PICTURE_PATH = re.compile(r"/[\w.-]+")

SOURCES = {"imdb": "imdb_id", "tvdb": "tvdb_id"}
LANGUAGES = {"CJK": "zh-CN", "HIRAGANA": "ja-JP", "KATAKANA": "ja-JP", "HANGUL": "ko-KR", "CYRILLIC": "ru-RU"}
"""The language to search in for a title that is not in Latin letters."""


class Settings(BaseModel):
    model_config = ConfigDict(frozen=True)

    token: SecretStr = Field(
        description="API read access token (v4, long, begins with eyJ) or API key (v3) of your TMDB account"
    )
    api_url: Address = Field(default="https://api.themoviedb.org/3", description="Address of TMDB's API")
    image_url: Address = Field(default="https://image.tmdb.org/t/p", description="Address of TMDB's pictures")


def build(settings: Settings, http: httpx.AsyncClient) -> Tmdb:
    return Tmdb(http, settings.api_url, settings.token.get_secret_value(), settings.image_url)


class Tmdb(Lookup):
    name = "tmdb"
    label = LABEL
    film_ids = ("tmdb", "imdb")  # TMDB knows the TVDB ids of shows and episodes only
    show_ids = ("tmdb", "imdb", "tvdb")
    episode_ids = ("imdb", "tvdb")  # there is no call that finds an episode by TMDB's own id

    def __init__(
        self,
        http: httpx.AsyncClient,
        api_url: str,
        token: str,
        image_url: str = "https://image.tmdb.org/t/p",
    ) -> None:
        super().__init__(http)
        self.image_url = image_url.rstrip("/")
        self.url = api_url.rstrip("/")
        self.bearer = token.count(".") == 2  # a v4 token is a JWT, a v3 key 32 hexadecimal digits
        self.headers = {"Authorization": f"Bearer {token}"} if self.bearer else {}
        self.key = {} if self.bearer else {"api_key": token}

    async def films(self, namespace: str, value: int | str) -> Sequence[Candidate]:
        if namespace == "tmdb":
            return self.candidates(Kind.MOVIE, [await self.details(f"/movie/{value}")])
        return await self.find_external(Kind.MOVIE, "movie_results", namespace, value)

    async def shows(self, namespace: str, value: int | str) -> Sequence[Candidate]:
        if namespace == "tmdb":
            return self.candidates(Kind.SHOW, [await self.details(f"/tv/{value}")])
        found = await self.find_external(Kind.SHOW, "tv_results", namespace, value)
        return [one for show in found if show.ids.tmdb for one in await self.shows("tmdb", show.ids.tmdb)]

    async def pictures(self, item: Movie | Show) -> Sequence[bytes]:
        """The poster and the backdrop of a film or a show, not looked at; raises Retry and Dead."""
        is_film = isinstance(item, Movie)
        ask, known = (self.films, self.film_ids) if is_film else (self.shows, self.show_ids)
        for namespace, value in id_pairs(item.ids, known):
            for one in await ask(namespace, value):
                addresses = [address for address in (one.picture, one.backdrop) if address is not None]
                if addresses:
                    return [await self.download_picture(address) for address in addresses]
        return []

    async def season_posters(self, season: Season) -> Sequence[bytes]:
        """The poster of a show's season, not looked at; raises Retry and Dead."""
        number = season.show_ids.tmdb or await self.find_own_id(season.show_ids)
        if number is None:
            return []
        found = values.mapping(await self.get(f"/tv/{number}", {}))
        for row in values.objects(found.get("seasons")):
            address = self.picture_address(POSTER_WIDTH, row.get("poster_path"))
            if values.whole(row.get("season_number")) == season.season and address is not None:
                return [await self.download_picture(address)]
        return []

    async def download_picture(self, address: str) -> bytes:
        response = await call(self.http, LABEL, "GET", address, most=MAX_PICTURE_BYTES)
        return accept(LABEL, response).content

    async def parts(self, namespace: str, value: int | str) -> Sequence[FoundEpisode]:
        found = values.mapping(await self.get(f"/find/{value}", {"external_source": SOURCES[namespace]}))
        parts = [await self.read_hit(hit) for hit in values.objects(found.get("tv_episode_results"))]
        by = Ids.from_json({namespace: value})
        agreeing = [part for part in parts if part is not None and not part.episode.ids.contradicts(by)]
        return [
            replace(part, episode=replace(part.episode, ids=part.episode.ids.merge(by))) for part in agreeing
        ]

    async def read_hit(self, hit: Mapping[str, Any]) -> FoundEpisode | None:
        show_id, season, number = (
            values.whole(hit.get(name)) for name in ("show_id", "season_number", "episode_number")
        )
        if show_id is None or season is None or number is None:
            return None
        for show in await self.shows("tmdb", show_id):
            return await self.part(show, season, number)
        return None

    async def part(self, show: Candidate, season: int, number: int) -> FoundEpisode | None:
        if show.ids.tmdb is None:
            return None
        found = await self.details(f"/tv/{show.ids.tmdb}/season/{season}/episode/{number}")
        ids = row_ids(found)
        if not ids or (
            values.whole(found.get("season_number")),
            values.whole(found.get("episode_number")),
        ) != (
            season,
            number,
        ):
            return None
        year = year_of(found.get("air_date"))
        episode = Episode(
            title=values.text(found.get("name")), season=season, number=number, year=year, ids=ids
        )
        return FoundEpisode(episode=episode, show=show)

    async def episodes(self, show_ids: Ids, language: str | None = None) -> Sequence[ListedEpisode] | None:
        asked = {} if language is None else {"language": language}
        number = show_ids.tmdb or await self.find_own_id(show_ids)
        if number is None:
            return None
        seasons = [
            values.whole(row.get("season_number"))
            for row in values.objects(values.mapping(await self.get(f"/tv/{number}", {})).get("seasons"))
        ]
        found: list[ListedEpisode] = []
        for season in seasons:
            if season is not None:
                shown = values.mapping(await self.get(f"/tv/{number}/season/{season}", asked)).get("episodes")
                found += [
                    one
                    for row in values.objects(shown)
                    if (one := read_listed_episode(season, row)) is not None
                ]
        return found or None

    async def find_own_id(self, show_ids: Ids) -> int | None:
        """TMDB's own id of a show that is known by another service's."""
        for name, value in id_pairs(show_ids, self.show_ids):
            for show in await self.find_external(Kind.SHOW, "tv_results", name, value):
                return show.ids.tmdb
        return None

    async def search_title(self, kind: Kind, title: str, year: int | None) -> Sequence[Candidate]:
        path, about = ("/search/movie", "primary_release_year") if kind is Kind.MOVIE else ("/search/tv", "first_air_date_year")  # fmt: skip
        asked = {"query": title, "page": "1"}
        if language := LANGUAGES.get(script(title)):
            asked["language"] = language
        found = values.objects(values.mapping(await self.get(path, asked)).get("results"))
        if year is not None:  # of a common title, those of the year may not be on the first page
            found += values.objects(
                values.mapping(await self.get(path, {**asked, about: str(year)})).get("results")
            )
        return self.candidates(kind, found)

    async def check(self) -> str:
        with recording(Recorder()):  # the key is nothing for the trace
            response = await call(
                self.http, LABEL, "GET", f"{self.url}/configuration", headers=self.headers, params=self.key
            )
        if response.status_code == 401:
            said = (
                values.text(values.mapping(read_json(LABEL, response)).get("status_message"))
                or "it gives no reason"
            )
            raise Dead(f"{LABEL} does not accept TMDB_TOKEN ({said})", answer=excerpt(response))
        read_json(LABEL, accept(LABEL, response))
        return LABEL

    # ---

    async def find_external(
        self, kind: Kind, group: str, namespace: str, value: int | str
    ) -> list[Candidate]:
        found = values.mapping(await self.get(f"/find/{value}", {"external_source": SOURCES[namespace]}))
        by = Ids.from_json({namespace: value})
        return [
            replace(one, ids=one.ids.merge(by))
            for one in self.candidates(kind, values.objects(found.get(group)))
        ]

    async def details(self, path: str) -> Mapping[str, Any]:
        return values.mapping(await self.get(path, {"append_to_response": "external_ids"}))

    def candidates(self, kind: Kind, found: Sequence[Mapping[str, Any]]) -> list[Candidate]:
        return [self.candidate(kind, row) for row in found if values.whole(row.get("id"))]

    def candidate(self, kind: Kind, row: Mapping[str, Any]) -> Candidate:
        name, date = ("title", "release_date") if kind is Kind.MOVIE else ("name", "first_air_date")
        return Candidate(
            kind=kind,
            title=values.text(row.get(name)),
            titles=distinct_texts(row.get(name), row.get(f"original_{name}")),
            year=year_of(row.get(date)),
            ids=row_ids(row),
            picture=self.picture_address(POSTER_WIDTH, row.get("poster_path")),
            backdrop=self.picture_address(BACKDROP_WIDTH, row.get("backdrop_path")),
            minutes=values.whole(row.get("runtime")) or None,
            via=self.name,
        )

    def picture_address(self, width: str, path: Any) -> str | None:
        named = PICTURE_PATH.fullmatch(values.text(path) or "")
        return f"{self.image_url}/{width}{named[0]}" if named else None

    async def get(self, path: str, params: Mapping[str, str]) -> Any:
        """One call; one with the key in its address is not kept for the trace."""
        return await self.ask(self.url + path, {**params, **self.key}, self.headers, secret=not self.bearer)


def read_listed_episode(season: int, row: Mapping[str, Any]) -> ListedEpisode | None:
    number = values.whole(row.get("episode_number"))
    if number is None:
        return None
    return ListedEpisode(
        season=season,
        number=number,
        title=values.text(row.get("name")),
        aired=day_of(row.get("air_date")),
        ids=row_ids(row),
        minutes=values.whole(row.get("runtime")) or None,
    )


def row_ids(row: Mapping[str, Any]) -> Ids:
    others = values.mapping(row.get("external_ids"))
    imdb = values.text(others.get("imdb_id")) or values.text(row.get("imdb_id"))
    return read_ids(
        {"tmdb": values.whole(row.get("id")), "tvdb": values.whole(others.get("tvdb_id")), "imdb": imdb}
    )
