"""Uploads by a form: fields are read into memory, the file is streamed to disk."""

from __future__ import annotations

import asyncio
import secrets
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from webhook.transfer.import_feeds import digest_of
from webhook.transfer.import_queue import remove_path
from webhook.transfer.limits import Upload
from webhook.web.http.errors import Problem
from webhook.web.transfer.upload import CLOSE, NAME, Received, guess_name, pieces

FIELD = 4096
MAX_FIELDS = 20
MAX_FILES = 1000


@dataclass(slots=True)
class Form:
    """A form being received: small fields in memory, the files' data in `waiting`, each piece with its file."""

    fields: dict[str, str] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    waiting: list[tuple[int, bytes]] = field(default_factory=list)
    header: tuple[bytearray, bytearray] = field(default_factory=lambda: (bytearray(), bytearray()))
    headers: dict[str, bytes] = field(default_factory=dict)
    part: str = ""
    value: bytearray = field(default_factory=bytearray)
    in_file: bool = False

    def begin(self) -> None:
        self.headers, self.value, self.part, self.in_file = {}, bytearray(), "", False

    def header_name(self, data: bytes, start: int, end: int) -> None:
        self.header[0].extend(data[start:end])

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self.header[1].extend(data[start:end])

    def header_end(self) -> None:
        name, value = (bytes(one) for one in self.header)
        self.headers[name.decode("latin-1").lower()] = value
        self.header[0].clear()
        self.header[1].clear()

    def headers_end(self) -> None:
        _, options = parse_options_header(self.headers.get("content-disposition", b""))
        self.part = options.get(b"name", b"").decode("utf-8", "replace")[:FIELD]
        self.in_file = b"filename" in options
        if self.in_file:
            self.names.append(options[b"filename"].decode("utf-8", "replace"))
            if len(self.names) > MAX_FILES:
                raise Problem(413, f"More than {MAX_FILES:,} files are not taken at a time.", CLOSE)
        elif len(self.fields) >= MAX_FIELDS:
            raise Problem(400, "The form has too many fields.", CLOSE)

    def data(self, data: bytes, start: int, end: int) -> None:
        if self.in_file:
            self.waiting.append((len(self.names) - 1, data[start:end]))
        elif len(self.value) + end - start > FIELD:
            raise Problem(400, "A field of the form is too long.", CLOSE)
        else:
            self.value += data[start:end]

    def end(self) -> None:
        if not self.in_file:
            self.fields.setdefault(self.part, self.value.decode("utf-8", "replace"))

    def parser(self, boundary: bytes) -> MultipartParser:
        return MultipartParser(
            boundary,
            {
                "on_part_begin": self.begin,
                "on_header_field": self.header_name,
                "on_header_value": self.header_value,
                "on_header_end": self.header_end,
                "on_headers_finished": self.headers_end,
                "on_part_data": self.data,
                "on_part_end": self.end,
            },
        )


async def receive_form(request: Request, folder: Path, upload: Upload) -> tuple[dict[str, str], Received]:
    """Receive the fields and the files of a form, several as a folder; raises Problem and leaves nothing behind."""
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data" or b"boundary" not in options:
        raise Problem(415, "Choose a file first.", CLOSE)
    own = folder / f"receiving-{secrets.token_hex(8)}"
    try:
        await asyncio.to_thread(own.mkdir, 0o700)
        form = Form()
        sizes, first = await _store_files(request, form, form.parser(options[b"boundary"]), own, upload)
        if not any(sizes.values()):
            raise Problem(422, "Choose a file first; the form has none, or an empty one.")
        path = await asyncio.to_thread(_name_files, own, form.names, sizes, first)
        digest = await asyncio.to_thread(digest_of, path)
    except OSError as error:
        await asyncio.to_thread(remove_path, own)
        why = f"The file can't be stored: {error.strerror}. Nothing was imported; free some space and send it again."
        raise Problem(507, why, CLOSE) from error
    except FormParserError as error:
        await asyncio.to_thread(remove_path, own)
        raise Problem(
            400, "The form did not arrive completely. Nothing was imported; send it again.", CLOSE
        ) from error
    except BaseException:
        await asyncio.to_thread(remove_path, own)
        raise
    return form.fields, Received(folder=own, path=path, digest=digest)


async def _store_files(
    request: Request, form: Form, parser: MultipartParser, own: Path, upload: Upload
) -> tuple[dict[int, int], bytes]:
    """Write the files' data, each to a file called by its number; returns their sizes and the first bytes of the first."""
    sizes: dict[int, int] = defaultdict(int)
    first = b""
    async for piece in pieces(request):
        await asyncio.to_thread(parser.write, piece)
        waiting, form.waiting = form.waiting, []
        for number, data in waiting:
            await asyncio.to_thread(upload.add, len(data))
            first = first if sizes and sizes[min(sizes)] else data[:64]
            sizes[number] += len(data)
        await asyncio.to_thread(_append, own, waiting)
    parser.finalize()
    return sizes, first


def _append(own: Path, waiting: list[tuple[int, bytes]]) -> None:
    for number, data in waiting:
        with (own / str(number)).open("ab") as file:
            file.write(data)


def _name_files(own: Path, names: list[str], sizes: Mapping[int, int], first: bytes) -> Path:
    """The one file under its own name, or a folder with the several; of two with one name one is in a folder below."""
    there = [number for number, size in sizes.items() if size]
    if len(there) == 1:
        path = own / (file_name(names[there[0]]) or guess_name(first))
        # Its number may be the name that it is to have.
        (own / str(there[0])).replace(own / ".received")
        return (own / ".received").replace(path)
    folder = own / f"{len(there)} files"
    folder.mkdir(0o700)
    for number in there:
        path = folder / (file_name(names[number]) or f"{number}.csv")
        if path.exists():
            (folder / str(number)).mkdir(0o700)
            path = folder / str(number) / path.name
        (own / str(number)).replace(path)
    return folder


def file_name(given: str | None) -> str | None:
    """The file's name, if it is valid here."""
    name = PurePosixPath((given or "").replace("\\", "/")).name
    return name if name and name != ".." and len(name.encode()) <= NAME and name.isprintable() else None
