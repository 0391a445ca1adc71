"""Passkeys over HTTP: added with the password, signed in with, replayed, copied, lost and removed."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import Any

import httpx
import pytest
import time_machine
from sqlalchemy import func, select
from typer.testing import CliRunner

from tests.authenticator import Authenticator
from tests.web.conftest import PASSWORD, Household, Open, form_token
from webhook import cli, clock
from webhook.network.throttle import PACES, LoginThrottle, Pace
from webhook.people import second_factor
from webhook.people.passkeys import MAX_PASSKEYS
from webhook.storage import tables

ORIGIN = "http://localhost:8484"
ABROAD = {"Sec-Fetch-Site": "cross-site"}


@pytest.fixture
def home(opened: Open) -> Household:
    return opened(BASE_URL=ORIGIN)


def add(
    browser: httpx.Client, authenticator: Authenticator, name: str = "me", **fields: str
) -> httpx.Response:
    """Add a passkey as the page's script does, to the page of this person."""
    given = {"form_token": form_token(browser.get(f"/people/{name}").text), "known": PASSWORD, **fields}
    asked = browser.post(f"/people/{name}/passkeys/options", data=given)
    if asked.status_code != 200:
        return asked
    made = authenticator.create(asked.json())
    return browser.post(f"/people/{name}/passkeys", data={**given, "credential": made})


def passkey(home: Household, name: str = "me") -> Authenticator:
    """A passkey that this person has added."""
    authenticator = Authenticator(ORIGIN)
    assert add(home.browser(name), authenticator, name).status_code == 303
    return authenticator


def ask(browser: httpx.Client) -> dict[str, Any]:
    answer = browser.post("/sign-in/passkey/options")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def give(browser: httpx.Client, credential: str, onward: str = "", **options: Any) -> httpx.Response:
    fields = {"credential": credential, "next": onward}
    return browser.post("/sign-in/passkey", data=fields, **options)


def sign_in(browser: httpx.Client, authenticator: Authenticator, onward: str = "") -> httpx.Response:
    return give(browser, authenticator.get(ask(browser)), onward)


def said(answer: httpx.Response) -> str:
    found = re.search(r'<p class="wrong" role="alert">(.+?)</p>', answer.text)
    assert found, answer.text
    return unescape(found[1])


def passkeys(home: Household) -> int:
    wanted = select(func.count()).select_from(tables.passkey)
    return int(home.do(lambda connection: connection.execute(wanted).scalar_one()))


# --- signing in


def test_a_passkey_signs_its_person_in_and_leads_on(home: Household) -> None:
    home.person("anna")
    authenticator, browser = passkey(home, "anna"), home.client()
    assert "Sign in with a passkey" in browser.get("/sign-in").text

    answer = sign_in(browser, authenticator, "/history")

    assert (answer.status_code, answer.headers["location"]) == (303, "/history")
    page = browser.get("/people/anna").text
    assert "with a passkey" in page
    assert "last used" in page
    assert browser.get("/settings").status_code == 403


def test_it_stands_for_the_password_and_its_second_factor(home: Household) -> None:
    authenticator, browser = passkey(home), home.client()
    sealed = home.service.seal.seal("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")
    home.do(lambda connection: second_factor.enable(connection, 1, sealed, 0, clock.now()))

    assert sign_in(browser, authenticator).status_code == 303
    assert browser.get("/").status_code == 200


def test_it_leads_to_no_other_site(home: Household) -> None:
    assert sign_in(home.client(), passkey(home), "//evil.example").headers["location"] == "/"


def test_authenticators_that_do_not_count_sign_in_again_and_again(home: Household) -> None:
    authenticator = passkey(home)
    authenticator.counts = False

    assert [sign_in(home.client(), authenticator).status_code for _ in range(2)] == [303, 303]


def test_nobody_is_offered_passkeys_where_there_are_none(home: Household) -> None:
    page = home.client().get("/sign-in").text

    assert "passkey" not in page


@pytest.mark.parametrize(
    ("address", "why"),
    [("http://192.168.1.5:8484", "browsers take none for an IP address"), ("http://nas.lan", "need HTTPS")],
)
def test_where_there_can_be_none_the_pages_say_why(opened: Open, address: str, why: str) -> None:
    home = opened(BASE_URL=address)
    browser = home.browser()

    page = browser.get("/people/me").text
    assert why in page
    assert "data-passkey=" not in page
    assert home.client().post("/sign-in/passkey/options").status_code == 409
    answer = add(browser, Authenticator(address))
    assert answer.status_code == 409
    assert why in answer.json()["detail"]


# --- attacks


def test_an_answer_is_taken_once(home: Household) -> None:
    """Also where the authenticator does not count, and by nobody who has copied the browser's cookie."""
    authenticator, browser = passkey(home), home.client()
    authenticator.counts = False
    answer = authenticator.get(ask(browser))
    copied = home.client(cookies=dict(browser.cookies))
    assert give(browser, answer).status_code == 303

    again = give(copied, answer)

    assert (again.status_code, "was sent already" in said(again)) == (403, True)
    assert copied.get("/").status_code == 303


def test_a_challenge_is_used_up_by_a_wrong_answer(home: Household) -> None:
    authenticator, browser = passkey(home), home.client()
    options = ask(browser)
    cookies = dict(browser.cookies)

    assert "refused" in said(give(browser, authenticator.get(options, origin="http://evil.example")))
    assert "was sent already" in said(give(home.client(cookies=cookies), authenticator.get(options)))


def test_an_answer_counts_in_the_browser_that_asked_alone(home: Household) -> None:
    authenticator = passkey(home)
    answer, other = authenticator.get(ask(home.client())), home.client()

    assert "another tab" in said(give(other, answer))
    ask(other)
    assert "refused" in said(give(other, answer))


def test_an_answer_that_comes_too_late_is_refused(home: Household) -> None:
    authenticator, browser = passkey(home), home.client()
    answer = authenticator.get(ask(browser))

    with time_machine.travel(timedelta(minutes=6), tick=True):
        assert "longer than five minutes" in said(give(browser, answer))


def test_another_site_neither_asks_nor_answers(home: Household) -> None:
    authenticator, browser = passkey(home), home.client()
    assert browser.post("/sign-in/passkey/options", headers=ABROAD).status_code == 403
    answer = authenticator.get(ask(browser))

    assert give(browser, answer, headers=ABROAD).status_code == 403
    assert browser.get("/").status_code == 303


def test_a_copy_that_counts_fewer_uses_is_refused(home: Household) -> None:
    authenticator = passkey(home)
    assert sign_in(home.client(), authenticator).status_code == 303
    authenticator.count = 0

    assert "as a copy of it would" in said(sign_in(home.client(), authenticator))


@pytest.mark.parametrize("credential", ["", "x", "{}", '{"id": "AAAA"}', '{"id": "' + "A" * 2000 + '"}'])
def test_what_is_no_answer_signs_nobody_in(home: Household, credential: str) -> None:
    browser = home.client()
    ask(browser)

    assert give(browser, credential).status_code == 403


@pytest.mark.parametrize("cookie", ["", "x", "eyJjaGFsbGVuZ2UiOiJ4In0.x.y"])
def test_a_forged_challenge_counts_for_nothing(home: Household, cookie: str) -> None:
    browser = home.client(cookies={"watchmark_passkey": cookie})

    assert "Try again" in said(give(browser, passkey(home).get({"challenge": "AAAA"})))


def test_guessing_gets_slower_as_with_passwords(home: Household) -> None:
    home.service.login_throttle = LoginThrottle(paces={**PACES, "pair": Pace(2, 60.0, 60.0)})

    statuses = [give(home.client(), "x").status_code for _ in range(3)]

    assert statuses == [403, 403, 429]


# --- adding


def test_the_password_is_asked_for_before_the_authenticator(home: Household) -> None:
    answer = add(home.browser(), Authenticator(ORIGIN), known="wrong")

    assert answer.status_code == 422
    assert "current password is wrong" in answer.json()["detail"]


def test_a_passkey_has_the_name_it_was_given_or_that_of_the_browser(home: Household) -> None:
    browser = home.browser()
    browser.headers["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"

    add(browser, Authenticator(ORIGIN), name="me")
    page = browser.get("/people/me").text

    assert "<bdi>Firefox, Linux</bdi>" in page
    assert [one["name"] for one in browser.get("/api/v1/passkeys").json()["items"]] == ["Firefox, Linux"]


def test_a_passkey_is_made_in_the_session_that_asked(home: Household) -> None:
    """A challenge of one purpose or person is worth nothing for another."""
    home.person("anna")
    anna, owner = home.browser("anna"), home.browser()
    given = {"form_token": form_token(owner.get("/people/me").text), "known": PASSWORD}
    made = Authenticator(ORIGIN).create(owner.post("/people/me/passkeys/options", data=given).json())
    anna.cookies["watchmark_passkey"] = owner.cookies["watchmark_passkey"]
    hers = {"form_token": form_token(anna.get("/people/anna").text), "credential": made}

    assert "another tab" in said(anna.post("/people/anna/passkeys", data=hers))
    ask(owner)
    assert "another tab" in said(owner.post("/people/me/passkeys", data={**given, "credential": made}))
    assert passkeys(home) == 0


@pytest.mark.parametrize("credential", ["", "x", "{}", '{"id": "AAAA", "rawId": "AAAA"}'])
def test_what_is_no_passkey_is_not_kept(home: Household, credential: str) -> None:
    browser = home.browser()
    given = {"form_token": form_token(browser.get("/people/me").text), "known": PASSWORD}
    browser.post("/people/me/passkeys/options", data=given)

    answer = browser.post("/people/me/passkeys", data={**given, "credential": credential})

    assert (answer.status_code, passkeys(home)) == (422, 0)
    assert "is no passkey" in said(answer)


def test_a_passkey_of_somebody_is_not_anothers_as_well(home: Household) -> None:
    home.person("anna")
    authenticator = passkey(home)

    assert "registered already" in said(add(home.browser("anna"), authenticator, "anna"))


def test_a_person_has_so_many_passkeys(home: Household) -> None:
    browser = home.browser()
    statuses = [add(browser, Authenticator(ORIGIN)).status_code for _ in range(MAX_PASSKEYS + 1)]

    assert statuses == [303] * MAX_PASSKEYS + [422]


def test_nobody_adds_a_passkey_for_another(home: Household) -> None:
    home.person("anna")
    owner = home.browser()
    given = {"form_token": form_token(owner.get("/people/anna").text), "known": PASSWORD}

    assert owner.post("/people/anna/passkeys/options", data=given).status_code == 403
    assert owner.post("/people/anna/passkeys", data=given).status_code == 403
    assert owner.post("/people/me/passkeys/options", data=given, headers=ABROAD).status_code == 403
    assert owner.post("/people/me/passkeys/options", data={"known": PASSWORD}).status_code == 403


# --- renamed


def rename(browser: httpx.Client, person: str, name: str) -> httpx.Response:
    token = {"form_token": form_token(browser.get(f"/people/{person}").text), "back": f"/people/{person}"}
    return browser.post("/passkeys/1/name", data={**token, "name": name})


def listed(home: Household) -> list[str]:
    return [one["name"] for one in home.api().get("/api/v1/passkeys").json()["items"]]


def test_a_passkey_is_renamed_on_the_page_and_by_the_api_and_still_signs_in(home: Household) -> None:
    authenticator = passkey(home)

    on_page = rename(home.browser(), "me", "  Alarm <phone> ")
    shown = home.browser().get("/people/me").text
    by_api = home.api().patch("/api/v1/passkeys/1", json={"name": "Key ring"})

    assert (on_page.status_code, on_page.headers["location"]) == (303, "/people/me?said=saved")
    assert "<bdi>Alarm &lt;phone&gt;</bdi>" in shown
    assert (by_api.status_code, by_api.json()["name"], listed(home)) == (200, "Key ring", ["Key ring"])
    assert sign_in(home.client(), authenticator).status_code == 303


@pytest.mark.parametrize("name", ["", "   ", "x" * 101, "two\nlines", "\u202eleft"])
def test_a_name_that_tells_nothing_is_refused_and_the_old_one_stays(home: Household, name: str) -> None:
    add(home.browser(), Authenticator(ORIGIN), name="me")
    before = listed(home)

    on_page, by_api = (
        rename(home.browser(), "me", name),
        home.api().patch("/api/v1/passkeys/1", json={"name": name}),
    )

    assert (on_page.status_code, by_api.status_code) == (422, 422)
    assert "1 to 100 characters, all of them printable" in on_page.text
    assert "1 to 100 characters, all of them printable" in by_api.json()["detail"]
    assert listed(home) == before


def test_the_owner_renames_a_members_and_no_member_anothers(home: Household) -> None:
    home.person("anna")
    ben = home.person("ben")
    passkey(home, "anna")

    assert rename(home.browser("ben"), "ben", "mine").status_code == 404
    assert home.api(ben).patch("/api/v1/passkeys/1", json={"name": "mine"}).status_code == 404
    assert rename(home.browser(), "anna", "Alarm").status_code == 303
    assert rename(home.browser("anna"), "anna", "Mine").status_code == 303
    assert listed(home) == ["Mine"]


# --- lost


def remove(browser: httpx.Client, name: str) -> httpx.Response:
    token = {"form_token": form_token(browser.get(f"/people/{name}").text), "back": f"/people/{name}"}
    return browser.post("/passkeys/1/remove", data=token)


def test_a_removed_passkey_signs_nobody_in_and_ends_what_it_began(home: Household) -> None:
    authenticator, lost = passkey(home), home.client()
    sign_in(lost, authenticator)

    assert remove(home.browser(), "me").status_code == 303

    assert lost.get("/").status_code == 303
    assert "refused" in said(sign_in(home.client(), authenticator))
    assert home.browser().get("/").status_code == 200


def test_who_removes_their_own_stays_signed_in_here(home: Household) -> None:
    browser = home.client()
    sign_in(browser, passkey(home))

    remove(browser, "me")

    assert browser.get("/").status_code == 200


def test_the_owner_removes_a_members_and_no_member_anothers(home: Household) -> None:
    for name in ("anna", "ben"):
        home.person(name)
    passkey(home, "anna")
    assert home.browser("ben").get("/api/v1/passkeys").json()["items"] == []

    assert remove(home.browser("ben"), "ben").status_code == 404
    assert remove(home.browser(), "anna").status_code == 303
    assert passkeys(home) == 0


def test_a_command_removes_them_for_who_lost_a_device(
    home: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = home.client()
    sign_in(browser, passkey(home))
    monkeypatch.setenv("DATA_DIR", str(home.service.settings.data_dir))

    said = [CliRunner().invoke(cli.app, ["people", "remove-passkeys", "me"]).output for _ in range(2)]

    assert said == ["1 passkey of me removed.\n", "me has no passkey.\n"]
    assert browser.get("/").status_code == 303
