"""Viewings: what follows from one look at a server's sessions after another. Pure.

A look that misses a session proves nothing; a second one some seconds later ends it at its last position. A play that
began and ended between two looks was not seen, and none is made up.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from webhook.domain.event import Action
from webhook.servers._mediabrowser.sessions import Key, Playing

SETTLE = timedelta(seconds=5)
"""How long a state holds before another is told: players pause while they buffer and seek."""

PROGRESS_INTERVAL = timedelta(minutes=1)
STEADY_INTERVAL = timedelta(minutes=5)
"""How often the position is told of what plays on as the clock does, which adds nothing to the one before."""

STEADY_SLACK = timedelta(seconds=12)
"""By how much a position may differ from the clock's: clients report theirs every ten seconds."""

MISS_TIME = timedelta(seconds=2)
"""The least time between the first look that misses a session and the one that ends it."""

STALE_TIME = timedelta(seconds=30)
"""How long the position of the item before may be shown for the next one of the same session."""

STALL_TIME = timedelta(seconds=30)
"""How long what plays may stand still; after that its client is gone, and it ended when it moved last."""

MAX_GAP = timedelta(minutes=5)
"""The time without a look after which nothing of before is gone on with; a server ends a silent session then too."""

ENDED_TIME = timedelta(seconds=30)
"""How long after its end a viewing covers the item at the most, until its end was told."""

MAX_PERCENT = 105
RAN_THROUGH, BEGINS = 0.9, 0.1
"""The parts of an item after which it ran through, and up to which it begins."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Occurrence:
    """An action that follows, with the state of the session that it is of."""

    action: Action
    at: datetime
    playing: Playing
    position_ms: int | None = None


@dataclass(kw_only=True, slots=True)
class SessionViewing:
    """One person's viewing of an item in a session. `is_paused` is what was told last, `changed_at` since when it differs.

    `rests_at` is since when it rests that was not yet seen playing, and `is_rest_told` whether that was told.
    """

    playing: Playing
    seen_at: datetime
    told_at: datetime | None = None
    is_paused: bool = False
    changed_at: datetime | None = None
    rests_at: datetime | None = None
    is_rest_told: bool = False
    progress_at: datetime | None = None
    progress_ms: int | None = None
    position_ms: int | None = None
    moved_at: datetime | None = None
    missed_at: datetime | None = None
    stale_ms: int | None = None
    stale_until: datetime | None = None

    def see(self, playing: Playing, now: datetime) -> None:
        """Take in a look, and its position where that can be one of this item."""
        position = playing.position_ms
        if playing.is_paused or position is None or position != self.playing.position_ms:
            self.moved_at = now
        self.playing, self.seen_at, self.missed_at = playing, now, None
        if position is not None and self.is_sane(position, now):
            self.position_ms = position

    @property
    def ended_at(self) -> datetime:
        """When it was seen last; when it moved last where its server went on showing a client that was gone."""
        is_stalled = self.moved_at is not None and self.seen_at - self.moved_at >= STALL_TIME
        return self.moved_at if is_stalled and self.moved_at is not None else self.seen_at

    def is_sane(self, position_ms: int, now: datetime) -> bool:
        length = self.playing.duration_ms
        if length is not None and 100 * position_ms > MAX_PERCENT * length:
            return False
        if self.stale_ms is not None and self.stale_until is not None and now < self.stale_until:
            if position_ms >= self.stale_ms:
                return False
            self.stale_ms = None
        return True

    def is_over_again(self, playing: Playing) -> bool:
        """True if the item begins again after it ran through, as where it is set to repeat."""
        length, position = playing.duration_ms, playing.position_ms
        if length is None or self.position_ms is None or position is None:
            return False
        return self.position_ms >= RAN_THROUGH * length and position <= BEGINS * length

    def is_steady(self, now: datetime) -> bool:
        """True if it is where the position that was told last and the clock say."""
        if self.progress_at is None or self.progress_ms is None or self.position_ms is None:
            return False
        moved = timedelta(milliseconds=self.position_ms - self.progress_ms)
        return abs(moved - (now - self.progress_at)) <= STEADY_SLACK

    def step(self, action: Action, at: datetime) -> Occurrence:
        return Occurrence(action=action, at=at, playing=self.playing, position_ms=self.position_ms)


@dataclass(kw_only=True, slots=True)
class Viewings:
    """Everybody's viewings on one server."""

    looked_at: datetime | None = None
    _open: dict[Key, SessionViewing] = field(default_factory=dict)
    _ended: dict[tuple[str, str], datetime] = field(default_factory=dict)

    @property
    def is_any(self) -> bool:
        return bool(self._open)

    def look(self, playing: Sequence[Playing], now: datetime) -> list[Occurrence]:
        """Take in all that is played now; the steps that follow."""
        if self.looked_at is not None and now - self.looked_at > MAX_GAP:
            self._open.clear()
        self.looked_at = now
        steps, left = self.close_absent(playing, now)
        for one in playing:
            viewing = self._open.get(one.key)
            if viewing is not None and viewing.is_over_again(one):
                steps += self.end(viewing)
                viewing = None
            if viewing is None:
                viewing = self._open[one.key] = self.open(one, left.get((one.session, one.user_id)), now)
            viewing.see(one, now)
            steps += self.follow(viewing, now)
        return steps

    def open(self, one: Playing, before: SessionViewing | None, now: datetime) -> SessionViewing:
        """A new viewing; until the player reports of it, its session may show the position of the one before."""
        stale = before.position_ms if before is not None else None
        return SessionViewing(playing=one, seen_at=now, stale_ms=stale, stale_until=now + STALE_TIME)

    def close_absent(
        self, playing: Iterable[Playing], now: datetime
    ) -> tuple[list[Occurrence], dict[tuple[str, str], SessionViewing]]:
        """End what is no longer played; also returns those whose session already plays something else."""
        keys = {one.key for one in playing}
        busy = {(one.session, one.user_id) for one in playing}
        steps, left = [], {}
        for key, viewing in list(self._open.items()):
            if key in keys:
                continue
            here = (viewing.playing.session, viewing.playing.user_id)
            viewing.missed_at = viewing.missed_at or now
            if here in busy:
                left[here] = viewing
            if here in busy or now - viewing.missed_at >= MISS_TIME:
                steps += self.end(viewing)
        return steps, left

    def end(self, viewing: SessionViewing) -> list[Occurrence]:
        """End a viewing; nothing is said of one that was never seen playing."""
        del self._open[viewing.playing.key]
        if viewing.told_at is None or not viewing.playing.is_tracked:
            return []
        self._ended[(viewing.playing.user_id, viewing.playing.item_id)] = viewing.seen_at
        return [viewing.step(Action.STOP, viewing.ended_at)]

    def follow(self, viewing: SessionViewing, now: datetime) -> list[Occurrence]:
        """Follow a viewing that goes on."""
        paused = viewing.playing.is_paused
        if viewing.told_at is None:
            return self.rest(viewing, now) if paused else self.begin(viewing, now)
        if not viewing.playing.is_tracked:
            return []
        if paused == viewing.is_paused:
            viewing.changed_at = None
            return [] if paused else self.progress(viewing, now)
        viewing.changed_at = viewing.changed_at or now
        return self.change(viewing, now)

    def rest(self, viewing: SessionViewing, now: datetime) -> list[Occurrence]:
        """Say where something rests that was not seen playing, once it has held: its begin may have been told elsewhere."""
        viewing.rests_at = viewing.rests_at or now
        is_told = viewing.is_rest_told or not viewing.playing.is_tracked
        if is_told or not viewing.position_ms or now - viewing.rests_at < SETTLE:
            return []
        viewing.is_rest_told = True
        return [viewing.step(Action.PAUSE, viewing.rests_at)]

    def begin(self, viewing: SessionViewing, now: datetime) -> list[Occurrence]:
        viewing.told_at = viewing.progress_at = now
        viewing.progress_ms = viewing.position_ms
        return [viewing.step(Action.START, now)]

    def change(self, viewing: SessionViewing, now: datetime) -> list[Occurrence]:
        """Say that it was paused or goes on, once the state before has held long enough."""
        assert viewing.told_at is not None
        assert viewing.changed_at is not None
        if now - viewing.told_at < SETTLE or now - viewing.changed_at < MISS_TIME:
            return []
        at, viewing.is_paused = viewing.changed_at, viewing.playing.is_paused
        viewing.told_at, viewing.changed_at = now, None
        viewing.progress_at, viewing.progress_ms = now, viewing.position_ms
        return [viewing.step(Action.PAUSE if viewing.is_paused else Action.RESUME, at)]

    def progress(self, viewing: SessionViewing, now: datetime) -> list[Occurrence]:
        """Say how far it is where it has moved: at most once a minute, less often while it plays on as the clock does."""
        assert viewing.progress_at is not None
        moved = viewing.position_ms is not None and viewing.position_ms != viewing.progress_ms
        interval = STEADY_INTERVAL if viewing.is_steady(now) else PROGRESS_INTERVAL
        if not moved or now - viewing.progress_at < interval:
            return []
        viewing.progress_at, viewing.progress_ms = now, viewing.position_ms
        return [viewing.step(Action.PROGRESS, now)]

    def leave(self) -> list[Occurrence]:
        """How far it is that plays, before the server is lost sight of."""
        steps = []
        for viewing in self._open.values():
            told = viewing.told_at is not None and viewing.playing.is_tracked and not viewing.is_paused
            if told and viewing.position_ms is not None and viewing.position_ms != viewing.progress_ms:
                viewing.progress_at, viewing.progress_ms = viewing.seen_at, viewing.position_ms
                steps.append(viewing.step(Action.PROGRESS, viewing.seen_at))
        return steps

    def settle(self, playing: Playing) -> None:
        """Take note that the end of a viewing was told."""
        self._ended.pop((playing.user_id, playing.item_id), None)

    def covers(self, user_id: str, item_id: str, now: datetime) -> bool:
        """True while this person plays the item, and until its end was told."""
        self._ended = {key: at for key, at in self._ended.items() if now - at <= ENDED_TIME}
        is_open = any((user_id, item_id) == (key[2], key[1]) for key in self._open)
        return is_open or (user_id, item_id) in self._ended
