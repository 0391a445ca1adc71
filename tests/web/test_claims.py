"""Is that you? Who says whose a user of a media server is, and where."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from tests.web.conftest import Household, form_token, plex, serving
from webhook.people import identities


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Household]:
    with serving(tmp_path, CLAIM_FIRST_USER="false") as opened:
        yield opened


def post(
    home: Household,
    token: str,
    user: str = "Nora",
    number: int = 1,
    event: str = "media.scrobble",
    **more: Any,
) -> None:
    """A webhook, sent as Plex does, and interpreted."""
    said = plex(user, f"Part {number}", event, index=number, Guid=[{"id": f"tvdb://900{number}"}], **more)
    files = {"payload": (None, orjson.dumps(said), "application/json")}
    assert home.client().post(f"/webhooks/plex/{token}", files=files).status_code == 200
    home.interpret()


def claim(browser: httpx.Client, page: str, **fields: Any) -> httpx.Response:
    return browser.post("/needs-you/claim", data={"form_token": form_token(browser.get(page).text), **fields})


def plays(home: Household, name: str) -> int:
    return len(home.api().get("/api/v1/plays", params={"person": name}).json()["items"])


def test_whoever_plays_first_is_asked_about_and_one_click_makes_all_since_count(home: Household) -> None:
    token = home.token("webhook")
    post(home, token)
    post(home, token, number=2)
    browser = home.browser()

    page = browser.get("/needs-you").text
    assert "<bdi>Nora</bdi></b> watched" in page
    assert "Is that you?" in page
    assert plays(home, "me") == 0

    answer = claim(browser, "/needs-you", identity="1", do="me")
    home.interpret()

    assert answer.status_code == 303
    assert plays(home, "me") == 2


@pytest.mark.parametrize(
    ("event", "more", "says"),
    [
        ("library.new", {}, "Nora added Harbour Street S1 E1 – Part 1 to the library."),
        ("media.rate", {"userRating": 8.0}, "Nora rated Harbour Street S1 E1 – Part 1."),
        ("media.play", {}, "Nora played Harbour Street S1 E1 – Part 1 on"),
    ],
)
def test_whoever_is_asked_about_did_what_is_said(
    home: Household, event: str, more: dict[str, Any], says: str
) -> None:
    post(home, home.token("webhook"), event=event, **more)

    page = re.sub("<[^>]*>", "", home.browser().get("/needs-you").text)
    assert says in page


def test_the_first_start_asks_whose_the_first_webhook_is_and_goes_on_from_there(home: Household) -> None:
    post(home, home.token("webhook"))
    browser = home.browser()

    page = browser.get("/start").text
    assert "Is that you?" in page

    answer = claim(browser, "/start", identity="1", do="me", back="/start")
    home.interpret()

    assert answer.headers["location"].startswith("/start")
    assert plays(home, "me") == 1


def test_who_is_somebody_else_is_named_there(home: Household) -> None:
    post(home, home.token("webhook"))
    browser = home.browser()

    claim(browser, "/needs-you", identity="1", do="claim", new="ben")
    home.interpret()

    assert (plays(home, "me"), plays(home, "ben")) == (0, 1)


def test_a_member_is_asked_about_what_comes_by_their_own_address(home: Household) -> None:
    ben = home.person("ben")
    own, households = home.token("webhook", ben), home.token("webhook")
    post(home, own, user="Benny")
    post(home, households, number=2)
    browser = home.browser("ben")

    page = browser.get("/needs-you").text
    assert "Benny" in page
    assert "Nora" not in page

    claim(browser, "/needs-you", identity="1", do="me")
    home.interpret()

    assert plays(home, "ben") == 1


@pytest.mark.parametrize("fields", [{"identity": "2", "do": "me"}, {"identity": "1", "do": "claim", "person": "me"},
                                    {"identity": "1", "do": "ignore"}, {"identity": "99", "do": "me"}])  # fmt: skip
def test_a_member_says_no_more_than_that_it_is_them(home: Household, fields: dict[str, str]) -> None:
    ben = home.person("ben")
    own, households = home.token("webhook", ben), home.token("webhook")
    post(home, own, user="Benny")
    post(home, households, number=2)
    browser = home.browser("ben")

    answer = claim(browser, "/needs-you", **fields)
    home.interpret()

    assert answer.status_code == 403
    assert (plays(home, "me"), plays(home, "ben")) == (0, 0)


def test_what_names_nobody_is_asked_about_too(home: Household) -> None:
    said = {"action": "watched", "kind": "movie", "title": "Quiet Harbour", "year": 2001, "player": "Kodi"}
    address = f"/webhooks/generic/{home.token('webhook')}"
    assert home.client().post(address, json=said).status_code == 200
    home.interpret()
    browser = home.browser()

    page = browser.get("/needs-you").text
    assert "<bdi>Someone</bdi></b> watched <bdi>Quiet Harbour (2001)</bdi> on <bdi>Kodi</bdi>" in page
    assert identities.UNNAMED_USER not in page

    claim(browser, "/needs-you", identity="1", do="me")
    home.interpret()

    assert plays(home, "me") == 1
