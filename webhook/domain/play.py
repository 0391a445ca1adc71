"""The play: one person viewing one item once, and what an event does to it. Pure.

docs/plays.md has the rules as a table. Most Plex events carry no position and half carry no duration.
What is not sent is estimated from what was last known and the clock; an estimate is marked as one and
never makes a watched mark.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from webhook.domain.event import Action, Event, Item, Kind

CARRIED_ON = timedelta(days=14)
"""How long an unfinished viewing may rest and still be carried on as the same play."""

TWINS = timedelta(minutes=2)
"""Reports of one moment by two sources, or twice by one, lie no further apart than this."""

REWATCH = timedelta(hours=4)
"""Where nothing says how long an item runs, a second watched within this is the same viewing."""

SEEK = 5.0
"""Percentage points by which a position must differ from the estimate to be told as a seek."""

SAME_DAY = timedelta(hours=18)
"""How far from noon (UTC) a viewing may lie of which another record knows only the day."""

LOST = timedelta(hours=4)
"""A playing play of unknown duration of which nothing was heard for so long is over."""

RESTING = timedelta(hours=24)
"""A paused play of which nothing was heard for so long is over."""

GRACE = timedelta(minutes=10)

LISTENED_MS = 240_000
"""How far into a track it counts as listened to, where half of it is further (Last.fm's rule)."""

PLAYED_AGAIN = 0.45
"""The part of the runtime that must have been played for another viewing: nearly half of it."""

A_RUNTIME_LATER = 0.9
"""The part of the runtime that must have passed in silence where no start of another viewing was heard."""

PLAYED_AS_BEFORE = 0.7
"""The part of what the viewing before took, where the runtime is unknown."""

MEASURED: Mapping[Kind, timedelta] = {
    Kind.MOVIE: timedelta(minutes=5),
    Kind.EPISODE: timedelta(minutes=1),
    Kind.TRACK: timedelta(seconds=30),
}
"""What a viewing must have taken to be a measure for the next one."""

UNMEASURED: Mapping[Kind, timedelta] = {
    Kind.MOVIE: timedelta(minutes=20),
    Kind.EPISODE: timedelta(minutes=5),
    Kind.TRACK: timedelta(minutes=1),
}
"""What must have been played again where neither a runtime nor a viewing before is known to compare with."""

UNSEEN = 5.0
"""A position below this percent is no viewing, whatever the sender says (Jellyfin's MinResumePct)."""

SHORT = timedelta(minutes=5)
"""Of a shorter video Jellyfin says "completed" wherever it is left (MinResumeDurationSeconds)."""

HALF = 50.0


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
        """Whether it is watched though nobody said how far it is: then an estimate by the clock is no news."""
        return self.watched_at is not None and self.unwatched_at is None and self.estimated

    def position(self, at: datetime) -> int | None:
        """Where it is at a time, in ms: the last position, moved on by the clock while it plays."""
        if self.position_ms is None or self.position_at is None:
            return None
        if self.state is not State.PLAYING or at <= self.position_at:
            return self.position_ms
        moved = self.position_ms + in_ms(at - self.position_at)
        return min(moved, self.duration_ms) if self.duration_ms else moved

    def percent(self, at: datetime) -> float | None:
        """How far it is at a time, 0-100: by position and duration, else as it was sent last; None: unknown."""
        position = self.position(at)
        if position is None:
            return self.known_percent
        if not self.duration_ms:
            return 0.0 if position == 0 and self.known_percent is None else self.known_percent
        return round(min(max(100 * position / self.duration_ms, 0.0), 100.0), 2)


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What is known beside the play and the event.

    `mark` is the watched mark in percent, `before` the person's last watched play of the item, and
    `runtime` how long the item runs as far as that was learned elsewhere.
    """

    mark: float
    before: Play | None = None
    runtime: timedelta | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """What an event did: the play after it, and what there is to tell.

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


def advance(play: Play | None, event: Event, facts: Facts, source: str) -> Change | None:
    """What the event does to the play; None where there is nothing to do (undoing what never was)."""
    if event.action is Action.UNWATCHED:
        return take_back(play, event)
    if play is not None and not is_another_viewing(play, event, facts, source):
        if play.unwatched_at is not None:
            return None  # it is of the viewing that was taken back
        return STEPS[event.action](timed(play, event), event, facts, False)
    opened = timed(open_play(play, event, source), event)
    change = STEPS[event.action](opened, event, facts, True)
    return replace(change, left=None if play is None else leave(play))


def timed(play: Play, event: Event) -> Play:
    """The play with the duration that the event sends; a position sent before it now has its percent."""
    duration = event.duration_ms or play.duration_ms
    percent = play.known_percent
    if percent is None and duration and play.position_ms is not None and not play.estimated:
        percent = round(min(100 * play.position_ms / duration, 100.0), 2)
    return replace(play, duration_ms=duration, known_percent=percent)


def leave(play: Play) -> Play:
    """The play as it is left where another viewing of the item begins."""
    if play.watched_at is None:
        return play
    return replace(play, state=State.STOPPED, resumed_at=None, replayed_ms=0)


# --- one viewing or another


def is_another_viewing(play: Play, event: Event, facts: Facts, source: str) -> bool:
    """Whether the event belongs to another viewing than this play."""
    if play.unwatched_at is not None:
        return is_anew_after_untick(play, event)
    if play.watched_at is None:
        return event.at - play.last_at > CARRIED_ON or is_repeat(play, event)
    if is_started_over(play, event):
        return True
    if event.at - play.watched_at <= twins(play, event):
        return False
    if event.action is Action.WATCHED or ends_watched(play, event, facts):
        return is_watched_again(play, event, facts, source)
    return event.action is not Action.STOP and is_begun_again(play, event)


def is_anew_after_untick(play: Play, event: Event) -> bool:
    """Whether an event after the mark was taken back is of another viewing; what only ends is of the one before."""
    silence = event.at - play.last_at
    if event.action in (Action.STOP, Action.PAUSE):
        length = own_length(play, event)
        return silence >= (A_RUNTIME_LATER * length if length else REWATCH)
    return event.manual or event.action is not Action.WATCHED or silence >= twins(play, event)


def is_started_over(play: Play, event: Event) -> bool:
    """Whether it is played in its first half again after the mark.

    A start says so, also where the end before it was lost; where the start was lost, the progress after an end does.
    At 0 that is no progress: the server forgets the position of what was watched.
    """
    if event.action is Action.PROGRESS:
        goes_on = play.state is State.STOPPED and bool(event.position_ms or event.percent)
        return goes_on and not is_late(play, event) and is_in_first_half(play, event) is True
    if event.action is not Action.START or event.at - play.started_at <= TWINS:
        return False
    return is_in_first_half(play, event) is True


def is_in_first_half(play: Play, event: Event) -> bool | None:
    """Whether the event says that it stands in its first half; None where it says neither.

    Where nobody knows how long it runs, it runs at least as far as it was played before.
    """
    percent = sent_percent(play, event)
    if percent is not None:
        return percent < HALF
    if event.position_ms is None or play.position_ms is None or play.estimated:
        return None
    return True if 2 * event.position_ms < play.position_ms else None


def sent_percent(play: Play, event: Event) -> float | None:
    """How far the event says that it is; at its very beginning also where nobody knows how long it runs."""
    if event.position_ms == 0:
        return 0.0
    return percent_of(event, event.position_ms, event.duration_ms or play.duration_ms)


def is_repeat(play: Play, event: Event) -> bool:
    """Whether a track starts over on its player after it ran through, with no stop between."""
    if play.item.kind is not Kind.TRACK or event.action is not Action.START:
        return False
    if play.state is not State.PLAYING or not play.duration_ms or event.player_id != play.player_id:
        return False
    from_the_beginning = event.position_ms is None or event.position_ms * 20 < play.duration_ms
    return from_the_beginning and event.at - play.last_at >= A_RUNTIME_LATER * time_left(play)


def ends_watched(play: Play, event: Event, facts: Facts) -> bool:
    """Whether a stop says that it was watched to the end, by its word or its position."""
    if event.action is not Action.STOP:
        return False
    return event.completed is True or is_reached(move(play, event, State.STOPPED), facts.mark, sent=True)


def is_begun_again(play: Play, event: Event) -> bool:
    """Whether playing after the mark begins another viewing: in the first half again, or long after.

    Where no position says so, what is played may as well be the end looked at again, so within hours it is
    still the same play until more shows.
    """
    assert play.watched_at is not None
    first_half = is_in_first_half(play, event)
    if first_half is not None:
        return first_half and play.state is State.STOPPED
    if event.action not in (Action.START, Action.RESUME) or play.state is not State.STOPPED:
        return False
    if play.by_position:
        return False  # it was not seen to its end, which may be what follows
    length = own_length(play, event)
    return event.at - play.watched_at > max(REWATCH, 2 * length if length else REWATCH)


def is_watched_again(play: Play, event: Event, facts: Facts, source: str) -> bool:
    """Whether a second watched after the mark is a rewatch: it was played again, or could have been."""
    if event.rewatch or event.manual:
        return event.rewatch
    if play.resumed_at is not None:
        return is_played_enough(playback(play, event), play, own_length(play, event), facts.runtime)
    grew = count_grew(play, event)
    if grew is False or play.by_position or is_same_end(play, event):
        return False
    length = own_length(play, event) or facts.runtime
    silence = playback(play, event) if play.state is State.PAUSED else event.at - play.last_at
    if length is not None and (source == play.source or grew):
        return silence >= A_RUNTIME_LATER * length
    return silence > (REWATCH / 4 if grew else max(REWATCH, 2 * length if length else REWATCH))


def count_grew(play: Play, event: Event) -> bool | None:
    """Whether the server's count of viewings has grown; None where the counts cannot be compared."""
    if event.view_count is None or play.view_count is None or event.server != play.server:
        return None
    return (
        True if event.view_count > play.view_count else None if event.view_count < play.view_count else False
    )


def is_same_end(play: Play, event: Event) -> bool:
    """Whether a stop only repeats the one before, as Jellyfin's do for a session that rests."""
    same = event.position_ms is not None and event.position_ms == play.position_ms and not play.estimated
    return event.action is Action.STOP and same


def is_played_enough(
    played: timedelta, before: Play, length: timedelta | None, learned: timedelta | None
) -> bool:
    """Whether so much playback is another viewing, beside the one before."""
    kind = before.item.kind
    if length is not None:
        return played >= PLAYED_AGAIN * length
    first = timedelta(milliseconds=before.played_ms)
    if first >= MEASURED.get(kind, REWATCH):
        return played >= PLAYED_AS_BEFORE * first
    if learned is not None:
        return played >= PLAYED_AGAIN * learned
    return played >= UNMEASURED.get(kind, REWATCH)


def is_peek(play: Play, event: Event, facts: Facts) -> bool:
    """Whether too little of what was watched before was played to count again."""
    if facts.before is None or event.rewatch:
        return False
    length = own_length(play, event) or own_length(facts.before, event)
    return not is_played_enough(playback(play, event), facts.before, length, facts.runtime)


def own_length(play: Play, event: Event) -> timedelta | None:
    """How long it runs, as it was sent; else as far as it was when its sender says that it was completed."""
    duration = event.duration_ms or play.duration_ms or (event.position_ms if event.completed else None)
    return timedelta(milliseconds=duration) if duration else None


def twins(play: Play, event: Event) -> timedelta:
    """How far apart two reports of one moment may lie; less for what itself is short."""
    length = own_length(play, event)
    if length is not None:
        return min(TWINS, 0.3 * length)
    return TWINS / 4 if play.item.kind is Kind.TRACK else TWINS


# --- how much was played


def playback(play: Play, event: Event) -> timedelta:
    """How long it has been played at the event, since its start or, after the mark, since it was resumed.

    Where a resume or a stop was lost, two positions that were sent say how much was played between; where they
    are not known, all may have been played before what can only come while it plays.
    """
    heard = timedelta(milliseconds=play.played_ms if play.watched_at is None else play.replayed_ms)
    silence = max(event.at - play.last_at, timedelta(0))
    lost_stop = event.action is Action.START and silence > time_left(play)
    if play.state is State.PLAYING and not lost_stop:
        return heard + most_of(silence, play, event)
    if event.position_ms is not None and play.position_ms is not None and not play.estimated:
        moved = timedelta(milliseconds=max(event.position_ms - play.position_ms, 0))
        return heard + min(silence, moved)
    plays = event.action in (Action.WATCHED, Action.PROGRESS) or event.completed
    if event.manual:
        plays = is_just_over(play, event)
    return heard + most_of(silence, play, event) if plays else heard


def is_just_over(play: Play, event: Event) -> bool:
    """Whether it was started without a stop since, and may have run through by now: then a tick follows of itself."""
    length = own_length(play, event)
    return not play.played_ms and length is not None and event.at - play.last_at <= length + GRACE


def most_of(silence: timedelta, play: Play, event: Event) -> timedelta:
    """How much of a silence may have been playback: no more than was left, or than the whole of it."""
    length = own_length(play, event)
    if play.position_ms is not None and not play.estimated and play.duration_ms:
        return min(silence, time_left(play))
    return silence if length is None else min(silence, length)


def time_left(play: Play) -> timedelta:
    """How long it goes on at most from where it was last."""
    position = play.position(play.last_at)
    if not play.duration_ms:
        return REWATCH
    return timedelta(milliseconds=play.duration_ms - min(position or 0, play.duration_ms))


def in_ms(span: timedelta) -> int:
    return span // timedelta(milliseconds=1)


# --- the steps


def open_play(before: Play | None, event: Event, source: str) -> Play:
    """A new play. A rewatch that was seen to start earlier starts then."""
    starts = event.action in (Action.START, Action.RESUME, Action.PROGRESS)
    resumed = before is not None and before.resumed_at is not None and not starts
    assert before is not None or not resumed
    return Play(
        item=event.item,
        state=before.state if before and resumed else State.STOPPED,
        started_at=before.resumed_at if before and before.resumed_at and resumed else event.at,
        last_at=before.last_at if before and resumed else event.at,
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
        played_ms=before.replayed_ms if before and resumed else 0,
        view_count=before.view_count if before and before.server == event.server else None,
    )


def move(play: Play, event: Event, state: State) -> Play:
    """The play at the event's position, or at the estimated one where the event gives none."""
    position = event.position_ms
    if position is None and event.progress is not None and play.duration_ms:
        position = int(event.progress * play.duration_ms / 100)
    known = position is not None or event.percent is not None
    if position is not None and play.duration_ms:
        position = min(position, play.duration_ms)
    played = in_ms(playback(play, event))
    begins = play.state is State.STOPPED and state is State.PLAYING
    before = None if begins else play.known_percent
    return replace(
        play,
        state=state,
        last_at=max(play.last_at, event.at),
        position_ms=position if known else play.position(event.at),
        position_at=event.at,
        estimated=not known,
        known_percent=percent_of(event, position, play.duration_ms) if known else before,
        player=event.player or play.player,
        player_id=event.player_id or play.player_id,
        played_ms=played if play.watched_at is None else play.played_ms,
        replayed_ms=play.replayed_ms if play.watched_at is None else played,
    )


def percent_of(event: Event, position: int | None, duration: int | None) -> float | None:
    if event.percent is not None:
        return event.percent
    return round(min(100 * position / duration, 100.0), 2) if position is not None and duration else None


def start(play: Play, event: Event, facts: Facts, anew: bool) -> Change:
    if is_late(play, event):
        return Change(play=play, anew=anew)
    now = move(play, event, State.PLAYING)
    if play.watched_at is not None:
        return Change(play=resume(play, now, event))
    if not anew and facts.before is not None and play.state is State.STOPPED and not play.played_ms:
        begin = 0 if now.estimated else now.position_ms  # as at a first start
        now = replace(now, started_at=event.at, position_ms=begin)  # it was only looked at until now
    news = anew or play.state is not State.PLAYING or is_seek(play, now, event)
    return Change(play=now, anew=anew, tell=Action.START if news else None)


def resume(play: Play, now: Play, event: Event) -> Play:
    """The watched play, played on: what is played from here on may become another viewing."""
    goes_on = play.state is not State.STOPPED and event.action is not Action.START
    if goes_on or event.action is Action.PROGRESS:
        return now
    if play.resumed_at is not None and event.at - play.last_at <= CARRIED_ON:
        return now
    begin = 0 if now.estimated else now.position_ms  # as at a first start
    return replace(now, resumed_at=event.at, replayed_ms=0, position_ms=begin)


def is_seek(play: Play, now: Play, event: Event) -> bool:
    if now.estimated or play.estimated or None in (play.position_ms, now.position_ms):
        return False
    expected, actual = play.percent(event.at), now.percent(event.at)
    return expected is not None and actual is not None and abs(expected - actual) > SEEK


def pause(play: Play, event: Event, facts: Facts, anew: bool) -> Change:
    if is_elsewhere(play, event) or is_late(play, event):
        return Change(play=play, anew=anew)
    now = move(play, event, State.PAUSED)
    tells = play.state is not State.PAUSED and play.watched_at is None and now.percent(event.at) is not None
    return Change(play=now, anew=anew, tell=Action.PAUSE if tells else None)


def stop(play: Play, event: Event, facts: Facts, anew: bool) -> Change:
    goes_on = is_elsewhere(play, event) or is_late(play, event)
    now = move(play, event, play.state if goes_on else State.STOPPED)
    if event.completed and not is_left_early(play, now, event):
        change = finish(play, now, event, facts, anew=anew)
        return change if change.finished or not goes_on else Change(play=play, anew=anew)
    if is_reached(now, facts.mark) and not goes_on:
        return finish(play, now, event, facts, anew=anew, by_position=not event.completed)
    if goes_on:
        return Change(play=play, anew=anew)
    was_open = anew or play.state is not State.STOPPED
    tells = was_open and play.watched_at is None and now.percent(event.at) is not None
    return Change(play=now, anew=anew, tell=Action.STOP if tells else None)


def is_late(play: Play, event: Event) -> bool:
    """Whether it happened before what was heard last, as a webhook that is delayed or doubled on its way."""
    return event.at < play.last_at


def is_elsewhere(play: Play, event: Event) -> bool:
    """Whether the play goes on on another player than the one that stops: what is cast leaves its stop behind."""
    apart = None not in (play.player_id, event.player_id) and play.player_id != event.player_id
    return apart and play.state is State.PLAYING


def is_reached(play: Play, mark: float, *, sent: bool = False) -> bool:
    """Whether the position that was last sent counts as watched; a track counts from its half or four minutes on.

    `sent`: only where the last event sent it.
    """
    if sent and play.estimated:
        return False
    if play.item.kind is Kind.TRACK:
        far = not play.estimated and play.position_ms is not None and play.position_ms >= LISTENED_MS
        return far or (play.known_percent is not None and play.known_percent >= HALF)
    return play.known_percent is not None and play.known_percent >= mark


def is_left_early(play: Play, now: Play, event: Event) -> bool:
    """Whether it cannot have been watched though its sender says so.

    By a position that was sent with it, or with its twin; else by the clock since the last one, where it played on.
    """
    in_hand = (
        not now.estimated or play.state is State.PLAYING or event.at - play.last_at <= twins(play, event)
    )
    if now.known_percent is None or not in_hand:
        return False
    percent = now.percent(event.at)
    if percent is None:
        return False
    if play.item.kind is Kind.TRACK:
        return percent < HALF and (now.position(event.at) or 0) < LISTENED_MS
    short = now.duration_ms is not None and timedelta(milliseconds=now.duration_ms) < SHORT
    return percent < (HALF if short else UNSEEN)


def scrobble(play: Play, event: Event, facts: Facts, anew: bool) -> Change:
    state = State.STOPPED if event.manual or play.state is State.STOPPED else play.state
    now = move(play, event, state)
    if event.manual and not anew and is_ticked_again(play, event, facts):
        return Change(play=play)
    if not event.manual and not anew and is_left_early(play, now, event):
        return Change(play=now, anew=anew)
    return finish(play, now, event, facts, anew=anew)


def is_ticked_again(play: Play, event: Event, facts: Facts) -> bool:
    """Whether a tick by hand is of what is watched already. Emby ticks also what was just played to its end."""
    if play.watched_at is not None or facts.before is None:
        return play.watched_at is not None
    of_before = event.last_played_at is not None and event.at - event.last_played_at > TWINS
    return of_before or is_peek(play, event, facts)


def finish(
    play: Play, now: Play, event: Event, facts: Facts, *, anew: bool, by_position: bool = False
) -> Change:
    """Watched, unless it already is: the twin of a report changes nothing. Nor does a peek."""
    count = event.view_count if event.view_count is not None else now.view_count
    now = replace(now, view_count=count)
    if play.watched_at is not None:
        uncounted = now.by_position and by_position
        return Change(play=replace(now, by_position=uncounted, resumed_at=None, replayed_ms=0), anew=anew)
    if not anew and is_peek(play, event, facts):
        return Change(play=replace(now, played_ms=0, known_percent=None), peek=True)
    marked = replace(
        now, watched_at=event.at, manual=event.manual, by_position=by_position, played_ms=measure(play, now, event)
    )  # fmt: skip
    return Change(play=marked, anew=anew, finished=True)


def measure(play: Play, now: Play, event: Event) -> int:
    """How long the viewing took, for the next one to be measured by; at least up to the position sent at its end.

    Where nobody says how long the item runs, a silence that may have been a rest is left out; but then at least so
    much is needed of the next one as where nothing is known.
    """
    reached = 0 if now.estimated or now.position_ms is None else now.position_ms
    if own_length(play, event) is not None or play.state is State.PLAYING or now.played_ms == play.played_ms:
        return max(now.played_ms, reached)
    least = UNMEASURED.get(play.item.kind, REWATCH) / PLAYED_AS_BEFORE
    return max(play.played_ms, reached, in_ms(least))


def take_back(play: Play | None, event: Event) -> Change | None:
    if play is None or play.watched_at is None or play.unwatched_at is not None:
        return None
    return Change(
        play=replace(play, unwatched_at=event.at, last_at=event.at, state=State.STOPPED), undone=True
    )


Step = Callable[[Play, Event, Facts, bool], Change]
STEPS: Mapping[Action, Step] = {
    Action.START: start,
    Action.RESUME: start,
    Action.PROGRESS: start,
    Action.PAUSE: pause,
    Action.STOP: stop,
    Action.WATCHED: scrobble,
}
VIEWING = frozenset({*STEPS, Action.UNWATCHED})
"""The actions that are about viewing; the others (ratings, additions) are about the library."""


# --- the end of which nobody told


def is_over(play: Play, now: datetime) -> bool:
    """Whether a play of which no stop came must be over: its runtime has passed, or it rested too long."""
    if play.state is State.PAUSED:
        return now - play.last_at > RESTING
    if not play.duration_ms or play.position_ms is None or play.position_at is None:
        return now - play.last_at > LOST
    left = timedelta(milliseconds=play.duration_ms - play.position_ms)
    return now - play.position_at > left + GRACE


def close(play: Play, facts: Facts, repeated_at: datetime | None = None) -> Change:
    """The play, ended where it was last known to be; only a position that was sent can make the mark.

    `repeated_at` is when the same track began again on the same player: it ran through.
    """
    now = replace(play, state=State.STOPPED)
    ran_through = repeated_at is not None and play.item.kind is Kind.TRACK
    if play.watched_at is None and (ran_through or is_reached(play, facts.mark)):
        at = min(repeated_at, play.last_at + time_left(play)) if repeated_at else play.last_at
        played = timedelta(milliseconds=play.played_ms) + (at - play.last_at)
        length = timedelta(milliseconds=play.duration_ms) if play.duration_ms else None
        if facts.before is None or is_played_enough(played, facts.before, length, facts.runtime):
            return Change(play=replace(now, watched_at=at, by_position=True), finished=True)
        return Change(play=replace(now, played_ms=0, known_percent=None), peek=True)
    tells = play.watched_at is None and play.percent(play.last_at) is not None
    return Change(play=now, tell=Action.STOP if tells else None)


# --- the same viewing in another record


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
