"""The pages: they are drawn, empty and full, say what happened, and do what their buttons say."""

from __future__ import annotations

import re
from html import unescape

import pytest

from tests.web.conftest import HOSTILE, Household, Open, form_token
from webhook import clock, people
from webhook.outbox import park
from webhook.outcome import Park

PAGES = ["/", "/webhooks", "/deliveries", "/setup", "/sign-in", "/nothing", "/welcome/x"]


@pytest.mark.parametrize("path", [*PAGES, "/static/style.css", "/api/v1/openapi.json", "/healthz"])
def test_every_answer_has_the_security_headers(home: Household, path: str) -> None:
    headers = home.browser().get(path).headers

    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "same-origin"
    assert ("immutable" if "static" in path else "no-store") in headers.get("cache-control")


@pytest.mark.parametrize("path", ["/", "/webhooks", "/deliveries", "/deliveries?state=dead", "/setup"])
def test_an_empty_page_says_what_to_do(home: Household, path: str) -> None:
    page = home.browser().get(path)

    assert page.status_code == 200
    assert 'class="empty"' in page.text or path == "/setup"


def filled(home: Household) -> int:
    """Something playing, a watched episode whose mark failed, somebody unclaimed, a parked account."""
    watched = home.hear("anna", HOSTILE)
    home.settle("dead", reason=f"it said {HOSTILE}", answer=HOSTILE, attempts=1)
    home.tried(1, [{"method": "POST", "url": "https://x.example", "sent": {"title": HOSTILE}, "status": 500}])
    home.hear("anna", HOSTILE, "media.play", index=2, viewOffset=600000, guid="plex://episode/other", Guid=[])
    home.hear(HOSTILE, "Other", index=3)
    home.do(lambda connection: park(connection, 1, Park.SIGNED_OUT, "refused", clock.now()))
    return watched


@pytest.mark.parametrize(
    "path", ["/", "/webhooks", "/trace/1", "/trace/2", "/trace/3", "/deliveries", "/setup"]
)
def test_a_hostile_title_is_only_text(home: Household, path: str) -> None:
    filled(home)

    page = home.browser().get(path)

    assert page.status_code == 200
    assert "<script" not in page.text
    assert " style=" not in page.text
    if path != "/setup":
        assert HOSTILE in unescape(page.text)


def test_the_first_page_shows_what_is_on_and_what_needs_a_person(home: Household) -> None:
    filled(home)

    page = unescape(home.browser().get("/").text)

    assert "Harbour Street S1 E2" in page
    assert '<progress max="100"' in page
    assert "(estimated)" in page
    assert "Whose is this?" in page
    assert "signed out" in page
    assert "watchmark connect tvtime --person me" in page


def test_the_trace_tells_the_story(home: Household) -> None:
    filled(home)

    page = home.browser().get("/trace/1").text

    steps = re.findall(r"<h2>(\w+)</h2>", page)
    assert steps == ["Received", "Read", "Whose", "Filters", "Play", "Item", "Deliveries"]
    assert "POST https://x.example" in page
    assert 'action="/deliveries/1/retry"' in page
    assert 'action="/trace/1/replay"' in page


@pytest.mark.parametrize("raw", [b'{"event":"media.play"}', b'{"event":"library.on.deck"}', b"{}"])
def test_what_was_not_understood_has_a_trace_too(home: Household, raw: bytes) -> None:
    from webhook import inbox

    received = inbox.Received(
        source="plex", token_id=None, received_at=clock.now(), content_type=None, raw=raw
    )
    home.do(lambda connection: inbox.kept(connection, [received]))
    browser = home.browser()

    assert browser.get("/trace/1").status_code == 200
    home.interpret()
    assert browser.get("/trace/1").status_code == 200
    assert browser.get("/").status_code == 200


def test_a_webhook_is_replayed_by_its_button(home: Household) -> None:
    filled(home)
    browser = home.browser()
    token = form_token(browser.get("/trace/1").text)

    answer = browser.post("/trace/1/replay", data={"form_token": token})

    assert answer.headers["location"] == "/trace/1?said=replayed"
    assert "interpreted again" in browser.get("/trace/1?said=replayed").text


def test_one_or_all_deliveries_are_retried(home: Household) -> None:
    filled(home)
    browser = home.browser()
    token = form_token(browser.get("/deliveries?state=dead").text)
    fields = {"form_token": token, "back": "/deliveries?state=dead"}

    one = browser.post("/deliveries/1/retry", data=fields)
    home.settle("dead")
    many = browser.post("/deliveries/retry", data={"form_token": token, "state": "dead"})

    assert one.headers["location"] == "/deliveries?state=dead&said=retried"
    assert many.headers["location"] == "/deliveries?said=retried-1"
    assert "Tried again: 1" in browser.get("/deliveries?said=retried-1").text


def test_an_identity_is_claimed_by_its_form(home: Household) -> None:
    home.hear("anna")
    webhook_id = home.hear("carl")
    browser = home.browser()
    page = browser.get("/").text
    spelled = re.search(r'name="identity" value="([^"]+)"', page)
    assert spelled

    fields = {"form_token": form_token(page), "identity": unescape(spelled.group(1)), "person": "me"}
    answer = browser.post("/claim", data=fields)
    home.interpret()

    assert answer.headers["location"] == "/?said=claimed"
    assert "<h2>Play</h2>" in browser.get(f"/trace/{webhook_id}").text


def test_a_member_sees_only_their_own(home: Household) -> None:
    filled(home)
    home.person("bob")
    home.do(lambda connection: people.claim(connection, "bob", "plex:bob", clock.now()))
    theirs = home.hear("bob", "Theirs", index=9, Guid=[{"id": "tvdb://77"}], guid="plex://episode/nine")
    browser = home.browser("bob")
    first = browser.get("/").text
    token = form_token(first)

    assert "Theirs" in first
    assert "Whose is this?" not in first
    assert HOSTILE not in unescape(first)
    assert browser.get("/trace/1").status_code == 404
    assert browser.get(f"/trace/{theirs}").status_code == 200
    assert HOSTILE not in unescape(browser.get("/deliveries?person=me").text)
    assert browser.post("/trace/1/replay", data={"form_token": token}).status_code == 404
    assert browser.post("/deliveries/1/retry", data={"form_token": token}).status_code == 404
    claim = {"form_token": token, "identity": "plex:anna", "person": "bob"}
    assert browser.post("/claim", data=claim).status_code == 403
    assert "/webhooks/plex?token=" not in browser.get("/setup").text


def test_the_set_up_page_has_every_address(home: Household) -> None:
    page = unescape(home.browser().get("/setup").text)

    assert f'value="{home.url}/webhooks/plex?token=' in page
    assert f'value="{home.url}/webhooks/jellyfin/' in page
    assert "{{ItemId}}" in page or "{{{" in page
    assert "no webhook yet" in page


def test_errors_are_pages_for_people(home: Household) -> None:
    browser = home.browser()

    for path, status in (("/nothing", 404), ("/trace/0", 404), ("/deliveries?state=lost", 400)):
        answer = browser.get(path)
        assert answer.status_code == status
        assert answer.headers["content-type"].startswith("text/html")
    assert browser.post("/").status_code == 405


def test_a_fault_of_ours_is_a_plain_page(home: Household, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = home.browser()

    monkeypatch.setattr("webhook.trace.playing", lambda connection: 1 / 0)
    answer = browser.get("/")

    assert answer.status_code == 500
    assert "ZeroDivisionError" not in answer.text
    assert answer.headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize("prefix", ["/watchmark", ""])
def test_links_keep_to_the_sub_path(opened: Open, prefix: str) -> None:
    """Whether the proxy in front hands the path on whole or cuts it off."""
    home = opened(ROOT_PATH="/watchmark")
    home.password("me")
    browser = home.client()

    asked = browser.get(f"{prefix}/deliveries")
    assert asked.headers["location"] == "/watchmark/sign-in?next=%2Fwatchmark%2Fdeliveries"
    fields = {"name": "me", "password": "correct horse", "next": "/watchmark/deliveries"}
    answer = browser.post(f"{prefix}/sign-in", data=fields)
    assert answer.headers["location"] == "/watchmark/deliveries"
    assert "Path=/watchmark" in answer.headers["set-cookie"]
    page = (
        home.client(headers={"Cookie": answer.headers["set-cookie"].partition(";")[0]})
        .get(f"{prefix}/setup")
        .text
    )
    for link in re.findall(r'(?:href|action)="(/[^"]*)"', page):
        assert link.startswith("/watchmark/")
    assert f'value="{home.url}/watchmark/webhooks/plex?token=' in page
    assert browser.get("/watchmark").headers["location"] == "/watchmark/"
    assert browser.get("/watchmark/static/style.css").status_code == 200
