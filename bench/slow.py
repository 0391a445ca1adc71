"""The door while the tracker takes 150 ms to answer, beside a rival that answers only after it, in the same run."""

from __future__ import annotations

from bench.product import compare_load, measure_load, noise, rival, warm_up, watchmark
from bench.servers import table

DELAY_MS = 150
PEOPLE = 100
CONNECTIONS = (16, 64)
ROUNDS, LOAD_SECONDS = 3, 3.0


def main() -> None:
    print(f"\n{noise()}")
    with watchmark(PEOPLE, DELAY_MS) as ours, rival(DELAY_MS) as theirs:
        warm_up(ours, theirs, PEOPLE)
        for _ in range(ROUNDS):
            for connections in CONNECTIONS:
                for subject in (ours, theirs):
                    measure_load(subject, PEOPLE, connections, LOAD_SECONDS)
    rows = [
        row for connections in CONNECTIONS for row in compare_load(ours, theirs, connections, "at least 15 ×")
    ]
    title = f"A tracker that takes {DELAY_MS} ms, {PEOPLE} of a household: Watchmark · naive rival · ratio"
    table(title, rows)


if __name__ == "__main__":
    main()
