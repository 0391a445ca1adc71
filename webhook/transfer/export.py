"""Exports: stream one person's history, page by page, through an export module as bytes.

Neither the history nor the file is ever in memory as a whole. A play added while an export runs may or may
not be in it; every earlier play is in it once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import ModuleType

from sqlalchemy import Connection, and_, bindparam, func, or_, select

from webhook.domain.event import Ids, Show, item_from_json
from webhook.domain.items import keys
from webhook.domain.play import Play
from webhook.history import library
from webhook.history.play_store import play_from_row
from webhook.history.stats_span import zone_for
from webhook.storage.db import Database
from webhook.storage.rows import fetch_all
from webhook.storage.tables import FollowRow, LibraryRow, PlayRow, play, play_key
from webhook.storage.tables import library as entry
from webhook.storage.types import Utc
from webhook.transfer import exports
from webhook.transfer.exports import Exported
from webhook.transfer.records import Kept, Relation

PAGE = 1000
KEYS = 500
"""The number of keys in one statement."""

OWN = "watchmark"
"""The one format that holds everything, including plays that were not watched to the end."""


CALENDAR_FEED = "/api/v1/calendar.ics"


def calendar_address(here: str, secret: str) -> str:
    """The address of a person's calendar, for subscribing in a calendar program."""
    return f"{here}{CALENDAR_FEED}?token={secret}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Export:
    """An export request: the person, the kind, and the range from `since` to before `until`."""

    person_id: int
    kind: str
    since: datetime | None = None
    until: datetime | None = None

    @property
    def module(self) -> ModuleType:
        return exports.modules()[self.kind]

    @property
    def whole(self) -> bool:
        """True if unfinished plays are exported too."""
        return self.kind == OWN


def pieces(database: Database, export: Export) -> Iterator[bytes]:
    """The file's content in pieces."""
    zone = database.ask(lambda connection: zone_for(connection, export.person_id))
    written: Iterator[bytes] = export.module.write(
        plays(database, export), library_entries(database, export), zone=zone
    )
    yield from written


async def stream(database: Database, export: Export) -> AsyncIterator[bytes]:
    """The file's content in pieces, read in a thread."""
    found = pieces(database, export)
    while (piece := await asyncio.to_thread(next, found, None)) is not None:
        yield piece


def file_name(export: Export, name: str, day: datetime) -> str:
    """The file's name, with characters that every file system allows."""
    whose = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in name)
    return f"watchmark-{whose}-{export.kind}-{day:%Y-%m-%d}.{export.module.SUFFIX}"


# --- plays


def plays(database: Database, export: Export) -> Iterator[Exported]:
    """The person's plays, the oldest first."""
    after: PlayRow | None = None
    while True:
        rows, shown = database.ask(lambda connection, after=after: page(connection, export, after))  # type: ignore[misc]
        yield from shown
        if len(rows) < PAGE:
            return
        after = rows[-1]


def page(
    connection: Connection, export: Export, after: PlayRow | None
) -> tuple[list[PlayRow], list[Exported]]:
    rows = find_rows(connection, export, after)
    current = [play_from_row(row) for row in rows]
    if export.whole:
        found = zip(rows, current, strict=True)
        return rows, [Exported(play=one, foreign_key=row.foreign_key) for row, one in found]
    known = [keys(one.item) for one in current]
    every = sorted({key for some in known for key in some})
    first = find_first_watches(connection, export.person_id, every)
    rated = ratings(connection, export.person_id, every)
    return rows, [
        Exported(
            play=one,
            foreign_key=row.foreign_key,
            rewatch=has_earlier_play(one, some, first),
            rating=next((rated[key] for key in some if key in rated), None),
        )
        for row, one, some in zip(rows, current, known, strict=True)
    ]


def find_rows(connection: Connection, export: Export, after: PlayRow | None) -> list[PlayRow]:
    """The next page of rows after `after`, in the order of time that this kind uses."""
    at = play.c.started_at if export.whole else play.c.watched_at
    wanted = select(play).where(play.c.person_id == export.person_id, play.c.removed_at.is_(None))
    if not export.whole:
        kinds = [kind.value for kind in export.module.KINDS]
        wanted = wanted.where(at.is_not(None), play.c.unwatched_at.is_(None), play.c.kind.in_(kinds))
    if export.since is not None:
        wanted = wanted.where(at >= export.since)
    if export.until is not None:
        wanted = wanted.where(at < export.until)
    if after is not None:
        last = after.started_at if export.whole else after.watched_at
        wanted = wanted.where(at >= last, or_(at > last, play.c.id > after.id))
    return fetch_all(connection, wanted.order_by(at, play.c.id).limit(PAGE), PlayRow)


FIRST = (
    select(play_key.c.key, func.min(play.c.watched_at, type_=Utc).label("at"))
    .join(play, play.c.id == play_key.c.play_id)
    .where(
        play_key.c.person_id == bindparam("person"),
        play_key.c.key.in_(bindparam("keys", expanding=True)),
        play.c.watched_at.is_not(None),
        play.c.unwatched_at.is_(None),
        play.c.removed_at.is_(None),
    )
    .group_by(play_key.c.key)
)
RATED = select(entry.c.item_key, entry.c.value).where(
    entry.c.person_id == bindparam("person"),
    entry.c.relation == library.RATING,
    entry.c.item_key.in_(bindparam("keys", expanding=True)),
)


def find_first_watches(connection: Connection, person_id: int, known: Sequence[str]) -> dict[str, datetime]:
    """The time of the first watched play of each key."""
    found: dict[str, datetime] = {}
    for some in parts(known):
        rows = connection.execute(FIRST, {"person": person_id, "keys": some})
        found.update((row.key, row.at) for row in rows)
    return found


def has_earlier_play(current: Play, known: Sequence[str], first: Mapping[str, datetime]) -> bool:
    at = current.watched_at or current.last_at
    return any(first[key] < at for key in known if key in first)


def ratings(connection: Connection, person_id: int, known: Sequence[str]) -> dict[str, float]:
    found: dict[str, float] = {}
    for some in parts(known):
        rows = connection.execute(RATED, {"person": person_id, "keys": some})
        found.update((row.item_key, row.value) for row in rows if row.value is not None)
    return found


def parts(known: Sequence[str]) -> Iterator[Sequence[str]]:
    return (known[start : start + KEYS] for start in range(0, len(known), KEYS))


# --- the library


def library_entries(database: Database, export: Export) -> Iterator[Kept]:
    """The person's followed shows, then the other library entries by relation, oldest first."""
    for row in database.ask(lambda connection: library.list_follows(connection, export.person_id)):
        if is_in_span(export, row.followed_at):
            yield follow_entry(row)
    for relation in sorted(library.RELATIONS):
        yield from entries_of_relation(database, export, relation)


def follow_entry(row: FollowRow) -> Kept:
    show = Show(title=row.show, ids=Ids.from_json(row.ids))
    return Kept(relation=Relation.FOLLOW, item=show, at=row.followed_at, state=row.state)


def entries_of_relation(database: Database, export: Export, relation: str) -> Iterator[Kept]:
    after: LibraryRow | None = None
    while True:
        rows = database.ask(
            lambda connection, after=after: list_entries(connection, export.person_id, relation, after)  # type: ignore[misc]
        )
        for row in rows:
            if is_in_span(export, row.at):
                item = item_from_json(row.item)
                yield Kept(relation=Relation(relation), item=item, at=row.at, value=row.value)
        if len(rows) < PAGE:
            return
        after = rows[-1]


def list_entries(
    connection: Connection, person_id: int, relation: str, after: LibraryRow | None
) -> list[LibraryRow]:
    wanted = select(entry).where(entry.c.person_id == person_id, entry.c.relation == relation)
    if after is not None:
        later = and_(entry.c.at == after.at, entry.c.item_key > after.item_key)
        wanted = wanted.where(or_(entry.c.at > after.at, later))
    return fetch_all(connection, wanted.order_by(entry.c.at, entry.c.item_key).limit(PAGE), LibraryRow)


def is_in_span(export: Export, at: datetime) -> bool:
    early = export.since is not None and at < export.since
    return not early and (export.until is None or at < export.until)
