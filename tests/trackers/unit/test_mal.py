"""The tracker `mal` alone: each answer of the contract's table, the request of each action, and the sign-in."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.trackers._adapters import NOW
from tests.trackers.unit._progress import FILM, LONG_AGO, SINCE, TITANS, episode, film
from tests.trackers.unit._wire import COMMON, Replies, Wire, answer, body_of, case_id, describe
from webhook.domain.event import Action
from webhook.domain.outcome import Done, Park, Skip, Snooze, Undelivered
from webhook.domain.play import Dated
from webhook.trackers import Delivery, SignInFailed

pytestmark = pytest.mark.unit

TOKENS = {
    "access_token": "eyJold",
    "refresh_token": "defold",
    "created_at": 1795380000,
    "expires_in": 2678400,
}
FRESH = {"token_type": "Bearer", "expires_in": 2678400, "access_token": "eyJnew", "refresh_token": "defnew"}
READ, WRITE = f"GET /v2/anime/{TITANS}", f"PUT /v2/anime/{TITANS}/my_list_status"
REMOVE, TOKEN = f"DELETE /v2/anime/{TITANS}/my_list_status", "POST /v1/oauth2/token"
GUARD = answer(403, "<html><title>403 Forbidden</title></html>")


def entry(status: str, watched: int, repeat: int | None = 0, at: datetime = LONG_AGO, **more: Any) -> Any:
    known = {"status": status, "score": 0, "num_episodes_watched": watched, "is_rewatching": False}
    again = {} if repeat is None else {"num_times_rewatched": repeat}
    return {**known, **again, "updated_at": at.isoformat(), **more}


def anime(there: Any = None, *, number: int = TITANS, **more: Any) -> Any:
    known = {"id": number, "title": "Shingeki no Kyojin", "num_episodes": 25, "media_type": "tv"}
    listed = {} if there is None else {"my_list_status": there}
    return answer(200, {**known, "status": "finished_airing", **more, **listed})


def wire(replies: Replies, **settings: Any) -> Wire:
    return Wire("mal", {"client_id": "4711", "calls_per_minute": 0, **settings}, TOKENS, replies)


def written(at: Wire) -> Any:
    return body_of(at.sent[-1])


WATCHING = {"status": "watching", "num_watched_episodes": "5"}
COMPLETED = {"status": "completed", "num_watched_episodes": "25"}


@pytest.mark.parametrize(
    ("delivery", "there", "fields"),
    [
        (episode(5), None, {**WATCHING, "start_date": "2026-11-22"}),
        (episode(25), None, {**COMPLETED, "start_date": "2026-11-22", "finish_date": "2026-11-22"}),
        (episode(5), entry("plan_to_watch", 0), {**WATCHING, "start_date": "2026-11-22"}),
        (episode(5), entry("watching", 4), WATCHING),
        (episode(5), entry("dropped", 4, 2), WATCHING),
        (episode(5), entry("on_hold", 4, start_date="2025-03"), WATCHING),
        (episode(25), entry("watching", 24), {**COMPLETED, "finish_date": "2026-11-22"}),
        (
            episode(1, rewatch=True),
            entry("completed", 25, 1),
            {"status": "completed", "num_watched_episodes": "1", "is_rewatching": "true"},
        ),
        (
            episode(5),
            entry("completed", 4, 1, is_rewatching=True),
            {"status": "completed", "num_watched_episodes": "5", "is_rewatching": "true"},
        ),
        (
            episode(25),
            entry("completed", 24, 1, is_rewatching=True, finish_date="2025-04-01"),
            {**COMPLETED, "is_rewatching": "false", "num_times_rewatched": "2"},
        ),
        (episode(25, dated=Dated.TICKED, late=True), None, COMPLETED),
    ],
)
def test_each_action_is_this_request(delivery: Delivery, there: Any, fields: Any) -> None:
    rewatching = fields.get("is_rewatching") == "true"
    reply = entry(fields["status"], int(fields["num_watched_episodes"]), None, is_rewatching=rewatching)
    at = wire({READ: anime(there), WRITE: answer(200, reply)})

    outcome = at.send(delivery)

    assert describe(outcome) == "done", outcome
    assert outcome.remote_id
    assert written(at) == fields
    assert [request.method for request in at.sent] == ["GET", "PUT"]
    assert {request.headers["authorization"] for request in at.sent} == {"Bearer eyJold"}
    assert at.violations() == []


@pytest.mark.parametrize(
    ("delivery", "there", "known"),
    [
        (episode(3), entry("watching", 10), {}),
        (episode(10), entry("on_hold", 10), {}),
        (episode(5), entry("completed", 25), {}),
        (episode(1), entry("completed", 25), {}),
        (episode(1, rewatch=True), entry("completed", 25, at=NOW), {}),
        (episode(1, rewatch=True, late=True), entry("completed", 25, at=SINCE), {}),
        (episode(2, rewatch=True), entry("completed", 25), {}),
        (film(), entry("completed", 1), {"number": FILM, "media_type": "movie", "num_episodes": 0}),
    ],
)
def test_what_says_no_more_than_the_entry_is_not_sent(delivery: Delivery, there: Any, known: Any) -> None:
    at = wire({"GET /v2/anime": anime(there, **known)})

    outcome = at.send(delivery)

    assert describe(outcome) == "done", outcome
    assert len(at.sent) == 1


@pytest.mark.parametrize("known", [{"num_episodes": 0}, {"status": "currently_airing"}])
def test_an_anime_that_is_still_shown_is_not_completed(known: Any) -> None:
    at = wire({READ: anime(entry("watching", 24), **known), WRITE: answer(200, entry("watching", 25))})

    at.send(episode(25))

    assert written(at)["status"] == "watching"


OUTCOMES = [
    *COMMON,
    (answer(400, {"error": "bad_request", "message": ""}), "dead"),
    (answer(401, {"error": "invalid_token", "message": ""}), "park signed_out"),
    (answer(403, {"error": "forbidden"}), "snooze 300s"),
    (GUARD, "snooze 300s"),
    (answer(404, {"error": "not_found", "message": ""}), "unmatched"),
    (answer(404, "404 page not found"), "dead"),
    (answer(429, {}), "snooze 300s"),
    (answer(200, {}), "retry in 60s {}suspect"),
    (answer(200, {"status": "somewhere", "num_episodes_watched": 5}), "retry in 60s {}suspect"),
]


@pytest.mark.parametrize(("reply", "outcome"), OUTCOMES, ids=case_id)
def test_each_answer_has_this_outcome(reply: Any, outcome: str) -> None:
    at = wire({READ: anime(), WRITE: reply, TOKEN: answer(200, FRESH)})

    assert describe(at.send(episode(5))) == outcome.format("unsure ")


@pytest.mark.parametrize(("reply", "outcome"), OUTCOMES[len(COMMON) :], ids=case_id)
def test_each_answer_to_a_look_has_this_outcome(reply: Any, outcome: str) -> None:
    at = wire({READ: reply, TOKEN: answer(200, FRESH)})

    assert describe(at.send(episode(5))) == outcome.format("")
    assert at.requests("PUT") == []


def test_a_count_of_rewatches_that_is_not_said_is_not_taken_for_none() -> None:
    at = wire({READ: anime(entry("completed", 24, None, is_rewatching=True))})

    assert describe(at.send(episode(25))) == "retry in 60s suspect"


def test_a_rewatch_whose_answer_was_lost_counts_once() -> None:
    before, after = entry("completed", 1, 3), entry("completed", 1, 4)
    known: Any = {"number": FILM, "media_type": "movie"}
    lost = wire({f"GET /v2/anime/{FILM}": anime(before, **known), "PUT": answer(502, {})})
    stored: dict[int, str] = {}

    async def send(tracker: Any, access: Any) -> Any:
        try:
            return await tracker.send(film(rewatch=True), access)
        finally:
            stored.update(access.stored)

    lost.run(send)
    again = wire({f"GET /v2/anime/{FILM}": anime(after, **known)})
    outcome = again.send(film(rewatch=True, unsure=True, remote_id=stored[film().id]))

    assert written(lost)["num_times_rewatched"] == "4"
    assert describe(outcome) == "done", outcome
    assert again.requests("PUT") == []


# Taking back


def undo(handle: str, replies: Replies) -> tuple[Any, Wire]:
    at = wire(replies)
    return at.send(episode(5, remote_id=handle, action=Action.UNWATCHED, mark=False)), at


def test_a_mark_is_taken_back_to_what_was_there() -> None:
    outcome, at = undo(
        f"{TITANS} r4.1.20260101. r5.1",
        {
            READ: anime(entry("completed", 5, 1, is_rewatching=True)),
            WRITE: answer(200, entry("completed", 4, 1, is_rewatching=True)),
        },
    )

    assert isinstance(outcome, Done)
    fields = {"status": "completed", "num_watched_episodes": "4", "is_rewatching": "true"}
    assert written(at) == {**fields, "start_date": "2026-01-01"}
    assert at.violations() == []


@pytest.mark.parametrize("reply", [answer(200, []), answer(404, {"error": "not_found"})], ids=case_id)
def test_an_entry_of_ours_is_removed(reply: Any) -> None:
    outcome, at = undo(f"{TITANS} - w5.0", {READ: anime(entry("watching", 5)), REMOVE: reply})

    assert isinstance(outcome, Done)
    assert at.requests("DELETE") == [REMOVE]
    assert at.violations() == []


def test_what_was_changed_since_stays() -> None:
    outcome, at = undo(f"{TITANS} w4.0.. w5.0", {READ: anime(entry("watching", 6))})

    assert isinstance(outcome, Skip)
    assert len(at.sent) == 1


# The sign-in


def page_of(at: Wire) -> str:
    async def page(tracker: Any, access: Any) -> Any:
        return tracker.token_page

    return str(at.run(page))


def sign_in(address: str, replies: Replies, **settings: Any) -> tuple[Any, Wire]:
    """She opens the link, allows access, and pastes the address, in which {state} is that of the link."""
    at = wire(replies, **settings)

    async def accept(tracker: Any, access: Any) -> Any:
        link = dict(parse_qsl(urlsplit(tracker.token_page).query))
        try:
            return link, await tracker.accept_token(address.replace("STATE", link["state"]))
        except SignInFailed as error:
            return link, error

    return at.run(accept), at


PASTED = " http://localhost/watchmark?code=abc%2Fdef&state=STATE "


def test_the_link_asks_for_a_code_with_a_plain_challenge() -> None:
    link = urlsplit(page_of(wire({})))
    query = dict(parse_qsl(link.query))

    assert f"{link.scheme}://{link.netloc}{link.path}" == "https://myanimelist.net/v1/oauth2/authorize"
    assert query["code_challenge_method"] == "plain"
    assert 43 <= len(query["code_challenge"]) <= 128
    assert query["redirect_uri"] == "http://localhost/watchmark"
    assert page_of(wire({})) != page_of(wire({}))


@pytest.mark.parametrize("secret", ["", "s3cret"])
def test_a_pasted_address_becomes_a_sign_in(secret: str) -> None:
    (link, tokens), at = sign_in(PASTED, {TOKEN: answer(200, FRESH)}, client_secret=secret)

    assert tokens["access_token"] == "eyJnew"
    assert {"created_at", "expires_in", "refresh_token"} <= tokens.keys()
    assert written(at) == {
        "client_id": "4711",
        "grant_type": "authorization_code",
        "code": "abc/def",
        "code_verifier": link["code_challenge"],
        "redirect_uri": "http://localhost/watchmark",
        **({"client_secret": secret} if secret else {}),
    }
    assert at.violations() == []


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("abc", "whole address"),
        ("http://localhost/watchmark?code=abc", "whole address"),
        ("http://localhost/watchmark?error=access_denied&state=STATE", "not allowed"),
    ],
)
def test_an_address_that_holds_no_code_is_sent_nowhere(address: str, words: str) -> None:
    (_, outcome), at = sign_in(address, {})

    assert words in str(outcome)
    assert at.sent == []


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (answer(400, {"error": "invalid_grant"}), "Open the link again"),
        (answer(401, {"error": "invalid_client"}), "Open the link again"),
        (GUARD, "refuses this address"),
        (answer(503, {}), "503"),
        (answer(200, {"token_type": "Bearer"}), "no tokens"),
        (answer(200, "<html>"), "MyAnimeList"),
    ],
    ids=case_id,
)
def test_a_code_that_is_not_taken_is_a_clear_sentence(reply: Any, words: str) -> None:
    (_, outcome), _ = sign_in(PASTED, {TOKEN: reply})

    assert isinstance(outcome, SignInFailed)
    assert words in str(outcome)


def test_an_address_of_another_link_has_another_verifier() -> None:
    (link, _), at = sign_in(
        "http://localhost/?code=abc&state=theirs", {TOKEN: answer(400, {"error": "invalid_grant"})}
    )

    assert written(at)["code_verifier"] != link["code_challenge"]


@pytest.mark.parametrize(
    ("reply", "park"),
    [
        (answer(400, {"error": "invalid_grant"}), Park.SIGNED_OUT),
        (answer(401, {"error": "invalid_grant"}), Park.SIGNED_OUT),
        (answer(403, {"error": "access_denied"}), Park.SIGNED_OUT),
        (GUARD, None),
        (answer(503, {}), None),
    ],
    ids=case_id,
)
def test_a_renewal_that_fails_ends_the_sign_in_only_where_it_is_refused(reply: Any, park: Any) -> None:
    at = wire({TOKEN: reply})

    outcome = at.run(lambda tracker, access: tracker.refresh(TOKENS))

    assert isinstance(outcome, Undelivered)
    assert (outcome.park if isinstance(outcome, Snooze) else None) == park


def test_a_sign_in_is_renewed_before_it_ends() -> None:
    async def stale(tracker: Any, access: Any) -> Any:
        ends = datetime.fromtimestamp(1795380000 + 2678400, UTC)
        return [tracker.stale(TOKENS, ends - before) for before in (timedelta(minutes=4), timedelta(days=1))]

    assert wire({}).run(stale) == [True, False]


def test_marks_of_two_anime_are_two_writes() -> None:
    known: Any = {"number": FILM, "media_type": "movie"}
    at = wire(
        {
            READ: anime(),
            f"GET /v2/anime/{FILM}": anime(**known),
            WRITE: answer(200, entry("watching", 9)),
            f"PUT /v2/anime/{FILM}": answer(200, entry("completed", 1)),
        }
    )
    marks = [episode(4), film(id=70), episode(9)]

    outcomes = at.run(
        lambda tracker, access: tracker.send_many([replace(mark, late=True) for mark in marks], access)
    )

    assert [describe(outcome) for outcome in outcomes] == ["done"] * 3
    assert len(at.requests("PUT")) == 2
