"""The columns of any table of viewings: which of them holds what, found by name and changed by its owner."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from webhook.texts import texts
from webhook.transfer.imports._archive import Row
from webhook.transfer.records import Options, Question

NOT_WORDS = re.compile(r"[\W_]+")

NONE = "-"
"""The answer that no column holds it."""

COLUMN = "column."
"""What the name of a question begins with that asks for a column."""

FIELDS: Mapping[str, str] = texts(
    {
        "kind": "Film or episode",
        "title": "Title of the film or the episode",
        "show": "Title of the show",
        "year": "Year",
        "season": "Number of the season",
        "number": "Number of the episode",
        "watched_at": "When it was watched",
        "rating": "Rating",
        "rated_at": "When it was rated",
        "imdb": "IMDb id",
        "tmdb": "TMDB id",
        "tvdb": "TheTVDB id",
        "trakt": "Trakt id",
        "simkl": "Simkl id",
        "mal": "MyAnimeList id",
        "show_imdb": "IMDb id of the show",
        "show_tmdb": "TMDB id of the show",
        "show_tvdb": "TheTVDB id of the show",
        "show_trakt": "Trakt id of the show",
    }
)

KNOWN_HEADERS: Mapping[str, tuple[str, ...]] = {
    "kind": ("type", "media_type", "kind", "title_type", "item_type"),
    "title": ("title", "name", "full_title", "movie_title", "episode_title"),
    "show": ("show_title", "series_title", "show_name", "series_name", "show", "series"),
    "year": ("year", "release_year"),
    "season": ("season", "season_number", "s"),
    "number": ("episode", "episode_number", "number", "e"),
    "watched_at": (
        *("watched_at", "watched_date", "watcheddate", "viewed_at", "last_watched_at", "lastviewedat"),
        *("end_date", "ended_on", "date_watched", "date"),
    ),
    "rating": ("rating10", "your_rating", "user_rating", "rating", "score"),
    "rated_at": ("rated_at", "date_rated"),
    "imdb": ("imdb_id", "imdb", "imdbid", "const"),
    "tmdb": ("tmdb_id", "tmdb", "tmdbid"),
    "tvdb": ("tvdb_id", "tvdb", "tvdbid"),
    "trakt": ("trakt_id", "trakt", "traktid"),
    "simkl": ("simkl_id", "simkl"),
    "mal": ("mal_id", "mal"),
    **{
        f"show_{name}": tuple(f"{of}_{name}{end}" for of in ("show", "series") for end in ("_id", ""))
        for name in ("imdb", "tmdb", "tvdb", "trakt")
    },
}
"""The names of a field's column, the first that a file has; compared as `normalize_header` writes them."""

ALWAYS_ASKED = ("kind", "title", "show", "year", "season", "number", "watched_at", "rating")
"""The fields whose columns are asked for even where none was found."""


def normalize_header(name: str) -> str:
    """A column's name in lower case, with `_` for all but letters and digits."""
    return NOT_WORDS.sub("_", name.casefold()).strip("_")


@dataclass(frozen=True, slots=True)
class ColumnMap:
    """The column of each field, as the file names it."""

    columns: Mapping[str, str]

    def get(self, row: Row, field: str) -> str | None:
        column = self.columns.get(field)
        return None if column is None else row.get(column)

    def has(self, *fields: str) -> bool:
        return any(field in self.columns for field in fields)


def map_columns(header: Iterable[str], options: Options) -> ColumnMap:
    """The columns by their names, and as the owner answered."""
    names = list(header)
    by_name = {normalize_header(name): name for name in reversed(names)}
    found: dict[str, str] = {}
    for field, accepted in KNOWN_HEADERS.items():
        given = options.get(f"{COLUMN}{field}")
        if given is not None:
            if given in names:
                found[field] = given
            continue
        column = next((by_name[name] for name in accepted if name in by_name), None)
        if column is not None and column not in found.values():
            found[field] = column
    return ColumnMap(found)


def column_questions(header: Iterable[str], mapping: ColumnMap) -> list[Question]:
    """A question for each field that has a column or might have one."""
    names = [name for name in header if name]
    choices = ((NONE, NO_COLUMN), *((name, name) for name in names))
    return [
        Question(name=f"{COLUMN}{field}", text=said, answer=mapping.columns.get(field, NONE), choices=choices)
        for field, said in FIELDS.items()
        if field in ALWAYS_ASKED or field in mapping.columns or has_id_column(field, names)
    ]


NO_COLUMN = "no column of the file"


def has_id_column(field: str, names: Iterable[str]) -> bool:
    """True for an id of which the file has some column, by the service's name."""
    service = field.removeprefix("show_")
    return field not in ALWAYS_ASKED and any(service in normalize_header(name) for name in names)
