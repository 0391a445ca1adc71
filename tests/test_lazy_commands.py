"""A command loads what it needs: `--help` answers at once, and no command waits for the parts of others."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from tests.prepared import open_service
from webhook import cli, clock
from webhook.cli import serve
from webhook.queues import inbox
from webhook.queues.inbox import ReceivedWebhook

RECEIVED = ReceivedWebhook(
    source="plex", token_id=None, received_at=clock.now(), content_type=None, raw=b"{}"
)

OTHERS = (
    "webhook.web", "webhook.transfer", "webhook.trackers.trakt", "webhook.lookups", "apprise", "plexapi", "uvicorn",
    "httpx", "rich", "pygments", "starlette", "alembic", "mako", "argon2", "prometheus_client", "jinja2", "jwt", "ijson",
    "http.server", "wsgiref", "multiprocessing", "logging.config", "xml", "webhook.storage.tables.history",
    "webhook.storage.tables.watchlists", "webhook.storage.tables.servers", "webhook.storage.tables.apps",
    "webhook.storage.tables.sign_in", "webhook.storage.tables.transfer", "webhook.accounts.sealed_secrets", "webhook.maintenance.backup", "webhook.domain.anime_index",
)  # fmt: skip
HEAVY = ("sqlalchemy", *(name for name in OTHERS if name not in cli.DRAWING_PACKAGES))  # they draw the help

LATE = (
    "webhook.web.routes", "webhook.web.metrics", "webhook.compat", "webhook.transfer.imports._archive",
    "webhook.transfer.import_job", "webhook.trackers.trakt", "webhook.trackers.plex", "webhook.servers.plex",
    "webhook.lookups.tmdb", "alembic", "apprise", "argon2", "authlib", "babel", "cryptography", "httpcore", "ijson",
    "jinja2", "joserfc", "jwt", "mako", "PIL", "plexapi", "prometheus_client", "pyotp", "pygments", "rich.console",
    "sqlalchemy.dialects.postgresql", "websockets", "xml",
)  # fmt: skip
"""What a service loads when it is first needed."""


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_the_line_of_a_command_is_its_own(name: str) -> None:
    assert cli.COMMANDS[name][1] == cli.load(name).get_short_help_str(200)


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_option_and_argument_says_what_it_is(name: str) -> None:
    loaded = cli.load(name)
    commands = [loaded, *getattr(loaded, "commands", {}).values()]

    silent = [f"{one.name} {of.name}" for one in commands for of in one.params if not getattr(of, "help", "")]

    assert silent == []


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
    ("commands", "heavy"),
    [
        (["--help", "urls --help", "trace --help"], HEAVY),
        (["urls", "trace 1", "trace 99"], OTHERS),
        (["urls"], ("webhook.storage.tables.queues", "webhook.storage.tables.items")),
    ],
    ids=["help", "commands", "urls"],
)
def test_a_command_loads_nothing_of_others(
    commands: list[str], heavy: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = open_service({"DATA_DIR": str(tmp_path)})
    service.database.do(lambda connection: inbox.store_webhooks(connection, [RECEIVED]))
    service.database.close()
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    code = (
        "import sys\nfrom webhook import cli\n"
        "for words in sys.argv[1:]:\n"
        "    try: cli.app(words.split())\n    except SystemExit: pass\n"
        f"    print(words, [name for name in {heavy!r} if name in sys.modules], file=sys.stderr)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, *commands], capture_output=True, text=True, check=True
    )

    assert [line for line in ended.stderr.splitlines() if line.endswith("]")] == [
        f"{words} []" for words in commands
    ]


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


def test_a_service_loads_late_what_it_may_never_need(tmp_path: Path) -> None:
    environ = {"DATA_DIR": str(tmp_path), "PORT": "0", "LOG_FORMAT": "text"}
    service = open_service(environ)
    service.database.do(serve.note_start)
    service.database.close()
    log = tmp_path / "imports.txt"
    command = [sys.executable, "-X", "importtime", "-m", "webhook", "serve"]
    with (
        log.open("w") as imports,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=imports, text=True, env={**os.environ, **environ}
        ) as started,
    ):
        assert started.stdout is not None
        address = started.stdout.readline().split()[-1]
        ready = httpx.get(f"{address}/readyz").json()["ready"]
        idle = imported(log)
        page = httpx.get(f"{address}/sign-in", follow_redirects=True).status_code
        started.terminate()

    assert (ready, page) == (True, 200)
    assert [name for name in LATE if name in idle] == []
    shown = imported(log)
    assert "webhook.web.routes" in shown
    never = (
        "authlib", "cryptography", "joserfc", "jwt", "pyotp", "webauthn", "aiomqtt", "webhook.web.metrics",
    )  # fmt: skip
    assert [name for name in never if name in shown] == []


def imported(log: Path) -> set[str]:
    """The modules that `-X importtime` has written of."""
    lines = log.read_text().splitlines()
    return {line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")}
