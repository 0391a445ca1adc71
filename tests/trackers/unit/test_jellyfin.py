"""The tracker `jellyfin` alone: each answer to a write, and the request of each action in each version."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.trackers.unit._servers import (
    KEY,
    LOVE,
    MARK,
    OUTCOMES,
    RATE,
    UNLOVE,
    UNMARK,
    UNRATE,
    states,
)
from tests.trackers.unit._wire import Wire, answer, body_of, case_id, describe
from webhook.domain.play import Dated
from webhook.trackers import Delivery

pytestmark = pytest.mark.unit

USER = "aa" * 16
TOKENS = {"token": "mine", "user_id": USER, "name": "anna", "server": "a0" * 16}
DATA, OLD = f"/UserItems/{KEY}", f"/Users/{USER}"
MARKED = {"Played": True, "PlayCount": 1, "PlaybackPositionTicks": 0}
DATED = {**MARKED, "LastPlayedDate": "2026-11-22T20:15:09.000Z"}
QUERY = f"?userId={USER}"


def wire(delivery: Delivery, reply: Any, version: str = "10.11.5", *, kept: bool = True) -> Wire:
    replies = {
        "GET /System/Info/Public": answer(200, {"Version": version}),
        "GET /Items": states(delivery, kept=kept),
        "POST /": reply,
        "DELETE /": reply,
    }
    return Wire("jellyfin", {"url": "https://films.example"}, TOKENS, replies)


@pytest.mark.parametrize(
    ("version", "delivery", "request_line", "body"),
    [
        ("10.11.5", MARK, f"POST {DATA}/UserData{QUERY}", DATED),
        ("12.0.0", replace(MARK, dated=Dated.TICKED), f"POST {DATA}/UserData{QUERY}", MARKED),
        ("10.8.13", MARK, f"POST {OLD}/PlayedItems/{KEY}?datePlayed=2026-11-22T20%3A15%3A09.000Z", None),
        ("10.11.5", UNMARK, f"DELETE {OLD}/PlayedItems/{KEY}", None),
        ("10.11.5", RATE, f"POST {DATA}/UserData{QUERY}", {"Rating": 8}),
        ("10.11.5", UNRATE, f"DELETE {DATA}/Rating{QUERY}", None),
        ("10.11.5", LOVE, f"POST {DATA}/UserData{QUERY}", {"IsFavorite": True}),
        ("10.8.13", UNLOVE, f"DELETE {OLD}/FavoriteItems/{KEY}", None),
    ],
)
def test_each_action_is_this_request(version: str, delivery: Delivery, request_line: str, body: Any) -> None:
    at = wire(delivery, answer(200, {}), version)

    outcome = at.send(delivery)

    assert describe(outcome) == "done", outcome
    (write,) = [request for request in at.sent if request.method != "GET"]
    assert f"{write.method} {write.url.raw_path.decode()}" == request_line
    assert body_of(write) == body
    assert 'Token="mine"' in write.headers["authorization"]


@pytest.mark.parametrize("delivery", [RATE, replace(MARK, dated=Dated.TICKED)], ids=["rating", "no date"])
def test_what_an_old_version_does_not_take_is_skipped(delivery: Delivery) -> None:
    assert describe(wire(delivery, answer(200, {}), "10.8.13").send(delivery)) == "skip"


@pytest.mark.parametrize(("reply", "outcome"), OUTCOMES, ids=case_id)
def test_each_answer_has_this_outcome(reply: Any, outcome: str) -> None:
    assert describe(wire(MARK, reply, kept=False).send(MARK)) == outcome


@pytest.mark.parametrize(("status", "accepted"), [(200, True), (401, False), (500, False)])
def test_one_signs_in_with_the_name_and_the_password_of_the_server(status: int, accepted: bool) -> None:
    user = {"AccessToken": "mine", "ServerId": "a0" * 16, "User": {"Id": USER, "Name": "anna"}}
    at = wire(MARK, answer(status, user))

    found = at.run(lambda tracker, access: tracker.login("anna", "secret"))

    assert (found == TOKENS) == accepted
    assert body_of(at.sent[0]) == {"Username": "anna", "Pw": "secret"}
    assert 'DeviceId="watchmark"' in at.sent[0].headers["authorization"]
