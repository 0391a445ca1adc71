"""What a file of somebody's history holds, once it is read: viewings, library entries, bad rows, the rest. Pure."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from webhook.domain.event import Ids, Item
from webhook.domain.play import Play


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


LONGEST = 500
"""The letters that a title or a name may have."""

MAX_ID = 200


def shorten(entry: Entry) -> Entry:
    """The entry with its texts cut to what they may have, and without ids that nobody writes so long."""
    match entry:
        case Viewing(play=play) if (item := shorten_item(play.item)) is not play.item:
            return replace(entry, play=replace(play, item=item))
        case Kept() if (item := shorten_item(entry.item)) is not entry.item:
            return replace(entry, item=item)
    return entry


def shorten_item(item: Item) -> Item:
    changed: dict[str, Any] = {}
    for one in fields(item):
        value = getattr(item, one.name)
        if isinstance(value, str) and len(value) > LONGEST:
            changed[one.name] = value[:LONGEST]
        elif isinstance(value, Ids) and (short := known_ids(value)) != value:
            changed[one.name] = short
    return replace(item, **changed) if changed else item


def known_ids(ids: Ids) -> Ids:
    known = ids.by_namespace().items()
    return Ids.from_json({name: value for name, value in known if len(str(value)) <= MAX_ID})


class Unusable(Exception):
    """The file cannot be read at all; the message says what is wrong with it and what to do."""
