"""The door while the tracker takes 150 ms to answer, beside a rival that answers only after it, in the same run.

`python -m bench.slow 1` measures one person alone.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from bench.product import (
    Subject,
    compare_door,
    cpu_seconds,
    load,
    measure_door,
    noise,
    rival,
    watchmark,
)
from bench.servers import table

DELAY_MS = 150
PEOPLE = (1, 100)
CONNECTIONS = (16, 64)
ROUNDS, LOAD_SECONDS = 3, 3.0
QUIET_SHARE = 0.15
"""The part of a core that a server uses at most once it waits for the tracker alone."""


def wait_until_quiet(subject: Subject) -> None:
    used = 1.0
    while used > QUIET_SHARE:
        before = cpu_seconds(subject.pid)
        time.sleep(0.5)
        used = (cpu_seconds(subject.pid) - before) / 0.5


def measure(people: int) -> None:
    with watchmark(people, DELAY_MS) as ours, rival(DELAY_MS) as theirs:
        for subject in (ours, theirs):
            load(subject, 16, 200, people)
            wait_until_quiet(subject)
        for _ in range(ROUNDS):
            for connections in CONNECTIONS:
                for subject in (ours, theirs):
                    measure_door(subject, people, connections, LOAD_SECONDS)
                    wait_until_quiet(subject)
    rows = [
        row for connections in CONNECTIONS for row in compare_door(ours, theirs, connections, "at least 15 ×")
    ]
    table(
        f"A tracker that takes {DELAY_MS} ms, {people} of a household: Watchmark · naive rival · ratio", rows
    )


def main(households: Sequence[int] = PEOPLE) -> None:
    print(f"\n{noise()}")
    for people in households:
        measure(people)


if __name__ == "__main__":
    main([int(people) for people in sys.argv[1:]] or PEOPLE)
