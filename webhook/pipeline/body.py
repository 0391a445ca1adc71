"""The body: from a request's bytes to the JSON in it, bounded, without trusting what the sender claims.

What cannot be located in it is returned as it came, with the reason: a media server sends a webhook only once.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from urllib.parse import parse_qsl

import orjson
from python_multipart.multipart import parse_options_header

SNIFFED = 64 * 1024
"""Bytes read before the form of the body is detected."""

MAX_REQUEST_BYTES = 32 * 1024 * 1024
"""The maximum size of a request's body, including thumbnails."""

MAX_PICTURE_SIZE = 256 * 1024
"""The maximum size of a picture beside the JSON; a larger one is not held in memory."""

MAX_PARTS = 16
MAX_PART_HEAD = 8 * 1024
MAX_FIELDS = 1000
BOM = b"\xef\xbb\xbf"
BOUNDARY = re.compile(rb'boundary=(?:"([^"]{1,200})"|([^;\s]{1,200}))', re.IGNORECASE)
FIRST_LINE = re.compile(rb"\s{0,16}--([^\r\n]{1,200})\r?\n")
PART_HEAD = re.compile(rb"\s{0,16}--[^\r\n]{1,200}\r?\ncontent-(?:disposition|type):", re.IGNORECASE)
DISPOSITION = re.compile(rb"^content-disposition:([^\r\n]+)", re.IGNORECASE | re.MULTILINE)

EMPTY = "The body is empty. A media server sends JSON here; was this a test of the address?"
CUT_OFF = "The body ended in the middle of its JSON; it did not arrive whole."


class Refused(Exception):
    """A refused request; `status` is the reply's, the message says why and what to do."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.why = why


class Cut(Exception):
    """The body ended early; the message says why."""


@dataclass(frozen=True, slots=True)
class Form:
    """A source's form encoding: the fields that may hold the JSON, or the form itself as the payload, and the picture's."""

    fields: Collection[str]
    is_payload: bool = False
    picture: str | None = None


@dataclass(frozen=True, slots=True)
class Payload:
    """The raw JSON of a webhook; or the body as received, and the reason why no JSON was found in it."""

    raw: bytes
    fault: str | None = None
    cut: str | None = None
    """The reason why the body ended early, or None."""
    picture: bytes | None = None
    """The picture that came with it, not looked at."""


class Stream:
    """A body being received; `cut` is the reason why it ended early."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self.chunks = chunks
        self.cut: str | None = None

    async def next(self) -> bytes:
        """The next bytes; empty at the end."""
        try:
            return await anext(self.chunks, b"")
        except Cut as cut:
            self.cut = str(cut)
            return b""

    async def read(self, most: int) -> bytes:
        """The whole body, or slightly more than this many bytes of it."""
        body = bytearray()
        while len(body) <= most and (chunk := await self.next()):
            body += chunk
        return bytes(body)


async def locate(
    chunks: AsyncIterator[bytes], content_type: bytes, length: int | None, form: Form, limit: int
) -> Payload:
    """Find the JSON in a body; raises Refused if the body is empty or too large."""
    kind = content_type.split(b";", 1)[0].strip().lower()
    is_multipart = kind == b"multipart/form-data"
    if length is not None and length > limit and not is_multipart:
        raise too_large(limit)
    stream = Stream(chunks)
    begun = await stream.read(SNIFFED)
    if not begun:
        raise Refused(408 if stream.cut else 400, stream.cut or EMPTY)
    if not looks_like_json(begun) and (is_multipart or PART_HEAD.match(begun)):
        return await locate_part(begun, stream, content_type, form, limit)
    body = begun + await stream.read(limit - len(begun))
    if len(body) > limit:
        raise too_large(limit)
    return Payload(*unwrap(body, kind, form, stream.cut), cut=stream.cut)


def unwrap(body: bytes, kind: bytes, form: Form, cut: str | None) -> tuple[bytes, str | None]:
    """The JSON of a body, or the body as received and the reason why there is none in it."""
    if not body.strip():
        return body, EMPTY
    if looks_like_json(body):
        return body.removeprefix(BOM), None
    if kind == b"application/x-www-form-urlencoded" or is_form(body, form):
        return decode_form(body, form, cut)
    return body, None


def looks_like_json(body: bytes) -> bool:
    return body.removeprefix(BOM).lstrip()[:1] in (b"{", b"[")


def too_large(limit: int) -> Refused:
    return Refused(413, f"The JSON is larger than {limit} bytes (MAX_BODY_BYTES). It was not kept.")


# --- forms


def is_form(body: bytes, form: Form) -> bool:
    return any(body.startswith(name.encode() + b"=") for name in form.fields)


def decode_form(body: bytes, form: Form, cut: str | None) -> tuple[bytes, str | None]:
    """The JSON in one of the form's fields, or the form's fields as JSON."""
    name, _, value = body.partition(b"=")
    if name.decode("latin-1") in form.fields and is_bare_json(value):
        return value, None
    try:
        # Read as latin-1, so that every byte comes out as it went in.
        pairs = parse_qsl(
            body.decode("latin-1"), keep_blank_values=True, max_num_fields=MAX_FIELDS, encoding="latin-1"
        )
    except ValueError:
        return body, f"The form has more than {MAX_FIELDS} fields."
    values = {name.encode("latin-1"): value.encode("latin-1") for name, value in pairs}
    for wanted in form.fields:
        if values.get(wanted.encode(), b"").strip():
            return values[wanted.encode()], None
    if form.is_payload and values:
        return orjson.dumps({as_text(name): as_text(value) for name, value in values.items()}), cut
    return body, missing_field(form)


def as_text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def is_bare_json(value: bytes) -> bool:
    """True for JSON sent as a form without URL encoding, whose & and + are literal."""
    if not value.startswith(b"{"):
        return False
    try:
        orjson.loads(value)
    except orjson.JSONDecodeError:
        return False
    return True


def missing_field(form: Form) -> str:
    names = " or ".join(f'"{name}"' for name in form.fields)
    return f"The form has no field {names}, which is where this source sends its JSON."


# --- multipart


async def locate_part(begun: bytes, stream: Stream, content_type: bytes, form: Form, limit: int) -> Payload:
    """Find the JSON part of a multipart body while it is received; other parts are not held in memory."""
    boundary = boundary_of(begun, content_type)
    kept = bytearray(begun[:limit])
    if boundary is None:
        kept += await stream.read(limit - len(kept))
        if len(kept) > limit:
            raise too_large(limit)
        why = "The body is said to be multipart, and neither names its boundary nor begins with one."
        return Payload(bytes(kept), why, stream.cut)
    scanner = Scanner(boundary, form, limit)
    size, chunk = 0, begun
    while chunk:
        scanner.feed(chunk)
        size += len(chunk)
        if size > MAX_REQUEST_BYTES and scanner.found is not None:
            break
        if size > MAX_REQUEST_BYTES:
            raise Refused(413, f"The request is larger than {MAX_REQUEST_BYTES} bytes. It was not kept.")
        chunk = await stream.next()
        if not scanner.is_complete() and len(kept) < limit:
            kept += chunk[: limit - len(kept)]
    found = scanner.payload()
    if found is None or not found.strip():
        return Payload(bytes(kept), scanner.fault or missing_field(form), stream.cut)
    cut = None if scanner.found else stream.cut or CUT_OFF
    return Payload(found.removeprefix(BOM), cut=cut, picture=scanner.picture)


def boundary_of(begun: bytes, content_type: bytes) -> bytes | None:
    """The multipart boundary named by the content type if the body uses it, else the body's first line."""
    named = BOUNDARY.search(content_type)
    if named is not None and b"--" + (named[1] or named[2]) in begun:
        return named[1] or named[2]
    first = FIRST_LINE.match(begun)
    return first[1].rstrip() if first else None


class Scanner:
    """Finds the part of a multipart body that holds the JSON, with line ends of either kind, and a small picture beside it."""

    def __init__(self, boundary: bytes, form: Form, limit: int) -> None:
        self.delimiter = b"--" + boundary
        self.form = form
        self.limit = limit
        self.found: bytes | None = None
        self.fault: str | None = None
        self.picture: bytes | None = None
        self.buffer = bytearray()
        self.parts = 0
        self.in_head = False
        self.wanted = False
        self.in_picture = False
        self.looked = 0  # the buffer has been searched up to here
        self.ended = False

    def is_complete(self) -> bool:
        """True once the rest of the body does not matter for the JSON."""
        return self.found is not None or self.fault is not None or self.ended

    def needs_more(self) -> bool:
        """True until the JSON is found, and the picture beside it."""
        seeks_picture = self.form.picture is not None and self.picture is None
        return not self.is_complete() or (seeks_picture and self.fault is None and not self.ended)

    def feed(self, chunk: bytes) -> None:
        if not self.needs_more():
            return
        self.buffer += chunk
        while self.needs_more() and (self.read_head() if self.in_head else self.read_part()):
            pass

    def payload(self) -> bytes | None:
        """The JSON part, or as much of it as arrived if the body ended early."""
        if self.is_complete() or not self.wanted:
            return self.found
        content, _, line = bytes(self.buffer).rpartition(b"\n")
        broken_delimiter = self.delimiter.startswith(line) or line.startswith(self.delimiter)
        return content if broken_delimiter else bytes(self.buffer)

    def read_part(self) -> bool:
        """Advance to the next part's head; returns False if more data is needed."""
        at = self.next_delimiter()
        if at is None:
            self.hold_back()
            return False
        end = self.buffer.find(b"\n", at)
        closing = self.buffer.startswith(b"--", at + len(self.delimiter))
        if end < 0 and not closing:
            self.looked = max(at - 1, self.looked)
            if len(self.buffer) - at > MAX_PART_HEAD:
                self.fault = "The multipart body has a boundary in a line that does not end."
            return False
        if self.wanted:
            self.take(bytes(self.buffer[:at]).removesuffix(b"\n").removesuffix(b"\r"))
        elif self.in_picture:
            self.picture = bytes(self.buffer[:at]).removesuffix(b"\n").removesuffix(b"\r")
        self.ended = closing
        self.begin_part(end + 1)
        return True

    def take(self, found: bytes) -> None:
        if len(found) > self.limit:
            raise too_large(self.limit)
        self.found = found

    def next_delimiter(self) -> int | None:
        """The index of the next delimiter at the start of a line, or None."""
        at = self.buffer.find(self.delimiter, self.looked)
        while at > 0 and self.buffer[at - 1 : at] != b"\n":
            at = self.buffer.find(self.delimiter, at + 1)
        return at if at >= 0 else None

    def hold_back(self) -> None:
        """Discard unneeded data, except what may be the beginning of a delimiter."""
        tail = len(self.delimiter) + 2
        if self.wanted and len(self.buffer) > self.limit + tail:
            raise too_large(self.limit)
        self.looked = max(len(self.buffer) - tail, self.looked)
        self.in_picture = self.in_picture and len(self.buffer) <= MAX_PICTURE_SIZE + tail
        if not self.wanted and not self.in_picture and len(self.buffer) > tail:
            del self.buffer[:-tail]
            self.looked = 1  # the rest does not start at a line

    def begin_part(self, at: int) -> None:
        del self.buffer[:at]
        self.looked, self.in_head, self.wanted = 0, True, False
        self.parts += 1
        self.in_picture = False
        if self.parts > MAX_PARTS and self.needs_more():
            self.fault = f"The multipart body has more than {MAX_PARTS} parts."

    def read_head(self) -> bool:
        """Advance to the part's content; returns False if more data is needed."""
        found = HEAD_END.search(self.buffer)
        if found is None:
            if len(self.buffer) > MAX_PART_HEAD:
                self.fault = f"A part of the multipart body has a head of more than {MAX_PART_HEAD} bytes."
            return False
        name = name_of(bytes(self.buffer[: found.start()]))
        self.wanted = self.found is None and name in self.form.fields
        self.in_picture = name is not None and name == self.form.picture
        del self.buffer[: found.end()]
        self.looked, self.in_head = 0, False
        return True


HEAD_END = re.compile(rb"(?:\A|\r?\n)\r?\n")


def name_of(head: bytes) -> str | None:
    disposition = DISPOSITION.search(head)
    if disposition is None:
        return None
    _, options = parse_options_header(disposition[1].strip())
    return options.get(b"name", b"").decode("latin-1")
