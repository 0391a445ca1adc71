"""Everything that waits for a person is settled in the browser, with scripts and without."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import PASSWORD, SCRIPTS, at, comes, opened, sign_in
from tests.evening import film, plex
from tests.fakes._server import Server
from tests.fakes.tmdb import Tmdb
from tests.fakes.trakt import Trakt
from tests.fakes.tvdb import Tvdb
from tests.identity.world import everything
from tests.running import Process, eventually, started


@pytest.fixture
def at_trakt() -> Iterator[Server]:
    world, fake = everything(), Trakt()
    fake.catalogue.load(world.trakt())
    with Server(fake) as server:
        yield server


@pytest.fixture
def home(tmp_path: Path, at_trakt: Server) -> Iterator[Process]:
    """A service with every lookup, whose owner's Trakt knows a world of its own."""
    world = everything()
    with Server(Tmdb(world)) as tmdb, Server(Tvdb(world)) as tvdb:
        process = Process(
            tmp_path,
            ADMIN_PASSWORD=PASSWORD,
            TMDB_TOKEN=tmdb.fake.switches.token,
            TMDB_API_URL=f"{tmdb.url}/3",
            TVDB_API_KEY=tvdb.fake.switches.key,
            TVDB_API_URL=f"{tvdb.url}/v4",
            **at(at_trakt),
        ).prepare()
        process.connect("trakt", at_trakt.fake.sign_in("me"))
        process.run("people", "claim", "me", "plex:anna")
        with started(process):
            yield process


def by(user: str, payload: dict[str, Any]) -> dict[str, Any]:
    return {**payload, "Account": {"id": 2, "title": user}}


def known(title: str, tmdb: int) -> dict[str, Any]:
    """A film of the world, with its id."""
    return film(
        "media.scrobble",
        title=title,
        ratingKey=title,
        guid=f"local://{tmdb}",
        Guid=[{"id": f"tmdb://{tmdb}"}],
    )


def watched(title: str, number: int, **more: Any) -> dict[str, Any]:
    """A film that the media server knows by its title alone."""
    return film(
        "media.scrobble", title=title, ratingKey=str(number), guid=f"local://{number}", Guid=[], **more
    )


def told(process: Process, state: str, number: int) -> bool:
    return len(process.api("/deliveries", state=state, tracker="trakt")["items"]) == number


@pytest.fixture
def list_of(browser: Browser, home: Process, scripts: bool) -> Iterator[Page]:
    with opened(browser, scripts=scripts) as page:
        sign_in(page, home)
        page.goto(f"{home.url}/needs-you")
        yield page


@SCRIPTS
def test_a_user_is_claimed_another_ignored_and_heeded_again(
    list_of: Page, home: Process, at_trakt: Server, scripts: bool
) -> None:
    page = list_of
    expect(page.get_by_text("Nothing needs your attention.")).to_be_visible()
    home.post("plex", by("bob", known("Burning Sea", 55020)))
    home.post("plex", by("guest", plex("media.play")))
    comes(page, page.get_by_role("button", name="Claim guest"), scripts=scripts)
    comes(page, page.get_by_role("button", name="Claim bob"), scripts=scripts)
    assert page.title().startswith("(2)")

    page.get_by_role("button", name="Ignore guest").click()
    expect(page.get_by_text("Ignored. This user's plays are not tracked.")).to_be_visible()
    page.get_by_text("Ignored users (1)").click()
    page.get_by_role("button", name="Stop ignoring guest").click()
    expect(page.get_by_role("button", name="Claim guest")).to_be_visible()

    page.get_by_role("button", name="Yes, that\u2019s me: bob").click()
    expect(page.get_by_text("Claimed. Waiting webhooks are processed now.")).to_be_visible()
    eventually(lambda: told(home, "done", 1), "what waited is told")

    row = page.get_by_role("listitem").filter(has=page.get_by_role("button", name="Claim guest"))
    row.get_by_role("combobox").select_option(label="someone new:")
    row.get_by_label("Name of the new person").fill("Grandma")
    page.get_by_role("button", name="Claim guest").click()
    expect(page.get_by_text("Nothing needs your attention.")).to_be_visible()
    page.goto(f"{home.url}/people")
    expect(page.get_by_role("link", name="Grandma")).to_be_visible()


@SCRIPTS
def test_what_nobody_knows_is_matched_by_a_candidate_and_by_a_search(
    list_of: Page, home: Process, at_trakt: Server, scripts: bool
) -> None:
    page = list_of
    home.post("plex", watched("Harbour Lights", 1, year=None))
    comes(page, page.get_by_role("button", name="Choose: Harbour Lights (1974)"), scripts=scripts)
    page.get_by_role("button", name="Choose: Harbour Lights (1974)").click()
    expect(page.get_by_text("Match saved.")).to_be_visible()
    eventually(lambda: told(home, "done", 1), "the film is told")

    home.post("plex", watched("A Boat Made of Paper", 2, year=None))
    comes(page, page.get_by_text("A Boat Made of Paper"), scripts=scripts)
    page.get_by_role("link", name="Search or enter an ID").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("What is A Boat Made of Paper?")
    page.get_by_role("searchbox", name="Title").fill("Paper Boats")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("button", name="Choose: Paper Boats (2004)").first.click()
    expect(page.get_by_text("Nothing needs your attention.")).to_be_visible()
    eventually(lambda: told(home, "done", 2), "the other is told")
    sent = [call.body["movie"]["ids"] for call in at_trakt.fake.made("POST /scrobble/stop")]
    assert [ids["tmdb"] for ids in sent[-2:]] == [55002, 55050]


@SCRIPTS
def test_a_delivery_that_was_given_up_is_retried_and_another_dismissed(
    list_of: Page, home: Process, at_trakt: Server, scripts: bool
) -> None:
    page = list_of
    at_trakt.fake.faults.add("POST /scrobble", status=400, body={"error": "not supported"}, times=2)
    home.post("plex", known("Burning Sea", 55020))
    home.post("plex", known("Salt Road", 55040))
    eventually(lambda: told(home, "dead", 2), "both have failed")
    given_up = page.get_by_role("region", name="Failed")
    comes(page, given_up.get_by_text("Salt Road"), scripts=scripts)
    expect(given_up.get_by_text("not supported").first).to_be_visible()

    row = given_up.get_by_role("listitem").filter(has_text="Burning Sea")
    row.get_by_role("button", name="Retry").click()
    expect(page.get_by_text("Retrying.")).to_be_visible()
    eventually(lambda: told(home, "done", 1), "it is told")
    given_up.get_by_role("button", name="Dismiss delivery").click()
    expect(page.get_by_text("Dismissed: 1.")).to_be_visible()
    expect(page.get_by_text("Nothing needs your attention.")).to_be_visible()
    assert told(home, "dead", 1)  # it stays in the activity
