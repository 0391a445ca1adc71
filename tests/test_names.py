"""The language of the program: one meaning for each public name, and functions that say what they do or give.

CONTRIBUTING, *Names*, has the rules in words.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import webhook

PACKAGE = Path(webhook.__file__).parent
MAX_MODULES = 3

SHARED = {
    "BUILDERS": "what a folder of plug-ins offers by name",
    "DESCRIPTION": "an export's, for people",
    "FIELDS": "a source's form fields that may hold the payload",
    "FORM_IS_PAYLOAD": "a source's, whether a form's fields are the payload",
    "KINDS": "the kinds of item that an export can hold",
    "LABEL": "a plug-in's name, for people",
    "MEDIA_TYPE": "an export's",
    "NOTE": "a tracker's, on what its facts leave out",
    "OPERATIONS": "the operations of the API that a feature answers",
    "PURPOSE": "a plug-in's, in a sentence",
    "SETUP": "a plug-in's set-up text",
    "SUFFIX": "of an export's file",
    "Settings": "a plug-in's settings",
    "R": "a type variable: what a function returns, or a row",
    "T": "a type variable",
    "app": "the group of commands of a file",
    "build": "makes a plug-in of its settings",
    "log": "the logger of a module",
    "modules": "the plug-ins of a folder, by name",
    "parse": "makes events of a source's payload",
    "questions": "what an import's file leaves open",
    "read": "makes entries of an import's file",
    "write": "makes an export's file of entries",
}
"""Public names that any number of modules have, because a plug-in, or a library, asks for them by that name."""

IRREGULAR = """
told kept held known shown seen said given found made done drawn sent begun taken left gone lost bound put led built
meant spent gotten written broken spoken chosen thrown here there then again apart alike
who whose whom what whether how which where why it they them both each some any none
"""
ALONE = """
saw taught only theirs right many else so as of by in to on off up out from with without within inside outside apart
about around above below over under before again once twice alone together later
"""
"""Words that are no name by themselves; inside a name they may stand."""

PARTICLES = "in out up as by of for with to from on off again before after under over beside"
NOUNS = """
feed seed speed need bed heading rating setting string timing mapping padding ending reading encoding logging paging
warning meaning spelling marking binding listing evening recording viewing king ring thing bring
"""
QUESTIONS = ("is_", "has_", "was_", "can_", "are_", "may_", "have_", "needs_")
GIVEN = frozenset(
    {
        *(
            "connection_made",
            "connection_lost",
            "data_received",
            "datagram_received",
            "eof_received",
            "pause_writing",
            "resume_writing",
        ),
        "restricted_to",
    }
)
"""Names that others gave: asyncio's protocols, and a visitor's restriction to a person."""


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.relative_to(PACKAGE).parts[0] not in {"fakes", "migrations"}:
            yield str(path.relative_to(PACKAGE)), ast.parse(path.read_text())


def public_names(tree: ast.Module) -> set[str]:
    names = set()
    for node in tree.body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                names.add(node.name)
            case ast.Assign():
                names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
            case ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
    return {name for name in names if not name.startswith("_")}


def functions(tree: ast.Module) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, node.lineno


def is_participle(name: str) -> bool:
    """Whether a function's name is, or ends in, a participle, a pronoun or an adverb: "told", "plays_seen", "kept_for"."""
    if name.startswith(("__", *QUESTIONS)) or name.endswith("_at") or name in GIVEN:
        return False
    first, *others = name.strip("_").replace("sign_in", "login").split("_")
    if not others:
        return first in ALONE.split() or is_participle_word(first)
    phrasal = is_participle_word(first) and not set(PARTICLES.split()).isdisjoint(others)
    return phrasal or is_participle_word(others[-1])


def is_participle_word(word: str) -> bool:
    return word in IRREGULAR.split() or (word.endswith(("ed", "ing")) and word not in NOUNS.split())


def crowded(found: Mapping[str, list[str]]) -> dict[str, list[str]]:
    return {
        name: places for name, places in found.items() if len(places) > MAX_MODULES and name not in SHARED
    }


def test_a_public_name_stands_in_few_modules() -> None:
    found: dict[str, list[str]] = defaultdict(list)
    for path, tree in modules():
        for name in public_names(tree):
            found[name].append(path)

    assert crowded(found) == {}


def test_a_function_is_a_verb_or_what_it_returns() -> None:
    named = [f"{path}:{line} {name}" for path, tree in modules() for name, line in functions(tree)]

    assert [place for place in named if is_participle(place.rsplit(" ", 1)[1])] == []
