"""The first evening: from the link that `serve` prints to the first scrobble, by what the pages show and nothing else."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import PASSWORD, SCRIPTS, at, comes, opened
from tests.evening import film
from tests.fakes._server import Server
from tests.running import Process, eventually, started

AN_EVENING = 180
"""The seconds that all of it may take."""


@pytest.fixture
def fresh(tmp_path: Path, trakt: Server) -> Iterator[Process]:
    """A service at its first start: nobody has a password, and whoever plays is asked about."""
    trakt.fake.switches.verification_url = f"{trakt.url}/_control/activate"
    with started(Process(tmp_path, CLAIM_FIRST_USER="false", **at(trakt)).prepare()) as process:
        yield process


@SCRIPTS
def test_an_evening_leads_from_the_link_to_the_first_scrobble(
    browser: Browser, fresh: Process, trakt: Server, scripts: bool
) -> None:
    begun = time.monotonic()
    with opened(browser, scripts=scripts) as page:
        page.goto(fresh.ready["welcome"])
        assert step(page) == "You"
        page.get_by_label("Password, at least").fill(PASSWORD)
        page.get_by_label("Repeat the password").fill(PASSWORD)
        page.get_by_role("button", name="Set password and sign in").click()

        assert step(page) == "Your server"
        page.get_by_role("button", name="Plex", exact=True).click()
        address = page.get_by_label("Address to paste", exact=True).input_value()
        expect(page.get_by_text("Waiting for Plex")).to_be_visible()
        post(address, film("media.play"))
        comes(page, page.get_by_role("button", name="Yes, that\u2019s me"), scripts=scripts)
        assert step(page) == "Is that you?"
        expect(page.get_by_text("anna played The Lighthouse Keeper")).to_be_visible()
        page.get_by_role("button", name="Yes, that\u2019s me").click()

        assert step(page) == "Where should it go?"
        page.get_by_role("link", name="Trakt").click()
        page.get_by_role("button", name="Get a code").click()
        code = page.locator(".code").inner_text()
        with page.context.expect_page() as there:
            page.locator(".signing").get_by_role("link").first.click()
        there.value.get_by_label("Code").fill(code)
        there.value.get_by_role("button", name="Connect").click()
        expect(there.value.get_by_text("Your device is connected.")).to_be_visible()
        comes(page, page.get_by_role("heading", name="You are set up"), scripts=scripts)
        expect(page.locator(".step.done")).to_have_count(5)

        page.get_by_role("link", name="Go to Now").click()
        post(address, film("media.scrobble"))
        comes(page, page.get_by_text("Trakt ✓").first, scripts=scripts)
    eventually(lambda: bool(trakt.fake.made("POST /scrobble/stop")), "the scrobble has arrived at Trakt")
    assert time.monotonic() - begun < AN_EVENING


@SCRIPTS
def test_a_step_that_is_left_comes_back_on_now(browser: Browser, fresh: Process, scripts: bool) -> None:
    with opened(browser, scripts=scripts) as page:
        page.goto(fresh.ready["welcome"])
        page.get_by_label("Password, at least").fill(PASSWORD)
        page.get_by_label("Repeat the password").fill(PASSWORD)
        page.get_by_role("button", name="Set password and sign in").click()
        page.get_by_role("button", name="Do this later: Your server").click()
        assert step(page) == "Where should it go?"
        page.get_by_role("link", name="Now").first.click()

        left = page.get_by_role("region", name="Finish setting up")
        expect(left.get_by_role("listitem")).to_have_count(2)
        left.get_by_role("button", name="Dismiss: Where should it go?").click()
        expect(left.get_by_role("listitem")).to_have_count(1)
        left.get_by_role("link", name="Set up your media server").click()
        page.get_by_role("link", name="Do it now: Your server").click()
        page.get_by_role("button", name="Jellyfin").click()
        expect(page.get_by_label("Address to paste", exact=True)).to_have_value(
            fresh.ready["webhooks"]["jellyfin"]
        )


def step(page: Page) -> str:
    """The step that the page says one is at."""
    return page.get_by_role("list", name="Setup steps").locator("[aria-current] h2").inner_text()


def post(address: str, payload: dict[str, Any]) -> None:
    """Send a webhook to the address that the page shows, as Plex would."""
    parts: Any = {"payload": (None, json.dumps(payload), "application/json")}
    assert httpx.post(address, files=parts).status_code == 200
