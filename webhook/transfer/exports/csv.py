"""A plain table for spreadsheets: UTF-8 with a byte order mark (Excel needs it), commas, a header."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, tzinfo

from webhook.domain.event import Episode, Ids, Item, Kind, Movie, Track
from webhook.transfer.exports._pieces import Cell, Table, join_pieces
from webhook.transfer.exports._values import Exported, stamp, watched_plays
from webhook.transfer.records import Kept

LABEL = "Spreadsheet"
DESCRIPTION = "A table of everything watched, for a spreadsheet or a script of your own."
SUFFIX = "csv"
MEDIA_TYPE = "text/csv; charset=utf-8"
KINDS = frozenset({Kind.MOVIE, Kind.EPISODE, Kind.TRACK})

ITEM = ("kind", "title", "show", "season", "number", "year", "artist", "album")
IDS = ("tvdb", "tmdb", "imdb", "trakt", "musicbrainz")
SHOW_IDS = ("tvdb", "tmdb", "imdb", "trakt")
MORE_IDS = ("simkl", "slug", "anidb", "mal", "plex", "tvtime")
"""Further ids, so that the table can be read back whole: see imports/_own_csv.py."""
COLUMNS = (
    *ITEM,
    *("watched_at", "started_at", "dated", "source", "player", "library", "duration_minutes"),
    *("rewatch", "rating"),
    *IDS,
    *(f"show_{name}" for name in SHOW_IDS),
    *("numbering", *MORE_IDS),
    *(f"show_{name}" for name in MORE_IDS),
)


def write(plays: Iterable[Exported], library: Iterable[Kept], *, zone: tzinfo = UTC) -> Iterator[bytes]:
    """One row for each watched play. `dated` tells if `watched_at` is exact, a day, or the time of a tick."""
    return join_pieces(lines(plays))


def lines(plays: Iterable[Exported]) -> Iterator[bytes]:
    table = Table(end="\r\n")
    yield BOM_UTF8 + table.line(COLUMNS)
    for entry, at in watched_plays(plays, KINDS):
        yield table.line([*row(entry, at)])


def row(entry: Exported, at: datetime) -> Iterator[Cell]:
    play = entry.play
    yield from of_item(play.item)
    yield from (stamp(at), stamp(play.started_at), play.dated.value)
    yield from (play.source, play.player, play.library, minutes(play.duration_ms))
    yield from ("yes" if entry.rewatch else "", entry.rating)
    known = play.item.ids.by_namespace()
    yield from (known.get(name) for name in IDS)
    shown = (play.item.show_ids if isinstance(play.item, Episode) else Ids()).by_namespace()
    yield from (shown.get(name) for name in SHOW_IDS)
    yield play.item.numbering if isinstance(play.item, Episode) and play.item.numbering != "aired" else None
    yield from (known.get(name) for name in MORE_IDS)
    yield from (shown.get(name) for name in MORE_IDS)


def of_item(item: Item) -> tuple[Cell, ...]:
    match item:
        case Movie():
            return (item.kind.value, item.title, None, None, None, item.year, None, None)
        case Episode():
            return (item.kind.value, item.title, item.show, item.season, item.number, item.year, None, None)
        case Track():
            return (item.kind.value, item.title, None, None, item.number, item.year, item.artist, item.album)
        case _:
            raise AssertionError(f"{item.kind} is not among KINDS")


def minutes(duration_ms: int | None) -> str | None:
    """A duration in minutes with one decimal; None if unknown."""
    return f"{duration_ms / 60_000:.1f}".removesuffix(".0") if duration_ms else None
