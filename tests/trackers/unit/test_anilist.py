"""The tracker `anilist` alone: each answer of the contract's table, and the request of each action."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from tests.trackers._adapters import NOW
from tests.trackers.unit._progress import FILM, LONG_AGO, SINCE, TITANS, episode, film
from tests.trackers.unit._wire import COMMON, Reply, Wire, answer, body_of, case_id, describe
from webhook import clock
from webhook.domain.event import Action
from webhook.domain.outcome import Done, Skip, Unmatched
from webhook.domain.play import Dated
from webhook.trackers import Access, Delivery, SignInFailed

pytestmark = pytest.mark.unit

DATES = {"year": 2026, "month": 11, "day": 22}
NO_DATE = {"year": None, "month": None, "day": None}
SIGNED_OUT = [
    answer(401, {"data": None, "errors": [{"message": "Unauthorized.", "status": 401}]}),
    answer(401, ""),
    answer(400, {"data": None, "errors": [{"message": "Invalid token", "status": 400}]}),
    answer(403, {"errors": [{"message": "Invalid token", "status": 403}]}),
    answer(200, {"data": None, "errors": [{"message": "Unauthorized.", "status": 401}]}),
    answer(200, {"data": None, "errors": [{"message": "Invalid token", "status": 400}]}),
]


def error(message: str, status: int, http: int | None = None, **headers: str) -> Any:
    errors = [{"message": message, "status": status, "locations": [{"line": 1, "column": 2}]}]
    return answer(status if http is None else http, {"data": None, "errors": errors}, **headers)


def entry(status: str, progress: int, repeat: int = 0, at: datetime = LONG_AGO, **dates: Any) -> Any:
    days = {"startedAt": NO_DATE, "completedAt": NO_DATE, **dates}
    return {
        "id": 90001,
        "status": status,
        "progress": progress,
        "repeat": repeat,
        "updatedAt": int(at.timestamp()),
        **days,
    }


def media(there: Any = None, *, anime: int = TITANS, episodes: int | None = 25, **more: Any) -> Any:
    known = {"id": anime, "episodes": episodes, "format": "TV", "status": "FINISHED", **more}
    return answer(200, {"data": {"Media": {**known, "mediaListEntry": there}}})


def saved(there: Any) -> Any:
    return answer(200, {"data": {"SaveMediaListEntry": there}})


def wire(*replies: Reply, **settings: Any) -> Wire:
    where = {"client_id": "4711", "calls_per_minute": 0, **settings}
    return Wire("anilist", where, {"token": "my-token", "name": "anna"}, {"POST /": [*replies]})


def variables(at: Wire) -> list[Any]:
    return [body_of(request)["variables"] for request in at.sent]


@pytest.mark.parametrize(
    ("delivery", "there", "written"),
    [
        (episode(5), None, {"status": "CURRENT", "progress": 5, "repeat": 0, "startedAt": DATES}),
        (
            episode(25),
            None,
            {"status": "COMPLETED", "progress": 25, "repeat": 0, "startedAt": DATES, "completedAt": DATES},
        ),
        (episode(5), entry("CURRENT", 4), {"status": "CURRENT", "progress": 5, "repeat": 0}),
        (episode(5), entry("DROPPED", 4, 2), {"status": "CURRENT", "progress": 5, "repeat": 2}),
        (
            episode(25),
            entry("CURRENT", 24, startedAt={"year": 2025, "month": 3, "day": None}),
            {"status": "COMPLETED", "progress": 25, "repeat": 0, "completedAt": DATES},
        ),
        (
            episode(1, rewatch=True),
            entry("COMPLETED", 25, completedAt=DATES),
            {"status": "REPEATING", "progress": 1, "repeat": 0},
        ),
        (
            episode(25),
            entry("REPEATING", 24, 1, completedAt=DATES),
            {"status": "COMPLETED", "progress": 25, "repeat": 2},
        ),
        (
            episode(25, dated=Dated.TICKED, late=True),
            None,
            {"status": "COMPLETED", "progress": 25, "repeat": 0, "completedAt": None},
        ),
        (
            episode(5, dated=Dated.DAY, late=True, at=datetime(2026, 11, 20, 23, 30, tzinfo=UTC)),
            None,
            {"status": "CURRENT", "progress": 5, "repeat": 0, "startedAt": {**DATES, "day": 20}},
        ),
    ],
)
def test_each_action_is_this_request(delivery: Delivery, there: Any, written: Any) -> None:
    told = {**written, "startedAt": NO_DATE, "completedAt": NO_DATE}
    at = wire(media(there), saved(entry(told["status"], told["progress"], told["repeat"])))

    outcome = at.send(delivery)

    assert describe(outcome) == "done", outcome
    assert outcome.remote_id
    assert variables(at) == [{"id": TITANS}, {"mediaId": TITANS, **written}]
    assert {request.headers["authorization"] for request in at.sent} == {"Bearer my-token"}
    assert {str(request.url) for request in at.sent} == {"https://graphql.anilist.co"}
    assert at.violations() == []


@pytest.mark.parametrize(
    ("delivery", "there", "known"),
    [
        (episode(3), entry("CURRENT", 10), {}),
        (episode(10), entry("PAUSED", 10), {}),
        (episode(5), entry("COMPLETED", 25), {}),
        (episode(1), entry("COMPLETED", 25), {}),
        (episode(1, rewatch=True), entry("COMPLETED", 25, at=NOW), {}),
        (episode(1, rewatch=True, late=True), entry("COMPLETED", 25, at=SINCE), {}),
        (episode(1, rewatch=True, dated=Dated.DAY), entry("COMPLETED", 25), {}),
        (episode(2, rewatch=True), entry("COMPLETED", 25), {}),
        (episode(25, rewatch=True), entry("COMPLETED", 25), {}),
        (film(), entry("COMPLETED", 1), {"anime": FILM, "format": "MOVIE", "episodes": None}),
    ],
)
def test_what_says_no_more_than_the_entry_is_not_sent(delivery: Delivery, there: Any, known: Any) -> None:
    at = wire(media(there, **known))

    outcome = at.send(delivery)

    assert describe(outcome) == "done", outcome
    assert outcome.remote_id is None
    assert len(at.sent) == 1


@pytest.mark.parametrize("known", [{"episodes": None}, {"status": "RELEASING"}])
def test_an_anime_that_is_still_shown_is_not_completed(known: Any) -> None:
    at = wire(media(entry("CURRENT", 24), **known), saved(entry("CURRENT", 25)))

    at.send(episode(25))

    assert variables(at)[-1]["status"] == "CURRENT"


def test_a_number_that_the_anime_does_not_have_waits_for_a_person() -> None:
    at = wire(media(entry("CURRENT", 4), episodes=12))

    outcome = at.send(episode(13))

    assert isinstance(outcome, Unmatched)
    assert "episode 13, and this anime has 12" in outcome.reason
    assert len(at.sent) == 1


def test_the_day_is_the_persons_own() -> None:
    at = wire(media(), saved(entry("CURRENT", 5)))

    async def send(tracker: Any, access: Any) -> Any:
        access.zone = timezone(timedelta(hours=9))
        return await tracker.send(episode(5), access)

    at.run(send)

    assert variables(at)[-1]["startedAt"] == {**DATES, "day": 23}


OUTCOMES = [
    *COMMON,
    *((reply, "park signed_out") for reply in SIGNED_OUT),
    (error("Not Found.", 404), "unmatched"),
    (error("Not Found.", 404, 200), "unmatched"),
    (answer(404, "404 page not found"), "dead"),
    (error("validation", 400), "dead"),
    (error("validation", 400, 200), "dead"),
    (error("Too Many Requests.", 429, retry_after="60"), "snooze 60s"),
    (error("Too Many Requests.", 429, 200, retry_after="60"), "snooze 60s"),
    (error("Too Many Requests.", 429), "snooze 300s"),
    (error("Internal Server Error", 500, 200), "retry in 60s unsure suspect"),
    (error("Bad Gateway", 502, 200), "retry in 60s unsure"),
    (error("The AniList API has been temporarily disabled", 403), "snooze 900s"),
    (answer(403, "<html>"), "snooze 900s"),
    (answer(200, {"data": None, "errors": [{"message": "?"}]}), "dead"),
    (answer(200, {"data": {}}), "retry in 60s {}suspect"),
    (answer(200, {"data": {"Media": None, "SaveMediaListEntry": None}}), "retry in 60s {}suspect"),
]


@pytest.mark.parametrize(("reply", "outcome"), OUTCOMES, ids=case_id)
def test_each_answer_has_this_outcome(reply: Any, outcome: str) -> None:
    assert describe(wire(media(), reply).send(episode(5))) == outcome.format("unsure ")


@pytest.mark.parametrize(("reply", "outcome"), OUTCOMES[len(COMMON) :], ids=case_id)
def test_each_answer_to_a_look_has_this_outcome(reply: Any, outcome: str) -> None:
    at = wire(reply)

    assert describe(at.send(episode(5))) == outcome.format("")
    assert len(at.sent) == 1


def test_an_entry_that_is_not_what_was_sent_is_looked_at_again() -> None:
    at = wire(media(entry("CURRENT", 4)), saved(entry("CURRENT", 4)))

    assert describe(at.send(episode(5))) == "retry unsure suspect"


def test_a_state_that_is_not_known_is_left_alone() -> None:
    assert describe(wire(media(entry("ON_THE_MOON", 4))).send(episode(5))) == "retry in 60s suspect"


# A lost answer


@pytest.mark.parametrize(
    ("delivery", "before", "after", "calls"),
    [
        (episode(5), entry("CURRENT", 4), entry("CURRENT", 5), 1),
        (episode(1, rewatch=True), entry("COMPLETED", 25), entry("REPEATING", 1), 1),
        (episode(25), entry("REPEATING", 24, 1), entry("COMPLETED", 25, 2), 1),
        (film(rewatch=True), entry("COMPLETED", 1, 3), entry("COMPLETED", 1, 4), 1),
        (
            film(rewatch=True),
            entry("COMPLETED", 1, 3),
            entry("COMPLETED", 1, 5),
            1,
        ),  # somebody else did since
        (film(rewatch=True), entry("COMPLETED", 1, 3), entry("COMPLETED", 1, 3), 2),  # it never arrived
    ],
)
def test_a_mark_whose_answer_was_lost_counts_once(
    delivery: Delivery, before: Any, after: Any, calls: int
) -> None:
    known = {"anime": delivery.anime.id, "episodes": 1 if delivery.anime.id == FILM else 25}  # type: ignore[union-attr]
    first = wire(media(before, **known), answer(502, {}))
    stored: dict[int, str] = {}

    async def send(tracker: Any, access: Any) -> Any:
        try:
            return await tracker.send(delivery, access)
        finally:
            stored.update(access.stored)

    lost = first.run(send)
    again = wire(media(after, **known), saved(entry(after["status"], after["progress"], 4)))
    outcome = again.send(replace(delivery, unsure=True, remote_id=stored[delivery.id]))

    assert describe(lost) == "retry in 60s unsure"
    assert describe(outcome) == "done", outcome
    assert len(again.sent) == calls


# Many at once


def many(at: Wire, *deliveries: Delivery) -> Any:
    return at.run(lambda tracker, access: tracker.send_many(deliveries, access))


def test_the_marks_of_one_anime_are_one_write_of_the_highest() -> None:
    at = wire(media(entry("CURRENT", 2)), saved(entry("CURRENT", 9)))

    outcomes = many(at, *(episode(number, late=True) for number in (1, 4, 9, 7)))

    assert [describe(outcome) for outcome in outcomes] == ["done"] * 4
    assert [bool(outcome.remote_id) for outcome in outcomes] == [False, True, True, False]
    assert [one.get("progress") for one in variables(at)] == [None, 9]


def test_one_that_does_not_fit_keeps_none_of_the_others_back() -> None:
    at = wire(media(None, episodes=12), saved(entry("CURRENT", 9)))

    outcomes = many(at, episode(9), episode(13))

    assert [describe(outcome) for outcome in outcomes] == ["done", "unmatched"]


def test_what_breaks_off_leaves_what_was_sent_as_it_is() -> None:
    at = wire(media(), saved(entry("CURRENT", 5)), answer(429, {}, retry_after="60"))

    outcomes = many(at, episode(5), film(), film(id=77))

    assert [describe(outcome) for outcome in outcomes] == ["done", "snooze 60s", "snooze 60s"]
    assert len(at.sent) == 3


# Taking back


def undo(handle: str | None, *replies: Reply) -> tuple[Any, Wire]:
    at = wire(*replies)
    return at.send(episode(5, remote_id=handle, action=Action.UNWATCHED, mark=False)), at


def test_a_mark_is_taken_back_to_what_was_there() -> None:
    outcome, at = undo(
        f"{TITANS} p4.1.20260101. w5.1", media(entry("CURRENT", 5, 1)), saved(entry("PAUSED", 4, 1))
    )

    assert isinstance(outcome, Done)
    started = {"year": 2026, "month": 1, "day": 1}
    assert variables(at)[-1] == {
        "mediaId": TITANS,
        "status": "PAUSED",
        "progress": 4,
        "repeat": 1,
        "startedAt": started,
    }
    assert at.violations() == []


def test_a_day_of_ours_is_cleared_and_an_entry_of_ours_removed() -> None:
    _, back = undo(
        f"{TITANS} w24.0.. c25.0",
        media(entry("COMPLETED", 25, completedAt=DATES)),
        saved(entry("CURRENT", 24)),
    )
    gone, removed = undo(
        f"{TITANS} - w5.0",
        *[media(entry("CURRENT", 5))] * 2,
        answer(200, {"data": {"DeleteMediaListEntry": {"deleted": True}}}),
    )

    assert variables(back)[-1]["completedAt"] is None
    assert isinstance(gone, Done)
    assert variables(removed)[-1] == {"id": 90001}
    assert removed.violations() == []


@pytest.mark.parametrize("there", [None, entry("CURRENT", 6), entry("COMPLETED", 25)])
def test_what_was_changed_since_stays(there: Any) -> None:
    outcome, at = undo(f"{TITANS} w4.0.. w5.0", media(there))

    assert isinstance(outcome, Skip)
    assert "changed since" in outcome.reason
    assert len(at.sent) == 1


@pytest.mark.parametrize("handle", [None, "9001"])
def test_what_was_never_written_is_not_taken_back(handle: str | None) -> None:
    outcome, at = undo(handle)

    assert isinstance(outcome, Skip)
    assert at.sent == []


# The sign-in


def sign_in(*replies: Reply) -> Any:
    return wire(*replies).run(lambda tracker, access: tracker.accept_token(" pasted "))


def test_a_pasted_token_is_checked() -> None:
    viewer = {"id": 5501, "name": "alice", "mediaListOptions": {"scoreFormat": "POINT_10"}}

    tokens = sign_in(answer(200, {"data": {"Viewer": viewer}}))

    assert tokens == {"token": "pasted", "name": "alice"}


@pytest.mark.parametrize("reply", SIGNED_OUT, ids=case_id)
def test_a_token_that_anilist_does_not_know_is_refused_with_the_link_to_another(reply: Any) -> None:
    outcome = sign_in(reply)

    assert isinstance(outcome, SignInFailed)
    assert "https://anilist.co/api/v2/oauth/authorize?client_id=4711&response_type=token" in str(outcome)


@pytest.mark.parametrize("reply", [answer(503, {}), answer(403, "<html>")], ids=case_id)
def test_a_service_in_trouble_is_no_wrong_token(reply: Any) -> None:
    outcome = sign_in(reply)

    assert isinstance(outcome, SignInFailed)
    assert "does not know this token" not in str(outcome)


def ending(days: float) -> str:
    body = json.dumps({"exp": int((clock.now() + timedelta(days=days)).timestamp())})
    return f"head.{base64.urlsafe_b64encode(body.encode()).decode().rstrip('=')}.sign"


@pytest.mark.parametrize(
    ("token", "warns"), [(13, True), (15, False), ("my-token", False), ("a.b.c", False), ("a.W10.c", False)]
)
def test_a_token_that_ends_soon_is_said_with_every_mark(token: str | int, warns: bool) -> None:
    at = wire(media(), saved(entry("CURRENT", 5)))
    at.tokens = {"token": ending(token) if isinstance(token, int) else token}

    outcome = at.send(episode(5))

    assert bool(outcome.note) == warns
    assert not warns or "sign in again before that" in outcome.note


def test_the_pace_is_a_setting() -> None:
    async def pace(tracker: Any, access: Access) -> Any:
        return tracker.writes_per_second, tracker.pace.per_minute

    assert wire(calls_per_minute=90).run(pace) == (1.5, 90)
