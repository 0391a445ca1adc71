"""What a server that is listened to can say wrong, or be made to say by whoever stands before it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.fakes._server import Fake, Server
from tests.fakes.plex_server import PlexServer
from tests.fakes.test_lastfm_fake import Secure
from tests.listening import _looks, test_evening
from tests.listening._ears import Ears
from tests.listening._looks import NORA, SERIES, SERVERS
from webhook import client
from webhook.domain.event import Action
from webhook.domain.outcome import Dead, Retry, Undelivered
from webhook.servers import plex
from webhook.servers._mediabrowser import listening, socket, viewings
from webhook.servers.plex import listening as plex_listening

SOON = 60.0
NAMES = ("plex", *SERVERS)
SESSIONS = tuple(SERVERS)
FILM = "b1" * 16


class Ward:
    """A server that is listened to until something holds, or the line breaks."""

    def __init__(self, name: str, fake: Any, url: str, ca_file: str = "") -> None:
        self.name, self.fake, self.url, self.ca_file = name, fake, url, ca_file
        self.key = str(fake.switches.token if name == "plex" else fake.switches.key)
        self.ears = Ears(name)
        self.built: Any = None

    def listen(self, step: Callable[[], object], until: Callable[[], bool]) -> Undelivered | None:
        return asyncio.run(self.follow(step, until))

    async def follow(self, step: Callable[[], object], until: Callable[[], bool]) -> Undelivered | None:
        module = plex if self.name == "plex" else SERVERS[self.name][0]
        secret = "token" if self.name == "plex" else "api_key"
        async with client.client(ca_file=self.ca_file) as http:
            given = {"url": self.url, secret: self.key}
            self.built = module.build(module.Settings.model_validate(given), http)
            line = asyncio.create_task(self.built.listen(self.ears))
            try:
                async with asyncio.timeout(SOON):
                    while not (self.ears.connections and self.is_joined) and not line.done():
                        await asyncio.sleep(0.02)
                    step()
                    while not until() and not line.done():
                        await asyncio.sleep(0.02)
            finally:
                broke = line.done()
                line.cancel()
                with suppress(asyncio.CancelledError, Undelivered):
                    await line
        error = line.exception() if broke else None
        assert error is None or isinstance(error, Undelivered)
        return error

    @property
    def is_joined(self) -> bool:
        return self.name == "plex" or "SessionsStart" in self.fake.sockets

    def start(self) -> None:
        if self.name == "plex":
            self.fake.start("1", test_evening.episode())
        else:
            self.fake.start("s1", _looks.episode(), NORA)

    def is_begun(self) -> bool:
        return bool(self.ears.told)


def make_fake(name: str) -> Any:
    if name == "plex":
        return PlexServer()
    fake = SERVERS[name][1]()
    fake.users[NORA] = "nora"
    fake.known["4000"] = dict(SERIES)
    return fake


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "IDLE_PAUSE", 0.05)
    monkeypatch.setattr(listening, "BUSY_PAUSE", 0.05)
    monkeypatch.setattr(listening, "MIN_PAUSE", 0.01)
    monkeypatch.setattr(viewings, "MISS_TIME", 0 * viewings.MISS_TIME)
    monkeypatch.setattr(socket, "MIN_RETRY", 0.05)
    monkeypatch.setattr(plex_listening, "TICK", 0.05)


@contextmanager
def ward(name: str) -> Iterator[Ward]:
    with Server(make_fake(name)) as server:
        yield Ward(name, server.fake, server.url)


@pytest.fixture
def other() -> Iterator[Server]:
    """A host that nobody configured, to which nothing may go."""
    with Server(Fake()) as server:
        yield server


@pytest.mark.parametrize("name", SESSIONS)
@pytest.mark.parametrize(
    "sent",
    [
        '{"MessageType":"Sess',
        "x" * (10 << 20),
        "[" * 200_000,
        '{"MessageType":"UnheardOf","Data":{}}',
        '{"MessageType":"Sessions","MessageType":["Sessions"],"Data":7,"Data":null}',
        '{"MessageType":{"a":1}}',
        "null",
        b"\xff\xfe\x00",
        b"\x00" * (10 << 20),
    ],
    ids=["half", "10 MiB", "deep", "unknown", "duplicate", "object", "null", "binary", "10 MiB binary"],
)
def test_a_bad_message_of_a_socket_costs_nothing(name: str, sent: str | bytes) -> None:
    with ward(name) as server:

        def confuse() -> None:
            server.fake.send_raw(sent)
            server.start()

        assert server.listen(confuse, server.is_begun) is None
        assert [event.action for event in server.ears.events] == [Action.START]


@pytest.mark.parametrize("name", SESSIONS)
@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"body": "[" + " " * (9 << 20) + "]"}, Retry),
        ({"body": "[" * 200_000}, Dead),
        ({"body": [{"Id": "s1"}], "cut": 5}, Retry),
        ({"status": 302, "headers": {"location": "http://127.0.0.1:9/"}}, Dead),
        ({"status": 200, "body": ""}, Dead),
    ],
    ids=["9 MiB", "deep", "cut", "redirect", "empty"],
)
def test_a_bad_list_of_sessions_breaks_the_line_and_says_why(
    name: str, fault: dict[str, Any], kind: type[Undelivered]
) -> None:
    with ward(name) as server:
        broke = server.listen(
            lambda: server.fake.faults.add("GET /Sessions", times=-1, **fault), lambda: False
        )

        assert isinstance(broke, kind)
        assert server.key not in str(broke)
        assert server.ears.told == []


@pytest.mark.parametrize("name", SESSIONS)
def test_what_a_list_of_sessions_says_twice_is_read_once(name: str) -> None:
    """The later of two equal keys counts, as in every reader of JSON here."""
    twice = (
        f'[{{"Id":"s0","Id":"s1","UserId":"{NORA}","UserName":"eve","UserName":"nora","DeviceId":"d",'
        f'"NowPlayingItem":{{"Id":"{FILM}","Type":"Movie","Name":"One","Name":"Two","ProductionYear":2000}},'
        '"PlayState":{"IsPaused":true,"IsPaused":false,"PositionTicks":0}}]'
    )
    with ward(name) as server:
        server.listen(lambda: server.fake.faults.add("GET /Sessions", times=-1, body=twice), server.is_begun)

        (event,) = server.ears.events
        assert (event.action, event.user, event.item.title) == (Action.START, "nora", "Two")


@pytest.mark.parametrize("name", NAMES)
def test_a_redirect_takes_no_token_to_another_host(name: str, other: Server) -> None:
    routes = {"plex": "GET /:/eventsource"}
    with ward(name) as server:
        where = {"location": f"{other.url}/elsewhere"}
        server.fake.faults.add(routes.get(name, "GET /Sessions"), status=307, times=-1, headers=where)

        broke = server.listen(lambda: None, lambda: False)

        assert isinstance(broke, Dead)
        assert other.fake.calls == []


@pytest.mark.parametrize("name", NAMES)
def test_nothing_goes_to_a_proxy_that_the_environment_names(
    name: str, other: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the configured host is spoken to."""
    for variable in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(variable, other.url)
    with ward(name) as server:
        assert server.listen(server.start, server.is_begun) is None

    assert other.fake.calls == []


@pytest.mark.parametrize("name", NAMES)
def test_the_secret_is_in_no_log_no_statement_and_no_referer(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with ward(name) as server:
        server.listen(server.start, server.is_begun)

        assert server.ears.told
        assert server.key not in caplog.text
        assert [told for told in server.ears.told if server.key in str(told.to_json())] == []
        assert [call for call in server.fake.calls if "referer" in call.headers] == []
        assert [call for call in server.fake.calls if server.key in call.path + call.query] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_private_certificate_is_trusted_by_its_authority_alone(name: str, tmp_path: Path) -> None:
    """Alerts, sessions and the socket alike; checking is never switched off."""
    with Secure(make_fake(name), tmp_path) as server:
        stranger = Ward(name, server.fake, server.url)
        known = Ward(name, server.fake, server.url, ca_file=str(server.authority))

        broke = stranger.listen(lambda: None, lambda: False)
        assert isinstance(broke, Retry)
        assert (server.fake.calls, getattr(server.fake, "sockets", [])) == ([], [])
        assert known.listen(known.start, known.is_begun) is None
        assert [event.action for event in known.ears.events] == [Action.START]
