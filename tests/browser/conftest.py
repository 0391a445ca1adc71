"""A real Chromium that looks at a real process of ours, whose trackers are the fakes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, ViewportSize, expect, sync_playwright
from sqlalchemy import Connection

from tests.fakes._server import Server
from tests.fakes.trakt import Trakt
from tests.running import Process, started
from webhook.people import passwords, people
from webhook.service import Service

BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None)
"""The first of these that is there: without windows it takes half of the processor time."""

PASSWORD = "a long enough password"
PHONE: ViewportSize = {"width": 390, "height": 844}
DESKTOP: ViewportSize = {"width": 1280, "height": 900}
PATIENCE = 15_000  # milliseconds
SCRIPTS = pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no-scripts"])


@pytest.fixture(scope="package")  # its loop stands in the way of loops of tests that are not of this folder
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip(
            "There is no Chromium here. On Debian or Ubuntu: sudo apt install chromium-headless-shell"
        )
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield made
        made.close()


@contextmanager
def opened(browser: Browser, *, scripts: bool = True) -> Iterator[Page]:
    """A page of a browser of its own, which nobody has signed in with."""
    context = browser.new_context(viewport=DESKTOP, java_script_enabled=scripts)
    context.set_default_timeout(PATIENCE)
    yield context.new_page()
    context.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with opened(browser) as made:
        yield made


@pytest.fixture
def context(page: Page) -> BrowserContext:
    return page.context


@pytest.fixture
def trakt() -> Iterator[Server]:
    with Server(Trakt(interval=1)) as server:
        yield server


def at(trakt: Server) -> dict[str, str]:
    """The settings for the fake Trakt."""
    return {
        "TRAKT_CLIENT_ID": "fake-client-id",
        "TRAKT_CLIENT_SECRET": "fake-client-secret",
        "TRAKT_API_URL": trakt.url,
        "TRAKT_AUTH_URL": trakt.url,
        "TRAKT_WRITES_PER_SECOND": "0",
    }


@pytest.fixture
def house(tmp_path: Path, trakt: Server) -> Iterator[Process]:
    """A running service whose owner `me` has a password, set up for the fake Trakt."""
    with started(Process(tmp_path, ADMIN_PASSWORD=PASSWORD, **at(trakt)).prepare()) as process:
        yield process


def member(name: str) -> Callable[[Connection, Service], None]:
    """Adds somebody who is not the owner, and can sign in."""

    def added(connection: Connection, service: Service) -> None:
        person_id = people.add_person(connection, name, service.started_at)
        passwords.set_password(connection, person_id, passwords.hash_password(PASSWORD))

    return added


def sign_in(page: Page, house: Process, name: str = "me", password: str = PASSWORD) -> None:
    page.goto(f"{house.url}/sign-in")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda url: "/sign-in" not in url)


def comes(page: Page, what: Locator, *, scripts: bool) -> None:
    """It shows up: by itself where scripts run, else once the page is loaded again."""
    for _ in range(0 if scripts else PATIENCE // 250):
        if what.is_visible():
            break
        page.wait_for_timeout(250)
        page.goto(page.url)
    expect(what).to_be_visible()


def listening(page: Page, address: str) -> None:
    """Go to a page and wait until it is told what is new; a mark on it shows whether it stays."""
    with page.expect_response(lambda answer: answer.url.endswith("/live")):
        page.goto(address)
    page.evaluate("window.stayed = true")


def stayed(page: Page) -> bool:
    """Whether the page was not loaded anew since `listening`."""
    return page.evaluate("window.stayed === true") is True
