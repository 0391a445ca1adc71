"""Output of exports: CSV lines, pieces of a size, spooled JSON, and a streamed zip. Pure."""

from __future__ import annotations

import csv
import io
import tempfile
import zipfile
from array import array
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any

import orjson

from webhook.transfer.formulas import guard

PIECE = 64 * 1024

Cell = str | int | float | None


class Table:
    """Writes rows as CSV lines in UTF-8, with formulas guarded."""

    def __init__(self, *, end: str = "\n", quote_all: bool = False) -> None:
        self.text = io.StringIO()
        quoting: Any = csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL
        self.writer = csv.writer(self.text, lineterminator=end, quoting=quoting)

    def line(self, cells: Sequence[Cell]) -> bytes:
        """One line; None is an empty cell. A carriage return becomes a space, since readers differ on it."""
        self.writer.writerow(
            [guard(cell.replace("\r", " ")) if isinstance(cell, str) else cell for cell in cells]
        )
        written = self.text.getvalue()
        self.text.seek(0)
        self.text.truncate()
        return written.encode("utf-8", "replace")


def join_pieces(pieces: Iterable[bytes], size: int = PIECE) -> Iterator[bytes]:
    """The same bytes in pieces of about this size."""
    held = bytearray()
    for piece in pieces:
        held += piece
        if len(held) >= size:
            yield bytes(held)
            held.clear()
    if held:
        yield bytes(held)


def json_array(entries: Iterable[Any], indent: bytes = b"") -> Iterator[bytes]:
    """A JSON array, an entry a line."""
    separator = b"[\n"
    for entry in entries:
        yield separator + indent + orjson.dumps(entry)
        separator = b",\n"
    yield b"[]" if separator == b"[\n" else b"\n]"


class Spool:
    """JSON values spooled by group to a temporary file; each costs eight bytes of memory."""

    def __init__(self) -> None:
        self.file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__
        self.groups: dict[int, array[int]] = {}

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.file.close()

    def append(self, group: int, value: Any) -> None:
        place = self.file.seek(0, io.SEEK_END)
        self.file.write(orjson.dumps(value) + b"\n")
        self.groups.setdefault(group, array("Q")).append(place)

    def values(self, group: int) -> Iterator[Any]:
        """The values of a group, in the order in which they were added."""
        for place in self.groups[group]:
            self.file.seek(place)
            yield orjson.loads(self.file.readline())


class Pipe(io.RawIOBase):
    """A byte stream whose written bytes can be taken out, once and in order."""

    def __init__(self) -> None:
        self.held = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self.held += data
        return len(data)

    def take(self) -> bytes:
        taken = bytes(self.held)
        self.held.clear()
        return taken


def zip_stream(files: Iterable[tuple[str, Iterable[bytes]]]) -> Iterator[bytes]:
    """A streamed zip of these files, all with the same date, so that the same files make the same zip."""
    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w") as archive:
        for name, content in files:
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            with archive.open(info, "w", force_zip64=True) as entry:
                for piece in content:
                    entry.write(piece)
                    if len(pipe.held) >= PIECE:
                        yield pipe.take()
    yield pipe.take()
