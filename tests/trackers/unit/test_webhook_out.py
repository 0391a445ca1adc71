"""The tracker `webhook_out` alone: each answer of the contract's table, and the body of each action in each shape."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import orjson
import pytest

from tests.trackers._adapters import FILM, LATE, MARK, PILOT, UNNAMED, WATCHED
from tests.trackers.unit._wire import PAGE, Replies, Wire, answer, body_of, case_id, describe
from webhook import sources
from webhook.domain.event import Action, Episode, Event, Ids, Movie
from webhook.domain.play import Dated
from webhook.trackers import Delivery, SignInFailed
from webhook.trackers.webhook_out.receiver import make_receiver, read_receiver
from webhook.trackers.webhook_out.shapes import VALUES
from webhook.trackers.webhook_out.template import MAX_TEMPLATE

pytestmark = pytest.mark.unit

SECRET = "0123456789abcdef"
URL = f"http://tracker.test:8000/webhook/jellyfin/{SECRET}"
TOLD = replace(MARK, duration_ms=7_500_000)
START = replace(TOLD, action=Action.START, mark=False, progress=40.0)
STOP = replace(START, action=Action.STOP, progress=96.0)
EPISODE = replace(WATCHED, duration_ms=2_820_000, item=replace(PILOT, ids=Ids(tvdb=349232, tmdb=62085)))
SIGNING_SECRET = "whsec_" + base64.b64encode(b"a key of twenty-four byt").decode()
RECEIVED = datetime(2026, 11, 22, 20, 16, tzinfo=UTC)


def tokens(shape: str = "nested", **more: str) -> dict[str, Any]:
    given = {"address": URL, "shape": shape, "receiver_user": "anna", **more}
    return dict(make_receiver(given, {}))


def wire(replies: Replies, shape: str = "nested", **more: str) -> Wire:
    return Wire("webhook_out", {}, tokens(shape, **more), replies)


def send(delivery: Delivery, shape: str = "nested", **more: str) -> tuple[Any, Any]:
    """The outcome, and the body that was sent, or None."""
    at = wire({"POST /webhook": answer(200)}, shape, **more)
    outcome = at.send(delivery)
    return outcome, (body_of(at.sent[0]) if at.sent else None)


NESTED_FILM = {
    "Event": "Stop",
    "Item": {
        "Type": "Movie",
        "Name": "TRON: Legacy",
        "ProductionYear": 2010,
        "RunTimeTicks": 75_000_000_000,
        "ProviderIds": {"Imdb": "tt1104001", "Tmdb": "20526"},
        "UserData": {"Played": True},
    },
    "User": {"Name": "anna"},
    "Session": {"Id": "wm-1", "PlayState": {"PositionTicks": 75_000_000_000, "IsPaused": False}},
    "ServerName": "Watchmark",
    "ServerId": "watchmark",
}
FLAT_EPISODE = {
    "NotificationType": "PlaybackStop",
    "UtcTimestamp": "2026-11-22T20:15:09.0000000Z",
    "NotificationUsername": "anna",
    "Name": "Pilot",
    "ItemType": "Episode",
    "Year": 2008,
    "SeriesName": "Breaking Bad",
    "SeasonNumber": 1,
    "EpisodeNumber": 1,
    "Provider_tvdb": "349232",
    "RunTimeTicks": 28_200_000_000,
    "PlaybackPositionTicks": 28_200_000_000,
    "PlayedToCompletion": True,
    "IsPaused": False,
    "ServerName": "Watchmark",
    "ServerId": "watchmark",
}
GENERIC_FILM = {
    "action": "watched",
    "kind": "movie",
    "user": "anna",
    "title": "TRON: Legacy",
    "year": 2010,
    "ids": {"tmdb": 20526, "imdb": "tt1104001"},
    "position_ms": 7_500_000,
    "duration_ms": 7_500_000,
    "at": "2026-11-22T20:15:09Z",
    "server": "Watchmark",
}
PARTS: Mapping[str, Any] = {
    "nested start": (START, "nested", {"Event": "Play", "Item.UserData.Played": False}),
    "nested start, where it was": (START, "nested", {"Session.PlayState.PositionTicks": 30_000_000_000}),
    "nested stop, for Ryot": (STOP, "nested", {"Session.PlayState.PositionTicks": 70_500_000_000}),
    "nested episode, its own ids": (EPISODE, "nested", {"Item.ProviderIds": {"Tvdb": "349232"}}),
    "nested episode, its show's": (EPISODE, "nested", {"Series.ProviderIds": {"Tvdb": "81189"}}),
    "flat start": (START, "flat", {"NotificationType": "PlaybackStart", "PlayedToCompletion": False}),
    "flat stop": (STOP, "flat", {"NotificationType": "PlaybackStop", "PlayedToCompletion": False}),
    "generic start": (START, "generic", {"action": "start", "position_ms": 3_000_000}),
    "generic stop": (STOP, "generic", {"action": "stop", "completed": False, "position_ms": 7_200_000}),
    "a day": (replace(LATE, dated=Dated.DAY), "generic", {"at": "2026-11-22T12:00:00Z"}),
}


@pytest.mark.parametrize(
    ("delivery", "shape", "body"),
    [(TOLD, "nested", NESTED_FILM), (EPISODE, "flat", FLAT_EPISODE), (TOLD, "generic", GENERIC_FILM)],
    ids=["nested", "flat", "generic"],
)
def test_each_action_is_this_request(delivery: Delivery, shape: str, body: Any) -> None:
    at = wire({"POST /webhook": answer(200)}, shape, headers="X-Api-Key: very-secret\nX-From: Watchmark")

    outcome = at.send(delivery)

    assert describe(outcome) == "done", outcome
    (request,) = at.sent
    assert str(request.url) == URL
    assert body_of(request) == body
    assert request.headers["content-type"] == "application/json"
    assert (request.headers["x-api-key"], request.headers["x-from"]) == ("very-secret", "Watchmark")


@pytest.mark.parametrize("name", PARTS)
def test_a_part_of_a_body_is_this(name: str) -> None:
    delivery, shape, parts = PARTS[name]

    _, body = send(delivery, shape)

    for path, value in parts.items():
        found = body
        for key in path.split("."):
            found = found[key]
        assert found == value, path


@pytest.mark.parametrize("shape", ["nested", "flat", "generic"])
@pytest.mark.parametrize(
    "item",
    [
        Movie(title="A film", ids=Ids(tmdb=5)),
        Episode(title="A special", show="A show", ids=Ids(tvdb=7)),
        Episode(show="A show", season=3, number=40, numbering="mapped", ids=Ids(tvdb=7)),
    ],
    ids=["no year", "no numbers", "numbers of another order"],
)
def test_what_is_not_known_is_left_out(item: Any, shape: str) -> None:
    _, body = send(replace(TOLD, item=item, duration_ms=None), shape)

    said = json.dumps(body)
    assert "null" not in said
    assert '""' not in said
    assert not {"ProductionYear", "Year", "year"} & {*body, *body.get("Item", {})}
    assert not {"IndexNumber", "EpisodeNumber", "number", "RunTimeTicks"} & {*body, *body.get("Item", {})}
    assert shape != "nested" or body["Item"]["UserData"] == {"Played": True}


# Answers

LATER = {"retry_after": "41"}
OUTCOMES: list[tuple[Any, str]] = [
    *((answer(status, body), "done") for status, body in ((200, None), (200, {"status": "ok"}), (204, None))),
    (answer(202, "Webhook queued for processing"), "done"),
    (answer(200, PAGE), "retry in 60s unsure suspect"),
    (answer(200, {"x": "x" * 300_000}), "retry in 60s unsure suspect"),
    *((answer(status, {}), "park signed_out") for status in (401, 403, 404, 405, 410)),
    *((answer(s, {}, location="/login"), "park signed_out") for s in (301, 302, 303, 307, 308)),
    *((answer(status, {}), "dead") for status in (400, 409, 413, 422)),
    *((answer(status, {}), "retry") for status in (408, 425)),
    (answer(429, {}, **LATER), "snooze 41s"),
    (answer(429, {}), "snooze 300s"),
    (answer(500, {}), "retry in 60s unsure suspect"),
    *((answer(status, {}), "retry in 60s unsure") for status in (501, 502, 503, 504, 520, 522, 524)),
    (answer(503, {}, **LATER), "retry in 41s unsure"),
    (httpx.ConnectError("refused"), "retry"),
    (httpx.ConnectTimeout("nobody"), "retry"),
    (httpx.ReadTimeout("silence"), "retry in 60s unsure"),
    (httpx.ReadError("reset"), "retry in 60s unsure"),
    (httpx.RemoteProtocolError("cut"), "retry in 60s unsure"),
]


@pytest.mark.parametrize(("reply", "outcome"), OUTCOMES, ids=case_id)
def test_each_answer_has_this_outcome(reply: Any, outcome: str) -> None:
    at = wire({"POST /webhook": reply})

    assert describe(at.send(TOLD)) == outcome
    assert len(at.sent) == 1


def test_a_success_says_that_it_was_sent_and_never_that_it_is_there() -> None:
    outcome, _ = send(TOLD)

    assert outcome.answer == "sent; it answered 200"
    assert outcome.remote_id is None


@pytest.mark.parametrize(("delivery", "outcome"), [(TOLD, "dead"), (START, "skip"), (STOP, "skip")])
def test_what_may_have_arrived_is_not_sent_again(delivery: Delivery, outcome: str) -> None:
    at = wire({})

    decision = at.send(replace(delivery, unsure=True))

    assert describe(decision) == outcome
    assert "cannot be asked whether it arrived" in decision.reason
    assert at.sent == []
    assert outcome != "dead" or decision.resend


@pytest.mark.parametrize("status", [400, 401, 404, 500])
def test_what_an_answer_repeats_of_the_address_and_the_headers_is_left_out(status: int) -> None:
    said = f"no route for /webhook/jellyfin/{SECRET} with Bearer very-secret-key"
    at = wire({"POST /webhook": answer(status, said)}, headers="Authorization: Bearer very-secret-key")

    outcome = at.send(TOLD)

    assert SECRET not in str(outcome.answer) + outcome.reason
    assert "very-secret-key" not in str(outcome.answer) + outcome.reason
    assert "no route for" in outcome.answer


# Late plays


@pytest.mark.parametrize(
    ("shape", "late", "goes"),
    [
        ("nested", "dated", False),
        ("nested", "always", True),
        ("flat", "dated", True),
        ("flat", "never", False),
        ("generic", "dated", True),
        ("template", "dated", False),
        ("template at", "dated", True),
    ],
)
def test_a_late_play_goes_only_where_its_date_goes_too(shape: str, late: str, goes: bool) -> None:
    template = '{"what": "{{title}}"}' if shape == "template" else '{"what": "{{title}}", "at": "{{date}}"}'

    outcome, body = send(LATE, shape.partition(" ")[0], late=late, template=template)

    assert describe(outcome) == ("done" if goes else "skip")
    assert (body is not None) == goes
    assert goes or outcome.reason.startswith("it is late, and ")


def test_an_item_without_ids_waits_where_the_shape_knows_nothing_else() -> None:
    nameless = replace(TOLD, item=replace(UNNAMED, show_ids=Ids()))

    outcomes = [describe(send(nameless, shape)[0]) for shape in ("nested", "flat", "generic")]

    assert outcomes == ["unmatched", "unmatched", "done"]


# Templates


def test_a_template_is_filled_in_with_json_whatever_a_title_holds() -> None:
    template = """{
      "text": "{{title}} ({{year}})", "year": {{year}}, "as text": "{{year}}", "watched": {{watched}},
      "tmdb": "{{tmdb}}", "tvdb": {{ tvdb }}, "list": ["{{imdb}}", "{{tvdb}}"], "fixed": [1, null]
    }"""
    title = 'A "quote", a \\ and a\nline {{year}}'

    _, body = send(replace(TOLD, item=replace(FILM, title=title)), "template", template=template)

    assert body == {
        "text": f"{title} (2010)",
        "year": 2010,
        "as text": "2010",
        "watched": True,
        "tmdb": "20526",
        "list": ["tt1104001"],
        "fixed": [1, None],
    }


@pytest.mark.parametrize("name", VALUES)
def test_each_value_can_stand_in_a_template(name: str) -> None:
    with_all = replace(EPISODE, progress=97.0, item=replace(PILOT, ids=Ids(tvdb=1, tmdb=2, imdb="tt0000003"),
                       show_ids=Ids(tvdb=4, tmdb=5, imdb="tt0000006")))  # fmt: skip

    _, body = send(with_all, "template", template='{"x": {{' + name + "}}}")

    assert body["x"] not in (None, "")


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("", "Line 1 of the template is not valid JSON"),
        (
            '{"a": 1,\n "b": "{{title}}"\n "c": 2}',
            "Line 3 of the template is not valid JSON, from character 2 on",
        ),
        ('{"a": "{{title}}\n"}', "Line 1 of the template is not valid JSON"),
        ('{\n"a": {{nothing}}\n}', "Line 2 of the template: there is no value called nothing"),
        ('{"a": {{title}} {{year}}}', "Line 1 of the template is not valid JSON"),
        ("{{title}}", "Line 1 of the template: it must be an object or a list"),
        ('{"a": NaN}', "The template is not valid JSON"),
        ("[" * 5000, "not valid JSON"),
        ('"' + "x" * MAX_TEMPLATE, f"The template is longer than {MAX_TEMPLATE} characters"),
    ],
)
def test_a_template_that_gives_no_json_is_refused_with_its_line(template: str, says: str) -> None:
    with pytest.raises(SignInFailed, match=says.replace("(", r"\(")):
        tokens("template", template=template)


# The sign-in


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"address": ""}, "enter the address"),
        ({"address": "ftp://host/"}, "must begin with http"),
        ({"address": "http://host:0/"}, "port"),
        ({"address": "http://anna:secret@host/"}, "no password"),
        ({"address": "http://host/#x"}, "no password and no #"),
        ({"address": "http://host/" + "x" * 2000}, "longer than"),
        ({"shape": "round"}, "no shape called round"),
        ({"late": "soon"}, "not soon"),
        ({"headers": "X-Key"}, "line 1 of the headers is not of the form"),
        ({"headers": "X-Ok: 1\nBad Name: 1"}, "line 2 of the headers"),
        ({"headers": "Host: elsewhere"}, "Host is set by Watchmark itself"),
        ({"headers": "content-length: 1"}, "set by Watchmark itself"),
        ({"headers": "X: " + "x" * 2001}, "must be plain text"),
        ({"headers": "X: caf\u00e9"}, "must be plain text"),
        ({"headers": "\n".join(f"X-{n}: 1" for n in range(21))}, "more than 20 headers"),
        ({"receiver_user": "x" * 201}, "at most 200"),
        ({"signing_secret": "whsec_not base64"}, "not whsec_ followed by base64"),
        ({"signing_secret": "whsec_c2hvcnQ="}, "holds 5 bytes, and 24 to 64 are wanted"),
    ],
)
def test_what_cannot_be_a_receiver_is_refused(wrong: dict[str, str], says: str) -> None:
    with pytest.raises(SignInFailed, match=says):
        make_receiver({"address": URL, **wrong}, {})


def test_a_refused_header_is_not_repeated() -> None:
    with pytest.raises(SignInFailed) as refused:
        make_receiver({"address": URL, "headers": "very-secret-key"}, {})

    assert "very-secret-key" not in str(refused.value)


def test_a_secret_that_is_left_empty_stays_and_goes_to_no_other_machine() -> None:
    stored = tokens(headers="X-Key: very-secret", signing_secret=SIGNING_SECRET)

    same = make_receiver({"address": "", "headers": ""}, stored)
    moved = make_receiver({"address": "http://tracker.test:8000/other"}, stored)
    removed = make_receiver({"remove_headers": "on", "remove_secret": "on"}, stored)
    elsewhere = make_receiver({"address": "http://elsewhere.test/"}, stored)

    assert (same["url"], same["headers"]) == (URL, {"X-Key": "very-secret"})
    assert moved["headers"] == {"X-Key": "very-secret"}
    assert removed["headers"] == elsewhere["headers"] == {}
    assert same["secret"] == moved["secret"] == SIGNING_SECRET
    assert removed["secret"] == elsewhere["secret"] == ""


def test_a_receiver_with_a_signing_secret_gets_each_webhook_signed_and_may_check_it() -> None:
    """Checked as the specification has it: the HMAC of id, time and the bytes that arrived."""
    at = wire({"POST /webhook": answer(200)}, signing_secret=SIGNING_SECRET)

    at.send(WATCHED)
    at.send(replace(WATCHED, attempts=1))

    ids = {request.headers["webhook-id"] for request in at.sent}
    assert ids == {f"delivery_{WATCHED.id}"}
    for request in at.sent:
        seconds, signature = (request.headers[f"webhook-{name}"] for name in ("timestamp", "signature"))
        signed = f"delivery_{WATCHED.id}.{seconds}.".encode() + request.content
        key = base64.b64decode(SIGNING_SECRET.removeprefix("whsec_"))
        assert signature == "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
        assert abs(int(seconds) - time.time()) < 300


def test_a_receiver_without_a_signing_secret_gets_no_signature() -> None:
    at = wire({"POST /webhook": answer(200)})

    at.send(WATCHED)

    assert not [name for name in at.sent[0].headers if name.startswith("webhook-")]


def test_a_test_is_a_film_that_nobody_watched_and_no_receiver_can_find() -> None:
    at = wire({"POST /webhook": answer(200)})

    name = at.run(lambda tracker, access: tracker.check(access))

    assert name == "anna at tracker.test:8000"
    (body,) = [body_of(request) for request in at.sent]
    assert body["Item"]["ProviderIds"] == {}
    assert body["Item"]["UserData"] == {"Played": False}
    state = body["Session"]["PlayState"]["PositionTicks"]
    assert state * 100 / body["Item"]["RunTimeTicks"] < 2  # what Ryot drops


# Read back by our own sources


def parse_back(delivery: Delivery, shape: str) -> Event:
    body = orjson.loads(orjson.dumps(read_receiver(tokens(shape)).body(delivery)))
    read = sources.modules()["generic" if shape == "generic" else "jellyfin"].parse(body, RECEIVED)
    assert isinstance(read, list), read
    (event,) = read
    return event


@pytest.mark.parametrize("shape", ["nested", "flat", "generic"])
@pytest.mark.parametrize("delivery", [TOLD, EPISODE, START, STOP], ids=["film", "episode", "start", "stop"])
def test_our_own_sources_read_the_same_back(delivery: Delivery, shape: str) -> None:
    event = parse_back(delivery, shape)

    item, theirs = delivery.item, event.item
    assert theirs.kind == item.kind
    assert isinstance(item, Movie | Episode)
    assert isinstance(theirs, Movie | Episode)
    assert theirs.title == item.title
    assert theirs.ids.agrees(item.ids)
    assert not theirs.ids.contradicts(item.ids)
    if isinstance(item, Episode) and isinstance(theirs, Episode):
        assert (theirs.season, theirs.number, theirs.show) == (item.season, item.number, item.show)
        assert shape == "flat" or theirs.show_ids == item.show_ids
    assert event.user == "anna"
    assert (
        event.action
        in {
            TOLD: (Action.STOP, Action.WATCHED),
            EPISODE: (Action.STOP, Action.WATCHED),
            START: (Action.START,),
            STOP: (Action.STOP,),
        }[delivery]
    )
    assert abs(event.at - delivery.at) < timedelta(minutes=2)
    if not delivery.mark and delivery.action is Action.STOP:
        assert event.completed in (False, None)
