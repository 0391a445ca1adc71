"""How far a refusal reaches: for each tracker, what every answer that is no success stops of its account."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Any

import pytest

from tests.fakes._server import Server
from tests.trackers._adapters import LATE, MARK, PLAYED, WATCHED
from tests.trackers._anna import anna_at
from webhook.domain.event import Action
from webhook.domain.outcome import LIMITS, Done, Retry, Snooze
from webhook.trackers import Delivery


class Stops(StrEnum):
    """What waits, and for what."""

    ACCOUNT = "everything of the account, for a person"
    KIND = "the deliveries of its kind, for a person"
    LANE = "everything of the account, for a while"
    FRONT = "everything of the account for a few tries, and then this delivery alone"
    ITSELF = "this delivery alone, for a while"
    NOTHING = "nothing: it is settled"


Answer = Mapping[str, Any]
"""An answer as a fault is given it."""

Call = tuple[Delivery, str]
"""A delivery, and the route of the call that tells it."""


def reach(outcome: Any) -> Stops:
    match outcome:
        case Snooze(park=park) if park is not None:
            return Stops.KIND if park in LIMITS else Stops.ACCOUNT
        case Snooze(lane=True):
            return Stops.LANE
        case Retry(lane=True, suspect=suspect):
            return Stops.FRONT if suspect else Stops.LANE
        case Snooze() | Retry():
            return Stops.ITSELF
    return Stops.NOTHING


def statuses(stops: Stops, *them: int) -> list[tuple[str, Answer, Stops]]:
    return [(str(status), {"status": status, "body": {}}, stops) for status in them]


def errors(stops: Stops, *codes: int) -> list[tuple[str, Answer, Stops]]:
    """Last.fm's refusals, which are told apart by the code in the answer."""
    return [
        (f"error {code}", {"status": 200, "body": {"error": code, "message": "no"}}, stops) for code in codes
    ]


def ko(stops: Stops, message: str) -> tuple[str, Answer, Stops]:
    return message, {"status": 200, "body": {"result": "KO", "message": message}}, stops


RATED = replace(MARK, action=Action.RATE, mark=False, progress=None, rating=8)
VIDEO = (
    (MARK, "POST /scrobble/stop"),
    (replace(MARK, action=Action.START, mark=False, progress=20.0), "POST /scrobble/start"),
    (replace(MARK, action=Action.PAUSE, mark=False, progress=40.0), "POST /scrobble/"),
    (LATE, "POST /sync/history"),
    (RATED, "POST /sync/ratings"),
)
PAGE = "<!DOCTYPE html><html><title>Attention Required!</title></html>"
COMMON = [*statuses(Stops.FRONT, 500), *statuses(Stops.LANE, 408, 429, 503, 524)]
IGNORED = {"code": "5", "#text": "Daily scrobble limit exceeded"}
DAILY = {
    "scrobbles": {
        "@attr": {"accepted": 0, "ignored": 1},
        "scrobble": {"artist": {"#text": "A"}, "track": {"#text": "T"}, "ignoredMessage": IGNORED},
    }
}

TABLE: Mapping[str, tuple[Iterable[Call], Iterable[tuple[str, Answer, Stops]]]] = {
    "lastfm": (
        ((PLAYED, "POST /2.0"), (replace(PLAYED, action=Action.FAVOURITE, mark=False), "POST /2.0")),
        (
            *COMMON,
            *errors(Stops.ACCOUNT, 4, 9, 10, 13, 14, 15, 26),
            *errors(Stops.NOTHING, 2, 3, 5, 6, 7, 17, 18, 25, 27, 99),
            *errors(Stops.FRONT, 8),
            *errors(Stops.LANE, 11, 16, 29),
        ),
    ),
    "lastfm today": (
        ((PLAYED, "POST /2.0"),),
        (("daily limit", {"status": 200, "body": DAILY}, Stops.ITSELF),),
    ),
    "listenbrainz": (
        ((PLAYED, "POST /1/submit-listens"),),
        (
            *COMMON,
            *statuses(Stops.ACCOUNT, 401),
            *statuses(Stops.LANE, 403),
            *statuses(Stops.NOTHING, 400, 404, 405, 413, 422),
        ),
    ),
    "simkl": (
        VIDEO,
        (
            *COMMON,
            *statuses(Stops.ACCOUNT, 401, 403),
            *statuses(Stops.NOTHING, 400, 404, 405, 422),
            *statuses(Stops.LANE, 412),
            ("its own lock", {"status": 400, "body": {"error": "RATE_LIMIT"}}, Stops.LANE),
        ),
    ),
    "trakt": (
        (*VIDEO, (replace(MARK, action=Action.ADD, mark=False, progress=None), "POST /sync/collection")),
        (
            *COMMON,
            *statuses(Stops.ACCOUNT, 401, 403, 423),
            *statuses(Stops.KIND, 420, 426),
            *statuses(Stops.NOTHING, 400, 404, 405, 412, 422),
        ),
    ),
    "tvtime": (
        ((WATCHED, "POST /sidecar/api2.tozelabs.com/v2/watched_episodes"),),
        (
            *COMMON,
            *statuses(Stops.ACCOUNT, 401),
            *statuses(Stops.NOTHING, 400, 403, 404, 405, 422),
            (
                "a closed service",
                {"status": 404, "headers": {"server": "awselb/2.0"}},
                Stops.ACCOUNT,
            ),
            ("a page", {"status": 403, "body": PAGE}, Stops.FRONT),
            ko(Stops.NOTHING, "unknown episode"),
            ko(Stops.NOTHING, "no"),
            ko(Stops.LANE, "rate limit"),
        ),
    ),
}


def cases() -> Iterator[Any]:
    for name, (calls, answers) in TABLE.items():
        tracker = name.partition(" ")[0]
        for delivery, route in calls:
            for said, answer, stops in answers:
                yield pytest.param(
                    tracker, delivery, route, answer, stops, id=f"{tracker}-{delivery.action}-{said}"
                )


@pytest.mark.parametrize(("name", "delivery", "route", "answer", "stops"), [*cases()])
def test_a_refusal_stops_only_what_it_is_about(
    loopbacks: Mapping[str, Server], name: str, delivery: Delivery, route: str, answer: Answer, stops: Stops
) -> None:
    anna = anna_at(name, loopbacks)
    anna.fake.faults.add(route, **answer, times=-1)

    outcome = anna.send(delivery)

    assert not isinstance(outcome, Done)
    assert reach(outcome) is stops, repr(outcome)
