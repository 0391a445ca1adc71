"""Services are signed in to, tested and set up in the browser, and no webhook is lost meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import PASSWORD, SCRIPTS, at, comes, opened, sign_in
from tests.evening import plex
from tests.fakes._server import Server
from tests.fakes.tmdb import Tmdb
from tests.fakes.trakt import Trakt
from tests.identity.world import everything
from tests.running import Process, eventually, started


@pytest.fixture(scope="module")
def at_trakt() -> Iterator[Server]:
    with Server(Trakt(interval=1)) as server:
        yield server


@pytest.fixture(scope="module")
def tmdb() -> Iterator[Server]:
    with Server(Tmdb(everything())) as server:
        yield server


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, at_trakt: Server) -> Iterator[Process]:
    folder: Path = tmp_path_factory.mktemp("home")
    with started(Process(folder, ADMIN_PASSWORD=PASSWORD, **at(at_trakt)).prepare()) as process:
        yield process


@SCRIPTS
def test_trakt_is_signed_in_to_by_a_code_tested_and_disconnected(
    browser: Browser, home: Process, at_trakt: Server, scripts: bool
) -> None:
    with opened(browser, scripts=scripts) as page:
        sign_in(page, home)
        page.get_by_role("link", name="Settings").click()
        page.get_by_role("link", name="Connections").first.click()
        page.get_by_role("link", name="Sign in to Trakt").click()
        page.get_by_role("button", name="Get a code").click()
        size = page.locator(".code").evaluate("code => parseFloat(getComputedStyle(code).fontSize)")
        assert size >= 32
        expect(page.get_by_role("img", name="QR code that opens the address")).to_be_visible()
        code = page.locator(".code").inner_text()
        httpx.post(f"{at_trakt.url}/_control/approve", json={"user": "anna", "user_code": code})

        comes(page, page.get_by_text("Connected as anna."), scripts=scripts)
        state = page.get_by_role("heading", level=1).locator(".badge")
        expect(state).to_have_text("Working")
        page.get_by_role("button", name="Test now: the account of me").click()
        expect(page.get_by_text("Working as anna.")).to_be_visible()
        page.get_by_role("button", name="Disconnect the account of me").click()
        expect(page.get_by_text("Disconnected. What was already sent stays there.")).to_be_visible()
        expect(page.get_by_text("Nobody is signed in to Trakt yet.")).to_be_visible()
    assert at_trakt.fake.made("POST /oauth/revoke")


def test_a_sign_in_is_cancelled(browser: Browser, home: Process) -> None:
    with opened(browser) as page:
        sign_in(page, home)
        page.goto(f"{home.url}/connections/trakt")
        page.get_by_role("button", name="Get a code").click()
        page.get_by_role("button", name="Cancel").click()

        expect(page.get_by_text("It was cancelled. Nothing was changed.")).to_be_visible()


def field(page: Page, variable: str) -> Locator:
    """A field of the settings; those that nobody needs are folded away."""
    found = page.get_by_label(variable)
    if not found.is_visible():
        page.get_by_text("More settings").click()
    return found


@SCRIPTS
def test_a_wrong_key_is_refused_and_a_right_one_works_without_losing_a_webhook(
    browser: Browser, home: Process, tmdb: Server, scripts: bool
) -> None:
    before = len(home.api("/webhooks", limit=200)["items"])
    with opened(browser, scripts=scripts) as page:
        sign_in(page, home)
        page.goto(f"{home.url}/connections/tmdb")
        field(page, "TMDB_API_URL").fill(f"{tmdb.url}/3")
        field(page, "TMDB_TOKEN").fill("nonsense")
        page.get_by_role("button", name="Save", exact=True).click()
        refused = page.get_by_role("alert")
        expect(refused).to_contain_text("Invalid API key")
        expect(refused).to_contain_text("Nothing was changed.")

        field(page, "TMDB_API_URL").fill(f"{tmdb.url}/3")
        field(page, "TMDB_TOKEN").fill(tmdb.fake.switches.token)
        page.get_by_role("button", name="Save", exact=True).click(no_wait_after=True)
        answers = [home.post("plex", plex("media.play", number)).status_code for number in range(1, 21)]
        expect(page.get_by_text("Saved.")).to_be_visible()
        expect(page.get_by_role("heading", level=1).locator(".badge")).to_have_text("Working")
        page.get_by_role("button", name="Test now").click()
        expect(page.get_by_text("The key was accepted.")).to_be_visible()

        assert answers == [200] * 20
        eventually(
            lambda: len(home.api("/webhooks", limit=200)["items"]) == before + 20, "all of them are kept"
        )
        page.get_by_label("Remove", exact=True).check()
        field(page, "TMDB_API_URL").fill("")
        page.get_by_role("button", name="Save", exact=True).click()
        expect(page.get_by_role("heading", level=1).locator(".badge")).to_have_text("Not set up")
