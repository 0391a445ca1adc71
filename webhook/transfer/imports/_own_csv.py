"""Watchmark's own spreadsheet, read back so that it is exported again byte for byte: see exports/csv.py."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime

from webhook.domain.event import Episode, Ids, Item, Movie, Track
from webhook.domain.play import Dated, Play, State
from webhook.transfer.formulas import unguard
from webhook.transfer.imports._archive import Row
from webhook.transfer.imports._dates import moment
from webhook.transfer.imports._fields import Wrong, number, rating
from webhook.transfer.records import Entry, Kept, Relation, Viewing

OWN = frozenset(
    {"kind", "title", "show", "season", "number", "artist", "watched_at", "started_at", "dated", "rewatch"}
)
"""Columns that only our own spreadsheet has together."""

NUMBERS = frozenset({"tvdb", "tmdb", "trakt", "simkl", "anidb", "mal"})
NAMES = ("tvdb", "tmdb", "imdb", "trakt", "musicbrainz", "simkl", "slug", "anidb", "mal", "plex", "tvtime")
MINUTE_MS = 60_000


def is_own(columns: Collection[str]) -> bool:
    return set(columns) >= OWN


def own_entries(row: Row) -> Iterator[Entry]:
    """The play of a row, and the rating of its item; raises Wrong and NoDate."""
    item = own_item(row)
    at, started = time_of(row, "watched_at"), time_of(row, "started_at")
    if at is None:
        raise Wrong("it has no “watched_at”")
    yield Viewing(
        play=Play(
            item=item, state=State.STOPPED, started_at=started or at, last_at=at, watched_at=at,
            source=cell(row, "source") or "csv", player=cell(row, "player"), library=cell(row, "library"),
            duration_ms=duration(row), dated=precision(row),
        ),
        verbatim=True,
    )  # fmt: skip
    if (value := rating(cell(row, "rating"))) is not None:
        yield Kept(relation=Relation.RATING, item=item, value=value)


def cell(row: Row, name: str) -> str | None:
    """The field as it was before the export guarded it, with its blanks."""
    place = row.columns.get(name)
    return None if place is None else unguard(row.values[place]) or None


def own_item(row: Row) -> Item:
    kind, title, year = cell(row, "kind"), cell(row, "title"), number(cell(row, "year"))
    ids = own_ids(row, "")
    if kind == "movie":
        return Movie(title=title, year=year, ids=ids)
    if kind == "episode":
        return Episode(
            title=title, show=cell(row, "show"), season=number(cell(row, "season")), number=number(cell(row, "number")),
            year=year, ids=ids, show_ids=own_ids(row, "show_"), numbering=cell(row, "numbering") or "aired",
        )  # fmt: skip
    if kind == "track":
        place = number(cell(row, "number"))
        return Track(
            title=title,
            artist=cell(row, "artist"),
            album=cell(row, "album"),
            number=place,
            year=year,
            ids=ids,
        )
    raise Wrong(f"“{(kind or '')[:20]}” is neither movie, episode nor track")


def own_ids(row: Row, prefix: str) -> Ids:
    known: dict[str, int | str | None] = {}
    for name in NAMES:
        given = cell(row, f"{prefix}{name}")
        known[name] = number(given) or None if name in NUMBERS else given
    return Ids.from_json(known)


def time_of(row: Row, name: str) -> datetime | None:
    given = cell(row, name)
    return None if given is None else moment(given)


def duration(row: Row) -> int | None:
    given = cell(row, "duration_minutes")
    try:
        return round(float(given) * MINUTE_MS) or None if given else None
    except ValueError as error:
        raise Wrong(f"“{str(given)[:20]}” is no length in minutes") from error


def precision(row: Row) -> Dated:
    try:
        return Dated(cell(row, "dated") or Dated.EXACT)
    except ValueError as error:
        raise Wrong("“dated” is none of exact, day and ticked") from error
