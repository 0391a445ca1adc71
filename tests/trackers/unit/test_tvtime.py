"""The tracker `tvtime` at a server, alone: each answer of the contract's table, and the request of each action."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.trackers._adapters import MARK, WATCHED
from tests.trackers.unit._wire import COMMON, PAGE, Replies, Wire, answer, case_id, describe
from webhook.domain.event import Action, Ids, Movie
from webhook.trackers import Delivery

pytestmark = pytest.mark.unit

API = "https%3A%2F%2Fapi2.tozelabs.com%2Fv2"
TRACKING = "https%3A%2F%2Fmsapi.tvtime.com%2Fprod%2Fv1%2Ftracking"
EPISODE = f"{API}%2Fwatched_episodes%2Fepisode%2F349232"
UUID = "0a4f2b8e-7f3e-4b43-8a0e-0123456789ab"
MOVIE = replace(MARK, action=Action.WATCHED, item=Movie(title="TRON: Legacy", ids=Ids(tvtime=UUID)))
UNMARK = replace(WATCHED, action=Action.UNWATCHED, mark=False)
DONE = {
    "result": "OK", "id": 349232, "number": 1, "season": {"number": 1}, "show": {"id": 81189, "name": "Breaking Bad"},
}  # fmt: skip
REPLIES: Mapping[str, Any] = {
    f"POST /sidecar?o={EPISODE}": answer(200, DONE),
    f"DELETE /sidecar?o={EPISODE}": answer(200, {"result": "OK"}),
    f"POST /sidecar?o={TRACKING}": answer(200, {"status": "success"}),
    f"GET /sidecar?o={API}%2Fuser%2F1%2Fjwt": answer(401, {}),
}
MARKS = f"POST /sidecar?o={EPISODE}"


def wire(replies: Replies) -> Wire:
    rest = {route: reply for route, reply in REPLIES.items() if route not in replies}
    tokens = {"id": "1", "jwt_token": "token", "jwt_refresh_token": "again"}
    return Wire("tvtime", {"url": "https://box.lan"}, tokens, {**replies, **rest})


@pytest.mark.parametrize(
    ("delivery", "request_line"),
    [
        (WATCHED, f"POST /sidecar?o={EPISODE}&is_rewatch=0"),
        (replace(WATCHED, rewatch=True), f"POST /sidecar?o={EPISODE}&is_rewatch=1"),
        (UNMARK, f"DELETE /sidecar?o={EPISODE}"),
        (MOVIE, f"POST /sidecar?o={TRACKING}%2F{UUID}%2Fwatch"),
        (replace(MOVIE, rewatch=True), f"POST /sidecar?o={TRACKING}%2F{UUID}%2Frewatch"),
    ],
    ids=["episode", "episode again", "unwatched", "movie", "movie again"],
)
def test_each_action_is_this_request(delivery: Delivery, request_line: str) -> None:
    at = wire({})

    outcome = at.send(delivery)

    assert describe(outcome) == "done", outcome
    assert at.requests() == [request_line]
    assert at.sent[0].url.host == "box.lan"
    assert at.sent[0].headers["authorization"] == "Bearer token"
    assert at.sent[0].headers["user-agent"].startswith("Watchmark/")


CLOSED = answer(404, server="awselb/2.0")
OUTCOMES = [
    *((reply, outcome) for reply, outcome in COMMON if outcome != "retry in 60s unsure suspect"),
    (answer(500, {}), "retry in 60s unsure suspect"),
    (answer(200, '{"result": "O'), "retry in 60s unsure suspect"),
    (answer(200, [1, 2]), "retry in 60s unsure suspect"),
    (answer(200, {"x": "x" * 300_000}), "retry in 60s unsure suspect"),
    (answer(200, {}), "retry in 60s unsure suspect"),
    (answer(200), "retry in 60s unsure suspect"),
    (answer(200, PAGE), "retry in 60s unsure suspect"),
    (answer(403, PAGE), "retry in 60s suspect"),
    (answer(404, PAGE), "retry in 60s suspect"),
    (answer(401, {}), "park signed_out"),
    (CLOSED, "park service_closed"),
    (answer(404, {}), "unmatched"),
    (answer(429, {}), "snooze 300s"),
    *((answer(status, {}), "dead") for status in (400, 403, 405, 422)),
    (answer(403, {"message": "MissingAPIKey"}), "dead"),
    (answer(200, {"result": "KO", "message": "Unknown episode"}), "unmatched"),
    (answer(200, {"result": "KO", "message": "Rate limit exceeded"}), "snooze 300s"),
    (answer(200, {"result": "KO", "message": "no"}), "dead"),
    (answer(200, {"status": "error"}), "dead"),
    (answer(200, {"status": "fail", "message": "no"}), "dead"),
    (answer(200, {"error": {"code": 429}}), "snooze 300s"),
    (answer(200, {"error": {"code": "404"}}), "unmatched"),
]


@pytest.mark.parametrize(
    ("delivery", "route"),
    [(WATCHED, MARKS), (MOVIE, f"POST /sidecar?o={TRACKING}")],
    ids=["episode", "movie"],
)
@pytest.mark.parametrize(("reply", "outcome"), OUTCOMES, ids=case_id)
def test_each_answer_has_this_outcome(delivery: Delivery, route: str, reply: Any, outcome: str) -> None:
    assert describe(wire({route: reply}).send(delivery)) == outcome


def test_a_401_renews_the_token_and_is_sent_once_more() -> None:
    renewal = f"GET /sidecar?o={API}%2Fuser%2F1%2Fjwt"
    at = wire({MARKS: [answer(401), answer(200, DONE)], renewal: answer(200, {"jwt_token": "new"})})

    assert describe(at.send(WATCHED)) == "done"
    assert at.sent[1].headers["jwt_refresh_token"] == "again"
    assert at.sent[2].headers["authorization"] == "Bearer new"
