"""Simkl's backup: a zip with `SimklBackup.json`, in the shape of `GET /sync/all-items`.

That file is what Simkl's backup gives and what people upload again at https://simkl.com/apps/import/json/
(seen in public converters and backup tools; not documented by Simkl and not tried). Simkl keeps one date
for a film or an episode, so a rewatch moves the date to the latest. A play that only says when it was
ticked is marked watched without a date; what Simkl then takes for the date is not known. Episodes go
by season and number: those whose numbers are not known in the common order are left out. Anime
goes with the shows; Simkl sorts it by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from itertools import groupby
from operator import itemgetter

from typing_extensions import TypedDict

from webhook.domain.event import Episode, Ids, Item, Kind, Movie, Show, round_rating
from webhook.domain.json_shapes import IdsJson
from webhook.domain.play import Dated
from webhook.transfer.exports._pieces import Spool, json_array, zip_stream
from webhook.transfer.exports._values import (
    Exported,
    Groups,
    identifying_keys,
    numbers,
    show_known_by,
    stamp,
    watched_plays,
)
from webhook.transfer.records import FOR_LATER, STOPPED, Kept, Relation

LABEL = "Simkl"
DESCRIPTION = "Films and shows with their ratings, for Simkl's JSON import."
SUFFIX = "zip"
MEDIA_TYPE = "application/zip"
KINDS = frozenset({Kind.MOVIE, Kind.EPISODE})

IDS = ("simkl", "slug", "imdb", "tmdb", "tvdb", "mal", "anidb")


def write(plays: Iterable[Exported], library: Iterable[Kept], *, zone: tzinfo = UTC) -> Iterator[bytes]:
    """One entry for each film and each show, with all its data."""
    return zip_stream([("SimklBackup.json", backup(plays, library))])


def backup(plays: Iterable[Exported], library: Iterable[Kept]) -> Iterator[bytes]:
    with Spool() as movies, Spool() as shows:
        titles = Groups()
        for entry, at in watched_plays(plays, KINDS):
            put_play(entry, at, movies, shows, titles)
        for kept in library:
            put_library_entry(kept, movies, shows, titles)
        yield b'{"movies":'
        yield from json_array(movie(movies.values(group)) for group in movies.groups)
        yield b',"shows":'
        yield from json_array(show(shows.values(group)) for group in shows.groups)
        yield b',"anime":[]}\n'


# --- lines spooled by film and by show


class LineJson(TypedDict, total=False):
    """What one play or one entry of the library says of a film or a show; `place` is the season and number of an episode."""

    title: str | None
    year: int | None
    ids: IdsJson
    watched: bool
    at: str | None
    place: tuple[int, int]
    rating: int | None
    rated_at: str | None
    status: str
    added_at: str | None


def put_play(entry: Exported, at: datetime, movies: Spool, shows: Spool, titles: Groups) -> None:
    date = None if entry.play.dated is Dated.TICKED else stamp(at)
    item = entry.play.item
    if isinstance(item, Movie) and (keys := identifying_keys(item)):
        rating = round_rating(entry.rating)
        line = title_line(item)
        line |= {"watched": True, "at": date, "rating": rating}
        movies.append(titles.number_of(keys), line)
    if isinstance(item, Episode) and (keys := show_known_by(item)) and (place := numbers(item)):
        line = title_line(Show(title=item.show, ids=item.show_ids))
        line |= {"watched": True, "at": date, "place": place}
        shows.append(titles.number_of(keys), line)


def put_library_entry(kept: Kept, movies: Spool, shows: Spool, titles: Groups) -> None:
    spool = {Kind.MOVIE: movies, Kind.SHOW: shows}.get(kept.item.kind)
    keys, said = identifying_keys(kept.item), of_library(kept)
    if spool is not None and keys and said:
        line = title_line(kept.item)
        line |= said
        spool.append(titles.number_of(keys), line)


def of_library(kept: Kept) -> LineJson:
    at = None if kept.at is None else stamp(kept.at)
    if kept.relation is Relation.RATING:
        return {"rating": round_rating(kept.value), "rated_at": at}
    if kept.relation is Relation.WATCHLIST or kept.state == FOR_LATER:
        return {"status": "plantowatch", "added_at": at}
    if kept.relation is Relation.FOLLOW:
        return {"status": "dropped" if kept.state == STOPPED else "watching", "added_at": at}
    return {}


def title_line(item: Item) -> LineJson:
    year = item.year if isinstance(item, Movie | Show) else None
    return {"title": item.title, "year": year, "ids": simkl_ids(item.ids)}


def simkl_ids(ids: Ids) -> IdsJson:
    known = ids.by_namespace()
    return {name: known[name] for name in IDS if name in known}


# --- entries made from the lines


@dataclass(slots=True)
class Told:
    """The merged lines of one film or show: the last of each value, the latest date of each episode."""

    values: dict[str, object] = field(default_factory=dict)
    ids: IdsJson = field(default_factory=dict)
    last: str = ""
    dates: dict[tuple[int, int], str] = field(default_factory=dict)

    def add(self, line: LineJson) -> None:
        self.ids = {**line["ids"], **self.ids}
        self.values |= without_nulls(
            {name: value for name, value in line.items() if name not in ("ids", "at", "place")}
        )
        at = line.get("at") or ""
        self.last = max(self.last, at)
        if place := line.get("place"):
            season, number = place
            self.dates[season, number] = max(at, self.dates.get((season, number), ""))

    def common(self) -> dict[str, object]:
        return without_nulls(
            {
                "added_to_watchlist_at": self.values.get("added_at"),
                "last_watched_at": self.last or None,
                "user_rated_at": self.values.get("rated_at"),
                "user_rating": self.values.get("rating"),
            }
        )

    def title(self) -> dict[str, object]:
        named: dict[str, object] = {
            name: self.values[name] for name in ("title", "year") if name in self.values
        }
        return {**named, "ids": {name: self.ids[name] for name in IDS if name in self.ids}}


def merge_lines(lines: Iterable[LineJson]) -> Told:
    told = Told()
    for line in lines:
        told.add(line)
    return told


def movie(lines: Iterable[LineJson]) -> dict[str, object]:
    told = merge_lines(lines)
    status = "completed" if "watched" in told.values else told.values.get("status", "plantowatch")
    return {**told.common(), "status": status, "movie": told.title()}


def show(lines: Iterable[LineJson]) -> dict[str, object]:
    told = merge_lines(lines)
    status = told.values.get("status", "plantowatch")
    if status == "plantowatch" and "watched" in told.values:
        status = "watching"
    return {**told.common(), "status": status, "show": told.title(), "seasons": list(seasons(told.dates))}


def seasons(dates: dict[tuple[int, int], str]) -> Iterator[dict[str, object]]:
    for season, places in groupby(sorted(dates), key=itemgetter(0)):
        episodes = [
            without_nulls({"number": number, "watched_at": dates[season, number] or None})
            for _, number in places
        ]
        yield {"number": season, "episodes": episodes}


def without_nulls(values: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if value is not None}
