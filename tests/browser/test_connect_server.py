"""The first evening without any webhook: from an empty Watchmark to a play, by signing in with Plex alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import PASSWORD, PHONE, SCRIPTS, comes, opened
from tests.browser.test_first_evening import step
from tests.connecting import FILM, open_attic
from tests.fakes._server import Server
from tests.fakes.plex import ANNA
from tests.running import Process, eventually, started


@pytest.fixture
def attic() -> Iterator[Server]:
    with open_attic() as server:
        yield server


@pytest.fixture
def fresh(tmp_path: Path, attic: Server) -> Iterator[Process]:
    process = Process(tmp_path, CLAIM_FIRST_USER="false", PLEX_ACCOUNT_URL=attic.url)
    with started(process.prepare()):
        yield process


@SCRIPTS
def test_from_nothing_to_the_first_play_by_signing_in_with_plex(
    browser: Browser, fresh: Process, attic: Server, scripts: bool
) -> None:
    with opened(browser, scripts=scripts) as page:
        page.set_viewport_size(PHONE)
        page.goto(fresh.ready["welcome"])
        page.get_by_label("Password, at least").fill(PASSWORD)
        page.get_by_label("Repeat the password").fill(PASSWORD)
        page.get_by_role("button", name="Set password and sign in").click()
        page.get_by_role("button", name="Plex", exact=True).click()

        assert step(page) == "Your server"
        page.get_by_role("button", name="Sign in with Plex").click()
        assert page.locator(".code").inner_text() == "AB700"
        expect(page.locator(".signing").get_by_role("link").first).to_have_attribute(
            "href", "https://plex.tv/link"
        )
        if scripts:
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= PHONE["width"]
        attic.fake.link(700, "Nora")

        comes(page, page.get_by_text("Waiting for Plex"), scripts=scripts)
        comes(page, page.locator("#step-server .step.done"), scripts=scripts)
        assert step(page) == "The first play"
        eventually(lambda: bool(attic.fake.listeners == 1), "the server is listened to")
        attic.fake.start("29", FILM, account=ANNA, player="p1")
        comes(page, page.get_by_role("button", name="Yes, that\u2019s me"), scripts=scripts)
        expect(page.get_by_text("anna played Alone")).to_be_visible()
        page.get_by_role("button", name="Yes, that\u2019s me").click()
        assert step(page) == "Where should it go?"
    assert "token" not in fresh.log()
    asked = [call for call in attic.fake.calls if "token" in call.query or call.headers.get("referer")]
    assert asked == []
