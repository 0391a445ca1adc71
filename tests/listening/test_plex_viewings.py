"""What follows from a Plex server's alerts. The numbers of traps are those of the contract of media servers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from webhook.domain.event import Action, Ignored
from webhook.servers.plex.alerts import Alert, Change, read_frame
from webhook.servers.plex.viewings import Session, Viewings
from webhook.sources import plex
from webhook.sources._listened import Statement

pytestmark = pytest.mark.unit

AT = datetime(2026, 11, 29, 20, 0, tzinfo=UTC)
LENGTH = 1_000_000
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
START, PAUSE, RESUME, STOP, PROGRESS = (
    Action.START, Action.PAUSE, Action.RESUME, Action.STOP, Action.PROGRESS
)  # fmt: skip


class Line:
    """One connection, with what the server would say of who plays; None where it does not say."""

    def __init__(self) -> None:
        self.viewings = Viewings(server={"uuid": "5f" * 20, "title": "Attic"})
        self.users: dict[tuple[str, str], str] = {("1", "7"): "Nora"}
        self.told: list[Statement] = []

    def hear(self, state: str, at: timedelta, position: int | None = 0, *, key: str = "1", item: str = "7", client: str = "p1") -> list[Statement]:  # fmt: skip
        """The statements that an alert brings, and those of asking who plays where that is due."""
        alert = Alert(session=key, item=item, state=state, said={}, position_ms=position, client=client)
        told = self.viewings.hear(alert, AT + at)
        return self.keep([*told, *self.ask(AT + at)])

    def ask(self, now: datetime) -> list[Statement]:
        told = []
        for viewing in self.viewings.wait(now):
            user = self.users.get((viewing.alert.session, viewing.alert.item))
            if user is not None:
                told += self.viewings.introduce(viewing, session(user, viewing.alert.item))
        return told

    def pass_time(self, at: timedelta) -> list[Statement]:
        return self.keep(self.viewings.pass_time(AT + at))

    def keep(self, told: list[Statement]) -> list[Statement]:
        self.told += told
        return told


def session(user: str, item: str = "7", **more: Any) -> Session:
    described = {"type": "movie", "title": "Film", "year": 2020, "ratingKey": item, "duration": LENGTH}
    return Session(
        user={"id": "1", "title": user}, player={"machineIdentifier": "p1", "title": "Sofa"}, session=described,
        item={}, duration_ms=LENGTH, **more,
    )  # fmt: skip


def actions(told: list[Statement]) -> list[Action]:
    return [statement.action for statement in told]


@pytest.fixture
def line() -> Line:
    return Line()


def test_an_evening_is_a_start_a_pause_a_resume_and_a_stop(line: Line) -> None:
    line.hear("playing", 0 * MINUTE, 0)
    line.hear("paused", 5 * MINUTE, 300_000)
    line.hear("playing", 9 * MINUTE, 300_000)
    line.hear("stopped", 14 * MINUTE, 600_000)

    assert [(one.action, one.at - AT, one.position_ms) for one in line.told] == [
        (START, 0 * MINUTE, 0),
        (PAUSE, 5 * MINUTE, 300_000),
        (RESUME, 9 * MINUTE, 300_000),
        (STOP, 14 * MINUTE, 600_000),
    ]


def test_a_statement_is_read_as_the_webhook_it_replaces(line: Line) -> None:
    (told,) = line.hear("playing", 0 * MINUTE, 42_000)

    events = plex.parse(told.to_json(), AT + MINUTE)

    assert not isinstance(events, Ignored)
    (event,) = events
    assert (event.action, event.at, event.user, event.user_id) == (START, AT, "Nora", "1")
    assert (event.server, event.player, event.player_id) == ("5f" * 20, "Sofa", "p1")
    assert (event.position_ms, event.duration_ms, event.item_key) == (42_000, LENGTH, "7")


def test_progress_is_told_once_a_minute_where_the_clock_does_not_say_it(line: Line) -> None:
    for second in range(0, 181, 10):
        line.hear("playing", second * SECOND, second * 2000)

    assert [(one.action, one.position_ms) for one in line.told] == [
        (START, 0), (PROGRESS, 120_000), (PROGRESS, 240_000), (PROGRESS, 360_000)
    ]  # fmt: skip


def test_what_plays_on_as_the_clock_does_is_told_every_five_minutes(line: Line) -> None:
    for second in range(0, 601, 10):
        line.hear("playing", second * SECOND, second * 1000)

    assert [(one.action, one.position_ms) for one in line.told] == [
        (START, 0), (PROGRESS, 300_000), (PROGRESS, 600_000)
    ]  # fmt: skip


def test_a_seek_that_flaps_is_no_pause(line: Line) -> None:
    line.hear("playing", 0 * SECOND)
    line.hear("paused", 1 * SECOND, 1000)
    line.hear("playing", 2 * SECOND, 500_000)
    line.pass_time(10 * SECOND)

    assert actions(line.told) == [START]


def test_where_something_rests_that_was_not_heard_playing_is_told_once_it_has_held(line: Line) -> None:
    """A webhook may have told of its begin, and not of the pause."""
    for second in range(0, 31, 10):
        line.hear("paused", second * SECOND, 442_000)
    line.hear("playing", 40 * SECOND, 442_000)
    line.hear("stopped", 50 * SECOND, 452_000)

    assert [(one.action, one.at - AT, one.position_ms) for one in line.told] == [
        (PAUSE, 0 * SECOND, 442_000),
        (START, 40 * SECOND, 442_000),
        (STOP, 50 * SECOND, 452_000),
    ]


def test_a_client_that_pauses_while_it_opens_an_item_says_nothing_of_it(line: Line) -> None:
    line.hear("paused", 0 * SECOND, 0)
    line.hear("paused", 30 * SECOND, 0)
    line.hear("stopped", 40 * SECOND, 0)

    assert line.told == []


def test_a_pause_right_after_the_start_is_told_once_it_has_held(line: Line) -> None:
    line.hear("playing", 0 * SECOND)
    line.hear("paused", 2 * SECOND, 2000)
    assert actions(line.told) == [START]

    (pause,) = line.pass_time(6 * SECOND)

    assert (pause.action, pause.at, pause.position_ms) == (PAUSE, AT + 2 * SECOND, 2000)


def test_buffering_and_errors_change_nothing(line: Line) -> None:
    line.hear("playing", 0 * SECOND)
    line.hear("buffering", 20 * SECOND, 20_000)
    line.hear("error", 30 * SECOND, 20_000)

    assert actions(line.told) == [START]


def test_a_stop_heard_first_is_of_nobody(line: Line) -> None:
    """Trap 1."""
    assert line.hear("stopped", 0 * MINUTE, 900_000) == []
    assert line.viewings.wait(AT + MINUTE) == []
    assert line.viewings.is_any_missed


def test_nothing_is_missed_where_a_stop_is_said_twice(line: Line) -> None:
    line.hear("playing", 0 * SECOND)
    line.hear("stopped", 30 * SECOND, 30_000)
    line.hear("stopped", 31 * SECOND, 30_000)

    assert not line.viewings.is_any_missed


def test_a_session_that_is_not_known_is_credited_to_nobody(line: Line) -> None:
    """Traps 2 and 8: asked again, and told as it began once somebody is known."""
    del line.users["1", "7"]
    assert line.hear("playing", 0 * SECOND, 10_000) == []
    assert line.hear("playing", 2 * SECOND, 12_000) == []
    line.users["1", "7"] = "Nora"

    (start,) = line.hear("playing", 10 * SECOND, 20_000)

    assert (start.action, start.at, start.position_ms) == (START, AT, 10_000)


def test_a_session_that_stays_unknown_ends_unsaid(line: Line) -> None:
    """Trap 8."""
    del line.users["1", "7"]
    line.hear("playing", 0 * SECOND)
    line.hear("stopped", 30 * SECOND, 990_000)

    assert line.told == []
    assert line.viewings.ended == []
    assert line.viewings.is_any_missed


def test_who_plays_is_asked_at_most_every_five_seconds(line: Line) -> None:
    del line.users["1", "7"]
    line.hear("playing", 0 * SECOND)
    alert = Alert(session="1", item="7", state="playing", said={}, position_ms=1000)
    line.viewings.hear(alert, AT + 3 * SECOND)

    assert line.viewings.wait(AT + 3 * SECOND) == []
    assert len(line.viewings.wait(AT + 5 * SECOND)) == 1


def test_a_position_past_the_end_belongs_to_the_next_item(line: Line) -> None:
    """Trap 4."""
    line.hear("playing", 0 * MINUTE, 0)
    line.hear("playing", 10 * SECOND, 890_000)
    line.hear("playing", 20 * SECOND, 1_190_000)

    (stop,) = line.hear("stopped", 30 * SECOND, 1_190_000)

    assert stop.position_ms == 890_000


def test_another_item_under_the_key_ends_the_one_before(line: Line) -> None:
    line.users["1", "8"] = "Nora"
    line.hear("playing", 0 * MINUTE, 0)
    line.hear("playing", 15 * MINUTE, 950_000)

    told = line.hear("playing", 16 * MINUTE, 0, item="8")

    assert [(one.action, one.position_ms) for one in told] == [(STOP, 950_000), (START, 0)]


@pytest.mark.parametrize(
    "frame",
    [
        '{"PlaySessionStateNotification":{"sessionKey":"1","ratingKey":"/library/metadata/1","state":"playing"}}',
        '{"PlaySessionStateNotification":{"sessionKey":"1","ratingKey":"7","viewOffset":"abc","state":"playing"}}',
        '{"PlaySessionStateNotification":{"sessionKey":"1","ratingKey":"7","state":"dancing"}}',
        '{"PlaySessionStateNotification":[7, null, "x"]}',
        '{"NotificationContainer":{"type":"playing","size":1}}',
        '{"NotificationContainer":[]}',
        '{"NotificationContainer":{"type":"playing","PlaySessionStateNo',
        "[]",
        "",
    ],
)
def test_a_frame_that_makes_no_sense_is_left_out(frame: str) -> None:
    """Trap 5."""
    assert read_frame(frame) == []


def test_one_bad_entry_leaves_the_others_alone() -> None:
    """Trap 5."""
    frame = '{"PlaySessionStateNotification":[{"sessionKey":"1"},{"sessionKey":2,"ratingKey":7,"state":"paused"}]}'

    (alert,) = read_frame(frame)

    assert isinstance(alert, Alert)
    assert (alert.session, alert.item, alert.state, alert.position_ms) == ("2", "7", "paused", None)


def test_alerts_are_read_with_and_without_a_container_as_one_and_as_a_list() -> None:
    entry = '{"sessionKey":"1","ratingKey":"7","state":"playing","viewOffset":1000}'
    shapes = [f'{{"PlaySessionStateNotification":{inside}}}' for inside in (entry, f"[{entry}]")]
    shapes += [f'{{"NotificationContainer":{shape}}}' for shape in shapes]

    read = [read_frame(shape) for shape in shapes]

    assert [len(found) for found in read] == [1, 1, 1, 1]
    assert {found[0].position_ms for found in read if isinstance(found[0], Alert)} == {1000}


def test_of_keys_given_twice_the_last_counts() -> None:
    frame = '{"PlaySessionStateNotification":{"sessionKey":"1","ratingKey":"7","state":"paused","state":"playing"}}'

    (alert,) = read_frame(frame)

    assert isinstance(alert, Alert)
    assert alert.state == "playing"


def test_silence_is_one_stop_at_the_last_position_when_it_was_heard(line: Line) -> None:
    """Trap 6."""
    line.hear("playing", 0 * MINUTE, 0)
    line.hear("playing", 30 * SECOND, 30_000)

    assert line.pass_time(5 * MINUTE) == []
    (stop,) = line.pass_time(5 * MINUTE + 30 * SECOND)

    assert (stop.action, stop.at, stop.position_ms) == (STOP, AT + 30 * SECOND, 30_000)
    assert line.pass_time(20 * MINUTE) == []


def test_two_who_play_at_once_are_told_apart(line: Line) -> None:
    """Trap 9."""
    line.users["2", "7"] = "Ben"
    line.hear("playing", 0 * SECOND)
    line.hear("playing", 1 * SECOND, key="2", client="p2")

    assert [one.said["user"]["title"] for one in line.told] == ["Nora", "Ben"]


def test_a_stop_under_another_key_is_of_what_plays_there(line: Line) -> None:
    line.hear("playing", 0 * SECOND)

    (stop,) = line.hear("stopped", 60 * SECOND, 60_000, key="77")

    assert (stop.action, stop.position_ms) == (STOP, 60_000)


def test_an_item_that_repeats_is_another_viewing(line: Line) -> None:
    line.hear("playing", 0 * SECOND)
    line.hear("playing", 10 * SECOND, 980_000)

    told = line.hear("playing", 20 * SECOND, 1_000)

    assert [(one.action, one.position_ms) for one in told] == [(STOP, 980_000), (START, 1_000)]


def test_an_item_that_is_played_back_from_its_end_is_the_same_viewing(line: Line) -> None:
    line.hear("playing", 0 * SECOND)
    line.hear("playing", 10 * SECOND, 980_000)

    assert line.hear("playing", 20 * SECOND, 500_000) == []


def test_an_item_that_begins_again_under_a_new_key_ends_the_one_before(line: Line) -> None:
    line.users["2", "7"] = "Nora"
    line.hear("playing", 0 * SECOND)
    line.hear("playing", 10 * SECOND, 300_000)

    told = line.hear("playing", 20 * SECOND, 0, key="2")

    assert [(one.action, one.position_ms) for one in told] == [(STOP, 300_000), (START, 0)]


def test_a_stop_without_its_position_is_at_the_last_one(line: Line) -> None:
    line.hear("playing", 0 * SECOND)
    line.hear("playing", 10 * SECOND, 920_000)

    (stop,) = line.hear("stopped", 20 * SECOND, 0)

    assert stop.position_ms == 920_000


def test_what_nobody_tracks_is_told_once(line: Line) -> None:
    line.viewings.hear(Alert(session="1", item="9", state="playing", said={}), AT)
    (viewing,) = line.viewings.wait(AT)

    told = line.viewings.introduce(viewing, session("Nora", "9", is_tracked=False))
    line.hear("playing", 2 * MINUTE, 120_000, item="9")
    line.hear("stopped", 3 * MINUTE, 180_000, item="9")

    assert actions(told) == [START]
    assert line.told == []
    assert line.viewings.ended == []


def test_the_last_position_is_told_before_the_connection_is_given_up(line: Line) -> None:
    line.hear("playing", 0 * SECOND)
    line.hear("playing", 50 * SECOND, 50_000)

    (progress,) = line.viewings.leave()

    assert (progress.action, progress.at, progress.position_ms) == (PROGRESS, AT + 50 * SECOND, 50_000)


def test_an_entry_of_the_timeline_is_read_alone_and_in_a_list() -> None:
    """Trap 12."""
    entry = '{"identifier":"com.plexapp.plugins.library","itemID":"4711","sectionID":2,"type":4,"state":5}'

    assert read_frame(f'{{"NotificationContainer":{{"TimelineEntry":{entry}}}}}') == [Change("4711")]
    assert read_frame(f'{{"NotificationContainer":{{"TimelineEntry":[{entry}]}}}}') == [Change("4711")]


def test_an_item_that_is_opened_is_no_viewing() -> None:
    """Trap 13."""
    activity = '{"NotificationContainer":{"type":"activity","ActivityNotification":[{"event":"ended"}]}}'

    assert read_frame(activity) == []


def test_a_viewing_covers_the_item_for_its_own_person(line: Line) -> None:
    line.hear("playing", SECOND)
    during = [line.viewings.covers("7", AT, {"title": name}) for name in ("Nora", "anna")]
    line.hear("stopped", 60 * SECOND)
    after = [line.viewings.covers("7", AT, {"title": name}) for name in ("Nora", "anna")]

    assert during == after == [True, False]
    assert line.viewings.covers("7", AT)
    assert not line.viewings.covers("8", AT, {"title": "Nora"})
