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
import lupa.lua52
import pytest
from jsonschema import Draft202012Validator

from tests.web.conftest import Household, serving
from webhook import clock
from webhook.people import identities, people
from webhook.sources import _generic_fields, generic

DOCS = Path(__file__).parents[2] / "docs" / "generic.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```\n(?:→ `([^`\n]+)`)?", re.MULTILINE | re.DOTALL)
EXAMPLES = [match.groups() for match in BLOCK.finditer(DOCS.read_text(encoding="utf-8"))]


def examples(language: str) -> list[Any]:
    found = [(text, promise) for found, text, promise in EXAMPLES if found == language]
    return [pytest.param(*one, id=f"{language}{number}") for number, one in enumerate(found)]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Household]:
    with serving(tmp_path_factory.mktemp("docs")) as opened:
        opened.do(
            lambda connection: identities.claim_identities(
                connection, people.FIRST_PERSON, "generic:anna", clock.now()
            )
        )
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


def interpreter() -> Any:
    """Lua 5.2, as mpv has it on many systems; elsewhere it has 5.1 or LuaJIT, alike in what is used here."""
    return lupa.lua52.LuaRuntime(unpack_returned_tuples=False)


class Mpv:
    """As much of mpv as the script uses: it runs the script, and starts what the script asks for.

    https://mpv.io/manual/stable/#lua-scripting
    """

    def __init__(self, script: str) -> None:
        self.lua = interpreter()
        self.properties: dict[str, Any] = {}
        self.observers: list[tuple[str, Any]] = []
        self.listeners: list[tuple[str, Any]] = []
        self.started: list[Any] = []
        mp = self.lua.table_from({
            "get_property": self.property,
            "get_property_number": self.property,
            "observe_property": self.observe,
            "register_event": lambda name, act: self.listeners.append((name, act)),
            "command_native": self.command,
            "command_native_async": lambda command, act=None: self.command(command),
        })  # fmt: skip
        utils = self.lua.table_from({"format_json": lambda table: json.dumps(dict(table))})
        self.lua.globals().mp = mp
        self.lua.globals().package.loaded["mp.utils"] = utils
        self.lua.execute(script)

    def property(self, name: str, otherwise: Any = None) -> Any:
        return self.properties.get(name, otherwise)

    def observe(self, name: str, kind: str, act: Any) -> None:
        """Told at once, and at each change."""
        self.observers.append((name, act))
        act(name, self.property(name))

    def command(self, command: Any) -> None:
        assert (command.name, command.playback_only) == ("subprocess", False)
        self.started.append(command)

    def change(self, name: str, value: Any) -> None:
        self.properties[name] = value
        for wanted, act in self.observers:
            if wanted == name:
                act(name, value)

    def event(self, name: str) -> None:
        for wanted, act in self.listeners:
            if wanted == name:
                act(self.lua.table_from({"event": name}))

    def play(self, name: str, seconds: float) -> None:
        self.properties |= {"filename/no-ext": name, "duration": seconds, "time-pos": 0}
        self.event("file-loaded")

    def end(self) -> None:
        self.properties.pop("duration")
        self.change("time-pos", None)
        self.event("end-file")

    def quit(self) -> None:
        """Ends what it plays, and with itself all that it started and did not let go of."""
        self.end()
        self.started = [command for command in self.started if command.detach]

    def sent(self) -> list[tuple[str, str]]:
        """What was posted, and whereto."""
        lines = [list(command.args.values()) for command in self.started]
        assert {line[0] for line in lines} == {"curl"}
        return [(line[line.index("--json") + 1], line[-1]) for line in lines]


@pytest.fixture
def mpv(address: str, monkeypatch: pytest.MonkeyPatch) -> Mpv:
    monkeypatch.setenv("WATCHMARK", address)
    ((script, _),) = [one.values for one in examples("lua")]
    return Mpv(str(script))


@pytest.mark.parametrize(
    ("file", "place"),
    [
        ("Quiet Harbour (2001) 1080p", "movie Quiet Harbour"),
        ("Harbour.Street.S03E09.720p", "episode Harbour Street 3x9"),
        ("Harbour Street - s03e09 - The Lantern Room", "episode Harbour Street 3x9"),
    ],
)
def test_what_the_lua_script_posts_is_taken(
    home: Household, address: str, mpv: Mpv, file: str, place: str
) -> None:
    mpv.play(file, 6000)
    mpv.change("time-pos", 12.5)
    mpv.change("pause", True)
    mpv.change("pause", False)
    mpv.change("time-pos", 5821.4)
    mpv.quit()

    told = []
    for body, whereto in mpv.sent():
        assert whereto == address
        assert Draft202012Validator(generic.schema()).is_valid(json.loads(body))
        assert httpx.post(whereto, content=body.encode()).status_code == 200
        told.append((meant(home), json.loads(body)["position"]))
    assert told == [
        (f"start {place}", 0), (f"pause {place}", 12.5), (f"resume {place}", 12.5), (f"stop {place}", 5821.4)
    ]  # fmt: skip


def test_the_lua_script_tells_one_file_from_the_next(mpv: Mpv) -> None:
    mpv.play("Quiet Harbour (2001)", 6000)
    mpv.change("time-pos", 3000)
    mpv.end()
    mpv.change("pause", True)
    mpv.play("Home Film", 60)
    mpv.quit()

    told = [json.loads(body) for body, _ in mpv.sent()]

    assert [(event["action"], event["title"], event["position"], event.get("year")) for event in told] == [
        ("start", "Quiet Harbour", 0, 2001), ("stop", "Quiet Harbour", 3000, 2001),
        ("start", "Home Film", 0, None), ("stop", "Home Film", 0, None),
    ]  # fmt: skip


def test_the_lua_script_is_silent_without_an_address(mpv: Mpv, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WATCHMARK")
    ((script, _),) = [one.values for one in examples("lua")]
    silent = Mpv(str(script))

    for player in (mpv, silent):
        player.play("Quiet Harbour (2001)", 6000)

    assert (len(mpv.started), len(silent.started)) == (1, 0)


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
    answer = httpx.get(f"{home.url}{generic.SCHEMA_PATH}")

    assert answer.headers["content-type"] == "application/schema+json"
    assert answer.json() == json.loads(json.dumps(generic.schema()))
    assert generic.SCHEMA_PATH in DOCS.read_text(encoding="utf-8")


def test_the_page_names_every_field() -> None:
    table = DOCS.read_text(encoding="utf-8").partition("## The fields")[2].partition("```")[0]

    assert {*_generic_fields.PLAIN_FIELDS, *_generic_fields.NESTED_FIELDS, *_generic_fields.ID_FIELDS} <= set(
        re.findall(r"`(\w+)`", table)
    )
