"""A posted webhook shows up by itself, plays on, and says when its trackers were told: below a sub-path as well."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import PASSWORD, at, comes, listening, opened, sign_in, stayed
from tests.evening import film, plex
from tests.fakes._server import Server
from tests.running import Process, eventually, started


@pytest.fixture(params=["", "/watchmark"], ids=["root", "sub-path"])
def connected(request: pytest.FixtureRequest, tmp_path: Path, trakt: Server) -> Iterator[Process]:
    """A service whose owner is signed in to the fake Trakt."""
    process = Process(tmp_path, ADMIN_PASSWORD=PASSWORD, ROOT_PATH=request.param, **at(trakt)).prepare()
    process.connect("trakt", trakt.fake.sign_in("me"))
    with started(process):
        yield process


def test_a_play_shows_up_moves_on_and_is_told_without_reloading(
    page: Page, connected: Process, trakt: Server
) -> None:
    sign_in(page, connected)
    listening(page, f"{connected.url}/")
    playing = page.get_by_role("region", name="Playing")
    last = page.get_by_role("region", name="Recent plays")

    connected.post("plex", film("media.play", viewOffset=2_998_000))
    expect(playing.locator(".title")).to_have_text("The Lighthouse Keeper (2019)")

    expect(playing.get_by_text("50 of 100 min")).to_be_visible()  # moves between two webhooks
    bar = playing.get_by_role("progressbar", name="Progress of The Lighthouse Keeper (2019)")
    eventually(lambda: bar.evaluate("bar => bar.value") > 50.0, "the bar moves as well")

    trakt.fake.faults.add("POST /scrobble/stop", delay=1.5)
    connected.post("plex", film("media.stop", viewOffset=5_900_000))
    expect(last.get_by_text("Trakt: waiting")).to_be_visible()
    expect(last.get_by_text("The Lighthouse Keeper (2019)")).to_be_visible()
    expect(last.get_by_text("Trakt")).to_have_count(0)  # the normal is not marked
    assert any(one["mark"] for one in connected.api("/deliveries", state="done")["items"])
    assert stayed(page)


def test_a_playing_film_of_a_service_below_a_sub_path_leads_to_its_trace(
    page: Page, connected: Process
) -> None:
    connected.post("plex", film("media.play"))
    sign_in(page, connected)
    page.get_by_role("link", name="The Lighthouse Keeper (2019)").click()

    expect(page.get_by_role("heading", level=1)).to_contain_text("The Lighthouse Keeper")
    assert page.url == f"{connected.url}/trace/1"
    page.get_by_role("button", name="Replay").click()
    expect(page.get_by_text("The webhook is processed again.")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_the_page_says_the_same_without_scripts(browser: Browser, house: Process) -> None:
    with opened(browser, scripts=False) as page:
        sign_in(page, house)
        house.post("plex", plex("media.play"))
        page.goto(house.url + "/")

        comes(page, page.get_by_role("region", name="Playing").locator(".title"), scripts=False)
