"""The keys of pictures, and the covers that are drawn where there is no picture."""

from __future__ import annotations

import re
from colorsys import hls_to_rgb
from pathlib import Path

import pytest

import webhook.web
from webhook.domain.event import Episode, Ids, Item, Movie, Season, Show, Track
from webhook.domain.pictures import HUES, cover_hue, cover_letters, picture_key

SHEET = (Path(webhook.web.__file__).parent / "static" / "style.css").read_text()


@pytest.mark.parametrize(
    ("item", "key"),
    [
        (Movie(title="Harbour", year=1999, ids=Ids(tmdb=41, imdb="tt0000041", plex="5d77")), "movie:imdb:tt0000041"),
        (Movie(title="Harbour", year=1999, ids=Ids(plex="5d77")), "movie:plex:5d77"),
        (Movie(title="The Harbour!", year=1999), "movie:title:theharbour:1999"),
        (Movie(title="Harbour"), "movie:title:harbour"),
        (Show(title="Harbour Street", year=2014, ids=Ids(tvdb=81189)), "show:tvdb:81189"),
        (Episode(title="Pilot", show="Harbour Street", season=1, number=1, ids=Ids(tvdb=7)), "show:title:harbourstreet"),
        (Season(show="Harbour Street", season=1, show_ids=Ids(tmdb=9)), "show:tmdb:9"),
        (Track(title="Song", artist="Guest", album_artist="The Band", album="First"), "album:title:theband:first"),
        (Track(title="Song", artist="The Band"), "artist:title:theband"),
        (Episode(title="Pilot"), None),
        (Movie(), None),
        (Track(title="Song"), None),
    ],
)  # fmt: skip
def test_an_item_has_one_key_by_its_strongest_id(item: Item, key: str | None) -> None:
    assert picture_key(item) == key


def test_all_episodes_of_a_show_share_its_picture() -> None:
    show = Ids(tvdb=81189, plex="5d9c")
    episodes = [
        Episode(show="Harbour Street", season=1, number=n, year=2014 + n, show_ids=show) for n in (1, 2)
    ]

    named = Show(title="Harbour Street (US)", ids=show)

    assert {picture_key(named), *map(picture_key, episodes)} == {"show:tvdb:81189"}


def test_namesakes_with_different_ids_have_different_pictures() -> None:
    old, new = (Show(title="Galaxy", ids=Ids(tvdb=number)) for number in (71, 73545))
    films = [Movie(title="Harbour", year=year) for year in (1954, 1999)]

    assert picture_key(old) != picture_key(new)
    assert len({picture_key(film) for film in films}) == 2


@pytest.mark.parametrize(
    "title", ["../../etc", "a/b?c#d%2f", "?!", "\ud800", "x" * 5000, "進撃の巨人", "\u0627" * 300]
)
def test_a_key_is_short_and_one_part_of_an_address(title: str) -> None:
    for item in (Movie(title=title), Show(title=title), Track(artist=title, album=title)):
        key = picture_key(item)

        assert key is not None
        assert len(key) <= 270
        assert not set(key) & set("/?#%. ")
        key.encode()


def test_an_id_that_is_no_plain_word_names_no_picture() -> None:
    assert picture_key(Movie(title="Harbour", ids=Ids(imdb="../tt1"))) == "movie:title:harbour"


@pytest.mark.parametrize(
    ("name", "letters"),
    [
        ("Harbour Street", "HS"),
        ("evo", "E"),
        ("9-1-1: Lone Star", "91"),
        ("進撃の巨人", "進"),
        ("?!", "·"),
        (None, "·"),
    ],
)
def test_a_cover_has_the_initials(name: str | None, letters: str) -> None:
    assert cover_letters(name) == letters


def test_a_cover_has_the_same_colour_everywhere() -> None:
    assert cover_hue("Harbour Street") == cover_hue("HARBOUR  street!")
    assert {cover_hue(f"Film {number}") for number in range(200)} == set(range(HUES))


def test_the_letters_of_every_cover_can_be_read() -> None:
    ground, letters = (
        re.search(pattern + r" hsl\(var\(--hue\) (\d+)% (\d+)%\)", SHEET)
        for pattern in (r"\.poster, \.backdrop \{ background:", r"\.poster::before \{[^}]*color:")
    )
    hues = {int(number): int(hue) for number, hue in re.findall(r"\.hue-(\d+) \{ --hue: (\d+); \}", SHEET)}
    assert ground
    assert letters

    contrasts = [
        contrast(*(luminance(hue, int(of[1]), int(of[2])) for of in (ground, letters)))
        for hue in hues.values()
    ]

    assert set(hues) == set(range(HUES))
    assert min(contrasts) >= 4.5


def luminance(hue: int, saturation: int, lightness: int) -> float:
    channels = hls_to_rgb(hue / 360, lightness / 100, saturation / 100)
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: float, other: float) -> float:
    light, dark = max(one, other), min(one, other)
    return (light + 0.05) / (dark + 0.05)
