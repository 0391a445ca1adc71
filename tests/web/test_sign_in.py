"""The sign-in: sessions, the one-time link, patience, and other sites."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest
import time_machine
from sqlalchemy import select, update

from tests.web.conftest import PASSWORD, Household, Open, form_token
from webhook import tables
from webhook.web.live import MOST_OF_ONE
from webhook.web.sign_in import ENDED, Patience

PAGES = ["/", "/activity", "/trace/1", "/deliveries", "/setup"]


@pytest.mark.parametrize("path", PAGES)
def test_every_page_asks_for_the_sign_in(home: Household, path: str) -> None:
    answer = home.client().get(path)

    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/sign-in?next=")


def test_signing_in_leads_on(home: Household) -> None:
    home.password("me")
    fields = {"name": "me", "password": PASSWORD, "next": "/deliveries?state=dead"}

    answer = home.client().post("/sign-in", data=fields)

    assert answer.headers["location"] == "/deliveries?state=dead"
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Path=/" in cookie
    assert "Secure" not in cookie


def test_the_cookie_stays_on_https_where_that_is_the_address(opened: Open) -> None:
    home = opened(BASE_URL="https://watch.example")
    home.password("me")

    answer = home.client().post("/sign-in", data={"name": "me", "password": PASSWORD})

    assert "Secure" in answer.headers["set-cookie"]


@pytest.mark.parametrize(
    "onward", ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:x"]
)
def test_it_never_leads_to_another_site(home: Household, onward: str) -> None:
    home.password("me")

    answer = home.client().post("/sign-in", data={"name": "me", "password": PASSWORD, "next": onward})

    assert answer.headers["location"] == "/"


@pytest.mark.parametrize(
    "fields",
    [{}, {"name": "me"}, {"name": "me", "password": "wrong"}, {"name": "x\0y", "password": PASSWORD}],
)
def test_a_wrong_password_is_refused(home: Household, fields: dict[str, str]) -> None:
    home.password("me")

    answer = home.client().post("/sign-in", data=fields)

    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers


def test_nobody_without_a_password_gets_in(home: Household) -> None:
    assert home.client().post("/sign-in", data={"name": "me", "password": ""}).status_code == 401


def test_a_changed_password_signs_out(home: Household) -> None:
    browser = home.browser()
    assert browser.get("/").status_code == 200

    home.do(lambda connection: connection.execute(update(tables.person).values(password="other")))

    assert browser.get("/").status_code == 303


def test_a_session_ends_after_thirty_days(home: Household) -> None:
    browser = home.browser()

    with time_machine.travel(timedelta(days=31), tick=True):
        assert browser.get("/").status_code == 303


@pytest.mark.parametrize("cookie", ["x", "eyJwIjoxfQ.x.y", ".", "a" * 5000])
def test_a_forged_cookie_is_nobody(home: Household, cookie: str) -> None:
    assert home.client(cookies={"watchmark": cookie}).get("/").status_code == 303


def test_signing_out_ends_the_session(home: Household) -> None:
    browser = home.browser()
    token = form_token(browser.get("/").text)

    browser.post("/sign-out", data={"form_token": token})

    assert browser.get("/").status_code == 303


def test_a_kept_cookie_is_worth_nothing_after_the_sign_out(home: Household) -> None:
    browser, other = home.browser(), home.browser()
    kept = home.client(cookies=dict(browser.cookies))
    assert kept.get("/history").status_code == 200

    browser.post("/sign-out", data={"form_token": form_token(browser.get("/").text)})

    assert kept.get("/history").status_code == 303
    assert kept.get("/api/v1/plays").status_code == 401
    assert kept.get("/live").status_code == 401
    assert other.get("/history").status_code == 200  # signed in by itself


def test_an_ended_session_is_forgotten_when_it_would_be_over(home: Household) -> None:
    def sign_out() -> None:
        browser = home.browser()
        browser.post("/sign-out", data={"form_token": form_token(browser.get("/").text)})

    def ended() -> int:
        names = select(tables.note.c.name).where(tables.note.c.name.startswith(ENDED))
        return len(home.do(lambda connection: connection.execute(names).all()))

    sign_out()
    sign_out()
    assert ended() == 2

    with time_machine.travel(timedelta(days=31), tick=True):
        sign_out()
        assert ended() == 1


def test_an_open_stream_ends_with_its_session(home: Household) -> None:
    browser = home.browser()
    kept = home.client(cookies=dict(browser.cookies))

    with kept.stream("GET", "/live") as stream:
        told = stream.iter_text()
        assert "retry" in next(told)
        browser.post("/sign-out", data={"form_token": form_token(browser.get("/").text)})
        home.hear()

        assert "".join(told) == ""


def test_one_person_cannot_take_every_place_at_the_streams(home: Household) -> None:
    home.person("ben")
    browser, ben = home.browser(), home.browser("ben")

    with contextlib.ExitStack() as opened:

        def listening(listener: httpx.Client) -> int:
            stream = opened.enter_context(listener.stream("GET", "/live"))
            told.append(stream.iter_text())
            assert next(told[-1])
            return stream.status_code

        told: list[Iterator[str]] = []
        assert [listening(browser) for _ in range(MOST_OF_ONE)] == [200] * MOST_OF_ONE

        assert listening(browser) == 503
        assert listening(ben) == 200


def test_too_many_wrong_passwords_have_to_wait(home: Household) -> None:
    home.password("me")
    client = home.client()
    for _ in range(5):
        assert client.post("/sign-in", data={"name": "me", "password": "wrong"}).status_code == 401

    answer = client.post("/sign-in", data={"name": "me", "password": PASSWORD})

    assert answer.status_code == 429
    assert 0 < int(answer.headers["retry-after"]) <= 301


def test_patience_counts_names_and_addresses_and_forgets() -> None:
    patience = Patience(tries=2, window=60)
    name, here, there = ("name", "me"), ("address", "1"), ("address", "2")

    assert [patience.take(name, here), patience.take(name, there)] == [0, 0]
    assert patience.take(name, ("address", "3")) > 0
    assert patience.take(("name", "bob"), here) == 0
    patience.forget(name)
    assert patience.take(name, ("address", "4")) == 0


# --- the one-time link


def test_the_one_time_link_sets_the_password_once(home: Household) -> None:
    secret = home.welcome()
    browser = home.client()
    assert browser.get(f"/welcome/{secret}").status_code == 200
    fields = {"password": "long enough", "again": "long enough"}

    answer = browser.post(f"/welcome/{secret}", data=fields)

    assert answer.headers["location"] == "/wizard/source"
    assert browser.get("/wizard/source").status_code == 200
    assert home.client().get(f"/welcome/{secret}").status_code == 404
    assert home.client().post(f"/welcome/{secret}", data=fields).status_code == 404
    again = home.client().post("/sign-in", data={"name": "me", "password": "long enough"})
    assert again.status_code == 303


@pytest.mark.parametrize(("password", "again"), [("short", "short"), ("long enough", "different"), ("", "")])
def test_a_bad_choice_leaves_the_link_valid(home: Household, password: str, again: str) -> None:
    secret = home.welcome()

    answer = home.client().post(f"/welcome/{secret}", data={"password": password, "again": again})

    assert answer.status_code == 422
    assert home.client().get(f"/welcome/{secret}").status_code == 200


def test_a_password_too_long_is_called_too_long(home: Household) -> None:
    fields = dict.fromkeys(("password", "again"), "x" * 1025)

    page = home.client().post(f"/welcome/{home.welcome()}", data=fields)

    assert page.status_code == 422
    assert "at most 1024 characters" in page.text


def test_an_expired_or_wrong_link_says_what_to_do(home: Household) -> None:
    secret = home.welcome(timedelta(seconds=-1))

    for wrong in (secret, "nonsense"):
        answer = home.client().get(f"/welcome/{wrong}")
        assert answer.status_code == 404
        assert "watchmark people password NAME" in answer.text


# --- other sites


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ],
)
def test_a_form_of_another_site_is_refused(home: Household, headers: dict[str, str]) -> None:
    browser = home.browser()
    token = form_token(browser.get("/").text)
    home.hear()

    for path in ("/sign-out", "/trace/1/replay", "/deliveries/retry", "/needs-you/claim"):
        assert browser.post(path, data={"form_token": token}, headers=headers).status_code == 403
    sign_in = {"name": "me", "password": PASSWORD}
    assert home.client().post("/sign-in", data=sign_in, headers=headers).status_code == 403


def test_a_form_without_the_sessions_token_is_refused(home: Household) -> None:
    browser = home.browser()
    home.hear()
    other = form_token(home.browser().get("/").text)

    assert browser.post("/trace/1/replay").status_code == 403
    assert browser.post("/trace/1/replay", data={"form_token": other}).status_code == 403


def test_our_own_forms_are_taken(home: Household) -> None:
    browser = home.browser()
    token = form_token(browser.get("/").text)
    home.hear()

    for headers in ({"Origin": home.url}, {"Sec-Fetch-Site": "same-origin"}):
        assert browser.post("/trace/1/replay", data={"form_token": token}, headers=headers).status_code == 303


def test_a_link_on_another_site_leads_in_by_a_step_between(home: Household) -> None:
    answer = home.client().get("/deliveries?state=dead", headers={"Sec-Fetch-Site": "cross-site"})

    assert answer.status_code == 200
    assert 'url=/deliveries?state=dead&amp;arrived=1"' in answer.text
    again = home.client().get("/deliveries?arrived=1", headers={"Sec-Fetch-Site": "cross-site"})
    assert again.status_code == 303
