"""Plays for the tests of the history: films and episodes of one show."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Connection, insert

from tests.web.conftest import Household
from webhook import clock
from webhook.domain.event import Episode, Ids, Movie, Track
from webhook.domain.play import Play, State
from webhook.storage.tables import account, delivery
from webhook.transfer import merge
from webhook.transfer.records import Viewing

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def film(title: str, at: datetime = NOON, **more: object) -> Viewing:
    item = Movie(title=title, year=2001, ids=Ids(tmdb=abs(hash(title)) % 100_000))
    return viewing(item, at, **more)


def part(number: int, at: datetime = NOON, season: int = 1, **more: object) -> Viewing:
    item = Episode(
        title=f"Part {number}", show="Tidewater", season=season, number=number, show_ids=Ids(tvdb=77)
    )
    return viewing(item, at, **more)


def viewing(item: Movie | Episode | Track, at: datetime, **more: object) -> Viewing:
    watched = Play(
        item=item, state=State.STOPPED, started_at=at, last_at=at, watched_at=at, source="trakt",
        duration_ms=3_600_000, **more,  # type: ignore[arg-type]
    )  # fmt: skip
    return Viewing(play=watched)


def seen(household: Household, *viewings: Viewing, person_id: int = 1) -> None:
    household.do(lambda connection: merge.merge_entries(connection, person_id, viewings, clock.now()))


def put_marks(connection: Connection, states: dict[int, str]) -> None:
    """An account at Trakt, and a watched mark in a state for each play."""
    mine = {
        "id": 50,
        "person_id": 1,
        "tracker": "trakt",
        "tells": ["watched"],
        "rules": {},
        "created_at": NOON,
    }
    connection.execute(insert(account), mine)
    for play_id, state in states.items():
        mark = {
            "account_id": 50,
            "play_id": play_id,
            "key": f"watched:{play_id}",
            "action": "watched",
            "mark": True,
        }
        sent = {
            "happened_at": NOON,
            "item": {"kind": "movie"},
            "details": {},
            "state": state,
            "created_at": NOON,
        }
        connection.execute(insert(delivery), {**mark, **sent})
