"""The tallies: the same numbers with and without them, whatever changes; and when they are made."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, delete, select, update

from tests.test_numbers import BERLIN, NOW, TIDEWATER, Shelf, aired, at, film, part
from webhook.domain.event import Episode, Ids, Item, Movie, Track
from webhook.domain.items import keys
from webhook.domain.play import Dated, Play, State
from webhook.history import edits, stats, stats_cache, stats_worker
from webhook.history.play_store import save_play, store_keys
from webhook.history.stats_worker import StatsWorker
from webhook.people import people
from webhook.storage.db import Database
from webhook.storage.tables import person, play, play_key, tally
from webhook.transfer import merge
from webhook.transfer.records import Viewing

YEARS = (None, 2023, 2024, 2025, 2026)


@pytest.fixture
def anna(database: Database) -> Shelf:
    made = Shelf(database)
    database.do(lambda connection: connection.execute(update(person).values(timezone="Europe/Berlin")))
    return made


def made(shelf: Shelf, now: datetime = NOW) -> int:
    """How many tallies somebody who looks now makes."""
    return asyncio.run(StatsWorker(shelf.database).look(now))


def there(shelf: Shelf) -> set[str]:
    """What is kept, without the zone."""
    kept = shelf.database.ask(lambda connection: stats_cache.list_tallies(connection, shelf.person_id))
    return {what.split()[0] for what in kept}


def told(connection: Connection, person_id: int, now: datetime = NOW) -> list[stats.StatsJson]:
    return [stats.year_stats(connection, person_id, year, BERLIN, now) for year in YEARS]


def told_without(database: Database, person_id: int, now: datetime = NOW) -> list[stats.StatsJson]:
    """The same where nothing is kept."""
    with database.engine.connect() as connection, connection.begin() as transaction:
        connection.execute(delete(tally))
        found = told(connection, person_id, now)
        transaction.rollback()
    return found


def same_either_way(shelf: Shelf, now: datetime = NOW) -> bool:
    kept = shelf.database.ask(lambda connection: told(connection, shelf.person_id, now))
    return kept == told_without(shelf.database, shelf.person_id, now)


# --- the same numbers


class Life:
    """Random things that happen to a history, as the program itself does them."""

    def __init__(self, shelf: Shelf, seed: int) -> None:
        self.shelf, self.dice = shelf, random.Random(seed)  # noqa: S311 - dice
        self.count = 0

    def item(self) -> Item:
        dice, number = self.dice, self.dice.randint(1, 4)
        match dice.randint(0, 5):
            case 0:
                return film(
                    f"Film {number}", dice.choice((1990, 2019)), **dice.choice(({}, {"tmdb": number}))
                )
            case 1:
                return Track(title=f"Song {number}", artist=dice.choice(("Ida", "Bo")))
            case 2:
                return Episode(ids=Ids(tvdb=70 + number))  # known by its own id alone
            case 3:
                return part(1, number, show="Gezeiten", ids=Ids(imdb="tt1"))
            case _:
                return part(1, number, ids=dice.choice((TIDEWATER, Ids(), Ids(tvdb=7000, imdb="tt1"))))

    def moment(self) -> datetime:
        if self.dice.random() < 0.3:
            return NOW - timedelta(minutes=self.dice.randint(0, 3000))
        begins = datetime(2023, 1, 1, tzinfo=UTC)
        return begins + (NOW - begins) * self.dice.random()

    def chosen(self, connection: Connection) -> int | None:
        mine = (play.c.person_id == self.shelf.person_id, play.c.removed_at.is_(None))
        ids = connection.execute(select(play.c.id).where(*mine).order_by(play.c.id)).scalars().all()
        return self.dice.choice(ids) if ids else None

    def happens(self) -> None:
        does = self.dice.choices(self.ALL, [8, 3, 2, 2, 2, 2, 1, 1, 2])[0]
        self.shelf.database.do(lambda connection: does(self, connection))

    def watches(self, connection: Connection) -> None:
        moment, item = self.moment(), self.item()
        dated = self.dice.choice((Dated.EXACT, Dated.EXACT, Dated.DAY, Dated.TICKED))
        values = Play(
            item=item, state=State.STOPPED, started_at=moment, last_at=moment, source="test", dated=dated,
            watched_at=None if self.dice.random() < 0.1 else moment, duration_ms=self.dice.choice((None, 60_000)),
        )  # fmt: skip
        made = save_play(connection, self.shelf.person_id, values, None)
        store_keys(connection, self.shelf.person_id, made, keys(item))

    def imports(self, connection: Connection) -> None:
        some = []
        for _ in range(self.dice.randint(1, 6)):
            moment, self.count = self.moment(), self.count + 1
            seen = Play(
                item=self.item(), state=State.STOPPED, started_at=moment, last_at=moment, source="file",
                watched_at=moment,
            )  # fmt: skip
            some.append(Viewing(play=seen, foreign_key=f"row {self.count}"))
        merge.merge_entries(connection, self.shelf.person_id, some, NOW)

    def takes_back(self, connection: Connection) -> None:
        chosen = self.chosen(connection)
        value = self.dice.choice((NOW, None))
        connection.execute(update(play).where(play.c.id == chosen).values(unwatched_at=value))

    def removes(self, connection: Connection) -> None:
        if (chosen := self.chosen(connection)) is not None:
            edits.remove_play(connection, chosen, {}, "anna", NOW)

    def redates(self, connection: Connection) -> None:
        self.edit(
            connection, lambda made: edits.redate_play(connection, made, self.moment(), {}, "anna", NOW)
        )

    def corrects(self, connection: Connection) -> None:
        self.edit(connection, lambda made: edits.correct_play(connection, made, self.item(), {}, "anna", NOW))

    def merges(self, connection: Connection) -> None:
        other = self.chosen(connection)
        self.edit(connection, lambda made: edits.merge_plays(connection, made, other or 0, {}, "anna", NOW))

    def forgets(self, connection: Connection) -> None:
        connection.execute(delete(play).where(play.c.id == self.chosen(connection)))

    def is_told_more(self, connection: Connection) -> None:
        """An old play gets another key, as from an event of another server; nothing else of it changes."""
        if (chosen := self.chosen(connection)) is not None:
            store_keys(connection, self.shelf.person_id, chosen, keys(self.item()))

    def edit(self, connection: Connection, change: Callable[[int], Any]) -> None:
        if (chosen := self.chosen(connection)) is not None:
            try:
                with connection.begin_nested():
                    change(chosen)
            except edits.NoEdit:
                pass

    ALL = (watches, imports, takes_back, removes, redates, corrects, merges, forgets, is_told_more)


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(1, 20))])
def test_whatever_happens_the_numbers_are_the_same_with_and_without_tallies(anna: Shelf, seed: int) -> None:
    life = Life(anna, seed)
    anna.lists("tvdb:7000", *(aired(1, number, "2020-01-01", tvdb=70 + number) for number in (1, 2, 3)))
    for turn in range(30):
        life.happens()
        if turn % 3 == 0:
            made(anna)
            life.happens()
            assert same_either_way(anna), turn
        if turn == 15:
            anna.lists("tvdb:7000", *(aired(1, number, "2020-01-01", tvdb=70 + number) for number in (1, 2)))


def test_plays_since_are_added_to_what_is_kept(anna: Shelf) -> None:
    anna.seen(film("Salt Road"), at("2024-03-01T20:00"))
    anna.seen(part(1, 1), at("2025-03-01T20:00"))
    made(anna)
    later = NOW + timedelta(hours=1)
    anna.seen(film("Salt Road"), later)
    anna.seen(part(1, 2, show="TIDEWATER", ids=Ids()), later)

    assert there(anna) == {"all", "2024", "2025"}
    found = anna.database.ask(lambda connection: told(connection, anna.person_id, later))
    assert found == told_without(anna.database, anna.person_id, later)
    assert (found[0]["plays"], found[0]["rewatches"], found[0]["shows"]) == (4, 1, 1)


def test_a_show_is_finished_by_a_play_since(anna: Shelf) -> None:
    anna.lists("tvdb:7000", aired(1, 1), aired(1, 2), aired(1, 3, "2026-11-25"))
    anna.seen(part(1, 1), at("2026-03-01T20:00"))
    made(anna)
    before = anna.numbers(zone=BERLIN)["shows_finished"]
    later = NOW + timedelta(hours=1)
    anna.seen(part(1, 2), later)

    assert before == 0
    assert anna.numbers(zone=BERLIN)["shows_finished"] == 1
    assert same_either_way(anna, later)
    assert same_either_way(anna, at("2026-11-26T20:00"))  # another episode has aired since
    assert told_without(anna.database, anna.person_id, at("2026-11-26T20:00"))[0]["shows_finished"] == 0


def test_a_year_takes_from_all_years_how_far_its_shows_are_seen(anna: Shelf) -> None:
    anna.lists("tvdb:7000", aired(1, 1), aired(1, 2))
    anna.seen(part(1, 1), at("2024-03-01T20:00"))
    anna.seen(part(1, 2), at("2025-03-01T20:00"))
    made(anna)
    others = tally.c.what.not_like("all%")
    anna.database.do(lambda connection: connection.execute(delete(tally).where(others)))

    assert same_either_way(anna)
    assert [anna.numbers(year, BERLIN)["shows_finished"] for year in (2024, 2025)] == [0, 1]


def test_a_finished_show_is_finished_no_more_once_another_episode_airs(anna: Shelf) -> None:
    anna.lists("tvdb:7000", aired(1, 1), aired(1, 2, "2026-11-25"))
    anna.seen(part(1, 1), at("2026-03-01T20:00"))
    made(anna)

    assert anna.numbers(zone=BERLIN)["shows_finished"] == 1
    assert same_either_way(anna, at("2026-11-26T20:00"))
    assert told_without(anna.database, anna.person_id, at("2026-11-26T20:00"))[0]["shows_finished"] == 0


def test_a_finished_show_is_finished_no_more_once_its_list_has_more(anna: Shelf) -> None:
    anna.lists("tvdb:7000", aired(1, 1))
    anna.seen(part(1, 1), at("2026-03-01T20:00"))
    made(anna)
    anna.lists("tvdb:7000", aired(1, 1), aired(1, 2))

    assert anna.numbers(zone=BERLIN)["shows_finished"] == 0
    assert there(anna) == {"all", "2026"}


def test_a_show_finished_by_a_play_that_no_tally_has_is_unfinished_without_it(anna: Shelf) -> None:
    anna.lists("tvdb:7000", aired(1, 1), aired(1, 2))
    anna.seen(part(1, 1), at("2026-03-01T20:00"))
    ahead = anna.seen(part(1, 2), NOW + timedelta(hours=3))  # of a player whose clock is wrong
    made(anna)
    before = anna.numbers(zone=BERLIN)["shows_finished"]
    anna.change(ahead, removed_at=NOW)

    assert (before, anna.numbers(zone=BERLIN)["shows_finished"]) == (1, 0)
    assert there(anna) == {"all", "2026"}


def test_what_a_year_took_from_all_years_counts_the_plays_between(anna: Shelf) -> None:
    anna.lists("tvdb:7000", *(aired(1, number) for number in (1, 2, 3, 4)))
    anna.seen(part(1, 1), at("2026-03-01T20:00"))
    made(anna)
    anna.seen(part(1, 2), NOW + timedelta(hours=1))
    others = tally.c.what.not_like("all%")
    anna.database.do(lambda connection: connection.execute(delete(tally).where(others)))
    again = made(anna, NOW + timedelta(hours=2))
    for number in (3, 4):
        anna.seen(part(1, number), NOW + timedelta(hours=3))

    assert again == 1
    assert anna.numbers(zone=BERLIN)["shows_finished"] == 1


def test_a_year_that_a_wrong_clock_has_begun_counts_what_comes_before_it(anna: Shelf) -> None:
    anna.lists("tvdb:7000", *(aired(1, number) for number in (1, 2, 3)))
    anna.seen(part(1, 1), at("2027-02-01T20:00"))
    made(anna)
    anna.seen(part(1, 2), at("2026-12-20T20:00"))
    anna.seen(part(1, 3), at("2027-03-01T20:00"))

    assert "2027" in there(anna)
    assert anna.numbers(2027, BERLIN)["shows_finished"] == 1


# --- what lets go of them


CHANGES: dict[str, dict[str, Any]] = {
    "taken back": {"unwatched_at": NOW},
    "removed": {"removed_at": NOW},
    "of another length": {"duration_ms": 1},
    "dated otherwise": {"dated": "day"},
    "of another item": {"item": {"kind": "movie", "title": "Paper Boats", "ids": {}}},
    "not watched": {"watched_at": None},
    "watched a little earlier": {"watched_at": datetime(2024, 2, 1, tzinfo=UTC)},
}


@pytest.mark.parametrize("changed", CHANGES.values(), ids=list(CHANGES))
def test_a_play_that_changes_lets_go_of_its_year_and_all_after_it(
    anna: Shelf, changed: dict[str, Any]
) -> None:
    bob = Shelf(anna.database, "bob")
    for year in (2023, 2024, 2025):
        bob.seen(film("Salt Road"), at(f"{year}-03-01T20:00"))
    ids = [anna.seen(film("Salt Road"), at(f"{year}-03-01T20:00")) for year in (2023, 2024, 2025)]
    made(anna)
    anna.change(ids[1], **changed)

    assert there(anna) == {"2023"}
    assert there(bob) == {"all", "2023", "2024", "2025"}


def test_a_play_that_is_known_by_nothing_lets_go_when_it_comes_and_when_it_goes(anna: Shelf) -> None:
    for year in (2023, 2024):
        anna.seen(film("Salt Road"), at(f"{year}-03-01T20:00"))
    made(anna)
    nameless = anna.seen(Movie(), at("2024-05-01T20:00"))
    come = there(anna)
    made(anna)
    anna.database.do(lambda connection: connection.execute(delete(play).where(play.c.id == nameless)))

    assert (come, there(anna)) == ({"2023"}, {"2023"})
    assert same_either_way(anna)


@pytest.mark.parametrize("comes", [True, False])
def test_what_a_play_is_known_by_lets_go_when_it_comes_and_when_it_goes(anna: Shelf, comes: bool) -> None:
    for year in (2023, 2024):
        seen = anna.seen(film("Salt Road"), at(f"{year}-03-01T20:00"))
    made(anna)

    def change(connection: Connection) -> None:
        if comes:
            store_keys(connection, anna.person_id, seen, ["movie:tmdb:1"])
        else:
            connection.execute(delete(play_key).where(play_key.c.play_id == seen))

    anna.database.do(change)

    assert there(anna) == {"2023"}
    assert same_either_way(anna)


def test_a_play_that_moves_to_an_earlier_year_lets_go_of_that_one_too(anna: Shelf) -> None:
    for year in (2023, 2024):
        anna.seen(film("Salt Road"), at(f"{year}-03-01T20:00"))
    moved = anna.seen(film("Salt Road"), at("2025-03-01T20:00"))
    made(anna)
    anna.change(moved, watched_at=at("2024-05-01T20:00"))

    assert there(anna) == {"2023"}


def test_what_does_not_count_and_what_does_not_change_lets_go_of_nothing(anna: Shelf) -> None:
    seen = anna.seen(film("Salt Road"), at("2025-03-01T20:00"))
    made(anna)
    anna.seen(film("Paper Boats"), at("2024-03-01T20:00"), watched_at=None)
    anna.change(seen, player="Kitchen", duration_ms=60_000)

    assert there(anna) == {"all", "2025"}


def test_the_tallies_of_somebody_go_with_them(anna: Shelf) -> None:
    anna.seen(film("Salt Road"), at("2025-03-01T20:00"))
    made(anna)
    anna.database.do(lambda connection: connection.execute(delete(person)))

    assert anna.database.ask(lambda connection: connection.execute(select(tally)).all()) == []


def test_what_is_counted_while_a_play_changes_is_not_kept(anna: Shelf) -> None:
    seen = anna.seen(film("Salt Road"), at("2025-03-01T20:00"))
    (first, *_) = due(anna)
    begun = begin(anna, first)
    assert begun is not None
    counted = anna.database.ask(lambda connection: stats_worker.count_tally(connection, first, begun, NOW))
    anna.change(seen, duration_ms=1)

    assert anna.database.do(lambda connection: stats_worker.store_tallies(connection, [counted])) == [False]
    assert there(anna) == set()
    assert same_either_way(anna)


def test_nothing_is_begun_while_somebody_elses_change_is_under_way(postgres: Shelf) -> None:
    seen = postgres.seen(film("Salt Road"), at("2025-03-01T20:00"))
    (first, *_) = due(postgres)
    with postgres.database.engine.begin() as connection:
        connection.execute(update(play).where(play.c.id == seen).values(duration_ms=1))
        refused = begin(postgres, first)

    assert refused is None
    assert begin(postgres, first) is not None


@pytest.fixture
def postgres(migrated_postgres_url: str) -> Iterator[Shelf]:
    database = Database(migrated_postgres_url.replace("postgresql://", "postgresql+psycopg://", 1))
    yield Shelf(database)
    database.close()


def due(shelf: Shelf, now: datetime = NOW) -> list[stats_worker.Due]:
    return shelf.database.ask(
        lambda connection: stats_worker.due_tallies(connection, shelf.person_id, "Europe/Berlin", now)
    )


def begin(shelf: Shelf, one: stats_worker.Due) -> stats_cache.OpenTally | None:
    (begun,) = shelf.database.do(lambda connection: stats_worker.begin_tallies(connection, [(one, NOW)]))
    return begun


# --- when they are made


def test_all_years_and_each_are_counted_once_and_again_the_next_day(anna: Shelf) -> None:
    for year in (2023, 2025):
        anna.seen(film("Salt Road"), at(f"{year}-03-01T20:00"))

    assert made(anna) == 4  # 2024 lies between
    assert there(anna) == {"all", "2023", "2024", "2025"}
    assert made(anna) == 0
    assert made(anna, NOW + timedelta(hours=25)) == 4


def test_what_was_let_go_is_counted_again(anna: Shelf) -> None:
    anna.seen(film("Salt Road"), at("2023-03-01T20:00"))
    changed = anna.seen(film("Salt Road"), at("2025-03-01T20:00"))
    made(anna)
    anna.change(changed, removed_at=NOW)

    assert made(anna) == 1  # all years; 2025 is none of theirs any more
    assert there(anna) == {"all", "2023", "2024"}


def test_many_plays_since_are_counted_anew(anna: Shelf) -> None:
    anna.seen(film("Salt Road"), at("2026-03-01T20:00"))
    made(anna)
    later = NOW + timedelta(hours=2)
    for number in range(stats_worker.MAX_LIVE_PLAYS):
        anna.seen(film(f"Film {number}"), NOW + timedelta(minutes=number))
    few = made(anna, later)
    anna.seen(film("Paper Boats"), NOW + timedelta(minutes=90))

    assert (few, made(anna, later)) == (0, 2)


def test_nothing_is_counted_while_an_import_runs(anna: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stats_worker, "IMPORT_SIZE", 2)
    watching = StatsWorker(anna.database)
    anna.seen(film("Salt Road"), at("2025-03-01T20:00"))
    first = asyncio.run(watching.look(NOW))
    for number in range(3):
        anna.seen(film(f"Film {number}"), at("2025-03-01T20:00"))
    looks = [asyncio.run(watching.look(NOW)) for _ in range(2)]

    assert (first, looks) == (2, [0, 2])


def test_who_changes_old_plays_again_and_again_waits_longer(anna: Shelf) -> None:
    watching = StatsWorker(anna.database)
    seen = anna.seen(film("Salt Road"), at("2025-03-01T20:00"))
    found = []
    for number in range(8):
        anna.change(seen, duration_ms=number)
        found.append(asyncio.run(watching.look(NOW + timedelta(seconds=stats_worker.LOOK_INTERVAL * number))))

    assert found == [2, 2, 0, 2, 0, 0, 0, 2]


def test_somebody_who_has_watched_nothing_has_no_tallies(anna: Shelf) -> None:
    anna.database.do(lambda connection: people.add_person(connection, "cleo", NOW))

    assert made(anna) == 0
    assert same_either_way(anna)


def test_it_runs_until_it_is_told_to_stop(anna: Shelf) -> None:
    anna.seen(film("Salt Road"), at("2025-03-01T20:00"))

    async def run() -> None:
        stop = asyncio.Event()
        running = asyncio.create_task(StatsWorker(anna.database).run(stop))
        async with asyncio.timeout(10):
            while there(anna) != {"all", "2025"}:
                await asyncio.sleep(0.01)
            stop.set()
            await running

    asyncio.run(run())
