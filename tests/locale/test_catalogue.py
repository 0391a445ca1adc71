"""Each catalogue has every text of pages and code, translated, with the same values in it."""

from __future__ import annotations

import ast
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest

import webhook
from tests.locale import extract
from tests.locale.update import bring_up_to_date, collect
from webhook.web.http import language
from webhook.web.http.language import ENGLISH, LANGUAGES, PLACEHOLDER, path_of_catalogue, read_catalogue

TRANSLATED = [name for name in LANGUAGES if name != ENGLISH]
TAG = re.compile(r"</?\w+[^>]*>")
EDGES = re.compile(r"^\s*|\s*$")
PLURAL_VERBS = {
    "de": re.compile(r"%\(\w+\)s (?:\w+ ){0,2}(?:warten|haben|sind|konnten|werden|würden|fehlen|stehen)\b")
}
"""A number and a verb that fits more than one only."""

SENTENCE = re.compile(r"[A-Z%].* .*[.?!]", re.DOTALL)
LOGGING = frozenset({"debug", "info", "warning", "error", "exception", "critical"})
COMMANDS_ONLY = "maintenance/move_database.py"
NOT_ON_PAGES = (
    "Not found.", "VACUUM INTO ?", "A watchlist was read.", "No webhook from %(server)s since %(last)s UTC.", "%(text)s Answer it: %(value)s.",
    "The export file itself, of at most IMPORT_MAX_BYTES (%(value)s MiB unless it is set).",
)  # fmt: skip
"""Sentences of services, of the API alone, and what is logged."""


def pairs(name: str) -> Iterator[tuple[str, str]]:
    """Each text of a catalogue with its translation, plurals one by one."""
    for message in read_catalogue(name):
        if isinstance(message.id, str):
            if message.id:
                yield message.id, message.string
        else:
            yield from zip(message.id, message.string, strict=True)


@pytest.mark.parametrize("name", TRANSLATED)
def test_it_has_the_texts_that_there_are(name: str) -> None:
    written = bring_up_to_date(name, collect())

    assert written == path_of_catalogue(name).read_bytes(), "run: make texts"


def test_every_sentence_of_the_code_is_collected() -> None:
    known = {text for message in collect() for text in (message.id, *message.id)}
    root = Path(webhook.__file__).parent
    paths = [path for path in root.rglob("*.py") if not is_apart(path.relative_to(root).as_posix())]

    found = {text: path.name for path in sorted(paths) for text in sentences(ast.parse(path.read_text()))}

    assert {text: name for text, name in found.items() if text not in known} == dict.fromkeys(
        NOT_ON_PAGES, ANY
    )


def is_apart(path: str) -> bool:
    return path == COMMANDS_ONLY or any(part in f"webhook/{path}" for part in extract.APART)


def sentences(tree: ast.AST) -> Iterator[str]:
    """The sentences of a module that are neither documentation nor logged."""
    left: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            left.add(node.value)
        elif isinstance(node, ast.Call) and extract.name_of(node.func) in LOGGING:
            left.update(ast.walk(node))
        elif isinstance(node, ast.JoinedStr):
            left.update(node.values)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant | ast.JoinedStr) and node not in left:
            text = extract.text_of(node)
            if SENTENCE.fullmatch(text):
                yield text


@pytest.mark.parametrize("name", TRANSLATED)
def test_all_of_it_is_translated(name: str) -> None:
    catalogue: Any = read_catalogue(name)

    assert [text for text, translation in pairs(name) if not translation] == []
    assert [message.id for message in catalogue if message.fuzzy and message.id] == []


@pytest.mark.parametrize("name", TRANSLATED)
def test_a_translation_has_the_values_and_the_tags_of_its_text(name: str) -> None:
    for text, translation in pairs(name):
        for part in (PLACEHOLDER, TAG):
            assert sorted(set(part.findall(text))) == sorted(set(part.findall(translation))), text
        assert text.count("<a>") == translation.count("<a>"), text
        assert EDGES.findall(text) == EDGES.findall(translation), text


@pytest.mark.parametrize("name", TRANSLATED)
def test_what_a_page_says_of_a_number_has_a_singular(name: str) -> None:
    """Also where English says the same of one and of many."""
    single = [
        message
        for message in read_catalogue(name)
        if isinstance(message.id, str) and any(place.endswith(".html") for place, _ in message.locations)
    ]

    assert [message.id for message in single if PLURAL_VERBS[name].search(message.string)] == []


@pytest.mark.parametrize("name", TRANSLATED)
def test_a_sentence_of_the_code_is_recognised_whatever_is_in_it(name: str) -> None:
    for message in read_catalogue(name):
        spoken = any(place.endswith(".py") for place, _ in message.locations)
        if not isinstance(message.id, str) or not spoken or not PLACEHOLDER.search(message.id):
            continue
        rest = PLACEHOLDER.sub("", message.id)
        if sum(letter.isalpha() for letter in rest) < language.MIN_LETTERS:
            continue
        values = {place: f"⟨{place}⟩" for place in PLACEHOLDER.findall(message.id)}
        said = language.translate_to(name, message.id % values, 0)
        assert all(value in said for value in values.values()), message.id
        assert said != message.id % values or message.string == message.id, message.id


@pytest.mark.parametrize("name", TRANSLATED)
def test_no_text_of_a_stranger_takes_long(name: str) -> None:
    """Each sentence of the code with the words between its values again and again, and an end that fits none."""
    chosen = language.LANGUAGE.set(name)
    for pattern, _ in language.texts_of(name).patterns:
        first, *others = [piece.replace("\\", "") for piece in re.split(r"\(\?P[^)]*\)", pattern.pattern)]
        text = f"{first}{''.join(others[:-1] or [first or others[-1]]) * language.MAX_SENTENCE}"
        started = time.process_time()
        language.translate(f"{text[: language.MAX_SENTENCE - 1]}\0")
        assert time.process_time() - started < 1, pattern.pattern
        assert language.translate(text * 100) == text * 100
    language.LANGUAGE.reset(chosen)
