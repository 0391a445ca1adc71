"""Who may call the VideoScrobbler API: API keys, signatures, tokens, the page at /api/auth, sessions."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import time_machine
from sqlalchemy import select

from tests.compat._scrobbler import App, Cinema, allow, cinema
from tests.web.conftest import form_token
from webhook import clock
from webhook.accounts import keys, rekey
from webhook.compat.videoscrobbler import apps, videos
from webhook.storage import tables
from webhook.storage.db import Unavailable

FILM = "tmdb:3456"


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Cinema]:
    with cinema(tmp_path, WORKER="false") as opened:
        yield opened


# --- every error


def test_an_unknown_service_or_method(at: Cinema) -> None:
    app = at.session()

    assert app.error("artist.getInfo") == (2, 404)
    assert app.error("video.rewind") == (3, 400)
    assert app.error("video") == (3, 400)
    assert app.error("") == (3, 400)
    elsewhere = app.client.get("/api/1.0/video", params=app.signed("video.getInfo", id=FILM))
    assert (elsewhere.status_code, elsewhere.json()["error"]) == (404, 2)
    put = app.client.put("/api/1.0/", params=app.signed("video.getInfo", id=FILM))
    assert (put.status_code, put.json()["error"], put.headers["allow"]) == (405, 3, "GET, HEAD, POST")


def test_methods_are_found_in_any_case_and_with_or_without_the_last_slash(at: Cinema) -> None:
    app = at.app()
    params = app.signed("AUTH.gettoken")

    assert app.client.get("/api/1.0/", params=params).json()["token"]
    assert app.client.get("/api/1.0", params=params).json()["token"]


def test_an_unknown_format_is_told_in_xml(at: Cinema) -> None:
    answer = at.app().send("auth.getToken", format="yaml")

    assert (answer.status_code, answer.headers["content-type"]) == (400, "text/xml; charset=utf-8")
    assert '<error code="5">' in answer.text


def test_parameters_given_twice_or_too_many_are_refused(at: Cinema) -> None:
    app = at.app()
    twice = app.client.get("/api/1.0/?format=json&method=a&method=b")
    both = app.client.post("/api/1.0/?format=json&method=a", data={"method": "b"})
    many = app.client.get("/api/1.0/?format=json&" + "&".join(f"p{number}=1" for number in range(60)))

    for answer in (twice, both, many):
        assert (answer.status_code, answer.json()["error"]) == (400, 6)
    assert app.error("video.getInfo", id="x" * 2001) == (6, 400)
    assert app.error("video.getInfo", id="\0") == (6, 400)


def test_an_unknown_key_a_wrong_signature_and_a_suspended_app(at: Cinema) -> None:
    app = at.session()

    assert app.error("video.getInfo", id=FILM, api_key="x" * 32) == (10, 403)
    assert app.error("video.getInfo", id=FILM, api_key=None) == (10, 403)
    assert app.error("video.getInfo", id=FILM, api_sig="0" * 32) == (13, 403)
    assert App(app.client, app.key, "not the secret", sk=app.sk).error("video.getInfo", id=FILM) == (13, 403)
    at.home.do(lambda connection: apps.suspend_app(connection, app.id, clock.now()))
    assert app.error("video.getInfo", id=FILM) == (26, 403)
    assert app.error("auth.getToken") == (26, 403)
    at.home.do(lambda connection: apps.suspend_app(connection, app.id, None))
    assert app("video.getInfo", id=FILM)["id"]


def test_a_session_key_that_is_none_or_of_another_app_or_revoked(at: Cinema) -> None:
    app, other = at.session(), at.app("Other")

    assert app.error("video.getInfo", id=FILM, sk=None) == (9, 403)
    assert app.error("video.getInfo", id=FILM, sk="x") == (9, 403)
    assert app.error("video.getInfo", id=FILM, sk="ü") == (9, 403)
    assert other.error("video.getInfo", id=FILM, sk=app.sk) == (9, 403)
    assert other.error("video.getInfo", id=FILM, sk=at.anonymous(app).sk) == (9, 403)
    (token,) = [row for row in at.home.api().get("/api/v1/tokens").json()["items"] if row["name"] == "Player"]
    assert token["person"] == "me"
    assert at.home.api().delete(f"/api/v1/tokens/{token['id']}").status_code == 200
    assert app.error("video.getInfo", id=FILM) == (9, 403)


def test_an_anonymous_session_reads_public_things_only(at: Cinema) -> None:
    anybody = at.anonymous()

    assert anybody("video.getInfo", id=FILM)["remote_id"] == FILM
    assert {*anybody("user.getInfo", username="me")} == {"username", "since"}
    assert anybody.error("video.scrobble", id=FILM, position=1, state="playing") == (4, 403)
    assert anybody.error("video.love", id=FILM, love="true") == (4, 403)
    assert anybody.error("user.getFriends") == (4, 403)
    assert anybody.error("user.getRecentVideos", user="me", n=1) == (4, 403)
    assert anybody.xml("auth.getSession", sk=None).findtext("user") == ""


def test_an_anonymous_session_makes_no_local_ids(at: Cinema) -> None:
    anybody, me = at.anonymous(), at.session()

    for wanted, kind in ((FILM, "film"), ("tvdb:2345", "tv"), ("http://example.org/clip", "url")):
        assert anybody("video.getInfo", id=wanted) == {
            "id": wanted, "type": kind, "remote_id": wanted, "plays": 0, "active": 0, "popularity": 0.0
        }  # fmt: skip

    assert at.home.do(lambda connection: connection.execute(select(tables.video)).all()) == []
    local = me("video.getInfo", id=FILM)["id"]
    assert anybody("video.getInfo", id=FILM)["id"] == local


def test_a_body_that_is_too_large_or_too_slow_is_told_so(at: Cinema, monkeypatch: pytest.MonkeyPatch) -> None:
    app = at.session()

    large = app.client.post("/api/1.0/?format=json", content=b"x" * 70_000)
    monkeypatch.setattr("webhook.web.http.params.BODY_TIMEOUT", 0.1)
    slow = app.client.post("/api/1.0/?format=json", content=slowly())

    assert (large.status_code, large.json()["error"], large.headers["connection"]) == (413, 6, "close")
    assert "larger than 64 KB" in large.json()["message"]
    assert (slow.status_code, slow.json()["error"]) == (408, 6)
    assert "did not arrive" in slow.json()["message"]


def slowly() -> Iterator[bytes]:
    yield b"method=auth.getToken"
    time.sleep(0.5)
    yield b"&format=json"


def test_a_fault_of_ours_and_a_database_that_is_away(at: Cinema, monkeypatch: pytest.MonkeyPatch) -> None:
    app = at.session()

    def broken(*given: Any) -> Any:
        raise RuntimeError("a fault")

    with monkeypatch.context() as patched:
        patched.setattr(videos, "facts", broken)
        assert app.error("video.getInfo", id=FILM) == (8, 500)

    def away(question: object) -> None:
        raise Unavailable("the disk is full")

    at.home.service.database.ask = away  # type: ignore[assignment, method-assign]
    assert app.error("video.getInfo", id=FILM) == (11, 503)
    assert app.send("video.getInfo", id=FILM).headers["retry-after"] == "30"


def test_too_many_calls_have_to_wait(at: Cinema) -> None:
    app, other = at.session(), at.session()

    seen = {app.send("video.love", id=FILM, love="?").status_code for _ in range(301)}

    assert seen == {400, 429}
    assert app.error("video.getInfo", id=FILM) == (29, 429)
    assert 0 < int(app.send("video.getInfo", id=FILM).headers["retry-after"]) <= 60
    assert other("video.getInfo", id=FILM)["id"]


# --- tokens and the page


def test_a_token_gives_one_session_to_the_app_that_asked(at: Cinema) -> None:
    app, other = at.app(), at.app("Other")
    token = app("auth.getToken")["token"]

    assert app.error("auth.getSession", token=token) == (14, 403)
    allow(at.home.browser(), app, token)
    assert other.error("auth.getSession", token=token) == (4, 403)
    told = app("auth.getSession", token=token)
    assert told["user"] == "me"
    assert app.error("auth.getSession", token=token) == (4, 403)
    assert app.error("auth.getSession", token="x") == (4, 403)
    assert app("video.getInfo", id=FILM, sk=told["sk"])["id"]


def test_a_token_lasts_an_hour(at: Cinema) -> None:
    app, browser = at.app(), at.home.browser()
    token, late = (app("auth.getToken")["token"] for _ in range(2))
    allow(browser, app, token)

    with time_machine.travel(clock.now() + timedelta(minutes=61)):
        assert app.error("auth.getSession", token=token) == (15, 403)
        page = browser.get("/api/auth", params={"api_key": app.key, "token": late})

    assert page.status_code == 400
    assert "older than an hour" in page.text


def test_what_is_kept_of_them_is_no_secret(at: Cinema) -> None:
    app = at.session()

    def everything(connection: Any) -> str:
        found = (tables.app, tables.app_grant, tables.app_session, tables.token)
        return repr([connection.execute(select(table)).all() for table in found])

    kept = at.home.do(everything)

    assert app.key in kept
    assert app.secret not in kept
    assert app.sk is not None
    assert app.sk not in kept


def test_the_page_asks_who_is_not_signed_in_to_sign_in(at: Cinema) -> None:
    app, visitor = at.app("Couch <Player>"), at.home.client()
    query = {"api_key": app.key, "token": app("auth.getToken")["token"]}

    asked = visitor.get("/api/auth", params=query)

    assert asked.status_code == 303
    assert asked.headers["location"].startswith("/sign-in?next=%2Fapi%2Fauth%3F")
    at.home.password("me")
    onward = httpx.URL(asked.headers["location"]).params["next"]
    answer = visitor.post("/sign-in", data={"name": "me", "password": "correct horse", "next": onward})
    assert answer.headers["location"] == onward
    page = visitor.get(onward)
    assert "Allow Couch &lt;Player&gt; access?" in page.text
    assert page.headers["x-frame-options"] == "DENY"
    assert "form-action 'self'" in page.headers["content-security-policy"]


def test_the_page_says_once_it_is_done(at: Cinema) -> None:
    app, browser = at.app(), at.home.browser()
    token = app("auth.getToken")["token"]

    allow(browser, app, token)

    assert (
        "Player now has access" in browser.get("/api/auth", params={"api_key": app.key, "token": token}).text
    )


def test_the_page_says_who_will_see_what_is_told(at: Cinema) -> None:
    app, browser = at.app(), at.home.browser()
    query = {"api_key": app.key, "token": app("auth.getToken")["token"]}

    before = browser.get("/api/auth", params=query).text
    at.private("me", "friends")
    friends = browser.get("/api/auth", params=query).text
    at.private("me", "everyone")

    assert "through this and other apps: nobody but you." in before
    assert "the people here who also share what they watch" in friends
    assert "this and other apps: everyone" in browser.get("/api/auth", params=query).text


def test_another_site_cannot_let_an_app_in(at: Cinema) -> None:
    app, browser = at.app(), at.home.browser()
    token = app("auth.getToken")["token"]
    page = browser.get("/api/auth", params={"api_key": app.key, "token": token})
    fields = {"api_key": app.key, "token": token, "form_token": form_token(page.text)}

    foreign = browser.post("/api/auth", data=fields, headers={"Origin": "https://evil.example"})
    forged = browser.post("/api/auth", data={**fields, "form_token": "0" * 32})
    nobody = at.home.client().post("/api/auth", data=fields)

    assert (foreign.status_code, forged.status_code) == (403, 403)
    assert nobody.headers["location"] == "/sign-in"
    assert app.error("auth.getSession", token=token) == (14, 403)


def test_the_page_refuses_in_words(at: Cinema) -> None:
    app, other, browser = at.app(), at.app("Other"), at.home.browser()
    token = app("auth.getToken")["token"]

    def status(**query: str) -> int:
        page = browser.get("/api/auth", params=query)
        assert "text/html" in page.headers["content-type"]
        return page.status_code

    assert status() == 404
    assert status(api_key="x" * 32, token=token) == 404
    assert status(api_key=app.key) == 400
    assert status(api_key=other.key, token=token) == 400
    at.home.do(lambda connection: apps.suspend_app(connection, app.id, clock.now()))
    assert status(api_key=app.key, token=token) == 403


def test_somebodys_own_app_is_let_in_by_them_alone(at: Cinema) -> None:
    at.home.person("anna")
    app = at.app("Annas", person="anna")
    query = {"api_key": app.key, "token": app("auth.getToken")["token"]}

    page = at.home.browser("me").get("/api/auth", params=query)

    assert page.status_code == 403
    assert at.let_in(app, "anna").sk


def test_one_link_lets_in_the_first_who_agrees(at: Cinema) -> None:
    at.home.person("anna")
    app = at.app()
    token = app("auth.getToken")["token"]
    me, anna = at.home.browser("me"), at.home.browser("anna")
    page = anna.get("/api/auth", params={"api_key": app.key, "token": token})
    fields = {"api_key": app.key, "token": token, "form_token": form_token(page.text)}

    allow(me, app, token)

    assert anna.post("/api/auth", data=fields).status_code == 409
    assert app("auth.getSession", token=token)["user"] == "me"


def test_a_removed_app_and_a_removed_person_have_no_session(at: Cinema) -> None:
    at.home.person("anna")
    app = at.session()
    annas = at.session("anna")

    at.home.do(lambda connection: apps.remove_app(connection, app.id, clock.now()))
    at.home.do(
        lambda connection: connection.execute(tables.person.delete().where(tables.person.c.name == "anna"))
    )

    assert app.error("video.getInfo", id=FILM) == (10, 403)
    assert annas.error("video.getInfo", id=FILM) == (9, 403)


def test_another_key_of_the_seal_opens_the_secrets_of_apps(at: Cinema) -> None:
    app = at.app()
    service = at.home.service

    rekey.rekey(service.settings, service.database)
    service.seal = keys.load_seal(service.settings, service.database)

    assert app("auth.getToken")["token"]


# --- managing apps: the API twin of `watchmark apps`


def test_the_owner_manages_every_app_and_others_their_own(at: Cinema) -> None:
    anna = at.home.person("anna")
    owner, annas = at.home.api(), at.home.api(anna)

    shared = owner.post("/api/v1/apps", json={"name": "Shared"}).json()
    own = annas.post("/api/v1/apps", json={"name": "Own"}).json()

    assert [len(shared[name]) for name in ("key", "secret")] == [32, 32]
    assert (shared["person"], own["person"]) == (None, "anna")
    assert [one["name"] for one in owner.get("/api/v1/apps").json()["items"]] == ["Shared", "Own"]
    (listed,) = annas.get("/api/v1/apps").json()["items"]
    assert listed == {name: value for name, value in own.items() if name != "secret"}
    assert annas.put(f"/api/v1/apps/{shared['id']}", json={"suspended": True}).status_code == 404
    assert annas.delete(f"/api/v1/apps/{shared['id']}").status_code == 404
    assert annas.post("/api/v1/apps", json={"name": "x", "person": "me"}).status_code == 403
    assert owner.post("/api/v1/apps", json={"name": ""}).status_code == 422
    assert owner.post("/api/v1/apps", json={"name": "x", "person": "nobody"}).status_code == 422
    assert owner.put(f"/api/v1/apps/{own['id']}", json={"suspended": "yes"}).status_code == 422
    assert owner.put(f"/api/v1/apps/{own['id']}", json={"suspended": True}).json()["suspended_at"]
    assert owner.put(f"/api/v1/apps/{own['id']}", json={"suspended": False}).json()["suspended_at"] is None
    assert annas.delete(f"/api/v1/apps/{own['id']}").json() == {"id": own["id"], "removed": True}
    assert at.home.client().get("/api/v1/apps").status_code == 401


def test_a_person_says_who_sees_them_and_only_the_owner_for_others(at: Cinema) -> None:
    anna = at.home.person("anna")
    owner, annas = at.home.api(), at.home.api(anna)

    assert annas.get("/api/v1/privacy").json() == {"person": "anna", "seen_by": "nobody"}
    assert annas.put("/api/v1/privacy", json={"seen_by": "friends"}).json()["seen_by"] == "friends"
    assert annas.put("/api/v1/privacy", json={"seen_by": "all"}).status_code == 400
    assert annas.put("/api/v1/privacy", json={"seen_by": "nobody", "person": "me"}).status_code == 403
    assert annas.get("/api/v1/privacy", params={"person": "me"}).status_code == 403
    told = owner.put("/api/v1/privacy", json={"seen_by": "everyone", "person": "anna"}).json()
    assert told == {"person": "anna", "seen_by": "everyone"}
    assert owner.get("/api/v1/privacy").status_code == 400
    assert owner.get("/api/v1/privacy", params={"person": "nobody"}).status_code == 404


def test_it_is_found_under_a_root_path_too(tmp_path: Path) -> None:
    with cinema(tmp_path, ROOT_PATH="/watch", WORKER="false") as at:
        app = at.app()
        app.client.base_url = httpx.URL(f"{at.home.url}/watch")
        browser = at.home.client()
        at.home.password("me")
        browser.post("/watch/sign-in", data={"name": "me", "password": "correct horse"})
        browser.base_url = app.client.base_url

        token = app("auth.getToken")["token"]
        allow(browser, app, token)

        assert app("auth.getSession", token=token)["user"] == "me"
