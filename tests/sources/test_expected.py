"""The captured payloads of the workshop beside this repository, each read as its row expects."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from webhook.domain.event import Action, Event, Ids, Ignored
from webhook.sources import modules, read_webhook

PAYLOADS = Path(__file__).parents[3] / "shared" / "payloads"
LISTED = ("tvdb", "tmdb", "imdb", "anidb")
RECEIVED_AT = datetime(2026, 11, 22, 20, 15, 9, tzinfo=UTC)
SLACK = timedelta(seconds=3)

Row = dict[str, str]


def rows() -> list[Any]:
    if not (PAYLOADS / "EXPECTED.tsv").exists():
        return [pytest.param({}, id="none", marks=pytest.mark.skip(reason="no captured payloads here"))]
    with (PAYLOADS / "EXPECTED.tsv").open(encoding="utf-8", newline="") as lines:
        found = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    return [pytest.param(row, id=row["file"]) for row in found]


def instant(row: Row) -> datetime | None:
    return datetime.fromisoformat(row["at"]) if row["at"] not in ("", "*") else None


def listed(ids: Ids) -> str:
    return ",".join(sorted(f"{name}={value}" for name, value in ids.by_namespace().items() if name in LISTED))


def shown(value: Any) -> str:
    return "" if value is None else str(value)


def described(event: Event) -> Row:
    item = event.item
    return {
        "action": event.action.value,
        "kind": item.kind.value,
        "title": shown(item.title),
        "show": shown(getattr(item, "show", None)),
        "season": shown(getattr(item, "season", None)),
        "number": shown(getattr(item, "number", None)),
        "year": shown(item.year),
        "ids": listed(item.ids),
        "show_ids": listed(getattr(item, "show_ids", Ids())),
        "position_ms": shown(event.position_ms),
        "duration_ms": shown(event.duration_ms),
        "user": shown(event.user),
        "library": shown(event.library),
        "watched": "yes" if event.action is Action.WATCHED or event.completed else "no",
    }


@pytest.mark.parametrize("row", rows())
def test_a_captured_payload_means_what_its_row_expects(row: Row) -> None:
    if row["source"] not in modules():
        pytest.skip(f"there is no source {row['source']} here")
    expected_at = instant(row)
    received_at = RECEIVED_AT if expected_at is None else expected_at + SLACK
    payload = json.loads((PAYLOADS / row["file"]).read_text(encoding="utf-8"))

    outcome = read_webhook(row["source"], payload, received_at)

    if row["outcome"] == "ignored":
        assert outcome == Ignored(row["reason"])
        return
    if row["kind"] == "*" and outcome == Ignored("unknown_kind"):
        return  # the capture was cut before it says what it is
    assert not isinstance(outcome, Ignored), outcome
    assert len(outcome) == 1
    event = outcome[0]
    said = described(event)
    assert {name: value for name, value in said.items() if row[name] != "*"} == {
        name: row[name] for name in said if row[name] != "*"
    }
    if row["progress"] != "*":
        assert event.percent == (pytest.approx(float(row["progress"]), abs=0.1) if row["progress"] else None)
    if row["rating"] != "*":
        assert event.rating == (float(row["rating"]) if row["rating"] else None)
    if row["at"] != "*":
        assert event.at.replace(microsecond=0) == (expected_at or received_at)
