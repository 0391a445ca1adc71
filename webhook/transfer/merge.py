"""Merging viewings into the history: many at a time, none of them twice.

A viewing is known if the history has its key in the file, or a play of the same item at that time from any
source. A known play stays as it is, except that an unfinished one gets the file's mark and a ticked one gets
its date.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from operator import attrgetter

import orjson
from sqlalchemy import BigInteger, Connection, Text, and_, bindparam, cast, or_, select

from webhook.domain.event import item_to_json
from webhook.domain.items import keys, same_item
from webhook.domain.play import Dated, Play, State
from webhook.domain.viewing import is_same_viewing
from webhook.history import library
from webhook.history import plays as history
from webhook.history.play_store import PLAY_FIELDS, merge_items, play_from_row, save_play, store_keys
from webhook.history.watchlist import Watchlist, add_record, is_new
from webhook.identity import matches
from webhook.storage.db import driver, fresh_ids
from webhook.storage.json_sql import json_rows
from webhook.storage.rows import fetch_all
from webhook.storage.tables import PlayRow, play, play_key
from webhook.storage.types import Utc, to_ms
from webhook.transfer.import_changes import current, entry_before, store_changes, store_marks
from webhook.transfer.import_counts import Counts
from webhook.transfer.questions import ask_about, has_ids, is_open, question, search_keys, text_sources
from webhook.transfer.records import FOLLOWING, Kept, Relation, Viewing

SAME_ROW = timedelta(seconds=1)
"""Rows of one service about one item that are closer than this are the same row."""


@dataclass(slots=True, eq=False)
class Known:
    """A play that a viewing may be identical with.

    `id` is None while this file adds it, and `place` is then its index in the part. A settled one is not
    changed: it was removed, or is a play's earlier version before a person's edit.
    """

    play: Play
    foreign_key: str | None
    id: int | None = None
    place: int | None = None
    settled: bool = False


@dataclass(slots=True)
class Memory:
    """The plays of the history loaded so far: in a preview for all parts, else for one."""

    by_key: dict[str, list[Known]] = field(default_factory=lambda: defaultdict(list))
    plays: dict[int, Known] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)
    foreign_keys: set[str] = field(default_factory=set)
    kept: set[tuple[str, str]] = field(default_factory=set)


@dataclass(slots=True)
class Part:
    """The plan for one part of a file: the new plays, and the plays that get a mark or a date."""

    new: list[tuple[Viewing, tuple[str, ...]]] = field(default_factory=list)
    fresh: list[Known] = field(default_factory=list)
    marks: dict[int, Play] = field(default_factory=dict)
    before: dict[int, Play] = field(default_factory=dict)
    known: int = 0
    completed: int = 0


def merge_entries(
    connection: Connection,
    person_id: int,
    entries: Sequence[Viewing | Kept],
    now: datetime,
    job_id: int | None = None,
) -> Counts:
    """Merge a part of a file; returns its counts."""
    viewings = [entry for entry in entries if isinstance(entry, Viewing)]
    part = sort_viewings(connection, person_id, viewings, Memory(), span_of(viewings))
    add(connection, person_id, part.new, job_id)
    for play_id, marked in part.marks.items():
        save_play(connection, person_id, marked, play_id)
        store_keys(connection, person_id, play_id, search_keys(marked.item))
    if job_id is not None:
        store_marks(connection, job_id, part.before, part.marks)
    nameless = ask_about(connection, (viewing.play.item for viewing, _ in part.new), now, languages_of(part))
    wanted = Watchlist(connection, person_id, {}, now)
    kept = [
        keep(connection, person_id, entry, wanted, job_id) for entry in entries if isinstance(entry, Kept)
    ]
    return Counts(len(part.new), part.known, part.completed, sum(kept), 0, nameless)


def rehearse(
    connection: Connection, person_id: int, entries: Sequence[Viewing | Kept], memory: Memory
) -> Counts:
    """The counts of `merge_entries` after the parts in the memory, without writing anything."""
    viewings = [entry for entry in entries if isinstance(entry, Viewing)]
    part = sort_viewings(connection, person_id, viewings, memory)
    nameless = sum(1 for viewing, _ in part.new if is_open(viewing.play.item))
    wanted = Watchlist(connection, person_id, {}, EVER[1])
    kept = sum(
        would_keep(connection, person_id, entry, memory, wanted)
        for entry in entries
        if isinstance(entry, Kept)
    )
    return Counts(len(part.new), part.known, part.completed, kept, 0, nameless)


def languages_of(part: Part) -> dict[str, str | None]:
    """The languages of the new plays' titles, by the keys of their lookups."""
    named = ((question(viewing.play.item), viewing.language) for viewing, _ in part.new if viewing.language)
    return {key: language for key, language in named if key is not None}


# --- known plays


Span = tuple[datetime, datetime]
"""The range of time in which plays may be identical with the viewings."""

EVER: Span = (datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC))
AROUND = timedelta(days=2)


def span_of(viewings: Sequence[Viewing]) -> Span:
    """The range around the viewings; a ticked one may be any earlier play."""
    times = [viewing.play.watched_at or viewing.play.last_at for viewing in viewings]
    if not times:
        return EVER
    ticked = any(viewing.play.dated is Dated.TICKED for viewing in viewings)
    return (EVER[0] if ticked else min(times) - AROUND, max(times) + AROUND)


def sort_viewings(
    connection: Connection, person_id: int, viewings: Sequence[Viewing], memory: Memory, span: Span = EVER
) -> Part:
    part = Part()
    unlisted = find_new(connection, person_id, viewings, memory)
    part.known = len(viewings) - len(unlisted)
    choices = matches.all_choices(connection)
    named = [apply_choice(viewing, choices) for viewing in unlisted]
    keyed = [(viewing, search_keys(viewing.play.item)) for viewing in named]
    recall(connection, person_id, {key for _, known_by in keyed for key in known_by}, memory, span)
    for viewing, known_by in keyed:
        if viewing.foreign_key in memory.foreign_keys:
            part.known += 1
            continue
        same = nearest(viewing, known_by, memory)
        if same is None:
            fresh = Known(viewing.play, viewing.foreign_key, place=len(part.new))
            part.new.append((viewing, known_by))
            part.fresh.append(fresh)
            if viewing.foreign_key is not None:
                memory.foreign_keys.add(viewing.foreign_key)
            for key in known_by:
                memory.by_key[key].append(fresh)
        else:
            merge_repeat(part, same, viewing)
    for fresh in part.fresh:
        fresh.place = None
    return part


def apply_choice(viewing: Viewing, choices: Mapping[str, matches.Choice]) -> Viewing:
    """The viewing with the item that a person chose for it."""
    item = viewing.play.item
    if not choices or has_ids(item):
        return viewing
    return replace(viewing, play=replace(viewing.play, item=matches.apply_choices(item, choices)))


def nearest(viewing: Viewing, known_by: Sequence[str], memory: Memory) -> Known | None:
    """The play nearest in time that may be the viewing; None if there is none."""
    at = viewing.play.watched_at or viewing.play.last_at
    found = [one for key in known_by for one in memory.by_key.get(key, ()) if is_it(one, viewing)]
    return min(found, key=lambda one: history.distance(one.play, at), default=None)


def merge_repeat(part: Part, same: Known, viewing: Viewing) -> None:
    """Merge a viewing into a known play: add the mark, or the date if it was only ticked."""
    told, marks = viewing.play, same.play.watched_at is None
    dates = same.play.dated is Dated.TICKED and told.dated is not Dated.TICKED
    if same.settled or told.watched_at is None or not (marks or dates):
        part.known += 1
        return
    if same.id is not None:
        part.before.setdefault(same.id, same.play)
    same.play = mark_play(same.play, told)
    part.completed += marks
    part.known += not marks
    if same.id is not None:
        part.marks[same.id] = same.play
    elif same.place is not None:
        first, known_by = part.new[same.place]
        part.new[same.place] = (replace(first, play=same.play), known_by)


def mark_play(known: Play, told: Play) -> Play:
    """The play with the viewing's mark and date."""
    of = known if known.watched_at is None else told
    return replace(
        known, state=State.STOPPED, started_at=of.started_at, last_at=of.last_at, watched_at=told.watched_at,
        dated=told.dated, item=merge_items(told.item, known.item),
    )  # fmt: skip


def is_it(known: Known, viewing: Viewing) -> bool:
    """True if this play is the viewing. One service lists a viewing once, so its rows differ in time."""
    told = viewing.play
    at = told.watched_at or told.last_at
    if viewing.verbatim or listed_together(known, viewing):
        both_listed = None not in (known.foreign_key, viewing.foreign_key) and told.dated is Dated.DAY
        same = not both_listed and abs(at - (known.play.watched_at or known.play.last_at)) <= SAME_ROW
    else:
        same = is_same_viewing(known.play, at, told.dated)
    return same and same_item(known.play.item, told.item)


def listed_together(known: Known, viewing: Viewing) -> bool:
    """True if both are rows of the same service's list.

    A play from its webhook has no key of the list, and an undated row has no time to compare.
    """
    if known.play.source != viewing.play.source or is_of_another_list(known.play, viewing.play):
        return False
    if viewing.foreign_key is None:
        return viewing.play.dated is not Dated.TICKED
    return known.foreign_key is not None


def is_of_another_list(one: Play, other: Play) -> bool:
    """True if one is of a list to the second and the other of a list to the day.

    A service that gives titles alone has these two lists of the same viewings; other services mix both in one list.
    """
    return one.source in text_sources() and {one.dated, other.dated} == {Dated.DAY, Dated.EXACT}


def find_new(
    connection: Connection, person_id: int, viewings: Sequence[Viewing], memory: Memory
) -> list[Viewing]:
    """The viewings whose key in the file is not in the history yet."""
    wanted = {viewing.foreign_key for viewing in viewings if viewing.foreign_key is not None}
    if unasked := wanted - memory.foreign_keys:
        there = connection.execute(THERE, {"person": person_id, "values": in_json(unasked)})
        memory.foreign_keys.update(there.scalars())
    return [viewing for viewing in viewings if viewing.foreign_key not in memory.foreign_keys]


def recall(connection: Connection, person_id: int, known_by: set[str], memory: Memory, span: Span) -> None:
    """Load the plays with any of these keys, also as they were before a person's edit."""
    unasked = known_by - memory.asked
    if not unasked:
        return
    memory.asked |= unasked
    by_play: dict[int, list[str]] = defaultdict(list)
    for key, play_id in connection.execute(SHARING, {"person": person_id, "values": in_json(unasked)}):
        by_play[play_id].append(key)
    if missing := by_play.keys() - memory.plays.keys():
        wanted = {"values": in_json(missing), "since": span[0], "until": span[1]}
        for one in fetch_all(connection, PLAYS, PlayRow, wanted):
            settled = one.removed_at is not None
            memory.plays[one.id] = Known(play_from_row(one), one.foreign_key, one.id, settled=settled)
    for play_id, shared in by_play.items():
        if play_id in memory.plays:
            for key in shared:
                memory.by_key[key].append(memory.plays[play_id])
    for play_id, before in history.plays_before_edits(connection, person_id):
        was = Known(before, None, play_id, settled=True)
        for key in unasked.intersection(search_keys(before.item)):
            memory.by_key[key].append(was)


def in_json(values: Iterable[str | int]) -> str:
    """Many values as one parameter: a parameter for each costs more than running the statement."""
    return orjson.dumps(list(values)).decode()


VALUES = json_rows(bindparam("values", type_=Text)).table_valued("value").c.value
SHARING = select(play_key.c.key, play_key.c.play_id).where(
    play_key.c.person_id == bindparam("person"), play_key.c.key.in_(select(VALUES))
)
PLAYS = select(play).where(
    play.c.id.in_(select(cast(VALUES, BigInteger))),
    or_(
        play.c.dated == Dated.TICKED.value,
        and_(
            play.c.started_at <= bindparam("until", type_=Utc),
            or_(
                play.c.last_at >= bindparam("since", type_=Utc),
                play.c.watched_at >= bindparam("since", type_=Utc),
            ),
        ),
    ),
)
THERE = select(play.c.foreign_key).where(
    play.c.person_id == bindparam("person"), play.c.foreign_key.in_(select(VALUES))
)


# --- new plays


PLAY_COLUMNS = ("id", "person_id", "kind", *PLAY_FIELDS, "item", "foreign_key", "job_id")
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
    rows = [
        play_values(made, person_id, viewing, job_id) for made, (viewing, _) in zip(ids, new, strict=True)
    ]
    insert_many(connection, play.name, PLAY_COLUMNS, rows)
    known_by = [(person_id, made, key) for made, (_, known) in zip(ids, new, strict=True) for key in known]
    insert_many(connection, play_key.name, KEY_COLUMNS, known_by)


def play_values(made: int, person_id: int, viewing: Viewing, job_id: int | None) -> tuple[object, ...]:
    """The play's row as both drivers take it, in the order of COLUMNS."""
    told = viewing.play
    values = list(FIELDS_OF(told))
    for place in TIMES:
        if (moment := values[place]) is not None:
            values[place] = to_ms(moment)
    for place in WORDS:
        values[place] = values[place].value
    item = orjson.dumps(item_to_json(told.item)).decode()
    return (made, person_id, told.item.kind.value, *values, item, viewing.foreign_key, job_id)


FIELDS_OF = attrgetter(*PLAY_FIELDS)
TIMES = tuple(place for place, name in enumerate(PLAY_FIELDS) if isinstance(play.c[name].type, Utc))
WORDS = tuple(place for place, name in enumerate(PLAY_FIELDS) if name in ("state", "dated"))


def insert_many(
    connection: Connection, table: str, columns: Sequence[str], rows: Sequence[tuple[object, ...]]
) -> None:
    """Insert through the driver itself: for a million rows SQLAlchemy's types cost more than the database."""
    own = driver(connection)
    place = "?" if own is not None else "%s"
    statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join([place] * len(columns))})"  # noqa: S608 - names of ours
    if own is not None:
        own.executemany(statement, rows)
    elif rows:
        connection.exec_driver_sql(statement, list(rows))


# --- the library


def keep(connection: Connection, person_id: int, entry: Kept, wanted: Watchlist, job_id: int | None) -> bool:
    """Keep an entry; returns True if that was new. What it was before is stored for the import's undoing."""
    place = None if job_id is None else entry_before(connection, person_id, entry)
    changed = store_relation(connection, person_id, entry, wanted)
    if place is not None and job_id is not None and changed:
        what, key, before = place
        store_changes(connection, job_id, [(what, key, before, current(connection, person_id, what, key))])
    return changed


def store_relation(connection: Connection, person_id: int, entry: Kept, wanted: Watchlist) -> bool:
    at = entry.at or wanted.now
    if entry.relation is Relation.WATCHLIST:
        return add_record(wanted, entry.item, entry.at)
    if entry.relation is Relation.FOLLOW:
        return library.follow_show(connection, person_id, entry.item, at, entry.state or FOLLOWING)
    return library.store_entry(connection, person_id, entry.relation.value, entry.item, at, entry.value)


def would_keep(
    connection: Connection, person_id: int, entry: Kept, memory: Memory, wanted: Watchlist
) -> bool:
    """True if `keep` would change something after the entries before."""
    if entry.relation is Relation.WATCHLIST:
        news, key = is_new(wanted, entry.item, entry.at), next(iter(keys(entry.item)), "")
    else:
        news, key = library.is_news(
            connection, person_id, entry.relation.value, entry.item, entry.at, entry.value, entry.state
        )
    one = (entry.relation.value, key)
    if one in memory.kept:
        return False
    memory.kept.add(one)
    return news
