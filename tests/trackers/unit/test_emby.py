"""The tracker `emby` alone: each answer to a write, and the request of each action, which replaces all there is."""

from __future__ import annotations

from typing import Any

import pytest

from tests.trackers.unit._servers import (
    BEFORE,
    KEY,
    LOVE,
    MARK,
    OUTCOMES,
    RATE,
    UNMARK,
    UNRATE,
    states,
)
from tests.trackers.unit._wire import Wire, answer, body_of, case_id, describe
from webhook.trackers import Delivery

pytestmark = pytest.mark.unit

USER = "aa" * 16
TOKENS = {"token": "mine", "user_id": USER, "name": "anna", "server": "e1" * 16}
HOME = f"/Users/{USER}"
MARKED = {
    "Played": True, "PlayCount": 1, "PlaybackPositionTicks": 0, "IsFavorite": True,
    "LastPlayedDate": "2026-11-22T20:15:09.000Z",
}  # fmt: skip


def wire(delivery: Delivery, reply: Any, *, kept: bool = True) -> Wire:
    replies = {
        f"GET {HOME}/Items/{KEY}": answer(200, {"Id": KEY, "UserData": BEFORE[delivery.action]}),
        f"GET {HOME}/Items": states(delivery, kept=kept),
        "POST /": reply,
        "DELETE /": reply,
    }
    return Wire("emby", {"url": "https://films.example"}, TOKENS, replies)


@pytest.mark.parametrize(
    ("delivery", "request_line", "body"),
    [
        (MARK, f"POST {HOME}/Items/{KEY}/UserData", MARKED),
        (UNMARK, f"DELETE {HOME}/PlayedItems/{KEY}", None),
        (RATE, f"POST {HOME}/Items/{KEY}/UserData", {"Played": True, "PlayCount": 3, "Rating": 8}),
        (UNRATE, f"POST {HOME}/Items/{KEY}/UserData", {"Played": True, "PlayCount": 3, "Rating": None}),
        (LOVE, f"POST {HOME}/Items/{KEY}/UserData", {"IsFavorite": True}),
    ],
    ids=["watched", "unwatched", "rate", "unrate", "favourite"],
)
def test_each_action_is_this_request(delivery: Delivery, request_line: str, body: Any) -> None:
    at = wire(delivery, answer(204))

    outcome = at.send(delivery)

    assert describe(outcome) == "done", outcome
    (write,) = [request for request in at.sent if request.method != "GET"]
    assert f"{write.method} {write.url.raw_path.decode()}" == request_line
    assert body_of(write) == body
    assert write.headers["x-emby-token"] == "mine"


@pytest.mark.parametrize(("reply", "outcome"), OUTCOMES, ids=case_id)
def test_each_answer_has_this_outcome(reply: Any, outcome: str) -> None:
    assert describe(wire(MARK, reply, kept=False).send(MARK)) == outcome
