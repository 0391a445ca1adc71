"""The second factor: set up with an app, asked for beside the password, guessed slowly, and lost."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

import httpx
import pyotp
import pytest
import time_machine
from typer.testing import CliRunner

from tests.web.conftest import PASSWORD, Household, form_token
from webhook import cli, clock
from webhook.network.throttle import PACES, LoginThrottle, Throttled
from webhook.people import passwords, second_factor

SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


def code(ahead: float = 0.0, secret: str = SECRET) -> str:
    """The code that the app shows, so many seconds from now."""
    return pyotp.TOTP(secret).at(clock.now() + timedelta(seconds=ahead))


def enable(home: Household, person_id: int = 1) -> list[str]:
    """A second factor whose code was not used yet; the recovery codes."""
    sealed = home.service.seal.seal(SECRET)
    return list(
        home.do(lambda connection: second_factor.enable(connection, person_id, sealed, 0, clock.now()))
    )


def give_password(home: Household, browser: httpx.Client, name: str = "me", onward: str = "") -> str:
    """What the form for the code carries, after the right password."""
    home.password(name)
    answer = browser.post("/sign-in", data={"name": name, "password": PASSWORD, "next": onward})
    assert answer.status_code == 200
    assert "watchmark=" not in answer.headers.get("set-cookie", "")
    found = re.search(r'name="begun" value="([^"]+)"', answer.text)
    assert found
    return found[1]


def give_code(browser: httpx.Client, begun: str, given: str) -> httpx.Response:
    return browser.post("/sign-in/code", data={"begun": begun, "code": given})


# --- signing in


def test_a_password_needs_a_code_beside_it(home: Household) -> None:
    enable(home)
    browser = home.client()
    begun = give_password(home, browser, onward="/history")
    assert browser.get("/history").status_code == 303

    answer = give_code(browser, begun, f"{code()[:3]} {code()[3:]}")

    assert (answer.status_code, answer.headers["location"]) == (303, "/history")
    assert browser.get("/history").status_code == 200


def test_without_one_the_password_is_enough(home: Household) -> None:
    assert home.browser().get("/").status_code == 200


@pytest.mark.parametrize("given", ["", "000000", "12345", "x" * 500, "\0", "é²", "1-2"])
def test_a_wrong_code_lets_nobody_in(home: Household, given: str) -> None:
    enable(home)
    browser = home.client()

    answer = give_code(browser, give_password(home, browser), given)

    assert answer.status_code == 401
    assert "Wrong code." in answer.text
    assert browser.get("/").status_code == 303


@pytest.mark.parametrize(("ahead", "status"), [(-30, 303), (0, 303), (30, 303), (-90, 401), (90, 401)])
def test_a_clock_may_be_half_a_minute_off(home: Household, ahead: float, status: int) -> None:
    enable(home)
    browser = home.client()

    assert give_code(browser, give_password(home, browser), code(ahead)).status_code == status


def test_a_code_is_taken_once_and_no_older_one_after_it(home: Household) -> None:
    enable(home)
    browser, other = home.client(), home.client()
    now = code()
    assert give_code(browser, give_password(home, browser), now).status_code == 303

    begun = give_password(home, other)

    assert [give_code(other, begun, given).status_code for given in (now, code(-30))] == [401, 401]


def test_a_recovery_code_lets_in_once(home: Household) -> None:
    first, second, *_ = enable(home)
    browser = home.client()
    begun = give_password(home, browser)

    statuses = [
        give_code(home.client(), begun, given).status_code for given in (first, first, second.upper())
    ]

    assert statuses == [303, 401, 303]


def test_a_code_is_worth_nothing_without_the_password(home: Household) -> None:
    enable(home)
    anna = home.person("anna")
    enable(home, anna)
    begun = give_password(home, home.client(), "anna")
    home.password("me")

    said, stamp, signature = begun.rsplit(".", 2)
    for forged in ("", "x", f"{said}.{stamp}.{signature[::-1]}", f"{said[1:]}.{stamp}.{signature}"):
        assert give_code(home.client(), forged, code()).status_code == 403
    answer = give_code(browser := home.client(), begun, code())
    assert answer.status_code == 303
    assert browser.get("/people/anna").status_code == 200
    assert browser.get("/settings").status_code == 403


def test_the_code_has_to_come_within_minutes_and_before_the_password_changes(home: Household) -> None:
    enable(home)
    begun = give_password(home, home.client())

    with time_machine.travel(timedelta(minutes=6), tick=True):
        assert give_code(home.client(), begun, code()).status_code == 403
    begun = give_password(home, home.client())
    home.do(lambda connection: passwords.set_password(connection, 1, "another"))
    assert give_code(home.client(), begun, code()).status_code == 403


def test_another_site_gives_no_code(home: Household) -> None:
    enable(home)
    browser = home.client()
    fields = {"begun": give_password(home, browser), "code": code()}

    answer = browser.post("/sign-in/code", data=fields, headers={"Sec-Fetch-Site": "cross-site"})

    assert answer.status_code == 403


def test_it_leads_to_no_other_site(home: Household) -> None:
    enable(home)
    browser = home.client()

    answer = give_code(browser, give_password(home, browser, onward="//evil.example"), code())

    assert answer.headers["location"] == "/"


def test_a_one_time_link_still_asks_for_the_code(home: Household) -> None:
    """The link is for a forgotten password; who has found it has no code."""
    enable(home)
    browser = home.client()
    fields = {"password": "a new password", "again": "a new password"}

    answer = browser.post(f"/welcome/{home.welcome()}", data=fields)

    assert answer.status_code == 200
    assert "Enter the code" in answer.text
    assert browser.get("/").status_code == 303


# --- guessing


@pytest.mark.unit
def test_whoever_knows_the_password_guesses_a_thousand_codes_a_day_at_most() -> None:
    now = [0.0]
    throttle = LoginThrottle(paces={"code": PACES["code"]}, clock=lambda: now[0])
    made = 0
    while now[0] < 86_400:
        try:
            now[0] += throttle.reserve([("code", "1")])
            made += 1
        except Throttled as error:
            now[0] += error.seconds

    assert made < 1500


def test_the_right_password_forgives_no_wrong_code(home: Household) -> None:
    enable(home)
    quick = {**PACES, "code": PACES["code"].__class__(3, 60.0, 60.0)}
    home.service.login_throttle = LoginThrottle(paces=quick)
    statuses = []
    for _ in range(4):
        browser = home.client()
        statuses.append(give_code(browser, give_password(home, browser), "000000").status_code)

    assert statuses == [401, 401, 401, 429]
    begun = give_password(home, home.client())
    answer = give_code(home.client(), begun, code())
    assert answer.status_code == 429
    assert answer.headers["retry-after"]


# --- set up and turned off


def set_up(browser: httpx.Client, given: Callable[[str], str], known: str = PASSWORD) -> httpx.Response:
    page = browser.get("/people/me/second-factor").text
    fields = dict(re.findall(r'name="(form_token|pending)" value="([^"]+)"', page))
    found = re.search(r"<code>([A-Z2-7]{32})</code>", page)
    assert found
    return browser.post("/people/me/second-factor", data={**fields, "code": given(found[1]), "known": known})


def test_it_is_on_once_the_app_has_shown_its_code(home: Household) -> None:
    browser = home.browser()

    answer = set_up(browser, lambda secret: code(secret=secret))

    recovery = re.findall(r"\b(?:[0-9a-f]{4}-){3}[0-9a-f]{4}\b", answer.text)
    assert len({*recovery}) == second_factor.RECOVERY_CODES
    assert "second factor on" in browser.get("/people/me").text
    assert give_code(home.client(), give_password(home, home.client()), recovery[0]).status_code == 303


@pytest.mark.parametrize(
    ("given", "known", "said"),
    [("000000", PASSWORD, "Wrong code"), (None, "wrong", "current password is wrong")],
)
def test_it_stays_off_without_the_code_and_the_password(
    home: Household, given: str | None, known: str, said: str
) -> None:
    answer = set_up(home.browser(), lambda secret: given or code(secret=secret), known)

    assert answer.status_code == 422
    assert said in answer.text
    assert home.browser().get("/").status_code == 200


def test_nobody_sets_up_that_of_another_or_with_a_forged_secret(home: Household) -> None:
    home.person("anna")
    anna, owner = home.browser("anna"), home.browser()
    token = form_token(anna.get("/people/anna").text)
    other = home.service.seal.seal({"use": "something else", "person": 2, "secret": SECRET})
    mine = home.service.seal.seal({"use": "second factor", "person": 1, "secret": SECRET})

    assert owner.get("/people/anna/second-factor").status_code == 403
    for pending in ("", "x", other, mine):
        fields = {"form_token": token, "pending": pending, "code": code(), "known": PASSWORD}
        assert anna.post("/people/anna/second-factor", data=fields).status_code == 422


def test_one_turns_it_off_with_a_code(home: Household) -> None:
    browser = home.browser()
    first, *_ = enable(home)
    fields = {"form_token": form_token(browser.get("/people/me").text)}

    assert browser.post("/people/me/second-factor/off", data={**fields, "code": "000000"}).status_code == 422
    assert browser.post("/people/me/second-factor/off", data={**fields, "code": first}).status_code == 303
    assert home.browser().get("/").status_code == 200


def test_the_owner_turns_it_off_for_a_member_and_no_member_for_another(home: Household) -> None:
    anna = home.person("anna")
    home.person("ben")
    enable(home, anna)
    ben, owner = home.browser("ben"), home.browser()
    path = "/people/anna/second-factor/off"

    assert ben.post(path, data={"form_token": form_token(ben.get("/people/ben").text)}).status_code == 404
    assert (
        owner.post(path, data={"form_token": form_token(owner.get("/people/anna").text)}).status_code == 303
    )
    assert home.browser("anna").get("/people/anna").status_code == 200


def test_a_command_turns_it_off_for_who_is_locked_out(
    home: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    enable(home)
    monkeypatch.setenv("DATA_DIR", str(home.service.settings.data_dir))

    said = [CliRunner().invoke(cli.app, ["people", "reset-second-factor", "me"]).output for _ in range(2)]

    assert "signs in with the password alone now" in said[0]
    assert "has no second factor" in said[1]
    assert home.browser().get("/").status_code == 200


# --- other doors


def test_apps_need_an_app_password_then(home: Household) -> None:
    """The TV Time API asks for no code, so the password alone opens it no more, and what it opened before is shut."""
    home.password("me")
    apps, signing_in = home.client(), {"username": "me", "password": PASSWORD}
    assert apps.post("/tvtime/login", data=signing_in).status_code == 200
    assert apps.get("/tvtime/shows").status_code == 200

    enable(home)

    assert apps.get("/tvtime/shows").status_code == 401
    assert home.client().post("/tvtime/login", data=signing_in).status_code == 401
    made = {"username": "me", "password": home.token("app", 1)}
    assert home.client().post("/tvtime/login", data=made).status_code == 200
