"""kill -9 in the middle of an import and of a backfill: nothing is lost, nothing is there twice.

Run as a program, this file imports one file: `python -m tests.faults.test_kill_transfer URL PERSON FILE`.
"""

# ruff: noqa: S311 - dice need no cryptography

from __future__ import annotations

import asyncio
import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path

from sqlalchemy import Connection, func, select

from tests.conftest import driver
from tests.fakes._server import Server
from tests.fakes.trakt import Trakt
from tests.faults.house import Altered, at, promptly, recorded
from tests.faults.test_kill import Unreliable
from tests.running import ROOT
from tests.transfer.test_backfilling import part
from tests.transfer.test_bringing import EVENING, HOUR, Home, seen
from webhook import clock
from webhook.queues import jobs
from webhook.service import Service
from webhook.storage.db import Database
from webhook.storage.tables import account, play
from webhook.transfer import backfill, import_job
from webhook.transfer.import_feeds import FileFeed
from webhook.transfer.merge import merge_entries

ROWS, ROWS_ON_POSTGRES = 8_000, 3_000
PLAYS = 600
KILLS = 5
WRITES = "POST /sync/history"


# --- an import


def written(path: Path, count: int) -> None:
    """A history of Trakt's; every tenth row repeats an earlier one under its own number."""
    entries = []
    for number in range(count):
        told = number - 5 if number % 10 == 9 else number
        episode = {"season": 1, "number": told, "title": "A Part", "ids": {"tvdb": 100_000 + told}}
        entries.append(
            {
                "id": told + 1,
                "watched_at": (EVENING + told * timedelta(minutes=3)).isoformat(),
                "action": "scrobble",
                "type": "episode",
                "episode": episode,
                "show": {"title": "Tidewater", "year": 2011, "ids": {"trakt": 77, "tvdb": 88}},
            }
        )
    path.write_text(json.dumps(entries))


async def imported(url: str, person_id: int, path: Path) -> None:
    database = Database(url)
    feed = await FileFeed.open("trakt", path)
    await import_job.run(database, person_id, feed, progress=lambda done, counts: print(done, flush=True))  # noqa: T201
    database.close()


def begun(url: str, person_id: int, path: Path) -> subprocess.Popen[str]:
    """The import, once its first part is in."""
    words = [sys.executable, "-m", __name__, url, str(person_id), str(path)]
    process = subprocess.Popen(words, cwd=ROOT, text=True, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline()
    return process


def ended(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    process.stdout.read()
    process.stdout.close()
    return process.wait(60)


def jobs_beside(home: Home) -> list[jobs.JobJson]:
    """The jobs but the one of what the home brought in."""
    return [one for one in home.database.ask(jobs.list_jobs) if one["id"] != home.job]


def test_an_import_that_is_killed_goes_on_and_doubles_nothing(database: Database, tmp_path: Path) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")  # noqa: T201 - shown where it fails
    dice, home = random.Random(seed), Home(database)
    path = tmp_path / "watched-history-1.json"
    rows = ROWS if database.sqlite else ROWS_ON_POSTGRES
    written(path, rows)
    url = database.engine.url.render_as_string(hide_password=False)
    home.bring(*(seen(part(number), EVENING + number * timedelta(minutes=3), "plex") for number in (3, 7)))

    for _ in range(3):
        process = begun(url, home.me, path)
        time.sleep(dice.uniform(0.0, 0.2))
        process.send_signal(signal.SIGKILL)
        ended(process)
    before = jobs_beside(home)
    assert ended(begun(url, home.me, path)) == 0

    after = jobs_beside(home)
    total = select(func.count()).select_from(play)
    expected = rows - rows // 10
    assert database.ask(lambda connection: connection.execute(total).scalar_one()) == expected
    keys = select(func.count(play.c.foreign_key.distinct()))
    assert database.ask(lambda connection: connection.execute(keys).scalar_one()) == expected - 2
    assert [one["state"] for one in before] == ["running"]
    assert [one["state"] for one in after] == ["done"]
    counts = after[0]["counts"]
    assert (counts["added"], counts["known"]) == (expected - 2, rows // 10 + 2)


# --- a backfill


def filled(connection: Connection, service: Service) -> None:
    """A history, and a backfill of it that has begun."""
    of = connection.execute(select(account).where(account.c.tracker == "trakt")).one()
    viewings = [
        seen(part(number), EVENING + number * HOUR, key=f"file:{number}") for number in range(1, PLAYS + 1)
    ]
    merge_entries(connection, of.person_id, viewings, clock.now(), 1)
    backfill.begin(connection, service.trackers["trakt"], of.id, clock.now())


def under_way(process: Altered, database: str) -> jobs.JobJson:
    """The backfill, read beside the process that works on it."""
    opened = Database(database)
    found = opened.ask(jobs.list_jobs)
    opened.close()
    return found[0]


def test_a_backfill_that_is_killed_tells_each_play_once(tmp_path: Path) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")  # noqa: T201 - shown where it fails
    dice = random.Random(seed)
    trakt = Trakt(window_minutes=0)
    trakt.faults = Unreliable(dice)
    database = driver(f"sqlite:///{tmp_path}/watchmark.db")
    with Server(trakt) as server:
        process = Altered(tmp_path, "hasty", settings=at(server.url, DATABASE_URL=database)).prepare()
        process.connect("trakt", trakt.sign_in("anna"))
        process.prepared(filled)
        for _ in range(KILLS):
            process.start()
            enough = len(trakt.made(WRITES)) + dice.randint(1, 2)
            promptly(lambda enough=enough: len(trakt.made(WRITES)) >= enough, 10)  # type: ignore[misc]
            time.sleep(dice.uniform(0.0, 0.05))
            process.kill()
        halfway = len(trakt.user("anna").history)
        process.start()
        assert promptly(lambda: under_way(process, database)["state"] == "done", 40)
        process.stop()
        process.http.close()

    found = recorded(trakt)
    assert found == Counter(range(100_001, 100_001 + PLAYS))
    assert 0 < halfway < PLAYS
    counts = under_way(process, database)["counts"]
    assert counts["sent"] + counts["held"] + counts["told"] == PLAYS
    assert counts["done"] == counts["sent"]


if __name__ == "__main__":
    asyncio.run(imported(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])))
