"""Every test is in one layer, and the unit tests keep to their bounds."""

from __future__ import annotations

import socket
import subprocess

import pytest

from tests import cheap, layers
from webhook.people import passwords

pytest_plugins = ["pytester"]


def test_every_test_is_in_exactly_one_layer(request: pytest.FixtureRequest) -> None:
    found = {item.nodeid: layers.marked(item) for item in request.session.items}

    assert {name: marks for name, marks in found.items() if len(marks) != 1} == {}


@pytest.mark.parametrize("layer", layers.NAMES)
def test_every_layer_is_registered(layer: str, request: pytest.FixtureRequest) -> None:
    registered = [line.partition(":")[0] for line in request.config.getini("markers")]

    assert layer in registered


@pytest.mark.integration
def test_a_socket_and_a_process_are_noted_while_a_unit_test_runs(watch: layers.Watch) -> None:
    with watch.over() as noted, socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        subprocess.run(["true"], check=True)

    assert {note.partition(" (")[0] for note in noted} == {"opens a socket", "starts a process"}


BUSY = """
import subprocess, sys, time
import pytest

def burn():
    ends = time.process_time() + 0.3
    while time.process_time() < ends:
        pass

def test_quick():
    time.sleep(0.3)

def test_slow():
    burn()

def test_slow_in_a_child():
    subprocess.run([sys.executable, "-c", "import time\\nwhile time.process_time() < 0.3: pass"], check=True)

@pytest.mark.e2e
def test_slow_from_outside():
    burn()

@pytest.mark.soak
def test_slow_for_hours():
    burn()
"""


@pytest.mark.integration
def test_a_test_outside_e2e_that_takes_too_much_processor_time_fails(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makeini("[pytest]\nmarkers = e2e: e2e\n    soak: soak")
    pytester.makeconftest("from tests.conftest import pytest_runtest_call")
    pytester.makepyfile(BUSY)

    with monkeypatch.context() as patch:
        patch.setattr(layers, "MAX_CPU_TIME", 0.2)
        result = pytester.inline_run("-p", "no:cacheprovider")

    passed, _, failed = result.listoutcomes()
    assert [name_of(report) for report in passed] == [
        "test_quick", "test_slow_from_outside", "test_slow_for_hours",
    ]  # fmt: skip
    assert [name_of(report) for report in failed] == ["test_slow", "test_slow_in_a_child"]
    assert all("make it smaller, or move it to e2e" in str(report.longrepr) for report in failed)


def name_of(report: pytest.TestReport | pytest.CollectReport) -> str:
    return report.nodeid.rpartition("::")[2]


def test_outside_of_tests_a_guess_at_a_password_costs_64_mb() -> None:
    assert cheap.HASHER.memory_cost >= 64 * 1024
    assert cheap.HASHER.time_cost >= 2
    assert passwords.password_hasher() is not cheap.HASHER
