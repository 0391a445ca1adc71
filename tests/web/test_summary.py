"""The summary for dashboards: what it counts, and for whom."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import update

from tests.web.conftest import Household, serving
from webhook import clock
from webhook.people import identities
from webhook.storage.tables import play
from webhook.web.now.api import item_name, midnight


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Household]:
    with serving(tmp_path) as opened:
        opened.person("ben")
        claim(opened, "me", "plex:anna")
        claim(opened, "ben", "plex:ben")
        yield opened


def claim(home: Household, name: str, spelled: str) -> None:
    home.do(lambda connection: identities.claim_identities(connection, name, spelled, clock.now()))


def summary(home: Household, person_id: int | None = None) -> dict[str, Any]:
    return dict(home.api(person_id, scopes=["read"]).get("/api/v1/summary").raise_for_status().json())


def date_plays(home: Household, age: timedelta, **values: Any) -> None:
    home.do(
        lambda connection: connection.execute(
            update(play).where(play.c.watched_at.is_not(None)).values(watched_at=clock.now() - age, **values)
        )
    )


def test_before_anything_was_heard_it_is_zero_and_null(home: Household) -> None:
    found = summary(home)

    assert {value for name, value in found.items() if name != "needs_you"} == {0, None}


def test_the_owner_sees_everybody_and_others_see_themselves(home: Household) -> None:
    home.hear("anna", "Pilot")
    home.hear("ben", "Second", "media.play")

    everybody, bens = summary(home), summary(home, person_id=2)

    assert (everybody["watched_today"], everybody["playing"], everybody["last_watched"]) == (
        1,
        1,
        "Harbour Street S01E01",
    )
    assert (bens["watched_today"], bens["playing"], bens["last_watched"]) == (0, 1, None)
    assert bens["now_playing"] == everybody["now_playing"]


def test_what_waits_and_what_failed_are_counted_apart(home: Household) -> None:
    home.hear("anna")
    home.settle("dead")

    found = summary(home)

    assert found["waiting"] == 0
    assert found["failed"] == found["needs_you"] > 0


@pytest.mark.parametrize(
    ("age", "counts"),
    [
        (timedelta(days=3), (1, 1)),
        (timedelta(days=20), (0, 1)),
        (timedelta(days=31), (0, 0)),
    ],
)
def test_a_play_counts_in_the_days_it_was_watched(
    home: Household, age: timedelta, counts: tuple[int, int]
) -> None:
    home.hear("anna")
    date_plays(home, age)

    found = summary(home)

    assert (found["watched_7_days"], found["watched_30_days"]) == counts


@pytest.mark.parametrize("column", ["removed_at", "unwatched_at"])
def test_a_play_that_was_taken_back_does_not_count(home: Household, column: str) -> None:
    home.hear("anna")
    date_plays(home, timedelta(), **{column: clock.now()})

    found = summary(home)

    assert (found["watched_today"], found["last_watched"]) == (0, None)


def test_a_day_begins_at_midnight_where_the_person_lives() -> None:
    late = datetime(2026, 11, 30, 23, 30, tzinfo=UTC)

    assert midnight(late, ZoneInfo("Europe/Berlin")).isoformat() == "2026-12-01T00:00:00+01:00"
    assert midnight(late, UTC).isoformat() == "2026-11-30T00:00:00+00:00"


@pytest.mark.parametrize(
    ("item", "artist", "name"),
    [
        (
            {"kind": "episode", "show": "Harbour Street", "season": 3, "number": 9},
            None,
            "Harbour Street S03E09",
        ),
        (
            {"kind": "episode", "title": "The Lantern Room", "show": "Harbour Street"},
            None,
            "Harbour Street – The Lantern Room",
        ),
        ({"kind": "movie", "title": "Quiet Harbour", "year": 2001}, None, "Quiet Harbour (2001)"),
        ({"kind": "track", "title": "Low Tide"}, "The Moorings", "The Moorings – Low Tide"),
        ({"kind": "movie"}, None, "untitled"),
    ],
)
def test_an_item_is_named_in_one_line(item: dict[str, Any], artist: str | None, name: str) -> None:
    entry: Any = {**dict.fromkeys(("title", "show", "season", "number", "year")), **item}

    assert item_name(entry, artist) == name
