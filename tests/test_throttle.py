"""The throttle of sign-ins: who waits, how long, and for whose failures."""

from __future__ import annotations

import asyncio
from itertools import count

import pytest

from webhook.network.throttle import KEYS, MAX_WAIT, PACES, WINDOW, LoginThrottle, Throttled, keys_of

HERE, THERE = "203.0.113.1", "198.51.100.1"


class Guesser:
    """Attempts at a throttle, each as soon as it is its turn, by a clock that is moved on by waiting."""

    def __init__(self) -> None:
        self.now = 0.0
        self.throttle = LoginThrottle(clock=lambda: self.now)

    def fail(self, address: str = HERE, account: str = "me", known_as: str | None = None) -> float:
        """The seconds that the attempt had to wait."""
        seconds = self.throttle.reserve(keys_of(address, account, known_as))
        self.now += seconds
        return seconds

    def succeed(self, address: str = HERE, account: str = "me") -> float:
        seconds = self.fail(address, account)
        self.throttle.forgive(keys_of(address, account, None))
        return seconds


def test_each_failure_makes_the_next_attempt_wait_longer() -> None:
    guesser = Guesser()

    waits = [guesser.fail() for _ in range(11)]

    assert waits == [0, 0, 0, 0, 0, 1, 2, 4, 8, 8, 8]


def test_another_address_and_another_account_do_not_wait() -> None:
    guesser = Guesser()
    for _ in range(9):
        guesser.fail()

    assert guesser.fail(THERE) == 0
    assert guesser.fail(HERE, "ben") == 0
    assert guesser.fail(HERE, known_as="device x") == 0


def test_addresses_of_one_network_of_ipv6_are_one() -> None:
    guesser = Guesser()

    waits = [guesser.fail(f"2001:db8::{number}") for number in range(6)]

    assert waits[-1] == 1


def test_a_success_forgets_the_failures_before_it() -> None:
    guesser = Guesser()
    for _ in range(7):
        guesser.fail()

    guesser.succeed()

    assert [guesser.fail() for _ in range(5)] == [0] * 5


def test_failures_are_forgotten_in_time() -> None:
    guesser = Guesser()
    for _ in range(9):
        guesser.fail()
    guesser.now += WINDOW + 1

    assert guesser.fail() == 0


def test_many_addresses_slow_each_other_at_one_account() -> None:
    guesser, numbers = Guesser(), count(1)

    waits = [guesser.fail(f"198.51.100.{next(numbers)}") for _ in range(40)]

    assert waits[:30] == [0] * 30
    assert min(waits[30:]) >= 1
    assert guesser.fail(THERE, "ben") == 0


def test_one_address_is_slowed_over_all_accounts() -> None:
    guesser, numbers = Guesser(), count(1)

    waits = [guesser.fail(HERE, f"person {next(numbers)}") for _ in range(25)]

    assert waits[:20] == [0] * 20
    assert min(waits[20:]) >= 1


def test_whoever_guesses_wherever_is_slowed_in_the_end() -> None:
    guesser, numbers = Guesser(), count(1)

    waits = [
        guesser.fail(f"10.0.0.{number}", f"person {number}") for number in (next(numbers) for _ in range(90))
    ]

    assert waits[:60] == [0] * 60
    assert min(waits[60:]) == PACES["all"].most


def test_who_does_not_wait_for_the_turn_is_told_to_come_again() -> None:
    guesser = Guesser()
    for _ in range(9):
        guesser.fail()
    keys = keys_of(HERE, "me", None)
    waits = [guesser.throttle.reserve(keys)]

    with pytest.raises(Throttled) as throttled:
        guesser.throttle.reserve(keys)

    assert waits == [8]
    assert MAX_WAIT < throttled.value.seconds <= 16
    guesser.now += 8  # it was not counted
    assert guesser.fail() == 8


def test_what_is_remembered_is_bounded_and_an_attacked_account_is_not_forgotten() -> None:
    guesser = Guesser()
    for number in range(KEYS):
        guesser.throttle.reserve([("pair", str(number), "me"), ("account", "me")])
        guesser.now += 3

    assert len(guesser.throttle.counters) <= KEYS
    assert ("account", "me") in guesser.throttle.counters


def test_an_attempt_that_ends_in_a_fault_is_a_failure() -> None:
    guesser = Guesser()

    async def attempt() -> None:
        async with guesser.throttle.attempt(HERE, "ME"):
            raise ZeroDivisionError

    for _ in range(5):
        with pytest.raises(ZeroDivisionError):
            asyncio.run(attempt())

    assert guesser.fail(HERE, "me") == 1
