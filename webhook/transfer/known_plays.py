"""The plays that the rows of an import may be identical with, and which rows of which list they are already."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy import (
    BigInteger,
    Connection,
    and_,
    bindparam,
    cast,
    or_,
    select,
    union_all,
)

from webhook.domain.play import Dated, Play
from webhook.domain.viewing import is_same_viewing
from webhook.history import past_records, play_records
from webhook.history.play_records import VALUES, NewRecord, in_json
from webhook.history.play_store import play_from_row
from webhook.storage.rows import fetch_all
from webhook.storage.tables import PlayRow, play, play_key, play_record
from webhook.storage.types import Utc
from webhook.transfer.questions import search_keys, text_sources
from webhook.transfer.records import Viewing


@dataclass(frozen=True, slots=True)
class Record:
    """The row of a list that a play from elsewhere is. `before` is the play without the mark or date of that row."""

    viewing: Viewing
    before: Play | None = None
    id: int | None = None
    job_id: int | None = None


@dataclass(slots=True, eq=False)
class Known:
    """A play that a viewing may be identical with.

    `id` is None while this file adds it, and `place` is then its index in the part. A settled one is not
    changed: it was removed, or is a play's earlier version before a person's edit. `records` are the rows that it
    is, at most one of each list.
    """

    play: Play
    foreign_key: str | None
    id: int | None = None
    place: int | None = None
    settled: bool = False
    records: dict[str, Record] = field(default_factory=dict)


@dataclass(slots=True)
class Memory:
    """The plays of the history loaded so far: in a preview for all parts, else for one."""

    by_key: dict[str, list[Known]] = field(default_factory=lambda: defaultdict(list))
    plays: dict[int, Known] = field(default_factory=dict)
    versions: dict[int, list[Known]] = field(default_factory=lambda: defaultdict(list))
    asked: set[str] = field(default_factory=set)
    foreign_keys: set[str] = field(default_factory=set)
    kept: set[tuple[str, str]] = field(default_factory=set)

    def candidates(self, known_by: Iterable[str]) -> Iterator[Known]:
        """The plays with any of these keys, each once."""
        return iter({id(one): one for key in known_by for one in self.by_key.get(key, ())}.values())

    def forget(self, known_by: Collection[str]) -> None:
        """Load the plays with these keys anew when they are asked for."""
        self.asked.difference_update(known_by)


def list_of(told: Play) -> str:
    """The list that a row is of. A service that gives titles alone has two: one to the day, one to the second."""
    return f"{told.source}:day" if told.dated is Dated.DAY and told.source in text_sources() else told.source


Span = tuple[datetime, datetime]
"""The range of time in which plays may be identical with the viewings."""

EVER: Span = (datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC))
AROUND = timedelta(days=3)


def span_of(viewings: Sequence[Viewing]) -> Span:
    """The range around the viewings; a ticked one may be any earlier play."""
    times = [viewing.play.watched_at or viewing.play.last_at for viewing in viewings]
    if not times:
        return EVER
    ticked = any(viewing.play.dated is Dated.TICKED for viewing in viewings)
    return (EVER[0] if ticked else min(times) - AROUND, max(times) + AROUND)


def find_new(
    connection: Connection, person_id: int, viewings: Sequence[Viewing], memory: Memory
) -> list[Viewing]:
    """The viewings whose key in the file is not in the history yet."""
    wanted = {viewing.foreign_key for viewing in viewings if viewing.foreign_key is not None}
    if unasked := wanted - memory.foreign_keys:
        there = connection.execute(SELECT_THERE, {"person": person_id, "values": in_json(unasked)})
        memory.foreign_keys.update(there.scalars())
    return [viewing for viewing in viewings if viewing.foreign_key not in memory.foreign_keys]


def recall(
    connection: Connection, person_id: int, known_by: Collection[str], memory: Memory, span: Span
) -> None:
    """Load the plays with any of these keys, also as they were before a person's edit."""
    unasked = set(known_by) - memory.asked
    if not unasked:
        return
    memory.asked |= unasked
    by_play: dict[int, list[str]] = defaultdict(list)
    for key, play_id in connection.execute(SELECT_SHARING, {"person": person_id, "values": in_json(unasked)}):
        by_play[play_id].append(key)
    loaded = set()
    if missing := by_play.keys() - memory.plays.keys():
        wanted = {"values": in_json(missing), "since": span[0], "until": span[1]}
        for one in fetch_all(connection, SELECT_PLAYS, PlayRow, wanted):
            settled = one.removed_at is not None
            memory.plays[one.id] = Known(play_from_row(one), one.foreign_key, one.id, settled=settled)
            loaded.add(one.id)
    for play_id, shared in by_play.items():
        if play_id in memory.plays:
            for key in shared:
                memory.by_key[key].append(memory.plays[play_id])
    loaded |= recall_versions(connection, person_id, unasked, memory)
    if loaded:
        recall_records(connection, memory, loaded)


def recall_versions(connection: Connection, person_id: int, unasked: set[str], memory: Memory) -> set[int]:
    """Load the earlier versions of edited plays; returns the ids of the plays whose versions were not loaded yet."""
    found: dict[int, list[Play]] = defaultdict(list)
    for play_id, before in past_records.plays_before_edits(connection, person_id):
        found[play_id].append(before)
    loaded = found.keys() - memory.versions.keys()
    for play_id in loaded:
        memory.versions[play_id] = [Known(before, None, play_id, settled=True) for before in found[play_id]]
    for play_id in found:
        for was in memory.versions[play_id]:
            for key in unasked.intersection(search_keys(was.play.item)):
                memory.by_key[key].append(was)
    return set(loaded)


# --- which rows they are


def recall_records(connection: Connection, memory: Memory, loaded: Iterable[int] | None = None) -> None:
    """Load the rows that the plays are, all or those of these ids; a play and its versions are each a row of their own."""
    for row in play_records.find_records(connection, memory.plays if loaded is None else loaded):
        told = play_records.play_from_json(row.row)
        before = None if row.before is None else play_records.play_from_json(row.before)
        record = Record(Viewing(play=told, foreign_key=row.key), before, row.id, row.job_id)
        at, name = told.watched_at or told.last_at, list_of(told)
        current = [memory.plays[row.play_id]] if row.play_id in memory.plays else []
        versions = [
            one for one in [*current, *memory.versions.get(row.play_id, ())] if name not in one.records
        ]
        near = [one for one in versions if is_same_viewing(one.play, at, told.dated)] or versions
        if near:
            min(near, key=lambda one: past_records.distance(one.play, at)).records[name] = record


def new_record(play_id: int, record: Record) -> NewRecord:
    return NewRecord(
        play_id=play_id,
        key=record.viewing.foreign_key,
        row=record.viewing.play,
        before=record.before,
        job_id=record.job_id,
    )


# --- statements

SELECT_SHARING = select(play_key.c.key, play_key.c.play_id).where(
    play_key.c.person_id == bindparam("person"), play_key.c.key.in_(select(VALUES))
)
SELECT_PLAYS = select(play).where(
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
SELECT_THERE = union_all(
    *(
        select(table.c[name]).where(
            table.c.person_id == bindparam("person"), table.c[name].in_(select(VALUES))
        )
        for table, name in ((play, "foreign_key"), (play_record, "key"))
    )
)
