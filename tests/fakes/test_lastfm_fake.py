"""The fake Last.fm against the contract, and as pylast sees it: the real service, over TLS."""

from __future__ import annotations

import hashlib
import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pylast
import pytest
import trustme
import uvicorn

from tests.fakes._inside import Inside
from tests.fakes._server import Clock, Fake, Server
from tests.fakes.lastfm import LastFM

pytestmark = pytest.mark.breaks_contracts  # it is the wrong calls whose refusal is looked at

NOW = datetime(2026, 11, 22, 20, 15, 9, tzinfo=UTC)
PLAYED = int(NOW.timestamp()) - 300
KEY, SECRET = "a" * 32, "b" * 32
SONG = {"artist": "Röyksopp", "track": "Some Resolve"}


class Secure(Server):
    """A fake over TLS, as `https://localhost`; its authority's certificate is `authority`."""

    def __init__(self, fake: Fake, folder: Path) -> None:
        super().__init__(fake)
        made = trustme.CA()
        self.authority = folder / "authority.pem"
        made.cert_pem.write_to_path(str(self.authority))
        chain = folder / "chain.pem"
        made.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(chain))
        quiet: dict[str, Any] = {"log_level": "critical", "server_header": False}
        how: dict[str, Any] = {"lifespan": "off", "http": "h11", "loop": "asyncio"}
        self.uvicorn = uvicorn.Server(uvicorn.Config(self, **quiet, **how, ssl_certfile=str(chain)))
        self.host = f"localhost:{self.socket.getsockname()[1]}"
        self.url = f"https://{self.host}"

    def __exit__(self, *what: object) -> None:
        """Once the last client has hung up, which over TLS takes a moment."""
        deadline = time.monotonic() + 2
        while self.uvicorn.server_state.connections and time.monotonic() < deadline:
            time.sleep(0.01)
        super().__exit__(*what)


class Client:
    """A signed client of the fake: `client("track.love", artist=…, track=…)`."""

    def __init__(self, server: Server) -> None:
        self.url = f"{server.url}/2.0/"
        self.session: dict[str, str] = server.fake.sign_in("anna")

    def __call__(self, method: str, verb: str = "POST", **said: Any) -> httpx.Response:
        asked = {"method": method, "api_key": KEY, "sk": self.session["sk"], "format": "json", **said}
        params = {name: str(value) for name, value in asked.items() if value is not None}
        names = sorted(params.keys() - {"format", "api_sig"})
        text = "".join(name + params[name] for name in names) + SECRET
        params.setdefault("api_sig", hashlib.md5(text.encode(), usedforsecurity=False).hexdigest())
        if verb == "GET":
            return httpx.get(self.url, params=params, timeout=2, verify=False)
        return httpx.post(self.url, data=params, timeout=2, verify=False)

    def scrobble(self, *tracks: dict[str, Any], **said: Any) -> Any:
        rows = {
            f"{name}[{number}]": value for number, row in enumerate(tracks) for name, value in row.items()
        }
        return self("track.scrobble", **rows, **said)


@pytest.fixture(scope="module")
def loopback() -> Iterator[Server]:
    with Inside(LastFM()) as server:
        yield server


@pytest.fixture
def fake(loopback: Server) -> LastFM:
    loopback.fake = LastFM(clock=Clock(NOW))
    fake: LastFM = loopback.fake
    return fake


@pytest.fixture
def client(loopback: Server, fake: LastFM) -> Client:
    return Client(loopback)


def played(number: int = 0, **more: Any) -> dict[str, Any]:
    return {"artist": "a", "track": f"t{number}", "timestamp": PLAYED + number, **more}


def code(response: httpx.Response) -> int:
    return int(response.json()["error"])


# The door


def test_a_wrong_signature_key_session_or_method_is_refused_by_its_code(client: Client) -> None:
    assert code(client("track.love", **SONG, api_sig="0" * 32)) == 13
    assert code(client("track.love", **SONG, api_key="c" * 32)) == 10
    assert code(client("track.love", **SONG, sk="nobody's")) == 9
    assert code(client("track.hum", **SONG)) == 3
    assert code(client("track.love", artist="a")) == 6


def test_numbered_names_are_signed_in_the_order_of_their_text(client: Client) -> None:
    assert client.scrobble(*(played(number) for number in range(12))).is_success


def test_writes_are_taken_by_post_only_and_reads_by_both(client: Client) -> None:
    assert code(client("track.love", "GET", **SONG)) == 6
    assert client("user.getInfo", "GET").json()["user"]["name"] == "anna"
    assert client("user.getInfo").json()["user"]["name"] == "anna"


def test_an_error_can_be_had_with_any_status_and_for_one_method(client: Client, fake: LastFM) -> None:
    fake.fail(11, status=200, method="track.love")

    assert client("user.getInfo").is_success
    refused, taken = client("track.love", **SONG), client("track.love", **SONG)

    assert (refused.status_code, code(refused)) == (200, 11)
    assert taken.json() == {}
    assert fake.user("anna").loved == [("Röyksopp", "Some Resolve")]


def test_the_same_is_said_in_xml(client: Client, fake: LastFM) -> None:
    told = client.scrobble(played(), format=None).text
    refused = client("track.hum", format=None).text

    assert told.startswith('<?xml version="1.0" encoding="utf-8"?>\n<lfm status="ok"><scrobbles ')
    assert 'accepted="1" ignored="0"' in told
    assert '<track corrected="0">t0</track>' in told
    assert '<lfm status="failed"><error code="3">' in refused


# Sign-in


def test_a_token_is_pending_then_approved_then_used(client: Client, fake: LastFM) -> None:
    token = client("auth.getToken", sk=None).json()["token"]
    page = {"api_key": KEY, "token": token}

    pending = client("auth.getSession", sk=None, token=token)
    asked = httpx.get(client.url.replace("2.0", "api/auth"), params=page, verify=False)
    agreed = httpx.post(
        client.url.replace("2.0", "api/auth"), params=page, data={"user": "berta"}, verify=False
    )
    session = client("auth.getSession", sk=None, token=token).json()["session"]
    again = client("auth.getSession", sk=None, token=token)

    assert (code(pending), code(again)) == (14, 4)
    assert "<form" in asked.text
    assert agreed.is_success
    assert (session["name"], session["subscriber"]) == ("berta", 0)
    assert fake.sessions[session["key"]] == "berta"


def test_a_token_expires_after_an_hour(client: Client, fake: LastFM) -> None:
    token = client("auth.getToken", sk=None).json()["token"]
    fake.approve()
    fake.clock.advance(timedelta(minutes=61))

    assert code(client("auth.getSession", sk=None, token=token)) == 15


def test_a_revoked_session_is_9(client: Client, fake: LastFM) -> None:
    fake.revoke("anna")

    assert code(client("user.getInfo")) == 9


# Scrobbles


def test_one_scrobble_is_answered_by_an_object_and_several_by_a_list(client: Client) -> None:
    one = client.scrobble(played(9)).json()["scrobbles"]
    two = client.scrobble(played(0), played(1)).json()["scrobbles"]

    assert one["@attr"] == {"accepted": 1, "ignored": 0}
    assert one["scrobble"]["artist"] == {"corrected": "0", "#text": "a"}
    assert one["scrobble"]["timestamp"] == str(PLAYED + 9)
    assert one["scrobble"]["ignoredMessage"] == {"code": "0", "#text": ""}
    assert [row["track"]["#text"] for row in two["scrobble"]] == ["t0", "t1"]


def test_more_than_fifty_gaps_and_a_mixture_are_refused(client: Client, fake: LastFM) -> None:
    assert code(client.scrobble(*(played(number) for number in range(51)))) == 6
    gap: dict[str, Any] = {f"{name}[1]": value for name, value in played().items()}
    assert code(client("track.scrobble", **gap)) == 6
    assert code(client.scrobble(played(), artist="a")) == 6
    assert client("track.scrobble", **played()).is_success
    assert len(fake.user("anna").scrobbles) == 1


def test_the_same_scrobble_sent_twice_is_kept_once(client: Client, fake: LastFM) -> None:
    for _ in range(2):
        assert client.scrobble(played()).json()["scrobbles"]["@attr"]["accepted"] == 1

    assert len(fake.user("anna").scrobbles) == 1


def test_tracks_are_ignored_one_by_one_with_their_codes(client: Client, fake: LastFM) -> None:
    fake.switches.ignore = {"t1": 1}
    fake.switches.daily_limit = 1
    rows = [
        played(0),
        played(1),
        played(2, timestamp=PLAYED - 15 * 86_400),
        played(3, timestamp=PLAYED + 3600),
        played(4),
    ]

    told = client.scrobble(*rows).json()["scrobbles"]

    assert [row["ignoredMessage"]["code"] for row in told["scrobble"]] == ["0", "1", "3", "4", "5"]
    assert told["@attr"] == {"accepted": 1, "ignored": 4}
    assert [kept["track"] for kept in fake.user("anna").scrobbles] == ["t0"]


def test_now_playing_is_not_a_scrobble(client: Client, fake: LastFM) -> None:
    told = client("track.updateNowPlaying", **SONG, duration=402).json()["nowplaying"]

    assert told["artist"] == {"corrected": "0", "#text": "Röyksopp"}
    assert told["ignoredMessage"]["code"] == "0"
    assert fake.user("anna").now_playing == {**SONG, "duration": "402"}
    assert fake.user("anna").scrobbles == []


def test_recent_tracks_come_newest_first_in_pages_behind_what_plays_now(client: Client) -> None:
    client.scrobble(*(played(number) for number in range(5)))
    client("track.updateNowPlaying", **SONG)
    asked: dict[str, Any] = {"user": "anna", "limit": 2, "from": PLAYED, "sk": None}

    first, last = (
        client("user.getRecentTracks", page=page, **asked).json()["recenttracks"] for page in (1, 2)
    )

    assert first["@attr"] == {"user": "anna", "page": "1", "perPage": "2", "totalPages": "2", "total": "4"}
    assert [row["name"] for row in first["track"]] == ["Some Resolve", "t4", "t3"]
    assert first["track"][0]["@attr"] == {"nowplaying": "true"}
    assert "date" not in first["track"][0]
    assert first["track"][1]["date"]["uts"] == str(PLAYED + 4)
    assert [row["name"] for row in last["track"]] == ["Some Resolve", "t2", "t1"]


def test_a_single_recent_track_is_an_object(client: Client) -> None:
    client.scrobble(played())

    assert client("user.getRecentTracks", user="anna").json()["recenttracks"]["track"]["name"] == "t0"


# As pylast sees it


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[pylast.LastFMNetwork, LastFM]]:
    fake = LastFM(clock=Clock(NOW))
    with Secure(fake, tmp_path) as server:
        context = ssl.create_default_context(cafile=str(server.authority))
        monkeypatch.setattr(pylast, "SSL_CONTEXT", context)
        network = pylast.LastFMNetwork(api_key=KEY, api_secret=SECRET)
        network.ws_server = (server.host, "/2.0/")
        yield network, fake


def test_pylast_signs_in_once_the_person_has_agreed(network: tuple[Any, LastFM]) -> None:
    client, fake = network
    generator = pylast.SessionKeyGenerator(client)
    url = generator.get_web_auth_url()

    with pytest.raises(pylast.WSError) as pending:
        generator.get_web_auth_session_key(url)
    fake.approve("anna")

    assert pending.value.status == "14"
    assert fake.sessions[generator.get_web_auth_session_key(url)] == "anna"


def test_pylast_plays_scrobbles_and_loves(network: tuple[Any, LastFM]) -> None:
    client, fake = network
    client.session_key = fake.sign_in("anna")["sk"]
    many = [{"artist": "a", "title": f"t{number}", "timestamp": PLAYED + number} for number in range(60)]

    client.update_now_playing(artist="Röyksopp", title="Some Resolve", duration=402)
    client.scrobble(artist="Röyksopp", title="Some Resolve", timestamp=PLAYED - 500, album_artist="Röyksopp")
    client.scrobble_many(many)
    client.get_track("Röyksopp", "Some Resolve").love()

    recent = client.get_user("anna").get_recent_tracks(limit=None)
    assert [int(one.timestamp) for one in recent] == [PLAYED + number for number in range(59, -1, -1)] + [
        PLAYED - 500
    ]
    anna = fake.user("anna")
    assert anna.now_playing == {**SONG, "duration": "402"}
    assert len(anna.scrobbles) == 61
    assert anna.scrobbles[0]["albumArtist"] == "Röyksopp"
    assert anna.loved == [("Röyksopp", "Some Resolve")]


def test_pylast_is_told_of_a_wrong_secret(network: tuple[Any, LastFM]) -> None:
    client, _ = network
    client.api_secret = "c" * 32

    with pytest.raises(pylast.WSError) as wrong:
        pylast.SessionKeyGenerator(client).get_web_auth_url()

    assert wrong.value.status == "13"


# Steered from outside


def test_it_is_steered_over_http() -> None:
    with Inside(LastFM()) as server:
        url = server.url
        with httpx.Client(base_url=url, verify=False) as http:
            session = http.post("/_control/user", json={"name": "anna"}).json()
            http.post("/_control/errors", json={"code": 9, "status": 200})
            refused = http.post("/2.0/", data={"format": "json"}).json()
            state = http.get("/_control/state").json()

    assert session["name"] == "anna"
    assert refused["error"] == 9
    assert state["users"]["anna"]["scrobbles"] == []
