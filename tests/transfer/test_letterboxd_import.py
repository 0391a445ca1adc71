"""Letterboxd's own export: diary, films outside it, ratings, watchlist and likes."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.transfer._reading import bad, library, plays, read, read_zip, viewings
from webhook.domain.event import Ids, Movie
from webhook.domain.play import Dated
from webhook.transfer.exports import Exported
from webhook.transfer.exports import letterboxd as export
from webhook.transfer.imports import letterboxd
from webhook.transfer.records import Kept, Relation, Unusable

DIARY = """Date,Name,Year,Letterboxd URI,Rating,Rewatch,Tags,Watched Date
2024-08-18,"Tidal, Part II",1974,https://boxd.it/aaa1,3,Yes,"sea, long",2023-02-24
2024-08-18,"Tidal, Part II",1974,https://boxd.it/aaa2,4.5,,,2024-04-14
2024-08-19,Solo,2023,https://boxd.it/aaa3,,,,2024-08-13
"""
WATCHED = '''Date,Name,Year,Letterboxd URI
2024-08-18,"Tidal, Part II",1974,https://boxd.it/f1
2024-08-18,Solo,2023,https://boxd.it/f2
2024-08-20,Solo,2002,https://boxd.it/f3
2024-08-21,"She said ""go""",,https://boxd.it/f4
'''
RATINGS = """Date,Name,Year,Letterboxd URI,Rating
2024-08-18,"Tidal, Part II",1974,https://boxd.it/f1,4.5
2024-08-20,Solo,2002,https://boxd.it/f3,0.5
"""
WATCHLIST = """Date,Name,Year,Letterboxd URI
2024-09-01,映画,2024,https://boxd.it/f5
"""
EXPORT = {"diary.csv": DIARY, "watched.csv": WATCHED, "ratings.csv": RATINGS, "watchlist.csv": WATCHLIST}

TIDAL = Movie(title="Tidal, Part II", year=1974)


def noon(year: int, month: int, day: int) -> datetime:
    return datetime(year, month, day, 12, tzinfo=UTC)


def test_a_diary_entry_is_a_play_of_its_day(tmp_path: Path) -> None:
    found = read(letterboxd, tmp_path, EXPORT)

    diary = [viewing for viewing in viewings(found) if viewing.play.dated is Dated.DAY]
    assert [(viewing.play.item, viewing.play.watched_at) for viewing in diary] == [
        (TIDAL, noon(2023, 2, 24)),
        (TIDAL, noon(2024, 4, 14)),
        (Movie(title="Solo", year=2023), noon(2024, 8, 13)),
    ]
    assert diary[0].play.started_at == diary[0].play.last_at == noon(2023, 2, 24)
    assert (diary[0].play.source, diary[0].play.manual) == ("letterboxd", True)
    assert len({viewing.foreign_key for viewing in viewings(found)}) == 5
    assert bad(found) == []


def test_a_watched_film_outside_the_diary_is_ticked_and_one_of_another_year_is_another(
    tmp_path: Path,
) -> None:
    found = read(letterboxd, tmp_path, EXPORT)

    ticked = [play for play in plays(found) if play.dated is Dated.TICKED]
    assert [(play.item, play.watched_at) for play in ticked] == [
        (Movie(title="Solo", year=2002), noon(2024, 8, 20)),
        (Movie(title='She said "go"'), noon(2024, 8, 21)),
    ]


def test_stars_count_twice_and_the_watchlist_is_taken(tmp_path: Path) -> None:
    assert library(read(letterboxd, tmp_path, EXPORT)) == [
        Kept(relation=Relation.RATING, item=TIDAL, at=noon(2024, 8, 18), value=9),
        Kept(relation=Relation.RATING, item=Movie(title="Solo", year=2002), at=noon(2024, 8, 20), value=1),
        Kept(relation=Relation.WATCHLIST, item=Movie(title="映画", year=2024), at=noon(2024, 9, 1)),
    ]


def test_a_diary_alone_brings_its_ratings(tmp_path: Path) -> None:
    found = read(letterboxd, tmp_path, {"diary (1).csv": DIARY})

    assert len(plays(found)) == 3
    assert [kept.value for kept in library(found)] == [6, 9]


def test_likes_are_loves_and_a_list_called_films_is_not(tmp_path: Path) -> None:
    liked = read(letterboxd, tmp_path, {**EXPORT, "likes/films.csv": WATCHLIST})
    listed = read(
        letterboxd, tmp_path, {**EXPORT, "lists/films.csv": "Letterboxd list export v7\nDate,Name,Tags\n"}
    )

    assert [kept.item.title for kept in library(liked) if kept.relation is Relation.LOVE] == ["映画"]
    assert [kept for kept in library(listed) if kept.relation is Relation.LOVE] == []


def test_what_the_person_took_back_is_not_read(tmp_path: Path) -> None:
    gone = DIARY.replace("Solo", "Regret")

    found = read(letterboxd, tmp_path, {**EXPORT, "deleted/diary.csv": gone, "orphaned/diary.csv": gone})

    assert "Regret" not in [play.item.title for play in plays(found)]
    assert bad(found) == []


def test_a_second_reading_gives_the_same_keys(tmp_path: Path) -> None:
    first, second = (read(letterboxd, tmp_path, EXPORT) for _ in range(2))

    assert viewings(first) == viewings(second)


def test_columns_in_any_order_with_a_byte_order_mark_and_windows_line_ends(tmp_path: Path) -> None:
    content = "\ufeffMood,Watched Date,Year,Name\r\ncalm,2024-04-14,1974,Tidal\r\n"

    [play] = plays(read(letterboxd, tmp_path, {"diary.csv": content}))

    assert (play.item, play.watched_at) == (Movie(title="Tidal", year=1974), noon(2024, 4, 14))


def test_a_diary_under_any_name_is_known_by_its_columns(tmp_path: Path) -> None:
    founding = (
        "Date,Letterboxd URI,Name,Year,Directors,Rating,Rewatch,Tags,Watched Date\n"
        '2024-04-15,,"Tidal, Part II",1974,"Ada Low, Ben High",4.5,No,sea,2024-04-14\n'
        '2024-04-20,,"Tidal, Part II",1974,"Ada Low, Ben High",,Yes,,2024-04-19\n'
    )

    found = read(letterboxd, tmp_path, {"my films.csv": founding})

    assert [(play.item, play.watched_at, play.dated) for play in plays(found)] == [
        (TIDAL, noon(2024, 4, 14), Dated.DAY),
        (TIDAL, noon(2024, 4, 19), Dated.DAY),
    ]
    assert [kept.value for kept in library(found)] == [9]


UPLOAD = """tmdbID,imdbID,Title,Year,WatchedDate,Rating10,Rewatch,Tags
8002,tt7000001,"Tidal, Part II",1974,2024-04-14,9,false,plex
8002,tt7000001,"Tidal, Part II",1974,2024-05-14,,true,plex
,,Solo,2023,,,false,
"""
UPLOADED = Movie(title="Tidal, Part II", year=1974, ids=Ids(tmdb=8002, imdb="tt7000001"))


def test_a_file_for_letterboxds_importer_is_read_with_its_ids(tmp_path: Path) -> None:
    found = read(letterboxd, tmp_path, {"letterboxd-01.csv": UPLOAD})

    assert [(play.item, play.dated) for play in plays(found)] == [
        (UPLOADED, Dated.DAY),
        (UPLOADED, Dated.DAY),
        (Movie(title="Solo", year=2023), Dated.TICKED),
    ]
    assert library(found) == [Kept(relation=Relation.RATING, item=UPLOADED, at=noon(2024, 4, 14), value=9)]


@pytest.mark.parametrize(("columns", "value"), [("Rating10,Rating", 6), ("Rating,Rating10", 3)])
def test_of_two_ratings_the_second_column_counts(tmp_path: Path, columns: str, value: float) -> None:
    content = f"Title,Year,WatchedDate,{columns}\nTidal,1974,2024-04-14,3,3\n"

    assert [kept.value for kept in library(read(letterboxd, tmp_path, {"a.csv": content}))] == [value]


def test_our_own_export_for_letterboxd_comes_back(tmp_path: Path) -> None:
    first = plays(read(letterboxd, tmp_path, {"letterboxd-01.csv": UPLOAD}))

    again = plays(
        read_zip(letterboxd, tmp_path, b"".join(export.write([Exported(play=play) for play in first], [])))
    )

    assert {(play.item, play.dated) for play in again} == {(play.item, play.dated) for play in first}


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("2024-08-18,,1974,https://boxd.it/b,3,,,2023-02-24", "it has no “Name”"),
        ("2024-08-18,Odd,19x4,https://boxd.it/b,3,,,2023-02-24", "“19x4” is no year"),
        ("2024-08-18,Odd,1974,https://boxd.it/b,3,,,", "it has no “Watched Date”"),
        ("2024-08-18,Odd,1974,https://boxd.it/b,3,,,24.2.2023", "“24.2.2023” is no date"),
        ("2024-08-18,Odd,1974,https://boxd.it/b,3,,,2099-01-01", "lies in the future"),
        ("2024-08-18,Odd,1974", "3 fields where the header has 8"),
    ],
)
def test_a_broken_row_costs_that_row(tmp_path: Path, row: str, why: str) -> None:
    lines = DIARY.splitlines()

    found = read(
        letterboxd, tmp_path, {**EXPORT, "diary.csv": "\n".join([*lines[:2], row, *lines[2:]]) + "\n"}
    )

    [broken] = bad(found)
    assert (broken.file, broken.line) == ("diary.csv", 3)
    assert why in broken.why
    assert broken.do
    assert len([play for play in plays(found) if play.dated is Dated.DAY]) == 3


def test_a_rating_out_of_range_costs_the_rating_alone(tmp_path: Path) -> None:
    found = read(letterboxd, tmp_path, {"diary.csv": DIARY.replace(",3,Yes", ",30,Yes")})

    assert len(plays(found)) == 3
    assert [broken.why for broken in bad(found)] == ["“30” is no rating"]


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match=r"diary\.csv lacks the columns Watched Date"):
        read(letterboxd, tmp_path, {**EXPORT, "diary.csv": "Date,Name,Year\n2024-08-18,Tidal,1974\n"})


def test_another_zip_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match=r"none of diary\.csv"):
        read(letterboxd, tmp_path, {"history.csv": "a,b\n", "other.csv": "a,b\n"})
