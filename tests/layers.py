"""The layers of the tests: the rule that gives each test its own, and the bounds of those below e2e."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NAMES = ("unit", "integration", "e2e")
TESTS = Path(__file__).parent

END_TO_END = {
    "attacks", "browser", "faults", "test_demo.py", "test_every_get.py", "test_hostile_forms.py", "test_pipeline.py",
    "test_security.py", "test_tvtime_fuzz.py", "test_videoscrobbler_fuzz.py", "test_wheel.py",
}  # fmt: skip
UNIT = {
    "sources", "test_anime.py", "test_architecture.py", "test_body.py", "test_covers.py", "test_edits.py", "test_exports.py",
    "test_files.py", "test_hard_payloads.py", "test_identity.py", "test_imdb_import.py", "test_interpreter.py",
    "test_layers.py", "test_lenient_json.py", "test_letterboxd_import.py", "test_logs.py", "test_loop_lag.py",
    "test_movary_import.py", "test_myanimelist_import.py", "test_numbers.py", "test_patterns.py", "test_payloads.py",
    "test_play.py", "test_plexaccount_import.py", "test_proxies.py", "test_redaction.py", "test_remote.py",
    "test_runtimes.py", "test_ryot_import.py", "test_scrob_import.py", "test_seasons.py", "test_serializd_import.py",
    "test_settings.py", "test_show_ids.py", "test_simkl_import.py", "test_simulator.py", "test_stored.py",
    "test_throttle.py", "test_trakt_import.py", "test_tvtime_import.py", "test_up_next.py", "test_viewings.py",
    "test_watchmark_import.py", "test_yamtrack_import.py",
}  # fmt: skip
INTEGRATION = {"test_generic_docs.py"}
"""Folders and files whose tests are of one layer; what is in none of them is an integration test."""

SERVED = {"database", "url", "postgres_server"}
"""Fixtures that no unit test uses: they are, or may be, a database server."""

OUTSIDE = {
    "os.fork": "starts a process",
    "os.posix_spawn": "starts a process",
    "socket.bind": "opens a socket",
    "socket.connect": "opens a socket",
    "subprocess.Popen": "starts a process",
}
"""Events of Python's audit, and what a unit test does wrong when they occur."""

MAX_CPU_TIME = 10.0
"""Seconds of processor time at which a test fails that is not in the e2e layer: twice the 5 s that it may take by itself.

Where others share its core, the same work takes up to twice the time.
"""


def layer(item: pytest.Item) -> str:
    """The layer of a test that is not marked with one."""
    places = set(item.path.relative_to(TESTS).parts)
    if places & END_TO_END:
        return "e2e"
    served = SERVED & set(getattr(item, "fixturenames", ()))
    outside = served or places & INTEGRATION
    return "unit" if places & UNIT and not outside else "integration"


def marked(item: pytest.Item) -> list[str]:
    return [name for name in NAMES if item.get_closest_marker(name)]


def assign(item: pytest.Item) -> None:
    if item.path.is_relative_to(TESTS) and not marked(item):
        item.add_marker(layer(item))


class Watch:
    """Notes what a test's own thread does outside of this process."""

    def __init__(self) -> None:
        self.thread: int | None = None
        self.noted: list[str] = []
        sys.addaudithook(self.note)

    def note(self, event: str, _args: Any) -> None:
        if self.thread is not None and event in OUTSIDE and threading.get_ident() == self.thread:
            self.noted.append(f"{OUTSIDE[event]} ({event})")

    @contextmanager
    def over(self) -> Iterator[list[str]]:
        self.noted, self.thread = [], threading.get_ident()
        try:
            yield self.noted
        finally:
            self.thread = None


def cpu_time() -> float:
    """Seconds of processor time of this process and of the children it has waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


@contextmanager
def bound_cpu_time(item: pytest.Item) -> Iterator[None]:
    """Fail a test that takes too long outside e2e; by processor time, so that a busy machine makes none fail."""
    before = cpu_time()
    yield
    spent = cpu_time() - before
    bound = not (item.get_closest_marker("e2e") or item.get_closest_marker("soak"))
    if bound and spent > MAX_CPU_TIME:
        pytest.fail(
            f"This test took {spent:.1f} s of processor time, and outside the e2e layer {MAX_CPU_TIME:g} s are the most: "
            "make it smaller, or move it to e2e (tests/layers.py) if it needs real processes, faults or attacks.",
            pytrace=False,
        )
