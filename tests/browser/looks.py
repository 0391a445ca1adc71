"""Looks of pages: screenshots in small, compared with those that are kept, so that a broken layout is seen.

A look is some hundred pixels wide: too small for words and the way that they are drawn, large enough for columns,
cards, colours and pictures. `make screenshots-accept` keeps the looks that the pages have now.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PIL import Image, ImageChops, ImageFilter
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize

from tests.browser.screenshots import LOAD_TIMEOUT, SHOWN

Scheme = Literal["light", "dark"]

SCALE = 0.25
"""The pixels of a screenshot for each of the page's: Chromium draws it in small already."""

POLL = 50
BLUR = 1.5
TILE = 8
MEAN_TOLERANCE = 7.0
"""The mean difference of all pixels, of 255, up to which two looks are alike."""

QUALITY = 75
COLUMNS = 12
INDEX = "index.json"
RANDOM = "input.copy, textarea.copy, pre { color: transparent !important }"
"""What is random: secrets within addresses."""


@dataclass(frozen=True, slots=True)
class View:
    """A screen, how large a look of it is, and the mean difference up to which two tiles of it are alike.

    On a phone words are large enough for another way of drawing them to be seen: up to 24, where a lost picture is 50.
    """

    name: str
    screen: ViewportSize
    look: tuple[int, int]
    tolerance: float


DESKTOP_VIEW = View("desktop", {"width": 1280, "height": 900}, (128, 90), 11.0)
PHONE_VIEW = View("phone", {"width": 390, "height": 900}, (98, 225), 32.0)
VIEWS: Mapping[str, View] = {view.name: view for view in (DESKTOP_VIEW, PHONE_VIEW)}


@dataclass(frozen=True, order=True, slots=True)
class Look:
    """A page as it is looked at."""

    path: str
    view: str
    scheme: Scheme

    def __str__(self) -> str:
        return f"{self.path} {self.view} {self.scheme}"


def small_context(browser: Browser, locale: str = "en-GB", scale: float = SCALE) -> BrowserContext:
    """A browser of its own whose screenshots are small."""
    return browser.new_context(
        viewport=DESKTOP_VIEW.screen, device_scale_factor=scale, reduced_motion="reduce", locale=locale
    )


def photograph(page: Page, view: View, scheme: Scheme) -> Image.Image:
    """The look of the page that is open."""
    page.set_viewport_size(view.screen)
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    wait_for_pictures(page)
    taken = page.screenshot(style=RANDOM, animations="disabled")
    return Image.open(io.BytesIO(taken)).convert("RGB").resize(view.look, Image.Resampling.BOX)


def wait_for_pictures(page: Page) -> None:
    """Wait until every picture that is seen is there; the pages' own policy forbids Playwright's way of waiting."""
    for _ in range(LOAD_TIMEOUT // POLL):
        if page.evaluate(SHOWN):
            return
        page.wait_for_timeout(POLL)
    raise AssertionError(f"{page.url}: pictures are missing")


# --- compared


def difference(seen: Image.Image, kept: Image.Image) -> tuple[float, float]:
    """The difference of the tile that differs most, and of the whole look, of 255."""
    blur = ImageFilter.GaussianBlur(BLUR)
    differing = ImageChops.difference(seen.filter(blur), kept.filter(blur))
    red, green, blue = differing.split()
    most = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    tiles = most.resize((most.width // TILE, most.height // TILE), Image.Resampling.BOX)
    whole = most.resize((1, 1), Image.Resampling.BOX)
    return highest(tiles), highest(whole)


def highest(grey: Image.Image) -> float:
    return float(max(grey.tobytes()))


def is_alike(seen: Image.Image, kept: Image.Image, view: View) -> bool:
    tile, whole = difference(seen, kept)
    return tile <= view.tolerance and whole <= MEAN_TOLERANCE


def compare(seen: Mapping[Look, Image.Image], kept: Mapping[Look, Image.Image], folder: Path) -> list[str]:
    """A line for each look that is not as it is kept, with the file that shows both beside each other."""
    wrong = [f"{look}: gone" for look in sorted(kept.keys() - seen.keys())]
    for number, (look, image) in enumerate(sorted(seen.items())):
        before = kept.get(look)
        if before is not None and is_alike(image, before, VIEWS[look.view]):
            continue
        if before is None:
            wrong.append(f"{look}: new")
            continue
        path = folder / f"{number}.png"
        beside(before, image).save(path)
        tile, whole = difference(image, before)
        wrong.append(f"{look}: a tile differs by {tile:.0f}, the whole by {whole:.1f}; kept and seen: {path}")
    return wrong


def beside(kept: Image.Image, seen: Image.Image) -> Image.Image:
    """Both, four times as large."""
    pair = Image.new("RGB", (kept.width + seen.width + 4, kept.height), "#f0f")
    pair.paste(kept, (0, 0))
    pair.paste(seen, (kept.width + 4, 0))
    return pair.resize((pair.width * 4, pair.height * 4), Image.Resampling.NEAREST)


# --- kept


def load(folder: Path, world: str) -> dict[Look, Image.Image]:
    """The looks that are kept of a household."""
    index = read_index(folder)
    found: dict[Look, Image.Image] = {}
    for view in VIEWS.values():
        looks = [Look(*entry) for entry in index.get(world, []) if entry[1] == view.name]
        if looks:
            with Image.open(sheet_path(folder, world, view)) as sheet:
                found |= {
                    look: sheet.convert("RGB").crop(box(view, number)) for number, look in enumerate(looks)
                }
    return found


def save(folder: Path, world: str, looks: Mapping[Look, Image.Image]) -> None:
    """Keep the looks of a household, all of a view on one sheet."""
    folder.mkdir(exist_ok=True)
    index = {**read_index(folder), world: [[look.path, look.view, look.scheme] for look in sorted(looks)]}
    lines = ",\n".join(
        f"{json.dumps(name)}: {json.dumps(entries)}" for name, entries in sorted(index.items())
    )
    (folder / INDEX).write_text(f"{{\n{lines}\n}}\n")
    for view in VIEWS.values():
        mine = [looks[look] for look in sorted(looks) if look.view == view.name]
        if mine:
            draw_sheet(view, mine).save(
                sheet_path(folder, world, view), "WEBP", quality=QUALITY, method=6, use_sharp_yuv=True
            )


def draw_sheet(view: View, images: Sequence[Image.Image]) -> Image.Image:
    width, height = view.look
    sheet = Image.new("RGB", (COLUMNS * width, -(-len(images) // COLUMNS) * height))
    for number, image in enumerate(images):
        sheet.paste(image, box(view, number)[:2])
    return sheet


def box(view: View, number: int) -> tuple[int, int, int, int]:
    """The place of a look on its sheet."""
    width, height = view.look
    left, top = number % COLUMNS * width, number // COLUMNS * height
    return (left, top, left + width, top + height)


def read_index(folder: Path) -> dict[str, list[tuple[str, str, Scheme]]]:
    path = folder / INDEX
    return json.loads(path.read_text()) if path.exists() else {}


def sheet_path(folder: Path, world: str, view: View) -> Path:
    return folder / f"{world}-{view.name}.webp"
