"""A simulated household: whatever its people do and its servers report, each viewing counts once and at its date."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import HealthCheck, given, settings

from tests.household.habits import Habit
from tests.household.house import House
from tests.household.narrator import invent
from tests.household.noise import QUIET, Noise
from tests.household.runs import Run, cut, report
from tests.household.senders import Setup
from tests.household.story import read
from tests.household.strategies import BESIDE, LISTENED, LISTENED_ONLY, LOST_WEBHOOKS, SETUPS, TROUBLE, runs
from tests.soak_report import RecordProperty

VIEWINGS = 100
"""In each story; the seeds tell 1,000 without noise and 1,000 with it."""

SEEDS = range(1, 11)
LISTENED_SEEDS, LISTENED_VIEWINGS = range(21, 24), 60
SOAKED = range(1_000, 1_500)
LISTENED_SOAK = range(1_000, 1_100)
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


def listened(seed: int, viewings: int = LISTENED_VIEWINGS) -> Run:
    """A household whose servers are listened to, with no webhook at all."""
    setup = LISTENED[seed % len(LISTENED)]
    return replace(story(seed, viewings), setup=replace(setup, seed=seed), exact=True)


def with_webhooks(run: Run, seed: int) -> Run:
    """The same with webhooks beside, of which nearly every third is lost."""
    setup, noise = BESIDE[seed % len(BESIDE)], LOST_WEBHOOKS
    return replace(run, setup=replace(setup, seed=seed), noise=replace(noise, seed=seed))


@pytest.mark.parametrize("seed", LISTENED_SEEDS)
def test_what_is_listened_to_needs_no_webhook(house: House, seed: int) -> None:
    check(house, listened(seed))


@pytest.mark.parametrize("seed", LISTENED_SEEDS)
def test_lost_webhooks_cost_nothing_and_double_nothing_where_it_is_listened(house: House, seed: int) -> None:
    check(house, with_webhooks(listened(seed), seed))


REPEATS = (
    """day 1 20:00:00 ben plays Undertow on {server} tablet: 0:00-3:30, no stop
    day 1 20:03:30 ben plays Undertow on {server} tablet: 0:00-3:30, no stop
    day 1 20:07:00 ben plays Undertow on {server} tablet: 0:00-3:30, stop""",
    """day 1 20:00:00 ben plays Two Halves 1x01 on {server} tablet: 0:00-48:00, no stop
    day 1 20:48:00 ben plays Two Halves 1x01 on {server} tablet: 0:00-48:00, stop""",
)


@pytest.mark.parametrize(
    ("repeated", "server"),
    [*product(REPEATS, ["plex", "jellyfin"]), (REPEATS[-1], "emby")],
)
def test_what_is_on_repeat_counts_each_time_where_it_is_listened(
    house: House, repeated: str, server: str
) -> None:
    check(house, Run(read(repeated.format(server=server)), LISTENED_ONLY, exact=True))


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
def test_a_hundred_thousand_viewings_count_once(
    house: House, seed: int, record_property: RecordProperty
) -> None:
    run = story(seed, 2 * VIEWINGS)
    record_property("viewings, each with and without noise", 2 * VIEWINGS)
    check(house, run)
    check(house, replace(run, noise=noise_of(seed)))


@pytest.mark.soak
@pytest.mark.parametrize("seed", LISTENED_SOAK)
def test_ten_thousand_viewings_that_are_heard_count_once(
    house: House, seed: int, record_property: RecordProperty
) -> None:
    run = listened(seed, VIEWINGS)
    record_property("viewings, each with and without webhooks beside", VIEWINGS)
    check(house, run)
    check(house, with_webhooks(run, seed))
