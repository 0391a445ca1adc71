"""What a file of somebody's history holds, once it is read: viewings, library entries, bad rows, the rest. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from webhook.event import Item
from webhook.play import Play


class Relation(StrEnum):
    """What a person has to do with an item beside watching it."""

    FOLLOW = "follow"
    WATCHLIST = "watchlist"
    RATING = "rating"
    LOVE = "love"
    COLLECTION = "collection"


FOLLOWING, FOR_LATER, ARCHIVED, STOPPED = "following", "for_later", "archived", "stopped"
"""The states of a followed show, in TV Time's words."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Viewing:
    """One play in a file. `foreign_key` is what the file itself knows it by: the same row has the same.

    `verbatim` comes from our own export: a play of its own, unless that very play is there.
    """

    play: Play
    foreign_key: str | None = None
    verbatim: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """One library entry in a file. `value` is a rating, 0-10; `state` that of a followed show."""

    relation: Relation
    item: Item
    at: datetime | None = None
    value: float | None = None
    state: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Bad:
    """A row that cannot be taken: where it is, what is wrong with it and what to do."""

    file: str
    line: int | None
    why: str
    do: str


@dataclass(frozen=True, kw_only=True, slots=True)
class LeftOut:
    """What a file holds and Watchmark has no place for: how many entries, and why."""

    file: str
    count: int
    why: str


Entry = Viewing | Kept | Bad | LeftOut


class Unusable(Exception):
    """The file cannot be read at all; the message says what is wrong with it and what to do."""
