"""Plays that were recorded wrongly: moved by hours, and to the person who watched them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from tests.evening import plex
from tests.test_edits import CANNOT, correct, remove, told
from tests.test_interpreter import Told
from tests.test_restoration import restore, row_of
from tests.transfer.test_backfilling import House, opened_house
from tests.transfer.test_bringing import DAY, EVENING, FILM, HOUR, seen
from webhook import clock
from webhook.accounts import accounts
from webhook.domain.event import Action, item_from_json
from webhook.domain.play import State
from webhook.history import edits, moves
from webhook.history.edits import NoEdit
from webhook.people import people
from webhook.queues import inbox
from webhook.storage.rows import fetch_all
from webhook.storage.tables import PlayRow, play
from webhook.transfer.merge import merge_entries


@pytest.fixture
def house(url: str, tmp_path: Path) -> Iterator[House]:
    with opened_house(url, tmp_path) as opened:
        yield opened


def shift(house: House, play_id: int, by_time: timedelta) -> edits.EditResult:
    able = house.service.trackers
    return house.database.do(
        lambda connection: moves.shift_play(connection, play_id, by_time, able, "me", clock.now())
    )


def add_ben(house: House, *, at_trakt: bool = True) -> int:
    ben = house.database.do(lambda connection: people.add_person(connection, "ben", clock.now()))
    if at_trakt:
        sealed = house.service.seal.seal(dict(house.trakt.sign_in("ben")))
        tracker = house.service.trackers["trakt"]
        house.database.do(
            lambda connection: accounts.store_tokens(connection, ben, tracker, sealed, "ben", clock.now())
        )
    return ben


def reassign(house: House, play_id: int, to: int, **more: Any) -> edits.EditResult:
    able = more.get("able") or house.service.trackers
    return house.database.do(
        lambda connection: moves.reassign_play(connection, play_id, to, able, "me", clock.now())
    )


def at_trakt_of(house: House, name: str) -> list[str]:
    return [row["watched_at"] for row in house.trakt.user(name).history]


def owners(house: House) -> list[tuple[int, int]]:
    """The plays that are not removed, each with its person."""
    return [(row.id, row.person_id) for row in house.plays()]


# --- by hours


def test_a_shifted_play_has_its_new_date_at_the_trackers_too(house: House) -> None:
    first, _second = told(house, EVENING, EVENING + 30 * DAY)

    done = shift(house, first, -2 * HOUR)
    house.delivered()

    assert (done["undone"], done["told"]) == (["trakt"], ["trakt"])
    assert house.times() == [EVENING - 2 * HOUR, EVENING + 30 * DAY]
    assert row_of(house, first).started_at == EVENING - 2 * HOUR


def test_a_date_that_cannot_move_stays(house: House) -> None:
    now = clock.now()
    house.bring(seen(FILM, now - HOUR), seen(FILM, now - 300 * DAY))
    recent, old = (row.id for row in house.plays())
    ticked = update(play).where(play.c.id == old).values(dated="ticked")
    house.database.do(lambda connection: connection.execute(ticked))

    with pytest.raises(NoEdit, match="future"):
        shift(house, recent, 2 * HOUR)
    with pytest.raises(NoEdit, match="not known"):
        shift(house, old, 2 * HOUR)


# --- to another person


def test_a_play_goes_to_the_person_who_watched_it_and_so_do_its_marks(house: House) -> None:
    (play_id,) = told(house, EVENING)
    ben = add_ben(house)

    done = reassign(house, play_id, ben)
    house.delivered()

    assert done["undone"] == ["trakt"]
    assert "trakt" in done["told"]
    assert owners(house) == [(done["play"], ben)]
    assert house.history == []
    assert len(at_trakt_of(house, "ben")) == 1


def test_neither_a_replay_nor_an_import_gives_it_back_to_the_old_person(house: House) -> None:
    made = house.post(plex("media.scrobble", 1))
    house.delivered()
    (row,) = house.plays()
    ben = add_ben(house)
    done = reassign(house, row.id, ben)

    house.database.do(lambda connection: inbox.requeue(connection, [made]))
    house.interpret()
    house.bring(seen(item_from_json(row.item), row.watched_at))
    house.delivered()

    assert owners(house) == [(done["play"], ben)]
    assert house.history == []
    assert len(at_trakt_of(house, "ben")) == 1


def test_a_viewing_that_the_other_person_has_is_not_doubled(house: House) -> None:
    (play_id,) = told(house, EVENING)
    ben = add_ben(house)
    viewing = seen(FILM, EVENING + HOUR)
    house.database.do(lambda connection: merge_entries(connection, ben, [viewing], clock.now(), 1))
    before = owners(house)

    with pytest.raises(NoEdit, match="ben has this viewing already"):
        reassign(house, play_id, ben)

    assert owners(house) == before
    assert house.times() == [EVENING]


def test_what_plays_or_is_theirs_already_does_not_move(house: House) -> None:
    house.bring(seen(FILM, EVENING))
    (row,) = house.plays()
    ben = add_ben(house)
    with pytest.raises(NoEdit, match="this person's already"):
        reassign(house, row.id, house.me)

    playing = update(play).values(state=State.PLAYING.value)
    house.database.do(lambda connection: connection.execute(playing))
    with pytest.raises(NoEdit, match="still playing"):
        reassign(house, row.id, ben)


def test_moved_there_and_back_it_is_the_same_play(house: House) -> None:
    (play_id,) = told(house, EVENING)
    ben = add_ben(house)
    before = row_of(house, play_id)

    there = reassign(house, play_id, ben)
    house.delivered()
    back = reassign(house, there["play"], house.me)
    house.delivered()

    assert back["play"] == play_id
    assert row_of(house, play_id) == before
    assert house.times() == [EVENING]
    assert at_trakt_of(house, "ben") == []
    assert reassign(house, play_id, ben)["play"] == there["play"]
    house.delivered()
    assert house.history == []
    assert len(at_trakt_of(house, "ben")) == 1


def test_what_was_changed_meanwhile_is_kept_on_the_way_back(house: House) -> None:
    (play_id,) = told(house, EVENING)
    there = reassign(house, play_id, add_ben(house))
    shift(house, there["play"], -3 * HOUR)
    correct(house, there["play"], edits.correct_item(FILM, {"title": "The Keeper"}))
    house.delivered()

    reassign(house, there["play"], house.me)
    house.delivered()

    row = row_of(house, play_id)
    assert (row.watched_at, row.item["title"]) == (EVENING - 3 * HOUR, "The Keeper")
    assert house.times() == [EVENING - 3 * HOUR]


def test_a_mark_that_cannot_be_taken_back_is_not_doubled_on_the_way_back(house: House) -> None:
    (play_id,) = told(house, EVENING)
    ben = add_ben(house, at_trakt=False)
    without = {"trakt": Told(frozenset({Action.STOP, Action.WATCHED}))}

    there = reassign(house, play_id, ben, able=without)
    house.delivered()
    assert house.times() == [EVENING]
    reassign(house, there["play"], house.me, able=CANNOT)
    house.delivered()

    assert house.times() == [EVENING]


def test_a_removed_play_that_went_to_another_person_does_not_come_back_beside_it(house: House) -> None:
    (play_id,) = told(house, EVENING)
    there = reassign(house, play_id, add_ben(house))

    with pytest.raises(NoEdit, match=f"play {there['play']} stands for it"):
        restore(house, play_id)
    remove(house, there["play"])
    restore(house, play_id)

    assert owners(house) == [(play_id, house.me)]


def test_the_preview_counts_what_will_be_done(house: House) -> None:
    (first, second) = told(house, EVENING, EVENING + 30 * DAY)
    ben = add_ben(house)
    viewing = seen(FILM, EVENING + 30 * DAY)
    house.database.do(lambda connection: merge_entries(connection, ben, [viewing], clock.now(), 1))

    def look(connection: Any) -> moves.ReassignPreview:
        wanted = select(play).where(play.c.id.in_((first, second))).order_by(play.c.id)
        rows = fetch_all(connection, wanted, PlayRow)
        return moves.preview_reassign(connection, rows, ben, house.service.trackers)

    found = house.database.ask(look)

    assert found.plays == 1
    assert found.left == {"ben has this viewing already": 1}
    assert (found.taken, found.kept) == ({"trakt": 1}, {})
    assert "trakt" in found.told
