"""The page of a person's apps: keys made and shown once, sessions ended, and who sees what the person watches."""

from __future__ import annotations

import re
from html import unescape

import httpx
import pytest
from sqlalchemy import Connection

from tests.web.conftest import HOSTILE, Household, Open, document, form_token
from webhook import clock
from webhook.compat.videoscrobbler import apps
from webhook.people import people

FORMS = ("apps", "apps/1/suspend", "apps/1/resume", "apps/1/remove", "apps/privacy")


def post(browser: httpx.Client, path: str, **fields: str) -> httpx.Response:
    """A form of the page of the person in the path."""
    page = "/".join(path.split("/")[:3]) + "/apps"
    return browser.post(path, data={"form_token": form_token(browser.get(page).text), **fields})


def read(browser: httpx.Client, path: str) -> str:
    answer = browser.get(path)
    assert answer.status_code == 200, answer.text
    return unescape(answer.text)


def session(home: Household, app_id: int, person_id: int) -> int:
    """A session of this app, let in by this person; its token's id."""

    def made(connection: Connection) -> int:
        apps.grant(connection, "asked", app_id, person_id, clock.now())
        asking = apps.Redeeming("asked", app_id, "Player", clock.now())
        _, secret = apps.redeem(connection, asking) or ("", "")
        row = apps.session(connection, app_id, secret)
        assert row is not None
        return int(row.token_id)

    return int(home.do(made))


def test_it_is_found_from_the_persons_page_and_from_connections(home: Household) -> None:
    browser = home.browser()

    for path in ("/people/me", "/connections"):
        assert 'href="/people/me/apps"' in read(browser, path)
    page = read(browser, "/people/me/apps")
    assert "No keys yet. Create one" in page
    assert f"<code>{home.url}/api/1.0/</code>" in page


def test_a_key_and_its_secret_are_shown_once(home: Household) -> None:
    browser = home.browser()

    made = post(browser, "/people/me/apps", app=f"Player {HOSTILE}")

    assert made.status_code == 200
    assert HOSTILE not in made.text
    (secret,) = re.findall(r'id="secret" class="copy" readonly value="([0-9a-f]{32})"', made.text)
    (key,) = re.findall(r'id="key" class="copy" readonly value="([0-9a-f]{32})"', made.text)
    page = browser.get("/people/me/apps").text
    assert key in page
    assert secret not in page
    assert "only me can allow it" in page
    assert HOSTILE not in page
    assert (
        home.client().get("/api/1.0/", params={"method": "auth.getToken", "api_key": key}).status_code != 500
    )


def test_only_the_owner_makes_a_key_for_everybody(home: Household) -> None:
    home.person("bob")
    owner, bob = home.browser(), home.browser("bob")

    post(owner, "/people/me/apps", app="Shared", shared="on")
    post(bob, "/people/bob/apps", app="Sly", shared="on")

    listed = home.api().get("/api/v1/apps").json()["items"]
    assert {one["name"]: one["person"] for one in listed} == {"Shared": None, "Sly": "bob"}
    assert "anyone here can allow it" in read(owner, "/people/me/apps")
    assert 'name="shared"' not in read(bob, "/people/bob/apps")


def test_an_app_is_suspended_let_in_again_and_removed(home: Household) -> None:
    browser = home.browser()
    post(browser, "/people/me/apps", app="Player")

    post(browser, "/people/me/apps/1/suspend")
    suspended = read(browser, "/people/me/apps")
    post(browser, "/people/me/apps/1/resume")
    resumed = read(browser, "/people/me/apps")
    gone = post(browser, "/people/me/apps/1/remove")

    assert 'aria-label="Resume Player"' in suspended
    assert 'aria-label="Suspend Player"' in resumed
    assert gone.headers["location"] == "/people/me/apps?said=removed"
    assert home.api().get("/api/v1/apps").json()["items"] == []


def test_who_let_an_app_in_ends_it_there(home: Household) -> None:
    browser = home.browser()
    post(browser, "/people/me/apps", app="Player")
    token = session(home, 1, 1)
    assert "1 session " in read(browser, "/people/me/apps")

    answer = post(browser, f"/tokens/{token}/revoke", back="/people/me/apps")

    assert answer.headers["location"] == "/people/me/apps?said=removed"
    page = read(browser, "/people/me/apps")
    assert "No app has access yet." in page
    assert "0 sessions" in page


def test_a_person_says_who_sees_them(home: Household) -> None:
    home.person("bob")
    browser = home.browser("bob")

    answer = post(browser, "/people/bob/apps/privacy", seen_by="friends")

    assert answer.headers["location"] == "/people/bob/apps?said=saved#privacy"
    assert 'value="friends" checked' in read(browser, "/people/bob/apps")
    assert home.api().get("/api/v1/privacy", params={"person": "bob"}).json()["seen_by"] == "friends"
    assert post(browser, "/people/bob/apps/privacy", seen_by="all").status_code == 422


def test_who_would_see_it_is_named_before_it_is_chosen(home: Household) -> None:
    home.person("bob")
    browser = home.browser("bob")
    before = read(browser, "/people/bob/apps")

    post(home.browser(), "/people/me/apps/privacy", seen_by="friends")

    assert 'value="nobody" checked' in before
    assert "By default nobody can." in before
    assert "Currently nobody" in before
    assert "Currently me;" in read(browser, "/people/bob/apps")


def test_a_member_sees_and_ends_nobody_elses(home: Household) -> None:
    home.person("bob")
    owner, bob = home.browser(), home.browser("bob")
    post(owner, "/people/me/apps", app="Owners own")
    post(owner, "/people/me/apps", app="Shared", shared="on")

    page = read(bob, "/people/bob/apps")

    assert "Owners own" not in page
    assert "Shared" not in page
    assert bob.get("/people/me/apps").status_code == 404
    for form in FORMS[1:4]:
        assert post(bob, f"/people/bob/{form}").status_code == 404
    token = form_token(bob.get("/people/bob/apps").text)
    given = {"form_token": token, "app": "x", "seen_by": "everyone"}
    assert bob.post("/people/me/apps", data=given).status_code == 404
    assert bob.post("/people/me/apps/privacy", data=given).status_code == 404
    assert home.api().get("/api/v1/privacy", params={"person": "me"}).json()["seen_by"] == "nobody"
    assert len(home.api().get("/api/v1/apps").json()["items"]) == 2


@pytest.mark.parametrize("form", FORMS)
def test_a_form_without_the_sessions_token_is_refused(home: Household, form: str) -> None:
    assert home.browser().post(f"/people/me/{form}", data={"form_token": "0"}).status_code == 403
    assert home.client().post(f"/people/me/{form}").headers["location"] == "/sign-in"


@pytest.mark.parametrize("name", ["", " ", "x" * 101])
def test_a_name_that_is_none_is_refused_in_a_sentence(home: Household, name: str) -> None:
    answer = post(home.browser(), "/people/me/apps", app=name)

    assert answer.status_code == 422
    assert "An app's name has 1 to 100 characters." in unescape(answer.text)
    assert 'aria-label="Pages"' in answer.text


def test_who_has_not_signed_in_is_asked_to(home: Household) -> None:
    answer = home.client().get("/people/me/apps")

    assert answer.headers["location"] == "/sign-in?next=%2Fpeople%2Fme%2Fapps"


def test_it_works_under_a_path_of_its_own(opened: Open) -> None:
    home = opened(ROOT_PATH="/watch")
    home.do(lambda connection: people.rename(connection, people.find_person(connection, "me"), "a b"))
    home.password("a b")
    browser = home.client()
    browser.base_url = httpx.URL(f"{home.url}/watch")
    browser.post("/sign-in", data={"name": "a b", "password": "correct horse"})

    made = post(browser, "/people/a%20b/apps", app="Player")

    assert f'value="{home.url}/watch/api/1.0/"' in made.text
    assert 'href="/watch/people/a%20b/apps">Back' in made.text


def test_the_document_says_the_same_of_who_sees_whom(home: Household) -> None:
    paths = document("")["paths"]

    body = paths["/privacy"]["put"]["requestBody"]["content"]["application/json"]["schema"]

    assert tuple(body["properties"]["seen_by"]["enum"]) == apps.SEEN_BY
    assert {"/apps", "/apps/{id}", "/privacy"} <= paths.keys()
