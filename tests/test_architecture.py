"""`docs/architecture.md` names what is there: every file, every folder, and every class or function in it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "architecture.md").read_text()
NAMES = sorted(set(re.findall(r"`([a-z_/]+(?:\.(?:py|md)|/)(?::\w+)?)`", PAGE)))


def test_the_page_names_a_good_part_of_the_program() -> None:
    assert len(NAMES) > 30


@pytest.mark.parametrize("name", NAMES)
def test_what_the_page_names_is_there(name: str) -> None:
    where, _, member = name.partition(":")
    found = [path for path in (ROOT / "webhook" / where, ROOT / where) if path.exists()]

    assert found, f"{where} is not there"
    if member:
        assert member in members(found[0])


def members(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in tree.body if isinstance(node, kinds)}


def test_every_folder_says_what_it_is() -> None:
    silent = []
    for face in (ROOT / "webhook").rglob("__init__.py"):
        said = ast.get_docstring(ast.parse(face.read_text()))
        if not said:
            silent.append(str(face.parent.relative_to(ROOT)))

    assert silent == []


def test_contributing_lists_every_folder() -> None:
    listed = set(re.findall(r"`([a-z]+)/`", (ROOT / "CONTRIBUTING.md").read_text()))
    folders = {face.parent.name for face in (ROOT / "webhook").glob("*/__init__.py")}

    assert folders <= listed


def test_a_row_is_typed_where_it_travels() -> None:
    untyped = [str(path) for path in (ROOT / "webhook").rglob("*.py") if "Row[Any]" in path.read_text()]

    assert untyped == []


def test_no_file_is_longer_than_can_be_read_at_once() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in (ROOT / "webhook").rglob("*.py")}

    assert [str(path) for path, length in lengths.items() if length > 450] == []


MEND = (
    "{path} has {length} lines. A tracker fits into {most}: if it needs more, let the base classes hold what it writes by "
    "hand (webhook/trackers/_*.py); a tracker of several files is a folder."
)


def test_a_tracker_is_short_because_the_base_classes_hold_the_rest() -> None:
    folder, most = ROOT / "webhook" / "trackers", 250
    lengths = {path: len(path.read_text().splitlines()) for path in folder.rglob("*.py")}

    long = [
        MEND.format(path=path.relative_to(ROOT), length=length, most=most)
        for path, length in lengths.items()
        if length > most
    ]
    assert len(lengths) > 20
    assert not long, "\n".join(long)
