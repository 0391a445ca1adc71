"""The play: one person's viewing of one item."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from webhook.domain.event import Action, Item


class State(StrEnum):
    PLAYING = "playing"
    PAUSED = "paused"
    STOPPED = "stopped"


class Dated(StrEnum):
    """The exactness of a watched play's date: some imports know only the day, or the time of the tick."""

    EXACT = "exact"
    DAY = "day"
    TICKED = "ticked"


@dataclass(frozen=True, kw_only=True, slots=True)
class Play:
    """A play as far as it is known. `position_ms` was true at `position_at`; `known_percent` was sent.

    `played_ms` is how long it was played up to its mark, as far as that was heard, or how far it was then. What is played after
    the mark may become another viewing: `resumed_at` is since when, `replayed_ms` how much of it.
    `by_position` says that a position made the mark, and the server has not counted it yet;
    `view_count` is the server's own count.
    """

    item: Item
    state: State
    started_at: datetime
    last_at: datetime
    source: str = ""
    server: str | None = None
    player: str | None = None
    player_id: str | None = None
    library: str | None = None
    position_ms: int | None = None
    position_at: datetime | None = None
    estimated: bool = False
    known_percent: float | None = None
    duration_ms: int | None = None
    played_ms: int = 0
    resumed_at: datetime | None = None
    replayed_ms: int = 0
    watched_at: datetime | None = None
    unwatched_at: datetime | None = None
    manual: bool = False
    by_position: bool = False
    view_count: int | None = None
    dated: Dated = Dated.EXACT

    @property
    def unsaid(self) -> bool:
        """True if it is watched without a reported position, so that a clock estimate adds nothing."""
        return self.watched_at is not None and self.unwatched_at is None and self.estimated

    def position(self, at: datetime) -> int | None:
        """The position at a time, in ms: the last one known, plus the time passed while playing; None if unknown."""
        if self.position_ms is None or self.position_at is None:
            return None
        if self.state is not State.PLAYING or at <= self.position_at:
            return self.position_ms
        moved = self.position_ms + in_ms(at - self.position_at)
        return min(moved, self.duration_ms) if self.duration_ms else moved

    def percent(self, at: datetime) -> float | None:
        """The percent at a time: by position and duration, else as it was sent last; None where unknown."""
        position = self.position(at)
        if position is None:
            return self.known_percent
        if not self.duration_ms:
            return 0.0 if position == 0 and self.known_percent is None else self.known_percent
        return round(min(max(100 * position / self.duration_ms, 0.0), 100.0), 2)


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """Context of an event beside the play.

    `mark` is the watched mark in percent, `before` the person's last watched play of the item, `left` the one before
    this where it was never finished, and `runtime` how long the item runs as far as that was learned elsewhere.
    """

    mark: float
    before: Play | None = None
    left: Play | None = None
    runtime: timedelta | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """The result of an event: the play after it, and the action to send.

    `tell` is start, pause, stop or None; `finished` says that this event made it watched, `undone` that
    it took the mark back, `peek` that too little was played to count as another viewing. `anew` says that
    this is another viewing than before, and `left` is then how the one before is left.
    """

    play: Play
    anew: bool = False
    left: Play | None = None
    tell: Action | None = None
    finished: bool = False
    undone: bool = False
    peek: bool = False


def in_ms(span: timedelta) -> int:
    return span // timedelta(milliseconds=1)
