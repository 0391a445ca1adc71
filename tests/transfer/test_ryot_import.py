"""Ryot's JSON, older and newer: finished viewings, ratings by their scale, the watchlist."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.transfer._reading import bad, library, plays, read, spoiled, viewings
from webhook.domain.event import Episode, Ids, Movie, Season, Show
from webhook.domain.play import Dated
from webhook.transfer.imports import ryot
from webhook.transfer.records import Kept, LeftOut, Relation, Unusable

WINTER, TIDAL = Show(title="Long Winter", ids=Ids(tmdb=8001)), Movie(title="Tidal", ids=Ids(tmdb=8002))
ENDED = "2024-11-20T21:00:00Z"
EVENING = datetime(2024, 11, 20, 21, tzinfo=UTC)


def seen(ended: str | None = ENDED, **more: Any) -> dict[str, Any]:
    given = {"progress": "100", "state": "completed", "started_on": "2024-11-20T20:13:00Z", "ended_on": ended}
    return {**given, "providers_consumed_on": ["Jellyfin"], **more}


def episode(number: int, ended: str | None = ENDED, **more: Any) -> dict[str, Any]:
    return seen(ended, show_season_number=2, show_episode_number=number, **more)


def item(lot: str, identifier: str, title: str, *history: Any, **more: Any) -> dict[str, Any]:
    of = {"lot": lot, "source": "tmdb", "identifier": identifier, "source_id": title}
    return {**of, "seen_history": list(history), "reviews": [], "collections": [], **more}


def export(*items: Any) -> dict[str, str]:
    return {"export.json": json.dumps({"metadata": items, "people": [], "collections": []})}


SHOW = item("show", "8001", "Long Winter", episode(5), episode(5, "2024-11-22T21:00:00Z"), episode(6, None))
FILM = item("movie", "8002", "Tidal", seen("2024-11-20"), seen("2024-11-20"), collections=["Watchlist"])
EXPORT = export(SHOW, FILM)


def test_finished_viewings_are_plays_and_a_missing_end_is_unknown(tmp_path: Path) -> None:
    found = plays(read(ryot, tmp_path, EXPORT))

    fifth, sixth = (
        Episode(show="Long Winter", season=2, number=number, show_ids=WINTER.ids) for number in (5, 6)
    )
    assert [(play.item, play.watched_at) for play in found[:2]] == [
        (fifth, EVENING),
        (fifth, datetime(2024, 11, 22, 21, tzinfo=UTC)),
    ]
    assert (found[2].item, found[2].dated) == (sixth, Dated.TICKED)
    noon = datetime(2024, 11, 20, 12, tzinfo=UTC)
    assert [(play.item, play.watched_at, play.dated) for play in found[3:]] == [
        (TIDAL, noon, Dated.DAY),
        (TIDAL, noon, Dated.DAY),
    ]


@pytest.mark.parametrize("shape", ["array", "gzip", "zip"])
def test_an_older_list_a_gzipped_file_and_a_zip_say_the_same(tmp_path: Path, shape: str) -> None:
    first = read(ryot, tmp_path, EXPORT)
    content: str = EXPORT["export.json"]
    files: dict[str, dict[str, str | bytes]] = {
        "array": {"export.json": json.dumps([SHOW, FILM])},
        "gzip": {"export.json.gz": gzip.compress(content.encode())},
        "zip": {"ryot/export.json": content, "ryot/readme.txt": "."},
    }

    again = read(ryot, tmp_path, files[shape])

    keys = [one.foreign_key for one in viewings(first)]
    assert [one.foreign_key for one in viewings(again)] == keys
    assert len(set(keys)) == 5


def test_what_was_not_finished_is_counted(tmp_path: Path) -> None:
    history = (
        seen(progress="40", state="in_progress"),
        seen(progress=None, state="dropped"),
        seen(progress="100", state="on_a_hold"),
        seen(progress=None, state="in_progress"),
    )
    film = item("movie", "8002", "Tidal", *history, seen(progress=None, state=None))

    found = read(ryot, tmp_path, export(film, item("book", "1", "Chess"), item("music", "2", "Song")))

    assert len(plays(found)) == 1
    assert {left.why: left.count for left in found if isinstance(left, LeftOut)} == {
        "They were begun, and not watched to the end.": 4,
        "Only movies, shows and anime are tracked here.": 2,
    }


@pytest.mark.parametrize(("ratings", "values"), [((90, 5), [9, 0.5]), ((9, 5), [9, 5]), ((4.5, 1), [9, 2])])
def test_the_highest_rating_tells_the_scale(
    tmp_path: Path, ratings: tuple[float, float], values: list[float]
) -> None:
    of_show = {"rating": str(ratings[0]), "show_season_number": None}
    of_season = {"rating": str(ratings[1]), "show_season_number": 2}

    found = read(
        ryot,
        tmp_path,
        export(item("show", "8001", "Long Winter", reviews=[of_show, of_season, {"rating": None}])),
    )

    season = Season(show="Long Winter", season=2, show_ids=WINTER.ids)
    assert library(found) == [
        Kept(relation=Relation.RATING, item=WINTER, value=values[0]),
        Kept(relation=Relation.RATING, item=season, value=values[1]),
    ]


def test_the_watchlist_is_taken(tmp_path: Path) -> None:
    assert library(read(ryot, tmp_path, EXPORT)) == [Kept(relation=Relation.WATCHLIST, item=TIDAL)]


def test_anime_has_mapped_numbers_and_a_show_without_numbers_waits(tmp_path: Path) -> None:
    anime = {**item("anime", "9001", "Kumo", seen(anime_episode_number=4)), "source": "mal"}

    found = read(ryot, tmp_path, export(anime, item("show", "8001", "Long Winter", seen())))

    [play] = plays(found)
    assert play.item == Episode(show="Kumo", season=1, number=4, show_ids=Ids(mal=9001), numbering="mapped")
    assert [broken.why for broken in bad(found)] == [
        "entry 2: a viewing of “Long Winter” does not say of which episode"
    ]


@given(st.sampled_from([SHOW, {**FILM, "reviews": [{"rating": "90"}]}]).flatmap(spoiled))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_entry_however_odd_stops_the_import(tmp_path: Path, entry: Any) -> None:
    found = read(ryot, tmp_path, export(FILM, entry, FILM))

    assert len([play for play in plays(found) if play.item == TIDAL]) >= 4


def test_another_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="no export of Ryot"):
        read(ryot, tmp_path, {"export.json": '{"metadata": []}'})
