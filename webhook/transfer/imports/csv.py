"""Any table of viewings: columns found by their names, and Watchmark's own spreadsheet read back as it was written.

The order of day and month, the scale of ratings, and whether an id of an episode's row is the show's are decided
for the file as a whole. What the file does not settle, its owner is asked. A row with a rating and no date is a
rating and no viewing.
"""

from __future__ import annotations

from collections.abc import Iterator

from webhook.transfer.imports._archive import Bundle, Row
from webhook.transfer.imports._columns import column_questions, map_columns
from webhook.transfer.imports._dates import NoDate
from webhook.transfer.imports._fields import FIX, Wrong
from webhook.transfer.imports._own_csv import is_own, own_entries
from webhook.transfer.imports._table import Table, note_rows, row_entries, table_questions
from webhook.transfer.records import Bad, Entry, Question, Undecided, Unusable

LABEL = "Spreadsheet (CSV) of any kind"


def read(bundle: Bundle) -> Iterator[Entry]:
    """The viewings and ratings of each table in the bundle."""
    names = find_tables(bundle)
    bundle.plan([name for name in names for _ in range(1 if is_own(bundle.columns(name)) else 2)])
    for name in names:
        header = bundle.columns(name)
        yield from own_table(bundle, name) if is_own(header) else any_table(bundle, name)


def questions(bundle: Bundle) -> list[Question]:
    """The columns of the first table that is not our own, and what its rows leave open."""
    for name in find_tables(bundle):
        header = bundle.columns(name)
        if not is_own(header):
            mapping = map_columns(header, bundle.options)
            evidence = note_rows(bundle, name, mapping)
            return [*table_questions(evidence, mapping, bundle.options), *column_questions(header, mapping)]
    return []


def find_tables(bundle: Bundle) -> list[str]:
    """The names of the CSV files; raises Unusable."""
    found = [
        name
        for name in bundle.names
        if name.lower().endswith((".csv", ".txt", ".tsv")) and bundle.columns(name)
    ]
    if not found:
        raise Unusable(f"{bundle.path} holds no CSV file.")
    return found


def own_table(bundle: Bundle, name: str) -> Iterator[Entry]:
    for row in bundle.rows(name):
        try:
            yield from [row] if isinstance(row, Bad) else own_entries(row)
        except (Wrong, NoDate) as wrong:
            assert isinstance(row, Row)
            yield Bad(file=name, line=row.line, why=str(wrong), do=FIX)


def any_table(bundle: Bundle, name: str) -> Iterator[Entry]:
    mapping = map_columns(bundle.columns(name), bundle.options)
    if not mapping.has("title", "show", "imdb", "tmdb", "tvdb", "trakt", "simkl", "mal"):
        raise Unusable(
            f"{name} has no column that says what was watched: none is named title, show or like an id. Say which "
            "column it is."
        )
    evidence = note_rows(bundle, name, mapping)
    for question in table_questions(evidence, mapping, bundle.options):
        if question.is_open:
            raise Undecided(question)
    table = Table(mapping, evidence, bundle.options)
    for row in bundle.rows(name):
        try:
            yield from [row] if isinstance(row, Bad) else row_entries(row, table)
        except (Wrong, NoDate) as wrong:
            assert isinstance(row, Row)
            yield Bad(file=name, line=row.line, why=str(wrong), do=FIX)
