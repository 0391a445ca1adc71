"""Music is told to music trackers and video to video trackers, from the webhook on."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from tests.fakes._server import Server
from tests.fakes.lastfm import LastFM
from tests.fakes.listenbrainz import ListenBrainz
from tests.test_cli import Home
from tests.test_cli import home as home_of_commands
from tests.test_interpreter import NOW, House, plex
from webhook import client, sources, trackers
from webhook.accounts.accounts import insert_account
from webhook.app import capabilities
from webhook.domain.event import Action, Kind
from webhook.domain.rules import ALWAYS_ON
from webhook.people import people
from webhook.pipeline import lanes
from webhook.pipeline.interpreter import Interpreter
from webhook.storage.db import Database
from webhook.storage.rows import fetch_all
from webhook.storage.tables import DeliveryRow, delivery
from webhook.trackers import Delivery, lastfm, modules
from webhook.trackers._viewings import play_start

SET_UP = {
    "TRAKT_CLIENT_ID": "id",
    "TRAKT_CLIENT_SECRET": "secret",
    "SIMKL_CLIENT_ID": "id",
    "FLOPPY_URL": "http://floppy.invalid",
    "ANILIST_CLIENT_ID": "id",
    "MAL_CLIENT_ID": "id",
    "PUNCHPLAY_CLIENT_ID": "id",
    "SCROB_URL": "http://scrob.invalid",
    "LASTFM_API_KEY": "key",
    "LASTFM_SECRET": "secret",
    "PLEX_URL": "http://plex.invalid",
    "PLEX_TOKEN": "token",
    "JELLYFIN_URL": "http://jellyfin.invalid",
    "JELLYFIN_API_KEY": "key",
    "EMBY_URL": "http://emby.invalid",
    "EMBY_API_KEY": "key",
}
MUSIC = {"lastfm", "listenbrainz"}
SONG = {
    "librarySectionType": "artist",
    "librarySectionTitle": "Music",
    "type": "track",
    "title": "Salt and Rope",
    "grandparentTitle": "The Low Tides",
    "parentTitle": "Harbour Songs",
    "guid": "plex://track/5f00000000000000000000d1",
    "Guid": [{"id": "mbid://3d1f6a52-0000-4000-8000-0123456789ab"}],
    "index": 4,
    "duration": 201_000,
}
home = home_of_commands
EVERYTHING = ALWAYS_ON | {Action.FAVOURITE, Action.RATE}


class Everywhere(House):
    """A house whose person has an account at every tracker there is, told all that it can be told."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.capabilities = capabilities(trackers.build(SET_UP, client.client()))
        self.interpreter = Interpreter(
            database, sources.read_webhook, self.capabilities, 80.0, claim_first=True
        )
        self.me = database.do(lambda connection: people.add_person(connection, "me", NOW, owner=True))
        for name, audience in self.capabilities.items():
            told = EVERYTHING & audience.can
            database.do(
                lambda connection, name=name, told=told: insert_account(connection, self.me, name, told, NOW)  # type: ignore[misc]
            )

    def told(self) -> dict[str, list[tuple[str, bool]]]:
        """What there is to tell each tracker that there is anything to tell."""
        found = {
            name: self.deliveries(name) + self.deliveries(name, "superseded") for name in self.capabilities
        }
        return {name: deliveries for name, deliveries in found.items() if deliveries}

    def marks(self) -> list[Delivery]:
        wanted = select(delivery).where(delivery.c.mark)
        rows = self.database.ask(lambda connection: fetch_all(connection, wanted, DeliveryRow))
        return [lanes.delivery_of(row, NOW) for row in rows]


@pytest.fixture
def house(database: Database) -> Everywhere:
    return Everywhere(database)


def song(event: str, **more: Any) -> Mapping[str, Any]:
    return plex(event, **{**SONG, **more})


def test_every_tracker_is_of_music_or_of_video_and_none_of_both(house: Everywhere) -> None:
    assert house.capabilities.keys() == modules().keys()
    assert {name for name, audience in house.capabilities.items() if Kind.TRACK in audience.kinds} == MUSIC
    assert all(house.capabilities[name].kinds == {Kind.TRACK} for name in MUSIC)


def test_a_track_that_is_played_to_its_end_is_told_to_music_trackers_only(house: Everywhere) -> None:
    house.post("plex", song("media.play"))
    house.post("plex", song("media.scrobble"), 3)
    house.post("plex", song("media.stop"), 3.5)

    assert {name: sorted(set(told)) for name, told in house.told().items()} == {
        name: [("start", False), ("watched", True)] for name in MUSIC
    }


def test_a_track_that_stops_past_its_half_is_marked_and_one_before_it_is_not(house: Everywhere) -> None:
    house.post("plex", song("media.play", viewOffset=0))
    house.post("plex", song("media.stop", viewOffset=60_000), 1)
    before = len(house.marks())

    house.post("plex", song("media.resume", viewOffset=60_000), 2)
    house.post("plex", song("media.stop", viewOffset=120_000), 3)

    assert before == 0
    assert [mark.action for mark in house.marks()] == [Action.WATCHED] * 2


def test_an_episode_is_told_to_no_music_tracker(house: Everywhere) -> None:
    house.post("plex", plex("media.play"))
    house.post("plex", plex("media.scrobble"), 40)
    house.post("plex", plex("media.rate", userRating=8), 41)

    told = house.told()
    assert told.keys() == house.capabilities.keys() - MUSIC
    assert all(deliveries for deliveries in told.values())


def test_a_rated_track_is_told_to_nobody(house: Everywhere) -> None:
    house.post("plex", song("media.rate", userRating=8))

    assert house.told() == {}


def test_a_scrobble_is_dated_when_its_play_began(house: Everywhere) -> None:
    house.post("plex", song("media.play"))
    house.post("plex", song("media.scrobble"), 3)

    marks = house.marks()
    assert len(marks) == 2
    assert [mark.at for mark in marks] == [NOW + timedelta(minutes=3)] * 2
    assert {play_start(mark) for mark in marks} == {NOW}


def test_a_track_that_is_played_twice_is_told_twice(house: Everywhere) -> None:
    for begin in (0, 20):
        house.post("plex", song("media.play"), begin)
        house.post("plex", song("media.scrobble"), begin + 3)
        house.post("plex", song("media.stop"), begin + 3.4)

    times = sorted(play_start(mark) for mark in house.marks())
    assert times == [NOW, NOW, NOW + timedelta(minutes=20), NOW + timedelta(minutes=20)]


# How one signs in


def test_last_fm_is_signed_in_to_by_a_page_to_agree_on(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lastfm, "POLL_INTERVAL", timedelta(milliseconds=10))
    with Server(LastFM(auto_approve="anna")) as server:
        home.set(LASTFM_API_KEY="a" * 32, LASTFM_SECRET="b" * 32, LASTFM_API_URL=f"{server.url}/2.0/")
        ended = home.run("connect", "lastfm")
        session = next(iter(server.fake.sessions))

    assert ended.exit_code == 0, ended.stderr
    assert "Open https://www.last.fm/api/auth/?api_key=aaaa" in ended.stdout
    assert "approve access" in ended.stdout
    assert "me is signed in to Last.fm as anna." in ended.stdout
    assert home.account("lastfm").tells == ["start", "watched"]
    assert session not in home.account("lastfm").tokens + ended.stdout


def test_listenbrainz_is_signed_in_to_by_a_token_on_stdin(home: Home) -> None:
    with Server(ListenBrainz()) as server:
        home.set(LISTENBRAINZ_API_URL=server.url)
        token = server.fake.sign_in("anna")["token"]
        result = home.json("connect", "listenbrainz", stdin=f"{token}\n")

    assert (result["works"], result["name"]) == (True, "anna")
    assert token not in home.account("listenbrainz").tokens


@pytest.mark.parametrize(("stdin", "says"), [("nobody's\n", "does not know this token"), ("", "No input")])
def test_a_token_that_is_nobody_s_or_none_is_said(home: Home, stdin: str, says: str) -> None:
    with Server(ListenBrainz()) as server:
        home.set(LISTENBRAINZ_API_URL=server.url)
        ended = home.run("connect", "listenbrainz", stdin=stdin)

    assert ended.exit_code == 1
    assert says in ended.stderr
    assert home.account("listenbrainz") is None
