"""Decodes pictures that came from elsewhere, within bounds, and makes those that pages show of them.

Pillow is loaded when the first picture is decoded. Nothing is believed but what the picture's own bytes say.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from webhook.pictures.store import BACKDROP, POSTER, WIDTHS

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PICTURE_BYTES = 8 * 1024 * 1024
MAX_PIXELS = 24_000_000
MIN_SIDE = 60
"""Pixels; what is smaller is an icon, or one that only counts who looks."""

FORMATS = ("JPEG", "PNG", "WEBP")
SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF")
QUALITY = 80
TALL, SQUARE, WIDE = (0.55, 0.8), (0.9, 1.1), (1.5, 2.0)
"""Ratios of width to height; a picture of another one would lose too much at its sides."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A picture in the widths of its shape, as WebP."""

    shape: str
    files: Mapping[int, bytes]


def render(content: bytes, *, square: bool = False) -> Rendered | None:
    """The picture as pages show it, by its own shape; `square` for covers of albums. None where it is none, or unfit."""
    if not MIN_SIDE < len(content) <= MAX_PICTURE_BYTES or not content.startswith(SIGNATURES):
        return None
    try:
        return render_picture(content, square)
    except Exception:  # noqa: BLE001 - a decoder raises whatever it likes over bytes of a stranger
        return None


def render_picture(content: bytes, square: bool) -> Rendered | None:
    # Were one of the three not there, Pillow would load its decoders of every other format.
    from PIL import Image, ImageOps, JpegImagePlugin, PngImagePlugin, WebPImagePlugin  # noqa: F401

    Image.MAX_IMAGE_PIXELS = None  # it would only warn; the bound below is held before anything is decoded
    with Image.open(io.BytesIO(content), formats=FORMATS) as opened:
        width, height = opened.size
        if min(width, height) < MIN_SIDE or width * height > MAX_PIXELS:
            return None
        opened.draft("RGB", (WIDTHS[BACKDROP][-1], WIDTHS[BACKDROP][-1]))
        picture = ImageOps.exif_transpose(opened).convert("RGB")
    shape = shape_of(picture.width / picture.height, square)
    if shape is None:
        return None
    return Rendered(
        shape, {width: encode(picture, width, proportion(shape, square)) for width in WIDTHS[shape]}
    )


def shape_of(ratio: float, square: bool) -> str | None:
    shapes = {SQUARE: POSTER} if square else {TALL: POSTER, WIDE: BACKDROP}
    return next((shape for (least, most), shape in shapes.items() if least <= ratio <= most), None)


def proportion(shape: str, square: bool) -> float:
    """Height to width."""
    if shape == BACKDROP:
        return 9 / 16
    return 1.0 if square else 3 / 2


def encode(picture: Image, width: int, height_to_width: float) -> bytes:
    """The picture in this width, or in its own where that is smaller; without anything beside its pixels."""
    from PIL import Image, ImageOps

    wide = min(width, picture.width)
    small = ImageOps.fit(picture, (wide, round(wide * height_to_width)), Image.Resampling.LANCZOS)
    small.info = {}
    made = io.BytesIO()
    small.save(made, "WEBP", quality=QUALITY)
    return made.getvalue()
