"""IMDb's exports: `ratings.csv` (https://www.imdb.com/list/ratings) and the CSV of the watchlist, loose or in a zip.

IMDb keeps no history. A film or an episode that somebody rated was watched, so it becomes a play that says
when it was ticked: at the day of the rating. A rated series was watched at least in part, no one knows
which; it becomes a rating of the show only. Which of the two files it is shows in its columns, and a list of
one's own looks just like the watchlist. A list also says how its items were rated: that is kept as a rating
and makes no play, for somebody lists there what is still to be watched. Games, podcasts and music videos are left out, with a word on each.
"""

from __future__ import annotations

from collections.abc import Iterator

from webhook.domain.event import Episode, Ids, Item, Movie, Show
from webhook.domain.play import Dated
from webhook.transfer.imports._archive import Bundle, Row
from webhook.transfer.imports._fields import Wrong, imdb, noon, number, rating, watched_play, year
from webhook.transfer.records import Bad, Entry, Kept, Relation, Unusable, Viewing

LABEL = "IMDb (films you rated count as watched)"

RATINGS = ("Const", "Your Rating", "Date Rated", "Title", "Title Type")
LIST = ("Const", "Created", "Title", "Title Type")

FILMS = frozenset({"movie", "tvmovie", "short", "tvshort", "tvspecial", "video"})
SERIES = frozenset({"tvseries", "tvminiseries"})
MINUTE_MS = 60_000


def read(bundle: Bundle) -> Iterator[Entry]:
    """Ratings with the plays that they imply, and the watchlist."""
    files = {name: bundle.columns(name) for name in bundle.names if name.lower().endswith(".csv")}
    files = {name: columns for name, columns in files.items() if "Const" in columns or len(files) == 1}
    if not files:
        raise Unusable(f"{bundle.path} holds no CSV file of IMDb, which would have a column “Const”.")
    bundle.plan(list(files))
    for name, columns in files.items():
        listed = "Created" in columns
        for row in bundle.rows(name, required=LIST if listed else RATINGS):
            yield from [row] if isinstance(row, Bad) else row_entries(row, name, listed)


def row_entries(row: Row, name: str, listed: bool) -> Iterator[Entry]:
    try:
        yield from of_list(row) if listed else of_ratings(row)
    except Wrong as wrong:
        yield wrong.bad(name, row.line)


def of_ratings(row: Row) -> Iterator[Entry]:
    item, value = item_of(row), rating(row.get("Your Rating"))
    if value is None:
        raise Wrong("it has no “Your Rating”")
    at = noon(row.get("Date Rated"), "Date Rated")
    if not isinstance(item, Show):
        play = watched_play(item, at, "imdb", dated=Dated.TICKED, manual=True, duration_ms=duration(row))
        yield Viewing(play=play, foreign_key=f"imdb:{item.ids.imdb}")
    yield Kept(relation=Relation.RATING, item=item, at=at, value=value)


def of_list(row: Row) -> Iterator[Entry]:
    item, value = item_of(row), rating(row.get("Your Rating"))
    rated_on = row.get("Date Rated")
    yield Kept(relation=Relation.WATCHLIST, item=item, at=noon(row.get("Created"), "Created"))
    if value is not None:
        at = None if rated_on is None else noon(rated_on, "Date Rated")
        yield Kept(relation=Relation.RATING, item=item, at=at, value=value)


def item_of(row: Row) -> Item:
    """The item of a row; raises Wrong for types that are not tracked."""
    known = imdb(row.get("Const"))
    if known is None:
        raise Wrong(f"“{(row.get('Const') or '')[:20]}” in “Const” is no id of IMDb")
    told = row.get("Title Type") or ""
    kind, title = "".join(letter for letter in told.casefold() if letter.isalnum()), row.get("Title")
    ids, released = Ids(imdb=known), year((row.get("Year") or "")[:4])
    if kind in FILMS:
        return Movie(title=title, year=released, ids=ids)
    if kind in SERIES:
        return Show(title=title, year=released, ids=ids)
    if kind == "tvepisode":
        return Episode(title=title, year=released, ids=ids)
    raise Wrong(f"“{told[:40]}” is not tracked")


def duration(row: Row) -> int | None:
    minutes = number(row.get("Runtime (mins)"))
    return minutes * MINUTE_MS if minutes else None
