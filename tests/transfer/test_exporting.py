"""Exports at work, on both databases: pages, order, what was watched before, what is rated, the library."""

from __future__ import annotations

import asyncio
import tracemalloc
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from webhook import clock
from webhook.domain.event import Ids, Item, Movie, Show
from webhook.domain.play import Play, State
from webhook.people import people
from webhook.storage import tables
from webhook.storage.db import Database
from webhook.transfer import export as exporting
from webhook.transfer import merge
from webhook.transfer.export import Export
from webhook.transfer.records import Kept, Relation, Viewing

AT = datetime(2024, 3, 1, 20, 15, tzinfo=UTC)


@pytest.fixture
def person_id(database: Database) -> int:
    return database.do(lambda connection: people.add_person(connection, "me", clock.now()))


def film(number: int) -> Movie:
    return Movie(title=f"Film {number}", year=2001, ids=Ids(tmdb=number))


def viewing(item: Item, at: datetime, **more: Any) -> Viewing:
    play = Play(item=item, state=State.STOPPED, started_at=at, last_at=at, **{"watched_at": at, **more})
    return Viewing(play=play, verbatim=True)


def bring(database: Database, person_id: int, *entries: Viewing | Kept) -> None:
    database.do(lambda connection: merge.merge_entries(connection, person_id, entries, clock.now()))


def seen(database: Database, export: Export) -> list[tuple[Any, ...]]:
    return [(one.play.item.title, one.rewatch, one.rating) for one in exporting.plays(database, export)]


def test_what_was_watched_before_is_a_rewatch_and_takes_its_rating(
    database: Database, person_id: int
) -> None:
    by_imdb = Movie(title="Film 1", year=2001, ids=Ids(tmdb=1, imdb="tt0000001"))
    bring(
        database,
        person_id,
        viewing(film(1), AT),
        viewing(film(2), AT + timedelta(hours=1)),
        viewing(by_imdb, AT + timedelta(days=1)),
        viewing(film(3), AT + timedelta(days=1), unwatched_at=AT + timedelta(days=2)),
        viewing(film(3), AT + timedelta(days=3)),
        Kept(relation=Relation.RATING, item=film(1), at=AT, value=8.5),
    )

    found = seen(database, Export(person_id=person_id, kind="csv"))

    assert found == [
        ("Film 1", False, 8.5), ("Film 2", False, None), ("Film 1", True, 8.5), ("Film 3", False, None),
    ]  # fmt: skip


def test_plays_of_one_moment_come_once_each_over_the_edges_of_pages(
    database: Database, person_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "PAGE", 3)
    bring(
        database,
        person_id,
        *(viewing(film(number), AT + timedelta(days=number // 5)) for number in range(1, 15)),
    )
    bring(
        database,
        person_id,
        *(Kept(relation=Relation.LOVE, item=film(number), at=AT) for number in range(1, 9)),
    )

    for kind in ("watchmark", "csv"):
        export = Export(person_id=person_id, kind=kind)
        assert [one[0] for one in seen(database, export)] == [f"Film {number}" for number in range(1, 15)]
    kept = [entry.item.title for entry in exporting.library_entries(database, export)]
    assert len(kept) == 8
    assert {*kept} == {f"Film {number}" for number in range(1, 9)}


def test_a_span_begins_with_its_first_moment_and_ends_before_its_last(
    database: Database, person_id: int
) -> None:
    days = [AT + timedelta(days=number) for number in range(4)]
    bring(database, person_id, *(viewing(film(number), at) for number, at in enumerate(days, 1)))
    bring(
        database,
        person_id,
        *(Kept(relation=Relation.LOVE, item=film(number), at=at) for number, at in enumerate(days, 1)),
    )
    bring(database, person_id, Kept(relation=Relation.FOLLOW, item=Show(title="A show"), at=days[0]))

    export = Export(person_id=person_id, kind="watchmark", since=days[1], until=days[3])

    assert [one[0] for one in seen(database, export)] == ["Film 2", "Film 3"]
    assert [entry.item.title for entry in exporting.library_entries(database, export)] == ["Film 2", "Film 3"]


def test_only_the_own_format_holds_what_was_not_watched_to_its_end(
    database: Database, person_id: int
) -> None:
    bring(database, person_id, viewing(film(1), AT, watched_at=None), viewing(film(2), AT))
    removed = update(tables.play).where(tables.play.c.id == 2).values(removed_at=AT)

    assert len(seen(database, Export(person_id=person_id, kind="watchmark"))) == 2
    assert len(seen(database, Export(person_id=person_id, kind="csv"))) == 1
    database.do(lambda connection: connection.execute(removed))
    assert len(seen(database, Export(person_id=person_id, kind="watchmark"))) == 1


def test_what_is_streamed_is_what_is_written(database: Database, person_id: int) -> None:
    bring(database, person_id, *(viewing(film(number), AT) for number in range(1, 40)))
    export = Export(person_id=person_id, kind="watchmark")

    async def streamed() -> bytes:
        return b"".join([piece async for piece in exporting.stream(database, export)])

    assert asyncio.run(streamed()) == b"".join(exporting.pieces(database, export))


def test_a_long_history_takes_no_more_memory_than_a_page_of_it(database: Database, person_id: int) -> None:
    for start in range(1, 8001, 4000):
        bring(
            database,
            person_id,
            *(viewing(film(n), AT + timedelta(hours=n)) for n in range(start, start + 4000)),
        )
    export = Export(person_id=person_id, kind="watchmark")
    tracemalloc.start()
    try:
        size = sum(len(piece) for piece in exporting.pieces(database, export))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert size > 1_600_000
    assert most < 6_000_000
