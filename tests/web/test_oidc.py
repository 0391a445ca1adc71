"""Sign-in at an OpenID provider: with a real one out of a package, and what the household makes of its users."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import time_machine
from sqlalchemy import select
from werkzeug.wrappers import Request as ProviderRequest

from tests.web.conftest import Household, Open, form_token
from webhook import clock
from webhook.network.throttle import PACES, LoginThrottle, Pace
from webhook.people import oidc_users
from webhook.people.oidc_users import OidcUser
from webhook.storage import tables

with warnings.catch_warnings():
    import authlib.deprecate  # noqa: F401 - it has its warnings shown always

    warnings.simplefilter("ignore")  # of authlib, whose older parts it is made of
    import oidc_provider_mock  # type: ignore[import-untyped]
    from oidc_provider_mock._server import _threaded_server  # type: ignore[import-untyped]

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

ABROAD = {"Sec-Fetch-Site": "cross-site"}
"""What a browser says of a request to which another site has led."""


class Provider:
    """The provider, and the challenges and verifiers that it was sent, which it does not compare itself."""

    def __init__(self) -> None:
        self.issuer = ""
        self.app = oidc_provider_mock.app(require_nonce=True, access_token_max_age=timedelta(minutes=5))
        self.challenges: list[str] = []
        self.verifiers: list[str] = []
        self.people = httpx.Client()

    def __call__(self, environ: Any, start_response: Any) -> Any:
        request = ProviderRequest(environ)
        if request.path == "/oauth2/authorize":
            self.challenges.append(request.args["code_challenge"])
        if request.path == "/oauth2/token":
            body = environ["wsgi.input"].read(request.content_length)
            environ["wsgi.input"] = io.BytesIO(body)
            self.verifiers.append(parse_qs(body.decode())["code_verifier"][0])
        return self.app(environ, start_response)

    def agree(self, address: str, subject: str) -> str:
        """Sign in there as this user; the address that the provider leads back to."""
        answer = self.people.post(address, data={"sub": subject})
        assert answer.status_code == 302, answer.text
        return answer.headers["location"]


@contextmanager
def providing() -> Iterator[Provider]:
    provider = Provider()
    with _threaded_server(provider, poll_interval=0.01) as server, provider.people:
        provider.issuer = f"http://localhost:{server.server_port}"
        yield provider


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with providing() as running:
        for subject, claims in {
            "sub-anna": {"preferred_username": "anna"},
            "sub-ben": {"preferred_username": "ben"},
        }.items():
            running.people.put(f"{running.issuer}/users/{subject}", json=claims).raise_for_status()
        yield running


@pytest.fixture
def home(opened: Open, provider: Provider) -> Household:
    return opened(
        OIDC_ISSUER=provider.issuer, OIDC_CLIENT_ID="watchmark", OIDC_CLIENT_SECRET="s", OIDC_NAME="Authelia"
    )


@pytest.fixture
def claiming(opened: Open, provider: Provider) -> Household:
    """A household in which a claim names the person."""
    return opened(
        OIDC_ISSUER=provider.issuer,
        OIDC_CLIENT_ID="watchmark",
        OIDC_CLIENT_SECRET="s",
        OIDC_PERSON_CLAIM="preferred_username",
    )


def go(browser: httpx.Client, onward: str = "") -> str:
    """Set off for the provider; the address there."""
    answer = browser.get("/sign-in/oidc", params={"next": onward} if onward else {})
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def sign_in(browser: httpx.Client, provider: Provider, subject: str, onward: str = "") -> httpx.Response:
    return browser.get(provider.agree(go(browser, onward), subject), headers=ABROAD)


def link(home: Household, provider: Provider, subject: str, person_id: int) -> None:
    user = OidcUser(provider.issuer, subject, subject)
    home.do(lambda connection: oidc_users.link_user(connection, user, person_id, clock.now()))


def linked(home: Household) -> dict[str, int | None]:
    wanted = select(tables.oidc_user.c.subject, tables.oidc_user.c.person_id)
    return dict(home.do(lambda connection: [tuple(row) for row in connection.execute(wanted)]))


def leads_to(answer: httpx.Response) -> str:
    found = re.search(r'http-equiv="refresh" content="0; url=([^"]+)"', answer.text)
    assert found, answer.text
    return unescape(found[1])


def who(browser: httpx.Client) -> str | None:
    """Whose page `/` is, or None for the sign-in."""
    found = re.search(r'href="/people/([^"/]+)"', browser.get("/").text)
    return found and found[1]


def said(answer: httpx.Response) -> str:
    found = re.search(r'<p class="wrong" role="alert">(.*?)</p>', answer.text)
    assert found, answer.text
    return unescape(found[1])


# --- signing in


def test_a_linked_user_is_signed_in_and_led_on(home: Household, provider: Provider) -> None:
    link(home, provider, "sub-anna", home.person("anna"))
    browser = home.client()
    assert 'href="/sign-in/oidc"' in browser.get("/sign-in").text

    answer = sign_in(browser, provider, "sub-anna", "/history?kind=movie")

    assert (answer.status_code, leads_to(answer)) == (200, "/history?kind=movie")
    assert "SameSite=strict" in next(
        one for one in answer.headers.get_list("set-cookie") if "watchmark=" in one
    )
    assert browser.get("/history?kind=movie").status_code == 200
    assert browser.get("/people/anna").status_code == 200
    assert browser.get("/settings").status_code == 403


def test_the_provider_gets_the_verifier_of_its_challenge(home: Household, provider: Provider) -> None:
    sign_in(home.client(), provider, "sub-anna")

    digest = hashlib.sha256(provider.verifiers[-1].encode()).digest()
    assert provider.challenges[-1] == base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def test_the_provider_leads_back_to_the_address_that_people_see(opened: Open, provider: Provider) -> None:
    home = opened(
        OIDC_ISSUER=provider.issuer, OIDC_CLIENT_ID="w", BASE_URL="https://watch.example/w", ROOT_PATH="/w"
    )
    answer = home.client().get("/w/sign-in/oidc")

    query = parse_qs(urlsplit(answer.headers["location"]).query)
    assert query["redirect_uri"] == ["https://watch.example/w/sign-in/oidc/callback"]
    cookie = answer.headers["set-cookie"]
    assert {"HttpOnly", "Secure", "SameSite=lax", "Path=/w/sign-in/oidc"} <= {*cookie.split("; ")}


def test_a_new_session_begins_with_each_sign_in(home: Household, provider: Provider) -> None:
    """No session that somebody else has put into the browser before becomes that of who signs in."""
    link(home, provider, "sub-anna", home.person("anna"))
    planted = dict(home.browser("anna").cookies)["watchmark"]
    browser = home.client(cookies={"watchmark": planted})

    sign_in(browser, provider, "sub-anna")

    mine = [cookie.value for cookie in browser.cookies.jar if cookie.name == "watchmark" and cookie.domain]
    assert planted not in mine


def test_without_a_provider_there_is_nothing_to_sign_in_at(opened: Open) -> None:
    home = opened()

    assert "/sign-in/oidc" not in home.client().get("/sign-in").text
    assert home.client().get("/sign-in/oidc").status_code == 404
    assert home.client().get("/sign-in/oidc/callback?code=x&state=y").status_code == 404


def test_a_provider_that_is_down_is_said_on_the_sign_in(opened: Open) -> None:
    home = opened(OIDC_ISSUER="http://127.0.0.1:1", OIDC_CLIENT_ID="w", OIDC_NAME="Authelia")

    answer = home.client().get("/sign-in/oidc")

    assert answer.status_code == 403
    assert said(answer).startswith("Authelia cannot be reached")
    assert home.browser().get("/").status_code == 200


def test_who_does_not_agree_at_the_provider_is_told(home: Household, provider: Provider) -> None:
    browser = home.client()
    answer = provider.people.post(go(browser), data={"action": "deny"})

    back = urlsplit(answer.headers["location"])._replace(scheme="", netloc="").geturl()
    state = parse_qs(urlsplit(str(answer.request.url)).query)["state"][0]
    refused = browser.get(f"{back}{'' if 'state=' in back else f'&state={state}'}", headers=ABROAD)

    assert said(refused) == "Authelia did not sign you in: access_denied."


# --- attacks


@pytest.mark.parametrize(
    "onward", ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:x"]
)
def test_it_leads_to_no_other_site(home: Household, provider: Provider, onward: str) -> None:
    link(home, provider, "sub-anna", home.person("anna"))

    assert leads_to(sign_in(home.client(), provider, "sub-anna", onward)) == "/"


def test_an_answer_to_a_sign_in_of_another_browser_is_refused(home: Household, provider: Provider) -> None:
    """Nobody is signed in as an attacker who sends them the address that the provider led the attacker back to."""
    link(home, provider, "sub-ben", home.person("ben"))
    address, victim = provider.agree(go(home.client()), "sub-ben"), home.client()
    assert "was started elsewhere" in said(victim.get(address, headers=ABROAD))

    go(victim)

    assert "another sign-in" in said(victim.get(address, headers=ABROAD))
    assert who(victim) is None


def test_an_answer_is_taken_once(home: Household, provider: Provider) -> None:
    link(home, provider, "sub-anna", home.person("anna"))
    browser = home.client()
    address = provider.agree(go(browser), "sub-anna")
    copied = home.client(cookies=dict(browser.cookies))
    browser.get(address, headers=ABROAD)

    asked = len(provider.verifiers)
    assert "used already" in said(browser.get(address, headers=ABROAD))
    assert "used already" in said(copied.get(address, headers=ABROAD))
    assert len(provider.verifiers) == asked


def test_an_answer_that_comes_too_late_is_refused(home: Household, provider: Provider) -> None:
    browser = home.client()
    address = provider.agree(go(browser), "sub-anna")

    with time_machine.travel(timedelta(minutes=11), tick=True):
        assert "older than ten minutes" in said(browser.get(address, headers=ABROAD))


@pytest.mark.parametrize("cookie", ["", "x", "eyJzdGF0ZSI6IngifQ.x.y"])
def test_a_forged_cookie_begins_nothing(home: Household, cookie: str) -> None:
    browser = home.client(cookies={"watchmark_oidc": cookie})

    assert browser.get("/sign-in/oidc/callback?code=x&state=x").status_code == 403


def test_codes_are_not_guessed_without_end(home: Household, provider: Provider) -> None:
    """Each wrong code has the provider asked, so an address that sends many has to wait, like one that guesses passwords."""
    home.service.login_throttle = LoginThrottle(paces={**PACES, "pair": Pace(2, 60.0, 60.0)})

    def guess() -> httpx.Response:
        browser = home.client()
        state = parse_qs(urlsplit(go(browser)).query)["state"][0]
        return browser.get(f"/sign-in/oidc/callback?code=x&state={state}", headers=ABROAD)

    assert [said(guess()) for _ in range(2)] == ["Authelia refused: invalid_grant."] * 2
    asked = len(provider.verifiers)
    assert "Too many tries" in said(guess())
    assert len(provider.verifiers) == asked


# --- who somebody is


def test_an_unknown_user_waits_for_the_owner(home: Household, provider: Provider) -> None:
    anna, browser = home.person("anna"), home.client()

    assert "signed in as anna, but nobody here is linked" in said(sign_in(browser, provider, "sub-anna"))
    assert who(browser) is None
    owner = home.browser()
    page = owner.get("/people").text
    (user,) = owner.get("/api/v1/oidc-users").json()["items"]
    assert (user["label"], user["person"]) == ("anna", None)
    owner.post(f"/oidc-users/{user['id']}/link", data={"form_token": form_token(page), "person": "anna"})

    assert linked(home) == {"sub-anna": anna}
    assert leads_to(sign_in(browser, provider, "sub-anna")) == "/"
    assert browser.get("/people/anna").status_code == 200


def test_a_name_at_the_provider_is_nobodys_here_by_itself(home: Household, provider: Provider) -> None:
    home.person("anna")

    assert "nobody here is linked" in said(sign_in(home.client(), provider, "sub-anna"))


def test_a_claim_names_the_person_where_the_settings_say_so(claiming: Household, provider: Provider) -> None:
    anna, browser = claiming.person("anna"), claiming.client()

    sign_in(browser, provider, "sub-anna")

    assert browser.get("/people/anna").status_code == 200
    assert linked(claiming) == {"sub-anna": anna}


def test_a_claim_makes_nobody_a_person_that_another_user_is(claiming: Household, provider: Provider) -> None:
    anna, browser = claiming.person("anna"), claiming.client()
    link(claiming, provider, "sub-of-the-real-anna", anna)

    assert "nobody here is linked" in said(sign_in(browser, provider, "sub-anna"))
    assert linked(claiming) == {"sub-of-the-real-anna": anna, "sub-anna": None}


def test_a_link_outlasts_what_the_claim_says_later(claiming: Household, provider: Provider) -> None:
    anna, browser = claiming.person("anna"), claiming.client()
    claiming.person("ben")
    link(claiming, provider, "sub-ben", anna)

    sign_in(browser, provider, "sub-ben")

    assert browser.get("/people/anna").status_code == 200
    assert browser.get("/people/ben").status_code == 404


def test_a_user_of_another_provider_with_the_same_subject_is_nobody(
    home: Household, provider: Provider
) -> None:
    user = OidcUser("https://other.example", "sub-anna", "anna")
    anna = home.person("anna")
    home.do(lambda connection: oidc_users.link_user(connection, user, anna, clock.now()))

    assert "nobody here is linked" in said(sign_in(home.client(), provider, "sub-anna"))


# --- linking one's own


def test_a_person_links_their_own_user(home: Household, provider: Provider) -> None:
    anna = home.person("anna")
    browser = home.browser("anna")
    page = browser.get("/people/anna").text

    there = leads_to(browser.post("/people/anna/oidc", data={"form_token": form_token(page)}))
    # the answer comes from another site, so that the strict cookie of the session stays behind
    without = home.client(cookies={"watchmark_oidc": browser.cookies["watchmark_oidc"]})
    answer = without.get(provider.agree(there, "sub-anna"), headers=ABROAD)

    assert leads_to(answer) == "/people/anna?said=linked"
    assert linked(home) == {"sub-anna": anna}
    assert "Signs in as" in browser.get("/people/anna").text


def test_a_user_who_is_somebody_is_not_linked_to_another(home: Household, provider: Provider) -> None:
    anna, _ben = home.person("anna"), home.person("ben")
    link(home, provider, "sub-anna", anna)
    browser = home.browser("ben")
    there = leads_to(
        browser.post("/people/ben/oidc", data={"form_token": form_token(browser.get("/people/ben").text)})
    )

    answer = browser.get(provider.agree(there, "sub-anna"), headers=ABROAD)

    assert said(answer) == "Anna is linked to another person already."
    assert linked(home) == {"sub-anna": anna}


def test_no_user_is_linked_after_the_sign_out(home: Household, provider: Provider) -> None:
    home.person("anna")
    browser = home.browser("anna")
    page = browser.get("/people/anna").text
    there = leads_to(browser.post("/people/anna/oidc", data={"form_token": form_token(page)}))
    browser.post("/sign-out", data={"form_token": form_token(page)})

    assert "not signed in any more" in said(browser.get(provider.agree(there, "sub-anna"), headers=ABROAD))
    assert linked(home) == {}


def test_nobody_begins_a_link_for_another_or_from_another_site(home: Household) -> None:
    home.person("anna")
    owner = home.browser()
    token = form_token(owner.get("/people/anna").text)

    assert owner.post("/people/anna/oidc", data={"form_token": token}).status_code == 403
    assert owner.post("/people/me/oidc", data={"form_token": token}, headers=ABROAD).status_code == 403
    assert owner.post("/people/me/oidc", data={}).status_code == 403


def test_who_is_unlinked_waits_again(home: Household, provider: Provider) -> None:
    link(home, provider, "sub-anna", home.person("anna"))
    browser = home.browser("anna")
    (user,) = browser.get("/api/v1/oidc-users").json()["items"]
    page = browser.get("/people/anna").text

    browser.post(f"/oidc-users/{user['id']}/remove", data={"form_token": form_token(page)})

    assert "nobody here is linked" in said(sign_in(home.client(), provider, "sub-anna"))


def test_a_member_sees_and_changes_no_users_of_others(home: Household, provider: Provider) -> None:
    anna, ben = home.person("anna"), home.person("ben")
    link(home, provider, "sub-anna", anna)
    member = home.api(ben)

    assert member.get("/api/v1/oidc-users").json()["items"] == []
    assert member.delete("/api/v1/oidc-users/1").status_code == 404
    assert member.put("/api/v1/oidc-users/1", json={"person": "ben"}).status_code == 403
    assert home.api().put("/api/v1/oidc-users/1", json={"person": "ben"}).status_code == 409
    assert linked(home) == {"sub-anna": anna}


def test_of_many_who_wait_the_oldest_are_forgotten(home: Household) -> None:
    def come(number: int) -> Callable[[Any], object]:
        user, at = OidcUser("https://a", str(number), "x"), clock.now() + timedelta(seconds=number)
        return lambda connection: oidc_users.sign_in_user(connection, user, at)

    link_first = OidcUser("https://a", "first", "x")
    home.do(lambda connection: oidc_users.link_user(connection, link_first, 1, clock.now()))
    for number in range(oidc_users.MAX_UNLINKED + 2):
        home.do(come(number))

    assert linked(home).keys() == {
        "first",
        *(str(number) for number in range(2, oidc_users.MAX_UNLINKED + 2)),
    }


def test_a_removed_person_is_nobody_at_the_next_sign_in(home: Household, provider: Provider) -> None:
    link(home, provider, "sub-anna", home.person("anna"))
    home.api().delete("/api/v1/people/anna")
    home.person("ben")

    assert "nobody here is linked" in said(sign_in(home.client(), provider, "sub-anna"))
