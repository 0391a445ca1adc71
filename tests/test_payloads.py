"""Every real payload beside the repository, posted to a real process and checked against its table."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.running import Process, eventually, started

PAYLOADS = Path(__file__).parent.parent.parent / "shared" / "payloads"
FIELDS = {"plex": "payload", "emby": "data", "tautulli": "payload"}
WAITING = {"received"}


def rows() -> list[dict[str, str]]:
    table = PAYLOADS / "EXPECTED.tsv"
    if not table.exists():
        return []
    with table.open(newline="", encoding="utf-8") as file:
        return [
            row
            for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            if row["source"] != "kodi"
        ]


ROWS = rows()


@pytest.fixture(scope="module")
def watchmark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with started(Process(tmp_path_factory.mktemp("house")).prepare()) as process:
        yield process


def post(watchmark: Process, row: dict[str, str]) -> httpx.Response:
    """The payload, sent as its server sends it."""
    body = (PAYLOADS / row["file"]).read_bytes()
    address = watchmark.ready["webhooks"][row["source"]]
    match row["content_type"]:
        case "multipart":
            parts: Any = {FIELDS[row["source"]]: (None, body, "application/json")}
            if row["source"] == "plex":
                parts["thumb"] = ("thumb.jpg", b"\xff\xd8\xff" * 2700, "image/jpeg")
            return watchmark.http.post(address, files=parts)
        case "json":
            return watchmark.http.post(address, content=body, headers={"Content-Type": "application/json"})
    return watchmark.http.post(address, content=body, headers={"Content-Type": "text/plain; charset=utf-8"})


def ids(listed: str) -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in listed.split(",") if pair)


def held(known: dict[str, Any]) -> dict[str, str]:
    return {name: str(known[name]) for name in ("tvdb", "tmdb", "imdb", "anidb") if name in known}


def at_of(event: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(event["at"])


@pytest.mark.skipif(not ROWS, reason="the captured payloads are not beside this checkout")
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["file"])
def test_a_captured_payload_means_what_its_table_says(watchmark: Process, row: dict[str, str]) -> None:
    answer = post(watchmark, row)
    assert answer.status_code == 200, answer.text
    webhook_id = answer.json()["webhook"]
    eventually(lambda: watchmark.api(f"/webhooks/{webhook_id}")["state"] not in WAITING, "it is interpreted")

    shown = watchmark.api(f"/webhooks/{webhook_id}")

    if row["kind"] == "*" and shown["reason"] == "unknown_kind":
        return  # the capture was cut before it says what it is of
    if row["outcome"] != "event":
        assert (shown["state"], shown["reason"]) == (row["outcome"], row["reason"])
        return
    assert shown["state"] in ("interpreted", "unclaimed", "ignored")
    event = shown["events"][0]
    for name in ("action", "kind", "title", "show", "season", "number", "year", "user", "library"):
        if row[name] != "*":
            assert str(event[name] if event[name] is not None else "") == row[name], name
    for name in ("position_ms", "duration_ms"):
        if row[name] not in ("*", ""):
            assert event[name] == int(row[name]), name
        elif row[name] == "":
            assert event[name] is None, name
    for name in ("ids", "show_ids"):
        if row[name] != "*":
            assert held(event[name]) == ids(row[name]), name
    if row["progress"] not in ("*", ""):
        assert event["progress"] == pytest.approx(float(row["progress"]), abs=0.1)
    elif row["progress"] == "":
        assert event["progress"] is None
    if row["rating"]:
        assert event["rating"] == float(row["rating"])
    check_time(event, row)
    watched = event["action"] == "watched" or event["completed"] is True
    assert watched == (row["watched"] == "yes")


def check_time(event: dict[str, Any], row: dict[str, str]) -> None:
    """The payload's own time where the sender has one; Plex's only within a day of receipt."""
    now = datetime.now(UTC)
    if row["at"] == "*":
        return
    expected = datetime.fromisoformat(row["at"]) if row["at"] else now
    if row["source"] == "plex" and abs(now - expected) > timedelta(days=1):
        expected = now
    assert abs(at_of(event) - expected) < timedelta(seconds=60)


@pytest.mark.skipif(not ROWS, reason="the captured payloads are not beside this checkout")
def test_every_payload_posted_twice_more_makes_no_second_mark(watchmark: Process) -> None:
    for row in ROWS:
        post(watchmark, row)
    eventually(lambda: not watchmark.api("/webhooks", state="received")["items"], "all are interpreted")
    before = [play["id"] for play in watchmark.api("/plays", limit=500)["items"] if play["watched_at"]]

    for row in ROWS:
        post(watchmark, row)
    eventually(lambda: not watchmark.api("/webhooks", state="received")["items"], "all are interpreted")

    after = [play["id"] for play in watchmark.api("/plays", limit=500)["items"] if play["watched_at"]]
    assert before == after
    assert json.dumps(before)
