"""TV Time's own export (the GDPR zip): the readers of its files. Columns are found by name; times are UTC.

Both layouts: `tracking-prod-records-v2.csv` since June 2024, `seen_episode.csv` before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime

from webhook.domain.event import Ids, Item, Movie
from webhook.transfer.imports._archive import MICROSECOND, SECOND, Bundle, Row
from webhook.transfer.imports._dates import NoDate, moment
from webhook.transfer.imports._tvtime_values import (
    Given,
    Wrong,
    duplicate_seconds,
    episode,
    false,
    item_name,
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
)
from webhook.transfer.records import ARCHIVED, FOLLOWING, FOR_LATER, Bad, Entry, Kept, Relation

STARS: Mapping[str, int] = {"1": 1, "27": 2, "28": 3, "29": 4, "3": 5}
"""The stars by the id at the end of a vote's key."""

SLUG = re.compile(r"(?:[a-z_]+-)?alpha-(.+)")
BULK = frozenset({"season", "fill-previous"})


# --- episodes and followed shows: tracking-prod-records-v2.csv


def records(bundle: Bundle, name: str, given: Given) -> Iterator[Entry]:
    """Watched and rewatched episodes, and the state of each show."""
    together = duplicate_seconds(bundle, name, marked_at)

    def make(row: Row) -> Iterator[Entry]:
        key = row.get("key") or ""
        if key.startswith(("watch-episode", "rewatch-episode")):
            yield from read_tracks(row, given, marked_at(row) in together)
        elif key.startswith("user-series"):
            yield from read_follow(row, given)

    yield from read_rows(bundle, name, make, required=["key"])


def marked_at(row: Row) -> tuple[str, str] | None:
    watched = (row.get("key") or "").startswith("watch-episode")
    return second(row.get("s_id") or row.get("series_name"), row.get("created_at")) if watched else None


def read_tracks(row: Row, given: Given, together: bool) -> Iterator[Entry]:
    item = episode(
        show(row.get("series_name"), tvdb(row.get("s_id"))),
        season=either(row, "s_no", "season_number"),
        number=either(row, "ep_no", "episode_number"),
        ids=Ids(tvdb=tvdb(row.get("ep_id")) or tvdb(row.get("episode_id"))),
    )
    at = when(row.get("created_at")) or of_range(row.get("gsi"))
    if at is None:
        raise Wrong("it has no date")
    if given.has(item):
        return
    given.note(item)
    if (row.get("key") or "").startswith("rewatch"):
        given.fresh.add(rewatch_key(item))
    ticked = together or row.get("bulk_type") in BULK
    yield viewing(item, at, ticked=ticked, seconds=whole(row.get("runtime")))


def rewatch_key(item: Item) -> tuple[str, str]:
    """The key of a rewatch that an earlier file dates."""
    return "again", item_name(item)


def either(row: Row, name: str, other: str) -> int | None:
    found = whole(row.get(name))
    return found if found is not None else whole(row.get(other))


def of_range(key: str | None) -> datetime | None:
    """The date at the end of a range key, `watch-date-1649590015`."""
    digits = (key or "").rpartition("-")[2]
    return moment(digits, SECOND) if digits.isascii() and digits.isdigit() else None


def read_follow(row: Row, given: Given) -> Iterator[Entry]:
    item = show(row.get("series_name"), tvdb(row.get("s_id")))
    if not item.ids and item.title is None:
        raise Wrong("nothing says which show it is")
    if not given.first(Relation.FOLLOW, item) or false(row.get("is_followed")):
        return
    state = FOR_LATER if true(row.get("is_for_later")) else FOLLOWING
    state = ARCHIVED if true(row.get("is_archived")) else state
    yield Kept(relation=Relation.FOLLOW, item=item, at=followed_at(row), state=state)


def followed_at(row: Row) -> datetime | None:
    since = row.get("followed_at")
    try:
        return moment(since, MICROSECOND) if since else creation_date(row)
    except NoDate:
        return perhaps(row.get("created_at"))


# --- movies, and older episodes: tracking-prod-records.csv


def older_records(bundle: Bundle, name: str, given: Given) -> Iterator[Entry]:
    """Watched movies, movies on the watchlist, and episodes that the newer file lacks."""
    together = duplicate_seconds(bundle, name, older_marked_at)
    wanted: list[Kept] = []

    def make(row: Row) -> Iterator[Entry]:
        kind, what = row.get("type"), row.get("entity_type") or row.get("type-uuid-n") or ""
        if kind in ("watch", "rewatch"):
            yield from (
                older_episode(row, given, older_marked_at(row) in together)
                if is_episode(row)
                else read_movie_watch(row, given)
            )
        elif kind == "towatch" and what != "episode":
            wanted.extend(
                relation_entry(given, Relation.WATCHLIST, movie(row), perhaps(row.get("created_at")))
            )

    yield from read_rows(bundle, name, make, required=["type"])
    given.finish()
    yield from (entry for entry in wanted if not given.has(entry.item))


def is_episode(row: Row) -> bool:
    kind = row.get("entity_type")
    return (
        kind == "episode" if kind else row.get("episode_id") is not None or row.get("series_id") is not None
    )


def older_marked_at(row: Row) -> tuple[str, str] | None:
    if row.get("type") != "watch" or not is_episode(row):
        return None
    ranged_at = (row.get("watch_date_range_key") or "").rpartition("-")[2]
    at = ranged_at or row.get("watch_date") or row.get("created_at")
    return second(row.get("series_id") or row.get("series_name"), at)


def older_episode(row: Row, given: Given, together: bool) -> Iterator[Entry]:
    item = episode(
        show(row.get("series_name"), tvdb(row.get("series_id"))),
        season=whole(row.get("season_number")),
        number=whole(row.get("episode_number")),
        ids=Ids(tvdb=tvdb(row.get("episode_id"))),
    )
    if not given.has(item):
        given.note(item)
        ticked = together or row.get("bulk_type") in BULK
        yield viewing(item, watched_at(row), ticked=ticked, seconds=whole(row.get("runtime")))


def read_movie_watch(row: Row, given: Given) -> Iterator[Entry]:
    item = movie(row)
    at = watched_at(row)
    if not given.has(item):
        given.note(item)
        yield viewing(item, at, seconds=whole(row.get("runtime")))


def watched_at(row: Row) -> datetime:
    """The date watched, from the first of three columns that has one; raises NoDate, Wrong."""
    refused: NoDate | None = None
    for read in (range_date, count_date, creation_date):
        try:
            found = read(row)
        except NoDate as error:
            refused = refused or error
        else:
            if found is not None:
                return found
    raise refused or Wrong("it has no date")


def range_date(row: Row) -> datetime | None:
    return of_range(row.get("watch_date_range_key"))


def count_date(row: Row) -> datetime | None:
    """The date in `watch_date`, which is a number in some exports and a text in others."""
    date = row.get("watch_date")
    return moment(date, SECOND) if date and "-" not in date else when(date)


def creation_date(row: Row) -> datetime | None:
    return when(row.get("created_at"))


def movie(row: Row) -> Movie:
    """A movie by title and year: TV Time's export has no id of it that others know."""
    title = row.get("movie_name") or from_slug(row.get("alpha_range_key"))
    if title is None:
        raise Wrong("it has neither a title nor anything to make one of")
    released = perhaps((row.get("release_date") or "")[:10])
    return Movie(title=title, year=released.year if released else None, ids=Ids(tvtime=row.get("uuid")))


def from_slug(key: str | None) -> str | None:
    """`watch-alpha-what-happened-to-monday` as a title."""
    slug = SLUG.fullmatch(key) if key else None
    return slug[1].replace("-", " ").title() if slug else None


# --- the old layout: seen_episode.csv, rewatched_episode.csv


def read_views(bundle: Bundle, name: str, given: Given) -> Iterator[Entry]:
    """Watched episodes; the file has only the shows' titles, whose ids are in other files of the zip."""
    together = duplicate_seconds(bundle, name, seen_at)
    shows = show_ids(bundle)

    def make(row: Row) -> Iterator[Entry]:
        yield from seen_episode(row, given, shows, seen_at(row) in together)

    yield from read_rows(bundle, name, make, required=["created_at"])


def read_rewatches(bundle: Bundle, name: str, given: Given) -> Iterator[Entry]:
    """Rewatched episodes. A row has a count and one date: one rewatch is dated, the others are not."""
    shows = show_ids(bundle)

    def make(row: Row) -> Iterator[Entry]:
        item = old_episode(row, shows)
        if rewatch_key(item) not in given.known:
            given.undated += max((whole(row.get("cpt")) or 1) - 1, 0)
            yield from dated_viewing(item, row, ticked=False)

    yield from read_rows(bundle, name, make, required=["created_at"])
    yield from without_date(name, given)


def seen_at(row: Row) -> tuple[str, str] | None:
    return second(row.get("tv_show_name"), row.get("created_at"))


def seen_episode(row: Row, given: Given, shows: Mapping[str, int], together: bool) -> Iterator[Entry]:
    item = old_episode(row, shows)
    if not given.has(item):
        given.note(item)
        yield from dated_viewing(item, row, ticked=together)


def dated_viewing(item: Item, row: Row, *, ticked: bool) -> Iterator[Entry]:
    at = when(row.get("created_at"))
    if at is None:
        raise Wrong("it has no date")
    yield viewing(item, at, ticked=ticked)


def old_episode(row: Row, shows: Mapping[str, int]) -> Item:
    name = row.get("tv_show_name")
    return episode(
        show(name, shows.get(name or "")),
        season=whole(row.get("episode_season_number")),
        number=whole(row.get("episode_number")),
        ids=Ids(tvdb=tvdb(row.get("episode_id"))),
    )


NAMING = ("followed_tv_show.csv", "user_tv_show_data.csv")


def show_ids(bundle: Bundle) -> dict[str, int]:
    """The ids of shows by title, without ambiguous titles, from the files that have both."""
    found: dict[str, int] = {}
    shared: set[str] = set()
    for name in NAMING:
        if name not in bundle.names or not {"tv_show_id", "tv_show_name"} <= set(bundle.columns(name)):
            continue
        for row in bundle.rows(name):
            title, number = (
                (None, None)
                if isinstance(row, Bad)
                else (row.get("tv_show_name"), tvdb(row.get("tv_show_id")))
            )
            if title and number and found.setdefault(title, number) != number:
                shared.add(title)
    return {title: number for title, number in found.items() if title not in shared}


# --- shows: followed_tv_show.csv, user_tv_show_data.csv, tv_show_rate.csv


def follows(bundle: Bundle, name: str, given: Given) -> Iterator[Entry]:
    """Followed shows that no earlier file has."""

    def make(row: Row) -> Iterator[Entry]:
        item = old_show(row)
        if not false(row.get("active")):
            state = ARCHIVED if true(row.get("archived")) else FOLLOWING
            yield from relation_entry(
                given, Relation.FOLLOW, item, perhaps(row.get("created_at")), state=state
            )

    yield from read_rows(bundle, name, make, required=["tv_show_id"])


def favourites(bundle: Bundle, name: str, given: Given) -> Iterator[Entry]:
    def make(row: Row) -> Iterator[Entry]:
        if true(row.get("is_favorited")):
            yield from relation_entry(given, Relation.LOVE, old_show(row))

    yield from read_rows(bundle, name, make, required=["tv_show_id"])


def old_show(row: Row) -> Item:
    item = show(row.get("tv_show_name"), tvdb(row.get("tv_show_id")))
    if not item.ids:
        raise Wrong("it has no show id")
    return item


def show_ratings(bundle: Bundle, name: str, given: Given) -> Iterator[Entry]:
    """Stars of shows, 1 to 5."""
    shows = show_ids(bundle)

    def make(row: Row) -> Iterator[Entry]:
        title = row.get("tv_show_name")
        stars = whole(row.get("rating"))
        if title is None or stars is None or not 1 <= stars <= 5:
            raise Wrong("it has no title or no rating from 1 to 5")
        item = show(title, tvdb(row.get("tv_show_id")) or shows.get(title))
        yield from relation_entry(
            given, Relation.RATING, item, perhaps(row.get("created_at")), float(stars * 2)
        )

    yield from read_rows(bundle, name, make, required=["tv_show_name", "rating"])


# --- ratings-*-votes.csv


def votes(bundle: Bundle, name: str, given: Given) -> Iterator[Entry]:
    """Stars of episodes and movies. The files of emotions look the same, so the file's name decides."""

    def make(row: Row) -> Iterator[Entry]:
        stars = STARS.get((row.get("vote_key") or "").rpartition("-")[2])
        if stars is None:
            raise Wrong("its vote is none of those that are known to be stars")
        yield from relation_entry(given, Relation.RATING, voted_item(row), value=float(stars * 2))

    yield from read_rows(bundle, name, make, required=["vote_key"])


def voted_item(row: Row) -> Item:
    number = tvdb(row.get("episode_id"))
    if number is None and (title := row.get("movie_name")) is not None:
        return Movie(title=title, ids=Ids(tvtime=row.get("uuid")))
    return episode(
        show(row.get("series_name"), None),
        season=whole(row.get("season_number")),
        number=whole(row.get("episode_number")),
        ids=Ids(tvdb=number),
    )
