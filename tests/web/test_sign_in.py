"""The sign-in: sessions, the one-time link, guessing, and other sites."""

from __future__ import annotations

import contextlib
import hmac
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest
import time_machine
from sqlalchemy import select, update

from tests.web.conftest import PASSWORD, Household, Open, form_token
from webhook import clock
from webhook.network import throttle
from webhook.network.throttle import PACES, Pace
from webhook.people import sessions
from webhook.people.sessions import NewSession, SignInMethod
from webhook.storage import tables
from webhook.web.http.browsers import describe_browser
from webhook.web.http.live import MOST_OF_ONE
from webhook.web.http.sessions import Sessions
from webhook.web.visible import Visitor

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


def kept_sessions(home: Household) -> int:
    return len(home.do(lambda connection: connection.execute(select(tables.session.c.id)).all()))


def test_a_session_that_is_over_is_forgotten_at_the_next_sign_in(home: Household) -> None:
    home.browser()
    home.browser()
    assert kept_sessions(home) == 2

    with time_machine.travel(timedelta(days=31), tick=True):
        home.browser()
        assert kept_sessions(home) == 1


def test_a_person_has_so_many_sessions_and_the_oldest_gives_way(home: Household) -> None:
    def begin(number: int) -> None:
        new = NewSession(str(number), 1, SignInMethod.PASSWORD, "Firefox", "192.0.2.1")
        at = clock.now() + timedelta(seconds=number)
        home.do(lambda connection: sessions.add_session(connection, new, at))

    for number in range(sessions.MAX_SESSIONS + 3):
        begin(number)

    nonces = home.do(lambda connection: {*connection.execute(select(tables.session.c.nonce)).scalars()})
    assert nonces == {str(number) for number in range(3, sessions.MAX_SESSIONS + 3)}


FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:133.0) Gecko/20100101 Firefox/133.0"


@pytest.mark.parametrize(
    ("agent", "shown"),
    [
        (FIREFOX, "Firefox, Windows"),
        ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0 Safari/537.36", "Chrome, Linux"),
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/131.0 Safari/537.36 Edg/131.0", "Edge, Windows"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605 Version/18.1 Safari/604.1", "Safari, iPhone"),
        ("curl/8.5.0", "curl/8.5.0"),
        ("\x1b[31m" + "x" * 100, "[31m" + "x" * 56),
        ("", ""),
    ],
)  # fmt: skip
def test_a_browser_is_shown_by_its_name(agent: str, shown: str) -> None:
    assert describe_browser(agent) == shown


def test_a_person_sees_where_they_are_signed_in_and_signs_out_there(home: Household) -> None:
    home.person("anna")
    browser, other = home.browser("anna"), home.browser("anna")
    other.get("/", headers={"User-Agent": FIREFOX})
    listed = browser.get("/api/v1/sessions").json()["items"]
    assert [(one["person"], one["method"], one["address"]) for one in listed] == [
        ("anna", "password", "127.0.0.1")
    ] * 2
    assert sorted(one["current"] for one in listed) == [False, True]
    lost = next(one["id"] for one in listed if not one["current"])
    page = browser.get("/people/anna").text
    assert "this browser" in page

    browser.post(f"/sessions/{lost}/end", data={"form_token": form_token(page), "back": "/people/anna"})

    assert other.get("/").status_code == 303
    assert browser.get("/").status_code == 200


def test_all_other_browsers_are_signed_out_at_once(home: Household) -> None:
    home.person("anna")
    browser, others, owner = (
        home.browser("anna"),
        [home.browser("anna"), home.browser("anna")],
        home.browser(),
    )
    token = form_token(browser.get("/people/anna").text)

    browser.post("/people/anna/sessions/end", data={"form_token": token})

    assert [one.get("/").status_code for one in others] == [303, 303]
    assert (browser.get("/").status_code, owner.get("/").status_code) == (200, 200)


def test_nobody_ends_the_session_of_another_but_the_owner(home: Household) -> None:
    home.person("anna")
    home.person("ben")
    anna, ben, owner = home.browser("anna"), home.browser("ben"), home.browser()
    (mine,) = anna.get("/api/v1/sessions").json()["items"]
    assert len(owner.get("/api/v1/sessions").json()["items"]) == 3

    same = {"Sec-Fetch-Site": "same-origin"}
    assert ben.delete(f"/api/v1/sessions/{mine['id']}", headers=same).status_code == 404
    assert (
        ben.post(
            "/people/anna/sessions/end", data={"form_token": form_token(ben.get("/people/ben").text)}
        ).status_code
        == 404
    )
    assert anna.get("/").status_code == 200

    assert owner.delete(f"/api/v1/sessions/{mine['id']}", headers=same).status_code == 200
    assert anna.get("/").status_code == 303


def test_a_session_that_is_used_says_when_and_from_where(home: Household) -> None:
    browser = home.browser()
    (before,) = browser.get("/api/v1/sessions").json()["items"]

    with time_machine.travel(timedelta(hours=2), tick=True):
        browser.get("/", headers={"X-Forwarded-For": "203.0.113.7"})
        (after,) = browser.get("/api/v1/sessions").json()["items"]

    assert after["last_seen"] > before["last_seen"]
    assert after["address"] == "203.0.113.7"


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


# --- guessing

QUICK = {name: replace(pace, first=pace.first / 20, most=pace.most / 20) for name, pace in PACES.items()}
"""The paces of the throttle, twenty times as fast."""


def guess(browser: httpx.Client, password: str = "wrong") -> httpx.Response:
    return browser.post("/sign-in", data={"name": "me", "password": password})


def guesses(home: Household, count: int, **headers: str) -> list[int]:
    home.service.login_throttle.paces = QUICK
    home.password("me")
    stranger = home.client(headers=headers)
    return [guess(stranger).status_code for _ in range(count)]


def test_guessing_gets_slower_and_the_right_password_is_taken_all_the_same(home: Household) -> None:
    began = time.monotonic()

    assert guesses(home, 8) == [401] * 8
    assert time.monotonic() - began > 0.05 + 0.1 + 0.2
    assert guess(home.client(), PASSWORD).status_code == 303


def test_many_guesses_at_once_have_to_come_again(home: Household, monkeypatch: pytest.MonkeyPatch) -> None:
    home.password("me")
    home.service.login_throttle.paces = {**QUICK, "pair": Pace(free=0, first=600, most=600)}
    monkeypatch.setattr(throttle, "MAX_WAIT", 0.0)

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: guess(home.client()), range(3)))

    assert sorted(answer.status_code for answer in answers) == [401, 429, 429]
    held = max(answers, key=lambda answer: answer.status_code)
    assert 0 < int(held.headers["retry-after"]) <= 600
    assert "Too many tries" in held.text


def test_a_strangers_guesses_do_not_slow_another_address(home: Household) -> None:
    guesses(home, 5, **{"X-Forwarded-For": "203.0.113.1"})
    home.service.login_throttle.paces = {**QUICK, "pair": Pace(free=5, first=600, most=600)}

    assert guess(home.client(headers={"X-Forwarded-For": "203.0.113.1"}), PASSWORD).status_code == 429
    assert guess(home.client(headers={"X-Forwarded-For": "203.0.113.2"}), PASSWORD).status_code == 303


def test_a_browser_that_was_signed_in_before_is_not_slowed_by_others(home: Household) -> None:
    browser = home.browser()
    browser.post("/sign-out", data={"form_token": form_token(browser.get("/").text)})
    guesses(home, 5)
    home.service.login_throttle.paces = {**QUICK, "pair": Pace(free=5, first=600, most=600)}

    assert guess(home.client(), PASSWORD).status_code == 429
    assert guess(browser, PASSWORD).status_code == 303
    assert browser.get("/").status_code == 200


def test_an_open_session_is_never_slowed(home: Household) -> None:
    browser = home.browser()
    del browser.cookies["watchmark_device"]
    guesses(home, 5)
    home.service.login_throttle.paces = {**QUICK, "pair": Pace(free=5, first=600, most=600)}

    assert browser.get("/history").status_code == 200
    assert guess(browser, PASSWORD).status_code == 303


def test_a_known_browser_is_known_to_its_own_person_only(home: Household) -> None:
    home.person("ben")
    browser = home.browser("ben")
    guesses(home, 5)
    home.service.login_throttle.paces = {**QUICK, "pair": Pace(free=5, first=600, most=600)}

    assert guess(browser, PASSWORD).status_code == 429
    forged = home.client(cookies={"watchmark_device": "eyJwIjoxLCJuIjoieCJ9.x.y"})
    assert guess(forged, PASSWORD).status_code == 429


# --- the one-time link


def test_the_one_time_link_sets_the_password_once(home: Household) -> None:
    secret = home.welcome()
    browser = home.client()
    assert browser.get(f"/welcome/{secret}").status_code == 200
    fields = {"password": "long enough", "again": "long enough"}

    answer = browser.post(f"/welcome/{secret}", data=fields)

    assert answer.headers["location"] == "/start"
    assert browser.get("/start").status_code == 200
    assert home.client().get(f"/welcome/{secret}").status_code == 404
    assert home.client().post(f"/welcome/{secret}", data=fields).status_code == 404
    again = home.client().post("/sign-in", data={"name": "me", "password": "long enough"})
    assert again.status_code == 303


@pytest.mark.parametrize(("password", "again"), [("short", "short"), ("long enough", "different"), ("", "")])
def test_a_bad_choice_leaves_the_link_valid(home: Household, password: str, again: str) -> None:
    secret = home.welcome()

    fields = {"name": "Nora", "password": password, "again": again}

    answer = home.client().post(f"/welcome/{secret}", data=fields)

    assert answer.status_code == 422
    assert 'value="Nora"' in answer.text
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


@pytest.mark.parametrize("given", ["", "é" * 32, "\udcff", "0" * 32, "x" * 100_000])
def test_a_forms_token_is_compared_in_constant_time(
    home: Household, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    compared: list[tuple[bytes, bytes]] = []
    compare = hmac.compare_digest

    def watched(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return compare(one, other)

    sessions, visitor = Sessions(home.service), Visitor(person_id=1, name="me", session="nonce")
    monkeypatch.setattr(hmac, "compare_digest", watched)

    right, wrong = (sessions.is_form_token(visitor, one) for one in (sessions.form_token(visitor), given))

    assert (right, wrong) == (True, False)
    assert [one for one, _ in compared] == [sessions.form_token(visitor).encode()] * 2


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
