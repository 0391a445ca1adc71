"""The CSV files of TV Time Out by Refract, in a zip, which many services read in place of TV Time's own export.

`tvtime-series-episodes.csv` has a row for each watched play of an episode, `tvtime-movies.csv` one for each of
a film and one, not watched, for each film on the watchlist. A rewatch is a row of its own with its own
date, where TV Time Out has one row and a count: so no date is lost. A date in these files is when something
was marked, in TV Time as well, so a play that only says when it was ticked keeps that date. Numbers
that are not in the common order are left empty; TV Time knows an episode by its TVDB id.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, tzinfo

from webhook.domain.event import Episode, Item, Kind, Movie
from webhook.transfer.exports._pieces import Cell, Spool, Table, join_pieces, zip_stream
from webhook.transfer.exports._values import Exported, numbers, stamp, watched_plays
from webhook.transfer.records import Kept, Relation

LABEL = "TV Time"
DESCRIPTION = "Episodes and films in the files of TV Time Out, for services that import TV Time."
SUFFIX = "zip"
MEDIA_TYPE = "application/zip"
KINDS = frozenset({Kind.MOVIE, Kind.EPISODE})

EPISODES = (
    *("series_tvdb_id", "series_imdb_id", "series_uuid", "title", "season", "episode", "tvdb_id"),
    *("is_watched", "watched_at", "rewatch_count", "special"),
)
MOVIES = (
    *("uuid", "tvdb_id", "imdb_id", "title", "year"),
    *("created_at", "watched_at", "is_watched", "rewatch_count"),
)


def write(plays: Iterable[Exported], library: Iterable[Kept], *, zone: tzinfo = UTC) -> Iterator[bytes]:
    """The episodes, then the films; both oldest first."""
    return zip_stream(files(plays, library))


def files(plays: Iterable[Exported], library: Iterable[Kept]) -> Iterator[tuple[str, Iterator[bytes]]]:
    with Spool() as movies:
        yield "tvtime-series-episodes.csv", join_pieces(episode_lines(plays, movies))
        yield "tvtime-movies.csv", join_pieces(movie_lines(library, movies))


def episode_lines(plays: Iterable[Exported], movies: Spool) -> Iterator[bytes]:
    """The lines of the episodes; the films' rows in between are spooled."""
    table = Table(end="\r\n")
    yield table.line(EPISODES)
    for entry, at in watched_plays(plays, KINDS):
        if isinstance(entry.play.item, Episode):
            yield table.line(episode(entry.play.item, at))
        else:
            movies.append(0, movie_row(entry.play.item, at, at))


def movie_lines(library: Iterable[Kept], movies: Spool) -> Iterator[bytes]:
    table = Table(end="\r\n")
    yield table.line(MOVIES)
    if movies.groups:
        for row in movies.values(0):
            yield table.line(row)
    for kept in library:
        if kept.relation is Relation.WATCHLIST and isinstance(kept.item, Movie):
            yield table.line(movie_row(kept.item, kept.at, None))


def episode(item: Episode, at: datetime) -> list[Cell]:
    season, number = numbers(item) or (None, None)
    return [
        *(
            item.show_ids.tvdb,
            item.show_ids.imdb,
            item.show_ids.tvtime,
            item.show,
            season,
            number,
            item.ids.tvdb,
        ),
        *("true", stamp(at), 0, "true" if season == 0 else "false"),
    ]


def movie_row(item: Item, created_at: datetime | None, watched_at: datetime | None) -> list[Cell]:
    year = item.year if isinstance(item, Movie) else None
    created = None if created_at is None else stamp(created_at)
    seen = None if watched_at is None else stamp(watched_at)
    return [
        *(item.ids.tvtime, item.ids.tvdb, item.ids.imdb, item.title, year),
        *(created, seen, "false" if seen is None else "true", 0),
    ]
