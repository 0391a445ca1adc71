"""The body: from a request's bytes to the JSON in it, bounded, without trusting what the sender claims.

The usual webhook is small and arrives whole: its JSON part is found by the boundary. Anything else
goes through python-multipart as it streams, so that a thumbnail is skipped and never buffered.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

import orjson
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

SMALL = 256 * 1024
"""A multipart body up to this size is read whole before its JSON is looked for."""

LARGEST = 32 * 1024 * 1024
"""The most that is read of one request, thumbnails included."""

MAX_PARTS = 16
MAX_FIELDS = 1000
BOM = b"\xef\xbb\xbf"
BOUNDARY = re.compile(rb'boundary=(?:"([^"]{1,200})"|([^;\s]{1,200}))', re.IGNORECASE)
NAME = re.compile(rb'[;\s]name="?([^";\r\n]+)"?', re.IGNORECASE)


class Refused(Exception):
    """The request is not taken. `status` is the answer; the message says why and what to do."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.why = why


@dataclass(frozen=True, slots=True)
class Form:
    """How a source wraps its JSON: the form fields that may hold it, or the form itself is it."""

    fields: Collection[str]
    is_payload: bool = False


async def payload(
    chunks: AsyncIterator[bytes], content_type: bytes, length: int | None, form: Form, limit: int
) -> bytes:
    """The JSON as it was sent, not yet read. Raises Refused."""
    kind = content_type.split(b";", 1)[0].strip().lower()
    if kind == b"multipart/form-data":
        return await multipart(chunks, content_type, length, form, limit)
    if length is not None and length > limit:
        raise too_large(limit)
    body = await whole(chunks, limit)
    if not body.strip():
        raise Refused(
            400, "The body is empty. A media server sends JSON here; was this a test of the address?"
        )
    if kind == b"application/x-www-form-urlencoded" and body.lstrip()[:1] != b"{":
        return urlencoded(body, form)
    if looks_like_json(body) or kind in (b"application/json", b"text/plain", b""):
        return body.removeprefix(BOM)
    shown = kind.decode("latin-1", "replace")[:80]
    raise Refused(415, f"The content type {shown} is not one a media server sends; send JSON.")


def looks_like_json(body: bytes) -> bool:
    return body.removeprefix(BOM).lstrip()[:1] in (b"{", b"[")


def too_large(limit: int) -> Refused:
    return Refused(413, f"The JSON is larger than {limit} bytes (MAX_BODY_BYTES).")


async def whole(chunks: AsyncIterator[bytes], limit: int) -> bytes:
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > limit:
            raise too_large(limit)
    return bytes(body)


def urlencoded(body: bytes, form: Form) -> bytes:
    """The JSON in one of the form's fields, or the form's fields as JSON."""
    try:
        pairs = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise Refused(400, f"The form has more than {MAX_FIELDS} fields.") from error
    values = dict(pairs)
    for name in form.fields:
        if values.get(name, "").strip():
            return values[name].encode("utf-8", "replace")
    if form.is_payload and values:
        return orjson.dumps(values)
    raise missing(form)


def missing(form: Form) -> Refused:
    names = " or ".join(f'"{name}"' for name in form.fields)
    return Refused(400, f"The form has no field {names}, which is where this source sends its JSON.")


# --- multipart


async def multipart(
    chunks: AsyncIterator[bytes], content_type: bytes, length: int | None, form: Form, limit: int
) -> bytes:
    found = BOUNDARY.search(content_type)
    if found is None:
        raise Refused(400, "The multipart body names no boundary.")
    boundary = found.group(1) or found.group(2)
    if length is not None and length > LARGEST:
        raise Refused(413, f"The request is larger than {LARGEST} bytes.")
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > SMALL:
            return await streamed(bytes(body), chunks, boundary, form, limit)
    if not body:
        raise Refused(
            400, "The body is empty. A media server sends JSON here; was this a test of the address?"
        )
    quick = by_boundary(bytes(body), boundary, form)
    return quick if quick is not None else await streamed(bytes(body), chunks, boundary, form, limit)


def by_boundary(body: bytes, boundary: bytes, form: Form) -> bytes | None:
    """The JSON part of a body that is whole and plain, found by its boundary; None: look properly."""
    delimiter = b"--" + boundary
    at = 0
    for _ in range(MAX_PARTS):
        if not body.startswith(delimiter + b"\r\n", at):
            return None
        head_end = body.find(b"\r\n\r\n", at)
        if head_end < 0 or head_end - at > 4096:
            return None
        end = body.find(b"\r\n" + delimiter, head_end + 2)
        if end < 0:
            return None
        name = NAME.search(body, at, head_end)
        if name and name.group(1).decode("latin-1") in form.fields:
            return body[head_end + 4 : end].removeprefix(BOM)
        at = end + 2
    return None


async def streamed(
    begun: bytes, chunks: AsyncIterator[bytes], boundary: bytes, form: Form, limit: int
) -> bytes:
    """The JSON part of a body that goes on coming, or that is oddly put together."""
    parts = Parts(form, limit)
    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": parts.begin,
                "on_header_field": parts.header_field,
                "on_header_value": parts.header_value,
                "on_header_end": parts.header_end,
                "on_headers_finished": parts.headers_finished,
                "on_part_data": parts.data,
                "on_part_end": parts.end,
            },
        )
        size = len(begun)
        parser.write(begun)
        async for chunk in chunks:
            size += len(chunk)
            if size > LARGEST:
                raise Refused(413, f"The request is larger than {LARGEST} bytes.")
            parser.write(chunk)
    except MultipartParseError as error:
        raise Refused(400, f"The multipart body cannot be read: {error}.") from error
    return parts.payload()


@dataclass(slots=True)
class Parts:
    """Keeps the part that holds the JSON and lets the others pass by."""

    form: Form
    limit: int
    found: bytes | None = None
    count: int = 0
    wanted: bool = False
    open: bool = False
    header: bytearray = field(default_factory=bytearray)
    value: bytearray = field(default_factory=bytearray)
    name: str | None = None
    kept: bytearray = field(default_factory=bytearray)

    def begin(self) -> None:
        self.count += 1
        if self.count > MAX_PARTS:
            raise Refused(400, f"The multipart body has more than {MAX_PARTS} parts.")
        self.name, self.wanted, self.open = None, False, True
        self.kept = bytearray()

    def header_field(self, data: bytes, start: int, end: int) -> None:
        self.header += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self.value += data[start:end]

    def header_end(self) -> None:
        if bytes(self.header).lower() == b"content-disposition":
            _, options = parse_options_header(bytes(self.value))
            self.name = options.get(b"name", b"").decode("latin-1")
        self.header, self.value = bytearray(), bytearray()

    def headers_finished(self) -> None:
        self.wanted = self.name in self.form.fields and self.found is None

    def data(self, data: bytes, start: int, end: int) -> None:
        if not self.wanted:
            return
        self.kept += data[start:end]
        if len(self.kept) > self.limit:
            raise too_large(self.limit)

    def end(self) -> None:
        self.open = False
        if self.wanted:
            self.found = bytes(self.kept)

    def payload(self) -> bytes:
        if self.found is None and self.open and self.wanted:
            raise Refused(400, "The body ended in the middle of its JSON; it did not arrive whole.")
        if self.found is None:
            raise missing(self.form)
        return self.found.removeprefix(BOM)
