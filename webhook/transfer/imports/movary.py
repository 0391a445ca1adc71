"""Movary's three CSV files (Settings, Export data), loose or in a zip; films only.

| File      | Columns that tell it                  | What a row is                                |
|-----------|---------------------------------------|----------------------------------------------|
| history   | `title year tmdbId imdbId watchedAt`  | one viewing; the day, or empty where unknown |
| ratings   | `title year tmdbId imdbId userRating` | a rating, 1-10                               |
| watchlist | `title year tmdbId imdbId addedAt`    | a film to watch                              |

A file is recognised by its columns, whatever its name. Films that were seen several times on a day are in
several identical rows, which are as many viewings. `comment` and `location` are not kept.
"""

from __future__ import annotations

from collections.abc import Iterator

from webhook.domain.event import Ids, Movie
from webhook.domain.play import Dated
from webhook.transfer.imports._archive import Bundle, Row
from webhook.transfer.imports._fields import Wrong, date, imdb, number, rating, title_key, year
from webhook.transfer.imports._repeats import Repeats
from webhook.transfer.records import Bad, Entry, Kept, Relation, Unusable

LABEL = "Movary"

IDENTITY = ("title", "year", "tmdbId", "imdbId")
WATCHED, RATED, ADDED = "watchedAt", "userRating", "addedAt"


def read(bundle: Bundle) -> Iterator[Entry]:
    """Viewings, ratings and the watchlist, each file by its column."""
    columns = {name: bundle.columns(name) for name in bundle.names if name.lower().endswith(".csv")}
    files = [
        (name, column)
        for column in (WATCHED, RATED, ADDED)
        for name, there in columns.items()
        if {*IDENTITY, column} <= set(there)
    ]
    if not files:
        raise Unusable(
            f"{bundle.path} holds no file of Movary: a CSV with the columns {', '.join(IDENTITY)} and {WATCHED}, "
            f"{RATED} or {ADDED}."
        )
    bundle.plan([name for name, _ in files])
    repeats = Repeats("movary")
    for name, column in files:
        for row in bundle.rows(name, required=(*IDENTITY, column)):
            yield row if isinstance(row, Bad) else row_entry(row, name, column, repeats)


def row_entry(row: Row, name: str, column: str, repeats: Repeats) -> Entry:
    try:
        return entry_of(row, column, repeats)
    except Wrong as wrong:
        return wrong.bad(name, row.line)


def entry_of(row: Row, column: str, repeats: Repeats) -> Entry:
    item = film_row(row)
    if column == WATCHED:
        return repeats.viewing(item, date(row.get(WATCHED)), title_key(item))
    if column == ADDED:
        at, dated = date(row.get(ADDED))
        return Kept(relation=Relation.WATCHLIST, item=item, at=None if dated is Dated.TICKED else at)
    value = rating(row.get(RATED))
    if value is None:
        raise Wrong(f"it has no “{RATED}”")
    return Kept(relation=Relation.RATING, item=item, value=value)


def film_row(row: Row) -> Movie:
    ids = Ids(tmdb=number(row.get("tmdbId")) or None, imdb=imdb(row.get("imdbId")))
    title = row.get("title")
    if not ids and title is None:
        raise Wrong("it is a film without an id and without a title")
    return Movie(title=title, year=year(row.get("year")), ids=ids)
