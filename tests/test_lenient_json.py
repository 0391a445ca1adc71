"""JSON that is not strict: what is read of it, and what is said of the rest."""

from __future__ import annotations

from typing import Any

import pytest

from webhook.domain import lenient_json
from webhook.domain.event import Unreadable


@pytest.mark.parametrize(
    ("raw", "meant"),
    [
        (b'{"a": "x\r\ny\t\x01"}', {"a": "x\r\ny\t\x01"}),
        (b'{"a": "x\\ud83d"}', {"a": "x"}),
        (b'{"\\ude00a": ["x\\ud83d\\ude00", "\\ude00y"]}', {"a": ["x\U0001f600", "y"]}),
        (b'{"a": "\xed\xa0\xbd\xed\xb8\x80"}', {"a": "\U0001f600"}),
        (b'{"a": "The \\&quot;Best\\&#34; of &amp;"}', {"a": 'The "Best" of &amp;'}),
        (b"{&quot;a&quot;: &quot;b &amp;amp; c&quot;}", {"a": "b &amp; c"}),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (b'{"a": 1}\0\0', {"a": 1}),
        ('{"a": "Zoë"}'.encode("utf-16"), {"a": "Zoë"}),
        ('{"a": "Zoë"}'.encode("utf-16-be"), {"a": "Zoë"}),
        ('{"a": "Zoë"}'.encode("utf-32-le"), {"a": "Zoë"}),
    ],
)
def test_what_leaves_no_doubt_is_repaired(raw: bytes, meant: dict[str, Any]) -> None:
    assert lenient_json.loads(raw) == meant


def test_a_charset_counts_where_the_body_is_no_utf_8_and_it_is_one_of_a_few() -> None:
    western = '{"a": "Zoë"}'.encode("cp1252")

    assert lenient_json.loads(western, 'text/plain; charset="Windows-1252"') == {"a": "Zoë"}
    assert lenient_json.loads('{"a": "Zoë"}'.encode(), "text/plain; charset=latin1") == {"a": "Zoë"}
    for charset in ("idna", "utf-7", "unheard-of"):
        with pytest.raises(Unreadable, match="no UTF-8"):
            lenient_json.loads(western, f"text/plain; charset={charset}")


@pytest.mark.parametrize(
    ("raw", "word"),
    [
        (b"", "not JSON"),
        (b"[1]", "a list, not an object"),
        (b"17", "a int, not an object"),
        (b'{"SeasonNumber": ,}', "quotes around every value"),
        (b'{"a": NaN, "b": "\n"}', "NaN is no JSON"),
        (b'{"a": 1e999, "b": "\n"}', "1e999 is out of range"),
        (b'{"a": "\xff"}', "no UTF-8 text from byte 7"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'{"a": "b" "c"}', "not JSON"),
        (b'{"a": "\\x"}', "not JSON"),
    ],
)
def test_what_is_wrong_with_json_is_said(raw: bytes, word: str) -> None:
    with pytest.raises(Unreadable, match=word):
        lenient_json.loads(raw)


def test_numbers_mean_the_same_in_json_that_has_to_be_repaired() -> None:
    numbers = b'"big": 9223372036854775807, "bigger": 92233720368547758070, "less": -1.5e3'

    repaired = lenient_json.loads(b'{"a": "\n", ' + numbers + b"}")

    assert repaired == {"a": "\n", **lenient_json.loads(b"{" + numbers + b"}")}


def test_a_body_is_shown_in_its_own_encoding() -> None:
    assert lenient_json.readable_text('{"a": "Zoë"}'.encode("utf-16")) == '{"a": "Zoë"}'
    assert lenient_json.readable_text(b"Zo\xeb", "text/plain; charset=latin1") == "Zoë"
    assert lenient_json.readable_text(b"Zo\xeb") == "Zo\ufffd"
