"""IMDb's ratings and watchlist."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.transfer._reading import bad, library, plays, read, viewings
from webhook.domain.event import Episode, Ids, Movie, Show
from webhook.domain.play import Dated
from webhook.transfer.imports import imdb
from webhook.transfer.records import Kept, Relation, Unusable

RATINGS = (
    "Const,Your Rating,Date Rated,Title,Original Title,URL,Title Type,IMDb Rating,Runtime (mins),Year,Genres,Num Votes,"
    "Release Date,Directors\n"
    'tt0111111,8,2023-02-02,"Tidal, Part II",Tidal,https://example.org,Movie,9,152,2008,"Drama, Sea",3041074,'
    "2008-07-18,A. Wave\n"
    "tt0222222,9,2023-02-03,Long Winter,Long Winter,,TV Series,9.2,60,2011,Drama,1,2011-04-17,\n"
    "tt0333333,10,2023-02-04,Long Winter: Thaw,Thaw,,TV Episode,10,,2013,Drama,1,2013-09-15,\n"
    "tt0444444,7,2023-02-05,Short and Odd,,,tvShort,7,,,,,,\n"
)
WATCHLIST = (
    "Position,Const,Created,Modified,Description,Title,Original Title,URL,Title Type,IMDb Rating,Runtime (mins),Year,"
    "Genres,Num Votes,Release Date,Directors,Your Rating,Date Rated\n"
    "1,tt0555555,2023-07-12,2024-02-04,,Later,Later,,TV Mini Series,9.2,60,2019,,,,,,\n"
    "2,tt0111111,2023-07-13,2024-02-04,,Tidal,Tidal,,Movie,9.2,60,2008,,,,,8,2023-02-02\n"
)
TIDAL = Movie(title="Tidal, Part II", year=2008, ids=Ids(imdb="tt0111111"))
WINTER = Show(title="Long Winter", year=2011, ids=Ids(imdb="tt0222222"))


def noon(year: int, month: int, day: int) -> datetime:
    return datetime(year, month, day, 12, tzinfo=UTC)


def test_a_rated_film_or_episode_is_ticked_at_the_day_of_the_rating_and_a_series_is_not(
    tmp_path: Path,
) -> None:
    found = read(imdb, tmp_path, {"ratings.csv": RATINGS})

    assert [(play.item, play.watched_at) for play in plays(found)] == [
        (TIDAL, noon(2023, 2, 2)),
        (Episode(title="Long Winter: Thaw", year=2013, ids=Ids(imdb="tt0333333")), noon(2023, 2, 4)),
        (Movie(title="Short and Odd", ids=Ids(imdb="tt0444444")), noon(2023, 2, 5)),
    ]
    assert {(play.dated, play.manual, play.source) for play in plays(found)} == {(Dated.TICKED, True, "imdb")}
    assert [play.duration_ms for play in plays(found)] == [152 * 60_000, None, None]
    assert [viewing.foreign_key for viewing in viewings(found)] == [
        "imdb:tt0111111",
        "imdb:tt0333333",
        "imdb:tt0444444",
    ]


def test_every_rating_is_taken(tmp_path: Path) -> None:
    found = read(imdb, tmp_path, {"ratings.csv": RATINGS})

    assert library(found)[:2] == [
        Kept(relation=Relation.RATING, item=TIDAL, at=noon(2023, 2, 2), value=8),
        Kept(relation=Relation.RATING, item=WINTER, at=noon(2023, 2, 3), value=9),
    ]
    assert len(library(found)) == 4
    assert bad(found) == []


def test_the_watchlist_is_known_by_its_columns_and_makes_no_plays(tmp_path: Path) -> None:
    found = read(imdb, tmp_path, {"a1b2-c3.csv": WATCHLIST})

    assert [(kept.relation, kept.item.ids.imdb, kept.at) for kept in library(found)] == [
        (Relation.WATCHLIST, "tt0555555", noon(2023, 7, 12)),
        (Relation.WATCHLIST, "tt0111111", noon(2023, 7, 13)),
        (Relation.RATING, "tt0111111", noon(2023, 2, 2)),
    ]
    assert plays(found) == []


def test_a_list_keeps_its_ratings_and_makes_no_plays_of_them(tmp_path: Path) -> None:
    found = read(imdb, tmp_path, {"my-list.csv": WATCHLIST.replace(",8,2023-02-02", ",6,")})

    assert [(kept.item.ids.imdb, kept.value, kept.at) for kept in library(found) if kept.value] == [
        ("tt0111111", 6, None)
    ]
    assert plays(found) == []


def test_both_files_may_come_in_a_zip_with_others(tmp_path: Path) -> None:
    found = read(
        imdb, tmp_path, {"ratings.csv": RATINGS, "watchlist.csv": WATCHLIST, "people.csv": "Name\nA. Wave\n"}
    )

    assert (len(plays(found)), len(library(found))) == (3, 7)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (("tt0111111", "16968450"), "“16968450” in “Const” is no id of IMDb"),
        ((",8,2023", ",,2023"), "it has no “Your Rating”"),
        ((",8,2023", ",11,2023"), "“11” is no rating"),
        (("2023-02-02", ""), "it has no “Date Rated”"),
        (("2023-02-02", "02/02/2023"), "“02/02/2023” is no date"),
        ((",Movie,", ",Video Game,"), "“Video Game” is not tracked"),
        ((",Movie,", ",,"), "“” is not tracked"),
    ],
)
def test_a_broken_row_costs_that_row(tmp_path: Path, change: tuple[str, str], why: str) -> None:
    found = read(imdb, tmp_path, {"ratings.csv": RATINGS.replace(*change)})

    [broken] = bad(found)
    assert (broken.file, broken.line, broken.why) == ("ratings.csv", 2, why)
    assert len(plays(found)) == 2


def test_an_address_in_place_of_an_id_and_a_span_of_years_are_understood(tmp_path: Path) -> None:
    content = RATINGS.replace("tt0222222", "https://www.imdb.com/title/tt0222222/").replace(
        ",2011,", ",2011–2019,"
    )

    assert library(read(imdb, tmp_path, {"ratings.csv": content}))[1].item == WINTER


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="lacks the columns Date Rated, Title Type, Your Rating"):
        read(imdb, tmp_path, {"ratings.csv": "Const,Title\ntt0111111,Tidal\n"})


def test_another_zip_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="holds no CSV file of IMDb"):
        read(imdb, tmp_path, {"a.csv": "Name\nx\n", "b.csv": "Name\nx\n"})
