"""The README's screenshots: the demo in Chromium, on a desktop and a phone, light and dark.

`python -m tests.browser.screenshots docs/images` takes them all; `make screenshots` does that.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from PIL import Image
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from tests.browser.conftest import CHROMIUM, DESKTOP, PHONE

EVENING = 20
"""The hour of the household's day: in the evening, most has happened."""

MAX_BYTES = 120 * 1024
QUALITIES = (90, 82, 74, 66, 55, 40)
LOAD_TIMEOUT = 60_000
SHOWN = """[...document.images].every((one) => {
  const place = one.getBoundingClientRect();
  return one.complete || place.top > innerHeight || place.left > innerWidth;
})"""
"""True once every picture that is seen is loaded."""


@dataclass(frozen=True, slots=True)
class Shot:
    """A page, by the links that lead to it from the first one, and how it is looked at."""

    name: str
    links: tuple[str, ...]
    size: ViewportSize
    colours: Literal["light", "dark"]


SHOTS = (
    Shot("now-desktop", (), DESKTOP, "light"),
    Shot("now-phone", (), PHONE, "dark"),
    Shot("library-phone", ("Library",), PHONE, "light"),
    Shot("numbers-desktop", ("History", "Numbers"), DESKTOP, "light"),
    Shot("activity-phone", ("Activity",), PHONE, "dark"),
)


def evening_zone(now: datetime) -> str:
    """A time zone in which it is evening."""
    ahead = (EVENING - now.hour + 11) % 24 - 11
    return f"Etc/GMT{-ahead:+d}"


@contextmanager
def running_demo() -> Iterator[str]:
    """A demo in the evening; gives the link that signs in."""
    environ = {**os.environ, "TZ": evening_zone(datetime.now(UTC))}
    command = [sys.executable, "-m", "webhook", "demo", "--port", "0", "--json"]
    process = subprocess.Popen(
        command, env=environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        assert process.stdout is not None
        yield str(json.loads(process.stdout.readline())["welcome"])
    finally:
        process.terminate()
        process.wait(30)


def take(browser: Browser, link: str, shot: Shot) -> bytes:
    """The screenshot of a page as PNG."""
    context = browser.new_context(
        viewport=shot.size, color_scheme=shot.colours, bypass_csp=True,
        device_scale_factor=2 if shot.size == PHONE else 1,
    )  # fmt: skip
    context.set_default_timeout(LOAD_TIMEOUT)
    page = context.new_page()
    page.goto(link)
    for name in shot.links:
        visible_link(page, name)
    page.wait_for_function(SHOWN)
    made = page.screenshot()
    context.close()
    return made


def visible_link(page: Page, name: str) -> None:
    """Follow the first link of that name that is seen."""
    page.get_by_role("link", name=name).filter(visible=True).first.click()
    page.wait_for_load_state()


def shrink(png: bytes) -> bytes:
    """The screenshot as WebP, as good as its bound allows."""
    for quality in QUALITIES:
        made = io.BytesIO()
        Image.open(io.BytesIO(png)).convert("RGB").save(made, "WEBP", quality=quality, method=6)
        if made.tell() <= MAX_BYTES:
            break
    return made.getvalue()


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with running_demo() as link, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for shot in SHOTS:
            path = folder / f"{shot.name}-{shot.colours}.webp"
            path.write_bytes(shrink(take(browser, link, shot)))
            sys.stdout.write(f"{path}  {path.stat().st_size // 1024} KB\n")
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
