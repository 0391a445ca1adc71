"""A person's export file: a single file or a zip, streamed and never unpacked to disk.

Nothing in it is trusted: sizes, counts and ratios are limited while reading, whatever its headers say, and a
file is opened only if a kind asks for it by name.
"""

from __future__ import annotations

import gzip
import os
import re
import zipfile
import zlib
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import IO, Any

import ijson  # type: ignore[import-untyped]

from webhook.transfer.imports import _csv, _xml
from webhook.transfer.imports._csv import Row as Row
from webhook.transfer.imports._streams import (
    MAX_LINE,
    Allowance,
    Budget,
    Counted,
    Damaged,
    Member,
    Readable,
    Tally,
    Text,
    plain,
)
from webhook.transfer.records import Bad, Options, Unusable

EXTENSIONS = frozenset({".csv", ".json", ".jsonl", ".txt", ".xml"})
GZIPPED = ".gz"
"""What may follow one of these; the file is then read unpacked, under its name without it."""

MAX_ENTRIES = 10_000
ZIP = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")

Files = Mapping[str, zipfile.ZipInfo | Path]
"""The readable files of an export by name: entries of its zip, or files on the disk."""

SLASH = re.compile(r"[/\\]")

METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
"""The compression methods that are accepted. For others the zip module unpacks pieces of any size."""


# --- limits


# --- files


# --- the bundle


class Bundle:
    """The files of one export.

    `names` are the readable files' names without folders, in alphabetical order. Of several with one name,
    the one in the fewest folders has it; the paths of the others are in `doubles` and can be read by path.
    """

    def __init__(
        self,
        path: Path,
        tally: Tally,
        files: Files,
        doubles: Sequence[str] = (),
        archive: zipfile.ZipFile | None = None,
        allowance: Allowance | None = None,
        options: Options | None = None,
    ) -> None:
        self.path = path
        self.options = options or {}
        self.names = tuple(sorted(files.keys() - set(doubles)))
        self.doubles = tuple(doubles)
        self.files = files
        self.archive = archive
        self.loose = archive is None and not path.is_dir()
        self.tally = tally
        self.allowance = allowance or Allowance()
        self.plan(self.names)

    def packed_size(self, name: str) -> int:
        found = self.files[name]
        return found.compress_size if isinstance(found, zipfile.ZipInfo) else found.stat().st_size

    def plan(self, names: Sequence[str]) -> None:
        """Announce the files to be read, each as often as it is named, so that `progress` ends at 1."""
        self.base = self.tally.count
        self.planned = sum(self.packed_size(name) for name in names)

    @property
    def progress(self) -> float:
        """The share of bytes read from disk, 0 to 1."""
        return min((self.tally.count - self.base) / self.planned, 1.0) if self.planned > 0 else 1.0

    def duplicate_files(self, names: Collection[str]) -> Iterator[Bad]:
        """A Bad entry for each file that was skipped because its name came twice."""
        for path in self.doubles:
            name = PurePosixPath(path).name
            if name in names:
                yield Bad(
                    file=path,
                    line=None,
                    why=f"there are several files called {name}; this one was not read",
                    do=ALONE,
                )

    def head(self, name: str, size: int = 4096) -> bytes:
        """The first bytes of a file as UTF-8, for recognising it; empty if it is damaged."""
        found = b""
        try:
            with self.text(name) as text:
                while len(found) < size and (piece := text.read()):
                    found += piece
        except Damaged:
            return b""
        return found[:size]

    def columns(self, name: str) -> tuple[str, ...]:
        """The column names of a CSV file, for recognising it; empty without a header."""
        try:
            with self.text(name) as text:
                return tuple(_csv.columns(_csv.Lines(_csv.split(text, _csv.MAX_ROW)), name))
        except Unusable:
            return ()

    def rows(self, name: str, *, required: Collection[str] = ()) -> Iterator[Row | Bad]:
        """The rows of a CSV file; raises Unusable if a required column is missing."""
        line = 0
        try:
            with self.text(name) as text:
                for number, row in enumerate(_csv.read(text, name, required), start=1):
                    line = row.line or line
                    self.allowance.count_row(name, number)
                    yield row
        except Damaged as error:
            yield Bad(
                file=name,
                line=line or None,
                why=f"what comes after this line cannot be read: {error}",
                do=DOWNLOAD,
            )

    def items(self, name: str, prefix: str = "item") -> Iterator[Any]:
        """The values at a place in a JSON file, in ijson's notation; Bad if the rest cannot be read."""
        try:
            with self.text(name) as text:
                budget = Budget(text)
                events = ijson.parse(plain(ijson.basic_parse(budget), budget, prefix))
                for number, item in enumerate(ijson.items(events, prefix), start=1):
                    budget.renew()
                    self.allowance.count_row(f"{name} {prefix}", number)
                    yield item
        except (ijson.JSONError, ValueError) as error:
            yield Bad(
                file=name, line=None, why=f"from some place on it is no JSON ({brief(error)})", do=DOWNLOAD
            )
        except Damaged as error:
            yield Bad(file=name, line=None, why=f"what follows cannot be read: {error}", do=DOWNLOAD)

    def elements(self, name: str, tag: str) -> Iterator[Mapping[str, str] | Bad]:
        """The XML elements of this tag, each as the texts of its children; Bad if the rest cannot be read."""
        try:
            with self.text(name) as text:
                for number, element in enumerate(_xml.elements(Budget(text), tag), start=1):
                    self.allowance.count_row(name, number)
                    yield element
        except _xml.NoXml as error:
            yield Bad(
                file=name, line=error.line, why=f"from this line on it is no XML ({error})", do=DOWNLOAD
            )
        except Damaged as error:
            yield Bad(file=name, line=None, why=f"what follows cannot be read: {error}", do=DOWNLOAD)

    def lines(self, name: str) -> Iterator[tuple[int, bytes] | Bad]:
        """The non-blank lines of a file with their numbers; Bad for one of more than 4 MiB."""
        number = 0
        try:
            with self.text(name) as text:
                for number, line in enumerate(_csv.split(text, MAX_LINE), start=1):
                    self.allowance.count_row(name, number)
                    if line is None:
                        yield Bad(
                            file=name,
                            line=number,
                            why=f"the line has more than {MAX_LINE >> 20} MiB",
                            do=_csv.NEW_EXPORT,
                        )
                    elif bare := line.strip():
                        yield number, bare
        except Damaged as error:
            yield Bad(
                file=name,
                line=number or None,
                why=f"what comes after this line cannot be read: {error}",
                do=DOWNLOAD,
            )

    @contextmanager
    def text(self, name: str) -> Iterator[Text]:
        info = self.files[name]
        if not isinstance(info, zipfile.ZipInfo) or self.archive is None:
            path = self.path if isinstance(info, zipfile.ZipInfo) else info
            with path.open("rb") as file:
                loose = unpack(Counted(file, self.tally), path.name)
                yield Text(Member(name, loose, self.tally, self.allowance))
            return
        if info.compress_type not in METHODS:
            raise Damaged(
                f"{name} is packed in a way that only large archives are (method {info.compress_type})."
            )
        try:
            opened = self.archive.open(info)
        except (zipfile.BadZipFile, NotImplementedError, OSError) as error:
            raise Damaged(f"{name} cannot be opened in the zip ({error}).") from error
        with opened:
            yield Text(Member(name, unpack(opened, info.filename), self.tally, self.allowance))


ALONE = "Import it by itself if it is the one that counts."
DOWNLOAD = "Download the export again if you can, and import that; what was read is kept."


def brief(error: Exception) -> str:
    return str(error).splitlines()[0][:100] if str(error) else type(error).__name__


@contextmanager
def open_bundle(
    path: Path, allowance: Allowance | None = None, options: Options | None = None
) -> Iterator[Bundle]:
    """Open an export, a folder, a zip or one of its files, gzipped or not; raises Unusable for anything else."""
    if path.is_dir():
        yield Bundle(path, Tally(), *list_folder(path), allowance=allowance, options=options)
        return
    try:
        file = path.open("rb")
    except OSError as error:
        raise Unusable(f"{path} cannot be opened: {error.strerror}.") from error
    tally = Tally()
    with Counted(file, tally) as counted:
        first = file.read(4096)
        if not first:
            raise Unusable(f"{path} is empty.")
        if first.startswith(ZIP):
            with opened_zip(path, counted) as archive:
                yield Bundle(path, tally, *list_entries(path, archive), archive, allowance, options)
            return
        if is_gzipped(path.name):
            first = read_head(path, counted)
    if not texty(first):
        raise Unusable(f"{path} is neither a zip nor a text file: it is no export that can be read.")
    yield Bundle(path, tally, {bare_name(path.name): path}, allowance=allowance, options=options)


def is_gzipped(name: str) -> bool:
    return name.lower().endswith(GZIPPED)


def bare_name(name: str) -> str:
    return name[: -len(GZIPPED)] if is_gzipped(name) else name


def unpack(file: IO[bytes] | Counted, name: str) -> Readable:
    return gzip.GzipFile(fileobj=file) if is_gzipped(name) else file


def read_head(path: Path, file: Counted) -> bytes:
    """The first bytes of a gzipped file; raises Unusable if it is damaged."""
    file.seek(0)
    try:
        return unpack(file, path.name).read(4096)
    except (OSError, EOFError, zlib.error) as error:
        raise Unusable(
            f"{path} is gzipped, but cut off or damaged. Download or copy it again and import that."
        ) from error


def texty(first: bytes) -> bool:
    return first.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) or b"\0" not in first


def opened_zip(path: Path, counted: Counted) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(counted)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise Unusable(
            f"{path} is a zip, but cut off or damaged. Download or copy it again and import that."
        ) from error


def list_entries(path: Path, archive: zipfile.ZipFile) -> tuple[Files, list[str]]:
    """The readable files by name, and the paths of those whose name is taken."""
    entries = archive.infolist()
    refuse_many(path, len(entries))
    found = name_files(path, [(parts, info) for info in entries if (parts := visible(info)) is not None])
    if any(isinstance(info, zipfile.ZipInfo) and info.flag_bits & 1 for info in found[0].values()):
        raise Unusable(
            f"{path} is protected by a password. Unpack it with the password, and import a zip without one, "
            "or its files one by one."
        )
    return found


def list_folder(path: Path) -> tuple[Files, list[str]]:
    """The readable files of a folder by name, and the paths of those whose name is taken; no links are followed."""
    entries = [(found.relative_to(path).parts, found) for found in files_within(path)]
    return name_files(path, [entry for entry in entries if is_visible(entry[0])])


def files_within(path: Path) -> list[Path]:
    """The files of a folder and of the folders in it; raises Unusable for more than MAX_ENTRIES."""
    found: list[Path] = []
    try:
        for folder, _, names in os.walk(path, onerror=raise_error):
            found += [file for name in names if not (file := Path(folder) / name).is_symlink()]
            refuse_many(path, len(found))
    except OSError as error:
        raise Unusable(f"{path} cannot be opened: {error.strerror}.") from error
    return [file for file in found if file.is_file()]


def raise_error(error: OSError) -> None:
    raise error


def refuse_many(path: Path, count: int) -> None:
    if count > MAX_ENTRIES:
        raise Unusable(f"{path} holds {count} files, more than any export: it was not read.")


def name_files(
    path: Path, found: Sequence[tuple[tuple[str, ...], zipfile.ZipInfo | Path]]
) -> tuple[Files, list[str]]:
    """The files by name, of two with one name the one in fewer folders, and the paths of the others."""
    files: dict[str, zipfile.ZipInfo | Path] = {}
    doubles = []
    for parts, file in sorted(found, key=lambda entry: (len(entry[0]), entry[0])):
        name = bare_name(parts[-1])
        if name in files:
            name = free("/".join(parts), files)
            doubles.append(name)
        files[name] = file
    if not files:
        raise Unusable(f"{path} holds no file that can be read (csv, json, jsonl, txt or xml).")
    return files, doubles


def free(path: str, taken: Collection[str]) -> str:
    """The path, with a number appended if the zip holds it more than once."""
    found, number = path, 1
    while found in taken:
        number += 1
        found = f"{path} ({number})"
    return found


def visible(info: zipfile.ZipInfo) -> tuple[str, ...] | None:
    """Folders and name of a readable entry; None for folders, hidden files and other types."""
    parts = tuple(part for part in SLASH.split(info.filename) if part not in ("", "."))
    return parts if not info.is_dir() and is_visible(parts) else None


def is_visible(parts: Sequence[str]) -> bool:
    """True for a readable file's folders and name; False for hidden files and other types."""
    if not parts or not all(part.isprintable() for part in parts):
        return False
    if any(part.startswith(".") or part == "__MACOSX" for part in parts):
        return False
    return PurePosixPath(bare_name(parts[-1])).suffix.lower() in EXTENSIONS


# --- dates


SECOND, MILLISECOND, MICROSECOND = timedelta(seconds=1), timedelta(milliseconds=1), timedelta(microseconds=1)
