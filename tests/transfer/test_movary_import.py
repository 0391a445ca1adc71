"""Movary's three files: viewings by their day, ratings and the watchlist."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.transfer._reading import bad, library, plays, read, viewings
from webhook.domain.event import Ids, Movie
from webhook.domain.play import Dated
from webhook.transfer.imports import movary
from webhook.transfer.records import Kept, Relation, Unusable

HISTORY = """title,year,tmdbId,imdbId,watchedAt,comment,location
Tidal,1974,7001,tt7000001,2024-11-20,,Home
Tidal,1974,7001,tt7000001,2024-11-20,"again, with Ben",
Tidal,1974,7001,tt7000001,2024-11-20,,
"Solo, Again",2023,7002,,,,
"Solo, Again",2023,7002,,,,
"""
RATINGS = """title,year,tmdbId,imdbId,userRating
Tidal,1974,7001,tt7000001,9
"""
WATCHLIST = """title,year,tmdbId,imdbId,addedAt
映画,2024,0,,2024-11-21 10:00:00
"""
EXPORT = {"history.csv": HISTORY, "ratings.csv": RATINGS, "watchlist.csv": WATCHLIST}

TIDAL = Movie(title="Tidal", year=1974, ids=Ids(tmdb=7001, imdb="tt7000001"))
NOON = datetime(2024, 11, 20, 12, tzinfo=UTC)


def test_identical_rows_are_as_many_viewings_of_that_day(tmp_path: Path) -> None:
    found = viewings(read(movary, tmp_path, {"any name.csv": HISTORY}))

    assert [(one.play.item, one.play.watched_at, one.play.dated) for one in found[:3]] == [
        (TIDAL, NOON, Dated.DAY)
    ] * 3
    assert len({one.foreign_key for one in found}) == 5


def test_an_empty_day_is_unknown_and_a_second_such_row_another_viewing(tmp_path: Path) -> None:
    _, _, _, first, second = plays(read(movary, tmp_path, EXPORT))

    assert (first.item, first.dated, second.dated) == (
        Movie(title="Solo, Again", year=2023, ids=Ids(tmdb=7002)),
        Dated.TICKED,
        Dated.TICKED,
    )
    assert first.watched_at != second.watched_at


def test_ratings_and_the_watchlist_are_taken_and_0_is_no_id(tmp_path: Path) -> None:
    assert library(read(movary, tmp_path, EXPORT)) == [
        Kept(relation=Relation.RATING, item=TIDAL, value=9),
        Kept(
            relation=Relation.WATCHLIST,
            item=Movie(title="映画", year=2024),
            at=datetime(2024, 11, 21, 10, tzinfo=UTC),
        ),
    ]


def test_a_second_reading_gives_the_same_keys(tmp_path: Path) -> None:
    first, second = (viewings(read(movary, tmp_path, EXPORT)) for _ in range(2))

    assert [one.foreign_key for one in first] == [one.foreign_key for one in second]


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (",,0,tt0,2024-11-20,,", "a film without an id and without a title"),
        ("Odd,19x4,1,,2024-11-20,,", "“19x4” is no year"),
        ("Odd,1974,1,,20.11.2024,,", "“20.11.2024” is no date"),
        ("Odd,1974,1,,2099-01-01,,", "lies in the future"),
    ],
)
def test_a_broken_row_costs_that_row(tmp_path: Path, row: str, why: str) -> None:
    found = read(movary, tmp_path, {"history.csv": f"{HISTORY}{row}\n"})

    [broken] = bad(found)
    assert (broken.file, broken.line, len(plays(found))) == ("history.csv", 7, 5)
    assert why in broken.why


def test_another_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="no file of Movary"):
        read(movary, tmp_path, {"history.csv": "title,year,watchedAt\n"})
