"""What hands do with a page: copy, type, open and tab through it, while it draws itself again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import PASSWORD, SCRIPTS, at, listening, opened, sign_in, stayed
from tests.evening import film, plex
from tests.fakes._server import Server
from tests.fakes.trakt import Trakt
from tests.running import Process, eventually, started

TABBED = (
    "/",
    "/needs-you",
    "/activity",
    "/connections/trakt",
    "/people/me",
    "/people/me/apps",
    "/setup",
    "/settings",
    "/history/import",
)
REACHABLE = """() => [...document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, summary")]
  .filter((one) => !one.disabled && one.checkVisibility({ visibilityProperty: true }) && !one.closest("datalist"))
  .filter((one, index, all) => {  // the choices of one question are one stop: the chosen one, else the first
    const choices = all.filter((other) => other.type === "radio" && other.name === one.name && other.form === one.form);
    return one.type !== "radio" || one === (choices.find((other) => other.checked) ?? choices[0]);
  })
  .map((one, index) => (one.dataset.place = String(index)))"""
FOCUSED = """() => {
  const one = document.activeElement, style = getComputedStyle(one);
  return { place: one.dataset.place ?? null, outline: style.outlineStyle === "none" ? 0 : parseFloat(style.outlineWidth) };
}"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    folder: Path = tmp_path_factory.mktemp("home")
    with Server(Trakt()) as trakt:
        process = Process(folder, ADMIN_PASSWORD=PASSWORD, **at(trakt)).prepare()
        process.run("people", "claim", "me", "plex:anna")
        with started(process):
            process.post("plex", film("media.scrobble"))
            process.post("plex", plex("media.play", user="guest"))
            eventually(lambda: waits(process, 1), "the guest is nobody's")
            yield process


def waits(process: Process, number: int) -> bool:
    return len(process.api("/webhooks", state="unclaimed")["items"]) == number


@pytest.fixture
def me(page: Page, home: Process) -> Page:
    sign_in(page, home)
    return page


def test_a_copy_button_copies(me: Page, home: Process) -> None:
    me.context.grant_permissions(["clipboard-read", "clipboard-write"])
    me.goto(f"{home.url}/setup")
    button = me.get_by_role("button", name="Copy the address for Plex")
    button.click()

    expect(button).to_have_text("Copied")
    expect(me.locator("#spoken")).to_have_text("Copied")
    copied = me.evaluate("navigator.clipboard.readText()")
    assert copied == me.get_by_label("Address to paste").first.input_value()


def test_what_one_has_opened_and_typed_outlives_a_live_drawing(me: Page, home: Process) -> None:
    home.post("plex", plex("media.play", user="ghost"))
    eventually(lambda: waits(home, 2), "the ghost is nobody's")
    me.goto(f"{home.url}/needs-you")
    me.get_by_role("button", name="Ignore ghost").click()
    listening(me, f"{home.url}/needs-you")
    row = me.get_by_role("listitem").filter(has=me.get_by_role("button", name="Claim guest"))
    me.get_by_text("Ignored users (1)").click()
    row.get_by_role("combobox").select_option(label="someone new:")
    row.get_by_label("Name of the new person").fill("Grandma")
    me.get_by_role("button", name="Claim guest").focus()

    home.post("plex", plex("media.play", user="another"))
    expect(me.get_by_role("button", name="Claim another")).to_be_visible()
    expect(row.get_by_label("Name of the new person")).to_have_value("Grandma")
    expect(row.get_by_role("combobox")).to_have_value("")
    expect(me.get_by_role("button", name="Stop ignoring ghost")).to_be_visible()
    expect(me.get_by_role("button", name="Claim guest")).to_be_focused()
    assert stayed(me)


def test_what_one_types_in_is_not_drawn_over(me: Page, home: Process) -> None:
    listening(me, f"{home.url}/needs-you")
    field = me.get_by_label("Name of the new person").first
    field.press_sequentially("Gran")
    counted = me.title()
    home.post("plex", plex("media.play", user="a third"))
    expect(me).not_to_have_title(counted)  # the page has drawn itself again, but for this part
    field.press_sequentially("dad")

    expect(field).to_have_value("Grandad")
    expect(field).to_be_focused()


def test_a_page_that_nobody_looks_at_holds_no_connection_and_catches_up(me: Page, home: Process) -> None:
    listening(me, f"{home.url}/activity")
    looks = """(hidden) => {
      Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
      document.dispatchEvent(new Event("visibilitychange"));
    }"""
    with me.expect_event("requestfailed", lambda asked: asked.url.endswith("/live")):
        me.evaluate(looks, True)
    home.post("plex", film("media.play", ratingKey="9", title="Meanwhile"))
    eventually(lambda: "Meanwhile" in str(home.api("/webhooks")["items"][0]["events"]), "it is read")
    expect(me.get_by_role("link", name="Meanwhile")).to_have_count(0)

    with me.expect_response(lambda answer: answer.url.endswith("/live")):
        me.evaluate(looks, False)
    expect(me.get_by_role("link", name="Meanwhile")).to_be_visible()
    assert stayed(me)


def test_a_page_that_is_not_there_keeps_the_navigation(me: Page, home: Process) -> None:
    answer = me.goto(f"{home.url}/nothing")

    assert answer is not None
    assert answer.status == 404
    me.get_by_role("navigation", name="Pages").get_by_role("link", name="History").click()
    expect(me.get_by_role("heading", level=1)).to_have_text("History")


@pytest.mark.parametrize("path", TABBED)
def test_everything_is_reached_by_tab_and_seen(me: Page, home: Process, path: str) -> None:
    me.goto(home.url + path)
    me.keyboard.press("Tab")
    expect(me.get_by_role("link", name="Skip to content")).to_be_in_viewport()
    places = set(me.evaluate(REACHABLE))
    me.evaluate("document.activeElement.blur()")
    reached, unseen = set(), set()
    for _ in range(len(places) * 2 + 10):
        me.keyboard.press("Tab")
        focused = me.evaluate(FOCUSED)
        reached.add(focused["place"])
        if focused["place"] is not None and focused["outline"] < 2:
            unseen.add(focused["place"])
        if places <= reached:
            break

    named = "(place) => document.querySelector(`[data-place='${place}']`).outerHTML"
    assert not [me.evaluate(named, place) for place in sorted(places - reached)]
    assert not [me.evaluate(named, place) for place in sorted(unseen)]


def test_the_first_link_skips_to_the_content(me: Page, home: Process) -> None:
    me.goto(f"{home.url}/setup")
    me.keyboard.press("Tab")
    me.keyboard.press("Enter")
    me.keyboard.press("Tab")

    assert me.evaluate("document.querySelector('main').contains(document.activeElement)")


@pytest.mark.parametrize(("wish", "moves"), [("reduce", False), ("no-preference", True)])
def test_nothing_moves_for_who_wants_no_motion(me: Page, home: Process, wish: str, moves: bool) -> None:
    me.emulate_media(reduced_motion="reduce" if wish == "reduce" else "no-preference")
    me.goto(f"{home.url}/setup")
    took = """() => [...document.querySelectorAll("*")].some((one) => {
      const style = getComputedStyle(one);
      return style.animationName !== "none" || parseFloat(style.transitionDuration) > 0;
    })"""

    assert me.evaluate(took) is moves


@SCRIPTS
def test_filters_are_tried_before_they_are_saved(browser: Browser, home: Process, scripts: bool) -> None:
    with opened(browser, scripts=scripts) as page:
        sign_in(page, home)
        page.goto(f"{home.url}/people/me")
        page.get_by_label("Never these libraries").fill("Films")
        if not scripts:
            page.get_by_role("button", name="Preview").click()
        expect(
            page.get_by_role("heading", name=re.compile(r"[1-9] of the last [1-9] would be filtered"))
        ).to_be_visible()
        expect(page.get_by_text("This is a preview; nothing has been saved.")).to_be_visible()
        expect(page.get_by_label("Never these libraries")).to_have_value("Films")
        page.goto(f"{home.url}/people/me")
        expect(page.get_by_label("Never these libraries")).to_have_value("")


def test_the_time_zone_of_the_browser_is_suggested(browser: Browser, home: Process) -> None:
    context = browser.new_context(timezone_id="Europe/Berlin")
    page = context.new_page()
    sign_in(page, home)
    page.goto(f"{home.url}/people/me")

    expect(page.get_by_role("combobox", name="Time zone")).to_have_value("Europe/Berlin")
    expect(page.get_by_text("This is your browser\u2019s time zone. Save to use it.")).to_be_visible()
    context.close()


def test_the_api_pages_are_narrowed_by_words(me: Page, home: Process) -> None:
    me.goto(f"{home.url}/api/docs")
    me.get_by_role("searchbox", name="Filter").fill("deliveries retry")

    expect(me.locator("details.operation:visible")).to_have_count(2)
    expect(me.get_by_text("2 of")).to_be_visible()
