"""Letterboxd's own export (a zip, from Settings, Data), or single files of it: films only, known by title and year.

`diary.csv` holds viewings by their day. `watched.csv` lists every film that was watched; a film that is
not in the diary becomes one play that says when it was ticked. An address in the diary is that of the diary
entry, not of the film, so the two files are joined by title and year. `ratings.csv` holds stars, 0.5-5, which count
twice here; without it the ratings of the diary are taken. `likes/films.csv` becomes loves. The
folders `deleted` and `orphaned` hold what the person took back: they are not read. Nor is `reviews.csv`, whose
viewings are in the diary.

| File            | Columns                                                                        |
|-----------------|--------------------------------------------------------------------------------|
| `diary.csv`     | `Date,Name,Year,Letterboxd URI,Rating,Rewatch,Tags,Watched Date`, in any order |
| `watched.csv`   | `Date,Name,Year,Letterboxd URI`                                                |
| `ratings.csv`   | `Date,Name,Year,Letterboxd URI,Rating`                                         |
| `watchlist.csv` | `Date,Name,Year,Letterboxd URI`                                                |

A loose file of another name is a diary if it has the columns of one (`Directors` may be among them). Files in the
format of Letterboxd's importer are read by `_letterboxd_upload.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from webhook.domain.event import Movie
from webhook.domain.items import fold_title
from webhook.domain.play import Dated
from webhook.transfer.imports import _letterboxd_upload
from webhook.transfer.imports._archive import Bundle, Row
from webhook.transfer.imports._fields import Wrong, noon, rating, watched_play, year
from webhook.transfer.records import Bad, Entry, Kept, Relation, Unusable, Viewing

LABEL = "Letterboxd"

NAME, DATE, WATCHED = "Name", "Date", "Watched Date"
REQUIRED = {
    "diary": (NAME, "Year", WATCHED),
    "watched": (NAME, "Year", DATE),
    "ratings": (NAME, "Year", "Rating"),
    "watchlist": (NAME, "Year"),
    "films": (NAME, "Year"),
}
STARS = 2

Diary = set[tuple[str, int | None]]


def read(bundle: Bundle) -> Iterator[Entry]:
    """Viewings from the diary, films outside it, ratings, the watchlist, likes."""
    uploads = [name for name in bundle.names if _letterboxd_upload.is_upload(bundle.columns(name))]
    files = {} if uploads else find_files(bundle)
    bundle.plan([*files.values(), *uploads])
    diary: Diary = set()
    for part, name in files.items():
        required = REQUIRED[part]
        for row in bundle.rows(name, required=required):
            yield from (
                [row] if isinstance(row, Bad) else row_entries(part, row, name, diary, "ratings" not in files)
            )
    for name in uploads:
        for row in bundle.rows(name):
            yield from [row] if isinstance(row, Bad) else _letterboxd_upload.upload_entries(row, name)


def find_files(bundle: Bundle) -> dict[str, str]:
    """The names of the files to read, in the order of REQUIRED; raises Unusable if there is none."""
    parts = {part: name for part in REQUIRED for name in bundle.names if stem(name) == part}
    if "films" in parts and not set(REQUIRED["films"]) <= set(bundle.columns(parts["films"])):
        del parts["films"]  # a list that the person named “films”
    if (
        not parts
        and len(bundle.names) == 1
        and set(REQUIRED["diary"]) <= set(bundle.columns(bundle.names[0]))
    ):
        return {"diary": bundle.names[0]}
    if not parts:
        wanted = ", ".join(f"{part}.csv" for part in REQUIRED)
        raise Unusable(f"{bundle.path} holds none of {wanted}. Import the zip as Letterboxd gave it.")
    return parts


def stem(name: str) -> str:
    """`ratings` for `Ratings.csv` and for `ratings (1).csv`, a browser's name for a second download."""
    return name.lower().removesuffix(".csv").partition("(")[0].strip()


def row_entries(part: str, row: Row, name: str, diary: Diary, rated: bool) -> Iterator[Entry]:
    """The entries of a row. `diary` collects the diary's films; `rated`: use this file's ratings."""
    try:
        yield from READERS[part](row, film(row), diary, rated)
    except Wrong as wrong:
        yield wrong.bad(name, row.line)


def film(row: Row) -> Movie:
    title = row.get(NAME)
    if title is None:
        raise Wrong(f"it has no “{NAME}”")
    return Movie(title=title, year=year(row.get("Year")))


def film_key(item: Movie) -> tuple[str, int | None]:
    return fold_title(item.title or ""), item.year


def key(part: str, row: Row, item: Movie, column: str) -> str:
    """The key of a row at Letterboxd: the address of the diary entry or of the film."""
    address = row.get("Letterboxd URI") or f"{item.title}:{item.year}"
    return f"letterboxd:{part}:{address}:{row.get(column) or ''}"[:200]


def of_diary(row: Row, item: Movie, diary: Diary, rated: bool) -> Iterator[Entry]:
    diary.add(film_key(item))
    at = noon(row.get(WATCHED), WATCHED)
    play = watched_play(item, at, "letterboxd", dated=Dated.DAY, manual=True)
    yield Viewing(play=play, foreign_key=key("diary", row, item, WATCHED))
    if rated:
        yield from of_ratings(row, item, diary, rated)


def read_film(row: Row, item: Movie, diary: Diary, rated: bool) -> Iterator[Entry]:
    if film_key(item) not in diary:
        at = noon(row.get(DATE), DATE)
        play = watched_play(item, at, "letterboxd", dated=Dated.TICKED, manual=True)
        yield Viewing(play=play, foreign_key=key("watched", row, item, DATE))


def of_ratings(row: Row, item: Movie, diary: Diary, rated: bool) -> Iterator[Entry]:
    value = rating(row.get("Rating"), STARS)
    if value is not None:
        yield library_entry(Relation.RATING, row, item, value)


def library_entry(relation: Relation, row: Row, item: Movie, value: float | None = None) -> Kept:
    at = None if row.get(DATE) is None else noon(row.get(DATE), DATE)
    return Kept(relation=relation, item=item, at=at, value=value)


Reader = Callable[[Row, Movie, Diary, bool], Iterator[Entry]]
READERS: dict[str, Reader] = {
    "diary": of_diary,
    "watched": read_film,
    "ratings": of_ratings,
    "watchlist": lambda row, item, diary, rated: iter([library_entry(Relation.WATCHLIST, row, item)]),
    "films": lambda row, item, diary, rated: iter([library_entry(Relation.LOVE, row, item)]),
}
