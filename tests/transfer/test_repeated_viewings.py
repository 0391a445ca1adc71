"""Several viewings of one item on one day: each row of a list is at most one play of another source, and none is lost."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import func, select

from tests.transfer._reading import loose
from tests.transfer.test_bringing import DAY, HOUR, MINUTE, SONG, Home, event, seen
from tests.transfer.test_import_undo import bring, undo
from tests.transfer.test_text_lookup import look_up
from webhook.domain.event import Action, Episode, Ids, Item, Movie
from webhook.domain.play import Dated
from webhook.history import edits
from webhook.storage.db import Database
from webhook.storage.tables import play_record
from webhook.transfer import import_feeds, import_job
from webhook.transfer.exports import Exported
from webhook.transfer.exports import csv as own_csv
from webhook.transfer.import_counts import Counts
from webhook.transfer.import_feeds import FileFeed
from webhook.transfer.records import Viewing

MORNING = datetime(2025, 3, 1, 8, 0, tzinfo=UTC)
NOON = MORNING + 4 * HOUR
CARTOON = Episode(show="Pip", title="The Kite", season=1, number=2, ids=Ids(tmdb=71), show_ids=Ids(tmdb=7))
FILM = Movie(title="Tidal", year=1974, ids=Ids(tmdb=7001))


@pytest.fixture
def home(database: Database) -> Home:
    return Home(database)


def list_of(source: str, *after: float, item: Item = CARTOON, dated: Dated = Dated.EXACT) -> list[Viewing]:
    """A list's rows at these minutes after the morning, each with a key of its own."""
    return [
        seen(item, MORNING + minutes * MINUTE, source, f"{source}:{place}:{minutes}", dated=dated)
        for place, minutes in enumerate(after)
    ]


def day_list(source: str, rows: int, item: Item = CARTOON, day: int = 0) -> list[Viewing]:
    return [
        seen(item, NOON + day * DAY, source, f"{source}:{day}:{place}", dated=Dated.DAY)
        for place in range(rows)
    ]


def heard(home: Home, minutes: float = 0, item: Item = CARTOON) -> int:
    """A play of a webhook, watched so long after the morning."""
    play_id = home.apply(event(Action.WATCHED, item, MORNING + minutes * MINUTE))
    assert play_id is not None
    return play_id


def minutes(home: Home) -> list[float]:
    """The minutes after the morning at which the plays of the history were watched."""
    return sorted((at - MORNING) / MINUTE for at in home.times() if at is not None)


# --- one play of a webhook, and a list of the day


@pytest.mark.parametrize(
    ("rows", "there", "expected"),
    [
        pytest.param((0, 30, 60), 30, [0, 30, 60], id="the middle one was heard"),
        pytest.param((0, 30, 60), 65, [0, 30, 65], id="the last one was heard, dated later"),
        pytest.param((60, 30, 0), 5, [5, 30, 60], id="newest first"),
        pytest.param((0, 8, 16), 0, [0, 8, 16], id="a short cartoon in a row"),
        pytest.param((0, 200, 400), 230, [0, 230, 400], id="over the day"),
        pytest.param((0, 300), 600, [0, 300, 600], id="none of them was heard"),
        pytest.param((0,), 30, [30], id="a single one"),
        pytest.param((100, 200), 150, [150, 200], id="as far from one as from the other"),
    ],
)
def test_each_row_is_a_viewing_and_one_of_them_was_heard(
    home: Home, rows: Sequence[float], there: float, expected: list[float]
) -> None:
    heard(home, there)

    first, second = home.bring(*list_of("trakt", *rows)), home.bring(*list_of("trakt", *rows))

    assert minutes(home) == expected
    assert (first.added, first.known) == (len(expected) - 1, len(rows) + 1 - len(expected))
    assert second == Counts(known=len(rows))


def test_of_several_that_were_heard_each_is_another_row(home: Home) -> None:
    heard(home, 0)
    heard(home, 400)

    home.bring(*list_of("trakt", 10, 200, 380))

    assert minutes(home) == [0, 200, 400]


@pytest.mark.parametrize("item", [FILM, SONG])
def test_so_it_is_with_films_and_songs(home: Home, item: Item) -> None:
    heard(home, 0, item)
    apart = [0, 0.8, 10] if item is SONG else [0, 100, 200]

    home.bring(*list_of("lastfm", *apart, item=item))

    assert minutes(home) == apart


def test_the_lists_of_two_services_are_one_day(home: Home) -> None:
    heard(home, 30)
    lists = [list_of("trakt", 0, 32, 60), list_of("simkl", 1, 29, 63), list_of("ryot", 2, 31, 61)]

    counts = [home.bring(*rows) for rows in lists]

    assert minutes(home) == [0, 30, 60]
    assert counts[1:] == [Counts(known=3), Counts(known=3)]


def test_a_longer_list_of_another_service_adds_what_it_has_more(home: Home) -> None:
    heard(home, 30)
    home.bring(*list_of("trakt", 0, 32))

    counts = home.bring(*list_of("simkl", 1, 29, 60, 90))

    assert counts == Counts(added=2, known=2)
    assert minutes(home) == [0, 30, 60, 90]


def test_rows_that_come_later_find_the_play_taken(home: Home) -> None:
    """A list is also read in parts, and again when it has grown."""
    heard(home, 30)
    first, second, third = list_of("trakt", 30, 60, 90)

    home.bring(first)
    home.bring(second)
    home.bring(first, second, third)

    assert minutes(home) == [30, 60, 90]


def test_rows_without_keys_are_told_apart_by_their_times(home: Home) -> None:
    heard(home, 30)
    rows = [replace(row, foreign_key=None) for row in list_of("trakt", 0, 32, 60)]

    for _ in range(2):
        home.bring(*rows)

    assert minutes(home) == [0, 30, 60]


def test_a_row_nearer_to_the_play_takes_it_from_one_of_an_earlier_part(home: Home) -> None:
    heard(home, 60)
    far, near = list_of("trakt", 0, 58)

    home.bring(far)
    counts = home.bring(near)

    assert minutes(home) == [0, 60]
    assert counts == Counts(added=1)
    assert home.bring(far, near) == Counts(known=2)


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (1, 3, 0, 2), (2, 0, 3, 1)])
def test_the_order_of_the_rows_says_nothing(home: Home, order: Sequence[int]) -> None:
    heard(home, 0)
    heard(home, 400)
    rows = list_of("trakt", 30, 170, 390, 600)

    for place in order:
        home.bring(rows[place])

    assert minutes(home) == [0, 170, 400, 600]


# --- what was left unfinished, ticked, removed or changed


def test_an_unfinished_play_is_the_nearest_row_and_the_others_are_added(home: Home) -> None:
    home.apply(event(Action.START, CARTOON, MORNING))

    counts = home.bring(*list_of("trakt", 180, 22))

    assert (counts.added, counts.completed) == (1, 1)
    assert sorted((row.started_at, row.watched_at) for row in home.plays()) == [
        (MORNING, MORNING + 22 * MINUTE),
        (MORNING + 180 * MINUTE, MORNING + 180 * MINUTE),
    ]


def test_a_ticked_play_gets_the_date_of_one_row(home: Home) -> None:
    home.bring(seen(CARTOON, MORNING + 99 * DAY, "tvtime", "tvtime:1", dated=Dated.TICKED))

    home.bring(*list_of("trakt", 0, 30, 60))
    home.bring(*list_of("trakt", 0, 30, 60))

    assert minutes(home) == [0, 30, 60]


def test_a_tick_without_a_key_is_what_was_watched_and_finishes_nothing(home: Home) -> None:
    home.apply(event(Action.START, FILM, MORNING))
    heard(home, 60 * 24 * 60, FILM)

    for days in range(3):
        home.bring(seen(FILM, MORNING + (99 + days) * DAY, "tvtime", dated=Dated.TICKED))

    assert [row.watched_at is None for row in home.plays()] == [True, False]


def test_viewings_that_a_list_only_counts_are_as_many_plays(home: Home) -> None:
    heard(home)
    ticks = [
        seen(CARTOON, MORNING + 9 * DAY - 2 * n * MINUTE, "simkl", f"simkl:{n}", dated=Dated.TICKED)
        for n in range(3)
    ]

    first, second = home.bring(*ticks), home.bring(*ticks)

    assert (first, second) == (Counts(added=2, known=1), Counts(known=3))


def test_a_removed_play_is_one_of_the_rows(home: Home) -> None:
    play_id = heard(home, 30)
    home.database.do(lambda connection: edits.remove_play(connection, play_id, {}, None, MORNING + DAY))

    for _ in range(2):
        home.bring(*list_of("trakt", 0, 31, 60))

    assert minutes(home) == [0, 60]


def test_the_old_date_of_a_play_is_one_of_the_rows_and_so_is_its_new_one(home: Home) -> None:
    play_id, before = heard(home, 30), MORNING - 99 * DAY
    home.database.do(lambda connection: edits.redate_play(connection, play_id, before, {}, None, MORNING))
    old = seen(CARTOON, before, "trakt", "trakt:old")

    for _ in range(2):
        home.bring(*list_of("trakt", 0, 31, 60), old)

    assert sorted(filter(None, home.times())) == [before, MORNING, MORNING + HOUR]


# --- days


def test_a_day_with_three_rows_is_three_viewings(home: Home) -> None:
    heard(home, 30)

    first, second = home.bring(*day_list("letterboxd", 3)), home.bring(*day_list("letterboxd", 3))

    assert (first, second) == (Counts(added=2, known=1), Counts(known=3))


def test_the_times_of_another_list_are_those_of_the_day(home: Home) -> None:
    home.bring(*day_list("letterboxd", 3))

    counts = home.bring(*list_of("trakt", 0, 30, 60))
    more = home.bring(*list_of("simkl", 0, 30, 60, 90))

    assert (counts, more) == (Counts(known=3), Counts(added=1, known=3))


def test_the_days_of_two_lists_are_one(home: Home) -> None:
    home.bring(*day_list("letterboxd", 2))

    assert home.bring(*day_list("serializd", 3)) == Counts(added=1, known=2)


def test_an_evening_is_its_own_day_and_not_the_next_one_too(home: Home) -> None:
    heard(home, 12 * 60)

    home.bring(*day_list("letterboxd", 1), *day_list("letterboxd", 1, day=1))

    assert len(home.plays()) == 2


# --- titles that are looked up later


def test_titles_that_turn_out_to_be_one_episode_are_each_a_viewing(home: Home) -> None:
    """Netflix's long file: three sittings of one afternoon, of which one was heard as well."""
    episode = Episode(show="Grau", season=1, number=2, title="Lies", show_ids=Ids(tmdb=1))
    heard(home, 60, episode)
    nameless = Episode(show="Grau", season=1, title="Lies")
    home.bring(*list_of("netflix", 0, 58, 120, item=nameless))

    look_up(home)

    assert minutes(home) == [0, 60, 120]
    assert home.bring(*list_of("netflix", 0, 58, 120, item=nameless)) == Counts(known=3)


# --- what an import leaves behind


def records(home: Home) -> int:
    count = select(func.count()).select_from(play_record)
    return int(home.database.ask(lambda connection: connection.execute(count).scalar_one()))


def test_undoing_an_import_takes_away_what_it_added(home: Home) -> None:
    heard(home, 30)
    job_id = bring(home, *list_of("trakt", 0, 32, 60))
    assert (len(home.plays()), records(home)) == (3, 1)

    assert undo(home, job_id).removed == 2

    assert (minutes(home), records(home)) == ([30], 0)
    assert home.bring(*list_of("trakt", 0, 32, 60)) == Counts(added=2, known=1)


def test_undoing_one_of_two_imports_leaves_the_other(home: Home) -> None:
    heard(home, 30)
    bring(home, *list_of("trakt", 0, 32))
    job_id = bring(home, *list_of("simkl", 0, 32, 60))

    undo(home, job_id)

    assert minutes(home) == [0, 30]
    assert home.bring(*list_of("trakt", 0, 32)) == Counts(known=2)


def test_a_person_s_records_are_theirs(home: Home) -> None:
    heard(home, 30)
    home.bring(*list_of("trakt", 0, 32))

    assert home.bring(*list_of("trakt", 0, 32), whom=home.other) == Counts(added=2)


# --- files

Write = Callable[[Sequence[datetime]], Mapping[str, str]]

HISTORY = "watched_at,type,title,show,season,episode,tmdb_id\n"
YAMTRACK = "media_id,source,media_type,title,image,season_number,episode_number,score,progress,status,start_date,end_date,notes,progressed_at\n"


def trakt_file(times: Sequence[datetime]) -> Mapping[str, str]:
    show = {"title": "Pip", "year": 2020, "ids": {"trakt": 1, "tmdb": 7}}
    episode = {"season": 1, "number": 2, "title": "The Kite", "ids": {"trakt": 2, "tmdb": 71}}
    rows = [
        {"id": 900 + place, "watched_at": f"{at:%Y-%m-%dT%H:%M:%S}.000Z", "action": "scrobble",
         "type": "episode", "episode": episode, "show": show}
        for place, at in enumerate(times)
    ]  # fmt: skip
    return {"history.json": json.dumps(rows)}


def yamtrack_file(times: Sequence[datetime], form: str = "%Y-%m-%d %H:%M:%S+00:00") -> Mapping[str, str]:
    rows = [f'"7","tmdb","episode","Pip","","1","2","","","","","{at:{form}}","",""\n' for at in times]
    return {"yamtrack.csv": YAMTRACK + "".join(rows)}


def csv_file(times: Sequence[datetime], form: str = "%Y-%m-%dT%H:%M:%SZ") -> Mapping[str, str]:
    rows = [f"{at:{form}},episode,The Kite,Pip,1,2,71\n" for at in times]
    return {"mine.csv": HISTORY + "".join(rows)}


def own_csv_file(times: Sequence[datetime]) -> Mapping[str, str]:
    days = [seen(CARTOON, at.replace(hour=12, minute=0), "kodi", dated=Dated.DAY).play for at in times]
    table = b"".join(own_csv.write([Exported(play=play) for play in days], []))
    return {"watchmark.csv": table.decode()}


def upload_file(times: Sequence[datetime]) -> Mapping[str, str]:
    rows = [f"7001,Tidal,1974,{at:%Y-%m-%d}\n" for at in times]
    return {"letterboxd.csv": "tmdbID,Title,Year,WatchedDate\n" + "".join(rows)}


FILES: dict[str, tuple[str, Write]] = {
    "trakt": ("trakt", trakt_file),
    "yamtrack": ("yamtrack", yamtrack_file),
    "yamtrack, days": ("yamtrack", lambda times: yamtrack_file(times, "%Y-%m-%d")),
    "csv": ("csv", csv_file),
    "csv, days": ("csv", lambda times: csv_file(times, "%Y-%m-%d")),
}
SATURDAY = [MORNING + after * MINUTE for after in (2, 35, 320)]


def feed_of(folder: Path, name: str, times: Sequence[datetime]) -> FileFeed:
    kind, write = FILES[name]
    options = {"ids": "episode"} if kind == "csv" else None
    return asyncio.run(FileFeed.open(kind, loose(folder, write(times)), options=options))


@pytest.mark.parametrize("name", FILES)
def test_a_file_with_three_viewings_of_a_saturday(home: Home, tmp_path: Path, name: str) -> None:
    heard(home, 30)
    feed = feed_of(tmp_path, name, SATURDAY)

    look = asyncio.run(import_job.preview(home.database, home.me, feed))
    report = asyncio.run(import_job.run(home.database, home.me, feed))

    assert look.counts == report.counts == Counts(added=2, known=1)
    assert len(home.plays()) == 3
    assert asyncio.run(import_job.preview(home.database, home.me, feed)).counts == Counts(known=3)
    assert asyncio.run(import_job.run(home.database, home.me, feed)).counts == Counts(known=3)

    assert report.job_id is not None
    undo(home, report.job_id)
    assert minutes(home) == [30]


PAIRS = [
    ("trakt", "yamtrack"), ("trakt", "csv, days"), ("yamtrack", "trakt"), ("yamtrack, days", "csv"),
    ("csv, days", "yamtrack, days"), ("csv, days", "trakt"),
]  # fmt: skip


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_a_second_file_of_the_same_saturday_adds_nothing(
    home: Home, tmp_path: Path, first: str, second: str
) -> None:
    heard(home, 30)
    asyncio.run(import_job.run(home.database, home.me, feed_of(tmp_path, first, SATURDAY)))
    feed = feed_of(tmp_path, second, [at + 3 * MINUTE for at in SATURDAY])

    look = asyncio.run(import_job.preview(home.database, home.me, feed))
    report = asyncio.run(import_job.run(home.database, home.me, feed))

    assert look.counts == report.counts == Counts(known=3)
    assert len(home.plays()) == 3


@pytest.mark.parametrize(("kind", "write"), [("csv", own_csv_file), ("letterboxd", upload_file)])
def test_rows_without_a_key_that_say_one_day_are_counted(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, write: Write
) -> None:
    """Also where a part ends between them."""
    monkeypatch.setattr(import_feeds, "BATCH_SIZE", 2)
    feed = asyncio.run(FileFeed.open(kind, loose(tmp_path, write(SATURDAY))))

    look = asyncio.run(import_job.preview(home.database, home.me, feed))
    reports = [asyncio.run(import_job.run(home.database, home.me, feed)) for _ in range(2)]

    assert [look.counts, *(report.counts for report in reports)] == [
        Counts(added=3),
        Counts(added=3),
        Counts(known=3),
    ]
