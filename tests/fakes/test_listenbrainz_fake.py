"""The fake ListenBrainz against the contract, and as liblistenbrainz sees it: the real service, over TLS."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import liblistenbrainz  # type: ignore[import-untyped]
import pytest

from tests.fakes._inside import Inside
from tests.fakes._server import Clock, Server
from tests.fakes.listenbrainz import ListenBrainz
from tests.fakes.test_lastfm_fake import Secure

pytestmark = pytest.mark.breaks_contracts  # it is the wrong calls whose refusal is looked at

NOW = datetime(2026, 11, 22, 20, 15, 9, tzinfo=UTC)
PLAYED = int(NOW.timestamp()) - 300
MBID = "98255a8c-017a-4bc7-8dd6-1fa36124572b"


def listen(at: int | None = PLAYED, details: Any = None, **metadata: Any) -> dict[str, Any]:
    said = {"artist_name": "Röyksopp", "track_name": "Some Resolve", **metadata}
    said |= {} if details is None else {"additional_info": details}
    return {**({} if at is None else {"listened_at": at}), "track_metadata": said}


class Client:
    def __init__(self, server: Server) -> None:
        self.token: str = server.fake.sign_in("anna")["token"]
        headers = {"Authorization": f"Token {self.token}"}
        self.http = httpx.Client(base_url=server.url, headers=headers, timeout=2, verify=False)

    def submit(self, kind: str, *listens: Any, **params: Any) -> httpx.Response:
        body = {"listen_type": kind, "payload": list(listens)}
        return self.http.post("/1/submit-listens", json=body, params=params)


@pytest.fixture(scope="module")
def loopback() -> Iterator[Server]:
    with Inside(ListenBrainz()) as server:
        yield server


@pytest.fixture
def fake(loopback: Server) -> ListenBrainz:
    loopback.fake = ListenBrainz(clock=Clock(NOW))
    fake: ListenBrainz = loopback.fake
    return fake


@pytest.fixture
def client(loopback: Server, fake: ListenBrainz) -> Iterator[Client]:
    client = Client(loopback)
    with client.http:
        yield client


def test_single_now_and_import_are_kept_each_in_its_place(client: Client, fake: ListenBrainz) -> None:
    answers = [
        client.submit("single", listen()),
        client.submit("playing_now", listen(None)),
        client.submit("import", listen(PLAYED - 400), listen(PLAYED - 800)),
    ]

    anna = fake.user("anna")
    assert [answer.json() for answer in answers] == [{"status": "ok"}] * 3
    assert [one["listened_at"] for one in anna.listens] == [PLAYED, PLAYED - 400, PLAYED - 800]
    assert anna.playing_now == listen(None)


def test_now_playing_can_give_its_recording(client: Client) -> None:
    told = client.submit("playing_now", listen(None), return_msid="true").json()

    assert told["status"] == "ok"
    assert len(told["recording_msid"]) == 36


def test_the_same_listen_twice_is_one(client: Client, fake: ListenBrainz) -> None:
    for _ in range(2):
        client.submit("single", listen())

    assert len(fake.user("anna").listens) == 1


def test_empty_ids_are_no_fault_and_one_bad_listen_refuses_all(client: Client, fake: ListenBrainz) -> None:
    assert client.submit("single", listen(details={"recording_mbid": "", "release_mbid": None})).is_success

    assert client.submit("import", listen(PLAYED - 9), listen(5)).status_code == 400
    assert len(fake.user("anna").listens) == 1


def test_too_many_and_a_queue_that_is_down_can_be_had(client: Client, fake: ListenBrainz) -> None:
    fake.switches.too_many = 1
    assert client.submit("single", listen()).status_code == 429

    fake.clock.advance(10)
    fake.switches.queue_down = True
    refused = client.submit("single", listen())

    assert (refused.status_code, refused.json()["code"]) == (503, 503)
    assert fake.user("anna").listens == []


def test_a_recording_is_found_loved_and_no_longer_loved(client: Client, fake: ListenBrainz) -> None:
    fake.know("Röyksopp", "Some Resolve", MBID)
    asked = {"artist_name": "röyksopp", "recording_name": "some resolve"}
    feedback = "/1/feedback/recording-feedback"

    found = client.http.get("/1/metadata/lookup/", params=asked).json()
    none = client.http.get("/1/metadata/lookup/", params={**asked, "recording_name": "other"}).json()
    client.http.post(feedback, json={"recording_mbid": found["recording_mbid"], "score": 1})

    assert none == {}
    assert fake.user("anna").feedback == {MBID: 1}
    client.http.post(feedback, json={"recording_mbid": MBID, "score": 0})
    assert fake.user("anna").feedback == {}
    assert client.http.post(feedback, json={"recording_mbid": "x", "score": 1}).status_code == 400
    assert client.http.post(feedback, json={"recording_mbid": MBID, "score": 5}).status_code == 400


@pytest.mark.parametrize(
    ("at", "msid"), [(PLAYED + 1, None), (PLAYED, MBID), (str(PLAYED), None), (PLAYED, "some")]
)
def test_only_the_listen_that_is_named_is_deleted(
    client: Client, fake: ListenBrainz, at: Any, msid: str | None
) -> None:
    client.submit("single", listen())
    (kept,) = client.http.get("/1/user/anna/listens").json()["payload"]["listens"]
    named = {"listened_at": at, "recording_msid": msid or kept["recording_msid"]}

    answer = client.http.post("/1/delete-listen", json=named)

    assert answer.status_code == (200 if isinstance(at, int) and msid != "some" else 400)
    assert len(fake.user("anna").listens) == 1
    client.http.post(
        "/1/delete-listen", json={**named, "listened_at": PLAYED, "recording_msid": kept["recording_msid"]}
    )
    assert fake.user("anna").listens == []


def test_the_latest_import_is_kept(client: Client) -> None:
    client.http.post("/1/latest-import", json={"ts": PLAYED})

    assert client.http.get("/1/latest-import", params={"user_name": "anna"}).json()["latest_import"] == PLAYED


# As liblistenbrainz sees it


@pytest.fixture
def secure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, ListenBrainz]]:
    fake = ListenBrainz(clock=Clock(NOW))
    with Secure(fake, tmp_path) as server:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(server.authority))
        yield server.url, fake
        liblistenbrainz.client.adapter.close()  # it keeps its connections for the next call


def test_liblistenbrainz_signs_in_listens_and_loves(secure: tuple[str, ListenBrainz]) -> None:
    url, fake = secure
    client = liblistenbrainz.ListenBrainz(api_base_url=url)
    song = {"track_name": "Some Resolve", "artist_name": "Röyksopp"}
    many = [liblistenbrainz.Listen(**song, listened_at=PLAYED - 1000 * number) for number in (1, 2, 3)]

    client.set_auth_token(fake.sign_in("anna")["token"])
    client.submit_playing_now(liblistenbrainz.Listen(**song))
    client.submit_single_listen(liblistenbrainz.Listen(**song, listened_at=PLAYED, recording_mbid=MBID))
    client.submit_multiple_listens(many)
    client.submit_user_feedback(1, MBID)

    now = client.get_playing_now("anna")
    assert now is not None
    assert now.track_name == "Some Resolve"
    assert [one.listened_at for one in client.get_listens("anna")] == [
        PLAYED, PLAYED - 1000, PLAYED - 2000, PLAYED - 3000,
    ]  # fmt: skip
    assert fake.user("anna").feedback == {MBID: 1}

    client.delete_listen(client.get_listens("anna", max_ts=PLAYED - 1000)[0])

    assert [one.listened_at for one in client.get_listens("anna")] == [PLAYED, PLAYED - 1000, PLAYED - 3000]


def test_liblistenbrainz_is_told_of_a_token_that_is_nobody_s(secure: tuple[str, ListenBrainz]) -> None:
    client = liblistenbrainz.ListenBrainz(api_base_url=secure[0])

    with pytest.raises(liblistenbrainz.errors.InvalidAuthTokenException):
        client.set_auth_token("nobody's")


# Steered from outside


def test_it_is_steered_over_http() -> None:
    with Inside(ListenBrainz()) as server:
        url = server.url
        with httpx.Client(base_url=url, verify=False) as http:
            tokens = http.post("/_control/user", json={"name": "anna"}).json()
            known = http.post("/_control/recordings", json={"artist": "a", "title": "t", "mbid": MBID}).json()
            headers = {"Authorization": f"Token {tokens['token']}"}
            valid = http.get("/1/validate-token", headers=headers).json()
            state = http.get("/_control/state").json()

    assert known == {"recordings": 1}
    assert valid["user_name"] == "anna"
    assert state["users"]["anna"]["listens"] == []
