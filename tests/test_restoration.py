"""Restoration: a removed play comes back as it was, here and at the trackers, and nothing is doubled."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from tests.evening import plex
from tests.test_edits import CANNOT, correct, library, merge, redate, remove, told
from tests.transfer.test_backfilling import House, opened_house
from tests.transfer.test_bringing import DAY, EVENING, FILM, HOUR, seen
from webhook import clock
from webhook.domain.play import Dated
from webhook.history import edits, restoration, stats
from webhook.history.edits import NoEdit
from webhook.history.stats_span import zone_of
from webhook.queues import inbox
from webhook.storage.tables import delivery, play
from webhook.transfer import manual_plays


@pytest.fixture
def house(url: str, tmp_path: Path) -> Iterator[House]:
    with opened_house(url, tmp_path) as opened:
        yield opened


def restore(house: House, play_id: int, **more: Any) -> edits.EditResult:
    able = more.get("able") or house.service.trackers
    return house.database.do(
        lambda connection: restoration.restore_play(connection, play_id, able, "me", clock.now())
    )


def row_of(house: House, play_id: int) -> Any:
    return house.database.ask(
        lambda connection: connection.execute(select(play).where(play.c.id == play_id)).one()
    )


def plays_counted(house: House) -> Any:
    return house.database.ask(
        lambda connection: stats.year_stats(connection, house.me, None, zone_of(None))["plays"]
    )


def test_a_removed_play_comes_back_as_it_was(house: House) -> None:
    play_id, _ = told(house, EVENING, EVENING + 30 * DAY)
    before, counted = row_of(house, play_id), plays_counted(house)
    remove(house, play_id)
    house.delivered()
    house.reopen()

    done = restore(house, play_id)
    house.delivered()

    assert done["told"] == ["trakt"]
    assert row_of(house, play_id) == before
    assert plays_counted(house) == counted
    assert house.times() == [EVENING, EVENING + 30 * DAY]


def test_what_was_not_taken_back_yet_is_neither_taken_nor_sent(house: House) -> None:
    (play_id,) = told(house, EVENING)
    remove(house, play_id)

    done = restore(house, play_id)
    house.delivered()

    assert done["told"] == []
    assert [call for call in house.trakt.calls if call.method == "POST"] == []
    assert house.times() == [EVENING]


def test_it_can_be_removed_and_brought_back_again_and_again(house: House) -> None:
    (play_id,) = told(house, EVENING)
    for _ in range(2):
        remove(house, play_id)
        restore(house, play_id)
        remove(house, play_id)
        house.delivered()
        assert house.times() == []
        restore(house, play_id)
        house.delivered()
        assert house.times() == [EVENING]

    assert house.backfill()["counts"]["sent"] == 0


def test_a_mark_that_was_never_sent_is_sent_when_it_is_back(house: House) -> None:
    house.post(plex("media.scrobble", 1))
    (row,) = house.plays()
    remove(house, row.id)
    house.delivered()

    restore(house, row.id)
    house.delivered()

    assert len(house.history) == 1
    assert library(house) == ([], 1)


def test_an_undoing_that_may_have_arrived_is_followed_by_the_mark(house: House) -> None:
    (play_id,) = told(house, EVENING)
    remove(house, play_id)
    going = update(delivery).where(delivery.c.action == "unwatched").values(unsure=True)
    house.database.do(lambda connection: connection.execute(going))

    done = restore(house, play_id)
    house.delivered()

    assert done["told"] == ["trakt"]
    assert house.times() == [EVENING]


def test_what_stayed_at_a_tracker_is_not_sent_again(house: House) -> None:
    house.post(plex("media.scrobble", 1))
    house.delivered()
    (row,) = house.plays()
    remove(house, row.id, able=CANNOT)
    house.delivered()

    done = restore(house, row.id, able=CANNOT)
    house.delivered()

    assert "trakt" not in done["told"]
    assert len(house.history) == 1


def test_one_mark_for_several_viewings_comes_back_with_either(house: House) -> None:
    house.post(plex("media.scrobble", 1), when=EVENING)
    house.post(plex("media.scrobble", 1), when=EVENING + 30 * DAY)
    house.delivered()
    first, second = house.plays()
    for row in (second, first):
        remove(house, row.id)
        house.delivered()
    assert library(house)[1] == 0

    done = restore(house, second.id)
    house.delivered()

    assert {*done["told"]} == {"trakt", "tvtime"}
    assert library(house)[1] == 1
    assert len(house.history) == 1


def test_a_replay_of_its_webhook_finds_it_again(house: House) -> None:
    made = house.post(plex("media.scrobble", 1))
    house.delivered()
    (row,) = house.plays()
    remove(house, row.id)
    restore(house, row.id)

    house.database.do(lambda connection: inbox.requeue(connection, [made]))
    house.interpret()
    house.delivered()

    assert [one.id for one in house.plays()] == [row.id]
    assert len(house.history) == 1


def test_two_plays_of_one_evening_that_went_together_come_back_together(house: House) -> None:
    house.bring(seen(FILM, EVENING), seen(FILM, EVENING + 5 * HOUR))
    first, second = (row.id for row in house.plays())
    redate(house, second, EVENING + HOUR)
    for play_id in (first, second):
        remove(house, play_id)

    for play_id in (first, second):
        restore(house, play_id)

    assert [row.id for row in house.plays()] == [first, second]


def test_what_another_play_stands_for_by_now_does_not_come_back(house: House) -> None:
    first, second = told(house, EVENING, EVENING + 30 * DAY)
    merge(house, first, second)
    with pytest.raises(NoEdit, match=f"play {first} stands for it"):
        restore(house, second)

    remove(house, first)
    new = manual_plays.NewPlay(item=FILM, watched_at=EVENING, dated=Dated.EXACT, rewatch=False, key=None)
    added = house.database.do(
        lambda connection: manual_plays.add(
            connection, house.me, new, house.service.trackers, "me", clock.now()
        )
    )
    with pytest.raises(NoEdit, match=f"play {added.play_id} stands for the same viewing"):
        restore(house, first)
    remove(house, added.play_id)

    restore(house, first)

    assert [row.id for row in house.plays()] == [first]


def test_what_is_not_removed_cannot_come_back(house: House) -> None:
    house.bring(seen(FILM, EVENING))

    for play_id in (house.plays()[0].id, 999):
        with pytest.raises(NoEdit, match="no removed play"):
            restore(house, play_id)


def test_a_correction_of_it_stays(house: House) -> None:
    house.bring(seen(FILM, EVENING))
    (row,) = house.plays()
    correct(house, row.id, edits.correct_item(FILM, {"title": "The Keeper"}))
    remove(house, row.id)

    restore(house, row.id)

    assert house.plays()[0].item["title"] == "The Keeper"
