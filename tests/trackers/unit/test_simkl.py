"""The tracker `simkl` alone: each answer of the contract's table, and the request of each action."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.trackers._adapters import FILM, LATE, MARK, PILOT
from tests.trackers.unit._wire import COMMON, Replies, Wire, answer, body_of, case_id, describe
from webhook.client import version
from webhook.domain.event import Action
from webhook.trackers import Delivery

pytestmark = pytest.mark.unit

APP = f"?client_id=app&app-name=watchmark&app-version={version()}"
START = replace(MARK, action=Action.START, mark=False, progress=20.0)
PAUSE = replace(MARK, action=Action.PAUSE, mark=False, progress=40.0)
RATE = replace(MARK, action=Action.RATE, mark=False, progress=None, rating=8)
UNRATE = replace(RATE, action=Action.UNRATE)
UNMARK = replace(MARK, action=Action.UNWATCHED, mark=False, progress=None, remote_id="by item")

NAMED = {"title": FILM.title, "year": FILM.year}
MOVIE = {**NAMED, "ids": {"simkl": 53992, "imdb": "tt1104001", "tmdb": "20526"}}
BODY = {**NAMED, "ids": {"imdb": "tt1104001", "tmdb": 20526}}
SEEN = {**BODY, "watched_at": "2026-11-22T15:15:09Z"}


def scrobble(action: str) -> Any:
    return answer(201, {"id": 17, "action": action, "progress": 97.0, "movie": MOVIE})


REPLIES: Mapping[str, Any] = {
    "GET /search/": answer(200, []),
    "GET /sync/all-items": answer(200, "null"),
    "POST /scrobble/start": scrobble("start"),
    "POST /scrobble/pause": scrobble("pause"),
    "POST /scrobble/stop": scrobble("scrobble"),
    "POST /sync/history/remove": answer(200, {"deleted": {"movies": 1}}),
    "POST /sync/history": answer(201, {"added": {"movies": 1, "shows": 0}, "not_found": {}}),
    "POST /sync/ratings/remove": answer(200, {"deleted": {"movies": 1}}),
    "POST /sync/ratings": answer(201, {"added": {"movies": 1}}),
}


def wire(replies: Replies) -> Wire:
    rest = {route: reply for route, reply in REPLIES.items() if route not in replies}
    return Wire("simkl", {"client_id": "app"}, {"access_token": "token"}, {**replies, **rest})


@pytest.mark.parametrize(
    ("delivery", "route", "body"),
    [
        (START, "/scrobble/start", {"progress": 20.0, "movie": BODY}),
        (PAUSE, "/scrobble/pause", {"progress": 40.0, "movie": BODY}),
        (MARK, "/scrobble/stop", {"progress": 97.0, "movie": BODY}),
        (replace(PAUSE, action=Action.STOP), "/scrobble/stop", {"progress": 40.0, "movie": BODY}),
        (LATE, "/sync/history", {"movies": [SEEN]}),
        (UNMARK, "/sync/history/remove", {"movies": [BODY]}),
        (RATE, "/sync/ratings", {"movies": [{**BODY, "rating": 8, "rated_at": "2026-11-22T20:15:09Z"}]}),
        (UNRATE, "/sync/ratings/remove", {"movies": [BODY]}),
    ],
    ids=case_id,
)
def test_each_action_is_this_request(delivery: Delivery, route: str, body: Any) -> None:
    at = wire({"POST /scrobble/stop": scrobble("scrobble" if delivery.mark else "pause")})

    outcome = at.send(delivery)

    assert describe(outcome) == "done", outcome
    assert at.requests("POST") == [f"POST {route}{APP}"]
    (write,) = [request for request in at.sent if request.method == "POST"]
    assert write.url.host == "api.simkl.com"
    assert body_of(write) == body
    assert (write.headers["simkl-api-key"], write.headers["authorization"]) == ("app", "Bearer token")
    assert at.violations() == []


def test_an_episode_is_named_by_its_show_and_its_place() -> None:
    episode = {"season": 1, "number": 1, "title": "Pilot"}
    show = {"title": "Breaking Bad", "year": 2008, "ids": {"simkl": 11121, "tvdb": "81189"}}
    at = wire(
        {
            "POST /scrobble/stop": answer(
                201, {"id": 1, "action": "scrobble", "show": show, "episode": episode}
            )
        }
    )

    outcome = at.send(replace(MARK, item=PILOT))

    assert describe(outcome) == "done", outcome
    assert body_of(at.sent[-1]) == {
        "progress": 97.0,
        "show": {"title": "Breaking Bad", "ids": {"tvdb": 81189}},
        "episode": {"season": 1, "number": 1},
    }


CALLS = [
    (START, "POST /scrobble/start"),
    (PAUSE, "POST /scrobble/pause"),
    (MARK, "POST /scrobble/stop"),
    (LATE, "POST /sync/history"),
    (RATE, "POST /sync/ratings"),
]
OUTCOMES = [
    *COMMON,
    (answer(401, {}), "park signed_out"),
    (answer(403, {}), "park app_deleted"),
    (answer(412, {}), "snooze 3600s"),
    (answer(429, {}), "snooze 1s lengthens"),
    (answer(400, {"error": "RATE_LIMIT"}), "snooze 3s"),
    *((answer(status, {}), "dead") for status in (400, 405, 422)),
]


@pytest.mark.parametrize(("delivery", "route"), CALLS, ids=case_id)
@pytest.mark.parametrize(("reply", "outcome"), OUTCOMES, ids=case_id)
def test_each_answer_has_this_outcome(delivery: Delivery, route: str, reply: Any, outcome: str) -> None:
    assert describe(wire({route: reply}).send(delivery)) == outcome


@pytest.mark.parametrize(
    ("delivery", "reply", "outcome"),
    [
        (MARK, answer(404, {}), "unmatched"),
        (MARK, answer(201, {"id": 17, "action": "scrobble", "movie": {**NAMED, "ids": {}}}), "unmatched"),
        (MARK, answer(201, {"id": 17, "movie": MOVIE}), "retry in 60s unsure suspect"),
        (MARK, scrobble("start"), "dead"),
        (MARK, scrobble("pause"), "dead"),
        (MARK, answer(409, {}), "done"),
        (MARK, answer(409, {"watched_at": "2026-11-22T20:10:00Z"}), "done"),
        (MARK, answer(409, {"watched_at": "2026-11-22T18:00:00Z"}), "retry in 660s alone"),
        (
            MARK,
            answer(409, {"watched_at": "2026-11-22T18:00:00Z", "expires_at": "2026-11-22T20:30:00Z"}),
            "retry in 951s alone",
        ),
        (START, answer(409, {"watched_at": "2026-11-22T18:00:00Z"}), "done"),
    ],
    ids=case_id,
)
def test_each_answer_to_a_scrobble_has_this_outcome(delivery: Delivery, reply: Any, outcome: str) -> None:
    route = "POST /scrobble/start" if delivery is START else "POST /scrobble/stop"

    assert describe(wire({route: reply}).send(delivery)) == outcome


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (answer(201, {"added": {"movies": 0}, "not_found": {"movies": [BODY]}}), "unmatched"),
        (answer(201, {"added": {"movies": 0}}), "unmatched"),
        (answer(200, {"added": {"movies": 1}}), "done"),
        (answer(201, {"added": {"movies": 0, "statuses": [{"request": {}}]}}), "done"),
        (answer(404, {}), "unmatched"),
    ],
    ids=case_id,
)
def test_each_answer_to_a_dated_mark_has_this_outcome(reply: Any, outcome: str) -> None:
    assert describe(wire({"POST /sync/history": reply}).send(LATE)) == outcome


@pytest.mark.parametrize("status", [400, 402, 403, 422, 426])
def test_a_refused_rewatch_goes_out_as_a_plain_mark(status: int) -> None:
    at = wire({"POST /sync/history": [answer(status), REPLIES["POST /sync/history"]]})

    assert describe(at.send(replace(MARK, rewatch=True))) == "done"
    assert at.requests("POST") == [f"POST /sync/history{APP}&allow_rewatch=yes", f"POST /sync/history{APP}"]
