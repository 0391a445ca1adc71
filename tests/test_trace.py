"""The lists of the trace: complete when they are followed to the end, however little is looked through at once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from tests.test_numbers import NOW, Shelf, film, part
from webhook.domain.event import Track
from webhook.queries.plays import list_plays
from webhook.storage.db import Database


@pytest.fixture
def anna(database: Database) -> Shelf:
    """Forty plays, of which several begin at once; one in four is of a film, and bob has some beside them."""
    shelf, bob = Shelf(database), Shelf(database, "bob")
    for number in range(40):
        began = NOW - timedelta(minutes=number // 3)
        shelf.seen(film(f'The "Pier" {number}') if number % 4 == 0 else part(1, number), began)
        if number % 7 == 0:
            bob.seen(film(f'The "Pier" {number}'), began)
    return shelf


def pages(shelf: Shelf, **asked: Any) -> Iterator[list[int]]:
    """The ids on each page, from the first to the last."""
    after: str | None = None
    while True:
        found = shelf.database.ask(partial(list_plays, after=after, person_name="anna", **asked))
        yield [one["id"] for one in found["items"]]
        after = found["next"]
        if after is None:
            return


@pytest.mark.parametrize("at_once", [1, 4, 7, 39, 40, 41])
@pytest.mark.parametrize("text", ['"pier"', "tide", "PIER 3", "zzz"])
def test_a_search_in_steps_finds_what_one_in_a_single_step_finds(
    anna: Shelf, text: str, at_once: int
) -> None:
    (whole,) = pages(anna, text=text)

    assert [made for page in pages(anna, text=text, at_once=at_once) for made in page] == whole
    assert [made for page in pages(anna, text=text, at_once=at_once, limit=2) for made in page] == whole


def test_a_search_in_steps_looks_through_so_many_plays_and_goes_on(anna: Shelf) -> None:
    assert list(pages(anna, text="zzz", at_once=15)) == [[], [], []]
    assert list(pages(anna, text="zzz", at_once=40)) == [[]]
    assert [len(page) for page in pages(anna, text="pier", at_once=15)] == [4, 4, 2]


def test_a_search_finds_titles_shows_and_artists_and_nothing_else_of_an_item(anna: Shelf) -> None:
    song = anna.seen(Track(title="Ebb\\Flow", artist="Ida", album="Tides"), NOW)

    for text in ("ebb\\f", "ida", "tides"):
        assert next(pages(anna, text=text))[0] == song
    assert list(pages(anna, text="track")) == [[]]  # stands in the item, as its kind
    assert list(pages(anna, text="%")) == [[]]
