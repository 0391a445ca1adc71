"""Every page looks as it did: on a phone and a desktop, light and dark, full, empty, and with unusual names.

What is kept is in `looks/`; where a page is to look different, `make screenshots-accept` keeps what it looks like now.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page
from sqlalchemy import Connection

from tests.browser import looks, rules, worlds
from tests.browser.looks import PHONE_VIEW, VIEWS, Look, Scheme, photograph
from tests.web.conftest import Household
from webhook import clock
from webhook.demo.catalogue import SHOW_BY_TITLE
from webhook.people import passwords

KEPT = Path(__file__).parent / "looks"
SCHEMES: Sequence[Scheme] = ("light", "dark")
PLAIN: Mapping[str, Sequence[Scheme]] = {"desktop": ("dark",), "phone": ("light",)}
"""How households of unusual names are looked at; where all is as usual, it is looked at in every way."""

COMMON = (
    "/", "/start?step=tracker", "/history", "/history?view=grid", "/history/numbers", "/library", "/library/films", "/activity", "/deliveries",
    "/needs-you", "/connections", "/people",
)  # fmt: skip
DEMO_SHOW = f"/library/shows/tvdb:{SHOW_BY_TITLE['Glasshouse Lane'].ids.tvdb}"
PAGES: Mapping[str, Sequence[str]] = {
    "full": (
        *COMMON, DEMO_SHOW, "/history/plays/1", "/trace/1", "/history/add?kind=episode", "/history?select=1", "/history/import",
        "/history/export", "/history/backfill", "/history/numbers/2026/review", "/connections/trakt", "/connections/plex", "/connections/compare", "/setup",
        "/people/Mira", "/people/Theo", "/people/Mira/apps", "/settings", "/api/docs", "/nothing",
    ),
    "empty": (*COMMON, "/start"),
    "long": (*COMMON, "/library/shows/tvdb:77", "/history/plays/1", "/trace/1"),
    "rtl": (*COMMON, "/library/shows/tvdb:77", "/history/plays/1", "/trace/1"),
}  # fmt: skip
LOCALES = {"long": "de-DE"}
"""Long names are looked at between long words."""

PHONES = (390, 360)
"""The widths of screens on which the rules are kept in German too, whose words are longer; no picture is taken."""

GERMAN = (
    *PAGES["full"], "/library/watchlist", "/library/watchlist/add", "/activity?outcome=waiting",
    "/activity?state=ignored", "/deliveries?state=dead", "/history?kind=episode", "/start",
)  # fmt: skip

INVITED = "asks-for-a-password"
STRANGERS = ("/sign-in", f"/welcome/{INVITED}", "/welcome/expired")


@dataclass
class Walk:
    """The looks of the pages that were walked, and what is wrong with them."""

    seen: dict[Look, Image.Image] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def visit(
        self,
        page: Page,
        home: Household,
        path: str,
        ways: Mapping[str, Sequence[Scheme]],
        scales: rules.Scales | None,
    ) -> None:
        page.goto(home.url + path)
        for view in VIEWS.values():
            for scheme in ways[view.name]:
                self.seen[Look(path, view.name, scheme)] = photograph(page, view, scheme)
            if scales is not None:
                self.wrong += rules.check(page, f"{path} on a {view.name}")
        if scales is not None:
            self.wrong += scales.check(path)


@pytest.mark.parametrize("world", worlds.WORLDS)
def test_every_page_looks_as_it_did_and_keeps_the_rules(browser: Browser, tmp_path: Path, world: str) -> None:
    walk = Walk()
    everywhere = dict.fromkeys(VIEWS, SCHEMES)
    with (
        worlds.household(world, tmp_path / "data") as home,
        signed_in(browser, home, LOCALES.get(world, "en-GB")) as context,
    ):
        page = context.new_page()
        scales = rules.Scales(home.client(cookies=cookies(context))) if world in ("full", "empty") else None
        for path in PAGES[world]:
            walk.visit(page, home, path, everywhere if world == "full" else PLAIN, scales)
        if world == "empty":
            home.do(invite)
            context.clear_cookies()
            for path in STRANGERS:
                walk.visit(page, home, path, everywhere, rules.Scales(home.client()))

        if world == "full":
            walk.wrong += check_in_german(browser, home)

    assert not walk.wrong, "\n".join(walk.wrong)
    if os.environ.get("ACCEPT_LOOKS"):
        looks.save(KEPT, world, walk.seen)
    differing = looks.compare(walk.seen, looks.load(KEPT, world), tmp_path)
    assert not differing, "\n".join([*differing, "Are they to look like this? Then: make screenshots-accept"])


def check_in_german(browser: Browser, home: Household) -> Iterator[str]:
    with signed_in(browser, home, "de-DE") as context:
        page = context.new_page()
        for path in GERMAN:
            page.goto(home.url + path)
            for width in PHONES:
                page.set_viewport_size({"width": width, "height": PHONE_VIEW.screen["height"]})
                yield from rules.check(page, f"{path} in German on {width} px")


def signed_in(browser: Browser, home: Household, locale: str = "en-GB") -> BrowserContext:
    context = looks.small_context(browser, locale)
    context.request.get(f"{home.url}/welcome/{worlds.LINK}")
    return context


def cookies(context: BrowserContext) -> dict[str, str]:
    return {str(cookie["name"]): str(cookie["value"]) for cookie in context.cookies()}


def invite(connection: Connection) -> None:
    passwords.invite(connection, INVITED, clock.now())


# --- the comparison itself

MUTANTS: Mapping[str, str] = {
    "no style sheet": "document.querySelector('link[rel=stylesheet]').disabled = true",
    "a card that moved": "document.querySelector('.card').style.transform = 'translate(60px, 40px)'",
    "a broken grid": "for (const one of document.querySelectorAll('.grid, .cards, .strip')) one.style.display = 'block'",
    "a lost column": "document.querySelector('.side').remove()",
    "a lost bar": "document.querySelector('.sections').style.display = 'none'",
    "a lost picture": "document.querySelector('main .poster img').remove()",
    "larger words": "document.documentElement.style.fontSize = '112%'",
}
"""What may go wrong with a page, as a script that does it."""


def test_a_page_that_goes_wrong_is_seen_and_other_drawn_words_are_not(
    browser: Browser, tmp_path: Path
) -> None:
    with worlds.household("long", tmp_path / "data") as home, signed_in(browser, home) as context:
        page = context.new_page()
        kept, by_other_fonts = look_at(page, home), {}
        looks.save(tmp_path / "kept", "long", kept)
        kept = looks.load(tmp_path / "kept", "long")
        with looks.small_context(browser, scale=1) as finer:
            finer.add_cookies(cast(Any, context.cookies()))
            by_other_fonts = look_at(finer.new_page(), home)
        seen = {name: look_at(page, home, script) for name, script in MUTANTS.items()}

    assert looks.compare(kept, kept, tmp_path) == []
    assert looks.compare(by_other_fonts, kept, tmp_path) == []
    for name, mutant in seen.items():
        assert len(looks.compare(mutant, kept, tmp_path)) > 0, name
    dark = {replace(look, scheme="light"): image for look, image in kept.items() if look.scheme == "dark"}
    light = {look: image for look, image in kept.items() if look.scheme == "light"}
    assert len(looks.compare(dark, light, tmp_path)) == len(light)
    assert len(looks.compare({}, kept, tmp_path)) == len(kept)
    assert len(looks.compare(kept, {}, tmp_path)) == len(kept)


def look_at(page: Page, home: Household, script: str = "") -> dict[Look, Image.Image]:
    """The looks of the first page, after a script has changed it."""
    page.goto(home.url)
    page.evaluate(script)
    return {
        Look("/", name, scheme): photograph(page, view, scheme)
        for name, view in VIEWS.items()
        for scheme in SCHEMES
    }
