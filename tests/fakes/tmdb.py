"""A TMDB on loopback: finds by id and by title what is in its world.

https://developer.themoviedb.org/reference

`python -m tests.fakes.tmdb --port 0` runs it alone, empty. The API stands under `/3`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from ._server import Clock, Fake, main
from ._world import Film, Part, Series, World, meets

Json = dict[str, Any]

SOURCES = {"imdb_id": "imdb", "tvdb_id": "tvdb"}
OTHERS = ("wikidata_id", "facebook_id", "instagram_id", "twitter_id", "tiktok_id", "youtube_id")
PAGE, LAST_PAGE = 20, 500
JPEG = b"\xff\xd8\xff\xe0" + bytes(60) + b"\xff\xd9"


@dataclass
class Switches:
    """What can be set at `/_control/switches`."""

    token: str = "head.payload.signature"  # the v4 read token, a JWT
    key: str = "0123456789abcdef0123456789abcdef"


class Refused(Exception):
    def __init__(self, status: int, code: int, message: str) -> None:
        self.response = JSONResponse(
            {"success": False, "status_code": code, "status_message": message}, status
        )


NOT_FOUND = (404, 34, "The resource you requested could not be found.")


class Tmdb(Fake):
    """The server; put what it knows into `fake.world`."""

    switches: Switches

    service = "tmdb"

    def __init__(self, world: World | None = None, *, clock: Clock | None = None, **switches: Any) -> None:
        super().__init__(clock=clock)
        self.switches = Switches(**switches)
        self.world = world or World()
        self.pictures: dict[str, bytes] = {}

    def routes(self) -> list[BaseRoute]:
        table: list[tuple[str, Callable[[Request], Json]]] = [
            ("/find/{id}", self.find),
            ("/search/movie", self.search_films),
            ("/search/tv", self.search_series),
            ("/search/multi", self.search_multi),
            ("/movie/{id:int}", self.movie),
            ("/movie/{id:int}/external_ids", self.movie_ids),
            ("/tv/{id:int}", self.tv),
            ("/tv/{id:int}/external_ids", self.tv_ids),
            ("/tv/{id:int}/season/{season:int}", self.season),
            ("/tv/{id:int}/season/{season:int}/episode/{number:int}", self.episode),
            ("/tv/{id:int}/season/{season:int}/episode/{number:int}/external_ids", self.episode_ids),
            ("/configuration", self.configuration),
        ]
        return [
            *(Route(f"/3{path}", self.door(handler)) for path, handler in table),
            Route("/t/p/{size}/{name}", self.picture),
        ]

    def door(self, handler: Callable[[Request], Json]) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            try:
                self.let_in(request)
                return JSONResponse(handler(request))
            except Refused as refused:
                return refused.response

        return endpoint

    def let_in(self, request: Request) -> None:
        bearer = request.headers.get("authorization") == f"Bearer {self.switches.token}"
        if not bearer and request.query_params.get("api_key") != self.switches.key:
            raise Refused(401, 7, "Invalid API key: You must be granted a valid key.")

    # --- by id

    def find(self, request: Request) -> Json:
        source = request.query_params.get("external_source")
        if source not in (*SOURCES, *OTHERS):
            raise Refused(422, 5, "Invalid parameters: Your request parameters are incorrect.")
        name, value = SOURCES.get(str(source), ""), request.path_params["id"]

        def known(ids: Mapping[str, Any]) -> bool:
            return bool(name) and str(ids.get(name)) == value

        films = [film for film in self.world.films_of("tmdb") if name == "imdb" and known(film.ids)]
        series = [one for one in self.world.series_of("tmdb") if known(one.ids)]
        parts = [
            (one, part)
            for one, part in self.world.parts_of("tmdb")
            if known(part.ids) and part.ids.get("tmdb")
        ]
        return {
            "movie_results": [film_row(film) for film in films],
            "person_results": [],
            "tv_results": [series_row(one) for one in series],
            "tv_episode_results": [
                {"media_type": "tv_episode", **part_row(one, part)} for one, part in parts
            ],
            "tv_season_results": [],
        }

    def movie(self, request: Request) -> Json:
        film = self.film_of(request)
        return appended(
            request,
            {**film_row(film), "imdb_id": film.ids.get("imdb"), "runtime": film.runtime},
            film.ids,
            ("imdb",),
        )

    def movie_ids(self, request: Request) -> Json:
        film = self.film_of(request)
        return {"id": film.ids["tmdb"], **external(film.ids, ("imdb",))}

    def tv(self, request: Request) -> Json:
        one = self.series_at(request)
        return appended(request, {**series_row(one), "seasons": seasons(one)}, one.ids, ("imdb", "tvdb"))

    def tv_ids(self, request: Request) -> Json:
        one = self.series_at(request)
        return {"id": one.ids["tmdb"], **external(one.ids, ("imdb", "tvdb"))}

    def season(self, request: Request) -> Json:
        one, season = self.series_at(request), request.path_params["season"]
        language = request.query_params.get("language", "en")[:2]
        parts = [
            part_row(one, part, language)
            for part in one.parts
            if part.season == season and part.ids.get("tmdb")
        ]
        if not parts:
            raise Refused(*NOT_FOUND)
        return {"season_number": season, "episodes": parts}

    def episode(self, request: Request) -> Json:
        one, part = self.part_at(request)
        return appended(request, part_row(one, part), part.ids, ("imdb", "tvdb"))

    def episode_ids(self, request: Request) -> Json:
        _, part = self.part_at(request)
        return {"id": part.ids["tmdb"], **external(part.ids, ("imdb", "tvdb"))}

    def film_of(self, request: Request) -> Film:
        wanted = request.path_params["id"]
        found = [film for film in self.world.films_of("tmdb") if film.ids["tmdb"] == wanted]
        return first(found)

    def series_at(self, request: Request) -> Series:
        wanted = request.path_params["id"]
        return first([one for one in self.world.series_of("tmdb") if one.ids["tmdb"] == wanted])

    def part_at(self, request: Request) -> tuple[Series, Part]:
        one = self.series_at(request)
        part = one.part(request.path_params["season"], request.path_params["number"])
        if part is None or not part.ids.get("tmdb"):
            raise Refused(*NOT_FOUND)
        return one, part

    # --- by title

    def search_films(self, request: Request) -> Json:
        year = whole(request.query_params.get("primary_release_year") or request.query_params.get("year"))
        found = [
            film
            for film in self.world.films_of("tmdb")
            if meets(query(request), film.titles()) and year in (None, film.year)
        ]
        return paged(request, [film_row(film) for film in found])

    def search_series(self, request: Request) -> Json:
        year = whole(request.query_params.get("first_air_date_year") or request.query_params.get("year"))
        found = [
            one
            for one in self.world.series_of("tmdb")
            if meets(query(request), one.titles()) and year in (None, one.year)
        ]
        return paged(request, [series_row(one) for one in found])

    def search_multi(self, request: Request) -> Json:
        films = [film_row(one) for one in self.world.films_of("tmdb") if meets(query(request), one.titles())]
        series = [
            series_row(one) for one in self.world.series_of("tmdb") if meets(query(request), one.titles())
        ]
        return paged(request, [*films, *series])

    # --- the rest

    def configuration(self, request: Request) -> Json:
        return {"images": {"secure_base_url": "https://image.tmdb.org/t/p/", "poster_sizes": ["w92", "w342"]}}

    async def picture(self, request: Request) -> Response:
        return Response(self.pictures.get(request.path_params["name"], JPEG), media_type="image/jpeg")


def first(found: list[Any]) -> Any:
    if not found:
        raise Refused(*NOT_FOUND)
    return found[0]


def query(request: Request) -> str:
    text = request.query_params.get("query")
    if not text:
        raise Refused(422, 5, "query must be provided")
    return text


def paged(request: Request, found: list[Json]) -> Json:
    page = whole(request.query_params.get("page", "1"))
    if page is None or not 1 <= page <= LAST_PAGE:
        raise Refused(
            400, 22, "Invalid page: Pages start at 1 and max at 500. They are expected to be an integer."
        )
    shown = found[(page - 1) * PAGE : page * PAGE]
    pages = -(-len(found) // PAGE)
    return {"page": page, "results": shown, "total_pages": pages, "total_results": len(found)}


def appended(request: Request, row: Json, ids: Mapping[str, Any], names: tuple[str, ...]) -> Json:
    wanted = request.query_params.get("append_to_response", "").split(",")
    return {**row, "external_ids": external(ids, names)} if "external_ids" in wanted else row


def external(ids: Mapping[str, Any], names: tuple[str, ...]) -> Json:
    return {**{f"{name}_id": ids.get(name) for name in names}, "wikidata_id": None}


def film_row(film: Film) -> Json:
    return {
        "id": film.ids["tmdb"],
        "media_type": "movie",
        "title": film.title,
        "original_title": film.original or film.title,
        "release_date": f"{film.year}-06-01" if film.year else "",
        "poster_path": f"/film{film.ids['tmdb']}.jpg",
        "backdrop_path": f"/behind-film{film.ids['tmdb']}.jpg",
        "popularity": 1.0,
    }


def series_row(one: Series) -> Json:
    return {
        "id": one.ids["tmdb"],
        "media_type": "tv",
        "name": one.title,
        "original_name": one.original or one.title,
        "first_air_date": f"{one.year}-01-20" if one.year else "",
        "poster_path": f"/show{one.ids['tmdb']}.jpg",
        "backdrop_path": f"/behind-show{one.ids['tmdb']}.jpg",
        "popularity": 1.0,
    }


def seasons(one: Series) -> list[Json]:
    numbers = [part.season for part in one.parts if part.ids.get("tmdb")]
    return [
        {
            "season_number": number,
            "episode_count": numbers.count(number),
            "poster_path": f"/season{one.ids['tmdb']}n{number}.jpg",
        }
        for number in sorted(set(numbers))
    ]


def part_row(one: Series, part: Part, language: str = "en") -> Json:
    return {
        "id": part.ids["tmdb"],
        "name": part.titles.get(language, part.title),
        "show_id": one.ids["tmdb"],
        "season_number": part.season,
        "episode_number": part.number,
        "air_date": part.aired,
        "runtime": part.minutes,
        "still_path": None,
    }


def whole(text: str | None) -> int | None:
    return int(text) if text and text.isdigit() else None


if __name__ == "__main__":
    main(Tmdb())
