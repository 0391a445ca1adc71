"""The protocol of TV Time's app as it is served here: what the client of the tracker does not ask."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import jwt
import pytest

from tests.compat._tvtime import BOYS, OFFICE, OTHER, Box, boxed, somebody, with_password
from tests.web.conftest import PASSWORD
from webhook import clock
from webhook.compat.tvtime import auth
from webhook.compat.tvtime.catalog import ids_in, uuid_of
from webhook.domain.event import Action, Episode, Event, Ids, Movie, Show
from webhook.history import library, plays

API, MSAPI = "https://api2.tozelabs.com/v2", "https://msapi.tvtime.com"
LOGIN = "https://auth.tvtime.com/v1/login"
TRACKING = f"{MSAPI}/prod/v1/tracking"
UNAUTHORIZED = {"status": "error", "message": "Unauthorized"}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    with boxed(tmp_path_factory.mktemp("sidecar")) as box:
        yield box


class App:
    """TV Time's app, signed in as somebody new."""

    def __init__(self, box: Box) -> None:
        self.box, self.client = box, box.client()
        self.told = self.login().json()["data"]
        self.token = self.told["jwt_token"]

    @property
    def uid(self) -> int:
        return self.box.person_id

    def login(self, password: str = PASSWORD) -> httpx.Response:
        given = {"username": self.box.name, "password": password}
        return self.ask("POST", LOGIN, token="", json=given)

    def ask(self, method: str, upstream: str, token: str | None = None, **given: Any) -> httpx.Response:
        params = {"o": upstream, **given.pop("params", {})}
        token = self.token if token is None else token
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        headers |= given.pop("headers", {})
        return self.client.request(method, "/tvtime/sidecar", params=params, headers=headers, **given)

    def get(self, upstream: str, **params: Any) -> Any:
        answer = self.ask("GET", upstream, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def mark(self, number: int, **params: Any) -> Any:
        return self.ask("POST", f"{API}/watched_episodes/episode/{number}", params=params).json()

    def refresh(self, **given: Any) -> httpx.Response:
        proof = {"jwt_refresh_token": given.pop("proof", self.told["jwt_refresh_token"])}
        return self.ask("GET", f"{API}/user/{given.pop('uid', self.uid)}/jwt", headers=proof, **given)


@pytest.fixture
def app(service: Box) -> App:
    return App(somebody(service.home))


# --- the proxy


def wrapped(upstream: str, *, urlsafe: bool, padded: bool) -> str:
    encode = base64.urlsafe_b64encode if urlsafe else base64.b64encode
    text = encode(upstream.encode()).decode()
    return text if padded else text.rstrip("=")


@pytest.mark.parametrize("urlsafe", [True, False])
@pytest.mark.parametrize("padded", [True, False])
def test_the_address_may_come_as_base64(app: App, urlsafe: bool, padded: bool) -> None:
    told = wrapped(f"{API}/user/{app.uid}?fields=id,name&x=~~~???", urlsafe=urlsafe, padded=padded)

    answer = app.client.get(
        "/tvtime/sidecar", params={"o_b64": told}, headers={"Authorization": f"Bearer {app.token}"}
    )

    assert answer.json()["name"] == app.box.name


def test_a_query_inside_the_address_counts_as_one_beside_it(app: App) -> None:
    number = BOYS.id_of(1, 1)
    app.mark(number)
    app.box.time_passes()

    inside = app.ask("POST", f"{API}/watched_episodes/episode/{number}?is_rewatch=1").json()
    app.box.time_passes()
    app.mark(number, is_rewatch=1)

    assert inside["result"] == "OK"
    assert app.get(f"{API}/episode/{number}")["watched_count"] == 3


@pytest.mark.parametrize(
    "upstream",
    [
        "https://example.com/v2/user",
        "http://127.0.0.1:1/",
        f"{API}/nothing",
        f"{API}/user/1/2/3",
        "https://auth.tvtime.com/v2/user",
        "",
        "http://[",
        "file:///etc/passwd",
        f"{API}/watched_episodes/episode/{'9' * 30}",
    ],
)
def test_what_no_host_answered_is_not_found_and_asked_of_nobody(app: App, upstream: str) -> None:
    answer = app.ask("POST", upstream)

    assert (answer.status_code, answer.json()) == (404, {"status": "error", "message": "Not found"})


def test_base64_that_is_none_is_not_found(app: App) -> None:
    for told in ("a", "!!!", "/w==", "gICA"):
        assert app.client.get("/tvtime/sidecar", params={"o_b64": told}).status_code == 404


# --- tokens


def test_the_first_tokens_open_nothing(app: App) -> None:
    anonymous = app.ask("POST", f"{API}/user", token="").json()

    assert anonymous.keys() == {"id", "jwt_token", "jwt_refresh_token", "tvst_access_token"}
    assert app.ask("GET", f"{API}/user/{anonymous['id']}", token=anonymous["jwt_token"]).status_code == 401
    assert app.login().status_code == 200


def test_a_login_tells_id_and_tokens_as_the_app_s_did(app: App) -> None:
    answer = app.login().json()

    assert answer["status"] == "success"
    assert answer["data"].keys() == {"id", "jwt_token", "jwt_refresh_token"}
    claims = jwt.decode(answer["data"]["jwt_token"], options={"verify_signature": False})
    assert (claims["id"], claims["iss"], claims["aud"]) == (app.uid, auth.ISSUER, auth.ISSUER)
    assert claims["exp"] - claims["iat"] == timedelta(days=60).total_seconds()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("{", 400),
        ("[]", 400),
        ("{}", 400),
        ('{"username": 1, "password": 2}', 400),
        ('{"username": "x", "password": "\\u0000"}', 401),
    ],
)
def test_a_login_that_is_none_is_refused(app: App, body: str, status: int) -> None:
    answer = app.ask("POST", LOGIN, token="", content=body)

    assert (answer.status_code, answer.json()["status"]) == (status, "fail")


def test_an_app_password_opens_it_too(app: App) -> None:
    assert app.login(app.box.home.token("app", app.uid)).status_code == 200


def test_a_refresh_gives_another_access_token_to_the_same_person(app: App) -> None:
    answer = app.refresh()

    assert answer.json().keys() == {"id", "jwt_token"}
    assert answer.json()["id"] == str(app.uid)
    assert answer.json()["jwt_token"] != app.token
    assert app.ask("GET", f"{API}/user/{app.uid}", token=answer.json()["jwt_token"]).status_code == 200


def aged(app: App, token: str, by: timedelta) -> str:
    key = auth.token_key(app.box.home.service.seal.signing)
    claims = auth.decode_token(key, token, aged=True)
    return jwt.encode({**claims, "exp": int((clock.now() - by).timestamp())}, key)


def test_an_access_token_that_is_over_opens_nothing_but_a_refresh(app: App) -> None:
    over = aged(app, app.token, timedelta(seconds=1))

    answer = app.ask("GET", f"{API}/user/{app.uid}", token=over)

    assert (answer.status_code, answer.json()) == (401, UNAUTHORIZED)
    assert app.refresh(token=over).status_code == 200


def test_a_refresh_wants_both_tokens_of_the_person_it_names(app: App) -> None:
    other = App(app.box.other())
    over = aged(app, app.told["jwt_refresh_token"], timedelta(seconds=1))
    refused = [
        app.refresh(proof=over),
        app.refresh(proof=app.token),
        app.refresh(proof=""),
        app.refresh(proof=other.told["jwt_refresh_token"]),
        app.refresh(token=""),
        app.refresh(token=other.token),
        app.refresh(token=app.told["jwt_refresh_token"]),
        app.refresh(uid=other.uid),
    ]

    assert [answer.status_code for answer in refused] == [401] * len(refused)


def test_a_changed_password_ends_the_tokens(app: App) -> None:
    app.box.home.do(lambda connection: with_password(connection, app.box.name, "$argon2id$changed"))

    assert app.ask("GET", f"{API}/user/{app.uid}").status_code == 401
    assert app.refresh().status_code == 401


def test_a_token_that_was_made_or_changed_elsewhere_opens_nothing(app: App) -> None:
    head, claims, mac = app.token.split(".")
    told = jwt.decode(app.token, options={"verify_signature": False})
    none, _, _ = jwt.encode(told, "", "none").split(".")
    _, another, _ = jwt.encode({**told, "id": app.box.other().person_id}, bytes(32)).split(".")
    nested = base64.urlsafe_b64encode(b"[" * 30_000).decode()
    forged = [
        f"{head}.{another}.{mac}", f"{none}.{claims}.", f"{none}.{claims}.{mac}", f"{head}.{claims}.",
        f"{head}.{claims}", "", ".", "..", "a.b.c", jwt.encode(told, bytes(32)), f"{mac}.{claims}.{head}",
        f"{nested}.{claims}.{mac}",
    ]  # fmt: skip

    answers = [app.ask("GET", f"{API}/user/{app.uid}", token=token) for token in forged]

    assert [answer.status_code for answer in answers] == [401] * len(forged)


@pytest.mark.parametrize(
    "upstream",
    [
        f"{API}/user/{{uid}}",
        f"{API}/user/{{uid}}/to_watch",
        f"{TRACKING}/cgw/follows/user/{{uid}}",
        f"{TRACKING}/watches/user/{{uid}}",
    ],
)
def test_nobody_reads_what_is_another_s(app: App, upstream: str) -> None:
    other = app.box.other()

    answer = app.ask("GET", upstream.format(uid=other.person_id))

    assert (answer.status_code, answer.json()) == (401, UNAUTHORIZED)


# --- episodes


def test_a_mark_is_answered_with_the_place_of_the_episode(app: App) -> None:
    assert app.mark(BOYS.id_of(1, 3), is_rewatch=0) == {
        "result": "OK", "id": BOYS.id_of(1, 3), "number": 3, "name": "Part 1.3",
        "season": {"id": "355567_S1", "number": 1}, "show": {"id": 355567, "name": None},
    }  # fmt: skip


def test_an_episode_tells_when_and_how_often_it_was_watched(app: App) -> None:
    number = BOYS.id_of(1, 3)
    before = app.get(f"{API}/episode/{number}", fields="id,is_watched")
    app.mark(number)

    after = app.get(f"{API}/episode/{number}")

    assert before == {"id": number, "is_watched": False, "watched_date": None, "watched_count": 0}
    seen = app.box.seen(number)
    assert seen is not None
    date = f"{seen.first:%Y-%m-%d %H:%M:%S}"
    assert after == {"id": number, "is_watched": True, "watched_date": date, "watched_count": 1}


def test_everything_up_to_an_episode_is_marked_but_no_special(app: App) -> None:
    upstream = f"{API}/watched_episodes/show/{OFFICE.tvdb}/until/episode/{OFFICE.id_of(2, 3)}"
    app.mark(OFFICE.id_of(1, 2))

    answer = app.ask("POST", upstream)

    assert answer.json() == {"result": "OK"}
    show = app.get(f"{API}/show/{OFFICE.tvdb}/extended")
    assert [season["episode_watched_count"] for season in show["seasons"]] == [0, 6, 3, 0]
    assert len(app.box.plays()) == 9


@pytest.mark.parametrize("episode", [BOYS.id_of(1, 1), 1])
def test_until_an_episode_of_another_show_nothing_is_marked(app: App, episode: int) -> None:
    answer = app.ask("POST", f"{API}/watched_episodes/show/{OFFICE.tvdb}/until/episode/{episode}")

    assert answer.json() == {"result": "KO", "message": "Unknown episode"}
    assert app.box.plays() == []


def test_a_show_s_seasons_tell_what_is_watched(app: App) -> None:
    app.mark(BOYS.id_of(1, 2))

    show = app.get(f"{API}/show/{BOYS.tvdb}/extended", fields="id,is_watched")

    (season,) = show["seasons"]
    assert (show["id"], season["id"], season["number"], season["episode_watched_count"]) == (
        355567,
        "355567_S1",
        1,
        1,
    )
    assert [one["is_watched"] for one in season["episodes"]] == [False, True] + [False] * 6
    assert app.ask("GET", f"{API}/show/1/extended").status_code == 404


def test_a_show_s_episodes_are_listed_flat_with_their_ids(app: App) -> None:
    rows = app.get(f"{MSAPI}/v1/series/{OFFICE.tvdb}/episodes")["data"]

    assert len(rows) == 55
    first = next(row for row in rows if row["season"]["number"] == 1)
    assert (first["id"], first["number"], first["is_special"], first["is_aired"]) == (
        5_000_001,
        1,
        False,
        True,
    )
    assert first["next_episode"]["id"] == 5_000_002
    assert [row["is_special"] for row in rows[:3]] == [True, True, False]
    assert rows[-1]["next_episode"] is None


def test_an_unmark_is_answered_and_takes_the_mark_back(app: App) -> None:
    number = BOYS.id_of(1, 1)
    app.mark(number)

    answer = app.ask("DELETE", f"{API}/watched_episodes/episode/{number}").json()

    assert (answer["result"], answer["id"]) == ("OK", number)
    assert app.get(f"{API}/episode/{number}")["is_watched"] is False


# --- lists


def test_followed_shows_tell_how_far_they_are(app: App) -> None:
    app.box.follow(OFFICE)
    for number in range(1, 9):
        app.mark(BOYS.id_of(1, number))

    told = app.get(f"{TRACKING}/cgw/follows/user/{app.uid}", entity_type="series")

    assert (told["status"], told["data"]["user_id"], told["data"]["type"]) == ("success", app.uid, "list")
    office, boys = told["data"]["objects"]
    assert (office["meta"], office["filter"]) == (
        {"id": 73244, "name": "The Office"},
        ["all", "not_started_yet"],
    )
    assert office["watch_status"] == {"watched_episode_count": 0, "aired_episode_count": 53}
    assert (boys["filter"], boys["watch_status"]["watched_episode_count"]) == (["all", "up_to_date"], 8)
    assert app.get(f"{TRACKING}/cgw/follows/user/{app.uid}", entity_type="anime")["data"]["objects"] == []


def test_shows_come_with_the_account_when_they_are_asked_for(app: App) -> None:
    app.box.follow(BOYS)

    told = app.get(f"{API}/user/{app.uid}", fields="shows.fields(id,name).offset(0).limit(500)")

    assert told["id"] == str(app.uid)
    (show,) = told["shows"]
    assert (show["id"], show["watched_episode_count"], show["aired_episode_count"]) == (355567, 0, 8)
    assert not show["is_up_to_date"]


def test_so_many_shows_come_as_were_asked_for(app: App) -> None:
    for one in (OFFICE, BOYS, OTHER):
        app.box.follow(one)

    def ids(part: str) -> list[int]:
        told = app.get(f"{API}/user/{app.uid}", fields=f"shows.fields(id,name){part}")
        return [show["id"] for show in told["shows"]]

    every = [OFFICE.tvdb, BOYS.tvdb, OTHER.tvdb]
    assert ids("") == ids(".offset(x).limit(1)") == ids(".offset(0).limit(500)") == every
    assert (ids(".offset(0).limit(2)"), ids(".offset(2).limit(2)")) == (every[:2], every[2:])


def test_what_was_watched_has_its_length_where_the_history_knows_it(app: App) -> None:
    for number, length in ((1, 2_700_400), (2, None)):
        item = Episode(ids=Ids(tvdb=BOYS.id_of(1, number)), show_ids=Ids(tvdb=BOYS.tvdb))
        heard(app, item, length)
        app.box.time_passes()
    heard(app, Movie(title="The Matrix", ids=Ids(tvdb=169)), 8_160_000)

    def rows(kind: str) -> list[dict[str, Any]]:
        told = app.get(f"{TRACKING}/watches/user/{app.uid}", entity_type=kind)
        return list(told["data"]["objects"])

    assert [row.get("runtime") for row in rows("episode")] == [2700, None]
    assert [row["runtime"] for row in rows("movie")] == [8160]


def heard(app: App, item: Episode | Movie, duration_ms: int | None) -> None:
    event = Event(action=Action.WATCHED, item=item, at=clock.now(), duration_ms=duration_ms)
    app.box.home.do(lambda connection: plays.apply(connection, app.uid, event, "plex", 80))


def test_what_to_watch_is_the_next_episode_of_each_show(app: App) -> None:
    app.box.follow(OFFICE)
    app.box.follow(BOYS)
    app.mark(BOYS.id_of(1, 1))

    def ids(**params: Any) -> list[int]:
        return [one["id"] for one in app.get(f"{API}/user/{app.uid}/to_watch", **params)]

    assert ids() == [OFFICE.id_of(1, 1), BOYS.id_of(1, 2)]
    assert ids(filter="continue_watching") == [BOYS.id_of(1, 2)]
    assert ids(filter="not_started_yet", limit=1) == [OFFICE.id_of(1, 1)]
    assert ids(offset=1) == [BOYS.id_of(1, 2)]


def test_a_show_begun_and_left_was_not_watched_for_a_while(app: App) -> None:
    for show, passes in ((OTHER, 25), (BOYS, 10)):
        app.mark(show.id_of(1, 1))
        app.box.time_passes(timedelta(days=passes))

    def ids(wanted: str) -> list[int]:
        return [one["id"] for one in app.get(f"{API}/user/{app.uid}/to_watch", filter=wanted)]

    assert ids("not_watched_for_a_while") == [OTHER.id_of(1, 2)]
    assert ids("continue_watching") == [BOYS.id_of(1, 2)]
    assert ids("not_started_yet") == []


def test_a_show_comes_with_how_far_it_is_and_when_it_was_last_watched(app: App) -> None:
    app.box.follow(OFFICE, BOYS)
    app.mark(BOYS.id_of(1, 1))
    loved = Show(title="The Boys", ids=Ids(tvdb=BOYS.tvdb))
    app.box.home.do(lambda c: library.store_entry(c, app.uid, library.LOVE, loved, clock.now()))
    seen = app.box.seen(BOYS.id_of(1, 1))
    assert seen is not None

    told = app.get(f"{API}/user/{app.uid}", fields="shows.fields(id,filters,sorting,is_favorite)")

    rows = {show["id"]: (show["filters"], show["sorting"], show["is_favorite"]) for show in told["shows"]}
    last = {"id": "last_watched", "value": str(int(seen.last.timestamp()))}
    assert rows == {
        OFFICE.tvdb: ([{"id": "progress", "values": ["not_started_yet"]}], [], False),
        BOYS.tvdb: ([{"id": "progress", "values": ["watching"]}], [last], True),
    }


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("watched", ["Seen"]),
        ("not_watched", ["Later"]),
        ("", ["Seen", "Later"]),
        ("no_such_filter", ["Seen", "Later"]),
    ],
)
def test_the_followed_movies_are_filtered(app: App, wanted: str, found: list[str]) -> None:
    films = [
        Movie(title=name, year=2020, ids=Ids(tvdb=number)) for number, name in ((501, "Seen"), (502, "Later"))
    ]
    event = Event(action=Action.WATCHED, item=films[0], at=clock.now())
    app.box.home.do(lambda c: plays.apply(c, app.uid, event, "plex", 80))
    app.box.home.do(lambda c: library.store_entry(c, app.uid, library.WATCHLIST, films[1], clock.now()))

    told = app.get(f"{TRACKING}/cgw/follows/user/{app.uid}", entity_type="movie", filter=wanted)

    assert [row["meta"]["name"] for row in told["data"]["objects"]] == found


@pytest.mark.parametrize(("wanted", "count"), [("only_followed_series", 2), ("not_started_yet", 1)])
def test_the_followed_series_are_filtered(app: App, wanted: str, count: int) -> None:
    app.box.follow(OFFICE)
    app.mark(BOYS.id_of(1, 1))

    told = app.get(f"{TRACKING}/cgw/follows/user/{app.uid}", entity_type="series", filter=wanted)

    assert len(told["data"]["objects"]) == count


def test_the_episodes_of_a_show_are_found_by_the_uuid_given_out(app: App) -> None:
    app.box.follow(BOYS)
    (row,) = app.get("https://search.tvtime.com/v1/search/series", q="boys")["data"]

    by_uuid, by_id = (
        app.get(f"{MSAPI}/v1/series/{known}/episodes")["data"] for known in (row["uuid"], BOYS.tvdb)
    )

    assert by_uuid == by_id
    assert len(by_id) == 8
    for other in ("978899c4-5194-4568-b922-0bd2874c4c1a", uuid_of(Ids(tvdb=BOYS.tvdb)), "x", "0"):
        assert app.ask("GET", f"{MSAPI}/v1/series/{other}/episodes").status_code == 404


def test_a_show_tells_when_it_began_and_an_episode_how_long_it_is(app: App) -> None:
    item = Episode(season=1, number=1, ids=Ids(tvdb=BOYS.id_of(1, 1)), show_ids=Ids(tvdb=BOYS.tvdb))
    event = Event(action=Action.WATCHED, item=item, at=clock.now(), duration_ms=3_600_000)
    app.box.home.do(lambda c: plays.apply(c, app.uid, event, "plex", 80))

    show = app.get(f"{API}/show/{BOYS.tvdb}/extended")
    rows = app.get(f"{MSAPI}/v1/series/{BOYS.tvdb}/episodes")["data"]

    assert show["first_air_date"] == "2010-01-02"
    assert [row["runtime"] for row in rows[:2]] == [60, None]


def test_an_episode_of_which_nobody_knows_the_place_has_no_season(app: App) -> None:
    told = app.mark(987_654)

    assert (told["result"], told["season"]) == ("OK", {"id": None, "number": None})


def test_nothing_has_the_id_0(app: App) -> None:
    assert app.ask("POST", f"{API}/watched_episodes/episode/0").status_code == 404
    assert app.ask("GET", f"{API}/show/000/extended").status_code == 404


def test_the_watched_episodes_are_paged_by_their_index(app: App) -> None:
    for number in (2, 1, 3):
        app.mark(BOYS.id_of(1, number))
        app.box.time_passes()

    def ids(**params: Any) -> list[int]:
        told = app.get(f"{TRACKING}/watches/user/{app.uid}", entity_type="episode", **params)
        return [one["episode_id"] for one in told["data"]["objects"]]

    every = [BOYS.id_of(1, number) for number in (2, 1, 3)]
    assert ids() == every
    assert ids(page_offset=1, page_limit=1) == every[1:2]
    assert ids(page_offset=2, page_limit=100) == every[2:]
    told = app.ask(
        "GET",
        f"{TRACKING}/watches/user/{app.uid}",
        params={"entity_type": "episode"},
        headers={"page-limit": "2"},
    )
    assert len(told.json()["data"]["objects"]) == 2
    assert told.json()["data"]["objects"][0]["series_id"] == BOYS.tvdb


# --- movies


def test_a_movie_is_found_marked_and_listed_by_its_ids_alone_where_no_lookup_is_set_up(app: App) -> None:
    (row,) = app.get("https://search.tvtime.com/v1/search/series,movie", q="tt0133093", limit=5)["data"]

    answer = app.ask("POST", f"{TRACKING}/{row['uuid']}/watch").json()

    assert (row["type"], row["imdb_id"]) == ("movie", "tt0133093")
    assert (answer["status"], answer["data"]["rewatch_count"]) == ("success", 0)
    (film,) = app.get(f"{TRACKING}/cgw/follows/user/{app.uid}", entity_type="movie")["data"]["objects"]
    assert (film["uuid"], film["extended"], film["meta"]["imdb_id"]) == (
        row["uuid"],
        {"is_watched": True},
        "tt0133093",
    )
    (seen,) = app.get(f"{TRACKING}/watches/user/{app.uid}", entity_type="movie")["data"]["objects"]
    assert seen["uuid"] == row["uuid"]
    (play,) = app.box.plays()
    assert play.item["ids"] == {"imdb": "tt0133093"}


def test_a_movie_watched_again_counts(app: App) -> None:
    uuid = uuid_of(Ids(tvdb=169))
    app.ask("POST", f"{TRACKING}/{uuid}/watch")
    app.box.time_passes()

    again = [app.ask("POST", f"{TRACKING}/{uuid}/{verb}").json() for verb in ("watch", "rewatch")]

    assert [one["data"]["rewatch_count"] for one in again] == [0, 1]


def test_a_movie_on_the_watchlist_is_followed_and_not_watched(app: App) -> None:
    film = Movie(title="Later", year=2001, ids=Ids(tvdb=7))
    app.box.home.do(
        lambda connection: library.store_entry(connection, app.uid, "watchlist", film, clock.now())
    )

    (row,) = app.get(f"{TRACKING}/cgw/follows/user/{app.uid}", entity_type="movie")["data"]["objects"]

    assert (row["filter"], row["extended"], row["meta"]["name"]) == (
        ["all", "not_watched"],
        {"is_watched": False},
        "Later",
    )


def test_a_series_that_is_followed_is_found_by_id_and_by_title(app: App) -> None:
    app.box.follow(OTHER)

    def found(query: str) -> list[tuple[str, int]]:
        rows = app.get("https://search.tvtime.com/v1/search/movie,series", q=query)["data"]
        return [(row["type"], row["id"]) for row in rows]

    assert found("high castle") == found("295829") == [("series", 295829)]
    assert found("nothing of the kind") == found("") == []


def test_a_movie_that_nobody_knows_by_this_uuid_is_not_found(app: App) -> None:
    for uuid in ("978899c4-5194-4568-b922-0bd2874c4c1a", "x"):
        assert app.ask("POST", f"{TRACKING}/{uuid}/watch").status_code == 404
        assert app.ask("GET", f"{MSAPI}/prod/v1/movies/{uuid}").status_code == 404


@pytest.mark.parametrize(
    "ids",
    [Ids(tvdb=169), Ids(imdb="tt0133093"), Ids(imdb="tt13309300"), Ids(imdb="tt0000001"), Ids(tmdb=603)],
)
def test_a_uuid_made_here_holds_the_id_it_was_made_of(ids: Ids) -> None:
    uuid = uuid_of(ids)

    assert uuid is not None
    assert ids_in(uuid) == ids
    assert (uuid[14], uuid[19]) == ("8", "8")


def test_a_movie_keeps_tv_time_s_own_uuid() -> None:
    own = "978899c4-5194-4568-b922-0bd2874c4c1a"

    assert uuid_of(Ids(tvdb=169, tvtime=own)) == own
    assert ids_in(own) is None


def test_the_lists_of_two_people_are_two(app: App) -> None:
    other = App(app.box.other())
    app.mark(BOYS.id_of(1, 1))
    app.ask("POST", f"{TRACKING}/{uuid_of(Ids(tvdb=169))}/watch")

    assert other.get(f"{TRACKING}/watches/user/{other.uid}", entity_type="episode")["data"]["objects"] == []
    assert other.get(f"{TRACKING}/watches/user/{other.uid}", entity_type="movie")["data"]["objects"] == []
    assert other.get(f"{API}/episode/{BOYS.id_of(1, 1)}")["is_watched"] is False
