"""MyAnimeList's XML: totals become plays with at most two days, and nothing in the file is trusted."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.transfer._reading import bad, library, loose, plays, read, viewings
from webhook.domain.event import Episode, Ids, Movie, Show
from webhook.domain.play import Dated
from webhook.transfer.imports import myanimelist
from webhook.transfer.imports._archive import open_bundle
from webhook.transfer.imports._streams import Allowance
from webhook.transfer.records import ARCHIVED, FOLLOWING, STOPPED, Kept, Relation, Unusable

DEFAULTS = {
    "series_animedb_id": "9001",
    "series_title": "<![CDATA[Kumo & Sons]]>",
    "series_type": "TV",
    "series_episodes": "3",
    "my_watched_episodes": "3",
    "my_start_date": "2024-03-01",
    "my_finish_date": "2024-03-20",
    "my_score": "9",
    "my_status": "Completed",
    "my_times_watched": "0",
    "my_rewatching": "0",
    "my_rewatching_ep": "0",
}
KUMO = Show(title="Kumo & Sons", ids=Ids(mal=9001))


def anime(**changes: str | None) -> str:
    told = {name: value for name, value in {**DEFAULTS, **changes}.items() if value is not None}
    return "<anime>" + "".join(f"<{name}>{value}</{name}>\n" for name, value in told.items()) + "</anime>"


def exported(*entries: str) -> dict[str, str | bytes]:
    info = "<myinfo><user_name>anna</user_name><user_export_type>1</user_export_type></myinfo>"
    head = '<?xml version="1.0" encoding="UTF-8" ?>\n<!-- Created by an exporter -->\n'
    return {"animelist_1.xml": f"{head}<myanimelist>{info}{''.join(entries)}</myanimelist>"}


EXPORT = exported(anime(), anime(series_animedb_id="9002", series_title="Plan", my_status="Plan to Watch",
                                 my_watched_episodes="0", my_score="0"))  # fmt: skip


def dates(files: dict[str, str | bytes], folder: Path) -> list[tuple[int | None, datetime | None]]:
    """Of each play its number, and its time where that is known."""
    return [
        (getattr(play.item, "number", None), None if play.dated is Dated.TICKED else play.watched_at)
        for play in plays(read(myanimelist, folder, files))
    ]


def noon(month: int, day: int) -> datetime:
    return datetime(2024, month, day, 12, tzinfo=UTC)


def test_a_finished_series_has_at_most_two_days(tmp_path: Path) -> None:
    found = plays(read(myanimelist, tmp_path, EXPORT))

    assert dates(EXPORT, tmp_path) == [(1, noon(3, 1)), (2, None), (3, noon(3, 20))]
    assert found[0].item == Episode(
        show="Kumo & Sons", season=1, number=1, show_ids=Ids(mal=9001), numbering="mapped"
    )
    assert {play.source for play in found} == {"myanimelist"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"my_start_date": "0000-00-00", "my_finish_date": "2024-00-00"}, [(1, None), (2, None), (3, None)]),
        ({"my_status": "Watching", "my_watched_episodes": "2"}, [(1, noon(3, 1)), (2, None)]),
        ({"my_status": "1", "my_watched_episodes": "1"}, [(1, noon(3, 1))]),
        ({"my_watched_episodes": "1", "series_episodes": "1"}, [(1, noon(3, 20))]),
        ({"my_watched_episodes": "0"}, []),
        ({"my_watched_episodes": None, "my_times_watched": None}, []),
    ],
)
def test_dates_are_given_to_no_episode_that_they_are_not_of(
    tmp_path: Path, changes: dict[str, str | None], expected: list[tuple[int, datetime | None]]
) -> None:
    assert dates(exported(anime(**changes)), tmp_path) == expected


def test_what_was_watched_again_are_more_plays_without_a_date(tmp_path: Path) -> None:
    again = anime(my_times_watched="1", my_rewatching="1", my_rewatching_ep="2")

    first, later = (viewings(read(myanimelist, tmp_path, exported(one))) for one in (anime(), again))

    assert [getattr(one.play.item, "number", 0) for one in later] == [1, 2, 3, 1, 2, 3, 1, 2]
    assert [one.play.dated for one in later[3:]] == [Dated.TICKED] * 5
    assert len({(one.play.item, one.play.watched_at) for one in later}) == 8
    assert [one.foreign_key for one in later[:3]] == [one.foreign_key for one in first]


def test_the_owner_may_leave_out_what_has_no_date(tmp_path: Path) -> None:
    path = loose(tmp_path, exported(anime(my_times_watched="1")))

    with open_bundle(path, options={"totals": "dated"}) as bundle:
        [question], found = myanimelist.questions(bundle), list(myanimelist.read(bundle))

    assert (question.answer, question.accepts("all"), question.accepts("some")) == ("dated", True, False)
    assert [play.watched_at for play in plays(found)] == [noon(3, 1), noon(3, 20)]
    assert len(library(found)) == 2


def test_what_is_counted_counts_towards_the_limit_of_rows(tmp_path: Path) -> None:
    path = loose(tmp_path, exported(*[anime(my_watched_episodes="1000")] * 5))

    with (
        open_bundle(path, Allowance(rows=2_500)) as bundle,
        pytest.raises(Unusable, match=r"more than 2,500 rows"),
    ):
        list(myanimelist.read(bundle))


def test_a_date_that_is_set_later_is_of_the_same_play(tmp_path: Path) -> None:
    undated = anime(my_start_date="0000-00-00", my_finish_date="0000-00-00")

    before, after = (viewings(read(myanimelist, tmp_path, exported(one))) for one in (undated, anime()))

    assert [one.foreign_key for one in before] == [one.foreign_key for one in after]


@pytest.mark.parametrize(
    ("said", "state"),
    [("Watching", FOLLOWING), ("2", FOLLOWING), ("On-Hold", ARCHIVED), ("3", ARCHIVED), ("dropped", STOPPED)],
)
def test_a_status_in_words_or_numbers_is_what_the_show_is_here(tmp_path: Path, said: str, state: str) -> None:
    assert library(read(myanimelist, tmp_path, exported(anime(my_status=said)))) == [
        Kept(relation=Relation.RATING, item=KUMO, value=9),
        Kept(relation=Relation.FOLLOW, item=KUMO, at=noon(3, 1), state=state),
    ]


@pytest.mark.parametrize("said", ["Plan to Watch", "6", "plan_to_watch"])
def test_what_is_planned_is_on_the_watchlist(tmp_path: Path, said: str) -> None:
    planned = anime(my_status=said, my_watched_episodes="0", my_score="0")

    assert library(read(myanimelist, tmp_path, exported(planned))) == [
        Kept(relation=Relation.WATCHLIST, item=KUMO)
    ]


def test_a_film_is_a_film(tmp_path: Path) -> None:
    film = anime(series_type="Movie", series_episodes="1", my_watched_episodes="1")

    [play] = plays(read(myanimelist, tmp_path, exported(film)))

    assert (play.item, play.watched_at) == (Movie(title="Kumo & Sons", ids=Ids(mal=9001)), noon(3, 20))


def test_gzipped_as_it_is_downloaded_and_in_utf16(tmp_path: Path) -> None:
    [(name, content)] = EXPORT.items()
    assert isinstance(content, str)
    utf16 = content.replace('"UTF-8"', '"UTF-16"').encode("utf-16")

    first = viewings(read(myanimelist, tmp_path, EXPORT))

    gzipped = gzip.compress(content.encode())
    copies: list[dict[str, str | bytes]] = [
        {f"{name}.gz": gzipped},
        {f"anna/{name}.gz": gzipped, "b.txt": "b"},
        {name: utf16},
    ]
    for files in copies:
        found = viewings(read(myanimelist, tmp_path, files))
        assert [one.foreign_key for one in found] == [one.foreign_key for one in first]


LAUGHS = '<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>'
OUTSIDE = '<!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/hostname">]>'


@pytest.mark.parametrize("document_type", [LAUGHS, OUTSIDE, '<!DOCTYPE a SYSTEM "http://127.0.0.1/a.dtd">'])
def test_entities_are_refused(tmp_path: Path, document_type: str) -> None:
    content = f"{document_type}<myanimelist>{anime(series_title='&a;')}</myanimelist>"

    with pytest.raises(Unusable, match="a document type or entities of its own"):
        read(myanimelist, tmp_path, {"animelist.xml": content})


def test_xml_that_is_nested_without_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="nested deeper"):
        read(myanimelist, tmp_path, {"animelist.xml": "<myanimelist>" + "<anime>" * 1000})


def test_a_file_that_breaks_off_gives_what_came_before_and_then_says_so(tmp_path: Path) -> None:
    [(name, content)] = exported(anime(), anime(series_animedb_id="9002")).items()
    cut = content[:-200]

    found = read(myanimelist, tmp_path, {name: cut})

    [broken] = bad(found)
    assert len(plays(found)) == 3
    assert "it is no XML" in broken.why
    assert broken.line is not None


def test_gzip_that_breaks_off_is_no_crash(tmp_path: Path) -> None:
    [(name, content)] = EXPORT.items()
    assert isinstance(content, str)
    packed = gzip.compress(content.encode())

    with pytest.raises(Unusable, match="gzipped, but cut off or damaged"):
        read(myanimelist, tmp_path, {f"{name}.gz": packed[: len(packed) // 2]})


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"series_animedb_id": "0", "series_title": None}, "an anime without an id and without a title"),
        ({"my_watched_episodes": "20000", "my_times_watched": "9"}, "more than 20,000 plays of one title"),
        ({"my_finish_date": "20.3.2024"}, "“20.3.2024” is no date"),
        ({"my_score": "11"}, "“11” is no rating"),
    ],
)
def test_an_odd_entry_costs_that_entry(tmp_path: Path, changes: dict[str, str | None], why: str) -> None:
    found = read(myanimelist, tmp_path, exported(anime(**changes), anime()))

    [broken] = bad(found)
    assert why in broken.why
    assert len(plays(found)) == 3


def test_another_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="no list of anime"):
        read(myanimelist, tmp_path, {"a.xml": "<list/>"})
