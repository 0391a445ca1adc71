"""Pictures that tests draw, in the formats that others send."""

from __future__ import annotations

import io

from PIL import Image


def picture(width: int = 400, height: int = 600, kind: str = "JPEG", colour: str = "teal") -> bytes:
    """A picture of one colour."""
    made = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(made, kind)
    return made.getvalue()


def colour_of(content: bytes) -> tuple[int, ...]:
    """The colour in a picture's middle, in steps of 16, since it was compressed."""
    with Image.open(io.BytesIO(content)) as opened:
        found = opened.convert("RGB").getpixel((opened.width // 2, opened.height // 2))
    assert isinstance(found, tuple)
    return tuple(round(one / 16) for one in found)


def size_of(content: bytes) -> tuple[str | None, int, int]:
    with Image.open(io.BytesIO(content)) as opened:
        return opened.format, opened.width, opened.height
