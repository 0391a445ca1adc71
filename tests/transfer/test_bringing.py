"""Bringing viewings in: nothing twice, whoever reported it, and nothing that was seen twice as one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from tests.test_interpreter import NOW
from webhook.domain.event import Action, Episode, Event, Ids, Item, Movie, Track
from webhook.domain.play import Dated, Play, State
from webhook.history import edits
from webhook.history import plays as history
from webhook.identity import matches
from webhook.people import people
from webhook.queues import jobs
from webhook.storage import migrate
from webhook.storage.db import Database
from webhook.storage.tables import play, play_key, play_record, unresolved
from webhook.transfer.import_counts import Counts
from webhook.transfer.known_plays import Memory
from webhook.transfer.merge import merge_entries, rehearse
from webhook.transfer.records import Kept, Relation, Viewing

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
EVENING = datetime(2025, 3, 1, 20, 0, tzinfo=UTC)
FILM = Movie(title="The Lighthouse Keeper", year=2019, ids=Ids(imdb="tt9000001", tmdb=900001))
PART_3 = Episode(show="Tidewater", season=1, number=3, ids=Ids(tvdb=8803), show_ids=Ids(tvdb=88))
SONG = Track(title="Low Tide", artist="The Moorings")


def seen(item: Item, at: datetime, source: str = "trakt", key: str | None = None, **values: Any) -> Viewing:
    """A viewing as a file tells it."""
    watched: dict[str, Any] = {"state": State.STOPPED, "started_at": at, "last_at": at, "watched_at": at}
    told = Play(item=item, source=source, **{**watched, **values})
    return Viewing(play=told, foreign_key=key)


class Home:
    """A database with two people, and what is brought in for the first."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.me = database.do(lambda connection: people.add_person(connection, "me", NOW, owner=True))
        self.other = database.do(lambda connection: people.add_person(connection, "other", NOW))

    @cached_property
    def job(self) -> int:
        """The import that brings everything in."""
        kind = jobs.JobKind.IMPORT
        return self.database.do(
            lambda connection: jobs.begin_job(connection, kind, "trakt", NOW, person_id=self.me)
        )

    def bring(self, *entries: Viewing | Kept, whom: int | None = None) -> Counts:
        person_id, job = whom or self.me, self.job
        return self.database.do(lambda connection: merge_entries(connection, person_id, entries, NOW, job))

    def apply(self, event: Event, source: str = "plex") -> int | None:
        """What a webhook does to the history; the play."""
        found = self.database.do(lambda connection: history.apply(connection, self.me, event, source, 80.0))
        return found.play_id

    def plays(self, whom: int | None = None) -> list[Any]:
        wanted = select(play).where(play.c.person_id == (whom or self.me), play.c.removed_at.is_(None))
        return self.database.ask(
            lambda connection: list(connection.execute(wanted.order_by(play.c.id)).all())
        )

    def times(self) -> list[datetime | None]:
        return [row.watched_at for row in self.plays()]

    def questions(self) -> list[str]:
        wanted = select(unresolved.c.key).order_by(unresolved.c.key)
        return self.database.ask(lambda connection: list(connection.execute(wanted).scalars()))


@pytest.fixture
def home(database: Database) -> Home:
    return Home(database)


def event(action: Action, item: Item, at: datetime, **values: Any) -> Event:
    return Event(action=action, item=item, at=at, user="anna", server="attic", **values)


# --- one file, again and again


def test_the_same_file_twice_is_there_once(home: Home) -> None:
    file = [seen(FILM, EVENING, key="trakt:1"), seen(PART_3, EVENING + DAY, key="trakt:2")]

    first, second = home.bring(*file), home.bring(*file)

    assert (first.added, second.added, second.known) == (2, 0, 2)
    assert home.times() == [EVENING, EVENING + DAY]


def test_rows_without_a_key_are_known_by_their_time(home: Home) -> None:
    file = [seen(FILM, EVENING), seen(FILM, EVENING + 30 * MINUTE)]

    home.bring(*file)
    again = home.bring(*file)

    assert (again.added, again.known) == (0, 2)
    assert len(home.plays()) == 2


def test_a_row_keeps_its_key_and_its_job(home: Home) -> None:
    home.bring(seen(FILM, EVENING, key="trakt:1"))

    (row,) = home.plays()
    assert (row.foreign_key, row.job_id, row.source) == ("trakt:1", 1, "trakt")


def test_one_key_twice_in_a_file_is_one(home: Home) -> None:
    counts = home.bring(seen(FILM, EVENING, key="a"), seen(PART_3, EVENING, key="a"))

    assert (counts.added, counts.known) == (1, 1)


def test_what_has_no_date_at_a_service_is_there_once_however_often_it_is_read(home: Home) -> None:
    for days in range(3):
        home.bring(seen(FILM, NOW + days * DAY, "tvtime", dated=Dated.TICKED))

    assert len(home.plays()) == 1


# --- several services, and our own webhooks


@pytest.mark.parametrize("apart", [-3 * HOUR, -2 * MINUTE, 0 * MINUTE, 2 * MINUTE, 3 * HOUR])
def test_what_a_webhook_reported_is_known(home: Home, apart: timedelta) -> None:
    home.apply(event(Action.START, FILM, EVENING - 100 * MINUTE))
    home.apply(event(Action.WATCHED, FILM, EVENING))

    counts = home.bring(seen(FILM, EVENING + apart, key="trakt:1"))

    assert (counts.added, counts.known) == (0, 1)
    assert home.times() == [EVENING]


@pytest.mark.parametrize("apart", [-DAY, DAY])
def test_a_viewing_a_day_from_the_webhook_s_is_another(home: Home, apart: timedelta) -> None:
    home.apply(event(Action.WATCHED, FILM, EVENING))

    home.bring(seen(FILM, EVENING + apart, key="trakt:1"))

    assert sorted(filter(None, home.times())) == sorted([EVENING, EVENING + apart])


def test_what_the_server_s_own_list_has_of_a_webhook_is_known_though_minutes_apart(home: Home) -> None:
    home.apply(event(Action.WATCHED, FILM, EVENING))

    counts = home.bring(seen(FILM, EVENING + 4 * MINUTE, "plex", key="plex:attic:17"))

    assert (counts.added, counts.known) == (0, 1)


def test_two_services_tell_of_one_viewing(home: Home) -> None:
    home.bring(seen(FILM, EVENING, "trakt", "trakt:1"))

    counts = home.bring(seen(FILM, EVENING - 90 * MINUTE, "simkl", "simkl:1"))

    assert (counts.added, counts.known) == (0, 1)


def test_the_ids_need_not_be_the_same_ones(home: Home) -> None:
    home.bring(seen(replace(FILM, ids=Ids(imdb="tt9000001")), EVENING, "imdb"))

    counts = home.bring(seen(replace(FILM, ids=Ids(tmdb=900001)), EVENING, "trakt"))

    assert counts.known == 1


def test_a_cartoon_seen_twice_in_a_row_is_two(home: Home) -> None:
    home.bring(seen(PART_3, EVENING, key="trakt:1"), seen(PART_3, EVENING + 30 * MINUTE, key="trakt:2"))

    assert len(home.plays()) == 2


def test_each_of_two_viewings_is_told_apart_by_the_nearer_time(home: Home) -> None:
    """An unfinished start after the film was over is not what the list means by the film."""
    home.apply(event(Action.WATCHED, FILM, EVENING))
    home.apply(event(Action.START, FILM, EVENING + 30 * MINUTE, position_ms=0, duration_ms=6_000_000))

    counts = home.bring(seen(FILM, EVENING + MINUTE, key="trakt:1"))

    assert (counts.known, counts.completed) == (1, 0)
    assert home.times() == [EVENING, None]


def test_a_song_heard_again_after_three_minutes_is_two(home: Home) -> None:
    home.bring(seen(SONG, EVENING, "lastfm"), seen(SONG, EVENING + 3 * MINUTE, "lastfm"))
    home.bring(seen(SONG, EVENING + 10 * MINUTE, "listenbrainz"))

    assert len(home.plays()) == 3


def test_a_song_that_two_services_date_seconds_apart_is_one(home: Home) -> None:
    home.bring(seen(SONG, EVENING, "lastfm"), seen(SONG, EVENING + 30 * timedelta(seconds=1), "listenbrainz"))

    assert len(home.plays()) == 1


def test_other_people_s_plays_are_not_mine(home: Home) -> None:
    home.bring(seen(FILM, EVENING, key="trakt:1"), whom=home.other)

    counts = home.bring(seen(FILM, EVENING, key="trakt:1"))

    assert counts.added == 1
    assert len(home.plays(home.other)) == 1


# --- dates that say less


def test_a_day_is_the_day_of_an_exact_viewing(home: Home) -> None:
    home.bring(seen(FILM, EVENING, "trakt"))
    noon = EVENING.replace(hour=12)

    same = home.bring(seen(FILM, noon, "letterboxd", "diary:1", dated=Dated.DAY))
    next_day = home.bring(seen(FILM, noon + DAY + 6 * HOUR, "letterboxd", "diary:2", dated=Dated.DAY))

    assert (same.added, same.known) == (0, 1)
    assert next_day.added == 1


def test_two_diary_entries_of_one_day_are_two(home: Home) -> None:
    noon = EVENING.replace(hour=12)
    rows = [seen(FILM, noon, "letterboxd", f"diary:{number}", dated=Dated.DAY) for number in (1, 2)]

    home.bring(*rows)
    home.bring(*rows)

    assert len(home.plays()) == 2


def test_what_was_only_ticked_is_an_earlier_viewing_that_is_known(home: Home) -> None:
    home.bring(seen(FILM, EVENING, "trakt"))

    ticked = home.bring(seen(FILM, EVENING + 900 * DAY, "tvtime", "t:1", dated=Dated.TICKED))
    before = home.bring(seen(FILM, EVENING - 900 * DAY, "letterboxd", "l:1", dated=Dated.TICKED))

    assert ticked.known == 1
    assert before.added == 1


@pytest.mark.parametrize("order", [1, -1])
def test_every_dated_viewing_is_kept_though_it_was_ticked_first(home: Home, order: int) -> None:
    home.bring(seen(FILM, EVENING + 900 * DAY, "tvtime", "t:1", dated=Dated.TICKED))
    dated = [seen(FILM, EVENING + years * 365 * DAY, key=f"trakt:{years}") for years in range(2)][::order]

    home.bring(*dated)
    home.bring(*dated)

    assert sorted(filter(None, home.times())) == [EVENING, EVENING + 365 * DAY]
    assert {row.dated for row in home.plays()} == {"exact"}
    assert home.bring(seen(FILM, EVENING + 900 * DAY, "tvtime", "t:1", dated=Dated.TICKED)).known == 1


# --- what is there already stays as it is


def test_an_unfinished_play_gets_the_mark(home: Home) -> None:
    play_id = home.apply(event(Action.START, PART_3, EVENING, player="Sofa"))

    counts = home.bring(seen(PART_3, EVENING + 40 * MINUTE, key="trakt:1"))
    again = home.bring(seen(PART_3, EVENING + 40 * MINUTE, key="trakt:1"))

    (row,) = home.plays()
    assert (counts.completed, counts.added, again.known) == (1, 0, 1)
    assert (row.id, row.player, row.started_at) == (play_id, "Sofa", EVENING)
    assert (row.watched_at, row.state) == (EVENING + 40 * MINUTE, "stopped")


def test_the_mark_brings_the_ids_that_were_lacking(home: Home) -> None:
    home.apply(event(Action.START, replace(PART_3, ids=Ids(), show_ids=Ids()), EVENING))
    home.bring(seen(PART_3, EVENING + 40 * MINUTE, key="trakt:1"))

    (row,) = home.plays()
    assert row.item["ids"] == {"tvdb": 8803}
    by_id = event(Action.STOP, replace(PART_3, show=None, season=None, number=None), EVENING + HOUR)
    assert home.apply(by_id) == row.id


def test_of_two_rows_one_makes_an_unfinished_play_watched_and_the_other_is_a_play(home: Home) -> None:
    home.apply(event(Action.START, PART_3, EVENING))
    rows = [seen(PART_3, EVENING + minutes * MINUTE, key=f"trakt:{minutes}") for minutes in (20, 40)]

    counts = home.bring(*rows)

    assert (counts.completed, counts.known, counts.added) == (1, 0, 1)
    assert home.times() == [EVENING + 20 * MINUTE, EVENING + 40 * MINUTE]


def test_an_unfinished_play_and_its_mark_in_one_file_are_one(home: Home) -> None:
    unfinished = seen(FILM, EVENING, "tvtime", "t:1", watched_at=None)
    watched = seen(FILM, EVENING, "tvtime", "t:2")

    counts = home.bring(unfinished, watched)

    assert (counts.added, counts.completed) == (1, 1)
    assert home.times() == [EVENING]


@pytest.mark.parametrize("key", ["trakt:1", "trakt:2", None])
def test_a_removed_play_is_not_brought_again(home: Home, key: str | None) -> None:
    home.bring(seen(FILM, EVENING, key="trakt:1"))
    (row,) = home.plays()
    home.database.do(lambda connection: edits.remove_play(connection, row.id, {}, None, NOW))

    counts = home.bring(seen(FILM, EVENING + MINUTE, "trakt" if key else "simkl", key))

    expected = 1 if key == "trakt:2" else 0  # another row of the same list is another viewing
    assert counts.added == expected


def test_a_removed_unfinished_play_stays_removed(home: Home) -> None:
    play_id = home.apply(event(Action.START, FILM, EVENING))
    assert play_id
    home.database.do(lambda connection: edits.remove_play(connection, play_id, {}, None, NOW))

    counts = home.bring(seen(FILM, EVENING + HOUR, key="trakt:1"))

    assert (counts.known, counts.completed) == (1, 0)
    assert home.plays() == []


def test_what_was_taken_back_by_unwatching_is_not_brought_again(home: Home) -> None:
    home.apply(event(Action.WATCHED, FILM, EVENING))
    home.apply(event(Action.UNWATCHED, FILM, EVENING + HOUR))

    assert home.bring(seen(FILM, EVENING, key="trakt:1")).added == 0


def test_a_redated_play_is_not_brought_again_under_its_old_date(home: Home) -> None:
    play_id = home.apply(event(Action.WATCHED, FILM, EVENING))
    assert play_id
    before = EVENING - 300 * DAY
    home.database.do(lambda connection: edits.redate_play(connection, play_id, before, {}, None, NOW))

    counts = home.bring(seen(FILM, EVENING, key="trakt:1"), seen(FILM, before, key="trakt:2"))

    assert (counts.added, counts.known) == (0, 2)
    assert home.times() == [before]


def test_a_corrected_play_is_not_brought_again_as_what_it_was(home: Home) -> None:
    play_id = home.apply(event(Action.WATCHED, FILM, EVENING))
    assert play_id
    right = Movie(title="Another Keeper", year=2020, ids=Ids(tmdb=5))
    home.database.do(lambda connection: edits.correct_play(connection, play_id, right, {}, None, NOW))

    counts = home.bring(seen(FILM, EVENING, key="trakt:1"), seen(right, EVENING, key="trakt:2"))

    assert counts.added == 0


# --- which item it is


def test_remakes_of_one_title_stay_apart(home: Home) -> None:
    old = Episode(show="Tidewater", season=1, number=1, show_ids=Ids(tvdb=1), ids=Ids(tvdb=11))
    new = Episode(show="Tidewater", season=1, number=1, show_ids=Ids(tvdb=2), ids=Ids(tvdb=22))

    home.bring(seen(old, EVENING, "trakt"), seen(new, EVENING, "simkl"))

    assert len(home.plays()) == 2


def test_a_film_known_by_its_title_alone_is_known_again(home: Home) -> None:
    film = Movie(title="Untitled Reel")

    home.bring(seen(film, EVENING, "letterboxd"))
    counts = home.bring(seen(film, EVENING, "letterboxd"))

    assert (counts.added, counts.known) == (0, 1)
    assert home.questions() == ["movie:title:untitledreel:"]


@pytest.mark.parametrize(
    ("ids", "asked"), [(Ids(tvtime="u1"), 1), (Ids(plex="5d77"), 1), (Ids(tvtime="u1", imdb="tt1"), 0)]
)
def test_a_film_whose_id_only_its_own_service_knows_is_looked_up(home: Home, ids: Ids, asked: int) -> None:
    counts = home.bring(seen(Movie(title="Untitled Reel", year=1999, ids=ids), EVENING, "tvtime"))

    assert (counts.without_ids, len(home.questions())) == (asked, asked)


def test_what_comes_without_an_id_is_asked_about_once_for_a_show(home: Home) -> None:
    parts = [Episode(show="Tidewater", season=1, number=number) for number in (1, 2, 3)]

    counts = home.bring(*(seen(part, EVENING + part.number * HOUR) for part in parts if part.number))
    home.bring(seen(replace(parts[0], number=4), EVENING + 9 * HOUR))

    assert counts.without_ids == 3
    assert home.questions() == ["show:title:tidewater"]


def test_a_choice_made_before_holds_for_what_comes_without_an_id(home: Home) -> None:
    home.database.do(
        lambda connection: matches.choose(
            connection, NOW, Ids(tvdb=88), key="show:title:tidewater", season_offset=1
        )
    )
    nameless = Episode(show="Tidewater", season=1, number=3)

    home.bring(seen(nameless, EVENING, "trakt"))
    again = home.bring(seen(nameless, EVENING, "simkl"))

    (row,) = home.plays()
    assert (row.item["season"], row.item["show_ids"]) == (2, {"tvdb": 88})
    assert (again.known, home.questions()) == (1, [])


# --- our own export


def test_a_verbatim_play_is_left_out_only_if_it_is_that_very_play(home: Home) -> None:
    told = [seen(FILM, EVENING + minutes * MINUTE, "plex") for minutes in (0, 10, 20)]
    file = [replace(viewing, verbatim=True) for viewing in told]

    home.bring(*file)
    home.bring(*file)

    assert len(home.plays()) == 3


# --- the library, and what a preview says


def test_library_entries_are_news_once(home: Home) -> None:
    rating = Kept(relation=Relation.RATING, item=FILM, at=EVENING, value=8.0)
    show = Kept(relation=Relation.FOLLOW, item=PART_3, at=EVENING, state="stopped")

    assert home.bring(rating, show).library == 2
    assert home.bring(rating, show).library == 0


def test_a_preview_counts_what_the_import_will(home: Home) -> None:
    """Also where a part of the file repeats what stands in an earlier one."""
    home.apply(event(Action.START, PART_3, EVENING))
    rating = Kept(relation=Relation.RATING, item=FILM, at=EVENING, value=8.0)
    newer = Kept(relation=Relation.RATING, item=FILM, at=EVENING + DAY, value=8.0)
    show = Kept(relation=Relation.FOLLOW, item=PART_3, at=EVENING)
    nameless = seen(Movie(title="Untitled Reel"), EVENING, "tvtime")
    parts: list[list[Viewing | Kept]] = [
        [seen(FILM, EVENING, key="1"), seen(PART_3, EVENING + HOUR, key="2"), rating, show, nameless],
        [seen(FILM, EVENING, key="3"), seen(PART_3, EVENING + HOUR, key="2"), newer, show, nameless],
    ]
    memory = Memory()

    before = [
        home.database.ask(partial(rehearse, person_id=home.me, entries=part, memory=memory)) for part in parts
    ]
    assert len(home.plays()) == 1
    after = [home.bring(*part) for part in parts]

    assert before == after


# --- any file, in any parts

ITEMS: tuple[Item, ...] = (
    FILM,
    replace(FILM, ids=Ids(imdb="tt9000001")),
    PART_3,
    replace(PART_3, ids=Ids()),
    replace(PART_3, show_ids=Ids(), ids=Ids()),
    Movie(title="Untitled Reel"),
)
MOMENTS = st.sampled_from([0, 1, 30, 150, 250, 500, 1440, 1500, 2000, 100_000])
ROWS = st.builds(
    lambda item, minutes, dated, key: seen(
        item, EVENING + minutes * MINUTE, "trakt", key and f"trakt:{key}", dated=dated
    ),
    st.sampled_from(ITEMS),
    MOMENTS,
    st.sampled_from(Dated),
    st.none() | st.integers(1, 6),
)
REPORTED = st.builds(
    lambda item, minutes, action: event(action, item, EVENING + minutes * MINUTE),
    st.sampled_from(ITEMS[:5]),
    MOMENTS,
    st.sampled_from([Action.START, Action.WATCHED]),
)


@pytest.fixture(scope="module")
def kept_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """One SQLite database for all examples of a property; making one for each takes too long."""
    opened = Database(f"sqlite:///{tmp_path_factory.mktemp('bringing')}/watchmark.db", synchronous="OFF")
    migrate.migrate(opened)
    yield Home(opened)
    opened.close()


def emptied(home: Home) -> Home:
    for table in (play_record, play_key, play, unresolved):
        statement = delete(table)
        home.database.do(lambda connection, statement=statement: connection.execute(statement))  # type: ignore[misc]
    return home


def shown(home: Home) -> Counter[tuple[Any, ...]]:
    return Counter(
        (str(row.item), row.watched_at, row.started_at, row.dated, row.foreign_key) for row in home.plays()
    )


def in_parts(rows: Sequence[Viewing], cuts: Sequence[int]) -> Iterator[Sequence[Viewing]]:
    ends = sorted({min(cut, len(rows)) for cut in cuts} | {len(rows)})
    for start, end in zip([0, *ends], ends, strict=False):
        yield rows[start:end]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    reported=st.lists(REPORTED, max_size=2),
    rows=st.lists(ROWS, max_size=8),
    cuts=st.lists(st.integers(0, 8), max_size=4),
)
def test_in_whatever_parts_and_however_often_the_plays_are_the_same(
    kept_home: Home, reported: list[Event], rows: list[Viewing], cuts: list[int]
) -> None:
    note(f"{reported}\n{rows}\n{cuts}")
    home = emptied(kept_home)
    for one in reported:
        home.apply(one)
    home.bring(*rows)
    once = shown(home)

    home.bring(*rows)
    assert shown(home) == once

    home = emptied(home)
    for one in reported:
        home.apply(one)
    memory, parts = Memory(), list(in_parts(rows, cuts))
    preview = [
        home.database.ask(partial(rehearse, person_id=home.me, entries=part, memory=memory)) for part in parts
    ]
    assert [home.bring(*part) for part in parts] == preview
    assert shown(home) == once
