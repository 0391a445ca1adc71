"""The tracker `listenbrainz` alone: each answer of the contract's table, and the request of each action."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.trackers._adapters import PLAYED, PLAYED_LATE
from tests.trackers.unit._wire import COMMON, Replies, Wire, answer, body_of, case_id, describe
from webhook.client import version
from webhook.domain.event import Action
from webhook.trackers import Delivery

pytestmark = pytest.mark.unit

AT = int(PLAYED.started_at.timestamp()) if PLAYED.started_at else 0
MBID = "98255a8c-017a-4bc7-8dd6-1fa36124572b"
START = replace(PLAYED, action=Action.START, mark=False)
UNMARK = replace(PLAYED, action=Action.UNWATCHED, mark=False, remote_id=str(AT))
LOVE = replace(PLAYED, action=Action.FAVOURITE, mark=False)
UNLOVE = replace(LOVE, action=Action.UNFAVOURITE)
NAMES = {"artist_name": "Boards of Canada", "track_name": "Roygbiv"}
METADATA = {
    **NAMES,
    "release_name": "Music Has the Right to Children",
    "additional_info": {
        "submission_client": "Watchmark",
        "submission_client_version": version(),
        "duration_ms": 151_000,
        "tracknumber": 11,
    },
}
LISTEN = {"listened_at": AT, "recording_msid": MBID, "track_metadata": NAMES}
REPLIES: Mapping[str, Any] = {
    "POST /1/": answer(200, {"status": "ok"}),
    "GET /1/user/anna/listens": answer(200, {"payload": {"listens": [LISTEN]}}),
    "GET /1/metadata/lookup/": answer(
        200,
        {"artist_credit_name": "Boards of Canada", "recording_name": "Roygbiv", "recording_mbid": MBID},
    ),
}


def wire(replies: Replies) -> Wire:
    rest = {route: reply for route, reply in REPLIES.items() if route not in replies}
    return Wire("listenbrainz", {}, {"token": "mine", "name": "anna"}, {**replies, **rest})


@pytest.mark.parametrize(
    ("delivery", "path", "body"),
    [
        (START, "submit-listens", {"listen_type": "playing_now", "payload": [{"track_metadata": METADATA}]}),
        (
            PLAYED,
            "submit-listens",
            {"listen_type": "single", "payload": [{"listened_at": AT, "track_metadata": METADATA}]},
        ),
        (UNMARK, "delete-listen", {"listened_at": AT, "recording_msid": MBID}),
        (LOVE, "feedback/recording-feedback", {"recording_mbid": MBID, "score": 1}),
        (UNLOVE, "feedback/recording-feedback", {"recording_mbid": MBID, "score": 0}),
    ],
    ids=["start", "watched", "unwatched", "favourite", "unfavourite"],
)
def test_each_action_is_this_request(delivery: Delivery, path: str, body: Any) -> None:
    at = wire({})

    outcome = at.send(delivery)

    assert describe(outcome) == "done", outcome
    (write,) = [request for request in at.sent if request.method == "POST"]
    assert str(write.url) == f"https://api.listenbrainz.org/1/{path}"
    assert body_of(write) == body
    assert write.headers["authorization"] == "Token mine"
    assert at.violations() == []


OUTCOMES = [
    *COMMON,
    (answer(401, {"code": 401, "error": "Invalid authorization token."}), "park signed_out"),
    (answer(403, {}), "snooze 3600s"),
    (answer(429, {}), "snooze 300s"),
    (answer(429, {}, x_ratelimit_reset_in="7"), "snooze 7s"),
    (answer(429, {}, x_ratelimit_reset_in="7", retry_after="41"), "snooze 7s"),
    *((answer(status, {}), "dead") for status in (400, 404, 405, 413, 422)),
    (answer(200, {"status": "no"}), "retry in 60s unsure suspect"),
    (answer(200, {}), "retry in 60s unsure suspect"),
]


@pytest.mark.parametrize(("reply", "outcome"), OUTCOMES, ids=case_id)
def test_each_answer_has_this_outcome(reply: Any, outcome: str) -> None:
    assert describe(wire({"POST /1/submit-listens": reply}).send(PLAYED)) == outcome


@pytest.mark.parametrize(("reply", "outcome"), OUTCOMES, ids=case_id)
def test_what_is_playing_is_never_sent_again(reply: Any, outcome: str) -> None:
    done = wire({"POST /1/submit-listens": reply}).send(START)

    assert describe(done) == "done", outcome
    assert done.answer.startswith("not shown as playing now: ")


def test_a_bad_listen_among_others_stands_alone() -> None:
    at = wire({"POST /1/submit-listens": [answer(400, {}), answer(400, {}), answer(200, {"status": "ok"})]})

    outcomes = at.run(lambda tracker, access: tracker.send_many([PLAYED, PLAYED_LATE], access))

    assert [describe(outcome) for outcome in outcomes] == ["dead", "done"]


def test_no_call_goes_out_before_the_window_has_ended() -> None:
    at = wire(
        {"POST /1/": answer(200, {"status": "ok"}, x_ratelimit_remaining="0", x_ratelimit_reset_in="10")}
    )

    async def twice(tracker: Any, access: Any) -> Any:
        await tracker.send(PLAYED, access)
        return await tracker.send(PLAYED, access)

    outcome = at.run(twice)

    assert describe(outcome).startswith("snooze ")
    assert 0 < outcome.after.total_seconds() <= 10
    assert len(at.sent) == 1
