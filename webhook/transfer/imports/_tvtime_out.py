"""Readers of the extensions TV Time Out (Refract) and TV Time Liberator: CSV and JSON of shows and movies.

Both write the same JSON. Their episodes have the date of the first viewing and a number of rewatches.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from webhook.domain.event import Ids, Item, Movie, Show
from webhook.transfer.imports._archive import Bundle, Row
from webhook.transfer.imports._dates import NoDate
from webhook.transfer.imports._tvtime_values import (
    LOOK,
    Given,
    Wrong,
    duplicate_seconds,
    episode,
    false,
    imdb,
    perhaps,
    read_rows,
    relation_entry,
    second,
    show,
    true,
    tvdb,
    viewing,
    when,
    whole,
    without_date,
    words,
)
from webhook.transfer.records import FOLLOWING, STOPPED, Bad, Entry, LeftOut, Relation

Json = Mapping[str, Any]
NO_DATE = "it is marked as watched, but not when"


def ids(described: object) -> tuple[int | None, str | None]:
    """TVDB and IMDb id of `{"tvdb": …, "imdb": …}`."""
    known = described if isinstance(described, dict) else {}
    return tvdb(known.get("tvdb")), imdb(known.get("imdb"))


def movie(title: object, year: object, tvdb_id: int | None, imdb_id: str | None, uuid: object) -> Movie:
    found = Movie(
        title=words(title), year=whole(year) or None, ids=Ids(tvdb=tvdb_id, imdb=imdb_id, tvtime=words(uuid))
    )
    if found.title is None and not found.ids:
        raise Wrong("it has neither a title nor an id")
    return found


def state(status: object) -> str:
    return STOPPED if status == "stopped" else FOLLOWING


def rating(given: Given, item: Item, value: object) -> Iterator[Entry]:
    """The rating, if there is one; both extensions use the scale 0-10."""
    text = str(value) if isinstance(value, int | float) and not isinstance(value, bool) else words(value)
    try:
        found = float(text) if text else 0.0
    except ValueError as error:
        raise Wrong("its rating is no number") from error
    if 0 < found <= 10:
        yield from relation_entry(given, Relation.RATING, item, value=found)


# --- JSON


def items(bundle: Bundle, name: str) -> Iterator[tuple[int, Json] | Bad]:
    """The objects of a JSON array, numbered from 1."""
    for number, item in enumerate(bundle.items(name), start=1):
        if isinstance(item, Bad):
            yield item
        elif isinstance(item, dict):
            yield number, item
        else:
            yield wrong(name, number, "it is no object")


def wrong(name: str, number: int, why: object) -> Bad:
    return Bad(file=name, line=None, why=f"entry {number}: {why}", do=LOOK)


def shows_json(bundle: Bundle, name: str, given: Given) -> Iterator[Entry]:
    """Followed shows, favourites, and the episodes of their seasons."""
    for found in items(bundle, name):
        if isinstance(found, Bad):
            yield found
            continue
        number, described = found
        series = show(words(described.get("title")), *ids(described.get("id")), words(described.get("uuid")))
        if series.title is None and not series.ids:
            yield wrong(name, number, "it has neither a title nor an id")
            continue
        yield from show_relations(given, series, described)
        for entry in episodes_json(given, series, described):
            yield wrong(name, number, entry) if isinstance(entry, Wrong | NoDate) else entry
    yield from without_date(name, given)


def show_relations(given: Given, series: Show, described: Json) -> Iterator[Entry]:
    at = perhaps(described.get("created_at"))
    if not false(described.get("is_followed")):
        yield from relation_entry(given, Relation.FOLLOW, series, at, state=state(described.get("status")))
    if true(described.get("is_favorite")):
        yield from relation_entry(given, Relation.LOVE, series)
    try:
        yield from rating(given, series, described.get("rating"))
    except Wrong:
        return


def marks(described: Json) -> Iterator[tuple[Json, Json]]:
    """Season and episode of each watched episode of a show."""
    for season in json_rows(described.get("seasons")):
        for found in json_rows(season.get("episodes")):
            if true(found.get("is_watched")):
                yield season, found


def json_rows(value: object) -> list[Json]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def episodes_json(given: Given, series: Show, described: Json) -> Iterator[Entry | Wrong | NoDate]:
    """The watched episodes of a show; an error in one is yielded in its place."""
    dates = [str(found.get("watched_at"))[:19] for _, found in marks(described)]
    for season, found in marks(described):
        try:
            yield from episode_json(given, series, season, found, dates)
        except (Wrong, NoDate) as error:
            yield Wrong(
                f"season {whole(season.get('number'))}, episode {whole(found.get('number'))}: {error}"
            )


def episode_json(given: Given, series: Show, season: Json, found: Json, dates: list[str]) -> Iterator[Entry]:
    number, name = ids(found.get("id"))
    item = episode(
        series,
        season=whole(season.get("number")),
        number=whole(found.get("number")),
        ids=Ids(tvdb=number, imdb=name),
        title=words(found.get("name")),
    )
    yield from rating(given, item, found.get("rating"))
    if given.has(item):
        return
    at = when(found.get("watched_at"))
    if at is None:
        raise Wrong(NO_DATE)
    given.note(item)
    given.undated += whole(found.get("rewatch_count")) or 0
    yield viewing(item, at, ticked=dates.count(str(found.get("watched_at"))[:19]) > 1)


def movies_json(bundle: Bundle, name: str, given: Given) -> Iterator[Entry]:
    """Watched movies, and the others as the watchlist."""
    for found in items(bundle, name):
        if isinstance(found, Bad):
            yield found
            continue
        number, described = found
        try:
            item = movie(
                described.get("title"),
                described.get("year"),
                *ids(described.get("id")),
                described.get("uuid"),
            )
            yield from movie_marks(given, item, described)
        except (Wrong, NoDate) as error:
            yield wrong(name, number, error)
    yield from without_date(name, given)


def movie_marks(given: Given, item: Movie, described: Json | Row) -> Iterator[Entry]:
    """The entries of one movie: its viewing, watchlist, favourite and rating."""
    if true(described.get("is_favorite")):
        yield from relation_entry(given, Relation.LOVE, item)
    yield from rating(given, item, described.get("rating"))
    if not true(described.get("is_watched")):
        if not given.has(item):
            yield from relation_entry(given, Relation.WATCHLIST, item, perhaps(described.get("created_at")))
        return
    if given.has(item):
        return
    at = when(described.get("watched_at"))
    if at is None:
        raise Wrong(NO_DATE)
    given.note(item)
    given.undated += whole(described.get("rewatch_count")) or 0
    yield viewing(item, at)


FAVOURITES = {
    "item": None,
    "movies.item": "movie",
    "series.item": "series",
    "shows.item": "series",
    "items.item": None,
}


def favourites_json(bundle: Bundle, name: str, given: Given) -> Iterator[Entry]:
    """Favourites, as one list of both kinds or one list for each."""
    for place, kind in FAVOURITES.items():
        for number, described in enumerate(bundle.items(name, place), start=1):
            if isinstance(described, Bad):
                yield described
                return
            if not isinstance(described, dict):
                continue
            known = described.get("id") if isinstance(described.get("id"), dict) else described
            title, uuid = words(described.get("title")), words(described.get("uuid"))
            at = perhaps(
                described.get("favorited_at") or described.get("added_at") or described.get("created_at")
            )
            match kind or described.get("type"):
                case "movie":
                    item: Item = Movie(
                        title=title, ids=Ids(tvdb=ids(known)[0], imdb=ids(known)[1], tvtime=uuid)
                    )
                case "series":
                    item = show(title, *ids(known), uuid)
                case _:
                    yield wrong(name, number, "it says neither movie nor series")
                    continue
            yield from relation_entry(given, Relation.LOVE, item, at)


# --- CSV of TV Time Out


def episodes_csv(bundle: Bundle, name: str, given: Given) -> Iterator[Entry]:
    """Watched episodes; the file also lists unwatched ones."""
    together = duplicate_seconds(bundle, name, episode_at)

    def make(row: Row) -> Iterator[Entry]:
        if not true(row.get("is_watched")):
            return
        series = show(
            row.get("title"),
            tvdb(row.get("series_tvdb_id")),
            imdb(row.get("series_imdb_id")),
            row.get("series_uuid"),
        )
        yield from watched_row(given, series, row, episode_at(row) in together)

    yield from read_rows(bundle, name, make, required=["is_watched", "watched_at"])
    yield from without_date(name, given)


def episode_at(row: Row) -> tuple[str, str] | None:
    watched = true(row.get("is_watched"))
    return second(row.get("series_tvdb_id") or row.get("title"), row.get("watched_at")) if watched else None


def watched_row(given: Given, series: Show, row: Row, together: bool) -> Iterator[Entry]:
    item = episode(
        series,
        season=whole(row.get("season")),
        number=whole(row.get("episode")),
        ids=Ids(tvdb=tvdb(row.get("tvdb_id")), imdb=imdb(row.get("imdb_id"))),
    )
    yield from rating(given, item, row.get("rating"))
    if given.has(item):
        return
    at = when(row.get("watched_at"))
    if at is None:
        raise Wrong(NO_DATE)
    given.note(item)
    given.undated += whole(row.get("rewatch_count")) or 0
    yield viewing(item, at, ticked=together)


def series_csv(bundle: Bundle, name: str, given: Given) -> Iterator[Entry]:
    """Followed shows."""

    def make(row: Row) -> Iterator[Entry]:
        item = show(row.get("title"), tvdb(row.get("tvdb_id")), imdb(row.get("imdb_id")), row.get("uuid"))
        if item.title is None and not item.ids:
            raise Wrong("it has neither a title nor an id")
        if not false(row.get("is_followed")):
            at = perhaps(row.get("created_at"))
            yield from relation_entry(given, Relation.FOLLOW, item, at, state=state(row.get("status")))

    yield from read_rows(bundle, name, make, required=["status"])


def movies_csv(bundle: Bundle, name: str, given: Given) -> Iterator[Entry]:
    """Watched movies, and the others as the watchlist."""

    def make(row: Row) -> Iterator[Entry]:
        yield from movie_marks(given, movie_of(row), row)

    yield from read_rows(bundle, name, make, required=["is_watched", "watched_at"])
    yield from without_date(name, given)


def movie_of(row: Row) -> Movie:
    tvdb_id, imdb_id = tvdb(row.get("tvdb_id")), imdb(row.get("imdb_id"))
    return movie(row.get("title"), row.get("year"), tvdb_id, imdb_id, row.get("uuid"))


# --- CSV of Liberator: activity_history.csv


def activity(bundle: Bundle, name: str, given: Given) -> Iterator[Entry]:
    """Movies, shows and watched episodes by `type`. An older build gives episodes the type `show` as well."""
    together = duplicate_seconds(bundle, name, activity_at)
    shows = show_rows(bundle, name)

    def make(row: Row) -> Iterator[Entry]:
        title = row.get("title")
        if row.get("type") == "movie":
            yield from movie_marks(given, movie_of(row), row)
        elif is_episode(row):
            if true(row.get("is_watched")):
                series = shows.get(title or "") or show(title, None)
                yield from watched_row(given, series, row, activity_at(row) in together)
        elif row.get("type") == "show":
            series = show(title, tvdb(row.get("tvdb_id")), imdb(row.get("imdb_id")))
            yield from relation_entry(given, Relation.FOLLOW, series, state=state(row.get("status")))
            yield from rating(given, series, row.get("rating"))
        else:
            raise Wrong("it is neither movie, show nor episode")

    yield from read_rows(bundle, name, make, required=["type", "is_watched", "watched_at"])


def is_episode(row: Row) -> bool:
    return row.get("type") == "episode" or (row.get("type") == "show" and row.get("episode") is not None)


def activity_at(row: Row) -> tuple[str, str] | None:
    return second(row.get("title"), row.get("watched_at")) if is_episode(row) else None


def show_rows(bundle: Bundle, name: str) -> dict[str, Show]:
    """The shows by title, without ambiguous titles."""
    found: dict[str, Show | None] = {}
    for row in bundle.rows(name):
        if not isinstance(row, Bad) and row.get("type") == "show" and not is_episode(row):
            title = row.get("title") or ""
            series = show(title, tvdb(row.get("tvdb_id")), imdb(row.get("imdb_id")))
            found[title] = series if found.get(title, series) == series else None
    return {title: series for title, series in found.items() if series is not None}


# --- lists, which are not imported

OWN_LISTS = "They are lists of your own, and Watchmark keeps none beside the watchlist."


def lists_csv(bundle: Bundle, name: str, given: Given) -> Iterator[Entry]:
    yield from omit_rows(name, bundle.rows(name))


def lists_json(bundle: Bundle, name: str, given: Given) -> Iterator[Entry]:
    yield from omit_rows(name, bundle.items(name))


def omit_rows(name: str, rows: Iterator[Any]) -> Iterator[Entry]:
    count = 0
    for row in rows:
        if isinstance(row, Bad):
            yield row
        else:
            count += 1
    if count:
        yield LeftOut(file=name, count=count, why=OWN_LISTS)
