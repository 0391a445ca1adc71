"""Trakt's JSON, for the JSON import on its own settings page (Settings, Data, Import).

One array. History entries have the shape of `GET /sync/history`, ratings that of `GET /sync/ratings`, the
watchlist that of `GET /sync/watchlist`. The open source of Trakt's page (trakt/trakt-web, its JSON
parser) reads such an array, tells the three apart by their keys, and takes `"unknown"` for a
`watched_at` that is not known: that is what a play gets which only says when it was ticked. The page
takes an episode's `ids`, and where that key is missing the show's in its place, so it is always there,
empty if need be; then the page leaves the episode out. Trakt knows no TVDB ids of films. Its
ratings are whole numbers; halves are rounded up. Trakt's own export is a zip of many files of these
shapes; whether its page takes one array as long as a whole history was not tried.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, tzinfo
from typing import Any

from webhook.event import Episode, Ids, Item, Kind, Movie, Season, Show, round_rating
from webhook.play import Dated
from webhook.transfer.entries import FOR_LATER, Kept, Relation
from webhook.transfer.exports._pieces import gathered, listed
from webhook.transfer.exports._values import Exported, numbers, stamp, watched

LABEL = "Trakt"
DESCRIPTION = "History, ratings and watchlist, for the JSON import in Trakt's settings."
SUFFIX = "json"
MEDIA_TYPE = "application/json"
KINDS = frozenset({Kind.MOVIE, Kind.EPISODE})

TITLES = ("trakt", "slug", "imdb", "tmdb", "tvdb")
MOVIES = ("trakt", "slug", "imdb", "tmdb")
EPISODES = ("trakt", "tvdb", "imdb", "tmdb")
OWN_KEY = "trakt:"


def write(plays: Iterable[Exported], library: Iterable[Kept], *, zone: tzinfo = UTC) -> Iterator[bytes]:
    """Every watched film and episode, then ratings and the watchlist."""
    return gathered(listed(entries(plays, library)))


def entries(plays: Iterable[Exported], library: Iterable[Kept]) -> Iterator[dict[str, Any]]:
    for entry, at in watched(plays, KINDS):
        yield history(entry, at)
    for kept in library:
        if (found := of_library(kept)) is not None:
            yield found


def history(entry: Exported, at: datetime) -> dict[str, Any]:
    play = entry.play
    return {
        **history_id(entry.foreign_key),
        "watched_at": "unknown" if play.dated is Dated.TICKED else stamp(at),
        "action": "watch" if play.manual else "scrobble",
        **described(play.item),
    }


def history_id(foreign_key: str | None) -> dict[str, int]:
    """The id of a play that once came from Trakt's history, so that it is known again."""
    number = (foreign_key or "").removeprefix(OWN_KEY)
    return {"id": int(number)} if foreign_key != number and number.isascii() and number.isdigit() else {}


def of_library(kept: Kept) -> dict[str, Any] | None:
    """A rating, or an entry of the watchlist; None for what Trakt has no place for here."""
    if kept.item.kind is Kind.TRACK:
        return None
    at = None if kept.at is None else stamp(kept.at)
    rating = round_rating(kept.value)
    if kept.relation is Relation.RATING and rating is not None:
        return {**({"rated_at": at} if at else {}), "rating": rating, **described(kept.item)}
    if kept.relation is Relation.WATCHLIST or kept.state == FOR_LATER:
        return {"listed_at": at, **described(kept.item)}
    return None


def described(item: Item) -> dict[str, Any]:
    match item:
        case Movie():
            return {"type": "movie", "movie": titled(item.title, item.year, item.ids, MOVIES)}
        case Show():
            return {"type": "show", "show": titled(item.title, item.year, item.ids, TITLES)}
        case Season():
            season = {"number": item.season, "ids": chosen(item.ids, EPISODES)}
            return {
                "type": "season",
                "season": season,
                "show": titled(item.show, None, item.show_ids, TITLES),
            }
        case Episode():
            show = titled(item.show, None, item.show_ids, TITLES)
            return {"type": "episode", "episode": numbered(item), "show": show}
        case _:
            raise AssertionError(f"{item.kind} is not among KINDS")


def titled(title: str | None, year: int | None, ids: Ids, names: tuple[str, ...]) -> dict[str, Any]:
    return {"title": title, "year": year, "ids": chosen(ids, names)}


def numbered(item: Episode) -> dict[str, Any]:
    season, number = numbers(item) or (None, None)
    return {"season": season, "number": number, "title": item.title, "ids": chosen(item.ids, EPISODES)}


def chosen(ids: Ids, names: tuple[str, ...]) -> dict[str, Any]:
    known = ids.known()
    return {name: known[name] for name in names if name in known}
