"""A zip in the layout of Trakt's own export, for the JSON import on its settings page (Settings, Data, Import).

`watched/history-1.json` has the shape of `GET /sync/history`, `ratings/ratings.json` that of `GET /sync/ratings`,
`lists/watchlist.json` that of `GET /sync/watchlist`. The open source of Trakt's page (trakt/trakt-web, its JSON
parser) reads these three out of a zip, skips what else lies there, and takes `"unknown"` for a `watched_at` that
is not known: that is what a play gets which only says when it was ticked. One array instead would not do, for
whatever is neither a rating nor on the watchlist counts there as watched.

The page skips `lists/favorites.json`, `collection/` and `hidden/`, which other readers of Trakt's export know, and
`lists/followed.json`, which is ours: Trakt follows no shows. A show that is kept for later, or followed without
an episode seen, is on its watchlist, as Trakt's page does with an export of TV Time. A show that was stopped or
archived is dropped there.

The page takes an episode's `ids`, and where that key is missing the show's in its place, so it is always there,
empty if need be; then the page leaves the episode out. Trakt knows no TVDB ids of films. Its ratings
are whole numbers; halves are rounded up. Two viewings of one item at one moment, as day-only dates make them,
are a minute apart, so that no reader takes them for one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta, tzinfo

from webhook.domain.event import Episode, Ids, Item, Kind, Movie, Season, Show, round_rating
from webhook.domain.play import Dated
from webhook.transfer.exports._pieces import Spool, join_pieces, json_array, zip_stream
from webhook.transfer.exports._values import (
    Exported,
    identifying_keys,
    numbers,
    show_known_by,
    stamp,
    watched_plays,
)
from webhook.transfer.records import ARCHIVED, FOLLOWING, FOR_LATER, STOPPED, Kept, Relation

LABEL = "Trakt"
DESCRIPTION = (
    "History, ratings and watchlist, for the JSON import in Trakt's settings; with favourites, collection and "
    "followed shows for other readers."
)
SUFFIX = "zip"
MEDIA_TYPE = "application/zip"
KINDS = frozenset({Kind.MOVIE, Kind.EPISODE})

TITLES = ("trakt", "slug", "imdb", "tmdb", "tvdb")
MOVIES = ("trakt", "slug", "imdb", "tmdb")
EPISODES = ("trakt", "tvdb", "imdb", "tmdb")
OWN_KEY = "trakt:"

APART = timedelta(minutes=1)
FILES = (
    "ratings/ratings.json",
    "lists/watchlist.json",
    "lists/favorites.json",
    "collection/collection.json",
    "lists/followed.json",
    "hidden/hidden-dropped.json",
)
RATINGS, WATCHLIST, FAVOURITES, COLLECTION, FOLLOWED, DROPPED = range(len(FILES))


def write(plays: Iterable[Exported], library: Iterable[Kept], *, zone: tzinfo = UTC) -> Iterator[bytes]:
    """Every watched film and episode, then the library."""
    return zip_stream(files(plays, library))


def files(plays: Iterable[Exported], library: Iterable[Kept]) -> Iterator[tuple[str, Iterator[bytes]]]:
    seen_shows: set[str] = set()
    yield "watched/history-1.json", join_pieces(json_array(history(plays, seen_shows)))
    with Spool() as spool:
        for kept in library:
            for group, entry in of_library(kept, seen_shows):
                spool.append(group, entry)
        for group, name in enumerate(FILES):
            if group in spool.groups:
                yield name, join_pieces(json_array(spool.values(group)))


def history(plays: Iterable[Exported], seen_shows: set[str]) -> Iterator[dict[str, object]]:
    """The viewings; the keys of their shows are added to `seen_shows`."""
    moment: datetime | None = None
    before: Counter[tuple[str, ...]] = Counter()
    for entry, at in watched_plays(plays, KINDS):
        item = entry.play.item
        if isinstance(item, Episode):
            seen_shows.update(show_known_by(item))
        if at != moment:
            moment = at
            before.clear()
        key = (item.kind, *identifying_keys(item), *place(item))
        yield history_entry(entry, at + before[key] * APART)
        before[key] += 1


def place(item: Item) -> tuple[str, ...]:
    return (*show_known_by(item), f"{item.season}x{item.number}") if isinstance(item, Episode) else ()


def history_entry(entry: Exported, at: datetime) -> dict[str, object]:
    play = entry.play
    return {
        **history_id(entry.foreign_key),
        "watched_at": "unknown" if play.dated is Dated.TICKED else stamp(at),
        "action": "watch" if play.manual else "scrobble",
        **item_object(play.item),
    }


def history_id(foreign_key: str | None) -> dict[str, int]:
    """The id of a play that was imported from Trakt's history, so that Trakt recognises it."""
    number = (foreign_key or "").removeprefix(OWN_KEY)
    return {"id": int(number)} if foreign_key != number and number.isascii() and number.isdigit() else {}


def of_library(kept: Kept, seen_shows: set[str]) -> Iterator[tuple[int, dict[str, object]]]:
    """The entry for each file that it belongs in; none if Trakt has no place for it."""
    if kept.item.kind is Kind.TRACK:
        return
    at, item = None if kept.at is None else stamp(kept.at), item_object(kept.item)
    rating = round_rating(kept.value)
    match kept.relation:
        case Relation.RATING if rating is not None:
            yield RATINGS, {**({"rated_at": at} if at else {}), "rating": rating, **item}
        case Relation.WATCHLIST:
            yield WATCHLIST, {"listed_at": at, **item}
        case Relation.LOVE:
            yield FAVOURITES, {"listed_at": at, **item}
        case Relation.COLLECTION:
            yield COLLECTION, {"collected_at": at, **item}
        case Relation.FOLLOW:
            yield from follow_rows(kept, at, item, seen_shows)


def follow_rows(
    kept: Kept, at: str | None, item: dict[str, object], seen_shows: set[str]
) -> Iterator[tuple[int, dict[str, object]]]:
    if kept.state in (STOPPED, ARCHIVED):
        yield DROPPED, {"hidden_at": at, "state": kept.state, **item}
        return
    yield FOLLOWED, {"followed_at": at, "state": kept.state or FOLLOWING, **item}
    if kept.state == FOR_LATER or not is_seen(kept.item, seen_shows):
        yield WATCHLIST, {"listed_at": at, **item}


def is_seen(show: Item, seen_shows: set[str]) -> bool:
    """True if an episode of the show is among the viewings."""
    if not isinstance(show, Show):
        return False
    anywhere = Episode(show=show.title, show_ids=show.ids)
    by_title = show_known_by(Episode(show=show.title))
    return not seen_shows.isdisjoint((*show_known_by(anywhere), *by_title))


def item_object(item: Item) -> dict[str, object]:
    match item:
        case Movie():
            return {"type": "movie", "movie": title_object(item.title, item.year, item.ids, MOVIES)}
        case Show():
            return {"type": "show", "show": title_object(item.title, item.year, item.ids, TITLES)}
        case Season():
            season = {"number": item.season, "ids": trakt_ids(item.ids, EPISODES)}
            return {
                "type": "season",
                "season": season,
                "show": title_object(item.show, None, item.show_ids, TITLES),
            }
        case Episode():
            show = title_object(item.show, None, item.show_ids, TITLES)
            return {"type": "episode", "episode": episode_object(item), "show": show}
        case _:
            raise AssertionError(f"{item.kind} is not among KINDS")


def title_object(title: str | None, year: int | None, ids: Ids, names: tuple[str, ...]) -> dict[str, object]:
    return {"title": title, "year": year, "ids": trakt_ids(ids, names)}


def episode_object(item: Episode) -> dict[str, object]:
    season, number = numbers(item) or (None, None)
    return {"season": season, "number": number, "title": item.title, "ids": trakt_ids(item.ids, EPISODES)}


def trakt_ids(ids: Ids, names: tuple[str, ...]) -> dict[str, object]:
    known = ids.by_namespace()
    return {name: known[name] for name in names if name in known}
