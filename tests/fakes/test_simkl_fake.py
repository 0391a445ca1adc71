"""The fake Simkl against the contract."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.fakes._inside import Inside
from tests.fakes._server import Clock, Server
from tests.fakes.simkl import EXPIRED, FIRST_ID, PENDING, SLOW_DOWN, Simkl

pytestmark = pytest.mark.breaks_contracts  # it is the wrong calls whose refusal is looked at

NOW = datetime(2026, 11, 22, 20, 15, 9, tzinfo=UTC)
APP = {"client_id": "fake-client-id", "app-name": "test", "app-version": "1.0"}
FILM = {"movie": {"title": "Inception", "year": 2010, "ids": {"imdb": "tt1375666"}}}
PILOT = {"show": {"ids": {"tvdb": 81189}}, "episode": {"season": 1, "number": 1}}
TITAN: dict[str, Any] = {
    "type": "anime",
    "title": "Attack on Titan Season 2",
    "year": 2017,
    "ids": {"tvdb": 267440, "mal": 25777, "simkl": 439744},
    "episodes": [{"season": 1, "number": 4, "tvdb_season": 2, "tvdb_number": 4}],
}


class Client:
    """A person's client: `client("POST", "/scrobble/stop", ...)`."""

    def __init__(self, server: Server, name: str = "anna", **params: str) -> None:
        headers = {"Authorization": f"Bearer {server.fake.sign_in(name)['access_token']}"}
        self.http = httpx.Client(base_url=server.url, headers=headers, params={**APP, **params}, timeout=2)

    def __call__(self, method: str, path: str, body: Any = None, **params: Any) -> httpx.Response:
        with_body = {} if body is None else {"json": body}
        return self.http.request(method, path, params=params, **with_body)

    def scrobble(self, verb: str, progress: Any, item: Any = FILM) -> httpx.Response:
        return self("POST", f"/scrobble/{verb}", {"progress": progress, **item})


@pytest.fixture(scope="module")
def loopback() -> Iterator[Server]:
    with Inside(Simkl()) as server:
        yield server


@pytest.fixture
def server(loopback: Server) -> Server:
    loopback.fake = Simkl(clock=Clock(NOW))
    return loopback


@pytest.fixture
def fake(server: Server) -> Simkl:
    fake: Simkl = server.fake
    return fake


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    client = Client(server)
    with client.http:
        yield client


# The door


def test_what_a_call_lacks_is_written_down(server: Server, fake: Simkl) -> None:
    headers = {"simkl-api-key": "fake-client-id", "User-Agent": ""}

    httpx.get(server.url + "/oauth/pin", headers=headers)

    lacks = ("client_id", "app-name", "app-version", "User-Agent")
    assert fake.complaints == [f"GET /oauth/pin without {name}" for name in lacks]


def test_a_call_that_lacks_nothing_is_not_written_down(client: Client, fake: Simkl) -> None:
    client("POST", "/users/settings")

    assert fake.complaints == []


# The sign-in


def test_a_pin_is_pending_then_approved_and_its_token_comes_once(client: Client, fake: Simkl) -> None:
    pin = client("GET", "/oauth/pin").json()
    path = f"/oauth/pin/{pin['user_code']}"

    pending = client("GET", path).json()
    fake.approve("anna", pin["user_code"])
    fake.clock.advance(pin["interval"])
    done = client("GET", path).json()
    fake.clock.advance(pin["interval"])
    again = client("GET", path).json()

    assert pin["device_code"] == "DEVICE_CODE"
    assert pending == {"result": "KO", "message": PENDING}
    assert fake.tokens[done["access_token"]] == "anna"
    assert again == {"result": "KO", "message": EXPIRED}


def test_a_pin_that_is_asked_for_too_fast_says_slow_down(client: Client) -> None:
    path = f"/oauth/pin/{client('GET', '/oauth/pin').json()['user_code']}"

    messages = [client("GET", path).json()["message"] for _ in range(2)]

    assert messages == [PENDING, SLOW_DOWN]


def test_a_pin_runs_out(client: Client, fake: Simkl) -> None:
    path = f"/oauth/pin/{client('GET', '/oauth/pin').json()['user_code']}"
    fake.clock.advance(901)

    assert client("GET", path).json()["message"] == EXPIRED


# Scrobble


def test_ids_are_texts_but_for_simkl_s_own(client: Client) -> None:
    ids = client.scrobble("stop", 85, PILOT).json()["show"]["ids"]

    assert ids["tvdb"] == "81189"
    assert isinstance(ids["simkl"], int)


def test_a_second_mark_within_the_hour_is_a_409(client: Client, fake: Simkl) -> None:
    first = client.scrobble("stop", 85)
    fake.clock.advance(timedelta(minutes=59))
    second, paused, below = (
        client.scrobble("stop", 90),
        client.scrobble("pause", 85),
        client.scrobble("pause", 5),
    )
    fake.clock.advance(timedelta(minutes=2))
    third = client.scrobble("stop", 90)

    assert first.json()["id"] == FIRST_ID
    assert second.status_code == paused.status_code == 409
    assert second.json() == {
        "watched_at": "2026-11-22T20:15:09.000Z",
        "expires_at": "2026-11-22T21:15:09.000Z",
    }
    assert (below.status_code, third.status_code) == (201, 201)
    assert len(fake.user("anna").history) == 1


def test_a_start_clears_the_pause_and_a_pause_ends_what_is_on(client: Client, fake: Simkl) -> None:
    client.scrobble("pause", 30)
    saved = client("GET", "/sync/playback/movies").json()
    client.scrobble("start", 30)

    assert [row["progress"] for row in saved] == [30]
    assert fake.user("anna").playback == {}
    assert fake.user("anna").watching is not None


def test_a_pause_can_be_taken_away_once(client: Client) -> None:
    number = client.scrobble("pause", 30, PILOT).json()["id"]
    (row,) = client("GET", "/sync/playback").json()

    statuses = [client("DELETE", f"/sync/playback/{number}").status_code for _ in range(2)]

    assert row["episode"]["episode"] == 1
    assert statuses == [204, 404]


def test_a_checkin_marks_by_itself_when_it_is_over(client: Client, fake: Simkl) -> None:
    client.scrobble("checkin", 50)
    fake.clock.advance(timedelta(minutes=46))
    client("POST", "/users/settings")

    assert [row["watched_at"] for row in fake.user("anna").history.values()] == ["2026-11-22T21:00:09.000Z"]


def test_one_scrobble_of_a_person_at_a_time(client: Client, server: Server, fake: Simkl) -> None:
    fake.switches.locked = ["anna"]
    with Client(server, "berta").http as other:
        free = other.post("/scrobble/stop", json={"progress": 90, **FILM})

    refused = client.scrobble("stop", 90)

    assert (refused.status_code, refused.json()["error"]) == (400, "RATE_LIMIT")
    assert free.status_code == 201


def test_what_is_copied_out_of_a_search_is_a_201_and_nothing_is_recorded(client: Client, fake: Simkl) -> None:
    fake.catalogue.add("movie", "Inception", 2010, ids={"imdb": "tt1375666"})
    hit = client("GET", "/search/movie", q="incep").json()[0]

    scrobbled = client("POST", "/scrobble/stop", {"progress": 90, "movie": {"ids": hit["ids"]}})
    added = client("POST", "/sync/history", {"movies": [{"ids": hit["ids"]}]})

    assert "simkl" not in hit["ids"]
    assert scrobbled.status_code == added.status_code == 201
    assert added.json()["added"]["movies"] == 0
    assert fake.user("anna").history == {}


def test_an_anime_is_answered_in_both_numberings(client: Client, fake: Simkl) -> None:
    fake.catalogue.add(**TITAN)
    by_tvdb = {"show": {"ids": {"tvdb": "267440"}}, "episode": {"season": 2, "number": 4}}
    by_mal = {"anime": {"ids": {"mal": 25777}}, "episode": {"number": 4}}

    answers = [client.scrobble("start", 1, item).json() for item in (by_tvdb, by_mal)]

    episode = {"season": 1, "number": 4, "title": None, "tvdb_season": 2, "tvdb_number": 4}
    assert [answer["episode"] for answer in answers] == [episode, episode]
    assert all(answer["anime"]["ids"]["simkl"] == 439744 for answer in answers)


# Sync


def history(client: Client, body: Any) -> Any:
    return client("POST", "/sync/history", body).json()


def test_the_history_takes_a_mark_twice_and_keeps_the_last(client: Client, fake: Simkl) -> None:
    film = {"ids": {"imdb": "tt1375666"}}

    for at in ("2026-11-20T20:00:00Z", "2026-11-21T20:00:00Z"):
        answer = history(client, {"movies": [{**film, "watched_at": at}]})

    assert answer["added"]["movies"] == 1
    assert answer["added"]["statuses"][0]["response"]["simkl_type"] == "movie"
    assert [row["watched_at"] for row in fake.user("anna").history.values()] == ["2026-11-21T20:00:00.000Z"]


def test_what_is_not_found_comes_back_whole(client: Client, fake: Simkl) -> None:
    fake.switches.strict = True
    fake.catalogue.add("tv", "Breaking Bad", 2008, ids={"tvdb": 81189}, episodes=[{"season": 1, "number": 1}])
    film = {"title": "Nothing", "ids": {"imdb": "tt9"}, "watched_at": "2026-11-21T20:00:00Z"}
    episodes = [{"number": 1}, {"number": 99}]
    show = {"ids": {"tvdb": 81189}, "seasons": [{"number": 1, "episodes": episodes}]}

    answer = history(client, {"movies": [film], "shows": [show], "episodes": [{"ids": {"tvdb": 7}}]})

    assert answer["added"]["episodes"] == 1
    lost = {"ids": {"tvdb": 81189}, "seasons": [{"number": 1, "episodes": [{"number": 99}]}]}
    assert answer["not_found"] == {"movies": [film], "shows": [lost], "episodes": [{"ids": {"tvdb": 7}}]}


def test_a_whole_show_is_marked_where_no_season_is_named_and_that_is_complained_of(
    client: Client, fake: Simkl
) -> None:
    places = [{"season": 1, "number": number} for number in (1, 2, 3)]
    fake.catalogue.add("tv", "Breaking Bad", 2008, ids={"tvdb": 81189}, episodes=places)

    history(client, {"shows": [{"ids": {"tvdb": 81189}}]})

    assert len(fake.user("anna").history) == 3
    assert fake.complaints == ["a show without seasons: all of its episodes were meant"]


def test_an_episode_can_be_marked_and_taken_out_by_its_own_id(client: Client, fake: Simkl) -> None:
    body = {"episodes": [{"ids": {"tvdb": 349232}}]}
    history(client, body)
    plays = len(fake.user("anna").history)

    gone = [client("POST", "/sync/history/remove", body).json()["deleted"]["episodes"] for _ in range(2)]

    assert (plays, gone) == (1, [1, 0])
    assert fake.user("anna").history == {}


def test_a_rating_adds_what_is_on_no_list_and_can_be_taken_back(client: Client, fake: Simkl) -> None:
    film, show = {"ids": {"imdb": "tt1375666"}}, {"ids": {"tvdb": 81189}}

    body = {"movies": [{**film, "rating": 8}], "shows": [{**show, "rating": 10}]}
    added = client("POST", "/sync/ratings", body).json()["added"]
    lists = sorted(fake.user("anna").lists.values())
    removed = client("POST", "/sync/ratings/remove", {"movies": [film]}).json()

    assert (added["movies"], added["shows"]) == (1, 1)
    assert lists == ["completed", "watching"]
    assert removed["deleted"]["movies"] == 1
    assert [row["rating"] for row in fake.user("anna").ratings.values()] == [10]


@pytest.mark.parametrize("rating", [None, 0, 11, 7.5])
def test_a_rating_off_the_scale_is_refused(client: Client, rating: Any) -> None:
    body = {"movies": [{"ids": {"imdb": "tt1375666"}, "rating": rating}]}

    assert client("POST", "/sync/ratings", body).status_code == 400


def test_an_item_can_be_put_on_a_list(client: Client, fake: Simkl) -> None:
    film = {"ids": {"imdb": "tt1375666"}}

    put = client("POST", "/sync/add-to-list", {"movies": [{**film, "to": "plantowatch"}]})
    refused = client("POST", "/sync/add-to-list", {"movies": [{**film, "to": "nowhere"}]})

    assert put.json()["added"]["movies"] == [{**film, "to": "plantowatch"}]
    assert list(fake.user("anna").lists.values()) == ["plantowatch"]
    assert refused.status_code == 400


def test_all_items_is_null_until_there_is_one(client: Client) -> None:
    empty = client("GET", "/sync/all-items/movies")
    client.scrobble("stop", 90)
    client.scrobble("stop", 90, PILOT)

    full = client("GET", "/sync/all-items", extended="full", episode_watched_at="yes").json()

    assert empty.content == b"null"
    assert full["movies"][0]["movie"]["title"] == "Inception"
    seen = {"number": 1, "watched_at": "2026-11-22T20:15:09.000Z"}
    assert full["shows"][0]["seasons"] == [{"number": 1, "episodes": [seen]}]
    assert client("GET", "/sync/all-items/movies/dropped").json() is None


def test_all_items_since_a_time_are_those_that_changed(client: Client, fake: Simkl) -> None:
    client.scrobble("stop", 90)
    fake.clock.advance(60)
    client.scrobble("stop", 90, PILOT)

    later = client("GET", "/sync/all-items", date_from="2026-11-22T20:15:40Z").json()

    assert list(later) == ["shows"]
    assert client("GET", "/sync/all-items", date_from="2026-11-22T21:00:00Z").json() is None


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_activities_move_with_a_mark(client: Client, fake: Simkl, method: str) -> None:
    before = client(method, "/sync/activities").json()
    client.scrobble("stop", 90)

    after = client(method, "/sync/activities").json()

    assert before["all"] is None
    assert after["all"] == after["movies"]["completed"] == "2026-11-22T20:15:09.000Z"
    assert "watching" not in after["movies"]
    assert after["tv_shows"]["all"] is None


def test_watched_answers_in_order(client: Client, fake: Simkl) -> None:
    fake.catalogue.add("tv", "Breaking Bad", 2008, ids={"tvdb": 81189})
    client.scrobble("stop", 90)
    fake.switches.strict = True
    asked = [
        {"type": "show", "tvdb": 81189},
        {"type": "movie", "imdb": "tt1375666"},
        {"type": "movie", "imdb": "tt9"},
    ]

    answers = client("POST", "/sync/watched", asked).json()

    assert [answer["result"] for answer in answers] == [False, True, "not_found"]
    assert answers[1]["list"] == "completed"


def test_search_by_id_finds_simkl_s_id(client: Client, fake: Simkl) -> None:
    fake.catalogue.add("movie", "Inception", 2010, ids={"imdb": "tt1375666", "simkl": 472214})
    fake.switches.strict = True

    (hit,) = client("GET", "/search/id", imdb="tt1375666").json()

    assert (hit["type"], hit["ids"]["simkl"]) == ("movie", 472214)
    assert client("GET", "/search/id", imdb="tt9").json() == []


# Steered from outside


def test_it_is_steered_over_http() -> None:
    with Inside(Simkl()) as server:
        url = server.url

        with httpx.Client(base_url=url, params=APP) as http:
            pin = http.get("/oauth/pin").json()
            http.post("/_control/approve", json={"user": "berta", "user_code": pin["user_code"]})
            token = http.get(f"/oauth/pin/{pin['user_code']}").json()["access_token"]
            http.post("/_control/catalogue", json={"items": [TITAN]})
            http.post("/_control/clock", json={"now": "2026-11-22T20:00:00Z"})
            http.post("/_control/switches", json={"strict": True})
            http.headers["Authorization"] = f"Bearer {token}"
            item = {"show": {"ids": {"tvdb": 267440}}, "episode": {"season": 2, "number": 4}}
            scrobbled = http.post("/scrobble/stop", json={"progress": 95, **item})
            state = http.get("/_control/state").json()
            http.post("/_control/revoke", json={"name": "berta"})
            revoked = http.post("/users/settings")

    assert (scrobbled.status_code, revoked.status_code) == (201, 401)
    (play,) = state["users"]["berta"]["history"].values()
    assert play["watched_at"] == "2026-11-22T20:00:00.000Z"
    assert play["anime"]["title"] == "Attack on Titan Season 2"
    assert state["complaints"] == []
