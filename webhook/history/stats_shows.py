"""Shows, films and artists in statistics: the most watched, and finished shows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from heapq import nsmallest
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection
from typing_extensions import TypedDict

from webhook.domain.event import ID_NAMES, Ids, Kind, Movie, Show, Track
from webhook.domain.items import fold_title
from webhook.domain.json_shapes import IdsJson
from webhook.domain.pictures import picture_key
from webhook.history import shows
from webhook.history.library import show_key
from webhook.history.shows import Listing, Place
from webhook.history.stats_sums import Sums, SumsJson, TitleCount
from webhook.storage.json_fields import Count, PictureKey
from webhook.storage.types import to_ms

TOP_SIZE = 10
"""The number of shows, films and artists in a top list."""


class CountedTitle(TypedDict):
    """A show, film or artist with its plays and their time, as a tally stores it."""

    title: str | None
    year: int | None
    ids: IdsJson
    plays: Count
    time_ms: Count


class TopEntryJson(CountedTitle):
    """An entry of a top list, with its picture."""

    picture: PictureKey


class TopJson(TypedDict):
    """The most watched shows, films and artists."""

    shows: list[TopEntryJson]
    films: list[TopEntryJson]
    artists: list[TopEntryJson]


class CountedTop(TypedDict):
    """The top lists as a tally stores them."""

    shows: list[CountedTitle]
    films: list[CountedTitle]
    artists: list[CountedTitle]


def top_json(top: CountedTop) -> TopJson:
    """The top lists as the API gives them."""
    return {
        "shows": [
            {**one, "picture": picture_key(Show(title=one["title"], ids=Ids.from_json(one["ids"])))}
            for one in top["shows"]
        ],
        "films": [
            {
                **one,
                "picture": picture_key(
                    Movie(title=one["title"], year=one["year"], ids=Ids.from_json(one["ids"]))
                ),
            }
            for one in top["films"]
        ],
        "artists": [{**one, "picture": picture_key(Track(artist=one["title"]))} for one in top["artists"]],
    }


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptEndings:
    """The endings of a tally's shows by the key of their list, and the number of plays since."""

    ends: Mapping[str, Ending] = field(default_factory=dict)
    live: int = 0


SeenShowJson = tuple[str | None, IdsJson, Sequence[str], int, int]
"""A `SeenShow`, field by field."""

EndingJson = tuple[str, str, str | None, IdsJson, str | None, int, int | None]
"""An `Ending`, field by field."""


class CountsJson(TypedDict):
    """Counts as a tally stores them, without the titles."""

    sums: SumsJson
    shows: list[SeenShowJson]
    top: CountedTop


class TallyJson(CountsJson):
    """The answer of a tally: its counts, and the endings of its shows."""

    ends: list[EndingJson]


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """The counts of plays, with their shows and top lists."""

    sums: Sums
    shows: Sequence[SeenShow]
    top: CountedTop

    @classmethod
    def from_sums(cls, counts: Sums) -> Counts:
        seen, films, artists = (
            group_titles(counts.of_kind(kind)) for kind in (Kind.EPISODE, Kind.MOVIE, Kind.TRACK)
        )
        shows = [
            SeenShow(title=one.title, ids=one.ids, keys=show_keys(one), plays=one.plays, last=one.last)
            for one in seen
        ]
        return cls(
            sums=counts,
            shows=shows,
            top={"shows": top_groups(seen), "films": top_groups(films), "artists": top_groups(artists)},
        )

    def to_json(self) -> CountsJson:
        shows = [(show.title, show.ids, show.keys, show.plays, show.last) for show in self.shows]
        return {"sums": self.sums.to_json(), "shows": shows, "top": self.top}

    @classmethod
    def from_json(cls, known: CountsJson) -> Counts:
        shows = [SeenShow(*show) for show in known["shows"]]
        return cls(sums=Sums.from_json(known["sums"]), shows=shows, top=known["top"])


@dataclass(slots=True)
class Group:
    """The plays of one show, film or artist."""

    title: str | None
    year: int | None = None
    ids: IdsJson = field(default_factory=dict)
    plays: int = 0
    time_ms: int = 0
    last: int = 0
    """The time of the last play (UTC ms)."""

    def same(self, ids: IdsJson, year: int | None) -> bool:
        """True if another of the same title may be this one."""
        if any(self.ids.get(name, value) != value for name, value in ids.items()):
            return False
        return None in (year, self.year) or year == self.year

    def to_json(self) -> CountedTitle:
        ids = Ids.from_json(self.ids).by_namespace()
        return {
            "title": self.title,
            "year": self.year,
            "ids": ids,
            "plays": self.plays,
            "time_ms": self.time_ms,
        }


def group_titles(rows: Iterable[TitleCount]) -> list[Group]:
    """Group titles of one item that were reported with different ids or by title only."""
    groups: list[Group] = []
    by_id: dict[tuple[str, int | str], Group] = {}
    by_title: dict[str, list[Group]] = {}
    for row in sorted(rows, key=by_detail):
        ids = parse_ids(row.ids)
        title = fold_title(row.title or "")
        alike = by_title.setdefault(title, []) if title else []
        group = next((by_id[pair] for pair in ids.items() if pair in by_id), None)
        group = group or next((one for one in alike if one.same(ids, row.year)), None)
        if group is None:
            group = Group(row.title, row.year)
            groups.append(group)
            alike.append(group)
        group.ids = {**ids, **group.ids}
        group.plays += row.plays
        group.time_ms += row.time_ms
        group.last = max(group.last, row.last)
        by_id |= dict.fromkeys(ids.items(), group)
    return groups


def parse_ids(stored: str | None) -> IdsJson:
    """Parse the ids from JSON, in one fixed order, since the first one decides."""
    if not stored or stored == "{}":
        return {}
    found: IdsJson = orjson.loads(stored)
    return {name: found[name] for name in ID_NAMES if found.get(name) is not None}


def by_detail(row: TitleCount) -> tuple[Any, ...]:
    """Sort key: most ids first, then most plays; ties always in one order."""
    return -(row.ids or "").count(":"), -row.plays, row.title or "", row.ids or "", str(row.year)


def top_groups(groups: Iterable[Group]) -> list[CountedTitle]:
    ordered = nsmallest(TOP_SIZE, groups, key=lambda one: (-one.plays, -one.time_ms, one.title or ""))
    return [one.to_json() for one in ordered]


class SeenShow(NamedTuple):
    """A show with plays, the keys its episode list may be stored under, and when it was watched last (UTC ms)."""

    title: str | None
    ids: IdsJson
    keys: Sequence[str]
    plays: int
    last: int


@dataclass(frozen=True, slots=True)
class Ending:
    """The progress in a listed show: `left` aired episodes are not, or all were first seen `at` (UTC ms).

    It is so for this list, title and ids, until the day of the episode that comes `next`.
    """

    key: str
    digest: str
    title: str | None
    ids: IdsJson
    next: str | None
    left: int
    at: int | None

    def holds(self, show: SeenShow, digest: str, today: date, live: int) -> bool:
        """True if it still holds after some more plays."""
        if (self.digest, self.title, self.ids) != (digest, show.title, show.ids):
            return False
        aired = self.next is not None and self.next <= today.isoformat()
        return not aired and (self.at is not None or self.left > live)

    def to_json(self) -> EndingJson:
        return self.key, self.digest, self.title, self.ids, self.next, self.left, self.at

    def limit_to(self, until: datetime, live: int) -> Ending:
        """The ending with regard to the plays before some time only."""
        if self.at is not None and self.at < to_ms(until):
            return self
        return replace(self, left=max(self.left - live, 1), at=None)


def find_endings(
    connection: Connection, person_id: int, found: Counts, kept: KeptEndings, today: date
) -> dict[int, Ending]:
    """The progress in each listed show, by its index among the shows found.

    What was kept with a tally is taken where so many plays since cannot have changed it.
    """
    by_key = {key: place for place, show in enumerate(found.shows) for key in show.keys}
    lists = shows.stored_lists(connection, by_key)
    ends: dict[int, Ending] = {}
    asked: dict[int, tuple[Listing, str]] = {}
    for key in sorted(lists):
        place, text = by_key[key], lists[key]
        show, digest = found.shows[place], hashlib.blake2b(text.encode(), digest_size=12).hexdigest()
        end = kept.ends.get(key)
        if end is not None and end.holds(show, digest, today, kept.live):
            ends[place] = end
            asked.pop(place, None)
            continue
        ids = Ids.from_json(show.ids)
        asked[place] = (Listing(key=key, title=show.title, ids=ids, episodes=shows.episodes_of(text)), digest)
        ends.pop(place, None)
    first = shows.first_viewings(connection, person_id, [listing for listing, _ in asked.values()])
    for place, (listing, digest) in asked.items():
        ends[place] = make_ending(listing, digest, first[listing.key], today)
    return ends


def make_ending(show: Listing, digest: str, seen: Mapping[Place, datetime], today: date) -> Ending:
    aired, at = show.aired_episodes(today), show.finish_time(seen, today)
    left = sum((one.season, one.number) not in seen for one in aired)
    return Ending(
        show.key,
        digest,
        show.title,
        show.ids.by_namespace(),
        show.next_day(today),
        left,
        None if at is None else to_ms(at),
    )


def show_keys(group: Group) -> list[str]:
    """The keys under which a followed show's list may be stored: its id, or its title alone."""
    own = show_key(group.title, Ids.from_json(group.ids)), show_key(group.title, Ids())
    return list(dict.fromkeys(key for key in own if key))
