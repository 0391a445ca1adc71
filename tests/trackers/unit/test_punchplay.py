"""The tracker `punchplay` alone: each answer of the contract's table, and the request of each action."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.trackers._adapters import FILM, LATE, MARK, NOW, PILOT, PLACED
from tests.trackers.unit._wire import COMMON, Replies, Wire, answer, body_of, case_id, describe
from webhook import clock
from webhook.domain.event import Action, Ids
from webhook.domain.outcome import Done, Retry
from webhook.domain.play import Dated
from webhook.trackers import Delivery, DeviceCode, Tokens

pytestmark = pytest.mark.unit

START = replace(MARK, action=Action.START, mark=False, progress=20.0)
PAUSE = replace(MARK, action=Action.PAUSE, mark=False, progress=42.5, duration_ms=7_200_000)
STOP = replace(PAUSE, action=Action.STOP, progress=75.0, position_ms=5_400_500)
UNMARK = replace(MARK, action=Action.UNWATCHED, mark=False, progress=None, remote_id="9001")
DEVICE = "9f0f6a62-0000-4000-8000-000000000001"
TOKENS: Tokens = {"access_token": "token", "refresh_token": "other", "device_id": DEVICE}
AT, LATE_AT = "2026-11-22T20:15:09Z", "2026-11-22T15:15:09Z"
NAMES = {"tmdb_id": 20526, "title": "TRON: Legacy", "year": 2010}
PART = {"season": 1, "episode": 1, "episode_title": "Pilot"}
SHOW = {"tmdb_id": 1396, "title": "Breaking Bad", "year": 2008, **PART}
MS = 1_795_378_509_000
EVENT = {
    "media_type": "movie",
    **NAMES,
    "playback_session_id": f"wm-{MS - 7_200_000}",
    "event_created_at": MS,
    "device_id": DEVICE,
}
LASTS = {"duration_seconds": 7200}
KEPT = {"kind": "movie", **NAMES, "watched_at": LATE_AT, "client_item_id": f"wm-2-{MS - 18_000_000}"}
ROW = {"id": 9001, "kind": "movie", "tmdbId": 20526, "watched_at": "2026-11-22T20:15:40Z"}


def listed(*rows: Any, following: Any = None) -> Any:
    return answer(200, {"items": list(rows), "nextCursor": following})


def result(*rows: Mapping[str, Any]) -> Any:
    return answer(
        200, {"inserted": 1, "results": [{"index": index, **row} for index, row in enumerate(rows)]}
    )


def wire(replies: Replies, tokens: Tokens = TOKENS) -> Wire:
    usual: Mapping[str, Any] = {
        "GET /api/platform/v1/me/history": listed(),
        "POST /api/platform/v1/playback/": answer(200, {"ok": True, "tmdb_id": 20526}),
        "POST /api/platform/v1/sync/history": result({"status": "inserted"}),
        "POST /api/platform/v1/auth/refresh": answer(400, {"error": "invalid_grant"}),
        "DELETE /api/platform/v1/watch-history/9001": answer(204),
    }
    at = {
        f"{method} /api/platform/v1{path}": reply
        for (method, path), reply in ((route.split(" "), reply) for route, reply in replies.items())
    }
    rest = {route: reply for route, reply in usual.items() if route not in at}
    return Wire("punchplay", {"client_id": "app"}, tokens, {**at, **rest})


def paths(at: Wire, method: str = "") -> list[str]:
    return [line.replace("/api/platform/v1", "") for line in at.requests(method)]


@pytest.mark.parametrize(
    ("delivery", "path", "body"),
    [
        (START, "/playback/start", {**EVENT, "progress": 0.2, "event_id": f"wm-1-{MS}-start"}),
        (
            replace(START, progress=None),
            "/playback/start",
            {**EVENT, "progress": 0.0, "event_id": f"wm-1-{MS}-start"},
        ),
        (
            PAUSE,
            "/playback/pause",
            {**EVENT, **LASTS, "progress": 0.425, "position_seconds": 3060, "event_id": f"wm-1-{MS}-pause"},
        ),
        (
            replace(PAUSE, progress=93.0),
            "/playback/pause",
            {**EVENT, **LASTS, "progress": 0.93, "position_seconds": 6696, "event_id": f"wm-1-{MS}-pause"},
        ),
        (
            STOP,
            "/playback/stop",
            {
                **EVENT,
                **LASTS,
                "progress": 0.75,
                "position_seconds": 5400,
                "event_id": f"wm-1-{MS}-stop",
                "watched": False,
            },
        ),
        (MARK, "/playback/stop", {**EVENT, "progress": 0.97, "event_id": f"wm-1-{MS}-stop", "watched": True}),
        (
            replace(MARK, progress=None),
            "/playback/stop",
            {**EVENT, "progress": 0.9, "event_id": f"wm-1-{MS}-stop", "watched": True},
        ),
        (
            replace(MARK, item=PLACED),
            "/playback/stop",
            {
                **EVENT,
                "media_type": "episode",
                **SHOW,
                "progress": 0.97,
                "event_id": f"wm-1-{MS}-stop",
                "watched": True,
            },
        ),
        (LATE, "/sync/history", {"items": [KEPT]}),
        (replace(LATE, item=PLACED), "/sync/history", {"items": [{**KEPT, "kind": "episode", **SHOW}]}),
        (
            replace(LATE, dated=Dated.DAY),
            "/sync/history",
            {"items": [{**KEPT, "watched_at": "2026-11-22T12:00:00Z"}]},
        ),
    ],
    ids=case_id,
)
def test_each_action_is_this_request(delivery: Delivery, path: str, body: Any) -> None:
    at = wire({})

    outcome = at.send(delivery)

    assert describe(outcome) == "done", outcome
    assert paths(at, "POST") == [f"POST {path}"]
    sent = body_of(at.sent[-1])
    assert sent.pop("client_version", "Watchmark").startswith("Watchmark")
    assert sent == body
    assert at.sent[-1].headers["authorization"] == "Bearer token"
    assert at.violations() == []


CALLS = [
    (START, "POST /playback/start"),
    (PAUSE, "POST /playback/pause"),
    (MARK, "POST /playback/stop"),
    (LATE, "POST /sync/history"),
]
OUTCOMES = [
    *COMMON,
    (answer(401, {"error": "unauthorized"}), "park signed_out"),
    (answer(403, {"error": "insufficient_scope"}), "park signed_out"),
    (answer(404, {"error": "not_found"}), "unmatched"),
    (answer(422, {"error": "unresolved", "message": "No title matches"}), "unmatched"),
    *((answer(status, {"error": "invalid_request"}), "dead") for status in (400, 405, 413)),
]


@pytest.mark.parametrize(("delivery", "route"), CALLS, ids=case_id)
@pytest.mark.parametrize(("reply", "outcome"), OUTCOMES, ids=case_id)
def test_each_answer_has_this_outcome(delivery: Delivery, route: str, reply: Any, outcome: str) -> None:
    assert describe(wire({route: reply}).send(delivery)) == outcome


def test_the_words_of_the_service_are_the_reason() -> None:
    refused = answer(422, {"error": "unresolved", "message": "No title matches", "request_id": "req_7"})

    outcome = wire({"POST /playback/stop": refused}).send(MARK)

    assert "No title matches" in outcome.reason
    assert "req_7" in outcome.answer


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ({"ok": True}, "scrobble"),
        ({"ok": True, "deduped": True}, "scrobble"),
        ({"ok": True, "ignored": "too short"}, "too short"),
    ],
    ids=str,
)
def test_what_was_ignored_counts_as_sent_and_says_why(said: Any, shown: str) -> None:
    outcome = wire({"POST /playback/stop": answer(200, said)}).send(MARK)

    assert isinstance(outcome, Done)
    assert shown in str(outcome.answer)


# Many at once

MANY = [replace(LATE, id=number, at=LATE.at - timedelta(hours=number)) for number in range(3)]


def send_many(at: Wire, deliveries: list[Delivery]) -> Any:
    return at.run(lambda tracker, access: tracker.send_many(deliveries, access))


@pytest.mark.parametrize(
    ("row", "outcome", "handle"),
    [
        ({"status": "inserted"}, "done", True),
        ({"status": "updated"}, "done", True),
        ({"status": "deferred"}, "done", True),
        ({"status": "skipped"}, "done", False),
        ({"status": "invalid", "error": "no title matches"}, "unmatched", False),
        ({"status": "new"}, "unmatched", False),
        ({}, "unmatched", False),
    ],
    ids=str,
)
def test_each_result_has_this_outcome(row: Any, outcome: str, handle: bool) -> None:
    done = wire({"POST /sync/history": result(row)}).send(LATE)

    assert describe(done) == outcome
    assert bool(getattr(done, "remote_id", None)) == handle
    assert row.get("error", "") in getattr(done, "reason", "")


def test_what_is_missing_from_the_results_is_not_done() -> None:
    short = result({"status": "inserted"}, {"status": "invalid", "error": "no title matches"})

    outcomes = send_many(wire({"POST /sync/history": short}), MANY)

    assert [*map(describe, outcomes)] == ["done", "unmatched", "retry in 60s unsure suspect"]


@pytest.mark.parametrize("status", [400, 413, 422])
def test_what_all_are_refused_for_is_found_by_halves(status: int) -> None:
    refusal = answer(status, {"error": "invalid_request"})
    done = result({"status": "inserted"})
    at = wire({"POST /sync/history": [refusal, done, refusal, refusal, done]})

    outcomes = send_many(at, MANY)

    assert [*map(describe, outcomes)] == ["done", "unmatched" if status == 422 else "dead", "done"]
    keys = [request.headers["idempotency-key"] for request in at.sent if request.method == "POST"]
    assert len(set(keys)) == 5


def test_a_body_has_the_same_key_each_time_and_another_once_that_has_ended_unknown() -> None:
    unknown = answer(409, {"error": "idempotency_indeterminate"})
    at = wire({"POST /sync/history": [503, unknown, result({"status": "inserted"})]})

    async def thrice(tracker: Any, access: Any) -> list[Any]:
        outcomes = []
        for unsure in (False, True, True):
            try:
                outcomes.append(await tracker.send(replace(LATE, unsure=unsure), access))
            except Retry as decision:
                outcomes.append(decision)
        return outcomes

    outcomes = at.run(thrice)

    assert [*map(describe, outcomes)] == ["retry", "retry in 60s unsure", "done"]
    keys = [request.headers["idempotency-key"] for request in at.sent if request.method == "POST"]
    assert keys[0] == keys[1] != keys[2]
    assert paths(at, "GET")[-1].startswith("GET /me/history")


def test_a_call_that_is_still_worked_on_is_repeated_for_a_while() -> None:
    busy = answer(409, {"error": "request_in_progress"}, retry_after="0")
    at = wire({"POST /sync/history": [busy, busy, result({"status": "inserted"})]})
    still = wire({"POST /sync/history": busy})

    assert describe(at.send(LATE)) == "done"
    assert describe(still.send(LATE)) == "retry in 60s unsure"
    assert len(paths(still, "POST")) == 4
    assert (
        len({request.headers["idempotency-key"] for request in still.sent if request.method == "POST"}) == 1
    )


def test_what_lies_in_the_future_is_dated_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: NOW - timedelta(minutes=1))
    at = wire({})

    assert describe(at.send(replace(MARK, late=True))) == "done"
    assert body_of(at.sent[-1])["items"][0]["watched_at"] == "2026-11-22T20:14:09Z"


# A look before, and an undo


@pytest.mark.parametrize("unsure", [True, False])
@pytest.mark.parametrize(
    ("delivery", "row"),
    [
        (MARK, ROW),
        (MARK, {"id": 9001, "kind": "movie", "tmdb_id": 20526, "watchedAt": "2026-11-22T20:15:40"}),
        (
            replace(MARK, item=replace(PLACED, ids=Ids())),
            {"id": 9001, "kind": "episode", "showTmdbId": 1396, "season": 1, "episode": 1, "watched_at": AT},
        ),
        (replace(LATE, at=NOW), ROW),
    ],
    ids=case_id,
)
def test_a_play_that_is_there_is_not_sent_again(delivery: Delivery, row: Any, unsure: bool) -> None:
    at = wire({"GET /me/history": listed(row)})

    outcome = at.send(replace(delivery, unsure=unsure))

    assert isinstance(outcome, Done)
    assert outcome.remote_id == ("9001" if unsure else None)
    assert paths(at, "POST") == []


@pytest.mark.parametrize(
    "row",
    [
        {**ROW, "watched_at": "2026-11-21T20:15:09Z"},
        {**ROW, "tmdbId": 97},
        {**ROW, "kind": "episode", "show_tmdb_id": 20526, "season": 1, "episode": 1},
        {**ROW, "kind": "show"},
        {"kind": "movie", "tmdbId": 20526, "watched_at": AT},
    ],
    ids=str,
)
def test_another_play_does_not_keep_this_one_back(row: Any) -> None:
    assert describe(wire({"GET /me/history": listed(row)}).send(replace(MARK, unsure=True))) == "done"


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (answer(200, {"ok": True}), "done"),
        (answer(204), "done"),
        (answer(404, {"error": "not_found"}), "done"),
        (answer(401, {}), "park signed_out"),
        (answer(503, {}), "retry"),
    ],
    ids=case_id,
)
def test_each_answer_to_an_undo_has_this_outcome(reply: Any, outcome: str) -> None:
    assert describe(wire({"DELETE /watch-history/9001": reply}).send(UNMARK)) == outcome


def test_only_the_play_of_that_time_is_taken_back() -> None:
    others = [{**ROW, "id": 9000 + days, "watched_at": f"2026-11-{22 - days}T20:15:09Z"} for days in range(3)]
    at = wire({"GET /me/history": listed(*others), "DELETE /watch-history/9000": answer(204)})
    none = wire({"GET /me/history": listed(*others[1:])})

    outcomes = [one.send(replace(UNMARK, remote_id="2026-11-22T20:15:09Z")) for one in (at, none)]

    assert [outcome.answer for outcome in outcomes] == ["removed", "it was gone already"]
    assert paths(at, "DELETE") == ["DELETE /watch-history/9000"]
    assert paths(none, "DELETE") == []


@pytest.mark.parametrize(
    "item",
    [
        replace(FILM, ids=Ids(imdb="tt1104001")),
        replace(FILM, title=None),
        PILOT,
        replace(PLACED, numbering="absolute"),
        replace(PLACED, show=None),
    ],
    ids=repr,
)
@pytest.mark.parametrize("delivery", [START, MARK, LATE], ids=case_id)
def test_what_the_history_could_not_name_is_never_sent(delivery: Delivery, item: Any) -> None:
    at = wire({})

    assert describe(at.send(replace(delivery, item=item))) == "unmatched"
    assert at.sent == []


def test_long_texts_are_cut_and_impossible_years_left_out() -> None:
    at = wire({})

    assert describe(at.send(replace(MARK, item=replace(FILM, title="x" * 600, year=1)))) == "done"
    assert len(body_of(at.sent[-1])["title"]) == 500
    assert at.violations() == []


# The list


def read(at: Wire, since: datetime | None = None) -> Any:
    async def plays(tracker: Any, access: Any) -> list[str]:
        return [one.remote_id async for one in tracker.history(access, since)]

    return at.run(plays)


def test_a_list_is_read_no_further_than_its_order_allows() -> None:
    old, older = (
        {**ROW, "id": number, "watched_at": f"2026-11-0{9 - number}T20:15:40Z"} for number in (1, 2)
    )
    since = NOW - timedelta(days=2)
    falling = wire({"GET /me/history": [listed(ROW, old, following="2"), listed(older)]})
    rising = wire({"GET /me/history": [listed(older, old, following="2"), listed(ROW)]})

    assert read(falling, since) == ["9001"]
    assert len(falling.sent) == 1
    assert read(rising, since) == ["9001"]
    assert [line.split("?")[1] for line in rising.requests()] == ["limit=100", "limit=100&cursor=2"]


def test_a_long_list_is_read_at_the_pace_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr("asyncio.sleep", sleep)
    pages = [listed({**ROW, "id": number}, following=number + 1) for number in range(59)]

    found = read(wire({"GET /me/history": [*pages, listed({**ROW, "id": 59})]}))

    assert len(found) == 60
    assert waits == [1.0] * 10


def test_a_page_that_comes_again_and_again_ends_the_reading() -> None:
    assert describe(read(wire({"GET /me/history": listed(ROW, following=7)}))) == "retry in 60s"


# The sign-in

CODE = DeviceCode(
    user_code="ABCD-1234",
    url="https://punchplay.tv/link",
    interval=timedelta(0),
    expires_in=timedelta(minutes=10),
    device_code="secret",
)


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (answer(400, {"error": "authorization_pending"}), "None"),
        (answer(429, {"error": "slow_down"}, retry_after="0"), "None"),
        (503, "None"),
        (answer(400, {"error": "access_denied"}), "refused"),
        (answer(400, {"error": "expired"}), "expired"),
        (answer(400, {"error": "expired_token"}), "expired"),
        (answer(400, {"error": "invalid_grant"}), "does not know this code"),
        (answer(401, {"error": "invalid_client"}), "client id"),
    ],
    ids=case_id,
)
def test_each_answer_to_a_poll_has_this_outcome(reply: Any, said: str) -> None:
    at = wire({"POST /auth/device/token": reply})

    assert said in str(at.run(lambda tracker, access: tracker.poll(CODE)))
    assert at.violations() == []


def test_a_device_keeps_its_id_from_the_first_poll_to_the_last_renewal() -> None:
    given = {"access_token": "a", "refresh_token": "b", "expires_in": 3600}
    waiting = answer(400, {"error": "authorization_pending"})
    at = wire(
        {
            "POST /auth/device/token": [waiting, answer(200, given)],
            "POST /auth/refresh": answer(200, {**given, "refresh_token": "c"}),
        }
    )

    async def sign_in(tracker: Any, access: Any) -> Any:
        assert await tracker.poll(CODE) is None
        tokens = await tracker.poll(CODE)
        return tokens, await tracker.refresh(tokens)

    first, second = at.run(sign_in)

    assert first["device_id"] == second["device_id"]
    assert {body_of(request).get("device_id") for request in at.sent[:2]} == {first["device_id"]}
    assert second["refresh_token"] == "c"
    assert at.violations() == []


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (answer(400, {"error": "invalid_grant"}), "park signed_out"),
        (answer(401, {"error": "invalid_client"}), "park signed_out"),
        (answer(429, {}, retry_after="41"), "snooze 41s"),
        (503, "retry"),
    ],
    ids=case_id,
)
def test_each_answer_to_a_renewal_has_this_outcome(reply: Any, outcome: str) -> None:
    at = wire({"POST /auth/refresh": reply})

    assert describe(at.run(lambda tracker, access: tracker.refresh(TOKENS))) == outcome


def test_a_sign_in_is_given_back_by_its_refresh_token() -> None:
    at = wire({"POST /oauth/revoke": answer(200, {})})

    at.run(lambda tracker, access: tracker.revoke(TOKENS))

    assert body_of(at.sent[-1]) == {"client_id": "app", "token": "other", "token_type_hint": "refresh_token"}
    assert at.violations() == []
