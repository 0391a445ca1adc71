"""History: what a million plays cost against ten thousand, and importing them against the bare rows.

`python -m bench.history` runs it; `python -m bench.history import 1000000` measures one import alone.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select

from bench.servers import ROOT, table
from webhook import clock, logs
from webhook.domain.event import Episode, Ids, Movie
from webhook.domain.items import keys
from webhook.domain.play import Play, State
from webhook.history import stats
from webhook.history.stats_span import zone_of
from webhook.people import people
from webhook.queries.plays import list_plays
from webhook.storage import migrate
from webhook.storage.db import Database, driver
from webhook.storage.tables import play
from webhook.storage.types import to_ms
from webhook.transfer import import_feeds, import_job, merge
from webhook.transfer.export import Export, pieces
from webhook.transfer.records import Entry, Viewing

EACH = 10_000
PEOPLE = 100
MUCH = 100_000
YEARS = (2016, 2026)
ZONE = zone_of("Europe/Berlin")
PAGE, PAGES = 50, 200
TURNS = 7
LIMIT, IMPORT_LIMIT = 3.0, 6.0
SAMPLES = (100_000, 1_000_000)


def viewing(number: int, at: datetime) -> Viewing:
    """One of many: nine in ten are episodes of shows of a hundred, each seen once; some films come again."""
    item: Episode | Movie
    if number % 10 == 9:
        film = number // 10 if number % 20 == 9 else number // 20  # every other one was seen before
        item = Movie(title=f"Film {film}", year=1950 + film % 70, ids=Ids(tmdb=film + 1, imdb=f"tt{film:07}"))
    else:
        show, place = divmod(number, 100)
        ids, show_ids = Ids(tvdb=number + 1), Ids(tvdb=show + 1)
        item = Episode(
            title=f"Part {number}", show=f"Show {show}", season=1 + place // 10, number=1 + place % 10,
            year=2000 + show % 20, ids=ids, show_ids=show_ids,
        )  # fmt: skip
    watched = Play(
        item=item, state=State.STOPPED, started_at=at - timedelta(minutes=40), last_at=at, watched_at=at,
        duration_ms=2_400_000, source="plex", player="Living room", library="TV Shows",
    )  # fmt: skip
    return Viewing(play=watched, foreign_key=f"bench:{number}")


# --- many plays of many people


def filled(folder: Path, name: str, crowd: int, each: int) -> Database:
    """A database of so many people with so many plays each, in the order in which they were watched."""
    database = Database(f"sqlite:///{folder}/{name}.db", synchronous="OFF")
    migrate.migrate(database)
    database.do(lambda connection: fill(connection, crowd, each))
    return database


def fill(connection: Connection, crowd: int, each: int) -> None:
    now = clock.now()
    ids = [people.add_person(connection, f"person{number}", now) for number in range(crowd)]
    begins, ends = (datetime(year, 1, 1, tzinfo=UTC) for year in YEARS)
    step = (ends - begins) / each
    for start in range(0, each, 100):
        new = [
            (owner, made)
            for number in range(start, min(start + 100, each))
            for made in [viewing(number, begins + number * step)]
            for owner in ids
        ]
        add(connection, new)


def add(connection: Connection, new: list[tuple[int, Viewing]]) -> None:
    (last,) = own(connection).execute("SELECT coalesce(max(id), 0) FROM play").fetchone()
    rows, known_by = [], []
    known = {id(made): keys(made.play.item) for _, made in new}
    for made_id, (owner, made) in enumerate(new, last + 1):
        rows.append(merge.play_values(made_id, owner, made, None))
        known_by += [(owner, made_id, key) for key in known[id(made)]]
    merge.insert_many(connection, "play", merge.PLAY_COLUMNS, rows)
    merge.insert_many(connection, "play_key", merge.KEY_COLUMNS, known_by)


def questions(database: Database) -> dict[str, Callable[[], Any]]:
    """What is asked of one person's history, by name."""
    name = "person0"
    person_id = database.ask(lambda connection: people.find_person(connection, name).id)
    after = database.ask(lambda connection: cursor(connection, person_id))
    year = YEARS[0] + 3
    month = {"since": datetime(year, 3, 1, tzinfo=UTC), "until": datetime(year, 4, 1, tzinfo=UTC)}
    export = Export(person_id=person_id, kind="csv", **month)

    def asked(question: Callable[..., Any], *values: Any, **named: Any) -> Callable[[], Any]:
        return lambda: database.ask(lambda connection: question(connection, *values, **named))

    return {
        "history, page 1": asked(list_plays, limit=PAGE, person_name=name),
        f"history, page {PAGES}": asked(list_plays, limit=PAGE, person_name=name, after=after),
        "numbers of a year": asked(stats.year_stats, person_id, year, ZONE),
        "numbers of all years": asked(stats.year_stats, person_id, None, ZONE),
        "export of a month": lambda: list(pieces(database, export)),
    }


def cursor(connection: Connection, person_id: int) -> str:
    """Where the last of the pages begins."""
    there = select(play.c.started_at, play.c.id).where(play.c.person_id == person_id)
    ordered = there.order_by(play.c.started_at.desc(), play.c.id.desc())
    began, made = connection.execute(ordered.offset((PAGES - 1) * PAGE - 1).limit(1)).one()
    return f"{to_ms(began)}-{made}"


def timed(databases: Sequence[Database]) -> dict[str, list[float]]:
    """Milliseconds of each question in each of the databases, the median of some turns.

    They take turns, so that whatever else the machine does slows all of them alike.
    """
    asked = [questions(database) for database in databases]
    found: dict[str, list[float]] = {}
    for name in asked[0]:
        turns = [[taken(one[name]) for one in asked] for _ in range(TURNS)]
        found[name] = [statistics.median(took) for took in zip(*turns, strict=True)]
    return found


def taken(question: Callable[[], Any]) -> float:
    began = time.perf_counter()
    question()
    return (time.perf_counter() - began) * 1000


def reading(folder: Path) -> None:
    sizes = {"few": (1, EACH), "many": (PEOPLE, EACH), "much": (1, MUCH)}
    databases = [filled(folder, name, crowd, each) for name, (crowd, each) in sizes.items()]
    measured = timed(databases)
    for database in databases:
        database.close()
    rows = [
        (name, f"{many / few:.2f} ×", f"at most {LIMIT:.0f} × ({few:.1f} ms, {many:.1f} ms)")
        for name, (few, many, _) in measured.items()
    ]
    rows += [(f"{name}, a person of {MUCH:,}", f"{much:.1f} ms", "") for name, (*_, much) in measured.items()]
    table(f"History at {PEOPLE * EACH:,} plays against {EACH:,} (SQLite, one person's)", rows)


# --- bringing in


class Bare:
    """The rows that an import has put, put once more by `executemany` alone: same order, same commits."""

    def __init__(self, source: Database, target: Database) -> None:
        names, places = ", ".join(merge.PLAY_COLUMNS), ", ".join("?" * len(merge.PLAY_COLUMNS))
        self.plays = f"INSERT INTO play ({names}) VALUES ({places})"
        self.known = "INSERT INTO play_key (person_id, play_id, key) VALUES (?, ?, ?)"
        self.added = f"SELECT {names} FROM play WHERE id > ? ORDER BY id"
        self.keyed = "SELECT person_id, play_id, key FROM play_key WHERE play_id > ? ORDER BY play_id, rowid"
        self.open = [database.engine.connect() for database in (source, target)]
        self.reading, self.writing = map(own, self.open)
        self.last, self.seconds = 0, 0.0

    def follow(self) -> None:
        """What was imported since the last time, in one commit."""
        rows = self.reading.execute(self.added, (self.last,)).fetchall()
        keyed = self.reading.execute(self.keyed, (self.last,)).fetchall()
        began = time.perf_counter()
        self.writing.execute("BEGIN IMMEDIATE")
        self.writing.executemany(self.plays, rows)
        self.writing.executemany(self.known, keyed)
        self.writing.execute("COMMIT")
        self.seconds += time.perf_counter() - began
        self.last += len(rows)


def own(connection: Connection) -> sqlite3.Connection:
    found = driver(connection)
    assert found is not None
    return found


class Feed:
    """So many viewings, made as they are asked for; after each part the bare rows have their turn.

    `besides` is the time that both took: it is not the import's. Taking turns, whatever else the
    machine does slows both alike.
    """

    kind, name, digest = "bench", "bench", None

    def __init__(self, count: int, bare: Bare) -> None:
        self.count, self.bare = count, bare
        self.besides = 0.0

    async def parts(self) -> AsyncIterator[list[Entry]]:
        for start in range(0, self.count, import_feeds.BATCH_SIZE):
            began = time.perf_counter()
            some = range(start, min(start + import_feeds.BATCH_SIZE, self.count))
            part: list[Entry] = [viewing(number, moment(number)) for number in some]
            self.besides += time.perf_counter() - began
            yield part
            began = time.perf_counter()
            self.bare.follow()
            self.besides += time.perf_counter() - began

    def progress(self) -> None:
        return None


def moment(number: int) -> datetime:
    return datetime(2000, 1, 1, tzinfo=UTC) + timedelta(minutes=13 * number)


def imported(count: int) -> dict[str, float]:
    """Seconds that an import takes, those that the bare rows take, and the peak memory in MiB."""
    logs.configure("text", "error")
    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        database, target = fresh(folder, "import"), fresh(folder, "bare")
        bare = Bare(database, target)
        feed = Feed(count, bare)
        began = time.perf_counter()
        report = asyncio.run(import_job.run(database, 1, feed))
        took = time.perf_counter() - began - feed.besides
        assert report.counts.added == bare.last == count, report.counts
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"import": took, "bare": bare.seconds, "peak": peak}


def fresh(folder: str, name: str) -> Database:
    database = Database(f"sqlite:///{folder}/{name}.db")
    migrate.migrate(database)
    database.do(lambda connection: people.add_person(connection, "me", clock.now()))
    return database


def alone(count: int) -> dict[str, float]:
    """The same, in a process of its own: the peak of memory is a process's."""
    command = [sys.executable, "-m", "bench.history", "import", str(count)]
    said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    measured: dict[str, float] = json.loads(said)
    return measured


def bringing_in() -> None:
    few, many = (alone(count) for count in SAMPLES)
    table(
        f"Importing {SAMPLES[1]:,} plays (SQLite, synchronous=FULL, without reading the file)",
        [
            ("import", f"{many['import']:.1f} s", f"{SAMPLES[1] / many['import']:,.0f} plays/s"),
            ("the bare rows", f"{many['bare']:.1f} s", "executemany, the same commits"),
            ("import against bare rows", f"{many['import'] / many['bare']:.2f} ×", f"at most {IMPORT_LIMIT:.0f} ×"),
            (f"the same of {SAMPLES[0]:,}", f"{few['import'] / few['bare']:.2f} ×", ""),
            ("peak memory", f"{many['peak']:.0f} MiB", f"{few['peak']:.0f} MiB at {SAMPLES[0]:,}"),
        ],
    )  # fmt: skip


def main() -> None:
    logs.configure("text", "error")
    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        reading(Path(folder))
    bringing_in()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["import", count]:
            print(json.dumps(imported(int(count))))
        case _:
            main()
