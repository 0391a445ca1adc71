"""Pages, style sheet and scripts are compressed where the browser takes that, and the same where it does not."""

from __future__ import annotations

import gzip

import pytest

from tests.web.conftest import Household
from webhook.web.http.compression import accepts_gzip


@pytest.mark.parametrize("path", ["/history", "/static/style.css", "/static/live.js", "/static/icons.svg"])
def test_what_a_page_loads_is_compressed(home: Household, path: str) -> None:
    browser = home.browser()

    plain = browser.get(path, headers={"Accept-Encoding": "identity"})
    with browser.stream("GET", path, headers={"Accept-Encoding": "gzip"}) as answer:
        sent = b"".join(answer.iter_raw())

    assert "content-encoding" not in plain.headers
    assert answer.headers["content-encoding"] == "gzip"
    assert int(answer.headers["content-length"]) == len(sent) < len(plain.content) / 2
    assert gzip.decompress(sent) == plain.content
    assert answer.headers["content-type"] == plain.headers["content-type"]
    assert "Accept-Encoding" in plain.headers["vary"]
    assert "Accept-Encoding" in answer.headers["vary"]


def test_what_is_compressed_already_is_sent_as_it_is(home: Household) -> None:
    answer = home.client().get("/static/icon-192.png", headers={"Accept-Encoding": "gzip"})

    assert answer.content.startswith(b"\x89PNG")
    assert "content-encoding" not in answer.headers


def test_a_part_of_a_file_and_one_that_did_not_change_are_not(home: Household) -> None:
    client = home.client()

    part = client.get("/static/style.css", headers={"Accept-Encoding": "gzip", "Range": "bytes=0-9"})
    tag = client.get("/static/style.css").headers["etag"]
    same = client.get("/static/style.css", headers={"Accept-Encoding": "gzip", "If-None-Match": tag})

    assert (part.status_code, len(part.content)) == (206, 10)
    assert same.status_code == 304


@pytest.mark.parametrize(
    ("accepted", "takes"),
    [("gzip", True), ("br, GZIP;q=0.5", True), ("gzip; q=0", False), ("br", False), ("", False)],
)
def test_a_browser_says_what_it_takes(accepted: str, takes: bool) -> None:
    assert accepts_gzip(accepted) is takes
