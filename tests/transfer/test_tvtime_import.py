"""What is read of TV Time's exports: each layout, each trap, and the samples of the workshop row by row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest

from tests.transfer.exports_of_tvtime import (
    OLDER,
    RECORDS,
    SECRETS,
    VOTES,
    Content,
    as_json,
    film,
    locked,
    marked,
    series,
    spoiled,
    table,
    zipped,
)
from webhook.domain.event import Episode, Movie
from webhook.domain.play import State
from webhook.transfer.imports import tvtime
from webhook.transfer.imports._archive import Bundle, open_bundle
from webhook.transfer.imports._streams import Text
from webhook.transfer.records import Bad, Entry, Kept, LeftOut, Unusable, Viewing

SAMPLES = Path(__file__).parents[3] / "shared" / "payloads" / "tvtime-exports"

V2 = "tracking-prod-records-v2.csv"
V1 = "tracking-prod-records.csv"

Read = Callable[..., list[Entry]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """The entries of a zip of these files."""

    def entries(files: Mapping[str, Content]) -> list[Entry]:
        with open_bundle(zipped(tmp_path / "export.zip", files)) as bundle:
            return list(tvtime.read(bundle))

    return entries


@pytest.fixture
def alone(tmp_path: Path) -> Read:
    """The entries of one loose file."""

    def entries(content: str, name: str = "file") -> list[Entry]:
        path = tmp_path / name
        path.write_text(content, encoding="utf-8", newline="")
        with open_bundle(path) as bundle:
            return list(tvtime.read(bundle))

    return entries


def shown(entry: Entry) -> str:
    """An entry as one line, as the tables below have it."""
    match entry:
        case Viewing(play=play):
            at = f"{play.watched_at:%Y-%m-%d %H:%M:%S}" if play.watched_at else "never"
            minutes = f" {play.duration_ms // 60_000}min" if play.duration_ms else ""
            return f"{at} {play.dated}{minutes} {item_shown(play.item)}"
        case Kept(item=item):
            extra = "".join(f" {said}" for said in (entry.value, entry.state) if said is not None)
            at = f"{entry.at:%Y-%m-%d %H:%M:%S} " if entry.at else ""
            return f"{at}{entry.relation}{extra} {item_shown(item)}"
        case Bad():
            return f"bad {entry.file}:{entry.line} {entry.why}"
        case LeftOut():
            return f"left out of {entry.file}: {entry.count}"


def item_shown(item: object) -> str:
    match item:
        case Episode():
            numbers = f"{item.season}x{item.number}"
            return f"{item.show} [{item.show_ids.tvdb}] {numbers} [{item.ids.tvdb}]"
        case Movie():
            ids = ",".join(str(value) for value in item.ids.by_namespace().values())
            return f"movie {item.title} ({item.year}) [{ids}]"
    return f"{item.title} ({item.year}) [{item.ids.tvdb}]"  # type: ignore[attr-defined]


def lines(entries: list[Entry]) -> list[str]:
    return [shown(entry) for entry in entries]


def viewings(entries: list[Entry]) -> list[Viewing]:
    return [entry for entry in entries if isinstance(entry, Viewing)]


# --- the samples, row by row

EXPECTED = {
    "gdpr-2023/seen_episode.csv": [
        "2015-03-31 18:17:57 ticked Sons of Anarchy [None] 1x1 [384876]",
        "2015-03-31 18:17:57 exact The Walking Dead [None] 1x1 [2493011]",
        "2015-03-31 18:17:57 exact Vikings [None] 1x1 [4383243]",
        "2015-03-31 18:17:57 ticked Sons of Anarchy [None] 1x2 [384877]",
    ],
    "gdpr-2023/followed_tv_show.csv": [
        "2016-03-28 21:25:53 follow following Full House (None) [70500]",
        "2016-10-01 00:01:04 follow archived Oz (None) [70682]",
        "2016-09-18 00:27:11 follow archived ER (None) [70761]",
        "2015-09-19 00:21:56 follow archived The Simpsons (None) [71663]",
    ],
    "kodelio-opentv-time/followed_tv_show.csv": [
        "2015-07-20 20:06:33 follow following Série Démo Alpha (None) [700001]",
        "2015-07-21 10:05:37 follow archived Série Démo Beta (None) [700002]",
    ],
    "kodelio-opentv-time/tracking-prod-records-v2.csv": [
        "2021-09-20 09:24:07 exact Série Démo Alpha [700001] 3x5 [None]",
        "2025-04-16 19:22:58 exact Série Démo Alpha [700001] 3x6 [None]",
        "2021-10-01 12:00:00 exact Série Démo Alpha [700001] 3x99 [990001]",
        "2021-11-01 00:00:00 exact Série Démo Alpha [700001] 3x88 [990002]",
        "2021-09-20 09:24:07 follow following Série Démo Alpha (None) [700001]",
    ],
    "kodelio-opentv-time/tracking-prod-records.csv": [
        "2021-06-24 08:40:48 exact Série Démo Alpha [700001] 3x9 [880009]",
        "2025-08-26 19:25:20 exact 120min movie Film Démo Un (2025) [mv-1]",
        "2024-03-11 18:00:00 exact 180min movie Film Démo, Deux (2024) [mv-2]",
        "2023-06-21 08:53:02 watchlist movie Film Démo Trois (2026) [mv-3]",
    ],
    "kodelio-opentv-time/user_tv_show_data.csv": ["love Série Démo Alpha (None) [700001]"],
    "trakt-web/gdpr-v2-tracking-prod-records-v2.csv": [
        "2024-11-02 11:53:58 ticked 42min Treason [413526] 1x5 [9476788]",
        "2016-08-10 16:48:22 exact The Unit [75707] 1x4 [306587]",
        "2021-02-04 22:11:37 exact Bodyguard [349310] 1x6 [6733513]",
        "2018-12-09 00:22:02 exact Marvel's Luke Cage [304219] 2x13 [6668403]",
        "2022-07-20 18:55:51 ticked 51min Halo [366524] 1x8 [8974646]",
        "2019-10-10 23:02:35 exact The Blacklist [266189] 6x17 [7104089]",
        "2025-06-25 19:32:08 ticked 51min FUBAR [427281] 2x1 [10226502]",
        "2024-09-29 10:03:42 ticked 53min Crooks [446385] 1x1 [10320026]",
        "2020-03-22 00:18:25 follow for_later Legion (None) [320724]",
        "2024-11-02 11:53:56 follow following Treason (None) [413526]",
        "2016-08-04 15:10:45 follow archived Ray Donovan (None) [259866]",
    ],
    "trakt-web/tvtime-movies.csv": [
        "2022-03-18 00:03:26 exact movie L'immortale (2020) [132390,tt9048786,00000000-0000-0000-0000-000000000000]",
        "2019-09-10 08:01:29 exact movie It (2017) [1435,tt1396484,00000000-0000-0000-0000-000000000001]",
        "2024-02-10 00:57:03 exact movie The Marvels (2023) [134366,tt10676048,00000000-0000-0000-0000-000000000002]",
        "2023-09-25 11:23:33 exact movie Shazam! Fury of the Gods (2023) "
        "[134845,tt10151854,00000000-0000-0000-0000-000000000003]",
        "2022-10-18 22:12:05 watchlist movie Grimcutty (2022) [340491,tt17196124,00000000-0000-0000-0000-000000000004]",
    ],
    "trakt-web/tvtime-movies.json": [
        "2026-06-03 13:02:31 exact movie The Hunger Games: The Ballad of Songbirds & Snakes (2023) [135073,tt10545296]",
        "2025-02-11 17:34:58 exact movie Don\u2019t Call it Mystery (2023) [341914,tt27554389]",
        "2026-01-17 12:16:08 exact movie Haq (2025) [372439,tt36642456]",
    ],
    "trakt-web/tvtime-series-episodes.csv": [
        "2019-10-04 03:43:42 exact Elite [346328] 1x1 [6671792]",
        "2025-03-20 10:15:44 exact Amirli [447665] 1x1 [10383440]",
        "2023-09-15 23:11:55 exact The Walking Dead: Daryl Dixon [427464] 1x1 [9465441]",
        "2019-04-28 15:37:32 exact Dotted Line [344852] 1x1 [6610822]",
        "2019-08-30 05:12:05 exact Mannequin [368789] 1x1 [7336398]",
        "2018-07-15 04:59:42 exact Grimm [248736] 1x1 [4099457]",
        "2025-03-20 10:31:09 exact Mah-e Asal [397770] 1386x1 [8253358]",
        "bad tvtime-series-episodes.csv:None rewatches that are only counted, not dated, are no plays: "
        "1 of them were left",
    ],
    "trakt-web/tvtime-series.csv": [
        "2018-12-18 12:39:15 follow following Elite (None) [346328]",
        "2025-03-20 10:15:42 follow following Amirli (None) [447665]",
        "2018-09-08 10:16:19 follow following Marvel's Agent Carter (None) [281485]",
        "2022-01-06 03:35:26 follow stopped The Wheel of Time (None) [355730]",
    ],
    "trakt-web/tvtime-series.json": [
        "follow following Hello, Nice to Meet You. Could You Please Divorce Me? (None) [455514]",
        "2025-05-13 00:37:58 exact Hello, Nice to Meet You. Could You Please Divorce Me? [455514] 1x1 [10745456]",
        "2025-05-13 00:38:17 exact Hello, Nice to Meet You. Could You Please Divorce Me? [455514] 1x2 [10805331]",
        "follow following Blue Moment (None) [445878]",
    ],
}


@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.parametrize("packed", [False, True], ids=["loose", "zip"])
def test_a_sample_is_read_row_by_row(name: str, packed: bool, tmp_path: Path) -> None:
    path = SAMPLES / name
    if not path.exists():
        pytest.skip("no samples here")
    if packed:
        inside = f"export/{path.name.removeprefix('gdpr-v2-')}"
        path = zipped(tmp_path / "export.zip", {inside: path.read_bytes()})

    with open_bundle(path) as bundle:
        found = lines(list(tvtime.read(bundle)))

    assert found == EXPECTED[name]


def test_every_sample_that_is_read_is_in_the_table() -> None:
    if not SAMPLES.exists():
        pytest.skip("no samples here")
    lists = {"trakt-web/gdpr-lists-prod-lists.csv", "trakt-web/tvtime-lists.csv"}

    there = {str(path.relative_to(SAMPLES)) for path in SAMPLES.rglob("*.*")}

    assert there == set(EXPECTED) | lists
    for name in lists:
        with open_bundle(SAMPLES / name) as bundle, pytest.raises(Unusable):
            list(tvtime.read(bundle))


# --- TV Time's own export


def test_a_watched_episode_becomes_a_play_marked_by_hand(read: Read) -> None:
    [entry] = read({V2: table(RECORDS, marked(9001, "2021-02-04 22:11:37", runtime="2520"))})

    assert isinstance(entry, Viewing)
    at = datetime.fromisoformat("2021-02-04T22:11:37+00:00")
    play = entry.play
    assert (play.started_at, play.last_at, play.watched_at) == (at, at, at)
    assert (play.state, play.source, play.manual, play.duration_ms) == (
        State.STOPPED,
        "tvtime",
        True,
        2_520_000,
    )
    assert entry.foreign_key == "tvtime:episode:9001:1612476697"


@pytest.mark.parametrize(
    ("filled", "expected"),
    [
        ({"ep_id": 9001, "s_no": 2, "ep_no": 3}, "2x3 [9001]"),
        (
            {
                "ep_id": "",
                "episode_id": 9002,
                "s_no": "",
                "ep_no": "",
                "season_number": 2,
                "episode_number": 3,
            },
            "2x3 [9002]",
        ),
        ({"ep_id": 9001, "episode_id": 9002, "s_no": 0, "season_number": 7}, "0x1 [9001]"),
        ({"ep_id": "", "s_no": 4, "ep_no": 5}, "4x5 [None]"),
        ({"ep_id": 9001, "s_no": "", "ep_no": ""}, "NonexNone [9001]"),
    ],
)
def test_an_id_in_either_column_is_found(read: Read, filled: dict[str, object], expected: str) -> None:
    """Trap (a): a reader of episode_id alone loses every episode of most exports."""
    columns = (*RECORDS, "episode_id")

    [entry] = read({V2: table(columns, marked(1, "2021-02-04 22:11:37", **filled))})

    assert shown(entry).endswith(f"Quiet Harbour [1001] {expected}")


def test_the_newer_file_needs_no_column_called_type(read: Read, alone: Read) -> None:
    """Trap (b)."""
    content = table(("key", "created_at", "ep_id"), marked(9001, "2021-02-04 22:11:37"))

    assert len(viewings(read({V2: content}))) == len(viewings(alone(content))) == 1


def test_the_older_file_adds_only_the_episodes_that_the_newer_lacks(read: Read) -> None:
    """Trap (c): most episodes are in both, with dates that differ."""

    def older(number: int | str, at: str, **more: object) -> dict[str, object]:
        told = {"type": "watch", "entity_type": "episode", "series_id": 1001, "series_name": "Quiet Harbour"}
        return {**told, "episode_id": number, "created_at": at, **more}

    found = read(
        {
            V1: table(
                OLDER,
                older(9001, "2019-01-01 00:00:00", season_number=1, episode_number=1),
                older(9002, "2019-01-02 00:00:00", season_number=1, episode_number=2),
                older(9003, "2019-01-03 00:00:00", season_number=1, episode_number=3),
                older("", "2019-01-04 00:00:00", season_number=1, episode_number=1),
                older(9001, "2019-01-05 00:00:00", type="rewatch"),
                older("", "", type="last-episode-watched"),
                older("", "", type="count-watch-episode-total"),
            ),
            V2: table(
                RECORDS,
                marked(9001, "2021-01-01 00:00:00"),
                marked("", "2021-01-02 00:00:00", s_no=1, ep_no=2),
                marked(9009, "2021-01-09 00:00:00", s_no=1, ep_no=3),
            ),
        }
    )

    assert lines(found) == [
        "2021-01-01 00:00:00 exact Quiet Harbour [1001] 1x1 [9001]",
        "2021-01-02 00:00:00 exact Quiet Harbour [1001] 1x2 [None]",
        "2021-01-09 00:00:00 exact Quiet Harbour [1001] 1x3 [9009]",
        "2019-01-03 00:00:00 exact Quiet Harbour [1001] 1x3 [9003]",
    ]


def test_an_account_that_watched_nothing_has_no_episode_columns(read: Read, alone: Read) -> None:
    """Trap (d): empty columns are pruned, the key column stays."""
    content = table(
        ("created_at", "key", "s_id", "series_name", "is_followed"),
        {"key": "tracking-stats", "created_at": "2021-01-01 00:00:00"},
        series(1001, "Quiet Harbour", created_at="2021-01-01 00:00:00"),
    )

    expected = ["2021-01-01 00:00:00 follow following Quiet Harbour (None) [1001]"]
    assert lines(read({V2: content})) == lines(alone(content)) == expected


def test_columns_in_another_order_read_the_same(read: Read) -> None:
    rows = [marked(9001, "2021-01-01 00:00:00", runtime=60), series(1001, "Quiet Harbour (2019)")]

    assert read({V2: table(RECORDS, *rows)}) == read({V2: table(RECORDS[::-1], *rows, end="\r\n")})


def test_what_was_ticked_in_bulk_says_only_that(read: Read) -> None:
    found = read(
        {
            V2: table(
                RECORDS,
                marked(9001, "2021-01-01 00:00:00", bulk_type="season"),
                marked(9002, "2021-01-02 00:00:00", bulk_type="fill-previous"),
                marked(9003, "2021-01-03 00:00:00"),
                marked(9004, "2021-01-04 00:00:00"),
                marked(9005, "2021-01-04 00:00:00"),
                marked(9006, "2021-01-03 00:00:00", s_id=1002),
            )
        }
    )

    dated = [entry.play.dated for entry in viewings(found)]
    assert dated == ["ticked", "ticked", "exact", "ticked", "ticked", "exact"]


def test_each_dated_rewatch_is_a_viewing_of_its_own(read: Read) -> None:
    again = {"key": "rewatch-episode-s1001-e9001"}

    found = read(
        {
            V2: table(
                RECORDS,
                marked(9001, "2021-01-01 00:00:00", rewatch_count=2),
                marked(9001, "2022-01-01 00:00:00", **again),
                marked(9001, "2023-01-01 00:00:00", **again),
            ),
            "rewatched_episode.csv": table(
                (
                    "episode_id",
                    "cpt",
                    "created_at",
                    "tv_show_name",
                    "episode_season_number",
                    "episode_number",
                ),
                {"episode_id": 9001, "cpt": 2, "created_at": "2022-01-01 00:00:01"},
                {"episode_id": 9002, "cpt": 3, "created_at": "2020-05-05 00:00:00", "tv_show_name": "Old"},
            ),
        }
    )

    assert [entry.foreign_key for entry in viewings(found)] == [
        "tvtime:episode:9001:1609459200",
        "tvtime:episode:9001:1640995200",
        "tvtime:episode:9001:1672531200",
        "tvtime:episode:9002:1588636800",
    ]
    assert "only counted, not dated, are no plays: 2 of them" in shown(found[-1])


@pytest.mark.parametrize(
    "at", ["0001-01-01 00:00:00", "0000-00-00 00:00:00", "2999-01-01 00:00:00", "soon", ""]
)
def test_a_mark_without_a_date_that_can_be_is_bad_and_the_others_are_read(read: Read, at: str) -> None:
    found = read({V2: table(RECORDS, marked(9001, at), marked(9002, "2021-01-01 00:00:00"))})

    bad, good = found
    assert isinstance(bad, Bad)
    assert (bad.file, bad.line) == (V2, 2)
    assert shown(good).endswith("[9002]")


def test_where_the_date_was_pruned_the_range_key_has_it(read: Read) -> None:
    [entry] = read(
        {V2: table(("key", "ep_id", "gsi"), {**marked(9001, ""), "gsi": "watch-episode-1612476697"})}
    )

    assert shown(entry).startswith("2021-02-04 22:11:37")


def test_a_mark_of_nothing_is_bad(read: Read) -> None:
    nothing = {"ep_id": "", "s_no": "", "ep_no": ""}
    nowhere = {"ep_id": "", "s_id": "", "series_name": ""}

    found = read(
        {
            V2: table(
                RECORDS,
                marked(1, "2021-01-01 00:00:00", **nothing),
                marked(1, "2021-01-01 00:00:00", **nowhere),
            )
        }
    )

    assert lines(found) == [
        f"bad {V2}:2 it has neither an episode id nor season and number",
        f"bad {V2}:3 nothing says which show it belongs to",
    ]


def test_the_state_of_a_show_is_that_of_its_flags(read: Read) -> None:
    found = read(
        {
            V2: table(
                RECORDS,
                series(1, "One (2001)", followed_at=1_600_000_000_000_000),
                series(2, "Two", is_for_later="true", created_at="2021-01-01 00:00:00"),
                series(3, "Three", is_archived="true", is_for_later="true"),
                series(4, "Four", is_followed="false"),
            ),
            "followed_tv_show.csv": table(
                ("tv_show_id", "tv_show_name", "archived", "active", "created_at"),
                *(
                    {"tv_show_id": number, "tv_show_name": "Old", "archived": 0, "active": 1}
                    for number in range(1, 6)
                ),
                {"tv_show_id": 6, "tv_show_name": "Six", "archived": 0, "active": 0},
                {"tv_show_name": "Seven", "archived": 0, "active": 1},
            ),
            "user_tv_show_data.csv": table(
                ("tv_show_id", "tv_show_name", "is_favorited"),
                {"tv_show_id": 1, "tv_show_name": "One (2001)", "is_favorited": 1},
                {"tv_show_id": 2, "tv_show_name": "Two", "is_favorited": 0},
            ),
        }
    )

    assert lines(found) == [
        "2020-09-13 12:26:40 follow following One (2001) [1]",
        "2021-01-01 00:00:00 follow for_later Two (None) [2]",
        "follow archived Three (None) [3]",
        "follow following Old (None) [5]",
        "bad followed_tv_show.csv:8 it has no show id",
        "love One (2001) [1]",
    ]


def test_a_movie_has_its_date_from_the_first_column_that_says_one(read: Read) -> None:
    found = read(
        {
            V1: table(
                OLDER,
                film(
                    "watch",
                    "u1",
                    "One",
                    watch_date_range_key="watch-date-1612476697",
                    created_at="2021-05-05 00:00:00",
                ),
                film("watch", "u2", "Two", watch_date="1612476697", created_at="2021-05-05 00:00:00"),
                film(
                    "watch", "u3", "Three", created_at="2021-05-05 00:00:00", watch_date="0001-01-01 00:00:00"
                ),
                film("rewatch", "u1", "One", watch_date="1612576697"),
                film("watch", "u4", "Four"),
                film("follow", "u5", "Five", created_at="2021-05-05 00:00:00"),
                film("rewatch_count", "u1", "One", created_at="2021-05-05 00:00:00"),
            )
        }
    )

    assert lines(found) == [
        "2021-02-04 22:11:37 exact movie One (None) [u1]",
        "2021-02-04 22:11:37 exact movie Two (None) [u2]",
        "2021-05-05 00:00:00 exact movie Three (None) [u3]",
        "2021-02-06 01:58:17 exact movie One (None) [u1]",
        f"bad {V1}:6 it has no date",
    ]


@pytest.mark.parametrize(
    ("released", "year"),
    [
        ("2021-11-26 00:00:00", 2021),
        ("2017-10-12", 2017),
        ("0001-01-01 00:00:00", None),
        ("0000-00-00", None),
        ("", None),
    ],
)
def test_a_movie_without_a_name_has_that_of_its_slug_and_the_year_of_its_release(
    read: Read, released: str, year: int | None
) -> None:
    told = {"alpha_range_key": "watch-alpha-what-happened-to-monday", "watch_date": "1612476697"}

    [entry] = viewings(read({V1: table(OLDER, film("watch", "u1", "", release_date=released, **told))}))

    assert item_shown(entry.play.item) == f"movie What Happened To Monday ({year}) [u1]"


def test_the_watchlist_is_what_was_to_be_watched_and_was_not(read: Read) -> None:
    found = read(
        {
            V1: table(
                OLDER,
                film("towatch", "u1", "One", created_at="2021-05-05 00:00:00"),
                film("towatch", "u2", "Two", created_at="2021-05-06 00:00:00"),
                film("watch", "u1", "One", watch_date="1622476697"),
            )
        }
    )

    assert lines(found) == [
        "2021-05-31 15:58:17 exact movie One (None) [u1]",
        "2021-05-06 00:00:00 watchlist movie Two (None) [u2]",
    ]


def test_the_old_layout_finds_the_shows_by_their_unique_titles(read: Read) -> None:
    columns = ("episode_number", "episode_id", "created_at", "episode_season_number", "tv_show_name")
    row = {"episode_number": 2, "created_at": "2015-03-31 18:17:57", "episode_season_number": 1}

    found = read(
        {
            "seen_episode.csv": table(
                columns,
                {**row, "episode_id": 9001, "tv_show_name": "Namesakes"},
                {**row, "episode_id": 9002, "tv_show_name": "Alone (2011)"},
                {**row, "episode_id": 9003, "tv_show_name": "Alone (2011)"},
            ),
            "user_tv_show_data.csv": table(
                ("tv_show_id", "tv_show_name", "is_favorited"),
                {"tv_show_id": 1, "tv_show_name": "Namesakes"},
                {"tv_show_id": 2, "tv_show_name": "Namesakes"},
                {"tv_show_id": 3, "tv_show_name": "Alone (2011)"},
            ),
        }
    )

    assert lines(found) == [
        "2015-03-31 18:17:57 exact Namesakes [None] 1x2 [9001]",
        "2015-03-31 18:17:57 ticked Alone [3] 1x2 [9002]",
        "2015-03-31 18:17:57 ticked Alone [3] 1x2 [9003]",
    ]


WATCHED_ON = (
    *("episode_number", "user_id", "episode_id", "watched_on_source_id"),
    *("created_at", "updated_at", "tv_show_name", "episode_season_number"),
)


def watched_on(number: int, at: str = "2019-05-01 20:00:00") -> dict[str, object]:
    return {
        "episode_number": number,
        "episode_id": 9000 + number,
        "watched_on_source_id": 4,
        "created_at": at,
        "tv_show_name": "Alone (2011)",
        "episode_season_number": 1,
    }


def test_the_part_of_the_log_that_says_on_what_somebody_watched_is_read(read: Read, alone: Read) -> None:
    content = table(WATCHED_ON, watched_on(1), watched_on(2, "2019-05-02 20:00:00"))

    expected = [
        "2019-05-01 20:00:00 exact Alone [None] 1x1 [9001]",
        "2019-05-02 20:00:00 exact Alone [None] 1x2 [9002]",
    ]
    assert lines(read({"watched_on_episode.csv": content})) == expected
    assert lines(alone(content)) == expected


def test_a_part_of_the_log_adds_only_what_the_fuller_files_lack(read: Read) -> None:
    found = read(
        {
            "seen_episode.csv": table(
                ("episode_number", "episode_id", "created_at", "episode_season_number", "tv_show_name"),
                watched_on(1),
            ),
            "watched_on_episode.csv": table(WATCHED_ON, watched_on(1, "2020-01-01 00:00:00"), watched_on(2)),
            "seen_episode_source.csv": table(
                (
                    *("created_at", "tv_show_name", "episode_season_number", "episode_number"),
                    *("episode_id", "source"),
                ),
                {**watched_on(2, "2020-01-01 00:00:00"), "source": "season-detail"},
                {**watched_on(3), "source": "season-detail"},
            ),
        }
    )

    assert lines(found) == [
        "2019-05-01 20:00:00 exact Alone [None] 1x1 [9001]",
        "2019-05-01 20:00:00 exact Alone [None] 1x2 [9002]",
        "2019-05-01 20:00:00 exact Alone [None] 1x3 [9003]",
    ]


def test_lists_are_counted_and_named(read: Read) -> None:
    found = read(
        {
            "lists-prod-lists.csv": table(("s_key", "name", "objects"), {"s_key": "a", "name": "Slice"}),
            "tvtime-lists-2026-05-01.csv": table(
                ("list_id", "list_name", "item_type"), {"list_id": 1}, {"list_id": 2}
            ),
            "lists.json": as_json({"name": "Mine"}, {"name": "Yours"}, {"name": "Ours"}),
        }
    )

    assert lines(found) == [
        "left out of lists-prod-lists.csv: 1",
        "left out of tvtime-lists-2026-05-01.csv: 2",
        "left out of lists.json: 3",
    ]


def test_stars_become_ratings_to_ten_and_emotions_do_not(read: Read) -> None:
    def vote(uuid: str, rating: int, **more: object) -> dict[str, object]:
        return {"uuid": uuid, "vote_key": f"{uuid}-77-{rating}", "episode_id": 0, **more}

    stars = [
        vote(
            f"u{rating}",
            rating,
            episode_id=9000 + rating,
            series_name="Show",
            season_number=1,
            episode_number=place,
        )
        for place, rating in enumerate((1, 27, 28, 29, 3), start=1)
    ]
    votes = table(VOTES, *stars, vote("m1", 29, movie_name="Film"), vote("m2", 55, movie_name="Odd"))

    found = read(
        {
            "ratings-live-votes.csv": votes,
            "ratings-3-prod-episode_votes.csv": table(VOTES, vote("m1", 1, movie_name="Film")),
            "emotions-live-votes.csv": votes,
            "tv_show_rate.csv": table(("tv_show_name", "rating"), {"tv_show_name": "Show", "rating": 4}),
        }
    )

    assert lines(found) == [
        "rating 2.0 Show [None] 1x1 [9001]",
        "rating 4.0 Show [None] 1x2 [9027]",
        "rating 6.0 Show [None] 1x3 [9028]",
        "rating 8.0 Show [None] 1x4 [9029]",
        "rating 10.0 Show [None] 1x5 [9003]",
        "rating 8.0 movie Film (None) [m1]",
        "bad ratings-live-votes.csv:8 its vote is none of those that are known to be stars",
        "rating 8.0 Show (None) [None]",
    ]


def test_a_single_file_of_votes_is_only_read_under_its_name(alone: Read) -> None:
    votes = table(VOTES, {"vote_key": "m1-77-3", "movie_name": "Film", "uuid": "m1", "episode_id": 0})

    assert lines(alone(votes, "ratings-live-votes.csv")) == ["rating 10.0 movie Film (None) [m1]"]
    with pytest.raises(Unusable, match="no export of TV Time that is known"):
        alone(votes, "emotions-live-votes.csv")


# --- the extensions

OUT_EPISODES = (
    *("series_tvdb_id", "series_imdb_id", "series_uuid", "title", "season", "episode", "tvdb_id"),
    *("is_watched", "watched_at", "rewatch_count", "special"),
)


def out_row(number: int, at: str, **more: object) -> dict[str, object]:
    told = {"series_tvdb_id": 1001, "title": "Quiet Harbour (2019)", "season": 1, "episode": number}
    return {
        **told,
        "tvdb_id": 9000 + number,
        "is_watched": "true",
        "watched_at": at,
        "rewatch_count": 0,
        **more,
    }


def out_show(*episodes: Mapping[str, object], **more: object) -> dict[str, object]:
    told = {"uuid": "s-1001", "id": {"tvdb": 1001, "imdb": "tt0001001"}, "title": "Quiet Harbour (2019)"}
    return {**told, "status": "stopped", "seasons": [{"number": 1, "episodes": list(episodes)}], **more}


def out_episode(number: int, at: str | None, **more: object) -> dict[str, object]:
    return {"id": {"tvdb": 9000 + number}, "number": number, "is_watched": True, "watched_at": at, **more}


def test_csv_and_json_of_one_export_give_each_viewing_once(read: Read) -> None:
    csv_rows = [
        out_row(1, "2021-01-01 00:00:00"),
        out_row(2, "2021-01-02T00:00:00Z", rewatch_count=2),
        out_row(3, "2021-01-03T00:00:00Z"),
    ]

    found = read(
        {
            "tvtime-series-episodes-2026-07-01.csv": table(OUT_EPISODES, *csv_rows, end="\r\n"),
            "tvtime-series-2026-07-01.csv": table(
                ("uuid", "tvdb_id", "imdb_id", "title", "status", "created_at"),
                {"uuid": "s-1001", "tvdb_id": 1001, "title": "Quiet Harbour (2019)", "status": "stopped"},
            ),
            "tvtime-series-2026-07-01.json": as_json(
                out_show(
                    out_episode(1, "2021-01-01T00:00:00.000Z", name="Pilot"),
                    out_episode(2, "2021-01-02T00:00:00Z", rewatch_count=2),
                    out_episode(4, None, is_watched=False),
                    is_favorite=True,
                )
            ),
            "tvtime-movies.csv": table(
                ("uuid", "tvdb_id", "imdb_id", "title", "year", "created_at", "watched_at", "is_watched"),
                {
                    "uuid": "m1",
                    "tvdb_id": 7,
                    "title": "Film",
                    "is_watched": "true",
                    "watched_at": "2021-01-09 00:00:00",
                },
            ),
            "tvtime-movies.json": as_json(
                {"uuid": "m1", "id": {"tvdb": 7}, "title": "Film", "year": 2020, "is_watched": True}
                | {"watched_at": "2021-01-09T00:00:00Z"},
                {
                    "id": {"tvdb": 8},
                    "title": "Later",
                    "is_watched": False,
                    "created_at": "2021-01-08T00:00:00Z",
                },
            ),
            "tvtime-summary.html": "<p>",
        }
    )

    assert lines(found) == [
        "follow stopped Quiet Harbour (2019) [1001]",
        "love Quiet Harbour (2019) [1001]",
        "2021-01-01 00:00:00 exact Quiet Harbour [1001] 1x1 [9001]",
        "2021-01-02 00:00:00 exact Quiet Harbour [1001] 1x2 [9002]",
        "bad tvtime-series-2026-07-01.json:None rewatches that are only counted, not dated, are no plays: "
        "2 of them were left",
        "2021-01-09 00:00:00 exact movie Film (2020) [7,m1]",
        "2021-01-08 00:00:00 watchlist movie Later (None) [8]",
        "2021-01-03 00:00:00 exact Quiet Harbour [1001] 1x3 [9003]",
    ]


def test_each_row_of_one_file_is_a_viewing(alone: Read) -> None:
    found = alone(table(OUT_EPISODES, out_row(1, "2021-01-01 00:00:00"), out_row(1, "2022-01-01 00:00:00")))

    assert len({entry.foreign_key for entry in viewings(found)}) == 2


def test_the_same_viewing_has_the_same_key_in_each_family(read: Read, alone: Read) -> None:
    own = viewings(read({V2: table(RECORDS, marked(9001, "2021-01-01 00:00:00"))}))
    out = viewings(alone(table(OUT_EPISODES, out_row(1, "2021-01-01T00:00:00Z"))))
    saved = viewings(alone(as_json(out_show(out_episode(1, "2021-01-01T00:00:00.123Z")))))

    assert [entry.foreign_key for entry in (*own, *out, *saved)] == ["tvtime:episode:9001:1609459200"] * 3


def test_episodes_of_one_show_and_second_are_ticked_in_json_too(alone: Read) -> None:
    at = "2021-01-01T00:00:00"

    found = alone(as_json(out_show(*(out_episode(number, f"{at}.{number}Z") for number in (1, 2)))))

    assert [entry.play.dated for entry in viewings(found)] == ["ticked", "ticked"]


def test_what_is_watched_without_a_date_is_bad_in_each_layout(alone: Read) -> None:
    movie = {"id": {"tvdb": 7}, "title": "Film", "is_watched": True}

    [row] = alone(table(OUT_EPISODES, out_row(1, "")))
    [_, entry] = alone(as_json(out_show(out_episode(1, None))))
    [film_entry] = alone(as_json(movie), "movies.json")

    assert shown(row) == "bad file:2 it is marked as watched, but not when"
    assert shown(entry) == "bad file:None entry 1: season 1, episode 1: it is marked as watched, but not when"
    assert shown(film_entry) == "bad movies.json:None entry 1: it is marked as watched, but not when"


def test_json_of_odd_shapes_costs_what_is_odd_and_no_more(alone: Read) -> None:
    odd: list[dict[str, object]] = [
        out_show(out_episode(1, "2021-01-01T00:00:00Z")),
        {"id": None, "title": None, "seasons": [None, {"episodes": 7}]},
        {"id": {"tvdb": 5}, "title": "Five", "seasons": {"1": {}}},
        {"id": {"tvdb": 6}, "title": "Six", "seasons": [{"number": "x", "episodes": [{"is_watched": True}]}]},
    ]

    found = alone(as_json(*odd)[:-1] + ", 7]")

    assert lines(found) == [
        "follow stopped Quiet Harbour (2019) [1001]",
        "2021-01-01 00:00:00 exact Quiet Harbour [1001] 1x1 [9001]",
        "bad file:None entry 2: it has neither a title nor an id",
        "follow following Five (None) [5]",
        "follow following Six (None) [6]",
        "bad file:None entry 4: season None, episode None: it has neither an episode id nor season and number",
        "bad file:None entry 5: it is no object",
    ]


ACTIVITY = (
    *("imdb_id", "tvdb_id", "type", "title", "season", "episode"),
    *("is_special", "is_watched", "watched_at", "status", "is_watchlisted", "rating"),
)


def test_liberators_history_is_read(read: Read, alone: Read) -> None:
    at = "2024-09-13T10:49:37Z"
    content = table(
        ACTIVITY,
        {
            "imdb_id": "tt0485947",
            "tvdb_id": 1571,
            "type": "movie",
            "title": "Mr. Nobody",
            "is_watched": "true",
        }
        | {"watched_at": at, "is_watchlisted": "false", "rating": 10},
        {"imdb_id": "-1", "tvdb_id": 8, "type": "movie", "title": "Later", "is_watched": "false"},
        {
            "imdb_id": "-1",
            "tvdb_id": 9001,
            "type": "episode",
            "title": "Quiet Harbour",
            "season": 1,
            "episode": 1,
        }
        | {"is_watched": "true", "watched_at": at, "rating": 8},
        {
            "imdb_id": "tt0001001",
            "tvdb_id": 1001,
            "type": "show",
            "title": "Quiet Harbour",
            "status": "stopped",
        },
        {"tvdb_id": 9002, "type": "show", "title": "Quiet Harbour", "season": 0, "episode": 2}
        | {"is_watched": "true", "watched_at": "2024-09-14T10:49:37Z", "status": "stopped"},
        {"type": "album", "title": "Odd"},
    )

    expected = [
        "rating 10.0 movie Mr. Nobody (None) [1571,tt0485947]",
        "2024-09-13 10:49:37 exact movie Mr. Nobody (None) [1571,tt0485947]",
        "watchlist movie Later (None) [8]",
        "rating 8.0 Quiet Harbour [1001] 1x1 [9001]",
        "2024-09-13 10:49:37 exact Quiet Harbour [1001] 1x1 [9001]",
        "follow stopped Quiet Harbour (None) [1001]",
        "2024-09-14 10:49:37 exact Quiet Harbour [1001] 0x2 [9002]",
    ]
    assert lines(read({"activity_history.csv": content}))[:-1] == expected
    assert lines(alone(content)) == [*expected, "bad file:7 it is neither movie, show nor episode"]


def test_favourites_are_found_in_either_shape(read: Read) -> None:
    movie = {"id": {"tvdb": 7, "imdb": "tt0000007"}, "title": "Film", "added_at": "2021-01-01T00:00:00Z"}
    show = {"tvdb": 1001, "title": "Quiet Harbour", "type": "series", "created_at": "2021-01-02T00:00:00Z"}
    expected = {
        "2021-01-01 00:00:00 love movie Film (None) [7,tt0000007]",
        "2021-01-02 00:00:00 love Quiet Harbour (None) [1001]",
    }

    together = read({"favorites.json": as_json({**movie, "type": "movie"}, show)})
    apart = read({"favorites.json": f'{{"movies": {as_json(movie)}, "series": {as_json(show)}}}'})

    assert set(lines(together)) == set(lines(apart)) == expected


# --- the bundle


class Watched(Bundle):
    """A bundle that remembers what was opened in it."""

    opened: set[str]

    @contextmanager
    def text(self, name: str) -> Iterator[Text]:
        self.opened.add(name)
        with super().text(name) as text:
            yield text


def test_files_with_secrets_are_never_opened(tmp_path: Path) -> None:
    secret = "id,token\n1,hunter2\n"
    path = zipped(
        tmp_path / "export.zip",
        {f"gdpr-data/{name}": secret for name in SECRETS}
        | {f"gdpr-data/{V2}": table(RECORDS, marked(9001, "2021-01-01 00:00:00"))},
    )
    for name in SECRETS:
        spoiled(path, f"gdpr-data/{name}")

    with open_bundle(path) as bundle:
        watched = Watched(bundle.path, bundle.tally, bundle.files, bundle.doubles, bundle.archive)
        watched.opened = set()
        found = list(tvtime.read(watched))

    assert set(SECRETS) < set(bundle.names)
    assert watched.opened == {V2}
    assert len(found) == 1


def test_a_single_file_with_secrets_is_refused_without_a_word_of_it(alone: Read) -> None:
    with pytest.raises(Unusable) as caught:
        alone("id,token\n1,hunter2\n", "access_token.csv")

    assert "hunter2" not in str(caught.value)
    assert "token\n" not in str(caught.value)


def test_a_zip_without_anything_of_tv_time_is_refused(read: Read) -> None:
    with pytest.raises(Unusable, match="no export of TV Time that is known"):
        read({"diary.csv": "Date,Name\n", "user.csv": "id\n"})


def test_a_zip_with_a_password_is_refused(tmp_path: Path) -> None:
    path = locked(zipped(tmp_path / "gdpr-data.zip", {V2: table(RECORDS)}))

    with pytest.raises(Unusable, match="password"), open_bundle(path) as bundle:
        list(tvtime.read(bundle))


def test_a_file_that_lacks_a_column_is_named_and_the_others_are_read(read: Read) -> None:
    lacking = {V2: "created_at,ep_id\n2021-01-01 00:00:00,9001\n"}
    data = {"user_tv_show_data.csv": "tv_show_id,tv_show_name,is_favorited\n1,One,1\n"}

    with pytest.raises(Unusable, match=r"tracking-prod-records-v2\.csv lacks the columns key"):
        read(lacking)
    assert lines(read(lacking | data)) == [
        "love One (None) [1]",
        f"bad {V2}:None {V2} lacks the columns key. It has: created_at, ep_id.",
    ]


def test_a_file_that_comes_twice_is_read_once_and_said(read: Read) -> None:
    rows = table(RECORDS, marked(9001, "2021-01-01 00:00:00"))

    found = read({f"gdpr/{V2}": rows, f"gdpr/old/{V2}": rows, f"__MACOSX/gdpr/._{V2}": "\x00\x05"})

    assert [shown(entry)[:40] for entry in found] == [
        f"bad gdpr/old/{V2}:None there are several files"[:40],
        "2021-01-01 00:00:00 exact Quiet Harbour ",
    ]


@pytest.mark.parametrize("name", ["tracking-prod-records-v2 (1).csv", "Tracking-Prod-Records-V2.CSV"])
def test_a_name_may_have_been_changed_by_a_browser(read: Read, name: str) -> None:
    assert len(read({name: table(RECORDS, marked(9001, "2021-01-01 00:00:00"))})) == 1


def test_reading_twice_gives_the_same_entries_in_the_same_order(tmp_path: Path) -> None:
    files = {
        V2: table(RECORDS, *(marked(9000 + number, "2021-01-01 00:00:00") for number in range(50))),
        V1: table(OLDER, *(film("towatch", f"u{number}", f"Film {number}") for number in range(50))),
    }

    found = []
    for order in (files, dict(reversed(files.items()))):
        with open_bundle(zipped(tmp_path / "export.zip", order)) as bundle:
            found.append(list(tvtime.read(bundle)))
            assert bundle.progress == 1.0

    assert found[0] == found[1]
    assert len(found[0]) == 100
