"""The main job: webhooks posted to a real process, and the calls that arrive at Trakt and TV Time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.evening import film, plex
from tests.fakes._server import Server
from tests.fakes.tmdb import Tmdb
from tests.fakes.trakt import Trakt
from tests.fakes.tvtime import TVTime
from tests.identity.world import everything
from tests.running import Installed, Process, eventually, started

APP = {"TRAKT_CLIENT_ID": "fake-client-id", "TRAKT_CLIENT_SECRET": "fake-client-secret"}


@pytest.fixture
def at_trakt() -> Iterator[tuple[Trakt, str]]:
    with Server(Trakt()) as server:
        yield server.fake, server.url


@pytest.fixture
def trakt(at_trakt: tuple[Trakt, str]) -> Trakt:
    return at_trakt[0]


@pytest.fixture
def at_tvtime() -> Iterator[tuple[TVTime, str]]:
    with Server(TVTime()) as server:
        yield server.fake, server.url


@pytest.fixture
def tvtime(at_tvtime: tuple[TVTime, str]) -> TVTime:
    return at_tvtime[0]


def at(url: str, **more: str) -> dict[str, str]:
    """The settings that point at the fake Trakt, without pacing."""
    return {**APP, "TRAKT_API_URL": url, "TRAKT_AUTH_URL": url, "TRAKT_WRITES_PER_SECOND": "0", **more}


@pytest.fixture
def watchmark(
    at_trakt: tuple[Trakt, str], at_tvtime: tuple[TVTime, str], tmp_path: Path
) -> Iterator[Process]:
    """A service that tells both fakes, for one person."""
    (trakt, trakt_url), (tvtime, tvtime_url) = at_trakt, at_tvtime
    process = Process(
        tmp_path, **at(trakt_url, TVTIME_URL=tvtime_url, TVTIME_WRITES_PER_SECOND="0")
    ).prepare()
    process.connect("trakt", trakt.sign_in("anna"))
    process.connect("tvtime", tvtime.add_user("anna", "secret").tokens)
    with started(process):
        yield process


def scrobbles(trakt: Trakt) -> list[tuple[str, Any]]:
    return [(call.path.rsplit("/", 1)[1], call.body.get("progress")) for call in trakt.made("POST /scrobble")]


def test_an_evening_with_a_film_arrives_at_trakt(watchmark: Process, trakt: Trakt) -> None:
    watchmark.post("plex", film("media.play", viewOffset=0))
    eventually(lambda: len(scrobbles(trakt)) == 1, "the start arrives")
    watchmark.post("plex", film("media.pause", viewOffset=1_500_000))
    eventually(lambda: len(scrobbles(trakt)) == 2, "the pause arrives")
    watchmark.post("plex", film("media.resume", viewOffset=1_500_000))
    eventually(lambda: len(scrobbles(trakt)) == 3, "the resume arrives")
    watchmark.post("plex", film("media.scrobble"))
    watchmark.post("plex", film("media.stop"))

    eventually(lambda: len(scrobbles(trakt)) == 4, "the watched mark arrives")
    assert [name for name, _ in scrobbles(trakt)] == ["start", "pause", "start", "stop"]
    assert scrobbles(trakt)[1] == ("pause", 25.0)
    assert scrobbles(trakt)[3][1] >= 80
    (row,) = trakt.user("anna").history
    assert row["movie"]["ids"]["imdb"] == "tt9000001"


def test_an_episode_is_marked_at_tv_time_by_its_own_id(watchmark: Process, tvtime: TVTime) -> None:
    watchmark.post("plex", plex("media.scrobble", 5))

    eventually(
        lambda: len(tvtime.made("POST /sidecar/api2.tozelabs.com/v2/watched_episodes")) == 1,
        "the mark arrives",
    )
    (call,) = tvtime.made("POST /sidecar/api2.tozelabs.com/v2/watched_episodes")
    assert call.path.endswith("/episode/100005")


def test_the_answer_is_shown_with_the_webhook(watchmark: Process, trakt: Trakt) -> None:
    webhook_id = watchmark.post("plex", plex("media.scrobble", 5)).json()["webhook"]
    eventually(lambda: bool(trakt.user("anna").history), "the mark arrives")

    def delivered() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = watchmark.api(f"/webhooks/{webhook_id}")["events"][0]["deliveries"]
        return found

    eventually(lambda: {entry["state"] for entry in delivered()} == {"done"}, "both are done")
    told = {entry["tracker"]: entry for entry in delivered()}
    assert told["trakt"]["action"] == "stop"
    assert told["trakt"]["remote_id"] == str(trakt.user("anna").history[0]["id"])
    assert told["trakt"]["tries"][0]["exchanges"][0]["status"] == 201
    assert "secret" not in str(told)


def test_a_tracker_that_is_down_delays_nobody_else_and_gets_everything_later(
    watchmark: Process, trakt: Trakt, tvtime: TVTime
) -> None:
    trakt.faults.add("POST /scrobble", status=503, times=2)
    watchmark.post("plex", plex("media.scrobble", 5))

    eventually(
        lambda: bool(tvtime.made("POST /sidecar/api2.tozelabs.com/v2/watched_episodes")), "TV Time is told"
    )
    eventually(lambda: len(trakt.user("anna").history) == 1, "Trakt is told once it is back", 60)


def test_the_file_in_the_house_is_the_tv_time_library_where_there_is_no_tv_time(tmp_path: Path) -> None:
    with started(Installed(tmp_path).prepare()) as watchmark:
        webhook_id = watchmark.post("plex", plex("media.scrobble", 5)).json()["webhook"]

        def answers() -> list[str]:
            events = watchmark.api(f"/webhooks/{webhook_id}")["events"]
            return [entry["answer"] for event in events for entry in event["deliveries"]]

        eventually(
            lambda: answers() == ["marked watched in the built-in library, show followed"], "it is marked"
        )


SERIES = (
    "uuid,tvdb_id,imdb_id,title,status,created_at\r\n"
    "u1,7000,,Lantern Street,continuing,2020-01-01 20:00:00\r\n"
)


def test_a_show_that_plex_names_by_its_own_id_is_the_one_that_was_imported(tmp_path: Path) -> None:
    with Server(Tmdb(everything())) as tmdb:
        token = tmdb.fake.switches.token
        process = Process(tmp_path, TMDB_TOKEN=token, TMDB_API_URL=f"{tmdb.url}/3").prepare()
        with started(process) as watchmark:
            watchmark.api_post("/imports/tvtime", content=SERIES.encode())
            part: dict[str, Any] = {
                "grandparentTitle": "Lantern Street",
                "grandparentGuid": "plex://show/5d9c086c7d06d9001f",
            }
            watchmark.post("plex", plex("media.scrobble", 3, **part, Guid=[{"id": "tvdb://7000103"}]))

            def followed() -> list[str]:
                items = watchmark.api("/library", relation="follow")["items"]
                return [entry["key"] for entry in items]

            def seen() -> list[tuple[int, int]]:
                show = watchmark.api("/shows/tvdb:7000")
                return [(one["number"], len(one["plays"])) for one in show["episodes"][:4]]

            eventually(lambda: followed() == ["tvdb:7000"], "it is followed once")
            eventually(lambda: seen() == [(1, 0), (2, 0), (3, 1), (4, 0)], "its episodes are listed")


def test_an_expired_token_is_renewed_once_and_saved_before_use(watchmark: Process, trakt: Trakt) -> None:
    trakt.expire("anna")

    for number in (5, 6, 7):
        watchmark.post("plex", plex("media.scrobble", number))

    eventually(lambda: len(trakt.user("anna").history) == 3, "all three are marked")
    assert trakt.refreshes == 1


def test_a_sign_in_that_is_gone_parks_the_account_and_connecting_again_goes_on(
    at_trakt: tuple[Trakt, str], tmp_path: Path
) -> None:
    trakt, url = at_trakt
    process = Process(tmp_path, **at(url)).prepare().connect("trakt", trakt.sign_in("anna"))
    trakt.sessions.clear()
    with started(process):
        process.post("plex", plex("media.scrobble", 5))
        eventually(lambda: state_of(process, "trakt") == "signed_out", "the account is parked")
        process.post("plex", plex("media.scrobble", 6))
        waiting = [entry for entry in process.api("/deliveries")["items"] if entry["tracker"] == "trakt"]
        assert {(entry["state"], entry["attempts"]) for entry in waiting} == {("parked", 0)}

        process.connect("trakt", trakt.sign_in("anna"))

        eventually(lambda: len(trakt.user("anna").history) == 2, "both go out by themselves")
        assert state_of(process, "trakt") == "working"


def state_of(process: Process, tracker: str) -> str:
    (state,) = [entry["state"] for entry in process.api("/accounts")["items"] if entry["tracker"] == tracker]
    return str(state)


def test_a_second_process_on_the_same_data_is_refused(watchmark: Process) -> None:
    second = Process(watchmark.folder)

    with pytest.raises(AssertionError, match="another Watchmark"):
        second.start()


def test_sigterm_ends_it_in_good_order(watchmark: Process) -> None:
    watchmark.post("plex", plex("media.scrobble", 5))

    assert watchmark.stop() == 0


def test_a_mark_taken_back_removes_exactly_what_was_created(
    at_trakt: tuple[Trakt, str], tmp_path: Path
) -> None:
    trakt, url = at_trakt
    trakt.catalogue.add("movie", title="Quiet Harbour", year=2001, ids={"imdb": "tt9000009"})
    process = Process(tmp_path, **at(url)).prepare().connect("trakt", trakt.sign_in("anna"))
    process.run("accounts", "tell", "trakt", "--on", "unwatched")
    toggled = {
        "NotificationType": "UserDataSaved", "SaveReason": "TogglePlayed", "ItemType": "Movie",
        "Name": "Quiet Harbour", "Year": 2001, "ItemId": "3" * 32, "Provider_imdb": "tt9000009",
        "NotificationUsername": "anna", "UserId": "1" * 32, "ServerId": "2" * 32,
    }  # fmt: skip
    with started(process):
        process.post("plex", film("media.scrobble"))
        process.post("jellyfin", {**toggled, "Played": True})
        eventually(lambda: len(trakt.user("anna").history) == 1, "the film is marked")
        process.run("people", "claim", "me", "jellyfin:anna")
        eventually(lambda: len(trakt.user("anna").history) == 2, "both are marked")

        process.post("jellyfin", {**toggled, "Played": False})

        eventually(lambda: len(trakt.user("anna").history) == 1, "one is taken back")
        assert trakt.user("anna").history[0]["movie"]["ids"]["imdb"] == "tt9000001"


def test_the_same_viewing_through_two_sources_arrives_once(watchmark: Process, trakt: Trakt) -> None:
    tautulli = {
        "event": "tautulli.watched", "Account": {"title": "anna"}, "Server": {"title": "Attic", "uuid": "a" * 40},
        "Metadata": {
            "type": "episode", "title": "Part 5", "grandparentTitle": "Tidewater", "index": "5",
            "parentIndex": "1", "ratingKey": "100005", "Guids": {"tvdb": "555"},
        },
    }  # fmt: skip

    watchmark.post("plex", plex("media.scrobble", 5))
    watchmark.post("tautulli", tautulli)
    watchmark.post("plex", plex("media.stop", 5))

    eventually(lambda: not watchmark.api("/webhooks", state="received")["items"], "all are interpreted")
    eventually(lambda: not watchmark.api("/deliveries", state="waiting")["items"], "nothing waits")
    assert len(trakt.user("anna").history) == 1
    assert len(watchmark.api("/plays")["items"]) == 1
