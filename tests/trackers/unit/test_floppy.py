"""The tracker `floppy` alone: each answer of the contract's table, and the request of each action."""

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
from webhook.trackers import Delivery, Tokens, WatchedItem

pytestmark = pytest.mark.unit

EPISODE = replace(WATCHED_FILM, item=PLACED)
UNMARK = replace(WATCHED_FILM, action=Action.UNWATCHED, mark=False, remote_id="9001")
TOKEN: Tokens = {"token": "my-token", "name": "floppy.local"}
AT = "2026-11-22T20:15:09Z"
NOON = "2026-11-22T12:00:00Z"
MOVIE = "/api/v1/media/movie/tmdb/20526"
TV = "/api/v1/media/tv/tmdb/1396/1"
LOOK_FILM, SEND_FILM, REMOVE_FILM = f"GET {MOVIE}/history?", f"POST {MOVIE}/watch", f"DELETE {MOVIE}/history"
LOOK_PART, SEND_PART, REMOVE_PART = (
    f"GET {TV}/1/history?",
    f"POST {TV}/episodes/1/watch",
    f"DELETE {TV}/1/history",
)
UNTRACKED = answer(404, {"detail": "Media not found or not tracked."})


def paged(*rows: Mapping[str, Any], total: int | None = None) -> Any:
    pagination = {"total": len(rows) if total is None else total, "limit": 200, "offset": 0}
    return answer(200, {"pagination": pagination, "results": list(rows)})


def plays(*times: str | None, **more: Any) -> Any:
    return paged(
        *({"consumption_id": 9001 + n, "end_date": at, "created": AT, **more} for n, at in enumerate(times))
    )


def wire(replies: Replies, **settings: Any) -> Wire:
    """Nothing is there before the play is sent; afterwards it is."""
    added = {"consumption_id": 9001, "end_date": AT, "created": AT}
    usual: Mapping[str, Any] = {
        LOOK_FILM: [UNTRACKED, plays(AT)],
        LOOK_PART: [paged(), plays(AT)],
        SEND_FILM: answer(201, added),
        SEND_PART: answer(201, {**added, "item": {"media_id": "1396", "source": "tmdb"}}),
        REMOVE_FILM: answer(204),
    }
    rest = {route: reply for route, reply in usual.items() if route not in replies}
    return Wire("floppy", {"url": "http://floppy.local:8000", **settings}, TOKEN, {**replies, **rest})


@pytest.mark.parametrize(
    ("delivery", "requests", "body"),
    [
        (WATCHED_FILM, [LOOK_FILM, SEND_FILM, LOOK_FILM], {"end_date": AT, "external_id": "wm-1-1795378509"}),
        (EPISODE, [LOOK_PART, SEND_PART, LOOK_PART], {"end_date": AT}),
        (
            replace(EPISODE, at=NOW.astimezone(timezone(timedelta(hours=2)))),
            [LOOK_PART, SEND_PART, LOOK_PART],
            {"end_date": AT},
        ),
        (replace(EPISODE, dated=Dated.DAY), [LOOK_PART, SEND_PART, LOOK_PART], {"end_date": NOON}),
        (UNMARK, [LOOK_FILM, f"{REMOVE_FILM}/9001"], None),
    ],
    ids=case_id,
)
def test_each_action_is_this_request(delivery: Delivery, requests: list[str], body: Any) -> None:
    there = NOON if delivery.dated is Dated.DAY else AT
    replies: Replies = {LOOK_PART: [paged(), plays(there)]}
    at = wire({LOOK_FILM: plays(AT)} if delivery.action is Action.UNWATCHED else replies)

    outcome = at.send(delivery)

    assert describe(outcome) == "done", outcome
    assert outcome.remote_id == "9001"
    assert [made.startswith(wanted) for made, wanted in zip(at.requests(), requests, strict=True)]
    assert [body_of(request) for request in at.sent if request.method == "POST"] == ([body] if body else [])
    assert {request.headers["authorization"] for request in at.sent} == {"Bearer my-token"}
    assert at.violations() == []


@pytest.mark.parametrize(
    "url",
    ["http://floppy.local:8000/", "http://floppy.local:8000/api/v1", "http://floppy.local:8000/api/v1/"],
)
def test_the_address_may_name_the_api_or_not(url: str) -> None:
    assert describe(wire({}, url=url).send(WATCHED_FILM)) == "done"


OUTCOMES = [
    *COMMON,
    (answer(201, {"detail": "accepted"}), "retry in 60s unsure suspect"),
    (answer(401, {"detail": "Invalid token"}), "park signed_out"),
    (answer(403, {"detail": "Invalid token"}), "park signed_out"),
    (answer(404, {"detail": "Episode not found."}), "unmatched"),
    (answer(404, {"detail": "Could not resolve movie."}), "retry in 300s alone"),
    (answer(404, {"detail": "Could not resolve season."}), "retry in 300s alone"),
    (answer(404, {"detail": "Not found."}), "retry in 60s"),
    (answer(404, "<h1>Not Found</h1>"), "retry in 60s"),
    *((answer(status, {"detail": "no"}), "dead") for status in (400, 405, 409, 422)),
]


@pytest.mark.parametrize("delivery", [LATE_FILM, EPISODE], ids=case_id)
@pytest.mark.parametrize(("reply", "outcome"), OUTCOMES, ids=case_id)
def test_each_answer_has_this_outcome(delivery: Delivery, reply: Any, outcome: str) -> None:
    assert describe(wire({SEND_FILM: reply, SEND_PART: reply}).send(delivery)) == outcome


def test_what_floppy_does_not_find_at_tmdb_is_unmatched_after_some_tries() -> None:
    reply = answer(404, {"detail": "Could not resolve movie."})

    outcome = wire({SEND_FILM: reply}).send(replace(WATCHED_FILM, attempts=3))

    assert describe(outcome) == "unmatched"
    assert "Could not resolve movie" in outcome.reason


@pytest.mark.parametrize("unsure", [True, False])
@pytest.mark.parametrize("late", [True, False])
@pytest.mark.parametrize(
    ("delivery", "there"),
    [
        (WATCHED_FILM, {LOOK_FILM: plays("2026-11-22T20:15:40Z")}),
        (EPISODE, {LOOK_PART: plays("2026-11-22T20:15:40.123456Z")}),
    ],
)
def test_a_play_that_is_there_is_not_sent_again(
    delivery: Delivery, there: Any, unsure: bool, late: bool
) -> None:
    at = wire(there)

    outcome = at.send(replace(delivery, unsure=unsure, late=late))

    assert isinstance(outcome, Done)
    assert outcome.remote_id == ("9001" if unsure else None)
    assert at.requests("POST") == []


@pytest.mark.parametrize(
    "before",
    [
        plays("2026-11-21T20:15:09Z"),
        plays("2026-11-22T18:15:09Z"),
        plays(None),
        plays(None, status=0),
        plays(None, status=3),
    ],
    ids=case_id,
)
def test_another_viewing_does_not_keep_this_one_back(before: Any) -> None:
    at = wire({LOOK_FILM: [before, plays("2026-11-21T20:15:09Z", AT)]})

    outcome = at.send(replace(WATCHED_FILM, unsure=True))

    assert isinstance(outcome, Done)
    assert outcome.remote_id == "9002"
    assert len(at.requests("POST")) == 1


def test_a_play_that_is_not_there_afterwards_is_not_counted_as_done() -> None:
    outcome = wire({LOOK_PART: paged()}).send(EPISODE)

    assert describe(outcome) == "dead"
    assert "lists no such play" in outcome.reason


@pytest.mark.parametrize(
    "reply", [503, answer(200, "<html>"), answer(200, {"results": []}), answer(200, {"pagination": {}})]
)
def test_a_play_that_cannot_be_looked_for_afterwards_is_unsure(reply: Any) -> None:
    outcome = wire({LOOK_PART: [paged(), reply]}).send(EPISODE)

    assert isinstance(outcome, Retry)
    assert outcome.unsure


# Taking back


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (answer(204), "done"),
        (answer(404, {"detail": "Consumption entry not found."}), "done"),
        (answer(404, "<h1>Not Found</h1>"), "retry in 60s"),
        (answer(403, {"detail": "Invalid token"}), "park signed_out"),
    ],
    ids=case_id,
)
def test_each_answer_to_an_undo_has_this_outcome(reply: Any, outcome: str) -> None:
    assert describe(wire({LOOK_FILM: plays(AT), REMOVE_FILM: reply}).send(UNMARK)) == outcome


@pytest.mark.parametrize(
    "held", [UNTRACKED, paged(), plays(AT, status=3), paged({"consumption_id": 9002, "end_date": AT})]
)
def test_what_is_not_listed_as_a_play_is_never_removed(held: Any) -> None:
    at = wire({LOOK_FILM: held})

    outcome = at.send(UNMARK)

    assert isinstance(outcome, Done)
    assert "gone" in str(outcome.answer)
    assert at.requests("DELETE") == []


@pytest.mark.parametrize(
    ("times", "removed"),
    [(("2026-11-22T20:20:09Z", AT), 9002), (("2026-11-22T20:20:09Z", "2026-11-22T20:15:10Z"), None)],
)
def test_a_play_of_which_only_the_time_is_known_is_taken_back_by_exactly_that(
    times: tuple[str, ...], removed: int | None
) -> None:
    at = wire({LOOK_PART: plays(*times), REMOVE_PART: answer(204)})

    outcome = at.send(replace(UNMARK, item=PLACED, remote_id="2026-11-22T20:15:09+00:00"))

    assert isinstance(outcome, Done)
    assert at.requests("DELETE") == ([] if removed is None else [f"{REMOVE_PART}/{removed}"])


def test_what_was_not_ours_is_never_taken_back() -> None:
    at = wire({})

    assert describe(at.send(replace(UNMARK, remote_id=None))) == "dead"
    assert at.sent == []


# What is never sent


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


def test_what_has_no_date_is_never_sent_as_it_would_be_dated_now() -> None:
    at = wire({})

    assert describe(at.send(replace(EPISODE, dated=Dated.TICKED, late=True))) == "skip"
    assert at.sent == []


# What the account holds

SHOW = {
    "media_id": "1396",
    "source": "tmdb",
    "media_type": "episode",
    "season_number": 1,
    "episode_number": 1,
}
TICKED = {"consumption_id": 7, "end_date": AT, "status": 3}


def film_row(**more: Any) -> Mapping[str, Any]:
    item = {"media_id": "20526", "source": "tmdb", "media_type": "movie", "title": "TRON: Legacy"}
    return {**TICKED, "item": item, **more}


def listed(
    episodes: Any, films: Any, history: Any = None, since: datetime | None = None
) -> tuple[Wire, list[WatchedItem]]:
    at = wire(
        {
            "GET /api/v1/media/episode": episodes,
            "GET /api/v1/media/movie?": films,
            LOOK_FILM: history or UNTRACKED,
        }
    )

    async def read(tracker: Any, access: Any) -> list[WatchedItem]:
        return [one async for one in tracker.history(access, since)]

    return at, at.run(read)


def test_each_play_of_a_film_is_listed_with_its_own_date() -> None:
    history = plays(AT, "2025-01-02T03:04:05Z")

    at, found = listed(paged(), paged(film_row(status=1)), history)

    assert [(one.at, one.remote_id) for one in found] == [
        (NOW, "9001"),
        (datetime.fromisoformat("2025-01-02T03:04:05Z"), "9002"),
    ]
    assert {(one.item.title, one.item.ids.tmdb) for one in found} == {("TRON: Legacy", 20526)}
    assert at.violations() == []


def test_a_film_that_was_ticked_by_hand_has_no_number_to_remove() -> None:
    _, found = listed(paged(), paged(film_row()), paged(TICKED))

    assert [(one.at, one.remote_id) for one in found] == [(NOW, None)]


@pytest.mark.parametrize("status", [0, 1, 2, 4])
def test_what_is_planned_begun_or_dropped_is_no_viewing(status: int) -> None:
    unseen = {"end_date": None, "status": status}
    part = {"consumption_id": 1, "item": SHOW, **unseen}

    at, found = listed(paged(part), paged(film_row(**unseen)))

    assert found == []
    assert len(at.sent) == 2


def test_what_tmdb_does_not_have_is_left_out() -> None:
    other = {**SHOW, "source": "manual"}

    _, found = listed(
        paged({"consumption_id": 1, "end_date": AT, "item": other}, {"consumption_id": 2, "end_date": AT}),
        paged(film_row(item={"media_id": "a1", "source": "tmdb"}), film_row(item=other)),
    )

    assert found == []


def test_a_film_that_was_last_watched_before_is_not_asked_for() -> None:
    at, found = listed(paged(), paged(film_row()), since=NOW + timedelta(hours=1))

    assert found == []
    assert len(at.sent) == 2


# The sign-in


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (paged(), "floppy.local"),
        (answer(403, {"detail": "Invalid token"}), "does not know this token"),
        (answer(302, location="/accounts/login"), "check FLOPPY_URL"),
        (answer(404, "<h1>Not Found</h1>"), "check FLOPPY_URL"),
    ],
    ids=case_id,
)
def test_the_token_and_the_address_are_tried_when_one_signs_in(reply: Any, said: str) -> None:
    at = wire({"GET /api/v1/lists/?limit=1": reply})

    assert said in str(at.run(lambda tracker, access: tracker.accept_token(" my-token ")))
