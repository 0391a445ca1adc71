"""What Trakt is told of dates: unknown stays unknown, a day stays a day, and one viewing is not another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.fakes._inside import Inside
from tests.fakes._server import Clock, Server
from tests.fakes.trakt import Trakt as FakeTrakt
from tests.trackers._trakt import (
    LATE,
    MARK,
    NOW,
    PILOT,
    STRANGE_EPISODE,
    TRON,
    bodies,
    many,
    plays,
    reel,
    send,
)
from webhook.domain.event import Action, Episode, Ids, Item, Movie
from webhook.domain.outcome import Done, Retry, Unmatched
from webhook.domain.play import Dated

UNDATED = replace(MARK, dated=Dated.TICKED, late=True, progress=None)
DAY = replace(LATE, dated=Dated.DAY, at=datetime(2026, 3, 1, 12, tzinfo=UTC))
SECOND = Episode(show="Breaking Bad", season=1, number=2, year=2008, show_ids=Ids(tvdb=81189))
SHOW_ID_AS_EPISODE_ID = replace(PILOT, ids=Ids(tmdb=1396), show_ids=Ids())


@pytest.fixture(scope="module")
def loopback() -> Iterator[Server]:
    with Inside(FakeTrakt()) as server:
        yield server


@pytest.fixture(params=["times", "days"])
def server(loopback: Server, request: pytest.FixtureRequest) -> Server:
    """A fake that honours windows to the second, and one that reads them as days."""
    loopback.fake = FakeTrakt(clock=Clock(NOW), windows=request.param)
    return loopback


@pytest.fixture
def fake(server: Server) -> FakeTrakt:
    fake: FakeTrakt = server.fake
    return fake


def dates(fake: FakeTrakt) -> list[Any]:
    return [row["watched_at"] for row in plays(fake)]


def remember(fake: FakeTrakt, item: Item, at: datetime | None) -> None:
    """A play that somebody else put there."""
    kind = item.kind.value
    known = item.ids.by_namespace()
    entry = fake.catalogue.by_ids(kind, {name: known[name] for name in known})  # type: ignore[arg-type]
    assert entry is not None
    fake.remember(fake.user("anna"), entry, "watch", at)


# Unknown dates


@pytest.mark.parametrize("item", [TRON, PILOT, SECOND, replace(PILOT, numbering="mapped")])
def test_an_unknown_date_is_sent_as_unknown(server: Server, fake: FakeTrakt, item: Item) -> None:
    done = send(server, replace(UNDATED, item=item))

    assert isinstance(done, Done)
    assert dates(fake) == [None]
    assert done.remote_id == str(plays(fake)[0]["id"])
    assert fake.made("POST /scrobble") == []


@pytest.mark.parametrize("unknown", [None, "1970-01-01T00:00:00.000Z"])
@pytest.mark.parametrize("item", [TRON, PILOT])
@pytest.mark.parametrize("unsure", [False, True])
def test_an_undated_play_that_is_there_is_not_sent_again(
    server: Server, fake: FakeTrakt, item: Item, unknown: str | None, unsure: bool
) -> None:
    fake.switches.unknown_date = unknown
    remember(fake, item, None)

    done = send(server, replace(UNDATED, item=item, unsure=unsure))

    assert done.answer.startswith("already there")
    assert len(plays(fake)) == 1
    assert (done.remote_id is not None) == unsure


def test_a_dated_play_is_another_than_an_undated_one(server: Server, fake: FakeTrakt) -> None:
    remember(fake, TRON, LATE.at)

    undated = send(server, UNDATED)
    dated = send(server, replace(LATE, at=LATE.at - timedelta(days=3)))

    assert undated.answer == "added, watched at unknown"
    assert dated.answer.startswith("added")
    assert len(plays(fake)) == 3


def test_many_undated_plays_are_looked_up_by_their_shows(server: Server, fake: FakeTrakt) -> None:
    marks = [
        replace(
            UNDATED,
            id=number,
            item=Episode(show="Tidewater", season=1, number=number, show_ids=Ids(tvdb=88)),
        )
        for number in range(1, 21)
    ]

    first = many(server, *marks, replace(UNDATED, id=21), replace(UNDATED, id=22, item=reel(1)))
    again = many(server, *marks, replace(UNDATED, id=21))

    assert all(isinstance(outcome, Done) for outcome in first), first
    assert all(outcome.answer == "already there" for outcome in again)
    assert dates(fake) == [None] * 22
    assert len(bodies(fake, "POST /sync/history")) == 1
    assert len(fake.made("GET ")) <= 12


def test_an_unknown_date_whose_answer_was_lost_is_there_once(server: Server, fake: FakeTrakt) -> None:
    fake.faults.add("POST /sync/history", record_then="reset")

    lost = send(server, UNDATED)
    again = send(server, replace(UNDATED, unsure=True))

    assert isinstance(lost, Retry)
    assert again.answer == "already there"
    assert len(plays(fake)) == 1


def test_an_undated_play_can_be_undone(server: Server, fake: FakeTrakt) -> None:
    remember(fake, TRON, LATE.at)
    fake.faults.add("GET /sync/history", status=200, body=[], times=2)
    made = send(server, UNDATED)

    undo = replace(UNDATED, action=Action.UNWATCHED, mark=False, remote_id=made.remote_id)
    done, again = send(server, undo), send(server, undo)

    assert made.remote_id == "unknown"
    assert (done.answer, again.answer) == ("removed", "it was gone already")
    assert dates(fake) == ["2026-11-22T15:15:09.000Z"]


@pytest.mark.parametrize(
    "item", [SHOW_ID_AS_EPISODE_ID, STRANGE_EPISODE, Movie(title="Else", ids=Ids(tmdb=97))]
)
def test_an_undated_mark_of_another_item_is_never_made(server: Server, fake: FakeTrakt, item: Item) -> None:
    remember(fake, Episode(ids=Ids(tmdb=1396)), None)  # which nobody could tell from one of ours

    outcome = send(server, replace(UNDATED, item=item))

    titles = [row[row["type"]]["title"] for row in plays(fake)]
    assert titles == (["Low Tide", "Pilot"] if item is SHOW_ID_AS_EPISODE_ID else ["Low Tide"])
    assert isinstance(outcome, Done | Unmatched)
    assert fake.made("/sync/history/remove") == []


# Days, and what is recorded


def test_a_day_is_sent_as_its_noon(server: Server, fake: FakeTrakt) -> None:
    done = send(server, replace(DAY, at=DAY.at + timedelta(hours=3)))

    assert dates(fake) == ["2026-03-01T12:00:00.000Z"]
    assert done.answer == "added, watched at 2026-03-01T12:00:00.000Z"


def test_a_play_of_that_day_is_the_day_play(server: Server, fake: FakeTrakt) -> None:
    remember(fake, TRON, DAY.at.replace(hour=21))

    same = send(server, DAY)
    other = send(server, replace(DAY, at=DAY.at + timedelta(days=2)))

    assert same.answer == "already there, watched at 2026-03-01T21:00:00.000Z"
    assert other.answer.startswith("added")


def test_what_was_recorded_a_minute_ago_goes_out_with_its_date(server: Server, fake: FakeTrakt) -> None:
    send(server, replace(MARK, at=NOW - timedelta(minutes=1), late=True))

    assert dates(fake) == ["2026-11-22T20:14:09.000Z"]
    assert fake.made("POST /scrobble") == []


# A look compares times itself


def test_a_look_asks_for_whole_days(server: Server, fake: FakeTrakt) -> None:
    send(server, LATE)

    query = fake.made("GET /sync/history")[0].query
    assert "start_at=2026-11-21T00%3A00%3A00.000Z" in query
    assert "end_at=2026-11-24T00%3A00%3A00.000Z" in query


@pytest.mark.parametrize("hours", [-4, 2])
def test_another_viewing_of_the_same_day_is_not_the_same(server: Server, fake: FakeTrakt, hours: int) -> None:
    remember(fake, TRON, LATE.at + timedelta(hours=hours))

    done = send(server, replace(LATE, unsure=True))

    assert done.answer.startswith("added")
    assert len(plays(fake)) == 2


# A 409


def again(minutes: float, **more: Any) -> Any:
    """A second viewing, so many minutes after the first."""
    at = NOW + timedelta(minutes=minutes)
    return replace(MARK, id=2, at=at, started_at=NOW + timedelta(minutes=1), **more)


def test_a_409_for_the_same_viewing_is_done(server: Server, fake: FakeTrakt) -> None:
    send(server, MARK)
    fake.clock.advance(60)

    done = send(server, replace(MARK, at=NOW + timedelta(minutes=1)))

    assert done.answer == "already there, watched at 2026-11-22T20:15:09.000Z"


@pytest.mark.parametrize("explains", [True, False], ids=["with a body", "without one"])
def test_a_409_for_another_viewing_puts_this_one_off_until_it_can_be_dated(
    server: Server, fake: FakeTrakt, explains: bool
) -> None:
    fake.switches.explains_409 = explains
    short: dict[str, Any] = {"duration_ms": 6 * 60_000}
    send(server, replace(MARK, **short))
    fake.clock.advance(7 * 60)

    put_off = send(server, again(7, **short))
    fake.clock.advance(put_off.after)
    done = send(server, again(7, **short, late=True))

    assert isinstance(put_off, Retry)
    assert put_off.after is not None
    assert (put_off.lane, put_off.unsure) == (False, False)
    assert "2026-11-22T20:15:09.000Z" in put_off.reason
    assert timedelta(minutes=53) <= put_off.after <= timedelta(minutes=56)
    assert done.answer.startswith("added")
    assert dates(fake) == ["2026-11-22T20:15:09.000Z", "2026-11-22T20:22:09.000Z"]


def test_a_409_about_which_nothing_is_known_is_done(server: Server, fake: FakeTrakt) -> None:
    fake.faults.add("POST /scrobble/stop", status=409)

    done = send(server, MARK)

    assert done == Done(answer="already there")


def test_a_409_of_a_window_that_ends_soon_still_ends_in_a_date(server: Server, fake: FakeTrakt) -> None:
    at = NOW - timedelta(minutes=58)
    said = {"watched_at": at.isoformat(), "expires_at": (NOW + timedelta(minutes=2)).isoformat()}
    fake.faults.add("POST /scrobble/stop", status=409, body=said)

    put_off = send(server, replace(MARK, started_at=NOW - timedelta(minutes=50)))

    assert isinstance(put_off, Retry)
    assert put_off.after is not None
    assert put_off.after > timedelta(minutes=10)  # when it is late, and goes out with its date
