"""Positions: where a film was left elsewhere it goes on, if that is switched on, and only ever further on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest

from tests.fakes.plex import ANNA
from tests.told.home import Home
from tests.told.test_echoes import stopped
from tests.trackers._adapters import FILM
from tests.trackers._at_home import FILM_DTO, PLEX_FILM
from webhook import clock
from webhook.accounts import accounts
from webhook.domain.event import Action

SERVERS = ("plex", "jellyfin", "emby")
MINUTE = 60_000
LENGTH = 120 * MINUTE


def make_telling_home(make_home: Callable[..., Home], *names: str) -> Home:
    home = make_home(*names)
    for name in names:
        home.run(accounts.switch_action(home.service, home.accounts[name], Action.PROGRESS, True))
    return home


def leave(home: Home, minutes: float, **more: Any) -> None:
    """The film is played on a player that no server knows, and left there."""
    home.say("start", FILM, position_ms=0, duration_ms=LENGTH, **more)
    home.say("stop", FILM, position_ms=int(minutes * MINUTE), duration_ms=LENGTH, **more)
    home.delivered()


def position_of(home: Home, name: str) -> float:
    """Where it goes on there, in minutes."""
    fake = home.fakes[name]
    if name == "plex":
        return float(fake.marks.get(ANNA, {}).get("4711", {}).get("viewOffset", 0) / MINUTE)
    return float(fake.data_of("aa" * 16, FILM_DTO["Id"])["PlaybackPositionTicks"] / MINUTE / 10_000)


def set_position(home: Home, name: str, minutes: int) -> None:
    fake = home.fakes[name]
    if name == "plex":
        fake.marks.setdefault(ANNA, {}).setdefault("4711", {})["viewOffset"] = minutes * MINUTE
    else:
        fake.data_of("aa" * 16, FILM_DTO["Id"])["PlaybackPositionTicks"] = minutes * MINUTE * 10_000


def states(home: Home, name: str) -> list[str]:
    return [one["state"] for one in home.deliveries(tracker=name)]


@pytest.mark.parametrize("name", SERVERS)
def test_a_film_goes_on_where_it_was_left_elsewhere(make_home: Callable[..., Home], name: str) -> None:
    home = make_telling_home(make_home, name)

    leave(home, 30)

    assert position_of(home, name) == 30
    assert states(home, name) == ["done"]


@pytest.mark.parametrize("name", SERVERS)
def test_no_position_is_set_before_it_is_switched_on(make_home: Callable[..., Home], name: str) -> None:
    home = make_home(name)

    leave(home, 30)

    assert position_of(home, name) == 0
    assert states(home, name) == []


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize(("there", "left", "then"), [(50, 30, 50), (20, 30, 30), (0, 0.5, 0)])
def test_a_position_moves_only_on(
    make_home: Callable[..., Home], name: str, there: int, left: float, then: int
) -> None:
    home = make_telling_home(make_home, name)
    set_position(home, name, there)

    leave(home, left)

    assert position_of(home, name) == then


def test_what_is_watched_there_gets_no_position(make_home: Callable[..., Home]) -> None:
    home = make_telling_home(make_home, "jellyfin")
    fake = home.fakes["jellyfin"]
    fake.play("aa" * 16, "anna", fake.known[FILM_DTO["Id"]], clock.now() - timedelta(days=400))

    leave(home, 30)

    assert position_of(home, "jellyfin") == 0
    assert FILM_DTO["Id"] in fake.watched()


def test_what_was_left_more_than_a_day_ago_is_let_be(make_home: Callable[..., Home]) -> None:
    home = make_telling_home(make_home, "emby")
    home.say("start", FILM, position_ms=0, duration_ms=LENGTH)
    home.say("stop", FILM, position_ms=30 * MINUTE, duration_ms=LENGTH)
    real = clock.now

    with patch.object(clock, "now", lambda: real() + timedelta(hours=25)):
        home.delivered()

    assert position_of(home, "emby") == 0
    assert states(home, "emby") == ["skipped"]


def test_a_position_waits_while_the_film_plays_on(make_home: Callable[..., Home]) -> None:
    home = make_telling_home(make_home, "jellyfin")
    home.say("start", FILM, position_ms=0, duration_ms=LENGTH)
    home.say("stop", FILM, position_ms=30 * MINUTE, duration_ms=LENGTH)
    there = {**stopped(home), "NotificationType": "PlaybackStart", "PlaybackPositionTicks": 18_000_000_000}
    home.post(there, "jellyfin")

    home.delivered()
    (waiting,) = home.deliveries("waiting", "jellyfin")
    before = position_of(home, "jellyfin")
    left = {"NotificationType": "PlaybackStop", "PlayedToCompletion": False}
    home.post({**there, **left, "PlaybackPositionTicks": 24_000_000_000}, "jellyfin")
    home.drain()

    assert (waiting["reason"], before) == ("it is playing now; its position waits", 0)
    assert position_of(home, "jellyfin") == 30


@pytest.mark.parametrize("name", ["jellyfin", "emby"])
def test_a_session_that_only_the_server_knows_of_is_not_disturbed(
    make_home: Callable[..., Home], name: str
) -> None:
    home = make_telling_home(make_home, name)
    fake = home.fakes[name]
    fake.start("s1", fake.known[FILM_DTO["Id"]], "aa" * 16)

    leave(home, 30)

    assert position_of(home, name) == 0
    assert states(home, name) == ["waiting"]


def test_what_plex_reports_of_our_position_is_an_echo(make_home: Callable[..., Home]) -> None:
    home = make_telling_home(make_home, "plex")
    leave(home, 30)
    (told,) = home.deliveries(tracker="plex")
    fake, plays = home.fakes["plex"], home.count_plays()
    report: dict[str, Any] = {
        "event": "media.stop", "user": True, "owner": False, "Account": {"id": ANNA, "title": "anna"},
        "Server": {"title": fake.name, "uuid": fake.machine}, "Player": {"title": "Watchmark", "uuid": "w1"},
        "Metadata": {**PLEX_FILM, "librarySectionType": "movie", "viewOffset": 30 * MINUTE, "duration": LENGTH},
    }  # fmt: skip

    webhook = home.post(report, "plex")
    another = home.post({**report, "Metadata": {**report["Metadata"], "viewOffset": 70 * MINUTE}}, "plex")

    assert (home.echo_of(webhook), home.echo_of(another)) == (told["id"], None)
    assert home.count_plays() == plays


def test_an_item_that_is_reported_as_not_watched_by_our_position_is_an_echo(
    make_home: Callable[..., Home],
) -> None:
    home = make_telling_home(make_home, "emby")
    leave(home, 30)
    (told,) = home.deliveries(tracker="emby")
    fake = home.fakes["emby"]
    fake.change("aa" * 16, FILM_DTO["Id"], "UpdateUserData")

    webhook = home.post(fake.sent[-1], "emby")

    assert fake.sent[-1]["Event"] == "item.markunplayed"
    assert home.echo_of(webhook) == told["id"]


def test_two_servers_agree_on_where_to_go_on(make_home: Callable[..., Home]) -> None:
    home = make_telling_home(make_home, "jellyfin", "emby")
    left = {**stopped(home), "PlayedToCompletion": False, "PlaybackPositionTicks": 24_000_000_000}
    home.post({**left, "NotificationType": "PlaybackStart", "PlaybackPositionTicks": 0}, "jellyfin")
    home.post(left, "jellyfin")

    home.drain()

    assert position_of(home, "emby") == 40
    assert home.deliveries(tracker="jellyfin") == []
