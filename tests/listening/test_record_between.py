"""A kill while somebody watches: whatever was kept before it, and wherever the server's record comes between, it is one play."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import combinations

import pytest

from tests.transfer.test_bringing import EVENING, PART_3, Home, emptied
from webhook.domain.event import Action, Event
from webhook.storage import migrate
from webhook.storage.db import Database

LENGTH = 2_700_000
ENDED = 10.4
"""When it ended, in seconds after its start: these evenings are short, as those of `test_cuts.py`."""


def said(action: Action, seconds: float, percent: int | None = None, **more: object) -> Event:
    position = None if percent is None else LENGTH * percent // 100
    values = {"server": "attic", "item_key": "9", "player": "sofa", "player_id": "sofa", **more}
    at = EVENING + timedelta(seconds=seconds)
    return Event(action=action, item=PART_3, at=at, duration_ms=LENGTH, position_ms=position, **values)  # type: ignore[arg-type]


HEARD = [
    said(Action.START, 0, 0),
    said(Action.START, 5, 40),
    said(Action.PROGRESS, 10.2, 40),
    said(Action.STOP, ENDED, 95, completed=True),
    said(Action.WATCHED, int(ENDED), view_count=1),
]
"""What a listener says if nothing comes between; a kill loses any of it."""

RECORDS = {
    "by the second": said(Action.WATCHED, int(ENDED), recorded=True, record="plex:attic:1"),
    "as it was": said(Action.WATCHED, ENDED, recorded=True),
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    opened = Database(f"sqlite:///{tmp_path_factory.mktemp('between')}/watchmark.db", synchronous="OFF")
    migrate.migrate(opened)
    yield Home(opened)
    opened.close()


def orders(record: Event) -> Iterator[list[Event]]:
    """What is left of the listener's words, with the record at any place among them."""
    for count in range(len(HEARD) + 1):
        for kept in combinations(HEARD, count):
            for place in range(count + 1):
                yield [*kept[:place], record, *kept[place:]]


def outcome(home: Home, events: Sequence[Event]) -> list[bool]:
    """Of each play whether it is watched."""
    emptied(home)
    for event in events:
        home.apply(event)
    return [row.watched_at is not None for row in home.plays()]


@pytest.mark.parametrize("dated", RECORDS)
def test_one_viewing_is_one_play_wherever_its_record_comes_between(home: Home, dated: str) -> None:
    wrong = [
        [event.action.value for event in events]
        for events in orders(RECORDS[dated])
        if outcome(home, events) != [True]
    ]

    assert wrong == []
