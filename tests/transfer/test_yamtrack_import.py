"""Yamtrack's CSV, older, newer and Floppy's: what is a viewing and what only a status."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.transfer._reading import bad, library, plays, read, viewings
from webhook.domain.event import Episode, Ids, Movie, Season, Show
from webhook.domain.play import Dated
from webhook.transfer.exports import Exported
from webhook.transfer.exports import yamtrack as export
from webhook.transfer.imports import yamtrack
from webhook.transfer.records import FOLLOWING, Kept, LeftOut, Relation, Unusable

HEADER = (
    "media_id,source,media_type,title,image,season_number,episode_number,score,progress,status,"
    "start_date,end_date,notes,progressed_at"
)
ROWS = (
    "8001,tmdb,tv,Long Winter,https://i.example/1,,,9.0,,In progress,,,,",
    "8001,tmdb,season,Long Winter,,2,,7.5,5,Paused,,,,",
    "8001,tmdb,episode,Long Winter,,2,5,,,,,2024-11-20 21:00:00+02:00,,",
    "8001,tmdb,episode,Long Winter,,2,5,,,,,2024-11-21,,",
    "8001,tmdb,episode,Long Winter,,0,1,,,,2024-11-01,,,2024-11-25 08:00:00+00:00",
    "8002,tmdb,movie,Tidal,,,,8.5,1,Completed,2024-10-01,2024-10-02,,",
    "8002,tmdb,movie,Tidal,,,,,1,Completed,,2024-10-02,,",
    "8003,tmdb,movie,Far Shore,,,,0,0,Planning,,,,",
    "8004,tmdb,movie,Half Seen,,,,3,0,Dropped,2024-10-05,2024-10-06,,",
    "m1,manual,movie,Home Video,,,,,1,Completed,,,,",
    "77,igdb,game,Chess,,,,,3,Completed,,2024-01-01,,",
    "78,openlibrary,book,Chess for All,,,,,3,Completed,,2024-01-01,,",
)


def csv(rows: Iterable[str], header: str = HEADER) -> str:
    """All values quoted, as Yamtrack writes them."""
    lines = (",".join(f'"{value}"' for value in row.split(",")) for row in rows)
    return "\n".join([header, *lines]) + "\n"


EXPORT = {"yamtrack_2024.csv": csv(ROWS)}
WINTER = Show(title="Long Winter", ids=Ids(tmdb=8001))
TIDAL = Movie(title="Tidal", ids=Ids(tmdb=8002))


def winter(season: int, number: int) -> Episode:
    return Episode(show="Long Winter", season=season, number=number, show_ids=WINTER.ids)


def test_episodes_and_completed_films_are_plays_as_exact_as_the_file_is(tmp_path: Path) -> None:
    found = plays(read(yamtrack, tmp_path, EXPORT))

    assert [(play.item, play.watched_at if play.dated is not Dated.TICKED else None) for play in found] == [
        (winter(2, 5), datetime(2024, 11, 20, 19, tzinfo=UTC)),
        (winter(2, 5), datetime(2024, 11, 21, 12, tzinfo=UTC)),
        (winter(0, 1), None),
        (TIDAL, datetime(2024, 10, 2, 12, tzinfo=UTC)),
        (TIDAL, datetime(2024, 10, 2, 12, tzinfo=UTC)),
        (Movie(title="Home Video"), None),
    ]
    assert [play.dated for play in found[:2]] == [Dated.EXACT, Dated.DAY]


def test_a_row_for_each_viewing_has_a_key_of_its_own(tmp_path: Path) -> None:
    first, second = (viewings(read(yamtrack, tmp_path, EXPORT)) for _ in range(2))

    assert [one.foreign_key for one in first] == [one.foreign_key for one in second]
    assert len({one.foreign_key for one in first}) == 6


def test_statuses_and_scores_are_kept_and_make_no_plays(tmp_path: Path) -> None:
    assert library(read(yamtrack, tmp_path, EXPORT)) == [
        Kept(relation=Relation.FOLLOW, item=WINTER, state=FOLLOWING),
        Kept(relation=Relation.RATING, item=WINTER, value=9),
        Kept(
            relation=Relation.RATING,
            item=Season(show="Long Winter", season=2, show_ids=WINTER.ids),
            value=7.5,
        ),
        Kept(relation=Relation.RATING, item=TIDAL, value=8.5),
        Kept(relation=Relation.WATCHLIST, item=Movie(title="Far Shore", ids=Ids(tmdb=8003))),
        Kept(relation=Relation.RATING, item=Movie(title="Half Seen", ids=Ids(tmdb=8004)), value=3),
    ]


def test_what_is_neither_film_nor_show_is_counted(tmp_path: Path) -> None:
    found = read(yamtrack, tmp_path, EXPORT)

    assert [(left.count, left.why) for left in found if isinstance(left, LeftOut)] == [
        (2, "Games, books and comics are not tracked here.")
    ]
    assert bad(found) == []


def test_an_older_file_counts_rewatches_and_dates_the_last(tmp_path: Path) -> None:
    header = HEADER.replace("progressed_at", "repeats").replace("end_date", "watch_date")
    rows = ("8002,tmdb,movie,Tidal,,,,,1,Completed,,2024-10-02,,2",)
    more = ("8002,tmdb,movie,Tidal,,,,,1,Completed,,2024-12-24,,3",)

    first, later = (viewings(read(yamtrack, tmp_path, {"a.csv": csv(each, header)})) for each in (rows, more))

    assert [one.play.dated for one in first] == [Dated.TICKED, Dated.TICKED, Dated.DAY]
    assert first[-1].play.watched_at == datetime(2024, 10, 2, 12, tzinfo=UTC)
    assert len({one.play.watched_at for one in first}) == 3
    assert [one.foreign_key for one in later][:3] == [one.foreign_key for one in first]


def test_anime_is_counted_and_its_numbers_are_mapped_ones(tmp_path: Path) -> None:
    rows = ("9001,mal,anime,Kumo,,,,8,3,Completed,2024-03-01,2024-03-20,,",)
    kumo = Show(title="Kumo", ids=Ids(mal=9001))

    found = read(yamtrack, tmp_path, {"a.csv": csv(rows)})

    assert [(play.item.number, play.item.numbering, play.dated) for play in plays(found)] == [  # type: ignore[union-attr]
        (1, "mapped", Dated.DAY),
        (2, "mapped", Dated.TICKED),
        (3, "mapped", Dated.DAY),
    ]
    assert [kept.item for kept in library(found)] == [kumo, kumo]


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("8001,tmdb,episode,Long Winter,,2,,,,,,2024-11-20,,", "it has no “episode_number”"),
        ("0,tmdb,movie,,,,,,1,Completed,,,,", "a movie without an id and without a title"),
        ("1,tmdb,movie,Odd,,,,,1,Completed,,20.11.2024,,", "is no date"),
        ("1,tmdb,movie,Odd,,,,11,0,Dropped,,,,", "“11” is no rating"),
        ("1,tmdb,podcast,Odd,,,,,1,Completed,,,,", "“podcast” is not tracked"),
        ("1,mal,anime,Odd,,,,,99999999,Completed,,,,", "more than 20,000 plays"),
    ],
)
def test_a_broken_row_costs_that_row(tmp_path: Path, row: str, why: str) -> None:
    found = read(yamtrack, tmp_path, {"a.csv": csv([row, *ROWS])})

    [broken] = bad(found)
    assert (broken.line, len(plays(found))) == (2, 6)
    assert why in broken.why


def test_our_own_export_for_yamtrack_comes_back(tmp_path: Path) -> None:
    first = read(yamtrack, tmp_path, EXPORT)

    written = b"".join(export.write([Exported(play=play) for play in plays(first)], []))
    again = plays(read(yamtrack, tmp_path, {"own.csv": written.decode()}))

    assert sorted(str((play.item, play.dated)) for play in again) == sorted(
        str((play.item, play.dated)) for play in plays(first)
    )


def test_another_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="no CSV of Yamtrack"):
        read(yamtrack, tmp_path, {"a.csv": "media_id,title\n1,Tidal\n"})
