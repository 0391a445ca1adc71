"""The tracker `punchplay` over several calls, against the fake PunchPlay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.fakes._server import Server
from tests.fakes.punchplay import BASE, PunchPlay
from tests.test_cli import Home
from tests.test_cli import home as home_of_commands
from tests.trackers._adapters import LATE, MARK, NOW, PLACED
from tests.trackers._anna import Anna, anna_at
from webhook import clock
from webhook.domain.event import Action, Episode, Ids
from webhook.domain.outcome import Done, Park, Retry, Snooze, Unmatched
from webhook.trackers import Delivery

home = home_of_commands
SYNC = f"POST {BASE}/sync/history"
STOP = replace(MARK, action=Action.STOP, mark=False, progress=75.0)


@pytest.fixture
def anna(loopbacks: Mapping[str, Server], monkeypatch: pytest.MonkeyPatch) -> Anna:
    monkeypatch.setattr(clock, "now", lambda: NOW)
    return anna_at("punchplay", loopbacks)


def plays(anna: Anna) -> list[Any]:
    return list(anna.fake.user("anna").plays)


def part(number: int, show: int = 70_002) -> Delivery:
    """A late mark of an episode that the fake makes as it is asked for."""
    item = Episode(title=f"Part {number}", show="Tidewater", season=1, number=number, show_ids=Ids(tmdb=show))
    return replace(LATE, id=number, item=item, at=NOW - timedelta(days=2, hours=number), started_at=None)


def test_an_evening_leaves_a_position_and_then_a_play(anna: Anna) -> None:
    begun = anna.send(replace(STOP, id=8, action=Action.START, progress=0.0))
    left = anna.send(replace(STOP, id=9))
    position, before = dict(anna.fake.user("anna").progress), len(plays(anna))
    anna.send(MARK)

    assert isinstance(begun, Done)
    assert isinstance(left, Done)
    assert [*position.values()] == [0.75]
    assert before == 0  # although the account's own threshold is 70 %
    assert [play.at for play in plays(anna)] == [NOW]
    assert anna.fake.user("anna").progress == {}


def test_of_many_plays_one_that_is_not_known_keeps_no_other_back(anna: Anna) -> None:
    many = [part(number) for number in range(1, 251)]
    many[99] = part(100, show=999_999)

    outcomes = [
        outcome for first in range(0, 250, 100) for outcome in anna.send_many(many[first : first + 100])
    ]

    (lost,) = [outcome for outcome in outcomes if not isinstance(outcome, Done)]
    assert isinstance(lost, Unmatched)
    assert "no title matches" in lost.reason
    assert len(anna.fake.made(SYNC)) == 3
    assert len(plays(anna)) == 249


def test_after_a_key_that_ended_unknown_only_what_is_missing_goes_under_another(anna: Anna) -> None:
    anna.fake.switches.indeterminate = True
    anna.fake.faults.add(SYNC, record_then="reset")
    two = [part(1), part(2)]

    lost = anna.send_many(two)
    del anna.fake.user("anna").plays[1]  # half of it was done
    again = anna.send_many([replace(one, unsure=True, attempts=1) for one in two])

    assert isinstance(lost, Retry)
    assert all(isinstance(outcome, Done) for outcome in again), again
    assert sorted(play.entry.data["number"] for play in plays(anna)) == [1, 2]
    assert len(anna.fake.made(SYNC)[-1].body["items"]) == 1


def test_a_mark_that_is_dated_when_it_arrives_is_taken_back_among_others(anna: Anna) -> None:
    anna.fake.switches.dates_arrival = True
    anna.fake.clock.advance(timedelta(minutes=4))
    film = anna.fake.catalogue.by_ids("movie", {"tmdb": 20526})
    anna.fake.play(anna.fake.user("anna"), film, NOW - timedelta(days=1))

    done = anna.send(MARK)
    undone = anna.undo(MARK, done)

    assert isinstance(undone, Done)
    assert [play.at for play in plays(anna)] == [NOW - timedelta(days=1)]


@pytest.mark.parametrize("camel", [True, False])
def test_an_episode_that_another_app_told_is_not_told_again(anna: Anna, camel: bool) -> None:
    anna.fake.switches.camel = camel
    show = anna.fake.catalogue.by_ids("show", {"tmdb": 1396})
    told = anna.fake.catalogue.part("episode", show, season=1, number=1)
    anna.fake.play(anna.fake.user("anna"), told, NOW - timedelta(minutes=3))

    outcome = anna.send(replace(MARK, item=replace(PLACED, ids=Ids())))

    assert isinstance(outcome, Done)
    assert outcome.remote_id is None  # none of ours, and never taken back
    assert len(plays(anna)) == 1


def test_a_renewal_whose_answer_is_lost_waits_for_a_sign_in(anna: Anna) -> None:
    anna.fake.expire("anna")
    anna.fake.faults.add(f"POST {BASE}/auth/refresh", record_then="reset")

    lost, ended = anna.send(MARK), anna.send(MARK)

    assert isinstance(lost, Retry)
    assert isinstance(ended, Snooze)
    assert ended.park is Park.SIGNED_OUT
    assert plays(anna) == []


def test_one_signs_in_by_a_code(home: Home) -> None:
    with Server(PunchPlay(auto_approve="anna", interval=1)) as server:
        home.set(PUNCHPLAY_API_URL=server.url + BASE, PUNCHPLAY_CLIENT_ID="fake-client-id")
        ended = home.run("connect", "punchplay")
        given_back = home.run("disconnect", "punchplay")

    assert ended.exit_code == 0, ended.stderr
    assert "Open https://punchplay.tv/link and enter " in ended.stdout
    assert "me is signed in to PunchPlay as anna." in ended.stdout
    assert given_back.exit_code == 0, given_back.stderr
    assert server.fake.sessions == []
