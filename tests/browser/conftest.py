"""A real Chromium that looks at a real process of ours, whose trackers are the fakes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, sync_playwright

from tests.fakes._server import Server
from tests.fakes.trakt import Trakt
from tests.running import Process, started

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PASSWORD = "a long enough password"
PHONE: ViewportSize = {"width": 390, "height": 844}
DESKTOP: ViewportSize = {"width": 1280, "height": 900}


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("There is no Chromium here. On Debian or Ubuntu: sudo apt install chromium")
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield made
        made.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    made = browser.new_context(viewport=DESKTOP)
    made.set_default_timeout(10_000)
    yield made
    made.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


@pytest.fixture
def trakt() -> Iterator[Server]:
    with Server(Trakt()) as server:
        yield server


@pytest.fixture
def house(tmp_path: Path, trakt: Server) -> Iterator[Process]:
    """A running service whose owner `me` has a password, set up for the fake Trakt."""
    process = Process(
        tmp_path,
        ADMIN_PASSWORD=PASSWORD,
        TRAKT_CLIENT_ID="fake-client-id",
        TRAKT_CLIENT_SECRET="fake-client-secret",
        TRAKT_API_URL=trakt.url,
        TRAKT_AUTH_URL=trakt.url,
        TRAKT_WRITES_PER_SECOND="0",
    ).prepare()
    with started(process):
        yield process


def sign_in(page: Page, house: Process, name: str = "me", password: str = PASSWORD) -> None:
    page.goto(f"{house.url}/sign-in")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda url: "/sign-in" not in url)
