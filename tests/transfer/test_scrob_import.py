"""Scrob's export, in Trakt's layout: its rows have numbers of their own, and secrets beside them are not opened."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.transfer._reading import library, plays, read, viewings
from webhook.domain.event import Episode, Ids, Movie
from webhook.domain.play import Dated
from webhook.transfer.imports import scrob, trakt
from webhook.transfer.records import Kept, Relation, Unusable

AT = "2024-11-20T21:00:00.000Z"
EVENING = datetime(2024, 11, 20, 21, tzinfo=UTC)
MOVIE = {"title": "Tidal", "year": 1974, "ids": {"tmdb": 8002}}
SHOW = {"title": "Long Winter", "year": 2011, "ids": {"tmdb": 8001, "tvdb": 8101}}
EPISODE = {"season": 2, "number": 5, "title": "Thaw", "ids": {"tmdb": 8205}}


def row(number: int, at: str | None, **item: Any) -> dict[str, Any]:
    return {"id": number, "watched_at": at, "action": "watch", "type": next(iter(item)), **item}


HISTORY = [
    row(11, AT, movie=MOVIE),
    row(12, AT, episode=EPISODE, show=SHOW),
    row(13, None, movie=MOVIE),
    row(14, None, movie=MOVIE),
]
EXPORT = {
    "watched-history-1.json": json.dumps(HISTORY),
    "ratings-movies.json": json.dumps([{"rated_at": AT, "rating": 8, "type": "movie", "movie": MOVIE}]),
    "settings.json": '{"trakt_token": "not to be read"',
}
TIDAL = Movie(title="Tidal", year=1974, ids=Ids(tmdb=8002))


def test_rows_are_plays_and_each_undated_one_is_a_viewing_of_its_own(tmp_path: Path) -> None:
    found = read(scrob, tmp_path, EXPORT)

    film, episode, *undated = viewings(found)
    thaw = Episode(
        title="Thaw",
        show="Long Winter",
        season=2,
        number=5,
        ids=Ids(tmdb=8205),
        show_ids=Ids(tmdb=8001, tvdb=8101),
    )
    assert (film.play.item, film.play.watched_at, film.play.source) == (TIDAL, EVENING, "scrob")
    assert (episode.play.item, episode.play.dated) == (thaw, Dated.EXACT)
    assert [one.play.dated for one in undated] == [Dated.TICKED, Dated.TICKED]
    assert undated[0].play.watched_at != undated[1].play.watched_at
    assert [one.foreign_key for one in viewings(found)] == [f"scrob:{number}" for number in (11, 12, 13, 14)]
    assert library(found) == [Kept(relation=Relation.RATING, item=TIDAL, at=EVENING, value=8)]
    assert "not to be read" not in str(found)


def test_an_export_of_trakt_is_refused(tmp_path: Path) -> None:
    history = [row(11, AT, movie={**MOVIE, "ids": {"trakt": 1, "tmdb": 8002}})]

    with pytest.raises(Unusable, match="an export of Trakt"):
        read(scrob, tmp_path, {"watched-history-1.json": json.dumps(history), "other.json": "[]"})


def test_read_as_trakts_its_rows_take_no_number_of_trakts(tmp_path: Path) -> None:
    found = viewings(read(trakt, tmp_path, EXPORT))

    assert [one.foreign_key for one in found][:2] == [None, None]
    assert "trakt:13" not in {one.foreign_key for one in found}
    assert len(plays(read(trakt, tmp_path, EXPORT))) == 4
