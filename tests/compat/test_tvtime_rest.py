"""The TV Time REST API: as the original answered, over HTTP."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection, select, update

from tests.compat._tvtime import (
    BOYS,
    OFFICE,
    OTHER,
    PROGRAMMES,
    THRONES,
    Box,
    boxed,
    fill,
    list_shows,
    see,
    somebody,
    with_password,
)
from tests.fakes._server import Server
from tests.fakes.trakt import Trakt
from tests.fakes.tvtime import TVTime
from tests.faults.house import Altered, at
from tests.running import Process, eventually, started
from tests.web.conftest import PASSWORD
from webhook import clock
from webhook.compat.tvtime.auth import COOKIE_LIFE, COOKIE_USE
from webhook.domain.event import Action, Episode, Event, Ids, item_to_json
from webhook.history import plays as history
from webhook.network.throttle import PACES, Pace
from webhook.people import identities, passwords, people, tokens
from webhook.queues import inbox
from webhook.service import Service
from webhook.storage import tables

OK = {"status": "OK"}
NOT_IN = {"reason": "401 - Not logged in", "status": "KO"}
NO_FORM = {"reason": "400 - Invalid POST data", "status": "KO"}
WERKZEUG = (
    "404 - The requested URL was not found on the server. If you entered the URL manually please check "
    "your spelling and try again."
)
FOLLOW = "https://api2.tozelabs.com/v2/show/{id}/follow"
GUARDED = [
    ("GET", "/shows"),
    ("GET", "/show/73244"),
    ("PUT", "/show/73244/follow"),
    ("DELETE", "/show/73244/follow"),
    ("PUT", "/episode/5000001/watched"),
    ("DELETE", "/episode/5000001/watched"),
]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    with boxed(tmp_path_factory.mktemp("tvtime")) as box:
        yield box


@pytest.fixture
def anna(service: Box) -> Box:
    """Somebody new, so that the tests do not see one another's marks."""
    return somebody(service.home)


@pytest.fixture
def client(anna: Box) -> httpx.Client:
    return anna.signed_in()


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Box]:
    """A service of one's own, for what counts per address."""
    with boxed(tmp_path) as box:
        yield box


def total(client: httpx.Client, show: int) -> int:
    seasons = client.get(f"/tvtime/show/{show}").json()["seasons"]
    return sum(one["watched"] for season in seasons for one in season["episodes"])


# --- the original's own scenario


WATCHED = ((OFFICE, 3, 7), (THRONES, 7, 7), (BOYS, 1, 8))


@pytest.fixture(scope="module", params=["local", "server"])
def process(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A real process with the shows that the original's tests were about, watched as far as there.

    They are in the library here, or at a server of TV Time's protocol to which the person is signed in.
    """
    begun = begun_here if request.param == "local" else begun_at_a_server
    with begun(tmp_path_factory.mktemp("tvtime")) as process:
        yield process


@contextmanager
def begun_here(folder: Path) -> Iterator[Process]:
    def prepared(connection: Connection, service: Service) -> None:
        list_shows(connection)
        with_password(connection, "me", passwords.hash_password(PASSWORD))

    with started(Process(folder).prepare(prepared)) as process:
        token = app_login(process)
        for show, season, number in WATCHED:
            upstream = f"https://api2.tozelabs.com/v2/watched_episodes/show/{show.tvdb}/until/episode"
            told = process.http.post(
                f"{process.url}/tvtime/sidecar",
                params={"o": f"{upstream}/{show.id_of(season, number)}"},
                headers={"Authorization": f"Bearer {token}"},
            )
            assert told.json() == {"result": "OK"}
        yield process


@contextmanager
def begun_at_a_server(folder: Path) -> Iterator[Process]:
    """Nothing is known of the shows here."""
    with Server(fill(TVTime())) as server:
        user = server.fake.add_user("anna", "secret")
        server.fake.switches.follow_hint = True
        for show, season, number in WATCHED:
            see(server.fake, user, show, season, number)
        settings = {"TVTIME_URL": server.url, "TVTIME_FOLLOW_URL": FOLLOW, "TVTIME_WRITES_PER_SECOND": "0"}
        process = Process(folder, **settings).prepare(
            lambda connection, service: with_password(connection, "me", passwords.hash_password(PASSWORD))
        )
        process.connect("tvtime", user.tokens)
        with started(process):
            yield process


def app_login(process: Process) -> str:
    told = process.http.post(
        f"{process.url}/tvtime/sidecar",
        params={"o": "https://auth.tvtime.com/v1/login"},
        json={"username": "me", "password": PASSWORD},
    )
    return str(told.json()["data"]["jwt_token"])


@pytest.fixture
def me(process: Process) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=process.url, timeout=20) as client:
        answer = client.post("/tvtime/login", data={"username": "me", "password": PASSWORD})
        assert (answer.status_code, answer.json()) == (200, OK)
        yield client


def test_the_shows_are_those_that_are_followed(me: httpx.Client) -> None:
    answer = me.get("/tvtime/shows").json()

    assert answer["count"] == 3
    assert {show["id"] for show in answer["series"]} == {73244, 121361, 355567}


@pytest.mark.parametrize(("show", "watched"), [(73244, 35), (121361, 67), (355567, 8)])
def test_as_many_episodes_of_a_show_are_watched_as_were_marked(
    me: httpx.Client, show: int, watched: int
) -> None:
    assert total(me, show) == watched


def test_a_show_is_followed_and_unfollowed(me: httpx.Client) -> None:
    assert me.put("/tvtime/show/295829/follow").json() == OK
    followed = me.get("/tvtime/shows").json()
    assert me.delete("/tvtime/show/295829/follow").json() == OK
    left = me.get("/tvtime/shows").json()

    assert (followed["count"], left["count"]) == (4, 3)
    assert 295829 in {show["id"] for show in followed["series"]}
    assert 295829 not in {show["id"] for show in left["series"]}


def test_an_episode_is_marked_and_unmarked(me: httpx.Client) -> None:
    episode = OFFICE.id_of(3, 8)

    for method, watched in (("PUT", True), ("DELETE", False), ("PUT", True), ("DELETE", False)):
        answer = me.request(method, f"/tvtime/episode/{episode}/watched")

        assert (answer.status_code, answer.json()) == (200, OK)
        seasons = me.get("/tvtime/show/73244").json()["seasons"]
        (found,) = [one for season in seasons for one in season["episodes"] if one["id"] == str(episode)]
        assert found["watched"] is watched


# --- the sign-in


FORMS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "the wrong keys": {"data": {"user": "me", "pass": PASSWORD}},
    "JSON": {"json": {"username": "me", "password": PASSWORD}},
    "a blank name": {"data": {"username": "", "password": PASSWORD}},
    "a blank password": {"data": {"username": "me", "password": "  "}},
    "another field that is blank": {"data": {"username": "me", "password": PASSWORD, "more": ""}},
    "no password": {"data": {"username": "me"}},
    "a form without its type": {"content": b"username=me&password=x"},
    "half a multipart form": {
        "content": b"--x",
        "headers": {"content-type": "multipart/form-data; boundary=x"},
    },
    "a multipart form without boundary": {
        "content": b"x",
        "headers": {"content-type": "multipart/form-data"},
    },
}


@pytest.mark.parametrize("given", FORMS.values(), ids=FORMS)
def test_what_is_no_form_with_name_and_password_is_refused(service: Box, given: dict[str, Any]) -> None:
    answer = service.client().post("/tvtime/login", **given)

    assert (answer.status_code, answer.json()) == (400, NO_FORM)


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("{name}", "wrong"),
        ("nobody", PASSWORD),
        ("{name}", "x" * 2000),
        ("{name}\0", PASSWORD),
        ("{name}", "a\0"),
    ],
)
def test_a_wrong_name_or_password_is_not_let_in(alone: Box, name: str, password: str) -> None:
    given = {"username": name.format(name=alone.name), "password": password}

    answer = alone.client().post("/tvtime/login", data=given)

    assert (answer.status_code, answer.json()) == (401, NOT_IN)
    assert "set-cookie" not in answer.headers


def test_the_right_ones_open_a_session_that_no_script_and_no_other_site_gets(anna: Box) -> None:
    answer = anna.client().post("/tvtime/login", data={"username": anna.name, "password": PASSWORD})

    assert (answer.status_code, answer.json()) == (200, OK)
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("session=")
    assert {part.strip() for part in cookie.split(";")[1:]} == {"HttpOnly", "Path=/tvtime", "SameSite=strict"}


def test_a_multipart_form_is_a_form(anna: Box) -> None:
    parts = {"username": (None, anna.name), "password": (None, PASSWORD)}

    answer = anna.client().post("/tvtime/login", files=parts)

    assert (answer.status_code, answer.json()) == (200, OK)


@pytest.mark.parametrize(
    "given", [{"username": "", "password": "x"}, {"username": "me", "password": "wrong"}]
)
def test_a_login_that_fails_ends_the_earlier_session(alone: Box, given: dict[str, str]) -> None:
    client = alone.signed_in()

    client.post("/tvtime/login", data=given)

    assert client.get("/tvtime/shows").status_code == 401


@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_nobody_is_let_in_without_a_session(service: Box, method: str, path: str) -> None:
    answer = service.client().request(method, f"/tvtime{path}")

    assert (answer.status_code, answer.json()) == (401, NOT_IN)


def test_an_app_password_opens_it_too_until_it_is_revoked(anna: Box) -> None:
    secret = anna.home.token("app", anna.person_id)
    client = anna.signed_in(secret)
    before = client.get("/tvtime/shows").status_code
    (made,) = anna.home.do(lambda connection: tokens.app_passwords(connection, anna.person_id, clock.now()))

    anna.home.do(lambda connection: tokens.revoke_token(connection, made.id, clock.now()))

    assert (before, client.get("/tvtime/shows").status_code) == (200, 401)
    again = anna.client().post("/tvtime/login", data={"username": anna.name, "password": secret})
    assert again.status_code == 401


@pytest.mark.parametrize("kind", ["api", "webhook"])
def test_a_token_of_another_kind_is_no_app_password(alone: Box, kind: str) -> None:
    secret = alone.home.token(kind, alone.person_id)

    answer = alone.client().post("/tvtime/login", data={"username": alone.name, "password": secret})

    assert answer.status_code == 401


def test_an_app_password_is_its_owner_s_alone(alone: Box) -> None:
    secret = alone.home.token("app", alone.other().person_id)

    answer = alone.client().post("/tvtime/login", data={"username": alone.name, "password": secret})

    assert answer.status_code == 401


def test_a_changed_password_ends_every_session(anna: Box, client: httpx.Client) -> None:
    before = client.get("/tvtime/shows").status_code
    anna.home.do(lambda connection: with_password(connection, anna.name, "$argon2id$changed"))

    assert (before, client.get("/tvtime/shows").status_code) == (200, 401)


def slowed(box: Box) -> httpx.Client:
    """A client that has five tries, and then has to wait for long."""
    box.home.service.login_throttle.paces = {**PACES, "pair": Pace(free=5, first=600, most=600)}
    return box.client()


def test_guessing_is_slowed(alone: Box) -> None:
    client = slowed(alone)
    wrong = {"username": alone.name, "password": "wrong"}

    tries = [client.post("/tvtime/login", data=wrong) for _ in range(7)]

    assert [answer.status_code for answer in tries] == [401] * 5 + [429] * 2
    assert 0 < int(tries[-1].headers["retry-after"]) <= 600
    assert tries[-1].json()["status"] == "KO"


def test_who_is_signed_in_stays_so_whoever_guesses(alone: Box) -> None:
    client = slowed(alone)
    right = {"username": alone.name, "password": PASSWORD}
    assert client.post("/tvtime/login", data=right).status_code == 200
    for _ in range(5):
        alone.client().post("/tvtime/login", data={**right, "password": "wrong"})

    assert client.post("/tvtime/login", data=right).status_code == 429
    assert client.get("/tvtime/shows").status_code == 200


def test_guessing_is_slowed_over_all_doors_together(alone: Box) -> None:
    client, wrong = slowed(alone), {"username": alone.name, "password": "wrong"}
    login = {"o": "https://auth.tvtime.com/v1/login"}

    codes = [client.post("/tvtime/login", data=wrong).status_code for _ in range(2)]
    codes += [client.post("/tvtime/sidecar", params=login, json=wrong).status_code for _ in range(2)]
    codes += [client.post("/sign-in", data={"name": alone.name, "password": "wrong"}).status_code]
    codes += [client.post("/tvtime/login", data=wrong).status_code]
    codes += [client.post("/sign-in", data={"name": alone.name, "password": "wrong"}).status_code]

    assert codes == [401] * 5 + [429] * 2


# --- the cookie


def test_the_cookie_cannot_be_read(anna: Box, client: httpx.Client) -> None:
    cookie = client.cookies["session"]

    raw = base64.urlsafe_b64decode(cookie + "=" * (-len(cookie) % 4))

    assert anna.name.encode() not in raw
    assert b'"p"' not in raw
    assert COOKIE_USE.encode() not in raw


def test_a_cookie_that_was_changed_anywhere_is_none(anna: Box, client: httpx.Client) -> None:
    cookie = client.cookies["session"]
    stranger = anna.client()

    for index in range(0, len(cookie) - 3, 7):  # the last characters may hold bits that mean nothing
        other = "A" if cookie[index] != "A" else "B"
        changed = cookie[:index] + other + cookie[index + 1 :]
        answer = stranger.get("/tvtime/shows", headers={"Cookie": f"session={changed}"})
        assert answer.status_code == 401, index


def test_a_cookie_that_is_cut_or_from_elsewhere_is_none(anna: Box, client: httpx.Client) -> None:
    cookie, seal = client.cookies["session"], anna.home.service.seal
    until = int((clock.now() + COOKIE_LIFE).timestamp())
    mine = {"use": COOKIE_USE, "p": anna.person_id, "by": "x", "until": until}
    others = [
        cookie[:-20],
        "",
        "ö",
        seal.seal("text"),
        seal.seal({**mine, "use": "another"}),
        seal.seal(mine),
        seal.seal({**mine, "by": None}),
        seal.seal({**mine, "p": "1", "by": "app 1"}),
        seal.seal({**mine, "by": "app 1"}),
    ]

    for other in others:
        header = {b"Cookie": f"session={other}".encode()}
        assert anna.client().get("/tvtime/shows", headers=header).status_code == 401, other


def test_a_session_ends_after_a_month(anna: Box) -> None:
    row = anna.home.do(lambda connection: people.find_person(connection, anna.name))
    sessions, seal = anna.signed_in(), anna.home.service.seal
    session = dict(seal.open(sessions.cookies["session"]))
    over = seal.seal({**session, "until": int(clock.now().timestamp()) - 1})

    answer = anna.client().get("/tvtime/shows", headers={"Cookie": f"session={over}"})

    assert session["p"] == row.id
    assert answer.status_code == 401


@pytest.mark.parametrize(("method", "path"), [("POST", "/login"), ("PUT", "/show/73244/follow")])
def test_another_site_changes_nothing(client: httpx.Client, method: str, path: str) -> None:
    answer = client.request(method, f"/tvtime{path}", headers={"Sec-Fetch-Site": "cross-site"})

    assert (answer.status_code, answer.json()["status"]) == (403, "KO")
    assert client.get("/tvtime/shows").json()["count"] == 0


# --- what is wrong with the address


def test_the_root_is_not_found(service: Box) -> None:
    answer = service.client().get("/tvtime/")

    assert (answer.status_code, answer.json()) == (404, {"reason": "404 - Page not found", "status": "KO"})


@pytest.mark.parametrize(
    "path", ["/nothing", "/show/abc", "/show/-1", "/show/1.5", "/show/", "/show/9999999999999999999"]
)
def test_an_unknown_path_is_not_found_before_anything_else(service: Box, path: str) -> None:
    answer = service.client().get(f"/tvtime{path}")

    assert (answer.status_code, answer.json()) == (404, {"reason": WERKZEUG, "status": "KO"})


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/login", {"POST"}),
        ("POST", "/shows", {"GET", "HEAD"}),
        ("DELETE", "/show/1", {"GET", "HEAD"}),
        ("GET", "/show/1/follow", {"PUT", "DELETE"}),
        ("POST", "/episode/1/watched", {"PUT", "DELETE"}),
    ],
)
def test_a_wrong_method_is_told_in_html(service: Box, method: str, path: str, allowed: set[str]) -> None:
    answer = service.client().request(method, f"/tvtime{path}")

    assert answer.status_code == 405
    assert answer.headers["content-type"].startswith("text/html")
    assert "The method is not allowed for the requested URL." in answer.text
    assert {word.strip() for word in answer.headers["allow"].split(",")} == allowed


# --- shows


def test_the_answers_have_the_original_s_fields_and_types(anna: Box, client: httpx.Client) -> None:
    anna.follow(OFFICE)
    client.put(f"/tvtime/episode/{OFFICE.id_of(1, 1)}/watched")

    shows, show = client.get("/tvtime/shows"), client.get("/tvtime/show/73244")

    assert shows.json() == {
        "count": 1,
        "series": [{"id": 73244, "name": "The Office", "progress": "1%", "time": "0h 0m"}],
    }
    assert shows.text.startswith('{"count":')
    assert show.json()["count"] == 4
    (specials, first, *_) = show.json()["seasons"]
    assert (specials["name"], first["name"], first["number_of_episodes"]) == ("Season 0", "Season 1", "6")
    assert first["episodes"][0] == {
        "air_date": "2010-01-02", "id": "5000001", "name": "Part 1.1", "number": "1", "watched": True
    }  # fmt: skip
    assert first["episodes"][1]["watched"] is False
    assert shows.headers["x-watchmark-episodes"] == show.headers["x-watchmark-episodes"] == "tvdb"


def test_specials_do_not_count_in_a_show_s_progress(anna: Box, client: httpx.Client) -> None:
    anna.follow(OFFICE)
    for number in (1, 2):
        client.put(f"/tvtime/episode/{OFFICE.id_of(0, number)}/watched")

    (show,) = client.get("/tvtime/shows").json()["series"]

    assert show["progress"] == "0%"
    assert total(client, 73244) == 2


def test_a_show_that_nobody_lists_has_the_episodes_of_the_history(anna: Box, client: httpx.Client) -> None:
    item = Episode(
        title="First", show="Tidewater", season=2, number=3, ids=Ids(tvdb=900), show_ids=Ids(tvdb=77)
    )
    anna.home.do(lambda connection: watched(connection, anna.person_id, item, 45 * 60_000))
    anna.home.do(lambda connection: watched(connection, anna.person_id, Episode(
        show="Tidewater", season=2, number=4, show_ids=Ids(tvdb=77)), 30 * 60_000))  # fmt: skip
    client.put("/tvtime/show/77/follow")

    show, shows = client.get("/tvtime/show/77"), client.get("/tvtime/shows")

    (season,) = show.json()["seasons"]
    assert [(one["id"], one["number"], one["name"]) for one in season["episodes"]] == [
        ("900", "3", "First"),
        ("", "4", ""),
    ]
    assert show.headers["x-watchmark-episodes"] == "history"
    assert shows.json()["series"] == [{"id": 77, "name": "Tidewater", "progress": "100%", "time": "1h 15m"}]


def test_a_show_of_which_nothing_is_known_is_empty(client: httpx.Client) -> None:
    assert client.get("/tvtime/show/1").json() == {"count": 0, "seasons": []}


def test_a_mark_of_the_built_in_library_counts_where_the_history_knows_nothing(
    anna: Box, client: httpx.Client
) -> None:
    item = Episode(
        show="The Boys", season=1, number=2, ids=Ids(tvdb=BOYS.id_of(1, 2)), show_ids=Ids(tvdb=BOYS.tvdb)
    )
    values = {
        "person_id": anna.person_id, "item_key": f"tvdb:{item.ids.tvdb}", "show_key": f"tvdb:{BOYS.tvdb}",
        "kind": "episode", "item": item_to_json(item), "watched_at": clock.now(), "rewatches": 0,
    }  # fmt: skip
    anna.home.do(lambda connection: connection.execute(tables.tick.insert(), values))
    before = total(client, BOYS.tvdb)

    client.delete(f"/tvtime/episode/{item.ids.tvdb}/watched")

    assert (before, total(client, BOYS.tvdb)) == (1, 0)


def watched(connection: Connection, person_id: int, item: Episode, duration_ms: int) -> None:
    """A play as a media server's webhook made it."""
    at = clock.now()
    event = Event(action=Action.WATCHED, item=item, at=at, duration_ms=duration_ms)
    history.apply(connection, person_id, event, "plex", 80)


def test_an_episode_that_the_media_server_counts_otherwise_is_one_episode(
    anna: Box, client: httpx.Client
) -> None:
    """Its own id says which one it is, in the list and when it is taken back."""
    number = BOYS.id_of(1, 2)
    item = Episode(show="The Boys", season=1, number=3, ids=Ids(tvdb=number), show_ids=Ids(tvdb=BOYS.tvdb))
    anna.home.do(lambda connection: watched(connection, anna.person_id, item, 60_000))

    (season,) = client.get(f"/tvtime/show/{BOYS.tvdb}").json()["seasons"]
    client.delete(f"/tvtime/episode/{number}/watched")

    assert [one["id"] for one in season["episodes"] if one["watched"]] == [str(number)]
    assert total(client, BOYS.tvdb) == 0


# --- marks


def test_a_mark_is_a_webhook_like_any_other(anna: Box, client: httpx.Client) -> None:
    client.put(f"/tvtime/episode/{BOYS.id_of(1, 1)}/watched")

    (row,) = anna.webhooks()
    (event,) = row.events
    assert (row.state, row.content_type) == (
        "interpreted",
        f"application/vnd.watchmark.event+json; by=tvtime-api; for={anna.person_id}",
    )
    assert (event["user"], event["person"], event["action"]) == (anna.name, anna.name, "watched")
    assert (event["ids"], event["season"], event["number"]) == ({"tvdb": BOYS.id_of(1, 1)}, 1, 1)
    assert event["show_ids"] == {"tvdb": BOYS.tvdb}
    (play,) = anna.plays()
    assert play.source == "tvtime"


def test_a_mark_told_again_changes_nothing(anna: Box, client: httpx.Client) -> None:
    for _ in range(3):
        client.put(f"/tvtime/episode/{BOYS.id_of(1, 1)}/watched")
        anna.time_passes()

    assert len(anna.plays()) == len(anna.webhooks()) == 1


def test_a_mark_waits_for_one_that_is_just_being_taken_back(anna: Box, client: httpx.Client) -> None:
    """Else it would be taken for marked already, and then taken back."""
    number = BOYS.id_of(1, 1)
    client.put(f"/tvtime/episode/{number}/watched")
    item = Episode(ids=Ids(tvdb=number))
    event = Event(action=Action.UNWATCHED, item=item, at=clock.now(), user=anna.name)
    waiting = inbox.event_webhook("tvtime", event, clock.now(), "tvtime-api", person_id=anna.person_id)

    anna.home.do(lambda connection: inbox.store_webhooks(connection, [waiting]))
    client.put(f"/tvtime/episode/{number}/watched")

    assert [row.events[0]["action"] for row in anna.webhooks()] == ["watched", "unwatched", "watched"]
    assert anna.seen(number) is not None


def test_taking_a_mark_back_takes_back_what_was_watched_twice(anna: Box, client: httpx.Client) -> None:
    number = BOYS.id_of(1, 1)
    item = Episode(show="The Boys", season=1, number=1, ids=Ids(tvdb=number), show_ids=Ids(tvdb=BOYS.tvdb))
    for _ in range(2):
        anna.home.do(lambda connection: watched(connection, anna.person_id, item, 60_000))
        anna.time_passes()

    client.delete(f"/tvtime/episode/{number}/watched")

    assert len(anna.plays()) == 2
    assert total(client, BOYS.tvdb) == 0


def test_an_episode_nobody_can_say_anything_of_is_marked_all_the_same(
    anna: Box, client: httpx.Client
) -> None:
    answer = client.put("/tvtime/episode/424242/watched")

    assert answer.json() == OK
    assert anna.seen(424242) is not None
    assert client.delete("/tvtime/episode/424242/watched").json() == OK
    assert anna.seen(424242) is None


def test_a_mark_that_the_person_s_own_filter_stops_is_refused(anna: Box, client: httpx.Client) -> None:
    mine = tables.person.c.id == anna.person_id
    only_films = tables.person.update().where(mine).values(filters={"kinds": ["movie"]})
    anna.home.do(lambda connection: connection.execute(only_films))

    answer = client.put(f"/tvtime/episode/{BOYS.id_of(1, 1)}/watched")

    assert (answer.status_code, answer.json()) == (
        502,
        {"reason": "502 - PUT request failed!", "status": "KO"},
    )


def test_a_mark_follows_the_show(client: httpx.Client) -> None:
    client.put(f"/tvtime/episode/{BOYS.id_of(1, 1)}/watched")

    assert [show["id"] for show in client.get("/tvtime/shows").json()["series"]] == [BOYS.tvdb]


def test_one_person_never_sees_or_changes_another_s(anna: Box, client: httpx.Client) -> None:
    ben = anna.other()
    bens = ben.signed_in()
    client.put(f"/tvtime/episode/{BOYS.id_of(1, 1)}/watched")
    bens.put(f"/tvtime/episode/{BOYS.id_of(1, 2)}/watched")

    bens.delete(f"/tvtime/episode/{BOYS.id_of(1, 1)}/watched")
    bens.delete(f"/tvtime/show/{BOYS.tvdb}/follow")

    assert total(client, BOYS.tvdb) == total(bens, BOYS.tvdb) == 1
    assert client.get("/tvtime/shows").json()["count"] == 1
    assert bens.get("/tvtime/shows").json()["count"] == 0
    assert {play.person_id for play in anna.plays() + ben.plays()} == {anna.person_id, ben.person_id}


def test_two_people_whose_names_differ_in_case_only_stay_two(anna: Box) -> None:
    home = anna.home
    upper = anna.name.upper()
    other = int(home.do(lambda connection: people.add_person(connection, "twin", clock.now())))
    twins = (
        update(tables.person).where(tables.person.c.id == other).values(name=upper)
    )  # from before names were compared so
    home.do(lambda connection: connection.execute(twins))
    home.do(lambda connection: with_password(connection, upper))
    twin = Box(home, upper, other)
    mine, theirs = anna.signed_in(), twin.signed_in()

    for client, number in ((mine, 1), (theirs, 2), (mine, 3), (theirs, 4)):
        client.put(f"/tvtime/episode/{BOYS.id_of(1, number)}/watched")

    assert [play.item["number"] for play in anna.plays()] == [1, 3]
    assert [play.item["number"] for play in twin.plays()] == [2, 4]


def test_a_name_claimed_by_somebody_else_is_claimed_by_its_own_person(
    anna: Box, client: httpx.Client
) -> None:
    ben = anna.other()
    anna.home.do(
        lambda connection: identities.claim_identities(
            connection, ben.name, f"tvtime:{anna.name}", clock.now()
        )
    )

    client.put(f"/tvtime/episode/{BOYS.id_of(1, 1)}/watched")

    assert (len(anna.plays()), ben.plays()) == (1, [])


def test_whoever_plays_first_is_still_the_first_person_s(alone: Box) -> None:
    """A sign-in here claims nobody's user at a media server."""
    alone.signed_in().put(f"/tvtime/episode/{BOYS.id_of(1, 1)}/watched")

    made = alone.home.hear("lisa")

    claimed = select(tables.identity.c.person_id).where(tables.identity.c.user == "lisa")
    assert made
    eventually(
        lambda: alone.home.do(lambda connection: connection.execute(claimed).scalar()) == 1, "it is claimed"
    )


# --- as far as Trakt


@pytest.fixture
def trakt() -> Iterator[tuple[Trakt, str]]:
    with Server(Trakt(window_minutes=0)) as server:
        server.fake.catalogue.load({"shows": [one.at_trakt() for one in PROGRAMMES]})
        yield server.fake, server.url


@pytest.fixture
def telling(trakt: tuple[Trakt, str], tmp_path: Path) -> Iterator[Process]:
    """A process that tells the fake Trakt. It is hasty: what a killed one had in hand is due again at once."""

    def prepared(connection: Connection, service: Service) -> None:
        list_shows(connection)
        with_password(connection, "me", passwords.hash_password(PASSWORD))

    process = Altered(tmp_path, "hasty", settings=at(trakt[1])).prepare(prepared)
    process.connect("trakt", trakt[0].sign_in("anna"))
    with started(process):
        yield process


@contextmanager
def sign_in(process: Process) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=process.url, timeout=20) as client:
        assert client.post("/tvtime/login", data={"username": "me", "password": PASSWORD}).json() == OK
        yield client


def test_a_mark_arrives_at_trakt_once(telling: Process, trakt: tuple[Trakt, str]) -> None:
    history = trakt[0].user("anna").history
    with sign_in(telling) as client:
        for _ in range(3):
            client.put(f"/tvtime/episode/{BOYS.id_of(1, 5)}/watched")

        eventually(lambda: bool(history), "the mark arrives")
        client.put(f"/tvtime/episode/{BOYS.id_of(1, 6)}/watched")
        eventually(lambda: len(history) > 1, "the next one arrives")

    assert [row["episode"]["ids"].get("tvdb") for row in history] == [BOYS.id_of(1, 5), BOYS.id_of(1, 6)]


def test_a_mark_that_was_answered_survives_a_kill_and_arrives_once(
    telling: Process, trakt: tuple[Trakt, str]
) -> None:
    history = trakt[0].user("anna").history
    numbers = [3, 7, 1, 9]
    for number in numbers:
        with sign_in(telling) as client:
            answer = client.put(f"/tvtime/episode/{OTHER.id_of(1, number)}/watched")
        telling.kill()
        assert answer.json() == OK
        telling.start()

    eventually(lambda: len(history) >= len(numbers), "every mark arrives")
    with sign_in(telling) as client:
        client.put(f"/tvtime/episode/{BOYS.id_of(1, 1)}/watched")
        eventually(lambda: len(history) > len(numbers), "a last one arrives")
    told = [row["episode"]["ids"].get("tvdb") for row in history]
    assert sorted(told) == sorted([*(OTHER.id_of(1, number) for number in numbers), BOYS.id_of(1, 1)])


# --- where it stands


def test_behind_a_path_of_a_proxy_everything_is_the_same(tmp_path: Path) -> None:
    with boxed(tmp_path, ROOT_PATH="/watch") as box:
        client = box.client()
        given = {"username": box.name, "password": PASSWORD}
        answer = client.post("/watch/tvtime/login", data=given)

        assert "Path=/watch/tvtime" in answer.headers["set-cookie"]
        assert client.put("/watch/tvtime/show/73244/follow").json() == OK
        assert client.get("/watch/tvtime/shows").json()["count"] == 1
        assert client.get("/watch/tvtime/nothing").json()["reason"] == WERKZEUG
        stripped = client.get("/tvtime/shows", headers={"Cookie": f"session={client.cookies['session']}"})
        assert stripped.json()["count"] == 1


def test_no_answer_is_kept_or_sniffed(client: httpx.Client) -> None:
    headers = client.get("/tvtime/shows").headers

    assert (headers["cache-control"], headers["x-content-type-options"]) == ("no-store", "nosniff")


def test_the_app_password_is_made_by_a_command(tmp_path: Path) -> None:
    process = Process(tmp_path).prepare()

    made = process.run("token", "new", "--kind", "app", "--person", "me")
    with started(process), httpx.Client(base_url=process.url) as client:
        answer = client.post("/tvtime/login", data={"username": "me", "password": made.strip()})

    assert (answer.status_code, answer.json()) == (200, OK)


def test_every_programme_here_has_ids_of_its_own() -> None:
    ids = [one.ids.tvdb for programme in PROGRAMMES for one in programme.episodes()]

    assert len(ids) == len(set(ids))


def test_the_address_without_its_slash_is_answered_as_the_one_with_it(client: httpx.Client) -> None:
    answers = [client.get(path) for path in ("/tvtime", "/tvtime/")]

    assert [(answer.status_code, answer.json()) for answer in answers] == [
        (404, {"reason": "404 - Page not found", "status": "KO"})
    ] * 2


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/show/0"), ("PUT", "/show/0/follow"), ("PUT", "/episode/00/watched")]
)
def test_nothing_has_the_id_0(client: httpx.Client, method: str, path: str) -> None:
    assert client.request(method, f"/tvtime{path}").status_code == 404
