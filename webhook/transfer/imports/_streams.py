"""Streams of an export file: bounded in bytes, rows and depth, whatever the file claims to be."""

from __future__ import annotations

import io
import time
import zipfile
import zlib
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE, getincrementaldecoder
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import IO, Any, Protocol

from webhook.transfer.imports._csv import Row as Row
from webhook.transfer.limits import ON_THE_MACHINE
from webhook.transfer.records import Unusable

MAX_DIRECTORY = 32 << 20
MAX_FILE = 4 << 30


MAX_RATIO = 200


RATIO_FROM = 50 << 20


MAX_LINE = 4 << 20


MAX_ITEM = 16 << 20


MAX_DEPTH = 64


CHUNK = 64 << 10


class Readable(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


class Damaged(Unusable):
    """A file inside is truncated or has a wrong checksum."""


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
