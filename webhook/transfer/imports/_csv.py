"""Rows of a CSV file (RFC 4180), streamed: an error in one row affects no other.

An unclosed quote would swallow the rest of the file. Its row is abandoned at the first impossible thing (a
stray quote, the wrong number of fields, too much text), and reading resumes on the line after its first.
"""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from webhook.transfer.formulas import unguard
from webhook.transfer.records import Bad, Unusable

MAX_ROW = 1 << 20
"""The most bytes of one row, and so of one field."""

DELIMITERS = (",", ";", "\t")
QUOTED = re.compile(rb'"[^"]*"')

GIVE_UP = 1_000_000
"""The lines that may be read again because of broken rows before the file is abandoned."""

# The csv module's limit (128 KiB) holds for the whole process; `Lines` enforces ours.
csv.field_size_limit(max(csv.field_size_limit(), MAX_ROW))


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a CSV file; `line` is its first line, counted from 1 for the header."""

    line: int
    columns: Mapping[str, int]
    values: Sequence[str]

    def get(self, name: str) -> str | None:
        """The field of this column, stripped; None if it is empty or the column is missing."""
        place = self.columns.get(name)
        return unguard(self.values[place].strip()).strip() or None if place is not None else None


class TooLong(Exception):
    """The current row has more than LONGEST bytes."""


class Lines:
    """The lines of a file for the csv reader; those of the current row are kept.

    `source` yields lines with their line end, and None for one that was too long.
    """

    def __init__(self, source: Iterator[bytes | None]) -> None:
        self.source = source
        self.again: deque[bytes | None] = deque()
        self.row: list[bytes | None] = []
        self.size = 0
        self.number = 0
        self.undecodable: int | None = None

    def __iter__(self) -> Lines:
        return self

    def __next__(self) -> str:
        line = self.again.popleft() if self.again else next(self.source)
        self.number += 1
        self.row.append(line)
        if line is None or self.size + len(line) > MAX_ROW:
            raise TooLong
        self.size += len(line)
        try:
            return line.decode()
        except UnicodeDecodeError as error:
            self.undecodable = line[error.start]
            return line.decode(errors="replace")

    def begin(self) -> int:
        """Forget the previous row; returns the line on which the next one begins."""
        self.row.clear()
        self.size = 0
        self.undecodable = None
        return self.number + 1

    def rewind(self) -> int:
        """Go back to the line after the first of this row; returns how many lines."""
        back = self.row[1:]
        self.again.extendleft(reversed(back))
        self.number -= len(back)
        return len(back)


def split(chunks: Iterable[bytes], longest: int) -> Iterator[bytes | None]:
    """The lines of a text with their line ends; None for one of more than `longest` bytes."""
    rest, skipping = b"", False
    for chunk in chunks:
        if skipping and b"\n" not in chunk:
            continue
        *whole, rest = (rest + chunk).split(b"\n")
        if skipping:
            yield None
            whole, skipping = whole[1:], False
        for line in whole:
            yield None if len(line) > longest else line + b"\n"
        if len(rest) > longest:
            rest, skipping = b"", True
    if rest or skipping:
        yield None if skipping else rest


def read(chunks: Iterable[bytes], file: str, required: Collection[str]) -> Iterator[Row | Bad]:
    """The rows of a CSV file in UTF-8; raises Unusable if the header is unreadable or lacks a column."""
    lines = Lines(split(chunks, MAX_ROW))
    delimiter = find_delimiter(lines)
    names = columns(lines, file)
    known, width = places(names, file, required), len(names)
    reader = csv.reader(lines, strict=True, delimiter=delimiter)
    broken = 0
    while True:
        line = lines.begin()
        try:
            values = next(reader)
        except StopIteration:
            return
        except (csv.Error, TooLong) as error:
            wrong = explain(error)
        else:
            if not values:
                continue
            found = wrong_with(values, width, lines)
            if found is None:
                yield Row(line, known, values)
                continue
            wrong = found
        yield Bad(file=file, line=line, why=wrong[0], do=wrong[1])
        broken += lines.rewind()
        if broken > GIVE_UP:
            yield Bad(
                file=file,
                line=line,
                why="so many rows are broken that the rest of the file was left",
                do=NEW_EXPORT,
            )
            return


def find_delimiter(lines: Lines) -> str:
    """The delimiter of a file by its first line: a comma, or the semicolon or tab of a spreadsheet."""
    try:
        first = next(lines.source) if not lines.again else lines.again.popleft()
    except StopIteration:
        return DELIMITERS[0]
    lines.again.appendleft(first)
    bare = QUOTED.sub(b"", first or b"")
    return max(DELIMITERS, key=lambda delimiter: bare.count(delimiter.encode()))


def columns(lines: Lines, file: str) -> list[str]:
    """The column names in order; raises Unusable."""
    try:
        reader = csv.reader(lines, strict=True, delimiter=find_delimiter(lines))
        names = [name.strip() for name in next(reader)]
    except StopIteration:
        raise Unusable(f"{file} is empty: it has not even a header.") from None
    except (csv.Error, TooLong) as error:
        raise Unusable(f"{file} does not begin with a line of column names: {explain(error)[0]}.") from error
    if lines.undecodable is not None:
        raise Unusable(f"{file} is not UTF-8. Save it as “CSV UTF-8” and import it again.")
    return names


def places(names: Sequence[str], file: str, required: Collection[str]) -> dict[str, int]:
    """The index of each column by name, the first of two with the same name. Raises Unusable."""
    missing = sorted(set(required) - set(names))
    if missing:
        there = ", ".join(names)[:300] or "none"
        raise Unusable(f"{file} lacks the columns {', '.join(missing)}. It has: {there}.")
    return {name: place for place, name in reversed(list(enumerate(names)))}


NEW_EXPORT = "Look at the file in a text editor, or import a new export."


def explain(error: csv.Error | TooLong) -> tuple[str, str]:
    if isinstance(error, TooLong):
        return "the row has more than 1 MiB, most likely because a quote was never closed", NEW_EXPORT
    if "unexpected end" in str(error):
        return "a quote was never closed", NEW_EXPORT
    return f"it is no row of a CSV file ({error})", NEW_EXPORT


def wrong_with(values: Sequence[str], width: int, lines: Lines) -> tuple[str, str] | None:
    if lines.undecodable is not None:
        return (
            f"it is not UTF-8 (byte 0x{lines.undecodable:02x})",
            "Save the file as “CSV UTF-8” and import it again.",
        )
    if len(values) != width:
        return f"it has {len(values)} fields where the header has {width}", NEW_EXPORT
    return None
