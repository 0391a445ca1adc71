"""Plays of what is only counted: so many episodes of an entry, watched so often, with at most two days.

The episodes 1 to the number watched become plays. The first has the day it was begun, the last the day it was
finished if it was; nobody knows when the others were watched, and they say so, or are left out if the owner wants it. Anime is numbered as AniDB does, one
entry a season, so that its numbers are `mapped` ones, which are told to no tracker as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from webhook.domain.event import Episode, Movie, Show
from webhook.domain.play import Dated
from webhook.texts import texts
from webhook.transfer.imports._fields import UNDATED, Date, Wrong, title_key
from webhook.transfer.imports._repeats import Repeats
from webhook.transfer.records import (
    ARCHIVED,
    FOLLOWING,
    STOPPED,
    Entry,
    Kept,
    Options,
    Question,
    Relation,
    Viewing,
)

TOTALS, ALL_PLAYS, DATED_ONLY = "totals", "all", "dated"
ASKED = texts({TOTALS: "What becomes of the episodes that the list only counts"})
CHOICES = texts(
    (
        (ALL_PLAYS, "A play without a date for each"),
        (DATED_ONLY, "Nothing; only the first and the last are imported, if they have a day"),
    )
)

MAX_PLAYS = 20_000
"""The most plays of one entry: no series has more episodes, and nobody has seen the longest ones so often."""

COMPLETED, PLANNED = "completed", "planned"
FOLLOW_STATES = {"watching": FOLLOWING, COMPLETED: FOLLOWING, "onhold": ARCHIVED, "dropped": STOPPED}


def totals_question(options: Options) -> Question:
    """What becomes of the plays whose date nobody knows."""
    return Question(name=TOTALS, text=ASKED[TOTALS], answer=options.get(TOTALS, ALL_PLAYS), choices=CHOICES)


@dataclass(frozen=True, kw_only=True, slots=True)
class Totals:
    """What an entry counts. `again` is how often it was watched once more, `in_again` how far the current time is."""

    item: Movie | Show
    status: str | None
    watched: int
    again: int = 0
    in_again: int = 0
    begun: Date = UNDATED
    finished: Date = UNDATED
    rating: float | None = None

    def entries(self, repeats: Repeats, options: Options | None = None) -> Iterator[Entry]:
        """Its plays, oldest first, its rating, and what it is in the library."""
        if self.watched * (1 + self.again) + self.in_again > MAX_PLAYS:
            raise Wrong(f"it counts more than {MAX_PLAYS:,} plays of one title")
        dated_only = (options or {}).get(TOTALS) == DATED_ONLY
        plays = self.viewings(repeats)
        yield from (one for one in plays if not dated_only or one.play.dated is not Dated.TICKED)
        if self.rating is not None:
            yield Kept(relation=Relation.RATING, item=self.item, value=self.rating)
        if self.status == PLANNED:
            yield Kept(relation=Relation.WATCHLIST, item=self.item)
        elif isinstance(self.item, Show) and self.status in FOLLOW_STATES:
            yield Kept(
                relation=Relation.FOLLOW, item=self.item, at=self.begun[0], state=FOLLOW_STATES[self.status]
            )

    def viewings(self, repeats: Repeats) -> Iterator[Viewing]:
        """The plays. Their keys are without a date, as one may be set later for what was marked before."""
        rounds = [self.watched] * (1 + self.again) + [min(self.in_again, self.watched)]
        for time, watched in enumerate(rounds, start=1):
            for number in range(1, watched + 1):
                date = self.date(number) if time == 1 else UNDATED
                key = f"{number}:{title_key(self.item)}"
                yield repeats.unroll(self.part(number), date, key, f"{time}:{key}")

    def part(self, number: int) -> Movie | Episode:
        if isinstance(self.item, Movie):
            return self.item
        of = self.item
        return Episode(show=of.title, season=1, number=number, show_ids=of.ids, numbering="mapped")

    def date(self, number: int) -> Date:
        """The day of an episode, seen for the first time."""
        if number == self.watched and self.status == COMPLETED and self.finished != UNDATED:
            return self.finished
        return self.begun if number == 1 else UNDATED
