"""Yamtrack's CSV (Settings, Import, Yamtrack CSV), with the columns of its own export.

The columns are those of the example files in Yamtrack's repository (FuzzyGrim/Yamtrack, 2026); its
reader goes by name, and all fields are quoted as in its own files. Yamtrack counts in TMDB ids: a film's
own, a show's for its episodes. Where that id is not known the row has an empty `media_id`, and
Yamtrack looks for the title or says which row it could not take; nothing is left out silently but episodes
whose numbers are not known in the common order. A show and a season get a row of their own before
their first episode, as Yamtrack wants it. `end_date` is the time, or the day where only that is
known, and empty for a play that only says when it was ticked. A row for each play: whether
a Yamtrack counts a second row of one film as a rewatch depends on its version.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, tzinfo

from webhook.domain.event import Episode, Item, Kind, Movie, Show
from webhook.domain.play import Dated
from webhook.transfer.exports._pieces import Cell, Table, join_pieces
from webhook.transfer.exports._values import (
    Exported,
    Groups,
    day,
    identifying_keys,
    numbers,
    show_known_by,
    stamp,
    watched_plays,
)
from webhook.transfer.records import FOR_LATER, Kept, Relation

LABEL = "Yamtrack"
DESCRIPTION = "Films and episodes watched and the watchlist, for the CSV import of Yamtrack."
SUFFIX = "csv"
MEDIA_TYPE = "text/csv; charset=utf-8"
KINDS = frozenset({Kind.MOVIE, Kind.EPISODE})

COLUMNS = (
    *("media_id", "source", "media_type", "title", "image", "season_number", "episode_number"),
    *("score", "progress", "status", "start_date", "end_date", "notes", "progressed_at"),
)

Line = dict[str, Cell]


def write(plays: Iterable[Exported], library: Iterable[Kept], *, zone: tzinfo = UTC) -> Iterator[bytes]:
    """The plays, oldest first, then the unwatched items of the watchlist."""
    return join_pieces(lines(plays, library, zone))


def lines(plays: Iterable[Exported], library: Iterable[Kept], zone: tzinfo) -> Iterator[bytes]:
    table = Table(quote_all=True)
    yield table.line(COLUMNS)
    for row in rows(plays, library, zone):
        yield table.line([row.get(name) for name in COLUMNS])


def rows(plays: Iterable[Exported], library: Iterable[Kept], zone: tzinfo) -> Iterator[Line]:
    titles = Groups()
    begun: set[tuple[int, int | None]] = set()
    for entry, at in watched_plays(plays, KINDS):
        end, item = end_date(entry, at, zone), entry.play.item
        if isinstance(item, Movie) and (keys := identifying_keys(item)):
            begun.add((titles.number_of(keys), None))
            yield film(entry, end)
        if isinstance(item, Episode) and (keys := show_known_by(item)) and (place := numbers(item)):
            yield from heads(item, place[0], titles.number_of(keys), begun)
            numbered: Line = {"season_number": place[0], "episode_number": place[1], "end_date": end}
            yield of_show(item, "episode") | numbered
    for kept in library:
        if is_planned(kept) and (titles.number_of(identifying_keys(kept.item)), None) not in begun:
            yield {**title_columns(kept.item), "status": "Planning"}


def film(entry: Exported, end: str | None) -> Line:
    score = entry.rating or None
    return {
        **title_columns(entry.play.item),
        "score": score,
        "progress": 1,
        "status": "Completed",
        "end_date": end,
    }


def heads(item: Episode, season: int, show: int, begun: set[tuple[int, int | None]]) -> Iterator[Line]:
    """The rows of the show and of the season, unless they were already written."""
    if (show, None) not in begun:
        begun.add((show, None))
        yield of_show(item, "tv") | {"status": "In progress"}
    if (show, season) not in begun:
        begun.add((show, season))
        yield of_show(item, "season") | {"season_number": season, "status": "In progress"}


def of_show(item: Episode, media_type: str) -> Line:
    return {"media_id": item.show_ids.tmdb, "source": "tmdb", "media_type": media_type, "title": item.show}


def title_columns(item: Item) -> Line:
    media_type = "movie" if isinstance(item, Movie) else "tv"
    return {"media_id": item.ids.tmdb, "source": "tmdb", "media_type": media_type, "title": item.title}


def is_planned(kept: Kept) -> bool:
    later = kept.relation is Relation.WATCHLIST or kept.state == FOR_LATER
    return later and isinstance(kept.item, Movie | Show)


def end_date(entry: Exported, at: datetime, zone: tzinfo) -> str | None:
    match entry.play.dated:
        case Dated.TICKED:
            return None
        case Dated.DAY:
            return day(at, Dated.DAY, zone).isoformat()
        case Dated.EXACT:
            return stamp(at)
