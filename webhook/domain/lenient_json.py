"""Lenient JSON: parsed strictly, else with repairs that are unambiguous.

A webhook is stored as it came and repaired each time it is parsed, so that a replay profits from a better repair.
"""

from __future__ import annotations

import codecs
import html
import json
import math
import re
from typing import Any, NoReturn

import orjson

from webhook.domain.event import Unreadable

BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # begins like the one of UTF-16
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# A JSON text begins with two ASCII characters, so its first zeros tell the encoding (RFC 4627, section 3).
ZEROS = (
    (re.compile(rb"[^\0]\0\0\0"), "utf-32-le"),
    (re.compile(rb"\0\0\0[^\0]"), "utf-32-be"),
    (re.compile(rb"[^\0]\0[^\0]\0"), "utf-16-le"),
    (re.compile(rb"\0[^\0]\0[^\0]"), "utf-16-be"),
)
CHARSET = re.compile(r"charset\s*=\s*\"?([\w.:-]{1,40})", re.IGNORECASE)
# Only these: a codec that the sender may name freely can cost minutes.
CHARSETS = {
    "iso-8859-1": "latin-1",
    "latin1": "latin-1",
    "latin-1": "latin-1",
    "windows-1252": "cp1252",
    "cp1252": "cp1252",
}
QUOTE = r"&(?:quot|QUOT|#0*34|#[xX]0*22);"
ESCAPED_QUOTE = re.compile(rf"\\{QUOTE}")
ESCAPED_WHOLE = re.compile(rf"\s*\{{\s*{QUOTE}")
SURROGATE = re.compile("[\ud800-\udfff]")
LONGEST_INTEGER = 19
"""Digits of an integer; a longer one becomes a float, as orjson has it."""


def loads(raw: bytes, content_type: str | None = None) -> dict[str, Any]:
    """Parse the JSON object in a webhook's body; raises Unreadable with the reason."""
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        value = repair(raw, content_type)
    if not isinstance(value, dict):
        raise Unreadable(f"The JSON is a {type(value).__name__}, not an object.")
    return value


def readable_text(raw: bytes, content_type: str | None = None) -> str:
    """A body as text for people, with undecodable bytes replaced."""
    body, encoding = detect_encoding(raw, content_type)
    return body.decode(encoding, "replace")


def repair(raw: bytes, content_type: str | None) -> Any:
    """Parse a body that is not strict JSON; raises Unreadable."""
    wrong: Exception | None = None
    for candidate in candidates(decode(raw, content_type)):
        try:
            return mend_characters(PARSER.decode(candidate))
        except ValueError as error:
            wrong = error
        except RecursionError as error:
            raise Unreadable("The JSON is nested too deeply.") from error
    raise Unreadable(f"The body is not JSON: {wrong}.{hint(raw)}") from wrong


def hint(raw: bytes) -> str:
    if b'": ,' in raw or b'":,' in raw:
        return " A template puts quotes around every value, also around numbers."
    return ""


def candidates(body: str) -> list[str]:
    """The text, and the text before a template escaped its quotes for HTML."""
    body = body.strip().rstrip("\0")
    if ESCAPED_WHOLE.match(body):
        return [html.unescape(body)]
    requoted = ESCAPED_QUOTE.sub(r'\\"', body)
    return [body] if requoted == body else [body, requoted]


# --- encodings


def decode(raw: bytes, content_type: str | None) -> str:
    """The body as text; raises Unreadable if its encoding is neither declared nor evident."""
    body, encoding = detect_encoding(raw, content_type)
    try:
        # Some senders encode each half of a character outside the BMP by itself.
        return body.decode(encoding, "surrogatepass" if encoding.startswith("utf") else "strict")
    except UnicodeDecodeError as error:
        raise Unreadable(
            f"The body is not JSON: it is no {encoding.upper()} text from byte {error.start} on."
        ) from error


def detect_encoding(raw: bytes, content_type: str | None) -> tuple[bytes, str]:
    """The body without a byte order mark, and its encoding."""
    for mark, encoding in BOMS:
        if raw.startswith(mark):
            return raw[len(mark) :], encoding
    for zeros, encoding in ZEROS:
        if zeros.match(raw):
            return raw, encoding
    named = CHARSET.search(content_type or "")
    charset = CHARSETS.get(named[1].lower()) if named else None
    return raw, charset if charset and not is_utf8(raw) else "utf-8"


def is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


# --- values


def refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def parse_number(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits[:40]} is out of range")
    return number


def parse_integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= LONGEST_INTEGER else parse_number(digits)


# Not strict: a control character, such as a line break, is what it is inside a string too.
PARSER = json.JSONDecoder(
    strict=False, parse_constant=refuse, parse_float=parse_number, parse_int=parse_integer
)


def mend_characters(value: Any) -> Any:
    """The value without lone surrogates: pairs are joined, single ones dropped."""
    if isinstance(value, str):
        return join_halves(value) if SURROGATE.search(value) else value
    if isinstance(value, list):
        return [mend_characters(entry) for entry in value]
    if isinstance(value, dict):
        return {mend_characters(name): mend_characters(entry) for name, entry in value.items()}
    return value


def join_halves(halves: str) -> str:
    return halves.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")
