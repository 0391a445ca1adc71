"""Starting: how long it takes until webhooks are taken, what a command takes, and the memory before and after a burst."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench.product import Subject, cpu_seconds, load, watchmark
from bench.servers import ROOT, SERVER_CORE, process, table, wait_for

STARTS, RUNS, BURST = 5, 7, 10_000
COMMANDS = ("--help", "urls", "trace 1")
DRAIN = 600.0
"""Seconds in which a burst must have arrived at the tracker."""


@dataclass(frozen=True)
class Start:
    """Seconds until it answers, those of the processor among them, and MiB of memory a moment later."""

    took: float
    cpu: float
    resident: float
    own: float
    """Of the memory, what it shares with no other process."""


def start_once(folder: str) -> Start:
    """Start as people do, in a folder that may have been used before."""
    env = {"DATA_DIR": folder, "PORT": "0"}
    began = time.monotonic()
    with process("-m", "webhook", "serve", env=env, logs=subprocess.DEVNULL) as (started, line):
        wait_for(f"{line.split()[-1]}/healthz")
        took, cpu = time.monotonic() - began, cpu_seconds(started.pid)
        time.sleep(1.5)
        kept = memory(started.pid)
    return Start(took, cpu, kept["Rss"], kept["Private_Clean"] + kept["Private_Dirty"])


def memory(pid: int) -> dict[str, float]:
    """MiB by their names in /proc/PID/smaps_rollup."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    return {name: int(value) / 1024 for name, value, _ in (line.replace(":", "").split() for line in lines)}


def measure_burst() -> list[tuple[str, str, str]]:
    """The memory of a service with an account at Trakt: idle, at its most in a burst, and once all is delivered."""
    with watchmark(1) as subject:
        time.sleep(1.5)
        idle = memory(subject.pid)["Rss"]
        load(subject, 16, BURST, 1)
        at_once = memory(subject.pid)["Rss"]
        drain(subject)
        time.sleep(1.5)
        after = memory(subject.pid)["Rss"]
    return [
        ("memory when idle, signed in to Trakt", f"{idle:.0f} MiB", ""),
        (f"memory after {BURST:,} webhooks", f"{at_once:.0f} MiB", "aim at most 110"),
        ("memory once all are delivered", f"{after:.0f} MiB", "aim at most 110"),
    ]


def drain(subject: Subject) -> None:
    ends = time.monotonic() + DRAIN
    while len(subject.arrivals()) < BURST and time.monotonic() < ends:
        time.sleep(0.5)


def measure_command(folder: str, words: str) -> tuple[float, float]:
    """Seconds that a command takes, and those of the processor, each the median of several."""
    command = ["taskset", "-c", SERVER_CORE, sys.executable, "-m", "webhook", *words.split()]
    environ = {**os.environ, "DATA_DIR": folder, "PYTHONPATH": str(ROOT)}
    took, cpu = [], []
    for _ in range(RUNS):
        began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, env=environ, cwd=ROOT, capture_output=True, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        took.append(time.monotonic() - began)
        cpu.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(took), statistics.median(cpu)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        first, *starts = [start_once(folder) for _ in range(1 + STARTS)]
        commands = [(words, *measure_command(folder, words)) for words in COMMANDS]
    took = statistics.median(one.took for one in starts)
    cpu = statistics.median(one.cpu for one in starts)
    idle = statistics.median(one.resident for one in starts)
    own = statistics.median(one.own for one in starts)
    table(
        "Starting",
        [
            ("first start to first answer", f"{first.took:.2f} s", "makes the tables and the key"),
            ("memory after the first start", f"{first.resident:.0f} MiB", "until it is started again"),
            ("start to first answer", f"{took:.2f} s, {cpu:.2f} s CPU", "aim at most 0.8"),
            ("memory when idle", f"{idle:.0f} MiB, {own:.0f} its own", "aim at most 85"),
            *measure_burst(),
            *(
                (f"watchmark {words}", f"{took:.2f} s, {cpu:.2f} s CPU", "aim at most 0.4")
                for words, took, cpu in commands
            ),
        ],
    )


if __name__ == "__main__":
    main()
