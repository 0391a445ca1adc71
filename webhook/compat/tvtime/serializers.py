"""Serializers: a person's shelf in the JSON of the hosts behind TV Time's app."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from itertools import pairwise
from typing import Any

import orjson
from sqlalchemy import Connection
from starlette.responses import Response

from webhook.compat.tvtime import shelf, shelf_episodes
from webhook.compat.tvtime.catalog import make_uuid, uuid_of
from webhook.compat.tvtime.json_shapes import (
    CountsJson,
    DatesJson,
    EpisodeJson,
    EpisodeOfSeasonJson,
    FlatEpisodeJson,
    FollowedMovieJson,
    FollowedSeriesJson,
    MovieJson,
    NamedJson,
    ProgressJson,
    ResultJson,
    SeasonJson,
    SeasonOfEpisodeJson,
    ShowJson,
    SortKeyJson,
    SourceJson,
    WatchDatesJson,
    WatchedEpisodeJson,
    WatchedFollowJson,
    WatchedMovieJson,
    WatchJson,
)
from webhook.compat.tvtime.shelf import Series, WatchSummary
from webhook.domain.event import Episode, Movie, Show
from webhook.lookups import ListedEpisode

FOLLOW_STATES = {"for_later": "watch_later", "archived": "stopped", "stopped": "stopped"}
"""The app's names of states that a person sets, as opposed to those that follow from the watched episodes."""


PROGRESS = {
    "watch_later": "not_started_yet",
    "stopped": "stopped_watching",
    "not_started_yet": "not_started_yet",
    "up_to_date": "up_to_date",
    "continuing": "watching",
}
"""The names of those states in the app's list of shows."""


def json_answer(answer: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(orjson.dumps(answer), status, dict(headers or {}), media_type="application/json")


def success(data: Any) -> Response:
    return json_answer({"status": "success", "data": data})


def failure(
    message: str, status: int = 200, word: str = "fail", headers: Mapping[str, str] | None = None
) -> Response:
    return json_answer({"status": word, "message": message}, status, headers)


UNAUTHORIZED = failure("Unauthorized", 401, "error")


def iso(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S.%f}Z"


# --- episodes and shows


def episode_json(number: int | None, episode: Episode) -> EpisodeJson:
    show = episode.show_ids.tvdb
    placed = show is not None and episode.season is not None
    season: SeasonOfEpisodeJson = {
        "id": f"{show}_S{episode.season}" if placed else None,
        "number": episode.season,
    }
    return {
        "id": number,
        "number": episode.number,
        "name": episode.title,
        "season": season,
        "show": {"id": show, "name": episode.show},
    }


def watch_json(one: WatchSummary | None) -> WatchJson:
    if one is None:
        return {"is_watched": False, "watched_date": None, "watched_count": 0}
    return {"is_watched": True, "watched_date": f"{one.first:%Y-%m-%d %H:%M:%S}", "watched_count": one.count}


def show_json(show: Series) -> ShowJson:
    numbers = sorted({one.season for one in show.episodes})
    return {
        "id": show.tvdb,
        "name": show.title,
        "first_air_date": show.first_air_date,
        "seasons": [season_json(show, number) for number in numbers],
    }


def season_json(show: Series, number: int) -> SeasonJson:
    episodes: list[EpisodeOfSeasonJson] = [
        {
            "id": one.ids.tvdb,
            "number": one.number,
            "name": one.title,
            "is_special": number == 0,
            **watch_json(show.watch_of(one)),
        }
        for one in show.episodes
        if one.season == number
    ]
    count = sum(1 for one in episodes if one["is_watched"])
    return {
        "id": f"{show.tvdb}_S{number}",
        "number": number,
        "episode_watched_count": count,
        "episodes": episodes,
    }


def flat(show: Series, today: date) -> list[FlatEpisodeJson]:
    """Every episode of a show in order, without watched marks."""
    rows = [flat_episode(show, one, order, today) for order, one in enumerate(show.episodes, 1)]
    for row, following in pairwise(rows):
        row["next_episode"] = {"id": following["id"], "uuid": following["uuid"]}
    return rows


def flat_episode(show: Series, one: ListedEpisode, order: int, today: date) -> FlatEpisodeJson:
    return {
        "id": one.ids.tvdb,
        "uuid": episode_uuid(one.ids.tvdb),
        "number": one.number,
        "name": one.title,
        "is_special": one.season == 0,
        "is_movie": False,
        "season": {"number": one.season},
        "series_id": show.tvdb,
        "series_uuid": make_uuid("series", show.tvdb),
        "imdb_id": one.ids.imdb,
        "air_date": one.aired,
        "runtime": minutes(show.watch_of(one)),
        "is_aired": one.is_aired_by(today) or show.watch_of(one) is not None,
        "watch_order": order,
        "next_episode": None,
    }


def minutes(one: WatchSummary | None) -> int | None:
    return None if one is None or one.runtime_ms is None else round(one.runtime_ms / 60_000)


def episode_uuid(number: int | None) -> str | None:
    return None if number is None else make_uuid("episode", number)


def progress(show: Series, today: date) -> ProgressJson:
    counts = counts_json(show, today)
    return {
        "id": show.tvdb,
        "name": show.title,
        **counts,
        "is_followed": True,
        "is_up_to_date": is_up_to_date(counts),
        "is_archived": show.state == "archived",
        "is_for_later": show.state == "for_later",
        "filters": [{"id": "progress", "values": [PROGRESS[state(show, counts)]]}],
        "sorting": sort_keys(show),
    }


def counts_json(show: Series, today: date) -> CountsJson:
    return {
        "watched_episode_count": show.watched_count(today),
        "aired_episode_count": len(show.watchable(today)),
    }


def is_up_to_date(counts: CountsJson) -> bool:
    return counts["watched_episode_count"] == counts["aired_episode_count"]


def sort_keys(show: Series) -> list[SortKeyJson]:
    """The app's sort key of a show: when its last episode was watched, in seconds since 1970."""
    last = show.last_watch_at
    return [] if last is None else [{"id": "last_watched", "value": str(int(last.timestamp()))}]


def follow_json(show: Series, today: date) -> FollowedSeriesJson:
    counts = counts_json(show, today)
    assert show.followed_at is not None
    about: NamedJson = {"id": show.tvdb, "name": show.title}
    return {
        "uuid": make_uuid("series", show.tvdb),
        "type": "follow",
        "entity_type": "series",
        "filter": ["all", state(show, counts)],
        **dates_json(show.followed_at),
        "meta": about,
        "watch_status": counts,
    }


def dates_json(at: datetime) -> DatesJson:
    return {"created_at": iso(at), "updated_at": iso(at)}


def state(show: Series, counts: CountsJson) -> str:
    if show.state in FOLLOW_STATES:
        return FOLLOW_STATES[show.state]
    if not counts["watched_episode_count"]:
        return "not_started_yet"
    return "up_to_date" if is_up_to_date(counts) else "continuing"


def watched_episodes(
    connection: Connection, person_id: int, found: Sequence[tuple[int, WatchSummary]]
) -> list[WatchedEpisodeJson]:
    rows: list[WatchedEpisodeJson] = []
    for number, one in found:
        show = shelf_episodes.find_episode(connection, person_id, number).show_ids.tvdb
        rows.append(
            {
                "uuid": make_uuid("episode", number),
                "entity_type": "episode",
                "episode_id": number,
                "series_id": show,
                "series_uuid": make_uuid("series", show) if show else None,
                **watch_dates(one),
            }
        )
    return rows


def watch_dates(one: WatchSummary) -> WatchDatesJson:
    """The first and last watch dates, the number of rewatches, and the length in seconds if known."""
    dates: WatchDatesJson = {
        "watched_at": iso(one.first),
        "created_at": iso(one.first),
        "updated_at": iso(one.last),
        "rewatch_count": one.count - 1,
    }
    if one.runtime_ms is not None:
        dates["runtime"] = round(one.runtime_ms / 1000)
    return dates


# --- movies


def result(item: Movie | Show) -> ResultJson:
    """A row of a search."""
    return {
        "id": item.ids.tvdb,
        "uuid": make_uuid("series", item.ids.tvdb or 0) if isinstance(item, Show) else uuid_of(item.ids),
        "name": item.title,
        "imdb_id": item.ids.imdb,
        "type": "series" if isinstance(item, Show) else "movie",
    }


def meta(film: Movie, uuid: str) -> MovieJson:
    known = {name: str(value) for name, value in film.ids.by_namespace().items() if name in ("tvdb", "tmdb")}
    sources: list[SourceJson] = [
        {"id": value, "source": name, "type": "external_source"} for name, value in known.items()
    ]
    return {
        "uuid": uuid,
        "type": "movie",
        "name": film.title,
        "imdb_id": film.ids.imdb,
        "first_release_date": None if film.year is None else f"{film.year}-01-01",
        "external_sources": sources,
    }


def watched_movies(connection: Connection, person_id: int) -> list[WatchedMovieJson]:
    found = [(uuid_of(film.ids), one) for film, one in shelf.movies(connection, person_id)]
    return [{"uuid": uuid, "entity_type": "movie", **watch_dates(one)} for uuid, one in found if uuid]


def followed_movies(connection: Connection, person_id: int) -> list[FollowedMovieJson]:
    """The movies watched, then those on the watchlist."""
    rows: list[FollowedMovieJson] = []
    for film, one in shelf.movies(connection, person_id):
        if uuid := uuid_of(film.ids):
            watched: WatchedFollowJson = {
                "uuid": uuid,
                "type": "follow",
                "entity_type": "movie",
                "filter": ["all", "watched"],
                **watch_dates(one),
                "extended": {"is_watched": True},
                "meta": meta(film, uuid),
            }
            rows.append(watched)
    for film, at in shelf.wanted_movies(connection, person_id):
        if uuid := uuid_of(film.ids):
            rows.append(
                {
                    "uuid": uuid,
                    "type": "follow",
                    "entity_type": "movie",
                    "filter": ["all", "not_watched"],
                    **dates_json(at),
                    "extended": {"is_watched": False},
                    "meta": meta(film, uuid),
                }
            )
    return rows
