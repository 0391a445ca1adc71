"""Undoing a whole import: its plays go, what it changed is as before, and the file can come again."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, func, select, update

from tests.test_interpreter import NOW
from tests.test_viewings import Stories, at, jellyfin
from tests.transfer.test_bringing import EVENING, FILM, HOUR, PART_3, Home, seen
from webhook.accounts import accounts
from webhook.domain.event import Action, Episode, Event, Ids, Kind, Movie, Show
from webhook.domain.play import Dated
from webhook.history import edits, library
from webhook.people import identities
from webhook.queues import jobs, outbox
from webhook.queues.outbox import NewDelivery
from webhook.storage.db import Database
from webhook.storage.tables import delivery, import_change, play, play_key, unresolved
from webhook.transfer import import_undo, merge
from webhook.transfer.import_undo import NoUndo, UndoCounts
from webhook.transfer.records import Kept, Relation, Viewing
from webhook.transfer.reported_plays import Reports

__all__ = ["at"]

SHOW = Show(title="Tidewater", ids=Ids(tvdb=88))
PART_3_THERE = Episode(show="Tidewater", title="Part 3", season=1, number=3, ids=Ids(tvdb=8803))
MARK = 80.0
NAMELESS = Movie(title="A Reel That Nobody Has")


class Tracker:
    """A tracker that can take marks back."""

    tells = frozenset({Action.WATCHED, Action.UNWATCHED})
    kinds = frozenset({Kind.MOVIE, Kind.EPISODE})
    one_mark = False


@pytest.fixture
def home(database: Database) -> Home:
    return Home(database)


def bring(home: Home | Stories, *entries: Viewing | Kept, over: bool = True, now: datetime = NOW) -> int:
    """Import entries by a job of their own; its id."""

    def run(connection: Any) -> int:
        job_id = jobs.begin_job(connection, jobs.JobKind.IMPORT, "trakt", now, person_id=home.me)
        merge.merge_entries(connection, home.me, entries, now, job_id)
        if over:
            jobs.finish_job(connection, job_id, now)
        return job_id

    return home.database.do(run)


def undo(home: Home | Stories, job_id: int) -> UndoCounts:
    return asyncio.run(import_undo.undo(home.database, job_id, {"trakt": Tracker()}, "me", MARK))


def rows(home: Home, table: Any) -> int:
    return int(
        home.database.ask(
            lambda connection: connection.execute(select(func.count()).select_from(table)).scalar_one()
        )
    )


def test_every_play_goes_and_comes_again_with_the_file(home: Home) -> None:
    files = [
        seen(FILM, EVENING, key="trakt:1"),
        seen(PART_3, EVENING, key="trakt:2"),
        seen(NAMELESS, EVENING, key="trakt:3"),
    ]
    before = home.bring(seen(FILM, EVENING - timedelta(days=9), key="trakt:0"))
    assert before.added == 1
    job_id = bring(home, *files)

    assert undo(home, job_id) == UndoCounts(removed=3)

    assert len(home.plays()) == 1
    assert (rows(home, play), rows(home, unresolved)) == (1, 0)
    assert rows(home, play_key) == 3
    assert home.bring(*files).added == 3


def test_many_plays_go_part_by_part(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_undo, "PART", 3)
    job_id = bring(
        home, *(seen(FILM, EVENING + timedelta(days=day), key=f"trakt:{day}") for day in range(10))
    )

    assert undo(home, job_id).removed == 10
    assert home.plays() == []


def test_a_mark_on_a_play_that_was_there_is_taken_from_it(home: Home) -> None:
    home.apply(
        Event(action=Action.START, item=FILM, at=EVENING, user="me", position_ms=0, duration_ms=6_000_000)
    )
    job_id = bring(home, seen(FILM, EVENING + HOUR, key="trakt:1"))
    assert home.plays()[0].watched_at is not None

    assert undo(home, job_id) == UndoCounts(restored=1)

    assert home.plays()[0].watched_at is None
    assert bring(home, seen(FILM, EVENING + HOUR, key="trakt:1"))
    assert home.plays()[0].watched_at is not None


def test_a_date_that_a_ticked_play_got_goes_again(home: Home) -> None:
    home.bring(seen(FILM, EVENING, "imdb", dated=Dated.TICKED))
    job_id = bring(home, seen(FILM, EVENING - timedelta(days=99), key="trakt:1"))

    undo(home, job_id)

    [row] = home.plays()
    assert (row.watched_at, row.dated) == (EVENING, "ticked")


def test_ratings_follows_and_the_watchlist_are_as_before(home: Home) -> None:
    home.database.do(
        lambda connection: library.store_entry(connection, home.me, "rating", FILM, EVENING, 6.0)
    )
    home.database.do(lambda connection: library.follow_show(connection, home.me, SHOW, EVENING, "archived"))
    before = home.database.ask(lambda connection: library.list_library(connection, home.me))
    job_id = bring(
        home,
        Kept(relation=Relation.RATING, item=FILM, at=EVENING + HOUR, value=9.0),
        Kept(relation=Relation.RATING, item=SHOW, at=EVENING, value=3.0),
        Kept(relation=Relation.FOLLOW, item=SHOW, at=EVENING),
        Kept(relation=Relation.WATCHLIST, item=FILM, at=EVENING),
    )
    assert home.database.ask(lambda connection: library.list_library(connection, home.me)) != before

    assert undo(home, job_id) == UndoCounts(restored=4)

    assert home.database.ask(lambda connection: library.list_library(connection, home.me)) == before
    assert rows(home, import_change) == 0


def test_what_a_second_import_repeats_is_taken_back_with_the_first(home: Home) -> None:
    entries = [
        Kept(relation=Relation.LOVE, item=SHOW),
        Kept(relation=Relation.RATING, item=FILM, at=EVENING, value=9.0),
        Kept(relation=Relation.WATCHLIST, item=FILM),
        Kept(relation=Relation.FOLLOW, item=SHOW),
    ]
    first = bring(home, *entries)
    known = home.database.ask(lambda connection: library.list_library(connection, home.me))
    later = [replace(entry, at=EVENING + HOUR) for entry in entries]
    bring(home, *later, now=NOW + 9 * HOUR)
    assert home.database.ask(lambda connection: library.list_library(connection, home.me)) == known

    assert undo(home, first) == UndoCounts(restored=4)

    assert home.database.ask(lambda connection: library.list_library(connection, home.me)) == []


def test_what_changed_since_stays(home: Home) -> None:
    job_id = bring(home, Kept(relation=Relation.RATING, item=FILM, at=EVENING, value=9.0))
    home.database.do(
        lambda connection: library.store_entry(connection, home.me, "rating", FILM, EVENING + HOUR, 4.0)
    )

    assert undo(home, job_id) == UndoCounts(left=1)

    [entry] = home.database.ask(lambda connection: library.list_library(connection, home.me))
    assert entry["value"] == 4.0


def test_a_mark_that_a_tracker_has_is_taken_back_there(home: Home) -> None:
    job_id = bring(home, seen(FILM, EVENING, key="trakt:1"))
    [row] = home.plays()

    def send(connection: Any) -> None:
        account = accounts.insert_account(connection, home.me, "trakt", [Action.WATCHED], NOW)
        new = NewDelivery(
            account_id=account,
            key=f"watched:{row.id}",
            item=FILM,
            at=EVENING,
            action=Action.WATCHED,
            mark=True,
            play_id=row.id,
        )
        outbox.enqueue(connection, new, NOW)
        connection.execute(update(delivery).values(state="done", settled_at=NOW))

    home.database.do(send)

    assert undo(home, job_id).removed == 1

    actions = home.database.ask(
        lambda connection: (
            connection.execute(select(delivery.c.action).order_by(delivery.c.id)).scalars().all()
        )
    )
    assert actions == ["watched", "unwatched"]
    assert home.plays() == []
    assert home.bring(seen(FILM, EVENING, key="trakt:1")).added == 1


@pytest.mark.parametrize("case", ["running", "twice", "backfill"])
def test_what_cannot_be_undone_says_why(home: Home, case: str) -> None:
    job_id = bring(home, seen(FILM, EVENING, key="trakt:1"), over=case != "running")
    if case == "twice":
        undo(home, job_id)
    if case == "backfill":
        job_id = home.database.do(
            lambda connection: jobs.begin_job(connection, jobs.JobKind.BACKFILL, "trakt", NOW)
        )

    with pytest.raises(NoUndo):
        undo(home, job_id)


def test_an_undo_that_was_cut_off_goes_on(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_undo, "PART", 2)
    job_id = bring(home, *(seen(FILM, EVENING + timedelta(days=day), key=f"trakt:{day}") for day in range(5)))
    undoing = import_undo.Undoing(job_id=job_id, can={}, by=None, mark=MARK, reports=Reports(NOW))
    home.database.do(lambda connection: import_undo.undo_part(connection, undoing=undoing, after=0))

    assert undo(home, job_id).removed == 3
    assert home.plays() == []


# --- what somebody else reported too


def claim(at: Stories) -> None:
    at.database.do(lambda connection: identities.claim_identities(connection, "me", "jellyfin:tv", NOW))
    at.interpret()


def row_at(minutes: float, source: str = "trakt") -> Viewing:
    """The row of a list about the episode of the stories."""
    return seen(PART_3_THERE, NOW + timedelta(minutes=minutes), source, key=f"{source}:1")


def test_what_the_server_reported_too_stays_as_the_server_has_it(at: Stories) -> None:
    said = {"NotificationUsername": "tv", "Provider_tvdb": "8803"}
    at.jellyfin("PlaybackStart", 0, at=0, **said)
    at.jellyfin("PlaybackStop", 45, at=45, PlayedToCompletion=True, **said)
    job_id = bring(at, row_at(44))
    claim(at)
    assert at.watched == [44]

    assert undo(at, job_id) == UndoCounts(left=1)
    at.replay(1, 2)

    assert at.watched == [45]
    [row] = at.plays()
    assert (row.source, row.foreign_key, row.job_id) == ("jellyfin", None, None)
    assert (row.started_at, row.position_ms) == (NOW, 45 * 60_000)
    bring(at, row_at(44))
    assert at.watched == [45]


def test_what_only_the_import_finished_is_open_again(at: Stories) -> None:
    job_id = bring(at, row_at(20))
    at.jellyfin("PlaybackStart", 19, at=0, Provider_tvdb="8803")
    at.jellyfin("PlaybackStop", 25, at=6, PlayedToCompletion=False, Provider_tvdb="8803")
    assert at.watched == [20]

    undo(at, job_id)

    assert at.watched == []
    at.jellyfin("PlaybackStart", 30, at=6, Provider_tvdb="8803")
    at.jellyfin("PlaybackStop", 69, at=45, PlayedToCompletion=True, Provider_tvdb="8803")
    assert at.watched == [69]


def test_what_was_removed_by_hand_stays_removed_when_its_webhook_is_read_again(at: Stories) -> None:
    job_id = bring(at, row_at(44))
    stop = jellyfin("PlaybackStop", at=45, PlayedToCompletion=True, Provider_tvdb="8803")
    webhook_id = at.post("jellyfin", stop, 45)["id"]
    at.database.do(lambda connection: edits.remove_play(connection, 1, {}, "me", NOW))

    undo(at, job_id)
    at.replay(webhook_id)

    assert [row.removed_at is not None for row in at.plays()] == [True]


def test_a_row_of_another_list_stays_and_goes_with_that_list(home: Home) -> None:
    first = bring(home, seen(FILM, EVENING, key="trakt:1"))
    second = bring(home, other := seen(FILM, EVENING + HOUR, "simkl", key="simkl:1"))
    assert home.times() == [EVENING]

    assert undo(home, first) == UndoCounts(left=1)
    assert home.bring(other).known == 1

    [row] = home.plays()
    assert (row.watched_at, row.source, row.foreign_key) == (EVENING + HOUR, "simkl", "simkl:1")
    assert undo(home, second).removed == 1
    assert home.plays() == []


def test_a_mark_that_trackers_have_keeps_its_date_where_the_server_reported_it_too(at: Stories) -> None:
    job_id = bring(at, row_at(44))
    at.jellyfin("PlaybackStop", 45, at=45, PlayedToCompletion=True, Provider_tvdb="8803")
    at.database.do(
        lambda connection: edits.send_new(
            connection, edits.get_row(connection, 1), {"tvtime": Tracker()}, NOW
        )
    )

    undo(at, job_id)

    assert at.watched == [44]
    assert at.deliveries("tvtime") == [("watched", True)]


def test_a_webhook_whose_play_is_gone_is_interpreted_anew(at: Stories) -> None:
    stop = jellyfin("PlaybackStop", at=45, PlayedToCompletion=True)
    webhook_id = at.post("jellyfin", stop, 45)["id"]
    at.database.do(lambda connection: connection.execute(delete(play)))

    at.replay(webhook_id)

    assert at.watched == [45]
    assert at.trace(webhook_id)["events"][0]["play"] == at.plays()[0].id
