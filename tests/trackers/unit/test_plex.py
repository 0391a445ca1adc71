"""The tracker `plex` alone: each answer to a write, the request of each action, and the sign-in by a code."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.trackers._at_home import PLEX_FILM
from tests.trackers.unit._servers import MARK, OUTCOMES, RATE, UNMARK, UNRATE
from tests.trackers.unit._wire import Replies, Wire, answer, case_id, describe
from webhook.domain.event import Action
from webhook.trackers import Delivery, DeviceCode, SignInFailed

pytestmark = pytest.mark.unit

TOKENS = {"token": "mine", "name": "anna", "server": "m1"}
LIBRARY = "identifier=com.plexapp.plugins.library&key=4711"
WATCHED = {"viewCount": 1, "lastViewedAt": 1795000000}
STATES: dict[Action, tuple[dict[str, Any], dict[str, Any]]] = {
    Action.WATCHED: ({}, WATCHED),
    Action.UNWATCHED: (WATCHED, {}),
    Action.RATE: ({"userRating": 4.0}, {"userRating": 8.0}),
    Action.UNRATE: ({"userRating": 4.0}, {}),
}
CODE = {"id": 700, "code": "AB70", "expiresIn": 900, "authToken": None}


def container(**inside: Any) -> Any:
    return answer(200, {"MediaContainer": inside})


def wire(delivery: Delivery, reply: Any, *, kept: bool = True, more: Replies | None = None) -> Wire:
    before, after = STATES[delivery.action]
    replies = {
        "GET /library/sections/1/all": container(totalSize=1, Metadata=[PLEX_FILM]),
        "GET /library/sections": container(Directory=[{"key": "1", "type": "movie", "title": "Films"}]),
        "GET /library/metadata/4711": [
            container(Metadata=[{**PLEX_FILM, **before}]),
            container(Metadata=[{**PLEX_FILM, **(after if kept else before)}]),
        ],
        "PUT /": reply,
        "GET /identity": container(machineIdentifier="m1"),
        **(more or {}),
    }
    return Wire("plex", {"url": "https://films.example"}, TOKENS, replies)


@pytest.mark.parametrize(
    ("delivery", "request_line"),
    [
        (MARK, f"PUT /:/scrobble?{LIBRARY}"),
        (replace(UNMARK, remote_id="4711"), f"PUT /:/unscrobble?{LIBRARY}"),
        (RATE, f"PUT /:/rate?{LIBRARY}&rating=8"),
        (UNRATE, f"PUT /:/rate?{LIBRARY}&rating=-1"),
    ],
    ids=["watched", "unwatched", "rate", "unrate"],
)
def test_each_action_is_this_request(delivery: Delivery, request_line: str) -> None:
    at = wire(delivery, answer(200, ""))

    outcome = at.send(delivery)

    assert describe(outcome) == "done", outcome
    assert at.requests("PUT") == [request_line]
    assert all(request.headers["x-plex-token"] == "mine" for request in at.sent)
    assert not any("mine" in str(request.url) for request in at.sent)


@pytest.mark.parametrize(("reply", "outcome"), OUTCOMES, ids=case_id)
def test_each_answer_has_this_outcome(reply: Any, outcome: str) -> None:
    assert describe(wire(MARK, reply, kept=False).send(MARK)) == outcome


def test_what_is_watched_is_not_counted_again() -> None:
    at = wire(MARK, answer(200, ""))
    at.replies["GET /library/metadata/4711"].pop(0)  # type: ignore[union-attr]

    outcome = at.send(MARK)

    assert describe(outcome) == "done"
    assert at.requests("PUT") == []


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        ("m1", {"token": "server", "account_token": "account", "name": "anna", "server": "m1"}),
        ("m2", SignInFailed),
    ],
)
def test_the_account_s_token_is_exchanged_for_that_of_the_server(machine: str, expected: Any) -> None:
    at = wire(
        MARK,
        answer(200, ""),
        more={
            "POST /api/v2/pins": answer(201, CODE),
            "GET /api/v2/pins/700": answer(200, {**CODE, "authToken": "account"}),
            "GET /api/v2/user": answer(200, {"username": "anna"}),
            "GET /api/v2/resources": answer(200, [{"clientIdentifier": machine, "accessToken": "server"}]),
        },
    )

    async def sign_in(tracker: Any, access: Any) -> Any:
        code: DeviceCode = await tracker.begin()
        assert (code.user_code, code.url) == ("AB70", "https://plex.tv/link")
        return await tracker.poll(code)

    found = at.run(sign_in)

    assert found == expected if isinstance(expected, dict) else isinstance(found, expected)


def test_nobody_is_signed_in_before_the_code_is_entered() -> None:
    at = wire(MARK, answer(200, ""), more={"GET /api/v2/pins/700": answer(200, CODE)})
    waiting = DeviceCode(user_code="AB70", url="", interval=MARK.at - MARK.at, expires_in=MARK.at - MARK.at, device_code="700")  # fmt: skip

    assert at.run(lambda tracker, access: tracker.poll(waiting)) is None
