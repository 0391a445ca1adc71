"""The tracker `lastfm` alone: each answer of the contract's table, and the request of each action."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr

from tests.trackers._adapters import PLAYED
from tests.trackers.unit._wire import COMMON, Wire, answer, body_of, case_id, describe
from webhook.domain.event import Action
from webhook.trackers import Delivery

pytestmark = pytest.mark.unit

START = replace(PLAYED, action=Action.START, mark=False)
LOVE = replace(PLAYED, action=Action.FAVOURITE, mark=False)
UNLOVE = replace(LOVE, action=Action.UNFAVOURITE)
TRACK = {"artist": "Boards of Canada", "track": "Roygbiv"}
FIELDS = {**TRACK, "album": "Music Has the Right to Children", "trackNumber": "11", "duration": "151"}


def scrobbles(code: str = "0", ignored: int = 0, **more: Any) -> Any:
    row = {
        "artist": {"#text": "A"},
        "track": {"#text": "T"},
        "ignoredMessage": {"code": code, "#text": ""},
        **more,
    }
    return answer(
        200, {"scrobbles": {"@attr": {"accepted": 1 - ignored, "ignored": ignored}, "scrobble": row}}
    )


def error(code: int, status: int = 200, **headers: str) -> Any:
    return answer(status, {"error": code, "message": "no"}, **headers)


def wire(reply: Any) -> Wire:
    settings = {"api_key": "a" * 32, "secret": SecretStr("b" * 32)}
    return Wire("lastfm", settings, {"sk": "session", "name": "anna"}, {"POST /2.0": reply})


@pytest.mark.parametrize(
    ("delivery", "reply", "fields"),
    [
        (START, answer(200, {"nowplaying": {}}), {"method": "track.updateNowPlaying", **FIELDS}),
        (
            PLAYED,
            scrobbles(),
            {
                "method": "track.scrobble",
                "timestamp[0]": str(int(PLAYED.started_at.timestamp())) if PLAYED.started_at else "",
                **{f"{name}[0]": value for name, value in FIELDS.items()},
            },
        ),
        (LOVE, answer(200, {}), {"method": "track.love", **TRACK}),
        (UNLOVE, answer(200, {}), {"method": "track.unlove", **TRACK}),
    ],
    ids=["start", "watched", "favourite", "unfavourite"],
)
def test_each_action_is_this_request(delivery: Delivery, reply: Any, fields: Mapping[str, str]) -> None:
    at = wire(reply)

    outcome = at.send(delivery)

    assert describe(outcome) == "done", outcome
    (request,) = at.sent
    assert str(request.url) == "https://ws.audioscrobbler.com/2.0/"
    sent = body_of(request)
    assert len(sent.pop("api_sig")) == 32
    assert sent == {**fields, "api_key": "a" * 32, "sk": "session", "format": "json"}
    assert at.violations() == []


OUTCOMES = [
    *COMMON,
    *((error(code, 403), "park signed_out") for code in (4, 9, 14, 15)),
    *((error(code), "park app_deleted") for code in (10, 13, 26)),
    (error(29), "snooze 300s"),
    (error(29, retry_after="41"), "snooze 41s"),
    (error(8), "retry suspect"),
    (error(11), "retry"),
    (error(16, retry_after="41"), "retry in 41s"),
    *((error(code), "dead") for code in (2, 3, 5, 6, 7, 17, 18, 25, 27, 99)),
    (error(99, 503), "retry"),
    (answer(401, {}), "park signed_out"),
    (answer(429, {}), "snooze 300s"),
    *((answer(status, {}), "dead") for status in (400, 404, 405, 422)),
]


@pytest.mark.parametrize("delivery", [PLAYED, LOVE], ids=["watched", "favourite"])
@pytest.mark.parametrize(("reply", "outcome"), OUTCOMES, ids=case_id)
def test_each_answer_has_this_outcome(delivery: Delivery, reply: Any, outcome: str) -> None:
    assert describe(wire(reply).send(delivery)) == outcome


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (scrobbles(), "done"),
        *((scrobbles(code, 1), "dead") for code in "1234"),
        (scrobbles("5", 1), "snooze 86400s alone"),
        (scrobbles("9", 1), "dead"),
        (scrobbles("0", 1), "dead"),
        (answer(200, {"scrobbles": {"scrobble": []}}), "retry in 60s unsure suspect"),
        (answer(200, {}), "retry in 60s unsure suspect"),
    ],
    ids=case_id,
)
def test_each_answer_to_a_scrobble_has_this_outcome(reply: Any, outcome: str) -> None:
    assert describe(wire(reply).send(PLAYED)) == outcome


@pytest.mark.parametrize(("reply", "outcome"), OUTCOMES, ids=case_id)
def test_what_is_playing_is_never_sent_again(reply: Any, outcome: str) -> None:
    done = wire(reply).send(START)

    assert describe(done) == "done", outcome
    assert done.answer.startswith("not shown as playing now: ") or "now playing" in done.answer


def test_a_corrected_name_is_noted() -> None:
    done = wire(scrobbles(artist={"corrected": "1", "#text": "Röyksopp"})).send(PLAYED)

    assert done.note == "Last.fm corrected it to Röyksopp – T"
