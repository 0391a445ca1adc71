"""The fake Trakt against the contract's fidelity checklist."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from tests.fakes._inside import Inside
from tests.fakes._server import Clock, Server
from tests.fakes.trakt import FIRST_HISTORY_ID, Trakt

pytestmark = pytest.mark.breaks_contracts  # it is the wrong calls whose refusal is looked at

NOW = datetime(2026, 11, 22, 20, 15, 9, tzinfo=UTC)
APP = {"client_id": "fake-client-id", "client_secret": "fake-client-secret"}
REFRESH = {"grant_type": "refresh_token", "redirect_uri": "urn:ietf:wg:oauth:2.0:oob"}
KEY = {"trakt-api-key": "fake-client-id", "trakt-api-version": "2"}
TRON = {"movie": {"ids": {"imdb": "tt1104001"}}}
ELSE = {"movie": {"ids": {"imdb": "tt7777777"}}}
PILOT = {"show": {"ids": {"tvdb": 81189}}, "episode": {"season": 1, "number": 1}}


class Client:
    """A person's client: `client("POST", "/scrobble/stop", ...)`."""

    def __init__(self, server: Server, name: str) -> None:
        self.tokens = server.fake.sign_in(name)
        headers = {**KEY, "Authorization": f"Bearer {self.tokens['access_token']}"}
        self.http = httpx.Client(base_url=server.url, headers=headers, timeout=2, verify=False)

    def __call__(self, method: str, path: str, body: Any = None, **more: Any) -> httpx.Response:
        if body is not None:
            more["json"] = body
        return self.http.request(method, path, **more)

    def scrobble(self, verb: str, progress: Any, item: Any = TRON) -> httpx.Response:
        return self("POST", f"/scrobble/{verb}", {"progress": progress, **item})

    def history(self, **params: Any) -> list[Any]:
        rows: list[Any] = self("GET", "/sync/history", params=params).json()
        return rows

    def oauth(self, path: str, **said: Any) -> httpx.Response:
        return httpx.post(self.http.base_url.join(path), json={**APP, **said}, timeout=2, verify=False)


@pytest.fixture(scope="module")
def loopback() -> Iterator[Server]:
    with Inside(Trakt()) as server:
        yield server


@pytest.fixture
def server(loopback: Server) -> Server:
    loopback.fake = Trakt(clock=Clock(NOW))
    return loopback


@pytest.fixture
def fake(server: Server) -> Trakt:
    fake: Trakt = server.fake
    return fake


@pytest.fixture
def sign_in(server: Server) -> Iterator[Callable[[str], Client]]:
    with ExitStack() as stack:

        def sign_in(name: str) -> Client:
            client = Client(server, name)
            stack.enter_context(client.http)
            return client

        yield sign_in


@pytest.fixture
def client(sign_in: Callable[[str], Client]) -> Client:
    return sign_in("anna")


# The door


def test_oauth_asks_for_neither_key_nor_bearer(server: Server) -> None:
    response = httpx.post(server.url + "/oauth/device/code", json={"client_id": "fake-client-id"})

    assert response.status_code == 200


def test_a_locked_account_is_423_and_says_so_in_headers(client: Client, fake: Trakt) -> None:
    fake.user("anna").locked = True

    response = client.scrobble("start", 1)

    assert response.status_code == 423
    assert response.headers["x-account-locked"] == "true"


# Scrobble


def test_start_sets_watching_until_the_rest_has_run_and_clears_playback(client: Client, fake: Trakt) -> None:
    client.scrobble("pause", 40)

    client.scrobble("start", 50)

    watching = client("GET", "/users/me/watching")
    assert watching.json()["movie"]["ids"]["imdb"] == "tt1104001"
    assert client("GET", "/sync/playback").json() == []
    fake.clock.advance(63 * 60)  # half of its 125 minutes are over
    assert client("GET", "/users/me/watching").status_code == 204


def test_stop_above_the_threshold_adds_history_and_clears_the_rest(client: Client) -> None:
    client("POST", "/sync/watchlist", {"movies": [TRON["movie"]]})
    client.scrobble("pause", 40)
    client.scrobble("start", 40)

    response = client.scrobble("stop", 95)

    row = client.history()[0]
    assert (row["id"], row["action"]) == (response.json()["id"], "scrobble")
    assert row["id"] >= FIRST_HISTORY_ID > 2**53
    assert row["watched_at"] == "2026-11-22T20:15:09.000Z"
    assert client("GET", "/users/me/watching").status_code == 204
    assert client("GET", "/sync/playback").json() == client("GET", "/sync/watchlist").json() == []


def test_a_pause_is_kept_as_playback_and_can_be_removed(client: Client) -> None:
    client.scrobble("stop", 42.5, PILOT)

    row = client("GET", "/sync/playback/episodes").json()[0]

    assert (row["progress"], row["episode"]["number"]) == (42.5, 1)
    assert client("DELETE", f"/sync/playback/{row['id']}").status_code == 204
    assert client("DELETE", f"/sync/playback/{row['id']}").status_code == 404


def test_an_item_is_the_same_by_every_id_it_was_ever_named_by(client: Client) -> None:
    client.scrobble("stop", 95, {"movie": {"ids": {"imdb": "tt1104001", "tmdb": 20526}}})

    assert client.scrobble("stop", 95, {"movie": {"ids": {"tmdb": 20526}}}).status_code == 409


# History


def test_the_same_play_twice_is_stored_twice(client: Client) -> None:
    play = {"movies": [{"watched_at": "2026-11-20T19:00:00.000Z", **TRON["movie"]}]}

    first, second = (client("POST", "/sync/history", play) for _ in range(2))

    assert first.status_code == second.status_code == 201
    assert second.json()["added"] == {"movies": 1, "episodes": 0}
    assert [row["watched_at"] for row in client.history()] == ["2026-11-20T19:00:00.000Z"] * 2


def test_a_window_is_read_as_days_where_switched(client: Client, fake: Trakt) -> None:
    client("POST", "/sync/history", {"movies": [{"watched_at": "2026-11-20T19:00:00.000Z", **TRON["movie"]}]})
    window = {"start_at": "2026-11-20T08:00:00.000Z", "end_at": "2026-11-20T09:00:00.000Z"}

    exact = client.history(**window)
    fake.switches.windows = "days"

    assert exact == []
    assert len(client.history(**window)) == 1


@pytest.mark.parametrize("listed", [None, "1970-01-01T00:00:00.000Z"])
def test_an_unknown_date_is_listed_without_one(client: Client, fake: Trakt, listed: str | None) -> None:
    fake.switches.unknown_date = listed

    client("POST", "/sync/history", {"movies": [{"watched_at": "unknown", **TRON["movie"]}]})

    assert [row["watched_at"] for row in client.history()] == [listed]


def test_a_bare_show_is_all_its_episodes_and_a_nested_one_is_one(client: Client) -> None:
    nested = {"ids": {"tvdb": 81189}, "seasons": [{"number": 1, "episodes": [{"number": 2}]}]}

    one = client("POST", "/sync/history", {"shows": [nested]}).json()
    all_of_it = client("POST", "/sync/history", {"shows": [{"ids": {"tvdb": 81189}}]}).json()

    assert one["added"]["episodes"] == 1
    assert all_of_it["added"]["episodes"] == 4


def test_one_play_is_removed_by_its_id_and_unknown_ids_are_named(client: Client) -> None:
    for _ in range(2):
        client("POST", "/sync/history", {"movies": [TRON["movie"]]})
    play = client.history()[0]["id"]

    body = client("POST", "/sync/history/remove", {"ids": [play, 42]}).json()

    assert body["deleted"] == {"movies": 1, "episodes": 0}
    assert body["not_found"]["ids"] == [42]
    assert len(client.history()) == 1


def test_history_is_paged_newest_first_and_clamped_at_250(client: Client) -> None:
    plays = [
        {"watched_at": f"2026-11-20T19:{at // 60:02}:{at % 60:02}Z", **TRON["movie"]} for at in range(300)
    ]
    for some in (plays[:100], plays[100:200], plays[200:]):
        client("POST", "/sync/history", {"movies": some})

    first = client("GET", "/sync/history", params={"limit": 1000})
    last = client("GET", "/sync/history/movies", params={"limit": 250, "page": 2})

    assert len(client.history()) == 10
    assert len(first.json()) == 250
    assert first.json()[0]["watched_at"] == "2026-11-20T19:04:59.000Z"
    assert first.headers["x-pagination-limit"] == "250"
    assert first.headers["x-pagination-page-count"] == "2"
    assert first.headers["x-pagination-item-count"] == "300"
    assert len(last.json()) == 50


def test_history_is_cut_to_a_window_of_times_or_days(client: Client) -> None:
    for day in (19, 20, 21):
        play = {"watched_at": f"2026-11-{day}T19:00:00.000Z", **TRON["movie"]}
        client("POST", "/sync/history", {"movies": [play]})

    one_day = client.history(start_at="2026-11-20", end_at="2026-11-20")
    times = client.history(start_at="2026-11-20T19:00:00.000Z", end_at="2026-11-21T18:59:59+00:00")

    assert [row["watched_at"][:10] for row in one_day] == ["2026-11-20"]
    assert [row["watched_at"][:10] for row in times] == ["2026-11-20"]


# Ratings, collection, watchlist


def test_a_rating_is_overwritten_removed_and_bounded(client: Client) -> None:
    for rating in (7, 9):
        assert client("POST", "/sync/ratings", {"movies": [{**TRON["movie"], "rating": rating}]}).is_success

    assert [row["rating"] for row in client("GET", "/sync/ratings/movies").json()] == [9]
    for wrong in (0, 11, None):
        refused = client("POST", "/sync/ratings", {"movies": [{**TRON["movie"], "rating": wrong}]})
        assert refused.status_code == 422
    removed = client("POST", "/sync/ratings/remove", {"movies": [TRON["movie"]]}).json()
    assert removed["deleted"]["movies"] == 1
    assert client("GET", "/sync/ratings").json() == []


def test_collection_and_watched_lists_are_always_paged(client: Client) -> None:
    episodes = [{"number": number} for number in range(1, 4)]
    body = {"shows": [{"ids": {"trakt": 7000}, "seasons": [{"number": 1, "episodes": episodes}]}]}
    client("POST", "/sync/history", body)

    first, second = (client("POST", "/sync/collection", body).json() for _ in range(2))

    shows = client("GET", "/sync/collection/shows")
    watched = client("GET", "/sync/watched/shows")
    assert (first["added"]["episodes"], second["existing"]["episodes"]) == (3, 3)
    assert len(shows.json()[0]["seasons"][0]["episodes"]) == 3
    assert shows.headers["x-pagination-limit"] == watched.headers["x-pagination-limit"] == "100"
    assert watched.json()[0]["plays"] == 3
    assert "seasons" not in watched.json()[0]


@pytest.mark.parametrize("headers", [True, False])
def test_a_full_watchlist_is_420_with_or_without_headers(client: Client, fake: Trakt, headers: bool) -> None:
    fake.switches.watchlist_limit, fake.switches.limit_headers = 0, headers

    response = client("POST", "/sync/watchlist", {"movies": [TRON["movie"]]})

    assert response.status_code == 420
    assert ("x-account-limit" in response.headers) == headers


def test_an_episode_watched_takes_its_show_off_the_watchlist(client: Client) -> None:
    client("POST", "/sync/watchlist", {"shows": [PILOT["show"]]})

    client.scrobble("stop", 95, PILOT)

    assert client("GET", "/sync/watchlist").json() == []


def test_activities_move_when_something_is_added_or_removed(client: Client, fake: Trakt) -> None:
    client.scrobble("stop", 95)
    before = client("GET", "/sync/last_activities").json()
    fake.clock.advance(60)

    client("POST", "/sync/history/remove", {"ids": [client.history()[0]["id"]]})

    after = client("GET", "/sync/last_activities").json()
    assert before["movies"]["watched_at"] < after["movies"]["watched_at"] == after["all"]
    assert before["episodes"] == after["episodes"]


# Search and reads


def test_search_by_id_answers_empty_where_nothing_matches(client: Client) -> None:
    episode = client("GET", "/search/tvdb/349232", params={"type": "episode"}).json()

    assert episode[0]["episode"]["title"] == "Pilot"
    assert episode[0]["show"]["title"] == "Breaking Bad"
    assert client("GET", "/search/tvdb/349232", params={"type": "show"}).json() == []


def test_search_by_text_and_single_items(client: Client) -> None:
    by_alias = client("GET", "/search/show", params={"query": "totál szívás"}).json()

    assert by_alias[0]["show"]["title"] == "Breaking Bad"
    assert client("GET", "/search/show", params={"query": "breaking"}).json()[0]["type"] == "show"
    assert client("GET", "/search/show/exact", params={"query": "breaking"}).json() == []
    assert client("GET", "/search/show", params={"query": "breaking", "years": "2010"}).json() == []
    assert client("GET", "/shows/tt0903747").json()["title"] == "Breaking Bad"
    assert client("GET", "/shows/tt0903747/seasons/1/episodes/1").json()["title"] == "Pilot"
    assert client("GET", "/shows/tt0903747/seasons/1/episodes/9").status_code == 404


# OAuth


def begin(client: Client) -> Any:
    return client.oauth("/oauth/device/code").json()


def test_the_device_flow_goes_from_pending_to_tokens_to_used(client: Client, fake: Trakt) -> None:
    code = begin(client)["device_code"]

    pending = client.oauth("/oauth/device/token", code=code)
    too_fast = client.oauth("/oauth/device/token", code=code)
    fake.clock.advance(5)
    fake.approve("berta")
    agreed = client.oauth("/oauth/device/token", code=code)
    again = client.oauth("/oauth/device/token", code=code)

    assert (pending.status_code, pending.content, pending.headers["content-length"]) == (400, b"", "0")
    assert (too_fast.status_code, again.status_code) == (429, 409)
    assert agreed.json()["expires_in"] == 604_800
    assert agreed.json()["created_at"] == int(NOW.timestamp()) + 5
    assert fake.who({"authorization": f"Bearer {agreed.json()['access_token']}"}) == "berta"


def test_the_device_flow_can_be_unknown_denied_or_expired(client: Client, fake: Trakt) -> None:
    denied, late = (begin(client) for _ in range(2))
    fake.deny(denied["user_code"])

    assert client.oauth("/oauth/device/token", code="0" * 64).status_code == 404
    assert client.oauth("/oauth/device/token", code=denied["device_code"]).status_code == 418
    fake.clock.advance(601)
    assert client.oauth("/oauth/device/token", code=late["device_code"]).status_code == 410


def test_a_device_code_can_be_approved_by_itself(client: Client, fake: Trakt) -> None:
    fake.switches.auto_approve = "demo"

    response = client.oauth("/oauth/device/token", code=begin(client)["device_code"])

    assert response.status_code == 200


def test_a_refresh_token_works_once_and_takes_the_old_access_token_with_it(
    client: Client, fake: Trakt
) -> None:
    old = client.tokens["refresh_token"]

    first, second = (client.oauth("/oauth/token", **REFRESH, refresh_token=old) for _ in range(2))

    assert first.json()["refresh_token"] != old
    assert second.status_code == 400
    assert second.json() == {"error": "invalid_grant", "error_description": "session not found"}
    assert client("GET", "/users/settings").status_code == 401
    assert fake.refreshes == 1


def test_a_refresh_without_the_redirect_uri_is_400_and_burns_nothing(client: Client, fake: Trakt) -> None:
    token = client.tokens["refresh_token"]

    refused = client.oauth("/oauth/token", grant_type="refresh_token", refresh_token=token)
    taken = client.oauth("/oauth/token", **REFRESH, refresh_token=token)

    assert (refused.status_code, taken.status_code) == (400, 200)
    assert fake.refreshes == 1


def test_a_lost_answer_to_a_refresh_burns_the_token(client: Client, fake: Trakt) -> None:
    fake.faults.add("/oauth/token", record_then="reset")
    renewal = {"grant_type": "refresh_token", "refresh_token": client.tokens["refresh_token"]}

    with pytest.raises(httpx.ReadError):
        client.oauth("/oauth/token", **renewal)

    assert client.oauth("/oauth/token", **renewal).status_code == 400


def test_an_access_token_ends_with_its_life_and_when_revoked(client: Client, fake: Trakt) -> None:
    fake.clock.advance(604_800)
    assert client("GET", "/users/settings").status_code == 401
    fake.clock.advance(-1)
    assert client("GET", "/users/settings").status_code == 200

    client.oauth("/oauth/revoke", token=client.tokens["access_token"])

    assert client("GET", "/users/settings").status_code == 401


def test_on_a_free_account_a_second_sign_in_ends_the_first(
    sign_in: Callable[[str], Client], fake: Trakt
) -> None:
    fake.user("free").vip = False

    first, second = sign_in("free"), sign_in("free")

    assert first("GET", "/users/settings").status_code == 401
    assert second("GET", "/users/settings").json()["user"]["vip"] is False


def test_a_deleted_app_is_403_and_invalid_client(client: Client, fake: Trakt) -> None:
    fake.switches.app_deleted = True

    assert client("GET", "/users/settings").status_code == 403
    assert client.oauth("/oauth/device/code").json()["error"] == "invalid_client"


# Limits and faults


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        ("full", {"retry-after", "x-ratelimit"}),
        ("retry_after_only", {"retry-after"}),
        ("none", set()),
    ],
)
def test_a_second_write_within_a_second_is_429_in_three_header_styles(
    client: Client, fake: Trakt, style: str, expected: set[str]
) -> None:
    fake.switches.rate_limit, fake.switches.ratelimit_headers = True, style
    client.scrobble("start", 1)

    response = client.scrobble("start", 2)

    assert response.status_code == 429
    assert {"retry-after", "x-ratelimit"} & response.headers.keys() == expected
    fake.clock.advance(1)
    assert client.scrobble("start", 3).status_code == 201


def test_reads_are_limited_to_500_in_five_minutes_and_users_apart(
    sign_in: Callable[[str], Client], client: Client, fake: Trakt
) -> None:
    fake.switches.rate_limit = True
    for _ in range(500):
        client("GET", "/users/me/watching")

    assert client("GET", "/users/me/watching").status_code == 429
    assert sign_in("berta")("GET", "/users/me/watching").status_code == 204


@pytest.mark.parametrize(
    "status", [401, 403, 404, 405, 409, 412, 418, 420, 422, 423, 426, 429, 500, 502, 503, 504, 520]
)
def test_any_status_can_be_had_for_as_many_calls_as_wished(client: Client, fake: Trakt, status: int) -> None:
    fake.faults.add("POST /scrobble", status=status, headers={"X-Told": "yes"}, times=2)

    answers = [client.scrobble("start", 1) for _ in range(3)]

    assert [response.status_code for response in answers] == [status, status, 201]
    assert answers[0].headers["x-told"] == "yes"
    assert [call.status for call in fake.made("/scrobble")] == [status, status, 201]


def test_a_fault_can_hold_for_one_person_and_skip_the_first_calls(
    sign_in: Callable[[str], Client], client: Client, fake: Trakt
) -> None:
    fake.faults.add("/users", status=503, user="anna", skip=1, times=-1)
    berta = sign_in("berta")

    assert [client("GET", "/users/settings").status_code for _ in range(3)] == [200, 503, 503]
    assert berta("GET", "/users/settings").status_code == 200


@pytest.mark.parametrize("how", ["silence", "reset", 502])
def test_a_call_can_be_recorded_and_its_answer_spoiled(client: Client, fake: Trakt, how: Any) -> None:
    fake.faults.add("/scrobble/stop", record_then=how)
    client.http.timeout = httpx.Timeout(0.2)

    if how == 502:
        assert client.scrobble("stop", 95).status_code == 502
    else:
        with pytest.raises((httpx.ReadTimeout, httpx.ReadError)):
            client.scrobble("stop", 95)

    assert len(fake.user("anna").history) == 1


def test_a_call_can_be_recorded_after_the_client_gave_up(client: Client, fake: Trakt) -> None:
    fake.faults.add("/scrobble/stop", record_then="late")

    with pytest.raises(httpx.ReadTimeout):
        client("POST", "/scrobble/stop", {"progress": 95, **TRON}, timeout=0.1)

    deadline = time.monotonic() + 2
    while not fake.user("anna").history and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(fake.user("anna").history) == 1


def test_an_answer_can_be_slow_cut_reset_html_or_huge(client: Client, fake: Trakt) -> None:
    for fault in (
        {"delay": 0.5},
        {"status": 200, "body": '{"user": 1}', "cut": 4},
        {"reset": True},
        {"status": 520, "body": "<html>"},
        {"body": "x" * 300_000},
    ):
        fake.faults.add("/users/settings", **fault)

    with pytest.raises(httpx.ReadTimeout):
        client("GET", "/users/settings", timeout=0.1)
    with pytest.raises(httpx.RemoteProtocolError):
        client("GET", "/users/settings")
    with pytest.raises(httpx.ReadError):
        client("GET", "/users/settings")
    assert client("GET", "/users/settings").headers["content-type"] == "text/html"
    assert len(client("GET", "/users/settings").content) == 300_000


# Steered from outside


def test_it_is_steered_over_http() -> None:
    with Inside(Trakt()) as server:
        url = server.url

        with httpx.Client(base_url=url) as http:
            tokens = http.post("/_control/user", json={"name": "anna", "vip": False}).json()
            http.post("/_control/clock", json={"now": "2026-11-22T20:00:00Z", "advance": 60})
            http.post("/_control/switches", json={"window_minutes": 0})
            http.post(
                "/_control/catalogue", json={"movies": [{"title": "Else", "ids": {"imdb": "tt7777777"}}]}
            )
            http.post("/_control/faults", json={"route": "/scrobble", "status": 503})
            http.headers.update({**KEY, "Authorization": f"Bearer {tokens['access_token']}"})
            statuses = [
                http.post("/scrobble/stop", json={"progress": 95, **ELSE}).status_code for _ in range(2)
            ]
            state = http.get("/_control/state").json()
            unknown = http.post("/_control/switches", json={"nonsense": 1})

    assert statuses == [503, 201]
    assert state["users"]["anna"]["history"][0]["watched_at"] == "2026-11-22T20:01:00.000Z"
    assert state["users"]["anna"]["history"][0]["movie"]["title"] == "Else"
    assert [call["user"] for call in state["calls"]] == ["anna", "anna"]
    assert state["faults"][0]["times"] == 0
    assert unknown.status_code == 400


def test_a_call_that_breaks_off_before_its_end_was_never_made() -> None:
    with Server(Trakt()) as server:
        with socket.create_connection(server.socket.getsockname(), timeout=2) as door:
            door.sendall(
                b'POST /scrobble/stop HTTP/1.1\r\nHost: fake\r\nContent-Length: 90\r\n\r\n{"progress"'
            )
        time.sleep(0.3)

        assert server.fake.calls == []
