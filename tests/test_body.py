"""Bodies mangled on their way: read right where there is no doubt, kept where there is, and never a fault of ours."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webhook.domain import lenient_json
from webhook.domain.event import Unreadable
from webhook.pipeline.body import SNIFFED, Cut, Form, Payload, Refused, locate
from webhook.pipeline.compression import MAX_PIECE_BYTES, inflate

FORM = Form(("payload", "data"))
LIMIT = 200_000
BOUNDARY = "----boundary17"
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"
URLENCODED = "application/x-www-form-urlencoded"
CUT = "The sender hung up."


@dataclass(frozen=True)
class Sent:
    """A body with what is said of it."""

    body: bytes
    content_type: str = ""
    encoding: str = ""


def located(sent: Sent, sizes: list[int], cut_at: int | None = None, limit: int = LIMIT) -> Payload:
    """What is found in a body that comes in pieces of these sizes, and breaks off at `cut_at`."""

    async def pieces() -> AsyncIterator[bytes]:
        body, at = sent.body[:cut_at], 0
        for size in sizes:
            if at < len(body):
                yield body[at : at + size]
            at += size
        if at < len(body):
            yield body[at:]
        if cut_at is not None:
            raise Cut(CUT)

    chunks = inflate(pieces(), sent.encoding.encode())
    return finished(locate(chunks, sent.content_type.encode(), None, FORM, limit))


def finished(work: Coroutine[Any, Any, Payload]) -> Payload:
    """What it returns. It waits for nothing, so it needs no event loop, which would take longer than it does."""
    while True:
        try:
            work.send(None)
        except StopIteration as end:
            found: Payload = end.value
            return found


# --- what may happen to a good body

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)
ODD = {"line break": "\n", "tab": "\t", "control": "\x01", "half": "\\ud83d", "quote": "\\&quot;"}
MEANT = {"half": "", "quote": '"'}


@st.composite
def payloads(draw: st.DrawFn) -> tuple[dict[str, Any], str]:
    """A payload, and the JSON of it with something in it that strict JSON has not."""
    odd = draw(st.sampled_from(["", *ODD]))
    title, more = (
        draw(TEXTS),
        draw(st.dictionaries(TEXTS, TEXTS | st.integers(-9, 9) | st.none(), max_size=3)),
    )
    meant = {**more, "title": f"{title}{MEANT.get(odd, ODD.get(odd, ''))}."}
    indent = draw(st.sampled_from([None, 1]))
    made = json.dumps({**more, "title": f"{title}@."}, ensure_ascii=False, indent=indent)
    before, _, after = made.rpartition("@")
    return meant, f"{before}{ODD.get(odd, '')}{after}"


def part(name: str, content: bytes, end: str) -> bytes:
    head = f'--{BOUNDARY}{end}Content-Disposition: form-data; name="{name}"{end}{end}'
    return head.encode() + content + end.encode()


@st.composite
def wrapped(draw: st.DrawFn, text: str) -> Sent:
    """The JSON as some sender wraps it, and as some proxy leaves it."""
    way = draw(
        st.sampled_from(["multipart", "form", "bare", "utf-16", "utf-16-le", "utf-32-be", "utf-8-sig"])
    )
    if way == "multipart":
        end = draw(st.sampled_from(["\r\n", "\n"]))
        thumb = part("thumb", draw(st.binary(max_size=50)) * draw(st.sampled_from([1, 3000])), end)
        parts = draw(st.permutations([part("payload", text.encode(), end), thumb]))
        body = b"".join(parts) + draw(st.sampled_from([f"--{BOUNDARY}--{end}".encode(), b""]))
        kind = draw(st.sampled_from([MULTIPART, "multipart/form-data", MULTIPART + "9", ""]))
        return Sent(draw(st.sampled_from([b"", end.encode()])) + body, kind)
    if way == "form":
        return Sent(b"payload=" + quote_plus(text).encode(), draw(st.sampled_from([URLENCODED, ""])))
    kind = draw(
        st.sampled_from(["application/json", "text/plain; charset=utf-8", MULTIPART, URLENCODED, "x", ""])
    )
    plain = way == "bare" or not kind.startswith(("multi", URLENCODED))
    return Sent(text.encode("utf-8" if way == "bare" else way), kind if plain else "text/plain")


@st.composite
def compressed(draw: st.DrawFn, sent: Sent) -> Sent:
    way = draw(st.sampled_from(["", "gzip", "unsaid", "deflate", "raw", "not"]))
    match way:
        case "gzip" | "unsaid":
            body = gzip.compress(sent.body)
        case "deflate" | "raw":
            body = zlib.compress(sent.body, wbits=15 if way == "deflate" else -15)
        case _:
            body = sent.body
    said = {"gzip": "gzip", "deflate": "deflate", "raw": "deflate", "not": "gzip"}.get(way, "")
    return Sent(body, sent.content_type, said)


@st.composite
def mangled(draw: st.DrawFn) -> tuple[dict[str, Any], Sent]:
    meant, text = draw(payloads())
    return meant, draw(compressed(draw(wrapped(text))))


SIZES = st.lists(st.integers(1, 400), max_size=30)


@settings(max_examples=200, deadline=None)
@given(mangled(), SIZES)
def test_what_is_mangled_on_its_way_is_read_right(
    made: tuple[dict[str, Any], Sent], sizes: list[int]
) -> None:
    meant, sent = made

    found = located(sent, sizes)

    assert found.fault is None
    assert lenient_json.loads(found.raw, sent.content_type) == meant


@settings(max_examples=200, deadline=None)
@given(mangled(), SIZES, st.floats(0, 1))
def test_what_breaks_off_is_kept_and_read_only_where_the_json_is_whole(
    made: tuple[dict[str, Any], Sent], sizes: list[int], share: float
) -> None:
    meant, sent = made

    found = located(sent, sizes, max(int(share * len(sent.body)), 1))

    try:
        assert found.fault or lenient_json.loads(found.raw, sent.content_type) == meant
    except Unreadable:
        assert found.cut


@settings(max_examples=150, deadline=None)
@given(
    st.binary(max_size=300).map(lambda noise: noise or b"x"),
    st.sampled_from([MULTIPART, "multipart/form-data", URLENCODED, "text/plain", ""]),
    st.sampled_from(["", "gzip", "deflate", "br"]),
    SIZES,
)
def test_noise_is_kept(noise: bytes, kind: str, encoding: str, sizes: list[int]) -> None:
    found = located(Sent(noise, kind, encoding), sizes)

    assert found.raw or found.fault


# --- bounds


@pytest.mark.parametrize("sizes", [[], [1] * 3000, [MAX_PIECE_BYTES] * 40, [SNIFFED - 1, 2]])
@pytest.mark.parametrize("first", ["payload", "thumb"])
def test_a_large_part_comes_in_pieces_of_any_size(sizes: list[int], first: str) -> None:
    payload = b'{"a": "' + b"x" * 150_000 + b'"}'
    parts = {"payload": part("payload", payload, "\r\n"), "thumb": part("thumb", b"\r\n-" * 90_000, "\r\n")}
    body = parts.pop(first) + next(iter(parts.values())) + f"--{BOUNDARY}--\r\n".encode()

    found = located(Sent(body, MULTIPART), sizes)

    assert found == Payload(payload)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", ""])
@pytest.mark.parametrize(
    "wrap", [b"%s", b"--b\r\nContent-Disposition: form-data; name=payload\r\n\r\n%s\r\n--b--"]
)
def test_no_more_is_read_than_the_limit(encoding: str, wrap: bytes) -> None:
    body = wrap % (b'{"a":"' + b"0" * 3_000_000 + b'"}')
    packed = {"gzip": gzip.compress(body), "deflate": zlib.compress(body)}.get(encoding, body)

    with pytest.raises(Refused) as refused:
        located(Sent(packed, "", encoding), [MAX_PIECE_BYTES] * 99)

    assert refused.value.status == 413
