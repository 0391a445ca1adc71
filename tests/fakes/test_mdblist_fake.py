"""The fake MDBList does what the service is known to do, above all what is unfriendly."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.fakes._inside import Inside
from tests.fakes._server import Clock
from tests.fakes.mdblist import MDBList

pytestmark = [pytest.mark.unit, pytest.mark.breaks_contracts]

NOW = datetime(2026, 11, 22, 20, 15, 9, tzinfo=UTC)
SHOW = {"ids": {"tmdb": 1396}}
FILM = {"movie": {"ids": {"tmdb": 20526}}}


@pytest.fixture
def fake() -> MDBList:
    return MDBList(clock=Clock(NOW))


@pytest.fixture
def http(fake: MDBList) -> Iterator[httpx.Client]:
    with Inside(fake) as server, httpx.Client(base_url=server.url, verify=False) as client:
        client.headers["authorization"] = f"Bearer {fake.sign_in('anna')['access_token']}"
        yield client


def scrobble(http: httpx.Client, verb: str, progress: float, item: Any) -> int:
    return http.post(f"/scrobble/{verb}", json={"progress": progress, **item}).status_code


def test_a_show_without_a_season_is_all_of_it(fake: MDBList, http: httpx.Client) -> None:
    assert scrobble(http, "stop", 95, {"show": SHOW}) == 201
    assert len(fake.user("anna").plays) > 3


@pytest.mark.parametrize(("marks", "plays"), [(True, 1), (False, 0)])
def test_a_start_from_80_on_marks(fake: MDBList, http: httpx.Client, marks: bool, plays: int) -> None:
    fake.switches.start_marks = marks

    assert scrobble(http, "start", 80, FILM) == 201
    assert len(fake.user("anna").plays) == plays


@pytest.mark.parametrize(("repeats", "plays"), [(True, 2), (False, 1)])
def test_a_second_stop_is_a_second_play(fake: MDBList, http: httpx.Client, repeats: bool, plays: int) -> None:
    fake.switches.stop_repeats = repeats

    assert [scrobble(http, "stop", 95, FILM) for _ in range(2)] == [201, 201]
    assert len(fake.user("anna").plays) == plays


@pytest.mark.parametrize(("minutes", "added"), [(9, False), (11, True)])
def test_a_play_near_another_collapses_into_it(http: httpx.Client, minutes: int, added: bool) -> None:
    dates = [NOW - timedelta(days=1), NOW - timedelta(days=1, minutes=minutes)]
    body = {"movies": [{"ids": {"tmdb": 20526}, "watched_at": at.isoformat()} for at in dates]}

    answer = http.post("/sync/watched?report_added=true", json=body).json()

    assert [play["added"] for play in answer["plays"]] == [True, added]


def test_how_far_it_was_is_a_text(http: httpx.Client) -> None:
    scrobble(http, "pause", 30, FILM)

    assert http.get("/sync/playback").json()[0]["progress"] == "30.00"


def test_a_list_of_states_has_no_plays(http: httpx.Client) -> None:
    scrobble(http, "stop", 95, FILM)

    (row,) = http.get("/sync/watched").json()["movies"]
    assert "play_id" not in row


def test_a_page_is_shorter_than_asked_for(fake: MDBList, http: httpx.Client) -> None:
    fake.switches.page = 1
    for _ in range(3):
        scrobble(http, "stop", 95, FILM)

    page = http.get("/sync/watched?plays=all&limit=1000").json()

    assert len(page["movies"]) == 1
    assert page["pagination"]["has_more"]
    assert page["pagination"]["next_cursor"]


def test_a_code_is_approved_once(fake: MDBList, http: httpx.Client) -> None:
    app = {"client_id": "fake-client-id"}
    code = http.post("/oauth/device-authorization/", data={**app, "scope": "write"}).json()
    grant = "urn:ietf:params:oauth:grant-type:device_code"
    wanted = {**app, "grant_type": grant, "device_code": code["device_code"]}

    def poll() -> Any:
        fake.clock.advance(6)
        return http.post("/oauth/token/", data=wanted).json()

    waiting = poll()
    fake.clock.advance(-6)
    hurried = poll()
    fake.approve("anna", code["user_code"])
    agreed, used = poll(), poll()

    assert waiting == {"error": "authorization_pending"}
    assert hurried == {"error": "slow_down"}
    assert agreed["scope"] == "write"
    assert used == {"error": "device_not_found"}


@pytest.mark.parametrize("how", ["refused", "too late"])
def test_a_code_may_come_to_nothing(fake: MDBList, http: httpx.Client, how: str) -> None:
    app = {"client_id": "fake-client-id"}
    code = http.post("/oauth/device-authorization/", data={**app, "scope": "write"}).json()
    grant = "urn:ietf:params:oauth:grant-type:device_code"
    if how == "refused":
        fake.deny()
    else:
        fake.clock.advance(1801)

    answer = http.post("/oauth/token/", data={**app, "grant_type": grant, "device_code": code["device_code"]})

    assert answer.json()["error"] == ("access_denied" if how == "refused" else "expired_token")
