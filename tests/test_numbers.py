"""The numbers: what is counted, and on which day and hour of the person's own zone."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import insert, select, update
from typer.testing import CliRunner

from webhook import cli
from webhook.domain.event import Episode, Ids, Item, Kind, Movie, Show, Track
from webhook.domain.items import keys
from webhook.domain.outcome import Retry
from webhook.domain.play import Dated, Play, State
from webhook.history import edits, library, shows
from webhook.history import stats as numbers
from webhook.history.play_store import save_play, store_keys
from webhook.lookups import Candidate, FoundEpisode, ListedEpisode, Lookup
from webhook.people import people
from webhook.storage.db import Database
from webhook.storage.tables import episode_list, person, play

NOW = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)
UTC_ZONE = ZoneInfo("UTC")
BERLIN = ZoneInfo("Europe/Berlin")
TIDEWATER = Ids(tvdb=7000)


class Shelf:
    """One person's plays in a database."""

    def __init__(self, database: Database, name: str = "anna") -> None:
        self.database = database
        self.person_id = database.do(lambda connection: people.add_person(connection, name, NOW))

    def seen(self, item: Item, at: datetime, **values: Any) -> int:
        values = {"duration_ms": 60_000, "watched_at": at, "source": "test", **values}
        made = Play(item=item, state=State.STOPPED, started_at=at, last_at=at, **values)

        def keep(connection: Any) -> int:
            play_id = save_play(connection, self.person_id, made, None)
            store_keys(connection, self.person_id, play_id, keys(item))
            return play_id

        return self.database.do(keep)

    def change(self, play_id: int, **values: Any) -> None:
        self.database.do(
            lambda connection: connection.execute(update(play).where(play.c.id == play_id).values(values))
        )

    def correct(self, play_id: int, item: Item) -> None:
        self.database.do(lambda connection: edits.correct_play(connection, play_id, item, {}, "me", NOW))

    def follow(self, title: str, ids: Ids, state: str = "following") -> None:
        show = Show(title=title, ids=ids)
        self.database.do(lambda connection: library.follow_show(connection, self.person_id, show, NOW, state))

    def lists(self, key: str, *episodes: ListedEpisode) -> None:
        learnt = shows.ShowList(key, "tvdb", episodes, NOW)
        self.database.do(lambda connection: shows.store_lists(connection, [learnt]))

    def numbers(self, year: int | None = 2026, zone: ZoneInfo = UTC_ZONE) -> numbers.StatsJson:
        return self.database.ask(
            lambda connection: numbers.year_stats(connection, self.person_id, year, zone, NOW)
        )

    def next(self) -> list[Any]:
        today = NOW.date()
        return self.database.ask(lambda connection: shows.next_episodes(connection, self.person_id, today))


@pytest.fixture
def anna(database: Database) -> Shelf:
    return Shelf(database)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def part(season: int, number: int, show: str | None = "Tidewater", ids: Ids = TIDEWATER) -> Episode:
    return Episode(title=f"{season}-{number}", show=show, season=season, number=number, show_ids=ids)


def film(title: str, year: int = 2019, **ids: Any) -> Movie:
    return Movie(title=title, year=year, ids=Ids(**ids))


def aired(season: int, number: int, day: str | None = "2020-01-01", **ids: Any) -> ListedEpisode:
    return ListedEpisode(season=season, number=number, aired=day, ids=Ids(**ids))


def some(counts: list[int]) -> Mapping[int, int]:
    return {place: count for place, count in enumerate(counts) if count}


# --- what is counted


def test_somebody_who_has_watched_nothing_has_numbers_of_nothing(anna: Shelf) -> None:
    found = anna.numbers()

    assert (found["plays"], found["time_ms"], found["shows"], found["days"]) == (0, 0, 0, {})
    assert found["streaks"]["longest"] == {"days": 0, "first": None, "last": None}
    assert found["shows_finished"] is None
    assert anna.numbers(None)["plays"] == 0


def test_films_episodes_and_tracks_are_counted_with_their_time(anna: Shelf) -> None:
    anna.seen(film("Salt Road"), at("2026-03-01T20:00"), duration_ms=5_400_000)
    anna.seen(part(1, 1), at("2026-03-02T20:00"), duration_ms=2_400_000)
    anna.seen(part(1, 2), at("2026-03-03T20:00"), duration_ms=None)
    anna.seen(Track(title="Tide", artist="Ida"), at("2026-03-04T20:00"), duration_ms=200_000)

    found = anna.numbers()

    assert (found["films"], found["episodes"], found["tracks"], found["plays"]) == (1, 2, 1, 4)
    assert found["time_ms"] == 8_000_000
    assert found["without_duration"] == 1


def test_the_time_of_each_kind_is_known_by_month(anna: Shelf) -> None:
    anna.seen(film("Salt Road"), at("2026-03-01T20:00"), duration_ms=5_400_000)
    anna.seen(part(1, 1), at("2026-03-02T20:00"), duration_ms=2_400_000)
    anna.seen(Track(title="Tide", artist="Ida"), at("2026-04-04T20:00"), duration_ms=200_000)

    found = anna.numbers()

    assert [some(found["months_by_kind"][kind]) for kind in ("films", "episodes", "tracks")] == [
        {2: 5_400_000},
        {2: 2_400_000},
        {3: 200_000},
    ]
    assert some(found["months_time_ms"]) == {2: 7_800_000, 3: 200_000}


def test_what_is_unfinished_taken_back_removed_or_anothers_does_not_count(anna: Shelf) -> None:
    bob = Shelf(anna.database, "bob")
    bob.seen(film("Salt Road"), at("2026-03-01T20:00"))
    anna.seen(film("Salt Road"), at("2026-03-01T20:00"), watched_at=None)
    taken_back = anna.seen(film("Night & Day"), at("2026-03-02T20:00"))
    removed = anna.seen(film("Paper Boats"), at("2026-03-03T20:00"))
    anna.change(taken_back, unwatched_at=NOW)
    anna.change(removed, removed_at=NOW)

    assert anna.numbers()["plays"] == 0
    assert bob.numbers()["plays"] == 1


def test_a_year_is_that_of_the_persons_zone(anna: Shelf) -> None:
    anna.seen(film("Salt Road"), at("2025-12-31T23:30"))

    assert anna.numbers(2025)["plays"] == 1
    assert anna.numbers(2026)["plays"] == 0
    assert anna.numbers(2025, BERLIN)["plays"] == 0
    assert anna.numbers(2026, BERLIN)["days"] == {"2026-01-01": 1}
    assert anna.numbers(None, BERLIN)["plays"] == 1


def test_the_years_there_are_plays_in_are_told(anna: Shelf) -> None:
    for moment in ("2023-05-01T20:00", "2025-12-31T23:30"):
        anna.seen(film("Salt Road"), at(moment))

    def years(connection: Any) -> list[int]:
        return numbers.list_years(connection, anna.person_id, BERLIN)

    assert anna.database.ask(years) == [2026, 2025, 2024, 2023]


# --- when


def test_hours_days_weekdays_and_months_are_local_before_and_after_the_clocks_change(anna: Shelf) -> None:
    # Berlin: UTC+1 until 01:00 UTC on Sunday 29 March 2026, UTC+2 from then on
    anna.seen(film("One"), at("2026-03-29T00:59:59"))
    anna.seen(film("Two"), at("2026-03-29T01:00:00"))
    anna.seen(film("Three"), at("2026-03-31T22:00:00"))  # midnight: the first of April, a Wednesday

    found = anna.numbers(zone=BERLIN)

    assert some(found["hours"]) == {1: 1, 3: 1, 0: 1}
    assert found["days"] == {"2026-03-29": 2, "2026-04-01": 1}
    assert some(found["weekdays"]) == {6: 2, 2: 1}
    assert [some(day) for day in found["weekday_hours"]] == [{}, {}, {0: 1}, {}, {}, {}, {1: 1, 3: 1}]
    assert some(found["months"]) == {2: 2, 3: 1}


@pytest.mark.parametrize(
    "name", ["America/St_Johns", "Asia/Kathmandu", "Pacific/Apia", "Australia/Lord_Howe", "America/New_York"]
)
def test_every_hour_of_many_years_is_that_of_the_zone(database: Database, name: str) -> None:
    zone, anna = ZoneInfo(name), Shelf(database)
    moments = [datetime(1969, 12, 20, tzinfo=UTC) + timedelta(hours=number * 997) for number in range(500)]
    row = database.do(lambda connection: template(connection, anna))
    rows = [{**row, "watched_at": moment} for moment in moments]
    database.do(lambda connection: connection.execute(insert(play), rows))

    found = anna.numbers(None, zone)

    local = [moment.astimezone(zone) for moment in moments]
    assert found["hours"] == [sum(one.hour == hour for one in local) for hour in range(24)]
    week = Counter((one.weekday(), one.hour) for one in local)
    assert found["weekday_hours"] == [[week[day, hour] for hour in range(24)] for day in range(7)]
    assert set(found["days"]) == {one.date().isoformat() for one in local}


def template(connection: Any, anna: Shelf) -> dict[str, Any]:
    """A play's row, to be put in again with other times."""
    item = {"kind": "movie", "title": "Salt Road", "year": 1999, "ids": {}}
    values: dict[str, Any] = {"person_id": anna.person_id, "kind": "movie", "item": item, "state": "stopped"}
    return {**values, "source": "test", "started_at": NOW, "last_at": NOW}


def test_the_time_of_a_month_is_that_of_its_plays_as_far_as_it_is_known(anna: Shelf) -> None:
    anna.seen(film("One"), at("2026-01-31T20:00"), duration_ms=5_400_000)
    anna.seen(film("Two"), at("2026-01-05T20:00"), duration_ms=6_000_000)
    anna.seen(film("Three"), at("2026-02-01T20:00"), duration_ms=None)

    found = anna.numbers()

    assert some(found["months_time_ms"]) == {0: 11_400_000}
    assert some(found["months"]) == {0: 2, 1: 1}


def test_what_was_only_ticked_counts_in_its_year_but_for_no_day(anna: Shelf) -> None:
    anna.seen(part(1, 1), at("2026-03-01T20:00"), dated=Dated.TICKED)

    found = anna.numbers()

    assert (found["plays"], found["ticked"], found["episodes"]) == (1, 1, 1)
    assert (sum(found["hours"]), sum(found["weekdays"]), sum(found["months"])) == (0, 0, 0)
    assert found["days"] == {}
    assert found["streaks"]["longest"]["days"] == 0


@pytest.mark.parametrize("name", ["Pacific/Auckland", "Pacific/Pago_Pago", "Pacific/Kiritimati"])
def test_a_day_that_is_known_alone_is_the_same_in_every_zone_and_has_no_hour(anna: Shelf, name: str) -> None:
    anna.seen(film("Salt Road"), at("2026-01-01T12:00"), dated=Dated.DAY)
    anna.seen(film("Paper Boats"), at("2025-12-31T12:00"), dated=Dated.DAY)

    found = anna.numbers(2026, ZoneInfo(name))

    assert found["days"] == {"2026-01-01": 1}
    assert (found["day_only"], sum(found["hours"])) == (1, 0)


def test_streaks_are_of_days_in_a_row(anna: Shelf) -> None:
    for day in ("03-01", "03-02", "03-02", "03-03", "03-05", "11-21", "11-22"):
        anna.seen(film("Salt Road"), at(f"2026-{day}T12:00"))

    found = anna.numbers()["streaks"]

    assert found["longest"] == {"days": 3, "first": "2026-03-01", "last": "2026-03-03"}
    assert found["current"] == {"days": 2, "first": "2026-11-21", "last": "2026-11-22"}


def test_a_streak_goes_on_until_a_whole_day_went_by(anna: Shelf) -> None:
    anna.seen(film("Salt Road"), at("2026-11-20T12:00"))
    ended = anna.numbers()["streaks"]["current"]
    anna.seen(film("Salt Road"), at("2026-11-21T12:00"))

    assert ended["days"] == 0
    assert anna.numbers()["streaks"]["current"]["days"] == 2


# --- which


def test_a_rewatch_is_what_was_seen_before_whichever_ids_it_came_with(anna: Shelf) -> None:
    anna.seen(part(1, 1, ids=Ids(tvdb=7000, tmdb=57000)), at("2025-03-01T20:00"))
    anna.seen(part(1, 1, show=None, ids=Ids(tmdb=57000)), at("2026-03-01T20:00"))
    anna.seen(part(1, 2), at("2026-03-01T21:00"))
    for day in (1, 2, 3):
        anna.seen(film("Salt Road"), at(f"2026-04-0{day}T20:00"))
        anna.seen(Track(title="Tide", artist="Ida"), at(f"2026-04-0{day}T08:00"))

    assert anna.numbers(2026)["rewatches"] == 3
    assert anna.numbers(2025)["rewatches"] == 0
    assert anna.numbers(None)["rewatches"] == 3


def test_what_was_corrected_to_two_films_is_no_rewatch(anna: Shelf) -> None:
    for day, title in ((1, "Salt Road"), (2, "Low Water")):
        made = anna.seen(film("Not This"), at(f"2026-04-0{day}T20:00"))
        anna.correct(made, film(title))

    assert anna.numbers(2026)["rewatches"] == 0
    assert anna.numbers(None)["rewatches"] == 0


def test_a_show_told_with_other_ids_or_by_its_title_alone_is_one_show(anna: Shelf) -> None:
    anna.seen(part(1, 1, ids=Ids(tvdb=7000, imdb="tt1")), at("2026-03-01T20:00"))
    anna.seen(part(1, 2, show="Gezeiten", ids=Ids(imdb="tt1")), at("2026-03-02T20:00"))
    anna.seen(part(1, 3, show="TIDEWATER", ids=Ids()), at("2026-03-03T20:00"))
    anna.seen(part(1, 1, ids=Ids(tvdb=9)), at("2026-03-04T20:00"))  # another one of the same title

    found = anna.numbers()

    assert found["shows"] == 2
    assert [(one["plays"], one["time_ms"], one["ids"]) for one in found["top"]["shows"]] == [
        (3, 180_000, {"tvdb": 7000, "imdb": "tt1"}),
        (1, 60_000, {"tvdb": 9}),
    ]


def test_films_of_one_title_and_different_years_are_different_films(anna: Shelf) -> None:
    anna.seen(film("Harbour Lights", 2016), at("2026-03-01T20:00"))
    anna.seen(film("Harbour Lights", 2016, imdb="tt5"), at("2026-03-02T20:00"))
    anna.seen(film("Harbour Lights", 1974), at("2026-03-03T20:00"))

    found = anna.numbers()["top"]["films"]

    assert [(one["title"], one["year"], one["plays"]) for one in found] == [
        ("Harbour Lights", 2016, 2),
        ("Harbour Lights", 1974, 1),
    ]


def test_ten_are_named_the_most_watched_first(anna: Shelf) -> None:
    for number in range(12):
        for turn in range(12 - number):
            track = Track(title=f"Song {turn}", artist=f"Artist {number}")
            anna.seen(track, at("2026-03-01T20:00") + timedelta(hours=turn))

    found = anna.numbers()["top"]["artists"]

    assert [one["title"] for one in found] == [f"Artist {number}" for number in range(10)]
    assert found[0]["plays"] == 12


# --- shows finished


def test_a_show_is_finished_in_the_year_in_which_the_last_aired_episode_was_first_seen(anna: Shelf) -> None:
    anna.lists(
        "tvdb:7000", aired(0, 1), aired(1, 1), aired(1, 2), aired(2, 1, "2027-01-01"), aired(2, 2, None)
    )
    anna.seen(part(1, 2), at("2025-03-02T20:00"))
    unfinished = anna.numbers(2025)["shows_finished"]
    anna.seen(part(1, 1), at("2026-03-01T20:00"))
    anna.seen(part(1, 2), at("2026-03-02T20:00"))

    assert unfinished == 0
    assert anna.numbers(2025)["shows_finished"] == 0
    assert anna.numbers(2026)["shows_finished"] == 1
    assert anna.numbers(None)["shows_finished"] == 1


def test_what_a_show_has_may_be_unknown(anna: Shelf) -> None:
    anna.seen(part(1, 1), at("2026-03-01T20:00"))
    unknown = anna.numbers()
    anna.seen(part(1, 1, show="Ghost House", ids=Ids(tvdb=7010)), at("2026-03-01T20:00"))
    anna.lists("tvdb:7010", aired(1, 1))

    assert (unknown["shows_finished"], unknown["shows_unknown"]) == (None, 1)
    assert (anna.numbers()["shows_finished"], anna.numbers()["shows_unknown"]) == (1, 1)


# --- what comes next


def test_next_is_the_first_aired_episode_that_was_not_watched(anna: Shelf) -> None:
    anna.follow("Tidewater", TIDEWATER)
    anna.lists("tvdb:7000", aired(0, 1), aired(2, 1), aired(1, 1), aired(1, 2), aired(2, 2, "2026-11-23"))
    anna.seen(part(1, 1), at("2026-03-01T20:00"))
    anna.seen(part(2, 1), at("2026-03-01T21:00"))

    (show,) = anna.next()

    assert (show["episode"]["season"], show["episode"]["number"]) == (1, 2)
    assert (show["known"], show["aired"], show["left"]) == (True, 3, 1)


def test_nothing_comes_next_where_all_that_aired_is_seen(anna: Shelf) -> None:
    anna.follow("Tidewater", TIDEWATER)
    anna.lists("tvdb:7000", aired(1, 1, "2026-11-22", tvdb=71), aired(1, 2, "2026-11-23"))
    anna.seen(Episode(ids=Ids(tvdb=71)), at("2026-11-22T20:00"))  # known by its own id alone

    (show,) = anna.next()

    assert (show["episode"], show["known"], show["left"]) == (None, True, 0)


def test_what_was_taken_back_comes_next_again(anna: Shelf) -> None:
    anna.follow("Tidewater", TIDEWATER)
    anna.lists("tvdb:7000", aired(1, 1))
    play_id = anna.seen(part(1, 1), at("2026-03-01T20:00"))
    before = anna.next()
    anna.change(play_id, unwatched_at=NOW)

    assert before[0]["episode"] is None
    assert anna.next()[0]["episode"]["number"] == 1


def test_another_show_of_the_same_title_is_not_this_one(anna: Shelf) -> None:
    anna.follow("Ghost House", Ids(tvdb=7011))
    anna.lists("tvdb:7011", aired(1, 1))
    anna.seen(part(1, 1, show="Ghost House", ids=Ids(tvdb=7010)), at("2026-03-01T20:00"))

    assert anna.next()[0]["episode"]["number"] == 1


def test_only_followed_shows_come_next_and_one_without_a_list_is_unknown(anna: Shelf) -> None:
    anna.follow("Tidewater", TIDEWATER)
    anna.follow("Ghost House", Ids(tvdb=7010), "archived")
    anna.lists("tvdb:7010", aired(1, 1))

    (show,) = anna.next()

    assert (show["show"], show["known"], show["episode"]) == ("Tidewater", False, None)


# --- asking for the lists


class Lists(Lookup):
    """A lookup that lists what it is given, raises what it is given, and counts what it is asked."""

    label, film_ids, show_ids, episode_ids = "Lists", (), ("tvdb",), ()

    def __init__(self, name: str, answers: Mapping[int, Any]) -> None:
        self.name = name  # type: ignore[misc]
        self.answers = answers
        self.asked: list[int | None] = []

    async def episodes(self, show_ids: Ids, language: str | None = None) -> Sequence[ListedEpisode] | None:
        self.asked.append(show_ids.tvdb)
        answer = self.answers.get(show_ids.tvdb or 0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def films(self, namespace: str, value: int | str) -> Sequence[Candidate]:
        return []

    async def shows(self, namespace: str, value: int | str) -> Sequence[Candidate]:
        return []

    async def parts(self, namespace: str, value: int | str) -> Sequence[FoundEpisode]:
        return []

    async def part(self, show: Candidate, season: int, number: int) -> FoundEpisode | None:
        return None

    async def search_title(self, kind: Kind, title: str, year: int | None) -> Sequence[Candidate]:
        return []


def refreshed(anna: Shelf, lookups: list[Lookup], *times: datetime) -> list[int]:
    """How many shows were answered at each of these times."""
    episodes = shows.Episodes(anna.database, lookups, pause=0)

    async def run() -> list[int]:
        return [await episodes.refresh(moment) for moment in times]

    return asyncio.run(run())


def kept(anna: Shelf) -> dict[str, tuple[str, int]]:
    rows = anna.database.ask(lambda connection: connection.execute(select(episode_list)).all())
    return {row.show_key: (row.via, len(row.episodes)) for row in rows}


def test_thetvdb_is_asked_first_and_tmdb_for_what_it_does_not_list(anna: Shelf) -> None:
    anna.follow("Tidewater", TIDEWATER)
    anna.follow("Ghost House", Ids(tvdb=7010))
    tvdb = Lists("tvdb", {7000: [aired(1, 1)]})
    tmdb = Lists("tmdb", {7000: [aired(1, 1), aired(1, 2)], 7010: [aired(1, 1), aired(1, 2)]})

    assert refreshed(anna, [tmdb, tvdb], NOW) == [2]
    assert kept(anna) == {"tvdb:7000": ("tvdb", 1), "tvdb:7010": ("tmdb", 2)}
    assert tmdb.asked == [7010]
    assert anna.next()[0]["episode"]["number"] == 1


def test_each_show_is_asked_about_once_a_day_whoever_follows_it(anna: Shelf) -> None:
    anna.follow("Tidewater", TIDEWATER)
    Shelf(anna.database, "bob").follow("Tidewater", TIDEWATER)
    anna.follow("Ghost House", Ids(tvdb=7010))  # listed nowhere
    anna.follow("Night Ferry", Ids(tvdb=7020), "stopped")
    tvdb = Lists("tvdb", {7000: [aired(1, 1)], 7020: [aired(1, 1)]})

    counts = refreshed(anna, [tvdb], NOW, NOW + timedelta(hours=23), NOW + timedelta(hours=25))

    assert counts == [2, 0, 2]
    assert sorted(tvdb.asked, key=str) == [7000, 7000, 7010, 7010]


def test_a_show_that_was_watched_lately_is_asked_about_though_nobody_follows_it(anna: Shelf) -> None:
    lately, long_ago = NOW - timedelta(days=2), NOW - timedelta(days=60)
    anna.follow("Night Ferry", Ids(tvdb=7020), "stopped")
    anna.seen(part(1, 1), lately)
    anna.seen(part(1, 1, "Ghost House", Ids(tvdb=7010)), long_ago)
    anna.seen(part(1, 1, "Night Ferry", Ids(tvdb=7020)), lately)
    anna.seen(part(1, 1, "Known by title", Ids()), lately)
    tvdb = Lists("tvdb", {7000: [aired(1, 1)], 7010: [aired(1, 1)], 7020: [aired(1, 1)]})

    assert refreshed(anna, [tvdb], NOW, NOW + timedelta(hours=1)) == [1, 0]
    assert kept(anna) == {"tvdb:7000": ("tvdb", 1)}


def test_a_lookup_in_trouble_is_asked_again_an_hour_later_and_an_older_list_stays(anna: Shelf) -> None:
    anna.follow("Tidewater", TIDEWATER)
    anna.lists("tvdb:7000", aired(1, 1))
    tvdb = Lists("tvdb", {7000: Retry("TheTVDB is down", lane=False)})
    tomorrow = NOW + timedelta(days=1)

    counts = refreshed(
        anna, [tvdb], tomorrow, tomorrow + timedelta(minutes=50), tomorrow + timedelta(hours=1)
    )

    assert counts == [0, 0, 0]
    assert len(tvdb.asked) == 2
    assert kept(anna) == {"tvdb:7000": ("tvdb", 1)}


def test_a_list_stays_where_nobody_lists_the_show_any_more(anna: Shelf) -> None:
    anna.follow("Tidewater", TIDEWATER)
    anna.lists("tvdb:7000", aired(1, 1))

    assert refreshed(anna, [Lists("tvdb", {})], NOW + timedelta(days=1)) == [1]
    assert kept(anna) == {"tvdb:7000": ("tvdb", 1)}


def test_a_few_shows_are_asked_about_at_a_time(anna: Shelf) -> None:
    for number in range(shows.SHOWS_PER_ROUND + 5):
        anna.follow(f"Show {number}", Ids(tvdb=number + 1))

    assert refreshed(anna, [Lists("tvdb", {})], NOW, NOW, NOW) == [shows.SHOWS_PER_ROUND, 5, 0]


def test_without_a_lookup_nothing_is_asked_and_nothing_remembered(anna: Shelf) -> None:
    anna.follow("Tidewater", TIDEWATER)

    assert refreshed(anna, [], NOW) == [0]
    assert kept(anna) == {}


def test_it_runs_until_it_is_told_to_stop(anna: Shelf) -> None:
    anna.follow("Tidewater", TIDEWATER)
    tvdb = Lists("tvdb", {7000: [aired(1, 1)]})

    async def run() -> None:
        stop = asyncio.Event()
        running = asyncio.create_task(shows.Episodes(anna.database, [tvdb], pause=0).run(stop))
        async with asyncio.timeout(10):
            while not kept(anna):
                await asyncio.sleep(0.01)
            stop.set()
            await running

    asyncio.run(run())

    assert kept(anna) == {"tvdb:7000": ("tvdb", 1)}


# --- the command


def command(folder: Path, *words: str) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATA_DIR", str(folder))
        patch.chdir(folder)
        return CliRunner().invoke(cli.app, ["numbers", *words])


def test_the_command_tells_a_persons_numbers_in_their_zone(tmp_path: Path) -> None:
    command(tmp_path)  # makes the database, with its first person
    database = Database(f"sqlite:///{tmp_path}/watchmark.db")
    anna = Shelf(database)
    database.do(lambda connection: connection.execute(update(person).values(timezone="Europe/Berlin")))
    anna.seen(film("Salt Road"), at("2025-12-31T23:30"), duration_ms=90 * 60_000)
    database.close()

    told = command(tmp_path, "--person", "anna", "--year", "2026")
    found = json.loads(command(tmp_path, "--person", "anna", "--json").stdout)

    assert "time watched    1 h 30 min" in told.stdout
    assert "Thursday        1  ▇▇▇" in told.stdout  # the first of January
    assert (found["person"], found["year"], found["days"]) == ("anna", None, {"2026-01-01": 1})


def test_the_command_says_where_there_is_nothing_to_count(tmp_path: Path) -> None:
    told = command(tmp_path, "--year", "2026")

    assert told.exit_code == 0
    assert "has not watched anything in 2026" in told.stdout
