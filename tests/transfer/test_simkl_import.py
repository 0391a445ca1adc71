"""Simkl's backup, which has the shape of its API's all-items."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import time_machine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.transfer._reading import bad, library, plays, read, read_zip, spoiled, viewings
from webhook.domain.event import Episode, Ids, Movie, Show
from webhook.domain.play import Dated
from webhook.transfer.exports import Exported
from webhook.transfer.exports import simkl as export
from webhook.transfer.imports import simkl
from webhook.transfer.records import ARCHIVED, FOLLOWING, STOPPED, Kept, Relation, Unusable

AT = "2024-11-20T22:30:00Z"
EVENING = datetime(2024, 11, 20, 22, 30, tzinfo=UTC)
EARLIER = datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)
MOVIE = {
    "title": "Tidal",
    "year": 2010,
    "ids": {"simkl": 1, "imdb": "tt0111111", "tmdb": "2", "slug": "tidal"},
}
SHOW = {"title": "Long Winter", "year": 2011, "ids": {"simkl": 3, "tvdb": "4", "tvdbslug": "long-winter"}}
FILM = Movie(title="Tidal", year=2010, ids=Ids(simkl=1, imdb="tt0111111", tmdb=2, slug="tidal"))
WINTER = Show(title="Long Winter", year=2011, ids=Ids(simkl=3, tvdb=4))


def film(**changes: Any) -> dict[str, Any]:
    return {"last_watched_at": AT, "status": "completed", "user_rating": None, "movie": MOVIE, **changes}


def show(*seasons: dict[str, Any], **changes: Any) -> dict[str, Any]:
    added = {"added_to_watchlist_at": "2024-01-02T03:04:05Z", "last_watched_at": AT, "status": "watching"}
    return {**added, "user_rating": None, "show": SHOW, "seasons": list(seasons), **changes}


def season(number: int, *episodes: Any) -> dict[str, Any]:
    return {"number": number, "episodes": list(episodes)}


def backup(**lists: Any) -> dict[str, str]:
    return {"SimklBackup.json": json.dumps(lists)}


def test_a_completed_film_is_watched_and_another_is_not(tmp_path: Path) -> None:
    found = read(
        simkl,
        tmp_path,
        backup(movies=[film(), film(status="plantowatch"), film(status="dropped", user_rating=3)]),
    )

    [viewing] = viewings(found)
    assert (viewing.play.item, viewing.play.watched_at, viewing.play.dated) == (FILM, EVENING, Dated.EXACT)
    assert viewing.play.source == "simkl"
    assert library(found) == [
        Kept(relation=Relation.WATCHLIST, item=FILM),
        Kept(relation=Relation.RATING, item=FILM, value=3),
    ]


def test_each_episode_is_a_play_at_its_own_date(tmp_path: Path) -> None:
    entry = show(
        season(0, {"number": 2, "watched_at": AT}),
        season(1, {"number": 1, "watched_at": "2024-01-02T03:04:05Z"}),
    )

    found = read(simkl, tmp_path, backup(shows=[entry], movies=None))

    assert [(play.item, play.watched_at) for play in plays(found)] == [
        (Episode(show="Long Winter", season=0, number=2, show_ids=WINTER.ids), EVENING),
        (Episode(show="Long Winter", season=1, number=1, show_ids=WINTER.ids), EARLIER),
    ]
    assert len({viewing.foreign_key for viewing in viewings(found)}) == 2
    assert library(found) == [Kept(relation=Relation.FOLLOW, item=WINTER, at=EARLIER, state=FOLLOWING)]


@pytest.mark.parametrize(
    ("status", "state"),
    [("watching", FOLLOWING), ("completed", FOLLOWING), ("hold", ARCHIVED), ("dropped", STOPPED), ([], None)],
)
def test_a_shows_list_is_its_state(tmp_path: Path, status: Any, state: str | None) -> None:
    found = read(simkl, tmp_path, backup(shows=[show(status=status)]))

    assert [kept.state for kept in library(found)] == ([state] if state else [])


def test_a_rating_and_a_plan_to_watch_are_taken(tmp_path: Path) -> None:
    found = read(simkl, tmp_path, backup(shows=[show(status="plantowatch", user_rating=8, user_rated_at=AT)]))

    assert library(found) == [
        Kept(relation=Relation.RATING, item=WINTER, at=EVENING, value=8),
        Kept(relation=Relation.WATCHLIST, item=WINTER, at=EARLIER),
    ]


@pytest.mark.parametrize("date", [None, "1970-01-01T00:00:01Z"])
def test_an_episode_without_a_date_is_ticked_at_the_best_there_is(tmp_path: Path, date: str | None) -> None:
    episode = {"number": 1, "watched_at": date} if date else {"number": 1}

    dated = read(simkl, tmp_path, backup(shows=[show(season(1, episode))]))
    added = read(simkl, tmp_path, backup(shows=[show(season(1, episode), last_watched_at=date)]))

    assert [(play.watched_at, play.dated, play.manual) for play in plays(dated)] == [
        (EVENING, Dated.TICKED, True)
    ]
    assert [play.watched_at for play in plays(added)] == [EARLIER]


def test_a_film_without_any_date_is_ticked_now_and_known_again(tmp_path: Path) -> None:
    files = backup(movies=[film(last_watched_at=None)])

    with time_machine.travel(EVENING, tick=False):
        [first] = viewings(read(simkl, tmp_path, files))
    [second] = viewings(read(simkl, tmp_path, files))

    assert (first.play.watched_at, first.play.dated) == (EVENING, Dated.TICKED)
    assert first.foreign_key == second.foreign_key


def test_a_newer_date_of_one_film_is_another_play(tmp_path: Path) -> None:
    [first] = viewings(read(simkl, tmp_path, backup(movies=[film(last_watched_at="2024-01-02T03:04:05Z")])))
    [second] = viewings(read(simkl, tmp_path, backup(movies=[film()])))

    assert first.foreign_key != second.foreign_key


def test_anime_has_tvdbs_numbers_where_they_are_known_and_mapped_ones_elsewhere(tmp_path: Path) -> None:
    ids = {"simkl": 7, "mal": "8", "anidb": "9"}
    known, own = (
        {"number": 1, "watched_at": AT, "tvdb": {"season": 2, "episode": 13}},
        {"number": 2, "watched_at": AT},
    )
    series = {**show(season(1, known, own)), "anime_type": "tv", "show": {"title": "映画", "ids": ids}}
    alone = {**film(), "anime_type": "movie", "show": MOVIE}
    del alone["movie"]

    found = read(simkl, tmp_path, backup(anime=[series, alone]))

    shown = Ids(simkl=7, mal=8, anidb=9)
    assert [play.item for play in plays(found)] == [
        Episode(show="映画", season=2, number=13, show_ids=shown),
        Episode(show="映画", season=1, number=2, show_ids=shown, numbering="mapped"),
        FILM,
    ]


def test_a_backup_that_counts_episodes_without_naming_them_says_so(tmp_path: Path) -> None:
    entry = show(watched_episodes_count=12)
    del entry["seasons"]

    found = read(simkl, tmp_path, backup(shows=[entry]))

    [broken] = bad(found)
    assert broken.why == "shows, entry 1: 12 episodes of “Long Winter” are watched, and it does not say which"
    assert "episode_watched_at=yes" in broken.do
    assert [kept.relation for kept in library(found)] == [Relation.FOLLOW]


@pytest.mark.parametrize(
    ("episode", "why"),
    [
        ({"number": None, "watched_at": AT}, "an episode of “Long Winter” has no number"),
        ("two", "an episode of “Long Winter” has no number"),
        ({"number": 2, "watched_at": "soon"}, "“soon” is no date"),
    ],
)
def test_a_broken_episode_costs_that_episode(tmp_path: Path, episode: Any, why: str) -> None:
    good = {"number": 1, "watched_at": AT}

    found = read(simkl, tmp_path, backup(shows=[show(season(1, episode, good)), show(season(2, good))]))

    assert [broken.why for broken in bad(found)] == [f"shows, entry 1: {why}"]
    assert len(plays(found)) == 2


@pytest.mark.parametrize(
    "entry", [7, {"status": "completed"}, film(movie={"ids": {"simkl": 0}}), film(movie=[])]
)
def test_a_broken_entry_costs_that_entry(tmp_path: Path, entry: Any) -> None:
    found = read(simkl, tmp_path, backup(movies=[entry, film()]))

    assert len(bad(found)) == 1
    assert len(plays(found)) == 1


SHAPES = [
    film(),
    show(season(1, {"number": 1, "watched_at": AT}), user_rating=8),
    show(season(1, {"number": 1, "watched_at": AT, "tvdb": {"season": 1, "episode": 1}}), anime_type="tv"),
    film(anime_type="movie", show=MOVIE),
]


@given(st.sampled_from(["movies", "shows", "anime"]), st.sampled_from(SHAPES).flatmap(spoiled))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_entry_however_odd_stops_the_import(tmp_path: Path, part: str, entry: Any) -> None:
    found = read(simkl, tmp_path, backup(**{part: [entry, film(show=MOVIE, seasons=[], user_rating=10)]}))

    assert [kept.value for kept in library(found)][-1:] == [10] or library(found)[
        -1
    ].relation is Relation.FOLLOW


def test_an_empty_account_is_no_mistake(tmp_path: Path) -> None:
    assert read(simkl, tmp_path, {"SimklBackup.json": "null"}) == []


@pytest.mark.parametrize("content", ["[]", '{"history": []}', "kind,title\n"])
def test_another_file_is_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(Unusable, match="no JSON files with lists called movies, shows or anime"):
        read(simkl, tmp_path, {"SimklBackup.json": content})


def test_a_backup_that_breaks_off_is_told_once(tmp_path: Path) -> None:
    [(name, content)] = backup(movies=[film(), film()], shows=[show()]).items()

    found = read(simkl, tmp_path, {name: content[:-200]})

    assert len(bad(found)) == 1
    assert len(plays(found)) >= 1


def test_our_own_export_for_simkl_comes_back(tmp_path: Path) -> None:
    entry = show(season(1, {"number": 1, "watched_at": AT}, {"number": 3, "watched_at": AT}))
    first = read(simkl, tmp_path, backup(movies=[film()], shows=[entry]))

    content = b"".join(export.write([Exported(play=play) for play in plays(first)], library(first)))

    assert read_zip(simkl, tmp_path, content) == first
