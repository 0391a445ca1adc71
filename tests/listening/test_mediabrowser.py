"""Listening to a Jellyfin and an Emby: what is read beside the sessions, and what a statement means.

The numbers of traps are those of the contract of media servers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.listening._looks import BEN, LENGTH, NORA, SERVERS, Evening, episode, evening
from tests.servers._asked import AT, payload, webhook
from tests.servers.test_jellyfin import dto
from webhook.domain.event import Action, Episode, Ids
from webhook.domain.items import keys
from webhook.domain.outcome import Dead, Retry
from webhook.servers._mediabrowser import listening, polling, viewings
from webhook.sources import read_webhook

START, STOP = Action.START, Action.STOP


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Evening]:
    monkeypatch.setattr(listening, "BUSY_PAUSE", 0.01)
    monkeypatch.setattr(listening, "IDLE_PAUSE", 0.01)
    monkeypatch.setattr(viewings, "MISS_TIME", 0 * viewings.MISS_TIME)
    monkeypatch.setattr(listening.Listening, "hear_hints", lambda self, stands: asyncio.sleep(3600))
    with evening(request.param) as found:
        yield found


def test_a_play_to_its_end_is_a_start_and_a_completed_stop(server: Evening) -> None:
    server.listen(
        lambda: server.fake.start("s1", episode(), NORA),
        lambda: server.fake.move("s1", LENGTH * 95 // 100),
        lambda: server.fake.stop("s1"),
    )

    assert [(event.action, event.position_ms, event.completed) for event in server.events] == [
        (START, 0, None),
        (STOP, LENGTH * 95 // 100, True),
    ]


def test_a_play_that_is_left_is_not_completed(server: Evening) -> None:
    server.listen(
        lambda: server.fake.start("s1", episode(), NORA),
        lambda: server.fake.move("s1", LENGTH // 2),
        lambda: server.fake.stop("s1"),
    )

    assert [(event.action, event.completed) for event in server.events] == [(START, None), (STOP, False)]


@pytest.mark.parametrize("version", ["10.8.13", "10.11.5", "12.0.0"])
@pytest.mark.parametrize(("percent", "completed"), [(50, False), (95, True)])
def test_a_rewatch_is_completed_only_at_its_end_and_unmarks_nothing(
    server: Evening, version: str, percent: int, completed: bool
) -> None:
    """Trap 17: up to 10.11 a start takes the mark back; from 12.0 it stays all along."""
    server.fake.switches.version = version
    server.fake.play(NORA, "nora", episode(), AT)

    server.listen(
        lambda: server.fake.start("s1", episode(), NORA),
        lambda: server.fake.move("s1", LENGTH * percent // 100),
        lambda: server.fake.stop("s1"),
    )

    assert [(event.action, event.completed) for event in server.events] == [(START, None), (STOP, completed)]


def test_each_of_two_people_in_a_session_has_their_own_play(server: Evening) -> None:
    """Trap 24."""
    server.listen(
        lambda: server.fake.start("s1", episode(), NORA, also=[BEN]),
        lambda: server.fake.stop("s1", LENGTH),
    )

    assert [(event.action, event.user, event.user_id) for event in server.events] == [
        (START, "nora", NORA),
        (START, "ben", BEN),
        (STOP, "nora", NORA),
        (STOP, "ben", BEN),
    ]


def test_the_ids_of_the_show_are_read_once_for_each_episode(server: Evening) -> None:
    server.listen(
        lambda: server.fake.start("s1", episode(), NORA),
        lambda: server.fake.stop("s1", LENGTH),
    )

    (start, stop) = server.events
    for event in (start, stop):
        assert isinstance(event.item, Episode)
        assert (event.item.ids, event.item.show_ids) == (Ids(tvdb=9900009), Ids(tvdb=880))
        assert (event.item_key, event.show_key) == ("4101", "4000")
    assert len([call for call in server.fake.calls if "Ids=4101%2C4000" in call.query]) == 1


def test_a_server_that_does_not_describe_an_item_is_listened_to_all_the_same(server: Evening) -> None:
    server.fake.faults.add("GET /Items", status=500, times=-1)
    server.fake.faults.add("GET /Users", status=500, times=-1)

    server.listen(
        lambda: server.fake.start("s1", episode(), NORA),
        lambda: server.fake.stop("s1", LENGTH),
    )

    assert [(event.action, event.completed) for event in server.events] == [(START, None), (STOP, None)]


@pytest.mark.parametrize("version", ["10.8.13", "12.0.0"])
def test_what_is_heard_is_of_the_webhooks_person_server_player_and_item(
    server: Evening, version: str
) -> None:
    """Trap 25: one claim serves both, and both are one play."""
    name = {"jellyfin": "jellyfin/episode-started", "emby": "emby/episode-started-in-the-middle"}[server.name]
    told, sent = webhook(name), payload(name)
    item = sent.get("Item") or {**dto(sent), "SeriesId": sent["SeriesId"]}
    assert told.user_id is not None
    server.fake.users = {told.user_id: "nora"}
    server.fake.switches.version = version

    server.listen(lambda: server.fake.start("s1", item, told.user_id or "", device=told.player_id or ""))

    (heard,) = server.events
    for field in ("action", "user", "user_id", "server", "server_name", "player_id", "item_key", "show_key", "duration_ms"):  # fmt: skip
        assert getattr(heard, field) == getattr(told, field), field
    assert set(keys(told.item)) <= set(keys(heard.item))


def test_a_statement_is_kept_in_the_servers_own_words(server: Evening) -> None:
    server.listen(
        lambda: server.fake.start("s1", episode(), NORA),
        lambda: server.fake.stop("s1", LENGTH),
    )

    body = server.ears.told[-1].to_json()
    assert (body["user"], body["session"]["DeviceId"]) == ({"Id": NORA, "Name": "nora"}, "dev1")
    assert body["user_data"]["Played"] is True
    assert "/media/" not in str(body)
    assert isinstance(read_webhook(server.name, body, AT), list)


def test_what_was_told_as_completed_is_no_mark_by_hand(
    server: Evening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "POLL_DELAY", 0.0)
    monkeypatch.setattr(polling, "POLL_PAUSE", 0.0)

    server.listen(
        lambda: server.fake.start("s1", episode(), NORA),
        lambda: server.fake.stop("s1", LENGTH),
        lambda: None,
        lambda: None,
    )

    assert [event.action for event in server.events] == [START, STOP]


def test_a_key_that_is_refused_ends_the_line(server: Evening) -> None:
    server.fake.switches.key = "another"
    given = server.fake.switches.key
    server.fake.faults.add("GET /Sessions", status=401)

    error = server.listen()

    assert isinstance(error, Dead)
    assert "401" in str(error)
    assert given not in str(error)


@pytest.mark.parametrize("answer", [{"status": 503}, {"reset": True}, {"status": 429}])
def test_a_server_that_is_away_for_a_moment_breaks_the_line_and_nothing_is_lost(
    server: Evening, answer: dict[str, object]
) -> None:
    def go_away() -> None:
        server.fake.move("s1", LENGTH // 3)
        server.fake.faults.add("GET /Sessions", skip=1, **answer)

    error = server.listen(lambda: server.fake.start("s1", episode(), NORA), go_away)

    assert isinstance(error, Retry)
    assert [(event.action, event.position_ms) for event in server.events] == [
        (START, 0),
        (Action.PROGRESS, LENGTH // 3),
    ]


def test_a_server_that_is_silent_is_given_up(server: Evening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "LOOK_TIMEOUT", 0.1)

    def fall_silent() -> None:
        server.fake.faults.add("GET /Sessions", delay=60.0)

    error = server.listen(lambda: server.fake.start("s1", episode(), NORA), fall_silent)

    assert isinstance(error, Retry)


@pytest.mark.parametrize("body", ["<html>Sign in</html>", {"Items": []}, 7])
def test_an_answer_that_is_no_list_of_sessions_is_said_so(server: Evening, body: object) -> None:
    server.fake.faults.add("GET /Sessions", body=body)

    assert isinstance(server.listen(), Dead)


def test_the_line_stands_once_the_sessions_were_read(server: Evening) -> None:
    server.listen()

    assert server.ears.connections == 1
    assert server.ears.told == []
