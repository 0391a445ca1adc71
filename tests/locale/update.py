"""Collects the texts and brings every catalogue up to date (`make texts`); what is new there waits for its translation."""

from __future__ import annotations

import tomllib
from functools import cache
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import write_po

from webhook.web.http.language import ENGLISH, LANGUAGES, path_of_catalogue, read_catalogue

ROOT = Path(__file__).parents[2]
HEADER = """\
msgid ""
msgstr ""
"Language: {language}\\n"
"Plural-Forms: {plural_forms}\\n"
"MIME-Version: 1.0\\n"
"Content-Type: text/plain; charset=utf-8\\n"
"Content-Transfer-Encoding: 8bit\\n"

"""
"""The head of a catalogue, without a date, which would change with every run."""

KEYWORDS = {"_": None, "gettext": None, "ngettext": (1, 2), "pgettext": ((1, "c"), 2)}


@cache
def collect() -> Catalog:
    """The texts of templates and code, in the order of the alphabet."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        mappings = tomllib.load(file)["tool"]["babel"]["mappings"]
    methods = [(one["pattern"], one["method"]) for one in mappings]
    options = {one["pattern"]: one for one in mappings}
    found = Catalog(charset="utf-8")
    for name, _, text, _, context in extract_from_dir(ROOT / "webhook", methods, options, KEYWORDS):
        found.add(text, locations=[(f"webhook/{name}", 0)], context=context)
    return found


def bring_up_to_date(language: str, texts: Catalog) -> bytes:
    """The catalogue of a language with these texts: new ones without translation, old ones gone."""
    catalogue: Catalog = read_catalogue(language)
    catalogue.update(texts, no_fuzzy_matching=True)
    catalogue.obsolete.clear()
    written = BytesIO()
    write_po(written, catalogue, width=0, sort_output=True, include_lineno=False, omit_header=True)
    head = HEADER.format(language=language, plural_forms=catalogue.plural_forms)
    return head.encode() + written.getvalue()


def main() -> None:
    texts = collect()
    for language in LANGUAGES:
        if language != ENGLISH:
            path_of_catalogue(language).write_bytes(bring_up_to_date(language, texts))


if __name__ == "__main__":
    main()
