"""Every page, in both schemes, on a phone and a desktop: usable by everybody, small, and on its own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page
from sqlalchemy import Connection

from tests.browser.conftest import DESKTOP, PASSWORD, PHONE, sign_in
from tests.evening import film, plex
from tests.fakes._server import Server
from tests.fakes.trakt import Trakt
from tests.running import Process, eventually, started
from webhook import library
from webhook.event import Episode, Ids, Movie, Show
from webhook.play import Play, State
from webhook.transfer import bringing
from webhook.transfer.entries import Viewing

AXE = (files("axe_playwright_python") / "axe.min.js").read_text()
LARGEST = 150 * 1024
GRAVE = ("serious", "critical")
PAGES = (
    "/", "/activity", "/trace/1", "/deliveries", "/needs-you", "/history", "/history/numbers",
    "/history/shows", "/history/shows/tvdb:77", "/history/plays/1", "/history/import", "/history/export",
    "/history/backfill", "/connections", "/connections/trakt", "/connections/tmdb", "/setup", "/people",
    "/people/me", "/settings", "/api/docs",
)  # fmt: skip


def filled(connection: Connection, service: Any) -> None:
    """A history of two years, a followed show, and something of everything that waits."""
    now = datetime.now(UTC).replace(microsecond=0)
    viewings = []
    for number in range(300):
        at = now - timedelta(days=2 * number, hours=number % 7)
        episode = Episode(
            title=f"Part {number}", show="Tidewater", season=1 + number // 20, number=number % 20,
            show_ids=Ids(tvdb=77),
        )  # fmt: skip
        item = Movie(title=f"Film {number}", year=1999, ids=Ids(tmdb=number + 1)) if number % 3 else episode
        watched = Play(
            item=item, state=State.STOPPED, started_at=at, last_at=at, watched_at=at, source="trakt",
            duration_ms=3_000_000,
        )  # fmt: skip
        viewings.append(Viewing(play=watched))
    bringing.bring(connection, 1, viewings, now)
    library.follow_show(connection, 1, Show(title="Tidewater", ids=Ids(tvdb=77)), now)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A house where everything has something to show."""
    with Server(Trakt()) as trakt:
        folder: Path = tmp_path_factory.mktemp("full")
        process = Process(
            folder,
            ADMIN_PASSWORD=PASSWORD,
            TRAKT_CLIENT_ID="fake-client-id",
            TRAKT_CLIENT_SECRET="fake-client-secret",
            TRAKT_API_URL=trakt.url,
            TRAKT_AUTH_URL=trakt.url,
        ).prepare(filled)
        process.connect("trakt", trakt.fake.sign_in("me"))
        with started(process):
            process.post("plex", film("media.scrobble"))
            process.post("plex", plex("media.play", user="stranger"))
            process.post("plex", film("media.play", ratingKey="2", title="Nobody knows it", Guid=[]))
            eventually(lambda: process.api("/webhooks")["items"][0]["state"] != "received", "all is read")
            yield process


@pytest.fixture(scope="module", params=["light", "dark"])
def signed_in(request: pytest.FixtureRequest, browser: Browser, full: Process) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport=DESKTOP, color_scheme=request.param)
    sign_in(context.new_page(), full)
    yield context
    context.close()


@pytest.fixture
def looking(signed_in: BrowserContext) -> Iterator[Page]:
    page = signed_in.new_page()
    yield page
    page.close()


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_usable_small_and_on_its_own(looking: Page, full: Process, path: str) -> None:
    elsewhere: list[str] = []
    wrong: list[str] = []
    looking.on(
        "request", lambda asked: None if asked.url.startswith(full.url) else elsewhere.append(asked.url)
    )
    looking.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    looking.on("pageerror", lambda error: wrong.append(str(error)))

    looking.set_viewport_size(DESKTOP)
    answer = looking.goto(full.url + path)
    assert answer is not None
    assert answer.status == 200
    assert len(answer.body()) <= LARGEST

    looking.evaluate(AXE)
    violations = looking.evaluate("axe.run()")["violations"]
    looking.set_viewport_size(PHONE)
    on_a_phone = looking.evaluate("axe.run()")["violations"]
    width = looking.evaluate("document.documentElement.scrollWidth")
    grave = {
        f"{one['id']}: {node['html'][:200]}"
        for one in [*violations, *on_a_phone]
        if one["impact"] in GRAVE
        for node in one["nodes"]
    }
    assert not grave
    assert width <= PHONE["width"]
    assert not elsewhere
    assert not wrong
