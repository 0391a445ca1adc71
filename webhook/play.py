"""The play: one person viewing one item once, and what an event does to it. Pure.

Most Plex events carry no position and half carry no duration. What is not given is estimated from
what was last known and the clock; an estimate is marked as one and never makes a watched mark.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from webhook.event import Action, Event, Item, Kind

CARRIED_ON = timedelta(days=14)
"""How long an unfinished viewing may rest and still be carried on as the same play."""

TWINS = timedelta(minutes=2)
"""Reports of one moment by two sources, or twice by one, lie no further apart than this."""

REWATCH = timedelta(hours=4)
"""Without a sign of a new start, a second watched this soon is the same viewing."""

SEEK = 5.0
"""Percentage points by which a position must differ from the estimate to be told as a seek."""

SAME_DAY = timedelta(hours=18)
"""How far from noon (UTC) a viewing may lie of which another record knows only the day."""

LOST = timedelta(hours=4)
"""A playing play of unknown duration of which nothing was heard for so long is over."""

RESTING = timedelta(hours=24)
"""A paused play of which nothing was heard for so long is over."""

GRACE = timedelta(minutes=10)

RUNTIME: Mapping[Kind, timedelta] = {
    Kind.MOVIE: timedelta(minutes=60),
    Kind.EPISODE: timedelta(minutes=10),
    Kind.TRACK: timedelta(minutes=2),
}
"""The least that an item of unknown duration runs for."""

LISTENED_MS = 240_000
"""How far into a track it counts as listened to, where half of it is further (Last.fm's rule)."""

SEEN_AGAIN = 0.7
"""The part of the runtime that must pass between a new start and the next watched mark."""

HEARD_AGAIN = 0.4
"""The same for a track, which counts from its half on."""


class State(StrEnum):
    PLAYING = "playing"
    PAUSED = "paused"
    STOPPED = "stopped"


class Dated(StrEnum):
    """What the date of a watched play says: some imports know only the day, or when it was ticked."""

    EXACT = "exact"
    DAY = "day"
    TICKED = "ticked"


@dataclass(frozen=True, kw_only=True, slots=True)
class Play:
    """A play as far as it is known. `position_ms` was true at `position_at`; `known_percent` was sent."""

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
    resumed_at: datetime | None = None
    watched_at: datetime | None = None
    unwatched_at: datetime | None = None
    manual: bool = False
    dated: Dated = Dated.EXACT

    @property
    def unsaid(self) -> bool:
        """Whether it is watched though nobody said how far it is: then an estimate by the clock is no news."""
        return self.watched_at is not None and self.unwatched_at is None and self.estimated

    def position(self, at: datetime) -> int | None:
        """Where it is at a time, in ms: the last position, moved on by the clock while it plays."""
        if self.position_ms is None or self.position_at is None:
            return None
        if self.state is not State.PLAYING or at <= self.position_at:
            return self.position_ms
        moved = self.position_ms + (at - self.position_at) // timedelta(milliseconds=1)
        return min(moved, self.duration_ms) if self.duration_ms else moved

    def percent(self, at: datetime) -> float | None:
        """How far it is at a time, 0-100, or None where position or duration is unknown."""
        position = self.position(at)
        if position is None:
            return None
        if not self.duration_ms:
            return 0.0 if position == 0 else None
        return round(min(max(100 * position / self.duration_ms, 0.0), 100.0), 2)


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """What an event did: the play after it, and what there is to tell.

    `tell` is start, pause, stop or None; `finished` says that this event made it watched,
    `undone` that it took the mark back. `anew` says that this is another viewing than before.
    """

    play: Play
    anew: bool = False
    tell: Action | None = None
    finished: bool = False
    undone: bool = False


def advance(play: Play | None, event: Event, mark: float, source: str) -> Change | None:
    """What the event does to the play; None where there is nothing to do (undoing what never was)."""
    if event.action is Action.UNWATCHED:
        return undone(play, event)
    anew = play is None or begins_anew(play, event)
    current = opened(play if anew else None, event, source) if anew or play is None else play
    return STEPS[event.action](
        replace(current, duration_ms=event.duration_ms or current.duration_ms), event, mark, anew
    )


def begins_anew(play: Play, event: Event) -> bool:
    """Whether the event belongs to another viewing than this play."""
    if play.unwatched_at is not None:
        return True
    if play.watched_at is None:
        return event.at - play.last_at > CARRIED_ON
    if event.action is Action.WATCHED:
        return watched_again(play, event)
    if event.action in (Action.START, Action.RESUME):
        return started_again(play, event)
    return event.action is Action.STOP and event.completed is True and watched_again(play, event)


def watched_again(play: Play, event: Event) -> bool:
    """Whether a watched event after the mark is a rewatch: there was time to watch it again."""
    assert play.watched_at is not None
    gap = event.at - play.watched_at
    if gap <= twins(play, event):
        return False
    if play.resumed_at is not None:
        again = HEARD_AGAIN if play.item.kind is Kind.TRACK else SEEN_AGAIN
        return event.at - play.resumed_at >= again * runtime(play, event)
    return gap > max(REWATCH, 2 * runtime(play, event))


def started_again(play: Play, event: Event) -> bool:
    """Whether a start after the mark is a new viewing: from the first half again, or long after."""
    assert play.watched_at is not None
    gap = event.at - play.watched_at
    percent = percent_of(event, event.position_ms, event.duration_ms or play.duration_ms)
    if percent is not None:
        return play.state is State.STOPPED and gap > twins(play, event) and percent < 50
    return gap > max(REWATCH, 2 * runtime(play, event))


def twins(play: Play, event: Event) -> timedelta:
    """How far apart two reports of one moment may lie; less for what itself is short."""
    return min(TWINS, 0.3 * runtime(play, event)) if play.item.kind is Kind.TRACK else TWINS


def runtime(play: Play, event: Event) -> timedelta:
    duration = event.duration_ms or play.duration_ms
    return timedelta(milliseconds=duration) if duration else RUNTIME.get(play.item.kind, timedelta(minutes=1))


def opened(before: Play | None, event: Event, source: str) -> Play:
    """A new play. A rewatch that was seen to start earlier starts then."""
    starts = event.action in (Action.START, Action.RESUME, Action.PROGRESS)
    started = (
        before.resumed_at if before and before.resumed_at and event.action is Action.WATCHED else event.at
    )
    return Play(
        item=event.item,
        state=State.STOPPED,
        started_at=started,
        last_at=event.at,
        source=source,
        server=event.server,
        player=event.player,
        player_id=event.player_id,
        library=event.library,
        # A first start without a position most likely stands at the beginning: an estimate.
        position_ms=0 if starts else None,
        position_at=event.at,
        estimated=True,
        duration_ms=before.duration_ms if before else None,
    )


def moved(play: Play, event: Event, state: State) -> Play:
    """The play at the event's position, or at the estimated one where the event gives none."""
    position = event.position_ms
    if position is None and event.progress is not None and play.duration_ms:
        position = int(event.progress * play.duration_ms / 100)
    known = position is not None or event.percent is not None
    if position is not None and play.duration_ms:
        position = min(position, play.duration_ms)
    return replace(
        play,
        state=state,
        last_at=max(play.last_at, event.at),
        position_ms=position if known else play.position(event.at),
        position_at=event.at,
        estimated=not known,
        known_percent=percent_of(event, position, play.duration_ms) if known else play.known_percent,
        player=event.player or play.player,
        player_id=event.player_id or play.player_id,
    )


def percent_of(event: Event, position: int | None, duration: int | None) -> float | None:
    if event.percent is not None:
        return event.percent
    return round(min(100 * position / duration, 100.0), 2) if position is not None and duration else None


def started(play: Play, event: Event, mark: float, anew: bool) -> Change:
    now = moved(play, event, State.PLAYING)
    if play.watched_at is not None:
        resting = play.state is State.STOPPED and play.resumed_at is None
        return Change(play=replace(now, resumed_at=event.at) if resting else now)
    news = anew or play.state is not State.PLAYING or sought(play, now, event)
    return Change(play=now, anew=anew, tell=Action.START if news else None)


def sought(play: Play, now: Play, event: Event) -> bool:
    if now.estimated or play.estimated:
        return False
    expected, actual = play.percent(event.at), now.percent(event.at)
    return expected is not None and actual is not None and abs(expected - actual) > SEEK


def paused(play: Play, event: Event, mark: float, anew: bool) -> Change:
    now = moved(play, event, State.PAUSED)
    tells = play.state is not State.PAUSED and play.watched_at is None and now.percent(event.at) is not None
    return Change(play=now, anew=anew, tell=Action.PAUSE if tells else None)


def stopped(play: Play, event: Event, mark: float, anew: bool) -> Change:
    now = moved(play, event, State.STOPPED)
    if event.completed or (not now.estimated and reached(now, mark)):
        return finished(now, event, anew)
    was_open = anew or play.state is not State.STOPPED
    tells = was_open and play.watched_at is None and now.percent(event.at) is not None
    return Change(play=now, anew=anew, tell=Action.STOP if tells else None)


def reached(play: Play, mark: float) -> bool:
    """Whether the position that was sent counts as watched; a track counts from its half or four minutes on."""
    if play.item.kind is Kind.TRACK:
        far = play.position_ms is not None and play.position_ms >= LISTENED_MS
        return far or (play.known_percent is not None and play.known_percent >= 50)
    return play.known_percent is not None and play.known_percent >= mark


def scrobbled(play: Play, event: Event, mark: float, anew: bool) -> Change:
    state = State.STOPPED if event.manual or play.state is State.STOPPED else play.state
    return finished(moved(play, event, state), event, anew)


def finished(play: Play, event: Event, anew: bool) -> Change:
    """Watched, unless this play already is: the twin of a report changes nothing."""
    if play.watched_at is not None:
        return Change(play=play, anew=anew)
    return Change(play=replace(play, watched_at=event.at, manual=event.manual), anew=anew, finished=True)


def undone(play: Play | None, event: Event) -> Change | None:
    if play is None or play.watched_at is None or play.unwatched_at is not None:
        return None
    return Change(
        play=replace(play, unwatched_at=event.at, last_at=event.at, state=State.STOPPED), undone=True
    )


def over(play: Play, now: datetime) -> bool:
    """Whether a play of which no stop came must be over: its runtime has passed, or it rested too long."""
    if play.state is State.PAUSED:
        return now - play.last_at > RESTING
    if not play.duration_ms or play.position_ms is None or play.position_at is None:
        return now - play.last_at > LOST
    left = timedelta(milliseconds=play.duration_ms - play.position_ms)
    return now - play.position_at > left + GRACE


def closed(play: Play, mark: float) -> Change:
    """The play, ended where it was last known to be; only a position that was sent can make the mark."""
    now = replace(play, state=State.STOPPED)
    if play.watched_at is None and reached(play, mark):
        return Change(play=replace(now, watched_at=play.last_at), finished=True)
    tells = play.watched_at is None and play.percent(play.last_at) is not None
    return Change(play=now, tell=Action.STOP if tells else None)


Step = Callable[[Play, Event, float, bool], Change]
STEPS: Mapping[Action, Step] = {
    Action.START: started,
    Action.RESUME: started,
    Action.PROGRESS: started,
    Action.PAUSE: paused,
    Action.STOP: stopped,
    Action.WATCHED: scrobbled,
}
VIEWING = frozenset({*STEPS, Action.UNWATCHED})
"""The actions that are about viewing; the others (ratings, additions) are about the library."""


def same_viewing(play: Play, at: datetime, dated: Dated = Dated.EXACT) -> bool:
    """Whether a viewing that another record dates so is this play.

    What was only ticked was seen at any time before: it is any earlier viewing that is known.
    """
    slack = slack_of(play, dated)
    latest = max(play.last_at, play.watched_at or play.last_at)
    if dated is Dated.TICKED:
        return play.started_at <= at + slack
    if play.dated is Dated.TICKED:
        return at <= latest + slack
    return play.started_at - slack <= at <= latest + slack


def slack_of(play: Play, dated: Dated) -> timedelta:
    if Dated.DAY in (dated, play.dated):
        return SAME_DAY
    if play.item.kind is Kind.TRACK:
        return timedelta(milliseconds=play.duration_ms / 2) if play.duration_ms else TWINS
    return REWATCH
