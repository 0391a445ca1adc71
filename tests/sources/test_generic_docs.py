"""docs/generic.md: every example is sent to a real service, and gives the event that stands below it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import jinja2
import pytest
from jsonschema import Draft202012Validator

from tests.web.conftest import Household, serving
from webhook.sources import generic

DOCS = Path(__file__).parents[2] / "docs" / "generic.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```\n(?:→ `([^`\n]+)`)?", re.MULTILINE | re.DOTALL)
EXAMPLES = [match.groups() for match in BLOCK.finditer(DOCS.read_text(encoding="utf-8"))]


def examples(language: str) -> list[Any]:
    found = [(text, promise) for found, text, promise in EXAMPLES if found == language]
    return [pytest.param(*one, id=f"{language}{number}") for number, one in enumerate(found)]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Household]:
    with serving(tmp_path_factory.mktemp("docs")) as opened:
        yield opened


@pytest.fixture(scope="module")
def address(home: Household) -> str:
    """The address of a token that belongs to a person, as Kodi's has to."""
    return f"{home.url}/webhooks/generic/{home.token('webhook', 1)}"


def meant(home: Household) -> str:
    """What the newest webhook was read as, the way the page promises it."""
    home.interpret()
    (newest,) = home.api().get("/api/v1/webhooks", params={"limit": 1}).json()["items"]
    assert (newest["source"], newest["state"]) == ("generic", "interpreted"), newest["reason"]
    (event,) = newest["events"]
    place = f"{event['show']} {event['season']}x{event['number']}" if event["show"] else event["title"]
    return f"{event['action']} {event['kind']} {place}"


def test_every_language_has_an_example() -> None:
    assert {language for language, _, _ in EXAMPLES} == {"json", "sh", "python", "lua", "yaml"}


@pytest.mark.parametrize(("text", "promise"), examples("json"))
def test_the_json_gives_its_event(home: Household, address: str, text: str, promise: str) -> None:
    payload = json.loads(text)

    assert httpx.post(address, json=payload).status_code == 200

    assert meant(home) == promise
    if "event" not in payload:
        assert Draft202012Validator(generic.schema()).is_valid(payload)


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
@pytest.mark.parametrize(("text", "promise"), examples("sh"))
def test_the_shell_lines_give_their_event(home: Household, address: str, text: str, promise: str) -> None:
    helped = subprocess.run(["curl", "--help", "all"], capture_output=True, text=True, check=False).stdout
    if "--json" in text and "--json" not in helped:
        text = text.replace("--json", "-H 'Content-Type: application/json' --data")

    ended = run(["sh", "-c", text], address)

    assert ended.returncode == 0, ended.stderr
    assert meant(home) == promise


@pytest.mark.parametrize(("text", "promise"), examples("python"))
def test_the_script_gives_its_event(home: Household, address: str, text: str, promise: str) -> None:
    ended = run([sys.executable, "-c", text], address)

    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout) > 0
    assert meant(home) == promise


def run(command: list[str], address: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "WATCHMARK": address}
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=30)


@pytest.mark.parametrize(("text", "promise"), examples("lua"))
def test_the_lua_script_sends_fields_that_are_read(text: str, promise: None) -> None:
    tables = re.findall(r"\{ ((?:kind|action) = [^{}]*)\}", text)
    names = {name for table in tables for name in re.findall(r"(\w+) = ", table)}
    told = set(re.findall(r'tell\("(\w+)"\)|"(pause|resume)"', text))

    assert len(tables) == 3
    assert {"action", "kind", "show", "season", "number", "title", "year", "position", "duration"} <= names
    assert names <= generic.PLAIN.keys()
    assert {one or other for one, other in told} == {"start", "pause", "resume", "stop"}
    assert text.count("(") == text.count(")")
    assert text.count("{") == text.count("}")


@pytest.mark.parametrize(("text", "promise"), examples("yaml"))
def test_the_automation_gives_its_event(home: Household, address: str, text: str, promise: str) -> None:
    """What Home Assistant does with it: the data of the action is drawn first, then with it the payload."""
    environment = jinja2.Environment(autoescape=False)  # noqa: S701 - JSON, as Home Assistant draws it
    environment.filters["to_json"] = json.dumps
    attributes = {
        "media_title": "The Lantern \"Room\"", "media_series_title": "Harbour Street", "media_season": 3,
        "media_episode": 9, "media_position": 2650, "media_duration": 2700,
    }  # fmt: skip
    before = SimpleNamespace(name="Television", attributes=attributes)
    trigger = SimpleNamespace(from_state=before, to_state=SimpleNamespace(state="idle"))
    lines = re.findall(r'^ {10}(\w+): "(.+)"$', text, re.MULTILINE)
    data = {name: environment.from_string(line).render(trigger=trigger) for name, line in lines}
    (payload,) = re.findall(r"payload: >-\n((?: {6}.*\n)+)", text)

    drawn = environment.from_string(" ".join(payload.split())).render(data)

    assert httpx.post(address, content=drawn.encode()).status_code == 200
    assert meant(home) == promise


def test_the_schema_is_published_for_everybody(home: Household) -> None:
    answer = httpx.get(f"{home.url}{generic.WHERE}")

    assert answer.headers["content-type"] == "application/schema+json"
    assert answer.json() == json.loads(json.dumps(generic.schema()))
    assert generic.WHERE in DOCS.read_text(encoding="utf-8")


def test_the_page_names_every_field() -> None:
    table = DOCS.read_text(encoding="utf-8").partition("## The fields")[2].partition("```")[0]

    assert {*generic.PLAIN, *generic.NESTED, *generic.ID_FIELDS} <= set(re.findall(r"`(\w+)`", table))
