"""Up next: which episode comes next of which show, and in which order."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.test_numbers import NOW, TIDEWATER, Shelf, aired, part
from webhook.domain.event import Episode, Ids
from webhook.domain.play import State
from webhook.queries.up_next import UpNextJson, list_up_next
from webhook.storage.db import Database

YESTERDAY, TOMORROW = "2026-11-21", "2026-11-23"
LATELY = NOW - timedelta(days=3)


@pytest.fixture
def anna(database: Database) -> Shelf:
    return Shelf(database)


def up_next(shelf: Shelf, **options: Any) -> list[UpNextJson]:
    return shelf.database.ask(
        lambda connection: list_up_next(connection, shelf.person_id, NOW.date(), **options)
    )


def places(shelf: Shelf) -> list[tuple[str | None, int | None, int | None]]:
    return [(one["show"], one["season"], one["number"]) for one in up_next(shelf)]


def of(show: str, tvdb: int, season: int, number: int) -> Episode:
    return part(season, number, show, Ids(tvdb=tvdb))


def test_the_episode_after_the_one_watched_last_is_up_next(anna: Shelf) -> None:
    anna.follow("Tidewater", TIDEWATER)
    anna.lists("tvdb:7000", aired(1, 1), aired(1, 2), aired(1, 3), aired(2, 1, TOMORROW))
    anna.seen(part(1, 2), LATELY)

    (one,) = up_next(anna)

    assert (one["show"], one["season"], one["number"], one["aired"]) == ("Tidewater", 1, 3, "2020-01-01")
    assert (one["followed"], one["left"], one["show_key"], one["kind"]) == (True, 1, "tvdb:7000", "episode")
    assert one["show_ids"] == {"tvdb": 7000}
    assert one["picture"] == "show:tvdb:7000"


def test_a_show_that_nobody_has_begun_starts_with_its_first_regular_episode(anna: Shelf) -> None:
    anna.follow("Tidewater", TIDEWATER)
    anna.lists("tvdb:7000", aired(0, 1), aired(1, 1), aired(1, 2))

    assert places(anna) == [("Tidewater", 1, 1)]


def test_an_episode_that_will_air_is_up_next_where_all_others_are_watched(anna: Shelf) -> None:
    anna.follow("Tidewater", TIDEWATER)
    anna.lists("tvdb:7000", aired(1, 1), aired(1, 2, TOMORROW), aired(1, 3, "2026-12-01"))
    anna.seen(part(1, 1), LATELY)

    (one,) = up_next(anna)

    assert (one["number"], one["aired"], one["left"]) == (2, TOMORROW, 0)


def test_an_episode_without_a_day_and_a_show_without_a_list_are_left_out(anna: Shelf) -> None:
    anna.follow("Tidewater", TIDEWATER)
    anna.follow("Unlisted", Ids(tvdb=7001))
    anna.lists("tvdb:7000", aired(1, 1), aired(1, 2, None))
    anna.seen(part(1, 1), LATELY)
    anna.seen(of("Unlisted", 7001, 1, 1), LATELY)

    assert up_next(anna) == []


def test_a_show_that_was_watched_lately_has_a_next_episode_though_nobody_follows_it(anna: Shelf) -> None:
    anna.lists("tvdb:7000", aired(1, 1), aired(1, 2))
    anna.seen(part(1, 1), LATELY)

    (one,) = up_next(anna)

    assert (one["number"], one["followed"]) == (2, False)


@pytest.mark.parametrize("state", ["stopped", "archived", "for_later"])
def test_a_show_that_was_put_aside_is_not_up_next_however_lately_it_was_watched(
    anna: Shelf, state: str
) -> None:
    anna.follow("Tidewater", TIDEWATER, state)
    anna.lists("tvdb:7000", aired(1, 1), aired(1, 2))
    anna.seen(part(1, 1), LATELY)

    assert up_next(anna) == []


def test_plays_that_know_a_followed_show_by_its_title_are_of_that_show(anna: Shelf) -> None:
    anna.follow("Tidewater", TIDEWATER)
    anna.lists("tvdb:7000", aired(1, 1), aired(1, 2))
    anna.lists("title:tidewater", aired(1, 1), aired(1, 2))
    anna.seen(part(1, 1, ids=Ids()), LATELY)

    (one,) = up_next(anna)

    assert (one["show_key"], one["number"]) == ("tvdb:7000", 2)


def test_another_show_of_the_same_title_is_up_next_by_itself(anna: Shelf) -> None:
    anna.follow("Tidewater", TIDEWATER)
    anna.lists("tvdb:7000", aired(1, 1), aired(1, 2))
    anna.lists("tvdb:8", aired(1, 1), aired(1, 2))
    anna.seen(part(1, 1, ids=Ids(tvdb=8)), LATELY)

    assert {one["show_key"]: one["number"] for one in up_next(anna)} == {"tvdb:8": 2, "tvdb:7000": 1}


def test_what_is_playing_is_not_up_next_but_what_comes_after_it_is(anna: Shelf) -> None:
    anna.lists("tvdb:7000", aired(1, 1), aired(1, 2), aired(1, 3))
    anna.seen(part(1, 1), LATELY)
    playing = anna.seen(part(1, 2), NOW, watched_at=None)
    anna.change(playing, state=State.PLAYING.value)

    assert places(anna) == [("Tidewater", 1, 3)]

    anna.change(playing, state=State.STOPPED.value)

    assert places(anna) == [("Tidewater", 1, 2)]


def test_those_to_watch_now_come_first_the_latest_watched_show_before_all(anna: Shelf) -> None:
    days = {"Older": YESTERDAY, "Later": "2026-12-24", "Newer": YESTERDAY, "Sooner": TOMORROW}
    for age, (show, day) in enumerate(days.items()):
        tvdb = 9 - age
        anna.lists(f"tvdb:{tvdb}", aired(1, 1), aired(1, 2, day))
        anna.seen(of(show, tvdb, 1, 1), LATELY + timedelta(minutes=age))

    assert [show for show, *_ in places(anna)] == ["Newer", "Older", "Sooner", "Later"]
    assert [one["show"] for one in up_next(anna, limit=1)] == ["Newer"]


def test_what_another_person_watches_changes_nothing(anna: Shelf) -> None:
    bob = Shelf(anna.database, "bob")
    anna.follow("Tidewater", TIDEWATER)
    anna.lists("tvdb:7000", aired(1, 1), aired(1, 2))
    bob.seen(part(1, 1), LATELY)

    assert places(anna) == [("Tidewater", 1, 1)]
    assert places(bob) == [("Tidewater", 1, 2)]


def test_what_was_removed_or_taken_back_is_up_next_again(anna: Shelf) -> None:
    anna.follow("Tidewater", TIDEWATER)
    anna.lists("tvdb:7000", aired(1, 1), aired(1, 2), aired(1, 3))
    anna.seen(part(1, 1), LATELY)
    removed = anna.seen(part(1, 2), NOW)
    anna.change(removed, removed_at=NOW)

    assert places(anna) == [("Tidewater", 1, 2)]
