"""Setup: each source has its address and steps, and says by itself what came."""

from __future__ import annotations

import re
from html import unescape

import httpx
import orjson
import pytest

from tests.web.conftest import HOSTILE, Household, Open, form_token, plex
from webhook import clock, lookups, servers, sources, trackers
from webhook.domain.event import Action, Episode, Event
from webhook.queues.inbox import CATCH_UP, event_webhook, store_webhooks


def part(page: str, source: str) -> str:
    """What the page says of what came from a source."""
    return unescape(page.partition(f'id="came-{source}"')[2].partition("<label")[0])


@pytest.mark.parametrize("name", [*sources.modules()])
def test_every_source_is_there_with_a_copy_button(home: Household, name: str) -> None:
    page = home.browser().get("/setup").text

    assert f'data-copy="url-{name}"' in page
    assert f'id="url-{name}" class="copy" readonly value="{home.url}/webhooks/{name}' in page
    assert "no webhook yet" in part(page, name)
    assert 'data-unscripted href="/setup">Reload' in part(page, name)


def test_plex_says_what_to_do_without_a_plex_pass(home: Household) -> None:
    page = home.browser().get("/setup").text

    assert "Plex Pass" in page
    assert (
        "no webhook is needed: enter the server&#39;s address and token under Settings, Connections, Plex"
        in page
    )
    assert "PLEX_TOKEN" in page
    assert page.index('id="source-plex"') < page.index('id="source-emby"')


STEPS = {
    f"{package.__name__}.{name}: {step[:40]}": step
    for package in (sources, trackers, lookups, servers)
    for name, module in package.modules().items()
    for step in getattr(module, "SETUP", ())
    if re.search(r"\b[A-Z]+_[A-Z_]+\b", step)
}


@pytest.mark.parametrize("step", STEPS)
def test_a_step_that_names_a_variable_says_before_where_the_page_is(step: str) -> None:
    before = re.split(r"\b[A-Z]+_[A-Z_]+\b", STEPS[step])[0]

    assert any(place in before for place in ("under Settings", "below", ".env"))
    assert "n the environment or .env" in STEPS[step]


def test_what_came_is_told_with_who_and_what(home: Household) -> None:
    home.hear("anna", "Pilot", "media.play")

    told = part(home.browser().get("/setup").text, "plex")

    assert "it works" in told
    assert "anna" in told
    assert "Harbour Street S1 E1" in told
    assert 'href="/trace/1"' in told
    assert "no webhook yet" in part(home.browser().get("/setup").text, "jellyfin")


def test_what_was_ignored_says_why(home: Household) -> None:
    home.hear("anna", "Pilot", "library.on.deck")

    told = part(home.browser().get("/setup").text, "plex")

    assert "it works" in told
    assert "says nothing about viewing" in told


def test_what_could_not_be_read_does_not_work(home: Household) -> None:
    page = home.browser().get("/setup").text
    url = page.partition('id="url-generic" class="copy" readonly value="')[2].partition('"')[0]
    httpx.post(url, json={"action": "watchd", "kind": "movie", "title": "Paper Boats"})
    home.interpret()

    told = part(home.browser().get("/setup").text, "generic")

    assert "it works" not in told
    assert 'badge bad">unreadable' in told
    assert 'action is "watchd"' in told
    assert "mend it there and add what is missing by hand" in told


def test_whom_nobody_claims_leads_to_saying_so(home: Household) -> None:
    home.hear("anna", "Pilot")
    home.hear(HOSTILE, "Other")

    page = home.browser().get("/setup").text

    assert f"Nobody has claimed {HOSTILE} yet" in part(page, "plex")
    assert HOSTILE not in page
    assert 'href="/needs-you"' in part(page, "plex")


def test_what_the_server_was_asked_for_is_none_that_came(home: Household) -> None:
    event = Event(action=Action.WATCHED, item=Episode(title="Pilot", show="Harbour Street"), at=clock.now())
    found = event_webhook("plex", event, clock.now(), CATCH_UP)
    home.do(lambda connection: store_webhooks(connection, [found]))

    assert "no webhook yet" in part(home.browser().get("/setup").text, "plex")


def test_one_that_was_silent_long_was_heard_of_once(home: Household, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webhook.web.http.arrivals.LOOKED", 1)
    home.hear("anna", "Pilot")
    url = home.browser().get("/setup").text.partition('id="url-emby" class="copy" readonly value="')[2]
    httpx.post(url.partition('"')[0], json={"Event": "system.notificationtest"})
    home.interpret()

    page = home.browser().get("/setup").text

    assert "The last webhook from Plex arrived" in part(page, "plex")
    assert "it works" in part(page, "emby")
    assert "A test message" in part(page, "emby")


def test_an_address_that_others_reach_is_not_warned_of(opened: Open) -> None:
    home = opened(BASE_URL="https://watch.example")

    home.password("me")
    answer = home.client().post("/sign-in", data={"name": "me", "password": "correct horse"})
    cookie = answer.headers["set-cookie"].partition(";")[0]
    page = home.client(headers={"Cookie": cookie}).get("/setup").text

    assert 'value="https://watch.example/webhooks/plex?token=' in page
    assert "You opened Watchmark as localhost" not in page


def test_localhost_is_warned_of_and_that_no_other_machine_is_listened_to(home: Household) -> None:
    page = home.browser().get("/setup").text

    assert "You opened Watchmark as localhost" in page
    assert "Set <code>HOST=0.0.0.0</code>" in page


def test_who_listens_to_every_machine_is_not_told_to(opened: Open) -> None:
    page = opened(HOST="0.0.0.0").browser().get("/setup").text  # noqa: S104

    assert "You opened Watchmark as localhost" in page
    assert "HOST=0.0.0.0" not in page


# --- what was refused at the door

WRONG = "a-token-of-another-year"


@pytest.mark.parametrize("path", ["/setup", "/start?step=play"])
def test_a_wrong_token_is_said_beside_its_source_and_never_shown(home: Household, path: str) -> None:
    assert httpx.post(f"{home.url}/webhooks/plex?token={WRONG}", json={}).status_code == 404

    browser = home.browser()
    token = form_token(browser.get("/start").text)
    browser.post("/start/step", data={"form_token": token, "server": "plex"})
    page = browser.get(path).text

    told = part(page, "plex") if path == "/setup" else unescape(page)
    assert "from 127.0.0.1: refused. The token in the address is not known here." in told
    assert "Copy the address anew." in told
    assert WRONG not in page
    assert page.count("refused. ") == 1
    assert "Nothing arriving?" in page


@pytest.mark.parametrize(
    ("method", "path", "why"),
    [
        ("POST", "", "has no token in it"),
        ("GET", "?token={token}", "is sent with POST"),
        ("POST", "/{token}", "larger than 1024 bytes"),
    ],
    ids=["no token", "wrong method", "too large"],
)
def test_so_is_any_other_reason(opened: Open, method: str, path: str, why: str) -> None:
    home = opened(MAX_BODY_BYTES="1024")
    address = f"{home.url}/webhooks/jellyfin{path.format(token=home.token('webhook'))}"
    answer = httpx.request(method, address, content=b" " * 2000)
    assert 400 <= answer.status_code < 500

    assert why in part(home.browser().get("/setup").text, "jellyfin")


def test_only_the_newest_is_kept_and_none_of_what_is_no_source(home: Household) -> None:
    for token in range(20):
        httpx.post(f"{home.url}/webhooks/plex/{token}")
        httpx.post(f"{home.url}/webhooks/nothing-{token}/{token}")

    assert list(home.service.receiver.turned_away) == ["plex"]


def test_what_was_refused_is_over_once_something_is_taken(home: Household) -> None:
    httpx.post(f"{home.url}/webhooks/plex/{WRONG}")
    home.hear("anna", "Pilot")

    assert "refused" not in part(home.browser().get("/setup").text, "plex")


def test_what_was_refused_is_the_owners_to_see(home: Household) -> None:
    home.token("webhook", home.person("bob"))
    httpx.post(f"{home.url}/webhooks/plex/{WRONG}")

    page = home.browser("bob").get("/setup").text

    assert "no webhook yet" in part(page, "plex")
    assert "refused" not in page


def test_other_tokens_stand_behind_the_first(home: Household) -> None:
    browser = home.browser()
    fields = {"kind": "webhook", "name": "cabin", "form_token": form_token(browser.get("/settings").text)}
    made = browser.post("/tokens", data=fields)
    assert "/webhooks/plex?token=" in made.text

    page = browser.get("/setup").text

    assert "Addresses with 1 other token" in page
    assert page.count("/webhooks/emby/") == 2


def test_a_member_sees_only_their_own_addresses_and_arrivals(home: Household) -> None:
    bob = home.person("bob")
    home.hear("anna", "Pilot")
    member = home.browser("bob")
    page = member.get("/setup").text
    assert 'class="empty"' in page
    assert "webhooks/plex" not in page

    secret = home.token("webhook", bob)
    page = member.get("/setup").text

    assert "no webhook yet" in part(page, "plex")
    body = {"payload": orjson.dumps(plex("whoever", "Theirs", "media.play")).decode()}
    url = f"{home.url}/webhooks/plex/{secret}"
    assert httpx.post(url, data=body).status_code == 200
    home.interpret()
    told = part(member.get("/setup").text, "plex")
    assert "it works" in told
    assert "Theirs" in told
