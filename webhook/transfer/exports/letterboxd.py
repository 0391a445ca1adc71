"""Letterboxd's import: CSV files to be uploaded by hand at https://letterboxd.com/import/.

Films only, at most 1 MB a file, so this is a zip of parts of 900 000 bytes or 1 900 rows at most, each with
the header. The importer merges two lines of one film and day, so there is one line for each. A day is
the person's own, in `zone`. A play that only says when it was ticked has no `WatchedDate`: it
marks the film as watched and makes no diary entry with a wrong date. A rating is written as `Rating10`
alone; where both rating columns are there, the second would win. A title that begins like a formula (= + - @) has
an apostrophe before it, as in every CSV; the importer goes by the ids, and looks for a title only without any.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, tzinfo

from webhook.domain.event import Kind, round_rating
from webhook.domain.play import Dated
from webhook.transfer.exports._pieces import Cell, Table, zip_stream
from webhook.transfer.exports._values import Exported, day, identifying_keys, watched_plays
from webhook.transfer.records import Kept

LABEL = "Letterboxd"
DESCRIPTION = "Films watched, to upload at letterboxd.com/import (unpack the zip, one file after the other)."
SUFFIX = "zip"
MEDIA_TYPE = "application/zip"
KINDS = frozenset({Kind.MOVIE})

COLUMNS = ("tmdbID", "imdbID", "Title", "Year", "WatchedDate", "Rating10", "Rewatch")
MOST_BYTES = 900_000
MOST_ROWS = 1_900


def write(plays: Iterable[Exported], library: Iterable[Kept], *, zone: tzinfo = UTC) -> Iterator[bytes]:
    """The films, oldest first, except those without an id and a title."""
    return zip_stream(
        (f"letterboxd-{number:02}.csv", part) for number, part in enumerate(parts(plays, zone), start=1)
    )


def parts(plays: Iterable[Exported], zone: tzinfo) -> Iterator[list[bytes]]:
    """The lines of each file; at least one file, even if it has only a header."""
    table = Table()
    header = table.line(COLUMNS)
    part, size = [header], len(header)
    for cells in rows(plays, zone):
        line = table.line(cells)
        if size + len(line) > MOST_BYTES or len(part) > MOST_ROWS:
            yield part
            part, size = [header], len(header)
        part.append(line)
        size += len(line)
    yield part


def rows(plays: Iterable[Exported], zone: tzinfo) -> Iterator[list[Cell]]:
    written: set[tuple[str, str]] = set()
    for entry, at in watched_plays(plays, KINDS):
        keys, date = identifying_keys(entry.play.item), watched_date(entry, at, zone)
        if keys and not any((key, date) in written for key in keys):
            written.update((key, date) for key in keys)
            yield row(entry, date)


def row(entry: Exported, date: str) -> list[Cell]:
    item = entry.play.item
    rewatch = "true" if entry.rewatch else "false"
    return [item.ids.tmdb, item.ids.imdb, item.title, item.year, date, round_rating(entry.rating), rewatch]


def watched_date(entry: Exported, at: datetime, zone: tzinfo) -> str:
    """The day watched, or an empty text if unknown."""
    dated = entry.play.dated
    return "" if dated is Dated.TICKED else day(at, dated, zone).isoformat()
