"""A command loads what it needs: `--help` answers at once, and no command waits for the parts of others."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.prepared import open_service
from webhook import cli, clock
from webhook.queues import inbox
from webhook.queues.inbox import ReceivedWebhook

RECEIVED = ReceivedWebhook(
    source="plex", token_id=None, received_at=clock.now(), content_type=None, raw=b"{}"
)

OTHERS = (
    "webhook.web", "webhook.transfer", "webhook.trackers.trakt", "apprise", "plexapi", "uvicorn", "httpx", "rich",
)  # fmt: skip
HEAVY = ("sqlalchemy", *(name for name in OTHERS if name != "rich"))  # rich draws the help of a command


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_the_line_of_a_command_is_its_own(name: str) -> None:
    assert cli.COMMANDS[name][1] == cli.load(name).get_short_help_str(200)


def test_the_help_lists_every_command() -> None:
    said = CliRunner().invoke(cli.app, ["--help"]).output

    assert [name for name in cli.COMMANDS if f" {name} " not in said] == []


def test_a_command_that_is_none_is_said() -> None:
    ended = CliRunner().invoke(cli.app, ["scrobble"])

    assert ended.exit_code == 2
    assert "No such command 'scrobble'" in ended.output


@pytest.mark.parametrize(
    ("words", "heavy"),
    [
        (["--help"], HEAVY),
        (["urls", "--help"], HEAVY),
        (["trace", "--help"], HEAVY),
        (["urls"], OTHERS),
        (["trace", "1"], OTHERS),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, list) else "",
)
def test_a_command_loads_nothing_of_others(
    words: list[str], heavy: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = open_service({"DATA_DIR": str(tmp_path)})
    service.database.do(lambda connection: inbox.store_webhooks(connection, [RECEIVED]))
    service.database.close()
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    code = (
        "import sys\nfrom webhook import cli\ntry: cli.app(sys.argv[1:])\nexcept SystemExit: pass\n"
        f"print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)"
    )
    ended = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)

    assert ended.stderr.strip() == "[]"


def test_the_service_loads_no_drawing_of_terminals(tmp_path: Path) -> None:
    code = "import sys\nfrom webhook import cli\ncli.load('serve')\nprint('rich' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ended.stdout.split() == ["False"]


def test_a_service_loads_its_pages_when_one_is_asked_for(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom webhook import app\n"
        f"service = app.open_service({{'DATA_DIR': {str(tmp_path)!r}}})\nmade = app.web_app(service)\n"
        "late = ('webhook.web.routes', 'webhook.compat', 'jinja2', 'apprise', 'plexapi', 'httpcore')\n"
        "print([name for name in late if name in sys.modules])\n"
        "print(len(made.routes[-1].routes) > 10, 'webhook.web.routes' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ended.stdout.splitlines() == ["[]", "True True"]
