"""The package: what is said in one place about what stands in another."""

from __future__ import annotations

import importlib
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, select

from webhook import sources, trackers
from webhook.storage import migrate
from webhook.storage.db import Database
from webhook.storage.tables import metadata, token

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
TESTED_IN = ("sources", "trackers", "trackers/unit")
LOCKS = ("requirements.lock", "requirements-dev.lock")


def tracked() -> list[Path]:
    """The files that a clone has, and those that are about to be added."""
    command = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    found = subprocess.run(command, capture_output=True, check=False)
    if found.returncode:
        pytest.skip("this is no git checkout")
    return [path for name in found.stdout.decode().split("\0") if name and (path := ROOT / name).is_file()]


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def names(requirements: list[str]) -> set[str]:
    """The distributions asked for, in the spelling of a lock file."""
    return {re.split(r"[^\w.-]", entry)[0].lower().replace("_", "-") for entry in requirements}


def locked(lock: str) -> dict[str, str]:
    """The pinned versions."""
    return dict(re.findall(r"^([\w.-]+)==([\w.]+)", text_of(ROOT / lock), re.MULTILINE))


# --- the command


def test_the_command_is_there() -> None:
    module, _, function = PROJECT["project"]["scripts"]["watchmark"].partition(":")

    assert callable(getattr(importlib.import_module(module), function))


# --- one version


def test_the_version_is_the_same_everywhere() -> None:
    version = PROJECT["project"]["version"]
    released = re.findall(r"^## \[?(\d+\.\d+\.\d+)", text_of(ROOT / "CHANGELOG.md"), re.MULTILINE)
    written = re.findall(r"""__version__ = ["'](.+)["']""", text_of(ROOT / "webhook" / "__init__.py"))

    assert set(written) <= {version}
    assert released[:1] in ([], [version])


# --- the lock files


@pytest.mark.parametrize("lock", LOCKS)
def test_everything_locked_has_its_hashes(lock: str) -> None:
    for block in re.split(r"\n(?=[\w])", text_of(ROOT / lock).partition("\n")[2]):
        assert "--hash=sha256:" in block, block.splitlines()[0]


@pytest.mark.parametrize("lock", LOCKS)
def test_no_lock_says_where_to_fetch_from(lock: str) -> None:
    assert not re.search(r"://|--index|--find-links|--trusted-host| @ ", text_of(ROOT / lock))


def test_both_locks_pin_the_same_versions() -> None:
    runtime, dev = (locked(lock) for lock in LOCKS)

    assert runtime.items() <= dev.items()


def test_everything_asked_for_is_locked() -> None:
    project, groups = PROJECT["project"], PROJECT["dependency-groups"]
    runtime = names(
        [*project["dependencies"], *project["optional-dependencies"]["postgres"], *groups["build"]]
    )

    assert runtime <= locked("requirements.lock").keys()
    assert runtime | names(groups["dev"]) <= locked("requirements-dev.lock").keys()


# --- the database


def test_the_migrations_make_the_tables_of_the_models(database: Database) -> None:
    def difference(connection: Any) -> list[Any]:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))

    assert database.do(difference) == []


def test_a_token_from_before_scopes_opens_everything_and_never_ends(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'old.db'}")
    made = "INSERT INTO token (kind, digest, sealed, created_at) VALUES ('api', 'of old', '', 0)"

    def upgrade(connection: Connection) -> Any:
        command.upgrade(migrate.alembic_config(connection), "0005")
        connection.exec_driver_sql(made)
        command.upgrade(migrate.alembic_config(connection), "head")
        return connection.execute(select(token)).one()

    row = database.do(upgrade)
    database.close()

    assert (row.scopes, row.expires_at) == (None, None)


# --- the files


# Written apart, so that this file does not find itself.
PRIVATE = re.compile(r"/(?:root|work|home)/[a-z.]|/Us" + "ers/[a-z]")
REGISTRY = re.compile("py" + r"pi\.|pythonho" + r"sted|deb\.deb" + r"ian|Artifac" + "tory|/simp" + r"le\b")


def test_no_file_names_a_folder_of_somebodys_machine() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {hit[0]}" for path in tracked() if (hit := PRIVATE.search(text_of(path)))
    ]

    assert found == []


def test_no_file_names_a_package_index() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {hit[0]}" for path in tracked() if (hit := REGISTRY.search(text_of(path)))
    ]

    assert found == []


@pytest.mark.parametrize("name", [*sources.modules(), *trackers.modules()])
def test_every_source_and_tracker_has_its_test(name: str) -> None:
    assert any((ROOT / "tests" / folder / f"test_{name}.py").is_file() for folder in TESTED_IN)


def test_the_image_is_built_from_what_the_checkout_has() -> None:
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", text_of(ROOT / "Dockerfile"), re.MULTILINE)
    taken = {line[1:] for line in text_of(ROOT / ".dockerignore").splitlines() if line.startswith("!")}
    wanted = {name for line in copied for name in line.split()}

    assert wanted == taken
    assert [name for name in wanted if not (ROOT / name).exists()] == []
