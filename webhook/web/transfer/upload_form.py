"""Uploads by a form: fields are read into memory, the file is streamed to disk."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from webhook.transfer.import_queue import remove_path
from webhook.transfer.limits import Upload
from webhook.web.http.errors import Problem
from webhook.web.transfer.upload import CLOSE, NAME, Received, guess_name, pieces

FIELD = 4096
MAX_FIELDS = 20


@dataclass(slots=True)
class Form:
    """A form being received: small fields in memory, the file's data in `waiting`."""

    fields: dict[str, str] = field(default_factory=dict)
    file_name: str | None = None
    waiting: bytearray = field(default_factory=bytearray)
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
            self.file_name = options[b"filename"].decode("utf-8", "replace")
        elif len(self.fields) >= MAX_FIELDS:
            raise Problem(400, "The form has too many fields.", CLOSE)

    def data(self, data: bytes, start: int, end: int) -> None:
        if self.in_file:
            self.waiting += data[start:end]
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
    """Receive the fields and the one file of a form; raises Problem and leaves nothing behind."""
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data" or b"boundary" not in options:
        raise Problem(415, "Choose a file first.", CLOSE)
    own = folder / f"receiving-{secrets.token_hex(8)}"
    try:
        await asyncio.to_thread(own.mkdir, 0o700)
        form = Form()
        with await asyncio.to_thread((own / "file").open, "xb") as file:
            digest, first = await _store_file(request, form, form.parser(options[b"boundary"]), file, upload)
        if not first:
            raise Problem(422, "Choose a file first; the form has none, or an empty one.")
        path = own / (file_name(form.file_name) or guess_name(first))
        await asyncio.to_thread((own / "file").replace, path)
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


async def _store_file(
    request: Request, form: Form, parser: MultipartParser, file: IO[bytes], upload: Upload
) -> tuple[str, bytes]:
    """Write the file's data; returns its SHA-256 and its first bytes."""
    digest, first = hashlib.sha256(), b""
    async for piece in pieces(request):
        await asyncio.to_thread(parser.write, piece)
        waiting = bytes(form.waiting)
        form.waiting.clear()
        await asyncio.to_thread(upload.add, len(waiting))
        first = first or waiting[:64]
        await asyncio.to_thread(digest.update, waiting)
        await asyncio.to_thread(file.write, waiting)
    parser.finalize()
    return digest.hexdigest(), first


def file_name(given: str | None) -> str | None:
    """The file's name, if it is valid here."""
    name = PurePosixPath((given or "").replace("\\", "/")).name
    return name if name and name != ".." and len(name.encode()) <= NAME and name.isprintable() else None
