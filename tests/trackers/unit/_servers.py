"""What the unit tests of the media servers share: the film as each of them has it, and the outcomes of writes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.trackers._adapters import FILM, WATCHED_FILM
from tests.trackers.unit._wire import COMMON, answer
from webhook.domain.event import Action
from webhook.trackers import Delivery

KEY = "f1" * 16
MARK = WATCHED_FILM
UNMARK = replace(MARK, action=Action.UNWATCHED, mark=False, remote_id=KEY[:12])
RATE = replace(MARK, action=Action.RATE, mark=False, rating=8)
UNRATE = replace(MARK, action=Action.UNRATE, mark=False)
LOVE = replace(MARK, action=Action.FAVOURITE, mark=False)
UNLOVE = replace(MARK, action=Action.UNFAVOURITE, mark=False)
AFTER: dict[Action, dict[str, Any]] = {
    Action.WATCHED: {"Played": True, "PlayCount": 1},
    Action.UNWATCHED: {"Played": False},
    Action.RATE: {"Rating": 8},
    Action.UNRATE: {"Rating": None},
    Action.FAVOURITE: {"IsFavorite": True},
    Action.UNFAVOURITE: {"IsFavorite": False},
}
BEFORE: dict[Action, dict[str, Any]] = {
    Action.WATCHED: {"Played": False, "PlayCount": 0, "PlaybackPositionTicks": 600, "IsFavorite": True},
    Action.UNWATCHED: {"Played": True, "PlayCount": 1},
    Action.RATE: {"Played": True, "PlayCount": 3, "Rating": 4},
    Action.UNRATE: {"Played": True, "PlayCount": 3, "Rating": 4},
    Action.FAVOURITE: {"IsFavorite": False},
    Action.UNFAVOURITE: {"IsFavorite": True},
}
OUTCOMES = [
    *COMMON,
    (answer(401, {}), "park signed_out"),
    (answer(403, {}), "skip"),
    (answer(404, {}), "unmatched"),
    (answer(429, {}), "snooze 300s"),
    *((answer(status, {}), "dead") for status in (400, 405, 409, 413, 422)),
    (answer(200, {}), "retry in 60s unsure suspect"),
]
"""What becomes of a mark by the answer to it, where the item is then as it was."""


def listed(data: dict[str, Any] | None = None) -> Any:
    """A page with the film, and what the person has marked of it."""
    film = {
        "Id": KEY,
        "Type": "Movie",
        "Name": FILM.title,
        "ProductionYear": 2010,
        "ProviderIds": {"Imdb": "tt1104001"},
    }
    return answer(
        200, {"Items": [film | ({} if data is None else {"UserData": data})], "TotalRecordCount": 1}
    )


def states(delivery: Delivery, *, kept: bool = True) -> list[Any]:
    """The pages that a write asks for: the shows, the films, the state before it, and the state after it."""
    before = BEFORE[delivery.action]
    after = {**before, **AFTER[delivery.action]} if kept else before
    return [answer(200, {"Items": [], "TotalRecordCount": 0}), listed(), listed(before), listed(after)]
