"""A command loads what it needs: `--help` answers at once, and no command waits for the parts of others."""

from __future__ import annotations

import gc
import subprocess
import sys
from importlib.metadata import version
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
    "webhook.web", "webhook.transfer", "webhook.trackers.trakt", "webhook.lookups", "apprise", "plexapi", "uvicorn",
    "httpx", "rich", "pygments", "starlette", "alembic", "mako", "argon2", "prometheus_client", "jinja2", "jwt", "ijson",
    "http.server", "wsgiref", "multiprocessing", "logging.config", "xml",
)  # fmt: skip
HEAVY = ("sqlalchemy", *(name for name in OTHERS if name not in cli.DRAWING_PACKAGES))  # they draw the help


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_the_line_of_a_command_is_its_own(name: str) -> None:
    assert cli.COMMANDS[name][1] == cli.load(name).get_short_help_str(200)


def test_the_help_lists_every_command() -> None:
    said = CliRunner().invoke(cli.app, ["--help"]).output

    assert [name for name in cli.COMMANDS if f" {name} " not in said] == []


def test_each_command_is_in_one_group_of_the_help() -> None:
    said = CliRunner().invoke(cli.app, ["--help"]).output

    assert sorted(name for names in cli.PANELS.values() for name in names) == sorted(cli.COMMANDS)
    assert [panel for panel in cli.PANELS if f" {panel} " not in said] == []


def test_the_version_is_the_installed_one() -> None:
    said = CliRunner().invoke(cli.app, ["--version"])

    assert (said.exit_code, said.output) == (0, f"watchmark {version('watchmark')}\n")


def test_a_shell_completes_commands_by_their_names_without_loading_them() -> None:
    typed = {"_WATCHMARK_COMPLETE": "complete_bash", "COMP_WORDS": "watchmark ba", "COMP_CWORD": "1"}
    loaded = {name for name in sys.modules if name.startswith("webhook.cli.")}

    said = CliRunner().invoke(cli.app, [], env=typed, prog_name="watchmark")

    assert said.output.split() == ["backfill", "backup"]
    assert {name for name in sys.modules if name.startswith("webhook.cli.")} == loaded


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
        (["trace", "99"], OTHERS),
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

    assert ended.stderr.splitlines()[-1] == "[]"


def test_the_service_loads_no_drawing_of_terminals() -> None:
    code = "import sys\nfrom webhook import cli\ncli.load('serve')\nprint(*(name in sys.modules for name in cli.DRAWING_PACKAGES))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ended.stdout.split() == ["False", "False"]


def test_nothing_collects_garbage_while_a_command_is_loaded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "probe.py").write_text(
        "import gc\nimport typer\napp = typer.Typer()\ncollects = gc.isenabled()\n"
        "app.command('probe')(lambda: None)\napp.command('other')(lambda: None)\n"
    )
    monkeypatch.setattr("webhook.cli.__path__", [*cli.__path__, str(tmp_path)])
    monkeypatch.setitem(cli.COMMANDS, "probe", ("probe", "Nothing."))

    cli.load("probe")

    assert (sys.modules.pop("webhook.cli.probe").collects, gc.isenabled()) == (False, True)


def test_a_command_that_cannot_be_loaded_leaves_the_collector_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(cli.COMMANDS, "broken", ("no_such_file", "Nothing."))

    with pytest.raises(ModuleNotFoundError):
        cli.load("broken")

    assert gc.isenabled()


def test_a_service_loads_its_pages_when_one_is_asked_for(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom webhook import app\n"
        f"service = app.open_service({{'DATA_DIR': {str(tmp_path)!r}}})\nmade = app.web_app(service)\n"
        "late = ('webhook.web.routes', 'webhook.compat', 'jinja2', 'apprise', 'plexapi', 'httpcore')\n"
        "print([name for name in late if name in sys.modules])\n"
        "print(len(made.routes[-1].routes) > 10, 'webhook.web.routes' in sys.modules)\n"
        "print([name for name in ('authlib', 'joserfc', 'pyotp') if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ended.stdout.splitlines() == ["[]", "True True", "[]"]
