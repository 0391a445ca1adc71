"""The wheel: it holds everything that is shipped, and works where there is no checkout."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

MIGRATE = """
import json, sys
from sqlalchemy import inspect
from webhook.storage import migrate
from webhook.storage.db import Database
from webhook.system import resources

database = Database(f"sqlite:///{sys.argv[1]}")
migrate.migrate(database)
tables = database.do(lambda connection: inspect(connection).get_table_names())
print(json.dumps({"package": str(resources.PACKAGE), "tables": tables}))
database.close()
"""


def run(*command: str | Path, **environ: str) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the checkout with what is installed already."""
    folder = tmp_path_factory.mktemp("wheel")
    offline = ("--quiet", "--no-deps", "--no-index", "--no-build-isolation")
    run(sys.executable, "-m", "pip", "wheel", *offline, "--wheel-dir", folder, ROOT)
    (built,) = folder.glob("watchmark-*.whl")
    return built


@pytest.fixture(scope="module")
def fresh(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The commands of a new virtual environment with the wheel in it and nothing of the checkout."""
    folder = tmp_path_factory.mktemp("fresh")
    venv.create(folder, with_pip=False)
    offline = ("--quiet", "--no-deps", "--no-index")
    run(sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "install", *offline, wheel)
    return folder / "bin"


@pytest.fixture
def anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An environment that lends the libraries (but, over PYTHONPATH, no editable checkout) to the new one."""
    monkeypatch.chdir(tmp_path)
    return {"PYTHONPATH": sysconfig.get_path("purelib"), "DATA_DIR": str(tmp_path), "NO_COLOR": "1"}


def test_the_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    package = {f"webhook/{path.relative_to(ROOT / 'webhook')}" for path in files(ROOT / "webhook")}
    migrations = {
        f"webhook/migrations/{path.relative_to(ROOT / 'migrations')}" for path in files(ROOT / "migrations")
    }
    fakes = {f"webhook/fakes/{path.name}" for path in files(ROOT / "tests" / "fakes")}

    held = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("webhook/")}

    assert held == package | migrations | fakes


OF_TESTS = ("test_*.py", "fakes/_inside.py", "fakes/_respx.py")
"""What lies among the fakes and only tests need."""


def files(folder: Path) -> list[Path]:
    """What is shipped of a folder: all but caches and what only tests need."""
    return [
        path
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not any(map(path.match, OF_TESTS))
    ]


def test_the_wheel_imports_nothing_that_only_tests_have(wheel: Path) -> None:
    """What it ships runs without pytest, respx and the like, the fakes of the demo included."""
    with zipfile.ZipFile(wheel) as held:
        imported = {
            (name, module.partition(".")[0])
            for name in held.namelist()
            if name.endswith(".py")
            for module in imports(held.read(name))
        }

    assert {name for name, package in imported if package in {"pytest", "respx", "hypothesis"}} == set()


def imports(source: bytes) -> Iterator[str]:
    """The names of the modules that a source imports, wherever in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def test_the_wheel_holds_nothing_else(wheel: Path) -> None:
    tops = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}

    assert {top for top in tops if not top.endswith(".dist-info")} == {"webhook"}


def test_the_installed_command_helps(fresh: Path, anywhere: dict[str, str]) -> None:
    said = run(fresh / "watchmark", "--help", **anywhere)

    for command in ("serve", "work", "demo", "urls", "token", "people", "connect", "trace", "doctor"):
        assert command in said


def test_the_installed_package_migrates_a_database(
    fresh: Path, anywhere: dict[str, str], tmp_path: Path
) -> None:
    said = json.loads(run(fresh / "python", "-c", MIGRATE, tmp_path / "watchmark.db", **anywhere))

    assert Path(said["package"]).is_relative_to(fresh.parent)
    assert {"webhook", "play", "delivery"} <= set(said["tables"])


def test_the_installed_package_has_the_fakes(fresh: Path, anywhere: dict[str, str]) -> None:
    said = run(fresh / "python", "-m", "webhook.fakes.trakt", "--help", **anywhere)

    assert "--port" in said
