"""Every page, in both schemes, on a phone and a desktop: usable by everybody, small, and on its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import Connection, select

from tests.browser.conftest import DESKTOP, PASSWORD, PHONE, at, opened, sign_in
from tests.evening import film, plex
from tests.fakes._server import Server
from tests.fakes.trakt import Trakt
from tests.running import Process, eventually, started
from webhook import lookups, servers, trackers
from webhook.domain.event import Episode, Ids, Movie, Show
from webhook.domain.play import Play, State
from webhook.domain.watchlist import WantedItem
from webhook.history import library, shows, watchlist_reads
from webhook.history.watchlist import Watchlist
from webhook.lookups import ListedEpisode
from webhook.people import identities, passwords, people
from webhook.storage.tables import account
from webhook.transfer import merge
from webhook.transfer.records import Viewing

AXE = (files("axe_playwright_python") / "axe.min.js").read_text()
LARGEST = 150 * 1024
NARROWEST = 320
"""A desktop of 1280 pixels at 400 %: nothing may need to be scrolled both ways (WCAG 1.4.10)."""

GRAVE = ("serious", "critical")
SEEN = "{ resultTypes: ['violations'], runOnly: ['color-contrast', 'link-in-text-block', 'scrollable-region-focusable', 'target-size'] }"
"""The rules that look and layout have to do with: colours and sizes differ by scheme and screen, the rest does not."""

NAMES = "{ resultTypes: ['violations'], rules: { 'label-content-name-mismatch': { enabled: true } } }"
"""Who speaks to a page says the words that stand on its buttons (WCAG 2.5.3); axe asks for it only when told to."""

UNFOLD = """for (const one of document.querySelectorAll(
  "details:not(.operation, .shape), .operation:first-of-type, .shape:first-of-type"
)) one.open = true"""
"""Everything that is folded; of the API's operations and shapes, which are drawn alike, the first of each group."""

CONTROLS = "button, select, summary, a.button, a.chip, .sections a, .tabs a, label.tick, input:not([type=hidden], [type=checkbox], [type=radio])"
THUMB = 44
TOO_SMALL = """([controls, thumb]) => [...document.querySelectorAll(controls)]
  .filter((one) => one.getClientRects().length && !one.closest(".unseen"))
  .filter((one) => one.getBoundingClientRect().height < thumb - 0.5)
  .map((one) => one.outerHTML.slice(0, 120))"""
"""What a thumb may miss on a phone; links within a text are as small as the text."""

SERVICES = sorted({*trackers.modules(), *lookups.modules(), *servers.modules(), "notifications"})
OF_A_KIND = {
    "trakt",
    "tvtime",
    "lastfm",
    "listenbrainz",
    "mdblist",
    "webhook_out",
    "tmdb",
    "plex",
    "notifications",
}
"""One of each kind of sign-in and form; the pages of the other services are drawn by the same templates."""

EVERY = (
    "/", "/activity", "/activity?state=ignored", "/activity?text=nothing", "/activity?outcome=needs_you", "/trace/1", "/trace/2", "/deliveries",
    "/deliveries?state=dead", "/needs-you", "/needs-you/match?of=UNMATCHED", "/needs-you/match?of=UNMATCHED&title=x",
    "/history", "/history/add", "/history/add?kind=episode", "/history/add?kind=episode&q=tide",
    "/history/add?kind=episode&picked=1&show=Tidewater&show_ids.tvdb=77", "/history?text=Film", "/history?view=grid", "/history?select=1", "/history?only=not-sent", "/history/numbers", "/history/numbers?year=all", "/history/numbers?with=me",
    "/history/numbers/2026/review", "/library",
    "/library/films", "/library/up-to-date", "/library/watchlist", "/library/watchlist?remove=1", "/library/watchlist/add", "/library/watchlist/add?kind=show&q=tide", "/library/shows/tvdb:77", "/library/films/tmdb:2", "/history/plays/1", "/history/plays/2", "/history/import", "/history/export",
    "/history/backfill", "/connections", "/connections/compare", *(f"/connections/{name}" for name in SERVICES),
    "/connections/trakt?then=/start", "/setup", "/people", "/people/me", "/people/bob", "/people/bob/remove",
    "/people/me/apps", "/settings", "/start", "/start?step=server", "/start?step=tracker", "/start?tracker=simkl",
    "/start?tracker=listenbrainz", "/api/docs",
)  # fmt: skip
MEMBERS = (
    "/", "/activity", "/deliveries", "/needs-you", "/history", "/history/add", "/history/numbers", "/library", "/history/import",
    "/history/export", "/history/backfill", "/connections", "/connections/trakt", "/connections/tvtime", "/setup",
    "/people/bob", "/people/bob/apps", "/start", "/start?step=server", "/start?step=tracker",
)  # fmt: skip
MEMBERS_OWN = {"/", "/needs-you", "/connections", "/connections/trakt", "/people/bob", "/start?step=tracker"}
"""What a member sees otherwise than the owner; the rest of theirs is drawn by the same templates with less in it."""

LINK = "a-one-time-link-for-bob"
STRANGERS = {"/sign-in?next=/history": 200, f"/welcome/{LINK}": 200, "/welcome/gone": 404, "/nothing": 404}
REFUSED = {"/nothing": 404, "/trace/999": 404, "/people/nobody": 404, "/people/me/remove": 409}


def filled(connection: Connection, service: Any) -> None:
    """A history of two years, a followed show, and something of everything that waits."""
    now = datetime.now(UTC).replace(microsecond=0)
    viewings = []
    for number in range(150):
        at = now - timedelta(days=4 * number, hours=number % 7)
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
    merge.merge_entries(connection, 1, viewings, now)
    library.follow_show(connection, 1, Show(title="Tidewater", ids=Ids(tvdb=77)), now)
    aired = (now - timedelta(days=2)).date().isoformat()
    listed = [
        ListedEpisode(season=9, number=number, title=f"Part {number}", aired=aired) for number in (1, 2)
    ]
    shows.store_lists(connection, [shows.ShowList("tvdb:77", "tvdb", listed, now)])
    bob = people.add_person(connection, "bob", now)
    passwords.set_password(connection, bob, passwords.hash_password(PASSWORD))
    identities.claim_identities(connection, "me", "plex:anna", now)
    passwords.invite(connection, LINK, now, person_id=bob)


def want(connection: Connection, service: Any) -> None:
    """A watchlist, and a service from whose list much is suddenly gone."""
    mine = Watchlist(connection, 1, service.trackers, datetime.now(UTC).replace(microsecond=0))
    (account_id,) = connection.execute(select(account.c.id).where(account.c.tracker == "trakt")).scalars()
    films = [Movie(title=f"Wanted {number}", year=1990, ids=Ids(tmdb=9_000 + number)) for number in range(30)]
    for listed in (films, films[:2]):
        wanted = [WantedItem(item=one) for one in listed]
        watchlist_reads.apply_read(mine, account_id, "Trakt", wanted)
    watchlist_reads.set_read(connection, account_id, error="Trakt answered 503")


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A house where everything has something to show."""
    folder: Path = tmp_path_factory.mktemp("full")
    with Server(Trakt()) as trakt:
        process = Process(folder, ADMIN_PASSWORD=PASSWORD, **at(trakt)).prepare(filled)
        process.connect("trakt", trakt.fake.sign_in("me")).prepared(want)
        trakt.fake.catalogue.load({"movies": [{"title": "Slow Light", "year": 2001, "ids": {"tmdb": 4}}]})
        trakt.fake.faults.add("POST /scrobble", status=400, body={"error": "not supported"})
        with started(process):
            process.post("plex", film("media.scrobble", title="Slow Light", Guid=[{"id": "tmdb://4"}]))
            eventually(lambda: bool(some(process, state="dead")), "a delivery has failed")
            process.post("plex", plex("media.play", user="stranger"))
            process.post(
                "plex",
                film("media.scrobble", ratingKey="2", title="Nobody knows it", guid="local://2", Guid=[]),
            )
            process.post("plex", film("media.play", ratingKey="3", title="On now", viewOffset=3_000_000))
            eventually(lambda: bool(some(process, state="unmatched")), "a delivery has no match")
            yield process


def some(process: Process, **wanted: str) -> list[Any]:
    return list(process.api("/deliveries", **wanted)["items"])


def is_like_another(path: str) -> bool:
    return path.removeprefix("/connections/") in {*SERVICES} - OF_A_KIND


@pytest.fixture(scope="module")
def owner(browser: Browser, full: Process) -> Iterator[Page]:
    with opened(browser) as page:
        sign_in(page, full)
        yield page


@pytest.fixture(scope="module")
def member(browser: Browser, full: Process) -> Iterator[Page]:
    with opened(browser) as page:
        sign_in(page, full, "bob")
        yield page


@pytest.mark.parametrize("path", [
    pytest.param(path, marks=[pytest.mark.soak] if is_like_another(path) else []) for path in EVERY
])  # fmt: skip
def test_a_page_is_usable_small_and_on_its_own(owner: Page, full: Process, path: str) -> None:
    if "UNMATCHED" in path:
        path = path.replace("UNMATCHED", str(some(full, state="unmatched")[0]["id"]))
    look(owner, full, path)


@pytest.mark.parametrize("path", [
    pytest.param(path, marks=[] if path in MEMBERS_OWN else [pytest.mark.soak]) for path in MEMBERS
])  # fmt: skip
def test_so_is_a_page_of_a_member(member: Page, full: Process, path: str) -> None:
    look(member, full, path)


@pytest.mark.parametrize("path", STRANGERS)
def test_so_is_a_page_for_who_is_not_in(page: Page, full: Process, path: str) -> None:
    look(page, full, path, STRANGERS[path])


@pytest.mark.parametrize("path", REFUSED)
def test_so_is_a_page_that_says_no(owner: Page, full: Process, path: str) -> None:
    look(owner, full, path, REFUSED[path])


# --- pages that only a form leads to: what they show is shown this once, or is not done yet


def token(page: Page, house: Process, kind: str) -> None:
    page.goto(house.url + "/settings")
    page.locator("select[name=kind]").select_option(kind)
    page.get_by_label("Name").fill("a script")
    page.get_by_label("Person").select_option("bob")
    page.get_by_role("button", name="Create token").click()


def an_api_token(page: Page, house: Process) -> None:
    token(page, house, "api")


def a_webhook_token(page: Page, house: Process) -> None:
    token(page, house, "webhook")


def an_app_password(page: Page, house: Process) -> None:
    token(page, house, "app")


def a_key_for_an_app(page: Page, house: Process) -> None:
    page.goto(house.url + "/people/me/apps")
    page.get_by_label("App name").fill("Player")
    page.get_by_role("button", name="Create key").click()


def a_one_time_link(page: Page, house: Process) -> None:
    page.goto(house.url + "/people/bob")
    page.get_by_role("button", name="Create one-time link").click()


def a_file_that_was_looked_into(page: Page, house: Process) -> None:
    rows = b"Date,Name,Year,Letterboxd URI\n2024-05-06,Slow Light,2001,https://boxd.it/a\nsoon,Ninety,1990,https://boxd.it/b\n"
    page.goto(house.url + "/history/import")
    page.get_by_label("Format").select_option("letterboxd")
    page.get_by_label("File or files, as you received them").set_input_files(
        {"name": "watched.csv", "mimeType": "text/csv", "buffer": rows}
    )
    page.get_by_role("button", name="Preview", exact=True).click()


def what_a_tracker_lacks(page: Page, house: Process) -> None:
    page.goto(house.url + "/history/backfill")
    page.get_by_role("button", name="See what\u2019s missing at Trakt").click()


def a_code_that_waits(page: Page, house: Process) -> None:
    page.goto(house.url + "/connections/trakt")
    page.get_by_label("Person").select_option("bob")
    page.get_by_role("button", name="Get a code").click()


def an_address_that_is_refused(page: Page, house: Process) -> None:
    page.goto(house.url + "/connections/tmdb")
    page.get_by_label("TMDB_TOKEN").fill("a key")
    page.get_by_text("More settings").click()
    page.get_by_label("TMDB_API_URL").fill("http://a:b")
    page.get_by_role("button", name="Save", exact=True).click()


def a_service_that_nobody_could_ask(page: Page, house: Process) -> None:
    page.goto(house.url + "/connections/jellyfin")
    page.get_by_label("JELLYFIN_URL").fill("http://127.0.0.1:9")
    page.get_by_label("JELLYFIN_API_KEY").fill("a key")
    page.get_by_role("button", name="Save", exact=True).click()


def a_watched_mark_that_is_none(page: Page, house: Process) -> None:
    page.goto(house.url + "/connections/tvtime")
    page.get_by_text("What to send").first.click()
    page.get_by_label("Counts as watched from").first.fill("much")
    page.get_by_role("button", name="Save", exact=True).first.click()


def a_password_that_is_wrong(page: Page, house: Process) -> None:
    page.context.clear_cookies()
    page.goto(house.url + "/sign-in")
    page.get_by_label("Name").fill("me")
    page.get_by_label("Password", exact=True).fill("guessed")
    page.get_by_role("button", name="Sign in").click()


def plays_to_remove(page: Page, house: Process) -> None:
    page.goto(house.url + "/history?select=1")
    page.locator(".list input").first.check()
    page.get_by_role("button", name="Remove").click()


def plays_to_move(page: Page, house: Process) -> None:
    page.goto(house.url + "/history?select=1")
    page.locator(".list input").nth(3).check()
    page.get_by_role("button", name="Move", exact=True).click()


def plays_to_move_by_hours(page: Page, house: Process) -> None:
    plays_to_move(page, house)
    page.get_by_label("Hours later").fill("-2")
    page.get_by_role("button", name="Preview").first.click()


def plays_for_another_person(page: Page, house: Process) -> None:
    plays_to_move(page, house)
    page.get_by_label("Watched by").select_option("bob")
    page.get_by_role("button", name="Preview").last.click()


AFTER: Mapping[Callable[[Page, Process], None], tuple[int, str]] = {
    an_api_token: (200, "Copy it now; it is shown only once."),
    a_webhook_token: (200, "Treat these addresses like passwords"),
    an_app_password: (200, "An app made for TV Time signs in"),
    a_key_for_an_app: (200, "Copy the secret now; it is shown only once."),
    a_one_time_link: (200, "Sign-in link for bob"),
    a_file_that_was_looked_into: (200, "Nothing has been imported yet."),
    what_a_tracker_lacks: (200, "Nothing has been sent yet."),
    plays_to_remove: (200, "Imports will not add them again."),
    plays_to_move: (200, "For a server whose clock or time zone was wrong."),
    plays_to_move_by_hours: (200, "Trackers that have them get the new date."),
    plays_for_another_person: (200, "Ratings stay."),
    a_code_that_waits: (200, "and enter this code"),
    an_address_that_is_refused: (422, "is no address that can be called"),
    a_service_that_nobody_could_ask: (409, "Save anyway"),
    a_watched_mark_that_is_none: (422, "This must be a percentage from 1 to 100"),
}
"""What is done, the status of the page that it leads to, and what that says."""


@pytest.mark.parametrize("does", AFTER, ids=lambda does: does.__name__)
def test_so_is_a_page_that_a_form_leads_to(
    owner: Page, full: Process, does: Callable[[Page, Process], None]
) -> None:
    status, says = AFTER[does]
    with watched(owner, full, status) as page:
        with page.expect_response(lambda answer: answer.request.is_navigation_request()):
            does(page, full)
        expect(page.get_by_text(says).first).to_be_visible()
        judge(page)
        if does is a_code_that_waits:
            page.get_by_role("button", name="Cancel").click()


def test_so_is_the_sign_in_after_a_wrong_password(page: Page, full: Process) -> None:
    with watched(page, full, 401) as again:
        a_password_that_is_wrong(again, full)
        expect(again.get_by_role("alert")).to_be_visible()
        judge(again)


# --- what is asked of every page


def look(page: Page, house: Process, path: str, status: int = 200) -> None:
    """Load it once, and judge it."""
    with watched(page, house, status):
        answer = page.goto(house.url + path)
        assert answer is not None
        assert answer.status == status
        assert len(answer.body()) <= LARGEST
        judge(page)


@contextmanager
def watched(page: Page, house: Process, status: int) -> Iterator[Page]:
    """The page, which asks nobody else, and meets no error but the one that is awaited."""
    elsewhere: list[str] = []
    wrong: list[str] = []
    hears: dict[Any, Callable[[Any], None]] = {
        "request": lambda ask: None if ask.url.startswith(house.url) else elsewhere.append(ask.url),
        "pageerror": lambda error: wrong.append(str(error)),
        "console": lambda said: wrong.append(said.text) if said.type == "error" else None,
    }
    page.goto("about:blank")  # what the page before has yet to say is its own
    for event, hear in hears.items():
        page.on(event, hear)
    page.set_viewport_size(DESKTOP)
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    try:
        yield page
    finally:
        for event, hear in hears.items():
            page.remove_listener(event, hear)
    assert not elsewhere
    assert not [said for said in wrong if f"status of {status}" not in said]


def judge(page: Page) -> None:
    """It is usable in both schemes, on a desktop and a phone, and nothing sticks out."""
    page.evaluate(UNFOLD)
    page.evaluate(AXE)
    found = violations(page, NAMES)
    page.set_viewport_size(PHONE)
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    found += violations(page, SEEN)
    assert not {f"{one['id']}: {node['html'][:200]}" for one in found for node in one["nodes"]}
    assert not page.evaluate(TOO_SMALL, [CONTROLS, THUMB])
    for width in (PHONE["width"], NARROWEST):
        assert fits(page, width)
    page.evaluate("document.documentElement.style.fontSize = '200%'")
    for width in (PHONE["width"], DESKTOP["width"] // 2, DESKTOP["width"]):
        assert fits(page, width)


def fits(page: Page, width: int) -> bool:
    page.set_viewport_size({**PHONE, "width": width})
    return bool(page.evaluate("document.documentElement.scrollWidth") <= width)


def violations(page: Page, options: str) -> list[Any]:
    """What keeps people out of the page, as axe finds it."""
    found = page.evaluate(f"axe.run({options}).then((told) => told.violations)")
    return [one for one in found if one["impact"] in GRAVE]
