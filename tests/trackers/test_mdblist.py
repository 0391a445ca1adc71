"""The tracker `mdblist` over several calls, against the fake MDBList."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.fakes._server import Server
from tests.fakes.mdblist import MDBList
from tests.test_cli import Home
from tests.test_cli import home as home_of_commands
from tests.trackers._adapters import LATE, MARK, NOW, PLACED
from tests.trackers._anna import Anna, anna_at
from webhook import clock
from webhook.domain.event import Action, Episode, Ids, Movie, Show
from webhook.domain.outcome import Done, Retry, Skip, Snooze, Unmatched
from webhook.trackers import Delivery, SignInFailed

home = home_of_commands
START = replace(MARK, action=Action.START, mark=False, progress=20.0)
EPISODE = replace(MARK, item=PLACED)
SECOND = replace(PLACED, number=2, title="Cat's in the Bag...", ids=Ids(tmdb=62086, tvdb=349233))


@pytest.fixture
def anna(loopbacks: Mapping[str, Server], monkeypatch: pytest.MonkeyPatch) -> Anna:
    monkeypatch.setattr(clock, "now", lambda: NOW)
    return anna_at("mdblist", loopbacks)


def plays(anna: Anna) -> list[Any]:
    return list(anna.fake.user("anna").plays)


def part(number: int, **more: Any) -> Delivery:
    """A late mark of an episode that the fake makes as it is asked for."""
    item = Episode(
        title=f"Part {number}", show="Tidewater", season=1, number=number, show_ids=Ids(tmdb=70_002)
    )
    return replace(
        LATE, id=number, item=item, at=NOW - timedelta(days=2, hours=number), started_at=None, **more
    )


# Live


def test_an_episode_is_watched_and_not_its_show(anna: Anna) -> None:
    outcome = anna.send(EPISODE)

    assert isinstance(outcome, Done)
    assert [play.entry.data["number"] for play in plays(anna)] == [1]


def test_a_show_without_a_place_would_be_all_of_it_so_that_none_is_sent(anna: Anna) -> None:
    outcome = anna.send(replace(EPISODE, item=replace(PLACED, season=None, ids=Ids())))

    assert isinstance(outcome, Unmatched)
    assert anna.fake.calls == []


@pytest.mark.parametrize("progress", [79.95, 80.0, 96.0, 100.0])
def test_a_start_near_the_end_marks_nothing_and_the_end_does(anna: Anna, progress: float) -> None:
    started = anna.send(replace(START, progress=progress))
    before = len(plays(anna))
    ended = anna.send(MARK)

    assert isinstance(started, Done)
    assert before == 0
    assert isinstance(ended, Done)
    assert len(plays(anna)) == 1


def test_a_pause_keeps_the_position(anna: Anna) -> None:
    anna.send(replace(START, action=Action.PAUSE, progress=42.0))

    (kept,) = anna.fake.user("anna").playback.values()
    assert kept["progress"] == 42.0


def test_a_play_that_another_app_has_told_is_not_told_again(anna: Anna) -> None:
    film = anna.fake.catalogue.by_ids("movie", {"tmdb": 20526})
    anna.fake.remember(anna.fake.user("anna"), film, NOW - timedelta(minutes=3))

    outcome = anna.send(MARK)

    assert isinstance(outcome, Done)
    assert outcome.remote_id is None  # none of ours, and never taken back
    assert len(plays(anna)) == 1


def test_a_second_viewing_is_a_second_play(anna: Anna) -> None:
    for days in (0, 1, 365):
        anna.send(replace(LATE, id=days, at=LATE.at - timedelta(days=days)))

    assert len(plays(anna)) == 3


# What it does not know


@pytest.mark.parametrize("delivery", [LATE, MARK], ids=["late", "live"])
def test_an_episode_of_a_season_by_its_year_goes_by_its_own_id(anna: Anna, delivery: Delivery) -> None:
    outcome = anna.send(replace(delivery, item=replace(PLACED, season=2008, ids=Ids(tmdb=62085))))
    again = anna.send(replace(delivery, item=replace(PLACED, season=2008, ids=Ids(tmdb=62085)), unsure=True))

    assert isinstance(outcome, Done), outcome
    assert isinstance(again, Done), again
    assert [play.entry.data["number"] for play in plays(anna)] == [1]


@pytest.mark.parametrize("late", [True, False])
@pytest.mark.parametrize("echoes", [True, False])
def test_what_is_not_found_inside_a_success_is_never_done(anna: Anna, late: bool, echoes: bool) -> None:
    anna.fake.switches.echoes = echoes
    outcome = anna.send(replace(LATE if late else MARK, item=replace(PLACED, season=2008, ids=Ids())))

    assert isinstance(outcome, Unmatched), outcome
    assert plays(anna) == []


@pytest.mark.parametrize("echoes", [True, False])
@pytest.mark.parametrize("names", [True, False])
def test_of_many_the_one_that_is_not_found_is_the_only_one_unmatched(
    anna: Anna, echoes: bool, names: bool
) -> None:
    anna.fake.switches.echoes, anna.fake.switches.names_plays = echoes, names
    lost = replace(part(3), item=replace(PLACED, season=2008, ids=Ids()))

    outcomes = anna.send_many([part(1), part(2), lost, part(4)])

    assert [type(outcome) for outcome in outcomes] == [Done, Done, Unmatched, Done]
    assert len(plays(anna)) == 3


# Many


def test_a_backlog_goes_a_hundred_at_a_time_and_is_there_once(anna: Anna) -> None:
    backlog = [part(number) for number in range(1, 301)]

    async def work(tracker: Any) -> list[Any]:
        found = []
        for begin in (0, 100, 200):
            found += await tracker.send_many(backlog[begin : begin + 100], anna.access)
        return found

    outcomes = anna.run(work)

    assert all(isinstance(outcome, Done) for outcome in outcomes)
    assert len(plays(anna)) == 300
    assert len(anna.fake.made("POST /sync/watched")) == 3
    assert sorted(outcome.remote_id for outcome in outcomes) == sorted(str(play.id) for play in plays(anna))


@pytest.mark.parametrize("how", ["silence", "reset", 502])
def test_a_batch_whose_answer_was_lost_is_there_once(anna: Anna, how: Any) -> None:
    anna.patience = 0.5
    backlog = [part(number) for number in range(1, 21)]
    anna.fake.faults.add("POST /sync/watched", record_then=how)

    lost = anna.send_many(backlog)
    again = anna.send_many([replace(mark, unsure=True) for mark in backlog])

    assert isinstance(lost, Retry)
    assert lost.unsure
    assert all(isinstance(outcome, Done) for outcome in again)
    assert len(plays(anna)) == 20
    assert len(anna.fake.made("POST /sync/watched")) == 1


def test_an_outage_in_the_middle_loses_and_doubles_nothing(anna: Anna) -> None:
    anna.fake.faults.add("POST /sync/watched", status=503, times=1)
    anna.fake.faults.add("GET /sync/watched", status=502, times=1)
    backlog = [part(number) for number in range(1, 6)]

    outcomes = [anna.send_many(backlog) for _ in range(3)]

    assert [type(outcome) for outcome in outcomes[:2]] == [Retry, Retry]
    assert all(isinstance(outcome, Done) for outcome in outcomes[2])
    assert len(plays(anna)) == 5


def test_a_pace_that_is_too_fast_is_waited_out(anna: Anna) -> None:
    anna.fake.switches.writes = 0

    anna.fake.user("anna").writes = [NOW]
    outcome = anna.send(MARK)

    assert isinstance(outcome, Snooze)
    assert outcome.after is not None
    assert outcome.after <= timedelta(seconds=310)


def test_a_date_near_another_is_the_same_play_and_another_app_s_stays_theirs(anna: Anna) -> None:
    film = anna.fake.catalogue.by_ids("movie", {"tmdb": 20526})
    anna.fake.switches.near_minutes = 60
    anna.fake.remember(anna.fake.user("anna"), film, LATE.at - timedelta(minutes=40))

    outcome = anna.send(LATE)

    assert isinstance(outcome, Done)
    assert "already there" in outcome.answer
    assert outcome.remote_id is None
    assert len(plays(anna)) == 1


# Taking back


@pytest.mark.parametrize("clears", [True, False])
def test_the_last_play_of_an_item_takes_its_state_along(anna: Anna, clears: bool) -> None:
    anna.fake.switches.last_play_clears = clears
    done = [anna.send(LATE), anna.send(replace(LATE, at=LATE.at - timedelta(days=30)))]

    first = anna.undo(LATE, done[0])
    state = dict(anna.fake.user("anna").states)
    second = anna.undo(LATE, done[1])

    assert isinstance(first, Done)
    assert len(state) == 1
    assert isinstance(second, Done)
    assert anna.fake.user("anna").states == {}
    assert plays(anna) == []


def test_many_plays_are_taken_back_after_one_look_and_may_be_told_again(anna: Anna) -> None:
    backlog = [part(number) for number in range(1, 21)]

    async def work(tracker: Any) -> list[Any]:
        told = await tracker.send_many(backlog, anna.access)
        for mark, done in zip(backlog, told, strict=True):
            undo = replace(mark, action=Action.UNWATCHED, mark=False, remote_id=done.remote_id)
            await tracker.send(undo, anna.access)
        left = len(plays(anna))
        return [left, *await tracker.send_many(backlog, anna.access)]

    left, *again = anna.run(work)

    assert left == 0
    assert all(outcome.answer.startswith("added") for outcome in again)
    assert len(plays(anna)) == 20
    assert len(anna.fake.made("GET /sync/watched")) == 2  # for the late ones, and once for all of it


def test_one_of_two_episodes_of_a_file_is_taken_back_alone(anna: Anna) -> None:
    both = [EPISODE, replace(EPISODE, id=9, item=SECOND)]
    done = [anna.send(mark) for mark in both]

    anna.undo(both[0], done[0])

    assert [play.entry.data["number"] for play in plays(anna)] == [2]


def test_a_play_of_another_app_is_never_taken_back(anna: Anna) -> None:
    film = anna.fake.catalogue.by_ids("movie", {"tmdb": 20526})
    anna.fake.remember(anna.fake.user("anna"), film, NOW)
    there = anna.send(MARK)

    undone = anna.undo(MARK, there)

    assert not isinstance(undone, Done)
    assert len(plays(anna)) == 1


# The history


def test_dates_of_states_are_never_read_as_plays(anna: Anna) -> None:
    anna.adapter.fill(anna.fake, range(3))
    for key, (entry, _) in anna.fake.user("anna").states.items():
        anna.fake.user("anna").states[key] = (entry, NOW)

    first, second = anna.held()[0], anna.held()[0]

    assert first == second
    assert [one.remote_id for one in first] == [str(play.id) for play in plays(anna)]


@pytest.mark.parametrize("page", [1, 7, 80])
def test_a_list_without_cursors_is_read_whole(anna: Anna, page: int) -> None:
    anna.fake.switches.cursors, anna.fake.switches.page = False, page
    anna.adapter.fill(anna.fake, range(30))

    found, broken = anna.held()

    assert broken is None
    assert len({one.remote_id for one in found}) == 30


# The calls of a day


def spend(anna: Anna, left: int) -> None:
    """Leave so many calls of the day, and let the tracker see it."""
    anna.fake.user("anna").day, anna.fake.user("anna").used = f"{NOW:%F}", 1000 - left


def with_calls_known(anna: Anna, left: int, *deliveries: Delivery) -> list[Any]:
    """The outcomes of these once the tracker has seen how many calls are left."""
    spend(anna, left + 1)

    async def work(tracker: Any) -> list[Any]:
        await tracker.check(anna.access)
        found = []
        for delivery in deliveries:
            try:
                found.append(await tracker.send(delivery, anna.access))
            except (Skip, Snooze) as decision:
                found.append(decision)
        return found

    return list(anna.run(work))


def test_late_marks_leave_what_the_evening_needs(anna: Anna) -> None:
    live = (START, MARK)

    late, *shown = with_calls_known(
        anna, 101, replace(LATE, item=Movie(title="Tron", ids=Ids(tmdb=97))), *live
    )

    assert isinstance(late, Done)  # 3:45 h are left of the day, which need 75 calls, and 100 are kept
    assert [type(outcome) for outcome in shown] == [Skip, Done]
    assert len(plays(anna)) == 2


def test_a_late_mark_waits_alone_where_few_calls_are_left(anna: Anna) -> None:
    late, mark = with_calls_known(anna, 90, LATE, MARK)

    assert isinstance(late, Snooze)
    assert (late.lane, late.park) == (False, None)
    assert late.after == timedelta(hours=3, minutes=44, seconds=51)
    assert isinstance(mark, Done)


def test_the_end_of_the_calls_keeps_everything(anna: Anna) -> None:
    anna.fake.switches.daily_reached = True
    marks = (MARK, EPISODE, LATE)

    held = [anna.send(mark) for mark in marks]
    anna.fake.switches.daily_reached = False
    anna.fake.clock.advance(timedelta(hours=4))
    sent = [anna.send(replace(mark, late=True)) for mark in marks]

    assert {type(outcome) for outcome in held} == {Snooze}
    assert all(outcome.park is None for outcome in held)
    assert {type(outcome) for outcome in sent} == {Done}
    assert len(plays(anna)) == 3


def test_the_calls_that_are_left_are_told(anna: Anna) -> None:
    anna.send(START)

    assert anna.access.calls_left is not None
    assert (anna.access.calls_left.limit, anna.access.calls_left.left) == (1000, 999)


# How one signs in


def test_a_key_is_all_that_is_needed(home: Home) -> None:
    with Server(MDBList()) as server:
        home.set(MDBLIST_API_URL=server.url)
        key = server.fake.key("anna")
        result = home.json("connect", "mdblist", stdin=f"{key}\n")
        listed = home.run("accounts").stdout
        judged = home.run("doctor").stdout
        (account,) = [row for row in home.json("accounts")["accounts"] if row["tracker"] == "mdblist"]

    assert (result["works"], result["name"]) == (True, "anna")
    assert key not in home.account("mdblist").tokens
    assert account["calls"]["limit"] == 1000
    assert "998 of 1,000 calls left today" in listed
    assert "calls left today" in judged


def test_a_wrong_key_is_said(home: Home) -> None:
    with Server(MDBList()) as server:
        home.set(MDBLIST_API_URL=server.url)
        ended = home.run("connect", "mdblist", stdin="nobody's\n")

    assert ended.exit_code == 1
    assert (
        "MDBList does not know this token; copy it from https://mdblist.com/preferences/#api" in ended.stderr
    )


def test_an_app_of_one_s_own_is_signed_in_to_by_a_code(home: Home) -> None:
    with Server(MDBList(auto_approve="anna", interval=1)) as server:
        home.set(MDBLIST_API_URL=server.url, MDBLIST_CLIENT_ID="fake-client-id")
        ended = home.run("connect", "mdblist")

    assert ended.exit_code == 0, ended.stderr
    assert "Open https://mdblist.com/oauth/device/ and enter " in ended.stdout
    assert "me is signed in to MDBList as anna." in ended.stdout


@pytest.mark.parametrize(
    ("error", "says"),
    [
        ("access_denied", "refused"),
        ("expired_token", "has expired"),
        ("device_not_found", "does not know this code"),
        ("invalid_client", "client id"),
    ],
)
def test_a_sign_in_that_ends_says_why(anna: Anna, error: str, says: str) -> None:
    anna.fake.faults.add("POST /oauth/token", status=400, body={"error": error})

    async def work(tracker: Any) -> str:
        code = await tracker.begin()
        with pytest.raises(SignInFailed) as failed:
            await tracker.poll(code)
        return str(failed.value)

    assert says in anna.run(work)


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 503},
        {"status": 200, "body": "<html>"},
        {"reset": True},
        {"status": 400, "body": {"error": "authorization_pending"}},
    ],
)
def test_a_sign_in_outlives_a_hiccup(anna: Anna, fault: Mapping[str, Any]) -> None:
    anna.fake.switches.auto_approve = "anna"
    anna.fake.faults.add("POST /oauth/token", **fault)

    async def work(tracker: Any) -> list[bool]:
        code = await tracker.begin()
        return [await tracker.poll(code) is not None for _ in range(2)]

    assert anna.run(work) == [False, True]


def test_a_refresh_token_stays_where_no_other_comes(anna: Anna) -> None:
    anna.fake.switches.rotates = False
    before = anna.access.tokens["refresh_token"]
    anna.fake.expire("anna")

    assert isinstance(anna.send(MARK), Done)
    assert anna.access.tokens["refresh_token"] == before


def test_a_sign_in_is_given_back(anna: Anna) -> None:
    anna.run(lambda tracker: tracker.revoke(anna.access.tokens))

    assert anna.fake.sessions == []


# Ratings and the collection


def test_ratings_and_the_collection_are_kept(anna: Anna) -> None:
    rate = replace(MARK, action=Action.RATE, mark=False, rating=8)
    told = (rate, replace(rate, item=PLACED), replace(rate, action=Action.ADD))

    outcomes = [anna.send(delivery) for delivery in told]
    rated = dict(anna.fake.user("anna").ratings)
    gone = anna.send(replace(rate, action=Action.UNRATE))

    assert all(isinstance(outcome, Done) for outcome in (*outcomes, gone)), outcomes
    assert sorted(rated.values()) == [8, 8]
    assert list(anna.fake.user("anna").ratings) == [key for key in rated if key.startswith("episode")]
    assert len(anna.fake.user("anna").collection) == 1
    assert plays(anna) == []


# The watchlist


@pytest.mark.parametrize("nested", [True, False])
def test_the_watchlist_is_changed_and_read_whole(anna: Anna, nested: bool) -> None:
    anna.fake.switches.nested_watchlist, anna.fake.switches.page = nested, 1
    titles = [MARK.item, Show(title="Breaking Bad", ids=Ids(tmdb=1396))]
    add = replace(MARK, action=Action.WATCHLIST, mark=False)

    added = [anna.send(replace(add, item=title)) for title in (*titles, titles[0])]
    listed = anna.run(lambda tracker: tracker.watchlist(anna.access))
    gone = [anna.send(replace(add, action=Action.UNWATCHLIST, item=titles[0])) for _ in range(2)]

    assert all(isinstance(outcome, Done) for outcome in (*added, *gone)), (added, gone)
    assert [one.item.title for one in listed] == ["TRON: Legacy", "Breaking Bad"]
    assert [entry.data["title"] for entry, _ in anna.fake.user("anna").watchlist.values()] == ["Breaking Bad"]
