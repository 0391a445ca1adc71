"""The soak says what it did: amounts that tests record are added up, over workers and over runs."""

from __future__ import annotations

import pytest

from tests.soak_report import duration

pytest_plugins = ["pytester"]

TINY = """
import pytest

@pytest.fixture
def kills(record_property):
    made = []
    yield made
    record_property("kills", len(made))

@pytest.mark.parametrize("seed", range(2))
def test_many_kills(kills, seed, record_property):
    record_property("webhooks", 1500)
    record_property("seed", "no number")
    kills += [seed] * 3
    for _ in range(4):
        record_property("restarts", 1)
    record_property("outages", 0)

def test_power_cut():
    assert not "all is well"

@pytest.fixture
def broken():
    yield
    raise OSError("the disk is gone")

def test_teardown(broken):
    pass

def test_postgres():
    pytest.skip("no server")

def test_until_somebody_ends_it():
    pytest.exit("ended")
"""


@pytest.fixture
def tiny(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # importing them takes a worker seconds
    pytester.makeconftest("from tests.soak_report import pytest_addoption, pytest_configure")
    pytester.makepyfile(test_tiny=TINY)
    return pytester


def section(tiny: pytest.Pytester, *arguments: str) -> list[str]:
    tiny.inline_run("-q", "-p", "no:cacheprovider", "-p", "xdist", "--soak-report", "report.md", *arguments)
    return (tiny.path / "report.md").read_text().splitlines()


@pytest.mark.integration
@pytest.mark.parametrize("workers", ["0", "2"])
def test_it_says_how_much_of_what_was_done_and_what_failed(tiny: pytest.Pytester, workers: str) -> None:
    lines = section(tiny, "-n", workers, "-k", "not until")

    rows = [[cell.strip() for cell in line.split("|")[1:-2]] for line in lines if line.startswith("| ")]
    assert lines[0] == "# What the soak did"
    assert sorted(rows[2:]) == [
        ["many kills (test_tiny.py)", "3,000 webhooks, 8 restarts, 6 kills", "2", "0", "0"],
        ["postgres (test_tiny.py)", "", "1", "0", "1"],
        ["power cut (test_tiny.py)", "", "1", "1", "0"],
        ["teardown (test_tiny.py)", "", "1", "1", "0"],
    ]
    assert sorted(line for line in lines if line.startswith("- ")) == [
        "- `test_tiny.py::test_power_cut`: call: AssertionError: assert not 'all is well'",
        "- `test_tiny.py::test_teardown`: teardown: OSError: the disk is gone",
    ]
    assert any(line.endswith("whole: 2 failed, 1 skipped.") for line in lines)


@pytest.mark.integration
def test_each_run_adds_its_section(tiny: pytest.Pytester) -> None:
    section(tiny, "-k", "many_kills")

    lines = section(tiny, "-k", "power or until")

    headings = [line.partition(" `")[0] for line in lines if line.startswith("#")]
    assert headings == ["# What the soak did", "##", "##"]
    assert sum(line.startswith("| many kills") for line in lines) == 1
    assert any("1 tests in" in line and "ended early: 1 failed" in line for line in lines)


@pytest.mark.unit
@pytest.mark.parametrize(
    ("seconds", "said"), [(0.4, "0 s"), (59, "59 s"), (90, "2 min"), (8100, "2 h 15 min")]
)
def test_durations_are_read_at_a_glance(seconds: float, said: str) -> None:
    assert duration(seconds) == said
