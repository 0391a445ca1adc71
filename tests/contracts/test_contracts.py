"""The schemas take what the contracts show, refuse what they forbid, and are asked by every fake."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.contracts import CONTRACTS, violations
from tests.fakes._server import Call, Fake, Server
from tests.fakes.anilist import AniList
from tests.fakes.floppy import Floppy
from tests.fakes.lastfm import LastFM
from tests.fakes.listenbrainz import ListenBrainz
from tests.fakes.mal import MyAnimeList
from tests.fakes.mdblist import MDBList
from tests.fakes.punchplay import PunchPlay
from tests.fakes.scrob import Scrob
from tests.fakes.simkl import Simkl
from tests.fakes.tmdb import Tmdb
from tests.fakes.trakt import Trakt
from tests.fakes.tvdb import Tvdb
from tests.fakes.tvtime import TVTime

FAKES: tuple[type[Fake], ...] = (
    Floppy,
    AniList,
    LastFM,
    ListenBrainz,
    MyAnimeList,
    MDBList,
    PunchPlay,
    Scrob,
    Simkl,
    Tmdb,
    Trakt,
    Tvdb,
    TVTime,
)
HEADERS: Mapping[str, Mapping[str, str]] = {
    "trakt": {
        "content-type": "application/json",
        "user-agent": "Watchmark/1.0 (+https://example.org)",
        "trakt-api-version": "2",
        "trakt-api-key": "id",
        "authorization": "Bearer token",
    },
    "simkl": {
        "content-type": "application/json",
        "user-agent": "Watchmark/1.0",
        "simkl-api-key": "id",
        "authorization": "Bearer token",
    },
    "lastfm": {"content-type": "application/x-www-form-urlencoded", "user-agent": "Watchmark/1.0"},
    "listenbrainz": {
        "content-type": "application/json",
        "user-agent": "Watchmark/1.0",
        "authorization": "Token uuid",
    },
    "mdblist": {
        "content-type": "application/json",
        "accept": "application/json",
        "user-agent": "Watchmark/1.0",
    },
    "floppy": {
        "content-type": "application/json",
        "user-agent": "Watchmark/1.0",
        "authorization": "Bearer token",
    },
    "punchplay": {
        "content-type": "application/json",
        "user-agent": "Watchmark/1.0",
        "authorization": "Bearer token",
        "idempotency-key": "wm-1",
    },
    "scrob": {"content-type": "application/json", "user-agent": "Watchmark/1.0", "x-api-key": "key"},
    "mal": {
        "content-type": "application/x-www-form-urlencoded",
        "user-agent": "Watchmark/1.0",
        "authorization": "Bearer token",
    },
    "anilist": {
        "content-type": "application/json",
        "accept": "application/json",
        "user-agent": "Watchmark/1.0",
        "authorization": "Bearer token",
    },
    "tvtime": {"user-agent": "Watchmark/1.0", "authorization": "Bearer token"},
    "tmdb": {"user-agent": "Watchmark/1.0"},
    "tvdb": {"user-agent": "Watchmark/1.0", "authorization": "Bearer token"},
}
SIMKL_APP = "client_id=id&app-name=watchmark&app-version=1.0"
AT = "2026-11-20T19:00:00.000Z"
NUMBERED = {"ids": {"tvdb": 81189}, "seasons": [{"number": 1, "episodes": [{"number": 1, "watched_at": AT}]}]}
SIGNED = {"api_key": "a" * 32, "api_sig": "b" * 32, "format": "json", "sk": "key"}
IN_SHOW = {"ids": {"tmdb": 1396}, "season": {"number": 2, "episode": {"number": 5}}}
SCROBBED = {
    "tmdb_id": 20526,
    "media_type": "movie",
    "watched_at": "2026-11-20T19:00:00Z",
    "completed": True,
}
FLOPPY_FILM = "/api/v1/media/movie/tmdb/20526"
ENDED = {"end_date": "2026-11-20T19:00:00Z"}
PROGRESS = {"mediaId": 16498, "status": "CURRENT", "progress": 5, "repeat": 0}
SAVE = {"query": "mutation($mediaId:Int){SaveMediaListEntry(mediaId:$mediaId){id}}", "variables": PROGRESS}
EVENT = {
    "media_type": "movie",
    "title": "TRON: Legacy",
    "tmdb_id": 20526,
    "progress": 0.93,
    "event_id": "wm-1-stop",
    "playback_session_id": "wm-1",
    "event_created_at": 1795208400000,
}
ITEM = {
    "kind": "episode",
    "title": "Breaking Bad",
    "tmdb_id": 1396,
    "season": 2,
    "episode": 5,
    "watched_at": "2026-11-20T19:00:00Z",
    "client_item_id": "wm-1",
}
LISTEN = {
    "listened_at": 1795380000,
    "track_metadata": {"artist_name": "Röyksopp", "track_name": "Some Resolve"},
}

RIGHT: list[tuple[str, str, str, Any]] = [
    (
        "trakt",
        "POST",
        "/scrobble/stop",
        {"progress": 95.5, "movie": {"ids": {"imdb": "tt1104001", "tmdb": 20526}}},
    ),
    ("trakt", "POST", "/scrobble/start", {"progress": 0, "movie": {"title": "TRON: Legacy", "year": 2010}}),
    ("trakt", "POST", "/scrobble/start", {"progress": 1, "episode": {"ids": {"tvdb": 349232}}}),
    (
        "trakt",
        "POST",
        "/scrobble/pause",
        {
            "progress": 12.5,
            "show": {"title": "Breaking Bad", "year": 2008},
            "episode": {"season": 1, "number": 1},
        },
    ),
    (
        "trakt",
        "POST",
        "/sync/history",
        {"shows": [NUMBERED], "movies": [{"ids": {"tmdb": 1}, "watched_at": "unknown"}]},
    ),
    ("trakt", "POST", "/sync/history/remove", {"ids": [2**53 + 1]}),
    ("trakt", "GET", f"/sync/history/movies?start_at={AT}&page=1&limit=250", None),
    ("trakt", "GET", "/search/tvdb/349232?type=episode", None),
    (
        "simkl",
        "POST",
        f"/scrobble/stop?{SIMKL_APP}",
        {"progress": 85, "movie": {"title": "Inception", "year": 2010}},
    ),
    (
        "simkl",
        "POST",
        f"/scrobble/start?{SIMKL_APP}",
        {"progress": 1.25, "anime": {"ids": {"mal": 25777}}, "episode": {"number": 4}},
    ),
    (
        "simkl",
        "POST",
        f"/sync/history?{SIMKL_APP}&allow_rewatch=yes",
        {"episodes": [{"watched_at": "1970-01-01T00:00:01Z", "ids": {"tvdb": 2493011}}]},
    ),
    ("lastfm", "POST", "/2.0/", {"method": "track.love", "artist": "a", "track": "t", **SIGNED}),
    (
        "lastfm",
        "POST",
        "/2.0/",
        {
            "method": "track.scrobble",
            "artist[0]": "a",
            "track[0]": "t",
            "timestamp[0]": "1795380000",
            **SIGNED,
        },
    ),
    ("listenbrainz", "POST", "/1/submit-listens", {"listen_type": "single", "payload": [LISTEN]}),
    ("mdblist", "POST", "/scrobble/start?apikey=k", {"progress": 79.9, "show": IN_SHOW}),
    ("mdblist", "GET", "/sync/watched?plays=all&limit=1000&since=2026-11-20T19:00:00Z", None),
    ("floppy", "POST", f"{FLOPPY_FILM}/watch", {**ENDED, "external_id": "wm-1-1795208400"}),
    ("floppy", "POST", "/api/v1/media/tv/tmdb/1396/2/episodes/5/watch", ENDED),
    ("punchplay", "POST", "/api/platform/v1/playback/stop", {**EVENT, "watched": False}),
    ("punchplay", "POST", "/api/platform/v1/sync/history", {"items": [ITEM]}),
    ("scrob", "POST", "/api/proxy/history", SCROBBED),
    ("scrob", "DELETE", "/history/event/9001", None),
    ("anilist", "POST", "/", SAVE),
    ("mal", "PUT", "/v2/anime/16498/my_list_status", {"status": "watching", "num_watched_episodes": "5"}),
    ("mal", "GET", "/anime/16498?fields=num_episodes", None),
    ("anilist", "POST", "/Viewer", {"query": "query{Viewer{id}}", "variables": {}}),
    ("tvtime", "POST", "/sidecar/api2.tozelabs.com/v2/watched_episodes/episode/7?is_rewatch=0", None),
    ("tmdb", "GET", "/3/find/tt0903747?external_source=imdb_id&api_key=abc", None),
    ("tvdb", "GET", "/v4/series/81189/episodes/official?page=0&season=1&episodeNumber=2", None),
]

WRONG: list[tuple[str, str, str, Any, str]] = [
    ("trakt", "POST", "/scrobble/finish", {}, "there is no POST /scrobble/finish"),
    ("trakt", "PUT", "/sync/history", {}, "there is no PUT"),
    ("trakt", "POST", "/scrobble/stop", {"progress": 0.5, "movie": {"ids": {"tmdb": 1}}}, "0.5"),
    ("trakt", "POST", "/scrobble/pause", {"progress": 80, "movie": {"ids": {"tmdb": 1}}}, "80"),
    ("trakt", "POST", "/scrobble/stop", {"progress": "95", "movie": {"ids": {"tmdb": 1}}}, "'95'"),
    ("trakt", "POST", "/scrobble/stop", {"progress": 95, "movie": {"title": "Tron"}}, "Tron"),
    ("trakt", "POST", "/scrobble/stop", {"progress": 95, "movie": {"ids": {"tvdb": 1}}}, "tvdb"),
    ("trakt", "POST", "/scrobble/stop", {"progress": 95, "movie": {"ids": {"tmdb": "1"}}}, "1"),
    (
        "trakt",
        "POST",
        "/sync/history",
        {"movies": [{"ids": {"tmdb": 1}, "watched_at": "yesterday"}]},
        "yesterday",
    ),
    ("trakt", "POST", "/sync/history", {"movies": [{"ids": {"tmdb": 1}}] * 101}, "too long"),
    ("trakt", "POST", "/sync/history", {"shows": [{"ids": {"tvdb": 81189}}]}, "81189"),
    ("trakt", "POST", "/sync/history/remove", {"movies": [{"ids": {"tmdb": 1}}]}, "movies"),
    ("trakt", "POST", "/sync/ratings", {"movies": [{"ids": {"tmdb": 1}, "rating": 0}]}, "0"),
    ("trakt", "GET", "/sync/history?limit=1000", None, "limit"),
    ("trakt", "GET", "/search/tmdb/1396", None, "type"),
    ("trakt", "POST", "/oauth/token", {"grant_type": "refresh_token", "refresh_token": "x"}, "redirect_uri"),
    ("simkl", "POST", "/scrobble/stop", {"progress": 85, "movie": {"ids": {"tmdb": 1}}}, "client_id"),
    (
        "simkl",
        "POST",
        f"/scrobble/stop?{SIMKL_APP}",
        {"progress": 85, "show": {"ids": {"tvdb": 1}}, "episode": {"ids": {"tvdb": 2}}},
        "episode",
    ),
    ("simkl", "POST", f"/sync/history?{SIMKL_APP}", {"shows": [{"ids": {"tvdb": 1}}]}, "1"),
    ("simkl", "POST", f"/sync/history?{SIMKL_APP}", {"movies": [{"ids": {"simkl_id": 1}}]}, "simkl_id"),
    ("lastfm", "POST", "/2.0/", {"method": "track.unscrobble", **SIGNED}, "there is no method"),
    ("lastfm", "GET", "/2.0/", {"method": "track.love", "artist": "a", "track": "t", **SIGNED}, "POST"),
    ("lastfm", "POST", "/2.0/", {"method": "track.love", "artist": "a", "track": "", **SIGNED}, "non-empty"),
    (
        "lastfm",
        "POST",
        "/2.0/",
        {"method": "track.scrobble", "artist[1]": "a", "track[1]": "t", "timestamp[1]": "1", **SIGNED},
        "from 0 on",
    ),
    (
        "listenbrainz",
        "POST",
        "/1/submit-listens",
        {"listen_type": "playing_now", "payload": [LISTEN]},
        "listened_at",
    ),
    ("mdblist", "POST", "/scrobble/start", {"progress": 80, "show": IN_SHOW}, "80"),
    ("mdblist", "POST", "/scrobble/stop", {"progress": 95, "show": {"ids": {"tmdb": 1396}}}, "season"),
    ("mdblist", "POST", "/sync/watched", {"shows": [{"ids": {"tmdb": 1396}}]}, "seasons"),
    ("mdblist", "GET", "/sync/watched?limit=1000", None, "plays"),
    ("floppy", "POST", f"{FLOPPY_FILM}/watch", ENDED, "external_id"),
    ("floppy", "POST", "/api/v1/media/tv/tmdb/1396/2/episodes/5/watch", {"end_date": None}, "end_date"),
    ("floppy", "DELETE", f"{FLOPPY_FILM}/watch", None, "no DELETE"),
    ("punchplay", "POST", "/api/platform/v1/playback/start", {**EVENT, "progress": 93}, "93"),
    ("punchplay", "POST", "/api/platform/v1/playback/stop", EVENT, "watched"),
    ("punchplay", "POST", "/api/platform/v1/sync/history", {"items": [ITEM] * 101}, "too long"),
    ("punchplay", "DELETE", "/api/platform/v1/title/movie/20526/history", None, "no DELETE"),
    ("scrob", "POST", "/history", {**SCROBBED, "watched_at": "2026-11-20T22:00:00+02:00"}, "watched_at"),
    ("scrob", "POST", "/history", {**SCROBBED, "media_type": "episode"}, "series_tmdb_id"),
    ("scrob", "DELETE", "/history/item?tmdb_id=20526&media_type=movie", None, "no DELETE"),
    ("anilist", "POST", "/", {**SAVE, "variables": {**PROGRESS, "status": "WATCHING"}}, "WATCHING"),
    ("anilist", "POST", "/SaveMediaListEntry", {**SAVE, "variables": {"mediaId": 16498}}, "status"),
    ("anilist", "POST", "/MediaListCollection", SAVE, "no POST"),
    (
        *("mal", "PUT", "/v2/anime/16498/my_list_status"),
        {"status": "watching", "num_episodes_watched": "5"},
        "num_watched_episodes",
    ),
    ("mal", "PATCH", "/v2/anime/16498", {}, "no PATCH"),
    ("tvtime", "POST", "/sidecar/api2.tozelabs.com/v2/watched_episodes/episode/7", None, "is_rewatch"),
    ("tmdb", "GET", "/3/find/tt0903747", None, "external_source"),
    ("tvdb", "GET", "/v4/series/81189/episodes/official", None, "page"),
]


def call(service: str, method: str, address: str, body: Any, **headers: str) -> Call:
    path, _, query = address.partition("?")
    known = {**HEADERS[service], **headers}
    return Call(method=method, path=path, query=query, headers=known, body=body, user=None, at=AT)


@pytest.mark.parametrize(("service", "method", "address", "body"), RIGHT)
def test_what_a_contract_shows_is_taken(service: str, method: str, address: str, body: Any) -> None:
    assert violations(service, call(service, method, address, body)) == []


@pytest.mark.parametrize(("service", "method", "address", "body", "word"), WRONG)
def test_what_a_contract_forbids_is_said(
    service: str, method: str, address: str, body: Any, word: str
) -> None:
    found = violations(service, call(service, method, address, body))

    assert found
    assert word in " ".join(found)


@pytest.mark.parametrize(
    ("service", "header"),
    [(service, header) for service in ("trakt", "simkl") for header in HEADERS[service]],
)
def test_every_header_is_needed(service: str, header: str) -> None:
    (_, method, address, body), *_ = [known for known in RIGHT if known[0] == service]

    (wrong,) = violations(service, call(service, method, address, body, **{header: ""}))

    assert f"the header {header} is ''" in wrong


def test_every_fake_of_a_service_is_held_to_its_contract() -> None:
    assert {fake.service for fake in FAKES} == set(CONTRACTS)


@pytest.mark.breaks_contracts
def test_a_wrong_call_is_written_down_where_the_test_is_failed_for_it(violations: Path) -> None:
    before = violations.read_text()

    with Server(Trakt()) as server:
        httpx.post(f"{server.url}/scrobble/stop", json={"progress": 95})

    wrong = [json.loads(line) for line in violations.read_text()[len(before) :].splitlines()]
    assert {(entry["service"], entry["call"]) for entry in wrong} == {("trakt", "POST /scrobble/stop?")}
    assert any("trakt-api-key" in entry["wrong"] for entry in wrong)


@pytest.mark.breaks_contracts
def test_so_is_a_wrong_call_to_a_fake_in_another_process(violations: Path) -> None:
    before = violations.read_text()
    command = [sys.executable, "-m", "tests.fakes.trakt", "--port", "0"]

    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        httpx.get(f"{url}/users/settings")
        process.terminate()

    assert "trakt-api-version" in violations.read_text()[len(before) :]


WRONG_CALL = """
import httpx
from tests.fakes._server import Server
from tests.fakes.trakt import Trakt


def test_it_seems_well():
    with Server(Trakt()) as server:
        httpx.get(server.url + "/users/settings")
"""


@pytest.mark.e2e  # it runs pytest, which takes seconds of processor time
def test_a_test_that_sends_a_wrong_call_fails(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    (tmp_path / "test_wrong.py").write_text(WRONG_CALL)
    arguments = ["-q", "-p", "no:cacheprovider", "-p", "tests.conftest", f"--rootdir={tmp_path}"]

    ended = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments, str(tmp_path)],
        cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert ended.returncode == 1
    assert "Wrong calls were sent" in ended.stdout
    assert "1 passed, 1 error" in ended.stdout
