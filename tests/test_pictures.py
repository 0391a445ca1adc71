"""Pictures: decoded within bounds, kept within a bound, and the covers' place is taken by no broken one."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image

from tests.drawn import colour_of, picture, size_of
from webhook.pictures import decode, store
from webhook.pictures.decode import MAX_PICTURE_BYTES, render
from webhook.pictures.store import BACKDROP, POSTER, PictureStore

FILES = dict.fromkeys((64, 128, 360), b"x" * 1000)
KEY = "show:tvdb:81189"


# --- decoding


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_poster_is_made_in_three_widths(kind: str) -> None:
    rendered = render(picture(kind=kind))

    assert rendered is not None
    assert rendered.shape == POSTER
    assert {width: size_of(content) for width, content in rendered.files.items()} == {
        width: ("WEBP", width, width * 3 // 2) for width in (64, 128, 360)
    }
    assert colour_of(rendered.files[128]) == (0, 8, 8)


@pytest.mark.parametrize(
    ("width", "height", "square", "made"),
    [
        (1280, 720, False, ("backdrop", {780: (780, 439)})),
        (240, 360, False, ("poster", {64: (64, 96), 128: (128, 192), 360: (240, 360)})),
        (500, 500, True, ("poster", {64: (64, 64), 128: (128, 128), 360: (360, 360)})),
    ],
)
def test_a_picture_has_the_shape_that_it_shows(
    width: int, height: int, square: bool, made: tuple[str, dict[int, tuple[int, int]]]
) -> None:
    rendered = render(picture(width, height), square=square)

    assert rendered is not None
    assert (rendered.shape, {wide: size_of(one)[1:] for wide, one in rendered.files.items()}) == made


def test_a_picture_keeps_nothing_but_what_it_shows() -> None:
    exif = Image.Exif()
    exif[0x010E], exif[0x0112] = "taken at home", 6  # a description, and: turn it by 90 degrees
    content = io.BytesIO()
    Image.new("RGB", (600, 400), "teal").save(content, "JPEG", exif=exif)

    rendered = render(content.getvalue())

    assert rendered is not None
    assert rendered.shape == POSTER  # as it is to be looked at
    with Image.open(io.BytesIO(rendered.files[360])) as opened:
        assert not opened.getexif()
    assert b"taken at home" not in rendered.files[360]


def png_of(width: int, height: int) -> bytes:
    """A PNG that says it is this large; of its pixels there is a single line."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n"
        + head
        + chunk(b"IDAT", zlib.compress(bytes(width * 3 + 1)))
        + chunk(b"IEND", b"")
    )


GIF, BMP = (picture(kind=kind) for kind in ("GIF", "BMP"))
JPEG = picture()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xd8" * 4000,
        b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
        b"<html>not found</html>" * 100,
        GIF,
        BMP,
        JPEG[: len(JPEG) // 2],
        JPEG[:700] + b"\0" * 700,
        b"\xff\xd8\xff" + GIF,
        b"\x89PNG\r\n\x1a\n" + b"\0" * 300,
        b"RIFF" + struct.pack("<I", 2_000_000_000) + b"WEBPVP8 " + b"\0" * 300,
        JPEG + b"\0" * MAX_PICTURE_BYTES,
        png_of(60_000, 60_000),
        picture(1, 1, "PNG"),
        picture(600, 600),
        picture(2000, 100),
    ],
    ids=["empty", "noise", "svg", "html", "gif", "bmp", "half a jpeg", "holes", "a lie", "png head", "webp head", "10 MB", "bomb", "pixel", "square", "banner"],
)  # fmt: skip
def test_what_is_no_fit_picture_is_none(content: bytes) -> None:
    assert render(content) is None


def test_a_bomb_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = png_of(decode.MAX_PIXELS // 1000, 1001)

    def explode(self: Image.Image) -> None:
        raise AssertionError("it was decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", explode)

    with pytest.raises(AssertionError):
        decode.render_picture(picture(kind="PNG"), square=False)
    assert decode.render_picture(bomb, square=False) is None


# --- keeping


@pytest.fixture
def kept(tmp_path: Path) -> PictureStore:
    return PictureStore(tmp_path / "pictures", 12_000)


def test_what_is_stored_is_found_after_a_restart(kept: PictureStore) -> None:
    kept.save(KEY, POSTER, 1, FILES)
    path = kept.path(KEY, POSTER, 64)

    again = PictureStore(kept.folder, kept.max_bytes)
    before = again.path(KEY, POSTER, 64)
    again.scan()

    assert (before, again.path(KEY, POSTER, 64)) == (None, path)
    assert again.read(KEY, POSTER, 64) == FILES[64]
    assert again.find(KEY, BACKDROP) is None


def test_a_better_picture_has_another_address(kept: PictureStore) -> None:
    kept.save(KEY, POSTER, 1, FILES)
    first = kept.path(KEY, POSTER, 64)

    kept.save(KEY, POSTER, 2, dict.fromkeys(FILES, b"y" * 1000))

    assert kept.path(KEY, POSTER, 64) not in (None, first)
    assert kept.read(KEY, POSTER, 64) == b"y" * 1000
    assert len(list(kept.folder.iterdir())) == 3


def test_what_was_not_shown_for_longest_goes_first(
    kept: PictureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "TOUCH_INTERVAL", -1.0)
    for number in range(4):
        kept.save(f"show:tvdb:{number}", POSTER, 1, FILES)
    kept.read("show:tvdb:0", POSTER, 64)

    kept.save("show:tvdb:4", POSTER, 1, FILES)

    assert [number for number in range(5) if kept.find(f"show:tvdb:{number}", POSTER)] == [0, 3, 4]
    assert sum(path.stat().st_size for path in kept.folder.iterdir()) <= kept.max_bytes


def test_a_smaller_bound_holds_from_the_next_start(kept: PictureStore) -> None:
    for number in range(4):
        kept.save(f"show:tvdb:{number}", POSTER, 1, FILES)

    PictureStore(kept.folder, 3_500).scan()

    assert len(list(kept.folder.iterdir())) == 3


def test_a_full_disk_costs_the_picture_and_nothing_else(
    kept: PictureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.save(KEY, POSTER, 1, FILES)

    def full(path: Path, content: bytes) -> int:
        path.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)

    assert not kept.save(KEY, POSTER, 2, dict.fromkeys(FILES, b"y" * 1000))
    assert kept.read(KEY, POSTER, 64) == FILES[64]
    assert len(list(kept.folder.iterdir())) == 3


def test_room_is_left_on_the_disk_for_webhooks(tmp_path: Path) -> None:
    careful = PictureStore(tmp_path / "pictures", 12_000, reserve=2**62)

    assert not careful.save(KEY, POSTER, 1, FILES)


def test_a_folder_that_somebody_emptied_shows_covers_again(kept: PictureStore) -> None:
    kept.save(KEY, POSTER, 1, FILES)
    for path in kept.folder.iterdir():
        path.unlink()

    assert kept.read(KEY, POSTER, 64) is None
    assert kept.path(KEY, POSTER, 64) is None


def test_what_a_crash_left_is_cleared_away(kept: PictureStore) -> None:
    kept.save(KEY, POSTER, 1, FILES)
    half = kept.folder / "half.1.part"
    half.write_bytes(b"half")
    os.utime(half, (1, 1))

    kept.scan()

    assert not half.exists()
    assert kept.find(KEY, POSTER) is not None
