"""A posted webhook shows up by itself, and everything works without scripts."""

from __future__ import annotations

import time

from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import sign_in
from tests.evening import film
from tests.running import Process


def test_a_posted_webhook_appears_within_a_second_without_reloading(page: Page, house: Process) -> None:
    sign_in(page, house)
    page.goto(house.url + "/")
    page.evaluate("window.stayed = true")
    page.wait_for_timeout(1500)  # until the page listens

    began = time.monotonic()
    house.post("plex", film("media.play"))
    playing = page.get_by_role("region", name="Playing")
    expect(playing.get_by_text("Playing", exact=False).first).to_be_visible()
    expect(page.get_by_text("me", exact=False).first).to_be_visible()
    expect(playing.locator(".title")).to_have_count(1, timeout=3000)

    assert time.monotonic() - began < 1.5
    assert page.evaluate("window.stayed") is True


def test_the_page_says_the_same_without_scripts(browser: Browser, house: Process) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    sign_in(page, house)
    house.post("plex", film("media.play"))
    page.goto(house.url + "/")

    expect(page.get_by_role("region", name="Playing").locator(".title")).to_have_count(1)
    context.close()
