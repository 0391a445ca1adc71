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


UNREAD = re.compile(r"\b(?:dict|Mapping|MutableMapping)\[str, Any\]")
EDGES = {
    "sources/": "webhooks, as their senders write them",
    "servers/": "what a media server answers",
    "trackers/": "what a service is sent, and what it answers",
    "lookups/": "what a lookup answers",
    "compat/tvtime/auth.py": "what a signed token says",
    "transfer/imports/": "files, as other programs write them",
    "accounts/oidc.py": "what an OpenID provider says",
    "domain/lenient_json.py": "JSON as it was parsed",
    "domain/values.py": "reads JSON that was parsed",
    "domain/event_json.py": "reads JSON that was parsed",
    "domain/anime_ids.py": "lists, as others write them",
    "storage/prepared.py": "the values of any statement",
    "storage/rows.py": "the values of any statement",
    "web/docs/": "the OpenAPI document",
    "web/settings/models.py": "fields for pydantic, which makes a model of them",
    "cli/__init__.py": "Python's own table of modules",
}
"""Where an object's fields are known to others only, or to nobody: there it may be of any shape, and nowhere else."""


def untyped_objects() -> dict[str, list[int]]:
    """The lines with an object of any shape, by module."""
    found = {}
    for path in sorted((ROOT / "webhook").rglob("*.py")):
        lines = enumerate(path.read_text().splitlines(), 1)
        if numbers := [number for number, line in lines if UNREAD.search(line)]:
            found[str(path.relative_to(ROOT / "webhook"))] = numbers
    return found


def test_an_object_that_one_module_makes_and_another_reads_has_a_type() -> None:
    untyped = {path: lines for path, lines in untyped_objects().items() if not path.startswith(tuple(EDGES))}

    assert untyped == {}, (
        "Say its fields by a TypedDict (domain/json_shapes.py, storage/json_shapes.py, or beside what makes it), a NamedTuple or "
        "a dataclass; what is handed on and never read, by dict[str, object]."
    )


@pytest.mark.parametrize("edge", EDGES)
def test_an_edge_is_still_one(edge: str) -> None:
    assert any(path.startswith(edge) for path in untyped_objects())


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
