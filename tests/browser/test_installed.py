"""The installed app: what a browser needs to install it, and what it shows when the service is not reachable."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PASSWORD, sign_in
from tests.running import Process, eventually, started


@pytest.fixture(params=["", "/watchmark"], ids=["root", "sub-path"])
def house(request: pytest.FixtureRequest, page: Page, tmp_path: Path) -> Iterator[Process]:
    """A running service, which the owner is signed in to."""
    process = Process(tmp_path, ADMIN_PASSWORD=PASSWORD, ROOT_PATH=request.param)
    with started(process.prepare()) as house:
        sign_in(page, house)
        yield house


def heading_of(page: Page, address: str) -> str:
    """The heading at an address; the worker of a page hears a little later than the page that there is no network."""
    page.goto(address)
    return page.get_by_role("heading", level=1).inner_text()


def test_the_app_says_that_the_service_is_not_reachable_and_comes_back(page: Page, house: Process) -> None:
    page.goto(f"{house.url}/history")
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    page.goto(f"{house.url}/history")  # the worker serves from here on
    page.context.set_offline(True)
    eventually(
        lambda: heading_of(page, f"{house.url}/activity") == "Watchmark is not reachable", "it says so"
    )

    page.context.set_offline(False)
    page.get_by_role("link", name="Try again").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Now")


def test_the_manifest_names_this_service_and_icons_that_are_there(page: Page, house: Process) -> None:
    found = page.evaluate(
        """async () => {
          const address = document.querySelector('link[rel="manifest"]').href;
          const manifest = await (await fetch(address)).json();
          const of = (path) => new URL(path, address).href;
          const icons = await Promise.all(manifest.icons.map(async (icon) => (await fetch(of(icon.src))).status));
          return { start: of(manifest.start_url), scope: of(manifest.scope), icons };
        }"""
    )

    assert found["start"] == found["scope"] == f"{house.url}/"
    assert set(found["icons"]) == {200}
