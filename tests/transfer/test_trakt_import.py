"""Trakt's own export and the answers of its API."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import time_machine
from hypothesis import HealthCheck, settings
from hypothesis import given as given_any
from hypothesis import strategies as st

from tests.transfer._reading import bad, library, plays, read, read_zip, spoiled, viewings
from webhook.domain.event import Episode, Ids, Movie, Season, Show
from webhook.domain.play import Dated, State
from webhook.transfer.exports import Exported
from webhook.transfer.exports import trakt as export
from webhook.transfer.imports import trakt
from webhook.transfer.records import ARCHIVED, FOLLOWING, STOPPED, Kept, LeftOut, Relation, Unusable

AT = "2024-11-20T22:30:00.000Z"
EVENING = datetime(2024, 11, 20, 22, 30, tzinfo=UTC)
MOVIE = {
    "title": "Tidal",
    "year": 2010,
    "ids": {"trakt": 1, "slug": "tidal-2010", "imdb": "tt0111111", "tmdb": 2},
}
SHOW = {
    "title": "Long Winter",
    "year": 2011,
    "ids": {"trakt": 3, "tvdb": 4, "imdb": "", "tmdb": None, "plex": {}},
}
EPISODE = {"season": 0, "number": 9, "title": "Thaw", "ids": {"trakt": 5, "tvdb": 6}}
HISTORY = [
    {"id": 11, "watched_at": AT, "action": "scrobble", "type": "movie", "movie": MOVIE},
    {"id": 12, "watched_at": AT, "action": "watch", "type": "episode", "episode": EPISODE, "show": SHOW},
]
FILM = Movie(title="Tidal", year=2010, ids=Ids(trakt=1, slug="tidal-2010", imdb="tt0111111", tmdb=2))
WINTER = Show(title="Long Winter", year=2011, ids=Ids(trakt=3, tvdb=4))
STOPPED_SHOW = Show(title="Far Shore", year=2001, ids=Ids(tvdb=77))
THAW = Episode(
    title="Thaw", show="Long Winter", season=0, number=9, ids=Ids(trakt=5, tvdb=6), show_ids=WINTER.ids
)


def given(value: Any) -> str:
    return json.dumps(value)


def test_a_history_entry_is_a_play_under_its_own_id(tmp_path: Path) -> None:
    found = read(trakt, tmp_path, {"anything.json": given(HISTORY)})

    film, episode = viewings(found)
    assert (film.play.item, film.foreign_key, film.play.manual) == (FILM, "trakt:11", False)
    assert (episode.play.item, episode.foreign_key, episode.play.manual) == (THAW, "trakt:12", True)
    assert (film.play.state, film.play.source, film.play.dated) == (State.STOPPED, "trakt", Dated.EXACT)
    assert film.play.started_at == film.play.last_at == film.play.watched_at == EVENING


@pytest.mark.parametrize("folder", ["", "anna/"])
def test_an_export_is_read_by_the_names_of_its_files_and_the_rest_is_left_alone(
    tmp_path: Path, folder: str
) -> None:
    old = {"watched-history-1": "watched/history-1", "lists-watchlist": "lists/watchlist"} if folder else {}
    names = {
        "watched-history-1": HISTORY[:1],
        "watched-history-10": HISTORY[1:],
        "watched-movies": [{"plays": 3, "last_watched_at": AT, "movie": MOVIE}],
        "ratings-shows": [{"rated_at": AT, "rating": 9, "type": "show", "show": SHOW}],
        "lists-watchlist": [
            {"rank": 1, "id": 7, "listed_at": AT, "notes": None, "type": "show", "show": SHOW}
        ],
        "lists-favorites": [{"listed_at": AT, "type": "movie", "movie": MOVIE}],
        "lists-list-5-mine": [{"listed_at": AT, "type": "movie", "movie": {"title": "Not me"}}],
        "collection-movies": [{"collected_at": AT, "movie": MOVIE}],
        "user-profile": {"username": "anna"},
    }

    found = read(
        trakt,
        tmp_path,
        {f"{folder}{old.get(name, name)}.json": given(value) for name, value in names.items()},
    )

    assert [play.item for play in plays(found)] == [FILM, THAW]
    assert library(found) == [
        Kept(relation=Relation.RATING, item=WINTER, at=EVENING, value=9),
        Kept(relation=Relation.WATCHLIST, item=WINTER, at=EVENING),
        Kept(relation=Relation.LOVE, item=FILM, at=EVENING),
        Kept(relation=Relation.COLLECTION, item=FILM, at=EVENING),
    ]
    assert bad(found) == []
    assert [(left.file, left.count) for left in found if isinstance(left, LeftOut)] == [
        ("lists-list-5-mine.json", 1)
    ]


def test_what_is_hidden_or_on_a_list_of_ones_own_is_counted_and_named(tmp_path: Path) -> None:
    listed = {"listed_at": AT, "type": "movie", "movie": MOVIE}
    hidden = {"hidden_at": AT, "type": "show", "show": SHOW}
    files = {
        "lists-lists.json": given([{"name": "Mine", "ids": {"trakt": 5, "slug": "mine"}}]),
        "lists-list-5-mine.json": given([listed, listed]),
        "hidden-calendar.json": given([hidden]),
        "hidden-progress-watched.json": given([]),
    }

    found = read(trakt, tmp_path, files)

    assert [(left.file, left.count, left.why) for left in found if isinstance(left, LeftOut)] == [
        (
            "lists-list-5-mine.json",
            2,
            "It is a list of your own, and Watchmark keeps none beside the watchlist.",
        ),
        (
            "hidden-calendar.json",
            1,
            "It is what you have hidden from a part of Trakt, and Watchmark hides nothing.",
        ),
    ]
    assert len(found) == 2


def test_a_list_of_ones_own_by_itself_is_no_watchlist(tmp_path: Path) -> None:
    listed = {"listed_at": AT, "type": "movie", "movie": MOVIE}

    found = read(trakt, tmp_path, {"lists-list-5-mine.json": given([listed])})

    assert [type(entry) for entry in found] == [LeftOut]


def test_a_dropped_show_is_followed_no_longer(tmp_path: Path) -> None:
    hidden = {"hidden_at": AT, "type": "show", "show": SHOW}

    found = read(
        trakt, tmp_path, {"hidden-dropped.json": given([hidden]), "watched-history-1.json": given(HISTORY)}
    )

    assert library(found) == [Kept(relation=Relation.FOLLOW, item=WINTER, at=EVENING, state=STOPPED)]


def test_pages_are_read_in_their_order(tmp_path: Path) -> None:
    files = {f"watched-history-{page}.json": given([{**HISTORY[0], "id": page}]) for page in (10, 9, 1)}

    found = read(trakt, tmp_path, files)

    assert [viewing.foreign_key for viewing in viewings(found)] == ["trakt:1", "trakt:9", "trakt:10"]


def test_where_there_is_no_history_what_only_counts_gives_the_last_play(tmp_path: Path) -> None:
    seasons = [{"number": 2, "episodes": [{"number": 1, "plays": 3, "last_watched_at": AT}]}]
    files = {
        "watched-movies.json": given([{"plays": 2, "last_watched_at": AT, "movie": MOVIE}]),
        "watched-shows-1.json": given(
            [
                {"plays": 3, "last_watched_at": AT, "show": SHOW, "seasons": seasons},
                {"last_watched_at": AT, "show": SHOW},
            ]
        ),
    }

    found = read(trakt, tmp_path, files)

    episode = Episode(show="Long Winter", season=2, number=1, show_ids=WINTER.ids)
    assert [(play.item, play.watched_at) for play in plays(found)] == [(FILM, EVENING), (episode, EVENING)]
    [broken] = bad(found)
    assert broken.why == "entry 2: it counts plays of “Long Winter” and does not say of which episodes"
    assert "watched-history-1.json" in broken.do


@pytest.mark.parametrize("date", ["unknown", None, "1970-01-01T00:00:00.000Z", "1969-12-31T23:00:00.000Z"])
def test_a_play_without_a_date_is_ticked_now_and_known_again(tmp_path: Path, date: str | None) -> None:
    entry = {"watched_at": date, "type": "movie", "movie": MOVIE}

    with time_machine.travel(EVENING, tick=False):
        [first] = viewings(read(trakt, tmp_path, {"a.json": given([entry])}))
    [second] = viewings(read(trakt, tmp_path, {"a.json": given([entry])}))

    assert (first.play.watched_at, first.play.dated, first.play.manual) == (EVENING, Dated.TICKED, True)
    assert first.foreign_key is not None
    assert first.foreign_key == second.foreign_key


def test_seasons_and_episodes_can_be_rated(tmp_path: Path) -> None:
    season = {
        "rated_at": AT,
        "rating": 7,
        "type": "season",
        "season": {"number": 1, "ids": {"tvdb": 9}},
        "show": SHOW,
    }
    episode = {"rated_at": AT, "rating": 8, "type": "episode", "episode": EPISODE, "show": SHOW}

    found = library(read(trakt, tmp_path, {"ratings.json": given([season, episode])}))

    rated = Season(show="Long Winter", season=1, ids=Ids(tvdb=9), show_ids=WINTER.ids)
    assert [(kept.item, kept.value) for kept in found] == [(rated, 7), (THAW, 8)]


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        (5, "it is no JSON object"),
        ({"title": "Tidal"}, "neither a play nor a rating"),
        ({"watched_at": AT, "type": "show", "show": SHOW}, "a show is no play"),
        ({"watched_at": AT, "type": "person", "person": {}}, "“person” is not tracked"),
        ({"watched_at": AT, "movie": {"ids": {"tmdb": 0}}}, "a movie without an id and without a title"),
        ({"watched_at": AT, "episode": {"number": 1}, "show": SHOW}, "an episode without an id"),
        ({"watched_at": "yesterday", "movie": MOVIE}, "“yesterday” is no date"),
        ({"watched_at": "2099-01-01T00:00:00Z", "movie": MOVIE}, "lies in the future"),
        ({"rating": 11, "movie": MOVIE}, "“11” is no rating"),
        ({"rating": 10**400, "movie": MOVIE}, "is no rating"),
        ({"rating": 0, "movie": MOVIE}, "it has no rating"),
        ({"watched_at": AT, "movie": {"title": "Tidal", "year": "soon"}}, "“soon” is no year"),
    ],
)
def test_a_broken_entry_costs_that_entry(tmp_path: Path, entry: Any, why: str) -> None:
    found = read(trakt, tmp_path, {"history.json": given([HISTORY[0], entry, HISTORY[1]])})

    [broken] = bad(found)
    assert broken.file == "history.json"
    assert broken.why.startswith("entry 2: ")
    assert why in broken.why
    assert len(plays(found)) == 2


SHAPES: list[Any] = [
    *HISTORY,
    {
        "rated_at": AT,
        "rating": 7,
        "type": "season",
        "season": {"number": 1, "ids": {"tvdb": 9}},
        "show": SHOW,
    },
    {"listed_at": AT, "type": "show", "show": SHOW},
    {"collected_at": AT, "movie": MOVIE},
    {"hidden_at": AT, "type": "show", "show": SHOW},
    {"followed_at": AT, "state": "archived", "type": "show", "show": SHOW},
    {"last_watched_at": AT, "movie": MOVIE},
    {"show": SHOW, "last_watched_at": AT, "seasons": [{"number": 2, "episodes": [{"number": 1}]}]},
]


@given_any(st.sampled_from(SHAPES).flatmap(spoiled))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_entry_however_odd_stops_the_import(tmp_path: Path, entry: Any) -> None:
    found = read(trakt, tmp_path, {"history.json": given([entry, HISTORY[0]])})

    assert viewings(found)[-1].foreign_key == "trakt:11"


def test_a_file_that_breaks_off_keeps_what_came_before(tmp_path: Path) -> None:
    found = read(trakt, tmp_path, {"history.json": given(HISTORY)[:-30]})

    assert len(plays(found)) == 1
    assert len(bad(found)) == 1


def test_what_is_no_list_of_trakts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="is no list of Trakt's"):
        read(trakt, tmp_path, {"history.json": '{"movies": []}'})
    with pytest.raises(Unusable, match="no file of a Trakt export"):
        read(trakt, tmp_path, {"a.json": "[]", "b.json": "[]"})


def test_our_own_export_for_trakt_comes_back(tmp_path: Path) -> None:
    first = viewings(read(trakt, tmp_path, {"history.json": given(HISTORY)}))
    kept = [
        Kept(relation=Relation.RATING, item=FILM, at=EVENING, value=9),
        Kept(relation=Relation.WATCHLIST, item=WINTER, at=EVENING),
        Kept(relation=Relation.LOVE, item=FILM, at=EVENING),
        Kept(relation=Relation.COLLECTION, item=FILM, at=EVENING),
        Kept(relation=Relation.FOLLOW, item=WINTER, at=EVENING, state=FOLLOWING),
        Kept(relation=Relation.FOLLOW, item=STOPPED_SHOW, at=EVENING, state=ARCHIVED),
    ]

    content = b"".join(
        export.write([Exported(play=one.play, foreign_key=one.foreign_key) for one in first], kept)
    )
    found = read_zip(trakt, tmp_path, content)

    assert viewings(found) == first
    assert library(found) == kept
