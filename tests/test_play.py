"""What events do to a play."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from webhook.domain.advance import advance, close_silent, is_over
from webhook.domain.event import Action, Episode, Event, Ids, Movie, Track
from webhook.domain.items import keys, same_item
from webhook.domain.play import Change, Facts, Play, State

BEGIN = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)
FILM = Movie(title="The Lighthouse Keeper", year=2019, ids=Ids(imdb="tt9000001"))
HOUR = 3_600_000


def event(action: Action, minutes: float, **given: object) -> Event:
    made = Event(action=action, item=FILM, at=BEGIN + timedelta(minutes=minutes), player_id="tv")
    return replace(made, **given)  # type: ignore[arg-type]


@dataclass
class Evening:
    """Events put to plays one after another: the plays they made, and what there was to tell."""

    plays: list[Play]
    changes: list[Change | None]

    @property
    def marks(self) -> int:
        return sum(change.finished for change in self.changes if change)

    @property
    def told(self) -> list[Action | None]:
        return [change.tell if change else None for change in self.changes]


def evening(events: Sequence[Event], mark: float = 80.0) -> Evening:
    seen = Evening([], [])
    for entry in events:
        counted = [play for play in seen.plays[:-1] if play.watched_at and not play.unwatched_at]
        facts = Facts(mark=mark, before=counted[-1] if counted else None)
        change = advance(seen.plays[-1] if seen.plays else None, entry, facts, "plex")
        seen.changes.append(change)
        if change is None:
            continue
        if change.left is not None:
            seen.plays[-1] = change.left
        if change.anew:
            seen.plays.append(change.play)
        else:
            seen.plays[-1] = change.play
    return seen


START, RESUME, PAUSE, STOP = Action.START, Action.RESUME, Action.PAUSE, Action.STOP
WATCHED, UNWATCHED, PROGRESS = Action.WATCHED, Action.UNWATCHED, Action.PROGRESS


def test_a_scrobble_and_the_stop_after_it_are_one_watched_play() -> None:
    events = [event(START, 0), event(WATCHED, 108, duration_ms=2 * HOUR), event(STOP, 118)]

    seen = evening(events)

    assert len(seen.plays) == 1
    assert seen.marks == 1
    assert seen.plays[0].watched_at == BEGIN + timedelta(minutes=108)


def test_a_stop_without_a_position_is_told_at_the_estimated_position() -> None:
    events = [event(START, 0, duration_ms=HOUR), event(STOP, 15)]

    seen = evening(events)

    change = seen.changes[-1]
    assert change is not None
    assert change.tell is STOP
    assert change.play.estimated
    assert change.play.percent(events[-1].at) == 25.0


def test_an_estimate_never_makes_a_watched_mark() -> None:
    events = [event(START, 0, duration_ms=HOUR), event(STOP, 59)]

    seen = evening(events)

    assert seen.marks == 0
    assert seen.plays[0].watched_at is None


def test_the_clock_does_not_run_while_paused() -> None:
    events = [event(START, 0, duration_ms=HOUR), event(PAUSE, 15), event(RESUME, 45), event(STOP, 50)]

    seen = evening(events)

    assert seen.plays[0].position_ms == 20 * 60_000


def test_unknown_duration_gives_unknown_progress() -> None:
    seen = evening([event(START, 0), event(PAUSE, 15)])

    assert seen.plays[0].percent(BEGIN + timedelta(minutes=15)) is None
    assert seen.told == [START, None]


@pytest.mark.parametrize(("percent", "marks"), [(79.99, 0), (80.0, 1), (100.0, 1)])
def test_a_stop_at_or_above_the_mark_is_watched(percent: float, marks: int) -> None:
    seen = evening([event(START, 0, duration_ms=HOUR), event(STOP, 50, progress=percent)])

    assert seen.marks == marks


def test_the_senders_word_makes_it_watched_at_any_position() -> None:
    seen = evening([event(START, 0), event(STOP, 8, progress=7.0, completed=True)])

    assert seen.marks == 1


def test_the_same_webhook_twice_changes_nothing() -> None:
    scrobble = event(WATCHED, 50)

    seen = evening([event(START, 0), event(START, 0), scrobble, scrobble, event(STOP, 55), event(STOP, 55)])

    assert len(seen.plays) == 1
    assert seen.marks == 1
    assert seen.told.count(START) == 1


def test_play_again_in_the_credits_and_a_second_scrobble_are_the_same_viewing() -> None:
    events = [event(START, 0), event(WATCHED, 54, duration_ms=HOUR), event(STOP, 55)]

    seen = evening([*events, event(START, 60), event(WATCHED, 64)])

    assert len(seen.plays) == 1
    assert seen.marks == 1


def test_a_rewatch_right_away_is_a_new_play_once_it_had_the_time_to_be_one() -> None:
    seven_minutes = 7 * 60_000
    events = [event(START, 0, duration_ms=seven_minutes), event(WATCHED, 6.3), event(STOP, 7)]

    seen = evening([*events, event(START, 8), event(WATCHED, 14.3), event(STOP, 15)])

    assert len(seen.plays) == 2
    assert seen.marks == 2
    assert seen.plays[1].started_at == BEGIN + timedelta(minutes=8)


def test_a_rewatch_on_another_day_is_a_new_play() -> None:
    day = 24 * 60

    seen = evening([event(WATCHED, 0), event(STOP, 5), event(START, day), event(WATCHED, day + 55)])

    assert len(seen.plays) == 2
    assert seen.marks == 2


def test_a_start_from_the_beginning_after_the_end_is_a_new_play() -> None:
    events = [event(START, 0, duration_ms=HOUR), event(STOP, 58, completed=True, progress=97.0)]

    seen = evening([*events, event(START, 70, position_ms=0)])

    assert len(seen.plays) == 2
    assert seen.plays[1].watched_at is None


def test_two_sources_reporting_one_viewing_make_one_play() -> None:
    plex = [event(START, 0), event(WATCHED, 54), event(STOP, 59)]
    tautulli = [event(START, 0.03), event(WATCHED, 51), event(STOP, 59.05, progress=99.0)]

    seen = evening(sorted([*plex, *tautulli], key=lambda entry: entry.at))

    assert len(seen.plays) == 1
    assert seen.marks == 1


def test_a_film_finished_two_evenings_later_is_one_play() -> None:
    days = 2 * 24 * 60
    first = [event(START, 0, duration_ms=HOUR), event(STOP, 30, position_ms=30 * 60_000)]

    seen = evening([*first, event(RESUME, days), event(WATCHED, days + 25)])

    assert len(seen.plays) == 1
    assert seen.plays[0].started_at == BEGIN
    assert seen.told[2] is START


def test_a_position_not_given_is_the_last_known_one() -> None:
    first = [event(START, 0, duration_ms=HOUR), event(STOP, 30, position_ms=30 * 60_000)]

    seen = evening([*first, event(RESUME, 24 * 60)])

    assert seen.plays[0].position_ms == 30 * 60_000
    assert seen.plays[0].estimated


@pytest.mark.parametrize(
    ("events", "unsaid"),
    [
        ([event(START, 0, duration_ms=HOUR)], False),
        ([event(START, 0, duration_ms=HOUR), event(WATCHED, 3)], True),
        ([event(START, 0, duration_ms=HOUR), event(WATCHED, 3), event(STOP, 9)], True),
        ([event(START, 0, duration_ms=HOUR), event(WATCHED, 3), event(STOP, 9, progress=97.0)], False),
        ([event(START, 0, duration_ms=HOUR), event(WATCHED, 3), event(UNWATCHED, 9)], False),
    ],
)
def test_of_a_watched_play_only_a_position_that_was_sent_counts(events: list[Event], unsaid: bool) -> None:
    assert evening(events).plays[-1].unsaid is unsaid


def test_a_flood_of_progress_is_one_start() -> None:
    flood = [
        event(PROGRESS, second / 60, position_ms=second * 1000, duration_ms=HOUR)
        for second in range(0, 600, 10)
    ]

    seen = evening([event(START, 0, position_ms=0, duration_ms=HOUR), *flood])

    assert seen.told.count(START) == 1


def test_a_seek_is_told() -> None:
    events = [event(START, 0, position_ms=0, duration_ms=HOUR), event(PROGRESS, 1, position_ms=40 * 60_000)]

    seen = evening(events)

    assert seen.told == [START, START]


def test_a_mark_by_hand_finishes_without_a_viewing() -> None:
    seen = evening([event(WATCHED, 0, manual=True)])

    assert seen.marks == 1
    assert seen.plays[0].manual
    assert seen.plays[0].state is State.STOPPED


def test_taking_the_mark_back_undoes_it_once() -> None:
    seen = evening([event(WATCHED, 0, manual=True), event(UNWATCHED, 1), event(UNWATCHED, 2)])

    assert [bool(change and change.undone) for change in seen.changes] == [False, True, False]


def test_taking_back_what_never_was_does_nothing() -> None:
    assert advance(None, event(UNWATCHED, 0), Facts(mark=80.0), "jellyfin") is None


def test_watching_after_taking_back_is_a_new_play() -> None:
    seen = evening([event(WATCHED, 0), event(UNWATCHED, 1), event(WATCHED, 3)])

    assert len(seen.plays) == 2
    assert seen.marks == 2


def test_a_play_whose_stop_never_came_ends_where_it_was_last_known() -> None:
    seen = evening([event(START, 0, duration_ms=HOUR), event(PROGRESS, 20, position_ms=20 * 60_000)])

    change = close_silent(seen.plays[0], Facts(mark=80.0))

    assert not change.finished
    assert change.tell is STOP
    assert change.play.known_percent == pytest.approx(33.33)


def test_a_lost_stop_is_watched_only_where_the_position_that_was_sent_says_so() -> None:
    sent = evening([event(START, 0, duration_ms=HOUR), event(PROGRESS, 54, position_ms=54 * 60_000)]).plays[0]
    guessed = evening([event(START, 0, duration_ms=HOUR)]).plays[0]

    assert close_silent(sent, Facts(mark=80.0)).finished
    assert not close_silent(guessed, Facts(mark=80.0)).finished


def test_a_play_is_over_once_its_runtime_has_passed() -> None:
    play = evening([event(START, 0, duration_ms=HOUR)]).plays[0]

    assert not is_over(play, BEGIN + timedelta(minutes=65))
    assert is_over(play, BEGIN + timedelta(minutes=71))


def test_an_episode_is_never_the_same_as_its_neighbour() -> None:
    third = Episode(show="Tidewater", season=1, number=3, show_ids=Ids(tvdb=5))
    fourth = replace(third, number=4)

    assert not same_item(third, fourth)
    assert not set(keys(third)) & set(keys(fourth))


def test_items_whose_ids_contradict_are_not_one() -> None:
    one = Episode(show="Tidewater", season=1, number=3, ids=Ids(tvdb=77))
    other = replace(one, ids=Ids(tvdb=78))

    assert set(keys(one)) & set(keys(other))
    assert not same_item(one, other)


def test_a_plex_and_a_tautulli_report_of_one_episode_share_a_key() -> None:
    plex = Episode(show="Tidewater", season=1, number=3, ids=Ids(tvdb=77))
    tautulli = Episode(show="Tidewater", season=1, number=3, show_ids=Ids(tvdb=5))

    assert set(keys(plex)) & set(keys(tautulli))
    assert same_item(plex, tautulli)


ACTIONS = st.sampled_from([START, RESUME, PAUSE, STOP, WATCHED, PROGRESS, UNWATCHED])
STEPS = st.tuples(
    ACTIONS, st.floats(0, 90), st.none() | st.integers(0, 2 * HOUR), st.none() | st.integers(1, 2 * HOUR)
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(STEPS, max_size=40))
def test_whatever_comes_every_viewing_is_marked_at_most_once(
    steps: list[tuple[Action, float, int | None, int | None]],
) -> None:
    minutes, events = 0.0, []
    for action, wait, position, duration in steps:
        minutes += wait
        events.append(event(action, minutes, position_ms=position, duration_ms=duration))

    seen = evening(events)

    assert seen.marks == sum(play.watched_at is not None for play in seen.plays)
    for play in seen.plays:
        percent = play.percent(play.last_at)
        assert percent is None or 0 <= percent <= 100


@given(st.lists(st.tuples(ACTIONS, st.floats(0, 90)), max_size=25))
def test_what_is_reported_twice_counts_once(steps: list[tuple[Action, float]]) -> None:
    minutes, events = 0.0, []
    for action, wait in steps:
        minutes += wait
        events.append(event(action, minutes, duration_ms=HOUR))
    twice = [entry for entry in events for _ in range(2)]

    once, doubled = evening(events), evening(twice)

    assert doubled.marks == once.marks
    assert len(doubled.plays) == len(once.plays)


def test_a_track_that_is_looped_counts_each_time() -> None:
    song = Track(title="Undertow", artist="The Tide Tables", ids=Ids(musicbrainz="aaaa"))
    length, seconds = 115, 115_000
    loop = [
        replace(event(action, (turn * length + after) / 60, duration_ms=seconds), item=song)
        for turn in range(3)
        for action, after in ((START, 0), (WATCHED, 58), (STOP, 114))
    ]

    seen = evening(loop)

    assert seen.marks == 3
