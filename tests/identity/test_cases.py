"""The table of cases: never a wrong item, and how many right ones."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.identity.world import ANIME_LIST, Services, everything
from webhook.domain import anime
from webhook.domain.event import Item, item_from_json
from webhook.domain.outcome import Unmatched
from webhook.identity.resolver import Identity
from webhook.storage import migrate
from webhook.storage.db import Database

CASES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "cases.json").read_text(encoding="utf-8"))
LISTS = anime.read_list(ANIME_LIST)
LEAST = 1.0
"""The recall that was reached; less is a step back."""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Item | None]:
    """What each case comes to, by its name; each in a database of its own."""
    folder = tmp_path_factory.mktemp("cases")
    template = folder / "template.db"
    opened = Database(f"sqlite:///{template}")
    migrate.migrate(opened)
    opened.close()
    return asyncio.run(every(folder, template))


async def every(folder: Path, template: Path) -> dict[str, Item | None]:
    world = everything()
    found = {}
    for number, case in enumerate(CASES):
        copy = folder / f"{number}.db"
        shutil.copy(template, copy)
        database = Database(f"sqlite:///{copy}", synchronous="OFF")
        services = Services(world)
        found[case["case"]] = await resolved(
            case, Identity(database, services.lookups(*case["lookups"]), LISTS)
        )
        await services.http.aclose()
        database.close()
    return found


async def resolved(case: dict[str, Any], identity: Identity) -> Item | None:
    try:
        return await identity.resolve(item_from_json(case["item"]), case["needs"])
    except Unmatched:
        return None


def judged(case: dict[str, Any], found: Item | None) -> str:
    expected = case["expect"]
    if found is None:
        return "missed" if expected else "rightly unsure"
    right = expected is not None and expected.items() <= found.ids.by_namespace().items()
    return "right" if right else "wrong"


def test_there_are_enough_cases_and_each_has_its_own_name() -> None:
    assert len(CASES) >= 120
    assert len({case["case"] for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"])
def test_a_case_is_the_right_item_or_none(case: dict[str, Any], outcomes: dict[str, Item | None]) -> None:
    found = outcomes[case["case"]]

    assert judged(case, found) in ("right", "rightly unsure"), found


def test_no_case_is_a_wrong_item_and_few_are_missed(
    outcomes: dict[str, Item | None], capsys: pytest.CaptureFixture[str]
) -> None:
    tally = Counter(judged(case, outcomes[case["case"]]) for case in CASES)

    precision = tally["right"] / (tally["right"] + tally["wrong"])
    recall = tally["right"] / (tally["right"] + tally["wrong"] + tally["missed"])
    with capsys.disabled():
        sys.stdout.write(
            f"\nidentity: {len(CASES)} cases, precision {precision:.1%}, recall {recall:.1%}, {dict(tally)}\n"
        )
    assert precision == 1.0
    assert recall >= LEAST
