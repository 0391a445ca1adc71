"""The step from one state of a play to the next, by an event. Pure.

docs/plays.md has the rules as a table. Most Plex events carry no position and half carry no duration.
A value that is not sent is estimated from the last known one and the clock; an estimate is marked as one and
never makes a watched mark.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from webhook.domain.event import Action, Event, Kind
from webhook.domain.play import Change, Facts, Play, State, in_ms
from webhook.domain.playback import (
    END_GRACE,
    HALF_PERCENT,
    LISTENED_MS,
    REWATCH_WINDOW,
    TWIN_WINDOW,
    is_late,
    is_late_twin,
    is_on_another_player,
    is_reached,
    move,
    own_length,
    remaining_time,
    twin_window,
)
from webhook.domain.viewing import (
    MAX_REST,
    MIN_PART_OF_BEFORE,
    MIN_UNMEASURED,
    SAME_MOMENT,
    is_another_viewing,
    is_carried_on,
    is_end_before,
    is_listen_carried_on,
    is_measure,
    is_of_end,
    is_peek,
    is_played_enough,
    is_start_again,
)

SEEK_TOLERANCE = 5.0
"""Percentage points by which a position must differ from the estimate to count as a seek."""

MAX_SILENCE = timedelta(hours=4)
"""The silence after which a playing play of unknown duration is over."""

MAX_PAUSE = timedelta(hours=24)
"""The silence after which a paused play is over."""

MIN_SEEN_PERCENT = 5.0
"""The percent below which a position is no viewing, whatever the sender says (Jellyfin's MinResumePct)."""

SHORT_VIDEO = timedelta(minutes=5)
"""The duration below which Jellyfin reports "completed" at any position (MinResumeDurationSeconds)."""


def advance(play: Play | None, event: Event, facts: Facts, source: str) -> Change | None:
    """Apply the event to the play; None if nothing changes, such as undoing a mark that never was."""
    if event.action is Action.UNWATCHED:
        return take_back(play, event)
    if play is not None and not is_another_viewing(play, event, facts, source):
        if play.unwatched_at is not None:
            return None  # it belongs to the viewing that was undone
        if is_start_again(play, event) or is_end_before(play, event, facts):
            return Change(play=play)
        play = merge_left_play(play, event, facts)
        if is_late_twin(play, event):
            event = replace(event, at=play.last_at)
        return TRANSITIONS[event.action](with_duration(play, event), event, facts, False)
    opened = with_duration(open_play(play, event, source), event)
    if play is not None and play.watched_at is not None and play.unwatched_at is None:
        facts = replace(facts, before=play)
    change = TRANSITIONS[event.action](opened, event, facts, True)
    return replace(change, left=None if play is None else leave(play))


def merge_left_play(play: Play, event: Event, facts: Facts) -> Play:
    """The play, with what was played of one that was left weeks ago, if its true position is only heard now.

    A webhook that says 0 or nothing had begun it anew.
    """
    left, unheard = facts.left, play.estimated or not play.position_ms
    begun = event.at - play.started_at <= twin_window(play, event)
    if left is None or not (unheard and begun and is_carried_on(left, event)):
        return play
    return replace(play, played_ms=play.played_ms + left.played_ms)


def with_duration(play: Play, event: Event) -> Play:
    """The play with the event's duration; an earlier position then gets its percent."""
    duration = event.duration_ms or play.duration_ms
    percent = play.known_percent
    if percent is None and duration and play.position_ms is not None and not play.estimated:
        percent = round(min(100 * play.position_ms / duration, 100.0), 2)
    return replace(play, duration_ms=duration, known_percent=percent)


def leave(play: Play) -> Play:
    """The play as it ends when another viewing of the item begins."""
    if play.watched_at is None:
        return play
    return replace(play, state=State.STOPPED, resumed_at=None, replayed_ms=0)


def open_play(before: Play | None, event: Event, source: str) -> Play:
    """Open a new play; a rewatch whose start was seen earlier begins then."""
    starts = event.action in (Action.START, Action.RESUME, Action.PROGRESS)
    resumed = before is not None and before.resumed_at is not None and event.at - before.last_at <= MAX_REST
    goes_on = resumed and not starts
    return Play(
        item=event.item,
        state=before.state if before and goes_on else State.STOPPED,
        started_at=before.resumed_at if before and before.resumed_at and resumed else event.at,
        last_at=before.last_at if before and goes_on else event.at,
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


def start(play: Play, event: Event, facts: Facts, anew: bool) -> Change:
    if is_late(play, event) or (not anew and is_of_end(play, event)):
        return Change(play=play, anew=anew)
    now = move(play, event, State.PLAYING)
    if play.watched_at is not None:
        return Change(play=resume(play, now, event))
    if not anew and facts.before is not None and play.state is State.STOPPED and not play.played_ms:
        begin = 0 if now.estimated else now.position_ms  # as at a first start
        # What is said late of the look is of this play for some hours, so that it begins with the look until then.
        apart = event.at - play.last_at > REWATCH_WINDOW
        now = replace(now, started_at=event.at if apart else play.started_at, position_ms=begin)
    news = anew or play.state is not State.PLAYING or is_seek(play, now, event)
    return Change(play=now, anew=anew, tell=Action.START if news else None)


def resume(play: Play, now: Play, event: Event) -> Play:
    """Resume a watched play; the playback from here on may become another viewing."""
    goes_on = play.state is not State.STOPPED and event.action is not Action.START
    if goes_on or event.action is Action.PROGRESS or is_listen_carried_on(play, event):
        return now
    if play.resumed_at is not None and event.at - play.last_at <= MAX_REST:
        return now
    now = replace(now, resumed_at=event.at, replayed_ms=0)
    if now.estimated or now.position_at != event.at:  # the position that is known is of the end before
        return replace(now, position_ms=0, position_at=event.at, estimated=True)  # as at a first start
    return now


def is_seek(play: Play, now: Play, event: Event) -> bool:
    if now.estimated or play.estimated or None in (play.position_ms, now.position_ms):
        return False
    expected, actual = play.percent(event.at), now.percent(event.at)
    return expected is not None and actual is not None and abs(expected - actual) > SEEK_TOLERANCE


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
        change = complete_viewing(play, now, event, facts, anew=anew)
        return change if change.finished or not goes_on else Change(play=play, anew=anew)
    if is_reached(now, facts.mark) and not goes_on:
        return complete_viewing(play, now, event, facts, anew=anew, by_position=not event.completed)
    if goes_on:
        return Change(play=play, anew=anew)
    was_open = anew or play.state is not State.STOPPED
    tells = was_open and play.watched_at is None and now.percent(event.at) is not None
    peek = not anew and is_peek(play, event, facts)
    return Change(play=now, anew=anew, tell=Action.STOP if tells else None, peek=peek)


def is_elsewhere(play: Play, event: Event) -> bool:
    """True if the play continues on a player other than the stopping one: casting leaves a stop behind."""
    return is_on_another_player(play, event) and play.state is State.PLAYING


def is_left_early(play: Play, now: Play, event: Event) -> bool:
    """True if it cannot have been watched, although its sender says so.

    By a position that was sent with it, or with its twin; else by the clock since the last one, where it played on.
    """
    in_hand = (
        not now.estimated
        or play.state is State.PLAYING
        or event.at - play.last_at <= twin_window(play, event)
    )
    if now.known_percent is None or not in_hand:
        return False
    percent = now.percent(event.at)
    if percent is None:
        return False
    if play.item.kind is Kind.TRACK:
        return percent < HALF_PERCENT and (now.position(event.at) or 0) < LISTENED_MS
    short = now.duration_ms is not None and timedelta(milliseconds=now.duration_ms) < SHORT_VIDEO
    return percent < (HALF_PERCENT if short else MIN_SEEN_PERCENT)


def scrobble(play: Play, event: Event, facts: Facts, anew: bool) -> Change:
    state = State.STOPPED if event.manual or play.state is State.STOPPED else play.state
    now = move(play, event, state)
    if event.manual and not anew and is_ticked_again(play, event, facts):
        return Change(play=play)
    if not event.manual and not anew and is_left_early(play, now, event):
        return Change(play=now, anew=anew)
    return complete_viewing(play, now, event, facts, anew=anew)


def is_ticked_again(play: Play, event: Event, facts: Facts) -> bool:
    """True if a tick by hand marks an already watched play; Emby also ticks plays that just ended."""
    if play.watched_at is not None or facts.before is None:
        return play.watched_at is not None
    of_before = event.last_played_at is not None and event.at - event.last_played_at > TWIN_WINDOW
    return of_before or is_peek(play, event, facts)


def complete_viewing(
    play: Play, now: Play, event: Event, facts: Facts, *, anew: bool, by_position: bool = False
) -> Change:
    """Mark the play watched unless it already is; the twin of a report changes nothing, nor does a peek."""
    count = event.view_count if event.view_count is not None else now.view_count
    now = replace(now, view_count=count)
    if play.watched_at is not None:
        counted = replace(
            now,
            by_position=now.by_position and by_position,
            played_ms=max(now.played_ms, position_of_end(play, event)),
        )
        if play.resumed_at is None or event.at - play.resumed_at > SAME_MOMENT:
            counted = replace(counted, resumed_at=None, replayed_ms=0)
        return Change(play=counted, anew=anew)
    if not anew and is_peek(play, event, facts):
        if now.state is State.PLAYING and not now.estimated:
            return Change(
                play=now, peek=True
            )  # the rest of it may be enough, or its end says that it was not
        length = now.duration_ms or (event.position_ms if event.completed else None)
        return Change(play=replace(now, played_ms=0, known_percent=None, duration_ms=length), peek=True)
    marked = replace(
        now, watched_at=event.at, manual=event.manual, by_position=by_position, played_ms=measure(play, now, event, facts.before)
    )  # fmt: skip
    return Change(play=marked, anew=anew, finished=True)


def position_of_end(play: Play, event: Event) -> int:
    """The position of a stop that comes behind the mark it belongs to: so far it was played, at least; else 0."""
    if event.action is not Action.STOP or play.watched_at is None or play.resumed_at is not None:
        return 0
    return (event.position_ms or 0) if event.at - play.watched_at <= twin_window(play, event) else 0


def measure(play: Play, now: Play, event: Event, before: Play | None) -> int:
    """The length of the viewing, as a measure for the next one; at least up to the position at its end.

    Where nobody says how long the item runs, a silence that may have been a rest is left out; but then at least as
    long as the viewing before, or so that as much is needed of the next one as where nothing is known.
    """
    reached = 0 if now.estimated or now.position_ms is None else now.position_ms
    heard, known = max(now.played_ms, reached), own_length(play, event) is not None
    if known or play.state is State.PLAYING or (heard and now.played_ms == play.played_ms):
        return heard
    if before is not None and is_measure(before):
        return max(play.played_ms, reached, before.played_ms)
    if not heard:
        return 0
    least = MIN_UNMEASURED.get(play.item.kind, REWATCH_WINDOW) / MIN_PART_OF_BEFORE
    return max(play.played_ms, reached, in_ms(least))


def take_back(play: Play | None, event: Event) -> Change | None:
    if play is None or play.watched_at is None or play.unwatched_at is not None:
        return None
    return Change(
        play=replace(play, unwatched_at=event.at, last_at=event.at, state=State.STOPPED), undone=True
    )


Transition = Callable[[Play, Event, Facts, bool], Change]
TRANSITIONS: Mapping[Action, Transition] = {
    Action.START: start,
    Action.RESUME: start,
    Action.PROGRESS: start,
    Action.PAUSE: pause,
    Action.STOP: stop,
    Action.WATCHED: scrobble,
}
VIEWING_ACTIONS = frozenset({*TRANSITIONS, Action.UNWATCHED})
"""The actions about viewing; the others concern the library."""


def is_over(play: Play, now: datetime) -> bool:
    """True if a play without a stop must be over: its runtime has passed, or it was silent too long."""
    if play.state is State.PAUSED:
        return now - play.last_at > MAX_PAUSE
    if not play.duration_ms or play.position_ms is None or play.position_at is None:
        return now - play.last_at > MAX_SILENCE
    left = timedelta(milliseconds=play.duration_ms - play.position_ms)
    return now - play.position_at > left + END_GRACE


def is_stop_lost(play: Play, event: Event, mark: float) -> bool:
    """True if a start shows that the stop of a viewing was lost that was last heard past the mark."""
    past = play.state is not State.STOPPED and play.watched_at is None and is_reached(play, mark)
    return past and event.action is Action.START and event.at - play.last_at > TWIN_WINDOW


def close_silent(play: Play, facts: Facts, repeated_at: datetime | None = None) -> Change:
    """The play, ended at its last known position; only a reported position can make the mark.

    `repeated_at` is when the same track began again on the same player: it ran through.
    """
    now = replace(play, state=State.STOPPED)
    ran_through = repeated_at is not None and play.item.kind is Kind.TRACK
    at = min(repeated_at, play.last_at + remaining_time(play)) if repeated_at else play.last_at
    played = timedelta(milliseconds=play.played_ms) + (at - play.last_at)
    length = timedelta(milliseconds=play.duration_ms) if play.duration_ms else None
    peek = facts.before is not None and not is_played_enough(played, facts.before, length, facts.runtime)
    if play.watched_at is None and (ran_through or is_reached(play, facts.mark)):
        if peek:
            return Change(play=replace(now, played_ms=0, known_percent=None), peek=True)
        return Change(play=replace(now, watched_at=at, by_position=True), finished=True)
    tells = play.watched_at is None and play.percent(play.last_at) is not None
    return Change(play=now, tell=Action.STOP if tells else None, peek=peek)
