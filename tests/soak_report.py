"""The report of the soak: per test, how much of what it did, how long that took and what failed; a Markdown file.

`pytest --soak-report FILE` adds a section for its run, and keeps it up to date while it runs, so that a run which is ended
leaves what it did. How much a test did it says itself, by pytest's `record_property("kills", 300)`; numbers are added up.
"""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HEADINGS = ("What", "How much", "Tests", "Failed", "Skipped", "Time")
BAD = ("failed", "skipped")

RecordProperty = Callable[[str, object], None]
"""pytest's fixture `record_property`."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak-report", metavar="FILE", help="add what this run did to a Markdown file")


def pytest_configure(config: pytest.Config) -> None:
    path = config.getoption("--soak-report", None)
    if path and not hasattr(
        config, "workerinput"
    ):  # workers of xdist send their reports to the one that started them
        arguments = shlex.join(map(str, config.invocation_params.args))
        config.pluginmanager.register(SoakReport(Path(path), f"pytest {arguments}"))


@dataclass
class Row:
    """What the cases of one test function did."""

    name: str
    outcomes: dict[str, str] = field(default_factory=dict)
    amounts: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    def count(self, outcome: str) -> int:
        return list(self.outcomes.values()).count(outcome)

    def cells(self) -> tuple[str, ...]:
        amounts = ", ".join(f"{amount:,} {what}" for what, amount in self.amounts.items() if amount)
        counts = (len(self.outcomes), *map(self.count, BAD))
        return (self.name, amounts, *(f"{count:,}" for count in counts), duration(self.seconds))


class SoakReport:
    """Gathers the reports of one run, and writes them after what the file holds of the runs before."""

    def __init__(self, path: Path, command: str) -> None:
        self.path, self.command = path, command
        self.before = path.read_text() if path.exists() else heading()
        self.began = time.monotonic()
        self.rows: dict[str, Row] = {}
        self.faults: dict[str, str] = {}
        self.state = "so far"

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        function = report.nodeid.partition("[")[0]
        row = self.rows.setdefault(function, Row(title(function)))
        row.seconds += report.duration
        if report.outcome != "passed" or report.when == "call":
            row.outcomes[report.nodeid] = report.outcome
        if report.failed:
            self.faults.setdefault(report.nodeid, summary(report))
        if report.when == "teardown":
            for what, amount in report.user_properties:
                row.amounts[what] += amount if isinstance(amount, int) else 0
            self.write()

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        self.state = (
            "whole" if exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) else "ended early"
        )
        self.write()

    def write(self) -> None:
        self.path.write_text(f"{self.before}\n{self.section()}")

    def section(self) -> str:
        rows = [HEADINGS, ("---",) * len(HEADINGS), *(row.cells() for row in self.rows.values())]
        table = "\n".join(f"| {' | '.join(cells)} |" for cells in rows)
        faults = "".join(f"- `{test}`: {said}\n" for test, said in self.faults.items())
        return f"## `{self.command}`\n\n{self.totals()}\n\n{table}\n" + (
            f"\nFailed:\n\n{faults}" if faults else ""
        )

    def totals(self) -> str:
        tests = sum(len(row.outcomes) for row in self.rows.values())
        failed, skipped = (sum(row.count(outcome) for row in self.rows.values()) for outcome in BAD)
        took = duration(time.monotonic() - self.began)
        return f"{tests:,} tests in {took}, {self.state}: {failed:,} failed, {skipped:,} skipped."


def heading() -> str:
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    machine = f"Python {platform.python_version()} on {os.cpu_count()} cores"
    return f"# What the soak did\n\nBegun {now}, with {machine}{commit()}.\n"


def commit() -> str:
    told = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return f", at commit {told.stdout.strip()}" if told.returncode == 0 else ""


def title(function: str) -> str:
    """`tests/faults/test_kill.py::test_many_kills` as `many kills (faults/test_kill.py)`."""
    path, _, name = function.partition("::")
    return (
        f"{name.replace('::', ' ').removeprefix('test_').replace('_', ' ')} ({path.removeprefix('tests/')})"
    )


def summary(report: pytest.TestReport) -> str:
    """The first line of what was wrong; the run's own output has the whole of it."""
    crash = getattr(report.longrepr, "reprcrash", None)
    message = str(crash.message if crash is not None else report.longrepr).strip()
    return f"{report.when}: {message.splitlines()[0][:200] if message else 'no message'}"


def duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
