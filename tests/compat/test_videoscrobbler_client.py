"""A client that is not ours, a real process, and Trakt at its other end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.dom.minidom import Document

import httpx
import httpx2  # with which pylast sends
import pylast
import pytest

from tests.compat._scrobbler import App, allow
from tests.evening import film
from tests.fakes._server import Server
from tests.fakes.trakt import Trakt
from tests.running import Process, eventually, started
from tests.web.conftest import HASHED, PASSWORD
from webhook import clock
from webhook.compat.videoscrobbler import apps
from webhook.storage import tables

TRAKT_APP = {"TRAKT_CLIENT_ID": "fake-client-id", "TRAKT_CLIENT_SECRET": "fake-client-secret"}
FILM = "tmdb:9000001"


class Plainly(httpx2.HTTPTransport):
    """Carries what pylast sends by HTTPS, which is all it knows, over plain HTTP."""

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        request.url = request.url.copy_with(scheme="http")
        return super().handle_request(request)


class VideoScrobbler(pylast._Network):
    """pylast's own network, with our address in place of Last.fm's."""

    def __init__(self, url: str, app: App) -> None:
        host = url.partition("://")[2]
        super().__init__(
            name="Watchmark", homepage=url, ws_server=(host, "/api/1.0/"), api_key=app.key,
            api_secret=app.secret, session_key=app.sk, username="", password_hash="", domain_names={}, urls={},
        )  # fmt: skip
        self.proxy = {"https://": Plainly()}

    def call(self, method: str, **params: Any) -> Document:
        request = pylast._Request(self, method, params)
        request.sign_it()
        return request.execute()


def said(document: Document, name: str) -> list[str]:
    return [
        "".join(str(inside.nodeValue) for inside in element.childNodes)
        for element in document.getElementsByTagName(name)
    ]


@pytest.fixture
def trakt() -> Iterator[tuple[Trakt, str]]:
    with Server(Trakt()) as server:
        server.fake.catalogue.add("movie", title="The Lighthouse Keeper", year=2019, ids={"tmdb": 9_000_001})
        yield server.fake, server.url


@pytest.fixture
def prepared(trakt: tuple[Trakt, str], tmp_path: Path) -> Iterator[tuple[Process, App]]:
    """A process for one person, with Trakt, an app, and a password to sign in with."""
    fake, url = trakt
    settings = {"TRAKT_API_URL": url, "TRAKT_AUTH_URL": url, "TRAKT_WRITES_PER_SECOND": "0"}
    process = Process(tmp_path, **TRAKT_APP, **settings)
    made: list[apps.NewApp] = []

    def change(connection: Any, service: Any) -> None:
        made.append(apps.create_app(connection, service.seal, "pylast", None, clock.now()))
        connection.execute(tables.person.update().values(password=HASHED))

    process.prepare(change).connect("trakt", fake.sign_in("anna"))
    with httpx.Client(timeout=20) as client, process.http:
        yield process, App(client, made[0].key, made[0].secret)


def let_in(process: Process, app: App) -> VideoScrobbler:
    """What a person does: the app asks for a token, they sign in and agree, the app gets its session."""
    network = VideoScrobbler(process.url, app)
    (token,) = said(network.call("auth.getToken"), "token")
    with httpx.Client(base_url=process.url, timeout=20) as browser:
        browser.post("/sign-in", data={"name": "me", "password": PASSWORD})
        allow(browser, app, token)
    told = network.call("auth.getSession", token=token)
    assert said(told, "user") == ["me"]
    (network.session_key,) = said(told, "sk")
    return network


def marks(fake: Trakt) -> list[Any]:
    return [entry["movie"]["ids"]["tmdb"] for entry in fake.user("anna").history]


def settled(process: Process) -> None:
    eventually(lambda: not process.api("/webhooks", state="received")["items"], "all is interpreted")
    eventually(lambda: not process.api("/deliveries", state="waiting")["items"], "nothing waits")


def test_a_client_of_last_fm_scrobbles_bookmarks_loves_and_reads(
    prepared: tuple[Process, App], trakt: tuple[Trakt, str]
) -> None:
    process, app = prepared
    with started(process):
        network = let_in(process, app)

        (video,) = said(network.call("video.getInfo", id=FILM), "id")
        begun = network.call("video.scrobble", id=video, position=0, state="playing", origin="dvd & <file>")
        paused = network.call("video.scrobble", id=video, position=61.5, state="paused")
        bookmark = network.call("video.getInfo", id=video, username="me")
        ended = network.call("video.scrobble", id=video, position=5400, state="finished")
        network.call("video.scrobble", id=video, position=5400, state="finished")
        loved = network.call("video.love", id=video, love=True)
        settled(process)

        assert said(begun, "origin") == ["dvd & <file>"]
        assert (said(paused, "state"), said(bookmark, "position")) == (["resting"], ["61.5"])
        assert (said(ended, "state"), said(loved, "love")) == (["finished"], ["true"])
        recent = network.call("user.getRecentVideos", user="me", n=10)
        assert (said(recent, "remote_id"), len(said(recent, "finished"))) == ([FILM], 1)
        assert said(network.call("user.getLovedVideos", user="me"), "remote_id") == [FILM]
        assert said(network.call("user.getFriends"), "count") == ["0"]
        assert said(network.call("user.getInfo", username="me"), "watching") == [""]
        with pytest.raises(pylast.WSError, match="Invalid resource"):
            network.call("video.getInfo", id=999)
        assert marks(trakt[0]) == [9000001]


def test_a_mark_of_plex_and_one_of_an_app_are_one(
    prepared: tuple[Process, App], trakt: tuple[Trakt, str]
) -> None:
    process, app = prepared
    with started(process):
        network = let_in(process, app)

        process.post("plex", film("media.scrobble", Guid=[{"id": "tmdb://9000001"}]))
        settled(process)
        network.call("video.scrobble", id=FILM, position=5400, state="finished")
        settled(process)

        assert len(process.api("/plays")["items"]) == 1
        assert marks(trakt[0]) == [9000001]


def test_a_scrobble_outlives_a_kill_before_it_is_interpreted(
    prepared: tuple[Process, App], trakt: tuple[Trakt, str]
) -> None:
    process, app = prepared
    with started(process):
        app.sk = let_in(process, app).session_key
        process.stop()
        process.environ["WORKER"] = "false"  # receives, and interprets nothing
        app.client.base_url = httpx.URL(process.start().url)
        for _ in range(2):
            assert app.send("video.scrobble", "HEAD", id=FILM, position=5400, state="finished").is_success
        assert process.api("/plays")["items"] == []
        process.kill()
        process.environ["WORKER"] = "true"
        process.start()
        settled(process)

        assert marks(trakt[0]) == [9000001]
        assert [play["source"] for play in process.api("/plays")["items"]] == ["videoscrobbler"]


def test_the_commands_make_and_end_apps(prepared: tuple[Process, App]) -> None:

    process, _ = prepared

    made = json.loads(process.run("apps", "add", "Couch", "--person", "me", "--json"))

    assert made["url"].endswith("/api/1.0/")
    listed = json.loads(process.run("apps", "list", "--json"))["apps"]
    assert [(one["name"], one["person"]) for one in listed] == [("pylast", None), ("Couch", "me")]
    assert made["secret"] not in json.dumps(listed)
    assert "Couch" in process.run("apps", "list")
    process.run("apps", "suspend", "2")
    assert json.loads(process.run("apps", "list", "--json"))["apps"][1]["suspended_at"]
    process.run("apps", "resume", "2")
    process.run("apps", "remove", "2")
    assert len(json.loads(process.run("apps", "list", "--json"))["apps"]) == 1
    assert json.loads(process.run("apps", "privacy", "--json")) == {"person": "me", "seen_by": "nobody"}
    assert "is visible to friends" in process.run("apps", "privacy", "friends")
    with pytest.raises(AssertionError, match="seen by is one of"):
        process.run("apps", "privacy", "all")
