"""Secrets that cannot be opened: each is said on its page, with what to do, and nothing else suffers."""

from __future__ import annotations

from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest
from sqlalchemy import Connection

from tests.web.conftest import Household, form_token, serving
from webhook.accounts import accounts, sealed_secrets, settings_store
from webhook.accounts.seal import Seal
from webhook.compat.videoscrobbler import apps
from webhook.domain.outcome import UNREADABLE
from webhook.people import people, tokens
from webhook.service import Service

LOST = Seal("a key that is gone")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Household]:
    """A household of which all but the first token was sealed with a key that is gone."""
    with serving(tmp_path) as before:
        before.do(lambda connection: fill(connection, before.service))
    with serving(tmp_path) as after:
        yield after


def fill(connection: Connection, service: Service) -> None:
    now, me = service.started_at, people.find_person(connection, "me").id
    sealed = LOST.seal({"token": "x"})
    accounts.store_tokens(connection, me, service.trackers["listenbrainz"], sealed, "anna", now)
    apps.create_app(connection, LOST, "Kodi", None, now)
    tokens.add_token(connection, "webhook", "secret", LOST.seal("secret"), now, name="attic", person_id=me)
    settings_store.store_settings(connection, LOST, {"SILENCE_DAYS": "9"})


def test_each_is_said_on_its_page_with_what_to_do(home: Household) -> None:
    browser = home.browser()

    said = {path: unescape(browser.get(path).text) for path in PAGES}

    assert {path for path, words in PAGES.items() if words not in said[path]} == set()


TOKEN = "It is still let in, but cannot be shown. Make another token, paste its address"
SETTINGS = "Settings saved in the browser can\u2019t be decrypted with the current key"
PAGES = {
    "/connections": SETTINGS,
    "/settings": SETTINGS,
    "/connections/listenbrainz": f"{UNREADABLE}. Sign in again below.",
    "/needs-you": UNREADABLE,
    "/settings#tokens": TOKEN,
    "/people/me": TOKEN,
    "/people/me/apps": sealed_secrets.APP_MEND,
}


def test_the_api_says_it_too(home: Household) -> None:
    api = home.api()

    found = {path: api.get(f"/api/v1/{path}").json()["items"] for path in ("tokens", "apps", "accounts")}

    assert [one["problem"] is None for one in found["tokens"]] == [True, False, True]
    assert [one["problem"] for one in found["apps"]] == [sealed_secrets.APP_MEND]
    (parked,) = [one for one in found["accounts"] if one["state"] == "signed_out"]
    assert parked["explanation"].startswith(UNREADABLE)


def test_what_is_set_anew_takes_the_place_of_what_cannot_be_opened(home: Household) -> None:
    browser = home.browser()
    token = form_token(browser.get("/settings").text)

    answer = browser.post("/settings", data={"form_token": token, "RETENTION_DAYS": "30"})

    assert answer.headers["location"] == "/settings?said=saved"
    assert SETTINGS not in browser.get("/settings").text
    assert home.do(lambda connection: settings_store.load_settings(connection, home.service.seal)) == {
        "RETENTION_DAYS": "30"
    }


def test_a_key_of_a_service_is_set_anew_on_its_own_page(home: Household) -> None:
    browser = home.browser()
    page = "/connections/listenbrainz"
    token = form_token(browser.get(page).text)
    where = {"LISTENBRAINZ_API_URL": "http://127.0.0.1:9"}

    answer = browser.post(f"{page}/settings", data={"form_token": token, **where})

    assert answer.headers["location"] == f"{page}?said=saved"
    assert home.do(lambda connection: settings_store.load_settings(connection, home.service.seal)) == where
