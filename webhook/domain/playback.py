"""Playback: the position of a play at an event, and the time played."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from webhook.domain.event import Action, Event, Kind
from webhook.domain.play import Play, State, in_ms

TWIN_WINDOW = timedelta(minutes=2)
"""Reports of one moment by two sources, or twice by one, lie no further apart than this."""

REWATCH_WINDOW = timedelta(hours=4)
"""Where nothing says how long an item runs, a second watched within this is the same viewing."""

END_GRACE = timedelta(minutes=10)

LISTENED_MS = 240_000
"""The position from which a track counts as listened to, where half of it is further (Last.fm's rule)."""

HALF_PERCENT = 50.0

STATES_AFTER: Mapping[Action, State] = {
    Action.START: State.PLAYING,
    Action.RESUME: State.PLAYING,
    Action.PROGRESS: State.PLAYING,
    Action.PAUSE: State.PAUSED,
    Action.STOP: State.STOPPED,
}
"""The state of a play after an event about its playback."""


def own_length(play: Play, event: Event) -> timedelta | None:
    """The runtime as it was sent, else the position at which its sender says that it was completed."""
    duration = event.duration_ms or play.duration_ms or (event.position_ms if event.completed else None)
    return timedelta(milliseconds=duration) if duration else None


def earliest_start(play: Play) -> datetime:
    """When the play may have begun: where only its end was heard, as long before that as its position says."""
    heard = play.started_at != play.watched_at or play.estimated or play.position_ms is None
    return play.started_at if heard else play.started_at - timedelta(milliseconds=play.position_ms or 0)


def twin_window(play: Play, event: Event) -> timedelta:
    """The distance at which two reports may be of one moment; less for short items."""
    length = own_length(play, event)
    if length is not None:
        return min(TWIN_WINDOW, 0.3 * length)
    return TWIN_WINDOW / 4 if play.item.kind is Kind.TRACK else TWIN_WINDOW


def playback(play: Play, event: Event) -> timedelta:
    """The time played at the event, since the start or, after the mark, since it was resumed.

    Where a resume or a stop was lost, two positions that were sent say how much was played between; where they
    are not known, all may have been played before what can only come while it plays.
    """
    heard = timedelta(milliseconds=play.played_ms if play.watched_at is None else play.replayed_ms)
    silence = max(event.at - play.last_at, timedelta(0))
    lost_stop = event.action is Action.START and silence > remaining_time(play)
    if play.state is State.PLAYING and not lost_stop:
        return heard + playback_in_silence(silence, play, event)
    if event.position_ms is not None and play.position_ms is not None and not play.estimated:
        moved = timedelta(milliseconds=max(event.position_ms - play.position_ms, 0))
        return heard + min(silence, moved)
    plays = event.action in (Action.WATCHED, Action.PROGRESS) or event.completed
    if event.manual:
        plays = is_just_over(play, event)
    return heard + playback_in_silence(silence, play, event) if plays else heard


def is_just_over(play: Play, event: Event) -> bool:
    """True if it was started without a stop since and may have finished by now, so that a tick may follow automatically."""
    length = own_length(play, event)
    return not play.played_ms and length is not None and event.at - play.last_at <= length + END_GRACE


def playback_in_silence(silence: timedelta, play: Play, event: Event) -> timedelta:
    """The part of a silence that may have been playback: at most what was left, or the whole runtime."""
    length = own_length(play, event)
    if play.position_ms is not None and not play.estimated and play.duration_ms:
        return min(silence, remaining_time(play))
    return silence if length is None else min(silence, length)


def remaining_time(play: Play) -> timedelta:
    """The longest time it can continue from its last position."""
    position = play.position(play.last_at)
    if not play.duration_ms:
        return REWATCH_WINDOW
    return timedelta(milliseconds=play.duration_ms - min(position or 0, play.duration_ms))


def move(play: Play, event: Event, state: State) -> Play:
    """The play moved to the event's position, or to the estimated one if the event has none."""
    position = event.position_ms
    if position is None and event.progress is not None and play.duration_ms:
        position = int(event.progress * play.duration_ms / 100)
    known = position is not None or event.percent is not None
    stays = not known and is_known_better(play, event, state)
    if position is not None and play.duration_ms:
        position = min(position, play.duration_ms)
    played = in_ms(playback(play, event))
    begins = play.state is State.STOPPED and state is State.PLAYING
    before = None if begins else play.known_percent
    return replace(
        play,
        state=state,
        last_at=max(play.last_at, event.at),
        position_ms=position if known else play.position_ms if stays else play.position(event.at),
        position_at=play.position_at if stays else event.at,
        estimated=not (known or stays),
        known_percent=percent_of(event, position, play.duration_ms) if known else before,
        player=event.player or play.player,
        player_id=event.player_id or play.player_id,
        played_ms=played if play.watched_at is None else play.played_ms,
        replayed_ms=play.replayed_ms if play.watched_at is None else played,
    )


def is_known_better(play: Play, event: Event, state: State) -> bool:
    """True if an event without a position tells of the moment whose position was sent with another, or of one before."""
    if (
        play.estimated
        or play.position_ms is None
        or (play.state is State.PLAYING) is not (state is State.PLAYING)
    ):
        return False
    return is_late(play, event) or event.at - play.last_at <= twin_window(play, event)


def is_late_twin(play: Play, event: Event) -> bool:
    """True if a late event has the position of the moment that another told of without one."""
    if not play.estimated or (event.position_ms is None and event.percent is None):
        return False
    same = STATES_AFTER.get(event.action) is play.state
    return same and timedelta(0) < play.last_at - event.at <= twin_window(play, event)


def percent_of(event: Event, position: int | None, duration: int | None) -> float | None:
    if event.percent is not None:
        return event.percent
    return round(min(100 * position / duration, 100.0), 2) if position is not None and duration else None


def is_late(play: Play, event: Event) -> bool:
    """True if the event precedes the last one, as with a delayed or duplicated webhook."""
    return event.at < play.last_at


def is_on_another_player(play: Play, event: Event) -> bool:
    """True if the event is of another player than the one that was heard last."""
    return None not in (play.player_id, event.player_id) and play.player_id != event.player_id


def is_reached(play: Play, mark: float, *, sent: bool = False) -> bool:
    """True if the position that was last sent counts as watched; a track counts from its half or four minutes on.

    `sent`: only where the last event sent it.
    """
    if sent and play.estimated:
        return False
    if play.item.kind is Kind.TRACK:
        far = not play.estimated and play.position_ms is not None and play.position_ms >= LISTENED_MS
        return far or (play.known_percent is not None and play.known_percent >= HALF_PERCENT)
    return play.known_percent is not None and play.known_percent >= mark
