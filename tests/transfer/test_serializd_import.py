"""Serializd's diary: rows by TMDB's ids, whose seasons the files of the shows name."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from tests.transfer._reading import bad, library, plays, read, spoiled, viewings
from webhook.domain.event import Episode, Ids, Season, Show
from webhook.transfer.imports import serializd
from webhook.transfer.records import Kept, Relation, Unusable

BACK, ADDED = "2024-11-20T21:00:00Z", "2024-11-25T08:00:00.123Z"
EVENING = datetime(2024, 11, 20, 21, tzinfo=UTC)
MORNING = datetime(2024, 11, 25, 8, 0, 0, 123000, tzinfo=UTC)


def row(number: int, **changes: Any) -> dict[str, Any]:
    told = {"id": number, "showId": 8001, "seasonId": 3573, "episodeNumber": 5, "backdate": BACK}
    more = {"dateAdded": ADDED, "rating": 0, "isRewatched": False, "isLog": True}
    return {**told, **more, **changes}


def zipped(*rows: Any, **files: Any) -> dict[str, str]:
    diary = {"diary-1.json": json.dumps({"reviews": rows, "totalPages": 1})}
    return {**diary, **{f"{name}.json": json.dumps(value) for name, value in files.items()}}


SHOW = {
    "id": 8001,
    "overview": "x" * 5000,
    "seasons": [{"id": 3573, "seasonNumber": 2}, {"id": 3570, "seasonNumber": 0}],
}
EXPORT = zipped(
    row(5, rating=8),
    row(6, backdate=None, isRewatched=True),
    row(7, seasonId=3570, episodeNumber=1),
    row(8, episodeNumber=None, rating=9),
    row(9, seasonId=None, episodeNumber=None, rating=10),
    row(10, isLog=False, rating=3),
    show=SHOW,
)  # fmt: skip


def episode(season: int, number: int) -> Episode:
    return Episode(season=season, number=number, show_ids=Ids(tmdb=8001))


def test_logged_episodes_are_plays_at_their_date(tmp_path: Path) -> None:
    found = read(serializd, tmp_path, EXPORT)

    assert [(one.play.item, one.play.watched_at, one.foreign_key) for one in viewings(found)] == [
        (episode(2, 5), EVENING, "serializd:5"),
        (episode(2, 5), MORNING, "serializd:6"),
        (episode(0, 1), EVENING, "serializd:7"),
    ]
    assert bad(found) == []


def test_reviews_are_ratings_and_make_no_plays(tmp_path: Path) -> None:
    found = library(read(serializd, tmp_path, EXPORT))

    show_ids = Ids(tmdb=8001)
    assert [(kept.item, kept.value) for kept in found] == [
        (episode(2, 5), 8),
        (Season(season=2, show_ids=show_ids), 9),
        (Show(ids=show_ids), 10),
        (episode(2, 5), 3),
    ]
    assert found[0] == Kept(relation=Relation.RATING, item=episode(2, 5), at=MORNING, value=8)


def test_a_row_whose_season_nobody_names_waits_and_says_what_is_missing(tmp_path: Path) -> None:
    without = read(serializd, tmp_path, zipped(row(5)))
    later = read(serializd, tmp_path, zipped(row(5), show=SHOW))

    assert plays(without) == []
    assert [broken.why for broken in bad(without)] == [
        "entry 1: no file says which season 3573 of show 8001 is"
    ]
    assert len(plays(later)) == 1


@given(spoiled(row(5, rating=8)))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_row_however_odd_stops_the_import(tmp_path: Path, entry: Any) -> None:
    found = read(serializd, tmp_path, zipped(row(1), entry, row(2), show=SHOW))

    assert {"serializd:1", "serializd:2"} <= {one.foreign_key for one in viewings(found)}


def test_another_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="no page of a Serializd diary"):
        read(serializd, tmp_path, {"show.json": json.dumps(SHOW)})
