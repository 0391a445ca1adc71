"""No template says anything but through the catalogue, on whatever page it may come to stand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import webhook
from tests.locale.test_every_page import PROSE_ATTRIBUTES, WORD

TEMPLATES = Path(webhook.__file__).parent / "web" / "templates"
ENGLISH_ONLY = frozenset({"docs.html"})
"""The reference of the API, which is in English like the API."""

JINJA = re.compile(r"{#.*?#}|{%.*?%}|{{.*?}}", re.DOTALL)
TAG = re.compile(r"<(script|style)\b.*?</\1>|<[^>]*>", re.DOTALL)
ATTRIBUTE = re.compile(rf'(?<![\w-])(?:{"|".join(PROSE_ATTRIBUTES)})="([^"]*)"')
MARKED = re.compile(r'(?:_|n?gettext|pgettext)\((?:"(?:[^"\\]|\\.)*"(?:, )?)+')
LITERAL = re.compile(r'"([^"]*)"')
PROSE = re.compile(r"[A-Za-z]{2,} [a-z]|^[A-Z][a-z]+")
ENTITY = re.compile(r"&\w+;")
ADDRESS = re.compile(r"\S*[/=?]\S*")
LABEL = re.compile(r"(?<!\.letter\()(?<!gettext\(\"section\", )\b(?!user\b)\w+\.label\b(?!\|t\b)")
"""A label as the code has it, in English; of a user it is a name."""

NAMES = frozenset({
    "Watchmark", "TMDB", "IMDb", "TheTVDB", "Trakt", "UTC", "tt0903747", "plex:Anna", "(nobody named)", "Needs attention",
    "wrong-",
})  # fmt: skip
"""What is the same in every language, and what templates compare with."""


def spoken(template: str) -> Iterator[str]:
    """The texts of a template that are in no call of gettext."""
    bare = JINJA.sub("\0", template)
    said = [*TAG.sub("\0", bare).split("\0"), *ATTRIBUTE.findall(bare)]
    for text in said:
        words = ADDRESS.sub("", ENTITY.sub("", text)).strip(' ·()"\n')
        if WORD.search(words):
            yield words
    for expression in JINJA.findall(template):
        yield from filter(PROSE.search, LITERAL.findall(MARKED.sub("", expression)))


@pytest.mark.parametrize("path", sorted(TEMPLATES.iterdir()), ids=lambda path: path.name)
def test_a_template_says_nothing_by_itself(path: Path) -> None:
    found = [text for text in spoken(path.read_text()) if text not in NAMES]

    assert path.name in ENGLISH_ONLY or found == []


@pytest.mark.parametrize("path", sorted(TEMPLATES.iterdir()), ids=lambda path: path.name)
def test_a_template_translates_each_label(path: Path) -> None:
    assert LABEL.findall(path.read_text()) == []


def test_a_text_outside_is_found() -> None:
    assert [*spoken('<p title="A tip">Hello {{ name }}, <b>{{ _("kept") }}</b>{{ "None yet" if x else _("y") }}</p>')] == [
        "Hello", "A tip", "None yet",
    ]  # fmt: skip
