"""A member comes in by a one-time link, sees what is theirs, and nothing of anybody else's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import PASSWORD, SCRIPTS, opened, sign_in
from tests.evening import film, plex
from tests.running import Process, eventually, started

OWNERS = (
    "/settings", "/connections/tmdb", "/connections/tautulli", "/connections/notifications", "/people/me", "/people/me/remove",
    "/history?person=me", "/history/numbers?person=me", "/library?person=me", "/history/export?person=me",
    "/history/backfill?person=me", "/history/import?person=me", "/history/plays/1", "/trace/1",
)  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """The owner, who watched a film, and bob, who watched an episode."""
    folder: Path = tmp_path_factory.mktemp("home")
    process = Process(folder, ADMIN_PASSWORD=PASSWORD).prepare()
    process.run("people", "add", "bob")
    process.run("people", "claim", "bob", "plex:bob")
    process.run("people", "claim", "me", "plex:anna")
    with started(process):
        process.post("plex", film("media.scrobble"))
        process.post("plex", plex("media.scrobble", user="bob"))
        eventually(lambda: len(process.api("/plays")["items"]) == 2, "both plays are there")
        yield process


def let_in(browser: Browser, home: Process, *, scripts: bool = True) -> str:
    """The owner makes a link for bob; it is on the page this once."""
    with opened(browser, scripts=scripts) as page:
        sign_in(page, home)
        page.get_by_role("link", name="Settings").click()
        page.get_by_role("link", name="People").click()
        page.get_by_role("link", name="bob").click()
        page.get_by_role("button", name="Create one-time link").click()
        return page.get_by_label("One-time link").input_value()


def come_in(page: Page, link: str) -> None:
    page.goto(link)
    expect(page.get_by_text("Choose the password for bob.")).to_be_visible()
    page.get_by_label("Password, at least").fill(PASSWORD)
    page.get_by_label("Repeat the password").fill(PASSWORD)
    page.get_by_role("button", name="Set password and sign in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Set up Watchmark")


@SCRIPTS
def test_a_link_lets_a_member_in_once(browser: Browser, home: Process, scripts: bool) -> None:
    link = let_in(browser, home, scripts=scripts)
    with opened(browser, scripts=scripts) as page:
        come_in(page, link)
        page.get_by_role("navigation", name="Pages").get_by_role("link", name="Now").click()
        last = page.get_by_role("region", name="Recent plays")
        expect(last.get_by_text("Tidewater S1 E1")).to_be_visible()
        expect(last.get_by_role("listitem")).to_have_count(1)

        answer = page.goto(link)
        assert answer is not None
        assert answer.status == 404
        expect(page.get_by_role("heading", level=1)).to_have_text("This link has expired")


def test_a_member_is_shown_their_own_and_refused_the_rest(browser: Browser, home: Process) -> None:
    with opened(browser) as page:
        come_in(page, let_in(browser, home))
        page.goto(f"{home.url}/")
        links = page.get_by_role("navigation", name="Pages").get_by_role("link")
        expect(links).to_have_text(["Now", "History", "Library", "Activity", "Settings"])

        for path in ("/", "/activity", "/deliveries", "/needs-you", "/history", "/connections", "/people"):
            page.goto(home.url + path)
            assert "Lighthouse Keeper" not in page.content()
        expect(page.get_by_role("heading", level=1)).to_have_text("bob")
        page.goto(f"{home.url}/connections/plex")  # where a member has an account, and no settings
        assert 'name="PLEX_TOKEN"' not in page.content()
        for path in OWNERS:
            answer = page.goto(home.url + path)
            assert answer is not None
            assert answer.status in (403, 404), path
            expect(page.get_by_role("link", name="Back to Now")).to_be_visible()


def test_a_member_sets_another_password(browser: Browser, home: Process) -> None:
    with opened(browser) as page:
        come_in(page, let_in(browser, home))
        page.get_by_role("link", name="Settings").click()
        page.get_by_role("region", name="Sign-in").get_by_label("Current password").fill(PASSWORD)
        page.get_by_label("New password, at least").fill("another long password")
        page.get_by_label("Repeat the new password").fill("another long password")
        page.get_by_role("button", name="Change password").click()
        expect(page.get_by_text("Saved.")).to_be_visible()
        page.get_by_role("button", name="Sign out").click()
        sign_in(page, home, "bob", "another long password")
        expect(page.get_by_role("heading", level=1)).to_have_text("Now")
