"""Every captured payload beside the repository, resolved in a world made of what its row expects, with decoys."""

from __future__ import annotations

import asyncio
import csv
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.fakes._world import Film, Part, Series, World
from tests.identity.world import Services
from tests.prepared import prepare
from webhook.domain.event import Episode, Ids, Ignored, Item, Movie
from webhook.domain.guids import clean_ids as read_ids
from webhook.domain.outcome import Unmatched
from webhook.identity.resolver import Identity
from webhook.sources import modules, read_webhook
from webhook.storage.db import Database

PAYLOADS = Path(__file__).parents[3] / "shared" / "payloads"
RECEIVED_AT = datetime(2026, 11, 22, 20, 15, 9, tzinfo=UTC)
Row = dict[str, str]


def rows() -> list[Any]:
    table = PAYLOADS / "EXPECTED.tsv"
    if not table.exists():
        return [pytest.param({}, id="none", marks=pytest.mark.skip(reason="no captured payloads here"))]
    with table.open(encoding="utf-8", newline="") as lines:
        found = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    told = [
        row for row in found if row["outcome"] == "event" and row["source"] in modules() and is_whole(row)
    ]
    return [pytest.param(row, id=row["file"]) for row in told]


def is_whole(row: Row) -> bool:
    """Whether the capture says what it is of; one was cut before it does."""
    payload = json.loads((PAYLOADS / row["file"]).read_text(encoding="utf-8"))
    return modules()[row["source"]].parse(payload, RECEIVED_AT) != Ignored("unknown_kind")


def listed(text: str) -> dict[str, Any]:
    known = dict(pair.split("=", 1) for pair in text.split(",") if "=" in pair)
    return read_ids(**{name: value for name, value in known.items() if name != "anidb"}).by_namespace()


def full(known: dict[str, Any], number: int) -> dict[str, Any]:
    """Every service's id: what is expected, and invented ones for the rest."""
    made = {"tvdb": number, "tmdb": number + 1, "imdb": f"tt{number:08}", "trakt": number + 2}
    return {**made, **known}


def world_of(row: Row, item: Item) -> tuple[World, dict[str, Any]]:
    """The right item and its decoys: one of the title in another year, one of another kind with its ids."""
    year = item.year or 2000
    own = full(listed(row["ids"]), 31_000_001)
    decoy = full({}, 32_000_001)
    if isinstance(item, Movie):
        title = item.title or "Untitled"
        other = Series(title=title, year=year, ids={**own, "imdb": "tt32000009"})
        return World(
            [Film(title=title, year=year, ids=own), Film(title=title, year=year - 12, ids=decoy)], [other]
        ), own
    assert isinstance(item, Episode)
    show, season, number = item.show or "Untitled", item.season or 1, item.number or 1
    ids = full(listed(row["show_ids"]) if row["show_ids"] != "*" else {}, 33_000_001)
    right = Part(season=season, number=number, ids=own, title=item.title, aired=f"{year}-05-05")
    beside = Part(
        season=season, number=number + 1, ids=full({}, 34_000_001), title="Another", aired=f"{year}-05-12"
    )
    wrong = Part(season=season, number=number, ids=decoy, title="Decoy", aired=f"{year - 12}-05-05")
    clash = Part(
        season=1,
        number=1,
        ids=full({"tvdb": ids["tvdb"], "tmdb": ids["tmdb"]}, 35_000_001),
        aired="1971-01-01",
    )
    return World(
        [Film(title=show, year=year, ids={**own, "imdb": "tt32000008"})],
        [
            Series(title=show, year=year, ids=ids, parts=[right, beside]),
            Series(title=show, year=year - 12, ids=full({}, 36_000_001), parts=[wrong]),
            Series(title="Something Else Entirely", year=1971, ids=full({"tvdb": own["tvdb"] + 7}, 37_000_001), parts=[clash]),
        ],
    ), own  # fmt: skip


@pytest.mark.parametrize("row", rows())
def test_a_captured_payload_is_the_right_item_or_none(row: Row, tmp_path: Path) -> None:
    outcome = read_webhook(
        row["source"], json.loads((PAYLOADS / row["file"]).read_text(encoding="utf-8")), RECEIVED_AT
    )
    assert isinstance(outcome, list)
    item = outcome[0].item
    if not isinstance(item, Movie | Episode):
        pytest.skip("neither a film nor an episode")
    world, right = world_of(row, item)
    needs = ("imdb", "tvdb") if isinstance(item, Movie) else ("tvdb",)

    found = asyncio.run(resolved(tmp_path, world, bare(item), needs))

    if found is None:
        usable = {**listed(row["ids"]), **listed(row["show_ids"])}
        assert not usable, "its ids are enough"
        assert not (isinstance(item, Movie) and item.title and item.year), "its title and year are enough"
        return
    known = found.ids.by_namespace()
    assert {name: known[name] for name in right if name in known} == {
        name: value for name, value in right.items() if name in known
    }
    assert any(name in known for name in needs)


def bare(item: Item) -> Item:
    """The item as if the one id that is needed had not been sent, where another was: so that it is looked up."""
    from dataclasses import replace

    known = item.ids.by_namespace()
    others = {name: value for name, value in known.items() if name in ("tmdb", "imdb")}
    if isinstance(item, Movie) or not others:
        return item
    return replace(item, ids=Ids.from_json({name: value for name, value in known.items() if name != "tvdb"}))


async def resolved(folder: Path, world: World, item: Item, needs: tuple[str, ...]) -> Item | None:
    prepare(folder)
    database = Database(f"sqlite:///{folder}/watchmark.db", synchronous="OFF")
    services = Services(world)
    try:
        return await Identity(database, services.lookups()).resolve(item, needs)
    except Unmatched:
        return None
    finally:
        await services.http.aclose()
        database.close()
