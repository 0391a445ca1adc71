"""The posters of the demo: quiet landscapes in a few colours, drawn from each title, and stored as pictures.

`python -m webhook.demo.posters FOLDER` draws them into a store of pictures. Two titles are left to the
covers that the pages draw themselves.
"""

from __future__ import annotations

import io
import random
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from webhook.demo.catalogue import (
    ALBUMS,
    CHILDRENS_FILMS,
    CHILDRENS_SHOWS,
    FILMS,
    FILMS_ELSEWHERE,
    PLAYING_FILMS,
    SHOWS,
    UNWATCHED_FILMS,
)
from webhook.demo.drawing import CHILDRENS_PALETTES, PALETTES, Scene, Size
from webhook.demo.motifs import draw_clouds, motif_of
from webhook.demo.senders import jellyfin_picture_key
from webhook.domain.event import Ids, Item, Show
from webhook.domain.pictures import picture_key
from webhook.pictures.store import BACKDROP, POSTER, WIDTHS, PictureStore

RANK = 2
"""As good as a media server's, so that nobody looks for a better one."""

MAX_BYTES = 64 * 1024 * 1024
QUALITY = 78
UNDRAWN = frozenset({"Bellweather", "Otter Season"})
"""Titles without a poster, so that the generated cover is seen beside the drawn ones."""


def draw_picture(title: str, size: Size, *, for_children: bool, with_title: bool) -> Image.Image:
    dice = random.Random(title)  # noqa: S311 - a drawing, no secret
    palette = dice.choice(CHILDRENS_PALETTES if for_children else PALETTES)
    scene = Scene(size, palette, title)
    draw = draw_clouds if for_children else motif_of(title, dice)
    draw(scene)
    return scene.finish(title if with_title else None)


# --- into the store


@dataclass(frozen=True, kw_only=True, slots=True)
class Commission:
    """A title whose picture is wanted, in which sizes, and for whom."""

    title: str
    item: Item
    shapes: Mapping[str, Size]
    for_children: bool = False


FILM: Mapping[str, Size] = {POSTER: (360, 540)}
SHOW: Mapping[str, Size] = {**FILM, BACKDROP: (780, 439)}
ALBUM: Mapping[str, Size] = {POSTER: (360, 360)}


def list_commissions() -> Iterator[Commission]:
    """What is drawn; what is playing as the demo opens comes first."""
    for film in PLAYING_FILMS:
        yield Commission(title=film.title, item=film.item, shapes=SHOW)
    for show in SHOWS:
        item, for_children = Show(title=show.title, year=show.year, ids=show.ids), show in CHILDRENS_SHOWS
        yield Commission(title=show.title, item=item, shapes=SHOW, for_children=for_children)
    for film in (*FILMS, *UNWATCHED_FILMS, *FILMS_ELSEWHERE):
        yield Commission(title=film.title, item=film.item, shapes=FILM)
    for film in CHILDRENS_FILMS:
        yield Commission(title=film.title, item=film.item, shapes=FILM, for_children=True)
    for album in ALBUMS:
        yield Commission(title=album.title, item=next(album.items()), shapes=ALBUM)


def draw_all(store: PictureStore) -> None:
    for wanted in list_commissions():
        if wanted.title in UNDRAWN:
            continue
        for shape, size in wanted.shapes.items():
            picture = draw_picture(
                wanted.title, size, for_children=wanted.for_children, with_title=shape == POSTER
            )
            files = {width: encode(picture, width) for width in WIDTHS[shape]}
            for key in keys_of(wanted.item):
                store.save(key, shape, RANK, files)


def keys_of(item: Item) -> set[str]:
    """The keys of an item's picture: Jellyfin's webhooks name a show without its ids, by its key there."""
    known_as = {picture_key(item)}
    if isinstance(item, Show):
        known_as |= {picture_key(replace(item, ids=Ids())), jellyfin_picture_key(item)}
    return {key for key in known_as if key is not None}


def encode(picture: Image.Image, width: int) -> bytes:
    """The picture in this width, as fast as it goes."""
    content = io.BytesIO()
    size = (width, round(picture.height * width / picture.width))
    smaller = picture if size == picture.size else picture.resize(size, Image.Resampling.BICUBIC)
    smaller.save(content, "WEBP", quality=QUALITY, method=0)
    return content.getvalue()


if __name__ == "__main__":
    draw_all(PictureStore(Path(sys.argv[1]), MAX_BYTES))
