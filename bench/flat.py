"""Whether the product stays as fast: with a million plays and webhooks beside an empty database, in one run.

The many rows are copies of what one real webhook left, so that every index has them; their bodies are pruned, as
those of old webhooks are.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from bench import payloads
from bench.deliver import settings, sign_in
from bench.product import BURST, CORES, Subject, compare, load, measure_burst, measure_one_by_one, noise
from bench.servers import process, service, table, temporary_folder

ROWS = 1_000_000
ROUNDS = 3
LIMIT = "at most 1.3 ×"


@contextlib.contextmanager
def watchmark(rows: int) -> Iterator[tuple[Subject, Path]]:
    with temporary_folder() as folder, process("-m", "bench.tracker", "0", core=CORES) as (_, tracker):
        sign_in(folder, tracker, [payloads.user(0, 1)])
        with service(core=CORES, DATA_DIR=folder, **settings(tracker)) as (started, ready):
            subject = Subject(ready["webhooks"]["plex"], tracker, started.pid)
            load(subject, 4, 4, 1)
            subject.drain(4)
            time.sleep(1)
        path = Path(folder) / "watchmark.db"
        multiply(path, rows, PRUNED)
        with service(core=CORES, DATA_DIR=folder, **settings(tracker)) as (started, ready):
            warm = Subject(ready["webhooks"]["plex"], tracker, started.pid, next_number=10)
            warm.forget()
            load(warm, 4, 100, 1)
            warm.drain(100)
            yield warm, path


NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :rows)"


PRUNED = {"raw": "NULL", "events": "NULL"}


def multiply(path: Path, rows: int, body: dict[str, str]) -> None:
    """Copy the first webhook with its play, deliveries and attempts so many times, each an hour earlier."""
    if not rows:
        return
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as own:
        own.execute("PRAGMA synchronous=OFF")
        own.execute("BEGIN")
        older = {name: f"{name} - n.i * 3600000" for name in TIMES}
        copy(own, rows, "webhook", {"id": f"{BASE} + n.i", **body, **older})
        item = "json_set(item, '$.number', n.i, '$.season', 7, '$.ids', json_object('tvdb', 9000000 + n.i))"
        copy(own, rows, "play", {"id": f"{BASE} + n.i", "item": item, **older})
        for prefix in ("episode:tvdb:", "episode:title:tidewater:7x"):
            own.execute(
                f"{NUMBERS} INSERT INTO play_key (person_id, key, play_id) "
                f"SELECT 1, '{prefix}' || n.i, {BASE} + n.i FROM n",
                {"rows": rows},
            )
        for place in (1, 2):
            delivery_id = f"{BASE} + 2 * n.i + {place}"
            made = {
                "id": delivery_id, "webhook_id": f"{BASE} + n.i", "play_id": f"{BASE} + n.i",
                "key": f"'watched:' || ({BASE} + n.i)", "item": item, **older,
            }  # fmt: skip
            copy(own, rows, "delivery", made, f"account_id = {place}")
            tried = {"id": delivery_id, "delivery_id": delivery_id, **older}
            first = f"delivery_id IN (SELECT id FROM delivery WHERE account_id = {place} AND id < {BASE})"
            copy(own, rows, "attempt", tried, first)
        own.execute("COMMIT")
        own.execute("PRAGMA synchronous=FULL")
        own.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # so that no commit that is measured waits for these


BASE = 1_000
TIMES = (
    "received_at", "interpreted_at", "started_at", "last_at", "watched_at", "happened_at", "due_at", "created_at",
    "settled_at", "at",
)  # fmt: skip


def copy(own: sqlite3.Connection, rows: int, name: str, other: dict[str, str], where: str = "1") -> None:
    columns = [row[1] for row in own.execute(f"PRAGMA table_info({name})")]
    values = ", ".join(other.get(column, f"t.{column}") for column in columns)
    one = f"(SELECT * FROM {name} WHERE {where} ORDER BY id LIMIT 1) t"
    own.execute(
        f"{NUMBERS} INSERT INTO {name} ({', '.join(columns)}) SELECT {values} FROM {one}, n", {"rows": rows}
    )


def main() -> None:
    print(f"\n{noise()}")
    with watchmark(0) as (empty, small), watchmark(ROWS) as (full, path):
        before = size(path)
        for _ in range(ROUNDS):
            for subject in (empty, full):
                measure_one_by_one(subject, 1)
                measure_burst(subject, 1)
        grown = (size(small)) / empty.next_number
        rows = [
            compare(full, empty, "POST to tracker, p50", "one p50", "ms", LIMIT),
            compare(full, empty, "POST to tracker, p99", "one p99", "ms"),
            compare(full, empty, "CPU a webhook, all the way", "cpu ms", "ms", LIMIT),
            compare(full, empty, f"burst of {BURST:,}, delivered", "burst", "/s", "at least 0.77 ×"),
        ]
        table(f"With {ROWS:,} plays, webhooks and twice the deliveries · empty · ratio", rows)
        print(
            f"  database: {before / 1e6:,.0f} MB with the many rows; {grown / 1024:.1f} KiB a webhook as it comes"
        )


def size(path: Path) -> int:
    return sum(entry.stat().st_size for entry in path.parent.glob("watchmark.db*"))


if __name__ == "__main__":
    main()
