"""Which row of a list is which play: each row at most one play of another source, each play one row of a list.

Rows are given away as in a stable marriage: a row asks for the play nearest to it in time, and a play goes to the
row nearest to it. The row that loses a play asks for the next one, and is a play of its own where there is none.
So the result is the same in whatever order and in however many parts the rows come.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from webhook.domain.items import same_item
from webhook.domain.play import Dated, Play, State
from webhook.domain.viewing import is_same_viewing
from webhook.history import past_records
from webhook.history.play_store import merge_items
from webhook.identity import matches
from webhook.transfer.known_plays import (
    EVER,
    Known,
    Memory,
    Record,
    Span,
    find_new,
    list_of,
    recall,
)
from webhook.transfer.questions import has_ids, search_keys
from webhook.transfer.records import Viewing

SAME_ROW = timedelta(seconds=1)
"""Rows of one service about one item that are closer than this are the same row."""


NEWEST = 2**63
"""Stands for the id of a play that this part adds, which is behind all others."""

Nearness = tuple[bool, bool, timedelta, bool, datetime, int]
Rank = tuple[bool, bool, timedelta, bool, timedelta, datetime, str]
"""How near a play is to a row, and a row to a play: the smallest is the nearest."""


@dataclass(slots=True)
class Part:
    """The plan for one part of a file: the new plays, and the plays that get a mark or a date.

    `taken` are the plays that became a row of a list, and `left` the ids of the records that hold no more.
    """

    job_id: int | None = None
    new: list[tuple[Viewing, tuple[str, ...]]] = field(default_factory=list)
    fresh: list[Known] = field(default_factory=list)
    marks: dict[int, Play] = field(default_factory=dict)
    before: dict[int, Play] = field(default_factory=dict)
    taken: dict[tuple[int, str], Known] = field(default_factory=dict)
    left: list[int] = field(default_factory=list)
    known: int = 0
    completed: int = 0


@dataclass(slots=True)
class Matcher:
    """Matches the rows of one part with the plays in the memory, which it loads within the span."""

    connection: Connection
    person_id: int
    memory: Memory
    span: Span
    part: Part

    def match(self, viewings: Sequence[Viewing]) -> None:
        unlisted = find_new(self.connection, self.person_id, viewings, self.memory)
        self.part.known = len(viewings) - len(unlisted)
        choices = matches.all_choices(self.connection)
        named = [apply_choice(viewing, choices) for viewing in unlisted]
        keyed = [(viewing, search_keys(viewing.play.item)) for viewing in named]
        self.recall({key for _, known_by in keyed for key in known_by}, self.span)
        for viewing, known_by in keyed:
            if viewing.foreign_key in self.memory.foreign_keys:
                self.part.known += 1
                continue
            rival = self.place(viewing, known_by)
            while rival is not None:
                rival = self.place(rival, self.recall_for(rival))
        for fresh in self.part.fresh:
            fresh.place = None

    def recall(self, known_by: set[str], span: Span) -> None:
        recall(self.connection, self.person_id, known_by, self.memory, span)

    def recall_for(self, rival: Viewing) -> tuple[str, ...]:
        """The keys of a row that lost its play, with the plays loaded that it may be instead."""
        known_by = search_keys(rival.play.item)
        ticked = rival.play.dated is Dated.TICKED
        if ticked and self.span != EVER:
            self.memory.forget(known_by)
        self.recall(set(known_by), EVER if ticked else self.span)
        return known_by

    def place(self, viewing: Viewing, known_by: tuple[str, ...]) -> Viewing | None:
        """Give the row its play, or add it as one; returns the row that lost the play by that."""
        candidates = [one for one in self.memory.candidates(known_by) if is_of_item(one, viewing)]
        same = [one for one in candidates if is_row(one, viewing) or is_record(one, viewing)]
        if len(same) >= viewing.nth:
            self.merge_repeat(min(same, key=lambda one: self.distance(one, viewing)), viewing)
            return None
        near = [one for one in candidates if self.is_free(one, viewing)]
        if not near:
            self.add(viewing, known_by)
            return None
        return self.take(min(near, key=lambda one: self.distance(one, viewing)), viewing)

    def is_free(self, known: Known, viewing: Viewing) -> bool:
        """True if the play may be the row: it is no other row of the list, or the row that it is lies further off."""
        if viewing.verbatim or is_listed_with(known, viewing):
            return False
        told, base = viewing.play, self.base(known, viewing)
        if not is_same_viewing(base, time_of(told), told.dated):
            return False
        rival = known.records.get(list_of(told))
        return rival is None or not is_counted(viewing) or rank(base, viewing) < rank(base, rival.viewing)

    def base(self, known: Known, viewing: Viewing) -> Play:
        """The play as it is without the mark or date of the row of this list that it is, if this import brought that."""
        record = known.records.get(list_of(viewing.play))
        if record is None or record.before is None or record.job_id != self.part.job_id:
            return known.play
        unchanged = mark_play(record.before, record.viewing.play) == known.play
        return record.before if unchanged else known.play

    def distance(self, known: Known, viewing: Viewing) -> Nearness:
        """How far the play is from the row; a tick says of what was watched, before what was left unfinished."""
        base = self.base(known, viewing)
        unfinished = viewing.play.dated is Dated.TICKED and base.watched_at is None
        ticked, apart, unwatched = past_records.distance(base, time_of(viewing.play))
        return unfinished, ticked, apart, unwatched, base.started_at, known.id or NEWEST

    def add(self, viewing: Viewing, known_by: tuple[str, ...]) -> None:
        fresh = Known(viewing.play, viewing.foreign_key, place=len(self.part.new))
        self.part.new.append((viewing, known_by))
        self.part.fresh.append(fresh)
        self.note_key(viewing)
        for key in known_by:
            self.memory.by_key[key].append(fresh)

    def note_key(self, viewing: Viewing) -> None:
        if viewing.foreign_key is not None:
            self.memory.foreign_keys.add(viewing.foreign_key)

    def take(self, known: Known, viewing: Viewing) -> Viewing | None:
        """Give the play to the row; returns the row that it was before, in whose place this one is counted."""
        if not is_counted(viewing):
            self.merge_repeat(known, viewing)
            return None
        name, base = list_of(viewing.play), self.base(known, viewing)
        rival = known.records.pop(name, None)
        if rival is None:
            self.merge_repeat(known, viewing)
        else:
            counted = self.part.known, self.part.completed
            self.restore(known, base)
            self.merge_repeat(known, viewing)
            self.part.known, self.part.completed = counted
            if rival.id is not None:
                self.part.left.append(rival.id)
        before = base if known.play is not base else None
        known.records[name] = Record(viewing, before, job_id=self.part.job_id)
        self.part.taken[id(known), name] = known
        self.note_key(viewing)
        return None if rival is None else rival.viewing

    def restore(self, known: Known, base: Play) -> None:
        """Take from the play what the row brought that it was before."""
        if known.play is not base:
            self.note_before(known)
            known.play = base
            self.note_change(known)

    def merge_repeat(self, same: Known, viewing: Viewing) -> None:
        """Merge a viewing into a known play: add the mark, or the date if it was only ticked."""
        told, marks = viewing.play, same.play.watched_at is None
        dates = same.play.dated is Dated.TICKED and told.dated is not Dated.TICKED
        if same.settled or told.watched_at is None or not (marks or dates):
            self.part.known += 1
            return
        self.note_before(same)
        same.play = mark_play(same.play, told)
        self.part.completed += marks
        self.part.known += not marks
        self.note_change(same)

    def note_before(self, known: Known) -> None:
        if known.id is not None:
            self.part.before.setdefault(known.id, known.play)

    def note_change(self, known: Known) -> None:
        if known.id is not None:
            self.part.marks[known.id] = known.play
        elif known.place is not None:
            first, known_by = self.part.new[known.place]
            self.part.new[known.place] = (replace(first, play=known.play), known_by)


def match_viewings(
    connection: Connection,
    person_id: int,
    viewings: Sequence[Viewing],
    memory: Memory,
    span: Span = EVER,
    job_id: int | None = None,
) -> Part:
    """The plan for these rows, after those in the memory."""
    part = Part(job_id)
    Matcher(connection, person_id, memory, span, part).match(viewings)
    return part


def apply_choice(viewing: Viewing, choices: Mapping[str, matches.Choice]) -> Viewing:
    """The viewing with the item that a person chose for it."""
    item = viewing.play.item
    if not choices or has_ids(item):
        return viewing
    return replace(viewing, play=replace(viewing.play, item=matches.apply_choices(item, choices)))


def mark_play(known: Play, told: Play) -> Play:
    """The play with the viewing's mark and date."""
    if known.watched_at is None:
        ticked = told.dated is Dated.TICKED
        started_at, last_at = known.started_at, known.last_at if ticked else max(known.last_at, told.last_at)
    else:
        started_at, last_at = told.started_at, told.last_at
    return replace(
        known, state=State.STOPPED, started_at=started_at, last_at=last_at, watched_at=told.watched_at,
        dated=told.dated, item=merge_items(told.item, known.item),
    )  # fmt: skip


# --- what is the same


def time_of(told: Play) -> datetime:
    return told.watched_at or told.last_at


def is_of_item(known: Known, viewing: Viewing) -> bool:
    return same_item(known.play.item, viewing.play.item)


def is_it(known: Known, viewing: Viewing) -> bool:
    """True if this play may be the viewing, whatever other rows it may be."""
    if not is_of_item(known, viewing):
        return False
    if viewing.verbatim or is_listed_with(known, viewing):
        return is_row(known, viewing)
    return is_same_viewing(known.play, time_of(viewing.play), viewing.play.dated)


def is_row(known: Known, viewing: Viewing) -> bool:
    """True if the play is this very row of the same list. One service lists a viewing once, so its rows differ in time."""
    if not viewing.verbatim and not is_listed_with(known, viewing):
        return False
    return is_same_row(known.play, known.foreign_key, viewing)


def is_record(known: Known, viewing: Viewing) -> bool:
    """True if the play, which is from elsewhere, is known to be this very row."""
    record = known.records.get(list_of(viewing.play))
    if record is None or not is_counted(viewing):
        return False
    return is_same_row(record.viewing.play, record.viewing.foreign_key, viewing)


def is_same_row(listed: Play, foreign_key: str | None, viewing: Viewing) -> bool:
    """True if two rows of one list are the same: of one time, unless that is a day and each has its own key."""
    if None not in (foreign_key, viewing.foreign_key) and viewing.play.dated is Dated.DAY:
        return False
    return abs(time_of(viewing.play) - time_of(listed)) <= SAME_ROW


def is_listed_with(known: Known, viewing: Viewing) -> bool:
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
    return list_of(one) != list_of(other)


def is_counted(viewing: Viewing) -> bool:
    """True if the row stands for one viewing of its own: not where it has neither a key nor a date, nor where it is unfinished."""
    undated = viewing.foreign_key is None and viewing.play.dated is Dated.TICKED
    return viewing.play.watched_at is not None and not undated


def rank(base: Play, viewing: Viewing) -> Rank:
    """The order in which a play goes to rows: the nearest first; one that was only ticked comes last."""
    at, is_tick = time_of(viewing.play), viewing.play.dated is Dated.TICKED
    ticked, outside, unwatched = past_records.distance(base, at)
    apart = abs(at - (base.watched_at or base.last_at))
    return is_tick, ticked, outside, unwatched, apart, at, viewing.foreign_key or ""
