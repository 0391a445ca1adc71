"""Imports at work: they go on after a kill, stop when they are told to, and say what came of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from tests.test_interpreter import NOW
from tests.transfer.test_backfilling import House, opened_house, part
from tests.transfer.test_bringing import DAY, EVENING, FILM, HOUR, MINUTE, Home, seen
from webhook import clock
from webhook.domain.event import Action, Event, Movie
from webhook.domain.outcome import Retry
from webhook.domain.play import Dated
from webhook.queues import jobs
from webhook.servers import Found
from webhook.storage.db import Database
from webhook.storage.tables import library
from webhook.trackers import WatchedItem
from webhook.transfer import import_feeds, import_job
from webhook.transfer.import_counts import Counts, describe_counts
from webhook.transfer.import_feeds import AccountFeed, FileFeed, ServerFeed
from webhook.transfer.import_job import Report
from webhook.transfer.records import Bad, Entry, Kept, LeftOut, Relation, Unusable, Viewing

RATING = Kept(relation=Relation.RATING, item=FILM, at=EVENING, value=8.0)
BAD = Bad(file="history.csv", line=7, why="it has no date", do="Give it one.")


class Listed:
    """A feed of the test's own, in parts; what breaks it off comes before the part of that number."""

    kind, name = "trakt", "history.json"

    def __init__(self, parts: Sequence[Sequence[Entry]], digest: str | None = "d1") -> None:
        self.given = parts
        self.digest = digest
        self.before: dict[int, Callable[[], object]] = {}
        self.passed = 0

    async def parts(self) -> AsyncIterator[list[Entry]]:
        for count, entries in enumerate(self.given):
            self.before.get(count, lambda: None)()
            self.passed = count + 1
            yield list(entries)

    def progress(self) -> float | None:
        return self.passed / len(self.given)


def rows(count: int, *, start: int = 0) -> list[Entry]:
    numbers = range(start, start + count)
    return [seen(part(number), EVENING + number * HOUR, key=f"trakt:{number}") for number in numbers]


def in_parts(count: int, size: int) -> list[list[Entry]]:
    whole = rows(count)
    return [whole[at : at + size] for at in range(0, count, size)]


def broken(error: BaseException) -> Callable[[], object]:
    def raises() -> None:
        raise error

    return raises


@pytest.fixture
def home(database: Database) -> Home:
    return Home(database)


def run(home: Home, feed: Listed | FileFeed, **more: Any) -> Report:
    return asyncio.run(import_job.run(home.database, home.me, feed, **more))


def preview(home: Home, feed: Listed | FileFeed) -> Report:
    return asyncio.run(import_job.preview(home.database, home.me, feed))


def newest(home: Home) -> jobs.JobJson:
    return home.database.ask(jobs.list_jobs)[0]


def test_an_import_is_a_job_with_its_counts(home: Home) -> None:
    nameless = seen(Movie(title="Untitled Reel"), EVENING)
    feed = Listed([[*rows(3), RATING, BAD], [*rows(2), nameless]])

    report = run(home, feed)

    expected = Counts(added=4, known=2, library=1, bad=1, without_ids=1)
    made = newest(home)
    assert report.counts == expected
    assert (made["id"], made["state"], made["counts"]) == (report.job_id, "done", expected.to_json())
    assert (made["kind"], made["what"], made["name"]) == ("import", "trakt", "history.json")
    assert {row.job_id for row in home.plays()} == {report.job_id}
    assert (report.first, report.last) == (EVENING, EVENING + 2 * HOUR)
    assert report.bad == [BAD]
    assert [item["title"] for item in report.without_ids] == ["Untitled Reel"]


def test_what_is_left_out_is_counted_and_named(home: Home) -> None:
    left = LeftOut(file="lists-list-5-mine.json", count=12, why="It is a list of your own.")

    before = preview(home, Listed([rows(1), [left]]))
    after = run(home, Listed([rows(1), [left]]))

    assert before.counts == after.counts == Counts(added=1, left_out=12)
    assert newest(home)["counts"]["left_out"] == 12
    assert after.to_json()["left_out"] == [
        {"file": "lists-list-5-mine.json", "count": 12, "why": "It is a list of your own."}
    ]


def test_progress_is_told_after_each_part(home: Home) -> None:
    heard: list[tuple[float | None, int]] = []

    run(home, Listed(in_parts(4, 2)), progress=lambda done, counts: heard.append((done, counts.added)))

    assert heard == [(0.5, 2), (1.0, 4)]


def test_a_preview_writes_nothing_and_says_what_the_import_will(home: Home) -> None:
    again: list[Entry] = [
        seen(part(1), EVENING + HOUR, key="other"),
        replace(RATING, at=EVENING + DAY),
        RATING,
        BAD,
    ]
    parts: list[list[Entry]] = [[*rows(3), RATING], again, rows(4)]

    before = preview(home, Listed(parts))
    assert home.plays() == []
    assert home.database.ask(jobs.list_jobs) == []
    count = select(func.count()).select_from(library)
    assert home.database.ask(lambda connection: connection.execute(count).scalar_one()) == 0
    after = run(home, Listed(parts))

    assert before.counts == after.counts
    assert before.to_json()["counts"]["added"] == 4


def test_a_look_ends_before_its_memory_has_no_end(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_job, "LOOKED_THROUGH", 4)

    look, short = preview(home, Listed(in_parts(10, 2))), preview(home, Listed(in_parts(3, 2)))

    assert (look.counts.added, look.whole) == (4, False)
    assert (short.counts.added, short.whole) == (3, True)
    assert run(home, Listed(in_parts(10, 2))).counts.added == 10


def test_a_file_of_which_too_much_cannot_be_read_is_left(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_job, "MOST_BAD", 5)

    with pytest.raises(Unusable, match="cannot be read: the rest was left"):
        run(home, Listed([rows(2), [BAD] * 6, rows(3, start=5)]))

    made = newest(home)
    assert (made["state"], made["counts"]["added"]) == ("failed", 2)
    assert "Is it the right kind of file?" in str(made["error"])


def test_a_broken_off_import_goes_on_where_it_was(home: Home) -> None:
    feed = Listed(in_parts(10, 2))
    feed.before[3] = broken(asyncio.CancelledError())
    with pytest.raises(asyncio.CancelledError):
        run(home, feed)
    assert len(home.plays()) == 6
    before = newest(home)

    report = run(home, Listed(in_parts(10, 4)))

    assert (before["state"], report.job_id) == ("running", before["id"])
    assert report.counts == Counts(added=10)
    assert len(home.plays()) == 10


def test_another_file_is_another_job(home: Home) -> None:
    feed = Listed(in_parts(4, 2))
    feed.before[1] = broken(asyncio.CancelledError())
    with pytest.raises(asyncio.CancelledError):
        run(home, feed)

    report = run(home, Listed(in_parts(4, 2), digest="d2"))

    assert report.job_id != newest(home)["id"] - 1
    assert report.counts == Counts(added=2, known=2)


def test_what_is_cancelled_keeps_what_came_and_stops(home: Home) -> None:
    feed = Listed(in_parts(10, 2))

    def cancel() -> None:
        made = newest(home)["id"]
        home.database.do(
            lambda connection: jobs.finish_job(connection, made, clock.now(), jobs.JobState.CANCELLED)
        )

    feed.before[2] = cancel
    report = run(home, feed)

    assert (report.cancelled, feed.passed) == (True, 3)
    assert len(home.plays()) == 4
    assert (newest(home)["state"], newest(home)["counts"]["added"]) == ("cancelled", 4)


@pytest.mark.parametrize("error", [Unusable("it is cut off"), Retry("Trakt is away")])
def test_what_cannot_be_read_on_keeps_what_came_and_says_so(home: Home, error: Exception) -> None:
    feed = Listed(in_parts(10, 2))
    feed.before[2] = broken(error)

    with pytest.raises(type(error)):
        run(home, feed)

    made = newest(home)
    assert len(home.plays()) == 4
    assert (made["state"], made["error"], made["counts"]["added"]) == ("failed", str(error), 4)
    assert run(home, Listed(in_parts(10, 2))).counts == Counts(added=6, known=4)


def test_a_file_is_read_part_by_part_and_known_by_what_is_in_it(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_feeds, "BATCH_SIZE", 2)
    entries = [
        {
            "id": 100 + number, "type": "movie", "action": "watch", "watched_at": f"2025-03-0{number}T20:00:00Z",
            "movie": {"title": f"Film {number}", "year": 2001, "ids": {"tmdb": number}},
        }
        for number in range(1, 6)
    ]  # fmt: skip
    path = tmp_path / "watched-history-1.json"
    path.write_text(json.dumps(entries))
    heard: list[int] = []

    feed = asyncio.run(FileFeed.open("trakt", path))
    report = run(home, feed, progress=lambda done, counts: heard.append(counts.added))
    copy = tmp_path / "watched-history-2.json"
    copy.write_text(json.dumps(entries))
    again = run(home, asyncio.run(FileFeed.open("trakt", copy)))

    assert heard == [2, 4, 5]
    assert (report.counts.added, again.counts.known) == (5, 5)
    assert asyncio.run(FileFeed.open("trakt", copy)).digest == feed.digest


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="No such file"):
        asyncio.run(FileFeed.open("trakt", tmp_path / "missing.json"))


# --- servers and accounts


class Record:
    """A media server's record, of two users."""

    name, label = "plex", "Plex"

    async def plays(self, since: Any) -> AsyncIterator[Found]:
        assert since is None
        for number, user in enumerate(("anna", "ben", "anna")):
            event = Event(
                action=Action.WATCHED, item=part(number), at=EVENING + number * HOUR, user=user,
                server="attic", duration_ms=2_400_000, recorded=True, library="Series",
            )  # fmt: skip
            yield Found(event=event, key=str(number))

    async def check(self) -> str:
        return "Attic"


async def annas(event: Event) -> bool:
    return event.user == "anna"


def test_of_a_server_s_record_only_the_claimed_users_come_in(home: Home) -> None:
    feed = ServerFeed(Record(), annas)

    reports = [asyncio.run(import_job.run(home.database, home.me, feed)) for _ in range(2)]

    assert [report.counts for report in reports] == [Counts(added=2), Counts(known=2)]
    (first, _) = home.plays()
    assert (first.source, first.server, first.library) == ("plex", "attic", "Series")
    assert (first.state, first.watched_at, first.position_ms) == ("stopped", EVENING, None)
    assert first.foreign_key == "plex:attic:0"


def test_what_a_webhook_reported_of_that_server_is_not_doubled(home: Home) -> None:
    home.apply(
        Event(action=Action.WATCHED, item=part(0), at=EVENING - 3 * MINUTE, user="anna", server="attic")
    )
    feed = ServerFeed(Record(), annas)

    assert asyncio.run(import_job.run(home.database, home.me, feed)).counts == Counts(added=1, known=1)


def test_an_account_is_imported_once_also_what_we_told_it(url: str, tmp_path: Path) -> None:
    with opened_house(url, tmp_path) as house:
        house.bring(seen(FILM, EVENING))
        house.backfill()
        house.hold({"episodes": [{"ids": {"tvdb": 100_001}, "watched_at": EVENING.isoformat()}]})

        first, second = held(house), held(house)

        assert (first.counts, second.counts) == (Counts(added=1, known=1), Counts(known=2))


def held(house: House) -> Report:
    tracker = house.service.trackers["trakt"]

    async def imported() -> Report:
        access = await house.service.credentials.access(house.account, house.me, tracker)
        return await import_job.run(house.database, house.me, AccountFeed(tracker, access))

    return house.run(imported())


def test_what_an_account_holds_without_a_date_is_ticked_and_there_once(home: Home) -> None:
    undated = WatchedItem(item=FILM, at=None)
    viewings = [import_feeds.viewing_from_item(undated, "simkl") for _ in range(2)]

    later: list[Viewing] = [
        replace(one, play=replace(one.play, watched_at=NOW + days * DAY, started_at=NOW + days * DAY))
        for days, one in enumerate(viewings)
    ]
    for one in later:
        home.bring(one)

    (row,) = home.plays()
    assert (row.dated, row.foreign_key) == (Dated.TICKED, None)


def test_texts_without_end_are_cut_before_anybody_compares_them(home: Home, tmp_path: Path) -> None:
    entry = {
        "watched_at": "2024-11-20T22:30:00.000Z",
        "type": "movie",
        "movie": {"title": "x" * 100_000, "year": 2010, "ids": {"slug": "y" * 100_000, "imdb": "tt0111111"}},
    }
    path = tmp_path / "history.json"
    path.write_text(json.dumps([entry]))

    async def feed() -> FileFeed:
        return await FileFeed.open("trakt", path)

    run(home, asyncio.run(feed()))

    (row,) = home.plays()
    assert len(row.item["title"]) == 500
    assert row.item["ids"] == {"imdb": "tt0111111"}


@pytest.mark.parametrize(
    ("counts", "says"),
    [
        (Counts(added=1, bad=1, left_out=1), "1 play added, 1 row that cannot be read, 1 entry left out"),
        (Counts(added=1200, bad=2), "1,200 plays added, 2 rows that cannot be read"),
        (Counts(), "nothing"),
    ],
)
def test_the_counts_are_said_in_the_number_that_they_have(counts: Counts, says: str) -> None:
    assert describe_counts(asdict(counts)) == says
