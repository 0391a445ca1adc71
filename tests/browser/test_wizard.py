"""From the one-time link of a first start to the first scrobble, in the browser alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import PASSWORD, SCRIPTS, at, comes, opened
from tests.evening import film
from tests.fakes._server import Server
from tests.running import Process, eventually, started


@pytest.fixture
def fresh(tmp_path: Path, trakt: Server) -> Iterator[Process]:
    """A service at its first start: nobody has a password."""
    with started(Process(tmp_path, **at(trakt)).prepare()) as process:
        yield process


def step(page: Page) -> str:
    return page.get_by_role("list", name="Setup steps").locator("[aria-current]").inner_text()


@SCRIPTS
def test_the_wizard_leads_to_the_first_scrobble(
    browser: Browser, fresh: Process, trakt: Server, scripts: bool
) -> None:
    with opened(browser, scripts=scripts) as page:
        page.goto(fresh.ready["welcome"])
        assert step(page) == "Password"
        page.get_by_label("Password, at least").fill(PASSWORD)
        page.get_by_label("Repeat the password").fill(PASSWORD)
        page.get_by_role("button", name="Set password and sign in").click()

        expect(page.get_by_role("heading", level=1)).to_have_text("What do you watch with?")
        assert step(page) == "Source"
        page.get_by_role("link", name="Plex", exact=True).click()
        expect(page.get_by_label("Address to paste", exact=True)).to_have_value(
            fresh.ready["webhooks"]["plex"]
        )
        expect(page.get_by_text("no webhook yet")).to_be_visible()
        fresh.post("plex", film("media.play"))
        if not scripts:
            eventually(lambda: fresh.api("/webhooks")["items"] != [], "the webhook is kept")
            page.get_by_role("link", name="Reload").click()
        comes(page, page.get_by_text("it works"), scripts=scripts)
        page.get_by_role("link", name="Continue", exact=True).click()

        assert step(page) == "Tracker"
        page.get_by_role("link", name="Trakt").click()
        assert step(page) == "Tracker"
        page.get_by_role("button", name="Get a code").click()
        code = page.locator(".code").inner_text()
        httpx.post(f"{trakt.url}/_control/approve", json={"user": "me", "user_code": code})
        comes(page, page.get_by_text("Connected as me."), scripts=scripts)
        page.get_by_role("link", name="Continue").click()

        assert step(page) == "Done"
        there_is = page.get_by_role("region", name="Status")
        expect(there_is.get_by_role("listitem")).to_contain_text(
            ["connected Plex", "connected TV Time", "connected Trakt"]
        )
        page.get_by_role("link", name="Go to Now").click()
        fresh.post("plex", film("media.scrobble"))
        comes(page, page.get_by_text("Trakt ✓").first, scripts=scripts)
    assert trakt.fake.made("POST /scrobble/stop")
