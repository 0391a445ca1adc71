"""The event: what a webhook means. Values only, frozen; unknown is None, never 0."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from operator import attrgetter
from typing import ClassVar

from webhook.domain.json_shapes import ItemJson, ReadableItem
from webhook.texts import texts


class Action(StrEnum):
    """The action of an event, in the words of the public contract."""

    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    STOP = "stop"
    WATCHED = "watched"
    UNWATCHED = "unwatched"
    RATE = "rate"
    UNRATE = "unrate"
    ADD = "add"
    FAVOURITE = "favourite"
    UNFAVOURITE = "unfavourite"
    WATCHLIST = "watchlist"
    UNWATCHLIST = "unwatchlist"
    PROGRESS = "progress"


class Kind(StrEnum):
    """The kind of an item."""

    MOVIE = "movie"
    EPISODE = "episode"
    TRACK = "track"
    SHOW = "show"
    SEASON = "season"


ONE_OF_KIND: Mapping[str, str] = texts(
    {
        Kind.MOVIE: "a film",
        Kind.EPISODE: "an episode",
        Kind.TRACK: "a track",
        Kind.SHOW: "a show",
        Kind.SEASON: "a season",
    }
)
MANY_OF_KIND: Mapping[str, str] = texts(
    {
        Kind.MOVIE: "films",
        Kind.EPISODE: "episodes",
        Kind.TRACK: "tracks",
        Kind.SHOW: "shows",
        Kind.SEASON: "seasons",
    }
)


def describe_kind(kind: str) -> str:
    """A kind within a sentence, with its article."""
    return ONE_OF_KIND.get(kind, kind)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ids:
    """The ids that one item is known by, one per namespace.

    An episode's ids are the episode's own; its show's ids stand apart, in `Episode.show_ids`.
    """

    tvdb: int | None = None
    tmdb: int | None = None
    imdb: str | None = None
    trakt: int | None = None
    simkl: int | None = None
    slug: str | None = None
    anidb: int | None = None
    mal: int | None = None
    plex: str | None = None
    musicbrainz: str | None = None
    tvtime: str | None = None

    def __bool__(self) -> bool:
        return any(value is not None for value in id_values(self))

    def by_namespace(self) -> dict[str, int | str]:
        """The ids that are known, by namespace."""
        return {
            name: value for name, value in zip(ID_NAMES, id_values(self), strict=True) if value is not None
        }

    def merge(self, other: Ids) -> Ids:
        """These ids, completed from `other`."""
        make: Callable[..., Ids] = Ids
        return make(**{**other.by_namespace(), **self.by_namespace()})

    def contradicts(self, other: Ids) -> bool:
        """True if a namespace known to both holds different ids."""
        mine, theirs = self.by_namespace(), other.by_namespace()
        return any(mine[name] != theirs[name] for name in mine.keys() & theirs.keys())

    def agrees(self, other: Ids) -> bool:
        """True if a namespace known to both holds the same id."""
        mine, theirs = self.by_namespace(), other.by_namespace()
        return any(mine[name] == theirs[name] for name in mine.keys() & theirs.keys())

    @classmethod
    def from_json(cls, known: Mapping[str, int | str | None] | None) -> Ids:
        """The ids of the known namespaces. As JSON keeps them, nothing says which namespace has numbers."""
        make: Callable[..., Ids] = cls
        return make(**{name: value for name, value in (known or {}).items() if name in ID_NAMES})


ID_NAMES = tuple(entry.name for entry in fields(Ids))
id_values = attrgetter(*ID_NAMES)


@dataclass(frozen=True, kw_only=True, slots=True)
class Movie:
    kind: ClassVar[Kind] = Kind.MOVIE
    title: str | None = None
    year: int | None = None
    ids: Ids = field(default_factory=Ids)


@dataclass(frozen=True, kw_only=True, slots=True)
class Show:
    kind: ClassVar[Kind] = Kind.SHOW
    title: str | None = None
    year: int | None = None
    ids: Ids = field(default_factory=Ids)


@dataclass(frozen=True, kw_only=True, slots=True)
class Season:
    kind: ClassVar[Kind] = Kind.SEASON
    title: str | None = None
    show: str | None = None
    season: int | None = None
    year: int | None = None
    ids: Ids = field(default_factory=Ids)
    show_ids: Ids = field(default_factory=Ids)


@dataclass(frozen=True, kw_only=True, slots=True)
class Episode:
    """An episode. `numbering` says what season and number count.

    `aired` is the common order. `mapped` numbers need a mapping list first (HAMA's tvdb2 to
    tvdb6, AniDB past its first season, DVD and absolute orders): they must not be told to a
    tracker as they are.
    """

    kind: ClassVar[Kind] = Kind.EPISODE
    title: str | None = None
    show: str | None = None
    season: int | None = None
    number: int | None = None
    year: int | None = None
    ids: Ids = field(default_factory=Ids)
    show_ids: Ids = field(default_factory=Ids)
    numbering: str = "aired"


@dataclass(frozen=True, kw_only=True, slots=True)
class Track:
    kind: ClassVar[Kind] = Kind.TRACK
    title: str | None = None
    artist: str | None = None
    album: str | None = None
    album_artist: str | None = None
    number: int | None = None
    year: int | None = None
    ids: Ids = field(default_factory=Ids)


Item = Movie | Episode | Track | Show | Season
ITEMS: Mapping[str, type[Item]] = {cls.kind: cls for cls in (Movie, Episode, Track, Show, Season)}
FIELD_NAMES: Mapping[str, frozenset[str]] = {
    kind: frozenset(entry.name for entry in fields(cls)) for kind, cls in ITEMS.items()
}

STREAMS = "url"
"""The server of a stream that is known by its address alone. No service lists such a thing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One user's action on one item, as a webhook reports it.

    `position_ms` and `duration_ms` are milliseconds, `progress` is percent (0-100), `rating` is
    on the scale 0-10, `at` is aware UTC. `completed` is the sender's own word on a stop.
    """

    action: Action
    item: Item
    at: datetime
    user: str | None = None
    user_id: str | None = None
    server: str | None = None
    server_name: str | None = None
    player: str | None = None
    player_id: str | None = None
    session: str | None = None
    library: str | None = None
    item_key: str | None = None  # the item's key on its own server (Plex ratingKey, Jellyfin ItemId)
    show_key: str | None = None  # its show's key there (Plex grandparentRatingKey, Jellyfin SeriesId)
    position_ms: int | None = None
    duration_ms: int | None = None
    progress: float | None = None
    completed: bool | None = None
    rating: float | None = None
    view_count: int | None = None  # how often this user has watched it, as the server counts
    last_played_at: datetime | None = None  # the server's date of a mark set by hand
    manual: bool = False  # a mark set by hand, not a viewing
    by_program: bool = False  # a mark that a program set: it is watched, which does not say that it was again
    rewatch: bool = False  # the sender reports another viewing
    recorded: bool = False  # read from a past record, not reported live
    record: str | None = None  # its key in a log that has an entry for each viewing
    undated: bool = False  # a mark whose date its server does not keep: `at` is only when it was noticed
    home_video: bool = False
    together: int = 1  # how many changes of its kind the server reported at once

    @property
    def percent(self) -> float | None:
        """The progress, 0-100, rounded to two places: as sent, else from position and duration."""
        if self.progress is not None:
            return min(max(self.progress, 0.0), 100.0)
        if self.position_ms is None or not self.duration_ms:
            return None
        return round(min(max(100 * self.position_ms / self.duration_ms, 0.0), 100.0), 2)


def round_rating(rating: float | None) -> int | None:
    """The rating as services take it, 1 to 10, halves rounded up; None where it is 0, which stands for none.

    What lies above 0 and below 1 is somebody's lowest rating, so it becomes the lowest there is.
    """
    if rating is None or rating <= 0:
        return None
    return min(max(math.floor(rating + 0.5), 1), 10)


@dataclass(frozen=True, slots=True)
class Ignored:
    """A webhook that is understood but needs no action; `reason` is a short code of REASONS."""

    reason: str


REASONS: Mapping[str, str] = texts(
    {
        "trailer": "A trailer or an extra, not a film or an episode.",
        "theme": "Theme music or a theme video.",
        "photo": "A photo.",
        "music": "Music albums and artists are not tracked; only tracks are.",
        "live_tv": "Live television: there is no item to track.",
        "no_ids": "Neither an id nor a title and show by which the item could be found.",
        "unsupported_event": "An event of this kind says nothing about viewing.",
        "unsupported_kind": "Items of this kind are not tracked.",
        "unknown_kind": "It does not say whether this is a film or an episode. Have the sender say so: a template "
        "for Jellyfin needs ItemType, or tick Send All Properties.",
        "nobody_did_it": "The server did this by itself, so it is nobody's. To collect what is added for one "
        "person, set COLLECTION_OF to that person's name.",
        "duplicate_of_play": "Plex sends this beside media.play; that one is counted.",
        "noise": "The server saved its own state; nobody did anything.",
        "test": "A test message: it arrived, so the connection works.",
        "home_video": "Home videos are not told to trackers.",
        "no_rating": "A rating event without a rating.",
        "not_completed": "Not watched to the end.",
        "held_marks": "More marks by hand came within a minute than a person sets. They are held until you say whether "
        "they are yours.",
        "held_unmarks": "More marks were taken back within a minute than a person takes back. They are held until you "
        "say whether that was you.",
        "marked_back": "It was held, and the server then reported the opposite.",
        "held_already": "The same mark is held already.",
        "not_mine": "You said that this was not your doing.",
        "person_removed": "Whoever had signed in to say so was removed since.",
    }
)


class Unreadable(Exception):
    """A payload of unknown shape; the webhook is quarantined with this reason."""


def item_to_json(item: Item) -> ItemJson:
    """The item as JSON, by field name; `Ids` hold only what is known."""
    kind, ids = item.kind.value, item.ids.by_namespace()
    match item:
        case Movie() | Show():
            return {"kind": kind, "title": item.title, "year": item.year, "ids": ids}
        case Episode():
            return {
                "kind": kind, "title": item.title, "show": item.show, "season": item.season,
                "number": item.number, "year": item.year, "ids": ids,
                "show_ids": item.show_ids.by_namespace(), "numbering": item.numbering,
            }  # fmt: skip
        case Season():
            return {
                "kind": kind, "title": item.title, "show": item.show, "season": item.season,
                "year": item.year, "ids": ids, "show_ids": item.show_ids.by_namespace(),
            }  # fmt: skip
        case Track():
            return {
                "kind": kind, "title": item.title, "artist": item.artist, "album": item.album,
                "album_artist": item.album_artist, "number": item.number, "year": item.year, "ids": ids,
            }  # fmt: skip


def item_from_json(described: ReadableItem) -> Item:
    """The item that `item_to_json` wrote; raises KeyError where its kind is unknown."""
    kind = described["kind"] or ""
    make: Callable[..., Item] = ITEMS[kind]
    known = FIELD_NAMES[kind]
    values: dict[str, object] = {name: value for name, value in described.items() if name in known}
    values["ids"] = Ids.from_json(described.get("ids"))
    if "show_ids" in known:
        values["show_ids"] = Ids.from_json(described.get("show_ids"))
    return make(**values)
