"""The watch history of a Plex account: saved answers of its API."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from tests.transfer._reading import bad, plays, read, spoiled, viewings
from webhook.domain.event import Episode, Ids, Movie
from webhook.domain.play import Dated
from webhook.transfer.imports import plexaccount
from webhook.transfer.records import LeftOut, Unusable

AT = "2024-11-20T21:00:00.000Z"
EVENING = datetime(2024, 11, 20, 21, tzinfo=UTC)
SHOW = {"title": "Long Winter", "key": "/library/metadata/5d9c08aa"}


def node(own: str, date: str | None = AT, **told: Any) -> dict[str, Any]:
    return {"id": own, "date": date, "metadataItem": told}


def episode(own: str, number: int = 5, **more: Any) -> dict[str, Any]:
    told = {"type": "EPISODE", "title": "Thaw", "index": number, "parent": {"index": 2, "title": "Season 2"}}
    return node(own, **{**told, "grandparent": SHOW, **more})


FILM: dict[str, Any] = {
    "type": "MOVIE",
    "title": "Tidal",
    "year": 1974,
    "guid": "plex://movie/5d776bb2",
    "key": "/x",
}
NODES = [
    episode("a1"),
    node("a2", **FILM),
    node("a3", "2024-11-21T21:00:00.000Z", **FILM),
    node("a4", type="SEASON", title="Season 2", index=2),
    node("a5", type="SHOW", title="Long Winter"),
]


def answer(*nodes: Any) -> dict[str, Any]:
    page = {"hasNextPage": False, "endCursor": "a5"}
    return {"data": {"user": {"watchHistory": {"nodes": nodes, "pageInfo": page}}}}


EXPORT = {"page-1.json": json.dumps(answer(*NODES[:2])), "page-2.json": json.dumps(answer(*NODES[2:]))}
THAW = Episode(title="Thaw", show="Long Winter", season=2, number=5, show_ids=Ids(plex="5d9c08aa"))
TIDAL = Movie(title="Tidal", year=1974, ids=Ids(plex="5d776bb2"))


@pytest.mark.parametrize("shape", ["pages", "list of nodes", "list of answers"])
def test_nodes_are_plays_under_their_own_ids(tmp_path: Path, shape: str) -> None:
    files = {
        "pages": EXPORT,
        "list of nodes": {"history.json": json.dumps(NODES)},
        "list of answers": {"history.json": json.dumps([answer(*NODES[:2]), answer(*NODES[2:])])},
    }

    found = viewings(read(plexaccount, tmp_path, files[shape]))

    assert [(one.foreign_key, one.play.item, one.play.watched_at) for one in found] == [
        ("plexaccount:a1", THAW, EVENING),
        ("plexaccount:a2", TIDAL, EVENING),
        ("plexaccount:a3", TIDAL, datetime(2024, 11, 21, 21, tzinfo=UTC)),
    ]


def test_a_season_marked_as_a_whole_is_no_play_and_is_counted(tmp_path: Path) -> None:
    found = read(plexaccount, tmp_path, EXPORT)

    assert [(left.file, left.count) for left in found if isinstance(left, LeftOut)] == [("page-2.json", 2)]
    assert bad(found) == []


def test_a_node_without_a_date_stays_without_one(tmp_path: Path) -> None:
    [play] = plays(read(plexaccount, tmp_path, {"a.json": json.dumps(answer(node("a1", None, **FILM)))}))

    assert play.dated is Dated.TICKED


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        (episode("b", grandparent=None), "it is an episode without its show and numbers"),
        (episode("b", parent={}), "it is an episode without its show and numbers"),
        (node("b", type="TRACK", title="Song"), "“TRACK” is not tracked"),
        (node("b", type="MOVIE"), "it is a movie without an id and without a title"),
        ({"id": "b", "metadataItem": None}, "it is no JSON object"),
    ],
)
def test_an_odd_node_costs_that_node(tmp_path: Path, entry: Any, why: str) -> None:
    found = read(plexaccount, tmp_path, {"a.json": json.dumps(answer(NODES[0], entry, NODES[1]))})

    assert len(plays(found)) == 2
    [broken] = bad(found)
    assert broken.why == f"entry 2: {why}"


@given(spoiled(episode("a9")))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_node_however_odd_stops_the_import(tmp_path: Path, entry: Any) -> None:
    found = read(plexaccount, tmp_path, {"a.json": json.dumps(answer(NODES[0], entry, NODES[1]))})

    assert {"plexaccount:a1", "plexaccount:a2"} <= {one.foreign_key for one in viewings(found)}


def test_another_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="no watch history of a Plex account"):
        read(plexaccount, tmp_path, {"a.json": json.dumps({"data": {}})})
