"""The canvas of the demo's posters: a sky, a light, hills, and a title, in the colours of a palette."""

from __future__ import annotations

import math
import random
import textwrap
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

Size = tuple[int, int]

FINER = 2
"""Everything is drawn this much larger, so that its edges become smooth."""

MARGIN = 30
TITLE_SIZES = ((44, 11), (38, 14), (32, 17), (26, 22), (21, 28))
"""The heights of a title's letters, and how many of them a line then holds."""


@dataclass(frozen=True, slots=True)
class Palette:
    """The colours of a picture, from the top of the sky to what is nearest."""

    sky: str
    horizon: str
    light: str
    far: str
    middle: str
    near: str
    ink: str = "#f6f1e7"


PALETTES = (
    Palette("#1d2b4f", "#e8a87c", "#ffe3b8", "#6d5a7b", "#3f3d63", "#1b2038"),
    Palette("#0f3443", "#8fb9a8", "#f4efd9", "#4c8577", "#28595a", "#0d2a33"),
    Palette("#3b1f3f", "#e07a5f", "#ffd9a0", "#8d4a5b", "#5c2f4c", "#26132c"),
    Palette("#23395b", "#b9d6f2", "#ffffff", "#6f90b5", "#41618a", "#172a45"),
    Palette("#2d3a2e", "#d9c58b", "#fff3c9", "#7f8a55", "#4e6144", "#1e2a20"),
    Palette("#141a2e", "#4f5d8c", "#f0e9ff", "#3a4470", "#262e52", "#0c1020"),
    Palette("#5b2a1e", "#f2b46d", "#fff0cf", "#b3643c", "#7c3d2a", "#351712"),
    Palette("#0d3b4c", "#f1d5b0", "#fffaf0", "#5a9aa0", "#2b6d7c", "#0a2833"),
    Palette("#40375c", "#f3c6c4", "#fff4ec", "#9480a8", "#665585", "#2a2342"),
    Palette("#e3ddcc", "#f6efe0", "#e0633f", "#a9b8a2", "#6b8f86", "#2d4a4f"),
    Palette("#d5e0e4", "#f7efe2", "#e9a23b", "#9db4c0", "#5c7d8a", "#253d4b"),
    Palette("#efd9c7", "#fbf3e6", "#c8553d", "#d9a384", "#8f5d5d", "#3a2a3a"),
)
CHILDRENS_PALETTES = (
    Palette("#7cc6e8", "#fdf1d3", "#fff8d6", "#9bd3a5", "#5cae7d", "#2f7d63", "#ffffff"),
    Palette("#f7a072", "#ffe5b9", "#fffbe8", "#f2806b", "#c9576b", "#7a3455", "#ffffff"),
    Palette("#5f6bc4", "#f4c6e0", "#fff6c9", "#8f8fdc", "#6a63b8", "#3b3780", "#ffffff"),
)


class Scene:
    """A picture in the making: a canvas, its colours and the dice that its title throws."""

    def __init__(self, size: Size, palette: Palette, seed: str) -> None:
        self.width, self.height = size[0] * FINER, size[1] * FINER
        self.palette = palette
        self.dice = random.Random(seed)  # noqa: S311 - a drawing, no secret
        self.image = self.sky()
        self.pen = ImageDraw.Draw(self.image)

    @property
    def unit(self) -> float:
        return min(self.width, self.height) / 100

    def sky(self) -> Image.Image:
        shade = Image.linear_gradient("L").resize((self.width, self.height))
        top = Image.new("RGB", shade.size, self.palette.sky)
        bottom = Image.new("RGB", shade.size, self.palette.horizon)
        return Image.composite(bottom, top, shade.point([min(255, int(v * 1.35)) for v in range(256)]))

    def place(self, low: float, high: float) -> float:
        return self.dice.uniform(low, high)

    def disc(self, x: float, y: float, radius: float, colour: str) -> None:
        self.pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)

    def light(self, high: float = 0.3, radius: float = 11) -> tuple[float, float]:
        """The sun or the moon, with a faint ring around it."""
        x, y = self.place(0.22, 0.78) * self.width, high * self.height
        for share in (1.9, 1.45):
            self.veil(x, y, radius * self.unit * share)
        self.disc(x, y, radius * self.unit, self.palette.light)
        return x, y

    def veil(self, x: float, y: float, radius: float) -> None:
        mask = Image.new("L", (int(2 * radius),) * 2)
        ImageDraw.Draw(mask).ellipse((0, 0, *mask.size), fill=34)
        self.image.paste(self.palette.light, (int(x - radius), int(y - radius)), mask)

    def blend(self, mask: Image.Image, colour: str) -> None:
        """Lay a colour over the picture where the mask lets it through."""
        self.image.paste(colour, mask=mask)

    def polygon(self, colour: str, *points: tuple[float, float]) -> None:
        """A shape of a colour; its points are in hundredths of the smaller side."""
        self.pen.polygon([(x * self.unit, y * self.unit) for x, y in points], colour)

    def rectangle(self, colour: str, left: float, top: float, right: float, bottom: float) -> None:
        u = self.unit
        self.pen.rectangle((left * u, top * u, right * u, bottom * u), colour)

    def stars(self, count: int = 60) -> None:
        for _ in range(count):
            x, y = self.place(0, 1) * self.width, self.place(0, 0.55) * self.height
            self.disc(x, y, self.place(0.12, 0.4) * self.unit, self.palette.light)

    def ridge(self, top: float, colour: str, rough: float = 1.0, step: int = 24) -> None:
        """A range of hills whose line is a sum of waves."""
        waves = [(self.place(0.6, 1.6) * turn, self.place(0, 6.3), 1 / turn) for turn in (1, 2.3, 4.7)]
        line = []
        for x in range(0, self.width + step, step):
            share = x / self.width * 2 * math.pi
            swing = sum(math.sin(share * pace + shift) * part for pace, shift, part in waves)
            line.append((x, (top + 0.045 * rough * swing) * self.height))
        self.pen.polygon([(0, self.height), *line, (self.width, self.height)], fill=colour)

    def layers(self, *tops: float) -> list[tuple[float, str]]:
        """The three grounds of a picture, the farthest first."""
        colours = (self.palette.far, self.palette.middle, self.palette.near)
        return list(zip(tops, colours, strict=True))

    def finish(self, title: str | None) -> Image.Image:
        image = self.image.reduce(FINER)
        if title is not None and title.isascii():  # the font that is always there has no other letters
            write_title(image, title, self.palette)
        return image


def write_title(image: Image.Image, title: str, palette: Palette) -> None:
    """The title at the foot of a poster, as large as it fits, on a ground that darkens downwards."""
    lines, size = fit_title(title)
    top = image.height - MARGIN - int(len(lines) * size * 1.12)
    ground = Image.linear_gradient("L").resize((image.width, image.height - top + 90))
    image.paste(
        palette.near, (0, top - 90), ground.point([min(235, int(value * 1.9)) for value in range(256)])
    )
    font, pen = ImageFont.load_default(size), ImageDraw.Draw(image)
    for number, line in enumerate(lines):
        pen.text((MARGIN, top + number * size * 1.12), line, fill=palette.ink, font=font)


def fit_title(title: str) -> tuple[list[str], int]:
    """The lines of a title and the height of its letters: the largest in which it has no more than four lines."""
    for size, letters in TITLE_SIZES[:-1]:
        lines = textwrap.wrap(title, letters, break_long_words=False)
        if len(lines) <= 4 and max(map(len, lines)) <= letters:
            return lines, size
    size, letters = TITLE_SIZES[-1]
    return textwrap.wrap(title, letters), size
