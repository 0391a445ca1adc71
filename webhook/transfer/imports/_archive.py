"""A person's export file: a single file or a zip, streamed and never unpacked to disk.

Nothing in it is trusted: sizes, counts and ratios are limited while reading, whatever its headers say, and a
file is opened only if a kind asks for it by name.
"""

from __future__ import annotations

import io
import re
import time
import zipfile
import zlib
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE, getincrementaldecoder
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import IO, Any, Protocol

import ijson  # type: ignore[import-untyped]

from webhook import clock
from webhook.transfer.imports import _csv
from webhook.transfer.imports._csv import Row as Row
from webhook.transfer.limits import ON_THE_MACHINE
from webhook.transfer.records import Bad, Unusable

EXTENSIONS = frozenset({".csv", ".json", ".jsonl", ".txt"})
MAX_ENTRIES = 10_000
MAX_DIRECTORY = 32 << 20
MAX_FILE = 4 << 30
MAX_RATIO = 200
RATIO_FROM = 50 << 20
MAX_LINE = 4 << 20
MAX_ITEM = 16 << 20
MAX_DEPTH = 64
CHUNK = 64 << 10
ZIP = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")

SLASH = re.compile(r"[/\\]")

METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
"""The compression methods that are accepted. For others the zip module unpacks pieces of any size."""


class Readable(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


class Damaged(Unusable):
    """A file inside is truncated or has a wrong checksum."""


# --- limits


@dataclass(slots=True)
class Allowance:
    """The limits of an export: rows and bytes of all its files together, and seconds.

    A file that is read several times counts once.
    """

    rows: int | None = None
    size: int | None = None
    seconds: float | None = None
    began: float = field(default_factory=time.monotonic)
    counts: dict[str, int] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    all_rows: int = 0
    all_bytes: int = 0

    def count_row(self, name: str, number: int) -> None:
        """Count a row of a file; raises Unusable above the limit."""
        before = self.counts.get(name, 0)
        if number > before:
            self.counts[name] = number
            self.all_rows += number - before
        if self.rows is not None and self.all_rows > self.rows:
            raise Unusable(
                f"It has more than {self.rows:,} rows (IMPORT_MAX_ROWS): it was not read to its end. {ON_THE_MACHINE}"
            )

    def count_bytes(self, name: str, size: int) -> None:
        """Count the bytes read of a file; raises Unusable above the limits of bytes and time."""
        before = self.sizes.get(name, 0)
        if size > before:
            self.sizes[name] = size
            self.all_bytes += size - before
        if self.size is not None and self.all_bytes > self.size:
            raise Unusable(
                f"It unpacks to more than {self.size >> 20:,} MiB (four times IMPORT_MAX_BYTES): it was not read "
                f"to its end. {ON_THE_MACHINE}"
            )
        if self.seconds is not None and time.monotonic() - self.began > self.seconds:
            raise Unusable(
                f"It took longer than {self.seconds / 60:.0f} minutes (IMPORT_MAX_MINUTES): it was not read to its "
                f"end. {ON_THE_MACHINE}"
            )


# --- files


class Tally:
    """The number of bytes read from disk."""

    count = 0


class Counted(io.RawIOBase):
    """The file on disk, with its bytes counted and huge reads refused.

    The zip module reads a zip's whole directory in one piece, whose length the zip itself gives.
    """

    def __init__(self, file: IO[bytes], tally: Tally) -> None:
        self.file = file
        self.tally = tally

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return self.file.seek(offset, whence)

    def tell(self) -> int:
        return self.file.tell()

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0 or size > MAX_DIRECTORY:
            piece = self.file.read(MAX_DIRECTORY + 1)
            if len(piece) > MAX_DIRECTORY:
                raise Unusable("The zip's table of contents is too large for an export: it was not read.")
        else:
            piece = self.file.read(size)
        self.tally.count += len(piece)
        return piece

    def close(self) -> None:
        self.file.close()
        super().close()


class Member:
    """One file of the export, decompressed while it is read and held to the limits."""

    def __init__(self, name: str, opened: Readable, tally: Tally, allowance: Allowance) -> None:
        self.name = name
        self.opened = opened
        self.tally = tally
        self.allowance = allowance
        self.size = 0
        self.packed = 0

    def read(self, size: int = -1, /) -> bytes:
        before = self.tally.count
        try:
            piece = self.opened.read(CHUNK if size < 0 else min(size, CHUNK))
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
            raise Damaged(f"{self.name} is damaged or cut off ({error}).") from error
        self.size += len(piece)
        self.packed += self.tally.count - before
        self.allowance.count_bytes(self.name, self.size)
        if self.size > MAX_FILE:
            raise Unusable(f"{self.name} is larger than {MAX_FILE >> 30} GiB: it was not read to its end.")
        if self.size > RATIO_FROM and self.size > MAX_RATIO * self.packed:
            raise Unusable(
                f"{self.name} unpacks to more than {MAX_RATIO} times its size, as no export does: it was not read."
            )
        return piece


class Text:
    """A file as UTF-8 without a byte order mark; UTF-16 with one is decoded."""

    def __init__(self, raw: Readable) -> None:
        self.raw = raw
        first = raw.read(CHUNK)
        while 0 < len(first) < 3 and (more := raw.read(CHUNK)):
            first += more
        utf16 = first[:2] in (BOM_UTF16_LE, BOM_UTF16_BE)
        self.decoder = getincrementaldecoder("utf-16")("replace") if utf16 else None
        self.first = first.removeprefix(BOM_UTF8)

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes, of any number; none at the end, and none for a size of 0, as ijson asks."""
        if size == 0:
            return b""
        while True:
            piece, self.first = self.first or self.raw.read(CHUNK), b""
            if self.decoder is None:
                return piece
            text = self.decoder.decode(piece, final=not piece).encode(errors="replace")
            if text or not piece:
                return text

    def __iter__(self) -> Iterator[bytes]:
        while piece := self.read():
            yield piece


class Budget:
    """A text with a limit of bytes between two calls of `renew`: the most that one JSON value may take."""

    def __init__(self, text: Text) -> None:
        self.text = text
        self.left = MAX_ITEM

    def renew(self) -> None:
        self.left = MAX_ITEM

    def read(self, size: int = -1, /) -> bytes:
        piece = self.text.read(size)
        self.left -= len(piece)
        if self.left < 0:
            raise Unusable(f"One entry of it has more than {MAX_ITEM >> 20} MiB, which is no export's.")
        return piece


def plain(events: Iterator[tuple[str, Any]], budget: Budget, prefix: str) -> Iterator[tuple[str, Any]]:
    """The events of a JSON text, with int or float as numbers; raises Unusable if it is nested too deeply.

    A value outside the requested place renews the budget when it ends, so it may be of any size.
    """
    asked, depth = len(prefix.split(".")), 0
    for event, value in events:
        if event in ("start_map", "start_array"):
            depth += 1
            if depth > MAX_DEPTH:
                raise Unusable(f"Its JSON is nested deeper than {MAX_DEPTH}, as no export's is.")
        elif event in ("end_map", "end_array"):
            depth -= 1
            if depth <= asked:
                budget.renew()
        yield event, float(value) if isinstance(value, Decimal) else value


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
        files: Mapping[str, zipfile.ZipInfo | None],
        doubles: Sequence[str] = (),
        archive: zipfile.ZipFile | None = None,
        allowance: Allowance | None = None,
    ) -> None:
        self.path = path
        self.names = tuple(sorted(files.keys() - set(doubles)))
        self.doubles = tuple(doubles)
        self.files = files
        self.archive = archive
        self.loose = archive is None
        self.tally = tally
        self.allowance = allowance or Allowance()
        self.plan(self.names)

    def packed_size(self, name: str) -> int:
        info = self.files[name]
        return self.path.stat().st_size if info is None else info.compress_size

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
                return tuple(_csv.columns(_csv.Lines(_csv.split(text, _csv.LONGEST)), name))
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
        if info is None or self.archive is None:
            with self.path.open("rb") as file:
                yield Text(Member(name, Counted(file, self.tally), self.tally, self.allowance))
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
            yield Text(Member(name, opened, self.tally, self.allowance))


ALONE = "Import it by itself if it is the one that counts."
DOWNLOAD = "Download the export again if you can, and import that; what was read is kept."


def brief(error: Exception) -> str:
    return str(error).splitlines()[0][:100] if str(error) else type(error).__name__


@contextmanager
def open_bundle(path: Path, allowance: Allowance | None = None) -> Iterator[Bundle]:
    """Open an export, a zip or one of its files; raises Unusable for anything else."""
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
                yield Bundle(path, tally, *list_entries(path, archive), archive, allowance)
            return
    if not texty(first):
        raise Unusable(f"{path} is neither a zip nor a text file: it is no export that can be read.")
    yield Bundle(path, tally, {path.name: None}, allowance=allowance)


def texty(first: bytes) -> bool:
    return first.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) or b"\0" not in first


def opened_zip(path: Path, counted: Counted) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(counted)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise Unusable(
            f"{path} is a zip, but cut off or damaged. Download or copy it again and import that."
        ) from error


def list_entries(path: Path, archive: zipfile.ZipFile) -> tuple[dict[str, zipfile.ZipInfo | None], list[str]]:
    """The readable files by name, and the paths of those whose name is taken."""
    entries = archive.infolist()
    if len(entries) > MAX_ENTRIES:
        raise Unusable(f"{path} holds {len(entries)} files, more than any export: it was not read.")
    wanted = [(parts, info) for info in entries if (parts := visible(info)) is not None]
    files: dict[str, zipfile.ZipInfo | None] = {}
    doubles = []
    for parts, info in sorted(wanted, key=lambda found: (len(found[0]), found[0])):
        name = parts[-1]
        if name in files:
            name = free("/".join(parts), files)
            doubles.append(name)
        files[name] = info
    if not files:
        raise Unusable(f"{path} holds no file that can be read (csv, json, jsonl or txt).")
    if any(info is not None and info.flag_bits & 1 for info in files.values()):
        raise Unusable(
            f"{path} is protected by a password. Unpack it with the password, and import a zip without one, "
            "or its files one by one."
        )
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
    if info.is_dir() or not parts or not info.filename.isprintable():
        return None
    if any(part.startswith(".") or part == "__MACOSX" for part in parts):
        return None
    return parts if PurePosixPath(parts[-1]).suffix.lower() in EXTENSIONS else None


# --- dates


class NoDate(ValueError):
    """A text that is not a possible date of a viewing; the message is for the person."""


MOMENT = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?( ?(Z|UTC|[+-]\d\d:?\d\d))?)?", re.ASCII)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
SECOND, MILLISECOND, MICROSECOND = timedelta(seconds=1), timedelta(milliseconds=1), timedelta(microseconds=1)


def moment(text: str, unit: timedelta | None = None) -> datetime:
    """Parse a date in UTC, which is assumed without an offset.

    `unit` is for a column that counts since 1970 (SECOND, MILLISECOND, MICROSECOND). Raises NoDate for
    anything else, for dates before 1900 (services write the year 1 for "unknown"), and for dates more than a
    day in the future.
    """
    text = text.strip()
    try:
        found = EPOCH + float(text) * unit if unit is not None else parse_moment(text)
    except (ValueError, OverflowError) as error:
        raise NoDate(f"“{text[:40]}” is no date") from error
    if found < EARLIEST:
        raise NoDate(f"{text[:40]} stands for an unknown date")
    if found > clock.now() + timedelta(days=1):
        raise NoDate(f"{text[:40]} lies in the future")
    return found


def parse_moment(text: str) -> datetime:
    if not MOMENT.fullmatch(text):
        raise ValueError(text)
    found = datetime.fromisoformat(text.replace(" UTC", "Z").replace(" +", "+").replace(" -", "-"))
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
