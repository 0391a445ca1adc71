"""A command loads what it needs: `--help` answers at once, and no command waits for the parts of others."""

from __future__ import annotations

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from webhook import cli

HEAVY = ("sqlalchemy", "webhook.web", "webhook.transfer", "apprise", "plexapi", "uvicorn", "httpx")


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
    ],
    ids=" ".join,
)
def test_a_command_loads_nothing_of_others(words: list[str], heavy: tuple[str, ...]) -> None:
    code = (
        "import sys\nfrom webhook import cli\ntry: cli.app(sys.argv[1:])\nexcept SystemExit: pass\n"
        f"print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)"
    )
    ended = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)

    assert ended.stderr.strip() == "[]"
