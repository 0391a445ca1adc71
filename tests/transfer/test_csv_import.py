"""Any table of viewings: columns by their names, what is open is asked, and our own comes back byte for byte."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection

from tests.prepared import prepare
from tests.test_interpreter import NOW
from tests.transfer._reading import bad, library, loose, plays
from webhook.domain.event import Episode, Ids, Item, Movie, Season, Show, Track
from webhook.domain.play import Dated, Play, State
from webhook.history import library as entries
from webhook.people import people
from webhook.storage.db import Database
from webhook.transfer import export, merge
from webhook.transfer.export import Export
from webhook.transfer.imports import csv
from webhook.transfer.imports._archive import open_bundle
from webhook.transfer.records import Entry, Kept, Question, Undecided, Unusable, Viewing

AT = datetime(2026, 3, 1, 20, 15, tzinfo=UTC)


def read(folder: Path, text: str, **answers: str) -> list[Entry]:
    named = {name.replace("__", "."): value for name, value in answers.items()}
    with open_bundle(loose(folder, {"table.csv": text}), options=named) as bundle:
        return list(csv.read(bundle))


def ask(folder: Path, text: str, **answers: str) -> dict[str, Question]:
    with open_bundle(loose(folder, {"table.csv": text}), options=answers) as bundle:
        return {question.name: question for question in csv.questions(bundle)}


# --- columns


def test_columns_are_found_by_their_names_however_they_are_written(tmp_path: Path) -> None:
    text = "Media Type,Show-Title,Season Number,Episode_Number,SERIES TMDB ID,Watched At\nepisode,Grau,2,5,77,2026-03-01T20:15:00Z\n"

    [play] = plays(read(tmp_path, text))

    assert play.item == Episode(show="Grau", season=2, number=5, show_ids=Ids(tmdb=77))
    assert (play.watched_at, play.dated) == (AT, Dated.EXACT)


def test_the_owner_sees_the_columns_and_changes_them(tmp_path: Path) -> None:
    text = "Name,Seen,Added,Jahr\nA Film,2026-03-01,2026-01-01,1999\n"

    questions = ask(tmp_path, text)
    assert (questions["column.title"].answer, questions["column.watched_at"].answer) == ("Name", "-")
    assert ("Seen", "Seen") in questions["column.watched_at"].choices
    [play] = plays(read(tmp_path, text, column__watched_at="Seen", column__year="Jahr"))
    assert play.item == Movie(title="A Film", year=1999)
    assert (play.watched_at, play.dated) == (datetime(2026, 3, 1, 12, tzinfo=UTC), Dated.DAY)
    assert plays(read(tmp_path, text, column__watched_at="-")) == []


@pytest.mark.parametrize("delimiter", [";", "\t", ","])
def test_a_spreadsheet_s_own_delimiter_and_decimal_comma_change_nothing(
    tmp_path: Path, delimiter: str
) -> None:
    text = (
        delimiter.join(("title", "rating10", "watched_at"))
        + "\r\n"
        + delimiter.join(("A Film", '"7,5"', "1.3.2026"))
        + "\r\n"
    )

    found = read(tmp_path, text)

    assert [play.dated for play in plays(found)] == [Dated.DAY]
    assert [entry.value for entry in library(found)] == [7.5]


@pytest.mark.parametrize(
    ("written", "at", "dated"),
    [
        ("1772396100", AT, Dated.EXACT),
        ("1772396100000", AT, Dated.EXACT),
        ("2026-03-01 20:15", AT, Dated.EXACT),
        ("2026-03-01T22:15:00+02:00", AT, Dated.EXACT),
        ("2026-03-01", AT.replace(hour=12, minute=0), Dated.DAY),
        ("01.03.2026", AT.replace(hour=12, minute=0), Dated.DAY),
        ("01.03.2026 20:15", AT, Dated.EXACT),
    ],
)
def test_times_in_many_forms(tmp_path: Path, written: str, at: datetime, dated: Dated) -> None:
    [play] = plays(read(tmp_path, f"title,date\nA Film,{written}\n"))

    assert (play.watched_at, play.dated) == (at, dated)


def test_season_and_episode_in_one_field(tmp_path: Path) -> None:
    text = "show,episode,date\nGrau,S02E05,2026-03-01\nGrau,2x06,2026-03-01\n"

    assert [(play.item.season, play.item.number) for play in plays(read(tmp_path, text))] == [(2, 5), (2, 6)]  # type: ignore[union-attr]


def test_what_is_no_id_is_none(tmp_path: Path) -> None:
    text = "type,title,tmdb,imdb,trakt_id,date\nmovie,A Film,0,tt0,55,2026-03-01\nmovie,B Film,-1,null,,2026-03-01\n"

    assert [play.item.ids for play in plays(read(tmp_path, text))] == [Ids(trakt=55), Ids()]


# --- what the file leaves open


def test_an_id_beside_several_places_is_the_show_s_and_one_for_each_the_episode_s(tmp_path: Path) -> None:
    head = "type,show,season,episode,tmdb,date\n"
    shows = head + "episode,Grau,1,1,77,2026-03-01\nepisode,Grau,1,2,77,2026-03-02\n"
    parts = head + "episode,Grau,1,1,771,2026-03-01\nepisode,Grau,1,2,772,2026-03-02\n"

    assert {play.item.show_ids.tmdb for play in plays(read(tmp_path, shows))} == {77}  # type: ignore[union-attr]
    assert [play.item.ids.tmdb for play in plays(read(tmp_path, parts))] == [771, 772]
    assert ask(tmp_path, shows)["ids"].answer == "show"


def test_an_id_that_may_be_either_s_is_asked(tmp_path: Path) -> None:
    text = "type,show,season,episode,tmdb,date\nepisode,Grau,1,1,77,2026-03-01\n"

    assert ask(tmp_path, text)["ids"].is_open
    with pytest.raises(Undecided):
        read(tmp_path, text)
    assert plays(read(tmp_path, text, ids="show"))[0].item == Episode(
        show="Grau", season=1, number=1, show_ids=Ids(tmdb=77)
    )


def test_stars_and_the_order_of_dates_are_asked(tmp_path: Path) -> None:
    text = "title,score,date\nA Film,4.5,3/4/26\n"

    questions = ask(tmp_path, text)
    assert questions["scale"].is_open
    assert questions["dates"].is_open
    found = read(tmp_path, text, scale="5", dates="day-first")
    assert [entry.value for entry in library(found)] == [9.0]
    assert plays(found)[0].last_at.month == 4


def test_a_rating_is_no_viewing_and_a_row_without_a_date_is_one_only_if_its_owner_says_so(
    tmp_path: Path,
) -> None:
    text = "title,rating10,date\nRated,8,\nNeither,,\n"

    found = read(tmp_path, text)
    assert (plays(found), [entry.value for entry in library(found)]) == ([], [8.0])
    assert [one.why for one in bad(found)] == ["it has no date"]
    [play] = plays(read(tmp_path, text, undated="watched"))
    assert (play.item.title, play.dated) == ("Neither", Dated.TICKED)


def test_a_show_or_a_season_as_a_whole_is_no_viewing(tmp_path: Path) -> None:
    text = "type,title,season,rating10,date\ntv,Grau,,9,2026-03-01\nseason,Grau,2,7,2026-03-01\ntv,Grau,,,2026-03-01\ngame,X,,,2026-03-01\n"

    found = read(tmp_path, text)

    assert plays(found) == []
    assert [entry.item for entry in library(found)] == [Show(title="Grau"), Season(show="Grau", season=2)]
    assert len(bad(found)) == 2


def test_without_a_column_that_says_what_it_is_nothing_is_read(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="no column that says what was watched"):
        read(tmp_path, "a,b\n1,2\n")


# --- our own, and back


ITEMS: list[Item] = [
    Movie(title=" =A Film, with “quotes”\nand a line ", year=1999, ids=Ids(imdb="tt0000777", tmdb=7, plex="plex://a")),
    Movie(title="Untold"),
    Episode(title="Lies", show="Grau", season=0, number=12, ids=Ids(tvdb=5), show_ids=Ids(tvdb=4, trakt=9, slug="grau")),
    Episode(title="Mapped", show="Kaze", season=2, number=3, show_ids=Ids(tvdb=8), numbering="mapped"),
    Track(title="Low Tide", artist="The Moorings", album="Sea", number=3, ids=Ids(musicbrainz="0a-1")),
]  # fmt: skip


def fill(connection: Connection, person: int) -> None:
    rows = [
        Viewing(play=Play(
            item=item, state=State.STOPPED, started_at=AT + timedelta(days=again, minutes=index), last_at=AT + timedelta(days=again, hours=2),
            watched_at=AT + timedelta(days=again, hours=1, milliseconds=index), source="plex", player="TV", library="Films",
            duration_ms=5_432_100 + index, dated=list(Dated)[index % 3] if not again else Dated.EXACT,
        ))
        for again in (0, 40)
        for index, item in enumerate(ITEMS)
    ]  # fmt: skip
    merge.merge_entries(connection, person, rows, NOW)
    entries.store_entry(connection, person, "rating", ITEMS[0], AT, 7.0)
    entries.store_entry(connection, person, "rating", ITEMS[2], AT, 8.5)


def written(database: Database, person: int) -> bytes:
    return b"".join(export.pieces(database, Export(person_id=person, kind="csv")))


def bring(database: Database, person: int, path: Path) -> int:
    with open_bundle(path) as bundle:
        found = [entry for entry in csv.read(bundle) if isinstance(entry, Viewing | Kept)]
    counts = database.do(lambda connection: merge.merge_entries(connection, person, found, NOW))
    return counts.added


def test_our_own_spreadsheet_comes_back_byte_for_byte(tmp_path: Path) -> None:
    prepare(tmp_path)
    database = Database(f"sqlite:///{tmp_path}/watchmark.db")
    me = database.do(lambda connection: people.add_person(connection, "me", NOW))
    other = database.do(lambda connection: people.add_person(connection, "other", NOW))
    database.do(lambda connection: fill(connection, me))
    first = written(database, me)
    path = tmp_path / "history.csv"
    path.write_bytes(first)

    assert bring(database, other, path) == 2 * len(ITEMS)
    assert written(database, other) == first
    assert (bring(database, other, path), bring(database, me, path)) == (0, 0)
    assert written(database, me) == first
    database.close()
