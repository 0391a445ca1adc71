"""Behind a reverse proxy: the sender, the scheme and the host are the visitor's, and nobody else can claim them."""

from __future__ import annotations

import json

import httpx
import pytest

from tests.web.conftest import PASSWORD, Household, Open, form_token

PASSED_ON = {
    "X-Forwarded-For": "203.0.113.7",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "watch.example",
}


def sign_in(home: Household, headers: dict[str, str]) -> httpx.Response:
    home.password("me")
    return home.client(headers=headers).post("/sign-in", data={"name": "me", "password": PASSWORD})


def addresses(home: Household, headers: dict[str, str]) -> set[str]:
    found = home.api().get("/api/v1/urls", headers=headers).json()
    return {httpx.URL(one["url"]).host for one in found["items"]}


def test_cookies_stay_on_https_where_the_visitor_came_by_it(home: Household) -> None:
    assert "Secure" in sign_in(home, PASSED_ON).headers["set-cookie"]
    assert "Secure" not in sign_in(home, {}).headers["set-cookie"]


def test_addresses_are_those_that_the_visitor_sees(home: Household) -> None:
    assert addresses(home, PASSED_ON) == {"watch.example"}
    assert addresses(home, {"Forwarded": "for=203.0.113.7;host=watch.example;proto=https"}) == {
        "watch.example"
    }


def test_a_form_of_the_page_that_the_visitor_sees_is_taken(home: Household) -> None:
    home.password("me")
    browser = home.client(headers={**PASSED_ON, "Origin": "https://watch.example"})

    assert browser.post("/sign-in", data={"name": "me", "password": PASSWORD}).status_code == 303
    browser.cookies.update(dict(home.browser().cookies))
    token = form_token(browser.get("/").text)
    assert browser.post("/sign-out", data={"form_token": token}).status_code == 303


def test_who_was_turned_away_is_shown_by_their_own_address(home: Household) -> None:
    home.client().post("/webhooks/plex/wrong", headers=PASSED_ON, content=json.dumps({}))

    assert "203.0.113.7" in home.browser().get("/setup").text


@pytest.mark.parametrize("trusted", ["none", "192.0.2.0/24"])
def test_what_others_say_of_themselves_counts_for_nothing(opened: Open, trusted: str) -> None:
    home = opened(TRUSTED_PROXIES=trusted)

    assert "Secure" not in sign_in(home, PASSED_ON).headers["set-cookie"]
    assert addresses(home, PASSED_ON) == {"127.0.0.1"}
    assert sign_in(home, {**PASSED_ON, "Origin": "https://watch.example"}).status_code == 403
    home.client().post("/webhooks/plex/wrong", headers=PASSED_ON, content=json.dumps({}))
    assert "203.0.113.7" not in home.browser().get("/setup").text
