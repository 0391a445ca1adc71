"""The tracker `scrob` alone: each answer of the contract's table, and the request of each action."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from tests.trackers._adapters import FILM, LATE_FILM, NOW, PILOT, PLACED, WATCHED_FILM
from tests.trackers.unit._wire import COMMON, Replies, Wire, answer, body_of, case_id, describe
from webhook.domain.event import Action, Ids
from webhook.domain.outcome import Done, Retry
from webhook.domain.play import Dated
from webhook.trackers import Delivery, Tokens

pytestmark = pytest.mark.unit

EPISODE = replace(WATCHED_FILM, item=PLACED)
NUMBERED = replace(EPISODE, item=replace(PLACED, ids=Ids()))
UNMARK = replace(WATCHED_FILM, action=Action.UNWATCHED, mark=False, remote_id="9001")
KEY: Tokens = {"token": "my-key", "name": "scrob.local"}
AT = "2026-11-22T20:15:09"
SEEN = {"watched_at": f"{AT}Z", "completed": True}
FILM_BODY = {"tmdb_id": 20526, "media_type": "movie", **SEEN}
PLACE = {"series_tmdb_id": 1396, "series_tvdb_id": 81189, "season_number": 1, "episode_number": 1}
PILOT_BODY = {"tmdb_id": 62085, "media_type": "episode", **SEEN, **PLACE}
MEDIA = {"type": "episode", "season_number": 1, "episode_number": 1, "show_tmdb_id": 1396, "tmdb_id": None}
OK = {"status": "ok", "message": "Marked TRON: Legacy as watched"}
NOTHING = {"watched": False, "events": []}
LOOK = "GET /api/proxy/history/item-events"
LIST = "GET /api/proxy/history?"
SEND = "POST /api/proxy/history"


def events(*times: str | None) -> Any:
    return answer(
        200, {"watched": True, "events": [{"id": 9001 + n, "watched_at": at} for n, at in enumerate(times)]}
    )


def page(*times: str | None, **media: Any) -> Any:
    rows = [{"id": 9001 + n, "watched_at": at, "media": {**MEDIA, **media}} for n, at in enumerate(times)]
    return answer(200, {"page": 1, "total_pages": 1, "results": rows})


def wire(replies: Replies, **settings: Any) -> Wire:
    """Nothing is there before the play is sent; afterwards it is."""
    usual: Mapping[str, Any] = {
        LOOK: [answer(200, NOTHING), events(AT)],
        LIST: [page(), page(AT)],
        SEND: answer(200, OK),
        "DELETE /api/proxy/history/event/9001": answer(200, {"status": "ok"}),
    }
    rest = {route: reply for route, reply in usual.items() if route not in replies}
    where = {"url": "http://scrob.local:7330/api/proxy", **settings}
    return Wire("scrob", where, KEY, {**replies, **rest})


@pytest.mark.parametrize(
    ("delivery", "requests", "body"),
    [
        (WATCHED_FILM, [LOOK, SEND, LOOK], FILM_BODY),
        (
            replace(WATCHED_FILM, at=NOW.astimezone(timezone(timedelta(hours=2)))),
            [LOOK, SEND, LOOK],
            FILM_BODY,
        ),
        (replace(WATCHED_FILM, dated=Dated.TICKED), [LOOK, SEND, LOOK], {**FILM_BODY, "watched_at": None}),
        (
            replace(WATCHED_FILM, dated=Dated.DAY),
            [LOOK, SEND, LOOK],
            {**FILM_BODY, "watched_at": "2026-11-22T12:00:00Z"},
        ),
        (EPISODE, [LOOK, LIST, SEND, LOOK], PILOT_BODY),
        (NUMBERED, [LIST, SEND, LIST], {**PILOT_BODY, "tmdb_id": 0}),
        (UNMARK, ["DELETE /api/proxy/history/event/9001"], None),
    ],
    ids=case_id,
)
def test_each_action_is_this_request(delivery: Delivery, requests: list[str], body: Any) -> None:
    dates = {Dated.EXACT: AT, Dated.DAY: "2026-11-22T12:00:00", Dated.TICKED: None}
    at = wire({LOOK: [answer(200, NOTHING), events(dates[delivery.dated])]})

    outcome = at.send(delivery)

    assert describe(outcome) == "done", outcome
    assert outcome.remote_id == "9001"
    assert [made.startswith(wanted) for made, wanted in zip(at.requests(), requests, strict=True)]
    assert [body_of(request) for request in at.sent if request.method == "POST"] == ([body] if body else [])
    assert {request.headers["x-api-key"] for request in at.sent} == {"my-key"}
    assert at.violations() == []


OUTCOMES = [
    *COMMON,
    (answer(200, {"status": "ignored", "reason": "could not identify media"}), "unmatched"),
    (answer(200, {"status": "later"}), "retry in 60s unsure suspect"),
    (answer(401, {"detail": "Could not validate credentials"}), "park signed_out"),
    (answer(403, "<html>"), "snooze 3600s"),
    (answer(404, {"detail": "Episode not found on TMDB"}), "unmatched"),
    (answer(404, {"detail": "TMDB Media not found: 20526"}), "retry in 300s alone"),
    (answer(404, {"detail": "Not Found"}), "retry in 60s"),
    (answer(404, "404 page not found"), "retry in 60s"),
    *((answer(status, {"detail": "no"}), "dead") for status in (400, 405, 409, 422)),
]


@pytest.mark.parametrize("delivery", [WATCHED_FILM, LATE_FILM, EPISODE, NUMBERED], ids=case_id)
@pytest.mark.parametrize(("reply", "outcome"), OUTCOMES, ids=case_id)
def test_each_answer_has_this_outcome(delivery: Delivery, reply: Any, outcome: str) -> None:
    assert describe(wire({SEND: reply}).send(delivery)) == outcome


def test_what_scrob_does_not_find_at_tmdb_is_unmatched_after_some_tries() -> None:
    reply = answer(404, {"detail": "TMDB Media not found: 20526"})

    outcome = wire({SEND: reply}).send(replace(WATCHED_FILM, attempts=3))

    assert describe(outcome) == "unmatched"
    assert "TMDB Media not found: 20526" in outcome.reason


@pytest.mark.parametrize(("unsure", "handle"), [(True, "9001"), (False, None)])
@pytest.mark.parametrize(
    ("delivery", "there"),
    [
        (WATCHED_FILM, {LOOK: events("2026-11-22T20:15:40")}),
        (EPISODE, {LOOK: events("2026-11-22T20:15:40.123456")}),
        (EPISODE, {LOOK: answer(200, NOTHING), LIST: page("2026-11-22T20:15:40", tmdb_id=349232)}),
        (NUMBERED, {LIST: page("2026-11-22T20:15:40")}),
        (replace(WATCHED_FILM, dated=Dated.TICKED), {LOOK: events(None)}),
        (replace(NUMBERED, dated=Dated.TICKED), {LIST: page(AT, None, None)}),
    ],
)
def test_a_play_that_is_there_is_not_sent_again(
    delivery: Delivery, there: Any, unsure: bool, handle: str | None
) -> None:
    at = wire(there)

    outcome = at.send(replace(delivery, unsure=unsure))

    assert isinstance(outcome, Done)
    assert bool(outcome.remote_id) == bool(handle)
    assert at.requests("POST") == []


@pytest.mark.parametrize(
    "there",
    [
        {LOOK: [events("2026-11-21T20:15:09"), events("2026-11-21T20:15:09", AT)]},
        {LOOK: [events(None), events(None, AT)]},
        {LOOK: [events("2026-11-22T18:15:09"), events("2026-11-22T18:15:09", AT)]},
    ],
    ids=str,
)
def test_another_viewing_does_not_keep_this_one_back(there: Any) -> None:
    at = wire(there)

    outcome = at.send(replace(WATCHED_FILM, unsure=True))

    assert isinstance(outcome, Done)
    assert outcome.remote_id == "9002"
    assert len(at.requests("POST")) == 1


@pytest.mark.parametrize(
    "media", [{"season_number": 2}, {"show_tmdb_id": 5501}, {"type": "movie", "tmdb_id": 62085}], ids=str
)
def test_a_play_of_another_item_does_not_keep_this_one_back(media: Any) -> None:
    at = wire({LIST: [page(AT, **media), page(AT)]})

    assert describe(at.send(NUMBERED)) == "done"
    assert len(at.requests("POST")) == 1


def test_a_play_that_is_not_there_afterwards_is_not_counted_as_done() -> None:
    outcome = wire({LOOK: answer(200, NOTHING)}).send(WATCHED_FILM)

    assert describe(outcome) == "dead"
    assert "lists no such play" in outcome.reason


@pytest.mark.parametrize("reply", [503, 502, answer(200, "<html>"), answer(200, {"x": 1})], ids=case_id)
def test_a_play_that_cannot_be_looked_for_afterwards_is_unsure(reply: Any) -> None:
    outcome = wire({LOOK: [answer(200, NOTHING), answer(200, NOTHING) if reply is None else reply]}).send(
        WATCHED_FILM
    )

    assert isinstance(outcome, Retry)
    assert outcome.unsure


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (answer(200, {"status": "ok"}), "done"),
        (answer(404, {"detail": "Event not found"}), "done"),
        (answer(404, "404 page not found"), "retry in 60s"),
        (answer(404, {"detail": "Not Found"}), "retry in 60s"),
        (answer(401, {"detail": "Could not validate credentials"}), "park signed_out"),
    ],
    ids=case_id,
)
def test_each_answer_to_an_undo_has_this_outcome(reply: Any, outcome: str) -> None:
    assert describe(wire({"DELETE /": reply}).send(UNMARK)) == outcome


@pytest.mark.parametrize(
    ("handle", "held", "removed"),
    [
        (f"{AT}+00:00", events("2026-11-22T20:20:09", AT), 9002),
        (f"{AT}+00:00", events("2026-11-22T20:20:09", "2026-11-22T20:15:10"), None),
        ("undated", events(AT, None), 9002),
        ("undated", events(AT), None),
    ],
)
def test_a_play_of_which_only_the_time_is_known_is_taken_back_by_exactly_that(
    handle: str, held: Any, removed: int | None
) -> None:
    at = wire({LOOK: held, "DELETE /": answer(200, {"status": "ok"})})

    outcome = at.send(replace(UNMARK, remote_id=handle))

    assert isinstance(outcome, Done)
    wanted = [] if removed is None else [f"DELETE /api/proxy/history/event/{removed}"]
    assert at.requests("DELETE") == wanted


def test_what_was_not_ours_is_never_taken_back() -> None:
    at = wire({})

    assert describe(at.send(replace(UNMARK, remote_id=None))) == "dead"
    assert at.sent == []


@pytest.mark.parametrize(
    "item",
    [
        replace(FILM, ids=Ids(imdb="tt1104001")),
        PILOT,
        replace(PLACED, numbering="absolute"),
        replace(PLACED, season=None),
    ],
    ids=repr,
)
def test_what_has_no_number_at_tmdb_is_never_sent(item: Any) -> None:
    at = wire({})

    assert describe(at.send(replace(WATCHED_FILM, item=item))) == "unmatched"
    assert at.sent == []


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (answer(200, {"display_name": None}), "scrob.local"),
        (answer(401, {}), "does not know this token"),
        (answer(307, location="/login"), "/api/proxy"),
        (answer(404, "<html>"), "/api/proxy"),
    ],
    ids=case_id,
)
def test_the_key_and_the_address_are_tried_when_one_signs_in(reply: Any, said: str) -> None:
    at = wire({"GET /api/proxy/profile/me": reply})

    assert said in str(at.run(lambda tracker, access: tracker.accept_token(" my-key ")))


def test_only_as_many_pages_are_read_as_the_time_needs() -> None:
    old = (NOW - timedelta(days=3)).replace(tzinfo=None)
    rows = [{"id": 1, "watched_at": old.isoformat(), "media": MEDIA}]
    at = wire({LIST: [answer(200, {"total_pages": 50, "results": rows}), page(AT)]})

    assert describe(at.send(NUMBERED)) == "done"
    assert len(at.requests("GET")) == 2


def test_a_time_without_a_zone_is_one_of_utc() -> None:
    at = wire({LIST: page(AT)})

    async def read(tracker: Any, access: Any) -> list[datetime]:
        return [one.at async for one in tracker.history(access)]

    assert at.run(read) == [NOW]
