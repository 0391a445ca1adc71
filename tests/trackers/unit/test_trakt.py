"""The tracker `trakt` alone: each answer of the contract's table, and the request of each action."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr

from tests.trackers._adapters import FILM, LATE, MARK, PILOT
from tests.trackers.unit._wire import COMMON, Replies, Wire, answer, body_of, case_id, describe
from webhook.domain.event import Action
from webhook.trackers import Delivery

pytestmark = pytest.mark.unit

API = "https://api.trakt.tv"
START = replace(MARK, action=Action.START, mark=False, progress=20.0)
PAUSE = replace(MARK, action=Action.PAUSE, mark=False, progress=40.0)
RATE = replace(MARK, action=Action.RATE, mark=False, progress=None, rating=8)
UNRATE = replace(RATE, action=Action.UNRATE)
ADD = replace(MARK, action=Action.ADD, mark=False, progress=None)
UNMARK = replace(MARK, action=Action.UNWATCHED, mark=False, progress=None, remote_id="9007199254740993")

MOVIE = {"title": FILM.title, "year": FILM.year, "ids": {"trakt": 1, "imdb": "tt1104001", "tmdb": 20526}}
HIT = {"type": "movie", "movie": MOVIE}
ROW = {"id": 77, "watched_at": "2026-11-22T15:15:09.000Z", "action": "watch", "movie": MOVIE}
BODY = {"ids": {"imdb": "tt1104001", "tmdb": 20526}}
SEEN = {"watched_at": "2026-11-22T15:15:09.000Z", **BODY}


def scrobble(action: str, number: int = 0) -> Any:
    return answer(201, {"id": number, "action": action, "progress": 97.0, "movie": MOVIE})


REPLIES: Mapping[str, Any] = {
    "GET /search/": answer(200, [HIT]),
    "GET /sync/history": answer(200, []),
    "POST /scrobble/start": scrobble("start"),
    "POST /scrobble/pause": scrobble("pause"),
    "POST /scrobble/stop": scrobble("scrobble", 77),
    "POST /sync/history/remove": answer(200, {"deleted": {"movies": 1}}),
    "POST /sync/history": answer(201, {"added": {"movies": 1, "episodes": 0}, "not_found": {}}),
    "POST /sync/ratings/remove": answer(200, {"deleted": {"movies": 1}}),
    "POST /sync/ratings": answer(201, {"added": {"movies": 1}}),
    "POST /sync/collection": answer(201, {"added": {"movies": 1}}),
    "POST /oauth/token": answer(400, {"error": "invalid_grant"}),
}


def wire(replies: Replies) -> Wire:
    settings = {"client_id": "app", "client_secret": SecretStr("secret")}
    tokens = {"access_token": "old", "refresh_token": "again"}
    return Wire(
        "trakt", settings, tokens, {**replies, **{k: v for k, v in REPLIES.items() if k not in replies}}
    )


@pytest.mark.parametrize(
    ("delivery", "request_line", "body"),
    [
        (START, "POST /scrobble/start", {"progress": 20.0, "movie": BODY}),
        (PAUSE, "POST /scrobble/pause", {"progress": 40.0, "movie": BODY}),
        (MARK, "POST /scrobble/stop", {"progress": 97.0, "movie": BODY}),
        (replace(PAUSE, action=Action.STOP), "POST /scrobble/stop", {"progress": 40.0, "movie": BODY}),
        (LATE, "POST /sync/history", {"movies": [SEEN]}),
        (UNMARK, "POST /sync/history/remove", {"ids": [9007199254740993]}),
        (
            RATE,
            "POST /sync/ratings",
            {"movies": [{**BODY, "rating": 8, "rated_at": "2026-11-22T20:15:09.000Z"}]},
        ),
        (UNRATE, "POST /sync/ratings/remove", {"movies": [BODY]}),
        (ADD, "POST /sync/collection", {"movies": [{**BODY, "collected_at": "2026-11-22T20:15:09.000Z"}]}),
    ],
    ids=case_id,
)
def test_each_action_is_this_request(delivery: Delivery, request_line: str, body: Any) -> None:
    stop = scrobble("scrobble" if delivery.mark else "pause", 77 if delivery.mark else 0)
    at = wire({"POST /scrobble/stop": stop})

    outcome = at.send(delivery)

    assert describe(outcome) == "done", outcome
    assert at.requests("POST") == [request_line]
    (write,) = [request for request in at.sent if request.method == "POST"]
    assert str(write.url) == API + request_line.removeprefix("POST ")
    assert body_of(write) == body
    assert write.headers["authorization"] == "Bearer old"
    assert (write.headers["trakt-api-key"], write.headers["trakt-api-version"]) == ("app", "2")
    assert at.violations() == []


def test_an_episode_is_named_by_its_own_ids_first() -> None:
    episode = {"season": 1, "number": 1, "title": "Pilot", "ids": {"tvdb": 349232}}
    show = {"title": "Breaking Bad", "year": 2008, "ids": {"tvdb": 81189}}
    there = answer(201, {"id": 78, "action": "scrobble", "episode": episode, "show": show})
    at = wire({"POST /scrobble/stop": [answer(404), there]})

    outcome = at.send(replace(MARK, item=PILOT))

    assert describe(outcome) == "done", outcome
    assert [body_of(request) for request in at.sent] == [
        {"progress": 97.0, "episode": {"ids": {"tvdb": 349232}}},
        {"progress": 97.0, "show": {"ids": {"tvdb": 81189}}, "episode": {"season": 1, "number": 1}},
    ]


CALLS = [
    (START, "POST /scrobble/start"),
    (PAUSE, "POST /scrobble/"),
    (MARK, "POST /scrobble/stop"),
    (LATE, "POST /sync/history"),
    (RATE, "POST /sync/ratings"),
    (ADD, "POST /sync/collection"),
]
OUTCOMES = [
    *COMMON,
    (answer(401, {}), "park signed_out"),
    (answer(403, {}), "park app_deleted"),
    (answer(420, {}), "park account_limit"),
    (answer(423, {}), "park account_locked"),
    (answer(426, {}), "park vip_required"),
    (answer(429, {}), "snooze 300s"),
    (answer(404, {}), "unmatched"),
    *((answer(status, {}), "dead") for status in (400, 405, 412, 422)),
]


@pytest.mark.parametrize(("delivery", "route"), CALLS, ids=case_id)
@pytest.mark.parametrize(("reply", "outcome"), OUTCOMES, ids=case_id)
def test_each_answer_has_this_outcome(delivery: Delivery, route: str, reply: Any, outcome: str) -> None:
    at = wire({"POST /sync/history/remove": answer(500), route: reply})

    assert describe(at.send(delivery)) == outcome


@pytest.mark.parametrize(
    ("reply", "rows", "outcome"),
    [
        (answer(409, {}), [], "done"),
        (answer(409, {"watched_at": "2026-11-22T20:10:00.000Z"}), [], "done"),
        (
            answer(409, {"watched_at": "2026-11-22T19:30:00.000Z", "expires_at": "2026-11-22T20:30:00.000Z"}),
            [],
            "retry in 951s alone",
        ),
        (answer(409, {}), [{**ROW, "watched_at": "2026-11-22T20:14:00.000Z"}], "done"),
    ],
    ids=case_id,
)
def test_a_409_is_the_viewing_or_an_earlier_one(reply: Any, rows: Any, outcome: str) -> None:
    at = wire({"POST /scrobble/stop": reply, "GET /sync/history": answer(200, rows)})

    assert describe(at.send(MARK)) == outcome


@pytest.mark.parametrize(("status", "calls"), [(404, 2), (405, 1), (422, 1)])
def test_a_refused_pause_goes_out_as_a_stop(status: int, calls: int) -> None:
    at = wire({"POST /scrobble/pause": answer(status), "POST /scrobble/stop": scrobble("pause")})

    assert describe(at.send(PAUSE)) == "done"
    assert at.requests("POST") == [*["POST /scrobble/pause"] * calls, "POST /scrobble/stop"]


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (scrobble("start"), "dead"),
        (scrobble("pause"), "dead"),
        (answer(201, {"id": 77, "movie": MOVIE}), "retry in 60s unsure suspect"),
        (scrobble("scrobble", 77), "done"),
    ],
    ids=case_id,
)
def test_a_mark_counts_only_where_the_answer_says_so(reply: Any, outcome: str) -> None:
    assert describe(wire({"POST /scrobble/stop": reply}).send(MARK)) == outcome


FRESH = {"access_token": "new", "refresh_token": "next", "created_at": 1795380000, "expires_in": 604800}


def test_a_401_renews_the_sign_in_and_is_sent_once_more() -> None:
    at = wire(
        {
            "POST /scrobble/stop": [answer(401), scrobble("scrobble", 77)],
            "POST /oauth/token": answer(200, FRESH),
        }
    )

    assert describe(at.send(MARK)) == "done"
    assert at.requests() == ["POST /scrobble/stop", "POST /oauth/token", "POST /scrobble/stop"]
    assert body_of(at.sent[1]) == {
        "grant_type": "refresh_token",
        "refresh_token": "again",
        "redirect_uri": "urn:ietf:wg:oauth:2.0:oob",
        "client_id": "app",
        "client_secret": "secret",
    }
    assert at.sent[2].headers["authorization"] == "Bearer new"


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (answer(400, {"error": "invalid_grant"}), "park signed_out"),
        (answer(401, {"error": "invalid_grant"}), "park signed_out"),
        (answer(401, {"error": "invalid_client"}), "park app_deleted"),
        (answer(200, {"access_token": "half"}), "retry in 60s unsure"),
        (answer(404, {}), "retry"),
        (answer(503, {}), "retry"),
        (answer(502, {}), "retry in 60s unsure"),
    ],
    ids=case_id,
)
def test_each_answer_to_a_renewal_has_this_outcome(reply: Any, outcome: str) -> None:
    at = wire({"POST /oauth/token": reply})

    assert describe(at.run(lambda tracker, access: tracker.refresh(access.tokens))) == outcome
