"""The door while old webhooks are pruned and while a backup is made, beside the same door without, in turns.

SQLite makes a backup by a vacuum into another file. All three are one database of old webhooks with their bodies.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bench import payloads
from bench.deliver import settings, sign_in
from bench.flat import multiply
from bench.product import CORES, Subject, compare, load, measure_door, noise
from bench.servers import ROOT, process, service, table, temporary_folder

ROWS, ROUNDS = 100_000, 3
CONNECTIONS = (1, 16)
LOAD_SECONDS = 3.0
START_SECONDS = 3.0
"""Seconds after the start in which the service counts its plays."""

KEEP_ALL, KEEP_SOME = "36500", "90"
"""Values of RETENTION_DAYS: without and with something to prune."""


class Town:
    """A folder with the database, a tracker, and the subjects: one for each thing that is done beside the door."""

    def __init__(self, folder: str, tracker: str) -> None:
        self.folder = folder
        self.path = Path(folder) / "watchmark.db"
        self.tracker = tracker
        self.subjects = [Subject("", tracker, 0, next_number=100_000 * place) for place in range(3)]

    @contextlib.contextmanager
    def serve(self, subject: Subject, days: str = KEEP_ALL) -> Iterator[None]:
        env = {"DATA_DIR": self.folder, "RETENTION_DAYS": days, **settings(self.tracker)}
        with service(core=CORES, **env) as (started, ready):
            subject.url, subject.pid = ready["webhooks"]["plex"], started.pid
            subject.forget()
            before = subject.next_number
            load(subject, 4, 100, 1)
            time.sleep(START_SECONDS)
            yield
            subject.drain(subject.next_number - before)

    def fill(self) -> None:
        sign_in(self.folder, self.tracker, [payloads.user(0, 1)])
        with self.serve(self.subjects[0]):
            pass
        multiply(self.path, ROWS, {})

    def old_rows(self) -> int:
        """The bodies and attempts that are old enough to be pruned, and are there."""
        bodies = f"SELECT count(raw) FROM webhook WHERE id <= {ROWS}"
        attempts = f"SELECT count(*) FROM attempt WHERE id <= {2 * ROWS}"
        with contextlib.closing(sqlite3.connect(self.path)) as own:
            (count,) = own.execute(f"SELECT ({bodies}) + ({attempts})").fetchone()
        return int(count)

    @contextlib.contextmanager
    def backup(self) -> Iterator[None]:
        """A backup that is being made in the block, and left unfinished."""
        command = [sys.executable, "-m", "webhook", "backup", f"{self.folder}/backup.zip"]
        env = {**os.environ, "DATA_DIR": self.folder}
        started = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.DEVNULL)
        try:
            yield
            if started.poll() is not None:
                raise SystemExit("the backup ended before the measurement")
        finally:
            started.terminate()
            started.wait(30)


def measure_doors(subject: Subject) -> None:
    for connections in CONNECTIONS:
        measure_door(subject, 1, connections, LOAD_SECONDS)


def measure(town: Town) -> None:
    plain, pruning, copying = town.subjects
    with town.serve(plain):
        measure_doors(plain)
    with town.serve(pruning, KEEP_SOME):
        before = town.old_rows()
        measure_doors(pruning)
        pruning.note("pruned", before - town.old_rows())
    with town.serve(copying), town.backup():
        measure_doors(copying)


def report(plain: Subject, beside: Subject, what: str) -> None:
    rows = []
    for connections in CONNECTIONS:
        key = f"ack {connections}"
        rows += [
            compare(beside, plain, f"p99, {connections} connections", f"{key} p99", "ms", "at most 2 ×"),
            compare(beside, plain, "… acknowledged", key, "/s"),
        ]
    table(f"The door while {what} · without · ratio", rows)


def main() -> None:
    print(f"\n{noise()}")
    with temporary_folder() as folder, process("-m", "bench.tracker", "0", core=CORES) as (_, tracker):
        town = Town(folder, tracker)
        town.fill()
        size = town.path.stat().st_size / 1e6
        for _ in range(ROUNDS):
            measure(town)
    plain, pruning, copying = town.subjects
    report(plain, pruning, f"the old is pruned ({pruning.figure('pruned'):,.0f} meanwhile)")
    report(plain, copying, f"a backup of {size:,.0f} MB is made")


if __name__ == "__main__":
    main()
