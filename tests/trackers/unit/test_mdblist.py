"""The tracker `mdblist` alone: each answer of the contract's table, and the request of each action."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.trackers._adapters import FILM, LATE, MARK, NOW, PLACED
from tests.trackers.unit._wire import COMMON, Replies, Wire, answer, body_of, case_id, describe
from webhook.domain.event import Action, Ids, Season, Show
from webhook.domain.outcome import Done
from webhook.trackers import Delivery, Tokens

pytestmark = pytest.mark.unit

START = replace(MARK, action=Action.START, mark=False, progress=20.0)
PAUSE = replace(MARK, action=Action.PAUSE, mark=False, progress=40.0)
RATE = replace(MARK, action=Action.RATE, mark=False, progress=None, rating=8)
UNRATE = replace(RATE, action=Action.UNRATE)
ADD = replace(RATE, action=Action.ADD, rating=None)
UNMARK = replace(MARK, action=Action.UNWATCHED, mark=False, progress=None, remote_id="77001")
BODY = {"ids": {"tmdb": 20526, "imdb": "tt1104001"}}
SEEN = {**BODY, "watched_at": "2026-11-22T15:15:09Z"}
PLAY = {"play_id": 77001, "watched_at": "2026-11-22T15:15:09Z", "added": True, "movie": BODY}
RATED = {"rating": 8, "rated_at": "2026-11-22T20:15:09Z"}
OWN = {"number": 1, "ids": {"tmdb": 62085, "tvdb": 349232}}
EMPTY = {"movies": [], "episodes": [], "pagination": {"has_more": False}}
BEARER: Tokens = {"access_token": "token", "refresh_token": "other"}


def counted(**groups: Any) -> httpx.Response:
    return answer(200, {"added": {"movies": 1}, "not_found": {}, **groups})


REPLIES: Mapping[str, Any] = {
    "GET /sync/watched": answer(200, EMPTY),
    "POST /scrobble/": answer(201, {}),
    "POST /sync/watched/plays/remove": answer(200, {"removed": [77001], "not_found": []}),
    "POST /sync/watched/remove": answer(200, {"removed": {"movies": 1}}),
    "POST /sync/watched": counted(plays=[PLAY]),
    "POST /sync/ratings/remove": answer(200, {"removed": {"movies": 1}}),
    "POST /sync/ratings": counted(),
    "POST /sync/collection": counted(),
    "POST /oauth/token/": answer(400, {"error": "invalid_grant"}),
}


def wire(replies: Replies, tokens: Tokens = BEARER, **settings: Any) -> Wire:
    rest = {route: reply for route, reply in REPLIES.items() if route not in replies}
    return Wire("mdblist", {"client_id": "app", **settings}, tokens, {**replies, **rest})


@pytest.mark.parametrize(
    ("delivery", "routes", "body"),
    [
        (START, ["/scrobble/start"], {"progress": 20.0, "movie": BODY}),
        (replace(START, progress=None), ["/scrobble/start"], {"progress": 0.0, "movie": BODY}),
        (replace(START, progress=96.0), ["/scrobble/start"], {"progress": 79.9, "movie": BODY}),
        (PAUSE, ["/scrobble/pause"], {"progress": 40.0, "movie": BODY}),
        (replace(PAUSE, progress=91.0), ["/scrobble/pause"], {"progress": 79.9, "movie": BODY}),
        (MARK, ["/scrobble/stop"], {"progress": 97.0, "movie": BODY}),
        (replace(PAUSE, action=Action.STOP), ["/scrobble/stop"], {"progress": 40.0, "movie": BODY}),
        (
            replace(MARK, item=PLACED),
            ["/scrobble/stop"],
            {
                "progress": 97.0,
                "show": {"ids": {"tmdb": 1396, "tvdb": 81189}, "season": {"number": 1, "episode": OWN}},
            },
        ),
        (LATE, ["/sync/watched?report_added=true"], {"movies": [SEEN]}),
        (UNMARK, ["/sync/watched/plays/remove", "/sync/watched/remove"], {"movies": [BODY]}),
        (RATE, ["/sync/ratings"], {"movies": [{**BODY, **RATED}]}),
        (UNRATE, ["/sync/ratings/remove"], {"movies": [BODY]}),
        (ADD, ["/sync/collection"], {"movies": [BODY]}),
        (
            replace(RATE, item=Show(title="Breaking Bad", ids=Ids(tmdb=1396))),
            ["/sync/ratings"],
            {"shows": [{"ids": {"tmdb": 1396}, **RATED}]},
        ),
        (
            replace(RATE, item=Season(show="Breaking Bad", season=2, show_ids=Ids(tmdb=1396))),
            ["/sync/ratings"],
            {"shows": [{"ids": {"tmdb": 1396}, "seasons": [{"number": 2, **RATED}]}]},
        ),
    ],
    ids=case_id,
)
def test_each_action_is_this_request(delivery: Delivery, routes: list[str], body: Any) -> None:
    at = wire({})

    outcome = at.send(delivery)

    assert describe(outcome) == "done", outcome
    assert at.requests("POST") == [f"POST {route}" for route in routes]
    write = [request for request in at.sent if request.method == "POST"][-1]
    assert write.url.host == "api.mdblist.com"
    assert body_of(write) == body
    assert write.headers["authorization"] == "Bearer token"
    assert at.violations() == []


def test_an_api_key_stands_in_the_address() -> None:
    at = wire({}, {"token": "my-key", "name": "anna"}, client_id="")

    assert describe(at.send(START)) == "done"
    assert at.requests() == ["POST /scrobble/start?apikey=my-key"]
    assert "authorization" not in at.sent[0].headers
    assert at.violations() == []


CALLS = [
    (START, "POST /scrobble/start"),
    (PAUSE, "POST /scrobble/pause"),
    (MARK, "POST /scrobble/stop"),
    (LATE, "POST /sync/watched"),
    (RATE, "POST /sync/ratings"),
]
OUTCOMES = [
    *COMMON,
    (answer(401, {}), "park signed_out"),
    (answer(403, {"error": "Invalid API key"}), "park signed_out"),
    (answer(403, "<html>"), "snooze 3600s"),
    (answer(404, {"error": "Season not found in database"}), "unmatched"),
    *((answer(status, {}), "dead") for status in (400, 405, 409, 422)),
]


@pytest.mark.parametrize(("delivery", "route"), CALLS, ids=case_id)
@pytest.mark.parametrize(("reply", "outcome"), OUTCOMES, ids=case_id)
def test_each_answer_has_this_outcome(delivery: Delivery, route: str, reply: Any, outcome: str) -> None:
    answers: dict[str, Any] = {route: reply}
    if reply.__class__ is httpx.Response and reply.status_code == 404:
        answers["POST /sync/watched"] = reply  # an item that no scrobble names may still have a dated mark

    assert describe(wire(answers).send(delivery)) == outcome


@pytest.mark.parametrize(("delivery", "route"), CALLS, ids=case_id)
@pytest.mark.parametrize("said", [True, False])
def test_the_limit_of_the_day_holds_everything_until_the_day_ends(
    delivery: Delivery, route: str, said: bool
) -> None:
    ends = datetime.now(UTC) + timedelta(hours=2)
    if not said:
        ends = datetime.now(UTC).replace(hour=0, minute=0, second=0) + timedelta(days=1)
    reset = str(int(ends.timestamp())) if said else ""
    reply = answer(429, {"error": "Daily API limit reached"}, retry_after="41", x_ratelimit_reset=reset)

    outcome = wire({route: reply}).send(delivery)

    assert abs(datetime.now(UTC) + outcome.after - ends) < timedelta(seconds=30)
    assert (outcome.park, outcome.lane) == (None, True)


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (answer(200, {}), "done"),
        (answer(204), "done"),
        (answer(201, {"action": "scrobble"}), "done"),
        (answer(201, {"action": "pause"}), "dead"),
        (answer(201, {"action": "start"}), "dead"),
    ],
    ids=case_id,
)
def test_each_answer_to_a_live_mark_has_this_outcome(reply: Any, outcome: str) -> None:
    assert describe(wire({"POST /scrobble/stop": reply}).send(MARK)) == outcome


@pytest.mark.parametrize(
    ("reply", "outcome", "handle"),
    [
        (counted(plays=[PLAY]), "done", "77001"),
        (counted(plays=[{**PLAY, "added": False}]), "done", None),
        (counted(), "done", "2026-11-22T15:15:09+00:00"),
        (answer(200, {"updated": {"movies": 1}}), "done", "2026-11-22T15:15:09+00:00"),
        (answer(200, {"updated": {}, "not_found": {"movies": [BODY]}}), "unmatched", None),
        (answer(200, {"updated": {}, "not_found": {"movies": [{}]}}), "unmatched", None),
        (answer(200, {"updated": {}, "not_found": {}}), "retry in 60s unsure suspect", None),
        (answer(200, {"ok": True}), "retry in 60s unsure suspect", None),
    ],
    ids=case_id,
)
def test_each_answer_to_a_dated_mark_has_this_outcome(reply: Any, outcome: str, handle: Any) -> None:
    result = wire({"POST /sync/watched": reply}).send(LATE)

    assert describe(result) == outcome
    assert getattr(result, "remote_id", None) == handle


def test_an_episode_that_is_not_found_by_its_season_goes_by_its_own_id() -> None:
    shows = {"ids": {"tmdb": 1396}, "seasons": [{"number": 2008, "episodes": [{"number": 1}]}]}
    lost = answer(200, {"updated": {}, "not_found": {"shows": [shows]}})
    found = {"play_id": 7, "watched_at": "2026-11-22T15:15:09Z", "added": True}
    episode = {"season": 1, "number": 1, "ids": {"tmdb": 62085}, "show": {"ids": {"tmdb": 1396}}}
    at = wire({"POST /sync/watched": [lost, counted(plays=[{**found, "episode": episode}])]})

    outcome = at.send(replace(LATE, item=replace(PLACED, season=1)))

    assert isinstance(outcome, Done)
    assert outcome.remote_id == "7"
    assert body_of(at.sent[-1]) == {
        "episodes": [{"ids": {"tmdb": 62085}, "watched_at": "2026-11-22T15:15:09Z"}]
    }


@pytest.mark.parametrize(
    "item",
    [
        replace(FILM, ids=Ids(tvdb=1)),
        replace(PLACED, ids=Ids(tvdb=349232), show_ids=Ids(tvdb=81189)),
        replace(PLACED, ids=Ids(tvdb=349232), numbering="absolute"),
        replace(PLACED, ids=Ids(), season=None),
    ],
    ids=repr,
)
@pytest.mark.parametrize("delivery", [START, MARK, LATE, RATE], ids=case_id)
def test_what_has_no_id_that_the_service_surely_knows_is_never_sent(delivery: Delivery, item: Any) -> None:
    at = wire({})

    assert describe(at.send(replace(delivery, item=item))) == "unmatched"
    assert at.sent == []


@pytest.mark.parametrize(
    ("delivery", "outcome", "routes"),
    [
        (START, "skip", []),
        (PAUSE, "skip", []),
        (MARK, "done", ["POST /sync/watched?report_added=true"]),
        (LATE, "done", ["POST /sync/watched?report_added=true"]),
    ],
    ids=case_id,
)
def test_an_episode_of_an_unknown_show_is_marked_by_its_own_id_and_not_shown(
    delivery: Delivery, outcome: str, routes: list[str]
) -> None:
    at = wire({"POST /sync/watched": answer(200, {"updated": {"episodes": 1}})})

    assert describe(at.send(replace(delivery, item=replace(PLACED, show_ids=Ids())))) == outcome
    assert at.requests("POST") == routes


def test_an_id_of_the_tvdb_is_enough_where_the_setting_says_so() -> None:
    item = replace(PLACED, ids=Ids(tvdb=349232), show_ids=Ids(tvdb=81189))

    assert describe(wire({}, show_ids="tmdb,tvdb").send(replace(MARK, item=item))) == "done"


@pytest.mark.parametrize(
    "history",
    [
        {"movies": [{"last_watched_at": NOW.isoformat(), "movie": BODY}]},  # a state
        {"movies": [{"play_id": 7, "watched_at": "2026-11-21T20:15:09Z", "movie": BODY}]},
        {"movies": [{"play_id": 7, "watched_at": NOW.isoformat(), "movie": {"ids": {"tmdb": 97}}}]},
        {"episodes": [{"play_id": 7, "watched_at": NOW.isoformat(), "season": 1, "number": 1, "show": BODY}]},
    ],
    ids=str,
)
def test_what_is_no_play_of_this_viewing_does_not_keep_it_back(history: Any) -> None:
    at = wire({"GET /sync/watched": answer(200, {**EMPTY, **history})})

    assert describe(at.send(replace(MARK, unsure=True))) == "done"
    assert at.requests("POST") == ["POST /scrobble/stop"]


@pytest.mark.parametrize(("unsure", "handle"), [(True, "7"), (False, None)])
@pytest.mark.parametrize("date", ["watched_at", "last_watched_at"])
def test_a_play_that_is_there_is_not_sent_again(date: str, unsure: bool, handle: str | None) -> None:
    there = {"play_id": 7, date: "2026-11-22T20:15:40", "movie": BODY}
    at = wire({"GET /sync/watched": answer(200, {**EMPTY, "movies": [there]})})

    outcome = at.send(replace(MARK, unsure=unsure))

    assert isinstance(outcome, Done)
    assert outcome.remote_id == handle
    assert at.requests("POST") == []


def test_a_page_that_comes_again_and_again_ends_the_reading() -> None:
    more = {**EMPTY, "pagination": {"has_more": True, "next_cursor": "same"}}

    assert describe(wire({"GET /sync/watched": answer(200, more)}).send(MARK)) == "retry in 60s"


def test_a_list_without_cursors_is_read_by_number() -> None:
    row = {"play_id": 7, "watched_at": "2026-01-01T00:00:00Z", "movie": BODY}
    more = {**EMPTY, "movies": [row], "shows": [{}], "pagination": {"has_more": True}}
    at = wire({"GET /sync/watched": [answer(200, more), answer(200, EMPTY)]})

    assert describe(at.send(MARK)) == "done"
    assert at.requests("GET")[1].endswith("&offset=2")
