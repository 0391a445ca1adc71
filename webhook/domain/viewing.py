"""Viewings: comparison of events and records with a play's viewing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from webhook.domain.event import Action, Event, Kind
from webhook.domain.play import Dated, Facts, Play, State
from webhook.domain.playback import (
    HALF_PERCENT,
    REWATCH_WINDOW,
    TWIN_WINDOW,
    earliest_start,
    is_late,
    is_on_another_player,
    is_reached,
    move,
    own_length,
    percent_of,
    playback,
    remaining_time,
    twin_window,
)

MAX_REST = timedelta(days=14)
"""The longest rest after which an unfinished viewing is carried on as the same play."""

SAME_MOMENT = timedelta(seconds=5)
"""What begins and ends within this may have come in the wrong order."""

VERY_END = timedelta(seconds=1)
"""What is left at the position of something that was played through."""

DAY_SLACK = timedelta(hours=18)
"""The distance from noon (UTC) of a viewing whose record has only the day."""

MIN_REPLAYED_PART = 0.45
"""The part of the runtime that must have been played for another viewing: nearly half of it."""

MIN_SILENT_PART = 0.9
"""The part of the runtime that must have passed in silence where no start of another viewing was heard."""

MIN_PART_OF_BEFORE = 0.7
"""The part of what the viewing before took, where the runtime is unknown."""

MIN_MEASURE: Mapping[Kind, timedelta] = {
    Kind.MOVIE: timedelta(minutes=5),
    Kind.EPISODE: timedelta(minutes=1),
    Kind.TRACK: timedelta(seconds=30),
}
"""The least length of a viewing that is a measure for the next one."""

MIN_UNMEASURED: Mapping[Kind, timedelta] = {
    Kind.MOVIE: timedelta(minutes=20),
    Kind.EPISODE: timedelta(minutes=5),
    Kind.TRACK: timedelta(minutes=1),
}
"""The least replay that counts where neither a runtime nor an earlier viewing is known."""


def is_another_viewing(play: Play, event: Event, facts: Facts, source: str) -> bool:
    """True if the event belongs to another viewing than this play."""
    if play.unwatched_at is not None:
        return is_anew_after_untick(play, event)
    if play.watched_at is None:
        given_up = event.at - play.last_at > MAX_REST and not is_carried_on(play, event)
        return given_up or is_repeat(play, event)
    if is_listen_carried_on(play, event):
        return False
    if is_started_over(play, event):
        return True
    if event.at - play.watched_at <= twin_window(play, event):
        return False
    if event.action is Action.WATCHED or is_watched_to_end(play, event, facts):
        return is_watched_again(play, event, facts, source)
    return event.action is not Action.STOP and is_begun_again(play, event)


def is_of_removed(play: Play, event: Event, facts: Facts, source: str) -> bool:
    """True if the event is of this play, which a person removed: it then says nothing of another viewing.

    One that was never finished takes what is said of it until it must have ended, and no other start and no tick.
    """
    if play.watched_at is not None:
        return not is_another_viewing(play, event, facts, source)
    if event.at - play.last_at <= twin_window(play, event):
        return True
    goes_on = event.action is not Action.START and not event.manual
    return goes_on and event.at - play.last_at <= remaining_time(play) + REWATCH_WINDOW


def is_long_before(event: Event, play: Play) -> bool:
    """True if the event is of a viewing before this one, told of only now: its user was claimed since, or it waited.

    Any other word than a start may be a late one of this viewing, whose beginning was not heard. So may a start, where
    nothing but the date of its mark is known.
    """
    dated_only = play.started_at == play.watched_at and play.position_ms is None
    slack = TWIN_WINDOW if event.action is Action.START and not dated_only else REWATCH_WINDOW
    return event.at < earliest_start(play) - slack


def is_carried_on(play: Play, event: Event) -> bool:
    """True if it is played on where it was left."""
    if event.action not in (Action.START, Action.RESUME, Action.PROGRESS) or play.estimated:
        return False
    if not play.position_ms or not event.position_ms:
        return False
    return abs(timedelta(milliseconds=event.position_ms - play.position_ms)) <= twin_window(play, event)


def is_listen_carried_on(play: Play, event: Event) -> bool:
    """True if a long track, which counts from four minutes on, is played on where it was left."""
    return play.item.kind is Kind.TRACK and is_carried_on(play, event)


def is_anew_after_untick(play: Play, event: Event) -> bool:
    """True if an event after an undone mark belongs to another viewing; one that only ends belongs to the old one."""
    silence = event.at - play.last_at
    if event.action in (Action.STOP, Action.PAUSE):
        length = own_length(play, event)
        return silence >= (MIN_SILENT_PART * length if length else REWATCH_WINDOW)
    return event.manual or event.action is not Action.WATCHED or silence >= twin_window(play, event)


def is_started_over(play: Play, event: Event) -> bool:
    """True if it is played in its first half again after the mark.

    A start says so, also where the end before it was lost; where the start was lost, the progress after an end does,
    and that on another player.
    At 0 that is no progress: the server forgets the position of what was watched. What is said late, or so soon after
    the mark that no two clocks agree, is of the viewing before.
    """
    if is_late(play, event) or is_of_end(play, event):
        return False
    if event.action is Action.PROGRESS:
        over = event.at - play.last_at > remaining_time(play)  # its stop was lost
        ended = over or play.state is State.STOPPED or is_on_another_player(play, event)
        told = bool(event.position_ms or event.percent)
        return ended and told and is_in_first_half(play, event) is True
    if event.action is not Action.START or event.at - earliest_start(play) <= TWIN_WINDOW:
        return False
    if play.started_at == play.watched_at and event.at - play.watched_at <= SAME_MOMENT:
        return False
    return is_in_first_half(play, event) is True and not is_start_again(play, event)


def is_start_again(play: Play, event: Event) -> bool:
    """True if a start at 0 is the one that was heard just before, with the position at which it really began.

    Jellyfin and Emby say 0 at each start. A webhook that comes late or twice must not end a rest.
    """
    if event.action is not Action.START or event.position_ms != 0 or play.state is State.STOPPED:
        return False
    known = bool(play.position_ms) and not play.estimated
    return known and event.at - (play.resumed_at or play.started_at) <= twin_window(play, event)


def is_end_before(play: Play, event: Event, facts: Facts) -> bool:
    """True if a stop repeats the end of the viewing before, as Jellyfin's do for a session that rests.

    It has that end's position, soon after it, which cannot have been reached again since the start.
    """
    before, at = facts.before, event.position_ms
    if event.action is not Action.STOP or event.rewatch or before is None or not at:
        return False
    if play.state is State.STOPPED:
        return False
    same = before.position_ms == at and not before.estimated and before.server == event.server
    soon = event.at - before.last_at <= TWIN_WINDOW
    return same and soon and timedelta(milliseconds=at) > event.at - play.started_at


def is_of_end(play: Play, event: Event) -> bool:
    """True if a position in the first half was heard before the play ended, though its time is a little later.

    Servers date an end by the second, and what was heard before is kept after a record of the end was read.
    """
    if event.action is not Action.PROGRESS or play.watched_at is None or play.state is not State.STOPPED:
        return False
    return event.at - play.watched_at <= twin_window(play, event) and is_in_first_half(play, event) is True


def is_in_first_half(play: Play, event: Event) -> bool | None:
    """True if the event's position is in the first half; None if unknown.

    Where nobody knows how long it runs, it runs at least as far as it was played before.
    """
    percent = sent_percent(play, event)
    if percent is not None:
        return percent < HALF_PERCENT
    if event.position_ms is None or play.position_ms is None:
        return None
    reached = play.played_ms / 2 if play.estimated else play.position_ms  # some of it may have been a rest
    return True if 2 * event.position_ms < reached else None


def sent_percent(play: Play, event: Event) -> float | None:
    """The percent that the event gives; 0 at the very beginning even where the runtime is unknown."""
    if event.position_ms == 0:
        return 0.0
    return percent_of(event, event.position_ms, event.duration_ms or play.duration_ms)


def is_repeat(play: Play, event: Event) -> bool:
    """True if a track starts over on its player after it ran through, with no stop between."""
    if play.item.kind is not Kind.TRACK or event.action is not Action.START:
        return False
    if play.state is not State.PLAYING or not play.duration_ms or event.player_id != play.player_id:
        return False
    from_the_beginning = event.position_ms is None or event.position_ms * 20 < play.duration_ms
    return from_the_beginning and event.at - play.last_at >= MIN_SILENT_PART * remaining_time(play)


def is_watched_to_end(play: Play, event: Event, facts: Facts) -> bool:
    """True if a stop says that it was watched to the end, by its word or its position."""
    if event.action is not Action.STOP:
        return False
    return event.completed is True or is_reached(move(play, event, State.STOPPED), facts.mark, sent=True)


def is_begun_again(play: Play, event: Event) -> bool:
    """True if playing after the mark begins another viewing: in the first half again, or long after.

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
        return False  # it was not watched to the end, which may follow now
    length = own_length(play, event)
    return event.at - play.watched_at > max(REWATCH_WINDOW, 2 * length if length else REWATCH_WINDOW)


def is_watched_again(play: Play, event: Event, facts: Facts, source: str) -> bool:
    """True if a second watched after the mark is a rewatch: it was or could have been played again."""
    if event.rewatch or event.manual:
        return event.rewatch
    if play.resumed_at is not None:
        return is_played_enough(playback(play, event), play, own_length(play, event), facts.runtime)
    grew = has_count_grown(play, event)
    if grew is False or play.by_position or is_same_end(play, event):
        return False
    length = own_length(play, event) or facts.runtime
    silence = playback(play, event) if play.state is State.PAUSED else event.at - play.last_at
    if length is not None and (source == play.source or grew):
        return silence >= MIN_SILENT_PART * length
    return silence > (
        REWATCH_WINDOW / 4 if grew else max(REWATCH_WINDOW, 2 * length if length else REWATCH_WINDOW)
    )


def has_count_grown(play: Play, event: Event) -> bool | None:
    """True if the server's count of viewings has grown; None where the counts cannot be compared."""
    if event.view_count is None or play.view_count is None or event.server != play.server:
        return None
    return (
        True if event.view_count > play.view_count else None if event.view_count < play.view_count else False
    )


def is_same_end(play: Play, event: Event) -> bool:
    """True if a stop only repeats the one before, as Jellyfin's do for a session that rests.

    That both stand at the very end says nothing: whatever is played through ends there.
    """
    if event.action is not Action.STOP or event.position_ms is None or play.estimated:
        return False
    length = own_length(play, event)
    if length is not None and length - timedelta(milliseconds=event.position_ms) < VERY_END:
        return False
    return event.position_ms == play.position_ms


def is_played_enough(
    played: timedelta, before: Play, length: timedelta | None, learned: timedelta | None
) -> bool:
    """True if this much playback counts as another viewing besides the previous one."""
    kind = before.item.kind
    if length is not None:
        return played >= MIN_REPLAYED_PART * length
    if is_measure(before):
        return played >= MIN_PART_OF_BEFORE * timedelta(milliseconds=before.played_ms)
    if learned is not None:
        return played >= MIN_REPLAYED_PART * learned
    return played >= MIN_UNMEASURED.get(kind, REWATCH_WINDOW)


def is_measure(before: Play) -> bool:
    """True if so much was heard of a viewing that it is a measure for the next one."""
    least = MIN_MEASURE.get(before.item.kind, REWATCH_WINDOW)
    return timedelta(milliseconds=before.played_ms) >= least


def is_peek(play: Play, event: Event, facts: Facts) -> bool:
    """True if too little of what was watched before was played to count again."""
    if facts.before is None or event.rewatch:
        return False
    length = own_length(play, event) or own_length(facts.before, event)
    return not is_played_enough(playback(play, event), facts.before, length, facts.runtime)


def is_same_viewing(play: Play, at: datetime, dated: Dated = Dated.EXACT) -> bool:
    """True if a viewing that another record dates so is this play.

    What was only ticked was seen at any time before: it is any earlier viewing that is known.
    """
    slack = slack_of(play, dated)
    latest = max(play.last_at, play.watched_at or play.last_at)
    if dated is Dated.TICKED:
        return play.started_at <= at + slack
    if play.dated is Dated.TICKED:
        return at <= latest + slack
    return play.started_at - slack <= at <= latest + slack


def begins_later(play: Play, at: datetime, server: str | None) -> bool:
    """True if an unfinished play began after a server's record of a viewing, on another server: it is none of it."""
    elsewhere = None not in (server, play.server) and play.server != server
    return elsewhere and play.watched_at is None and play.started_at - TWIN_WINDOW > at


def is_repeated_entry(play: Play, at: datetime, listed_at: datetime, length: timedelta | None) -> bool:
    """True if an entry of a log is no viewing beside the one at `listed_at`, which is the play.

    What was heard of the play covers it, or no viewing fits between the two: the log also has looks at the end.
    """
    if play.started_at <= at <= play.last_at + TWIN_WINDOW:
        return True
    return abs(at - listed_at) < (MIN_SILENT_PART * length if length else REWATCH_WINDOW / 4)


def slack_of(play: Play, dated: Dated) -> timedelta:
    if Dated.DAY in (dated, play.dated):
        return DAY_SLACK
    if play.item.kind is Kind.TRACK:
        return timedelta(milliseconds=play.duration_ms / 2) if play.duration_ms else TWIN_WINDOW
    return REWATCH_WINDOW
