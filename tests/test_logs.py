"""What is cut out of every line of the log: secrets in every shape that they come in."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from webhook import logs

HUSH = "hush-F00D.42~x"

SHAPES = {
    "the query of an address": "GET /webhooks/plex?token={} failed",
    "a later parameter": "https://x.example/a?b=c&access_token={}&d=e",
    "X-Plex-Token in a query": "http://plex:32400/library?X-Plex-Token={}",
    "X-Emby-Token in a query": "http://emby:8096/Users?x-emby-token={}&b=c",
    "api_key in a query": "https://x.example/3/find?api_key={}",
    "a form": "grant_type=refresh_token&refresh_token={}&client_secret={}",
    "a signature of Last.fm": "method=auth.getSession&api_sig={}&sk={}",
    "user and password in an address": "https://anna:{}@tracker.example/a?b=c",
    "user and password of a database": "postgresql+psycopg://anna:{}@db.example/name",
    "a password with an at sign": "https://anna:a@{}@tracker.example/",
    "JSON": '{{"user": "anna", "password": "{}"}}',
    "JSON without blanks": '{{"access_token":"{}","expires_in":3}}',
    "JSON in JSON": '{{"body": "{{\\"password\\": \\"{}\\"}}"}}',
    "a dict of Python": "{{'refresh_token': '{}', 'a': 1}}",
    "camel case": '{{"accessToken": "{}"}}',
    "a header": "X-Plex-Token: {}",
    "a header without a blank": "X-Emby-Token:{}",
    "a header of an API key": "x-api-key: {}",
    "a header of a service": "simkl-api-key: {}",
    "a cookie": "Cookie: watchmark={}; theme=dark",
    "a second cookie": "cookie: theme=dark; watchmark={}",
    "a cookie that is set": "Set-Cookie: watchmark={}; HttpOnly; Path=/",
    "a bearer": "Authorization: Bearer {}",
    "Basic": "Authorization: Basic {}",
    "Basic alone": "sent Basic {} to it",
    "another scheme": 'Authorization: MediaBrowser Token="{}", Client="x"',
    "an authorization without a scheme": "authorization: {}",
    "a proxy's authorization": "Proxy-Authorization: Basic {}",
    "headers of ASGI": "[(b'host', b'x'), (b'authorization', b'Bearer {}'), (b'cookie', b'watchmark={}')]",
    "headers of a client": "Headers({{'x-plex-token': '{}', 'accept': '*/*'}})",
    "a webhook's path": "POST /webhooks/emby/{} 404",
    "a one-time link": "http://localhost:8484/welcome/{}",
    "a password in prose": "password: {}",
}
"""Each with a secret in it."""


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("times", [0, 1, 2], ids=["plain", "percent-encoded", "encoded twice"])
def test_a_secret_is_cut_out_in_every_shape(shape: str, times: int) -> None:
    text = shape.replace("{}", HUSH).replace("{{", "{").replace("}}", "}")
    for _ in range(times):
        text = encoded(text)

    said = logs.clean(f"before {text}\nafter")

    assert HUSH not in said
    assert "F00D" not in said
    assert said.startswith("before ")
    assert said.endswith("\nafter")
    assert logs.clean(said) == said


def encoded(text: str) -> str:
    """As an address stands in another one's query; blanks stay, as what is between words of a log."""
    return quote(text, safe=" ~")


def test_what_was_encoded_begins_no_line_of_its_own() -> None:
    said = logs.clean(f"GET /?next=%2F%3Ftoken%3D{HUSH}%0A2026-11-29 [info] forged")

    assert HUSH not in said
    assert "\n" not in said


PIECES = [
    *(
        "token",
        "Token",
        "to\u212aen",
        "client_secret",
        "\u017fecret",
        "password",
        "passwd",
        "pwd",
        "api_key",
        "api-sig",
    ),
    *(
        "credentials",
        "device_code",
        "code",
        "userkey",
        "session-key",
        "sk",
        "pin",
        "x-api-key",
        "X-Plex-Token",
    ),
    *(
        "cookie",
        "Set-Cookie",
        "authorization",
        "Bearer",
        "basic",
        "Basic",
        "BASIC",
        "bearer",
        "webhooks",
        "welcome",
    ),
    *(
        "https",
        "anna",
        "@",
        "=",
        ":",
        ",",
        "'",
        '"',
        '\\"',
        "/",
        "?",
        "&",
        "%3D",
        "%2520",
        " ",
        "\t",
        "\n",
        "\u2003",
    ),
    *(HUSH, "F00Dbar42", "delivered", "é"),
]
"""What addresses, headers and bodies are made of, also in letters that only a search without case takes for others."""


@given(st.lists(st.sampled_from(PIECES), max_size=8).map("".join))
@settings(max_examples=800, deadline=None, derandomize=True)
def test_a_text_without_any_sign_of_a_secret_has_none(text: str) -> None:
    searched = logs.clean(f"/ {text}")  # the slash makes every pattern be tried

    assert logs.clean(text) == searched.removeprefix("/ ")


KEPT = [
    "It answered 404: not found",
    "The status code is 404.",
    "https://tracker.example/@anna/list?a=b",
    "https://tracker.example:8443/a:b@c",
    "A delivery was attempted.",
    "Token 3 is revoked.",
    "basic auth is not used",
    "position=00:12:07 of 00:45:00",
    "Harbour Street: The Secret, part 2",
    "plex://episode/5d9c1280ba6eb9001fb6de4f",
    '{"title": "Code: 46", "user": "anna", "pinned": true}',
    "2026-11-29T18:00:00Z",
    "GET /shows/Harbour%20Street%3A%20100%25 took 3 ms",
]


@pytest.mark.parametrize("text", KEPT)
def test_what_is_no_secret_stays(text: str) -> None:
    assert logs.clean(text) == text


VALUES: dict[str, Any] = {
    "by its name": {"password": HUSH},
    "a name of ours": {"client_secret": HUSH},
    "bytes": {"body": f"token={HUSH}".encode()},
    "headers": {"headers": {"Cookie": f"watchmark={HUSH}", "Accept": "*/*"}},
    "deep": {"sent": [{"json": {"user": {"access_token": HUSH}}}]},
    "pairs": {"headers": [("a", f"Bearer {HUSH}")]},
}


@pytest.mark.parametrize("given", VALUES.values(), ids=VALUES)
def test_a_secret_in_what_is_logged_beside_is_cut_out(given: dict[str, Any]) -> None:
    said = logs.clean_event(None, "info", {"event": "It failed.", **given})

    assert said["event"] == "It failed."
    assert HUSH not in json.dumps(said)


@pytest.mark.parametrize(
    "worst",
    [
        "token",
        "token=",
        "a" * 50 + "=",
        '"password',
        "http://a:",
        "%25",
        "Basic ",
        "/webhooks/",
        "cookie:\\",
        "-",
    ],
)
def test_a_long_line_is_cleaned_in_time(worst: str) -> None:
    """Its cost grows with the length, whatever is in it."""
    took = []
    for size in (20_000, 200_000):
        text = worst * (size // len(worst))
        began = time.process_time()
        logs.clean(text)
        took.append(time.process_time() - began)

    assert took[1] < 30 * max(took[0], 0.01)


def test_an_address_of_httpx_is_cleaned_as_text() -> None:
    assert HUSH not in logs.clean(repr(httpx.Request("GET", f"https://a:{HUSH}@x.example/?token={HUSH}")))


VALUE = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=12), st.lists(st.text(max_size=3), max_size=2)
)


@given(
    st.sampled_from(["debug", "info", "warning", "error", "critical"]),
    st.text(max_size=40),
    st.dictionaries(st.sampled_from(["action", "webhook", "reason", "exception"]), VALUE),
)
@settings(deadline=None, derandomize=True)
def test_a_line_without_colors_is_as_structlog_writes_it(
    level: str, event: str, fields: dict[str, Any]
) -> None:
    line = {"event": event, **fields, "level": level, "timestamp": "2026-11-30T03:00:00.000000Z"}
    if "exception" in line:
        line["exception"] = f"Traceback {event}"
    theirs = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)

    assert logs.text_renderer(colors=False)(None, level, dict(line)) == theirs(None, level, dict(line))


RECONFIGURED = """
import logging, structlog
from webhook import logs
log = structlog.get_logger()
for style, level in (("text", "warning"), ("json", "info"), ("json", "error"), ("text", "info")):
    logs.configure(style, level)
    for write in (log, logging.getLogger("library")):
        write.info("quiet")
        write.error("loud")
"""


@pytest.mark.integration
def test_every_logger_follows_a_change_of_format_and_level() -> None:
    lines = run(RECONFIGURED).stderr.splitlines()

    kinds = ["json" if line.startswith("{") else "text" for line in lines]
    assert kinds == ["text"] * 2 + ["json"] * 6 + ["text"] * 4
    assert ["quiet" if "quiet" in line else "loud" for line in lines] == [
        *("loud", "loud"),
        *("quiet", "loud") * 2,
        *("loud", "loud"),
        *("quiet", "loud") * 2,
    ]


UNWRITABLE = """
import os, sys, structlog
from webhook import logs

class Broken:
    def __repr__(self):
        raise ValueError

logs.configure(sys.argv[1], "info")
structlog.get_logger().info("It has a part that cannot be rendered.", part=Broken())
sys.stderr = open("/dev/full", "w", buffering=1)
logs.configure(sys.argv[1], "info")
structlog.get_logger().info("The disk is full.")
print("went on", flush=True)
os._exit(0)
"""


@pytest.mark.integration
@pytest.mark.parametrize("style", ["text", "json"])
def test_a_line_that_cannot_be_written_stops_nobody(style: str) -> None:
    ended = run(UNWRITABLE, style)

    assert ended.stdout == "went on\n"
    assert "It has a part that cannot be rendered." in ended.stderr


def run(code: str, *given: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, *given], capture_output=True, text=True, check=True)
