"""Plays added by hand: checked, stored once, and sent to the person's trackers."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any

from sqlalchemy import Connection, select, update

from webhook.domain import guids
from webhook.domain.event import Episode, Ids, Item, Kind, Movie
from webhook.domain.items import same_item
from webhook.domain.play import Dated, Play, State
from webhook.domain.viewing import is_same_viewing
from webhook.history import edits
from webhook.history.play_store import SELECT_OF_ITEM, play_from_row, save_play, store_keys
from webhook.identity import matches
from webhook.storage.rows import fetch_all
from webhook.storage.tables import PlayRow, play
from webhook.transfer.matching import SAME_ROW
from webhook.transfer.questions import ask_about, search_keys

SOURCE = "watchmark"
"""The source of a play that no other program reported."""

ITEM_TYPES: Mapping[str, type[Movie | Episode]] = {Kind.MOVIE: Movie, Kind.EPISODE: Episode}
NAMED: Mapping[str, str] = {Kind.MOVIE: "a film", Kind.EPISODE: "an episode"}
FIELDS_OF_KIND: Mapping[str, tuple[str, ...]] = {
    Kind.MOVIE: ("title", "year", "ids"),
    Kind.EPISODE: ("title", "show", "season", "number", "year", "ids", "show_ids"),
}
NAMESPACES = ("tvdb", "tmdb", "imdb", "trakt", "simkl", "mal", "anidb")
TITLE = 500
LARGEST = {"season": 9_999, "number": 99_999}
FIRST_FILM = 1870
FIRST_DAY = date(1900, 1, 1)
SLACK = timedelta(minutes=1)
"""How far the sender's clock may be ahead of ours."""

NOON = time(12, tzinfo=UTC)
DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
UNSEEN = frozenset({"Cc", "Cs"})


class Invalid(Exception):
    """The play cannot be added; the message is a sentence to show beside the field."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field


class AlreadyWatched(Invalid):
    """A play in the history is this viewing, unless it is said to be another one; `known` says which."""

    def __init__(self, field: str, sentence: str, known: str) -> None:
        super().__init__(field, sentence)
        self.known = known


@dataclass(frozen=True, kw_only=True, slots=True)
class NewPlay:
    """A play to add. `watched_at` is as exact as `dated` says; for an unknown date it is now.

    `rewatch`: a viewing besides those in the history. `key` identifies this entry, so that it is added once.
    """

    item: Item
    watched_at: datetime
    dated: Dated
    rewatch: bool = False
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Added:
    """The play, whether it is new, and the trackers that it is sent to."""

    play_id: int
    is_new: bool
    told: list[str]


# --- the item


def read_item(kind: str, given: Mapping[str, object], today: date) -> Item:
    """The film or the episode described; raises Invalid."""
    if kind not in ITEM_TYPES:
        raise Invalid(
            "kind", "A film or an episode can be added. A show or a season as a whole is no viewing."
        )
    for name in given:
        if name not in FIELDS_OF_KIND[kind]:
            raise Invalid(name, f"{name[:50]} is nothing that {NAMED[kind]} has.")
    known = {name: value for name, value in given.items() if value is not None}
    values: dict[str, object] = {
        name: read_text(name, known[name]) for name in ("title", "show") if name in known
    }
    values |= {name: read_number(name, known[name]) for name in LARGEST if name in known}
    values |= {name: read_ids(name, known[name]) for name in ("ids", "show_ids") if name in known}
    if "year" in known:
        values["year"] = read_year(known["year"], today)
    make: Callable[..., Movie | Episode] = ITEM_TYPES[kind]
    item = make(**values)
    if isinstance(item, Movie):
        check_film(item)
    else:
        check_episode(item)
    return item


def read_text(name: str, value: Any) -> str | None:
    said = value.strip() if isinstance(value, str) else None
    if said is None or len(said) > TITLE or any(unicodedata.category(one) in UNSEEN for one in said):
        raise Invalid(name, f"The {name} must be text of at most {TITLE} characters, in one line.")
    return said or None


def read_number(name: str, value: Any) -> int:
    named = "season" if name == "season" else "number of the episode"
    if type(value) is not int or not 0 <= value <= LARGEST[name]:
        raise Invalid(name, f"The {named} must be a whole number from 0 to {LARGEST[name]:,}.")
    return value


def read_year(value: Any, today: date) -> int:
    if type(value) is not int or not FIRST_FILM <= value <= today.year + 1:
        raise Invalid("year", f"The year must be one from {FIRST_FILM} to {today.year + 1}.")
    return value


def read_ids(name: str, value: Any) -> Ids:
    found = guids.clean_ids(**value) if isinstance(value, Mapping) and {*value} <= {*NAMESPACES} else None
    if found is None or found.by_namespace().keys() != value.keys():
        raise Invalid(
            name, "Ids of TheTVDB, TMDB and Trakt are numbers, and one of IMDb looks like tt0903747."
        )
    return found


def check_film(item: Movie) -> None:
    if not item.title and not item.ids:
        raise Invalid("title", "Say which film it was: by its title or an id.")


def check_episode(item: Episode) -> None:
    if item.ids:
        return
    if not item.show and not item.show_ids:
        raise Invalid("show", "Say of which show it was an episode: by its title or an id.")
    for name, value in (("season", item.season), ("number", item.number)):
        if value is None:
            raise Invalid(
                name, "Say which episode it was, by season and number. A show as a whole is no viewing."
            )


# --- the date


def read_date(given: str | None, zone: tzinfo, now: datetime) -> tuple[datetime, Dated]:
    """The date watched and how exact it is; None is an unknown date. Raises Invalid."""
    if given is None:
        return now, Dated.TICKED
    said = given.strip()
    try:
        if DAY.fullmatch(said):
            return read_day(date.fromisoformat(said), zone, now), Dated.DAY
        moment = datetime.fromisoformat(said)
        at = (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Invalid(
            "watched_at", "Say when, as a day such as 2026-11-22 or with the time, 2026-11-22T20:15."
        ) from error
    if at > now + SLACK:
        raise Invalid("watched_at", "That lies in the future.")
    if at.date() < FIRST_DAY:
        raise Invalid("watched_at", TOO_EARLY)
    return min(at.replace(microsecond=at.microsecond // 1000 * 1000), now), Dated.EXACT


TOO_EARLY = f"The day must be one from {FIRST_DAY.year} on. Where nobody knows it, leave it unknown."


def read_day(day: date, zone: tzinfo, now: datetime) -> datetime:
    """Noon UTC of the day, which is the same day nearly everywhere; never later than now."""
    if day > now.astimezone(zone).date():
        raise Invalid("watched_at", "That day lies in the future.")
    if day < FIRST_DAY:
        raise Invalid("watched_at", TOO_EARLY)
    return min(datetime.combine(day, NOON), now)


# --- storing and sending


def add(
    connection: Connection, person_id: int, new: NewPlay, can: edits.Recipients, by: str | None, now: datetime
) -> Added:
    """Add a play to a person's history, or return the existing one of the same entry. Raises Invalid."""
    item = matches.apply_choices(new.item, matches.all_choices(connection))
    known_by = search_keys(item)
    if (before := find_added_play(connection, person_id, new)) is not None:
        return Added(before, False, [])
    if (twin := same_entry(connection, person_id, item, known_by, new)) is not None:
        return Added(twin, False, [])
    at = new.watched_at
    made = save_play(
        connection,
        person_id,
        Play(
            item=item, state=State.STOPPED, started_at=at, last_at=at, watched_at=at, source=SOURCE, manual=True,
            dated=new.dated,
        ),
        None,
    )  # fmt: skip
    connection.execute(update(play).where(play.c.id == made).values(foreign_key=foreign_key(new)))
    store_keys(connection, person_id, made, known_by)
    ask_about(connection, [item], now)
    row = edits.get_row(connection, made)
    edits.store_addition(connection, row, by, now)
    return Added(made, True, edits.send_new(connection, row, can, now, rewatch=new.rewatch))


def foreign_key(new: NewPlay) -> str | None:
    return None if new.key is None else f"{SOURCE}:{new.key}"[:200]


def find_added_play(connection: Connection, person_id: int, new: NewPlay) -> int | None:
    """The play that this entry became earlier; None if it was not added yet."""
    if new.key is None:
        return None
    here = (play.c.person_id == person_id, play.c.foreign_key == foreign_key(new))
    found: int | None = connection.execute(select(play.c.id).where(*here)).scalar()
    return found


def same_entry(
    connection: Connection, person_id: int, item: Item, known_by: tuple[str, ...], new: NewPlay
) -> int | None:
    """The play added by hand with the same data; raises Invalid if another play is that viewing."""
    wanted = {"person": person_id, "keys": list(known_by)}
    rows = fetch_all(connection, SELECT_OF_ITEM, PlayRow, wanted)
    viewed = [
        (row.id, play_from_row(row))
        for row in rows
        if row.watched_at is not None and row.unwatched_at is None and row.removed_at is None
    ]
    same = [
        (play_id, one)
        for play_id, one in viewed
        if same_item(one.item, item) and is_same_viewing(one, new.watched_at, new.dated)
    ]
    for play_id, one in same:
        if is_same_entry(one, new):
            return int(play_id)
    if same and not new.rewatch:
        known = known_already(same[0][1])
        raise AlreadyWatched("rewatch", f"{known} If this was another viewing, say so here.", known)
    return None


def is_same_entry(one: Play, new: NewPlay) -> bool:
    assert one.watched_at is not None
    if one.source != SOURCE or one.dated is not new.dated:
        return False
    if new.dated is Dated.TICKED:
        return not new.rewatch
    return abs(one.watched_at - new.watched_at) <= SAME_ROW


def known_already(one: Play) -> str:
    assert one.watched_at is not None
    when = "without a date" if one.dated is Dated.TICKED else f"watched on {one.watched_at:%-d %B %Y}"
    return f"It is in the history already, {when}."
