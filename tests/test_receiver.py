"""The door: what is let in, what is refused and why, and that nothing sent to it can break it."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.evening import plex
from tests.running import Installed, Process, eventually, started
from webhook.domain.event import Action, Event, Movie
from webhook.people import tokens
from webhook.pipeline.receiver import TokenCache
from webhook.queues import inbox

BOUNDARY = "------------------------j4fqHSAc9FtAnWDn0DyJIL"
GOOD = json.dumps(plex("media.scrobble")).encode()


@pytest.fixture(scope="module")
def watchmark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with started(Installed(tmp_path_factory.mktemp("door")).prepare()) as process:
        yield process


def part(name: str, body: bytes, *, quoted: bool = True, filename: str = "", kind: str = "") -> bytes:
    head = (
        f'Content-Disposition: form-data; name="{name}"'
        if quoted
        else f"Content-Disposition: form-data; name={name}"
    )
    head += f'; filename="{filename}"' if filename else ""
    head += f"\r\nContent-Type: {kind}" if kind else ""
    return f"--{BOUNDARY}\r\n{head}\r\n\r\n".encode() + body + b"\r\n"


def multipart(*parts: bytes, end: bytes = f"--{BOUNDARY}--\r\n".encode()) -> bytes:
    return b"".join(parts) + end


THUMB = part("thumb", b"\xff\xd8\xff\xe0" * 2000, filename="thumb.jpg", kind="image/jpeg")
FORM = f"multipart/form-data; boundary={BOUNDARY}"
BARE: dict[str, Any] = {"content": GOOD}


def send(
    watchmark: Process, body: bytes, kind: str | None = FORM, source: str = "plex", **headers: str
) -> Any:
    given_headers = {"Content-Type": kind, **headers} if kind else headers
    return watchmark.post(source, None, content=body, headers=given_headers)


def raw_of(watchmark: Process, answer: Any) -> bytes:
    return bytes(watchmark.api(f"/webhooks/{answer.json()['webhook']}")["raw"].encode())


@pytest.mark.parametrize(
    "body",
    [
        multipart(part("payload", GOOD, kind="application/json"), THUMB),
        multipart(part("payload", GOOD)),
        multipart(part("payload", GOOD, filename="payload.json", kind="application/json")),
        multipart(THUMB, part("payload", GOOD)),
        multipart(part("payload", GOOD, quoted=False)),
        multipart(part("payload", GOOD, kind="text/plain")),
        multipart(part("payload", GOOD), part("thumb", b"\xff" * 3_000_000, filename="thumb.jpg")),
        multipart(part("thumb", b"\xff" * 3_000_000, filename="thumb.jpg"), part("payload", GOOD)),
        multipart(part("payload", GOOD), THUMB[:900], end=b""),
        b"\r\n" + multipart(part("payload", GOOD)),
    ],
    ids=["plex", "no thumb", "as a file", "thumb first", "unquoted", "text", "big thumb", "big thumb first", "cut thumb", "preamble"],
)  # fmt: skip
def test_the_json_is_found_however_it_is_wrapped(watchmark: Process, body: bytes) -> None:
    answer = send(watchmark, body)

    assert answer.status_code == 200, answer.text
    assert raw_of(watchmark, answer) == GOOD


def test_a_quoted_boundary_is_understood(watchmark: Process) -> None:
    answer = send(watchmark, multipart(part("payload", GOOD)), f'multipart/form-data; boundary="{BOUNDARY}"')

    assert raw_of(watchmark, answer) == GOOD


@pytest.mark.parametrize(
    "kind", ["application/json", "text/plain; charset=utf-8", None, "application/octet-stream", "Text/Plain"]
)
def test_bare_json_is_taken_with_any_content_type(watchmark: Process, kind: str | None) -> None:
    answer = send(watchmark, b"\xef\xbb\xbf" + GOOD, kind)

    assert raw_of(watchmark, answer) == GOOD


BARE_LF = multipart(part("payload", GOOD), THUMB).replace(b"\r\n", b"\n")
NOTICE = {"NotificationType": "PlaybackStop", "NotificationUsername": "anna", "ItemType": "Movie", "Year": "2001", "Provider_imdb": "tt9000001"}  # fmt: skip
TEXT = "text/plain; charset=utf-8"


def notice(name: str, overview: str = "") -> bytes:
    """A webhook of Jellyfin's plugin by a template, of which the texts are as they are in the template."""
    told = json.dumps(NOTICE, ensure_ascii=False)[:-1]
    return f'{told}, "Overview": "{overview}", "Name": "{name}"}}'.encode("utf-8", "surrogatepass")


@pytest.mark.parametrize(
    ("source", "body", "kind", "encoding", "title"),
    [
        ("plex", multipart(part("payload", GOOD), THUMB), "multipart/form-data", "", "Part 1"),
        ("plex", multipart(part("payload", GOOD), THUMB), "multipart/form-data; boundary=another", "", "Part 1"),
        ("plex", multipart(part("payload", GOOD), THUMB), None, "", "Part 1"),
        ("plex", BARE_LF, FORM, "", "Part 1"),
        ("plex", multipart(part("payload", GOOD), THUMB[:900], end=b""), FORM, "", "Part 1"),
        ("plex", multipart(part("payload", GOOD)).removesuffix(f"--{BOUNDARY}--\r\n".encode()), FORM, "", "Part 1"),
        ("plex", gzip.compress(multipart(part("payload", GOOD), THUMB)), FORM, "gzip", "Part 1"),
        ("plex", gzip.compress(GOOD), "application/json", "", "Part 1"),
        ("plex", zlib.compress(GOOD), "application/json", "deflate", "Part 1"),
        ("plex", zlib.compress(GOOD, wbits=-15), "application/json", "deflate", "Part 1"),
        ("plex", GOOD, "application/json", "gzip", "Part 1"),
        ("plex", b"payload=" + GOOD, "application/x-www-form-urlencoded", "", "Part 1"),
        ("jellyfin", notice("A Film", "Line 1.\nLine 2.\x01\t."), TEXT, "", "A Film"),
        ("jellyfin", notice("A Film\\ud83d"), TEXT, "", "A Film"),
        ("jellyfin", notice("A Film\ud83d"), TEXT, "", "A Film"),
        ("jellyfin", notice(r"A \&quot;Film\&quot; &amp; more"), TEXT, "", 'A "Film" & more'),
        ("jellyfin", notice("Zoë").replace(b'"', b"&quot;"), TEXT, "", "Zoë"),
        ("jellyfin", notice("Zoë").decode().encode("utf-16"), TEXT, "", "Zoë"),
        ("jellyfin", notice("Zoë").decode().encode("utf-16-be"), None, "", "Zoë"),
        ("jellyfin", notice("Zoë").decode().encode("latin-1"), "text/plain; charset=ISO-8859-1", "", "Zoë"),
        ("jellyfin", notice("A Film"), "application/x-unheard-of", "", "A Film"),
    ],
    ids=["no boundary", "another boundary", "no type", "bare LF", "cut thumb", "no end", "gzip form", "gzip unsaid", "deflate", "raw deflate", "not gzip", "bare form", "line break", "lone escape", "lone half", "quotes", "all quotes", "UTF-16", "UTF-16 unsaid", "latin-1", "odd type"],
)  # fmt: skip
def test_what_is_meant_beyond_doubt_is_read(
    watchmark: Process, source: str, body: bytes, kind: str | None, encoding: str, title: str
) -> None:
    headers = {"Content-Encoding": encoding} if encoding else {}

    answer = send(watchmark, body, kind, source, **headers)

    assert answer.status_code == 200, answer.text
    number = answer.json()["webhook"]
    eventually(lambda: watchmark.api(f"/webhooks/{number}")["state"] != "received", "it is interpreted")
    assert [event["title"] for event in watchmark.api(f"/webhooks/{number}")["events"]] == [title]


def test_what_is_compressed_in_another_way_is_kept(watchmark: Process) -> None:
    answer = send(watchmark, b"\x28\xb5\x2f\xfd....", "application/json", **{"Content-Encoding": "zstd"})

    assert answer.status_code == 400
    assert "compressed with zstd" in watchmark.api(f"/webhooks/{answer.json()['webhook']}")["reason"]


def test_embys_three_wrappings_are_one(watchmark: Process) -> None:
    emby = b'{"Event":"system.notificationtest","Server":{"Version":"4.9"}}'
    form = "data=" + emby.decode().replace('"', "%22").replace("{", "%7B").replace("}", "%7D")

    answers = [
        send(watchmark, multipart(part("data", emby)), FORM, "emby"),
        send(watchmark, form.encode(), "application/x-www-form-urlencoded", "emby"),
        send(watchmark, emby, "application/json", "emby"),
    ]

    assert [raw_of(watchmark, answer) for answer in answers] == [emby] * 3


def test_jellyfins_form_is_the_payload_itself(watchmark: Process) -> None:
    answer = send(
        watchmark, b"NotificationType=PlaybackStop&Name=A+B", "application/x-www-form-urlencoded", "jellyfin"
    )

    assert json.loads(raw_of(watchmark, answer)) == {"NotificationType": "PlaybackStop", "Name": "A B"}


@pytest.mark.parametrize(
    ("body", "kind", "status", "word"),
    [
        (b"", FORM, 400, "empty"),
        (b"", "application/json", 400, "empty"),
        (b'{"a":"' + b"x" * 2_200_000 + b'"}', "application/json", 413, "MAX_BODY_BYTES"),
        (multipart(part("payload", b"x" * 2_200_000)), FORM, 413, "MAX_BODY_BYTES"),
        (multipart(part("thumb", b"x" * 34_000_000)), FORM, 413, "33554432 bytes"),
    ],
    ids=["no form", "no JSON", "long JSON", "long part", "long thumb"],
)
def test_nothing_but_an_empty_or_too_large_body_is_not_kept(
    watchmark: Process, body: bytes, kind: str | None, status: int, word: str
) -> None:
    answer = send(watchmark, body, kind)

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert word in answer.json()["detail"]
    assert "webhook" not in answer.json()


@pytest.mark.parametrize(
    ("body", "kind", "word", "kept"),
    [
        (b"   ", None, "empty", None),
        (multipart(THUMB), FORM, '"payload"', None),
        (multipart(part("payload", GOOD)[: len(GOOD) // 2], end=b""), FORM, "middle", GOOD[:150]),
        (multipart(part("payload", b"")), FORM, '"payload"', None),
        (b"not a form at all", FORM, "multipart", None),
        (b"<xml/>", "application/xml", "not JSON", None),
        (b"payload", "application/x-www-form-urlencoded", '"payload"', None),
        (b"&".join(b"a=b" for _ in range(2000)), "application/x-www-form-urlencoded", "fields", None),
        (multipart(*[part(f"p{n}", b"x") for n in range(40)]), FORM, "parts", None),
        (b"--" + b"x" * 20_000, FORM, "boundary", None),
        (multipart(f"--{BOUNDARY}\r\nX: ".encode() + b"x" * 9000), FORM, "head", None),
    ],
    ids=["blank", "only a thumb", "cut JSON", "empty field", "no form", "XML", "no field", "many fields", "many parts", "endless line", "long head"],
)  # fmt: skip
def test_what_cannot_be_read_is_kept_and_the_sender_told_why(
    watchmark: Process, body: bytes, kind: str | None, word: str, kept: bytes | None
) -> None:
    answer = send(watchmark, body, kind)

    assert answer.status_code == 400
    assert word in answer.json()["detail"]
    assert answer.json()["detail"].endswith("It is kept, so that it can be looked at.")
    shown = watchmark.api(f"/webhooks/{answer.json()['webhook']}")
    assert shown["state"] == "quarantined"
    assert word in shown["reason"]
    assert (
        shown["raw"]
        .encode("utf-8", "replace")
        .startswith((kept or body.decode("utf-8", "replace").encode())[:600])
    )


@pytest.mark.parametrize(
    "body",
    [b"[]", b"17", b"null", b'"text"', b'{"SeasonNumber": ,}', b'{"a":', b'{"a":"\xff\xfe"}', b"[" * 10_000, b'{"a":' * 10_000, b'{"a":NaN}', b'{"a":1e999}', b"\x00\x01\x02"],
)  # fmt: skip
def test_what_is_no_json_object_is_refused_and_kept(watchmark: Process, body: bytes) -> None:
    answer = send(watchmark, body, "application/json")

    assert answer.status_code == 400
    shown = watchmark.api(f"/webhooks/{answer.json()['webhook']}")
    assert shown["state"] == "quarantined"
    assert shown["reason"]


@pytest.mark.parametrize(
    "metadata",
    [
        {"index": 10**30, "parentIndex": -(10**18), "viewOffset": 2**63, "duration": -5},
        {"title": "a\x00b", "grandparentTitle": "x" * 100_000},
        {"lastViewedAt": 10**18, "year": 10**9},
        {"Guid": [{"id": None}, 3, {"id": "tvdb://" + "9" * 400}, {"id": "imdb://"}]},
        {"index": None, "Guid": None, "title": None},
        {"index": "7", "title": {"deep": ["er"]}},
    ],
)  # fmt: skip
def test_absurd_values_are_no_error(watchmark: Process, metadata: dict[str, Any]) -> None:
    answer = watchmark.post("plex", plex("media.play", **metadata))

    assert answer.status_code == 200
    webhook_id = answer.json()["webhook"]
    eventually(lambda: watchmark.api(f"/webhooks/{webhook_id}")["state"] != "received", "it is interpreted")
    assert "Error" not in str(watchmark.api(f"/webhooks/{webhook_id}")["reason"])


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@pytest.mark.parametrize("kind", ["application/json", FORM])
def test_a_body_that_inflates_beyond_the_limit_is_refused_on_the_way(
    watchmark: Process, encoding: str, kind: str
) -> None:
    zeros = b"0" * 50_000_000
    bomb = gzip.compress(zeros) if encoding == "gzip" else zlib.compress(zeros)
    assert watchmark.process is not None
    send(watchmark, GOOD, "application/json")
    before = resident(watchmark.process.pid)

    answer = send(watchmark, bomb, kind, **{"Content-Encoding": encoding})

    assert answer.status_code == 413
    assert resident(watchmark.process.pid) - before < 12_000


def test_wrong_token_no_token_and_unknown_source_get_the_same_answer(watchmark: Process) -> None:
    token = watchmark.ready["webhooks"]["emby"].rsplit("/", 1)[1]

    answers = [
        watchmark.http.post(f"{watchmark.url}/webhooks/plex/wrong", **BARE),
        watchmark.http.post(f"{watchmark.url}/webhooks/plex", **BARE),
        watchmark.http.post(f"{watchmark.url}/webhooks/plex?token=wrong", **BARE),
        watchmark.http.post(f"{watchmark.url}/webhooks/kodi/{token}", **BARE),
        watchmark.http.get(f"{watchmark.url}/webhooks/plex/wrong"),
    ]

    assert {(answer.status_code, answer.text) for answer in answers} == {(404, answers[0].text)}


def test_the_token_comes_in_the_path_the_query_or_as_a_bearer(watchmark: Process) -> None:
    token = watchmark.ready["webhooks"]["emby"].rsplit("/", 1)[1]
    bearer = {"Authorization": f"Bearer {token}"}

    answers = [
        watchmark.http.post(f"{watchmark.url}/webhooks/plex/{token}", **BARE),
        watchmark.http.post(f"{watchmark.url}/webhooks/plex?token={token}", **BARE),
        watchmark.http.post(f"{watchmark.url}/webhooks/plex", headers=bearer, **BARE),
    ]

    assert [answer.status_code for answer in answers] == [200, 200, 200]


@pytest.mark.parametrize(("method", "source", "status"), [("GET", "plex", 405), ("DELETE", "plex", 405), ("PUT", "plex", 405), ("PUT", "tautulli", 200)])  # fmt: skip
def test_a_webhook_is_posted(watchmark: Process, method: str, source: str, status: int) -> None:
    answer = watchmark.http.request(method, watchmark.ready["webhooks"][source], **BARE)

    assert answer.status_code == status


def test_a_large_thumbnail_is_not_held_in_memory(watchmark: Process) -> None:
    assert watchmark.process is not None
    for _ in range(20):  # what is loaded for a first webhook is there after it
        send(watchmark, multipart(part("payload", GOOD), THUMB))
    eventually(lambda: not watchmark.api("/webhooks", state="received")["items"], "all are read")
    before = resident(watchmark.process.pid)

    body = multipart(part("payload", GOOD), part("thumb", b"\xff" * 25_000_000, filename="thumb.jpg"))
    answer = send(watchmark, body)

    assert answer.status_code == 200
    assert resident(watchmark.process.pid) - before < 12_000


def resident(pid: int) -> int:
    """The process's memory in KiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def test_what_came_of_a_sender_that_hung_up_is_kept(watchmark: Process) -> None:
    address = httpx.URL(watchmark.ready["webhooks"]["plex"])
    target = address.raw_path.decode()
    head = (
        f"POST {target} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n"
    )

    def kept_after(came: bytes) -> dict[str, Any]:
        before = newest(watchmark)["id"]
        with socket.create_connection(("127.0.0.1", address.port or 0)) as sender:
            sender.sendall(head.encode() + came)
        eventually(lambda: newest(watchmark)["id"] > before, "what came is kept")
        return newest(watchmark)

    assert "hung up" in kept_after(GOOD[:200])["reason"]
    assert kept_after(GOOD)["state"] != "quarantined"


def test_a_sender_that_hangs_up_before_a_single_byte_leaves_nothing_behind(watchmark: Process) -> None:
    address = httpx.URL(watchmark.ready["webhooks"]["emby"])
    head = f"POST {address.path} HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n"
    send(watchmark, GOOD, "application/json")
    before = newest(watchmark)["id"]

    with socket.create_connection(("127.0.0.1", address.port or 0)) as sender:
        sender.sendall(head.encode())
    after = send(watchmark, GOOD, "application/json").json()["webhook"]

    assert after == before + 1
    assert watchmark.healthy()


def newest(watchmark: Process) -> dict[str, Any]:
    shown: dict[str, Any] = watchmark.api("/webhooks", limit=1)["items"][0]
    return shown


def test_no_sender_passes_for_what_was_made_known_here(watchmark: Process) -> None:
    now = datetime.now(UTC)
    event = Event(action=Action.WATCHED, item=Movie(title="Forged", year=2001), at=now)
    forged = inbox.event_webhook("plex", event, now, "tvtime", person_id=1)

    answer = send(watchmark, forged.raw, forged.content_type)

    number = answer.json()["webhook"]
    eventually(lambda: watchmark.api(f"/webhooks/{number}")["state"] != "received", "it is interpreted")
    shown = watchmark.api(f"/webhooks/{number}")
    assert (shown["content_type"], shown["events"]) == ("application/json", [])


MANGLED = st.one_of(
    st.binary(max_size=400),
    st.binary(max_size=60).map(lambda noise: GOOD[:700] + noise + GOOD[700:]),
    st.binary(max_size=60).map(lambda noise: multipart(part("payload", GOOD), THUMB)[:900] + noise),
    st.integers(0, len(GOOD)).map(lambda end: multipart(part("payload", GOOD[:end]))),
)
KINDS = st.sampled_from([FORM, "application/json", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=\"", "x", ""])  # fmt: skip


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(MANGLED, KINDS, st.sampled_from(["plex", "jellyfin", "emby", "tautulli"]))
def test_whatever_is_sent_is_kept(watchmark: Process, body: bytes, kind: str, source: str) -> None:
    answer = send(watchmark, body, kind or None, source)

    assert answer.status_code in (200, 400), answer.text
    assert ("webhook" in answer.json()) == bool(body)


def test_everything_that_was_sent_was_dealt_with(watchmark: Process) -> None:
    eventually(lambda: not watchmark.api("/webhooks", state="received")["items"], "nothing is stuck")

    assert "Traceback" not in watchmark.log()


class Tokens:
    """A database of one token, that takes its time and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    async def read_first(self, question: object) -> list[SimpleNamespace]:
        self.asked += 1
        await asyncio.sleep(0.01)
        return [SimpleNamespace(digest=tokens.digest("right"), id=7)]


def test_strangers_tokens_are_looked_up_together() -> None:
    tokens = Tokens()
    doorkeeper = TokenCache(cast(Any, tokens))

    async def crowd() -> list[int | None]:
        return await asyncio.gather(*map(doorkeeper.admit, ["wrong"] * 200 + ["right"]))

    answers = asyncio.run(crowd())

    assert answers == [None] * 200 + [7]
    assert tokens.asked <= 2
