"""CSV files in the format of Letterboxd's importer (https://letterboxd.com/about/importing-data), as other programs write them.

| Column               | What it is                                                               |
|----------------------|--------------------------------------------------------------------------|
| `tmdbID`, `imdbID`   | ids of the film                                                          |
| `Title`, `Year`      | its title and year                                                       |
| `WatchedDate`        | the day; without it the film was watched, and nobody knows when          |
| `Rating10`, `Rating` | 1-10, and 0.5-5, which count twice; of both the column that comes second |

`LetterboxdURI`, `Directors`, `Rewatch`, `Tags` and `Review` are not kept. The rows have no keys: two rows of one film and
day are one viewing, as they are to Letterboxd, and so is the row of its own diary.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from webhook.domain.event import Ids, Movie
from webhook.domain.play import Dated
from webhook.transfer.imports._archive import Row
from webhook.transfer.imports._fields import Wrong, date, imdb, number, rating, watched_play, year
from webhook.transfer.records import Entry, Kept, Relation, Viewing

IDENTITY = frozenset({"tmdbID", "imdbID", "Title"})
DATE, STARS = "WatchedDate", {"Rating10": 1, "Rating": 2}


def is_upload(columns: Collection[str]) -> bool:
    """True for a file in the importer's format; Letterboxd's own export names a film by `Name`."""
    return not IDENTITY.isdisjoint(columns) and DATE in columns and "Name" not in columns


def upload_entries(row: Row, name: str) -> Iterator[Entry]:
    try:
        item = find_film(row)
        at, dated = date(row.get(DATE))
        play = watched_play(item, at, "letterboxd", dated=dated, manual=True)
        yield Viewing(play=play)
        value = rating_of(row)
        if value is not None:
            rated = None if dated is Dated.TICKED else at
            yield Kept(relation=Relation.RATING, item=item, at=rated, value=value)
    except Wrong as wrong:
        yield wrong.bad(name, row.line)


def find_film(row: Row) -> Movie:
    ids = Ids(tmdb=number(row.get("tmdbID")) or None, imdb=imdb(row.get("imdbID")))
    if not ids and row.get("Title") is None:
        raise Wrong("it is a film without an id and without a title")
    return Movie(title=row.get("Title"), year=year(row.get("Year")), ids=ids)


def rating_of(row: Row) -> float | None:
    there = [column for column in STARS if column in row.columns]
    last = max(there, key=lambda column: row.columns[column], default=None)
    return None if last is None else rating(row.get(last), STARS[last])
