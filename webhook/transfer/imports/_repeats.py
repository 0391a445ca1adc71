"""Viewings of rows that may say the same: each is a viewing of its own, in this copy of the file and in the next.

Services list a film that was watched twice on one day, or twice at unknown times, in two identical rows. The
n-th of them has the n-th key, so that a longer copy of the file adds only the rows that are new.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from webhook import clock
from webhook.domain.event import Item
from webhook.domain.play import Dated
from webhook.transfer.imports._fields import KEY_LENGTH, Date, watched_play
from webhook.transfer.imports._streams import Allowance
from webhook.transfer.records import Viewing

APART = timedelta(seconds=2)
"""The distance of undated viewings of one item: rows of one service that are closer than a second are one row."""


class Repeats:
    """The viewings of one file, and how many of them said the same."""

    def __init__(self, source: str, allowance: Allowance | None = None) -> None:
        self.source = source
        self.allowance = allowance or Allowance()
        self.unrolled = 0
        self.began = clock.now()
        self.counts: Counter[str] = Counter()

    def unroll(self, item: Item, date: Date, key: str, row: str) -> Viewing:
        """A viewing that a row only counts. Each counts like a row; raises Unusable above the limit."""
        self.unrolled += 1
        self.allowance.count_row("viewings that are only counted", self.unrolled)
        return self.viewing(item, date, key, row)

    def viewing(self, item: Item, date: Date, key: str, row: str | None = None) -> Viewing:
        """The viewing of a row. `key` is the item's at the service, `row` the row's own where it has one."""
        at, dated = date
        said = f"{self.source}:{at.isoformat() if at else ''}:{key}"[:KEY_LENGTH]
        self.counts[said] += 1
        count = self.counts[said]
        play = watched_play(
            item,
            at or self.began - (count - 1) * APART,
            self.source,
            dated=dated,
            manual=dated is not Dated.EXACT,
        )
        own = f"{self.source}:{row}"[:KEY_LENGTH] if row else said if count == 1 else f"{said}:{count}"
        return Viewing(play=play, foreign_key=own)
