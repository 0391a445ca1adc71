"""Rules of our own that every page keeps: its headings, the way that a keyboard goes, and how much it loads."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
from playwright.sync_api import Page

MAX_WEIGHT = 60 * 1024
"""The bytes that a page may load before it is drawn: itself, its style sheet and its scripts, as they are sent."""

LOADED = re.compile(r'(?:<link rel="stylesheet" href|<script src)="([^"]+)"')

HEADINGS = """() => {
  const levels = [...document.querySelectorAll("h1, h2, h3, h4, h5, h6")]
    .filter((one) => one.checkVisibility()).map((one) => Number(one.tagName[1]));
  const wrong = levels.filter((level) => level === 1).length === 1 ? [] : [`${levels.filter((one) => one === 1).length} h1`];
  levels.forEach((level, at) => {
    if (level > (at ? levels[at - 1] : 0) + 1) wrong.push(`h${level} after ${at ? `h${levels[at - 1]}` : "nothing"}`);
  });
  return wrong;
}"""
"""One h1, and no level that is left out."""

FOCUS = """() => {
  const wrong = [];
  const named = (one) => one.outerHTML.replace(/\\s+/g, " ").slice(0, 110);
  const all = [...document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex]")]
    .filter((one) => one.checkVisibility({ visibilityProperty: true }) && !one.disabled && one.tabIndex >= 0);
  const outlined = (style) => style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
  let before = null;
  for (const one of all) {
    const { left, top, right, bottom, height } = one.getBoundingClientRect();
    const within = one.closest("ul, ol, form, nav, section, header, main");
    if (before && before.within === within) {
      const beside = top < before.top + before.height / 2 && bottom > before.top + before.height / 2;
      if (beside ? right <= before.left + 1 : bottom <= before.top + 1 && left < before.right)
        wrong.push(`comes after what follows it: ${named(one)}`);
    }
    before = { within, left, top, right, height };
  }
  for (const one of all) {
    if (one.tabIndex > 0) wrong.push(`has an order of its own: ${named(one)}`);
    one.focus({ focusVisible: true });
    if (document.activeElement !== one) continue;
    if (!outlined(getComputedStyle(one)) && !outlined(getComputedStyle(one, "::after"))) wrong.push(`has no outline: ${named(one)}`);
    const place = one.getClientRects()[0];
    const seen = (x) => [4, place.height / 2].some((y) => {
      const there = document.elementFromPoint(place.left + x, place.top + y);
      return there && (one.contains(there) || there.contains(one) || one.labels?.length);
    });
    const ends = [4, place.width - 4];
    if (one.matches("button, .button, .chip, .tile") ? !ends.every(seen) : ![...ends, place.width / 2].some(seen)) wrong.push(`is covered: ${named(one)}`);
  }
  document.activeElement.blur();
  scrollTo(0, 0);
  for (const one of document.querySelectorAll("*")) if (one.scrollLeft) one.scrollLeft = 0;
  return wrong;
}"""
"""Whatever has the focus is outlined and not covered, a button from its one end to the other, and comes in the order in which one reads."""

CUT = """() => {
  const wrong = [];
  const tab = document.querySelector(".tabs [aria-current]")?.getBoundingClientRect();
  if (tab && (tab.left < 0 || tab.right > innerWidth)) wrong.push("the open tab is not in view");
  for (const one of document.querySelectorAll("select")) {
    if (!one.checkVisibility() || !one.selectedOptions.length) continue;
    const whole = one.cloneNode();
    whole.append(one.selectedOptions[0].cloneNode(true));
    one.after(whole);
    whole.style.cssText = "flex: none; max-width: none; min-width: 0; position: absolute; width: max-content";
    if (whole.offsetWidth > one.offsetWidth + 1) wrong.push(`is cut: ${one.selectedOptions[0].text}`);
    whole.remove();
  }
  for (const one of document.querySelectorAll(":is(h1, h2, h3, button, .button, .badge, .chip, legend, summary):not(.unseen)"))
    if (one.checkVisibility() && one.clientWidth && one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).textOverflow !== "ellipsis") wrong.push(`is cut: ${one.textContent.trim()}`);
  for (const one of document.querySelectorAll(".results > :not(.by), .row .under > [class^=mark-]")) {
    const row = one.closest(".row")?.querySelector(".what").parentElement.getBoundingClientRect();
    if (row && one.checkVisibility() && (one.scrollWidth > one.clientWidth + 1 && one.clientWidth || one.getBoundingClientRect().right > row.right + 1))
      wrong.push(`is cut: ${one.textContent}`);
  }
  return wrong;
}"""
"""The open tab, what a select has chosen and what became of a play can be read whole."""


def check(page: Page, name: str) -> Iterator[str]:
    """What is wrong with the page that is open, a line each."""
    for rule in (HEADINGS, FOCUS, CUT):
        yield from (f"{name}: {wrong}" for wrong in page.evaluate(rule))
    if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
        yield f"{name}: is wider than its screen"


class Scales:
    """Weighs pages, and what they load, as they are sent to a browser."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client
        self.files: dict[str, int] = {}

    def check(self, path: str) -> Iterator[str]:
        html, weight = self.fetch(path)
        for address in LOADED.findall(html):
            if address not in self.files:
                self.files[address] = self.fetch(address)[1]
            weight += self.files[address]
        if weight > MAX_WEIGHT:
            yield f"{path}: loads {weight // 1024} KB before it is drawn"

    def fetch(self, path: str) -> tuple[str, int]:
        """The text at an address, and the bytes in which it was sent."""
        with self.client.stream("GET", path, headers={"Accept-Encoding": "gzip"}) as answer:
            text = "".join(answer.iter_text())
            return text, answer.num_bytes_downloaded
