"""A simulated household: whatever its people do and its servers report, each viewing counts once and at its date."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings

from tests.household.habits import Habit
from tests.household.house import House
from tests.household.narrator import invent
from tests.household.noise import QUIET, Noise
from tests.household.runs import Run, cut, report
from tests.household.senders import Setup
from tests.household.strategies import SETUPS, TROUBLE, runs

VIEWINGS = 100
"""In each story; the seeds tell 1,000 without noise and 1,000 with it."""

SEEDS = range(1, 11)
SOAKED = range(1_000, 1_500)
NOT_YET: set[Habit] = set()
HABITS = tuple(habit for habit in Habit if habit not in NOT_YET)


def setup_of(seed: int) -> Setup:
    return replace(SETUPS[seed % len(SETUPS)], seed=seed)


def noise_of(seed: int) -> Noise:
    return replace(TROUBLE[seed % len(TROUBLE)], seed=seed)


def check(house: House, run: Run) -> None:
    """Fails with the shortest story that shows the first fault."""
    faults = run.faults(house)
    if faults:
        shortest = cut(house, run, faults[0])
        raise AssertionError(report(shortest, shortest.faults(house)) + f"\n({len(faults)} faults in all)")


def story(seed: int, viewings: int = VIEWINGS) -> Run:
    return Run(invent(seed, viewings, habits=HABITS), setup_of(seed))


@pytest.mark.parametrize("seed", SEEDS)
def test_every_viewing_counts_once_at_its_date(house: House, seed: int) -> None:
    check(house, story(seed))


@pytest.mark.parametrize("seed", SEEDS)
def test_what_arrives_counts_as_far_as_it_says(house: House, seed: int) -> None:
    check(house, replace(story(seed), noise=noise_of(seed)))


few = settings(
    max_examples=25, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip


@few
@given(run=runs(HABITS, [QUIET, *TROUBLE]))
def test_short_stories_are_told_right(house: House, run: Run) -> None:
    faults = run.faults(house)

    assert not faults, report(run, faults)


@pytest.mark.soak
@pytest.mark.parametrize("seed", SOAKED)
def test_a_hundred_thousand_viewings_count_once(house: House, seed: int) -> None:
    run = story(seed, 2 * VIEWINGS)
    check(house, run)
    check(house, replace(run, noise=noise_of(seed)))
