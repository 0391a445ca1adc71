"""The fake TV Time keeps the contract it stands for."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from tests.fakes._inside import Inside
from tests.fakes._server import Server
from tests.fakes.tvtime import MATRIX, TVTime

pytestmark = pytest.mark.breaks_contracts  # it is the wrong calls whose refusal is looked at

API = "https://api2.tozelabs.com/v2"
MSAPI = "https://msapi.tvtime.com"
EPISODE = f"{API}/watched_episodes/episode/8685325"
MARKS = "/sidecar/api2.tozelabs.com/v2/watched_episodes"


class Client:
    """A user's calls through the proxy."""

    def __init__(self, url: str, user: dict[str, str] | None = None) -> None:
        self.url = url
        self.token = {"Authorization": f"Bearer {user['jwt_token']}"} if user else {}

    def ask(
        self, method: str, path: str, headers: dict[str, str] | None = None, **what: Any
    ) -> httpx.Response:
        return httpx.request(method, self.url + path, headers={**self.token, **(headers or {})}, **what)

    def __call__(
        self, method: str, upstream: str, headers: dict[str, str] | None = None, **query: Any
    ) -> Any:
        body = query.pop("json", None)
        return self.ask(method, "/sidecar", headers, params={"o": upstream, **query}, json=body)


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with Inside(TVTime()) as server:
        yield server


@pytest.fixture
def fake(running: Server) -> TVTime:
    running.fake = TVTime()
    return running.fake


@pytest.fixture
def anna(running: Server, fake: TVTime) -> Client:
    return Client(running.url, fake.add_user("anna", "secret").tokens)


def login(client: Client, **body: str) -> httpx.Response:
    bearer = client("POST", f"{API}/user", lang="en").json()["jwt_token"]
    headers = {"Authorization": f"Bearer {bearer}"}
    return client("POST", "https://auth.tvtime.com/v1/login", headers, json=body)


# ---- the proxy


@pytest.mark.parametrize("padding", ["", "="], ids=["bare", "padded"])
@pytest.mark.parametrize("alphabet", [base64.b64encode, base64.urlsafe_b64encode], ids=["standard", "url"])
def test_an_address_may_come_as_base64(anna: Client, fake: TVTime, alphabet: Any, padding: str) -> None:
    address = f"{EPISODE}?is_rewatch=0&note=~~~???>>>"
    text = alphabet(address.encode()).decode().rstrip("=") + padding

    answer = anna.ask("POST", f"/sidecar?o_b64={text}")

    assert answer.json()["result"] == "OK"
    assert fake.calls[-1].path == f"{MARKS}/episode/8685325"


def test_a_plain_address_ends_at_the_first_ampersand(anna: Client, fake: TVTime) -> None:
    answer = anna.ask("POST", f"/sidecar?o={EPISODE}&is_rewatch=1")

    assert answer.json()["result"] == "OK"
    assert fake.users["anna"].watched[8685325].rewatch_count == 1


def test_a_query_may_be_inside_the_address(anna: Client, fake: TVTime) -> None:
    anna("POST", f"{EPISODE}?is_rewatch=1")

    assert fake.users["anna"].watched[8685325].rewatch_count == 1


# ---- signing in


def test_a_login_with_a_minted_token_gives_the_users_tokens(running: Server, fake: TVTime) -> None:
    fake.add_user("anna", "secret")

    answer = login(Client(running.url), username="anna", password="secret").json()

    assert answer["status"] == "success"
    assert answer["data"].keys() == {"id", "jwt_token", "jwt_refresh_token"}


@pytest.mark.parametrize(("name", "password"), [("anna", "wrong"), ("nobody", "secret"), ("facebook", "")])
def test_a_wrong_login_is_refused(running: Server, fake: TVTime, name: str, password: str) -> None:
    fake.add_user("anna", "secret")
    fake.add_user("facebook")

    answer = login(Client(running.url), username=name, password=password)

    assert answer.status_code == 401


def test_a_token_ends_after_sixty_days_and_is_renewed_with_the_refresh_token(
    anna: Client, fake: TVTime
) -> None:
    user = fake.users["anna"]
    proof = {"jwt_refresh_token": user.tokens["jwt_refresh_token"]}

    fake.clock.advance(timedelta(days=61))
    refused = anna("POST", EPISODE)
    renewed = anna("GET", f"{API}/user/{user.id}/jwt", proof).json()
    accepted = anna("POST", EPISODE, {"Authorization": f"Bearer {renewed['jwt_token']}"})

    assert (refused.status_code, accepted.status_code) == (401, 200)
    assert renewed.keys() == {"id", "jwt_token"}


def test_nothing_is_told_without_a_users_token(running: Server, fake: TVTime) -> None:
    client = Client(running.url)
    anonymous = client("POST", f"{API}/user").json()["jwt_token"]

    assert client("POST", EPISODE).status_code == 401
    assert client("POST", EPISODE, {"Authorization": f"Bearer {anonymous}"}).status_code == 401


def test_one_user_does_not_see_another(anna: Client, fake: TVTime) -> None:
    berta = fake.add_user("berta", "secret")

    answer = anna("GET", f"{MSAPI}/prod/v1/tracking/watches/user/{berta.id}", entity_type="movie")

    assert answer.status_code == 401


# ---- episodes


def test_a_mark_says_what_it_marked_and_follows_the_show(anna: Client, fake: TVTime) -> None:
    answer = anna("POST", EPISODE, is_rewatch="0").json()

    assert answer == {
        "result": "OK",
        "id": 8685325,
        "number": 2,
        "season": {"id": "398096_S1", "number": 1},
        "show": {"id": 398096, "name": "Moonshine"},
    }
    assert 398096 in fake.users["anna"].followed


def test_a_repeated_mark_changes_nothing_and_a_rewatch_counts(anna: Client, fake: TVTime) -> None:
    anna("POST", EPISODE, is_rewatch="0")
    first = fake.users["anna"].watched[8685325].at
    fake.clock.advance(60)
    anna("POST", EPISODE, is_rewatch="0")
    anna("POST", EPISODE, is_rewatch="1")

    viewing = fake.users["anna"].watched[8685325]

    assert (viewing.at, viewing.rewatch_count) == (first, 1)


def test_an_unmark_takes_the_mark_away(anna: Client, fake: TVTime) -> None:
    anna("POST", EPISODE)

    answer = anna("DELETE", EPISODE)

    assert answer.json()["result"] == "OK"
    assert fake.users["anna"].watched == {}


def test_a_mark_until_an_episode_includes_it_and_leaves_specials_out(anna: Client, fake: TVTime) -> None:
    anna("POST", f"{API}/watched_episodes/show/121361/until/episode/4517460")

    assert sorted(fake.users["anna"].watched) == [4517458, 4517459, 4517460]


def test_any_episode_exists_unless_the_world_is_closed(anna: Client, fake: TVTime) -> None:
    upstream = f"{API}/watched_episodes/episode/77701"

    opened = anna("POST", upstream).json()
    fake.switches.open_world = False
    closed = anna("POST", upstream).json()

    assert (opened["show"]["id"], opened["season"]["number"], opened["number"]) == (777, 1, 2)
    assert closed == {"result": "KO", "message": "Unknown episode"}


def test_an_episode_says_how_often_it_was_watched(anna: Client, fake: TVTime) -> None:
    anna("POST", EPISODE, is_rewatch="0")
    anna("POST", EPISODE, is_rewatch="1")

    seen = anna("GET", f"{API}/episode/8685325", fields="id,is_watched,watched_date,watched_count").json()

    assert (seen["is_watched"], seen["watched_count"]) == (True, 2)
    assert len(seen["watched_date"]) == len("2024-09-13 10:50:49")


def test_a_show_lists_its_seasons_and_what_is_watched(anna: Client) -> None:
    anna("POST", EPISODE)

    show = anna("GET", f"{API}/show/398096/extended").json()
    flat = anna("GET", f"{MSAPI}/v1/series/398096/episodes").json()["data"]
    following = anna("GET", f"{API}/user/20000001/to_watch").json()

    assert show["seasons"][0]["episode_watched_count"] == 1
    assert [episode["number"] for episode in flat] == list(range(1, 9))
    assert following[0]["number"] == 1


# ---- movies


@pytest.mark.parametrize("query", ["169", "tt0133093", "the matrix"])
def test_a_movie_is_found_by_either_id_and_by_title(anna: Client, query: str) -> None:
    answer = anna(
        "GET", "https://search.tvtime.com/v1/search/series,movie", q=query, offset=0, limit=5
    ).json()

    assert answer["data"] == [
        {"id": 169, "uuid": MATRIX.uuid, "name": "The Matrix", "type": "movie", "imdb_id": "tt0133093"}
    ]


def test_a_movie_nobody_put_there_has_the_same_uuid_each_time(anna: Client) -> None:
    search = "https://search.tvtime.com/v1/search/movie"

    first, second = (anna("GET", search, q="603").json()["data"][0] for _ in range(2))

    assert first == second
    assert (first["id"], first["imdb_id"]) == (603, None)


def test_a_movie_is_watched_once_and_rewatched_often(anna: Client, fake: TVTime) -> None:
    path = f"{MSAPI}/prod/v1/tracking/{MATRIX.uuid}"

    answers = [anna("POST", f"{path}/{verb}").json() for verb in ("watch", "watch", "rewatch", "rewatch")]

    assert {answer["status"] for answer in answers} == {"success"}
    assert fake.users["anna"].movies[MATRIX.uuid].rewatch_count == 2


# ---- lists


def watches(client: Client, kind: str, offset: int, limit: int) -> list[dict[str, Any]]:
    path = f"{MSAPI}/prod/v1/tracking/watches/user/20000001"
    answer = client("GET", path, entity_type=kind, page_offset=offset, page_limit=limit)
    return answer.json()["data"]["objects"]


@pytest.mark.parametrize(("paging", "sizes"), [("kept", [2, 1]), ("ignored", [3, 3]), ("repeated", [2, 2])])
def test_watches_are_paged_by_object_as_far_as_paging_is_kept(
    anna: Client, fake: TVTime, paging: str, sizes: list[int]
) -> None:
    for number in (1, 2, 3):
        anna("POST", f"{API}/watched_episodes/episode/{number}")
    fake.switches.paging = paging

    pages = [watches(anna, "episode", offset, 2) for offset in (0, 2)]

    assert [len(page) for page in pages] == sizes


def test_follows_tell_series_and_movies(anna: Client) -> None:
    anna("POST", EPISODE)
    anna("POST", f"{MSAPI}/prod/v1/tracking/{MATRIX.uuid}/watch")
    path = f"{MSAPI}/prod/v1/tracking/cgw/follows/user/20000001"

    shows, films = (
        anna("GET", path, entity_type=kind).json()["data"]["objects"] for kind in ("series", "movie")
    )

    assert shows[0]["watch_status"] == {"watched_episode_count": 1, "aired_episode_count": 8}
    assert films[0]["meta"]["external_sources"][0]["id"] == "169"


# ---- faults


def test_the_closed_service_answers_an_empty_404_from_its_load_balancer(anna: Client, fake: TVTime) -> None:
    fake.switches.service_closed = True

    answer = anna("POST", EPISODE)

    assert (answer.status_code, answer.content) == (404, b"")
    assert answer.headers["server"] == "awselb/2.0"


def test_a_default_user_agent_meets_a_page_where_that_is_switched_on(anna: Client, fake: TVTime) -> None:
    fake.switches.blocks_default_agents = True

    blocked = anna("POST", EPISODE)
    passed = anna("POST", EPISODE, {"User-Agent": "Watchmark/1"})

    assert (blocked.status_code, blocked.text[0]) == (403, "<")
    assert passed.status_code == 200


def test_an_expired_token_may_read_an_empty_list(anna: Client, fake: TVTime) -> None:
    anna("POST", EPISODE)
    fake.switches.expired_reads_are_empty = True
    fake.end("anna", "access")

    assert watches(anna, "episode", 0, 10) == []


def test_a_slow_body_comes_in_two_halves(anna: Client, fake: TVTime) -> None:
    fake.switches.slow_body = 0.2

    answer = anna("POST", EPISODE)

    assert answer.json()["result"] == "OK"
    assert answer.elapsed > timedelta(seconds=0.2)


def test_a_fault_meets_the_calls_of_what_is_behind_the_proxy(anna: Client, fake: TVTime) -> None:
    fake.faults.add(f"POST {MARKS}", record_then=502, body="<html>Bad gateway</html>")

    answer = anna("POST", EPISODE)

    assert (answer.status_code, answer.text[0]) == (502, "<")
    assert 8685325 in fake.users["anna"].watched


# ---- control


def test_everything_can_be_steered_over_http(running: Server, fake: TVTime) -> None:
    control = f"{running.url}/_control"
    tokens = httpx.post(f"{control}/users", json={"name": "carl", "password": "x"}).json()["tokens"]
    httpx.post(f"{control}/episodes", json={"id": 5, "show": 7, "name": "Mine", "season": 2, "number": 3})
    film = httpx.post(f"{control}/movies", json={"id": 9, "name": "Ours"}).json()
    carl = Client(running.url, tokens)

    told = carl("POST", f"{API}/watched_episodes/episode/5").json()
    carl("POST", f"{MSAPI}/prod/v1/tracking/{film['uuid']}/watch")
    httpx.post(f"{control}/expire", json={"name": "carl"})
    state = httpx.get(f"{control}/state").json()

    assert told["show"]["name"] == "Mine"
    assert carl("POST", EPISODE).status_code == 401
    assert state["users"]["carl"]["watched"]["5"]["rewatch_count"] == 0
    assert state["users"]["carl"]["movies"][film["uuid"]]["name"] == "Ours"
    assert state["calls"][-1]["user"] == "carl"


def test_a_revoked_user_cannot_renew(running: Server, fake: TVTime) -> None:
    made = httpx.post(f"{running.url}/_control/users", json={"name": "carl", "password": "x"}).json()
    httpx.post(f"{running.url}/_control/revoke", json={"name": "carl"})

    proof = {"jwt_refresh_token": made["tokens"]["jwt_refresh_token"]}
    answer = Client(running.url, made["tokens"])("GET", f"{API}/user/{made['id']}/jwt", proof)

    assert answer.status_code == 401


# ---- shows, page by page


def shows(anna: Client, fields: str) -> list[dict[str, Any]]:
    uid = json.loads(base64.urlsafe_b64decode(anna.token["Authorization"].split(".")[1] + "==="))["id"]
    return list(anna("GET", f"{API}/user/{uid}", fields=fields).json()["shows"])


def test_the_shows_have_the_fields_and_the_page_that_were_asked_for(anna: Client, fake: TVTime) -> None:
    for episode in (8685324, 8815687, 4517458):
        anna("POST", f"{API}/watched_episodes/episode/{episode}")
    first = {"id": 398096, "name": "Moonshine", "watched_episode_count": 1}

    assert shows(anna, "shows.fields(id,name,watched_episode_count).offset(0).limit(1)") == [first]
    assert [row["id"] for row in shows(anna, "shows.fields(id).offset(1).limit(9)")] == [366529, 121361]
    fake.switches.paging = "repeated"
    assert shows(anna, "shows.fields(id).offset(1).limit(1)") == [{"id": 398096}]


def test_the_call_to_follow_a_show_is_there_only_where_it_is_switched_on(anna: Client, fake: TVTime) -> None:
    assert anna("PUT", f"{API}/show/366529/follow").status_code == 404
    fake.switches.follow_hint, fake.switches.open_world = True, False

    followed = anna("PUT", f"{API}/show/366529/follow").json()
    fields = "shows.fields(id,is_followed).offset(0).limit(9)"
    before = shows(anna, fields)
    anna("DELETE", f"{API}/show/366529/follow")

    assert (followed, before) == ({"result": "OK"}, [{"id": 366529, "is_followed": True}])
    assert shows(anna, fields) == [{"id": 366529, "is_followed": False}]
    assert anna("PUT", f"{API}/show/1/follow").json() == {"result": "KO", "message": "Unknown show"}
