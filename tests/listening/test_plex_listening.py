"""Listening to a Plex server over a real connection, with all that can go wrong with it.

The numbers of traps are those of the contract of media servers.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.fakes._server import Server
from tests.fakes.plex_server import PlexServer
from tests.fakes.test_lastfm_fake import Secure
from tests.listening._ears import Ears
from tests.listening.test_evening import BEN, LENGTH, episode
from webhook import client
from webhook.domain.event import Action
from webhook.domain.outcome import Dead, Retry, Undelivered
from webhook.servers import _events
from webhook.servers.plex import Settings, build, listening, polling, viewings

SOON = 20.0


class Line:
    """A line to a fake, held in a loop of its own; `hear` waits until so much was said."""

    def __init__(self, fake: PlexServer, url: str) -> None:
        self.fake, self.url = fake, url
        self.ears = Ears()
        self.user: str | None = None
        self.token = fake.switches.token

    def listen(self, *steps: Callable[[], Any] | int, heard: int = 1) -> Undelivered | None:
        """Do the steps, of which a number waits until so much was said, and what a step returns until it holds; what broke the line, if it broke before the end."""
        return asyncio.run(self.follow(steps, heard))

    async def follow(self, steps: tuple[Callable[[], Any] | int, ...], heard: int) -> Undelivered | None:
        http = client.client()
        given = {"url": self.url, "token": self.token, "user": self.user}
        server = build(Settings.model_validate(given), http)
        line = asyncio.create_task(server.listen(self.ears))
        try:
            await until(lambda: line.done() or self.fake.listeners > 0)
            for step in (*steps, heard):
                if callable(step):
                    holds = step()
                    await (until(holds) if callable(holds) else asyncio.sleep(0.1))
                else:
                    await until(lambda wanted=step: line.done() or len(self.ears.told) >= wanted)  # type: ignore[misc]
        finally:
            broke = line.done()
            line.cancel()
            with suppress(asyncio.CancelledError, Undelivered):
                await line
            await http.aclose()
        error = line.exception() if broke else None
        assert error is None or isinstance(error, Undelivered)
        return error

    @property
    def said(self) -> list[tuple[Action, str | None]]:
        return [(event.action, event.user) for event in self.ears.events]


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(SOON):
        while not holds():
            await asyncio.sleep(0.02)


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    monkeypatch.setattr(listening, "TICK", 0.05)
    monkeypatch.setattr(listening, "COUNT_DELAY", 0.2)
    monkeypatch.setattr(listening, "POLL_DELAY", 60.0)
    monkeypatch.setattr(viewings, "MAX_ASK_INTERVAL", 0 * viewings.SETTLE)
    monkeypatch.setattr(listening, "MIN_SESSIONS_INTERVAL", 0 * viewings.SETTLE)
    fake = PlexServer()
    fake.accounts[BEN] = "Ben"
    with Server(fake) as server:
        yield Line(fake, server.url)


def stop(line: Line, percent: int, key: str = "1") -> Callable[[], None]:
    return lambda: line.fake.stop(key, LENGTH * percent // 100)


def test_what_the_server_counts_is_watched_whatever_its_percentage(line: Line) -> None:
    line.fake.switches.played_threshold = 40
    line.listen(lambda: line.fake.start("1", episode()), 1, stop(line, 50), heard=3)

    assert [action for action, _ in line.said] == [Action.START, Action.STOP, Action.WATCHED]
    assert line.ears.events[-1].view_count == 1


def test_what_the_server_does_not_count_is_not_watched(line: Line) -> None:
    line.listen(lambda: line.fake.start("1", episode()), 1, stop(line, 50), heard=2)

    assert [action for action, _ in line.said] == [Action.START, Action.STOP]


def test_a_stop_that_is_the_first_thing_heard_has_the_history_read(line: Line) -> None:
    line.fake.start("1", episode())  # before anybody listens
    line.listen(stop(line, 95), *[lambda: None] * 5, heard=0)

    assert (line.said, line.ears.catch_ups) == ([], 1)


def test_a_stop_of_what_was_heard_has_nothing_read(line: Line) -> None:
    line.listen(lambda: line.fake.start("1", episode()), 1, stop(line, 50), *[lambda: None] * 5, heard=2)

    assert line.ears.catch_ups == 0


def test_a_count_that_lags_behind_the_stop_is_asked_for_again(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "COUNT_DELAY", 3.0)
    line.listen(
        lambda: line.fake.start("1", episode()),
        1,
        stop(line, 50),
        2,
        lambda: line.fake.mark(1, "4101", line.fake.clock.now()),
        heard=3,
    )

    assert [action for action, _ in line.said] == [Action.START, Action.STOP, Action.WATCHED]


def test_of_somebody_else_the_servers_history_says_what_counts(line: Line) -> None:
    line.fake.switches.played_threshold = 40
    line.listen(lambda: line.fake.start("1", episode(), account=BEN), 1, stop(line, 50), heard=3)

    assert line.said == [(Action.START, "Ben"), (Action.STOP, "Ben"), (Action.WATCHED, "Ben")]
    assert line.ears.events[-1].view_count is None


def test_where_nobody_says_whether_it_counts_the_servers_percentage_stands_in(line: Line) -> None:
    line.fake.switches.played_threshold = 70
    line.fake.faults.add("GET /status/sessions/history", status=500, times=-1)
    line.listen(lambda: line.fake.start("1", episode(), account=BEN), 1, stop(line, 75), heard=3)

    assert line.said[-1] == (Action.WATCHED, "Ben")


@pytest.mark.parametrize(
    ("behaviour", "percent", "watched"),
    [(0, 65, True), (3, 65, True), (1, 65, False), (2, 65, False), (1, 92, True)],
)
def test_a_percentage_that_the_server_does_not_go_by_does_not_stand_in(
    line: Line, behaviour: int, percent: int, watched: bool
) -> None:
    """Where the credits alone decide, the percentage that is set there means nothing."""
    line.fake.switches.played_threshold, line.fake.switches.played_behaviour = 60, behaviour
    line.fake.faults.add("GET /status/sessions/history", status=500, times=-1)
    counted = len(line.fake.made("GET /status/sessions/history"))

    def ask_twice() -> bool:
        return len(line.fake.made("GET /status/sessions/history")) >= counted + 2

    line.listen(
        lambda: line.fake.start("1", episode(), account=BEN), 1, stop(line, percent), 2,
        lambda: ask_twice, heard=2 + watched,
    )  # fmt: skip

    assert (line.said[-1] == (Action.WATCHED, "Ben")) == watched


def test_three_hundred_alerts_of_changes_are_one_poll(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trap 14: no item is looked up by itself."""
    monkeypatch.setattr(listening, "POLL_DELAY", 0.1)
    monkeypatch.setattr(polling, "HINT_DELAY", 0.5)

    def polls() -> int:
        return len(line.fake.made("GET /library/sections/1/all"))

    def change_all() -> None:
        for number in range(300):
            entry = {
                "identifier": "com.plexapp.plugins.library",
                "itemID": str(number),
                "type": 1,
                "state": 5,
            }
            line.fake.send_entry("timeline", "TimelineEntry", entry)

    async def listen() -> tuple[int, int]:
        first = 0

        def begin() -> None:
            nonlocal first
            first = polls()
            change_all()

        await line.follow((*[lambda: None] * 10, begin, *[lambda: None] * 20), 0)
        return first, polls()

    before, after = asyncio.run(listen())
    per_poll = 3  # what is watched, the newest, and ratings
    assert before > 0
    assert 0 < after - before <= per_poll
    assert not line.fake.made("GET /library/metadata")


def test_a_server_that_restarts_uses_its_keys_again_for_others(line: Line) -> None:
    """Trap 3."""
    line.listen(lambda: line.fake.start("1", episode()))
    line.fake.restart()
    line.listen(lambda: line.fake.start("1", episode(), account=BEN), heard=2)

    assert line.said == [(Action.START, "Nora"), (Action.START, "Ben")]


def test_sessions_that_are_refused_while_it_starts_are_nobodys_until_they_are_told(line: Line) -> None:
    """Trap 8."""
    line.fake.switches.starting = True

    def be_started() -> None:
        assert line.ears.told == []
        line.fake.switches.starting = False
        line.fake.move("1", 60_000)

    line.listen(lambda: line.fake.start("1", episode(), account=BEN), be_started)

    assert line.said == [(Action.START, "Ben")]
    assert line.ears.events[0].position_ms == 0


def test_two_who_play_at_once_are_told_apart(line: Line) -> None:
    """Trap 9."""
    line.listen(
        lambda: line.fake.start("1", episode(1)),
        lambda: line.fake.start("2", episode(2), account=BEN, player="p2"),
        heard=2,
    )

    assert line.said == [(Action.START, "Nora"), (Action.START, "Ben")]


def test_a_shared_users_own_token_hears_their_sessions_and_credits_them(line: Line) -> None:
    """Trap 10."""
    line.fake.shared["ben-token"] = BEN
    line.token, line.user = "ben-token", "Ben"
    line.fake.switches.played_threshold = 40
    line.listen(
        lambda: line.fake.start("1", episode(1)),
        lambda: line.fake.start("2", episode(2), account=BEN),
        1,
        stop(line, 50, "2"),
        heard=3,
    )

    assert line.said == [(Action.START, "Ben"), (Action.STOP, "Ben"), (Action.WATCHED, "Ben")]


def test_a_shared_token_without_a_name_credits_nobody(line: Line) -> None:
    line.fake.shared["ben-token"] = BEN
    line.token = "ben-token"
    line.listen(lambda: line.fake.start("1", episode(), account=BEN), heard=0)

    assert line.said == []


def test_alerts_without_a_container_are_heard(line: Line) -> None:
    line.fake.switches.contained = False
    line.listen(lambda: line.fake.start("1", episode()))

    assert line.said == [(Action.START, "Nora")]


@pytest.mark.parametrize(
    "sent",
    [
        b"event: playing\ndata: {\"NotificationContainer\":{\"type\":\"pl\n\n",
        b"event: playing\ndata: " + b"x" * (10 << 20) + b"\n\n",
        b"data: " + b"[" * 200_000 + b"\n\n",
        b"event: unheard-of\r\ndata: {}\r\n\r\n",
        b": a comment\n\n\n\nid: 7\nretry: 5\n\n",
        b"\xff\xfe\x00\n\n",
    ],
    ids=["half a frame", "10 MiB", "deep", "unknown", "comment", "no text"],
)  # fmt: skip
def test_a_bad_frame_does_not_end_the_line(line: Line, sent: bytes) -> None:
    """Trap 5."""
    broke = line.listen(lambda: line.fake.send_raw(sent), lambda: line.fake.start("1", episode()))

    assert broke is None
    assert line.said == [(Action.START, "Nora")]


def test_a_line_that_is_closed_has_told_how_far_it_was(line: Line) -> None:
    broke = line.listen(
        lambda: line.fake.start("1", episode()),
        1,
        lambda: line.fake.move("1", 900_000),
        line.fake.drop,
        heard=99,
    )

    assert isinstance(broke, Retry)
    assert [(event.action, event.position_ms) for event in line.ears.events] == [
        (Action.START, 0), (Action.PROGRESS, 900_000)
    ]  # fmt: skip


def test_what_was_heard_before_the_line_was_closed_counts(line: Line) -> None:
    def end() -> None:
        line.fake.stop("1", LENGTH // 2)
        line.fake.send_raw(b"event: ping\n\n" * 3)
        line.fake.start("2", episode(2))

    def cut() -> None:
        line.fake.stop("2", LENGTH // 3)
        line.fake.drop()

    broke = line.listen(lambda: line.fake.start("1", episode(1)), 1, end, 3, cut, heard=99)

    assert isinstance(broke, Retry)
    assert [action for action, _ in line.said] == [Action.START, Action.STOP, Action.START, Action.STOP]


def test_a_line_that_is_silent_is_given_up(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_events.open_events, "__defaults__", (0.3,))
    line.fake.switches.silent = True

    broke = line.listen(heard=1)

    assert isinstance(broke, Retry)
    assert "silent" in broke.reason


def test_a_token_that_is_revoked_ends_the_line_though_its_alerts_go_on(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "POLL_DELAY", 0.1)
    monkeypatch.setattr(polling, "POLL_INTERVAL", 0.1)

    def revoke() -> None:
        line.fake.switches.token = "another"

    broke = line.listen(lambda: line.fake.start("1", episode()), 1, revoke, heard=99)

    assert isinstance(broke, Dead)
    assert "PLEX_TOKEN" in broke.reason
    assert line.token not in str(broke)


@pytest.mark.parametrize(
    ("route", "fault", "kind"),
    [
        ("GET /:/eventsource", {"status": 401, "body": "<html>no</html>"}, Dead),
        ("GET /:/eventsource", {"body": "<html>a login page</html>"}, Dead),
        ("GET /:/eventsource", {"status": 503, "body": "<html>starting</html>"}, Retry),
        ("GET /:/eventsource", {"reset": True}, Retry),
        ("GET /:/eventsource", {"status": 302, "headers": {"location": "http://127.0.0.1:9/x"}}, Dead),
        ("GET /", {"body": "<html>a router</html>"}, Dead),
        ("GET /", {"body": {"MediaContainer": []}}, Dead),
        ("GET /", {"body": {"MediaContainer": {}}, "cut": 10}, Retry),
    ],
)
def test_an_answer_that_is_no_stream_is_said(
    line: Line, route: str, fault: dict[str, Any], kind: type
) -> None:
    line.fake.faults.add(route, times=-1, **fault)

    broke = line.listen(heard=1)

    assert isinstance(broke, kind)
    assert len(line.fake.made("GET /:/eventsource")) <= 1
    assert line.token not in str(broke)


def test_the_token_is_in_no_address_and_in_no_log(line: Line, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    line.listen(lambda: line.fake.start("1", episode()), 1, stop(line, 95), line.fake.drop, heard=3)

    assert [call for call in line.fake.calls if line.token in call.query] == []
    assert line.token not in caplog.text


def test_a_server_with_a_certificate_of_ones_own_authority_is_trusted_where_that_is_named(
    tmp_path: Path,
) -> None:
    fake = PlexServer()

    async def ask(url: str, ca_file: str) -> tuple[str, dict[str, str]]:
        async with client.client(ca_file=ca_file) as http:
            server = build(Settings.model_validate({"url": url, "token": fake.switches.token}), http)
            return await server.check(), await server.listening.api.account_names()

    with Secure(fake, tmp_path) as server:
        with pytest.raises(Retry):
            asyncio.run(ask(server.url, ""))
        assert asyncio.run(ask(server.url, str(server.authority))) == (fake.name, {"1": "Nora"})


def test_fifty_sessions_that_begin_at_once_are_few_reads(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "MIN_SESSIONS_INTERVAL", viewings.SETTLE / 5)

    def start_all() -> None:
        for number in range(50):
            line.fake.start(str(number), episode(number), player=f"p{number}")

    line.listen(start_all, heard=50)

    assert len(line.said) == 50
    assert len(line.fake.made("GET /status/sessions")) <= 5
