"""Edits: what a person changes by hand is changed where it was told, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select, update

from tests.evening import plex
from tests.test_interpreter import Told
from tests.transfer.test_backfilling import House, opened_house, part
from tests.transfer.test_bringing import DAY, EVENING, FILM, HOUR, seen
from webhook import clock
from webhook.domain.event import Action, Ids, Movie
from webhook.domain.outcome import Park
from webhook.history import edits
from webhook.history.edits import NoEdit
from webhook.history.shelf import list_marks
from webhook.queries.deliveries import list_deliveries
from webhook.queues import inbox, parking
from webhook.storage.tables import delivery, play, tick

CANNOT = {"trakt": Told(frozenset({Action.START, Action.STOP, Action.WATCHED}))}
OTHER = Movie(title="Another Keeper", year=2020, ids=Ids(tmdb=5))


@pytest.fixture
def house(url: str, tmp_path: Path) -> Iterator[House]:
    with opened_house(url, tmp_path) as opened:
        yield opened


def remove(house: House, play_id: int, **more: Any) -> edits.EditResult:
    able = more.get("able") or house.service.trackers
    return house.database.do(
        lambda connection: edits.remove_play(connection, play_id, able, "me", clock.now())
    )


def library(house: House) -> tuple[list[str], int]:
    """Why something was not told to the built-in library, and how many marks it has."""

    def found(connection: Connection) -> tuple[list[str], int]:
        skipped = list_deliveries(connection, tracker="tvtime", state="skipped", limit=50)["items"]
        return [entry["reason"] or "" for entry in skipped], len(connection.execute(select(tick)).all())

    return house.database.ask(found)


def redate(house: House, play_id: int, at: datetime, **more: Any) -> edits.EditResult:
    able = more.get("able") or house.service.trackers
    return house.database.do(
        lambda connection: edits.redate_play(connection, play_id, at, able, "me", clock.now())
    )


def correct(house: House, play_id: int, item: Any) -> edits.EditResult:
    return house.database.do(
        lambda connection: edits.correct_play(
            connection, play_id, item, house.service.trackers, "me", clock.now()
        )
    )


def merge(house: House, play_id: int, other_id: int) -> edits.EditResult:
    return house.database.do(
        lambda connection: edits.merge_plays(
            connection, play_id, other_id, house.service.trackers, "me", clock.now()
        )
    )


def told(house: House, *moments: datetime) -> list[int]:
    """Viewings of the film that the account was told of; their plays."""
    house.bring(*(seen(FILM, at) for at in moments))
    house.backfill()
    house.trakt.calls.clear()
    return [row.id for row in house.plays()]


# --- removed


def test_only_what_we_made_is_taken_back(house: House) -> None:
    (play_id,) = told(house, EVENING)
    house.hold({"movies": [{"ids": {"tmdb": 900001}, "watched_at": (EVENING + 5 * DAY).isoformat()}]})

    done = remove(house, play_id)
    house.delivered()

    assert done["undone"] == ["trakt"]
    assert house.times() == [EVENING + 5 * DAY]
    assert house.plays() == []


def test_what_was_there_before_us_stays(house: House) -> None:
    """The account had it already, so that we made nothing there."""
    house.hold({"movies": [{"ids": {"tmdb": 900001}, "watched_at": EVENING.isoformat()}]})
    house.post(plex("media.scrobble", 1))
    house.bring(seen(FILM, EVENING))
    film = next(row.id for row in house.plays() if row.kind == "movie")
    house.backfill()

    done = remove(house, film)
    house.delivered()

    assert done["undone"] == []
    assert EVENING in house.times()


def test_a_live_scrobble_is_taken_back(house: House) -> None:
    house.post(plex("media.scrobble", 1))
    house.post(plex("media.scrobble", 2))
    house.delivered()
    (first, _) = house.plays()

    remove(house, first.id)
    house.delivered()

    assert [row["episode"]["ids"]["tvdb"] for row in house.history] == [100_002]


def test_what_was_not_told_yet_is_never_told(house: House) -> None:
    house.post(plex("media.scrobble", 1))
    (row,) = house.plays()

    done = remove(house, row.id)
    house.delivered()

    assert set(done["undone"]) == {"trakt", "tvtime"}
    assert house.trakt.made("POST /") == []
    assert [entry["state"] for entry in house.deliveries()] == ["superseded"]


def test_a_replay_of_its_webhook_does_not_bring_it_back(house: House) -> None:
    made = house.post(plex("media.scrobble", 1))
    house.delivered()
    (row,) = house.plays()
    remove(house, row.id)
    house.delivered()

    house.database.do(lambda connection: inbox.requeue(connection, [made]))
    house.interpret()
    house.delivered()

    assert house.plays() == []
    assert house.history == []


def test_one_mark_for_several_viewings_stays_until_the_last_of_them_goes(house: House) -> None:
    house.post(plex("media.scrobble", 1), when=EVENING)
    house.post(plex("media.scrobble", 1), when=EVENING + 30 * DAY)
    house.delivered()
    first, second = house.plays()

    done = remove(house, second.id)
    house.delivered()

    assert done["undone"] == ["trakt"]
    assert library(house) == ([edits.STAYS], 1)
    assert len(house.history) == 1

    done = remove(house, first.id)
    house.delivered()

    assert {*done["undone"]} == {"trakt", "tvtime"}
    assert library(house) == ([edits.STAYS], 0)
    assert house.history == []


def test_what_cannot_be_taken_back_is_said_and_not_told_again(house: House) -> None:
    made = house.post(plex("media.scrobble", 1))
    house.delivered()
    (row,) = house.plays()

    done = redate(house, row.id, EVENING, able=CANNOT)
    house.database.do(lambda connection: inbox.requeue(connection, [made]))
    house.interpret()
    house.delivered()

    assert (done["undone"], done["told"]) == ([], [])
    assert len(house.history) == 1
    assert [entry["reason"] for entry in house.deliveries("skipped")] == [edits.CANNOT_UNDO]


def test_what_cannot_be_taken_back_and_was_not_told_yet_is_told_anew(house: House) -> None:
    house.post(plex("media.scrobble", 1))
    (row,) = house.plays()

    done = redate(house, row.id, EVENING, able=CANNOT)
    house.delivered()

    assert "trakt" in done["told"]
    assert house.times() == [EVENING]


def test_a_mark_in_flight_is_undone_after_it_has_arrived(house: House) -> None:
    """Its handle is not known when the person removes the play; it is when it is undone."""
    house.post(plex("media.scrobble", 1))
    house.trakt.faults.add("POST /scrobble/stop", record_then=502)
    house.delivered()
    (row,) = house.plays()
    assert len(house.history) == 1

    remove(house, row.id)
    for _ in range(4):
        house.hold_on()
        house.delivered()

    assert house.history == []
    assert "dead" not in {entry["state"] for entry in house.deliveries()}


def test_a_mark_that_is_put_off_is_not_overtaken_by_its_undoing(house: House) -> None:
    house.post(plex("media.scrobble", 1))
    house.delivered()
    (row,) = house.plays()
    later = {"state": "waiting", "unsure": True, "remote_id": None, "due_at": clock.now() + HOUR}
    of = update(delivery).where(delivery.c.play_id == row.id).values(later)
    house.database.do(lambda connection: connection.execute(of))

    remove(house, row.id)
    ready = update(delivery).where(delivery.c.action == "unwatched").values(due_at=clock.now())
    house.database.do(lambda connection: connection.execute(ready))
    house.hold_on()
    house.delivered()
    assert len(house.history) == 1
    due = update(delivery).where(delivery.c.state == "waiting").values(due_at=clock.now())
    house.database.do(lambda connection: connection.execute(due))
    house.hold_on()
    house.delivered()

    assert house.history == []


# --- redated


def test_a_new_date_is_told_once_in_the_place_of_the_old(house: House) -> None:
    first, _second = told(house, EVENING, EVENING + 30 * DAY)

    done = redate(house, first, EVENING - 300 * DAY)
    house.delivered()

    assert (done["undone"], done["told"]) == (["trakt"], ["trakt"])
    assert house.times() == [EVENING - 300 * DAY, EVENING + 30 * DAY]
    paths = [call.path for call in house.trakt.calls if call.method == "POST"]
    assert paths == ["/sync/history/remove", "/sync/history"]
    (row, _) = house.plays()
    assert (row.watched_at, row.dated) == (EVENING - 300 * DAY, "exact")


def test_two_edits_in_a_row_leave_the_last(house: House) -> None:
    (play_id,) = told(house, EVENING)

    redate(house, play_id, EVENING - DAY)
    redate(house, play_id, EVENING - 2 * DAY)
    house.delivered()
    redate(house, play_id, EVENING - 3 * DAY)
    house.delivered()

    assert house.times() == [EVENING - 3 * DAY]
    shown = house.database.ask(lambda connection: edits.edits_of_play(connection, play_id))
    assert [entry["what"] for entry in shown] == ["redated"] * 3
    assert shown[0]["before"]
    assert shown[2]["after"]
    assert shown[0]["before"]["watched_at"] == clock.stamp(EVENING)
    assert shown[2]["after"]["watched_at"] == clock.stamp(EVENING - 3 * DAY)


def test_a_play_that_was_never_told_is_not_told_by_an_edit(house: House) -> None:
    house.bring(seen(FILM, EVENING))
    (row,) = house.plays()

    done = redate(house, row.id, EVENING - DAY)
    house.delivered()

    assert (done["undone"], done["told"], house.deliveries()) == ([], [], [])


def test_a_redated_play_is_told_a_backfill_s_date_once(house: House) -> None:
    (play_id,) = told(house, EVENING)
    redate(house, play_id, EVENING - DAY)
    house.delivered()

    assert house.backfill()["counts"]["sent"] == 0


def test_a_parked_account_is_told_only_the_new_date_when_it_goes_on(house: House) -> None:
    house.bring(seen(FILM, EVENING))
    (row,) = house.plays()
    house.begin()
    house.step()
    now = clock.now()
    house.database.do(lambda connection: parking.park(connection, house.account, Park.VIP_REQUIRED, "", now))

    redate(house, row.id, EVENING - DAY)
    house.database.do(lambda connection: parking.unpark(connection, house.account, clock.now()))
    house.delivered()

    assert house.times() == [EVENING - DAY]


def test_what_cannot_be_is_refused(house: House) -> None:
    house.bring(seen(FILM, EVENING), seen(part(1), EVENING), seen(OTHER, EVENING, watched_at=None))
    film, episode, begun = (row.id for row in house.plays())

    with pytest.raises(NoEdit, match="future"):
        redate(house, film, clock.now() + 3 * DAY)
    with pytest.raises(NoEdit, match="not watched"):
        redate(house, begun, EVENING)
    with pytest.raises(NoEdit, match="no play 999"):
        remove(house, 999)
    with pytest.raises(NoEdit, match="itself"):
        merge(house, film, film)
    with pytest.raises(NoEdit, match="a movie, the other a"):
        merge(house, film, episode)
    remove(house, film)
    with pytest.raises(NoEdit, match="no play"):
        remove(house, film)


def test_what_was_taken_back_by_unwatching_has_no_date_to_change(house: House) -> None:
    when = clock.now() - 5 * HOUR
    house.post(plex("media.scrobble", 1, lastViewedAt=int(when.timestamp())), when=when)
    (row,) = house.plays()
    of = update(play).values(unwatched_at=clock.now())
    house.database.do(lambda connection: connection.execute(of))

    with pytest.raises(NoEdit, match="not watched"):
        redate(house, row.id, EVENING)


def test_the_built_in_library_has_the_new_date(house: House) -> None:
    house.post(plex("media.scrobble", 1))
    house.delivered()
    (row,) = house.plays()

    redate(house, row.id, EVENING)
    house.delivered()

    ticked = house.database.ask(lambda connection: list_marks(connection, house.me, None, ""))
    assert [one.watched_at for one in ticked] == [EVENING]


# --- corrected


def test_another_item_is_told_in_the_place_of_the_wrong_one(house: House) -> None:
    play_id, _ = told(house, EVENING, EVENING + DAY)

    done = correct(house, play_id, OTHER)
    house.delivered()

    assert done["told"] == ["trakt"]
    films = {row["movie"]["ids"]["tmdb"]: row["watched_at"] for row in house.history}
    assert sorted(films) == [5, 900001]
    assert datetime.fromisoformat(films[5]) == EVENING
    assert [row.item["title"] for row in house.plays()] == [OTHER.title, FILM.title]


# --- merged


def test_of_two_plays_that_were_told_one_stays_everywhere(house: House) -> None:
    first, second = told(house, EVENING, EVENING + HOUR)

    done = merge(house, first, second)
    house.delivered()

    assert done["undone"] == ["trakt"]
    assert house.times() == [EVENING]
    assert [row.id for row in house.plays()] == [first]


def test_an_unfinished_play_takes_the_mark_of_the_other_along(house: House) -> None:
    when = clock.now() - 9 * HOUR
    house.post(plex("media.play", 1), when=when)
    house.bring(seen(part(1), when + 8 * HOUR))
    house.backfill()
    begun, watched = (row.id for row in house.plays())

    merge(house, begun, watched)
    house.delivered()

    (row,) = house.plays()
    assert (row.id, row.watched_at) == (begun, when + 8 * HOUR)
    assert house.times() == [when + 8 * HOUR]


def test_the_account_keeps_the_viewing_that_only_the_other_play_was_told_for(house: House) -> None:
    (told_of,) = told(house, EVENING)
    house.bring(seen(FILM, EVENING + 5 * HOUR))
    kept = house.plays()[-1].id

    merge(house, kept, told_of)
    house.delivered()

    assert house.times() == [EVENING + 5 * HOUR]
