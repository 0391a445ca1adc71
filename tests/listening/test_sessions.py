"""What follows from a server's sessions. The numbers of traps are those of the contract of media servers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from webhook.domain.event import Action
from webhook.servers._mediabrowser.sessions import read_sessions
from webhook.servers._mediabrowser.viewings import Occurrence, Viewings

pytestmark = pytest.mark.unit

AT = datetime(2026, 11, 29, 20, 0, tzinfo=UTC)
LENGTH = 1_000_000
TICKS = 10_000
NORA, BEN = "d1" * 16, "d2" * 16
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
START, PAUSE, RESUME, STOP, PROGRESS = (
    Action.START, Action.PAUSE, Action.RESUME, Action.STOP, Action.PROGRESS
)  # fmt: skip


def row(ms: int | None = 0, *, item: str = "b1" * 16, key: str = "s1", user: str = NORA, paused: bool = False, **more: Any) -> dict[str, Any]:  # fmt: skip
    """A session that plays a film."""
    state = {"IsPaused": paused} | ({} if ms is None else {"PositionTicks": ms * TICKS})
    playing = {
        "Id": item,
        "Type": "Movie",
        "Name": "Film",
        "ProductionYear": 2020,
        "RunTimeTicks": LENGTH * TICKS,
    }
    return {
        "Id": key, "UserId": user, "UserName": "Nora", "Client": "Web", "DeviceId": "dev1", "DeviceName": "Sofa",
        "PlayState": state, "NowPlayingItem": playing, **more,
    }  # fmt: skip


class Looks:
    """One look at the sessions after another."""

    def __init__(self) -> None:
        self.viewings = Viewings()
        self.steps: list[Occurrence] = []

    def look(self, at: timedelta, *rows: Any) -> list[Occurrence]:
        steps = self.viewings.look(read_sessions(rows), AT + at)
        self.steps += steps
        return steps

    @property
    def actions(self) -> list[Action]:
        return [step.action for step in self.steps]


@pytest.fixture
def server() -> Looks:
    return Looks()


def test_an_evening_is_a_start_a_pause_a_resume_and_a_stop(server: Looks) -> None:
    server.look(0 * SECOND, row(0))
    server.look(30 * SECOND, row(30_000))
    server.look(33 * SECOND, row(31_000, paused=True))
    server.look(36 * SECOND, row(31_000, paused=True))
    server.look(90 * SECOND, row(31_000))
    server.look(93 * SECOND, row(34_000))
    server.look(96 * SECOND)
    server.look(99 * SECOND)

    assert [(step.action, step.at - AT, step.position_ms) for step in server.steps] == [
        (START, 0 * SECOND, 0),
        (PAUSE, 33 * SECOND, 31_000),
        (RESUME, 90 * SECOND, 34_000),
        (STOP, 93 * SECOND, 34_000),
    ]


def test_one_look_that_misses_a_session_ends_nothing(server: Looks) -> None:
    server.look(0 * SECOND, row(0))
    server.look(3 * SECOND)
    server.look(6 * SECOND, row(6_000))

    assert server.actions == [START]


def test_two_looks_in_one_second_are_one(server: Looks) -> None:
    server.look(0 * SECOND, row(0))
    server.look(3 * SECOND)
    server.look(3.5 * SECOND)
    server.look(6 * SECOND, row(6_000))

    assert server.actions == [START]


def test_progress_is_told_once_a_minute_where_it_is_not_as_the_clock_has_it(server: Looks) -> None:
    for second in range(0, 181, 3):
        server.look(second * SECOND, row(2 * min(second, 130) * 1000))

    assert [(step.action, step.position_ms) for step in server.steps] == [
        (START, 0),
        (PROGRESS, 120_000),
        (PROGRESS, 240_000),
        (PROGRESS, 260_000),
    ]


def test_what_plays_on_as_the_clock_does_is_told_every_five_minutes(server: Looks) -> None:
    for second in range(0, 601, 3):
        server.look(second * SECOND, row(second // 10 * 10_000))

    assert [(step.action, step.position_ms) for step in server.steps] == [
        (START, 0),
        (PROGRESS, 300_000),
        (PROGRESS, 600_000),
    ]


def test_a_client_that_is_gone_ended_when_it_moved_last(server: Looks) -> None:
    """Trap 6: the server shows it for minutes more."""
    for second in range(0, 400, 10):
        server.look(second * SECOND, row(min(second, 120) * 1000))
    server.look(401 * SECOND)
    server.look(404 * SECOND)

    stop = server.steps[-1]
    assert (stop.action, stop.at - AT, stop.position_ms) == (STOP, 120 * SECOND, 120_000)


def test_what_is_paused_for_long_ends_when_it_was_seen_last(server: Looks) -> None:
    server.look(0 * SECOND, row(0))
    for second in range(30, 400, 10):
        server.look(second * SECOND, row(30_000, paused=True))
    server.look(401 * SECOND)
    server.look(404 * SECOND)

    assert (server.steps[-1].action, server.steps[-1].at - AT) == (STOP, 390 * SECOND)


def test_what_begins_again_after_it_ran_through_is_another_viewing(server: Looks) -> None:
    for second in range(0, 1200, 10):
        server.look(second * SECOND, row(second % 990 * 1000))

    told = [(step.action, step.at - AT, step.position_ms) for step in server.steps if step.action != PROGRESS]
    assert told == [
        (START, 0 * SECOND, 0),
        (STOP, 980 * SECOND, 980_000),
        (START, 990 * SECOND, 0),
    ]


def test_a_seek_is_no_end_and_no_other_viewing(server: Looks) -> None:
    server.look(0 * SECOND, row(0))
    server.look(3 * SECOND, row(500_000))
    server.look(6 * SECOND, row(20_000))

    assert server.actions == [START]


def test_a_short_pause_while_it_buffers_is_not_told(server: Looks) -> None:
    server.look(0 * SECOND, row(0))
    server.look(30 * SECOND, row(30_000, paused=True))
    server.look(33 * SECOND, row(30_000))
    server.look(36 * SECOND, row(33_000))

    assert server.actions == [START]


def test_a_session_that_was_never_seen_playing_says_nothing(server: Looks) -> None:
    server.look(0 * SECOND, row(30_000, paused=True))
    server.look(3 * SECOND)
    server.look(6 * SECOND)

    assert server.actions == []


def test_where_something_rests_that_was_not_seen_playing_is_told_once_it_has_held(server: Looks) -> None:
    """A webhook may have told of its begin, and not of the pause."""
    for second in range(0, 31, 3):
        server.look(second * SECOND, row(442_000, paused=True))
    server.look(33 * SECOND, row(442_000))
    server.look(36 * SECOND)
    server.look(39 * SECOND)

    assert [(step.action, step.at - AT, step.position_ms) for step in server.steps] == [
        (PAUSE, 0 * SECOND, 442_000),
        (START, 33 * SECOND, 442_000),
        (STOP, 33 * SECOND, 442_000),
    ]


def test_a_client_that_pauses_while_it_opens_an_item_says_nothing_of_it(server: Looks) -> None:
    server.look(0 * SECOND, row(0, paused=True))
    server.look(30 * SECOND, row(0, paused=True))
    server.look(33 * SECOND, row(442_000, key="s2", paused=True))
    server.look(36 * SECOND, row(442_000, key="s2"))

    assert server.actions == [START]


def test_two_people_in_one_session_are_two_viewings(server: Looks) -> None:
    """Trap 24."""
    both: dict[str, Any] = {"AdditionalUsers": [{"UserId": BEN, "UserName": "ben"}]}
    server.look(0 * SECOND, row(0, **both))
    server.look(3 * SECOND, row(3_000))
    server.look(6 * SECOND, row(6_000))
    server.look(9 * SECOND)
    server.look(12 * SECOND)

    assert [(step.action, step.playing.user_id, step.position_ms) for step in server.steps] == [
        (START, NORA, 0),
        (START, BEN, 0),
        (STOP, BEN, 0),
        (STOP, NORA, 6_000),
    ]


def test_the_next_episode_ends_the_one_before_at_once(server: Looks) -> None:
    server.look(0 * SECOND, row(0))
    server.look(3 * SECOND, row(950_000))
    server.look(6 * SECOND, row(0, item="b2" * 16))

    assert [(step.action, step.playing.item_id[:2], step.position_ms) for step in server.steps] == [
        (START, "b1", 0),
        (STOP, "b1", 950_000),
        (START, "b2", 0),
    ]


def test_a_position_that_lags_behind_the_next_episode_is_not_its_own(server: Looks) -> None:
    """SC#206: on autoplay the state is still that of the item before."""
    server.look(0 * SECOND, row(950_000))
    server.look(3 * SECOND, row(953_000, item="b2" * 16))
    server.look(6 * SECOND, row(3_000, item="b2" * 16))
    server.look(9 * SECOND)
    server.look(12 * SECOND)

    assert [(step.action, step.position_ms) for step in server.steps] == [
        (START, 950_000),
        (STOP, 950_000),
        (START, None),
        (STOP, 3_000),
    ]


@pytest.mark.parametrize("position", [1_190_000, None])
def test_a_position_beyond_the_end_or_none_leaves_the_last_one(server: Looks, position: int | None) -> None:
    """Trap 4."""
    server.look(0 * SECOND, row(890_000))
    server.look(3 * SECOND, row(position))
    server.look(6 * SECOND)
    server.look(9 * SECOND)

    assert [(step.action, step.position_ms) for step in server.steps] == [(START, 890_000), (STOP, 890_000)]


def test_what_plays_on_after_a_short_outage_is_the_same_viewing(server: Looks) -> None:
    server.look(0 * SECOND, row(0))
    server.viewings.leave()
    server.look(2 * MINUTE, row(60_000))

    assert server.actions == [START, PROGRESS]


def test_what_ended_in_a_short_outage_ends_where_it_was_seen_last(server: Looks) -> None:
    server.look(0 * SECOND, row(0))
    server.look(40 * SECOND, row(40_000))
    server.look(2 * MINUTE)
    server.look(2 * MINUTE + 3 * SECOND)

    (_, stop) = server.steps
    assert (stop.action, stop.at - AT, stop.position_ms) == (STOP, 40 * SECOND, 40_000)


def test_nothing_is_gone_on_with_after_a_long_outage(server: Looks) -> None:
    server.look(0 * SECOND, row(0))
    server.look(6 * MINUTE)
    server.look(6 * MINUTE + 3 * SECOND, row(0))

    assert server.actions == [START, START]


def test_how_far_it_is_is_told_before_the_server_is_lost_sight_of(server: Looks) -> None:
    server.look(0 * SECOND, row(0))
    server.look(30 * SECOND, row(30_000))

    assert [(step.action, step.at - AT, step.position_ms) for step in server.viewings.leave()] == [
        (PROGRESS, 30 * SECOND, 30_000)
    ]
    assert server.viewings.leave() == []


def test_what_nobody_tracks_is_told_once(server: Looks) -> None:
    television: dict[str, Any] = {"NowPlayingItem": {"Id": "c1" * 16, "Type": "TvChannel", "Name": "One"}}
    server.look(0 * SECOND, row(0, **television))
    server.look(2 * MINUTE, row(90_000, **television))
    server.look(3 * MINUTE)
    server.look(4 * MINUTE)

    assert server.actions == [START]


@pytest.mark.parametrize(
    "broken",
    [
        None,
        7,
        {},
        {"Id": "s1"},
        {"Id": "s1", "UserId": NORA, "NowPlayingItem": "film"},
        {"Id": "s1", "UserId": NORA, "NowPlayingItem": {"Id": {}}},
        {"Id": ["s1"], "UserId": NORA, "NowPlayingItem": {"Id": "b1" * 16}},
        {"Id": "s1", "UserId": "0" * 32, "NowPlayingItem": {"Id": "b1" * 16}},
        {"Id": "s1", "UserId": NORA, "Client": "Watchmark", "NowPlayingItem": {"Id": "b1" * 16}},
        {"Id": "s1", "AdditionalUsers": "ben", "NowPlayingItem": {"Id": "b1" * 16}},
    ],
)
def test_a_session_that_makes_no_sense_or_is_nobodys_hides_no_other(server: Looks, broken: Any) -> None:
    server.look(0 * SECOND, broken, row(0, key="s2"))

    assert [step.playing.session for step in server.steps] == ["s2"]


def test_fifty_sessions_at_once_are_fifty_viewings(server: Looks) -> None:
    rows = [row(0, key=f"s{number}", user=f"{number:032x}") for number in range(1, 51)]

    server.look(0 * SECOND, *rows)

    assert server.actions == [START] * 50
