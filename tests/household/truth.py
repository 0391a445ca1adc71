"""The truth: what each person really watched, stated by what was played and knowing nothing of any webhook.

A viewing is one run through an item by one person. It may take several sittings, on several players. It counts
once: when it has passed the mark and at least half of the item was played in it. Once it has passed the mark, only
its rest belongs to it, where one was left; whatever else is played begins another run, which may come to nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tests.household.catalogue import Kind, Title
from tests.household.story import Act, Sitting, Tick

MARK: Mapping[Kind, float] = {Kind.FILM: 0.8, Kind.EPISODE: 0.8, Kind.TRACK: 0.5}
"""The part of an item after which it counts: Watchmark's own mark, and for a track its half."""

PLAYED = 0.5
"""The part of an item that must have been played for a run through it."""

LAST_PART = 0.75
"""The part in which a rest begins that was left after the mark."""

FINISHED = 0.9
"""Whoever stops before this part has something left to carry on with."""


@dataclass(eq=False)
class Viewing:
    """One person's run through one item."""

    person: str
    title: Title
    acts: list[Act] = field(default_factory=list)
    reached_at: int | None = None
    ticked_at: int | None = None
    taken_back_at: int | None = None

    @property
    def watched_at(self) -> int | None:
        return self.reached_at if self.reached_at is not None else self.ticked_at

    @property
    def sittings(self) -> list[Sitting]:
        return [act for act in self.acts if isinstance(act, Sitting)]

    @property
    def played(self) -> float:
        """The part of the item that was played, whatever was played twice."""
        return covered(self.sittings) / self.title.runtime

    @property
    def is_over(self) -> bool:
        """Whether it was watched, or its end was looked at."""
        mark = MARK[self.title.kind] * self.title.runtime
        return self.watched_at is not None or any(sitting.last >= mark for sitting in self.sittings)

    @property
    def left_at(self) -> int | None:
        """The position to carry on from; None where it was played to its end, ticked or hardly begun."""
        if self.taken_back_at is not None or self.ticked_at is not None or self.played < 0.1:
            return None
        last = self.sittings[-1].last
        return last if last < FINISHED * self.title.runtime else None

    def add(self, act: Act) -> None:
        self.acts.append(act)
        if isinstance(act, Tick):
            self.ticked_at = act.at
        elif self.watched_at is None and self.played >= PLAYED:
            self.reached_at = act.when(MARK[self.title.kind] * self.title.runtime)


class Diary:
    """Everybody's viewings, written down as they happen."""

    def __init__(self, acts: Iterable[Act] = ()) -> None:
        self.viewings: dict[tuple[str, Title], list[Viewing]] = defaultdict(list)
        for act in acts:
            self.add(act)

    def add(self, act: Act) -> None:
        for person in act.people:
            if isinstance(act, Tick) and not act.watched:
                self.take_back(person, act)
            else:
                self.viewing(person, act).add(act)

    def viewing(self, person: str, act: Act) -> Viewing:
        """The viewing that the act belongs to; a new one where it begins one."""
        known = self.viewings[person, act.title]
        if not known or begins(known[-1], act):
            known.append(Viewing(person, act.title))
        return known[-1]

    def take_back(self, person: str, act: Act) -> None:
        for viewing in reversed(self.viewings[person, act.title]):
            if viewing.watched_at is not None and viewing.taken_back_at is None:
                viewing.taken_back_at = act.at
                return

    def counted(self, person: str, title: Title) -> int:
        """How many viewings of the title count for the person."""
        known = self.viewings[person, title]
        return sum(viewing.watched_at is not None and viewing.taken_back_at is None for viewing in known)

    def left_at(self, person: str, title: Title) -> int | None:
        known = self.viewings[person, title]
        return known[-1].left_at if known else None

    def is_half_way(self, person: str, title: Title) -> bool:
        """Whether a run was begun that does not count yet."""
        known = self.viewings[person, title]
        return bool(known) and known[-1].left_at is not None and known[-1].watched_at is None

    def __len__(self) -> int:
        return sum(map(len, self.viewings.values()))


def begins(before: Viewing, act: Act) -> bool:
    """Whether the act begins another viewing than the one before: that one is over, and this is none of its rest."""
    if before.taken_back_at is not None:
        return True
    if isinstance(act, Tick):
        return False
    rest = before.left_at is not None and act.first >= LAST_PART * act.title.runtime
    return before.is_over and not rest


def covered(sittings: Iterable[Sitting]) -> int:
    """The seconds of the item that were played at least once."""
    pieces = sorted((piece.start, piece.end) for sitting in sittings for piece in sitting.stretches)
    total, upto = 0, 0
    for start, end in pieces:
        total += max(0, end - max(start, upto))
        upto = max(upto, end)
    return total
