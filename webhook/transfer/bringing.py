"""Bringing viewings into the history: many at a time, none of them twice.

A viewing is known already when the history holds it under the file's own key, or holds the same item
viewed at that time, whoever reported it. What is known is left as it is; a play that was left
unfinished gets the mark that the file has for it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import Connection, bindparam, insert, select, update

from webhook import library, matches
from webhook.db import driver, fresh_ids
from webhook.event import Episode, Item, Track, item_to_json
from webhook.history import FIELDS, from_row, richer
from webhook.play import Dated, Play, State, keys, same_item, same_viewing
from webhook.tables import play, play_key, to_ms, unresolved
from webhook.transfer.entries import FOLLOWING, Kept, Relation, Viewing
from webhook.transfer.resolving import question

PART = 500
"""How many keys are asked about in one statement."""

SAME_ROW = timedelta(seconds=1)
"""Two rows of one service about one item lie further apart than this, or are one."""


@dataclass(slots=True)
class Counts:
    """What became of the entries of a file."""

    added: int = 0
    known: int = 0
    completed: int = 0
    library: int = 0
    bad: int = 0
    without_ids: int = 0

    def plus(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))

    def shown(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(slots=True)
class Known:
    """A play that a viewing may turn out to be; `id` is None while it is brought in by this file itself."""

    play: Play
    foreign_key: str | None
    id: int | None = None


@dataclass(slots=True)
class Part:
    """What is found out about one part of a file: what is new, and what makes an unfinished play watched."""

    new: list[tuple[Viewing, tuple[str, ...]]] = field(default_factory=list)
    marks: list[tuple[int, Play]] = field(default_factory=list)
    known: int = 0


def bring(
    connection: Connection,
    person_id: int,
    entries: Sequence[Viewing | Kept],
    now: datetime,
    job_id: int | None = None,
) -> Counts:
    """Bring a part of a file in; what became of it."""
    part = sorted_out(connection, person_id, [entry for entry in entries if isinstance(entry, Viewing)])
    add(connection, person_id, part.new, job_id)
    for play_id, marked in part.marks:
        values = {"watched_at": marked.watched_at, "dated": marked.dated.value, "state": marked.state.value}
        connection.execute(update(play).where(play.c.id == play_id).values(values))
    nameless = ask_about(connection, (viewing.play.item for viewing, _ in part.new), now)
    kept = [keep(connection, person_id, entry, now) for entry in entries if isinstance(entry, Kept)]
    return Counts(len(part.new), part.known, len(part.marks), sum(kept), 0, nameless)


def rehearse(connection: Connection, person_id: int, entries: Sequence[Viewing | Kept]) -> Counts:
    """What `bring` would come to; nothing is written."""
    viewings = [entry for entry in entries if isinstance(entry, Viewing)]
    part = sorted_out(connection, person_id, viewings)
    nameless = sum(1 for viewing, _ in part.new if not identified(viewing.play.item))
    return Counts(len(part.new), part.known, len(part.marks), len(entries) - len(viewings), 0, nameless)


# --- what is known already


def sorted_out(connection: Connection, person_id: int, viewings: Sequence[Viewing]) -> Part:
    part = Part()
    by_key = nearby(connection, person_id, viewings)
    there = foreign_keys(connection, person_id, viewings)
    for viewing in viewings:
        known_by = found_by(viewing.play.item)
        if viewing.foreign_key is not None and viewing.foreign_key in there:
            part.known += 1
            continue
        if viewing.foreign_key is not None:
            there.add(viewing.foreign_key)
        same = next((one for key in known_by for one in by_key[key] if is_it(one, viewing)), None)
        if same is None:
            part.new.append((viewing, known_by))
            fresh = Known(viewing.play, viewing.foreign_key)
            for key in known_by:
                by_key[key].append(fresh)
        elif same.id is not None and same.play.watched_at is None and viewing.play.watched_at is not None:
            same.play = marked_by(same.play, viewing.play)
            part.marks.append((same.id, same.play))
        else:
            part.known += 1
    return part


def found_by(item: Item) -> tuple[str, ...]:
    """What a play is found by again; a film without a year and ids by its title alone."""
    return keys(item) or matches.keys(item)


def marked_by(unfinished: Play, told: Play) -> Play:
    return replace(
        unfinished, state=State.STOPPED, watched_at=told.watched_at, dated=told.dated,
        item=richer(unfinished.item, told.item),
    )  # fmt: skip


def is_it(known: Known, viewing: Viewing) -> bool:
    """Whether this play is the viewing. One service lists each viewing once, so its own rows differ in time."""
    told = viewing.play
    if not same_item(known.play.item, told.item):
        return False
    at = told.watched_at or told.last_at
    if viewing.verbatim or known.play.source == told.source:
        both_listed = None not in (known.foreign_key, viewing.foreign_key) and told.dated is Dated.DAY
        return not both_listed and abs(at - (known.play.watched_at or known.play.last_at)) <= SAME_ROW
    return same_viewing(known.play, at, told.dated)


def nearby(connection: Connection, person_id: int, viewings: Sequence[Viewing]) -> dict[str, list[Known]]:
    """The plays that share a key with one of the viewings, by key."""
    wanted = {key for viewing in viewings for key in found_by(viewing.play.item)}
    found: dict[str, list[Known]] = defaultdict(list)
    plays: dict[int, Known] = {}
    for some in parts(sorted(wanted)):
        for row in connection.execute(NEARBY, {"person": person_id, "keys": some}):
            if row.id not in plays:
                plays[row.id] = Known(from_row(row), row.foreign_key, row.id)
            found[row.key].append(plays[row.id])
    return found


NEARBY = (
    select(play_key.c.key, play)
    .join(play, play.c.id == play_key.c.play_id)
    .where(play_key.c.person_id == bindparam("person"), play_key.c.key.in_(bindparam("keys", expanding=True)))
    .order_by(play.c.started_at.desc())
)
THERE = select(play.c.foreign_key).where(
    play.c.person_id == bindparam("person"), play.c.foreign_key.in_(bindparam("keys", expanding=True))
)


def foreign_keys(connection: Connection, person_id: int, viewings: Sequence[Viewing]) -> set[str]:
    wanted = sorted({viewing.foreign_key for viewing in viewings if viewing.foreign_key is not None})
    found: set[str] = set()
    for some in parts(wanted):
        found.update(connection.execute(THERE, {"person": person_id, "keys": some}).scalars())
    return found


def parts(values: Sequence[str]) -> Iterable[Sequence[str]]:
    return (values[start : start + PART] for start in range(0, len(values), PART))


# --- what is new


COLUMNS = ("id", "person_id", "kind", *FIELDS, "item", "foreign_key", "job_id")
KEY_COLUMNS = ("person_id", "play_id", "key")


def add(
    connection: Connection,
    person_id: int,
    new: Sequence[tuple[Viewing, tuple[str, ...]]],
    job_id: int | None,
) -> None:
    if not new:
        return
    ids = fresh_ids(connection, play, len(new))
    rows = [row(made, person_id, viewing, job_id) for made, (viewing, _) in zip(ids, new, strict=True)]
    many(connection, play.name, COLUMNS, rows)
    known_by = [(person_id, made, key) for made, (_, known) in zip(ids, new, strict=True) for key in known]
    many(connection, play_key.name, KEY_COLUMNS, known_by)


def row(made: int, person_id: int, viewing: Viewing, job_id: int | None) -> tuple[object, ...]:
    told = viewing.play
    values = (plain(getattr(told, name)) for name in FIELDS)
    item = orjson.dumps(item_to_json(told.item)).decode()
    return (made, person_id, told.item.kind.value, *values, item, viewing.foreign_key, job_id)


def plain(value: Any) -> Any:
    """A value as both drivers take it."""
    if isinstance(value, datetime):
        return to_ms(value)
    return value.value if isinstance(value, State | Dated) else value


def many(
    connection: Connection, table: str, columns: Sequence[str], rows: Sequence[tuple[object, ...]]
) -> None:
    """Insert by the driver itself: at a million rows SQLAlchemy's types cost more than the database."""
    own = driver(connection)
    place = "?" if own is not None else "%s"
    statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join([place] * len(columns))})"  # noqa: S608 - names of ours
    if own is not None:
        own.executemany(statement, rows)
    elif rows:
        connection.exec_driver_sql(statement, list(rows))


# --- items without an id


def identified(item: Item) -> bool:
    """Whether the item has an id by which a tracker or a lookup knows it."""
    if isinstance(item, Track):
        return True  # music is told by its names
    return bool(item.ids.known()) or (isinstance(item, Episode) and bool(item.show_ids.known()))


def ask_about(connection: Connection, items: Iterable[Item], now: datetime) -> int:
    """Put what came without an id on the list of what is looked up; how many plays that were."""
    nameless = [item for item in items if not identified(item)]
    asked = {key: item for item in nameless if (key := question(item)) is not None}
    for some in parts(sorted(asked)):
        have = set(connection.execute(select(unresolved.c.key).where(unresolved.c.key.in_(some))).scalars())
        rows = [
            {
                "key": key,
                "kind": asked[key].kind.value,
                "item": item_to_json(asked[key]),
                "state": "waiting",
                "due_at": now,
                "created_at": now,
            }
            for key in some
            if key not in have
        ]
        if rows:
            connection.execute(insert(unresolved), rows)
    return len(nameless)


# --- the library


def keep(connection: Connection, person_id: int, entry: Kept, now: datetime) -> bool:
    at = entry.at or now
    if entry.relation is Relation.FOLLOW:
        return library.follow_show(connection, person_id, entry.item, at, entry.state or FOLLOWING)
    return library.put(connection, person_id, entry.relation.value, entry.item, at, entry.value)


def described(counts: Mapping[str, int]) -> str:
    """The counts in words."""
    words = {
        "added": "plays added",
        "known": "known already",
        "completed": "unfinished ones now watched",
        "library": "library entries",
        "without_ids": "without an id",
        "bad": "rows that cannot be read",
    }
    return (
        ", ".join(f"{counts[name]:,} {said}" for name, said in words.items() if counts.get(name)) or "nothing"
    )
