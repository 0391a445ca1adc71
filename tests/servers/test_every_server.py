"""What holds for every media server that is asked what was played."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from tests.fakes._inside import Inside
from tests.fakes._server import Server as Running
from tests.servers._adapters import ADAPTERS, Adapter
from tests.servers._asked import AT, checked, first_played, played
from webhook import servers, settings, sources
from webhook.domain.event import Action, Movie
from webhook.domain.outcome import Dead, Retry
from webhook.servers import plex

MANY = 250
"""Films for three pages."""


@pytest.fixture(params=sorted(ADAPTERS))
def adapter(request: pytest.FixtureRequest) -> Adapter:
    return ADAPTERS[request.param]


@pytest.fixture
def running(adapter: Adapter) -> Iterator[Running]:
    # plexapi calls by requests, which respx does not reach.
    serve = Running if adapter.module is plex else Inside
    with serve(adapter.fake()) as server:
        yield server


def fill(adapter: Adapter, fake: Any, user: str, count: int, first: int = 1) -> None:
    """A film a minute, numbered from `first`."""
    for number in range(first, first + count):
        adapter.put(fake, user, number, AT + timedelta(minutes=number))


def test_every_server_is_found_tested_and_named_like_a_source() -> None:
    assert servers.modules().keys() == ADAPTERS.keys()
    assert servers.modules().keys() <= sources.modules().keys()


def test_everything_comes_once_the_oldest_first_over_several_pages(
    adapter: Adapter, running: Running
) -> None:
    fill(adapter, running.fake, "Nora", MANY)

    found = played(adapter.module, adapter.settings(running.url))

    assert [one.event.item.title for one in found] == [f"Film {number}" for number in range(1, MANY + 1)]
    assert [one.event.at for one in found] == [
        AT + timedelta(minutes=number) for number in range(1, MANY + 1)
    ]
    assert len({one.key for one in found}) == MANY
    pages = [call for call in running.fake.calls if call.path.startswith(adapter.history.partition(" ")[2])]
    assert len(pages) >= 3


def test_each_entry_is_a_recorded_watched_event_with_its_users_name(
    adapter: Adapter, running: Running
) -> None:
    fill(adapter, running.fake, "Nora", 1)

    (found,) = played(adapter.module, adapter.settings(running.url))

    assert found.event.action is Action.WATCHED
    assert found.event.recorded
    assert (found.event.user, found.event.server_name) == ("Nora", adapter.named)
    assert isinstance(found.event.item, Movie)
    assert (found.event.item.year, found.event.item.ids.tmdb) == (2001, 1)


def test_only_what_is_newer_is_told_and_what_is_much_older_is_not_asked_for(
    adapter: Adapter, running: Running
) -> None:
    fill(adapter, running.fake, "Nora", MANY)
    for number in range(1000, 1003):
        adapter.put(running.fake, "Nora", number, AT + timedelta(days=60, minutes=number))
    since = AT + timedelta(days=60, minutes=1000)

    found = played(adapter.module, adapter.settings(running.url), since)

    assert [one.event.item.title for one in found] == ["Film 1001", "Film 1002"]
    first = next(call for call in running.fake.calls if call.path.startswith(adapter.history.split()[1]))
    pages = [call for call in running.fake.calls if call.path == first.path]
    assert len(pages) <= 6  # Tautulli's metadata has the same path


class Endless:
    """A server of which the answer never ends, whatever it is asked; `sent` counts what went out."""

    def __init__(self, head: bytes) -> None:
        self.head, self.piece = head, b"x" * 65_536
        self.sent = 0
        self.door = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.door.getsockname()[1]}"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.door.accept()
                with connection, contextlib.suppress(OSError):
                    connection.recv(65_536)
                    connection.sendall(b"HTTP/1.1 200 OK\r\n" + self.head + b"\r\n")
                    while True:
                        connection.sendall(self.piece)
                        self.sent += len(self.piece)

    def __enter__(self) -> Endless:
        return self

    def __exit__(self, *given: object) -> None:
        self.door.close()


@pytest.mark.parametrize("head", [b"", b"Content-Length: 99999999999\r\n", b"Content-Encoding: gzip\r\n"])
def test_an_answer_without_an_end_is_left(adapter: Adapter, head: bytes) -> None:
    with Endless(head) as server, pytest.raises((Retry, Dead)):
        played(adapter.module, adapter.settings(server.url))

    assert server.sent < 64 << 20


def test_nothing_new_is_nothing(adapter: Adapter, running: Running) -> None:
    fill(adapter, running.fake, "Nora", 3)

    assert played(adapter.module, adapter.settings(running.url), AT + timedelta(days=1)) == []


def test_two_users_are_told_apart_and_each_has_the_own_order(adapter: Adapter, running: Running) -> None:
    fill(adapter, running.fake, "Nora", 3)
    fill(adapter, running.fake, "Ben", 3, first=2)

    found = played(adapter.module, adapter.settings(running.url))

    for user, titles in {
        "Nora": ["Film 1", "Film 2", "Film 3"],
        "Ben": ["Film 2", "Film 3", "Film 4"],
    }.items():
        assert [one.event.item.title for one in found if one.event.user == user] == titles
    assert len({one.key for one in found}) == 6
    assert len({one.event.user_id for one in found}) == 2


def test_asked_again_an_entry_has_the_same_key(adapter: Adapter, running: Running) -> None:
    fill(adapter, running.fake, "Nora", 3)
    given = adapter.settings(running.url)

    whole = {one.event.item.title: one.key for one in played(adapter.module, given)}
    newer = played(adapter.module, given, AT + timedelta(minutes=2))

    assert [(one.event.item.title, one.key) for one in newer] == [("Film 3", whole["Film 3"])]


def test_who_stops_early_has_asked_for_no_more_than_a_page(adapter: Adapter, running: Running) -> None:
    fill(adapter, running.fake, "Nora", MANY)

    found = first_played(adapter.module, adapter.settings(running.url))

    assert found.event.item.title == "Film 1"
    assert len(running.fake.calls) <= 6


def test_the_check_gives_the_servers_own_name(adapter: Adapter, running: Running) -> None:
    assert checked(adapter.module, adapter.settings(running.url)) == adapter.named


def test_a_wrong_key_is_dead_and_says_which_setting_to_mend(adapter: Adapter, running: Running) -> None:
    given = adapter.settings(running.url, key="guessed-it-wrong")

    for work in (checked, played):
        with pytest.raises(Dead, match=f"does not accept {adapter.key}") as caught:
            work(adapter.module, given)
        assert "guessed-it-wrong" not in caught.value.reason + str(caught.value.answer)


def test_a_server_that_is_down_is_a_retry_and_says_where_it_was_looked_for(adapter: Adapter) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"

        with pytest.raises(Retry, match="cannot be reached") as caught:
            played(adapter.module, adapter.settings(url))

    assert f"{adapter.module.LABEL.upper()}_URL ({url})" in caught.value.reason


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 503},
        {"status": 500, "body": "<html>oops</html>"},
        {"status": 429},
        {"status": 524},
        {"reset": True},
    ],
)
def test_trouble_half_way_is_a_retry(adapter: Adapter, running: Running, fault: dict[str, Any]) -> None:
    fill(adapter, running.fake, "Nora", MANY)
    running.fake.faults.add(adapter.history, skip=1, times=-1, **fault)

    with pytest.raises(Retry):
        played(adapter.module, adapter.settings(running.url))


@pytest.mark.parametrize(
    "body",
    [
        "<html><body>Sign in<br></body></html>",
        "<html><body>Sign in</body></html>",
        "nothing of the kind",
        "[]",
        "{}",
    ],
)
def test_a_page_that_is_none_of_the_servers_is_dead_and_names_the_address(
    adapter: Adapter, running: Running, body: str
) -> None:
    running.fake.faults.add("GET /", status=200, body=body, times=-1)

    with pytest.raises(Dead, match=f"{adapter.module.LABEL.upper()}_URL"):
        played(adapter.module, adapter.settings(running.url))


def test_a_redirect_is_not_followed_with_the_key(adapter: Adapter, running: Running) -> None:
    away = {"location": "http://127.0.0.1:9/elsewhere"}
    running.fake.faults.add("GET /", status=302, headers=away, times=-1)

    with pytest.raises(Dead, match="elsewhere") as caught:
        played(adapter.module, adapter.settings(running.url))

    assert f"{adapter.module.LABEL.upper()}_URL" in caught.value.reason
    assert len(running.fake.calls) == 1


def test_something_else_at_the_address_is_dead(adapter: Adapter, running: Running) -> None:
    with pytest.raises(Dead, match=f"{adapter.module.LABEL.upper()}_URL"):
        played(adapter.module, adapter.settings(running.url + "/under/a/path"))


def test_half_of_the_settings_is_refused_and_a_slash_at_the_end_is_not(adapter: Adapter) -> None:
    prefix = f"{adapter.module.LABEL}_"
    url, key = f"{prefix}URL".upper(), f"{prefix}{adapter.field}".upper()
    cls = adapter.module.Settings

    assert settings.read_settings(cls, prefix, {}) is None
    with pytest.raises(settings.SettingsError, match=f"{key} is missing"):
        settings.read_settings(cls, prefix, {url: "http://attic:1"})
    with pytest.raises(settings.SettingsError, match=f"{url}.*must begin with http"):
        settings.read_settings(cls, prefix, {url: "attic:1", key: "k"})
    read = settings.read_settings(cls, prefix, {url: "http://attic:1/", key: "k"})
    assert read is not None
    assert read.url == "http://attic:1"
    assert "k" not in repr(getattr(read, adapter.field))
    assert all(field.description for field in cls.model_fields.values())


def test_what_a_record_does_not_say_is_unknown_and_not_estimated(adapter: Adapter, running: Running) -> None:
    fill(adapter, running.fake, "Nora", 1)

    (found,) = played(adapter.module, adapter.settings(running.url))

    for name in ("position_ms", "progress", "completed", "rating", "session"):
        assert getattr(found.event, name) is None
    assert not found.event.manual
