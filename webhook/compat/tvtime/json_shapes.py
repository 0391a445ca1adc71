"""The JSON objects that the hosts behind TV Time's app answer with."""

from __future__ import annotations

from typing import NotRequired, TypedDict


class NamedJson(TypedDict):
    """A show by its TheTVDB id and its title."""

    id: int | None
    name: str | None


# --- episodes and shows


class SeasonOfEpisodeJson(TypedDict):
    id: str | None
    number: int | None


class EpisodeJson(NamedJson):
    number: int | None
    season: SeasonOfEpisodeJson
    show: NamedJson


class WatchJson(TypedDict):
    is_watched: bool
    watched_date: str | None
    watched_count: int


class EpisodeOfSeasonJson(NamedJson, WatchJson):
    number: int
    is_special: bool


class SeasonJson(TypedDict):
    id: str
    number: int
    episode_watched_count: int
    episodes: list[EpisodeOfSeasonJson]


class ShowJson(NamedJson):
    first_air_date: str | None
    seasons: list[SeasonJson]


class SeasonNumberJson(TypedDict):
    number: int


class NextEpisodeJson(TypedDict):
    id: int | None
    uuid: str | None


class FlatEpisodeJson(NamedJson):
    """An episode in the list of all of a show's episodes."""

    uuid: str | None
    number: int
    is_special: bool
    is_movie: bool
    season: SeasonNumberJson
    series_id: int
    series_uuid: str
    imdb_id: str | None
    air_date: str | None
    runtime: int | None
    is_aired: bool
    watch_order: int
    next_episode: NextEpisodeJson | None


class CountsJson(TypedDict):
    watched_episode_count: int
    aired_episode_count: int


class FilterJson(TypedDict):
    id: str
    values: list[str]


class SortKeyJson(TypedDict):
    id: str
    value: str


class ProgressJson(NamedJson, CountsJson):
    is_followed: bool
    is_up_to_date: bool
    is_archived: bool
    is_for_later: bool
    filters: list[FilterJson]
    sorting: list[SortKeyJson]


# --- lists


class DatesJson(TypedDict):
    created_at: str
    updated_at: str


class WatchDatesJson(DatesJson):
    """The runtime is in seconds."""

    watched_at: str
    rewatch_count: int
    runtime: NotRequired[int]


class WatchedMovieJson(WatchDatesJson):
    uuid: str
    entity_type: str


class WatchedEpisodeJson(WatchedMovieJson):
    episode_id: int
    series_id: int | None
    series_uuid: str | None


class FollowJson(DatesJson):
    uuid: str
    type: str
    entity_type: str
    filter: list[str]


class FollowedSeriesJson(FollowJson):
    meta: NamedJson
    watch_status: CountsJson


# --- movies


class ResultJson(NamedJson):
    """A row of a search."""

    uuid: str | None
    imdb_id: str | None
    type: str


class SourceJson(TypedDict):
    id: str
    source: str
    type: str


class MovieJson(TypedDict):
    uuid: str
    type: str
    name: str | None
    imdb_id: str | None
    first_release_date: str | None
    external_sources: list[SourceJson]


class IsWatchedJson(TypedDict):
    is_watched: bool


class FollowedMovieJson(FollowJson):
    extended: IsWatchedJson
    meta: MovieJson


class WatchedFollowJson(FollowedMovieJson, WatchDatesJson):
    """A followed movie that is marked watched; one on the watchlist has no watch dates."""
