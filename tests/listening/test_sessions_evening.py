"""An evening with a Jellyfin or an Emby and no webhook: nothing but its address and its key."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes._mediabrowser import MediaBrowser
from tests.fakes._server import Server
from tests.faults.house import Altered
from tests.listening._looks import LENGTH, NORA, SERIES, SERVERS, episode
from tests.running import eventually, started

pytestmark = pytest.mark.e2e


class Home:
    """A server and the Watchmark that listens to it."""

    def __init__(self, name: str, fake: MediaBrowser, house: Altered) -> None:
        self.name, self.fake, self.house = name, fake, house

    @property
    def plays(self) -> list[dict[str, Any]]:
        return list(self.house.api("/plays")["items"])

    def start(self) -> None:
        self.fake.start("s1", episode(), NORA)
        eventually(lambda: len(self.plays) == 1, "the start is a play")

    def send(self, action: str, ms: int, *, completed: bool | None = None) -> None:
        """The webhook of what happens."""
        item, ticks = episode(), ms * 10_000
        if self.name == "emby":
            event = {"start": "playback.start", "stop": "playback.stop"}[action]
            user = {"Name": "nora", "Id": NORA}
            sent: dict[str, Any] = {
                "Event": event, "User": user, "Item": item, "Server": {"Id": self.fake.server_id, "Name": "Loft"},
                "Session": {"DeviceId": "dev1", "DeviceName": "Player dev1"},
                "PlaybackInfo": {"PositionTicks": ticks, "PlayedToCompletion": completed},
            }  # fmt: skip
        else:
            sent = {
                "NotificationType": {"start": "PlaybackStart", "stop": "PlaybackStop"}[action], "UserId": NORA,
                "NotificationUsername": "nora", "ServerId": self.fake.server_id, "ServerName": "Cellar",
                "DeviceId": "dev1", "DeviceName": "Player dev1", "PlaybackPositionTicks": ticks,
                "ItemId": item["Id"], "ItemType": "Episode", "Name": item["Name"], "SeriesName": item["SeriesName"],
                "SeriesId": item["SeriesId"], "SeasonNumber": 3, "EpisodeNumber": 9, "Year": 2018,
                "RunTimeTicks": item["RunTimeTicks"], "Provider_tvdb": item["ProviderIds"]["Tvdb"],
            }  # fmt: skip
            if completed is not None:
                sent["PlayedToCompletion"] = completed
        assert self.house.post(self.name, sent).is_success

    def stop(self, percent: int) -> None:
        self.fake.stop("s1", LENGTH * percent // 100)

    def settled(self) -> list[dict[str, Any]]:
        """The plays, once the server was looked at several more times."""
        looks = len(self.fake.made("GET /Sessions")) + 10
        eventually(lambda: len(self.fake.made("GET /Sessions")) >= looks, "the server is looked at")
        return self.plays


@pytest.fixture(params=SERVERS)
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Home]:
    fake = SERVERS[request.param][1]()
    fake.users[NORA] = "nora"
    fake.known["4000"] = dict(SERIES)
    prefix = request.param.upper()
    with Server(fake) as server:
        settings = {f"{prefix}_URL": server.url, f"{prefix}_API_KEY": fake.switches.key}
        house = Altered(tmp_path, "quick_looks", settings=settings)
        with started(house.prepare()):
            yield Home(request.param, fake, house)


def test_what_is_played_to_its_end_is_a_play(home: Home) -> None:
    home.start()
    home.fake.move("s1", LENGTH * 95 // 100)
    home.settled()
    home.stop(95)

    eventually(lambda: bool(home.plays[0]["watched_at"]), "it is watched")
    (play,) = home.settled()
    assert not play["manual"]
    assert (play["title"], play["ids"]["tvdb"], play["player"]) == ("Part 9", 9900009, "Player dev1")
    assert (play["position_ms"], play["estimated"]) == (LENGTH * 95 // 100, False)


def test_webhooks_beside_make_the_same_play(home: Home) -> None:
    """Trap 25."""
    home.send("start", 0)
    home.start()
    home.fake.move("s1", LENGTH * 94 // 100)
    home.settled()
    home.stop(95)
    home.send("stop", LENGTH * 95 // 100, completed=True)

    (play,) = home.settled()
    assert play["watched_at"]
    assert (play["position_ms"], play["estimated"]) == (LENGTH * 95 // 100, False)


def test_a_play_goes_on_where_watchmark_was_killed(home: Home) -> None:
    home.start()
    home.house.kill()
    home.fake.move("s1", LENGTH // 2)
    home.house.start()
    home.settled()
    home.stop(95)

    eventually(lambda: bool(home.plays[0]["watched_at"]), "it is watched")
    assert len(home.settled()) == 1


def test_what_ended_while_watchmark_was_killed_is_caught_up_with(home: Home) -> None:
    home.start()
    home.house.kill()
    home.stop(95)
    home.house.start()

    eventually(lambda: bool(home.plays[0]["watched_at"]), "it is watched")
    assert len(home.settled()) == 1


def test_what_was_played_while_the_server_could_not_be_reached_is_caught_up_with(home: Home) -> None:
    home.start()
    home.stop(10)
    home.settled()
    home.fake.faults.add("GET /Sessions", status=503, times=3)
    eventually(lambda: not home.fake.faults[0].times, "the line is down")
    home.fake.play(NORA, "nora", episode(10), home.fake.clock.now())

    eventually(lambda: any(play["watched_at"] for play in home.plays), "it is a play")
    assert sorted(play["title"] for play in home.settled()) == ["Part 10", "Part 9"]


def test_a_mark_by_hand_is_a_play_until_it_is_taken_back(home: Home) -> None:
    """Traps 11 and 36 for servers without alerts: dated where the server keeps a date, and never now where it does not."""
    home.start()
    home.stop(10)
    eventually(lambda: len(home.fake.made("GET /Users")) > 8, "the marks were read")
    home.fake.mark(NORA, episode(10))
    home.fake.play(NORA, "nora", episode(11), None)
    eventually(lambda: len(home.plays) == 3, "both marks are plays")
    dated = {play["title"]: (play["manual"], play["dated"]) for play in home.plays if play["watched_at"]}
    assert dated == {"Part 10": (True, "exact"), "Part 11": (True, "ticked")}

    home.fake.unmark(NORA, episode(10)["Id"])

    eventually(lambda: any(play["unwatched_at"] for play in home.plays), "the mark is taken back")
    (back,) = [play for play in home.plays if play["unwatched_at"]]
    assert back["title"] == "Part 10"


@pytest.mark.parametrize("seed", [1, 2])
def test_cuts_at_any_point_lose_no_play_and_double_none(home: Home, seed: int) -> None:
    """Watchmark is killed, or the server cannot be reached, between any two things that happen on two devices."""
    chance = random.Random(seed)  # noqa: S311 - the same cuts each time
    home.start()
    home.stop(10)
    home.settled()
    happenings = [
        (device, number, percent) for number in (1, 2, 3) for device in "ab" for percent in (0, 50, 95)
    ]

    for device, number, percent in happenings:
        part = episode(number if device == "a" else number + 10)
        cut = chance.choice(["kill", "away", "reset", "none", "none", "none"])
        if cut == "kill":
            home.house.kill()
        if cut in ("away", "reset"):
            how: dict[str, Any] = {"status": 503} if cut == "away" else {"reset": True}
            home.fake.faults.add("GET /Sessions", times=chance.randrange(1, 5), **how)
        if percent == 0:
            home.fake.start(device, part, NORA, device=device)
        elif percent == 50:
            home.fake.move(device, LENGTH // 2)
        else:
            home.fake.stop(device, LENGTH * percent // 100)
        if cut == "kill":
            home.house.start()
        elif chance.random() < 0.5:
            home.settled()

    eventually(lambda: sum(bool(play["watched_at"]) for play in home.plays) >= 6, "all of them are watched")
    watched = [play["title"] for play in home.settled() if play["watched_at"]]
    assert sorted(watched) == ["Part 1", "Part 11", "Part 12", "Part 13", "Part 2", "Part 3"]
    assert len(home.plays) == 7
